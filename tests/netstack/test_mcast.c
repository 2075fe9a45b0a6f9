/* tests/netstack/test_mcast.c: groups: how the filters of sockets are merged (RFC 3376 3.2 and its cases), who hears
 * what, what is refused, and what is sent. What routers are told of it is in test_mcast_reports.c. */
#include "mcast_world.h"

TestSuite(mcast, .init = begin, .fini = end);

/* ---- the merge (RFC 3376 3.2) ---- */

Test(mcast, the_cases_of_rfc_3376) /* igmp.v3.filter-merge */
{
    struct sock *a = udp_bound("0.0.0.0", 5001), *b = udp_bound("0.0.0.0", 5002), *c = udp_bound("0.0.0.0", 5003);

    filter(a, FILTER_EXCLUDE, "abcd");
    assert_merged(FILTER_EXCLUDE, "abcd");
    filter(b, FILTER_EXCLUDE, "bcde");
    assert_merged(FILTER_EXCLUDE, "bcd");
    filter(c, FILTER_INCLUDE, "def");
    assert_merged(FILTER_EXCLUDE, "bc");
    filter(a, FILTER_INCLUDE, "abc");
    assert_merged(FILTER_EXCLUDE, "");
    filter(b, FILTER_INCLUDE, "bce");
    assert_merged(FILTER_INCLUDE, "abcdef");
    pal__n_sock_close(c);
    assert_merged(FILTER_INCLUDE, "abce");
    filter(b, FILTER_EXCLUDE, "");
    assert_merged(FILTER_EXCLUDE, "");
    pal__n_sock_close(b);
    assert_merged(FILTER_INCLUDE, "abc");
    filter(a, FILTER_INCLUDE, "");
    assert_nobody();
    cr_assert_eq(stack->membership_pool.used, 0);
}

Test(mcast, more_sources_than_a_group_holds_are_all) /* mcast.limits */
{
    struct sock *socks[4];
    struct ip sources[MEMBERSHIP_SOURCES_MAX + 1], group = ip(GROUP);

    for (uint32_t s = 0; s < 4; s++) {
        socks[s] = udp_bound("0.0.0.0", (uint16_t)(5001 + s));
        for (uint32_t i = 0; i <= MEMBERSHIP_SOURCES_MAX; i++)
            sources[i] = ip_of_number(0xc0000200 + s * 32 + i);
        cr_assert_eq(pal__n_mcast_set_filter(socks[s], IFINDEX, &group, FILTER_INCLUDE, sources, 17), PAL_ENOBUFS);
        cr_assert_eq(pal__n_mcast_set_filter(socks[s], IFINDEX, &group, FILTER_INCLUDE, sources, 16), 0);
        if (s == 1)
            cr_assert_eq(pal__n_mcast_find(eth, &group)->source_count, GROUP_SOURCES_MAX);
    }
    assert_merged(FILTER_EXCLUDE, "");
    pal__n_sock_close(socks[0]);
    pal__n_sock_close(socks[1]);
    cr_assert_eq(pal__n_mcast_find(eth, &group)->mode, FILTER_INCLUDE);
}

/* ---- who hears what ---- */

static void say(const char *source, const char *group, const char *text)
{
    inject(&(struct spec){.src = source, .dst = group, .dst_port = PORT, .payload = text});
}

static struct sock *member_open(const char *host)
{
    struct pal_addr name = addr(host, PORT);
    struct sock *sock = sock_open(name.family, PAL_SOCK_DGRAM);

    option_set(sock, PAL_SO_REUSEADDR, 1);
    cr_assert_eq(pal__n_sock_bind(sock, &name), 0);
    return sock;
}

