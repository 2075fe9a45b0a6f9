/* idle.c: what idling costs, counted in system calls: a poll that blocks makes none while it idles, one that spins
 * never sleeps and so is woken without a call, one that backs off sleeps in the end. Rules 10 and 12. */
#include "kernel.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

enum { IDLE_MS = 20, TURNS = 50 };

static void set_idle(pal_poll *poll, uint32_t strategy, uint64_t spin_ns)
{
    struct pal_idle idle = {.strategy = strategy, .spin_ns = spin_ns};
    must(pal_ctl(poll, PAL_CTL_IDLE, &idle, sizeof idle) == 0);
}

/* One wait of IDLE_MS in which nothing happens. */
static void idle_wait(void *arg)
{
    const struct pal_idle *idle = arg;
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    must_settle(poll);
    set_idle(poll, idle->strategy, idle->spin_ns);
    uint64_t end_ns = deadline_ms(IDLE_MS);
    syscount_begin();
    must(pal_poll_wait(poll, &events, end_ns) == 0);
    syscount_end();
    must(pal_clock(PAL_CLOCK_MONOTONIC) >= end_ns);
}

static struct syscount idle_calls(uint32_t strategy, uint64_t spin_ns)
{
    struct pal_idle idle = {.strategy = strategy, .spin_ns = spin_ns};
    return calls_of(idle_wait, &idle);
}

/* Sleeps: waits that were given time. The rest only look. */
static unsigned sleeps(const struct syscount *count)
{
    return count->by_number[SYS_epoll_pwait2];
}

Test(idle, a_blocking_wait_makes_no_call_while_it_idles)
{
    cr_assert_eq(idle_calls(PAL_IDLE_BLOCK, 0).total, 1);
}

Test(idle, a_spinning_wait_never_sleeps)
{
    struct syscount count = idle_calls(PAL_IDLE_SPIN, 0);
    cr_assert_gt(count.total, 1u);
    if (is_backend("epoll"))
        cr_assert_eq(sleeps(&count), 0u);
}

Test(idle, a_wait_that_backs_off_looks_and_then_sleeps)
{
    struct syscount count = idle_calls(PAL_IDLE_BACKOFF, 1000);
    cr_assert_gt(count.total, 1u);
    if (is_backend("epoll"))
        cr_assert_eq(sleeps(&count), 1u);
}

static void short_waits(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    (void)arg;
    must_settle(poll);
    set_idle(poll, PAL_IDLE_BACKOFF, 1000000);
    syscount_begin();
    for (int i = 0; i < 200; i++)
        must(pal_poll_wait(poll, &events, pal_clock(PAL_CLOCK_MONOTONIC) + 100000) == 0);
    syscount_end();
}

Test(idle, many_short_waits_without_an_event_sleep_in_the_end)
{
    struct syscount count = calls_of(short_waits, NULL);
    if (is_backend("epoll"))
        cr_assert_gt(sleeps(&count), 100u);
}

static void patient_wait(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    (void)arg;
    must_settle(poll);
    set_idle(poll, PAL_IDLE_BACKOFF, UINT64_MAX);
    syscount_begin();
    must(pal_poll_wait(poll, &events, deadline_ms(IDLE_MS)) == 0);
    syscount_end();
}

Test(idle, endless_patience_never_sleeps)
{
    struct syscount count = calls_of(patient_wait, NULL);
    if (is_backend("epoll"))
        cr_assert_eq(sleeps(&count), 0u);
}

/* ---- wakes ---- */

struct spinner {
    pal_poll *poll;
    _Atomic int woken;
};

static void spin_for_wakes(void *arg)
{
    struct spinner *spinner = arg;
    const struct pal_event *events;

    while (atomic_load(&spinner->woken) < TURNS) {
        int count = pal_poll_wait(spinner->poll, &events, UINT64_MAX);
        must(count >= 0);
        for (int i = 0; i < count; i++)
            if (events[i].kind == PAL_EV_WAKE)
                atomic_fetch_add(&spinner->woken, 1);
    }
}

static void wakes_of_a_spinning_owner(void *arg)
{
    const struct pal_config config = {.events_max = 2, .idle = PAL_IDLE_SPIN};
    struct spinner spinner = {.poll = NULL};
    pal_thread thread;

    (void)arg;
    must(pal_poll_open(&spinner.poll, &config) == 0);
    must(pal_thread_start(&thread, spin_for_wakes, &spinner) == 0);
    syscount_begin();
    for (int i = 0; i < TURNS; i++) {
        must(pal_poll_wake(spinner.poll) == 0);
        while (atomic_load(&spinner.woken) <= i)
            continue;
    }
    syscount_end();
    must(pal_thread_join(thread) == 0);
}

/* But for the moment in which a wait begins, when it says that it sleeps before it finds that it is to spin. */
Test(idle, a_wake_of_a_spinning_owner_is_no_call)
{
    cr_assert_lt(calls_of(wakes_of_a_spinning_owner, NULL).by_number[SYS_write], TURNS / 2u);
}
