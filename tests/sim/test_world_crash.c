/* test_world_crash.c: hosts of a simulated world that crash: what their peers learn, what is left of what they had
 * open, wherever they were; and how they begin again. */
#include "test_world.h"

#include <signal.h>

enum { SEEDS = 10, TIMES = 100, PATIENCE = 200 };

static uint64_t handles_open(void)
{
    uint64_t open = 0;

    cr_assert_eq(pal_info(PAL_INFO_SOCKS_OPEN, &open), 0);
    return open;
}

static void crash(uint32_t host)
{
    cr_assert_eq(befall(PAL_CTL_SIM_CRASH, host), 0, "%s", pal_reason());
    cr_assert_eq(result_of(host), PAL_ECANCELED);
}

/* ---- peers ---- */

static int32_t hold_connection(void *unused)
{
    pal_sock listener, sock;
    char byte;

    (void)unused;
    NEED(listen_at("10.0.0.1", PORT, &listener) == 0 && accept_one(listener, &sock) == 0);
    (void)pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
    return pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
}

/* One byte to say hello, then another each second until something is wrong: that is the result. */
static int32_t send_until_told(void *unused)
{
    pal_sock sock;
    int32_t result = 1;

    (void)unused;
    NEED(connect_to("10.0.0.1", PORT, UINT64_MAX, &sock) == 0);
    for (int i = 0; i < 7200 && result == 1; i++) {
        result = pal_sock_send(sock, "x", 1, 0);
        sleep_for(SECOND);
    }
    NEED(pal_sock_close(sock) == 0);
    return result;
}

static int32_t wait_for_end(void *unused)
{
    pal_sock sock;
    char byte;

    (void)unused;
    NEED(connect_to("10.0.0.1", PORT, UINT64_MAX, &sock) == 0);
    return pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
}

static void begin_pair(uint64_t seed, int32_t (*peer)(void *))
{
    world_begin(seed);
    server = add_host("server", "10.0.0.1");
    client = add_host("client", "10.0.0.2");
    start_on(server, hold_connection, NULL);
    start_on(client, peer, NULL);
    cr_assert_eq(run_until(BEGINNING + SECOND / 2), PAL_ETIMEDOUT);
    cr_assert_eq(handles_open(), 3);
}

Test(world_crash, no_end_is_sent)
{
    begin_pair(1, wait_for_end);
    uint64_t frames = counters_now().frames;
    crash(server);
    cr_assert_eq(counters_now().frames, frames);
    cr_assert_eq(handles_open(), 1);
    (void)run_until(BEGINNING + 3600 * SECOND);
    cr_assert_eq(result_of(client), PAL_EINPROGRESS, "nobody has told it anything");
}

Test(world_crash, peers_learn_by_timeouts)
{
    begin_pair(1, send_until_told);
    crash(server);
    cr_assert_eq(run_until(7200 * SECOND), 0);
    int32_t result = result_of(client);
    cr_assert(result == PAL_ETIMEDOUT || result == PAL_EHOSTUNREACH, "%d", (int)result);
}

Test(world_crash, peers_learn_by_reset_from_the_next_life)
{
    begin_pair(1, send_until_told);
    crash(server);
    cr_assert_eq(befall(PAL_CTL_SIM_RESTART, server), 0);
    cr_assert_eq(result_of(server), PAL_EINPROGRESS, "it begins again");
    (void)run_until(BEGINNING + 60 * SECOND);
    cr_assert_eq(result_of(client), PAL_ECONNRESET, "%d", (int)result_of(client));
}

/* ---- what it had open ---- */

struct open_things {
    int waits_in; /* which wait it crashes in */
    uint32_t own;
    bool by_itself;
    uint32_t never;
};
enum { IN_POLL, IN_SOCK_WAIT, IN_PARK, IN_RECV, IN_JOIN, IN_SLEEP, IN_ACCEPT, WAITS };

