/* tests/netstack/test_mcast_reports.c: what routers are told of the groups that sockets are in, and when: state changes
 * and answers to queries, by IGMPv3 and MLDv2. */
#include "mcast_world.h"

TestSuite(mcast_reports, .init = begin, .fini = end);

/* ---- state changes ---- */

Test(mcast_reports, joining_and_leaving_is_reported_twice) /* igmp.v3.report-join, igmp.v3.leave */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    const uint8_t *at;
    uint64_t began_ns = now_ns;

    cr_assert_eq(join(sock, GROUP, NULL), 0);
    settle();
    cr_assert_eq(wire.count, 1);
    at = last();
    cr_assert(at[IP4_TTL] == 1 && at[IP4_TOS] == 0xc0 && at[IP4_PROTOCOL] == 2);
    cr_assert_eq(at[0], 0x46, "router alert");
    cr_assert_arr_eq(at + IP4_SIZE, "\x94\4\0\0", 4);
    cr_assert_arr_eq(at + IP4_DST, "\xe0\0\0\x16", 4);
    cr_assert_arr_eq(at + IP4_SRC, "\x0a\0\0\1", 4);
    cr_assert_arr_eq(recorder_last(&wire), "\1\0\x5e\0\0\x16", 6);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, at + 24, get16(at + IP4_TOTAL) - 24U)), 0xffff);
    cr_assert_arr_eq(at + 24 + 8 + 4, "\xef\1\2\3", 4);
    run(SECOND);
    cr_assert_eq(wire.count, 2);
    cr_assert(wire.records[1].time_ns > began_ns && wire.records[1].time_ns <= began_ns + SECOND);
    expect_reports("TO_EX{}", "TO_EX{}");
    expect_silence();
    cr_assert_eq(leave(sock, GROUP, NULL), 0);
    assert_nobody();
    run(SECOND);
    expect_reports("TO_IN{}", "TO_IN{}");
    expect_silence();
    cr_assert_eq(stack->counters[COUNTER_igmp_out], 4);
}

Test(mcast_reports, sources_are_reported_as_they_come_and_go) /* igmp.v3.ssm-join */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);

    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.97"), 0);
    run(SECOND);
    expect_reports("ALLOW{a}", "ALLOW{a}");
    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.98"), 0);
    run(SECOND);
    expect_reports("ALLOW{b}", "ALLOW{b}");
    cr_assert_eq(leave(sock, "232.1.1.1", "192.0.2.97"), 0);
    run(SECOND);
    expect_reports("BLOCK{a}", "BLOCK{a}");
    pal__n_sock_close(sock); /* mcast.close-leaves */
    run(SECOND);
    expect_reports("BLOCK{b}", "BLOCK{b}");
    expect_silence();
}

Test(mcast_reports, changes_of_the_mode_tell_the_whole_list)
{
    struct sock *a = udp_bound("0.0.0.0", 5001), *b = udp_bound("0.0.0.0", 5002);

    filter(a, FILTER_INCLUDE, "ab");
    run(SECOND);
    expect_reports("ALLOW{ab}", "ALLOW{ab}");
    filter(b, FILTER_EXCLUDE, "bc");
    run(SECOND);
    expect_reports("TO_EX{c}", "TO_EX{c}");
    filter(b, FILTER_EXCLUDE, "bcd");
    run(SECOND);
    expect_reports("BLOCK{d}", "BLOCK{d}");
    filter(b, FILTER_EXCLUDE, "bd");
    run(SECOND);
    expect_reports("ALLOW{c}", "ALLOW{c}");
    pal__n_sock_close(b);
    run(SECOND);
    expect_reports("TO_IN{ab}", "TO_IN{ab}");
}

