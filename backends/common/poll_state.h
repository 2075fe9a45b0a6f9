/* poll_state.h: what every pal_poll has, whatever it waits with: its owner, its event array, its finished ops, the wake
 * handshake, the starved sockets and the lease pool. A waiting backend embeds it as the first member of its own poll.
 *
 * Upholds rules 1, 8, 11, 12, 13 and 17. Everything here is the owner's thread's, but what is
 * atomic, and door. */
#ifndef PAL__COMMON_POLL_STATE_H
#define PAL__COMMON_POLL_STATE_H

#include "lease_pool.h"
#include "lock.h"
#include "rule.h"
#include "slot.h"
#include <pal/poll.h>

enum { POLLS_MAX = 512, POLLS_DEFAULT = 64, EVENTS_MIN = 2, EVENTS_DEFAULT = 256, EVENTS_MAX = 65536 };

/* Bits of wake_bits. DUE: something is to be done before the next wait may sleep (finished ops, a worker's results, fed
 * sockets, events that did not fit). SPIN stands in the word of a poll that does not simply block, so that one look
 * before it sleeps covers that too: whoever blocks pays nothing for it. It is nobody's wake. */
enum { WAKE_CALLED = 1, WAKE_SIGNAL = 2, WAKE_DUE = 4, WAKE_SPIN = 8 };

enum { SPIN_NS_DEFAULT = 50000 };
struct job; /* a worker's: see workers.c */

struct pal_poll {
    /* Hot: one line for what each wait reads and writes. */
    void *_Atomic *owner;     /* cell in memory that fork wipes: owner's mark, POLL_UNCLAIMED, or NULL: in a child */
    struct lock door;         /* held by who rouses it without being sure that it stays open: see pal__poll_part */
    uint32_t turn;            /* which side of a socket goes first when both do not fit (rule 18) */
    struct pal_event *events; /* the array: events_max entries */
    uint32_t count;           /* entries in use */
    uint32_t next_number;     /* running number of the next event to be written */
    uint32_t events_max;
    uint32_t wake_event; /* running number of the latest PAL_EV_WAKE: at most one a wait */
    uint64_t now_ns;     /* what pal_poll_now read, if no event was written since; 0: nothing */
    uint32_t now_number; /* next_number when it did */
    _Atomic uint32_t asleep;
    _Atomic uint32_t wake_bits;

    struct pal_op *finished, *finished_last; /* ops whose event is still to be written, linked by priv[0] */
    uint32_t watched;                        /* sockets with interest */
    uint32_t pending;                        /* ops out */
    uint32_t starved;                        /* first slot of the starved list; 0: none */
    uint32_t leases_per_sock_max;
    _Atomic bool nested;  /* its descriptor was given out: a foreign loop looks at it instead of a sleeping wait */
    _Atomic bool stirred; /* a watched socket has begun to listen or connect elsewhere: look which */
    bool fed;             /* enough leases are back: re-arm the starved */
    bool attend_turn;     /* what is woken goes first, before what has finished: .turn is the machine's */
    uint32_t idle;        /* PAL_IDLE_* */
    uint64_t spin_ns;
    uint64_t tired_ns; /* when backing off ends; 0: anew from the next wait on, as there was an event */
    struct job *_Atomic inbox; /* jobs that workers have done, latest first */
    struct lease_pool leases;
};

/* This thread's mark: what the thread register points to, or the address of a thread-local. */
extern _Thread_local char pal__thread_mark __attribute__((tls_model("initial-exec")));

static inline void *thread_mark(void)
{
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    return __builtin_thread_pointer();
#else
    return &pal__thread_mark;
#endif
}

#define POLL_UNCLAIMED ((void *)&pal__slots[0]) /* an address that is no thread's mark */

/* Hook of the waiting backend: makes a sleeping wait return, and a nested poll readable. Async-signal-safe. */
void pal__wait_rouse(pal_poll *poll);

/* Sets a bit and makes the owner look, if it does not look by itself: the waker sets its bit, then looks whether the
 * owner sleeps; the owner says that it sleeps, then looks for bits. Both pairs are sequentially consistent, so one of
 * the two sees the other, and only the first bit since the owner last looked costs a system call. Any thread, and
 * signal handlers. */
static inline void poll_notify(pal_poll *poll, uint32_t bit)
{
    uint32_t before = atomic_fetch_or(&poll->wake_bits, bit);
    if (!(before & ~(uint32_t)WAKE_SPIN) && (atomic_load(&poll->asleep) || poll->nested))
        pal__wait_rouse(poll);
}

