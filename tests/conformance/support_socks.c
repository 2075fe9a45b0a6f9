/* support_socks.c: listeners, connected pairs and plain transfers of conformance.h. No poll takes part: what has to be
 * waited for is waited for with pal_sock_wait. */
#include "conformance.h"

#include <stdio.h>

enum { WAITS_MAX = 500 };                 /* of one loop that waits for something */
static const uint64_t WAIT_NS = 10000000; /* the bound of each of its waits */

static uint64_t deadline_in(uint64_t timeout_ns)
{
    return pal_clock(PAL_CLOCK_MONOTONIC) + timeout_ns;
}

uint16_t sock_until(pal_sock sock, uint16_t interest)
{
    struct pal_wait item;

    memset(&item, 0, sizeof(item));
    item.sock = sock;
    item.interest = interest;
    for (int i = 0; i < WAITS_MAX; i++) {
        int count = pal_sock_wait(&item, 1, deadline_in(WAIT_NS));

        cr_assert_geq(count, 0, "pal_sock_wait: %s", pal_error_name(count));
        if (count > 0)
            return item.ready;
    }
    return 0;
}

pal_sock accept_one(pal_sock listener)
{
    pal_sock sock = {0};

    cr_assert(sock_until(listener, PAL_IN) & PAL_IN, "no connection came");
    assert_error(pal_sock_accept(listener, &sock, NULL), 0);
    return sock;
}

void connect_to(pal_sock listener, const struct pal_addr *addr, pal_sock *a, pal_sock *b)
{
    int error;
    int32_t outcome = 0;
    size_t size = sizeof(outcome);

    assert_error(pal_sock_open(NULL, addr->family, PAL_SOCK_STREAM, 0, a), 0);
    error = pal_sock_connect(*a, addr);
    cr_assert(error == 0 || error == PAL_EINPROGRESS, "connect: %s", pal_error_name(error));
    *b = accept_one(listener);
    if (error == PAL_EINPROGRESS) {
        cr_assert(sock_until(*a, PAL_OUT) & PAL_OUT, "the connection is never made");
        assert_error(pal_sock_get(*a, PAL_SO_ERROR, &outcome, &size), 0);
        assert_error(outcome, 0);
    }
}

/* A name that no other test of this machine has: abstract names are shared by all processes. */
static void unix_name(struct pal_addr *addr)
{
    static unsigned count;
    uint64_t process = 0;
    int size;

    assert_error(pal_info(PAL_INFO_PROCESS_ID, &process), 0);
    memset(addr, 0, sizeof(*addr));
    addr->family = PAL_AF_UNIX;
    size = snprintf((char *)addr->bytes + 1, sizeof(addr->bytes) - 1, "palio-conformance-%lu-%u",
                    (unsigned long)process, count++);
    addr->size = (uint8_t)(1 + size);
}

/* PAL_E* if this machine has no such listener; then *listener is closed. */
static int try_listener(int family, pal_sock *listener, struct pal_addr *addr)
{
    int error = pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, listener);

    if (error != 0)
        return error;
    if (family == PAL_AF_UNIX)
        unix_name(addr);
    else
        assert_error(pal_addr_set_loopback(addr, family, 0), 0);
    error = pal_sock_bind(*listener, addr);
    if (error != 0) {
        assert_error(pal_sock_close(*listener), 0);
        return error;
    }
    assert_error(pal_sock_listen(*listener, 64), 0);
    assert_error(pal_sock_name(*listener, PAL_NAME_LOCAL, addr), 0);
    return 0;
}

void listener_open(int family, pal_sock *listener, struct pal_addr *addr)
{
    int error = try_listener(family, listener, addr);

    if (error != 0 && family == PAL_AF_INET6)
        test_skip("inet6", "%s", pal_error_text(error));
    if (error != 0 && family == PAL_AF_UNIX)
        test_skip("abstract-unix", "%s", pal_error_text(error));
    assert_error(error, 0);
}

static int unix_type(enum pair_kind kind)
{
    if (kind == PAIR_UNIX_STREAM)
        return PAL_SOCK_STREAM;
    return kind == PAIR_UNIX_SEQPACKET ? PAL_SOCK_SEQPACKET : PAL_SOCK_DGRAM;
}

bool pair_available(enum pair_kind kind)
{
    pal_sock socks[2];
    struct pal_addr addr;

    if (kind == PAIR_TCP4 || kind == PAIR_UDP4)
        return true;
    if (kind == PAIR_TCP6) {
        if (try_listener(PAL_AF_INET6, &socks[0], &addr) != 0)
            return false;
        assert_error(pal_sock_close(socks[0]), 0);
        return true;
    }
    if (pal_sock_pair(PAL_AF_UNIX, unix_type(kind), socks) != 0)
        return false;
    pair_close(socks[0], socks[1]);
    return true;
}

static void tcp_pair_open(int family, pal_sock *a, pal_sock *b)
{
    pal_sock listener;
    struct pal_addr addr;

    listener_open(family, &listener, &addr);
    connect_to(listener, &addr, a, b);
    assert_error(pal_sock_close(listener), 0);
}

static void udp_pair_open(pal_sock *a, pal_sock *b)
{
    pal_sock *ends[2] = {a, b};
    struct pal_addr addrs[2];

    for (int i = 0; i < 2; i++) {
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, ends[i]), 0);
        assert_error(pal_addr_set_loopback(&addrs[i], PAL_AF_INET, 0), 0);
        assert_error(pal_sock_bind(*ends[i], &addrs[i]), 0);
        assert_error(pal_sock_name(*ends[i], PAL_NAME_LOCAL, &addrs[i]), 0);
    }
    assert_error(pal_sock_connect(*a, &addrs[1]), 0);
    assert_error(pal_sock_connect(*b, &addrs[0]), 0);
}

