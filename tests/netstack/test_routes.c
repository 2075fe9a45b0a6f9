/* tests/netstack/test_routes.c: routes, and the paths that follow from them. */
#include "link_world.h"

static void begin(void)
{
    begin_with(MTU_V4, 1, 0);
    add(2, v4(0x0a000001), 24);
    add(3, v4(0xc0a80001), 16);
}

TestSuite(routes, .init = begin, .fini = end);

/* ---- IPv4 ---- */

Test(routes, the_longest_prefix_wins_then_the_metric) /* ip4.route-lpm */
{
    struct ip a = v4(0x0a0000fe), b = v4(0x0a0000fd), c = v4(0xc0a80101);

    cr_assert_eq(route(2, v4(0), 0, a, 10), 0);
    cr_assert_eq(route(3, v4(0), 0, c, 5), 0);
    cr_assert_eq(route(2, v4(0x14000000), 8, b, 0), 0);
    cr_assert_eq(route(3, v4(0x14010000), 16, c, 0), 0);
    cr_assert_eq(route(2, v4(0x14010203), 32, a, 99), 0);
    assert_way(v4(0x08080808), 0, 3, c, v4(0xc0a80001));
    assert_way(v4(0x14020000), 0, 2, b, v4(0x0a000001));
    assert_way(v4(0x14010000), 0, 3, c, v4(0xc0a80001));
    assert_way(v4(0x14010203), 0, 2, a, v4(0x0a000001));
    assert_way(v4(0x0a000077), 0, 2, v4(0x0a000077), v4(0x0a000001));
    assert_way(v4(0xc0a8ffee), 0, 3, v4(0xc0a8ffee), v4(0xc0a80001));
    assert_way(v4(0x08080808), 2, 2, a, v4(0x0a000001));
    cr_assert_eq(pal__n_route_remove(stack, 3, &(struct ip){{0}}, 0), 0);
    assert_way(v4(0x08080808), 0, 2, a, v4(0x0a000001));
    cr_assert_eq(pal__n_route_remove(stack, 3, &(struct ip){{0}}, 0), PAL_ESRCH);
}

Test(routes, without_a_route_there_is_no_path)
{
    cr_assert_eq(refused(v4(0x08080808), 0), PAL_ENETUNREACH);
    cr_assert_eq(refused(v4(0x0a000002), 3), PAL_ENETUNREACH, "not by that interface");
    cr_assert_eq(refused(v4(0x0a000002), 9), PAL_ENETUNREACH, "there is none");
    cr_assert_eq(refused(v4(0), 0), PAL_ENETUNREACH);
    cr_assert_eq(pal__n_dst_held(stack), 0);
    cr_assert_eq(stack->dst_pool.used, 0);
}

Test(routes, what_cannot_be_a_route_is_refused)
{
    struct ip none = ip_none();

    cr_assert_eq(route(9, v4(0), 0, none, 0), PAL_ENODEV);
    cr_assert_eq(route(2, v4(0), 33, none, 0), PAL_EINVAL);
    cr_assert_eq(route(2, v4(0x14000000), 8, v6(0xfe800000, 1), 0), PAL_EINVAL);
    cr_assert_eq(route(2, v4(0), 0, v4(0xc0a80101), 0), PAL_ENETUNREACH, "on the other link");
    cr_assert_eq(route(2, v4(0), 0, v4(0x0a0000ff), 0), PAL_ENETUNREACH, "a broadcast");
    cr_assert_eq(route(2, v4(0), 0, v4(0x0a000001), 0), PAL_ENETUNREACH, "ourselves");
    cr_assert_eq(route(2, v4(0x14000000), 8, none, 0), 0);
    cr_assert_eq(route(2, v4(0x14123456), 8, none, 0), PAL_EEXIST, "bits behind the prefix mean nothing");
    cr_assert_eq(route(2, v4(0x14123456), 8, none, 1), 0);
    for (uint32_t i = stack->routes.count; i < ROUTES; i++)
        cr_assert_eq(route(2, v4(i << 24), 8, none, 77), 0);
    cr_assert_eq(route(2, v4(0x63000000), 8, none, 0), PAL_ENOBUFS);
}

Test(routes, sends_from_the_subnet_of_the_next_hop) /* ip4.src-select */
{
    add(2, v4(0x0b000001), 24);
    add(2, v4(0x0a000009), 24);
    assert_way(v4(0x0b000055), 0, 2, v4(0x0b000055), v4(0x0b000001));
    assert_way(v4(0x0a000055), 0, 2, v4(0x0a000055), v4(0x0a000001)); /* the first of its subnet */
    cr_assert_eq(route(2, v4(0), 0, v4(0x0b0000fe), 0), 0);
    assert_way(v4(0x08080808), 0, 2, v4(0x0b0000fe), v4(0x0b000001));
}

