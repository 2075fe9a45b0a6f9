/* calls_zerocopy.c: sends whose bytes the system does not copy (PAL_SO_ZEROCOPY, PAL_MSG_ZEROCOPY), and the notices by
 * which it gives the bytes back. Where the backend has none it is skipped as [zero-copy]. On loopback the system copies
 * after all, and says so; nothing here depends on it. Rules 3, 5, 9 and 16. */
#include "calls_common.h"

enum { LARGE = 65536 };

static char bytes[4][LARGE]; /* of sends that may still be under way: one each */

static void require_zerocopy(void)
{
    if (!has_caps(PAL_CAP_TX_COMPLETION))
        test_skip("zero-copy", "not of this backend");
}

/* Takes what the queue has and marks each send that is done; each may be told once. */
static int take_done(pal_sock sock, bool *done, uint32_t count)
{
    struct pal_msg msg;
    int told = 0;

    memset(&msg, 0, sizeof(msg));
    msg.want = PAL_META_NOTICE;
    while (pal_sock_recv_msgs(sock, &msg, 1, PAL_MSG_ERRQUEUE) == 1) {
        cr_assert_eq(msg.notice.kind, PAL_NOTICE_ZEROCOPY);
        cr_assert_eq(msg.have, PAL_META_NOTICE);
        cr_assert(msg.notice.first <= msg.notice.last && msg.notice.last < count, "%u to %u of %u", msg.notice.first,
                  msg.notice.last, count);
        for (uint32_t i = msg.notice.first; i <= msg.notice.last; i++) {
            cr_assert_not(done[i], "send %u is done twice", i);
            done[i] = true;
            told++;
        }
        msg.want = PAL_META_NOTICE;
    }
    return told;
}

/* Waits until these sends are done. */
static void until_done(pal_sock sock, uint32_t count)
{
    bool done[64] = {false};

    for (uint32_t told = 0; told < count;) {
        cr_assert(sock_until(sock, 0) & PAL_ERR, "%u of %u sends are never done", count - told, count);
        told += (uint32_t)take_done(sock, done, count);
    }
    for (uint32_t i = 0; i < count; i++)
        cr_assert(done[i]);
}

static void expect_no_notice(pal_sock sock)
{
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    msg.want = PAL_META_NOTICE;
    assert_error(pal_sock_recv_msgs(sock, &msg, 1, PAL_MSG_ERRQUEUE), PAL_EAGAIN);
}

static void receive_large(pal_sock sock, char value)
{
    static char room[LARGE];

    for (size_t done = 0; done < LARGE;) {
        int32_t size;

        cr_assert(sock_until(sock, PAL_IN), "after %zu bytes", done);
        size = pal_sock_recv(sock, room, sizeof(room), 0);
        cr_assert_gt(size, 0, "%s", pal_error_name(size));
        for (int32_t i = 0; i < size; i++)
            cr_assert_eq(room[i], value);
        done += (size_t)size;
    }
}

/* ---- by permission only ---- */

static void expect_refused(pal_sock sock)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "text", 4);

    assert_error(pal_sock_send(sock, "text", 4, PAL_MSG_ZEROCOPY), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_sock_send_msgs(sock, &msg, 1, PAL_MSG_ZEROCOPY), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
}

Test(calls_zerocopy, the_flag_needs_the_option)
{
    enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UDP4, PAIR_UNIX_STREAM};

    for (int i = 0; i < 3; i++) { /* where there is no such option as well */
        pal_sock a, b;

        if (!pair_available(kinds[i]))
            continue;
        pair_open(kinds[i], &a, &b);
        expect_refused(a);
        cr_assert_eq(option_of(b, PAL_SO_NREAD), 0, "refused, and yet sent");
        if (kinds[i] != PAIR_UNIX_STREAM && option_try(a, PAL_SO_ZEROCOPY, 1) == 0) {
            option_set(a, PAL_SO_ZEROCOPY, 0);
            expect_refused(a);
        }
        pair_close(a, b);
    }
}

