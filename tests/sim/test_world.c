/* test_world.c: worlds of pal/sim.h: hosts, names, functions and their results, time, what is refused, that nothing can
 * happen any more, and that a seed does the same again. */
#include "test_world.h"

#include <signal.h>

enum { OF_EVERYTHING = 50000 };

/* ---- hosts and names ---- */

static int32_t ask_names(void *unused)
{
    char name[64] = "";
    struct pal_addr addr;
    struct pal_query query = {.host = "SERVER", .family = PAL_AF_INET, .type = PAL_SOCK_STREAM};

    (void)unused;
    NEED(pal_names(PAL_NAMES_HOSTNAME, NULL, name, sizeof name) == 6);
    NEED(memcmp(name, "client", 6) == 0);
    NEED(pal_resolve(&query, &addr, 1) == 1);
    NEED(addr.family == PAL_AF_INET && memcmp(addr.bytes, "\x0a\0\0\1", 4) == 0);
    query.host = "nobody";
    NEED(pal_resolve(&query, &addr, 1) == PAL_ENONAME);
    return 17;
}

Test(world, hosts_know_their_names_and_each_other)
{
    world_begin(1);
    cr_assert_eq(state_now().hosts, 1);
    cr_assert_eq(add_host("server", "10.0.0.1 fd00::1/48"), 1);
    uint32_t host = add_host("client", "10.0.0.2");
    cr_assert_eq(host, 2);
    cr_assert_eq(state_now().hosts, 3);
    start_on(host, ask_names, NULL);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 17, "%d", result_of(host));
}

static int try_host(const char *name, const char *addresses)
{
    struct pal_sim_host host = {.name = name, .addresses = addresses};

    return ctl(PAL_CTL_SIM_HOST, &host, sizeof host);
}

Test(world, hosts_that_cannot_be_are_refused)
{
    static const char *const wrong[] = {
        "",    "10.0.0",    "10.0.0.9/33", "fd00::9/129", "10.0.0.9/",         "10.0.0.9/x", "10.0.0.9, ::9",
        "ten", "127.0.0.9", "224.0.0.9",   "10.0.0.0",    "10.0.0.9 10.0.0.9", "fe80::9",    NULL};
    static const char *const names[] = {"", "a b", "a_b", "a/b", "-a", "9", "localhost", NULL};
    char longest[65];

    world_begin(1);
    add_host("one", "10.0.0.1");
    cr_assert_eq(try_host("one", "10.0.0.2"), PAL_EEXIST);
    cr_assert_eq(try_host("ONE", "10.0.0.2"), PAL_EEXIST);
    cr_assert_eq(try_host("sim", "10.0.0.2"), PAL_EEXIST);
    cr_assert_eq(try_host("two", "10.0.0.1"), PAL_EEXIST);
    cr_assert_eq(try_host("two", "10.0.0.2 10.0.0.1"), PAL_EEXIST);
    for (int i = 0; wrong[i]; i++)
        cr_assert_eq(try_host("two", wrong[i]), PAL_EINVAL, "%s", wrong[i]);
    for (int i = 0; names[i]; i++)
        cr_assert_eq(try_host(names[i], "10.0.0.2"), PAL_EINVAL, "%s", names[i]);
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    cr_assert_eq(try_host(longest, "10.0.0.2"), PAL_EINVAL);
    longest[63] = '\0';
    cr_assert_eq(try_host(longest, "10.0.0.2"), 0);
    cr_assert_eq(try_host(NULL, "10.0.0.3"), PAL_EINVAL);
    cr_assert_eq(try_host("two", NULL), PAL_EINVAL);
    cr_assert_eq(state_now().hosts, 3);
}

/* ---- functions ---- */

static int32_t sleep_a_second(void *result)
{
    sleep_for(SECOND);
    return *(int32_t *)result;
}

Test(world, functions_run_to_their_results)
{
    int32_t wanted = -77;

    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    cr_assert_eq(result_of(host), PAL_ENOENT);
    cr_assert_eq(run_until(UINT64_MAX), 0, "nothing was started");
    start_on(host, sleep_a_second, &wanted);
    cr_assert_eq(result_of(host), PAL_EINPROGRESS);
    cr_assert_eq(run_until(BEGINNING), PAL_ETIMEDOUT, "that is now");
    cr_assert_eq(run_until(BEGINNING + SECOND / 2), PAL_ETIMEDOUT);
    cr_assert_eq(state_now().now_ns, BEGINNING + SECOND / 2);
    cr_assert_eq(result_of(host), PAL_EINPROGRESS);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(state_now().now_ns, BEGINNING + SECOND);
    cr_assert_eq(result_of(host), -77);
    wanted = 5;
    start_on(host, sleep_a_second, &wanted);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 5);
}

