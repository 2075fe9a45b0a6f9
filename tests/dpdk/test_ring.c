/* test_ring.c: two stacks over two ports of DPDK joined by rings, in one process: what passes, and that every packet
 * buffer comes back. */
#include "ring_talk.h"

#include "../../backends/dpdk/apply.h"
#include "../../backends/dpdk/nic_dpdk.h"
#include "../../backends/netstack/wire.h"
#include <pal/lease.h>

TestSuite(dpdk_ring, .timeout = 60);

Test(dpdk_ring, a_stream_goes_both_ways_and_ends)
{
    struct sock *client, *server;

    begin(&plain, "mbufs 4096");
    for (int i = 0; i < 2; i++) {
        establish(hosts[i], &client, &server);
        exchange(client, server, 1000);
    }
    end();
}

Test(dpdk_ring, bulk_both_ways_at_once)
{
    struct sock *client, *server;
    const struct dpdk_queue_counts *counts;

    begin(&plain, "mbufs 4096 ; descriptors 256");
    for (int i = 0; i < 2; i++) {
        establish(hosts[i], &client, &server);
        exchange(client, server, 8 << 20);
    }
    counts = pal__d_port_queue_counts(ports[0], 0);
    cr_expect_gt(counts->received, 10000);
    cr_expect_gt(counts->sent, 10000);
    cr_expect_eq(counts->tx_lost, 0);
    cr_expect_eq(counts->rx_lost, 0);
    end();
}

Test(dpdk_ring, datagrams_go_both_ways_in_order)
{
    begin(&plain, "mbufs 4096");
    for (int i = 0; i < 2; i++) {
        struct pal_addr to = addr(hosts[i], 53), from;
        struct sock *server, *client;
        char bytes[64];

        cr_assert_eq(pal__n_sock_open(stacks[1], to.family, PAL_SOCK_DGRAM, &server), 0);
        cr_assert_eq(pal__n_sock_bind(server, &to), 0);
        cr_assert_eq(pal__n_sock_open(stacks[0], to.family, PAL_SOCK_DGRAM, &client), 0);
        cr_assert_eq(pal__n_sock_connect(client, &to), 0);
        for (uint32_t number = 0; number < 1000; number++) {
            struct pal_iov iov = {.data = bytes, .size = sizeof(bytes)};
            struct pal_msg msg = {.iov = &iov, .iov_count = 1, .addr = &from};

            cr_assert_eq(pal__n_sock_send(client, &number, sizeof(number), 0), sizeof(number));
            for (int k = 0; k < 4; k++)
                run(10 * US); /* the first one waits for its neighbour */
            cr_assert_eq(pal__n_sock_recv_msgs(server, &msg, 1, 0), 1);
            cr_assert_eq(msg.size, sizeof(number));
            cr_assert_arr_eq(bytes, &number, sizeof(number));
            iov.size = sizeof(number);
            cr_assert_eq(pal__n_sock_send_msgs(server, &msg, 1, 0), 1);
            run(10 * US);
            cr_assert_eq(pal__n_sock_recv(client, bytes, sizeof(bytes), 0), sizeof(number));
            cr_assert_arr_eq(bytes, &number, sizeof(number));
        }
        pal__n_sock_close(server);
        pal__n_sock_close(client);
    }
    end();
}

Test(dpdk_ring, a_large_datagram_is_fragmented_and_put_together)
{
    static uint8_t bytes[20000], answer[20001];
    struct pal_addr to = addr("10.0.0.2", 53);
    struct sock *server, *client;

    begin(&plain, "mbufs 4096");
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = pattern_at(i);
    cr_assert_eq(pal__n_sock_open(stacks[1], to.family, PAL_SOCK_DGRAM, &server), 0);
    cr_assert_eq(pal__n_sock_bind(server, &to), 0);
    cr_assert_eq(pal__n_sock_open(stacks[0], to.family, PAL_SOCK_DGRAM, &client), 0);
    cr_assert_eq(pal__n_sock_connect(client, &to), 0);
    cr_assert_eq(pal__n_sock_set(client, PAL_SO_MTU_DISCOVER, &(int32_t){0}, sizeof(int32_t)), 0);
    cr_assert_eq(pal__n_sock_send(client, bytes, 1, 0), 1); /* that the neighbour is known */
    run(10 * MS);
    cr_assert_eq(pal__n_sock_recv(server, answer, sizeof(answer), 0), 1);
    cr_assert_eq(pal__n_sock_send(client, bytes, sizeof(bytes), 0), sizeof(bytes));
    run(10 * MS);
    cr_assert_eq(pal__n_sock_recv(server, answer, sizeof(answer), 0), sizeof(bytes));
    cr_assert_arr_eq(answer, bytes, sizeof(bytes));
    pal__n_sock_close(server);
    pal__n_sock_close(client);
    end();
}

