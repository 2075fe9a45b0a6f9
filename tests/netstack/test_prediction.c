/* tests/netstack/test_prediction.c: two stacks that differ only in whether they predict segments get the same ones,
 * drawn at random about what is expected, and the same calls: what they send, count and know is the same
 * (tcp.in.fastpath-equiv). Links the whole stack. */
#include "../../backends/netstack/checksum.h"
#include "../../backends/netstack/tcp.h"
#include "counting_allocator.h"
#include "recording_nic.h"
#include <pal/address.h>

enum { PREDICTS, DOES_NOT, STACKS, CONVERSATIONS = 300, STEPS = 200, PORT = 80, PEER_PORT = 4000, PAYLOAD_MAX = 1400 };

#define MS UINT64_C(1000000)

struct side {
    struct counting memory;
    struct recorder wire;
    struct netstack *stack;
    struct sock *listener, *sock;
};

/* What the peer says, and what of it both sides have agreed on. */
struct talk {
    struct random random;
    struct side sides[STACKS];
    uint64_t now_ns;
    bool has_timestamps;
    uint32_t isn, buffer;
};

static const uint8_t our_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 1}, peer_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 2};

static uint32_t below(struct talk *talk, uint32_t bound)
{
    return pal__n_random_below(&talk->random, bound);
}

static bool chance(struct talk *talk, uint32_t percent)
{
    return below(talk, 100) < percent;
}

static struct tcb *tcb_at(const struct talk *talk, int side)
{
    return tcb_of(talk->sides[side].sock);
}

/* ---- both, at once ---- */

static void begin_side(struct talk *talk, int which)
{
    struct side *side = &talk->sides[which];
    struct ip us = ip_of_number(0x0a000001), peer = ip_of_number(0x0a000002);
    struct netstack_config config;

    memset(&config, 0, sizeof(config));
    counting_init(&side->memory);
    recorder_init(&side->wire, &side->memory.allocator, 1200, 1); /* no IPv6 */
    config.allocator = &side->memory.allocator;
    config.seed = 7;
    config.now_ns = talk->now_ns;
    config.flags = which == PREDICTS ? 0 : NETSTACK_NO_PREDICTION;
    config.receive_buffer = config.send_buffer = talk->buffer;
    config.tcp_max = config.embryos_max = config.timewaits_max = 8;
    config.segments_max = config.chunks_max = 128;
    cr_assert_eq(pal__n_stack_create(&config, &side->stack), 0);
    side->wire.stack = side->stack;
    cr_assert_eq(pal__n_iface_add(side->stack, &side->wire.nic, "eth0", 0), 2);
    cr_assert_eq(pal__n_addr_add(side->stack, 2, &us, 24), 0);
    cr_assert_eq(pal__n_neighbour_add(side->stack, 2, &peer, peer_mac), 0);
}

static void end_side(struct side *side)
{
    pal__n_stack_destroy(side->stack, false);
    recorder_end(&side->wire);
    cr_assert_eq(side->memory.blocks, 0);
}

/* The same frames have left, the same has been counted, and the connection, if there is one, knows the same. */
static void compare(struct talk *talk)
{
    struct side *left = &talk->sides[PREDICTS], *right = &talk->sides[DOES_NOT];

    cr_assert_eq(left->wire.count, right->wire.count);
    cr_assert_leq(left->wire.count, RECORD_MAX);
    for (uint32_t i = 0; i < left->wire.count; i++) {
        cr_assert_eq(left->wire.records[i].size, right->wire.records[i].size);
        cr_assert_eq(memcmp(left->wire.records[i].bytes, right->wire.records[i].bytes, left->wire.records[i].size), 0);
    }
    left->wire.count = right->wire.count = 0;
    for (int i = 0; i < COUNTERS; i++) {
        cr_assert_eq(pal__n_stack_counters(left->stack)[i], pal__n_stack_counters(right->stack)[i], "%s",
                     pal__n_counter_name(i));
    }
    cr_assert_eq(pal__n_stack_next(left->stack), pal__n_stack_next(right->stack));
    if (left->sock != NULL) {
        const struct tcb *a = tcb_at(talk, PREDICTS), *b = tcb_at(talk, DOES_NOT);

        cr_assert_eq(pal__n_sock_ready(left->sock), pal__n_sock_ready(right->sock));
        cr_assert(a->state == b->state && a->flags == b->flags && a->rcv_nxt == b->rcv_nxt);
        cr_assert(a->rcv_edge == b->rcv_edge && a->ts_recent == b->ts_recent && a->ts_recent_ns == b->ts_recent_ns);
        cr_assert(a->snd_una == b->snd_una && a->snd_nxt == b->snd_nxt && a->snd_wnd == b->snd_wnd);
        cr_assert(a->snd_wl1 == b->snd_wl1 && a->snd_wl2 == b->snd_wl2 && a->rcv_up == b->rcv_up);
        cr_assert(a->cwnd == b->cwnd && a->ssthresh == b->ssthresh && a->in_flight == b->in_flight);
        cr_assert(a->srtt_ns == b->srtt_ns && a->rttvar_ns == b->rttvar_ns && a->rto_ns == b->rto_ns);
        cr_assert(a->heard_ns == b->heard_ns && a->read_bytes == b->read_bytes && a->dupacks == b->dupacks);
        cr_assert_eq(memcmp(a->dates, b->dates, sizeof(a->dates)), 0);
    }
}

