/* trace.c: what has happened in a simulated world, as a hash and as text.
 *
 * The hash takes 64-bit words one after the other: xor, a multiplication by an odd number, and the upper half folded
 * into the lower one. Each step can be undone, so two runs that differ in one word never end in the same hash, and the
 * fold carries what the product has gathered at the top back to where the next product starts. Bytes are taken as
 * little-endian words everywhere. */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORD = 8 /* bytes */ };

static const char *const kind_names[TRACE_KINDS] = {
    [TRACE_TIME] = "time", [TRACE_RUN] = "run",   [TRACE_EVENTS] = "events", [TRACE_EVENT] = "event",
    [TRACE_SENT] = "sent", [TRACE_CAME] = "came", [TRACE_FAULT] = "fault",   [TRACE_ACTION] = "action",
};

static struct {
    uint64_t hash, count;
    uint64_t now_ns;
    bool tainted;
    bool opened; /* it has been tried */
    FILE *file;  /* NULL: no text */
} trace;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t word_of(const uint8_t *at)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < WORD; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

static void open_file(void)
{
    const char *path = getenv("PALIO_SIM_TRACE");

    trace.opened = true;
    if (path == NULL || path[0] == '\0')
        return;
    trace.file = fopen(path, "a");
    if (trace.file == NULL)
        (void)fprintf(stderr, "palio: no trace is written: cannot append to %s (PALIO_SIM_TRACE)\n", path);
    else
        (void)setvbuf(trace.file, NULL, _IOLBF, BUFSIZ); /* a program that aborts leaves its trace to the last line */
}

void pal__s_trace_begin(uint64_t seed)
{
    if (!trace.opened)
        open_file();
    trace.hash = mix(0, seed);
    trace.count = 0;
    trace.now_ns = 0;
    trace.tainted = false;
    if (trace.file != NULL)
        (void)fprintf(trace.file, "0 begin %" PRIu64 " 0\n", seed);
}

/* A digest is shown in hexadecimal, all else in decimal. */
static void write_line(enum trace_kind kind, uint64_t a, uint64_t b)
{
    const char *name = kind_names[kind];

    if (kind == TRACE_SENT || kind == TRACE_CAME)
        (void)fprintf(trace.file, "%" PRIu64 " %s %" PRIu64 " %016" PRIx64 "\n", trace.now_ns, name, a, b);
    else
        (void)fprintf(trace.file, "%" PRIu64 " %s %" PRIu64 " %" PRIu64 "\n", trace.now_ns, name, a, b);
}

void pal__s_trace(enum trace_kind kind, uint64_t a, uint64_t b)
{
    if (kind == TRACE_TIME)
        trace.now_ns = a;
    trace.hash = mix(mix(mix(mix(trace.hash, (uint64_t)kind), trace.now_ns), a), b);
    trace.count++;
    if (trace.file != NULL)
        write_line(kind, a, b);
}

uint64_t pal__s_trace_digest(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t hash = mix(0, size), rest = 0;

    for (; size >= WORD; size -= WORD, at += WORD)
        hash = mix(hash, word_of(at));
    for (size_t i = 0; i < size; i++)
        rest |= (uint64_t)at[i] << (8 * i);
    return mix(mix(hash, rest), 0); /* once more, so that the last bytes reach all bits */
}

void pal__s_trace_taint(void)
{
    trace.tainted = true;
}

uint64_t pal__s_trace_hash(void)
{
    return mix(trace.hash, trace.count);
}

uint64_t pal__s_trace_count(void)
{
    return trace.count;
}

bool pal__s_trace_tainted(void)
{
    return trace.tainted;
}
