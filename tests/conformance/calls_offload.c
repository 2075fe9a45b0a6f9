/* calls_offload.c: many datagrams a call (PAL_SO_GSO, PAL_SO_GRO, PAL_META_GSO), and acknowledgements without delay
 * (PAL_SO_QUICKACK_ALWAYS): that all arrives as it was meant, by each way to send and receive. What it saves is counted
 * in tests/kernel/features.c. Skipped where the backend has none: [gso], [gro], [quickack]. Rule 16. */
#include "calls_common.h"

enum { SEGMENTS = 60, SEGMENT = 1000, LAST = 17 /* the bytes of the one behind the whole ones */ };
enum { TOTAL = SEGMENTS * SEGMENT + LAST };

static char sent[TOTAL];

static void require_gso(void)
{
    if (!has_caps(PAL_CAP_GSO))
        test_skip("gso", "not of this backend");
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i % 251);
}

static void require_gro(void)
{
    require_gso();
    if (!has_caps(PAL_CAP_GRO))
        test_skip("gro", "not of this backend");
}

static void send_segments(pal_sock sock, bool by_option)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, sent, TOTAL);

    if (by_option) {
        option_set(sock, PAL_SO_GSO, SEGMENT);
        assert_error(pal_sock_send(sock, sent, TOTAL, 0), TOTAL);
        option_set(sock, PAL_SO_GSO, 0);
        return;
    }
    msg.want = PAL_META_GSO;
    msg.gso_size = SEGMENT;
    assert_error(pal_sock_send_msgs(sock, &msg, 1, 0), 1);
    assert_error(msg.size, TOTAL);
}

/* ---- sending ---- */

static void datagrams_open(int family, pal_sock *a, pal_sock *b)
{
    struct pal_addr to;

    if (family == PAL_AF_INET6)
        require_inet6();
    *b = sock_bound(family, PAL_SOCK_DGRAM, &to);
    option_set(*b, PAL_SO_RCVBUF, 1 << 20);
    *a = sock_open(family, PAL_SOCK_DGRAM);
    assert_error(pal_sock_connect(*a, &to), 0);
}

/* Each segment is a datagram like any other. */
static void expect_datagrams(int family)
{
    pal_sock a, b;

    require_gso();
    datagrams_open(family, &a, &b);
    for (int by_option = 0; by_option < 2; by_option++) {
        send_segments(a, by_option);
        for (int done = 0; done < TOTAL;) {
            char room[2 * SEGMENT];
            int expected = TOTAL - done < SEGMENT ? LAST : SEGMENT;

            cr_assert(sock_until(b, PAL_IN), "after %d bytes", done);
            assert_error(pal_sock_recv(b, room, sizeof(room), 0), expected);
            cr_assert_arr_eq(room, sent + done, (size_t)expected);
            done += expected;
        }
        assert_error(pal_sock_recv(b, sent, 1, 0), PAL_EAGAIN);
    }
    pair_close(a, b);
}

Test(calls_offload, one_send_is_many_datagrams)
{
    expect_datagrams(PAL_AF_INET);
}

Test(calls_offload, one_send_is_many_datagrams_over_ipv6)
{
    expect_datagrams(PAL_AF_INET6);
}

Test(calls_offload, a_batch_may_differ_from_message_to_message)
{
    static const uint16_t segment[3] = {10, 0, 7};
    struct pal_iov iovs[3];
    struct pal_msg msgs[3];
    pal_sock a, b;
    char room[64];

    require_gso();
    pair_open(PAIR_UDP4, &a, &b);
    for (int i = 0; i < 3; i++) {
        msgs[i] = msg_of(&iovs[i], sent, 20);
        msgs[i].want = segment[i] != 0 ? PAL_META_GSO : 0;
        msgs[i].gso_size = segment[i];
    }
    assert_error(pal_sock_send_msgs(a, msgs, 3, 0), 3);
    for (int i = 0; i < 6; i++) {
        static const int sizes[6] = {10, 10, 20, 7, 7, 6};

        cr_assert(sock_until(b, PAL_IN));
        assert_error(pal_sock_recv(b, room, sizeof(room), 0), sizes[i]);
    }
    pair_close(a, b);
}

