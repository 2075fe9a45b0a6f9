/* tests/netstack/test_udp.c: UDP over a whole stack: whom a datagram is for, what is dropped, what is read. Sending is
 * in test_udp_send.c, groups are in test_mcast.c, options and readiness in test_sockets.c. */
#include "sock_world.h"

TestSuite(udp, .init = begin, .fini = end);

/* ---- to ourselves ---- */

static void expect_exchange(const char *host)
{
    struct sock *server = udp_bound(host, 5000), *client = sock_open(server->family, PAL_SOCK_DGRAM);
    struct pal_addr from;

    cr_assert_eq(send_to(client, host, 5000, "question"), 8);
    settle();
    from = expect_text(server, "question");
    cr_assert_eq(from.port, name_of(client, PAL_NAME_LOCAL).port);
    assert_addr(&from, host, from.port);
    cr_assert_eq(send_to(server, host, from.port, "answer"), 6);
    settle();
    from = expect_text(client, "answer");
    assert_addr(&from, host, 5000);
    cr_assert_eq(wire.count, 0, "on the wire");
    pal__n_sock_close(server);
    pal__n_sock_close(client);
}

Test(udp, a_host_speaks_to_itself) /* udp.loopback */
{
    expect_exchange("127.0.0.1");
    expect_exchange("::1");
    expect_exchange("10.0.0.1");
    expect_exchange("fd00::1");
}

Test(udp, nobody_means_ourselves)
{
    struct sock *server = udp_bound("127.0.0.1", 5000), *client = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    struct pal_addr peer;

    cr_assert_eq(send_to(client, "0.0.0.0", 5000, "hello"), 5);
    settle();
    (void)expect_text(server, "hello");
    cr_assert_eq(connect_to(client, "0.0.0.0", 5000), 0);
    peer = name_of(client, PAL_NAME_PEER);
    assert_addr(&peer, "127.0.0.1", 5000);
}

static void expect_largest(const char *host, int32_t largest)
{
    static uint8_t bytes[65536], received[65536];
    struct sock *server = udp_bound(host, 5000), *client = sock_open(server->family, PAL_SOCK_DGRAM);

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    cr_assert_eq(connect_to(client, host, 5000), 0);
    cr_assert_eq(pal__n_sock_send(client, bytes, (size_t)largest + 1, 0), PAL_EMSGSIZE);
    cr_assert_eq(pal__n_sock_send(client, bytes, (size_t)largest, 0), largest);
    settle();
    cr_assert_eq(option_of(server, PAL_SO_NREAD), largest);
    cr_assert_eq(pal__n_sock_recv(server, received, sizeof(received), 0), largest);
    cr_assert_arr_eq(received, bytes, (size_t)largest);
    pal__n_sock_close(server);
    pal__n_sock_close(client);
}

Test(udp, the_largest_datagram_goes_and_a_larger_one_does_not) /* udp.max-size */
{
    expect_largest("127.0.0.1", 65507);
    expect_largest("::1", 65527);
}

Test(udp, an_empty_datagram_arrives) /* udp.zero-len */
{
    struct sock *server = udp_bound("127.0.0.1", 5000), *client = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    char byte;

    cr_assert_eq(send_to(client, "127.0.0.1", 5000, ""), 0);
    cr_assert_eq(connect_to(client, "127.0.0.1", 5000), 0);
    cr_assert_eq(pal__n_sock_send(client, NULL, 0, 0), 0);
    settle();
    cr_assert(pal__n_sock_ready(server) & PAL_IN);
    (void)expect_text(server, "");
    cr_assert_eq(pal__n_sock_recv(server, &byte, 1, 0), 0);
    expect_nothing(server);
}

/* A program that sends without ever waiting is not stopped by its own datagrams, and every loss is counted. */
Test(udp, losses_to_ourselves_are_the_receivers) /* udp.rcvbuf-drop */
{
    enum { SENT = 2000 };
    static const char bytes[1000] = {0};
    struct sock *server = udp_bound("127.0.0.1", 5000), *client = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    char room[1000];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, room, sizeof(room));
    uint32_t received = 0;

    option_set(server, PAL_SO_RCVBUF, 8192);
    option_set(server, PAL_SO_DROPS, 1);
    cr_assert_eq(connect_to(client, "127.0.0.1", 5000), 0);
    for (int i = 0; i < SENT; i++)
        cr_assert_eq(pal__n_sock_send(client, bytes, sizeof(bytes), 0), (int)sizeof(bytes), "datagram %d", i);
    settle();
    while (pal__n_sock_recv(server, room, sizeof(room), 0) == (int)sizeof(bytes))
        received++;
    cr_assert(received > 2 && received < 20, "%u", received);
    cr_assert_eq(counter(COUNTER_udp_drop_full), SENT - received);
    cr_assert_eq(pal__n_sock_send(client, "x", 1, 0), 1);
    settle();
    msg.want = PAL_META_DROPPED;
    cr_assert_eq(pal__n_sock_recv_msgs(server, &msg, 1, 0), 1);
    cr_assert_eq(msg.have, PAL_META_DROPPED);
    cr_assert_eq(msg.dropped, SENT - received);
    cr_assert_eq(stack->held_frames, 0);
}

