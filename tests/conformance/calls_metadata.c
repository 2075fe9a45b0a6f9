/* calls_metadata.c: what a message tells beside its bytes: where it was sent to, hop limit, traffic class, time,
 * losses, credentials, segments, errors of the network. What a backend lacks is PAL_ENOTSUP at the option and skipped
 * as [sock-option]. */
#include "calls_common.h"

/* One receiver with options on, and the sender. */
struct wire {
    pal_sock sender, receiver;
    struct pal_addr sender_name, receiver_name;
    char bytes[4096];
    struct pal_iov iov;
    struct pal_addr from;
    struct pal_msg msg; /* to receive with */
};

static void wire_open(struct wire *wire, int family)
{
    struct pal_addr any = any_address(family, 0);

    memset(wire, 0, sizeof(*wire));
    wire->sender = sock_bound(family, PAL_SOCK_DGRAM, &wire->sender_name);
    wire->receiver = sock_bound_to(PAL_SOCK_DGRAM, &any);
    wire->receiver_name = loopback(family, any.port);
}

static void wire_close(struct wire *wire)
{
    pair_close(wire->sender, wire->receiver);
}

static void wire_receive(struct wire *wire, uint16_t want)
{
    wire->msg = msg_of(&wire->iov, wire->bytes, sizeof(wire->bytes));
    wire->msg.addr = &wire->from;
    wire->msg.want = want;
    receive_msg(wire->receiver, &wire->msg);
}

static void require_datagram_option(int family, uint32_t option)
{
    pal_sock sock;
    int error;

    if (family == PAL_AF_INET6)
        require_inet6();
    sock = sock_open(family, PAL_SOCK_DGRAM);
    error = option_try(sock, option, 1);
    sock_close(sock);
    if (error == PAL_ENOTSUP)
        test_skip("sock-option", "not of this backend");
    assert_error(error, 0);
}

/* ---- where it was sent to ---- */

static void expect_local(int family, const char *destination)
{
    struct wire wire;
    struct pal_addr to = host_address(destination, 0);

    wire_open(&wire, family);
    to.port = wire.receiver_name.port;
    option_set(wire.receiver, PAL_SO_PKTINFO, 1);
    assert_error(send_to(wire.sender, &to, "where to"), 8);
    wire_receive(&wire, PAL_META_LOCAL);
    cr_assert_eq(wire.msg.have, PAL_META_LOCAL);
    to.port = wire.msg.local.port; /* whether the port is told is the system's */
    assert_same_address(wire.msg.local, to);
    cr_assert_neq(wire.msg.ifindex, 0);
    if (loopback_ifindex() != 0)
        cr_assert_eq(wire.msg.ifindex, loopback_ifindex());
    assert_same_address(wire.from, wire.sender_name);
    wire_close(&wire);
}

Test(calls_metadata, the_destination_is_told)
{
    require_datagram_option(PAL_AF_INET, PAL_SO_PKTINFO);
    expect_local(PAL_AF_INET, "127.0.0.1");
    expect_local(PAL_AF_INET, "127.0.0.2");
}

Test(calls_metadata, the_destination_is_told_over_ipv6)
{
    require_datagram_option(PAL_AF_INET6, PAL_SO_PKTINFO);
    expect_local(PAL_AF_INET6, "::1");
}

static void send_from(struct wire *wire, const struct pal_addr *source, uint32_t ifindex)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "from", 4);

    msg.addr = &wire->receiver_name;
    msg.want = PAL_META_LOCAL;
    msg.local = *source;
    msg.ifindex = ifindex;
    assert_error(pal_sock_send_msgs(wire->sender, &msg, 1, 0), 1);
}

static void expect_source(int family, const char *source)
{
    struct wire wire;
    struct pal_addr any = any_address(family, 0);
    struct pal_addr from = host_address(source, 0);

    wire_open(&wire, family);
    sock_close(wire.sender);
    wire.sender = sock_bound_to(PAL_SOCK_DGRAM, &any);
    send_from(&wire, &from, 0);
    wire_receive(&wire, 0);
    from.port = any.port;
    assert_same_address(wire.from, from);
    send_from(&wire, &from, loopback_ifindex());
    wire_receive(&wire, 0);
    assert_same_address(wire.from, from);
    wire_close(&wire);
}

