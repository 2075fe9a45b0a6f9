/* plan.c: reads the text that describes a simulated network (docs/simulator.md, "The language").
 *
 * A text is statements, one a line or with semicolons between; a statement is words. Each reader of a statement takes
 * its words one by one, and says what is wrong with the one that it took last. */
#include "plan_words.h"

#include <palio/base/text.h>
#include <string.h>

enum { MESSAGE_SIZE = 320, QUOTED_MAX = 40 };

struct reader {
    const char *at;
    uint32_t line;
    struct plan *plan;
    uint32_t seen;          /* statements so far: bits of their place in the table */
    uint32_t faults_seen;   /* words of the faults of the network, likewise */
    struct plan_piece word; /* taken last */
    bool ended;             /* there was none left to take; `word` is the one before */
};

static char message[MESSAGE_SIZE];

/* ---- what is wrong ---- */

/* A word as it may be printed: a text from anywhere is no terminal's commands. */
static void quote(struct base_text *text, struct plan_piece word)
{
    base_text_char(text, '\'');
    for (size_t i = 0; i < word.size && i < QUOTED_MAX; i++)
        base_text_char(text, word.data[i] >= ' ' && word.data[i] <= '~' ? word.data[i] : '?');
    base_text_string(text, word.size > QUOTED_MAX ? "...'" : "'");
}

/* About the word taken last: what is wrong, and what helps. */
static const char *wrong(const struct reader *reader, const char *what)
{
    struct base_text text;

    base_text_init(&text, message, sizeof(message));
    base_text_string(&text, "line ");
    base_text_unsigned(&text, reader->line);
    base_text_string(&text, reader->ended ? ": after " : ": ");
    quote(&text, reader->word);
    base_text_string(&text, reader->ended ? " something is missing: " : ": ");
    base_text_string(&text, what);
    return message;
}

/* ---- words ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_statement(char c)
{
    return c == '\0' || c == '\n' || c == ';';
}

static void skip_spaces(struct reader *reader)
{
    while (is_space(*reader->at))
        reader->at++;
    if (*reader->at == '#') {
        while (*reader->at != '\0' && *reader->at != '\n')
            reader->at++;
    }
}

/* The next word of the statement. False: there is none. A word that begins with a quote ends with the next one, and may
 * have spaces in it; an open quote goes on to the end of the line, and is found by quote_is_open. */
static bool take(struct reader *reader)
{
    const char *start;

    skip_spaces(reader);
    reader->ended = ends_statement(*reader->at);
    if (reader->ended)
        return false;
    start = reader->at;
    if (*start == '"') {
        reader->at++;
        while (*reader->at != '"' && *reader->at != '\0' && *reader->at != '\n')
            reader->at++;
        if (*reader->at == '"')
            reader->at++;
    } else {
        while (!is_space(*reader->at) && !ends_statement(*reader->at))
            reader->at++;
    }
    reader->word = (struct plan_piece){start, (size_t)(reader->at - start)};
    return true;
}

static bool is(const struct reader *reader, const char *word)
{
    return pal__s_piece_is(reader->word, word);
}

/* Takes the word that must come here. */
static const char *expect(struct reader *reader, const char *word, const char *what)
{
    return take(reader) && is(reader, word) ? NULL : wrong(reader, what);
}

static const char *take_measure(struct reader *reader, enum plan_measure measure, uint64_t least, uint64_t *value)
{
    static const char *const missing[] = {"a share, as 0.5%", "a time, as 50us", "a rate, as 100Mbit"};
    const char *what = take(reader) ? pal__s_measure_read(reader->word, measure, least, value) : missing[measure];

    return what != NULL ? wrong(reader, what) : NULL;
}

/* ---- hosts by their names ---- */

/* In *number, as the world will number it. */
static bool find_host(const struct plan *plan, struct plan_piece name, uint32_t *number)
{
    if (pal__s_same_name(name, PLAN_PROGRAM)) {
        *number = 0;
        return true;
    }
    for (uint32_t i = 0; i < plan->host_count; i++) {
        if (pal__s_same_name(name, plan->hosts[i].name)) {
            *number = i + 1;
            return true;
        }
    }
    return false;
}