static void expect_unsent(pal_sock sock, size_t size, uint16_t segment)
{
    static char large[70000];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, large, size);
    int error;

    msg.want = PAL_META_GSO;
    msg.gso_size = segment;
    error = pal_sock_send_msgs(sock, &msg, 1, 0);
    cr_assert(error == PAL_EMSGSIZE || error == PAL_EINVAL, "%s", pal_error_name(error));
    cr_assert_str_neq(pal_reason(), "", "%zu bytes in segments of %u: no reason", size, segment);
}

Test(calls_offload, segments_that_are_too_many_or_too_large_are_refused_with_a_reason)
{
    pal_sock a, b;

    require_gso();
    pair_open(PAIR_UDP4, &a, &b);
    expect_unsent(a, 1000, 1);     /* too many */
    expect_unsent(a, 70000, 2000); /* too many bytes in all */
    cr_assert_eq(option_of(b, PAL_SO_NREAD), 0);
    pair_close(a, b);
}

Test(calls_offload, segments_are_for_udp)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UNIX_DGRAM};
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "text", 4);

    msg.want = PAL_META_GSO;
    msg.gso_size = 2;
    for (int i = 0; i < 2; i++) {
        pal_sock a, b;

        if (!pair_available(kinds[i]))
            continue;
        pair_open(kinds[i], &a, &b);
        assert_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "");
        cr_assert_eq(option_of(b, PAL_SO_NREAD), 0);
        pair_close(a, b);
    }
}

/* ---- receiving ---- */

static char received[2 * 65536];

/* Receives what is there as far as one message goes: its size, and how many datagrams it was. */
static int receive_row(pal_sock sock, int32_t *size)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, received, sizeof(received));

    msg.want = PAL_META_GSO;
    receive_msg(sock, &msg);
    cr_assert_eq(msg.flags, 0);
    *size = msg.size;
    if (msg.have == 0)
        return 1;
    cr_assert_eq(msg.gso_size, SEGMENT);
    return (msg.size + SEGMENT - 1) / SEGMENT;
}

static void expect_rows(int family)
{
    pal_sock a, b;
    int datagrams = 0, done = 0;

    require_gro();
    datagrams_open(family, &a, &b);
    option_set(b, PAL_SO_GRO, 1);
    send_segments(a, false);
    while (done < TOTAL) {
        int32_t size;

        datagrams += receive_row(b, &size);
        cr_assert_arr_eq(received, sent + done, (size_t)size);
        done += size;
    }
    cr_assert_eq(done, TOTAL);
    cr_assert_eq(datagrams, SEGMENTS + 1);
    option_set(b, PAL_SO_GRO, 0);
    send_segments(a, false);
    for (int i = 0; i <= SEGMENTS; i++) {
        int32_t size;

        cr_assert_eq(receive_row(b, &size), 1, "switched off, and yet in a row");
        cr_assert_eq(size, i < SEGMENTS ? SEGMENT : LAST);
    }
    pair_close(a, b);
}

Test(calls_offload, one_receive_is_many_datagrams)
{
    expect_rows(PAL_AF_INET);
}

Test(calls_offload, one_receive_is_many_datagrams_over_ipv6)
{
    expect_rows(PAL_AF_INET6);
}

