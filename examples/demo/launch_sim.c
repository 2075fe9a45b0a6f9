/* examples/demo/launch_sim.c: runs exchange and trader as two hosts of one simulated world, in virtual time, and says
 * how it went: one line of key=value pairs as launch_posix.c prints it, a report in words, or what many seeds came to.
 *
 * It knows no operating system. Exit status: 0, or 1 with the reason on standard error and the command that shows it
 * again, or 2 for wrong arguments. */
#include "launch_arguments.h"
#include "simulated.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)
enum { SAME_EVERY = 8 }; /* of a swarm's seeds, one in so many is run twice */

struct options {
    struct simulated_plan plan;
    bool survive, swarm;
    uint64_t seed_count, hours;
};

static struct simulated runs[2];

static const char usage[] =
    "usage: %s [option ...]\n"
    "  --ticks=COUNT        ticks to send, 20000\n"
    "  --warmup=COUNT       of these, the first ones that are not measured, 1000\n"
    "  --interval-us=TIME   between ticks, 100 microseconds (with --survive and --swarm 1000, with --hours 10000)\n"
    "  --limit-s=TIME       for the whole run, in virtual time, 15 seconds (otherwise what it may need)\n"
    "  --seed=NUMBER        of the prices and of the world, 1\n"
    "  --source-specific    join the ticks' group for their sender alone\n"
    "  --block              wait by sleeping: there is no other way here\n"
    "  --faults=TEXT        what goes wrong, as behind \"faults\" in docs/simulator.md: \"loss 2%% latency "
    "50us..2ms\"\n"
    "  --hours=COUNT        ticks for so many hours of virtual time; with faults, if none are given\n"
    "  --survive            loss, duplicates, disorder and a cut of three seconds; says in words what came of it\n"
    "  --swarm              faults of all kinds, drawn from the seed, and 2000 ticks\n"
    "  --seeds=COUNT        with --swarm: as many seeds from --seed on, 1; stops at the first that fails\n"
    "Prints key=value pairs on one line; times in nanoseconds, all of them virtual.\n";

/* ---- arguments ---- */

/* A word without a number: 1. 0: another option. */
static int take_word(struct options *options, const char *argument)
{
    static const char faults[] = "--faults=";
    if (strcmp(argument, "--survive") == 0) {
        options->survive = true;
    } else if (strcmp(argument, "--swarm") == 0) {
        options->swarm = true;
    } else if (strcmp(argument, "--source-specific") == 0) {
        options->plan.source_specific = true;
    } else if (strncmp(argument, faults, sizeof(faults) - 1) == 0) {
        options->plan.text = argument + sizeof(faults) - 1;
    } else {
        return strcmp(argument, "--block") == 0;
    }
    return 1;
}

/* What was not said, from what was. */
static int fill_in(struct options *options, uint64_t interval_us, uint64_t limit_s)
{
    struct simulated_plan *plan = &options->plan;
    bool plain = !options->survive && !options->swarm && options->hours == 0;
    if (interval_us == 0) {
        interval_us = options->hours != 0 ? 10000 : plain ? 100 : 1000;
    }
    plan->interval_ns = interval_us * 1000;
    if (options->hours != 0) {
        plan->tick_count = options->hours * HOUR / plan->interval_ns;
    } else if (plan->tick_count == 0) {
        plan->tick_count = options->swarm ? 2000 : 20000;
    }
    plan->limit_ns = limit_s != 0 ? limit_s * SECOND : plain ? 15 * SECOND : 2 * options->hours * HOUR + HOUR;
    if (options->survive + options->swarm + (options->hours != 0) > 1 || (options->swarm && plan->text != NULL) ||
        plan->seed == 0) {
        fprintf(stderr, "demo: --survive, --swarm and --hours are three things, a swarm has its own faults, and seeds "
                        "begin with 1\n");
        return -1;
    }
    if (plan->text == NULL && options->survive) {
        plan->text = "loss 2% duplicate 1% reorder 2% latency 50us..2ms";
    } else if (plan->text == NULL && options->hours != 0) {
        plan->text = "loss 1% duplicate 0.1% reorder 1% reset 1ppm latency 50us..1ms cut every 5min for 2s";
    }
    if (options->survive) {
        plan->cut_ns = 5 * SECOND;
        plan->heal_ns = 8 * SECOND;
    }
    return 0;
}

