/* rule_03_submit.c: rule 3: pal_submit answers 1 (done, no event), 0 (pending, one event) or an error (never started).
 * RECV, RECV_MSG and ACCEPT are not tried first unless flagged PAL_OP_TRY; SEND, SEND_MSG and SEND_LEASE are. */
#include "conformance.h"

#include <signal.h>

enum { OP = 1, ROOM = 64 };

static struct pal_iov iov_of(void *data, size_t size)
{
    struct pal_iov iov = {data, size};

    return iov;
}

static struct pal_msg msg_of_iov(struct pal_iov *iov)
{
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    msg.iov = iov;
    msg.iov_count = 1;
    return msg;
}

static struct pal_op op_msgs(uint8_t kind, pal_sock sock, struct pal_msg *msgs, uint64_t count)
{
    struct pal_op op = op_recv(sock, OP, NULL, (size_t)count);

    op.kind = kind;
    op.aux = msgs;
    return op;
}

/* ---- what is tried and what is not ---- */

Test(rule_03_submit, recv_with_data_waiting_is_pending_all_the_same)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        send_all(a, "abc", 3);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        op = op_recv(b, OP, bytes, sizeof(bytes));
        assert_error(pal_submit(rig.poll, &op), 0);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        cr_assert_arr_eq(bytes, "abc", 3);
        rig_silent(&rig, OP, 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_03_submit, recv_flagged_try_is_done_at_once_without_an_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        send_all(a, "abc", 3);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        op = op_recv(b, OP, bytes, sizeof(bytes));
        op.flags = PAL_OP_TRY;
        assert_error(pal_submit(rig.poll, &op), 1);
        cr_assert_eq(op.result, 3);
        cr_assert_arr_eq(bytes, "abc", 3);
        rig_silent(&rig, OP, 5);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_03_submit, recv_flagged_try_waits_if_there_is_nothing)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, bytes, sizeof(bytes));
        op.flags = PAL_OP_TRY;
        rig_submit(&rig, &op);
        rig_silent(&rig, OP, 3);
        send_all(a, "abc", 3);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

static void check_recv_msg(uint32_t events_max, uint16_t flags, int expected)
{
    struct rig rig;
    pal_sock a, b;
    char bytes[ROOM];
    struct pal_iov iov = iov_of(bytes, sizeof(bytes));
    struct pal_msg msg = msg_of_iov(&iov);
    struct pal_op op;

    rig_open(&rig, events_max);
    pair_open(PAIR_UDP4, &a, &b);
    send_all(a, "abc", 3);
    cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
    op = op_msgs(PAL_OP_RECV_MSG, b, &msg, 1);
    op.flags = flags;
    assert_error(pal_submit(rig.poll, &op), expected);
    if (expected == 0)
        (void)rig_outcome(&rig, &op);
    cr_assert_eq(op.result, 1);
    cr_assert_eq(msg.size, 3);
    cr_assert_arr_eq(bytes, "abc", 3);
    rig_silent(&rig, OP, 3);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_03_submit, recv_msg_is_tried_only_when_flagged)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_recv_msg(events_max, 0, 0);
        check_recv_msg(events_max, PAL_OP_TRY, 1);
    }
}

static void check_accept(uint32_t events_max, uint16_t flags, int expected)
{
    struct rig rig;
    pal_sock listener, a, b = {0};
    struct pal_addr addr;
    struct pal_op op;
    int error;

    rig_open(&rig, events_max);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &a), 0);
    error = pal_sock_connect(a, &addr);
    cr_assert(error == 0 || error == PAL_EINPROGRESS, "%s", pal_error_name(error));
    cr_assert_eq(sock_until(listener, PAL_IN), PAL_IN);
    op = op_accept(listener, OP, &b);
    op.flags = flags;
    assert_error(pal_submit(rig.poll, &op), expected);
    if (expected == 0)
        (void)rig_outcome(&rig, &op);
    assert_error(op.result, 0);
    cr_assert_neq(b.id, 0);
    rig_silent(&rig, OP, 3);
    pair_close(a, b);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

Test(rule_03_submit, accept_is_tried_only_when_flagged)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_accept(events_max, 0, 0);
        check_accept(events_max, PAL_OP_TRY, 1);
    }
}

