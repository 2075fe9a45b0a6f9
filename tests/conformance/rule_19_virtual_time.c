/* Rule 19: on a backend with virtual time the clock stands still while a thread runs and jumps to the next thing that
 * can happen while all wait. Elsewhere there is nothing to show. */
#include "conformance.h"

static void need_virtual_time(void)
{
    if (!has_caps(PAL_CAP_VIRTUAL_TIME))
        test_skip("virtual-time", "time is real on this backend");
}

Test(rule_19_virtual_time, an_hour_passes_in_one_wait)
{
    struct rig rig;
    uint64_t start_ns, deadline_ns;

    need_virtual_time();
    rig_open(&rig, 2);
    start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    deadline_ns = start_ns + UINT64_C(3600) * 1000000000;
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, deadline_ns), 0);
    cr_assert_eq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns);
    rig_close(&rig);
}

Test(rule_19_virtual_time, time_stands_still_while_the_program_runs)
{
    uint64_t start_ns = 0;

    need_virtual_time();
    start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(pal_clock(PAL_CLOCK_MONOTONIC), start_ns);
}

Test(rule_19_virtual_time, waiting_for_ever_for_nothing_is_told)
{
    struct rig rig;

    need_virtual_time();
    rig_open(&rig, 2);
    assert_error(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), PAL_EDEADLK);
    rig_close(&rig);
}

Test(rule_19_virtual_time, what_is_due_comes_before_time_moves)
{
    struct rig rig;
    pal_sock a, b;
    uint64_t start_ns;

    need_virtual_time();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    send_all(b, "x", 1);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), 1);
    cr_assert_eq(pal_clock(PAL_CLOCK_MONOTONIC), start_ns);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    pair_close(a, b);
    rig_close(&rig);
}

enum { LOOKS_MAX = 1000 };

/* Level-triggered readiness that nobody takes away must not hold up the world for ever. */
Test(rule_19_virtual_time, waits_for_what_stays_ready_let_time_pass)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UNIX_STREAM};

    need_virtual_time();
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        pal_sock a, b;
        uint64_t start_ns;
        int looks = 0;

        rig_open(&rig, 2);
        pair_open(kinds[i], &a, &b);
        send_all(b, "x", 1);
        rig_watch(&rig, a, PAL_IN, 1);
        (void)rig_until(&rig, 1, PAL_EV_READY);
        start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
        while (pal_clock(PAL_CLOCK_MONOTONIC) == start_ns && looks++ < LOOKS_MAX)
            cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), 1);
        cr_assert_lt(looks, LOOKS_MAX, "time stands still");
        rig_unwatch(&rig, a);
        start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
        looks = 0;
        while (pal_clock(PAL_CLOCK_MONOTONIC) == start_ns && looks++ < LOOKS_MAX)
            cr_assert_eq(sock_until(a, PAL_IN), PAL_IN);
        cr_assert_lt(looks, LOOKS_MAX, "time stands still");
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_19_virtual_time, looks_let_time_pass)
{
    struct rig rig;
    uint64_t start_ns;
    int looks = 0;

    need_virtual_time();
    rig_open(&rig, 2);
    start_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    while (pal_clock(PAL_CLOCK_MONOTONIC) == start_ns && looks++ < LOOKS_MAX)
        cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 0), 0);
    cr_assert_lt(looks, LOOKS_MAX, "time stands still");
    rig_close(&rig);
}
