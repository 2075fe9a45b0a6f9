/* tests/netstack/test_frag.c: fragments of both versions, joined and cut, and what their senders may not do. */
#include "ip_world.h"

enum { PIECES_OF_FLOOD = 3000 };

static uint8_t datagram[IP_SIZE_MAX + 64];

/* Bytes from .. from + size of the datagram as a fragment from PEER4. */
static void piece_of(uint16_t id, uint32_t from, uint32_t size, bool more, struct ip src)
{
    struct spec spec = {.id = id, .payload = datagram + from, .size = size, .src = src};

    spec.fragment = (uint16_t)(from / 8 | (more ? IP4_MF : 0));
    put_on_wire(&spec, ETH_P_IP4);
    if (wire.inbox_count == INBOX_MAX)
        run(0);
}

static void piece(uint16_t id, uint32_t from, uint32_t size, bool more)
{
    piece_of(id, from, size, more, PEER4);
    run(0);
}

static void piece6(uint32_t id, uint32_t from, uint32_t size, bool more)
{
    uint8_t header[8] = {PAL_IPPROTO_UDP};
    struct spec spec = {.protocol = IP6_NEXT_FRAGMENT, .options = header, .options_size = sizeof(header)};

    put16(header + 2, from | (more ? 1 : 0));
    put32(header + 4, id);
    spec.payload = datagram + from;
    spec.size = size;
    inject6(&spec);
}

static void start(void)
{
    fill(datagram, sizeof(datagram));
    begin();
}

static void assert_nothing_is_kept(void)
{
    cr_assert_eq(pal__n_frag_sets_used(stack), 0);
    cr_assert_eq(pal__n_frag_frames_used(stack), 0);
    cr_assert_eq(pal__n_loopback_used(stack), 0);
    cr_assert_eq(wire.frames.pool.used, 0);
}

TestSuite(frag, .init = start, .fini = end);

/* ip4.reass.order */
Test(frag, all_orders_of_four_make_one_datagram)
{
    static const uint8_t orders[24][4] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1}, {1, 0, 2, 3}, {1, 0, 3, 2},
        {1, 2, 0, 3}, {1, 2, 3, 0}, {1, 3, 0, 2}, {1, 3, 2, 0}, {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3}, {2, 1, 3, 0},
        {2, 3, 0, 1}, {2, 3, 1, 0}, {3, 0, 1, 2}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0}};

    for (uint16_t i = 0; i < 24; i++) {
        for (unsigned k = 0; k < 4; k++) {
            uint32_t from = orders[i][k] * 80U;

            cr_assert_eq(spy.count, i);
            piece(i, from, from == 240 ? 33 : 80, from != 240);
            if (k < 3)
                piece(i, from, from == 240 ? 33 : 80, from != 240); /* and each twice */
        }
        cr_assert_eq(spy.count, i + 1U);
        cr_assert_eq(spy.size, 273);
        cr_assert_arr_eq(spy.bytes, datagram, 273);
        cr_assert_eq(spy.packet.flags & PACKET_REASSEMBLED, PACKET_REASSEMBLED);
        assert_nothing_is_kept();
    }
    cr_assert_eq(counter(COUNTER_frag_done), 24);
    cr_assert_eq(counter(COUNTER_frag_duplicate), 72);
}

/* ip4.reass.min */
Test(frag, the_largest_datagram_is_put_together)
{
    enum { LARGEST = IP_SIZE_MAX - IP4_SIZE, STEP = 1480 };

    for (uint32_t from = 0; from < LARGEST; from += STEP)
        piece(1, from, LARGEST - from < STEP ? LARGEST - from : STEP, LARGEST - from > STEP);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, LARGEST);
    cr_assert_arr_eq(spy.bytes, datagram, LARGEST);
    assert_nothing_is_kept();
}

