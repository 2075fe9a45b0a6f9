/* examples/demo/histogram.h: a log-linear histogram of durations: every 64-bit value has a bucket that is at most
 * 1/128 wide relative to it (0.8 %), in fixed memory (58 KiB), at a fixed cost. Values below 256 are exact. Pure. */
#ifndef DEMO_HISTOGRAM_H
#define DEMO_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 7, /* each doubling has 128 steps */
    HISTOGRAM_BUCKET_COUNT = (64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS
};

struct histogram { /* zero is empty */
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

void histogram_record(struct histogram *histogram, uint64_t value);

/* The value that per_10000 of 10,000 recorded values do not exceed (5000: the median), rounded up to its bucket's upper
 * end, so never understated, but at most the maximum. 0 of an empty histogram. */
uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_10000);

/* Where value is counted, and the largest value counted there. */
size_t histogram_bucket(uint64_t value);
uint64_t histogram_bucket_max(size_t bucket);

#endif
