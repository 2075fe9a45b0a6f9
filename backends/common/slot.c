/* slot.c: taking and returning slots of the handle table. Rules 8 and 13; the lock-free stack is decision 0003. */
#include "slot.h"

struct slot pal__slots[SLOT_MAX]; /* 64 MiB of address space, of which only slots that were used are resident */

static _Atomic uint64_t dead_head; /* tag:32 | slot:32, slot 0: empty */
static _Atomic uint32_t slots_top = 1;
static _Atomic uint32_t slots_open;
static uint32_t slots_max = SLOT_MAX - 1;

/* Slot 0 stands for no handle: {0} must match nothing, dead slots have id 0, so this one has an id that finds another
 * slot. An initialiser would put the whole table into the file. */
__attribute__((constructor)) static void reserve_slot_zero(void)
{
    atomic_store(&pal__slots[0].id, UINT64_MAX);
}

static struct slot *pop_dead(void)
{
    uint64_t head = atomic_load_explicit(&dead_head, memory_order_acquire);
    for (;;) {
        uint32_t number = (uint32_t)head;
        if (number == 0)
            return NULL;
        uint64_t after = ((head >> 32) + 1) << 32 | slot_link(&pal__slots[number]);
        if (atomic_compare_exchange_weak_explicit(&dead_head, &head, after, memory_order_acquire, memory_order_acquire))
            return &pal__slots[number];
    }
}

bool pal__slot_reserve(void)
{
    if (LIKELY(atomic_fetch_add_explicit(&slots_open, 1, memory_order_relaxed) < slots_max))
        return true;
    pal__slot_cancel();
    return false;
}

void pal__slot_cancel(void)
{
    atomic_fetch_sub_explicit(&slots_open, 1, memory_order_relaxed);
}

/* What waiting reads was idle when the last life ended; .link is left as it is, as a thread that lost the race for this
 * slot may still be reading it. */
struct slot *pal__slot_begin(int fd, uint32_t flags, uint8_t family, uint8_t type)
{
    struct slot *slot = pop_dead();
    if (!slot) /* then one was never used: no more than slots_max live, and the table has room for them */
        slot = &pal__slots[atomic_fetch_add_explicit(&slots_top, 1, memory_order_relaxed)];
    uint64_t generation = slot->event + 1u;
    slot->data = 0;
    slot->fd = fd;
    slot->event = 0;
    slot->armed = 0;
    atomic_store_explicit(&slot->odd, UINT16_MAX, memory_order_relaxed);
    atomic_store_explicit(&slot->leases, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->flags, (uint16_t)flags, memory_order_relaxed);
    slot->family = family;
    slot->type = type;
    uint64_t id = generation << 32 | (flags & SLOT_IN_STACK ? SLOT_DOMAIN_STACK : 0) | slot_number(slot);
    bool detour = flags & (SLOT_QUICKACK | SLOT_OTHER);
    atomic_store_explicit(&slot->id, UNLIKELY(detour) ? id | SLOT_DETOUR : id, memory_order_release);
    return slot;
}

struct slot *pal__slot_detoured(pal_sock sock)
{
    struct slot *slot = slot_at(sock);
    bool marked = slot_is(slot, (pal_sock){sock.id | SLOT_DETOUR});
    return marked && !(slot_flags(slot) & SLOT_OTHER) ? slot : NULL;
}

void pal__slot_detour(pal_sock sock, bool on)
{
    struct slot *slot = slot_at(sock);
    uint64_t before = on ? sock.id : sock.id | SLOT_DETOUR;
    atomic_compare_exchange_strong(&slot->id, &before, before ^ SLOT_DETOUR);
}

void pal__slot_drop(struct slot *slot)
{
    uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
    RULE(7, id && !slot_busy(slot), "a handle is dropped that is waited for, or twice");
    slot->event = (uint32_t)(id >> 32) + 1;
    atomic_store_explicit(&slot->poll, NULL, memory_order_relaxed);
    atomic_store_explicit(&slot->id, 0, memory_order_release);
    uint64_t head = atomic_load_explicit(&dead_head, memory_order_relaxed), after;
    do {
        slot_set_link(slot, (uint32_t)head);
        after = ((head >> 32) + 1) << 32 | slot_number(slot);
    } while (
        !atomic_compare_exchange_weak_explicit(&dead_head, &head, after, memory_order_release, memory_order_relaxed));
    pal__slot_cancel();
}

void pal__slot_limit(uint32_t socks_max)
{
    slots_max = socks_max;
}

uint32_t pal__slots_open(void)
{
    return atomic_load_explicit(&slots_open, memory_order_relaxed);
}

uint32_t pal__slots_max(void)
{
    return slots_max;
}

uint32_t pal__slots_top(void)
{
    return atomic_load_explicit(&slots_top, memory_order_relaxed);
}