/* ip4.reass.overlap: and of later pieces too, until the set's time is over */
Test(frag, an_overlap_discards_the_datagram_and_what_still_comes_of_it)
{
    piece(1, 0, 80, true);
    piece(1, 72, 80, true);
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 1);
    cr_assert_eq(pal__n_frag_frames_used(stack), 0);
    piece(1, 0, 80, true);
    piece(1, 80, 40, false);
    cr_assert_eq(counter(COUNTER_frag_drop_late), 2);
    cr_assert_eq(spy.count, 0);
    run(60 * SECOND);
    assert_nothing_is_kept();
    cr_assert_eq(wire.count, 0);
    piece(1, 0, 80, true);
    piece(1, 80, 40, false);
    cr_assert_eq(spy.count, 1);
}

Test(frag, every_kind_of_overlap_is_found)
{
    static const uint16_t ranges[][2] = {{160, 240}, {152, 168}, {232, 248}, {168, 176}, {152, 248}, {160, 232}};

    for (uint16_t i = 0; i < 6; i++) {
        piece(i, 160, 80, true);
        if (i == 0)
            datagram[170] ^= 1; /* the same place, other bytes */
        piece(i, ranges[i][0], ranges[i][1] - ranges[i][0], true);
        cr_assert_eq(counter(COUNTER_frag_drop_overlap), i + 1U, "overlap %u", i);
    }
    piece(100, 160, 80, true);
    piece(100, 80, 80, true);
    piece(100, 240, 80, true);
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 6);
}

/* ip4.reass.last-twice */
Test(frag, what_contradicts_the_end_discards_the_datagram)
{
    piece(1, 1600, 400, false);
    piece(1, 2000, 1000, false); /* another end */
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 1);
    piece(2, 800, 80, false);
    piece(2, 880, 80, true); /* more behind the end */
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 2);
    piece(3, 880, 80, true);
    piece(3, 800, 80, false); /* the end before what is there */
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 3);
    piece(4, 80, 80, true);
    piece(4, 80, 80, false); /* the end after all */
    cr_assert_eq(counter(COUNTER_frag_drop_overlap), 4);
    cr_assert_eq(spy.count, 0);
}

/* ip4.reass.key */
Test(frag, the_key_is_source_destination_protocol_and_identification)
{
    struct spec other = {.id = 1, .fragment = 10, .payload = datagram + 80, .size = 40, .protocol = PROTOCOL_UNKNOWN};

    piece(1, 0, 80, true);
    inject4(&other);
    piece(2, 80, 40, false);
    piece_of(1, 80, 40, false, ip_of_number(0x0a000003));
    run(0);
    cr_assert_eq(spy.count, 0);
    cr_assert_eq(pal__n_frag_sets_used(stack), 4);
    piece(1, 80, 40, false);
    cr_assert_eq(spy.count, 1);
}

/* ip4.reass.bounds, len8, zero-len */
Test(frag, impossible_lengths_are_dropped)
{
    struct spec large = {.id = 1, .fragment = 8191, .payload = datagram, .size = 100};

    inject4(&large);
    piece(1, 0, 13, true);
    piece(1, 0, 0, true);
    piece(1, 80, 0, false);
    cr_assert_eq(counter(COUNTER_frag_drop_invalid), 4);
    assert_nothing_is_kept();
}

/* ip4.reass.tiny */
Test(frag, the_smallest_attacks_on_filters_are_dropped)
{
    struct spec spec = {.id = 1, .fragment = 1, .payload = datagram, .size = 40, .protocol = PAL_IPPROTO_TCP};

    inject4(&spec);
    spec.fragment = IP4_MF;
    spec.size = 8;
    inject4(&spec);
    cr_assert_eq(counter(COUNTER_frag_drop_invalid), 2);
    assert_nothing_is_kept();
}

/* ip4.reass.timeout */
Test(frag, an_incomplete_set_dies_sixty_seconds_after_its_first_piece)
{
    piece(1, 0, 80, true);
    run(50 * SECOND);
    piece(1, 160, 80, true);
    run(10 * SECOND - MS);
    cr_assert_eq(pal__n_frag_sets_used(stack), 1);
    cr_assert_eq(wire.count, 0);
    run(MS);
    assert_nothing_is_kept();
    cr_assert_eq(counter(COUNTER_frag_timeout), 1);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP4_SIZE], 11);
    cr_assert_eq(last()[IP4_SIZE + 1], 1);
    cr_assert_eq(last_size(), IP4_SIZE + 8 + IP4_SIZE + 80);
    cr_assert_eq(get16(last() + IP4_SIZE + 8 + IP4_FRAGMENT), IP4_MF); /* the fragment itself */
    cr_assert_arr_eq(last() + IP4_SIZE + 8 + IP4_SIZE, datagram, 80);
}

