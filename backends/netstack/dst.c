/* dst.c: destinations in use: what routes, neighbours and ICMP say about one address, kept in one place.
 *
 * Found by address and the interface asked for. One that somebody holds never changes its way: when routes or addresses
 * change it is stale, its holders get another, and it goes with the last of them. One that nobody holds is kept for the
 * MTU of its path as long as there is room, without holding its neighbour, and is looked up anew when it is stale. */
#include "stack.h"
#include "wire.h"

enum {
    IP4_PACKET_MAX = 65535, /* bytes: what its total length can say */
    PATH_MTU_MIN = 68       /* RFC 791: less than that no router can mean */
};

static struct dst *dst_of(struct base_link *link)
{
    return BASE_CONTAINER_OF(link, struct dst, hash_link);
}

/* By the address alone: an ICMP message does not say by which interface a program wanted to send. */
static struct base_list *bucket_of(struct netstack *stack, const struct ip *ip)
{
    uint64_t words[2];

    memcpy(words, ip->bytes, sizeof(words));
    return &stack->dsts[pal__n_siphash_words(&stack->hash_key, words, 2) % DST_BUCKETS];
}

bool pal__n_dst_is_stale(const struct netstack *stack, const struct dst *dst)
{
    return dst->generation != stack->routes.generation;
}

/* ---- the way ---- */

/* What there is to send by, with or without a route: the interface of the group or broadcast. */
static struct iface *iface_of_group(struct netstack *stack, const struct ip *ip, struct iface *via)
{
    const struct route *route;
    struct ip source;

    if (via != NULL)
        return via;
    route = pal__n_route_find(stack, ip, NULL);
    if (route != NULL)
        return route->iface;
    for (uint32_t i = 1; i < stack->iface_count; i++) { /* the first that can (RFC 1112 6.2: the default interface) */
        if (pal__n_iface_source(stack->ifaces[i], ip, &source))
            return stack->ifaces[i];
    }
    return NULL;
}

/* Reports to multicast routers go out before there is an address, from nowhere (RFC 3376 4.2.13, RFC 3810 5.2.13). */
static bool needs_no_source(const struct ip *ip)
{
    static const struct ip routers4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 224, 0, 0, 22}};
    static const struct ip routers6 = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}};

    return ip_equal(ip, &routers4) || ip_equal(ip, &routers6);
}

static int find_group_way(struct netstack *stack, struct dst *dst, struct iface *via)
{
    dst->iface = iface_of_group(stack, &dst->ip, via);
    if (dst->iface == NULL)
        return PAL_ENETUNREACH;
    if (pal__n_iface_source(dst->iface, &dst->ip, &dst->source))
        return 0;
    dst->source = ip_is_v4(&dst->ip) ? ip_of_number(0) : ip_none();
    return needs_no_source(&dst->ip) ? 0 : PAL_ENETUNREACH;
}

/* Our own address to reach ourselves from. */
static bool find_local_source(struct iface *iface, const struct ip *ip, struct ip *out)
{
    if (ip_is_loopback(ip))
        return pal__n_iface_source(iface, ip, out); /* 127.0.0.1 for all of 127/8 */
    *out = *ip;
    return true;
}

/* Fills in interface, next hop and source; 0 or PAL_E*. */
static int find_way(struct netstack *stack, struct dst *dst, struct iface *via)
{
    const struct ip *ip = &dst->ip;
    const struct route *route;
    bool found;

    dst->is_multicast = ip_is_multicast(ip);
    dst->is_broadcast = ip_is_limited_broadcast(ip);
    dst->next_hop = *ip;
    if (dst->is_multicast || dst->is_broadcast)
        return find_group_way(stack, dst, via);
    route = pal__n_route_find(stack, ip, via);
    if (route == NULL)
        return PAL_ENETUNREACH;
    dst->iface = route->iface;
    if (route == &stack->routes.local)
        return find_local_source(dst->iface, ip, &dst->source) ? 0 : PAL_ENETUNREACH;
    dst->is_broadcast = pal__n_iface_is_broadcast(dst->iface, ip);
    if (!ip_is_unspecified(&route->gateway))
        dst->next_hop = route->gateway;
    found = pal__n_iface_source(dst->iface, ip_is_v4(ip) ? &dst->next_hop : ip, &dst->source);
    return found ? 0 : PAL_ENETUNREACH;
}

