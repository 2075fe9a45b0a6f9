/* inspect.c: looking inside: counters, objects in use, a connection's variables, the nic's filter; and its limits. */
#include "packets.h"

#include "stack.h"
#include "tcp.h"
#include <stdlib.h>
#include <string.h>

/* counter NAME +N [NAME +N ...] */
static void call_counter(struct run *run, struct words *words)
{
    const uint64_t *counters = pal__n_stack_counters(run->stack);

    do {
        const char *name = words_take(run, words, "a counter"), *change;
        int i = 0;
        uint64_t is;

        while (i < COUNTERS && strcmp(pal__n_counter_name(i), name) != 0)
            i++;
        if (i == COUNTERS)
            fail(run, "no counter is called %s", name);
        change = words_take(run, words, "+N");
        if (change[0] != '+')
            fail(run, "counter NAME +N, not \"%s\"", change);
        is = counters[i] - run->counters[i];
        note(run, "counter %s +%llu", name, (unsigned long long)is);
        if (is != (uint64_t)number_must(run, change + 1, "a number"))
            fail(run, "  counter %s: +%llu, not %s", name, (unsigned long long)is, change);
        run->counters[i] = counters[i];
    } while (!words_end(words));
}

struct field_place {
    const char *name;
    size_t offset, size;
};

#define USAGE(field)                                                                                                   \
    {                                                                                                                  \
#field, offsetof(struct netstack_usage, field), sizeof(uint32_t)                                               \
    }

static const struct field_place usage_fields[] = {
    USAGE(tcp),         USAGE(listeners),  USAGE(embryos),    USAGE(timewaits), USAGE(udp),
    USAGE(segments),    USAGE(chunks),     USAGE(neighbours), USAGE(paths),     USAGE(frag_sets),
    USAGE(frag_frames), USAGE(big_frames), USAGE(groups),     USAGE(timers),
};

enum { USAGE_FIELDS = sizeof(usage_fields) / sizeof(usage_fields[0]) };

static uint32_t usage_value(const struct netstack_usage *usage, size_t field)
{
    uint32_t value;

    memcpy(&value, (const uint8_t *)usage + usage_fields[field].offset, sizeof(value));
    return value;
}

/* What stays though nothing is open: neighbours and paths are remembered, and the stack's own groups. */
static bool is_memory(const char *name)
{
    return strcmp(name, "neighbours") == 0 || strcmp(name, "paths") == 0 || strcmp(name, "groups") == 0;
}

static void must_be_idle(struct run *run, const struct netstack_usage *usage)
{
    for (size_t i = 0; i < USAGE_FIELDS; i++)
        if (!is_memory(usage_fields[i].name) && usage_value(usage, i) != 0)
            fail(run, "  usage:   %s %u, not 0", usage_fields[i].name, usage_value(usage, i));
}

static void call_usage(struct run *run, struct words *words)
{
    struct netstack_usage usage;

    pal__n_stack_usage(run->stack, &usage);
    if (words_accept(words, "none"))
        must_be_idle(run, &usage);
    while (!words_end(words)) {
        const char *name = words_take(run, words, "an object");
        int64_t wanted = words_number(run, words, "how many");
        size_t i = 0;

        while (i < USAGE_FIELDS && strcmp(usage_fields[i].name, name) != 0)
            i++;
        if (i == USAGE_FIELDS)
            fail(run, "no usage is called %s", name);
        note(run, "usage %s %u", name, usage_value(&usage, i));
        if (usage_value(&usage, i) != wanted)
            fail(run, "  usage:   %s %u, not %lld", name, usage_value(&usage, i), (long long)wanted);
    }
}

/* ---- a connection's variables ---- */

#define TCB(field)                                                                                                     \
    {                                                                                                                  \
#field, offsetof(struct tcb, field), sizeof(((struct tcb *)0)->field)                                          \
    }

static const struct field_place tcb_fields[] = {
    TCB(mss),
    TCB(cwnd),
    TCB(ssthresh),
    TCB(in_flight),
    TCB(sacked),
    TCB(lost),
    TCB(snd_wnd),
    TCB(dupacks),
    TCB(backoff),
    TCB(recovery),
    TCB(snd_scale),
    TCB(rcv_scale),
    {"srtt", offsetof(struct tcb, srtt_ns), sizeof(uint64_t)},
    {"rttvar", offsetof(struct tcb, rttvar_ns), sizeof(uint64_t)},
    {"rto", offsetof(struct tcb, rto_ns), sizeof(uint64_t)},
    {"read_bytes", offsetof(struct tcb, read_bytes), sizeof(uint32_t)},
    {"ooo_count", offsetof(struct tcb, ooo_count), sizeof(uint32_t)},
    {"ooo_bytes", offsetof(struct tcb, ooo_bytes), sizeof(uint32_t)},
    {"flags", offsetof(struct tcb, flags), sizeof(uint32_t)},
};

