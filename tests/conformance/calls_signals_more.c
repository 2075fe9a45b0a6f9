/* calls_signals_more.c: waiting for a signal, interval timers, signals to threads, blocking calls that are interrupted,
 * many signals at once. See calls_signals.c for the rest. */
#include "calls_common.h"
#include "signal_calls.h"
#include "support/sanitizers.h"

#include <stdatomic.h>

/* ---- waiting for a signal ---- */

/* A signal that WAIT has taken is not handled when it is unblocked. */
static void expect_taken(struct rig *rig, int number)
{
    cr_assert_eq(signals_pending(), 0);
    signal_change_mask(PAL_SIGNAL_UNBLOCK, bit_of(number));
    rig_silent(rig, (uint64_t)number, 2);
    rig_close(rig);
}

static void watch_blocked(struct rig *rig, int number)
{
    (void)valid_signals();
    rig_open(rig, 2);
    rig_watch_signal(rig, number);
    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(number));
}

Test(calls_signals_more, a_wait_takes_the_signal_that_comes)
{
    struct rig rig;
    struct pal_signal_info info;

    watch_blocked(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, MILLISECOND_NS, 0);
    assert_error(signal_wait(&info, bit_of(PAL_SIGALRM), UINT64_MAX), 0);
    cr_assert_eq(info.number, PAL_SIGALRM);
    cr_assert_eq(info.set, bit_of(PAL_SIGALRM));
    cr_assert(info.process == 0 && info.user == 0 && info.status == 0 && info.band == 0 && info.value == 0,
              "a timer's signal carries nothing");
    expect_taken(&rig, PAL_SIGALRM);
}

Test(calls_signals_more, a_wait_with_a_deadline_takes_the_signal_that_comes_before)
{
    struct rig rig;
    struct pal_signal_info info;

    watch_blocked(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, MILLISECOND_NS, 0);
    assert_error(signal_wait(&info, bit_of(PAL_SIGALRM) | bit_of(PAL_SIGUSR2), deadline_after(10000 * MILLISECOND_NS)),
                 0);
    cr_assert_eq(info.number, PAL_SIGALRM);
    expect_taken(&rig, PAL_SIGALRM);
}

Test(calls_signals_more, a_look_takes_what_is_pending_and_says_who_sent_it)
{
    struct rig rig;
    struct pal_signal_info info;
    uint64_t process = 0;

    watch_blocked(&rig, PAL_SIGUSR1);
    assert_error(pal_info(PAL_INFO_PROCESS_ID, &process), 0);
    assert_error(signal_wait(&info, bit_of(PAL_SIGUSR1), 0), PAL_ETIMEDOUT);
    assert_error(signal_raise(PAL_SIGUSR1), 0);
    assert_error(signal_wait(&info, bit_of(PAL_SIGUSR2), 0), PAL_ETIMEDOUT);
    assert_error(signal_wait(&info, bit_of(PAL_SIGUSR1), 0), 0);
    cr_assert_eq(info.number, PAL_SIGUSR1);
    cr_assert_eq(info.process, process);
    cr_assert(info.error == 0 && info.status == 0 && info.band == 0 && info.value == 0);
    assert_error(signal_wait(&info, bit_of(PAL_SIGUSR1), 0), PAL_ETIMEDOUT);
    expect_taken(&rig, PAL_SIGUSR1);
}

Test(calls_signals_more, a_wait_ends_at_its_deadline_and_not_before)
{
    struct pal_signal_info info;
    uint64_t deadline_ns;

    (void)valid_signals();
    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(PAL_SIGALRM));
    deadline_ns = deadline_after(3 * MILLISECOND_NS);
    assert_error(signal_wait(&info, bit_of(PAL_SIGALRM), deadline_ns), PAL_ETIMEDOUT);
    cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns);
    assert_error(signal_wait(&info, bit_of(PAL_SIGALRM), 1), PAL_ETIMEDOUT);            /* long past */
    assert_error(signal_wait(&info, 0, deadline_after(MILLISECOND_NS)), PAL_ETIMEDOUT); /* nothing is waited for */
}

