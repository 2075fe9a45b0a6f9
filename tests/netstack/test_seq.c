/* tests/netstack/test_seq.c: sequence numbers are compared modulo 2^32: a property of their distance, not of their
 * values (tcp.state.seq-compare). Links nothing of the stack. */
#include "../../backends/netstack/seq.h"
#include "support/test.h"

static const uint32_t places[] = {0,          1,          2,          1460,       0x7ffffffe, 0x7fffffff,
                                  0x80000000, 0x80000001, 0xfffffa4c, 0xfffffffe, 0xffffffff};
static const uint32_t distances[] = {0, 1, 2, 1460, 0x10000, 0x40000000, 0x7ffffffe, 0x7fffffff};

enum { PLACES = sizeof(places) / sizeof(places[0]), DISTANCES = sizeof(distances) / sizeof(distances[0]) };

/* At every distance below half the circle, wherever it begins. */
Test(seq, what_lies_ahead_by_less_than_half_the_circle_is_greater)
{
    for (int i = 0; i < PLACES; i++) {
        for (int j = 0; j < DISTANCES; j++) {
            uint32_t low = places[i], high = low + distances[j];
            bool same = distances[j] == 0;

            cr_assert_eq(seq_lt(low, high), !same, "%x %x", low, high);
            cr_assert_eq(seq_gt(high, low), !same, "%x %x", low, high);
            cr_assert_eq(seq_lt(high, low), false, "%x %x", low, high);
            cr_assert_eq(seq_gt(low, high), false, "%x %x", low, high);
            cr_assert_eq(seq_leq(low, high), true, "%x %x", low, high);
            cr_assert_eq(seq_geq(high, low), true, "%x %x", low, high);
            cr_assert_eq(seq_leq(high, low), same, "%x %x", low, high);
            cr_assert_eq(seq_geq(low, high), same, "%x %x", low, high);
            cr_assert_eq(seq_max(low, high), high);
            cr_assert_eq(seq_max(high, low), high);
            cr_assert_eq(seq_min(low, high), low);
            cr_assert_eq(seq_min(high, low), low);
        }
    }
}

/* A window that lies over the wrap has its two ends like any other; an empty one has nothing in it. */
Test(seq, a_window_has_its_first_number_and_not_the_one_behind_it)
{
    for (int i = 0; i < PLACES; i++) {
        for (int j = 0; j < DISTANCES; j++) {
            uint32_t low = places[i], size = distances[j];

            cr_assert_eq(seq_within(low, low, size), size > 0);
            cr_assert_eq(seq_within(low + size - 1, low, size), size > 0);
            cr_assert_eq(seq_within(low + size, low, size), false);
            cr_assert_eq(seq_within(low - 1, low, size), false);
            cr_assert_eq(seq_within(low + size / 2, low, size), size > 0);
            cr_assert_eq(seq_within(low + 0x80000000, low, size), false);
        }
    }
}

/* All of it moved by the same amount compares the same. */
Test(seq, only_the_distance_counts)
{
    uint32_t value = 1;

    for (int i = 0; i < 100000; i++) {
        uint32_t left = value, right = value * 2654435761U, shift;

        value = value * 1664525 + 1013904223;
        shift = value;
        cr_assert_eq(seq_lt(left, right), seq_lt(left + shift, right + shift));
        cr_assert_eq(seq_leq(left, right), seq_leq(left + shift, right + shift));
        if (left != right && right - left != 0x80000000U)
            cr_assert_neq(seq_lt(left, right), seq_lt(right, left));
    }
}
