/* tests/netstack/test_ports.c: who may bind beside whom, ports that the stack chooses, and who is found at a port. */
#include "sock_world.h"

TestSuite(ports, .init = begin, .fini = end);

enum { NONE = 0, ADDR = 1, PORT = 2, LISTENS = 4 };

/* A socket with these options at this name; NULL and *error if it may not have it. */
static struct sock *try_bind(int type, const char *host, uint16_t port, unsigned options, int *error)
{
    struct pal_addr name = addr(host, port);
    struct sock *sock = sock_open(name.family, type);

    option_set(sock, PAL_SO_REUSEADDR, (options & ADDR) != 0);
    option_set(sock, PAL_SO_REUSEPORT, (options & PORT) != 0);
    *error = pal__n_sock_bind(sock, &name);
    if (*error == 0 && options & LISTENS)
        *error = pal__n_sock_listen(sock, 4);
    if (*error == 0)
        return sock;
    pal__n_sock_close(sock);
    return NULL;
}

/* ---- conflicts, as Linux has them ---- */

struct pair {
    const char *first, *second;
    int type;
    unsigned first_options, second_options;
    int expected; /* of the second bind */
};

static void expect_pairs(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = &pairs[i];
        int error;
        struct sock *first = try_bind(pair->type, pair->first, 5000, pair->first_options, &error), *second;

        cr_assert_eq(error, 0, "pair %zu", i);
        second = try_bind(pair->type, pair->second, 5000, pair->second_options, &error);
        cr_assert_eq(error, pair->expected, "pair %zu, %s and %s: %s", i, pair->first, pair->second,
                     pal_error_name(error));
        if (second != NULL)
            pal__n_sock_close(second);
        pal__n_sock_close(first);
    }
}

Test(ports, addresses_that_overlap) /* sock.bind-wildcard-conflict */
{
    static const struct pair pairs[] = {
        {"10.0.0.1", "10.0.0.1", PAL_SOCK_DGRAM, NONE, NONE, PAL_EADDRINUSE},
        {"10.0.0.1", "10.0.0.9", PAL_SOCK_DGRAM, NONE, NONE, 0},
        {"10.0.0.1", "0.0.0.0", PAL_SOCK_DGRAM, NONE, NONE, PAL_EADDRINUSE},
        {"0.0.0.0", "10.0.0.1", PAL_SOCK_STREAM, NONE, NONE, PAL_EADDRINUSE},
        {"0.0.0.0", "::", PAL_SOCK_STREAM, NONE, NONE, PAL_EADDRINUSE},
        {"::", "10.0.0.1", PAL_SOCK_STREAM, NONE, NONE, PAL_EADDRINUSE},
        {"::", "fd00::1", PAL_SOCK_DGRAM, NONE, NONE, PAL_EADDRINUSE},
        {"fd00::1", "10.0.0.1", PAL_SOCK_DGRAM, NONE, NONE, 0},
        {"fd00::1", "0.0.0.0", PAL_SOCK_DGRAM, NONE, NONE, 0},
        {"::ffff:10.0.0.1", "10.0.0.1", PAL_SOCK_DGRAM, NONE, NONE, PAL_EADDRINUSE},
        {"::ffff:0.0.0.0", "fd00::1", PAL_SOCK_DGRAM, NONE, NONE, 0},
        {"127.0.0.1", "127.0.0.2", PAL_SOCK_DGRAM, NONE, NONE, 0},
    };

    expect_pairs(pairs, sizeof(pairs) / sizeof(pairs[0]));
}

Test(ports, flags_that_let_sockets_share) /* sock.reuseaddr, sock.reuseport */
{
    static const struct pair pairs[] = {
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_DGRAM, ADDR, NONE, PAL_EADDRINUSE},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_DGRAM, NONE, ADDR, PAL_EADDRINUSE},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_DGRAM, ADDR, ADDR, 0},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_DGRAM, PORT, PORT, 0},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_DGRAM, ADDR, PORT, PAL_EADDRINUSE},
        {"0.0.0.0", "10.0.0.1", PAL_SOCK_STREAM, ADDR, ADDR, 0},
        {"0.0.0.0", "10.0.0.1", PAL_SOCK_STREAM, ADDR | LISTENS, ADDR, PAL_EADDRINUSE},
        {"10.0.0.1", "0.0.0.0", PAL_SOCK_STREAM, ADDR | LISTENS, ADDR, PAL_EADDRINUSE},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_STREAM, PORT | LISTENS, PORT | LISTENS, 0},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_STREAM, PORT | LISTENS, ADDR, PAL_EADDRINUSE},
        {"0.0.0.0", "0.0.0.0", PAL_SOCK_STREAM, ADDR, ADDR | LISTENS, 0},
    };

    expect_pairs(pairs, sizeof(pairs) / sizeof(pairs[0]));
}

