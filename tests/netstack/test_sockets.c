/* tests/netstack/test_sockets.c: what all sockets have in common: arguments, names, options, readiness, the end. */
#include "sock_world.h"

TestSuite(sockets, .init = begin, .fini = end);

/* ---- beginning ---- */

Test(sockets, what_does_not_exist_cannot_be_opened)
{
    struct sock *sock = NULL;

    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_UNIX, PAL_SOCK_STREAM, &sock), PAL_EAFNOSUPPORT);
    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_INET, PAL_SOCK_RAW, &sock), PAL_ESOCKTNOSUPPORT);
    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_INET, PAL_SOCK_STREAM | 0x800, &sock), PAL_ESOCKTNOSUPPORT);
    for (int i = 0; i < 256; i++)
        (void)sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_INET, PAL_SOCK_DGRAM, &sock), PAL_ENOBUFS);
    cr_assert_null(sock);
}

Test(sockets, a_fresh_socket_has_a_wildcard_name_and_no_peer)
{
    static const int families[] = {PAL_AF_INET, PAL_AF_INET6}, types[] = {PAL_SOCK_STREAM, PAL_SOCK_DGRAM};

    for (int i = 0; i < 4; i++) {
        struct sock *sock = sock_open(families[i / 2], types[i % 2]);
        struct pal_addr name = name_of(sock, PAL_NAME_LOCAL);

        assert_addr(&name, families[i / 2] == PAL_AF_INET ? "0.0.0.0" : "::", 0);
        cr_assert_eq(pal__n_sock_name(sock, PAL_NAME_PEER, &name), PAL_ENOTCONN);
        cr_assert_eq(pal__n_sock_name(sock, 7, &name), PAL_EINVAL);
        cr_assert_eq(pal__n_sock_name(sock, PAL_NAME_LOCAL, NULL), PAL_EINVAL);
    }
}

Test(sockets, a_datagram_socket_is_no_stream)
{
    struct sock *datagram = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), *out;

    cr_assert_eq(pal__n_sock_listen(datagram, 1), PAL_ENOTSUP);
    cr_assert_eq(pal__n_sock_accept(datagram, &out, NULL), PAL_ENOTSUP);
    cr_assert_eq(pal__n_sock_accept(datagram, NULL, NULL), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_shutdown(datagram, PAL_SHUT_RDWR), PAL_ENOTCONN);
    cr_assert_eq(pal__n_sock_shutdown(datagram, 3), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_connect(datagram, NULL), 0);
    cr_assert_eq(pal__n_sock_connect(sock_open(PAL_AF_INET, PAL_SOCK_STREAM), NULL), PAL_EINVAL);
}

Test(sockets, a_stream_has_one_peer) /* tcp.rfc9293.MUST-46 */
{
    static const char *const wrong[] = {"224.0.0.1", "255.255.255.255", "10.0.0.255", "ff02::1%2"};

    for (int i = 0; i < 4; i++) {
        struct sock *sock = sock_open(strchr(wrong[i], ':') != NULL ? PAL_AF_INET6 : PAL_AF_INET, PAL_SOCK_STREAM);
        int error = connect_to(sock, wrong[i], 80);

        cr_assert(error == PAL_ENETUNREACH || error == PAL_EACCES, "%s: %s", wrong[i], pal_error_name(error));
    }
    settle();
    cr_assert_eq(wire.count, 0);
}

Test(sockets, a_stream_that_listens_unnamed_gets_a_port)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    cr_assert_eq(pal__n_sock_listen(sock, -5), 0);
    cr_assert_geq(name_of(sock, PAL_NAME_LOCAL).port, PORT_EPHEMERAL_FIRST);
    cr_assert_eq(option_of(sock, PAL_SO_LISTENING), 1);
}

/* ---- streams to ourselves, as far as what is common goes ---- */

static struct sock *accept_one(struct sock *listener, struct pal_addr *from)
{
    struct sock *served = NULL;

    settle();
    cr_assert_eq(pal__n_sock_accept(listener, &served, from), 0);
    return served;
}

