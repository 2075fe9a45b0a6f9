/* rule_05_ownership.c: rule 5: a try call borrows memory for the call alone; an op, its buffers and what they point to
 * are pinned until its event is seen and then the caller's again; a lease is the program's until it is released. */
#include "conformance.h"

#include <signal.h>
#include <stdlib.h>

enum { OP = 1, READER = 2, SIZE = 4096 };

/* ---- try calls ---- */

Test(rule_05_ownership, try_send_has_copied_when_it_returns)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char out[SIZE], in[65536];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        memset(out, 'o', sizeof(out));
        cr_assert_eq(pal_sock_send(a, out, sizeof(out), 0), SIZE);
        memset(out, '!', sizeof(out));
        receive_exactly(&rig, BY_LEASE, b, in, SIZE);
        for (int i = 0; i < SIZE; i++)
            cr_assert_eq(in[i], 'o');
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_05_ownership, try_send_msgs_has_copied_all_it_was_pointed_to)
{
    pal_sock a, b;
    char out[] = "message", in[16];
    struct pal_iov iov = {out, 7};
    struct pal_msg msg;

    pair_open(PAIR_UDP4, &a, &b);
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    cr_assert_eq(pal_sock_send_msgs(a, &msg, 1, 0), 1);
    memset(out, '!', sizeof(out));
    memset(&iov, 0, sizeof(iov));
    memset(&msg, 0, sizeof(msg));
    cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
    cr_assert_eq(pal_sock_recv(b, in, sizeof(in), 0), 7);
    cr_assert_arr_eq(in, "message", 7);
    pair_close(a, b);
}

/* ---- ops ---- */

/* Memory checkers see what is touched after the event; without one, so does the filler. */
Test(rule_05_ownership, op_and_buffer_are_the_callers_again_with_the_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        for (int round = 0; round < 3; round++) {
            struct pal_op *op = malloc(sizeof(*op));
            char *buffer = malloc(SIZE);

            cr_assert(op != NULL && buffer != NULL);
            *op = op_recv(b, OP, buffer, SIZE);
            rig_submit(&rig, op);
            if (round == 2)
                rig_cancel(&rig, op);
            else
                send_all(a, "abc", 3);
            (void)rig_outcome(&rig, op);
            memset(op, 0xee, sizeof(*op));
            memset(buffer, 0xee, SIZE);
            send_all(a, "def", 3);
            cr_assert_eq(receive_some(&rig, BY_WATCH, b, &(char[8]){0}, 8), 3);
            for (int i = 0; i < SIZE; i++)
                cr_assert_eq((unsigned char)buffer[i], 0xee, "written to after the event");
            free(buffer);
            free(op);
        }
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_05_ownership, op_done_at_once_is_the_callers_at_once)
{
    struct rig rig;
    pal_sock a, b;
    char in[8];
    char *out = malloc(3);
    struct pal_op *op = malloc(sizeof(*op));

    cr_assert(op != NULL && out != NULL);
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    memcpy(out, "abc", 3);
    *op = op_send(a, OP, out, 3);
    assert_error(pal_submit(rig.poll, op), 1);
    memset(out, '!', 3);
    free(out);
    free(op);
    receive_exactly(&rig, BY_OP, b, in, 3);
    cr_assert_arr_eq(in, "abc", 3);
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- leases ---- */

/* Takes what is there for a socket that is watched with leases. */
static struct pal_lease lease_one(struct rig *rig, pal_sock sock, uint64_t data)
{
    struct pal_lease lease;

    (void)rig_until_ready(rig, data, PAL_IN);
    assert_error(pal_lease_recv(sock, &lease, 1), 1);
    return lease;
}

Test(rule_05_ownership, leased_bytes_and_plain_calls_keep_their_order)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char in[16];
        int32_t waiting = 0;
        size_t size = sizeof(waiting);

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_LEASE, READER);
        for (int i = 0; i < 2; i++) { /* a backend of its own buffers has taken both by now */
            send_all(a, i == 0 ? "abc" : "def", 3);
            (void)rig_until_ready(&rig, READER, PAL_IN);
        }
        for (int i = 0; i < 100 && waiting < 6; i++) {
            (void)rig_turn(&rig, MILLISECOND_NS);
            assert_error(pal_sock_get(b, PAL_SO_NREAD, &waiting, &size), 0);
        }
        cr_assert_eq(waiting, 6, "%d bytes wait, not 6", waiting);
        cr_assert_geq(pal_sock_recv(b, in, sizeof(in), PAL_MSG_PEEK), 3);
        cr_assert_arr_eq(in, "abc", 3);
        cr_assert_eq(pal_sock_recv(b, in, 1, 0), 1);
        cr_assert_eq(in[0], 'a');
        assert_error(pal_sock_get(b, PAL_SO_NREAD, &waiting, &size), 0);
        cr_assert_eq(waiting, 5);
        rig_unwatch(&rig, b);
        receive_exactly(&rig, BY_OP, b, in, 5);
        cr_assert_arr_eq(in, "bcdef", 5);
        assert_error(pal_sock_recv(b, in, 1, 0), PAL_EAGAIN);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* A lease is a copy of nothing: whatever happens to its socket, its bytes stay. */
