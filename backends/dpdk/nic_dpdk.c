/* nic_dpdk.c: a queue pair as a nic: bursts of mbufs in, bursts of mbufs out, frames that are the same memory. */
#include "nic_dpdk.h"

#include "../netstack/wire.h"
#include <palio/base/assertion.h>
#include <palio/base/container.h>
#include <rte_cycles.h>
#include <rte_prefetch.h>

enum { REFUSED_S = 1 }; /* what a port that is up has not taken for so long it never takes */
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

/* A copy in a buffer of ours, in a large one if need be: another machine on this host may send what it leaves uncut.
 * NULL: there is no such buffer, or it is larger still. */
static struct rte_mbuf *copy_in(struct dpdk_queue *queue, const struct rte_mbuf *mbuf)
{
    struct rte_mempool *pool = mbuf->pkt_len <= queue->port->room ? queue->pool : queue->large;
    struct rte_mbuf *copy = NULL;
    const void *bytes;

    if (pool != NULL && mbuf->pkt_len <= DPDK_LARGE_ROOM)
        copy = rte_mbuf_raw_alloc(pool);
    if (copy == NULL)
        return NULL;
    copy->data_off = FRAME_HEADROOM;
    copy->pkt_len = mbuf->pkt_len;
    copy->data_len = (uint16_t)mbuf->pkt_len;
    copy->ol_flags = mbuf->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
    bytes = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, rte_pktmbuf_mtod(copy, void *));
    if (bytes != rte_pktmbuf_mtod(copy, void *)) /* it lies in one piece */
        memcpy(rte_pktmbuf_mtod(copy, void *), bytes, mbuf->pkt_len);
    return copy;
}

/* Of several buffers, or of memory that is the driver's: in one buffer of ours. NULL: it does not fit, and is gone. */
static struct rte_mbuf *join(struct dpdk_queue *queue, struct rte_mbuf *mbuf)
{
    struct rte_mbuf *copy;

    if (RTE_MBUF_DIRECT(mbuf) && rte_pktmbuf_linearize(mbuf) == 0) {
        queue->counts.rx_joined++;
        return mbuf;
    }
    copy = copy_in(queue, mbuf);
    queue->counts.rx_joined += copy != NULL;
    queue->counts.rx_lost += copy == NULL;
    rte_pktmbuf_free(mbuf);
    return copy;
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
        if (mbuf->nb_segs != 1 || !RTE_MBUF_DIRECT(mbuf))
            mbuf = join(queue, mbuf);
        if (mbuf != NULL)
            frames[count++] = take_in(queue, mbuf);
    }
    queue->held += (uint32_t)count;
    queue->counts.received += (uint64_t)count;
    return count;
}

/* ---- buffers ---- */

static struct frame *give_out(struct dpdk_queue *queue, struct rte_mbuf *mbuf)
{
    struct frame *frame = frame_of(mbuf);

    queue->held++;
    frame->data = frame->memory + FRAME_HEADROOM;
    frame->next = frame->more = frame->last = NULL;
    frame->home = &queue->nic;
    frame->time_ns = 0;
    frame->size = 0;
    frame->seq = frame->end = 0;
    frame->flags = frame->segment_size = frame->csum_start = frame->csum_offset = 0;
    return frame;
}

static struct frame *dpdk_alloc(struct nic *nic)
{
    struct dpdk_queue *queue = queue_of(nic);
    struct rte_mbuf *mbuf = rte_mbuf_raw_alloc(queue->pool);

    queue->counts.no_buffer += mbuf == NULL;
    return mbuf == NULL ? NULL : give_out(queue, mbuf);
}

/* Without one, segments go one by one. */
static struct frame *segments_alloc(struct nic *nic)
{
    struct dpdk_queue *queue = BASE_CONTAINER_OF(nic, struct dpdk_queue, segments);
    struct rte_mbuf *mbuf = queue->cuts ? rte_mbuf_raw_alloc(queue->large) : NULL;

