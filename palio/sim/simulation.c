/* simulation.c: a simulation from open to close, its hosts, and what came of it. See palio/sim.h. */
#include "simulation.h"

#include <stdio.h>
#include <string.h>

#include <pal/os.h>
#include <pal/poll.h>
#include <palio/core/assertion.h>
#include <palio/core/error.h>
#include <palio/core/memory.h>

struct palio__sim_session palio__sim_session;

static const palio_error no_error = {.operation = "", .backend = "", .remedy = ""};

/* ---- of all functions ---- */

bool palio__sim_is_linked(const char *operation)
{
    if ((pal_backend_info()->caps & PAL_CAP_VIRTUAL_TIME) != 0)
        return true;
    (void)palio__refuse(PALIO_ENOTSUP, operation, "a simulation (link libpal-sim)");
    return false;
}

int palio__sim_usable(const void *sim_or_host, const char *operation)
{
    if (sim_or_host != NULL)
        return 0;
    if (!palio__sim_is_linked(operation))
        return PALIO_ENOTSUP;
    pal_fatal("palio_sim: the simulation or the host is NULL");
}

int palio__sim_keep(palio_sim *sim, int code)
{
    if (code < 0 && sim->failure.code == 0) {
        sim->failure = *palio_last_error();
        sim->failure.code = code;
    }
    return code;
}

/* ---- open ---- */

struct pal_sim_faults palio__sim_faults_of(const palio_sim_faults *faults)
{
    struct pal_sim_faults own = {.loss_ppm = faults->loss_ppm};

    own.duplicate_ppm = faults->duplicate_ppm;
    own.reorder_ppm = faults->reorder_ppm;
    own.corrupt_ppm = faults->corrupt_ppm;
    own.short_ppm = faults->short_io_ppm;
    own.again_ppm = faults->again_ppm;
    own.no_memory_ppm = faults->no_memory_ppm;
    own.no_handle_ppm = faults->no_handle_ppm;
    own.reset_ppm = faults->reset_ppm;
    own.stall_ppm = faults->stall_ppm;
    own.stall_max_ns = faults->stall_max_ns;
    own.latency_min_ns = faults->latency_min_ns;
    own.latency_max_ns = faults->latency_max_ns;
    own.rate_bits_s = faults->bandwidth_bits_s;
    own.cut_every_ns = faults->cut_every_ns;
    own.cut_for_ns = faults->cut_for_ns;
    own.pause_every_ns = faults->pause_every_ns;
    own.pause_for_ns = faults->pause_for_ns;
    own.crash_every_ns = faults->crash_every_ns;
    own.crash_for_ns = faults->crash_for_ns;
    own.clock_every_ns = faults->clock_every_ns;
    own.clock_max_ns = faults->clock_max_ns;
    return own;
}

static int begin_world(const palio_sim_options *options, uint32_t assertions)
{
    const struct palio__sim_session *session = &palio__sim_session;
    struct pal_sim_setup setup = {.seed = options->seed, .flags = assertions & PAL_SIM_ASSERTIONS};

    setup.flags |= options->swarm ? PAL_SIM_SWARM : 0;
    setup.flags |= options->quiet || (session->is_many && !session->is_replay) ? PAL_SIM_QUIET : 0;
    setup.flags |= options->virtual_pace ? PAL_SIM_VIRTUAL : 0;
    setup.text = options->text;
    setup.pcap = options->pcap_path;
    setup.faults = palio__sim_faults_of(&options->faults);
    setup.depth = session->depth;
    setup.choices = session->choices;
    setup.choice_count = session->choice_count;
    return pal_ctl(NULL, PAL_CTL_SIM_BEGIN, &setup, sizeof(setup));
}

int palio_sim_open_with(palio_sim **sim, const palio_sim_options *options, uint32_t assertions)
{
    static const palio_sim_options defaults;
    palio_sim *opened;
    int error;

    PALIO__ASSERT(sim != NULL, "palio_sim_open: no place for the simulation");
    *sim = NULL;
    if (!palio__sim_is_linked("sim_open"))
        return PALIO_ENOTSUP;
    if (palio__sim_session.open != NULL)
        return palio__refuse(PALIO_EBUSY, "sim_open", "a second simulation: close the first");
    options = options != NULL ? options : &defaults;
    opened = palio__alloc(sizeof(*opened), _Alignof(palio_sim));
    if (opened == NULL)
        return palio__refuse(PALIO_ENOMEM, "sim_open", "a simulation");
    error = begin_world(options, assertions);
    if (error < 0) {
        palio__free(opened, sizeof(*opened), _Alignof(palio_sim));
        return palio__fail(error, "sim_open", "a simulation");
    }
    memset(opened, 0, sizeof(*opened));
    opened->begin_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    opened->stack_size = options->stack_size;
    opened->leftovers = options->leftovers;
    opened->last_error = no_error;
    (void)pal_info(PAL_INFO_SOCKS_OPEN, &opened->handles_before);
    palio__sim_session.open = opened;
    palio__sim_session.opened++;
    palio__sim_session.was_told = false;
    *sim = opened;
    return 0;
}

