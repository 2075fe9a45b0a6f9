/* map_table.c: see map_table.h. */
#include "map_table.h"

#include "../common/lock.h"
#include "../common/memory.h"

#include <sys/mman.h>

enum { BUCKET_BITS = 10, BUCKETS = 1 << BUCKET_BITS };

static struct map *_Atomic buckets[BUCKETS];

/* By the page, of which neighbours fall into different buckets. */
static struct map *_Atomic *bucket_of(uintptr_t address)
{
    uint32_t page = (uint32_t)(address >> 12);
    return &buckets[page * UINT32_C(2654435769) >> (32 - BUCKET_BITS)];
}

/* NULL when there is no memory for it. */
static struct lock *table_lock(void)
{
    static struct lock *_Atomic known;
    struct lock *none = NULL, *fresh = atomic_load(&known);
    if (fresh)
        return fresh;
    fresh = pal__alloc_wiped(sizeof *fresh);
    if (!fresh || atomic_compare_exchange_strong(&known, &none, fresh))
        return fresh;
    munmap(fresh, sizeof *fresh); /* another thread was first */
    return none;
}

struct map *pal__k_map_new(void)
{
    return table_lock() ? pal__alloc(sizeof(struct map), _Alignof(struct map)) : NULL;
}

void pal__k_map_free(struct map *map)
{
    pal__free(map, sizeof *map);
}

void pal__k_map_put(struct map *map)
{
    struct map *_Atomic *bucket = bucket_of(map->address);
    struct lock *lock = table_lock();
    lock_acquire(lock);
    atomic_store(&map->next, atomic_load(bucket));
    atomic_store(bucket, map);
    lock_release(lock);
}

struct map *pal__k_map_take(const void *address, size_t size)
{
    struct map *_Atomic *link = bucket_of((uintptr_t)address), *map;
    struct lock *lock = table_lock();
    if (!lock)
        return NULL;
    lock_acquire(lock);
    while ((map = atomic_load(link)) && (map->address != (uintptr_t)address || map->size != size))
        link = &map->next;
    if (map)
        atomic_store(link, atomic_load(&map->next));
    lock_release(lock);
    return map;
}
