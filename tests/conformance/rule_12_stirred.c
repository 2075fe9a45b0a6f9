/* Rule 12 with rule 9: handles belong to the process, so that a thread may connect, or let listen, a fresh socket that
 * another thread's poll watches; the poll, which could sleep on such a socket for ever, is stirred. One wait has to do
 * it: its bound is far beyond what any machine needs and only keeps a broken poll from sleeping on. */
#include "conformance.h"

enum { WATCH = 3, ROUNDS = 6 };

static const uint64_t BOUND_NS = UINT64_C(10000000000);

/* What a thread does to a socket that the test's poll watches. */
struct stir {
    pal_sock sock;
    struct pal_addr addr;
    uint64_t nap_ns; /* that the poll is likely asleep; either order has to work */
    int result;
};

static void nap(uint64_t time_ns)
{
    if (time_ns > 0)
        (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + time_ns);
}

static void connect_it(void *arg)
{
    struct stir *stir = (struct stir *)arg;

    nap(stir->nap_ns);
    stir->result = pal_sock_connect(stir->sock, &stir->addr);
}

static void let_it_listen(void *arg)
{
    struct stir *stir = (struct stir *)arg;

    nap(stir->nap_ns);
    stir->result = pal_sock_listen(stir->sock, 4);
}

/* A single sleep up to the event, but that a wait may return early with nothing (rule 10). */
static bool is_told(struct rig *rig, uint16_t bits)
{
    uint64_t deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + BOUND_NS;

    do {
        rig->count = pal_poll_wait(rig->poll, &rig->events, deadline_ns);
        cr_assert_geq(rig->count, 0, "wait failed: %s", pal_error_name(rig->count));
        if (rig_find(rig, WATCH) != NULL && (rig_find(rig, WATCH)->ready & bits) != 0)
            return true;
    } while (pal_clock(PAL_CLOCK_MONOTONIC) < deadline_ns);
    return false;
}

static void skip_without_threads(void)
{
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets stay with their thread");
}

/* Every other round begins with a nap. */
static uint64_t nap_of(int round)
{
    return round % 2 == 0 ? 20 * MILLISECOND_NS : 0;
}

Test(rule_12_stirred, connect_by_another_thread_wakes_the_poll_that_watches)
{
    skip_without_threads();
    for (int round = 0; round < ROUNDS; round++) {
        struct rig rig;
        struct stir stir;
        pal_sock listener;
        pal_thread thread;
        bool told;

        memset(&stir, 0, sizeof(stir));
        stir.nap_ns = nap_of(round);
        rig_open(&rig, 2);
        listener_open(PAL_AF_INET, &listener, &stir.addr);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &stir.sock), 0);
        rig_watch(&rig, stir.sock, PAL_OUT, WATCH);
        assert_error(pal_thread_start(&thread, connect_it, &stir), 0);
        told = is_told(&rig, PAL_OUT);
        assert_error(pal_thread_join(thread), 0);
        cr_assert(stir.result == 0 || stir.result == PAL_EINPROGRESS, "connect: %s", pal_error_name(stir.result));
        cr_assert(told, "round %d: the socket is connected and its poll sleeps on", round);
        rig_unwatch(&rig, stir.sock);
        pair_close(stir.sock, listener);
        rig_close(&rig);
    }
}

/* Lets the socket listen and begins a connection to it, whose socket is left in stir->sock for the test to close. */
static void connect_when_it_listens(void *arg)
{
    struct stir *stir = (struct stir *)arg;
    pal_sock client;
    int error;

    let_it_listen(stir);
    if (stir->result != 0)
        return;
    stir->result = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client);
    if (stir->result != 0)
        return;
    error = pal_sock_connect(client, &stir->addr);
    stir->sock = client;
    stir->result = error == PAL_EINPROGRESS ? 0 : error;
}

Test(rule_12_stirred, listen_by_another_thread_wakes_the_poll_that_watches)
{
    skip_without_threads();
    for (int round = 0; round < ROUNDS; round++) {
        struct rig rig;
        struct stir stir;
        pal_sock listener;
        pal_thread thread;
        bool told;

        memset(&stir, 0, sizeof(stir));
        stir.nap_ns = nap_of(round);
        rig_open(&rig, 2);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &listener), 0);
        assert_error(pal_addr_set_loopback(&stir.addr, PAL_AF_INET, 0), 0);
        assert_error(pal_sock_bind(listener, &stir.addr), 0);
        assert_error(pal_sock_name(listener, PAL_NAME_LOCAL, &stir.addr), 0);
        stir.sock = listener;
        rig_watch(&rig, listener, PAL_IN, WATCH);
        assert_error(pal_thread_start(&thread, connect_when_it_listens, &stir), 0);
        told = is_told(&rig, PAL_IN);
        assert_error(pal_thread_join(thread), 0);
        assert_error(stir.result, 0);
        cr_assert(told, "round %d: a connection waits and the listener's poll sleeps on", round);
        rig_unwatch(&rig, listener);
        pair_close(stir.sock, listener);
        rig_close(&rig);
    }
}
