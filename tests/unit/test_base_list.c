/* tests/unit/test_base_list.c: the intrusive list and queue keep order, and know what is in them. */
#include "palio/base/fifo.h"
#include "palio/base/list.h"
#include "support/test.h"
#include "trap.h"

struct item {
    int before; /* so that the link is not at offset 0 */
    struct base_link link;
    struct base_fifo_link fifo_link;
};

/* Compares the list, forwards and backwards, with item numbers that end with -1. */
static void expect_list(const struct base_list *list, const struct item *items, const int *expected)
{
    const struct base_link *link = list->head.next;
    int count = 0;

    while (expected[count] >= 0) {
        cr_assert_eq(link, &items[expected[count]].link, "item %d is not in place", expected[count]);
        link = link->next;
        count++;
    }
    cr_assert_eq(link, &list->head);
    for (link = list->head.prev; link != &list->head; link = link->prev)
        cr_assert_eq(link, &items[expected[--count]].link);
    cr_assert_eq(count, 0);
}

static void expect_fifo(struct base_fifo *fifo, struct item *items, const int *expected)
{
    for (; *expected >= 0; expected++)
        cr_assert_eq(base_fifo_pop(fifo), &items[*expected].fifo_link);
    cr_assert_null(base_fifo_pop(fifo));
    cr_assert(base_fifo_is_empty(fifo));
}

Test(base_list, a_new_list_is_empty)
{
    struct base_list list;

    base_list_init(&list);
    cr_assert(base_list_is_empty(&list));
    cr_assert_null(base_list_first(&list));
    cr_assert_null(base_list_last(&list));
    cr_assert_null(base_list_pop_front(&list));
}

Test(base_list, keeps_the_order_of_both_ends)
{
    struct item items[4] = {{0}};
    struct base_list list;

    base_list_init(&list);
    base_list_push_back(&list, &items[1].link);
    base_list_push_back(&list, &items[2].link);
    base_list_push_front(&list, &items[0].link);
    base_list_insert_before(&items[2].link, &items[3].link);
    expect_list(&list, items, (const int[]){0, 1, 3, 2, -1});
    cr_assert_eq(base_list_first(&list), &items[0].link);
    cr_assert_eq(base_list_last(&list), &items[2].link);
}

Test(base_list, removes_from_anywhere_and_knows_what_is_linked)
{
    struct item items[3] = {{0}};
    struct base_list list;

    base_list_init(&list);
    cr_assert(!base_link_is_linked(&items[0].link));
    for (int i = 0; i < 3; i++)
        base_list_push_back(&list, &items[i].link);
    base_list_remove(&items[1].link);
    cr_assert(!base_link_is_linked(&items[1].link));
    expect_list(&list, items, (const int[]){0, 2, -1});
    base_list_push_front(&list, &items[1].link);
    expect_list(&list, items, (const int[]){1, 0, 2, -1});
    cr_assert_eq(base_list_pop_front(&list), &items[1].link);
    base_list_remove(&items[2].link);
    base_list_remove(&items[0].link);
    cr_assert(base_list_is_empty(&list));
}

Test(base_list, append_moves_all_and_empties_the_source)
{
    struct item items[4] = {{0}};
    struct base_list list, other;

    base_list_init(&list);
    base_list_init(&other);
    base_list_append(&list, &other);
    cr_assert(base_list_is_empty(&list));
    base_list_push_back(&other, &items[0].link);
    base_list_push_back(&other, &items[1].link);
    base_list_append(&list, &other);
    expect_list(&list, items, (const int[]){0, 1, -1});
    cr_assert(base_list_is_empty(&other));
    base_list_push_back(&other, &items[2].link);
    base_list_append(&list, &other);
    base_list_append(&list, &other);
    expect_list(&list, items, (const int[]){0, 1, 2, -1});
}

Test(base_list, iteration_visits_all_and_may_remove_the_visited)
{
    struct item items[4] = {{0}};
    struct base_list list;
    int visited = 0;

    base_list_init(&list);
    for (int i = 0; i < 4; i++)
        base_list_push_back(&list, &items[i].link);
    BASE_LIST_EACH(link, &list)
    {
        cr_assert_eq(BASE_CONTAINER_OF(link, struct item, link), &items[visited]);
        visited++;
    }
    cr_assert_eq(visited, 4);
    BASE_LIST_EACH_REMOVABLE(link, following, &list)
    {
        if (link != &items[2].link)
            base_list_remove(link);
    }
    expect_list(&list, items, (const int[]){2, -1});
}

Test(base_list, linking_twice_stops_the_program, .signal = TRAP_SIGNAL)
{
    struct item item = {0};
    struct base_list list;

    base_list_init(&list);
    base_list_push_back(&list, &item.link);
    base_list_push_back(&list, &item.link);
}

Test(base_fifo, zero_is_empty_and_order_is_kept)
{
    struct item items[3] = {{0}};
    struct base_fifo fifo = {0};

    cr_assert(base_fifo_is_empty(&fifo));
    cr_assert_null(base_fifo_first(&fifo));
    base_fifo_push(&fifo, &items[0].fifo_link);
    base_fifo_push(&fifo, &items[1].fifo_link);
    cr_assert_eq(base_fifo_pop(&fifo), &items[0].fifo_link);
    base_fifo_push(&fifo, &items[2].fifo_link);
    base_fifo_push_front(&fifo, &items[0].fifo_link);
    cr_assert_eq(base_fifo_first(&fifo), &items[0].fifo_link);
    expect_fifo(&fifo, items, (const int[]){0, 1, 2, -1});
}

Test(base_fifo, works_again_after_running_empty)
{
    struct item items[3] = {{0}};
    struct base_fifo fifo = {0};

    for (int round = 0; round < 3; round++) {
        base_fifo_push(&fifo, &items[0].fifo_link);
        base_fifo_push(&fifo, &items[1].fifo_link);
        expect_fifo(&fifo, items, (const int[]){0, 1, -1});
        base_fifo_push_front(&fifo, &items[2].fifo_link);
        base_fifo_push(&fifo, &items[0].fifo_link);
        expect_fifo(&fifo, items, (const int[]){2, 0, -1});
    }
}

Test(base_fifo, append_moves_all_and_empties_the_source)
{
    struct item items[4] = {{0}};
    struct base_fifo fifo = {0}, other = {0};

    base_fifo_append(&fifo, &other);
    base_fifo_push(&other, &items[0].fifo_link);
    base_fifo_append(&fifo, &other);
    base_fifo_push(&other, &items[1].fifo_link);
    base_fifo_push(&other, &items[2].fifo_link);
    base_fifo_append(&fifo, &other);
    cr_assert(base_fifo_is_empty(&other));
    base_fifo_push(&fifo, &items[3].fifo_link);
    expect_fifo(&fifo, items, (const int[]){0, 1, 2, 3, -1});
}
