/* calls_passing.c: handles passed over local sockets: PAL_META_SOCKS, PAL_SO_PASS. Whatever does not reach the receiver
 * must not stay open anywhere: its other end sees the end of the stream, and PAL_INFO_SOCKS_OPEN tells. */
#include "calls_common.h"

static const enum pair_kind kinds[] = {PAIR_UNIX_STREAM, PAIR_UNIX_DGRAM, PAIR_UNIX_SEQPACKET};
enum { KINDS = 3 };

static void require_passing(void)
{
    if (!has_caps(PAL_CAP_PASS_SOCKS))
        test_skip("pass-socks", "this backend passes no handles");
}

/* A pair that takes handles at its end b. */
static void passing_pair_open(enum pair_kind kind, pal_sock *a, pal_sock *b)
{
    pair_open(kind, a, b);
    cr_assert_eq(option_of(*b, PAL_SO_PASS), 0);
    option_set(*b, PAL_SO_PASS, 1);
}

static int pass(pal_sock via, const pal_sock *socks, uint16_t count)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "pass", 4);

    msg.want = PAL_META_SOCKS;
    msg.socks = (pal_sock *)(uintptr_t)socks; /* a send only reads */
    msg.socks_count = count;
    return pal_sock_send_msgs(via, &msg, 1, 0);
}

/* Receives the message with room for so many handles; the flags and the count are in the message. */
static struct pal_msg take(pal_sock via, uint16_t want, pal_sock *socks, uint16_t max)
{
    char bytes[16] = "";
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));

    msg.want = want;
    msg.socks = socks;
    msg.socks_max = max;
    receive_msg(via, &msg);
    assert_error(msg.size, 4);
    cr_assert_str_eq(bytes, "pass");
    return msg;
}

static void expect_taken(pal_sock via, pal_sock *socks, uint16_t count)
{
    struct pal_msg msg = take(via, PAL_META_SOCKS, socks, count);

    cr_assert_eq(msg.have, PAL_META_SOCKS);
    cr_assert_eq(msg.socks_count, count, "%u of %u handles came", msg.socks_count, count);
    cr_assert_eq(msg.flags & PAL_MSG_CTRUNC, 0);
}

/* Nobody has the other end any more. */
static void expect_abandoned(pal_sock end)
{
    expect_end(end);
    sock_close(end);
}

Test(calls_passing, a_passed_handle_is_the_same_socket)
{
    require_passing();
    for (int i = 0; i < KINDS; i++) {
        pal_sock a, b, c, d, passed = {0};
        char byte;

        passing_pair_open(kinds[i], &a, &b);
        pair_open(native_kind(PAIR_TCP4), &c, &d);
        assert_error(pass(a, &c, 1), 1);
        expect_taken(b, &passed, 1);
        cr_assert_neq(passed.id, c.id);
        expect_connected(c, d);
        expect_connected(passed, d);
        assert_error(pal_sock_recv(passed, &byte, 1, 0), PAL_EAGAIN);
        assert_same_address(name_of(passed, PAL_NAME_PEER), name_of(c, PAL_NAME_PEER));
        pair_close(a, b);
        pair_close(passed, c);
        expect_abandoned(d);
    }
}

Test(calls_passing, a_passed_handle_outlives_the_senders)
{
    require_passing();
    for (int i = 0; i < KINDS; i++) {
        pal_sock a, b, c, d, passed = {0};

        passing_pair_open(kinds[i], &a, &b);
        pair_open(native_kind(PAIR_TCP4), &c, &d);
        assert_error(pass(a, &c, 1), 1);
        sock_close(c);
        expect_taken(b, &passed, 1);
        expect_connected(passed, d);
        pair_close(a, b);
        sock_close(passed);
        expect_abandoned(d);
    }
}

Test(calls_passing, several_handles_keep_their_order)
{
    enum { COUNT = 5 };

    require_passing();
    for (int i = 0; i < KINDS; i++) {
        uint64_t before = handles_open();
        pal_sock a, b, ends[COUNT][2], send[COUNT], passed[COUNT];

        passing_pair_open(kinds[i], &a, &b);
        for (int j = 0; j < COUNT; j++) {
            pair_open(j % 2 ? PAIR_UNIX_STREAM : native_kind(PAIR_UDP4), &ends[j][0], &ends[j][1]);
            send[j] = ends[j][0];
        }
        assert_error(pass(a, send, COUNT), 1);
        expect_taken(b, passed, COUNT);
        for (int j = 0; j < COUNT; j++) {
            expect_connected(passed[j], ends[j][1]);
            pair_close(ends[j][0], ends[j][1]);
            sock_close(passed[j]);
        }
        pair_close(a, b);
        cr_assert_eq(handles_open(), before);
    }
}

