/* examples/demo/histogram.c: see histogram.h. The bucket number is the value's top eight bits behind the number of bits
 * that were dropped, which makes neighbouring doublings meet without a gap. */
#include "histogram.h"

#include <assert.h>

enum { STEPS = 1 << HISTOGRAM_STEP_BITS };

/* How many low bits to drop so that what is left lies below 2 * STEPS. */
static unsigned bits_to_drop(uint64_t value)
{
    unsigned dropped = 0;
    for (unsigned step = 32; step > 0; step /= 2) {
        if (value >> step >= STEPS) {
            value >>= step;
            dropped += step;
        }
    }
    return dropped;
}

size_t histogram_bucket(uint64_t value)
{
    unsigned dropped = bits_to_drop(value);
    return ((size_t)dropped << HISTOGRAM_STEP_BITS) + (size_t)(value >> dropped);
}

uint64_t histogram_bucket_max(size_t bucket)
{
    assert(bucket < HISTOGRAM_BUCKET_COUNT);
    if (bucket < 2 * STEPS) {
        return bucket;
    }
    unsigned dropped = (unsigned)(bucket >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t top = (bucket & (STEPS - 1)) + STEPS;
    return (top << dropped) + ((UINT64_C(1) << dropped) - 1);
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->buckets[histogram_bucket(value)]++;
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_10000)
{
    assert(per_10000 <= 10000);
    uint64_t rank = (histogram->count * per_10000 + 9999) / 10000;
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank && seen > 0) {
            uint64_t value = histogram_bucket_max(bucket);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}
