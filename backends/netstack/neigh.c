/* neigh.c: the table of neighbours, the machine that each of them is (RFC 4861 7.3), and the packets that wait.
 *
 * How a question is put on the wire is arp.c's and nd.c's affair. An entry has a timer only while a question is open:
 * what is reachable becomes stale when it is next used after its time, so that a quiet link leaves nothing to do.
 *
 * The table is bounded. To make room goes first what nobody holds and what has never answered or never was used, oldest
 * first, then what nobody holds and was used longest ago; so neither a scan of ours nor strangers that introduce
 * themselves push out who is talked to. Static ones and those that a path holds stay. */
#include "stack.h"
#include "wire.h"

static struct neigh *neigh_of(struct base_link *link)
{
    return BASE_CONTAINER_OF(link, struct neigh, hash_link);
}

static struct base_list *bucket_of(const struct iface *iface, const struct ip *ip)
{
    struct netstack *stack = iface->stack;
    uint64_t words[3];

    memcpy(words, ip->bytes, sizeof(ip->bytes));
    words[2] = iface->index;
    return &stack->neighs[pal__n_siphash_words(&stack->hash_key, words, 3) % NEIGH_BUCKETS];
}

static struct neigh *find_in(const struct base_list *bucket, const struct iface *iface, const struct ip *ip)
{
    BASE_LIST_EACH(link, bucket)
    {
        struct neigh *neigh = neigh_of(link);

        if (neigh->iface == iface && ip_equal(&neigh->ip, ip))
            return neigh;
    }
    return NULL;
}

/* ---- the queue: oldest first ---- */

static struct frame *pop(struct neigh *neigh)
{
    struct frame *frame = neigh->queue_first;

    if (frame == NULL)
        return NULL;
    neigh->queue_first = frame->next;
    if (neigh->queue_first == NULL)
        neigh->queue_last = NULL;
    neigh->queue_count--;
    frame->next = NULL;
    return frame;
}

static void push(struct neigh *neigh, struct frame *frame)
{
    if (neigh->queue_count == NEIGH_QUEUE_MAX)
        drop(neigh->iface->stack, pop(neigh), COUNTER_neigh_queue_full);
    frame->next = NULL;
    if (neigh->queue_last == NULL)
        neigh->queue_first = frame;
    else
        neigh->queue_last->next = frame;
    neigh->queue_last = frame;
    neigh->queue_count++;
}

static void send_now(struct neigh *neigh, struct frame *frame)
{
    pal__n_ether_out(neigh->iface, frame, neigh->mac, ip_is_v4(&neigh->ip) ? ETH_P_IP4 : ETH_P_IP6);
}

static void flush_queue(struct neigh *neigh)
{
    struct frame *frame;

    while ((frame = pop(neigh)) != NULL)
        send_now(neigh, frame);
}

/* ---- the table ---- */

/* To where it waits to be evicted, if it may be. */
static void leave_to_age(struct neigh *neigh, bool proven)
{
    struct netstack *stack = neigh->iface->stack;

    if (neigh->refs == 0 && !neigh->is_static)
        base_list_push_back(proven ? &stack->aged_neighs : &stack->unproven_neighs, &neigh->age_link);
}

static void stop_aging(struct neigh *neigh)
{
    if (base_link_is_linked(&neigh->age_link))
        base_list_remove(&neigh->age_link);
}

/* What waits for it is dropped: who sent it gets no word, for it may be that very sender who needs the room. */
static void destroy(struct neigh *neigh)
{
    struct netstack *stack = neigh->iface->stack;
    struct frame *frame;

    while ((frame = pop(neigh)) != NULL)
        drop(stack, frame, COUNTER_neigh_queue_full);
    pal__n_timer_stop(stack, &neigh->timer);
    stop_aging(neigh);
    base_list_remove(&neigh->hash_link);
    pool_give(&stack->neigh_pool, neigh);
}

