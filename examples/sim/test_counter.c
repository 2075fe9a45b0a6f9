/* examples/sim/test_counter.c: a test of the counter in the simulator: whatever a network and its hosts do, what three
 * clients add is added once.
 *
 * Each seed is another world: frames are lost, doubled and late, calls do half of what they could, connections break,
 * hosts are cut off, stand still, crash and start again. A seed that fails is printed as the line that replays it:
 *
 *   failed: PALIO_SIM_SEED=123 (trace 0x0123456789abcdef)
 *
 * PALIO_SIM_SEEDS=N runs so many seeds in place of 1000. */
#include "counter.h"

#include <palio/base.h>
#include <palio/sim.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 3, TIMES = 20 };

/* What outlives the crashes of hosts: their disks. */
struct world {
    struct counter_ledger ledger;
    struct counter_server server;
    struct counter_job jobs[CLIENTS];
};

static void prepare(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->server.address = "10.0.0.1";
    world->server.ledger = &world->ledger;
    for (int i = 0; i < CLIENTS; i++) {
        struct counter_job *job = &world->jobs[i];

        job->server = "server";
        job->client = (uint64_t)i + 1;
        job->amount = i == 0 ? 1 : i == 1 ? 1000 : 1000000; /* so that the total tells whose were doubled */
        job->times = TIMES;
        job->pause_ns = PALIO_SECOND; /* or all would be over before anything happens */
        job->patience_ns = 30 * PALIO_MINUTE;
    }
}

static int run(palio_sim *sim, struct world *world)
{
    static const char *const names[CLIENTS] = {"ada", "bob", "cyd"};
    static const char *const addresses[CLIENTS] = {"10.0.0.2", "10.0.0.3", "10.0.0.4"};
    palio_sim_host *clients[CLIENTS];
    int code;

    palio_sim_add_server(sim, NULL, "server", "10.0.0.1", counter_serve, &world->server);
    for (int i = 0; i < CLIENTS; i++)
        palio_sim_add_host(sim, &clients[i], names[i], addresses[i], counter_add, &world->jobs[i]);
    code = palio_sim_run(sim, 60 * PALIO_MINUTE);
    for (int i = 0; i < CLIENTS && code == 0; i++)
        code = palio_sim_result(clients[i]);
    if (code == 0 && world->ledger.total != TIMES * UINT64_C(1001001))
        code = palio_fail(PALIO_EUSER, "%" PRIu64 " is the total of %d times 1001001", world->ledger.total, TIMES);
    return code;
}

static int test(uint64_t seed, void *arg)
{
    palio_sim_options options = {.seed = seed, .swarm = true};
    palio_sim *sim;
    int code = palio_sim_open(&sim, &options), left;

    if (code < 0)
        return code;
    prepare(arg);
    code = run(sim, arg);
    left = palio_sim_close(sim);
    return code < 0 ? code : left;
}

int main(void)
{
    static struct world world;
    palio_sim_report report;
    int code = palio_sim_sweep(test, &world, NULL, &report);

    if (code < 0) {
        palio_perror("test_counter", code);
        return 1;
    }
    printf("%" PRIu64 " worlds, and in each of them the counter was right\n", report.runs);
    return 0;
}
