/* timer.c: arms, stops and fires the stack's timers, and knows when the next one is due.
 *
 * The wheel counts ticks; a timer is armed at the first whole tick at which it may fire. Which timer is the earliest is
 * remembered, since a caller that is about to sleep asks for it each time. */
#include "stack.h"

static uint64_t tick_of(uint64_t due_ns)
{
    return due_ns / TIMER_TICK_NS + (due_ns % TIMER_TICK_NS != 0);
}

static struct timer *timer_of(struct base_timer *node)
{
    return BASE_CONTAINER_OF(node, struct timer, node);
}

void pal__n_timer_set(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    pal__n_timer_stop(stack, timer);
    if (due_ns == UINT64_MAX)
        return;
    timer->due_ns = due_ns;
    base_wheel_insert(&stack->wheel, &timer->node, tick_of(due_ns));
    stack->timer_count++;
    if (stack->first_timer != NULL && timer->node.deadline < stack->first_timer->node.deadline)
        stack->first_timer = timer;
}

/* No longer armed: off the wheel. */
static void forget(struct netstack *stack, struct timer *timer)
{
    timer->due_ns = UINT64_MAX;
    stack->timer_count--;
    if (timer == stack->first_timer)
        stack->first_timer = NULL;
}

void pal__n_timer_stop(struct netstack *stack, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    base_wheel_cancel(&stack->wheel, &timer->node);
    forget(stack, timer);
}

void pal__n_timers_fire(struct netstack *stack)
{
    static void (*const handlers[])(struct netstack * stack, struct timer * timer, uint64_t due_ns) = {
        [TIMER_TCP] = pal__n_tcp_timer,           [TIMER_EMBRYO] = pal__n_embryo_timer,
        [TIMER_TIMEWAIT] = pal__n_timewait_timer, [TIMER_NEIGH] = pal__n_neigh_timer,
        [TIMER_FRAG] = pal__n_frag_timer,         [TIMER_ADDR] = pal__n_addr_timer,
        [TIMER_GROUP] = pal__n_group_timer,       [TIMER_QUERY] = pal__n_query_timer,
        [TIMER_DST] = pal__n_dst_timer,
    };
    struct base_timer *node;

    base_wheel_advance(&stack->wheel, stack->now_ns / TIMER_TICK_NS, &stack->expired);
    while ((node = base_timer_pop(&stack->expired)) != NULL) {
        struct timer *timer = timer_of(node);
        uint64_t due_ns = timer->due_ns;

        BASE_ASSERT(timer->kind < sizeof(handlers) / sizeof(handlers[0]));
        forget(stack, timer);
        handlers[timer->kind](stack, timer, due_ns);
    }
}

/* Of a connection: to where its earliest date is. */
static void set_right(struct netstack *stack, struct timer *timer)
{
    uint64_t due_ns;

    if (timer->kind != TIMER_TCP)
        return;
    due_ns = pal__n_tcb_earliest(BASE_CONTAINER_OF(timer, struct tcb, timer));
    if (due_ns > timer->due_ns)
        pal__n_timer_set(stack, timer, due_ns);
}

/* Walks the slot that is due first, setting right what stands there too early. That only moves timers to later places:
 * as long as one is left in the slot, the earliest of those seen is the earliest of all. */
static struct timer *find_first(struct netstack *stack)
{
    struct base_list *slot;

    while ((slot = base_wheel_first(&stack->wheel)) != NULL) {
        struct timer *first = NULL;

        BASE_LIST_EACH_REMOVABLE(link, following, slot)
        {
            struct timer *timer = timer_of(base_timer_of(link));

            set_right(stack, timer);
            if (timer_is_armed(timer) && (first == NULL || timer->node.deadline < first->node.deadline))
                first = timer;
        }
        if (!base_list_is_empty(slot))
            return first;
    }
    return NULL;
}

uint64_t pal__n_timers_next(struct netstack *stack)
{
    if (stack->first_timer != NULL)
        set_right(stack, stack->first_timer); /* moved or stopped, it is no longer the one that is remembered */
    if (stack->first_timer == NULL)
        stack->first_timer = find_first(stack);
    if (stack->first_timer == NULL || stack->first_timer->node.deadline > UINT64_MAX / TIMER_TICK_NS)
        return UINT64_MAX;
    return stack->first_timer->node.deadline * TIMER_TICK_NS;
}
