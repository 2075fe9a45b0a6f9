/* build.c: a packet that a script injects as a frame: TCP, UDP, the IP header, fragments, the frame, and its faults. */
#include "packets.h"

#include "checksum.h"
#include "wire.h"
#include <string.h>

/* The payload as the script says. */
static uint32_t put_payload(const struct packet_view *view, uint8_t *out)
{
    if (view->data == DATA_PATTERN)
        pattern_fill(out, view->data_offset, view->data_size);
    else if (view->data == DATA_BYTES)
        memcpy(out, view->bytes, view->data_size);
    else
        return 0;
    return view->data_size;
}

/* Writes the checksum that was asked for, or the right one. */
static void put_checksum(const struct packet_view *view, enum field field, uint8_t *at, uint16_t right)
{
    uint64_t value = packet_get(view, field, right);

    if (value == CHECKSUM_BAD)
        value = (right ^ 0x0101u) != 0 && (right ^ 0x0101u) != 0xffff ? right ^ 0x0101u : 0x1234;
    put16(at, (uint32_t)value);
}

static uint32_t put_option(const struct option *option, uint8_t *out)
{
    static const uint8_t kinds[] = {2, 3, 4, 8, 5, 1, 0};

    if (option->kind == OPT_HEX) {
        memcpy(out, option->bytes, option->count);
        return option->count;
    }
    out[0] = option->kind == OPT_KIND ? (uint8_t)option->value : kinds[option->kind];
    switch (option->kind) {
    case OPT_MSS:
        out[1] = 4;
        put16(out + 2, option->value);
        break;
    case OPT_WS:
        out[1] = 3;
        out[2] = (uint8_t)option->value;
        break;
    case OPT_SACK_OK:
        out[1] = 2;
        break;
    case OPT_TS:
        out[1] = 10;
        put32(out + 2, option->value);
        put32(out + 6, option->second);
        break;
    case OPT_SACK:
        out[1] = (uint8_t)(2 + option->count * 8);
        for (uint32_t i = 0; i < option->count; i++) {
            put32(out + 2 + i * 8, option->blocks[i][0]);
            put32(out + 6 + i * 8, option->blocks[i][1]);
        }
        break;
    case OPT_KIND:
        out[1] = (uint8_t)(2 + option->count);
        memcpy(out + 2, option->bytes, option->count);
        break;
    default:
        return 1;
    }
    return out[1];
}

uint32_t build_options(struct run *run, const struct packet_view *view, uint8_t *out)
{
    uint32_t size = 0;

    for (uint32_t i = 0; i < view->option_count; i++) {
        uint8_t one[64];
        uint32_t more = put_option(&view->options[i], one);

        if (size + more > 40)
            fail(run, "the options are longer than 40 bytes");
        memcpy(out + size, one, more);
        size += more;
    }
    while (size % 4 != 0)
        out[size++] = 0;
    return size;
}

static uint32_t build_tcp(struct run *run, const struct packet_view *view, uint8_t *out)
{
    uint32_t header = TCP_SIZE + build_options(run, view, out + TCP_SIZE);

    put16(out + TCP_SRC, (uint32_t)view->value[FIELD_SPORT]);
    put16(out + TCP_DST, (uint32_t)view->value[FIELD_DPORT]);
    put32(out + TCP_SEQ, (uint32_t)view->value[FIELD_SEQ]);
    put32(out + TCP_ACK_NUMBER, (uint32_t)view->value[FIELD_ACK]);
    out[TCP_OFFSET] = (uint8_t)(packet_get(view, FIELD_DOFF, header / 4) << 4 | packet_get(view, FIELD_RESERVED, 0));
    out[TCP_FLAGS] = (uint8_t)view->value[FIELD_FLAGS];
    put16(out + TCP_WINDOW, (uint32_t)view->value[FIELD_WIN]);
    put16(out + TCP_CHECKSUM, 0);
    put16(out + TCP_URGENT, (uint32_t)packet_get(view, FIELD_URG, 0));
    return header + put_payload(view, out + header);
}

