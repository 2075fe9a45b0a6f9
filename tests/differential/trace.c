/* trace.c: the lines, their hash, and the report of a violation. See trace.h. */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 512, LINES_KEPT = 24 };

static struct {
    const char *program, *options;
    uint64_t seed, step, hash;
    bool verbose;
    struct line {
        char fixed[LINE_SIZE], open[LINE_SIZE]; /* open: the free part */
    } lines[LINES_KEPT];
    int current;
} trace;

void trace_start(const char *program, const char *options, uint64_t seed, bool verbose)
{
    memset(&trace, 0, sizeof(trace));
    trace.program = program;
    trace.options = options;
    trace.seed = seed;
    trace.verbose = verbose;
    trace.hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
}

static void add(char *text, const char *format, va_list arguments)
{
    size_t length = strlen(text);

    vsnprintf(text + length, LINE_SIZE - length, format, arguments);
}

void trace_step(uint64_t number, const char *name)
{
    struct line *line;

    trace.step = number;
    trace.current = (trace.current + 1) % LINES_KEPT;
    line = &trace.lines[trace.current];
    line->open[0] = '\0';
    snprintf(line->fixed, LINE_SIZE, "%5" PRIu64 " %s", number, name);
    if (trace.verbose) { /* should the step not return, its name is there */
        fputs(line->fixed, stdout);
        fflush(stdout);
    }
}

void trace_fixed(const char *format, ...)
{
    char *text = trace.lines[trace.current].fixed;
    size_t before = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    add(text, format, arguments);
    va_end(arguments);
    if (trace.verbose) {
        fputs(text + before, stdout);
        fflush(stdout);
    }
}

void trace_free(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(trace.lines[trace.current].open, format, arguments);
    va_end(arguments);
}

void trace_end_step(void)
{
    const struct line *line = &trace.lines[trace.current];

    for (const char *at = line->fixed; *at != '\0'; at++)
        trace.hash = (trace.hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    if (trace.verbose)
        printf("%s%s\n", line->open[0] != '\0' ? " ~ " : "", line->open);
}

uint64_t trace_hash(void)
{
    return trace.hash;
}

void trace_report(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "\nseed %" PRIu64 ", step %" PRIu64 ": %s\nthe last steps:\n", trace.seed, trace.step, what);
    for (int i = 1; i <= LINES_KEPT; i++) {
        const struct line *line = &trace.lines[(trace.current + i) % LINES_KEPT];

        if (line->fixed[0] != '\0')
            fprintf(stderr, "%s%s%s\n", line->fixed, line->open[0] != '\0' ? " ~ " : "", line->open);
    }
    fprintf(stderr, "replay: %s --seed %" PRIu64 " --operations %" PRIu64 "%s --verbose\n", trace.program, trace.seed,
            trace.step + 1, trace.options);
}

void fail(const char *format, ...)
{
    char what[LINE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    trace_report(what);
    exit(1);
}
