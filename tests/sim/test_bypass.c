/* test_bypass.c: sockets of a user-space stack behind the seam's handles (backends/bypass), beside the kernel's: what
 * the conformance suite cannot see or does not ask. */
#include "../../backends/bypass/lane.h"
#include "../../backends/bypass/ring.h"
#include "../../backends/common/machine.h"
#include "bypass_bind.h"
#include <pal/address.h>
#include <pal/pal.h>
#include <support/test.h>

#define MS UINT64_C(1000000)

static pal_poll *poll_open(uint32_t events_max)
{
    struct pal_config config;
    pal_poll *poll = NULL;

    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    config.lease_count = 1;
    cr_assert_eq(pal_poll_open(&poll, &config), 0);
    return poll;
}

static pal_sock sock_open(int type)
{
    pal_sock sock = {0};

    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, type, 0, &sock), 0);
    return sock;
}

static struct pal_addr loopback(uint16_t port)
{
    struct pal_addr addr;

    cr_assert_eq(pal_addr_set_loopback(&addr, PAL_AF_INET, port), 0);
    return addr;
}

static pal_sock udp_bound(struct pal_addr *addr)
{
    pal_sock sock = sock_open(PAL_SOCK_DGRAM);

    *addr = loopback(0);
    cr_assert_eq(pal_sock_bind(sock, addr), 0);
    cr_assert_eq(pal_sock_name(sock, PAL_NAME_LOCAL, addr), 0);
    return sock;
}

/* A datagram socket that is connected to itself, and has something to read. */
static pal_sock udp_ready(void)
{
    struct pal_addr addr;
    pal_sock sock = udp_bound(&addr);

    cr_assert_eq(pal_sock_connect(sock, &addr), 0);
    cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
    return sock;
}

static void stream_pair(pal_sock *a, pal_sock *b)
{
    pal_sock listener = sock_open(PAL_SOCK_STREAM);
    struct pal_addr addr = loopback(0);
    int error = PAL_EAGAIN;

    cr_assert_eq(pal_sock_bind(listener, &addr), 0);
    cr_assert_eq(pal_sock_listen(listener, 1), 0);
    cr_assert_eq(pal_sock_name(listener, PAL_NAME_LOCAL, &addr), 0);
    *a = sock_open(PAL_SOCK_STREAM);
    cr_assert_eq(pal_sock_connect(*a, &addr), PAL_EINPROGRESS);
    for (int i = 0; i < 100 && error == PAL_EAGAIN; i++)
        error = pal_sock_accept(listener, b, NULL);
    cr_assert_eq(error, 0);
    cr_assert_eq(pal_sock_close(listener), 0);
}

static void sock_close(pal_sock sock)
{
    cr_assert_eq(pal_sock_close(sock), 0);
}

static void unwatch(pal_poll *poll, pal_sock sock)
{
    cr_assert_eq(pal_watch(poll, sock, 0, 0), 0);
}

static struct sock *inner(pal_sock sock)
{
    return sock_of(slot_of(sock));
}

static uint32_t udp_used(void)
{
    struct netstack_usage usage;

    pal__n_stack_usage(bypass_stack, &usage);
    return usage.udp;
}

static uint64_t handles(void)
{
    uint64_t open = 0;

    cr_assert_eq(pal_info(PAL_INFO_SOCKS_OPEN, &open), 0);
    return open;
}

#define refuses(call, code)                                                                                            \
    do {                                                                                                               \
        int refused_ = (int)(call);                                                                                    \
        cr_assert_eq(refused_, code, "%s is %s", #call, pal_error_name(refused_));                                     \
        cr_assert_str_neq(pal_reason(), "", "%s gives no reason", #call);                                              \
    } while (0)

/* ---- refusals ---- */

Test(bypass, kinds_of_sockets_that_it_has_not_are_refused_with_a_reason)
{
    pal_sock sock = {0};

    refuses(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, NULL), PAL_EINVAL);
    refuses(pal_sock_open(NULL, -1, PAL_SOCK_STREAM, 0, &sock), PAL_EINVAL);
    refuses(pal_sock_open(NULL, PAL_AF_INET, 0, 0, &sock), PAL_EINVAL);
    refuses(pal_sock_open(NULL, PAL_AF_INET, 11, 0, &sock), PAL_EINVAL);
    refuses(pal_sock_open(NULL, PAL_AF_VSOCK, PAL_SOCK_STREAM, 0, &sock), PAL_EAFNOSUPPORT);
    refuses(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_RAW, 0, &sock), PAL_ESOCKTNOSUPPORT);
    refuses(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_UDP, &sock), PAL_EPROTONOSUPPORT);
    cr_assert_eq(sock.id, 0);
    cr_assert_eq(handles(), 0);
    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET6, PAL_SOCK_DGRAM, PAL_IPPROTO_UDP, &sock), 0);
    cr_assert(in_stack(sock));
    sock_close(sock);
}

