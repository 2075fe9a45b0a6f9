/* tcp_isn.c: where a connection's sequence numbers and timestamps begin (RFC 6528, RFC 7323 5.4).
 *
 * Both are a clock plus a keyed hash of the tuple: of one tuple they go forward, of two they tell nothing. */
#include "stack.h"

enum { ISN_TICK_NS = 4000 }; /* RFC 9293 3.4.1: about 4 us */

uint64_t pal__n_tuple_mac(const struct siphash_key *key, const struct tuple *tuple, uint64_t first, uint64_t second)
{
    uint8_t bytes[16 + 16 + 4 + 16];

    memcpy(bytes, tuple->local.bytes, 16);
    memcpy(bytes + 16, tuple->remote.bytes, 16);
    put16(bytes + 32, tuple->local_port);
    put16(bytes + 34, tuple->remote_port);
    put32(bytes + 36, (uint32_t)(first >> 32));
    put32(bytes + 40, (uint32_t)first);
    put32(bytes + 44, (uint32_t)(second >> 32));
    put32(bytes + 48, (uint32_t)second);
    return pal__n_siphash(key, bytes, sizeof(bytes));
}

uint32_t pal__n_isn(struct netstack *stack, const struct tuple *tuple)
{
    if ((stack->config.flags & NETSTACK_FIXED_ISN) != 0)
        return stack->config.isn;
    return (uint32_t)(stack->now_ns / ISN_TICK_NS) + (uint32_t)pal__n_tuple_mac(&stack->isn_key, tuple, 0, 0);
}

uint32_t pal__n_ts_offset(struct netstack *stack, const struct tuple *tuple)
{
    return (uint32_t)pal__n_tuple_mac(&stack->ts_key, tuple, 0, 0);
}
