/* names.c: pal_resolve and pal_names for hosts of the simulated world. See names.h. */
#include "names.h"

#include "../common/refusal.h"
#include "../netstack/addr.h"
#include "../posix/kernel.h"
#include "world.h"

#include <pal/address.h>
#include <stdio.h>
#include <string.h>

enum { TYPES_MAX = 8, FAMILIES = 2, SCOPED_SIZE = 64, UP = 1, LOOPBACK = 2, MULTICAST = 4 };

static const struct pal_interface interfaces[] = {
    {.name = "lo", .ifindex = LINK_LOOPBACK, .flags = UP | LOOPBACK, .mtu = 65536},
    {.name = "eth0", .ifindex = LINK_WIRE, .flags = UP | MULTICAST, .mtu = 1500},
};

enum { INTERFACES = sizeof interfaces / sizeof interfaces[0] };

static const struct pal_interface *interface_named(const char *name)
{
    for (size_t i = 0; i < INTERFACES; i++)
        if (strcmp(interfaces[i].name, name) == 0)
            return &interfaces[i];
    return NULL;
}

static bool is_localhost(const char *name)
{
    static const char wanted[] = "localhost";
    size_t i = 0;
    while (i < sizeof wanted - 1 && (name[i] | 0x20) == wanted[i])
        i++;
    return i == sizeof wanted - 1 && !name[i];
}

/* ---- resolve ---- */

/* What a query is about: an address of each family at most, in the order in which they are given. */
struct found {
    struct pal_addr addrs[FAMILIES];
    int count;
    const char *canonical;
};

static void add(struct found *found, const struct pal_query *query, const struct pal_addr *addr)
{
    if (query->family == 0 || query->family == addr->family)
        found->addrs[found->count++] = *addr;
}

static bool has_family(const struct host *host, int family)
{
    struct pal_addr ignored;
    return pal__s_host_address(host, family, &ignored);
}

/* IPv6 before IPv4, but for unique local addresses (RFC 6724 2.1); before that, what one can be reached by (rule 1). */
static bool ip6_first(const struct pal_addr *addr6)
{
    const struct host *here = pal__s_host_here();
    bool has4 = has_family(here, PAL_AF_INET), has6 = has_family(here, PAL_AF_INET6);
    return has4 == has6 ? (addr6->bytes[0] & 0xfe) != 0xfc : has6;
}

static void find_host(struct found *found, const struct pal_query *query, const struct host *host)
{
    struct pal_addr addr4, addr6;
    bool has4 = pal__s_host_address(host, PAL_AF_INET, &addr4), has6 = pal__s_host_address(host, PAL_AF_INET6, &addr6);
    bool first6 = has6 && ip6_first(&addr6);
    if (first6)
        add(found, query, &addr6);
    if (has4)
        add(found, query, &addr4);
    if (has6 && !first6)
        add(found, query, &addr6);
    found->canonical = host->name;
}

static void find_own(struct found *found, const struct pal_query *query)
{
    static const int families[FAMILIES] = {PAL_AF_INET6, PAL_AF_INET};
    for (int i = 0; i < FAMILIES; i++) {
        struct pal_addr addr;
        if (!query->host && query->flags & PAL_RESOLVE_PASSIVE)
            pal_addr_set_any(&addr, families[i], 0);
        else
            pal_addr_set_loopback(&addr, families[i], 0);
        add(found, query, &addr);
    }
    found->canonical = "localhost";
}