Test(bypass, what_only_a_descriptor_could_do_is_refused_with_a_reason)
{
    pal_sock sock = sock_open(PAL_SOCK_DGRAM);
    intptr_t native = 0;
    size_t size = sizeof(native);
    char byte;

    refuses(pal_sock_release(sock, &native), PAL_ENOTSUP);
    refuses(pal_sock_release(sock, NULL), PAL_EINVAL);
    refuses(pal_sock_get(sock, PAL_SO_NATIVE, &native, &size), PAL_ENOTSUP);
    refuses(pal_sock_get(sock, PAL_SO_RAW(1, 2), &native, &size), PAL_ENOTSUP);
    refuses(pal_sock_set(sock, PAL_SO_OWNER, &native, size), PAL_ENOTSUP);
    refuses(pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT), PAL_ENOTSUP);
    refuses(pal_sock_send(sock, &byte, 1, PAL_MSG_WAIT), PAL_ENOTSUP);
    cr_assert_lt(slot_of(sock)->fd, 0, "somebody might take it for a descriptor");
    sock_close(sock);
}

Test(bypass, a_failure_has_its_own_reason_and_a_success_leaves_the_last_one)
{
    pal_sock sock = sock_open(PAL_SOCK_DGRAM);
    int32_t value = 2;
    size_t size = sizeof(value);
    char byte;

    refuses(pal_sock_set(sock, PAL_SO_REUSEADDR, &value, size), PAL_EINVAL);
    cr_assert_eq(pal_sock_get(sock, PAL_SO_TYPE, &value, &size), 0);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_eq(pal_sock_recv(sock, &byte, 1, 0), PAL_EAGAIN);
    cr_assert_str_eq(pal_reason(), "");
    cr_assert_eq(pal_native_error(), -PAL_EAGAIN);
    sock_close(sock);
}

Test(bypass, only_close_is_left_after_a_connect_that_failed_or_was_cancelled)
{
    struct pal_addr nowhere, closed = loopback(9);
    pal_poll *poll = poll_open(8);
    pal_sock sock = sock_open(PAL_SOCK_STREAM), twin;
    struct pal_wait item = {{0}, PAL_IN | PAL_OUT, 0, 0};
    struct pal_op op;

    cr_assert_eq(pal_addr_from_host(&nowhere, "192.0.2.1", 9), 0);
    cr_assert_eq(pal_sock_connect(sock, &nowhere), PAL_ENETUNREACH);
    refuses(pal_sock_connect(sock, &closed), PAL_EINVAL);
    item.sock = sock;
    cr_assert_eq(pal__b_look(&item, 1), 0, "it was never connected, and is never ready");
    sock_close(sock);
    sock = sock_open(PAL_SOCK_STREAM);
    cr_assert_eq(pal_sock_dup(sock, &twin), 0);
    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_CONNECT;
    op.sock = sock;
    op.aux = &closed;
    cr_assert_eq(pal_submit(poll, &op), 0);
    cr_assert_eq(pal_cancel(poll, &op), 0);
    refuses(pal_sock_connect(twin, &closed), PAL_EINVAL);
    for (const struct pal_event *events; op.state != 0;)
        cr_assert_geq(pal_poll_wait(poll, &events, UINT64_MAX), 0);
    cr_assert_eq(op.result, PAL_ECANCELED);
    sock_close(sock);
    sock_close(twin);
    cr_assert_eq(pal_poll_close(poll), 0);
}

/* ---- duplicates ---- */