Test(rule_05_ownership, lease_outlives_its_socket_and_the_reuse_of_its_slot)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_lease kept;
        char in[65536];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_LEASE, READER);
        send_all(a, "kept", 4);
        kept = lease_one(&rig, b, READER);
        cr_assert_eq(kept.size, 4);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        for (int i = 0; i < 40; i++) { /* more than there are leases */
            pair_open(PAIR_TCP4, &a, &b);
            send_all(a, "other", 5);
            receive_exactly(&rig, BY_LEASE, b, in, 5);
            pair_close(a, b);
        }
        cr_assert_arr_eq(kept.data, "kept", 4);
        pal_lease_release(rig.poll, &kept, 1);
        rig_close(&rig);
    }
}

Test(rule_05_ownership, lease_does_not_outlive_its_poll)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_lease lease;

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_IN | PAL_LEASE, READER);
    send_all(a, "x", 1);
    lease = lease_one(&rig, b, READER);
    rig_unwatch(&rig, b);
    pair_close(a, b);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    cr_assert_neq(pal_reason()[0], '\0', "no word of what the poll is busy with");
    pal_lease_release(rig.poll, &lease, 1);
    rig_close(&rig);
}

Test(rule_05_ownership, reserved_lease_keeps_its_poll_open)
{
    struct rig rig;
    struct pal_lease lease;

    rig_open(&rig, 2);
    assert_error(pal_lease_reserve(rig.poll, &lease, 1, 1), 0);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    pal_lease_release(rig.poll, &lease, 1);
    rig_close(&rig);
}

Test(rule_05_ownership, releasing_a_lease_twice_asserts, .signal = SIGABRT)
{
    struct rig rig;
    struct pal_lease leases[2];

    rig_open(&rig, 2);
    assert_error(pal_lease_reserve(rig.poll, leases, 2, 1), 0);
    pal_lease_release(rig.poll, &leases[0], 1);
    pal_lease_release(rig.poll, &leases[0], 1);
}

Test(rule_05_ownership, sending_a_released_lease_asserts, .signal = SIGABRT)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_lease leases[2];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_lease_reserve(rig.poll, leases, 2, 1), 0);
    leases[0].size = 1;
    pal_lease_release(rig.poll, &leases[0], 1);
    (void)pal_lease_send(a, &leases[0], 1);
}

Test(rule_05_ownership, lease_that_was_sent_is_the_backends_again, .signal = SIGABRT)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_lease leases[2];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_lease_reserve(rig.poll, leases, 2, 1), 0);
    leases[0].data[0] = 'x';
    leases[0].size = 1;
    cr_assert_eq(pal_lease_send(a, &leases[0], 1), 1);
    pal_lease_release(rig.poll, &leases[0], 1);
}
