/* swarm.c: runs the echo service and its clients under the faults of one seed after the other. TAP.
 *
 * usage: sim-swarm [--seed N] [--seeds N] [--verbose]
 * A seed that fails is told with the command that runs it again; every 16th is run twice, and has to come out the same.
 * */
#include "swarm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 30, CALM_SESSIONS = 2, TWICE_EVERY = 16 };
#define STORM_NS (600 * SECOND_NS)
#define CALM_NS (900 * SECOND_NS)

void swarm_fail(struct swarm *swarm, const char *format, ...)
{
    va_list arguments;
    if (swarm->wrong[0])
        return;
    va_start(arguments, format);
    vsnprintf(swarm->wrong, sizeof swarm->wrong, format, arguments);
    va_end(arguments);
}

static void must(struct swarm *swarm, int key, void *value, size_t size, const char *what)
{
    int error = pal_ctl(NULL, key, value, size);
    if (error)
        swarm_fail(swarm, "%s: %s (%s)", what, pal_error_name(error), pal_reason());
}

static uint32_t add(struct swarm *swarm, const char *name, const char *addresses)
{
    struct pal_sim_host host = {.name = name, .addresses = addresses};
    must(swarm, PAL_CTL_SIM_HOST, &host, sizeof host, name);
    return host.host;
}

static void start(struct swarm *swarm, uint32_t host, int32_t (*function)(void *), void *argument)
{
    struct pal_sim_start spec = {.host = host, .function = function, .argument = argument};
    must(swarm, PAL_CTL_SIM_START, &spec, sizeof spec, "start");
}

static int32_t result_of(struct swarm *swarm, uint32_t host)
{
    struct pal_sim_result result = {.host = host};
    must(swarm, PAL_CTL_SIM_RESULT, &result, sizeof result, "result");
    return result.result;
}

static struct pal_sim_state state_of(struct swarm *swarm)
{
    struct pal_sim_state state;
    memset(&state, 0, sizeof state);
    must(swarm, PAL_CTL_SIM_STATE, &state, sizeof state, "state");
    return state;
}

/* Until none of the clients runs any more, or for so long. */
static void run(struct swarm *swarm, const uint32_t *clients, uint64_t for_ns)
{
    uint64_t end_ns = state_of(swarm).now_ns + for_ns;
    for (;;) {
        struct pal_sim_run spec = {.until_ns = state_of(swarm).now_ns + SECOND_NS};
        int running = 0, error = pal_ctl(NULL, PAL_CTL_SIM_RUN, &spec, sizeof spec);
        for (int i = 0; i < SWARM_CLIENTS; i++)
            running += result_of(swarm, clients[i]) == PAL_EINPROGRESS;
        if (error == PAL_EDEADLK)
            swarm_fail(swarm, "nothing can happen any more");
        if (error != PAL_ETIMEDOUT || !running || swarm->wrong[0] || spec.until_ns >= end_ns)
            return;
    }
}

/* The faults end: all hosts are there, and reach each other. */
static void calm(struct swarm *swarm, uint32_t server)
{
    struct pal_sim_faults none;
    struct pal_sim_pair all = {UINT32_MAX, UINT32_MAX};
    memset(&none, 0, sizeof none);
    must(swarm, PAL_CTL_SIM_FAULTS, &none, sizeof none, "end the faults");
    struct pal_sim_run rest = {.until_ns = state_of(swarm).now_ns + 30 * SECOND_NS};
    pal_ctl(NULL, PAL_CTL_SIM_RUN, &rest, sizeof rest); /* what had begun by chance ends, and crashed hosts are back */
    must(swarm, PAL_CTL_SIM_HEAL, &all, sizeof all, "heal");
    if (result_of(swarm, server) != PAL_EINPROGRESS)
        swarm_fail(swarm, "the server has ended: %s", pal_error_name(result_of(swarm, server)));
    swarm->calm = true;
}