Test(sockets, the_ends_of_a_connection_name_each_other) /* tcp.rfc9293.MUST-44, sock.connect-twice */
{
    struct sock *listener = sock_open(PAL_AF_INET6, PAL_SOCK_STREAM), *client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    struct sock *served;
    struct pal_addr from, name;
    char bytes[8];

    cr_assert_eq(bind_to(listener, "::", 5000), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    cr_assert_eq(pal__n_sock_accept(listener, &served, NULL), PAL_EAGAIN);
    cr_assert_eq(connect_to(client, "0.0.0.0", 5000), PAL_EINPROGRESS);
    cr_assert_eq(connect_to(client, "127.0.0.1", 5000), PAL_EALREADY);
    served = accept_one(listener, &from);
    name = name_of(client, PAL_NAME_LOCAL);
    assert_addr(&name, "127.0.0.1", name.port);
    assert_addr(&from, "::ffff:127.0.0.1", name.port);
    name = name_of(served, PAL_NAME_LOCAL);
    assert_addr(&name, "::ffff:127.0.0.1", 5000);
    cr_assert_eq(connect_to(client, "127.0.0.1", 5000), PAL_EISCONN);
    cr_assert_eq(option_of(client, PAL_SO_ERROR), 0);
    cr_assert_geq(option_of(client, PAL_SO_MTU), 576);
    cr_assert_eq(pal__n_sock_send(client, "hello", 5, 0), 5);
    settle();
    cr_assert_eq(option_of(served, PAL_SO_NREAD), 5);
    cr_assert_eq(pal__n_sock_recv(served, bytes, sizeof(bytes), PAL_MSG_TRUNC), 5);
    cr_assert_eq(pal__n_sock_recv(served, bytes, sizeof(bytes), 0), PAL_EAGAIN);
    cr_assert_eq(pal__n_sock_recv(served, bytes, sizeof(bytes), PAL_MSG_ERRQUEUE), PAL_EAGAIN);
    pal__n_sock_close(client);
    settle();
    cr_assert_eq(pal__n_sock_recv(served, bytes, sizeof(bytes), 0), 0);
}

Test(sockets, the_route_chooses_the_source) /* tcp.rfc9293.MUST-44, tcp.rfc9293.MUST-43 */
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM), *bound = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    cr_assert_eq(connect_to(sock, "10.0.0.2", 80), PAL_EINPROGRESS);
    settle();
    cr_assert_arr_eq(last() + IP4_SRC, "\x0a\0\0\1", 4);
    cr_assert_eq(bind_to(bound, "10.0.0.9", 0), 0);
    cr_assert_eq(connect_to(bound, "10.0.0.2", 80), PAL_EINPROGRESS);
    settle();
    cr_assert_arr_eq(last() + IP4_SRC, "\x0a\0\0\x09", 4);
}

Test(sockets, a_server_restarts_beside_its_past) /* tcp.state.timewait-listen-reuse, tcp.rfc9293.MUST-41 */
{
    struct sock *listener = sock_open(PAL_AF_INET, PAL_SOCK_STREAM), *clients[2], *served[2], *again;
    char byte;

    option_set(listener, PAL_SO_REUSEADDR, 1);
    cr_assert_eq(bind_to(listener, "127.0.0.1", 5000), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    for (int i = 0; i < 2; i++) {
        clients[i] = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
        cr_assert_eq(connect_to(clients[i], "127.0.0.1", 5000), PAL_EINPROGRESS);
        served[i] = accept_one(listener, NULL);
    }
    pal__n_sock_close(served[0]); /* this end goes to TIME-WAIT */
    settle();
    cr_assert_eq(pal__n_sock_recv(clients[0], &byte, 1, 0), 0);
    pal__n_sock_close(clients[0]);
    pal__n_sock_close(listener);
    settle();
    again = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    cr_assert_eq(bind_to(again, "127.0.0.1", 5000), PAL_EADDRINUSE);
    option_set(again, PAL_SO_REUSEADDR, 1);
    cr_assert_eq(bind_to(again, "127.0.0.1", 5000), 0);
    cr_assert_eq(pal__n_sock_listen(again, 4), 0);
    cr_assert_eq(pal__n_sock_send(clients[1], "x", 1, 0), 1);
    settle();
    cr_assert_eq(pal__n_sock_recv(served[1], &byte, 1, 0), 1, "the connection that stayed works on");
}

/* ---- messages ---- */

Test(sockets, flags_and_counts_are_checked)
{
    struct sock *sock = udp_bound("127.0.0.1", 5000);
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "text", 4);
    char byte;

    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, 0x10000000), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0x10000000), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, PAL_MSG_WAIT), PAL_ENOTSUP);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, PAL_MSG_ZEROCOPY), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, PAL_MSG_OOB), PAL_ENOTSUP);
    for (int count = -1; count <= 0; count++) {
        cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, count, 0), PAL_EINVAL);
        cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, count, 0), PAL_EINVAL);
    }
    cr_assert_eq(pal__n_sock_recv_msgs(sock, NULL, 1, 0), PAL_EINVAL);
    msg.iov_count = PAL_IOV_MAX + 1;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_EINVAL);
    msg.iov_count = 1;
    msg.want = 0x8000;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_EINVAL);
    for (uint16_t want = PAL_META_TIME; want <= PAL_META_NOTICE; want = (uint16_t)(want << 1)) {
        msg.want = want;
        cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_ENOTSUP, "%#x is not sent", want);
    }
}