/* Sockets that nobody reads do not take all the frames that loopback lives on. */
Test(udp, what_waits_leaves_large_frames_for_others)
{
    struct sock *hoarders[4], *client = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    for (uint16_t i = 0; i < 4; i++)
        hoarders[i] = udp_bound("127.0.0.1", (uint16_t)(5000 + i));
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(send_to(client, "127.0.0.1", (uint16_t)(5000 + i % 4), "x"), 1);
    settle();
    cr_assert_leq(pal__n_loopback_used(stack), 256 - 32 + 1);
    for (int i = 0; i < 4; i++)
        pal__n_sock_close(hoarders[i]);
    cr_assert_eq(pal__n_loopback_used(stack), 0);
}

/* ---- lengths and checksums ---- */

Test(udp, a_wrong_length_is_dropped_and_a_short_one_trims) /* udp.hdr-len */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    static const struct spec wrong[] = {{.dst_port = 5000, .payload = "text", .length_by = -5},
                                        {.dst_port = 5000, .payload = "text", .length_by = -12},
                                        {.dst_port = 5000, .payload = "text", .length_by = 1},
                                        {.dst_port = 5000, .payload = "text", .length_by = 1000}};

    for (size_t i = 0; i < 4; i++) {
        inject(&wrong[i]);
        cr_assert_eq(counter(COUNTER_udp_drop_length), i + 1, "case %zu", i);
    }
    inject(&(struct spec){.protocol = PAL_IPPROTO_UDP, .payload = "\1\2\3\4\5\6\7", .size = 7});
    cr_assert_eq(counter(COUNTER_udp_drop_length), 5);
    expect_nothing(sock);
    inject(&(struct spec){.dst_port = 5000, .payload = "text", .padding = 6});
    (void)expect_text(sock, "text");
    inject(&(struct spec){.dst_port = 5000, .payload = "", .length_by = 0});
    (void)expect_text(sock, "");
    cr_assert_eq(wire.count, 0);
}

Test(udp, a_wrong_checksum_is_dropped_silently) /* udp.csum.check */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000), *sock6 = udp_bound("::", 5001);

    inject(&(struct spec){.dst_port = 5000, .payload = "text", .checksum = 1});
    inject(&(struct spec){.dst = "fd00::1", .dst_port = 5001, .payload = "text", .checksum = 256});
    cr_assert_eq(counter(COUNTER_udp_drop_checksum), 2);
    expect_nothing(sock);
    expect_nothing(sock6);
    cr_assert_eq(wire.count, 0);
}

Test(udp, no_checksum_is_for_ipv4_and_for_those_who_ask) /* udp.csum.zero, udp.csum.zero6 */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000), *sock6 = udp_bound("fd00::1", 5000);
    struct spec bare6 = {.dst = "fd00::1", .dst_port = 5000, .payload = "bare", .checksum = -1};

    inject(&(struct spec){.dst_port = 5000, .payload = "bare", .checksum = -1});
    (void)expect_text(sock, "bare");
    inject(&bare6);
    cr_assert_eq(counter(COUNTER_udp_drop_checksum), 1);
    expect_nothing(sock6);
    udp_of(sock6)->accept_zero_checksum = true;
    inject(&bare6);
    (void)expect_text(sock6, "bare");
}

/* Two bytes are chosen so that the sum is 0xffff, whose complement would say that there is none. */
Test(udp, a_checksum_that_comes_to_zero_is_sent_as_ones) /* udp.csum.zero */
{
    struct sock *sock = udp_bound("10.0.0.1", 5000);
    uint8_t bytes[2];
    struct pal_addr to = addr("10.0.0.2", 6000);
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, 2);

    msg.addr = &to;
    for (uint32_t value = 0; value < 0x10000; value++) {
        put16(bytes, value);
        wire.count = 0;
        cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), 1);
        pal__n_stack_flush(stack, now_ns);
        cr_assert(udp_is_intact(last()));
        if (get16(last() + IP4_SIZE + UDP_CHECKSUM) == 0xffff)
            return;
    }
    cr_assert_fail("no payload gives it");
}

/* ---- whom it is for ---- */

