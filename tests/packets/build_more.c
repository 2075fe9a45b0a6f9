/* build_more.c: ICMP, ARP, Neighbour Discovery, IGMP and MLD as bytes. */
#include "packets.h"

#include "wire.h"
#include <string.h>

uint32_t build_arp(const struct packet_view *view, uint8_t *out)
{
    put16(out, (uint32_t)packet_get(view, FIELD_HTYPE, 1));
    put16(out + 2, (uint32_t)packet_get(view, FIELD_PTYPE, ETH_P_IP4));
    out[4] = (uint8_t)packet_get(view, FIELD_HLEN, 6);
    out[5] = (uint8_t)packet_get(view, FIELD_PLEN, 4);
    put16(out + 6, (uint32_t)view->value[FIELD_OP]);
    mac_put(out + 8, packet_get(view, FIELD_SHA, 0));
    memcpy(out + 14, view->ip[IP_SPA].bytes + 12, 4);
    mac_put(out + 18, packet_get(view, FIELD_THA, 0));
    memcpy(out + 24, view->ip[IP_TARGET].bytes + 12, 4);
    return 28;
}

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

static uint32_t build_icmp(const struct packet_view *view, uint8_t *out)
{
    memset(out, 0, 8);
    out[0] = (uint8_t)view->value[FIELD_TYPE];
    out[1] = (uint8_t)packet_get(view, FIELD_CODE, 0);
    if (packet_has(view, FIELD_ECHO_ID))
        put16(out + 4, (uint32_t)view->value[FIELD_ECHO_ID]);
    if (packet_has(view, FIELD_ECHO_SEQ))
        put16(out + 6, (uint32_t)view->value[FIELD_ECHO_SEQ]);
    if (packet_has(view, FIELD_MTU) && view->family == 4)
        put16(out + 6, (uint32_t)view->value[FIELD_MTU]);
    else if (packet_has(view, FIELD_MTU))
        put32(out + 4, (uint32_t)view->value[FIELD_MTU]);
    if (packet_has(view, FIELD_POINTER) && view->family == 4)
        out[4] = (uint8_t)view->value[FIELD_POINTER];
    else if (packet_has(view, FIELD_POINTER))
        put32(out + 4, (uint32_t)view->value[FIELD_POINTER]);
    if (!view->quotes)
        return 8 + put_payload(view, out + 8);
    memcpy(out + 8, view->quote, view->quote_size);
    return 8 + view->quote_size;
}

static uint32_t build_nd(const struct packet_view *view, uint8_t *out)
{
    static const uint8_t types[] = {135, 136, 133, 134};
    static const uint32_t sizes[] = {24, 24, 8, 16};
    unsigned index = (unsigned)view->kind - PACKET_NS;
    uint32_t size = sizes[index];

    memset(out, 0, 32);
    out[0] = types[index];
    out[1] = (uint8_t)packet_get(view, FIELD_CODE, 0);
    if (view->kind == PACKET_NS || view->kind == PACKET_NA)
        memcpy(out + 8, view->ip[IP_TARGET].bytes, 16);
    if (view->kind == PACKET_NA)
        out[4] = (uint8_t)(packet_get(view, FIELD_NA_FLAGS, 0) << 5);
    if (view->kind == PACKET_RA) {
        out[4] = (uint8_t)packet_get(view, FIELD_HOP_LIMIT, 64);
        put16(out + 6, (uint32_t)packet_get(view, FIELD_LIFE, 1800));
    }
    if (packet_get(view, FIELD_LLA, NO_LLA) != NO_LLA) {
        out[size] = view->kind == PACKET_NA ? 2 : 1;
        out[size + 1] = 1;
        mac_put(out + size + 2, view->value[FIELD_LLA]);
        size += 8;
    }
    return size + put_payload(view, out + size); /* further options */
}

/* ---- multicast ---- */

