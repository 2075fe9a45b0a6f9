/* apply.c: interface, addresses, routes and neighbours of a device, from the settings into a stack. */
#include "apply.h"

/* what: "address"; says the refused address in words. */
static int fail_with(struct base_text *words, int error, const char *what, const struct ip *ip)
{
    (void)pal__d_fail(words, error, "%s \"", what);
    pal__d_print_ip(words, ip);
    pal__d_say(words, "\": the stack does not take it: %s", pal_error_text(error));
    return error;
}

static int add_addresses(const struct dpdk_settings *settings, uint32_t device, struct netstack *stack,
                         uint32_t ifindex, struct base_text *words)
{
    for (uint32_t i = 0; i < settings->address_count; i++) {
        const struct dpdk_address *address = &settings->addresses[i];
        int error = address->device != device ? 0 : pal__n_addr_add(stack, ifindex, &address->ip, address->bits);

        if (error == PAL_EEXIST) /* the link-local one that the stack has made itself */
            error = 0;
        if (error != 0)
            return fail_with(words, error, "address", &address->ip);
    }
    return 0;
}

static int add_routes(const struct dpdk_settings *settings, uint32_t device, struct netstack *stack, uint32_t ifindex,
                      struct base_text *words)
{
    for (uint32_t i = 0; i < settings->route_count; i++) {
        const struct dpdk_route *route = &settings->routes[i];
        int error = route->device != device
                        ? 0
                        : pal__n_route_add(stack, ifindex, &route->prefix, route->bits, &route->gateway, 0);

        if (error != 0)
            return fail_with(words, error, route->bits == 0 ? "gateway" : "route", &route->gateway);
    }
    return 0;
}

static int add_neighbours(const struct dpdk_settings *settings, uint32_t device, struct netstack *stack,
                          uint32_t ifindex, struct base_text *words)
{
    for (uint32_t i = 0; i < settings->neighbour_count; i++) {
        const struct dpdk_neighbour *neighbour = &settings->neighbours[i];
        int error =
            neighbour->device != device ? 0 : pal__n_neighbour_add(stack, ifindex, &neighbour->ip, neighbour->mac);

        if (error != 0)
            return fail_with(words, error, "neighbour", &neighbour->ip);
    }
    return 0;
}

int pal__d_apply(const struct dpdk_settings *settings, uint32_t device, struct netstack *stack, struct nic *nic,
                 struct base_text *words)
{
    char name[DPDK_WORD_MAX];
    int ifindex, error;

    pal__d_device_name(&settings->devices[device], name);
    ifindex = pal__n_iface_add(stack, nic, name, 0);
    if (ifindex < 0)
        return pal__d_fail(words, ifindex, "device \"%s\": the stack takes no interface on it: %s", name,
                           pal_error_text(ifindex));
    error = add_addresses(settings, device, stack, (uint32_t)ifindex, words);
    if (error == 0)
        error = add_routes(settings, device, stack, (uint32_t)ifindex, words);
    if (error == 0)
        error = add_neighbours(settings, device, stack, (uint32_t)ifindex, words);
    return error != 0 ? error : ifindex;
}