Test(bypass, the_socket_lives_as_long_as_one_of_its_handles_whichever)
{
    for (int first = 0; first < 3; first++) {
        struct pal_addr addr;
        pal_sock socks[3];

        socks[0] = udp_bound(&addr);
        cr_assert_eq(pal_sock_dup(socks[0], &socks[1]), 0);
        cr_assert_eq(pal_sock_dup(socks[first % 2], &socks[2]), 0);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(udp_used(), 1);
            cr_assert_eq(handles(), (uint64_t)(3 - i));
            cr_assert_eq(pal_sock_name(socks[(first + i) % 3], PAL_NAME_LOCAL, &addr), 0);
            cr_assert(sock_of(ring_of(inner(socks[(first + i) % 3]))) == inner(socks[(first + i) % 3]));
            sock_close(socks[(first + i) % 3]);
        }
        cr_assert_eq(udp_used(), 0);
    }
}

Test(bypass, one_poll_waits_for_all_handles_of_a_socket)
{
    pal_poll *poll = poll_open(8), *other = poll_open(8);
    pal_sock sock = udp_ready(), twin;
    const struct pal_event *events;

    cr_assert_eq(pal_sock_dup(sock, &twin), 0);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN, 1), 0);
    cr_assert_eq(pal_watch(other, twin, PAL_OUT, 2), PAL_EBUSY);
    cr_assert_eq(pal_watch(poll, twin, PAL_OUT, 2), 0);
    cr_assert_eq(inner(sock)->interest, PAL_IN | PAL_OUT);
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 2);
    cr_assert_eq(events[0].ready | events[1].ready, PAL_IN | PAL_OUT);
    cr_assert_neq(events[0].ready, events[1].ready, "each handle is told of what it watches");
    unwatch(poll, sock);
    unwatch(poll, twin);
    cr_assert_eq(inner(sock)->interest, 0);
    cr_assert_eq(pal_watch(other, twin, PAL_IN, 2), 0);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN, 1), PAL_EBUSY);
    cr_assert_eq(pal_poll_wait(other, &events, UINT64_MAX), 1);
    unwatch(other, twin);
    sock_close(sock);
    sock_close(twin);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert_eq(pal_poll_close(other), 0);
}

Test(bypass, one_poll_waits_for_all_handles_of_a_fresh_socket_too)
{
    pal_poll *poll = poll_open(8), *other = poll_open(8);
    pal_sock sock = sock_open(PAL_SOCK_STREAM), twin;
    struct pal_addr closed = loopback(9);
    const struct pal_event *events;

    cr_assert_eq(pal_sock_dup(sock, &twin), 0);
    cr_assert_eq(pal_watch(poll, sock, PAL_OUT, 1), 0);
    cr_assert_eq(pal_watch(other, twin, PAL_OUT, 2), PAL_EBUSY);
    cr_assert_eq(pal_poll_wait(poll, &events, 0), 0, "a fresh socket is never ready");
    cr_assert_eq(pal_sock_connect(twin, &closed), PAL_EINPROGRESS);
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 1);
    cr_assert(events[0].ready & PAL_OUT);
    unwatch(poll, sock);
    sock_close(sock);
    sock_close(twin);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert_eq(pal_poll_close(other), 0);
}

/* ---- the lane ---- */

Test(bypass, an_array_that_is_too_small_shows_everybody_in_turn)
{
    enum { SOCKS = 150, ROOM = 7 };
    pal_poll *poll = poll_open(256);
    uint32_t seen[SOCKS] = {0};
    pal_sock socks[SOCKS];

    for (int i = 0; i < SOCKS; i++) {
        socks[i] = udp_ready();
        cr_assert_eq(pal_watch(poll, socks[i], PAL_IN, (uint64_t)i), 0);
    }
    for (int round = 0; round < 3 * (SOCKS / ROOM + 1); round++) {
        poll->count = 0;
        cr_assert(pal__b_collect(poll, ROOM), "not all have been shown");
        cr_assert_eq(poll->count, ROOM);
        for (int i = 0; i < ROOM; i++)
            seen[poll->events[i].data]++;
    }
    for (int i = 0; i < SOCKS; i++)
        cr_assert(seen[i] >= 3 && seen[i] <= 4, "socket %d: %u times", i, seen[i]);
    poll->count = 0;
    (void)pal__b_collect(poll, 256);
    cr_assert_eq(poll->count, SOCKS, "each once, in more batches than one");
    (void)pal__b_collect(poll, 256);
    cr_assert_eq(poll->count, SOCKS, "and not again in this array");
    for (int i = 0; i < SOCKS; i++) {
        unwatch(poll, socks[i]);
        sock_close(socks[i]);
    }
    cr_assert_eq(poll->events[0].kind, PAL_EV_NONE);
    cr_assert_eq(pal_poll_close(poll), 0);
}

