/* tests/netstack/test_ip.c: the headers of both versions: what is taken, what is dropped without a word, what is
 * answered, and how packets leave. */
#include "ip_world.h"

static uint8_t data[2048];

static void start(void)
{
    fill(data, sizeof(data));
    begin();
}

TestSuite(ip, .init = start, .fini = end);

/* Is dropped with exactly this reason, and nothing is said. */
static void assert_dropped4(const struct spec *spec, enum netstack_counter reason)
{
    uint64_t before = counter(reason);
    uint32_t seen = spy.count;

    inject4(spec);
    cr_assert_eq(counter(reason), before + 1, "%s", pal__n_counter_name((int)reason));
    cr_assert_eq(spy.count, seen);
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(wire.frames.pool.used, 0);
}

static void assert_dropped6(const struct spec *spec, enum netstack_counter reason)
{
    uint64_t before = counter(reason);
    uint32_t seen = spy.count;

    inject6(spec);
    cr_assert_eq(counter(reason), before + 1, "%s", pal__n_counter_name((int)reason));
    cr_assert_eq(spy.count, seen);
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(wire.frames.pool.used, 0);
}

/* Is dropped and answered by a parameter problem. */
static void assert_problem(const struct spec *spec, uint8_t code, uint32_t pointer)
{
    uint32_t seen = spy.count;

    inject6(spec);
    cr_assert_eq(spy.count, seen);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP6_NEXT], PAL_IPPROTO_ICMPV6);
    cr_assert_eq(last()[IP6_SIZE], ICMP6_PARAMETER_PROBLEM);
    cr_assert_eq(last()[IP6_SIZE + 1], code);
    cr_assert_eq(get32(last() + IP6_SIZE + 4), pointer);
    cr_assert(checksum6_is_right(last()));
    wire.count = 0;
    run(SECOND); /* the limit fills up again */
}

static struct spec udp(void)
{
    struct spec spec = {.payload = data, .size = 40};

    return spec;
}

/* ---- IPv4 ---- */

Test(ip, ip4_padding_of_the_link_is_cut_off)
{
    struct spec spec = udp();

    spec.size = 9;
    spec.padding = 17;
    spec.hops = 1; /* ip4.ttl-send: a small TTL is none of a host's business */
    spec.tos = 0x48;
    inject4(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, 9);
    cr_assert_arr_eq(spy.bytes, data, 9);
    cr_assert_eq(spy.packet.hops, 1);
    cr_assert_eq(spy.packet.tos, 0x48);
    cr_assert_eq(spy.packet.header_size, IP4_SIZE);
    cr_assert_eq(spy.packet.flags, 0);
}

/* ip4.version-len */
Test(ip, ip4_wrong_versions_and_lengths_are_dropped)
{
    struct spec spec = udp();
    uint8_t bytes[ETH_SIZE + 60] = {0};

    spec.length_by = 1;
    assert_dropped4(&spec, COUNTER_ip4_drop_header);
    spec.length_by = -41;
    assert_dropped4(&spec, COUNTER_ip4_drop_header);
    memcpy(bytes, our_mac, MAC_SIZE);
    memcpy(bytes + ETH_SRC, peer_mac, MAC_SIZE);
    put16(bytes + ETH_TYPE, ETH_P_IP4);
    for (uint8_t first = 0; first < 255; first++) {
        bytes[ETH_SIZE] = first;
        recorder_deliver(&wire, bytes, ETH_SIZE + 19U + first % 2);
        run(0);
    }
    cr_assert_eq(spy.count, 0);
    cr_assert_eq(counter(COUNTER_ip4_drop_header), 2 + 255);
}

/* ip4.checksum */
Test(ip, ip4_wrong_checksums_are_dropped_unless_the_port_has_checked)
{
    struct spec spec = udp();

    for (uint32_t bit = 0; bit < IP4_SIZE * 8; bit += 13) {
        put_on_wire(&spec, ETH_P_IP4);
        wire.inbox[0]->data[ETH_SIZE + bit / 8] ^= (uint8_t)(1 << bit % 8);
        run(0);
        cr_assert_eq(spy.count, 0);
    }
    cr_assert_gt(counter(COUNTER_ip4_drop_checksum), 5);
    put_on_wire(&spec, ETH_P_IP4);
    wire.inbox[0]->data[ETH_SIZE + IP4_CHECKSUM] ^= 1;
    wire.inbox[0]->flags = FRAME_CSUM_GOOD;
    run(0);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.flags, PACKET_CSUM_GOOD);
}

