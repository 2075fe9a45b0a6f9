/* tests/netstack/test_icmp.c: ICMP of both versions: echo, errors that we cause, errors about what we have sent, and
 * the limit to them. */
#include "ip_world.h"

enum { ECHO4 = 8, ECHO6 = 128, MESSAGE_MAX = 9000 };

static uint8_t data[MESSAGE_MAX];

static void start(void)
{
    fill(data, sizeof(data));
    begin();
}

TestSuite(icmp, .init = start, .fini = end);

/* A message with its checksum; body is the data's beginning. */
static uint8_t *message4(uint8_t type, uint8_t code, uint32_t word, uint32_t size)
{
    static uint8_t message[MESSAGE_MAX];

    memcpy(message + 8, data, size);
    message[0] = type;
    message[1] = code;
    put32(message + 4, word);
    finish_icmp4(message, 8 + size);
    return message;
}

static struct spec icmp4(uint8_t type, uint8_t code, uint32_t word, uint32_t size)
{
    struct spec spec = {.protocol = PAL_IPPROTO_ICMP, .payload = message4(type, code, word, size), .size = 8 + size};

    return spec;
}

static struct spec icmp6(uint8_t type, uint8_t code, uint32_t word, uint32_t size, struct ip dst)
{
    uint8_t *message = message4(type, code, word, size);
    struct spec spec = {.protocol = PAL_IPPROTO_ICMPV6, .payload = message, .size = 8 + size, .dst = dst};

    finish_icmp6(message, 8 + size, PEER6, dst);
    return spec;
}

/* ---- echo ---- */

/* icmp.echo, icmp.echo-src */
Test(icmp, echo_is_answered_with_the_same_data_from_the_same_address)
{
    static const uint32_t sizes[] = {0, 1, 56, 1472};
    struct ip second = ip_of_number(0x0a000005);
    struct spec spec;

    cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &second, 24), 0);
    for (uint32_t i = 0; i < 4; i++) {
        spec = icmp4(ECHO4, 0, 0xabcd0001, sizes[i]);
        spec.dst = i % 2 == 0 ? OUR4 : second;
        spec.tos = 0x2b;
        inject4(&spec);
        cr_assert_eq(wire.count, i + 1);
        cr_assert_eq(last()[IP4_SIZE], 0);
        cr_assert_eq(get32(last() + IP4_SIZE + 4), 0xabcd0001);
        cr_assert_eq(get16(last() + IP4_TOTAL), IP4_SIZE + 8 + sizes[i]);
        cr_assert_eq(last()[IP4_TOS], 0x28);
        cr_assert_arr_eq(last() + IP4_SIZE + 8, data, sizes[i]);
        cr_assert_arr_eq(last() + IP4_SRC, ip_v4_bytes(&spec.dst), 4);
        cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, last() + IP4_SIZE, 8 + sizes[i])), 0xffff);
    }
}

/* icmp.echo with fragments both ways: 8,000 bytes */
Test(icmp, a_large_echo_comes_and_goes_in_pieces)
{
    const uint8_t *message = message4(ECHO4, 0, 1, 8000);
    uint32_t offset = 0;

    for (uint32_t from = 0; from < 8008; from += 1480) {
        struct spec piece = {.protocol = PAL_IPPROTO_ICMP, .id = 3, .payload = message + from};

        piece.size = 8008 - from < 1480 ? 8008 - from : 1480;
        piece.fragment = (uint16_t)(from / 8 | (from + piece.size < 8008 ? IP4_MF : 0));
        inject4(&piece);
    }
    cr_assert_eq(wire.count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        const uint8_t *at = wire.records[i].bytes + ETH_SIZE;
        uint32_t size = get16(at + IP4_TOTAL) - IP4_SIZE, skip = i == 0 ? 8 : 0;

        cr_assert_arr_eq(at + IP4_SIZE + skip, message + offset + skip, size - skip);
        offset += size;
    }
    cr_assert_eq(offset, 8008);
    cr_assert_eq(pal__n_loopback_used(stack), 0);
}

