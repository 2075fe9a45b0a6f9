/* examples/demo/strategy.h: what the trader decides: a pure function of the ticks it has seen, in whole numbers only.
 *
 * Two moving averages cross: while the fast one is above the slow one it buys, below it sells. The same ticks give the
 * same decisions on every compiler, backend and byte order; the digest over them proves it. Shared by both traders. */
#ifndef DEMO_STRATEGY_H
#define DEMO_STRATEGY_H

#include "wire.h"

enum { STRATEGY_FAST = 8, STRATEGY_SLOW = 32, STRATEGY_QUANTITY_MAX = 100 }; /* averages: in ticks */

struct strategy {                  /* zero is the initial state */
    int64_t prices[STRATEGY_SLOW]; /* the last ones, by count % STRATEGY_SLOW */
    int64_t fast_sum, slow_sum;
    uint64_t count;
};

struct decision {
    uint64_t sequence; /* of the tick that it answers */
    int64_t price;
    uint32_t quantity;
    uint32_t side; /* enum wire_side */
};

/* Takes one tick into the averages and answers it. Until the averages are full, the missing prices count as equal to
 * the first. The price crosses the spread by one; the quantity grows with the distance between the averages, but is
 * never more than the tick offers. */
static inline struct decision strategy_decide(struct strategy *strategy, const struct wire_tick *tick)
{
    if (strategy->count == 0) {
        for (int i = 0; i < STRATEGY_SLOW; i++) {
            strategy->prices[i] = tick->price;
        }
        strategy->fast_sum = tick->price * STRATEGY_FAST;
        strategy->slow_sum = tick->price * STRATEGY_SLOW;
    }
    uint64_t now = strategy->count++;
    strategy->fast_sum += tick->price - strategy->prices[(now + STRATEGY_SLOW - STRATEGY_FAST) % STRATEGY_SLOW];
    strategy->slow_sum += tick->price - strategy->prices[now % STRATEGY_SLOW];
    strategy->prices[now % STRATEGY_SLOW] = tick->price;

    int64_t distance = strategy->fast_sum * (STRATEGY_SLOW / STRATEGY_FAST) - strategy->slow_sum;
    uint64_t strength = 1 + (uint64_t)(distance < 0 ? -distance : distance) / STRATEGY_SLOW;
    uint64_t most = tick->quantity < STRATEGY_QUANTITY_MAX ? tick->quantity : STRATEGY_QUANTITY_MAX;

    struct decision decision;
    decision.sequence = tick->sequence;
    decision.side = distance >= 0 ? WIRE_BUY : WIRE_SELL;
    decision.price = distance >= 0 ? tick->price + 1 : tick->price - 1;
    decision.quantity = (uint32_t)(strength < most ? strength : most);
    return decision;
}

#define STRATEGY_DIGEST_START UINT64_C(0xcbf29ce484222325) /* FNV-1a, 64 bits */

/* The digest of all decisions up to and with this one. */
static inline uint64_t strategy_digest(uint64_t digest, const struct decision *decision)
{
    uint8_t bytes[24];
    wire_put64(bytes, decision->sequence);
    wire_put_price(bytes + 8, decision->price);
    wire_put32(bytes + 16, decision->quantity);
    wire_put32(bytes + 20, decision->side);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return digest;
}

#endif
