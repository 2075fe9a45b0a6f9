/* tests/netstack/test_pool.c: pools of objects of one size. */
#include "../../backends/netstack/pool.h"
#include "counting_allocator.h"
#include "support/test.h"

enum { ITEMS = 200 };

static struct counting memory;
static struct pool pool;

static void start(uint32_t count, size_t size)
{
    counting_init(&memory);
    cr_assert(pal__n_pool_create(&pool, &memory.allocator, count, size));
}

static void finish(void)
{
    pal__n_pool_destroy(&pool, &memory.allocator);
    cr_assert_eq(memory.blocks, 0);
    cr_assert_eq(memory.bytes, 0);
}

Test(pool, gives_each_object_once_and_then_none)
{
    uint8_t *items[ITEMS];

    start(ITEMS, 24);
    for (uint32_t i = 0; i < ITEMS; i++) {
        items[i] = pool_take(&pool);
        cr_assert_not_null(items[i]);
        memset(items[i], (int)i, 24);
        cr_assert_eq(pool_index(&pool, items[i]), i);
        cr_assert_eq(pool_at(&pool, i), (void *)items[i]);
    }
    cr_assert_null(pool_take(&pool));
    cr_assert_eq(pool_room(&pool), 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        cr_assert(items[i][0] == (uint8_t)i && items[i][23] == (uint8_t)i, "object %u was written to by another", i);
    for (uint32_t i = 0; i < ITEMS; i++)
        pool_give(&pool, items[i]);
    cr_assert_eq(pool.used, 0);
    cr_assert_eq(pool.used_max, ITEMS);
    finish();
}

Test(pool, the_one_given_back_last_is_taken_next)
{
    void *first, *second;

    start(4, 64);
    first = pool_take(&pool);
    second = pool_take(&pool);
    cr_assert_eq((uintptr_t)first % 64, 0);
    cr_assert_eq((uintptr_t)second % 64, 0);
    pool_give(&pool, second);
    pool_give(&pool, first);
    cr_assert_eq(pool_take(&pool), first);
    cr_assert_eq(pool_take(&pool), second);
    cr_assert_eq(pool.touched, 2);
    finish();
}

Test(pool, sizes_are_rounded_up_so_that_objects_are_aligned)
{
    start(3, 9);
    cr_assert_eq(pool.item_size, 16);
    for (int i = 0; i < 3; i++)
        cr_assert_eq((uintptr_t)pool_take(&pool) % 8, 0);
    finish();
}

Test(pool, may_be_empty)
{
    start(0, 8);
    cr_assert_eq(memory.blocks, 0);
    cr_assert(pal__n_pool_track(&pool, &memory.allocator));
    cr_assert_null(pool_take(&pool));
    finish();
    finish(); /* ending it twice does nothing */
}

static void *refuse(void *context, size_t size, size_t alignment)
{
    (void)context;
    (void)size;
    (void)alignment;
    return NULL;
}

/* The second one is more than the size of an object in memory can say, where that has 32 bits. */
Test(pool, without_memory_there_is_none_and_it_can_be_ended)
{
    struct pal_allocator none = {refuse, NULL, NULL};

    cr_assert(!pal__n_pool_create(&pool, &none, 10, 8));
    cr_assert_null(pool_take(&pool));
    pal__n_pool_destroy(&pool, &none);
    cr_assert(!pal__n_pool_create(&pool, &none, UINT32_C(1) << 28, 64));
    pal__n_pool_destroy(&pool, &none);
}

Test(pool, a_tracked_one_names_what_is_taken)
{
    void *items[ITEMS];
    uint32_t next = 0, found = 0;

    start(ITEMS, 8);
    cr_assert(pal__n_pool_track(&pool, &memory.allocator));
    cr_assert_null(pal__n_pool_next(&pool, &next));
    for (int i = 0; i < ITEMS - 10; i++)
        items[i] = pool_take(&pool);
    for (int i = 0; i < ITEMS - 10; i++) {
        if (i % 3 != 0 || (i > 60 && i < 140))
            pool_give(&pool, items[i]);
    }
    for (const void *item, *last = NULL; (item = pal__n_pool_next(&pool, &next)) != NULL; last = item) {
        uint32_t index = pool_index(&pool, item);

        cr_assert(last == NULL || (uintptr_t)item > (uintptr_t)last);
        cr_assert(index % 3 == 0 && (index <= 60 || index >= 140));
        found++;
    }
    cr_assert_eq(found, pool.used);
    finish();
}

Test(pool, what_a_walk_finds_may_be_given_back)
{
    void *item;

    start(ITEMS, 8);
    cr_assert(pal__n_pool_track(&pool, &memory.allocator));
    for (int i = 0; i < ITEMS; i++)
        pool_take(&pool);
    for (uint32_t next = 0; (item = pal__n_pool_next(&pool, &next)) != NULL;)
        pool_give(&pool, item);
    cr_assert_eq(pool.used, 0);
    finish();
}
