/* tests/netstack/test_neighbours.c: ARP and the table of neighbours, over a wire with nobody at its end. */
#include "link_world.h"

static struct recorder *const wire = &wires[0];
static struct ip us, peer;

static struct ip host(uint32_t last)
{
    return ip_of_number(0x0a000000 | last);
}

static void begin_seeded(uint64_t seed)
{
    begin_with(MTU_V4, seed, 0);
    us = host(1);
    peer = host(2);
    add(2, us, 16);
}

static void begin(void)
{
    begin_seeded(1);
}

TestSuite(neighbours, .init = begin, .fini = end);

static void answer(uint8_t from)
{
    hear_arp(2, from, peer, us);
}

/* Asks for the peer and hears its answer. */
static void meet(void)
{
    send_to(peer, 0);
    answer(PEER_MAC);
    cr_assert_eq(recorder_count(wire, ETH_P_IP4), 1);
}

/* ---- asking ---- */

Test(neighbours, asks_everybody_and_sends_what_waited_when_it_is_answered) /* arp.request, tcp.out.arp-pending */
{
    static const uint8_t zeros[ETH_FRAME_MIN - ARP_FRAME];
    const struct record *asked;

    send_to(peer, 7);
    cr_assert_eq(wire->count, 1);
    asked = &wire->records[0];
    cr_assert_eq(asked->size, ETH_FRAME_MIN);
    cr_assert_arr_eq(asked->bytes, broadcast, MAC_SIZE);
    cr_assert_arr_eq(asked->bytes + ETH_SRC, iface->mac, MAC_SIZE);
    cr_assert_eq(record_type(asked), ETH_P_ARP);
    cr_assert_eq(get16(asked->bytes + 20), 1);
    cr_assert_arr_eq(asked->bytes + 22, iface->mac, MAC_SIZE);
    cr_assert_eq(get32(asked->bytes + 28), ip_number(&us));
    cr_assert_arr_eq(asked->bytes + 32, zeros, MAC_SIZE);
    cr_assert_eq(get32(asked->bytes + 38), ip_number(&peer));
    cr_assert_arr_eq(asked->bytes + ARP_FRAME, zeros, sizeof(zeros));
    run_until(stack->now_ns + MS);
    answer(PEER_MAC);
    cr_assert_eq(wire->count, 2);
    assert_to(&wire->records[1], PEER_MAC);
    cr_assert_eq(number_of(&wire->records[1]), 7);
    cr_assert_eq(wire->records[1].time_ns, MS);
    cr_assert_eq(pal__n_stack_next(stack), UINT64_MAX, "nothing is left to do");
}

Test(neighbours, keeps_the_eight_newest_of_what_waits) /* arp.queue */
{
    for (uint8_t i = 0; i < 20; i++)
        send_to(peer, i);
    cr_assert_eq(wire->count, 1, "one question");
    cr_assert_eq(counted(COUNTER_neigh_queue_full), 12);
    answer(PEER_MAC);
    cr_assert_eq(wire->count, 1 + NEIGH_QUEUE_MAX);
    for (uint8_t i = 0; i < NEIGH_QUEUE_MAX; i++)
        cr_assert_eq(number_of(&wire->records[1 + i]), 12 + i);
}

Test(neighbours, asks_three_times_a_second_apart_then_fails_what_waits) /* arp.rate, arp.retry-fail */
{
    uint64_t begin_ns = stack->now_ns;

    for (int i = 0; i < 300; i++) {
        send_to(peer, (uint8_t)i);
        run_until(stack->now_ns + 9 * MS);
    }
    run_until(begin_ns + 3 * SECOND - 1);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(wire->records[i].time_ns, begin_ns + i * SECOND);
    cr_assert_eq(counted(COUNTER_neigh_drop_failed), 0);
    run_until(begin_ns + 3 * SECOND);
    cr_assert_eq(counted(COUNTER_neigh_failed), 1);
    cr_assert_eq(counted(COUNTER_neigh_drop_failed), NEIGH_QUEUE_MAX);
    cr_assert_eq(stack->neigh_pool.used, 0, "nobody holds it");
    send_to(peer, 1);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 4, "asked again when it is used again");
    answer(PEER_MAC);
    cr_assert_eq(recorder_count(wire, ETH_P_IP4), 1);
}