/* With the name of an interface for its scope as well. */
static bool parse_numeric(const char *text, struct pal_addr *addr)
{
    const char *percent = strchr(text, '%');
    const struct pal_interface *interface = percent ? interface_named(percent + 1) : NULL;
    char host[SCOPED_SIZE];
    if (!interface)
        return pal_addr_from_host(addr, text, 0) == 0;
    if ((size_t)(percent - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(percent - text));
    host[percent - text] = 0;
    if (pal_addr_from_host(addr, host, 0) || addr->family != PAL_AF_INET6)
        return false;
    addr->scope = interface->ifindex;
    return true;
}

/* What a program asks for with ADDRCONFIG: only families of which this host has an address that is not loopback. */
static void drop_unconfigured(struct found *found)
{
    int kept = 0;
    for (int i = 0; i < found->count; i++)
        if (has_family(pal__s_host_here(), found->addrs[i].family))
            found->addrs[kept++] = found->addrs[i];
    found->count = kept;
}

/* The rest is the system's: which ports a service has, and for which types of sockets. It is asked about the address as
 * a numeric host that every machine has, which then gives way to the real one. How many were found. */
static int give(const struct pal_query *query, const struct pal_addr *addr, struct pal_addr *out, int room)
{
    struct pal_query numeric = *query;
    struct pal_addr ports[TYPES_MAX];
    numeric.host = addr->family == PAL_AF_INET ? "127.0.0.1" : "::1";
    numeric.family = addr->family;
    numeric.flags = (query->flags & PAL_RESOLVE_NUMERIC_SERVICE) | PAL_RESOLVE_NUMERIC_HOST;
    numeric.canonical = NULL;
    int count = pal__k_resolve(&numeric, ports, TYPES_MAX);
    for (int i = 0; i < count && i < room && i < TYPES_MAX; i++) {
        out[i] = *addr;
        out[i].port = ports[i].port;
    }
    return count < TYPES_MAX ? count : TYPES_MAX;
}

static int give_all(const struct pal_query *query, const struct found *found, struct pal_addr *out, int max)
{
    int total = 0;
    for (int i = 0; i < found->count; i++) {
        int room = total < max ? max - total : 0;
        int count = give(query, &found->addrs[i], room ? out + total : out, room);
        if (count < 0)
            return count;
        total += count;
    }
    if (query->canonical && query->canonical_size)
        snprintf(query->canonical, query->canonical_size, "%s", found->canonical);
    return total;
}

static int check(const struct pal_query *query, const struct pal_addr *out, int max)
{
    const uint32_t known =
        PAL_RESOLVE_PASSIVE | PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE | PAL_RESOLVE_ADDRCONFIG;
    if (!query || max < 0 || (max && !out) || (!query->host && !query->service))
        return pal__refuse(PAL_EINVAL, "pal_resolve needs a host or a service, and room for addresses");
    if (query->flags & ~known)
        return pal__refuse(PAL_EINVAL, "pal_query.flags is PAL_RESOLVE_*");
    if (query->canonical && !query->host)
        return pal__refuse(PAL_EINVAL, "a canonical name is that of a host: give one");
    if (query->family != 0 && query->family != PAL_AF_INET && query->family != PAL_AF_INET6)
        return pal__refuse(PAL_EAFNOSUPPORT, "a simulated host has addresses of PAL_AF_INET and PAL_AF_INET6");
    return 0;
}

int pal__s_resolve(const struct pal_query *query, struct pal_addr *out, int max)
{
    struct found found = {.count = 0};
    struct pal_addr addr;
    int error = check(query, out, max);
    if (error)
        return error;
    pal__s_world_need();
    bool is_name = query->host && !(query->flags & PAL_RESOLVE_NUMERIC_HOST);
    const struct host *host = is_name ? pal__s_host_named(query->host) : NULL;
    bool is_numeric = !host && query->host && parse_numeric(query->host, &addr);
    if (host) {
        find_host(&found, query, host);
    } else if (is_numeric) {
        add(&found, query, &addr);
        found.canonical = query->host;
    } else if (!query->host || (is_name && is_localhost(query->host))) {
        find_own(&found, query);
    } else {
        return pal__refuse(PAL_ENONAME, "no host of the simulated world has this name, and no name server is asked");
    }
    if (query->flags & PAL_RESOLVE_ADDRCONFIG && !is_numeric)
        drop_unconfigured(&found);
    if (!found.count)
        return pal__refuse(PAL_ENONAME, "this host has no address of that family");
    return give_all(query, &found, out, max);
}

/* ---- names ---- */

static int give_text(const char *text, void *out, size_t size)
{
    size_t length = strlen(text);
    if (length >= size)
        return pal__refuse(PAL_ERANGE, "the room for this name is too small");
    memcpy(out, text, length + 1);
    return (int)length;
}

static int interface_index(const char *key, void *out, size_t size)
{
    const struct pal_interface *interface = interface_named(key);
    if (size < sizeof interface->ifindex)
        return pal__refuse(PAL_ERANGE, "the room for this number is too small");
    if (!interface)
        return pal__refuse(PAL_ENONAME, "a simulated host has the interfaces lo and eth0");
    memcpy(out, &interface->ifindex, sizeof interface->ifindex);
    return sizeof interface->ifindex;
}

static int interface_name(const char *key, void *out, size_t size)
{
    uint32_t ifindex;
    memcpy(&ifindex, key, sizeof ifindex);
    for (size_t i = 0; i < INTERFACES; i++)
        if (interfaces[i].ifindex == ifindex)
            return give_text(interfaces[i].name, out, size);
    return pal__refuse(PAL_ENONAME, "a simulated host has the interfaces 1 and 2");
}

static int all_interfaces(void *out, size_t size)
{
    size_t fitting = size / sizeof interfaces[0];
    if (fitting)
        memcpy(out, interfaces, (fitting < INTERFACES ? fitting : INTERFACES) * sizeof interfaces[0]);
    return sizeof interfaces;
}

static struct ip ip_of(const struct pal_addr *addr)
{
    return addr->family == PAL_AF_INET ? ip_of_v4(addr->bytes) : ip_of_v6(addr->bytes);
}

static int host_of(const char *key, void *out, size_t size)
{
    struct pal_addr addr;
    memcpy(&addr, key, sizeof addr);
    if (addr.family != PAL_AF_INET && addr.family != PAL_AF_INET6)
        return pal__refuse(PAL_EAFNOSUPPORT, "a simulated host has addresses of PAL_AF_INET and PAL_AF_INET6");
    if (addr.size != (addr.family == PAL_AF_INET ? 4 : 16))
        return pal__refuse(PAL_EINVAL, "an IPv4 address has size 4, an IPv6 address 16");
    struct ip ip = ip_of(&addr);
    if (addr.family == PAL_AF_INET6 && ip_is_v4(&ip)) { /* the host that has the IPv4 address */
        memset(&addr, 0, sizeof addr);
        addr.family = PAL_AF_INET;
        addr.size = 4;
        memcpy(addr.bytes, ip_v4_bytes(&ip), 4);
    }
    const struct host *host = pal__s_host_at(&addr);
    if (host)
        return give_text(host->name, out, size);
    if (ip_is_loopback(&ip))
        return give_text("localhost", out, size);
    return pal__refuse(PAL_ENONAME, "no host of the simulated world has this address");
}

int pal__s_names(int kind, const char *key, void *out, size_t size)
{
    if (!out && !(kind == PAL_NAMES_INTERFACES && size == 0))
        return pal__refuse(PAL_EINVAL, "pal_names needs room");
    if (!key && kind != PAL_NAMES_HOSTNAME && kind != PAL_NAMES_INTERFACES)
        return pal__refuse(PAL_EINVAL, "this kind of name needs a key");
    pal__s_world_need();
    switch (kind) {
    case PAL_NAMES_HOSTNAME:
        return give_text(pal__s_host_here()->name, out, size);
    case PAL_NAMES_INTERFACE_INDEX:
        return interface_index(key, out, size);
    case PAL_NAMES_INTERFACE_NAME:
        return interface_name(key, out, size);
    case PAL_NAMES_HOST_OF:
        return host_of(key, out, size);
    case PAL_NAMES_INTERFACES:
        return all_interfaces(out, size);
    default:
        return pal__k_names(kind, key, out, size); /* services and protocols, or no such kind */
    }
}
