/* tests/sim/test_names.c: names in a simulated world are the world's, and the same on every machine. The world itself
 * is made up here. */
#include "../../backends/common/refusal.h"
#include "../../backends/sim/names.h"
#include "../../backends/sim/world.h"
#include "support/test.h"

#include <pal/address.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a world of four hosts ---- */

static struct host hosts[] = {
    {.name = "sim", .addresses = "198.18.0.1/15 fd73:696d::1/64", .number = 0},
    {.name = "Both", .addresses = "10.0.0.1 10.0.0.9 2001:db8::1", .number = 1},
    {.name = "four", .addresses = "10.0.0.2", .number = 2},
    {.name = "six", .addresses = "2001:db8::3", .number = 3},
};
static uint32_t here, needed;

void pal__s_world_need(void)
{
    needed++;
}

struct host *pal__s_host_here(void)
{
    return &hosts[here];
}

struct host *pal__s_host_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        size_t k = 0;

        while (name[k] != '\0' && (name[k] | 0x20) == (hosts[i].name[k] | 0x20))
            k++;
        if (name[k] == '\0' && hosts[i].name[k] == '\0')
            return &hosts[i];
    }
    return NULL;
}

bool pal__s_host_address(const struct host *host, int family, struct pal_addr *out)
{
    const char *at = host->addresses;
    uint32_t prefix;

    while (pal__s_plan_address(&at, out, &prefix)) {
        if (out->family == family)
            return true;
    }
    return false;
}

struct host *pal__s_host_at(const struct pal_addr *addr)
{
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const char *at = hosts[i].addresses;
        struct pal_addr own;
        uint32_t prefix;

        while (pal__s_plan_address(&at, &own, &prefix)) {
            if (own.family == addr->family && memcmp(own.bytes, addr->bytes, own.size) == 0)
                return &hosts[i];
        }
    }
    return NULL;
}

/* ---- resolve ---- */

static struct pal_query query_of(const char *host, const char *service, int family)
{
    return (struct pal_query){.host = host, .service = service, .family = family, .type = PAL_SOCK_STREAM};
}

/* first and second: addresses with their ports; NULL: there is none. */
static void expect_found(const struct pal_query *query, const char *first, const char *second)
{
    struct pal_addr found[8], expected;
    int count = (first != NULL) + (second != NULL);

    memset(found, 0xa5, sizeof(found));
    cr_assert_eq(pal__s_resolve(query, found, 8), count);
    cr_assert_eq(pal_addr_parse(&expected, first), 0);
    cr_assert_eq(memcmp(&found[0], &expected, sizeof(expected)), 0, "%s", first);
    if (second == NULL)
        return;
    cr_assert_eq(pal_addr_parse(&expected, second), 0);
    cr_assert_eq(memcmp(&found[1], &expected, sizeof(expected)), 0, "%s", second);
}

static void expect_error(const struct pal_query *query, int error)
{
    struct pal_addr addr;

    cr_assert_eq(pal__s_resolve(query, &addr, 1), error, "%s", query->host != NULL ? query->host : "no host");
    cr_assert_not_null(pal__refusal.reason);
}

Test(names, hosts_are_found_by_name_with_the_port_of_the_service)
{
    struct pal_query query = query_of("four", "80", 0);

    here = needed = 0;
    expect_found(&query, "10.0.0.2:80", NULL);
    cr_assert_gt(needed, 0);
    query = query_of("FOUR", NULL, PAL_AF_INET);
    expect_found(&query, "10.0.0.2", NULL);
    query = query_of("four", "80", PAL_AF_INET6);
    expect_error(&query, PAL_ENONAME);
    query = query_of("both", "65535", PAL_AF_INET);
    expect_found(&query, "10.0.0.1:65535", NULL);
    query.family = PAL_AF_INET6;
    expect_found(&query, "[2001:db8::1]:65535", NULL);
}

