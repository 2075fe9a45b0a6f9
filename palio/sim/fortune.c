/* fortune.c: what befalls the hosts of a simulation and their network. See palio/sim.h. */
#include "simulation.h"

#include <pal/poll.h>
#include <palio/core/assertion.h>
#include <palio/core/error.h>

#define EVERYONE UINT32_MAX

/* Has the simulator do it, and keeps what it says. */
static int ask(palio_sim *sim, int key, void *value, size_t size, const char *operation)
{
    int error = pal_ctl(NULL, key, value, size);

    if (error < 0)
        return palio__sim_keep(sim, palio__fail(error, operation, "%s", ""));
    return 0;
}

/* ---- faults ---- */

int palio_sim_set_faults(palio_sim *sim, const palio_sim_faults *faults)
{
    struct pal_sim_faults own;
    int error = palio__sim_usable(sim, "sim_set_faults");

    if (error < 0)
        return error;
    PALIO__ASSERT(faults != NULL, "palio_sim_set_faults: no faults; a zeroed struct is none of them");
    own = palio__sim_faults_of(faults);
    return ask(sim, PAL_CTL_SIM_FAULTS, &own, sizeof(own), "sim_set_faults");
}

static uint32_t number_of(const palio_sim_host *host)
{
    return host != NULL ? host->number : EVERYONE;
}

int palio_sim_set_link(palio_sim *sim, const palio_sim_host *from, const palio_sim_host *to,
                       const palio_sim_faults *faults)
{
    struct pal_sim_link link = {.from = number_of(from), .to = number_of(to)};
    int error = palio__sim_usable(sim, "sim_set_link");

    if (error < 0)
        return error;
    PALIO__ASSERT(faults != NULL, "palio_sim_set_link: no faults; a zeroed struct is none of them");
    link.loss_ppm = faults->loss_ppm;
    link.duplicate_ppm = faults->duplicate_ppm;
    link.reorder_ppm = faults->reorder_ppm;
    link.corrupt_ppm = faults->corrupt_ppm;
    link.latency_min_ns = faults->latency_min_ns;
    link.latency_max_ns = faults->latency_max_ns;
    return ask(sim, PAL_CTL_SIM_LINK, &link, sizeof(link), "sim_set_link");
}

int palio_sim_partition(palio_sim *sim, const palio_sim_host *a, const palio_sim_host *b)
{
    struct pal_sim_pair pair = {.a = number_of(a), .b = number_of(b)};
    int error = palio__sim_usable(sim, "sim_partition");

    return error < 0 ? error : ask(sim, PAL_CTL_SIM_CUT, &pair, sizeof(pair), "sim_partition");
}

int palio_sim_heal(palio_sim *sim, const palio_sim_host *a, const palio_sim_host *b)
{
    struct pal_sim_pair pair = {.a = number_of(a), .b = number_of(b)};
    int error = palio__sim_usable(sim, "sim_heal");

    return error < 0 ? error : ask(sim, PAL_CTL_SIM_HEAL, &pair, sizeof(pair), "sim_heal");
}

/* ---- hosts ---- */

static int ask_host(palio_sim_host *host, int key, const char *operation)
{
    uint32_t number;
    int error = palio__sim_usable(host, operation);

    if (error < 0)
        return error;
    number = host->number;
    return ask(host->sim, key, &number, sizeof(number), operation);
}

int palio_sim_crash(palio_sim_host *host)
{
    return ask_host(host, PAL_CTL_SIM_CRASH, "sim_crash");
}

int palio_sim_restart(palio_sim_host *host)
{
    uint32_t number;
    int error = palio__sim_usable(host, "sim_restart");

    if (error < 0)
        return error;
    number = host->number;
    error = pal_ctl(NULL, PAL_CTL_SIM_RESTART, &number, sizeof(number));
    if (error == PAL_EINVAL) /* it has not crashed, or a fault's restart was earlier */
        return 0;
    if (error < 0)
        return palio__sim_keep(host->sim, palio__fail(error, "sim_restart", "%s", host->name));
    host->has_ended = false;
    return 0;
}

int palio_sim_pause(palio_sim_host *host)
{
    return ask_host(host, PAL_CTL_SIM_PAUSE, "sim_pause");
}

int palio_sim_resume(palio_sim_host *host)
{
    return ask_host(host, PAL_CTL_SIM_RESUME, "sim_resume");
}

int palio_sim_clock_jump(palio_sim_host *host, int64_t jump_ns)
{
    struct pal_sim_clock jump = {.jump_ns = jump_ns};
    int error = palio__sim_usable(host, "sim_clock_jump");

    if (error < 0)
        return error;
    jump.host = host->number;
    return ask(host->sim, PAL_CTL_SIM_CLOCK, &jump, sizeof(jump), "sim_clock_jump");
}
