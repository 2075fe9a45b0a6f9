/* Rule 8 where a socket changes its place: a move to another poll, a release and a duplicate touch no event but its
 * own, and none of its own is lost on the way. Also that the state which ends a stream, or lets an op go on, is told by
 * whatever way is being listened to (rules 2 and 9). */
#include "conformance.h"

enum { WATCH = 5, OTHER = 6, OP = 7 };

/* ---- moves ---- */

Test(rule_08_moves, moved_socket_strikes_out_no_event_of_another)
{
    if (!has_caps(PAL_CAP_MOVE))
        test_skip("move", "sockets of this backend stay on their poll");
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig first, second;
        pal_sock a, b, c, d;

        rig_open(&first, events_max);
        rig_open(&second, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        pair_open(PAIR_TCP4, &c, &d);
        rig_watch(&first, a, PAL_IN, WATCH);
        send_all(b, "x", 1);
        (void)rig_until_ready(&first, WATCH, PAL_IN);
        cr_assert_eq(pal_watch(first.poll, a, 0, WATCH), 0); /* the data of a watch that ends means nothing */
        rig_watch(&second, c, PAL_IN | PAL_ONCE, WATCH);     /* the same data, in the same place of another array */
        send_all(d, "x", 1);
        (void)rig_until_ready(&second, WATCH, PAL_IN);
        rig_watch(&second, a, PAL_IN, WATCH);
        rig_unwatch(&second, a);
        cr_assert_not_null(rig_find(&second, WATCH), "the only event of another socket is struck out");
        pair_close(a, b);
        pair_close(c, d);
        rig_close(&second);
        rig_close(&first);
    }
}

/* ---- release ---- */

Test(rule_08_moves, release_strikes_out_the_event_of_a_watch_that_ended_by_itself)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        intptr_t native;
        int error;

        rig_open(&rig, events_max);
        pair_open(native_kind(PAIR_TCP4), &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_ONCE, WATCH);
        send_all(a, "x", 1);
        (void)rig_until_ready(&rig, WATCH, PAL_IN);
        error = pal_sock_release(b, &native);
        if (error == PAL_ENOTSUP)
            test_skip("native", "%s", pal_reason());
        assert_error(error, 0);
        cr_assert_null(rig_find(&rig, WATCH), "the event of a released socket stands");
        assert_error(pal_sock_adopt(native, 0, &b), 0);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* ---- duplicates ---- */

/* A fresh TCP socket and a duplicate of it. */
static void twins_open(pal_sock *original, pal_sock *duplicate)
{
    int error;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, original), 0);
    error = pal_sock_dup(*original, duplicate);
    if (error == PAL_ENOTSUP)
        test_skip("dup", "%s", pal_reason());
    assert_error(error, 0);
}

static void begin_connect(pal_sock sock, const struct pal_addr *addr)
{
    int error = pal_sock_connect(sock, addr);

    cr_assert(error == 0 || error == PAL_EINPROGRESS, "connect: %s", pal_error_name(error));
}

/* One of two twins connects, the other is watched, and tells it. */
static void one_connects_the_other_reports(int connecting, bool watched_before)
{
    struct rig rig;
    struct pal_addr addr;
    pal_sock listener, accepted, twins[2], watched;

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    twins_open(&twins[0], &twins[1]);
    watched = twins[!connecting];
    if (watched_before) {
        rig_watch(&rig, watched, PAL_OUT, WATCH);
        rig_silent(&rig, WATCH, 3);
    }
    begin_connect(twins[connecting], &addr);
    accepted = accept_one(listener);
    if (!watched_before)
        rig_watch(&rig, watched, PAL_OUT, WATCH);
    (void)rig_until_ready(&rig, WATCH, PAL_OUT);
    rig_unwatch(&rig, watched);
    pair_close(twins[0], twins[1]);
    pair_close(listener, accepted);
    rig_close(&rig);
}

Test(rule_08_moves, duplicate_of_a_fresh_socket_that_is_watched_afterwards_reports_the_connection)
{
    one_connects_the_other_reports(0, false);
    one_connects_the_other_reports(1, false);
}

Test(rule_08_moves, duplicate_of_a_fresh_socket_that_is_watched_before_reports_the_connection)
{
    one_connects_the_other_reports(0, true);
    one_connects_the_other_reports(1, true);
}

Test(rule_08_moves, duplicate_of_a_fresh_socket_reports_connections_once_the_original_listens)
{
    struct rig rig;
    struct pal_addr addr;
    pal_sock listener, duplicate, client, accepted;

    rig_open(&rig, 2);
    twins_open(&listener, &duplicate);
    assert_error(pal_addr_set_loopback(&addr, PAL_AF_INET, 0), 0);
    assert_error(pal_sock_bind(listener, &addr), 0);
    assert_error(pal_sock_listen(listener, 4), 0);
    assert_error(pal_sock_name(listener, PAL_NAME_LOCAL, &addr), 0);
    rig_watch(&rig, duplicate, PAL_IN, WATCH);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    begin_connect(client, &addr);
    (void)rig_until_ready(&rig, WATCH, PAL_IN);
    accepted = accept_one(duplicate);
    rig_unwatch(&rig, duplicate);
    pair_close(client, accepted);
    pair_close(listener, duplicate);
    rig_close(&rig);
}