struct waiter {
    int result;
    struct pal_signal_info info;
};

static void wait_in_thread(void *arg)
{
    struct waiter *waiter = (struct waiter *)arg;

    waiter->result = signal_wait(&waiter->info, bit_of(PAL_SIGUSR1), UINT64_MAX);
}

Test(calls_signals_more, a_wait_in_a_thread_stops_nobody_else)
{
    struct waiter waiter;
    struct pal_signal_target target;
    pal_thread thread;

    (void)valid_signals();
    memset(&waiter, 0, sizeof(waiter));
    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(PAL_SIGUSR1));
    assert_error(pal_thread_start(&thread, wait_in_thread, &waiter), 0);
    memset(&target, 0, sizeof(target));
    target.thread = thread;
    target.number = PAL_SIGUSR1;
    assert_error(pal_signal_ctl(PAL_SIGNAL_THREAD, &target, sizeof(target)), 0);
    assert_error(pal_thread_join(thread), 0);
    assert_error(waiter.result, 0);
    cr_assert_eq(waiter.info.number, PAL_SIGUSR1);
    signal_change_mask(PAL_SIGNAL_UNBLOCK, bit_of(PAL_SIGUSR1)); /* it is gone: else this would be the end */
}

/* ---- timers ---- */

Test(calls_signals_more, a_timer_of_real_time_fires_once)
{
    struct rig rig;
    struct pal_signal_timer timer;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, MILLISECOND_NS, 0);
    rig_until_signal(&rig, PAL_SIGALRM);
    timer = signal_get_timer(PAL_SIGNAL_TIMER_REAL);
    cr_assert(timer.old_value_ns == 0 && timer.old_interval_ns == 0);
    rig_silent(&rig, PAL_SIGALRM, 3);
    rig_close(&rig);
}

Test(calls_signals_more, a_timer_with_an_interval_fires_until_it_is_switched_off)
{
    struct rig rig;
    struct pal_signal_timer timer;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, MILLISECOND_NS, MILLISECOND_NS);
    for (int i = 0; i < 3; i++)
        rig_until_signal(&rig, PAL_SIGALRM);
    timer = signal_set_timer(PAL_SIGNAL_TIMER_REAL, 0, 0);
    cr_assert_neq(timer.old_value_ns, 0);
    cr_assert_eq(timer.old_interval_ns, MILLISECOND_NS);
    (void)rig_turn(&rig, 0); /* one may have been on its way */
    rig_silent(&rig, PAL_SIGALRM, 3);
    rig_close(&rig);
}

/* Uses CPU time, at most ten seconds of it, until a signal has come. */
static void burn_until(struct rig *rig, int number)
{
    const uint64_t start_ns = pal_clock(PAL_CLOCK_THREAD_CPU), most_ns = 10000 * MILLISECOND_NS;

    while (rig_kept(rig, (uint64_t)number) == 0) {
        uint64_t now_ns = pal_clock(PAL_CLOCK_THREAD_CPU), until_ns = now_ns + MILLISECOND_NS;

        cr_assert_lt(now_ns - start_ns, most_ns, "signal %d does not come", number);
        while (pal_clock(PAL_CLOCK_THREAD_CPU) < until_ns)
            for (volatile int i = 0; i < 10000; i++)
                continue;
        (void)rig_turn(rig, 0);
    }
}

static void expect_timer_of_cpu_time(int which, int number)
{
    struct rig rig;
    struct pal_signal_timer timer;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, number);
    (void)signal_set_timer(which, 5 * MILLISECOND_NS, 5 * MILLISECOND_NS);
    for (int i = 0; i < 2; i++) {
        burn_until(&rig, number);
        rig_until_signal(&rig, number);
    }
    (void)signal_set_timer(which, 0, 0);
    timer = signal_get_timer(which);
    cr_assert(timer.old_value_ns == 0 && timer.old_interval_ns == 0);
    rig_close(&rig);
}

Test(calls_signals_more, a_timer_of_virtual_time_counts_the_programs_own)
{
    expect_timer_of_cpu_time(PAL_SIGNAL_TIMER_VIRTUAL, PAL_SIGVTALRM);
}

