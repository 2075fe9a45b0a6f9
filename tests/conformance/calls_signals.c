/* calls_signals.c: which signals there are, what each does, raising them, masks. Where a backend has no signals all of
 * it is skipped as [signals]. Each test is a process of its own, whose signals are as they were at its start. Waiting,
 * timers and threads are in calls_signals_more.c; handlers of the program's own, forks and what the C library keeps are
 * in tests/kernel/signals.c. */
#include "signal_calls.h"

#include <stdatomic.h>

/* ---- numbers, requests, sizes ---- */

Test(calls_signals, the_valid_ones_are_the_named_ones_and_more)
{
    static const int named[] = {PAL_SIGHUP,  PAL_SIGINT,  PAL_SIGQUIT, PAL_SIGABRT,  PAL_SIGKILL,  PAL_SIGUSR1,
                                PAL_SIGUSR2, PAL_SIGPIPE, PAL_SIGALRM, PAL_SIGTERM,  PAL_SIGCHLD,  PAL_SIGCONT,
                                PAL_SIGSTOP, PAL_SIGTSTP, PAL_SIGPROF, PAL_SIGWINCH, PAL_SIGVTALRM};
    uint64_t valid = valid_signals();

    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        cr_expect(valid & bit_of(named[i]), "signal %d is not valid", named[i]);
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++) {
        int32_t pair[2] = {number, 0};

        cr_expect_eq(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)), valid & bit_of(number) ? 0 : PAL_EINVAL,
                     "signal %d", number);
    }
}

static void refused_everywhere(int32_t number)
{
    struct rig rig;

    rig_open(&rig, 2);
    cr_expect_eq(pal_signal_watch(rig.poll, number, 1), PAL_EINVAL, "watching %d", number);
    cr_expect_str_neq(pal_reason(), "");
    cr_expect_eq(signal_dispose(number, PAL_SIGNAL_IGNORE, NULL), PAL_EINVAL, "ignoring %d", number);
    cr_expect_str_neq(pal_reason(), "");
    cr_expect_eq(signal_interrupt(number, 1), PAL_EINVAL, "interrupting by %d", number);
    cr_expect_str_neq(pal_reason(), "");
    rig_close(&rig);
}

Test(calls_signals, numbers_that_are_no_signals_are_refused)
{
    static const int32_t numbers[] = {0, -1, 65, 4242, INT32_MIN, INT32_MAX};
    uint64_t valid = valid_signals();

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int32_t pair[2] = {numbers[i], 0};

        refused_everywhere(numbers[i]);
        cr_expect_eq(signal_raise(numbers[i]), PAL_EINVAL, "raising %d", numbers[i]);
        cr_expect_eq(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)), PAL_EINVAL, "asking for %d", numbers[i]);
    }
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++) {
        if (valid & bit_of(number))
            continue;
        refused_everywhere(number);
        cr_expect_eq(signal_raise(number), PAL_EINVAL, "raising %d", number);
    }
}

Test(calls_signals, kill_and_stop_can_be_asked_for_and_not_changed)
{
    (void)valid_signals();
    refused_everywhere(PAL_SIGKILL);
    refused_everywhere(PAL_SIGSTOP);
    cr_assert_eq(signal_disposition(PAL_SIGKILL), PAL_SIGNAL_DEFAULT);
    cr_assert_eq(signal_disposition(PAL_SIGSTOP), PAL_SIGNAL_DEFAULT);
}

Test(calls_signals, each_request_has_its_argument)
{
    static const struct {
        int what;
        size_t size;
    } requests[] = {
        {PAL_SIGNAL_RAISE, 4},
        {PAL_SIGNAL_PENDING, 8},
        {PAL_SIGNAL_WAIT, sizeof(struct pal_signal_info)},
        {PAL_SIGNAL_TIMER_REAL, sizeof(struct pal_signal_timer)},
        {PAL_SIGNAL_TIMER_VIRTUAL, sizeof(struct pal_signal_timer)},
        {PAL_SIGNAL_TIMER_PROF, sizeof(struct pal_signal_timer)},
        {PAL_SIGNAL_DISPOSITION, 8},
        {PAL_SIGNAL_GET, 8},
        {PAL_SIGNAL_INTERRUPT, 8},
        {PAL_SIGNAL_THREAD, sizeof(struct pal_signal_target)},
        {PAL_SIGNAL_VALID, 8},
    };
    uint64_t room[16] = {0};

    (void)valid_signals();
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        cr_expect_eq(pal_signal_ctl(requests[i].what, room, requests[i].size - 1), PAL_EINVAL, "%d", requests[i].what);
        cr_expect_eq(pal_signal_ctl(requests[i].what, room, requests[i].size + 1), PAL_EINVAL, "%d", requests[i].what);
        cr_expect_eq(pal_signal_ctl(requests[i].what, room, 0), PAL_EINVAL, "%d", requests[i].what);
        cr_expect_eq(pal_signal_ctl(requests[i].what, NULL, requests[i].size), PAL_EINVAL, "%d", requests[i].what);
        cr_expect_str_neq(pal_reason(), "");
    }
    for (int what = -1; what <= PAL_SIGNAL_VALID + 1; what += PAL_SIGNAL_VALID + 2)
        cr_expect_eq(pal_signal_ctl(what, room, 8), PAL_EINVAL, "%d", what);
    cr_expect_eq(pal_signal_ctl(0, room, 0), PAL_EINVAL);
}

