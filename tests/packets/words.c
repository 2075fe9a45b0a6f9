/* words.c: a statement's text as words, and words as numbers, times and bytes. */
#include "packets.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    int size;

    if (text->size + 1 >= TEXT_ROOM)
        return;
    va_start(arguments, format);
    size = vsnprintf(text->at + text->size, TEXT_ROOM - text->size, format, arguments);
    va_end(arguments);
    if (size > 0)
        text->size += (size_t)size;
    if (text->size >= TEXT_ROOM)
        text->size = TEXT_ROOM - 1;
}

/* $name in text becomes its value. */
static void substitute(struct run *run, const char *text, char *out, size_t room)
{
    size_t used = 0;

    while (*text != '\0') {
        if (*text == '$' && (isalpha((unsigned char)text[1]) || text[1] == '_')) {
            size_t size = 0;
            const char *value;

            text++;
            while (isalnum((unsigned char)text[size]) || text[size] == '_')
                size++;
            value = variable(run, text, size);
            if (value == NULL)
                fail(run, "nothing is called $%.*s", (int)size, text);
            text += size;
            for (; *value != '\0' && used + 1 < room; value++)
                out[used++] = *value;
        } else if (used + 1 < room) {
            out[used++] = *text++;
        } else {
            fail(run, "the statement is too long");
        }
    }
    out[used] = '\0';
}

/* The bytes of the word that begins here: a text in quotes, one of < > , or up to the next of those or a blank. */
static size_t word_size(const char *at)
{
    size_t size = 0;

    if (*at == '"') {
        for (size = 1; at[size] != '\0' && at[size] != '"'; size++)
            ;
        return at[size] == '"' ? size + 1 : size;
    }
    if (strchr("<>,", *at) != NULL)
        return 1;
    if (starts(at, "->"))
        return 2;
    while (at[size] != '\0' && !isspace((unsigned char)at[size]) && strchr("<>,\"", at[size]) == NULL)
        size++;
    return size;
}

void words_split(struct run *run, struct words *words, const char *text)
{
    static char replaced[WORDS_ROOM]; /* used up before anything else runs */
    const char *at = replaced;
    size_t used = 0;

    substitute(run, text, replaced, sizeof(replaced));
    words->count = words->next = 0;
    for (;;) {
        size_t size;

        while (isspace((unsigned char)*at))
            at++;
        if (*at == '\0')
            return;
        size = word_size(at);
        if (words->count == WORDS_MAX || used + size + 1 > WORDS_ROOM)
            fail(run, "the statement has too many words");
        words->at[words->count++] = words->room + used;
        memcpy(words->room + used, at, size);
        words->room[used + size] = '\0';
        used += size + 1;
        at += size;
    }
}

const char *words_peek(const struct words *words)
{
    return words->next < words->count ? words->at[words->next] : "";
}

const char *words_take(struct run *run, struct words *words, const char *what)
{
    if (words->next == words->count)
        fail(run, "the line ends where %s should be", what);
    return words->at[words->next++];
}

bool words_accept(struct words *words, const char *text)
{
    if (words->next == words->count || strcmp(words->at[words->next], text) != 0)
        return false;
    words->next++;
    return true;
}

bool words_end(const struct words *words)
{
    return words->next == words->count;
}

void words_must_end(struct run *run, const struct words *words)
{
    if (!words_end(words))
        fail(run, "what is \"%s\" here?", words_peek(words));
}

/* ---- expressions ---- */

struct reader {
    const char *at;
    bool bad;
};

static int64_t read_sum(struct reader *reader);

/* The digits behind a point, as that part of unit. */
static int64_t read_fraction(struct reader *reader, int64_t unit)
{
    int64_t value = 0;

    for (; isdigit((unsigned char)*reader->at); reader->at++) {
        unit /= 10;
        value += (*reader->at - '0') * unit;
    }
    return value;
}

static int64_t read_unit(const char *at, size_t *size)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},
                 {"us", NS_PER_US},
                 {"ms", NS_PER_MS},
                 {"s", NS_PER_S},
                 {"m", 60 * NS_PER_S},
                 {"h", 3600 * NS_PER_S},
                 {"d", 86400 * NS_PER_S}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        *size = strlen(units[i].name);
        if (starts(at, units[i].name) && !isalnum((unsigned char)at[*size]))
            return units[i].ns;
    }
    *size = 0;
    return 1;
}

