/* tests/dpdk/backend_rig.h: what the tests of the whole backend share. They say all that they say by the seam: settings
 * in the environment, pal_ctl, sockets.
 *
 * DPDK starts once a process, and a failure of its start stays: every test is a process of its own. */
#ifndef TESTS_DPDK_BACKEND_RIG_H
#define TESTS_DPDK_BACKEND_RIG_H

#include "support/test.h"
#include <pal/address.h>
#include <pal/card.h>
#include <pal/pal.h>

#define MS UINT64_C(1000000)
#define RING "device net_ring0 ; address 10.0.0.1/24 ; hugepages off ; mbufs 4096 ; descriptors 256 ; "

/* The settings of this process; NULL: none. Before anything of the seam. */
static inline void set_card(const char *text)
{
    if (text != NULL)
        cr_assert_eq(setenv("PALIO_DPDK", text, 1), 0);
    else
        cr_assert_eq(unsetenv("PALIO_DPDK"), 0);
}

static inline uint64_t now(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

static inline struct pal_addr addr_of(const char *host, uint16_t port)
{
    struct pal_addr out;

    cr_assert_eq(pal_addr_from_host(&out, host, port), 0, "%s", host);
    return out;
}

static inline pal_poll *open_poll(void)
{
    pal_poll *poll = NULL;
    int error = pal_poll_open(&poll, NULL);

    cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), pal_reason());
    return poll;
}

static inline pal_sock open_sock(int type)
{
    pal_sock sock = {0};
    int error = pal_sock_open(NULL, PAL_AF_INET, type, 0, &sock);

    cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), pal_reason());
    return sock;
}

static inline struct pal_card_counters counters(void)
{
    struct pal_card_counters out = {.stack = NULL};
    int error = pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &out, sizeof(out));

    cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), pal_reason());
    return out;
}

/* PAL_SO_PATH; static. */
static inline const char *path_of(pal_sock sock)
{
    static char text[2048];
    size_t size = sizeof(text) - 1;

    cr_assert_eq(pal_sock_get(sock, PAL_SO_PATH, text, &size), 0, "%s", pal_reason());
    text[size] = '\0';
    return text;
}

/* Waits at most a second for an event of this kind; true: it came. */
static inline bool await_event(pal_poll *poll, uint16_t kind)
{
    const struct pal_event *events;
    uint64_t end_ns = now() + 1000 * MS;

    while (now() < end_ns) {
        int count = pal_poll_wait(poll, &events, end_ns);

        cr_assert_geq(count, 0, "%s: %s", pal_error_name(count), pal_reason());
        for (int i = 0; i < count; i++)
            if (events[i].kind == kind)
                return true;
    }
    return false;
}

static inline void in_thread(void (*function)(void *), void *argument)
{
    pal_thread thread;

    cr_assert_eq(pal_thread_start(&thread, function, argument), 0);
    cr_assert_eq(pal_thread_join(thread), 0);
}

/* A listener of this thread's stack at the loopback address. */
static inline pal_sock listen_here(struct pal_addr *addr)
{
    pal_sock listener = open_sock(PAL_SOCK_STREAM);

    cr_assert_eq(pal_addr_set_loopback(addr, PAL_AF_INET, 0), 0);
    cr_assert_eq(pal_sock_bind(listener, addr), 0);
    cr_assert_eq(pal_sock_listen(listener, 128), 0);
    cr_assert_eq(pal_sock_name(listener, PAL_NAME_LOCAL, addr), 0);
    return listener;
}

/* Both ends of a connection over the stack's own loopback interface; 0, or why not. No assertion: any thread. */
static inline int connect_here(pal_sock listener, const struct pal_addr *addr, pal_sock *client, pal_sock *server)
{
    struct pal_wait item = {.sock = listener, .interest = PAL_IN};
    int error = pal_sock_open(NULL, addr->family, PAL_SOCK_STREAM, 0, client);

    if (error == 0)
        error = pal_sock_connect(*client, addr);
    if (error != 0 && error != PAL_EINPROGRESS)
        return error;
    if (pal_sock_wait(&item, 1, now() + 1000 * MS) != 1)
        return PAL_ETIMEDOUT;
    return pal_sock_accept(listener, server, NULL);
}

#endif
