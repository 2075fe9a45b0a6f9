/* icmp.c: ICMP (RFC 792, RFC 1122 3.2.2), and what ICMPv6 has in common with it: answers, and the limit to them.
 *
 * Errors about our packets go to the transport that sent them; errors about packets of others are sent seldom enough.
 * Echo is answered. Redirects, source quench (RFC 6633) and the deprecated questions (RFC 6918) are dropped, timestamps
 * too. */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER_PROBLEM = 12,
    ICMP_TIMESTAMP = 13,
    ICMP_ADDRESS_MASK_REPLY = 18,
    ICMP_SIZE = 8,
    ICMP_CHECKSUM = 2,
    ICMP_NEXT_MTU = 6,
    ICMP_ERROR_SIZE_MAX = 576, /* bytes of an error's packet (RFC 1812 4.3.2.3) */
    UNREACHABLE_FRAGMENTATION = 4
};

/* ---- the limit ---- */

enum {
    STACK_INTERVAL_NS = 1000 * 1000, /* a token a millisecond in all */
    STACK_BURST = 50,
    PEER_INTERVAL_NS = 10 * 1000 * 1000, /* a hundred a second to the destinations of one bucket */
    PEER_BURST = 20
};

/* Fills up a bucket. How much it holds at most is drawn each time, so that nobody can count by his own answers how many
 * errors others have caused (SAD DNS, CVE-2020-25705). */
static void refill(struct netstack *stack, unsigned bucket, uint64_t interval_ns, uint32_t burst)
{
    struct icmp_limit *limit = &stack->icmp_limit;
    uint64_t now_ns = stack->now_ns, tokens;

    if (limit->refilled_ns[bucket] == 0) { /* never */
        limit->refilled_ns[bucket] = now_ns + 1;
        limit->tokens[bucket] = burst - pal__n_random_below(&stack->random, burst / 4);
        return;
    }
    if (now_ns < limit->refilled_ns[bucket] + interval_ns)
        return;
    tokens = (now_ns - limit->refilled_ns[bucket]) / interval_ns;
    limit->refilled_ns[bucket] += tokens * interval_ns;
    tokens += limit->tokens[bucket];
    burst -= pal__n_random_below(&stack->random, burst / 4);
    limit->tokens[bucket] = tokens < burst ? (uint32_t)tokens : burst;
}

bool pal__n_icmp_may_send(struct netstack *stack, const struct ip *to)
{
    struct icmp_limit *limit = &stack->icmp_limit;
    unsigned peer = 1 + (unsigned)(pal__n_siphash(&stack->hash_key, to->bytes, sizeof(to->bytes)) % ICMP_LIMIT_BUCKETS);

    refill(stack, 0, STACK_INTERVAL_NS, STACK_BURST);
    refill(stack, peer, PEER_INTERVAL_NS, PEER_BURST);
    if (limit->tokens[0] == 0 || limit->tokens[peer] == 0) { /* one token of each, or none of either */
        count(stack, COUNTER_icmp_limited);
        return false;
    }
    limit->tokens[0]--;
    limit->tokens[peer]--;
    return true;
}

/* ---- answers, of both versions ---- */

static void write_message(uint8_t *at, const struct icmp_message *message, uint64_t sum)
{
    at[0] = message->type;
    at[1] = message->code;
    put16(at + ICMP_CHECKSUM, 0);
    put32(at + 4, message->word);
    sum = pal__n_checksum_add(sum, at, ICMP_SIZE);
    sum = pal__n_checksum_copy(sum, at + ICMP_SIZE, message->body, message->size);
    put16(at + ICMP_CHECKSUM, checksum_finish(sum));
}