/* ip4.dst-not-ours, ip4.bcast-in */
Test(ip, ip4_takes_what_is_for_us_and_broadcasts)
{
    struct spec spec = udp();

    spec.dst = ip_of_number(0x0a000009);
    assert_dropped4(&spec, COUNTER_ip4_drop_dst);
    spec.dst = ip_of_number(0x7f000001);
    assert_dropped4(&spec, COUNTER_ip4_drop_dst);
    spec.dst = ip_of_number(0xe1010101);
    assert_dropped4(&spec, COUNTER_ip4_drop_dst);
    spec.mac = all_macs;
    spec.dst = ip_of_number(0x0a0000ff);
    inject4(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.flags, PACKET_BROADCAST | PACKET_LINK_GROUP);
    spec.dst = ip_of_number(0xffffffff);
    inject4(&spec);
    cr_assert_eq(spy.count, 2);
    spec.dst = ip_of_number(0xe0000001); /* all hosts: always joined */
    inject4(&spec);
    cr_assert_eq(spy.count, 3);
    cr_assert_eq(spy.packet.flags, PACKET_MULTICAST | PACKET_LINK_GROUP);
    spec.dst = OUR4;
    inject4(&spec); /* tcp.rfc9293.MUST-57: the transport sees how it came */
    cr_assert_eq(spy.packet.flags, PACKET_LINK_GROUP);
}

/* ip4.src-invalid */
Test(ip, ip4_sources_that_cannot_be_one_are_dropped)
{
    static const uint32_t sources[] = {0xe0000001, 0xffffffff, 0x0a0000ff, 0x7f000001, 0x0a000001,
                                       0x00000001, 0x00000000, 0x7fffffff, 0xefffffff};
    struct spec spec = udp();

    for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        spec.src = ip_of_number(sources[i]);
        assert_dropped4(&spec, COUNTER_ip4_drop_src);
    }
    spec.src = ip_of_number(0);
    spec.dst = ip_of_number(0xffffffff);
    inject4(&spec);
    cr_assert_eq(spy.count, 1);
    spec.protocol = PAL_IPPROTO_TCP;
    assert_dropped4(&spec, COUNTER_ip4_drop_src);
}

static void assert_options(const uint8_t *options, uint32_t size, bool taken)
{
    struct spec spec = udp();

    spec.options = options;
    spec.options_size = size;
    if (!taken) {
        assert_dropped4(&spec, COUNTER_ip4_drop_options);
        return;
    }
    inject4(&spec);
    cr_assert_eq(spy.packet.header_size, IP4_SIZE + size);
    cr_assert_eq(spy.size, 40);
    cr_assert_arr_eq(spy.bytes, data, 40);
}

/* ip4.options-in, tcp.rfc9293.MUST-50 */
Test(ip, ip4_options_are_stepped_over)
{
    static const uint8_t unknown[4] = {0x9e, 4, 1, 2}, nops[4] = {1, 1, 1, 0}, ended[8] = {0, 77, 0, 0, 77, 1, 1, 1};
    static const uint8_t none[4] = {0x9e, 0, 0, 0}, one[4] = {0x9e, 1, 0, 0}, past[4] = {0x9e, 5, 0, 0};
    static const uint8_t cut[4] = {1, 1, 1, 0x9e}, alert[4] = {148, 4, 0, 0};

    assert_options(unknown, 4, true);
    assert_options(nops, 4, true);
    assert_options(ended, 8, true);
    assert_options(alert, 4, true);
    cr_assert_eq(spy.packet.flags, PACKET_ROUTER_ALERT);
    cr_assert_eq(spy.count, 4);
    assert_options(none, 4, false);
    assert_options(one, 4, false);
    assert_options(past, 4, false);
    assert_options(cut, 4, false);
}

/* ip4.lsrr-drop, tcp.rfc9293.MUST-53 */
Test(ip, ip4_source_routes_are_dropped)
{
    uint8_t route[8] = {1, 131, 7, 4, 10, 0, 0, 1};
    struct spec spec = udp();

    spec.options = route;
    spec.options_size = 8;
    assert_dropped4(&spec, COUNTER_ip4_drop_source_route);
    route[1] = 137;
    assert_dropped4(&spec, COUNTER_ip4_drop_source_route);
}

