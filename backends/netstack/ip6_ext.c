/* ip6_ext.c: the extension headers between an IPv6 header and its transport (RFC 8200 4), obeyed in the order in
 * which they come, and stepped over in packets that are only looked at.
 *
 * All is bounded (RFC 8504 5.3): IP6_HEADERS_MAX headers in a packet, OPTIONS_MAX options in a header, PADDING_MAX
 * bytes of padding between two options, which must be zero: more serves only to hide something. What breaks these
 * bounds, or does not fit into its header, is dropped without a word; what the RFC wants answered is answered. */
#include "stack.h"
#include "wire.h"

enum {
    EXTENSION_UNIT = 8,
    OPTIONS_MAX = 16,
    PADDING_MAX = 7,
    OPTION_PAD_1 = 0,
    OPTION_PAD_N = 1,
    OPTION_ROUTER_ALERT = 5,
    FRAGMENT_OFFSET_MASK = 0xfff8,
    FRAGMENT_MORE = 1
};

/* What becomes of the packet. */
enum verdict {
    GO_ON,
    DROPPED /* answered and counted, and the frame is gone */
};

static enum verdict discard(struct netstack *stack, struct packet *packet, enum netstack_counter reason)
{
    drop(stack, packet->frame, reason);
    return DROPPED;
}

/* pointer: what is wrong, from the IPv6 header on. */
static enum verdict complain(struct netstack *stack, struct packet *packet, enum netstack_counter reason, uint8_t code,
                             uint32_t pointer)
{
    pal__n_icmp6_error(stack, packet, ICMP6_PARAMETER_PROBLEM, code, pointer);
    return discard(stack, packet, reason);
}

/* Bytes of the extension header at `at`; 0: it is not whole within size bytes. */
static uint32_t extension_size(const uint8_t *at, uint32_t size, uint8_t kind)
{
    uint32_t whole;

    if (size < EXTENSION_UNIT)
        return 0;
    whole = kind == IP6_NEXT_FRAGMENT ? EXTENSION_UNIT : (at[1] + 1U) * EXTENSION_UNIT;
    return whole <= size ? whole : 0;
}

static bool is_extension(uint8_t kind)
{
    return kind == IP6_NEXT_HOPOPTS || kind == IP6_NEXT_ROUTING || kind == IP6_NEXT_FRAGMENT ||
           kind == IP6_NEXT_DSTOPTS;
}

uint32_t pal__n_ip6_transport(const uint8_t *at, uint32_t size, uint8_t *next)
{
    uint32_t offset = 0;

    for (unsigned headers = 0; is_extension(*next); headers++) {
        uint32_t whole = extension_size(at + offset, size - offset, *next);

        if (whole == 0 || headers == IP6_HEADERS_MAX)
            return UINT32_MAX;
        if (*next == IP6_NEXT_FRAGMENT && (get16(at + offset + 2) & FRAGMENT_OFFSET_MASK) != 0) {
            *next = at[offset];
            return UINT32_MAX;
        }
        *next = at[offset];
        offset += whole;
    }
    return offset;
}

/* The header, of whole bytes, has been dealt with. */
static void step_over(struct packet *packet, uint32_t whole)
{
    packet->protocol = packet->frame->data[0];
    packet->protocol_offset = packet->header_size;
    packet->header_size += whole;
    frame_pull(packet->frame, whole);
}

/* An option that nobody here knows: its two highest bits say what is to be done (RFC 8200 4.2). */
static enum verdict unknown_option(struct netstack *stack, struct packet *packet, uint32_t offset)
{
    enum { SKIP, DISCARD, REPORT, REPORT_UNLESS_GROUP };
    unsigned action = packet->frame->data[offset] >> 6;

    if (action == SKIP)
        return GO_ON;
    if (action == REPORT || (action == REPORT_UNLESS_GROUP && (packet->flags & PACKET_MULTICAST) == 0))
        return complain(stack, packet, COUNTER_ip6_drop_option, ICMP6_PARAMETER_OPTION, packet->header_size + offset);
    return discard(stack, packet, COUNTER_ip6_drop_option);
}

/* One option of `size` bytes with type and length; padding: bytes of it that stand in front, and behind. */
static enum verdict take_option(struct netstack *stack, struct packet *packet, uint32_t offset, uint32_t size,
                                uint32_t *padding)
{
    const uint8_t *at = packet->frame->data + offset;

    if (at[0] == OPTION_PAD_1 || at[0] == OPTION_PAD_N) {
        *padding += size;
        for (uint32_t i = 2; i < size && *padding <= PADDING_MAX; i++)
            *padding += at[i] != 0 ? PADDING_MAX : 0; /* nonzero: too much of it */
        return *padding <= PADDING_MAX ? GO_ON : discard(stack, packet, COUNTER_ip6_drop_extension);
    }
    *padding = 0;
    if (at[0] != OPTION_ROUTER_ALERT || packet->protocol != IP6_NEXT_HOPOPTS)
        return unknown_option(stack, packet, offset);
    if (size != 4)
        return discard(stack, packet, COUNTER_ip6_drop_extension);
    packet->flags |= PACKET_ROUTER_ALERT;
    return GO_ON;
}

