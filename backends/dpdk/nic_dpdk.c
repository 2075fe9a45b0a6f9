/* nic_dpdk.c: a queue pair as a nic: bursts of mbufs in, bursts of mbufs out, frames that are the same memory. */
#include "nic_dpdk.h"

#include "../netstack/wire.h"
#include <palio/base/assertion.h>
#include <rte_prefetch.h>

enum { GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD };

static struct dpdk_queue *queue_of(struct nic *nic)
{
    return (struct dpdk_queue *)(void *)nic;
}

/* A frame's head is the beginning of its mbuf's private area. */
static struct frame *frame_of(struct rte_mbuf *mbuf)
{
    return (struct frame *)(void *)(mbuf + 1);
}

static struct rte_mbuf *mbuf_of(struct frame *frame)
{
    return frame->native;
}

/* ---- receiving ---- */

/* What the card does not say about a frame whose transport it found right: FRAME_CSUM_GOOD if its IP header needs no
 * checksum or has a right one, and the transport's is in one piece. */
static uint16_t verdict_of_ip(const uint8_t *data, uint32_t size)
{
    uint32_t header, sum = 0;

    if (size >= ETH_SIZE + IP6_SIZE && get16(data + ETH_TYPE) == ETH_P_IP6)
        return FRAME_CSUM_GOOD;
    if (size < ETH_SIZE + IP4_SIZE || get16(data + ETH_TYPE) != ETH_P_IP4)
        return 0;
    data += ETH_SIZE;
    header = (data[IP4_VERSION_LENGTH] & 15) * 4U;
    if (header < IP4_SIZE || header > size - ETH_SIZE)
        return 0;
    for (uint32_t i = 0; i < header; i += 2)
        sum += get16(data + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff ? FRAME_CSUM_GOOD : 0; /* the stack finds what is wrong, and counts it */
}

/* UDP over IPv4 may have none (RFC 768), and not all cards know. */
static bool has_no_checksum(const uint8_t *data, uint32_t size)
{
    uint32_t at = ETH_SIZE + (size > ETH_SIZE ? (data[ETH_SIZE + IP4_VERSION_LENGTH] & 15) * 4U : 0);

    return size >= at + UDP_SIZE && get16(data + ETH_TYPE) == ETH_P_IP4 &&
           data[ETH_SIZE + IP4_PROTOCOL] == PAL_IPPROTO_UDP && get16(data + at + UDP_CHECKSUM) == 0;
}

/* The card's flags as FRAME_*. */
static uint16_t verdict(const struct rte_mbuf *mbuf, const uint8_t *data)
{
    uint64_t ip = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    uint64_t transport = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

    if ((mbuf->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK)) == GOOD)
        return FRAME_CSUM_GOOD;
    if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD)
        return FRAME_CSUM_BAD;
    if (transport == RTE_MBUF_F_RX_L4_CKSUM_BAD)
        return has_no_checksum(data, mbuf->data_len) ? 0 : FRAME_CSUM_BAD;
    /* NONE: from another machine on this host, which has left the checksum out: the bytes are right. */
    if (transport == RTE_MBUF_F_RX_L4_CKSUM_GOOD || transport == RTE_MBUF_F_RX_L4_CKSUM_NONE)
        return verdict_of_ip(data, mbuf->data_len);
    return 0;
}

/* In one buffer; NULL: it does not fit, and is gone. */
static struct rte_mbuf *join(struct dpdk_queue *queue, struct rte_mbuf *mbuf)
{
    if (rte_pktmbuf_linearize(mbuf) == 0) {
        queue->counts.rx_joined++;
        return mbuf;
    }
    queue->counts.rx_lost++;
    rte_pktmbuf_free(mbuf);
    return NULL;
}

static struct frame *take_in(struct dpdk_queue *queue, struct rte_mbuf *mbuf)
{
    struct frame *frame = frame_of(mbuf);

    frame->data = frame->memory + mbuf->data_off;
    frame->next = frame->more = frame->last = NULL;
    frame->home = &queue->nic;
    frame->time_ns = 0;
    frame->size = mbuf->data_len;
    frame->seq = frame->end = 0;
    frame->flags = queue->rx_checked ? verdict(mbuf, frame->data) : 0;
    frame->segment_size = frame->csum_start = frame->csum_offset = 0;
    return frame;
}