static void check(struct swarm *swarm)
{
    struct pal_sim_check wrong = {0};
    uint64_t open = 0;
    must(swarm, PAL_CTL_SIM_CHECK, &wrong, sizeof wrong, "check");
    if (wrong.text)
        swarm_fail(swarm, "host %u: %s", (unsigned)wrong.host, wrong.text);
    pal_info(PAL_INFO_SOCKS_OPEN, &open);
    if (open)
        swarm_fail(swarm, "%d handles were not closed", (int)open);
}

static uint64_t run_seed(struct swarm *swarm)
{
    struct pal_sim_setup setup = {.seed = swarm->seed, .flags = PAL_SIM_SWARM | PAL_SIM_QUIET | PAL_SIM_ASSERTED};
    static const char *const names[SWARM_CLIENTS] = {"one", "two", "three"};
    static const char *const addresses[SWARM_CLIENTS] = {"10.0.0.2 fd00::2", "10.0.0.3 fd00::3", "10.0.0.4 fd00::4"};
    struct swarm_client clients[SWARM_CLIENTS];
    uint32_t hosts[SWARM_CLIENTS];
    must(swarm, PAL_CTL_SIM_BEGIN, &setup, sizeof setup, "begin");
    uint32_t server = add(swarm, "server", "10.0.0.1 fd00::1");
    start(swarm, server, swarm_server, swarm);
    for (uint32_t i = 0; i < SWARM_CLIENTS; i++) {
        hosts[i] = add(swarm, names[i], addresses[i]);
        clients[i] = (struct swarm_client){swarm, i, SESSIONS};
        start(swarm, hosts[i], swarm_client, &clients[i]);
    }
    run(swarm, hosts, STORM_NS);
    calm(swarm, server);
    for (uint32_t i = 0; i < SWARM_CLIENTS && !swarm->wrong[0]; i++) {
        clients[i].sessions = CALM_SESSIONS;
        if (result_of(swarm, hosts[i]) != PAL_EINPROGRESS)
            start(swarm, hosts[i], swarm_client, &clients[i]);
    }
    run(swarm, hosts, CALM_NS);
    swarm->stop = true;
    struct pal_sim_run rest = {.until_ns = state_of(swarm).now_ns + CALM_NS};
    int error = pal_ctl(NULL, PAL_CTL_SIM_RUN, &rest, sizeof rest);
    if (error)
        swarm_fail(swarm, "the hosts do not end: %s", pal_error_name(error));
    check(swarm);
    return state_of(swarm).trace_hash;
}

/* ---- seeds ---- */

static bool verbose;

static bool try_seed(uint64_t seed, const char *program)
{
    struct swarm swarm = {.seed = seed}, again = {.seed = seed};
    uint64_t hash = run_seed(&swarm);
    if (!swarm.wrong[0] && seed % TWICE_EVERY == 0 && run_seed(&again) != hash)
        swarm_fail(&swarm, "the same seed came out differently the second time");
    if (verbose)
        printf("# seed %" PRIu64 ": %" PRIu64 " sessions went well and %" PRIu64 " did not, %" PRIu64
               " bytes and %" PRIu64 " datagrams came back, trace %016" PRIx64 "\n",
               seed, swarm.sessions, swarm.broken, swarm.bytes, swarm.datagrams, hash);
    if (!swarm.wrong[0])
        return true;
    printf("# seed %" PRIu64 ": %s\n# replay: %s --seed %" PRIu64 " --seeds 1 --verbose\n", seed, swarm.wrong, program,
           seed);
    return false;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 100, failed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else
            return fprintf(stderr, "usage: %s [--seed N] [--seeds N] [--verbose]\n", argv[0]), 2;
    }
    printf("TAP version 13\n1..1\n");
    for (uint64_t seed = first; seed < first + count && !failed; seed++)
        failed += !try_seed(seed, argv[0]);
    printf("%s 1 - echo_under_the_faults_of_%" PRIu64 "_seeds\n", failed ? "not ok" : "ok", count);
    return failed != 0;
}
