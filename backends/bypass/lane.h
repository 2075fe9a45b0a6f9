/* lane.h: the stack's lane of a poll that has the kernel's beside it (rule 14): hooks of common/machine.h that ask a
 * slot's domain whose it is, and what of the stack's sockets is ready.
 *
 * lane.c defines pal__wait_update, _trim, _forget and pal__slot_refresh for every backend of two worlds; its bind.c has
 * pal__wait_rouse and pal__slot_sendfile. One poll waits for a socket of the stack's, whichever of its handles are
 * watched: update refuses another with PAL_EBUSY.
 *
 * The poll itself is the kernel's (posix/wait_epoll.c); what it has besides is a struct lane, by the poll's number. A
 * slot of the stack has nothing in the kernel's set, and its .armed stays 0: what the stack watches for it is asked
 * of its handles each time (ring.h). Whoever calls has the stack, and the poll, to himself. */
#ifndef PAL__BYPASS_LANE_H
#define PAL__BYPASS_LANE_H

#include "../common/poll_state.h"
#include "../netstack/sock.h"
#include <pal/socket.h>

struct lane {
    struct sock_waiter waiter; /* the stack's sockets that this poll watches, as far as they may be ready */
    uint32_t kernel_armed;     /* slots of the kernel's in the poll's set: never too few, see pal__b_kernel_waits */
};

extern struct lane pal__b_lanes[POLLS_MAX];

static inline struct lane *lane_of(const pal_poll *poll)
{
    return &pal__b_lanes[poll->leases.number];
}

/* Some of the poll's sockets may be ready, or wait for room at their interface, of whose coming nobody tells: worth a
 * look whenever anything has happened to the stack. */
static inline bool lane_listed(const pal_poll *poll)
{
    return !base_list_is_empty(&lane_of(poll)->waiter.ready);
}

/* The poll has been opened: its lane begins. roused: see struct sock_waiter. */
void pal__b_lane_begin(pal_poll *poll, struct base_list *roused);

/* The poll of this number has been closed (it does not know its number any more): sockets that it watched have no
 * waiter from now on, and the lane is on no roused list. Cost: a walk over the table, as of closing a poll. */
void pal__b_lane_end(uint32_t number);

/* Writes events of the stack's sockets that are ready, as long as the array has room for limit entries in all. A socket
 * whose event is in the array already gets no other. True: there is more to look at: sockets that did not fit, or are
 * ready though a try of an op said PAL_EAGAIN. Nobody rouses for these again: who would sleep looks again instead. */
bool pal__b_collect(pal_poll *poll, uint32_t limit);

/* How many of the kernel's sockets and children this poll waits for just now; sets .kernel_armed right, which between
 * two such calls may count sockets that have left the set unseen (closed, or moved to another poll). Cost: a walk over
 * the table. */
uint32_t pal__b_kernel_waits(pal_poll *poll);

/* What pal__slot_sendfile is, when the backend has done what it does before a call of the stack. */
int32_t pal__b_slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size);

/* poll(2), looking only: fills in .ready of items of both domains, and says how many are ready; PAL_EINVAL, PAL_ENOMEM
 * as pal_sock_wait. Registers nothing. One system call if there are items of the kernel's; allocates above 256 of
 * them. */
int pal__b_look(struct pal_wait *items, int count);

#endif
