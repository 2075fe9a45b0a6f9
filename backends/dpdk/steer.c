/* steer.c: a ring for each queue of each port, by which other queues' threads give it frames. See steer.h.
 *
 * Who uses a port is one word for all threads: a bit for each queue, set and cleared by the queue's own thread. A frame
 * that goes on says which queues have seen it (in the mbuf's place for the card's hash, which nobody reads), so that it
 * ends with the last one that might have wanted it. */
#include "steer.h"

#include "nic_dpdk.h"

#include <rte_ring.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RING_SIZE = 1024, PORTS = 65536 };
enum { SEEN_BY_ALL = 0x10000, IS_COPY = 0x20000 }; /* beside the bits of the queues */

_Static_assert(DPDK_QUEUES_MAX <= 16, "a bit for each");

struct steered {
    struct nic nic;
    struct nic *below;     /* the queue's, or a nic in front of it */
    struct nic *bottom;    /* the queue's own: home of its frames */
    struct rte_ring *ring; /* what the others give */
    struct steer_queue *of;
};

struct steer_queue {
    struct steer *steer;
    uint32_t number;
    int bell;
    _Atomic uint32_t sleeps;
    _Atomic uint32_t is_read; /* by another queue's thread, while it has none */
    uint32_t *uses[2];        /* of each TCP and UDP port by this queue's stack: its thread's */
    struct steer_counts counts;
    struct steered nics[DPDK_DEVICES_MAX];
};

struct steer {
    uint32_t devices, queues;
    _Atomic uint32_t active;          /* a bit for each queue that has a stack */
    _Atomic uint16_t users[2][PORTS]; /* TCP, UDP: a bit for each queue whose stack uses the port */
    struct steer_queue queue[];
};

static struct steered *steered_of(struct nic *nic)
{
    return (struct steered *)(void *)nic;
}

static uint32_t bit_of(const struct steer_queue *queue)
{
    return UINT32_C(1) << queue->number;
}

/* ---- handing over ---- */

/* Takes the mbuf. */
static void hand_over(struct steer_queue *from, uint32_t device, uint32_t number, struct rte_mbuf *mbuf)
{
    struct steer_queue *to = &from->steer->queue[number];
    uint64_t one = 1;

    if (rte_ring_enqueue(to->nics[device].ring, mbuf) != 0) {
        from->counts.lost++;
        rte_pktmbuf_free_seg(mbuf);
        return;
    }
    from->counts.given++;
    atomic_thread_fence(memory_order_seq_cst); /* the frame before the look: see pal__d_steer_sleeps */
    if (atomic_load_explicit(&to->sleeps, memory_order_relaxed) != 0)
        (void)!write(to->bell, &one, sizeof(one));
}

/* A copy for every other stack. */
static void share(struct steered *steered, struct frame *frame)
{
    struct steer_queue *self = steered->of;
    uint32_t others = atomic_load_explicit(&self->steer->active, memory_order_acquire) & ~bit_of(self);
    uint32_t device = (uint32_t)(steered - self->nics);
    struct rte_mbuf *original = frame->native;

    original->hash.usr = SEEN_BY_ALL;
    for (uint32_t number = 0; others >> number != 0; number++) {
        struct rte_mbuf *copy;

        if ((others >> number & 1) == 0)
            continue;
        copy = pal__d_nic_copy(frame);
        if (copy == NULL) {
            self->counts.lost++;
            continue;
        }
        copy->hash.usr = SEEN_BY_ALL | IS_COPY;
        hand_over(self, device, number, copy);
    }
}

/* ---- as a nic ---- */

static int take_given(struct steered *steered, struct frame **frames, int max)
{
    void *mbufs[DPDK_BURST];
    unsigned most = max < DPDK_BURST ? (unsigned)max : DPDK_BURST, count;

    if (most == 0 || rte_ring_empty(steered->ring))
        return 0;
    count = rte_ring_sc_dequeue_burst(steered->ring, mbufs, most, NULL);
    for (unsigned i = 0; i < count; i++)
        frames[i] = pal__d_nic_take(steered->bottom, mbufs[i]);
    steered->of->counts.taken += count;
    return (int)count;
}

