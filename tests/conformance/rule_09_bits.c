/* rule_09_bits.c: rule 9: what the bits say where a connection begins and ends: fresh sockets never READY, refusal,
 * half close, reset, hang-up, urgent data. ERR and HUP imply every watched bit; RDHUP and PRI come only when asked. */
#include "conformance.h"

enum { WATCH = 1, OP = 2, NEW = 3 };

/* ---- before there is a connection ---- */

static pal_sock stream_open(void)
{
    pal_sock sock;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock), 0);
    return sock;
}

static void assert_never_ready(struct rig *rig, pal_sock sock)
{
    struct pal_wait item = {sock, PAL_IN | PAL_OUT | PAL_RDHUP, 0, 0};

    rig_silent(rig, WATCH, 5);
    cr_assert_eq(pal_sock_wait(&item, 1, 0), 0, "ready: %#x", item.ready);
}

Test(rule_09_bits, fresh_stream_socket_is_never_ready)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock sock;

        rig_open(&rig, events_max);
        sock = stream_open();
        rig_watch(&rig, sock, PAL_IN | PAL_OUT | PAL_RDHUP, WATCH);
        assert_never_ready(&rig, sock);
        rig_unwatch(&rig, sock);
        assert_error(pal_sock_close(sock), 0);
        rig_close(&rig);
    }
}

Test(rule_09_bits, bound_stream_socket_is_never_ready_until_it_listens)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock sock, a, b;
        struct pal_addr addr;

        rig_open(&rig, events_max);
        sock = stream_open();
        rig_watch(&rig, sock, PAL_IN | PAL_OUT, WATCH);
        assert_error(pal_addr_set_loopback(&addr, PAL_AF_INET, 0), 0);
        assert_error(pal_sock_bind(sock, &addr), 0);
        assert_never_ready(&rig, sock);
        assert_error(pal_sock_listen(sock, 8), 0);
        assert_never_ready(&rig, sock);
        assert_error(pal_sock_name(sock, PAL_NAME_LOCAL, &addr), 0);
        connect_to(sock, &addr, &a, &b);
        pair_close(a, b);
        a = stream_open();
        (void)pal_sock_connect(a, &addr);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN);
        rig_unwatch(&rig, sock);
        pair_close(a, sock);
        rig_close(&rig);
    }
}

Test(rule_09_bits, socket_watched_before_it_connects_reports_the_connection)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock sock, listener, b;
        struct pal_addr addr;
        int error;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        sock = stream_open();
        rig_watch(&rig, sock, PAL_IN | PAL_OUT, WATCH);
        rig_silent(&rig, WATCH, 3);
        error = pal_sock_connect(sock, &addr);
        cr_assert(error == 0 || error == PAL_EINPROGRESS, "%s", pal_error_name(error));
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        b = accept_one(listener);
        send_all(b, "x", 1);
        cr_assert_eq(rig_until_ready(&rig, WATCH, PAL_IN).ready, PAL_IN | PAL_OUT);
        rig_unwatch(&rig, sock);
        pair_close(sock, b);
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}

/* ---- refusal ---- */

/* A socket that holds a port and does not listen: connections to it are refused. */
static pal_sock wall_open(struct pal_addr *addr)
{
    pal_sock wall = stream_open();

    assert_error(pal_addr_set_loopback(addr, PAL_AF_INET, 0), 0);
    assert_error(pal_sock_bind(wall, addr), 0);
    assert_error(pal_sock_name(wall, PAL_NAME_LOCAL, addr), 0);
    return wall;
}

static int32_t outcome_of(pal_sock sock)
{
    int32_t outcome = 0;
    size_t size = sizeof(outcome);

    assert_error(pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size), 0);
    return outcome;
}

/* Refused by one address, a second one is tried with a new socket. */
static void assert_second_address_works(struct rig *rig)
{
    pal_sock listener, sock, b;
    struct pal_addr addr;
    struct pal_op op;

    listener_open(PAL_AF_INET, &listener, &addr);
    sock = stream_open();
    op = op_connect(sock, NEW, &addr);
    assert_error(rig_perform(rig, &op), 0);
    b = accept_one(listener);
    pair_close(sock, b);
    assert_error(pal_sock_close(listener), 0);
}

