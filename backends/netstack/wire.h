/* wire.h: numbers as they stand in headers, and where the fields of the headers are.
 *
 * Headers are bytes: read and written one field at a time, unaligned and in network order. No struct is laid over
 * them. */
#ifndef PAL__NETSTACK_WIRE_H
#define PAL__NETSTACK_WIRE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* Ethernet (RFC 894). */
enum {
    ETH_DST = 0,
    ETH_SRC = 6,
    ETH_TYPE = 12,
    ETH_SIZE = 14,
    ETH_VLAN_SIZE = 4,
    ETH_FRAME_MIN = 60, /* without the check sequence */
    ETH_P_IP4 = 0x0800,
    ETH_P_ARP = 0x0806,
    ETH_P_VLAN = 0x8100,
    ETH_P_IP6 = 0x86dd
};

/* IPv4 (RFC 791). */
enum {
    IP4_VERSION_LENGTH = 0,
    IP4_TOS = 1,
    IP4_TOTAL = 2,
    IP4_ID = 4,
    IP4_FRAGMENT = 6, /* DF 0x4000, MF 0x2000, offset in units of 8 bytes */
    IP4_TTL = 8,
    IP4_PROTOCOL = 9,
    IP4_CHECKSUM = 10,
    IP4_SRC = 12,
    IP4_DST = 16,
    IP4_SIZE = 20,
    IP4_SIZE_MAX = 60,
    IP4_DF = 0x4000,
    IP4_MF = 0x2000,
    IP4_OFFSET_MASK = 0x1fff
};

/* IPv6 (RFC 8200). */
enum {
    IP6_VERSION = 0,
    IP6_PAYLOAD = 4,
    IP6_NEXT = 6,
    IP6_HOPS = 7,
    IP6_SRC = 8,
    IP6_DST = 24,
    IP6_SIZE = 40,
    IP6_MTU_MIN = 1280,
    IP6_NEXT_HOPOPTS = 0,
    IP6_NEXT_ROUTING = 43,
    IP6_NEXT_FRAGMENT = 44,
    IP6_NEXT_NONE = 59,
    IP6_NEXT_DSTOPTS = 60
};

/* UDP (RFC 768). */
enum { UDP_SRC = 0, UDP_DST = 2, UDP_LENGTH = 4, UDP_CHECKSUM = 6, UDP_SIZE = 8 };

/* TCP (RFC 9293 3.1). */
enum {
    TCP_SRC = 0,
    TCP_DST = 2,
    TCP_SEQ = 4,
    TCP_ACK_NUMBER = 8,
    TCP_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_WINDOW = 14,
    TCP_CHECKSUM = 16,
    TCP_URGENT = 18,
    TCP_SIZE = 20,
    TCP_SIZE_MAX = 60,
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80
};

#endif
