/* calls_threads.c: threads that the seam starts, parking, and what is kept for each thread apart. What a thread finds
 * it leaves behind: only the test's own thread judges. */
#include "calls_common.h"

#include <stdatomic.h>

static void require_threads(void)
{
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("threads", "this backend runs on one");
}

static const uint32_t *word_of(const _Atomic uint32_t *word)
{
    return (const uint32_t *)(const void *)word;
}

/* ---- start and join ---- */

static void increment(void *arg)
{
    _Atomic uint32_t *count = arg;

    (void)atomic_fetch_add(count, 1);
}

Test(calls_threads, a_joined_thread_has_run_to_its_end)
{
    for (uint32_t i = 0; i < 100; i++) {
        _Atomic uint32_t count = i;
        pal_thread thread = {0};

        assert_error(pal_thread_start(&thread, increment, &count), 0);
        cr_assert_neq(thread.id, 0);
        assert_error(pal_thread_join(thread), 0);
        cr_assert_eq(atomic_load(&count), i + 1);
    }
}

Test(calls_threads, many_run_at_once)
{
    enum { THREADS = 32 };
    _Atomic uint32_t count = 0;
    pal_thread threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        assert_error(pal_thread_start(&threads[i], increment, &count), 0);
        for (int j = 0; j < i; j++)
            cr_assert_neq(threads[i].id, threads[j].id);
    }
    for (int i = THREADS - 1; i >= 0; i--)
        assert_error(pal_thread_join(threads[i]), 0);
    cr_assert_eq(atomic_load(&count), THREADS);
}

Test(calls_threads, a_thread_is_joined_once)
{
    _Atomic uint32_t count = 0;
    pal_thread thread, none = {0};

    assert_error(pal_thread_start(&thread, increment, &count), 0);
    assert_error(pal_thread_join(thread), 0);
    assert_error(pal_thread_join(thread), PAL_EBADF);
    assert_error(pal_thread_join(none), PAL_EBADF);
}

struct self {
    pal_thread thread;
    _Atomic uint32_t told;
    int result;
};

static void join_oneself(void *arg)
{
    struct self *self = arg;

    while (atomic_load(&self->told) == 0)
        (void)pal_park(word_of(&self->told), 0, pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS);
    self->result = pal_thread_join(self->thread);
}

Test(calls_threads, nobody_joins_oneself)
{
    struct self self;

    atomic_init(&self.told, 0);
    self.result = 1;
    assert_error(pal_thread_start(&self.thread, join_oneself, &self), 0);
    atomic_store(&self.told, 1);
    pal_unpark(word_of(&self.told), 1);
    assert_error(pal_thread_join(self.thread), 0);
    assert_error(self.result, PAL_EDEADLK);
}

Test(calls_threads, a_thread_needs_a_function_and_a_handle)
{
    pal_thread thread;
    _Atomic uint32_t count = 0;

    assert_error(pal_thread_start(&thread, NULL, &count), PAL_EINVAL);
    assert_error(pal_thread_start(NULL, increment, &count), PAL_EINVAL);
    cr_assert_eq(atomic_load(&count), 0);
}

/* ---- park and unpark ---- */

Test(calls_threads, parking_on_another_value_returns_at_once)
{
    uint32_t word = 1;

    assert_error(pal_park(&word, 0, UINT64_MAX), 0);
    assert_error(pal_park(&word, 2, 0), 0);
}

Test(calls_threads, parking_ends_at_the_deadline_and_not_before)
{
    uint32_t word = 1;

    for (uint64_t timeout_ns = 1000; timeout_ns <= 10 * MILLISECOND_NS; timeout_ns *= 10) {
        uint64_t deadline_ns = deadline_after(timeout_ns);
        int result = 0;

        for (int i = 0; i < 1000 && result != PAL_ETIMEDOUT; i++) { /* it may wake for no reason */
            result = pal_park(&word, 1, deadline_ns);
            cr_assert(result == 0 || result == PAL_ETIMEDOUT || result == PAL_EINTR, "%s", pal_error_name(result));
        }
        assert_error(result, PAL_ETIMEDOUT);
        cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns);
    }
    assert_error(pal_park(&word, 1, 0), PAL_ETIMEDOUT);
    assert_error(pal_park(&word, 1, 1), PAL_ETIMEDOUT);
}

