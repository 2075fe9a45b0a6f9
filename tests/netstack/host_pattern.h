/* tests/netstack/host_pattern.h: what both ends of the benchmark against the kernel have in common: the bytes that they
 * send, as a table from which any block of them can be had, and what is said of times. bench/netstack_kernel uses
 * it. */
#ifndef TESTS_NETSTACK_HOST_PATTERN_H
#define TESTS_NETSTACK_HOST_PATTERN_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATTERN_PERIOD = 65521, PATTERN_BLOCK = 65536 };

struct pattern {
    uint8_t bytes[PATTERN_PERIOD + PATTERN_BLOCK];
};

static inline uint8_t pattern_byte(uint64_t offset)
{
    uint32_t place = (uint32_t)(offset % PATTERN_PERIOD);

    return (uint8_t)(place * 167 + (place >> 8));
}

static inline void pattern_init(struct pattern *pattern)
{
    for (uint32_t i = 0; i < sizeof(pattern->bytes); i++)
        pattern->bytes[i] = pattern_byte(i);
}

/* The next PATTERN_BLOCK bytes from offset on. */
static inline const uint8_t *pattern_of(const struct pattern *pattern, uint64_t offset)
{
    return pattern->bytes + offset % PATTERN_PERIOD;
}

static inline int compare_times(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* Sorts them. */
static inline void print_stalls(uint64_t *times_ns, uint64_t count)
{
    uint64_t middle = count / 2, late = count - 1 - count / 100;

    if (count == 0)
        return;
    qsort(times_ns, (size_t)count, sizeof(*times_ns), compare_times);
    printf("stall: count %" PRIu64 " median %.1f p99 %.1f worst %.1f us\n", count, (double)times_ns[middle] / 1e3,
           (double)times_ns[late] / 1e3, (double)times_ns[count - 1] / 1e3);
}

#endif
