/* machine.c: interest, ops and starvation of sockets that are waited for by readiness. See machine.h. */
#include "machine.h"

#include "op.h"
#include "refusal.h"
#include "workers.h"

enum { OP_IDLE, OP_PENDING, OP_FINISHED }; /* pal_op.state */
enum { OP_CHILD = 0x80 };                  /* pal_op.kind of a child's own op: ends with PAL_EV_CHILD */

/* ---- joining a poll ---- */

/* In a child of fork what waits for the slot on a poll of the parent's is dead. */
static void outlive_fork(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    if (UNLIKELY(poll && poll_inherited(poll)))
        slot_abandon(slot);
}

/* Rule 6: a socket waits on one poll. Idle, it may move. */
static int join(pal_poll *poll, struct slot *slot)
{
    pal_poll *other = slot_poll(slot);
    if (LIKELY(other == poll))
        return 0;
    if (UNLIKELY(other)) {
        if (slot_busy(slot))
            return pal__refuse(PAL_EBUSY, "another poll waits for this socket: unwatch it there first");
    }
    slot->armed = 0;                                   /* a set that it was in drops it when it fires there */
    slot->event = poll->next_number - poll->count - 1; /* no event of this array */
    if (UNLIKELY(slot->leases))
        slot_set(slot, SLOT_LENDER);
    if (UNLIKELY(slot_flags(slot) & SLOT_LENDER))
        pal__lease_disown(&poll->leases, slot_handle(slot));
    slot->leases = 0;
    slot_clear(slot, SLOT_RELABELLED);
    atomic_store_explicit(&slot->poll, poll, memory_order_release);
    return 0;
}

/* ---- watch ---- */

static int check_interest(const struct slot *slot, uint32_t interest, uint32_t allowed)
{
    if (interest & ~(uint32_t)(SLOT_WAITABLE | PAL_LEASE | PAL_ONCE | PAL_EDGE))
        return pal__refuse(PAL_EINVAL, "interest is PAL_IN, PRI, OUT, RDHUP with LEASE, ONCE, EDGE; nothing else");
    if (interest & ~allowed)
        return pal__refuse(PAL_ENOTSUP, "this backend reports levels only: watch without PAL_EDGE");
    if (interest && !(interest & SLOT_WAITABLE))
        return pal__refuse(PAL_EINVAL, "LEASE, ONCE and EDGE qualify an interest and are none by themselves");
    if (interest & PAL_LEASE && !(interest & PAL_IN))
        return pal__refuse(PAL_EINVAL, "PAL_LEASE goes with PAL_IN");
    if (interest & PAL_LEASE && interest & PAL_EDGE)
        return pal__refuse(PAL_ENOTSUP, "leases are fed by levels: watch without PAL_EDGE");
    if (interest & PAL_LEASE && slot_flags(slot) & SLOT_PASS)
        return pal__refuse(PAL_ENOTSUP,
                           "leases cannot carry passed handles: switch PAL_SO_PASS off or receive messages");
    return 0;
}

/* Rule 6 for watches. */
static bool taken_by_op(const struct slot *slot, uint32_t interest)
{
    return (interest & SLOT_READS && slot->reader) || (interest & PAL_OUT && slot->writer);
}

/* A set that is full has the system's word for it; one that refuses (PAL_EBUSY) has said why. */
static int update_failed(int error)
{
    return error == PAL_EBUSY ? error : pal__failed(error);
}

static void enter_starved(pal_poll *poll, struct slot *slot)
{
    slot_set(slot, SLOT_STARVED);
    slot_set_link(slot, poll->starved);
    poll->starved = slot_number(slot);
}

static void leave_starved(pal_poll *poll, struct slot *slot)
{
    uint32_t number = slot_number(slot), next = slot_link(slot);
    slot_clear(slot, SLOT_STARVED);
    if (poll->starved == number) {
        poll->starved = next;
        return;
    }
    uint32_t before = poll->starved;
    while (before && slot_link(&pal__slots[before]) != number)
        before = slot_link(&pal__slots[before]);
    RULE(13, before, "a starved socket is on no list");
    slot_set_link(&pal__slots[before], next);
}

static inline void set_interest(pal_poll *poll, struct slot *slot, uint32_t interest, uint64_t data)
{
    if (!slot->interest != !interest)
        poll->watched += interest ? 1u : UINT32_MAX;
    slot->data = data;
    slot_set_interest(slot, interest);
}

