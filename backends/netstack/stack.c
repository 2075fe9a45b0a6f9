/* stack.c: a stack's beginning and end, its turns, and its time.
 *
 * The order of a turn is here and nowhere else: what the program has left to send, what came in, what is due, what
 * follows from that. What any of it means is the other files' affair. */
#include "stack.h"
#include "stack_config.h"

enum {
    LOOPBACK_ROUNDS = 4, /* bursts of packets to ourselves in one turn: a conversation with itself must not hold it */
    TX_RETRY_NS = 50 * 1000 /* when to offer again what a nic did not take: it tells nobody when it has room */
};

static bool create_pools(struct netstack *stack)
{
    const struct netstack_config *config = &stack->config;
    const struct pal_allocator *allocator = config->allocator;

    return pal__n_pool_create(&stack->tcb_pool, allocator, config->tcp_max, sizeof(struct tcb)) &&
           pal__n_pool_track(&stack->tcb_pool, allocator) &&
           pal__n_pool_create(&stack->udp_pool, allocator, config->udp_max, sizeof(struct udp)) &&
           pal__n_pool_track(&stack->udp_pool, allocator) &&
           pal__n_pool_create(&stack->listener_pool, allocator, config->listeners_max, sizeof(struct tcp_listener)) &&
           pal__n_pool_create(&stack->embryo_pool, allocator, config->embryos_max, sizeof(struct embryo)) &&
           pal__n_pool_create(&stack->timewait_pool, allocator, config->timewaits_max, sizeof(struct timewait)) &&
           pal__n_pool_create(&stack->seg_pool, allocator, config->segments_max, sizeof(struct seg)) &&
           pal__n_pool_create(&stack->chunk_pool, allocator, config->chunks_max, sizeof(struct chunk));
}

static void destroy_pools(struct netstack *stack)
{
    struct pool *pools[] = {&stack->tcb_pool,      &stack->udp_pool, &stack->listener_pool, &stack->embryo_pool,
                            &stack->timewait_pool, &stack->seg_pool, &stack->chunk_pool};

    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        pal__n_pool_destroy(pools[i], stack->config.allocator);
}

static bool create_ports(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;

    stack->ports = allocator->alloc(allocator->context, sizeof(*stack->ports), sizeof(void *));
    if (stack->ports == NULL)
        return false;
    pal__n_ports_init(stack->ports);
    return true;
}

static void destroy_ports(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;

    if (stack->ports != NULL)
        allocator->free(allocator->context, stack->ports, sizeof(*stack->ports));
    stack->ports = NULL;
}

static void create_random(struct netstack *stack)
{
    struct random *random = &stack->random;

    pal__n_random_seed(random, stack->config.seed);
    stack->isn_key = pal__n_random_key(random);
    stack->ts_key = pal__n_random_key(random);
    stack->cookie_key = pal__n_random_key(random);
    stack->port_key = pal__n_random_key(random);
    stack->hash_key = pal__n_random_key(random);
    for (size_t i = 0; i < sizeof(stack->port_counters) / sizeof(stack->port_counters[0]); i++)
        stack->port_counters[i] = (uint32_t)pal__n_random(random);
    stack->ip4_id = (uint32_t)pal__n_random(random);
}

static struct netstack *allocate(const struct netstack_config *config)
{
    struct netstack *stack = config->allocator->alloc(config->allocator->context, sizeof(*stack), 64);

    if (stack == NULL)
        return NULL;
    memset(stack, 0, sizeof(*stack));
    stack->config = *config;
    stack->allocator = *config->allocator;
    stack->config.allocator = &stack->allocator;
    stack->now_ns = config->now_ns;
    base_wheel_init(&stack->wheel, config->now_ns / TIMER_TICK_NS);
    base_list_init(&stack->expired);
    base_list_init(&stack->dirty);
    base_list_init(&stack->short_of_frames);
    waiter_init(&stack->waiter, NULL);
    base_list_init(&stack->timewaits);
    return stack;
}

/* Everything but sockets. In this order: what waits for a neighbour and paths lead to interfaces, whose frames and
 * groups go back to where they are from. */
static void give_back(struct netstack *stack)
{
    struct pal_allocator allocator = stack->allocator;

    pal__n_frag_destroy(stack);
    pal__n_dst_destroy(stack);
    pal__n_neigh_destroy(stack);
    pal__n_loopback_destroy(stack); /* and all interfaces */
    pal__n_mcast_destroy(stack);
    pal__n_route_destroy(stack);
    destroy_ports(stack);
    pal__n_demux_destroy(&stack->demux, &allocator);
    destroy_pools(stack);
    allocator.free(allocator.context, stack, sizeof(*stack));
}

/* How many things can have a tuple. */
static uint32_t tuples_max(const struct netstack_config *config)
{
    return config->tcp_max + config->embryos_max + config->timewaits_max + config->udp_max;
}

int pal__n_stack_create(const struct netstack_config *config, struct netstack **out)
{
    struct netstack_config complete = *config;
    struct netstack *stack;

    *out = NULL;
    if (pal__n_config_complete(&complete) != NULL)
        return PAL_EINVAL;
    stack = allocate(&complete);
    if (stack == NULL)
        return PAL_ENOMEM;
    create_random(stack);
    if (!create_pools(stack) ||
        !pal__n_demux_create(&stack->demux, &stack->allocator, tuples_max(&complete), stack->hash_key) ||
        !create_ports(stack) || !pal__n_route_create(stack) || !pal__n_mcast_create(stack) ||
        !pal__n_neigh_create(stack) || !pal__n_dst_create(stack) || !pal__n_frag_create(stack) ||
        pal__n_loopback_create(stack) != 0) {
        give_back(stack);
        return PAL_ENOMEM;
    }
    *out = stack;
    return 0;
}

