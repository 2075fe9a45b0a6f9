/* lease_pool.h: receive buffers of one poll: one block, a stack of free ones, and who has which.
 *
 * Upholds rules 5 and 13. A buffer is PAL_LEASE_HEADROOM bytes of metadata, then lease_size bytes of data. A token
 * names the poll and the buffer, so that a lease can be checked wherever it comes back: released twice, or forged,
 * asserts. In sanitizer builds a buffer that is not lent is poisoned. The owner's thread only.
 *
 * A lease may be a loan instead: memory of the backend's own, with room for the metadata in front. It takes a buffer
 * all the same, so that leases are counted, checked and given back in one way; what is known of the loan lies in that
 * buffer, which has nothing else to do. */
#ifndef PAL__COMMON_LEASE_POOL_H
#define PAL__COMMON_LEASE_POOL_H

#include "slot.h"
#include <pal/lease.h>

enum {
    LEASES_MAX = 65536,
    LEASES_DEFAULT = 16,
    LEASE_SIZE_MIN = 64,
    LEASE_SIZE_MAX = 16 << 20,
    LEASE_SIZE_DEFAULT = 65536
};

enum { LOAN_HEADROOM = PAL_LEASE_HEADROOM + PAL_LEASE_ALIGN - 1 };

struct lease_pool;

/* Memory that the backend lends. */
struct lease_loan {
    uint8_t *data; /* behind LOAN_HEADROOM bytes that belong to this loan alone; anywhere */
    uint32_t size;
    void *owner; /* what it is to the backend, which is told when it comes back: */
    void (*give_back)(struct lease_pool *pool, void *owner);
};
_Static_assert(sizeof(struct lease_loan) <= LEASE_SIZE_MIN, "what is known of a loan fits into any buffer");

enum { LENT_NOT, LENT_BUFFER, LENT_LOAN };

struct lease_pool {
    uint8_t *memory;  /* count * stride bytes, from a cache line on: all data is aligned for the metadata in front */
    pal_sock *lender; /* per buffer: the socket it was received on, or nobody; {0} for reserved ones */
    uint8_t *lent;    /* per buffer: LENT_* */
    uint32_t *free;   /* stack of buffer indexes */
    uint32_t free_count;
    uint32_t count;
    uint32_t size; /* bytes of data in each */
    uint32_t stride;
    uint32_t reserved; /* how many of those lent were reserved, not received into */
    uint32_t number;   /* of the poll, for tokens */
};

int pal__lease_pool_open(struct lease_pool *pool, uint32_t count, uint32_t size, uint32_t poll_number);
void pal__lease_pool_close(struct lease_pool *pool);

static inline uint32_t lease_poll_number(const struct pal_lease *lease)
{
    return lease->token >> 16;
}

static inline uint32_t leases_out(const struct lease_pool *pool)
{
    return pool->count - pool->free_count;
}

/* The data of buffer index, before any advance. */
static inline uint8_t *lease_data(const struct lease_pool *pool, uint32_t index)
{
    return pool->memory + (size_t)index * pool->stride + PAL_LEASE_HEADROOM;
}

/* Lends the top of the stack. There must be one. size is filled in by the caller. */
struct pal_lease pal__lease_take(struct lease_pool *pool, pal_sock lender);

/* The same, and the lease is the loan. */
struct pal_lease pal__lease_take_loan(struct lease_pool *pool, pal_sock lender, const struct lease_loan *loan);

/* Of what is lent through this socket nothing is its charge any more: it has moved since. */
void pal__lease_disown(struct lease_pool *pool, pal_sock lender);

/* Takes it back; returns the socket that it was received on, or what is no socket's handle. Whoever has lent a loan is
 * told. */
pal_sock pal__lease_return(struct lease_pool *pool, const struct pal_lease *lease);

/* Rule 5: the lease is lent by this pool and points into its buffer, or its loan. */
void pal__lease_check(const struct lease_pool *pool, const struct pal_lease *lease);

#endif