/* The watch replaces what was: another chance at leases, and an event that was handed out follows (rules 1 and 8). */
static void settle(struct slot *slot, struct pal_event *event, uint32_t interest, uint64_t data)
{
    if (LIKELY(!event))
        return;
    if (!interest)
        event->kind = PAL_EV_NONE;
    else if (event->data != data)
        slot_set(slot, SLOT_RELABELLED);
}

/* Watches a socket that is fresh, or whose earlier watch left something behind. */
static COLD int watch_with_care(pal_poll *poll, struct slot *slot, uint32_t interest, uint64_t data)
{
    pal__slot_refresh(slot);
    struct pal_event *event = current_event(poll, slot);
    if (!interest && slot_flags(slot) & SLOT_FRESH && !slot_busy(slot))
        return 0; /* nothing to end: a set that would refuse it is not asked */
    bool starved = slot_flags(slot) & SLOT_STARVED;
    if (starved)
        leave_starved(poll, slot);
    int error = pal__wait_update(poll, slot, slot_want_if(slot, interest));
    if (error) {
        if (starved)
            enter_starved(poll, slot);
        return update_failed(error);
    }
    slot_clear(slot, SLOT_HUNGRY | SLOT_RELABELLED);
    set_interest(poll, slot, interest, data);
    settle(slot, event, interest, data);
    return 0;
}

int pal__machine_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data, uint32_t allowed)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    if (UNLIKELY(interest & ~(uint32_t)(PAL_IN | PAL_OUT) && (error = check_interest(slot, interest, allowed))))
        return error;
    if (slot_poll(slot) != poll)
        outlive_fork(slot);
    if (UNLIKELY(taken_by_op(slot, interest)))
        return pal__refuse(PAL_EBUSY, "an op reads or writes this socket already");
    if (slot_poll(slot) != poll) {
        if (interest == 0)
            return slot->interest ? pal__refuse(PAL_EBUSY, "another poll watches this socket") : 0;
        if (UNLIKELY((error = join(poll, slot))))
            return error;
    }
    uint32_t flags = slot_flags(slot);
    if (UNLIKELY(flags & (SLOT_FRESH | SLOT_STARVED | SLOT_HUNGRY | SLOT_RELABELLED)))
        return watch_with_care(poll, slot, interest, data);
    if (UNLIKELY((error = pal__wait_update(poll, slot, slot_want_if(slot, interest)))))
        return update_failed(error);
    struct pal_event *event = current_event(poll, slot);
    set_interest(poll, slot, interest, data);
    settle(slot, event, interest, data);
    return 0;
}

/* One socket has ceased to be fresh. In a child of fork the set is the parent's; another thread must not touch what the
 * owner's wait is reading. */
static void stir(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    slot_clear(slot, SLOT_FRESH);
    if (!poll || poll_inherited(poll))
        return;
    if (poll_owned(poll)) {
        if (slot_busy(slot) && pal__wait_update(poll, slot, slot_want(slot)))
            pal__machine_retry(poll);
        return;
    }
    lock_acquire(&poll->door);
    if (slot_poll(slot) == poll) { /* else it is idle, or another's, and this one may be closed */
        atomic_store(&poll->stirred, true);
        poll_notify(poll, WAKE_DUE);
    }
    lock_release(&poll->door);
}

void pal__machine_stirred(struct slot *slot)
{
    const uint32_t twin = SLOT_FRESH | SLOT_EXPORTED;
    stir(slot);
    if (LIKELY(!(slot_flags(slot) & SLOT_EXPORTED)))
        return;
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) { /* its duplicates */
        struct slot *other = &pal__slots[number];
        if (!slot_handle(other).id || (slot_flags(other) & twin) != twin)
            continue;
        pal__slot_refresh(other);
        if (!(slot_flags(other) & SLOT_FRESH))
            stir(other);
    }
}

void pal__machine_retry(pal_poll *poll)
{
    atomic_store(&poll->stirred, true);
    poll_due(poll);
}

static void update_stirred(pal_poll *poll)
{
    atomic_store(&poll->stirred, false);
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *slot = &pal__slots[number];
        if (slot_poll(slot) == poll && slot_want(slot) & ~(uint32_t)slot->armed &&
            pal__wait_update(poll, slot, slot_want(slot)))
            pal__machine_retry(poll);
    }
}

