/* tests/netstack/test_checksum.c: the fast internet checksum against one that adds two bytes at a time. */
#include "../../backends/netstack/checksum.h"
#include "../../backends/netstack/wire.h"
#include "support/test.h"

enum { ALIGNMENTS = 16, SIZE_MAX_SMALL = 300, GUARD = 0xa5 };

static uint16_t naive(uint32_t sum, const uint8_t *bytes, size_t size)
{
    uint64_t total = sum;

    for (size_t i = 0; i < size; i++)
        total += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    while (total >> 16 != 0)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)total;
}

static void fill(uint8_t *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

/* Of exactly that size, so that AddressSanitizer sees a byte too many. */
static void check(size_t alignment, size_t size, const uint8_t *contents)
{
    uint8_t *from = malloc(alignment + size + 1), *to = malloc(alignment + size + 1);
    uint16_t expected;

    cr_assert(from != NULL && to != NULL);
    memcpy(from + alignment, contents, size);
    from[alignment + size] = to[alignment + size] = GUARD;
    expected = naive(0, from + alignment, size);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, from + alignment, size)), expected);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_copy(0, to + alignment, from + alignment, size)), expected);
    cr_assert_arr_eq(to + alignment, from + alignment, size);
    cr_assert_eq(to[alignment + size], GUARD);
    free(from);
    free(to);
}

Test(checksum, agrees_with_a_naive_sum_at_every_alignment_and_size)
{
    uint8_t contents[SIZE_MAX_SMALL];

    for (size_t size = 0; size < SIZE_MAX_SMALL; size++) {
        fill(contents, size, (uint32_t)size);
        for (size_t alignment = 0; alignment < ALIGNMENTS; alignment++)
            check(alignment, size, contents);
    }
}

Test(checksum, carries_of_all_ones_come_round)
{
    static uint8_t contents[65600];

    memset(contents, 0xff, sizeof(contents));
    for (size_t size = 65500; size < sizeof(contents); size += 7)
        check(size % ALIGNMENTS, size, contents);
    memset(contents, 0, sizeof(contents));
    check(0, sizeof(contents), contents);
    fill(contents, sizeof(contents), 1);
    check(3, 65535, contents);
}

Test(checksum, parts_add_up_in_any_order_and_at_any_even_cut)
{
    uint8_t contents[256];
    uint16_t expected;

    fill(contents, sizeof(contents), 9);
    expected = naive(0, contents, sizeof(contents) - 1);
    for (size_t cut = 0; cut < sizeof(contents); cut += 2) {
        uint64_t there = pal__n_checksum_add(0, contents, cut);
        uint64_t back = pal__n_checksum_add(0, contents + cut, sizeof(contents) - 1 - cut);

        there = pal__n_checksum_add(there, contents + cut, sizeof(contents) - 1 - cut);
        back = pal__n_checksum_add(back, contents, cut);
        cr_assert_eq(pal__n_checksum_fold(there), expected);
        cr_assert_eq(pal__n_checksum_fold(back), expected);
    }
}

Test(checksum, a_sum_takes_plain_numbers_of_headers)
{
    uint8_t contents[20];
    uint64_t sum;

    fill(contents, sizeof(contents), 4);
    sum = pal__n_checksum_add(0, contents, 8);
    for (size_t i = 8; i < sizeof(contents); i += 2)
        sum += get16(contents + i);
    cr_assert_eq(pal__n_checksum_fold(sum), naive(0, contents, sizeof(contents)));
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0x12345, contents, sizeof(contents))),
                 naive(0x12345, contents, sizeof(contents)));
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(UINT64_MAX, contents, sizeof(contents))),
                 naive(0xffff, contents, sizeof(contents)), "the carry out of 64 bits");
}

Test(checksum, what_is_finished_into_a_header_verifies)
{
    uint8_t contents[61];

    for (uint32_t seed = 0; seed < 1000; seed++) {
        fill(contents, sizeof(contents), seed);
        put16(contents + 10, 0);
        put16(contents + 10, checksum_finish(pal__n_checksum_add(0, contents, sizeof(contents))));
        cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, contents, sizeof(contents))), 0xffff);
        contents[seed % sizeof(contents)] ^= (uint8_t)(1 + seed % 255);
        cr_assert_neq(pal__n_checksum_fold(pal__n_checksum_add(0, contents, sizeof(contents))), 0xffff);
    }
}

Test(checksum, the_pseudo_header_is_what_the_rfcs_draw)
{
    uint8_t drawn4[12] = {10, 0, 0, 1, 255, 255, 255, 254, 0, 17, 0xff, 0xf7};
    uint8_t drawn6[40];
    struct ip src, dst;

    src = ip_of_v4(drawn4);
    dst = ip_of_v4(drawn4 + 4);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_pseudo(&src, &dst, 17, 0xfff7)), naive(0, drawn4, 12));
    fill(drawn6, sizeof(drawn6), 6);
    src = ip_of_v6(drawn6);
    dst = ip_of_v6(drawn6 + 16);
    put32(drawn6 + 32, 0x12fff7);
    put32(drawn6 + 36, 58);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_pseudo(&src, &dst, 58, 0x12fff7)), naive(0, drawn6, 40));
}

Test(checksum, folding_leaves_zero_only_of_zero)
{
    cr_assert_eq(pal__n_checksum_fold(0), 0);
    cr_assert_eq(pal__n_checksum_fold(0xffff), 0xffff);
    cr_assert_eq(pal__n_checksum_fold(0x10000), 1);
    cr_assert_eq(pal__n_checksum_fold(UINT64_MAX), 0xffff);
    cr_assert_eq(pal__n_checksum_fold(0xffffffff00000000), 0xffff);
    cr_assert_eq(pal__n_checksum_fold(0x0001000100010001), 4);
}
