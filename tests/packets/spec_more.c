/* spec_more.c: the words of everything but TCP: UDP, ICMP, ARP, Neighbour Discovery, IGMP and MLD, raw frames. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

const struct icmp_kind icmp_kinds[] = {
    {"echo-request", 8, 128}, {"echo-reply", 0, 129},   {"unreachable", 3, 1},
    {"too-big", 3, 2},        {"time-exceeded", 11, 3}, {"parameter", 12, 4},
    {"quench", 4, -1},        {"redirect", 5, 137},     {NULL, -1, -1},
};

static const struct {
    const char *name, *of;
    int code4, code6;
} icmp_codes[] = {
    {"net", "unreachable", 0, 0},          {"host", "unreachable", 1, 3},   {"protocol", "unreachable", 2, -1},
    {"port", "unreachable", 3, 4},         {"admin", "unreachable", 13, 1}, {"ttl", "time-exceeded", 0, 0},
    {"reassembly", "time-exceeded", 1, 1},
};

enum { ICMP_CODES = sizeof(icmp_codes) / sizeof(icmp_codes[0]) };

const char *const record_names[] = {"?", "is-in", "is-ex", "to-in", "to-ex", "allow", "block"};

const char *icmp_code_name(int family, uint64_t type, uint64_t code)
{
    for (int i = 0; i < ICMP_CODES; i++) {
        uint64_t of = icmp_codes[i].of[0] == 'u' ? (family == 4 ? 3 : 1) : (family == 4 ? 11 : 3);

        if (of == type && (int)code == (family == 4 ? icmp_codes[i].code4 : icmp_codes[i].code6))
            return icmp_codes[i].name;
    }
    return NULL;
}

static int family_of(struct run *run, const struct packet_view *out)
{
    return out->family != 0 ? out->family : run->as;
}

/* ---- ICMP ---- */

static void read_icmp_code(struct run *run, struct words *words, const char *kind, struct packet_view *out)
{
    int family = family_of(run, out);
    const char *word = words_peek(words);

    for (int i = 0; i < ICMP_CODES; i++) {
        int code = family == 4 ? icmp_codes[i].code4 : icmp_codes[i].code6;

        if (strcmp(icmp_codes[i].of, kind) != 0 || strcmp(icmp_codes[i].name, word) != 0)
            continue;
        if (code < 0)
            fail(run, "ICMPv6 has no \"%s %s\"", kind, word);
        words->next++;
        packet_set(out, FIELD_CODE, (uint64_t)code);
        return;
    }
    if (is_number(word))
        packet_set(out, FIELD_CODE, (uint64_t)words_number(run, words, "a code"));
}

static void read_icmp(struct run *run, struct words *words, struct packet_view *out)
{
    int family = family_of(run, out);
    const char *kind = words_take(run, words, "a kind of message");

    out->kind = PACKET_ICMP;
    packet_set(out, FIELD_CODE, 0);
    if (strcmp(kind, "type") == 0) {
        packet_set(out, FIELD_TYPE, (uint64_t)words_number(run, words, "a type"));
    } else {
        const struct icmp_kind *found = icmp_kinds;

        while (found->name != NULL && strcmp(found->name, kind) != 0)
            found++;
        if (found->name == NULL || (family == 6 && found->type6 < 0))
            fail(run, "ICMP has no message \"%s\"", kind);
        packet_set(out, FIELD_TYPE, (uint64_t)(family == 4 ? found->type4 : found->type6));
        if (strcmp(kind, "too-big") == 0 && family == 4)
            packet_set(out, FIELD_CODE, 4);
        read_icmp_code(run, words, kind, out);
    }
    spec_from_to(run, words, false, out);
}

/* ---- ARP ---- */

static void arp_fields(struct run *run, bool ours, const struct ip *sender, const struct ip *target, int op,
                       struct packet_view *out)
{
    int link = (int)out->link;
    bool known;
    uint64_t mac = mac_of_ip(run, link, sender, &known);

    out->kind = PACKET_ARP;
    out->family = 4;
    packet_set_ip(out, FIELD_SPA, sender);
    packet_set_ip(out, FIELD_TPA, target);
    packet_set(out, FIELD_OP, (uint64_t)op);
    if (ours)
        mac = mac_get(run->ports[link].caps.mac);
    packet_set(out, FIELD_SHA, mac);
    packet_set(out, FIELD_ETH_SRC, mac);
    if (op == 1) {
        packet_set(out, FIELD_ETH_DST, 0xffffffffffff);
    } else {
        mac = mac_of_ip(run, link, target, &known);
        packet_set(out, FIELD_ETH_DST, mac);
        packet_set(out, FIELD_THA, mac);
    }
}