/* ---- what a signal does ---- */

Test(calls_signals, what_a_signal_does_is_told)
{
    struct rig rig;

    (void)valid_signals();
    assert_error(signal_dispose(PAL_SIGHUP, PAL_SIGNAL_DEFAULT, NULL), 0); /* nohup has it ignored */
    rig_open(&rig, 2);
    cr_assert_eq(signal_disposition(PAL_SIGHUP), PAL_SIGNAL_DEFAULT);
    rig_watch_signal(&rig, PAL_SIGHUP);
    cr_assert_eq(signal_disposition(PAL_SIGHUP), PAL_SIGNAL_WATCHED);
    assert_error(pal_signal_watch(NULL, PAL_SIGHUP, 0), 0);
    cr_assert_eq(signal_disposition(PAL_SIGHUP), PAL_SIGNAL_DEFAULT);
    rig_close(&rig);
}

Test(calls_signals, an_ignored_signal_does_nothing)
{
    int32_t was = -1;

    (void)valid_signals();
    assert_error(signal_dispose(PAL_SIGTERM, PAL_SIGNAL_IGNORE, &was), 0);
    cr_assert_eq(was, PAL_SIGNAL_DEFAULT);
    cr_assert_eq(signal_disposition(PAL_SIGTERM), PAL_SIGNAL_IGNORE);
    assert_error(signal_raise(PAL_SIGTERM), 0);
    cr_assert_eq(signals_pending(), 0);
    assert_error(signal_dispose(PAL_SIGTERM, PAL_SIGNAL_DEFAULT, &was), 0);
    cr_assert_eq(was, PAL_SIGNAL_IGNORE);
    cr_assert_eq(signal_disposition(PAL_SIGTERM), PAL_SIGNAL_DEFAULT);
}

Test(calls_signals, a_signal_that_was_ignored_is_ignored_again_after_its_watch)
{
    struct rig rig;

    (void)valid_signals();
    rig_open(&rig, 2);
    assert_error(signal_dispose(PAL_SIGUSR1, PAL_SIGNAL_IGNORE, NULL), 0);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    assert_error(signal_raise(PAL_SIGUSR1), 0);
    rig_until_signal(&rig, PAL_SIGUSR1);
    rig_close(&rig); /* ends the watch, too */
    cr_assert_eq(signal_disposition(PAL_SIGUSR1), PAL_SIGNAL_IGNORE);
    assert_error(signal_raise(PAL_SIGUSR1), 0);
}

Test(calls_signals, a_watched_signal_keeps_what_it_does)
{
    struct rig rig;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    assert_error(signal_dispose(PAL_SIGUSR1, PAL_SIGNAL_IGNORE, NULL), PAL_EBUSY);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(signal_raise(PAL_SIGUSR1), 0);
    rig_until_signal(&rig, PAL_SIGUSR1);
    assert_error(pal_signal_watch(NULL, PAL_SIGUSR1, 0), 0);
    assert_error(signal_dispose(PAL_SIGUSR1, PAL_SIGNAL_IGNORE, NULL), 0);
    rig_close(&rig);
}

Test(calls_signals, other_dispositions_are_refused)
{
    static const int32_t others[] = {PAL_SIGNAL_WATCHED, PAL_SIGNAL_FOREIGN, -1, 4};

    (void)valid_signals();
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_error(signal_dispose(PAL_SIGUSR1, others[i], NULL), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "");
    }
    cr_assert_eq(signal_disposition(PAL_SIGUSR1), PAL_SIGNAL_DEFAULT);
}

/* ---- raising ---- */

Test(calls_signals, a_raised_signal_has_been_handled_when_the_call_returns)
{
    struct rig rig;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGINT);
    for (int i = 0; i < 10; i++) {
        assert_error(signal_raise(PAL_SIGINT), 0);
        cr_assert_eq(rig_turn(&rig, 0), 1);
        cr_assert_eq(rig.events[0].kind, PAL_EV_SIGNAL);
        cr_assert_eq(rig.events[0].result, PAL_SIGINT);
    }
    rig_close(&rig);
}

