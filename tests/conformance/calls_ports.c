/* calls_ports.c: who may have which address beside whom: an address in use, PAL_SO_REUSEADDR and REUSEPORT, IPv4 and
 * IPv6 on one port. */
#include "calls_common.h"

static pal_sock bind_again(int type, const struct pal_addr *addr, uint32_t option, int expected)
{
    pal_sock sock = sock_open(addr->family, type);
    int error;

    if (option != 0)
        option_set(sock, option, 1);
    error = pal_sock_bind(sock, addr);
    cr_assert(error == expected, "bind is %s, not %s", pal_error_name(error), pal_error_name(expected));
    return sock;
}

Test(calls_ports, an_address_has_one_socket)
{
    static const int types[] = {PAL_SOCK_STREAM, PAL_SOCK_DGRAM};

    for (int i = 0; i < 2; i++) {
        struct pal_addr addr, any;
        pal_sock first = sock_bound(PAL_AF_INET, types[i], &addr);
        pal_sock second = bind_again(types[i], &addr, 0, PAL_EADDRINUSE);
        pal_sock third;

        any = any_address(PAL_AF_INET, addr.port);
        third = bind_again(types[i], &any, 0, PAL_EADDRINUSE);
        sock_close(first);
        assert_error(pal_sock_bind(second, &addr), 0);
        pair_close(second, third);
    }
}

Test(calls_ports, tcp_and_udp_do_not_share_ports)
{
    struct pal_addr addr;
    pal_sock stream = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, &addr);
    pal_sock datagram = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    int error = pal_sock_bind(datagram, &addr); /* another test's socket may have it */

    cr_assert(error == 0 || error == PAL_EADDRINUSE, "%s", pal_error_name(error));
    pair_close(stream, datagram);
}

Test(calls_ports, a_listeners_address_is_not_reused_while_it_listens)
{
    struct pal_addr addr = loopback(PAL_AF_INET, 0);
    pal_sock first = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock second;

    option_set(first, PAL_SO_REUSEADDR, 1);
    assert_error(pal_sock_bind(first, &addr), 0);
    addr = name_of(first, PAL_NAME_LOCAL);
    assert_error(pal_sock_listen(first, 1), 0);
    second = bind_again(PAL_SOCK_STREAM, &addr, PAL_SO_REUSEADDR, PAL_EADDRINUSE);
    pair_close(first, second);
}

/* The end that closes first keeps the address for a while after the connection (RFC 9293, TIME-WAIT). */
Test(calls_ports, an_address_of_a_past_connection_is_reused_when_asked)
{
    struct pal_addr addr = loopback(PAL_AF_INET, 0);
    pal_sock listener = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock client, served, again;

    option_set(listener, PAL_SO_REUSEADDR, 1);
    assert_error(pal_sock_bind(listener, &addr), 0);
    addr = name_of(listener, PAL_NAME_LOCAL);
    assert_error(pal_sock_listen(listener, 1), 0);
    connect_to(listener, &addr, &client, &served);
    sock_close(served);
    expect_end(client);
    pair_close(client, listener);
    again = bind_again(PAL_SOCK_STREAM, &addr, PAL_SO_REUSEADDR, 0);
    assert_error(pal_sock_listen(again, 1), 0);
    connect_to(again, &addr, &client, &served);
    expect_connected(client, served);
    pair_close(client, served);
    sock_close(again);
}

static void require_reuseport(int type)
{
    pal_sock sock = sock_open(PAL_AF_INET, type);
    int error = option_try(sock, PAL_SO_REUSEPORT, 1);

    sock_close(sock);
    if (error == PAL_ENOTSUP)
        test_skip("reuseport", "this stack does not share ports");
    assert_error(error, 0);
}

