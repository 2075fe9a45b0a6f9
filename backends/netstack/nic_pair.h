/* nic_pair.h: two nics joined by a wire in memory: what one sends, the other receives.
 *
 * Deterministic. It has no clock: with a time set, each direction has a delay and a rate, and the next frame a date;
 * without one, what was sent is there at once. The wire loses nothing but what finds no frame at the receiver, what is
 * too large for it and what was under way when the link went down (each counted); for more faults see nic_faults.h. */
#ifndef PAL__NETSTACK_NIC_PAIR_H
#define PAL__NETSTACK_NIC_PAIR_H

#include "nic.h"
#include <pal/os.h>

/* One end, and the direction in which it sends. Every 0 is the default that stands beside it. */
struct pair_end {
    uint32_t flags;        /* NIC_TX_CHECKSUM, NIC_RX_CHECKSUM, NIC_PADS, NIC_TX_SEGMENTS (and 6): it really does so */
    uint32_t mtu;          /* 1500 */
    uint32_t frames;       /* its pool: 1024 */
    uint32_t ring;         /* frames that it can have under way: 256 */
    uint32_t large;        /* frames for segments, of 16 KiB: with NIC_TX_SEGMENTS 64, else none */
    uint64_t delay_ns;     /* how long a frame is under way */
    uint64_t rate_bps;     /* bits per second; 0: no limit */
    bool use_filter;       /* receives no groups but those that filter() names; else all */
    uint8_t mac[MAC_SIZE]; /* all zero: 02:00:00:00:00:01, the other end :02 */
};

struct pair_config {
    const struct pal_allocator *allocator; /* for create and destroy only */
    struct pair_end ends[2];
};

/* What an end has counted. */
struct pair_counts {
    uint64_t sent, received; /* frames */
    uint64_t tx_full;        /* calls of tx that did not take all */
    uint64_t rx_none;        /* lost: no frame to receive into */
    uint64_t rx_large;       /* lost: larger than this end's mtu */
    uint64_t rx_filtered;    /* not received: a group that nobody has asked for */
    uint64_t link_down;      /* lost because the link was down */
};

struct nic_pair;

/* PAL_ENOMEM. */
int pal__n_pair_create(const struct pair_config *config, struct nic_pair **out);

/* Frames that somebody still has die with it. */
void pal__n_pair_destroy(struct nic_pair *pair);

/* end: 0 or 1. */
struct nic *pal__n_pair_nic(struct nic_pair *pair, int end);

/* Time, which does not go back. */
void pal__n_pair_set_time(struct nic_pair *pair, uint64_t now_ns);

/* When the next frame can be received by either end: not after the time set: now. UINT64_MAX: nothing is under way. */
uint64_t pal__n_pair_next(const struct nic_pair *pair);

/* For what is sent by an end from now on; it does not overtake what was sent before. */
void pal__n_pair_set_path(struct nic_pair *pair, int end, uint64_t delay_ns, uint64_t rate_bps);

/* Down: what is under way and what is sent from now on is lost, and caps say NIC_LINK_DOWN. */
void pal__n_pair_set_link(struct nic_pair *pair, bool up);

/* Would this end receive a frame to that group? */
bool pal__n_pair_hears(const struct nic_pair *pair, int end, const uint8_t mac[MAC_SIZE]);

/* Frames of an end's pool that are taken, those under way included. */
uint32_t pal__n_pair_used(const struct nic_pair *pair, int end);

const struct pair_counts *pal__n_pair_counts(const struct nic_pair *pair, int end);

#endif
