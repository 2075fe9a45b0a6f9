/* memory.h: the seam's memory, from the allocator that pal_setup was given. Only opening a poll allocates, growing
 * what it was opened with, and a RESOLVE op; the hot paths never do. Any thread. */
#ifndef PAL__COMMON_MEMORY_H
#define PAL__COMMON_MEMORY_H

#include <pal/os.h>

/* size > 0 bytes aligned to alignment (a power of two), not zeroed; NULL when there is none. */
void *pal__alloc(size_t size, size_t alignment);

/* Gives back what pal__alloc returned for this size; NULL does nothing. */
void pal__free(void *memory, size_t size);

/* From the platform: size bytes that are zero, and zero again in a child of fork. Never given back. NULL: out of
 * memory. */
void *pal__alloc_wiped(size_t size);

/* Copied; NULL: the C library's. Before the first allocation. */
void pal__set_allocator(const struct pal_allocator *allocator);

#endif
