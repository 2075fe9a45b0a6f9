/* examples/demo/test_trader.c: a test of exchange and trader with palio/sim.h: the same objects as in every other
 * program of the demonstration, as two hosts of a thousand worlds.
 *
 * In each world frames are lost, doubled and late, calls do half of what they could, and at times nothing gets through.
 * Whatever happens, no order is executed twice, and what was executed is what the trader had decided. A seed that fails
 * is printed as the line that replays it. PALIO_SIM_SEEDS=N runs so many seeds in place of 1000. */
#include "demo.h"

#include <pal/address.h>
#include <palio/sim.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TICKS = 1000, EXCHANGE_PORT = 7000, GROUP_PORT = 7001, IFINDEX_WIRE = 2 };

struct market {
    struct exchange_config exchange;
    struct trader_config trader;
    struct exchange_result executed;
    struct trader_result decided;
    palio_sim *sim;
};

static int run_exchange(void *arg)
{
    const struct market *market = arg;
    return exchange_run(&market->exchange);
}

static int run_trader(void *arg)
{
    const struct market *market = arg;
    return trader_run(&market->trader);
}

static void configure(struct market *market, uint64_t seed)
{
    struct exchange_config *exchange = &market->exchange;
    struct trader_config *trader = &market->trader;

    memset(market, 0, sizeof(*market));
    exchange->result = &market->executed;
    exchange->tick_count = TICKS;
    exchange->interval_ns = 20 * PALIO_MS;
    exchange->tick_timeout_ns = PALIO_SECOND;
    exchange->patience_ns = trader->patience_ns = 60 * PALIO_SECOND;
    exchange->limit_ns = trader->limit_ns = 30 * PALIO_MINUTE;
    exchange->seed = seed;
    trader->result = &market->decided;
    trader->trader_id = 1;
    pal_addr_from_host(&exchange->listen, "10.0.0.1", EXCHANGE_PORT);
    pal_addr_from_host(&exchange->feed.source, "10.0.0.1", 0);
    pal_addr_from_host(&exchange->feed.group, "239.255.80.65", GROUP_PORT);
    exchange->feed.ifindex = IFINDEX_WIRE;
    trader->exchange = exchange->listen;
    trader->feed = exchange->feed;
    trader->feed.source.family = PAL_AF_UNSPEC;
}

static void cut(void *arg)
{
    palio_sim_partition(((struct market *)arg)->sim, NULL, NULL);
}

static void heal(void *arg)
{
    palio_sim_heal(((struct market *)arg)->sim, NULL, NULL);
}

static int judge(const struct market *market)
{
    if (market->executed.doubled != 0)
        return palio_fail(PALIO_EUSER, "%" PRIu64 " orders came twice under different names", market->executed.doubled);
    if (market->executed.digest != market->decided.digest)
        return palio_fail(PALIO_EUSER, "the exchange executed other orders than the trader decided on");
    if (market->executed.ticks != TICKS || market->executed.orders + market->executed.lost != TICKS)
        return palio_fail(PALIO_EUSER, "%" PRIu64 " orders and %" PRIu64 " lost ticks are not all of %d",
                          market->executed.orders, market->executed.lost, TICKS);
    if (market->executed.orders < TICKS / 4) /* it goes on after the cut */
        return palio_fail(PALIO_EUSER, "no more than %" PRIu64 " orders were executed", market->executed.orders);
    return 0;
}

static int test(uint64_t seed, void *arg)
{
    struct market *market = arg;
    palio_sim_options options = {.seed = seed,
                                 .faults = {.loss_ppm = 20000,
                                            .duplicate_ppm = 5000,
                                            .reorder_ppm = 10000,
                                            .short_io_ppm = 100000,
                                            .again_ppm = 20000,
                                            .latency_min_ns = 50 * PALIO_US,
                                            .latency_max_ns = 2 * PALIO_MS}};
    palio_sim_host *trader, *exchange;
    int code = palio_sim_open(&market->sim, &options), left;

    if (code < 0)
        return code;
    palio_sim *sim = market->sim;
    configure(market, seed);
    market->sim = sim;
    palio_sim_add_host(sim, &exchange, "exchange", "10.0.0.1", run_exchange, market);
    palio_sim_add_host(sim, &trader, "trader", "10.0.0.2", run_trader, market);
    palio_sim_at(sim, 2 * PALIO_SECOND, cut, market);
    palio_sim_at(sim, (4 + seed % 7) * PALIO_SECOND, heal, market);
    code = palio_sim_run(sim, 60 * PALIO_MINUTE);
    if (code == 0)
        code = palio_sim_result(exchange);
    if (code == 0)
        code = palio_sim_result(trader);
    if (code == 0)
        code = judge(market);
    left = palio_sim_close(sim);
    return code < 0 ? code : left;
}

int main(void)
{
    static struct market market;
    palio_sim_report report;
    int code = palio_sim_sweep(test, &market, NULL, &report);

    if (code < 0) {
        palio_perror("test_trader", code);
        return 1;
    }
    printf("%" PRIu64 " markets, and in each of them no order was executed twice\n", report.runs);
    return 0;
}