static uint32_t build_udp(const struct packet_view *view, uint8_t *out)
{
    uint32_t size = UDP_SIZE + put_payload(view, out + UDP_SIZE);

    put16(out + UDP_SRC, (uint32_t)view->value[FIELD_SPORT]);
    put16(out + UDP_DST, (uint32_t)view->value[FIELD_DPORT]);
    put16(out + UDP_LENGTH, (uint32_t)packet_get(view, FIELD_UDP_LEN, size));
    put16(out + UDP_CHECKSUM, 0);
    return size;
}

/* The transport's header and payload, with its checksum; *protocol: its number. */
static uint32_t build_transport(struct run *run, const struct packet_view *view, uint8_t *out, uint8_t *protocol)
{
    uint32_t size, at = 0;
    uint64_t sum = 0;
    uint16_t right;

    if (view->kind == PACKET_TCP) {
        *protocol = PAL_IPPROTO_TCP;
        size = build_tcp(run, view, out);
        at = TCP_CHECKSUM;
    } else if (view->kind == PACKET_UDP) {
        *protocol = PAL_IPPROTO_UDP;
        size = build_udp(view, out);
        at = UDP_CHECKSUM;
    } else if (view->kind == PACKET_IP) {
        *protocol = (uint8_t)view->value[FIELD_PROTO];
        return put_payload(view, out);
    } else {
        size = build_more(run, view, out, protocol);
        at = 2;
    }
    if (*protocol == PAL_IPPROTO_TCP || *protocol == PAL_IPPROTO_UDP || *protocol == PAL_IPPROTO_ICMPV6)
        sum = pal__n_checksum_pseudo(&view->ip[IP_SRC], &view->ip[IP_DST], *protocol, size);
    right = checksum_finish(pal__n_checksum_add(sum, out, size));
    if (right == 0 && view->kind == PACKET_UDP)
        right = 0xffff;
    put_checksum(view, FIELD_CHECKSUM, out + at, right);
    return size;
}

/* One extension header with what the script says of it, filled up with zeros to a multiple of eight. */
static uint32_t put_ext(const struct ext *ext, uint8_t *out, uint8_t next)
{
    uint32_t size = (ext->size + 2 + 7) / 8 * 8;

    memset(out, 0, size);
    out[0] = next;
    out[1] = ext->type == IP6_NEXT_FRAGMENT ? 0 : (uint8_t)(size / 8 - 1);
    memcpy(out + 2, ext->bytes, ext->size);
    return size;
}

static bool is_before_fragment(const struct ext *ext)
{
    return ext->type == IP6_NEXT_HOPOPTS || ext->type == IP6_NEXT_ROUTING;
}

/* The headers that go before the fragment header, or those behind it. first: the type of the first of them, which is
 * `next` if there are none. */
static uint32_t put_exts(struct run *run, const struct packet_view *view, bool before, uint8_t next, uint8_t *first,
                         uint8_t *out)
{
    uint32_t size = 0;
    uint8_t *link = first;

    *first = next;
    if (before && view->router_alert && !view->no_alert) {
        static const struct ext alert = {.type = IP6_NEXT_HOPOPTS, .size = 6, .bytes = {5, 2, 0, 0, 1, 0}};

        *link = alert.type;
        link = out;
        size = put_ext(&alert, out, next);
    }
    for (uint32_t i = 0; i < view->ext_count; i++) {
        const struct ext *ext = &view->exts[i];

        if ((is_before_fragment(ext) || !view->is_piece) != before)
            continue;
        for (uint32_t k = 0; k < ext->times; k++) {
            if (size > 8000)
                fail(run, "the extension headers are too long");
            *link = ext->type;
            link = out + size;
            size += put_ext(ext, out + size, next);
        }
    }
    return size;
}

static uint32_t default_ttl(const struct packet_view *view)
{
    if (view->kind >= PACKET_NS && view->kind <= PACKET_RA)
        return 255;
    return view->kind >= PACKET_REPORT && view->kind <= PACKET_IGMP ? 1 : 64;
}

