/* tests/netstack/test_stack.c: a stack's beginning and end, its defaults, its time, and that two know nothing of each
 * other. */
#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"

static struct counting memory;

static struct netstack_config small_config(void)
{
    struct netstack_config config;

    counting_init(&memory);
    memset(&config, 0, sizeof(config));
    config.allocator = &memory.allocator;
    config.seed = 1;
    config.tcp_max = config.udp_max = config.embryos_max = config.timewaits_max = 8;
    config.segments_max = config.chunks_max = 16;
    config.big_frames_max = 4;
    return config;
}

Test(stack, gives_back_all_that_it_took)
{
    struct netstack_config config = small_config();
    struct netstack *stack;
    struct netstack_usage usage, none;

    memset(&none, 0, sizeof(none));
    for (int notify = 0; notify < 2; notify++) {
        cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
        cr_assert(memory.blocks > 0);
        cr_assert_null(pal__n_stack_check(stack));
        pal__n_stack_usage(stack, &usage);
        cr_assert_eq(memcmp(&usage, &none, sizeof(usage)), 0);
        pal__n_stack_destroy(stack, notify != 0);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_eq(memory.bytes, 0);
    }
    pal__n_stack_destroy(NULL, true);
}

static uint64_t allowed; /* allocations that succeed */

static void *alloc_some(void *context, size_t size, size_t alignment)
{
    if (allowed == 0)
        return NULL;
    allowed--;
    return counting_alloc(context, size, alignment);
}

Test(stack, every_allocation_that_fails_is_no_memory_and_no_leak)
{
    struct netstack_config config = small_config();
    struct pal_allocator some = {alloc_some, counting_free, &memory};
    struct netstack *stack = NULL;
    uint64_t most = 0;

    config.allocator = &some;
    for (int result = PAL_ENOMEM; result != 0; most++) {
        allowed = most;
        result = pal__n_stack_create(&config, &stack);
        cr_assert(result == 0 || (result == PAL_ENOMEM && stack == NULL), "with %d allocations", (int)most);
        cr_assert(result == 0 || memory.blocks == 0, "a leak with %d allocations", (int)most);
    }
    pal__n_stack_destroy(stack, false);
    cr_assert_eq(memory.bytes, 0);
}

Test(stack, allocates_nothing_after_its_beginning)
{
    struct netstack_config config = small_config();
    struct netstack *stack;
    uint64_t allocations;

    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    allocations = memory.allocations;
    for (uint64_t now = 0; now < 1000000000; now += 1000000)
        pal__n_stack_poll(stack, now);
    pal__n_stack_flush(stack, 2000000000);
    cr_assert_eq(memory.allocations, allocations);
    pal__n_stack_destroy(stack, true);
}

Test(stack, fills_in_its_defaults)
{
    struct netstack_config config;
    struct netstack *stack;

    counting_init(&memory);
    memset(&config, 0, sizeof(config));
    config.allocator = &memory.allocator;
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    cr_assert_eq(stack->config.tcp_max, 1024);
    cr_assert_eq(stack->config.rto_min_ns, 5000000);
    cr_assert_eq(stack->config.rto_max_ns, UINT64_C(60000000000));
    cr_assert_eq(stack->config.msl_ns, UINT64_C(30000000000));
    cr_assert_eq(stack->config.ack_delay_ns, 0);
    cr_assert_eq(stack->config.receive_buffer_max, 4 << 20);
    cr_assert_eq(stack->config.allocator->alloc, memory.allocator.alloc);
    pal__n_stack_destroy(stack, false);
}

static int refused(const struct netstack_config *config)
{
    struct netstack *stack;
    int result = pal__n_stack_create(config, &stack);

    if (result == 0)
        pal__n_stack_destroy(stack, false);
    else
        cr_assert(stack == NULL && memory.blocks == 0);
    return result;
}