static bool evict(struct netstack *stack)
{
    struct base_link *link = base_list_first(&stack->unproven_neighs);

    if (link == NULL)
        link = base_list_first(&stack->aged_neighs);
    if (link == NULL)
        return false;
    destroy(BASE_CONTAINER_OF(link, struct neigh, age_link));
    count(stack, COUNTER_neigh_evicted);
    return true;
}

/* A new entry without MAC, in no list of ages. */
static struct neigh *create(struct base_list *bucket, struct iface *iface, const struct ip *ip)
{
    struct netstack *stack = iface->stack;
    struct neigh *neigh;

    if (pool_room(&stack->neigh_pool) == 0 && !evict(stack)) {
        count(stack, COUNTER_neigh_table_full);
        return NULL;
    }
    neigh = pool_take(&stack->neigh_pool);
    memset(neigh, 0, sizeof(*neigh));
    neigh->ip = *ip;
    neigh->iface = iface;
    neigh->state = NEIGH_FAILED;
    neigh->asked_ns = stack->now_ns - NEIGH_RETRY_NS; /* long ago; differences of times hold across zero */
    neigh->learned_ns = stack->now_ns - NEIGH_LOCK_NS;
    timer_init(&neigh->timer, TIMER_NEIGH);
    base_list_push_back(bucket, &neigh->hash_link);
    return neigh;
}

struct neigh *pal__n_neigh_find(struct iface *iface, const struct ip *ip)
{
    return find_in(bucket_of(iface, ip), iface, ip);
}

struct neigh *pal__n_neigh_get(struct iface *iface, const struct ip *ip)
{
    struct base_list *bucket = bucket_of(iface, ip);
    struct neigh *neigh = find_in(bucket, iface, ip);

    if (neigh == NULL)
        neigh = create(bucket, iface, ip);
    if (neigh == NULL)
        return NULL;
    stop_aging(neigh);
    neigh->refs++;
    return neigh;
}

void pal__n_neigh_put(struct neigh *neigh)
{
    BASE_ASSERT(neigh->refs > 0);
    if (--neigh->refs > 0)
        return;
    if (neigh->state == NEIGH_FAILED && !neigh->is_static)
        destroy(neigh); /* nothing is known of it */
    else
        leave_to_age(neigh, neigh_is_known(neigh));
}

uint32_t pal__n_neigh_held(const struct netstack *stack)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < NEIGH_BUCKETS; i++) {
        BASE_LIST_EACH(link, &stack->neighs[i])
        {
            const struct neigh *neigh = neigh_of(link);

            held += neigh->refs > 0 || neigh->queue_count > 0;
        }
    }
    return held;
}

bool pal__n_neigh_create(struct netstack *stack)
{
    for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
        base_list_init(&stack->neighs[i]);
    base_list_init(&stack->aged_neighs);
    base_list_init(&stack->unproven_neighs);
    return pal__n_pool_create(&stack->neigh_pool, stack->config.allocator, stack->config.neighbours_max,
                              (sizeof(struct neigh) + 7) / 8 * 8);
}

void pal__n_neigh_destroy(struct netstack *stack)
{
    if (stack->neigh_pool.memory == NULL)
        return;
    for (uint32_t i = 0; i < NEIGH_BUCKETS; i++) {
        struct base_link *link;

        while ((link = base_list_first(&stack->neighs[i])) != NULL)
            destroy(neigh_of(link));
    }
    pal__n_pool_destroy(&stack->neigh_pool, stack->config.allocator);
}

/* ---- the machine ---- */

static void set_timer(struct neigh *neigh, uint64_t due_ns)
{
    pal__n_timer_set(neigh->iface->stack, &neigh->timer, due_ns);
}

/* Asks everybody, or while PROBE the neighbour itself; at_ns is when that was to happen. */
static void ask(struct neigh *neigh, uint64_t at_ns)
{
    const uint8_t *mac = neigh->state == NEIGH_PROBE ? neigh->mac : NULL;

    neigh->asked_ns = at_ns;
    neigh->probes++;
    set_timer(neigh, at_ns + NEIGH_RETRY_NS);
    if (ip_is_v4(&neigh->ip))
        pal__n_arp_ask(neigh->iface, &neigh->ip, mac);
    else
        pal__n_nd_ask(neigh->iface, &neigh->ip, mac);
}

