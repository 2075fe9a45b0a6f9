/* neigh.h: who is on the link: the table that ARP and Neighbour Discovery keep, with what waits for an answer.
 *
 * One state machine for both (RFC 4861 7.3; RFC 1122 2.3.2 has the same ideas). neigh.c is the table and the machine,
 * arp.c and nd.c are how questions are asked and answered. */
#ifndef PAL__NETSTACK_NEIGH_H
#define PAL__NETSTACK_NEIGH_H

#include "addr.h"
#include "iface.h"
#include "timer.h"
#include <palio/base/list.h>

enum {
    NEIGH_QUEUE_MAX = 8, /* packets that wait for one neighbour; the newest are kept */
    NEIGH_PROBES_MAX = 3
};

/* RFC 4861 10, in nanoseconds. What is reachable is so for the base time by a random factor of 0.5 to 1.5. */
#define NEIGH_REACHABLE_NS UINT64_C(30000000000)
#define NEIGH_RETRY_NS UINT64_C(1000000000)
#define NEIGH_DELAY_NS UINT64_C(5000000000)
#define NEIGH_LOCK_NS UINT64_C(100000000) /* after an answer ARP believes no other MAC that long */

enum neigh_state {
    NEIGH_INCOMPLETE, /* asked, no answer yet: packets wait */
    NEIGH_REACHABLE,  /* so it was when last looked at: it becomes stale by time without a timer, when it is used */
    NEIGH_STALE,      /* known, not heard of lately: used, and asked after when it is used */
    NEIGH_DELAY,      /* used while stale: about to be asked after unless the transport says that it answers */
    NEIGH_PROBE,      /* asked after by unicast */
    NEIGH_FAILED      /* did not answer; asked again when next used */
};

struct neigh {
    struct base_link hash_link, age_link; /* age: those that nobody holds, least recently used first */
    struct ip ip;
    struct iface *iface;
    struct timer timer;                     /* TIMER_NEIGH */
    struct frame *queue_first, *queue_last; /* IP packets without an Ethernet header */
    uint64_t confirmed_ns;                  /* when it was last known to be reachable */
    uint64_t reachable_ns;                  /* for how long that makes it so */
    uint64_t asked_ns;                      /* when it was last asked */
    uint64_t learned_ns;                    /* when it last said its MAC in an answer */
    uint32_t refs;                          /* paths (dst.h) that point here */
    uint8_t mac[MAC_SIZE];
    uint8_t state; /* enum neigh_state */
    uint8_t probes;
    uint8_t queue_count;
    bool is_static, is_router;
};

/* The entry for an on-link unicast address, made if needed, with a reference; NULL: the table is full of entries that
 * are in use. */
struct neigh *pal__n_neigh_get(struct iface *iface, const struct ip *ip);
void pal__n_neigh_put(struct neigh *neigh);

/* Only if it is there; no reference. */
struct neigh *pal__n_neigh_find(struct iface *iface, const struct ip *ip);

/* Sends an IP packet to it, now or when it has answered; takes the frame. If it never answers, each packet that waited
 * is handed to pal__n_ip_failed (ip.h) with PAL_EHOSTUNREACH. */
void pal__n_neigh_send(struct neigh *neigh, struct frame *frame, uint16_t type);

/* True if a packet would go out now: its MAC is known. */
static inline bool neigh_is_known(const struct neigh *neigh)
{
    return neigh->state != NEIGH_INCOMPLETE && neigh->state != NEIGH_FAILED;
}

/* The transport has seen progress through it (RFC 4861 7.3.1). */
void pal__n_neigh_confirm(struct neigh *neigh);

/* The transport has seen none for a while: ask after it (RFC 1122 4.2.3.5, R1). */
void pal__n_neigh_suspect(struct neigh *neigh);

/* A neighbour that never ages: pal__n_neighbour_add of netstack.h is in neigh.c too. Neighbours that somebody holds or
 * that packets wait for; walks all. */
uint32_t pal__n_neigh_held(const struct netstack *stack);

/* What ARP and ND have learned: mac of ip, solicited (an answer to our question) or not; override: replaces a different
 * MAC. create: make an entry if there is none. */
void pal__n_neigh_learn(struct iface *iface, const struct ip *ip, const uint8_t mac[MAC_SIZE], bool solicited,
                        bool override, bool create);

/* ---- arp.c (RFC 826, 5227) ---- */
void pal__n_arp_in(struct iface *iface, struct frame *frame); /* data at the ARP header; takes the frame */
/* Asks for ip; mac NULL: everybody, else that station. */
void pal__n_arp_ask(struct iface *iface, const struct ip *ip, const uint8_t *mac);
void pal__n_arp_announce(struct iface_addr *addr); /* gratuitous, or a probe while tentative */

/* ---- nd.c (RFC 4861, 4862) ---- */
struct packet;

/* The solicited-node group of an address (RFC 4291 2.7.1). */
static inline struct ip nd_solicited_node(const struct ip *ip)
{
    struct ip group = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ip->bytes[13], ip->bytes[14], ip->bytes[15]}};

    return group;
}

void pal__n_nd_in(struct netstack *stack, struct packet *packet); /* an ICMPv6 message of types 133-137; takes it */
void pal__n_nd_ask(struct iface *iface, const struct ip *ip, const uint8_t *mac);
void pal__n_nd_probe(struct iface_addr *addr);    /* duplicate address detection */
void pal__n_nd_announce(struct iface_addr *addr); /* unsolicited advertisement */

#endif
