/* tests/netstack/test_floods.c: what an attacker on the wire sends by the hundred thousand: memory stays within what
 * the stack was made for, a connection that is open goes on, and a good peer gets a new one. */
#include "../../backends/netstack/checksum.h"
#include "pair_world.h"

enum { FLOOD = 100000, BURST = 32, PORT = 80, VICTIM = 0, PEER = 1, SEGMENT = 100, PROTOCOL_ICMPV6 = 58 };

TestSuite(floods, .timeout = 300);

static struct sock *listener, *server, *client; /* the server's end and the client's of what is open */
static uint32_t dice;                           /* of the attacker */

/* ---- the two that talk ---- */

static uint64_t counted(enum netstack_counter which)
{
    return pal__n_stack_counters(stacks[VICTIM])[which];
}

static void talk(struct sock *from, struct sock *to)
{
    uint8_t bytes[SEGMENT], got[SEGMENT];
    int32_t result = PAL_EAGAIN;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(dice + i);
    cr_assert_eq(pal__n_sock_send(from, bytes, sizeof(bytes), 0), SEGMENT);
    for (int i = 0; i < 2000 && result == PAL_EAGAIN; i++) {
        run(5 * MS);
        result = pal__n_sock_recv(to, got, sizeof(got), 0);
    }
    cr_assert_eq(result, SEGMENT, "%d", (int)result);
    cr_assert(memcmp(got, bytes, sizeof(got)) == 0);
}

/* A connection of the good peer. */
static void open_one(struct sock **client_end, struct sock **server_end)
{
    int result = PAL_EAGAIN;

    *client_end = connect_to(PEER, "10.0.0.1", PORT);
    for (int i = 0; i < 2000 && result == PAL_EAGAIN; i++) {
        run(5 * MS);
        result = pal__n_sock_accept(listener, server_end, NULL);
    }
    cr_assert_eq(result, 0, "%d", result);
    talk(*client_end, *server_end);
    talk(*server_end, *client_end);
}

static void start(void)
{
    struct netstack_config config = {.tcp_max = 256, .timewaits_max = 256};
    struct ip any = ip("0.0.0.0"), gateway = ip("10.0.0.2");

    begin(&config, 4096, 1024);
    cr_assert_eq(pal__n_route_add(stacks[VICTIM], IFINDEX, &any, 0, &gateway, 0), 0);
    dice = 12345;
    listener = listen_at(VICTIM, "::", PORT, 64);
    open_one(&client, &server);
}

static uint32_t held(uint32_t used, uint32_t max)
{
    cr_assert_leq(used, max);
    return used;
}

/* Within what it was made for. */
static void expect_bounds(void)
{
    const struct netstack_config *config = &stacks[VICTIM]->config;
    struct netstack_usage usage;

    pal__n_stack_usage(stacks[VICTIM], &usage);
    held(usage.tcp, 8);
    held(usage.embryos, config->embryos_max);
    held(usage.timewaits, config->timewaits_max);
    held(usage.neighbours, config->neighbours_max);
    held(usage.paths, config->paths_max);
    held(usage.frag_sets, config->frag_sets_max);
    held(usage.frag_frames, config->frag_frames_max);
    held(usage.big_frames, config->big_frames_max);
    cr_assert_leq(pal__n_pair_used(pair, VICTIM), 3072u, "a quarter of its frames are for others");
    cr_assert_eq(memory.allocations, allocations);
}

/* After it: what is open goes on, a new one comes about; and when time has passed, nothing of it is left. */
static void finish(void)
{
    struct sock *new_client, *new_server;
    struct netstack_usage usage;

    talk(client, server);
    talk(server, client);
    open_one(&new_client, &new_server);
    check_stacks();
    pal__n_sock_close(new_client);
    run(SECOND);
    pal__n_sock_close(new_server);
    run(300 * SECOND);
    pal__n_stack_usage(stacks[VICTIM], &usage);
    cr_assert_eq(usage.tcp, 2, "%u", usage.tcp);
    cr_assert(usage.embryos == 0 && usage.timewaits == 0 && usage.segments == 0 && usage.chunks == 0);
    cr_assert(usage.frag_sets == 0 && usage.frag_frames == 0 && usage.big_frames == 0);
    cr_assert_eq(pal__n_pair_used(pair, VICTIM), 0);
    talk(client, server);
    end();
}

/* ---- frames ---- */

static uint32_t roll(void)
{
    dice = dice * 1664525 + 1013904223;
    return dice >> 8 ^ dice << 16;
}

/* An empty frame to the victim, with its Ethernet header, from wherever. */
static struct frame *frame_to_victim(uint32_t type)
{
    static const uint8_t macs[2 * MAC_SIZE] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9};
    struct frame *frame = frame_alloc(pal__n_pair_nic(pair, PEER));

    cr_assert(frame != NULL);
    memset(frame->data, 0, 256);
    memcpy(frame->data, macs, sizeof(macs));
    put16(frame->data + ETH_TYPE, type);
    frame->size = ETH_SIZE;
    return frame;
}

