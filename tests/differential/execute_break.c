/* execute_break.c: breaking the seam's rules, for which it aborts: before it has changed anything, so that the program
 * can go on, once SIGABRT is caught. Rules 5, 10 and 12 of docs/seam.md. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "execute.h"

static jmp_buf before_abort;

static void on_expected_abort(int number)
{
    (void)number;
    longjmp(before_abort, 1);
}

struct breach {
    pal_poll *poll, *other;
    struct pal_lease lease;
    struct pal_op *op;
};

static void release_twice(struct breach *breach)
{
    pal_lease_release(breach->poll, &breach->lease, 1);
}

static void release_elsewhere(struct breach *breach)
{
    pal_lease_release(breach->other, &breach->lease, 1);
}

static void submit_twice(struct breach *breach)
{
    pal_submit(breach->poll, breach->op);
}

static void ask_no_clock(struct breach *breach)
{
    (void)breach;
    pal_clock(99);
}

/* Calls, and requires that the call aborts. */
static void require_abort(const char *what, void (*breaks)(struct breach *breach), struct breach *breach)
{
    const uint64_t mask = UINT64_C(1) << (PAL_SIGABRT - 1);
    void (*before)(int) = signal(SIGABRT, on_expected_abort);

    if (setjmp(before_abort) == 0) {
        breaks(breach);
        fail("%s does not abort", what);
    }
    signal(SIGABRT, before);
    REQUIRE(pal_signal_mask(PAL_SIGNAL_UNBLOCK, &mask, NULL) == 0, "SIGABRT cannot be unblocked");
}

static void break_lease_rules(struct model *model, uint64_t choice)
{
    struct breach breach = {.poll = model->polls[0].handle, .other = model->polls[1].handle};

    REQUIRE(pal_lease_reserve(breach.poll, &breach.lease, 1, 1) == 0, "an idle poll has no lease");
    if (choice % 2 == 0)
        require_abort("releasing a lease to another poll", release_elsewhere, &breach);
    pal_lease_release(breach.poll, &breach.lease, 1);
    if (choice % 2 == 1)
        require_abort("releasing a lease twice", release_twice, &breach);
}

static void break_op_rules(struct model *model)
{
    const struct pal_event *array = NULL;
    struct breach breach = {.poll = model->polls[0].handle};
    pal_sock pair[2] = {{0}, {0}};
    uint8_t byte = 0;
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    REQUIRE(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, pair) == 0, "no pair");
    op.sock = pair[0];
    op.kind = PAL_OP_RECV;
    op.buf = &byte;
    op.size = 1;
    breach.op = &op;
    REQUIRE(pal_submit(breach.poll, &op) == 0, "an op cannot be submitted");
    require_abort("submitting an op that is out", submit_twice, &breach);
    REQUIRE(pal_cancel(breach.poll, &op) == 0 && pal_poll_wait(breach.poll, &array, 0) == 1 &&
                array[0].result == PAL_ECANCELED,
            "an op that was submitted twice does not end once");
    REQUIRE(pal_sock_close(pair[0]) == 0 && pal_sock_close(pair[1]) == 0, "an idle socket cannot be closed");
}

void break_a_rule(struct model *model, uint64_t choice)
{
    struct breach breach = {.poll = NULL};

    switch (choice % 4) {
    case 0:
        break_op_rules(model);
        break;
    case 1:
        require_abort("asking for a clock that there is not", ask_no_clock, &breach);
        break;
    default:
        break_lease_rules(model, choice / 4);
    }
}
