/* ip4.c: IPv4 (RFC 791, RFC 1122 3.2): headers that came in, taken apart and judged, and headers that go out.
 *
 * We are a host: nothing is forwarded. Any of our addresses may be reached through any interface (the weak model, RFC
 * 1122 3.3.4.2). Source routes are refused whole (RFC 7126), all other options are stepped over. Putting fragments
 * together is frag.c's. */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137, OPTION_ROUTER_ALERT = 148 };

/* Each check returns the counter of what is wrong, or this. */
enum { FINE = COUNTERS };

/* Lengths and checksum; cuts off what the link has added, and fills in what the header says. */
static int read_header(struct packet *packet)
{
    struct frame *frame = packet->frame;
    const uint8_t *at = frame->data;
    uint32_t header_size, total;

    if (frame->size < IP4_SIZE || at[IP4_VERSION_LENGTH] >> 4 != 4)
        return COUNTER_ip4_drop_header;
    header_size = (at[IP4_VERSION_LENGTH] & 15U) * 4;
    total = get16(at + IP4_TOTAL);
    if (header_size < IP4_SIZE || total < header_size || total > frame->size)
        return COUNTER_ip4_drop_header;
    if ((packet->flags & PACKET_CSUM_GOOD) == 0 &&
        pal__n_checksum_fold(pal__n_checksum_add(0, at, header_size)) != 0xffff)
        return COUNTER_ip4_drop_checksum;
    frame->size = total;
    packet->header = at;
    packet->header_size = header_size;
    packet->protocol_offset = IP4_PROTOCOL;
    packet->protocol = at[IP4_PROTOCOL];
    packet->hops = at[IP4_TTL];
    packet->tos = at[IP4_TOS];
    packet->src = ip_of_v4(at + IP4_SRC);
    packet->dst = ip_of_v4(at + IP4_DST);
    return FINE;
}

/* Who may send: RFC 1122 3.2.1.3. "This host" (0.0.0.0) may ask who it is, by a limited broadcast, and a querier
 * without an address may ask about groups (RFC 3376 4.1.12, RFC 4541 2.1.1). */
static int check_source(struct netstack *stack, const struct packet *packet)
{
    const struct ip *src = &packet->src;

    if (ip_is_multicast(src) || pal__n_iface_is_broadcast(packet->iface, src))
        return COUNTER_ip4_drop_src;
    if (src->bytes[12] == 0) {
        bool is_query = packet->protocol == IP_PROTOCOL_IGMP && ip_is_multicast(&packet->dst);
        bool is_boot = packet->protocol == PAL_IPPROTO_UDP && ip_is_limited_broadcast(&packet->dst);

        return ip_number(src) == 0 && (is_query || is_boot) ? FINE : COUNTER_ip4_drop_src;
    }
    if ((packet->flags & PACKET_LOOPBACK) != 0)
        return FINE;
    if (ip_is_loopback(src) || pal__n_iface_owning(stack, src) != NULL)
        return COUNTER_ip4_drop_src;
    return FINE;
}

/* For whom it is. */
static int check_destination(struct netstack *stack, struct packet *packet)
{
    const struct ip *dst = &packet->dst;
    const struct iface_addr *addr;

    if (ip_is_multicast(dst)) {
        packet->flags |= PACKET_MULTICAST;
        return pal__n_mcast_find(packet->iface, dst) != NULL ? FINE : COUNTER_ip4_drop_dst;
    }
    if (ip_is_loopback(dst))
        return iface_is_loopback(packet->iface) ? FINE : COUNTER_ip4_drop_dst;
    addr = pal__n_iface_addr(packet->iface, dst);
    if (addr != NULL && addr->state == ADDR_READY)
        return FINE;
    if (pal__n_iface_is_broadcast(packet->iface, dst)) {
        packet->flags |= PACKET_BROADCAST;
        return FINE;
    }
    return pal__n_iface_owning(stack, dst) != NULL ? FINE : COUNTER_ip4_drop_dst;
}

