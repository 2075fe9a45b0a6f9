/* tests/netstack/test_demux.c: the table of connections: a hundred thousand of them, and an attacker's choice of them.
 *
 * TIME-WAIT records stand for whatever has a tuple; there is no stack but the pools and the table. */
#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"

enum { MANY = 100000 };

static struct counting memory;
static struct netstack *stack;

static void start(uint32_t count, struct siphash_key key)
{
    counting_init(&memory);
    stack = calloc(1, sizeof(*stack));
    cr_assert(pal__n_pool_create(&stack->timewait_pool, &memory.allocator, count, sizeof(struct timewait)));
    cr_assert(pal__n_pool_create(&stack->embryo_pool, &memory.allocator, count, sizeof(struct embryo)));
    cr_assert(pal__n_demux_create(&stack->demux, &memory.allocator, count, key));
}

static void finish(void)
{
    pal__n_demux_destroy(&stack->demux, &memory.allocator);
    pal__n_pool_destroy(&stack->timewait_pool, &memory.allocator);
    pal__n_pool_destroy(&stack->embryo_pool, &memory.allocator);
    cr_assert_eq(memory.bytes, 0);
    free(stack);
}

static struct siphash_key key_of(uint64_t seed)
{
    struct random random;

    pal__n_random_seed(&random, seed);
    return pal__n_random_key(&random);
}

/* The n-th peer of a server. */
static struct tuple tuple_of(uint32_t n)
{
    struct tuple tuple;

    memset(&tuple, 0, sizeof(tuple));
    tuple.protocol = PAL_IPPROTO_TCP;
    tuple.local_port = 443;
    tuple.remote_port = (uint16_t)(1024 + n % 50000);
    tuple.local = ip_of_number(0x0a000001);
    tuple.remote = ip_of_number(0x0a010000 + n / 50000);
    if (n % 2 != 0) { /* IPv6 */
        tuple.local.bytes[0] = tuple.remote.bytes[0] = 0x20;
        tuple.remote.bytes[1] = 9;
    }
    return tuple;
}

static uint32_t index_of(const struct timewait *item)
{
    return demux_index(DEMUX_TIMEWAIT, pool_index(&stack->timewait_pool, item));
}

static struct timewait *item_of(uint32_t index)
{
    return pool_at(&stack->timewait_pool, demux_pool_index(index));
}

/* DEMUX_NONE: the table is full. */
static uint32_t add(const struct tuple *tuple)
{
    struct timewait *item = pool_take(&stack->timewait_pool);

    item->tuple = *tuple;
    if (pal__n_demux_insert(stack, tuple, index_of(item)))
        return index_of(item);
    pool_give(&stack->timewait_pool, item);
    return DEMUX_NONE;
}

static void take_out(const struct tuple *tuple, uint32_t index)
{
    pal__n_demux_remove(stack, tuple, index);
    pool_give(&stack->timewait_pool, item_of(index));
}

static uint32_t find(const struct tuple *tuple)
{
    return pal__n_demux_find(stack, tuple, pal__n_demux_hash(&stack->demux, tuple));
}

Test(demux, an_empty_table_has_nothing)
{
    struct tuple tuple = tuple_of(0);

    start(10, key_of(1));
    cr_assert_eq(find(&tuple), DEMUX_NONE);
    pal__n_demux_prefetch(&stack->demux, pal__n_demux_hash(&stack->demux, &tuple));
    finish();
}

Test(demux, every_part_of_a_tuple_counts)
{
    struct tuple tuple = tuple_of(0), other;

    start(10, key_of(1));
    cr_assert_neq(add(&tuple), DEMUX_NONE);
    for (int part = 0; part < 5; part++) {
        other = tuple;
        other.local.bytes[15] ^= part == 0;
        other.remote.bytes[12] ^= part == 1;
        other.local_port ^= part == 2;
        other.remote_port = (uint16_t)(other.remote_port + (part == 3));
        other.protocol = part == 4 ? PAL_IPPROTO_UDP : other.protocol;
        cr_assert_eq(find(&other), DEMUX_NONE, "part %d", part);
    }
    cr_assert_neq(find(&tuple), DEMUX_NONE);
    finish();
}

