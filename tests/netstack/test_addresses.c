/* tests/netstack/test_addresses.c: the addresses of interfaces: what they may be, which is sent from, and whether
 * somebody else has them. */
#include "link_world.h"

static void begin(void)
{
    begin_with(MTU_V4, 1, 0);
    add(2, v4(0x0a000001), 24);
    add(3, v4(0xc0a80001), 16);
}

TestSuite(addresses, .init = begin, .fini = end);

Test(addresses, an_address_takes_its_route_with_it)
{
    struct ip first = v4(0x0a000001), second = v4(0x0a000009);

    add(2, second, 24);
    cr_assert_eq(pal__n_addr_remove(stack, 2, &first), 0);
    assert_way(v4(0x0a000055), 0, 2, v4(0x0a000055), second);
    add(2, first, 24); /* into the hole, but not to the front */
    assert_way(v4(0x0a000055), 0, 2, v4(0x0a000055), second);
    cr_assert_eq(pal__n_addr_remove(stack, 2, &first), 0);
    cr_assert_eq(pal__n_addr_remove(stack, 2, &second), 0);
    cr_assert_eq(refused(v4(0x0a000055), 0), PAL_ENETUNREACH);
    cr_assert_eq(pal__n_addr_remove(stack, 2, &second), PAL_EADDRNOTAVAIL);
    cr_assert_eq(pal__n_addr_remove(stack, 9, &second), PAL_ENODEV);
}

Test(addresses, what_cannot_be_an_address_is_refused)
{
    static const struct {
        uint32_t number;
        unsigned prefix_size;
        int error;
    } rows[] = {
        {0, 0, PAL_EINVAL},           {0xe0000001, 24, PAL_EINVAL}, {0xffffffff, 32, PAL_EINVAL},
        {0x7f000001, 8, PAL_EINVAL},  {0x0c000001, 33, PAL_EINVAL}, {0x0c000000, 24, PAL_EINVAL},
        {0x0c0000ff, 24, PAL_EINVAL}, {0x0a000001, 24, PAL_EEXIST}, {0xc0a80001, 16, PAL_EEXIST},
        {0x0c000000, 31, 0},          {0x0d000000, 32, 0},          {0x0c0000ff, 16, 0},
    };
    struct ip global6 = v6(0x20010db8, 1);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip ip = v4(rows[i].number);

        cr_assert_eq(pal__n_addr_add(stack, 2, &ip, rows[i].prefix_size), rows[i].error, "row %zu", i);
    }
    cr_assert_eq(pal__n_addr_add(stack, 2, &global6, 64), PAL_EINVAL, "the link is too small for IPv6");
    for (uint32_t i = 0; i < IFACE_ADDRS_MAX - 4; i++)
        add(2, v4(0x0a000010 + i), 24);
    cr_assert_eq(pal__n_addr_add(stack, 2, &(struct ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 200}}, 24),
                 PAL_ENOBUFS);
}

/* ---- IPv6 ---- */

static void begin6(void)
{
    begin_with(MTU_BOTH, 1, 0);
    add(2, v6(0x20010db8, 1), 64);
}

TestSuite(addresses6, .init = begin6, .fini = end);

Test(addresses6, a_link_local_address_follows_from_the_mac) /* nd.linklocal */
{
    struct ip expected = {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1}};
    const struct iface_addr *addr = pal__n_iface_addr(pal__n_iface_at(stack, 2), &expected);

    cr_assert_not_null(addr);
    cr_assert_eq(addr->prefix_size, 64);
    cr_assert_eq(addr->state, ADDR_READY);
}

Test(addresses6, scoped_addresses_need_an_interface)
{
    struct ip peer = v6(0xfe800000, 0x77), group = v6(0xff020000, 0xfb), wide = v6(0xff0e0000, 0xfb);
    struct ip link_local2 = {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1}};
    struct ip link_local3 = {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0x11}};

    cr_assert_eq(refused(peer, 0), PAL_EINVAL);
    cr_assert_eq(refused(group, 0), PAL_EINVAL);
    assert_way(peer, 2, 2, peer, link_local2);
    assert_way(peer, 3, 3, peer, link_local3);
    assert_way(group, 3, 3, group, link_local3);
    assert_way(wide, 0, 2, wide, v6(0x20010db8, 1));
    assert_way(link_local2, 2, 1, link_local2, link_local2);
    assert_way(link_local2, 3, 3, link_local2, link_local3); /* another link's */
}