static void park_for_ever(void *word)
{
    for (;;)
        (void)pal_park(word, 0, UINT64_MAX);
}

static void wait_for_ever(void *sock)
{
    for (;;) {
        struct pal_wait item = {.sock = *(pal_sock *)sock, .interest = PAL_IN};
        (void)pal_sock_wait(&item, 1, UINT64_MAX);
    }
}

static int32_t wait_in(const struct open_things *things, pal_poll *poll, pal_sock sock, pal_sock listener,
                       pal_thread thread)
{
    struct pal_wait items[2] = {{.sock = sock, .interest = PAL_IN}, {.sock = listener, .interest = PAL_IN}};
    const struct pal_event *events;
    char byte;
    pal_sock accepted;

    switch (things->waits_in) {
    case IN_POLL:
        return pal_poll_wait(poll, &events, UINT64_MAX);
    case IN_SOCK_WAIT:
        return pal_sock_wait(items, 2, now_ns() + 3000 * SECOND);
    case IN_PARK:
        return pal_park(&things->never, 0, UINT64_MAX);
    case IN_RECV:
        return pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT);
    case IN_JOIN:
        return pal_thread_join(thread);
    case IN_ACCEPT:
        return accept_one(listener, &accepted);
    default:
        sleep_for(3000 * SECOND);
        return 0;
    }
}

/* Leaves open all that there is, and waits. */
static int32_t open_everything(void *argument)
{
    struct open_things *things = argument;
    pal_sock datagrams, listener, fresh, twin, pipe[2], pair[2];
    pal_poll *poll, *other;
    pal_file file;
    pal_thread threads[2];
    char bytes[16], more[16];
    struct pal_lease lease;
    struct pal_addr self;
    struct pal_op ops[3] = {{.kind = PAL_OP_RECV, .buf = bytes, .size = sizeof bytes},
                            {.kind = PAL_OP_RECV, .buf = more, .size = sizeof more},
                            {.kind = PAL_OP_ACCEPT, .aux = &twin}};
    struct pal_config config = {.lease_count = 4, .lease_size = 2048};

    NEED(pal_addr_from_host(&self, "10.0.0.1", PORT) == 0);
    NEED(datagrams_at("10.0.0.1", PORT, &datagrams) == 0 && listen_at("10.0.0.1", PORT, &listener) == 0);
    NEED(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &fresh) == 0 && pal_sock_dup(datagrams, &twin) == 0);
    NEED(pal_pipe(pipe, 0) == 0 && pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, pair) == 0);
    NEED(pal_file_open("/dev/null", PAL_FILE_READ, 0, &file) == 0);
    NEED(pal_poll_open(&poll, &config) == 0 && pal_poll_open(&other, NULL) == 0);
    NEED(pal_sock_connect(fresh, &self) == PAL_EINPROGRESS);
    NEED(pal_watch(poll, datagrams, PAL_IN | PAL_LEASE, 1) == 0 && pal_watch(poll, fresh, PAL_IN, 2) == 0);
    ops[2].sock = listener;
    NEED(pal_submit(other, &ops[2]) == 0);
    ops[0].sock = pipe[0];
    ops[1].sock = pair[0];
    NEED(things->waits_in == IN_POLL || pal_submit(poll, &ops[0]) == 0);
    NEED(things->waits_in == IN_POLL || pal_submit(other, &ops[1]) == 0);
    NEED(pal_lease_reserve(poll, &lease, 1, 64) == 0);
    NEED(pal_thread_start(&threads[0], park_for_ever, &things->never) == 0);
    NEED(pal_thread_start(&threads[1], wait_for_ever, &datagrams) == 0);
    sleep_for(MS);
    if (things->by_itself) {
        (void)befall(PAL_CTL_SIM_CRASH, things->own);
        abort(); /* it does not return */
    }
    (void)wait_in(things, poll, datagrams, listener, threads[0]);
    sleep_for(3000 * SECOND);
    return 0;
}

