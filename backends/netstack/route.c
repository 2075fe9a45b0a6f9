/* route.c: the table of routes (RFC 1122 3.3.1): a short sorted array, looked at once for every path (dst.c).
 *
 * What is ours needs no route: it goes by the loopback interface. Groups and scoped addresses are dst.c's. */
#include "stack.h"

static unsigned bits_of(const struct ip *ip)
{
    return ip_is_v4(ip) ? 32 : 128;
}

static struct ip masked(const struct ip *ip, unsigned prefix_size)
{
    struct ip out = *ip;
    unsigned kept = prefix_size + 128 - bits_of(ip);

    for (unsigned i = 0; i < sizeof(out.bytes); i++) {
        if (i * 8 >= kept)
            out.bytes[i] = 0;
        else if (kept - i * 8 < 8)
            out.bytes[i] &= (uint8_t)(0xff00 >> (kept - i * 8));
    }
    return out;
}

static bool fits(const struct route *route, const struct ip *ip)
{
    return ip_is_v4(&route->prefix) == ip_is_v4(ip) && ip_same_prefix(&route->prefix, ip, route->prefix_size);
}

static const struct route *best(const struct netstack *stack, const struct ip *dst, const struct iface *via)
{
    for (uint32_t i = 0; i < stack->routes.count; i++) {
        const struct route *route = &stack->routes.routes[i];

        if ((via == NULL || route->iface == via) && fits(route, dst))
            return route;
    }
    return NULL;
}

const struct route *pal__n_route_find(struct netstack *stack, const struct ip *dst, const struct iface *via)
{
    const struct iface *owner;

    stack->routes.local.iface = stack->ifaces[0];
    if (ip_is_loopback(dst)) /* never to a wire, whatever the routes are */
        return &stack->routes.local;
    owner = pal__n_iface_owning(stack, dst);
    /* Another link may have the same link-local address. */
    if (owner != NULL && (via == NULL || via == owner || !ip_needs_scope(dst)))
        return &stack->routes.local;
    return best(stack, dst, via);
}

bool pal__n_route_is_on_link(struct netstack *stack, const struct ip *ip, const struct iface *iface)
{
    const struct route *route = best(stack, ip, iface);

    return route != NULL && ip_is_unspecified(&route->gateway);
}

void pal__n_route_changed(struct netstack *stack)
{
    stack->routes.generation++;
}

/* ---- the array ---- */

/* Puts it behind those that are as good. */
static int insert(struct netstack *stack, const struct route *route)
{
    struct route_table *table = &stack->routes;
    uint32_t at = table->count;

    if (table->count == table->max)
        return PAL_ENOBUFS;
    while (at > 0 && (table->routes[at - 1].prefix_size < route->prefix_size ||
                      (table->routes[at - 1].prefix_size == route->prefix_size &&
                       table->routes[at - 1].metric > route->metric))) {
        table->routes[at] = table->routes[at - 1];
        at--;
    }
    table->routes[at] = *route;
    table->count++;
    pal__n_route_changed(stack);
    return 0;
}

static void erase(struct netstack *stack, struct route *route)
{
    struct route_table *table = &stack->routes;
    uint32_t at = (uint32_t)(route - table->routes);

    table->count--;
    memmove(route, route + 1, (table->count - at) * sizeof(*route));
    pal__n_route_changed(stack);
}

/* The first to exactly that prefix by that interface; prefix is masked. */
static struct route *find_exact(struct netstack *stack, const struct iface *iface, const struct ip *prefix,
                                unsigned prefix_size)
{
    for (uint32_t i = 0; i < stack->routes.count; i++) {
        struct route *route = &stack->routes.routes[i];

        if (route->iface == iface && route->prefix_size == prefix_size && ip_equal(&route->prefix, prefix))
            return route;
    }
    return NULL;
}

static bool exists(struct netstack *stack, const struct route *wanted)
{
    for (uint32_t i = 0; i < stack->routes.count; i++) {
        const struct route *route = &stack->routes.routes[i];

        if (route->iface == wanted->iface && route->prefix_size == wanted->prefix_size &&
            route->metric == wanted->metric && ip_equal(&route->prefix, &wanted->prefix))
            return true;
    }
    return false;
}

