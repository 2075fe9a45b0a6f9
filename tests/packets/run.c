/* run.c: statements one after the other: time in front of them, what governs their order, and who does them. */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

static void run_block(struct run *run, const struct statement *first);

/* ---- variables ---- */

const char *variable(const struct run *run, const char *name, size_t size)
{
    for (uint32_t i = run->variable_count; i-- > 0;)
        if (strlen(run->variables[i].name) == size && memcmp(run->variables[i].name, name, size) == 0)
            return run->variables[i].text;
    return NULL;
}

static void push_variable(struct run *run, const char *name, const char *text)
{
    struct variable *variable = &run->variables[run->variable_count];

    if (run->variable_count == VARIABLES_MAX)
        fail(run, "more than %d variables", VARIABLES_MAX);
    run->variable_count++;
    snprintf(variable->name, sizeof(variable->name), "%s", name);
    snprintf(variable->text, sizeof(variable->text), "%s", text);
}

void set_variable(struct run *run, const char *name, const char *text)
{
    for (uint32_t i = run->variable_count; i-- > 0;) {
        if (strcmp(run->variables[i].name, name) == 0) {
            snprintf(run->variables[i].text, sizeof(run->variables[i].text), "%s", text);
            return;
        }
    }
    push_variable(run, name, text);
}

/* ---- statements that hold others ---- */

static void do_turn(struct run *run, const struct statement *statement)
{
    if (statement->body == NULL || run->in_turn)
        fail(run, "turn { ... }, and not within another");
    nothing_unexpected(run);
    run->in_turn = true;
    run_block(run, statement->body);
    run->in_turn = false;
    run->statement = statement;
    turn(run);
}

static void do_repeat(struct run *run, struct words *words, const struct statement *statement)
{
    int64_t times = words_number(run, words, "how often");
    char name[NAME_ROOM];
    uint32_t variables = run->variable_count;

    snprintf(name, sizeof(name), "%s", words_end(words) ? "i" : words_take(run, words, "a name"));
    words_must_end(run, words);
    for (int64_t i = 0; i < times; i++) {
        char text[24];

        snprintf(text, sizeof(text), "%lld", (long long)i);
        run->variable_count = variables;
        push_variable(run, name, text);
        run_block(run, statement->body);
    }
    run->variable_count = variables;
}

static void do_macro(struct run *run, struct words *words, const struct statement *statement)
{
    struct macro *macro = &run->macros[run->macro_count];

    if (run->macro_count == MACROS_MAX || statement->body == NULL)
        fail(run, "macro NAME ARGUMENT... { ... }, at most %d", MACROS_MAX);
    snprintf(macro->name, sizeof(macro->name), "%s", words_take(run, words, "the macro's name"));
    macro->argument_count = 0;
    macro->body = statement->body;
    while (!words_end(words)) {
        if (macro->argument_count == 8)
            fail(run, "a macro has at most 8 arguments");
        snprintf(macro->arguments[macro->argument_count++], NAME_ROOM, "%s", words_take(run, words, "an argument"));
    }
    run->macro_count++;
}

static void call_macro(struct run *run, struct words *words, const struct macro *macro)
{
    uint32_t variables = run->variable_count;
    const struct statement *statement = run->statement;

    for (int i = 0; i < macro->argument_count; i++) {
        const char *text = words_take(run, words, macro->arguments[i]);
        char number[24];

        if (is_number(text) && strpbrk(text, "+-*/(") != NULL) { /* computed here: it may become a part of a name */
            snprintf(number, sizeof(number), "%lld", (long long)number_must(run, text, "a number"));
            text = number;
        }
        push_variable(run, macro->arguments[i], text);
    }
    words_must_end(run, words);
    run_block(run, macro->body);
    run->variable_count = variables;
    run->statement = statement;
}

static void remember_include(struct run *run, struct statement *first)
{
    if (run->include_count == INCLUDES_MAX) {
        statements_free(first);
        fail(run, "more than %d includes and openings", INCLUDES_MAX);
    }
    run->includes[run->include_count++] = first;
}

