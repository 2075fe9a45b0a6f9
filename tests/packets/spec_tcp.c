/* spec_tcp.c: the words of a TCP segment: flags, numbers that count from the ISNs, options; and what is left out. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

/* The flags that a word names; -1: it is something else. */
static int flags_of(const char *word)
{
    static const struct {
        const char *name;
        int flags;
    } names[] = {{"FIN", TCP_FIN}, {"SYN", TCP_SYN}, {"RST", TCP_RST}, {"PSH", TCP_PSH},
                 {"ACK", TCP_ACK}, {"URG", TCP_URG}, {"ECE", TCP_ECE}, {"CWR", TCP_CWR}};
    int flags = 0;

    if (strcmp(word, "none") == 0)
        return 0;
    if (strcmp(word, "DATA") == 0)
        return TCP_ACK | FLAGS_DATA;
    for (;; word += 4) {
        int found = 0;

        for (size_t i = 0; i < 8; i++)
            if (starts(word, names[i].name))
                found = names[i].flags;
        if (found == 0)
            return -1;
        flags |= found;
        if (word[3] == '\0')
            return flags;
        if (word[3] != '-')
            return -1;
    }
}

bool spec_is_flags(const char *word)
{
    return flags_of(word) >= 0;
}

/* ISN of a side; 0 where none is known: numbers are as on the wire. */
static uint32_t base_of(const struct flow *flow, bool ours)
{
    const struct side *side = ours ? &flow->ours : &flow->theirs;

    return side->known ? side->isn : 0;
}

/* N counted from base, or =N. */
static uint32_t sequence(struct run *run, const char *text, uint32_t base)
{
    if (text[0] == '=')
        return (uint32_t)number_must(run, text + 1, "a number");
    return base + (uint32_t)number_must(run, text, "a sequence number");
}

static void read_number(struct run *run, struct words *words, enum field field, uint32_t base, struct packet_view *out)
{
    const char *text = words_take(run, words, field_name(field));

    if (strcmp(text, "*") == 0) {
        packet_set(out, field, 0);
        out->any |= (uint64_t)1 << field;
        return;
    }
    packet_set(out, field, sequence(run, text, base));
}

/* ---- options ---- */

/* ts V/E, ts now, ts * */
static void read_ts(struct run *run, struct words *words, bool ours, const struct flow *flow, struct option *option)
{
    const char *text = words_take(run, words, "V/E");
    const char *slash = strchr(text, '/');
    char left[64];

    if (strcmp(text, "*") == 0) {
        option->any = option->any_second = true;
        return;
    }
    if (strcmp(text, "now") == 0 && !ours) {
        option->value = 1000 + (uint32_t)((run->now_ns - base_ns) / (uint64_t)NS_PER_MS);
        option->second = flow->ours.ts_last;
        return;
    }
    if (slash == NULL || (size_t)(slash - text) >= sizeof(left))
        fail(run, "timestamps should be VALUE/ECHO: \"%s\"", text);
    snprintf(left, sizeof(left), "%.*s", (int)(slash - text), text);
    if (strcmp(left, "*") == 0)
        option->any = true;
    else
        option->value = sequence(run, left, ours ? flow->ours.ts_first : 0);
    if (strcmp(slash + 1, "*") == 0)
        option->any_second = true;
    else
        option->second = sequence(run, slash + 1, ours ? 0 : flow->ours.ts_first);
}

static void read_blocks(struct run *run, struct words *words, uint32_t base, struct option *option)
{
    while (strcmp(words_peek(words), ",") != 0 && strcmp(words_peek(words), ">") != 0) {
        const char *text = words_take(run, words, "a block");
        int64_t from, to;

        if (strcmp(text, "*") == 0) {
            option->any = true;
            continue;
        }
        if (option->count == 4 || !range_of(run, text, &from, &to))
            fail(run, "SACK blocks should be up to four A:B: \"%s\"", text);
        option->blocks[option->count][0] = base + (uint32_t)from;
        option->blocks[option->count++][1] = base + (uint32_t)to;
    }
}