void pal__n_icmp_answer(struct netstack *stack, const struct packet *packet, const struct icmp_message *message)
{
    bool is_v4 = ip_is_v4(&packet->src);
    uint32_t via = ip_needs_scope(&packet->src) ? packet->iface->index : 0, size = ICMP_SIZE + message->size;
    struct ip_send how = {.to = packet->src, .src = packet->dst, .tos = message->tos};
    struct frame *frame;
    uint64_t sum = 0;
    int error;

    how.protocol = is_v4 ? PAL_IPPROTO_ICMP : PAL_IPPROTO_ICMPV6;
    how.dst = pal__n_dst_get(stack, &packet->src, via, &error);
    if (how.dst == NULL)
        return;
    if ((packet->flags & (PACKET_BROADCAST | PACKET_MULTICAST)) != 0)
        how.src = how.dst->source;
    frame = pal__n_ip_frame(stack, how.dst, size);
    if (frame != NULL && frame_tailroom(frame) >= size) {
        if (!is_v4)
            sum = pal__n_checksum_pseudo(&how.src, &how.to, how.protocol, size);
        frame->size = size;
        write_message(frame->data, message, sum);
        count(stack, is_v4 ? COUNTER_icmp_out : COUNTER_icmp6_out);
        (void)pal__n_ip_send(stack, &how, frame); /* nobody waits for it */
    } else if (frame != NULL) {
        drop(stack, frame, COUNTER_frame_none);
    }
    pal__n_dst_put(stack, how.dst);
}

/* ---- errors about packets of others (RFC 1122 3.2.2) ---- */

/* Errors are not answered by errors, nor is what may be one. */
static bool is_question(const struct packet *packet)
{
    const uint8_t *at = packet->frame->data;

    if (packet->frame->size < ICMP_SIZE)
        return false;
    return at[0] == ICMP_ECHO_REPLY || at[0] == ICMP_ECHO ||
           (at[0] >= ICMP_TIMESTAMP && at[0] <= ICMP_ADDRESS_MASK_REPLY);
}

static void send_error(struct netstack *stack, const struct packet *packet, uint8_t type, uint8_t code)
{
    struct icmp_message message = {.type = type, .code = code, .body = packet->header};
    const uint8_t *end = packet->frame->data + packet->frame->size;
    const struct ip *src = &packet->src;

    if ((packet->flags & (PACKET_LINK_GROUP | PACKET_BROADCAST | PACKET_MULTICAST)) != 0 ||
        (get16(packet->header + IP4_FRAGMENT) & IP4_OFFSET_MASK) != 0)
        return;
    if (ip_is_unspecified(src) || ip_is_multicast(src) || pal__n_iface_is_broadcast(packet->iface, src))
        return;
    if (packet->protocol == PAL_IPPROTO_ICMP && !is_question(packet))
        return;
    if ((packet->flags & PACKET_LOOPBACK) == 0 && !pal__n_icmp_may_send(stack, src))
        return;
    message.size = (uint32_t)(end - packet->header);
    if (message.size > ICMP_ERROR_SIZE_MAX - IP4_SIZE - ICMP_SIZE)
        message.size = ICMP_ERROR_SIZE_MAX - IP4_SIZE - ICMP_SIZE;
    pal__n_icmp_answer(stack, packet, &message);
}

void pal__n_icmp_unreachable(struct netstack *stack, const struct packet *packet, uint8_t code)
{
    send_error(stack, packet, ICMP_UNREACHABLE, code);
}

void pal__n_icmp_time_exceeded(struct netstack *stack, const struct packet *packet, uint8_t code)
{
    send_error(stack, packet, ICMP_TIME_EXCEEDED, code);
}

void pal__n_icmp_port_unreachable(struct netstack *stack, const struct packet *packet)
{
    if (ip_is_v4(&packet->src))
        pal__n_icmp_unreachable(stack, packet, ICMP_UNREACHABLE_PORT);
    else
        pal__n_icmp6_error(stack, packet, ICMP6_UNREACHABLE, ICMP6_UNREACHABLE_PORT, 0);
}

/* ---- errors about our packets ---- */

/* A router that does not say what would fit is older than RFC 1191: the next common MTU below what did not (7.1). */
static uint32_t guess_mtu(uint32_t total)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};

    for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
        if (plateaus[i] < total)
            return plateaus[i];
    }
    return 68;
}