Test(calls_signals, signals_that_came_together_are_told_in_ascending_order)
{
    static const int numbers[] = {PAL_SIGUSR2, PAL_SIGTERM, PAL_SIGHUP, PAL_SIGUSR1};
    static const int ordered[] = {PAL_SIGHUP, PAL_SIGUSR1, PAL_SIGUSR2, PAL_SIGTERM};
    struct rig rig;
    uint64_t set = 0;

    (void)valid_signals();
    rig_open(&rig, 16);
    for (int i = 0; i < 4; i++) {
        rig_watch_signal(&rig, numbers[i]);
        set |= bit_of(numbers[i]);
    }
    signal_change_mask(PAL_SIGNAL_BLOCK, set);
    for (int i = 0; i < 4; i++)
        assert_error(signal_raise(numbers[i]), 0);
    signal_change_mask(PAL_SIGNAL_UNBLOCK, set);
    cr_assert_eq(rig_turn(&rig, 0), 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(rig.events[i].result, ordered[i]);
    rig_close(&rig);
}

/* ---- masks ---- */

Test(calls_signals, nothing_is_blocked_or_pending_at_first)
{
    (void)valid_signals();
    cr_assert_eq(signal_mask() & (bit_of(PAL_SIGUSR1) | bit_of(PAL_SIGTERM) | bit_of(PAL_SIGALRM)), 0);
    cr_assert_eq(signals_pending(), 0);
}

Test(calls_signals, sets_are_added_taken_away_and_set)
{
    const uint64_t one = bit_of(PAL_SIGUSR1), two = bit_of(PAL_SIGUSR2), high = bit_of(PAL_SIGNAL_MAX);
    uint64_t before, old = 0, set = one | high;

    (void)valid_signals();
    before = signal_mask();
    assert_error(pal_signal_mask(PAL_SIGNAL_BLOCK, &set, &old), 0);
    cr_assert_eq(old, before);
    cr_assert_eq(signal_mask(), before | one | high);
    signal_change_mask(PAL_SIGNAL_BLOCK, two);
    cr_assert_eq(signal_mask(), before | one | two | high);
    set = one | high;
    assert_error(pal_signal_mask(PAL_SIGNAL_UNBLOCK, &set, &old), 0);
    cr_assert_eq(old, before | one | two | high);
    cr_assert_eq(signal_mask(), before | two);
    signal_change_mask(PAL_SIGNAL_SET, one);
    cr_assert_eq(signal_mask(), one);
    signal_change_mask(PAL_SIGNAL_SET, 0);
    cr_assert_eq(signal_mask(), 0);
}

Test(calls_signals, other_ways_to_change_a_mask_are_refused)
{
    uint64_t set = bit_of(PAL_SIGUSR1), before;

    (void)valid_signals();
    before = signal_mask();
    assert_error(pal_signal_mask(3, &set, NULL), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_signal_mask(-1, &set, NULL), PAL_EINVAL);
    assert_error(pal_signal_mask(1700, &set, NULL), PAL_EINVAL);
    assert_error(pal_signal_mask(1700, NULL, NULL), 0);
    cr_assert_eq(signal_mask(), before);
}

static void count_up(void *count)
{
    atomic_fetch_add((_Atomic int *)count, 1);
}

Test(calls_signals, blocking_all_blocks_all_but_kill_and_stop_and_harms_nobody)
{
    uint64_t valid = valid_signals(), all = UINT64_MAX, before, blocked;
    _Atomic int count = 0;
    pal_thread thread;

    assert_error(pal_signal_mask(PAL_SIGNAL_SET, &all, &before), 0);
    blocked = signal_mask();
    cr_assert_eq(blocked, valid & ~(bit_of(PAL_SIGKILL) | bit_of(PAL_SIGSTOP)), "%#lx", (unsigned long)blocked);
    assert_error(pal_thread_start(&thread, count_up, &count), 0);
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(atomic_load(&count), 1);
    signal_change_mask(PAL_SIGNAL_UNBLOCK, UINT64_MAX);
    cr_assert_eq(signal_mask(), 0);
    signal_change_mask(PAL_SIGNAL_SET, before);
}

static void look_at_mask(void *set)
{
    uint64_t own = bit_of(PAL_SIGUSR2);

    (void)pal_signal_mask(PAL_SIGNAL_BLOCK, &own, (uint64_t *)set);
}

Test(calls_signals, a_thread_begins_with_its_makers_mask_and_has_its_own)
{
    uint64_t set = bit_of(PAL_SIGUSR1), seen = 0;
    pal_thread thread;

    (void)valid_signals();
    signal_change_mask(PAL_SIGNAL_SET, set);
    assert_error(pal_thread_start(&thread, look_at_mask, &seen), 0);
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(seen, set);
    cr_assert_eq(signal_mask(), set, "another thread's mask is ours");
}

/* ---- pending ---- */

Test(calls_signals, a_blocked_signal_is_pending_and_handled_when_unblocked)
{
    const uint64_t set = bit_of(PAL_SIGUSR1);
    struct rig rig;

    (void)valid_signals();
    rig_open(&rig, 2);
    rig_watch_signal(&rig, PAL_SIGUSR1);
    signal_change_mask(PAL_SIGNAL_BLOCK, set);
    assert_error(signal_raise(PAL_SIGUSR1), 0);
    cr_assert_eq(signals_pending(), set);
    cr_assert_eq(rig_turn(&rig, 0), 0, "handled though it is blocked");
    signal_change_mask(PAL_SIGNAL_UNBLOCK, set);
    cr_assert_eq(signals_pending(), 0);
    cr_assert_eq(rig_turn(&rig, 0), 1);
    cr_assert_eq(rig.events[0].result, PAL_SIGUSR1);
    rig_close(&rig);
}
