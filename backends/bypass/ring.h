/* ring.h: the handles of one of the stack's sockets: usually one, more after pal_sock_dup. What they want together is
 * what the stack watches.
 *
 * One poll waits for such a socket, through whichever of its handles: the stack has one waiter a socket. */
#ifndef PAL__BYPASS_RING_H
#define PAL__BYPASS_RING_H

#include "sock.h"

/* .fd of a slot is -1 - the number of the next one: no descriptor, should anybody take it for one. */
static inline int32_t ring_link(const struct slot *next)
{
    return -1 - (int32_t)slot_number(next);
}

/* The next handle of the same socket; the slot itself if there is no other. */
static inline struct slot *ring_next(const struct slot *slot)
{
    return &pal__slots[-1 - slot->fd];
}

/* The handle by which the stack knows a socket. */
static inline struct slot *ring_of(const struct sock *sock)
{
    return &pal__slots[sock->cookie];
}

/* Begins the life that was reserved, as the only handle of a socket. flags: SLOT_* beside SLOT_IN_STACK. */
struct slot *pal__b_ring_begin(struct sock *sock, uint32_t flags, uint8_t type);

/* Begins the life that was reserved, as another handle of the slot's socket. */
struct slot *pal__b_ring_join(struct slot *slot, uint32_t flags);

/* Ends the handle. The socket, if this was the last one, which is then the caller's to close; else NULL. */
struct sock *pal__b_ring_leave(struct slot *slot);

/* Any handle of the socket has one of these flags. */
bool pal__b_ring_flags(const struct slot *slot, uint32_t flags);

/* What all handles of the socket but this one want. Those whose poll did not outlive fork want nothing any more. */
uint32_t pal__b_ring_others(struct slot *slot);

/* Another handle of the socket is waited for by another poll. */
bool pal__b_ring_taken(const pal_poll *poll, const struct slot *slot);

/* The stack watches exactly what the handles want. */
void pal__b_ring_settle(struct sock *sock);

#endif
