/* rule_07_close.c: rule 7: close requires an idle socket; the handle is dead on return; what the peer sees, and the
 * freed port, follow by the next wait or flush, in program order before any later bind. */
#include "conformance.h"

enum { OP = 1, WATCH = 2, ROOM = 64 };

/* ---- idle ---- */

Test(rule_07_close, watched_socket_is_not_closed)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN, WATCH);
        assert_error(pal_sock_close(b), PAL_EBUSY);
        cr_assert_neq(pal_reason()[0], '\0', "no word of why");
        send_all(a, "x", 1);
        (void)rig_until_ready(&rig, WATCH, PAL_IN);
        assert_error(pal_sock_close(b), PAL_EBUSY);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_07_close, socket_with_a_reading_op_is_not_closed)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char in[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, in, sizeof(in));
        rig_submit(&rig, &op);
        assert_error(pal_sock_close(b), PAL_EBUSY);
        send_all(a, "abc", 3);
        cr_assert_eq(rig_outcome(&rig, &op), 3, "a refused close has done something");
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_07_close, socket_with_a_writing_op_is_not_closed)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;

        rig_open(&rig, events_max);
        pair_open(pair_kind_bounded(), &a, &b);
        (void)fill(b);
        op = op_send(b, OP, "x", 1);
        rig_submit(&rig, &op);
        assert_error(pal_sock_close(b), PAL_EBUSY);
        (void)drain(a);
        cr_assert_eq(rig_outcome(&rig, &op), 1);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_07_close, poll_with_a_watch_or_an_op_is_not_closed)
{
    struct rig rig;
    pal_sock a, b;
    struct pal_op op;
    char in[ROOM];

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_IN, WATCH);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    rig_unwatch(&rig, b);
    op = op_recv(b, OP, in, sizeof(in));
    rig_submit(&rig, &op);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    rig_cancel(&rig, &op);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- the handle ---- */

static void assert_dead(struct rig *rig, pal_sock sock)
{
    char byte = 0;
    struct pal_op op = op_recv(sock, OP, &byte, 1);
    int32_t value = 0;
    size_t size = sizeof(value);

    assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_EBADF);
    assert_error(pal_sock_send(sock, &byte, 1, 0), PAL_EBADF);
    assert_error(pal_sock_get(sock, PAL_SO_ERROR, &value, &size), PAL_EBADF);
    assert_error(pal_sock_shutdown(sock, PAL_SHUT_RDWR), PAL_EBADF);
    assert_error(pal_watch(rig->poll, sock, PAL_IN, WATCH), PAL_EBADF);
    assert_error(pal_watch(rig->poll, sock, 0, 0), PAL_EBADF);
    assert_error(pal_submit(rig->poll, &op), PAL_EBADF);
    assert_error(pal_sock_close(sock), PAL_EBADF);
}

Test(rule_07_close, handle_is_dead_on_return_and_stays_dead)
{
    struct rig rig;
    pal_sock a, b, c, d;

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    pair_close(a, b);
    assert_dead(&rig, b);
    for (int i = 0; i < 100; i++) { /* its slot lives again, and again */
        pair_open(PAIR_TCP4, &c, &d);
        cr_assert(c.id != b.id && d.id != b.id && c.id != a.id && d.id != a.id, "a dead handle was given out again");
        pair_close(c, d);
    }
    assert_dead(&rig, b);
    cr_assert_eq(sock_until(b, PAL_IN), PAL_NVAL);
    assert_dead(&rig, (pal_sock){0});
    rig_close(&rig);
}

/* ---- what the peer sees ---- */

static void check_peer_sees_the_end(uint32_t events_max, uint32_t interest)
{
    struct rig rig;
    pal_sock a, b;
    char in[ROOM];

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, interest, WATCH);
    (void)rig_turn(&rig, MILLISECOND_NS);
    rig_unwatch(&rig, b);
    assert_error(pal_sock_close(b), 0);
    (void)rig_turn(&rig, 0);
    cr_assert_eq(sock_until(a, PAL_IN) & PAL_IN, PAL_IN, "the peer never learns of the close");
    assert_error(pal_sock_recv(a, in, sizeof(in), 0), 0);
    assert_error(pal_sock_close(a), 0);
    rig_close(&rig);
}

