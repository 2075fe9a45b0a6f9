/* ctl.c: what programs say to the simulator (pal/sim.h), by pal_ctl. Rule 16. */
#include "../common/refusal.h"
#include "../posix/kernel.h"
#include "chance.h"
#include "host.h"
#include "os.h"
#include "strand.h"
#include "trace.h"

#include <string.h>

static int no_host(void)
{
    return pal__refuse(PAL_ENOENT, "no host of the simulated world has this number");
}

static int get_state(struct pal_sim_state *out)
{
    *out = (struct pal_sim_state){
        .seed = pal__s_seed(),
        .now_ns = pal__s_now(),
        .trace_hash = pal__s_trace_hash(),
        .events = pal__s_trace_count(),
        .hosts = pal__s_host_count(),
        .tainted = pal__s_trace_tainted(),
        .is_over = pal__s_is_over(),
    };
    return 0;
}

static int add_host(struct pal_sim_host *spec)
{
    struct plan_host checked;
    struct host *host;
    if (spec->name && pal__s_host_named(spec->name))
        return pal__refuse(PAL_EEXIST, "another host has this name");
    const char *wrong = pal__s_plan_host(spec->name, spec->addresses, &checked);
    int error = wrong ? pal__refuse(PAL_EINVAL, wrong) : pal__s_host_join(&checked, &host);
    if (!error)
        spec->host = host->number;
    return error;
}

static int enter(uint32_t number)
{
    struct host *host = pal__s_host(number);
    struct strand *self = pal__s_self();
    if (!host)
        return no_host();
    if (self->stack)
        return pal__refuse(PAL_EINVAL, "a host's function stays on its host: only threads enter another");
    self->host = host;
    return 0;
}

static int start(const struct pal_sim_start *spec)
{
    struct host *host = pal__s_host(spec->host);
    return host ? pal__s_host_start(host, spec) : no_host();
}

static int run(const struct pal_sim_run *spec)
{
    struct waiting waiting = {
        .what = "the hosts' functions to end", .deadline_ns = spec->until_ns, .for_run = true, .can_be_told = true};
    while (pal__s_running() || pal__s_restarts_due()) {
        if (spec->until_ns <= pal__s_now())
            return PAL_ETIMEDOUT;
        int outcome = pal__s_wait(&waiting);
        if (outcome)
            return outcome;
    }
    return 0;
}

static int get_result(struct pal_sim_result *out)
{
    const struct host *host = pal__s_host(out->host);
    if (!host)
        return no_host();
    out->result = host->result;
    return 0;
}

/* Both are hosts, or stand for all others. */
static bool are_hosts(uint32_t a, uint32_t b)
{
    return (a == UINT32_MAX || pal__s_host(a)) && (b == UINT32_MAX || pal__s_host(b));
}

static int cut(const struct pal_sim_pair *pair, bool on)
{
    return are_hosts(pair->a, pair->b) ? pal__s_cut(pair->a, pair->b, on) : no_host();
}

static int set_link(const struct pal_sim_link *link)
{
    return are_hosts(link->from, link->to) ? pal__s_wire_set_link(pal__s_wire(), link) : no_host();
}

static int befall(int key, uint32_t number)
{
    struct host *host = pal__s_host(number);
    if (!host)
        return no_host();
    switch (key) {
    case PAL_CTL_SIM_CRASH:
        return pal__s_host_crash(host);
    case PAL_CTL_SIM_RESTART:
        return pal__s_host_restart(host);
    default:
        return pal__s_host_pause(host, key == PAL_CTL_SIM_PAUSE);
    }
}

static int jump(const struct pal_sim_clock *spec)
{
    struct host *host = pal__s_host(spec->host);
    return host ? pal__s_host_jump(host, spec->jump_ns) : no_host();
}

static int get_choices(struct pal_sim_choices *out)
{
    if (out->size && !out->choices)
        return pal__refuse(PAL_EINVAL, "there is no room for choices: give it, or size 0");
    pal__s_chosen(out);
    return 0;
}