Test(neighbours, a_held_entry_survives_its_failure_and_is_asked_again)
{
    int error = 0;
    struct dst *dst = pal__n_dst_get(stack, &peer, 0, &error);

    send_to(peer, 1);
    run_until(4 * SECOND);
    cr_assert_eq(dst->neigh->state, NEIGH_FAILED);
    send_to(peer, 2);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 4);
    answer(PEER_MAC);
    cr_assert_eq(dst->neigh->state, NEIGH_REACHABLE);
    cr_assert_eq(recorder_count(wire, ETH_P_IP4), 1);
    pal__n_dst_put(stack, dst);
}

Test(neighbours, broadcast_and_multicast_are_never_asked_for) /* arp.bcast-mcast, eth.mcast-map4 */
{
    static const uint8_t group_mac[MAC_SIZE] = {0x01, 0x00, 0x5e, 0x01, 0x01, 0x01};
    struct ip limited = ip_of_number(0xffffffff), subnet = ip_of_number(0x0a00ffff), group = ip_of_number(0xef810101);

    send_to(limited, 1);
    cr_assert_arr_eq(wire->records[0].bytes, broadcast, MAC_SIZE);
    send_to(subnet, 2);
    cr_assert_arr_eq(wire->records[1].bytes, broadcast, MAC_SIZE);
    send_to(group, 3);
    cr_assert_arr_eq(wire->records[2].bytes, group_mac, MAC_SIZE);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 0);
    cr_assert_eq(wire->count, 3);
}

Test(neighbours, what_is_off_the_link_asks_for_the_gateway) /* arp.offlink-gw */
{
    struct ip everywhere = ip_of_number(0), far = ip_of_number(0x08080808), gateway = host(254);

    cr_assert_eq(pal__n_route_add(stack, 2, &everywhere, 0, &gateway, 0), 0);
    send_to(far, 5);
    cr_assert_eq(get32(wire->records[0].bytes + 38), ip_number(&gateway));
    hear_arp(2, 9, gateway, us);
    assert_to(&wire->records[1], 9);
    cr_assert_eq(get32(wire->records[1].bytes + ETH_SIZE + IP4_DST), 0x08080808);
}

/* ---- answering and learning ---- */

Test(neighbours, answers_who_asks_for_us_and_nobody_else) /* arp.answer */
{
    struct ip other = host(77);
    const uint8_t *reply;

    hear_arp(1, PEER_MAC, peer, other);
    cr_assert_eq(wire->count, 0);
    cr_assert_eq(counted(COUNTER_arp_drop_other), 1);
    cr_assert_eq(stack->neigh_pool.used, 0);
    hear_arp(1, PEER_MAC, peer, us);
    cr_assert_eq(wire->count, 1);
    reply = recorder_last(wire);
    assert_to(&wire->records[0], PEER_MAC);
    cr_assert_eq(get16(reply + 20), 2);
    cr_assert_arr_eq(reply + 22, iface->mac, MAC_SIZE);
    cr_assert_eq(get32(reply + 28), ip_number(&us));
    cr_assert_eq(reply[37], PEER_MAC);
    cr_assert_eq(get32(reply + 38), ip_number(&peer));
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->state, NEIGH_STALE, "it asked for us: remembered");
    send_to(peer, 1);
    assert_to(&wire->records[1], PEER_MAC);
}

Test(neighbours, answers_a_probe_and_makes_no_entry_of_nobody) /* arp.probe-answer */
{
    struct ip none = ip_of_number(0);

    hear_arp(1, PEER_MAC, none, us);
    cr_assert_eq(wire->count, 1);
    cr_assert_eq(get16(recorder_last(wire) + 20), 2);
    cr_assert_eq(stack->neigh_pool.used, 0);
}

Test(neighbours, unsolicited_replies_and_announcements_make_no_entry) /* arp.merge, arp.poison */
{
    answer(PEER_MAC);
    hear_arp(1, PEER_MAC, peer, peer);
    cr_assert_eq(stack->neigh_pool.used, 0);
    cr_assert_eq(wire->count, 0);
}