Test(calls_passing, one_handle_passed_twice_comes_twice)
{
    pal_sock a, b, c, d, send[2], passed[2];

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_TCP4), &c, &d);
    send[0] = send[1] = c;
    assert_error(pass(a, send, 2), 1);
    expect_taken(b, passed, 2);
    cr_assert_neq(passed[0].id, passed[1].id);
    expect_connected(passed[0], d);
    expect_connected(passed[1], d);
    pair_close(passed[0], passed[1]);
    expect_connected(c, d);
    pair_close(a, b);
    pair_close(c, d);
}

Test(calls_passing, as_many_as_allowed_and_no_more)
{
    pal_sock a, b, c, d, send[PAL_PASS_MAX + 1], passed[PAL_PASS_MAX];

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_UDP4), &c, &d);
    for (int i = 0; i <= PAL_PASS_MAX; i++)
        send[i] = c;
    assert_error(pass(a, send, PAL_PASS_MAX + 1), PAL_EINVAL);
    assert_error(pass(a, send, PAL_PASS_MAX), 1);
    expect_taken(b, passed, PAL_PASS_MAX);
    for (int i = 0; i < PAL_PASS_MAX; i++) {
        expect_connected(passed[i], d);
        sock_close(passed[i]);
    }
    pair_close(a, b);
    pair_close(c, d);
}

Test(calls_passing, anything_that_streams_may_be_passed)
{
    pal_sock a, b, pipe[2], listener, passed[3], client, served;
    struct pal_addr addr;

    require_passing();
    passing_pair_open(PAIR_UNIX_DGRAM, &a, &b);
    assert_error(pal_pipe(pipe, 0), 0);
    listener_open(native_family(PAL_AF_INET), &listener, &addr);
    {
        pal_sock send[3] = {pipe[0], pipe[1], listener};

        assert_error(pass(a, send, 3), 1);
    }
    pair_close(pipe[0], pipe[1]);
    sock_close(listener);
    expect_taken(b, passed, 3);
    send_text(passed[1], "through the pipe");
    expect_text(passed[0], "through the pipe");
    connect_to(passed[2], &addr, &client, &served);
    expect_connected(client, served);
    assert_error(pal_sock_accept(passed[2], &listener, NULL), PAL_EAGAIN);
    pair_close(client, served);
    sock_close(passed[1]);
    expect_abandoned(passed[0]);
    sock_close(passed[2]);
    pair_close(a, b);
}

Test(calls_passing, a_passed_handle_can_be_watched)
{
    struct rig rig;
    pal_sock a, b, c, d, passed = {0};

    require_passing();
    rig_open(&rig, 2);
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_TCP4), &c, &d);
    assert_error(pass(a, &c, 1), 1);
    expect_taken(b, &passed, 1);
    assert_error(pal_watch(rig.poll, c, PAL_IN, 1), 0);
    assert_error(pal_watch(rig.poll, passed, PAL_IN, 2), 0);
    send_text(d, "x");
    cr_assert(rig_until(&rig, 1, PAL_EV_READY).ready & PAL_IN);
    cr_assert(rig_until(&rig, 2, PAL_EV_READY).ready & PAL_IN);
    assert_error(pal_watch(rig.poll, c, 0, 0), 0);
    sock_close(c);
    cr_assert(rig_until(&rig, 2, PAL_EV_READY).ready & PAL_IN);
    rig_silent(&rig, 1, 3);
    assert_error(pal_watch(rig.poll, passed, 0, 0), 0);
    pair_close(a, b);
    pair_close(passed, d);
    rig_close(&rig);
}

/* ---- refused, dropped, cut: nothing stays open ---- */

Test(calls_passing, who_does_not_take_handles_gets_the_bytes_alone)
{
    require_passing();
    for (int i = 0; i < KINDS; i++) {
        pal_sock a, b, c, d, passed = {0};
        uint64_t before;
        struct pal_msg msg;

        pair_open(kinds[i], &a, &b);
        pair_open(native_kind(PAIR_TCP4), &c, &d);
        before = handles_open();
        assert_error(pass(a, &c, 1), 1);
        sock_close(c);
        msg = take(b, PAL_META_SOCKS, &passed, 1);
        cr_assert_eq(msg.have, 0);
        cr_assert_eq(msg.socks_count, 0);
        cr_assert_eq(msg.flags & PAL_MSG_CTRUNC, PAL_MSG_CTRUNC);
        cr_assert_eq(handles_open(), before - 1);
        expect_abandoned(d);
        pair_close(a, b);
    }
}

Test(calls_passing, plain_recv_closes_what_was_passed)
{
    require_passing();
    for (int i = 0; i < 2 * KINDS; i++) {
        pal_sock a, b, c, d;
        uint64_t before;

        pair_open(kinds[i % KINDS], &a, &b);
        option_set(b, PAL_SO_PASS, i / KINDS);
        pair_open(native_kind(PAIR_TCP4), &c, &d);
        before = handles_open();
        assert_error(pass(a, &c, 1), 1);
        sock_close(c);
        expect_text(b, "pass");
        cr_assert_eq(handles_open(), before - 1);
        expect_abandoned(d);
        pair_close(a, b);
    }
}

