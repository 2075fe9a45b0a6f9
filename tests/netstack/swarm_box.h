/* tests/netstack/swarm_box.h: a box on the way to a stack that does what boxes do to TCP: takes options out of SYNs,
 * cuts segments where it likes, and has a narrower link behind it, of which it tells by ICMP. */
#ifndef TESTS_NETSTACK_SWARM_BOX_H
#define TESTS_NETSTACK_SWARM_BOX_H

#include "../../backends/netstack/nic.h"

enum {
    BOX_STRIPS_SACK = 1,
    BOX_STRIPS_TIMESTAMPS = 2,
    BOX_STRIPS_SCALE = 4,
    BOX_STRIPS_MSS = 8,
    BOX_TOLD_MAX = 32,
    BOX_LAST_MAX = 9000
};

struct box {
    struct nic nic;
    struct nic *below;
    struct box *other;    /* on the way back: what it is told goes there */
    uint32_t strips;      /* BOX_* */
    uint32_t split_ppm;   /* segments cut in two */
    uint32_t overlap_ppm; /* segments before which one comes that begins in the one before and ends in them */
    uint32_t window_ppm;  /* segments whose window is made smaller */
    uint32_t mtu;         /* of the link behind it; 0: wide enough */
    uint64_t state;       /* of its random numbers */
    struct frame *told[BOX_TOLD_MAX]; /* messages on their way to this box's stack */
    uint32_t told_count;
    uint32_t last_size, last_seq, last_ports; /* the latest segment that had payload, and that */
    uint8_t last[BOX_LAST_MAX];
    uint64_t stripped, split, overlapped, narrowed, too_big; /* counted */
};

/* The rest of it is the caller's to fill in; made of zeroes it does nothing. */
void box_begin(struct box *box, struct nic *below, uint64_t seed);
void box_end(struct box *box);

#endif
