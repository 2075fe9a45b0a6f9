/* rule_02_results.c: rule 2: a result is >= 0 or one negative PAL_E*, the same by every way to ask; one call moves at
 * most PAL_IO_MAX bytes. What ends a stream and what does not. */
#include "conformance.h"

#include <stdlib.h>

enum { OP = 1 };

/* ---- the end of a stream, and what looks like it ---- */

Test(rule_02_results, end_of_stream_is_zero)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            char bytes[65536];

            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            send_all(a, "last", 4);
            assert_error(pal_sock_close(a), 0);
            receive_exactly(&rig, mode, b, bytes, 4);
            cr_assert_eq(receive_some(&rig, mode, b, bytes, sizeof(bytes)), 0);
            cr_assert_eq(receive_some(&rig, mode, b, bytes, sizeof(bytes)), 0, "the end is the end again");
            assert_error(pal_sock_close(b), 0);
            rig_close(&rig);
        }
    }
}

Test(rule_02_results, half_closed_stream_still_carries_the_other_direction)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            char bytes[65536];

            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
            cr_assert_eq(receive_some(&rig, mode, b, bytes, sizeof(bytes)), 0);
            cr_assert_eq(send_some(&rig, mode, b, "answer", 6), 6);
            receive_exactly(&rig, mode, a, bytes, 6);
            cr_assert_arr_eq(bytes, "answer", 6);
            assert_error(pal_sock_send(a, "x", 1, 0), PAL_EPIPE);
            pair_close(a, b);
            rig_close(&rig);
        }
    }
}

static void check_empty_datagram(enum pair_kind kind, enum receive_mode mode, uint32_t events_max)
{
    struct rig rig;
    pal_sock a, b;
    char bytes[65536];

    rig_open(&rig, events_max);
    pair_open(kind, &a, &b);
    assert_error(pal_sock_send(a, "", 0, 0), 0);
    cr_assert_eq(pal_sock_send(a, "more", 4, 0), 4);
    cr_assert_eq(receive_some(&rig, mode, b, bytes, sizeof(bytes)), 0, "the empty datagram comes first");
    cr_assert_eq(receive_some(&rig, mode, b, bytes, sizeof(bytes)), 4, "and the next one after it");
    cr_assert_arr_eq(bytes, "more", 4);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_02_results, empty_datagram_is_not_the_end)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            check_empty_datagram(PAIR_UDP4, mode, events_max);
            if (pair_available(PAIR_UNIX_DGRAM))
                check_empty_datagram(PAIR_UNIX_DGRAM, mode, events_max);
        }
    }
}

Test(rule_02_results, empty_datagram_is_one_lease_of_size_zero)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_lease lease;

        rig_open(&rig, events_max);
        pair_open(PAIR_UDP4, &a, &b);
        assert_error(pal_sock_send(a, "", 0, 0), 0);
        rig_watch(&rig, b, PAL_IN | PAL_LEASE, OP);
        (void)rig_until_ready(&rig, OP, PAL_IN);
        cr_assert_eq(pal_lease_recv(b, &lease, 1), 1);
        cr_assert_eq(lease.size, 0);
        pal_lease_release(rig.poll, &lease, 1);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_02_results, receiving_into_no_room_takes_nothing)
{
    pal_sock a, b;
    char byte = 0;

    pair_open(PAIR_TCP4, &a, &b);
    send_all(a, "x", 1);
    cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
    assert_error(pal_sock_recv(b, &byte, 0, 0), 0);
    cr_assert_eq(pal_sock_recv(b, &byte, 1, 0), 1);
    cr_assert_eq(byte, 'x');
    pair_close(a, b);
}

/* ---- one error code, whichever way ---- */

Test(rule_02_results, nothing_to_do_now_is_eagain)
{
    struct rig rig;
    pal_sock a, b, listener, none;
    struct pal_addr addr;
    struct pal_lease lease;
    char byte;

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    pair_open(pair_kind_bounded(), &a, &b);
    assert_error(pal_sock_recv(b, &byte, 1, 0), PAL_EAGAIN);
    assert_error(pal_sock_recv(b, &byte, 1, PAL_MSG_PEEK), PAL_EAGAIN);
    assert_error(pal_sock_accept(listener, &none, NULL), PAL_EAGAIN);
    rig_watch(&rig, b, PAL_IN | PAL_LEASE, OP);
    assert_error(pal_lease_recv(b, &lease, 1), PAL_EAGAIN);
    rig_unwatch(&rig, b);
    (void)fill(b);
    assert_error(pal_sock_send(b, "x", 1, 0), PAL_EAGAIN);
    pair_close(a, b);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

Test(rule_02_results, reset_by_the_peer_is_econnreset)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            char bytes[65536];

            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            close_with_reset(a);
            assert_error(pal_flush(rig.poll), 0);
            assert_error(receive_some(&rig, mode, b, bytes, sizeof(bytes)), PAL_ECONNRESET);
            assert_error(pal_sock_close(b), 0);
            rig_close(&rig);
        }
    }
}

