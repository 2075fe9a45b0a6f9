/* dst.h: a destination in use: route, neighbour, source address and path MTU, looked up once and shared.
 *
 * Connections hold one, so that a packet costs no look-up, and a changed neighbour or path MTU reaches all of them at
 * once. */
#ifndef PAL__NETSTACK_DST_H
#define PAL__NETSTACK_DST_H

#include "addr.h"
#include "neigh.h"
#include "timer.h"
#include <palio/base/list.h>

struct dst {
    struct base_link hash_link, idle_link; /* idle: without references, kept for what is known of its path */
    struct ip ip;                          /* where to */
    struct ip source;                      /* the address to send from, unless the socket says another */
    struct ip next_hop;                    /* whose neighbour it is */
    struct iface *iface;
    struct neigh *neigh;   /* the next hop; NULL: loopback, broadcast or multicast, or nobody holds the path */
    struct timer timer;    /* TIMER_DST */
    uint64_t mtu_until_ns; /* a learned MTU is believed until then */
    uint32_t via;          /* interface index asked for; 0: by route */
    uint32_t mtu;          /* of the path, at most the interface's */
    uint32_t generation;   /* of the route table when it was looked up */
    uint32_t refs;
    uint32_t ip4_id; /* the next identification of packets that may be fragmented (RFC 6864) */
    bool is_broadcast, is_multicast;
};

/* The destination with a reference, or NULL and in *error PAL_ENETUNREACH (no route, or no address to send from),
 * PAL_ENOBUFS (paths or neighbours used up), PAL_EINVAL (a scoped address without interface). via 0: by route. */
struct dst *pal__n_dst_get(struct netstack *stack, const struct ip *ip, uint32_t via, int *error);
void pal__n_dst_put(struct netstack *stack, struct dst *dst);

/* The route table has changed since it was looked up: put it and get another. */
bool pal__n_dst_is_stale(const struct netstack *stack, const struct dst *dst);

/* Packet too big: lowers the path's MTU, never below the floor nor above what it is; of all paths to that address. An
 * MTU that no router can mean (below 68, or 1280 of IPv6; RFC 1191 3, RFC 8201 4) is ignored. True: it has changed. */
bool pal__n_dst_reduce_mtu(struct netstack *stack, struct dst *dst, uint32_t mtu);

/* One that is known already, without a reference: by way of via, or with 0 by any. NULL. */
struct dst *pal__n_dst_find(struct netstack *stack, const struct ip *ip, uint32_t via);

/* Paths that somebody holds; walks the idle ones. */
uint32_t pal__n_dst_held(const struct netstack *stack);

#endif