/* ---- by the program ---- */

/* A neighbour on the interface's link, or none at all. */
static bool is_gateway(struct netstack *stack, const struct iface *iface, const struct ip *gateway)
{
    if (ip_is_unspecified(gateway))
        return true;
    if (ip_is_multicast(gateway) || ip_is_loopback(gateway) || pal__n_iface_is_broadcast(iface, gateway) ||
        pal__n_iface_owning(stack, gateway) != NULL || iface_is_loopback(iface))
        return false;
    return ip_is_link_local(gateway) || pal__n_route_is_on_link(stack, gateway, iface);
}

int pal__n_route_add(struct netstack *stack, uint32_t ifindex, const struct ip *prefix, unsigned prefix_size,
                     const struct ip *gateway, uint32_t metric)
{
    struct iface *iface = pal__n_iface_at(stack, ifindex);
    struct ip of_prefix = *prefix;
    struct route route;

    if (iface == NULL)
        return PAL_ENODEV;
    if (prefix_size == 0 && ip_is_unspecified(prefix) && !ip_is_unspecified(gateway) && ip_is_v4(gateway))
        of_prefix = ip_of_number(0); /* :: stands for "all" of either version if the gateway says which */
    if (prefix_size > bits_of(&of_prefix) || (!ip_is_unspecified(gateway) && ip_is_v4(&of_prefix) != ip_is_v4(gateway)))
        return PAL_EINVAL;
    if (!is_gateway(stack, iface, gateway))
        return PAL_ENETUNREACH;
    memset(&route, 0, sizeof(route));
    route.prefix = masked(&of_prefix, prefix_size);
    route.prefix_size = (uint8_t)prefix_size;
    route.gateway = *gateway;
    route.iface = iface;
    route.metric = metric;
    if (exists(stack, &route))
        return PAL_EEXIST;
    return insert(stack, &route);
}

int pal__n_route_remove(struct netstack *stack, uint32_t ifindex, const struct ip *prefix, unsigned prefix_size)
{
    struct iface *iface = pal__n_iface_at(stack, ifindex);
    struct ip from;
    struct route *route;

    if (iface == NULL)
        return PAL_ENODEV;
    if (prefix_size > bits_of(prefix))
        return PAL_EINVAL;
    from = masked(prefix, prefix_size);
    route = find_exact(stack, iface, &from, prefix_size);
    if (route == NULL && prefix_size == 0 && ip_is_unspecified(prefix)) { /* as in pal__n_route_add */
        from = ip_of_number(0);
        route = find_exact(stack, iface, &from, 0);
    }
    if (route == NULL)
        return PAL_ESRCH;
    erase(stack, route);
    return 0;
}

/* ---- by addresses ---- */

int pal__n_route_add_link(struct iface *iface, const struct ip *ip, unsigned prefix_size)
{
    struct route route;

    memset(&route, 0, sizeof(route));
    route.prefix = masked(ip, prefix_size);
    route.prefix_size = (uint8_t)prefix_size;
    route.gateway = ip_none();
    route.iface = iface;
    route.of_addr = true;
    if (prefix_size == bits_of(ip) || exists(iface->stack, &route))
        return 0; /* an address alone on its subnet has no neighbours */
    return insert(iface->stack, &route);
}

void pal__n_route_remove_link(struct iface *iface, const struct ip *ip, unsigned prefix_size)
{
    struct ip prefix = masked(ip, prefix_size);
    struct route *route = find_exact(iface->stack, iface, &prefix, prefix_size);

    if (route != NULL && route->of_addr)
        erase(iface->stack, route);
}

bool pal__n_route_create(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;
    struct route_table *table = &stack->routes;
    size_t size = stack->config.routes_max * sizeof(struct route);

    memset(table, 0, sizeof(*table));
    if (size == 0)
        return true;
    table->routes = allocator->alloc(allocator->context, size, 64);
    if (table->routes == NULL)
        return false;
    table->max = stack->config.routes_max;
    return true;
}

void pal__n_route_destroy(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;

    if (stack->routes.routes != NULL)
        allocator->free(allocator->context, stack->routes.routes, stack->routes.max * sizeof(struct route));
    memset(&stack->routes, 0, sizeof(stack->routes));
}
