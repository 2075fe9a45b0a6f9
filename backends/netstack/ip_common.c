/* ip_common.c: what IPv4 and IPv6 do alike: a packet on its way out, and a packet of ours that comes back in an error.
 *
 * Headers are made in ip4.c and ip6.c, fragments in frag.c; which neighbour it goes to is ip_out.c's affair. */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

/* The transport's checksum, which the port would have computed. */
static void finish_checksum(struct frame *frame, uint8_t protocol)
{
    uint32_t field = (uint32_t)frame->csum_start + frame->csum_offset;
    uint16_t sum;

    BASE_ASSERT(frame->csum_start <= frame->size && field + 2 <= frame->size);
    sum = checksum_finish(pal__n_checksum_add(0, frame->data + frame->csum_start, frame->size - frame->csum_start));
    if (sum == 0 && protocol == PAL_IPPROTO_UDP)
        sum = 0xffff; /* 0 says that there is none (RFC 768) */
    put16(frame->data + field, sum);
    frame->flags &= (uint16_t)~FRAME_CSUM_NEEDED;
}

/* A small packet in a big frame, which is no nic's: into one of the nic's. Takes the frame. */
static struct frame *copy_to_nic(struct iface *iface, struct frame *frame)
{
    struct frame *copy = frame_alloc(iface->nic);

    if (copy != NULL && frame_tailroom(copy) >= frame->size) {
        memcpy(copy->data, frame->data, frame->size);
        copy->size = frame->size;
        copy->flags = frame->flags;
        copy->segment_size = frame->segment_size;
        copy->csum_start = frame->csum_start;
        copy->csum_offset = frame->csum_offset;
    } else {
        if (copy != NULL)
            frame_free(copy);
        copy = NULL;
        count(iface->stack, COUNTER_frame_none);
    }
    frame_free(frame);
    return copy;
}

int pal__n_ip_emit(struct netstack *stack, const struct ip_send *how, struct frame *frame, uint32_t header_size)
{
    struct iface *iface = how->dst->iface;
    bool is_v4 = ip_is_v4(&how->to), is_inside = iface_is_loopback(iface);
    uint16_t type = is_v4 ? ETH_P_IP4 : ETH_P_IP6;
    uint32_t size = frame->size + header_size;
    uint32_t packets = how->packets == 0 ? 1 : how->packets;
    bool fits = size <= how->dst->mtu || (frame->flags & FRAME_SEGMENTS) != 0;

    if (!is_inside && (ip_is_loopback(&how->src) || ip_is_loopback(&how->to))) { /* RFC 1122 3.2.1.3 (g) */
        drop(stack, frame, is_v4 ? COUNTER_ip4_drop_src : COUNTER_ip6_drop_src);
        return PAL_EINVAL;
    }
    if ((!fits && how->dont_fragment) || size > (is_v4 ? IP_SIZE_MAX : IP6_SIZE + IP_SIZE_MAX)) {
        frame_free(frame); /* the caller is told */
        return PAL_EMSGSIZE;
    }
    if ((frame->flags & FRAME_CSUM_NEEDED) != 0 && (!fits || (iface->caps.flags & NIC_TX_CHECKSUM) == 0))
        finish_checksum(frame, how->protocol);
    if (fits && !is_inside && frame->home == pal__n_loopback_nic(stack)) {
        frame = copy_to_nic(iface, frame);
        if (frame == NULL)
            return PAL_ENOBUFS;
    }
    stack->counters[is_v4 ? COUNTER_ip4_out : COUNTER_ip6_out] += packets;
    if (fits || how->to_loopback) {
        if (is_v4) {
            pal__n_ip4_header(how, frame, how->dst->ip4_id, 0);
            how->dst->ip4_id += packets; /* each has one of its own: the port counts on from the first */
        } else {
            pal__n_ip6_header(how, frame, how->protocol);
        }
    }
    if (how->to_loopback && !is_inside)
        pal__n_ip_loop(iface, frame, type);
    if (fits)
        return pal__n_ip_to_link(stack, how->dst, &how->to, frame, type);
    if (how->to_loopback)
        frame_pull(frame, header_size);
    return pal__n_frag_out(stack, how, frame);
}

/* ---- errors ---- */

/* Finds the transport's header in a quoted IPv4 packet: where, or UINT32_MAX. */
static uint32_t quoted_ip4(const uint8_t *quote, uint32_t size, struct ip_error *error, uint8_t *protocol)
{
    uint32_t header_size;

    if (size < IP4_SIZE)
        return UINT32_MAX;
    header_size = (quote[IP4_VERSION_LENGTH] & 15U) * 4;
    if (header_size < IP4_SIZE || header_size > size || (get16(quote + IP4_FRAGMENT) & IP4_OFFSET_MASK) != 0)
        return UINT32_MAX;
    error->local = ip_of_v4(quote + IP4_SRC);
    error->remote = ip_of_v4(quote + IP4_DST);
    *protocol = quote[IP4_PROTOCOL];
    return header_size;
}

static uint32_t quoted_ip6(const uint8_t *quote, uint32_t size, struct ip_error *error, uint8_t *protocol)
{
    uint32_t offset;

    if (size < IP6_SIZE)
        return UINT32_MAX;
    error->local = ip_of_v6(quote + IP6_SRC);
    error->remote = ip_of_v6(quote + IP6_DST);
    if (ip_is_v4(&error->local) || ip_is_v4(&error->remote))
        return UINT32_MAX;
    *protocol = quote[IP6_NEXT];
    offset = pal__n_ip6_transport(quote + IP6_SIZE, size - IP6_SIZE, protocol);
    return offset == UINT32_MAX ? offset : offset + IP6_SIZE;
}

static bool is_ours(struct netstack *stack, const struct ip *ip)
{
    return ip_is_loopback(ip) || pal__n_iface_owning(stack, ip) != NULL;
}

bool pal__n_ip_error(struct netstack *stack, const uint8_t *quote, uint32_t size, struct ip_error *error)
{
    enum { QUOTE_MIN = 8 }; /* RFC 792: ports, and the sequence number of TCP */
    uint32_t offset = UINT32_MAX;
    uint8_t protocol = 0;

    if (size > 0 && quote[0] >> 4 == 4)
        offset = quoted_ip4(quote, size, error, &protocol);
    else if (size > 0 && quote[0] >> 4 == 6)
        offset = quoted_ip6(quote, size, error, &protocol);
    if (offset == UINT32_MAX || size - offset < QUOTE_MIN)
        return false;
    /* What we say to ourselves, nobody on a wire has seen. */
    if (!is_ours(stack, &error->local) || (is_ours(stack, &error->remote) && !is_ours(stack, &error->offender)))
        return false;
    error->quote = quote + offset;
    error->quote_size = size - offset;
    if (protocol == PAL_IPPROTO_TCP)
        return pal__n_tcp_error(stack, error);
    return protocol == PAL_IPPROTO_UDP && pal__n_udp_error(stack, error);
}
