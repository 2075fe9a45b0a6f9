/* signals_more.c: pal_signal_mask and pal_signal_ctl beside handlers of the program's own, children, fork and the C
 * library, and what they cost. See signals.c for watched signals, and tests/conformance/calls_signals.c. Rule 15. */
#include "../conformance/signal_calls.h"
#include "kernel.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled;

static void count_handled(int number)
{
    (void)number;
    handled++;
}

static void install(int number, int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = count_handled;
    action.sa_flags = flags;
    (void)sigaddset(&action.sa_mask, SIGUSR2);
    cr_assert_eq(sigaction(number, &action, NULL), 0);
}

static struct sigaction action_of(int number)
{
    struct sigaction action;

    cr_assert_eq(sigaction(number, NULL, &action), 0);
    return action;
}

/* ---- handlers of the program's own ---- */

Test(signals_more, a_handler_of_the_programs_own_is_foreign)
{
    int32_t was = -1;

    install(SIGUSR1, 0);
    cr_assert_eq(signal_disposition(SIGUSR1), PAL_SIGNAL_FOREIGN);
    assert_error(signal_raise(SIGUSR1), 0);
    cr_assert_eq(handled, 1);
    assert_error(signal_interrupt(SIGUSR1, 1), PAL_EINVAL);
    assert_error(signal_dispose(SIGUSR1, PAL_SIGNAL_IGNORE, &was), 0);
    cr_assert_eq(was, PAL_SIGNAL_FOREIGN);
    assert_error(signal_raise(SIGUSR1), 0);
    cr_assert_eq(handled, 1);
}

Test(signals_more, a_handler_comes_back_with_its_flags_and_its_mask)
{
    struct sigaction action;
    struct rig rig;

    install(SIGUSR1, SA_NODEFER);
    rig_open(&rig, 2);
    rig_watch_signal(&rig, SIGUSR1);
    cr_assert_eq(signal_disposition(SIGUSR1), PAL_SIGNAL_WATCHED);
    assert_error(signal_interrupt(SIGUSR1, 1), 0);
    assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    action = action_of(SIGUSR1);
    cr_assert(action.sa_handler == count_handled);
    cr_assert_eq(action.sa_flags & (SA_NODEFER | SA_RESTART), SA_NODEFER);
    cr_assert_eq(sigismember(&action.sa_mask, SIGUSR2), 1);
    cr_assert_eq(sigismember(&action.sa_mask, SIGHUP), 0);
    rig_close(&rig);
}

Test(signals_more, a_watch_begins_restarting_whatever_the_last_one_did)
{
    struct rig rig;

    rig_open(&rig, 2);
    for (int round = 0; round < 2; round++) {
        rig_watch_signal(&rig, SIGUSR1);
        cr_assert(action_of(SIGUSR1).sa_flags & SA_RESTART);
        assert_error(signal_interrupt(SIGUSR1, 1), 0);
        cr_assert_not(action_of(SIGUSR1).sa_flags & SA_RESTART);
        rig_watch_signal(&rig, SIGUSR1); /* other data, if it were: the same watch */
        cr_assert_not(action_of(SIGUSR1).sa_flags & SA_RESTART);
        assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    }
    rig_close(&rig);
}

/* ---- masks ---- */

/* The kernel's own view of this thread's mask: the C library hides what it keeps for itself. */
static uint64_t kernels_mask(void)
{
    uint64_t set = 0;

    cr_assert_eq(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, sizeof(set)), 0);
    return set;
}

Test(signals_more, what_the_c_library_keeps_for_itself_is_not_blocked)
{
    uint64_t valid = valid_signals();

    signal_change_mask(PAL_SIGNAL_SET, UINT64_MAX);
    cr_assert_eq(kernels_mask() & ~valid, 0, "%#lx is blocked", (unsigned long)(kernels_mask() & ~valid));
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        cr_assert(kernels_mask() & bit_of(number), "real-time signal %d is not blocked", number);
    signal_change_mask(PAL_SIGNAL_BLOCK, UINT64_MAX);
    cr_assert_eq(kernels_mask() & ~valid, 0);
}

Test(signals_more, the_seams_mask_is_the_systems)
{
    sigset_t set;

    signal_change_mask(PAL_SIGNAL_SET, bit_of(SIGUSR1) | bit_of(SIGRTMAX));
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    for (int number = 1; number <= SIGRTMAX; number++)
        cr_assert_eq(sigismember(&set, number) == 1, number == SIGUSR1 || number == SIGRTMAX, "%d", number);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &set, NULL), 0);
    cr_assert_eq(signal_mask(), bit_of(SIGHUP));
}

/* ---- waiting ---- */

