/* world.h: the simulated world: its hosts, its clock, and what happens next.
 *
 * One world a process. Whoever holds the baton (strand.h) may do anything here; nobody else touches it. All times are
 * virtual nanoseconds. What is to happen is of four kinds: frames that arrive (wire.h), stacks whose timers are due,
 * strands whose deadlines are, and actions (of the plan, or drawn as faults). Time moves from one to the next, and only
 * when no strand can run. */
#ifndef PAL__SIM_WORLD_H
#define PAL__SIM_WORLD_H

#include "../netstack/netstack.h"
#include "plan.h"
#include "wire.h"
#include <palio/base/heap.h>
#include <palio/base/list.h>

struct strand;

enum {
    HOSTS_MAX = 4096,
    LINK_LOOPBACK = 1, /* lo, of every host */
    LINK_WIRE = 2      /* eth0, of every host */
};

/* A turn of a host's stack takes so long: it cannot do everything in no time. */
#define TURN_NS UINT64_C(1000)

/* Times from here on never come: a wait until then has no deadline. 292 years. */
#define FOREVER_NS (UINT64_C(1) << 63)

struct host {
    char name[PLAN_NAME_SIZE];
    char addresses[PLAN_ADDRESSES_SIZE];
    uint32_t number;
    struct netstack *stack; /* NULL while it is crashed */
    struct nic *nic;
    struct base_heap_node due;   /* in the world's heap, by when its stack has something to do */
    uint64_t free_ns;            /* its stack is busy until then */
    int64_t clock_offset_ns;     /* of PAL_CLOCK_REAL */
    struct base_list lookers;    /* strands that look at its sockets again after each turn, by look_link */
    struct base_link dirty_link; /* its stack has something to send */
    bool paused;
    /* The function that is its process. */
    int32_t (*function)(void *argument);
    void *argument;
    uint64_t stack_size;
    int32_t result; /* PAL_EINPROGRESS while it runs */
};

/* ---- the world as others see it ---- */

/* Begins the default world unless there is one already: every call of the seam that needs one calls this. */
void pal__s_world_need(void);

/* PAL_CTL_SIM_BEGIN. */
int pal__s_world_begin(const struct pal_sim_setup *setup);

uint64_t pal__s_now(void);
uint64_t pal__s_after(uint64_t ns); /* when it is so much later; FOREVER_NS at most */
uint64_t pal__s_seed(void);
uint32_t pal__s_host_count(void);
struct host *pal__s_host(uint32_t number);        /* NULL: there is none */
struct host *pal__s_host_named(const char *name); /* without regard to case; NULL: there is none */
struct host *pal__s_host_here(void);              /* the one that the running strand is on */

/* The host that has this address; NULL: none. And the first one of a family that a host has; false: none. */
struct host *pal__s_host_at(const struct pal_addr *addr);
bool pal__s_host_address(const struct host *host, int family, struct pal_addr *out);

#endif