    return mbuf == NULL ? NULL : give_out(queue, mbuf);
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

/* Has it cut the payload besides, behind what ask_checksum has said; each segment's IP header gets a checksum too. */
static void ask_segments(struct rte_mbuf *mbuf, const struct frame *frame)
{
    bool is_v4 = (mbuf->ol_flags & RTE_MBUF_F_TX_IPV4) != 0;

    mbuf->l4_len = (uint64_t)(frame->data[frame->csum_start + TCP_OFFSET] >> 4) * 4;
    mbuf->tso_segsz = frame->segment_size;
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    if (!is_v4)
        return;
    mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    put16(frame->data + ETH_SIZE + IP4_CHECKSUM, 0); /* as drivers want it */
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
    if ((frame->flags & FRAME_SEGMENTS) != 0)
        ask_segments(mbuf, frame);
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

/* Would the port send it, if it had room? What is to be cut is of a large buffer of ours. */
static bool may_go(const struct dpdk_queue *queue, const struct frame *frame)
{
    if ((frame->flags & FRAME_SEGMENTS) != 0)
        return queue->cuts && frame->home == &queue->nic;
    return frame->size <= queue->port->room;
}

/* Ends a frame that would stay at the head of the queue for ever. If it was to be cut, no more of those are made; what
 * was in it is sent again, segment by segment. */
static void lose(struct dpdk_queue *queue, struct frame *frame)
{
    if ((frame->flags & FRAME_SEGMENTS) != 0)
        queue->cuts = false;
    queue->counts.tx_lost++;
    frame_free(frame);
}

/* A port that takes nothing is full, and a driver that does not cut, or not this, looks the same: time tells. True: the
 * frame at the head is one that it will never take. */
static bool is_refused(struct dpdk_queue *queue, const struct frame *frame)
{
    if ((frame->flags & FRAME_SEGMENTS) == 0 || !queue->port->is_up) {
        queue->refused_since = 0;
        return false;
    }
    if (queue->refused_since == 0)
        queue->refused_since = rte_get_timer_cycles() | 1;
    return rte_get_timer_cycles() - queue->refused_since > REFUSED_S * rte_get_timer_hz();
}

/* At most a burst: how many are no longer the caller's. */
static int send_burst(struct dpdk_queue *queue, struct frame **frames, int count, bool *is_full)
{
    struct rte_mbuf *mbufs[DPDK_BURST];
    int ready = 0, sent, able;

    while (ready < count && may_go(queue, frames[ready])) {
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
    if (sent > 0)
        queue->refused_since = 0;
    *is_full = sent < able || (ready < count && may_go(queue, frames[ready]));
    if (sent == able ? able < count && (able < ready || !may_go(queue, frames[able]))
                     : sent == 0 && is_refused(queue, frames[0])) {
        lose(queue, frames[sent]); /* the driver refuses it, or it is too large */
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

/* ---- from queue to queue ---- */

bool pal__d_nic_has(const struct frame *frame)
{
    return frame->home != NULL && frame->home->ops->rx == dpdk_rx;
}

struct rte_mbuf *pal__d_nic_give(struct frame *frame)
{
    queue_of(frame->home)->held--;
    frame->home = NULL;
    return mbuf_of(frame);
}

struct frame *pal__d_nic_take(struct nic *nic, struct rte_mbuf *mbuf)
{
    struct dpdk_queue *queue = queue_of(nic);

    queue->held++;
    return take_in(queue, mbuf);
}

struct rte_mbuf *pal__d_nic_copy(const struct frame *frame)
{
    struct dpdk_queue *queue = queue_of(frame->home);
    const struct rte_mbuf *from = frame->native;
    struct rte_mbuf *mbuf;

    if (frame->size > queue->port->room) /* it was joined in a large buffer */
        return NULL;
    mbuf = rte_mbuf_raw_alloc(queue->pool);
    if (mbuf == NULL) {
        queue->counts.no_buffer++;
        return NULL;
    }
    frame_of(mbuf)->home = NULL;
    mbuf->data_off = FRAME_HEADROOM;
    mbuf->data_len = (uint16_t)frame->size;
    mbuf->pkt_len = frame->size;
    mbuf->ol_flags = from->ol_flags;
    memcpy(rte_pktmbuf_mtod(mbuf, void *), frame->data, frame->size);
    return mbuf;
}

/* ---- the rest of a nic ---- */

static void dpdk_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct dpdk_queue *queue = (const struct dpdk_queue *)(const void *)nic;
    const struct dpdk_port *port = queue->port;

    memset(out, 0, sizeof(*out));
    out->flags = port->flags | (port->is_up ? 0 : (uint32_t)NIC_LINK_DOWN);
    out->mtu = port->mtu;
    out->frame_room = port->room;
    if (queue->cuts) {
        out->segments = &((struct dpdk_queue *)(uintptr_t)queue)->segments;
        out->segments_room = DPDK_LARGE_ROOM;
        out->segment_max = port->segment_max;
    } else {
        out->flags &= ~(uint32_t)(NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6);
    }
    memcpy(out->mac, port->mac, MAC_SIZE);
}

static void dpdk_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    pal__d_filter(queue_of(nic), macs, count);
}

static const struct nic_ops dpdk_ops = {dpdk_rx, dpdk_tx, dpdk_alloc, dpdk_free, dpdk_caps, dpdk_filter};
static const struct nic_ops segments_ops = {.alloc = segments_alloc};

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

void pal__d_nic_init(struct dpdk_queue *queue, struct dpdk_port *port, uint16_t index, struct rte_mempool *pool,
                     struct rte_mempool *large)
{
    queue->nic.ops = &dpdk_ops;
    queue->segments.ops = &segments_ops;
    queue->port = port;
    queue->port_id = port->id;
    queue->index = index;
    queue->pool = pool;
    queue->large = large;
    queue->cuts = large != NULL && (port->flags & NIC_TX_SEGMENTS) != 0;
    queue->prepares = (port->flags & NIC_TX_CHECKSUM) != 0;
    queue->rx_checked = (port->flags & NIC_RX_CHECKSUM) != 0;
    (void)rte_mempool_obj_iter(pool, init_frame, NULL);
    if (large != NULL)
        (void)rte_mempool_obj_iter(large, init_frame, NULL);
}
