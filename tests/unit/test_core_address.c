/* tests/unit/test_core_address.c: addresses of the upper layers. The grammar of numeric text is test_address.c's; here
 * are interfaces by name, error detail, and that nothing is written beyond a buffer. */
#include "support/test.h"

#include <pal/os.h>
#include <palio/address.h>

enum { IFINDEX_MAX = 64 };

static palio_address filled(void)
{
    palio_address address;

    memset(&address, 0x5a, sizeof(address));
    return address;
}

static void check_untouched(const palio_address *address)
{
    palio_address expected = filled();

    cr_assert_eq(memcmp(address, &expected, sizeof(expected)), 0);
}

Test(core_address, text_is_read_and_written_back)
{
    static const char *const texts[] = {"10.0.0.1:80",   "10.0.0.1",    "[::1]:80",   "::1",
                                        "[fe80::1%7]:9", "unix:/run/x", "unix:@name", "unix:/100%sure]"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[PALIO_ADDRESS_TEXT_SIZE];
        palio_address address = filled();

        cr_assert_eq(palio_address_parse(&address, texts[i]), 0, "%s", texts[i]);
        cr_assert_eq(palio_address_format(&address, text, sizeof(text)), text);
        cr_assert_str_eq(text, texts[i]);
    }
}

Test(core_address, fields_are_in_host_order)
{
    palio_address address = filled();

    cr_assert_eq(palio_address_parse(&address, "[fe80::1%7]:513"), 0);
    cr_assert_eq(address.family, PALIO_AF_INET6);
    cr_assert_eq(address.port, 513);
    cr_assert_eq(address.scope, 7);
    cr_assert_eq(address.size, 16);
}

Test(core_address, host_and_port_apart)
{
    palio_address apart, together;

    cr_assert_eq(palio_address_from_host(&apart, "10.0.0.1", 80), 0);
    cr_assert_eq(palio_address_parse(&together, "10.0.0.1:80"), 0);
    cr_assert(palio_address_equal(&apart, &together));
    cr_assert_eq(palio_address_from_host(&apart, "fe80::1%3", 80), 0);
    cr_assert_eq(palio_address_parse(&together, "[fe80::1%3]:80"), 0);
    cr_assert(palio_address_equal(&apart, &together));
    cr_assert_eq(palio_address_from_host(&apart, "[::1]", 80), PALIO_EINVAL);
    cr_assert_eq(palio_address_from_host(&apart, "10.0.0.1:80", 80), PALIO_EINVAL);
    cr_assert_eq(palio_address_from_host(&apart, "unix:/run/x", 0), PALIO_EINVAL);
}

Test(core_address, equality_sees_family_port_name_and_scope)
{
    static const char *const texts[] = {"10.0.0.1:80",    "10.0.0.1:81", "10.0.0.2:80", "[::1]:80", "[fe80::1%1]:80",
                                        "[fe80::1%2]:80", "unix:/a",     "unix:/b",     "unix:@a"};
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };

    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < COUNT; k++) {
            palio_address a, b;

            cr_assert_eq(palio_address_parse(&a, texts[i]), 0);
            cr_assert_eq(palio_address_parse(&b, texts[k]), 0);
            cr_assert_eq(palio_address_equal(&a, &b), i == k, "%s and %s", texts[i], texts[k]);
        }
    }
}

/* An interface of this machine: its index, and its name in name. */
static uint32_t some_interface(char name[32])
{
    for (uint32_t ifindex = 1; ifindex <= IFINDEX_MAX; ifindex++) {
        if (pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, 32) > 0)
            return ifindex;
    }
    test_skip("interfaces", "no network interface to name");
    return 0;
}

Test(core_address, scope_may_be_the_name_of_an_interface)
{
    char name[32], text[80];
    uint32_t ifindex = some_interface(name);
    palio_address address = filled();

    (void)snprintf(text, sizeof(text), "[fe80::1%%%s]:80", name);
    cr_assert_eq(palio_address_parse(&address, text), 0, "%s", text);
    cr_assert_eq(address.scope, ifindex);
    cr_assert_eq(address.port, 80);
    (void)snprintf(text, sizeof(text), "fe80::1%%%s", name);
    cr_assert_eq(palio_address_parse(&address, text), 0);
    cr_assert_eq(address.scope, ifindex);
    cr_assert_eq(palio_address_from_host(&address, text, 81), 0);
    cr_assert_eq(address.scope, ifindex);
    cr_assert_eq(address.port, 81);
}

