/* spec.c: the words of a packet: what it begins with, its addresses, payload and the fields that all kinds have. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum value_kind how;
    bool compared;
} fields[FIELDS] = {
#define PACKET_FIELD_(name, text, how, compared) {text, how, compared},
    PACKET_FIELDS(PACKET_FIELD_)
#undef PACKET_FIELD_
};

_Static_assert(FIELDS <= 64, "a bit for each field");

const char *field_name(enum field field)
{
    static const char *const others[FIELDS] = {
        [FIELD_FLAGS] = "flags",
        [FIELD_SEQ] = "seq",
        [FIELD_ACK] = "ack",
        [FIELD_WND] = "wnd",
        [FIELD_TYPE] = "type",
        [FIELD_CODE] = "code",
        [FIELD_ECHO_ID] = "id",
        [FIELD_ECHO_SEQ] = "seq",
        [FIELD_TARGET] = "target",
        [FIELD_NA_FLAGS] = "flags",
        [FIELD_LLA] = "link-layer address",
        [FIELD_GROUP] = "group",
    };

    return fields[field].name != NULL ? fields[field].name : others[field] != NULL ? others[field] : "?";
}

static void read_patch(struct run *run, struct words *words, struct packet_view *out)
{
    if (out->patch_count == BYTES_MAX)
        fail(run, "more than %d bytes are overwritten", BYTES_MAX);
    out->patches[out->patch_count].offset = (uint32_t)words_number(run, words, "an offset");
    out->patches[out->patch_count++].value = (uint8_t)words_number(run, words, "a byte");
    out->is_malformed = true;
}

static void read_ext(struct run *run, struct words *words, struct packet_view *out)
{
    static const struct {
        const char *name;
        uint8_t type;
    } types[] = {{"hop", IP6_NEXT_HOPOPTS}, {"dst", IP6_NEXT_DSTOPTS}, {"routing", IP6_NEXT_ROUTING}};
    const char *name = words_take(run, words, "an extension header");
    struct ext *ext = &out->exts[out->ext_count];
    int64_t times = 1;
    size_t i = 0;

    if (out->ext_count == EXTS_MAX)
        fail(run, "more than %d extension headers", EXTS_MAX);
    out->ext_count++;
    while (i < 3 && strcmp(types[i].name, name) != 0)
        i++;
    ext->type = i < 3 ? types[i].type : (uint8_t)number_must(run, name, "an extension header");
    ext->size = (uint32_t)hex_of(run, words_take(run, words, "its bytes"), ext->bytes, sizeof(ext->bytes) - 8);
    if (words_peek(words)[0] == 'x' && is_number(words_peek(words) + 1))
        times = number_must(run, words_take(run, words, "") + 1, "times");
    ext->times = (uint32_t)times;
}

/* piece A:B [more|last] */
static void read_piece(struct run *run, struct words *words, struct packet_view *out)
{
    const char *text = words_take(run, words, "a range of bytes");
    int64_t from, to;

    if (!range_of(run, text, &from, &to) || from < 0 || to < from)
        fail(run, "\"%s\" should be a range of bytes, A:B", text);
    out->is_piece = true;
    out->piece_from = (uint32_t)from;
    out->piece_to = (uint32_t)to;
    out->piece_id = 1;
    for (;;) {
        if (words_accept(words, "more"))
            out->more_said = true;
        else if (words_accept(words, "last"))
            out->last_said = true;
        else
            return;
    }
}

static void read_id(struct run *run, struct words *words, struct packet_view *out)
{
    bool any = words_accept(words, "*");
    uint64_t id = any ? 0 : (uint64_t)words_number(run, words, "id");

    if (out->is_piece) {
        out->piece_id = (uint32_t)id;
        out->piece_id_said = !any;
        return;
    }
    packet_set(out, out->kind == PACKET_ICMP ? FIELD_ECHO_ID : FIELD_ID, id);
    if (any)
        out->any |= (uint64_t)1 << (out->kind == PACKET_ICMP ? FIELD_ECHO_ID : FIELD_ID);
}

/* quoting last [N] | quoting PACKET */
static void read_quote(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    static struct packet_view inner; /* nothing that is quoted quotes */
    static bool busy;
    struct flow *flow;
    uint8_t *bytes = keep(run, FRAME_ROOM);

    out->quotes = true;
    if (words_accept(words, "last")) {
        const uint8_t *frame = ours ? run->newest_injected : run->newest_sent;
        uint32_t size = ours ? run->newest_injected_size : run->newest_sent_size;

        if (size < ETH_SIZE)
            fail(run, "there is no last frame to quote");
        out->quote_size = size - ETH_SIZE;
        memcpy(bytes, frame + ETH_SIZE, out->quote_size);
        if (bytes[0] >> 4 == 4 && get16(bytes + IP4_TOTAL) < out->quote_size)
            out->quote_size = get16(bytes + IP4_TOTAL); /* without padding */
        if (bytes[0] >> 4 == 6 && get16(bytes + IP6_PAYLOAD) + IP6_SIZE < (int)out->quote_size)
            out->quote_size = get16(bytes + IP6_PAYLOAD) + (uint32_t)IP6_SIZE;
    } else {
        if (busy || ours)
            fail(run, "a quote is \"last\" here");
        busy = true;
        spec_read(run, words, true, &inner, &flow);
        if (flow != NULL)
            spec_tcp_default(flow, flow->ours.next, &inner);
        out->quote_size = build_ip(run, &inner, bytes);
        busy = false;
    }
    if (is_number(words_peek(words))) {
        uint32_t size = (uint32_t)words_number(run, words, "a size");

        out->quote_size_said = true;
        if (size < out->quote_size)
            out->quote_size = size;
    }
    out->quote = bytes;
}

