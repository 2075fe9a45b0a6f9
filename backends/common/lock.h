/* lock.h: a mutual exclusion lock that sleeps by pal_park, for what is too seldom to deserve a lock-free form.
 *
 * All zero is free. No system call unless two threads meet. Not recursive, not fair, not for signal handlers. */
#ifndef PAL__COMMON_LOCK_H
#define PAL__COMMON_LOCK_H

#include "rule.h"
#include <stdatomic.h>

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED /* held, and somebody may be asleep */ };

struct lock {
    _Atomic uint32_t state; /* LOCK_* */
};

/* An atomic word as pal_park and pal_unpark take it. */
static inline const uint32_t *park_word(const _Atomic uint32_t *word)
{
    return (const uint32_t *)(const void *)word;
}

static inline void lock_acquire(struct lock *lock)
{
    uint32_t expected = LOCK_FREE;
    if (LIKELY(atomic_compare_exchange_strong(&lock->state, &expected, LOCK_HELD)))
        return;
    while (atomic_exchange(&lock->state, LOCK_AWAITED) != LOCK_FREE)
        pal_park(park_word(&lock->state), LOCK_AWAITED, UINT64_MAX);
}

static inline void lock_release(struct lock *lock)
{
    if (UNLIKELY(atomic_exchange(&lock->state, LOCK_FREE) == LOCK_AWAITED))
        pal_unpark(park_word(&lock->state), 1);
}

#endif
