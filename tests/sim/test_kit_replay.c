/* tests/sim/test_kit_replay.c: palio/sim.h: many runs of a test, by seeds and by schedules; that what fails is found,
 * and that the printed line replays it. */
#include "kit_hosts.h"
#include "support/test.h"

#include <inttypes.h>
#include <unistd.h>

#include <pal/pal.h>
#include <palio/sim.h>

/* ---- what is printed ---- */

static int stderr_before;
static FILE *printed_to;

static void catch_stderr(void)
{
    fflush(stderr);
    stderr_before = dup(2);
    printed_to = tmpfile();
    cr_assert(stderr_before >= 0 && printed_to != NULL);
    cr_assert_eq(dup2(fileno(printed_to), 2), 2);
}

static const char *caught(void)
{
    static char text[4096];
    size_t size;

    fflush(stderr);
    cr_assert_eq(dup2(stderr_before, 2), 2);
    close(stderr_before);
    rewind(printed_to);
    size = fread(text, 1, sizeof(text) - 1, printed_to);
    text[size] = '\0';
    fclose(printed_to);
    return text;
}

static int count_of(const char *text, const char *part)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

/* Puts "A=1 B=2" into the environment. */
static void set_environment(const char *replay)
{
    char text[PALIO_SIM_REPLAY_SIZE];

    snprintf(text, sizeof(text), "%s", replay);
    for (char *at = text, *end; *at != '\0'; at = end) {
        char *value = strchr(at, '=');

        cr_assert_not_null(value);
        end = value + strcspn(value, " ");
        end += *end == ' ' ? (*end = '\0', 1) : 0;
        *value++ = '\0';
        setenv(at, value, 1);
    }
}

static void clear_environment(void)
{
    unsetenv("PALIO_SIM_SEED");
    unsetenv("PALIO_SIM_SEEDS");
    unsetenv("PALIO_SIM_CHOICES");
}

TestSuite(kit_sweep, .init = clear_environment, .fini = clear_environment);
TestSuite(kit_explore, .init = clear_environment, .fini = clear_environment);

/* ---- sweeps ---- */

struct luck {
    uint64_t last_seed;
    uint32_t one_in; /* of so many hosts one has bad luck */
    int opens, closes;
};

static int draw(void *arg)
{
    const struct luck *luck = arg;
    uint32_t number = 0;

    (void)pal_random(&number, sizeof(number));
    nap(number);
    return luck->one_in != 0 && number % luck->one_in == 0 ? palio_fail(PALIO_EUSER, "bad luck: %u", number) : 0;
}

static int try_luck(uint64_t seed, void *arg)
{
    struct luck *luck = arg;
    palio_sim_options options = {.seed = seed};
    palio_sim_host *host;
    palio_sim *sim;
    int code;

    luck->last_seed = seed;
    code = palio_sim_open(&sim, &options);
    if (code < 0)
        return code;
    luck->opens++;
    palio_sim_add_host(sim, &host, "host", "10.0.0.1", draw, luck);
    code = palio_sim_run(sim, PALIO_MINUTE);
    if (code == 0)
        code = palio_sim_check(sim, palio_sim_result(host));
    return palio_sim_close(sim) < 0 ? PALIO_EPROTO : code;
}

Test(kit_sweep, runs_a_thousand_seeds, .timeout = 240)
{
    struct luck luck = {.one_in = 0};
    palio_sim_report report;

    cr_assert_eq(palio_sim_sweep(try_luck, &luck, NULL, &report), 0);
    cr_assert_eq(report.runs, 1000);
    cr_assert_eq(luck.opens, 1000);
    cr_assert_eq(luck.last_seed, 1000);
    cr_assert_str_eq(report.replay, "");
}