static int take_arguments(struct options *options, int argc, char **argv)
{
    uint64_t warmup = 1000, interval_us = 0, limit_s = 0;
    struct simulated_plan *plan = &options->plan;
    plan->seed = 1;
    options->seed_count = 1;
    const struct number_option numbers[] = {
        {"--ticks", 100000000, &plan->tick_count}, {"--warmup", UINT32_MAX, &warmup},
        {"--interval-us", 1000000, &interval_us},  {"--limit-s", 1000000, &limit_s},
        {"--seed", UINT64_MAX, &plan->seed},       {"--seeds", UINT64_MAX, &options->seed_count},
        {"--hours", 1000, &options->hours}};
    for (int i = 1; i < argc; i++) {
        int taken = take_word(options, argv[i]);
        if (taken == 0) {
            taken = take_number(numbers, sizeof(numbers) / sizeof(numbers[0]), argv[i]);
        }
        if (taken <= 0) {
            fprintf(stderr, usage, argv[0]);
            return -1;
        }
    }
    plan->warmup_count = (uint32_t)warmup;
    return fill_in(options, interval_us, limit_s);
}

/* ---- what is said ---- */

/* The reason, and the command that shows it again: this one, with its seed. */
static void complain(const struct simulated_plan *plan, const char *problem, int argc, char **argv)
{
    fprintf(stderr, "demo: seed %" PRIu64 ": %s\ndemo: to see it again: %s", plan->seed, problem, argv[0]);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seed=", 7) != 0 && strncmp(argv[i], "--seeds=", 8) != 0) {
            fprintf(stderr, strchr(argv[i], ' ') != NULL ? " '%s'" : " %s", argv[i]);
        }
    }
    fprintf(stderr, " --seed=%" PRIu64 "\n", plan->seed);
}

static void print_result(const struct simulated *run, bool good)
{
    const struct exchange_result *exchange = &run->exchange;
    const struct trader_result *trader = &run->trader;
    const struct histogram *latency = &exchange->tick_to_trade;
    printf("result=%s trader=%s exchange=%s path=virtual", good ? "ok" : "failed",
           trader->backend[0] != '\0' ? trader->backend : "-", exchange->backend[0] != '\0' ? exchange->backend : "-");
    printf(" ticks=%" PRIu64 " orders=%" PRIu64 " fills=%" PRIu64 " lost=%" PRIu64 " late=%" PRIu64 " foreign=%" PRIu64,
           exchange->ticks, exchange->orders, trader->fills, exchange->lost, trader->late, trader->foreign);
    printf(" digest=%016" PRIx64 " samples=%" PRIu64, trader->digest, latency->count);
    printf(" p50_ns=%" PRIu64 " p99_ns=%" PRIu64 " p999_ns=%" PRIu64 " max_ns=%" PRIu64,
           histogram_percentile(latency, 5000), histogram_percentile(latency, 9900),
           histogram_percentile(latency, 9990), latency->max);
    printf(" breaks=%" PRIu64 " resent=%" PRIu64 " repeated=%" PRIu64 " expired=%" PRIu64 " skipped=%" PRIu64,
           trader->breaks, trader->resent, exchange->repeated, trader->expired, trader->skipped);
    printf(" frames=%" PRIu64 " frames_lost=%" PRIu64 " cuts=%" PRIu64, run->counters.frames,
           run->counters.lost + run->counters.cut_off, run->counters.cuts);
    printf(" seed=%" PRIu64 " virtual_ns=%" PRIu64 " events=%" PRIu64 " trace=%016" PRIx64 "\n", run->state.seed,
           run->virtual_ns, run->state.events, run->state.trace_hash);
}

static void row(const char *what, uint64_t number, const char *remark)
{
    printf("  %-28s %12" PRIu64 "%s%s\n", what, number, remark[0] != '\0' ? "   " : "", remark);
}