/* True: this queue's thread is the one that reads queues which have no thread. */
static bool reads_others(const struct steer_queue *self, uint32_t *others)
{
    uint32_t active = atomic_load_explicit(&self->steer->active, memory_order_acquire);

    *others = ~active & ((UINT32_C(1) << self->steer->queues) - 1);
    return *others != 0 && (active & (bit_of(self) - 1)) == 0;
}

/* Of a queue that nobody has; if somebody takes it meanwhile, he waits (pal__d_steer_begin). */
static int read_other(struct steered *steered, uint32_t number, struct frame **frames, int max)
{
    struct steer *steer = steered->of->steer;
    struct steer_queue *other = &steer->queue[number];
    struct nic *bottom = other->nics[steered - steered->of->nics].bottom;
    int count = 0;

    if (atomic_exchange(&other->is_read, 1) != 0) /* by who was the lowest until just now */
        return 0;
    if ((atomic_load(&steer->active) & bit_of(other)) == 0)
        count = bottom->ops->rx(bottom, frames, max);
    for (int i = 0; i < count; i++)
        frames[i] = pal__d_nic_take(steered->bottom, pal__d_nic_give(frames[i]));
    atomic_store(&other->is_read, 0);
    steered->of->counts.taken += (uint64_t)count;
    return count;
}

static int read_others(struct steered *steered, struct frame **frames, int max)
{
    uint32_t others;
    int count = 0;

    if (!reads_others(steered->of, &others))
        return 0;
    for (uint32_t number = 0; others >> number != 0 && count < max; number++)
        if ((others >> number & 1) != 0)
            count += read_other(steered, number, frames + count, max - count);
    return count;
}

/* Half of a burst at most is what others give while the port has more than that. */
static int steer_rx(struct nic *nic, struct frame **frames, int max)
{
    struct steered *steered = steered_of(nic);
    int given = take_given(steered, frames, max / 2), count = given;

    count += steered->below->ops->rx(steered->below, frames + count, max - count);
    count += read_others(steered, frames + count, max - count);
    for (int i = given; i < count; i++) {
        ((struct rte_mbuf *)frames[i]->native)->hash.usr = 0;
        if (pal__d_steer_reach(frames[i]->data, frames[i]->size) == STEER_ALL)
            share(steered, frames[i]);
    }
    return count + take_given(steered, frames + count, max - count);
}

static int steer_tx(struct nic *nic, struct frame **frames, int count)
{
    struct nic *below = steered_of(nic)->below;

    return below->ops->tx(below, frames, count);
}

static struct frame *steer_alloc(struct nic *nic)
{
    return frame_alloc(steered_of(nic)->below);
}

static void steer_free(struct nic *nic, struct frame *frame)
{
    struct nic *below = steered_of(nic)->below;

    below->ops->free(below, frame);
}

static void steer_caps(const struct nic *nic, struct nic_caps *out)
{
    struct nic *below = ((const struct steered *)(const void *)nic)->below;

    below->ops->caps(below, out);
}

static void steer_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct nic *below = steered_of(nic)->below;

    below->ops->filter(below, macs, count);
}

static const struct nic_ops steer_ops = {steer_rx, steer_tx, steer_alloc, steer_free, steer_caps, steer_filter};

struct nic *pal__d_steer_nic(struct steer *steer, uint32_t device, uint32_t queue, struct nic *below)
{
    struct steered *steered = &steer->queue[queue].nics[device];

    steered->below = below;
    return &steered->nic;
}

/* ---- whose a frame is ---- */

static int kind_of(uint8_t protocol)
{
    return protocol == PAL_IPPROTO_TCP ? 0 : 1;
}