Test(sockets, a_batch_ends_before_what_cannot_be_sent)
{
    enum { COUNT = 50 };
    static char large[65536];
    struct sock *receiver = udp_bound("127.0.0.1", 5000), *sender = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    struct pal_iov iovs[COUNT];
    struct pal_msg msgs[COUNT];
    int total = 0;

    cr_assert_eq(connect_to(sender, "127.0.0.1", 5000), 0);
    for (int i = 0; i < COUNT; i++)
        msgs[i] = msg_of(&iovs[i], large, i == 40 ? sizeof(large) : (size_t)i);
    cr_assert_eq(pal__n_sock_send_msgs(sender, msgs, COUNT, 0), 40);
    cr_assert_eq(pal__n_sock_send_msgs(sender, &msgs[40], 10, 0), PAL_EMSGSIZE);
    settle();
    for (int i = 0; i < COUNT; i++)
        iovs[i].size = 100;
    while (total < 40) {
        int count = pal__n_sock_recv_msgs(receiver, msgs, COUNT, 0);

        cr_assert(count > 0 && count <= 32, "%d", count);
        for (int i = 0; i < count; i++)
            cr_assert_eq(msgs[i].size, total + i);
        total += count;
    }
    expect_nothing(receiver);
}

Test(sockets, only_what_is_switched_on_and_wanted_is_told)
{
    struct sock *sock = udp_bound("::", 5000);
    struct pal_iov iov;
    char bytes[16];
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));

    for (int i = 0; i < 3; i++)
        inject(&(struct spec){.dst = "10.0.0.9", .dst_port = 5000, .payload = "x", .hops = 42, .tos = 0x28});
    msg.want = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME | PAL_META_DROPPED;
    memset(&msg.stamp, 0x5a, sizeof(msg.stamp));
    cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, 1, 0), 1);
    cr_assert_eq(msg.have, 0);
    cr_assert(msg.stamp.quality == PAL_STAMP_NONE && msg.stamp.system_ns == 0);
    option_set(sock, PAL_SO_PKTINFO, 1);
    option_set(sock, PAL_SO_RECV_TTL, 1);
    option_set(sock, PAL_SO_RECV_TOS, 1);
    option_set(sock, PAL_SO_TIMESTAMP, 1);
    option_set(sock, PAL_SO_DROPS, 1);
    cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, 1, 0), 1);
    cr_assert_eq(msg.have, PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME);
    cr_assert(msg.ttl == 42 && msg.tos == 0x28 && msg.ifindex == IFINDEX);
    assert_addr(&msg.local, "::ffff:10.0.0.9", 0);
    cr_assert(msg.stamp.quality == PAL_STAMP_SYSTEM && msg.stamp.system_ns == now_ns);
    msg.want = PAL_META_TTL;
    cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, 1, 0), 1);
    cr_assert_eq(msg.have, PAL_META_TTL);
}