/* ---- hosts ---- */

static palio_sim_host *new_host(palio_sim *sim, uint32_t number, int (*main)(void *arg), void *arg)
{
    palio_sim_host *host = palio__alloc(sizeof(*host), _Alignof(palio_sim_host));

    if (host == NULL)
        return NULL;
    memset(host, 0, sizeof(*host));
    host->sim = sim;
    host->number = number;
    host->main = main;
    host->arg = arg;
    host->last_error = no_error;
    if (sim->last != NULL)
        sim->last->next = host;
    else
        sim->first = host;
    sim->last = host;
    return host;
}

/* Gives the host of that number its function. name is for messages. */
static int start(palio_sim *sim, palio_sim_host **out, uint32_t number, int (*main)(void *arg), void *arg,
                 const char *name)
{
    struct pal_sim_start request = {.host = number, .function = palio__sim_host_main, .stack_size = sim->stack_size};
    palio_sim_host *host = new_host(sim, number, main, arg);
    int error;

    if (host == NULL)
        return palio__refuse(PALIO_ENOMEM, "sim_add_host", "%s", name);
    request.argument = host;
    error = pal_ctl(NULL, PAL_CTL_SIM_START, &request, sizeof(request));
    if (error < 0) {
        host->has_ended = true; /* before it began */
        return palio__fail(error, "sim_add_host", "%s", name);
    }
    *out = host;
    palio__sim_nudge(sim);
    return 0;
}

static int add(palio_sim *sim, palio_sim_host **out, const char *name, const char *addresses, int (*main)(void *arg),
               void *arg)
{
    struct pal_sim_host request = {.name = name, .addresses = addresses};
    int error = pal_ctl(NULL, PAL_CTL_SIM_HOST, &request, sizeof(request));

    if (error < 0)
        return palio__fail(error, "sim_add_host", "%s %s", name, addresses);
    return start(sim, out, request.host, main, arg, name);
}

static int add_any(palio_sim *sim, palio_sim_host **out, const char *name, const char *addresses,
                   int (*main)(void *arg), void *arg, bool is_server)
{
    palio_sim_host *host = NULL;
    int error = palio__sim_usable(sim, "sim_add_host");

    if (error == 0) {
        PALIO__ASSERT(name != NULL && addresses != NULL, "palio_sim_add_host: a host needs a name and an address");
        PALIO__ASSERT(main != NULL, "palio_sim_add_host: a host needs a function");
        error = palio__sim_keep(sim, add(sim, &host, name, addresses, main, arg));
    }
    if (host != NULL)
        host->is_server = is_server;
    if (out != NULL)
        *out = host;
    return error;
}

int palio_sim_add_host(palio_sim *sim, palio_sim_host **host, const char *name, const char *addresses,
                       int (*main)(void *arg), void *arg)
{
    return add_any(sim, host, name, addresses, main, arg, false);
}

int palio_sim_add_server(palio_sim *sim, palio_sim_host **host, const char *name, const char *addresses,
                         int (*main)(void *arg), void *arg)
{
    return add_any(sim, host, name, addresses, main, arg, true);
}

int palio_sim_use_host(palio_sim *sim, palio_sim_host **host, uint32_t number, int (*main)(void *arg), void *arg)
{
    palio_sim_host *used = NULL;
    char name[32];
    int error = palio__sim_usable(sim, "sim_use_host");

    if (error == 0) {
        PALIO__ASSERT(main != NULL, "palio_sim_use_host: a host needs a function");
        (void)snprintf(name, sizeof(name), "host %u", (unsigned)number);
        error = palio__sim_keep(sim, start(sim, &used, number, main, arg, name));
    }
    if (host != NULL)
        *host = used;
    return error;
}