Test(world, functions_that_cannot_be_started_are_refused)
{
    int32_t wanted = 1;
    struct pal_sim_start start = {.host = 1, .function = sleep_a_second, .argument = &wanted};

    world_begin(1);
    cr_assert_eq(ctl(PAL_CTL_SIM_START, &start, sizeof start), PAL_ENOENT);
    add_host("one", "10.0.0.1");
    start.function = NULL;
    cr_assert_eq(ctl(PAL_CTL_SIM_START, &start, sizeof start), PAL_EINVAL);
    start.function = sleep_a_second;
    start.stack_size = 1;
    cr_assert_neq(ctl(PAL_CTL_SIM_START, &start, sizeof start), 0);
    start.stack_size = 1 << 20;
    cr_assert_eq(ctl(PAL_CTL_SIM_START, &start, sizeof start), 0);
    cr_assert_eq(ctl(PAL_CTL_SIM_START, &start, sizeof start), PAL_EBUSY);
    cr_assert_eq(run_until(UINT64_MAX), 0);
}

static int32_t move_away(void *unused)
{
    uint32_t other = 0;

    (void)unused;
    NEED(ctl(PAL_CTL_SIM_ENTER, &other, sizeof other) == PAL_EINVAL);
    return 3;
}

Test(world, threads_enter_hosts_and_functions_stay)
{
    char name[64];

    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 9), PAL_ENOENT);
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, host), 0);
    cr_assert_eq(pal_names(PAL_NAMES_HOSTNAME, NULL, name, sizeof name), 3);
    cr_assert_eq(befall(PAL_CTL_SIM_CRASH, host), PAL_EINVAL, "the first thread cannot end");
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 0), 0);
    start_on(host, move_away, NULL);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 3);
}

Test(world, wrong_sizes_nulls_and_polls_are_refused)
{
    union {
        struct pal_sim_setup setup;
        char bytes[1024];
    } value = {.setup = {.flags = PAL_SIM_ASSERTED | PAL_SIM_QUIET}};
    pal_poll *poll;

    world_begin(1);
    for (int key = PAL_CTL_SIM_BEGIN; key <= PAL_CTL_SIM_COUNTERS; key++) {
        cr_assert_eq(ctl(key, NULL, 4), PAL_EINVAL, "%d", key);
        cr_assert_eq(ctl(key, &value, 1), PAL_EINVAL, "%d", key);
        cr_assert_eq(ctl(key, &value, sizeof value), PAL_EINVAL, "%d", key);
    }
    cr_assert_eq(ctl(0x1ff, &value, 4), PAL_ENOTSUP);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    cr_assert_eq(pal_ctl(poll, PAL_CTL_SIM_STATE, &value, sizeof(struct pal_sim_state)), PAL_EINVAL);
    cr_assert_eq(pal_poll_close(poll), 0);
}

Test(world, hosts_that_are_not_there_are_refused)
{
    struct pal_sim_clock jump = {.host = 4, .jump_ns = 1};
    struct pal_sim_result result = {.host = 4};
    struct pal_sim_link link = {.from = 0, .to = 4};

    world_begin(1);
    for (int key = PAL_CTL_SIM_CRASH; key <= PAL_CTL_SIM_RESUME; key++) {
        cr_assert_eq(befall(key, 4), PAL_ENOENT, "%d", key);
        cr_assert_eq(befall(key, UINT32_MAX), PAL_ENOENT, "%d", key);
    }
    cr_assert_eq(between(PAL_CTL_SIM_CUT, 0, 4), PAL_ENOENT);
    cr_assert_eq(between(PAL_CTL_SIM_HEAL, 4, UINT32_MAX), PAL_ENOENT);
    cr_assert_eq(ctl(PAL_CTL_SIM_CLOCK, &jump, sizeof jump), PAL_ENOENT);
    cr_assert_eq(ctl(PAL_CTL_SIM_RESULT, &result, sizeof result), PAL_ENOENT);
    cr_assert_eq(ctl(PAL_CTL_SIM_LINK, &link, sizeof link), PAL_ENOENT);
    cr_assert_eq(befall(PAL_CTL_SIM_CRASH, 0), PAL_EINVAL);
    cr_assert_eq(befall(PAL_CTL_SIM_PAUSE, 0), PAL_EINVAL);
    cr_assert_eq(befall(PAL_CTL_SIM_RESTART, 0), PAL_EINVAL);
}

