/* test_world_faults.c: what goes wrong in a simulated world, each kind by itself: it shows, is counted, and is not
 * there when it is off; cuts, links, pauses, strokes of chance, swarms, and the actions of a text. */
#include "test_world.h"

enum { SEEDS = 20 };

static struct pal_sim_counters echo_under(struct pal_sim_faults faults, int32_t wanted)
{
    struct echo echo = {.connections = 4, .bytes = 20000};

    world_begin(4);
    set_faults(faults);
    start_echo(&echo);
    cr_assert_eq(run_until(3600 * SECOND), 0);
    cr_assert_eq(result_of(server), 0, "%d", (int)result_of(server));
    cr_assert_eq(result_of(client), wanted, "%d", (int)result_of(client));
    return counters_now();
}

/* ---- each kind ---- */

Test(world_faults, none_when_all_are_off)
{
    struct pal_sim_counters counters = echo_under((struct pal_sim_faults){0}, 4), none = {0};

    cr_assert_gt(counters.frames, 100);
    cr_assert_gt(counters.allocations, 0);
    counters.frames = counters.allocations = 0;
    cr_assert_eq(memcmp(&counters, &none, sizeof none), 0);
}

Test(world_faults, counters_are_of_the_world)
{
    cr_assert_gt(echo_under((struct pal_sim_faults){.loss_ppm = 100000}, 4).lost, 0);
    uint64_t allocations = counters_now().allocations;
    struct pal_sim_counters counters = echo_under((struct pal_sim_faults){.loss_ppm = 100000}, 4);
    cr_assert_eq(counters.allocations, allocations);
    world_begin(4);
    cr_assert_eq(counters_now().lost, 0);
}

Test(world_faults, frames_are_lost_doubled_reordered_and_damaged)
{
    cr_assert_gt(echo_under((struct pal_sim_faults){.loss_ppm = 50000}, 4).lost, 3);
    cr_assert_gt(echo_under((struct pal_sim_faults){.duplicate_ppm = 50000}, 4).duplicated, 3);
    cr_assert_gt(echo_under((struct pal_sim_faults){.reorder_ppm = 50000}, 4).reordered, 3);
    cr_assert_gt(echo_under((struct pal_sim_faults){.corrupt_ppm = 50000}, 4).corrupted, 3);
}

Test(world_faults, calls_do_less_and_fail)
{
    cr_assert_gt(echo_under((struct pal_sim_faults){.short_ppm = 500000}, 4).short_calls, 20);
    cr_assert_gt(echo_under((struct pal_sim_faults){.again_ppm = 500000}, 4).again, 20);
    cr_assert_gt(echo_under((struct pal_sim_faults){.no_memory_ppm = 300000}, 4).no_memory, 0);
    cr_assert_gt(echo_under((struct pal_sim_faults){.no_handle_ppm = 300000}, 4).no_handle, 0);
}

static int32_t open_one(void *kernels)
{
    pal_sock sock;
    int error = kernels ? pal_sock_open(NULL, PAL_AF_UNIX, PAL_SOCK_STREAM, 0, &sock)
                        : pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock);

    return error ? error : pal_sock_close(sock);
}

Test(world_faults, of_calls_that_open_strike_the_simulated_network_alone)
{
    int is_kernels = 1;

    world_begin(1);
    set_faults((struct pal_sim_faults){.no_handle_ppm = 1000000});
    cr_assert_eq(open_one(NULL), PAL_EMFILE);
    cr_assert_eq(open_one(&is_kernels), 0);
    set_faults((struct pal_sim_faults){.no_memory_ppm = 1000000});
    cr_assert_eq(open_one(NULL), PAL_ENOBUFS);
    cr_assert_eq(open_one(&is_kernels), 0);
    set_faults((struct pal_sim_faults){0});
    cr_assert_eq(open_one(NULL), 0);
}

/* It is not to hang the process: time passes, and nothing else. */
Test(world_faults, a_call_that_never_succeeds_lets_time_pass, .timeout = 120)
{
    struct echo echo = {.connections = 1, .bytes = 100};

    world_begin(1);
    set_faults((struct pal_sim_faults){.again_ppm = 1000000});
    start_echo(&echo);
    cr_assert_eq(run_until(BEGINNING + 10 * MS), PAL_ETIMEDOUT);
    set_faults((struct pal_sim_faults){0});
    cr_assert_eq(run_until(BEGINNING + 10 * SECOND), 0);
}