/* icmp.echo-bcast, icmp.checksum, icmp.timestamp-mask, tcp.rfc9293.MUST-55, ip4.redirect */
Test(icmp, what_is_not_to_be_answered_is_not)
{
    static const uint8_t types[] = {0, 4, 5, 9, 10, 13, 14, 15, 17, 30, 255};
    struct spec spec = icmp4(ECHO4, 0, 1, 56);

    spec.dst = ip_of_number(0x0a0000ff);
    inject4(&spec);
    spec.dst = ip_of_number(0xe0000001);
    inject4(&spec);
    spec.dst = OUR4;
    spec.mac = all_macs;
    inject4(&spec);
    cr_assert_eq(counter(COUNTER_icmp_drop_broadcast), 3);
    spec = icmp4(ECHO4, 0, 1, 56);
    put_on_wire(&spec, ETH_P_IP4);
    wire.inbox[0]->data[ETH_SIZE + IP4_SIZE + 20] ^= 4;
    run(0);
    cr_assert_eq(counter(COUNTER_icmp_drop_checksum), 1);
    spec.size = 7;
    inject4(&spec);
    cr_assert_eq(counter(COUNTER_icmp_drop_short), 1);
    for (unsigned i = 0; i < sizeof(types); i++) {
        spec = icmp4(types[i], 0, 1, 56);
        inject4(&spec);
    }
    cr_assert_eq(counter(COUNTER_icmp_drop_type), sizeof(types));
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(spy.error_count, 0);
}

/* icmp6.echo, icmp6.checksum, icmp6.unknown-info */
Test(icmp, ip6_echo_is_answered_from_an_address_of_ours)
{
    struct spec spec = icmp6(ECHO6, 0, 7, 56, OUR6);
    struct ip own = OUR6;

    inject6(&spec);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP6_SIZE], 129);
    cr_assert_arr_eq(last() + IP6_SRC, own.bytes, 16);
    cr_assert_arr_eq(last() + IP6_SIZE + 8, data, 56);
    cr_assert(checksum6_is_right(last()));
    spec = icmp6(ECHO6, 0, 7, 56, ip6(0xff02, 1));
    inject6(&spec);
    cr_assert_eq(wire.count, 2);
    cr_assert_arr_eq(last() + IP6_SRC, own.bytes, 16);
    cr_assert(checksum6_is_right(last()));
    spec = icmp6(ECHO6, 0, 7, 56, OUR6);
    put_on_wire(&spec, ETH_P_IP6);
    wire.inbox[0]->data[ETH_SIZE + IP6_SIZE + 20] ^= 4;
    run(0);
    cr_assert_eq(counter(COUNTER_icmp6_drop_checksum), 1);
    spec = icmp6(200, 0, 7, 56, OUR6);
    inject6(&spec);
    cr_assert_eq(counter(COUNTER_icmp6_drop_type), 1);
    cr_assert_eq(wire.count, 2);
}

/* A small answer in a large frame goes in one of the port's; a link-local address is answered on its link. */
Test(icmp, echo_of_a_small_datagram_in_pieces_and_of_a_link_local_address)
{
    const uint8_t *message = message4(ECHO4, 0, 1, 56);
    struct spec piece = {.protocol = PAL_IPPROTO_ICMP, .id = 3, .payload = message, .fragment = IP4_MF, .size = 32};
    struct ip own = eth->addrs[0].ip, peer = PEER_LINK6;
    uint8_t echo[16] = {ECHO6, 0, 0, 0, 0, 9, 0, 1};
    struct spec spec = {.protocol = PAL_IPPROTO_ICMPV6, .src = peer, .dst = own, .payload = echo, .size = 16};

    inject4(&piece);
    piece.fragment = 4;
    piece.payload = message + 32;
    inject4(&piece);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last_size(), IP4_SIZE + 64);
    cr_assert(ip_is_link_local(&own));
    finish_icmp6(echo, 16, peer, own);
    inject6(&spec);
    cr_assert_eq(wire.count, 2);
    cr_assert_arr_eq(last() + IP6_SRC, own.bytes, 16);
    cr_assert_arr_eq(last() + IP6_DST, peer.bytes, 16);
}

/* ---- errors that we send ---- */

/* icmp.unreach-port */
Test(icmp, a_closed_port_is_unreachable)
{
    struct spec spec = {.payload = data, .size = 1000, .tos = 8};

    spy.refuse = true;
    inject4(&spec);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP4_SIZE], 3);
    cr_assert_eq(last()[IP4_SIZE + 1], 3);
    cr_assert_eq(last_size(), 576);
    cr_assert_eq(get16(last() + IP4_SIZE + 8 + IP4_TOTAL), 1020);
    cr_assert_arr_eq(last() + IP4_SIZE + 8 + IP4_SIZE, data, 528);
    cr_assert_eq(pal__n_checksum_fold(pal__n_checksum_add(0, last() + IP4_SIZE, 556)), 0xffff);
}

