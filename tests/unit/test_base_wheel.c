/* tests/unit/test_base_wheel.c: the timer wheel against a plain array of timers.
 *
 * The model fires, at every advance, all armed timers with deadline <= now, ordered by the deadline (raised to the time
 * of insertion) and then by the order of insertion. The wheel has to fire exactly these in exactly this order. */
#include "palio/base/wheel.h"
#include "random.h"
#include "support/test.h"
#include "trap.h"

enum { MODEL_TIMERS = 60, MODEL_STEPS = 30000, MANY_TIMERS = 100000 };

struct entry {
    struct base_timer timer;
    uint64_t due; /* deadline, or the time at insertion if that was later */
    uint64_t sequence;
    bool armed;
};

static struct base_wheel wheel;
static struct base_list expired;
static uint64_t model_time; /* the latest that the wheel was told */

static struct entry *entry_of(struct base_timer *timer)
{
    return BASE_CONTAINER_OF(timer, struct entry, timer);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = *(const struct entry *const *)a;
    const struct entry *right = *(const struct entry *const *)b;

    if (left->due != right->due)
        return left->due < right->due ? -1 : 1;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

static void start(uint64_t now)
{
    base_wheel_init(&wheel, now);
    base_list_init(&expired);
    model_time = now;
}

static void arm(struct entry *entry, uint64_t deadline)
{
    static uint64_t sequence;

    base_wheel_insert(&wheel, &entry->timer, deadline);
    entry->due = deadline > model_time ? deadline : model_time;
    entry->sequence = sequence++;
    entry->armed = true;
}

/* Advances, and expects just the `count` timers from first on, in this order. */
static void expect_fired(uint64_t now, struct entry *const *first, size_t count)
{
    base_wheel_advance(&wheel, now, &expired);
    if (now > model_time)
        model_time = now;
    for (size_t i = 0; i < count; i++) {
        struct base_timer *timer = base_timer_pop(&expired);

        cr_assert_not_null(timer, "only %zu of %zu timers fired", i, count);
        cr_assert_eq(entry_of(timer), first[i], "timer %zu fired out of order", i);
        cr_assert(!base_timer_is_armed(timer));
        entry_of(timer)->armed = false;
    }
    cr_assert(base_list_is_empty(&expired), "more than %zu timers fired", count);
}

Test(base_wheel, an_empty_wheel_never_fires)
{
    start(17);
    cr_assert(base_wheel_is_empty(&wheel));
    cr_assert_eq(base_wheel_next(&wheel), UINT64_MAX);
    expect_fired(UINT64_MAX, NULL, 0);
}

Test(base_wheel, fires_at_the_deadline_and_not_one_unit_before_it)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t offset = 0; offset < 3; offset++) {
            struct entry entry = {0};
            uint64_t deadline = (UINT64_C(1) << bit) + offset;

            start(0);
            arm(&entry, deadline);
            cr_assert_eq(base_wheel_next(&wheel), deadline);
            expect_fired(deadline - 1, NULL, 0);
            cr_assert_eq(base_wheel_next(&wheel), deadline);
            expect_fired(deadline, (struct entry *[]){&entry}, 1);
            cr_assert(base_wheel_is_empty(&wheel));
        }
    }
}

Test(base_wheel, a_past_deadline_fires_at_the_next_advance)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};

    start(1000);
    arm(&entries[0], 1000);
    arm(&entries[1], 3);
    arm(&entries[2], 1001);
    cr_assert(base_wheel_next(&wheel) <= 1000);
    expect_fired(1000, (struct entry *[]){&entries[0], &entries[1]}, 2);
    expect_fired(2000, (struct entry *[]){&entries[2]}, 1);
}

Test(base_wheel, past_deadlines_all_count_as_the_time_of_their_insertion)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};

    start(0);
    expect_fired(1000, NULL, 0);
    arm(&entries[0], 900);
    arm(&entries[1], 500);
    arm(&entries[2], 1000);
    expect_fired(1000, (struct entry *[]){&entries[0], &entries[1], &entries[2]}, 3);
}

Test(base_wheel, time_that_goes_backwards_changes_nothing)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};

    start(1000);
    arm(&entries[0], 1500);
    expect_fired(10, NULL, 0);
    arm(&entries[1], 900);
    arm(&entries[2], 500);
    expect_fired(10, (struct entry *[]){&entries[1], &entries[2]}, 2);
    expect_fired(1499, NULL, 0);
    expect_fired(1500, (struct entry *[]){&entries[0]}, 1);
}

Test(base_wheel, equal_deadlines_fire_in_the_order_of_insertion_whatever_was_between)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};
    const uint64_t deadline = 5000000;

    start(0);
    arm(&entries[2], deadline); /* from three distances: three levels, were they not moved */
    expect_fired(deadline - 70000, NULL, 0);
    arm(&entries[1], deadline);
    expect_fired(deadline - 300, NULL, 0);
    arm(&entries[0], deadline);
    expect_fired(deadline, (struct entry *[]){&entries[2], &entries[1], &entries[0]}, 3);
}

