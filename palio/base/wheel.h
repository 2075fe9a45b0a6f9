/* palio/base/wheel.h: hierarchical timer wheel over the whole range of uint64_t deadlines.
 *
 * The unit is the caller's (nanoseconds, ticks). It has no clock: time comes in with base_wheel_advance(). Timers are
 * intrusive and nothing is allocated. Not thread-safe.
 *
 * How it works: eight levels of 256 slots, one byte of the deadline each. A timer lies on the level of the highest byte
 * in which its deadline differs from the wheel's time, in the slot that this byte names. So a lower level is always due
 * before a higher one, within a level the slots never wrap round, and the slot that is due next is the first occupied
 * one in a plain array: two bit scans away. When time enters a slot, its timers move to lower levels, at most once a
 * level; a few timers that are all due are sorted instead.
 *
 * Promises: never early; expired timers come in order of deadline, equal deadlines in order of insertion (so the same
 * calls give the same order: what the simulator needs); insert and cancel O(1), fire O(levels) amortised; jumps of any
 * size cost by the timers they pass, not by the time they pass. A coarser unit saves moves: a timer is moved about once
 * for every byte by which its distance at insertion exceeds one. */
#ifndef PALIO_BASE_WHEEL_H
#define PALIO_BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assertion.h"
#include "container.h"
#include "list.h"

enum {
    BASE_WHEEL_LEVELS = 8,
    BASE_WHEEL_LEVEL_SLOTS = 256,
    BASE_WHEEL_SLOTS = BASE_WHEEL_LEVELS * BASE_WHEEL_LEVEL_SLOTS,
    BASE_WHEEL_FEW = 16 /* timers in one slot that are looked at one by one */
};

/* Embedded in the caller's structure. All zero: not armed. */
struct base_timer {
    struct base_link link; /* in a slot, or after expiry in the caller's list */
    uint64_t deadline;
};

/* About 33 KiB. Points into itself: never copied or moved. */
struct base_wheel {
    uint64_t time;                            /* the latest time that base_wheel_advance() was told */
    uint64_t summary;                         /* bit set: that word of `occupied` is not zero */
    uint64_t occupied[BASE_WHEEL_SLOTS / 64]; /* bit set: that slot holds a timer */
    struct base_list slots[BASE_WHEEL_SLOTS]; /* level 0 first; oldest insertion first in a slot */
};

static inline void base_wheel_init(struct base_wheel *wheel, uint64_t now)
{
    wheel->time = now;
    wheel->summary = 0;
    for (size_t word = 0; word < BASE_WHEEL_SLOTS / 64; word++)
        wheel->occupied[word] = 0;
    for (size_t index = 0; index < BASE_WHEEL_SLOTS; index++)
        base_list_init(&wheel->slots[index]);
}

static inline bool base_wheel_is_empty(const struct base_wheel *wheel)
{
    return wheel->summary == 0;
}

/* True from insert until cancel, or until the caller takes the expired timer out of its list. */
static inline bool base_timer_is_armed(const struct base_timer *timer)
{
    return base_link_is_linked(&timer->link);
}

static inline struct base_timer *base_timer_of(struct base_link *link)
{
    return BASE_CONTAINER_OF(link, struct base_timer, link);
}

/* Takes the first of a list of expired timers, for the caller to fire; NULL when there is none. It may be re-armed. */
static inline struct base_timer *base_timer_pop(struct base_list *expired)
{
    struct base_link *link = base_list_pop_front(expired);

    return link == NULL ? NULL : base_timer_of(link);
}

/* Links the timer into the slot that follows from a deadline at or after the wheel's time. */
static inline void base_wheel__place(struct base_wheel *wheel, struct base_timer *timer, uint64_t deadline)
{
    size_t highest_bit = 63 - (size_t)__builtin_clzll((deadline ^ wheel->time) | 1);
    size_t shift = highest_bit / 8 * 8;
    size_t index = shift / 8 * BASE_WHEEL_LEVEL_SLOTS + (uint8_t)(deadline >> shift);
    struct base_link *head = &wheel->slots[index].head;

    timer->link.next = head;
    timer->link.prev = head->prev;
    head->prev->next = &timer->link;
    head->prev = &timer->link;
    wheel->occupied[index / 64] |= UINT64_C(1) << (index % 64);
    wheel->summary |= UINT64_C(1) << (index / 64);
}

/* Notes that a slot has run empty. */
static inline void base_wheel__vacate(struct base_wheel *wheel, size_t index)
{
    wheel->occupied[index / 64] &= ~(UINT64_C(1) << (index % 64));
    if (wheel->occupied[index / 64] == 0)
        wheel->summary &= ~(UINT64_C(1) << (index / 64));
}

/* Index of the slot that is due first. The wheel must not be empty. */
static inline size_t base_wheel__first_slot(const struct base_wheel *wheel)
{
    size_t word = (size_t)__builtin_ctzll(wheel->summary);

    return word * 64 + (size_t)__builtin_ctzll(wheel->occupied[word]);
}

/* The earliest time that belongs to the slot in which a timer with this deadline lies. */
static inline uint64_t base_wheel__slot_start(size_t index, uint64_t deadline)
{
    size_t shift = index / BASE_WHEEL_LEVEL_SLOTS * 8;

    return deadline >> shift << shift;
}