/* icmp.no-error-for */
Test(icmp, no_error_about_groups_errors_and_later_fragments)
{
    struct spec spec = {.payload = data, .size = 100};

    spy.refuse = true;
    spec.mac = all_macs;
    inject4(&spec);
    spec.dst = ip_of_number(0x0a0000ff);
    inject4(&spec);
    spec.dst = ip_of_number(0xe0000001);
    inject4(&spec);
    spec.src = ip_of_number(0);
    spec.dst = ip_of_number(0xffffffff);
    inject4(&spec);
    cr_assert_eq(spy.count, 4);
    cr_assert_eq(wire.count, 0);
    spec = icmp4(3, 3, 0, 60); /* quotes nothing of ours */
    spec.fragment = IP4_MF;
    spec.size = 64;
    spec.id = 9;
    inject4(&spec);
    run(61 * SECOND);
    cr_assert_eq(counter(COUNTER_frag_timeout), 1);
    cr_assert_eq(wire.count, 0);
}

/* icmp6.unreach-port */
Test(icmp, an_ip6_error_is_at_most_1280_bytes)
{
    struct spec spec = {.payload = data, .size = 1400};

    spy.refuse = true;
    inject6(&spec);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last_size(), 1280);
    cr_assert_eq(last()[IP6_SIZE], 1);
    cr_assert_eq(last()[IP6_SIZE + 1], 4);
    cr_assert(checksum6_is_right(last()));
    cr_assert_arr_eq(last() + IP6_SIZE + 8 + IP6_SIZE, data, 1280 - 88);
}

/* icmp6.no-error-for */
Test(icmp, no_ip6_error_about_groups_and_errors)
{
    uint8_t header[8] = {PAL_IPPROTO_ICMPV6, 0, 0xbe, 4, 0, 0, 0, 0};
    struct spec spec = {.payload = data, .size = 100, .dst = ip6(0xff02, 1)};

    spy.refuse = true;
    inject6(&spec);
    spec.dst = OUR6;
    spec.mac = all_macs;
    inject6(&spec);
    cr_assert_eq(spy.count, 2);
    for (unsigned type = 1; type < 256; type += type == 4 ? 133 : 1) { /* 1-4, 137, and what may be answered */
        spec = icmp6((uint8_t)type, 0, 0, 60, OUR6);
        spec.options = header;
        spec.options_size = 8;
        spec.protocol = IP6_NEXT_DSTOPTS;
        inject6(&spec);
        if (type == 137)
            break;
    }
    cr_assert_eq(counter(COUNTER_ip6_drop_option), 5);
    cr_assert_eq(wire.count, 0);
    spec = icmp6(ECHO6, 0, 0, 60, OUR6);
    spec.options = header;
    spec.options_size = 8;
    spec.protocol = IP6_NEXT_DSTOPTS;
    inject6(&spec);
    cr_assert_eq(wire.count, 1);
}

/* icmp.ratelimit, icmp6.ratelimit */
Test(icmp, errors_are_limited_in_all_and_for_each_destination)
{
    struct spec spec = {.payload = data, .size = 40};
    uint32_t first;

    spy.refuse = true;
    for (int i = 0; i < 1000; i++)
        inject4(&spec);
    first = wire.count;
    cr_assert_geq(first, 10);
    cr_assert_leq(first, 20);
    cr_assert_eq(counter(COUNTER_icmp_limited), 1000 - first);
    for (int i = 0; i < 1000; i++) { /* a second */
        inject4(&spec);
        run(MS);
    }
    cr_assert_geq(wire.count - first, 90);
    cr_assert_leq(wire.count - first, 101);
    run(SECOND);
    wire.count = 0;
    for (uint32_t i = 0; i < 1000; i++) { /* many destinations: no neighbours, so it is counted before */
        spec.src = ip_of_number(0x0a000010 + i % 200);
        inject4(&spec);
    }
    cr_assert_leq(counter(COUNTER_icmp_out), first + 101 + 50);
}

/* A stack that begins at time 0 answers at once. */
Test(icmp, the_limit_begins_full)
{
    struct ip to = PEER4;

    stack->now_ns = 0;
    memset(&stack->icmp_limit, 0, sizeof(stack->icmp_limit));
    cr_assert(pal__n_icmp_may_send(stack, &to));
    cr_assert(pal__n_icmp_may_send(stack, &to));
    stack->now_ns = now_ns;
}