/* Begins to ask, but not within a second of the last time (RFC 1122 2.3.2.1). */
static void begin_to_ask(struct neigh *neigh, enum neigh_state state)
{
    uint64_t now_ns = neigh->iface->stack->now_ns;

    neigh->state = (uint8_t)state;
    neigh->probes = 0;
    if (now_ns - neigh->asked_ns >= NEIGH_RETRY_NS)
        ask(neigh, now_ns);
    else
        set_timer(neigh, neigh->asked_ns + NEIGH_RETRY_NS);
}

/* Known to be there, now. */
static void reached(struct neigh *neigh)
{
    struct netstack *stack = neigh->iface->stack;

    neigh->state = NEIGH_REACHABLE;
    neigh->confirmed_ns = stack->now_ns;
    neigh->reachable_ns = NEIGH_REACHABLE_NS / 2 +
                          (uint64_t)pal__n_random_below(&stack->random, NEIGH_REACHABLE_NS / 1000000 + 1) * 1000000;
    pal__n_timer_stop(stack, &neigh->timer);
}

static void become_stale(struct neigh *neigh)
{
    neigh->state = NEIGH_STALE;
    pal__n_timer_stop(neigh->iface->stack, &neigh->timer);
}

/* No answer: what waits fails. Telling the senders may end the paths that hold it: so it is held meanwhile. */
static void fail(struct neigh *neigh)
{
    struct iface *iface = neigh->iface;
    struct frame *frame = neigh->queue_first;

    stop_aging(neigh);
    neigh->refs++;
    neigh->state = NEIGH_FAILED;
    neigh->queue_first = neigh->queue_last = NULL;
    neigh->queue_count = 0;
    count(iface->stack, COUNTER_neigh_failed);
    while (frame != NULL) {
        struct frame *following = frame->next;

        frame->next = NULL;
        pal__n_ip_failed(iface->stack, iface, frame, PAL_EHOSTUNREACH);
        frame = following;
    }
    pal__n_neigh_put(neigh);
}

void pal__n_neigh_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct neigh *neigh = BASE_CONTAINER_OF(timer, struct neigh, timer);

    /* From the time that was set, so that no delay adds up; but who slept for long gives the neighbour its second. */
    if (stack->now_ns - due_ns > NEIGH_RETRY_NS / 2)
        due_ns = stack->now_ns;
    if (neigh->state == NEIGH_DELAY) {
        neigh->state = NEIGH_PROBE;
        neigh->probes = 0;
    }
    if (neigh->state != NEIGH_INCOMPLETE && neigh->state != NEIGH_PROBE)
        return;
    if (neigh->probes < NEIGH_PROBES_MAX)
        ask(neigh, due_ns);
    else
        fail(neigh);
}

void pal__n_neigh_send(struct neigh *neigh, struct frame *frame, uint16_t type)
{
    uint64_t now_ns = neigh->iface->stack->now_ns;

    BASE_ASSERT(type == (ip_is_v4(&neigh->ip) ? ETH_P_IP4 : ETH_P_IP6));
    if (neigh->state == NEIGH_REACHABLE && !neigh->is_static && now_ns - neigh->confirmed_ns >= neigh->reachable_ns)
        neigh->state = NEIGH_STALE;
    switch ((enum neigh_state)neigh->state) {
    case NEIGH_FAILED:
        push(neigh, frame);
        begin_to_ask(neigh, NEIGH_INCOMPLETE);
        return;
    case NEIGH_INCOMPLETE:
        push(neigh, frame);
        return;
    case NEIGH_STALE:
        neigh->state = NEIGH_DELAY;
        set_timer(neigh, now_ns + NEIGH_DELAY_NS);
        break;
    case NEIGH_REACHABLE:
    case NEIGH_DELAY:
    case NEIGH_PROBE:
        break;
    }
    send_now(neigh, frame);
}

