/* pal/signal.h: signals of this process. Handlers exist only where the program asked for them (docs/seam.md, rule 15);
 * they set a bit and wake a poll. Signal numbers are Linux's on every platform. */
#ifndef PAL_SIGNAL_H
#define PAL_SIGNAL_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PAL_SIGHUP = 1,
    PAL_SIGINT = 2,
    PAL_SIGQUIT = 3,
    PAL_SIGABRT = 6,
    PAL_SIGKILL = 9,
    PAL_SIGUSR1 = 10,
    PAL_SIGUSR2 = 12,
    PAL_SIGPIPE = 13,
    PAL_SIGALRM = 14,
    PAL_SIGTERM = 15,
    PAL_SIGCHLD = 17,
    PAL_SIGCONT = 18,
    PAL_SIGSTOP = 19,
    PAL_SIGWINCH = 28,
    PAL_SIGNAL_MAX = 64
};

/* From now on signal_number arrives as PAL_EV_SIGNAL with data (result: the number; several at once are one event) at
 * poll, instead of what it did before; poll NULL puts that back. PAL_EBUSY: watched by another poll; PAL_EINVAL: KILL,
 * STOP or no signal. Owner's thread. 1 call. */
int pal_signal_watch(pal_poll *poll, int signal_number, uint64_t data);

enum { PAL_SIGNAL_BLOCK, PAL_SIGNAL_UNBLOCK, PAL_SIGNAL_SET };

/* This thread's mask; bit n-1 is signal n. set or old may be NULL. 1 call. */
int pal_signal_mask(int how, const uint64_t *set, uint64_t *old);

struct pal_signal_timer {
    uint64_t value_ns, interval_ns;         /* 0: off */
    uint64_t old_value_ns, old_interval_ns; /* written */
};

enum {
    PAL_SIGNAL_RAISE = 1,  /* argument: int32_t number, for this thread */
    PAL_SIGNAL_PENDING,    /* argument: uint64_t set, written */
    PAL_SIGNAL_WAIT,       /* argument: uint64_t set in, number out; blocks */
    PAL_SIGNAL_TIMER_REAL, /* argument: struct pal_signal_timer; SIGALRM */
    PAL_SIGNAL_TIMER_VIRTUAL,
    PAL_SIGNAL_TIMER_PROF,
    PAL_SIGNAL_DISPOSITION /* argument: int32_t[2]: number, 0 default or 1 ignore */
};

/* The rest of the chapter. PAL_EINVAL: no such request, wrong size. 1 call. */
int pal_signal_ctl(int what, void *argument, size_t size);

#ifdef __cplusplus
}
#endif
#endif