static uint32_t default_tos(const struct packet_view *view)
{
    return view->kind >= PACKET_REPORT && view->kind <= PACKET_IGMP && view->family == 4 ? 0xc0 : 0;
}

/* The part of body that a piece is; *size becomes its. */
static uint8_t *cut_piece(struct run *run, const struct packet_view *view, uint8_t *body, uint32_t *size, bool *more)
{
    uint32_t whole = *size;

    if (view->piece_to > whole)
        fail(run, "the packet has %u bytes behind its IP header: no piece %u:%u", whole, view->piece_from,
             view->piece_to);
    *size = view->piece_to - view->piece_from;
    *more = view->more_said || (view->piece_to < whole && !view->last_said);
    return body + view->piece_from;
}

static uint32_t build_ip4(struct run *run, const struct packet_view *view, uint8_t *out, uint8_t *body, uint32_t size,
                          uint8_t protocol)
{
    uint32_t header = IP4_SIZE, fragment = packet_get(view, FIELD_DF, 0) != 0 ? IP4_DF : 0;
    bool more = false;

    if (view->is_piece) {
        body = cut_piece(run, view, body, &size, &more);
        fragment |= (view->piece_from / 8) | (more ? IP4_MF : 0u);
    }
    memset(out, 0, IP4_SIZE_MAX);
    if (view->ip_option_size != 0) {
        memcpy(out + IP4_SIZE, view->ip_options, view->ip_option_size);
        header += (view->ip_option_size + 3) / 4 * 4;
    } else if (view->router_alert && !view->no_alert) {
        put32(out + IP4_SIZE, 0x94040000);
        header += 4;
    }
    memmove(out + header, body, size);
    out[0] = (uint8_t)(packet_get(view, FIELD_IP_VERSION, 4) << 4 | packet_get(view, FIELD_IHL, header / 4));
    out[IP4_TOS] = (uint8_t)packet_get(view, FIELD_TOS, default_tos(view));
    put16(out + IP4_TOTAL, (uint32_t)packet_get(view, FIELD_IP_LEN, header + size));
    put16(out + IP4_ID, (uint32_t)packet_get(view, FIELD_ID, view->is_piece ? view->piece_id : 1));
    put16(out + IP4_FRAGMENT, fragment);
    out[IP4_TTL] = (uint8_t)packet_get(view, FIELD_TTL, default_ttl(view));
    out[IP4_PROTOCOL] = (uint8_t)packet_get(view, FIELD_PROTO, protocol);
    memcpy(out + IP4_SRC, view->ip[IP_SRC].bytes + 12, 4);
    memcpy(out + IP4_DST, view->ip[IP_DST].bytes + 12, 4);
    put_checksum(view, FIELD_IP_CHECKSUM, out + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, out, header)));
    return header + size;
}

static uint32_t build_ip6(struct run *run, const struct packet_view *view, uint8_t *out, uint8_t *body, uint32_t size,
                          uint8_t protocol)
{
    static uint8_t joined[FRAME_ROOM], unfragmented[8448];
    uint32_t behind = 0, before, header = IP6_SIZE;
    uint8_t first, next = (uint8_t)packet_get(view, FIELD_PROTO, protocol);
    bool more = false;

    if (view->is_piece) {
        behind = put_exts(run, view, false, next, &next, joined);
        memcpy(joined + behind, body, size);
        size += behind;
        body = cut_piece(run, view, joined, &size, &more);
    }
    before = put_exts(run, view, true, view->is_piece ? IP6_NEXT_FRAGMENT : next, &first, unfragmented);
    memset(out, 0, IP6_SIZE);
    memcpy(out + header, unfragmented, before);
    header += before;
    if (view->is_piece) {
        out[header] = next;
        out[header + 1] = 0;
        put16(out + header + 2, (view->piece_from & 0xfff8) | more);
        put32(out + header + 4, view->piece_id);
        header += 8;
    }
    memcpy(out + header, body, size);
    put32(out, (uint32_t)(packet_get(view, FIELD_IP_VERSION, 6) << 28 | packet_get(view, FIELD_TOS, 0) << 20 |
                          packet_get(view, FIELD_LABEL, 0)));
    put16(out + IP6_PAYLOAD, (uint32_t)packet_get(view, FIELD_IP_LEN, header - IP6_SIZE + size));
    out[IP6_NEXT] = first;
    out[IP6_HOPS] = (uint8_t)packet_get(view, FIELD_TTL, default_ttl(view));
    memcpy(out + IP6_SRC, view->ip[IP_SRC].bytes, 16);
    memcpy(out + IP6_DST, view->ip[IP_DST].bytes, 16);
    return header + size;
}

