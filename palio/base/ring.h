/* palio/base/ring.h: bounded rings of fixed-size items (one byte for a byte stream) in the caller's storage.
 *
 * The capacity is a power of two. base_ring is plain; base_spsc may have one producer and one consumer at the same
 * time, each in its own thread, and neither ever waits for the other. Positions only grow and are masked on access, so
 * a full ring needs no spare item. */
#ifndef PALIO_BASE_RING_H
#define PALIO_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "assertion.h"

enum { BASE_CACHE_LINE_SIZE = 64 };

/* A stretch of items that lie next to each other. */
struct base_ring_span {
    void *items;
    size_t count;
};

/* Where the items are: what both rings have in common. */
struct base_ring_store {
    uint8_t *data;
    size_t capacity;  /* items; a power of two */
    size_t item_size; /* bytes */
};

struct base_ring {
    struct base_ring_store store;
    size_t head, tail; /* next to pop, next to push */
};

/* Each side writes one line and keeps there what it last saw of the other side's, to read that one rarely. */
struct base_spsc {
    struct base_ring_store store; /* constant after init */
    uint8_t pad_store[BASE_CACHE_LINE_SIZE];
    _Atomic size_t tail; /* written by the producer */
    size_t head_seen;
    uint8_t pad_producer[BASE_CACHE_LINE_SIZE];
    _Atomic size_t head; /* written by the consumer */
    size_t tail_seen;
    uint8_t pad_consumer[BASE_CACHE_LINE_SIZE];
};

static inline void base_ring__store_init(struct base_ring_store *store, void *data, size_t capacity, size_t item_size)
{
    BASE_ASSERT(capacity != 0 && (capacity & (capacity - 1)) == 0 && item_size != 0);
    store->data = (uint8_t *)data;
    store->capacity = capacity;
    store->item_size = item_size;
}

/* The `count` items from `position` on, cut in two where the storage ends. */
static inline void base_ring__spans(const struct base_ring_store *store, size_t position, size_t count,
                                    struct base_ring_span spans[2])
{
    size_t index = position & (store->capacity - 1);
    size_t before_end = store->capacity - index < count ? store->capacity - index : count;

    spans[0].items = store->data + index * store->item_size;
    spans[0].count = before_end;
    spans[1].items = store->data;
    spans[1].count = count - before_end;
}

static inline void base_ring__copy_in(struct base_ring_store *store, size_t position, const void *items, size_t count)
{
    struct base_ring_span spans[2];

    base_ring__spans(store, position, count, spans);
    memcpy(spans[0].items, items, spans[0].count * store->item_size);
    memcpy(spans[1].items, (const uint8_t *)items + spans[0].count * store->item_size,
           spans[1].count * store->item_size);
}

static inline void base_ring__copy_out(const struct base_ring_store *store, size_t position, void *items, size_t count)
{
    struct base_ring_span spans[2];

    base_ring__spans(store, position, count, spans);
    memcpy(items, spans[0].items, spans[0].count * store->item_size);
    memcpy((uint8_t *)items + spans[0].count * store->item_size, spans[1].items, spans[1].count * store->item_size);
}

/* `data` holds capacity * item_size bytes, stays the caller's and must outlive the ring. */
static inline void base_ring_init(struct base_ring *ring, void *data, size_t capacity, size_t item_size)
{
    base_ring__store_init(&ring->store, data, capacity, item_size);
    ring->head = ring->tail = 0;
}

/* Items that can be popped. */
static inline size_t base_ring_count(const struct base_ring *ring)
{
    return ring->tail - ring->head;
}

/* Items that can be pushed. */
static inline size_t base_ring_room(const struct base_ring *ring)
{
    return ring->store.capacity - base_ring_count(ring);
}

/* Copies in as many of `count` items as there is room for; returns how many. */
static inline size_t base_ring_push(struct base_ring *ring, const void *items, size_t count)
{
    size_t room = base_ring_room(ring);
    size_t pushed = count < room ? count : room;

    if (pushed != 0)
        base_ring__copy_in(&ring->store, ring->tail, items, pushed);
    ring->tail += pushed;
    return pushed;
}

/* Copies out up to `count` of the oldest items and leaves them there; returns how many. */
static inline size_t base_ring_peek(const struct base_ring *ring, void *items, size_t count)
{
    size_t present = base_ring_count(ring);
    size_t peeked = count < present ? count : present;

    if (peeked != 0)
        base_ring__copy_out(&ring->store, ring->head, items, peeked);
    return peeked;
}

/* Copies out and removes up to `count` of the oldest items; returns how many. */
static inline size_t base_ring_pop(struct base_ring *ring, void *items, size_t count)
{
    size_t popped = base_ring_peek(ring, items, count);

    ring->head += popped;
    return popped;
}

/* The items present, in place: at most two spans, the second possibly of count 0. Valid until the next push or skip. */
static inline void base_ring_readable(const struct base_ring *ring, struct base_ring_span spans[2])
{
    base_ring__spans(&ring->store, ring->head, base_ring_count(ring), spans);
}

/* The free room, in place, to be filled in order and made present by base_ring_commit(). */
static inline void base_ring_writable(const struct base_ring *ring, struct base_ring_span spans[2])
{
    base_ring__spans(&ring->store, ring->tail, base_ring_room(ring), spans);
}

/* Removes `count` of the oldest items; there must be as many. */
static inline void base_ring_skip(struct base_ring *ring, size_t count)
{
    BASE_ASSERT(count <= base_ring_count(ring));
    ring->head += count;
}

/* Makes `count` items present that were written through base_ring_writable(); there must be as much room. */
static inline void base_ring_commit(struct base_ring *ring, size_t count)
{
    BASE_ASSERT(count <= base_ring_room(ring));
    ring->tail += count;
}

/* As base_ring_init(); before the ring is shared. */
static inline void base_spsc_init(struct base_spsc *ring, void *data, size_t capacity, size_t item_size)
{
    base_ring__store_init(&ring->store, data, capacity, item_size);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->head_seen = ring->tail_seen = 0;
}

/* Producer only. Copies in as many of `count` items as there is room for; returns how many. What the producer wrote
 * before the call is visible to the consumer that pops them. */
static inline size_t base_spsc_push(struct base_spsc *ring, const void *items, size_t count)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (ring->store.capacity - (tail - ring->head_seen) < count)
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);

    size_t room = ring->store.capacity - (tail - ring->head_seen);
    size_t pushed = count < room ? count : room;

    if (pushed != 0) {
        base_ring__copy_in(&ring->store, tail, items, pushed);
        atomic_store_explicit(&ring->tail, tail + pushed, memory_order_release);
    }
    return pushed;
}

/* Consumer only. Copies out and removes up to `count` of the oldest items; returns how many. */
static inline size_t base_spsc_pop(struct base_spsc *ring, void *items, size_t count)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (ring->tail_seen - head < count)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);

    size_t present = ring->tail_seen - head;
    size_t popped = count < present ? count : present;

    if (popped != 0) {
        base_ring__copy_out(&ring->store, head, items, popped);
        atomic_store_explicit(&ring->head, head + popped, memory_order_release);
    }
    return popped;
}

/* Items present: exact in a quiet ring; else what the consumer may count on, and never less than it can pop. */
static inline size_t base_spsc_count(const struct base_spsc *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

    return atomic_load_explicit(&ring->tail, memory_order_acquire) - head;
}

#endif
