/* calls_native.c: pipes, second handles to one socket, and the way out of the seam and back in: pal_sock_release and
 * pal_sock_adopt. Backends without native descriptors skip the latter. */
#include "calls_common.h"

/* ---- pipes ---- */

static void require_pipe(void)
{
    pal_sock ends[2];
    int error = pal_pipe(ends, 0);

    if (error == PAL_ENOTSUP)
        test_skip("pipe", "this backend has none");
    assert_error(error, 0);
    pair_close(ends[0], ends[1]);
}

static void pipe_open(pal_sock ends[2])
{
    ends[0].id = ends[1].id = 0;
    assert_error(pal_pipe(ends, 0), 0);
    cr_assert_neq(ends[0].id, ends[1].id);
}

Test(calls_native, a_pipe_carries_bytes_one_way)
{
    pal_sock ends[2];
    char byte;

    require_pipe();
    pipe_open(ends);
    assert_error(pal_sock_recv(ends[0], &byte, 1, 0), PAL_EAGAIN);
    send_text(ends[1], "one");
    send_text(ends[1], "two");
    expect_text(ends[0], "onetwo");
    cr_assert_lt(pal_sock_send(ends[0], "x", 1, 0), 0);
    cr_assert_lt(pal_sock_recv(ends[1], &byte, 1, 0), 0);
    pair_close(ends[0], ends[1]);
}

Test(calls_native, a_pipe_ends_with_its_writer)
{
    pal_sock ends[2];

    require_pipe();
    pipe_open(ends);
    send_text(ends[1], "last words");
    sock_close(ends[1]);
    expect_text(ends[0], "last words");
    expect_end(ends[0]);
    sock_close(ends[0]);
}

Test(calls_native, a_pipe_without_a_reader_is_broken)
{
    pal_sock ends[2];

    require_pipe();
    pipe_open(ends);
    sock_close(ends[0]);
    cr_assert(sock_until(ends[1], PAL_OUT) & PAL_ERR);
    assert_error(pal_sock_send(ends[1], "x", 1, 0), PAL_EPIPE);
    sock_close(ends[1]);
}

Test(calls_native, a_full_pipe_is_not_now_and_loses_nothing)
{
    pal_sock ends[2];
    uint64_t sent;

    require_pipe();
    pipe_open(ends);
    sent = fill(ends[1]);
    cr_assert_gt(sent, 0);
    cr_assert_eq(drain(ends[0]), sent);
    send_text(ends[1], "room again");
    expect_text(ends[0], "room again");
    pair_close(ends[0], ends[1]);
}

Test(calls_native, a_pipe_is_no_socket)
{
    pal_sock ends[2];
    struct pal_addr addr = loopback(PAL_AF_INET, 0);

    require_pipe();
    assert_error(pal_pipe(NULL, 0), PAL_EINVAL);
    assert_error(pal_pipe(ends, 1u << 31), PAL_EINVAL);
    pipe_open(ends);
    for (int i = 0; i < 2; i++) {
        assert_error(pal_sock_shutdown(ends[i], PAL_SHUT_RDWR), PAL_ENOTSOCK);
        assert_error(pal_sock_name(ends[i], PAL_NAME_LOCAL, &addr), PAL_ENOTSOCK);
        assert_error(pal_sock_name(ends[i], PAL_NAME_PEER, &addr), PAL_ENOTSOCK);
        assert_error(pal_sock_bind(ends[i], &addr), PAL_ENOTSOCK);
        assert_error(pal_sock_listen(ends[i], 1), PAL_ENOTSOCK);
        assert_error(pal_sock_connect(ends[i], &addr), PAL_ENOTSOCK);
    }
    pair_close(ends[0], ends[1]);
}

/* ---- second handles ---- */

