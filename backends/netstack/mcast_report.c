/* mcast_report.c: when routers are told what of the groups that an interface listens to: state changes, repeated and
 * merged (RFC 3376 5.1, RFC 3810 6.1), and answers to queries (5.2, 6.2). The packets are igmp.c's and mld.c's. */
#include "mcast.h"

#include "stack.h"

enum { ANSWER_RECORDS_MAX = 32 };                           /* records that are handed on at once */
static const uint64_t UNSOLICITED_INTERVAL_NS = 1000000000; /* RFC 3376 8.11, RFC 3810 9.11 */

/* ---- what is reported at all ---- */

/* All-hosts, all-nodes and what never leaves a host are not (RFC 3376 5, RFC 3810 6), nor is anything of an interface
 * that has no wire. */
static bool is_reported(const struct group *group)
{
    static const struct ip all_nodes = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    const struct ip *ip = &group->ip;

    if (iface_is_loopback(group->iface))
        return false;
    if (ip_is_v4(ip))
        return ip_number(ip) != 0xe0000001;
    return (ip->bytes[1] & 15) >= 2 && !ip_equal(ip, &all_nodes);
}

/* A record as it stands in a packet of either protocol, which differ in the size of an address. 0: it does not fit. */
static uint32_t write_record(uint8_t *at, uint32_t room, const struct report_record *record)
{
    uint32_t address_size = ip_is_v4(&record->group) ? 4 : 16, offset = 16 - address_size;
    uint32_t size = 4 + address_size * (1 + record->source_count);

    if (size > room)
        return 0;
    at[0] = record->type;
    at[1] = 0; /* no auxiliary data */
    put16(at + 2, record->source_count);
    memcpy(at + 4, record->group.bytes + offset, address_size);
    for (uint32_t i = 0; i < record->source_count; i++)
        memcpy(at + 4 + address_size * (1 + i), record->sources[i].bytes + offset, address_size);
    return size;
}

uint32_t pal__n_report_fill(struct frame *frame, uint32_t room, const struct report_record *records, uint32_t count)
{
    uint32_t filled = 0, size = 1;

    while (filled < count && size > 0) {
        size = write_record(frame->data + frame->size, room, &records[filled]);
        frame->size += size;
        room -= size;
        filled += size > 0;
    }
    return filled;
}

static void send_records(struct iface *iface, bool ip6, const struct report_record *records, uint32_t count)
{
    if (count == 0)
        return;
    if (ip6)
        pal__n_mld_report(iface, records, count);
    else
        pal__n_igmp_report(iface, records, count);
}

static void rearm(struct group *group)
{
    uint64_t due_ns = group->change_due_ns < group->answer_due_ns ? group->change_due_ns : group->answer_due_ns;

    if (due_ns != UINT64_MAX)
        pal__n_timer_set(group->iface->stack, &group->timer, due_ns);
    else
        pal__n_timer_stop(group->iface->stack, &group->timer);
}

/* A time after now, at most max_ns away: to the microsecond, which the wheel knows. */
static uint64_t random_due(struct netstack *stack, uint64_t max_ns)
{
    uint64_t steps = max_ns / TIMER_TICK_NS;

    if (steps == 0)
        return stack->now_ns;
    if (steps > UINT32_MAX)
        steps = UINT32_MAX;
    return stack->now_ns + ((uint64_t)pal__n_random_below(&stack->random, (uint32_t)steps) + 1) * TIMER_TICK_NS;
}

/* ---- state changes ---- */

bool pal__n_group_is_quiet(const struct group *group)
{
    return group->change_due_ns == UINT64_MAX && group->answer_due_ns == UINT64_MAX;
}

/* Sources of one type that are still to be told. */
static uint32_t changed_sources(const struct group *group, uint8_t type, struct ip *out)
{
    uint32_t count = 0;

    for (uint8_t i = 0; i < group->change_count; i++) {
        if (group->changes[i].type == type)
            out[count++] = group->changes[i].ip;
    }
    return count;
}

