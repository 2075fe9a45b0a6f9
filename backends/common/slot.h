/* slot.h: the process-wide table behind pal_sock, pal_file and pal_proc: one 64-byte slot a handle, found by mask,
 * compared whole.
 *
 * Upholds rules 8, 12, 13 and 20. The table is fixed, its slots are never freed, and a live slot holds its handle's id,
 * so a stale handle costs one compare and is told apart from the slot's next life. Taking and returning slots is
 * lock-free (decision 0003). Who may write: fd, family, type before the handle is published; what belongs to waiting
 * (data, reader, writer, event, interest, odd, armed, link) only the thread that owns .poll. A socket moves between
 * polls when its program says so; the old poll's thread may then still be told of it by its set, so that thread reads
 * .odd and .interest before it looks, last, whether .poll is still its own: these are atomic,
 * and written after .poll. */
#ifndef PAL__COMMON_SLOT_H
#define PAL__COMMON_SLOT_H

#include "rule.h"
#include <pal/types.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { SLOT_MAX = 1 << 20, SLOT_MASK = SLOT_MAX - 1 };

/* slot.flags */
enum {
    SLOT_MODE_KEPT = 0x01,   /* O_NONBLOCK stays as it is: a duplicate, a receiver or SENDFILE relies on it */
    SLOT_SHARED = 0x02,      /* adopted shared: its status flags are not ours to change */
    SLOT_EXPORTED = 0x04,    /* another descriptor may keep the open description alive past our close */
    SLOT_NONBLOCK = 0x08,    /* O_NONBLOCK is set; connected sockets are left blocking and tried with MSG_DONTWAIT */
    SLOT_FRESH = 0x10,       /* a stream socket that neither listens nor connects: never READY (rule 9) */
    SLOT_FAILED = 0x20,      /* connect failed: only close is left */
    SLOT_CONNECTING = 0x40,  /* connect is in progress: its outcome has not been read */
    SLOT_PASS = 0x80,        /* PAL_SO_PASS */
    SLOT_HUNGRY = 0x100,     /* pal_lease_recv found no lease: the next readiness is reported as STARVED */
    SLOT_STARVED = 0x200,    /* reported as STARVED, in the poll's starved list, not read */
    SLOT_GROUPS = 0x400,     /* hears multicast groups that it joined itself only */
    SLOT_RELABELLED = 0x800, /* the event of it in the current array has the data of an earlier watch */
    SLOT_ZEROCOPY = 0x1000,  /* PAL_SO_ZEROCOPY is known to be on */
    SLOT_QUICKACK = 0x2000,  /* PAL_SO_QUICKACK_ALWAYS: its id has SLOT_DETOUR */
    SLOT_OTHER = 0x4000,     /* a file or a child, and no socket: its id has SLOT_DETOUR */
    SLOT_LENDER = 0x8000,    /* leases from before it joined its poll may be out */
    SLOT_IN_STACK = 0x10000  /* for pal__slot_begin alone, and kept in the handle: it is of SLOT_DOMAIN_STACK */
};

/* A mark in the id that a slot holds, never in a handle. Hot paths compare the two whole: so they find that this one is
 * none of theirs, at no cost to others. slot_of, and with it every longer way, passes over the mark of a socket; what
 * is none is nobody to it. */
#define SLOT_DETOUR (UINT64_C(1) << 31)

/* The domain field of a handle (pal/types.h): 0 is the kernel's sockets, this bit those of a user-space stack beside it
 * (rule 14). A backend of two worlds asks the handle, which costs no look-up. */
#define SLOT_DOMAIN_STACK (UINT64_C(1) << 24)

static inline bool in_stack(pal_sock sock)
{
    return (sock.id & SLOT_DOMAIN_STACK) != 0;
}

struct slot {
    _Atomic uint64_t id;           /* the handle while it lives (SLOT_DETOUR), else 0: a look-up compares all of it */
    uint64_t data;                 /* of the watch */
    struct pal_op *_Atomic reader; /* pending op that reads (receives, accepts) */
    struct pal_op *_Atomic writer; /* pending op that writes (sends, connects) */
    pal_poll *_Atomic poll;        /* the poll it has joined */
    int32_t fd;
    uint32_t event;            /* running number of its latest READY event (rule 8); dead: its last generation */
    _Atomic uint32_t link;     /* dead: next dead slot; starved: next starved one */
    _Atomic uint16_t interest; /* PAL_IN ... as watched */
    _Atomic uint16_t odd;      /* readiness that needs a second thought; the rest is emitted as it comes */
    uint16_t armed;            /* what its poll's set has of it; 0: not in the set. Nothing to other polls */
    _Atomic uint16_t flags;    /* SLOT_* */
    _Atomic uint16_t leases;   /* lent through this socket */
    uint8_t family, type;      /* type SLOT_PLAIN: a pipe, a terminal ...: read(2) and write(2). Fixed for life */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct slot) == 64, "a slot is one cache line");

/* slot.type of handles that are no sockets; a socket's is PAL_SOCK_*. */
enum { SLOT_PLAIN = 0, SLOT_FILE = 0x80, SLOT_CHILD = 0x81 };

extern struct slot pal__slots[SLOT_MAX];

/* Bits that can be waited for, and those among them that make a watch a reader. */
enum { SLOT_WAITABLE = PAL_IN | PAL_PRI | PAL_OUT | PAL_RDHUP, SLOT_READS = PAL_IN | PAL_PRI | PAL_RDHUP };

/* The slot that a handle names, and whether it is still that handle's and no detour: for hot paths, which fold the
 * question into their own. Slot 0 never lives, so {0} is nobody's. */
