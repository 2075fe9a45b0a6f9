/* features.c: what the kernel's fast features cost and save, counted: asking which there are, datagrams in one call,
 * acknowledgements without delay, sends without a copy whose notices nobody takes. That they work is shown by
 * tests/conformance/calls_offload.c, calls_zerocopy.c and calls_stamps.c. Rules 9 and 16. */
#include "kernel.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { TIMES = 100 };

/* ---- which there are ---- */

static void ask(void *arg)
{
    syscount_begin();
    for (int i = 0; i < *(const int *)arg; i++)
        must(pal_backend_info()->caps != 0);
    syscount_end();
}

Test(features, what_there_is_is_asked_once)
{
    static int once = 1, often = TIMES;
    unsigned first = calls_of(ask, &once).total;

    cr_assert_leq(first, 18);
    cr_assert_eq(calls_of(ask, &often).total, first, "asked again");
}

static bool knows(int type, int level, int name)
{
    int value = 0, fd = socket(AF_INET, type, 0);
    socklen_t size = sizeof(value);
    bool known = getsockopt(fd, level, name, &value, &size) == 0;

    cr_assert_geq(fd, 0);
    (void)close(fd);
    return known;
}

Test(features, what_there_is_is_what_the_kernel_knows)
{
    static const struct {
        uint64_t cap;
        int type, level, name;
    } options[] = {
        {PAL_CAP_STAMPS, SOCK_DGRAM, SOL_SOCKET, SO_TIMESTAMPING},
        {PAL_CAP_GSO, SOCK_DGRAM, IPPROTO_UDP, 103},
        {PAL_CAP_BUSY_POLL, SOCK_DGRAM, SOL_SOCKET, SO_BUSY_POLL},
        {PAL_CAP_PREFER_BUSY_POLL, SOCK_DGRAM, SOL_SOCKET, 69},
        {PAL_CAP_INCOMING_CPU, SOCK_STREAM, SOL_SOCKET, SO_INCOMING_CPU},
        {PAL_CAP_TX_COMPLETION, SOCK_STREAM, SOL_SOCKET, SO_ZEROCOPY},
        {PAL_CAP_QUICKACK, SOCK_STREAM, IPPROTO_TCP, TCP_QUICKACK},
        {PAL_CAP_USER_TIMEOUT, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        cr_expect_eq(has_caps(options[i].cap), knows(options[i].type, options[i].level, options[i].name),
                     "capability %#lx", (unsigned long)options[i].cap);
    cr_expect(has_caps(PAL_CAP_SENDFILE));
}

/* ---- IPv4 over IPv6: both levels are set ---- */

static int native_option(pal_sock sock, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    cr_assert_eq(getsockopt(native_of(sock), level, name, &value, &size), 0);
    return value;
}

Test(features, a_socket_of_ipv6_has_its_fields_at_both_levels)
{
    static const struct {
        uint32_t option;
        int name4, name6, value;
    } fields[] = {
        {PAL_SO_TTL, IP_TTL, IPV6_UNICAST_HOPS, 42},
        {PAL_SO_TOS, IP_TOS, IPV6_TCLASS, 0x28},
        {PAL_SO_MTU_DISCOVER, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, 2},
        {PAL_SO_RECV_TTL, IP_RECVTTL, IPV6_RECVHOPLIMIT, 1},
        {PAL_SO_RECV_TOS, IP_RECVTOS, IPV6_RECVTCLASS, 1},
        {PAL_SO_RECVERR, IP_RECVERR, IPV6_RECVERR, 1},
        {PAL_SO_MCAST_TTL, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, 5},
        {PAL_SO_MCAST_LOOP, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, 0},
    };
    pal_sock sock;

    if (!pair_available(PAIR_TCP6))
        test_skip("inet6", "no loopback address ::1");
    assert_error(pal_sock_open(NULL, PAL_AF_INET6, PAL_SOCK_DGRAM, 0, &sock), 0);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        int32_t value = fields[i].value;

        assert_error(pal_sock_set(sock, fields[i].option, &value, sizeof(value)), 0);
        cr_assert_eq(native_option(sock, IPPROTO_IPV6, fields[i].name6), value);
        cr_assert_eq(native_option(sock, IPPROTO_IP, fields[i].name4), value);
    }
    assert_error(pal_sock_close(sock), 0);
}

/* ---- many datagrams in one call ---- */

enum { SEGMENTS = 60, SEGMENT = 1000 };

static void stream_datagrams(void *arg)
{
    static char bytes[SEGMENTS * SEGMENT], room[65536];
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    struct pal_iov out = {bytes, sizeof(bytes)}, in = {room, sizeof(room)};
    struct pal_msg sent, received;
    struct pal_addr addr;
    pal_sock a, b;
    int32_t on = 1;

    (void)arg;
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &a) == 0);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &b) == 0);
    must(pal_addr_set_loopback(&addr, PAL_AF_INET, 0) == 0);
    must(pal_sock_bind(b, &addr) == 0);
    must(pal_sock_name(b, PAL_NAME_LOCAL, &addr) == 0);
    must(pal_sock_connect(a, &addr) == 0);
    must(pal_sock_set(b, PAL_SO_GRO, &on, sizeof(on)) == 0);
    must(pal_watch(poll, b, PAL_IN, 1) == 0);
    memset(&sent, 0, sizeof(sent));
    memset(&received, 0, sizeof(received));
    sent.iov = &out;
    received.iov = &in;
    sent.iov_count = received.iov_count = 1;
    sent.want = received.want = PAL_META_GSO;
    sent.gso_size = SEGMENT;
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_sock_send_msgs(a, &sent, 1, 0) == 1);
        for (int done = 0; done < (int)sizeof(bytes); done += received.size) {
            must(pal_poll_wait(poll, &events, UINT64_MAX) == 1);
            received.want = PAL_META_GSO;
            must(pal_sock_recv_msgs(b, &received, 1, 0) == 1);
            must(received.size > 0);
        }
    }
    syscount_end();
}

