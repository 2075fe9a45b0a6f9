/* test_world_threads.c: threads of pal_thread_start in a simulated world: one at a time, in an order that the seed
 * draws; parked, unparked and joined; what another thread's doing rouses; threads that the simulator does not know. */
#include "test_world.h"

#include <pthread.h>
#include <signal.h>

enum { THREADS = 4, ROUNDS = 20, JOINED = 1500 };

/* ---- the same again ---- */

struct ring {
    uint32_t turn; /* whose, of the threads */
    uint64_t order;
    struct {
        struct ring *ring;
        uint32_t own;
    } seats[THREADS];
};

static void sit(void *argument)
{
    uint32_t own = *(uint32_t *)argument;
    struct ring *ring = *(struct ring **)(void *)((char *)argument - offsetof(struct ring, seats[0].own) +
                                                  offsetof(struct ring, seats[0].ring));

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t seen;

        while ((seen = ring->turn) % THREADS != own)
            (void)pal_park(&ring->turn, seen, round % 3 == 0 ? now_ns() + 10 * US : UINT64_MAX);
        ring->order = ring->order * 31 + now_ns() + own;
        ring->turn++;
        pal_unpark(&ring->turn, INT32_MAX);
        if (round % 4 == 0)
            (void)pal_sock_wait(NULL, 0, now_ns() + own * US);
    }
}

static int32_t run_ring(void *unused)
{
    struct ring ring = {0};
    pal_thread threads[THREADS];

    (void)unused;
    for (uint32_t i = 0; i < THREADS; i++) {
        ring.seats[i].ring = &ring;
        ring.seats[i].own = i;
        NEED(pal_thread_start(&threads[i], sit, &ring.seats[i].own) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        NEED(pal_thread_join(threads[i]) == 0);
    NEED(ring.turn == THREADS * ROUNDS);
    NEED(pal_thread_join(threads[0]) == PAL_EBADF);
    return (int32_t)(ring.order & 0xffffff);
}

static uint64_t hash_of(uint64_t seed)
{
    world_begin(seed);
    uint32_t one = add_host("one", "10.0.0.1"), two = add_host("two", "10.0.0.2");
    start_on(one, run_ring, NULL);
    start_on(two, run_ring, NULL);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_geq(result_of(one), 0, "%d", (int)result_of(one));
    cr_assert_geq(result_of(two), 0, "%d", (int)result_of(two));
    cr_assert_eq(state_now().tainted, 0);
    return state_now().trace_hash;
}

Test(world_threads, the_same_seed_runs_them_in_the_same_order)
{
    uint64_t one = hash_of(1), two = hash_of(2);

    cr_assert_neq(one, two);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(hash_of(1), one);
        cr_assert_eq(hash_of(2), two);
    }
}

static void count_up(void *count)
{
    ++*(int *)count;
}

Test(world_threads, threads_that_were_joined_are_given_back)
{
    int count = 0;
    pal_thread thread;

    count_memory();
    world_begin(1);
    struct memory_out before = {0};
    for (int i = 0; i < JOINED; i++) {
        cr_assert_eq(pal_thread_start(&thread, count_up, &count), 0, "%d", i);
        cr_assert_eq(pal_thread_join(thread), 0);
        if (i == 0)
            before = memory_out;
    }
    cr_assert_eq(count, JOINED);
    cr_assert_eq(memory_out.bytes, before.bytes);
    cr_assert_eq(memory_out.blocks, before.blocks);
}

static pal_thread self_handle;

static void join_oneself(void *out)
{
    *(int *)out = pal_thread_join(self_handle);
}

Test(world_threads, joins_that_make_no_sense_are_refused)
{
    int outcome = 0;

    world_begin(1);
    cr_assert_eq(pal_thread_join((pal_thread){0}), PAL_EBADF);
    cr_assert_eq(pal_thread_start(&self_handle, join_oneself, &outcome), 0);
    cr_assert_eq(pal_thread_join(self_handle), 0);
    cr_assert_eq(outcome, PAL_EDEADLK);
    cr_assert_eq(pal_thread_join(self_handle), PAL_EBADF);
    cr_assert_eq(pal_thread_start(NULL, join_oneself, NULL), PAL_EINVAL);
    cr_assert_eq(pal_thread_start(&self_handle, NULL, NULL), PAL_EINVAL);
    cr_assert_eq(pal_park(NULL, 0, 0), PAL_EINVAL);
}

/* ---- what another does to a socket that is waited for ---- */

struct neighbour {
    pal_sock sock;
    struct pal_addr to;
};

static void shut_it(void *argument)
{
    const struct neighbour *neighbour = argument;

    (void)pal_sock_shutdown(neighbour->sock, PAL_SHUT_RD);
}

static void send_to_it(void *argument)
{
    const struct neighbour *neighbour = argument;

    (void)pal_sock_send(neighbour->sock, "x", 1, 0); /* it is connected to itself */
}

static int32_t wait_for_neighbour(void *function)
{
    struct neighbour neighbour;
    pal_thread thread;

    NEED(pal_addr_from_host(&neighbour.to, "127.0.0.1", PORT) == 0);
    NEED(datagrams_at("127.0.0.1", PORT, &neighbour.sock) == 0);
    NEED(pal_sock_connect(neighbour.sock, &neighbour.to) == 0); /* what is not connected is not shut down */
    sleep_for(60 * SECOND);                                     /* the stack has nothing else to do by then */
    NEED(pal_thread_start(&thread, *(void (**)(void *))function, &neighbour) == 0);
    struct pal_wait item = {.sock = neighbour.sock, .interest = PAL_IN};
    NEED(pal_sock_wait(&item, 1, UINT64_MAX) == 1);
    NEED(pal_thread_join(thread) == 0);
    return pal_sock_close(neighbour.sock);
}

Test(world_threads, who_waits_for_a_socket_learns_what_its_host_does_to_it)
{
    void (*ways[])(void *) = {send_to_it, shut_it};

    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            world_begin(seed);
            uint32_t host = add_host("one", "10.0.0.1");
            start_on(host, wait_for_neighbour, &ways[way]);
            cr_assert_eq(run_until(UINT64_MAX), 0, "way %d seed %d", (int)way, (int)seed);
            cr_assert_eq(result_of(host), 0, "%d", (int)result_of(host));
        }
}

