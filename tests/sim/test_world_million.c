/* test_world_million.c: a million connections between two hosts of one simulated world, opened and closed, leave
 * neither handles nor memory behind. A build for an emulator or a sanitizer has fewer (MILLION, of meson.build). */
#include "test_world.h"

#ifndef MILLION
#define MILLION 1000000
#endif

enum { ALL = MILLION, AT_A_TIME = 256, WARM = ALL / 10, PATIENCE = 280, LISTENER = 0 };

static struct memory_out warm;

/* ---- server: reads each to its end ---- */

static int32_t accept_all(pal_poll *poll, pal_sock listener)
{
    pal_sock sock;
    int32_t error;

    while ((error = pal_sock_accept(listener, &sock, NULL)) == 0)
        NEED(pal_watch(poll, sock, PAL_IN, sock.id) == 0);
    NEED(error == PAL_EAGAIN);
    return 0;
}

static int32_t end_connection(pal_poll *poll, pal_sock sock)
{
    char bytes[64];
    int32_t result;

    while ((result = pal_sock_recv(sock, bytes, sizeof bytes, 0)) > 0)
        continue;
    if (result == PAL_EAGAIN)
        return 0;
    NEED(result == 0 || result == PAL_ECONNRESET);
    NEED(pal_watch(poll, sock, 0, 0) == 0 && pal_sock_close(sock) == 0);
    return 1;
}

static int32_t serve(void *unused)
{
    const struct pal_event *events;
    pal_sock listener;
    pal_poll *poll;
    int ended = 0;

    (void)unused;
    NEED(pal_poll_open(&poll, NULL) == 0 && listen_at("10.0.0.1", PORT, &listener) == 0);
    NEED(pal_watch(poll, listener, PAL_IN, LISTENER) == 0);
    while (ended < ALL) {
        int count = pal_poll_wait(poll, &events, UINT64_MAX);
        NEED(count >= 0);
        for (int i = 0; i < count; i++) {
            int32_t result = events[i].data == LISTENER ? accept_all(poll, listener)
                                                        : end_connection(poll, (pal_sock){events[i].data});
            if (result < 0)
                return result;
            ended += result;
        }
    }
    NEED(pal_watch(poll, listener, 0, 0) == 0 && pal_sock_close(listener) == 0 && pal_poll_close(poll) == 0);
    return 0;
}

/* ---- client: says one byte and closes ---- */

static int32_t open_some(pal_poll *poll, int *opened, const int *closed)
{
    struct pal_addr addr;
    pal_sock sock;

    NEED(pal_addr_from_host(&addr, "10.0.0.1", PORT) == 0);
    for (; *opened < ALL && *opened - *closed < AT_A_TIME; ++*opened) {
        NEED(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock) == 0);
        NEED(pal_sock_connect(sock, &addr) == PAL_EINPROGRESS);
        NEED(pal_watch(poll, sock, PAL_OUT, sock.id) == 0);
    }
    return 0;
}

static int32_t use_one(pal_poll *poll, pal_sock sock)
{
    int32_t outcome = 0;
    size_t size = sizeof outcome;

    NEED(pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size) == 0 && outcome == 0);
    NEED(pal_sock_send(sock, "x", 1, 0) == 1);
    NEED(pal_watch(poll, sock, 0, 0) == 0 && pal_sock_close(sock) == 0);
    return 0;
}

static int32_t come(void *unused)
{
    const struct pal_event *events;
    pal_poll *poll;
    int opened = 0, closed = 0;
    int32_t error = 0;

    (void)unused;
    NEED(pal_poll_open(&poll, NULL) == 0);
    while (closed < ALL && (error = open_some(poll, &opened, &closed)) == 0) {
        int count = pal_poll_wait(poll, &events, UINT64_MAX);
        NEED(count >= 0);
        for (int i = 0; i < count && !error; i++, closed++) {
            error = use_one(poll, (pal_sock){events[i].data});
            if (closed == WARM)
                warm = memory_out;
        }
        if (error)
            return error;
    }
    return error ? error : pal_poll_close(poll);
}

Test(world_million, connections_leave_nothing, .timeout = PATIENCE)
{
    uint64_t handles = 1;

    count_memory();
    world_begin(1);
    server = add_host("server", "10.0.0.1");
    client = add_host("client", "10.0.0.2");
    start_on(server, serve, NULL);
    start_on(client, come, NULL);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(server), 0, "%d", (int)result_of(server));
    cr_assert_eq(result_of(client), 0, "%d", (int)result_of(client));
    cr_assert_eq(pal_info(PAL_INFO_SOCKS_OPEN, &handles), 0);
    cr_assert_eq(handles, 0);
    cr_assert_leq(memory_out.bytes, warm.bytes);
    cr_assert_leq(memory_out.blocks, warm.blocks);
    cr_assert_eq(state_now().tainted, 0);
}