Test(addresses6, sends_from_the_scope_and_prefix_of_the_destination)
{
    struct ip other = v6(0x20010db9, 5);

    add(2, other, 64);
    assert_way(v6(0x20010db9, 9), 0, 2, v6(0x20010db9, 9), other);
    assert_way(v6(0x20010db8, 9), 0, 2, v6(0x20010db8, 9), v6(0x20010db8, 1));
    cr_assert_eq(route(2, v6(0, 0), 0, v6(0xfe800000, 0x99), 0), 0);
    assert_way(v6(0x20010db9, 9), 0, 2, v6(0x20010db9, 9), other);
    assert_way(v6(0x26000000, 9), 0, 2, v6(0xfe800000, 0x99), v6(0x20010db8, 1));
}

Test(addresses6, a_path_mtu_is_never_less_than_1280) /* tcp.pmtu.v6-ptb */
{
    struct dst *dst = get(v6(0x20010db8, 9), 0);

    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 600));
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 1279));
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1300));
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1280));
    cr_assert_eq(dst->mtu, 1280);
    put(dst);
}

static bool filtered(const struct recorder *wire, uint8_t last)
{
    for (int i = 0; i < wire->filter_count; i++) {
        if (wire->filter[i][0] == 0x33 && wire->filter[i][2] == 0xff && wire->filter[i][5] == last)
            return true;
    }
    return false;
}

Test(addresses6, the_nic_hears_of_groups_once_for_each_mac) /* mcast.nic-filter, nd.solicited-node, eth.mcast-map6 */
{
    static const uint8_t all_hosts[MAC_SIZE] = {1, 0, 0x5e, 0, 0, 1}, all_nodes[MAC_SIZE] = {0x33, 0x33, 0, 0, 0, 1};
    struct ip first = v6(0x20010dba, 0x42), second = v6(0x20010dbb, 0x42), same4 = v4(0xe1000001);
    bool has_hosts = false, has_nodes = false;
    int before = wires[0].filter_count;

    for (int i = 0; i < before; i++) {
        has_hosts |= memcmp(wires[0].filter[i], all_hosts, MAC_SIZE) == 0;
        has_nodes |= memcmp(wires[0].filter[i], all_nodes, MAC_SIZE) == 0;
    }
    cr_assert(has_hosts && has_nodes);
    add(2, first, 64);
    add(2, second, 64);
    cr_assert_eq(wires[0].filter_count, before + 1);
    cr_assert(filtered(&wires[0], 0x42));
    cr_assert_eq(pal__n_addr_remove(stack, 2, &first), 0);
    cr_assert(filtered(&wires[0], 0x42), "the other has the same group");
    cr_assert_eq(pal__n_addr_remove(stack, 2, &second), 0);
    cr_assert_not(filtered(&wires[0], 0x42));
    cr_assert_eq(pal__n_mcast_use(iface, &same4), 0); /* the MAC of 224.0.0.1 */
    cr_assert_eq(wires[0].filter_count, before);
    pal__n_mcast_unuse(iface, &same4);
    cr_assert_eq(wires[0].filter_count, before);
}

/* ---- duplicate address detection ---- */

static void begin_dad(void)
{
    begin_with(MTU_BOTH, 1, NETSTACK_DAD);
}

TestSuite(dad, .init = begin_dad, .fini = end);

static const struct iface_addr *addr_of(struct ip ip)
{
    return pal__n_iface_addr(pal__n_iface_at(stack, 2), &ip);
}

