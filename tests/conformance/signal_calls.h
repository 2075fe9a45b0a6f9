/* signal_calls.h: the requests of pal/signal.h in one line each. They fail the test that calls them unless they say
 * what they return. */
#ifndef TESTS_SIGNAL_CALLS_H
#define TESTS_SIGNAL_CALLS_H

#include "conformance.h"

static inline uint64_t bit_of(int number)
{
    return UINT64_C(1) << (number - 1);
}

/* PAL_SIGNAL_VALID; skips the test where the backend has no signals. To be called first. */
uint64_t valid_signals(void);

/* As pal_signal_ctl. *was: what it was; may be NULL. */
int signal_raise(int32_t number);
int signal_dispose(int32_t number, int32_t what, int32_t *was);
int signal_interrupt(int32_t number, int32_t on);
int signal_thread(pal_thread thread, int32_t number);

/* PAL_SIGNAL_GET. */
int32_t signal_disposition(int32_t number);

/* This thread's mask, and changing it: PAL_SIGNAL_BLOCK, UNBLOCK, SET. */
uint64_t signal_mask(void);
void signal_change_mask(int how, uint64_t set);

/* PAL_SIGNAL_PENDING. */
uint64_t signals_pending(void);

/* PAL_SIGNAL_WAIT, as pal_signal_ctl; all of *info but what WAIT takes is garbage before. */
int signal_wait(struct pal_signal_info *info, uint64_t set, uint64_t deadline_ns);

/* Sets or reads a timer: PAL_SIGNAL_TIMER_REAL ... */
struct pal_signal_timer signal_set_timer(int which, uint64_t value_ns, uint64_t interval_ns);
struct pal_signal_timer signal_get_timer(int which);

/* Watches a signal with its number as data; waits for its event. */
void rig_watch_signal(struct rig *rig, int number);
void rig_until_signal(struct rig *rig, int number);

#endif
