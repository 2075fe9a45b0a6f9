/* iface.h: an interface: a nic, its addresses, its frames on their way out, and the groups it listens to. */
#ifndef PAL__NETSTACK_IFACE_H
#define PAL__NETSTACK_IFACE_H

#include "addr.h"
#include "nic.h"
#include "timer.h"

enum {
    IFACES_MAX = 8,
    IFACE_ADDRS_MAX = 16,
    IFACE_NAME_MAX = 16,
    IFACE_BURST = 32,       /* frames taken from or given to a nic at once */
    IFACE_PENDING_MAX = 64, /* frames that wait for room at the nic */
    IFACE_FILTER_MAX = 64,  /* MAC groups; above, the nic is asked for all */
    IFINDEX_LOOPBACK = 1
};

enum {
    ADDR_TENTATIVE, /* duplicate address detection is under way: not used, not answered for */
    ADDR_READY,
    ADDR_DUPLICATE /* somebody else has it: not used */
};

struct iface_addr {
    struct ip ip;
    struct iface *iface;
    struct timer timer;  /* TIMER_ADDR */
    uint8_t prefix_size; /* bits, of IPv4 up to 32 */
    uint8_t state;       /* ADDR_* */
    uint8_t probes;      /* sent so far, and then announcements */
    bool used;           /* this entry of the array is an address */
    uint32_t serial;     /* the lower, the earlier it was added, and the more it is preferred */
};

struct iface {
    struct netstack *stack;
    struct nic *nic;
    uint32_t index; /* IFINDEX_LOOPBACK, 2 ... */
    uint32_t mtu;   /* bytes of an IP packet */
    struct nic_caps caps;
    uint8_t mac[MAC_SIZE];
    bool ip6_off; /* mtu below 1280 (requirement ip6.mtu1280) */
    char name[IFACE_NAME_MAX];
    struct iface_addr addrs[IFACE_ADDRS_MAX];
    uint32_t addr_end;                        /* entries of addrs behind it have never been used */
    uint32_t addr_serial;                     /* of the latest */
    struct frame *pending[IFACE_PENDING_MAX]; /* to send, oldest first */
    uint32_t pending_count;
    uint32_t queued, taken;    /* frames put there so far; those that the nic has taken */
    struct group *groups;      /* that are joined here: mcast.h */
    struct timer query_timer;  /* TIMER_QUERY: answers a general query */
    struct timer query6_timer; /* the same for MLD */
};

/* ---- ether.c ---- */

/* Takes a received frame apart as far as its type and gives it on; takes the frame. */
void pal__n_ether_in(struct iface *iface, struct frame *frame);

/* Puts the Ethernet header in front and the frame behind those that wait; takes it. The caller has seen
 * iface_tx_room() > 0, or loses the frame (counted). */
void pal__n_ether_out(struct iface *iface, struct frame *frame, const uint8_t dst[MAC_SIZE], uint16_t type);

/* Offers what waits to the nic. */
void pal__n_iface_flush(struct iface *iface);

/* The MAC of a multicast IP address (RFC 1112 6.4, RFC 2464 7). */
void pal__n_mac_of_group(const struct ip *group, uint8_t mac[MAC_SIZE]);

/* Frames that can be given to pal__n_ether_out before one is lost. */
static inline uint32_t iface_tx_room(const struct iface *iface)
{
    return IFACE_PENDING_MAX - iface->pending_count;
}

/* Does the frame that was the place-th to be queued still wait for the nic? */
static inline bool iface_has(const struct iface *iface, uint32_t place)
{
    return place - iface->taken - 1 < iface->pending_count;
}

static inline bool iface_is_loopback(const struct iface *iface)
{
    return iface->index == IFINDEX_LOOPBACK;
}

/* ---- iface.c ---- */

struct iface *pal__n_iface_at(struct netstack *stack, uint32_t ifindex); /* NULL: none */

/* The address if it is one of this interface, in whatever state; NULL. All of 127/8 is the loopback interface's. */
struct iface_addr *pal__n_iface_addr(struct iface *iface, const struct ip *ip);

/* Whose ready address it is, on any interface; NULL. */
struct iface *pal__n_iface_owning(struct netstack *stack, const struct ip *ip);

/* The address to send from to dst over this interface (RFC 1122 3.3.4.3: of the same subnet, so of IPv4 dst is best the
 * next hop; RFC 6724 in short: same scope, then the longest common prefix); false: there is none. */
bool pal__n_iface_source(struct iface *iface, const struct ip *dst, struct ip *out);

/* The limited broadcast, or that of one of the interface's subnets. */
bool pal__n_iface_is_broadcast(const struct iface *iface, const struct ip *ip);

/* The MAC groups of all joined groups, to the nic; NULL, -1: there are more than IFACE_FILTER_MAX, it is to receive
 * all. Called when one comes or goes. */
void pal__n_iface_program_filter(struct iface *iface);

/* Somebody else has, or is about to have, this address, which is still tentative: it will not be used. Counts it
 * (nd_duplicate, arp_conflict). What arp.c and nd.c call; one that is not tentative stays as it is. */
void pal__n_addr_duplicate(struct iface_addr *addr);

#endif