/* What is received and lent to the program is DPDK's own memory, with room for a lease in front. */
Test(dpdk_ring, received_frames_are_lent_without_a_copy)
{
    struct sock *client, *server;
    struct frame *frames[4];
    int count;

    begin(&plain, "mbufs 4096");
    establish("10.0.0.2", &client, &server);
    cr_assert_eq(pal__n_sock_send(client, "abcd", 4, 0), 4);
    run(MS);
    count = pal__n_sock_recv_frames(server, frames, NULL, 4);
    cr_assert_eq(count, 1);
    cr_assert_eq(frames[0]->size, 4);
    cr_assert_arr_eq(frames[0]->data, "abcd", 4);
    cr_assert(frames[0]->home == pal__d_port_nic(ports[1], 0));
    memset(frames[0]->data - PAL_LEASE_HEADROOM, 0xee, PAL_LEASE_HEADROOM);
    cr_assert(frames[0]->home == pal__d_port_nic(ports[1], 0), "the lease's room is the frame's head");
    cr_assert_arr_eq(frames[0]->data, "abcd", 4);
    frame_free(frames[0]);
    pal__n_sock_close(client);
    pal__n_sock_close(server);
    end();
}

/* With a receiver that does not run the ring fills: what is not taken stays the stack's, and nothing is lost. */
Test(dpdk_ring, a_full_ring_is_back_pressure)
{
    struct sock *client, *server;
    uint64_t sent = 0, received = 0;

    begin(&plain, "mbufs 4096 ; descriptors 64");
    establish("10.0.0.2", &client, &server);
    for (int i = 0; i < 2000 && received < 4 << 20; i++) {
        push(client, &sent, 4 << 20);
        for (int k = 0; k < 20; k++) /* twenty turns of the sender for one of the receiver */
            pal__n_stack_poll(stacks[0], now_ns += US);
        pull(server, &received);
        turn();
        pull(server, &received);
    }
    cr_assert_eq(received, 4 << 20);
    cr_expect_gt(pal__d_port_queue_counts(ports[0], 0)->sent, 2000);
    pal__n_sock_close(client);
    pal__n_sock_close(server);
    end();
}

Test(dpdk_ring, a_stack_that_ends_in_the_middle_leaves_nothing)
{
    struct sock *client, *server;
    uint64_t sent = 0;

    begin(&plain, "mbufs 4096");
    establish("10.0.0.2", &client, &server);
    for (int i = 0; i < 50; i++) {
        push(client, &sent, 4 << 20);
        now_ns += 10 * US;
        turn(); /* the server never reads */
    }
    end();
}

Test(dpdk_ring, what_the_settings_say_reaches_the_stack)
{
    static const char text[] = "device net_ring0 ; address 10.0.0.1/24 ; address fd00::1/64 ; gateway 10.0.0.2 ; "
                               "route fd01::/16 fd00::2 ; neighbour 10.0.0.9 02:00:00:00:00:09 ; device net_ring1 ; "
                               "address 10.0.0.2/24 ; address 192.168.7.7/24 ; mbufs 2000 ; descriptors 256";
    struct netstack_config config = {.allocator = &memory.allocator, .seed = 1, .now_ns = 5 * SECOND};
    struct sock *client, *server;

    begin_dpdk(text);
    begin_ports(RING);
    counting_init(&memory);
    now_ns = config.now_ns;
    for (int side = 0; side < SIDES; side++) {
        cr_assert_eq(pal__n_stack_create(&config, &stacks[side]), 0);
        cr_assert_eq(pal__d_apply(&settings, (uint32_t)side, stacks[side], pal__d_port_nic(ports[side], 0), &words),
                     IFINDEX, "%s", words.data);
    }
    allocations = memory.allocations;
    establish("192.168.7.7", &client, &server); /* by the gateway only */
    exchange(client, server, 1000);
    end();
}

