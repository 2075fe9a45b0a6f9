/* rule_04_cancel.c: rule 4: cancel is a request, legal in every state until the op's event has been seen. Exactly one
 * event comes, with the true result: what has moved or been accepted is reported, never dropped. */
#include "conformance.h"

enum { OP = 1, SECOND = 2, ROOM = 64 };

/* ---- exactly one event, in every state ---- */

Test(rule_04_cancel, cancelled_before_any_wait_ends_once)
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
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        rig_silent(&rig, OP, 5);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancelled_while_pending_ends_within_two_waits)
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
        rig_submit(&rig, &op);
        rig_silent(&rig, OP, 3);
        rig_cancel(&rig, &op);
        rig_cancel(&rig, &op);
        (void)rig_turn(&rig, 1000 * MILLISECOND_NS);
        (void)rig_turn(&rig, 1000 * MILLISECOND_NS * (rig_kept(&rig, OP) == 0));
        cr_assert_eq(rig_kept(&rig, OP), 1);
        assert_error(op.result, PAL_ECANCELED);
        rig_silent(&rig, OP, 5);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancelled_after_its_data_came_ends_once_and_nothing_is_lost)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[ROOM];
        int32_t result;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, bytes, sizeof(bytes));
        rig_submit(&rig, &op);
        (void)rig_turn(&rig, 0);
        send_all(a, "abc", 3);
        assert_error(pal_flush(rig.poll), 0);
        rig_cancel(&rig, &op);
        result = rig_outcome(&rig, &op);
        if (result == PAL_ECANCELED)
            receive_exactly(&rig, BY_OP, b, bytes, 3);
        else
            cr_assert_eq(result, 3, "%s", pal_error_name(result));
        cr_assert_arr_eq(bytes, "abc", 3);
        rig_silent(&rig, OP, 5);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancel_of_a_seen_op_does_nothing)
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
        rig_submit(&rig, &op);
        send_all(a, "abc", 3);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        rig_cancel(&rig, &op);
        rig_cancel(&rig, &op);
        cr_assert_eq(op.result, 3, "the result of a done op has changed");
        rig_silent(&rig, OP, 5);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* Two ops end in one array; the handler of the first cancels the second, whose event it has not yet looked at. */
Test(rule_04_cancel, cancel_of_an_op_later_in_the_same_array_changes_nothing)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a[2], b[2];
        struct pal_op ops[2];
        char bytes[2][ROOM];

        rig_open(&rig, events_max);
        for (int i = 0; i < 2; i++) {
            pair_open(PAIR_TCP4, &a[i], &b[i]);
            ops[i] = op_recv(b[i], (uint64_t)(OP + i), bytes[i], sizeof(bytes[i]));
            rig_submit(&rig, &ops[i]);
        }
        for (int i = 0; i < 2; i++)
            send_all(a[i], "abc", 3);
        for (int i = 0; i < 100 && rig.kept_count == 0; i++)
            (void)rig_turn(&rig, 10 * MILLISECOND_NS);
        for (int i = 0; i < 2; i++) {
            bool seen = rig_kept(&rig, (uint64_t)(OP + i)) == 1;

            rig_cancel(&rig, &ops[i]);
            cr_assert(!seen || ops[i].result == 3, "a delivered result has changed");
        }
        for (int i = 0; i < 2; i++) {
            int32_t result = rig_outcome(&rig, &ops[i]);

            cr_assert(result == 3 || result == PAL_ECANCELED, "%s", pal_error_name(result));
            rig_silent(&rig, (uint64_t)(OP + i), 3);
            cr_assert_eq(rig_kept(&rig, (uint64_t)(OP + i)), 0, "a second event");
            pair_close(a[i], b[i]);
        }
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancel_of_an_op_never_submitted_does_nothing)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    char bytes[ROOM];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    op = op_recv(b, OP, bytes, sizeof(bytes));
    rig_cancel(&rig, &op);
    rig_silent(&rig, OP, 3);
    rig_submit(&rig, &op);
    send_all(a, "abc", 3);
    cr_assert_eq(rig_outcome(&rig, &op), 3);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_04_cancel, cancelled_reader_leaves_the_writer_alone)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op reader, writer;
        char bytes[ROOM];

        rig_open(&rig, events_max);
        pair_open(pair_kind_bounded(), &a, &b);
        (void)fill(b);
        reader = op_recv(b, OP, bytes, sizeof(bytes));
        writer = op_send(b, SECOND, "x", 1);
        rig_submit(&rig, &reader);
        rig_submit(&rig, &writer);
        rig_cancel(&rig, &reader);
        assert_error(rig_outcome(&rig, &reader), PAL_ECANCELED);
        rig_silent(&rig, SECOND, 3);
        (void)drain(a);
        cr_assert_eq(rig_outcome(&rig, &writer), 1);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancelled_receive_leaves_the_socket_usable)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            struct pal_op op;
            char bytes[65536];

            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            op = op_recv(b, OP, bytes, sizeof(bytes));
            rig_submit(&rig, &op);
            rig_cancel(&rig, &op);
            assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
            send_all(a, "abc", 3);
            receive_exactly(&rig, mode, b, bytes, 3);
            cr_assert_arr_eq(bytes, "abc", 3);
            pair_close(a, b);
            rig_close(&rig);
        }
    }
}