Test(mcast_reports, nothing_is_reported_while_the_merge_stays) /* igmp.v3.filter-merge */
{
    struct sock *a = udp_bound("0.0.0.0", 5001), *b = udp_bound("0.0.0.0", 5002);

    cr_assert_eq(join(a, GROUP, NULL), 0);
    run(SECOND);
    expect_reports("TO_EX{}", "TO_EX{}");
    cr_assert_eq(join(b, GROUP, NULL), 0);
    pal__n_sock_close(a);
    cr_assert_eq(join(b, "239.9.9.9", "192.0.2.1"), 0);
    run(SECOND);
    wire.count = 0;
    expect_silence();
}

Test(mcast_reports, a_second_change_joins_the_repetition_of_the_first) /* igmp.v3.change-merge */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);

    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.97"), 0);
    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.98"), 0);
    settle();
    expect_reports("ALLOW{a}", "ALLOW{ab}");
    run(SECOND);
    expect_reports("ALLOW{b}");
    cr_assert_eq(leave(sock, "232.1.1.1", "192.0.2.97"), 0);
    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.97"), 0);
    run(SECOND);
    expect_reports("BLOCK{a}", "ALLOW{a}", "ALLOW{a}");
    cr_assert_eq(leave(sock, "232.1.1.1", NULL), 0);
    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.98"), 0); /* taken back before the last word was out */
    run(SECOND);
    expect_reports("BLOCK{ba}", "ALLOW{b} BLOCK{a}", "ALLOW{b}");
    expect_silence();
}

/* A record that has had its last word makes room for a group that is joined. */
Test(mcast_reports, groups_that_are_leaving_make_room)
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    uint32_t max = stack->group_pool.count;

    for (uint32_t i = 0; i < 2 * max; i++) {
        struct ip group = ip_of_number(0xef000000 + i);

        cr_assert_eq(pal__n_mcast_join(sock, IFINDEX, &group, NULL), 0, "group %u", i);
        cr_assert_eq(pal__n_mcast_leave(sock, IFINDEX, &group, NULL), 0);
    }
    cr_assert_eq(stack->group_pool.used, max);
    run(SECOND);
    cr_assert_lt(stack->group_pool.used, 12);
}

Test(mcast_reports, memberships_are_bounded) /* mcast.limits */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    struct netstack_usage usage;
    int error = 0;
    uint32_t joined = 0;

    for (; error == 0; joined += error == 0) {
        struct ip group = ip_of_number(0xef000000 + joined);

        error = pal__n_mcast_join(sock, IFINDEX, &group, NULL);
    }
    cr_assert_eq(error, PAL_ENOBUFS);
    cr_assert_eq(joined, 256);
    pal__n_stack_usage(stack, &usage);
    cr_assert_eq(usage.groups, 256);
    pal__n_sock_close(sock);
    pal__n_stack_usage(stack, &usage);
    cr_assert_eq(usage.groups, 0);
}

/* ---- queries ---- */

/* code: as it stands in the packet. */
static void query(const char *group, const char *letters, uint8_t code)
{
    uint8_t message[12 + 4 * 32] = {0x11, code};
    struct ip sources[32], asked = ip(group != NULL ? group : "0.0.0.0");
    uint32_t count = sources_of(letters, sources), size = 12 + count * 4;

    memcpy(message + 4, ip_v4_bytes(&asked), 4);
    put16(message + 10, count);
    for (uint32_t i = 0; i < count; i++)
        memcpy(message + 12 + i * 4, ip_v4_bytes(&sources[i]), 4);
    put16(message + 2, checksum_finish(pal__n_checksum_add(0, message, size)));
    inject(&(struct spec){.dst = group != NULL ? group : "224.0.0.1",
                          .protocol = 2,
                          .hops = 1,
                          .router_alert = true,
                          .payload = message,
                          .size = size});
}

Test(mcast_reports, a_general_query_is_answered_once_and_after_a_while) /* igmp.v3.query-general, igmp.allhosts */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    uint64_t began_ns;

    cr_assert_eq(join(sock, GROUP, NULL), 0);
    cr_assert_eq(join(sock, "224.0.0.1", NULL), 0);
    filter(sock, FILTER_EXCLUDE, "a");
    cr_assert_eq(join(sock, "232.1.1.1", "192.0.2.98"), 0);
    run(SECOND);
    wire.count = 0;
    began_ns = now_ns;
    query(NULL, "", 100);
    query(NULL, "", 100); /* igmp.query-storm: the later one is answered with the first */
    run(10 * SECOND);
    cr_assert_eq(wire.count, 1);
    cr_assert_gt(wire.records[0].time_ns, began_ns);
    expect_reports("IS_IN{b} IS_EX{a}");
    expect_silence();
}

