/* igmp.c: the packets of IGMPv3, host side (RFC 3376): queries in, reports out. What they mean is mcast_report.c's.
 *
 * Queries of versions 1 and 2 are answered in version 3: routers that know no better are not served yet (RFC 3376
 * 7). */
#include "checksum.h"
#include "stack.h"

enum {
    IGMP_TYPE = 0,
    IGMP_CODE = 1,
    IGMP_CHECKSUM = 2,
    IGMP_GROUP = 4,
    IGMP_QUERY_SIZE = 8, /* of versions 1 and 2 */
    IGMP3_SOURCE_COUNT = 10,
    IGMP3_QUERY_SIZE = 12,
    IGMP3_RECORD_COUNT = 6,
    IGMP3_REPORT_SIZE = 8,
    IGMP_QUERY = 0x11,
    IGMP1_REPORT = 0x12,
    IGMP2_REPORT = 0x16,
    IGMP2_LEAVE = 0x17,
    IGMP3_REPORT = 0x22,
    IGMP1_RESPONSE_DEFAULT = 100, /* tenths of a second (RFC 3376 7.2.1) */
    IGMP_TOS = 0xc0,              /* internetwork control (RFC 3376 4) */
    PROTOCOL_IGMP = 2
};
#define IGMP3_ROUTERS 0xe0000016 /* 224.0.0.22 */
#define ALL_HOSTS 0xe0000001

/* ---- in ---- */

/* Codes from 128 on are floating (RFC 3376 4.1.1). */
static uint64_t response_time_ns(uint8_t code, bool is_v3)
{
    uint32_t tenths = code;

    if (!is_v3 && code == 0)
        tenths = IGMP1_RESPONSE_DEFAULT;
    if (is_v3 && code >= 128)
        tenths = ((code & 15U) | 16U) << ((code >> 4 & 7U) + 3U);
    return (uint64_t)tenths * 100000000;
}

/* Who asks has to be on the link: RFC 3376 9.1 has the rules, but version 1 has no router alert. */
static bool may_ask(const struct packet *packet, bool is_general, bool is_v1)
{
    struct ip all_hosts = ip_of_number(ALL_HOSTS);

    if (packet->flags & PACKET_BROADCAST)
        return false;
    if (!is_v1 && (packet->flags & PACKET_ROUTER_ALERT) == 0)
        return false;
    return !is_general || (packet->flags & PACKET_MULTICAST) == 0 || ip_equal(&packet->dst, &all_hosts);
}

/* False: it is not what it should be. */
static bool query_in(struct packet *packet)
{
    const uint8_t *query = packet->frame->data;
    bool is_v3 = packet->frame->size >= IGMP3_QUERY_SIZE;
    uint8_t code = query[IGMP_CODE];
    struct ip sources[GROUP_SOURCES_MAX];
    struct ip group = ip_of_v4(query + IGMP_GROUP);
    bool is_general = ip_is_unspecified(&group);
    uint32_t count = is_v3 ? get16(query + IGMP3_SOURCE_COUNT) : 0;

    if (!is_v3 && packet->frame->size != IGMP_QUERY_SIZE)
        return false;
    if (count > 0 && (is_general || packet->frame->size - IGMP3_QUERY_SIZE < count * 4))
        return false;
    if ((!is_general && !ip_is_multicast(&group)) || !may_ask(packet, is_general, !is_v3 && code == 0))
        return false;
    for (uint32_t i = 0; i < count && i < GROUP_SOURCES_MAX; i++)
        sources[i] = ip_of_v4(query + IGMP3_QUERY_SIZE + i * 4);
    pal__n_mcast_queried(packet->iface, is_general ? NULL : &group, sources, count, response_time_ns(code, is_v3),
                         false);
    return true;
}

void pal__n_igmp_in(struct netstack *stack, struct packet *packet)
{
    struct frame *frame = packet->frame;
    bool is_good = frame->size >= IGMP_QUERY_SIZE && packet->hops == 1 &&
                   pal__n_checksum_fold(pal__n_checksum_add(0, frame->data, frame->size)) == 0xffff;

    count(stack, COUNTER_igmp_in);
    if (is_good) {
        switch (frame->data[IGMP_TYPE]) {
        case IGMP_QUERY:
            is_good = query_in(packet);
            break;
        case IGMP1_REPORT: /* what other hosts tell routers: version 3 does not listen */
        case IGMP2_REPORT:
        case IGMP2_LEAVE:
        case IGMP3_REPORT:
            break;
        default:
            is_good = false;
        }
    }
    if (!is_good)
        count(stack, COUNTER_igmp_drop_invalid);
    frame_free(frame);
}

/* ---- out ---- */

/* From an address of the interface's, or none if there is none yet (RFC 3376 4.2.13). */
static void send_report(struct dst *link, struct frame *frame, uint32_t record_count)
{
    struct netstack *stack = link->iface->stack;
    struct ip_send how = {.dst = link,
                          .src = link->source,
                          .to = link->ip,
                          .protocol = PROTOCOL_IGMP,
                          .hops = 1,
                          .tos = IGMP_TOS,
                          .router_alert = true};
    uint8_t *report = frame->data;

    memset(report, 0, IGMP3_REPORT_SIZE);
    report[IGMP_TYPE] = IGMP3_REPORT;
    put16(report + IGMP3_RECORD_COUNT, record_count);
    put16(report + IGMP_CHECKSUM, checksum_finish(pal__n_checksum_add(0, report, frame->size)));
    if (pal__n_ip_send(stack, &how, frame) == 0)
        count(stack, COUNTER_igmp_out);
}

void pal__n_igmp_report(struct iface *iface, const struct report_record *records, uint32_t count)
{
    enum { ROOM_MAX = 1400 }; /* of records, so that the packet fits everywhere, a frame of its nic too */
    /* No path is looked up: a group of the link needs none, and there may be no address to look it up with. */
    struct dst link = {.ip = ip_of_number(IGMP3_ROUTERS), .iface = iface, .mtu = iface->mtu, .is_multicast = true};
    uint32_t mtu_room = iface->mtu - IP4_SIZE - 4 - IGMP3_REPORT_SIZE;
    uint32_t room = mtu_room < ROOM_MAX ? mtu_room : (uint32_t)ROOM_MAX;

    if (!pal__n_iface_source(iface, &link.ip, &link.source))
        link.source = ip_of_number(0);
    for (uint32_t done = 0; done < count;) {
        struct frame *frame = pal__n_ip_frame(iface->stack, &link, IGMP3_REPORT_SIZE + room);
        uint32_t filled;

        if (frame == NULL)
            return;
        frame->size = IGMP3_REPORT_SIZE;
        filled = pal__n_report_fill(frame, room, records + done, count - done);
        if (filled == 0) { /* a record for which no packet is large enough */
            frame_free(frame);
            return;
        }
        send_report(&link, frame, filled);
        done += filled;
    }
}
