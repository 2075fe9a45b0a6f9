/* examples/demo/simulated.c: see simulated.h. */
#include "simulated.h"

#include "report.h"

#include <pal/address.h>
#include <pal/error.h>
#include <pal/poll.h>
#include <stdio.h>
#include <string.h>

enum { EXCHANGE = 1, TRADER, IFINDEX_WIRE = 2, EXCHANGE_PORT = 7000, GROUP_PORT = 7001, TEXT_SIZE = 4096 };
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define TICK_TIMEOUT_NS (1000 * MS)
#define PATIENCE_NS (60 * SECOND) /* longer than any fault lasts */

static const char exchange_addr[] = "10.80.0.1";
static const char group_any_source[] = "239.255.80.65";
static const char group_one_source[] = "232.255.80.65"; /* of the block for source-specific multicast, RFC 4607 */

struct world {
    struct exchange_config exchange;
    struct trader_config trader;
    struct simulated *out;
};

static int complain(struct simulated *out, int code, const char *operation, const char *object)
{
    out->code = code;
    return report(out->problem, code, operation, object, "link the demonstration with libpal-sim");
}

static int control(struct simulated *out, int key, void *value, size_t size, const char *operation)
{
    int code = pal_ctl(NULL, key, value, size);
    return code < 0 ? complain(out, code, operation, "the simulated world") : 0;
}

/* ---- the two hosts ---- */

static int32_t run_exchange(void *argument)
{
    const struct world *world = argument;
    return exchange_run(&world->exchange);
}

static int32_t run_trader(void *argument)
{
    const struct world *world = argument;
    return trader_run(&world->trader);
}

/* The exchange's host calls this when it listens: the trader's is started. */
static void start_trader(void *context, const struct pal_addr *listening)
{
    struct world *world = context;
    struct pal_sim_start start = {.host = TRADER, .function = run_trader, .argument = world};
    world->trader.exchange = *listening;
    (void)control(world->out, PAL_CTL_SIM_START, &start, sizeof(start), "start the trader in");
}

static void configure(struct world *world, const struct simulated_plan *plan, struct simulated *out)
{
    struct demo_feed *sent = &world->exchange.feed, *heard = &world->trader.feed;
    world->out = out;
    world->exchange.result = &out->exchange;
    world->exchange.warmup_count = plan->warmup_count;
    world->exchange.tick_count = plan->tick_count;
    world->exchange.interval_ns = plan->interval_ns;
    world->exchange.tick_timeout_ns = TICK_TIMEOUT_NS;
    world->exchange.seed = plan->seed;
    world->exchange.ready = start_trader;
    world->exchange.ready_context = world;
    world->trader.result = &out->trader;
    world->trader.trader_id = 1;
    world->exchange.patience_ns = world->trader.patience_ns = PATIENCE_NS;
    world->exchange.limit_ns = world->trader.limit_ns = plan->limit_ns;

    pal_addr_from_host(&world->exchange.listen, exchange_addr, EXCHANGE_PORT);
    pal_addr_from_host(&sent->source, exchange_addr, 0);
    pal_addr_from_host(&sent->group, plan->source_specific ? group_one_source : group_any_source, GROUP_PORT);
    sent->ifindex = IFINDEX_WIRE;
    *heard = *sent;
    if (!plan->source_specific) {
        heard->source = (struct pal_addr){0};
    }
}

/* ---- the world ---- */

static int begin(const struct simulated_plan *plan, struct simulated *out)
{
    char text[TEXT_SIZE];
    struct pal_sim_setup setup = {
        .seed = plan->seed, .flags = PAL_SIM_QUIET | PAL_SIM_ASSERTED, .text = text, .faults = plan->faults};
    int size = snprintf(text, sizeof(text), "host exchange %s/24; host trader 10.80.0.2/24; %s%s\n", exchange_addr,
                        plan->text != NULL ? "faults " : "", plan->text != NULL ? plan->text : "");
    if (size < 0 || (size_t)size >= sizeof(text)) {
        return complain(out, PAL_E2BIG, "read", "the faults");
    }
    if (plan->text != NULL) {
        memset(&setup.faults, 0, sizeof(setup.faults)); /* else they count, and not those of the text */
    }
    return control(out, PAL_CTL_SIM_BEGIN, &setup, sizeof(setup), "begin");
}

/* Lets time pass until until_ns: 0 also when all have ended before. */
static int run_until(struct simulated *out, uint64_t until_ns)
{
    struct pal_sim_run run = {.until_ns = until_ns};
    int code = pal_ctl(NULL, PAL_CTL_SIM_RUN, &run, sizeof(run));
    return code < 0 && code != PAL_ETIMEDOUT ? complain(out, code, "run", "the simulated world") : 0;
}

static int cut_for_a_while(const struct simulated_plan *plan, struct simulated *out, uint64_t begin_ns)
{
    struct pal_sim_pair pair = {EXCHANGE, TRADER};
    int code = run_until(out, begin_ns + plan->cut_ns);
    if (code == 0) {
        code = control(out, PAL_CTL_SIM_CUT, &pair, sizeof(pair), "cut");
    }
    if (code == 0) {
        code = run_until(out, begin_ns + plan->heal_ns);
    }
    if (code == 0) {
        out->orders_before_heal = out->exchange.orders;
        code = control(out, PAL_CTL_SIM_HEAL, &pair, sizeof(pair), "heal");
    }
    return code;
}

