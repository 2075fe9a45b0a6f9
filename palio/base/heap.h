/* palio/base/heap.h: min-heap on 64-bit keys whose members know their place.
 *
 * So any member is removed or re-keyed in O(log n). Four children a node and the key beside the pointer: a comparison
 * touches no member. Storage is the caller's and bounds it; nothing is allocated. Members with equal keys come out in
 * no promised order, but in the same order for the same sequence of calls. Not thread-safe. */
#ifndef PALIO_BASE_HEAP_H
#define PALIO_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assertion.h"
#include "container.h"

/* Embedded in the caller's structure. All zero: in no heap. */
struct base_heap_node {
    uint32_t place; /* index + 1 in the heap's entries, 0 when in none */
};

struct base_heap_entry {
    uint64_t key;
    struct base_heap_node *node;
};

/* To grow, copy the entries to larger storage and set `entries` and `capacity`: nothing else points there. */
struct base_heap {
    struct base_heap_entry *entries;
    uint32_t count, capacity;
};

enum { BASE_HEAP_ARITY = 4 };

/* The entries stay the caller's and must outlive the heap. */
static inline void base_heap_init(struct base_heap *heap, struct base_heap_entry *entries, uint32_t capacity)
{
    heap->entries = entries;
    heap->count = 0;
    heap->capacity = capacity;
}

static inline bool base_heap_is_empty(const struct base_heap *heap)
{
    return heap->count == 0;
}

static inline bool base_heap_contains(const struct base_heap *heap, const struct base_heap_node *node)
{
    return node->place != 0 && node->place <= heap->count && heap->entries[node->place - 1].node == node;
}

/* The member with the least key, or NULL. */
static inline struct base_heap_node *base_heap_first(const struct base_heap *heap)
{
    return heap->count == 0 ? NULL : heap->entries[0].node;
}

/* The least key; UINT64_MAX for an empty heap. */
static inline uint64_t base_heap_first_key(const struct base_heap *heap)
{
    return heap->count == 0 ? UINT64_MAX : heap->entries[0].key;
}

static inline uint64_t base_heap_key(const struct base_heap *heap, const struct base_heap_node *node)
{
    BASE_ASSERT(base_heap_contains(heap, node));
    return heap->entries[node->place - 1].key;
}

static inline void base_heap__put(struct base_heap *heap, size_t index, struct base_heap_entry entry)
{
    heap->entries[index] = entry;
    entry.node->place = (uint32_t)index + 1;
}

/* Fills the hole at `index` with `entry`, moving larger ancestors down. */
static inline void base_heap__rise(struct base_heap *heap, size_t index, struct base_heap_entry entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / BASE_HEAP_ARITY;

        if (heap->entries[parent].key <= entry.key)
            break;
        base_heap__put(heap, index, heap->entries[parent]);
        index = parent;
    }
    base_heap__put(heap, index, entry);
}

/* Fills the hole at `index` with `entry`, moving the least of smaller descendants up. */
static inline void base_heap__sink(struct base_heap *heap, size_t index, struct base_heap_entry entry)
{
    for (;;) {
        size_t least = index * BASE_HEAP_ARITY + 1;
        size_t end = least + BASE_HEAP_ARITY < heap->count ? least + BASE_HEAP_ARITY : heap->count;

        if (least >= end)
            break;
        for (size_t child = least + 1; child < end; child++) {
            if (heap->entries[child].key < heap->entries[least].key)
                least = child;
        }
        if (entry.key <= heap->entries[least].key)
            break;
        base_heap__put(heap, index, heap->entries[least]);
        index = least;
    }
    base_heap__put(heap, index, entry);
}

/* Fills the hole at `index`, whichever way `entry` has to go from there. */
static inline void base_heap__settle(struct base_heap *heap, size_t index, struct base_heap_entry entry)
{
    if (index > 0 && entry.key < heap->entries[(index - 1) / BASE_HEAP_ARITY].key)
        base_heap__rise(heap, index, entry);
    else
        base_heap__sink(heap, index, entry);
}

/* Adds a node that is in no heap; the heap borrows it until it comes out. False, and nothing done, when full. */
static inline bool base_heap_push(struct base_heap *heap, struct base_heap_node *node, uint64_t key)
{
    struct base_heap_entry entry = {key, node};

    BASE_ASSERT(node->place == 0);
    if (heap->count == heap->capacity)
        return false;
    base_heap__rise(heap, heap->count++, entry);
    return true;
}

/* Takes out a node that is in this heap. */
static inline void base_heap_remove(struct base_heap *heap, struct base_heap_node *node)
{
    BASE_ASSERT(base_heap_contains(heap, node));
    size_t index = node->place - 1;
    struct base_heap_entry last = heap->entries[--heap->count];

    if (index != heap->count)
        base_heap__settle(heap, index, last);
    node->place = 0;
}

/* Takes out the member with the least key; NULL when there is none. */
static inline struct base_heap_node *base_heap_pop(struct base_heap *heap)
{
    struct base_heap_node *node = base_heap_first(heap);

    if (node != NULL)
        base_heap_remove(heap, node);
    return node;
}

/* Gives a node that is in this heap another key. */
static inline void base_heap_update(struct base_heap *heap, struct base_heap_node *node, uint64_t key)
{
    struct base_heap_entry entry = {key, node};

    BASE_ASSERT(base_heap_contains(heap, node));
    base_heap__settle(heap, node->place - 1, entry);
}

#endif
