/* steer_reach.c: whom a received frame concerns: one stack of the card, or all of them. See steer.h.
 *
 * Requests that one answer is enough for (who has an address, echo) are for one, or the peer would hear as many answers
 * as there are stacks. */
#include "../netstack/wire.h"
#include "steer.h"

/* ARP over Ethernet for IPv4 (RFC 826). */
enum { ARP_OPERATION = 6, ARP_SENDER_IP = 14, ARP_TARGET_IP = 24, ARP_SIZE = 28, ARP_REQUEST = 1 };
/* ICMP (RFC 792), ICMPv6 (RFC 4443), Neighbour Discovery (RFC 4861), IGMP's number, and one more extension header. */
enum { ECHO = 8, ECHO6 = 128, ROUTER_SOLICITATION = 133, NEIGHBOUR_SOLICITATION = 135, IGMP = 2, IP6_NEXT_AH = 51 };

/* Answers are for who has asked, announcements (RFC 5227 3: a request for the sender's own address) for all who know
 * it. */
static enum steer_reach reach_of_arp(const uint8_t *arp, uint32_t size)
{
    if (size < ARP_SIZE)
        return STEER_ONE;
    return get16(arp + ARP_OPERATION) == ARP_REQUEST && memcmp(arp + ARP_SENDER_IP, arp + ARP_TARGET_IP, 4) != 0
               ? STEER_ONE
               : STEER_ALL;
}

static enum steer_reach reach_of_transport(uint8_t protocol, bool is_group)
{
    return is_group && protocol == PAL_IPPROTO_UDP ? STEER_ALL : STEER_ONE;
}

static enum steer_reach reach_of_ip4(const uint8_t *ip, uint32_t size, bool is_group)
{
    uint32_t header = size < IP4_SIZE ? 0 : (ip[IP4_VERSION_LENGTH] & 15U) * 4;

    if (header < IP4_SIZE || header >= size)
        return STEER_ONE;
    if ((get16(ip + IP4_FRAGMENT) & (IP4_OFFSET_MASK | IP4_MF)) != 0) /* only the first has ports */
        return ip[IP4_PROTOCOL] == PAL_IPPROTO_ICMP ? STEER_ONE : STEER_ALL;
    switch (ip[IP4_PROTOCOL]) {
    case PAL_IPPROTO_ICMP:
        return ip[header] == ECHO ? STEER_ONE : STEER_ALL;
    case IGMP:
        return STEER_ALL;
    default:
        return reach_of_transport(ip[IP4_PROTOCOL], is_group);
    }
}

static enum steer_reach reach_of_icmp6(uint8_t type)
{
    return type == ECHO6 || type == ROUTER_SOLICITATION || type == NEIGHBOUR_SOLICITATION ? STEER_ONE : STEER_ALL;
}

static enum steer_reach reach_of_ip6(const uint8_t *ip, uint32_t size, bool is_group)
{
    if (size <= IP6_SIZE)
        return STEER_ONE;
    switch (ip[IP6_NEXT]) {
    case PAL_IPPROTO_ICMPV6:
        return reach_of_icmp6(ip[IP6_SIZE]);
    case IP6_NEXT_FRAGMENT: /* whose first byte says of what; nobody fragments anything else of it but echoes */
        return ip[IP6_SIZE] == PAL_IPPROTO_ICMPV6 ? STEER_ONE : STEER_ALL;
    case IP6_NEXT_HOPOPTS:
    case IP6_NEXT_ROUTING:
    case IP6_NEXT_AH:
    case IP6_NEXT_DSTOPTS:
        return STEER_ALL;
    default:
        return reach_of_transport(ip[IP6_NEXT], is_group);
    }
}

enum steer_reach pal__d_steer_reach(const uint8_t *data, uint32_t size)
{
    bool is_group = size > 0 && (data[ETH_DST] & 1) != 0;

    if (size < ETH_SIZE)
        return STEER_ONE;
    switch (get16(data + ETH_TYPE)) {
    case ETH_P_ARP:
        return reach_of_arp(data + ETH_SIZE, size - ETH_SIZE);
    case ETH_P_IP4:
        return reach_of_ip4(data + ETH_SIZE, size - ETH_SIZE, is_group);
    case ETH_P_IP6:
        return reach_of_ip6(data + ETH_SIZE, size - ETH_SIZE, is_group);
    default:
        return STEER_ONE;
    }
}