Test(dpdk_ring, what_a_stack_refuses_is_named)
{
    struct netstack_config config = {.allocator = &memory.allocator, .seed = 1, .routes_max = 2};

    begin_dpdk("device net_ring0 ; address 10.0.0.1/24 ; gateway 10.0.0.2 ; route 10.1.0.0/16 10.0.0.3 ; "
               "route 10.2.0.0/16 10.0.0.4 ; device net_ring1 ; mbufs 2000 ; descriptors 256");
    begin_ports(RING);
    counting_init(&memory);
    cr_assert_eq(pal__n_stack_create(&config, &stacks[0]), 0);
    cr_assert_eq(pal__d_apply(&settings, 0, stacks[0], pal__d_port_nic(ports[0], 0), &words), PAL_ENOBUFS);
    cr_assert(strstr(words.data, "\"10.0.0.") != NULL, "%s", words.data);
    pal__n_stack_destroy(stacks[0], false);
    end_ports();
}

/* ---- the nic by itself ---- */

/* begin without stacks. */
static void begin_nics(const char *extra)
{
    char text[256];

    snprintf(text, sizeof(text), "device net_ring0 ; device net_ring1 ; %s", extra);
    begin_dpdk(text);
    begin_ports(RING);
}

Test(dpdk_ring, a_frame_is_its_own_mbuf_on_both_sides)
{
    struct nic *from, *to;
    struct frame *frame, *received[4];
    uint8_t *data;

    begin_nics("mbufs 4096");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    frame = frame_alloc(from);
    cr_assert(frame != NULL);
    cr_assert_eq(frame_headroom(frame), FRAME_HEADROOM);
    cr_assert_geq(frame_tailroom(frame), 1518);
    memset(frame->data, 0x5a, 100);
    frame->size = 100;
    data = frame_push(frame, 14);
    memset(data, 0x11, 14);
    cr_assert_eq(from->ops->tx(from, &frame, 1), 1);
    cr_assert_eq(to->ops->rx(to, received, 4), 1);
    cr_assert_eq(received[0]->size, 114);
    cr_assert(received[0]->data == data, "it was copied");
    cr_assert(received[0]->home == to);
    cr_assert_eq(received[0]->flags, 0);
    cr_assert_eq(pal__d_port_used(ports[0], 0), 1, "it is its sender's pool's memory");
    cr_assert_eq(pal__d_port_held(ports[0], 0), 0);
    cr_assert_eq(pal__d_port_held(ports[1], 0), 1);
    frame_free(received[0]);
    cr_assert_eq(pal__d_port_held(ports[1], 0), 0);
    cr_assert_eq(pal__d_port_used(ports[0], 0), 0);
    end_ports();
}

Test(dpdk_ring, a_frame_of_another_nic_is_copied)
{
    struct nic *from, *to;
    struct frame *frame, *received[4];

    begin_nics("mbufs 4096");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    frame = frame_alloc(to); /* the other's */
    memset(frame->data, 0x33, 60);
    frame->size = 60;
    cr_assert_eq(from->ops->tx(from, &frame, 1), 1);
    cr_assert_eq(pal__d_port_used(ports[1], 0), 0, "it has gone home");
    cr_assert_eq(pal__d_port_queue_counts(ports[0], 0)->tx_copied, 1);
    cr_assert_eq(to->ops->rx(to, received, 4), 1);
    cr_assert_eq(received[0]->size, 60);
    cr_assert_eq(received[0]->data[59], 0x33);
    frame_free(received[0]);
    end_ports();
}

Test(dpdk_ring, what_a_full_ring_does_not_take_stays_the_callers)
{
    struct nic *from, *to;
    struct frame *frames[300], *received[32];
    int sent, count = 0, got;

    begin_nics("mbufs 4096");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    for (int i = 0; i < 300; i++) {
        frames[i] = frame_alloc(i % 3 == 0 ? to : from); /* some are to be copied */
        frames[i]->size = 60;
        memcpy(frames[i]->data, &i, sizeof(i));
    }
    sent = from->ops->tx(from, frames, 300);
    cr_assert_eq(sent, RING - 1);
    cr_assert_eq(pal__d_port_queue_counts(ports[0], 0)->tx_full, 1);
    cr_assert_eq(from->ops->tx(from, frames + sent, 300 - sent), 0);
    cr_assert_eq(pal__d_port_held(ports[0], 0) + pal__d_port_held(ports[1], 0), (uint32_t)(300 - sent));
    for (int i = sent; i < 300; i++) {
        cr_assert(frames[i]->home == (i % 3 == 0 ? to : from));
        cr_assert_eq(frames[i]->size, 60);
    }
    while ((got = to->ops->rx(to, received, 32)) > 0)
        for (int i = 0; i < got; i++, count++) {
            cr_assert_arr_eq(received[i]->data, &count, sizeof(count));
            frame_free(received[i]);
        }
    cr_assert_eq(count, sent);
    cr_assert_eq(from->ops->tx(from, frames + sent, 300 - sent), 300 - sent);
    end_ports(); /* which are still in the ring */
}