Test(rule_07_close, peer_sees_the_end_after_one_wait_without_further_traffic)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_peer_sees_the_end(events_max, PAL_IN);
        check_peer_sees_the_end(events_max, PAL_OUT);
        check_peer_sees_the_end(events_max, PAL_IN | PAL_LEASE);
    }
}

Test(rule_07_close, peer_sees_the_end_after_a_flush)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char in[ROOM];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, in, sizeof(in));
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        assert_error(pal_sock_close(b), 0);
        assert_error(pal_flush(rig.poll), 0);
        cr_assert_eq(sock_until(a, PAL_IN) & PAL_IN, PAL_IN, "the peer never learns of the close");
        assert_error(pal_sock_recv(a, in, sizeof(in), 0), 0);
        assert_error(pal_sock_close(a), 0);
        rig_close(&rig);
    }
}

Test(rule_07_close, what_was_sent_arrives_before_the_end)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        uint64_t sent;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        sent = fill(b);
        assert_error(pal_sock_close(b), 0);
        (void)rig_turn(&rig, 0);
        cr_assert_eq(drain_to_end(a), sent);
        assert_error(pal_sock_close(a), 0);
        rig_close(&rig);
    }
}

/* ---- the port ---- */

/* Closes it, in the turn of the cancel if the backend allows that, else when the event has been seen. */
static void close_after_cancel(struct rig *rig, struct pal_op *op)
{
    int error;

    rig_cancel(rig, op);
    error = pal_sock_close(op->sock);
    cr_assert(error == 0 || error == PAL_EBUSY, "%s", pal_error_name(error));
    if (error == 0)
        return;
    assert_error(rig_outcome(rig, op), PAL_ECANCELED);
    assert_error(pal_sock_close(op->sock), 0);
}

/* A connection to the address reaches this listener and no other. */
static void assert_reaches(pal_sock listener, const struct pal_addr *addr)
{
    pal_sock a, b;
    char in[ROOM];

    connect_to(listener, addr, &a, &b);
    send_all(b, "new", 3);
    cr_assert_eq(sock_until(a, PAL_IN), PAL_IN);
    cr_assert_eq(pal_sock_recv(a, in, sizeof(in), 0), 3);
    pair_close(a, b);
}

Test(rule_07_close, closed_listener_refuses_and_its_port_is_free)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, heir, none = {0};
        struct pal_addr addr;
        struct pal_op op;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        op = op_accept(listener, OP, &none);
        rig_submit(&rig, &op);
        (void)rig_turn(&rig, 0);
        close_after_cancel(&rig, &op);
        assert_error(pal_flush(rig.poll), 0);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &heir), 0);
        assert_error(pal_sock_bind(heir, &addr), 0);
        assert_error(pal_sock_listen(heir, 8), 0);
        assert_reaches(heir, &addr);
        cr_assert_eq(none.id, 0, "the closed listener has accepted");
        for (int i = 0; i < 2; i++)
            (void)rig_turn(&rig, 0);
        assert_error(pal_sock_close(heir), 0);
        rig_close(&rig);
    }
}

Test(rule_07_close, bind_after_close_needs_no_wait_between)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock listener, heir;
        struct pal_addr addr;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &addr);
        rig_watch(&rig, listener, PAL_IN, WATCH);
        (void)rig_turn(&rig, 0);
        rig_unwatch(&rig, listener);
        assert_error(pal_sock_close(listener), 0);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &heir), 0);
        assert_error(pal_sock_bind(heir, &addr), 0);
        assert_error(pal_sock_listen(heir, 8), 0);
        assert_reaches(heir, &addr);
        assert_error(pal_sock_close(heir), 0);
        rig_close(&rig);
    }
}

Test(rule_07_close, connection_to_a_closed_listener_is_refused)
{
    struct rig rig;
    pal_sock listener, sock;
    struct pal_addr addr;
    struct pal_op op;

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_close(listener), 0);
    assert_error(pal_flush(rig.poll), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock), 0);
    assert_error(pal_sock_bind(sock, &addr), 0); /* nobody else gets the port; it is not listening */
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &listener), 0);
    op = op_connect(listener, OP, &addr);
    assert_error(rig_perform(&rig, &op), PAL_ECONNREFUSED);
    pair_close(sock, listener);
    rig_close(&rig);
}
