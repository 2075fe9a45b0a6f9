/* calls_common.c: see calls_common.h. */
#include "calls_common.h"

uint64_t handles_open(void)
{
    uint64_t count = 0;

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &count), 0);
    return count;
}

uint64_t deadline_after(uint64_t timeout_ns)
{
    return pal_clock(PAL_CLOCK_MONOTONIC) + timeout_ns;
}

/* ---- sockets ---- */

void require_inet6(void)
{
    if (!pair_available(PAIR_TCP6))
        test_skip("inet6", "no loopback address ::1");
}

void require_pair(enum pair_kind kind)
{
    if (pair_available(kind))
        return;
    if (kind == PAIR_TCP6)
        test_skip("inet6", "no loopback address ::1");
    test_skip("unix", "no local sockets of this kind");
}

pal_sock sock_open(int family, int type)
{
    pal_sock sock = {0};

    assert_error(pal_sock_open(NULL, family, type, 0, &sock), 0);
    cr_assert_neq(sock.id, 0, "a socket that is none");
    return sock;
}

void sock_close(pal_sock sock)
{
    assert_error(pal_sock_close(sock), 0);
}

void assert_stale(pal_sock sock)
{
    char bytes[4] = "abc";
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));
    struct pal_addr addr = loopback(PAL_AF_INET, 9);
    pal_sock other = {0};
    intptr_t native = -1;
    int32_t value = 1;
    size_t size = sizeof(value);

    assert_error(pal_sock_bind(sock, &addr), PAL_EBADF);
    assert_error(pal_sock_listen(sock, 1), PAL_EBADF);
    assert_error(pal_sock_connect(sock, &addr), PAL_EBADF);
    assert_error(pal_sock_accept(sock, &other, NULL), PAL_EBADF);
    assert_error(pal_sock_recv(sock, bytes, sizeof(bytes), 0), PAL_EBADF);
    assert_error(pal_sock_send(sock, bytes, sizeof(bytes), 0), PAL_EBADF);
    assert_error(pal_sock_recv_msgs(sock, &msg, 1, 0), PAL_EBADF);
    assert_error(pal_sock_send_msgs(sock, &msg, 1, 0), PAL_EBADF);
    assert_error(pal_sock_shutdown(sock, PAL_SHUT_RDWR), PAL_EBADF);
    assert_error(pal_sock_set(sock, PAL_SO_REUSEADDR, &value, sizeof(value)), PAL_EBADF);
    assert_error(pal_sock_get(sock, PAL_SO_TYPE, &value, &size), PAL_EBADF);
    assert_error(pal_sock_name(sock, PAL_NAME_LOCAL, &addr), PAL_EBADF);
    assert_error(pal_sock_dup(sock, &other), PAL_EBADF);
    assert_error(pal_sock_release(sock, &native), PAL_EBADF);
    assert_error(pal_sock_close(sock), PAL_EBADF);
}

struct pal_addr loopback(int family, uint16_t port)
{
    struct pal_addr addr;

    assert_error(pal_addr_set_loopback(&addr, family, port), 0);
    return addr;
}

struct pal_addr any_address(int family, uint16_t port)
{
    struct pal_addr addr;

    assert_error(pal_addr_set_any(&addr, family, port), 0);
    return addr;
}

struct pal_addr host_address(const char *numeric_host, uint16_t port)
{
    struct pal_addr addr;

    assert_error(pal_addr_from_host(&addr, numeric_host, port), 0);
    return addr;
}

pal_sock sock_bound_to(int type, struct pal_addr *addr)
{
    pal_sock sock = sock_open(addr->family, type);

    assert_error(pal_sock_bind(sock, addr), 0);
    *addr = name_of(sock, PAL_NAME_LOCAL);
    return sock;
}

pal_sock sock_bound(int family, int type, struct pal_addr *addr)
{
    struct pal_addr name = loopback(family, 0);
    pal_sock sock = sock_bound_to(type, &name);

    if (addr != NULL)
        *addr = name;
    return sock;
}