Test(dpdk_ring, an_empty_pool_says_so_and_fills_again)
{
    static struct frame *frames[1100];
    struct nic *nic;
    int count = 0;

    begin_nics("mbufs 1024 ; descriptors 128");
    nic = pal__d_port_nic(ports[0], 0);
    while (count < 1100 && (frames[count] = frame_alloc(nic)) != NULL)
        count++;
    cr_assert_eq(count, 1024);
    cr_assert_eq(pal__d_port_queue_counts(ports[0], 0)->no_buffer, 1);
    while (count > 0)
        frame_free(frames[--count]);
    frames[0] = frame_alloc(nic);
    cr_assert(frames[0] != NULL);
    frame_free(frames[0]);
    cr_assert_eq(pal__d_port_used(ports[0], 0), 0);
    end_ports();
}

Test(dpdk_ring, a_missing_buffer_is_counted_at_the_end)
{
    struct frame *frame;

    begin_nics("mbufs 1024 ; descriptors 128");
    frame = frame_alloc(pal__d_port_nic(ports[0], 0));
    cr_assert(frame != NULL);
    for (int side = 0; side < SIDES; side++)
        pal__d_port_stop(ports[side]);
    cr_assert_eq(pal__d_port_close(ports[0]), 1);
    cr_assert_eq(pal__d_port_close(ports[1]), 0);
    pal__d_eal_stop();
}

Test(dpdk_ring, a_frame_that_is_freed_twice_asserts, .signal = 4)
{
    struct frame *frame;

    begin_nics("mbufs 1024 ; descriptors 128");
    frame = frame_alloc(pal__d_port_nic(ports[0], 0));
    frame_free(frame);

    pal__d_port_nic(ports[0], 0)->ops->free(pal__d_port_nic(ports[0], 0), frame);
}

Test(dpdk_ring, what_is_too_large_does_not_block_what_follows)
{
    struct nic *from, *to;
    struct frame *frames[3], *received[4];
    struct frame *large;

    begin_nics("mbufs 1024 ; descriptors 128");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    for (int i = 0; i < 3; i++) {
        frames[i] = frame_alloc(from);
        frames[i]->size = 60;
    }
    large = frames[1];
    large->size = 4000; /* a lie that the port must see */
    cr_assert_eq(from->ops->tx(from, frames, 3), 3);
    cr_assert_eq(pal__d_port_queue_counts(ports[0], 0)->tx_lost, 1);
    cr_assert_eq(to->ops->rx(to, received, 4), 2);
    frame_free(received[0]);
    frame_free(received[1]);
    end_ports();
}

Test(dpdk_ring, a_jumbo_mtu_has_room)
{
    struct nic_caps caps;
    struct nic *nic;

    begin_dpdk("device net_ring0 ; mtu 9000 ; device net_ring1 ; mtu 9000 ; mbufs 1024 ; descriptors 128");
    begin_ports(RING);
    nic = pal__d_port_nic(ports[0], 0);
    nic->ops->caps(nic, &caps);
    cr_assert_eq(caps.mtu, 9000);
    cr_assert_geq(caps.frame_room, 9018);
    cr_assert_eq(caps.flags & NIC_LINK_DOWN, 0);
    end_ports();
}

/* ---- frames that arrive in several buffers ---- */

/* A buffer of the nic's pool with so many bytes, nobody's. */
static struct rte_mbuf *piece(struct nic *nic, uint32_t size, int fill)
{
    struct dpdk_queue *queue = (struct dpdk_queue *)(void *)nic;
    struct frame *frame = frame_alloc(nic);
    struct rte_mbuf *mbuf;

    cr_assert(frame != NULL);
    mbuf = frame->native;
    mbuf->data_off = FRAME_HEADROOM;
    mbuf->data_len = (uint16_t)size;
    mbuf->pkt_len = size;
    mbuf->ol_flags = 0;
    memset(frame->data, fill, size);
    frame->home = NULL;
    queue->held--;
    return mbuf;
}

/* To side 1, as a driver delivers what does not fit into one buffer: pieces of these sizes. */
static void deliver_pieces(struct nic *nic, const uint32_t *sizes, int count)
{
    struct rte_mbuf *first = piece(nic, sizes[0], 0x40);

    for (int i = 1; i < count; i++)
        cr_assert_eq(rte_pktmbuf_chain(first, piece(nic, sizes[i], 0x40 + i)), 0);
    cr_assert_eq(rte_ring_enqueue(rings[1], first), 0);
}