Test(rule_09_bits, refused_connect_is_one_error_by_watch)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_addr addr;
        pal_sock wall, sock;
        int error;

        rig_open(&rig, events_max);
        wall = wall_open(&addr);
        sock = stream_open();
        error = pal_sock_connect(sock, &addr);
        if (error == PAL_EINPROGRESS) {
            rig_watch(&rig, sock, PAL_OUT, WATCH);
            cr_assert(rig_until(&rig, WATCH, PAL_EV_READY).ready & PAL_OUT, "an error implies what is watched");
            rig_unwatch(&rig, sock);
            error = outcome_of(sock);
        }
        assert_error(error, PAL_ECONNREFUSED);
        assert_error(outcome_of(sock), 0);
        assert_error(pal_sock_connect(sock, &addr), PAL_EINVAL);
        assert_error(pal_sock_close(sock), 0);
        assert_second_address_works(&rig);
        assert_error(pal_sock_close(wall), 0);
        rig_close(&rig);
    }
}

Test(rule_09_bits, refused_connect_is_one_error_by_op)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_addr addr;
        pal_sock wall, sock;
        struct pal_op op;

        rig_open(&rig, events_max);
        wall = wall_open(&addr);
        sock = stream_open();
        op = op_connect(sock, OP, &addr);
        assert_error(rig_perform(&rig, &op), PAL_ECONNREFUSED);
        rig_silent(&rig, OP, 3);
        assert_error(outcome_of(sock), 0);
        assert_error(pal_sock_connect(sock, &addr), PAL_EINVAL);
        assert_error(pal_sock_close(sock), 0);
        assert_second_address_works(&rig);
        assert_error(pal_sock_close(wall), 0);
        rig_close(&rig);
    }
}

Test(rule_09_bits, refused_connect_whose_error_a_try_took_leaves_only_close)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_addr addr;
        pal_sock wall, sock;
        struct pal_op op;
        int32_t result;
        char byte;

        rig_open(&rig, events_max);
        wall = wall_open(&addr);
        sock = stream_open();
        op = op_connect(sock, OP, &addr);
        if (pal_submit(rig.poll, &op) == 0) {
            for (int i = 0; i < 500 && !(sock_until(sock, PAL_OUT) & (PAL_OUT | PAL_ERR)); i++)
                continue;
            assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_ECONNREFUSED);
            result = rig_outcome(&rig, &op);
            cr_assert(result == PAL_ENOTCONN || result == PAL_ECONNREFUSED, "%s", pal_error_name(result));
        }
        assert_error(pal_sock_connect(sock, &addr), PAL_EINVAL);
        cr_assert_neq(pal_reason()[0], '\0');
        assert_error(pal_sock_close(sock), 0);
        assert_error(pal_sock_close(wall), 0);
        rig_close(&rig);
    }
}

/* ---- the end ---- */

Test(rule_09_bits, end_of_stream_is_readable_in_every_wait)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN, WATCH);
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        for (int i = 0; i < 5; i++) {
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN, "RDHUP was not asked for");
            assert_error(pal_sock_recv(b, &byte, 1, 0), 0);
        }
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_bits, rdhup_is_reported_when_asked_for)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_RDHUP, WATCH);
        send_all(a, "x", 1);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN);
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        cr_assert_eq(rig_until_ready(&rig, WATCH, PAL_RDHUP).ready, PAL_IN | PAL_RDHUP);
        cr_assert_eq(pal_sock_recv(b, &byte, 1, 0), 1, "data before the end stays readable");
        rig_watch(&rig, b, PAL_RDHUP, WATCH);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_RDHUP);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_09_bits, half_closed_socket_still_reports_room)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
        rig_watch(&rig, b, PAL_OUT, WATCH);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

static void check_reset(uint32_t events_max, uint16_t interest)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_event event;

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    if (interest == PAL_OUT)
        (void)fill(b);
    rig_watch(&rig, b, interest, WATCH);
    (void)rig_turn(&rig, 0);
    close_with_reset(a);
    event = rig_until_ready(&rig, WATCH, PAL_ERR | PAL_HUP);
    cr_assert_eq(event.ready & interest, interest, "ERR and HUP imply every watched bit: %#x", event.ready);
    assert_error(outcome_of(b), PAL_ECONNRESET);
    rig_unwatch(&rig, b);
    assert_error(pal_sock_close(b), 0);
    rig_close(&rig);
}

