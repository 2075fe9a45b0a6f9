/* match.c: what a script expects against what the stack has sent; and the two statements > and <. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"nothing", "tcp",    "udp",   "icmp", "arp", "ns",    "na", "rs",
                                         "ra",      "report", "query", "igmp", "ip",  "piece", "raw"};

static void differ_values(const struct packet_view *expected, const struct packet_view *came, const struct flow *flow,
                          enum field field, struct text *out)
{
    uint64_t wanted = expected->value[field], is = came->value[field];
    uint32_t base = 0;

    if (field == FIELD_FLAGS) {
        add(out, "flags are ");
        print_flags(is, out);
        add(out, ", not ");
        print_flags(wanted, out);
        add(out, "; ");
        return;
    }
    if (flow != NULL && (field == FIELD_SEQ || field == FIELD_ACK)) {
        const struct side *side = field == FIELD_SEQ ? &flow->ours : &flow->theirs;

        base = side->known ? side->isn : 0;
        add(out, "%s is %u, not %u; ", field_name(field), (uint32_t)is - base, (uint32_t)wanted - base);
        return;
    }
    if (field == FIELD_ETH_SRC || field == FIELD_ETH_DST || field == FIELD_SHA || field == FIELD_THA ||
        field == FIELD_LLA)
        add(out, "%s is %s, not %s; ", field_name(field), name_of_mac(is), name_of_mac(wanted));
    else
        add(out, "%s is %llu, not %llu; ", field_name(field), (unsigned long long)is, (unsigned long long)wanted);
}

static bool is_ip_field(int field)
{
    return field == FIELD_SRC || field == FIELD_DST || field == FIELD_SPA || field == FIELD_TPA ||
           field == FIELD_TARGET || field == FIELD_GROUP;
}

static void match_field(const struct packet_view *expected, const struct packet_view *came, const struct flow *flow,
                        int field, struct text *out)
{
    uint64_t wanted = expected->value[field], is = came->value[field];

    if (is_ip_field(field)) {
        const struct ip *left = &expected->ip[packet_ip_index((enum field)field)];
        const struct ip *right = &came->ip[packet_ip_index((enum field)field)];

        if (!ip_equal(left, right))
            add(out, "%s is %s, not %s; ", field_name((enum field)field), name_of_ip(right), name_of_ip(left));
        return;
    }
    if (field == FIELD_WND) {
        unsigned scale = flow == NULL || (came->value[FIELD_FLAGS] & TCP_SYN) != 0 ? 0 : flow_scale(flow, true);

        is = came->value[FIELD_WIN] << scale;
        if (is != wanted)
            add(out, "wnd is %llu, not %llu; ", (unsigned long long)is, (unsigned long long)wanted);
        return;
    }
    if (field == FIELD_FLAGS && (wanted & FLAGS_DATA) != 0) {
        is &= ~(uint64_t)TCP_PSH;
        wanted &= 255;
    }
    if (!packet_has(came, (enum field)field))
        add(out, "there is no %s; ", field_name((enum field)field));
    else if (is != wanted)
        differ_values(expected, came, flow, (enum field)field, out);
}

static void match_data(const struct packet_view *expected, const struct packet_view *came, struct text *out)
{
    if (expected->data == DATA_UNSAID || expected->data == DATA_ANY)
        return;
    if (expected->data_size != came->data_size) {
        add(out, "%u bytes of payload, not %u; ", came->data_size, expected->data_size);
        return;
    }
    for (uint32_t i = 0; i < came->data_size; i++) {
        uint8_t wanted = expected->data == DATA_BYTES ? expected->bytes[i] : pattern(expected->data_offset + i);

        if (came->bytes[i] == wanted)
            continue;
        add(out, "byte %u of the payload is 0x%02x, not 0x%02x; ", i, came->bytes[i], wanted);
        return;
    }
}

/* ---- TCP options ---- */

static const char *option_name(const struct option *option)
{
    static const char *const names[] = {"mss", "ws", "sack-ok", "ts", "sack", "nop", "eol", "kind", "hex"};

    return names[option->kind];
}

static const struct option *find_option(const struct packet_view *view, const struct option *wanted)
{
    for (uint32_t i = 0; i < view->option_count; i++)
        if (view->options[i].kind == wanted->kind &&
            (wanted->kind != OPT_KIND || view->options[i].value == wanted->value))
            return &view->options[i];
    return NULL;
}

static bool option_is(const struct option *wanted, const struct option *is)
{
    if (wanted->kind == OPT_SACK)
        return wanted->any || (wanted->count == is->count &&
                               memcmp(wanted->blocks, is->blocks, wanted->count * sizeof(wanted->blocks[0])) == 0);
    if (wanted->kind == OPT_TS)
        return (wanted->any || wanted->value == is->value) && (wanted->any_second || wanted->second == is->second);
    if (wanted->kind == OPT_KIND)
        return wanted->count == is->count && memcmp(wanted->bytes, is->bytes, wanted->count) == 0;
    return wanted->any || wanted->value == is->value;
}

