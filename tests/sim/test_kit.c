/* tests/sim/test_kit.c: palio/sim.h: simulations from open to close, their hosts, time, and what befalls them. Many
 * runs are in test_kit_replay.c. */
#include "kit_hosts.h"
#include "support/test.h"

#include <pal/pal.h>
#include <palio/sim.h>

#define SEED 20240229

static palio_sim *opened(const palio_sim_options *options)
{
    palio_sim *sim;

    cr_assert_eq(palio_sim_open(&sim, options), 0, "%s", pal_reason());
    return sim;
}

static palio_sim *opened_quiet(uint64_t seed)
{
    return opened(&(palio_sim_options){.seed = seed, .quiet = true});
}

static void assert_error(int code, const char *operation, const char *part)
{
    const palio_error *last = palio_last_error();

    cr_assert_eq(last->code, code);
    cr_assert_str_eq(last->operation, operation);
    cr_assert(strstr(last->object, part) != NULL || strstr(last->remedy, part) != NULL, "%s; %s", last->object,
              last->remedy);
}

/* ---- open and close ---- */

Test(kit_open, one_simulation_at_a_time)
{
    palio_sim *sim = opened_quiet(SEED), *second;

    cr_assert_eq(palio_sim_open(&second, NULL), PALIO_EBUSY);
    assert_error(PALIO_EBUSY, "sim_open", "close the first");
    cr_assert_null(second);
    cr_assert_eq(palio_sim_close(sim), 0);
    sim = opened_quiet(SEED + 1);
    cr_assert_eq(palio_sim_seed(sim), SEED + 1);
    cr_assert_eq(palio_sim_close(sim), 0);
    cr_assert_eq(palio_sim_close(NULL), 0);
}

Test(kit_open, refuses_programs_whose_assertions_are_off)
{
    palio_sim *sim;

    cr_assert_eq(palio_sim_open_with(&sim, NULL, 0), PALIO_EINVAL);
    assert_error(PALIO_EINVAL, "sim_open", "NDEBUG");
    cr_assert_null(sim);
}

Test(kit_open, tells_what_is_wrong_with_a_text)
{
    palio_sim *sim;

    cr_assert_eq(palio_sim_open(&sim, &(palio_sim_options){.seed = SEED, .quiet = true, .text = "hosst a 10.0.0.1"}),
                 PALIO_EINVAL);
    assert_error(PALIO_EINVAL, "sim_open", "line 1");
}

Test(kit_open, refuses_faults_that_cannot_be)
{
    palio_sim *sim;

    cr_assert_eq(
        palio_sim_open(&sim, &(palio_sim_options){.seed = SEED, .quiet = true, .faults = {.loss_ppm = 1000001}}),
        PALIO_EINVAL);
}

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
}

Test(kit_open, hosts_of_the_text_are_given_functions)
{
    palio_sim *sim =
        opened(&(palio_sim_options){.seed = SEED, .quiet = true, .text = "host a 10.0.0.1; host b 10.0.0.2"});
    palio_sim_host *host;

    cr_assert_eq(palio_sim_use_host(sim, &host, 2, return_seven, NULL), 0);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), 0);
    cr_assert_eq(palio_sim_result(host), 7);
    cr_assert_eq(palio_sim_use_host(sim, &host, 9, return_seven, NULL), PALIO_ENOENT);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ENOENT, "what could not be done is not forgotten");
    cr_assert_eq(palio_sim_close(sim), 0);
}

static int leave_open(void *arg)
{
    pal_sock sock;

    (void)arg;
    return pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock);
}

Test(kit_close, counts_what_was_left_open)
{
    for (int leftovers = 0; leftovers < 2; leftovers++) {
        palio_sim *sim = opened(&(palio_sim_options){.seed = SEED, .quiet = true, .leftovers = leftovers != 0});

        palio_sim_add_host(sim, NULL, "careless", "10.0.0.1", leave_open, NULL);
        cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), 0);
        cr_assert_eq(palio_sim_close(sim), leftovers ? 0 : PALIO_EBUSY);
        if (!leftovers)
            assert_error(PALIO_EBUSY, "sim_close", "1 handles");
    }
}

Test(kit_close, switches_off_what_runs)
{
    for (int i = 0; i < 3; i++) {
        palio_sim *sim = opened_quiet(SEED);

        palio_sim_add_server(sim, NULL, "server", "10.0.0.1", echo_main, "10.0.0.1");
        cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
        cr_assert_eq(palio_sim_close(sim), 0);
    }
}

