/* lease.c: frames of a card as leases. Rules 5 and 13. See lease.h. */
#include "lease.h"

#include "../common/lease.h"
#include "../common/poll_state.h"
#include "../netstack/udp.h"
#include "ring.h"
#include <pal/os.h>
#include <stddef.h>
#include <string.h>

/* Bytes in front of a payload at least: the headroom, and a header of Ethernet. Less than that have copies that the
 * stack has made for itself. */
enum { FRONT_LEAST = FRAME_HEADROOM + 14 };

/* Whose frames the leases of a poll are, by the poll's number: those of its thread's stack. */
static struct lender {
    struct netstack *_Atomic stack; /* NULL: it is gone, or there was none */
    uint32_t lent;                  /* frames; the poll's owner's */
} lenders[POLLS_MAX];

static bool is_lendable(const struct frame *frame, uint32_t size_max)
{
    return frame->native && frame->size <= size_max && frame->memory_size < LENT_BELOW &&
           frame_headroom(frame) >= FRONT_LEAST;
}

/* What is counted at the end of a loan must be what was counted at its beginning: a thread that gets another stack
 * while frames of its first are out lends none of it. */
static bool may_lend(struct lender *lender, struct netstack *stack)
{
    if (!lender->lent)
        atomic_store_explicit(&lender->stack, stack, memory_order_relaxed);
    return atomic_load_explicit(&lender->stack, memory_order_relaxed) == stack && pal__n_stack_has_plenty(stack);
}

static void give_back(struct lease_pool *pool, void *owner)
{
    struct lender *lender = &lenders[pool->number];
    struct netstack *stack = atomic_load_explicit(&lender->stack, memory_order_relaxed);
    lender->lent--;
    frame_free(owner);
    if (stack)
        pal__n_stack_count_lent(stack, -1);
}

/* In front of the payload, where headers were, and no more of it than there is to tell: these lines of memory are
 * colder than a pool's. What the stack knows of a datagram lies there as well, and is read before. */
static void describe(const struct sock *sock, const struct frame *frame)
{
    struct pal_msg *at = lease_metadata(frame->data), msg;
    memset(&msg, 0, offsetof(struct pal_msg, local));
    memset(&msg.stamp, 0, sizeof msg.stamp);
    msg.size = (int32_t)frame->size;
    if (sock->kind == SOCK_UDP) {
        msg.addr = (struct pal_addr *)(void *)(at + 1);
        msg.want = LEASE_WANTS;
        pal__n_udp_describe(sock, frame, &msg);
    }
    memcpy(at, &msg, offsetof(struct pal_msg, local));
    if (UNLIKELY(msg.have & PAL_META_LOCAL))
        at->local = msg.local;
    if (UNLIKELY(msg.have & PAL_META_TIME)) { /* the stack's clock is the monotonic one */
        at->stamp = msg.stamp;
        at->stamp.system_ns += pal_clock(PAL_CLOCK_REAL) - pal_clock(PAL_CLOCK_MONOTONIC);
    }
}

static int lend(pal_poll *poll, struct slot *slot, struct lease_loan *loans, int max)
{
    struct lender *lender = &lenders[poll->leases.number];
    struct frame *frames[LEASE_BATCH];
    struct sock *sock = sock_of(slot);
    const struct frame *next = pal__n_sock_next_frame(sock);
    int count = 0;
    if (!next || !may_lend(lender, sock->stack))
        return 0;
    for (; count < max && next && is_lendable(next, poll->leases.size); next = next->next)
        count++;
    if (!count)
        return 0;
    count = pal__n_sock_recv_frames(sock, frames, NULL, count);
    for (int i = 0; i < count; i++) {
        describe(sock, frames[i]);
        loans[i] = (struct lease_loan){
            .data = frames[i]->data, .size = frames[i]->size, .owner = frames[i], .give_back = give_back};
    }
    lender->lent += (uint32_t)count;
    pal__n_stack_count_lent(sock->stack, count);
    return count;
}

static bool waits(struct slot *slot)
{
    return pal__n_sock_next_frame(sock_of(slot)) != NULL;
}

static void copied(struct slot *slot, int count)
{
    pal__n_stack_count_copies(sock_of(slot)->stack, (uint32_t)count);
}

void pal__b_lease_begin(void)
{
    static const struct lease_source source = {lend, waits, copied};
    atomic_store_explicit(&pal__lease_source, &source, memory_order_relaxed);
}

void pal__b_lease_abandon(const struct netstack *stack)
{
    for (uint32_t number = 0; number < POLLS_MAX; number++)
        if (atomic_load_explicit(&lenders[number].stack, memory_order_relaxed) == stack)
            atomic_store_explicit(&lenders[number].stack, NULL, memory_order_relaxed);
}
