/* rule_15_no_sigpipe.c: rule 15: writing where nobody reads any more is PAL_EPIPE, by whatever call, and never SIGPIPE:
 * its disposition stays the default, which would end the process. */
#include "conformance.h"

enum { OP = 1 };

static void sigpipe_at_default(void)
{
    int32_t disposition[2] = {PAL_SIGPIPE, 0};
    int error = pal_signal_ctl(PAL_SIGNAL_DISPOSITION, disposition, sizeof(disposition));

    cr_assert(error == 0 || error == PAL_ENOTSUP || error == PAL_ENOSYS, "%s", pal_error_name(error));
}

static void assert_not_pending(void)
{
    uint64_t pending = 0;

    if (pal_signal_ctl(PAL_SIGNAL_PENDING, &pending, sizeof(pending)) == 0)
        cr_assert_eq(pending >> (PAL_SIGPIPE - 1) & 1, 0, "SIGPIPE is pending");
}

enum broken_kind { BROKEN_PIPE, BROKEN_TCP, BROKEN_UNIX, BROKEN_KINDS };

static bool broken_available(enum broken_kind kind)
{
    return kind != BROKEN_UNIX || pair_available(PAIR_UNIX_STREAM);
}

/* A writer without a reader. *rest is what else is to be closed; {0}: nothing. */
static void broken_open(enum broken_kind kind, pal_sock *writer, pal_sock *rest)
{
    pal_sock ends[2];

    rest->id = 0;
    if (kind == BROKEN_PIPE) {
        assert_error(pal_pipe(ends, 0), 0);
        assert_error(pal_sock_close(ends[0]), 0);
        *writer = ends[1];
    } else if (kind == BROKEN_UNIX) {
        pair_open(PAIR_UNIX_STREAM, writer, &ends[0]);
        assert_error(pal_sock_close(ends[0]), 0);
    } else { /* the one deterministic way on TCP */
        pair_open(PAIR_TCP4, writer, rest);
        assert_error(pal_sock_shutdown(*writer, PAL_SHUT_WR), 0);
    }
}

static void broken_close(pal_sock writer, pal_sock rest)
{
    assert_error(pal_sock_close(writer), 0);
    if (rest.id != 0)
        assert_error(pal_sock_close(rest), 0);
}

Test(rule_15_no_sigpipe, send_to_nobody_is_epipe_by_every_way)
{
    sigpipe_at_default();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            for (enum broken_kind kind = BROKEN_PIPE; kind < BROKEN_KINDS; kind = (enum broken_kind)(kind + 1)) {
                struct rig rig;
                pal_sock writer, rest;

                if (!broken_available(kind))
                    continue;
                rig_open(&rig, events_max);
                broken_open(kind, &writer, &rest);
                for (int i = 0; i < 3; i++)
                    assert_error(send_some(&rig, mode, writer, "x", 1), PAL_EPIPE);
                assert_not_pending();
                broken_close(writer, rest);
                rig_close(&rig);
            }
        }
    }
}

Test(rule_15_no_sigpipe, messages_to_nobody_are_epipe)
{
    sigpipe_at_default();
    for (enum broken_kind kind = BROKEN_TCP; kind < BROKEN_KINDS; kind = (enum broken_kind)(kind + 1)) {
        struct rig rig;
        pal_sock writer, rest;
        char byte = 'x';
        struct pal_iov iov = {&byte, 1};
        struct pal_msg msg;
        struct pal_op op;

        if (!broken_available(kind))
            continue;
        rig_open(&rig, 2);
        broken_open(kind, &writer, &rest);
        memset(&msg, 0, sizeof(msg));
        msg.iov = &iov;
        msg.iov_count = 1;
        assert_error(pal_sock_send_msgs(writer, &msg, 1, 0), PAL_EPIPE);
        op = op_send(writer, OP, NULL, 1);
        op.kind = PAL_OP_SEND_MSG;
        op.aux = &msg;
        assert_error(rig_perform(&rig, &op), PAL_EPIPE);
        assert_not_pending();
        broken_close(writer, rest);
        rig_close(&rig);
    }
}

Test(rule_15_no_sigpipe, lease_op_to_nobody_is_epipe_and_takes_no_lease)
{
    sigpipe_at_default();
    for (enum broken_kind kind = BROKEN_PIPE; kind < BROKEN_KINDS; kind = (enum broken_kind)(kind + 1)) {
        struct rig rig;
        pal_sock writer, rest;
        struct pal_lease lease;
        struct pal_op op;

        if (!broken_available(kind))
            continue;
        rig_open(&rig, 2);
        broken_open(kind, &writer, &rest);
        assert_error(pal_lease_reserve(rig.poll, &lease, 1, 1), 0);
        lease.data[0] = 'x';
        lease.size = 1;
        op = op_send(writer, OP, &lease, 1);
        op.kind = PAL_OP_SEND_LEASE;
        assert_error(rig_perform(&rig, &op), PAL_EPIPE);
        pal_lease_release(rig.poll, &lease, 1);
        assert_not_pending();
        broken_close(writer, rest);
        rig_close(&rig);
    }
}

Test(rule_15_no_sigpipe, pipe_that_breaks_under_a_pending_send_is_epipe)
{
    sigpipe_at_default();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock ends[2];
        struct pal_op op;

        rig_open(&rig, events_max);
        assert_error(pal_pipe(ends, 0), 0);
        (void)fill(ends[1]);
        op = op_send(ends[1], OP, "x", 1);
        rig_submit(&rig, &op);
        (void)rig_turn(&rig, 0);
        assert_error(pal_sock_close(ends[0]), 0);
        assert_error(rig_outcome(&rig, &op), PAL_EPIPE);
        assert_not_pending();
        assert_error(pal_sock_close(ends[1]), 0);
        rig_close(&rig);
    }
}

Test(rule_15_no_sigpipe, tcp_send_after_a_reset_never_signals)
{
    sigpipe_at_default();
    FOR_EACH_RECEIVE_MODE(mode)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, 2);
        pair_open(PAIR_TCP4, &a, &b);
        close_with_reset(a);
        cr_assert(sock_until(b, PAL_IN) & (PAL_ERR | PAL_HUP), "the reset never comes");
        assert_error(send_some(&rig, mode, b, "x", 1), PAL_ECONNRESET);
        assert_error(send_some(&rig, mode, b, "x", 1), PAL_EPIPE);
        assert_not_pending();
        assert_error(pal_sock_close(b), 0);
        rig_close(&rig);
    }
}