Test(rule_09_bits, reset_implies_every_watched_bit)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_reset(events_max, PAL_IN);
        check_reset(events_max, PAL_OUT);
        check_reset(events_max, PAL_IN | PAL_OUT | PAL_RDHUP);
    }
}

Test(rule_09_bits, hang_up_of_a_pipe_is_readable)
{
    if (!has_caps(PAL_CAP_WATCH_PIPE))
        test_skip("watch-pipe", "pipes cannot be watched on this backend");
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock ends[2];
        char byte;

        rig_open(&rig, events_max);
        assert_error(pal_pipe(ends, 0), 0);
        rig_watch(&rig, ends[0], PAL_IN, WATCH);
        rig_silent(&rig, WATCH, 3);
        assert_error(pal_sock_close(ends[1]), 0);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready & PAL_IN, PAL_IN);
        assert_error(pal_sock_recv(ends[0], &byte, 1, 0), 0);
        rig_unwatch(&rig, ends[0]);
        assert_error(pal_sock_close(ends[0]), 0);
        rig_close(&rig);
    }
}

Test(rule_09_bits, broken_pipe_is_writable)
{
    if (!has_caps(PAL_CAP_WATCH_PIPE))
        test_skip("watch-pipe", "pipes cannot be watched on this backend");
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock ends[2];

        rig_open(&rig, events_max);
        assert_error(pal_pipe(ends, 0), 0);
        (void)fill(ends[1]);
        rig_watch(&rig, ends[1], PAL_OUT, WATCH);
        rig_silent(&rig, WATCH, 3);
        assert_error(pal_sock_close(ends[0]), 0);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready & PAL_OUT, PAL_OUT);
        rig_unwatch(&rig, ends[1]);
        assert_error(pal_sock_close(ends[1]), 0);
        rig_close(&rig);
    }
}

/* ---- errors of datagrams ---- */

Test(rule_09_bits, bounced_datagram_is_reported_until_it_is_read)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock sock, wall;
        struct pal_addr addr;
        struct pal_event event;
        char byte;

        rig_open(&rig, events_max);
        pair_open(PAIR_UDP4, &sock, &wall);
        assert_error(pal_sock_name(wall, PAL_NAME_LOCAL, &addr), 0);
        assert_error(pal_sock_connect(wall, &addr), 0); /* it takes nothing from others now */
        rig_watch(&rig, sock, PAL_IN, WATCH);
        cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
        event = rig_until(&rig, WATCH, PAL_EV_READY);
        cr_assert_eq(event.ready, PAL_IN | PAL_ERR, "%#x", event.ready);
        assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_ECONNREFUSED);
        rig_silent_but_once(&rig, WATCH, 5);
        assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_EAGAIN);
        rig_unwatch(&rig, sock);
        pair_close(sock, wall);
        rig_close(&rig);
    }
}

/* ---- urgent data ---- */

static void check_urgent(uint32_t events_max)
{
    struct rig rig;
    pal_sock a, b;
    char byte = 0;
    int32_t sent;

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_PRI, WATCH);
    send_all(a, "n", 1);
    rig_silent(&rig, WATCH, 3);
    sent = pal_sock_send(a, "u", 1, PAL_MSG_OOB);
    if (sent == 1) { /* a backend without urgent data refuses to send it */
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_PRI);
        rig_watch(&rig, b, PAL_IN, WATCH);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_READY).ready, PAL_IN, "PRI was not asked for");
        cr_assert_eq(pal_sock_recv(b, &byte, 1, PAL_MSG_OOB), 1);
        cr_assert_eq(byte, 'u');
    } else {
        assert_error(sent, PAL_ENOTSUP);
    }
    cr_assert_eq(pal_sock_recv(b, &byte, 1, 0), 1);
    cr_assert_eq(byte, 'n', "urgent data is out of band");
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_09_bits, urgent_data_is_reported_to_those_who_ask)
{
    FOR_EACH_EVENTS_MAX(events_max)
    check_urgent(events_max);
}