Test(calls_threads, waking_where_nobody_sleeps_does_nothing)
{
    uint32_t word = 1;

    pal_unpark(&word, 1);
    pal_unpark(&word, INT32_MAX);
    assert_error(pal_park(&word, 1, 1), PAL_ETIMEDOUT);
}

struct sleeper {
    _Atomic uint32_t *word;  /* 0 until the sleepers may go */
    _Atomic uint32_t *awake; /* how many have gone */
};

static void sleep_on_word(void *arg)
{
    struct sleeper *sleeper = arg;

    while (atomic_load(sleeper->word) == 0)
        (void)pal_park(word_of(sleeper->word), 0, UINT64_MAX);
    (void)atomic_fetch_add(sleeper->awake, 1);
}

/* Without a deadline, so that a lost wake hangs and the test's timeout tells. */
Test(calls_threads, all_who_sleep_are_woken)
{
    enum { SLEEPERS = 8, ROUNDS = 50 };

    require_threads();
    for (int round = 0; round < ROUNDS; round++) {
        _Atomic uint32_t word = 0, awake = 0;
        struct sleeper sleeper = {&word, &awake};
        pal_thread threads[SLEEPERS];

        for (int i = 0; i < SLEEPERS; i++)
            assert_error(pal_thread_start(&threads[i], sleep_on_word, &sleeper), 0);
        atomic_store(&word, 1);
        pal_unpark(word_of(&word), INT32_MAX);
        for (int i = 0; i < SLEEPERS; i++)
            assert_error(pal_thread_join(threads[i]), 0);
        cr_assert_eq(atomic_load(&awake), SLEEPERS);
    }
}

struct turns {
    _Atomic uint32_t word; /* whose turn it is */
    uint32_t rounds;
};

static void take_turns(struct turns *turns, uint32_t mine)
{
    for (uint32_t i = 0; i < turns->rounds; i++) {
        while (atomic_load(&turns->word) != mine)
            (void)pal_park(word_of(&turns->word), 1 - mine, UINT64_MAX);
        atomic_store(&turns->word, 1 - mine);
        pal_unpark(word_of(&turns->word), 1);
    }
}

static void take_odd_turns(void *arg)
{
    take_turns(arg, 1);
}

Test(calls_threads, two_take_turns)
{
    struct turns turns;
    pal_thread thread;

    require_threads();
    atomic_init(&turns.word, 0);
    turns.rounds = 2000;
    assert_error(pal_thread_start(&thread, take_odd_turns, &turns), 0);
    take_turns(&turns, 0);
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(atomic_load(&turns.word), 0);
}

/* ---- what is kept for each thread ---- */

struct refusal {
    pal_sock sock;
    int error;
    char reason_before[128], reason[128];
    int32_t native_before, native;
};

static void be_refused(void *arg)
{
    struct refusal *refusal = arg;
    int32_t value = 1;

    refusal->native_before = pal_native_error();
    (void)snprintf(refusal->reason_before, sizeof(refusal->reason_before), "%s", pal_reason());
    refusal->error = pal_sock_set(refusal->sock, PAL_SO_ERROR, &value, sizeof(value));
    (void)snprintf(refusal->reason, sizeof(refusal->reason), "%s", pal_reason());
    refusal->native = pal_native_error();
}

Test(calls_threads, a_reason_is_the_refused_threads_own)
{
    struct refusal refusal;
    pal_thread thread;
    pal_sock sock, served;
    char reason[128];
    int32_t native;

    require_threads();
    sock = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, NULL);
    memset(&refusal, 0, sizeof(refusal));
    refusal.sock = sock;
    assert_error(pal_sock_accept(sock, &served, NULL), PAL_EINVAL);
    native = pal_native_error();
    (void)snprintf(reason, sizeof(reason), "%s", pal_reason());

    assert_error(pal_thread_start(&thread, be_refused, &refusal), 0);
    assert_error(pal_thread_join(thread), 0);
    assert_error(refusal.error, PAL_ENOTSUP);
    cr_assert_str_eq(refusal.reason_before, "", "a new thread has been refused nothing");
    cr_assert_eq(refusal.native_before, 0);
    cr_assert_str_neq(refusal.reason, "");
    cr_assert_eq(pal_native_error(), native, "another thread's failure is seen here");
    cr_assert_str_eq(pal_reason(), reason);
    sock_close(sock);
}
