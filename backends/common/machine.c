/* machine.c: interest, ops and starvation of sockets that are waited for by readiness. See machine.h. */
#include "machine.h"

#include "refusal.h"
#include <pal/socket.h>

enum { OP_IDLE, OP_PENDING, OP_FINISHED }; /* pal_op.state */

/* ---- joining a poll ---- */

/* Rule 6: a socket waits on one poll. Idle, it may move. */
static int join(pal_poll *poll, struct slot *slot)
{
    pal_poll *other = slot_poll(slot);
    if (LIKELY(other == poll))
        return 0;
    if (UNLIKELY(other)) {
        if (poll_inherited(other))
            slot_abandon(slot);
        else if (slot_busy(slot))
            return pal__refuse(PAL_EBUSY, "another poll waits for this socket: unwatch it there first");
    }
    slot->armed = 0;                                   /* a set that it was in drops it when it fires there */
    slot->event = poll->next_number - poll->count - 1; /* no event of this array */
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

static void set_interest(pal_poll *poll, struct slot *slot, uint32_t interest, uint64_t data)
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
    bool starved = slot_flags(slot) & SLOT_STARVED;
    if (starved)
        leave_starved(poll, slot);
    int error = pal__wait_update(poll, slot, slot_want_if(slot, interest));
    if (error) {
        if (starved)
            enter_starved(poll, slot);
        return pal__failed(error);
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
        return pal__failed(error);
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
    atomic_store(&poll->stirred, true);
    if (atomic_fetch_or(&poll->wake_bits, WAKE_DUE) == 0 && (atomic_load(&poll->asleep) || poll->nested))
        pal__wait_rouse(poll);
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

static bool writes(uint8_t kind)
{
    return kind == PAL_OP_SEND || kind == PAL_OP_SEND_MSG || kind == PAL_OP_SEND_LEASE || kind == PAL_OP_CONNECT;
}

/* What a sending op is to move: bytes, messages or leases. */
static uint64_t goal(const struct pal_op *op)
{
    return op->kind == PAL_OP_SEND && op->size > PAL_IO_MAX ? PAL_IO_MAX : op->size;
}

/* Its progress: priv[1] counts what has been moved. */
static int32_t moved(struct pal_op *op, int32_t result)
{
    if (result < 0)
        return result != PAL_EAGAIN && op->priv[1] ? (int32_t)op->priv[1] : result;
    op->priv[1] += (uint32_t)result;
    return op->priv[1] == goal(op) ? (int32_t)op->priv[1] : PAL_EAGAIN;
}

static int32_t attempt_connect(struct slot *slot, struct pal_op *op)
{
    if (!(slot_flags(slot) & SLOT_CONNECTING))
        return pal_sock_connect(op->sock, (const struct pal_addr *)op->aux);
    int32_t outcome = 0;
    size_t size = sizeof outcome;
    int error = pal_sock_get(op->sock, PAL_SO_ERROR, &outcome, &size);
    if (!error && !outcome)
        slot_clear(slot, SLOT_CONNECTING);
    return error ? error : outcome;
}

/* The next message of a SEND_MSG op on a stream, from where the last try left it: priv[2] bytes of it have been moved,
 * which msg->size says as well. What rides along (handles, metadata) went with its first byte. */
static int32_t send_message(struct pal_op *op, struct pal_msg *msg)
{
    struct pal_iov iov[PAL_IOV_MAX];
    struct pal_msg rest = *msg;
    uint64_t skip = op->priv[2], left = 0;
    rest.iov = iov;
    rest.iov_count = 0;
    if (msg->iov_count > PAL_IOV_MAX || (msg->iov_count && !msg->iov))
        return pal__refuse(PAL_EINVAL, "a message has at most PAL_IOV_MAX pieces");
    for (uint32_t i = 0; i < msg->iov_count; i++) {
        uint64_t cut = skip < msg->iov[i].size ? skip : msg->iov[i].size;
        skip -= cut;
        iov[rest.iov_count++] = (struct pal_iov){(char *)msg->iov[i].data + cut, (size_t)(msg->iov[i].size - cut)};
        left += msg->iov[i].size - cut;
    }
    if (op->priv[2]) {
        rest.want = 0;
        rest.raw_size = 0;
    }
    int32_t result = pal_sock_send_msgs(op->sock, &rest, 1, 0);
    if (result < 0)
        return result;
    op->priv[2] += (uint32_t)rest.size;
    msg->size = (int32_t)op->priv[2];
    if ((uint64_t)rest.size < left)
        return PAL_EAGAIN;
    op->priv[2] = 0;
    return 1;
}

/* A stream takes messages one by one, each whole before the next; others take what the kernel takes of a batch. */
static int32_t send_messages(const struct slot *slot, struct pal_op *op)
{
    struct pal_msg *msgs = (struct pal_msg *)op->aux;
    if (slot->type != PAL_SOCK_STREAM)
        return moved(op, pal_sock_send_msgs(op->sock, msgs + op->priv[1], (int)(op->size - op->priv[1]), 0));
    while (op->priv[1] < op->size) {
        int32_t result = send_message(op, &msgs[op->priv[1]]);
        if (result < 0)
            return moved(op, result);
        op->priv[1]++;
    }
    return (int32_t)op->size;
}

/* Tries the op: its result, or what has_to_wait tells. */
static int32_t attempt(struct slot *slot, struct pal_op *op)
{
    uint64_t done = op->priv[1];
    int count = (int)(goal(op) - done);
    switch (op->kind) {
    case PAL_OP_RECV:
        return pal_sock_recv(op->sock, op->buf, op->size, 0);
    case PAL_OP_SEND:
        return moved(op, pal_sock_send(op->sock, (char *)op->buf + done, goal(op) - done, 0));
    case PAL_OP_ACCEPT:
        return pal_sock_accept(op->sock, (pal_sock *)op->aux, NULL);
    case PAL_OP_CONNECT:
        return attempt_connect(slot, op);
    case PAL_OP_RECV_MSG:
        return pal_sock_recv_msgs(op->sock, (struct pal_msg *)op->aux, (int)op->size, 0);
    case PAL_OP_SEND_MSG:
        return send_messages(slot, op);
    default: /* PAL_OP_SEND_LEASE: submit let nothing else in */
        return moved(op, pal_lease_send(op->sock, (struct pal_lease *)op->buf + done, count));
    }
}

/* A full backlog of a unix listener answers connect with PAL_EAGAIN, which no readiness would end: that is a result. */
static bool has_to_wait(const struct pal_op *op, int32_t result)
{
    return result == (op->kind == PAL_OP_CONNECT ? PAL_EINPROGRESS : PAL_EAGAIN);
}

static int check_op(const struct pal_op *op)
{
    switch (op->kind) {
    case PAL_OP_RECV:
    case PAL_OP_SEND:
        return op->buf || op->size == 0 ? 0 : pal__refuse(PAL_EINVAL, "RECV and SEND need a buffer");
    case PAL_OP_ACCEPT:
    case PAL_OP_CONNECT:
        return op->aux ? 0 : pal__refuse(PAL_EINVAL, "ACCEPT needs room for the socket, CONNECT an address, in aux");
    case PAL_OP_RECV_MSG:
    case PAL_OP_SEND_MSG:
    case PAL_OP_SEND_LEASE:
        if (op->size < 1 || op->size > INT32_MAX || !(op->kind == PAL_OP_SEND_LEASE ? op->buf : op->aux))
            return pal__refuse(PAL_EINVAL, "message and lease ops need an array and its count in size");
        return 0;
    case PAL_OP_SENDFILE:
        return pal__refuse(PAL_ENOTSUP, "this backend has no sendfile: read the file and send");
    case PAL_OP_READ:
    case PAL_OP_WRITE:
    case PAL_OP_SYNC:
    case PAL_OP_RESOLVE:
    case PAL_OP_WORK:
        return pal__refuse(PAL_ENOWORKER, "file, resolve and work ops need worker threads (workers_max in pal_setup)");
    default:
        return pal__refuse(PAL_EINVAL, "no such kind of op");
    }
}

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

int pal__machine_submit(pal_poll *poll, struct pal_op *op)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    RULE(5, op->state == OP_IDLE, "an op is submitted that is out already");
    if (UNLIKELY((error = check_op(op))))
        return error;
    struct slot *slot = slot_of(op->sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    bool writer = writes(op->kind);
    if (UNLIKELY((error = check_side(slot, writer)) || (error = join(poll, slot))))
        return error;
    op->priv[1] = op->priv[2] = 0;
    bool connecting = op->kind == PAL_OP_CONNECT && slot_flags(slot) & SLOT_CONNECTING; /* readiness has to tell */
    if ((writer || op->flags & PAL_OP_TRY) && !connecting) {
        int32_t result = attempt(slot, op);
        if (!has_to_wait(op, result)) {
            op->result = result;
            return 1;
        }
    }
    pend(slot, op, writer);
    if (UNLIKELY((error = pal__wait_update(poll, slot, slot_want(slot))))) {
        pend(slot, NULL, writer);
        if (op->priv[1] == 0)
            return pal__failed(error);
        op->result = (int32_t)op->priv[1]; /* bytes have left: that must not be lost */
        return 1;
    }
    op->state = OP_PENDING;
    poll->pending++;
    return 0;
}

int pal__machine_cancel(pal_poll *poll, struct pal_op *op)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    if (op->state != OP_PENDING)
        return 0;
    struct slot *slot = slot_of(op->sock);
    RULE(7, slot, "a socket was closed under its op");
    RULE(6, slot_poll(slot) == poll, "an op is cancelled on another poll than its own");
    bool writer = slot->writer == op;
    RULE(5, writer || slot->reader == op, "an op was changed while it was out");
    pend(slot, NULL, writer);
    if (op->kind == PAL_OP_CONNECT)
        slot_set(slot, SLOT_FAILED);
    pal__wait_update(poll, slot, slot_want(slot));
    op->state = OP_FINISHED;
    op->result = writer && op->priv[1] ? (int32_t)op->priv[1] : PAL_ECANCELED;
    op->priv[0] = 0;
    if (poll->finished)
        poll->finished_last->priv[0] = (uintptr_t)op;
    else
        poll->finished = op;
    poll->finished_last = op;
    poll_due(poll);
    return 0;
}

static void emit_op(pal_poll *poll, struct pal_op *op)
{
    op->state = OP_IDLE;
    poll->pending--;
    emit(poll, PAL_EV_OP, op->data, op->result, op->kind);
}

/* Runs the pending op of one side; true when it has finished and its event is written. */
static bool run(pal_poll *poll, struct slot *slot, struct pal_op *op, bool writer)
{
    int32_t result = attempt(slot, op);
    if (has_to_wait(op, result))
        return false;
    pend(slot, NULL, writer);
    op->result = result;
    emit_op(poll, op);
    return true;
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
    if (slot->interest & PAL_ONCE)
        set_interest(poll, slot, 0, slot->data);
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
    bool fitted = !(bits & PAL_IN) || ready_op(poll, slot, false, !(ready & (PAL_IN | PAL_HUP)), &room);
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
    if (poll->leases_per_sock_max < pool->count)
        return pool->free_count != 0;
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
    while (poll->finished && poll->count < count_max) {
        struct pal_op *op = poll->finished;
        poll->finished = (struct pal_op *)(uintptr_t)op->priv[0];
        emit_op(poll, op);
    }
    if (poll->finished)
        poll_due(poll);
}