Test(dad, an_ip4_address_is_probed_three_times_then_used_and_announced) /* arp.probe, arp.announce */
{
    struct ip ip = v4(0x0a000001);
    uint64_t times[5];

    add(2, ip, 24);
    cr_assert_eq(addr_of(ip)->state, ADDR_TENTATIVE);
    cr_assert_eq(refused(v4(0x0a000002), 0), PAL_ENETUNREACH, "nothing to send from");
    run_until(20 * SECOND);
    cr_assert_eq(recorder_count(&wires[0], ETH_P_ARP), 5);
    for (uint32_t i = 0; i < 5; i++) {
        const struct record *record = recorder_find(&wires[0], ETH_P_ARP, i);

        times[i] = record->time_ns;
        cr_assert_eq(get16(record->bytes + 20), 1);
        cr_assert_eq(get32(record->bytes + 28), i < 3 ? 0 : 0x0a000001U);
        cr_assert_eq(get32(record->bytes + 38), 0x0a000001U);
    }
    cr_assert_leq(times[0], SECOND);
    cr_assert(times[1] - times[0] >= SECOND && times[1] - times[0] <= 2 * SECOND + 2000);
    cr_assert(times[2] - times[1] >= SECOND && times[2] - times[1] <= 2 * SECOND + 2000);
    cr_assert(times[3] - times[2] >= 2 * SECOND && times[3] - times[2] <= 2 * SECOND + 2000);
    cr_assert(times[4] - times[3] >= 2 * SECOND && times[4] - times[3] <= 2 * SECOND + 2000);
    cr_assert_eq(addr_of(ip)->state, ADDR_READY);
    put(get(v4(0x0a000002), 0));
}

Test(dad, a_rival_for_an_ip4_address_gets_it) /* arp.probe-conflict */
{
    struct ip probed = v4(0x0a000001), used = v4(0x0a000002);

    add(2, probed, 24);
    add(2, used, 24);
    hear_arp(1, 9, v4(0), v4(0x0a000001));
    hear_arp(1, 9, v4(0x0a000002), v4(0x0a000003));
    run_until(20 * SECOND);
    cr_assert_eq(addr_of(probed)->state, ADDR_DUPLICATE);
    cr_assert_eq(addr_of(used)->state, ADDR_DUPLICATE);
    cr_assert_eq(stack->counters[COUNTER_arp_conflict], 2);
    cr_assert_eq(recorder_count(&wires[0], ETH_P_ARP), 0);
    cr_assert_eq(pal__n_addr_remove(stack, 2, &probed), 0);
}

Test(dad, an_ip6_address_is_used_a_second_after_its_question) /* nd.dad */
{
    struct ip ip = v6(0x20010db8, 1);
    uint64_t asked_ns = 0, ready_ns;

    add(2, ip, 64);
    while (addr_of(ip)->state == ADDR_TENTATIVE) {
        ready_ns = pal__n_stack_next(stack);
        cr_assert_leq(ready_ns, 3 * SECOND);
        pal__n_stack_poll(stack, ready_ns);
        if (asked_ns == 0 && addr_of(ip)->probes == 1)
            asked_ns = stack->now_ns;
    }
    ready_ns = stack->now_ns;
    cr_assert_leq(asked_ns, SECOND);
    cr_assert(ready_ns - asked_ns >= SECOND && ready_ns - asked_ns <= SECOND + 2000);
    cr_assert_eq(addr_of(ip)->state, ADDR_READY);
}

Test(dad, reports_to_routers_need_no_address)
{
    struct ip reports = v6(0xff020000, 0x16), group = v6(0xff020000, 0xfb);
    struct dst *dst = get(reports, 2);

    cr_assert(ip_is_unspecified(&dst->source));
    cr_assert_eq(refused(group, 2), PAL_ENETUNREACH);
    run_until(10 * SECOND);
    cr_assert(pal__n_dst_is_stale(stack, dst));
    put(dst);
    dst = get(reports, 2);
    cr_assert(ip_is_link_local(&dst->source));
    put(dst);
}

Test(dad, a_duplicate_ip6_address_is_never_used) /* nd.dad-conflict */
{
    struct ip ip = v6(0x20010db8, 1);

    add(2, ip, 64);
    pal__n_addr_duplicate((struct iface_addr *)(uintptr_t)addr_of(ip));
    run_until(10 * SECOND);
    cr_assert_eq(addr_of(ip)->state, ADDR_DUPLICATE);
    cr_assert_eq(stack->counters[COUNTER_nd_duplicate], 1);
    cr_assert_null(pal__n_iface_owning(stack, &ip));
}