Test(calls_zerocopy, receiving_knows_no_such_flag)
{
    struct pal_iov iov;
    pal_sock a, b;
    char byte;
    struct pal_msg msg = msg_of(&iov, &byte, 1);

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_recv(a, &byte, 1, PAL_MSG_ZEROCOPY), PAL_EINVAL);
    assert_error(pal_sock_recv_msgs(a, &msg, 1, PAL_MSG_ZEROCOPY), PAL_EINVAL);
    pair_close(a, b);
}

Test(calls_zerocopy, what_cannot_is_refused)
{
    pal_sock a, b;

    require_zerocopy();
    require_pair(PAIR_UNIX_STREAM);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(option_try(a, PAL_SO_ZEROCOPY, 1), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    pair_close(a, b);
}

Test(calls_zerocopy, every_handle_of_a_socket_may_when_one_has_asked)
{
    pal_sock a, b, second;

    require_zerocopy();
    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_dup(a, &second), 0);
    option_set(a, PAL_SO_ZEROCOPY, 1);
    cr_assert_eq(option_of(second, PAL_SO_ZEROCOPY), 1);
    assert_error(pal_sock_send(second, "text", 4, PAL_MSG_ZEROCOPY), 4);
    expect_text(b, "text");
    until_done(second, 1);
    sock_close(second);
    pair_close(a, b);
}

/* ---- done ---- */

Test(calls_zerocopy, each_send_of_a_stream_is_told_to_be_done_once)
{
    pal_sock a, b;

    require_zerocopy();
    pair_open(PAIR_TCP4, &a, &b);
    option_set(a, PAL_SO_ZEROCOPY, 1);
    for (int i = 0; i < 4; i++) {
        int32_t sent;

        memset(bytes[i], 'a' + i, LARGE);
        sent = pal_sock_send(a, bytes[i], LARGE, PAL_MSG_ZEROCOPY);
        cr_assert_gt(sent, 0, "%s", pal_error_name(sent));
        if (sent < LARGE) /* the rest is copied: that is no send that is counted */
            send_all(a, bytes[i] + sent, (size_t)(LARGE - sent));
        receive_large(b, (char)('a' + i));
    }
    until_done(a, 4);
    expect_no_notice(a);
    pair_close(a, b);
}

Test(calls_zerocopy, each_datagram_is_told_to_be_done_once)
{
    struct pal_iov iov;
    struct pal_msg msg;
    pal_sock a, b;

    require_zerocopy();
    pair_open(PAIR_UDP4, &a, &b);
    if (option_try(a, PAL_SO_ZEROCOPY, 1) == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("zero-copy", "not for datagrams");
    }
    for (int i = 0; i < 4; i++) {
        msg = msg_of(&iov, bytes[i], 1000);
        memset(bytes[i], 'a' + i, 1000);
        assert_error(pal_sock_send_msgs(a, &msg, 1, PAL_MSG_ZEROCOPY), 1);
        assert_error(msg.size, 1000);
        send_text(a, "copied");
    }
    until_done(a, 4);
    expect_no_notice(a);
    for (int i = 0; i < 4; i++) {
        char room[1000];

        cr_assert(sock_until(b, PAL_IN));
        assert_error(pal_sock_recv(b, room, sizeof(room), 0), 1000);
        cr_assert(room[0] == 'a' + i && room[999] == 'a' + i);
        expect_text(b, "copied");
    }
    pair_close(a, b);
}

Test(calls_zerocopy, pieces_go_without_a_copy_too)
{
    struct pal_iov iovs[2] = {{bytes[0], 3000}, {bytes[1], 2000}};
    struct pal_msg msg;
    pal_sock a, b;
    char room[8000];
    size_t done = 0;

    require_zerocopy();
    pair_open(PAIR_TCP4, &a, &b);
    option_set(a, PAL_SO_ZEROCOPY, 1);
    memset(bytes[0], 'x', 3000);
    memset(bytes[1], 'y', 2000);
    memset(&msg, 0, sizeof(msg));
    msg.iov = iovs;
    msg.iov_count = 2;
    assert_error(pal_sock_send_msgs(a, &msg, 1, PAL_MSG_ZEROCOPY), 1);
    assert_error(msg.size, 5000);
    while (done < 5000) {
        int32_t size;

        cr_assert(sock_until(b, PAL_IN));
        size = pal_sock_recv(b, room + done, sizeof(room) - done, 0);
        cr_assert_gt(size, 0);
        done += (size_t)size;
    }
    cr_assert_arr_eq(room, bytes[0], 3000);
    cr_assert_arr_eq(room + 3000, bytes[1], 2000);
    until_done(a, 1);
    pair_close(a, b);
}

