/* strand.h: flows of control in the simulated world. One of them runs at a time: it has the baton.
 *
 * A strand is a thread of the program (its first one, and those of pal_thread_start) or a host's function, which has a
 * stack of its own on the first thread, its carrier. The baton goes on when the strand that has it waits, and
 * there alone: by a switch of contexts to a strand of the same carrier, else by waking another thread. Who is next is a
 * choice (chance.h). */
#ifndef PAL__SIM_STRAND_H
#define PAL__SIM_STRAND_H

#include "../common/poll_state.h"
#include "world.h"
#include <pal/context.h>
#include <pal/socket.h>
#include <stdatomic.h>

/* A thread of the system. */
struct carrier {
    _Atomic uint32_t called; /* 1: the baton is handed to it, for `next` */
    uint32_t resident;       /* strands of its that have not ended */
    struct strand *next;
    struct strand *seat; /* on whose stack it is, asleep perhaps: that stack is not given back */
};

enum strand_state { STRAND_RUNNABLE, STRAND_RUNNING, STRAND_WAITING, STRAND_ENDED };

/* What a strand waits for: whichever of these comes first. */
struct waiting {
    const char *what;           /* in words, for who reads that nothing can happen any more */
    uint64_t deadline_ns;       /* UINT64_MAX: none */
    pal_poll *poll;             /* events of this poll */
    struct pal_wait *items;     /* readiness of sockets, some of which may be the kernel's */
    int count;                  /* of items */
    const uint32_t *word;       /* pal_unpark of it */
    const struct strand *other; /* its end */
    bool for_run;               /* the end of all functions of hosts */
    bool for_real;              /* something outside of the world that no descriptor tells: it is looked for every
                                 * millisecond of real time */
    bool can_be_told;           /* that nothing can happen any more: PAL_EDEADLK */
};

struct strand {
    struct base_link link;      /* in the list of all, which is by number */
    struct base_link run_link;  /* in the list of those that can run */
    struct base_link look_link; /* in its host's lookers, or the world's */
    struct base_heap_node due;  /* by its deadline */
    uint32_t number;            /* counts up from the world's beginning */
    enum strand_state state;
    struct host *host;
    struct carrier *carrier;
    struct pal_context context;
    struct waiting waiting;
    uint32_t sleeps_on; /* number of the poll that it waits on: the poll may be closed by the time it is roused */
    uint32_t looks;     /* in a row that found nothing */
    int outcome;        /* of its waiting: 0, PAL_ETIMEDOUT, PAL_EDEADLK */
    bool is_inside;     /* a wait or a submit, which tries: it must not lose the baton */
    bool is_doomed;     /* its host has crashed: its thread ends as soon as it has the baton */
    /* A thread's: */
    pal_thread thread;
    const struct host *maker; /* where who started it was: who could join it is gone when that crashes */
    void (*function)(void *argument);
    void *argument;
    /* A host's function's: */
    void *stack;
    size_t stack_size;
};

/* ---- strand.c ---- */

/* The strand that runs, in the default world if there was none. */
struct strand *pal__s_self(void);

/* Is the calling thread one of those that the simulator knows? */
bool pal__s_is_strand(void);

/* The first strand is on this host. */
bool pal__s_hosts_first(const struct host *host);

/* The calling thread becomes the first strand of a new world, on that host. */
void pal__s_attach(struct host *host);

/* Waits; 0 something of it came, or may have: look; PAL_ETIMEDOUT; PAL_EDEADLK, with its reason. */
int pal__s_wait(const struct waiting *waiting);

/* Lets another strand that can run go first, if there is one and chance will have it so. */
void pal__s_yield(void);

/* Nothing was found by a strand that does not wait. A program that looks again and again waits in its way: every few
 * looks in a row let a moment pass, in which others can run. True: it was such a moment. */
bool pal__s_breathe(void);

int pal__s_thread_start(pal_thread *out, void (*function)(void *), void *argument);
int pal__s_thread_join(pal_thread thread);
int pal__s_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void pal__s_unpark(const uint32_t *word, int count);

/* A host's function begins, as soon as the caller waits. PAL_ENOMEM, PAL_ENOTSUP: no contexts here. */
int pal__s_start(struct host *host);

/* All strands of a host that has crashed end where they are: functions without a word, threads when they are next
 * called. If the caller is one of them, it does not return. */
void pal__s_doom(struct host *host);

/* How many functions of hosts have not ended; and is there any strand but the one that runs, and idle workers, or is
 * that one a host's function? */
uint32_t pal__s_running(void);
bool pal__s_others_run(void);

/* The strands that can be waited for or run: first, and the one after it; NULL: no more. */
struct strand *pal__s_first_strand(void);
struct strand *pal__s_next_strand(const struct strand *strand);

/* ---- schedule.c ---- */

/* A waiting strand goes on, with this outcome. Others are left alone. */
void pal__s_rouse(struct strand *strand, int outcome);

/* Enters and leaves what it waits for. */
void pal__s_enlist(struct strand *strand);

/* Whom to run next: lets time pass until somebody can. self has just stopped. */
struct strand *pal__s_choose_strand(struct strand *self);

/* In a child of fork: what wakes it from its sleep in the kernel is the parent's. */
void pal__s_schedule_forked(void);

/* Can nothing happen any more, but by the strand that runs? */
bool pal__s_is_over(void);

/* Hook of poll_notify: from any thread and signal handler. */
void pal__s_poll_roused(pal_poll *poll);

/* Begins anew: forgets whom it knew. */
void pal__s_schedule_begin(uint64_t now_ns);

/* The socket waiters that have something: lanes are begun with it. */
struct base_list *pal__s_roused(void);

#endif