Test(bypass, what_nobody_wants_any_more_is_not_looked_at_for_ever)
{
    pal_poll *poll = poll_open(8);
    pal_sock sock = udp_ready();
    struct pal_op op;
    char byte;

    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_RECV;
    op.sock = sock;
    op.buf = &byte;
    op.size = 1;
    cr_assert_eq(pal_submit(poll, &op), 0);
    poll->count = 0;
    (void)pal__b_collect(poll, 8);
    cr_assert_eq(poll->count, 1);
    cr_assert_eq(op.result, 1);
    cr_assert_eq(inner(sock)->interest, 0, "the op has ended, and the stack watches on");
    cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN | PAL_ONCE, 1), 0);
    poll->count = 0;
    (void)pal__b_collect(poll, 8);
    cr_assert_eq(poll->count, 1);
    cr_assert_eq(inner(sock)->interest, 0);
    cr_assert_not(lane_listed(poll));
    sock_close(sock);
    cr_assert_eq(pal_poll_close(poll), 0);
}

Test(bypass, a_poll_that_is_closed_leaves_no_waiter_behind)
{
    pal_poll *poll = poll_open(8), *next;
    pal_sock sock = udp_ready();
    struct lane *lane = lane_of(poll);

    cr_assert_eq(pal_watch(poll, sock, PAL_IN, 1), 0);
    cr_assert(inner(sock)->waiter == &lane->waiter);
    unwatch(poll, sock);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert(inner(sock)->waiter != &lane->waiter);
    cr_assert_not(base_link_is_linked(&lane->waiter.link));
    next = poll_open(8);
    cr_assert_eq(pal_watch(next, sock, PAL_IN, 1), 0);
    cr_assert(inner(sock)->waiter == &lane_of(next)->waiter);
    cr_assert(base_link_is_linked(&lane_of(next)->waiter.link), "what is ready at once rouses");
    unwatch(next, sock);
    sock_close(sock);
    cr_assert_eq(pal_poll_close(next), 0);
}

Test(bypass, sockets_of_the_kernel_are_counted_never_too_few_and_exactly_when_asked)
{
    pal_poll *poll = poll_open(8), *other = poll_open(8);
    pal_sock ends[2], sock = udp_ready();

    cr_assert_eq(pal_pipe(ends, 0), 0);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN, 1), 0);
    cr_assert_eq(lane_of(poll)->kernel_armed, 0, "this one is the stack's");
    cr_assert_eq(pal__b_kernel_waits(poll), 0);
    cr_assert_eq(pal_watch(poll, ends[0], PAL_IN, 1), 0);
    cr_assert_eq(lane_of(poll)->kernel_armed, 1);
    cr_assert_eq(pal__b_kernel_waits(poll), 1);
    unwatch(poll, ends[0]);
    cr_assert_eq(pal__b_kernel_waits(poll), 0);
    cr_assert_eq(pal_watch(other, ends[0], PAL_IN, 1), 0);
    cr_assert_eq(lane_of(other)->kernel_armed, 1);
    cr_assert_eq(pal__b_kernel_waits(poll), 0);
    cr_assert_eq(lane_of(poll)->kernel_armed, 0, "it has moved");
    unwatch(other, ends[0]);
    sock_close(ends[0]);
    sock_close(ends[1]);
    cr_assert_eq(pal__b_kernel_waits(other), 0);
    cr_assert_eq(lane_of(other)->kernel_armed, 0, "it is closed");
    unwatch(poll, sock);
    sock_close(sock);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert_eq(pal_poll_close(other), 0);
}

/* ---- looking ---- */