Test(calls_native, a_second_handle_is_the_same_socket)
{
    pal_sock a, b, again = {0};

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_dup(a, &again), 0);
    cr_assert_neq(again.id, a.id);
    assert_same_address(name_of(again, PAL_NAME_LOCAL), name_of(a, PAL_NAME_LOCAL));
    option_set(again, PAL_SO_KEEPALIVE, 1);
    cr_assert_eq(option_of(a, PAL_SO_KEEPALIVE), 1);
    expect_connected(again, b);
    sock_close(a);
    assert_stale(a);
    expect_connected(again, b);
    sock_close(again);
    expect_end(b);
    sock_close(b);
}

Test(calls_native, a_second_handle_to_a_listener_accepts)
{
    pal_sock listener, again = {0}, a, b;
    struct pal_addr addr;

    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_dup(listener, &again), 0);
    sock_close(listener);
    cr_assert_eq(option_of(again, PAL_SO_LISTENING), 1);
    assert_error(pal_sock_accept(again, &a, NULL), PAL_EAGAIN);
    connect_to(again, &addr, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
    sock_close(again);
}

Test(calls_native, a_second_handle_keeps_a_pipe_open)
{
    pal_sock ends[2], again = {0};

    require_pipe();
    pipe_open(ends);
    assert_error(pal_sock_dup(ends[1], &again), 0);
    sock_close(ends[1]);
    send_text(again, "still open");
    expect_text(ends[0], "still open");
    sock_close(again);
    expect_end(ends[0]);
    sock_close(ends[0]);
}

/* ---- out and back in ---- */

static void require_native(void)
{
    pal_sock sock = sock_open(native_family(PAL_AF_INET), PAL_SOCK_DGRAM);
    intptr_t native = -1;
    size_t size = sizeof(native);
    int error = pal_sock_get(sock, PAL_SO_NATIVE, &native, &size);

    sock_close(sock);
    if (error == PAL_ENOTSUP)
        test_skip("native", "sockets here are not the system's");
    assert_error(error, 0);
}

static intptr_t native_of(pal_sock sock)
{
    intptr_t native = -1;
    size_t size = sizeof(native);

    assert_error(pal_sock_get(sock, PAL_SO_NATIVE, &native, &size), 0);
    cr_assert_eq(size, sizeof(native));
    return native;
}

/* Takes the socket out of the seam and back; the old handle is dead. */
static pal_sock there_and_back(pal_sock sock, uint32_t flags)
{
    uint64_t before = handles_open();
    intptr_t expected = native_of(sock);
    intptr_t native = -1;
    pal_sock again = {0};

    assert_error(pal_sock_release(sock, &native), 0);
    cr_assert_eq(native, expected);
    cr_assert_eq(handles_open(), before - 1);
    assert_stale(sock);
    assert_error(pal_sock_adopt(native, flags, &again), 0);
    cr_assert_eq(handles_open(), before);
    cr_assert_eq(native_of(again), native);
    return again;
}

static const uint32_t adopt_flags[] = {0, PAL_ADOPT_SHARED};

static void expect_survival(enum pair_kind kind, int family, int type, uint32_t flags)
{
    pal_sock a, b;
    char byte;

    pair_open(kind, &a, &b);
    send_text(b, "sent before");
    a = there_and_back(a, flags);
    cr_assert_eq(option_of(a, PAL_SO_FAMILY), family);
    cr_assert_eq(option_of(a, PAL_SO_TYPE), type);
    cr_assert_eq(option_of(a, PAL_SO_LISTENING), 0);
    expect_text(a, "sent before");
    assert_error(pal_sock_recv(a, &byte, 1, 0), PAL_EAGAIN);
    expect_connected(a, b);
    pair_close(a, b);
}

Test(calls_native, a_connection_survives_release_and_adoption)
{
    require_native();
    for (int i = 0; i < 2; i++) {
        expect_survival(native_kind(PAIR_TCP4), native_family(PAL_AF_INET), PAL_SOCK_STREAM, adopt_flags[i]);
        expect_survival(native_kind(PAIR_UDP4), native_family(PAL_AF_INET), PAL_SOCK_DGRAM, adopt_flags[i]);
    }
}