static void do_include(struct run *run, struct words *words)
{
    const char *word = words_take(run, words, "a path"), *here = run->statement->file;
    const char *slash = strrchr(here, '/');
    char path[1024], error[512];
    struct statement *first;

    if (word[0] != '"')
        fail(run, "include \"PATH\"");
    snprintf(path, sizeof(path), "%.*s%.*s", slash == NULL ? 0 : (int)(slash - here + 1), here, (int)strlen(word) - 2,
             word + 1);
    first = script_include(path, error, sizeof(error));
    if (error[0] != '\0')
        fail(run, "%s", error);
    remember_include(run, first);
    run_block(run, first);
}

/* only v4 ..., as v6 ...: a statement or a block. */
static void do_family(struct run *run, struct words *words, const struct statement *statement, bool only)
{
    const char *word = words_take(run, words, "v4 or v6");
    int family = word[0] == 'v' && (word[1] == '4' || word[1] == '6') && word[2] == '\0' ? word[1] - '0' : 0;
    int before = run->family;

    if (family == 0)
        fail(run, "v4 or v6, not \"%s\"", word);
    if (only && family != run->family)
        return;
    run->as = family;
    if (statement->body != NULL && words_end(words)) {
        run->family = family;
        run_block(run, statement->body);
        run->family = before;
    } else {
        run_words(run, words, statement);
    }
    run->as = run->family;
}

/* ---- the usual opening ---- */

struct opening {
    bool active, sack, ts;
    char rtt[64], mss[64], scale[64], win[64], isn[64], port[64];
};

static void read_opening(struct run *run, struct words *words, struct opening *out)
{
    struct {
        const char *name;
        char *room;
    } values[] = {{"rtt", out->rtt}, {"mss", out->mss}, {"ws", out->scale},
                  {"win", out->win}, {"isn", out->isn}, {"port", out->port}};

    while (!words_end(words)) {
        size_t i = 0;

        if (words_accept(words, "active")) {
            out->active = true;
        } else if (words_accept(words, "sack")) {
            out->sack = true;
        } else if (words_accept(words, "ts")) {
            out->ts = true;
        } else {
            while (i < 6 && !words_accept(words, values[i].name))
                i++;
            if (i == 6)
                fail(run, "established knows no \"%s\"", words_peek(words));
            snprintf(values[i].room, 64, "%s", words_take(run, words, values[i].name));
        }
    }
}

/* A listener that an earlier opening of this family has made. */
static const char *find_listener(const struct run *run)
{
    for (uint32_t i = 0; i < run->sock_count; i++) {
        size_t size = strlen(run->socks[i].name);

        if (size > 2 && strcmp(run->socks[i].name + size - 2, ".l") == 0 && run->socks[i].sock != NULL &&
            run->socks[i].family == run->as)
            return run->socks[i].name;
    }
    return NULL;
}

static void write_opening(struct run *run, const char *name, const struct opening *opening, struct text *out)
{
    const char *listener = find_listener(run);
    char options[256], own[NAME_ROOM + 4];

    snprintf(options, sizeof(options), "win %s <mss %s%s%s%s%s>", opening->win, opening->mss,
             opening->sack ? ", sack-ok" : "", opening->ts ? ", ts now" : "", opening->scale[0] != '\0' ? ", ws " : "",
             opening->scale);
    if (opening->active) {
        add(out, "%s = socket tcp\nconnect %s peer:%s\n< SYN\n+%s > SYN-ACK seq =%s %s\n< ACK\n", name, name,
            opening->port, opening->rtt, opening->isn, options);
        return;
    }
    snprintf(own, sizeof(own), "%s.l", name);
    if (listener == NULL) {
        add(out, "%s = socket tcp\nbind %s us:80\nlisten %s 64\n", own, own, own);
        listener = own;
    }
    add(out, "flow %s us:80 peer:%s isn %s\n> SYN %s\n< SYN-ACK\n+%s > ACK\n%s = accept %s\n", name, opening->port,
        opening->isn, options, opening->rtt, name, listener);
}