static int dpdk_rx(struct nic *nic, struct frame **frames, int max)
{
    struct dpdk_queue *queue = queue_of(nic);
    struct rte_mbuf *mbufs[DPDK_BURST];
    uint16_t received;
    int count = 0;

    if (max > DPDK_BURST)
        max = DPDK_BURST;
    received = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, (uint16_t)max);
    for (uint16_t i = 0; i < received; i++)
        rte_prefetch0(frame_of(mbufs[i]));
    for (uint16_t i = 0; i < received; i++) {
        struct rte_mbuf *mbuf = mbufs[i];

        if (i + 1 < received)
            rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 1], void *));
        if (mbuf->nb_segs != 1)
            mbuf = join(queue, mbuf);
        if (mbuf != NULL)
            frames[count++] = take_in(queue, mbuf);
    }
    queue->held += (uint32_t)count;
    queue->counts.received += (uint64_t)count;
    return count;
}

/* ---- buffers ---- */

static struct frame *dpdk_alloc(struct nic *nic)
{
    struct dpdk_queue *queue = queue_of(nic);
    struct rte_mbuf *mbuf = rte_mbuf_raw_alloc(queue->pool);
    struct frame *frame;

    if (mbuf == NULL) {
        queue->counts.no_buffer++;
        return NULL;
    }
    queue->held++;
    frame = frame_of(mbuf);
    frame->data = frame->memory + FRAME_HEADROOM;
    frame->next = frame->more = frame->last = NULL;
    frame->home = nic;
    frame->time_ns = 0;
    frame->size = 0;
    frame->seq = frame->end = 0;
    frame->flags = frame->segment_size = frame->csum_start = frame->csum_offset = 0;
    return frame;
}

static void dpdk_free(struct nic *nic, struct frame *frame)
{
    BASE_ASSERT(frame->home == nic); /* NULL: it has been freed or sent before */
    frame->home = NULL;
    queue_of(nic)->held--;
    rte_pktmbuf_free_seg(mbuf_of(frame));
}

/* ---- sending ---- */

/* Has the card compute the transport's checksum; its field holds the pseudo-header's sum already. */
static void ask_checksum(struct rte_mbuf *mbuf, const struct frame *frame)
{
    bool is_v4 = get16(frame->data + ETH_TYPE) == ETH_P_IP4;

    BASE_ASSERT(frame->csum_start + frame->csum_offset + 2U <= frame->size);
    mbuf->l2_len = ETH_SIZE;
    mbuf->l3_len = (uint64_t)(frame->csum_start - ETH_SIZE) & 0x1ff;
    mbuf->ol_flags = is_v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    mbuf->ol_flags |= frame->csum_offset == UDP_CHECKSUM ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
}

/* The frame's own mbuf, or for a frame of another nic a copy; NULL: no buffer for that. */
static struct rte_mbuf *mbuf_to_send(struct dpdk_queue *queue, struct frame *frame)
{
    struct rte_mbuf *mbuf;

    if (frame->home == &queue->nic) {
        mbuf = mbuf_of(frame);
        mbuf->data_off = (uint16_t)(frame->data - frame->memory);
        frame->home = NULL; /* until it is known to be the caller's still */
    } else {
        mbuf = rte_mbuf_raw_alloc(queue->pool);
        if (mbuf == NULL) {
            queue->counts.no_buffer++;
            return NULL;
        }
        frame_of(mbuf)->home = NULL;
        mbuf->data_off = FRAME_HEADROOM;
        memcpy(rte_pktmbuf_mtod(mbuf, void *), frame->data, frame->size);
    }
    mbuf->data_len = (uint16_t)frame->size;
    mbuf->pkt_len = frame->size;
    mbuf->ol_flags = 0;
    mbuf->tx_offload = 0;
    if ((frame->flags & FRAME_CSUM_NEEDED) != 0)
        ask_checksum(mbuf, frame);
    return mbuf;
}

