/* timer.h: the stack's timers: one wheel, ticks of a microsecond, and a kind that says whose a timer is.
 *
 * A timer never fires early, and at most a tick late: at the first turn whose time is the first whole tick at or after
 * it was due. What is due at one turn fires in the order of its ticks, within a tick in the order of arming. Handlers
 * get the time at which it was due (requirement tcp.rtx.sample-ingress-time), which may lie before stack->now_ns; they
 * may arm, stop and free this timer and all others. What a handler arms fires at the next turn at the earliest,
 * whatever its time. */
#ifndef PAL__NETSTACK_TIMER_H
#define PAL__NETSTACK_TIMER_H

#include <palio/base/wheel.h>
#include <stdint.h>

struct netstack;

enum { TIMER_TICK_NS = 1000 };

/* What timer.c calls for it: each kind names one handler. */
enum timer_kind {
    TIMER_TCP,      /* pal__n_tcp_timer: struct tcb */
    TIMER_EMBRYO,   /* pal__n_embryo_timer: struct embryo */
    TIMER_TIMEWAIT, /* pal__n_timewait_timer: struct timewait */
    TIMER_NEIGH,    /* pal__n_neigh_timer: struct neigh */
    TIMER_FRAG,     /* pal__n_frag_timer: struct frag_set */
    TIMER_ADDR,     /* pal__n_addr_timer: struct iface_addr, duplicate address detection */
    TIMER_GROUP,    /* pal__n_group_timer: struct group, reports that are due */
    TIMER_QUERY,    /* pal__n_query_timer: struct iface, the answer to a general query */
    TIMER_DST       /* pal__n_dst_timer: struct dst, a learned path MTU that has aged */
};

struct timer {
    struct base_timer node;
    uint64_t due_ns; /* UINT64_MAX: not armed */
    uint8_t kind;    /* enum timer_kind: set when the object is made, kept from then on */
};

/* (Re)arms it; UINT64_MAX disarms it. Constant cost, as is stopping. */
void pal__n_timer_set(struct netstack *stack, struct timer *timer, uint64_t due_ns);

/* Disarms it; one that is not armed stays so. */
void pal__n_timer_stop(struct netstack *stack, struct timer *timer);

/* Fires all that are due at stack->now_ns: a turn does so once. */
void pal__n_timers_fire(struct netstack *stack);

/* The first time at which a turn would fire one, exactly; UINT64_MAX: none is armed. A connection's timer may stand
 * before the connection's earliest date (tcp_timer.c): it is set right first. Constant cost, but for a walk of the slot
 * that is due first when what was the earliest timer has gone. */
uint64_t pal__n_timers_next(struct netstack *stack);

static inline void timer_init(struct timer *timer, enum timer_kind kind)
{
    timer->node.link.next = timer->node.link.prev = NULL;
    timer->due_ns = UINT64_MAX;
    timer->kind = (uint8_t)kind;
}

static inline bool timer_is_armed(const struct timer *timer)
{
    return base_timer_is_armed(&timer->node);
}

/* Each in the file that owns the object; due_ns is when it was to fire. */
void pal__n_tcp_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_embryo_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_timewait_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_neigh_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_frag_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_addr_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_group_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_query_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);
void pal__n_dst_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns);

#endif
