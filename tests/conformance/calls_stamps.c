/* calls_stamps.c: when messages arrived and when what was sent went out (PAL_SO_TIMESTAMPING), as far as loopback can
 * show it: the system's times; a card's are never there. Where the backend has none it is skipped as [stamps]. The
 * simple form, PAL_SO_TIMESTAMP, is in calls_metadata.c. Rule 16. */
#include "calls_common.h"

enum { SENDING = PAL_STAMPING_SCHEDULED | PAL_STAMPING_SENT };

static const uint64_t SLACK_NS = 1000000000; /* between the system's clock and ours */

static void require_stamps(void)
{
    if (!has_caps(PAL_CAP_STAMPS))
        test_skip("stamps", "not of this backend");
}

/* A message that is received with its stamp; garbage where nothing is written. */
struct stamped {
    char bytes[64];
    struct pal_iov iov;
    struct pal_msg msg;
};

static void stamped_init(struct stamped *stamped, uint16_t want)
{
    stamped->msg = msg_of(&stamped->iov, stamped->bytes, sizeof(stamped->bytes));
    memset(&stamped->msg.stamp, 0x5a, sizeof(stamped->msg.stamp));
    memset(&stamped->msg.notice, 0x5a, sizeof(stamped->msg.notice));
    stamped->msg.want = want;
}

static struct pal_stamp receive_stamp(pal_sock sock)
{
    struct stamped stamped;

    stamped_init(&stamped, PAL_META_TIME);
    receive_msg(sock, &stamped.msg);
    cr_assert_eq(stamped.msg.have != 0, stamped.msg.stamp.quality != PAL_STAMP_NONE);
    return stamped.msg.stamp;
}

static void expect_none(struct pal_stamp stamp)
{
    static const struct pal_stamp none; /* what is not known is 0, and says so */

    cr_assert_arr_eq(&stamp, &none, sizeof(none));
}

static void expect_system_time(struct pal_stamp stamp, uint8_t point, uint64_t not_before_ns)
{
    cr_assert_eq(stamp.quality, PAL_STAMP_SYSTEM);
    cr_assert_eq(stamp.point, point, "point %d, not %d", stamp.point, point);
    cr_assert(stamp.nic_ns == 0 && stamp.clock == PAL_STAMP_CLOCK_NONE, "loopback has a card");
    cr_assert_geq(stamp.system_ns + SLACK_NS, not_before_ns);
    cr_assert_leq(stamp.system_ns, pal_clock(PAL_CLOCK_REAL) + SLACK_NS);
}

/* ---- arrival ---- */

/* Switches the times of arrival on; the system may let some messages pass before it takes the first. */
static void stamp_arrivals(pal_sock sender, const struct pal_addr *to, pal_sock receiver, int32_t value)
{
    option_set(receiver, PAL_SO_TIMESTAMPING, value);
    for (int i = 0; i < 500; i++) {
        assert_error(send_to(sender, to, "is it on?"), 9);
        if (receive_stamp(receiver).quality != PAL_STAMP_NONE)
            return;
        (void)pal_sock_wait(NULL, 0, deadline_after(MILLISECOND_NS));
    }
    cr_assert(false, "no arrival is given a time");
}

static void expect_arrivals(int family)
{
    struct pal_addr to;
    pal_sock sender, receiver;
    uint64_t last = 0;

    require_stamps();
    if (family == PAL_AF_INET6)
        require_inet6();
    sender = sock_open(family, PAL_SOCK_DGRAM);
    receiver = sock_bound(family, PAL_SOCK_DGRAM, &to);
    stamp_arrivals(sender, &to, receiver, PAL_STAMPING_ARRIVED);
    for (int i = 0; i < 3; i++) {
        uint64_t before = pal_clock(PAL_CLOCK_REAL);
        struct pal_stamp stamp;

        assert_error(send_to(sender, &to, "now"), 3);
        stamp = receive_stamp(receiver);
        expect_system_time(stamp, PAL_STAMP_ARRIVED, before);
        cr_assert_eq(stamp.id, 0);
        cr_assert_geq(stamp.system_ns, last, "a later message is older");
        last = stamp.system_ns;
    }
    pair_close(sender, receiver);
}

Test(calls_stamps, an_arrival_has_its_time)
{
    expect_arrivals(PAL_AF_INET);
}

Test(calls_stamps, an_arrival_over_ipv6_has_its_time)
{
    expect_arrivals(PAL_AF_INET6);
}

Test(calls_stamps, without_the_option_there_is_none)
{
    pal_sock a, b;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    send_text(a, "when");
    expect_none(receive_stamp(b));
    option_set(b, PAL_SO_TIMESTAMPING, SENDING); /* of what b sends, not of what it receives */
    option_set(b, PAL_SO_TIMESTAMPING, 0);
    send_text(a, "when");
    expect_none(receive_stamp(b));
    pair_close(a, b);
}