/* Takes the name of a host; where several may be meant, also "*". */
static const char *take_host(struct reader *reader, bool or_all, uint32_t *number)
{
    if (!take(reader))
        return wrong(reader, or_all ? "the name of a host, or * for all" : "the name of a host");
    if (is(reader, "*")) {
        *number = UINT32_MAX;
        return or_all ? NULL : wrong(reader, "this is about one host: name it");
    }
    if (!find_host(reader->plan, reader->word, number))
        return wrong(reader, "no such host: name it by a host statement further up, or say sim for the program's own");
    return NULL;
}

/* ---- faults ---- */

static const struct fault_word *find_fault(struct plan_piece word, bool of_link)
{
    for (size_t i = 0; i < FAULT_WORDS; i++) {
        const struct fault_word *fault = &pal__s_fault_words[i];

        if (pal__s_piece_is(word, fault->name))
            return fault->of_frames || !of_link ? fault : NULL;
    }
    return NULL;
}

static const char *read_latency(struct reader *reader, uint64_t *min, uint64_t *max)
{
    struct plan_piece first, second;
    const char *what;
    size_t dots = 0;

    if (!take(reader))
        return wrong(reader, "a time, or two with .. between, as 50us..2ms");
    first = second = reader->word;
    while (dots + 1 < first.size && memcmp(first.data + dots, "..", 2) != 0)
        dots++;
    if (dots + 1 < first.size) {
        first.size = dots;
        second.data += dots + 2;
        second.size -= dots + 2;
    }
    what = pal__s_measure_read(first, MEASURE_TIME, 1, min);
    if (what == NULL)
        what = pal__s_measure_read(second, MEASURE_TIME, 1, max);
    if (what == NULL && *min > *max)
        what = "the shorter time comes first: turn them round";
    if (what == NULL && *max > PLAN_LATENCY_MAX)
        what = "a latency is at most 1h: cut the link instead";
    return what != NULL ? wrong(reader, what) : NULL;
}

static const char *read_repeat(struct reader *reader, const struct fault_word *fault, uint64_t *every, uint64_t *length)
{
    bool by = strcmp(fault->join, "by") == 0;
    const char *bad = expect(reader, "every", by ? "say every TIME by TIME" : "say every TIME for TIME");

    if (bad == NULL)
        bad = take_measure(reader, MEASURE_TIME, 1, every);
    if (bad == NULL)
        bad = expect(reader, fault->join, by ? "say by how much: by TIME" : "say how long: for TIME");
    return bad != NULL ? bad : take_measure(reader, MEASURE_TIME, 1, length);
}

static const char *read_stall(struct reader *reader, uint64_t *longest)
{
    static const char remedy[] = "say how long it may be: up to TIME";
    const char *bad = expect(reader, "up", remedy);

    if (bad == NULL)
        bad = expect(reader, "to", remedy);
    return bad != NULL ? bad : take_measure(reader, MEASURE_TIME, 1, longest);
}

/* What is behind the word of a fault. */
static const char *read_fault(struct reader *reader, const struct fault_word *fault, struct pal_sim_faults *faults)
{
    const char *bad = NULL;
    uint64_t share = 0;

    switch (fault->form) {
    case FORM_SHARE:
    case FORM_STALL:
        bad = take_measure(reader, MEASURE_SHARE, 0, &share);
        *pal__s_fault_share(faults, fault->first) = (uint32_t)share;
        if (bad == NULL && fault->form == FORM_STALL)
            bad = read_stall(reader, pal__s_fault_number(faults, fault->second));
        return bad;
    case FORM_LATENCY:
        return read_latency(reader, pal__s_fault_number(faults, fault->first),
                            pal__s_fault_number(faults, fault->second));
    case FORM_RATE:
        return take_measure(reader, MEASURE_RATE, 1, pal__s_fault_number(faults, fault->first));
    case FORM_REPEAT:
        return read_repeat(reader, fault, pal__s_fault_number(faults, fault->first),
                           pal__s_fault_number(faults, fault->second));
    }
    return bad;
}