static void inject(struct frame *frame)
{
    struct nic *nic = pal__n_pair_nic(pair, PEER);

    if (frame->size < ETH_FRAME_MIN)
        frame->size = ETH_FRAME_MIN;
    cr_assert_eq(nic->ops->tx(nic, &frame, 1), 1);
}

/* An IPv4 packet, whose payload of `size` bytes the caller writes at what is returned. */
static uint8_t *packet4(struct frame *frame, uint32_t src, uint8_t protocol, uint32_t size, uint32_t fragment)
{
    uint8_t *header = frame->data + ETH_SIZE;

    header[IP4_VERSION_LENGTH] = 0x45;
    put16(header + IP4_TOTAL, IP4_SIZE + size);
    put16(header + IP4_ID, roll());
    put16(header + IP4_FRAGMENT, fragment);
    header[IP4_TTL] = 64;
    header[IP4_PROTOCOL] = protocol;
    put32(header + IP4_SRC, src);
    put32(header + IP4_DST, 0x0a000001);
    put16(header + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, header, IP4_SIZE)));
    frame->size = ETH_SIZE + IP4_SIZE + size;
    return header + IP4_SIZE;
}

static void inject_segment(uint32_t src, uint16_t src_port, uint32_t seq, uint32_t ack, uint8_t flags)
{
    struct frame *frame = frame_to_victim(ETH_P_IP4);
    uint8_t *segment = packet4(frame, src, PAL_IPPROTO_TCP, TCP_SIZE, 0);
    struct ip from = ip_of_number(src), to = ip_of_number(0x0a000001);

    put16(segment + TCP_SRC, src_port);
    put16(segment + TCP_DST, PORT);
    put32(segment + TCP_SEQ, seq);
    put32(segment + TCP_ACK_NUMBER, ack);
    segment[TCP_OFFSET] = 0x50;
    segment[TCP_FLAGS] = flags;
    put16(segment + TCP_WINDOW, 65535);
    put16(segment + TCP_CHECKSUM,
          checksum_finish(
              pal__n_checksum_add(pal__n_checksum_pseudo(&from, &to, PAL_IPPROTO_TCP, TCP_SIZE), segment, TCP_SIZE)));
    inject(frame);
}

/* ---- floods ---- */

/* FLOOD times what `one` injects, BURST a turn and a turn a millisecond, while the two go on talking. */
static void flood(void (*one)(uint32_t number))
{
    uint64_t before = counted(COUNTER_eth_in);

    for (uint32_t i = 0; i < FLOOD; i++) {
        one(i);
        if (i % BURST != BURST - 1)
            continue;
        pass(MS);
        turn();
        if (i / BURST % 64 == 63) {
            expect_bounds();
            talk(client, server);
            talk(server, client);
        }
    }
    check_stacks();
    expect_bounds();
    cr_assert_gt(counted(COUNTER_eth_in) - before, (uint64_t)FLOOD, "not all of it has come");
}

static void syn_from_afar(uint32_t number)
{
    inject_segment(0xc0000000 + number, (uint16_t)(1024 + number % 60000), roll(), 0, TCP_SYN);
}

static void syn_from_the_link(uint32_t number)
{
    inject_segment(0x0a010000 + number, (uint16_t)(1024 + number % 60000), roll(), 0, TCP_SYN);
}

Test(floods, syns_of_many_sources)
{
    struct sock *during_client, *during_server;

    start();
    flood(syn_from_afar);
    cr_assert_gt(counted(COUNTER_tcp_cookie_sent), (uint64_t)FLOOD / 2);
    open_one(&during_client, &during_server); /* by a cookie: all that can be half open is */
    cr_assert_gt(counted(COUNTER_tcp_cookie_good), 0);
    pal__n_sock_close(during_client);
    pal__n_sock_close(during_server);
    finish();
}

/* Each answer needs a neighbour that is not there. */
Test(floods, syns_of_neighbours_that_do_not_exist)
{
    start();
    flood(syn_from_the_link);
    cr_assert_gt(counted(COUNTER_neigh_failed) + counted(COUNTER_neigh_table_full) + counted(COUNTER_neigh_evicted), 0);
    finish();
}

static void arp_request(uint32_t number)
{
    struct frame *frame = frame_to_victim(ETH_P_ARP);
    uint8_t *arp = frame->data + ETH_SIZE;
    bool is_reply = number % 2 != 0;

    put16(arp, 1);
    put16(arp + 2, ETH_P_IP4);
    arp[4] = MAC_SIZE;
    arp[5] = 4;
    put16(arp + 6, is_reply ? 2 : 1);
    arp[8] = 2;
    put32(arp + 9, number);
    memcpy(frame->data + ETH_SRC, arp + 8, MAC_SIZE);
    put32(arp + 14, 0x0a020000 + number);
    memcpy(arp + 18, frame->data, is_reply ? MAC_SIZE : 0);
    put32(arp + 24, 0x0a000001);
    frame->size = ETH_SIZE + 28;
    inject(frame);
}

