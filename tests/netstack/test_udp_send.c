/* tests/netstack/test_udp_send.c: UDP over a whole stack: what is sent, what is refused, what bounces, and IPv4 beside
 * IPv6. What is received is in test_udp.c. */
#include "sock_world.h"

TestSuite(udp_send, .init = begin, .fini = end);

/* ---- sending ---- */

Test(udp_send, a_datagram_on_the_wire)
{
    struct sock *sock = udp_bound("10.0.0.9", 5000);
    const uint8_t *at;

    option_set(sock, PAL_SO_TOS, 0xb8);
    option_set(sock, PAL_SO_TTL, 9);
    cr_assert_eq(send_to(sock, "10.0.0.2", 6000, "text"), 4);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(wire.count, 1);
    at = last();
    cr_assert(at[IP4_TTL] == 9 && at[IP4_TOS] == 0xb8 && at[IP4_PROTOCOL] == PAL_IPPROTO_UDP);
    cr_assert_eq(get16(at + IP4_FRAGMENT), IP4_DF, "path MTU discovery is the default");
    cr_assert_arr_eq(at + IP4_SRC, "\x0a\0\0\x09", 4);
    cr_assert(get16(at + IP4_SIZE + UDP_SRC) == 5000 && get16(at + IP4_SIZE + UDP_DST) == 6000);
    cr_assert(udp_is_intact(at));
    cr_assert_arr_eq(at + IP4_SIZE + UDP_SIZE, "text", 4);
    option_set(sock, PAL_SO_MTU_DISCOVER, 0);
    cr_assert_eq(send_to(sock, "10.0.0.2", 6000, "text"), 4);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(get16(last() + IP4_FRAGMENT), 0);
}

Test(udp_send, pieces_of_odd_sizes_are_summed_right)
{
    struct sock *sock = udp_bound("fd00::1", 5000);
    struct pal_addr to = addr("fd00::2", 6000);
    char bytes[] = "abcdefghijklmno";
    struct pal_iov pieces[4] = {{bytes, 1}, {bytes + 1, 3}, {NULL, 0}, {bytes + 4, 7}};
    struct pal_iov unused;
    struct pal_msg msg = msg_of(&unused, NULL, 0);

    msg.iov = pieces;
    msg.iov_count = 4;
    msg.addr = &to;
    cr_assert_eq(pal__n_sock_send_msgs(sock, &msg, 1, 0), 1);
    cr_assert_eq(msg.size, 11);
    pal__n_stack_flush(stack, now_ns);
    cr_assert(udp_is_intact(last()));
    cr_assert_arr_eq(last() + IP6_SIZE + UDP_SIZE, "abcdefghijk", 11);
}

Test(udp_send, a_port_that_sums_is_left_to_do_it)
{
    struct sock *sock = udp_bound("10.0.0.1", 5000);
    const uint8_t *at;
    struct ip src = ip("10.0.0.1"), dst = ip("10.0.0.2");

    eth->caps.flags |= NIC_TX_CHECKSUM;
    cr_assert_eq(send_to(sock, "10.0.0.2", 6000, "text"), 4);
    pal__n_stack_flush(stack, now_ns);
    at = last() + IP4_SIZE;
    cr_assert_eq(get16(at + UDP_CHECKSUM),
                 pal__n_checksum_fold(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_UDP, 12)));
}

Test(udp_send, a_large_datagram_is_cut_up_or_refused)
{
    static uint8_t bytes[4000];
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    cr_assert_eq(connect_to(sock, "10.0.0.2", 6000), 0);
    cr_assert_eq(option_of(sock, PAL_SO_MTU), WIRE_MTU);
    cr_assert_eq(pal__n_sock_send(sock, bytes, sizeof(bytes), 0), sizeof(bytes));
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(wire.count, 3);
    cr_assert_eq(get16(wire.records[0].bytes + ETH_SIZE + IP4_FRAGMENT), IP4_MF);
    option_set(sock, PAL_SO_MTU_DISCOVER, 2);
    cr_assert_eq(pal__n_sock_send(sock, bytes, sizeof(bytes), 0), PAL_EMSGSIZE);
    cr_assert_eq(pal__n_sock_send(sock, bytes, 1473, 0), PAL_EMSGSIZE);
    cr_assert_eq(pal__n_sock_send(sock, bytes, 1472, 0), 1472);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(wire.count, 4);
}