/* Arms an unarmed timer; the wheel borrows it until it is cancelled or handed out. A deadline that is not after the
 * wheel's time counts as that time: the timer expires at the next advance, never within the one that is under way. */
static inline void base_wheel_insert(struct base_wheel *wheel, struct base_timer *timer, uint64_t deadline)
{
    BASE_ASSERT(!base_timer_is_armed(timer));
    timer->deadline = deadline;
    /* What is past goes where the present is: the one slot that may lie at, and not after, the wheel's time. */
    base_wheel__place(wheel, timer, deadline > wheel->time ? deadline : wheel->time);
}

/* Disarms an armed timer, also one that has expired and still waits in the caller's list. */
static inline void base_wheel_cancel(struct base_wheel *wheel, struct base_timer *timer)
{
    struct base_link *next = timer->link.next;

    BASE_ASSERT(base_timer_is_armed(timer));
    if (next == timer->link.prev) { /* it was alone: `next` is the head of a slot of ours, or of the caller's list */
        uintptr_t offset = (uintptr_t)next - (uintptr_t)wheel->slots;

        if (offset < sizeof(wheel->slots))
            base_wheel__vacate(wheel, offset / sizeof(wheel->slots[0]));
    }
    base_list_remove(&timer->link);
}

/* A lower bound of the next expiry: no timer is due before it, so waiting until then loses nothing. It is exact when
 * the next slot holds at most BASE_WHEEL_FEW timers, else that slot's start; advancing to it makes it tighter. May lie
 * in the past. UINT64_MAX for an empty wheel. */
static inline uint64_t base_wheel_next(const struct base_wheel *wheel)
{
    if (base_wheel_is_empty(wheel))
        return UINT64_MAX;

    size_t index = base_wheel__first_slot(wheel);
    const struct base_link *head = &wheel->slots[index].head;
    uint64_t least = UINT64_MAX;
    size_t count = 0;

    for (struct base_link *link = head->next; link != head; link = link->next) {
        uint64_t deadline = base_timer_of(link)->deadline;

        if (++count > BASE_WHEEL_FEW)
            return base_wheel__slot_start(index, deadline);
        if (deadline < least)
            least = deadline;
    }
    return least;
}

/* The timers of the slot that is due first, in the order of their insertion: every timer outside of it is due later
 * than each of them. NULL for an empty wheel. For who must know the earliest deadline exactly, or wants to look at what
 * stands first: a walk of this list costs by the timers in it, which may be many while they are far away. The timers
 * may be cancelled meanwhile, and armed again: to the end of this list, or of another. */
static inline struct base_list *base_wheel_first(struct base_wheel *wheel)
{
    return base_wheel_is_empty(wheel) ? NULL : &wheel->slots[base_wheel__first_slot(wheel)];
}

/* True for a slot whose timers are few and all due. */
static inline bool base_wheel__few_due(const struct base_list *slot, uint64_t now)
{
    size_t count = 0;

    BASE_LIST_EACH(link, slot)
    {
        if (++count > BASE_WHEEL_FEW || base_timer_of(link)->deadline > now)
            return false;
    }
    return true;
}

/* Moves the few timers of a slot behind those of the list, by deadline; equal ones keep their order. */
static inline void base_wheel__sort_into(struct base_list *expired, struct base_list *slot)
{
    struct base_link *before = expired->head.prev;
    struct base_link *link = slot->head.next;

    while (link != &slot->head) {
        struct base_link *following = link->next;
        struct base_link *left = expired->head.prev;

        while (left != before && base_timer_of(left)->deadline > base_timer_of(link)->deadline)
            left = left->prev;
        link->prev = left;
        link->next = left->next;
        left->next->prev = link;
        left->next = link;
        link = following;
    }
    base_list_init(slot);
}

/* Moves the timers of a slot that time has entered, in their order, to lower levels. */
static inline void base_wheel__cascade(struct base_wheel *wheel, size_t index)
{
    struct base_list *slot = &wheel->slots[index];
    struct base_link *link = slot->head.next;

    wheel->time = base_wheel__slot_start(index, base_timer_of(link)->deadline);
    base_list_init(slot);
    while (link != &slot->head) { /* the last one still points to the head */
        struct base_link *following = link->next;
        struct base_timer *timer = base_timer_of(link);

        base_wheel__place(wheel, timer, timer->deadline);
        link = following;
    }
}

/* Moves the wheel's time to `now` (a time before the wheel's own changes nothing but still hands out what is due) and
 * appends every timer with deadline <= now to the caller's list, from which base_timer_pop() takes them one by one.
 * While a callback runs, the others in that list may be cancelled, and any timer may be armed. */
static inline void base_wheel_advance(struct base_wheel *wheel, uint64_t now, struct base_list *expired)
{
    if (now < wheel->time)
        now = wheel->time;
    while (!base_wheel_is_empty(wheel)) {
        size_t index = base_wheel__first_slot(wheel);
        struct base_list *slot = &wheel->slots[index];

        if (base_wheel__slot_start(index, base_timer_of(slot->head.next)->deadline) > now)
            break;
        base_wheel__vacate(wheel, index);
        if (index < BASE_WHEEL_LEVEL_SLOTS) /* level 0: equal deadlines, or all past */
            base_list_append(expired, slot);
        else if (base_wheel__few_due(slot, now))
            base_wheel__sort_into(expired, slot);
        else
            base_wheel__cascade(wheel, index);
    }
    wheel->time = now;
}

#endif