/* icmp.proto-unreach */
Test(ip, ip4_unknown_protocols_are_refused)
{
    struct spec spec = udp();

    spec.protocol = PROTOCOL_UNKNOWN;
    inject4(&spec);
    cr_assert_eq(counter(COUNTER_ip4_drop_protocol), 1);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP4_SIZE], 3);
    cr_assert_eq(last()[IP4_SIZE + 1], 2);
}

/* ---- out ---- */

static int send_from(struct ip src, struct ip to, uint32_t via, struct ip_send *how)
{
    struct frame *frame;
    int result = 0;

    how->src = src;
    how->to = to;
    how->protocol = PAL_IPPROTO_UDP;
    how->dst = pal__n_dst_get(stack, &to, via, &result);
    cr_assert_not_null(how->dst);
    frame = pal__n_ip_frame(stack, how->dst, 40);
    cr_assert_not_null(frame);
    memcpy(frame->data, data, 40);
    put16(frame->data + UDP_CHECKSUM, 0x1234); /* as if that were the pseudo-header's sum */
    frame->size = 40;
    frame->flags = FRAME_CSUM_NEEDED;
    frame->csum_offset = UDP_CHECKSUM;
    result = pal__n_ip_send(stack, how, frame);
    pal__n_dst_put(stack, how->dst);
    run(0);
    return result;
}

/* ip4.ttl-send, mcast.ttl1 */
Test(ip, ip4_headers_are_complete)
{
    struct ip_send how = {.tos = 0x20, .dont_fragment = true};

    cr_assert_eq(send_from(OUR4, PEER4, 0, &how), 0);
    cr_assert_eq(wire.count, 1);
    cr_assert_arr_eq(wire.records[0].bytes, peer_mac, MAC_SIZE);
    cr_assert_eq(last()[0], 0x45);
    cr_assert_eq(last()[IP4_TOS], 0x20);
    cr_assert_eq(get16(last() + IP4_TOTAL), 60);
    cr_assert_eq(get16(last() + IP4_FRAGMENT), IP4_DF);
    cr_assert_eq(last()[IP4_TTL], 64);
    cr_assert_eq(last()[IP4_PROTOCOL], PAL_IPPROTO_UDP);
    cr_assert(checksum4_is_right(last()));
    /* The transport's checksum was finished, since the port does not do it. */
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0x1234, last() + IP4_SIZE, 40)), 0xffff);
    how.router_alert = true;
    cr_assert_eq(send_from(OUR4, ip_of_number(0xe0000016), IFINDEX, &how), 0);
    cr_assert_eq(last()[0], 0x46);
    cr_assert_eq(last()[IP4_TTL], 1);
    cr_assert_eq(last()[IP4_SIZE], 148);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, last(), 24)), 0xffff);
}

/* ip4.loop-never-wire */
Test(ip, loopback_addresses_never_leave)
{
    struct ip_send how = {.hops = 0};
    struct ip here4 = ip_of_number(0x7f000001), there4 = ip_of_number(0x7f010203), here6 = ip6(0, 1);

    cr_assert_eq(send_from(here4, there4, 0, &how), 0);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.flags, PACKET_LOOPBACK | PACKET_CSUM_GOOD);
    cr_assert(ip_equal(&spy.packet.dst, &there4));
    cr_assert_eq(send_from(here6, here6, 0, &how), 0);
    cr_assert_eq(send_from(OUR6, OUR6, 0, &how), 0);
    cr_assert_eq(send_from(OUR4, OUR4, 0, &how), 0);
    cr_assert_eq(spy.count, 4);
    cr_assert_eq(send_from(here4, PEER4, 0, &how), PAL_EINVAL);
    cr_assert_eq(send_from(here6, PEER6, 0, &how), PAL_EINVAL);
    cr_assert_eq(wire.count, 0);
}

