/* bench/dpdk/trips.h: how long round trips took: recorded one by one, told as a line that run.py reads. */
#ifndef BENCH_DPDK_TRIPS_H
#define BENCH_DPDK_TRIPS_H

#include "../../examples/demo/histogram.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of so many trips that are to be recorded so many are made before, and not recorded. */
static inline uint64_t trips_warm(uint64_t trips)
{
    return trips / 10 + 100;
}

/* In nanoseconds: median, 99th percentile, 99.9th, the longest; then forgets them. */
static inline void tell_trips(struct histogram *trips, const char *what, unsigned size)
{
    printf("trips %s %u: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", what, size,
           histogram_percentile(trips, 5000), histogram_percentile(trips, 9900), histogram_percentile(trips, 9990),
           trips->max);
    fflush(stdout);
    memset(trips, 0, sizeof(*trips));
}

#endif