Test(calls_offload, a_lease_tells_that_it_is_many_datagrams)
{
    const uint64_t data = 3;
    struct pal_lease lease;
    struct rig rig;
    pal_sock a, b;
    int done = 0;

    require_gro();
    rig_open(&rig, 2);
    datagrams_open(PAL_AF_INET, &a, &b);
    option_set(b, PAL_SO_GRO, 1);
    rig_watch(&rig, b, PAL_IN | PAL_LEASE, data);
    send_segments(a, true);
    while (done < TOTAL) {
        (void)rig_until(&rig, data, PAL_EV_READY);
        while (pal_lease_recv(b, &lease, 1) == 1) {
            const struct pal_msg *info = pal_lease_info(&lease);

            cr_assert_arr_eq(lease.data, sent + done, lease.size);
            if (lease.size > SEGMENT)
                cr_assert(info->have & PAL_META_GSO && info->gso_size == SEGMENT, "%u bytes", lease.size);
            done += (int)lease.size;
            pal_lease_release(rig.poll, &lease, 1);
        }
    }
    cr_assert_eq(done, TOTAL);
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- acknowledgements: the option changes nothing of what is received ---- */

static void require_quickack(void)
{
    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this backend");
}

Test(calls_offload, quick_acknowledgements_leave_each_way_to_receive_as_it_is)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        FOR_EACH_RECEIVE_MODE(mode)
        {
            struct rig rig;
            pal_sock a, b;
            char room[8];

            require_quickack();
            rig_open(&rig, events_max);
            pair_open(PAIR_TCP4, &a, &b);
            option_set(b, PAL_SO_QUICKACK_ALWAYS, 1);
            for (int i = 0; i < 3; i++) {
                cr_assert_eq(send_some(&rig, mode, a, "question", 8), 8);
                receive_exactly(&rig, mode, b, room, 8);
                cr_assert_arr_eq(room, "question", 8);
                cr_assert_eq(send_some(&rig, mode, b, "answer", 6), 6);
                receive_exactly(&rig, mode, a, room, 6);
            }
            assert_error(pal_sock_recv(b, room, 1, 0), PAL_EAGAIN);
            sock_close(a);
            cr_assert_eq(receive_some(&rig, mode, b, room, 1), 0, "the end");
            sock_close(b);
            assert_stale(b);
            rig_close(&rig);
        }
    }
}

Test(calls_offload, quick_acknowledgements_leave_messages_flags_and_many_leases_as_they_are)
{
    const uint64_t data = 3;
    struct pal_lease leases[4];
    struct pal_iov iov;
    struct pal_msg msg;
    struct pal_config config;
    struct rig rig;
    pal_sock a, b;
    char room[8];
    int count;

    require_quickack();
    memset(&config, 0, sizeof(config));
    config.lease_size = 64;
    rig_open_config(&rig, &config);
    pair_open(PAIR_TCP4, &a, &b);
    option_set(b, PAL_SO_QUICKACK_ALWAYS, 1);
    send_text(a, "message");
    msg = msg_of(&iov, room, sizeof(room));
    receive_msg(b, &msg);
    assert_error(msg.size, 7);
    send_text(a, "flags");
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv(b, room, sizeof(room), PAL_MSG_PEEK), 5);
    expect_text(b, "flags");
    rig_watch(&rig, b, PAL_IN | PAL_LEASE, data);
    send_all(a, sent, 200);
    for (int i = 0; i < 500 && option_of(b, PAL_SO_NREAD) < 200; i++)
        (void)rig_turn(&rig, MILLISECOND_NS);
    (void)rig_until(&rig, data, PAL_EV_READY);
    count = pal_lease_recv(b, leases, 4);
    assert_error(count, 4);
    cr_assert_eq(leases[3].size, 8);
    pal_lease_release(rig.poll, leases, 4);
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_offload, quick_acknowledgements_may_begin_and_end_under_a_watch)
{
    const uint64_t data = 3;
    struct rig rig;
    pal_sock a, b;

    require_quickack();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_IN, data);
    for (int i = 0; i < 6; i++) {
        option_set(b, PAL_SO_QUICKACK_ALWAYS, i % 2);
        cr_assert_eq(option_of(b, PAL_SO_QUICKACK_ALWAYS), i % 2);
        send_text(a, "x");
        (void)rig_until_ready(&rig, data, PAL_IN);
        expect_text(b, "x");
        rig_silent_but_once(&rig, data, 1);
    }
    rig_unwatch(&rig, b);
    rig_silent(&rig, data, 1);
    pair_close(a, b);
    assert_stale(b);
    rig_close(&rig);
}