Test(udp_send, a_broadcast_needs_leave)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), *local = udp_bound("0.0.0.0", 5001);

    cr_assert_eq(send_to(sock, "10.0.0.255", 5000, "may I"), PAL_EACCES);
    cr_assert_eq(send_to(sock, "255.255.255.255", 5000, "may I"), PAL_EACCES);
    cr_assert_eq(connect_to(sock, "10.0.0.255", 5000), PAL_EACCES);
    cr_assert_eq(send_to(sock, "127.255.255.255", 5001, "may I"), PAL_EACCES);
    option_set(sock, PAL_SO_BROADCAST, 1);
    cr_assert_eq(send_to(sock, "255.255.255.255", 5000, "hear ye"), 7);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(wire.count, 1);
    cr_assert_arr_eq(recorder_last(&wire), "\xff\xff\xff\xff\xff\xff", 6);
    cr_assert_eq(send_to(sock, "127.255.255.255", 5001, "hear ye"), 7);
    settle();
    (void)expect_text(local, "hear ye");
    cr_assert_eq(connect_to(sock, "10.0.0.255", 5000), 0);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), 1);
    option_set(sock, PAL_SO_BROADCAST, 0);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), PAL_EACCES);
}

Test(udp_send, what_cannot_be_sent_is_refused)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), *bound = udp_bound("127.0.0.1", 0);

    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), PAL_EDESTADDRREQ);
    cr_assert_eq(send_to(sock, "10.0.0.2", 0, "x"), PAL_EINVAL);
    cr_assert_eq(send_to(sock, "192.0.2.1", 9, "x"), PAL_ENETUNREACH);
    cr_assert_eq(send_to(sock, "fd00::2", 9, "x"), PAL_EAFNOSUPPORT);
    cr_assert_eq(send_to(bound, "10.0.0.2", 9, "x"), PAL_EINVAL, "from loopback");
    cr_assert_eq(name_of(sock, PAL_NAME_LOCAL).port, 0, "no failed send names the socket");
    settle();
    cr_assert_eq(wire.count, 0);
}

/* ---- room ---- */

Test(udp_send, a_full_port_says_not_now_and_then_that_there_is_room)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), *ready[2];
    int sent = 0;

    cr_assert_eq(connect_to(sock, "10.0.0.2", 6000), 0);
    pal__n_sock_watch(sock, PAL_OUT);
    wire.room = 0;
    while (pal__n_sock_send(sock, "x", 1, 0) == 1)
        sent++;
    cr_assert_eq(sent, IFACE_PENDING_MAX);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), PAL_EAGAIN);
    cr_assert_eq(pal__n_sock_ready(sock), 0);
    cr_assert_eq(pal__n_stack_ready(stack, ready, 2), 0);
    pal__n_sock_watch(sock, 0);
    pal__n_sock_watch(sock, PAL_OUT); /* anew, while there is none */
    wire.room = 1;
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(pal__n_stack_ready(stack, ready, 2), 1);
    cr_assert_eq(ready[0], sock);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), 1);
    wire.room = UINT32_MAX;
    settle();
    cr_assert_eq(counter(COUNTER_udp_out), (uint64_t)sent + 1);
}

/* ---- what bounces ---- */

/* An ICMP error about the last datagram on the wire, quoting up to 64 bytes of it. */
static void bounce(uint8_t type, uint8_t code, uint32_t word)
{
    uint8_t message[8 + 64];
    uint32_t size = get16(last() + IP4_TOTAL) < 64 ? get16(last() + IP4_TOTAL) : 64;

    memset(message, 0, sizeof(message));
    message[0] = type;
    message[1] = code;
    put32(message + 4, word);
    memcpy(message + 8, last(), size);
    put16(message + 2, checksum_finish(pal__n_checksum_add(0, message, 8 + size)));
    inject(&(struct spec){.src = "10.0.0.3", .protocol = PAL_IPPROTO_ICMP, .payload = message, .size = 8 + size});
}

static void send_out(struct sock *sock, const char *text)
{
    cr_assert_eq(send_to(sock, "10.0.0.2", 6000, text), (int)strlen(text));
    pal__n_stack_flush(stack, now_ns);
}

