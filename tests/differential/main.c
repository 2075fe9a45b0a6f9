/* main.c: the differential fuzzer of the seam: random programs, run on the backend that is linked and on a model of it.
 *
 * usage: PROGRAM [--seed N] [--seeds N] [--operations N] [--minutes N] [--verbose] [--hashes]
 *   --seed N        the first program (default 1); a program follows from its seed and its length alone
 *   --seeds N       how many (default 1)
 *   --operations N  steps of each (default 1000)
 *   --minutes N     goes on, beyond --seeds, until so many minutes have passed
 *   --verbose       prints every step; what the contract leaves open stands behind " ~ "
 *   --hashes        prints a line "SEED HASH" a program: equal lines mean that two backends agree
 *
 * A violation prints the last steps and the command that replays it; exit status 1. docs/testing.md says more. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generate.h"

enum { BREACH_EVERY = 8 }; /* programs: each breach leaves a line on the error stream */

struct options {
    uint64_t seed, seeds, operations, minutes;
    bool verbose, hashes;
};

static void (*const steps[STEP_KINDS])(struct model *model, const struct step *step) = {
#define STEP_ENTRY(name, weight) step_##name,
    STEPS(STEP_ENTRY)
#undef STEP_ENTRY
};

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
    uint64_t handles_before = handles_open();

    trace_start(program, seed, options->verbose);
    trace_step(0, "begin");
    model = *machine;
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
        check_arrays(&model);
        check_leases(&model);
        REQUIRE(handles_open() == handles_before + (uint64_t)handle_count(&model),
                "%" PRIu64 " handles are open, and the program has %d", handles_open() - handles_before,
                handle_count(&model));
        trace_end_step();
    }
    trace_step(options->operations + 1, "end");
    finish(&model, handles_before, seed);
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
                 {"--hashes", NULL, &options.hashes}};

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
    children_begin();
    for (int i = 0; i < KINDS; i++) {
        machine->kinds[i] = has_kind((enum kind)i);
        if (machine->kinds[i] && kind_is_tcp((enum kind)i))
            nobody_open((enum kind)i);
    }
    if (pal_backend_info()->caps & PAL_CAP_WATCH_CHILD && child_spawn(&child, true, 0) == 0) {
        struct pal_proc_info info;

        machine->has_children = pal_proc_wait(child, &info, UINT64_MAX) == 0;
        pal_proc_close(child);
    }
}

int main(int count, char **arguments)
{
    static struct model machine;
    struct options options = parse(count, arguments);
    struct pal_setup setup = {.socks_max = SOCKS_MAX + 4, .workers_max = 2}; /* four are taken by probe */
    uint64_t end_ns = pal_clock(PAL_CLOCK_MONOTONIC) + options.minutes * UINT64_C(60000000000), seed = options.seed;
    bool has_workers = pal_setup(&setup) == 0;

    setup.workers_max = 0;
    REQUIRE(has_workers || pal_setup(&setup) == 0, "pal_setup fails");
    probe(&machine, has_workers);
    signal(SIGABRT, on_abort);
    REQUIRE(atexit(contents_abandon) == 0, "no room to be called at the end");
    for (; seed < options.seed + options.seeds || (options.minutes > 0 && pal_clock(PAL_CLOCK_MONOTONIC) < end_ns);
         seed++)
        run(&options, arguments[0], &machine, seed);
    for (int i = 0; i < KINDS; i++)
        if (machine.kinds[i] && kind_is_tcp((enum kind)i))
            nobody_close((enum kind)i);
    fprintf(stderr, "%s: %" PRIu64 " programs of %" PRIu64 " operations on %s: no violation\n", arguments[0],
            seed - options.seed, options.operations, pal_backend_info()->name);
    return 0;
}