/* One report less is left of everything that has just been told. */
static void told(struct group *group)
{
    uint8_t kept = 0;

    if (group->mode_left > 0)
        group->mode_left--;
    for (uint8_t i = 0; i < group->change_count; i++) {
        if (--group->changes[i].left > 0)
            group->changes[kept++] = group->changes[i];
    }
    group->change_count = kept;
}

/* Sends what has changed, and plans the repetition. */
static void send_change(struct group *group)
{
    struct report_record records[2];
    struct ip allowed[GROUP_CHANGES_MAX], blocked[GROUP_CHANGES_MAX];
    uint32_t count = 0;

    if (group->mode_left > 0) { /* tells of the sources as well */
        records[count].type = group->mode == FILTER_EXCLUDE ? REPORT_TO_EXCLUDE : REPORT_TO_INCLUDE;
        records[count].sources = group->sources;
        records[count++].source_count = group->source_count;
    } else {
        records[count].type = REPORT_ALLOW;
        records[count].sources = allowed;
        records[count].source_count = changed_sources(group, REPORT_ALLOW, allowed);
        count += records[count].source_count > 0;
        records[count].type = REPORT_BLOCK;
        records[count].sources = blocked;
        records[count].source_count = changed_sources(group, REPORT_BLOCK, blocked);
        count += records[count].source_count > 0;
    }
    for (uint32_t i = 0; i < count; i++)
        records[i].group = group->ip;
    send_records(group->iface, !ip_is_v4(&group->ip), records, count);
    told(group);
    group->change_due_ns = group->mode_left > 0 || group->change_count > 0
                               ? random_due(group->iface->stack, UNSOLICITED_INTERVAL_NS)
                               : UINT64_MAX;
}

/* The latest word on a source replaces what was to be said before. With no room left all sources are told at once. */
static void note_source(struct group *group, const struct ip *ip, uint8_t type)
{
    uint8_t at = 0;

    while (at < group->change_count && !ip_equal(&group->changes[at].ip, ip))
        at++;
    if (at == GROUP_CHANGES_MAX) {
        group->mode_left = GROUP_ROBUSTNESS;
        return;
    }
    group->changes[at].ip = *ip;
    group->changes[at].type = type;
    group->changes[at].left = GROUP_ROBUSTNESS;
    if (at == group->change_count)
        group->change_count++;
}

/* Those of `sources` that are not among the others. */
static void note_missing(struct group *group, const struct ip *sources, uint32_t count, const struct ip *others,
                         uint32_t others_count, uint8_t type)
{
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;

        for (uint32_t j = 0; j < others_count && !found; j++)
            found = ip_equal(&sources[i], &others[j]);
        if (!found)
            note_source(group, &sources[i], type);
    }
}

void pal__n_group_changed(struct group *group, uint8_t mode, const struct ip *sources, uint32_t count)
{
    bool excludes = group->mode == FILTER_EXCLUDE;

    if (!is_reported(group))
        return;
    if (group->mode != mode) { /* the list that goes with the new mode says all */
        group->mode_left = GROUP_ROBUSTNESS;
        group->change_count = 0;
    } else {
        note_missing(group, group->sources, group->source_count, sources, count,
                     excludes ? REPORT_BLOCK : REPORT_ALLOW);
        note_missing(group, sources, count, group->sources, group->source_count,
                     excludes ? REPORT_ALLOW : REPORT_BLOCK);
    }
    send_change(group);
    rearm(group);
}

/* ---- queries ---- */

/* What the group is at present, as far as it was asked for (RFC 3376 5.2). False: nothing to say. */
static bool current_state(const struct group *group, struct report_record *record, struct ip *sources)
{
    bool excludes = group->mode == FILTER_EXCLUDE;

    record->group = group->ip;
    record->type = REPORT_IS_INCLUDE;
    record->sources = sources;
    record->source_count = 0;
    if (group->query_count == 0) {
        record->type = excludes ? REPORT_IS_EXCLUDE : REPORT_IS_INCLUDE;
        record->sources = group->sources;
        record->source_count = group->source_count;
        return true;
    }
    for (uint8_t i = 0; i < group->query_count; i++) {
        bool is_listed = false;

        for (uint8_t j = 0; j < group->source_count && !is_listed; j++)
            is_listed = ip_equal(&group->queried[i], &group->sources[j]);
        if (is_listed != excludes)
            sources[record->source_count++] = group->queried[i];
    }
    return record->source_count > 0;
}