Test(world, faults_that_cannot_be_are_refused)
{
    struct pal_sim_faults faults = {.short_ppm = 1000001};

    world_begin(1);
    cr_assert_eq(ctl(PAL_CTL_SIM_FAULTS, &faults, sizeof faults), PAL_EINVAL);
    faults = (struct pal_sim_faults){.loss_ppm = 1000001};
    cr_assert_eq(ctl(PAL_CTL_SIM_FAULTS, &faults, sizeof faults), PAL_EINVAL);
    faults = (struct pal_sim_faults){.latency_min_ns = 2, .latency_max_ns = 1};
    cr_assert_eq(ctl(PAL_CTL_SIM_FAULTS, &faults, sizeof faults), PAL_EINVAL);
}

/* ---- nothing can happen any more ---- */

static int32_t wait_in_poll(void *unused)
{
    pal_poll *poll;
    const struct pal_event *events;

    (void)unused;
    NEED(pal_poll_open(&poll, NULL) == 0);
    NEED(pal_poll_wait(poll, &events, UINT64_MAX) == PAL_EDEADLK);
    NEED(pal_poll_close(poll) == 0);
    return 0;
}

static int32_t wait_for_datagram(void *unused)
{
    struct pal_wait item = {.interest = PAL_IN};

    (void)unused;
    NEED(datagrams_at("10.0.0.1", PORT, &item.sock) == 0);
    NEED(pal_sock_wait(&item, 1, UINT64_MAX) == PAL_EDEADLK);
    NEED(pal_sock_recv(item.sock, &item, 1, PAL_MSG_WAIT) == PAL_EDEADLK);
    return pal_sock_close(item.sock);
}

Test(world, who_lets_the_world_run_is_told_first)
{
    world_begin(77);
    uint32_t host = add_host("lonely", "10.0.0.1");
    start_on(host, wait_in_poll, NULL);
    catch_errors();
    cr_assert_eq(run_until(UINT64_MAX), PAL_EDEADLK);
    cr_assert_eq(state_now().is_over, 1);
    cr_assert_eq(run_until(BEGINNING + 3600 * SECOND), PAL_ETIMEDOUT, "there is a deadline");
    cr_assert_eq(state_now().now_ns, BEGINNING + 3600 * SECOND);
    cr_assert_eq(result_of(host), PAL_EINPROGRESS);
    cr_assert_not_null(strstr(caught_errors(), "nothing can happen any more at "), "%s", caught_errors());
    cr_assert_not_null(strstr(caught_errors(), "PALIO_SIM_SEED=77"), "%s", caught_errors());
    cr_assert_not_null(strstr(caught_errors(), "thread 0 on host sim waits for the hosts' functions to end"), "%s",
                       caught_errors());
    cr_assert_not_null(strstr(caught_errors(), "function 1 on host lonely waits for events of a poll"), "%s",
                       caught_errors());
}

static void told_while_joined(void *function)
{
    *(int32_t *)function = wait_in_poll(NULL);
}

Test(world, waits_are_told)
{
    int32_t result = 1;
    pal_thread thread;

    world_begin(77);
    uint32_t host = add_host("lonely", "10.0.0.1");
    catch_errors();
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, host), 0);
    cr_assert_eq(wait_for_datagram(NULL), 0);
    cr_assert_eq(wait_in_poll(NULL), 0);
    cr_assert_eq(pal_thread_start(&thread, told_while_joined, &result), 0);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_eq(result, 0);
    cr_assert_not_null(strstr(caught_errors(), "thread 0 on host lonely waits for a thread to end"), "%s",
                       caught_errors());
    cr_assert_not_null(strstr(caught_errors(), "waits for sockets"), "%s", caught_errors());
}

Test(world, nobody_who_can_be_told_is_the_end, .signal = SIGABRT)
{
    uint32_t word = 0;

    world_begin(1);
    catch_errors();
    pal_park(&word, 0, UINT64_MAX);
}

Test(world, who_is_paused_is_not_told, .signal = SIGABRT)
{
    uint32_t word = 0;

    world_begin(1);
    uint32_t host = add_host("lonely", "10.0.0.1");
    start_on(host, wait_in_poll, NULL);
    sleep_for(SECOND);
    befall(PAL_CTL_SIM_PAUSE, host);
    pal_park(&word, 0, UINT64_MAX);
}

/* ---- time ---- */