/* ---- hosts ---- */

/* A client and a server with these faults: the client's result. */
static int echo_with(uint64_t seed, const palio_sim_faults *faults, struct asker *asker, uint64_t *hash)
{
    palio_sim *sim = opened(&(palio_sim_options){.seed = seed, .quiet = true, .faults = *faults});
    palio_sim_host *client;
    int code;

    palio_sim_add_server(sim, NULL, "server", "10.0.0.1", echo_main, "10.0.0.1");
    palio_sim_add_host(sim, &client, "client", "10.0.0.2", ask_main, asker);
    cr_assert_eq(palio_sim_run(sim, 60 * PALIO_MINUTE), 0);
    code = palio_sim_result(client);
    *hash = palio_sim_trace_hash(sim);
    cr_assert_not(palio_sim_tainted(sim));
    if (faults->loss_ppm != 0)
        cr_assert_gt(palio_sim_count(sim).lost, 0);
    if (faults->short_io_ppm != 0)
        cr_assert_gt(palio_sim_count(sim).short_calls, 0);
    cr_assert_gt(palio_sim_allocations(sim), 0);
    cr_assert_eq(palio_sim_close(sim), 0);
    return code;
}

Test(kit_hosts, talk_over_a_bad_network)
{
    const palio_sim_faults faults = {.loss_ppm = 50000,
                                     .reorder_ppm = 50000,
                                     .duplicate_ppm = 20000,
                                     .corrupt_ppm = 10000,
                                     .short_io_ppm = 300000,
                                     .again_ppm = 100000,
                                     .latency_min_ns = 50 * PALIO_US,
                                     .latency_max_ns = 5 * PALIO_MS};
    struct asker asker = {.server = "server", .messages = 100};
    uint64_t hash;

    cr_assert_eq(echo_with(SEED, &faults, &asker, &hash), 0);
    cr_assert_eq(asker.answered, 100);
}

Test(kit_hosts, do_the_same_for_the_same_seed)
{
    const palio_sim_faults faults = {.loss_ppm = 100000, .latency_min_ns = PALIO_US, .latency_max_ns = PALIO_MS};
    uint64_t hashes[3];

    for (int i = 0; i < 3; i++) {
        struct asker asker = {.server = "server", .messages = 50};

        cr_assert_eq(echo_with(i < 2 ? SEED : SEED + 1, &faults, &asker, &hashes[i]), 0);
    }
    cr_assert_eq(hashes[0], hashes[1]);
    cr_assert_neq(hashes[0], hashes[2]);
}

static int sleep_main(void *duration_ns)
{
    nap(*(const uint64_t *)duration_ns);
    return 0;
}

Test(kit_hosts, have_results)
{
    palio_sim *sim = opened_quiet(SEED);
    uint64_t long_ns = 5 * PALIO_SECOND;
    palio_sim_host *fast, *slow;

    palio_sim_add_host(sim, &fast, "fast", "10.0.0.1", return_seven, NULL);
    palio_sim_add_host(sim, &slow, "slow", "10.0.0.2", sleep_main, &long_ns);
    cr_assert_eq(palio_sim_result(fast), PALIO_EINPROGRESS);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    cr_assert_eq(palio_sim_result(fast), 7);
    cr_assert_eq(palio_sim_result(slow), PALIO_EINPROGRESS);
    cr_assert_eq(palio_sim_run(sim, PALIO_UNLIMITED), 0, "it goes on");
    cr_assert_eq(palio_sim_now(sim), 5 * PALIO_SECOND, "and not for longer than it has to");
    cr_assert_eq(palio_sim_result(slow), 0);
    cr_assert_eq(palio_sim_close(sim), 0);
}

Test(kit_hosts, that_cannot_be_make_the_run_fail)
{
    palio_sim *sim = opened_quiet(SEED);
    palio_sim_host *host;

    palio_sim_add_host(sim, NULL, "one", "10.0.0.1", return_seven, NULL);
    palio_sim_add_host(sim, &host, "one", "10.0.0.2", return_seven, NULL);
    cr_assert_null(host);
    palio_sim_add_host(sim, NULL, "two", "10.0.0", return_seven, NULL);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_EEXIST, "the first error");
    assert_error(PALIO_EEXIST, "sim_add_host", "one 10.0.0.2");
    cr_assert_eq(palio_sim_close(sim), 0);
}

