/* Rule 12, its half about wakes: any thread may wake any poll; no wake is lost and a wait reports at most one. The
 * owner parks what it has seen in a counter, so that "lost" is a count and not a time. */
#include "conformance.h"

#include <stdatomic.h>

enum { WAKERS = 2, WAKES_EACH = 500000 };

/* A thread that announces, then wakes: a wait that comes after the announcement must see it. */
struct waker {
    pal_poll *poll;
    _Atomic uint32_t announced; /* written before each wake */
    int error;
    uint32_t wakes;
};

static void wake_many_times(void *arg)
{
    struct waker *waker = (struct waker *)arg;

    for (uint32_t i = 1; i <= waker->wakes && waker->error == 0; i++) {
        atomic_store_explicit(&waker->announced, i, memory_order_release);
        waker->error = pal_poll_wake(waker->poll);
    }
}

/* Waits for ever, and is over only because the last wake is not lost. */
static void count_wakes(struct rig *rig, const struct waker *wakers, uint32_t wakes)
{
    uint32_t seen[WAKERS] = {0};
    bool all = false;

    while (!all) {
        int count = pal_poll_wait(rig->poll, &rig->events, UINT64_MAX);
        int woken = 0;

        cr_assert_geq(count, 0, "wait failed: %s", pal_error_name(count));
        for (int i = 0; i < count; i++) {
            woken += rig->events[i].kind == PAL_EV_WAKE;
            cr_assert_eq(rig->events[i].data, 0, "a wake carries data");
            cr_assert_eq(rig->events[i].result, 0);
            cr_assert_eq(rig->events[i].ready, 0);
        }
        cr_assert_leq(woken, 1, "%d wakes in one wait", woken);
        if (woken == 0)
            continue;
        all = true;
        for (int i = 0; i < WAKERS; i++) {
            seen[i] = atomic_load_explicit(&wakers[i].announced, memory_order_acquire);
            all = all && seen[i] == wakes;
        }
    }
}

static void no_wake_is_lost(uint32_t wakes)
{
    struct rig rig;
    struct waker wakers[WAKERS];
    pal_thread threads[WAKERS];

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    for (int i = 0; i < WAKERS; i++) {
        wakers[i].poll = rig.poll;
        wakers[i].error = 0;
        wakers[i].wakes = wakes;
        atomic_init(&wakers[i].announced, 0);
        assert_error(pal_thread_start(&threads[i], wake_many_times, &wakers[i]), 0);
    }
    count_wakes(&rig, wakers, wakes);
    for (int i = 0; i < WAKERS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        assert_error(wakers[i].error, 0);
    }
    rig_close(&rig);
}

Test(rule_12_wake, a_million_wakes_from_two_threads_are_seen)
{
    no_wake_is_lost(WAKES_EACH);
}

Test(rule_12_wake, a_single_wake_is_seen_by_a_wait_without_end)
{
    for (int i = 0; i < 300; i++)
        no_wake_is_lost(1);
}

/* ---- ping-pong: each wake must arrive before the next is sent, so one that is lost hangs both ---- */

enum { ROUNDS = 20000 };

struct partner {
    pal_poll *mine, *theirs;
    int error;
    _Atomic uint32_t released; /* nobody is inside a wake of mine any more */
};

/* Answers each wake with one, then closes its poll when nobody can be waking it. */
static void answer_wakes(void *arg)
{
    struct partner *partner = (struct partner *)arg;
    const struct pal_event *events;

    for (int round = 0; round < ROUNDS && partner->error == 0; round++) {
        int count = 0;

        while (count == 0)
            count = pal_poll_wait(partner->mine, &events, UINT64_MAX);
        if (count != 1 || events[0].kind != PAL_EV_WAKE)
            partner->error = count < 0 ? count : PAL_EPROTO;
        else
            partner->error = pal_poll_wake(partner->theirs);
    }
    while (atomic_load(&partner->released) == 0)
        (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS);
    if (partner->error == 0)
        partner->error = pal_poll_close(partner->mine);
}

Test(rule_12_wake, a_wake_is_answered_with_a_wake)
{
    struct rig rig;
    struct partner partner = {NULL, NULL, 0, 0};
    pal_thread thread;

    rig_open(&rig, 2);
    assert_error(pal_poll_open(&partner.mine, NULL), 0);
    partner.theirs = rig.poll;
    assert_error(pal_thread_start(&thread, answer_wakes, &partner), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int count = 0;

        assert_error(pal_poll_wake(partner.mine), 0);
        while (count == 0)
            count = pal_poll_wait(rig.poll, &rig.events, UINT64_MAX);
        cr_assert_eq(count, 1);
        cr_assert_eq(rig.events[0].kind, PAL_EV_WAKE);
    }
    atomic_store(&partner.released, 1);
    assert_error(pal_thread_join(thread), 0);
    assert_error(partner.error, 0);
    rig_close(&rig);
}

/* ---- alone ---- */

Test(rule_12_wake, many_wakes_between_waits_are_one_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;

        rig_open(&rig, events_max);
        for (int i = 0; i < 1000; i++)
            assert_error(pal_poll_wake(rig.poll), 0);
        cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), 1);
        cr_assert_eq(rig.events[0].kind, PAL_EV_WAKE);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(rig_turn(&rig, MILLISECOND_NS), 0, "a wake is reported twice");
        rig_close(&rig);
    }
}

Test(rule_12_wake, a_wake_before_the_first_wait_counts)
{
    pal_poll *poll;
    const struct pal_event *events;

    assert_error(pal_poll_open(&poll, NULL), 0);
    assert_error(pal_poll_wake(poll), 0);
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 1);
    cr_assert_eq(events[0].kind, PAL_EV_WAKE);
    assert_error(pal_poll_close(poll), 0);
}

Test(rule_12_wake, a_wake_shows_in_a_wait_that_only_looks)
{
    struct rig rig;

    rig_open(&rig, 2);
    assert_error(pal_poll_wake(rig.poll), 0);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 0), 1);
    cr_assert_eq(rig.events[0].kind, PAL_EV_WAKE);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 0), 0);
    rig_close(&rig);
}

Test(rule_12_wake, a_poll_closes_with_a_wake_unseen)
{
    pal_poll *poll;

    assert_error(pal_poll_open(&poll, NULL), 0);
    assert_error(pal_poll_wake(poll), 0);
    assert_error(pal_poll_close(poll), 0);
}