static bool has_neigh(const struct dst *dst)
{
    return !dst->is_multicast && !dst->is_broadcast && !iface_is_loopback(dst->iface);
}

/* An MTU without news from the path. */
static uint32_t full_mtu(const struct dst *dst)
{
    uint32_t mtu = dst->iface->mtu;

    return ip_is_v4(&dst->ip) && mtu > IP4_PACKET_MAX ? IP4_PACKET_MAX : mtu;
}

/* Looks it up, again or for the first time. What was learned about the path holds if the path is the same. */
static int look_up(struct netstack *stack, struct dst *dst)
{
    struct iface *before = dst->iface, *via = NULL;
    struct ip hop_before = dst->next_hop;
    int error;

    if (dst->via != 0) {
        via = pal__n_iface_at(stack, dst->via);
        if (via == NULL)
            return PAL_ENETUNREACH;
    }
    error = find_way(stack, dst, via);
    if (error < 0)
        return error;
    if (before != dst->iface || !ip_equal(&hop_before, &dst->next_hop))
        dst->mtu = full_mtu(dst);
    dst->generation = stack->routes.generation;
    return 0;
}

/* ---- the table ---- */

static void destroy(struct netstack *stack, struct dst *dst)
{
    pal__n_timer_stop(stack, &dst->timer);
    if (base_link_is_linked(&dst->idle_link))
        base_list_remove(&dst->idle_link);
    base_list_remove(&dst->hash_link);
    pool_give(&stack->dst_pool, dst);
}

/* One that can be held: not one that others hold and that has become stale. */
static struct dst *find_usable(struct netstack *stack, const struct base_list *bucket, const struct ip *ip,
                               uint32_t via)
{
    BASE_LIST_EACH(link, bucket)
    {
        struct dst *dst = dst_of(link);

        if (dst->via == via && ip_equal(&dst->ip, ip) && (dst->refs == 0 || !pal__n_dst_is_stale(stack, dst)))
            return dst;
    }
    return NULL;
}

/* A new one that nobody holds, not yet looked up; NULL: all are held. */
static struct dst *create(struct netstack *stack, struct base_list *bucket, const struct ip *ip, uint32_t via)
{
    struct dst *dst;

    if (pool_room(&stack->dst_pool) == 0) {
        struct base_link *link = base_list_first(&stack->idle_dsts);

        if (link == NULL)
            return NULL;
        destroy(stack, BASE_CONTAINER_OF(link, struct dst, idle_link));
    }
    dst = pool_take(&stack->dst_pool);
    memset(dst, 0, sizeof(*dst));
    timer_init(&dst->timer, TIMER_DST);
    dst->ip = *ip;
    dst->via = via;
    dst->ip4_id = (uint32_t)pal__n_random(&stack->random);
    dst->generation = stack->routes.generation - 1;
    base_list_push_back(bucket, &dst->hash_link);
    base_list_push_back(&stack->idle_dsts, &dst->idle_link);
    return dst;
}

/* A learned MTU ages without a timer while nobody holds the path. */
static void resume_mtu(struct netstack *stack, struct dst *dst)
{
    if (dst->mtu == full_mtu(dst))
        return;
    if (stack->now_ns >= dst->mtu_until_ns)
        dst->mtu = full_mtu(dst);
    else
        pal__n_timer_set(stack, &dst->timer, dst->mtu_until_ns);
}

/* The first reference. */
static int hold(struct netstack *stack, struct dst *dst)
{
    int error = pal__n_dst_is_stale(stack, dst) ? look_up(stack, dst) : 0;

    if (error < 0)
        return error;
    if (has_neigh(dst)) {
        dst->neigh = pal__n_neigh_get(dst->iface, &dst->next_hop);
        if (dst->neigh == NULL)
            return PAL_ENOBUFS;
    }
    base_list_remove(&dst->idle_link);
    resume_mtu(stack, dst);
    dst->refs = 1;
    return 0;
}

struct dst *pal__n_dst_get(struct netstack *stack, const struct ip *ip, uint32_t via, int *error)
{
    struct base_list *bucket = bucket_of(stack, ip);
    struct dst *dst = find_usable(stack, bucket, ip, via);

