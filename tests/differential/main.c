/* main.c: the differential fuzzer of the seam: random programs, run on the backend that is linked and on a model of it.
 *
 * usage: PROGRAM [--seed N] [--seeds N] [--operations N] [--minutes N] [--verbose] [--hashes] [--faults]
 *   --seed N        the first program (default 1); a program follows from its seed and its length alone
 *   --seeds N       how many (default 1)
 *   --operations N  steps of each (default 1000)
 *   --minutes N     goes on, beyond --seeds, until so many minutes have passed
 *   --verbose       prints every step; what the contract leaves open stands behind " ~ "
 *   --faults        of the simulator alone: calls fail for the moment, or move less than they could
 *   --hashes        prints a line "SEED HASH" a program: equal lines mean that two backends agree
 *
 * A violation prints the last steps and the command that replays it; exit status 1. docs/testing.md says more. */
#include <inttypes.h>
#include <pal/sim.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "generate.h"

enum {
    BREACH_EVERY = 8,    /* programs: each breach leaves a line on the error stream */
    REAL_PACE_EVERY = 10 /* programs: they take longer */
};

struct options {
    uint64_t seed, seeds, operations, minutes;
    bool verbose, hashes, faults;
};

static void (*const steps[STEP_KINDS])(struct model *model, const struct step *step) = {
#define STEP_ENTRY(name, weight) step_##name,
    STEPS(STEP_ENTRY)
#undef STEP_ENTRY
};

/* A simulated world of this program's own, so that its seed is all that it follows from. In most of them time does not
 * wait for children that sleep; in the others it goes at its real pace while there is one. */
static void world_begin(const struct model *machine, uint64_t seed)
{
    struct pal_sim_setup setup;
    int result;

    if (!machine->has_virtual_time)
        return;
    memset(&setup, 0, sizeof(setup));
    setup.seed = seed == 0 ? UINT64_MAX : seed; /* 0 would ask the environment */
    setup.flags = PAL_SIM_ASSERTED | PAL_SIM_QUIET | (seed % REAL_PACE_EVERY == 0 ? 0 : PAL_SIM_VIRTUAL);
    result = pal_ctl(NULL, PAL_CTL_SIM_BEGIN, &setup, sizeof(setup));
    REQUIRE(result == 0, "no simulated world: %s. %s", pal_error_name(result), pal_reason());
}

/* What a program has to bear with: none of it lasts, and no byte is lost by it. */
static void faults_begin(bool wanted)
{
    const struct pal_sim_faults faults = {.short_ppm = 100000, .again_ppm = 50000, .no_memory_ppm = 20000};

    tries_begin(wanted);
    if (wanted)
        REQUIRE(pal_ctl(NULL, PAL_CTL_SIM_FAULTS, (void *)(uintptr_t)&faults, sizeof(faults)) == 0,
                "faults are refused: %s", pal_reason());
}

static uint64_t faults_met; /* by all programs */

static void faults_end(bool wanted)
{
    struct pal_sim_counters counters;

    if (!wanted)
        return;
    REQUIRE(pal_ctl(NULL, PAL_CTL_SIM_COUNTERS, &counters, sizeof(counters)) == 0, "no counters: %s", pal_reason());
    trace_free(" %" PRIu64 " short %" PRIu64 " again %" PRIu64 " no memory", counters.short_calls, counters.again,
               counters.no_memory);
    faults_met += counters.short_calls != 0 && counters.again != 0 && counters.no_memory != 0;
}

/* What every program needs beside its own. */
static void props_begin(const struct model *machine)
{
    children_begin();
    for (int i = 0; i < KINDS; i++)
        if (machine->kinds[i] && kind_is_tcp((enum kind)i))
            nobody_open((enum kind)i);
}

static void props_end(const struct model *machine)
{
    children_done();
    for (int i = 0; i < KINDS; i++)
        if (machine->kinds[i] && kind_is_tcp((enum kind)i))
            nobody_close((enum kind)i);
}

static uint64_t handles_open(void)
{
    uint64_t count = 0;

    REQUIRE(pal_info(PAL_INFO_SOCKS_OPEN, &count) == 0, "pal_info cannot tell how many handles are open");
    return count;
}

