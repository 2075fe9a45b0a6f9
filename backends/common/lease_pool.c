/* lease_pool.c: lending and taking back receive buffers. Rules 5 and 13. */
#include "lease_pool.h"

#include "memory.h"
#include "poison.h"

enum { LINE = 64 };
_Static_assert(LINE % PAL_LEASE_ALIGN == 0, "the head-room is the metadata's, and not a byte more of it");

int pal__lease_pool_open(struct lease_pool *pool, uint32_t count, uint32_t size, uint32_t poll_number)
{
    *pool = (struct lease_pool){.count = count, .size = size, .number = poll_number};
    pool->stride = (PAL_LEASE_HEADROOM + size + LINE - 1) & ~(LINE - 1u);
    if (pool->stride > SIZE_MAX / 2 / count) { /* more than the addresses of this machine */
        *pool = (struct lease_pool){.number = poll_number};
        return PAL_ENOMEM;
    }
    pool->memory = pal__alloc((size_t)count * pool->stride, LINE);
    pool->lender = pal__alloc(count * sizeof *pool->lender, sizeof *pool->lender);
    pool->lent = pal__alloc(count, 1);
    pool->free = pal__alloc(count * sizeof *pool->free, sizeof *pool->free);
    if (!pool->memory || !pool->lender || !pool->lent || !pool->free) {
        pal__lease_pool_close(pool);
        return PAL_ENOMEM;
    }
    for (uint32_t index = count; index-- > 0;) {
        pool->lent[index] = LENT_NOT;
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

/* The index of what is lent now. */
static uint32_t take(struct lease_pool *pool, pal_sock lender, uint8_t how)
{
    uint32_t index = pool->free[--pool->free_count];
    pool->lent[index] = how;
    pool->lender[index] = lender;
    return index;
}

struct pal_lease pal__lease_take(struct lease_pool *pool, pal_sock lender)
{
    uint32_t index = take(pool, lender, LENT_BUFFER);
    pool->reserved += lender.id == 0;
    uint8_t *data = lease_data(pool, index);
    UNPOISON(data - PAL_LEASE_HEADROOM, PAL_LEASE_HEADROOM + pool->size);
    return (struct pal_lease){.data = data, .token = pool->number << 16 | index};
}

static struct lease_loan *loan_at(const struct lease_pool *pool, uint32_t index)
{
    return (struct lease_loan *)(void *)lease_data(pool, index);
}

struct pal_lease pal__lease_take_loan(struct lease_pool *pool, pal_sock lender, const struct lease_loan *loan)
{
    uint32_t index = take(pool, lender, LENT_LOAN);
    UNPOISON(loan_at(pool, index), sizeof *loan);
    *loan_at(pool, index) = *loan;
    return (struct pal_lease){.data = loan->data, .size = loan->size, .token = pool->number << 16 | index};
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
    bool is_loan = pool->lent[index] == LENT_LOAN;
    const uint8_t *data = is_loan ? loan_at(pool, index)->data : lease_data(pool, index);
    uint32_t size = is_loan ? loan_at(pool, index)->size : pool->size;
    RULE(5, lease->data >= data && lease->data + lease->size <= data + size, "a lease points outside its buffer");
}

pal_sock pal__lease_return(struct lease_pool *pool, const struct pal_lease *lease)
{
    uint32_t index = lease->token & 0xffffu;
    RULE(5, index < pool->count && pool->lent[index], "a lease is released twice");
    if (UNLIKELY(pool->lent[index] == LENT_LOAN))
        loan_at(pool, index)->give_back(pool, loan_at(pool, index)->owner);
    pool->lent[index] = LENT_NOT;
    POISON(lease_data(pool, index) - PAL_LEASE_HEADROOM, PAL_LEASE_HEADROOM + pool->size);
    pool->free[pool->free_count++] = index;
    pool->reserved -= pool->lender[index].id == 0;
    return pool->lender[index];
}