/* ---- ops ---- */

/* Rule 6 for ops. */
static int check_side(const struct slot *slot, bool writer)
{
    if (writer ? slot->writer || slot->interest & PAL_OUT : slot->reader || slot->interest & SLOT_READS)
        return pal__refuse(PAL_EBUSY, "this socket has a reader (writer) already: a watch or an op");
    return 0;
}

static void pend(struct slot *slot, struct pal_op *op, bool writer)
{
    if (writer)
        slot->writer = op;
    else
        slot->reader = op;
}

static void sent_out(pal_poll *poll, struct pal_op *op)
{
    op->state = OP_PENDING;
    poll->pending++;
}

static COLD int submit_work(pal_poll *poll, struct pal_op *op)
{
    int error = pal__work_submit(poll, op);
    if (!error)
        sent_out(poll, op);
    return error;
}

int pal__machine_submit(pal_poll *poll, struct pal_op *op)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    RULE(5, op->state == OP_IDLE, "an op is submitted that is out already");
    if (UNLIKELY(op->kind >= PAL_OP_READ && op->kind <= PAL_OP_WORK))
        return submit_work(poll, op);
    if (UNLIKELY((error = pal__op_check(op))))
        return error;
    struct slot *slot = slot_of(op->sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    bool writer = op_writes(op);
    outlive_fork(slot);
    if (UNLIKELY((error = check_side(slot, writer)) || (error = join(poll, slot))))
        return error;
    op->priv[1] = op->priv[2] = 0;
    bool connecting = op->kind == PAL_OP_CONNECT && slot_flags(slot) & SLOT_CONNECTING; /* readiness has to tell */
    if ((writer || op->flags & PAL_OP_TRY) && !connecting) {
        int32_t result = pal__op_attempt(slot, op);
        if (!op_has_to_wait(op, result)) {
            op->result = result;
            return 1;
        }
    }
    pend(slot, op, writer);
    if (UNLIKELY((error = pal__wait_update(poll, slot, slot_want(slot))))) {
        pend(slot, NULL, writer);
        if (op->priv[1] == 0)
            return update_failed(error);
        op->result = (int32_t)op->priv[1]; /* bytes have left: that must not be lost */
        return 1;
    }
    sent_out(poll, op);
    return 0;
}

void pal__machine_finish(pal_poll *poll, struct pal_op *op, int32_t result)
{
    RULE(4, op->state == OP_PENDING, "an op ends that is not out");
    op->state = OP_FINISHED;
    op->result = result;
    op->priv[0] = 0;
    if (poll->finished)
        poll->finished_last->priv[0] = (uintptr_t)op;
    else
        poll->finished = op;
    poll->finished_last = op;
}

static void finish_cancelled(pal_poll *poll, struct pal_op *op, int32_t result)
{
    pal__machine_finish(poll, op, result);
    poll_due(poll);
}

int pal__machine_cancel(pal_poll *poll, struct pal_op *op)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    if (op->state != OP_PENDING)
        return 0;
    if (op->kind >= PAL_OP_READ) {
        if (pal__work_cancel(poll, op))
            finish_cancelled(poll, op, PAL_ECANCELED);
        return 0;
    }
    struct slot *slot = slot_of(op->sock);
    RULE(7, slot, "a socket was closed under its op");
    RULE(6, slot_poll(slot) == poll, "an op is cancelled on another poll than its own");
    bool writer = slot->writer == op;
    RULE(5, writer || slot->reader == op, "an op was changed while it was out");
    pend(slot, NULL, writer);
    if (op->kind == PAL_OP_CONNECT)
        slot_set(slot, SLOT_FAILED);
    pal__wait_update(poll, slot, slot_want(slot));
    finish_cancelled(poll, op, writer && op->priv[1] ? (int32_t)op->priv[1] : PAL_ECANCELED);
    return 0;
}

static void emit_op(pal_poll *poll, struct pal_op *op)
{
    op->state = OP_IDLE;
    poll->pending--;
    if (op->kind == OP_CHILD)
        emit(poll, PAL_EV_CHILD, op->data, op->result, 0);
    else
        emit(poll, PAL_EV_OP, op->data, op->result, op->kind);
}