/* Each fails in its own way, and finds that again after the other has. */
static int fail_and_look(void *number)
{
    int code = PALIO_EUSER - *(const int *)number;

    nap(PALIO_MS * (uint64_t) * (const int *)number);
    (void)palio_fail(code, "of host %d", *(const int *)number);
    nap(10 * PALIO_MS);
    return palio_last_error()->code == code ? 0 : PALIO_EPROTO;
}

Test(kit_hosts, have_each_their_own_last_error)
{
    static int numbers[] = {1, 2};
    palio_sim *sim = opened_quiet(SEED);
    palio_sim_host *hosts[2];

    palio_sim_add_host(sim, &hosts[0], "one", "10.0.0.1", fail_and_look, &numbers[0]);
    palio_sim_add_host(sim, &hosts[1], "two", "10.0.0.2", fail_and_look, &numbers[1]);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), 0);
    cr_assert_eq(palio_sim_result(hosts[0]), 0);
    cr_assert_eq(palio_sim_result(hosts[1]), 0);
    cr_assert_neq(palio_last_error()->code, PALIO_EUSER - 2, "nor is the test's overwritten");
    cr_assert_eq(palio_sim_close(sim), 0);
}

/* ---- time ---- */

static int wait_for_ever(void *arg)
{
    const struct pal_event *events;
    pal_poll *poll;
    int code = pal_poll_open(&poll, NULL);

    (void)arg;
    code = code < 0 ? code : pal_poll_wait(poll, &events, UINT64_MAX);
    (void)pal_poll_close(poll);
    return code;
}

Test(kit_time, a_deadlock_is_told)
{
    palio_sim *sim = opened_quiet(SEED);
    uint64_t hour_ns = 60 * PALIO_MINUTE;

    palio_sim_add_host(sim, NULL, "patient", "10.0.0.1", wait_for_ever, NULL);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_EDEADLK);
    assert_error(PALIO_EDEADLK, "sim_run", "seed");
    palio_sim_add_host(sim, NULL, "sleeper", "10.0.0.2", sleep_main, &hour_ns);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT, "there is something left to happen");
    cr_assert_eq(palio_sim_close(sim), 0);
}

Test(kit_time, servers_that_have_nothing_to_do_are_no_deadlock)
{
    palio_sim *sim = opened_quiet(SEED);

    palio_sim_add_server(sim, NULL, "server", "10.0.0.1", wait_for_ever, NULL);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    cr_assert_eq(palio_sim_now(sim), 2 * PALIO_SECOND, "to the nanosecond");
    cr_assert_eq(palio_sim_close(sim), 0);
}

static void nothing(void *arg)
{
    (void)arg;
}

Test(kit_time, who_waits_for_the_test_is_not_stuck)
{
    palio_sim *sim = opened_quiet(SEED);
    palio_sim_host *host;

    palio_sim_add_host(sim, &host, "patient", "10.0.0.1", wait_for_ever, NULL);
    palio_sim_at(sim, PALIO_MINUTE, nothing, NULL);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    palio_sim_crash(host);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT, "it has not ended");
    cr_assert_eq(palio_sim_close(sim), 0);
}

struct note {
    palio_sim *sim;
    uint64_t times[8];
    char order[8];
    int count;
};

static void note_a(void *arg)
{
    struct note *note = arg;

    note->times[note->count] = palio_sim_now(note->sim);
    note->order[note->count++] = 'a';
}

static void note_b(void *arg)
{
    struct note *note = arg;

    note->times[note->count] = palio_sim_now(note->sim);
    note->order[note->count++] = 'b';
}

Test(kit_time, callbacks_come_when_they_are_due)
{
    palio_sim *sim = opened_quiet(SEED);
    struct note note = {.sim = sim};

    palio_sim_at(sim, 2 * PALIO_SECOND, note_b, &note);
    palio_sim_at(sim, 1 * PALIO_SECOND, note_b, &note);
    palio_sim_at(sim, 1 * PALIO_SECOND, note_a, &note);
    palio_sim_at(sim, 9 * PALIO_SECOND, note_a, &note);
    cr_assert_eq(palio_sim_run(sim, 3 * PALIO_SECOND), PALIO_ETIMEDOUT, "without hosts, time passes");
    cr_assert_eq(note.count, 3);
    cr_assert_str_eq(note.order, "bab");
    cr_assert_eq(note.times[0], PALIO_SECOND);
    cr_assert_eq(note.times[2], 2 * PALIO_SECOND);
    palio_sim_at(sim, 0, note_b, &note);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    cr_assert_eq(note.count, 4, "what is past comes at once");
    cr_assert_eq(palio_sim_close(sim), 0);
}

