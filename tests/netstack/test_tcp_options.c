/* tests/netstack/test_tcp_options.c: reading and writing TCP options, well-formed and hostile.
 *
 * What is read lies at the very end of a block of its own, so that AddressSanitizer sees a read past it. */
#include "../../backends/netstack/random.h"
#include "../../backends/netstack/tcp_opt.h"
#include "support/test.h"

#define READ(is_syn, out, ...)                                                                                         \
    read_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), is_syn, out)

static bool read_bytes(const uint8_t *bytes, size_t size, bool is_syn, struct tcp_options *out)
{
    uint8_t *block = malloc(size == 0 ? 1 : size);
    bool good;

    memcpy(block, bytes, size);
    memset(out, 0xa5, sizeof(*out));
    good = pal__n_tcp_options_read(block, (uint32_t)size, is_syn, out);
    free(block);
    return good;
}

Test(tcp_options, none_are_none)
{
    struct tcp_options out;

    memset(&out, 0xa5, sizeof(out));
    cr_assert(pal__n_tcp_options_read((const uint8_t *)"", 0, true, &out));
    cr_assert(out.has == 0 && out.mss == 0 && out.scale == 0 && out.sack_count == 0);
    cr_assert(READ(true, &out, 0));
    cr_assert_eq(out.has, 0);
    cr_assert(READ(true, &out, 1, 1, 1, 1));
    cr_assert_eq(out.has, 0);
}

/* tcp.rfc9293.MUST-4 */
Test(tcp_options, end_nop_and_mss_are_understood)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 1, 1, 2, 4, 0x03, 0xe8, 0, 0));
    cr_assert(out.has == TCP_HAS_MSS && out.mss == 1000);
}

/* tcp.rfc9293.MUST-6, MUST-68 */
Test(tcp_options, unknown_kinds_are_stepped_over)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 253, 6, 1, 2, 3, 4, 19, 2, 2, 4, 0x03, 0x84));
    cr_assert(out.has == TCP_HAS_MSS && out.mss == 900);
    cr_assert(READ(false, &out, 34, 4, 9, 9, 28, 4, 1, 1));
    cr_assert_eq(out.has, 0);
    cr_assert(!READ(true, &out, 1, 1, 1, 200));
}

/* tcp.rfc9293.MUST-7 */
Test(tcp_options, a_length_that_cannot_be_condemns_the_segment)
{
    struct tcp_options out;

    cr_assert(!READ(true, &out, 8, 0, 1, 1));
    cr_assert(!READ(true, &out, 8, 1, 1, 1));
    cr_assert(!READ(true, &out, 8, 40, 1, 1));
    cr_assert(!READ(true, &out, 2, 4, 5));
    cr_assert(!READ(true, &out, 2));
    cr_assert(!READ(false, &out, 1, 1, 5, 255));
    cr_assert(!READ(false, &out, 253, 0));
}

/* tcp.rfc9293.MUST-64 */
Test(tcp_options, need_not_be_aligned)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 1, 2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3, 7, 4, 2));
    cr_assert_eq(out.has, TCP_HAS_MSS | TCP_HAS_TIMESTAMPS | TCP_HAS_SCALE | TCP_HAS_SACK_PERMITTED);
    cr_assert(out.mss == 1460 && out.ts_value == 1 && out.ts_echo == 2 && out.scale == 7);
}

/* tcp.rfc9293.MUST-65, tcp.opt.ws-syn-only, tcp.opt.sackok-negotiate */
Test(tcp_options, what_belongs_on_a_syn_counts_only_there)
{
    struct tcp_options out;

    cr_assert(READ(false, &out, 2, 4, 0, 100, 3, 3, 7, 4, 2));
    cr_assert(out.has == 0 && out.mss == 0 && out.scale == 0);
}

/* tcp.rfc9293.MUST-69 */
Test(tcp_options, what_follows_the_end_is_not_read)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 0, 2, 4, 1, 1, 8, 0, 0));
    cr_assert_eq(out.has, 0);
}

/* tcp.opt.wrong-len */
Test(tcp_options, a_known_kind_with_a_wrong_length_is_ignored)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 2, 3, 5, 3, 4, 7, 7, 4, 3, 9, 8, 9, 1, 2, 3, 4, 5, 6, 7, 5, 9, 1, 2, 3, 4, 5, 6, 7));
    cr_assert_eq(out.has, 0);
    cr_assert(READ(false, &out, 5, 2));
    cr_assert_eq(out.has, 0);
    cr_assert(READ(false, &out, 5, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                   0, 0, 0, 0, 0, 0, 0));
    cr_assert_eq(out.has, 0);
}