/* Sending, waiting and receiving. */
Test(features, a_datagram_among_many_is_a_tenth_of_a_call_at_most)
{
    struct syscount count;

    if (!has_caps(PAL_CAP_GSO | PAL_CAP_GRO))
        test_skip("gro", "this kernel has no segments");
    count = calls_of(stream_datagrams, NULL);
    cr_assert_leq(count.total * 10, SEGMENTS * TIMES, "%u calls for %d datagrams", count.total, SEGMENTS * TIMES);
}

/* ---- acknowledgements ---- */

enum receiver { BY_RECV, BY_FLAGS, BY_MESSAGE, BY_LEASES, RECEIVERS };

struct acknowledging {
    enum receiver how;
    bool always;
};

static void receive_one(pal_sock sock, enum receiver how)
{
    struct pal_lease leases[2];
    struct pal_iov iov;
    struct pal_msg msg;
    char bytes[8];

    iov = (struct pal_iov){bytes, sizeof(bytes)};
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    switch (how) {
    case BY_RECV:
        must(pal_sock_recv(sock, bytes, sizeof(bytes), 0) == 4);
        break;
    case BY_FLAGS:
        must(pal_sock_recv(sock, bytes, sizeof(bytes), PAL_MSG_WAIT) == 4);
        break;
    case BY_MESSAGE:
        must(pal_sock_recv_msgs(sock, &msg, 1, 0) == 1);
        break;
    default:
        must(pal_lease_recv(sock, leases, 2) == 1); /* kept: there are enough */
        break;
    }
}