static int32_t receive_for_ever(void *unused)
{
    pal_sock listener, sock;
    char byte;

    (void)unused;
    NEED(listen_at("10.0.0.1", PORT, &listener) == 0 && accept_one(listener, &sock) == 0);
    NEED(pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT) == 1);
    set_faults((struct pal_sim_faults){.again_ppm = 1000000});
    return pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
}

static int32_t send_two(void *unused)
{
    pal_sock sock;

    (void)unused;
    NEED(connect_to("10.0.0.1", PORT, UINT64_MAX, &sock) == 0);
    return send_whole(sock, "xx", 2);
}

Test(world_faults, a_blocking_call_that_never_succeeds_lets_time_pass)
{
    world_begin(1);
    start_on(add_host("server", "10.0.0.1"), receive_for_ever, NULL);
    start_on(add_host("client", "10.0.0.2"), send_two, NULL);
    cr_assert_eq(run_until(BEGINNING + 100 * MS), PAL_ETIMEDOUT);
}

static int32_t meet_resets(void *argument)
{
    struct echo *echo = argument;
    char byte = 0;
    int32_t resets = 0;
    pal_sock sock;

    for (int i = 0; i < echo->connections; i++) {
        NEED(connect_to(echo->address, PORT, now_ns() + 60 * SECOND, &sock) == 0);
        int32_t result = pal_sock_send(sock, &byte, 1, PAL_MSG_WAIT);
        if (result == 1)
            result = pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
        resets += result == PAL_ECONNRESET || result == 0 || result == PAL_EPIPE;
        NEED(pal_sock_close(sock) == 0);
    }
    return resets;
}

Test(world_faults, connections_are_reset)
{
    struct echo echo = {.address = "10.0.0.1", .connections = 20};

    world_begin(3);
    server = add_host("server", "10.0.0.1");
    client = add_host("client", "10.0.0.2");
    set_faults((struct pal_sim_faults){.reset_ppm = 300000});
    start_on(server, echo_server, &echo);
    start_on(client, meet_resets, &echo);
    (void)run_until(60 * SECOND);
    cr_assert_gt(result_of(client), 3, "%d", (int)result_of(client));
    cr_assert_gt(counters_now().resets, 3);
}

static int32_t wait_a_hundred_times(void *late_ns)
{
    pal_poll *poll;
    const struct pal_event *events;

    NEED(pal_poll_open(&poll, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        uint64_t deadline_ns = now_ns() + MS;
        NEED(pal_poll_wait(poll, &events, deadline_ns) == 0);
        NEED(now_ns() >= deadline_ns && now_ns() <= deadline_ns + 7 * MS);
        *(uint64_t *)late_ns += now_ns() - deadline_ns;
    }
    return pal_poll_close(poll);
}

Test(world_faults, waits_return_late)
{
    uint64_t late_ns = 0;

    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    start_on(host, wait_a_hundred_times, &late_ns);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 0);
    cr_assert_eq(late_ns, 0);
    set_faults((struct pal_sim_faults){.stall_ppm = 200000, .stall_max_ns = 7 * MS});
    start_on(host, wait_a_hundred_times, &late_ns);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 0);
    cr_assert_gt(late_ns, 10 * MS);
    cr_assert_gt(counters_now().stalls, 5);
}

/* ---- ops that a fault has told to wait ---- */

static int32_t receive_by_ops(void *unused)
{
    const struct pal_event *events;
    pal_sock listener, sock;
    pal_poll *poll;
    char byte;
    int32_t received = 0;

    (void)unused;
    NEED(listen_at("10.0.0.1", PORT, &listener) == 0 && accept_one(listener, &sock) == 0);
    NEED(pal_poll_open(&poll, NULL) == 0);
    struct pal_op op = {.sock = sock, .buf = &byte, .size = 1, .kind = PAL_OP_RECV};
    do {
        NEED(pal_submit(poll, &op) == 0);
        int count = pal_poll_wait(poll, &events, UINT64_MAX);
        NEED(count == 1 && events[0].kind == PAL_EV_OP);
        received += op.result > 0;
    } while (op.result > 0);
    NEED(op.result == 0);
    NEED(pal_sock_close(sock) == 0 && pal_sock_close(listener) == 0 && pal_poll_close(poll) == 0);
    return received;
}

