/* lease.h: leases of a user-space stack's sockets that are the frames themselves, without a copy.
 *
 * A frame is lent if it is a card's (frame.native), whose memory outlives every stack and has room in front, wherever
 * its payload lies; if that is not longer than a lease of the poll; and if the card has many such buffers. All else is
 * copied: what came by the loopback interface, by a wire in memory, or in fragments.
 *
 * What is lent counts as held by sockets until it comes back, so that windows close for it, and past half of what may
 * be held leases are copies: a program that keeps its leases for ever stops no card. */
#ifndef PAL__BYPASS_LEASE_H
#define PAL__BYPASS_LEASE_H

#include "../netstack/netstack.h"

/* Bytes of a frame's memory. Larger ones are few, and what a card receives in them, or sends, finds no other. */
enum { LENT_BELOW = 16384 };

/* From now on leases of stacks' sockets are frames where they can be. Any number of times. */
void pal__b_lease_begin(void);

/* The stack is about to be destroyed: frames that are lent stay the program's, and are not told to it any more. */
void pal__b_lease_abandon(const struct netstack *stack);

#endif