static void print_report(const struct options *options, bool good)
{
    const struct simulated_plan *plan = &options->plan;
    const struct simulated *run = &runs[0];
    const struct exchange_result *exchange = &run->exchange;
    const struct trader_result *trader = &run->trader;
    printf("Exchange and trader, two hosts in one process, on our own TCP/IP stack and a simulated wire. Time is "
           "virtual.\n"
           "  faults: %s\n"
           "  and no frame at all gets through from second %" PRIu64 " to second %" PRIu64 ".\n\n",
           plan->text, plan->cut_ns / SECOND, plan->heal_ns / SECOND);
    row("virtual milliseconds", run->virtual_ns / MS, "from the beginning of this world to its end");
    row("frames", run->counters.frames, "sent by the two hosts");
    row("  lost by chance", run->counters.lost, "");
    row("  lost in the cut", run->counters.cut_off, "");
    row("  twice, out of order", run->counters.duplicated + run->counters.reordered, "");
    row("ticks", exchange->ticks, "sent by the exchange, by UDP multicast");
    row("  never heard", exchange->ticks - trader->ticks, "lost, or overtaken: counted and skipped");
    row("  late", trader->late, "behind a newer one: not answered");
    row("  heard, not answered", trader->skipped, "there was no connection at that moment");
    row("orders", trader->orders, "sent by the trader, by TCP, one for a tick that it heard in time");
    row("  too late", trader->expired, "the exchange had given up on the tick: refused, and the trader knows");
    row("  sent again", trader->resent, "over a new connection, under the id that they had");
    row("  executed already", exchange->repeated, "of those: answered with the fill they had");
    row("  executed twice", exchange->doubled, "");
    row("fills", trader->fills, "as many as orders were executed");
    row("connections lost", trader->breaks, "and replaced");
    row("fills before the heal", run->orders_before_heal, "");
    row("fills after the heal", exchange->orders - run->orders_before_heal, "");
    printf("\n  digest of what was executed  %016" PRIx64 " by the exchange, %016" PRIx64 " by the trader\n",
           exchange->digest, trader->digest);
    printf("  trace of two runs, seed %-4" PRIu64 " %016" PRIx64 ", %016" PRIx64 ": %" PRIu64 " events\n\n", plan->seed,
           runs[0].state.trace_hash, runs[1].state.trace_hash, run->state.events);
    if (good) {
        printf(
            "survived: every order that was accepted was executed and filled exactly once, both sides agree on all of\n"
            "them, nobody gave up, and trading went on after the cut. The same seed did the same again.\n");
    } else {
        printf("NOT survived: see the reason above.\n");
    }
}

/* ---- what is done ---- */

/* Runs the plan, and once more to see that it comes out the same. */
static bool run_twice(const struct simulated_plan *plan, int argc, char **argv)
{
    if (!simulated_run(plan, &runs[0])) {
        complain(plan, runs[0].problem, argc, argv);
        return false;
    }
    if (!simulated_run(plan, &runs[1]) || !simulated_same(&runs[0], &runs[1])) {
        complain(plan, "the same seed came out differently the second time", argc, argv);
        return false;
    }
    return true;
}

static bool run_swarm(const struct options *options, int argc, char **argv)
{
    struct simulated_plan plan = options->plan;
    uint64_t breaks = 0, resent = 0, repeated = 0, expired = 0, orders = 0, lost = 0, virtual_ns = 0, frames = 0;
    bool good = true;
    uint64_t done = 0;
    for (; done < options->seed_count && good; done++, plan.seed++) {
        simulated_faults(plan.seed, &plan.faults);
        if (done % SAME_EVERY == 0) {
            good = run_twice(&plan, argc, argv);
        } else {
            good = simulated_run(&plan, &runs[0]);
            if (!good) {
                complain(&plan, runs[0].problem, argc, argv);
            }
        }
        breaks += runs[0].trader.breaks;
        resent += runs[0].trader.resent;
        repeated += runs[0].exchange.repeated;
        expired += runs[0].trader.expired;
        orders += runs[0].exchange.orders;
        lost += runs[0].exchange.lost;
        frames += runs[0].counters.frames;
        virtual_ns += runs[0].virtual_ns;
    }
    printf("result=%s seeds=%" PRIu64 " orders=%" PRIu64 " lost=%" PRIu64 " breaks=%" PRIu64 " resent=%" PRIu64
           " repeated=%" PRIu64 " expired=%" PRIu64 " frames=%" PRIu64 " virtual_ns=%" PRIu64 "\n",
           good ? "ok" : "failed", done, orders, lost, breaks, resent, repeated, expired, frames, virtual_ns);
    return good;
}

int main(int argc, char **argv)
{
    static struct options options;
    if (take_arguments(&options, argc, argv) < 0) {
        return 2;
    }
    bool good;
    if (options.swarm) {
        good = run_swarm(&options, argc, argv);
    } else if (options.hours != 0) { /* once: it is run for its time */
        good = simulated_run(&options.plan, &runs[0]);
        if (!good) {
            complain(&options.plan, runs[0].problem, argc, argv);
        }
        print_result(&runs[0], good);
    } else {
        good = run_twice(&options.plan, argc, argv);
        if (options.survive) {
            print_report(&options, good);
        } else {
            print_result(&runs[0], good);
        }
    }
    return good ? 0 : 1;
}
