/* pool.h: a fixed number of objects of one size, allocated once.
 *
 * Taking and giving back is a few instructions. The one given back last is taken next, so that it is still in the
 * cache. Objects have an index, which does in tables what a pointer does elsewhere at half the size. Under
 * AddressSanitizer an object that was given back is out of bounds, but for the pointer in front. */
#ifndef PAL__NETSTACK_POOL_H
#define PAL__NETSTACK_POOL_H

#include <pal/os.h>
#include <palio/base/assertion.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool {
    uint8_t *memory;
    uint8_t *free;      /* the first free one; each holds a pointer to the next */
    uint32_t item_size; /* bytes; a multiple of 8 */
    uint32_t count;     /* all */
    uint32_t used;      /* those taken */
    uint32_t touched;   /* those ever taken: memory behind them has never been written */
    uint32_t used_max;  /* the most that were taken at once */
    uint64_t *map;      /* bit set: that one is taken; NULL: not kept (pal__n_pool_track) */
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_HIDES 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POOL_HIDES 1
#endif

#ifdef POOL_HIDES
void __asan_poison_memory_region(const volatile void *address, size_t size);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
#endif

/* Makes memory that must not be used out of bounds, and usable again; nothing without AddressSanitizer. */
static inline void pool_hide(void *memory, size_t size)
{
#ifdef POOL_HIDES
    __asan_poison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

static inline void pool_unhide(void *memory, size_t size)
{
#ifdef POOL_HIDES
    __asan_unpoison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* count objects, aligned to 64 bytes if item_size is a multiple of that. False: no memory. Count may be 0. */
bool pal__n_pool_create(struct pool *pool, const struct pal_allocator *allocator, uint32_t count, size_t item_size);

/* Keeps from now on which objects are taken, so that pool_next finds them. Before the first is. False: no memory. */
bool pal__n_pool_track(struct pool *pool, const struct pal_allocator *allocator);

/* The first object taken at or behind *index, which moves behind it; NULL: none. Of a tracked pool. What is found may
 * be given back:  for (uint32_t index = 0; (item = pal__n_pool_next(pool, &index)) != NULL;) ... */
void *pal__n_pool_next(const struct pool *pool, uint32_t *index);

void pal__n_pool_destroy(struct pool *pool, const struct pal_allocator *allocator);

static inline void *pool_at(const struct pool *pool, uint32_t index)
{
    return pool->memory + (size_t)index * pool->item_size;
}

static inline uint32_t pool_index(const struct pool *pool, const void *item)
{
    return (uint32_t)((size_t)((const uint8_t *)item - pool->memory) / pool->item_size);
}

static inline uint32_t pool_room(const struct pool *pool)
{
    return pool->count - pool->used;
}

static inline void pool_note(struct pool *pool, const void *item, bool taken)
{
    uint32_t index;
    uint64_t bit;

    if (pool->map == NULL)
        return;
    index = pool_index(pool, item);
    bit = UINT64_C(1) << index % 64;
    BASE_ASSERT(((pool->map[index / 64] & bit) != 0) != taken);
    pool->map[index / 64] ^= bit;
}

/* An object with undefined contents, or NULL. */
static inline void *pool_take(struct pool *pool)
{
    uint8_t *item = pool->free;

    if (item != NULL) {
        pool->free = *(uint8_t **)(void *)item;
        pool_unhide(item, pool->item_size);
    } else if (pool->touched < pool->count) {
        item = pool->memory + (size_t)pool->touched++ * pool->item_size;
    } else {
        return NULL;
    }
    if (++pool->used > pool->used_max)
        pool->used_max = pool->used;
    pool_note(pool, item, true);
    return item;
}

static inline void pool_give(struct pool *pool, void *item)
{
    BASE_ASSERT(pool->used > 0);
    pool_note(pool, item, false);
    *(uint8_t **)item = pool->free;
    pool->free = (uint8_t *)item;
    pool->used--;
    pool_hide(pool->free + sizeof(pool->free), pool->item_size - sizeof(pool->free));
}

#endif