Test(udp, the_best_match_gets_it) /* udp.demux */
{
    struct sock *wild, *specific, *connected;

    wild = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    specific = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    connected = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    option_set(wild, PAL_SO_REUSEADDR, 1);
    option_set(specific, PAL_SO_REUSEADDR, 1);
    option_set(connected, PAL_SO_REUSEADDR, 1);
    cr_assert_eq(bind_to(wild, "0.0.0.0", 5000), 0);
    cr_assert_eq(bind_to(specific, "10.0.0.1", 5000), 0);
    cr_assert_eq(bind_to(connected, "10.0.0.1", 5000), 0);
    cr_assert_eq(connect_to(connected, "10.0.0.2", 7000), 0);

    inject(&(struct spec){.dst_port = 5000, .payload = "peer"});
    (void)expect_text(connected, "peer");
    inject(&(struct spec){.dst_port = 5000, .src_port = 7001, .payload = "stranger"});
    (void)expect_text(specific, "stranger");
    inject(&(struct spec){.dst = "10.0.0.9", .dst_port = 5000, .payload = "elsewhere"});
    (void)expect_text(wild, "elsewhere");
    expect_nothing(wild);
    expect_nothing(specific);
    expect_nothing(connected);
    pal__n_sock_close(connected);
    inject(&(struct spec){.dst_port = 5000, .payload = "peer"});
    (void)expect_text(specific, "peer");
}

/* Two of the same name: the second is not in the demultiplexer, until it is alone. */
Test(udp, sockets_with_one_peer_and_one_name)
{
    struct sock *socks[2];

    for (int i = 0; i < 2; i++) {
        socks[i] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
        option_set(socks[i], PAL_SO_REUSEADDR, 1);
        cr_assert_eq(bind_to(socks[i], "10.0.0.1", 5000), 0);
        cr_assert_eq(connect_to(socks[i], "10.0.0.2", 7000), 0);
    }
    inject(&(struct spec){.dst_port = 5000, .payload = "one"});
    (void)expect_text(socks[0], "one");
    expect_nothing(socks[1]);
    pal__n_sock_close(socks[0]);
    inject(&(struct spec){.dst_port = 5000, .payload = "two"});
    (void)expect_text(socks[1], "two");
}

Test(udp, a_connected_socket_hears_its_peer_alone) /* udp.connected-filter */
{
    struct sock *sock = udp_bound("10.0.0.1", 5000);
    const uint8_t *at;

    cr_assert_eq(connect_to(sock, "10.0.0.2", 7000), 0);
    inject(&(struct spec){.src = "10.0.0.3", .dst_port = 5000, .payload = "stranger"});
    inject(&(struct spec){.dst_port = 5000, .src_port = 7001, .payload = "other port"});
    inject(&(struct spec){.dst = "10.0.0.9", .dst_port = 5000, .payload = "other address"});
    expect_nothing(sock);
    cr_assert_eq(counter(COUNTER_udp_drop_port), 3);
    at = last();
    cr_assert_eq(at[IP4_PROTOCOL], PAL_IPPROTO_ICMP);
    cr_assert(at[IP4_SIZE] == 3 && at[IP4_SIZE + 1] == 3, "port unreachable");
    cr_assert_eq(get16(at + IP4_SIZE + 8 + IP4_SIZE + UDP_DST), 5000, "quotes the datagram's header");
    inject(&(struct spec){.dst_port = 5000, .payload = "peer"});
    (void)expect_text(sock, "peer");
    cr_assert_eq(pal__n_sock_connect(sock, NULL), 0);
    inject(&(struct spec){.dst_port = 5000, .src_port = 7001, .payload = "heard"});
    (void)expect_text(sock, "heard");
}

Test(udp, nobody_at_the_port_is_told_over_ipv6_too)
{
    inject(&(struct spec){.dst = "fd00::1", .dst_port = 5000, .payload = "hello"});
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP6_NEXT], PAL_IPPROTO_ICMPV6);
    cr_assert(last()[IP6_SIZE] == 1 && last()[IP6_SIZE + 1] == 4);
    cr_assert_eq(get16(last() + IP6_SIZE + 8 + IP6_SIZE + UDP_DST), 5000);
    inject(&(struct spec){.dst_port = 0, .payload = "port 0"}); /* udp.port0 */
    cr_assert_eq(counter(COUNTER_udp_drop_port), 2);
    cr_assert_eq(wire.count, 1, "and nobody is told of port 0");
}