/* tcp.opt.ws-cap14 */
Test(tcp_options, a_scale_above_fourteen_is_fourteen)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 3, 3, 14) && out.scale == 14);
    cr_assert(READ(true, &out, 3, 3, 15) && out.scale == 14);
    cr_assert(READ(true, &out, 3, 3, 255) && out.scale == 14);
}

/* tcp.opt.dup-options */
Test(tcp_options, the_last_of_several_counts)
{
    struct tcp_options out;

    cr_assert(READ(true, &out, 2, 4, 0, 100, 2, 4, 0, 200, 3, 3, 1, 3, 3, 2));
    cr_assert(out.mss == 200 && out.scale == 2);
}

Test(tcp_options, the_common_form_is_read_at_once)
{
    struct tcp_options out;

    cr_assert(READ(false, &out, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8));
    cr_assert(out.has == TCP_HAS_TIMESTAMPS && out.ts_value == 0x01020304 && out.ts_echo == 0x05060708);
    cr_assert(READ(false, &out, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1));
    cr_assert(out.has == TCP_HAS_TIMESTAMPS && out.ts_value == 0x01020304 && out.ts_echo == 0x05060708);
}

static void expect_same(const struct tcp_options *left, const struct tcp_options *right)
{
    cr_assert_eq(left->has, right->has);
    if (left->has & TCP_HAS_MSS)
        cr_assert_eq(left->mss, right->mss);
    if (left->has & TCP_HAS_SCALE)
        cr_assert_eq(left->scale, right->scale);
    if (left->has & TCP_HAS_TIMESTAMPS)
        cr_assert(left->ts_value == right->ts_value && left->ts_echo == right->ts_echo);
    if (left->has & TCP_HAS_SACK) {
        cr_assert_eq(left->sack_count, right->sack_count);
        cr_assert_eq(memcmp(left->sacks, right->sacks, left->sack_count * sizeof(left->sacks[0])), 0);
    }
}

/* All subsets of what a SYN may have (tcp.opt.synack-mirror), in whole words. */
Test(tcp_options, what_is_written_is_read_again)
{
    struct tcp_options in = {.scale = 9, .mss = 1460, .ts_value = 0xfffffffe, .ts_echo = 0x80000001}, out;
    uint8_t bytes[TCP_OPTIONS_SIZE_MAX];

    for (uint8_t has = 0; has < 16; has++) {
        uint32_t size;

        in.has = has;
        size = pal__n_tcp_options_write(bytes, &in);
        cr_assert(size % 4 == 0 && size <= 20);
        cr_assert(read_bytes(bytes, size, true, &out));
        expect_same(&in, &out);
    }
}

/* tcp.opt.space-budget */
Test(tcp_options, sack_blocks_take_what_room_is_left)
{
    struct tcp_options in = {.has = TCP_HAS_SACK, .sack_count = 4}, out;
    uint8_t bytes[TCP_OPTIONS_SIZE_MAX];

    for (uint32_t i = 0; i < 4; i++)
        in.sacks[i] = (struct tcp_sack_block){i * 1000, i * 1000 + 500};
    for (uint32_t given = 0; given <= 4; given++) {
        for (int timestamps = 0; timestamps < 2; timestamps++) {
            uint32_t most = timestamps ? 3 : 4, written = given < most ? given : most, size;

            in.sack_count = given;
            in.has = (uint8_t)(TCP_HAS_SACK | (timestamps ? TCP_HAS_TIMESTAMPS : 0));
            size = pal__n_tcp_options_write(bytes, &in);
            cr_assert_eq(size, (timestamps ? 12u : 0u) + (given > 0 ? 4 + written * 8 : 0));
            cr_assert(read_bytes(bytes, size, false, &out));
            cr_assert_eq(out.sack_count, written);
            cr_assert_eq(memcmp(in.sacks, out.sacks, written * sizeof(in.sacks[0])), 0);
        }
    }
}

Test(tcp_options, any_bytes_at_all_are_survived)
{
    struct random random;

    pal__n_random_seed(&random, 7);
    for (int run = 0; run < 200000; run++) {
        uint8_t bytes[TCP_OPTIONS_SIZE_MAX];
        uint32_t size = pal__n_random_below(&random, TCP_OPTIONS_SIZE_MAX / 4 + 1) * 4;
        struct tcp_options out;

        for (uint32_t i = 0; i < size; i++) /* small numbers: kinds and lengths that mean something */
            bytes[i] = (uint8_t)pal__n_random_below(&random, pal__n_random_below(&random, 4) == 0 ? 256 : 12);
        if (read_bytes(bytes, size, run % 2 == 0, &out))
            cr_assert(out.scale <= TCP_SCALE_MAX && out.sack_count <= TCP_SACK_BLOCKS_MAX);
    }
}