Test(ports, of_two_that_share_one_listens) /* tcp.rfc9293.MUST-41 */
{
    int error;
    struct sock *first = try_bind(PAL_SOCK_STREAM, "10.0.0.1", 5000, ADDR, &error);
    struct sock *second = try_bind(PAL_SOCK_STREAM, "0.0.0.0", 5000, ADDR, &error);

    cr_assert_eq(pal__n_sock_listen(first, 1), 0);
    cr_assert_eq(pal__n_sock_listen(first, 5), 0, "again: another backlog");
    cr_assert_eq(pal__n_sock_listen(second, 1), PAL_EADDRINUSE);
    pal__n_sock_close(first);
    cr_assert_eq(pal__n_sock_listen(second, 1), 0);
}

Test(ports, ipv6_only_leaves_ipv4_to_others)
{
    struct sock *only = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    int error;

    option_set(only, PAL_SO_V6ONLY, 1);
    cr_assert_eq(bind_to(only, "::", 5000), 0);
    cr_assert_eq(option_try(only, PAL_SO_V6ONLY, 0), PAL_EINVAL, "what it hears is settled");
    cr_assert_not_null(try_bind(PAL_SOCK_DGRAM, "0.0.0.0", 5000, NONE, &error));
    cr_assert_null(try_bind(PAL_SOCK_DGRAM, "fd00::1", 5000, NONE, &error));
}

Test(ports, tcp_and_udp_do_not_share_ports)
{
    int error;

    cr_assert_not_null(try_bind(PAL_SOCK_DGRAM, "0.0.0.0", 5000, NONE, &error));
    cr_assert_not_null(try_bind(PAL_SOCK_STREAM, "0.0.0.0", 5000, NONE, &error));
}

Test(ports, a_port_with_connections_is_for_those_who_ask) /* tcp.state.timewait-listen-reuse */
{
    int error;

    port_use(stack->ports, 5000);
    cr_assert_null(try_bind(PAL_SOCK_STREAM, "0.0.0.0", 5000, NONE, &error));
    cr_assert_eq(error, PAL_EADDRINUSE);
    cr_assert_not_null(try_bind(PAL_SOCK_STREAM, "0.0.0.0", 5000, ADDR | LISTENS, &error));
    port_unuse(stack->ports, 5000);
}

/* ---- names ---- */

Test(ports, addresses_that_are_not_ours) /* sock.bind-nonlocal, tcp.rfc9293.MUST-43 */
{
    static const char *const wrong[] = {"203.0.113.9", "10.0.0.2", "2001:db8::1", "fe80::2%2"};
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    struct pal_addr name = addr("fe80::ff:fe00:1", 0);

    for (size_t i = 0; i < 4; i++) {
        int error;

        cr_assert_null(try_bind(PAL_SOCK_DGRAM, wrong[i], 0, NONE, &error));
        cr_assert_eq(error, PAL_EADDRNOTAVAIL, "%s: %s", wrong[i], pal_error_name(error));
    }
    cr_assert_eq(bind_to(sock, "239.1.1.1", 0), PAL_EADDRNOTAVAIL, "a stream has no group");
    option_set(sock, PAL_SO_FREEBIND, 1);
    cr_assert_eq(bind_to(sock, "203.0.113.9", 0), 0);
    cr_assert_eq(bind_to(sock, "10.0.0.1", 0), PAL_EINVAL, "once");
    sock = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    cr_assert_eq(pal__n_sock_bind(sock, &name), PAL_EINVAL, "on which interface?");
    name.scope = IFINDEX;
    cr_assert_eq(pal__n_sock_bind(sock, &name), 0);
    name = name_of(sock, PAL_NAME_LOCAL);
    cr_assert_eq(name.scope, IFINDEX);
    cr_assert_eq(bind_to(sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), "127.9.9.9", 0), 0, "all of 127/8");
}

Test(ports, an_address_has_a_family_and_a_size)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    struct pal_addr name = addr("10.0.0.1", 0);

    cr_assert_eq(pal__n_sock_bind(sock, NULL), PAL_EINVAL);
    cr_assert_eq(bind_to(sock, "::", 0), PAL_EAFNOSUPPORT);
    name.size = 3;
    cr_assert_eq(pal__n_sock_bind(sock, &name), PAL_EINVAL);
    name.size = 255;
    cr_assert_eq(pal__n_sock_connect(sock, &name), PAL_EINVAL);
    name.family = PAL_AF_UNIX;
    cr_assert_eq(pal__n_sock_connect(sock, &name), PAL_EAFNOSUPPORT);
}

/* ---- ports that the stack chooses ---- */