Test(calls_ports, a_shared_port_is_for_those_who_all_ask)
{
    struct pal_addr addr = loopback(PAL_AF_INET, 0);
    pal_sock first, second, third;

    require_reuseport(PAL_SOCK_DGRAM);
    first = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    option_set(first, PAL_SO_REUSEPORT, 1);
    assert_error(pal_sock_bind(first, &addr), 0);
    addr = name_of(first, PAL_NAME_LOCAL);
    second = bind_again(PAL_SOCK_DGRAM, &addr, PAL_SO_REUSEPORT, 0);
    third = bind_again(PAL_SOCK_DGRAM, &addr, 0, PAL_EADDRINUSE);
    assert_same_address(name_of(second, PAL_NAME_LOCAL), addr);
    pair_close(second, third);
    sock_close(first);
}

/* Accepts or receives all that waits; returns how many. */
static int take_all(pal_sock sock, bool listener)
{
    for (int count = 0;; count++) {
        pal_sock served;
        char byte;
        int result = listener ? pal_sock_accept(sock, &served, NULL) : pal_sock_recv(sock, &byte, 1, 0);

        if (result == PAL_EAGAIN)
            return count;
        cr_assert_geq(result, 0, "%s", pal_error_name(result));
        if (listener)
            sock_close(served);
    }
}

Test(calls_ports, a_shared_port_gives_each_datagram_to_one)
{
    enum { SENDERS = 40 };
    struct pal_addr addr = loopback(PAL_AF_INET, 0);
    pal_sock receivers[2];
    int taken = 0;

    require_reuseport(PAL_SOCK_DGRAM);
    for (int i = 0; i < 2; i++) {
        receivers[i] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
        option_set(receivers[i], PAL_SO_REUSEPORT, 1);
        assert_error(pal_sock_bind(receivers[i], &addr), 0);
        addr = name_of(receivers[i], PAL_NAME_LOCAL);
    }
    for (int i = 0; i < SENDERS; i++) {
        pal_sock sender = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);

        assert_error(send_to(sender, &addr, "x"), 1);
        sock_close(sender);
    }
    for (int i = 0; i < 500 && taken < SENDERS; i++) {
        struct pal_wait items[2] = {{receivers[0], PAL_IN, 0, 0}, {receivers[1], PAL_IN, 0, 0}};

        cr_assert_geq(pal_sock_wait(items, 2, deadline_after(10 * MILLISECOND_NS)), 0);
        taken += take_all(receivers[0], false) + take_all(receivers[1], false);
    }
    cr_assert_eq(taken, SENDERS);
    pair_close(receivers[0], receivers[1]);
}