/* Of several it is one that depends on the conversation alone, so that a SYN that comes again finds the first. */
static uint32_t choose(uint32_t mask, const struct tuple *tuple)
{
    uint32_t hash = (uint32_t)tuple->remote_port << 16 | tuple->local_port, left;

    for (int i = 0; i < 16; i++)
        hash = (hash ^ tuple->remote.bytes[i]) * 16777619U;
    left = (hash >> 8) % (uint32_t)__builtin_popcount(mask);
    while (left-- > 0)
        mask &= mask - 1;
    return (uint32_t)__builtin_ctz(mask);
}

/* What came in parts, or goes to all, has been seen by all: those who want it have it. If nobody does, the lowest queue
 * answers for all what has no sender's copy. */
static bool swallow(struct frame *frame, uint32_t users, bool answers)
{
    if (users == 0 && answers)
        return false;
    frame_free(frame);
    return true;
}

static bool pass(void *context, struct frame *frame, const struct tuple *tuple)
{
    struct steer_queue *self = context;
    struct steer *steer = self->steer;
    uint32_t active = atomic_load_explicit(&steer->active, memory_order_acquire);
    uint32_t users =
        atomic_load_explicit(&steer->users[kind_of(tuple->protocol)][tuple->local_port], memory_order_acquire) &
        active & ~bit_of(self);
    struct rte_mbuf *mbuf = frame->native;
    uint32_t device = 0;

    if (!pal__d_nic_has(frame))
        return swallow(frame, users, (active & (bit_of(self) - 1)) == 0);
    if ((mbuf->hash.usr & SEEN_BY_ALL) != 0)
        return swallow(frame, users, (mbuf->hash.usr & IS_COPY) == 0);
    users &= ~mbuf->hash.usr;
    if (users == 0)
        return false;
    while (self->nics[device].bottom != frame->home)
        device++;
    mbuf = pal__d_nic_give(frame);
    mbuf->hash.usr |= bit_of(self);
    hand_over(self, device, choose(users, tuple), mbuf);
    return true;
}

static void set_user(struct steer_queue *self, int kind, uint32_t port, bool is_used)
{
    _Atomic uint16_t *users = &self->steer->users[kind][port];

    if (is_used)
        atomic_fetch_or_explicit(users, (uint16_t)bit_of(self), memory_order_release);
    else
        atomic_fetch_and_explicit(users, (uint16_t)~bit_of(self), memory_order_release);
}

static void note_port(void *context, uint8_t protocol, uint16_t port, bool begins)
{
    struct steer_queue *self = context;
    uint32_t *uses = &self->uses[kind_of(protocol)][port];

    if (begins ? (*uses)++ == 0 : --*uses == 0)
        set_user(self, kind_of(protocol), port, begins);
}

/* ---- beginning and end of a queue's stack ---- */

static void drain(struct steer_queue *queue)
{
    void *mbuf;

    for (uint32_t i = 0; i < queue->steer->devices; i++)
        while (rte_ring_sc_dequeue(queue->nics[i].ring, &mbuf) == 0)
            rte_pktmbuf_free_seg(mbuf);
}

void pal__d_steer_begin(struct steer *steer, uint32_t queue, struct netstack *stack)
{
    struct netstack_sharing sharing = {&steer->queue[queue], steer->queues, queue, pass, note_port};

    drain(&steer->queue[queue]); /* what was given to the one before */
    pal__n_stack_share(stack, &sharing);
    atomic_fetch_or(&steer->active, bit_of(&steer->queue[queue]));
    while (atomic_load(&steer->queue[queue].is_read) != 0)
        sched_yield();
}

void pal__d_steer_end(struct steer *steer, uint32_t queue)
{
    struct steer_queue *self = &steer->queue[queue];
    uint64_t one = 1;

    atomic_fetch_and(&steer->active, ~bit_of(self));
    for (uint32_t number = 0; number < steer->queues; number++)
        (void)!write(steer->queue[number].bell, &one, sizeof(one)); /* one of them is to read this queue */
    for (int kind = 0; kind < 2; kind++) {
        memset(self->uses[kind], 0, PORTS * sizeof(self->uses[kind][0]));
        for (uint32_t port = 0; port < PORTS; port++)
            if ((atomic_load_explicit(&steer->users[kind][port], memory_order_relaxed) & bit_of(self)) != 0)
                set_user(self, kind, port, false);
    }
    drain(self);
}

