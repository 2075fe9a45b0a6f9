/* settings.c: the environment, and the words of pal_setup. See settings.h. */
#include "settings.h"

#include <pal/os.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 };

static char *args;

void pal__s_set_args(const char *text)
{
    free(args);
    args = text && *text ? strdup(text) : NULL;
}

static _Noreturn void cannot_read(const char *path)
{
    fprintf(stderr, "palio-sim: PALIO_SIM names %s, which cannot be read, or is above 1 MiB\n", path);
    pal_fatal("the simulated world of PALIO_SIM cannot begin");
}

static const char *read_file(const char *path)
{
    static char *text;
    FILE *file = fopen(path, "re");
    if (!file)
        cannot_read(path);
    free(text);
    text = malloc(TEXT_MAX + 1);
    size_t size = text ? fread(text, 1, TEXT_MAX + 1, file) : 0;
    fclose(file);
    if (!text || size > TEXT_MAX)
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

/* One argument: as it is, or in single quotes. */
static size_t quote(const char *argument, char *out, size_t size)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
    bool is_plain = *argument && strspn(argument, plain) == strlen(argument);
    int written = snprintf(out, size, is_plain ? "%s " : "'%s' ", argument);
    return written < 0 ? 0 : (size_t)written < size ? (size_t)written : size - 1;
}

void pal__s_command(char *out, size_t size)
{
    char line[4096];
    size_t used = 0, read = 0;
    *out = '\0';
    FILE *file = fopen("/proc/self/cmdline", "re");
    if (!file)
        return;
    read = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[read] = '\0';
    for (const char *argument = line; argument < line + read && used + 1 < size; argument += strlen(argument) + 1)
        used += quote(argument, out + used, size - used);
    if (used && out[used - 1] == ' ')
        out[used - 1] = '\0';
}