Test(calls_signals_more, a_timer_of_profiling_counts_the_kernels_too)
{
    expect_timer_of_cpu_time(PAL_SIGNAL_TIMER_PROF, PAL_SIGPROF);
}

Test(calls_signals_more, the_smallest_time_is_not_rounded_to_none)
{
    struct rig rig;
    struct pal_signal_timer timer;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, 1, 0);
    rig_until_signal(&rig, PAL_SIGALRM);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, UINT64_C(1000) * 1000 * MILLISECOND_NS, 1);
    timer = signal_set_timer(PAL_SIGNAL_TIMER_REAL, 0, 0);
    cr_assert_geq(timer.old_interval_ns, 1);
    rig_close(&rig);
}

Test(calls_signals_more, what_a_timer_had_left_is_told)
{
    static const int timers[] = {PAL_SIGNAL_TIMER_REAL, PAL_SIGNAL_TIMER_VIRTUAL, PAL_SIGNAL_TIMER_PROF};
    const uint64_t value_ns = 1000 * 1000 * MILLISECOND_NS, interval_ns = 7500 * MILLISECOND_NS;

    (void)valid_signals();
    for (int i = 0; i < 3; i++) {
        struct pal_signal_timer timer = signal_set_timer(timers[i], value_ns, interval_ns);

        cr_assert(timer.old_value_ns == 0 && timer.old_interval_ns == 0);
        for (int look = 0; look < 2; look++) {
            timer = signal_get_timer(timers[i]);
            cr_assert(timer.value_ns == 1 && timer.interval_ns == 1, "what is read is not written");
            cr_assert(timer.old_value_ns > 0 && timer.old_value_ns <= value_ns + 10 * MILLISECOND_NS);
            cr_assert_eq(timer.old_interval_ns, interval_ns);
        }
        timer = signal_set_timer(timers[i], 0, 0);
        cr_assert(timer.old_value_ns > 0 && timer.old_interval_ns == interval_ns);
    }
}