/* The rest of the statement: faults; of a link, those of frames alone. seen: bits of those that were said already. */
static const char *read_faults(struct reader *reader, bool of_link, struct pal_sim_faults *faults, uint32_t *seen)
{
    static const char of_frames[] =
        "a link has loss, duplicate, reorder, corrupt and latency alone: say faults for others";
    static const char all[] =
        "no such fault: there are loss, duplicate, reorder, corrupt, latency, rate, short, again, "
        "no-memory, no-handle, reset, stall, cut, pause, crash, clock";
    const char *bad = NULL;

    while (bad == NULL && take(reader)) {
        const struct fault_word *fault = find_fault(reader->word, of_link);
        uint32_t bit;

        if (fault == NULL)
            return wrong(reader, of_link ? of_frames : all);
        bit = UINT32_C(1) << (fault - pal__s_fault_words);
        if ((*seen & bit) != 0)
            return wrong(reader, "this is said already: leave one of the two out");
        *seen |= bit;
        bad = read_fault(reader, fault, faults);
    }
    return bad;
}

/* Faults of the whole network: at least one, or none. */
static const char *read_all_faults(struct reader *reader, struct pal_sim_faults *faults, uint32_t *seen)
{
    struct reader before = *reader;

    if (!take(reader))
        return wrong(reader, "the faults, as loss 1%, or none");
    if (!is(reader, "none")) {
        *reader = before;
        return read_faults(reader, false, faults, seen);
    }
    if (*seen != 0)
        return wrong(reader, "faults are said already: leave one of the two out");
    *seen = UINT32_MAX;
    return NULL;
}

/* ---- statements ---- */

static const char *read_seed(struct reader *reader)
{
    if (!take(reader))
        return wrong(reader, "a seed, as 42");
    if (!base_parse_unsigned(reader->word.data, reader->word.size, UINT64_MAX, &reader->plan->seed) ||
        reader->plan->seed == 0)
        return wrong(reader, "a seed is a whole number from 1 to 18446744073709551615");
    return NULL;
}

static bool is_taken(const struct plan *plan, const struct pal_addr *addr)
{
    for (uint32_t i = 0; i < plan->host_count; i++) {
        if (pal__s_host_has(&plan->hosts[i], addr))
            return true;
    }
    return false;
}

static const char *read_host(struct reader *reader)
{
    struct plan *plan = reader->plan;
    struct plan_host *host = &plan->hosts[plan->host_count];
    const char *what;
    uint32_t number;

    if (plan->host_count == PLAN_HOSTS_MAX)
        return wrong(reader, "a text has at most 256 hosts: add the others by PAL_CTL_SIM_HOST");
    if (!take(reader))
        return wrong(reader, "a name and an address, as host server 10.0.0.1");
    what = pal__s_host_begin(host, reader->word);
    if (what == NULL && find_host(plan, reader->word, &number))
        what = "there is a host of this name already: choose another";
    while (what == NULL && take(reader)) {
        struct pal_addr addr;

        what = pal__s_host_add(host, reader->word, &addr);
        if (what == NULL && is_taken(plan, &addr))
            what = "another host has this address already: choose another";
    }
    if (what == NULL && host->addresses[0] == '\0')
        what = "an address, as 10.0.0.1";
    plan->host_count++;
    return what != NULL ? wrong(reader, what) : NULL;
}

static const char *read_run(struct reader *reader)
{
    const char *bad = expect(reader, "on", "say run on HOST");

    return bad != NULL ? bad : take_host(reader, false, &reader->plan->enter);
}

static const char *read_network(struct reader *reader)
{
    reader->plan->has_faults = true;
    if ((reader->plan->flags & PAL_SIM_SWARM) != 0)
        return wrong(reader, "swarm draws the faults: leave one of the two out");
    return read_all_faults(reader, &reader->plan->faults, &reader->faults_seen);
}

