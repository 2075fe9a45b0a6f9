/* rule_04_workers.c: cancelling what a worker is to do, in each state that it can be in: waiting, running, done, told,
 * seen. One event comes, whatever happens, and its result is true. Only a look-up that runs ends at once all the same;
 * that is in tests/kernel/workers.c, as it takes a resolver that hangs. */
#include "jobs.h"

#include <signal.h>

enum { BUSY = 1, OP = 2, NEXT = 3 };

/* ---- waiting ---- */

Test(rule_04_workers, work_that_waits_is_taken_back_and_never_done)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        _Atomic uint32_t count = 0;
        struct pal_work work = {count_one, &count};
        struct pal_op op = op_work(OP, &work);
        struct busy_worker busy;
        struct rig rig;

        if (events_max == 2)
            set_up_workers(1);
        rig_open(&rig, events_max);
        occupy_worker(&rig, &busy, BUSY);
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED); /* while the worker still stands at its gate */
        rig_cancel(&rig, &op);
        release_worker(&rig, &busy);
        rig_silent(&rig, OP, 3);
        cr_assert_eq(atomic_load(&count), 0, "what was cancelled was done");
        rig_close(&rig);
    }
}

Test(rule_04_workers, each_kind_that_waits_is_taken_back_and_changes_nothing)
{
    static const uint8_t kinds[] = {PAL_OP_READ, PAL_OP_WRITE, PAL_OP_SYNC, PAL_OP_RESOLVE};
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct busy_worker busy;
    struct rig rig;
    pal_file file;

    set_up_workers(1);
    rig_open(&rig, 2);
    file = open_scratch_file("before", 6);
    for (size_t i = 0; i < sizeof(kinds); i++) {
        char bytes[sizeof(struct pal_addr)] = "after!";
        struct pal_op op = op_file(kinds[i], file, OP, bytes, 6, 0);

        if (kinds[i] == PAL_OP_RESOLVE)
            op = op_resolve(OP, &query, (struct pal_addr *)(void *)bytes, 1);
        occupy_worker(&rig, &busy, BUSY);
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        release_worker(&rig, &busy);
        cr_assert_arr_eq(bytes, "after!", 6, "op %d has written", kinds[i]);
        cr_assert_eq(pal_file_read(file, bytes, 6, 0), 6);
        cr_assert_arr_eq(bytes, "before", 6, "op %d has written", kinds[i]);
    }
    rig_silent(&rig, OP, 2);
    assert_error(pal_file_close(file), 0);
    rig_close(&rig);
}

Test(rule_04_workers, an_op_can_be_submitted_again_from_its_event)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (int i = 0; i < 10; i++) {
        occupy_worker(&rig, &busy, BUSY);
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        rig_submit(&rig, &op);
        release_worker(&rig, &busy);
        assert_error(rig_outcome(&rig, &op), i);
    }
    rig_close(&rig);
}

/* ---- running, done, seen ---- */

Test(rule_04_workers, work_that_runs_ends_with_its_true_result)
{
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, BUSY);
    rig_cancel(&rig, &busy.op);
    rig_silent(&rig, BUSY, 3);
    rig_cancel(&rig, &busy.op);
    release_worker(&rig, &busy);
    rig_silent(&rig, BUSY, 3);
    rig_close(&rig);
}

/* The one worker has told of each job before it begins the next, which stands at its gate. */
static void have_it_done(struct rig *rig, struct pal_op *op, struct busy_worker *after)
{
    rig_submit(rig, op);
    occupy_worker(rig, after, BUSY);
}