Test(udp_send, what_bounces_is_told_once_to_a_connected_socket) /* sock.so-error, udp.icmp-pass */
{
    struct sock *sock = udp_bound("10.0.0.1", 5000);

    cr_assert_eq(connect_to(sock, "10.0.0.2", 6000), 0);
    send_out(sock, "x");
    bounce(3, 1, 0);
    expect_nothing(sock); /* unreachable hosts may come back: a hint only */
    bounce(3, 3, 0);
    cr_assert_eq(pal__n_sock_ready(sock) & PAL_ERR, PAL_ERR);
    cr_assert_eq(option_of(sock, PAL_SO_ERROR), PAL_ECONNREFUSED);
    cr_assert_eq(option_of(sock, PAL_SO_ERROR), 0);
    bounce(3, 3, 0);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), PAL_ECONNREFUSED);
    cr_assert_eq(pal__n_sock_send(sock, "x", 1, 0), 1);
    expect_nothing(sock);
}

Test(udp_send, an_unconnected_socket_is_not_told_of_bounces)
{
    struct sock *sock = udp_bound("10.0.0.1", 5000);

    send_out(sock, "x");
    bounce(3, 3, 0);
    expect_nothing(sock);
    cr_assert_eq(option_of(sock, PAL_SO_ERROR), 0);
    cr_assert_eq(pal__n_sock_ready(sock), PAL_OUT);
}

static int take_notice(struct sock *sock, struct pal_msg *msg, struct pal_addr *to, char *bytes, struct pal_iov *iov)
{
    *msg = msg_of(iov, bytes, 16);
    msg->addr = to;
    msg->want = PAL_META_NOTICE;
    return pal__n_sock_recv_msgs(sock, msg, 1, PAL_MSG_ERRQUEUE);
}

Test(udp_send, who_asks_is_told_of_every_bounce_and_by_whom) /* udp.icmp-pass */
{
    static const uint8_t kinds[][2] = {{3, 3}, {3, 1}, {11, 0}, {12, 0}, {3, 13}};
    struct sock *sock = udp_bound("10.0.0.1", 5000);
    struct pal_addr to;
    struct pal_iov iov;
    struct pal_msg msg;
    char bytes[16];

    option_set(sock, PAL_SO_RECVERR, 1);
    send_out(sock, "bounces");
    for (size_t i = 0; i < 5; i++) {
        wire.count = 1;
        bounce(kinds[i][0], kinds[i][1], 0);
        cr_assert(pal__n_sock_ready(sock) & PAL_ERR);
        cr_assert_eq(take_notice(sock, &msg, &to, bytes, &iov), 1, "type %d", kinds[i][0]);
        cr_assert_eq(msg.have, PAL_META_NOTICE);
        cr_assert_eq(msg.notice.kind, PAL_NOTICE_ERROR);
        cr_assert(msg.notice.icmp_type == kinds[i][0] && msg.notice.icmp_code == kinds[i][1]);
        cr_assert_lt(msg.notice.error, 0);
        assert_addr(&to, "10.0.0.2", 6000);
        assert_addr(&msg.local, "10.0.0.3", 0);
        cr_assert_eq(msg.flags, PAL_MSG_ERRQUEUE);
        cr_assert_eq(msg.size, 7);
        cr_assert_arr_eq(bytes, "bounces", 7);
        cr_assert_eq(option_of(sock, PAL_SO_ERROR), 0, "the error goes with its notice");
    }
    cr_assert_eq(take_notice(sock, &msg, &to, bytes, &iov), PAL_EAGAIN);
    for (int i = 0; i < UDP_NOTICES_MAX + 2; i++)
        bounce(3, 3, 0);
    cr_assert_eq(counter(COUNTER_udp_notice_full), 2);
    for (int i = 0; i < UDP_NOTICES_MAX; i++)
        cr_assert_eq(take_notice(sock, &msg, &to, bytes, &iov), 1);
    cr_assert_eq(take_notice(sock, &msg, &to, bytes, &iov), PAL_EAGAIN);
}