static void read_option_number(struct run *run, struct words *words, struct option *option)
{
    if (words_accept(words, "*"))
        option->any = true;
    else
        option->value = (uint32_t)words_number(run, words, "an option's value");
}

static void read_option(struct run *run, struct words *words, bool ours, const struct flow *flow,
                        struct packet_view *out)
{
    static const char *const names[] = {"mss", "ws", "sack-ok", "ts", "sack", "nop", "eol", "kind", "hex"};
    struct option *option = &out->options[out->option_count++];
    const char *name;
    int kind = 0;

    if (out->option_count == OPTIONS_MAX)
        fail(run, "too many options");
    option->absent = words_accept(words, "no");
    name = words_take(run, words, "an option");
    while (kind < 9 && strcmp(names[kind], name) != 0)
        kind++;
    if (kind == 9)
        fail(run, "\"%s\" is no option", name);
    option->kind = (enum option_kind)kind;
    if (option->absent && option->kind != OPT_KIND)
        return;
    switch (option->kind) {
    case OPT_MSS:
    case OPT_WS:
        read_option_number(run, words, option);
        return;
    case OPT_TS:
        read_ts(run, words, ours, flow, option);
        return;
    case OPT_SACK:
        read_blocks(run, words, base_of(flow, !ours), option);
        return;
    case OPT_KIND:
        option->value = (uint32_t)words_number(run, words, "an option's kind");
        if (strcmp(words_peek(words), ",") == 0 || strcmp(words_peek(words), ">") == 0)
            return;
        option->count = (uint32_t)hex_of(run, words_take(run, words, "bytes"), option->bytes, 38);
        return;
    case OPT_HEX:
        option->count = (uint32_t)hex_of(run, words_take(run, words, "bytes"), option->bytes, 40);
        return;
    default:
        return;
    }
}

/* <OPTION, ...>, behind its first sign. */
static void read_options(struct run *run, struct words *words, bool ours, const struct flow *flow,
                         struct packet_view *out)
{
    out->options_said = true;
    if (words_accept(words, "none"))
        out->options_only = true;
    else if (words_accept(words, "only"))
        out->options_only = true;
    while (!words_accept(words, ">")) {
        read_option(run, words, ours, flow, out);
        if (!words_accept(words, ",") && strcmp(words_peek(words), ">") != 0)
            fail(run, "options stand apart by commas: \"%s\"", words_peek(words));
    }
}

/* ---- the segment ---- */

/* N or A:B behind the flags. */
static void read_position(struct run *run, struct words *words, uint32_t base, struct packet_view *out)
{
    int64_t from, to;

    if (range_of(run, words_peek(words), &from, &to)) {
        if (to < from || to - from > DATA_ROOM)
            fail(run, "no range of bytes: \"%s\"", words_peek(words));
        packet_set(out, FIELD_SEQ, (uint32_t)(base + (uint32_t)from));
        out->data = DATA_PATTERN;
        out->data_size = (uint32_t)(to - from);
        words->next++;
    } else if (is_number(words_peek(words))) {
        out->data = DATA_PATTERN;
        out->data_size = (uint32_t)words_number(run, words, "bytes");
        if (out->data_size > DATA_ROOM)
            fail(run, "a payload is at most %d bytes", DATA_ROOM);
    }
}

static void read_fields(struct run *run, struct words *words, bool ours, const struct flow *flow,
                        struct packet_view *out)
{
    while (!words_end(words)) {
        if (words_accept(words, "seq"))
            read_number(run, words, FIELD_SEQ, base_of(flow, ours), out);
        else if (words_accept(words, "ack"))
            read_number(run, words, FIELD_ACK, base_of(flow, !ours), out);
        else if (words_accept(words, "wnd"))
            packet_set(out, FIELD_WND, (uint64_t)words_number(run, words, "a window"));
        else if (words_accept(words, "<"))
            read_options(run, words, ours, flow, out);
        else if (!spec_field(run, words, ours, out))
            fail(run, "what is \"%s\" here?", words_peek(words));
    }
}

