/* trace.h: what a program of the differential fuzzer did, as lines of text, and the end of one that found something.
 *
 * A line has two parts. The fixed part is what the contract fixes: it is hashed, and two backends have to agree on it.
 * The free part is what the contract leaves open, such as how many bytes a full socket still took: it is only shown. */
#ifndef PALIO_TESTS_DIFFERENTIAL_TRACE_H
#define PALIO_TESTS_DIFFERENTIAL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_TEXT __attribute__((format(printf, 1, 2)))

/* Begins the trace of a program. options: what replays it beside its seed and length, "" or " --faults". verbose: every
 * line goes to standard output, too, its free part behind " ~ ". */
void trace_start(const char *program, const char *options, uint64_t seed, bool verbose);

/* Begins the line of a step, then adds to it. */
void trace_step(uint64_t number, const char *name);
TRACE_TEXT void trace_fixed(const char *format, ...);
TRACE_TEXT void trace_free(const char *format, ...);
void trace_end_step(void);

/* A hash of all fixed parts so far. */
uint64_t trace_hash(void);

/* A violation: prints it with the last steps and the command that replays it, and exits. */
TRACE_TEXT _Noreturn void fail(const char *format, ...);

/* For when the backend aborts or crashes: prints the same and returns. */
void trace_report(const char *what);

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail(__VA_ARGS__);                                                                                         \
    } while (0)

#endif