Test(stack, refuses_what_is_out_of_range)
{
    struct netstack_config config = small_config();

    config.ack_delay_ns = UINT64_C(600000000); /* tcp.rfc9293.MUST-40 */
    cr_assert_eq(refused(&config), PAL_EINVAL);
    config = small_config();
    config.tcp_max = UINT32_C(1) << 28;
    cr_assert_eq(refused(&config), PAL_EINVAL);
    config = small_config();
    config.flags = UINT32_C(1) << 31;
    cr_assert_eq(refused(&config), PAL_EINVAL);
    config = small_config();
    config.receive_buffer = 1 << 20;
    config.receive_buffer_max = 1 << 19;
    cr_assert_eq(refused(&config), PAL_EINVAL);
    config = small_config();
    config.rto_min_ns = UINT64_C(2000000000);
    config.rto_max_ns = UINT64_C(1000000000);
    cr_assert_eq(refused(&config), PAL_EINVAL);
    config = small_config();
    config.allocator = NULL;
    cr_assert_eq(refused(&config), PAL_EINVAL);
}

/* A limit that was not named gives way to the value that was. */
Test(stack, widens_limits_that_nobody_has_named)
{
    struct netstack_config config = small_config();
    struct netstack *stack;

    config.receive_buffer = 8 << 20;
    config.send_buffer_max = 1 << 10;
    config.rto_max_ns = 1000000;
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    cr_assert_eq(stack->config.receive_buffer_max, 8 << 20);
    cr_assert_eq(stack->config.send_buffer, 1 << 10);
    cr_assert_eq(stack->config.rto_min_ns, 1000000);
    cr_assert_eq(stack->config.rto_initial_ns, 1000000);
    pal__n_stack_destroy(stack, false);
}

Test(stack, time_does_not_go_back)
{
    struct netstack_config config = small_config();
    struct netstack *stack;

    config.now_ns = 1000;
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    cr_assert_eq(pal__n_stack_now(stack), 1000);
    pal__n_stack_poll(stack, 2000);
    pal__n_stack_poll(stack, 1500);
    cr_assert_eq(pal__n_stack_now(stack), 2000);
    pal__n_stack_set_time(stack, 2500);
    cr_assert_eq(pal__n_stack_now(stack), 2500);
    cr_assert_eq(pal__n_stack_next(stack), UINT64_MAX, "an idle stack waits for nothing");
    pal__n_stack_destroy(stack, false);
}

/* sock.two-stacks, tcp.rfc9293.MUST-9: the same seed is the same stack, another is another. */
Test(stack, two_of_one_seed_are_alike_and_of_two_seeds_are_not)
{
    struct netstack_config config = small_config();
    struct netstack *stacks[3];
    struct tuple tuple;

    memset(&tuple, 0, sizeof(tuple));
    for (int i = 0; i < 3; i++) {
        config.seed = i < 2 ? 7 : 8;
        cr_assert_eq(pal__n_stack_create(&config, &stacks[i]), 0);
    }
    cr_assert_eq(pal__n_isn(stacks[0], &tuple), pal__n_isn(stacks[1], &tuple));
    cr_assert_neq(pal__n_isn(stacks[0], &tuple), pal__n_isn(stacks[2], &tuple));
    cr_assert_eq(pal__n_ts_offset(stacks[0], &tuple), pal__n_ts_offset(stacks[1], &tuple));
    cr_assert_neq(pal__n_ts_offset(stacks[0], &tuple), pal__n_ts_offset(stacks[2], &tuple));
    pal__n_random(&stacks[0]->random);
    cr_assert_neq(pal__n_random(&stacks[0]->random), pal__n_random(&stacks[1]->random));
    for (int i = 0; i < 3; i++)
        pal__n_stack_destroy(stacks[i], false);
    cr_assert_eq(memory.blocks, 0);
}

Test(stack, every_counter_has_a_name)
{
    for (int i = 0; i < COUNTERS; i++) {
        cr_assert_not_null(pal__n_counter_name(i));
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(pal__n_counter_name(i), pal__n_counter_name(j));
    }
    cr_assert_null(pal__n_counter_name(COUNTERS));
    cr_assert_null(pal__n_counter_name(-1));
    cr_assert_str_eq(pal__n_counter_name(COUNTER_tcp_drop_paws), "tcp_drop_paws");
}
