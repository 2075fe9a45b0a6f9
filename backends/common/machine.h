/* machine.h: ops on top of try and watch, once for every backend that waits for readiness, and the bookkeeping of
 * interest that watches and ops share.
 *
 * Upholds rules 3 to 7, 9, 13 and 18. A slot has at most one reader and one writer, each a watch or an op. An op is
 * pending in its slot, or finished and queued for its event, or idle: pal_op.state says which. Trying goes through the
 * seam's own calls, so the machine serves sockets of any domain. The backend gives the hooks below. */
#ifndef PAL__COMMON_MACHINE_H
#define PAL__COMMON_MACHINE_H

#include "poll_state.h"

/* ---- hooks of the waiting backend, and of its sockets ---- */

/* Makes the waiting set cover want (see slot_want). Bits that nobody wants any more may stay armed: trim drops them
 * when they fire, so a watch that comes back soon costs nothing. PAL_EPERM, PAL_ENOMEM, PAL_ENOSPC; PAL_EBUSY, with its
 * reason. */
int pal__wait_update(pal_poll *poll, struct slot *slot, uint32_t want);

/* Makes the set exactly slot_want(slot). */
void pal__wait_trim(pal_poll *poll, struct slot *slot);

/* Takes the slot out of its poll's set at once, so that its descriptor may go elsewhere. */
void pal__wait_forget(pal_poll *poll, struct slot *slot);

/* A stream socket that is shared may have begun to listen or connect behind our back: is it still SLOT_FRESH? */
void pal__slot_refresh(struct slot *slot);

/* One try of a SENDFILE op: bytes of file sent from offset on, at most size; 0: the file has ended; PAL_EAGAIN. */
int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size);

/* Has the child of this slot ended? 1, and *result says how (struct pal_proc_info), or 0. */
int pal__child_ended(struct slot *slot, int32_t *result);

/* ---- what pal_watch, pal_submit, pal_cancel are ---- */

int pal__machine_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data, uint32_t allowed);
int pal__machine_submit(pal_poll *poll, struct pal_op *op);
int pal__machine_cancel(pal_poll *poll, struct pal_op *op);

/* What pal_proc_watch is. op is the child's own, kept by the backend while it is watched: it waits as the slot's reader
 * (the slot's descriptor is readable when the child has ended) and ends with a PAL_EV_CHILD. PAL_EBUSY. */
int pal__machine_await_child(pal_poll *poll, struct slot *slot, struct pal_op *op, uint64_t data);

/* Ends that without a word; an event that the current array holds is struck out. */
int pal__machine_forget_child(struct slot *slot, struct pal_op *op);

/* Queues the event of an op that a worker has ended: for pal__work_collect, which pal__machine_attend calls before it
 * writes what is queued. */
void pal__machine_finish(pal_poll *poll, struct pal_op *op, int32_t result);

/* The slot is about to be dropped with all that waits for it, as its host has crashed: its watch and its ops end
 * without a word, an event that the current array holds is struck out. The ops' memory is not touched: it may be gone
 * already. Its poll's set keeps what it has of it. */
void pal__machine_abandon(struct slot *slot);

/* What close and release of a handle ask first, from any thread: 0, and its poll has let go of it but for what the set
 * has; PAL_EBUSY while somebody waits for it. In a child of fork, what waits for it on a poll of the parent's ends
 * without a word. */
int pal__machine_retire(struct slot *slot);

/* ---- what a wait calls ---- */

/* Before a wait, when something is due: re-arms starved sockets and writes events of finished ops until the
 * array has count_max entries; the rest is due before the next wait. */
void pal__machine_attend(pal_poll *poll, uint32_t count_max);

/* The set says that slot is ready: runs its ops and emits what is wanted, at most room events (>= 1). What does not fit
 * stays armed and is reported again (hole 55). */
void pal__machine_ready(pal_poll *poll, struct slot *slot, uint32_t ready, uint32_t room);

/* The interest or the state of the slot has changed from outside: a fresh socket now listens or connects. */
void pal__machine_stirred(struct slot *slot);

/* Somebody's change of the set failed for want of memory or descriptors: it is tried again before the next wait. */
void pal__machine_retry(pal_poll *poll);

/* pal_lease_recv found nothing to lend. */
void pal__machine_hungry(struct slot *slot);

/* Leases came back: before the next wait the starved sockets are looked after. */
void pal__machine_feed(pal_poll *poll);

#endif