Test(calls_metadata, the_source_is_chosen_message_by_message)
{
    require_datagram_option(PAL_AF_INET, PAL_SO_PKTINFO);
    expect_source(PAL_AF_INET, "127.0.0.1");
    expect_source(PAL_AF_INET, "127.0.0.3");
}

Test(calls_metadata, the_source_is_chosen_message_by_message_over_ipv6)
{
    require_datagram_option(PAL_AF_INET6, PAL_SO_PKTINFO);
    expect_source(PAL_AF_INET6, "::1");
}

Test(calls_metadata, a_source_that_is_not_ours_is_refused)
{
    struct wire wire;
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "from", 4);

    require_datagram_option(PAL_AF_INET, PAL_SO_PKTINFO);
    wire_open(&wire, PAL_AF_INET);
    msg.addr = &wire.receiver_name;
    msg.want = PAL_META_LOCAL;
    msg.local = host_address("192.0.2.1", 0);
    cr_assert_lt(pal_sock_send_msgs(wire.sender, &msg, 1, 0), 0);
    msg.local = loopback(PAL_AF_INET6, 0);
    cr_assert_lt(pal_sock_send_msgs(wire.sender, &msg, 1, 0), 0, "another family's source");
    wire_close(&wire);
}

/* ---- hop limit and traffic class ---- */

static void expect_header_fields(int family)
{
    struct wire wire;
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "own", 3);

    wire_open(&wire, family);
    option_set(wire.receiver, PAL_SO_RECV_TTL, 1);
    option_set(wire.receiver, PAL_SO_RECV_TOS, 1);
    option_set(wire.sender, PAL_SO_TTL, 42);
    option_set(wire.sender, PAL_SO_TOS, 0x28);
    assert_error(send_to(wire.sender, &wire.receiver_name, "socket's"), 8);
    wire_receive(&wire, PAL_META_TTL | PAL_META_TOS);
    cr_assert_eq(wire.msg.have, PAL_META_TTL | PAL_META_TOS);
    cr_assert_eq(wire.msg.ttl, 42);
    cr_assert_eq(wire.msg.tos, 0x28);

    msg.addr = &wire.receiver_name;
    msg.want = PAL_META_TTL | PAL_META_TOS;
    msg.ttl = 7;
    msg.tos = 0xb8;
    assert_error(pal_sock_send_msgs(wire.sender, &msg, 1, 0), 1);
    wire_receive(&wire, PAL_META_TTL | PAL_META_TOS);
    cr_assert_eq(wire.msg.ttl, 7);
    cr_assert_eq(wire.msg.tos, 0xb8);

    assert_error(send_to(wire.sender, &wire.receiver_name, "again the socket's"), 18);
    wire_receive(&wire, PAL_META_TTL | PAL_META_TOS);
    cr_assert_eq(wire.msg.ttl, 42);
    cr_assert_eq(wire.msg.tos, 0x28);
    wire_close(&wire);
}

Test(calls_metadata, hop_limit_and_traffic_class_are_told_and_chosen)
{
    require_datagram_option(PAL_AF_INET, PAL_SO_RECV_TTL);
    require_datagram_option(PAL_AF_INET, PAL_SO_RECV_TOS);
    expect_header_fields(PAL_AF_INET);
}

Test(calls_metadata, hop_limit_and_traffic_class_are_told_and_chosen_over_ipv6)
{
    require_datagram_option(PAL_AF_INET6, PAL_SO_RECV_TTL);
    require_datagram_option(PAL_AF_INET6, PAL_SO_RECV_TOS);
    expect_header_fields(PAL_AF_INET6);
}

/* ---- IPv4 over a socket of IPv6 ---- */

/* The receiver is dual-stack; the sender is what family says, and sends IPv4 in either case. */
static void dual_wire_open(struct wire *wire, int sender_family)
{
    struct pal_addr any = any_address(PAL_AF_INET6, 0);

    memset(wire, 0, sizeof(*wire));
    wire->receiver = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    option_set(wire->receiver, PAL_SO_V6ONLY, 0);
    assert_error(pal_sock_bind(wire->receiver, &any), 0);
    any = name_of(wire->receiver, PAL_NAME_LOCAL);
    wire->receiver_name = host_address(sender_family == PAL_AF_INET ? "127.0.0.1" : "::ffff:127.0.0.1", any.port);
    wire->sender = sock_open(sender_family, PAL_SOCK_DGRAM);
    if (sender_family == PAL_AF_INET6)
        option_set(wire->sender, PAL_SO_V6ONLY, 0);
}

