/* script.c: a script's text as statements with their blocks, and what its header says of rows and families. */
#include "packets.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *at;
    const char *file;
    int line;
    char *error;
    size_t error_room;
    bool failed;
};

static void refuse(struct parser *parser, const char *what)
{
    if (!parser->failed)
        snprintf(parser->error, parser->error_room, "%s:%d: %s", parser->file, parser->line, what);
    parser->failed = true;
}

static char *copy(const char *at, size_t size)
{
    char *text = malloc(size + 1);

    if (text == NULL)
        abort();
    memcpy(text, at, size);
    text[size] = '\0';
    return text;
}

/* Steps over blanks, comments and ends of statements. */
static void step_over(struct parser *parser)
{
    for (;;) {
        if (*parser->at == '\n') {
            parser->line++;
            parser->at++;
        } else if (parser->at[0] == '\\' && parser->at[1] == '\n') {
            parser->line++;
            parser->at += 2;
        } else if (*parser->at == '#') {
            while (*parser->at != '\0' && *parser->at != '\n')
                parser->at++;
        } else if (isspace((unsigned char)*parser->at) || *parser->at == ';') {
            parser->at++;
        } else {
            return;
        }
    }
}

/* More than the statement that begins here can have. */
static size_t statement_size_max(const char *at)
{
    size_t size = 0;

    while (at[size] != '\0' && (at[size] != '\n' || (size > 0 && at[size - 1] == '\\')))
        size++;
    return size;
}

/* The text up to the end of the statement or its block; lines that go on are joined. */
static char *take_text(struct parser *parser)
{
    char *text = copy(parser->at, statement_size_max(parser->at));
    size_t used = 0;
    bool quoted = false;

    for (;;) {
        char now = *parser->at;

        if (now == '\0' || now == '\n' || (!quoted && strchr(";{}#", now) != NULL))
            break;
        if (now == '\\' && parser->at[1] == '\n') {
            parser->line++;
            parser->at += 2;
            text[used++] = ' ';
            continue;
        }
        quoted ^= now == '"';
        text[used++] = now;
        parser->at++;
    }
    while (used > 0 && isspace((unsigned char)text[used - 1]))
        used--;
    text[used] = '\0';
    if (quoted)
        refuse(parser, "the text in quotes does not end");
    return text;
}

static struct statement *parse_block(struct parser *parser, bool inner, int depth)
{
    struct statement *first = NULL, **link = &first;

    for (;;) {
        struct statement *statement;

        step_over(parser);
        if (parser->failed)
            return first;
        if (*parser->at == '}' || *parser->at == '\0') {
            if ((*parser->at == '}') != inner)
                refuse(parser, inner ? "a block does not end: } is missing" : "} ends nothing");
            parser->at += *parser->at == '}';
            return first;
        }
        statement = calloc(1, sizeof(*statement));
        if (statement == NULL)
            abort();
        statement->file = parser->file;
        statement->line = parser->line;
        statement->text = take_text(parser);
        *link = statement;
        link = &statement->next;
        if (*parser->at == '{') {
            parser->at++;
            if (depth == NESTING_MAX)
                refuse(parser, "blocks are nested too deeply");
            else
                statement->body = parse_block(parser, true, depth + 1);
        }
    }
}

struct statement *script_parse(const char *text, const char *file, char *error, size_t room)
{
    struct parser parser = {text, file, 1, error, room, false};
    struct statement *first = parse_block(&parser, false, 0);

    if (!parser.failed)
        return first;
    statements_free(first);
    return NULL;
}

void statements_free(struct statement *first)
{
    while (first != NULL) {
        struct statement *next = first->next;

        statements_free(first->body);
        free(first->text);
        free(first->file_owned);
        free(first);
        first = next;
    }
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t used = 0, room = 65536;
    char *text = NULL;

    if (file == NULL)
        return NULL;
    for (;;) {
        char *more = realloc(text, room);
        size_t size;

        if (more == NULL)
            abort();
        text = more;
        size = fread(text + used, 1, room - used - 1, file);
        used += size;
        if (size == 0)
            break;
        if (used + 1 == room)
            room *= 2;
    }
    fclose(file);
    text[used] = '\0';
    if (strlen(text) != used) {
        free(text);
        return NULL;
    }
    return text;
}

struct statement *script_include(const char *path, char *error, size_t room)
{
    char *text = read_file(path), *name;
    struct statement *first;

    error[0] = '\0';
    if (text == NULL) {
        snprintf(error, room, "%s: cannot be read", path);
        return NULL;
    }
    name = copy(path, strlen(path));
    first = script_parse(text, name, error, room);
    free(text);
    if (first == NULL)
        free(name);
    else
        first->file_owned = name;
    return first;
}

/* The script's name: its path from behind "packets/", without ".pkt". */
static void name_script(struct script *script)
{
    const char *name = script->path, *found;
    size_t size;

    while ((found = strstr(name, "packets/")) != NULL)
        name = found + strlen("packets/");
    size = strlen(name);
    if (size > 4 && strcmp(name + size - 4, ".pkt") == 0)
        size -= 4;
    memcpy(script->name, name, size);
    script->name[size] = '\0';
}

static bool is_header(const struct statement *statement)
{
    static const char *const names[] = {"rows:", "families:", "config:", "nic:", "net:", "watch:", "ignore:"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (starts(statement->text, names[i]))
            return true;
    return false;
}

static bool read_families(struct script *script, const char *text)
{
    bool any = false;

    for (text += strlen("families:"); *text != '\0';) {
        size_t size = strcspn(text, " \t");

        if (size == 2 && (starts(text, "v4") || starts(text, "v6"))) {
            if (!any)
                script->families[0] = script->families[1] = false;
            script->families[text[1] == '6'] = any = true;
        } else if (size != 0) {
            return false;
        }
        text += size + (text[size] != '\0');
    }
    return any;
}

bool script_read(struct script *script, const char *path)
{
    struct statement *statement, **last;
    bool has_rows = false;

    memset(script, 0, sizeof(*script));
    script->families[0] = true;
    if (strlen(path) >= sizeof(script->path)) {
        snprintf(script->error, sizeof(script->error), "the path is too long");
        return false;
    }
    memcpy(script->path, path, strlen(path) + 1);
    name_script(script);
    script->header = script_include(path, script->error, sizeof(script->error));
    last = &script->header;
    for (statement = script->header; statement != NULL && is_header(statement); statement = statement->next) {
        has_rows = has_rows || starts(statement->text, "rows:");
        if (starts(statement->text, "families:") && !read_families(script, statement->text))
            snprintf(script->error, sizeof(script->error), "%s:%d: families are v4 and v6", statement->file,
                     statement->line);
        last = &statement->next;
    }
    script->first = statement;
    *last = NULL;
    if (script->error[0] == '\0' && script->first == NULL)
        snprintf(script->error, sizeof(script->error), "%s: does nothing", path);
    if (script->error[0] == '\0' && !has_rows)
        snprintf(script->error, sizeof(script->error), "%s: has no line \"rows: ...\" that says what it shows", path);
    return script->error[0] == '\0';
}

void script_free(struct script *script)
{
    statements_free(script->header);
    statements_free(script->first);
    script->header = script->first = NULL;
}
