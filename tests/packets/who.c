/* who.c: the addresses of a script's small world, their symbols, and endpoints. */
#include "packets.h"

#include "wire.h"
#include <pal/address.h>
#include <stdlib.h>
#include <string.h>

static struct ip v4(uint32_t number)
{
    return ip_of_number(number);
}

static struct ip v6(uint32_t first, uint32_t second, uint32_t third, uint32_t fourth)
{
    struct ip ip;

    put32(ip.bytes, first);
    put32(ip.bytes + 4, second);
    put32(ip.bytes + 8, third);
    put32(ip.bytes + 12, fourth);
    return ip;
}

struct ip host_of(int family, int link, unsigned number)
{
    if (family == 4)
        return v4((link == 0 ? 0xc0000200 : 0xc6336400) + number);
    return v6(0x20010db8, link == 0 ? 0 : 0x00010000, 0, number);
}

/* What RFC 4291 makes of the interface's MAC. */
static struct ip own_link_local(const struct run *run, int link)
{
    const uint8_t *mac = run->ports[link].caps.mac;

    return v6(0xfe800000, 0, (uint32_t)(mac[0] ^ 2) << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | 0xff,
              0xfe000000 | (uint32_t)mac[3] << 16 | (uint32_t)mac[4] << 8 | mac[5]);
}

/* "prefixN" to N. */
static bool numbered(const char *text, const char *prefix, unsigned *number)
{
    int64_t value;

    if (!starts(text, prefix) || !number_of(text + strlen(prefix), &value) || value < 0 || value > 65535)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool numbered_address(int family, const char *text, struct ip *out)
{
    unsigned n;

    if (numbered(text, "host.ll.", &n))
        *out = v6(0xfe800000, 0, 0, n);
    else if (numbered(text, "host.", &n))
        *out = host_of(family, 0, n);
    else if (numbered(text, "host1.", &n))
        *out = host_of(family, 1, n);
    else if (numbered(text, "far.", &n))
        *out = family == 4 ? v4(0xcb007100 + n) : v6(0x20010db8, 0x000f0000, 0, n);
    else if (numbered(text, "group.", &n))
        *out = family == 4 ? v4(0xef010200 + n) : v6(0xff150000, 0, 0, 0x01020000 + n);
    else if (numbered(text, "solicited.", &n) && family == 6)
        *out = v6(0xff020000, 0, 1, 0xff000000 + n);
    else if (numbered(text, "ssm.", &n))
        *out = family == 4 ? v4(0xe8010200 + n) : v6(0xff350000, 0, 0, 0x01020000 + n);
    else
        return false;
    return true;
}

bool address_of(struct run *run, const char *text, struct ip *out)
{
    int family = run->as;
    struct pal_addr addr;
    const struct {
        const char *name;
        struct ip ip;
    } names[] = {
        {"us", host_of(family, 0, 1)},
        {"peer", host_of(family, 0, 2)},
        {"gateway", host_of(family, 0, 254)},
        {"us1", host_of(family, 1, 1)},
        {"peer1", host_of(family, 1, 2)},
        {"us.ll", own_link_local(run, 0)},
        {"us1.ll", own_link_local(run, 1)},
        {"peer.ll", v6(0xfe800000, 0, 0, 2)},
        {"all", family == 4 ? v4(0xe0000001) : v6(0xff020000, 0, 0, 1)},
        {"any", family == 4 ? v4(0) : v6(0, 0, 0, 0)},
        {"local", family == 4 ? v4(0x7f000001) : v6(0, 0, 0, 1)},
        {"bcast", v4(0xc00002ff)},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *out = names[i].ip;
            return true;
        }
    }
    if (numbered_address(family, text, out))
        return true;
    if (pal_addr_from_host(&addr, text, 0) != 0)
        return false;
    *out = addr.family == PAL_AF_INET ? ip_of_v4(addr.bytes) : ip_of_v6(addr.bytes);
    return true;
}

struct ip address_must(struct run *run, const char *text)
{
    struct ip ip = ip_none();

    if (!address_of(run, text, &ip))
        fail(run, "\"%s\" is no address", text);
    return ip;
}

struct ip prefix_must(struct run *run, const char *text, unsigned *bits)
{
    const char *slash = strchr(text, '/');
    char address[64];

    if (slash == NULL || (size_t)(slash - text) >= sizeof(address))
        fail(run, "\"%s\" should be ADDRESS/BITS", text);
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    *bits = (unsigned)number_must(run, slash + 1, "the size of a prefix");
    return address_must(run, address);
}

void mac_put(uint8_t *at, uint64_t mac)
{
    put16(at, (uint32_t)(mac >> 32));
    put32(at + 2, (uint32_t)mac);
}

uint64_t mac_get(const uint8_t *at)
{
    return (uint64_t)get16(at) << 32 | get32(at + 2);
}

static const uint64_t host_mac = 0x020000000000;

bool mac_of(const char *text, uint64_t *out)
{
    unsigned n;
    uint64_t mac = 0;

    if (numbered(text, "mac.", &n)) {
        *out = host_mac + n;
        return true;
    }
    if (numbered(text, "mac1.", &n)) {
        *out = host_mac + 0x100 + n;
        return true;
    }
    for (int i = 0; i < 6; i++) {
        char *end;
        unsigned long byte = strtoul(text, &end, 16);

        if (end != text + 2 || byte > 255 || *end != (i < 5 ? ':' : '\0'))
            return false;
        mac = mac << 8 | byte;
        text = end + 1;
    }
    *out = mac;
    return true;
}

