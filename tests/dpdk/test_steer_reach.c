/* tests/dpdk/test_steer_reach.c: which received frames concern one stack of a card, and which all of them. */
#include "../../backends/dpdk/steer.h"
#include "../../backends/netstack/wire.h"
#include "support/test.h"

TestSuite(steer_reach, .timeout = 60);

enum { ROOM = 128 };

static uint8_t frame[ROOM];

/* An Ethernet header, to a station or a group. */
static uint8_t *ethernet(uint16_t type, bool is_group)
{
    memset(frame, 0, sizeof(frame));
    frame[ETH_DST] = is_group ? 0x33 : 0x02;
    put16(frame + ETH_TYPE, type);
    return frame + ETH_SIZE;
}

static enum steer_reach ip4(uint8_t protocol, uint16_t fragment, uint8_t type, bool is_group)
{
    uint8_t *ip = ethernet(ETH_P_IP4, is_group);

    ip[IP4_VERSION_LENGTH] = 0x46; /* four bytes of options */
    put16(ip + IP4_FRAGMENT, fragment);
    ip[IP4_PROTOCOL] = protocol;
    ip[24] = type;
    return pal__d_steer_reach(frame, ROOM);
}

static enum steer_reach ip6(uint8_t next, uint8_t type, bool is_group)
{
    uint8_t *ip = ethernet(ETH_P_IP6, is_group);

    ip[IP6_NEXT] = next;
    ip[IP6_SIZE] = type;
    return pal__d_steer_reach(frame, ROOM);
}

static enum steer_reach arp(uint16_t operation, uint8_t sender, uint8_t target)
{
    uint8_t *at = ethernet(ETH_P_ARP, true);

    put16(at + 6, operation);
    at[14] = sender;
    at[24] = target;
    return pal__d_steer_reach(frame, ETH_SIZE + 28);
}

Test(steer_reach, what_has_ports_is_for_one_and_groups_are_for_all)
{
    cr_assert_eq(ip4(PAL_IPPROTO_TCP, 0, 0, false), STEER_ONE);
    cr_assert_eq(ip4(PAL_IPPROTO_UDP, IP4_DF, 0, false), STEER_ONE);
    cr_assert_eq(ip4(PAL_IPPROTO_UDP, 0, 0, true), STEER_ALL);
    cr_assert_eq(ip6(PAL_IPPROTO_TCP, 0, false), STEER_ONE);
    cr_assert_eq(ip6(PAL_IPPROTO_UDP, 0, false), STEER_ONE);
    cr_assert_eq(ip6(PAL_IPPROTO_UDP, 0, true), STEER_ALL);
}

Test(steer_reach, what_has_none_is_for_all)
{
    cr_assert_eq(ip4(PAL_IPPROTO_UDP, IP4_MF, 0, false), STEER_ALL, "the first fragment");
    cr_assert_eq(ip4(PAL_IPPROTO_TCP, 5, 0, false), STEER_ALL, "a later one");
    cr_assert_eq(ip4(PAL_IPPROTO_ICMP, 0, 3, false), STEER_ALL, "unreachable");
    cr_assert_eq(ip4(2, 0, 0x11, true), STEER_ALL, "a query of IGMP");
    cr_assert_eq(ip6(PAL_IPPROTO_ICMPV6, 2, false), STEER_ALL, "packet too big");
    cr_assert_eq(ip6(PAL_IPPROTO_ICMPV6, 136, false), STEER_ALL, "who has answered");
    cr_assert_eq(ip6(IP6_NEXT_HOPOPTS, PAL_IPPROTO_ICMPV6, true), STEER_ALL, "a query of MLD");
    cr_assert_eq(ip6(IP6_NEXT_FRAGMENT, PAL_IPPROTO_UDP, false), STEER_ALL);
    cr_assert_eq(ip6(IP6_NEXT_DSTOPTS, PAL_IPPROTO_TCP, false), STEER_ALL);
    cr_assert_eq(arp(2, 1, 2), STEER_ALL, "an answer");
    cr_assert_eq(arp(1, 3, 3), STEER_ALL, "an announcement");
}

Test(steer_reach, requests_that_one_answer_is_enough_for_are_for_one)
{
    cr_assert_eq(arp(1, 1, 2), STEER_ONE);
    cr_assert_eq(ip4(PAL_IPPROTO_ICMP, 0, 8, false), STEER_ONE);
    cr_assert_eq(ip4(PAL_IPPROTO_ICMP, IP4_MF, 8, false), STEER_ONE, "a large echo");
    cr_assert_eq(ip6(PAL_IPPROTO_ICMPV6, 128, false), STEER_ONE);
    cr_assert_eq(ip6(PAL_IPPROTO_ICMPV6, 135, true), STEER_ONE, "a neighbour solicitation");
    cr_assert_eq(ip6(IP6_NEXT_FRAGMENT, PAL_IPPROTO_ICMPV6, false), STEER_ONE, "a large echo");
}

Test(steer_reach, what_is_cut_short_or_unknown_is_for_one)
{
    for (uint32_t size = 0; size < ETH_SIZE + IP4_SIZE; size++) {
        (void)ip4(PAL_IPPROTO_ICMP, 0, 3, false);
        cr_assert_eq(pal__d_steer_reach(frame, size), STEER_ONE, "%u bytes of IPv4", size);
        (void)ip6(PAL_IPPROTO_ICMPV6, 136, false);
        cr_assert_eq(pal__d_steer_reach(frame, size), STEER_ONE, "%u bytes of IPv6", size);
        (void)arp(2, 1, 2);
        cr_assert_eq(pal__d_steer_reach(frame, size), STEER_ONE, "%u bytes of ARP", size);
    }
    (void)ethernet(0x88cc, true);
    cr_assert_eq(pal__d_steer_reach(frame, ROOM), STEER_ONE);
}
