/* lease_pool.c: lending and taking back receive buffers. Rules 5 and 13. */
#include "lease_pool.h"

#include "memory.h"
#include "poison.h"

int pal__lease_pool_open(struct lease_pool *pool, uint32_t count, uint32_t size, uint32_t poll_number)
{
    *pool = (struct lease_pool){.count = count, .size = size, .number = poll_number};
    pool->stride = (PAL_LEASE_HEADROOM + size + 63) & ~63u;
    if (pool->stride > SIZE_MAX / 2 / count) { /* more than the addresses of this machine */
        *pool = (struct lease_pool){.number = poll_number};
        return PAL_ENOMEM;
    }
    pool->memory = pal__alloc((size_t)count * pool->stride, 64);
    pool->lender = pal__alloc(count * sizeof *pool->lender, sizeof *pool->lender);
    pool->lent = pal__alloc(count, 1);
    pool->free = pal__alloc(count * sizeof *pool->free, sizeof *pool->free);
    if (!pool->memory || !pool->lender || !pool->lent || !pool->free) {
        pal__lease_pool_close(pool);
        return PAL_ENOMEM;
    }
    for (uint32_t index = count; index-- > 0;) {
        pool->lent[index] = 0;
        pool->free[pool->free_count++] = index;
    }
    POISON(pool->memory, (size_t)count * pool->stride);
    return 0;
}

void pal__lease_pool_close(struct lease_pool *pool)
{
    if (pool->memory)
        UNPOISON(pool->memory, (size_t)pool->count * pool->stride);
    pal__free(pool->memory, (size_t)pool->count * pool->stride);
    pal__free(pool->lender, pool->count * sizeof *pool->lender);
    pal__free(pool->lent, pool->count);
    pal__free(pool->free, pool->count * sizeof *pool->free);
    *pool = (struct lease_pool){0};
}

struct pal_lease pal__lease_take(struct lease_pool *pool, pal_sock lender)
{
    uint32_t index = pool->free[--pool->free_count];
    pool->lent[index] = 1;
    pool->lender[index] = lender;
    pool->reserved += lender.id == 0;
    uint8_t *data = lease_data(pool, index);
    UNPOISON(data - PAL_LEASE_HEADROOM, PAL_LEASE_HEADROOM + pool->size);
    return (struct pal_lease){.data = data, .token = pool->number << 16 | index};
}

void pal__lease_disown(struct lease_pool *pool, pal_sock lender)
{
    for (uint32_t index = 0; index < pool->count; index++)
        if (pool->lent[index] && pool->lender[index].id == lender.id)
            pool->lender[index].id = UINT64_MAX; /* no handle, and not 0, which is reserved */
}

void pal__lease_check(const struct lease_pool *pool, const struct pal_lease *lease)
{
    uint32_t index = lease->token & 0xffffu;
    RULE(5, index < pool->count && pool->lent[index], "a lease is used after it was released");
    uint8_t *data = lease_data(pool, index);
    RULE(5, lease->data >= data && lease->data + lease->size <= data + pool->size, "a lease points outside its buffer");
}

pal_sock pal__lease_return(struct lease_pool *pool, const struct pal_lease *lease)
{
    uint32_t index = lease->token & 0xffffu;
    RULE(5, index < pool->count && pool->lent[index], "a lease is released twice");
    pool->lent[index] = 0;
    POISON(lease_data(pool, index) - PAL_LEASE_HEADROOM, PAL_LEASE_HEADROOM + pool->size);
    pool->free[pool->free_count++] = index;
    pool->reserved -= pool->lender[index].id == 0;
    return pool->lender[index];
}
