/* nic_dpdk.h: a queue pair of a port as a nic of the stack. What port.c makes and nic_dpdk.c runs. */
#ifndef PAL__DPDK_NIC_DPDK_H
#define PAL__DPDK_NIC_DPDK_H

#include "ethdev.h"
#include "mbuf.h"
#include "port.h"
#include <pthread.h>
#include <rte_mbuf.h>

_Static_assert(FRAME_HEADROOM == RTE_PKTMBUF_HEADROOM, "received and allocated frames have the same headroom");
_Static_assert(sizeof(struct rte_mbuf) == 128, "as mbuf.h reckons");

enum { DPDK_BURST = 32, DPDK_GROUPS_MAX = 128 };

struct dpdk_queue {
    struct nic nic;
    struct nic segments; /* gives the large frames */
    struct dpdk_port *port;
    struct rte_mempool *pool;
    struct rte_mempool *large; /* NULL: there are none */
    uint16_t port_id, index;
    bool prepares;          /* the driver wants to see what it is to compute checksums of */
    bool rx_checked;        /* received frames say what the card thinks of their checksums */
    bool cuts;              /* the card cuts large frames into segments: until it has refused one */
    uint32_t held;          /* frames that the stack or the program has */
    uint64_t refused_since; /* timer cycles: since when it has not taken the same one; 0: it has */
    struct dpdk_queue_counts counts;
    uint8_t groups[DPDK_GROUPS_MAX][MAC_SIZE]; /* multicast addresses of this queue's stack */
    uint32_t group_count;
};

struct dpdk_port {
    uint16_t id;
    bool is_ours;    /* the device: open has made it */
    bool is_started; /* and is to be stopped */
    bool is_up;      /* the link, when last looked at */
    bool spreads;    /* by hash */
    bool interrupts; /* were asked for */
    bool hears_all;  /* groups; more than it can choose, or it cannot */
    bool is_promisc; /* it was made to hear everything, for the sake of groups */
    uint32_t flags;  /* NIC_* of its queues */
    uint32_t mtu, room;
    uint32_t segment_max; /* as struct nic_caps has it */
    uint8_t mac[MAC_SIZE];
    uint16_t rx_descriptors, tx_descriptors;
    enum dpdk_kind kind;
    char name[DPDK_WORD_MAX];
    struct rte_eth_dev_info info;
    pthread_mutex_t lock; /* of the groups of all queues */
    uint32_t queue_count;
    struct dpdk_queue queues[];
};

/* ---- nic_dpdk.c ---- */

/* large: for FRAME_SEGMENTS, and for what is received in too many pieces for a buffer of pool; NULL: none. */
void pal__d_nic_init(struct dpdk_queue *queue, struct dpdk_port *port, uint16_t index, struct rte_mempool *pool,
                     struct rte_mempool *large);

/* What steer.c does with received frames of a card whose queues have a stack each. */

/* It is a queue's, of whatever port: not of the loopback interface, nor put together from several. */
bool pal__d_nic_has(const struct frame *frame);

/* Its mbuf as it was received, nobody's: to be given to another queue's thread, or freed. */
struct rte_mbuf *pal__d_nic_give(struct frame *frame);

/* Such an mbuf as a received frame of this queue. */
struct frame *pal__d_nic_take(struct nic *nic, struct rte_mbuf *mbuf);

/* A copy, nobody's, of a frame as it was received; NULL: its queue has no buffer left, or none so large. */
struct rte_mbuf *pal__d_nic_copy(const struct frame *frame);

/* ---- filter.c ---- */

/* All the groups of this queue from now on; the port hears those of all its queues. */
void pal__d_filter(struct dpdk_queue *queue, const uint8_t (*macs)[MAC_SIZE], int count);

#endif
