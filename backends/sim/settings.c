/* settings.c: the environment, and the words of pal_setup. See settings.h. */
#include "settings.h"

#include "plan.h"
#include <palio/base/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *args;

void pal__s_set_args(const char *text)
{
    free(args);
    args = text && *text ? strdup(text) : NULL;
}

static _Noreturn void cannot_read(const char *path)
{
    fprintf(stderr, "palio-sim: PALIO_SIM names %s, which cannot be read, or is above 2 MiB\n", path);
    pal_fatal("the simulated world of PALIO_SIM cannot begin");
}

static const char *read_file(const char *path)
{
    static char *text;
    FILE *file = fopen(path, "re");
    if (!file)
        cannot_read(path);
    free(text);
    text = malloc(PLAN_TEXT_MAX + 1);
    size_t size = text ? fread(text, 1, PLAN_TEXT_MAX + 1, file) : 0;
    fclose(file);
    if (!text || size > PLAN_TEXT_MAX)
        cannot_read(path);
    text[size] = '\0';
    return text;
}

const char *pal__s_settings(void)
{
    const char *path = getenv("PALIO_SIM");
    return args ? args : path && *path ? read_file(path) : NULL;
}

bool pal__s_env_seed(uint64_t *out)
{
    const char *text = getenv("PALIO_SIM_SEED");
    char *end;
    if (!text || !*text)
        return false;
    unsigned long long seed = strtoull(text, &end, 0);
    if (*end || !seed) {
        fprintf(stderr, "palio-sim: PALIO_SIM_SEED is to be a whole number above 0, and is \"%s\"\n", text);
        return false;
    }
    *out = seed;
    return true;
}

const char *pal__s_env_pcap(void)
{
    return getenv("PALIO_SIM_PCAP");
}

/* One argument: as it is, or in single quotes, outside of which those that it has itself are put. */
static void quote(struct base_text *out, const char *argument)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
    if (*argument && !argument[strspn(argument, plain)]) {
        base_text_string(out, argument);
        return;
    }
    base_text_char(out, '\'');
    for (; *argument; argument++) {
        if (*argument == '\'')
            base_text_string(out, "'\\''");
        else
            base_text_char(out, *argument);
    }
    base_text_char(out, '\'');
}

void pal__s_quote_all(const char *line, size_t size, char *out, size_t room)
{
    struct base_text text;
    base_text_init(&text, out, room);
    for (const char *argument = line; argument < line + size; argument += strlen(argument) + 1) {
        if (argument != line)
            base_text_char(&text, ' ');
        quote(&text, argument);
    }
}

void pal__s_command(char *out, size_t size)
{
    char line[4096];
    size_t read = 0;
    FILE *file = fopen("/proc/self/cmdline", "re");
    if (file) {
        read = fread(line, 1, sizeof line - 1, file);
        fclose(file);
    }
    line[read] = '\0';
    pal__s_quote_all(line, read, out, size);
}