static inline struct slot *slot_at(pal_sock sock)
{
    return &pal__slots[sock.id & SLOT_MASK];
}

static inline bool slot_is(const struct slot *slot, pal_sock sock)
{
    return atomic_load_explicit(&slot->id, memory_order_relaxed) == sock.id;
}

/* The live slot of a socket whose id has SLOT_DETOUR, or NULL. */
COLD struct slot *pal__slot_detoured(pal_sock sock);

/* The live slot of a socket, or NULL. */
static inline struct slot *slot_of(pal_sock sock)
{
    struct slot *slot = slot_at(sock);
    return LIKELY(slot_is(slot, sock)) ? slot : pal__slot_detoured(sock);
}

static inline uint32_t slot_number(const struct slot *slot)
{
    return (uint32_t)(slot - pal__slots);
}

static inline pal_sock slot_handle(const struct slot *slot)
{
    return (pal_sock){atomic_load_explicit(&slot->id, memory_order_relaxed) & ~SLOT_DETOUR};
}

static inline pal_poll *slot_poll(const struct slot *slot)
{
    return atomic_load_explicit(&slot->poll, memory_order_acquire);
}

static inline uint32_t slot_link(const struct slot *slot)
{
    return atomic_load_explicit(&slot->link, memory_order_relaxed);
}

static inline void slot_set_link(struct slot *slot, uint32_t link)
{
    atomic_store_explicit(&slot->link, link, memory_order_relaxed);
}

/* Flags are changed by whoever calls; each bit means something to itself alone, so no order is needed. */
static inline uint32_t slot_flags(const struct slot *slot)
{
    return atomic_load_explicit(&slot->flags, memory_order_relaxed);
}

static inline void slot_set(struct slot *slot, uint32_t flags)
{
    atomic_fetch_or_explicit(&slot->flags, (uint16_t)flags, memory_order_relaxed);
}

static inline void slot_clear(struct slot *slot, uint32_t flags)
{
    atomic_fetch_and_explicit(&slot->flags, (uint16_t)~flags, memory_order_relaxed);
}

/* Somebody waits for it: a watch or an op. */
static inline bool slot_busy(const struct slot *slot)
{
    return slot->interest || slot->reader || slot->writer;
}

/* Ends its watch and ops without a word, where their poll is dead: in a child of fork. */
static inline void slot_abandon(struct slot *slot)
{
    slot->interest = 0;
    slot->odd = UINT16_MAX;
    slot->reader = slot->writer = NULL;
    slot_clear(slot, SLOT_STARVED | SLOT_HUNGRY | SLOT_RELABELLED);
}

/* The live slot of a file or a child, or NULL. */
static inline struct slot *slot_of_type(uint64_t id, uint8_t type)
{
    struct slot *slot = slot_at((pal_sock){id});
    return slot_is(slot, (pal_sock){id | SLOT_DETOUR}) && slot->type == type ? slot : NULL;
}

/* What the waiting set has to have of it, were interest watched. A starved socket is not read (rule 13). */
static inline uint32_t slot_want_if(const struct slot *slot, uint32_t interest)
{
    uint32_t flags = slot_flags(slot), want = interest & SLOT_WAITABLE;
    if (UNLIKELY(flags & SLOT_FRESH))
        return 0;
    if (UNLIKELY(flags & SLOT_STARVED))
        want &= ~(uint32_t)SLOT_READS;
    want |= (slot->reader ? PAL_IN : 0u) | (slot->writer ? PAL_OUT : 0u);
    return want ? want | (interest & PAL_EDGE) : 0;
}

static inline uint32_t slot_want(const struct slot *slot)
{
    return slot_want_if(slot, slot->interest);
}

/* Sets .interest, and with it .odd: the readiness that may not be emitted as it comes, which is what is not watched,
 * ERR and HUP (they imply every watched bit), and all of it where ONCE or starvation is to be looked after. */
static inline void slot_set_interest(struct slot *slot, uint32_t interest)
{
    bool plain = !(interest & PAL_ONCE || slot_flags(slot) & (SLOT_HUNGRY | SLOT_STARVED));
    uint32_t odd = plain ? ~(interest & SLOT_WAITABLE) : UINT16_MAX;
    atomic_store_explicit(&slot->interest, (uint16_t)interest, memory_order_release);
    atomic_store_explicit(&slot->odd, (uint16_t)odd, memory_order_release);
}

/* Read before slot_poll: see above. */
static inline bool slot_is_odd(const struct slot *slot, uint32_t ready)
{
    return ready & atomic_load_explicit(&slot->odd, memory_order_acquire);
}

static inline bool slot_plain(const struct slot *slot)
{
    return slot->type == SLOT_PLAIN;
}

/* ---- lives. Any thread. ---- */

/* Sets one handle aside: false when socks_max are open. Followed by begin or cancel. */
bool pal__slot_reserve(void);
void pal__slot_cancel(void);

/* Begins the life that was reserved: cannot fail. All fields zero but those given; flags: SLOT_*. */
struct slot *pal__slot_begin(int fd, uint32_t flags, uint8_t family, uint8_t type);

/* Keeps the live socket of a handle off the hot paths, or lets it back. A slot that has died meanwhile stays dead. */
void pal__slot_detour(pal_sock sock, bool on);

/* Ends a handle. */
void pal__slot_drop(struct slot *slot);

/* Sets the limit (1 .. SLOT_MAX - 1). */
void pal__slot_limit(uint32_t socks_max);
uint32_t pal__slots_open(void);
uint32_t pal__slots_max(void);

/* One past the highest slot ever taken: the bound of walks over the table. */
uint32_t pal__slots_top(void);

#endif
