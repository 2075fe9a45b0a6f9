/* seq.h: sequence numbers compare modulo 2^32 (RFC 9293 3.4), by the sign of their difference. */
#ifndef PAL__NETSTACK_SEQ_H
#define PAL__NETSTACK_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t left, uint32_t right)
{
    return (int32_t)(left - right) < 0;
}

static inline bool seq_leq(uint32_t left, uint32_t right)
{
    return (int32_t)(left - right) <= 0;
}

static inline bool seq_gt(uint32_t left, uint32_t right)
{
    return seq_lt(right, left);
}

static inline bool seq_geq(uint32_t left, uint32_t right)
{
    return seq_leq(right, left);
}

static inline uint32_t seq_max(uint32_t left, uint32_t right)
{
    return seq_lt(left, right) ? right : left;
}

static inline uint32_t seq_min(uint32_t left, uint32_t right)
{
    return seq_lt(left, right) ? left : right;
}

/* low <= seq < low + size */
static inline bool seq_within(uint32_t seq, uint32_t low, uint32_t size)
{
    return seq - low < size;
}

#endif