Test(neighbours, an_announcement_moves_a_known_neighbour) /* arp.gratuitous-in */
{
    meet();
    run_until(stack->now_ns + SECOND);
    hear_arp(1, 9, peer, peer);
    send_to(peer, 1);
    cr_assert_eq(recorder_count(wire, ETH_P_IP4), 2);
    assert_to(recorder_find(wire, ETH_P_IP4, 1), 9);
}

Test(neighbours, a_fresh_answer_is_not_overruled_at_once) /* arp.poison */
{
    meet();
    run_until(stack->now_ns + 10 * MS);
    answer(9);
    cr_assert_eq(counted(COUNTER_arp_locked), 1);
    send_to(peer, 1);
    assert_to(recorder_find(wire, ETH_P_IP4, 1), PEER_MAC);
}

Test(neighbours, nothing_heard_changes_a_static_one)
{
    uint8_t mac[MAC_SIZE];

    mac_of(5, mac);
    cr_assert_eq(pal__n_neighbour_add(stack, 2, &peer, mac), 0);
    hear_arp(1, 9, peer, peer);
    hear_arp(1, 9, peer, us);
    run_until(500 * SECOND);
    send_to(peer, 1);
    assert_to(recorder_find(wire, ETH_P_IP4, 0), 5);
    cr_assert_eq(pal__n_stack_next(stack), UINT64_MAX);
}

Test(neighbours, a_static_one_releases_what_waits)
{
    uint8_t mac[MAC_SIZE];

    send_to(peer, 1);
    mac_of(5, mac);
    cr_assert_eq(pal__n_neighbour_add(stack, 2, &peer, mac), 0);
    turn();
    assert_to(recorder_find(wire, ETH_P_IP4, 0), 5);
    cr_assert_eq(pal__n_neighbour_add(stack, 9, &peer, mac), PAL_ENODEV);
    mac[0] = 1;
    cr_assert_eq(pal__n_neighbour_add(stack, 2, &peer, mac), PAL_EINVAL);
}

Test(neighbours, malformed_arp_changes_nothing) /* arp.validate */
{
    /* offset, value */
    static const uint8_t mutations[][2] = {{15, 2}, {16, 0x86}, {18, 8}, {19, 16},  {21, 3},  {21, 0},
                                           {22, 1}, {27, 8},    {11, 8}, {28, 224}, {28, 127}};
    uint8_t bytes[ETH_FRAME_MIN];
    uint64_t before;

    meet();
    run_until(stack->now_ns + SECOND);
    before = counted(COUNTER_arp_drop_invalid);
    for (size_t i = 0; i < sizeof(mutations) / sizeof(mutations[0]); i++) {
        arp_bytes(bytes, 2, 9, peer, us, iface->mac);
        bytes[mutations[i][0]] = mutations[i][1];
        recorder_deliver(wire, bytes, sizeof(bytes));
        turn();
        cr_assert_eq(counted(COUNTER_arp_drop_invalid), before + i + 1, "mutation %zu", i);
    }
    for (uint32_t size = ETH_SIZE; size < ARP_FRAME; size++) {
        arp_bytes(bytes, 2, 9, peer, us, iface->mac);
        recorder_deliver(wire, bytes, size);
        turn();
    }
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->mac[5], PEER_MAC);
    cr_assert_eq(stack->neigh_pool.used, 1);
}

Test(neighbours, a_rival_for_our_address_is_counted_and_not_learned)
{
    hear_arp(1, 9, us, us);
    hear_arp(2, 9, us, peer);
    cr_assert_eq(counted(COUNTER_arp_conflict), 2);
    cr_assert_eq(stack->neigh_pool.used, 0);
    cr_assert_eq(wire->count, 0);
}

/* ---- reachability (RFC 4861 7.3) ---- */