/* Hop-by-hop or destination options: a header of whole bytes. */
static enum verdict take_options(struct netstack *stack, struct packet *packet, uint32_t whole)
{
    const uint8_t *at = packet->frame->data;
    uint32_t padding = 0, options = 0, offset = 2;

    while (offset < whole) {
        uint32_t size = 1;

        if (at[offset] != OPTION_PAD_1) {
            if (whole - offset < 2)
                return discard(stack, packet, COUNTER_ip6_drop_extension);
            size = at[offset + 1] + 2U;
        }
        if (size > whole - offset || ++options > OPTIONS_MAX)
            return discard(stack, packet, COUNTER_ip6_drop_extension);
        if (take_option(stack, packet, offset, size, &padding) == DROPPED)
            return DROPPED;
        offset += size;
    }
    step_over(packet, whole);
    return GO_ON;
}

/* We know no routing type, type 0 least of all (RFC 5095): with nothing left to visit it is stepped over. */
static enum verdict take_routing(struct netstack *stack, struct packet *packet, uint32_t whole)
{
    enum { TYPE = 2, SEGMENTS_LEFT = 3 };

    if (packet->frame->data[SEGMENTS_LEFT] != 0)
        return complain(stack, packet, COUNTER_ip6_drop_routing, ICMP6_PARAMETER_HEADER, packet->header_size + TYPE);
    step_over(packet, whole);
    return GO_ON;
}

/* RFC 7112: a first fragment shows everything up to and with the transport's header. */
static bool chain_is_whole(const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    uint8_t next = frame->data[0];
    uint32_t size = frame->size - EXTENSION_UNIT, needed = 0;
    uint32_t offset = pal__n_ip6_transport(frame->data + EXTENSION_UNIT, size, &next);

    if (offset == UINT32_MAX)
        return false;
    if (next == PAL_IPPROTO_TCP)
        needed = TCP_SIZE;
    else if (next == PAL_IPPROTO_UDP || next == PAL_IPPROTO_ICMPV6)
        needed = UDP_SIZE;
    return size - offset >= needed;
}

static enum verdict take_fragment(struct netstack *stack, struct packet *packet)
{
    enum { FIELD = 2, ID = 4 };
    const uint8_t *at = packet->frame->data;
    uint32_t field = get16(at + FIELD), id = get32(at + ID), offset = field & FRAGMENT_OFFSET_MASK;
    uint32_t size = packet->frame->size - EXTENSION_UNIT, in_front = packet->header_size - IP6_SIZE;
    bool more = (field & FRAGMENT_MORE) != 0;

    if ((packet->flags & PACKET_FRAGMENT_HEADER) != 0) /* one in another: nobody sends this in good faith */
        return discard(stack, packet, COUNTER_ip6_drop_extension);
    packet->flags |= PACKET_FRAGMENT_HEADER;
    if (offset == 0 && !more) { /* RFC 6946: alone, whatever others with its identification do */
        step_over(packet, EXTENSION_UNIT);
        return GO_ON;
    }
    if (more && size % 8 != 0)
        return complain(stack, packet, COUNTER_frag_drop_invalid, ICMP6_PARAMETER_HEADER, IP6_PAYLOAD);
    if (in_front + offset + size > IP_SIZE_MAX)
        return complain(stack, packet, COUNTER_frag_drop_invalid, ICMP6_PARAMETER_HEADER, packet->header_size + FIELD);
    if (offset == 0 && !chain_is_whole(packet))
        return complain(stack, packet, COUNTER_ip6_drop_extension, ICMP6_PARAMETER_CHAIN, 0);
    packet->protocol = at[0]; /* protocol_offset stays: where the number of the fragment header stands */
    frame_pull(packet->frame, EXTENSION_UNIT);
    return pal__n_frag_in(stack, packet, id, offset, more) ? GO_ON : DROPPED;
}

/* The header that packet->protocol says comes next. */
static enum verdict take_header(struct netstack *stack, struct packet *packet)
{
    uint32_t whole = extension_size(packet->frame->data, packet->frame->size, packet->protocol);

    if (packet->protocol == IP6_NEXT_HOPOPTS &&
        (packet->header_size != IP6_SIZE || (packet->flags & PACKET_FRAGMENT_HEADER) != 0)) /* not in front of all */
        return complain(stack, packet, COUNTER_ip6_drop_extension, ICMP6_PARAMETER_NEXT, packet->protocol_offset);
    if (whole == 0)
        return discard(stack, packet, COUNTER_ip6_drop_extension);
    if (packet->protocol == IP6_NEXT_ROUTING)
        return take_routing(stack, packet, whole);
    if (packet->protocol == IP6_NEXT_FRAGMENT)
        return take_fragment(stack, packet);
    return take_options(stack, packet, whole);
}

bool pal__n_ip6_extensions(struct netstack *stack, struct packet *packet)
{
    for (unsigned headers = 0; is_extension(packet->protocol); headers++) {
        if (headers == IP6_HEADERS_MAX) {
            drop(stack, packet->frame, COUNTER_ip6_drop_extension);
            return false;
        }
        if (take_header(stack, packet) == DROPPED)
            return false;
    }
    if (packet->protocol != IP6_NEXT_NONE)
        return true;
    drop(stack, packet->frame, COUNTER_ip6_none);
    return false;
}
