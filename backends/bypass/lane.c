/* lane.c: waiting for sockets of two worlds with one poll: the machine's hooks, and events of the stack's sockets.
 * Rules 6, 8, 9, 11, 13 and 14. See lane.h. */
#include "lane.h"

#include "../common/machine.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "../posix/kernel.h"
#include "lease.h"
#include "ring.h"

enum { BATCH = 64 };

struct lane pal__b_lanes[POLLS_MAX];

static bool is_stacks(const struct slot *slot)
{
    return in_stack(slot_handle(slot));
}

/* ---- beginning and end ---- */

/* A lane that never began has no list. */
static bool has_begun(const struct lane *lane)
{
    return lane->waiter.ready.head.next != NULL;
}

void pal__b_lane_begin(pal_poll *poll, struct base_list *roused)
{
    struct lane *lane = lane_of(poll);
    if (has_begun(lane))
        pal__b_lane_end(poll->leases.number);
    waiter_init(&lane->waiter, roused);
    pal__b_lease_begin();
    lane->kernel_armed = 0;
}

void pal__b_lane_end(uint32_t number)
{
    struct lane *lane = &pal__b_lanes[number];
    for (uint32_t index = 1, top = pal__slots_top(); index < top; index++) {
        struct sock *sock = pal__b_socks[index];
        if (!sock || sock->waiter != &lane->waiter)
            continue;
        pal__n_sock_watch(sock, 0);
        pal__n_sock_wait_by(sock, &sock->stack->waiter);
    }
    if (base_link_is_linked(&lane->waiter.link))
        base_list_remove(&lane->waiter.link);
    lane->kernel_armed = 0;
}

/* ---- the kernel's sockets ---- */

/* Follows a slot into its poll's set and out of it. What leaves the set by other ways (close, a move, a set that is
 * built anew) is not seen here, so there may be fewer than are counted, and never more. */
static void count_armed(const pal_poll *poll, const struct slot *slot, bool before)
{
    struct lane *lane = lane_of(poll);
    if (!before && slot->armed)
        lane->kernel_armed++;
    else if (before && !slot->armed && lane->kernel_armed)
        lane->kernel_armed--;
}

uint32_t pal__b_kernel_waits(pal_poll *poll)
{
    uint32_t waits = 0, armed = 0;
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        const struct slot *slot = &pal__slots[number];
        if (slot_poll(slot) != poll || is_stacks(slot))
            continue;
        armed += slot->armed != 0;
        waits += slot_want(slot) != 0;
    }
    lane_of(poll)->kernel_armed = armed;
    return waits;
}

/* ---- the machine's hooks ---- */

/* A fresh socket wants nothing yet, and yet its watch has to be refused now: later there is nobody to tell. */
static bool is_new(const struct slot *slot, uint32_t want)
{
    return want || (slot_flags(slot) & SLOT_FRESH && !slot->interest);
}

static int update(pal_poll *poll, struct slot *slot, uint32_t want)
{
    struct sock *sock = sock_of(slot);
    struct sock_waiter *waiter = &lane_of(poll)->waiter;
    if (UNLIKELY(is_new(slot, want) && pal__b_ring_taken(poll, slot)))
        return pal__refuse(PAL_EBUSY, "another poll waits for this socket by another handle: unwatch it there first");
    want &= SLOT_WAITABLE;
    bool takes = want && sock->waiter != waiter; /* if it wants nothing, another handle may have its waiter elsewhere */
    want |= pal__b_ring_others(slot);
    if (takes) {
        pal__n_sock_watch(sock, 0); /* else the new one is roused for what was wanted before */
        pal__n_sock_wait_by(sock, waiter);
    }
    if (sock->interest != want)
        pal__n_sock_watch(sock, want);
    return 0;
}

int pal__wait_update(pal_poll *poll, struct slot *slot, uint32_t want)
{
    if (is_stacks(slot))
        return update(poll, slot, want);
    bool before = slot->armed != 0;
    int error = pal__k_wait_update(poll, slot, want);
    count_armed(poll, slot, before);
    return error;
}

void pal__wait_trim(pal_poll *poll, struct slot *slot)
{
    if (is_stacks(slot)) {
        pal__b_ring_settle(sock_of(slot));
        return;
    }
    bool before = slot->armed != 0;
    pal__k_wait_trim(poll, slot);
    count_armed(poll, slot, before);
}

void pal__wait_forget(pal_poll *poll, struct slot *slot)
{
    if (is_stacks(slot)) {
        pal__n_sock_watch(sock_of(slot), pal__b_ring_others(slot));
        return;
    }
    bool before = slot->armed != 0;
    pal__k_wait_forget(poll, slot);
    count_armed(poll, slot, before);
}

void pal__slot_refresh(struct slot *slot)
{
    if (!is_stacks(slot)) {
        pal__k_slot_refresh(slot);
        return;
    }
    const struct sock *sock = sock_of(slot);
    if (sock->flags & (SOCK_LISTENING | SOCK_CONNECTED) || sock->tuple.remote_port)
        slot_clear(slot, SLOT_FRESH);
}

int32_t pal__b_slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    return is_stacks(slot) ? pal__b_sendfile(slot, op, offset, size) : pal__k_slot_sendfile(slot, op, offset, size);
}

/* ---- events ---- */