Test(names, what_can_be_reached_comes_first)
{
    struct pal_query query = query_of("both", "1", 0), unique = query_of("sim", "1", 0);

    here = 0;
    expect_found(&query, "[2001:db8::1]:1", "10.0.0.1:1");
    expect_found(&unique, "198.18.0.1:1", "[fd73:696d::1]:1");
    here = 2;
    expect_found(&query, "10.0.0.1:1", "[2001:db8::1]:1");
    here = 3;
    expect_found(&query, "[2001:db8::1]:1", "10.0.0.1:1");
    expect_found(&unique, "[fd73:696d::1]:1", "198.18.0.1:1");
}

Test(names, only_families_that_are_configured_if_so_asked)
{
    struct pal_query query = query_of("both", "1", 0);

    query.flags = PAL_RESOLVE_ADDRCONFIG;
    here = 2;
    expect_found(&query, "10.0.0.1:1", NULL);
    query.host = "localhost";
    expect_found(&query, "127.0.0.1:1", NULL);
    query.host = "six";
    expect_error(&query, PAL_ENONAME);
    query.host = "::1";
    expect_found(&query, "[::1]:1", NULL);
}

Test(names, this_host_without_a_name)
{
    struct pal_query query = query_of(NULL, "80", 0);

    here = 2;
    expect_found(&query, "[::1]:80", "127.0.0.1:80");
    query.flags = PAL_RESOLVE_PASSIVE;
    expect_found(&query, "[::]:80", "0.0.0.0:80");
    query.family = PAL_AF_INET;
    expect_found(&query, "0.0.0.0:80", NULL);
    query = query_of("LocalHost", "80", 0);
    expect_found(&query, "[::1]:80", "127.0.0.1:80");
    query.flags = PAL_RESOLVE_PASSIVE;
    expect_found(&query, "[::1]:80", "127.0.0.1:80");
    query = query_of("localhost", "80", PAL_AF_INET6);
    expect_found(&query, "[::1]:80", NULL);
}

Test(names, numeric_hosts_are_themselves)
{
    struct pal_query query = query_of("192.0.2.7", "80", 0);
    struct pal_addr addr;

    expect_found(&query, "192.0.2.7:80", NULL);
    query.flags = PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE;
    expect_found(&query, "192.0.2.7:80", NULL);
    query.family = PAL_AF_INET6;
    expect_error(&query, PAL_ENONAME);
    query.host = "fe80::1%2";
    expect_found(&query, "[fe80::1%2]:80", NULL);
    query.host = "fe80::1%eth0";
    expect_found(&query, "[fe80::1%2]:80", NULL);
    query.host = "fe80::1%lo";
    cr_assert_eq(pal__s_resolve(&query, &addr, 1), 1);
    cr_assert_eq(addr.scope, 1);
    query.host = "fe80::1%wlan0";
    expect_error(&query, PAL_ENONAME);
    query.host = "10.0.0.1%eth0";
    expect_error(&query, PAL_ENONAME);
    query.host = "fe80::1%3%eth0";
    expect_error(&query, PAL_ENONAME);
}

Test(names, nobody_else_is_asked)
{
    static const char *const unknown[] = {"example.com", "fou", "fours", "localhost.",
                                          "localhos",    "",    "127.1", "10.0.0"};

    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        struct pal_query query = query_of(unknown[i], "80", 0);

        expect_error(&query, PAL_ENONAME);
    }
    for (int i = 0; i < 2; i++) {
        struct pal_query query = query_of(i == 0 ? "four" : "localhost", "80", 0);

        query.flags = PAL_RESOLVE_NUMERIC_HOST;
        expect_error(&query, PAL_ENONAME);
    }
}

