/* fortune.c: what befalls hosts as time passes: the actions of the plan, and by chance cuts, pauses, crashes and jumps
 * of clocks, each with its end. See host.h. */
#include "../common/refusal.h"
#include "chance.h"
#include "host.h"
#include "strand.h"
#include "trace.h"

enum { ENDINGS_MAX = 256 };

/* Strikes by chance: every so often, for so long. */
struct stroke {
    int key;
    uint64_t next_ns; /* UINT64_MAX: never */
    uint64_t every_ns, for_ns;
    uint64_t count;
};
enum { STROKE_CUT, STROKE_PAUSE, STROKE_CRASH, STROKE_CLOCK, STROKES };

struct ending {
    uint64_t at_ns;
    int key;
    uint32_t host;
};

static const struct plan *plan;
static uint64_t began_ns;
static uint32_t action_next; /* of plan->actions */
static struct stroke strokes[STROKES];
static struct ending endings[ENDINGS_MAX];
static uint32_t ending_count;

void pal__s_fortune_begin(const struct plan *fresh, uint64_t now_ns)
{
    static const int keys[STROKES] = {PAL_CTL_SIM_CUT, PAL_CTL_SIM_PAUSE, PAL_CTL_SIM_CRASH, PAL_CTL_SIM_CLOCK};
    plan = fresh;
    began_ns = now_ns;
    action_next = ending_count = 0;
    for (int i = 0; i < STROKES; i++)
        strokes[i] = (struct stroke){.key = keys[i], .next_ns = UINT64_MAX};
}

static void set_stroke(struct stroke *stroke, uint64_t every_ns, uint64_t for_ns)
{
    stroke->every_ns = every_ns;
    stroke->for_ns = for_ns;
    stroke->next_ns = every_ns ? pal__s_after(pal__s_until_next(every_ns)) : UINT64_MAX;
}

int pal__s_set_faults(const struct pal_sim_faults *faults)
{
    int error = pal__s_fault_check(faults);
    error = error ? error : pal__s_wire_set_faults(pal__s_wire(), faults);
    if (error)
        return error;
    pal__s_trace(TRACE_ACTION, PAL_CTL_SIM_FAULTS, 0);
    pal__s_fault_set(faults);
    set_stroke(&strokes[STROKE_CUT], faults->cut_every_ns, faults->cut_for_ns);
    set_stroke(&strokes[STROKE_PAUSE], faults->pause_every_ns, faults->pause_for_ns);
    set_stroke(&strokes[STROKE_CRASH], faults->crash_every_ns, faults->crash_for_ns);
    set_stroke(&strokes[STROKE_CLOCK], faults->clock_every_ns, faults->clock_max_ns);
    return 0;
}

int pal__s_cut(uint32_t a, uint32_t b, bool cut)
{
    pal__s_trace(TRACE_ACTION, cut ? PAL_CTL_SIM_CUT : PAL_CTL_SIM_HEAL, (uint64_t)a << 32 | b);
    return pal__s_wire_cut(pal__s_wire(), a, b, cut);
}

void pal__s_fortune_counters(struct pal_sim_counters *out)
{
    out->cuts = strokes[STROKE_CUT].count;
    out->pauses = strokes[STROKE_PAUSE].count;
    out->crashes = strokes[STROKE_CRASH].count;
    out->clock_jumps = strokes[STROKE_CLOCK].count;
}

uint64_t pal__s_fortune_next(void)
{
    uint64_t next_ns = UINT64_MAX;
    if (action_next < plan->action_count)
        next_ns = began_ns + plan->actions[action_next].at_ns;
    for (int i = 0; i < STROKES; i++)
        next_ns = strokes[i].next_ns < next_ns ? strokes[i].next_ns : next_ns;
    for (uint32_t i = 0; i < ending_count; i++)
        next_ns = endings[i].at_ns < next_ns ? endings[i].at_ns : next_ns;
    return next_ns;
}