struct pal_addr name_of(pal_sock sock, int which)
{
    struct pal_addr addr;

    memset(&addr, 0xa5, sizeof(addr)); /* what is not written shows */
    assert_error(pal_sock_name(sock, which, &addr), 0);
    return addr;
}

/* ---- options ---- */

int32_t option_of(pal_sock sock, uint32_t option)
{
    int32_t value = -1;
    size_t size = sizeof(value);
    int error = pal_sock_get(sock, option, &value, &size);

    cr_assert(error == 0, "reading option %u: %s (%s)", option, pal_error_name(error), pal_reason());
    cr_assert_eq(size, sizeof(value), "option %u has %zu bytes", option, size);
    return value;
}

int option_try(pal_sock sock, uint32_t option, int32_t value)
{
    return pal_sock_set(sock, option, &value, sizeof(value));
}

void option_set(pal_sock sock, uint32_t option, int32_t value)
{
    int error = option_try(sock, option, value);

    cr_assert(error == 0, "setting option %u to %d: %s (%s)", option, value, pal_error_name(error), pal_reason());
}

/* ---- text ---- */

void send_text(pal_sock sock, const char *text)
{
    send_all(sock, text, strlen(text));
}

void expect_text(pal_sock sock, const char *text)
{
    char bytes[256];
    int32_t size;

    cr_assert(sock_until(sock, PAL_IN), "\"%s\" does not come", text);
    size = pal_sock_recv(sock, bytes, sizeof(bytes), 0);
    cr_assert_geq(size, 0, "instead of \"%s\" comes %s", text, pal_error_name(size));
    cr_assert_eq((size_t)size, strlen(text), "%d bytes came: \"%.*s\", not \"%s\"", size, size, bytes, text);
    cr_assert_arr_eq(bytes, text, strlen(text), "\"%.*s\" came, not \"%s\"", size, bytes, text);
}

void expect_end(pal_sock sock)
{
    char byte;

    cr_assert(sock_until(sock, PAL_IN), "the stream does not end");
    assert_error(pal_sock_recv(sock, &byte, 1, 0), 0);
}

void expect_connected(pal_sock a, pal_sock b)
{
    send_text(a, "from a");
    expect_text(b, "from a");
    send_text(b, "and from b");
    expect_text(a, "and from b");
}

/* ---- messages ---- */

struct pal_msg msg_of(struct pal_iov *iov, void *data, size_t size)
{
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    iov->data = data;
    iov->size = size;
    msg.iov = iov;
    msg.iov_count = 1;
    return msg;
}

int32_t send_to(pal_sock sock, const struct pal_addr *addr, const char *text)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, (void *)(uintptr_t)text, strlen(text)); /* a send only reads */
    struct pal_addr to;
    int count;

    if (addr != NULL) {
        to = *addr;
        msg.addr = &to;
    }
    count = pal_sock_send_msgs(sock, &msg, 1, 0);
    if (count < 0)
        return count;
    cr_assert_eq(count, 1, "one message was sent as %d", count);
    return msg.size;
}

void receive_msg(pal_sock sock, struct pal_msg *msg)
{
    cr_assert(sock_until(sock, PAL_IN), "no message comes");
    assert_error(pal_sock_recv_msgs(sock, msg, 1, 0), 1);
}

void expect_datagram(pal_sock sock, const char *text, struct pal_addr *from)
{
    char bytes[256];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));

    msg.addr = from;
    receive_msg(sock, &msg);
    cr_assert_geq(msg.size, 0, "instead of \"%s\" comes %s", text, pal_error_name(msg.size));
    cr_assert((size_t)msg.size == strlen(text) && memcmp(bytes, text, strlen(text)) == 0, "\"%.*s\" came, not \"%s\"",
              msg.size, bytes, text);
}

uint32_t loopback_ifindex(void)
{
    static const char *const names[] = {"lo", "lo0"};
    uint32_t ifindex = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pal_names(PAL_NAMES_INTERFACE_INDEX, names[i], &ifindex, sizeof(ifindex)) >= 0)
            return ifindex;
    }
    return 0;
}