Test(signals_more, a_wait_tells_what_was_sent_along)
{
    struct pal_signal_info info;
    union sigval value;

    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(SIGRTMIN));
    value.sival_ptr = (void *)(uintptr_t)0x12345678;
    cr_assert_eq(sigqueue(getpid(), SIGRTMIN, value), 0);
    assert_error(signal_wait(&info, bit_of(SIGRTMIN), 0), 0);
    cr_assert_eq(info.number, SIGRTMIN);
    cr_assert_eq(info.code, SI_QUEUE);
    cr_assert_eq(info.value, 0x12345678);
    cr_assert_eq(info.process, (uint32_t)getpid());
    cr_assert_eq(info.user, getuid());
    cr_assert(info.status == 0 && info.band == 0 && info.error == 0);
}

static void expect_child(int exit_by, int code, int status)
{
    struct pal_signal_info info;
    pid_t child;

    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(SIGCHLD));
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        if (exit_by > 0)
            (void)raise(exit_by);
        _exit(status);
    }
    assert_error(signal_wait(&info, bit_of(SIGCHLD), UINT64_MAX), 0);
    cr_assert_eq(info.number, SIGCHLD);
    cr_assert_eq(info.code, code);
    cr_assert_eq(info.status, status);
    cr_assert_eq(info.process, (uint32_t)child);
    cr_assert(info.value == 0 && info.band == 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(signals_more, a_wait_tells_how_a_child_has_ended)
{
    expect_child(0, CLD_EXITED, 7);
    expect_child(SIGKILL, CLD_KILLED, SIGKILL);
}

Test(signals_more, a_wait_tells_what_is_ready)
{
    struct pal_signal_info info;
    int ends[2];

    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(SIGIO));
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(fcntl(ends[0], F_SETOWN, getpid()), 0);
    cr_assert_eq(fcntl(ends[0], F_SETSIG, SIGIO), 0);
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_ASYNC), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    assert_error(signal_wait(&info, bit_of(SIGIO), UINT64_MAX), 0);
    cr_assert(info.band & POLLIN, "%#lx", (unsigned long)info.band);
    cr_assert(info.process == 0 && info.user == 0 && info.value == 0 && info.status == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* A wait for nothing is a pause: what ends it is that some signal was handled. */
Test(signals_more, a_handled_signal_ends_a_wait_for_others)
{
    struct pal_signal_info info;

#ifndef __GLIBC__
    test_skip("glibc", "this C library waits on by itself");
#endif
    install(SIGALRM, SA_RESTART);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, MILLISECOND_NS, MILLISECOND_NS);
    assert_error(signal_wait(&info, 0, UINT64_MAX), PAL_EINTR);
    assert_error(signal_wait(&info, bit_of(SIGUSR1), deadline_ms(10000)), PAL_EINTR);
    (void)signal_set_timer(PAL_SIGNAL_TIMER_REAL, 0, 0);
    cr_assert_gt(handled, 0);
}

/* ---- fork ---- */

static void take_over(void *arg)
{
    pal_poll *parents = (pal_poll *)arg, *own = must_open_poll(2, 0);
    const struct pal_event *events;
    int32_t pair[2] = {SIGUSR1, PAL_SIGNAL_IGNORE}, number = SIGUSR1;
    uint64_t pending = UINT64_MAX;

    must(pal_signal_ctl(PAL_SIGNAL_PENDING, &pending, sizeof(pending)) == 0 && pending == 0);
    must(pal_signal_watch(parents, SIGUSR1, 3) == PAL_EFORKED);
    must(pal_signal_ctl(PAL_SIGNAL_RAISE, &number, sizeof(number)) == 0); /* for a dead poll: nothing */
    must(pal_poll_wait(own, &events, 0) == 0);
    must(pal_signal_watch(own, SIGUSR1, 4) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_RAISE, &number, sizeof(number)) == 0);
    must(pal_poll_wait(own, &events, 0) == 1);
    must(events[0].kind == PAL_EV_SIGNAL && events[0].data == 4);
    must(pal_signal_ctl(PAL_SIGNAL_DISPOSITION, pair, sizeof(pair)) == PAL_EBUSY);
    must(pal_signal_watch(NULL, SIGUSR1, 0) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)) == 0 && pair[1] == PAL_SIGNAL_DEFAULT);
    must(pal_poll_close(own) == 0);
}

static void dispose_of_inherited(void *arg)
{
    int32_t pair[2] = {SIGUSR1, PAL_SIGNAL_IGNORE}, number = SIGUSR1;

    (void)arg;
    must(pal_signal_ctl(PAL_SIGNAL_INTERRUPT, &(int32_t[2]){SIGUSR1, 1}, sizeof(int32_t[2])) == PAL_EINVAL);
    must(pal_signal_ctl(PAL_SIGNAL_DISPOSITION, pair, sizeof(pair)) == 0 && pair[1] == PAL_SIGNAL_WATCHED);
    must(pal_signal_ctl(PAL_SIGNAL_RAISE, &number, sizeof(number)) == 0);
    must(pal_signal_watch(NULL, SIGUSR1, 0) == 0); /* there is no watch: nothing is put back */
    must(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)) == 0 && pair[1] == PAL_SIGNAL_IGNORE);
}