static void read_arp(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    bool is_request = words_accept(words, "request");
    struct ip first, second;
    int as = run->as;

    run->as = 4;
    if (!is_request && !words_accept(words, "reply"))
        fail(run, "arp request or arp reply, not \"%s\"", words_peek(words));
    first = address_must(run, words_take(run, words, "an address"));
    second = host_of(4, (int)out->link, ours ? (is_request ? 1 : 2) : (is_request ? 2 : 1));
    if (words_accept(words, is_request ? "from" : "to"))
        second = address_must(run, words_take(run, words, "an address"));
    if (is_request)
        arp_fields(run, ours, &second, &first, 1, out);
    else
        arp_fields(run, ours, &first, &second, 2, out);
    run->as = as;
}

/* ---- Neighbour Discovery ---- */

/* no-lla, slla MAC, tlla MAC, flags RSO: behind the addresses of ND. */
static bool read_lla(struct run *run, struct words *words, struct packet_view *out)
{
    uint64_t mac = 0;

    if (words_accept(words, "no-lla")) {
        packet_set(out, FIELD_LLA, NO_LLA);
        return true;
    }
    if (out->kind == PACKET_NA && words_accept(words, "flags")) {
        for (const char *at = words_take(run, words, "flags"); *at != '\0'; at++)
            mac |= *at == 'R' ? 4u : *at == 'S' ? 2u : *at == 'O' ? 1u : 0u;
        packet_set(out, FIELD_NA_FLAGS, mac);
        return true;
    }
    if (!words_accept(words, out->kind == PACKET_NA ? "tlla" : "slla"))
        return false;
    if (!mac_of(words_take(run, words, "a MAC"), &mac))
        fail(run, "this is no MAC");
    packet_set(out, FIELD_LLA, mac);
    return true;
}

static void default_lla(struct run *run, const struct ip *whose, bool ours, struct packet_view *out)
{
    bool known;

    if (!ours && !packet_has(out, FIELD_LLA))
        packet_set(out, FIELD_LLA, ip_is_unspecified(whose) ? NO_LLA : mac_of_ip(run, (int)out->link, whose, &known));
}

static void read_ns(struct run *run, struct words *words, bool ours, bool unicast, struct packet_view *out)
{
    struct ip target = address_must(run, words_take(run, words, "a target")), to = solicited_node(&target);

    out->kind = PACKET_NS;
    out->family = 6;
    packet_set_ip(out, FIELD_TARGET, &target);
    if (!spec_from_to(run, words, false, out))
        packet_set_ip(out, FIELD_DST, unicast ? &target : &to);
    spec_defaults(run, ours, out);
    default_lla(run, &out->ip[IP_SRC], ours, out);
}

static void read_na(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    struct ip target = address_must(run, words_take(run, words, "a target"));

    out->kind = PACKET_NA;
    out->family = 6;
    packet_set_ip(out, FIELD_TARGET, &target);
    if (!spec_from_to(run, words, false, out))
        packet_set_ip(out, FIELD_SRC, &target);
    if (!ours)
        packet_set(out, FIELD_NA_FLAGS, 3);
    spec_defaults(run, ours, out);
    default_lla(run, &target, ours, out);
}

static void read_router(struct run *run, struct words *words, bool is_advertisement, bool ours, struct packet_view *out)
{
    struct ip group = address_must(run, is_advertisement ? "ff02::1" : "ff02::2");
    struct ip from = address_must(run, ours ? "us.ll" : "peer.ll");

    out->kind = is_advertisement ? PACKET_RA : PACKET_RS;
    out->family = 6;
    if (!spec_from_to(run, words, false, out)) {
        packet_set_ip(out, FIELD_SRC, &from);
        packet_set_ip(out, FIELD_DST, &group);
    }
    default_lla(run, &out->ip[IP_SRC], ours, out);
}