    if (dst != NULL && dst->refs > 0) {
        dst->refs++;
        return dst;
    }
    if (ip_is_unspecified(ip) || (ip_needs_scope(ip) && via == 0)) {
        *error = ip_is_unspecified(ip) ? PAL_ENETUNREACH : PAL_EINVAL;
        return NULL;
    }
    if (dst == NULL)
        dst = create(stack, bucket, ip, via);
    if (dst == NULL) {
        *error = PAL_ENOBUFS;
        return NULL;
    }
    *error = hold(stack, dst);
    if (*error < 0) {
        destroy(stack, dst);
        return NULL;
    }
    return dst;
}

void pal__n_dst_put(struct netstack *stack, struct dst *dst)
{
    BASE_ASSERT(dst->refs > 0);
    if (--dst->refs > 0)
        return;
    if (dst->neigh != NULL)
        pal__n_neigh_put(dst->neigh);
    dst->neigh = NULL;
    pal__n_timer_stop(stack, &dst->timer);
    base_list_push_back(&stack->idle_dsts, &dst->idle_link);
    if (pal__n_dst_is_stale(stack, dst)) /* there may be a newer one already */
        destroy(stack, dst);
}

struct dst *pal__n_dst_find(struct netstack *stack, const struct ip *ip, uint32_t via)
{
    const struct base_list *bucket = bucket_of(stack, ip);
    struct dst *found = NULL;

    BASE_LIST_EACH(link, bucket)
    {
        struct dst *dst = dst_of(link);

        if (!ip_equal(&dst->ip, ip) || (via != 0 && dst->via != via && dst->via != 0))
            continue;
        if (found == NULL || dst->via == via)
            found = dst;
    }
    return found;
}

uint32_t pal__n_dst_held(const struct netstack *stack)
{
    uint32_t idle = 0;

    BASE_LIST_EACH(link, &stack->idle_dsts)
    idle++;
    return stack->dst_pool.used - idle;
}

/* ---- the path's MTU (RFC 1191, RFC 8201) ---- */

static void lower(struct netstack *stack, struct dst *dst, uint32_t mtu)
{
    if (mtu >= dst->mtu)
        return;
    dst->mtu = mtu;
    dst->mtu_until_ns = stack->now_ns + stack->config.path_mtu_age_ns;
    if (dst->refs > 0)
        pal__n_timer_set(stack, &dst->timer, dst->mtu_until_ns);
}

bool pal__n_dst_reduce_mtu(struct netstack *stack, struct dst *dst, uint32_t mtu)
{
    uint32_t least = ip_is_v4(&dst->ip) ? PATH_MTU_MIN : IP6_MTU_MIN;
    uint32_t floor = ip_is_v4(&dst->ip) ? stack->config.mtu_floor : IP6_MTU_MIN;
    const struct base_list *bucket = bucket_of(stack, &dst->ip);
    uint32_t before = dst->mtu;

    if (mtu < least)
        return false;
    if (mtu < floor)
        mtu = floor;
    if (mtu >= before)
        return false;
    BASE_LIST_EACH(link, bucket) /* those that are stale, or asked for another interface, lead by the same routers */
    {
        struct dst *other = dst_of(link);

        if (other->iface == dst->iface && ip_equal(&other->ip, &dst->ip))
            lower(stack, other, mtu);
    }
    return dst->mtu < before;
}

void pal__n_dst_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct dst *dst = BASE_CONTAINER_OF(timer, struct dst, timer);

    (void)stack;
    (void)due_ns;
    dst->mtu = full_mtu(dst);
}

bool pal__n_dst_create(struct netstack *stack)
{
    for (uint32_t i = 0; i < DST_BUCKETS; i++)
        base_list_init(&stack->dsts[i]);
    base_list_init(&stack->idle_dsts);
    return pal__n_pool_create(&stack->dst_pool, stack->config.allocator, stack->config.paths_max,
                              (sizeof(struct dst) + 7) / 8 * 8);
}

/* Neighbours are ended after it, or before: it no longer speaks of them. */
void pal__n_dst_destroy(struct netstack *stack)
{
    if (stack->dst_pool.memory == NULL)
        return;
    for (uint32_t i = 0; i < DST_BUCKETS; i++) {
        struct base_link *link;

        while ((link = base_list_first(&stack->dsts[i])) != NULL)
            destroy(stack, dst_of(link));
    }
    pal__n_pool_destroy(&stack->dst_pool, stack->config.allocator);
}
