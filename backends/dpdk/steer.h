/* steer.h: frames from one queue of the card to the stack of another, where each queue has a stack of its own.
 *
 * A card spreads what it receives over its queues by a hash that knows nothing of sockets. Mostly that fits: who
 * accepts a connection has its queue. What does not fit is put right here, from thread to thread, by a ring for each
 * queue:
 *  - a segment or datagram that no socket of its queue's stack wants goes to a stack that uses the port;
 *  - what concerns every stack (answers of neighbours, ICMP's errors, groups, fragments) goes to all, as copies.
 * A queue that no thread has (not yet, or no more) is read by the thread with the lowest one. What fits pays for a look
 * at its headers. With one queue there is no steering. */
#ifndef PAL__DPDK_STEER_H
#define PAL__DPDK_STEER_H

#include "../netstack/netstack.h"
#include "port.h"

struct steer;

/* What a queue's thread has counted. */
struct steer_counts {
    uint64_t given, taken; /* frames to other queues, copies among them; from them */
    uint64_t lost;         /* the other's ring was full, or there was no buffer for a copy */
};

/* For all queues of these ports. PAL_ENOMEM. One thread, which started DPDK. */
int pal__d_steer_open(struct dpdk_port *const *ports, uint32_t count, uint32_t queues, struct steer **out,
                      struct base_text *words);

/* Gives back every frame that is under way; all queues have ended. Before the ports are closed. */
void pal__d_steer_close(struct steer *steer);

/* What stands between the port's nic of this queue (or a nic in front of that) and the stack. */
struct nic *pal__d_steer_nic(struct steer *steer, uint32_t device, uint32_t queue, struct nic *below);

/* This thread's stack has the queue from now on, before its first socket; and has it no more: the stack is gone. Under
 * the card's lock. */
void pal__d_steer_begin(struct steer *steer, uint32_t queue, struct netstack *stack);
void pal__d_steer_end(struct steer *steer, uint32_t queue);

/* Nothing tells this queue's thread of frames in queues that it reads for want of others: it is to nap. */
bool pal__d_steer_reads_others(const struct steer *steer, uint32_t queue);

/* The queue's thread is about to sleep on the bell, a descriptor that is readable when others have given it frames.
 * False: they have already. After the sleep, whatever ended it: woke. Costs a store and a look; a bell that rings is a
 * system call. */
int pal__d_steer_bell(const struct steer *steer, uint32_t queue);
bool pal__d_steer_sleeps(struct steer *steer, uint32_t queue);
void pal__d_steer_woke(struct steer *steer, uint32_t queue);

const struct steer_counts *pal__d_steer_counts(const struct steer *steer, uint32_t queue);

/* Whom a received frame concerns, by its headers. Exposed for tests. */
enum steer_reach { STEER_ONE, STEER_ALL };
enum steer_reach pal__d_steer_reach(const uint8_t *data, uint32_t size);

#endif