int palio_sim_result(const palio_sim_host *host)
{
    struct pal_sim_result result = {.result = 0};
    int error = palio__sim_usable(host, "sim_result");

    if (error < 0)
        return error;
    result.host = host->number;
    error = pal_ctl(NULL, PAL_CTL_SIM_RESULT, &result, sizeof(result));
    return error < 0 ? palio__fail(error, "sim_result", "%s", "") : result.result;
}

/* ---- what came of it ---- */

struct pal_sim_state palio__sim_state(void)
{
    struct pal_sim_state state = {.seed = 0};

    (void)pal_ctl(NULL, PAL_CTL_SIM_STATE, &state, sizeof(state));
    return state;
}

uint64_t palio_sim_now(const palio_sim *sim)
{
    return palio__sim_usable(sim, "sim_now") < 0 ? 0 : pal_clock(PAL_CLOCK_MONOTONIC) - sim->begin_ns;
}

uint64_t palio_sim_seed(const palio_sim *sim)
{
    return palio__sim_usable(sim, "sim_seed") < 0 ? 0 : palio__sim_state().seed;
}

uint64_t palio_sim_trace_hash(const palio_sim *sim)
{
    return palio__sim_usable(sim, "sim_trace_hash") < 0 ? 0 : palio__sim_state().trace_hash;
}

bool palio_sim_tainted(const palio_sim *sim)
{
    return palio__sim_usable(sim, "sim_tainted") == 0 && palio__sim_state().tainted != 0;
}

palio_sim_counters palio_sim_count(const palio_sim *sim)
{
    palio_sim_counters counters = {.frames = 0};

    if (palio__sim_usable(sim, "sim_count") == 0)
        (void)pal_ctl(NULL, PAL_CTL_SIM_COUNTERS, &counters, sizeof(counters));
    return counters;
}

uint64_t palio_sim_allocations(const palio_sim *sim)
{
    return palio_sim_count(sim).allocations;
}

/* ---- close ---- */

/* How it ended, for whoever replays it: before anything is switched off. */
static void note_end(void)
{
    struct palio__sim_session *session = &palio__sim_session;
    struct pal_sim_state state = palio__sim_state();

    session->seed = state.seed;
    session->trace_hash = state.trace_hash;
    session->was_tainted = state.tainted != 0;
    session->closed++;
    if (session->depth != 0)
        (void)pal_ctl(NULL, PAL_CTL_SIM_CHOICES, &session->made, sizeof(session->made));
}

static void switch_off(const palio_sim *sim, bool only_running)
{
    for (const palio_sim_host *host = sim->first; host != NULL; host = host->next) {
        uint32_t number = host->number;

        if (!only_running || palio_sim_result(host) == PALIO_EINPROGRESS)
            (void)pal_ctl(NULL, PAL_CTL_SIM_CRASH, &number, sizeof(number));
    }
}

/* How many handles of functions that have come to their end are open. Whatever is, is closed. */
static uint64_t switch_all_off(palio_sim *sim)
{
    uint64_t open = 0;

    switch_off(sim, true);
    (void)pal_info(PAL_INFO_SOCKS_OPEN, &open);
    switch_off(sim, false);
    /* A thread of a host ends when it next runs. */
    (void)pal_park(&sim->pulse, sim->pulse, pal_clock(PAL_CLOCK_MONOTONIC) + 1);
    return open > sim->handles_before && !sim->leftovers ? open - sim->handles_before : 0;
}

int palio_sim_close(palio_sim *sim)
{
    uint64_t left;

    if (sim == NULL)
        return 0;
    PALIO__ASSERT(!sim->runs, "palio_sim_close: called by a host or a callback, while palio_sim_run runs");
    note_end();
    left = switch_all_off(sim);
    for (palio_sim_host *host = sim->first, *next; host != NULL; host = next) {
        next = host->next;
        palio__free(host, sizeof(*host), _Alignof(palio_sim_host));
    }
    for (struct palio__sim_action *action = sim->actions, *next; action != NULL; action = next) {
        next = action->next;
        palio__free(action, sizeof(*action), _Alignof(struct palio__sim_action));
    }
    palio__sim_session.open = NULL;
    palio__free(sim, sizeof(*sim), _Alignof(palio_sim));
    if (left == 0)
        return 0;
    return palio__refuse(PALIO_EBUSY, "sim_close", "%llu handles of functions that have ended",
                         (unsigned long long)left);
}
