/* calls_blocking.c: PAL_MSG_WAIT: one call that blocks its thread until there is something to receive, or room. Only
 * where the backend has PAL_CAP_BLOCKING. A thread leaves its result behind and the test's own thread judges. */
#include "calls_common.h"

#include <stdatomic.h>

struct call {
    pal_sock sock;
    _Atomic uint32_t entered; /* 1: the thread is about to call */
    int32_t result;
    char *bytes;
    size_t size;
};

static void recv_in_thread(void *arg)
{
    struct call *call = arg;

    atomic_store(&call->entered, 1);
    call->result = pal_sock_recv(call->sock, call->bytes, call->size, PAL_MSG_WAIT);
}

/* Sends all, whatever part of it each call takes. */
static void send_in_thread(void *arg)
{
    struct call *call = arg;

    atomic_store(&call->entered, 1);
    while (call->size > 0) {
        call->result = pal_sock_send(call->sock, call->bytes, call->size, PAL_MSG_WAIT);
        if (call->result <= 0)
            return;
        call->bytes += call->result;
        call->size -= (size_t)call->result;
    }
}

static void require_blocking(void)
{
    if (!has_caps(PAL_CAP_BLOCKING | PAL_CAP_SHARED_SOCKS))
        test_skip("blocking", "no call of this backend blocks");
}

static struct call call_of(pal_sock sock, char *bytes, size_t size)
{
    struct call call;

    call.sock = sock;
    call.result = PAL_EAGAIN;
    call.bytes = bytes;
    call.size = size;
    atomic_init(&call.entered, 0);
    return call;
}

/* Starts a thread that makes the call, and gives it time to get there; the test is right wherever it is. */
static pal_thread begin(struct call *call, void (*function)(void *))
{
    pal_thread thread = {0};

    assert_error(pal_thread_start(&thread, function, call), 0);
    for (int i = 0; i < 5000 && atomic_load(&call->entered) == 0; i++)
        assert_error(pal_sock_wait(NULL, 0, deadline_after(MILLISECOND_NS)), 0);
    assert_error(pal_sock_wait(NULL, 0, deadline_after(5 * MILLISECOND_NS)), 0); /* most likely it is inside by now */
    return thread;
}

static void expect_blocking_receive(pal_sock a, pal_sock b)
{
    char bytes[16] = "";
    struct call call = call_of(b, bytes, sizeof(bytes));
    pal_thread thread = begin(&call, recv_in_thread);

    send_text(a, "at last");
    assert_error(pal_thread_join(thread), 0);
    assert_error(call.result, 7);
    cr_assert_str_eq(bytes, "at last");
    assert_error(pal_sock_recv(b, bytes, 1, 0), PAL_EAGAIN);
    send_text(a, "at once");
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv(b, bytes, sizeof(bytes), PAL_MSG_WAIT), 7);
    cr_assert_str_eq(bytes, "at once");
}

Test(calls_blocking, receiving_waits_for_bytes)
{
    require_blocking();
    for (int kind = 0; kind < PAIR_KINDS; kind++) {
        pal_sock a, b;

        if (!pair_available((enum pair_kind)kind))
            continue;
        pair_open((enum pair_kind)kind, &a, &b);
        expect_blocking_receive(a, b);
        pair_close(a, b);
    }
}

Test(calls_blocking, receiving_from_a_pipe_waits_for_bytes)
{
    pal_sock ends[2];

    require_blocking();
    assert_error(pal_pipe(ends, 0), 0);
    expect_blocking_receive(ends[1], ends[0]);
    pair_close(ends[0], ends[1]);
}

static void recv_msgs_in_thread(void *arg)
{
    struct call *call = arg;
    struct pal_iov iovs[3];
    struct pal_msg msgs[3];

    for (int i = 0; i < 3; i++)
        msgs[i] = msg_of(&iovs[i], call->bytes, call->size);
    atomic_store(&call->entered, 1);
    call->result = pal_sock_recv_msgs(call->sock, msgs, 3, PAL_MSG_WAIT);
    call->size = (size_t)msgs[0].size;
}

