/* memory.c: the allocator hook, the C library behind it by default, and the counts. See memory.h. */
#include "memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <pal/os.h>
#include <palio/base.h>

#include "assertion.h"
#include "error.h"

/* Written before other threads exist (palio_set_allocator says so), read by all. alloc NULL: the C library's. */
static palio_allocator chosen;
static bool is_chosen;

static _Atomic uint64_t alloc_count, free_count, used_size;

static bool is_power_of_two(size_t number)
{
    return number != 0 && (number & (number - 1)) == 0;
}

static bool suits_malloc(size_t alignment)
{
    return alignment <= _Alignof(max_align_t);
}

/* malloc, and for large alignments a little more of it, with the address to be freed just below the aligned memory. */
static void *library_alloc(size_t size, size_t alignment)
{
    size_t extra = alignment - 1 + sizeof(void *);
    unsigned char *block, *aligned;

    if (suits_malloc(alignment))
        return malloc(size);
    if (size > SIZE_MAX - extra)
        return NULL;
    block = malloc(size + extra);
    if (block == NULL)
        return NULL;
    aligned = block + sizeof(void *);
    aligned += (alignment - (uintptr_t)aligned % alignment) % alignment;
    memcpy(aligned - sizeof(void *), &block, sizeof(void *));
    return aligned;
}

static void library_free(void *memory, size_t alignment)
{
    if (!suits_malloc(alignment))
        memcpy(&memory, (unsigned char *)memory - sizeof(void *), sizeof(void *));
    free(memory);
}

/* PAL_EBUSY is no failure: the program has set the seam up, with an allocator of its choice. */
static int give_to_seam(const palio_allocator *allocator)
{
    struct pal_allocator for_seam = {allocator->alloc, allocator->free, allocator->context};
    struct pal_setup setup = {.allocator = &for_seam};
    int error = pal_setup(&setup);

    return error == PAL_EBUSY ? 0 : error;
}

int palio_set_allocator(const palio_allocator *allocator)
{
    if (is_chosen || atomic_load_explicit(&alloc_count, memory_order_relaxed) != 0)
        return palio__refuse(PALIO_EBUSY, "set_allocator", "%s", "");
    if (allocator != NULL) {
        int error;

        if (allocator->alloc == NULL || allocator->free == NULL)
            return palio__refuse(PALIO_EINVAL, "set_allocator", "%s", "");
        error = give_to_seam(allocator);
        if (error < 0)
            return palio__fail(error, "set_allocator", "%s", "");
        chosen = *allocator;
    }
    is_chosen = true;
    return 0;
}

void *palio__alloc(size_t size, size_t alignment)
{
    void *memory;

    PALIO__ASSERT(size > 0, "palio__alloc: an allocation of no bytes");
    PALIO__ASSERT(is_power_of_two(alignment), "palio__alloc: the alignment is no power of two");
    memory = chosen.alloc != NULL ? chosen.alloc(chosen.context, size, alignment) : library_alloc(size, alignment);
    if (memory == NULL)
        return NULL;
    PALIO__ASSERT((uintptr_t)memory % alignment == 0, "palio__alloc: the program's allocator ignores alignment");
    atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&used_size, size, memory_order_relaxed);
    return memory;
}

void palio__free(void *memory, size_t size, size_t alignment)
{
    uint64_t used_before;

    if (memory == NULL)
        return;
    used_before = atomic_fetch_sub_explicit(&used_size, size, memory_order_relaxed);
    PALIO__ASSERT(used_before >= size, "palio__free: more is given back than was taken");
    atomic_fetch_add_explicit(&free_count, 1, memory_order_relaxed);
    if (chosen.alloc != NULL)
        chosen.free(chosen.context, memory, size);
    else
        library_free(memory, alignment);
}

struct palio__memory_counts palio__memory_counts(void)
{
    struct palio__memory_counts counts;

    counts.alloc_count = atomic_load_explicit(&alloc_count, memory_order_relaxed);
    counts.free_count = atomic_load_explicit(&free_count, memory_order_relaxed);
    counts.used_size = atomic_load_explicit(&used_size, memory_order_relaxed);
    return counts;
}
