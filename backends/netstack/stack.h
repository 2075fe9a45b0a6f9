/* stack.h: the state of a stack, for its own files. */
#ifndef PAL__NETSTACK_STACK_H
#define PAL__NETSTACK_STACK_H

#include "demux.h"
#include "dst.h"
#include "iface.h"
#include "ip.h"
#include "mcast.h"
#include "neigh.h"
#include "netstack.h"
#include "pool.h"
#include "ports.h"
#include "random.h"
#include "route.h"
#include "sock.h"
#include "tcp_syn.h"
#include "timer.h"
#include "udp.h"
#include <palio/base/list.h>
#include <palio/base/wheel.h>

enum { DST_BUCKETS = 1024, NEIGH_BUCKETS = 1024 };

struct loopback; /* loopback.c */

struct netstack {
    uint64_t now_ns;
    struct netstack_config config; /* with the defaults filled in; its allocator is the one below */
    struct pal_allocator allocator;
    uint64_t counters[COUNTERS];

    struct base_wheel wheel;
    struct base_list expired;         /* taken off the wheel, not handled yet */
    struct timer *first_timer;        /* the earliest; NULL: to be looked for (timer.c) */
    uint32_t timer_count;             /* armed */
    struct base_list short_of_frames; /* struct tcb by short_link */
    struct base_list dirty;           /* struct tcb by dirty_link */
    struct sock_waiter waiter;        /* of sockets that have no other */
    bool in_poll;                     /* within pal__n_stack_poll */

    struct iface *ifaces[IFACES_MAX]; /* [0] is the loopback interface */
    uint32_t iface_count;
    struct loopback *loopback;
    struct route_table routes;
    struct base_list dsts[DST_BUCKETS];
    struct base_list idle_dsts; /* without references, oldest first */
    struct pool dst_pool;
    struct base_list neighs[NEIGH_BUCKETS];
    struct base_list aged_neighs;     /* struct neigh by age_link: unused ones that have answered, oldest first */
    struct base_list unproven_neighs; /* those that have not, or were never used: evicted before the others */
    struct pool neigh_pool;
    struct frag_table *frags;
    struct pool group_pool, membership_pool;

    struct demux demux;
    struct port_table *ports;
    struct pool tcb_pool, listener_pool, embryo_pool, timewait_pool, udp_pool, seg_pool, chunk_pool;
    struct base_list timewaits; /* oldest first */

    struct random random;
    struct siphash_key isn_key, ts_key, cookie_key, port_key, hash_key;
    uint32_t port_counters[256]; /* RFC 6056 3.3.4 */
    struct icmp_limit icmp_limit;
    uint32_t ip4_id;
    uint32_t held_frames; /* received frames that sockets keep, or the program */

    /* Frames that the program keeps, now and from the beginning; what it got as copies instead. */
    struct {
        uint64_t frames, copies;
        uint32_t now;
    } lent;

    struct netstack_sharing sharing;            /* .stacks 0: with nobody */
    void (*reason)(int code, const char *text); /* pal__refuse of the backend; NULL: refusals say nothing */
};

static inline void count(struct netstack *stack, enum netstack_counter counter)
{
    stack->counters[counter]++;
}

/* So many received frames wait in sockets that windows are not opened any further (tcp.in.wnd-pool-pressure). */
static inline bool stack_is_short(const struct netstack *stack)
{
    return stack->held_frames >= stack->config.held_frames_max;
}

/* TCP_HAS_* of a SYN that this stack does. */
static inline uint8_t stack_syn_options(const struct netstack *stack)
{
    uint32_t flags = stack->config.flags;
    uint8_t has = TCP_HAS_MSS;

    if (!(flags & NETSTACK_SACK_OFF))
        has |= TCP_HAS_SACK_PERMITTED;
    if (!(flags & NETSTACK_TIMESTAMPS_OFF))
        has |= TCP_HAS_TIMESTAMPS;
    if (!(flags & NETSTACK_SCALE_OFF))
        has |= TCP_HAS_SCALE;
    return has;
}

/* Frees the frame and counts why. */
static inline void drop(struct netstack *stack, struct frame *frame, enum netstack_counter counter)
{
    stack->counters[counter]++;
    frame_free(frame);
}

/* Nobody here wants this packet of a tuple. True: one of those that share the stack's addresses has taken the frame. */
static inline bool stack_passes(const struct netstack *stack, const struct packet *packet, const struct tuple *tuple)
{
    const struct netstack_sharing *sharing = &stack->sharing;

    return sharing->stacks != 0 && !iface_is_loopback(packet->iface) &&
           sharing->pass(sharing->context, packet->frame, tuple);
}

/* ---- loopback.c: the interface of 127/8 and ::1, and the source of big frames ---- */
int pal__n_loopback_create(struct netstack *stack); /* 0 or PAL_ENOMEM; makes ifaces[0] */
void pal__n_loopback_destroy(struct netstack *stack);
struct nic *pal__n_loopback_nic(struct netstack *stack);
bool pal__n_loopback_has_frames(const struct netstack *stack);                /* there is something to receive */
uint32_t pal__n_loopback_used(const struct netstack *stack);                  /* big frames taken */
struct iface *pal__n_loopback_memory(struct netstack *stack, uint32_t index); /* where an interface is made */
/* The interface on which a frame that has come by the loopback interface is to be received. */
struct iface *pal__n_loopback_target(struct netstack *stack, struct frame *frame);

/* ---- iface.c ---- */
struct iface *pal__n_iface_create(struct netstack *stack, struct nic *nic, const char *name, uint32_t mtu, int *error);
void pal__n_iface_destroy(struct iface *iface);

/* Tables made and ended with the stack. What cannot be made whole (false) has given everything back, and
 * ending what was never made does nothing. */
bool pal__n_route_create(struct netstack *stack);
void pal__n_route_destroy(struct netstack *stack);
bool pal__n_neigh_create(struct netstack *stack);
void pal__n_neigh_destroy(struct netstack *stack);
bool pal__n_dst_create(struct netstack *stack);
void pal__n_dst_destroy(struct netstack *stack);
bool pal__n_mcast_create(struct netstack *stack);
void pal__n_mcast_destroy(struct netstack *stack);
uint32_t pal__n_frag_sets_used(const struct netstack *stack);
uint32_t pal__n_frag_frames_used(const struct netstack *stack);

/* Ends all sockets: notify: with a RST. tcb_pool and udp_pool are tracked: pal__n_pool_next walks what is in use. */
void pal__n_tcp_destroy_all(struct netstack *stack, bool notify);
void pal__n_udp_destroy_all(struct netstack *stack);

/* tcp_check.c: what is wrong with one connection; NULL: nothing. */
const char *pal__n_tcb_check(const struct tcb *tcb);

/* The tuple of what a demux index stands for. */
static inline const struct tuple *stack_tuple(const struct netstack *stack, uint32_t index)
{
    uint32_t item = demux_pool_index(index);

    switch (demux_kind_of(index)) {
    case DEMUX_TCB:
        return &((const struct tcb *)pool_at(&stack->tcb_pool, item))->sock.tuple;
    case DEMUX_EMBRYO:
        return &((const struct embryo *)pool_at(&stack->embryo_pool, item))->tuple;
    case DEMUX_TIMEWAIT:
        return &((const struct timewait *)pool_at(&stack->timewait_pool, item))->tuple;
    default:
        return &((const struct udp *)pool_at(&stack->udp_pool, item))->sock.tuple;
    }
}

#endif
