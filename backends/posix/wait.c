/* wait.c: what both waiting targets do alike: waking from other threads and signal handlers, what is due before a wait,
 * how a poll idles, closing. Rules 7, 11, 12 and 17; hole 37. */
#include "wait.h"

#include "../common/refusal.h"
#include "../common/workers.h"

#include <string.h>

int pal__k_poll_wake(pal_poll *poll)
{
    if (UNLIKELY(poll_inherited(poll)))
        return pal__refuse(PAL_EFORKED, "a poll does not outlive fork: wake the one that this process opened");
    poll_notify(poll, WAKE_CALLED);
    return 0;
}

int pal__k_wake_collect(pal_poll *poll, uint32_t count_max)
{
    uint32_t bits = atomic_fetch_and(&poll->wake_bits, WAKE_SPIN), left = 0;
    if (bits & WAKE_CALLED) {
        bool told = poll->wake_event - (poll->next_number - poll->count) < poll->count; /* in this very array */
        if (told || poll->count >= count_max) {
            left |= WAKE_CALLED;
        } else {
            poll->wake_event = poll->next_number;
            emit(poll, PAL_EV_WAKE, 0, 0, 0);
        }
    }
    if (bits & WAKE_SIGNAL && !pal__k_signal_deliver(poll, count_max))
        left |= WAKE_SIGNAL;
    if (bits & WAKE_DUE && poll->count < count_max)
        pal__machine_attend(poll, count_max);
    else
        left |= bits & WAKE_DUE;
    if (left) {
        atomic_fetch_or(&poll->wake_bits, left);
        poll_due(poll); /* the next wait finds them and does not sleep */
    }
    return (int)poll->count;
}

void pal__k_attend(pal_poll *poll)
{
    uint32_t share = poll->events_max / 2;
    atomic_fetch_and(&poll->wake_bits, ~(uint32_t)WAKE_DUE);
    poll->attend_turn = !poll->attend_turn;
    if (poll->attend_turn)
        pal__k_wake_collect(poll, share);
    pal__machine_attend(poll, share);
    if (!poll->attend_turn)
        pal__k_wake_collect(poll, share);
}

/* ---- idling ---- */

/* For the other half of a pair of hardware threads. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Backing off: sleeps as one that blocks does. */
static long doze(pal_poll *poll, uint64_t deadline_ns, wait_look *look)
{
    atomic_fetch_and(&poll->wake_bits, ~(uint32_t)WAKE_SPIN);
    long found = fall_asleep(poll) ? look(poll, deadline_ns) : 0;
    wake_up(poll);
    atomic_fetch_or(&poll->wake_bits, WAKE_SPIN);
    return found;
}

/* When patience ends: spin_ns after the first wait since the latest event. */
static uint64_t tired_at(pal_poll *poll)
{
    if (poll->idle != PAL_IDLE_BACKOFF)
        return UINT64_MAX;
    if (!poll->tired_ns && __builtin_add_overflow(monotonic_ns(), poll->spin_ns, &poll->tired_ns))
        poll->tired_ns = UINT64_MAX;
    return poll->tired_ns;
}

/* The clock is read only where there is something to compare it with. */
long pal__k_idle(pal_poll *poll, uint64_t deadline_ns, wait_look *look)
{
    uint64_t tired_ns = tired_at(poll);
    bool timed = tired_ns != UINT64_MAX || deadline_ns != UINT64_MAX;
    for (;;) {
        long found = look(poll, 0);
        if (found || wait_is_due(poll)) {
            poll->tired_ns = 0;
            return found;
        }
        uint64_t now_ns = timed ? monotonic_ns() : 0;
        if (now_ns >= deadline_ns)
            return 0;
        if (now_ns >= tired_ns) {
            found = doze(poll, deadline_ns, look);
            if (found > 0)
                poll->tired_ns = 0;
            return found;
        }
        spin_pause();
    }
}

int pal__k_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    struct pal_idle idle;
    if (key != PAL_CTL_IDLE)
        return pal__refuse(PAL_ENOTSUP, "kernel backends know PAL_CTL_IDLE only");
    if (!poll || !value || size != sizeof idle)
        return pal__refuse(PAL_EINVAL, "PAL_CTL_IDLE takes a poll and a struct pal_idle");
    int error = poll_enter(poll);
    if (error)
        return error;
    memcpy(&idle, value, sizeof idle);
    return pal__poll_set_idle(poll, idle.strategy, idle.spin_ns);
}

int pal__k_poll_retire(pal_poll *poll)
{
    bool inherited = poll_inherited(poll);
    int error = inherited ? 0 : poll_enter(poll);
    if (error || (!inherited && (error = pal__poll_idle(poll))))
        return error;
    pal__k_signal_forget(poll);
    pal__poll_forget_slots(poll);
    if (!inherited)
        pal__poll_part(poll);
    return 0;
}
