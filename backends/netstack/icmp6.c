/* icmp6.c: ICMPv6 (RFC 4443): errors about our packets to their transports, errors about packets of others, echo; and
 * who gets the rest: neighbour discovery is nd.c's, listeners are mld.c's.
 *
 * The limit to errors and the making of answers are shared with ICMP: icmp.c. */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

enum {
    ICMP6_TOO_BIG = 2,
    ICMP6_INFORMATIONAL = 128, /* lower types are errors */
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_MLD_QUERY = 130,
    ICMP6_MLD_REPORT = 131,
    ICMP6_MLD_DONE = 132,
    ICMP6_ND_FIRST = 133,
    ICMP6_ND_LAST = 137,
    ICMP6_REDIRECT = 137,
    ICMP6_MLD2_REPORT = 143,
    ICMP6_SIZE = 8
};

/* ---- errors about packets of others ---- */

/* An ICMPv6 error or a redirect, as far as can be seen: behind extension headers, too. */
static bool is_error(const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    uint8_t next = packet->protocol;
    uint32_t offset = pal__n_ip6_transport(frame->data, frame->size, &next);

    if (next != PAL_IPPROTO_ICMPV6 || offset == UINT32_MAX)
        return false;
    if (offset >= frame->size)
        return true; /* perhaps */
    return frame->data[offset] < ICMP6_INFORMATIONAL || frame->data[offset] == ICMP6_REDIRECT;
}

/* RFC 4443 2.4 (e). Of packets to a group only that an option is unknown may be said. */
static bool may_complain(struct netstack *stack, const struct packet *packet, uint8_t type, uint8_t code)
{
    if ((packet->flags & (PACKET_MULTICAST | PACKET_LINK_GROUP)) != 0 &&
        (type != ICMP6_PARAMETER_PROBLEM || code != ICMP6_PARAMETER_OPTION))
        return false;
    if (ip_is_unspecified(&packet->src) || ip_is_multicast(&packet->src) || is_error(packet))
        return false;
    return (packet->flags & PACKET_LOOPBACK) != 0 || pal__n_icmp_may_send(stack, &packet->src);
}

void pal__n_icmp6_error(struct netstack *stack, const struct packet *packet, uint8_t type, uint8_t code, uint32_t word)
{
    struct icmp_message message = {.type = type, .code = code, .word = word, .body = packet->header};
    const uint8_t *end = packet->frame->data + packet->frame->size;

    if (!may_complain(stack, packet, type, code))
        return;
    message.size = (uint32_t)(end - packet->header);
    if (message.size > IP6_MTU_MIN - IP6_SIZE - ICMP6_SIZE)
        message.size = IP6_MTU_MIN - IP6_SIZE - ICMP6_SIZE;
    pal__n_icmp_answer(stack, packet, &message);
}

/* ---- errors about our packets ---- */

static int error_of_code(uint8_t code)
{
    static const int16_t errors[] = {
        PAL_ENETUNREACH, PAL_EACCES, PAL_EHOSTUNREACH, PAL_EHOSTUNREACH, PAL_ECONNREFUSED, PAL_EACCES, PAL_EACCES,
    };

    return code < sizeof(errors) / sizeof(errors[0]) ? errors[code] : PAL_EPROTO;
}

static void take_error(struct netstack *stack, const struct packet *packet)
{
    const uint8_t *at = packet->frame->data, *quote = at + ICMP6_SIZE;
    uint32_t size = packet->frame->size - ICMP6_SIZE;
    /* A type of error that is not known yet goes up as a hint (RFC 4443 2.4 (a)). */
    struct ip_error error = {.offender = packet->src, .type = at[0], .code = at[1], .error = PAL_EPROTO};

    if ((packet->flags & (PACKET_LINK_GROUP | PACKET_MULTICAST)) != 0 || ip_is_unspecified(&packet->src) ||
        size < IP6_SIZE || quote[IP6_VERSION] >> 4 != 6) {
        count(stack, COUNTER_icmp6_drop_quote);
        return;
    }
    if (error.type == ICMP6_UNREACHABLE) {
        error.error = error_of_code(error.code);
        error.is_hard = error.code == ICMP6_UNREACHABLE_PORT;
    } else if (error.type == ICMP6_TOO_BIG) {
        error.error = PAL_EMSGSIZE;
        error.mtu = get32(at + 4);
        if (error.mtu < IP6_MTU_MIN) { /* RFC 8201 4 */
            count(stack, COUNTER_icmp6_drop_mtu);
            return;
        }
    } else if (error.type == ICMP6_TIME_EXCEEDED) {
        error.error = PAL_EHOSTUNREACH;
    } else if (error.type == ICMP6_PARAMETER_PROBLEM) {
        error.is_hard = error.code == ICMP6_PARAMETER_NEXT; /* which is what protocol unreachable is (RFC 5461 2.2) */
    }
    if (!pal__n_ip_error(stack, quote, size, &error))
        count(stack, COUNTER_icmp6_drop_quote);
}

/* ---- what came in ---- */

/* RFC 4443 4.2. An echo to a group is answered from one of our own addresses, and seldom: many will answer. */
static void take_echo(struct netstack *stack, const struct packet *packet)
{
    const uint8_t *at = packet->frame->data;
    struct icmp_message message = {.type = ICMP6_ECHO_REPLY, .word = get32(at + 4), .body = at + ICMP6_SIZE};
    bool is_group = (packet->flags & PACKET_MULTICAST) != 0;

    if (ip_is_unspecified(&packet->src) || (!is_group && (packet->flags & PACKET_LINK_GROUP) != 0)) {
        count(stack, COUNTER_icmp6_drop_group);
        return;
    }
    if (is_group && !pal__n_icmp_may_send(stack, &packet->src))
        return;
    message.tos = packet->tos & 0xfc;
    message.size = packet->frame->size - ICMP6_SIZE;
    pal__n_icmp_answer(stack, packet, &message);
}

static bool is_good(const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    uint64_t sum = pal__n_checksum_pseudo(&packet->src, &packet->dst, PAL_IPPROTO_ICMPV6, frame->size);

    /* Ports check TCP and UDP, if anything. */
    return (packet->flags & PACKET_LOOPBACK) != 0 ||
           pal__n_checksum_fold(pal__n_checksum_add(sum, frame->data, frame->size)) == 0xffff;
}

void pal__n_icmp6_in(struct netstack *stack, struct packet *packet)
{
    struct frame *frame = packet->frame;
    uint8_t type;

    count(stack, COUNTER_icmp6_in);
    if (frame->size < ICMP6_SIZE) {
        drop(stack, frame, COUNTER_icmp6_drop_short);
        return;
    }
    if (!is_good(packet)) {
        drop(stack, frame, COUNTER_icmp6_drop_checksum);
        return;
    }
    type = frame->data[0];
    if (type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST) {
        pal__n_nd_in(stack, packet);
        return;
    }
    if ((type >= ICMP6_MLD_QUERY && type <= ICMP6_MLD_DONE) || type == ICMP6_MLD2_REPORT) {
        pal__n_mld_in(stack, packet);
        return;
    }
    if (type < ICMP6_INFORMATIONAL)
        take_error(stack, packet);
    else if (type == ICMP6_ECHO)
        take_echo(stack, packet);
    else
        count(stack, COUNTER_icmp6_drop_type);
    frame_free(frame);
}