void pal__n_neigh_confirm(struct neigh *neigh)
{
    if (neigh->state == NEIGH_REACHABLE)
        neigh->confirmed_ns = neigh->iface->stack->now_ns;
    else if (neigh_is_known(neigh))
        reached(neigh);
}

void pal__n_neigh_suspect(struct neigh *neigh)
{
    if (neigh_is_known(neigh) && neigh->state != NEIGH_PROBE && !neigh->is_static)
        begin_to_ask(neigh, NEIGH_PROBE);
}

/* It has said its MAC, and we knew none. */
static void resolve(struct neigh *neigh, const uint8_t mac[MAC_SIZE], bool solicited)
{
    memcpy(neigh->mac, mac, MAC_SIZE);
    if (solicited)
        reached(neigh);
    else
        become_stale(neigh);
    if (base_link_is_linked(&neigh->age_link)) { /* we wanted to know it: better than one that nobody asked for */
        stop_aging(neigh);
        leave_to_age(neigh, true);
    }
    while (neigh->queue_first != NULL) /* by the way of all packets: what is stale is asked after */
        pal__n_neigh_send(neigh, pop(neigh), ip_is_v4(&neigh->ip) ? ETH_P_IP4 : ETH_P_IP6);
}

/* RFC 4861 7.2.5, of an entry whose MAC is known. */
static void update(struct neigh *neigh, const uint8_t mac[MAC_SIZE], bool solicited, bool override)
{
    bool same = memcmp(neigh->mac, mac, MAC_SIZE) == 0;

    if (!same && !override) {
        if (neigh->state == NEIGH_REACHABLE)
            become_stale(neigh);
        return;
    }
    if (!same)
        memcpy(neigh->mac, mac, MAC_SIZE);
    if (solicited)
        reached(neigh);
    else if (!same)
        become_stale(neigh);
}

void pal__n_neigh_learn(struct iface *iface, const struct ip *ip, const uint8_t mac[MAC_SIZE], bool solicited,
                        bool override, bool create_it)
{
    static const uint8_t nobody[MAC_SIZE];
    struct base_list *bucket = bucket_of(iface, ip);
    struct neigh *neigh = find_in(bucket, iface, ip);

    if ((mac[0] & 1) != 0 || memcmp(mac, nobody, MAC_SIZE) == 0 || (neigh != NULL && neigh->is_static))
        return;
    if (neigh == NULL) {
        if (!create_it || (neigh = create(bucket, iface, ip)) == NULL)
            return;
        leave_to_age(neigh, false);
        memcpy(neigh->mac, mac, MAC_SIZE);
        become_stale(neigh);
        return;
    }
    if (solicited)
        neigh->learned_ns = iface->stack->now_ns;
    if (neigh_is_known(neigh))
        update(neigh, mac, solicited, override);
    else
        resolve(neigh, mac, solicited);
}

int pal__n_neighbour_add(struct netstack *stack, uint32_t ifindex, const struct ip *ip, const uint8_t mac[MAC_SIZE])
{
    struct iface *iface = pal__n_iface_at(stack, ifindex);
    struct neigh *neigh;

    if (iface == NULL || iface_is_loopback(iface))
        return PAL_ENODEV;
    if (ip_is_multicast(ip) || ip_is_unspecified(ip) || ip_is_loopback(ip) || pal__n_iface_is_broadcast(iface, ip) ||
        (mac[0] & 1) != 0)
        return PAL_EINVAL;
    neigh = pal__n_neigh_get(iface, ip);
    if (neigh == NULL)
        return PAL_ENOBUFS;
    memcpy(neigh->mac, mac, MAC_SIZE);
    neigh->is_static = true;
    neigh->state = NEIGH_REACHABLE;
    pal__n_timer_stop(stack, &neigh->timer);
    flush_queue(neigh);
    pal__n_neigh_put(neigh);
    return 0;
}