static int error_of_code(uint8_t code)
{
    static const int16_t errors[] = {
        PAL_ENETUNREACH,  PAL_EHOSTUNREACH, PAL_ENOPROTOOPT,  PAL_ECONNREFUSED, PAL_EMSGSIZE,     PAL_EOPNOTSUPP,
        PAL_ENETUNREACH,  PAL_EHOSTDOWN,    PAL_EHOSTUNREACH, PAL_ENETUNREACH,  PAL_EHOSTUNREACH, PAL_ENETUNREACH,
        PAL_EHOSTUNREACH, PAL_EHOSTUNREACH, PAL_EHOSTUNREACH, PAL_EHOSTUNREACH,
    };

    return code < sizeof(errors) / sizeof(errors[0]) ? errors[code] : PAL_EHOSTUNREACH;
}

static void take_error(struct netstack *stack, const struct packet *packet)
{
    const uint8_t *at = packet->frame->data, *quote = at + ICMP_SIZE;
    uint32_t size = packet->frame->size - ICMP_SIZE;
    struct ip_error error = {.offender = packet->src, .type = at[0], .code = at[1], .error = PAL_EHOSTUNREACH};

    if ((packet->flags & (PACKET_LINK_GROUP | PACKET_BROADCAST | PACKET_MULTICAST)) != 0 || size < IP4_SIZE ||
        quote[IP4_VERSION_LENGTH] >> 4 != 4) {
        count(stack, COUNTER_icmp_drop_quote);
        return;
    }
    if (error.type == ICMP_UNREACHABLE) {
        error.error = error_of_code(error.code);
        error.is_hard = error.code == ICMP_UNREACHABLE_PROTOCOL || error.code == ICMP_UNREACHABLE_PORT;
        if (error.code == UNREACHABLE_FRAGMENTATION) {
            error.mtu = get16(at + ICMP_NEXT_MTU);
            if (error.mtu == 0)
                error.mtu = guess_mtu(get16(quote + IP4_TOTAL));
        }
    } else if (error.type == ICMP_PARAMETER_PROBLEM) {
        error.error = PAL_EPROTO;
    }
    if (!pal__n_ip_error(stack, quote, size, &error))
        count(stack, COUNTER_icmp_drop_quote);
}

/* ---- what came in ---- */

/* RFC 1122 3.2.2.6: the same data, from the address that was asked, with the same type of service. */
static void take_echo(struct netstack *stack, const struct packet *packet)
{
    const uint8_t *at = packet->frame->data;
    struct icmp_message message = {.type = ICMP_ECHO_REPLY, .word = get32(at + 4), .body = at + ICMP_SIZE};

    if ((packet->flags & (PACKET_LINK_GROUP | PACKET_BROADCAST | PACKET_MULTICAST)) != 0) {
        count(stack, COUNTER_icmp_drop_broadcast);
        return;
    }
    message.tos = packet->tos & 0xfc; /* congestion marks are of one packet only (RFC 3168 5) */
    message.size = packet->frame->size - ICMP_SIZE;
    pal__n_icmp_answer(stack, packet, &message);
}

void pal__n_icmp_in(struct netstack *stack, struct packet *packet)
{
    struct frame *frame = packet->frame;

    count(stack, COUNTER_icmp_in);
    if (frame->size < ICMP_SIZE) {
        drop(stack, frame, COUNTER_icmp_drop_short);
        return;
    }
    /* Ports check TCP and UDP, if anything. */
    if ((packet->flags & PACKET_LOOPBACK) == 0 &&
        pal__n_checksum_fold(pal__n_checksum_add(0, frame->data, frame->size)) != 0xffff) {
        drop(stack, frame, COUNTER_icmp_drop_checksum);
        return;
    }
    switch (frame->data[0]) {
    case ICMP_ECHO:
        take_echo(stack, packet);
        break;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER_PROBLEM:
        take_error(stack, packet);
        break;
    default:
        count(stack, COUNTER_icmp_drop_type);
        break;
    }
    frame_free(frame);
}