Test(mcast_reports, a_storm_of_queries_costs_one_answer_an_interval) /* igmp.query-storm */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);

    cr_assert_eq(join(sock, GROUP, NULL), 0);
    run(SECOND);
    wire.count = 0;
    for (int i = 0; i < 1000; i++) {
        query(NULL, "", 10);
        query(GROUP, "", 10);
        run(MS);
    }
    cr_assert_leq(wire.count, 8, "%u", wire.count);
}

Test(mcast_reports, what_is_asked_of_one_group_is_merged) /* igmp.v3.query-group */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);

    filter(sock, FILTER_INCLUDE, "abc");
    run(SECOND);
    wire.count = 0;
    query(GROUP, "", 10);
    query("239.7.7.7", "", 10); /* not ours */
    run(SECOND);
    expect_reports("IS_IN{abc}");
    query(GROUP, "bx", 10);
    query(GROUP, "cy", 10);
    run(SECOND);
    expect_reports("IS_IN{bc}");
    query(GROUP, "b", 10);
    query(GROUP, "", 10); /* the whole group, from now on */
    query(GROUP, "c", 10);
    run(SECOND);
    expect_reports("IS_IN{abc}");
    query(GROUP, "xyz", 10); /* nothing to say */
    run(SECOND);
    cr_assert_eq(wire.count, 0);
    filter(sock, FILTER_EXCLUDE, "ab");
    run(SECOND);
    wire.count = 0;
    query(GROUP, "abcd", 10);
    run(SECOND);
    expect_reports("IS_IN{cd}");
    query(NULL, "", 1); /* sooner than the other: it does for both */
    query(GROUP, "c", 100);
    run(10 * SECOND);
    expect_reports("IS_EX{ab}");
}

Test(mcast_reports, response_codes_may_be_floating) /* igmp.v3.maxresp-code */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    uint64_t latest_ns = 0;

    cr_assert_eq(join(sock, GROUP, NULL), 0);
    run(SECOND);
    for (int i = 0; i < 64; i++) { /* 0x8a: (10 | 16) << 3 = 208 tenths of a second */
        uint64_t began_ns = now_ns;

        wire.count = 0;
        query(NULL, "", 0x8a);
        run(208 * SECOND / 10);
        cr_assert_eq(wire.count, 1);
        if (wire.records[0].time_ns - began_ns > latest_ns)
            latest_ns = wire.records[0].time_ns - began_ns;
    }
    cr_assert(latest_ns > 15 * SECOND && latest_ns <= 208 * SECOND / 10);
}

/* One byte or so of a good query is changed; the query is not to be answered. */
static void expect_unheard(const char *what, const struct spec *changed, const uint8_t *message, uint32_t size,
                           uint32_t dropped)
{
    struct spec spec = {.dst = "224.0.0.1", .protocol = 2, .hops = 1, .router_alert = true};
    uint64_t before = counter(COUNTER_igmp_drop_invalid);

    if (changed != NULL)
        spec = *changed;
    spec.payload = message;
    spec.size = size;
    inject(&spec);
    run(10 * SECOND);
    cr_assert_eq(wire.count, 0, "%s", what);
    cr_assert_eq(counter(COUNTER_igmp_drop_invalid) - before, dropped, "%s", what);
}

