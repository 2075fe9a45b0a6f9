/* addr.h: an IP address of either version in one form, and what can be asked of it.
 *
 * IPv4 is held as ::ffff:a.b.c.d, which no IPv6 packet may carry (ip6.c drops them), so that tuples, tables and
 * compares are written once. The bytes are in network order. */
#ifndef PAL__NETSTACK_ADDR_H
#define PAL__NETSTACK_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ip {
    uint8_t bytes[16];
};

/* Both ends of a conversation, seen from here. */
struct tuple {
    struct ip local, remote;
    uint16_t local_port, remote_port; /* host order */
    uint8_t protocol;                 /* PAL_IPPROTO_* */
    uint8_t reserved[3];
};

static inline bool ip_equal(const struct ip *left, const struct ip *right)
{
    return memcmp(left->bytes, right->bytes, sizeof(left->bytes)) == 0;
}

static inline struct ip ip_none(void)
{
    struct ip ip;

    memset(&ip, 0, sizeof(ip));
    return ip;
}

/* From four bytes of a header. */
static inline struct ip ip_of_v4(const uint8_t *bytes)
{
    struct ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};

    memcpy(ip.bytes + 12, bytes, 4);
    return ip;
}

static inline struct ip ip_of_v6(const uint8_t *bytes)
{
    struct ip ip;

    memcpy(ip.bytes, bytes, 16);
    return ip;
}

/* From a.b.c.d as a number, 0xaabbccdd. */
static inline struct ip ip_of_number(uint32_t number)
{
    uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

    return ip_of_v4(bytes);
}

static inline bool ip_is_v4(const struct ip *ip)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(ip->bytes, prefix, sizeof(prefix)) == 0;
}

static inline const uint8_t *ip_v4_bytes(const struct ip *ip)
{
    return ip->bytes + 12;
}

static inline uint32_t ip_number(const struct ip *ip)
{
    const uint8_t *at = ip->bytes + 12;

    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* 0.0.0.0 or :: (and the form that is neither). */
static inline bool ip_is_unspecified(const struct ip *ip)
{
    struct ip none = ip_none();

    return ip_equal(ip, &none) || (ip_is_v4(ip) && ip_number(ip) == 0);
}

static inline bool ip_is_multicast(const struct ip *ip)
{
    return ip_is_v4(ip) ? ip->bytes[12] >> 4 == 14 : ip->bytes[0] == 0xff;
}

static inline bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip one = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

    return ip_is_v4(ip) ? ip->bytes[12] == 127 : ip_equal(ip, &one);
}

/* fe80::/10. */
static inline bool ip_is_link_local(const struct ip *ip)
{
    return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

/* fe80::/10, ff01:: and ff02::, which mean something only with an interface (RFC 4007). */
static inline bool ip_needs_scope(const struct ip *ip)
{
    return ip_is_link_local(ip) || (ip->bytes[0] == 0xff && ((ip->bytes[1] & 15) == 1 || (ip->bytes[1] & 15) == 2));
}

/* 255.255.255.255; what a subnet's broadcast is, its interface knows (iface.h). */
static inline bool ip_is_limited_broadcast(const struct ip *ip)
{
    return ip_is_v4(ip) && ip_number(ip) == 0xffffffff;
}

/* True if the first bits are the same; of IPv4, bits count from the IPv4 address. */
static inline bool ip_same_prefix(const struct ip *left, const struct ip *right, unsigned bits)
{
    unsigned all = ip_is_v4(left) ? bits + 96 : bits;
    unsigned whole = all / 8, rest = all % 8;

    if (memcmp(left->bytes, right->bytes, whole) != 0)
        return false;
    return rest == 0 || (left->bytes[whole] ^ right->bytes[whole]) >> (8 - rest) == 0;
}

/* How many leading bits agree, of 128. */
static inline unsigned ip_common_bits(const struct ip *left, const struct ip *right)
{
    for (unsigned i = 0; i < 16; i++) {
        uint8_t differ = left->bytes[i] ^ right->bytes[i];

        if (differ != 0)
            return i * 8 + (unsigned)__builtin_clz(differ) - 24;
    }
    return 128;
}

static inline bool tuple_equal(const struct tuple *left, const struct tuple *right)
{
    return left->local_port == right->local_port && left->remote_port == right->remote_port &&
           ip_equal(&left->remote, &right->remote) && ip_equal(&left->local, &right->local) &&
           left->protocol == right->protocol;
}

#endif