uint64_t mac_of_ip(struct run *run, int link, const struct ip *ip, bool *known)
{
    uint32_t number = get32(ip->bytes + 12);
    struct ip ours = own_link_local(run, link);
    int family = ip_is_v4(ip) ? 4 : 6;

    *known = true;
    for (unsigned n = 0; n < 256; n++) {
        struct ip host = host_of(family, link, n), link_local = v6(0xfe800000, 0, 0, n);

        if (ip_equal(ip, &host) || ip_equal(ip, &link_local)) {
            if (family == 4 && n == 255)
                return 0xffffffffffff;
            return n == 1 ? mac_get(run->ports[link].caps.mac) : host_mac + (link == 0 ? 0u : 0x100u) + n;
        }
    }
    if (ip_equal(ip, &ours))
        return mac_get(run->ports[link].caps.mac);
    if (ip_is_limited_broadcast(ip))
        return 0xffffffffffff;
    if (ip_is_multicast(ip))
        return family == 4 ? 0x01005e000000 + (number & 0x7fffff) : 0x333300000000 + number;
    *known = false;
    return host_mac + 254;
}

/* Four rooms that are used in turn: a line of text may name as many at once. */
static char *name_room(void)
{
    static char rooms[4][64];
    static unsigned used;

    return rooms[used++ % 4];
}

const char *name_of_ip(const struct ip *ip)
{
    static const char *const forms[] = {"host.%u", "host1.%u"};
    static const char *const groups[] = {"group.", "ssm.", "solicited.", "far.", "host.ll."};
    char *room = name_room();
    struct pal_addr addr = {0};

    for (int link = 0; link < 2; link++) {
        for (unsigned n = 1; n < 255; n++) {
            struct ip host = host_of(ip_is_v4(ip) ? 4 : 6, link, n);

            if (!ip_equal(ip, &host))
                continue;
            if (n <= 2)
                snprintf(room, 64, "%s%s", n == 1 ? "us" : "peer", link == 0 ? "" : "1");
            else
                snprintf(room, 64, forms[link], n);
            return room;
        }
    }
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        char text[24];
        struct ip group;

        snprintf(text, sizeof(text), "%s%u", groups[i], ip->bytes[15]);
        if (numbered_address(ip_is_v4(ip) ? 4 : 6, text, &group) && ip_equal(ip, &group)) {
            snprintf(room, 64, "%s", text);
            return room;
        }
    }
    addr.family = ip_is_v4(ip) ? PAL_AF_INET : PAL_AF_INET6;
    addr.size = ip_is_v4(ip) ? 4 : 16;
    memcpy(addr.bytes, ip_is_v4(ip) ? ip->bytes + 12 : ip->bytes, addr.size);
    pal_addr_format(&addr, room, 64);
    return room;
}

const char *name_of_mac(uint64_t mac)
{
    char *room = name_room();

    if (mac >> 8 == host_mac >> 8)
        snprintf(room, 64, "mac.%u", (unsigned)(mac & 255));
    else
        snprintf(room, 64, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 255), (unsigned)(mac >> 32 & 255),
                 (unsigned)(mac >> 24 & 255), (unsigned)(mac >> 16 & 255), (unsigned)(mac >> 8 & 255),
                 (unsigned)(mac & 255));
    return room;
}

struct endpoint endpoint_must(struct run *run, const char *text)
{
    struct endpoint endpoint = {.ip = ip_none(), .any_ip = false, .port = -1, .scope = 0};
    const char *colon = strrchr(text, ':');
    char address[80];
    char *scope, *start = address;
    size_t size;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(address))
        fail(run, "\"%s\" should be ADDRESS:PORT", text);
    size = (size_t)(colon - text);
    memcpy(address, text, size);
    address[size] = '\0';
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
        address[size - 1] = '\0';
        start++;
    }
    scope = strchr(start, '%');
    if (scope != NULL) {
        *scope = '\0';
        if (strcmp(scope + 1, "eth0") == 0 || strcmp(scope + 1, "eth1") == 0)
            endpoint.scope = run->ports[scope[4] - '0'].ifindex;
        else
            endpoint.scope = (uint32_t)number_must(run, scope + 1, "a scope");
    }
    if (*start == '\0')
        endpoint.any_ip = true;
    else
        endpoint.ip = address_must(run, start);
    if (strcmp(colon + 1, "*") != 0)
        endpoint.port = number_must(run, colon + 1, "a port");
    if (endpoint.port > 65535)
        fail(run, "a port is at most 65535: \"%s\"", text);
    return endpoint;
}

/* For a socket of this family: an IPv4 address becomes a mapped one in IPv6's. */
void endpoint_to_pal(int family, const struct endpoint *endpoint, struct pal_addr *out)
{
    bool is_v4 = endpoint->any_ip ? family == 4 : ip_is_v4(&endpoint->ip);

    memset(out, 0, sizeof(*out));
    if (is_v4 && family == 4) {
        out->family = PAL_AF_INET;
        out->size = 4;
        memcpy(out->bytes, endpoint->any_ip ? endpoint->ip.bytes : endpoint->ip.bytes + 12, 4);
    } else {
        out->family = PAL_AF_INET6;
        out->size = 16;
        memcpy(out->bytes, endpoint->ip.bytes, 16);
    }
    out->scope = endpoint->scope;
    out->port = (uint16_t)(endpoint->port < 0 ? 0 : endpoint->port);
}

struct ip solicited_node(const struct ip *ip)
{
    return v6(0xff020000, 0, 1, 0xff000000 | (get32(ip->bytes + 12) & 0xffffff));
}