/* ---- inside ---- */

Test(routes, loopback_and_our_own_addresses_stay_inside) /* ip4.loop-never-wire */
{
    struct dst *dst;

    cr_assert_eq(route(2, v4(0), 0, v4(0x0a0000fe), 0), 0);
    cr_assert_eq(route(2, v4(0x7f000000), 8, v4(0x0a0000fe), 0), 0);
    assert_way(v4(0x7f010203), 0, 1, v4(0x7f010203), v4(0x7f000001));
    assert_way(v4(0x7f010203), 2, 1, v4(0x7f010203), v4(0x7f000001));
    assert_way(v4(0x0a000001), 0, 1, v4(0x0a000001), v4(0x0a000001));
    assert_way(v4(0x0a000001), 3, 1, v4(0x0a000001), v4(0x0a000001));
    assert_way(v6(0, 1), 0, 1, v6(0, 1), v6(0, 1));
    dst = get(v4(0x7f000001), 0);
    cr_assert_eq(dst->mtu, 65535, "what an IPv4 header can say");
    put(dst);
    dst = get(v6(0, 1), 0);
    cr_assert_eq(dst->mtu, 65536);
    put(dst);
}

Test(routes, a_packet_to_ourselves_comes_back_whole)
{
    struct ip ip = v4(0x7f000001);
    struct dst *dst = get(ip, 0);
    struct frame *frame = pal__n_ip_frame(stack, dst, 65515), *back = NULL;
    struct iface *lo = pal__n_iface_at(stack, IFINDEX_LOOPBACK);

    memset(frame->data, 0x5a, 65535);
    frame->size = 65535;
    cr_assert_eq(pal__n_ip_to_link(stack, dst, &ip, frame, ETH_P_IP4), 0);
    pal__n_iface_flush(lo);
    cr_assert(pal__n_loopback_has_frames(stack));
    cr_assert_eq(pal__n_loopback_used(stack), 1);
    cr_assert_eq(lo->nic->ops->rx(lo->nic, &back, 1), 1);
    cr_assert_eq(back->size, 65535 + ETH_SIZE);
    cr_assert_eq(back->data[ETH_SIZE + 65534], 0x5a);
    cr_assert_eq(back->flags, FRAME_CSUM_GOOD);
    frame_free(back);
    cr_assert_not(pal__n_loopback_has_frames(stack));
    put(dst);
}

Test(routes, big_frames_are_bounded)
{
    struct frame *frames[4];

    for (int i = 0; i < 4; i++) {
        frames[i] = pal__n_big_frame(stack);
        cr_assert_not_null(frames[i]);
        memset(frames[i]->data, i, 65536);
    }
    cr_assert_null(pal__n_big_frame(stack));
    cr_assert_eq(stack->counters[COUNTER_frame_none], 1);
    for (int i = 0; i < 4; i++)
        frame_free(frames[i]);
    cr_assert_eq(pal__n_loopback_used(stack), 0);
}

Test(routes, a_frame_fits_what_it_is_asked_for)
{
    struct dst *dst = get(v4(0x0a000002), 0);
    struct frame *frame = pal__n_ip_frame(stack, dst, MTU_V4 - 20);

    cr_assert_eq(frame->home, &wires[0].nic);
    frame_free(frame);
    frame = pal__n_ip_frame(stack, dst, 60000);
    cr_assert_eq(frame->home, pal__n_loopback_nic(stack));
    frame_free(frame);
    cr_assert_null(pal__n_ip_frame(stack, dst, 70000));
    put(dst);
}

/* ---- paths ---- */

Test(routes, a_path_is_shared_and_found_again)
{
    struct dst *first = get(v4(0x0a000002), 0), *second = get(v4(0x0a000002), 0), *other = get(v4(0x0a000002), 2);

    cr_assert_eq(first, second);
    cr_assert_neq(first, other, "asked for by an interface");
    cr_assert_eq(pal__n_dst_find(stack, &first->ip, 0), first);
    cr_assert_eq(pal__n_dst_find(stack, &first->ip, 2), other);
    cr_assert_eq(pal__n_dst_held(stack), 2);
    put(first);
    put(second);
    put(other);
    cr_assert_eq(pal__n_dst_held(stack), 0);
    cr_assert_eq(get(v4(0x0a000002), 0), first);
    put(first);
}