Test(calls_native, a_local_socket_survives_release_and_adoption)
{
    require_native();
    require_pair(PAIR_UNIX_SEQPACKET);
    for (int i = 0; i < 2; i++) {
        expect_survival(PAIR_UNIX_STREAM, PAL_AF_UNIX, PAL_SOCK_STREAM, adopt_flags[i]);
        expect_survival(PAIR_UNIX_DGRAM, PAL_AF_UNIX, PAL_SOCK_DGRAM, adopt_flags[i]);
        expect_survival(PAIR_UNIX_SEQPACKET, PAL_AF_UNIX, PAL_SOCK_SEQPACKET, adopt_flags[i]);
    }
}

Test(calls_native, pipe_ends_survive_release_and_adoption)
{
    require_native();
    require_pipe();
    for (int i = 0; i < 2; i++) {
        pal_sock ends[2];
        char byte;
        uint64_t sent;

        pipe_open(ends);
        send_text(ends[1], "sent before");
        ends[0] = there_and_back(ends[0], adopt_flags[i]);
        ends[1] = there_and_back(ends[1], adopt_flags[i]);
        expect_text(ends[0], "sent before");
        assert_error(pal_sock_recv(ends[0], &byte, 1, 0), PAL_EAGAIN);
        sent = fill(ends[1]);
        cr_assert_gt(sent, 0);
        cr_assert_eq(drain(ends[0]), sent);
        sock_close(ends[1]);
        expect_end(ends[0]);
        sock_close(ends[0]);
    }
}

Test(calls_native, an_adopted_listener_accepts)
{
    pal_sock listener, a, b;
    struct pal_addr addr;

    require_native();
    for (int i = 0; i < 2; i++) {
        listener_open(native_family(PAL_AF_INET), &listener, &addr);
        listener = there_and_back(listener, adopt_flags[i]);
        cr_assert_eq(option_of(listener, PAL_SO_LISTENING), 1);
        assert_error(pal_sock_accept(listener, &a, NULL), PAL_EAGAIN);
        connect_to(listener, &addr, &a, &b);
        expect_connected(a, b);
        pair_close(a, b);
        sock_close(listener);
    }
}

Test(calls_native, an_adopted_fresh_socket_connects)
{
    pal_sock listener, a, b;
    struct pal_addr addr;
    int error;

    require_native();
    listener_open(native_family(PAL_AF_INET), &listener, &addr);
    a = there_and_back(sock_open(addr.family, PAL_SOCK_STREAM), 0);
    error = pal_sock_connect(a, &addr);
    cr_assert(error == 0 || error == PAL_EINPROGRESS, "%s", pal_error_name(error));
    b = accept_one(listener);
    cr_assert(sock_until(a, PAL_OUT) & PAL_OUT);
    assert_error(option_of(a, PAL_SO_ERROR), 0);
    expect_connected(a, b);
    pair_close(a, b);
    sock_close(listener);
}

Test(calls_native, an_adopted_socket_can_be_watched)
{
    struct rig rig;
    pal_sock a, b;

    require_native();
    rig_open(&rig, 2);
    for (int i = 0; i < 2; i++) {
        pair_open(native_kind(PAIR_TCP4), &a, &b);
        a = there_and_back(a, adopt_flags[i]);
        assert_error(pal_watch(rig.poll, a, PAL_IN, 7), 0);
        rig_silent(&rig, 7, 3);
        send_text(b, "x");
        cr_assert(rig_until(&rig, 7, PAL_EV_READY).ready & PAL_IN);
        assert_error(pal_watch(rig.poll, a, 0, 0), 0);
        pair_close(a, b);
    }
    rig_close(&rig);
}