void spec_data(struct run *run, struct words *words, struct packet_view *out)
{
    const char *word = words_take(run, words, "the payload");
    const char *at = strchr(word, '@');
    uint8_t *bytes;
    size_t size;
    char number[64];

    if (strcmp(word, "*") == 0) {
        out->data = DATA_ANY;
        return;
    }
    if (word[0] == '"' || starts(word, "x:")) {
        bytes = keep(run, WORDS_ROOM);
        literal_of(run, word, bytes, WORDS_ROOM, &size);
        out->data = DATA_BYTES;
        out->bytes = bytes;
        out->data_size = (uint32_t)size;
        return;
    }
    snprintf(number, sizeof(number), "%.*s", at == NULL ? 63 : (int)(at - word), word);
    out->data = DATA_PATTERN;
    out->data_size = (uint32_t)number_must(run, number, "the bytes of payload");
    if (out->data_size > DATA_ROOM)
        fail(run, "a payload is at most %d bytes", DATA_ROOM);
    out->data_offset_said = at != NULL;
    if (at != NULL)
        out->data_offset = (uint64_t)number_must(run, at + 1, "an offset");
}

static void read_value(struct run *run, struct words *words, bool ours, enum field field, struct packet_view *out)
{
    const char *word = words_take(run, words, fields[field].name);
    uint64_t mac = 0;

    if (strcmp(word, "*") == 0 && ours) {
        out->has |= (uint64_t)1 << field;
        out->any |= (uint64_t)1 << field;
        return;
    }
    if (fields[field].how == VALUE_IP) {
        struct ip ip = address_must(run, word);

        packet_set_ip(out, field, &ip);
    } else if (fields[field].how == VALUE_MAC) {
        if (!mac_of(word, &mac))
            fail(run, "\"%s\" is no MAC", word);
        packet_set(out, field, mac);
    } else if (fields[field].how == VALUE_CHECKSUM && strcmp(word, "bad") == 0) {
        packet_set(out, field, CHECKSUM_BAD);
    } else if (fields[field].how == VALUE_CHECKSUM && strcmp(word, "zero") == 0) {
        packet_set(out, field, 0);
    } else {
        packet_set(out, field, (uint64_t)number_must(run, word, fields[field].name));
    }
}

/* Words that are no simple field. False: it is none of these. */
static bool read_special(struct run *run, struct words *words, bool ours, const char *name, struct packet_view *out)
{
    if (strcmp(name, "data") == 0) {
        spec_data(run, words, out);
    } else if (strcmp(name, "id") == 0) {
        read_id(run, words, out);
    } else if (strcmp(name, "ip-id") == 0) {
        read_value(run, words, ours, FIELD_ID, out);
    } else if (strcmp(name, "quoting") == 0) {
        read_quote(run, words, ours, out);
    } else if (strcmp(name, "pieces") == 0 && ours) {
        out->pieces = (uint32_t)words_number(run, words, "how many fragments");
    } else if (ours) {
        return false;
    } else if (strcmp(name, "piece") == 0) {
        read_piece(run, words, out);
    } else if (strcmp(name, "byte") == 0) {
        read_patch(run, words, out);
    } else if (strcmp(name, "ext") == 0) {
        read_ext(run, words, out);
    } else if (strcmp(name, "ip-options") == 0) {
        out->ip_option_size = (uint32_t)hex_of(run, words_take(run, words, "options"), out->ip_options, 40);
    } else if (strcmp(name, "trailer") == 0) {
        uint8_t *bytes = keep(run, 2048);

        out->trailer_size = (uint32_t)hex_of(run, words_take(run, words, "bytes"), bytes, 2048);
        out->trailer = bytes;
    } else if (strcmp(name, "dropped") == 0) {
        out->is_malformed = true;
    } else if (strcmp(name, "no-alert") == 0) {
        out->no_alert = true;
    } else if (strcmp(name, "nic-good") == 0) {
        packet_set(out, FIELD_NIC, FRAME_CSUM_GOOD);
    } else if (strcmp(name, "nic-bad") == 0) {
        packet_set(out, FIELD_NIC, FRAME_CSUM_BAD);
        out->is_malformed = true;
    } else {
        return false;
    }
    return true;
}