/* ---- sleep ---- */

bool pal__d_steer_reads_others(const struct steer *steer, uint32_t queue)
{
    uint32_t others;

    return reads_others(&steer->queue[queue], &others);
}

int pal__d_steer_bell(const struct steer *steer, uint32_t queue)
{
    return steer->queue[queue].bell;
}

bool pal__d_steer_sleeps(struct steer *steer, uint32_t queue)
{
    struct steer_queue *self = &steer->queue[queue];

    atomic_store_explicit(&self->sleeps, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* the word before the look: one of the two sees the other's */
    for (uint32_t i = 0; i < steer->devices; i++) {
        if (rte_ring_empty(self->nics[i].ring))
            continue;
        pal__d_steer_woke(steer, queue);
        return false;
    }
    return true;
}

void pal__d_steer_woke(struct steer *steer, uint32_t queue)
{
    atomic_store_explicit(&steer->queue[queue].sleeps, 0, memory_order_relaxed);
}

const struct steer_counts *pal__d_steer_counts(const struct steer *steer, uint32_t queue)
{
    return &steer->queue[queue].counts;
}

/* ---- start and end ---- */

static bool set_up_queue(struct steer *steer, uint32_t number, struct dpdk_port *const *ports)
{
    struct steer_queue *queue = &steer->queue[number];
    char name[RTE_RING_NAMESIZE];

    queue->steer = steer;
    queue->number = number;
    queue->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int kind = 0; kind < 2; kind++)
        queue->uses[kind] = calloc(PORTS, sizeof(queue->uses[kind][0]));
    if (queue->bell < 0 || queue->uses[0] == NULL || queue->uses[1] == NULL)
        return false;
    for (uint32_t i = 0; i < steer->devices; i++) {
        struct steered *steered = &queue->nics[i];

        snprintf(name, sizeof(name), "palio-steer-%u-%u", (uint8_t)i, (uint8_t)number);
        steered->nic.ops = &steer_ops;
        steered->bottom = pal__d_port_nic(ports[i], number);
        steered->of = queue;
        steered->ring = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
        if (steered->ring == NULL)
            return false;
    }
    return true;
}

int pal__d_steer_open(struct dpdk_port *const *ports, uint32_t count, uint32_t queues, struct steer **out,
                      struct base_text *words)
{
    struct steer *steer = calloc(1, sizeof(*steer) + queues * sizeof(steer->queue[0]));

    *out = NULL;
    if (steer == NULL)
        return pal__d_fail(words, PAL_ENOMEM, "there is no memory for %u queues", (unsigned)queues);
    steer->devices = count;
    steer->queues = queues;
    for (uint32_t i = 0; i < queues; i++)
        steer->queue[i].bell = -1;
    for (uint32_t i = 0; i < queues; i++) {
        if (set_up_queue(steer, i, ports))
            continue;
        pal__d_steer_close(steer);
        return pal__d_fail(words, PAL_ENOMEM,
                           "there is no memory, or no descriptor, for what %u queues share; say fewer",
                           (unsigned)queues);
    }
    *out = steer;
    return 0;
}

void pal__d_steer_close(struct steer *steer)
{
    if (steer == NULL)
        return;
    for (uint32_t number = 0; number < steer->queues; number++) {
        struct steer_queue *queue = &steer->queue[number];

        for (uint32_t i = 0; i < steer->devices; i++) {
            void *mbuf;

            while (queue->nics[i].ring != NULL && rte_ring_sc_dequeue(queue->nics[i].ring, &mbuf) == 0)
                rte_pktmbuf_free_seg(mbuf);
            rte_ring_free(queue->nics[i].ring);
        }
        for (int kind = 0; kind < 2; kind++)
            free(queue->uses[kind]);
        if (queue->bell >= 0)
            close(queue->bell);
    }
    free(steer);
}