Test(demux, a_hundred_thousand_are_found_and_gone_when_removed)
{
    static uint32_t indices[MANY];

    for (uint64_t seed = 1; seed <= 3; seed++) {
        start(MANY, key_of(seed));
        for (uint32_t i = 0; i < MANY; i++) {
            struct tuple tuple = tuple_of(i);

            indices[i] = add(&tuple);
            cr_assert_neq(indices[i], DEMUX_NONE, "no place for number %u", i);
        }
        cr_assert_eq(stack->demux.count, MANY);
        for (uint32_t i = 0; i < MANY; i++) {
            struct tuple tuple = tuple_of(i);

            cr_assert_eq(find(&tuple), indices[i]);
            if (i % 3 == 0)
                take_out(&tuple, indices[i]);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            struct tuple tuple = tuple_of(i);

            cr_assert_eq(find(&tuple), i % 3 == 0 ? DEMUX_NONE : indices[i]);
        }
        finish();
    }
}

Test(demux, is_made_as_large_as_promised_and_can_be_turned_over_for_ever)
{
    enum { COUNT = 1000, TURNS = 200000 };
    static uint32_t indices[COUNT];
    static uint32_t numbers[COUNT];

    start(COUNT, key_of(4));
    cr_assert(((size_t)stack->demux.mask + 1) * DEMUX_WAYS >= 2 * COUNT);
    for (uint32_t i = 0; i < TURNS; i++) {
        uint32_t slot = i % COUNT;
        struct tuple tuple;

        if (i >= COUNT) {
            tuple = tuple_of(numbers[slot]);
            take_out(&tuple, indices[slot]);
        }
        numbers[slot] = i;
        tuple = tuple_of(i);
        indices[slot] = add(&tuple);
        cr_assert_neq(indices[slot], DEMUX_NONE);
    }
    cr_assert_eq(stack->demux.count, COUNT);
    finish();
}

Test(demux, another_object_takes_the_place_of_one)
{
    struct tuple tuple = tuple_of(3);
    struct embryo *embryo;
    uint32_t index, before;

    start(10, key_of(1));
    before = add(&tuple);
    embryo = pool_take(&stack->embryo_pool);
    embryo->tuple = tuple;
    index = demux_index(DEMUX_EMBRYO, pool_index(&stack->embryo_pool, embryo));
    pal__n_demux_replace(stack, &tuple, before, index);
    pool_give(&stack->timewait_pool, item_of(before));
    cr_assert_eq(find(&tuple), index);
    cr_assert_eq(demux_kind_of(find(&tuple)), DEMUX_EMBRYO);
    cr_assert_eq(stack->demux.count, 1);
    pal__n_demux_remove(stack, &tuple, index);
    cr_assert_eq(find(&tuple), DEMUX_NONE);
    finish();
}

/* Tuples that lie in one of these two buckets under a key. */
static void choose(struct siphash_key key, uint32_t mask, const uint32_t buckets[2], struct tuple *out, uint32_t max)
{
    struct demux victim = {NULL, mask, 0, key};
    uint32_t chosen = 0;

    for (uint32_t n = 0; chosen < max; n++) {
        struct tuple tuple = tuple_of(0);
        uint64_t hash;

        tuple.remote = ip_of_number(n * 2654435761u);
        hash = pal__n_demux_hash(&victim, &tuple);
        if (((uint32_t)hash & mask) == buckets[0] && ((uint32_t)(hash >> 32) & mask) == buckets[1])
            out[chosen++] = tuple;
    }
}