/* ---- the end of a stream, by lease ---- */

enum { LEASE_SIZE = 64, LEASES = 4 };

/* Takes leases, as many as come at once, until there are none; returns what there was instead. */
static int take_to_the_end(struct rig *rig, pal_sock sock)
{
    int result = PAL_EAGAIN;

    for (int i = 0; i < 100 && (result > 0 || result == PAL_EAGAIN); i++) {
        struct pal_lease leases[LEASES];

        if (result == PAL_EAGAIN)
            (void)rig_until(rig, WATCH, PAL_EV_READY);
        result = pal_lease_recv(sock, leases, LEASES);
        if (result > 0)
            pal_lease_release(rig->poll, leases, result);
    }
    return result;
}

Test(rule_08_moves, reset_behind_leases_is_no_orderly_end)
{
    static const uint32_t sizes[] = {0, 1, LEASE_SIZE, LEASE_SIZE + 1, 2 * LEASE_SIZE, LEASES * LEASE_SIZE};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        static const char bytes[LEASES * LEASE_SIZE] = {0};
        struct rig rig;
        struct pal_config config;
        pal_sock a, b;

        memset(&config, 0, sizeof(config));
        config.lease_count = LEASES;
        config.lease_size = LEASE_SIZE;
        rig_open_config(&rig, &config);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_LEASE, WATCH);
        send_all(a, bytes, sizes[i]);
        if (sizes[i] > 0)
            (void)rig_until_ready(&rig, WATCH, PAL_IN);
        close_with_reset(a);
        (void)rig_until_ready(&rig, WATCH, PAL_HUP | PAL_ERR); /* both are there: data and reset */
        assert_error(take_to_the_end(&rig, b), PAL_ECONNRESET);
        rig_unwatch(&rig, b);
        assert_error(pal_sock_close(b), 0);
        rig_close(&rig);
    }
}

/* ---- a watch and an op on one socket, and room for one event more ---- */

/* The op can go on, its socket's watch and another socket's have something to tell: three events, room for two. */
static void op_ends_beside_a_watch(uint32_t events_max, uint32_t edge, bool other_is_read)
{
    struct rig rig;
    struct pal_op op;
    pal_sock a, b, c, d;
    char byte;

    rig_open(&rig, events_max);
    pair_open(pair_kind_bounded(), &a, &b);
    pair_open(pair_kind_bounded(), &c, &d);
    (void)fill(a);
    op = op_send(a, OP, "0123456789", 10);
    rig_submit(&rig, &op);
    rig_watch(&rig, a, PAL_IN | edge, WATCH);
    rig_watch(&rig, c, PAL_IN, OTHER);
    (void)rig_turn(&rig, MILLISECOND_NS);
    (void)drain(b);
    send_all(b, "x", 1);
    send_all(d, "x", 1);
    for (int i = 0; i < 500 && rig_kept(&rig, OP) == 0; i++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        if (other_is_read && rig_find(&rig, OTHER) != NULL)
            (void)pal_sock_recv(c, &byte, 1, 0);
    }
    cr_assert_eq(rig_kept(&rig, OP), 1, "the op does not end, though there is room");
    cr_assert_eq(rig_outcome(&rig, &op), 10);
    rig_unwatch(&rig, a);
    rig_unwatch(&rig, c);
    pair_close(a, b);
    pair_close(c, d);
    rig_close(&rig);
}

Test(rule_08_moves, op_beside_a_watch_ends_however_small_the_array)
{
    FOR_EACH_EVENTS_MAX(events_max)
    op_ends_beside_a_watch(events_max, 0, true);
}

Test(rule_08_moves, op_beside_an_edge_triggered_watch_ends_however_small_the_array)
{
    FOR_EACH_EVENTS_MAX(events_max)
    op_ends_beside_a_watch(events_max, has_caps(PAL_CAP_EDGE) ? PAL_EDGE : 0, true);
}

Test(rule_08_moves, op_beside_a_watch_ends_while_another_socket_stays_ready)
{
    FOR_EACH_EVENTS_MAX(events_max)
    op_ends_beside_a_watch(events_max, 0, false);
}

Test(rule_08_moves, op_beside_an_edge_triggered_watch_ends_while_another_socket_stays_ready)
{
    FOR_EACH_EVENTS_MAX(events_max)
    op_ends_beside_a_watch(events_max, has_caps(PAL_CAP_EDGE) ? PAL_EDGE : 0, false);
}