static int32_t send_bytes(void *unused)
{
    pal_sock sock;

    (void)unused;
    NEED(connect_to("10.0.0.1", PORT, UINT64_MAX, &sock) == 0);
    for (int i = 0; i < 30; i++) {
        NEED(send_whole(sock, "x", 1) == 1);
        sleep_for(MS);
    }
    return pal_sock_close(sock);
}

Test(world_faults, an_op_that_was_told_to_wait_is_tried_again)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_begin(seed);
        server = add_host("server", "10.0.0.1");
        client = add_host("client", "10.0.0.2");
        set_faults((struct pal_sim_faults){.again_ppm = 500000});
        start_on(server, receive_by_ops, NULL);
        start_on(client, send_bytes, NULL);
        cr_assert_eq(run_until(UINT64_MAX), 0, "seed %d", (int)seed);
        cr_assert_eq(result_of(server), 30, "%d", (int)result_of(server));
        cr_assert_eq(result_of(client), 0, "%d", (int)result_of(client));
    }
}

/* ---- cuts, links, pauses ---- */

static int32_t try_to_connect(void *timeout_ns)
{
    pal_sock sock;
    int error = connect_to("10.0.0.1", PORT, now_ns() + *(uint64_t *)timeout_ns, &sock);

    return error ? error : pal_sock_close(sock);
}

static int32_t serve_connections(void *unused)
{
    pal_sock listener, sock;

    (void)unused;
    NEED(listen_at("10.0.0.1", PORT, &listener) == 0);
    for (;;) {
        NEED(accept_one(listener, &sock) == 0);
        NEED(pal_sock_close(sock) == 0);
    }
}

static void begin_serving(uint64_t seed)
{
    world_begin(seed);
    server = add_host("server", "10.0.0.1");
    client = add_host("client", "10.0.0.2");
    start_on(server, serve_connections, NULL);
}

static int32_t connect_within(uint64_t timeout_ns)
{
    start_on(client, try_to_connect, &timeout_ns);
    cr_assert_eq(run_until(now_ns() + timeout_ns + 60 * SECOND), PAL_ETIMEDOUT, "the server goes on");
    return result_of(client);
}

Test(world_faults, cuts_hold_until_they_heal)
{
    begin_serving(1);
    cr_assert_eq(connect_within(SECOND), 0);
    cr_assert_eq(between(PAL_CTL_SIM_CUT, server, client), 0);
    cr_assert_eq(connect_within(SECOND), PAL_ETIMEDOUT);
    cr_assert_gt(counters_now().cut_off, 0);
    cr_assert_eq(between(PAL_CTL_SIM_HEAL, client, server), 0);
    cr_assert_eq(connect_within(SECOND), 0);
    cr_assert_eq(between(PAL_CTL_SIM_CUT, server, UINT32_MAX), 0);
    cr_assert_eq(connect_within(SECOND), PAL_ETIMEDOUT);
    cr_assert_eq(between(PAL_CTL_SIM_HEAL, server, UINT32_MAX), 0);
    cr_assert_eq(connect_within(SECOND), 0);
    cr_assert_lt(between(PAL_CTL_SIM_CUT, server, server), 0);
}

Test(world_faults, links_are_of_one_way)
{
    struct pal_sim_link link = {.latency_min_ns = 300 * MS, .latency_max_ns = 300 * MS};

    begin_serving(1);
    cr_assert_eq(connect_within(MS), 0);
    link.from = client;
    link.to = server;
    cr_assert_eq(ctl(PAL_CTL_SIM_LINK, &link, sizeof link), 0);
    cr_assert_eq(connect_within(299 * MS), PAL_ETIMEDOUT);
    cr_assert_eq(connect_within(301 * MS), 0);
    link.from = server;
    link.to = UINT32_MAX;
    cr_assert_eq(ctl(PAL_CTL_SIM_LINK, &link, sizeof link), 0);
    cr_assert_eq(connect_within(599 * MS), PAL_ETIMEDOUT);
    cr_assert_eq(connect_within(605 * MS), 0);
    link.loss_ppm = 2000000;
    cr_assert_eq(ctl(PAL_CTL_SIM_LINK, &link, sizeof link), PAL_EINVAL);
}