Test(names, each_type_of_socket_has_its_address)
{
    struct pal_query query = query_of("four", "80", 0);
    struct pal_addr found[8];
    int count;

    query.type = 0;
    memset(found, 0xa5, sizeof(found));
    count = pal__s_resolve(&query, found, 8);
    cr_assert(count >= 2 && count <= 3, "%d", count);
    for (int i = 0; i < count; i++)
        cr_assert(found[i].bytes[0] == 10 && found[i].bytes[3] == 2 && found[i].port == 80);
    cr_assert_eq(found[count].family, 0xa5);
    query.host = "both";
    memset(found, 0xa5, sizeof(found));
    cr_assert_eq(pal__s_resolve(&query, NULL, 0), 2 * count);
    cr_assert_eq(pal__s_resolve(&query, found, count + 1), 2 * count);
    cr_assert_neq(found[count].family, found[0].family);
    cr_assert_eq(found[count + 1].family, 0xa5, "written beyond the room");
}

Test(names, canonical_names)
{
    char canonical[8] = "";
    struct pal_query query = query_of("bOTH", "80", 0);
    struct pal_addr addr;

    query.canonical = canonical;
    query.canonical_size = sizeof(canonical);
    cr_assert_eq(pal__s_resolve(&query, &addr, 1), 2);
    cr_assert_str_eq(canonical, "Both");
    query.host = "LOCALHOST";
    cr_assert_eq(pal__s_resolve(&query, &addr, 1), 2);
    cr_assert_str_eq(canonical, "localho");
    query.canonical_size = 0;
    cr_assert_eq(pal__s_resolve(&query, &addr, 1), 2);
    query.host = NULL;
    expect_error(&query, PAL_EINVAL);
}

Test(names, wrong_queries_are_refused)
{
    struct pal_query query = query_of("four", "no-such-service", 0);
    struct pal_addr addr;

    expect_error(&query, PAL_ENONAME);
    query.flags = PAL_RESOLVE_NUMERIC_SERVICE;
    query.service = "http";
    expect_error(&query, PAL_ENONAME);
    query = query_of("four", "80", PAL_AF_UNIX);
    expect_error(&query, PAL_EAFNOSUPPORT);
    query = query_of("four", "80", 99);
    expect_error(&query, PAL_EAFNOSUPPORT);
    query = query_of("four", "80", 0);
    query.flags = 16;
    expect_error(&query, PAL_EINVAL);
    query = query_of(NULL, NULL, 0);
    expect_error(&query, PAL_EINVAL);
    query = query_of("four", "80", 0);
    cr_assert_eq(pal__s_resolve(&query, NULL, 1), PAL_EINVAL);
    cr_assert_eq(pal__s_resolve(&query, &addr, -1), PAL_EINVAL);
    cr_assert_eq(pal__s_resolve(NULL, &addr, 1), PAL_EINVAL);
}

/* ---- names ---- */

Test(names, the_host_is_the_one_that_asks)
{
    char name[8];

    here = 2;
    cr_assert_eq(pal__s_names(PAL_NAMES_HOSTNAME, NULL, name, sizeof(name)), 4);
    cr_assert_str_eq(name, "four");
    here = 1;
    cr_assert_eq(pal__s_names(PAL_NAMES_HOSTNAME, NULL, name, 5), 4);
    cr_assert_str_eq(name, "Both");
    cr_assert_eq(pal__s_names(PAL_NAMES_HOSTNAME, NULL, name, 4), PAL_ERANGE);
}