/* ask TARGET [unicast] [from SENDER], answer TARGET: of either family. */
static void read_ask(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    const char *target = words_take(run, words, "an address");
    bool unicast = words_accept(words, "unicast"), known;
    struct ip ip = address_must(run, target), from;

    if (!ip_is_v4(&ip)) {
        words->next -= 1 + unicast;
        words->at[words->next + unicast] = words->at[words->next];
        words->next += unicast;
        read_ns(run, words, ours, unicast, out);
        if (words_accept(words, "from")) {
            from = address_must(run, words_take(run, words, "an address"));
            packet_set_ip(out, FIELD_SRC, &from);
        }
        return;
    }
    from = host_of(4, (int)out->link, ours ? 1 : 2);
    if (words_accept(words, "from"))
        from = address_must(run, words_take(run, words, "an address"));
    arp_fields(run, ours, &from, &ip, 1, out);
    if (unicast)
        packet_set(out, FIELD_ETH_DST, mac_of_ip(run, (int)out->link, &ip, &known));
}

static void read_answer(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    struct ip ip = address_must(run, words_peek(words)), to = host_of(4, (int)out->link, ours ? 2 : 1);

    if (!ip_is_v4(&ip)) {
        read_na(run, words, ours, out);
        if (ours && !packet_has(out, FIELD_NA_FLAGS))
            packet_set(out, FIELD_NA_FLAGS, 3);
        return;
    }
    words->next++;
    arp_fields(run, ours, &ip, &to, 2, out);
}

/* Fields whose words mean something in one protocol only. */
bool spec_protocol_value(struct run *run, struct words *words, const char *name, struct packet_view *out)
{
    enum field field;

    if (out->kind >= PACKET_NS && out->kind <= PACKET_RA && read_lla(run, words, out))
        return true;
    if (out->kind == PACKET_ICMP && strcmp(name, "seq") == 0)
        field = FIELD_ECHO_SEQ;
    else if (out->kind == PACKET_ICMP && strcmp(name, "code") == 0)
        field = FIELD_CODE;
    else if (spec_from_to(run, words, out->kind == PACKET_UDP, out))
        return true;
    else
        return false;
    words->next++;
    if (words_accept(words, "*")) {
        packet_set(out, field, 0);
        out->any |= (uint64_t)1 << field;
    } else {
        packet_set(out, field, (uint64_t)words_number(run, words, name));
    }
    return true;
}

/* ---- IGMP and MLD ---- */

/* Where such a message goes to and comes from unless it is said. */
static void group_addresses(struct run *run, bool ours, const char *to4, const char *to6, const struct ip *to,
                            struct packet_view *out)
{
    int family = family_of(run, out);
    struct ip dst = to != NULL ? *to : address_must(run, family == 4 ? to4 : to6);
    struct ip src =
        family == 4 ? host_of(4, (int)out->link, ours ? 1 : 2) : address_must(run, ours ? "us.ll" : "peer.ll");

    if (family == 6 && ours && out->link == 1)
        src = address_must(run, "us1.ll");
    out->family = family;
    out->router_alert = true;
    if (!packet_has(out, FIELD_DST))
        packet_set_ip(out, FIELD_DST, &dst);
    if (!packet_has(out, FIELD_SRC))
        packet_set_ip(out, FIELD_SRC, &src);
}

/* Addresses as long as words are some. */
static uint32_t read_sources(struct run *run, struct words *words, struct packet_view *out)
{
    uint32_t count = 0;
    struct ip ip;

    while (!words_end(words) && address_of(run, words_peek(words), &ip)) {
        if (out->source_count == SOURCES_MAX)
            fail(run, "more than %d sources", SOURCES_MAX);
        out->sources[out->source_count++] = ip;
        words->next++;
        count++;
    }
    return count;
}

static void read_report(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    out->kind = PACKET_REPORT;
    do {
        struct record *record = &out->records[out->record_count];
        const char *name = words_take(run, words, "a record");
        uint8_t type = 1;

        if (ours && strcmp(name, "*") == 0) {
            out->more_records = true;
            break;
        }
        if (out->record_count == RECORDS_MAX)
            fail(run, "more than %d records", RECORDS_MAX);
        while (type <= 6 && strcmp(record_names[type], name) != 0)
            type++;
        record->type = type <= 6 ? type : (uint8_t)number_must(run, name, "a record's type");
        record->group = address_must(run, words_take(run, words, "a group"));
        record->first = out->source_count;
        record->any_sources = words_accept(words, "*");
        record->count = read_sources(run, words, out);
        out->record_count++;
    } while (words_accept(words, ","));
    group_addresses(run, ours, "224.0.0.22", "ff02::16", NULL, out);
}