Test(frag, nobody_is_told_of_a_set_without_its_beginning)
{
    piece(1, 80, 80, true);
    run(61 * SECOND);
    cr_assert_eq(counter(COUNTER_frag_timeout), 1);
    cr_assert_eq(wire.count, 0);
}

/* ip4.reass.limit */
Test(frag, a_flood_from_one_source_leaves_others_alone)
{
    for (uint32_t i = 0; i < PIECES_OF_FLOOD; i++) {
        piece_of((uint16_t)i, 0, 80, true, ip_of_number(0x0a000003));
        if (i == 10)
            piece(7, 0, 80, true);
    }
    run(0);
    cr_assert_leq(pal__n_frag_sets_used(stack), 17);
    cr_assert_leq(pal__n_frag_frames_used(stack), 257);
    piece(7, 80, 40, false);
    cr_assert_eq(spy.count, 1);
}

Test(frag, a_flood_from_many_sources_is_bounded)
{
    for (uint32_t i = 0; i < PIECES_OF_FLOOD; i++)
        piece_of(1, 0, 80, true, ip_of_number(0x0b000001 + i));
    run(0);
    cr_assert_eq(pal__n_frag_sets_used(stack), stack->config.frag_sets_max);
    piece(7, 0, 80, true);
    piece(7, 80, 40, false);
    cr_assert_eq(spy.count, 1);
    run(61 * SECOND);
    assert_nothing_is_kept();
}

Test(frag, a_set_has_a_bounded_number_of_pieces)
{
    for (uint32_t i = 0; i < 2 * FRAG_PIECES_MAX; i++)
        piece(1, i * 16, 8, true);
    cr_assert_eq(counter(COUNTER_frag_drop_limit), 1);
    cr_assert_eq(counter(COUNTER_frag_drop_late), FRAG_PIECES_MAX - 1);
    cr_assert_eq(pal__n_frag_frames_used(stack), 0);
}

Test(frag, congestion_marks_of_any_piece_are_those_of_the_datagram)
{
    struct spec spec = {.id = 1, .fragment = IP4_MF, .payload = datagram, .size = 80, .tos = 2};

    inject4(&spec);
    spec.fragment = 10;
    spec.tos = 3;
    inject4(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.tos, 3);
}

/* ip6.frag.overlap, timeout */
Test(frag, ip6_pieces_make_one_datagram_and_overlaps_none)
{
    piece6(1, 1200, 100, false);
    piece6(1, 0, 1200, true);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, 1300);
    cr_assert_arr_eq(spy.bytes, datagram, 1300);
    cr_assert_eq(spy.packet.header_size, IP6_SIZE);
    piece6(2, 0, 80, true);
    piece6(2, 72, 80, true);
    piece6(2, 80, 40, false);
    cr_assert_eq(spy.count, 1);
    run(61 * SECOND);
    cr_assert_eq(wire.count, 0);
    piece6(3, 0, 80, true);
    run(60 * SECOND - MS);
    cr_assert_eq(wire.count, 0);
    run(MS);
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP6_SIZE], ICMP6_TIME_EXCEEDED);
    cr_assert_eq(last()[IP6_SIZE + 1], 1);
    cr_assert(checksum6_is_right(last()));
    assert_nothing_is_kept();
}

/* ip6.frag.atomic */
Test(frag, a_single_ip6_piece_goes_alone)
{
    piece6(1, 0, 80, true);
    piece6(1, 0, 48, false);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, 48);
    piece6(1, 80, 40, false);
    cr_assert_eq(spy.count, 2);
    cr_assert_eq(spy.size, 120);
}