static void match_options(const struct packet_view *expected, const struct packet_view *came, struct text *out)
{
    for (uint32_t i = 0; i < expected->option_count; i++) {
        const struct option *wanted = &expected->options[i], *found = find_option(came, wanted);

        if (wanted->kind == OPT_NOP || wanted->kind == OPT_EOL)
            continue;
        if (wanted->absent && found != NULL)
            add(out, "there is an option %s; ", option_name(wanted));
        else if (!wanted->absent && found == NULL)
            add(out, "no option %s; ", option_name(wanted));
        else if (!wanted->absent && !option_is(wanted, found))
            add(out, "option %s differs; ", option_name(wanted));
    }
    for (uint32_t i = 0; expected->options_only && i < came->option_count; i++) {
        const struct option *is = &came->options[i];

        if (is->kind != OPT_NOP && is->kind != OPT_EOL && find_option(expected, is) == NULL)
            add(out, "there is an option %s; ", option_name(is));
    }
}

/* ---- the rest ---- */

static bool has_source(const struct packet_view *view, uint32_t first, uint32_t count, const struct ip *source)
{
    for (uint32_t i = 0; i < count; i++)
        if (ip_equal(&view->sources[first + i], source))
            return true;
    return false;
}

/* Records and the sources in them may stand in any order. */
static void match_records(const struct packet_view *expected, const struct packet_view *came, struct text *out)
{
    if (expected->record_count != came->record_count && !expected->more_records)
        add(out, "%u records, not %u; ", came->record_count, expected->record_count);
    for (uint32_t i = 0; i < expected->record_count; i++) {
        const struct record *wanted = &expected->records[i], *is = NULL;
        bool same;

        for (uint32_t k = 0; k < came->record_count; k++)
            if (came->records[k].type == wanted->type && ip_equal(&came->records[k].group, &wanted->group))
                is = &came->records[k];
        if (is == NULL) {
            add(out, "no record %s %s; ", record_names[wanted->type <= 6 ? wanted->type : 0],
                name_of_ip(&wanted->group));
            continue;
        }
        same = wanted->any_sources || wanted->count == is->count;
        for (uint32_t k = 0; same && k < wanted->count; k++)
            same = has_source(came, is->first, is->count, &expected->sources[wanted->first + k]);
        if (!same)
            add(out, "the sources of %s differ; ", name_of_ip(&wanted->group));
    }
}

static void match_quote(const struct packet_view *expected, const struct packet_view *came, struct text *out)
{
    uint32_t least = expected->quote_size, fits = IP6_MTU_MIN - IP6_SIZE - 8;

    if (!expected->quotes)
        return;
    if (!came->quotes) {
        add(out, "it quotes nothing; ");
        return;
    }
    if (!expected->quote_size_said && came->family == 4) /* RFC 1122 3.2.2 */
        least = (expected->quote[0] & 15u) * 4 + 8;
    else if (!expected->quote_size_said && least > fits) /* RFC 4443 2.4 c */
        least = fits;
    if (least > expected->quote_size)
        least = expected->quote_size;
    if (came->quote_size < least || came->quote_size > expected->quote_size ||
        (expected->quote_size_said && came->quote_size != least))
        add(out, "it quotes %u bytes, not %u; ", came->quote_size, least);
    else if (memcmp(expected->quote, came->quote, came->quote_size) != 0)
        add(out, "the quote differs from the packet; ");
}

static void match_piece(const struct packet_view *expected, const struct packet_view *came, struct text *out)
{
    if (!expected->is_piece)
        return;
    if (expected->piece_from != came->piece_from || expected->piece_to != came->piece_to)
        add(out, "the piece is %u:%u; ", came->piece_from, came->piece_to);
    if ((expected->more_said && !came->more) || (expected->last_said && came->more))
        add(out, "the piece is %s; ", came->more ? "not the last" : "the last");
    if (expected->piece_id_said && expected->piece_id != came->piece_id)
        add(out, "the piece's id is %u; ", came->piece_id);
}

void match(struct run *run, const struct packet_view *expected, const struct packet_view *came, const struct flow *flow,
           struct text *differences)
{
    (void)run;
    if (expected->kind == PACKET_RAW) {
        match_data(expected, came, differences);
        return;
    }
    if (expected->kind != came->kind) {
        add(differences, "it is %s, not %s; ", kind_names[came->kind], kind_names[expected->kind]);
        return;
    }
    if (expected->link != came->link)
        add(differences, "it left by eth%u; ", came->link);
    for (int field = 0; field < FIELDS; field++)
        if ((expected->has >> field & 1) != 0 && (expected->any >> field & 1) == 0)
            match_field(expected, came, flow, field, differences);
    match_data(expected, came, differences);
    if (expected->options_said)
        match_options(expected, came, differences);
    if (expected->kind == PACKET_REPORT)
        match_records(expected, came, differences);
    match_quote(expected, came, differences);
    match_piece(expected, came, differences);
}
