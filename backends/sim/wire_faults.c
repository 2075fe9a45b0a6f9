/* wire_faults.c: who is cut off from whom, and which faults are about what goes from one host to another. */
#include "../common/refusal.h"
#include "wire_port.h"

#include <string.h>

enum { MILLION = 1000000 };

/* ---- paths ---- */

/* The first of a list that is about this receiver, or NULL. */
static const struct wire_rule *rule_for(const struct wire_rule *rule, uint32_t to)
{
    while (rule != NULL && rule->to != EVERY_HOST && rule->to != to)
        rule = rule->next;
    return rule;
}

const struct wire_path *pal__s_wire_path(const struct port *from, uint32_t to)
{
    const struct wire_rule *own = rule_for(from->rules, to), *of_all = rule_for(from->wire->rules, to);

    if (own != NULL && (of_all == NULL || own->number > of_all->number))
        return &own->path;
    return of_all != NULL ? &of_all->path : &from->wire->path;
}

static int check_path(const struct wire_path *path)
{
    if (path->loss_ppm > MILLION || path->duplicate_ppm > MILLION || path->reorder_ppm > MILLION ||
        path->corrupt_ppm > MILLION)
        return pal__refuse(PAL_EINVAL, "a fault of frames is to happen more than 1,000,000 times in a million");
    if (path->latency_min_ns > path->latency_max_ns)
        return pal__refuse(PAL_EINVAL, "latency_min_ns is above latency_max_ns: give both, the lower one first");
    if (path->latency_max_ns > WIRE_LATENCY_MAX_NS)
        return pal__refuse(PAL_EINVAL, "latency_max_ns is more than an hour");
    return 0;
}

static void set_path(struct wire_path *path, const struct wire_path *given)
{
    *path = *given;
    if (path->latency_max_ns == 0)
        path->latency_min_ns = path->latency_max_ns = WIRE_LATENCY_NS;
}

int pal__s_wire_set_faults(struct wire *wire, const struct pal_sim_faults *faults)
{
    struct wire_path path = {faults->loss_ppm,    faults->duplicate_ppm,  faults->reorder_ppm,
                             faults->corrupt_ppm, faults->latency_min_ns, faults->latency_max_ns};
    int result = check_path(&path);

    if (result < 0)
        return result;
    set_path(&wire->path, &path);
    wire->rate_bits_s = faults->rate_bits_s;
    return 0;
}

/* ---- links ---- */

static int check_host(const struct wire *wire, uint32_t host)
{
    if (host != EVERY_HOST && host >= wire->count)
        return pal__refuse(PAL_EINVAL, "no such host: they are numbered from 0, in the order in which they were added");
    return 0;
}

/* Two hosts, or everybody. */
static int check_pair(const struct wire *wire, uint32_t a, uint32_t b)
{
    int result = check_host(wire, a);

    if (result == 0)
        result = check_host(wire, b);
    if (result == 0 && a == b && a != EVERY_HOST)
        result = pal__refuse(PAL_EINVAL, "twice the same host: what it sends to itself does not pass the network");
    return result;
}

static void free_rule(struct wire *wire, struct wire_rule *rule)
{
    wire->allocator.free(wire->allocator.context, rule, sizeof(*rule));
}

/* Frees those that are about this receiver alone, or all. */
static void drop_rules(struct wire *wire, struct wire_rule **list, uint32_t to)
{
    while (*list != NULL) {
        struct wire_rule *rule = *list;

        if (to != EVERY_HOST && rule->to != to) {
            list = &rule->next;
            continue;
        }
        *list = rule->next;
        free_rule(wire, rule);
    }
}

void pal__s_wire_free_rules(struct wire *wire, struct wire_rule **list)
{
    drop_rules(wire, list, EVERY_HOST);
}

/* A new rule goes to the front; older ones that it leaves nothing to say are dropped, so that setting a link over and
 * over does not pile them up. */
int pal__s_wire_set_link(struct wire *wire, const struct pal_sim_link *link)
{
    struct wire_path path = {link->loss_ppm,    link->duplicate_ppm,  link->reorder_ppm,
                             link->corrupt_ppm, link->latency_min_ns, link->latency_max_ns};
    int result = check_pair(wire, link->from, link->to);
    struct wire_rule *rule, **list;

    if (result == 0)
        result = check_path(&path);
    if (result < 0)
        return result;
    rule = wire->allocator.alloc(wire->allocator.context, sizeof(*rule), 8);
    if (rule == NULL)
        return pal__refuse(PAL_ENOMEM, "no memory for a link");
    for (uint32_t i = 0; i < wire->count && link->from == EVERY_HOST; i++)
        drop_rules(wire, &wire->ports[i]->rules, link->to);
    list = link->from == EVERY_HOST ? &wire->rules : &wire->ports[link->from]->rules;
    drop_rules(wire, list, link->to);
    rule->next = *list;
    rule->number = wire->rule_count++;
    rule->from = link->from;
    rule->to = link->to;
    set_path(&rule->path, &path);
    *list = rule;
    return 0;
}

/* ---- cuts ---- */

/* What is on its way from one to the other. */
static void lose_flights(struct port *from, struct port *to)
{
    BASE_LIST_EACH_REMOVABLE(link, following, &to->lanes[from->number % LANES])
    {
        struct flight *flight = BASE_CONTAINER_OF(link, struct flight, link);

        if (flight->from == from->number)
            pal__s_wire_lose(flight, TRACE_FRAME_CUT_OFF, &to->wire->counters.cut_off);
    }
}

static void set_cut(struct port *from, struct port *to, bool cut)
{
    uint64_t bit = UINT64_C(1) << to->number % 64;

    if (cut)
        from->cuts[to->number / 64] |= bit;
    else
        from->cuts[to->number / 64] &= ~bit;
    if (cut)
        lose_flights(from, to);
}

static void cut_pair(struct port *a, struct port *b, bool cut)
{
    set_cut(a, b, cut);
    set_cut(b, a, cut);
}

static void cut_from_all(struct port *port, bool cut)
{
    struct wire *wire = port->wire;

    for (uint32_t i = 0; i < wire->count; i++)
        if (i != port->number)
            cut_pair(port, wire->ports[i], cut);
    port->is_cut_off = cut;
}

int pal__s_wire_cut(struct wire *wire, uint32_t a, uint32_t b, bool cut)
{
    int result = check_pair(wire, a, b);

    if (result < 0)
        return result;
    if (a == EVERY_HOST && b == EVERY_HOST) {
        for (uint32_t i = 0; i < wire->count; i++)
            cut_from_all(wire->ports[i], cut);
        wire->is_cut_off = cut;
    } else if (a == EVERY_HOST || b == EVERY_HOST) {
        cut_from_all(wire->ports[a == EVERY_HOST ? b : a], cut);
    } else {
        cut_pair(wire->ports[a], wire->ports[b], cut);
    }
    return 0;
}

void pal__s_wire_cut_new(struct port *port)
{
    struct wire *wire = port->wire;

    port->is_cut_off = wire->is_cut_off;
    for (uint32_t i = 0; i < port->number; i++)
        if (wire->is_cut_off || wire->ports[i]->is_cut_off)
            cut_pair(port, wire->ports[i], true);
}
