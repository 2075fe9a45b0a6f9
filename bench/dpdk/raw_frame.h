/* bench/dpdk/raw_frame.h: a frame that no stack looks at: what the raw round trips send. It is as long as a UDP
 * datagram with the message would be, and bears a number, which its answer has to bear as well. */
#ifndef BENCH_DPDK_RAW_FRAME_H
#define BENCH_DPDK_RAW_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    RAW_TYPE = 0x88b5, /* for local experiments (IEEE 802) */
    RAW_HEADERS = 42,  /* bytes in front of the message: Ethernet, and what IPv4 and UDP would take */
    RAW_KIND = 14,     /* offset of RAW_PING or RAW_END */
    RAW_NUMBER = 16,   /* offset of the number, which is its sender's to read */
    RAW_PING = 'p',
    RAW_END = 'e' /* the answering side is to end */
};

/* The frame's first bytes: to everybody, as nobody asks for addresses here. */
static inline void raw_frame_begin(uint8_t *bytes, const uint8_t mac[6], uint8_t kind, uint64_t number)
{
    memset(bytes, 0xff, 6);
    memcpy(bytes + 6, mac, 6);
    bytes[12] = RAW_TYPE >> 8;
    bytes[13] = RAW_TYPE & 0xff;
    bytes[RAW_KIND] = kind;
    memcpy(bytes + RAW_NUMBER, &number, sizeof(number));
}

static inline bool raw_frame_is_ours(const uint8_t *bytes, uint32_t size)
{
    return size >= RAW_HEADERS && bytes[12] == RAW_TYPE >> 8 && bytes[13] == (RAW_TYPE & 0xff);
}

static inline uint64_t raw_frame_number(const uint8_t *bytes)
{
    uint64_t number;

    memcpy(&number, bytes + RAW_NUMBER, sizeof(number));
    return number;
}

/* Makes an answer of it. */
static inline void raw_frame_turn_round(uint8_t *bytes, const uint8_t mac[6])
{
    memcpy(bytes, bytes + 6, 6);
    memcpy(bytes + 6, mac, 6);
}

#endif
