/* test_isn.c: initial sequence numbers (RFC 6528): a clock, and for each connection an offset that only the stack's own
 * secret gives. */
#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"

enum { TUPLES = 1000 };

static struct netstack *stack_of(struct counting *memory, uint64_t seed)
{
    struct netstack_config config;
    struct netstack *stack;

    memset(&config, 0, sizeof(config));
    config.allocator = &memory->allocator;
    config.seed = seed;
    config.now_ns = 1000000000;
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    return stack;
}

static struct tuple tuple_at(uint32_t number)
{
    struct tuple tuple;

    memset(&tuple, 0, sizeof(tuple));
    tuple.local = ip_of_number(0xc0000201);
    tuple.remote = ip_of_number(0xc0000202);
    tuple.local_port = 80;
    tuple.remote_port = (uint16_t)(1024 + number);
    tuple.protocol = PAL_IPPROTO_TCP;
    return tuple;
}

/* MUST-9: what one stack gives a connection tells nothing of what another would, nor of its neighbours. */
Test(isn, two_seeds_give_unrelated_numbers_for_the_same_tuples)
{
    struct counting memory;
    struct netstack *left, *right;
    uint32_t constant = 0, equal = 0;

    counting_init(&memory);
    left = stack_of(&memory, 1);
    right = stack_of(&memory, 2);
    for (uint32_t i = 0; i < TUPLES; i++) {
        struct tuple tuple = tuple_at(i), next = tuple_at(i + 1);
        uint32_t of_left = pal__n_isn(left, &tuple), of_right = pal__n_isn(right, &tuple);

        equal += of_left == of_right;
        /* A secret that was only added to a public hash would leave this difference the same on both. */
        constant += pal__n_isn(left, &next) - of_left == pal__n_isn(right, &next) - of_right;
        cr_assert_eq(of_left, pal__n_isn(left, &tuple), "the same tuple at the same time");
    }
    cr_assert_leq(equal, 1);
    cr_assert_leq(constant, 1);
    pal__n_stack_destroy(left, false);
    pal__n_stack_destroy(right, false);
}

/* MUST-8: about a tick every 4 us. */
Test(isn, the_clock_of_one_tuple_goes_on_by_250000_a_second)
{
    struct counting memory;
    struct netstack *stack;
    struct tuple tuple = tuple_at(1);
    uint32_t before;

    counting_init(&memory);
    stack = stack_of(&memory, 3);
    before = pal__n_isn(stack, &tuple);
    pal__n_stack_set_time(stack, pal__n_stack_now(stack) + 1000000000);
    cr_assert_eq(pal__n_isn(stack, &tuple) - before, 250000);
    pal__n_stack_destroy(stack, false);
}