Test(world, looking_again_and_again_lets_time_pass)
{
    pal_poll *poll;
    const struct pal_event *events;
    uint64_t before;

    world_begin(1);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    for (int way = 0; way < 3; way++) {
        int looks = 0;
        before = now_ns();
        for (; looks < OF_EVERYTHING * 4 && now_ns() == before; looks++) {
            if (way == 0)
                cr_assert_eq(pal_poll_wait(poll, &events, 0), 0);
            else if (way == 1)
                cr_assert_eq(pal_sock_wait(NULL, 0, 0), 0);
        }
        cr_assert_gt(now_ns(), before, "%d", way);
    }
    cr_assert_eq(pal_poll_close(poll), 0);
}

Test(world, the_end_of_time_is_never)
{
    world_begin(1);
    catch_errors();
    cr_assert_eq(pal_sock_wait(NULL, 0, UINT64_MAX - 1), PAL_EDEADLK);
    cr_assert_lt(now_ns(), 10 * BEGINNING, "what the stacks had to do has been done");
    sleep_for(UINT64_C(3600) * 24 * 365 * 100 * SECOND);
    cr_assert_gt(now_ns(), UINT64_C(3600) * 24 * 365 * 100 * SECOND);
}

static int32_t look_at_clocks(void *out)
{
    *(uint64_t *)out = pal_clock(PAL_CLOCK_REAL);
    return 0;
}

Test(world, wall_clocks_jump_by_host)
{
    struct pal_sim_clock jump = {.jump_ns = -INT64_C(5000000000)};
    uint64_t seen = 0, here;

    world_begin(1);
    jump.host = add_host("one", "10.0.0.1");
    here = pal_clock(PAL_CLOCK_REAL);
    cr_assert_eq(here, (UINT64_C(1577836800) + 1) * SECOND);
    cr_assert_eq(ctl(PAL_CTL_SIM_CLOCK, &jump, sizeof jump), 0);
    start_on(jump.host, look_at_clocks, &seen);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(seen, here - 5 * SECOND);
    cr_assert_eq(pal_clock(PAL_CLOCK_REAL), here);
    jump.jump_ns = INT64_MIN;
    cr_assert_eq(ctl(PAL_CTL_SIM_CLOCK, &jump, sizeof jump), PAL_EINVAL);
    start_on(jump.host, look_at_clocks, &seen);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(seen, here - 5 * SECOND, "what was refused has changed nothing");
}

/* ---- the same again ---- */

static uint64_t hash_of(uint64_t seed, uint32_t flags)
{
    struct echo echo = {.connections = 3, .bytes = 3000};

    world_begin_with((struct pal_sim_setup){.seed = seed, .flags = flags});
    if (!flags)
        set_faults((struct pal_sim_faults){.loss_ppm = 20000,
                                           .duplicate_ppm = 20000,
                                           .reorder_ppm = 20000,
                                           .short_ppm = 100000,
                                           .again_ppm = 100000,
                                           .stall_ppm = 100000,
                                           .stall_max_ns = MS,
                                           .latency_min_ns = 50 * US,
                                           .latency_max_ns = 3 * MS});
    start_echo(&echo);
    cr_assert_eq(run_until(3600 * SECOND), 0);
    cr_assert_eq(result_of(client), 3);
    cr_assert_eq(state_now().tainted, 0);
    return state_now().trace_hash;
}

Test(world_again, the_same_seed_does_the_same)
{
    uint64_t one = hash_of(1, 0), two = hash_of(2, 0);

    cr_assert_neq(one, two);
    cr_assert_eq(hash_of(1, 0), one);
    cr_assert_eq(hash_of(2, 0), two);
}

/* A change of the simulator or of the stack may change it; another CPU may not. */
Test(world_again, every_cpu_does_the_same)
{
    cr_assert_eq(hash_of(20200229, 0), UINT64_C(0x592a3c401d4ed233), "%#llx", (unsigned long long)hash_of(20200229, 0));
}

Test(world_again, how_often_the_clock_was_looked_at_is_forgotten)
{
    world_begin(1);
    for (int i = 0; i < OF_EVERYTHING; i++)
        (void)now_ns();
    world_begin(1);
    for (int i = 0; i < OF_EVERYTHING; i++)
        cr_assert_eq(now_ns(), BEGINNING);
}

Test(world_again, the_programs_entropy_is_of_the_seed)
{
    uint64_t one[2], two[2], other[2];

    world_begin(1);
    cr_assert_eq(pal_random(one, sizeof one), 0);
    world_begin(1);
    cr_assert_eq(pal_random(two, sizeof two), 0);
    world_begin(2);
    cr_assert_eq(pal_random(other, sizeof other), 0);
    cr_assert_eq(memcmp(one, two, sizeof one), 0);
    cr_assert_neq(memcmp(one, other, sizeof one), 0);
}