Test(kit_sweep, runs_as_many_as_it_is_told)
{
    const palio_sim_sweep_options some = {.seed_first = 50, .seed_count = 7}, last = {.seed_first = UINT64_MAX - 1};
    struct luck luck = {.one_in = 0};
    palio_sim_report report;

    cr_assert_eq(palio_sim_sweep(try_luck, &luck, &some, &report), 0);
    cr_assert_eq(report.runs, 7);
    cr_assert_eq(luck.last_seed, 56);
    setenv("PALIO_SIM_SEEDS", "3", 1);
    cr_assert_eq(palio_sim_sweep(try_luck, &luck, &some, &report), 0);
    cr_assert_eq(report.runs, 3);
    cr_assert_eq(palio_sim_sweep(try_luck, &luck, &last, &report), 0);
    cr_assert_eq(report.runs, 2, "there are no more");
    cr_assert_eq(luck.last_seed, UINT64_MAX);
}

Test(kit_sweep, finds_the_seed_that_fails_and_the_line_replays_it)
{
    struct luck luck = {.one_in = 50};
    palio_sim_report first, again;
    char line[160];
    const char *text;

    catch_stderr();
    cr_expect_eq(palio_sim_sweep(try_luck, &luck, NULL, &first), PALIO_EUSER);
    text = caught();
    cr_assert_eq(first.seed, luck.last_seed);
    cr_assert(first.runs > 1 && first.runs < 1000, "%" PRIu64, first.runs);
    snprintf(line, sizeof(line), "failed: PALIO_SIM_SEED=%" PRIu64 " (trace 0x%016" PRIx64 ")\n", first.seed,
             first.trace_hash);
    cr_assert_str_eq(text, line, "one line, and no seeds of those that passed");

    set_environment(first.replay);
    catch_stderr();
    cr_expect_eq(palio_sim_sweep(try_luck, &luck, NULL, &again), PALIO_EUSER);
    text = caught();
    cr_assert_eq(again.runs, 1);
    cr_assert_eq(again.seed, first.seed);
    cr_assert_eq(again.trace_hash, first.trace_hash);
    cr_assert_eq(count_of(text, line), 1, "%s", text);
}

Test(kit_sweep, refuses_what_is_no_number)
{
    static const char *const wrong[] = {"x", "12x", "-1", "0", "18446744073709551616", " 5"};
    struct luck luck = {.one_in = 0};
    palio_sim_report report;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        clear_environment();
        setenv(i % 2 != 0 ? "PALIO_SIM_SEED" : "PALIO_SIM_SEEDS", wrong[i], 1);
        cr_assert_eq(palio_sim_sweep(try_luck, &luck, NULL, &report), PALIO_EINVAL, "%s", wrong[i]);
        cr_assert(strstr(palio_last_error()->object, wrong[i]) != NULL, "%s", palio_last_error()->object);
        cr_assert_eq(report.runs, 0);
    }
}

static int open_nothing(uint64_t seed, void *arg)
{
    (void)seed;
    (void)arg;
    return 0;
}

static int close_nothing(uint64_t seed, void *arg)
{
    palio_sim_options options = {.seed = seed, .quiet = true};

    return palio_sim_open(arg, &options);
}

Test(kit_sweep, tells_tests_that_test_nothing)
{
    palio_sim_options quiet = {.seed = 1, .quiet = true};
    palio_sim *sim;

    catch_stderr();
    cr_expect_eq(palio_sim_sweep(open_nothing, NULL, NULL, NULL), PALIO_ESTATE);
    cr_expect_eq(palio_sim_sweep(close_nothing, &sim, NULL, NULL), PALIO_EBUSY);
    cr_assert_eq(count_of(caught(), "failed: PALIO_SIM_SEED=1"), 2);
    cr_assert_eq(palio_sim_open(&sim, &quiet), 0, "it was closed for it");
    cr_assert_eq(palio_sim_sweep(open_nothing, NULL, NULL, NULL), PALIO_EBUSY, "not within a simulation");
    cr_assert_eq(palio_sim_close(sim), 0);
}

/* Behaves as something did that is no part of its world. */
static int remember(void *arg)
{
    static uint64_t runs;

    (void)arg;
    nap(PALIO_MS + runs++);
    return 0;
}

static int run_remember(uint64_t seed, void *arg)
{
    palio_sim_options options = {.seed = seed};
    palio_sim *sim;
    int code = palio_sim_open(&sim, &options);

    (void)arg;
    if (code < 0)
        return code;
    palio_sim_add_host(sim, NULL, "host", "10.0.0.1", remember, NULL);
    code = palio_sim_run(sim, PALIO_SECOND);
    return palio_sim_close(sim) < 0 ? PALIO_EPROTO : code;
}

