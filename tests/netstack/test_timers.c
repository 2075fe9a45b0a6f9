/* tests/netstack/test_timers.c: the stack's timers against a plain list of them: never early, in order, exactly known.
 *
 * There is no stack but its wheel; the handlers are the test's. Links timer.c alone. */
#include "../../backends/netstack/stack.h"
#include "support/test.h"

enum { MANY = 100000, MODEL_STEPS = 100000, MODEL_TIMERS = 500 };

#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)

struct entry {
    struct timer timer;
    uint64_t due_ns;   /* what the model believes; UINT64_MAX: not armed */
    uint64_t armed_ns; /* the time at which it was armed */
    uint64_t sequence; /* of arming */
};

static struct netstack *stack;
static struct random dice;
static uint64_t sequence;
static struct entry *fired[MANY];
static size_t fired_count;
static void (*reaction)(struct entry *entry);

static struct entry *entry_of(struct timer *timer)
{
    return BASE_CONTAINER_OF(timer, struct entry, timer);
}

static void on_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    struct entry *entry = entry_of(timer);

    cr_assert_eq(its_stack, stack);
    cr_assert_eq(due_ns, entry->due_ns, "a handler is told another time than was asked for");
    cr_assert(due_ns <= stack->now_ns, "a timer fired early");
    cr_assert(!timer_is_armed(timer));
    entry->due_ns = UINT64_MAX;
    cr_assert(fired_count < MANY);
    fired[fired_count++] = entry;
    if (reaction != NULL)
        reaction(entry);
}

/* A connection, of which only dates and timer matter; handled as tcp_timer.c does. */
static uint64_t tcp_fired_ns;

void pal__n_tcp_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    struct tcb *tcb = BASE_CONTAINER_OF(timer, struct tcb, timer);

    (void)due_ns;
    if (tcb->dates[0] > its_stack->now_ns)
        pal__n_timer_set(its_stack, timer, tcb->dates[0]);
    else
        tcp_fired_ns = tcb->dates[0];
}

uint64_t pal__n_tcb_earliest(const struct tcb *tcb)
{
    return tcb->dates[0];
}

void pal__n_embryo_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_timewait_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_neigh_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_frag_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_addr_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_group_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_query_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

void pal__n_dst_timer(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)
{
    on_timer(its_stack, timer, due_ns);
}

static void start(uint64_t now_ns)
{
    stack = calloc(1, sizeof(*stack));
    stack->now_ns = now_ns;
    base_wheel_init(&stack->wheel, now_ns / TIMER_TICK_NS);
    base_list_init(&stack->expired);
    pal__n_random_seed(&dice, 1);
    sequence = fired_count = 0;
    reaction = NULL;
    tcp_fired_ns = 0;
}

static void finish(void)
{
    cr_assert_eq(stack->timer_count, 0);
    cr_assert(base_wheel_is_empty(&stack->wheel));
    free(stack);
}

static void init(struct entry *entry)
{
    timer_init(&entry->timer, (enum timer_kind)(TIMER_EMBRYO + pal__n_random_below(&dice, TIMER_DST)));
    entry->due_ns = UINT64_MAX;
}

static void arm(struct entry *entry, uint64_t due_ns)
{
    pal__n_timer_set(stack, &entry->timer, due_ns);
    entry->due_ns = due_ns;
    entry->armed_ns = stack->now_ns;
    entry->sequence = sequence++;
}

static void stop(struct entry *entry)
{
    pal__n_timer_stop(stack, &entry->timer);
    entry->due_ns = UINT64_MAX;
}

static void advance(uint64_t now_ns)
{
    fired_count = 0;
    stack->now_ns = now_ns;
    pal__n_timers_fire(stack);
}

/* The whole tick at which it fires. */
static uint64_t tick_of(const struct entry *entry)
{
    uint64_t tick = entry->due_ns / TIMER_TICK_NS + (entry->due_ns % TIMER_TICK_NS != 0);
    uint64_t armed = entry->armed_ns / TIMER_TICK_NS;

    return tick > armed ? tick : armed;
}

/* Any magnitude up to 2^bits nanoseconds. */
static uint64_t spread(unsigned bits)
{
    unsigned size = pal__n_random_below(&dice, bits) + 1;

    return pal__n_random(&dice) >> (64 - size);
}

Test(timers, never_fires_early_and_at_most_a_tick_late)
{
    struct entry entry;

    start(12345);
    init(&entry);
    for (uint64_t due = 20000; due < 20000 + 3 * TIMER_TICK_NS; due += 250) {
        uint64_t first = (due + TIMER_TICK_NS - 1) / TIMER_TICK_NS * TIMER_TICK_NS;

        stack->now_ns = 12345;
        base_wheel_init(&stack->wheel, 12);
        arm(&entry, due);
        cr_assert_eq(pal__n_timers_next(stack), first);
        advance(first - 1);
        cr_assert_eq(fired_count, 0);
        advance(first);
        cr_assert_eq(fired_count, 1);
        cr_assert_eq(pal__n_timers_next(stack), UINT64_MAX);
    }
    finish();
}