/* As it is: that ERR and HUP imply what is watched is for the machine to say, which has to know one from the other. */
static uint32_t ready_of(const struct sock *sock)
{
    return sock->kind == SOCK_TCP ? pal__n_tcp_ready(sock) : pal__n_udp_ready(sock);
}

/* What of a socket's readiness is a handle's affair. */
static uint32_t shown(const struct slot *slot, uint32_t ready)
{
    uint32_t want = slot_want(slot);
    return want ? ready & ((want & SLOT_WAITABLE) | PAL_ERR | PAL_HUP) : 0;
}

static void report(pal_poll *poll, struct slot *slot, uint32_t ready, uint32_t limit)
{
    ready = shown(slot, ready);
    if (!ready || UNLIKELY(current_event(poll, slot) != NULL))
        return;
    if (LIKELY(!slot_is_odd(slot, ready)))
        emit_ready(poll, slot, ready);
    else
        pal__machine_ready(poll, slot, ready, limit - poll->count);
}

/* Each handle that has joined this poll. True: it is ready still, and gave no event. */
static bool visit(pal_poll *poll, struct sock *sock, uint32_t limit)
{
    struct slot *first = ring_of(sock), *slot = first, *stopped;
    uint32_t ready = ready_of(sock), before = poll->count;
    bool fitted = true;
    do {
        stopped = slot;
        if (slot_poll(slot) == poll && (fitted = poll->count < limit))
            report(poll, slot, ready, limit);
        slot = ring_next(slot);
    } while (UNLIKELY(slot != first) && fitted);
    if (UNLIKELY(!fitted))
        sock->cookie = slot_number(stopped); /* which is the first next time (rule 18) */
    pal__b_ring_settle(sock);                /* an op that has ended, or a watch with ONCE, wants nothing any more */
    if (poll->count != before)
        return !fitted;
    return sock->interest && ready_of(sock) & (sock->interest | (uint32_t)(PAL_ERR | PAL_HUP));
}

/* Those for which there was no room have their turn first, the next time: a socket of several handles may have taken
 * that of others (rule 18). */
static void put_back(struct sock_waiter *waiter, struct sock *const *found, int first, int count)
{
    for (int i = count; i-- > first;) {
        if (!base_link_is_linked(&found[i]->ready_link))
            continue;
        base_list_remove(&found[i]->ready_link);
        base_list_push_front(&waiter->ready, &found[i]->ready_link);
    }
}

/* A batch is each socket once, in turn; those that stay ready go to the list's end and may be met again by a later
 * batch, which then writes nothing new. */
bool pal__b_collect(pal_poll *poll, uint32_t limit)
{
    struct sock *found[BATCH];
    struct sock_waiter *waiter = &lane_of(poll)->waiter;
    bool more = false;
    while (poll->count < limit) {
        uint32_t before = poll->count, room = limit - before;
        int most = room < BATCH ? (int)room : BATCH, count = pal__n_waiter_ready(waiter, found, most), next = 0;
        for (; next < count && poll->count < limit; next++)
            more |= visit(poll, found[next], limit);
        put_back(waiter, found, next, count);
        if (count < most)
            return more || next < count;
        if (poll->count == before)
            return true;
    }
    return lane_listed(poll);
}

/* ---- looking ---- */

enum { LOOK_MAX = 65536, LOOK_ON_STACK = 256 };

static bool is_kernels(const struct pal_wait *item)
{
    return item->sock.id && !in_stack(item->sock);
}

static uint16_t ready_now(const struct pal_wait *item)
{
    const struct slot *slot = slot_of(item->sock);
    if (!slot)
        return PAL_NVAL;
    if (slot_flags(slot) & SLOT_FRESH)
        return 0;
    return (uint16_t)(ready_of(sock_of(slot)) & ((item->interest & SLOT_WAITABLE) | (uint32_t)(PAL_ERR | PAL_HUP)));
}

/* The kernel's items alone, gathered in room for them. */
static int look_at_kernels(struct pal_wait *items, int count, struct pal_wait *room)
{
    int gathered = 0, ready;
    for (int i = 0; i < count; i++)
        if (is_kernels(&items[i]))
            room[gathered++] = items[i];
    if ((ready = pal__k_sock_wait(room, gathered, 0)) < 0)
        return ready;
    for (int i = count; i-- > 0;)
        if (is_kernels(&items[i]))
            items[i].ready = room[--gathered].ready;
    return ready;
}

static int look_outside(struct pal_wait *items, int count, int kernels)
{
    struct pal_wait on_stack[LOOK_ON_STACK], *room = on_stack;
    size_t size = (size_t)kernels * sizeof *room;
    if (kernels > LOOK_ON_STACK && !(room = pal__alloc(size, _Alignof(struct pal_wait))))
        return PAL_ENOMEM;
    int ready = look_at_kernels(items, count, room);
    if (room != on_stack)
        pal__free(room, size);
    return ready;
}

int pal__b_look(struct pal_wait *items, int count)
{
    if (count < 0 || count > LOOK_MAX || (count && !items))
        return pal__refuse(PAL_EINVAL, "pal_sock_wait takes 0 to 65536 items");
    int ready = 0, kernels = 0;
    for (int i = 0; i < count; i++) {
        items[i].ready = in_stack(items[i].sock) ? ready_now(&items[i]) : 0;
        ready += items[i].ready != 0;
        kernels += is_kernels(&items[i]);
    }
    int outside = kernels ? look_outside(items, count, kernels) : 0;
    return outside < 0 ? outside : ready + outside;
}