/* Adds 16 tuples that lie in these buckets, and takes out those that came to the second one. */
static void fill_first(const uint32_t buckets[2], struct tuple kept[DEMUX_WAYS])
{
    struct tuple tuples[2 * DEMUX_WAYS];
    uint32_t kept_count = 0;

    choose(stack->demux.key, stack->demux.mask, buckets, tuples, 2 * DEMUX_WAYS);
    for (int i = 0; i < 2 * DEMUX_WAYS; i++)
        cr_assert_neq(add(&tuples[i]), DEMUX_NONE);
    for (int i = 0; i < 2 * DEMUX_WAYS; i++) {
        uint32_t index = find(&tuples[i]);
        bool is_second = false;

        for (int way = 0; way < DEMUX_WAYS; way++)
            is_second |= stack->demux.buckets[buckets[1]].indices[way] == index;
        if (is_second)
            take_out(&tuples[i], index);
        else
            kept[kept_count++] = tuples[i];
    }
    cr_assert_eq(kept_count, DEMUX_WAYS);
}

Test(demux, what_lies_in_a_full_bucket_moves_to_its_other_one)
{
    static const uint32_t left[2] = {0, 5}, right[2] = {1, 7}, both[2] = {0, 1};
    struct tuple kept[2][DEMUX_WAYS], more[2 * DEMUX_WAYS + 1];

    start(200, key_of(3));
    fill_first(left, kept[0]);
    fill_first(right, kept[1]);
    choose(stack->demux.key, stack->demux.mask, both, more, 2 * DEMUX_WAYS + 1);
    for (uint32_t i = 0; i < 2 * DEMUX_WAYS; i++) {
        cr_assert_neq(add(&more[i]), DEMUX_NONE, "number %u", i);
        for (uint32_t j = 0; j <= i; j++)
            cr_assert_neq(find(&more[j]), DEMUX_NONE);
    }
    cr_assert_eq(add(&more[2 * DEMUX_WAYS]), DEMUX_NONE, "both buckets and all that can move are used up");
    cr_assert_eq(stack->demux.count, 4 * DEMUX_WAYS);
    for (int i = 0; i < DEMUX_WAYS; i++) {
        cr_assert_neq(find(&kept[0][i]), DEMUX_NONE);
        cr_assert_neq(find(&kept[1][i]), DEMUX_NONE);
        take_out(&kept[0][i], find(&kept[0][i]));
        take_out(&kept[1][i], find(&kept[1][i]));
    }
    for (int i = 0; i < 2 * DEMUX_WAYS; i++)
        take_out(&more[i], find(&more[i]));
    cr_assert_eq(stack->demux.count, 0);
    for (uint32_t i = 0; i <= stack->demux.mask; i++) {
        for (int way = 0; way < DEMUX_WAYS; way++)
            cr_assert_eq(stack->demux.buckets[i].tags[way], 0);
    }
    finish();
}

/* tcp.sec.hash-flood: what fills a bucket of a table whose key is known spreads over one whose key is not. */
Test(demux, chosen_tuples_do_no_harm_under_another_key)
{
    enum { COUNT = 200, CHOSEN = 60 };
    static const uint32_t target[2] = {0, 1};
    static struct tuple chosen[CHOSEN];
    struct siphash_key known = {0, 0};
    uint32_t placed = 0;

    start(COUNT, known);
    choose(known, stack->demux.mask, target, chosen, CHOSEN);
    for (uint32_t i = 0; i < CHOSEN; i++)
        placed += add(&chosen[i]) != DEMUX_NONE;
    cr_assert(placed < CHOSEN, "the choice was no attack");
    finish();
    start(COUNT, key_of(9));
    for (uint32_t i = 0; i < CHOSEN; i++)
        cr_assert_neq(add(&chosen[i]), DEMUX_NONE);
    finish();
}

/* Counting up addresses and ports at once, so that every sum and exclusive or of them stays the same. */
Test(demux, a_flood_that_defeats_simple_hashes_fits)
{
    start(MANY, key_of(11));
    for (uint32_t i = 0; i < MANY; i++) {
        struct tuple tuple = tuple_of(0);

        tuple.remote_port = (uint16_t)i;
        tuple.local_port = (uint16_t)i;
        tuple.remote = ip_of_number(0x0a000000 + (i << 8 | (i >> 16)));
        tuple.local = ip_of_number(0x0a000000 - (i << 8));
        cr_assert_neq(add(&tuple), DEMUX_NONE);
    }
    finish();
}
