/* memory.c: the allocator hook of pal_setup, and the C library's as its default. */
#include "memory.h"

#include <stdlib.h>

static void *libc_alloc(void *context, size_t size, size_t alignment)
{
    (void)context;
    if (alignment <= _Alignof(max_align_t))
        return malloc(size);
    return aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}

static void libc_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static struct pal_allocator current = {.alloc = libc_alloc, .free = libc_free};

void pal__set_allocator(const struct pal_allocator *allocator)
{
    current = allocator ? *allocator : (struct pal_allocator){.alloc = libc_alloc, .free = libc_free};
}

void *pal__alloc(size_t size, size_t alignment)
{
    return current.alloc(current.context, size, alignment);
}

void pal__free(void *memory, size_t size)
{
    if (memory)
        current.free(current.context, memory, size);
}