/* What is left out of an injected segment. */
static void complete(struct run *run, struct flow *flow, struct packet_view *out)
{
    uint64_t flags = out->value[FIELD_FLAGS];

    if (!packet_has(out, FIELD_SEQ))
        packet_set(out, FIELD_SEQ,
                   (flags & TCP_SYN) != 0 || !flow->theirs.begun ? flow->theirs.isn : flow->theirs.next);
    if (!packet_has(out, FIELD_ACK))
        packet_set(out, FIELD_ACK, (flags & TCP_ACK) != 0 && flow->ours.begun ? flow->ours.next : 0);
    if (packet_has(out, FIELD_WND)) {
        unsigned scale = (flags & TCP_SYN) != 0 ? 0 : flow_scale(flow, false);
        uint64_t field = out->value[FIELD_WND] >> scale;

        if (field << scale != out->value[FIELD_WND] || field > 65535)
            fail(run, "a window of %llu cannot be said with a scale of %u", (unsigned long long)out->value[FIELD_WND],
                 scale);
        packet_set(out, FIELD_WIN, field);
    }
    if (packet_has(out, FIELD_WIN))
        flow->win = (uint32_t)out->value[FIELD_WIN];
    packet_set(out, FIELD_WIN, flow->win);
    if (!out->options_said && flow_uses_ts(flow) && (flags & (TCP_SYN | TCP_RST)) == 0) {
        out->option_count = 3;
        out->options[0].kind = out->options[1].kind = OPT_NOP;
        out->options[2].kind = OPT_TS;
        out->options[2].value = 1000 + (uint32_t)((run->now_ns - base_ns) / (uint64_t)NS_PER_MS);
        out->options[2].second = flow->ours.ts_last;
    }
    if (out->data == DATA_PATTERN && !out->data_offset_said)
        out->data_offset = (uint32_t)out->value[FIELD_SEQ] - flow->theirs.isn - 1;
}

void spec_tcp_default(const struct flow *flow, uint32_t next, struct packet_view *out)
{
    uint64_t flags = out->value[FIELD_FLAGS];

    if (!packet_has(out, FIELD_SEQ))
        packet_set(out, FIELD_SEQ, (flags & TCP_SYN) != 0 ? base_of(flow, true) : next);
    if (!packet_has(out, FIELD_ACK))
        packet_set(out, FIELD_ACK, (flags & TCP_ACK) == 0 ? 0 : flow->theirs.begun ? flow->theirs.solid : 0);
    if (out->data == DATA_PATTERN && !out->data_offset_said)
        out->data_offset = (uint32_t)out->value[FIELD_SEQ] - base_of(flow, true) - 1;
}

void spec_tcp(struct run *run, struct words *words, bool ours, struct packet_view *out, struct flow **flow)
{
    int flags = flags_of(words_take(run, words, "flags"));
    const struct endpoint *from, *to;

    if (*flow == NULL)
        *flow = flow_current(run, run->as);
    out->kind = PACKET_TCP;
    out->family = (*flow)->family;
    if ((flags & FLAGS_DATA) != 0 && !ours)
        flags = TCP_ACK | TCP_PSH;
    packet_set(out, FIELD_FLAGS, (uint64_t)flags);
    read_position(run, words, base_of(*flow, ours), out);
    read_fields(run, words, ours, *flow, out);
    if (out->data == DATA_UNSAID)
        out->data = DATA_PATTERN;
    from = ours ? &(*flow)->local : &(*flow)->remote;
    to = ours ? &(*flow)->remote : &(*flow)->local;
    if (!ours && to->port < 0)
        fail(run, "the local port of flow %s is not known: nothing has been sent in it", (*flow)->name);
    if (!packet_has(out, FIELD_SRC) && !from->any_ip)
        packet_set_ip(out, FIELD_SRC, &from->ip);
    if (!packet_has(out, FIELD_DST) && !to->any_ip)
        packet_set_ip(out, FIELD_DST, &to->ip);
    if (!packet_has(out, FIELD_SPORT) && from->port >= 0)
        packet_set(out, FIELD_SPORT, (uint64_t)from->port);
    if (!packet_has(out, FIELD_DPORT) && to->port >= 0)
        packet_set(out, FIELD_DPORT, (uint64_t)to->port);
    spec_defaults(run, ours, out);
    if (!ours)
        complete(run, *flow, out);
}
