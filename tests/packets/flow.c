/* flow.c: TCP flows by name: whose endpoints they are, where each side's numbers begin, and what it has sent. */
#include "packets.h"

#include "wire.h"
#include <string.h>

struct flow *flow_find(struct run *run, const char *name)
{
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (strcmp(run->flows[i].name, name) == 0)
            return &run->flows[i];
    return NULL;
}

struct flow *flow_make(struct run *run, const char *name, int family)
{
    struct flow *flow = flow_find(run, name);

    if (flow == NULL) {
        if (run->flow_count == FLOWS_MAX)
            fail(run, "more than %d flows", FLOWS_MAX);
        flow = &run->flows[run->flow_count++];
    }
    memset(flow, 0, sizeof(*flow));
    snprintf(flow->name, sizeof(flow->name), "%s", name);
    flow->family = family;
    flow->win = 65535;
    flow->theirs.known = true;
    flow->theirs.isn = 7000000;
    run->flow = flow;
    return flow;
}

static bool endpoint_is(const struct endpoint *endpoint, const struct ip *ip, uint64_t port, bool exactly)
{
    if (!endpoint->any_ip && !ip_equal(&endpoint->ip, ip))
        return false;
    return endpoint->port < 0 ? !exactly : (uint64_t)endpoint->port == port;
}

struct flow *flow_of(struct run *run, const struct packet_view *view)
{
    const struct ip *local = &view->ip[IP_SRC], *remote = &view->ip[IP_DST];
    uint64_t sport = view->value[FIELD_SPORT], dport = view->value[FIELD_DPORT];

    for (int exactly = 1; exactly >= 0; exactly--) {
        for (uint32_t i = run->flow_count; i-- > 0;) {
            struct flow *flow = &run->flows[i];

            if (!endpoint_is(&flow->local, local, sport, exactly != 0) ||
                !endpoint_is(&flow->remote, remote, dport, true))
                continue;
            if (flow->local.any_ip) {
                flow->local.any_ip = false;
                flow->local.ip = *local;
            }
            flow->local.port = (int64_t)sport;
            return flow;
        }
    }
    return NULL;
}

struct flow *flow_current(struct run *run, int family)
{
    struct flow *flow = run->flow;
    int as = run->as;

    if (flow != NULL)
        return flow;
    flow = flow_make(run, "main", family);
    run->as = family;
    flow->local = endpoint_must(run, "us:80");
    flow->remote = endpoint_must(run, "peer:40000");
    run->as = as;
    return flow;
}

/* [from, to) has been sent: moves `next`, and `solid` over what is joined up now. */
static void side_sent(struct side *side, uint32_t from, uint32_t to)
{
    bool moved = true;

    if ((int32_t)(to - side->next) > 0)
        side->next = to;
    if ((int32_t)(from - side->solid) > 0) {
        if (side->range_count < RANGES_MAX) {
            side->ranges[side->range_count][0] = from;
            side->ranges[side->range_count++][1] = to;
        }
        return;
    }
    if ((int32_t)(to - side->solid) > 0)
        side->solid = to;
    while (moved) {
        moved = false;
        for (uint32_t i = 0; i < side->range_count; i++) {
            if ((int32_t)(side->ranges[i][0] - side->solid) > 0)
                continue;
            if ((int32_t)(side->ranges[i][1] - side->solid) > 0)
                side->solid = side->ranges[i][1];
            side->ranges[i][0] = side->ranges[side->range_count - 1][0];
            side->ranges[i][1] = side->ranges[--side->range_count][1];
            moved = true;
        }
    }
}

static void side_learn_options(struct side *side, const struct packet_view *view, bool is_syn)
{
    for (uint32_t i = 0; i < view->option_count; i++) {
        const struct option *option = &view->options[i];

        if (option->kind == OPT_WS && is_syn) {
            side->has_scale = true;
            side->scale = option->value > 14 ? 14 : (uint8_t)option->value;
        }
        if (option->kind == OPT_TS) {
            side->has_ts = side->has_ts || is_syn;
            if (!side->ts_known)
                side->ts_first = option->value;
            side->ts_known = true;
            side->ts_last = option->value;
        }
    }
}

/* The right edge of our window, in a flow whose scales are known, never goes back (RFC 9293 3.8.6). */
static void check_edge(struct run *run, struct flow *flow, const struct packet_view *view)
{
    uint64_t flags = view->value[FIELD_FLAGS];
    unsigned scale = (flags & TCP_SYN) != 0 ? 0 : flow_scale(flow, true);
    uint32_t edge;

    if ((flags & TCP_RST) != 0 || (flags & TCP_ACK) == 0 || !flow->ours.known)
        return;
    edge = (uint32_t)view->value[FIELD_ACK] + ((uint32_t)view->value[FIELD_WIN] << scale);
    if (flow->edge_known && (int32_t)(edge - flow->edge) < 0)
        complain(run, "the right edge of the receive window went back by %u bytes", flow->edge - edge);
    flow->edge = edge;
    flow->edge_known = true;
}

void flow_record(struct run *run, struct flow *flow, const struct packet_view *view, uint32_t payload, bool ours)
{
    struct side *side = ours ? &flow->ours : &flow->theirs;
    uint64_t flags = view->value[FIELD_FLAGS];
    uint32_t seq = (uint32_t)view->value[FIELD_SEQ];
    uint32_t end = seq + payload + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0);

    if (!side->begun && ((flags & TCP_SYN) != 0 || !ours)) {
        if ((flags & TCP_SYN) != 0)
            side->isn = seq;
        side->known = side->begun = true;
        side->next = side->solid = side->isn;
    }
    if ((flags & TCP_SYN) != 0 || (flags & TCP_RST) == 0)
        side_learn_options(side, view, (flags & TCP_SYN) != 0);
    if (side->begun && end != seq)
        side_sent(side, seq, end);
    if (ours)
        check_edge(run, flow, view);
}

bool flow_uses_ts(const struct flow *flow)
{
    return flow->ours.has_ts && flow->theirs.has_ts;
}

unsigned flow_scale(const struct flow *flow, bool ours)
{
    if (!flow->ours.has_scale || !flow->theirs.has_scale)
        return 0;
    return ours ? flow->ours.scale : flow->theirs.scale;
}

/* flow NAME LOCAL REMOTE [isn N] */
void statement_flow(struct run *run, struct words *words)
{
    const char *name = words_take(run, words, "the flow's name");
    struct flow *flow = flow_make(run, name, run->as);

    flow->local = endpoint_must(run, words_take(run, words, "our endpoint"));
    flow->remote = endpoint_must(run, words_take(run, words, "the peer's endpoint"));
    if (!flow->remote.any_ip)
        flow->family = ip_is_v4(&flow->remote.ip) ? 4 : 6;
    if (words_accept(words, "isn"))
        flow->theirs.isn = (uint32_t)words_number(run, words, "an ISN");
    words_must_end(run, words);
}

void statement_use(struct run *run, struct words *words)
{
    const char *name = words_take(run, words, "a flow");

    run->flow = flow_find(run, name);
    if (run->flow == NULL)
        fail(run, "no flow is called %s", name);
    words_must_end(run, words);
}

/* next N: the peer counts as having sent everything below N. */
void statement_next(struct run *run, struct words *words)
{
    struct flow *flow = flow_current(run, run->as);
    uint32_t next = flow->theirs.isn + (uint32_t)words_number(run, words, "a sequence number");

    flow->theirs.next = flow->theirs.solid = next;
    flow->theirs.range_count = 0;
    words_must_end(run, words);
}
