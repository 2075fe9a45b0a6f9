/* tests/netstack/counting_allocator.h: the C library's memory as a struct pal_allocator that counts what is out. */
#ifndef TESTS_NETSTACK_COUNTING_ALLOCATOR_H
#define TESTS_NETSTACK_COUNTING_ALLOCATOR_H

#include <pal/os.h>
#include <stdlib.h>

struct counting {
    struct pal_allocator allocator;
    size_t blocks, bytes; /* given out and not back yet */
    uint64_t allocations; /* ever */
};

static inline void *counting_alloc(void *context, size_t size, size_t alignment)
{
    struct counting *counting = context;
    size_t whole = (size + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment < sizeof(void *) ? sizeof(void *) : alignment, whole == 0 ? 64 : whole);

    if (memory == NULL)
        return NULL;
    counting->blocks++;
    counting->bytes += size;
    counting->allocations++;
    return memory;
}

static inline void counting_free(void *context, void *memory, size_t size)
{
    struct counting *counting = context;

    if (memory == NULL)
        return;
    counting->blocks--;
    counting->bytes -= size;
    free(memory);
}

static inline void counting_init(struct counting *counting)
{
    counting->blocks = counting->bytes = 0;
    counting->allocations = 0;
    counting->allocator.alloc = counting_alloc;
    counting->allocator.free = counting_free;
    counting->allocator.context = counting;
}

#endif
