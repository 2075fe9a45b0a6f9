/* tests/netstack/test_random.c: SipHash against its authors' vectors, and a generator that repeats itself by seed
 * only. */
#include "../../backends/netstack/random.h"
#include "support/test.h"

#define KEY_LOW UINT64_C(0x0706050403020100)
#define KEY_HIGH UINT64_C(0x0f0e0d0c0b0a0908)

static const struct siphash_key reference_key = {KEY_LOW, KEY_HIGH};

/* The bytes 0, 1, 2 ... of each length. */
Test(random, siphash_2_4_agrees_with_the_reference)
{
    static const uint64_t expected[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
        UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
        UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
        UINT64_C(0xa129ca6149be45e5)};
    uint8_t bytes[sizeof(expected) / sizeof(expected[0])];

    for (size_t size = 0; size < sizeof(bytes); size++) {
        cr_assert_eq(pal__n_siphash(&reference_key, bytes, size), expected[size], "of %zu bytes", size);
        bytes[size] = (uint8_t)size;
    }
}

/* The same bytes, as little-endian words. */
Test(random, siphash_1_3_of_words_agrees_with_the_reference)
{
    static const uint64_t expected[] = {UINT64_C(0xabac0158050fc4dc), UINT64_C(0x369095118d299a8e),
                                        UINT64_C(0xcc4fdd1a7d908b66), UINT64_C(0xf464aeb267349c8c),
                                        UINT64_C(0x81157b6c16a7b60d), UINT64_C(0xc1d2363299e41531)};
    uint64_t words[6];

    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(pal__n_siphash_words(&reference_key, words, i), expected[i], "of %zu words", i);
        words[i] = 0;
        for (size_t byte = 0; byte < 8; byte++)
            words[i] |= (uint64_t)(i * 8 + byte) << (byte * 8);
    }
}

Test(random, one_bit_of_key_or_text_changes_about_half_of_the_hash)
{
    struct siphash_key key = reference_key;
    uint64_t words[2] = {1, 2}, whole = pal__n_siphash_words(&key, words, 2);
    int differing = 0;

    for (int bit = 0; bit < 64; bit++) {
        words[0] ^= UINT64_C(1) << bit;
        differing += __builtin_popcountll(whole ^ pal__n_siphash_words(&key, words, 2));
        words[0] ^= UINT64_C(1) << bit;
        key.high ^= UINT64_C(1) << bit;
        differing += __builtin_popcountll(whole ^ pal__n_siphash_words(&key, words, 2));
        key.high ^= UINT64_C(1) << bit;
    }
    cr_assert(differing > 128 * 28 && differing < 128 * 36);
}

/* Of the authors' xoshiro256** with the state 1, 2, 3, 4. */
Test(random, the_generator_agrees_with_the_reference)
{
    static const uint64_t expected[] = {UINT64_C(11520),
                                        UINT64_C(0),
                                        UINT64_C(1509978240),
                                        UINT64_C(1215971899390074240),
                                        UINT64_C(1216172134540287360),
                                        UINT64_C(607988272756665600)};
    struct random random = {{1, 2, 3, 4}};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        cr_assert_eq(pal__n_random(&random), expected[i]);
}

Test(random, the_same_seed_gives_the_same_numbers_and_another_gives_others)
{
    struct random left, right, other;
    int equal = 0;

    pal__n_random_seed(&left, 42);
    pal__n_random_seed(&right, 42);
    pal__n_random_seed(&other, 43);
    for (int i = 0; i < 1000; i++) {
        uint64_t number = pal__n_random(&left);

        cr_assert_eq(number, pal__n_random(&right));
        equal += number == pal__n_random(&other);
    }
    cr_assert_eq(equal, 0);
}

Test(random, the_seed_zero_is_as_good_as_any)
{
    struct random random;

    pal__n_random_seed(&random, 0);
    cr_assert_neq(pal__n_random(&random), 0);
    cr_assert_neq(pal__n_random(&random), pal__n_random(&random));
}

Test(random, below_keeps_to_its_bound_and_favours_no_number)
{
    enum { BOUND = 7, DRAWS = 70000 };
    struct random random;
    int drawn[BOUND] = {0};

    pal__n_random_seed(&random, 5);
    for (int i = 0; i < DRAWS; i++)
        drawn[pal__n_random_below(&random, BOUND)]++;
    for (int i = 0; i < BOUND; i++)
        cr_assert(drawn[i] > DRAWS / BOUND * 95 / 100 && drawn[i] < DRAWS / BOUND * 105 / 100, "%d: %d", i, drawn[i]);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(pal__n_random_below(&random, 1), 0);
        cr_assert(pal__n_random_below(&random, UINT32_C(0x80000001)) <= UINT32_C(0x80000000));
    }
}

Test(random, keys_of_one_generator_differ)
{
    struct random random;
    struct siphash_key first, second;

    pal__n_random_seed(&random, 1);
    first = pal__n_random_key(&random);
    second = pal__n_random_key(&random);
    cr_assert(first.low != second.low && first.high != second.high && first.low != first.high);
}