/* ---- threads and the first thread's functions ---- */

static int32_t wait_a_while(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++)
        sleep_for(10 * MS);
    return 0;
}

static void crash_it(void *host)
{
    uint32_t number = *(uint32_t *)host;

    sleep_for(55 * MS);
    (void)befall(PAL_CTL_SIM_CRASH, number);
    sleep_for(5 * MS);
    (void)befall(PAL_CTL_SIM_RESTART, number);
}

/* The stack that the first thread sleeps on is that of the function that crashes. */
Test(world_threads, a_thread_crashes_a_function_and_restarts_it)
{
    pal_thread thread;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_begin(seed);
        uint32_t host = add_host("one", "10.0.0.1"), other = add_host("two", "10.0.0.2");
        start_on(host, wait_a_while, NULL);
        start_on(other, wait_a_while, NULL);
        cr_assert_eq(pal_thread_start(&thread, crash_it, &host), 0);
        cr_assert_eq(pal_thread_join(thread), 0);
        cr_assert_eq(run_until(UINT64_MAX), 0);
        cr_assert_eq(result_of(host), 0);
        cr_assert_eq(now_ns(), BEGINNING + 160 * MS);
    }
}

static void start_another(void *host)
{
    struct pal_sim_start start = {.host = *(uint32_t *)host, .function = wait_a_while};

    (void)ctl(PAL_CTL_SIM_START, &start, sizeof start);
}

Test(world_threads, a_function_outlives_the_thread_that_started_it)
{
    pal_thread thread;

    world_begin(1);
    uint32_t host = add_host("one", "10.0.0.1");
    cr_assert_eq(pal_thread_start(&thread, start_another, &host), 0);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), 0);
}

/* ---- misuse ---- */

static void *look_at_the_clock(void *unused)
{
    (void)unused;
    (void)now_ns();
    return NULL;
}

static void *unpark_somebody(void *unused)
{
    static uint32_t word;

    (void)unused;
    pal_unpark(&word, 1);
    return NULL;
}

static void run_foreign(void *(*function)(void *))
{
    pthread_t thread;

    world_begin(1);
    cr_assert_eq(pthread_create(&thread, NULL, function, NULL), 0);
    pthread_join(thread, NULL);
}

Test(world_misuse, another_thread_looks_at_the_clock, .signal = SIGABRT)
{
    run_foreign(look_at_the_clock);
}

Test(world_misuse, another_thread_unparks, .signal = SIGABRT)
{
    run_foreign(unpark_somebody);
}
