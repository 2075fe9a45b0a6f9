/* pool.c: makes and ends pools; taking and giving back is in pool.h.
 *
 * One allocation a pool. Nothing of it is written at first, so that what is never taken costs address space only. */
#include "pool.h"

#include <string.h>

enum { POOL_UNIT = 8, POOL_LINE = 64 /* bytes of a cache line */ };

/* 0: more than size_t holds. */
static size_t whole_size(uint32_t count, size_t item_size)
{
    return (uint64_t)count * item_size > SIZE_MAX / 2 ? 0 : count * item_size;
}

static size_t alignment_of(size_t item_size)
{
    return item_size % POOL_LINE == 0 ? POOL_LINE : POOL_UNIT;
}

bool pal__n_pool_create(struct pool *pool, const struct pal_allocator *allocator, uint32_t count, size_t item_size)
{
    size_t size;

    *pool = (struct pool){NULL, NULL, 0, 0, 0, 0, 0, NULL};
    BASE_ASSERT(item_size > 0 && item_size <= UINT32_MAX - POOL_UNIT);
    item_size = (item_size + POOL_UNIT - 1) / POOL_UNIT * POOL_UNIT;
    pool->item_size = (uint32_t)item_size;
    if (count == 0)
        return true;
    size = whole_size(count, item_size);
    if (size == 0)
        return false;
    pool->memory = allocator->alloc(allocator->context, size, alignment_of(item_size));
    if (pool->memory == NULL)
        return false;
    pool->count = count;
    return true;
}

static size_t map_size(const struct pool *pool)
{
    return ((size_t)pool->count + 63) / 64 * sizeof(uint64_t);
}

bool pal__n_pool_track(struct pool *pool, const struct pal_allocator *allocator)
{
    BASE_ASSERT(pool->touched == 0 && pool->map == NULL);
    if (pool->count == 0)
        return true;
    pool->map = allocator->alloc(allocator->context, map_size(pool), sizeof(uint64_t));
    if (pool->map == NULL)
        return false;
    memset(pool->map, 0, map_size(pool));
    return true;
}

void *pal__n_pool_next(const struct pool *pool, uint32_t *index)
{
    while (*index < pool->touched) {
        uint64_t rest = pool->map[*index / 64] >> *index % 64;

        if (rest != 0) {
            *index += (uint32_t)__builtin_ctzll(rest) + 1;
            return pool_at(pool, *index - 1);
        }
        *index = (*index / 64 + 1) * 64;
    }
    return NULL;
}

void pal__n_pool_destroy(struct pool *pool, const struct pal_allocator *allocator)
{
    if (pool->memory != NULL) {
        pool_unhide(pool->memory, (size_t)pool->count * pool->item_size);
        if (pool->map != NULL)
            allocator->free(allocator->context, pool->map, map_size(pool));
        allocator->free(allocator->context, pool->memory, (size_t)pool->count * pool->item_size);
    }
    *pool = (struct pool){NULL, NULL, 0, 0, 0, 0, 0, NULL};
}