/* ---- each kind of op ---- */

Test(rule_04_cancel, cancelled_accept_leaves_the_listener_accepting)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, a, b, none = {0};
        struct pal_addr addr;
        struct pal_op op;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        op = op_accept(listener, OP, &none);
        rig_submit(&rig, &op);
        rig_silent(&rig, OP, 2);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        connect_to(listener, &addr, &a, &b);
        pair_close(a, b);
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}

Test(rule_04_cancel, cancelled_recv_msg_takes_no_datagram)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char bytes[ROOM];
        struct pal_iov iov = {bytes, sizeof(bytes)};
        struct pal_msg msg;
        struct pal_op op;

        rig_open(&rig, events_max);
        pair_open(PAIR_UDP4, &a, &b);
        memset(&msg, 0, sizeof(msg));
        msg.iov = &iov;
        msg.iov_count = 1;
        op = op_recv(b, OP, NULL, 1);
        op.kind = PAL_OP_RECV_MSG;
        op.aux = &msg;
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        send_all(a, "abc", 3);
        cr_assert_eq(receive_some(&rig, BY_WATCH, b, bytes, sizeof(bytes)), 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* A listener that accepts nothing holds only so many connections; those after them stay in progress. */
Test(rule_04_cancel, cancelled_connect_leaves_only_close)
{
    enum { HELD_MAX = 16 };
    struct rig rig;
    pal_sock listener, socks[HELD_MAX];
    struct pal_addr addr;
    struct pal_op op;
    int held = 0, error;
    bool pending = false;

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_listen(listener, 1), 0);
    for (; held < HELD_MAX && !pending; held++) {
        int state;

        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &socks[held]), 0);
        op = op_connect(socks[held], OP, &addr);
        state = pal_submit(rig.poll, &op);
        cr_assert_geq(state, 0, "%s", pal_error_name(state));
        for (int i = 0; i < 5 && state == 0 && rig_kept(&rig, OP) == 0; i++)
            (void)rig_turn(&rig, 10 * MILLISECOND_NS);
        pending = state == 0 && rig_kept(&rig, OP) == 0;
        if (state == 0 && !pending)
            assert_error(rig_outcome(&rig, &op), 0);
    }
    if (pending) { /* else this system's backlog has no end in sight */
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        error = pal_sock_connect(socks[held - 1], &addr);
        cr_assert(error == PAL_EINVAL || error == PAL_EALREADY, "%s", pal_error_name(error));
    }
    for (int i = 0; i < held; i++)
        assert_error(pal_sock_close(socks[i]), 0);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