/* established NAME [active] [rtt T] [mss N] [ws N] [sack] [ts] [win N] [isn N] [port N] */
static void do_established(struct run *run, struct words *words)
{
    struct opening opening = {.rtt = "10ms", .win = "65535", .isn = "7000000"};
    char name[NAME_ROOM], error[256];
    struct text text = {0};
    const struct statement *here = run->statement;
    struct statement *first;

    snprintf(name, sizeof(name), "%s", words_take(run, words, "the connection's name"));
    snprintf(opening.mss, sizeof(opening.mss), "%s", variable(run, "mss", 3));
    read_opening(run, words, &opening);
    if (opening.port[0] == '\0' && opening.active)
        snprintf(opening.port, sizeof(opening.port), "80");
    else if (opening.port[0] == '\0')
        snprintf(opening.port, sizeof(opening.port), "%u", 40000 + run->flow_count);
    write_opening(run, name, &opening, &text);
    first = script_parse(text.at, here->file, error, sizeof(error));
    for (struct statement *each = first; each != NULL; each = each->next)
        each->line = here->line;
    for (uint32_t i = 0; i < run->opening_count; i++) /* those that ended are not needed any more */
        statements_free(run->openings[i]);
    run->opening_count = 0;
    run->openings[run->opening_count++] = first;
    run_block(run, first);
    run->statement = here;
}

/* ---- time ---- */

/* What stands in front of a statement: when. False: nothing does. */
static bool read_time(struct run *run, struct words *words, uint64_t *earliest_ns, uint64_t *latest_ns)
{
    const char *word = words_peek(words);
    char text[256];
    char *tilde;
    int64_t tolerance = TOLERANCE_NS;
    uint64_t from = run->now_ns, when;

    if (word[0] == '+') {
        snprintf(text, sizeof(text), "%s", word + 1);
        words->next++;
    } else if (words_accept(words, "at") || words_accept(words, "within")) {
        from = word[0] == 'a' ? base_ns : run->now_ns;
        snprintf(text, sizeof(text), "%s", words_take(run, words, "a time"));
    } else {
        return false;
    }
    tilde = strchr(text, '~');
    if (tilde != NULL) {
        *tilde = '\0';
        tolerance = number_must(run, tilde + 1, "a tolerance");
    }
    when = from + (uint64_t)number_must(run, text, "a time");
    if (when < run->now_ns)
        fail(run, "%.6f is in the past", seconds(when));
    *earliest_ns = word[0] == 'w' ? run->now_ns : when - (uint64_t)tolerance;
    *latest_ns = word[0] == 'w' ? when : when + (uint64_t)tolerance;
    if (word[0] != 'w' && (words->next >= words->count || strcmp(words_peek(words), "<") != 0))
        *latest_ns = when;
    return true;
}

static void pass_time(struct run *run, uint64_t until_ns)
{
    if (!run->in_turn)
        nothing_unexpected(run);
    advance(run, until_ns, true);
    if (!run->in_turn)
        nothing_unexpected(run);
}

/* nothing [for T] */
static void do_nothing(struct run *run, struct words *words)
{
    nothing_unexpected(run);
    if (words_accept(words, "for"))
        pass_time(run, run->now_ns + (uint64_t)words_number(run, words, "a time"));
    words_must_end(run, words);
}

/* ---- dispatch ---- */

static void statement_let(struct run *run, struct words *words)
{
    const char *name = words_take(run, words, "a name");
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)words_number(run, words, "a value"));
    set_variable(run, name, text);
    words_must_end(run, words);
}

static void statement_poll(struct run *run, struct words *words)
{
    words_must_end(run, words);
    note(run, "poll");
    pal__n_stack_poll(run->stack, run->now_ns);
    raise_complaint(run);
}

static void statement_flush(struct run *run, struct words *words)
{
    words_must_end(run, words);
    note(run, "flush");
    pal__n_stack_flush(run->stack, run->now_ns);
    raise_complaint(run);
}

void choose_classes(struct run *run, struct words *words, bool ignore)
{
    static const struct {
        const char *name;
        uint32_t class;
    } classes[] = {{"arp", CLASS_ARP},           {"nd", CLASS_ND}, {"igmp", CLASS_IGMP}, {"mld", CLASS_MLD},
                   {"announce", CLASS_ANNOUNCE}, {"rs", CLASS_RS}};

    while (!words_end(words)) {
        const char *name = words_take(run, words, "a class");
        size_t i = 0;

        while (i < 6 && strcmp(classes[i].name, name) != 0)
            i++;
        if (i == 6)
            fail(run, "no class of frames is called \"%s\"", name);
        if (ignore)
            run->ignored |= classes[i].class;
        else
            run->ignored &= ~classes[i].class;
    }
}