Test(calls_signals_more, flags_that_no_timer_has_are_refused)
{
    struct pal_signal_timer timer = {MILLISECOND_NS, 0, 0, 0, 2, 0};

    (void)valid_signals();
    assert_error(pal_signal_ctl(PAL_SIGNAL_TIMER_REAL, &timer, sizeof(timer)), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_eq(signal_get_timer(PAL_SIGNAL_TIMER_REAL).old_value_ns, 0);
}

/* ---- threads ---- */

/* For signals that are to strike a thread in a call. */
static void require_prompt_signals(void)
{
    (void)valid_signals();
#if defined(SANITIZER_THREAD)
    test_skip("plain-build", "ThreadSanitizer puts signals off until the thread makes a call that it knows");
#endif
}

/* A thread that parks until it is let go. */
struct parked {
    pal_thread thread;
    uint32_t gone;
};

static void park_until_gone(void *arg)
{
    struct parked *parked = (struct parked *)arg;

    while (__atomic_load_n(&parked->gone, __ATOMIC_SEQ_CST) == 0)
        (void)pal_park(&parked->gone, 0, UINT64_MAX);
}

static void let_go(struct parked *parked)
{
    __atomic_store_n(&parked->gone, 1, __ATOMIC_SEQ_CST);
    pal_unpark(&parked->gone, 1);
    assert_error(pal_thread_join(parked->thread), 0);
}

Test(calls_signals_more, a_signal_to_a_thread_arrives_at_the_poll_that_watches)
{
    struct parked parked = {{0}, 0};
    struct rig rig;

    require_prompt_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    assert_error(pal_thread_start(&parked.thread, park_until_gone, &parked), 0);
    for (int i = 0; i < 5; i++) {
        assert_error(signal_thread(parked.thread, PAL_SIGUSR1), 0);
        rig_until_signal(&rig, PAL_SIGUSR1);
    }
    let_go(&parked);
    rig_close(&rig);
}

Test(calls_signals_more, only_threads_that_are_there_are_signalled)
{
    static const int32_t bad[] = {-1, 65, INT32_MAX};
    struct parked parked = {{0}, 0};

    (void)valid_signals();
    assert_error(pal_thread_start(&parked.thread, park_until_gone, &parked), 0);
    assert_error(signal_thread(parked.thread, 0), 0);
    for (int i = 0; i < 3; i++) {
        assert_error(signal_thread(parked.thread, bad[i]), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "");
    }
    assert_error(signal_thread((pal_thread){0}, 0), PAL_EBADF);
    assert_error(signal_thread((pal_thread){parked.thread.id + 1}, 0), PAL_EBADF);
    let_go(&parked);
    assert_error(signal_thread(parked.thread, 0), PAL_EBADF);
    assert_error(signal_thread(parked.thread, PAL_SIGUSR1), PAL_EBADF);
}

static void raise_two(void *arg)
{
    *(int *)arg = signal_raise(PAL_SIGUSR1) == 0 && signal_raise(PAL_SIGUSR2) == 0;
}

Test(calls_signals_more, what_a_thread_raises_arrives_at_the_poll_that_watches)
{
    struct rig rig;
    pal_thread thread;
    int raised = 0;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    rig_watch_signal(&rig, PAL_SIGUSR2);
    assert_error(pal_thread_start(&thread, raise_two, &raised), 0);
    rig_until_signal(&rig, PAL_SIGUSR1);
    rig_until_signal(&rig, PAL_SIGUSR2);
    assert_error(pal_thread_join(thread), 0);
    cr_assert(raised);
    rig_close(&rig);
}

/* ---- interrupting ---- */

/* A thread in a call that blocks. */
struct blocked {
    pal_sock sock;
    _Atomic int32_t result;
    _Atomic bool done;
};

static void receive_blocking(void *arg)
{
    struct blocked *blocked = (struct blocked *)arg;
    char byte;

    atomic_store(&blocked->result, pal_sock_recv(blocked->sock, &byte, 1, PAL_MSG_WAIT));
    atomic_store(&blocked->done, true);
}

struct interruption {
    struct rig rig;
    struct blocked blocked;
    pal_sock other;
    pal_thread thread;
};

static void interruption_begin(struct interruption *it)
{
    require_prompt_signals();
    if (!has_caps(PAL_CAP_BLOCKING))
        test_skip("blocking", "not of this backend");
    rig_open(&it->rig, 2);
    pair_open(shared_kind(PAIR_TCP4), &it->blocked.sock, &it->other);
    atomic_init(&it->blocked.result, 0);
    atomic_init(&it->blocked.done, false);
    rig_watch_signal(&it->rig, PAL_SIGUSR1);
}

static void interruption_end(struct interruption *it)
{
    assert_error(pal_thread_join(it->thread), 0);
    pair_close(it->blocked.sock, it->other);
    rig_close(&it->rig);
}

Test(calls_signals_more, a_signal_that_interrupts_ends_a_blocking_call)
{
    static struct interruption it;

    if (has_caps(PAL_CAP_VIRTUAL_TIME))
        test_skip("interruption", "a wait in virtual time is no system call that a signal could end");
    interruption_begin(&it);
    assert_error(signal_interrupt(PAL_SIGUSR1, 1), 0);
    assert_error(pal_thread_start(&it.thread, receive_blocking, &it.blocked), 0);
    for (int i = 0; i < 5000 && !atomic_load(&it.blocked.done); i++) {
        assert_error(signal_thread(it.thread, PAL_SIGUSR1), 0);
        (void)rig_turn(&it.rig, MILLISECOND_NS);
    }
    cr_assert(atomic_load(&it.blocked.done), "no signal interrupts");
    assert_error(atomic_load(&it.blocked.result), PAL_EINTR);
    interruption_end(&it);
}

/* Fifty signals, each seen to be handled, then a byte: the call returns with the byte. */
static void expect_restart(struct interruption *it)
{
    assert_error(pal_thread_start(&it->thread, receive_blocking, &it->blocked), 0);
    for (int i = 0; i < 50; i++) {
        assert_error(signal_thread(it->thread, PAL_SIGUSR1), 0);
        rig_until_signal(&it->rig, PAL_SIGUSR1);
        cr_assert_eq(rig_turn(&it->rig, MILLISECOND_NS / 10), 0);
    }
    cr_assert(!atomic_load(&it->blocked.done), "the call ended with %d", (int)atomic_load(&it->blocked.result));
    send_text(it->other, "x");
    interruption_end(it);
    assert_error(atomic_load(&it->blocked.result), 1);
}

Test(calls_signals_more, a_watched_signal_restarts_a_blocking_call)
{
    static struct interruption it;

    interruption_begin(&it);
    expect_restart(&it);
}

Test(calls_signals_more, a_signal_that_interrupted_can_be_told_not_to)
{
    static struct interruption it;

    interruption_begin(&it);
    assert_error(signal_interrupt(PAL_SIGUSR1, 1), 0);
    assert_error(signal_interrupt(PAL_SIGUSR1, 0), 0);
    expect_restart(&it);
}

Test(calls_signals_more, only_a_watched_signal_can_be_told_to_interrupt)
{
    struct rig rig;

    (void)valid_signals();
    assert_error(signal_interrupt(PAL_SIGUSR1, 1), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    assert_error(signal_interrupt(PAL_SIGUSR1, 2), PAL_EINVAL);
    assert_error(signal_interrupt(PAL_SIGUSR1, -1), PAL_EINVAL);
    assert_error(signal_interrupt(PAL_SIGUSR1, 1), 0);
    assert_error(signal_raise(PAL_SIGUSR1), 0);
    rig_until_signal(&rig, PAL_SIGUSR1);
    rig_close(&rig);
}

/* ---- many ---- */

/* A signal after the other, each of which is sent from where the last was seen. */
Test(calls_signals_more, no_signal_of_a_chain_is_lost)
{
    struct rig rig;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGPROF);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    rig_watch_signal(&rig, PAL_SIGALRM);
    for (uint64_t i = 0; i < 500; i++) {
        int first = i % 2 ? PAL_SIGPROF : PAL_SIGUSR1;

        assert_error(signal_raise(first), 0);
        rig_until_signal(&rig, first);
        (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, 1000 + i * 20, 0);
        rig_until_signal(&rig, PAL_SIGALRM);
    }
    rig_close(&rig);
}

Test(calls_signals_more, no_signal_is_lost_among_others_at_the_same_time)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;

        (void)valid_signals();
        rig_open(&rig, events_max);
        rig_watch_signal(&rig, PAL_SIGUSR1);
        rig_watch_signal(&rig, PAL_SIGALRM);
        for (uint64_t i = 0; i < 500; i++) {
            (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, 1000 + i * 20, 0);
            assert_error(signal_raise(PAL_SIGUSR1), 0);
            rig_until_signal(&rig, PAL_SIGUSR1);
            rig_until_signal(&rig, PAL_SIGALRM);
        }
        rig_close(&rig);
    }
}

static void raise_until_done(void *done)
{
    while (!atomic_load((_Atomic bool *)done))
        (void)signal_raise(PAL_SIGUSR1);
}

Test(calls_signals_more, a_signal_may_come_while_its_watch_begins_and_ends)
{
    struct rig rig;
    pal_thread thread;
    _Atomic bool done = false;

    (void)valid_signals();
    rig_open(&rig, 2);
    assert_error(signal_dispose(PAL_SIGUSR1, PAL_SIGNAL_IGNORE, NULL), 0);
    assert_error(pal_thread_start(&thread, raise_until_done, &done), 0);
    for (int i = 0; i < 2000; i++) {
        rig_watch_signal(&rig, PAL_SIGUSR1);
        if (i % 100 == 0)
            rig_until_signal(&rig, PAL_SIGUSR1);
        rig.kept_count = 0;
        assert_error(pal_signal_watch(NULL, PAL_SIGUSR1, 0), 0);
    }
    atomic_store(&done, true);
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(signal_disposition(PAL_SIGUSR1), PAL_SIGNAL_IGNORE);
    rig_close(&rig);
}
