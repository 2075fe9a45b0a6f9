/* tcp_opt.c: TCP options between bytes and struct tcp_options (RFC 9293 3.1, 3.2; RFC 7323 2, 3; RFC 2018 2, 3).
 *
 * Reading believes nothing: a length is checked before what it covers is looked at, and each step goes forward. Of an
 * option that comes twice the last one counts. */
#include "tcp_opt.h"
#include "wire.h"

enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_SCALE = 3,
    KIND_SACK_PERMITTED = 4,
    KIND_SACK = 5,
    KIND_TIMESTAMPS = 8
};
enum { MSS_SIZE = 4, SCALE_SIZE = 3, SACK_PERMITTED_SIZE = 2, TIMESTAMPS_SIZE = 10, SACK_BASE = 2, SACK_BLOCK = 8 };

/* NOP, NOP, timestamps and nothing else: what nearly every segment has. */
#define TIMESTAMPS_ALONE UINT32_C(0x0101080a)

static void take_timestamps(const uint8_t *at, struct tcp_options *out)
{
    out->has |= TCP_HAS_TIMESTAMPS;
    out->ts_value = get32(at + 2);
    out->ts_echo = get32(at + 6);
}

static void take_sacks(const uint8_t *at, uint32_t size, struct tcp_options *out)
{
    uint32_t blocks = (size - SACK_BASE) / SACK_BLOCK;

    if (blocks == 0 || blocks > TCP_SACK_BLOCKS_MAX || SACK_BASE + blocks * SACK_BLOCK != size)
        return;
    out->has |= TCP_HAS_SACK;
    out->sack_count = blocks;
    for (uint32_t i = 0; i < blocks; i++) {
        out->sacks[i].start = get32(at + SACK_BASE + i * SACK_BLOCK);
        out->sacks[i].end = get32(at + SACK_BASE + i * SACK_BLOCK + 4);
    }
}

/* What counts on a SYN only: RFC 9293 3.2 (MUST-65), RFC 7323 2.2, RFC 2018 2. */
static void take_of_syn(const uint8_t *at, uint32_t size, struct tcp_options *out)
{
    switch (at[0]) {
    case KIND_MSS:
        if (size == MSS_SIZE) {
            out->has |= TCP_HAS_MSS;
            out->mss = get16(at + 2);
        }
        break;
    case KIND_SCALE:
        if (size == SCALE_SIZE) {
            out->has |= TCP_HAS_SCALE;
            out->scale = at[2] > TCP_SCALE_MAX ? TCP_SCALE_MAX : at[2];
        }
        break;
    case KIND_SACK_PERMITTED:
        if (size == SACK_PERMITTED_SIZE)
            out->has |= TCP_HAS_SACK_PERMITTED;
        break;
    default:
        break;
    }
}

/* One option of size bytes, all of them there. */
static void take(const uint8_t *at, uint32_t size, bool is_syn, struct tcp_options *out)
{
    if (at[0] == KIND_TIMESTAMPS) {
        if (size == TIMESTAMPS_SIZE)
            take_timestamps(at, out);
    } else if (at[0] == KIND_SACK) {
        take_sacks(at, size, out);
    } else if (is_syn) {
        take_of_syn(at, size, out);
    }
}

bool pal__n_tcp_options_read(const uint8_t *at, uint32_t size, bool is_syn, struct tcp_options *out)
{
    out->has = 0;
    out->scale = 0;
    out->mss = 0;
    out->ts_value = out->ts_echo = 0;
    out->sack_count = 0;
    if (size == 2 + TIMESTAMPS_SIZE && get32(at) == TIMESTAMPS_ALONE) {
        take_timestamps(at + 2, out);
        return true;
    }
    while (size > 0 && at[0] != KIND_END) {
        uint32_t option_size = 1;

        if (at[0] != KIND_NOP) {
            if (size < 2 || at[1] < 2 || at[1] > size)
                return false;
            option_size = at[1];
            take(at, option_size, is_syn, out);
        }
        at += option_size;
        size -= option_size;
    }
    return true;
}

static uint8_t *put_nops(uint8_t *at, unsigned count)
{
    while (count-- > 0)
        *at++ = KIND_NOP;
    return at;
}

static uint8_t *put_kind(uint8_t *at, uint8_t kind, uint32_t size)
{
    at[0] = kind;
    at[1] = (uint8_t)size;
    return at + 2;
}

/* SACK-permitted takes the place of the two NOPs that align the timestamps' numbers. */
static uint8_t *put_sack_permitted_and_timestamps(uint8_t *at, const struct tcp_options *options)
{
    bool has_timestamps = (options->has & TCP_HAS_TIMESTAMPS) != 0;

    if ((options->has & TCP_HAS_SACK_PERMITTED) != 0) {
        at = has_timestamps ? at : put_nops(at, 2);
        at = put_kind(at, KIND_SACK_PERMITTED, SACK_PERMITTED_SIZE);
    } else if (has_timestamps) {
        at = put_nops(at, 2);
    }
    if (has_timestamps) {
        at = put_kind(at, KIND_TIMESTAMPS, TIMESTAMPS_SIZE);
        put32(at, options->ts_value);
        put32(at + 4, options->ts_echo);
        at += 8;
    }
    return at;
}

static uint8_t *put_sacks(uint8_t *at, const struct tcp_options *options, uint32_t room)
{
    uint32_t count = options->sack_count;

    if (room < 2 + SACK_BASE + SACK_BLOCK || count == 0)
        return at;
    if (count > (room - 2 - SACK_BASE) / SACK_BLOCK)
        count = (room - 2 - SACK_BASE) / SACK_BLOCK;
    at = put_kind(put_nops(at, 2), KIND_SACK, SACK_BASE + count * SACK_BLOCK);
    for (uint32_t i = 0; i < count; i++, at += SACK_BLOCK) {
        put32(at, options->sacks[i].start);
        put32(at + 4, options->sacks[i].end);
    }
    return at;
}

uint32_t pal__n_tcp_options_write(uint8_t *at, const struct tcp_options *options)
{
    uint8_t *begin = at;

    if ((options->has & TCP_HAS_MSS) != 0) {
        at = put_kind(at, KIND_MSS, MSS_SIZE);
        put16(at, options->mss);
        at += 2;
    }
    at = put_sack_permitted_and_timestamps(at, options);
    if ((options->has & TCP_HAS_SCALE) != 0) {
        at = put_kind(put_nops(at, 1), KIND_SCALE, SCALE_SIZE);
        *at++ = options->scale;
    }
    if ((options->has & TCP_HAS_SACK) != 0)
        at = put_sacks(at, options, TCP_OPTIONS_SIZE_MAX - (uint32_t)(at - begin));
    return (uint32_t)(at - begin);
}