static uint32_t put_ip(int family, const struct ip *ip, uint8_t *out)
{
    uint32_t size = family == 4 ? 4 : 16;

    memcpy(out, ip->bytes + 16 - size, size);
    return size;
}

static uint32_t build_report(const struct packet_view *view, uint8_t *out)
{
    uint32_t size = 8;

    memset(out, 0, 8);
    out[0] = view->family == 4 ? 0x22 : 143;
    put16(out + 6, view->record_count);
    for (uint32_t i = 0; i < view->record_count; i++) {
        const struct record *record = &view->records[i];

        out[size] = record->type;
        out[size + 1] = 0;
        put16(out + size + 2, record->count);
        size += 4 + put_ip(view->family, &record->group, out + size + 4);
        for (uint32_t k = 0; k < record->count; k++)
            size += put_ip(view->family, &view->sources[record->first + k], out + size);
    }
    return size;
}

/* The code of a number of units: itself, or mantissa and exponent (RFC 3376 4.1.1, RFC 3810 5.1.3). */
static uint32_t floating_code(uint64_t units, unsigned mantissa_bits)
{
    uint32_t exponent = 0;

    if (units < (uint64_t)1 << (mantissa_bits + 3))
        return (uint32_t)units;
    while (exponent < 7 && units >> (exponent + 3) >= (uint64_t)2 << mantissa_bits)
        exponent++;
    return (uint32_t)1 << (mantissa_bits + 3) | exponent << mantissa_bits |
           (uint32_t)(units >> (exponent + 3) & (((uint64_t)1 << mantissa_bits) - 1));
}

static uint32_t build_query(const struct packet_view *view, uint8_t *out)
{
    bool is_v4 = view->family == 4;
    uint32_t size = is_v4 ? 12 : 28;
    uint64_t max = packet_get(view, FIELD_MAX, 0);

    memset(out, 0, 28);
    out[0] = is_v4 ? 0x11 : 130;
    if (is_v4)
        out[1] = (uint8_t)floating_code(max / 100000000, 4);
    else
        put16(out + 4, floating_code(max / 1000000, 12));
    put_ip(view->family, &view->ip[IP_TARGET], out + (is_v4 ? 4 : 8));
    out[size - 4] = 2;   /* robustness */
    out[size - 3] = 125; /* the querier's interval, seconds */
    put16(out + size - 2, view->source_count);
    for (uint32_t i = 0; i < view->source_count; i++)
        size += put_ip(view->family, &view->sources[i], out + size);
    return size + put_payload(view, out + size);
}

static uint32_t build_old_group(const struct packet_view *view, uint8_t *out)
{
    bool is_v4 = view->family == 4;
    uint64_t max = packet_get(view, FIELD_MAX, 0);

    memset(out, 0, 24);
    out[0] = (uint8_t)view->value[FIELD_TYPE];
    if (is_v4)
        out[1] = (uint8_t)(max / 100000000);
    else
        put16(out + 4, (uint32_t)(max / 1000000));
    put_ip(view->family, &view->ip[IP_TARGET], out + (is_v4 ? 4 : 8));
    return is_v4 ? 8 : 24;
}

uint32_t build_more(struct run *run, const struct packet_view *view, uint8_t *out, uint8_t *protocol)
{
    *protocol = view->family == 4 ? 1 : PAL_IPPROTO_ICMPV6;
    switch (view->kind) {
    case PACKET_ICMP:
        return build_icmp(view, out);
    case PACKET_NS:
    case PACKET_NA:
    case PACKET_RS:
    case PACKET_RA:
        return build_nd(view, out);
    case PACKET_REPORT:
    case PACKET_QUERY:
    case PACKET_IGMP:
        if (view->family == 4)
            *protocol = 2;
        return view->kind == PACKET_REPORT  ? build_report(view, out)
               : view->kind == PACKET_QUERY ? build_query(view, out)
                                            : build_old_group(view, out);
    default:
        fail(run, "such a packet cannot be injected");
    }
}
