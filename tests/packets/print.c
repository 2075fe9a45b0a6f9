/* print.c: a packet in the words of the script language, for transcripts and failures. */
#include "packets.h"

#include "wire.h"
#include <string.h>

/* The flow of a segment, if it is one of the script's; nothing is learned from it. */
static const struct flow *find_flow(const struct run *run, const struct packet_view *view, bool ours)
{
    const struct ip *local = &view->ip[ours ? IP_SRC : IP_DST], *remote = &view->ip[ours ? IP_DST : IP_SRC];
    uint64_t local_port = view->value[ours ? FIELD_SPORT : FIELD_DPORT];
    uint64_t remote_port = view->value[ours ? FIELD_DPORT : FIELD_SPORT];

    for (uint32_t i = run->flow_count; i-- > 0;) {
        const struct flow *flow = &run->flows[i];

        if (ip_equal(&flow->local.ip, local) && ip_equal(&flow->remote.ip, remote) &&
            flow->local.port == (int64_t)local_port && flow->remote.port == (int64_t)remote_port)
            return flow;
    }
    return NULL;
}

void print_flags(uint64_t flags, struct text *out)
{
    static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    static const int order[] = {1, 0, 2, 3, 5, 6, 7, 4};
    bool any = false;

    if ((flags & 255) == 0)
        add(out, "none");
    for (int i = 0; i < 8; i++) {
        if ((flags >> order[i] & 1) == 0)
            continue;
        add(out, "%s%s", any ? "-" : "", names[order[i]]);
        any = true;
    }
}

static uint32_t base(const struct flow *flow, bool ours)
{
    const struct side *side;

    if (flow == NULL)
        return 0;
    side = ours ? &flow->ours : &flow->theirs;
    return side->known ? side->isn : 0;
}

static void print_options(const struct packet_view *view, const struct flow *flow, bool ours, struct text *out)
{
    uint32_t their_base = base(flow, !ours), ts_first = flow == NULL ? 0 : flow->ours.ts_first;

    if (view->option_count == 0)
        return;
    add(out, " <");
    for (uint32_t i = 0; i < view->option_count; i++) {
        const struct option *option = &view->options[i];
        static const char *const names[] = {"mss", "ws", "sack-ok", "ts", "sack", "nop", "eol", "kind", "hex"};

        add(out, "%s%s", i == 0 ? "" : ", ", names[option->kind]);
        if (option->kind == OPT_MSS || option->kind == OPT_WS || option->kind == OPT_KIND)
            add(out, " %u", option->value);
        if (option->kind == OPT_KIND || option->kind == OPT_HEX)
            for (uint32_t k = 0; k < option->count; k++)
                add(out, "%s%02x", k == 0 ? " " : "", option->bytes[k]);
        if (option->kind == OPT_TS)
            add(out, " %u/%u", option->value - (ours ? ts_first : 0), option->second - (ours ? 0 : ts_first));
        if (option->kind == OPT_SACK)
            for (uint32_t k = 0; k < option->count; k++)
                add(out, " %u:%u", option->blocks[k][0] - their_base, option->blocks[k][1] - their_base);
    }
    add(out, ">");
}

static void print_tcp(const struct run *run, const struct packet_view *view, bool ours, struct text *out)
{
    const struct flow *flow = find_flow(run, view, ours);
    uint64_t flags = view->value[FIELD_FLAGS];
    uint32_t seq = (uint32_t)view->value[FIELD_SEQ] - base(flow, ours);

    if (flow == NULL)
        add(out, "tcp %s:%u -> %s:%u ", name_of_ip(&view->ip[IP_SRC]), (unsigned)view->value[FIELD_SPORT],
            name_of_ip(&view->ip[IP_DST]), (unsigned)view->value[FIELD_DPORT]);
    else if (run->flow_count > 1)
        add(out, "%s: ", flow->name);
    print_flags(flags, out);
    if (view->data_size != 0)
        add(out, " %u:%u", seq, seq + view->data_size);
    else
        add(out, " seq %u", seq);
    if ((flags & TCP_ACK) != 0)
        add(out, " ack %u", (uint32_t)view->value[FIELD_ACK] - base(flow, !ours));
    add(out, " win %u", (unsigned)view->value[FIELD_WIN]);
    if ((flags & TCP_URG) != 0)
        add(out, " urg %u", (unsigned)view->value[FIELD_URG]);
    print_options(view, flow, ours, out);
}

static void print_from_to(const struct packet_view *view, struct text *out)
{
    add(out, "%s -> %s", name_of_ip(&view->ip[IP_SRC]), name_of_ip(&view->ip[IP_DST]));
}

static void print_icmp(const struct packet_view *view, struct text *out)
{
    uint64_t type = view->value[FIELD_TYPE], code = view->value[FIELD_CODE];
    const struct icmp_kind *kind = icmp_kinds;
    const char *code_name = icmp_code_name(view->family, type, code);
    bool is_too_big = view->family == 4 ? type == 3 && code == 4 : type == 2;

    while (kind->name != NULL && (uint64_t)(view->family == 4 ? kind->type4 : kind->type6) != type)
        kind++;
    if (is_too_big)
        add(out, "icmp too-big mtu %u ", (unsigned)view->value[FIELD_MTU]);
    else if (kind->name == NULL)
        add(out, "icmp type %u code %u ", (unsigned)type, (unsigned)code);
    else if (code_name != NULL)
        add(out, "icmp %s %s ", kind->name, code_name);
    else if (code != 0 || view->quotes)
        add(out, "icmp %s %u pointer %u ", kind->name, (unsigned)code, (unsigned)view->value[FIELD_POINTER]);
    else
        add(out, "icmp %s id %u seq %u data %u ", kind->name, (unsigned)view->value[FIELD_ECHO_ID],
            (unsigned)view->value[FIELD_ECHO_SEQ], view->data_size);
    print_from_to(view, out);
    if (view->quotes)
        add(out, " quoting %u bytes", view->quote_size);
}