Test(neighbours, goes_stale_is_used_and_is_asked_after_by_unicast) /* arp.age */
{
    uint64_t used_ns;
    const struct record *probe;

    meet();
    run_until(60 * SECOND);
    cr_assert_eq(wire->count, 2, "a quiet neighbour is not asked after");
    used_ns = stack->now_ns;
    for (int i = 0; i < 6; i++) {
        send_to(peer, 1);
        run_until(stack->now_ns + SECOND);
    }
    cr_assert_eq(recorder_count(wire, ETH_P_IP4), 7, "traffic goes on");
    cr_assert_geq(recorder_count(wire, ETH_P_ARP), 2);
    probe = recorder_find(wire, ETH_P_ARP, 1);
    assert_to(probe, PEER_MAC);
    cr_assert_eq(probe->time_ns, used_ns + 5 * SECOND);
    answer(PEER_MAC);
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->state, NEIGH_REACHABLE);
}

Test(neighbours, silence_under_probes_ends_it) /* nd.nud */
{
    uint64_t used_ns;

    meet();
    used_ns = 60 * SECOND;
    run_until(used_ns);
    send_to(peer, 1);
    run_until(used_ns + 20 * SECOND);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 4);
    for (uint32_t i = 0; i < 3; i++) {
        const struct record *probe = recorder_find(wire, ETH_P_ARP, 1 + i);

        assert_to(probe, PEER_MAC);
        cr_assert_eq(probe->time_ns, used_ns + (5 + i) * SECOND);
    }
    cr_assert_eq(counted(COUNTER_neigh_failed), 1);
    cr_assert_null(pal__n_neigh_find(iface, &peer));
    send_to(peer, 2);
    cr_assert_arr_eq(recorder_last(wire), broadcast, MAC_SIZE);
}

Test(neighbours, progress_of_the_transport_keeps_it_reachable) /* nd.nud-hint */
{
    int error = 0;
    struct dst *dst = pal__n_dst_get(stack, &peer, 0, &error);

    meet();
    for (int i = 0; i < 100; i++) {
        run_until(stack->now_ns + 6 * SECOND);
        send_to(peer, 1);
        pal__n_neigh_confirm(dst->neigh);
    }
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 1);
    cr_assert_eq(pal__n_stack_next(stack), UINT64_MAX);
    pal__n_dst_put(stack, dst);
}

Test(neighbours, a_word_of_the_transport_saves_the_probe)
{
    meet();
    run_until(60 * SECOND);
    send_to(peer, 1);
    run_until(62 * SECOND);
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->state, NEIGH_DELAY);
    pal__n_neigh_confirm(pal__n_neigh_find(iface, &peer));
    run_until(80 * SECOND);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 1);
}

Test(neighbours, suspicion_asks_at_once)
{
    meet();
    run_until(2 * SECOND);
    pal__n_neigh_suspect(pal__n_neigh_find(iface, &peer));
    pal__n_neigh_suspect(pal__n_neigh_find(iface, &peer));
    turn();
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 2);
    assert_to(recorder_find(wire, ETH_P_ARP, 1), PEER_MAC);
    answer(PEER_MAC);
    run_until(10 * SECOND);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 2);
}

Test(neighbours, suspicion_keeps_to_a_question_a_second) /* arp.rate */
{
    meet();
    run_until(10 * MS);
    pal__n_neigh_suspect(pal__n_neigh_find(iface, &peer));
    run_until(SECOND - 1);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 1);
    run_until(SECOND);
    cr_assert_eq(recorder_count(wire, ETH_P_ARP), 2);
}

/* How long an answer is believed: sends every 100 ms until it is not. */
static uint64_t reachable_for(uint64_t seed)
{
    uint64_t lasted_ns;

    end();
    begin_seeded(seed);
    meet();
    do {
        run_until(stack->now_ns + 100 * MS);
        send_to(peer, 1);
        wire->count = 2; /* forget */
    } while (pal__n_neigh_find(iface, &peer)->state == NEIGH_REACHABLE);
    lasted_ns = stack->now_ns;
    return lasted_ns;
}

Test(neighbours, reachable_lasts_a_random_time_that_the_seed_fixes)
{
    uint64_t first_ns = reachable_for(11), second_ns = reachable_for(12);

    cr_assert(first_ns >= 15 * SECOND && first_ns <= 45 * SECOND + 100 * MS);
    cr_assert(second_ns >= 15 * SECOND && second_ns <= 45 * SECOND + 100 * MS);
    cr_assert_neq(first_ns, second_ns);
    cr_assert_eq(reachable_for(11), first_ns);
}