Test(signals_more, a_child_does_as_it_likes_with_what_its_parent_watches)
{
    struct rig rig;

    rig_open(&rig, 2);
    rig_watch_signal(&rig, SIGUSR1);
    signal_change_mask(PAL_SIGNAL_BLOCK, bit_of(SIGUSR2));
    assert_error(signal_raise(SIGUSR2), 0); /* pending here, and not in the child */
    in_child(take_over, rig.poll);
    in_child(dispose_of_inherited, NULL);
    assert_error(signal_raise(SIGUSR1), 0);
    rig_until_signal(&rig, SIGUSR1);
    rig_close(&rig);
}

/* ---- two who want the same ---- */

enum { RACES = 200 };

struct contender {
    pal_thread thread;
    uint32_t *start; /* rounds that may begin */
    uint32_t done;   /* rounds that are over */
    int results[RACES];
};

/* Looks for a while before it sleeps, so that two who wait go on at the same time. */
static void until_reached(const uint32_t *count, uint32_t rounds)
{
    for (int i = 0; i < 20000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < rounds; i++)
        continue;
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < rounds)
        (void)pal_park(count, rounds - 1, UINT64_MAX);
}

static void reach(uint32_t *count, uint32_t rounds)
{
    __atomic_store_n(count, rounds, __ATOMIC_SEQ_CST);
    pal_unpark(count, 2);
}

static void contend(void *arg)
{
    struct contender *contender = (struct contender *)arg;
    pal_poll *poll = NULL;

    if (pal_poll_open(&poll, NULL) != 0)
        return;
    for (uint32_t round = 0; round < RACES; round++) {
        until_reached(contender->start, round + 1);
        contender->results[round] = pal_signal_watch(poll, SIGUSR1, round);
        reach(&contender->done, round + 1);
    }
    until_reached(contender->start, RACES + 1); /* to close the poll is to end its watch */
    (void)pal_poll_close(poll);
}

Test(signals_more, of_two_polls_that_watch_a_signal_at_once_one_gets_it)
{
    static struct contender contenders[2];
    uint32_t start = 0;

    for (int i = 0; i < 2; i++) {
        contenders[i].start = &start;
        assert_error(pal_thread_start(&contenders[i].thread, contend, &contenders[i]), 0);
    }
    for (uint32_t round = 0; round < RACES; round++) {
        int won = 0;

        reach(&start, round + 1);
        for (int i = 0; i < 2; i++) {
            until_reached(&contenders[i].done, round + 1);
            won += contenders[i].results[round] == 0;
            cr_assert(contenders[i].results[round] == 0 || contenders[i].results[round] == PAL_EBUSY);
        }
        cr_assert_eq(won, 1, "%d polls watch one signal", won);
        assert_error(pal_signal_watch(NULL, SIGUSR1, 0), 0);
    }
    reach(&start, RACES + 1);
    for (int i = 0; i < 2; i++)
        assert_error(pal_thread_join(contenders[i].thread), 0);
    cr_assert(action_of(SIGUSR1).sa_handler == SIG_DFL);
}

/* ---- costs ---- */

static void one_call_each(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    struct pal_signal_timer timer = {0};
    struct pal_signal_info info = {0};
    int32_t pair[2] = {SIGUSR1, PAL_SIGNAL_IGNORE};
    uint64_t set = 0;

    (void)arg;
    must(pal_signal_watch(poll, SIGUSR1, 1) == 0); /* the first in a process costs more */
    must(pal_signal_watch(NULL, SIGUSR1, 0) == 0);
    syscount_begin();
    must(pal_signal_watch(poll, SIGUSR2, 1) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_INTERRUPT, &(int32_t[2]){SIGUSR2, 1}, sizeof(int32_t[2])) == 0);
    must(pal_signal_watch(NULL, SIGUSR2, 0) == 0);
    must(pal_signal_mask(PAL_SIGNAL_SET, &set, &set) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_PENDING, &set, sizeof(set)) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_WAIT, &info, sizeof(info)) == PAL_ETIMEDOUT);
    must(pal_signal_ctl(PAL_SIGNAL_TIMER_REAL, &timer, sizeof(timer)) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_DISPOSITION, pair, sizeof(pair)) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)) == 0);
    must(pal_signal_ctl(PAL_SIGNAL_VALID, &set, sizeof(set)) == 0);
    syscount_end();
}

static void raised(void *arg)
{
    int32_t number = SIGUSR1;

    (void)arg;
    must(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    syscount_begin();
    must(pal_signal_ctl(PAL_SIGNAL_RAISE, &number, sizeof(number)) == 0);
    syscount_end();
}

Test(signals_more, each_request_is_the_calls_that_it_is_said_to_be)
{
    cr_assert_eq(calls_of(one_call_each, NULL).total, 9);
    cr_assert_leq(calls_of(raised, NULL).total, 3);
}