Test(mcast_reports, queries_are_checked) /* igmp.validate */
{
    struct sock *sock = udp_bound("0.0.0.0", PORT);
    struct spec no_alert = {.dst = "224.0.0.1", .protocol = 2, .hops = 1};
    struct spec far = {.dst = "224.0.0.1", .protocol = 2, .hops = 2, .router_alert = true};
    struct spec stray = {.dst = GROUP, .protocol = 2, .hops = 1, .router_alert = true};
    struct spec nobody = {.src = "0.0.0.0", .dst = "224.0.0.1", .protocol = 2, .hops = 1, .router_alert = true};
    uint8_t good[16] = {0x11, 10}, bad[16];

    cr_assert_eq(join(sock, GROUP, NULL), 0);
    run(SECOND);
    wire.count = 0;
    put16(good + 2, checksum_finish(pal__n_checksum_add(0, good, 12)));
    expect_unheard("without router alert", &no_alert, good, 12, 1);
    expect_unheard("from afar", &far, good, 12, 1);
    expect_unheard("a general query to one group", &stray, good, 12, 1);
    expect_unheard("cut", NULL, good, 7, 1);
    for (uint32_t size = 9; size < 12; size++)
        expect_unheard("of a size between the versions", NULL, good, size, 1);
    memcpy(bad, good, 16);
    bad[5] ^= 1;
    expect_unheard("with a wrong checksum", NULL, bad, 12, 1);
    memcpy(bad, good, 16);
    put16(bad + 2, 0);
    put32(bad + 4, 0xef010203);
    put16(bad + 10, 2);
    put16(bad + 2, checksum_finish(pal__n_checksum_add(0, bad, 16)));
    expect_unheard("with more sources than bytes", NULL, bad, 16, 1);
    memset(bad, 0, 16);
    bad[0] = 0x77;
    put16(bad + 2, checksum_finish(pal__n_checksum_add(0, bad, 8)));
    expect_unheard("of no type", NULL, bad, 8, 1);
    bad[0] = 0x16;
    put16(bad + 2, 0);
    put16(bad + 2, checksum_finish(pal__n_checksum_add(0, bad, 8)));
    expect_unheard("another host's report", NULL, bad, 8, 0);
    nobody.payload = good;
    nobody.size = 12;
    inject(&nobody);
    run(SECOND);
    expect_reports("IS_EX{}");
}

/* ---- MLDv2 ---- */

/* The records of the index-th MLD report: types and counts, "4:0 5:1". */
static const char *mld_text(uint32_t index)
{
    static char text[256];
    const uint8_t *ip6 = wire.records[index].bytes + ETH_SIZE, *at = wire.records[index].bytes + MESSAGE6;
    struct ip src = ip_of_v6(ip6 + IP6_SRC), dst = ip_of_v6(ip6 + IP6_DST), routers = ip("ff02::16");
    uint32_t count = get16(at + 6), size = get16(ip6 + IP6_PAYLOAD) - 8U;
    size_t length = 0;

    cr_assert_lt(index, wire.count);
    cr_assert(ip6[IP6_HOPS] == 1 && ip6[IP6_NEXT] == IP6_NEXT_HOPOPTS && ip6[IP6_SIZE] == PAL_IPPROTO_ICMPV6);
    cr_assert_arr_eq(ip6 + IP6_SIZE + 2, "\5\2\0\0", 4, "router alert: MLD");
    cr_assert(ip_is_link_local(&src) && ip_equal(&dst, &routers));
    cr_assert_eq(at[0], 143);
    cr_assert_eq(pal__n_checksum_fold(
                     pal__n_checksum_add(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_ICMPV6, size), at, size)),
                 0xffff);
    text[0] = '\0';
    at += 8;
    for (uint32_t i = 0; i < count; i++) {
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "%s%d:%d", i > 0 ? " " : "", at[0], get16(at + 2));
        at += 20 + 16 * get16(at + 2);
    }
    return text;
}

