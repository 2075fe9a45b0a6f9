/* deadline.h: absolute monotonic deadlines as the relative timeouts that the kernel's waits take (rule 10). */
#ifndef PAL__POSIX_DEADLINE_H
#define PAL__POSIX_DEADLINE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)

_Static_assert(sizeof(time_t) == 8, "a timespec is the kernel's 64-bit one: compile with -D_TIME_BITS=64");

static inline uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Nanoseconds until the deadline, 0 when it has passed. The clock is not read for deadline 0. */
static inline uint64_t deadline_left_ns(uint64_t deadline_ns)
{
    if (deadline_ns == 0)
        return 0;
    uint64_t now_ns = monotonic_ns();
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* NULL for UINT64_MAX, which waits for ever; else *out filled in. */
static inline struct timespec *deadline_timeout(uint64_t deadline_ns, struct timespec *out)
{
    if (deadline_ns == UINT64_MAX)
        return NULL;
    uint64_t left_ns = deadline_left_ns(deadline_ns);
    out->tv_sec = (time_t)(left_ns / NS_PER_SECOND);
    out->tv_nsec = (long)(left_ns % NS_PER_SECOND);
    return out;
}

#endif