/* Adopts one end of a connection of which nothing is left, which some systems describe like one that never was. */
static void adopt_ended(struct rig *rig, enum pair_kind kind, bool reset, uint32_t flags)
{
    pal_sock a, b;

    pair_open(kind, &a, &b);
    if (reset) {
        close_with_reset(b);
    } else {
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        expect_end(b);
        sock_close(b);
        expect_end(a);
    }
    cr_assert(sock_until(a, PAL_HUP) & PAL_HUP);
    a = there_and_back(a, flags);
    cr_assert(sock_until(a, PAL_IN) & PAL_IN, "the end of a connection is not told once it is adopted");
    assert_error(pal_watch(rig->poll, a, PAL_IN, 7), 0);
    cr_assert(rig_until(rig, 7, PAL_EV_READY).ready & PAL_IN);
    assert_error(pal_watch(rig->poll, a, 0, 0), 0);
    sock_close(a);
}

Test(calls_native, an_adopted_connection_that_has_ended_is_ready)
{
    const enum pair_kind kinds[] = {native_kind(PAIR_TCP4), PAIR_UNIX_STREAM, PAIR_UNIX_SEQPACKET};
    struct rig rig;

    require_native();
    rig_open(&rig, 2);
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0; at < sizeof(kinds) / sizeof(kinds[0]); at++)
            adopt_ended(&rig, kinds[at], false, adopt_flags[i]);
        if (kinds[0] == PAIR_TCP4)
            adopt_ended(&rig, PAIR_TCP4, true, adopt_flags[i]);
    }
    rig_close(&rig);
}

Test(calls_native, release_needs_an_idle_socket)
{
    struct rig rig;
    pal_sock a, b;
    intptr_t native = -1;
    char byte;
    struct pal_op op;

    require_native();
    pair_open(native_kind(PAIR_TCP4), &a, &b);
    memset(&rig, 0, sizeof(rig));
    rig_open(&rig, 2);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    assert_error(pal_sock_release(a, &native), PAL_EBUSY);
    cr_assert_neq(*pal_reason(), '\0');
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    op = op_recv(a, 2, &byte, 1);
    assert_error(pal_submit(rig.poll, &op), 0);
    assert_error(pal_sock_release(a, &native), PAL_EBUSY);
    cr_assert_neq(*pal_reason(), '\0');
    assert_error(pal_cancel(rig.poll, &op), 0);
    assert_error(rig_until(&rig, 2, PAL_EV_OP).result, PAL_ECANCELED);
    expect_connected(a, b);
    a = there_and_back(a, 0);
    expect_connected(a, b);
    rig_close(&rig);
    pair_close(a, b);
}

/* Rule 14: it is refused, and goes on as it was. */
Test(calls_native, a_stacks_socket_has_no_descriptor)
{
    static const enum pair_kind of_stack[] = {PAIR_TCP4, PAIR_UDP4};

    for (int i = 0; i < 2; i++) {
        intptr_t native = -7;
        size_t size = sizeof(native);
        uint64_t before;
        pal_sock a, b;

        stack_pair_open(of_stack[i], &a, &b);
        before = handles_open();
        assert_error(pal_sock_release(a, &native), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        assert_error(pal_sock_get(a, PAL_SO_NATIVE, &native, &size), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        cr_assert_eq(native, -7, "written, and yet refused");
        cr_assert_eq(handles_open(), before);
        expect_connected(a, b);
        pair_close(a, b);
    }
}

Test(calls_native, what_is_not_open_is_not_adopted)
{
    uint64_t before = handles_open();
    pal_sock sock = {0};

    require_native();
    assert_error(pal_sock_adopt(-1, 0, &sock), PAL_EBADF);
    assert_error(pal_sock_adopt(0x7ffffff0, 0, &sock), PAL_EBADF);
    assert_error(pal_sock_adopt(-1, 0, NULL), PAL_EINVAL);
    cr_assert_eq(handles_open(), before);
}
