/* signals.c: SIGPIPE never arrives, nothing is installed that was not asked for, handlers may wake a poll, and watched
 * signals arrive as events and are put back afterwards. Rules 12 and 15. */
#include "kernel.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t pipes_signalled;

static void count_sigpipe(int number)
{
    (void)number;
    pipes_signalled++;
}

/* Sends into streams whose readers are gone, in every way there is. */
static void send_into_the_void(void)
{
    for (int kind = 0; kind < 3; kind++) {
        for (enum receive_mode mode = BY_WATCH; mode < RECEIVE_MODES; mode = (enum receive_mode)(mode + 1)) {
            struct rig rig;
            pal_sock ends[2];
            int32_t result = 1;

            rig_open(&rig, 2);
            if (kind == 0)
                assert_error(pal_pipe(ends, 0), 0);
            else
                pair_open(kind == 1 ? PAIR_TCP4 : PAIR_UNIX_STREAM, &ends[0], &ends[1]);
            assert_error(pal_sock_close(ends[0]), 0);
            for (int i = 0; i < 10000 && result != PAL_EPIPE; i++)
                result = send_some(&rig, mode, ends[1], "gone", 4);
            assert_error(result, PAL_EPIPE);
            assert_error(pal_sock_close(ends[1]), 0);
            rig_close(&rig);
        }
    }
}

Test(signals, sigpipe_at_its_default_does_not_kill)
{
    cr_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    send_into_the_void();
}

Test(signals, a_handler_of_sigpipe_is_not_called)
{
    cr_assert(signal(SIGPIPE, count_sigpipe) != SIG_ERR);
    send_into_the_void();
    cr_assert_eq(pipes_signalled, 0);
}

Test(signals, a_blocked_sigpipe_is_not_left_pending)
{
    sigset_t set;

    cr_assert_eq(sigemptyset(&set), 0);
    cr_assert_eq(sigaddset(&set, SIGPIPE), 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    send_into_the_void();
    cr_assert_eq(sigpending(&set), 0);
    cr_assert_eq(sigismember(&set, SIGPIPE), 0, "SIGPIPE is pending");
}

Test(signals, a_sigpipe_that_is_pending_already_is_kept)
{
    sigset_t set;

    cr_assert_eq(sigemptyset(&set), 0);
    cr_assert_eq(sigaddset(&set, SIGPIPE), 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    cr_assert_eq(raise(SIGPIPE), 0);
    send_into_the_void();
    cr_assert_eq(sigpending(&set), 0);
    cr_assert_eq(sigismember(&set, SIGPIPE), 1, "somebody else's SIGPIPE was eaten");
}

/* ---- nothing hidden ---- */

static int threads_running(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = -2;

    cr_assert_not_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

Test(signals, no_handler_no_mask_and_no_thread_appears)
{
    struct sigaction before[SIGRTMAX + 1], after;
    sigset_t mask_before, mask_after;
    struct rig rig;
    pal_sock a, b;
    char byte;
    int threads = threads_running();

    for (int number = 1; number <= SIGRTMAX; number++)
        (void)sigaction(number, NULL, &before[number]);
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &mask_before), 0);
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    cr_assert_eq(send_some(&rig, BY_OP, b, "x", 1), 1);
    cr_assert_eq(receive_some(&rig, BY_WATCH, a, &byte, 1), 1);
    assert_error(pal_poll_wake(rig.poll), 0);
    (void)rig_until(&rig, 0, PAL_EV_WAKE);
    send_into_the_void();
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &after) != 0)
            continue;
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): asked for above */
        cr_expect(after.sa_handler == before[number].sa_handler, "signal %d has another handler", number);
    }
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &mask_after), 0);
    for (int number = 1; number <= SIGRTMAX; number++)
        cr_expect_eq(sigismember(&mask_after, number), sigismember(&mask_before, number), "mask of %d", number);
    cr_assert_eq(threads_running(), threads, "a thread nobody asked for");
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- waking from a handler ---- */

static pal_poll *woken_poll;
static _Atomic uint32_t handled;

static void wake_from_handler(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
    (void)pal_poll_wake(woken_poll); /* NOLINT(bugprone-signal-handler,cert-sig30-c): that it may be is the test */
}

enum { ALARMS = 3000 };

/* Sends a signal to the process, and the next only when the last has been seen to wake the poll. */
struct alarms {
    pthread_t target;
    _Atomic uint32_t seen; /* by the owner: signals that were handled before an EV_WAKE */
    _Atomic bool failed;
};