Test(kit_sweep, finds_what_does_not_come_out_the_same_twice)
{
    const palio_sim_sweep_options twice = {.seed_count = 5, .twice = true};
    struct luck luck = {.one_in = 0};
    palio_sim_report report;

    cr_assert_eq(palio_sim_sweep(try_luck, &luck, &twice, &report), 0);
    cr_assert_eq(report.runs, 10);
    catch_stderr();
    cr_expect_eq(palio_sim_sweep(run_remember, NULL, &twice, &report), PALIO_ESTATE);
    (void)caught();
    cr_assert_eq(report.runs, 2);
}

Test(kit_sweep, a_single_check_prints_one_line)
{
    palio_sim_options options = {.seed = 4711, .quiet = true};
    palio_sim *sim;
    const char *text;

    cr_assert_eq(palio_sim_open(&sim, &options), 0);
    catch_stderr();
    cr_expect_eq(palio_sim_check(sim, 5), 5);
    cr_expect_eq(palio_sim_check(sim, PALIO_EUSER), PALIO_EUSER);
    cr_expect_eq(palio_sim_check(sim, PALIO_EPROTO), PALIO_EPROTO);
    text = caught();
    cr_assert_eq(count_of(text, "\n"), 1, "%s", text);
    cr_assert_eq(count_of(text, "failed: PALIO_SIM_SEED=4711 (trace 0x"), 1, "%s", text);
    cr_assert_eq(palio_sim_close(sim), 0);
}

/* ---- explorations ---- */

enum { STEPS = 3, LOGS = 1 << STEPS };

/* Two hosts that take their steps at the same times, and who was first at each. */
struct race {
    char log[2 * STEPS + 1];
    uint32_t logged;
    const char *bad; /* the log that fails */
    char seen[64][2 * STEPS + 1];
    uint32_t seen_count;
    uint32_t forgets; /* after so many runs, takes a step less */
    uint32_t runs;
};

struct racer {
    struct race *race;
    char name;
    uint32_t steps;
};

static int race_main(void *arg)
{
    const struct racer *racer = arg;
    struct race *race = racer->race;

    for (uint32_t i = 0; i < racer->steps; i++) {
        if (i > 0)
            nap(PALIO_US);
        race->log[race->logged++] = racer->name;
    }
    return 0;
}

static int run_race(uint64_t seed, void *arg)
{
    struct race *race = arg;
    struct racer a = {.race = race, .name = 'a', .steps = STEPS}, b = {.race = race, .name = 'b', .steps = STEPS};
    palio_sim_options options = {.seed = seed};
    palio_sim *sim;
    int code = palio_sim_open(&sim, &options);

    if (code < 0)
        return code;
    if (race->forgets != 0 && race->runs >= race->forgets)
        a.steps = b.steps = 1;
    race->runs++;
    race->logged = 0;
    memset(race->log, 0, sizeof(race->log));
    palio_sim_add_host(sim, NULL, "a", "10.0.0.1", race_main, &a);
    palio_sim_add_host(sim, NULL, "b", "10.0.0.2", race_main, &b);
    code = palio_sim_run(sim, PALIO_SECOND);
    if (race->seen_count < 64)
        memcpy(race->seen[race->seen_count++], race->log, sizeof(race->log));
    if (code == 0 && race->bad != NULL && strcmp(race->log, race->bad) == 0)
        code = PALIO_EUSER;
    return palio_sim_close(sim) < 0 ? PALIO_EPROTO : code;
}

Test(kit_explore, takes_every_order_of_two_hosts_once)
{
    struct race race = {.bad = NULL};
    palio_sim_report report;

    cr_assert_eq(palio_sim_explore(run_race, &race, NULL, &report), 0);
    cr_assert(report.complete);
    cr_assert_eq(report.runs, LOGS);
    for (uint32_t i = 0; i < LOGS; i++) {
        for (uint32_t step = 0; step < STEPS; step++)
            cr_assert_neq(race.seen[i][2 * step], race.seen[i][2 * step + 1], "%s", race.seen[i]);
        for (uint32_t other = 0; other < i; other++)
            cr_assert_str_neq(race.seen[i], race.seen[other]);
    }
}