Test(calls_stamps, what_arrived_before_is_given_no_time_but_its_own)
{
    struct pal_stamp stamp;
    pal_sock a, b;
    uint64_t switched_on_ns;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    send_text(a, "early");
    cr_assert(sock_until(b, PAL_IN));
    switched_on_ns = pal_clock(PAL_CLOCK_REAL);
    option_set(b, PAL_SO_TIMESTAMPING, PAL_STAMPING_ARRIVED);
    stamp = receive_stamp(b);
    if (stamp.quality == PAL_STAMP_NONE)
        expect_none(stamp);
    else /* the system may have had it all the same */
        cr_assert_leq(stamp.system_ns, switched_on_ns, "a time that is made up");
    pair_close(a, b);
}

Test(calls_stamps, a_stream_may_tell_when_its_bytes_arrived)
{
    pal_sock a, b;
    uint64_t before = pal_clock(PAL_CLOCK_REAL);
    struct pal_stamp stamp;

    require_stamps();
    pair_open(PAIR_TCP4, &a, &b);
    option_set(b, PAL_SO_TIMESTAMPING, PAL_STAMPING_ARRIVED);
    send_text(a, "bytes");
    stamp = receive_stamp(b);
    if (stamp.quality == PAL_STAMP_NONE)
        expect_none(stamp);
    else
        expect_system_time(stamp, PAL_STAMP_ARRIVED, before);
    pair_close(a, b);
}

Test(calls_stamps, both_ways_to_ask_tell_the_same)
{
    pal_sock a, b;
    uint64_t before = pal_clock(PAL_CLOCK_REAL);

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    option_set(b, PAL_SO_TIMESTAMP, 1);
    send_text(a, "simple");
    expect_system_time(receive_stamp(b), PAL_STAMP_ARRIVED, before);
    stamp_arrivals(a, NULL, b, PAL_STAMPING_ARRIVED | PAL_STAMPING_ARRIVED_NIC);
    send_text(a, "both");
    expect_system_time(receive_stamp(b), PAL_STAMP_ARRIVED, before);
    option_set(b, PAL_SO_TIMESTAMP, 0);
    stamp_arrivals(a, NULL, b, PAL_STAMPING_ARRIVED);
    send_text(a, "the other");
    expect_system_time(receive_stamp(b), PAL_STAMP_ARRIVED, before);
    pair_close(a, b);
}

