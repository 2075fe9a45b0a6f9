/* examples/demo/simulated.h: exchange and trader as two hosts of one simulated world (pal/sim.h), run once, and judged.
 *
 * Only for programs that are linked with the simulator. One world at a time; it begins and ends with the call. */
#ifndef DEMO_SIMULATED_H
#define DEMO_SIMULATED_H

#include "demo.h"

#include <pal/sim.h>
#include <stdbool.h>

struct simulated_plan {
    uint64_t seed; /* of the world and of the prices */
    uint64_t tick_count, interval_ns, limit_ns;
    uint32_t warmup_count;
    bool source_specific;
    struct pal_sim_faults faults;
    const char *text; /* instead, if not NULL: what stands behind "faults" in docs/simulator.md, and further statements
                         behind a semicolon; the hosts are "exchange" and "trader" */
    /* From cut_ns to heal_ns after the beginning no frame gets through. Both 0: never. */
    uint64_t cut_ns, heal_ns;
};

struct simulated {
    struct exchange_result exchange;
    struct trader_result trader;
    struct pal_sim_state state; /* at the end */
    struct pal_sim_counters counters;
    uint64_t virtual_ns;         /* from beginning to end */
    uint64_t orders_before_heal; /* executed by then */
    int32_t code;                /* 0, or what kept the world from beginning or from coming to an end */
    char problem[DEMO_PROBLEM_SIZE];
};

/* Runs it from beginning to end. All of *out is written. True: it kept what is demanded of it: both ended without an
 * error, each order was executed once at most and each that was executed was told to the trader, as the trader had
 * decided it; no tick is unaccounted for; and after a cut trading went on. False: out->problem says what was not so. */
bool simulated_run(const struct simulated_plan *plan, struct simulated *out);

/* Faults of all kinds that the two are to survive, drawn from the seed: each kind is off as often as on. */
void simulated_faults(uint64_t seed, struct pal_sim_faults *out);

/* Whether two runs were the same, event by event. */
bool simulated_same(const struct simulated *a, const struct simulated *b);

#endif