Test(udp, a_broadcast_is_for_all_at_the_port) /* udp.demux */
{
    static const uint8_t everybody[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const char *const names[] = {"0.0.0.0", "10.0.0.1", "10.0.0.255", "255.255.255.255"};
    struct sock *socks[4];

    for (int i = 0; i < 4; i++) {
        socks[i] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
        option_set(socks[i], PAL_SO_REUSEADDR, 1);
        cr_assert_eq(bind_to(socks[i], names[i], 5000), 0, "%s", names[i]);
    }
    inject(&(struct spec){.dst = "10.0.0.255", .mac = everybody, .dst_port = 5000, .payload = "to the subnet"});
    inject(&(struct spec){.dst = "255.255.255.255", .mac = everybody, .dst_port = 5000, .payload = "to all"});
    (void)expect_text(socks[0], "to the subnet");
    (void)expect_text(socks[0], "to all");
    (void)expect_text(socks[2], "to the subnet");
    (void)expect_text(socks[3], "to all");
    for (int i = 0; i < 4; i++)
        expect_nothing(socks[i]);
    inject(&(struct spec){.dst = "10.0.0.255", .mac = everybody, .dst_port = 5001, .payload = "nobody"});
    cr_assert_eq(counter(COUNTER_udp_drop_port), 1);
    cr_assert_eq(wire.count, 0, "a broadcast is answered by no error");
}

Test(udp, a_source_that_cannot_be_one_is_dropped) /* udp.bad-src */
{
    static const char *const sources[] = {"224.0.0.9", "255.255.255.255", "10.0.0.255", "127.0.0.1"};
    struct sock *sock = udp_bound("0.0.0.0", 5000);

    for (size_t i = 0; i < 4; i++)
        inject(&(struct spec){.src = sources[i], .dst_port = 5000, .payload = "text"});
    cr_assert_eq(counter(COUNTER_ip4_drop_src), 4);
    cr_assert_eq(counter(COUNTER_udp_in), 0);
    expect_nothing(sock);
    cr_assert_eq(wire.count, 0);
}

/* ---- reading ---- */

Test(udp, what_does_not_fit_is_cut_and_its_size_is_told) /* udp.rcvbuf-drop */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    char room[8] = "";
    struct pal_iov iov[2] = {{room, 3}, {room + 4, 2}};
    struct pal_msg msg = msg_of(iov, room, 3);

    for (int i = 0; i < 4; i++)
        inject(&(struct spec){.dst_port = 5000, .payload = "datagram"});
    cr_assert_eq(pal__n_sock_recv(sock, room, 3, PAL_MSG_PEEK | PAL_MSG_TRUNC), 8);
    cr_assert_eq(pal__n_sock_recv(sock, room, 3, 0), 3);
    msg.iov_count = 2;
    iov[1] = (struct pal_iov){room + 4, 2};
    cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, 1, 0), 1);
    cr_assert_eq(msg.size, 5);
    cr_assert_eq(msg.flags, PAL_MSG_TRUNC);
    cr_assert_arr_eq(room, "dat\0ag\0", 7);
    cr_assert_eq(pal__n_sock_recv_msgs(sock, &msg, 1, PAL_MSG_TRUNC), 1);
    cr_assert_eq(msg.size, 8);
    cr_assert_eq(pal__n_sock_recv(sock, room, 0, 0), 0);
    expect_nothing(sock);
}

Test(udp, a_full_buffer_drops_the_newest) /* udp.rcvbuf-drop */
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    uint32_t received = 0;
    char room[2000];

    option_set(sock, PAL_SO_RCVBUF, 16384);
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t bytes[1000] = {(uint8_t)i};

        inject(&(struct spec){.dst_port = 5000, .payload = bytes, .size = sizeof(bytes)});
    }
    cr_assert_eq(stack->held_frames, 40 - counter(COUNTER_udp_drop_full));
    while (pal__n_sock_recv(sock, room, sizeof(room), 0) == 1000)
        cr_assert_eq(room[0], (char)received++);
    cr_assert(received >= 13 && received <= 16, "%u", received);
    cr_assert_eq(counter(COUNTER_udp_drop_full), 40 - received);
    cr_assert_eq(udp_of(sock)->queued_bytes, 0);
}

Test(udp, frames_are_lent_with_their_senders)
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    struct frame *frames[4];
    struct pal_addr from[4];
    struct pal_msg msg;

    cr_assert_eq(pal__n_sock_recv_frames(sock, frames, from, 4), PAL_EAGAIN);
    inject(&(struct spec){.dst_port = 5000, .payload = "one", .tos = 0x28});
    inject(&(struct spec){.dst_port = 5000, .src_port = 7001, .payload = "second"});
    option_set(sock, PAL_SO_RECV_TOS, 1);
    cr_assert_eq(pal__n_sock_recv_frames(sock, frames, from, 4), 2);
    cr_assert_eq(frames[0]->size, 3);
    cr_assert_arr_eq(frames[1]->data, "second", 6);
    assert_addr(&from[1], "10.0.0.2", 7001);
    memset(&msg, 0, sizeof(msg));
    msg.want = PAL_META_TOS | PAL_META_TTL;
    pal__n_udp_describe(sock, frames[0], &msg);
    cr_assert(msg.have == PAL_META_TOS && msg.tos == 0x28);
    cr_assert_eq(stack->held_frames, 0);
    frame_free(frames[0]);
    frame_free(frames[1]);
}