/* The owner's own note: it is awake. */
static inline void poll_due(pal_poll *poll)
{
    atomic_fetch_or(&poll->wake_bits, WAKE_DUE);
    if (poll->nested)
        pal__wait_rouse(poll);
}

static inline bool poll_owned(const pal_poll *poll)
{
    return atomic_load_explicit(poll->owner, memory_order_relaxed) == thread_mark();
}

/* 0 if the calling thread owns the poll (or now does), PAL_EFORKED in a child of fork; another thread asserts. */
int pal__poll_claim(pal_poll *poll);

static inline int poll_enter(pal_poll *poll)
{
    return LIKELY(poll_owned(poll)) ? 0 : pal__poll_claim(poll);
}

/* In a child of fork: opened by the parent. */
static inline bool poll_inherited(const pal_poll *poll)
{
    return atomic_load_explicit(poll->owner, memory_order_relaxed) == NULL;
}

/* A number for a poll: the waiting backend keeps its polls in an array that is never freed, as another thread that
 * closes or moves an idle socket may look at the owner of the poll that it had joined, just while that poll is closed.
 * PAL_ENOBUFS. */
int pal__poll_reserve(uint32_t *number);

/* Begins the poll of a reserved number; undone, number and all, by pal__poll_end and by failure. PAL_EINVAL,
 * PAL_ENOMEM. */
int pal__poll_begin(pal_poll *poll, uint32_t number, const struct pal_config *config);
void pal__poll_end(pal_poll *poll);

/* How the poll idles, for pal_config and PAL_CTL_IDLE: PAL_EINVAL. Owner's thread, or before there is one. */
int pal__poll_set_idle(pal_poll *poll, uint32_t strategy, uint64_t spin_ns);

/* 0, or PAL_EBUSY with its reason, if the poll may not be closed now. */
int pal__poll_idle(const pal_poll *poll);

/* Every slot that joined it forgets it. */
void pal__poll_forget_slots(pal_poll *poll);

/* Waits until nobody is about to rouse the poll any more: its slots have forgotten it, no op is out. Owner's thread. */
void pal__poll_part(pal_poll *poll);

/* From the platform: POLLS_MAX cells in memory that a child of fork finds zeroed. NULL: out of memory. */
void *_Atomic *pal__owner_cells(void);

void pal__polls_limit(uint32_t polls_max);

/* Has a poll ever been opened? */
bool pal__polls_used(void);

/* The poll of a lease's token; asserts rule 5 when there is none. */
pal_poll *pal__poll_numbered(uint32_t number);

/* ---- the event array ---- */

static inline uint32_t events_room(const pal_poll *poll)
{
    return poll->events_max - poll->count;
}

/* Field by field: an event is never written through a wider integer (rule 20). */
static inline void write_ready(struct pal_event *event, const struct slot *slot, uint32_t ready)
{
    event->data = slot->data;
    event->result = 0;
    event->kind = PAL_EV_READY;
    event->ready = (uint16_t)ready;
}

static inline void emit_ready(pal_poll *poll, struct slot *slot, uint32_t ready)
{
    slot->event = poll->next_number++;
    write_ready(&poll->events[poll->count++], slot, ready);
}

static inline void emit(pal_poll *poll, uint16_t kind, uint64_t data, int32_t result, uint16_t ready)
{
    struct pal_event *event = &poll->events[poll->count++];
    poll->next_number++;
    event->data = data;
    event->result = result;
    event->kind = kind;
    event->ready = ready;
}

/* The READY event of a socket that the current array still holds, or NULL. Numbers wrap after 2^32 events, so the data
 * is compared as well, unless the watch has been given another since. */
static inline struct pal_event *current_event(const pal_poll *poll, const struct slot *slot)
{
    uint32_t index = slot->event - (poll->next_number - poll->count);
    if (LIKELY(index >= poll->count))
        return NULL;
    struct pal_event *event = &poll->events[index];
    bool same = event->data == slot->data || slot_flags(slot) & SLOT_RELABELLED;
    return event->kind == PAL_EV_READY && same ? event : NULL;
}

/* An event that was handed out dies with its watch (rule 8). */
static inline void strike_out(pal_poll *poll, const struct slot *slot)
{
    struct pal_event *event = current_event(poll, slot);
    if (UNLIKELY(event))
        event->kind = PAL_EV_NONE;
}

#endif