static void send_alarms(void *arg)
{
    struct alarms *alarms = (struct alarms *)arg;
    sigset_t set;

    (void)sigfillset(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (uint32_t i = 1; i <= ALARMS && !atomic_load(&alarms->failed); i++) {
        (void)pthread_kill(alarms->target, SIGUSR1);
        while (atomic_load(&alarms->seen) < i && !atomic_load(&alarms->failed))
            (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + 1000);
    }
}

Test(signals, no_wake_from_a_handler_is_lost)
{
    struct alarms alarms;
    struct rig rig;
    pal_thread thread;

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    woken_poll = rig.poll;
    alarms.target = pthread_self();
    atomic_init(&alarms.seen, 0);
    atomic_init(&alarms.failed, false);
    cr_assert(signal(SIGUSR1, wake_from_handler) != SIG_ERR);
    assert_error(pal_thread_start(&thread, send_alarms, &alarms), 0);
    while (atomic_load(&alarms.seen) < ALARMS) {
        int count = pal_poll_wait(rig.poll, &rig.events, UINT64_MAX);

        cr_assert(count == 0 || count == 1, "%d events", count);
        if (count == 1) {
            cr_assert_eq(rig.events[0].kind, PAL_EV_WAKE);
            atomic_store(&alarms.seen, atomic_load(&handled));
        }
    }
    assert_error(pal_thread_join(thread), 0);
    cr_assert_eq(atomic_load(&handled), ALARMS);
    rig_close(&rig);
}

static void do_nothing(int number)
{
    (void)number;
}

/* A wait that a signal interrupts, which SIGALRM does here again and again until it is seen. */
Test(signals, a_signal_that_wakes_nobody_ends_a_wait_early_with_nothing)
{
    struct sigaction action;
    struct rig rig;

    memset(&action, 0, sizeof(action));
    action.sa_handler = do_nothing;
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    rig_open(&rig, 2);
    (void)ualarm(1000, 1000);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), 0);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, deadline_ms(10000)), 0);
    (void)ualarm(0, 0);
    rig_close(&rig);
}

/* ---- watched signals ---- */

static void is_restored(int number, void (*handler)(int))
{
    struct sigaction action;

    cr_assert_eq(sigaction(number, NULL, &action), 0);
    cr_assert(action.sa_handler == handler, "signal %d is not put back", number);
}

Test(signals, a_watched_signal_is_an_event_and_is_put_back)
{
    static const int numbers[] = {SIGTERM, SIGUSR1};

    cr_assert(signal(SIGUSR1, do_nothing) != SIG_ERR);
    for (size_t i = 0; i < 2; i++) {
        struct rig rig;
        struct pal_event event;

        rig_open(&rig, 2);
        assert_error(pal_signal_watch(rig.poll, numbers[i], 77 + i), 0);
        for (int round = 0; round < 3; round++) {
            cr_assert_eq(raise(numbers[i]), 0);
            event = rig_until(&rig, 77 + i, PAL_EV_SIGNAL);
            cr_assert_eq(event.result, numbers[i]);
            cr_assert_eq(event.ready, 0);
        }
        for (int times = 0; times < 5; times++)
            cr_assert_eq(raise(numbers[i]), 0);
        (void)rig_until(&rig, 77 + i, PAL_EV_SIGNAL);
        rig_silent(&rig, 77 + i, 3); /* several at once are one event */
        assert_error(pal_signal_watch(NULL, numbers[i], 0), 0);
        is_restored(numbers[i], numbers[i] == SIGTERM ? SIG_DFL : do_nothing);
        rig_close(&rig);
    }
}

Test(signals, two_watched_signals_at_once_are_two_events)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;

        rig_open(&rig, events_max);
        assert_error(pal_signal_watch(rig.poll, SIGTERM, 1), 0);
        assert_error(pal_signal_watch(rig.poll, SIGUSR1, 2), 0);
        assert_error(pal_signal_watch(rig.poll, SIGUSR2, 3), 0);
        cr_assert_eq(raise(SIGUSR2), 0);
        cr_assert_eq(raise(SIGTERM), 0);
        cr_assert_eq(raise(SIGUSR1), 0);
        assert_error(pal_poll_wake(rig.poll), 0);
        cr_assert_eq(rig_until(&rig, 1, PAL_EV_SIGNAL).result, SIGTERM);
        cr_assert_eq(rig_until(&rig, 2, PAL_EV_SIGNAL).result, SIGUSR1);
        cr_assert_eq(rig_until(&rig, 3, PAL_EV_SIGNAL).result, SIGUSR2);
        (void)rig_until(&rig, 0, PAL_EV_WAKE);
        cr_assert_eq(rig_turn(&rig, MILLISECOND_NS), 0);
        assert_error(pal_signal_watch(NULL, SIGTERM, 0), 0);
        assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
        assert_error(pal_signal_watch(NULL, SIGUSR2, 0), 0);
        rig_close(&rig);
    }
}

static void kill_from_thread(void *arg)
{
    (void)kill(getpid(), *(const int *)arg);
}