static const char *add_link(struct reader *reader, uint32_t from, uint32_t to, const struct pal_sim_faults *faults)
{
    struct plan *plan = reader->plan;
    struct pal_sim_link *link = &plan->links[plan->link_count];

    if (plan->link_count == PLAN_LINKS_MAX)
        return wrong(reader,
                     "a text has at most 1024 links, of which link A B makes two: add others by PAL_CTL_SIM_LINK");
    for (uint32_t i = 0; i < plan->link_count; i++) {
        if (plan->links[i].from == from && plan->links[i].to == to)
            return wrong(reader, "this link is described already: say all of it in one statement for each way");
    }
    link->from = from;
    link->to = to;
    pal__s_link_of(faults, link);
    plan->link_count++;
    return NULL;
}

/* Two hosts, which are not the same, and of which one at most is "*". */
static const char *take_pair(struct reader *reader, bool *one_way, uint32_t *a, uint32_t *b)
{
    const char *bad = take_host(reader, true, a);

    if (bad != NULL)
        return bad;
    if (one_way != NULL) {
        struct reader before = *reader;

        *one_way = take(reader) && is(reader, "->");
        if (!*one_way)
            *reader = before;
    }
    bad = take_host(reader, true, b);
    if (bad == NULL && *a == *b)
        bad = wrong(reader, *a == UINT32_MAX ? "this is about a host and others: name one of the two"
                                             : "this is the same host: name another, or * for all others");
    return bad;
}

static const char *read_link(struct reader *reader)
{
    struct pal_sim_faults faults;
    uint32_t from, to, seen = 0;
    const char *bad;
    bool one_way;

    memset(&faults, 0, sizeof(faults));
    bad = take_pair(reader, &one_way, &from, &to);
    if (bad == NULL)
        bad = read_faults(reader, true, &faults, &seen);
    reader->ended = false; /* what may be wrong from here on is not that something is missing */
    if (bad == NULL)
        bad = add_link(reader, from, to, &faults);
    if (bad == NULL && !one_way)
        bad = add_link(reader, to, from, &faults);
    return bad;
}

static const char *read_jump(struct reader *reader, int64_t *jump)
{
    static const char form[] = "how far the clock jumps, with its sign: +1h, or -5ms";
    struct plan_piece length;
    const char *what;
    uint64_t time = 0;

    if (!take(reader) || (reader->word.data[0] != '+' && reader->word.data[0] != '-'))
        return wrong(reader, form);
    length = (struct plan_piece){reader->word.data + 1, reader->word.size - 1};
    what = pal__s_measure_read(length, MEASURE_TIME, 1, &time);
    *jump = reader->word.data[0] == '-' ? -(int64_t)time : (int64_t)time;
    return what != NULL ? wrong(reader, what) : NULL;
}

static const char *read_action(struct reader *reader, struct plan_action *action)
{
    const struct action_word *word = pal__s_action_words;
    const char *bad;
    uint32_t seen = 0;

    if (!take(reader))
        return wrong(reader, "what happens then, as cut A B");
    while (word < pal__s_action_words + ACTION_WORDS && !is(reader, word->name))
        word++;
    if (word == pal__s_action_words + ACTION_WORDS)
        return wrong(reader, "nothing that happens: there are cut, heal, crash, restart, pause, resume, clock, faults");
    action->key = word->key;
    switch (word->form) {
    case ACTION_PAIR:
        bad = take_pair(reader, NULL, &action->a, &action->b);
        if (action->a == UINT32_MAX) { /* the one that is named comes first */
            action->a = action->b;
            action->b = UINT32_MAX;
        }
        return bad;
    case ACTION_HOST:
        return take_host(reader, false, &action->a);
    case ACTION_CLOCK:
        bad = take_host(reader, false, &action->a);
        return bad != NULL ? bad : read_jump(reader, &action->jump_ns);
    case ACTION_FAULTS:
        break;
    }
    return read_all_faults(reader, &action->faults, &seen);
}

