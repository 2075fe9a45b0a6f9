/* tests/netstack/test_ether.c: Ethernet frames: which are taken, how they are made, and in what order they leave. */
#include "link_world.h"

static struct recorder *const wire = &wires[0];

static void begin(void)
{
    begin_with(MTU_V4, 1, 0);
    add(2, v4(0x0a000001), 16);
}

TestSuite(ether, .init = begin, .fini = end);

static void hear(const uint8_t *dst, const uint8_t *src, uint16_t type, uint32_t size)
{
    uint8_t bytes[ETH_FRAME_MIN] = {0};

    memcpy(bytes, dst, MAC_SIZE);
    memcpy(bytes + ETH_SRC, src, MAC_SIZE);
    put16(bytes + ETH_TYPE, type);
    recorder_deliver(wire, bytes, size);
    turn();
}

Test(ether, frames_that_are_not_for_us_are_dropped) /* eth.dst-filter, eth.src-mcast, eth.type-len */
{
    uint8_t other[MAC_SIZE], group[MAC_SIZE] = {1, 0, 0x5e, 1, 2, 3};

    mac_of(9, other);
    hear(other, other, ETH_P_ARP, 60);
    cr_assert_eq(counted(COUNTER_eth_drop_dst), 1);
    hear(iface->mac, group, ETH_P_ARP, 60);
    cr_assert_eq(counted(COUNTER_eth_drop_src), 1);
    hear(broadcast, iface->mac, ETH_P_ARP, 60);
    cr_assert_eq(counted(COUNTER_eth_drop_src), 2, "our own, reflected");
    hear(iface->mac, other, 1500, 60);
    hear(iface->mac, other, ETH_P_VLAN, 60);
    hear(iface->mac, other, 0x9000, 60);
    cr_assert_eq(counted(COUNTER_eth_drop_type), 3);
    cr_assert_eq(counted(COUNTER_arp_in), 0);
    cr_assert_eq(counted(COUNTER_eth_in), 6);
}

Test(ether, frames_shorter_than_their_headers_are_dropped) /* eth.short */
{
    uint8_t other[MAC_SIZE];

    mac_of(9, other);
    for (uint32_t size = 0; size < ETH_SIZE; size++)
        hear(iface->mac, other, ETH_P_ARP, size);
    cr_assert_eq(counted(COUNTER_eth_drop_short), ETH_SIZE);
    for (uint32_t size = ETH_SIZE; size < 60; size++) {
        hear(iface->mac, other, ETH_P_IP4, size);
        hear(iface->mac, other, ETH_P_IP6, size);
    }
    cr_assert_eq(wire->count, 0);
}

Test(ether, what_the_nic_does_not_take_waits_in_order)
{
    struct ip everybody = v4(0xffffffff);

    wire->room = 0;
    for (uint8_t i = 0; i < IFACE_PENDING_MAX; i++)
        cr_assert_eq(try_to_send(everybody, i), 0);
    cr_assert_eq(iface_tx_room(iface), 0);
    cr_assert_eq(counted(COUNTER_eth_tx_full), 2, "offered by bursts, not by frames");
    cr_assert_eq(try_to_send(everybody, 99), PAL_EAGAIN);
    cr_assert_eq(counted(COUNTER_eth_drop_full), 1);
    wire->room = 10;
    pal__n_iface_flush(iface);
    cr_assert_eq(iface->pending_count, IFACE_PENDING_MAX - 10);
    wire->room = UINT32_MAX;
    pal__n_iface_flush(iface);
    cr_assert_eq(counted(COUNTER_eth_out), IFACE_PENDING_MAX);
    for (uint8_t i = 0; i < IFACE_PENDING_MAX; i++)
        cr_assert_eq(number_of(&wire->records[i]), i);
}

Test(ether, a_frame_beyond_the_mtu_never_leaves) /* eth.mtu-limit */
{
    struct frame *frame = frame_alloc(&wire->nic);

    frame->size = MTU_V4 + 1;
    pal__n_ether_out(iface, frame, broadcast, ETH_P_IP4);
    cr_assert_eq(counted(COUNTER_eth_drop_size), 1);
    frame = frame_alloc(&wire->nic);
    memset(frame->data, 0, MTU_V4);
    frame->size = MTU_V4;
    pal__n_ether_out(iface, frame, broadcast, ETH_P_IP4);
    turn();
    cr_assert_eq(wire->records[0].size, MTU_V4 + ETH_SIZE);
}

Test(ether, a_short_frame_without_room_behind_it_is_padded_all_the_same) /* eth.pad */
{
    struct frame *frame = frame_alloc(&wire->nic);

    memset(frame->data, 0x11, 30);
    frame->size = 30;
    frame->memory_size = frame_headroom(frame) + 30 + 2; /* as in a card's tight buffer */
    pal__n_ether_out(iface, frame, broadcast, ETH_P_IP4);
    turn();
    cr_assert_eq(wire->records[0].size, ETH_FRAME_MIN);
    cr_assert_eq(wire->records[0].bytes[ETH_SIZE + 29], 0x11);
    cr_assert_eq(wire->records[0].bytes[ETH_SIZE + 30], 0);
    cr_assert_eq(wire->records[0].bytes[ETH_FRAME_MIN - 1], 0);
}

/* Whatever comes, no byte outside of the frame is read (AddressSanitizer), and no frame is lost. */
Test(ether, noise_is_survived)
{
    static const uint16_t types[] = {ETH_P_ARP, ETH_P_IP4, ETH_P_IP6, ETH_P_VLAN};
    struct random random;

    pal__n_random_seed(&random, 7);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[128];
        uint32_t size = pal__n_random_below(&random, sizeof(bytes) + 1);

        arp_bytes(bytes, (uint16_t)(1 + i % 2), 9, v4(0x0a000002), v4(0x0a000001), i % 3 == 0 ? iface->mac : NULL);
        put16(bytes + ETH_TYPE, types[pal__n_random_below(&random, 4)]);
        for (uint32_t at = i % 2 == 0 ? ETH_SIZE : 0; at < size; at++) {
            if (at >= ETH_FRAME_MIN || pal__n_random_below(&random, 8) == 0)
                bytes[at] = (uint8_t)pal__n_random(&random);
        }
        recorder_deliver(wire, bytes, size);
        pal__n_stack_poll(stack, stack->now_ns + MS);
        wire->count = 0;
    }
    cr_assert_eq(counted(COUNTER_eth_in), 20000);
}