void pair_open(enum pair_kind kind, pal_sock *a, pal_sock *b)
{
    pal_sock socks[2];
    int error;

    if (kind == PAIR_TCP4 || kind == PAIR_TCP6) {
        tcp_pair_open(kind == PAIR_TCP4 ? PAL_AF_INET : PAL_AF_INET6, a, b);
    } else if (kind == PAIR_UDP4) {
        udp_pair_open(a, b);
    } else {
        error = pal_sock_pair(PAL_AF_UNIX, unix_type(kind), socks);
        if (error == PAL_ENOTSUP || error == PAL_EAFNOSUPPORT)
            test_skip("unix", "%s", pal_error_text(error));
        assert_error(error, 0);
        *a = socks[0];
        *b = socks[1];
    }
}

void pair_close(pal_sock a, pal_sock b)
{
    assert_error(pal_sock_close(a), 0);
    assert_error(pal_sock_close(b), 0);
}

/* ---- two worlds ---- */

bool is_native(pal_sock sock)
{
    return (sock.id >> 24 & 0xff) == 0; /* the domain field (pal/types.h) */
}

int native_family(int family)
{
    pal_sock probe;
    bool native;

    if (family == PAL_AF_UNIX || pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, &probe) != 0)
        return family;
    native = is_native(probe);
    assert_error(pal_sock_close(probe), 0);
    return native ? family : PAL_AF_UNIX;
}

enum pair_kind native_kind(enum pair_kind kind)
{
    static const int families[PAIR_KINDS] = {
        [PAIR_TCP4] = PAL_AF_INET,        [PAIR_TCP6] = PAL_AF_INET6,          [PAIR_UDP4] = PAL_AF_INET,
        [PAIR_UNIX_STREAM] = PAL_AF_UNIX, [PAIR_UNIX_SEQPACKET] = PAL_AF_UNIX, [PAIR_UNIX_DGRAM] = PAL_AF_UNIX};

    if (native_family(families[kind]) == families[kind])
        return kind;
    return kind == PAIR_UDP4 ? PAIR_UNIX_DGRAM : PAIR_UNIX_STREAM;
}

enum pair_kind shared_kind(enum pair_kind kind)
{
    return has_caps(PAL_CAP_SHARED_SOCKS) ? kind : native_kind(kind);
}

void stack_pair_open(enum pair_kind kind, pal_sock *a, pal_sock *b)
{
    if (native_kind(kind) == kind)
        test_skip("two-worlds", "all sockets of this backend are the kernel's");
    pair_open(kind, a, b);
    cr_assert(!is_native(*a) && !is_native(*b));
}

enum pair_kind pair_kind_bounded(void)
{
    return pair_available(PAIR_UNIX_STREAM) ? PAIR_UNIX_STREAM : PAIR_TCP4;
}

/* How many waits a full socket has to stay full: TCP acknowledges late, which makes room without a reader. */
static int quiet_waits(pal_sock sock)
{
    int32_t family = 0;
    size_t size = sizeof(family);
    int error = pal_sock_get(sock, PAL_SO_FAMILY, &family, &size);

    return error != 0 || family == PAL_AF_UNIX ? 1 : 10; /* no family: a pipe */
}

uint64_t fill(pal_sock sock)
{
    static const char bytes[65536] = {0};
    uint64_t total = 0;
    int quiet = quiet_waits(sock);

    for (int i = 0, left = quiet; i < 100000; i++) {
        int32_t result = pal_sock_send(sock, bytes, sizeof(bytes), 0);

        if (result > 0) {
            total += (uint64_t)result;
            left = quiet;
            continue;
        }
        assert_error(result, PAL_EAGAIN);
        if (left-- == 0)
            return total;
        cr_assert_geq(pal_sock_wait(NULL, 0, deadline_in(WAIT_NS)), 0);
    }
    cr_assert(false, "a socket that never gets full");
    return total;
}

/* Receives until PAL_EAGAIN or the end, which makes *ended true. */
static uint64_t receive_all(pal_sock sock, bool *ended)
{
    static char bytes[65536];
    uint64_t total = 0;

    *ended = false;
    for (;;) {
        int32_t result = pal_sock_recv(sock, bytes, sizeof(bytes), 0);

        if (result == PAL_EAGAIN)
            return total;
        cr_assert_geq(result, 0, "after %lu bytes: %s", (unsigned long)total, pal_error_name(result));
        if (result == 0) {
            *ended = true;
            return total;
        }
        total += (uint64_t)result;
    }
}

uint64_t drain(pal_sock sock)
{
    bool ended;

    return receive_all(sock, &ended);
}

uint64_t drain_to_end(pal_sock sock)
{
    uint64_t total = 0;
    bool ended = false;

    while (!ended) {
        cr_assert(sock_until(sock, PAL_IN), "the stream does not end after %lu bytes", (unsigned long)total);
        total += receive_all(sock, &ended);
    }
    return total;
}

void send_all(pal_sock sock, const void *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        int32_t result = pal_sock_send(sock, (const char *)data + done, size - done, 0);

        if (result == PAL_EAGAIN) {
            cr_assert(sock_until(sock, PAL_OUT), "no room after %zu bytes of %zu", done, size);
            continue;
        }
        cr_assert_gt(result, 0, "after %zu bytes of %zu: %s", done, size, pal_error_name(result));
        done += (size_t)result;
    }
}

void close_with_reset(pal_sock sock)
{
    struct pal_linger linger = {1, 0};

    assert_error(pal_sock_set(sock, PAL_SO_LINGER, &linger, sizeof(linger)), 0);
    assert_error(pal_sock_close(sock), 0);
}
