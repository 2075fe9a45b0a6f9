/* tests/unit/test_demo_histogram.c: the histogram never understates, errs by less than one per cent, and has a bucket
 * for every value there is. */
#include "examples/demo/histogram.h"
#include "support/test.h"

static struct histogram histogram; /* 58 KiB: not on the stack */

static void fresh(void)
{
    memset(&histogram, 0, sizeof(histogram));
}

TestSuite(demo_histogram, .init = fresh);

Test(demo_histogram, an_empty_one_says_zero)
{
    cr_assert_eq(histogram_percentile(&histogram, 5000), 0);
    cr_assert_eq(histogram_percentile(&histogram, 10000), 0);
}

Test(demo_histogram, small_values_are_exact)
{
    for (uint64_t value = 0; value < 256; value++) {
        cr_expect_eq(histogram_bucket(value), value);
        cr_expect_eq(histogram_bucket_max((size_t)value), value);
    }
}

Test(demo_histogram, buckets_follow_each_other_without_a_gap)
{
    for (size_t bucket = 0; bucket + 1 < HISTOGRAM_BUCKET_COUNT; bucket++) {
        uint64_t last = histogram_bucket_max(bucket);

        cr_assert_eq(histogram_bucket(last), bucket);
        cr_assert_eq(histogram_bucket(last + 1), bucket + 1);
    }
    cr_assert_eq(histogram_bucket_max(HISTOGRAM_BUCKET_COUNT - 1), UINT64_MAX);
    cr_assert_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKET_COUNT - 1);
}

Test(demo_histogram, a_bucket_is_narrower_than_one_per_cent)
{
    for (size_t bucket = 256; bucket < HISTOGRAM_BUCKET_COUNT; bucket++) {
        uint64_t low = histogram_bucket_max(bucket - 1) + 1;

        cr_assert_lt(histogram_bucket_max(bucket) - low, low / 100);
    }
}

Test(demo_histogram, percentiles_are_ranks)
{
    for (uint64_t value = 1; value <= 200; value++) {
        histogram_record(&histogram, value);
    }
    cr_expect_eq(histogram_percentile(&histogram, 0), 1);
    cr_expect_eq(histogram_percentile(&histogram, 5000), 100);
    cr_expect_eq(histogram_percentile(&histogram, 9900), 198);
    cr_expect_eq(histogram_percentile(&histogram, 9901), 199);
    cr_expect_eq(histogram_percentile(&histogram, 9990), 200);
    cr_expect_eq(histogram_percentile(&histogram, 10000), 200);
    cr_expect_eq(histogram.count, 200);
}

Test(demo_histogram, one_outlier_shows_in_the_maximum_alone)
{
    for (int i = 0; i < 9999; i++) {
        histogram_record(&histogram, 10000);
    }
    histogram_record(&histogram, 5000000);
    cr_expect_geq(histogram_percentile(&histogram, 9990), 10000);
    cr_expect_lt(histogram_percentile(&histogram, 9990), 10100);
    cr_expect_eq(histogram.max, 5000000);
    cr_expect_eq(histogram_percentile(&histogram, 10000), 5000000);
}

Test(demo_histogram, a_percentile_is_at_most_the_maximum)
{
    histogram_record(&histogram, 100000);
    cr_expect_eq(histogram_percentile(&histogram, 5000), 100000);
}