static void send_fields(struct wire *wire, struct pal_addr *to, uint8_t ttl, uint8_t tos)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "own", 3);

    msg.addr = to;
    msg.want = PAL_META_TTL | PAL_META_TOS;
    msg.ttl = ttl;
    msg.tos = tos;
    assert_error(pal_sock_send_msgs(wire->sender, &msg, 1, 0), 1);
}

static void expect_fields(struct wire *wire, uint8_t ttl, uint8_t tos)
{
    wire_receive(wire, PAL_META_TTL | PAL_META_TOS | PAL_META_LOCAL);
    cr_assert_eq(wire->msg.have, PAL_META_TTL | PAL_META_TOS | PAL_META_LOCAL, "%#x", wire->msg.have);
    cr_assert(wire->msg.ttl == ttl && wire->msg.tos == tos, "%d %#x", wire->msg.ttl, wire->msg.tos);
    cr_assert_eq(wire->msg.local.family, PAL_AF_INET6);
}

Test(calls_metadata, ipv4_over_a_socket_of_ipv6_tells_and_chooses_the_same)
{
    static const int families[] = {PAL_AF_INET, PAL_AF_INET6};

    require_datagram_option(PAL_AF_INET6, PAL_SO_RECV_TTL);
    require_datagram_option(PAL_AF_INET6, PAL_SO_PKTINFO);
    for (int i = 0; i < 2; i++) {
        struct wire wire;

        dual_wire_open(&wire, families[i]);
        option_set(wire.receiver, PAL_SO_RECV_TTL, 1);
        option_set(wire.receiver, PAL_SO_RECV_TOS, 1);
        option_set(wire.receiver, PAL_SO_PKTINFO, 1);
        option_set(wire.sender, PAL_SO_TTL, 42);
        option_set(wire.sender, PAL_SO_TOS, 0x28);
        assert_error(send_to(wire.sender, &wire.receiver_name, "socket's"), 8);
        expect_fields(&wire, 42, 0x28);
        send_fields(&wire, &wire.receiver_name, 7, 0xb8);
        expect_fields(&wire, 7, 0xb8);
        assert_error(pal_sock_connect(wire.sender, &wire.receiver_name), 0);
        send_fields(&wire, NULL, 8, 0x10);
        expect_fields(&wire, 8, 0x10);
        send_text(wire.sender, "the socket's again");
        expect_fields(&wire, 42, 0x28);
        option_set(wire.receiver, PAL_SO_RECV_TTL, 0);
        send_text(wire.sender, "less");
        wire_receive(&wire, PAL_META_TTL | PAL_META_TOS);
        cr_assert_eq(wire.msg.have, PAL_META_TOS);
        wire_close(&wire);
    }
}

Test(calls_metadata, ipv6_beside_it_stays_as_it_is)
{
    struct wire wire;
    struct pal_addr to;

    require_datagram_option(PAL_AF_INET6, PAL_SO_RECV_TTL);
    dual_wire_open(&wire, PAL_AF_INET6);
    option_set(wire.receiver, PAL_SO_RECV_TTL, 1);
    option_set(wire.receiver, PAL_SO_RECV_TOS, 1);
    option_set(wire.receiver, PAL_SO_PKTINFO, 1);
    to = loopback(PAL_AF_INET6, wire.receiver_name.port);
    send_fields(&wire, &to, 9, 0x48);
    expect_fields(&wire, 9, 0x48);
    wire_close(&wire);
}

/* ---- wanted, switched on, both ---- */

