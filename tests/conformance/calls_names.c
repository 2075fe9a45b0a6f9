/* calls_names.c: pal_names and pal_resolve, as far as they need no network: the host's own name, interfaces, services,
 * numeric addresses, localhost. What a backend does not carry is PAL_ENOTSUP with a reason, and skipped as [names]. */
#include "calls_common.h"

static void require_carried(int result)
{
    if (result != PAL_ENOTSUP)
        return;
    cr_assert_str_neq(pal_reason(), "");
    test_skip("names", "this backend does not carry them");
}

/* ---- pal_names ---- */

Test(calls_names, the_host_has_a_name)
{
    char name[256];
    int size = pal_names(PAL_NAMES_HOSTNAME, NULL, name, sizeof(name));

    require_carried(size);
    cr_assert_gt(size, 0, "%s", pal_error_name(size));
    cr_assert_eq((size_t)size, strlen(name));
    assert_error(pal_names(PAL_NAMES_HOSTNAME, NULL, name, 1), PAL_ERANGE);
    assert_error(pal_names(PAL_NAMES_HOSTNAME, NULL, name, (size_t)size), PAL_ERANGE);
    assert_error(pal_names(PAL_NAMES_HOSTNAME, NULL, name, (size_t)size + 1), size);
}

Test(calls_names, what_is_needed_may_not_be_null)
{
    char text[64];

    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, "lo", NULL, 4), PAL_EINVAL);
    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, NULL, text, sizeof(text)), PAL_EINVAL);
    assert_error(pal_names(PAL_NAMES_INTERFACE_NAME, NULL, text, sizeof(text)), PAL_EINVAL);
}

Test(calls_names, a_kind_that_does_not_exist_is_refused)
{
    static const int kinds[] = {0, -1, 999};
    char text[64];

    for (int i = 0; i < 3; i++)
        assert_error(pal_names(kinds[i], "x", text, sizeof(text)), PAL_EINVAL);
}

Test(calls_names, the_loopback_interface_is_found_by_name_and_by_index)
{
    uint32_t ifindex = loopback_ifindex(), again = 0;
    char name[64] = "";
    int size;

    if (ifindex == 0)
        test_skip("loopback-interface", "none of a known name");
    size = pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name));
    cr_assert_gt(size, 0, "%s", pal_error_name(size));
    cr_assert_eq((size_t)size, strlen(name));
    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, name, &again, sizeof(again)), (int)sizeof(again));
    cr_assert_eq(again, ifindex);
    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, name, &again, sizeof(again) - 1), PAL_ERANGE);
    assert_error(pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, (size_t)size), PAL_ERANGE);
    assert_error(pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, (size_t)size + 1), size);
}

Test(calls_names, every_interface_has_an_index_and_a_name)
{
    static struct pal_interface interfaces[64];
    int size = pal_names(PAL_NAMES_INTERFACES, NULL, interfaces, sizeof(interfaces));
    size_t count = (size_t)size / sizeof(interfaces[0]);
    bool loopback_there = false;

    require_carried(size);
    cr_assert_gt(size, 0, "%s", pal_error_name(size));
    cr_assert_eq((size_t)size % sizeof(interfaces[0]), 0);
    for (size_t i = 0; i < count && i < 64; i++) {
        char name[64];
        uint32_t ifindex = 0;

        cr_assert_neq(interfaces[i].ifindex, 0);
        assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, interfaces[i].name, &ifindex, sizeof(ifindex)),
                     sizeof(ifindex));
        cr_assert_eq(ifindex, interfaces[i].ifindex);
        assert_error(pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name)),
                     (int)strlen(interfaces[i].name));
        cr_assert_str_eq(name, interfaces[i].name);
        loopback_there = loopback_there || (interfaces[i].flags & 3) == 3;
    }
    cr_assert(loopback_there, "no loopback interface is up");
    assert_error(pal_names(PAL_NAMES_INTERFACES, NULL, interfaces, sizeof(interfaces[0])), size);
}

Test(calls_names, an_unknown_interface_has_neither)
{
    uint32_t ifindex = 0x7ffffff0;
    char name[64];

    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, "no-such-if", &ifindex, sizeof(ifindex)), PAL_ENONAME);
    assert_error(pal_names(PAL_NAMES_INTERFACE_INDEX, "", &ifindex, sizeof(ifindex)), PAL_ENONAME);
    assert_error(pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name)), PAL_ENONAME);
}

Test(calls_names, services_have_ports_in_host_order)
{
    uint16_t port = 0;
    char name[64];
    int size = pal_names(PAL_NAMES_SERVICE_PORT, "domain/udp", &port, sizeof(port));

    require_carried(size);
    if (size == PAL_ENONAME)
        test_skip("services", "this system has no list of services");
    assert_error(size, sizeof(port));
    cr_assert_eq(port, 53);
    assert_error(pal_names(PAL_NAMES_PORT_SERVICE, "53/udp", name, sizeof(name)), 6);
    cr_assert_str_eq(name, "domain");
    assert_error(pal_names(PAL_NAMES_PORT_SERVICE, "53/udp", name, 6), PAL_ERANGE);
    assert_error(pal_names(PAL_NAMES_SERVICE_PORT, "no-such-service/tcp", &port, sizeof(port)), PAL_ENONAME);
    assert_error(pal_names(PAL_NAMES_SERVICE_PORT, "domain/no-such-protocol", &port, sizeof(port)), PAL_ENONAME);
}

