/* calls_notices.c: what the error queue tells of a send that bounced, decoded (PAL_META_NOTICE), and what the queue
 * does to watches, ops and tries. What zero copy and stamps put there is in calls_zerocopy.c and calls_stamps.c; the
 * same records raw are in calls_metadata.c. Rules 3 and 9. */
#include "calls_common.h"

/* A connected datagram socket whose peer has gone, with PAL_SO_RECVERR. */
static pal_sock orphan_open(const char *host, struct pal_addr *peer)
{
    struct pal_addr addr = host_address(host, 0);
    pal_sock receiver, sender;
    int error;

    if (addr.family == PAL_AF_INET6)
        require_inet6();
    receiver = sock_bound_to(PAL_SOCK_DGRAM, &addr);
    sender = sock_open(addr.family, PAL_SOCK_DGRAM);
    error = option_try(sender, PAL_SO_RECVERR, 1);
    sock_close(receiver);
    if (error == PAL_ENOTSUP) {
        sock_close(sender);
        test_skip("sock-option", "PAL_SO_RECVERR");
    }
    assert_error(error, 0);
    assert_error(pal_sock_connect(sender, &addr), 0);
    *peer = addr;
    return sender;
}

static void bounce(pal_sock sender)
{
    send_text(sender, "bounces");
    cr_assert(sock_until(sender, 0) & PAL_ERR, "nothing bounces");
}

/* What the queue has next; garbage where nothing is written. */
struct queued {
    char bytes[64];
    struct pal_iov iov;
    struct pal_addr to;
    struct pal_msg msg;
};

static int take_queued(pal_sock sock, uint16_t want, struct queued *out)
{
    memset(out, 0x5a, sizeof(*out));
    out->msg = msg_of(&out->iov, out->bytes, sizeof(out->bytes));
    memset(&out->msg.notice, 0x5a, sizeof(out->msg.notice));
    memset(&out->msg.stamp, 0x5a, sizeof(out->msg.stamp));
    out->msg.addr = &out->to;
    out->msg.want = want;
    return pal_sock_recv_msgs(sock, &out->msg, 1, PAL_MSG_ERRQUEUE);
}

static void expect_notice(const char *host)
{
    struct pal_addr peer, origin;
    pal_sock sock = orphan_open(host, &peer);
    struct queued queued;

    bounce(sock);
    assert_error(take_queued(sock, PAL_META_NOTICE, &queued), 1);
    cr_assert_eq(queued.msg.have, PAL_META_NOTICE);
    cr_assert_eq(queued.msg.notice.kind, PAL_NOTICE_ERROR);
    assert_error(queued.msg.notice.error, PAL_ECONNREFUSED);
    cr_assert(queued.msg.notice.first == 0 && queued.msg.notice.last == 0 && queued.msg.notice.copied == 0);
    cr_assert_eq(queued.msg.notice.icmp_type, peer.family == PAL_AF_INET ? 3 : 1, "destination unreachable");
    cr_assert_eq(queued.msg.notice.icmp_code, peer.family == PAL_AF_INET ? 3 : 4, "its port");
    origin = queued.msg.local;
    cr_assert_eq(origin.family, peer.family);
    origin.port = peer.port;
    assert_same_address(origin, peer);
    assert_same_address(queued.to, peer);
    cr_assert_eq(queued.msg.flags & (PAL_MSG_ERRQUEUE | PAL_MSG_CTRUNC), PAL_MSG_ERRQUEUE);
    assert_error(queued.msg.size, 7);
    cr_assert_arr_eq(queued.bytes, "bounces", 7);
    assert_error(take_queued(sock, PAL_META_NOTICE, &queued), PAL_EAGAIN);
    sock_close(sock);
}

Test(calls_notices, what_bounced_is_told_with_its_reason_and_its_origin)
{
    expect_notice("127.0.0.1");
}

Test(calls_notices, what_bounced_over_ipv6_is_told)
{
    expect_notice("::1");
}

Test(calls_notices, what_bounced_over_ipv4_is_told_to_a_socket_of_ipv6)
{
    pal_sock sock;
    struct pal_addr peer, bound;
    struct queued queued;

    require_inet6();
    sock_close(sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &bound));
    sock = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    option_set(sock, PAL_SO_V6ONLY, 0);
    option_set(sock, PAL_SO_RECVERR, 1);
    peer = host_address("::ffff:127.0.0.1", bound.port);
    assert_error(send_to(sock, &peer, "bounces"), 7);
    cr_assert(sock_until(sock, 0) & PAL_ERR, "nothing bounces");
    assert_error(take_queued(sock, PAL_META_NOTICE, &queued), 1);
    assert_error(queued.msg.notice.error, PAL_ECONNREFUSED);
    assert_same_address(queued.to, peer);
    queued.msg.local.port = peer.port;
    assert_same_address(queued.msg.local, peer);
    sock_close(sock);
}