/* IPv6 is not there on every machine. */
static bool has_kind(enum kind kind)
{
    struct pal_addr addr;
    pal_sock sock = {0};
    bool there = false;

    if (kind != TCP6)
        return true;
    memset(&addr, 0, sizeof(addr));
    addr.family = PAL_AF_INET6;
    addr.size = 16;
    addr.bytes[15] = 1;
    if (pal_sock_open(NULL, PAL_AF_INET6, PAL_SOCK_STREAM, 0, &sock) == 0) {
        there = pal_sock_bind(sock, &addr) == 0;
        pal_sock_close(sock);
    }
    return there;
}

/* Asks the handle (pal/types.h): 0 is the kernel's domain. */
static bool is_in_stack(enum kind kind)
{
    pal_sock sock = {0};
    bool is;

    if (!kind_is_ip(kind) || pal_sock_open(NULL, kind_family(kind), kind_type(kind), 0, &sock) != 0)
        return false;
    is = (sock.id >> 24 & 0xff) != 0;
    pal_sock_close(sock);
    return is;
}

/* ---- the end of a program: everything is given back, and every byte is accounted for ---- */

static void end_ops(struct model *model)
{
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (model->requests[i].out)
            step_cancel(model, &(struct step){.request = i});
    for (int p = 0; p < POLLS_MAX; p++)
        settle(model, p, 0);
}

static void read_the_rest(struct model *model)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct end *end = &model->ends[model->socks[i].end];

        if (model->socks[i].live && end->stage == CONNECTED && !end->tainted && end->reads &&
            kind_is_stream(end->kind)) {
            arrive(model, model->socks[i].end);
            drain(model, i);
        }
    }
}

static void finish(struct model *model, uint64_t handles_before, uint64_t seed)
{
    end_ops(model);
    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live && model->socks[i].interest != 0)
            watch(model, i, model->socks[i].poll, 0);
    check_arrays(model);
    children_end(model);
    read_the_rest(model);
    for (int i = 0; i < LENT_MAX; i++)
        if (model->lent[i].used)
            release_lent(model, i);
    contents_end(model);
    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live)
            step_close(model, &(struct step){.sock = i});
    REQUIRE(handles_open() == handles_before, "%" PRIu64 " handles are open at the end, and %" PRIu64 " were before",
            handles_open(), handles_before);
    if (seed % BREACH_EVERY == 0)
        break_a_rule(model, seed / BREACH_EVERY);
    for (int p = 0; p < POLLS_MAX; p++) {
        poll_close(model, p);
        REQUIRE(model->polls[p].handle == NULL, "p%d is idle and cannot be closed", p);
    }
}

/* ---- a program ---- */

static void run(const struct options *options, const char *program, const struct model *machine, uint64_t seed)
{
    static struct model model;
    struct generator generator;
    uint64_t handles_before;

    trace_start(program, options->faults ? " --faults" : "", seed, options->verbose);
    trace_step(0, "begin");
    model = *machine;
    world_begin(machine, seed);
    props_begin(machine);
    faults_begin(options->faults);
    handles_before = handles_open();
    model.keys = seed << 32;
    contents_begin(&model);
    signals_begin(&model);
    generator_start(&generator, seed);
    for (int p = 0; p < POLLS_MAX; p++)
        poll_open(&model, p, random_next(&generator.random));
    trace_end_step();
    for (uint64_t i = 1; i <= options->operations; i++) {
        struct step step;

        generate(&generator, &model, &step);
        trace_step(i, name_of_step(step.kind));
        steps[step.kind](&model, &step);
        pass_time(&model);
        check_arrays(&model);
        check_leases(&model);
        REQUIRE(handles_open() == handles_before + (uint64_t)handle_count(&model),
                "%" PRIu64 " handles are open, and the program has %d", handles_open() - handles_before,
                handle_count(&model));
        trace_end_step();
    }
    trace_step(options->operations + 1, "end");
    finish(&model, handles_before, seed);
    faults_end(options->faults);
    props_end(machine);
    trace_end_step();
    if (options->hashes)
        printf("%" PRIu64 " %016" PRIx64 "\n", seed, trace_hash());
}