static uint16_t chosen(int type)
{
    struct sock *sock = sock_open(PAL_AF_INET, type);
    uint16_t port;

    cr_assert_eq(bind_to(sock, "0.0.0.0", 0), 0);
    port = name_of(sock, PAL_NAME_LOCAL).port;
    cr_assert(port >= PORT_EPHEMERAL_FIRST && port <= PORT_EPHEMERAL_LAST);
    return port;
}

Test(ports, chosen_ports_differ_and_have_no_order)
{
    static bool seen[65536];
    int ordered = 0;
    uint16_t last_port = 0;

    for (int i = 0; i < 200; i++) {
        uint16_t port = chosen(i % 2 ? PAL_SOCK_STREAM : PAL_SOCK_DGRAM);

        ordered += port == last_port + 1;
        cr_assert(!seen[port] || i % 2);
        seen[port] = i % 2 == 0 || seen[port];
        last_port = port;
    }
    cr_assert_lt(ordered, 3);
}

/* All ports of a table are in use but one, and then that one too. */
Test(ports, every_port_is_tried)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    for (uint32_t port = PORT_EPHEMERAL_FIRST; port <= PORT_EPHEMERAL_LAST; port++) {
        if (port != 40000)
            port_use(stack->ports, (uint16_t)port);
    }
    cr_assert_eq(bind_to(sock, "0.0.0.0", 0), 0);
    cr_assert_eq(name_of(sock, PAL_NAME_LOCAL).port, 40000);
    sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    cr_assert_eq(bind_to(sock, "0.0.0.0", 0), PAL_EADDRNOTAVAIL);
    option_set(sock, PAL_SO_REUSEADDR, 1);
    cr_assert_eq(bind_to(sock, "0.0.0.0", 0), 0, "beside connections");
    memset(stack->ports->tcp_users, 0, sizeof(stack->ports->tcp_users));
}

/* ---- ports of connections (RFC 6056 3.3.4) ---- */

static struct tuple tuple_to(const char *remote, uint16_t port)
{
    struct tuple tuple = {
        .local = ip("10.0.0.1"), .remote = ip(remote), .remote_port = port, .protocol = PAL_IPPROTO_TCP};

    return tuple;
}

Test(ports, connections_count_up_from_a_secret_place) /* tcp.sec.port-random */
{
    struct tuple first = tuple_to("10.0.0.2", 80), second = first, other = tuple_to("10.0.0.3", 80);
    int near = 0;

    cr_assert_eq(pal__n_port_for_connection(stack, &first), 0);
    cr_assert_eq(pal__n_port_for_connection(stack, &second), 0);
    cr_assert_eq((second.local_port - PORT_EPHEMERAL_FIRST) % PORT_EPHEMERALS,
                 (first.local_port - PORT_EPHEMERAL_FIRST + 1) % PORT_EPHEMERALS, "one destination: the next");
    for (int i = 0; i < 100; i++) {
        uint16_t before = other.local_port;

        other.remote_port = (uint16_t)(1000 + i);
        cr_assert_eq(pal__n_port_for_connection(stack, &other), 0);
        near += other.local_port - before < 100 && before - other.local_port < 100;
    }
    cr_assert_lt(near, 10, "other destinations: anywhere");
}

/* Sockets with that name, to fill the demultiplexer with: connected UDP sockets are cheap. */
Test(ports, a_tuple_in_use_is_passed_over)
{
    struct tuple tuple = tuple_to("10.0.0.2", 7000);
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    uint16_t next;

    tuple.protocol = PAL_IPPROTO_UDP;
    cr_assert_eq(pal__n_port_for_connection(stack, &tuple), 0);
    next = (uint16_t)(tuple.local_port == PORT_EPHEMERAL_LAST ? PORT_EPHEMERAL_FIRST : tuple.local_port + 1);
    cr_assert_eq(bind_to(sock, "10.0.0.1", next), 0);
    cr_assert_eq(pal__n_port_for_connection(stack, &tuple), 0);
    cr_assert_neq(tuple.local_port, next, "somebody is bound there");
}

/* Sockets at every port that can be chosen, from the index-th on. */
static struct sock occupants[PORT_EPHEMERALS];

static void occupy_from(uint32_t index)
{
    for (uint32_t i = index; i < PORT_EPHEMERALS; i++) {
        struct sock *sock = &occupants[i];

        memset(sock, 0, sizeof(*sock));
        sock->tuple.local_port = (uint16_t)(PORT_EPHEMERAL_FIRST + i);
        base_list_push_back(port_bucket(stack->ports, PAL_IPPROTO_TCP, sock->tuple.local_port), &sock->port_link);
    }
}

static void vacate_from(uint32_t index)
{
    for (uint32_t i = index; i < PORT_EPHEMERALS; i++)
        base_list_remove(&occupants[i].port_link);
}