Test(calls_ports, sharded_listeners_serve_every_connection_once)
{
    enum { CLIENTS = 40 };
    struct pal_addr addr = loopback(PAL_AF_INET, 0);
    pal_sock listeners[2], clients[CLIENTS];
    int taken = 0;

    require_reuseport(PAL_SOCK_STREAM);
    for (int i = 0; i < 2; i++) {
        listeners[i] = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
        option_set(listeners[i], PAL_SO_REUSEPORT, 1);
        assert_error(pal_sock_bind(listeners[i], &addr), 0);
        addr = name_of(listeners[i], PAL_NAME_LOCAL);
        assert_error(pal_sock_listen(listeners[i], CLIENTS), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int error;

        clients[i] = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
        error = pal_sock_connect(clients[i], &addr);
        cr_assert(error == 0 || error == PAL_EINPROGRESS);
        cr_assert(sock_until(clients[i], PAL_OUT) & PAL_OUT);
        assert_error(option_of(clients[i], PAL_SO_ERROR), 0);
    }
    for (int i = 0; i < 500 && taken < CLIENTS; i++) {
        struct pal_wait items[2] = {{listeners[0], PAL_IN, 0, 0}, {listeners[1], PAL_IN, 0, 0}};

        cr_assert_geq(pal_sock_wait(items, 2, deadline_after(10 * MILLISECOND_NS)), 0);
        taken += take_all(listeners[0], true) + take_all(listeners[1], true);
    }
    cr_assert_eq(taken, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        sock_close(clients[i]);
    pair_close(listeners[0], listeners[1]);
}

/* ---- IPv4 and IPv6 on one port ---- */

static pal_sock wildcard_listener(int v6only, uint16_t *port)
{
    struct pal_addr any = any_address(PAL_AF_INET6, 0);
    pal_sock listener = sock_open(PAL_AF_INET6, PAL_SOCK_STREAM);

    option_set(listener, PAL_SO_V6ONLY, v6only);
    cr_assert_eq(option_of(listener, PAL_SO_V6ONLY), v6only);
    assert_error(pal_sock_bind(listener, &any), 0);
    *port = name_of(listener, PAL_NAME_LOCAL).port;
    assert_error(pal_sock_listen(listener, 4), 0);
    return listener;
}

Test(calls_ports, a_dual_stack_listener_hears_both)
{
    pal_sock listener, a, b;
    struct pal_addr addr;
    uint16_t port;

    require_inet6();
    listener = wildcard_listener(0, &port);
    addr = loopback(PAL_AF_INET6, port);
    connect_to(listener, &addr, &a, &b);
    expect_connected(a, b);
    assert_same_address(name_of(b, PAL_NAME_PEER), name_of(a, PAL_NAME_LOCAL));
    pair_close(a, b);

    addr = loopback(PAL_AF_INET, port);
    connect_to(listener, &addr, &a, &b);
    expect_connected(a, b);
    assert_same_address(name_of(b, PAL_NAME_LOCAL), host_address("::ffff:127.0.0.1", port));
    assert_same_address(name_of(b, PAL_NAME_PEER), host_address("::ffff:127.0.0.1", name_of(a, PAL_NAME_LOCAL).port));
    pair_close(a, b);
    sock_close(listener);
}

Test(calls_ports, an_ipv6_only_listener_leaves_ipv4_to_others)
{
    pal_sock listener6, listener4, a, b;
    struct pal_addr addr;
    uint16_t port;
    int error = PAL_EADDRINUSE;

    require_inet6();
    for (int i = 0; i < 100 && error == PAL_EADDRINUSE; i++) { /* another program may have the port */
        listener6 = wildcard_listener(1, &port);
        listener4 = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
        addr = loopback(PAL_AF_INET, port);
        error = pal_sock_bind(listener4, &addr);
        if (error != 0)
            pair_close(listener6, listener4);
    }
    assert_error(error, 0);
    assert_error(pal_sock_listen(listener4, 4), 0);
    connect_to(listener4, &addr, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
    addr = loopback(PAL_AF_INET6, port);
    connect_to(listener6, &addr, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
    pair_close(listener6, listener4);
}

Test(calls_ports, what_a_bound_socket_hears_is_settled)
{
    pal_sock sock;

    require_inet6();
    sock = sock_bound(PAL_AF_INET6, PAL_SOCK_STREAM, NULL);
    assert_error(option_try(sock, PAL_SO_V6ONLY, 1), PAL_EINVAL);
    sock_close(sock);
}

Test(calls_ports, a_dual_stack_datagram_socket_speaks_to_both)
{
    pal_sock dual, plain;
    struct pal_addr any = any_address(PAL_AF_INET6, 0);
    struct pal_addr plain_name, to, from;

    require_inet6();
    dual = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    option_set(dual, PAL_SO_V6ONLY, 0);
    assert_error(pal_sock_bind(dual, &any), 0);
    plain = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &plain_name);
    to = loopback(PAL_AF_INET, name_of(dual, PAL_NAME_LOCAL).port);
    assert_error(send_to(plain, &to, "question"), 8);
    expect_datagram(dual, "question", &from);
    assert_same_address(from, host_address("::ffff:127.0.0.1", plain_name.port));
    assert_error(send_to(dual, &from, "answer"), 6);
    expect_datagram(plain, "answer", &from);
    assert_same_address(from, to);
    pair_close(dual, plain);
}