Test(core_address, unknown_interface_has_no_name)
{
    static const char *const texts[] = {"fe80::1%no-such-if", "[fe80::1%no-such-if]:80", "fe80::1%3x",
                                        "fe80::1%an-interface-with-a-name-that-no-system-has-room-for"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        palio_address address = filled();

        cr_assert_eq(palio_address_parse(&address, texts[i]), PALIO_ENONAME, "%s", texts[i]);
        check_untouched(&address);
        cr_assert_eq(strncmp(palio_last_error()->object, "interface of ", 13), 0);
        cr_assert_neq(strstr(palio_last_error()->remedy, "interface"), NULL);
    }
}

Test(core_address, name_does_not_make_bad_text_good)
{
    static const char *const texts[] = {"10.0.0.1%no-such-if",    "fe80::zz%no-such-if",
                                        "[fe80::1%no-such-if",    "%x",
                                        "[fe80::1%no-such-if]80", "fe80::1%",
                                        "[fe80::1%]:80",          "fe80::1%0"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        palio_address address = filled();

        cr_assert_eq(palio_address_parse(&address, texts[i]), PALIO_EINVAL, "%s", texts[i]);
        check_untouched(&address);
    }
}

Test(core_address, text_around_a_name_is_bounded)
{
    char text[400];

    for (size_t length = 0; length < sizeof(text) - 8; length++) {
        palio_address address = filled();

        memset(text, '0', length);
        memcpy(text + length, "%x]", 4);
        cr_assert_eq(palio_address_parse(&address, text), PALIO_EINVAL);
        memcpy(text, "::1%x]", 6);
        memset(text + 6, '0', length);
        text[6 + length] = '\0';
        cr_assert_eq(palio_address_parse(&address, text), PALIO_EINVAL);
        check_untouched(&address);
    }
}

Test(core_address, errors_say_what_was_wrong_and_what_is_right)
{
    char path[200] = "unix:/";
    palio_address address = filled();

    cr_assert_eq(palio_address_parse(&address, "localhost:80"), PALIO_EINVAL);
    cr_assert_str_eq(palio_last_error()->operation, "address_parse");
    cr_assert_str_eq(palio_last_error()->object, "\"localhost:80\"");
    cr_assert_eq(palio_last_error()->native, 0);
    cr_assert_neq(strstr(palio_last_error()->remedy, "10.0.0.1:80"), NULL);

    cr_assert_eq(palio_address_from_host(&address, "localhost", 80), PALIO_EINVAL);
    cr_assert_str_eq(palio_last_error()->operation, "address_from_host");

    memset(path + 6, 'x', 150);
    cr_assert_eq(palio_address_parse(&address, path), PALIO_ENAMETOOLONG);
    cr_assert_neq(strstr(palio_last_error()->remedy, "107"), NULL);
    check_untouched(&address);
}

static void check_every_size(const palio_address *address)
{
    char whole[PALIO_ADDRESS_TEXT_SIZE], buffer[PALIO_ADDRESS_TEXT_SIZE + 2];

    (void)palio_address_format(address, whole, sizeof(whole));
    for (size_t size = 1; size <= sizeof(whole); size++) {
        size_t kept = strlen(whole) < size ? strlen(whole) : size - 1;

        memset(buffer, '#', sizeof(buffer));
        (void)palio_address_format(address, buffer + 1, size);
        cr_assert_eq(strlen(buffer + 1), kept);
        cr_assert_eq(memcmp(buffer + 1, whole, kept), 0);
        cr_assert_eq(buffer[0], '#');
        for (size_t i = size + 1; i < sizeof(buffer); i++)
            cr_assert_eq(buffer[i], '#', "nothing behind a buffer of %zu bytes", size);
    }
}

Test(core_address, text_fits_every_buffer)
{
    palio_address address = {0};

    check_every_size(&address);
    address.family = PALIO_AF_UNIX;
    address.size = 108;
    memset(address.bytes, 0xff, sizeof(address.bytes)); /* the longest of all: four characters a byte */
    check_every_size(&address);
    memset(&address, 0xff, sizeof(address));
    address.family = PALIO_AF_INET6;
    check_every_size(&address);
}
