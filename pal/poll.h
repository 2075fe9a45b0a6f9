/* pal/poll.h: waiting: watch (level-triggered interest), op (one-shot completion), wake, deadlines.
 *
 * Upholds rules 1, 3-13, 17 and 18 of docs/seam.md. A poll belongs to the first thread that watches, submits or waits
 * with it; another thread's call asserts (rule 12). Only pal_poll_wake is for every thread and for signal handlers.
 * In a child of fork an inherited poll answers PAL_EFORKED to all but pal_poll_close. */
#ifndef PAL_POLL_H
#define PAL_POLL_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pal_config {
    uint32_t events_max;          /* events one wait returns at most: 2 to 65536; 0: 256 */
    uint32_t lease_count;         /* receive buffers to lend, 1 to 65536; 0: 16 */
    uint32_t lease_size;          /* bytes of each, 64 to 16 Mi; 0: 65536 */
    uint32_t leases_per_sock_max; /* lent through one socket at once; 0: no limit but lease_count */
    uint32_t flags;               /* 0 */
    uint32_t idle;                /* PAL_IDLE_*: what a wait does while there is nothing */
    uint64_t spin_ns;             /* BACKOFF: how long to spin after the last event before sleeping; 0: 50 us */
    uint64_t reserved[7];
};

/* What a wait does while nothing is ready and its deadline is ahead. */
enum {
    PAL_IDLE_BLOCK,   /* sleeps in the kernel */
    PAL_IDLE_BACKOFF, /* looks again and again for spin_ns since the last event, then sleeps */
    PAL_IDLE_SPIN     /* looks again and again: a core for the shortest way */
};

/* How a poll idles, for PAL_CTL_IDLE. */
struct pal_idle {
    uint32_t strategy; /* PAL_IDLE_* */
    uint32_t reserved;
    uint64_t spin_ns; /* as in struct pal_config */
};

/* What PAL_OP_WORK runs, on a worker thread, where all signals are blocked but those of its own faults. It may call
 * what is for any thread. It should not wait for another job: all workers may be waiting. In a child that it forks it
 * must not return. Read when it is submitted: it need not outlive that. */
struct pal_work {
    int32_t (*function)(void *argument); /* its result is the op's */
    void *argument;
};

/* Opens a poll; config NULL is all defaults. All memory is taken here (a page of a lease is touched when first lent).
 * PAL_EINVAL: a field out of range (pal_reason); PAL_EMFILE, PAL_ENFILE, PAL_ENOMEM; PAL_ENOBUFS: polls_max are open.
 * Any thread. epoll: 3 calls; poll: 1 to 3. */
int pal_poll_open(pal_poll **out, const struct pal_config *config);

/* Frees it. NULL does nothing. PAL_EBUSY while a socket is watched, an op is out or a lease is lent: pal_reason says
 * which. Its watched signals do again what they did before. In a child of fork it always works and touches nothing that
 * the parent uses. Owner's thread. */
int pal_poll_close(pal_poll *poll);

/* Waits for events until deadline_ns (absolute, on PAL_CLOCK_MONOTONIC; 0: look and return; UINT64_MAX: for ever).
 * Returns their count, with *out at the array: the poll's memory, which does not change until the next wait but that
 * unwatch and close strike entries out (kind becomes PAL_EV_NONE). 0 means the deadline has
 * passed, or an early return for internal reasons or a signal: recompute and wait again. Never too early with a
 * timeout's meaning (rule 10). PAL_EDEADLK: nothing can ever happen (simulator). epoll: 1 call, none to read clocks at
 * deadlines 0 and UINT64_MAX. */
int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns);

/* Makes the current or next wait return with one PAL_EV_WAKE, however often it is called before. Any thread, and
 * signal handlers. The caller sees to it that the poll lives. 1 call if the owner sleeps, else none. */
int pal_poll_wake(pal_poll *poll);

/* The monotonic clock, read when first asked after a wait. Owner's thread. */
uint64_t pal_poll_now(pal_poll *poll);

/* A descriptor that becomes readable when a wait would return events, to nest in a foreign loop. PAL_ENOTSUP where
 * there is none (poll, card, simulator). */
int pal_poll_native(pal_poll *poll, intptr_t *out);

/* Reports sock's readiness with data from now on: interest is any of PAL_IN, PRI, OUT, RDHUP, with LEASE, ONCE, EDGE;
 * 0 stops, and strikes out an event that the current array still holds. Changes replace, and show from the next wait
 * on. The first watch takes effect at once and reports what stands against it; later ones may wait for the next wait or
 * flush (rule 11). PAL_EBADF: stale handle. PAL_EBUSY: an op reads or writes it already, or another poll has it (rule
 * 6), or, of a user-space stack's socket, a duplicate of it (rule 14). PAL_ENOTSUP: EDGE without its capability or with
 * LEASE, LEASE on a socket that passes handles. PAL_EINVAL: unknown bits, LEASE without IN. PAL_EPERM: this kind of
 * descriptor cannot be watched. PAL_ENOMEM, PAL_ENOSPC: the kernel's limits. epoll: 1 call when the kernel's set has to
 * grow, else none. */
int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data);

/* Begins an op. 1: done already, op->result is valid, no event comes (the caller counts this against its own budget,
 * rule 18). 0: pending, one PAL_EV_OP will come. < 0: never started. RECV, ACCEPT and RECV_MSG are not tried first
 * unless flagged PAL_OP_TRY; SEND, SEND_MSG, SEND_LEASE and CONNECT are.
 * PAL_EBADF; PAL_EBUSY: the socket's reader (writer) is taken, or another poll has it (as pal_watch); PAL_EINVAL: no
 * such kind, NULL where memory is needed; PAL_ENOTSUP; PAL_ENOWORKER: workers_max is 0; PAL_ENOBUFS: 1024 jobs wait for
 * workers, run or are done and not seen yet; PAL_EAGAIN: there is no worker and the system has no room for a thread;
 * PAL_ENOMEM: for a RESOLVE. An op that is out already asserts (rule 5). Readiness backends: the try's calls, plus 1
 * when the kernel's set has to grow; for a worker 1 if it sleeps, and its start when it is first needed. Only RESOLVE
 * allocates. */
int pal_submit(pal_poll *poll, struct pal_op *op);

/* Asks a pending op to end: its event still comes, once, with its true result or PAL_ECANCELED; a SEND that has moved
 * bytes yields their number; of a SEND_LEASE, the lease that went in part has advanced. A socket whose CONNECT was
 * cancelled is good for close only. RESOLVE ends at once, and so do READ, WRITE, SYNC and WORK that have not begun;
 * once begun these run to their end. 0, also when the op is idle or done. No call. */
int pal_cancel(pal_poll *poll, struct pal_op *op);

/* Pushes what was held back (changes, submits, closes, transmit bursts) without waiting. Readiness
 * backends: no call. */
int pal_flush(pal_poll *poll);

enum {
    PAL_CTL_IDLE = 1 /* set: struct pal_idle. From the next wait on */
};

/* The one door for how a poll runs, and for what only some backends have: simulator and card controls, statistics,
 * packet taps. The keys are above and in docs/backends.md. PAL_ENOTSUP: this backend has no such key; PAL_EINVAL: wrong
 * size or value. Owner's thread. poll may be NULL where a key says so. */
int pal_ctl(pal_poll *poll, int key, void *value, size_t size);

#ifdef __cplusplus
}
#endif
#endif