static void turn(struct talk *talk)
{
    for (int i = 0; i < STACKS; i++) {
        const char *wrong;

        pal__n_stack_poll(talk->sides[i].stack, talk->now_ns);
        wrong = pal__n_stack_check(talk->sides[i].stack);
        cr_assert_null(wrong, "%s", wrong);
        pal__n_stack_flush(talk->sides[i].stack, talk->now_ns);
    }
    compare(talk);
}

/* ---- what comes ---- */

static uint32_t put_options(const struct talk *talk, uint8_t *at, uint8_t flags, uint32_t echo)
{
    uint32_t size = 0;

    if ((flags & TCP_SYN) != 0) {
        static const uint8_t others[] = {2, 4, 4, 0x78, 4, 2, 3, 3, 2, 1, 1, 1};

        memcpy(at, others, sizeof(others));
        size = sizeof(others);
    }
    if (talk->has_timestamps) {
        static const uint8_t head[] = {1, 1, 8, 10};

        memcpy(at + size, head, sizeof(head));
        put32(at + size + 4, (uint32_t)(talk->now_ns / MS));
        put32(at + size + 8, echo);
        size += 12;
    }
    return size;
}

struct said {
    uint32_t seq, ack, window, urgent, size, echo;
    uint8_t flags;
};

static void inject(struct talk *talk, const struct said *said)
{
    uint8_t bytes[ETH_SIZE + IP4_SIZE + TCP_SIZE_MAX + PAYLOAD_MAX] = {0}, *packet = bytes + ETH_SIZE;
    uint8_t *segment = packet + IP4_SIZE;
    struct ip us = ip_of_number(0x0a000001), peer = ip_of_number(0x0a000002);
    uint32_t header = TCP_SIZE + put_options(talk, segment + TCP_SIZE, said->flags, said->echo);
    uint32_t size = header + said->size;

    memcpy(bytes + ETH_DST, our_mac, MAC_SIZE);
    memcpy(bytes + ETH_SRC, peer_mac, MAC_SIZE);
    put16(bytes + ETH_TYPE, ETH_P_IP4);
    packet[IP4_VERSION_LENGTH] = 0x45;
    put16(packet + IP4_TOTAL, IP4_SIZE + size);
    packet[IP4_TTL] = 64;
    packet[IP4_PROTOCOL] = PAL_IPPROTO_TCP;
    put32(packet + IP4_SRC, 0x0a000002);
    put32(packet + IP4_DST, 0x0a000001);
    put16(packet + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, packet, IP4_SIZE)));
    put16(segment + TCP_SRC, PEER_PORT);
    put16(segment + TCP_DST, PORT);
    put32(segment + TCP_SEQ, said->seq);
    put32(segment + TCP_ACK_NUMBER, said->ack);
    segment[TCP_OFFSET] = (uint8_t)(header / 4 << 4);
    segment[TCP_FLAGS] = said->flags;
    put16(segment + TCP_WINDOW, said->window);
    put16(segment + TCP_URGENT, said->urgent);
    put16(segment + TCP_CHECKSUM, checksum_finish(pal__n_checksum_add(
                                      pal__n_checksum_pseudo(&peer, &us, PAL_IPPROTO_TCP, size), segment, size)));
    for (int i = 0; i < STACKS; i++)
        recorder_deliver(&talk->sides[i].wire, bytes, ETH_SIZE + IP4_SIZE + size);
}