static void assert_problem(uint8_t code, uint32_t pointer)
{
    cr_assert_eq(wire.count, 1);
    cr_assert_eq(last()[IP6_SIZE], ICMP6_PARAMETER_PROBLEM);
    cr_assert_eq(last()[IP6_SIZE + 1], code);
    cr_assert_eq(get32(last() + IP6_SIZE + 4), pointer);
    wire.count = 0;
}

/* ip6.frag.len8, too-big, firstchain */
Test(frag, wrong_ip6_pieces_are_answered)
{
    uint8_t headers[16] = {IP6_NEXT_DSTOPTS, 0, 0, 1, 0, 0, 0, 9, PAL_IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0};
    struct spec spec = {.protocol = IP6_NEXT_FRAGMENT, .options = headers, .options_size = sizeof(headers)};

    piece6(1, 0, 13, true);
    assert_problem(ICMP6_PARAMETER_HEADER, 4);
    piece6(1, 65528, 16, false);
    assert_problem(ICMP6_PARAMETER_HEADER, 42);
    inject6(&spec); /* destination options, and then nothing of UDP */
    assert_problem(ICMP6_PARAMETER_CHAIN, 0);
    spec.payload = datagram;
    spec.size = 8;
    inject6(&spec);
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(pal__n_frag_sets_used(stack), 1);
}

/* ---- out ---- */

static int send_to(struct ip to, struct ip from, uint32_t size, bool dont_fragment)
{
    struct ip_send how = {.to = to, .src = from, .protocol = PAL_IPPROTO_UDP, .dont_fragment = dont_fragment};
    struct frame *frame;
    int result;

    how.dst = pal__n_dst_get(stack, &to, 0, &result);
    cr_assert_not_null(how.dst);
    frame = pal__n_ip_frame(stack, how.dst, size);
    cr_assert_not_null(frame);
    memcpy(frame->data, datagram, size);
    frame->size = size;
    result = pal__n_ip_send(stack, &how, frame);
    pal__n_dst_put(stack, how.dst);
    run(0);
    return result;
}

/* ip4.frag-send */
Test(frag, a_large_ip4_packet_is_cut_up)
{
    uint32_t offset = 0;

    cr_assert_eq(send_to(PEER4, OUR4, 4008, true), PAL_EMSGSIZE);
    cr_assert_eq(wire.count, 0);
    cr_assert_eq(send_to(PEER4, OUR4, 4008, false), 0);
    cr_assert_eq(wire.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const uint8_t *at = wire.records[i].bytes + ETH_SIZE;
        uint32_t size = get16(at + IP4_TOTAL) - IP4_SIZE;

        cr_assert(checksum4_is_right(at));
        cr_assert_eq(get16(at + IP4_FRAGMENT), offset / 8 | (i < 2 ? IP4_MF : 0));
        cr_assert_eq(get16(at + IP4_ID), get16(wire.records[0].bytes + ETH_SIZE + IP4_ID));
        cr_assert_arr_eq(at + IP4_SIZE, datagram + offset, size);
        offset += size;
    }
    cr_assert_eq(offset, 4008);
    cr_assert_eq(counter(COUNTER_frag_out), 3);
    assert_nothing_is_kept();
}

/* ip6.frag.send */
Test(frag, a_large_ip6_packet_is_cut_up)
{
    uint32_t offset = 0;

    cr_assert_eq(send_to(PEER6, OUR6, 4008, true), PAL_EMSGSIZE);
    cr_assert_eq(send_to(PEER6, OUR6, 4008, false), 0);
    cr_assert_eq(wire.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const uint8_t *at = wire.records[i].bytes + ETH_SIZE;
        uint32_t size = get16(at + IP6_PAYLOAD) - 8U;

        cr_assert_eq(at[IP6_NEXT], IP6_NEXT_FRAGMENT);
        cr_assert_eq(at[IP6_SIZE], PAL_IPPROTO_UDP);
        cr_assert_eq(get16(at + IP6_SIZE + 2), offset | (i < 2));
        cr_assert_arr_eq(at + IP6_SIZE + 8, datagram + offset, size);
        offset += size;
    }
    cr_assert_eq(offset, 4008);
}