static int32_t count_milliseconds(void *count)
{
    for (;; ++*(int *)count)
        sleep_for(MS);
    return 0;
}

Test(world_faults, nothing_of_a_paused_host_runs)
{
    int count = 0;

    begin_serving(1);
    uint32_t counter = add_host("counter", "10.0.0.3");
    start_on(counter, count_milliseconds, &count);
    cr_assert_eq(run_until(BEGINNING + 100 * MS + 1), PAL_ETIMEDOUT);
    cr_assert_eq(count, 100);
    cr_assert_eq(befall(PAL_CTL_SIM_PAUSE, counter), 0);
    cr_assert_eq(befall(PAL_CTL_SIM_PAUSE, server), 0);
    cr_assert_lt(connect_within(30 * SECOND), 0);
    cr_assert_eq(count, 100);
    uint64_t resumed_ns = now_ns();
    cr_assert_eq(befall(PAL_CTL_SIM_RESUME, counter), 0);
    cr_assert_eq(befall(PAL_CTL_SIM_RESUME, server), 0);
    cr_assert_eq(run_until(resumed_ns + 10 * MS + 1), PAL_ETIMEDOUT);
    cr_assert_eq(count, 111, "the one that it was in, and ten: %d", count);
    cr_assert_eq(connect_within(30 * SECOND), 0);
}

/* ---- strokes of chance ---- */

static int32_t be_there(void *unused)
{
    (void)unused;
    sleep_for(600 * SECOND);
    return 0;
}

static struct pal_sim_counters strike(struct pal_sim_faults faults)
{
    world_begin(6);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"one", "two", "three"}, *const at[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};

        start_on(add_host(names[i], at[i]), be_there, NULL);
    }
    set_faults(faults);
    (void)run_until(BEGINNING + 600 * SECOND);
    world_end();
    return counters_now();
}

Test(world_faults, strokes_come_about_as_often_as_was_said)
{
    struct pal_sim_counters none = strike((struct pal_sim_faults){0}),
                            cuts = strike((struct pal_sim_faults){.cut_every_ns = 10 * SECOND, .cut_for_ns = SECOND}),
                            pauses =
                                strike((struct pal_sim_faults){.pause_every_ns = 10 * SECOND, .pause_for_ns = SECOND}),
                            crashes =
                                strike((struct pal_sim_faults){.crash_every_ns = 10 * SECOND, .crash_for_ns = SECOND}),
                            jumps =
                                strike((struct pal_sim_faults){.clock_every_ns = 10 * SECOND, .clock_max_ns = SECOND});

    cr_assert(none.cuts + none.pauses + none.crashes + none.clock_jumps == 0);
    cr_assert(cuts.cuts > 30 && cuts.cuts < 120, "%d", (int)cuts.cuts);
    cr_assert(pauses.pauses > 30 && pauses.pauses < 120, "%d", (int)pauses.pauses);
    cr_assert(crashes.crashes > 30 && crashes.crashes < 120, "%d", (int)crashes.crashes);
    cr_assert(jumps.clock_jumps > 30 && jumps.clock_jumps < 120, "%d", (int)jumps.clock_jumps);
    cr_assert(cuts.pauses + cuts.crashes + pauses.cuts + pauses.crashes + crashes.cuts + crashes.pauses == 0);
}

Test(world_faults, strokes_may_be_as_rare_as_can_be)
{
    struct pal_sim_counters counters = strike((struct pal_sim_faults){.cut_every_ns = UINT64_MAX,
                                                                      .cut_for_ns = UINT64_MAX,
                                                                      .pause_every_ns = UINT64_MAX,
                                                                      .crash_every_ns = UINT64_MAX / 2,
                                                                      .clock_every_ns = UINT64_MAX,
                                                                      .clock_max_ns = UINT64_MAX,
                                                                      .stall_ppm = 1000000,
                                                                      .stall_max_ns = UINT64_MAX});

    cr_assert(counters.cuts + counters.pauses + counters.crashes + counters.clock_jumps == 0);
}

static int32_t sleep_long(void *unused)
{
    (void)unused;
    sleep_for(10 * SECOND);
    return 9;
}