Test(mcast_reports, mld_reports_what_igmp_does) /* mld.v2.report */
{
    struct sock *sock = udp_bound("::", PORT);

    cr_assert_eq(join(sock, GROUP6, NULL), 0);
    run(SECOND);
    cr_assert_eq(wire.count, 2);
    cr_assert_str_eq(mld_text(0), "4:0");
    cr_assert_str_eq(mld_text(1), "4:0");
    cr_assert_eq(leave(sock, GROUP6, NULL), 0);
    run(SECOND);
    cr_assert_eq(wire.count, 4);
    cr_assert_str_eq(mld_text(3), "3:0");
    cr_assert_eq(join(sock, "ff35::1234", "2001:db8::1"), 0);
    run(SECOND);
    cr_assert_str_eq(mld_text(5), "5:1");
    pal__n_sock_close(sock);
    run(SECOND);
    cr_assert_eq(wire.count, 8);
    cr_assert_str_eq(mld_text(7), "6:1");
    wire.count = 0;
    run(10 * SECOND);
    cr_assert_eq(wire.count, 0);
}

static void mld_query(const char *src, const char *group, uint32_t code, uint8_t hops, bool alert)
{
    uint8_t message[28] = {130};
    struct ip asked = ip(group), dst = ip(ip_is_unspecified(&asked) ? "ff02::1" : group), from = ip(src);
    uint64_t sum = pal__n_checksum_pseudo(&from, &dst, PAL_IPPROTO_ICMPV6, 28);

    put16(message + 4, code);
    memcpy(message + 8, asked.bytes, 16);
    put16(message + 2, checksum_finish(pal__n_checksum_add(sum, message, 28)));
    inject(&(struct spec){.src = src,
                          .dst = ip_is_unspecified(&asked) ? "ff02::1" : group,
                          .protocol = PAL_IPPROTO_ICMPV6,
                          .hops = hops,
                          .router_alert = alert,
                          .payload = message,
                          .size = 28});
}

Test(mcast_reports, mld_queries_are_answered_if_they_are_from_the_link) /* mld.v2.query, mld.never-report */
{
    struct sock *sock = udp_bound("::", PORT);

    cr_assert_eq(join(sock, GROUP6, NULL), 0);
    cr_assert_eq(join(sock, "ff01::5", NULL), 0);
    cr_assert_eq(join(sock, "ff02::1", NULL), 0);
    run(SECOND);
    wire.count = 0;
    mld_query("fe80::2", "::", 1000, 1, true);
    run(SECOND);
    cr_assert_eq(wire.count, 1);
    cr_assert_str_eq(mld_text(0), "2:0 2:0", "%s", mld_text(0)); /* and the one of our addresses */
    wire.count = 0;
    mld_query("fe80::2", GROUP6, 1000, 1, true);
    run(SECOND);
    cr_assert_eq(wire.count, 1);
    cr_assert_str_eq(mld_text(0), "2:0");
    wire.count = 0;
    mld_query("fd00::2", "::", 1000, 1, true);
    mld_query("fe80::2", "::", 1000, 2, true);
    mld_query("fe80::2", "::", 1000, 1, false);
    run(SECOND);
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(counter(COUNTER_mld_drop_invalid), 3);
}

/* ---- while addresses are being probed ---- */

static void begin_probing(void)
{
    struct netstack_config config = {.flags = NETSTACK_DAD};

    create(&config);
}

TestSuite(mcast_probing, .init = begin_probing, .fini = end);

Test(mcast_probing, there_is_no_source_to_report_from_but_it_is_reported) /* mld.src-unspec */
{
    struct sock *sock = udp_bound("::", PORT);
    const struct record *record;

    cr_assert_eq(join(sock, GROUP6, NULL), 0);
    settle();
    record = recorder_find(&wire, ETH_P_IP6, recorder_count(&wire, ETH_P_IP6) - 1);
    cr_assert_eq(record->bytes[MESSAGE6], 143);
    cr_assert_arr_eq(record->bytes + ETH_SIZE + IP6_SRC, (ip("::").bytes), 16);
    cr_assert_arr_eq(record->bytes + MESSAGE6 + 12, (ip(GROUP6).bytes), 16);
    run(5 * SECOND);
    forget();
    cr_assert_eq(leave(sock, GROUP6, NULL), 0);
    settle();
    cr_assert_str_eq(mld_text(0), "3:0", "now there is one");
}
