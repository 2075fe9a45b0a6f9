/* decode_more.c: ARP, ICMP, ICMPv6, Neighbour Discovery, IGMP and MLD as packets, and what must hold of ours. */
#include "packets.h"

#include "checksum.h"
#include "wire.h"
#include <string.h>

const char *decode_arp(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    struct ip ip;

    out->kind = PACKET_ARP;
    out->family = 4;
    if (size < 28)
        return "shorter than ARP";
    packet_set(out, FIELD_HTYPE, get16(at));
    packet_set(out, FIELD_PTYPE, get16(at + 2));
    packet_set(out, FIELD_HLEN, at[4]);
    packet_set(out, FIELD_PLEN, at[5]);
    packet_set(out, FIELD_OP, get16(at + 6));
    packet_set(out, FIELD_SHA, mac_get(at + 8));
    packet_set(out, FIELD_THA, mac_get(at + 18));
    ip = ip_of_v4(at + 14);
    packet_set_ip(out, FIELD_SPA, &ip);
    ip = ip_of_v4(at + 24);
    packet_set_ip(out, FIELD_TPA, &ip);
    if (get16(at) != 1 || get16(at + 2) != ETH_P_IP4 || at[4] != 6 || at[5] != 4)
        return "ARP's fixed fields are wrong";
    return NULL;
}

/* ---- Neighbour Discovery ---- */

/* The link-layer address among options from offset on. */
static const char *decode_lla(const uint8_t *at, uint32_t size, uint32_t offset, uint8_t wanted,
                              struct packet_view *out)
{
    packet_set(out, FIELD_LLA, NO_LLA);
    while (offset < size) {
        uint32_t length = offset + 2 <= size ? at[offset + 1] * 8u : 0;

        if (length == 0 || offset + length > size)
            return "an option of ND has a wrong length";
        if (at[offset] == wanted)
            packet_set(out, FIELD_LLA, mac_get(at + offset + 2));
        offset += length;
    }
    return NULL;
}

static const char *decode_nd(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    static const uint32_t headers[] = {8, 16, 24, 24};
    static const enum packet_kind kinds[] = {PACKET_RS, PACKET_RA, PACKET_NS, PACKET_NA};
    unsigned index = at[0] - 133u;
    struct ip target;

    out->kind = kinds[index];
    if (size < headers[index])
        return "shorter than its ND message";
    if (out->value[FIELD_TTL] != 255 || at[1] != 0)
        return "ND with a hop limit that is not 255, or a code";
    if (index >= 2) {
        target = ip_of_v6(at + 8);
        packet_set_ip(out, FIELD_TARGET, &target);
    }
    if (index == 3)
        packet_set(out, FIELD_NA_FLAGS, at[4] >> 5);
    if (index == 1) {
        packet_set(out, FIELD_HOP_LIMIT, at[4]);
        packet_set(out, FIELD_LIFE, get16(at + 6));
    }
    return decode_lla(at, size, headers[index], index == 3 ? 2 : 1, out);
}

/* ---- multicast ---- */

static uint64_t floating(uint32_t code, unsigned mantissa_bits)
{
    uint32_t linear = (uint32_t)1 << (mantissa_bits + 3);

    if (code < linear)
        return code;
    return (uint64_t)((code & (((uint32_t)1 << mantissa_bits) - 1)) | (uint32_t)1 << mantissa_bits)
           << ((code >> mantissa_bits & 7) + 3);
}

/* Reads count addresses. */
static const char *decode_sources(const uint8_t *at, uint32_t size, uint32_t *offset, uint32_t count,
                                  struct packet_view *out)
{
    uint32_t each = out->family == 4 ? 4 : 16;

    if (*offset + count * each > size)
        return "a list of sources is longer than its message";
    for (uint32_t i = 0; i < count; i++) {
        if (out->source_count < SOURCES_MAX)
            out->sources[out->source_count++] = each == 4 ? ip_of_v4(at + *offset) : ip_of_v6(at + *offset);
        *offset += each;
    }
    return NULL;
}

static const char *decode_report(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    uint32_t each = out->family == 4 ? 4 : 16, offset = 8, count;
    const char *wrong;

    out->kind = PACKET_REPORT;
    if (size < 8)
        return "shorter than a report";
    count = get16(at + 6);
    for (uint32_t i = 0; i < count; i++) {
        struct record *record;
        uint32_t sources;

        if (offset + 4 + each > size || out->record_count == RECORDS_MAX)
            return "a report is shorter than its records";
        record = &out->records[out->record_count++];
        record->type = at[offset];
        sources = get16(at + offset + 2);
        record->group = each == 4 ? ip_of_v4(at + offset + 4) : ip_of_v6(at + offset + 4);
        record->first = out->source_count;
        record->count = sources;
        offset += 4 + each;
        wrong = decode_sources(at, size, &offset, sources, out);
        if (wrong != NULL)
            return wrong;
    }
    return offset == size ? NULL : "bytes behind the records of a report";
}

