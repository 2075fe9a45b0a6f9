/* ip6.c: IPv6 (RFC 8200): the fixed header that came in, taken apart and judged, and the header that goes out.
 *
 * Extension headers are ip6_ext.c's, fragments frag.c's. As with IPv4 we are a host, and any of our addresses may be
 * reached through any interface but those that mean something on one link only (RFC 4007). */
#include "stack.h"
#include "wire.h"

enum { EXTENSION_UNIT = 8, ROUTER_ALERT = 5, PAD_N = 1 };

/* Each check returns the counter of what is wrong, or this. */
enum { FINE = COUNTERS };

/* Cuts off what the link has added, and fills in what the header says. A payload length of 0 with a hop-by-hop header
 * is a jumbogram (RFC 2675), which no interface of ours can bring. */
static int read_header(struct packet *packet)
{
    struct frame *frame = packet->frame;
    const uint8_t *at = frame->data;
    uint32_t payload;

    if (frame->size < IP6_SIZE || at[IP6_VERSION] >> 4 != 6)
        return COUNTER_ip6_drop_header;
    payload = get16(at + IP6_PAYLOAD);
    if (payload > frame->size - IP6_SIZE || (payload == 0 && at[IP6_NEXT] == IP6_NEXT_HOPOPTS))
        return COUNTER_ip6_drop_header;
    frame->size = IP6_SIZE + payload;
    packet->header = at;
    packet->header_size = IP6_SIZE;
    packet->protocol_offset = IP6_NEXT;
    packet->protocol = at[IP6_NEXT];
    packet->hops = at[IP6_HOPS];
    packet->tos = (uint8_t)(get16(at) >> 4);
    packet->src = ip_of_v6(at + IP6_SRC);
    packet->dst = ip_of_v6(at + IP6_DST);
    return FINE;
}

/* Of a link-local address each link has its own. */
static bool is_ours(struct netstack *stack, struct iface *iface, const struct ip *ip)
{
    const struct iface_addr *addr;

    if (!ip_is_link_local(ip))
        return pal__n_iface_owning(stack, ip) != NULL;
    addr = pal__n_iface_addr(iface, ip);
    return addr != NULL && addr->state == ADDR_READY;
}

/* Who may send (RFC 4291 2.5.2, 2.5.3, 2.7; RFC 4942 2.2 for ::ffff:0:0/96). */
static int check_source(struct netstack *stack, const struct packet *packet)
{
    const struct ip *src = &packet->src;

    if (ip_is_multicast(src) || ip_is_v4(src))
        return COUNTER_ip6_drop_src;
    if ((packet->flags & PACKET_LOOPBACK) != 0)
        return FINE;
    if (ip_is_loopback(src) || is_ours(stack, packet->iface, src))
        return COUNTER_ip6_drop_src;
    return FINE;
}

/* Groups of scope 0 are reserved, those of scope 1 never leave a node (RFC 4291 2.7). */
static int check_group(const struct packet *packet)
{
    unsigned scope = packet->dst.bytes[1] & 15;

    if (scope == 0 || (scope == 1 && (packet->flags & PACKET_LOOPBACK) == 0))
        return COUNTER_ip6_drop_dst;
    return pal__n_mcast_find(packet->iface, &packet->dst) != NULL ? FINE : COUNTER_ip6_drop_dst;
}

/* For whom it is. */
static int check_destination(struct netstack *stack, struct packet *packet)
{
    const struct ip *dst = &packet->dst;
    const struct iface_addr *addr;
    struct iface *owner;

    if (ip_is_multicast(dst)) {
        packet->flags |= PACKET_MULTICAST;
        return check_group(packet);
    }
    if (ip_is_v4(dst) || (ip_is_loopback(dst) && !iface_is_loopback(packet->iface)))
        return COUNTER_ip6_drop_dst;
    addr = pal__n_iface_addr(packet->iface, dst);
    if (addr != NULL && addr->state == ADDR_READY)
        return FINE;
    if (addr != NULL && addr->state == ADDR_TENTATIVE)
        return COUNTER_ip6_drop_tentative; /* solicitations for it come to its group (RFC 4862 5.4) */
    owner = pal__n_iface_owning(stack, dst);
    if (owner == NULL)
        return COUNTER_ip6_drop_dst;
    if (ip_is_link_local(dst)) {
        if (!iface_is_loopback(packet->iface))
            return COUNTER_ip6_drop_dst;
        packet->iface = owner; /* from ourselves to ourselves: on the link where the address is */
    }
    return FINE;
}