/* ip4.id-unique */
Test(frag, each_packet_has_an_identification_of_its_own)
{
    uint16_t first;

    cr_assert_eq(send_to(PEER4, OUR4, 100, false), 0);
    first = get16(last() + IP4_ID);
    cr_assert_eq(send_to(PEER4, OUR4, 100, false), 0);
    cr_assert_eq(get16(last() + IP4_ID), (uint16_t)(first + 1));
}

Test(frag, want_of_frames_costs_the_whole_datagram)
{
    struct frame *taken[RECORDER_FRAMES];
    uint32_t count = 0;

    while (count < RECORDER_FRAMES - 2)
        taken[count++] = frame_alloc(&wire.nic);
    cr_assert_eq(send_to(PEER4, OUR4, 4008, false), PAL_ENOBUFS);
    cr_assert_eq(wire.count, 0);
    while (count > 0)
        frame_free(taken[--count]);
    assert_nothing_is_kept();
}

Test(frag, a_packet_that_the_port_will_not_take_is_refused_whole)
{
    wire.room = 0;
    for (int i = 0; i < IFACE_PENDING_MAX - 2; i++)
        cr_assert_eq(send_to(PEER4, OUR4, 100, false), 0);
    cr_assert_eq(send_to(PEER4, OUR4, 4008, false), PAL_EAGAIN);
    wire.room = UINT32_MAX;
    run(SECOND);
    cr_assert_eq(wire.count, IFACE_PENDING_MAX - 2);
}

Test(frag, a_datagram_of_64k_leaves_through_a_narrow_port)
{
    cr_assert_eq(send_to(PEER4, OUR4, IP_SIZE_MAX - IP4_SIZE, false), 0);
    cr_assert_eq(wire.count, 45);
    cr_assert_eq(send_to(PEER4, OUR4, IP_SIZE_MAX - IP4_SIZE + 1, false), PAL_EMSGSIZE);
}

/* mcast.loop of what is too large for the link: once, and whole. */
Test(frag, members_here_hear_a_large_multicast_in_one_piece)
{
    struct ip_send how = {.to = ip_of_number(0xe0000001), .src = OUR4, .protocol = PAL_IPPROTO_UDP};
    struct frame *frame;
    int error;

    how.to_loopback = true;
    how.dst = pal__n_dst_get(stack, &how.to, IFINDEX, &error);
    frame = pal__n_ip_frame(stack, how.dst, 4008);
    memcpy(frame->data, datagram, 4008);
    frame->size = 4008;
    cr_assert_eq(pal__n_ip_send(stack, &how, frame), 0);
    pal__n_dst_put(stack, how.dst);
    run(0);
    cr_assert_eq(wire.count, 3);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, 4008);
    cr_assert_arr_eq(spy.bytes, datagram, 4008);
    assert_nothing_is_kept();
}

/* Of a group's fragments those of one link belong together. */
Test(frag, a_multicast_is_put_together)
{
    struct spec spec = {.id = 1, .fragment = IP4_MF, .payload = datagram, .size = 80};

    spec.dst = ip_of_number(0xe0000001);
    inject4(&spec);
    spec.fragment = 10;
    spec.payload = datagram + 80;
    inject4(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.packet.flags, PACKET_MULTICAST | PACKET_REASSEMBLED);
}

Test(frag, a_long_ip6_chain_in_front_is_kept)
{
    uint8_t headers[264] = {IP6_NEXT_FRAGMENT, 31};
    struct spec spec = {.protocol = IP6_NEXT_DSTOPTS, .options = headers, .options_size = sizeof(headers)};

    for (uint32_t at = 2; at < 256; at += 127) { /* two options that nobody knows, which is no harm */
        headers[at] = 0x3e;
        headers[at + 1] = 125;
    }
    headers[256] = PAL_IPPROTO_UDP;
    put16(headers + 258, 800 | 0);
    spec.payload = datagram + 800;
    spec.size = 100;
    inject6(&spec);
    put16(headers + 258, 1);
    spec.payload = datagram;
    spec.size = 800;
    inject6(&spec);
    cr_assert_eq(spy.count, 1);
    cr_assert_eq(spy.size, 900);
    cr_assert_arr_eq(spy.bytes, datagram, 900);
    cr_assert_eq(spy.packet.header_size, IP6_SIZE + 256);
}

