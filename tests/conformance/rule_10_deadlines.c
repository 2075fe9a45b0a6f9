/* Rule 10: deadlines are absolute monotonic nanoseconds, 0 looks and returns, UINT64_MAX waits for ever, and none is
 * early. A clock is read here to see that the seam does not return before its own deadline, which holds on the slowest
 * machine; nothing is said about how late a wait may be. */
#include "conformance.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t now_ns(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

/* SplitMix64. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* A seed that is printed, so that a failure can be told about. */
static uint64_t fresh_seed(void)
{
    uint64_t seed = 0;

    assert_error(pal_random(&seed, sizeof(seed)), 0);
    printf("# seed %" PRIu64 "\n", seed);
    return seed;
}

/* 0 to 1 ms from now; every size of delay is about as frequent as its double, so most are far below 1 ms. */
static uint64_t random_deadline(uint64_t *state)
{
    uint64_t bits = next_random(state) % 21;

    return now_ns() + (next_random(state) & ((UINT64_C(1) << bits) - 1));
}

Test(rule_10_deadlines, a_storm_of_random_deadlines_has_none_early)
{
    enum { DEADLINES = 10000 };
    struct rig rig;
    uint64_t state = fresh_seed();

    rig_open(&rig, 2);
    for (int i = 0; i < DEADLINES; i++) {
        uint64_t deadline_ns = random_deadline(&state);
        int count = pal_poll_wait(rig.poll, &rig.events, deadline_ns);
        uint64_t end_ns = now_ns();

        cr_assert_eq(count, 0, "wait %d of an idle poll returned %d", i, count);
        cr_assert_geq(end_ns, deadline_ns, "wait %d is %" PRIu64 " ns early", i, deadline_ns - end_ns);
        if (has_caps(PAL_CAP_VIRTUAL_TIME))
            cr_assert_eq(end_ns, deadline_ns, "virtual time overshoots in wait %d", i);
    }
    rig_close(&rig);
}

Test(rule_10_deadlines, sleeping_without_a_poll_is_never_early)
{
    uint64_t state = fresh_seed();

    for (int i = 0; i < 1000; i++) {
        uint64_t deadline_ns = random_deadline(&state);

        assert_error(pal_sock_wait(NULL, 0, deadline_ns), 0);
        cr_assert_geq(now_ns(), deadline_ns, "sleep %d ended early", i);
    }
}

Test(rule_10_deadlines, waiting_for_silent_sockets_without_a_poll_is_never_early)
{
    uint64_t state = fresh_seed();
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    for (int i = 0; i < 1000; i++) {
        uint64_t deadline_ns = random_deadline(&state);
        struct pal_wait item = {a, PAL_IN, 0, 0};

        assert_error(pal_sock_wait(&item, 1, deadline_ns), 0);
        cr_assert_geq(now_ns(), deadline_ns, "wait %d ended early", i);
        cr_assert_eq(item.ready, 0);
    }
    pair_close(a, b);
}

Test(rule_10_deadlines, parking_times_out_no_earlier_than_its_deadline)
{
    uint64_t state = fresh_seed();
    uint32_t word = 7;

    for (int i = 0; i < 1000; i++) {
        uint64_t deadline_ns = random_deadline(&state);
        int result = pal_park(&word, 7, deadline_ns);

        if (result == PAL_ETIMEDOUT)
            cr_assert_geq(now_ns(), deadline_ns, "parking %d timed out early", i);
        else
            cr_assert(result == 0 || result == PAL_EINTR, "parking gave %s", pal_error_name(result));
    }
}

Test(rule_10_deadlines, parking_on_another_value_returns_at_once_without_a_deadline)
{
    uint32_t word = 7;

    assert_error(pal_park(&word, 8, UINT64_MAX), 0);
}

Test(rule_10_deadlines, deadline_zero_looks_and_returns)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 0), 0, "an event came from nowhere");
    send_all(b, "x", 1);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 0), 1, "looking does not see what is there");
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_10_deadlines, a_deadline_that_has_passed_still_looks)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 1), 0);
    send_all(b, "x", 1);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, 1), 1, "a wait with a deadline in the past does not look");
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    pair_close(a, b);
    rig_close(&rig);
}

/* Sends one byte from another thread, at some later time. */
static void send_byte(void *arg)
{
    const pal_sock *sock = (const pal_sock *)arg;

    (void)pal_sock_send(*sock, "x", 1, 0);
}

/* A wait with this deadline ends because of what another thread sends. */
static void wait_is_ended_by_readiness(uint64_t deadline_ns)
{
    struct rig rig;
    pal_thread thread;
    pal_sock a, b;
    int count = 0;

    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "no other thread may send here");
    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    assert_error(pal_thread_start(&thread, send_byte, &b), 0);
    while (count == 0)
        count = pal_poll_wait(rig.poll, &rig.events, deadline_ns);
    cr_assert_eq(count, 1);
    cr_assert_eq(rig.events[0].kind, PAL_EV_READY);
    cr_assert_eq(rig.events[0].data, 1);
    assert_error(pal_thread_join(thread), 0);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_10_deadlines, waiting_for_ever_is_ended_by_readiness)
{
    wait_is_ended_by_readiness(UINT64_MAX);
}

Test(rule_10_deadlines, the_last_deadline_before_for_ever_is_ended_by_readiness)
{
    wait_is_ended_by_readiness(UINT64_MAX - 1);
}

Test(rule_10_deadlines, a_deadline_centuries_away_is_ended_by_readiness)
{
    wait_is_ended_by_readiness(now_ns() + UINT64_C(10000000000) * 1000000000 / 2);
}

Test(rule_10_deadlines, the_clock_of_a_poll_stands_still_between_waits)
{
    struct rig rig;
    uint64_t before_ns, first_ns, later_ns;

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    before_ns = now_ns();
    first_ns = pal_poll_now(rig.poll);
    cr_assert_geq(first_ns, before_ns, "read when first asked, not before");
    while (now_ns() == first_ns)
        (void)pal_sock_wait(NULL, 0, first_ns + 1);
    cr_assert_eq(pal_poll_now(rig.poll), first_ns, "one reading serves all until the next wait");
    (void)rig_turn(&rig, 0);
    later_ns = pal_poll_now(rig.poll);
    cr_assert_gt(later_ns, first_ns, "a wait makes the clock be read again");
    rig_close(&rig);
}