static void statement_ignore(struct run *run, struct words *words)
{
    choose_classes(run, words, true);
}

static void statement_watch(struct run *run, struct words *words)
{
    choose_classes(run, words, false);
}

static const struct command own_commands[] = {
    {"let", statement_let, false},         {"poll", statement_poll, false},
    {"flush", statement_flush, false},     {"flow", statement_flow, false},
    {"use", statement_use, false},         {"next", statement_next, false},
    {"ignore", statement_ignore, false},   {"watch", statement_watch, false},
    {"pretend", statement_pretend, false}, {NULL, NULL, false},
};

/* Statements that hold others or let time pass. False: it is none of them. */
static bool run_governing(struct run *run, struct words *words, const struct statement *statement)
{
    if (words_accept(words, "turn"))
        do_turn(run, statement);
    else if (words_accept(words, "repeat"))
        do_repeat(run, words, statement);
    else if (words_accept(words, "macro"))
        do_macro(run, words, statement);
    else if (words_accept(words, "include"))
        do_include(run, words);
    else if (words_accept(words, "only"))
        do_family(run, words, statement, true);
    else if (words_accept(words, "as"))
        do_family(run, words, statement, false);
    else if (words_accept(words, "established"))
        do_established(run, words);
    else if (words_accept(words, "nothing"))
        do_nothing(run, words);
    else
        return false;
    return true;
}

static void run_command(struct run *run, struct words *words, const struct command *command)
{
    if (command->is_event && !run->in_turn)
        nothing_unexpected(run);
    command->function(run, words);
    if (command->is_event)
        after_event(run);
}

static void run_named(struct run *run, struct words *words)
{
    static const struct command *const tables[] = {own_commands, call_commands, udp_commands, option_commands,
                                                   inspect_commands};
    const char *name = words_take(run, words, "a statement");

    if (words_accept(words, "=")) {
        if (!run->in_turn)
            nothing_unexpected(run);
        assign_call(run, name, words);
        after_event(run);
        return;
    }
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct command *command = tables[i]; command->name != NULL; command++) {
            if (strcmp(command->name, name) == 0) {
                run_command(run, words, command);
                return;
            }
        }
    }
    for (uint32_t i = run->macro_count; i-- > 0;) {
        if (strcmp(run->macros[i].name, name) == 0) {
            call_macro(run, words, &run->macros[i]);
            return;
        }
    }
    fail(run, "no statement begins with \"%s\"", name);
}

void run_words(struct run *run, struct words *words, const struct statement *statement)
{
    uint64_t earliest_ns = run->now_ns, latest_ns = run->now_ns;
    bool timed = read_time(run, words, &earliest_ns, &latest_ns);

    if (words_accept(words, "<")) {
        statement_expect(run, words, earliest_ns, latest_ns, timed);
        return;
    }
    if (timed)
        pass_time(run, latest_ns);
    if (timed && words_end(words))
        return;
    if (words_accept(words, ">")) {
        if (!run->in_turn)
            nothing_unexpected(run);
        statement_inject(run, words);
    } else if (!run_governing(run, words, statement)) {
        run_named(run, words);
    }
}

static void run_block(struct run *run, const struct statement *first)
{
    struct words *words;

    if (++run->depth > NESTING_MAX)
        fail(run, "blocks, macros and includes are nested too deeply");
    words = &run->words[run->depth - 1];
    for (const struct statement *statement = first; statement != NULL; statement = statement->next) {
        run->statement = statement;
        run->as = run->family;
        words_split(run, words, statement->text);
        run_words(run, words, statement);
    }
    run->depth--;
}

static void forget_script(struct run *run)
{
    keep_nothing(run);
    for (uint32_t i = 0; i < run->include_count; i++)
        statements_free(run->includes[i]);
    for (uint32_t i = 0; i < run->opening_count; i++)
        statements_free(run->openings[i]);
}

bool run_script(struct run *run)
{
    if (setjmp(run->escape) != 0) {
        world_abandon(run);
        forget_script(run);
        return false;
    }
    world_create(run);
    run_block(run, run->script->first);
    world_end(run);
    forget_script(run);
    return true;
}