/* A packet for the port that was written into a large frame is moved to one of the port's. */
Test(ip, only_frames_of_the_port_are_given_to_it)
{
    struct ip_send how = {.to = PEER4, .src = OUR4, .protocol = PAL_IPPROTO_UDP};
    struct ip own = eth->addrs[0].ip;
    struct frame *frame = pal__n_big_frame(stack);
    int error;

    how.dst = pal__n_dst_get(stack, &how.to, 0, &error);
    memcpy(frame->data, data, 100);
    frame->size = 100;
    cr_assert_eq(pal__n_ip_send(stack, &how, frame), 0);
    cr_assert_eq(pal__n_loopback_used(stack), 0);
    pal__n_dst_put(stack, how.dst);
    run(0);
    cr_assert_arr_eq(last() + IP4_SIZE, data, 100);
    how = (struct ip_send){.hops = 0};
    cr_assert_eq(send_from(own, own, IFINDEX, &how), 0); /* to ourselves: on the link where the address is */
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.iface->index, IFINDEX);
    cr_assert_eq(wire.count, 1);
}

/* mcast.loop */
Test(ip, members_here_hear_our_own_multicast_once)
{
    struct ip_send how = {.to_loopback = true};
    struct ip group4 = ip_of_number(0xe0000001), group6 = ip6(0xff02, 1);

    cr_assert_eq(send_from(OUR4, group4, IFINDEX, &how), 0);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.iface->index, IFINDEX);
    cr_assert_eq(spy.packet.flags, PACKET_LOOPBACK | PACKET_CSUM_GOOD | PACKET_MULTICAST | PACKET_LINK_GROUP);
    cr_assert_eq(wire.count, 1);
    recorder_deliver(&wire, wire.records[0].bytes, wire.records[0].size); /* the switch sends it back */
    memcpy(wire.inbox[0]->data + ETH_SRC, peer_mac, MAC_SIZE);
    run(0);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(send_from(OUR6, group6, IFINDEX, &how), 0);
    cr_assert_eq(spy.count, 2);
    how.to_loopback = false;
    cr_assert_eq(send_from(OUR4, group4, IFINDEX, &how), 0);
    cr_assert_eq(spy.count, 2);
    cr_assert_eq(wire.count, 3);
}

Test(ip, ip6_headers_are_complete)
{
    struct ip_send how = {.tos = 0x2c, .hops = 3};

    cr_assert_eq(send_from(OUR6, PEER6, 0, &how), 0);
    cr_assert_eq(get32(last()), 0x62c00000);
    cr_assert_eq(get16(last() + IP6_PAYLOAD), 40);
    cr_assert_eq(last()[IP6_NEXT], PAL_IPPROTO_UDP);
    cr_assert_eq(last()[IP6_HOPS], 3);
    how.router_alert = true;
    how.hops = 0;
    cr_assert_eq(send_from(OUR6, ip6(0xff02, 0x16), IFINDEX, &how), 0);
    cr_assert_eq(get16(last() + IP6_PAYLOAD), 48);
    cr_assert_eq(last()[IP6_NEXT], IP6_NEXT_HOPOPTS);
    cr_assert_eq(last()[IP6_HOPS], 1);
    cr_assert_eq(last()[IP6_SIZE], PAL_IPPROTO_UDP);
    cr_assert_eq(get32(last() + IP6_SIZE + 2), 0x05020000);
    cr_assert_eq(last_size(), 88);
}

/* ---- IPv6 ---- */

/* ip6.version */
Test(ip, ip6_wrong_versions_and_lengths_are_dropped)
{
    struct spec spec = udp();

    spec.padding = 3;
    inject6(&spec);
    cr_assert_eq(spy.size, 40);
    spec.length_by = 4;
    assert_dropped6(&spec, COUNTER_ip6_drop_header);
    spec.length_by = -40; /* a jumbogram, as it were */
    spec.bare = true;
    assert_dropped6(&spec, COUNTER_ip6_drop_header);
    put_on_wire(&spec, ETH_P_IP4);
    wire.inbox[0]->data[ETH_TYPE] = 0x86;
    wire.inbox[0]->data[ETH_TYPE + 1] = 0xdd;
    run(0);
    cr_assert_eq(counter(COUNTER_ip6_drop_header), 3);
}