static void on_abort(int number)
{
    (void)number;
    /* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): abort comes from this thread, in none of these calls */
    trace_report("the backend has aborted");
    contents_abandon();
    /* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
    signal(SIGABRT, SIG_DFL);
}

static uint64_t number_of(const char *text)
{
    char *end = NULL;
    uint64_t number = text == NULL ? 0 : strtoull(text, &end, 0);

    if (text == NULL || end == text || *end != '\0') {
        fprintf(stderr, "a number is missing\n");
        exit(2);
    }
    return number;
}

static struct options parse(int count, char **arguments)
{
    struct options options = {.seed = 1, .seeds = 1, .operations = 1000};
    const struct {
        const char *name;
        uint64_t *number;
        bool *flag;
    } known[] = {{"--seed", &options.seed, NULL},
                 {"--seeds", &options.seeds, NULL},
                 {"--operations", &options.operations, NULL},
                 {"--minutes", &options.minutes, NULL},
                 {"--verbose", NULL, &options.verbose},
                 {"--hashes", NULL, &options.hashes},
                 {"--faults", NULL, &options.faults}};

    for (int i = 1; i < count; i++) {
        size_t at = 0;

        while (at < sizeof(known) / sizeof(known[0]) && strcmp(arguments[i], known[at].name) != 0)
            at++;
        if (at == sizeof(known) / sizeof(known[0])) {
            fprintf(stderr, "no such option: %s\n", arguments[i]);
            exit(2);
        }
        if (known[at].flag != NULL)
            *known[at].flag = true;
        else
            *known[at].number = number_of(arguments[++i]);
    }
    return options;
}

/* What this machine and backend have, in a model of which the rest is empty. */
static void probe(struct model *machine, bool has_workers)
{
    pal_proc child = {0};

    machine->has_workers = has_workers;
    machine->has_virtual_time = (pal_backend_info()->caps & PAL_CAP_VIRTUAL_TIME) != 0;
    machine->has_native_leases = (pal_backend_info()->caps & PAL_CAP_LEASE_NATIVE) != 0;
    world_begin(machine, 1);
    children_begin();
    for (int i = 0; i < KINDS; i++) {
        machine->kinds[i] = has_kind((enum kind)i);
        machine->is_in_stack[i] = machine->kinds[i] && is_in_stack((enum kind)i);
    }
    if (pal_backend_info()->caps & PAL_CAP_WATCH_CHILD && child_spawn(&child, true, 0) == 0) {
        struct pal_proc_info info;

        machine->has_children = child_await(child, &info) == 0;
        pal_proc_close(child);
    }
    children_done();
}

int main(int count, char **arguments)
{
    static struct model machine;
    struct options options = parse(count, arguments);
    struct pal_setup setup = {.socks_max = SOCKS_MAX + 4, .workers_max = 2}; /* four are props */
    double limit_s = (double)options.minutes * 60; /* of the time outside, which a simulated world does not have */
    const time_t start = time(NULL);
    uint64_t seed = options.seed;
    bool has_workers = pal_setup(&setup) == 0;

    setup.workers_max = 0;
    REQUIRE(has_workers || pal_setup(&setup) == 0, "pal_setup fails");
    probe(&machine, has_workers);
    if (options.faults && !machine.has_virtual_time) {
        fprintf(stderr, "--faults is for a backend that simulates: here nobody makes them\n");
        return 2;
    }
    signal(SIGABRT, on_abort);
    REQUIRE(atexit(contents_abandon) == 0, "no room to be called at the end");
    for (; seed < options.seed + options.seeds || difftime(time(NULL), start) < limit_s; seed++)
        run(&options, arguments[0], &machine, seed);
    if (options.faults && seed - options.seed >= 10)
        REQUIRE(faults_met > 0, "no program has met with all kinds of faults: they are not made");
    fprintf(stderr, "%s: %" PRIu64 " programs of %" PRIu64 " operations on %s: no violation\n", arguments[0],
            seed - options.seed, options.operations, pal_backend_info()->name);
    return 0;
}