Test(calls_blocking, receiving_a_batch_waits_for_the_first_message_alone)
{
    require_blocking();
    for (int kind = 0; kind < PAIR_KINDS; kind++) {
        char bytes[16] = "";
        struct call call;
        pal_thread thread;
        pal_sock a, b;

        if (!pair_available((enum pair_kind)kind))
            continue;
        pair_open((enum pair_kind)kind, &a, &b);
        call = call_of(b, bytes, sizeof(bytes));
        thread = begin(&call, recv_msgs_in_thread);
        send_text(a, "at last");
        assert_error(pal_thread_join(thread), 0);
        cr_assert_eq(call.result, 1, "kind %d: %s", kind, pal_error_name(call.result));
        cr_assert_eq(call.size, 7);
        cr_assert_str_eq(bytes, "at last");
        pair_close(a, b);
    }
}

Test(calls_blocking, the_end_of_the_stream_ends_the_wait)
{
    pal_sock a, b;
    char byte;
    struct call call;
    pal_thread thread;

    require_blocking();
    pair_open(PAIR_TCP4, &a, &b);
    call = call_of(b, &byte, 1);
    thread = begin(&call, recv_in_thread);
    sock_close(a);
    assert_error(pal_thread_join(thread), 0);
    assert_error(call.result, 0);
    sock_close(b);
}

Test(calls_blocking, shutdown_by_another_thread_ends_the_wait)
{
    pal_sock a, b;
    char byte;
    struct call call;
    pal_thread thread;

    require_blocking();
    pair_open(PAIR_TCP4, &a, &b);
    call = call_of(b, &byte, 1);
    thread = begin(&call, recv_in_thread);
    assert_error(pal_sock_shutdown(b, PAL_SHUT_RD), 0);
    assert_error(pal_thread_join(thread), 0);
    assert_error(call.result, 0);
    pair_close(a, b);
}

static void expect_blocking_send(pal_sock a, pal_sock b)
{
    enum { SIZE = 1 << 20 };
    static char bytes[SIZE];
    struct call call = call_of(a, bytes, SIZE);
    uint64_t sent = fill(a) + SIZE;
    pal_thread thread = begin(&call, send_in_thread);

    for (uint64_t received = 0; received < sent;) {
        cr_assert(sock_until(b, PAL_IN), "only %lu bytes of %lu came", (unsigned long)received, (unsigned long)sent);
        received += drain(b);
    }
    assert_error(pal_thread_join(thread), 0);
    cr_assert_gt(call.result, 0, "%s", pal_error_name(call.result));
    cr_assert_eq(call.size, 0);
}

Test(calls_blocking, sending_waits_for_room)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UNIX_STREAM};

    require_blocking();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        pal_sock a, b;

        if (!pair_available(kinds[i]))
            continue;
        pair_open(kinds[i], &a, &b);
        expect_blocking_send(a, b);
        pair_close(a, b);
    }
}

Test(calls_blocking, sending_into_a_pipe_waits_for_room)
{
    pal_sock ends[2];

    require_blocking();
    assert_error(pal_pipe(ends, 0), 0);
    expect_blocking_send(ends[1], ends[0]);
    pair_close(ends[0], ends[1]);
}

Test(calls_blocking, a_broken_stream_ends_the_wait_for_room)
{
    static char bytes[1 << 20];
    pal_sock a, b;
    struct call call;
    pal_thread thread;

    require_blocking();
    pair_open(PAIR_TCP4, &a, &b);
    (void)fill(a);
    call = call_of(a, bytes, sizeof(bytes));
    thread = begin(&call, send_in_thread);
    close_with_reset(b);
    assert_error(pal_thread_join(thread), 0);
    cr_assert(call.result == PAL_ECONNRESET || call.result == PAL_EPIPE, "%s", pal_error_name(call.result));
    sock_close(a);
}