/* ip6.src-mcast, ip6.mapped-wire */
Test(ip, ip6_sources_that_cannot_be_one_are_dropped)
{
    struct ip sources[] = {ip6(0xff02, 1), ip6(0, 1), OUR6, eth->addrs[0].ip};
    struct spec spec = udp();

    for (unsigned i = 0; i < 3; i++) {
        spec.src = sources[i];
        assert_dropped6(&spec, COUNTER_ip6_drop_src);
    }
    put_on_wire(&spec, ETH_P_IP6);
    memset(wire.inbox[0]->data + ETH_SIZE + IP6_SRC, 0, 16); /* :: is for ND and MLD */
    run(0);
    cr_assert_eq(counter(COUNTER_ip6_drop_src), 4);
    put_on_wire(&spec, ETH_P_IP6);
    memcpy(wire.inbox[0]->data + ETH_SIZE + IP6_SRC, PEER4.bytes, 16);
    run(0);
    cr_assert_eq(counter(COUNTER_ip6_drop_src), 5);
    cr_assert_eq(spy.count, 0);
}

/* ip6.scope */
Test(ip, ip6_takes_what_is_for_us)
{
    struct spec spec = udp();

    spec.dst = ip6(0xfd00, 9);
    assert_dropped6(&spec, COUNTER_ip6_drop_dst);
    spec.dst = ip6(0, 1);
    assert_dropped6(&spec, COUNTER_ip6_drop_dst);
    spec.dst = ip6(0xff02, 0x99);
    assert_dropped6(&spec, COUNTER_ip6_drop_dst);
    spec.dst = ip6(0xff01, 1);
    assert_dropped6(&spec, COUNTER_ip6_drop_dst);
    spec.dst = ip6(0xff00, 1);
    assert_dropped6(&spec, COUNTER_ip6_drop_dst);
    spec.dst = ip6(0xff02, 1);
    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.flags, PACKET_MULTICAST);
}

/* An extension header of eight bytes that is nothing but padding. */
#define PADDED(next) (next), 0, 1, 4, 0, 0, 0, 0

static struct spec with(uint8_t first, const uint8_t *headers, uint32_t size)
{
    struct spec spec = udp();

    spec.protocol = first;
    spec.bare = true;
    spec.options = headers;
    spec.options_size = size;
    return spec;
}

/* ip6.ext-order */
Test(ip, ip6_extension_headers_are_obeyed_in_their_order)
{
    static const uint8_t good[] = {PADDED(60), PADDED(43), 60, 0, 0, 0, 0, 0, 0, 0, PADDED(17)};
    static const uint8_t late[] = {PADDED(0), PADDED(17)};
    struct spec spec = with(IP6_NEXT_HOPOPTS, good, sizeof(good));

    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.header_size, IP6_SIZE + sizeof(good));
    cr_assert_eq(spy.packet.protocol_offset, IP6_SIZE + 24);
    cr_assert_arr_eq(spy.bytes, data, 40);
    spec = with(IP6_NEXT_DSTOPTS, late, sizeof(late));
    assert_problem(&spec, ICMP6_PARAMETER_NEXT, IP6_SIZE);
}

/* ip6.ext-unknown-nh, ip6.nonext */
Test(ip, ip6_ends_at_no_next_header_and_complains_of_unknown_ones)
{
    static const uint8_t before[] = {PADDED(253)};
    struct spec spec = udp();

    spec.protocol = 253;
    assert_problem(&spec, ICMP6_PARAMETER_NEXT, IP6_NEXT);
    spec = with(IP6_NEXT_DSTOPTS, before, sizeof(before));
    assert_problem(&spec, ICMP6_PARAMETER_NEXT, IP6_SIZE);
    spec = udp();
    spec.protocol = IP6_NEXT_NONE;
    assert_dropped6(&spec, COUNTER_ip6_none);
}

/* ip6.ext-limit */
Test(ip, ip6_chains_are_bounded)
{
    uint8_t headers[100][8];
    struct spec spec = with(IP6_NEXT_DSTOPTS, headers[0], IP6_HEADERS_MAX * 8);

    for (unsigned i = 0; i < 100; i++) {
        static const uint8_t one[8] = {PADDED(IP6_NEXT_DSTOPTS)};

        memcpy(headers[i], one, 8);
    }
    headers[IP6_HEADERS_MAX - 1][0] = PAL_IPPROTO_UDP;
    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    headers[IP6_HEADERS_MAX - 1][0] = IP6_NEXT_DSTOPTS;
    headers[IP6_HEADERS_MAX][0] = PAL_IPPROTO_UDP;
    spec.options_size = (IP6_HEADERS_MAX + 1) * 8; /* one too many */
    assert_dropped6(&spec, COUNTER_ip6_drop_extension);
    headers[IP6_HEADERS_MAX][0] = IP6_NEXT_DSTOPTS;
    spec.options_size = sizeof(headers);
    assert_dropped6(&spec, COUNTER_ip6_drop_extension);
}

