/* tests/unit/test_address.c: address text is read strictly, written canonically, and the two undo each other. */
#include "random.h"
#include "support/test.h"

#include <pal/address.h>

enum { ROUND_TRIPS = 20000 };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct text_pair {
    const char *text, *canonical;
};

static const struct text_pair good_hosts[] = {
    {"0.0.0.0", "0.0.0.0"},
    {"10.0.0.1", "10.0.0.1"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"1:2:3::5:6:7:8", "1:2:3:0:5:6:7:8"},
    {"0:0:0:0:0:0:0:0", "::"},
    {"0000:0000:0000:0000:0000:0000:0000:0001", "::1"},
    {"2001:0DB8:00A0::000F", "2001:db8:a0::f"},
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
    {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
    {"0:0:1::", "0:0:1::"},
    {"1:0:0:2::", "1:0:0:2::"},
    {"0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"::ffff:192.0.2.128", "::ffff:192.0.2.128"},
    {"::ffff:c000:280", "::ffff:192.0.2.128"},
    {"0:0:0:0:0:FFFF:129.144.52.38", "::ffff:129.144.52.38"},
    {"::13.1.68.3", "::d01:4403"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    {"1:2:3:4:5::1.2.3.4", "1:2:3:4:5:0:102:304"},
    {"::2:3:4:5:6:1.2.3.4", "0:2:3:4:5:6:102:304"},
    {"fe80::1%3", "fe80::1%3"},
    {"fe80::%4294967295", "fe80::%4294967295"},
    {"::1.2.3.4%1", "::102:304%1"},
};

static const char *const bad_hosts[] = {
    "",
    " ",
    ".",
    ":",
    "%",
    "localhost",
    "1",
    "127.1",
    "10.0.1",
    "10.0.0.",
    "10.0.0.1.",
    ".10.0.0.1",
    "10..0.1",
    "10.0.0.1.2",
    "010.0.0.1",
    "10.0.0.01",
    "10.0.0.00",
    "256.0.0.1",
    "10.0.0.256",
    "10.0.0.4294967297",
    "10.0.0.-1",
    "10.0.0.+1",
    "0x0a.0.0.1",
    "10.0.0.0x1",
    "10.0.0.a",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0. 1",
    "10.0.0.1\n",
    "10.0.0.1/8",
    "10.0.0.1%1",
    "167772161",
    "10,0,0,1",
    "\xd9\xa1.0.0.1",
    ":::",
    "::::",
    ":1",
    "1:",
    "1",
    "1:2",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    ":2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8:",
    ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1::2:3:4:5:6:7:8",
    "1:2:3:4::5:6:7:8",
    "1::2::3",
    "::1::",
    "1:::2",
    ":::1",
    "1:::",
    "12345::",
    "::00001",
    "::g",
    "::-1",
    "::+1",
    ":: 1",
    " ::1",
    "::1 ",
    "::1/64",
    "[::1]",
    "::1.2.3",
    "::1.2.3.4.5",
    "::1.2.3.256",
    "::1.2.3.04",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "1.2.3.4::1",
    "::1.2.3.4:1.2.3.4",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "::ffff:1.2.3",
    "0x1::",
    "::1.",
    "::.1.2.3",
    "fe80::1%",
    "fe80::1%0",
    "fe80::1%01",
    "fe80::1%4294967296",
    "fe80::1%99999999999999999999",
    "fe80::1%eth0",
    "fe80::1%-1",
    "fe80::1%+1",
    "fe80::1% 1",
    "fe80::1%1 ",
    "fe80::1%1%2",
    "fe80::1%1a",
    "fe80%1::",
    "%1",
    "unix:/run/x",
};

static const struct text_pair good_texts[] = {
    {"10.0.0.1:80", "10.0.0.1:80"},
    {"10.0.0.1:0", "10.0.0.1"},
    {"10.0.0.1:65535", "10.0.0.1:65535"},
    {"[::1]:80", "[::1]:80"},
    {"[::1]", "::1"},
    {"[::1]:0", "::1"},
    {"[fe80::1%2]:80", "[fe80::1%2]:80"},
    {"[::ffff:1.2.3.4]:443", "[::ffff:1.2.3.4]:443"},
    {"::1:80", "::1:80"}, /* a group, not a port */
    {"unix:/run/x", "unix:/run/x"},
    {"unix:relative name", "unix:relative name"},
    {"unix:@name", "unix:@name"},
    {"unix:@@name", "unix:@@name"},
    {"unix:\\x40name", "unix:\\x40name"}, /* a path that begins with @ */
    {"unix:a@b", "unix:a@b"},
    {"unix:@\\x00\\xFF\\x5c", "unix:@\\x00\\xff\\x5c"},
    {"unix:@a\\x41", "unix:@aA"},
    {"unix:/tmp/\xc3\xa9\n", "unix:/tmp/\\xc3\\xa9\\x0a"},
    {"unix:[::1]:80", "unix:[::1]:80"},
};

static const char *const bad_texts[] = {
    "",
    ":",
    ":80",
    "10.0.0.1:",
    "10.0.0.1:65536",
    "10.0.0.1:080",
    "10.0.0.1:00",
    "10.0.0.1:+80",
    "10.0.0.1:-1",
    "10.0.0.1: 80",
    "10.0.0.1:80 ",
    " 10.0.0.1:80",
    "10.0.0.1:80:80",
    "10.0.0.1:0x50",
    "10.0.0.1:http",
    "10.0.0.1:4294967376",
    "[10.0.0.1]:80",
    "[10.0.0.1]",
    "010.0.0.1:80",
    "localhost:80",
    "[]",
    "[]:80",
    "[::1",
    "[::1]80",
    "[::1]:",
    "[::1]:65536",
    "[::1]:080",
    "[::1]:80]",
    "[[::1]]:80",
    "::1]:80",
    "[::1]]",
    "[::1]::80",
    "[::1%]:80",
    "[fe80::1%eth0]:80",
    "[fe80::1]%2:80",
    "fe80::1%2:80",
    "::1.2.3.4:80",
    "1:2:3:4:5:6:7:8:80",
    "unix:",
    "unix:@",
    "unix",
    "UNIX:/run/x",
    "unix:/a\\",
    "unix:/a\\x",
    "unix:/a\\x1",
    "unix:/a\\x1g",
    "unix:/a\\n",
    "unix:/a\\X41",
    "unix:/a\\x00b",
    "unix:\\x00name",
    "unix:@a\\",
    "family 0",
    "family 17",
};

/* Formats into a buffer that is just large enough, so that a wrong length is seen. */
static void expect_text(const struct pal_addr *addr, const char *expected)
{
    char text[PAL_ADDR_TEXT_SIZE];
    size_t length = pal_addr_format(addr, text, sizeof(text));

    cr_assert_str_eq(text, expected);
    cr_assert_eq(length, strlen(expected));
    cr_assert_lt(length, sizeof(text));
}

/* Both ways to read must refuse, or not, and leave *out alone when they do. */
static void expect_refused(int error, int expected, const struct pal_addr *out, const char *text)
{
    struct pal_addr untouched;

    memset(&untouched, 0x5a, sizeof(untouched));
    cr_assert_eq(error, expected, "\"%s\" gave %d", text, error);
    cr_assert_arr_eq(out, &untouched, sizeof(untouched), "\"%s\" was refused but written", text);
}

Test(address, reads_numeric_hosts_and_writes_them_canonically)
{
    for (size_t i = 0; i < COUNT_OF(good_hosts); i++) {
        struct pal_addr addr, parsed;

        cr_assert_eq(pal_addr_from_host(&addr, good_hosts[i].text, 0), 0, "\"%s\" was refused", good_hosts[i].text);
        expect_text(&addr, good_hosts[i].canonical);
        cr_assert_eq(pal_addr_parse(&parsed, good_hosts[i].text), 0);
        cr_assert(pal_addr_equal(&addr, &parsed));
        cr_assert_eq(pal_addr_from_host(&addr, good_hosts[i].text, 8080), 0);
        cr_assert_eq(addr.port, 8080);
        cr_assert(!pal_addr_equal(&addr, &parsed));
    }
}

Test(address, refuses_every_other_host_and_leaves_the_result_alone)
{
    for (size_t i = 0; i < COUNT_OF(bad_hosts); i++) {
        struct pal_addr addr;

        memset(&addr, 0x5a, sizeof(addr));
        expect_refused(pal_addr_from_host(&addr, bad_hosts[i], 1), PAL_EINVAL, &addr, bad_hosts[i]);
    }
}

Test(address, reads_addresses_with_ports_and_unix_names)
{
    for (size_t i = 0; i < COUNT_OF(good_texts); i++) {
        struct pal_addr addr;

        cr_assert_eq(pal_addr_parse(&addr, good_texts[i].text), 0, "\"%s\" was refused", good_texts[i].text);
        expect_text(&addr, good_texts[i].canonical);
    }
}

Test(address, refuses_every_other_text_and_leaves_the_result_alone)
{
    for (size_t i = 0; i < COUNT_OF(bad_texts); i++) {
        struct pal_addr addr;

        memset(&addr, 0x5a, sizeof(addr));
        expect_refused(pal_addr_parse(&addr, bad_texts[i]), PAL_EINVAL, &addr, bad_texts[i]);
    }
}

Test(address, bytes_are_in_network_order_and_the_port_is_not)
{
    static const uint8_t bytes6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x02, 0x03, 0x04};
    struct pal_addr addr;

    cr_assert_eq(pal_addr_parse(&addr, "1.2.3.4:258"), 0);
    cr_assert_eq(addr.family, PAL_AF_INET);
    cr_assert_eq(addr.size, 4);
    cr_assert_eq(addr.port, 258);
    cr_assert_arr_eq(addr.bytes, "\1\2\3\4", 4);
    cr_assert_eq(pal_addr_parse(&addr, "[2001:db8::1.2.3.4%7]:9"), 0);
    cr_assert_eq(addr.family, PAL_AF_INET6);
    cr_assert_eq(addr.size, 16);
    cr_assert_eq(addr.scope, 7);
    cr_assert_eq(addr.flow, 0);
    cr_assert_arr_eq(addr.bytes, bytes6, 16);
    cr_assert_eq(addr.bytes[16], 0);
}

Test(address, unix_names_are_stored_as_the_system_takes_them)
{
    struct pal_addr addr;

    cr_assert_eq(pal_addr_parse(&addr, "unix:/run/x"), 0);
    cr_assert_eq(addr.family, PAL_AF_UNIX);
    cr_assert_eq(addr.size, 6);
    cr_assert_arr_eq(addr.bytes, "/run/x", 7);
    cr_assert_eq(pal_addr_parse(&addr, "unix:@a\\x00b"), 0);
    cr_assert_eq(addr.size, 4);
    cr_assert_arr_eq(addr.bytes, "\0a\0b", 4);
}

Test(address, unix_names_have_a_largest_length)
{
    char path[5 + 109] = "unix:", abstract[6 + 109] = "unix:@", escaped[5 + 4 * 108 + 1] = "unix:";
    struct pal_addr addr;

    memset(path + 5, 'p', 107);
    memset(abstract + 6, 'a', 107);
    for (int i = 0; i < 107; i++)
        memcpy(escaped + 5 + 4 * i, "\\xe9", 4);
    cr_assert_eq(pal_addr_parse(&addr, path), 0);
    cr_assert_eq(addr.size, 107);
    cr_assert_eq(pal_addr_parse(&addr, abstract), 0);
    cr_assert_eq(addr.size, 108);
    cr_assert_eq(pal_addr_parse(&addr, escaped), 0);
    expect_text(&addr, escaped);
    path[5 + 107] = 'p';
    abstract[6 + 107] = 'a';
    memcpy(escaped + 5 + 4 * 107, "\\xe9", 4);
    memset(&addr, 0x5a, sizeof(addr));
    expect_refused(pal_addr_parse(&addr, path), PAL_ENAMETOOLONG, &addr, path);
    expect_refused(pal_addr_parse(&addr, abstract), PAL_ENAMETOOLONG, &addr, abstract);
    expect_refused(pal_addr_parse(&addr, escaped), PAL_ENAMETOOLONG, &addr, escaped);
}

Test(address, formats_what_has_no_text_of_its_own)
{
    struct pal_addr addr;

    memset(&addr, 0, sizeof(addr));
    expect_text(&addr, "family 0");
    addr.family = PAL_AF_PACKET;
    addr.port = 5;
    expect_text(&addr, "family 17");
    addr.family = PAL_AF_UNIX;
    addr.port = 0;
    expect_text(&addr, "unix:");
    memset(addr.bytes, 1, sizeof(addr.bytes));
    addr.size = sizeof(addr.bytes);
    cr_assert_lt(pal_addr_format(&addr, NULL, 0), PAL_ADDR_TEXT_SIZE);
}

/* A random address that has a text: mostly zeros and ones in its bytes, where the rules of IPv6 have their corners. */
static void random_addr(struct random *random, struct pal_addr *addr)
{
    uint64_t kind = random_below(random, 5);

    memset(addr, 0, sizeof(*addr));
    if (kind == 4) {
        bool abstract = random_below(random, 2) == 0;

        addr->family = PAL_AF_UNIX;
        addr->size = (uint8_t)(1 + abstract + random_below(random, 107));
        for (size_t i = abstract; i < addr->size; i++)
            addr->bytes[i] = (uint8_t)(random_below(random, 255) + 1);
        if (abstract)
            addr->bytes[1 + random_below(random, addr->size - 1U)] = 0;
        return;
    }
    addr->family = kind == 0 ? PAL_AF_INET : PAL_AF_INET6;
    addr->size = kind == 0 ? 4 : 16;
    addr->port = random_below(random, 2) == 0 ? 0 : (uint16_t)random_next(random);
    addr->scope = kind == 1 ? (uint32_t)random_spread(random, 32) : 0;
    for (size_t i = 0; i < addr->size; i++)
        addr->bytes[i] = random_below(random, 4) == 0 ? (uint8_t)random_spread(random, 8) : 0;
    if (kind == 2 && random_below(random, 4) == 0)
        memset(addr->bytes + 10, 0xff, 2);
}

Test(address, every_address_with_a_text_survives_the_round_trip)
{
    struct random random = random_start("address");

    for (int i = 0; i < ROUND_TRIPS; i++) {
        char text[PAL_ADDR_TEXT_SIZE], again[PAL_ADDR_TEXT_SIZE];
        struct pal_addr addr, parsed;
        size_t length;

        random_addr(&random, &addr);
        length = pal_addr_format(&addr, text, sizeof(text));
        cr_assert_eq(pal_addr_parse(&parsed, text), 0, "\"%s\" was refused", text);
        cr_assert(pal_addr_equal(&addr, &parsed), "\"%s\" is another address", text);
        cr_assert_eq(pal_addr_format(&parsed, again, length + 1), length);
        cr_assert_str_eq(again, text);
    }
}

Test(address, a_short_buffer_gets_the_beginning_and_the_whole_length)
{
    struct random random = random_start("address truncation");

    for (int i = 0; i < 200; i++) {
        char whole[PAL_ADDR_TEXT_SIZE], part[PAL_ADDR_TEXT_SIZE + 1];
        struct pal_addr addr;
        size_t length;

        random_addr(&random, &addr);
        length = pal_addr_format(&addr, whole, sizeof(whole));
        cr_assert_eq(pal_addr_format(&addr, NULL, 0), length);
        for (size_t size = 1; size <= length + 1; size++) {
            memset(part, '#', sizeof(part));
            cr_assert_eq(pal_addr_format(&addr, part, size), length);
            cr_assert_arr_eq(part, whole, size - 1);
            cr_assert_eq(part[size - 1], '\0');
            cr_assert_eq(part[size], '#');
        }
    }
}

Test(address, equality_looks_at_what_makes_an_address)
{
    struct pal_addr a, b;

    cr_assert_eq(pal_addr_parse(&a, "[fe80::1%2]:80"), 0);
    b = a;
    b.flow = 5;
    b.bytes[16] = 1; /* behind the name */
    cr_assert(pal_addr_equal(&a, &b));
    b.scope = 3;
    cr_assert(!pal_addr_equal(&a, &b));
    b = a;
    b.port = 81;
    cr_assert(!pal_addr_equal(&a, &b));
    b = a;
    b.bytes[15] = 2;
    cr_assert(!pal_addr_equal(&a, &b));
    cr_assert_eq(pal_addr_parse(&a, "1.2.3.4:80"), 0);
    b = a;
    b.scope = 9; /* means nothing in IPv4 */
    cr_assert(pal_addr_equal(&a, &b));
    b.family = PAL_AF_UNIX;
    cr_assert(!pal_addr_equal(&a, &b));
    cr_assert_eq(pal_addr_parse(&a, "unix:@ab"), 0);
    cr_assert_eq(pal_addr_parse(&b, "unix:@abc"), 0);
    cr_assert(!pal_addr_equal(&a, &b));
}

Test(address, sets_the_well_known_addresses)
{
    struct pal_addr addr;

    cr_assert_eq(pal_addr_set_loopback(&addr, PAL_AF_INET, 80), 0);
    expect_text(&addr, "127.0.0.1:80");
    cr_assert_eq(pal_addr_set_loopback(&addr, PAL_AF_INET6, 80), 0);
    expect_text(&addr, "[::1]:80");
    cr_assert_eq(pal_addr_set_any(&addr, PAL_AF_INET, 0), 0);
    expect_text(&addr, "0.0.0.0");
    cr_assert_eq(pal_addr_set_any(&addr, PAL_AF_INET6, 0), 0);
    expect_text(&addr, "::");
    memset(&addr, 0x5a, sizeof(addr));
    expect_refused(pal_addr_set_any(&addr, PAL_AF_UNIX, 1), PAL_EAFNOSUPPORT, &addr, "any unix");
    expect_refused(pal_addr_set_loopback(&addr, PAL_AF_UNSPEC, 1), PAL_EAFNOSUPPORT, &addr, "loopback of no family");
}

Test(address, knows_multicast_by_its_prefix)
{
    static const struct {
        const char *text;
        bool multicast;
    } cases[] = {
        {"223.255.255.255", false},  {"224.0.0.0", true},  {"239.255.255.255", true}, {"240.0.0.0", false},
        {"255.255.255.255", false},  {"ff02::1", true},    {"ff00::", true},          {"feff::1", false},
        {"::ffff:224.0.0.1", false}, {"unix:\xff", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pal_addr addr = {0};

        cr_assert_eq(pal_addr_parse(&addr, cases[i].text), 0);
        cr_assert_eq(pal_addr_is_multicast(&addr), cases[i].multicast, "%s", cases[i].text);
    }
}