Test(rule_03_submit, send_with_room_is_done_at_once_without_an_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_send(a, OP, "abc", 3);
        assert_error(pal_submit(rig.poll, &op), 1);
        cr_assert_eq(op.result, 3);
        rig_silent(&rig, OP, 5);
        receive_exactly(&rig, BY_WATCH, b, bytes, 3);
        cr_assert_arr_eq(bytes, "abc", 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_03_submit, send_msg_with_room_is_done_at_once_without_an_event)
{
    struct rig rig;
    pal_sock a, b;
    char bytes[ROOM] = "abc";
    struct pal_iov iov = iov_of(bytes, 3);
    struct pal_msg msg = msg_of_iov(&iov);
    struct pal_op op;

    rig_open(&rig, 2);
    pair_open(PAIR_UDP4, &a, &b);
    op = op_msgs(PAL_OP_SEND_MSG, a, &msg, 1);
    assert_error(pal_submit(rig.poll, &op), 1);
    cr_assert_eq(op.result, 1);
    cr_assert_eq(msg.size, 3);
    rig_silent(&rig, OP, 5);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_03_submit, send_lease_with_room_is_done_at_once_without_an_event)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_lease leases[2];
    struct pal_op op;
    char bytes[65536];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_lease_reserve(rig.poll, leases, 2, 3), 0);
    for (int i = 0; i < 2; i++) {
        memcpy(leases[i].data, i == 0 ? "abc" : "def", 3);
        leases[i].size = 3;
    }
    op = op_send(a, OP, leases, 2);
    op.kind = PAL_OP_SEND_LEASE;
    assert_error(pal_submit(rig.poll, &op), 1);
    cr_assert_eq(op.result, 2);
    receive_exactly(&rig, BY_LEASE, b, bytes, 6);
    cr_assert_arr_eq(bytes, "abcdef", 6);
    rig_silent(&rig, OP, 3);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_03_submit, send_without_room_waits_and_then_sends_all)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        static char out[1 << 20];
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        uint64_t before, received = 0;

        rig_open(&rig, events_max);
        pair_open(pair_kind_bounded(), &a, &b);
        before = fill(a);
        op = op_send(a, OP, out, sizeof(out));
        rig_submit(&rig, &op);
        rig_silent(&rig, OP, 3);
        for (int i = 0; i < 100000 && rig_kept(&rig, OP) == 0; i++) {
            received += drain(b);
            (void)rig_turn(&rig, MILLISECOND_NS);
        }
        cr_assert_eq(rig_outcome(&rig, &op), (int32_t)sizeof(out));
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        cr_assert_eq(received + drain_to_end(b), before + sizeof(out));
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_03_submit, connect_succeeds_at_once_or_later_but_once)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, a, b;
        struct pal_addr addr;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &a), 0);
        op = op_connect(a, OP, &addr);
        assert_error(rig_perform(&rig, &op), 0);
        rig_silent(&rig, OP, 3);
        b = accept_one(listener);
        send_all(b, "hello", 5);
        receive_exactly(&rig, BY_OP, a, bytes, 5);
        pair_close(a, b);
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}

/* ---- refusals ---- */

/* The op is refused, stays idle and leaves nothing behind: corrected, it is as good as new. */
static void assert_refused(struct rig *rig, struct pal_op *op, int error)
{
    assert_error(pal_submit(rig->poll, op), error);
    assert_error(pal_cancel(rig->poll, op), 0);
    rig_silent(rig, op->data, 2);
}

Test(rule_03_submit, refused_op_is_idle_and_can_be_corrected)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b, stale;
        struct pal_op op;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &stale), 0);
        assert_error(pal_sock_close(stale), 0);
        op = op_recv(stale, OP, bytes, sizeof(bytes));
        assert_refused(&rig, &op, PAL_EBADF);
        op.sock = b;
        op.kind = 0;
        assert_refused(&rig, &op, PAL_EINVAL);
        op.kind = 255;
        assert_refused(&rig, &op, PAL_EINVAL);
        op.kind = PAL_OP_RECV;
        op.buf = NULL;
        assert_refused(&rig, &op, PAL_EINVAL);
        op.buf = bytes;
        rig_submit(&rig, &op);
        send_all(a, "abc", 3);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_03_submit, missing_memory_is_refused)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    static const uint8_t with_aux[] = {PAL_OP_ACCEPT, PAL_OP_CONNECT, PAL_OP_RECV_MSG, PAL_OP_SEND_MSG};

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    for (size_t i = 0; i < sizeof(with_aux); i++) {
        op = op_msgs(with_aux[i], b, NULL, 1);
        assert_refused(&rig, &op, PAL_EINVAL);
    }
    op = op_send(b, OP, NULL, 1);
    assert_refused(&rig, &op, PAL_EINVAL);
    op.kind = PAL_OP_SEND_LEASE;
    assert_refused(&rig, &op, PAL_EINVAL);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_03_submit, submitting_an_op_that_is_out_asserts, .signal = SIGABRT)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    char bytes[ROOM];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    op = op_recv(b, OP, bytes, sizeof(bytes));
    rig_submit(&rig, &op);
    (void)pal_submit(rig.poll, &op);
}

/* ---- an op is submitted again from its own event ---- */

Test(rule_03_submit, op_can_be_submitted_again_from_its_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        send_all(a, "0123456789", 10);
        op = op_recv(b, OP, &byte, 1);
        for (int i = 0; i < 10; i++) {
            rig_submit(&rig, &op);
            cr_assert_eq(rig_outcome(&rig, &op), 1);
            cr_assert_eq(byte, '0' + i);
        }
        pair_close(a, b);
        rig_close(&rig);
    }
}

enum { CLIENTS = 64 };

/* Each connection is accepted by an op that was submitted in the event of the one before. */
static void accept_all(struct rig *rig, pal_sock listener, pal_sock *accepted)
{
    struct pal_op op = op_accept(listener, OP, &accepted[0]);

    rig_submit(rig, &op);
    for (int i = 0; i < CLIENTS; i++) {
        assert_error(rig_outcome(rig, &op), 0);
        op.aux = &accepted[i + 1];
        rig_submit(rig, &op);
    }
    rig_cancel(rig, &op);
    assert_error(rig_outcome(rig, &op), PAL_ECANCELED);
}

Test(rule_03_submit, accept_submitted_from_its_own_event_serves_all_who_connect_at_once)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, clients[CLIENTS], accepted[CLIENTS + 1];
        struct pal_addr addr;
        char byte;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        for (int i = 0; i < CLIENTS; i++) {
            int error;

            assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &clients[i]), 0);
            error = pal_sock_connect(clients[i], &addr);
            cr_assert(error == 0 || error == PAL_EINPROGRESS, "%s", pal_error_name(error));
        }
        accept_all(&rig, listener, accepted);
        for (int i = 0; i < CLIENTS; i++) {
            send_all(accepted[i], "x", 1);
            assert_error(pal_sock_close(accepted[i]), 0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            cr_assert_eq(receive_some(&rig, BY_OP, clients[i], &byte, 1), 1, "client %d is not served", i);
            assert_error(pal_sock_close(clients[i]), 0);
        }
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}
