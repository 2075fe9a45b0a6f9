/* eal.h: DPDK's environment (EAL), started and ended once a process. */
#ifndef PAL__DPDK_EAL_H
#define PAL__DPDK_EAL_H

#include "preflight.h"

/* Starts EAL as the plan says, without virtual devices: these come with their ports. The calling thread becomes
 * DPDK's main one, and is pinned to the first of settings' cores if any are named; else it may run where it might
 * before. Nothing is left in the file system. DPDK's log goes to pal__d_eal_log; of a start that fails it writes a
 * line to standard error as well.
 *
 * 0. PAL_EALREADY: it runs, or has run: DPDK starts once a process. Else what DPDK says (PAL_ENOMEM, PAL_EACCES,
 * PAL_EIO ...), in words: the process lives on, and may try again where DPDK allows that. About 150 ms. */
int pal__d_eal_start(const struct dpdk_settings *settings, const struct dpdk_plan *plan, struct base_text *words);

/* Ends it, from the thread that started it, when all ports are closed. Huge pages are free again but for the two of
 * DPDK's own, which it keeps, with a few descriptors, to the end of the process. */
void pal__d_eal_stop(void);

bool pal__d_eal_is_running(void);

/* A thread other than the one that started EAL calls this before it uses a port's queue: from then on it has caches of
 * packet buffers of its own, without which each one costs a locked operation. PAL_ENOMEM: more threads than DPDK takes
 * (128). The CPUs that it may run on stay as they are. */
int pal__d_eal_enter(struct base_text *words);
void pal__d_eal_leave(void);

/* Appends the last lines that DPDK has logged, at most about half of a DPDK_WORDS_MAX. Any thread. */
void pal__d_eal_log(struct base_text *out);

/* Forgets them: what is logged from now on belongs to what is tried next. */
void pal__d_eal_log_clear(void);

/* DPDK's error number (positive) as one of ours. */
int pal__d_eal_error(int number);

#endif
