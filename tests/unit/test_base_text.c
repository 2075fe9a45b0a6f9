/* tests/unit/test_base_text.c: bounded text never overruns its buffer, and numbers are read strictly. */
#include "palio/base/text.h"
#include "random.h"
#include "support/test.h"

Test(base_text, appends_what_it_is_given)
{
    char buffer[128];
    struct base_text text;

    base_text_init(&text, buffer, sizeof(buffer));
    cr_assert_str_eq(buffer, "");
    base_text_string(&text, "a=");
    base_text_unsigned(&text, 0);
    base_text_char(&text, ',');
    base_text_unsigned(&text, UINT64_MAX);
    base_text_char(&text, ',');
    base_text_signed(&text, INT64_MIN);
    base_text_char(&text, ',');
    base_text_signed(&text, 42);
    base_text_char(&text, ',');
    base_text_hex(&text, 0xbeef, 8);
    base_text_char(&text, ',');
    base_text_hex(&text, UINT64_MAX, 1);
    cr_assert_str_eq(buffer, "a=0,18446744073709551615,-9223372036854775808,42,0000beef,ffffffffffffffff");
    cr_assert_eq(text.size, strlen(buffer));
    cr_assert(!text.truncated);
    base_text_clear(&text);
    cr_assert_str_eq(buffer, "");
}

Test(base_text, cuts_at_the_capacity_and_then_appends_nothing_more)
{
    for (size_t capacity = 1; capacity <= 12; capacity++) {
        char buffer[16];
        struct base_text text;
        size_t kept = capacity - 1 < 10 ? capacity - 1 : 10;

        memset(buffer, '#', sizeof(buffer));
        base_text_init(&text, buffer, capacity);
        base_text_string(&text, "0123");
        base_text_string(&text, "456789");
        cr_assert_eq(text.truncated, capacity <= 10);
        cr_assert_eq(text.size, kept);
        cr_assert_arr_eq(buffer, "0123456789", kept);
        cr_assert_eq(buffer[kept], '\0');
        cr_assert_eq(buffer[capacity], '#');
    }
}

Test(base_text, is_always_the_beginning_of_the_whole)
{
    char buffer[4];
    struct base_text text;

    base_text_init(&text, buffer, sizeof(buffer));
    base_text_string(&text, "ab");
    base_text_string(&text, "cdef");
    base_text_string(&text, "");
    cr_assert(text.truncated);
    base_text_init(&text, buffer, sizeof(buffer));
    base_text_string(&text, "ab");
    base_text_unsigned(&text, 123);
    base_text_char(&text, 'x');
    cr_assert_str_eq(buffer, "ab1");
}

static bool reads_unsigned(const char *digits, uint64_t max, uint64_t expected)
{
    uint64_t value = 77;

    return base_parse_unsigned(digits, strlen(digits), max, &value) && value == expected;
}

static bool refuses_unsigned(const char *digits, uint64_t max)
{
    uint64_t value = 77;

    return !base_parse_unsigned(digits, strlen(digits), max, &value) && value == 77;
}

Test(base_text, reads_decimal_numbers_up_to_the_limit)
{
    cr_assert(reads_unsigned("0", 0, 0));
    cr_assert(reads_unsigned("7", 7, 7));
    cr_assert(reads_unsigned("65535", 65535, 65535));
    cr_assert(reads_unsigned("18446744073709551615", UINT64_MAX, UINT64_MAX));
    cr_assert(refuses_unsigned("1", 0));
    cr_assert(refuses_unsigned("8", 7));
    cr_assert(refuses_unsigned("65536", 65535));
    cr_assert(refuses_unsigned("655350", 65535));
    cr_assert(refuses_unsigned("18446744073709551616", UINT64_MAX));
    cr_assert(refuses_unsigned("99999999999999999999", UINT64_MAX));
    cr_assert(refuses_unsigned("184467440737095516150", UINT64_MAX));
}

Test(base_text, refuses_everything_but_plain_digits)
{
    static const char *const bad[] = {"",   "00",  "01", "+1", "-1",  " 1",  "1 ",
                                      "1.", "0x1", "1a", "a",  "1\n", "1_0", "\xd9\xa1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert(refuses_unsigned(bad[i], UINT64_MAX), "\"%s\" was accepted", bad[i]);
}

Test(base_text, reads_hexadecimal_numbers_of_either_case)
{
    uint64_t value = 77;

    cr_assert(base_parse_hex("fFfF", 4, 0xffff, &value));
    cr_assert_eq(value, 0xffff);
    cr_assert(base_parse_hex("ffffffffffffffff", 16, UINT64_MAX, &value));
    cr_assert_eq(value, UINT64_MAX);
    cr_assert(!base_parse_hex("10000", 5, 0xffff, &value));
    cr_assert(!base_parse_hex("10000000000000000", 17, UINT64_MAX, &value));
    cr_assert(!base_parse_hex("0x1", 3, UINT64_MAX, &value));
    cr_assert(!base_parse_hex("0f", 2, UINT64_MAX, &value));
    cr_assert(!base_parse_hex("g", 1, UINT64_MAX, &value));
    cr_assert_eq(value, UINT64_MAX);
    cr_assert_eq(base_hex_digit('F'), 15);
    cr_assert_eq(base_hex_digit('/'), -1);
    cr_assert_eq(base_hex_digit(':'), -1);
    cr_assert_eq(base_hex_digit('@'), -1);
    cr_assert_eq(base_hex_digit('`'), -1);
}

Test(base_text, what_is_written_reads_back)
{
    struct random random = random_start("base_text");

    for (int i = 0; i < 20000; i++) {
        char buffer[32];
        struct base_text text;
        uint64_t number = random_spread(&random, 64), value;

        base_text_init(&text, buffer, sizeof(buffer));
        base_text_unsigned(&text, number);
        cr_assert(base_parse_unsigned(text.data, text.size, UINT64_MAX, &value));
        cr_assert_eq(value, number);
        cr_assert(base_parse_unsigned(text.data, text.size, number, &value));
        cr_assert(number == 0 || !base_parse_unsigned(text.data, text.size, number - 1, &value));
        base_text_clear(&text);
        base_text_hex(&text, number, 1);
        cr_assert(base_parse_hex(text.data, text.size, number, &value));
        cr_assert_eq(value, number);
    }
}
