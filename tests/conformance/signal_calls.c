/* signal_calls.c: see signal_calls.h. */
#include "signal_calls.h"

uint64_t valid_signals(void)
{
    uint64_t set = 0;

    if (pal_signal_ctl(PAL_SIGNAL_VALID, &set, sizeof(set)) == PAL_ENOTSUP)
        test_skip("signals", "not of this backend");
    return set;
}

int signal_raise(int32_t number)
{
    return pal_signal_ctl(PAL_SIGNAL_RAISE, &number, sizeof(number));
}

int signal_dispose(int32_t number, int32_t what, int32_t *was)
{
    int32_t pair[2] = {number, what};
    int error = pal_signal_ctl(PAL_SIGNAL_DISPOSITION, pair, sizeof(pair));

    if (was != NULL)
        *was = pair[1];
    return error;
}

int32_t signal_disposition(int32_t number)
{
    int32_t pair[2] = {number, -1};

    assert_error(pal_signal_ctl(PAL_SIGNAL_GET, pair, sizeof(pair)), 0);
    cr_assert_eq(pair[0], number);
    return pair[1];
}

int signal_interrupt(int32_t number, int32_t on)
{
    int32_t pair[2] = {number, on};

    return pal_signal_ctl(PAL_SIGNAL_INTERRUPT, pair, sizeof(pair));
}

uint64_t signal_mask(void)
{
    uint64_t set = 0;

    assert_error(pal_signal_mask(PAL_SIGNAL_BLOCK, NULL, &set), 0);
    return set;
}

void signal_change_mask(int how, uint64_t set)
{
    assert_error(pal_signal_mask(how, &set, NULL), 0);
}

uint64_t signals_pending(void)
{
    uint64_t set = UINT64_MAX;

    assert_error(pal_signal_ctl(PAL_SIGNAL_PENDING, &set, sizeof(set)), 0);
    return set;
}

int signal_wait(struct pal_signal_info *info, uint64_t set, uint64_t deadline_ns)
{
    memset(info, 0x5a, sizeof(*info)); /* what is not written shows */
    info->set = set;
    info->deadline_ns = deadline_ns;
    return pal_signal_ctl(PAL_SIGNAL_WAIT, info, sizeof(*info));
}

struct pal_signal_timer signal_set_timer(int which, uint64_t value_ns, uint64_t interval_ns)
{
    struct pal_signal_timer timer = {value_ns, interval_ns, 1, 1, 0, 0};

    assert_error(pal_signal_ctl(which, &timer, sizeof(timer)), 0);
    return timer;
}

struct pal_signal_timer signal_get_timer(int which)
{
    struct pal_signal_timer timer = {1, 1, 1, 1, PAL_SIGNAL_TIMER_GET, 0};

    assert_error(pal_signal_ctl(which, &timer, sizeof(timer)), 0);
    return timer;
}

void rig_watch_signal(struct rig *rig, int number)
{
    assert_error(pal_signal_watch(rig->poll, number, (uint64_t)number), 0);
}

void rig_until_signal(struct rig *rig, int number)
{
    cr_assert_eq(rig_until(rig, (uint64_t)number, PAL_EV_SIGNAL).result, number);
}

int signal_thread(pal_thread thread, int32_t number)
{
    struct pal_signal_target target;

    memset(&target, 0, sizeof(target));
    target.thread = thread;
    target.number = number;
    return pal_signal_ctl(PAL_SIGNAL_THREAD, &target, sizeof(target));
}