static const char *const states[] = {"CLOSED",     "LISTEN",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED",
                                     "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",      "LAST-ACK"};

static uint64_t tcb_value(const struct tcb *tcb, const struct field_place *field)
{
    const uint8_t *at = (const uint8_t *)tcb + field->offset;
    uint64_t value64;
    uint32_t value32;
    uint16_t value16;

    switch (field->size) {
    case 1:
        return *at;
    case 2:
        memcpy(&value16, at, sizeof(value16));
        return value16;
    case 4:
        memcpy(&value32, at, sizeof(value32));
        return value32;
    default:
        memcpy(&value64, at, sizeof(value64));
        return value64;
    }
}

/* A value, perhaps with ~TOLERANCE. */
static void check_value(struct run *run, const char *name, uint64_t is, const char *word)
{
    char text[64];
    char *tilde;
    int64_t wanted, tolerance = 0;

    snprintf(text, sizeof(text), "%s", word);
    tilde = strchr(text, '~');
    if (tilde != NULL) {
        *tilde = '\0';
        tolerance = number_must(run, tilde + 1, "a tolerance");
    }
    wanted = number_must(run, text, name);
    note(run, "tcb %s %llu", name, (unsigned long long)is);
    if ((int64_t)is < wanted - tolerance || (int64_t)is > wanted + tolerance)
        fail(run, "  %s: %llu, not %s", name, (unsigned long long)is, word);
}

static void call_tcb(struct run *run, struct words *words)
{
    const struct named_sock *named = sock_named(run, words);
    const struct tcb *tcb = tcb_of_const(named->sock);

    if (named->sock->kind != SOCK_TCP)
        fail(run, "%s is no connection", named->name);
    while (!words_end(words)) {
        const char *name = words_take(run, words, "a variable"), *word = words_take(run, words, "a value");
        size_t i = 0;

        if (strcmp(name, "state") == 0) {
            const char *is = tcb->state < 10 ? states[tcb->state] : "?";

            note(run, "tcb state %s", is);
            if (strcmp(is, word) != 0)
                fail(run, "  state: %s, not %s", is, word);
            continue;
        }
        while (i < sizeof(tcb_fields) / sizeof(tcb_fields[0]) && strcmp(tcb_fields[i].name, name) != 0)
            i++;
        if (i == sizeof(tcb_fields) / sizeof(tcb_fields[0]))
            fail(run, "no variable of a connection is called %s", name);
        check_value(run, name, tcb_value(tcb, &tcb_fields[i]), word);
    }
}

/* ---- the ports ---- */

static void call_filter(struct run *run, struct words *words)
{
    const struct port *port = &run->ports[0];
    uint32_t wanted = 0;
    struct text text = {0};

    for (uint32_t i = 0; i < port->filter_count; i++)
        add(&text, " %s", name_of_mac(port->filters[i]));
    words_accept(words, "none");
    for (; !words_end(words); wanted++) {
        const char *word = words_take(run, words, "a MAC");
        uint64_t mac = 0;
        uint32_t i = 0;

        if (!mac_of(word, &mac))
            fail(run, "\"%s\" is no MAC", word);
        while (i < port->filter_count && port->filters[i] != mac)
            i++;
        if (i == port->filter_count)
            fail(run, "  filter: %s", text.at);
    }
    if (wanted != port->filter_count)
        fail(run, "  filter: %s", text.at);
}

static uint32_t limit(struct run *run, struct words *words)
{
    uint32_t value = words_accept(words, "all") ? UINT32_MAX : (uint32_t)words_number(run, words, "a number");

    words_must_end(run, words);
    note(run, "%s", run->statement->text);
    return value;
}

static void call_ring(struct run *run, struct words *words)
{
    uint32_t value = limit(run, words);

    for (uint32_t i = 0; i < run->port_count; i++)
        run->ports[i].ring = value;
}

static void call_frames(struct run *run, struct words *words)
{
    uint32_t value = limit(run, words);

    for (uint32_t i = 0; i < run->port_count; i++)
        run->ports[i].pool_max = value == UINT32_MAX ? value : run->ports[i].pool_used + value;
}

/* Why a call was refused, as a backend would tell its program. */
static struct run *listening;

static void take_reason(int code, const char *text)
{
    if (listening != NULL)
        note(listening, "%s because: %s", pal_error_name(code), text);
}

void listen_to_reasons(struct run *run)
{
    listening = run;
    if (run != NULL)
        run->stack->reason = take_reason;
}

const struct command inspect_commands[] = {
    {"counter", call_counter, false},
    {"usage", call_usage, false},
    {"tcb", call_tcb, false},
    {"filter", call_filter, false},
    {"ring", call_ring, true},
    {"frames", call_frames, true},
    {NULL, NULL, false},
};
