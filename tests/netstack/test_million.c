/* tests/netstack/test_million.c: a million connections, opened and closed in every way, leave everything as it was (row
 * tcp.misc.million). Many at a time, in virtual time; TIME-WAIT is full all the while, and ports come round again. A
 * build for an emulator has fewer (MILLION, of meson.build). */
#include "pair_world.h"

#ifndef MILLION
#define MILLION 1000000
#endif

/* STILL turns of 20 us without an end are ten seconds: a SYN that is sent again takes one. */
enum { ALL = MILLION, AT_A_TIME = 1000, A_TURN = 64, BURSTS_MAX = 64, STILL = 500000 };
enum { PORT = 80, SERVER = 0, CLIENT = 1 };

/* How a connection ends, which is the byte that its client sends. */
enum { CLIENT_FIRST, SERVER_FIRST, BOTH, RESET, ENDS };

TestSuite(million, .timeout = 600);

static struct sock *listener;
static uint32_t opened, client_closed, server_closed, accepted;

/* The client's end is told from the server's by the side, its plan by the cookie. */
static void open_some(void)
{
    for (int i = 0; i < A_TURN && opened < ALL && opened - client_closed < AT_A_TIME; i++) {
        struct sock *sock = connect_to(CLIENT, opened % 16 == 0 ? "fd00::1" : "10.0.0.1", PORT);

        sock->cookie = opened++ % ENDS;
        pal__n_sock_watch(sock, PAL_OUT);
    }
}

static void close_client(struct sock *sock)
{
    pal__n_sock_close(sock);
    client_closed++;
}

static void client_ready(struct sock *sock)
{
    struct pal_linger linger = {1, 0};
    uint8_t byte = (uint8_t)sock->cookie;

    if (sock->interest & PAL_IN) {
        cr_assert_eq(pal__n_sock_recv(sock, &byte, 1, 0), 0);
        close_client(sock);
        return;
    }
    cr_assert_eq(pal__n_sock_send(sock, &byte, 1, 0), 1);
    if (byte == SERVER_FIRST) {
        pal__n_sock_watch(sock, PAL_IN);
        return;
    }
    if (byte == RESET) /* behind the byte, which waits for the turn to be sent: it is lost with it */
        cr_assert_eq(pal__n_sock_set(sock, PAL_SO_LINGER, &linger, sizeof(linger)), 0);
    close_client(sock);
}

static void server_ready(struct sock *sock)
{
    uint8_t byte = 0;
    int32_t result;

    if (sock == listener) {
        while (pal__n_sock_accept(listener, &sock, NULL) == 0) {
            pal__n_sock_watch(sock, PAL_IN);
            accepted++;
        }
        return;
    }
    result = pal__n_sock_recv(sock, &byte, 1, 0);
    cr_assert(result == 0 || result == 1 || result == PAL_ECONNRESET, "%d", (int)result);
    if (result == 1 && byte == CLIENT_FIRST)
        return; /* until its end comes */
    pal__n_sock_close(sock);
    server_closed++;
}

static void programs(void)
{
    struct sock *ready[A_TURN];

    for (int side = 0; side < SIDES; side++) {
        int count = pal__n_stack_ready(stacks[side], ready, A_TURN);

        for (int i = 0; i < count; i++) {
            if (side == SERVER)
                server_ready(ready[i]);
            else
                client_ready(ready[i]);
        }
    }
}

static void step(void)
{
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < BURSTS_MAX && pal__n_stack_poll(stacks[side], now_ns); i++)
            continue;
    }
    open_some();
    programs();
    for (int side = 0; side < SIDES; side++)
        pal__n_stack_flush(stacks[side], now_ns);
    pass(20 * US);
}

/* Nothing is open, and nothing waits. */
static void expect_nothing(uint32_t listeners)
{
    for (int side = 0; side < SIDES; side++) {
        struct netstack_usage usage;

        pal__n_stack_usage(stacks[side], &usage);
        cr_assert_eq(usage.tcp, side == SERVER ? listeners : 0);
        cr_assert_eq(usage.listeners, side == SERVER ? listeners : 0);
        cr_assert(usage.embryos == 0 && usage.timewaits == 0 && usage.segments == 0 && usage.chunks == 0);
        cr_assert(usage.paths == 0 && usage.neighbours == 0 && usage.big_frames == 0 && usage.timers == 0);
        cr_assert_eq(pal__n_pair_used(pair, side), 0);
    }
}

Test(million, connections_leave_everything_as_it_was)
{
    struct netstack_config config = {.tcp_max = 4096, .embryos_max = 2048, .timewaits_max = 4096, .msl_ns = SECOND};
    const uint64_t *counters;
    uint32_t ends = 0, moved = 0;

    begin(&config, 8192, 2048);
    listener = listen_at(SERVER, "::", PORT, 2048);
    pal__n_sock_watch(listener, PAL_IN);
    run(300 * SECOND);
    expect_nothing(1);
    for (uint32_t steps = 0; client_closed < ALL || server_closed < accepted; steps++) {
        step();
        if (ends != client_closed + server_closed)
            moved = steps;
        ends = client_closed + server_closed;
        cr_assert_lt(steps - moved, STILL, "it stands still");
        if (steps % 4096 == 0)
            check_stacks();
    }
    run(300 * SECOND);
    check_stacks();
    expect_nothing(1);
    counters = pal__n_stack_counters(stacks[CLIENT]);
    cr_assert_eq(counters[COUNTER_tcp_opened_active], ALL);
    cr_assert_eq(counters[COUNTER_tcp_open_failed], 0);
    cr_assert_gt(counters[COUNTER_tcp_timewait_recycled], ALL / 8);
    counters = pal__n_stack_counters(stacks[SERVER]);
    cr_assert_eq(counters[COUNTER_tcp_opened_passive], accepted);
    cr_assert_gt(accepted, ALL / 10 * 9);
    cr_assert_gt(counters[COUNTER_tcp_timewait_recycled], ALL / 8);
    cr_assert_eq(memory.allocations, allocations);
    pal__n_sock_close(listener);
    expect_nothing(0);
    end();
}