Test(mcast, each_socket_hears_its_own_sources) /* mcast.socket-filter */
{
    struct sock *one = member_open("0.0.0.0"), *two = member_open("0.0.0.0"), *all = member_open("0.0.0.0");
    struct sock *stranger = member_open("0.0.0.0");
    struct ip group = ip(GROUP), two_ip = ip("10.0.0.2");

    cr_assert_eq(join(one, GROUP, "10.0.0.2"), 0);
    cr_assert_eq(join(two, GROUP, "10.0.0.3"), 0);
    say("10.0.0.2", GROUP, "from two");
    (void)expect_text(one, "from two");
    say("10.0.0.3", GROUP, "from three");
    (void)expect_text(two, "from three");
    say("10.0.0.4", GROUP, "from four");
    cr_assert_eq(counter(COUNTER_udp_drop_filter), 1);
    cr_assert_eq(join(all, GROUP, NULL), 0);
    say("10.0.0.2", GROUP, "for two of them");
    (void)expect_text(one, "for two of them");
    (void)expect_text(all, "for two of them");
    say("10.0.0.2", "239.1.2.4", "another group");
    cr_assert_eq(counter(COUNTER_ip4_drop_dst), 1);
    expect_nothing(one);
    expect_nothing(two);
    expect_nothing(all);
    expect_nothing(stranger);
    cr_assert(pal__n_mcast_hears(one, eth, &group, &two_ip) && pal__n_mcast_hears(all, eth, &group, &two_ip));
    cr_assert_not(pal__n_mcast_hears(two, eth, &group, &two_ip));
    cr_assert_not(pal__n_mcast_hears(stranger, eth, &group, &two_ip));
    forget();
    say("10.0.0.2", "239.1.2.3", "nobody at this port");
    cr_assert_eq(wire.count, 0, "no errors about groups");
}

Test(mcast, a_socket_bound_to_a_group_hears_nothing_else) /* mcast.bind-group */
{
    struct sock *one = member_open(GROUP), *other = member_open("239.1.2.4");

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(join(i == 0 ? one : other, GROUP, NULL), 0);
        cr_assert_eq(join(i == 0 ? one : other, "239.1.2.4", NULL), 0);
    }
    say("10.0.0.2", GROUP, "to three");
    say("10.0.0.2", "239.1.2.4", "to four");
    inject(&(struct spec){.dst_port = PORT, .payload = "to us"});
    (void)expect_text(one, "to three");
    (void)expect_text(other, "to four");
    expect_nothing(one);
    expect_nothing(other);
}

Test(mcast, membership_over_ipv6)
{
    struct sock *sock = member_open("::");

    inject(&(struct spec){.dst = GROUP6, .dst_port = PORT, .payload = "too early"});
    cr_assert_eq(join(sock, GROUP6, "fd00::2"), 0);
    inject(&(struct spec){.dst = GROUP6, .dst_port = PORT, .payload = "heard"});
    inject(&(struct spec){.src = "fd00::3", .dst = GROUP6, .dst_port = PORT, .payload = "filtered"});
    (void)expect_text(sock, "heard");
    expect_nothing(sock);
}

/* ---- refused ---- */

Test(mcast, what_cannot_be_joined_is_refused) /* mcast.ssm-range */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT), *sock6 = udp_bound("::", PORT + 1);
    struct sock *stream = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    struct pal_mcast request;

    cr_assert_eq(leave(sock, GROUP, NULL), PAL_EADDRNOTAVAIL);
    cr_assert_eq(join(sock, GROUP, NULL), 0);
    cr_assert_eq(join(sock, GROUP, NULL), PAL_EADDRINUSE);
    cr_assert_eq(leave(sock, GROUP, "192.0.2.1"), PAL_EADDRNOTAVAIL);
    cr_assert_eq(leave(sock, GROUP, NULL), 0);
    cr_assert_eq(leave(sock, GROUP, NULL), PAL_EADDRNOTAVAIL);
    cr_assert_eq(join(sock, "127.0.0.1", NULL), PAL_EINVAL);
    cr_assert_eq(leave(sock, "127.0.0.1", NULL), PAL_EINVAL);
    cr_assert_eq(join(sock, "232.0.0.1", NULL), PAL_EINVAL);
    cr_assert_eq(join(sock6, "ff3e::1", NULL), PAL_EINVAL);
    cr_assert_eq(join(sock, GROUP6, NULL), PAL_EAFNOSUPPORT);
    cr_assert_eq(join(sock, GROUP, "::1"), PAL_EAFNOSUPPORT);
    cr_assert_eq(join(stream, GROUP, NULL), PAL_ENOTSUP);
    cr_assert_eq(join(sock, "232.0.0.1", "192.0.2.1"), 0);
    cr_assert_eq(join(sock, "232.0.0.1", "192.0.2.1"), PAL_EADDRINUSE);
    memset(&request, 0, sizeof(request));
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &request, sizeof(request)), PAL_EINVAL);
    request.group = addr(GROUP, 0);
    request.ifindex = 99;
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &request, sizeof(request)), PAL_ENODEV);
    request.group.size = 3;
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &request, sizeof(request)), PAL_EINVAL);
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &request, sizeof(request) - 1), PAL_EINVAL);
}

/* ---- the port's filter ---- */