Test(timers, what_is_armed_for_the_past_fires_at_the_next_turn)
{
    struct entry entry;

    start(5 * SECOND);
    init(&entry);
    arm(&entry, SECOND);
    cr_assert(pal__n_timers_next(stack) <= 5 * SECOND);
    advance(5 * SECOND);
    cr_assert_eq(fired_count, 1);
    finish();
}

Test(timers, never_is_not_armed)
{
    struct entry entry;

    start(0);
    init(&entry);
    pal__n_timer_stop(stack, &entry.timer);
    arm(&entry, UINT64_MAX);
    cr_assert(!timer_is_armed(&entry.timer));
    arm(&entry, SECOND);
    pal__n_timer_set(stack, &entry.timer, UINT64_MAX);
    cr_assert(!timer_is_armed(&entry.timer));
    cr_assert_eq(entry.timer.due_ns, UINT64_MAX);
    cr_assert_eq(pal__n_timers_next(stack), UINT64_MAX);
    arm(&entry, UINT64_MAX - 1); /* about as good as never: the last tick is not reached */
    cr_assert_eq(pal__n_timers_next(stack), UINT64_MAX);
    stop(&entry);
    finish();
}

static int compare(const void *left_place, const void *right_place)
{
    const struct entry *left = *(const struct entry *const *)left_place;
    const struct entry *right = *(const struct entry *const *)right_place;
    uint64_t left_tick = tick_of(left), right_tick = tick_of(right);

    if (left_tick != right_tick)
        return left_tick < right_tick ? -1 : 1;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* tcp.timer.wheel-jump */
Test(timers, a_hundred_thousand_fire_in_order_over_jumps_of_hours)
{
    static struct entry entries[MANY];
    static struct entry *order[MANY];
    size_t count = 0, at = 0;
    uint64_t now_ns = 77 * SECOND + 1;

    start(now_ns);
    for (size_t i = 0; i < MANY; i++) {
        init(&entries[i]);
        arm(&entries[i], now_ns + spread(46));
    }
    for (size_t i = 0; i < MANY; i++) {
        if (i % 5 == 0)
            stop(&entries[i]);
        else if (i % 5 == 1)
            arm(&entries[i], now_ns + spread(46));
    }
    for (size_t i = 0; i < MANY; i++) {
        if (entries[i].due_ns != UINT64_MAX)
            order[count++] = &entries[i];
    }
    cr_assert_eq(stack->timer_count, count);
    qsort(order, count, sizeof(order[0]), compare);
    while (at < count) {
        size_t expected = at;
        uint64_t tick;

        now_ns += pal__n_random_below(&dice, 3) == 0 ? 3 * HOUR : spread(40);
        tick = now_ns / TIMER_TICK_NS;
        while (expected < count && tick_of(order[expected]) <= tick)
            expected++;
        advance(now_ns);
        cr_assert_eq(fired_count, expected - at);
        for (size_t i = 0; i < fired_count; i++)
            cr_assert_eq(fired[i], order[at + i], "timer %zu fired out of order", at + i);
        at = expected;
    }
    finish();
}

static uint64_t model_next(const struct entry *entries, size_t count)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < count; i++) {
        uint64_t tick = entries[i].due_ns / TIMER_TICK_NS + (entries[i].due_ns % TIMER_TICK_NS != 0);

        if (entries[i].due_ns != UINT64_MAX && tick < least)
            least = tick;
    }
    return least > UINT64_MAX / TIMER_TICK_NS ? UINT64_MAX : least * TIMER_TICK_NS;
}

/* tcp.timer.wheel-exact, tcp.timer.next-deadline */
Test(timers, a_model_agrees_on_what_fires_and_when_the_next_is_due)
{
    static struct entry entries[MODEL_TIMERS];
    uint64_t now_ns = 0;

    start(now_ns);
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        init(&entries[i]);
    for (int step = 0; step < MODEL_STEPS; step++) {
        struct entry *entry = &entries[pal__n_random_below(&dice, MODEL_TIMERS)];
        uint32_t what = pal__n_random_below(&dice, 10);

        if (what < 6) {
            arm(entry, now_ns + spread(what < 2 ? 14 : 42));
        } else if (what < 8) {
            stop(entry);
        } else {
            uint64_t next = pal__n_timers_next(stack);

            now_ns = what == 8 || next == UINT64_MAX || next < now_ns ? now_ns + spread(34) : next;
            advance(now_ns);
            for (size_t i = 0; i < MODEL_TIMERS; i++)
                cr_assert(entries[i].due_ns == UINT64_MAX || tick_of(&entries[i]) > now_ns / TIMER_TICK_NS,
                          "a timer did not fire");
        }
        if (step % 16 == 0)
            cr_assert_eq(pal__n_timers_next(stack), model_next(entries, MODEL_TIMERS));
    }
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        stop(&entries[i]);
    finish();
}