static const char *decode_query(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    bool is_v4 = out->family == 4;
    uint32_t offset = is_v4 ? 12 : 28;
    struct ip group;

    out->kind = PACKET_QUERY;
    if (size < offset)
        return "shorter than a query";
    packet_set(out, FIELD_MAX, is_v4 ? floating(at[1], 4) * 100000000 : floating(get16(at + 4), 12) * 1000000);
    group = is_v4 ? ip_of_v4(at + 4) : ip_of_v6(at + 8);
    packet_set_ip(out, FIELD_GROUP, &group);
    return decode_sources(at, size, &offset, get16(at + offset - 2), out);
}

/* The three messages that each of the older versions has. */
static const char *decode_old_group(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    bool is_v4 = out->family == 4;
    struct ip group;

    out->kind = PACKET_IGMP;
    if (size < (is_v4 ? 8u : 24u))
        return "shorter than its message";
    packet_set(out, FIELD_TYPE, at[0]);
    packet_set(out, FIELD_MAX, is_v4 ? (uint64_t)at[1] * 100000000 : (uint64_t)get16(at + 4) * 1000000);
    group = is_v4 ? ip_of_v4(at + 4) : ip_of_v6(at + 8);
    packet_set_ip(out, FIELD_GROUP, &group);
    return NULL;
}

/* RFC 3376 4, RFC 3810 5: how a member's messages travel. */
static const char *check_group_message(const struct packet_view *out)
{
    if (out->value[FIELD_TTL] != 1 || !out->router_alert)
        return "IGMP or MLD with a TTL that is not 1, or without router alert";
    if (out->kind == PACKET_REPORT && out->family == 4 && ip_number(&out->ip[IP_DST]) != 0xe0000016)
        return "an IGMPv3 report that is not for 224.0.0.22";
    if (out->kind == PACKET_REPORT && out->family == 6 && out->ip[IP_DST].bytes[15] != 0x16)
        return "an MLDv2 report that is not for ff02::16";
    if (out->family == 6 && !ip_is_link_local(&out->ip[IP_SRC]) && !ip_is_unspecified(&out->ip[IP_SRC]))
        return "MLD from an address that is not of the link";
    return NULL;
}

static const char *decode_igmp(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    const char *wrong;

    if (size < 8)
        return "shorter than IGMP";
    if (at[0] == 0x22)
        wrong = decode_report(at, size, out);
    else if (at[0] == 0x11 && size >= 12)
        wrong = decode_query(at, size, out);
    else
        wrong = decode_old_group(at, size, out);
    if (wrong != NULL)
        return wrong;
    if (pal__n_checksum_fold(pal__n_checksum_add(0, at, size)) != 0xffff)
        return "IGMP's checksum is wrong";
    return check_group_message(out);
}

static const char *decode_mld(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    const char *wrong;

    if (at[0] == 143)
        wrong = decode_report(at, size, out);
    else if (at[0] == 130 && size >= 28)
        wrong = decode_query(at, size, out);
    else
        wrong = decode_old_group(at, size, out);
    return wrong != NULL ? wrong : check_group_message(out);
}

/* ---- ICMP ---- */

static bool is_error(int family, uint8_t type)
{
    return family == 4 ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12 : type < 128;
}

static const char *decode_icmp(const uint8_t *at, uint32_t size, struct packet_view *out)
{
    int family = out->family;

    out->kind = PACKET_ICMP;
    if (size < 8)
        return "shorter than ICMP";
    packet_set(out, FIELD_TYPE, at[0]);
    packet_set(out, FIELD_CODE, at[1]);
    packet_set(out, FIELD_ECHO_ID, get16(at + 4));
    packet_set(out, FIELD_ECHO_SEQ, get16(at + 6));
    packet_set(out, FIELD_MTU, family == 4 ? get16(at + 6) : get32(at + 4));
    packet_set(out, FIELD_POINTER, family == 4 ? at[4] : get32(at + 4));
    if (is_error(family, at[0])) {
        out->quotes = true;
        out->quote = at + 8;
        out->quote_size = size - 8;
    }
    out->data = DATA_BYTES;
    out->bytes = at + 8;
    out->data_size = size - 8;
    if (family == 4 && pal__n_checksum_fold(pal__n_checksum_add(0, at, size)) != 0xffff)
        return "ICMP's checksum is wrong";
    return NULL;
}

const char *decode_more(uint8_t protocol, const uint8_t *at, uint32_t size, struct packet_view *out)
{
    if (protocol == 1 && out->family == 4)
        return decode_icmp(at, size, out);
    if (protocol == 2 && out->family == 4)
        return decode_igmp(at, size, out);
    if (protocol != PAL_IPPROTO_ICMPV6 || out->family != 6)
        return NULL;
    if (size >= 8 && at[0] >= 133 && at[0] <= 136)
        return decode_nd(at, size, out);
    if (size >= 8 && ((at[0] >= 130 && at[0] <= 132) || at[0] == 143))
        return decode_mld(at, size, out);
    return decode_icmp(at, size, out);
}