static void read_query(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    struct ip group = family_of(run, out) == 4 ? ip_of_number(0) : ip_none();
    bool is_general = true;

    out->kind = PACKET_QUERY;
    if (!words_end(words) && address_of(run, words_peek(words), &group)) {
        words->next++;
        is_general = false;
    }
    packet_set_ip(out, FIELD_GROUP, &group);
    packet_set(out, FIELD_MAX, (uint64_t)(10 * NS_PER_S));
    if (words_accept(words, "from"))
        read_sources(run, words, out);
    group_addresses(run, ours, "224.0.0.1", "ff02::1", is_general ? NULL : &group, out);
}

static void read_old_group(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    static const struct {
        const char *name;
        uint8_t type4, type6;
    } types[] = {{"query", 0x11, 130}, {"report1", 0x12, 131}, {"report2", 0x16, 131}, {"leave", 0x17, 132}};
    const char *name = words_take(run, words, "a type");
    struct ip group;
    size_t i = 0;
    int family = family_of(run, out);

    out->kind = PACKET_IGMP;
    while (i < 4 && strcmp(types[i].name, name) != 0)
        i++;
    packet_set(out, FIELD_TYPE,
               i == 4        ? (uint64_t)number_must(run, name, "a type")
               : family == 4 ? types[i].type4
                             : types[i].type6);
    group = address_must(run, words_take(run, words, "a group"));
    packet_set_ip(out, FIELD_GROUP, &group);
    if (i == 3)
        group_addresses(run, ours, "224.0.0.2", "ff02::2", NULL, out);
    else
        group_addresses(run, ours, "224.0.0.1", "ff02::1", ip_is_unspecified(&group) ? NULL : &group, out);
}

/* ---- the rest ---- */

static void read_raw(struct run *run, struct words *words, struct packet_view *out)
{
    uint8_t *bytes = keep(run, FRAME_ROOM);

    out->kind = PACKET_RAW;
    out->data = DATA_BYTES;
    out->bytes = bytes;
    while (!words_end(words))
        out->data_size +=
            (uint32_t)hex_of(run, words_take(run, words, "bytes"), bytes + out->data_size, FRAME_ROOM - out->data_size);
}

bool spec_more(struct run *run, struct words *words, const char *kind, bool ours, struct packet_view *out)
{
    if (strcmp(kind, "udp") == 0) {
        out->kind = PACKET_UDP;
        if (!spec_from_to(run, words, true, out))
            fail(run, "udp FROM:PORT -> TO:PORT");
    } else if (strcmp(kind, "icmp") == 0) {
        read_icmp(run, words, out);
    } else if (strcmp(kind, "arp") == 0) {
        read_arp(run, words, ours, out);
    } else if (strcmp(kind, "ns") == 0) {
        read_ns(run, words, ours, false, out);
    } else if (strcmp(kind, "na") == 0) {
        read_na(run, words, ours, out);
    } else if (strcmp(kind, "rs") == 0 || strcmp(kind, "ra") == 0) {
        read_router(run, words, kind[1] == 'a', ours, out);
    } else if (strcmp(kind, "ask") == 0) {
        read_ask(run, words, ours, out);
    } else if (strcmp(kind, "answer") == 0) {
        read_answer(run, words, ours, out);
    } else if (strcmp(kind, "report") == 0) {
        read_report(run, words, ours, out);
    } else if (strcmp(kind, "query") == 0) {
        read_query(run, words, ours, out);
    } else if (strcmp(kind, "igmp") == 0) {
        read_old_group(run, words, ours, out);
    } else if (strcmp(kind, "ip") == 0) {
        out->kind = PACKET_IP;
        packet_set(out, FIELD_PROTO, (uint64_t)words_number(run, words, "a protocol"));
        spec_from_to(run, words, false, out);
    } else if (strcmp(kind, "piece") == 0 && ours) {
        int64_t from, to;

        out->kind = PACKET_PIECE;
        if (!range_of(run, words_take(run, words, "a range"), &from, &to))
            fail(run, "piece A:B");
        out->is_piece = true;
        out->piece_from = (uint32_t)from;
        out->piece_to = (uint32_t)to;
        out->more_said = words_accept(words, "more");
        out->last_said = words_accept(words, "last");
    } else if (strcmp(kind, "raw") == 0) {
        read_raw(run, words, out);
    } else {
        return false;
    }
    return true;
}