Test(bypass, a_look_sees_both_worlds_however_many_items)
{
    enum { PIPES = 300, COUNT = PIPES + 4 };
    static struct pal_wait items[COUNT];
    pal_sock ends[PIPES][2], ready = udp_ready(), fresh = sock_open(PAL_SOCK_STREAM), stale = udp_ready();

    sock_close(stale);
    memset(items, 0, sizeof(items));
    for (int i = 0; i < PIPES; i++) {
        cr_assert_eq(pal_pipe(ends[i], 0), 0);
        items[i].sock = ends[i][0];
        items[i].interest = PAL_IN;
    }
    items[PIPES] = (struct pal_wait){ready, PAL_IN, 0, 0};
    items[PIPES + 1] = (struct pal_wait){fresh, PAL_IN | PAL_OUT, 77, 0};
    items[PIPES + 2] = (struct pal_wait){stale, PAL_IN, 0, 0};
    cr_assert_eq(pal_sock_send(ends[PIPES - 1][1], "x", 1, 0), 1);
    cr_assert_eq(pal__b_look(items, COUNT), 3);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(items[i].ready,
                     i == PIPES - 1 || i == PIPES ? PAL_IN
                     : i == PIPES + 2             ? PAL_NVAL
                                                  : 0,
                     "item %d", i);
    cr_assert_eq(pal__b_look(items + PIPES, 4), 2);
    refuses(pal__b_look(items, -1), PAL_EINVAL);
    refuses(pal__b_look(items, 65537), PAL_EINVAL);
    refuses(pal__b_look(NULL, 1), PAL_EINVAL);
    for (int i = 0; i < PIPES; i++) {
        sock_close(ends[i][0]);
        sock_close(ends[i][1]);
    }
    sock_close(ready);
    sock_close(fresh);
}

/* ---- a host that crashes ---- */

Test(bypass, an_abandoned_stack_leaves_polls_as_if_its_sockets_had_never_been)
{
    pal_poll *poll = poll_open(8);
    pal_sock watched = udp_ready(), starved = udp_ready(), twin, a, b, pipe[2];
    struct pal_lease lease;
    const struct pal_event *events;
    struct pal_op op;
    char byte;

    cr_assert_eq(pal_pipe(pipe, 0), 0);
    stream_pair(&a, &b);
    cr_assert_eq(pal_sock_dup(watched, &twin), 0);
    cr_assert_eq(pal_watch(poll, starved, PAL_IN | PAL_LEASE, 1), 0);
    cr_assert_eq(pal_lease_reserve(poll, &lease, 1, 1), 0);
    cr_assert_eq(pal_lease_recv(starved, &lease, 1), PAL_ENOBUFS);
    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_RECV;
    op.sock = a;
    op.buf = &byte;
    op.size = 1;
    cr_assert_eq(pal_submit(poll, &op), 0);
    cr_assert_eq(pal_watch(poll, watched, PAL_IN, 2), 0);
    cr_assert_eq(pal_watch(poll, pipe[0], PAL_IN, 3), 0);
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 2);
    cr_assert(events[0].ready == PAL_STARVED || events[1].ready == PAL_STARVED);
    cr_assert_eq(poll->watched, 3);
    cr_assert_eq(poll->pending, 1);
    memset(&op, 0x5a, sizeof(op)); /* its memory may be gone */
    pal__b_abandon(bypass_stack);
    cr_assert_not(lane_listed(poll));
    pal__n_stack_destroy(bypass_stack, false);
    bypass_begin();
    cr_assert_eq(events[0].kind, PAL_EV_NONE);
    cr_assert_eq(events[1].kind, PAL_EV_NONE);
    cr_assert_eq(poll->watched, 1);
    cr_assert_eq(poll->pending, 0);
    cr_assert_eq(poll->starved, 0);
    cr_assert_eq(handles(), 2, "the pipe is all that is left");
    cr_assert_eq(op.kind, 0x5a);
    cr_assert_eq(pal_sock_close(watched), PAL_EBADF);
    cr_assert_eq(pal_sock_close(twin), PAL_EBADF);
    cr_assert_eq(pal_sock_recv(b, &byte, 1, 0), PAL_EBADF);
    cr_assert_eq(pal_sock_send(pipe[1], "x", 1, 0), 1);
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 1);
    cr_assert_eq(events[0].data, 3);
    pal_lease_release(poll, &lease, 1);
    unwatch(poll, pipe[0]);
    sock_close(pipe[0]);
    sock_close(pipe[1]);
    cr_assert_eq(pal_poll_close(poll), 0);
}