Test(names, every_host_has_two_interfaces)
{
    struct pal_interface all[3];
    uint32_t ifindex = 0;
    char name[8];

    memset(all, 0xa5, sizeof(all));
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACES, NULL, all, sizeof(all)), (int)(2 * sizeof(all[0])));
    cr_assert_str_eq(all[0].name, "lo");
    cr_assert(all[0].ifindex == 1 && all[0].flags == 3 && all[0].mtu == 65536 && all[0].reserved == 0);
    cr_assert_str_eq(all[1].name, "eth0");
    cr_assert(all[1].ifindex == 2 && all[1].flags == 5 && all[1].mtu == 1500 && all[1].reserved == 0);
    cr_assert_eq(all[2].name[0], (char)0xa5);
    memset(all, 0xa5, sizeof(all));
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACES, NULL, all, sizeof(all[0]) + 1), (int)(2 * sizeof(all[0])));
    cr_assert_eq(all[1].name[0], (char)0xa5);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACES, NULL, NULL, 0), (int)(2 * sizeof(all[0])));
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_INDEX, "eth0", &ifindex, sizeof(ifindex)), 4);
    cr_assert_eq(ifindex, 2);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name)), 4);
    cr_assert_str_eq(name, "eth0");
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, 4), PAL_ERANGE);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_INDEX, "lo", &ifindex, 3), PAL_ERANGE);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_INDEX, "eth1", &ifindex, sizeof(ifindex)), PAL_ENONAME);
    ifindex = 3;
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name)), PAL_ENONAME);
}

static int name_of(const char *text, char *out, size_t size)
{
    struct pal_addr addr;

    cr_assert_eq(pal_addr_parse(&addr, text), 0, "%s", text);
    return pal__s_names(PAL_NAMES_HOST_OF, (const char *)&addr, out, size);
}

Test(names, addresses_have_the_names_of_their_hosts)
{
    static const struct {
        const char *addr, *name;
    } of[] = {{"10.0.0.9:80", "Both"},    {"[2001:db8::3]:80", "six"}, {"::ffff:10.0.0.2", "four"},
              {"127.0.0.1", "localhost"}, {"127.9.9.9", "localhost"},  {"::1", "localhost"},
              {"198.18.0.1", "sim"}};
    struct pal_addr addr;
    char name[16];

    for (size_t i = 0; i < COUNT_OF(of); i++) {
        cr_assert_eq(name_of(of[i].addr, name, sizeof(name)), (int)strlen(of[i].name), "%s", of[i].addr);
        cr_assert_str_eq(name, of[i].name);
    }
    cr_assert_eq(name_of("10.0.0.77", name, sizeof(name)), PAL_ENONAME);
    cr_assert_eq(name_of("unix:/x", name, sizeof(name)), PAL_EAFNOSUPPORT);
    cr_assert_eq(name_of("10.0.0.9", name, 4), PAL_ERANGE);
    pal_addr_parse(&addr, "10.0.0.9");
    addr.size = 3;
    cr_assert_eq(pal__s_names(PAL_NAMES_HOST_OF, (const char *)&addr, name, sizeof(name)), PAL_EINVAL);
}

Test(names, what_is_needed_may_not_be_missing)
{
    static const int kinds[] = {0, -1, 999};
    char out[64];

    cr_assert_eq(pal__s_names(PAL_NAMES_HOSTNAME, NULL, NULL, 0), PAL_EINVAL);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACES, NULL, NULL, 1), PAL_EINVAL);
    cr_assert_eq(pal__s_names(PAL_NAMES_HOST_OF, NULL, out, sizeof(out)), PAL_EINVAL);
    cr_assert_eq(pal__s_names(PAL_NAMES_INTERFACE_INDEX, NULL, out, sizeof(out)), PAL_EINVAL);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        cr_assert_eq(pal__s_names(kinds[i], "x", out, sizeof(out)), PAL_EINVAL);
}

Test(names, protocols_and_services_are_the_systems)
{
    int32_t number = 0;
    int size = pal__s_names(PAL_NAMES_PROTOCOL, "tcp", &number, sizeof(number));

    if (size == PAL_ENONAME)
        test_skip("protocols", "this system has no list of protocols");
    cr_assert_eq(size, (int)sizeof(number));
    cr_assert_eq(number, PAL_IPPROTO_TCP);
    cr_assert_eq(pal__s_names(PAL_NAMES_SERVICE_PORT, "no-such-service/tcp", &number, sizeof(number)), PAL_ENONAME);
}