Test(calls_stamps, leases_of_datagrams_carry_the_time)
{
    const uint64_t data = 3, before = pal_clock(PAL_CLOCK_REAL);
    struct pal_lease leases[4];
    struct rig rig;
    pal_sock a, b;
    int count = 0;

    require_stamps();
    rig_open(&rig, 2);
    pair_open(PAIR_UDP4, &a, &b);
    stamp_arrivals(a, NULL, b, PAL_STAMPING_ARRIVED);
    rig_watch(&rig, b, PAL_IN | PAL_LEASE, data);
    send_text(a, "one");
    send_text(a, "two");
    for (int i = 0; i < 500 && count < 2; i++) {
        int taken;

        (void)rig_until(&rig, data, PAL_EV_READY);
        taken = pal_lease_recv(b, &leases[count], 4 - count);
        cr_assert(taken > 0 || taken == PAL_EAGAIN, "%s", pal_error_name(taken));
        count += taken > 0 ? taken : 0;
    }
    cr_assert_eq(count, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert(pal_lease_info(&leases[i])->have & PAL_META_TIME);
        expect_system_time(pal_lease_info(&leases[i])->stamp, PAL_STAMP_ARRIVED, before);
    }
    option_set(b, PAL_SO_TIMESTAMPING, 0);
    pal_lease_release(rig.poll, leases, 2);
    send_text(a, "none");
    (void)rig_until(&rig, data, PAL_EV_READY);
    cr_assert_eq(pal_lease_recv(b, leases, 1), 1);
    expect_none(pal_lease_info(leases)->stamp);
    pal_lease_release(rig.poll, leases, 1);
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_stamps, an_op_tells_the_time)
{
    const uint64_t before = pal_clock(PAL_CLOCK_REAL);
    struct stamped stamped;
    struct pal_op op;
    struct rig rig;
    pal_sock a, b;

    require_stamps();
    rig_open(&rig, 2);
    pair_open(PAIR_UDP4, &a, &b);
    stamp_arrivals(a, NULL, b, PAL_STAMPING_ARRIVED);
    stamped_init(&stamped, PAL_META_TIME);
    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_RECV_MSG;
    op.sock = b;
    op.aux = &stamped.msg;
    op.size = 1;
    rig_submit(&rig, &op);
    send_text(a, "later");
    assert_error(rig_outcome(&rig, &op), 1);
    expect_system_time(stamped.msg.stamp, PAL_STAMP_ARRIVED, before);
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- sending ---- */

/* The next stamp of the error queue, which is to be at one of two points, PAL_STAMP_* as bits. */
static struct pal_stamp take_sent(pal_sock sock, unsigned points, uint64_t not_before_ns)
{
    struct stamped stamped;

    cr_assert(sock_until(sock, 0) & PAL_ERR, "no stamp comes");
    stamped_init(&stamped, PAL_META_TIME | PAL_META_NOTICE);
    assert_error(pal_sock_recv_msgs(sock, &stamped.msg, 1, PAL_MSG_ERRQUEUE), 1);
    cr_assert_eq(stamped.msg.have, PAL_META_TIME | PAL_META_NOTICE);
    cr_assert_eq(stamped.msg.flags, PAL_MSG_ERRQUEUE);
    cr_assert_eq(stamped.msg.notice.kind, PAL_NOTICE_STAMP);
    cr_assert_eq(stamped.msg.notice.error, 0);
    cr_assert_eq(stamped.msg.size, 0, "what was sent comes back");
    cr_assert(points >> stamped.msg.stamp.point & 1, "point %d", stamped.msg.stamp.point);
    expect_system_time(stamped.msg.stamp, stamped.msg.stamp.point, not_before_ns);
    return stamped.msg.stamp;
}

static void expect_drained(pal_sock sock)
{
    struct stamped stamped;

    stamped_init(&stamped, PAL_META_TIME | PAL_META_NOTICE);
    assert_error(pal_sock_recv_msgs(sock, &stamped.msg, 1, PAL_MSG_ERRQUEUE), PAL_EAGAIN);
}

static void expect_sent(enum pair_kind kind)
{
    const uint64_t before = pal_clock(PAL_CLOCK_REAL);
    uint64_t last = 0;
    pal_sock a, b;

    pair_open(kind, &a, &b);
    send_text(a, "not this");
    option_set(a, PAL_SO_TIMESTAMPING, PAL_STAMPING_SENT);
    for (uint32_t i = 0; i < 3; i++) {
        struct pal_stamp stamp;

        send_text(a, "now");
        stamp = take_sent(a, 1u << PAL_STAMP_SENT, before);
        cr_assert_eq(stamp.id, i);
        cr_assert_geq(stamp.system_ns, last);
        last = stamp.system_ns;
    }
    expect_drained(a);
    option_set(a, PAL_SO_TIMESTAMPING, 0);
    send_text(a, "nor this");
    expect_drained(a);
    option_set(a, PAL_SO_TIMESTAMPING, PAL_STAMPING_SENT);
    send_text(a, "from 0 again");
    cr_assert_eq(take_sent(a, 1u << PAL_STAMP_SENT, before).id, 0);
    pair_close(a, b);
}

Test(calls_stamps, a_sent_datagram_has_its_number_and_its_time)
{
    require_stamps();
    expect_sent(PAIR_UDP4);
}

Test(calls_stamps, the_queue_of_the_interface_has_its_own_time)
{
    const uint64_t before = pal_clock(PAL_CLOCK_REAL);
    pal_sock a, b;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    option_set(a, PAL_SO_TIMESTAMPING, SENDING);
    for (uint32_t i = 0; i < 3; i++) {
        unsigned left = 1u << PAL_STAMP_SCHEDULED | 1u << PAL_STAMP_SENT;

        send_text(a, "both");
        while (left != 0) {
            struct pal_stamp stamp = take_sent(a, left, before);

            cr_assert_eq(stamp.id, i);
            left &= ~(1u << stamp.point);
        }
    }
    expect_drained(a);
    pair_close(a, b);
}

Test(calls_stamps, many_are_taken_at_once)
{
    enum { COUNT = 10 };
    struct pal_iov iovs[COUNT];
    struct pal_msg msgs[COUNT];
    pal_sock a, b;
    int taken = 0;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    option_set(a, PAL_SO_TIMESTAMPING, PAL_STAMPING_SENT);
    for (int i = 0; i < COUNT; i++) {
        send_text(a, "x");
        msgs[i] = msg_of(&iovs[i], NULL, 0);
        msgs[i].want = PAL_META_TIME | PAL_META_NOTICE;
    }
    while (taken < COUNT) {
        int count;

        cr_assert(sock_until(a, 0) & PAL_ERR, "%d of %d come", taken, COUNT);
        count = pal_sock_recv_msgs(a, msgs + taken, COUNT - taken, PAL_MSG_ERRQUEUE);
        cr_assert_gt(count, 0, "%s", pal_error_name(count));
        taken += count;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        cr_assert_eq(msgs[i].stamp.id, i);
    expect_drained(a);
    pair_close(a, b);
}

/* The number of the byte that was last in what the stamp is about. */
static uint32_t until_acknowledged(pal_sock sock, uint64_t not_before_ns)
{
    const unsigned points = 1u << PAL_STAMP_SCHEDULED | 1u << PAL_STAMP_SENT | 1u << PAL_STAMP_ACKED;

    for (int i = 0; i < 100; i++) {
        struct pal_stamp stamp = take_sent(sock, points, not_before_ns);

        if (stamp.point == PAL_STAMP_ACKED)
            return stamp.id;
    }
    cr_assert(false, "never acknowledged");
    return 0;
}

Test(calls_stamps, a_stream_counts_bytes_and_tells_when_they_were_acknowledged)
{
    const uint64_t before = pal_clock(PAL_CLOCK_REAL);
    pal_sock a, b;

    require_stamps();
    pair_open(PAIR_TCP4, &a, &b);
    expect_connected(a, b);
    option_set(a, PAL_SO_TIMESTAMPING, SENDING | PAL_STAMPING_ACKED);
    send_text(a, "0123456789");
    expect_text(b, "0123456789");
    cr_assert_eq(until_acknowledged(a, before), 9);
    send_text(a, "01234");
    expect_text(b, "01234");
    cr_assert_eq(until_acknowledged(a, before), 14);
    expect_drained(a);
    pair_close(a, b);
}

Test(calls_stamps, without_asking_for_notices_the_record_comes_raw)
{
    uint64_t control[32];
    struct stamped stamped;
    pal_sock a, b;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    option_set(a, PAL_SO_TIMESTAMPING, PAL_STAMPING_SENT);
    send_text(a, "x");
    cr_assert(sock_until(a, 0) & PAL_ERR);
    stamped_init(&stamped, PAL_META_TIME);
    stamped.msg.raw = control;
    stamped.msg.raw_size = sizeof(control);
    assert_error(pal_sock_recv_msgs(a, &stamped.msg, 1, PAL_MSG_ERRQUEUE), 1);
    cr_assert_eq(stamped.msg.have, PAL_META_TIME);
    expect_system_time(stamped.msg.stamp, PAL_STAMP_SENT, 0);
    cr_assert_gt(stamped.msg.raw_size, 0);
    pair_close(a, b);
}

/* ---- what cannot be had ---- */

static void expect_refusal(pal_sock sock, int32_t value, int error)
{
    int32_t before = 0;
    size_t size = sizeof(before);
    bool readable = pal_sock_get(sock, PAL_SO_TIMESTAMPING, &before, &size) == 0;

    assert_error(option_try(sock, PAL_SO_TIMESTAMPING, value), error);
    cr_assert_str_neq(pal_reason(), "");
    if (readable)
        cr_assert_eq(option_of(sock, PAL_SO_TIMESTAMPING), before);
}

Test(calls_stamps, what_a_kind_of_socket_lacks_is_refused)
{
    pal_sock a, b, stream, ends[2];
    struct pal_addr addr;

    require_stamps();
    pair_open(PAIR_UDP4, &a, &b);
    expect_refusal(a, PAL_STAMPING_ACKED, PAL_ENOTSUP);
    expect_refusal(a, PAL_STAMPING_ACKED | PAL_STAMPING_SENT, PAL_ENOTSUP);
    expect_refusal(a, 64, PAL_EINVAL);
    expect_refusal(a, -1, PAL_EINVAL);
    pair_close(a, b);
    if (pair_available(PAIR_UNIX_DGRAM)) {
        pair_open(PAIR_UNIX_DGRAM, &a, &b);
        expect_refusal(a, PAL_STAMPING_ARRIVED, PAL_ENOTSUP);
        pair_close(a, b);
    }
    if (pal_pipe(ends, 0) == 0) {
        expect_refusal(ends[0], PAL_STAMPING_ARRIVED, PAL_ENOTSUP);
        pair_close(ends[0], ends[1]);
    }
    stream = sock_open(PAL_AF_INET, PAL_SOCK_STREAM); /* from which byte on would it count? */
    expect_refusal(stream, PAL_STAMPING_SENT, PAL_ENOTCONN);
    option_set(stream, PAL_SO_TIMESTAMPING, PAL_STAMPING_ARRIVED);
    sock_close(stream);
    listener_open(PAL_AF_INET, &stream, &addr);
    expect_refusal(stream, PAL_STAMPING_ACKED, PAL_ENOTCONN);
    sock_close(stream);
}

Test(calls_stamps, what_is_asked_for_is_kept)
{
    pal_sock a, b;

    require_stamps();
    pair_open(PAIR_TCP4, &a, &b);
    for (int32_t value = 63; value >= 0; value -= 9) {
        option_set(a, PAL_SO_TIMESTAMPING, value);
        cr_assert_eq(option_of(a, PAL_SO_TIMESTAMPING), value);
    }
    pair_close(a, b);
}