uint32_t build_ip(struct run *run, const struct packet_view *view, uint8_t *out)
{
    static uint8_t body[FRAME_ROOM];
    uint8_t protocol = 0;
    uint32_t size = build_transport(run, view, body, &protocol);

    if (view->family == 4)
        return build_ip4(run, view, out, body, size, protocol);
    return build_ip6(run, view, out, body, size, protocol);
}

/* The station that a packet of the script goes to: ours, or a group. */
static uint64_t station(struct run *run, const struct packet_view *view)
{
    const struct port *port = &run->ports[view->link];
    bool known;
    uint64_t mac = mac_of_ip(run, (int)view->link, &view->ip[IP_DST], &known);

    return known && (mac >> 40 & 1) != 0 ? mac : mac_get(port->caps.mac);
}

/* What makes the frame longer, shorter or wrong. */
static uint32_t spoil(struct run *run, const struct packet_view *view, uint8_t *out, uint32_t size)
{
    uint32_t cut = (uint32_t)packet_get(view, FIELD_CUT, UINT32_MAX), pad = (uint32_t)packet_get(view, FIELD_PAD, 0);

    if (view->trailer_size != 0) {
        memcpy(out + size, view->trailer, view->trailer_size);
        size += view->trailer_size;
    }
    if (pad < ETH_FRAME_MIN)
        pad = ETH_FRAME_MIN;
    if (pad > FRAME_ROOM)
        fail(run, "a frame is at most %d bytes", FRAME_ROOM);
    if (size < pad) {
        memset(out + size, 0, pad - size);
        size = pad;
    }
    for (uint32_t i = 0; i < view->patch_count; i++) {
        if (view->patches[i].offset >= size)
            fail(run, "the frame has %u bytes: there is no byte %u", size, view->patches[i].offset);
        out[view->patches[i].offset] = view->patches[i].value;
    }
    return cut < size ? cut : size;
}

uint32_t build_frame(struct run *run, const struct packet_view *view, uint8_t *out)
{
    uint32_t size = ETH_SIZE;
    bool known;

    if (view->kind == PACKET_RAW) {
        memcpy(out, view->bytes, view->data_size);
        return view->data_size;
    }
    mac_put(out + ETH_DST, packet_has(view, FIELD_ETH_DST) ? view->value[FIELD_ETH_DST] : station(run, view));
    mac_put(out + ETH_SRC, packet_has(view, FIELD_ETH_SRC)
                               ? view->value[FIELD_ETH_SRC]
                               : mac_of_ip(run, (int)view->link, &view->ip[IP_SRC], &known));
    if (packet_has(view, FIELD_VLAN)) {
        put16(out + ETH_TYPE, ETH_P_VLAN);
        put16(out + size, (uint32_t)view->value[FIELD_VLAN]);
        size += ETH_VLAN_SIZE;
    }
    put16(out + size - 2, (uint32_t)packet_get(view, FIELD_ETH_TYPE,
                                               view->kind == PACKET_ARP ? ETH_P_ARP
                                               : view->family == 4      ? ETH_P_IP4
                                                                        : ETH_P_IP6));
    size += view->kind == PACKET_ARP ? build_arp(view, out + size) : build_ip(run, view, out + size);
    return spoil(run, view, out, size);
}