Test(sockets, source_and_fields_are_chosen_message_by_message) /* udp.src-addr-option, udp.ttl-tos */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    struct pal_addr to = addr("10.0.0.2", 6000);
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "text", 4);

    msg.addr = &to;
    msg.want = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS;
    msg.local = addr("10.0.0.9", 0);
    msg.ttl = 7;
    msg.tos = 0xb8;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), 1);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_arr_eq(last() + IP4_SRC, "\x0a\0\0\x09", 4);
    cr_assert(last()[IP4_TTL] == 7 && last()[IP4_TOS] == 0xb8);
    msg.local = addr("192.0.2.1", 0);
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_EINVAL);
    msg.local = addr("::1", 0);
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_EAFNOSUPPORT);
    memset(&msg.local, 0, sizeof(msg.local));
    msg.ifindex = IFINDEX;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), 1);
    msg.ifindex = 99;
    cr_assert_lt(pal__n_sock_send_msgs(sock, &msg, 1, 0), 0);
    msg.ifindex = 0;
    msg.ttl = 0;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), PAL_EINVAL);
    msg.want = 0;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, PAL_MSG_DONTROUTE), 1);
    pal__n_stack_flush(stack, now_ns);
    cr_assert(last()[IP4_TTL] == 64 && last()[IP4_TOS] == 0);
    cr_assert_arr_eq(last() + IP4_SRC, "\x0a\0\0\1", 4);
}

/* ---- options ---- */

enum { TCP4, TCP6, UDP4, UDP6, KINDS };

static struct sock *kind_open(int kind)
{
    return sock_open(kind % 2 ? PAL_AF_INET6 : PAL_AF_INET, kind < UDP4 ? PAL_SOCK_STREAM : PAL_SOCK_DGRAM);
}

struct boolean {
    uint32_t number;
    unsigned kinds; /* bits: where it is */
    int32_t first;
};

enum { ALL = 15, STREAMS = 3, DATAGRAMS = 12, SIXES = 10 };

static const struct boolean booleans[] = {
    {PAL_SO_REUSEADDR, ALL, 0},        {PAL_SO_REUSEPORT, ALL, 0},       {PAL_SO_BROADCAST, DATAGRAMS, 0},
    {PAL_SO_KEEPALIVE, ALL, 0},        {PAL_SO_V6ONLY, SIXES, 0},        {PAL_SO_FREEBIND, ALL, 0},
    {PAL_SO_MCAST_LOOP, DATAGRAMS, 1}, {PAL_SO_PKTINFO, DATAGRAMS, 0},   {PAL_SO_RECV_TTL, DATAGRAMS, 0},
    {PAL_SO_RECV_TOS, DATAGRAMS, 0},   {PAL_SO_TIMESTAMP, DATAGRAMS, 0}, {PAL_SO_DROPS, DATAGRAMS, 0},
    {PAL_SO_RECVERR, ALL, 0},
};

Test(sockets, booleans_are_kept_and_checked)
{
    for (size_t i = 0; i < sizeof(booleans) / sizeof(booleans[0]); i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct sock *sock = kind_open(kind);
            const struct boolean *option = &booleans[i];

            if (option->kinds >> kind & 1) {
                cr_assert_eq(option_of(sock, option->number), option->first, "option %u", option->number);
                for (int32_t value = 1; value >= 0; value--) {
                    option_set(sock, option->number, value);
                    cr_assert_eq(option_of(sock, option->number), value);
                }
                cr_assert_eq(option_try(sock, option->number, 2), PAL_EINVAL);
                cr_assert_eq(option_try(sock, option->number, -1), PAL_EINVAL);
                cr_assert_eq(pal__n_sock_set(sock, option->number, &(int64_t){0}, 8), PAL_EINVAL);
            } else {
                refusal = "";
                cr_assert_eq(option_try(sock, option->number, 1), PAL_ENOTSUP, "option %u", option->number);
                cr_assert_str_neq(refusal, "");
            }
            pal__n_sock_close(sock);
        }
    }
}

