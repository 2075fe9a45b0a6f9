/* rule_09_level.c: rule 9: readiness is level-triggered, coalesced, never lost, sometimes spurious (once). Interest 0
 * is silence. ONCE and EDGE are the ways out of it. What the bits mean at the ends of a connection: rule_09_bits.c. */
#include "conformance.h"

enum { WATCH = 1, OTHER = 2 };

/* ---- level ---- */

static void check_level(uint32_t events_max, uint32_t lease)
{
    struct rig rig;
    pal_sock a, b;
    char in[2];

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_IN | lease, WATCH);
    rig_silent(&rig, WATCH, 3);
    send_all(a, "xy", 2);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN);
    for (int i = 0; i < 10; i++) {
        (void)rig_turn(&rig, 1000 * MILLISECOND_NS);
        cr_assert_not_null(rig_find(&rig, WATCH), "unread data is not reported in every wait");
    }
    cr_assert_eq(pal_sock_recv(b, in, 1, 0), 1);
    for (int i = 0; i < 10; i++) {
        (void)rig_turn(&rig, 1000 * MILLISECOND_NS);
        cr_assert_not_null(rig_find(&rig, WATCH), "one byte left is not reported in every wait");
    }
    cr_assert_eq(pal_sock_recv(b, in, 1, 0), 1);
    rig_silent_but_once(&rig, WATCH, 10);
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_09_level, unread_data_is_reported_in_every_wait_and_then_no_more)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_level(events_max, 0);
        check_level(events_max, PAL_LEASE);
    }
}

Test(rule_09_level, data_there_before_the_watch_is_reported)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        send_all(a, "x", 1);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        rig_watch(&rig, b, PAL_IN, WATCH);
        (void)rig_until_ready(&rig, WATCH, PAL_IN);
        rig_unwatch(&rig, b);
        rig_watch(&rig, b, PAL_IN, OTHER);
        (void)rig_until_ready(&rig, OTHER, PAL_IN);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_level, room_is_reported_in_every_wait_until_it_is_full)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(pair_kind_bounded(), &a, &b);
        rig_watch(&rig, b, PAL_OUT, WATCH);
        for (int i = 0; i < 5; i++)
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        (void)fill(b);
        rig_silent_but_once(&rig, WATCH, 5);
        (void)drain(a);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_level, waiting_connection_is_reported_in_every_wait)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, a, b;
        struct pal_addr addr;
        int error;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        rig_watch(&rig, listener, PAL_IN | PAL_OUT, WATCH);
        rig_silent(&rig, WATCH, 3);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &a), 0);
        error = pal_sock_connect(a, &addr);
        cr_assert(error == 0 || error == PAL_EINPROGRESS);
        for (int i = 0; i < 5; i++)
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN);
        assert_error(pal_sock_accept(listener, &b, NULL), 0);
        rig_silent_but_once(&rig, WATCH, 5);
        rig_unwatch(&rig, listener);
        pair_close(a, b);
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}

Test(rule_09_level, op_on_data_left_over_ends_without_new_data)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            char in[65536];

            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            send_all(a, "0123456789", 10);
            for (char expected = '0'; expected <= '4'; expected++) {
                cr_assert_eq(receive_some(&rig, BY_OP, b, in, 1), 1);
                cr_assert_eq(in[0], expected);
            }
            receive_exactly(&rig, mode, b, in, 5);
            cr_assert_arr_eq(in, "56789", 5);
            pair_close(a, b);
            rig_close(&rig);
        }
    }
}

/* ---- coalesced ---- */

Test(rule_09_level, one_event_a_wait_carries_all_the_bits)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        send_all(a, "x", 1);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        rig_watch(&rig, b, PAL_IN | PAL_OUT, WATCH);
        cr_assert_eq(rig_until_ready(&rig, WATCH, PAL_IN).ready, PAL_IN | PAL_OUT);
        for (int i = 0; i < 10; i++) {
            cr_assert_leq(rig_turn(&rig, MILLISECOND_NS), 1, "one socket has two events in one wait");
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN | PAL_OUT);
        }
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* ---- completeness ---- */

enum { CROWD = 5, CROWD_DATA = 100 };

/* In one wait with room for all of them an op ends, so that its socket is waited for no more, and every other socket is
 * ready. first: which one alone was ready in the wait before, as backends take turns; ender: whose op ends. */
static void check_complete(int first, int ender)
{
    struct rig rig;
    pal_sock a[CROWD], b[CROWD];
    struct pal_op op;
    char byte, in;

    rig_open(&rig, 256);
    for (int i = 0; i < CROWD; i++) {
        pair_open(PAIR_UNIX_STREAM, &a[i], &b[i]);
        if (i == ender) {
            op = op_recv(a[i], CROWD_DATA + (uint64_t)i, &in, 1);
            rig_submit(&rig, &op);
        } else {
            rig_watch(&rig, a[i], PAL_IN, CROWD_DATA + (uint64_t)i);
        }
    }
    if (first != ender) {
        send_all(b[first], "x", 1);
        (void)rig_until_ready(&rig, CROWD_DATA + (uint64_t)first, PAL_IN);
        cr_assert_eq(pal_sock_recv(a[first], &byte, 1, 0), 1);
    }
    for (int i = 0; i < CROWD; i++)
        send_all(b[i], "x", 1);
    (void)rig_turn(&rig, 1000 * MILLISECOND_NS);
    for (int i = 0; i < CROWD; i++)
        cr_assert_not_null(rig_find(&rig, CROWD_DATA + (uint64_t)i),
                           "socket %d is ready, and the wait in which the op on %d ends leaves it out", i, ender);
    cr_assert_eq(rig.count, CROWD);
    for (int i = 0; i < CROWD; i++) {
        if (i != ender)
            rig_unwatch(&rig, a[i]);
        pair_close(a[i], b[i]);
    }
    rig_close(&rig);
}

