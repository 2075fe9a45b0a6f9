/* wait.c: what both waiting targets do alike: waking from other threads and signal handlers, what is due before a wait,
 * closing. Rules 7, 11, 12 and 17; hole 37.
 *
 * The waker sets its bit, then looks whether the owner sleeps; the owner says that it sleeps, then looks for bits. Both
 * pairs are sequentially consistent, so one of the two sees the other. Only the first bit since the owner last looked
 * costs a system call, and only if the owner sleeps. Everything here is async-signal-safe. */
#include "wait.h"

void pal__k_wake(pal_poll *poll, uint32_t bit)
{
    if (atomic_fetch_or(&poll->wake_bits, bit) == 0 && (atomic_load(&poll->asleep) || poll->nested))
        pal__wait_rouse(poll);
}

int pal__k_poll_wake(pal_poll *poll)
{
    pal__k_wake(poll, WAKE_CALLED);
    return 0;
}

int pal__k_wake_collect(pal_poll *poll, uint32_t count_max)
{
    uint32_t bits = atomic_exchange(&poll->wake_bits, 0), left = 0;
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
    poll->turn ^= 1;
    if (poll->turn)
        pal__k_wake_collect(poll, share);
    pal__machine_attend(poll, share);
    if (!poll->turn)
        pal__k_wake_collect(poll, share);
}

int pal__k_poll_retire(pal_poll *poll)
{
    if (!poll_inherited(poll)) {
        int error = poll_enter(poll);
        if (error || (error = pal__poll_idle(poll)))
            return error;
    }
    pal__k_signal_forget(poll);
    pal__poll_forget_slots(poll);
    return 0;
}