static void flush_ifaces(struct netstack *stack)
{
    for (uint32_t i = 0; i < stack->iface_count; i++)
        pal__n_iface_flush(stack->ifaces[i]);
}

void pal__n_stack_destroy(struct netstack *stack, bool notify)
{
    if (stack == NULL)
        return;
    pal__n_tcp_destroy_all(stack, notify);
    pal__n_udp_destroy_all(stack);
    while (!base_list_is_empty(&stack->timewaits)) {
        struct base_link *link = base_list_first(&stack->timewaits);

        pal__n_timewait_free(stack, BASE_CONTAINER_OF(link, struct timewait, link));
    }
    if (notify)
        flush_ifaces(stack);
    give_back(stack);
}

/* Up to a burst from one nic. True: there may be more. */
static bool receive(struct iface *iface)
{
    struct frame *frames[IFACE_BURST];
    int received = iface->nic->ops->rx(iface->nic, frames, IFACE_BURST);

    for (int i = 0; i < received; i++) {
        if (i + 1 < received)
            __builtin_prefetch(frames[i + 1]->data);
        pal__n_ether_in(iface, frames[i]);
    }
    return received == IFACE_BURST;
}

/* What connections to ourselves have to say to each other, without waiting for the next turn. */
static void converse(struct netstack *stack)
{
    for (int round = 0; round < LOOPBACK_ROUNDS && pal__n_loopback_has_frames(stack); round++) {
        receive(stack->ifaces[0]);
        pal__n_tcp_flush(stack, true);
        flush_ifaces(stack);
    }
}

static bool has_pending(const struct netstack *stack)
{
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        if (stack->ifaces[i]->pending_count > 0)
            return true;
    }
    return false;
}

bool pal__n_stack_poll(struct netstack *stack, uint64_t now_ns)
{
    bool more = false;

    pal__n_stack_set_time(stack, now_ns);
    stack->in_poll = true;
    pal__n_tcp_flush(stack, false);
    for (uint32_t i = 0; i < stack->iface_count; i++)
        more |= receive(stack->ifaces[i]);
    pal__n_timers_fire(stack);
    pal__n_tcp_flush(stack, true);
    flush_ifaces(stack);
    converse(stack);
    stack->in_poll = false;
    return more || has_pending(stack) || pal__n_loopback_has_frames(stack) ||
           base_wheel_next(&stack->wheel) <= stack->now_ns / TIMER_TICK_NS;
}

void pal__n_stack_flush(struct netstack *stack, uint64_t now_ns)
{
    pal__n_stack_set_time(stack, now_ns);
    pal__n_tcp_flush(stack, false);
    flush_ifaces(stack);
}

/* What could not be sent for want of room stays dirty: it is not done by asking again at once. The last one tells: what
 * became dirty since the last flush stands behind. */
static bool has_something_to_send(const struct netstack *stack)
{
    const struct base_link *last = base_list_last(&stack->dirty);

    return last != NULL && !(BASE_CONTAINER_OF(last, const struct tcb, dirty_link)->flags & TCP_F_BLOCKED);
}

uint64_t pal__n_stack_next(struct netstack *stack)
{
    uint64_t next_ns;

    if (has_something_to_send(stack) || pal__n_loopback_has_frames(stack))
        return 0;
    next_ns = pal__n_timers_next(stack);
    if (next_ns <= stack->now_ns)
        return 0;
    if ((!base_list_is_empty(&stack->dirty) || has_pending(stack)) && next_ns - stack->now_ns > TX_RETRY_NS)
        next_ns = stack->now_ns + TX_RETRY_NS;
    return next_ns;
}

uint64_t pal__n_stack_now(const struct netstack *stack)
{
    return stack->now_ns;
}

void pal__n_stack_set_time(struct netstack *stack, uint64_t now_ns)
{
    if (now_ns > stack->now_ns)
        stack->now_ns = now_ns;
}

void pal__n_stack_share(struct netstack *stack, const struct netstack_sharing *sharing)
{
    BASE_ASSERT(sharing->number < sharing->stacks && sharing->stacks < PORT_EPHEMERALS);
    stack->sharing = *sharing;
    stack->ports->sharing = &stack->sharing;
}

const uint64_t *pal__n_stack_counters(const struct netstack *stack)
{
    return stack->counters;
}

void pal__n_stack_usage(const struct netstack *stack, struct netstack_usage *out)
{
    out->tcp = stack->tcb_pool.used;
    out->listeners = stack->listener_pool.used;
    out->embryos = stack->embryo_pool.used;
    out->timewaits = stack->timewait_pool.used;
    out->udp = stack->udp_pool.used;
    out->segments = stack->seg_pool.used;
    out->chunks = stack->chunk_pool.used;
    out->neighbours = pal__n_neigh_held(stack);
    out->paths = pal__n_dst_held(stack);
    out->frag_sets = pal__n_frag_sets_used(stack);
    out->frag_frames = pal__n_frag_frames_used(stack);
    out->big_frames = pal__n_loopback_used(stack);
    out->groups = stack->membership_pool.used;
    out->timers = stack->timer_count;
}
