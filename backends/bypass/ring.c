/* ring.c: the handles of one socket, linked by slot.fd. See ring.h. */
#include "ring.h"

#include "../common/poll_state.h"

struct sock *pal__b_socks[SLOT_MAX]; /* only the pages of slots that were used are resident */

struct slot *pal__b_ring_begin(struct sock *sock, uint32_t flags, uint8_t type)
{
    struct slot *slot = pal__slot_begin(-1, flags | SLOT_IN_STACK, sock->family, type);
    slot->fd = ring_link(slot);
    pal__b_socks[slot_number(slot)] = sock;
    sock->cookie = slot_number(slot);
    return slot;
}

struct slot *pal__b_ring_join(struct slot *slot, uint32_t flags)
{
    struct slot *twin = pal__slot_begin(slot->fd, flags | SLOT_IN_STACK, slot->family, slot->type);
    pal__b_socks[slot_number(twin)] = sock_of(slot);
    slot->fd = ring_link(twin);
    return twin;
}

struct sock *pal__b_ring_leave(struct slot *slot)
{
    struct sock *sock = sock_of(slot);
    struct slot *before = ring_next(slot);
    bool last = before == slot;
    while (ring_next(before) != slot)
        before = ring_next(before);
    before->fd = slot->fd;
    sock->cookie = slot_number(before);
    pal__b_socks[slot_number(slot)] = NULL;
    pal__slot_drop(slot);
    return last ? sock : NULL;
}

bool pal__b_ring_flags(const struct slot *slot, uint32_t flags)
{
    const struct slot *other = slot;
    do {
        if (slot_flags(other) & flags)
            return true;
        other = ring_next(other);
    } while (other != slot);
    return false;
}

uint32_t pal__b_ring_others(struct slot *slot)
{
    uint32_t want = 0;
    for (struct slot *other = ring_next(slot); UNLIKELY(other != slot); other = ring_next(other)) {
        const pal_poll *poll = slot_poll(other);
        if (poll && poll_inherited(poll))
            slot_abandon(other);
        want |= slot_want(other);
    }
    return want & SLOT_WAITABLE;
}

bool pal__b_ring_taken(const pal_poll *poll, const struct slot *slot)
{
    for (const struct slot *other = ring_next(slot); UNLIKELY(other != slot); other = ring_next(other)) {
        const pal_poll *its = slot_poll(other);
        if (its && its != poll && !poll_inherited(its) && slot_busy(other))
            return true;
    }
    return false;
}

void pal__b_ring_settle(struct sock *sock)
{
    struct slot *slot = ring_of(sock);
    uint32_t want = (slot_want(slot) & SLOT_WAITABLE) | pal__b_ring_others(slot);
    if (sock->interest != want)
        pal__n_sock_watch(sock, want);
}