/* Mostly what is expected; else a little beside it. */
static void inject_random(struct talk *talk)
{
    const struct tcb *tcb = tcb_at(talk, PREDICTS);
    uint32_t sent = tcb->snd_nxt - tcb->snd_una;
    struct said said = {.seq = tcb->rcv_nxt, .ack = tcb->snd_una + below(talk, sent + 1), .flags = TCP_ACK};

    if (chance(talk, 60))
        said.size = below(talk, chance(talk, 50) ? 20 : 1000);
    if (chance(talk, 15))
        said.seq += below(talk, 3000) - 1500;
    if (chance(talk, 10))
        said.ack += below(talk, 3000) - 1500;
    said.window = chance(talk, 80) ? 10000 : chance(talk, 70) ? below(talk, 3000) : 0;
    said.echo = pal__n_tcb_timestamp(tcb, talk->now_ns - below(talk, 20) * MS);
    if (chance(talk, 30))
        said.flags |= TCP_PSH;
    if (chance(talk, 3)) {
        said.flags |= TCP_URG;
        said.urgent = below(talk, 2000);
    }
    if (chance(talk, 3)) {
        static const uint8_t seldom[] = {TCP_FIN, TCP_SYN, TCP_RST, TCP_ECE, TCP_CWR, TCP_ACK};
        uint8_t flag = seldom[below(talk, sizeof(seldom))];

        if (flag != TCP_RST || said.seq != tcb->rcv_nxt)
            said.flags ^= flag;
    }
    inject(talk, &said);
}

/* ---- what the program does ---- */

static void call_random(struct talk *talk)
{
    static uint8_t bytes[4000];
    uint32_t what = below(talk, 100), size = 1 + below(talk, sizeof(bytes));
    int32_t results[STACKS];

    for (int i = 0; i < STACKS; i++) {
        struct sock *sock = talk->sides[i].sock;

        if (what < 50)
            results[i] = pal__n_sock_send(sock, bytes, size, 0);
        else if (what < 99)
            results[i] = pal__n_sock_recv(sock, bytes, size, 0);
        else
            results[i] = pal__n_sock_shutdown(sock, PAL_SHUT_WR);
    }
    cr_assert_eq(results[PREDICTS], results[DOES_NOT]);
}

static void handshake(struct talk *talk)
{
    struct said said = {.seq = talk->isn, .window = 10000, .flags = TCP_SYN};
    struct pal_addr any;

    cr_assert_eq(pal_addr_set_any(&any, PAL_AF_INET, PORT), 0);
    for (int i = 0; i < STACKS; i++) {
        struct side *side = &talk->sides[i];

        side->sock = NULL;
        cr_assert_eq(pal__n_sock_open(side->stack, PAL_AF_INET, PAL_SOCK_STREAM, &side->listener), 0);
        cr_assert_eq(pal__n_sock_bind(side->listener, &any), 0);
        cr_assert_eq(pal__n_sock_listen(side->listener, 1), 0);
    }
    inject(talk, &said);
    for (int i = 0; i < STACKS; i++)
        pal__n_stack_poll(talk->sides[i].stack, talk->now_ns);
    said.ack = get32(recorder_last(&talk->sides[0].wire) + ETH_SIZE + IP4_SIZE + TCP_SEQ) + 1;
    said.seq++;
    said.flags = TCP_ACK;
    talk->now_ns += 10 * MS;
    inject(talk, &said);
    turn(talk);
    for (int i = 0; i < STACKS; i++)
        cr_assert_eq(pal__n_sock_accept(talk->sides[i].listener, &talk->sides[i].sock, NULL), 0);
    cr_assert_eq(tcb_at(talk, PREDICTS)->state, TCP_ESTABLISHED);
}

static void converse(struct talk *talk)
{
    for (int i = 0; i < STEPS && tcb_at(talk, PREDICTS)->state != TCP_CLOSED; i++) {
        uint32_t burst = 1 + below(talk, 4), what = below(talk, 100);

        if (what < 60) {
            while (burst-- > 0)
                inject_random(talk);
        } else if (what < 90) {
            call_random(talk);
        }
        talk->now_ns += below(talk, chance(talk, 5) ? 1000 : 5) * MS;
        turn(talk);
    }
}

Test(prediction, makes_no_difference)
{
    static struct talk talk;

    for (uint64_t seed = 0; seed < CONVERSATIONS; seed++) {
        memset(&talk, 0, sizeof(talk));
        pal__n_random_seed(&talk.random, seed);
        talk.now_ns = 5000 * MS;
        talk.has_timestamps = chance(&talk, 50);
        talk.buffer = chance(&talk, 50) ? 3000 : 20000;
        talk.isn = chance(&talk, 50) ? (uint32_t)0 - below(&talk, 5000) : (uint32_t)pal__n_random(&talk.random);
        for (int i = 0; i < STACKS; i++)
            begin_side(&talk, i);
        handshake(&talk);
        converse(&talk);
        for (int i = 0; i < STACKS; i++)
            end_side(&talk.sides[i]);
    }
}