Test(signals, a_watched_signal_ends_a_wait_without_end)
{
    int number = SIGTERM;
    struct rig rig;
    pal_thread thread;
    int count = 0;

    rig_open(&rig, 2);
    assert_error(pal_signal_watch(rig.poll, SIGTERM, 9), 0);
    assert_error(pal_thread_start(&thread, kill_from_thread, &number), 0);
    while (count == 0)
        count = pal_poll_wait(rig.poll, &rig.events, UINT64_MAX);
    cr_assert_eq(count, 1);
    cr_assert_eq(rig.events[0].kind, PAL_EV_SIGNAL);
    cr_assert_eq(rig.events[0].data, 9);
    assert_error(pal_thread_join(thread), 0);
    assert_error(pal_signal_watch(NULL, SIGTERM, 0), 0);
    rig_close(&rig);
}

Test(signals, a_signal_belongs_to_one_poll_until_that_closes)
{
    struct rig first, second;

    rig_open(&first, 2);
    rig_open(&second, 2);
    assert_error(pal_signal_watch(first.poll, SIGUSR1, 1), 0);
    assert_error(pal_signal_watch(second.poll, SIGUSR1, 2), PAL_EBUSY);
    assert_error(pal_signal_watch(first.poll, SIGUSR1, 3), 0);
    cr_assert_eq(raise(SIGUSR1), 0);
    (void)rig_until(&first, 3, PAL_EV_SIGNAL);
    cr_assert_eq(rig_turn(&second, MILLISECOND_NS), 0);
    rig_close(&first);
    is_restored(SIGUSR1, SIG_DFL);
    assert_error(pal_signal_watch(second.poll, SIGUSR1, 2), 0);
    cr_assert_eq(raise(SIGUSR1), 0);
    (void)rig_until(&second, 2, PAL_EV_SIGNAL);
    assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    rig_close(&second);
}

Test(signals, a_watched_signal_gets_its_turn_among_ready_sockets)
{
    struct rig rig;
    pal_sock a[4], b[4];
    bool seen = false;

    rig_open(&rig, 2);
    for (int i = 0; i < 4; i++) {
        pair_open(PAIR_UNIX_STREAM, &a[i], &b[i]);
        assert_error(pal_watch(rig.poll, a[i], PAL_OUT, 1), 0);
    }
    assert_error(pal_signal_watch(rig.poll, SIGUSR1, 9), 0);
    (void)rig_turn(&rig, MILLISECOND_NS);
    cr_assert_eq(raise(SIGUSR1), 0);
    for (int turn = 0; turn < 4 && !seen; turn++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        seen = rig_kept(&rig, 9) == 1;
    }
    cr_assert(seen, "a signal is starved by ready sockets");
    assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    for (int i = 0; i < 4; i++) {
        assert_error(pal_watch(rig.poll, a[i], 0, 0), 0);
        pair_close(a[i], b[i]);
    }
    rig_close(&rig);
}

/* ---- a poll inside a foreign loop ---- */

static int native_is_readable(intptr_t native)
{
    struct pollfd item = {.fd = (int)native, .events = POLLIN};

    return poll(&item, 1, 0);
}

Test(signals, a_nested_poll_is_readable_for_sockets_wakes_signals_and_finished_ops)
{
    struct rig rig;
    struct pal_op op;
    pal_sock ends[2];
    intptr_t native;
    char byte;

    rig_open(&rig, 16);
    if (pal_poll_native(rig.poll, &native) == PAL_ENOTSUP) {
        rig_close(&rig);
        test_skip("nesting", "this backend has no descriptor to nest");
    }
    cr_assert_eq(native_is_readable(native), 0);
    assert_error(pal_poll_wake(rig.poll), 0);
    cr_assert_eq(native_is_readable(native), 1, "a wake");
    (void)rig_until(&rig, 0, PAL_EV_WAKE);
    cr_assert_eq(native_is_readable(native), 0);
    assert_error(pal_signal_watch(rig.poll, SIGUSR1, 5), 0);
    cr_assert_eq(raise(SIGUSR1), 0);
    cr_assert_eq(native_is_readable(native), 1, "a signal");
    (void)rig_until(&rig, 5, PAL_EV_SIGNAL);
    assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    pair_open(PAIR_UNIX_STREAM, &ends[0], &ends[1]);
    op = op_recv(ends[0], 6, &byte, 1);
    assert_error(pal_submit(rig.poll, &op), 0);
    assert_error(pal_cancel(rig.poll, &op), 0);
    cr_assert_eq(native_is_readable(native), 1, "a finished op");
    (void)rig_until(&rig, 6, PAL_EV_OP);
    assert_error(pal_watch(rig.poll, ends[0], PAL_IN, 8), 0);
    assert_error(pal_sock_send(ends[1], "x", 1, 0), 1);
    cr_assert_eq(native_is_readable(native), 1, "a ready socket");
    assert_error(pal_watch(rig.poll, ends[0], 0, 0), 0);
    pair_close(ends[0], ends[1]);
    rig_close(&rig);
}