bool pal__s_restarts_due(void)
{
    for (uint32_t i = 0; i < ending_count; i++)
        if (endings[i].key == PAL_CTL_SIM_RESTART && !pal__s_host(endings[i].host)->stack)
            return true;
    for (uint32_t i = action_next; i < plan->action_count; i++)
        if (plan->actions[i].key == PAL_CTL_SIM_RESTART && !pal__s_host(plan->actions[i].a)->stack)
            return true;
    return false;
}

/* Refusals of what the plan asks for (a host that has crashed already) change nothing, and are no reason to stop. */
static void act(int key, uint32_t a, uint32_t b, int64_t jump_ns, const struct pal_sim_faults *faults)
{
    struct host *host = pal__s_host(a);
    switch (key) {
    case PAL_CTL_SIM_CUT:
    case PAL_CTL_SIM_HEAL:
        pal__s_cut(a, b, key == PAL_CTL_SIM_CUT);
        break;
    case PAL_CTL_SIM_FAULTS:
        if (faults) /* always, of an action of the plan */
            pal__s_set_faults(faults);
        break;
    case PAL_CTL_SIM_CRASH:
        pal__s_host_crash(host);
        break;
    case PAL_CTL_SIM_RESTART:
        pal__s_host_restart(host);
        break;
    case PAL_CTL_SIM_PAUSE:
    case PAL_CTL_SIM_RESUME:
        pal__s_host_pause(host, key == PAL_CTL_SIM_PAUSE);
        break;
    default:
        pal__s_host_jump(host, jump_ns);
        break;
    }
}

/* Is this host in such a state by chance already? One stroke at a time. */
static bool struck(uint32_t host)
{
    for (uint32_t i = 0; i < ending_count; i++)
        if (endings[i].host == host)
            return true;
    return ending_count == ENDINGS_MAX;
}

static int ending_of(int key)
{
    return key == PAL_CTL_SIM_CUT     ? PAL_CTL_SIM_HEAL
           : key == PAL_CTL_SIM_PAUSE ? PAL_CTL_SIM_RESUME
                                      : PAL_CTL_SIM_RESTART;
}

static void strike(struct stroke *stroke)
{
    uint32_t count = pal__s_host_count();
    stroke->next_ns = pal__s_after(pal__s_until_next(stroke->every_ns));
    if (count < 2)
        return;
    uint32_t host = (uint32_t)pal__s_between(1, count - 1);
    if (stroke->key == PAL_CTL_SIM_CLOCK) {
        int64_t jump_ns = (int64_t)pal__s_between(0, stroke->for_ns < INT64_MAX ? stroke->for_ns : INT64_MAX);
        stroke->count++;
        act(stroke->key, host, 0, pal__s_happens(500000) ? -jump_ns : jump_ns, NULL);
        return;
    }
    if (struck(host) || (stroke->key == PAL_CTL_SIM_CRASH && pal__s_host(host)->result != PAL_EINPROGRESS))
        return;
    if (stroke->key == PAL_CTL_SIM_CRASH && pal__s_hosts_first(pal__s_host(host)))
        return;
    stroke->count++;
    uint64_t for_ns = pal__s_between(0, stroke->for_ns < UINT64_MAX / 4 ? stroke->for_ns * 2 : UINT64_MAX / 2);
    endings[ending_count++] = (struct ending){pal__s_after(for_ns), ending_of(stroke->key), host};
    act(stroke->key, host, UINT32_MAX, 0, NULL);
}

void pal__s_fortune_happen(uint64_t now_ns)
{
    while (action_next < plan->action_count && began_ns + plan->actions[action_next].at_ns <= now_ns) {
        const struct plan_action *action = &plan->actions[action_next++];
        act(action->key, action->a, action->b, action->jump_ns, &action->faults);
    }
    for (uint32_t i = 0; i < ending_count;) {
        struct ending ending = endings[i];
        if (ending.at_ns > now_ns) {
            i++;
            continue;
        }
        endings[i] = endings[--ending_count];
        act(ending.key, ending.host, UINT32_MAX, 0, NULL);
    }
    for (int i = 0; i < STROKES; i++)
        if (strokes[i].next_ns <= now_ns)
            strike(&strokes[i]);
}