Test(calls_notices, several_are_taken_at_once_and_in_order)
{
    struct pal_addr peer;
    pal_sock sock = orphan_open("127.0.0.1", &peer);
    struct pal_iov iovs[4];
    struct pal_msg msgs[4];
    char bytes[4];
    int taken = 0;

    for (char text = 'a'; text < 'd'; text++) {
        int32_t size = pal_sock_send(sock, &text, 1, 0);

        cr_assert(size == 1 || size == PAL_ECONNREFUSED, "%s", pal_error_name(size)); /* that of the last one */
        if (size != 1)
            cr_assert_eq(pal_sock_send(sock, &text, 1, 0), 1);
        cr_assert(sock_until(sock, 0) & PAL_ERR);
    }
    for (int i = 0; i < 500 && taken < 3; i++) {
        int count;

        for (int j = 0; j < 4; j++) {
            msgs[j] = msg_of(&iovs[j], &bytes[j], 1);
            msgs[j].want = PAL_META_NOTICE;
        }
        cr_assert(sock_until(sock, 0) & PAL_ERR, "only %d of 3 bounce", taken);
        count = pal_sock_recv_msgs(sock, msgs, 4, PAL_MSG_ERRQUEUE);
        cr_assert(count > 0 && taken + count <= 3, "%d of the error queue", count);
        for (int j = 0; j < count; j++) {
            assert_error(msgs[j].notice.error, PAL_ECONNREFUSED);
            cr_assert_eq(bytes[j], 'a' + taken + j);
        }
        taken += count;
    }
    sock_close(sock);
}

Test(calls_notices, where_there_is_none_that_is_said)
{
    pal_sock a, b;
    struct queued queued;

    pair_open(PAIR_UDP4, &a, &b);
    assert_error(take_queued(a, PAL_META_NOTICE, &queued), PAL_EAGAIN);
    send_text(b, "a message");
    queued.msg = msg_of(&queued.iov, queued.bytes, sizeof(queued.bytes));
    queued.msg.want = PAL_META_NOTICE | PAL_META_TIME;
    memset(&queued.msg.notice, 0x5a, sizeof(queued.msg.notice));
    memset(&queued.msg.stamp, 0x5a, sizeof(queued.msg.stamp));
    receive_msg(a, &queued.msg);
    cr_assert_eq(queued.msg.have, 0);
    cr_assert_eq(queued.msg.notice.kind, PAL_NOTICE_NONE);
    cr_assert_eq(queued.msg.stamp.quality, PAL_STAMP_NONE);
    cr_assert(queued.msg.stamp.system_ns == 0 && queued.msg.stamp.nic_ns == 0);
    pair_close(a, b);
}

Test(calls_notices, times_and_notices_are_not_sent)
{
    static const uint16_t wants[] = {PAL_META_TIME, PAL_META_NOTICE, PAL_META_DROPPED, PAL_META_CRED};
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "text", 4);
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    for (int i = 0; i < 4; i++) {
        msg.want = wants[i];
        assert_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "");
    }
    assert_error(option_of(b, PAL_SO_NREAD), 0);
    pair_close(a, b);
}

/* ---- beside watches and ops ---- */

enum { WATCH = 7, OP = 8 };

Test(calls_notices, a_watch_tells_of_the_queue_until_it_is_drained)
{
    struct pal_addr peer;
    struct queued queued;
    struct rig rig;
    pal_sock sock;

    rig_open(&rig, 2);
    sock = orphan_open("127.0.0.1", &peer);
    rig_watch(&rig, sock, PAL_IN, WATCH);
    bounce(sock);
    (void)option_of(sock, PAL_SO_ERROR); /* the same error once more, for whoever does not look into the queue */
    for (int i = 0; i < 3; i++)
        (void)rig_until_ready(&rig, WATCH, PAL_ERR);
    assert_error(take_queued(sock, PAL_META_NOTICE, &queued), 1);
    rig_silent_but_once(&rig, WATCH, 3);
    bounce(sock);
    (void)option_of(sock, PAL_SO_ERROR);
    (void)rig_until_ready(&rig, WATCH, PAL_ERR);
    rig_unwatch(&rig, sock);
    rig_silent(&rig, WATCH, 3); /* no interest, no word of it, drained or not */
    sock_close(sock);
    rig_close(&rig);
}

Test(calls_notices, a_receiving_op_ends_beside_the_queue_and_goes_on_when_it_is_drained)
{
    struct pal_addr peer;
    pal_sock sock, receiver;
    struct queued queued;
    struct rig rig;
    struct pal_op op;
    char bytes[16];

    rig_open(&rig, 2);
    sock = orphan_open("127.0.0.1", &peer);
    bounce(sock);
    (void)option_of(sock, PAL_SO_ERROR);
    op = op_recv(sock, OP, bytes, sizeof(bytes));
    assert_error(rig_perform(&rig, &op), PAL_EAGAIN);
    assert_error(take_queued(sock, PAL_META_NOTICE, &queued), 1);
    op = op_recv(sock, OP, bytes, sizeof(bytes));
    rig_submit(&rig, &op);
    rig_silent(&rig, OP, 3);
    receiver = sock_bound_to(PAL_SOCK_DGRAM, &peer);
    peer = name_of(sock, PAL_NAME_LOCAL);
    assert_error(send_to(receiver, &peer, "answer"), 6);
    assert_error(rig_outcome(&rig, &op), 6);
    pair_close(sock, receiver);
    rig_close(&rig);
}
