/* mld.c: the packets of MLDv2, host side (RFC 3810): queries in, reports out. What they mean is mcast_report.c's.
 *
 * Queries of version 1 are answered in version 2 (RFC 3810 8 is not there yet). The checksum of what comes in is
 * icmp6.c's. */
#include "checksum.h"
#include "stack.h"

enum {
    MLD_TYPE = 0,
    MLD_CHECKSUM = 2,
    MLD_RESPONSE = 4,
    MLD_GROUP = 8,
    MLD1_QUERY_SIZE = 24,
    MLD2_SOURCE_COUNT = 26,
    MLD2_QUERY_SIZE = 28,
    MLD2_RECORD_COUNT = 6,
    MLD2_REPORT_SIZE = 8,
    MLD_QUERY = 130,
    MLD2_REPORT = 143,
    ROUTER_ALERT_SIZE = 8, /* hop-by-hop options */
    MLD_TOS = 0xc0
};

static const struct ip all_nodes = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static const struct ip mld_routers = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}};

/* ---- in ---- */

/* Codes from 32768 on are floating (RFC 3810 5.1.3). */
static uint64_t response_time_ns(uint32_t code, bool is_v2)
{
    uint32_t milliseconds = code;

    if (is_v2 && code >= 32768)
        milliseconds = ((code & 0xfffU) | 0x1000U) << ((code >> 12 & 7U) + 3U);
    return (uint64_t)milliseconds * 1000000;
}

/* RFC 3810 6.2: only from the link, and marked for routers. */
static bool may_ask(const struct packet *packet, bool is_general)
{
    if (packet->hops != 1 || !ip_is_link_local(&packet->src) || (packet->flags & PACKET_ROUTER_ALERT) == 0)
        return false;
    return !is_general || (packet->flags & PACKET_MULTICAST) == 0 || ip_equal(&packet->dst, &all_nodes);
}

/* False: it is not what it should be. */
static bool query_in(struct packet *packet)
{
    const uint8_t *query = packet->frame->data;
    uint32_t size = packet->frame->size, count;
    bool is_v2 = size >= MLD2_QUERY_SIZE, is_general;
    struct ip sources[GROUP_SOURCES_MAX];
    struct ip group;

    if (!is_v2 && size != MLD1_QUERY_SIZE)
        return false;
    group = ip_of_v6(query + MLD_GROUP);
    is_general = ip_is_unspecified(&group);
    count = is_v2 ? get16(query + MLD2_SOURCE_COUNT) : 0;
    if (count > 0 && (is_general || size - MLD2_QUERY_SIZE < count * 16))
        return false;
    if ((!is_general && !ip_is_multicast(&group)) || ip_is_v4(&group) || !may_ask(packet, is_general))
        return false;
    for (uint32_t i = 0; i < count && i < GROUP_SOURCES_MAX; i++)
        sources[i] = ip_of_v6(query + MLD2_QUERY_SIZE + i * 16);
    pal__n_mcast_queried(packet->iface, is_general ? NULL : &group, sources, count,
                         response_time_ns(get16(query + MLD_RESPONSE), is_v2), true);
    return true;
}

void pal__n_mld_in(struct netstack *stack, struct packet *packet)
{
    struct frame *frame = packet->frame;

    count(stack, COUNTER_mld_in);
    /* Reports are what other hosts tell routers: version 2 does not listen. */
    if (frame->size < MLD1_QUERY_SIZE ? frame->size < MLD2_REPORT_SIZE || frame->data[MLD_TYPE] != MLD2_REPORT
                                      : frame->data[MLD_TYPE] == MLD_QUERY && !query_in(packet))
        count(stack, COUNTER_mld_drop_invalid);
    frame_free(frame);
}

/* ---- out ---- */

/* The link-local address, or none while it is not ready (RFC 3590). */
static struct ip source_of(const struct iface *iface)
{
    for (int i = 0; i < IFACE_ADDRS_MAX; i++) {
        const struct iface_addr *addr = &iface->addrs[i];

        if (addr->used && addr->state == ADDR_READY && ip_is_link_local(&addr->ip))
            return addr->ip;
    }
    return ip_none();
}

static void send_report(struct dst *link, struct frame *frame, uint32_t record_count)
{
    struct netstack *stack = link->iface->stack;
    struct ip_send how = {.dst = link,
                          .src = link->source,
                          .to = link->ip,
                          .protocol = PAL_IPPROTO_ICMPV6,
                          .hops = 1,
                          .tos = MLD_TOS,
                          .router_alert = true};
    uint8_t *report = frame->data;
    uint64_t sum;

    memset(report, 0, MLD2_REPORT_SIZE);
    report[MLD_TYPE] = MLD2_REPORT;
    put16(report + MLD2_RECORD_COUNT, record_count);
    sum = pal__n_checksum_pseudo(&how.src, &how.to, PAL_IPPROTO_ICMPV6, frame->size);
    put16(report + MLD_CHECKSUM, checksum_finish(pal__n_checksum_add(sum, report, frame->size)));
    if (pal__n_ip_send(stack, &how, frame) == 0)
        count(stack, COUNTER_mld_out);
}

void pal__n_mld_report(struct iface *iface, const struct report_record *records, uint32_t count)
{
    enum { ROOM = IP6_MTU_MIN - IP6_SIZE - ROUTER_ALERT_SIZE - MLD2_REPORT_SIZE }; /* what fits everywhere */
    /* No path is looked up: a group of the link needs none, and there may be no address to look it up with. */
    struct dst link = {.ip = mld_routers, .iface = iface, .mtu = iface->mtu, .is_multicast = true};

    link.source = source_of(iface);
    for (uint32_t done = 0; done < count;) {
        struct frame *frame = pal__n_ip_frame(iface->stack, &link, MLD2_REPORT_SIZE + (uint32_t)ROOM);
        uint32_t filled;

        if (frame == NULL)
            return;
        frame->size = MLD2_REPORT_SIZE;
        filled = pal__n_report_fill(frame, ROOM, records + done, count - done);
        if (filled == 0) { /* a record for which no packet is large enough */
            frame_free(frame);
            return;
        }
        send_report(&link, frame, filled);
        done += filled;
    }
}