Test(calls_passing, who_does_not_want_handles_gets_the_bytes_alone)
{
    pal_sock a, b, c, d, passed = {0};
    uint64_t before;
    struct pal_msg msg;

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_TCP4), &c, &d);
    before = handles_open();
    assert_error(pass(a, &c, 1), 1);
    sock_close(c);
    msg = take(b, 0, &passed, 1);
    cr_assert_eq(msg.have, 0);
    cr_assert_eq(msg.socks_count, 0);
    cr_assert_eq(msg.flags & PAL_MSG_CTRUNC, PAL_MSG_CTRUNC);
    cr_assert_eq(handles_open(), before - 1);
    expect_abandoned(d);
    pair_close(a, b);
}

static void expect_cut(enum pair_kind kind, uint16_t room)
{
    enum { COUNT = 3 };
    pal_sock a, b, ends[COUNT][2], send[COUNT], passed[COUNT + 1];
    uint64_t before = handles_open();
    struct pal_msg msg;

    passing_pair_open(kind, &a, &b);
    for (int i = 0; i < COUNT; i++) {
        pair_open(native_kind(PAIR_TCP4), &ends[i][0], &ends[i][1]);
        send[i] = ends[i][0];
    }
    assert_error(pass(a, send, COUNT), 1);
    for (int i = 0; i < COUNT; i++)
        sock_close(ends[i][0]);
    memset(passed, 0, sizeof(passed));
    msg = take(b, PAL_META_SOCKS, passed, room);
    cr_assert_eq(msg.flags & PAL_MSG_CTRUNC, PAL_MSG_CTRUNC);
    cr_assert_leq(msg.socks_count, room);
    cr_assert_eq(passed[room].id, 0, "written beyond the room");
    for (int i = 0; i < msg.socks_count; i++) {
        expect_connected(passed[i], ends[i][1]);
        sock_close(passed[i]);
    }
    cr_assert_eq(handles_open(), before + 2 + COUNT);
    for (int i = 0; i < COUNT; i++)
        expect_abandoned(ends[i][1]);
    pair_close(a, b);
}

Test(calls_passing, handles_without_room_are_closed_and_flagged)
{
    require_passing();
    for (int i = 0; i < KINDS; i++) {
        for (uint16_t room = 0; room < 3; room++)
            expect_cut(kinds[i], room);
    }
}

Test(calls_passing, handles_nobody_received_are_closed_with_the_socket)
{
    pal_sock a, b, c, d;

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_TCP4), &c, &d);
    assert_error(pass(a, &c, 1), 1);
    sock_close(c);
    pair_close(a, b);
    expect_abandoned(d);
}

Test(calls_passing, no_handle_is_passed_unless_wanted)
{
    pal_sock a, b, c, d, passed = {0};
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, "pass", 4);

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_TCP4), &c, &d);
    msg.socks = &c;
    msg.socks_count = 1;
    assert_error(pal_sock_send_msgs(a, &msg, 1, 0), 1);
    msg = take(b, PAL_META_SOCKS, &passed, 1);
    cr_assert_eq(msg.have, 0);
    cr_assert_eq(msg.socks_count, 0);
    cr_assert_eq(msg.flags, 0);
    pair_close(a, b);
    pair_close(c, d);
}

Test(calls_passing, what_cannot_be_passed_is_refused_and_nothing_sent)
{
    pal_sock a, b, c, d, e, f, send[2];

    require_passing();
    passing_pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_open(native_kind(PAIR_UDP4), &c, &d);
    pair_open(PAIR_UDP4, &e, &f);
    send[0] = c;
    send[1].id = 0;
    assert_error(pass(a, send, 2), PAL_EBADF);
    assert_error(pass(a, NULL, 1), PAL_EINVAL);
    cr_assert_lt(pass(e, &a, 1), 0, "over UDP");
    send_text(a, "first");
    expect_text(b, "first");
    send_text(e, "first");
    expect_text(f, "first");
    pair_close(a, b);
    pair_close(c, d);
    pair_close(e, f);
}

/* Rule 14: it has no descriptor that another process could be given. */
Test(calls_passing, a_stacks_socket_is_refused_and_nothing_sent)
{
    static const enum pair_kind of_stack[] = {PAIR_TCP4, PAIR_UDP4};

    require_passing();
    for (int i = 0; i < 2 * KINDS; i++) {
        pal_sock a, b, c, d, native[2], send[2];
        uint64_t before;

        stack_pair_open(of_stack[i % 2], &c, &d);
        passing_pair_open(kinds[i / 2], &a, &b);
        assert_error(pal_pipe(native, 0), 0);
        send[0] = native[0];
        send[1] = c;
        before = handles_open();
        assert_error(pass(a, &c, 1), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        assert_error(pass(a, send, 2), PAL_ENOTSUP); /* nor does its neighbour go alone */
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        cr_assert_eq(handles_open(), before);
        send_text(a, "first");
        expect_text(b, "first");
        expect_connected(c, d);
        pair_close(native[0], native[1]);
        pair_close(a, b);
        pair_close(c, d);
    }
}