Test(base_wheel, one_jump_fires_all_in_the_order_of_their_deadlines)
{
    struct entry entries[4] = {{{{0}, 0}, 0, 0, false}};

    start(0);
    arm(&entries[3], UINT64_MAX);
    arm(&entries[2], UINT64_C(1) << 40);
    arm(&entries[0], 3);
    arm(&entries[1], 70000);
    expect_fired(UINT64_MAX, (struct entry *[]){&entries[0], &entries[1], &entries[2], &entries[3]}, 4);
}

Test(base_wheel, works_up_to_the_last_instant)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};

    start(UINT64_MAX - 300);
    arm(&entries[1], UINT64_MAX);
    arm(&entries[0], UINT64_MAX - 1);
    expect_fired(UINT64_MAX - 2, NULL, 0);
    expect_fired(UINT64_MAX - 1, (struct entry *[]){&entries[0]}, 1);
    expect_fired(UINT64_MAX, (struct entry *[]){&entries[1]}, 1);
    arm(&entries[2], UINT64_MAX);
    expect_fired(UINT64_MAX, (struct entry *[]){&entries[2]}, 1);
}

Test(base_wheel, a_timer_armed_while_firing_waits_for_the_next_advance)
{
    struct entry entries[2] = {{{{0}, 0}, 0, 0, false}};

    start(100);
    arm(&entries[0], 110);
    base_wheel_advance(&wheel, 120, &expired);
    cr_assert_eq(base_timer_pop(&expired), &entries[0].timer);
    arm(&entries[0], 0);
    arm(&entries[1], 120);
    cr_assert_null(base_timer_pop(&expired));
    expect_fired(120, (struct entry *[]){&entries[0], &entries[1]}, 2);
}

Test(base_wheel, an_expired_timer_can_still_be_cancelled)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};

    start(0);
    for (int i = 0; i < 3; i++)
        arm(&entries[i], 10);
    base_wheel_advance(&wheel, 10, &expired);
    cr_assert_eq(base_timer_pop(&expired), &entries[0].timer);
    base_wheel_cancel(&wheel, &entries[1].timer);
    base_wheel_cancel(&wheel, &entries[2].timer);
    cr_assert_null(base_timer_pop(&expired));
    cr_assert(!base_timer_is_armed(&entries[2].timer));
}

Test(base_wheel, cancel_leaves_no_trace)
{
    struct entry entries[2] = {{{{0}, 0}, 0, 0, false}};

    start(0);
    for (unsigned bit = 0; bit < 64; bit++) {
        arm(&entries[0], UINT64_C(1) << bit);
        arm(&entries[1], UINT64_C(1) << bit);
        base_wheel_cancel(&wheel, &entries[0].timer);
        cr_assert_eq(base_wheel_next(&wheel), UINT64_C(1) << bit);
        base_wheel_cancel(&wheel, &entries[1].timer);
        cr_assert_eq(base_wheel_next(&wheel), UINT64_MAX);
    }
    expect_fired(UINT64_MAX, NULL, 0);
}

Test(base_wheel, following_next_reaches_a_crowded_deadline_in_one_step_a_level)
{
    static struct entry entries[BASE_WHEEL_FEW * 4];
    const uint64_t deadline = UINT64_C(0x0123456789abcdef);
    int steps = 0;

    start(0);
    for (size_t i = 0; i < BASE_WHEEL_FEW * 4; i++)
        arm(&entries[i], deadline + i % 3);
    while (base_wheel_next(&wheel) < deadline) {
        base_wheel_advance(&wheel, base_wheel_next(&wheel), &expired);
        cr_assert(base_list_is_empty(&expired));
        steps++;
    }
    cr_assert_eq(base_wheel_next(&wheel), deadline);
    cr_assert(steps <= BASE_WHEEL_LEVELS);
}

Test(base_wheel, the_first_slot_holds_the_earliest_of_however_many)
{
    static struct entry entries[BASE_WHEEL_FEW * 4];
    const uint64_t deadline = UINT64_C(1) << 30;
    uint64_t least = UINT64_MAX;
    size_t count = 0;

    start(0);
    cr_assert_null(base_wheel_first(&wheel));
    for (size_t i = 0; i < BASE_WHEEL_FEW * 4; i++)
        arm(&entries[i], i == 0 ? deadline * 2 : deadline + (i * 7 + 5) % 61);
    BASE_LIST_EACH(link, base_wheel_first(&wheel))
    {
        least = base_timer_of(link)->deadline < least ? base_timer_of(link)->deadline : least;
        count++;
    }
    cr_assert_eq(count, BASE_WHEEL_FEW * 4 - 1);
    cr_assert_eq(least, deadline);
    cr_assert(base_wheel_next(&wheel) <= deadline);
}