Test(kit_explore, is_complete_only_within_its_depth_and_its_runs)
{
    const palio_sim_explore_options shallow = {.depth = 2}, just = {.depth = STEPS + 1}, few = {.runs_max = 3};
    struct race race = {.bad = NULL};
    palio_sim_report report;

    cr_assert_eq(palio_sim_explore(run_race, &race, &shallow, &report), 0);
    cr_assert_eq(report.runs, 4);
    cr_assert_not(report.complete);
    cr_assert_eq(palio_sim_explore(run_race, &race, &just, &report), 0);
    cr_assert_eq(report.runs, LOGS);
    cr_assert(report.complete);
    cr_assert_eq(palio_sim_explore(run_race, &race, &few, &report), 0);
    cr_assert_eq(report.runs, 3);
    cr_assert_not(report.complete);
}

Test(kit_explore, finds_the_schedule_that_fails_and_the_line_replays_it)
{
    static const char *const bad[] = {"ababab", "bababa", "abbaba"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct race race = {.bad = bad[i]};
        palio_sim_report first, again;
        const char *text;

        clear_environment();
        catch_stderr();
        cr_expect_eq(palio_sim_explore(run_race, &race, NULL, &first), PALIO_EUSER, "%s", bad[i]);
        text = caught();
        cr_assert_eq(count_of(text, "\n"), 1, "%s", text);
        cr_assert_eq(count_of(text, first.replay), 1, "%s", text);
        cr_assert_eq(count_of(text, "PALIO_SIM_CHOICES="), 1, "%s", text);

        set_environment(first.replay);
        catch_stderr();
        cr_expect_eq(palio_sim_explore(run_race, &race, NULL, &again), PALIO_EUSER, "%s", bad[i]);
        (void)caught();
        cr_assert_eq(again.runs, 1);
        cr_assert_eq(again.trace_hash, first.trace_hash);
        cr_assert_str_eq(again.replay, first.replay);
    }
}

Test(kit_explore, a_replay_that_passes_is_not_complete)
{
    struct race race = {.bad = NULL};
    palio_sim_report report;

    setenv("PALIO_SIM_CHOICES", "1,0,1", 1);
    catch_stderr();
    cr_expect_eq(palio_sim_explore(run_race, &race, NULL, &report), 0);
    (void)caught();
    cr_assert_eq(report.runs, 1);
    cr_assert_not(report.complete);
}

Test(kit_explore, refuses_what_is_no_list)
{
    static const char *const wrong[] = {"x", "1,", ",1", "1,,2", "1 2", "-1", "4294967296", "1,1,1"};
    const palio_sim_explore_options shallow = {.depth = 2}, deep = {.depth = 65537};
    struct race race = {.bad = NULL};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv("PALIO_SIM_CHOICES", wrong[i], 1);
        cr_assert_eq(palio_sim_explore(run_race, &race, &shallow, NULL), PALIO_EINVAL, "%s", wrong[i]);
    }
    clear_environment();
    cr_assert_eq(palio_sim_explore(run_race, &race, &deep, NULL), PALIO_EINVAL);
    cr_assert_eq(race.runs, 0);
}

Test(kit_explore, finds_tests_that_do_not_do_the_same_twice)
{
    struct race race = {.forgets = 1};

    catch_stderr();
    cr_expect_eq(palio_sim_explore(run_race, &race, NULL, NULL), PALIO_ESTATE);
    (void)caught();
    cr_assert_eq(race.runs, 2);
}

static int open_two(uint64_t seed, void *arg)
{
    struct race *race = arg;
    int code = run_race(seed, race);

    return code < 0 ? code : run_race(seed, race);
}

Test(kit_explore, wants_one_simulation_a_run)
{
    struct race race = {.bad = NULL};

    catch_stderr();
    cr_expect_eq(palio_sim_explore(open_two, &race, NULL, NULL), PALIO_ESTATE);
    cr_expect_eq(palio_sim_explore(open_nothing, NULL, NULL, NULL), PALIO_ESTATE);
    (void)caught();
}