Test(calls_names, protocols_have_numbers)
{
    int32_t number = -1;
    int size = pal_names(PAL_NAMES_PROTOCOL, "tcp", &number, sizeof(number));

    require_carried(size);
    if (size == PAL_ENONAME)
        test_skip("protocols", "this system has no list of protocols");
    assert_error(size, sizeof(number));
    cr_assert_eq(number, PAL_IPPROTO_TCP);
    assert_error(pal_names(PAL_NAMES_PROTOCOL, "no-such-protocol", &number, sizeof(number)), PAL_ENONAME);
}

/* ---- pal_resolve ---- */

static struct pal_query query_of(const char *host, const char *service, uint32_t flags)
{
    struct pal_query query;

    memset(&query, 0, sizeof(query));
    query.host = host;
    query.service = service;
    query.type = PAL_SOCK_STREAM;
    query.flags = flags;
    return query;
}

static void require_resolving(void)
{
    struct pal_query query = query_of("127.0.0.1", "80", PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE);
    struct pal_addr addr;

    require_carried(pal_resolve(&query, &addr, 1));
}

static void expect_resolved(const struct pal_query *query, const struct pal_addr *expected)
{
    struct pal_addr addrs[8];
    int count;

    memset(addrs, 0xa5, sizeof(addrs));
    count = pal_resolve(query, addrs, 8);
    cr_assert_eq(count, 1, "%d: %s", count, pal_error_name(count));
    assert_same_address(addrs[0], *expected);
}

Test(calls_names, numeric_hosts_resolve_to_themselves)
{
    struct pal_query query = query_of("192.0.2.7", "80", PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE);
    struct pal_addr expected = host_address("192.0.2.7", 80);

    require_resolving();
    expect_resolved(&query, &expected);
    query.host = "2001:db8::7";
    expected = host_address("2001:db8::7", 80);
    expect_resolved(&query, &expected);
    query.service = NULL;
    expected.port = 0;
    expect_resolved(&query, &expected);
}

Test(calls_names, no_host_is_loopback_or_the_wildcard)
{
    struct pal_query query = query_of(NULL, "80", PAL_RESOLVE_NUMERIC_SERVICE);
    struct pal_addr expected = loopback(PAL_AF_INET, 80);

    require_resolving();
    query.family = PAL_AF_INET;
    expect_resolved(&query, &expected);
    query.flags |= PAL_RESOLVE_PASSIVE;
    expected = any_address(PAL_AF_INET, 80);
    expect_resolved(&query, &expected);
}

Test(calls_names, what_does_not_resolve_is_told)
{
    struct pal_query query = query_of("no.such.host.invalid", NULL, PAL_RESOLVE_NUMERIC_HOST);
    struct pal_addr addr;

    require_resolving();
    assert_error(pal_resolve(&query, &addr, 1), PAL_ENONAME);
    query = query_of("127.0.0.1", "no-such-service", PAL_RESOLVE_NUMERIC_SERVICE);
    assert_error(pal_resolve(&query, &addr, 1), PAL_ENONAME);
    query = query_of("::1", "80", PAL_RESOLVE_NUMERIC_HOST);
    query.family = PAL_AF_INET;
    cr_assert_lt(pal_resolve(&query, &addr, 1), 0);
    assert_error(pal_resolve(NULL, &addr, 1), PAL_EINVAL);
}

Test(calls_names, more_addresses_than_there_is_room_are_counted)
{
    struct pal_query query = query_of("127.0.0.1", "80", PAL_RESOLVE_NUMERIC_HOST);
    struct pal_addr addrs[8];
    int count;

    require_resolving();
    query.type = 0;
    memset(addrs, 0xa5, sizeof(addrs));
    count = pal_resolve(&query, addrs, 8);
    cr_assert_geq(count, 1, "%s", pal_error_name(count));
    assert_error(pal_resolve(&query, NULL, 0), count);
    memset(addrs, 0xa5, sizeof(addrs));
    assert_error(pal_resolve(&query, addrs, 1), count);
    cr_assert_eq(addrs[1].family, 0xa5, "written beyond the room");
}

Test(calls_names, localhost_is_this_host)
{
    struct pal_query query = query_of("localhost", "80", 0);
    struct pal_addr addr;
    int count;

    require_resolving();
    query.family = PAL_AF_INET;
    count = pal_resolve(&query, &addr, 1);
    if (count == PAL_ENONAME)
        test_skip("localhost", "this system does not know it");
    cr_assert_geq(count, 1, "%s", pal_error_name(count));
    cr_assert_eq(addr.bytes[0], 127);
    cr_assert_eq(addr.port, 80);
}