Test(base_wheel, timers_of_the_first_slot_can_be_moved_while_it_is_walked)
{
    struct entry entries[3] = {{{{0}, 0}, 0, 0, false}};
    struct base_list *slot;

    start(0);
    for (int i = 0; i < 3; i++)
        arm(&entries[i], UINT64_C(70000) + (uint64_t)i);
    slot = base_wheel_first(&wheel);
    BASE_LIST_EACH_REMOVABLE(link, following, slot)
    {
        struct entry *entry = entry_of(base_timer_of(link));

        base_wheel_cancel(&wheel, &entry->timer);
        arm(entry, entry->due + 1000000);
    }
    cr_assert(base_list_is_empty(slot));
    cr_assert_neq(base_wheel_first(&wheel), slot);
    expect_fired(1069999, NULL, 0);
    expect_fired(1070002, (struct entry *[]){&entries[0], &entries[1], &entries[2]}, 3);
    cr_assert_null(base_wheel_first(&wheel));
}

Test(base_wheel, arming_twice_stops_the_program, .signal = TRAP_SIGNAL)
{
    struct entry entry = {0};

    start(0);
    arm(&entry, 5);
    arm(&entry, 6);
}

/* The model's answer: the armed entries that are due at `now`, in order. */
static size_t due_entries(struct entry *entries, uint64_t now, struct entry **due)
{
    size_t count = 0;

    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        if (entries[i].armed && entries[i].due <= now)
            due[count++] = &entries[i];
    }
    qsort(due, count, sizeof(due[0]), compare_entries);
    return count;
}

static void expect_next_is_lower_bound(const struct entry *entries)
{
    uint64_t least = UINT64_MAX;
    size_t armed = 0;

    for (size_t i = 0; i < MODEL_TIMERS; i++) {
        armed += entries[i].armed;
        if (entries[i].armed && entries[i].due < least)
            least = entries[i].due;
    }
    cr_assert_eq(base_wheel_is_empty(&wheel), armed == 0);
    cr_assert(base_wheel_next(&wheel) <= least);
    if (armed <= BASE_WHEEL_FEW && least > model_time)
        cr_assert_eq(base_wheel_next(&wheel), least);
}

static void run_model(struct random *random, uint64_t now, unsigned span_bits)
{
    static struct entry entries[MODEL_TIMERS];
    struct entry *due[MODEL_TIMERS];

    memset(entries, 0, sizeof(entries));
    start(now);
    for (int step = 0; step < MODEL_STEPS; step++) {
        struct entry *entry = &entries[random_below(random, MODEL_TIMERS)];
        uint64_t span = random_spread(random, span_bits);

        if (random_below(random, 8) == 0) {
            uint64_t target = random_below(random, 2) == 0 ? base_wheel_next(&wheel) : now + span;

            if (target == UINT64_MAX || target < now)
                target = now;
            now = target;
            expect_fired(now, due, due_entries(entries, now, due));
        } else if (entry->armed) {
            base_wheel_cancel(&wheel, &entry->timer);
            entry->armed = false;
        } else {
            uint64_t deadline = now + span < now ? UINT64_MAX : now + span;

            arm(entry, random_below(random, 16) == 0 ? now - (span < now ? span : now) : deadline);
        }
        expect_next_is_lower_bound(entries);
    }
    expect_fired(UINT64_MAX, due, due_entries(entries, UINT64_MAX, due));
}

Test(base_wheel, agrees_with_a_plain_array_in_random_use)
{
    struct random random = random_start("base_wheel");

    run_model(&random, 0, 12);                                /* dense: many equal deadlines */
    run_model(&random, random_next(&random) >> 1, 40);        /* nanoseconds of a machine's day */
    run_model(&random, 0, 64);                                /* everything */
    run_model(&random, UINT64_MAX - (UINT64_C(1) << 34), 24); /* towards the end of time */
}

Test(base_wheel, a_hundred_thousand_timers_fire_once_each_and_in_order)
{
    static struct entry entries[MANY_TIMERS];
    static struct entry *order[MANY_TIMERS];
    struct random random = random_start("base_wheel many");
    uint64_t now = random_next(&random) >> 2;
    size_t fired = 0, count = 0;

    start(now);
    for (size_t i = 0; i < MANY_TIMERS; i++)
        arm(&entries[i], now + random_below(&random, UINT64_C(60000000000)));
    for (size_t i = 0; i < MANY_TIMERS; i++) {
        if (i % 3 == 0)
            base_wheel_cancel(&wheel, &entries[i].timer);
        else
            order[count++] = &entries[i];
    }
    qsort(order, count, sizeof(order[0]), compare_entries);
    while (fired < count) {
        size_t until = fired;

        now += random_spread(&random, 34);
        while (until < count && order[until]->due <= now)
            until++;
        expect_fired(now, order + fired, until - fired);
        fired = until;
    }
    cr_assert(base_wheel_is_empty(&wheel));
}