/* The table of RFC 4861 7.2.5, of an entry whose MAC is known. */
Test(neighbours, advertisements_follow_the_table) /* nd.na-rules */
{
    static const struct {
        bool same, solicited, override;
        uint8_t state, mac; /* after; the entry was REACHABLE with PEER_MAC */
    } rows[] = {
        {true, false, false, NEIGH_REACHABLE, PEER_MAC},
        {true, true, false, NEIGH_REACHABLE, PEER_MAC},
        {true, false, true, NEIGH_REACHABLE, PEER_MAC},
        {true, true, true, NEIGH_REACHABLE, PEER_MAC},
        {false, false, false, NEIGH_STALE, PEER_MAC},
        {false, true, false, NEIGH_STALE, PEER_MAC},
        {false, false, true, NEIGH_STALE, 9},
        {false, true, true, NEIGH_REACHABLE, 9},
    };
    uint8_t mac[MAC_SIZE], old[MAC_SIZE];

    mac_of(PEER_MAC, old);
    meet();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pal__n_neigh_learn(iface, &peer, old, true, true, false);
        mac_of(rows[i].same ? PEER_MAC : 9, mac);
        pal__n_neigh_learn(iface, &peer, mac, rows[i].solicited, rows[i].override, false);
        cr_assert_eq(pal__n_neigh_find(iface, &peer)->state, rows[i].state, "row %zu", i);
        cr_assert_eq(pal__n_neigh_find(iface, &peer)->mac[5], rows[i].mac, "row %zu", i);
    }
    mac[0] = 3;
    pal__n_neigh_learn(iface, &peer, mac, true, true, false);
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->mac[0], 2, "a group is nobody's MAC");
}

/* ---- bounds ---- */

Test(neighbours, strangers_do_not_push_out_who_is_talked_to) /* arp.storm, nd.exhaustion */
{
    int error = 0;
    struct dst *held = pal__n_dst_get(stack, &peer, 0, &error);
    struct ip used = host(3);

    meet();
    send_to(used, 1);
    hear_arp(2, 3, used, us);
    for (uint32_t i = 0; i < 5000; i++) {
        struct ip stranger = host(0x100 + i);

        hear_arp(1, 9, stranger, us);
        wire->count = 0;
    }
    cr_assert_eq(stack->neigh_pool.used, NEIGHBOURS);
    cr_assert_eq(counted(COUNTER_neigh_evicted), 5000 - (NEIGHBOURS - 2));
    cr_assert_eq(held->neigh->state, NEIGH_REACHABLE);
    cr_assert_eq(pal__n_neigh_find(iface, &used)->state, NEIGH_REACHABLE, "used, though nobody holds it now");
    pal__n_dst_put(stack, held);
}

Test(neighbours, a_scan_of_ours_drops_its_own_questions_first)
{
    meet();
    for (uint32_t i = 0; i < 200; i++) {
        struct ip target = host(0x100 + i);

        send_to(target, 1);
        wire->count = 0;
    }
    cr_assert_eq(pal__n_neigh_find(iface, &peer)->state, NEIGH_REACHABLE);
    cr_assert_eq(stack->neigh_pool.used, NEIGHBOURS);
    cr_assert_eq(wire->frames.pool.used, NEIGHBOURS - 1, "one packet waits for each that is left");
}

Test(neighbours, a_table_full_of_held_ones_refuses)
{
    struct dst *held[NEIGHBOURS];
    struct ip one_more = host(0x200);
    int error = 0;

    for (uint32_t i = 0; i < NEIGHBOURS; i++) {
        struct ip target = host(0x100 + i);

        held[i] = pal__n_dst_get(stack, &target, 0, &error);
        cr_assert_not_null(held[i]);
    }
    cr_assert_null(pal__n_dst_get(stack, &one_more, 0, &error));
    cr_assert_eq(error, PAL_ENOBUFS);
    cr_assert_eq(counted(COUNTER_neigh_table_full), 1);
    for (uint32_t i = 0; i < NEIGHBOURS; i++)
        pal__n_dst_put(stack, held[i]);
    held[0] = pal__n_dst_get(stack, &one_more, 0, &error);
    cr_assert_not_null(held[0]);
    pal__n_dst_put(stack, held[0]);
}