/* To its transport; takes the frame. */
static void deliver(struct netstack *stack, struct packet *packet)
{
    if (packet->protocol == PAL_IPPROTO_ICMPV6) {
        pal__n_icmp6_in(stack, packet);
    } else if (packet->protocol == PAL_IPPROTO_TCP || packet->protocol == PAL_IPPROTO_UDP) {
        if (ip_is_unspecified(&packet->src)) /* only a node that looks for its address has none: ND and MLD */
            drop(stack, packet->frame, COUNTER_ip6_drop_src);
        else if (packet->protocol == PAL_IPPROTO_TCP)
            pal__n_tcp_in(stack, packet);
        else
            pal__n_udp_in(stack, packet);
    } else {
        pal__n_icmp6_error(stack, packet, ICMP6_PARAMETER_PROBLEM, ICMP6_PARAMETER_NEXT, packet->protocol_offset);
        drop(stack, packet->frame, COUNTER_ip6_drop_protocol);
    }
}

void pal__n_ip6_in(struct iface *iface, struct frame *frame, bool link_group)
{
    struct netstack *stack = iface->stack;
    struct packet packet = {.frame = frame, .iface = iface};
    int reason;

    count(stack, COUNTER_ip6_in);
    if (link_group)
        packet.flags |= PACKET_LINK_GROUP;
    /* What we have sent ourselves, perhaps by pal__n_ip_loop, or by a carrier. */
    if (frame->home == pal__n_loopback_nic(stack) || iface_is_loopback(iface))
        packet.flags |= PACKET_LOOPBACK | PACKET_CSUM_GOOD;
    if ((frame->flags & FRAME_CSUM_GOOD) != 0)
        packet.flags |= PACKET_CSUM_GOOD;
    reason = iface->ip6_off ? COUNTER_ip6_drop_dst : read_header(&packet);
    if (reason == FINE)
        reason = check_source(stack, &packet);
    if (reason == FINE)
        reason = check_destination(stack, &packet);
    if (reason != FINE) {
        drop(stack, frame, (enum netstack_counter)reason);
        return;
    }
    frame_pull(frame, IP6_SIZE);
    if (pal__n_ip6_extensions(stack, &packet))
        deliver(stack, &packet);
}

/* The hop-by-hop header with the router alert for MLD (RFC 2711, RFC 3810 5). */
static void push_router_alert(struct frame *frame, uint8_t next)
{
    uint8_t *at = frame_push(frame, EXTENSION_UNIT);

    at[0] = next;
    at[1] = 0; /* eight bytes */
    at[2] = ROUTER_ALERT;
    at[3] = 2;
    put16(at + 4, 0);
    at[6] = PAD_N;
    at[7] = 0;
}

void pal__n_ip6_header(const struct ip_send *how, struct frame *frame, uint8_t next)
{
    uint32_t payload;
    uint8_t *at;

    if (how->router_alert) {
        push_router_alert(frame, next);
        next = IP6_NEXT_HOPOPTS;
    }
    payload = frame->size;
    at = frame_push(frame, IP6_SIZE);
    put32(at, UINT32_C(6) << 28 | (uint32_t)how->tos << 20);
    put16(at + IP6_PAYLOAD, payload);
    at[IP6_NEXT] = next;
    at[IP6_HOPS] = ip_hops(how);
    memcpy(at + IP6_SRC, how->src.bytes, sizeof(how->src.bytes));
    memcpy(at + IP6_DST, how->to.bytes, sizeof(how->to.bytes));
}

int pal__n_ip6_send(struct netstack *stack, const struct ip_send *how, struct frame *frame)
{
    if (how->dst->iface->ip6_off) {
        frame_free(frame);
        return PAL_ENETUNREACH;
    }
    return pal__n_ip_emit(stack, how, frame, how->router_alert ? IP6_SIZE + EXTENSION_UNIT : IP6_SIZE);
}