struct number {
    uint32_t number;
    unsigned kinds;
    int32_t first, good[3], bad[2];
};

static const struct number numbers[] = {
    {PAL_SO_TTL, ALL, 64, {1, 64, 255}, {0, 256}},
    {PAL_SO_TOS, ALL, 0, {0, 0x28, 0xb8}, {256, -1}},
    {PAL_SO_MTU_DISCOVER, ALL, 1, {0, 2, 3}, {9, -1}},
    {PAL_SO_MCAST_TTL, DATAGRAMS, 1, {0, 1, 255}, {256, -1}},
    {PAL_SO_RCVBUF, DATAGRAMS, 256 * 1024, {8192, 65536, 16384}, {-1, 0}},
    {PAL_SO_SNDBUF, DATAGRAMS, 256 * 1024, {8192, 65536, 16384}, {-1, 0}},
};

Test(sockets, numbers_are_kept_and_checked)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            const struct number *option = &numbers[i];
            struct sock *sock = kind_open(kind);

            if ((option->kinds >> kind & 1) == 0) {
                pal__n_sock_close(sock);
                continue;
            }
            cr_assert_eq(option_of(sock, option->number), option->first, "option %u", option->number);
            for (int j = 0; j < 3; j++) {
                option_set(sock, option->number, option->good[j]);
                cr_assert_eq(option_of(sock, option->number), option->good[j], "option %u", option->number);
            }
            for (int j = 0; j < 2; j++)
                cr_assert_eq(option_try(sock, option->number, option->bad[j]), PAL_EINVAL, "option %u = %d",
                             option->number, option->bad[j]);
            pal__n_sock_close(sock);
        }
    }
}

/* Whatever the number, whatever the size: it is done, or refused with a code and a reason. */
Test(sockets, every_option_is_done_or_refused_with_a_reason)
{
    static uint8_t room[1024];

    for (uint32_t number = 0; number < 300; number++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct sock *sock = kind_open(kind);

            for (size_t size = 0; size <= 256; size += size < 16 ? 1 : 4) {
                size_t got = size;
                int error;

                refusal = NULL;
                error = pal__n_sock_get(sock, number, room, &got);
                cr_assert(error == 0 || error == PAL_ENOTSUP || error == PAL_EINVAL || error == PAL_ENOTCONN, "%u",
                          number);
                cr_assert(error == 0 || error == PAL_ENOTCONN || refusal != NULL, "option %u", number);
                cr_assert(error != 0 || got <= size);
                memset(room, 0, sizeof(room));
                refusal = NULL;
                error = pal__n_sock_set(sock, number, room, size);
                cr_assert(error == 0 || refusal != NULL, "option %u, size %zu", number, size);
                cr_assert(error == 0 || error == PAL_ENOTSUP || error == PAL_EINVAL || error == PAL_ENODEV ||
                              error == PAL_ENOENT,
                          "option %u, size %zu: %s", number, size, pal_error_name(error));
            }
            pal__n_sock_close(sock);
        }
    }
    cr_assert_eq(pal__n_sock_set(sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), PAL_SO_RAW(6, 1), room, 4), PAL_ENOTSUP);
}

Test(sockets, what_a_socket_is)
{
    for (int kind = 0; kind < KINDS; kind++) {
        struct sock *sock = kind_open(kind);

        cr_assert_eq(option_of(sock, PAL_SO_FAMILY), kind % 2 ? PAL_AF_INET6 : PAL_AF_INET);
        cr_assert_eq(option_of(sock, PAL_SO_TYPE), kind < UDP4 ? PAL_SOCK_STREAM : PAL_SOCK_DGRAM);
        cr_assert_eq(option_of(sock, PAL_SO_PROTOCOL), kind < UDP4 ? PAL_IPPROTO_TCP : PAL_IPPROTO_UDP);
        cr_assert_eq(option_of(sock, PAL_SO_ERROR), 0);
        cr_assert_eq(option_of(sock, PAL_SO_LISTENING), 0);
        cr_assert_eq(option_of(sock, PAL_SO_NREAD), 0);
        cr_assert_eq(option_try(sock, PAL_SO_TYPE, 1), PAL_ENOTSUP, "read-only");
        cr_assert_eq(pal__n_sock_get(sock, PAL_SO_MTU, &(int32_t){0}, &(size_t){4}), PAL_ENOTCONN);
    }
}