static void crash_in(int wait, uint64_t seed)
{
    struct open_things things = {.waits_in = wait, .by_itself = wait == WAITS};

    world_begin(seed);
    things.own = add_host("one", "10.0.0.1");
    start_on(things.own, open_everything, &things);
    (void)run_until(BEGINNING + 100 * MS);
    if (wait < WAITS) {
        cr_assert_eq(result_of(things.own), PAL_EINPROGRESS, "wait %d: %d", wait, (int)result_of(things.own));
        cr_assert_gt(handles_open(), 8);
        crash(things.own);
    }
    cr_assert_eq(result_of(things.own), PAL_ECANCELED, "wait %d: %d", wait, (int)result_of(things.own));
    cr_assert_eq(handles_open(), 0, "wait %d", wait);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    sleep_for(SECOND);
}

Test(world_crash, nothing_is_left_wherever_it_was)
{
    for (int wait = 0; wait <= WAITS; wait++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            crash_in(wait, seed);
}

static int32_t have_a_child(void *unused)
{
    static const char *const arguments[] = {"sleep", "1000", NULL};
    struct pal_spawn spec = {.program = "sleep", .argv = arguments, .flags = PAL_SPAWN_SEARCH};
    struct pal_proc_info info;
    pal_proc child;

    (void)unused;
    NEED(pal_proc_spawn(&spec, &child) == 0);
    NEED(pal_proc_wait(child, &info, 0) == PAL_ETIMEDOUT);
    (void)pal_proc_kill(child, PAL_SIGKILL);
    return pal_proc_wait(child, &info, UINT64_MAX) == 0 ? (sleep_for(3000 * SECOND), 0) : -1;
}

Test(world_crash, a_child_is_let_go)
{
    world_begin_with((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_VIRTUAL});
    uint32_t host = add_host("one", "10.0.0.1");
    start_on(host, have_a_child, NULL);
    cr_assert_eq(run_until(BEGINNING + 1000 * SECOND), PAL_ETIMEDOUT);
    cr_assert_eq(handles_open(), 1);
    crash(host);
    cr_assert_eq(handles_open(), 0);
}

/* ---- others that are concerned ---- */

static void crash_later(void *host)
{
    sleep_for(10 * MS);
    (void)befall(PAL_CTL_SIM_CRASH, *(uint32_t *)host);
}

Test(world_crash, who_waits_for_a_handle_of_it_learns_that_it_is_stale)
{
    pal_thread thread;
    struct pal_wait item = {.interest = PAL_IN};

    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, host), 0);
    cr_assert_eq(datagrams_at("10.0.0.1", PORT, &item.sock), 0);
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 0), 0);
    cr_assert_eq(pal_thread_start(&thread, crash_later, &host), 0);
    cr_assert_eq(pal_sock_wait(&item, 1, UINT64_MAX), 1);
    cr_assert_eq(item.ready, PAL_NVAL);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_eq(pal_sock_recv(item.sock, &item, 1, 0), PAL_EBADF);
    cr_assert_eq(pal_sock_close(item.sock), PAL_EBADF);
}

/* A poll whose owner crashed in it has a number that another poll gets. */
Test(world_crash, the_poll_of_another_is_not_forgotten_with_it)
{
    struct open_things things = {.waits_in = IN_POLL};
    struct echo echo = {.address = "10.0.0.2", .connections = 1, .bytes = 100};
    const struct pal_event *events;
    pal_poll *poll;

    world_begin(1);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    things.own = add_host("one", "10.0.0.1");
    uint32_t other = add_host("two", "10.0.0.2");
    start_on(things.own, open_everything, &things);
    cr_assert_eq(pal_poll_wait(poll, &events, BEGINNING + 10 * MS), 0);
    crash(things.own);
    cr_assert_eq(befall(PAL_CTL_SIM_RESTART, things.own), 0);
    start_on(other, echo_server, &echo);
    cr_assert_eq(pal_poll_wait(poll, &events, BEGINNING + 30 * MS), 0);
    cr_assert_eq(now_ns(), BEGINNING + 30 * MS);
    crash(things.own);
    crash(other);
    cr_assert_eq(pal_poll_close(poll), 0);
}