Test(floods, arp_of_many_stations)
{
    start();
    flood(arp_request);
    cr_assert_eq(counted(COUNTER_arp_drop_invalid), 0);
    finish();
}

/* Solicitations with a source and its MAC, which ask for an answer, and advertisements that nobody has asked for. */
static void nd_message(uint32_t number)
{
    struct frame *frame = frame_to_victim(ETH_P_IP6);
    uint8_t *header = frame->data + ETH_SIZE, *message = header + IP6_SIZE;
    struct ip from = ip("fd00::1:0:0"), to = ip("fd00::1");
    bool is_advertisement = number % 2 != 0;
    uint32_t size = 32;

    put32(from.bytes + 12, number);
    header[IP6_VERSION] = 0x60;
    put16(header + IP6_PAYLOAD, size);
    header[IP6_NEXT] = PROTOCOL_ICMPV6;
    header[IP6_HOPS] = 255;
    memcpy(header + IP6_SRC, from.bytes, 16);
    memcpy(header + IP6_DST, to.bytes, 16);
    message[0] = is_advertisement ? 136 : 135;
    message[4] = is_advertisement ? 0x60 : 0;
    memcpy(message + 8, is_advertisement ? from.bytes : to.bytes, 16);
    message[24] = is_advertisement ? 2 : 1;
    message[25] = 1;
    message[26] = 2;
    put32(message + 28, number);
    put16(message + 2, checksum_finish(pal__n_checksum_add(pal__n_checksum_pseudo(&from, &to, PROTOCOL_ICMPV6, size),
                                                           message, size)));
    frame->size = ETH_SIZE + IP6_SIZE + size;
    inject(frame);
}

Test(floods, neighbour_discovery_of_many_stations)
{
    start();
    flood(nd_message);
    cr_assert_eq(counted(COUNTER_icmp6_drop_checksum), 0);
    cr_assert_eq(counted(COUNTER_nd_drop_invalid), 0);
    finish();
}

/* The first piece of datagrams that never go on. */
static void piece_without_end(uint32_t number)
{
    struct frame *frame = frame_to_victim(ETH_P_IP4);

    packet4(frame, 0xc0000000 + number % 1000, PAL_IPPROTO_UDP, 1024, IP4_MF);
    inject(frame);
}

/* Two pieces of one datagram that say different things of the same bytes. */
static void piece_that_overlaps(uint32_t number)
{
    struct frame *frame = frame_to_victim(ETH_P_IP4);
    uint8_t *header = frame->data + ETH_SIZE;

    packet4(frame, 0x0a030000 + number / 4, PAL_IPPROTO_UDP, 256, IP4_MF | (number % 4) * 8);
    put16(header + IP4_ID, 77);
    put16(header + IP4_CHECKSUM, 0);
    put16(header + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, header, IP4_SIZE)));
    inject(frame);
}

Test(floods, fragments_without_end)
{
    start();
    flood(piece_without_end);
    cr_assert_gt(counted(COUNTER_frag_in), (uint64_t)FLOOD - 1);
    finish();
}

Test(floods, fragments_that_overlap)
{
    start();
    flood(piece_that_overlaps);
    cr_assert_gt(counted(COUNTER_frag_drop_overlap), (uint64_t)FLOOD / 5);
    finish();
}

static void wrong_ack(uint32_t number)
{
    (void)number;
    inject_segment(0x0a000002, client->tuple.local_port, roll(), roll(), TCP_ACK);
}

/* Most are outside of the window, and the few that are not do not say the number exactly. */
static void wrong_reset(uint32_t number)
{
    uint32_t expected = tcb_of(server)->rcv_nxt;
    uint32_t seq = number % 4 == 0 ? expected + 1 + number % 60000 : roll();

    inject_segment(0x0a000002, client->tuple.local_port, seq != expected ? seq : seq + 1, 0, TCP_RST);
}

Test(floods, acknowledgements_that_are_wrong)
{
    uint64_t sent;

    start();
    sent = counted(COUNTER_tcp_out);
    flood(wrong_ack);
    cr_assert_lt(counted(COUNTER_tcp_out) - sent, (uint64_t)FLOOD / 100,
                 "each was answered: two such stacks never end");
    finish();
}

Test(floods, resets_that_are_wrong)
{
    uint64_t sent;

    start();
    sent = counted(COUNTER_tcp_out);
    flood(wrong_reset);
    cr_assert_lt(counted(COUNTER_tcp_out) - sent, (uint64_t)FLOOD / 100);
    cr_assert_gt(counted(COUNTER_tcp_rst_ignored), (uint64_t)FLOOD / 2);
    cr_assert_eq(counted(COUNTER_tcp_rst_in), 0);
    finish();
}
