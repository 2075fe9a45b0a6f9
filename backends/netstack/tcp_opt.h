/* tcp_opt.h: TCP options, read in one pass and written in one go (RFC 9293 3.2, 7323, 2018). */
#ifndef PAL__NETSTACK_TCP_OPT_H
#define PAL__NETSTACK_TCP_OPT_H

#include <stdbool.h>
#include <stdint.h>

enum { TCP_SACK_BLOCKS_MAX = 4, TCP_SCALE_MAX = 14, TCP_OPTIONS_SIZE_MAX = 40 };
enum { TCP_HAS_MSS = 1, TCP_HAS_SCALE = 2, TCP_HAS_SACK_PERMITTED = 4, TCP_HAS_TIMESTAMPS = 8, TCP_HAS_SACK = 16 };

struct tcp_sack_block {
    uint32_t start, end; /* end is the first number that is not in it */
};

struct tcp_options {
    uint8_t has;   /* TCP_HAS_* */
    uint8_t scale; /* at most TCP_SCALE_MAX: more is read as that */
    uint16_t mss;
    uint32_t ts_value, ts_echo;
    uint32_t sack_count;
    struct tcp_sack_block sacks[TCP_SACK_BLOCKS_MAX];
};

/* Reads size bytes behind the fixed header. MSS, scale and SACK-permitted count on a SYN only (MUST-65). Unknown kinds
 * are stepped over; a known kind with a wrong length is ignored. False: a length of 0, 1 or past the end: the segment
 * is to be dropped. No allocation, one pass. */
bool pal__n_tcp_options_read(const uint8_t *at, uint32_t size, bool is_syn, struct tcp_options *out);

/* Writes what `has` says, and as many SACK blocks as fit behind the rest; returns the bytes, a multiple of four, at
 * most 40. Padding is NOP in front, or zero at the end. */
uint32_t pal__n_tcp_options_write(uint8_t *at, const struct tcp_options *options);

#endif