/* ---- errors about what we have sent ---- */

/* Makes the data what an error quotes: a packet of ours with eight bytes of transport behind size bytes of header. */
static uint32_t quote4(struct ip local, struct ip remote, uint8_t protocol)
{
    struct spec spec = {.src = local, .dst = remote, .protocol = protocol, .size = 1480};
    uint32_t size = write_ip4(data, &spec);

    memcpy(data + size, "\x11\x22\x33\x44TEST", 8);
    return size + 8;
}

static uint32_t quote6(struct ip local, struct ip remote, uint8_t protocol, const uint8_t *headers, uint32_t size)
{
    struct spec spec = {.src = local, .dst = remote, .protocol = protocol, .bare = true, .size = 100};
    uint32_t all;

    spec.options = headers;
    spec.options_size = size;
    all = write_ip6(data, &spec);
    memcpy(data + all, "\x11\x22\x33\x44TEST", 8);
    return all + 8;
}

/* tcp.rfc9293.MUST-54, MUST-56, icmp.unreach-demux */
Test(icmp, errors_reach_the_transport_by_what_they_quote)
{
    static const struct {
        uint8_t type, code;
        uint16_t mtu, mtu_told;
        int error;
        bool is_hard;
    } cases[] = {
        {3, 0, 0, 0, PAL_ENETUNREACH, false},    {3, 1, 0, 0, PAL_EHOSTUNREACH, false},
        {3, 2, 0, 0, PAL_ENOPROTOOPT, true},     {3, 3, 0, 0, PAL_ECONNREFUSED, true},
        {3, 4, 1400, 1400, PAL_EMSGSIZE, false}, {3, 4, 0, 1492, PAL_EMSGSIZE, false},
        {3, 5, 0, 0, PAL_EOPNOTSUPP, false},     {3, 13, 0, 0, PAL_EHOSTUNREACH, false},
        {3, 99, 0, 0, PAL_EHOSTUNREACH, false},  {11, 0, 0, 0, PAL_EHOSTUNREACH, false},
        {12, 0, 0, 0, PAL_EPROTO, false},
    };
    struct ip own = OUR4, peer = PEER4;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t protocol = i % 2 == 0 ? PAL_IPPROTO_TCP : PAL_IPPROTO_UDP;
        struct spec spec = icmp4(cases[i].type, cases[i].code, cases[i].mtu, quote4(own, peer, protocol));

        spec.src = ip_of_number(0x08080808);
        inject4(&spec);
        cr_assert_eq(spy.error_count, i + 1);
        cr_assert_eq(spy.error_protocol, protocol);
        cr_assert_eq(spy.error.error, cases[i].error);
        cr_assert_eq(spy.error.is_hard, cases[i].is_hard);
        cr_assert_eq(spy.error.mtu, cases[i].mtu_told);
        cr_assert_eq(spy.error.type, cases[i].type);
        cr_assert(ip_equal(&spy.error.local, &own) && ip_equal(&spy.error.remote, &peer));
        cr_assert(ip_equal(&spy.error.offender, &spec.src));
        cr_assert_eq(spy.error.quote_size, 8);
        cr_assert_arr_eq(spy.quote, "\x11\x22\x33\x44TEST", 8);
    }
}

static void assert_quote_is_refused(uint32_t size)
{
    uint64_t before = counter(COUNTER_icmp_drop_quote);
    struct spec spec = icmp4(3, 3, 0, size);

    inject4(&spec);
    cr_assert_eq(counter(COUNTER_icmp_drop_quote), before + 1);
    cr_assert_eq(spy.error_count, 0);
}

