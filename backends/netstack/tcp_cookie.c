/* tcp_cookie.c: SYN cookies (RFC 4987 3.6): a SYN-ACK whose numbers hold what an embryo would.
 *
 * Our first sequence number is, from the top bit down,
 *
 *      1 bit   the interval of 64 s in which it was made, modulo 2
 *      3 bits  index of the peer's segment size, rounded down, in `sizes`
 *     28 bits  a keyed hash of the tuple, the peer's first number, the interval, the index and the options
 *
 * and the lowest six bits of our timestamp, which the peer sends back, hold the options of the SYN: its window scale
 * (four bits; 15: it had none), whether it permits SACK (bit 4), and 0. Without a timestamp there are none. */
#include "stack.h"

enum {
    MAC_BITS = 28,
    SIZE_SHIFT = 28,
    INTERVAL_SHIFT = 31,
    OPTION_BITS = 0x3f,
    OPTION_SCALE = 0x0f, /* the bits of it */
    OPTION_NO_SCALE = 0x0f,
    OPTION_SACK = 0x10,
    NO_TIMESTAMP = 0x40 /* what is hashed in place of the options */
};

/* The smallest is what a peer may ask for at least; then IPv4's default, IPv6's, tunnels, Ethernet with either,
 * jumbo. */
static const uint16_t sizes[8] = {TCP_MSS_MIN, 256, TCP_MSS_DEFAULT4, TCP_MSS_DEFAULT6, 1360, 1440, 1460, 8940};

static uint32_t interval_of(const struct netstack *stack)
{
    return (uint32_t)(stack->now_ns / (COOKIE_INTERVAL_S * UINT64_C(1000000000)));
}

static uint32_t mac(const struct netstack *stack, const struct tuple *tuple, uint32_t irs, uint32_t interval,
                    uint32_t size_index, uint32_t options)
{
    uint64_t first = (uint64_t)interval << 32 | irs, second = (uint64_t)size_index << 32 | options;
    uint64_t hash = pal__n_tuple_mac(&stack->cookie_key, tuple, first, second);

    return (uint32_t)hash & ((UINT32_C(1) << MAC_BITS) - 1);
}

/* The largest that is not more than the peer takes; one without the option takes the default (RFC 9293 3.7.1). */
static uint32_t size_index_of(const struct segment *syn)
{
    uint32_t mss = ip_is_v4(&syn->tuple.remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    uint32_t index = sizeof(sizes) / sizeof(sizes[0]) - 1;

    if ((syn->options.has & TCP_HAS_MSS) != 0)
        mss = syn->options.mss;
    while (index > 0 && sizes[index] > mss)
        index--;
    return index;
}

static uint32_t options_of(const struct tcp_options *options)
{
    uint32_t bits = (options->has & TCP_HAS_SCALE) != 0 ? options->scale : OPTION_NO_SCALE;

    if ((options->has & TCP_HAS_TIMESTAMPS) == 0)
        return NO_TIMESTAMP;
    return (options->has & TCP_HAS_SACK_PERMITTED) != 0 ? bits | OPTION_SACK : bits;
}

/* The latest time up to now whose low bits are these: what the connection says later is not earlier. */
static uint32_t timestamp_with(uint32_t now, uint32_t options)
{
    uint32_t value = (now & ~(uint32_t)OPTION_BITS) | options;

    return seq_gt(value, now) ? value - (OPTION_BITS + 1) : value;
}

uint32_t pal__n_cookie_make(struct netstack *stack, const struct segment *syn, uint32_t *ts_value)
{
    uint32_t interval = interval_of(stack), size_index = size_index_of(syn), options = options_of(&syn->options);

    *ts_value = 0;
    if (options != NO_TIMESTAMP)
        *ts_value = timestamp_with(tcp_timestamp(stack->now_ns, pal__n_ts_offset(stack, &syn->tuple)), options);
    return interval << INTERVAL_SHIFT | size_index << SIZE_SHIFT |
           mac(stack, &syn->tuple, syn->seq, interval, size_index, options);
}

static void read_options(struct tcp_options *out, uint32_t size_index, uint32_t options)
{
    memset(out, 0, sizeof(*out));
    out->has = TCP_HAS_MSS;
    out->mss = sizes[size_index];
    if (options == NO_TIMESTAMP)
        return;
    out->has |= TCP_HAS_TIMESTAMPS;
    if ((options & OPTION_SACK) != 0)
        out->has |= TCP_HAS_SACK_PERMITTED;
    if ((options & OPTION_SCALE) != OPTION_NO_SCALE) {
        out->has |= TCP_HAS_SCALE;
        out->scale = options & OPTION_SCALE;
    }
}

bool pal__n_cookie_check(struct netstack *stack, const struct segment *segment, struct handshake *out)
{
    uint32_t cookie = segment->ack - 1, irs = segment->seq - 1;
    uint32_t size_index = cookie >> SIZE_SHIFT & 7, interval = interval_of(stack), options = NO_TIMESTAMP;

    if ((segment->options.has & TCP_HAS_TIMESTAMPS) != 0)
        options = segment->options.ts_echo & OPTION_BITS;
    if ((interval & 1) != cookie >> INTERVAL_SHIFT)
        interval--;
    if ((cookie & ((UINT32_C(1) << MAC_BITS) - 1)) != mac(stack, &segment->tuple, irs, interval, size_index, options))
        return false;
    memset(out, 0, sizeof(*out));
    out->tuple = segment->tuple;
    out->iss = cookie;
    out->irs = irs;
    out->peer_window = segment->window; /* the SYN's is not known; the segment's own is taken next */
    out->ts_recent = segment->options.ts_value;
    out->ts_offset = pal__n_ts_offset(stack, &segment->tuple);
    out->rtt_ns = UINT64_MAX;
    read_options(&out->options, size_index, options);
    return true;
}