Test(ports, a_port_serves_many_destinations_and_one_destination_uses_them_up) /* tcp.sec.port-exhaust */
{
    struct tuple tuple = tuple_to("10.0.0.2", 80);

    occupy_from(2);
    for (int i = 0; i < 2; i++) {
        struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

        cr_assert_eq(connect_to(sock, "10.0.0.2", 80), PAL_EINPROGRESS);
        cr_assert_leq(name_of(sock, PAL_NAME_LOCAL).port, PORT_EPHEMERAL_FIRST + 1);
    }
    cr_assert_eq(connect_to(sock_open(PAL_AF_INET, PAL_SOCK_STREAM), "10.0.0.2", 80), PAL_EADDRNOTAVAIL);
    cr_assert_eq(pal__n_port_for_connection(stack, &tuple), PAL_EADDRNOTAVAIL);
    cr_assert_eq(tuple.local_port, 0);
    cr_assert_eq(connect_to(sock_open(PAL_AF_INET, PAL_SOCK_STREAM), "10.0.0.2", 81), PAL_EINPROGRESS);
    vacate_from(2);
}

/* With one port left, that of the destination. */
Test(ports, no_connection_is_with_itself)
{
    struct tuple tuple = {.local = ip("127.0.0.1"), .remote = ip("127.0.0.1"), .protocol = PAL_IPPROTO_TCP};

    occupy_from(1);
    tuple.remote_port = PORT_EPHEMERAL_FIRST;
    cr_assert_eq(pal__n_port_for_connection(stack, &tuple), PAL_EADDRNOTAVAIL);
    tuple.remote = ip("127.0.0.2");
    cr_assert_eq(pal__n_port_for_connection(stack, &tuple), 0);
    cr_assert_eq(tuple.local_port, PORT_EPHEMERAL_FIRST);
    vacate_from(1);
}

/* ---- who is there ---- */

Test(ports, the_listener_that_fits_best) /* sock.bind-wildcard-conflict, tcp.rfc9293.MUST-43 */
{
    struct ip first = ip("10.0.0.1"), second = ip("10.0.0.9"), six = ip("fd00::1");
    int error;
    struct sock *wild = try_bind(PAL_SOCK_STREAM, "0.0.0.0", 5000, PORT | LISTENS, &error);
    struct sock *specific = try_bind(PAL_SOCK_STREAM, "10.0.0.1", 5000, PORT | LISTENS, &error);
    struct sock *dual = try_bind(PAL_SOCK_STREAM, "::", 5000, PORT | LISTENS, &error);

    cr_assert_eq(pal__n_port_listener(stack, &first, 5000, IFINDEX), specific);
    cr_assert_eq(pal__n_port_listener(stack, &second, 5000, IFINDEX), wild);
    cr_assert_eq(pal__n_port_listener(stack, &six, 5000, IFINDEX), dual);
    cr_assert_null(pal__n_port_listener(stack, &first, 5001, IFINDEX));
    cr_assert_null(pal__n_port_listener(stack, &first, 5000 + PORT_BUCKETS, IFINDEX), "of the same bucket");
    cr_assert_eq(pal__n_sock_set(specific, PAL_SO_DEVICE, "lo", 2), 0);
    cr_assert_eq(pal__n_port_listener(stack, &first, 5000, IFINDEX), wild);
    pal__n_sock_close(wild);
    cr_assert_eq(pal__n_port_listener(stack, &second, 5000, IFINDEX), dual);
}

Test(ports, a_shared_port_gives_each_peer_to_one) /* sock.reuseport */
{
    struct tuple tuple = {
        .local = ip("10.0.0.1"), .remote = ip("10.0.0.2"), .local_port = 5000, .protocol = PAL_IPPROTO_UDP};
    struct sock *socks[4];
    int taken[4] = {0, 0, 0, 0}, error;

    for (int i = 0; i < 3; i++) /* those that fit less well take no share */
        (void)try_bind(PAL_SOCK_DGRAM, "0.0.0.0", 5000, PORT, &error);
    for (int i = 0; i < 4; i++)
        socks[i] = try_bind(PAL_SOCK_DGRAM, "10.0.0.1", 5000, PORT, &error);
    (void)try_bind(PAL_SOCK_DGRAM, "0.0.0.0", 5000, PORT, &error);
    for (uint16_t port = 1; port <= 400; port++) {
        struct sock *found;

        tuple.remote_port = port;
        found = pal__n_port_udp(stack, &tuple, IFINDEX);
        cr_assert_not_null(found);
        cr_assert_eq(pal__n_port_udp(stack, &tuple, IFINDEX), found, "the same peer, the same socket");
        for (int i = 0; i < 4; i++)
            taken[i] += socks[i] == found;
    }
    for (int i = 0; i < 4; i++)
        cr_assert(taken[i] > 50 && taken[i] < 150, "%d", taken[i]);
}