Test(sockets, a_device_holds_a_socket_until_let_go)
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    char name[16];
    size_t size = sizeof(name);

    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_DEVICE, "lo", 2), 0);
    cr_assert_eq(pal__n_sock_get(sock, PAL_SO_DEVICE, name, &size), 0);
    cr_assert(size == 2 && memcmp(name, "lo", 2) == 0);
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_DEVICE, "no-such-if", 10), PAL_ENODEV);
    inject(&(struct spec){.dst_port = 5000, .payload = "by eth0"});
    expect_nothing(sock);
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_DEVICE, "", 0), 0);
    inject(&(struct spec){.dst_port = 5000, .payload = "by eth0"});
    (void)expect_text(sock, "by eth0");
    size = sizeof(name);
    cr_assert_eq(pal__n_sock_get(sock, PAL_SO_DEVICE, name, &size), 0);
    cr_assert_eq(size, 0);
}

Test(sockets, lingering_is_kept_and_checked)
{
    static const struct pal_linger good[] = {{1, 30}, {0, 0}}, bad[] = {{2, 0}, {-1, 0}, {1, -1}, {1, 65536}};

    for (int kind = 0; kind < KINDS; kind++) {
        struct sock *sock = kind_open(kind);
        struct pal_linger linger;
        size_t size = sizeof(linger);

        for (int i = 0; i < 2; i++) {
            cr_assert_eq(pal__n_sock_set(sock, PAL_SO_LINGER, &good[i], sizeof(linger)), 0);
            cr_assert_eq(pal__n_sock_get(sock, PAL_SO_LINGER, &linger, &size), 0);
            cr_assert(linger.on == good[i].on && (linger.on == 0 || linger.seconds == good[i].seconds));
        }
        for (int i = 0; i < 4; i++)
            cr_assert_eq(pal__n_sock_set(sock, PAL_SO_LINGER, &bad[i], sizeof(linger)), PAL_EINVAL);
    }
}

/* ---- readiness (rule 9) ---- */

static int ready_count(struct sock **out, int max)
{
    return pal__n_stack_ready(stack, out, max);
}

Test(sockets, readiness_is_of_the_level) /* sock.readiness-level */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000), *ready[4];
    char byte;

    pal__n_sock_watch(sock, PAL_IN);
    cr_assert_eq(ready_count(ready, 4), 0);
    inject(&(struct spec){.dst_port = 5000, .payload = "a"});
    inject(&(struct spec){.dst_port = 5000, .payload = "b"});
    for (int i = 0; i < 10; i++)
        cr_assert_eq(ready_count(ready, 4), 1);
    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, PAL_MSG_PEEK), 1);
    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, 0), 1);
    cr_assert_eq(ready_count(ready, 4), 1, "one is left");
    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, 0), 1);
    cr_assert_eq(ready_count(ready, 4), 0);
    inject(&(struct spec){.dst_port = 5000, .payload = "c"});
    pal__n_sock_watch(sock, 0);
    cr_assert_eq(ready_count(ready, 4), 0, "interest 0 is silence");
    pal__n_sock_watch(sock, PAL_IN);
    cr_assert_eq(ready_count(ready, 4), 1, "what was there before is reported");
    pal__n_sock_watch(sock, PAL_OUT);
    cr_assert_eq(ready_count(ready, 4), 1);
    cr_assert_eq(pal__n_sock_ready(sock), PAL_IN | PAL_OUT);
    pal__n_sock_close(sock);
    cr_assert_eq(ready_count(ready, 4), 0);
}

Test(sockets, errors_imply_what_is_watched)
{
    struct sock *sock = udp_bound("127.0.0.1", 5000), *ready[4];

    cr_assert_eq(connect_to(sock, "127.0.0.1", 5001), 0);
    pal__n_sock_watch(sock, PAL_IN);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), 1);
    settle();
    cr_assert_eq(ready_count(ready, 4), 1);
    cr_assert_eq(pal__n_sock_ready(sock) & (PAL_IN | PAL_ERR), PAL_IN | PAL_ERR);
    cr_assert_eq(pal__n_sock_recv(sock, NULL, 0, 0), PAL_ECONNREFUSED);
    cr_assert_eq(ready_count(ready, 4), 0);
}