static int schedule_main(void *arg)
{
    struct note *note = arg;
    int code;

    nap(PALIO_SECOND);
    code = palio_sim_at(note->sim, 2 * PALIO_SECOND, note_a, note);
    nap(5 * PALIO_SECOND);
    return code;
}

Test(kit_time, hosts_may_ask_for_callbacks)
{
    palio_sim *sim = opened_quiet(SEED);
    struct note note = {.sim = sim};

    palio_sim_add_host(sim, NULL, "adversary", "10.0.0.1", schedule_main, &note);
    cr_assert_eq(palio_sim_run(sim, PALIO_MINUTE), 0);
    cr_assert_eq(note.count, 1);
    cr_assert_eq(note.times[0], 2 * PALIO_SECOND);
    cr_assert_eq(palio_sim_close(sim), 0);
}

static void run_within(void *sim)
{
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_EBUSY);
}

Test(kit_time, does_not_run_within_itself)
{
    palio_sim *sim = opened_quiet(SEED);

    palio_sim_at(sim, 0, run_within, sim);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_ETIMEDOUT);
    cr_assert_eq(palio_sim_close(sim), 0);
}

/* ---- what befalls them ---- */

struct stage {
    palio_sim *sim;
    palio_sim_host *server, *client;
};

static void partition(void *arg)
{
    struct stage *stage = arg;

    cr_assert_eq(palio_sim_partition(stage->sim, stage->server, NULL), 0);
}

static void heal(void *arg)
{
    struct stage *stage = arg;

    cr_assert_eq(palio_sim_heal(stage->sim, stage->server, NULL), 0);
}

static void crash(void *arg)
{
    struct stage *stage = arg;

    cr_assert_eq(palio_sim_crash(stage->server), 0);
    cr_assert_eq(palio_sim_result(stage->server), PALIO_ECANCELED);
}

static void restart(void *arg)
{
    struct stage *stage = arg;

    cr_assert_eq(palio_sim_restart(stage->server), 0);
    cr_assert_eq(palio_sim_restart(stage->server), 0, "it goes on as it is");
    cr_assert_eq(palio_sim_result(stage->server), PALIO_EINPROGRESS);
}

static void stand_still(void *arg)
{
    cr_assert_eq(palio_sim_pause(((struct stage *)arg)->server), 0);
}

static void go_on(void *arg)
{
    cr_assert_eq(palio_sim_resume(((struct stage *)arg)->server), 0);
}

/* A client that asks every 100 ms, and what happens to its server between 1 s and 3 s. */
static int play(struct stage *stage, struct asker *asker, void (*at_1s)(void *arg), void (*at_3s)(void *arg))
{
    palio_sim *sim = opened_quiet(SEED);

    stage->sim = sim;
    palio_sim_add_server(sim, &stage->server, "server", "10.0.0.1", echo_main, "10.0.0.1");
    palio_sim_add_host(sim, &stage->client, "client", "10.0.0.2", ask_main, asker);
    palio_sim_at(sim, 1 * PALIO_SECOND, at_1s, stage);
    palio_sim_at(sim, 3 * PALIO_SECOND, at_3s, stage);
    cr_assert_eq(palio_sim_run(sim, 10 * PALIO_MINUTE), 0);
    return palio_sim_result(stage->client);
}

static const struct asker often = {.server = "server", .messages = 50, .interval_ns = 100 * PALIO_MS};

Test(kit_fortune, a_partition_lasts_until_it_heals)
{
    struct asker asker = often;
    struct stage stage;

    cr_assert_eq(play(&stage, &asker, partition, heal), 0);
    cr_assert_eq(asker.answered, 50);
    cr_assert_gt(asker.slowest_ns, 1900 * PALIO_MS);
    cr_assert_gt(palio_sim_count(stage.sim).cut_off, 0);
    cr_assert_eq(palio_sim_close(stage.sim), 0);
}

Test(kit_fortune, a_pause_is_a_pause)
{
    struct asker asker = often;
    struct stage stage;

    cr_assert_eq(play(&stage, &asker, stand_still, go_on), 0);
    cr_assert_eq(asker.answered, 50);
    cr_assert_gt(asker.slowest_ns, 1900 * PALIO_MS);
    cr_assert_eq(palio_sim_close(stage.sim), 0);
}