static void send_answer(struct group *group)
{
    struct ip sources[GROUP_SOURCES_MAX];
    struct report_record record;

    group->answer_due_ns = UINT64_MAX;
    if (current_state(group, &record, sources))
        send_records(group->iface, !ip_is_v4(&group->ip), &record, 1);
    group->query_count = 0;
}

void pal__n_group_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct group *group = BASE_CONTAINER_OF(timer, struct group, timer);

    (void)due_ns;
    if (group->change_due_ns <= stack->now_ns)
        send_change(group);
    if (group->answer_due_ns <= stack->now_ns)
        send_answer(group);
    if (group->is_leaving && pal__n_group_is_quiet(group))
        pal__n_group_free(group);
    else
        rearm(group);
}

/* All groups of an interface, a few records at a time. */
static void answer_general(struct iface *iface, bool ip6)
{
    struct report_record records[ANSWER_RECORDS_MAX];
    uint32_t count = 0;

    for (struct group *group = iface->groups; group != NULL; group = group->next) {
        if (ip_is_v4(&group->ip) == ip6 || !is_reported(group))
            continue;
        if (count == ANSWER_RECORDS_MAX) {
            send_records(iface, ip6, records, count);
            count = 0;
        }
        records[count].type = group->mode == FILTER_EXCLUDE ? REPORT_IS_EXCLUDE : REPORT_IS_INCLUDE;
        records[count].group = group->ip;
        records[count].sources = group->sources;
        records[count++].source_count = group->source_count;
    }
    send_records(iface, ip6, records, count);
}

void pal__n_query_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    (void)due_ns;
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        if (timer == &stack->ifaces[i]->query_timer)
            answer_general(stack->ifaces[i], false);
        else if (timer == &stack->ifaces[i]->query6_timer)
            answer_general(stack->ifaces[i], true);
    }
}

/* Adds what was asked for to what is to be answered: no sources, or more than there is room for: the whole group. */
static void note_query(struct group *group, const struct ip *sources, uint32_t count)
{
    bool is_pending = group->answer_due_ns != UINT64_MAX;

    if (!is_pending)
        group->query_count = 0;
    else if (group->query_count == 0)
        return; /* the whole group is to be answered already */
    if (count == 0 || count > GROUP_SOURCES_MAX) {
        group->query_count = 0;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t at = 0;

        while (at < group->query_count && !ip_equal(&group->queried[at], &sources[i]))
            at++;
        if (at == GROUP_SOURCES_MAX) {
            group->query_count = 0;
            return;
        }
        group->queried[at] = sources[i];
        if (at == group->query_count)
            group->query_count++;
    }
}

void pal__n_mcast_queried(struct iface *iface, const struct ip *group, const struct ip *sources, uint32_t count,
                          uint64_t max_ns, bool ip6)
{
    struct netstack *stack = iface->stack;
    struct timer *timer = ip6 ? &iface->query6_timer : &iface->query_timer;
    uint64_t due_ns = random_due(stack, max_ns), latest_ns = stack->now_ns + max_ns;
    struct group *found;

    /* RFC 3376 5.2, but that an answer which is under way and early enough is not drawn nearer by further queries: a
     * storm of them costs one answer, not one for each that draws a shorter delay. One to all does for each group. */
    if (iface_is_loopback(iface) || (timer_is_armed(timer) && timer->due_ns <= latest_ns))
        return;
    if (group == NULL) {
        pal__n_timer_set(stack, timer, due_ns);
        return;
    }
    found = pal__n_mcast_find(iface, group);
    if (found == NULL || !is_reported(found))
        return;
    note_query(found, sources, count);
    if (found->answer_due_ns > latest_ns)
        found->answer_due_ns = due_ns;
    rearm(found);
}