Test(timers, the_next_is_exact_however_many_are_far_away)
{
    static struct entry entries[5000];
    uint64_t least = UINT64_MAX;

    start(0);
    for (size_t i = 0; i < 5000; i++) {
        uint64_t due = 2 * HOUR + pal__n_random_below(&dice, 1000000000);

        init(&entries[i]);
        arm(&entries[i], due);
        least = due < least ? due : least;
    }
    least = (least + TIMER_TICK_NS - 1) / TIMER_TICK_NS * TIMER_TICK_NS;
    cr_assert_eq(pal__n_timers_next(stack), least);
    cr_assert_eq(pal__n_timers_next(stack), least);
    advance(least - 1);
    cr_assert_eq(fired_count, 0);
    advance(least);
    cr_assert(fired_count > 0);
    for (size_t i = 0; i < 5000; i++)
        stop(&entries[i]);
    finish();
}

/* What ACKs do all the time: dates move on, timers stay. */
Test(timers, a_connection_whose_dates_have_moved_on_does_not_count_too_early)
{
    enum { CONNECTIONS = 300 };
    static struct tcb tcbs[CONNECTIONS];
    struct entry other;

    start(0);
    for (uint64_t i = 0; i < CONNECTIONS; i++) {
        timer_init(&tcbs[i].timer, TIMER_TCP);
        tcbs[i].dates[0] = SECOND + i;
        pal__n_timer_set(stack, &tcbs[i].timer, tcbs[i].dates[0]);
    }
    cr_assert_eq(pal__n_timers_next(stack), SECOND);
    for (uint64_t i = 0; i < CONNECTIONS; i++)
        tcbs[i].dates[0] = i % 2 == 0 ? UINT64_MAX : HOUR + i * SECOND;
    cr_assert_eq(pal__n_timers_next(stack), HOUR + SECOND);
    cr_assert_eq(stack->timer_count, CONNECTIONS / 2);
    init(&other);
    arm(&other, HOUR);
    cr_assert_eq(pal__n_timers_next(stack), HOUR);
    stop(&other);
    tcbs[1].dates[0] = HOUR + 1000 * SECOND; /* the one that was the earliest */
    cr_assert_eq(pal__n_timers_next(stack), HOUR + 3 * SECOND);
    advance(HOUR + 3 * SECOND);
    cr_assert_eq(tcp_fired_ns, HOUR + 3 * SECOND);
    for (int i = 0; i < CONNECTIONS; i++)
        pal__n_timer_stop(stack, &tcbs[i].timer);
    finish();
}

/* Nobody is left in the slot that was the first: what lies between counts before what was moved behind it. */
Test(timers, a_connection_that_moves_on_uncovers_what_is_next)
{
    static struct tcb tcb;
    struct entry other;

    start(0);
    init(&other);
    timer_init(&tcb.timer, TIMER_TCP);
    pal__n_timer_set(stack, &tcb.timer, SECOND);
    tcb.dates[0] = HOUR;
    arm(&other, 60 * SECOND);
    cr_assert_eq(pal__n_timers_next(stack), 60 * SECOND);
    stop(&other);
    cr_assert_eq(pal__n_timers_next(stack), HOUR);
    pal__n_timer_stop(stack, &tcb.timer);
    finish();
}

static struct entry family[3];

static void rearm_for_now(struct entry *entry)
{
    if (entry->sequence < 10)
        arm(entry, stack->now_ns);
}

/* tcp.timer.rearm-in-callback */
Test(timers, what_a_handler_arms_for_now_waits_for_the_next_turn)
{
    start(0);
    init(&family[0]);
    arm(&family[0], SECOND);
    reaction = rearm_for_now;
    for (int turn = 0; turn < 11; turn++) {
        advance(SECOND);
        cr_assert_eq(fired_count, 1);
    }
    advance(SECOND);
    cr_assert_eq(fired_count, 0);
    finish();
}

static void stop_the_others(struct entry *entry)
{
    stop(&family[1]);
    arm(&family[2], entry->armed_ns + 5 * SECOND);
}

Test(timers, a_handler_may_stop_and_move_others_that_are_due)
{
    start(0);
    for (int i = 0; i < 3; i++) {
        init(&family[i]);
        arm(&family[i], SECOND);
    }
    reaction = stop_the_others;
    advance(2 * SECOND);
    cr_assert_eq(fired_count, 1);
    cr_assert_eq(fired[0], &family[0]);
    reaction = NULL;
    cr_assert_eq(pal__n_timers_next(stack), 5 * SECOND);
    advance(5 * SECOND);
    cr_assert_eq(fired_count, 1);
    cr_assert_eq(fired[0], &family[2]);
    finish();
}