static bool port_listens(const char *group)
{
    struct ip wanted = ip(group);
    uint8_t mac[MAC_SIZE];

    pal__n_mac_of_group(&wanted, mac);
    for (int i = 0; i < wire.filter_count; i++) {
        if (memcmp(wire.filter[i], mac, MAC_SIZE) == 0)
            return true;
    }
    return false;
}

Test(mcast, the_port_listens_while_anybody_does) /* mcast.nic-filter */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);

    cr_assert(port_listens("224.0.0.1"));
    cr_assert_not(port_listens(GROUP));
    cr_assert_eq(join(sock, GROUP, NULL), 0);
    cr_assert_eq(join(sock, "238.129.2.3", NULL), 0); /* the same MAC */
    cr_assert(port_listens(GROUP));
    cr_assert_eq(leave(sock, GROUP, NULL), 0);
    cr_assert(port_listens(GROUP));
    cr_assert_eq(leave(sock, "238.129.2.3", NULL), 0);
    cr_assert_not(port_listens(GROUP));
}

/* ---- sending ---- */

Test(mcast, what_is_sent_to_a_group) /* mcast.ttl1, mcast.if-select */
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM), *sock6 = sock_open(PAL_AF_INET6, PAL_SOCK_DGRAM);
    uint32_t ifindex = 99;

    option_set(sock, PAL_SO_TTL, 99); /* of no concern to groups */
    cr_assert_eq(send_to(sock, GROUP, PORT, "x"), 1);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(last()[IP4_TTL], 1);
    cr_assert_arr_eq(recorder_last(&wire), "\1\0\x5e\1\2\3", 6);
    option_set(sock, PAL_SO_MCAST_TTL, 32);
    cr_assert_eq(send_to(sock, GROUP, PORT, "x"), 1);
    pal__n_stack_flush(stack, now_ns);
    cr_assert_eq(last()[IP4_TTL], 32);
    cr_assert_eq(send_to(sock6, "ff02::99", PORT, "x"), 1, "by the first interface, if none is named");
    pal__n_stack_flush(stack, now_ns);
    cr_assert(last()[IP6_HOPS] == 1 && udp_is_intact(last()));
    cr_assert_eq(pal__n_sock_set(sock, PAL_SO_MCAST_IF, &ifindex, sizeof(ifindex)), PAL_ENODEV);
    option_set(sock, PAL_SO_MCAST_IF, IFINDEX_LOOPBACK);
    cr_assert_eq(option_of(sock, PAL_SO_MCAST_IF), IFINDEX_LOOPBACK);
    wire.count = 0;
    cr_assert_eq(send_to(sock, GROUP, PORT, "x"), 1);
    settle();
    cr_assert_eq(wire.count, 0);
}

Test(mcast, a_host_hears_its_own_unless_told_not_to) /* mcast.loop */
{
    struct sock *member = member_open("0.0.0.0"), *sender = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    option_set(sender, PAL_SO_MCAST_IF, IFINDEX);
    cr_assert_eq(join(member, GROUP, NULL), 0);
    forget();
    cr_assert_eq(send_to(sender, GROUP, PORT, "loops"), 5);
    settle();
    cr_assert_eq(wire.count, 1);
    (void)expect_text(member, "loops");
    expect_nothing(member);
    recorder_deliver(&wire, wire.records[0].bytes, wire.records[0].size); /* the link gives it back */
    settle();
    expect_nothing(member);
    option_set(sender, PAL_SO_MCAST_LOOP, 0);
    cr_assert_eq(send_to(sender, GROUP, PORT, "does not"), 8);
    settle();
    cr_assert_eq(wire.count, 2);
    expect_nothing(member);
    option_set(sender, PAL_SO_MCAST_LOOP, 1);
    option_set(sender, PAL_SO_MCAST_TTL, 0);
    cr_assert_eq(send_to(sender, GROUP, PORT, "stays here"), 10);
    settle();
    cr_assert_eq(wire.count, 2, "hop limit 0 leaves no host");
    (void)expect_text(member, "stays here");
}

Test(mcast, groups_work_on_loopback)
{
    struct sock *member = member_open("0.0.0.0"), *sender = udp_bound("127.0.0.1", 0);
    struct ip group = ip(GROUP);
    struct pal_addr from;

    cr_assert_eq(pal__n_mcast_join(member, IFINDEX_LOOPBACK, &group, NULL), 0);
    cr_assert_eq(send_to(sender, GROUP, PORT, "inside"), 6);
    settle();
    from = expect_text(member, "inside");
    assert_addr(&from, "127.0.0.1", from.port);
    expect_nothing(member);
    run(SECOND);
    cr_assert_eq(wire.count, 0, "nothing of loopback is reported");
}