Test(routes, broadcasts_have_no_neighbour)
{
    struct ip limited = v4(0xffffffff), subnet = v4(0x0a0000ff), group = v4(0xe0000005);
    struct dst *dst = get(limited, 0);

    cr_assert(dst->is_broadcast && !dst->is_multicast && dst->neigh == NULL);
    cr_assert_eq(dst->iface->index, 2);
    put(dst);
    assert_way(limited, 3, 3, limited, v4(0xc0a80001));
    dst = get(subnet, 0);
    cr_assert(dst->is_broadcast && dst->neigh == NULL);
    put(dst);
    dst = get(group, 0);
    cr_assert(!dst->is_broadcast && dst->is_multicast && dst->neigh == NULL);
    put(dst);
    assert_way(group, 3, 3, group, v4(0xc0a80001));
}

Test(routes, idle_paths_make_room_and_held_ones_do_not)
{
    struct dst *held[PATHS];

    for (uint32_t i = 0; i < 10 * PATHS; i++)
        put(get(v4(0xc0a80010 + i), 0));
    cr_assert_eq(stack->dst_pool.used, PATHS);
    for (uint32_t i = 0; i < PATHS; i++)
        held[i] = get(v4(0x7f000010 + i), 0);
    cr_assert_eq(refused(v4(0x0a000002), 0), PAL_ENOBUFS);
    for (uint32_t i = 0; i < PATHS; i++)
        put(held[i]);
    put(get(v4(0x0a000002), 0));
}

Test(routes, a_changed_table_makes_paths_stale)
{
    struct ip far = v4(0x08080808);
    struct dst *before, *after;

    cr_assert_eq(route(2, v4(0), 0, v4(0x0a0000fe), 5), 0);
    before = get(far, 0);
    cr_assert_not(pal__n_dst_is_stale(stack, before));
    cr_assert_eq(route(3, v4(0), 0, v4(0xc0a80101), 0), 0);
    cr_assert(pal__n_dst_is_stale(stack, before));
    cr_assert_eq(before->iface->index, 2, "its holders are not surprised");
    after = get(far, 0);
    cr_assert_neq(after, before);
    cr_assert_eq(after->iface->index, 3);
    put(before);
    cr_assert_eq(stack->dst_pool.used, 1, "nobody needs the old one");
    put(after);
    cr_assert_eq(pal__n_route_remove(stack, 3, &(struct ip){{0}}, 0), 0);
    assert_way(far, 0, 2, v4(0x0a0000fe), v4(0x0a000001));
}

/* ---- path MTU ---- */

Test(routes, a_path_mtu_only_shrinks_and_never_below_the_floor) /* tcp.pmtu.floor, tcp.pmtu.increase-ignored */
{
    struct dst *dst = get(v4(0x0a000002), 0), *by = get(v4(0x0a000002), 2);

    cr_assert_eq(dst->mtu, MTU_V4);
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 9000));
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, MTU_V4));
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 67));
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 0));
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1000));
    cr_assert_eq(dst->mtu, 1000);
    cr_assert_eq(by->mtu, 1000, "the routers are the same");
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 1100));
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 68));
    cr_assert_eq(dst->mtu, 552);
    cr_assert_not(pal__n_dst_reduce_mtu(stack, dst, 100));
    put(dst);
    put(by);
}

Test(routes, a_learned_mtu_ages) /* tcp.pmtu.age */
{
    struct dst *dst = get(v4(0x0a000002), 0);

    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1000));
    run_until(599 * SECOND);
    cr_assert_eq(dst->mtu, 1000);
    run_until(600 * SECOND);
    cr_assert_eq(dst->mtu, MTU_V4);
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1000));
    put(dst);
    cr_assert_eq(pal__n_stack_next(stack), UINT64_MAX, "an idle path has no timer");
    run_until(700 * SECOND);
    dst = get(v4(0x0a000002), 0);
    cr_assert_eq(dst->mtu, 1000, "but what is known of it");
    run_until(1200 * SECOND);
    cr_assert_eq(dst->mtu, MTU_V4);
    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1000));
    put(dst);
    run_until(1800 * SECOND);
    dst = get(v4(0x0a000002), 0);
    cr_assert_eq(dst->mtu, MTU_V4, "until it is too old");
    put(dst);
}

Test(routes, a_learned_mtu_survives_a_change_elsewhere)
{
    struct dst *dst = get(v4(0x0a000002), 0);

    cr_assert(pal__n_dst_reduce_mtu(stack, dst, 1000));
    put(dst);
    cr_assert_eq(route(3, v4(0), 0, v4(0xc0a80101), 0), 0);
    dst = get(v4(0x0a000002), 0);
    cr_assert_eq(dst->mtu, 1000);
    put(dst);
}