bool spec_field(struct run *run, struct words *words, bool ours, struct packet_view *out)
{
    static const uint64_t harmful =
        (uint64_t)1 << FIELD_CHECKSUM | (uint64_t)1 << FIELD_IP_CHECKSUM | (uint64_t)1 << FIELD_IP_VERSION |
        (uint64_t)1 << FIELD_IHL | (uint64_t)1 << FIELD_IP_LEN | (uint64_t)1 << FIELD_DOFF | (uint64_t)1 << FIELD_CUT |
        (uint64_t)1 << FIELD_ETH_DST | (uint64_t)1 << FIELD_ETH_TYPE | (uint64_t)1 << FIELD_SRC |
        (uint64_t)1 << FIELD_DST | (uint64_t)1 << FIELD_SPORT | (uint64_t)1 << FIELD_DPORT;
    int mark = words->next;
    const char *name = words_take(run, words, "a field");

    if (read_special(run, words, ours, name, out))
        return true;
    for (int field = 0; field < FIELDS; field++) {
        if (fields[field].name == NULL || strcmp(fields[field].name, name) != 0)
            continue;
        if (ours && !fields[field].compared)
            fail(run, "%s is for packets that are injected", name);
        read_value(run, words, ours, (enum field)field, out);
        if ((harmful >> field & 1) != 0)
            out->is_malformed = true;
        return true;
    }
    words->next = mark;
    return false;
}

/* FROM -> TO if it stands here. */
bool spec_from_to(struct run *run, struct words *words, bool with_ports, struct packet_view *out)
{
    enum field ports[] = {FIELD_SPORT, FIELD_DPORT}, ips[] = {FIELD_SRC, FIELD_DST};

    if (words->next + 1 >= words->count || strcmp(words->at[words->next + 1], "->") != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        const char *word = words_take(run, words, "an address");

        if (with_ports) {
            struct endpoint endpoint = endpoint_must(run, word);

            if (!endpoint.any_ip)
                packet_set_ip(out, ips[i], &endpoint.ip);
            packet_set(out, ports[i], endpoint.port < 0 ? 0 : (uint64_t)endpoint.port);
            if (endpoint.port < 0)
                out->any |= (uint64_t)1 << ports[i];
        } else {
            struct ip ip = address_must(run, word);

            packet_set_ip(out, ips[i], &ip);
        }
        if (i == 0)
            words_accept(words, "->");
    }
    return true;
}

/* Addresses that were left out, and the family. */
void spec_defaults(struct run *run, bool ours, struct packet_view *out)
{
    int link = (int)out->link;

    if (out->family == 0)
        out->family = run->as;
    if (packet_has(out, FIELD_SRC))
        out->family = ip_is_v4(&out->ip[IP_SRC]) ? 4 : 6;
    else if (packet_has(out, FIELD_DST))
        out->family = ip_is_v4(&out->ip[IP_DST]) ? 4 : 6;
    if (!packet_has(out, FIELD_SRC)) {
        struct ip ip = host_of(out->family, link, ours ? 1 : 2);

        packet_set_ip(out, FIELD_SRC, &ip);
    }
    if (!packet_has(out, FIELD_DST)) {
        struct ip ip = host_of(out->family, link, ours ? 2 : 1);

        packet_set_ip(out, FIELD_DST, &ip);
    }
}

/* [FLOW:] [on eth1] [v4|v6] in front. */
static struct flow *read_prefix(struct run *run, struct words *words, struct packet_view *out)
{
    struct flow *flow = NULL;

    for (;;) {
        const char *word = words_peek(words);
        size_t size = strlen(word);

        if (size > 1 && word[size - 1] == ':') {
            char name[NAME_ROOM];

            snprintf(name, sizeof(name), "%.*s", (int)(size - 1), word);
            flow = flow_find(run, name);
            if (flow == NULL)
                fail(run, "no flow is called %s", name);
            words->next++;
        } else if (words_accept(words, "on")) {
            const char *name = words_take(run, words, "an interface");

            if (strcmp(name, "eth0") != 0 && (strcmp(name, "eth1") != 0 || run->port_count < 2))
                fail(run, "there is no interface %s", name);
            out->link = (uint32_t)(name[3] - '0');
        } else if (strcmp(word, "v4") == 0 || strcmp(word, "v6") == 0) {
            run->as = out->family = word[1] - '0';
            words->next++;
        } else {
            return flow;
        }
    }
}

void spec_read(struct run *run, struct words *words, bool ours, struct packet_view *out, struct flow **flow)
{
    const char *kind;

    memset(out, 0, sizeof(*out));
    *flow = read_prefix(run, words, out);
    kind = words_peek(words);
    if (spec_is_flags(kind)) {
        spec_tcp(run, words, ours, out, flow);
        return;
    }
    if (*flow != NULL)
        fail(run, "behind a flow's name stand the flags of TCP, not \"%s\"", kind);
    words_take(run, words, "a packet");
    if (!spec_more(run, words, kind, ours, out))
        fail(run, "\"%s\" is no packet", kind);
    while (!words_end(words))
        if (!spec_protocol_value(run, words, words_peek(words), out) && !spec_field(run, words, ours, out))
            fail(run, "what is \"%s\" here?", words_peek(words));
    if (out->kind != PACKET_ARP && out->kind != PACKET_RAW && (out->kind != PACKET_PIECE || packet_has(out, FIELD_SRC)))
        spec_defaults(run, ours, out);
}