/* ip6.opt-action */
Test(ip, ip6_unknown_options_say_what_is_to_be_done)
{
    uint8_t header[8] = {17, 0, 0, 4, 1, 2, 3, 4};
    struct spec spec = with(IP6_NEXT_DSTOPTS, header, 8), group;

    group = spec;
    group.dst = ip6(0xff02, 1);
    header[2] = 0x3e;
    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    header[2] = 0x7e;
    assert_dropped6(&spec, COUNTER_ip6_drop_option);
    header[2] = 0xbe;
    assert_problem(&spec, ICMP6_PARAMETER_OPTION, IP6_SIZE + 2);
    assert_problem(&group, ICMP6_PARAMETER_OPTION, IP6_SIZE + 2);
    header[2] = 0xfe;
    assert_problem(&spec, ICMP6_PARAMETER_OPTION, IP6_SIZE + 2);
    assert_dropped6(&group, COUNTER_ip6_drop_option);
}

/* ip6.opt-bounds, ip6.pad */
Test(ip, ip6_options_stay_within_their_header)
{
    uint8_t past[8] = {17, 0, 0x3e, 5, 0, 0, 0, 0}, cut[8] = {17, 0, 1, 3, 0, 0, 0, 0x3e};
    uint8_t dirty[8] = {17, 0, 1, 4, 0, 1, 0, 0}, more[16] = {17, 1, 1, 12}, whole[8] = {17, 40};
    struct {
        uint8_t *header;
        uint32_t size;
    } wrong[] = {{past, 8}, {cut, 8}, {dirty, 8}, {more, 16}, {whole, 8}, {past, 4}};

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct spec spec = with(IP6_NEXT_DSTOPTS, wrong[i].header, wrong[i].size);

        if (wrong[i].size == 4)
            spec.size = 0;
        assert_dropped6(&spec, COUNTER_ip6_drop_extension);
    }
}

/* ip6.rh0, ip6.rh-unknown */
Test(ip, ip6_routing_headers_with_somewhere_to_go_are_refused)
{
    uint8_t header[8] = {17, 0, 0, 1, 0, 0, 0, 0};
    struct spec spec = with(IP6_NEXT_ROUTING, header, 8);

    assert_problem(&spec, ICMP6_PARAMETER_HEADER, IP6_SIZE + 2);
    header[2] = 200;
    assert_problem(&spec, ICMP6_PARAMETER_HEADER, IP6_SIZE + 2);
    header[3] = 0;
    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    header[2] = 0;
    inject6(&spec);
    cr_assert_eq(spy.count, 2);
}

/* Whatever stands in the headers, nothing is read that was not received (AddressSanitizer watches). */
Test(ip, random_headers_do_no_harm)
{
    uint8_t headers[64];
    struct random random;

    pal__n_random_seed(&random, 5);
    for (int i = 0; i < 20000; i++) {
        static const uint8_t kinds[] = {0, 43, 44, 60, 58, 17, 59};
        uint32_t size = pal__n_random_below(&random, 8) * 8;
        struct spec spec = with(kinds[pal__n_random_below(&random, 4)], headers, size);

        for (uint32_t at = 0; at < sizeof(headers); at++)
            headers[at] = (uint8_t)pal__n_random_below(&random, at % 8 == 1 ? 3 : 256);
        for (uint32_t at = 0; at < sizeof(headers); at += 8)
            headers[at] = kinds[pal__n_random_below(&random, 7)];
        spec.size = pal__n_random_below(&random, 16);
        inject6(&spec);
        spec.options_size = size < 40 ? size : 40;
        spec.protocol = kinds[pal__n_random_below(&random, 6)];
        inject4(&spec);
        wire.count = 0;
    }
    run(70 * SECOND);
    cr_assert_eq(wire.frames.pool.used, 0);
}