Test(calls_metadata, only_what_is_switched_on_and_wanted_is_told)
{
    const uint32_t all = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME | PAL_META_DROPPED |
                         PAL_META_GSO | PAL_META_SOCKS | PAL_META_CRED | PAL_META_NOTICE;
    struct wire wire;

    require_datagram_option(PAL_AF_INET, PAL_SO_PKTINFO);
    require_datagram_option(PAL_AF_INET, PAL_SO_RECV_TTL);
    wire_open(&wire, PAL_AF_INET);
    assert_error(send_to(wire.sender, &wire.receiver_name, "nothing is on"), 13);
    wire_receive(&wire, all);
    cr_assert_eq(wire.msg.have, 0, "%#x", wire.msg.have);
    option_set(wire.receiver, PAL_SO_PKTINFO, 1);
    option_set(wire.receiver, PAL_SO_RECV_TTL, 1);
    assert_error(send_to(wire.sender, &wire.receiver_name, "nothing is wanted"), 17);
    wire_receive(&wire, 0);
    cr_assert_eq(wire.msg.have, 0, "%#x", wire.msg.have);
    cr_assert_eq(wire.msg.flags, 0, "what nobody wants is not missed: %#x", wire.msg.flags);
    assert_error(send_to(wire.sender, &wire.receiver_name, "one of two is wanted"), 20);
    wire_receive(&wire, PAL_META_TTL);
    cr_assert_eq(wire.msg.have, PAL_META_TTL);
    assert_error(send_to(wire.sender, &wire.receiver_name, "both are wanted"), 15);
    wire_receive(&wire, all);
    cr_assert_eq(wire.msg.have, PAL_META_LOCAL | PAL_META_TTL);
    wire_close(&wire);
}

Test(calls_metadata, a_batch_tells_what_a_single_message_tells)
{
    struct wire wire;
    struct pal_iov iovs[2];
    struct pal_msg msgs[2];

    require_datagram_option(PAL_AF_INET, PAL_SO_PKTINFO);
    wire_open(&wire, PAL_AF_INET);
    option_set(wire.receiver, PAL_SO_PKTINFO, 1);
    for (uint16_t want = 0; want <= PAL_META_LOCAL; want = (uint16_t)(want + PAL_META_LOCAL)) {
        assert_error(send_to(wire.sender, &wire.receiver_name, "one"), 3);
        assert_error(send_to(wire.sender, &wire.receiver_name, "two"), 3);
        wire_receive(&wire, want);
        for (int i = 0; i < 2; i++) {
            msgs[i] = msg_of(&iovs[i], wire.bytes, sizeof(wire.bytes));
            msgs[i].want = want;
        }
        cr_assert(sock_until(wire.receiver, PAL_IN));
        assert_error(pal_sock_recv_msgs(wire.receiver, msgs, 2, 0), 1);
        cr_assert_eq(msgs[0].have, wire.msg.have);
        cr_assert_eq(msgs[0].flags, wire.msg.flags, "%#x in a batch, %#x alone", msgs[0].flags, wire.msg.flags);
        cr_assert_eq(msgs[0].ifindex, wire.msg.ifindex);
    }
    wire_close(&wire);
}

/* ---- time ---- */

Test(calls_metadata, the_time_of_receipt_is_told)
{
    const uint64_t slack_ns = 1000 * MILLISECOND_NS; /* between the system's clock and ours */
    struct wire wire;
    uint64_t before, after;

    require_datagram_option(PAL_AF_INET, PAL_SO_TIMESTAMP);
    wire_open(&wire, PAL_AF_INET);
    option_set(wire.receiver, PAL_SO_TIMESTAMP, 1);
    before = pal_clock(PAL_CLOCK_REAL);
    for (uint64_t last = 0, i = 0; i < 3; i++) {
        assert_error(send_to(wire.sender, &wire.receiver_name, "now"), 3);
        wire_receive(&wire, PAL_META_TIME);
        after = pal_clock(PAL_CLOCK_REAL);
        cr_assert_eq(wire.msg.have, PAL_META_TIME);
        cr_assert_neq(wire.msg.stamp.system_ns, 0);
        cr_assert_geq(wire.msg.stamp.system_ns + slack_ns, before);
        cr_assert_leq(wire.msg.stamp.system_ns, after + slack_ns);
        cr_assert_geq(wire.msg.stamp.system_ns, last, "a later message is older");
        last = wire.msg.stamp.system_ns;
    }
    wire_close(&wire);
}

/* ---- losses ---- */

/* Whether a message comes within 10 ms. */
static bool receive_soon(struct wire *wire, uint16_t want)
{
    struct pal_wait item;

    memset(&item, 0, sizeof(item));
    item.sock = wire->receiver;
    item.interest = PAL_IN;
    if (pal_sock_wait(&item, 1, deadline_after(10 * MILLISECOND_NS)) == 0)
        return false;
    wire_receive(wire, want);
    return true;
}

/* Datagrams may be on their way for a while: when none comes any more, smaller ones are sent, the first of one byte,
 * the next of two, until one arrives, which tells of all that were sent before it. */