/* ---- with little room ---- */

static void start_small(void)
{
    struct netstack_config config = {.frag_sets_max = 8, .frag_frames_max = 16, .big_frames_max = 2};

    fill(datagram, sizeof(datagram));
    begin_with(&config);
    run(5 * SECOND);
    forget();
}

TestSuite(frag_small, .init = start_small, .fini = end);

Test(frag_small, a_source_that_uses_up_its_frames_loses_its_oldest_set)
{
    for (uint32_t i = 0; i < 3; i++)
        piece(1, i * 80, 80, true);
    piece(2, 0, 80, true); /* four frames: its quarter */
    piece(2, 80, 80, true);
    cr_assert_eq(counter(COUNTER_frag_drop_limit), 1);
    cr_assert_eq(pal__n_frag_frames_used(stack), 2);
    piece(2, 160, 40, false);
    cr_assert_eq(spy.count, 1);
    for (uint32_t i = 0; i < 5; i++)
        piece(3, i * 80, 80, true); /* one datagram is too much by itself */
    cr_assert_eq(pal__n_frag_frames_used(stack), 0);
    piece(3, 400, 40, false);
    cr_assert_eq(counter(COUNTER_frag_drop_late), 1);
}

Test(frag_small, when_all_frames_are_used_the_oldest_set_of_anybody_goes)
{
    for (uint32_t i = 0; i < 16; i++)
        piece_of(1, i / 4 * 80, 80, true, ip_of_number(0x0a000003 + i % 4));
    run(0);
    cr_assert_eq(pal__n_frag_frames_used(stack), 16);
    piece(7, 0, 80, true);
    cr_assert_eq(pal__n_frag_frames_used(stack), 13);
    cr_assert_eq(counter(COUNTER_frag_drop_limit), 1);
    piece(7, 80, 40, false);
    cr_assert_eq(spy.count, 1);
}

Test(frag_small, without_a_large_frame_a_datagram_is_lost_and_nothing_else)
{
    struct frame *taken[2] = {pal__n_big_frame(stack), pal__n_big_frame(stack)};

    piece(1, 0, 80, true);
    piece(1, 80, 40, false);
    cr_assert_eq(spy.count, 0);
    cr_assert_eq(counter(COUNTER_frame_none), 1);
    cr_assert_eq(pal__n_frag_sets_used(stack), 0);
    frame_free(taken[0]);
    frame_free(taken[1]);
    piece(2, 0, 80, true);
    piece(2, 80, 40, false);
    cr_assert_eq(spy.count, 1);
}

/* ---- chance ---- */

/* Whatever comes, nothing breaks and nothing is kept for ever. */
Test(frag, random_fragments_do_no_harm)
{
    struct random random;

    pal__n_random_seed(&random, 11);
    for (int i = 0; i < 20000; i++) {
        uint32_t from = pal__n_random_below(&random, 3) * 64, size = 64;
        bool more = from < 128;

        if (pal__n_random_below(&random, 16) == 0) { /* now and then one that does not fit */
            from = pal__n_random_below(&random, 40) * 8;
            size = pal__n_random_below(&random, 80);
            more = pal__n_random_below(&random, 4) != 0;
        }
        piece_of((uint16_t)pal__n_random_below(&random, 40), from, size, more,
                 ip_of_number(0x0a000002 + pal__n_random_below(&random, 8)));
        if (i % 64 == 0)
            run(pal__n_random_below(&random, 2000) * MS);
    }
    run(70 * SECOND); /* errors to hosts that are not there wait for a while */
    assert_nothing_is_kept();
    cr_assert_gt(counter(COUNTER_frag_done), 0);
    cr_assert_gt(counter(COUNTER_frag_drop_overlap), 0);
}
