/* tests/sim/test_trace.c: the trace's hash tells runs apart, and its text says what happened. */
#include "../../backends/sim/trace.h"
#include "support/test.h"

enum { BYTES = 40, TEXT_MAX = 1024 };

static uint64_t run(uint64_t seed, const uint64_t (*notes)[3], size_t count)
{
    pal__s_trace_begin(seed);
    for (size_t i = 0; i < count; i++)
        pal__s_trace((enum trace_kind)notes[i][0], notes[i][1], notes[i][2]);
    return pal__s_trace_hash();
}

Test(trace, every_part_of_a_note_counts)
{
    static const uint64_t runs[][2][3] = {
        {{TRACE_TIME, 5, 0}, {TRACE_RUN, 1, 2}},
        {{TRACE_TIME, 6, 0}, {TRACE_RUN, 1, 2}},
        {{TRACE_TIME, 5, 1}, {TRACE_RUN, 1, 2}},
        {{TRACE_TIME, 5, 0}, {TRACE_FAULT, 1, 2}},
        {{TRACE_TIME, 5, 0}, {TRACE_RUN, 2, 2}},
        {{TRACE_TIME, 5, 0}, {TRACE_RUN, 1, 3}},
        {{TRACE_TIME, 5, 0}, {TRACE_RUN, 2, 1}},
        {{TRACE_RUN, 1, 2}, {TRACE_TIME, 5, 0}},
        {{TRACE_TIME, 5, 0}, {TRACE_RUN, 1, 2ULL << 63 >> 1}},
    };
    enum { RUNS = sizeof(runs) / sizeof(*runs) };
    uint64_t hashes[RUNS + 2];

    for (size_t i = 0; i < RUNS; i++)
        hashes[i] = run(1, runs[i], 2);
    hashes[RUNS] = run(2, runs[0], 2);
    hashes[RUNS + 1] = run(1, runs[0], 1);
    for (size_t i = 0; i < RUNS + 2; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(hashes[i], hashes[j], "%zu and %zu", i, j);
    cr_assert_eq(run(1, runs[0], 2), hashes[0]);
    cr_assert_eq(pal__s_trace_count(), 2);
}

Test(trace, begins_anew)
{
    static const uint64_t note[1][3] = {{TRACE_RUN, 1, 1}};
    static const uint64_t time[1][3] = {{TRACE_TIME, 77, 0}};
    uint64_t hash = run(1, note, 1);

    cr_assert_not(pal__s_trace_tainted());
    pal__s_trace_taint();
    cr_assert(pal__s_trace_tainted());
    cr_assert_eq(pal__s_trace_hash(), hash, "what is tainted hashes the same");
    (void)run(1, time, 1);
    cr_assert_eq(run(1, note, 1), hash, "the time of the former world is gone");
    cr_assert_not(pal__s_trace_tainted());
    cr_assert_eq(pal__s_trace_count(), 1);
}

/* Every bit, every length, wherever the bytes lie. */
Test(trace, a_digest_knows_every_bit)
{
    uint8_t bytes[BYTES + 8];
    uint64_t seen[BYTES + 1];

    memset(bytes, 0, sizeof(bytes));
    for (size_t size = 0; size <= BYTES; size++) {
        seen[size] = pal__s_trace_digest(bytes, size);
        for (size_t i = 0; i < size; i++)
            cr_assert_neq(seen[size], seen[i]);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            cr_assert_neq(pal__s_trace_digest(bytes, size), seen[size]);
            bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 37);
    seen[0] = pal__s_trace_digest(bytes, BYTES - 3);
    for (size_t shift = 1; shift < 8; shift++) {
        memmove(bytes + shift, bytes + shift - 1, BYTES);
        cr_assert_eq(pal__s_trace_digest(bytes + shift, BYTES - 3), seen[0]);
    }
}

/* On every CPU. */
Test(trace, every_machine_gives_the_same)
{
    static const uint64_t notes[2][3] = {{TRACE_TIME, 1000, 0}, {TRACE_SENT, 1, UINT64_C(0x123456789abcdef0)}};
    uint64_t digest = pal__s_trace_digest("a frame of bytes", 15);
    uint64_t hash = run(42, notes, 2);

    cr_assert_eq(digest, UINT64_C(0x668ba3e89a6492e9), "0x%016llx", (unsigned long long)digest);
    cr_assert_eq(hash, UINT64_C(0xa39a629faf5b6de7), "0x%016llx", (unsigned long long)hash);
}

/* ---- text; each test is a process of its own, whose first begin opens the file ---- */

static size_t read_text(const char *name, char *text, size_t size)
{
    FILE *file = fopen(name, "r");
    size_t got;

    cr_assert_not_null(file);
    got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    (void)fclose(file);
    return got;
}

Test(trace, writes_lines_of_text)
{
    static const char expected[] = "earlier\n"
                                   "0 begin 9 0\n"
                                   "12 time 12 0\n"
                                   "12 run 3 0\n"
                                   "12 sent 1 00000000000000ff\n"
                                   "12 fault 2 7\n"
                                   "0 begin 10 0\n";
    static const char name[] = "test-sim-trace.txt";
    static const uint64_t notes[4][3] = {
        {TRACE_TIME, 12, 0}, {TRACE_RUN, 3, 0}, {TRACE_SENT, 1, 255}, {TRACE_FAULT, 2, 7}};
    char text[TEXT_MAX];
    FILE *file = fopen(name, "w");

    cr_assert_not_null(file);
    (void)fputs("earlier\n", file); /* is appended to */
    (void)fclose(file);
    cr_assert_eq(setenv("PALIO_SIM_TRACE", name, 1), 0);
    (void)run(9, notes, 4);
    cr_assert_eq(setenv("PALIO_SIM_TRACE", "another.txt", 1), 0); /* is not looked at again */
    pal__s_trace_begin(10);
    (void)read_text(name, text, sizeof(text)); /* while it is open still: each line is written at once */
    (void)remove(name);
    cr_assert_str_eq(text, expected);
}

Test(trace, goes_on_without_a_file)
{
    static const uint64_t note[1][3] = {{TRACE_RUN, 1, 1}};
    uint64_t hash;

    cr_assert_eq(setenv("PALIO_SIM_TRACE", "no/such/folder/trace.txt", 1), 0);
    hash = run(1, note, 1); /* tells of it on stderr */
    cr_assert_neq(hash, run(2, note, 1));
    cr_assert_eq(hash, run(1, note, 1));
}