static int run(const struct simulated_plan *plan, struct world *world)
{
    struct simulated *out = world->out;
    struct pal_sim_start start = {.host = EXCHANGE, .function = run_exchange, .argument = world};
    int code = begin(plan, out);
    if (code == 0) {
        code = control(out, PAL_CTL_SIM_STATE, &out->state, sizeof(out->state), "look at");
    }
    uint64_t begin_ns = out->state.now_ns;
    if (code == 0) {
        code = control(out, PAL_CTL_SIM_START, &start, sizeof(start), "start the exchange in");
    }
    if (code == 0 && plan->heal_ns != 0) {
        code = cut_for_a_while(plan, out, begin_ns);
    }
    if (code == 0) {
        code = run_until(out, UINT64_MAX);
    }
    if (code == 0) {
        code = control(out, PAL_CTL_SIM_STATE, &out->state, sizeof(out->state), "look at");
        out->virtual_ns = out->state.now_ns - begin_ns;
    }
    return code == 0 ? control(out, PAL_CTL_SIM_COUNTERS, &out->counters, sizeof(out->counters), "look at") : code;
}

/* ---- what is demanded of it ---- */

/* What is not as it should be; NULL: all is. Errors come last: what led to one says more. */
static const char *judge(const struct simulated_plan *plan, const struct simulated *out)
{
    const struct exchange_result *exchange = &out->exchange;
    const struct trader_result *trader = &out->trader;
    if (exchange->doubled > 0) {
        return "the trader sent more than one order for a tick";
    }
    if (exchange->code != 0 || trader->code != 0) {
        return "";
    }
    if (exchange->ticks != plan->tick_count || exchange->orders + exchange->lost != exchange->ticks) {
        return "ticks are unaccounted for";
    }
    if (exchange->orders != exchange->fills || exchange->fills != trader->fills) {
        return "an order was executed and not told, or told and not executed";
    }
    if (trader->orders != trader->fills + trader->expired || trader->ticks != trader->orders + trader->skipped ||
        trader->ticks > exchange->ticks) {
        return "the trader's orders are unaccounted for";
    }
    if (exchange->digest != trader->digest) {
        return "the exchange executed other orders than the trader decided on";
    }
    if (plan->heal_ns != 0 && exchange->orders <= out->orders_before_heal) {
        return "trading did not go on after the cut";
    }
    return NULL;
}

bool simulated_run(const struct simulated_plan *plan, struct simulated *out)
{
    struct world world = {0};
    memset(out, 0, sizeof(*out));
    configure(&world, plan, out);
    if (run(plan, &world) < 0 || out->code < 0) {
        return false;
    }
    const char *wrong = judge(plan, out);
    if (wrong == NULL) {
        return true;
    }
    bool exchange_first = out->exchange.code != 0;
    const char *name = exchange_first ? "exchange" : "trader";
    const char *problem = exchange_first ? out->exchange.problem : out->trader.problem;
    if (wrong[0] == '\0') {
        snprintf(out->problem, sizeof(out->problem), "%s: %.*s", name, DEMO_PROBLEM_SIZE - 16, problem);
    } else {
        snprintf(out->problem, sizeof(out->problem), "%s", wrong);
    }
    return false;
}

bool simulated_same(const struct simulated *a, const struct simulated *b)
{
    return a->state.trace_hash == b->state.trace_hash && a->state.events == b->state.events &&
           a->virtual_ns == b->virtual_ns && a->trader.digest == b->trader.digest && a->code == b->code;
}

/* ---- faults ---- */

static uint64_t draw(uint64_t *state) /* splitmix64 */
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* 0 half of the time; else from min on up to max, each doubling as likely as the others. */
static uint64_t draw_some(uint64_t *state, uint64_t min, uint64_t max)
{
    bool on = draw(state) % 2 != 0;
    uint32_t doublings = 0;
    while (doublings < 40 && min << (doublings + 1) <= max) {
        doublings++;
    }
    uint64_t low = min << draw(state) % (doublings + 1);
    uint64_t value = low + draw(state) % low;
    return !on ? 0 : value < max ? value : max;
}

void simulated_faults(uint64_t seed, struct pal_sim_faults *out)
{
    uint64_t state = seed * UINT64_C(0xd1342543de82ef95) + 1;
    memset(out, 0, sizeof(*out));
    out->loss_ppm = (uint32_t)draw_some(&state, 100, 100000);
    out->duplicate_ppm = (uint32_t)draw_some(&state, 100, 100000);
    out->reorder_ppm = (uint32_t)draw_some(&state, 100, 200000);
    out->corrupt_ppm = (uint32_t)draw_some(&state, 100, 20000);
    out->short_ppm = (uint32_t)draw_some(&state, 100, 300000);
    out->again_ppm = (uint32_t)draw_some(&state, 100, 300000);
    out->no_memory_ppm = (uint32_t)draw_some(&state, 100, 20000);
    out->no_handle_ppm = (uint32_t)draw_some(&state, 100, 200000);
    out->reset_ppm = (uint32_t)draw_some(&state, 10, 5000);
    out->stall_ppm = (uint32_t)draw_some(&state, 100, 50000);
    out->stall_max_ns = out->stall_ppm != 0 ? 20 * MS : 0;
    out->latency_min_ns = draw_some(&state, 1000, MS);
    out->latency_max_ns = out->latency_min_ns + draw_some(&state, 1000, 20 * MS);
    out->rate_bits_s = draw_some(&state, 1000000, 10 * SECOND);
    out->cut_every_ns = draw_some(&state, SECOND / 4, 8 * SECOND);
    out->cut_for_ns = out->cut_every_ns != 0 ? MS + draw(&state) % (3 * SECOND) : 0;
    out->pause_every_ns = draw_some(&state, SECOND / 4, 8 * SECOND);
    out->pause_for_ns = out->pause_every_ns != 0 ? MS + draw(&state) % (2 * SECOND) : 0;
    out->clock_every_ns = draw_some(&state, SECOND / 4, 8 * SECOND);
    out->clock_max_ns = out->clock_every_ns != 0 ? 3600 * SECOND : 0;
}