/* Of those that crash by chance none has ended that will begin again. */
Test(world_faults, the_world_runs_on_while_a_restart_is_due)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_begin(seed);
        uint32_t host = add_host("one", "10.0.0.1");
        start_on(host, sleep_long, NULL);
        set_faults((struct pal_sim_faults){.crash_every_ns = 8 * SECOND, .crash_for_ns = 2 * SECOND});
        cr_assert_eq(run_until(UINT64_MAX), 0);
        cr_assert_eq(result_of(host), 9);
    }
}

Test(world_faults, swarms_are_survived)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct echo echo = {.connections = 2, .bytes = 2000};
        int outcome;

        world_begin_with((struct pal_sim_setup){.seed = seed, .flags = PAL_SIM_SWARM});
        start_echo(&echo);
        outcome = run_until(300 * SECOND);
        cr_assert(outcome == 0 || outcome == PAL_ETIMEDOUT, "%d seed %d", outcome, (int)seed);
        uint64_t hash = state_now().trace_hash;
        world_begin_with((struct pal_sim_setup){.seed = seed, .flags = PAL_SIM_SWARM});
        start_echo(&echo);
        cr_assert_eq(run_until(300 * SECOND), outcome);
        cr_assert_eq(state_now().trace_hash, hash, "seed %d", (int)seed);
    }
}

/* ---- a text ---- */

Test(world_text, actions_happen_when_they_are_to)
{
    int count = 0;

    world_begin_with((struct pal_sim_setup){.seed = 1,
                                            .text =
                                                "host one 10.0.0.1; host two 10.0.0.2\n"
                                                "at 100ms pause one; at 200ms resume one\n"
                                                "at 300ms crash one; at 350ms restart one\n"
                                                "at 400ms clock two -1s; at 10ms cut one *; at 20ms faults loss 1%"});
    cr_assert_eq(state_now().hosts, 3);
    start_on(1, count_milliseconds, &count);
    uint64_t real = pal_clock(PAL_CLOCK_REAL);
    cr_assert_eq(run_until(BEGINNING + 150 * MS), PAL_ETIMEDOUT);
    cr_assert(count == 99 || count == 100, "%d", count);
    cr_assert_eq(run_until(BEGINNING + 300 * MS + 1), PAL_ETIMEDOUT);
    cr_assert_eq(result_of(1), PAL_ECANCELED);
    int before = count;
    cr_assert_eq(run_until(BEGINNING + 350 * MS), PAL_ETIMEDOUT);
    cr_assert_eq(count, before);
    cr_assert_eq(run_until(BEGINNING + 361 * MS), PAL_ETIMEDOUT);
    cr_assert_eq(count, before + 10);
    cr_assert_eq(result_of(1), PAL_EINPROGRESS);
    cr_assert_eq(run_until(BEGINNING + 401 * MS), PAL_ETIMEDOUT);
    cr_assert_eq(pal_clock(PAL_CLOCK_REAL), real + 401 * MS);
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 2), 0);
    cr_assert_eq(pal_clock(PAL_CLOCK_REAL), real + 401 * MS - SECOND);
}

Test(world_text, a_refused_one_leaves_the_world_as_it_was)
{
    int count = 0;
    struct pal_sim_setup wrong = {.flags = PAL_SIM_ASSERTED | PAL_SIM_QUIET,
                                  .text =
                                      "host a 10.0.0.1; host b 10.0.0.2; host c 10.0.0.3; at 1ms crash c; nonsense"};

    world_begin_with((struct pal_sim_setup){.seed = 1, .text = "host one 10.0.0.1; at 10ms crash one"});
    cr_assert_eq(ctl(PAL_CTL_SIM_BEGIN, &wrong, sizeof wrong), PAL_EINVAL);
    cr_assert_not_null(strstr(pal_reason(), "line 1"), "%s", pal_reason());
    cr_assert_not_null(strstr(pal_reason(), "nonsense"), "%s", pal_reason());
    start_on(1, count_milliseconds, &count);
    cr_assert_eq(run_until(BEGINNING + SECOND), 0);
    cr_assert_eq(result_of(1), PAL_ECANCELED);
    cr_assert(count == 9 || count == 10, "%d", count);
}