Test(sockets, shutdown_shows)
{
    struct sock *sock = udp_bound("127.0.0.1", 5000);
    char byte;

    cr_assert_eq(connect_to(sock, "127.0.0.1", 5000), 0); /* itself */
    cr_assert_eq(pal__n_sock_shutdown(sock, PAL_SHUT_WR), 0);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), PAL_EPIPE);
    cr_assert_eq(pal__n_sock_ready(sock) & (PAL_IN | PAL_HUP), 0);
    cr_assert_eq(pal__n_sock_shutdown(sock, PAL_SHUT_RD), 0);
    cr_assert_eq(pal__n_sock_ready(sock) & (PAL_IN | PAL_HUP | PAL_RDHUP), PAL_IN | PAL_HUP | PAL_RDHUP);
    cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, 0), 0);
}

Test(sockets, nobody_is_served_first_for_ever) /* sock.ready-list-once */
{
    enum { SOCKS = 10 };
    struct sock *socks[SOCKS], *ready[SOCKS];
    int served[SOCKS] = {0};

    for (uint16_t i = 0; i < SOCKS; i++) {
        socks[i] = udp_bound("0.0.0.0", (uint16_t)(5000 + i));
        pal__n_sock_watch(socks[i], PAL_IN);
        inject(&(struct spec){.dst_port = (uint16_t)(5000 + i), .payload = "x"});
        inject(&(struct spec){.dst_port = (uint16_t)(5000 + i), .payload = "y"});
    }
    cr_assert_eq(ready_count(ready, SOCKS), SOCKS, "each once");
    for (int round = 0; round < SOCKS; round++) {
        int count = ready_count(ready, 3);

        cr_assert_eq(count, 3);
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < SOCKS; j++)
                served[j] += socks[j] == ready[i];
        }
    }
    for (int i = 0; i < SOCKS; i++)
        cr_assert_eq(served[i], 3);
}

/* ---- the end ---- */

Test(sockets, a_stack_ends_with_everything_in_it) /* sock.stack-teardown, sock.close-frees: end() looks */
{
    struct pal_mcast group;
    struct sock *sock = udp_bound("0.0.0.0", 5000), *six = udp_bound("::", 5001);

    memset(&group, 0, sizeof(group));
    group.group = addr("239.1.1.1", 0);
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &group, sizeof(group)), 0);
    option_set(sock, PAL_SO_RECVERR, 1);
    for (int i = 0; i < 10; i++) {
        inject(&(struct spec){.dst_port = 5000, .payload = "waits"});
        inject(&(struct spec){.dst = "fd00::1", .dst_port = 5001, .payload = "waits"});
    }
    cr_assert_eq(connect_to(six, "fd00::2", 9), 0);
    pal__n_sock_watch(six, PAL_IN | PAL_OUT);
    cr_assert_eq(send_to(sock, "10.0.0.77", 9, "waits for a neighbour"), 21);
    cr_assert_eq(send_to(sock, "127.0.0.1", 5000, "on its way"), 10);
}

Test(sockets, closing_gives_all_back) /* sock.close-frees */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    struct netstack_usage usage;

    inject(&(struct spec){.dst_port = 5000, .payload = "waits"});
    cr_assert_eq(connect_to(sock, "10.0.0.2", 9), 0);
    pal__n_sock_close(sock);
    pal__n_stack_usage(stack, &usage);
    cr_assert(usage.udp == 0 && usage.paths == 0 && usage.groups == 0 && usage.big_frames == 0);
    cr_assert_eq(stack->held_frames, 0);
    cr_assert_eq(wire.frames.pool.used, 0);
    sock = udp_bound("0.0.0.0", 5000); /* the port is free at once */
    cr_assert_eq(option_of(sock, PAL_SO_NREAD), 0);
}