/* Runs the pending op of one side; true when it has finished and its event is written. */
static bool run(pal_poll *poll, struct slot *slot, struct pal_op *op, bool writer)
{
    int32_t result = 0;
    if (op->kind == OP_CHILD) {
        if (!pal__child_ended(slot, &result))
            return false;
        slot->event = poll->next_number;
    } else {
        result = pal__op_attempt(slot, op);
        if (op_has_to_wait(op, result))
            return false;
    }
    pend(slot, NULL, writer);
    op->result = result;
    emit_op(poll, op);
    return true;
}

/* ---- children ---- */

int pal__machine_await_child(pal_poll *poll, struct slot *slot, struct pal_op *op, uint64_t data)
{
    int error = poll_enter(poll);
    if (error)
        return error;
    outlive_fork(slot);
    if (slot->reader)
        return pal__refuse(PAL_EBUSY, "this child is watched already");
    if ((error = join(poll, slot)))
        return error;
    *op = (struct pal_op){.sock = slot_handle(slot), .data = data, .kind = OP_CHILD};
    pend(slot, op, false);
    if ((error = pal__wait_update(poll, slot, slot_want(slot)))) {
        pend(slot, NULL, false);
        return update_failed(error);
    }
    sent_out(poll, op);
    return 0;
}

int pal__machine_forget_child(struct slot *slot, struct pal_op *op)
{
    pal_poll *poll = slot_poll(slot);
    outlive_fork(slot);
    if (!poll || poll_inherited(poll))
        return 0;
    int error = poll_enter(poll);
    if (error)
        return error;
    uint32_t index = slot->event - (poll->next_number - poll->count);
    if (index < poll->count && poll->events[index].kind == PAL_EV_CHILD)
        poll->events[index].kind = PAL_EV_NONE;
    if (slot->reader == op) {
        pend(slot, NULL, false);
        op->state = OP_IDLE;
        poll->pending--;
        pal__wait_trim(poll, slot);
    }
    return 0;
}

/* ---- the end of a handle, and of those of crashed hosts ---- */

int pal__machine_retire(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    if (!poll)
        return 0;
    if (UNLIKELY(poll_inherited(poll))) {
        slot_abandon(slot);
        return 0;
    }
    if (UNLIKELY(slot_busy(slot)))
        return pal__refuse(PAL_EBUSY, "a watch or an op still uses this socket: unwatch, cancel, then close");
    if (poll_owned(poll))
        strike_out(poll, slot); /* the event of a ONCE watch may still be there */
    return 0;
}

void pal__machine_abandon(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    if (!poll)
        return;
    strike_out(poll, slot);
    if (slot_flags(slot) & SLOT_STARVED)
        leave_starved(poll, slot);
    set_interest(poll, slot, 0, slot->data);
    poll->pending -= (slot->reader ? 1u : 0u) + (slot->writer ? 1u : 0u);
    slot_abandon(slot);
}

/* ---- the wait's side ---- */

/* Could this socket be lent a buffer now? */
static bool lendable(const pal_poll *poll, const struct slot *slot)
{
    return poll->leases.free_count && slot->leases < poll->leases_per_sock_max;
}

/* Rule 13: reported once, then silence until it is fed. */
static void starve(pal_poll *poll, struct slot *slot)
{
    slot_clear(slot, SLOT_HUNGRY);
    enter_starved(poll, slot);
    slot->odd = UINT16_MAX;
    emit_ready(poll, slot, PAL_STARVED);
    pal__wait_trim(poll, slot);
}

static void ready_watch(pal_poll *poll, struct slot *slot, uint32_t ready)
{
    if (UNLIKELY(slot_flags(slot) & SLOT_HUNGRY && ready & PAL_IN)) {
        if (!lendable(poll, slot)) {
            starve(poll, slot);
            return;
        }
        slot_clear(slot, SLOT_HUNGRY);
        slot_set_interest(slot, slot->interest);
    }
    emit_ready(poll, slot, ready);
    if (slot->interest & PAL_ONCE) {
        if (UNLIKELY(slot_flags(slot) & SLOT_STARVED)) /* it was what writes that fired */
            leave_starved(poll, slot);
        set_interest(poll, slot, 0, slot->data);
    }
}

/* Runs the op of one side if it may: false when there is no room for its event. implied: the kernel reported an error,
 * not that this side is ready; if the try would wait, waiting would spin (an error queue that
 * nobody reads): it ends. */