Test(udp_send, a_narrower_path_is_learned) /* icmp.fragneeded-udp */
{
    static uint8_t bytes[1472];
    struct sock *sock = udp_bound("10.0.0.1", 5000);
    struct pal_addr to;
    struct pal_iov iov;
    struct pal_msg msg;

    option_set(sock, PAL_SO_MTU_DISCOVER, 2);
    option_set(sock, PAL_SO_RECVERR, 1);
    cr_assert_eq(connect_to(sock, "10.0.0.2", 6000), 0);
    cr_assert_eq(pal__n_sock_send(sock, bytes, sizeof(bytes), 0), sizeof(bytes));
    pal__n_stack_flush(stack, now_ns);
    bounce(3, 4, 1400);
    cr_assert_eq(option_of(sock, PAL_SO_MTU), 1400);
    cr_assert_eq(take_notice(sock, &msg, &to, (char *)bytes, &iov), 1);
    cr_assert(msg.notice.error == PAL_EMSGSIZE && msg.notice.first == 1400);
    cr_assert_eq(pal__n_sock_send(sock, bytes, sizeof(bytes), 0), PAL_EMSGSIZE);
    cr_assert_eq(take_notice(sock, &msg, &to, (char *)bytes, &iov), 1);
    cr_assert(msg.notice.first == 1400 && msg.notice.icmp_type == 0 && msg.local.family == PAL_AF_UNSPEC);
    cr_assert_eq(pal__n_sock_send(sock, bytes, 1372, 0), 1372);
}

/* ---- two families ---- */

Test(udp_send, a_socket_of_ipv6_speaks_ipv4)
{
    struct sock *dual = udp_bound("::", 5000), *only = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    struct pal_addr from;

    inject(&(struct spec){.dst_port = 5000, .payload = "four"});
    from = expect_text(dual, "four");
    assert_addr(&from, "::ffff:10.0.0.2", 7000);
    inject(&(struct spec){.dst = "fd00::1", .dst_port = 5000, .payload = "six"});
    from = expect_text(dual, "six");
    assert_addr(&from, "fd00::2", 7000);
    cr_assert_eq(send_to(dual, "::ffff:10.0.0.2", 7000, "answer"), 6);
    pal__n_stack_flush(stack, now_ns);
    cr_assert(udp_is_intact(last()) && last()[0] >> 4 == 4);
    cr_assert_eq(connect_to(dual, "::ffff:10.0.0.2", 7000), 0);
    from = name_of(dual, PAL_NAME_LOCAL);
    assert_addr(&from, "::ffff:10.0.0.1", 5000);
    cr_assert_eq(pal__n_sock_connect(dual, NULL), 0);
    from = name_of(dual, PAL_NAME_LOCAL);
    assert_addr(&from, "::", 5000);

    option_set(only, PAL_SO_V6ONLY, 1);
    cr_assert_eq(bind_to(only, "::ffff:10.0.0.1", 5001), PAL_EINVAL);
    cr_assert_eq(bind_to(only, "::", 5001), 0);
    cr_assert_eq(send_to(only, "::ffff:10.0.0.2", 7000, "x"), PAL_ENETUNREACH);
    wire.count = 0;
    inject(&(struct spec){.dst_port = 5001, .payload = "four"});
    expect_nothing(only);
    cr_assert_eq(wire.count, 1, "port unreachable");
}

Test(udp_send, a_link_local_peer_is_named_with_its_interface)
{
    struct sock *sock = udp_bound("::", 5000);
    struct pal_addr from, peer = addr("fe80::2", 7000);

    inject(&(struct spec){.src = "fe80::2", .dst = "fe80::ff:fe00:1", .dst_port = 5000, .payload = "question"});
    from = expect_text(sock, "question");
    assert_addr(&from, "fe80::2%2", 7000);
    cr_assert_eq(pal__n_sock_connect(sock, &peer), PAL_EINVAL, "which of the links is it?");
    cr_assert_eq(pal__n_sock_connect(sock, &from), 0);
    cr_assert_eq(pal__n_sock_send(sock, "answer", 6, 0), 6);
    pal__n_stack_flush(stack, now_ns);
    cr_assert(udp_is_intact(last()));
    from = name_of(sock, PAL_NAME_PEER);
    assert_addr(&from, "fe80::2%2", 7000);
    inject(&(struct spec){.src = "fe80::2", .dst = "fe80::ff:fe00:1", .dst_port = 5000, .payload = "and another"});
    (void)expect_text(sock, "and another");
    cr_assert_eq(pal__n_sock_connect(sock, NULL), 0);
    cr_assert_eq(sock->scope, 0);
}