static int64_t read_literal(struct reader *reader)
{
    const char *point = NULL, *at;
    char *end;
    int64_t value, unit;
    size_t size;

    if (!isdigit((unsigned char)*reader->at)) {
        reader->bad = true;
        return 0;
    }
    if (starts(reader->at, "0x")) {
        value = (int64_t)strtoull(reader->at + 2, &end, 16);
        reader->bad = reader->bad || end == reader->at + 2;
        reader->at = end;
        return value;
    }
    value = (int64_t)strtoull(reader->at, &end, 10);
    at = end;
    if (*at == '.') {
        point = at;
        for (at++; isdigit((unsigned char)*at); at++)
            ;
    }
    unit = read_unit(at, &size);
    if (point != NULL) {
        struct reader fraction = {point + 1, false};

        reader->bad = reader->bad || size == 0; /* 1.5 of what? */
        value = value * unit + read_fraction(&fraction, unit);
    } else {
        value *= unit;
    }
    reader->at = at + size;
    return value;
}

static int64_t read_factor(struct reader *reader)
{
    int64_t value;

    if (*reader->at == '-') {
        reader->at++;
        return -read_factor(reader);
    }
    if (*reader->at != '(')
        return read_literal(reader);
    reader->at++;
    value = read_sum(reader);
    if (*reader->at == ')')
        reader->at++;
    else
        reader->bad = true;
    return value;
}

static int64_t read_product(struct reader *reader)
{
    int64_t value = read_factor(reader);

    while (!reader->bad && (*reader->at == '*' || *reader->at == '/')) {
        char sign = *reader->at++;
        int64_t right = read_factor(reader);

        if (sign == '/' && right == 0)
            reader->bad = true;
        else
            value = sign == '*' ? value * right : value / right;
    }
    return value;
}

static int64_t read_sum(struct reader *reader)
{
    int64_t value = read_product(reader);

    while (!reader->bad && (*reader->at == '+' || *reader->at == '-')) {
        char sign = *reader->at++;
        int64_t right = read_product(reader);

        value = sign == '+' ? value + right : value - right;
    }
    return value;
}

bool number_of(const char *text, int64_t *out)
{
    struct reader reader = {text, false};
    int64_t value = read_sum(&reader);

    if (reader.bad || *reader.at != '\0')
        return false;
    *out = value;
    return true;
}

bool is_number(const char *text)
{
    int64_t value;

    return number_of(text, &value);
}

int64_t number_must(struct run *run, const char *text, const char *what)
{
    int64_t value = 0;

    if (!number_of(text, &value))
        fail(run, "%s should be a number: \"%s\"", what, text);
    return value;
}

int64_t words_number(struct run *run, struct words *words, const char *what)
{
    return number_must(run, words_take(run, words, what), what);
}

bool range_of(struct run *run, const char *text, int64_t *from, int64_t *to)
{
    char left[128];
    int depth = 0;

    for (size_t i = 0; text[i] != '\0' && i < sizeof(left); i++) {
        depth += (text[i] == '(') - (text[i] == ')');
        if (text[i] != ':' || depth != 0)
            continue;
        memcpy(left, text, i);
        left[i] = '\0';
        if (!is_number(left) || !is_number(text + i + 1))
            return false;
        *from = number_must(run, left, "a range");
        *to = number_must(run, text + i + 1, "a range");
        return true;
    }
    return false;
}

static int digit_of(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)tolower((unsigned char)digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

size_t hex_of(struct run *run, const char *text, uint8_t *out, size_t room)
{
    size_t size = 0;

    for (; *text != '\0'; text += 2) {
        int high = digit_of(text[0]), low = text[1] == '\0' ? -1 : digit_of(text[1]);

        if (high < 0 || low < 0)
            fail(run, "bytes should be pairs of hexadecimal digits: \"%s\"", text);
        if (size == room)
            fail(run, "more than %zu bytes", room);
        out[size++] = (uint8_t)(high << 4 | low);
    }
    return size;
}