static bool ready_op(pal_poll *poll, struct slot *slot, bool writer, bool implied, uint32_t *room)
{
    struct pal_op *op = writer ? slot->writer : slot->reader;
    if (!op)
        return true;
    if (*room == 0)
        return false;
    if (run(poll, slot, op, writer)) {
        --*room;
    } else if (implied) {
        pend(slot, NULL, writer);
        op->result = writer && op->priv[1] ? (int32_t)op->priv[1] : PAL_EAGAIN;
        emit_op(poll, op);
        --*room;
    }
    return true;
}

void pal__machine_ready(pal_poll *poll, struct slot *slot, uint32_t ready, uint32_t room)
{
    uint32_t want = slot_want(slot), bits = ready;
    if (ready & (PAL_ERR | PAL_HUP))
        bits |= want & SLOT_WAITABLE; /* rule 9: they imply every watched bit */
    uint32_t watched = slot->interest & want & SLOT_WAITABLE;
    uint32_t shown = watched ? bits & (watched | PAL_ERR | PAL_HUP) : 0;
    bool watch_first = poll->turn;
    if (shown && watch_first) {
        ready_watch(poll, slot, shown);
        room--;
    }
    bool fitted = true;
    if (UNLIKELY(slot_flags(slot) & SLOT_CONNECTING)) /* the outcome is the CONNECT's: a reader would take it away */
        fitted = !(bits & PAL_OUT) || ready_op(poll, slot, true, false, &room);
    fitted &= !(bits & PAL_IN) || ready_op(poll, slot, false, !(ready & (PAL_IN | PAL_HUP)), &room);
    fitted &= !(bits & PAL_OUT) || ready_op(poll, slot, true, !(ready & (PAL_OUT | PAL_HUP)), &room);
    if (shown && !watch_first) {
        if (room)
            ready_watch(poll, slot, shown);
        else
            fitted = false;
    }
    if (UNLIKELY(!fitted)) {
        poll->turn ^= 1; /* another goes first next time */
        if (slot->interest & PAL_EDGE)
            pal__wait_update(poll, slot, slot_want(slot)); /* an edge is not repeated unless armed anew; a level is */
    }
    /* What fires though nobody wants it leaves the set, or it would fire for ever (hole 10). */
    if (!want || ready & ~want & SLOT_WAITABLE)
        pal__wait_trim(poll, slot);
}

void pal__machine_hungry(struct slot *slot)
{
    if (slot->interest & PAL_LEASE && !(slot_flags(slot) & SLOT_STARVED)) {
        slot_set(slot, SLOT_HUNGRY);
        slot->odd = UINT16_MAX;
    }
}

void pal__machine_feed(pal_poll *poll)
{
    if (poll->starved) {
        poll->fed = true;
        poll_due(poll);
    }
}

/* Half of what can be received into has to be free, so that one lease going back and forth does not wake everybody each
 * time; where sockets have shares, those keep order, and one free lease will do. */
static bool enough_to_feed(const pal_poll *poll)
{
    const struct lease_pool *pool = &poll->leases;
    if (!pool->free_count)
        return false; /* all may be reserved, and half of nothing is there */
    if (poll->leases_per_sock_max < pool->count)
        return true;
    return pool->free_count * 2 >= pool->count - pool->reserved;
}

static void rearm_starved(pal_poll *poll)
{
    poll->fed = false;
    bool enough = enough_to_feed(poll);
    uint32_t number = poll->starved, next;
    for (poll->starved = 0; number; number = next) {
        struct slot *slot = &pal__slots[number];
        next = slot_link(slot);
        slot_clear(slot, SLOT_STARVED);
        if (enough && slot->leases < poll->leases_per_sock_max) {
            slot_set_interest(slot, slot->interest);
            if (pal__wait_update(poll, slot, slot_want(slot)) == 0)
                continue;
            slot->odd = UINT16_MAX; /* the kernel has no memory for it now: at the next release */
        }
        enter_starved(poll, slot);
    }
}

void pal__machine_attend(pal_poll *poll, uint32_t count_max)
{
    if (poll->stirred)
        update_stirred(poll);
    if (poll->fed)
        rearm_starved(poll);
    if (atomic_load(&poll->inbox))
        pal__work_collect(poll);
    while (poll->finished && poll->count < count_max) {
        struct pal_op *op = poll->finished;
        poll->finished = (struct pal_op *)(uintptr_t)op->priv[0];
        emit_op(poll, op);
    }
    if (poll->finished)
        poll_due(poll);
}