Test(rule_02_results, reset_ends_a_pending_receive)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char bytes[16];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, bytes, sizeof(bytes));
        rig_submit(&rig, &op);
        (void)rig_turn(&rig, 0);
        close_with_reset(a);
        assert_error(rig_outcome(&rig, &op), PAL_ECONNRESET);
        assert_error(pal_sock_close(b), 0);
        rig_close(&rig);
    }
}

/* A UDP socket whose peer's port is held by a socket that takes nothing from it: every datagram bounces. */
static void bouncing_open(pal_sock *sock, pal_sock *wall)
{
    struct pal_addr addr;

    pair_open(PAIR_UDP4, sock, wall);
    assert_error(pal_sock_name(*wall, PAL_NAME_LOCAL, &addr), 0);
    assert_error(pal_sock_connect(*wall, &addr), 0);
}

Test(rule_02_results, bounced_datagram_is_econnrefused_once)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock sock, wall;
            char bytes[65536];

            rig_open(&rig, events_max);
            bouncing_open(&sock, &wall);
            cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
            assert_error(receive_some(&rig, mode, sock, bytes, sizeof(bytes)), PAL_ECONNREFUSED);
            assert_error(pal_sock_recv(sock, bytes, sizeof(bytes), 0), PAL_EAGAIN);
            rig_watch(&rig, sock, PAL_IN, OP);
            rig_silent_but_once(&rig, OP, 5);
            rig_unwatch(&rig, sock);
            pair_close(sock, wall);
            rig_close(&rig);
        }
    }
}

Test(rule_02_results, bounced_datagram_is_reported_by_the_next_send_too)
{
    pal_sock sock, wall;

    bouncing_open(&sock, &wall);
    cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
    cr_assert(sock_until(sock, PAL_IN) & PAL_ERR, "the bounce never comes");
    assert_error(pal_sock_send(sock, "x", 1, 0), PAL_ECONNREFUSED);
    cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1, "an error is reported once");
    pair_close(sock, wall);
}

/* ---- the native code is for messages, and each thread's own ---- */

static void read_native_error(void *out)
{
    *(int32_t *)out = pal_native_error();
}

static void expect_own_native_error(int family)
{
    pal_sock listener, second;
    struct pal_addr addr;
    pal_thread thread;
    int32_t elsewhere = -1;

    listener_open(family, &listener, &addr);
    assert_error(pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, &second), 0);
    assert_error(pal_sock_bind(second, &addr), PAL_EADDRINUSE);
    cr_assert_neq(pal_native_error(), 0, "the system's code is lost");
    assert_error(pal_thread_start(&thread, read_native_error, &elsewhere), 0);
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(elsewhere, 0, "another thread's code shows here");
    pair_close(listener, second);
}

Test(rule_02_results, native_error_belongs_to_the_thread_that_failed)
{
    expect_own_native_error(PAL_AF_INET);
    expect_own_native_error(native_family(PAL_AF_INET)); /* of the other world, where there is one */
}

/* ---- one call moves at most 1 GiB ---- */

enum { GIB = PAL_IO_MAX };

/* More memory than one call may move. Of fresh zeros that are only read the system makes no pages. */
static void *large_open(size_t size)
{
    void *memory = sizeof(size_t) < 8 ? NULL : calloc(1, size);

    if (memory == NULL)
        test_skip("memory", "no room for a buffer of more than 1 GiB");
    return memory;
}

Test(rule_02_results, try_calls_cut_sizes_to_one_gib, .timeout = 120)
{
    size_t size = (size_t)GIB * 4 + 4096; /* fits neither a result nor 32 bits */
    void *memory = large_open(size);
    pal_sock a, b;
    int32_t sent;

    pair_open(PAIR_TCP4, &a, &b);
    sent = pal_sock_send(a, memory, size, 0);
    cr_assert_gt(sent, 0, "%s", pal_error_name(sent));
    cr_assert_leq(sent, GIB);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    cr_assert_eq(drain_to_end(b), (uint64_t)sent);
    cr_assert_eq(pal_sock_send(b, "abc", 3, 0), 3);
    cr_assert_eq(sock_until(a, PAL_IN) & PAL_IN, PAL_IN);
    cr_assert_eq(pal_sock_recv(a, memory, size, 0), 3);
    pair_close(a, b);
    free(memory);
}

Test(rule_02_results, send_op_cuts_its_size_to_one_gib, .timeout = 120)
{
    size_t size = (size_t)GIB + 4096;
    void *memory = large_open(size);
    uint64_t received = 0;
    struct rig rig;
    struct pal_op op;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    op = op_send(a, OP, memory, size);
    rig_submit(&rig, &op);
    for (int i = 0; i < 10000000 && rig_kept(&rig, OP) == 0; i++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        received += drain(b);
        cr_assert_leq(received, (uint64_t)GIB);
    }
    cr_assert_eq(rig_outcome(&rig, &op), GIB);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    received += drain_to_end(b);
    cr_assert_eq(received, (uint64_t)GIB);
    pair_close(a, b);
    rig_close(&rig);
    free(memory);
}