static void acknowledge(void *arg)
{
    const struct acknowledging *it = (const struct acknowledging *)arg;
    pal_poll *poll = must_open_poll(2, 2 * TIMES);
    int32_t on = it->always;
    char byte;
    pal_sock ends[2];

    must_open_tcp_pair(ends);
    must(pal_sock_set(ends[1], PAL_SO_QUICKACK_ALWAYS, &on, sizeof(on)) == 0);
    if (it->how == BY_LEASES)
        must(pal_watch(poll, ends[1], PAL_IN | PAL_LEASE, 1) == 0);
    for (int i = 0; i < TIMES; i++) {
        struct pal_wait item = {ends[1], PAL_IN, 0, 0};

        must(pal_sock_send(ends[0], "text", 4, 0) == 4);
        must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
        syscount_begin();
        receive_one(ends[1], it->how);
        syscount_end();
        if (it->how != BY_LEASES) {
            syscount_begin();
            must(pal_sock_recv(ends[1], &byte, 1, 0) == PAL_EAGAIN); /* nothing came: nothing to acknowledge */
            must(pal_sock_recv(ends[0], &byte, 1, 0) == PAL_EAGAIN); /* the other end pays nothing */
            syscount_end();
        }
    }
}

Test(features, an_acknowledgement_is_one_call_more_for_its_own_socket_alone)
{
    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this kernel");
    for (int how = 0; how < RECEIVERS; how++) {
        for (int always = 0; always < 2; always++) {
            struct acknowledging it = {(enum receiver)how, always != 0};
            unsigned expected = how == BY_LEASES ? TIMES : 3 * TIMES;
            struct syscount count = calls_of(acknowledge, &it);

            cr_assert_eq(count.total, expected + (always ? TIMES : 0), "by %d: %u calls", how, count.total);
        }
    }
}

static void acknowledge_by_inheritance(void *arg)
{
    struct pal_addr addr;
    struct pal_wait item;
    pal_sock listener, client, socks[2];
    int32_t on = 1;
    char byte;

    (void)arg;
    must_listen(&listener, &addr);
    must(pal_sock_set(listener, PAL_SO_QUICKACK_ALWAYS, &on, sizeof(on)) == 0);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client) == 0);
    (void)pal_sock_connect(client, &addr);
    item = (struct pal_wait){listener, PAL_IN, 0, 0};
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_accept(listener, &socks[0], NULL) == 0);
    must(pal_sock_dup(socks[0], &socks[1]) == 0);
    for (int i = 0; i < 2 * TIMES; i++) {
        item = (struct pal_wait){socks[i % 2], PAL_IN, 0, 0};
        must(pal_sock_send(client, "x", 1, 0) == 1);
        must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
        syscount_begin();
        must(pal_sock_recv(socks[i % 2], &byte, 1, 0) == 1);
        syscount_end();
    }
}

Test(features, what_was_accepted_or_duplicated_acknowledges_likewise)
{
    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this kernel");
    cr_assert_eq(calls_of(acknowledge_by_inheritance, NULL).total, 4 * TIMES);
}