Test(rule_04_workers, what_is_done_and_not_told_keeps_its_true_result)
{
    static const uint8_t kinds[] = {PAL_OP_WORK, PAL_OP_RESOLVE, PAL_OP_READ};
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct busy_worker after;
    struct rig rig;
    pal_file file;

    set_up_workers(1);
    rig_open(&rig, 2);
    file = open_scratch_file("x", 1);
    for (size_t i = 0; i < sizeof(kinds); i++) {
        _Atomic uint32_t count = 1;
        struct pal_work work = {count_one, &count};
        struct pal_addr addr;
        char byte = 0;
        struct pal_op op = kinds[i] == PAL_OP_WORK      ? op_work(OP, &work)
                           : kinds[i] == PAL_OP_RESOLVE ? op_resolve(OP, &query, &addr, 1)
                                                        : op_file(PAL_OP_READ, file, OP, &byte, 1, 0);

        memset(&addr, 0, sizeof(addr));
        have_it_done(&rig, &op, &after);
        rig_cancel(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), 1);
        cr_assert(kinds[i] != PAL_OP_RESOLVE || addr.bytes[0] == 192);
        cr_assert(kinds[i] != PAL_OP_READ || byte == 'x');
        rig_cancel(&rig, &op); /* seen: idle */
        release_worker(&rig, &after);
        rig_silent(&rig, OP, 2);
    }
    assert_error(pal_file_close(file), 0);
    rig_close(&rig);
}

Test(rule_04_workers, an_event_that_did_not_fit_is_not_changed_by_cancel)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op ops[4];
    struct busy_worker after;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (uint64_t i = 0; i < 4; i++) {
        ops[i] = op_work(10 + i, &work);
        if (i < 3)
            rig_submit(&rig, &ops[i]);
    }
    have_it_done(&rig, &ops[3], &after);
    cr_assert_lt(rig_turn(&rig, 0), 4);
    for (int i = 0; i < 4; i++)
        rig_cancel(&rig, &ops[i]);
    for (int i = 0; i < 4; i++)
        assert_error(rig_outcome(&rig, &ops[i]), i);
    release_worker(&rig, &after);
    cr_assert_eq(rig.kept_count, 0, "an event came twice");
    rig_close(&rig);
}

/* ---- and the poll ---- */

Test(rule_04_workers, a_poll_does_not_close_before_the_event_was_seen)
{
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, BUSY);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    cr_assert_str_neq(pal_reason(), "");
    rig_cancel(&rig, &busy.op);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    release_worker(&rig, &busy);
    rig_close(&rig);
}

Test(rule_04_workers, a_poll_closes_while_jobs_of_others_run_and_wait)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op theirs = op_work(NEXT, &work), mine = op_work(OP, &work);
    struct busy_worker busy;
    struct rig rig, other;

    set_up_workers(1);
    rig_open(&rig, 2);
    rig_open(&other, 2);
    occupy_worker(&other, &busy, BUSY);
    rig_submit(&rig, &mine);
    rig_submit(&other, &theirs);
    rig_cancel(&rig, &mine);
    assert_error(rig_outcome(&rig, &mine), PAL_ECANCELED);
    rig_close(&rig);
    release_worker(&other, &busy);
    assert_error(rig_outcome(&other, &theirs), 0);
    rig_close(&other);
}

Test(rule_04_workers, submitting_what_is_out_aborts, .signal = SIGABRT)
{
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, BUSY);
    (void)pal_submit(rig.poll, &busy.op);
}

/* ---- races ---- */

static uint32_t random_below(uint32_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % limit;
}

Test(rule_04_workers, a_result_is_real_or_cancelled_never_both)
{
    enum { ROUNDS = 1000, OPS = 4 };
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op ops[OPS];
    struct rig rig;
    uint32_t state = 4242, real = 0;

    set_up_workers(2);
    rig_open(&rig, 2);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < OPS; i++) {
            ops[i] = op_work(i, &work);
            rig_submit(&rig, &ops[i]);
        }
        for (volatile uint32_t pause = random_below(&state, 3000); pause > 0; pause--)
            continue;
        for (int i = OPS - 1; i >= 0; i--)
            rig_cancel(&rig, &ops[i]);
        for (int i = 0; i < OPS; i++) {
            int32_t result = rig_outcome(&rig, &ops[i]);

            cr_assert(result >= 0 || result == PAL_ECANCELED, "%s", pal_error_name(result));
            real += result >= 0;
        }
        cr_assert_eq(atomic_load(&count), real, "in round %d %u jobs were done and %u told", round, atomic_load(&count),
                     real);
    }
    cr_assert_eq(rig.kept_count, 0);
    rig_close(&rig);
}
