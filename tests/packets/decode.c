/* decode.c: a frame as a packet, down to TCP and UDP; and what must hold of every frame that the stack sends, whether a
 * script looks at it or not. */
#include "packets.h"

#include "checksum.h"
#include "wire.h"
#include <string.h>

static bool all_zero(const uint8_t *at, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* The options of a TCP header. */
static const char *decode_options(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    out->options_said = true;
    out->option_bytes = at;
    out->option_size = size;
    for (uint32_t i = 0; i < size && out->option_count < OPTIONS_MAX;) {
        struct option *option = &out->options[out->option_count++];
        uint32_t length = at[i] <= 1 ? 1 : i + 1 < size ? at[i + 1] : 0;

        if (length == 0 || (at[i] > 1 && length < 2) || i + length > size)
            return "a TCP option's length is wrong";
        if (at[i] == 0) {
            option->kind = OPT_EOL;
            return all_zero(at + i, size - i) ? NULL : "bytes behind the end of TCP's options are not zero";
        }
        if (at[i] == 1) {
            option->kind = OPT_NOP;
        } else if (at[i] == 2 && length == 4) {
            option->kind = OPT_MSS;
            option->value = get16(at + i + 2);
        } else if (at[i] == 3 && length == 3) {
            option->kind = OPT_WS;
            option->value = at[i + 2];
        } else if (at[i] == 4 && length == 2) {
            option->kind = OPT_SACK_OK;
        } else if (at[i] == 8 && length == 10) {
            option->kind = OPT_TS;
            option->value = get32(at + i + 2);
            option->second = get32(at + i + 6);
        } else if (at[i] == 5 && length > 2 && length <= 34 && length % 8 == 2) {
            option->kind = OPT_SACK;
            option->count = length / 8;
            for (uint32_t k = 0; k < option->count; k++) {
                option->blocks[k][0] = get32(at + i + 2 + k * 8);
                option->blocks[k][1] = get32(at + i + 6 + k * 8);
            }
        } else {
            option->kind = OPT_KIND;
            option->value = at[i];
            option->count = length - 2;
            memcpy(option->bytes, at + i + 2, length - 2 < 40 ? length - 2 : 40);
        }
        i += length;
    }
    return NULL;
}

static bool transport_sum_is_right(const struct packet_view *view, uint8_t protocol, const uint8_t *at, uint32_t size)
{
    uint64_t sum = pal__n_checksum_pseudo(&view->ip[IP_SRC], &view->ip[IP_DST], protocol, size);

    return pal__n_checksum_fold(pal__n_checksum_add(sum, at, size)) == 0xffff;
}

static const char *decode_tcp(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    uint32_t header;
    const char *wrong;

    out->kind = PACKET_TCP;
    if (size < TCP_SIZE)
        return "shorter than a TCP header";
    packet_set(out, FIELD_SPORT, get16(at + TCP_SRC));
    packet_set(out, FIELD_DPORT, get16(at + TCP_DST));
    packet_set(out, FIELD_SEQ, get32(at + TCP_SEQ));
    packet_set(out, FIELD_ACK, get32(at + TCP_ACK_NUMBER));
    packet_set(out, FIELD_FLAGS, at[TCP_FLAGS]);
    packet_set(out, FIELD_WIN, get16(at + TCP_WINDOW));
    packet_set(out, FIELD_URG, get16(at + TCP_URGENT));
    header = (at[TCP_OFFSET] >> 4) * 4u;
    if (header < TCP_SIZE || header > size)
        return "TCP's data offset is wrong";
    out->data = DATA_BYTES;
    out->bytes = at + header;
    out->data_size = size - header;
    wrong = decode_options(at + TCP_SIZE, header - TCP_SIZE, out);
    if (wrong != NULL)
        return wrong;
    if ((at[TCP_OFFSET] & 15) != 0)
        return "reserved bits of TCP are set";
    if ((at[TCP_FLAGS] & TCP_URG) == 0 && get16(at + TCP_URGENT) != 0)
        return "TCP's urgent pointer is set without URG";
    if ((at[TCP_FLAGS] & TCP_ACK) == 0 && get32(at + TCP_ACK_NUMBER) != 0)
        return "TCP's acknowledgement is set without ACK";
    return transport_sum_is_right(out, PAL_IPPROTO_TCP, at, size) ? NULL : "TCP's checksum is wrong";
}

static const char *decode_udp(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    out->kind = PACKET_UDP;
    if (size < UDP_SIZE)
        return "shorter than a UDP header";
    packet_set(out, FIELD_SPORT, get16(at + UDP_SRC));
    packet_set(out, FIELD_DPORT, get16(at + UDP_DST));
    out->data = DATA_BYTES;
    out->bytes = at + UDP_SIZE;
    out->data_size = size - UDP_SIZE;
    if (get16(at + UDP_LENGTH) != size)
        return "UDP's length is wrong";
    if (get16(at + UDP_CHECKSUM) == 0)
        return "UDP's checksum is zero";
    return transport_sum_is_right(out, PAL_IPPROTO_UDP, at, size) ? NULL : "UDP's checksum is wrong";
}

const char *decode_ip_payload(struct run *run, uint8_t protocol, const uint8_t *at, uint32_t size, bool sent_by_us,
                              struct packet_view *out)
{
    const char *wrong;

    (void)run;
    if (protocol == PAL_IPPROTO_TCP)
        return decode_tcp(at, size, out);
    if (protocol == PAL_IPPROTO_UDP)
        return decode_udp(at, size, out);
    if (protocol == PAL_IPPROTO_ICMPV6 && !transport_sum_is_right(out, protocol, at, size) && sent_by_us)
        return "ICMPv6's checksum is wrong";
    wrong = decode_more(protocol, at, size, out);
    return wrong != NULL && sent_by_us ? wrong : NULL;
}

static void set_piece(struct packet_view *out, uint32_t offset, uint32_t size, bool more, uint32_t id)
{
    out->kind = PACKET_PIECE;
    out->is_piece = true;
    out->piece_from = offset;
    out->piece_to = offset + size;
    out->more = more;
    out->piece_id = id;
}

static void set_payload(struct packet_view *out, const uint8_t *at, uint32_t size)
{
    out->data = DATA_BYTES;
    out->bytes = at;
    out->data_size = size;
}

static const char *decode_ip4(struct run *run, const uint8_t *at, uint32_t size, bool sent_by_us,
                              struct packet_view *out)
{
    uint32_t header, total, fragment;

    out->family = 4;
    out->kind = PACKET_IP;
    if (size < IP4_SIZE)
        return "shorter than an IPv4 header";
    header = (at[0] & 15u) * 4;
    total = get16(at + IP4_TOTAL);
    if (at[0] >> 4 != 4 || header < IP4_SIZE || header > total || total > size)
        return "IPv4's version or lengths are wrong";
    out->ip[IP_SRC] = ip_of_v4(at + IP4_SRC);
    out->ip[IP_DST] = ip_of_v4(at + IP4_DST);
    out->has |= (uint64_t)1 << FIELD_SRC | (uint64_t)1 << FIELD_DST;
    fragment = get16(at + IP4_FRAGMENT);
    packet_set(out, FIELD_TTL, at[IP4_TTL]);
    packet_set(out, FIELD_TOS, at[IP4_TOS]);
    packet_set(out, FIELD_ID, get16(at + IP4_ID));
    packet_set(out, FIELD_DF, (fragment & IP4_DF) != 0);
    packet_set(out, FIELD_PROTO, at[IP4_PROTOCOL]);
    out->router_alert = header == IP4_SIZE + 4 && get32(at + IP4_SIZE) == 0x94040000;
    set_payload(out, at + header, total - header);
    if (pal__n_checksum_fold(pal__n_checksum_add(0, at, header)) != 0xffff)
        return "IPv4's header checksum is wrong";
    if (at[IP4_TTL] == 0 || (fragment & 0x8000) != 0)
        return "IPv4's TTL is 0, or its reserved bit is set";
    if (header != IP4_SIZE && !out->router_alert && sent_by_us)
        return "IPv4 options other than router alert";
    if (at[IP4_SRC] == 127 || at[IP4_DST] == 127)
        return "127/8 on the wire";
    if ((fragment & (IP4_MF | IP4_OFFSET_MASK)) == 0)
        return decode_ip_payload(run, at[IP4_PROTOCOL], at + header, total - header, sent_by_us, out);
    set_piece(out, (fragment & IP4_OFFSET_MASK) * 8, total - header, (fragment & IP4_MF) != 0, get16(at + IP4_ID));
    return NULL;
}

/* Steps over extension headers. *protocol: what comes behind them. */
static const char *skip_extensions(const uint8_t *at, uint32_t *offset, uint32_t size, uint8_t *protocol,
                                   struct packet_view *out)
{
    for (;;) {
        uint32_t length;

        switch (*protocol) {
        case IP6_NEXT_HOPOPTS:
        case IP6_NEXT_DSTOPTS:
        case IP6_NEXT_ROUTING:
            length = *offset + 8 <= size ? (at[*offset + 1] + 1u) * 8 : 0;
            if (length == 0 || *offset + length > size)
                return "an IPv6 extension header is longer than the packet";
            if (*protocol == IP6_NEXT_HOPOPTS && get32(at + *offset + 2) == 0x05020000)
                out->router_alert = true;
            *protocol = at[*offset];
            *offset += length;
            break;
        case IP6_NEXT_FRAGMENT:
            if (*offset + 8 > size)
                return "an IPv6 fragment header is longer than the packet";
            *protocol = at[*offset];
            set_piece(out, get16(at + *offset + 2) & 0xfff8u, size - *offset - 8, (at[*offset + 3] & 1) != 0,
                      get32(at + *offset + 4));
            *offset += 8;
            return NULL;
        default:
            return NULL;
        }
    }
}

static const char *decode_ip6(struct run *run, const uint8_t *at, uint32_t size, bool sent_by_us,
                              struct packet_view *out)
{
    uint32_t total, offset = IP6_SIZE;
    uint8_t protocol;
    const char *wrong;

    out->family = 6;
    out->kind = PACKET_IP;
    if (size < IP6_SIZE)
        return "shorter than an IPv6 header";
    total = IP6_SIZE + get16(at + IP6_PAYLOAD);
    if (at[0] >> 4 != 6 || total > size)
        return "IPv6's version or length is wrong";
    out->ip[IP_SRC] = ip_of_v6(at + IP6_SRC);
    out->ip[IP_DST] = ip_of_v6(at + IP6_DST);
    out->has |= (uint64_t)1 << FIELD_SRC | (uint64_t)1 << FIELD_DST;
    packet_set(out, FIELD_TTL, at[IP6_HOPS]);
    packet_set(out, FIELD_TOS, get16(at) >> 4 & 0xff);
    packet_set(out, FIELD_LABEL, get32(at) & 0xfffff);
    protocol = at[IP6_NEXT];
    wrong = skip_extensions(at, &offset, total, &protocol, out);
    packet_set(out, FIELD_PROTO, protocol);
    set_payload(out, at + offset, total - offset);
    if (wrong != NULL)
        return wrong;
    if (at[IP6_HOPS] == 0)
        return "IPv6's hop limit is 0";
    if (ip_is_loopback(&out->ip[IP_SRC]) || ip_is_loopback(&out->ip[IP_DST]) || ip_is_v4(&out->ip[IP_DST]))
        return "::1 or a mapped address on the wire";
    if (!out->is_piece)
        return decode_ip_payload(run, protocol, at + offset, total - offset, sent_by_us, out);
    return NULL;
}

/* What holds of the frame around a packet that we have sent. */
static const char *check_frame(const struct port *port, const uint8_t *frame, uint32_t size, uint32_t packet_size,
                               const struct packet_view *view)
{
    uint32_t end = ETH_SIZE + packet_size;

    if (memcmp(frame + ETH_SRC, port->caps.mac, MAC_SIZE) != 0)
        return "the frame's source is not our MAC";
    if (packet_size > port->caps.mtu)
        return "the packet is larger than the MTU";
    if (size < ETH_FRAME_MIN && (port->caps.flags & NIC_PADS) == 0)
        return "the frame is shorter than 60 bytes";
    if (size > end && (size > ETH_FRAME_MIN || !all_zero(frame + end, size - end)))
        return "bytes behind the packet that are no padding";
    if (view->kind != PACKET_ARP && view->kind != PACKET_RAW) {
        bool known;
        uint64_t mac = mac_of_ip(port->run, (int)port->index, &view->ip[IP_DST], &known);

        if (ip_is_multicast(&view->ip[IP_DST]) && mac != mac_get(frame + ETH_DST))
            return "the frame's destination is not the MAC of the group";
    }
    return NULL;
}

const char *decode(struct run *run, const uint8_t *frame, uint32_t size, uint32_t link, bool sent_by_us,
                   struct packet_view *out)
{
    const char *wrong = NULL, *around;
    uint32_t at = ETH_SIZE, type, packet_size = 0;

    memset(out, 0, sizeof(*out));
    out->link = link;
    out->kind = PACKET_RAW;
    set_payload(out, frame, size);
    if (size < ETH_SIZE)
        return "shorter than an Ethernet header";
    packet_set(out, FIELD_ETH_DST, mac_get(frame + ETH_DST));
    packet_set(out, FIELD_ETH_SRC, mac_get(frame + ETH_SRC));
    type = get16(frame + ETH_TYPE);
    if (type == ETH_P_VLAN && size >= ETH_SIZE + ETH_VLAN_SIZE) {
        packet_set(out, FIELD_VLAN, get16(frame + ETH_SIZE));
        type = get16(frame + ETH_SIZE + 2);
        at += ETH_VLAN_SIZE;
    }
    packet_set(out, FIELD_ETH_TYPE, type);
    if (type == ETH_P_IP4) {
        wrong = decode_ip4(run, frame + at, size - at, sent_by_us, out);
        packet_size = size - at < 4 ? 0 : get16(frame + at + IP4_TOTAL);
    } else if (type == ETH_P_IP6) {
        wrong = decode_ip6(run, frame + at, size - at, sent_by_us, out);
        packet_size = size - at < IP6_SIZE ? 0 : IP6_SIZE + get16(frame + at + IP6_PAYLOAD);
    } else if (type == ETH_P_ARP) {
        wrong = decode_arp(frame + at, size - at, out);
        packet_size = 28;
    } else if (sent_by_us) {
        wrong = "a frame of no known protocol";
    }
    if (!sent_by_us)
        return wrong;
    around = check_frame(&run->ports[link], frame, size, packet_size, out);
    return wrong != NULL ? wrong : around;
}