static const char *read_at(struct reader *reader)
{
    struct plan *plan = reader->plan;
    struct plan_action action, *place = plan->actions + plan->action_count;
    const char *bad;

    if (plan->action_count == PLAN_ACTIONS_MAX)
        return wrong(reader, "a text has at most 1024 actions: take the others by pal_ctl when it is time");
    memset(&action, 0, sizeof(action));
    bad = take_measure(reader, MEASURE_TIME, 0, &action.at_ns);
    if (bad == NULL)
        bad = read_action(reader, &action);
    if (bad != NULL)
        return bad;
    while (place > plan->actions && place[-1].at_ns > action.at_ns)
        place--;
    memmove(place + 1, place, (size_t)(plan->actions + plan->action_count - place) * sizeof(action));
    memcpy(place, &action, sizeof(action));
    plan->action_count++;
    return NULL;
}

static const char *read_swarm(struct reader *reader)
{
    reader->plan->flags |= PAL_SIM_SWARM;
    return reader->plan->has_faults ? wrong(reader, "swarm draws the faults: leave one of the two out") : NULL;
}

static const char *read_pcap(struct reader *reader)
{
    struct plan_piece path;

    if (!take(reader))
        return wrong(reader, "the name of a file, as out.pcapng");
    path = reader->word;
    if (path.data[0] == '"') {
        if (path.size == 1 || path.data[path.size - 1] != '"')
            return wrong(reader, "the name begins with a quote and does not end with one");
        path = (struct plan_piece){path.data + 1, path.size - 2};
    }
    if (path.size == 0 || path.size >= PLAN_PATH_SIZE)
        return wrong(reader, "the name of a file has 1 to 255 bytes");
    memcpy(reader->plan->pcap, path.data, path.size);
    return NULL;
}

static const char *read_pace(struct reader *reader)
{
    reader->plan->flags |= PAL_SIM_VIRTUAL;
    return expect(reader, "virtual", "there is pace virtual, and without it time waits for the world outside");
}

static const char *read_quiet(struct reader *reader)
{
    reader->plan->flags |= PAL_SIM_QUIET;
    return NULL;
}

struct statement {
    const char *name;
    const char *(*read)(struct reader *reader);
    bool once;
};

static const struct statement statements[] = {
    {"seed", read_seed, true},   {"host", read_host, false},  {"run", read_run, true}, {"faults", read_network, false},
    {"swarm", read_swarm, true}, {"link", read_link, false},  {"at", read_at, false},  {"pcap", read_pcap, true},
    {"pace", read_pace, true},   {"quiet", read_quiet, true},
};

enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]) };

static const char *read_statement(struct reader *reader)
{
    const struct statement *statement = statements;
    const char *bad;
    uint32_t bit;

    if (!take(reader))
        return NULL;
    while (statement < statements + STATEMENTS && !is(reader, statement->name))
        statement++;
    if (statement == statements + STATEMENTS)
        return wrong(reader,
                     "no such statement: there are seed, host, run, faults, swarm, link, at, pcap, pace, quiet");
    bit = UINT32_C(1) << (statement - statements);
    if (statement->once && (reader->seen & bit) != 0)
        return wrong(reader, "this is said already: leave one of the two out");
    reader->seen |= bit;
    bad = statement->read(reader);
    if (bad == NULL && take(reader))
        bad = wrong(reader, "nothing more belongs here: begin a new line, or put ; before it");
    return bad;
}

const char *pal__s_plan_read(const char *text, struct plan *out)
{
    struct reader reader = {.at = text != NULL ? text : "", .line = 1, .plan = out};
    const char *bad = NULL;

    memset(out, 0, sizeof(*out));
    if (memchr(reader.at, '\0', PLAN_TEXT_MAX + 1) == NULL)
        return "the text is longer than 2 MiB: say less, or add hosts, links and actions by pal_ctl";
    for (;;) {
        bad = read_statement(&reader);
        if (bad != NULL || *reader.at == '\0')
            return bad;
        reader.line += *reader.at == '\n';
        reader.at++;
    }
}
