/* tests/unit/test_base_heap.c: the indexed heap against a plain search for the minimum. */
#include "palio/base/heap.h"
#include "random.h"
#include "support/test.h"
#include "trap.h"

enum { MEMBERS_MAX = 200, STEPS = 20000 };

struct member {
    struct base_heap_node node;
    uint64_t key; /* what the model believes */
    bool inside;
};

static struct base_heap_entry storage[MEMBERS_MAX];

static struct member *member_of(struct base_heap_node *node)
{
    return BASE_CONTAINER_OF(node, struct member, node);
}

Test(base_heap, a_new_heap_is_empty)
{
    struct base_heap heap;

    base_heap_init(&heap, storage, MEMBERS_MAX);
    cr_assert(base_heap_is_empty(&heap));
    cr_assert_null(base_heap_first(&heap));
    cr_assert_null(base_heap_pop(&heap));
    cr_assert_eq(base_heap_first_key(&heap), UINT64_MAX);
}

Test(base_heap, pops_in_order_of_keys_up_to_the_largest)
{
    static const uint64_t keys[] = {5, UINT64_MAX, 0, 7, 5, UINT64_MAX - 1, 1, UINT64_C(1) << 63, 2};
    enum { COUNT = sizeof(keys) / sizeof(keys[0]) };
    struct member members[COUNT] = {{{0}, 0, false}};
    struct base_heap heap;
    uint64_t last = 0;

    base_heap_init(&heap, storage, COUNT);
    for (int i = 0; i < COUNT; i++) {
        members[i].key = keys[i];
        cr_assert(base_heap_push(&heap, &members[i].node, keys[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        uint64_t key = base_heap_first_key(&heap);
        struct member *member = member_of(base_heap_pop(&heap));

        cr_assert_eq(member->key, key);
        cr_assert(key >= last);
        cr_assert(!base_heap_contains(&heap, &member->node));
        last = key;
    }
    cr_assert(base_heap_is_empty(&heap));
}

Test(base_heap, a_full_heap_refuses_and_stays_as_it_was)
{
    static struct member members[3]; /* as what holds them */
    struct base_heap heap;

    base_heap_init(&heap, storage, 2);
    cr_assert(base_heap_push(&heap, &members[0].node, 2));
    cr_assert(base_heap_push(&heap, &members[1].node, 3));
    cr_assert(!base_heap_push(&heap, &members[2].node, 1));
    cr_assert(!base_heap_contains(&heap, &members[2].node));
    cr_assert_eq(base_heap_first(&heap), &members[0].node);
    base_heap_remove(&heap, &members[0].node);
    cr_assert(base_heap_push(&heap, &members[2].node, 1));
    cr_assert_eq(base_heap_first(&heap), &members[2].node);
}

Test(base_heap, grows_by_moving_its_entries)
{
    struct base_heap_entry small[1];
    static struct member members[2];
    struct base_heap heap;

    base_heap_init(&heap, small, 1);
    cr_assert(base_heap_push(&heap, &members[0].node, 9));
    cr_assert(!base_heap_push(&heap, &members[1].node, 8));
    storage[0] = small[0];
    heap.entries = storage;
    heap.capacity = 2;
    cr_assert(base_heap_push(&heap, &members[1].node, 8));
    cr_assert_eq(base_heap_key(&heap, &members[0].node), 9);
    cr_assert_eq(base_heap_pop(&heap), &members[1].node);
    cr_assert_eq(base_heap_pop(&heap), &members[0].node);
}

Test(base_heap, removing_a_node_that_is_not_inside_stops_the_program, .signal = TRAP_SIGNAL)
{
    struct member member = {{0}, 0, false};
    struct base_heap heap;

    base_heap_init(&heap, storage, 2);
    base_heap_remove(&heap, &member.node);
}

static void expect_like_model(const struct base_heap *heap, const struct member *members)
{
    uint64_t least = UINT64_MAX;
    uint32_t count = 0;

    for (int i = 0; i < MEMBERS_MAX; i++) {
        cr_assert_eq(base_heap_contains(heap, &members[i].node), members[i].inside);
        if (!members[i].inside)
            continue;
        count++;
        cr_assert_eq(base_heap_key(heap, &members[i].node), members[i].key);
        if (members[i].key < least)
            least = members[i].key;
    }
    cr_assert_eq(heap->count, count);
    cr_assert_eq(base_heap_first_key(heap), least);
}

Test(base_heap, agrees_with_a_plain_search_in_random_use)
{
    static struct member members[MEMBERS_MAX];
    struct random random = random_start("base_heap");
    struct base_heap heap;

    base_heap_init(&heap, storage, MEMBERS_MAX);
    for (int step = 0; step < STEPS; step++) {
        struct member *member = &members[random_below(&random, MEMBERS_MAX)];
        uint64_t key = random_spread(&random, step % 2 == 0 ? 64 : 5); /* also many equal ones */
        uint64_t action = random_below(&random, 4);

        if (action == 0 && !base_heap_is_empty(&heap)) {
            uint64_t least = base_heap_first_key(&heap);

            member = member_of(base_heap_pop(&heap));
            cr_assert_eq(member->key, least);
            member->inside = false;
        } else if (!member->inside) {
            cr_assert(base_heap_push(&heap, &member->node, key));
            member->inside = true;
            member->key = key;
        } else if (action == 1) {
            base_heap_remove(&heap, &member->node);
            member->inside = false;
        } else {
            base_heap_update(&heap, &member->node, key);
            member->key = key;
        }
        expect_like_model(&heap, members);
    }
}