Test(kit_fortune, a_crash_ends_connections_and_a_restart_begins_anew)
{
    struct asker asker = often;
    struct stage stage;

    cr_assert_eq(play(&stage, &asker, crash, restart), PAL_ECONNRESET, "the new server does not know the old one's");
    cr_assert_lt(asker.answered, 12);
    cr_assert_gt(palio_sim_now(stage.sim), 3 * PALIO_SECOND);
    palio_sim_add_host(stage.sim, NULL, "next", "10.0.0.3", ask_main, &asker);
    cr_assert_eq(palio_sim_run(stage.sim, PALIO_MINUTE), 0);
    cr_assert_eq(asker.answered, 50, "and serves");
    cr_assert_eq(palio_sim_close(stage.sim), 0);
}

static int begin_again(void *begun)
{
    ++*(int *)begun;
    nap(2 * PALIO_SECOND);
    return *(int *)begun;
}

static void crash_host(void *host)
{
    cr_assert_eq(palio_sim_crash(*(palio_sim_host **)host), 0);
}

static void restart_host(void *host)
{
    cr_assert_eq(palio_sim_restart(*(palio_sim_host **)host), 0);
}

Test(kit_fortune, who_has_crashed_is_waited_for)
{
    palio_sim *sim = opened_quiet(SEED);
    palio_sim_host *host;
    int begun = 0;

    palio_sim_add_host(sim, &host, "host", "10.0.0.1", begin_again, &begun);
    palio_sim_at(sim, PALIO_SECOND, crash_host, &host);
    palio_sim_at(sim, 5 * PALIO_SECOND, restart_host, &host);
    cr_assert_eq(palio_sim_run(sim, PALIO_MINUTE), 0);
    cr_assert_eq(palio_sim_result(host), 2, "it began twice");
    cr_assert_eq(palio_sim_now(sim), 7 * PALIO_SECOND);
    cr_assert_eq(palio_sim_close(sim), 0);
}

static int read_clock(void *real_ns)
{
    nap(PALIO_SECOND);
    *(uint64_t *)real_ns = pal_clock(PAL_CLOCK_REAL);
    return 0;
}

Test(kit_fortune, a_clock_jumps_on_its_host_alone)
{
    palio_sim *sim = opened_quiet(SEED);
    uint64_t one_ns = 0, other_ns = 0;
    palio_sim_host *host;

    palio_sim_add_host(sim, &host, "one", "10.0.0.1", read_clock, &one_ns);
    palio_sim_add_host(sim, NULL, "other", "10.0.0.2", read_clock, &other_ns);
    cr_assert_eq(palio_sim_clock_jump(host, -(int64_t)PALIO_MINUTE), 0);
    cr_assert_eq(palio_sim_run(sim, PALIO_MINUTE), 0);
    cr_assert_eq(other_ns - one_ns, PALIO_MINUTE);
    cr_assert_eq(palio_sim_close(sim), 0);
}

Test(kit_fortune, faults_and_links_change_on_the_way)
{
    palio_sim *sim = opened_quiet(SEED);
    const palio_sim_faults slow = {.latency_min_ns = 100 * PALIO_MS, .latency_max_ns = 100 * PALIO_MS};
    const palio_sim_faults impossible = {.loss_ppm = 2000000};
    struct asker asker = {.server = "server", .messages = 2, .interval_ns = PALIO_SECOND};
    palio_sim_host *server, *client;

    palio_sim_add_server(sim, &server, "server", "10.0.0.1", echo_main, "10.0.0.1");
    palio_sim_add_host(sim, &client, "client", "10.0.0.2", ask_main, &asker);
    cr_assert_eq(palio_sim_run(sim, 500 * PALIO_MS), PALIO_ETIMEDOUT);
    cr_assert_lt(asker.slowest_ns, PALIO_MS);
    cr_assert_eq(palio_sim_set_link(sim, client, server, &slow), 0, "one way");
    cr_assert_eq(palio_sim_run(sim, PALIO_MINUTE), 0);
    cr_assert_geq(asker.slowest_ns, 100 * PALIO_MS);
    cr_assert_lt(asker.slowest_ns, 200 * PALIO_MS);
    cr_assert_eq(palio_sim_set_link(sim, NULL, NULL, &(palio_sim_faults){.loss_ppm = 0}), 0);
    cr_assert_eq(palio_sim_set_faults(sim, &slow), 0);
    cr_assert_eq(palio_sim_set_faults(sim, &impossible), PALIO_EINVAL);
    cr_assert_eq(palio_sim_run(sim, PALIO_SECOND), PALIO_EINVAL);
    cr_assert_eq(palio_sim_close(sim), 0);
}