Test(rule_09_level, a_wait_in_which_an_op_ends_reports_every_other_ready_socket)
{
    for (int first = 0; first < CROWD; first++)
        for (int ender = 0; ender < CROWD; ender++)
            check_complete(first, ender);
}

/* ---- changes of interest ---- */

/* What is watched flips while data arrives, before and after the waits. */
static void check_change(uint32_t events_max, bool wait_between)
{
    struct rig rig;
    pal_sock a, b;
    char in[8];

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    for (int i = 0; i < 20; i++) {
        rig_watch(&rig, b, PAL_IN, WATCH);
        if (wait_between)
            rig_silent_but_once(&rig, WATCH, 2);
        rig_watch(&rig, b, PAL_OUT, WATCH);
        send_all(a, "x", 1);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT, "data shows though only room is asked for");
        if (wait_between)
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        rig_watch(&rig, b, PAL_IN, WATCH);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN, "what came under another interest is lost");
        cr_assert_eq(pal_sock_recv(b, in, sizeof(in), 0), 1);
    }
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_09_level, data_arriving_under_changing_interest_is_never_lost_nor_misreported)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_change(events_max, false);
        check_change(events_max, true);
    }
}

Test(rule_09_level, unwatched_socket_is_silent_and_loses_nothing)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_OUT, WATCH);
        (void)rig_until_ready(&rig, WATCH, PAL_OUT);
        rig_unwatch(&rig, b);
        send_all(a, "x", 1);
        rig_silent(&rig, WATCH, 5);
        rig_silent(&rig, 0, 5);
        rig_watch(&rig, b, PAL_IN, WATCH);
        (void)rig_until_ready(&rig, WATCH, PAL_IN);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* The waits have nothing to return, so that a paused socket costs no turns: hole 10 is a spin. */
static void check_paused(uint32_t events_max, uint32_t interest, bool reset)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, interest, WATCH);
    (void)rig_turn(&rig, 0);
    rig_unwatch(&rig, b);
    if (reset)
        close_with_reset(a);
    else
        assert_error(pal_sock_close(a), 0);
    assert_error(pal_flush(rig.poll), 0);
    for (int i = 0; i < 100; i++)
        assert_error(rig_turn(&rig, MILLISECOND_NS), 0);
    assert_error(pal_sock_close(b), 0);
    rig_close(&rig);
}

Test(rule_09_level, nothing_is_reported_of_a_paused_socket_whose_peer_goes)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_paused(events_max, PAL_IN, true);
        check_paused(events_max, PAL_OUT, true);
        check_paused(events_max, PAL_IN | PAL_RDHUP, false);
    }
}

/* ---- ONCE and EDGE ---- */

Test(rule_09_level, once_is_one_event_and_then_unwatched)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_ONCE, WATCH);
        rig_silent(&rig, WATCH, 3);
        for (int i = 0; i < 3; i++) {
            send_all(a, "x", 1);
            (void)rig_until_ready(&rig, WATCH, PAL_IN);
            rig_silent(&rig, WATCH, 5);
            rig_watch(&rig, b, PAL_IN | PAL_ONCE, WATCH);
            (void)rig_until_ready(&rig, WATCH, PAL_IN);
            rig_silent(&rig, WATCH, 5);
            cr_assert_eq(pal_sock_recv(b, &byte, 1, 0), 1);
            rig_watch(&rig, b, PAL_IN | PAL_ONCE, WATCH);
        }
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_level, socket_whose_once_is_used_up_is_idle)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_ONCE, WATCH);
        send_all(a, "xy", 2);
        (void)rig_until_ready(&rig, WATCH, PAL_IN);
        op = op_recv(b, OTHER, &byte, 1);
        cr_assert_eq(rig_perform(&rig, &op), 1);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_level, edge_is_one_event_an_arrival_or_refused)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char in[8];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        if (!has_caps(PAL_CAP_EDGE)) {
            assert_error(pal_watch(rig.poll, b, PAL_IN | PAL_EDGE, WATCH), PAL_ENOTSUP);
            cr_assert_neq(pal_reason()[0], '\0');
            rig_watch(&rig, b, PAL_IN, WATCH); /* the refusal has left nothing behind */
        } else {
            rig_watch(&rig, b, PAL_IN | PAL_EDGE, WATCH);
            for (int i = 0; i < 3; i++) {
                send_all(a, "x", 1);
                (void)rig_until_ready(&rig, WATCH, PAL_IN);
                rig_silent(&rig, WATCH, 5);
            }
            cr_assert_eq(pal_sock_recv(b, in, sizeof(in), 0), 3);
            rig_silent(&rig, WATCH, 3);
            rig_watch(&rig, b, PAL_IN, WATCH); /* back to levels */
            send_all(a, "x", 1);
            for (int i = 0; i < 5; i++)
                (void)rig_until_ready(&rig, WATCH, PAL_IN);
        }
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* ---- refusals ---- */

Test(rule_09_level, interest_that_means_nothing_is_refused)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_watch(rig.poll, b, PAL_LEASE, WATCH), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, b, PAL_OUT | PAL_LEASE, WATCH), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, b, 0x80000000, WATCH), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, b, PAL_IN | 0x10000, WATCH), PAL_EINVAL);
    send_all(a, "x", 1);
    rig_silent(&rig, WATCH, 2);
    pair_close(a, b);
    rig_close(&rig);
}
