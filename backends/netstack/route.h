/* route.h: which way a packet goes: longest prefix, then least metric (RFC 1122 3.3.1). */
#ifndef PAL__NETSTACK_ROUTE_H
#define PAL__NETSTACK_ROUTE_H

#include "addr.h"
#include "iface.h"

struct route {
    struct ip prefix, gateway; /* gateway unspecified: on the link */
    struct iface *iface;
    uint32_t metric;
    uint8_t prefix_size; /* bits; of IPv4 up to 32 */
    bool of_addr;        /* follows from an address of the interface, with which it goes */
};

struct route_table {
    struct route *routes; /* sorted: longest prefix first, then least metric; the first that fits is the best */
    uint32_t count, max;
    uint32_t generation; /* changes with every change of routes or addresses: what was looked up before is stale */
    struct route local;  /* to ourselves: stands in no table */
};

/* The best route; via not NULL: of that interface. NULL: PAL_ENETUNREACH. A loopback destination and one of our own
 * addresses go by the loopback interface. */
const struct route *pal__n_route_find(struct netstack *stack, const struct ip *dst, const struct iface *via);

/* On the link of that interface: a host there can be a neighbour. */
bool pal__n_route_is_on_link(struct netstack *stack, const struct ip *ip, const struct iface *iface);

/* ---- for iface.c: what follows from an address ---- */

/* The link's route; one that is there already will do. PAL_ENOBUFS. */
int pal__n_route_add_link(struct iface *iface, const struct ip *ip, unsigned prefix_size);
void pal__n_route_remove_link(struct iface *iface, const struct ip *ip, unsigned prefix_size);

/* Whatever was looked up before is stale. */
void pal__n_route_changed(struct netstack *stack);

#endif
