/* settings_check.c: what a configuration does not say, and whether its parts fit each other. ISO C. */
#include "settings.h"

static void fill_in(struct dpdk_settings *out)
{
    static const enum dpdk_idle idles[] = {DPDK_IDLE_BACKOFF, DPDK_IDLE_SPIN, DPDK_IDLE_BLOCK};
    static const uint32_t ratios[] = {16, 64, 1}, descriptors[] = {1024, 512, 1024}, mbufs[] = {16384, 8192, 8192};

    if (out->idle == 0)
        out->idle = idles[out->profile];
    if (out->idle_us == 0)
        out->idle_us = 50;
    if (out->queues == 0)
        out->queues = out->core_count == 0                ? 1
                      : out->core_count < DPDK_QUEUES_MAX ? out->core_count
                                                          : (uint32_t)DPDK_QUEUES_MAX;
    if (out->kernel_ratio == 0)
        out->kernel_ratio = ratios[out->profile];
    if (out->rx_descriptors == 0)
        out->rx_descriptors = out->tx_descriptors = descriptors[out->profile];
    if (out->mbufs == 0) {
        uint32_t least = 4 * (out->rx_descriptors + out->tx_descriptors);

        out->mbufs = mbufs[out->profile] > least ? mbufs[out->profile] : least;
    }
}

static int check_gateways(const struct dpdk_settings *out, struct base_text *words)
{
    for (uint32_t i = 0; i < out->route_count; i++) {
        const struct dpdk_route *route = &out->routes[i];
        bool reached = ip_is_link_local(&route->gateway);

        for (uint32_t k = 0; k < out->address_count; k++) {
            const struct dpdk_address *address = &out->addresses[k];

            if (address->device != route->device || ip_is_v4(&address->ip) != ip_is_v4(&route->gateway))
                continue;
            if (ip_equal(&address->ip, &route->gateway)) {
                (void)pal__d_fail(words, PAL_EINVAL, "gateway \"");
                pal__d_print_ip(words, &route->gateway);
                pal__d_say(words, "\" is an address of our own");
                return PAL_EINVAL;
            }
            reached = reached || ip_same_prefix(&address->ip, &route->gateway, address->bits);
        }
        if (reached)
            continue;
        (void)pal__d_fail(words, PAL_EINVAL, "gateway \"");
        pal__d_print_ip(words, &route->gateway);
        pal__d_say(words, "\" is in no subnet of device %s; give that device an address in the gateway's subnet",
                   out->devices[route->device].text);
        return PAL_EINVAL;
    }
    return 0;
}

/* Interfaces count as devices do. */
static int check_loopback(const struct dpdk_settings *out, struct base_text *words)
{
    for (uint32_t i = 0; i < out->device_count; i++) {
        bool has_address = false;

        for (uint32_t k = 0; k < out->address_count; k++)
            has_address = has_address || out->addresses[k].device == i;
        if (out->devices[i].is_loopback && (i + 1 < out->device_count || has_address))
            return pal__d_fail(words, PAL_EINVAL,
                               "loopback: device %s is to carry it, so it must be the last, and have no addresses",
                               out->devices[i].text);
    }
    return 0;
}

int pal__d_settings_complete(struct dpdk_settings *out, struct base_text *words)
{
    uint32_t least;
    int error;

    fill_in(out);
    least = out->rx_descriptors + out->tx_descriptors + 256;
    if (out->device_count == 0)
        return pal__d_fail(words, PAL_ENODEV, "device: none is named; write for example: device net_tap0,iface=palio0");
    if (out->mbufs < least)
        return pal__d_fail(words, PAL_EINVAL,
                           "mbufs \"%u\": fewer than the %u + %u descriptors of a queue and what is under way; say "
                           "mbufs %u or more, or fewer descriptors",
                           (unsigned)out->mbufs, (unsigned)out->rx_descriptors, (unsigned)out->tx_descriptors,
                           (unsigned)least);
    error = check_loopback(out, words);
    return error != 0 ? error : check_gateways(out, words);
}