static void print_arp(const struct packet_view *view, struct text *out)
{
    uint64_t op = view->value[FIELD_OP];
    const char *sender = name_of_ip(&view->ip[IP_SPA]), *target = name_of_ip(&view->ip[IP_TARGET]);

    if (op == 1)
        add(out, "arp request %s from %s", target, sender);
    else
        add(out, "arp reply %s to %s", sender, target);
    if (op > 2)
        add(out, " op %u", (unsigned)op);
    add(out, " sha %s tha %s eth-dst %s", name_of_mac(view->value[FIELD_SHA]), name_of_mac(view->value[FIELD_THA]),
        name_of_mac(view->value[FIELD_ETH_DST]));
}

static void print_nd(const struct packet_view *view, struct text *out)
{
    static const char *const names[] = {"ns", "na", "rs", "ra"};

    add(out, "%s ", names[view->kind - PACKET_NS]);
    if (view->kind == PACKET_NS || view->kind == PACKET_NA)
        add(out, "%s ", name_of_ip(&view->ip[IP_TARGET]));
    print_from_to(view, out);
    if (view->kind == PACKET_NA)
        add(out, " flags %s%s%s", (view->value[FIELD_NA_FLAGS] & 4) != 0 ? "R" : "",
            (view->value[FIELD_NA_FLAGS] & 2) != 0 ? "S" : "", (view->value[FIELD_NA_FLAGS] & 1) != 0 ? "O" : "");
    if (view->kind == PACKET_RA)
        add(out, " life %u hop-limit %u", (unsigned)packet_get(view, FIELD_LIFE, 1800),
            (unsigned)packet_get(view, FIELD_HOP_LIMIT, 64));
    if (packet_get(view, FIELD_LLA, NO_LLA) == NO_LLA)
        add(out, " no-lla");
    else
        add(out, " %s %s", view->kind == PACKET_NA ? "tlla" : "slla", name_of_mac(view->value[FIELD_LLA]));
}

static void print_groups(const struct packet_view *view, struct text *out)
{
    if (view->kind == PACKET_REPORT) {
        add(out, "report");
        for (uint32_t i = 0; i < view->record_count; i++) {
            const struct record *record = &view->records[i];

            add(out, "%s %s %s", i == 0 ? "" : ",", record->type <= 6 ? record_names[record->type] : "?",
                name_of_ip(&record->group));
            for (uint32_t k = 0; k < record->count && record->first + k < view->source_count; k++)
                add(out, " %s", name_of_ip(&view->sources[record->first + k]));
        }
        return;
    }
    if (view->kind == PACKET_QUERY)
        add(out, "query %s", name_of_ip(&view->ip[IP_TARGET]));
    else
        add(out, "igmp 0x%02x %s", (unsigned)view->value[FIELD_TYPE], name_of_ip(&view->ip[IP_TARGET]));
    for (uint32_t i = 0; view->kind == PACKET_QUERY && i < view->source_count; i++)
        add(out, "%s %s", i == 0 ? " from" : "", name_of_ip(&view->sources[i]));
    add(out, " max %ums", (unsigned)(view->value[FIELD_MAX] / 1000000));
    add(out, " dst %s", name_of_ip(&view->ip[IP_DST]));
}

static void print_raw(const struct packet_view *view, struct text *out)
{
    add(out, "raw ");
    for (uint32_t i = 0; i < view->data_size && i < 64; i++)
        add(out, "%02x", view->bytes[i]);
    if (view->data_size > 64)
        add(out, "... %u bytes", view->data_size);
}

void print_packet(struct run *run, const struct packet_view *view, bool ours, struct text *out)
{
    add(out, ours ? "< " : "> ");
    if (view->link == 1)
        add(out, "on eth1 ");
    switch (view->kind) {
    case PACKET_TCP:
        print_tcp(run, view, ours, out);
        break;
    case PACKET_UDP:
        add(out, "udp %s:%u -> %s:%u data %u", name_of_ip(&view->ip[IP_SRC]), (unsigned)view->value[FIELD_SPORT],
            name_of_ip(&view->ip[IP_DST]), (unsigned)view->value[FIELD_DPORT], view->data_size);
        break;
    case PACKET_ICMP:
        print_icmp(view, out);
        break;
    case PACKET_ARP:
        print_arp(view, out);
        break;
    case PACKET_NS:
    case PACKET_NA:
    case PACKET_RS:
    case PACKET_RA:
        print_nd(view, out);
        break;
    case PACKET_REPORT:
    case PACKET_QUERY:
    case PACKET_IGMP:
        print_groups(view, out);
        break;
    case PACKET_PIECE:
        add(out, "piece %u:%u %s id %u proto %u ", view->piece_from, view->piece_to, view->more ? "more" : "last",
            view->piece_id, (unsigned)view->value[FIELD_PROTO]);
        print_from_to(view, out);
        break;
    case PACKET_IP:
        add(out, "ip %u ", (unsigned)packet_get(view, FIELD_PROTO, 0));
        print_from_to(view, out);
        add(out, " data %u", view->data_size);
        break;
    default:
        print_raw(view, out);
    }
}
