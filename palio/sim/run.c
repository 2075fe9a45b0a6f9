/* run.c: lets the time of a simulation pass, with what is to happen at which time, until its hosts have ended.
 *
 * The caller parks on a word of the simulation, so that hosts run. It looks up when the last of them has ended, and
 * when the next callback is due. */
#include "simulation.h"

#include <string.h>

#include <pal/os.h>
#include <pal/poll.h>
#include <palio/base/container.h>
#include <palio/core/assertion.h>
#include <palio/core/error.h>
#include <palio/core/memory.h>

#define LONGEST_NS (365 * 24 * 60 * PALIO_MINUTE)

void palio__sim_nudge(palio_sim *sim)
{
    sim->pulse++;
    pal_unpark(&sim->pulse, INT32_MAX);
}

/* ---- hosts ---- */

static bool have_ended(const palio_sim *sim)
{
    bool any = false;

    for (const palio_sim_host *host = sim->first; host != NULL; host = host->next) {
        if (!host->is_server && !host->has_ended)
            return false;
        any |= !host->is_server;
    }
    return any;
}

int32_t palio__sim_host_main(void *argument)
{
    palio_sim_host *host = argument;
    int result;

    host->has_ended = false; /* it may have begun before */
    (void)pal_names(PAL_NAMES_HOSTNAME, NULL, host->name, sizeof(host->name));
    result = host->main(host->arg);
    host->has_ended = true;
    if (have_ended(host->sim)) /* not before: whoever can run next is a choice more */
        palio__sim_nudge(host->sim);
    return result;
}

/* ---- what happens at a time ---- */

int palio_sim_at(palio_sim *sim, uint64_t at_ns, void (*callback)(void *arg), void *arg)
{
    struct palio__sim_action *action, **place;
    int error = palio__sim_usable(sim, "sim_at");

    if (error < 0)
        return error;
    PALIO__ASSERT(callback != NULL, "palio_sim_at: no callback");
    action = palio__alloc(sizeof(*action), _Alignof(struct palio__sim_action));
    if (action == NULL)
        return palio__sim_keep(sim, palio__refuse(PALIO_ENOMEM, "sim_at", "a callback"));
    action->at_ns = at_ns > UINT64_MAX - sim->begin_ns ? UINT64_MAX : sim->begin_ns + at_ns;
    action->callback = callback;
    action->arg = arg;
    for (place = &sim->actions; *place != NULL && (*place)->at_ns <= action->at_ns;)
        place = &(*place)->next;
    action->next = *place;
    *place = action;
    palio__sim_nudge(sim);
    return 0;
}

static void act(palio_sim *sim)
{
    while (sim->actions != NULL && sim->actions->at_ns <= pal_clock(PAL_CLOCK_MONOTONIC)) {
        struct palio__sim_action action = *sim->actions;

        palio__free(sim->actions, sizeof(action), _Alignof(struct palio__sim_action));
        sim->actions = action.next;
        action.callback(action.arg);
    }
}

/* ---- the last error: each host has its own, though their functions share the caller's thread ---- */

/* The record of the host that this is; for what is none of them, as callbacks are, the simulation's. Asked for when
 * something has failed. */
static palio_error *error_here(palio_sim *sim)
{
    char here[PALIO__SIM_NAME_SIZE] = "";

    (void)pal_names(PAL_NAMES_HOSTNAME, NULL, here, sizeof(here));
    for (palio_sim_host *host = sim->first; host != NULL; host = host->next) {
        if (here[0] != '\0' && strcmp(host->name, here) == 0)
            return &host->last_error;
    }
    return &sim->last_error;
}

static palio_error *record(struct palio__error_slot *slot)
{
    return error_here(BASE_CONTAINER_OF(slot, struct palio_sim, slot));
}

static const palio_error *last(struct palio__error_slot *slot)
{
    return error_here(BASE_CONTAINER_OF(slot, struct palio_sim, slot));
}

/* ---- running ---- */

/* Waits, so that time passes, until then or until it is nudged. */
static int park_until(const palio_sim *sim, uint32_t pulse, uint64_t until_ns)
{
    int code = pal_park(&sim->pulse, pulse, until_ns);

    return code == PAL_ETIMEDOUT || code == PAL_EINTR ? 0 : code;
}

/* The last moment passes. Where nothing can happen any more, letting time pass for ever tells who waits for what. */
static int pass_last(const palio_sim *sim, uint32_t pulse, uint64_t end_ns)
{
    struct pal_sim_run moment = {.until_ns = end_ns}, ever = {.until_ns = UINT64_MAX};
    struct pal_sim_state state;
    int code = pal_ctl(NULL, PAL_CTL_SIM_RUN, &moment, sizeof(moment));

    if (code == 0) /* no function of a host runs: crashed ones do not either */
        return park_until(sim, pulse, end_ns);
    if (code != PAL_ETIMEDOUT)
        return code;
    code = pal_ctl(NULL, PAL_CTL_SIM_STATE, &state, sizeof(state));
    return code < 0 || !state.is_over ? code : pal_ctl(NULL, PAL_CTL_SIM_RUN, &ever, sizeof(ever));
}

/* Whether a standstill would be a fault: somebody is waited for, and the test has nothing in store. */
static bool could_be_stuck(const palio_sim *sim)
{
    bool any = false;

    for (const palio_sim_host *host = sim->first; host != NULL; host = host->next)
        any |= !host->is_server;
    return any && sim->actions == NULL;
}

static int run_until(palio_sim *sim, uint64_t end_ns)
{
    for (;;) {
        uint64_t now_ns, until_ns = end_ns - 1;
        uint32_t pulse;
        int code;

        act(sim);
        if (sim->failure.code < 0)
            return sim->failure.code;
        if (have_ended(sim))
            return 0;
        now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
        if (now_ns >= end_ns)
            return PALIO_ETIMEDOUT;
        if (now_ns >= until_ns)
            until_ns = end_ns;
        if (sim->actions != NULL && sim->actions->at_ns < until_ns)
            until_ns = sim->actions->at_ns;
        pulse = sim->pulse; /* nobody else runs between the looks above and this */
        code = now_ns == end_ns - 1 && could_be_stuck(sim) ? pass_last(sim, pulse, end_ns)
                                                           : park_until(sim, pulse, until_ns);
        if (code < 0)
            return code;
    }
}

/* Records anew what had been recorded when it happened, unless it stands there still. */
static int recorded(const palio_sim *sim, int code)
{
    const palio_error *failure = &sim->failure, *last_error = palio_last_error();

    if (code >= 0 || code == last_error->code)
        return code;
    if (code != failure->code)
        return palio__refuse(code, "sim_run", "seed %llu", (unsigned long long)palio_sim_seed(sim));
    return palio__refuse(code, failure->operation, "%s", failure->object);
}

int palio_sim_run(palio_sim *sim, uint64_t for_ns)
{
    struct palio__error_slot *before;
    int code = palio__sim_usable(sim, "sim_run");

    if (code < 0)
        return code;
    if (sim->runs)
        return palio__refuse(PALIO_EBUSY, "sim_run", "from a host or a callback, while it runs");
    sim->slot.record = record;
    sim->slot.last = last;
    before = palio__error_slot_set(&sim->slot);
    sim->runs = true;
    code = run_until(sim, pal_clock(PAL_CLOCK_MONOTONIC) + (for_ns < LONGEST_NS ? for_ns : LONGEST_NS));
    sim->runs = false;
    (void)palio__error_slot_set(before);
    return recorded(sim, code);
}
