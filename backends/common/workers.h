/* workers.h: ops that other threads carry out: READ, WRITE, SYNC, RESOLVE, WORK.
 *
 * Upholds rules 4, 5, 7, 15 and 17; decision 0015. One bounded pool a process, whose threads start when first needed
 * and are never joined. A job is a copy of its op: a worker never touches the op itself. Jobs begin in the order in
 * which they came. A worker that has done one puts it into its poll's inbox and rouses the poll; only the owner ends
 * the op. A look-up that is cancelled while it runs is detached: its worker throws the answer away (hole 38). */
#ifndef PAL__COMMON_WORKERS_H
#define PAL__COMMON_WORKERS_H

#include "poll_state.h"

enum { WORKERS_MAX = 256, JOBS_MAX = 1024 };

/* pal_setup.workers_max; 0: no pool. PAL_ENOMEM. */
int pal__workers_limit(uint32_t workers_max);

/* 0: pending. PAL_ENOWORKER; PAL_EINVAL; PAL_EBADF: no such file; PAL_ENOBUFS: JOBS_MAX jobs wait, run or have not been
 * collected; PAL_ENOMEM: for a look-up; PAL_EAGAIN: no thread to be had. Uses priv[1]. Owner's thread. */
int pal__work_submit(pal_poll *poll, struct pal_op *op);

/* Of a pending op. true: its job is taken back or detached, it may end as cancelled; false: it will be collected, with
 * its true result. Owner's thread. */
bool pal__work_cancel(pal_poll *poll, struct pal_op *op);

/* Ends the ops whose jobs lie in the poll's inbox (pal__machine_finish), the first that was done first. Owner's
 * thread. */
void pal__work_collect(pal_poll *poll);

/* The poll is gone, with its ops: its jobs are taken back, or left alone if a worker has them. Owner's thread, or after
 * its end. */
void pal__work_abandon(pal_poll *poll);

/* Is an op out that names this file? Any thread. */
bool pal__work_holds(const struct slot *file);

#endif
