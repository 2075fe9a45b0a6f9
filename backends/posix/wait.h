/* wait.h: between the waiting targets (wait_epoll.c, wait_poll.c) and the rest of the kernel's side. */
#ifndef PAL__POSIX_WAIT_H
#define PAL__POSIX_WAIT_H

#include "../common/machine.h"
#include "deadline.h"
#include "kernel.h"

/* Turns wake_bits into events until the array has count_max entries; what is left goes to the next wait. Returns the
 * array's count. */
int pal__k_wake_collect(pal_poll *poll, uint32_t count_max);

/* What pal_poll_close does before the target releases its own: 0, or why the poll may not be closed now. */
int pal__k_poll_retire(pal_poll *poll);

/* What is due before a wait may sleep. It takes half of the array at most, so that the kernel's lane is served too. */
void pal__k_attend(pal_poll *poll);

/* The capabilities that every kernel backend has. */
enum {
    KERNEL_CAPS = PAL_CAP_SHARED_SOCKS | PAL_CAP_MOVE | PAL_CAP_LISTEN_SHARD | PAL_CAP_WATCH_PIPE | PAL_CAP_PASS_SOCKS |
                  PAL_CAP_BLOCKING
};

/* Says that the owner is about to sleep; false when there is something to do first. */
static inline bool fall_asleep(pal_poll *poll)
{
    atomic_fetch_or(&poll->asleep, 1);
    return LIKELY(atomic_load(&poll->wake_bits) == 0);
}

/* For a wait that is not to sleep: is there something to do first? */
static inline bool wait_is_due(const pal_poll *poll)
{
    return (atomic_load_explicit(&poll->wake_bits, memory_order_relaxed) & ~(uint32_t)WAKE_SPIN) != 0;
}

static inline void wake_up(pal_poll *poll)
{
    atomic_store_explicit(&poll->asleep, 0, memory_order_relaxed);
}

/* What every wait does last, with the count of events so far. */
static inline int wait_end(pal_poll *poll, uint32_t count)
{
    if (LIKELY(!wait_is_due(poll)))
        return (int)count;
    return pal__k_wake_collect(poll, poll->events_max);
}

/* ---- idling (PAL_IDLE_*) ---- */

/* A target's look at its set: 0 as deadline looks and returns, else it may sleep. */
typedef long wait_look(pal_poll *poll, uint64_t deadline_ns);

/* What a poll that does not simply block does in place of sleeping: looks again and again until something is found or
 * due, or the deadline has passed; BACKOFF sleeps in the end. Returns what look found last. */
long pal__k_idle(pal_poll *poll, uint64_t deadline_ns, wait_look *look);

#endif