/* A closed poll does not know its number any more: that it is forgotten must not be another's loss. */
static void send_later(void *sock)
{
    sleep_for(20 * SECOND);
    (void)pal_sock_send(*(pal_sock *)sock, "x", 1, 0);
}

Test(world_crash, a_sleeper_is_still_roused_after_it)
{
    struct open_things things = {.waits_in = IN_POLL};
    const struct pal_event *events;
    struct pal_addr self;
    pal_sock sock;
    pal_poll *poll;
    pal_thread crasher, sender;

    world_begin(1);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0); /* number 0 */
    cr_assert_eq(datagrams_at("198.18.0.1", PORT, &sock), 0);
    cr_assert(pal_addr_from_host(&self, "198.18.0.1", PORT) == 0 && pal_sock_connect(sock, &self) == 0);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN, 6), 0);
    things.own = add_host("one", "10.0.0.1");
    start_on(things.own, open_everything, &things);
    sleep_for(5 * MS);
    cr_assert_eq(pal_thread_start(&crasher, crash_later, &things.own), 0);
    cr_assert_eq(pal_thread_start(&sender, send_later, &sock), 0);
    cr_assert_eq(pal_poll_wait(poll, &events, BEGINNING + 60 * SECOND), 1);
    cr_assert(events[0].kind == PAL_EV_READY && events[0].data == 6);
    cr_assert_lt(now_ns(), BEGINNING + 30 * SECOND);
    cr_assert(pal_thread_join(crasher) == 0 && pal_thread_join(sender) == 0);
    cr_assert(pal_watch(poll, sock, 0, 0) == 0 && pal_sock_close(sock) == 0 && pal_poll_close(poll) == 0);
}

/* ---- again ---- */

Test(world_crash, restarting_makes_sense_only_after_it)
{
    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    cr_assert_eq(befall(PAL_CTL_SIM_RESTART, host), PAL_EINVAL);
    cr_assert_eq(befall(PAL_CTL_SIM_CRASH, host), 0);
    cr_assert_eq(befall(PAL_CTL_SIM_CRASH, host), 0, "it has crashed already");
    cr_assert_eq(befall(PAL_CTL_SIM_PAUSE, host), PAL_EINVAL);
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, host), 0);
    pal_sock sock;
    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), PAL_ENETDOWN);
    cr_assert_eq(befall(PAL_CTL_SIM_RESTART, host), 0);
    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), 0);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(result_of(host), PAL_ENOENT, "there was no function");
}

static int32_t count_lives(void *lives)
{
    struct open_things things = {.waits_in = ++*(int *)lives % WAITS};

    return open_everything(&things);
}

Test(world_crash, a_hundred_lives_leave_nothing, .timeout = PATIENCE)
{
    struct echo echo = {.address = "10.0.0.2", .connections = TIMES, .bytes = 10};
    struct memory_out before = {0};
    int lives = 0;

    count_memory();
    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1"), other = add_host("two", "10.0.0.2");
    start_on(host, count_lives, &lives);
    start_on(other, echo_server, &echo);
    for (int i = 0; i < TIMES; i++) {
        sleep_for(10 * MS);
        crash(host);
        cr_assert_eq(handles_open(), 1, "life %d", i);
        if (i == TIMES / 4)
            before = memory_out;
        sleep_for(MS);
        cr_assert_eq(befall(PAL_CTL_SIM_RESTART, host), 0, "life %d: %s", i, pal_reason());
    }
    cr_assert_eq(lives, TIMES);
    crash(host);
    sleep_for(MS);
    cr_assert_leq(memory_out.bytes, before.bytes);
    cr_assert_leq(memory_out.blocks, before.blocks);
    crash(other);
}