Test(calls_metadata, losses_are_counted)
{
    enum { SENT = 2000, LATER_MAX = 100 };
    static const char bytes[1000] = {0};
    struct wire wire;
    uint32_t received = 0;
    bool later_one_came = false;

    require_datagram_option(PAL_AF_INET, PAL_SO_DROPS);
    wire_open(&wire, PAL_AF_INET);
    option_set(wire.receiver, PAL_SO_DROPS, 1);
    option_set(wire.receiver, PAL_SO_RCVBUF, 8192);
    assert_error(pal_sock_connect(wire.sender, &wire.receiver_name), 0);
    for (int i = 0; i < SENT; i++)
        assert_error(pal_sock_send(wire.sender, bytes, sizeof(bytes), 0), (int)sizeof(bytes));
    for (int later = 1; later <= LATER_MAX && !later_one_came; later++) {
        for (; !later_one_came && receive_soon(&wire, PAL_META_DROPPED); received += !later_one_came)
            later_one_came = wire.msg.size < (int)sizeof(bytes);
        if (!later_one_came)
            assert_error(pal_sock_send(wire.sender, bytes, (size_t)later, 0), later);
    }
    cr_assert(later_one_came);
    cr_assert_lt(received, SENT, "nothing was lost");
    cr_assert_eq(wire.msg.have, PAL_META_DROPPED);
    cr_assert_eq(wire.msg.dropped, SENT + (uint32_t)wire.msg.size - 1 - received);
    wire_close(&wire);
}

/* ---- segments ---- */

/* Sends 1000 bytes as ten datagrams. */
static void send_segments(struct wire *wire, bool by_option)
{
    char bytes[1000];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i / 100);
    msg.addr = &wire->receiver_name;
    if (by_option) {
        option_set(wire->sender, PAL_SO_GSO, 100);
    } else {
        msg.want = PAL_META_GSO;
        msg.gso_size = 100;
    }
    assert_error(pal_sock_send_msgs(wire->sender, &msg, 1, 0), 1);
    assert_error(msg.size, 1000);
}

Test(calls_metadata, a_send_is_cut_into_segments)
{
    struct wire wire;

    require_datagram_option(PAL_AF_INET, PAL_SO_GSO);
    wire_open(&wire, PAL_AF_INET);
    for (int by_option = 0; by_option < 2; by_option++) {
        send_segments(&wire, by_option);
        for (int i = 0; i < 10; i++) {
            wire_receive(&wire, PAL_META_GSO);
            assert_error(wire.msg.size, 100);
            cr_assert_eq(wire.msg.have, 0);
            cr_assert(wire.bytes[0] == i && wire.bytes[99] == i, "segment %d is number %d", i, wire.bytes[0]);
        }
        assert_error(pal_sock_recv(wire.receiver, wire.bytes, 1, 0), PAL_EAGAIN);
    }
    wire_close(&wire);
}

Test(calls_metadata, segments_are_received_in_a_row)
{
    struct wire wire;

    require_datagram_option(PAL_AF_INET, PAL_SO_GSO);
    require_datagram_option(PAL_AF_INET, PAL_SO_GRO);
    wire_open(&wire, PAL_AF_INET);
    option_set(wire.receiver, PAL_SO_GRO, 1);
    send_segments(&wire, false);
    for (int32_t done = 0; done < 1000; done += wire.msg.size) {
        wire_receive(&wire, PAL_META_GSO);
        cr_assert(wire.msg.size > 0 && wire.msg.size % 100 == 0, "%d bytes", wire.msg.size);
        cr_assert_eq(wire.bytes[0], done / 100);
        if (wire.msg.size > 100)
            cr_assert_eq(wire.msg.have, PAL_META_GSO, "several datagrams in a row, and nothing tells");
        if (wire.msg.have & PAL_META_GSO)
            cr_assert_eq(wire.msg.gso_size, 100);
    }
    wire_close(&wire);
}

/* ---- credentials ---- */