static int get_counters(struct pal_sim_counters *out)
{
    *out = (struct pal_sim_counters){.allocations = pal__s_allocations()};
    pal__s_wire_counters(pal__s_wire(), out);
    pal__s_fault_counters(out);
    pal__s_fortune_counters(out);
    return 0;
}

static int check(struct pal_sim_check *out)
{
    *out = (struct pal_sim_check){.text = NULL};
    for (uint32_t i = 0; i < pal__s_host_count() && !out->text; i++) {
        const struct host *host = pal__s_host(i);
        out->text = host->stack ? pal__n_stack_check(host->stack) : NULL;
        out->host = i;
    }
    return 0;
}

/* Bytes of a key's value; 0: no such key. */
static size_t size_of(int key)
{
    switch (key) {
    case PAL_CTL_SIM_BEGIN:
        return sizeof(struct pal_sim_setup);
    case PAL_CTL_SIM_STATE:
        return sizeof(struct pal_sim_state);
    case PAL_CTL_SIM_HOST:
        return sizeof(struct pal_sim_host);
    case PAL_CTL_SIM_START:
        return sizeof(struct pal_sim_start);
    case PAL_CTL_SIM_RUN:
        return sizeof(struct pal_sim_run);
    case PAL_CTL_SIM_RESULT:
        return sizeof(struct pal_sim_result);
    case PAL_CTL_SIM_FAULTS:
        return sizeof(struct pal_sim_faults);
    case PAL_CTL_SIM_LINK:
        return sizeof(struct pal_sim_link);
    case PAL_CTL_SIM_CUT:
    case PAL_CTL_SIM_HEAL:
        return sizeof(struct pal_sim_pair);
    case PAL_CTL_SIM_ENTER:
    case PAL_CTL_SIM_CRASH:
    case PAL_CTL_SIM_RESTART:
    case PAL_CTL_SIM_PAUSE:
    case PAL_CTL_SIM_RESUME:
        return sizeof(uint32_t);
    case PAL_CTL_SIM_CLOCK:
        return sizeof(struct pal_sim_clock);
    case PAL_CTL_SIM_CHOICES:
        return sizeof(struct pal_sim_choices);
    case PAL_CTL_SIM_COUNTERS:
        return sizeof(struct pal_sim_counters);
    case PAL_CTL_SIM_CHECK:
        return sizeof(struct pal_sim_check);
    default:
        return 0;
    }
}

static int carry_out(int key, void *value)
{
    switch (key) {
    case PAL_CTL_SIM_STATE:
        return get_state(value);
    case PAL_CTL_SIM_HOST:
        return add_host(value);
    case PAL_CTL_SIM_ENTER:
        return enter(*(const uint32_t *)value);
    case PAL_CTL_SIM_START:
        return start(value);
    case PAL_CTL_SIM_RUN:
        return run(value);
    case PAL_CTL_SIM_RESULT:
        return get_result(value);
    case PAL_CTL_SIM_FAULTS:
        return pal__s_set_faults(value);
    case PAL_CTL_SIM_LINK:
        return set_link(value);
    case PAL_CTL_SIM_CUT:
    case PAL_CTL_SIM_HEAL:
        return cut(value, key == PAL_CTL_SIM_CUT);
    case PAL_CTL_SIM_CLOCK:
        return jump(value);
    case PAL_CTL_SIM_CHOICES:
        return get_choices(value);
    case PAL_CTL_SIM_COUNTERS:
        return get_counters(value);
    case PAL_CTL_SIM_CHECK:
        return check(value);
    default:
        return befall(key, *(const uint32_t *)value);
    }
}

int pal__s_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    size_t expected = size_of(key);
    if (key == PAL_CTL_IDLE)
        return pal__k_ctl(poll, key, value, size);
    if (!expected)
        return pal__refuse(PAL_ENOTSUP, "the simulator knows PAL_CTL_IDLE and PAL_CTL_SIM_* (pal/sim.h)");
    if (!value || size != expected || poll)
        return pal__refuse(PAL_EINVAL, "keys of the simulator take no poll, and the value that pal/sim.h names");
    if (key == PAL_CTL_SIM_BEGIN)
        return pal__s_world_begin(value);
    pal__s_world_need();
    return carry_out(key, value);
}
