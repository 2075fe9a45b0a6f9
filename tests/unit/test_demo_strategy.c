/* tests/unit/test_demo_strategy.c: the demonstration's decisions follow the ticks and nothing else. */
#include "examples/demo/strategy.h"
#include "support/test.h"

static struct decision decide(struct strategy *strategy, uint64_t sequence, int64_t price, uint32_t quantity)
{
    struct wire_tick tick = {0, sequence, 0, price, quantity};

    return strategy_decide(strategy, &tick);
}

Test(demo_strategy, a_level_market_is_bought_one_lot_at_a_time)
{
    struct strategy strategy = {0};

    for (uint64_t sequence = 1; sequence <= 2 * STRATEGY_SLOW; sequence++) {
        struct decision decision = decide(&strategy, sequence, 5000, 100);

        cr_assert_eq(decision.sequence, sequence);
        cr_assert_eq(decision.side, WIRE_BUY);
        cr_assert_eq(decision.price, 5001);
        cr_assert_eq(decision.quantity, 1);
    }
}

Test(demo_strategy, a_rising_market_is_bought_and_a_falling_one_sold)
{
    struct strategy strategy = {0};
    uint64_t sequence = 0;
    struct decision decision = {0};

    for (int i = 0; i < STRATEGY_SLOW; i++) {
        decision = decide(&strategy, ++sequence, 5000 + i * 10, 100);
        cr_assert_eq(decision.side, WIRE_BUY);
    }
    for (int i = 0; i < STRATEGY_SLOW; i++) {
        decision = decide(&strategy, ++sequence, 5000 - i * 10, 100);
    }
    cr_assert_eq(decision.side, WIRE_SELL);
    cr_assert_eq(decision.price, 5000 - (STRATEGY_SLOW - 1) * 10 - 1);
}

Test(demo_strategy, the_averages_cross_when_the_sums_say_so)
{
    struct strategy strategy = {0};

    for (uint64_t sequence = 1; sequence <= STRATEGY_SLOW; sequence++) {
        decide(&strategy, sequence, 5000, 100);
    }
    /* One price 32 lower: the fast sum falls by 32, times 4, the slow one by 32: the averages are 3 apart. */
    struct decision decision = decide(&strategy, STRATEGY_SLOW + 1, 5000 - 32, 100);
    cr_assert_eq(decision.side, WIRE_SELL);
    cr_assert_eq(decision.quantity, 1 + 3);
    /* When it leaves the fast average, only the slow one is low. */
    for (uint64_t i = 1; i < STRATEGY_FAST; i++) {
        decision = decide(&strategy, STRATEGY_SLOW + 1 + i, 5000, 100);
        cr_assert_eq(decision.side, WIRE_SELL);
    }
    decision = decide(&strategy, STRATEGY_SLOW + 1 + STRATEGY_FAST, 5000, 100);
    cr_assert_eq(decision.side, WIRE_BUY);
    cr_assert_eq(decision.quantity, 1 + 1);
    /* When it leaves the slow one too, they are level. */
    for (uint64_t i = STRATEGY_FAST + 1; i <= STRATEGY_SLOW; i++) {
        cr_assert_eq(decision.quantity, 1 + 1);
        decision = decide(&strategy, STRATEGY_SLOW + 1 + i, 5000, 100);
    }
    cr_assert_eq(decision.quantity, 1);
}

Test(demo_strategy, never_more_is_ordered_than_offered_or_allowed)
{
    struct strategy strategy = {0};

    decide(&strategy, 1, 5000, 100);
    cr_assert_eq(decide(&strategy, 2, 500000, 3).quantity, 3);
    cr_assert_eq(decide(&strategy, 3, 5000000, 500).quantity, STRATEGY_QUANTITY_MAX);
}

Test(demo_strategy, the_digest_is_fnv_1a_over_the_big_endian_decision)
{
    struct decision zero = {0, 0, 0, 0};
    struct decision one = {0, 0, 0, 1};
    uint64_t expected = STRATEGY_DIGEST_START;

    for (int i = 0; i < 24; i++) {
        expected *= UINT64_C(0x100000001b3);
    }
    cr_expect_eq(strategy_digest(STRATEGY_DIGEST_START, &zero), expected);
    cr_expect_eq(STRATEGY_DIGEST_START, UINT64_C(14695981039346656037));
    cr_expect_neq(strategy_digest(STRATEGY_DIGEST_START, &one), expected);
}

Test(demo_strategy, the_digest_knows_every_field_and_the_order)
{
    struct decision decision = {7, 5001, 3, WIRE_BUY};
    struct decision others[] = {
        {8, 5001, 3, WIRE_BUY}, {7, 5002, 3, WIRE_BUY}, {7, 5001, 4, WIRE_BUY}, {7, 5001, 3, WIRE_SELL}};
    uint64_t digest = strategy_digest(STRATEGY_DIGEST_START, &decision);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        uint64_t other = strategy_digest(STRATEGY_DIGEST_START, &others[i]);

        cr_expect_neq(other, digest);
        cr_expect_neq(strategy_digest(digest, &others[i]), strategy_digest(other, &decision));
    }
}