static void expect_credentials(enum pair_kind kind)
{
    char bytes[8];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));
    uint64_t process = 0;
    pal_sock a, b;

    assert_error(pal_info(PAL_INFO_PROCESS_ID, &process), 0);
    pair_open(kind, &a, &b);
    option_set(b, PAL_SO_PASSCRED, 1);
    send_text(a, "who");
    msg.want = PAL_META_CRED;
    receive_msg(b, &msg);
    assert_error(msg.size, 3);
    cr_assert_eq(msg.have, PAL_META_CRED);
    cr_assert_eq(msg.cred[0], process);
    option_set(b, PAL_SO_PASSCRED, 0);
    send_text(a, "who");
    receive_msg(b, &msg);
    cr_assert_eq(msg.have, 0);
    pair_close(a, b);
}

Test(calls_metadata, the_sender_is_told)
{
    pal_sock a, b;
    int error;

    require_pair(PAIR_UNIX_DGRAM);
    pair_open(PAIR_UNIX_DGRAM, &a, &b);
    error = option_try(a, PAL_SO_PASSCRED, 1);
    pair_close(a, b);
    if (error == PAL_ENOTSUP)
        test_skip("sock-option", "PAL_SO_PASSCRED");
    expect_credentials(PAIR_UNIX_DGRAM);
    expect_credentials(PAIR_UNIX_STREAM);
    expect_credentials(PAIR_UNIX_SEQPACKET);
}

/* ---- errors of the network, raw: control data of kinds that are not asked for. See calls_notices.c ---- */

/* A datagram bounces; returns with the error ready to be read. */
static void bounce(struct wire *wire)
{
    sock_close(wire->receiver);
    option_set(wire->sender, PAL_SO_RECVERR, 1);
    assert_error(pal_sock_connect(wire->sender, &wire->receiver_name), 0);
    send_text(wire->sender, "bounces");
    cr_assert(sock_until(wire->sender, 0) & PAL_ERR);
}

Test(calls_metadata, an_error_queue_gives_back_what_bounced_and_why)
{
    struct wire wire;
    uint64_t control[32];

    require_datagram_option(PAL_AF_INET, PAL_SO_RECVERR);
    wire_open(&wire, PAL_AF_INET);
    bounce(&wire);
    wire.msg = msg_of(&wire.iov, wire.bytes, sizeof(wire.bytes));
    wire.msg.addr = &wire.from;
    wire.msg.raw = control;
    wire.msg.raw_size = sizeof(control);
    assert_error(pal_sock_recv_msgs(wire.sender, &wire.msg, 1, PAL_MSG_ERRQUEUE), 1);
    assert_error(wire.msg.size, 7);
    cr_assert_arr_eq(wire.bytes, "bounces", 7);
    cr_assert_eq(wire.msg.flags & PAL_MSG_ERRQUEUE, PAL_MSG_ERRQUEUE);
    cr_assert_eq(wire.msg.flags & PAL_MSG_CTRUNC, 0);
    if (is_native(wire.sender)) /* a user-space stack has no form of its own for it (pal/types.h) */
        cr_assert(wire.msg.raw_size > 0 && wire.msg.raw_size <= sizeof(control), "%u bytes", wire.msg.raw_size);
    else
        cr_assert_eq(wire.msg.raw_size, 0, "%u bytes", wire.msg.raw_size);
    assert_same_address(wire.from, wire.receiver_name);
    assert_error(pal_sock_recv_msgs(wire.sender, &wire.msg, 1, PAL_MSG_ERRQUEUE), PAL_EAGAIN);
    sock_close(wire.sender);
}

Test(calls_metadata, control_data_that_does_not_fit_is_flagged)
{
    struct wire wire;
    uint64_t control[2] = {0, 0x5a5a5a5a5a5a5a5a};

    require_datagram_option(PAL_AF_INET, PAL_SO_RECVERR);
    wire_open(&wire, PAL_AF_INET);
    bounce(&wire);
    wire.msg = msg_of(&wire.iov, wire.bytes, sizeof(wire.bytes));
    wire.msg.raw = control;
    wire.msg.raw_size = 8;
    assert_error(pal_sock_recv_msgs(wire.sender, &wire.msg, 1, PAL_MSG_ERRQUEUE), 1);
    assert_error(wire.msg.size, 7);
    cr_assert_eq(wire.msg.flags & PAL_MSG_CTRUNC, is_native(wire.sender) ? PAL_MSG_CTRUNC : 0);
    cr_assert_leq(wire.msg.raw_size, 8);
    cr_assert_eq(control[1], 0x5a5a5a5a5a5a5a5a, "written beyond the room");
    sock_close(wire.sender);
}