/* What was taken is the port's; a frame that was copied goes home. The rest is the caller's again. */
static void settle(struct dpdk_queue *queue, struct frame **frames, struct rte_mbuf **mbufs, int sent, int count)
{
    for (int i = 0; i < count; i++) {
        bool is_copy = mbufs[i] != frames[i]->native; /* of a frame that was taken, all else may be another thread's */

        if (!is_copy && i < sent) {
            queue->held--;
        } else if (!is_copy) {
            frames[i]->home = &queue->nic;
        } else if (i < sent) {
            queue->counts.tx_copied++;
            frame_free(frames[i]);
        } else {
            rte_pktmbuf_free_seg(mbufs[i]);
        }
    }
}

/* Ends a frame that would stay at the head of the queue for ever. */
static void lose(struct dpdk_queue *queue, struct frame *frame)
{
    queue->counts.tx_lost++;
    frame_free(frame);
}

/* At most a burst: how many are no longer the caller's. */
static int send_burst(struct dpdk_queue *queue, struct frame **frames, int count, bool *is_full)
{
    struct rte_mbuf *mbufs[DPDK_BURST];
    int ready = 0, sent, able;

    while (ready < count && frames[ready]->size <= queue->port->room) {
        BASE_ASSERT((frames[ready]->flags & FRAME_SEGMENTS) == 0); /* NIC_TX_SEGMENTS is never told */
        mbufs[ready] = mbuf_to_send(queue, frames[ready]);
        if (mbufs[ready] == NULL)
            break;
        ready++;
    }
    able = ready;
    if (queue->prepares && ready > 0)
        able = rte_eth_tx_prepare(queue->port_id, queue->index, mbufs, (uint16_t)ready);
    sent = able == 0 ? 0 : rte_eth_tx_burst(queue->port_id, queue->index, mbufs, (uint16_t)able);
    settle(queue, frames, mbufs, sent, ready);
    queue->counts.sent += (uint64_t)sent;
    *is_full = sent < able || (ready < count && frames[ready]->size <= queue->port->room);
    if (sent == able && able < count && (able < ready || frames[able]->size > queue->port->room)) {
        lose(queue, frames[able]); /* the driver refuses it, or it is too large */
        *is_full = false;
        return sent + 1;
    }
    return sent;
}

static int dpdk_tx(struct nic *nic, struct frame **frames, int count)
{
    struct dpdk_queue *queue = queue_of(nic);
    bool is_full = false;
    int taken = 0;

    while (taken < count && !is_full) {
        int burst = count - taken < DPDK_BURST ? count - taken : DPDK_BURST;

        taken += send_burst(queue, frames + taken, burst, &is_full);
    }
    queue->counts.tx_full += taken < count;
    return taken;
}

/* ---- the rest of a nic ---- */

static void dpdk_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct dpdk_port *port = ((const struct dpdk_queue *)(const void *)nic)->port;

    memset(out, 0, sizeof(*out));
    out->flags = port->flags | (port->is_up ? 0 : (uint32_t)NIC_LINK_DOWN);
    out->mtu = port->mtu;
    out->frame_room = port->room;
    memcpy(out->mac, port->mac, MAC_SIZE);
}

static void dpdk_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    pal__d_filter(queue_of(nic), macs, count);
}

static const struct nic_ops dpdk_ops = {dpdk_rx, dpdk_tx, dpdk_alloc, dpdk_free, dpdk_caps, dpdk_filter};

/* What of a frame's head never changes. */
static void init_frame(struct rte_mempool *pool, void *context, void *object, unsigned index)
{
    struct rte_mbuf *mbuf = object;
    struct frame *frame = frame_of(mbuf);

    (void)pool;
    (void)context;
    (void)index;
    memset(frame, 0, DPDK_PRIVATE);
    frame->memory = mbuf->buf_addr;
    frame->memory_size = mbuf->buf_len;
    frame->native = mbuf;
}

void pal__d_nic_init(struct dpdk_queue *queue, struct dpdk_port *port, uint16_t index, struct rte_mempool *pool)
{
    queue->nic.ops = &dpdk_ops;
    queue->port = port;
    queue->port_id = port->id;
    queue->index = index;
    queue->pool = pool;
    queue->prepares = (port->flags & NIC_TX_CHECKSUM) != 0;
    queue->rx_checked = (port->flags & NIC_RX_CHECKSUM) != 0;
    (void)rte_mempool_obj_iter(pool, init_frame, NULL);
}