/* ---- a cancelled send says how much has moved ---- */

Test(rule_04_cancel, cancelled_send_that_moved_nothing_is_ecanceled)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        uint64_t filled;

        rig_open(&rig, events_max);
        pair_open(pair_kind_bounded(), &a, &b);
        filled = fill(a);
        op = op_send(a, OP, "x", 1);
        rig_submit(&rig, &op);
        (void)rig_turn(&rig, 0);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        cr_assert_eq(drain_to_end(b), filled);
        pair_close(a, b);
        rig_close(&rig);
    }
}

enum { LARGE = 32 << 20 };

/* reads: how often the peer makes room before the op is cancelled. */
static void check_cancelled_send(enum pair_kind kind, uint32_t events_max, int reads)
{
    static char bytes[LARGE];
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    uint64_t received = 0;
    int32_t result;

    rig_open(&rig, events_max);
    pair_open(kind, &a, &b);
    op = op_send(a, OP, bytes, sizeof(bytes));
    rig_submit(&rig, &op);
    for (int i = 0; i < reads; i++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        received += drain(b);
    }
    rig_cancel(&rig, &op);
    result = rig_outcome(&rig, &op);
    cr_assert(result > 0 && result <= LARGE, "%s", pal_error_name(result));
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    received += drain_to_end(b);
    cr_assert_eq(received, (uint64_t)result, "the op says %d, the peer reads %lu", result, (unsigned long)received);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_04_cancel, cancelled_send_reports_what_the_peer_can_read)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        for (int reads = 0; reads <= 2; reads++) {
            check_cancelled_send(PAIR_TCP4, events_max, reads);
            if (pair_available(PAIR_UNIX_STREAM))
                check_cancelled_send(PAIR_UNIX_STREAM, events_max, reads);
        }
    }
}

enum { LEASES = 512, LEASE_SIZE = 16384 };

/* The stream's byte at a position. */
static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position % 251);
}

static void lease_fill(struct pal_lease *lease, uint64_t position)
{
    for (uint32_t i = 0; i < LEASE_SIZE; i++)
        lease->data[i] = byte_at(position + i);
    lease->size = LEASE_SIZE;
}

Test(rule_04_cancel, cancelled_send_of_leases_reports_what_the_peer_can_read)
{
    static struct pal_lease leases[LEASES];
    uint8_t *unsent;
    struct pal_config config;
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    int32_t result;
    uint64_t sent;

    if (!pair_available(PAIR_UNIX_STREAM))
        test_skip("unix", "no unix stream pairs");
    memset(&config, 0, sizeof(config));
    config.lease_count = LEASES;
    config.lease_size = LEASE_SIZE;
    rig_open_config(&rig, &config);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_lease_reserve(rig.poll, leases, LEASES, LEASE_SIZE), 0);
    for (int i = 0; i < LEASES; i++)
        lease_fill(&leases[i], (uint64_t)i * LEASE_SIZE);
    op = op_send(a, OP, leases, LEASES);
    op.kind = PAL_OP_SEND_LEASE;
    rig_submit(&rig, &op);
    rig_cancel(&rig, &op);
    result = rig_outcome(&rig, &op);
    cr_assert(result > 0 && result < LEASES, "%d: %s", result, pal_error_name(result));
    unsent = leases[result].data;
    sent = (uint64_t)result * LEASE_SIZE + (LEASE_SIZE - leases[result].size);
    for (uint32_t i = 0; i < leases[result].size; i++)
        cr_assert_eq(unsent[i], byte_at(sent + i), "the rest of a lease is not what follows in the stream");
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    cr_assert_eq(drain_to_end(b), sent);
    pal_lease_release(rig.poll, &leases[result], LEASES - result);
    pair_close(a, b);
    rig_close(&rig);
}