/* icmp.unreach-demux, icmp.quote-hostile */
Test(icmp, quotes_that_are_not_ours_or_cut_off_are_ignored)
{
    uint32_t size = quote4(OUR4, PEER4, PAL_IPPROTO_UDP);

    for (uint32_t shorter = 0; shorter < size; shorter++)
        assert_quote_is_refused(shorter);
    quote4(OUR4, PEER4, PAL_IPPROTO_ICMP);
    assert_quote_is_refused(size);
    quote4(PEER4, OUR4, PAL_IPPROTO_UDP);
    assert_quote_is_refused(size);
    quote4(OUR4, OUR4, PAL_IPPROTO_UDP); /* nobody outside has seen that */
    assert_quote_is_refused(size);
    quote4(ip_of_number(0x7f000001), ip_of_number(0x7f000001), PAL_IPPROTO_UDP);
    assert_quote_is_refused(size);
    quote4(OUR4, PEER4, PAL_IPPROTO_UDP);
    put16(data + IP4_FRAGMENT, 1);
    assert_quote_is_refused(size);
    quote4(OUR4, PEER4, PAL_IPPROTO_UDP);
    data[0] = 0x46; /* an option where the ports were */
    assert_quote_is_refused(size);
    data[0] = 0x44;
    assert_quote_is_refused(size);
    data[0] = 0x65;
    assert_quote_is_refused(60);
}

/* icmp6.to-socket, icmp6.ptb-udp, icmp6.unknown-info */
Test(icmp, ip6_errors_reach_the_transport_by_what_they_quote)
{
    static const uint8_t headers[] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1, 1, 2, 3, 4};
    static const struct {
        uint8_t type, code;
        uint32_t word, mtu;
        int error;
        bool is_hard;
    } cases[] = {
        {1, 0, 0, 0, PAL_ENETUNREACH, false},    {1, 1, 0, 0, PAL_EACCES, false},
        {1, 3, 0, 0, PAL_EHOSTUNREACH, false},   {1, 4, 0, 0, PAL_ECONNREFUSED, true},
        {2, 0, 1300, 1300, PAL_EMSGSIZE, false}, {3, 0, 0, 0, PAL_EHOSTUNREACH, false},
        {4, 0, 0, 0, PAL_EPROTO, false},         {4, 1, 6, 0, PAL_EPROTO, true},
        {50, 0, 0, 0, PAL_EPROTO, false},
    };
    struct ip own = OUR6, peer = PEER6;
    struct spec spec;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t size = quote6(own, peer, IP6_NEXT_HOPOPTS, headers, sizeof(headers));

        spec = icmp6(cases[i].type, cases[i].code, cases[i].word, size, OUR6);
        inject6(&spec);
        cr_assert_eq(spy.error_count, i + 1);
        cr_assert_eq(spy.error_protocol, PAL_IPPROTO_TCP);
        cr_assert_eq(spy.error.error, cases[i].error);
        cr_assert_eq(spy.error.is_hard, cases[i].is_hard);
        cr_assert_eq(spy.error.mtu, cases[i].mtu);
        cr_assert(ip_equal(&spy.error.local, &own) && ip_equal(&spy.error.remote, &peer));
        cr_assert_arr_eq(spy.quote, "\x11\x22\x33\x44TEST", 8);
    }
    spec = icmp6(2, 0, 1279, quote6(own, peer, PAL_IPPROTO_UDP, NULL, 0), OUR6);
    inject6(&spec);
    cr_assert_eq(counter(COUNTER_icmp6_drop_mtu), 1);
    for (uint32_t size = 0; size < 48; size++) {
        spec = icmp6(1, 4, 0, size, OUR6);
        inject6(&spec);
    }
    spec = icmp6(1, 4, 0, quote6(peer, own, PAL_IPPROTO_UDP, NULL, 0), OUR6);
    inject6(&spec);
    cr_assert_eq(counter(COUNTER_icmp6_drop_quote), 49);
    cr_assert_eq(spy.error_count, sizeof(cases) / sizeof(cases[0]));
}

/* What cannot be delivered on the link comes back in the same way. */
Test(icmp, a_neighbour_that_does_not_answer_is_told_to_the_transport)
{
    struct ip to = ip_of_number(0x0a000077);
    struct ip_send how = {.to = to, .src = OUR4, .protocol = PAL_IPPROTO_UDP};
    struct frame *frame;
    int error;

    how.dst = pal__n_dst_get(stack, &to, 0, &error);
    frame = pal__n_ip_frame(stack, how.dst, 40);
    memcpy(frame->data, "\x11\x22\x33\x44TEST", 8);
    frame->size = 40;
    cr_assert_eq(pal__n_ip_send(stack, &how, frame), 0);
    run(5 * SECOND);
    pal__n_dst_put(stack, how.dst);
    cr_assert_eq(spy.error_count, 1);
    cr_assert_eq(spy.error.error, PAL_EHOSTUNREACH);
    cr_assert(ip_equal(&spy.error.remote, &to));
    cr_assert_eq(spy.error.quote_size, 40);
}
