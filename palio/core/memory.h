/* palio/core/memory.h: the memory of the upper layers, from the allocator that palio_set_allocator chose.
 *
 * Objects are taken when something is opened, never on a hot path; the counts are how tests prove it. */
#ifndef PALIO_CORE_MEMORY_H
#define PALIO_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* size > 0 bytes aligned to alignment (a power of two), not zeroed, or NULL: return PALIO_ENOMEM then. Any thread. */
void *palio__alloc(size_t size, size_t alignment);

/* Gives back what palio__alloc returned for this size and alignment. NULL does nothing. Any thread. */
void palio__free(void *memory, size_t size, size_t alignment);

struct palio__memory_counts {
    uint64_t alloc_count; /* successful allocations since the program began */
    uint64_t free_count;
    uint64_t used_size; /* bytes not yet given back, as asked for */
};

/* The numbers of this moment; consistent with each other only while no other thread allocates. */
struct palio__memory_counts palio__memory_counts(void);

#endif