static int read_options(struct packet *packet)
{
    const uint8_t *at = packet->header;
    uint32_t offset = IP4_SIZE, end = packet->header_size;

    while (offset < end && at[offset] != OPTION_END) {
        uint32_t size;

        if (at[offset] == OPTION_NOP) {
            offset++;
            continue;
        }
        if (end - offset < 2)
            return COUNTER_ip4_drop_options;
        size = at[offset + 1];
        if (size < 2 || size > end - offset)
            return COUNTER_ip4_drop_options;
        if (at[offset] == OPTION_LSRR || at[offset] == OPTION_SSRR)
            return COUNTER_ip4_drop_source_route;
        if (at[offset] == OPTION_ROUTER_ALERT)
            packet->flags |= PACKET_ROUTER_ALERT;
        offset += size;
    }
    return FINE;
}

/* To its transport; takes the frame. */
static void deliver(struct netstack *stack, struct packet *packet)
{
    switch (packet->protocol) {
    case PAL_IPPROTO_TCP:
        pal__n_tcp_in(stack, packet);
        return;
    case PAL_IPPROTO_UDP:
        pal__n_udp_in(stack, packet);
        return;
    case PAL_IPPROTO_ICMP:
        pal__n_icmp_in(stack, packet);
        return;
    case IP_PROTOCOL_IGMP:
        pal__n_igmp_in(stack, packet);
        return;
    default:
        pal__n_icmp_unreachable(stack, packet, ICMP_UNREACHABLE_PROTOCOL);
        drop(stack, packet->frame, COUNTER_ip4_drop_protocol);
    }
}

void pal__n_ip4_in(struct iface *iface, struct frame *frame, bool link_group)
{
    struct netstack *stack = iface->stack;
    struct packet packet = {.frame = frame, .iface = iface};
    uint32_t fragment;
    int reason;

    count(stack, COUNTER_ip4_in);
    if (link_group)
        packet.flags |= PACKET_LINK_GROUP;
    /* What we have sent ourselves, perhaps by pal__n_ip_loop, or by a carrier. */
    if (frame->home == pal__n_loopback_nic(stack) || iface_is_loopback(iface))
        packet.flags |= PACKET_LOOPBACK | PACKET_CSUM_GOOD;
    if ((frame->flags & FRAME_CSUM_GOOD) != 0)
        packet.flags |= PACKET_CSUM_GOOD;
    reason = read_header(&packet);
    if (reason == FINE)
        reason = check_source(stack, &packet);
    if (reason == FINE)
        reason = check_destination(stack, &packet);
    if (reason == FINE && packet.header_size > IP4_SIZE)
        reason = read_options(&packet);
    if (reason != FINE) {
        drop(stack, frame, (enum netstack_counter)reason);
        return;
    }
    frame_pull(frame, packet.header_size);
    fragment = get16(packet.header + IP4_FRAGMENT);
    if ((fragment & (IP4_MF | IP4_OFFSET_MASK)) != 0 &&
        !pal__n_frag_in(stack, &packet, get16(packet.header + IP4_ID), (fragment & IP4_OFFSET_MASK) * 8,
                        (fragment & IP4_MF) != 0))
        return;
    deliver(stack, &packet);
}

void pal__n_ip4_header(const struct ip_send *how, struct frame *frame, uint32_t id, uint32_t fragment)
{
    uint32_t size = how->router_alert ? IP4_SIZE + 4 : IP4_SIZE;
    uint8_t *at = frame_push(frame, size);

    at[IP4_VERSION_LENGTH] = (uint8_t)(4 << 4 | size / 4);
    at[IP4_TOS] = how->tos;
    put16(at + IP4_TOTAL, frame->size);
    put16(at + IP4_ID, id);
    put16(at + IP4_FRAGMENT, how->dont_fragment ? fragment | IP4_DF : fragment);
    at[IP4_TTL] = ip_hops(how);
    at[IP4_PROTOCOL] = how->protocol;
    put16(at + IP4_CHECKSUM, 0);
    memcpy(at + IP4_SRC, ip_v4_bytes(&how->src), 4);
    memcpy(at + IP4_DST, ip_v4_bytes(&how->to), 4);
    if (how->router_alert) { /* RFC 2113 */
        at[IP4_SIZE] = OPTION_ROUTER_ALERT;
        at[IP4_SIZE + 1] = 4;
        put16(at + IP4_SIZE + 2, 0);
    }
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, size)));
}

int pal__n_ip4_send(struct netstack *stack, const struct ip_send *how, struct frame *frame)
{
    return pal__n_ip_emit(stack, how, frame, how->router_alert ? IP4_SIZE + 4 : IP4_SIZE);
}