Test(dpdk_ring, a_frame_in_several_buffers_is_put_into_one)
{
    static const uint32_t sizes[3] = {1000, 500, 14};
    const struct dpdk_queue_counts *counts;
    struct nic *from, *to;
    struct frame *received[4];

    begin_nics("mbufs 1024 ; descriptors 128");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    counts = pal__d_port_queue_counts(ports[1], 0);
    deliver_pieces(from, sizes, 3);
    cr_assert_eq(pal__d_port_used(ports[0], 0), 3);
    cr_assert_eq(to->ops->rx(to, received, 4), 1);
    cr_expect_eq(counts->rx_joined, 1);
    cr_expect_eq(counts->rx_lost, 0);
    cr_expect_eq(pal__d_port_used(ports[0], 0), 1, "the other buffers were not given back");
    cr_assert_eq(received[0]->size, 1514);
    cr_expect_eq(received[0]->data[999], 0x40);
    cr_expect_eq(received[0]->data[1000], 0x41);
    cr_expect_eq(received[0]->data[1499], 0x41);
    cr_expect_eq(received[0]->data[1500], 0x42);
    cr_expect_eq(received[0]->data[1513], 0x42);
    frame_free(received[0]);
    cr_expect_eq(pal__d_port_used(ports[0], 0), 0);
    end_ports();
}

/* The ring's port has no large buffers. */
Test(dpdk_ring, a_frame_that_fits_into_no_buffer_is_lost_and_the_next_one_is_not)
{
    static const uint32_t large[3] = {2048, 2048, 100}, small[2] = {40, 20};
    const struct dpdk_queue_counts *counts;
    struct nic *from, *to;
    struct frame *received[4];

    begin_nics("mbufs 1024 ; descriptors 128");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    counts = pal__d_port_queue_counts(ports[1], 0);
    deliver_pieces(from, large, 3);
    deliver_pieces(from, small, 2);
    cr_assert_eq(to->ops->rx(to, received, 4), 1);
    cr_assert_eq(received[0]->size, 60);
    cr_expect_eq(counts->rx_lost, 1);
    cr_expect_eq(counts->rx_joined, 1);
    cr_expect_eq(counts->received, 1);
    frame_free(received[0]);
    cr_expect_eq(pal__d_port_used(ports[0], 0), 0, "what was lost was not given back");
    cr_expect_eq(pal__d_port_held(ports[1], 0), 0);
    end_ports();
}

static void count_freed(void *room, void *count)
{
    (void)room;
    ++*(int *)count;
}

/* As vhost and some cards can be told to deliver. */
Test(dpdk_ring, a_frame_in_memory_of_the_drivers_is_copied_out_of_it)
{
    static uint8_t room[2048];
    const struct dpdk_queue_counts *counts;
    struct rte_mbuf_ext_shared_info *shared;
    uint16_t size = sizeof(room);
    struct nic *from, *to;
    struct frame *received[4];
    struct rte_mbuf *mbuf;
    int freed = 0;

    begin_nics("mbufs 1024 ; descriptors 128");
    from = pal__d_port_nic(ports[0], 0);
    to = pal__d_port_nic(ports[1], 0);
    counts = pal__d_port_queue_counts(ports[1], 0);
    shared = rte_pktmbuf_ext_shinfo_init_helper(room, &size, count_freed, &freed);
    cr_assert(shared != NULL);
    mbuf = piece(from, 60, 0);
    rte_pktmbuf_attach_extbuf(mbuf, room, RTE_BAD_IOVA, size, shared);
    mbuf->data_len = 60;
    mbuf->pkt_len = 60;
    memset(room, 0x55, 60);
    cr_assert_eq(rte_ring_enqueue(rings[1], mbuf), 0);
    cr_assert_eq(to->ops->rx(to, received, 4), 1);
    cr_expect_eq(freed, 1, "the driver has not got its memory back");
    cr_expect_eq(counts->rx_joined, 1);
    memset(room, 0, 60);
    cr_assert_eq(received[0]->size, 60);
    cr_expect(received[0]->data[0] == 0x55 && received[0]->data[59] == 0x55);
    frame_free(received[0]);
    cr_expect_eq(pal__d_port_used(ports[0], 0) + pal__d_port_used(ports[1], 0), 0);
    end_ports();
}