/* How many of the messages that sock's peer has received, and not answered, were acknowledged by then. */
static int acknowledged_at_once(bool always)
{
    int32_t on = always;
    int count = 0;
    pal_sock a, b;
    char bytes[8];

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_set(b, PAL_SO_QUICKACK_ALWAYS, &on, sizeof(on)), 0);
    for (int i = 0; i < 50; i++) { /* questions and answers, by which TCP learns to delay */
        send_all(a, "text", 4);
        cr_assert(sock_until(b, PAL_IN));
        cr_assert_eq(pal_sock_recv(b, bytes, sizeof(bytes), 0), 4);
        send_all(b, "text", 4);
        cr_assert(sock_until(a, PAL_IN));
        cr_assert_eq(pal_sock_recv(a, bytes, sizeof(bytes), 0), 4);
    }
    for (int i = 0; i < TIMES; i++) {
        struct tcp_info info;
        socklen_t size = sizeof(info);

        send_all(a, "text", 4);
        cr_assert(sock_until(b, PAL_IN));
        cr_assert_eq(pal_sock_recv(b, bytes, sizeof(bytes), 0), 4);
        cr_assert_eq(getsockopt(native_of(a), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
        count += info.tcpi_unacked == 0;
        send_all(b, "text", 4); /* the answer takes an acknowledgement along */
        cr_assert(sock_until(a, PAL_IN));
        cr_assert_eq(pal_sock_recv(a, bytes, sizeof(bytes), 0), 4);
    }
    pair_close(a, b);
    return count;
}

Test(features, an_acknowledgement_is_there_when_the_receive_returns)
{
    int always, usually;

    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this kernel");
    always = acknowledged_at_once(true);
    usually = acknowledged_at_once(false);
    cr_assert_geq(always, TIMES * 9 / 10, "%d of %d", always,
                  TIMES); /* the machine may have been elsewhere meanwhile */
    cr_assert_leq(usually, TIMES / 2, "%d of %d without the option: this test shows nothing", usually, TIMES);
}

/* ---- notices that nobody takes ---- */

enum waiting { WITHOUT_INTEREST, AFTER_ONCE, AFTER_AN_OP, DRAINED, WAITINGS };

static void drain_notices(pal_sock sock)
{
    struct pal_msg msg;
    int taken = 0;

    do {
        memset(&msg, 0, sizeof(msg));
        msg.want = PAL_META_NOTICE;
        taken++;
    } while (pal_sock_recv_msgs(sock, &msg, 1, PAL_MSG_ERRQUEUE) == 1);
    must(taken > 1);
}

static void leave_notices(void *arg)
{
    enum waiting waiting = *(const enum waiting *)arg;
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    struct pal_wait item;
    pal_sock ends[2];
    struct pal_op op;
    int32_t on = 1;
    char bytes[8];

    must_open_tcp_pair(ends);
    must(pal_sock_set(ends[0], PAL_SO_ZEROCOPY, &on, sizeof(on)) == 0);
    must(pal_watch(poll, ends[0], waiting == AFTER_ONCE ? PAL_IN | PAL_ONCE : PAL_IN, 1) == 0);
    must(pal_sock_send(ends[0], "text", 4, PAL_MSG_ZEROCOPY) == 4);
    item = (struct pal_wait){ends[1], PAL_IN, 0, 0};
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_recv(ends[1], bytes, sizeof(bytes), 0) == 4);
    must_become_ready(poll, 1);
    if (waiting != AFTER_ONCE)
        must(pal_watch(poll, ends[0], 0, 0) == 0);
    if (waiting == AFTER_AN_OP) {
        op = op_recv(ends[0], 2, bytes, sizeof(bytes));
        must(pal_submit(poll, &op) == 0);
        must(pal_poll_wait(poll, &events, deadline_ms(5000)) == 1);
        must(events[0].kind == PAL_EV_OP && events[0].result == PAL_EAGAIN);
    }
    if (waiting == DRAINED) {
        drain_notices(ends[0]);
        must(pal_watch(poll, ends[0], PAL_IN, 3) == 0);
    }
    must_settle(poll); /* may find the queue and disarm it */
    syscount_begin();
    must_sleep(poll, TIMES);
    syscount_end();
}

Test(features, notices_that_nobody_waits_for_do_not_spin)
{
    if (!has_caps(PAL_CAP_TX_COMPLETION))
        test_skip("zero-copy", "not of this kernel");
    for (int i = 0; i < WAITINGS; i++) {
        enum waiting waiting = (enum waiting)i;

        cr_assert_eq(calls_of(leave_notices, &waiting).total, TIMES, "case %d", i);
    }
}

static void send_without_copy(void *arg)
{
    static char bytes[TIMES];
    pal_sock ends[2];
    int32_t on = 1;

    (void)arg;
    must_open_tcp_pair(ends);
    must(pal_sock_set(ends[0], PAL_SO_ZEROCOPY, &on, sizeof(on)) == 0);
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_sock_send(ends[0], &bytes[i], 1, PAL_MSG_ZEROCOPY) == 1);
    syscount_end();
}

Test(features, a_send_without_a_copy_is_one_call)
{
    if (!has_caps(PAL_CAP_TX_COMPLETION))
        test_skip("zero-copy", "not of this kernel");
    cr_assert_eq(calls_of(send_without_copy, NULL).total, TIMES);
}