/* ---- notices beside watches and ops ---- */

enum { WATCH = 7, OP = 8 };

/* A socket whose error queue has the notice of one send, and its peer, which has read what was sent. */
static void noticed_open(pal_sock *a, pal_sock *b)
{
    pair_open(PAIR_TCP4, a, b);
    option_set(*a, PAL_SO_ZEROCOPY, 1);
    assert_error(pal_sock_send(*a, "text", 4, PAL_MSG_ZEROCOPY), 4);
    expect_text(*b, "text");
    cr_assert(sock_until(*a, 0) & PAL_ERR, "the send is never done");
}

Test(calls_zerocopy, a_watch_tells_of_notices_until_they_are_taken)
{
    pal_sock a, b;
    struct rig rig;

    require_zerocopy();
    rig_open(&rig, 2);
    noticed_open(&a, &b);
    rig_watch(&rig, a, PAL_IN, WATCH);
    for (int i = 0; i < 3; i++)
        (void)rig_until_ready(&rig, WATCH, PAL_ERR);
    until_done(a, 1);
    rig_silent_but_once(&rig, WATCH, 3);
    send_text(b, "data");
    cr_assert_eq(rig_until_ready(&rig, WATCH, PAL_IN).ready & PAL_ERR, 0);
    expect_text(a, "data");
    rig_unwatch(&rig, a);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_zerocopy, a_receiving_op_ends_beside_notices_and_goes_on_when_they_are_taken)
{
    pal_sock a, b;
    struct rig rig;
    struct pal_op op;
    char room[8];

    require_zerocopy();
    rig_open(&rig, 2);
    noticed_open(&a, &b);
    op = op_recv(a, OP, room, sizeof(room));
    assert_error(rig_perform(&rig, &op), PAL_EAGAIN);
    until_done(a, 1);
    op = op_recv(a, OP, room, sizeof(room));
    rig_submit(&rig, &op);
    rig_silent(&rig, OP, 3);
    send_text(b, "data");
    assert_error(rig_outcome(&rig, &op), 4);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_zerocopy, data_comes_first_beside_notices)
{
    pal_sock a, b;
    struct rig rig;
    struct pal_op op;
    char room[8];

    require_zerocopy();
    rig_open(&rig, 2);
    noticed_open(&a, &b);
    send_text(b, "data");
    cr_assert(sock_until(a, PAL_IN) & PAL_IN);
    op = op_recv(a, OP, room, sizeof(room));
    assert_error(rig_perform(&rig, &op), 4);
    until_done(a, 1);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_zerocopy, a_sending_op_ends_beside_notices_and_goes_on_when_they_are_taken)
{
    static char much[1 << 20];
    pal_sock a, b;
    struct rig rig;
    struct pal_op op;
    int32_t result;
    uint64_t filled;

    require_zerocopy();
    rig_open(&rig, 2);
    noticed_open(&a, &b);
    filled = fill(a);
    op = op_send(a, OP, much, sizeof(much));
    result = rig_perform(&rig, &op);
    cr_assert(result == PAL_EAGAIN || result > 0, "%s", pal_error_name(result));
    filled += result > 0 ? (uint64_t)result : 0;
    until_done(a, 1);
    filled += fill(a);
    op = op_send(a, OP, much, sizeof(much));
    rig_submit(&rig, &op);
    rig_silent(&rig, OP, 3);
    for (uint64_t total = 0; total < filled + sizeof(much);) {
        cr_assert(sock_until(b, PAL_IN), "after %lu bytes", (unsigned long)total);
        total += drain(b);
        (void)rig_turn(&rig, 0);
    }
    assert_error(rig_outcome(&rig, &op), (int)sizeof(much));
    pair_close(a, b);
    rig_close(&rig);
}
