/* ether.c: Ethernet II frames: in as far as their type, out behind those that wait for the nic (RFC 894).
 *
 * It does not know who is on the link (neigh.c) nor who listens to which group: IP asks that. Tagged frames (802.1Q)
 * are of an unknown type. Each function takes its frame. */
#include "stack.h"
#include "wire.h"

static bool is_group(const uint8_t *mac)
{
    return (mac[0] & 1) != 0;
}

/* False: the frame is gone. */
static bool is_for_us(struct iface *iface, struct frame *frame)
{
    struct netstack *stack = iface->stack;

    if (!is_group(frame->data + ETH_DST) && memcmp(frame->data + ETH_DST, iface->mac, MAC_SIZE) != 0) {
        drop(stack, frame, COUNTER_eth_drop_dst); /* a promiscuous port, or a switch that floods */
        return false;
    }
    /* Our own frames come back from some links: what is for us as well was looped inside already. */
    if (is_group(frame->data + ETH_SRC) || memcmp(frame->data + ETH_SRC, iface->mac, MAC_SIZE) == 0) {
        drop(stack, frame, COUNTER_eth_drop_src);
        return false;
    }
    return true;
}

void pal__n_ether_in(struct iface *iface, struct frame *frame)
{
    struct netstack *stack = iface->stack;
    bool link_group;
    uint16_t type;

    count(stack, COUNTER_eth_in);
    if (frame->size < ETH_SIZE) {
        drop(stack, frame, COUNTER_eth_drop_short);
        return;
    }
    if (iface_is_loopback(iface))
        iface = pal__n_loopback_target(stack, frame);
    else if (!is_for_us(iface, frame))
        return;
    link_group = is_group(frame->data + ETH_DST);
    type = get16(frame->data + ETH_TYPE);
    frame_pull(frame, ETH_SIZE);
    if (type == ETH_P_IP4)
        pal__n_ip4_in(iface, frame, link_group);
    else if (type == ETH_P_IP6)
        pal__n_ip6_in(iface, frame, link_group);
    else if (type == ETH_P_ARP)
        pal__n_arp_in(iface, frame);
    else
        drop(stack, frame, COUNTER_eth_drop_type);
}

/* Puts zeros behind a short frame. A frame that was received has perhaps no room there, but then in front. */
static bool pad(struct frame *frame)
{
    uint32_t missing = ETH_FRAME_MIN - frame->size;
    uint32_t room = frame_tailroom(frame);

    if (room < missing) {
        uint32_t shift = missing - room;

        if (frame_headroom(frame) < shift)
            return false;
        memmove(frame->data - shift, frame->data, frame->size);
        frame->data -= shift;
    }
    memset(frame->data + frame->size, 0, missing);
    frame->size = ETH_FRAME_MIN;
    return true;
}

void pal__n_ether_out(struct iface *iface, struct frame *frame, const uint8_t dst[MAC_SIZE], uint16_t type)
{
    struct netstack *stack = iface->stack;
    uint8_t *header;

    if (iface_tx_room(iface) == 0)
        pal__n_iface_flush(iface);
    if (iface_tx_room(iface) == 0) {
        drop(stack, frame, COUNTER_eth_drop_full);
        return;
    }
    if (frame->size > iface->mtu && (frame->flags & FRAME_SEGMENTS) == 0) {
        drop(stack, frame, COUNTER_eth_drop_size);
        return;
    }
    BASE_ASSERT(frame_headroom(frame) >= ETH_SIZE);
    header = frame_push(frame, ETH_SIZE);
    memcpy(header + ETH_DST, dst, MAC_SIZE);
    memcpy(header + ETH_SRC, iface->mac, MAC_SIZE);
    put16(header + ETH_TYPE, type);
    if (frame->size < ETH_FRAME_MIN && (iface->caps.flags & (NIC_PADS | NIC_LOOPBACK)) == 0 && !pad(frame)) {
        drop(stack, frame, COUNTER_eth_drop_size);
        return;
    }
    iface->pending[iface->pending_count++] = frame;
    iface->queued++;
    /* A burst is worth a call; a nic that has just refused is not asked again for every frame. */
    if (iface->pending_count % IFACE_BURST == 0)
        pal__n_iface_flush(iface);
}

void pal__n_iface_flush(struct iface *iface)
{
    struct netstack *stack = iface->stack;
    uint32_t given = iface->pending_count, taken;
    int result;

    if (given == 0)
        return;
    result = iface->nic->ops->tx(iface->nic, iface->pending, (int)given);
    taken = result > 0 ? (uint32_t)result : 0;
    BASE_ASSERT(taken <= given);
    stack->counters[COUNTER_eth_out] += taken;
    if (taken < given) {
        count(stack, COUNTER_eth_tx_full);
        memmove(iface->pending, iface->pending + taken, (given - taken) * sizeof(iface->pending[0]));
    }
    iface->pending_count = given - taken;
    iface->taken += taken;
}

void pal__n_mac_of_group(const struct ip *group, uint8_t mac[MAC_SIZE])
{
    if (ip_is_v4(group)) {
        mac[0] = 0x01;
        mac[1] = 0x00;
        mac[2] = 0x5e;
        mac[3] = group->bytes[13] & 0x7f;
        mac[4] = group->bytes[14];
        mac[5] = group->bytes[15];
    } else {
        mac[0] = mac[1] = 0x33;
        memcpy(mac + 2, group->bytes + 12, 4);
    }
}
