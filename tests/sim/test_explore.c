/* test_explore.c: a server that is told to stop just as three requests come, in every order in which that can go: what
 * it has submitted ends exactly once, done or cancelled, and nothing is left. */
#include <pal/address.h>
#include <pal/pal.h>
#include <palio/sim.h>
#include <stdatomic.h>
#include <string.h>

#include "support/test.h"

TestSuite(explore, .timeout = 240);

#ifndef ORDERS_MAX /* of meson.build */
#define ORDERS_MAX 1000
#endif

enum { CLIENTS = 3, PORT = 7, LISTENER = 100, LATENCY_US = 50 };
#define AT_ONCE_NS (2 * PALIO_SECOND) /* the moment, on the monotonic clock */

struct shutdown_world {
    pal_poll *poll;
    _Atomic bool stop;
    struct pal_op ops[CLIENTS];
    char bytes[CLIENTS];
    pal_sock socks[CLIENTS];
    int told[CLIENTS];        /* events of each op */
    uint32_t done, cancelled; /* ops, over all runs */
    uint32_t all_done;        /* runs */
    const char *wrong;
};

static void wrong(struct shutdown_world *world, const char *what)
{
    if (!world->wrong)
        world->wrong = what;
}

/* ---- the server's host: one thread serves, another one stops it ---- */

static void tell_to_stop(void *argument)
{
    struct shutdown_world *world = argument;
    uint32_t word = 0;
    while (pal_park(&word, 0, AT_ONCE_NS + LATENCY_US * PALIO_US) == 0)
        continue;
    atomic_store(&world->stop, true);
    pal_poll_wake(world->poll);
}

static int begin(struct shutdown_world *world, pal_sock *listener)
{
    struct pal_config config = {.events_max = 2};
    struct pal_addr any;
    pal_addr_set_any(&any, PAL_AF_INET, PORT);
    int code = pal_poll_open(&world->poll, &config);
    code = code ? code : pal_sock_open(world->poll, PAL_AF_INET, PAL_SOCK_STREAM, 0, listener);
    code = code ? code : pal_sock_bind(*listener, &any);
    return code ? code : pal_sock_listen(*listener, CLIENTS);
}

static int accept_all(struct shutdown_world *world, pal_sock listener)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct pal_wait item = {.sock = listener, .interest = PAL_IN};
        pal_sock_wait(&item, 1, UINT64_MAX);
        int code = pal_sock_accept(listener, &world->socks[i], NULL);
        if (code)
            return code;
        world->ops[i] = (struct pal_op){.sock = world->socks[i], .data = (uint64_t)i, .kind = PAL_OP_RECV};
        world->ops[i].buf = &world->bytes[i];
        world->ops[i].size = 1;
        if ((code = pal_submit(world->poll, &world->ops[i])))
            return code < 0 ? code : PAL_EINVAL;
    }
    return 0;
}

static void note(struct shutdown_world *world, const struct pal_event *event)
{
    if (event->kind != PAL_EV_OP)
        return;
    world->told[event->data]++;
    if (event->result == 1)
        world->done++;
    else if (event->result == PAL_ECANCELED)
        world->cancelled++;
    else
        wrong(world, "an op has ended as none can");
}

static int out(const struct shutdown_world *world)
{
    int count = 0;
    for (int i = 0; i < CLIENTS; i++)
        count += !world->told[i];
    return count;
}

static void serve(struct shutdown_world *world)
{
    bool stopping = false;
    while (out(world)) {
        const struct pal_event *events;
        int count = pal_poll_wait(world->poll, &events, UINT64_MAX);
        for (int i = 0; i < count; i++) {
            note(world, &events[i]);
            if (stopping || !atomic_load(&world->stop))
                continue;
            stopping = true;
            for (int j = 0; j < CLIENTS; j++) /* also those that have ended, and not been told: a cancel is a request */
                pal_cancel(world->poll, &world->ops[j]);
        }
        if (count < 0)
            wrong(world, "the wait fails");
        if (count < 0)
            return;
    }
}

static int server_main(void *argument)
{
    struct shutdown_world *world = argument;
    pal_sock listener;
    pal_thread stopper;
    int code = begin(world, &listener);
    code = code ? code : accept_all(world, listener);
    code = code ? code : pal_thread_start(&stopper, tell_to_stop, world);
    if (code)
        return code;
    serve(world);
    pal_thread_join(stopper);
    for (int i = 0; i < CLIENTS; i++) {
        if (world->told[i] != 1)
            wrong(world, "an op is not told exactly once");
        if (pal_sock_close(world->socks[i]))
            wrong(world, "a socket does not close");
    }
    if (pal_sock_close(listener) || pal_poll_close(world->poll))
        wrong(world, "the poll does not close");
    return 0;
}

/* ---- clients: all send at once ---- */

static int client_main(void *argument)
{
    struct pal_wait item = {.interest = PAL_OUT};
    struct pal_addr server;
    (void)argument;
    pal_addr_from_host(&server, "10.0.0.1", PORT);
    int code = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &item.sock);
    code = code ? code : pal_sock_connect(item.sock, &server);
    if (code && code != PAL_EINPROGRESS)
        return code;
    pal_sock_wait(&item, 1, UINT64_MAX);
    pal_sock_wait(NULL, 0, AT_ONCE_NS);
    pal_sock_send(item.sock, "x", 1, 0);
    char byte;
    pal_sock_recv(item.sock, &byte, 1, PAL_MSG_WAIT); /* the end, or a reset */
    return pal_sock_close(item.sock);
}

/* ---- all orders ---- */

static int run_once(uint64_t seed, void *argument)
{
    static const char *const names[CLIENTS] = {"one", "two", "three"};
    static const char *const addresses[CLIENTS] = {"10.0.0.2", "10.0.0.3", "10.0.0.4"};
    struct shutdown_world *world = argument;
    palio_sim_options options = {.seed = seed, .quiet = true};
    palio_sim_host *server;
    palio_sim *sim;
    uint32_t before = world->done;
    int code = palio_sim_open(&sim, &options);
    if (code)
        return code;
    world->stop = false;
    memset(world->told, 0, sizeof world->told);
    palio_sim_add_host(sim, &server, "server", "10.0.0.1", server_main, world);
    for (int i = 0; i < CLIENTS; i++)
        palio_sim_add_host(sim, NULL, names[i], addresses[i], client_main, NULL);
    code = palio_sim_run(sim, PALIO_MINUTE);
    if (!code)
        code = palio_sim_result(server);
    int left = palio_sim_close(sim);
    world->all_done += world->done - before == CLIENTS;
    return world->wrong ? PALIO_EUSER : code ? code : left;
}

Test(explore, a_server_that_stops_as_requests_come)
{
    static struct shutdown_world world;
    palio_sim_explore_options options = {.depth = 40, .runs_max = ORDERS_MAX};
    palio_sim_report report;
    int code = palio_sim_explore(run_once, &world, &options, &report);
    cr_assert_eq(code, 0, "%s: %s, replay: %s", pal_error_name(code), world.wrong ? world.wrong : "", report.replay);
    cr_assert_gt(report.runs, 50, "%d orders", (int)report.runs);
    cr_assert_gt(world.done, 0);
    cr_assert_gt(world.cancelled, 0);
    cr_assert_gt(world.all_done, 0, "all requests may come before it is told");
    cr_log_info("%d orders%s: %d requests done, %d cancelled", (int)report.runs,
                report.complete ? ", all there are" : "", (int)world.done, (int)world.cancelled);
}
