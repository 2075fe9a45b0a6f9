/* tests/netstack/state_talk.c: the stack's side of a conversation with the model: frames in, frames out, and how a
 * connection stands inside. */
#include "state_talk.h"
#include "../../backends/netstack/checksum.h"
#include "../../backends/netstack/tcp.h"
#include <inttypes.h>
#include <stdio.h>

enum { PEER_MSS = 536, SEND_BUFFER = 4000 };

static const uint8_t our_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 1}, peer_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 2};

void talk_fail(const struct talk *talk, const char *reason)
{
    for (int i = 0; i < talk->line_count; i++)
        fprintf(stderr, "# %3d %s\n", i, talk->lines[i]);
    cr_assert_fail("STATE_MODEL_SEED=%" PRIu64 ": %s; the model is in %s", talk->seed, reason,
                   model_state_name(talk->model.state));
}

char *talk_line(struct talk *talk)
{
    if (talk->line_count == LINES)
        talk->line_count--;
    return talk->lines[talk->line_count++];
}

/* ---- the stack's side ---- */

/* How it stands in the stack. */
struct truth {
    enum model_state state;
    const struct tcb *tcb; /* or NULL */
};

static struct tuple tuple_of(const struct talk *talk)
{
    return (struct tuple){.local = ip_of_number(0x0a000001),
                          .remote = ip_of_number(0x0a000002),
                          .local_port = talk->port,
                          .remote_port = PEER_PORT,
                          .protocol = PAL_IPPROTO_TCP};
}

static struct truth look(const struct talk *talk)
{
    static const enum model_state states[] = {MODEL_CLOSED,      MODEL_LISTEN,     MODEL_SYN_SENT,   MODEL_SYN_RECEIVED,
                                              MODEL_ESTABLISHED, MODEL_FIN_WAIT_1, MODEL_FIN_WAIT_2, MODEL_CLOSE_WAIT,
                                              MODEL_CLOSING,     MODEL_LAST_ACK};
    struct tuple tuple = tuple_of(talk);
    struct truth truth = {.state = talk->listener != NULL ? MODEL_LISTEN : MODEL_CLOSED};
    uint32_t index = pal__n_demux_find(talk->stack, &tuple, pal__n_demux_hash(&talk->stack->demux, &tuple));

    if (index == DEMUX_NONE)
        return truth;
    switch (demux_kind_of(index)) {
    case DEMUX_TCB:
        truth.tcb = pool_at(&talk->stack->tcb_pool, demux_pool_index(index));
        truth.state = states[truth.tcb->state];
        break;
    case DEMUX_EMBRYO:
        truth.state = MODEL_EMBRYO;
        break;
    default:
        truth.state = MODEL_TIME_WAIT;
        break;
    }
    return truth;
}

/* Turns until that time, and at each at which something is due. */
static void run(struct talk *talk, uint64_t until_ns)
{
    uint64_t next_ns;

    while ((next_ns = pal__n_stack_next(talk->stack)) <= until_ns) {
        pal__n_stack_poll(talk->stack, next_ns);
        pal__n_stack_flush(talk->stack, next_ns);
    }
    while (pal__n_stack_poll(talk->stack, until_ns))
        ;
    pal__n_stack_flush(talk->stack, until_ns);
}

/* What the stack has sent goes to the model. */
static void hear(struct talk *talk)
{
    cr_assert_leq(talk->wire.count, RECORD_MAX);
    for (uint32_t i = 0; i < talk->wire.count; i++) {
        const uint8_t *packet = talk->wire.records[i].bytes + ETH_SIZE, *at = packet + IP4_SIZE;
        uint32_t header = (uint32_t)(at[TCP_OFFSET] >> 4) * 4;
        struct model_segment segment;
        const char *wrong;

        if (record_type(&talk->wire.records[i]) != ETH_P_IP4 || packet[IP4_PROTOCOL] != PAL_IPPROTO_TCP)
            continue;
        segment = (struct model_segment){.seq = get32(at + TCP_SEQ),
                                         .ack = get32(at + TCP_ACK_NUMBER),
                                         .window = get16(at + TCP_WINDOW),
                                         .size = get16(packet + IP4_TOTAL) - IP4_SIZE - header,
                                         .payload = at + header,
                                         .flags = at[TCP_FLAGS]};
        if (talk->port == 0)
            talk->port = get16(at + TCP_SRC);
        if (get16(at + TCP_SRC) != talk->port || get16(at + TCP_DST) != PEER_PORT)
            talk_fail(talk, "a segment of something else");
        snprintf(talk_line(talk), TEXT_MAX,
                 "    < flags %02x seq %" PRIu32 " ack %" PRIu32 " window %" PRIu32 " size %" PRIu32, segment.flags,
                 segment.seq, segment.ack, segment.window, segment.size);
        wrong = model_out(&talk->model, &segment);
        if (wrong != NULL)
            talk_fail(talk, wrong);
    }
    talk->wire.count = 0;
}

static void compare_numbers(const struct talk *talk, const struct tcb *tcb)
{
    const struct model *model = &talk->model;

    if (tcb->snd_nxt != model->snd_nxt)
        talk_fail(talk, "SND.NXT");
    if (tcb->snd_una != model->snd_una)
        talk_fail(talk, "SND.UNA");
    if (model->state == MODEL_SYN_SENT)
        return;
    if (tcb->rcv_nxt != model->rcv_nxt)
        talk_fail(talk, "RCV.NXT");
    if (tcb->snd_wnd != model->snd_wnd)
        talk_fail(talk, "SND.WND");
    if (tcb->read_bytes != model_unread(model))
        talk_fail(talk, "what is unread");
    if ((tcb->sock.flags & SOCK_ORPHAN) != 0 && talk->sock != NULL)
        talk_fail(talk, "an orphan that somebody holds");
}

void talk_compare(struct talk *talk)
{
    struct model *model = &talk->model;
    struct truth truth;
    const char *wrong;

    run(talk, model->now_ns);
    hear(talk);
    truth = look(talk);
    wrong = model_settle(model, truth.state <= MODEL_LISTEN);
    snprintf(talk_line(talk), TEXT_MAX, "    = %s", model_state_name(truth.state));
    if (wrong != NULL)
        talk_fail(talk, wrong);
    if (truth.state != model->state)
        talk_fail(talk, "another state");
    if (truth.tcb != NULL)
        compare_numbers(talk, truth.tcb);
    if (talk->sock != NULL) {
        uint32_t ready = pal__n_sock_ready(talk->sock);

        if (((ready & PAL_IN) != 0) != model_is_readable(model))
            talk_fail(talk, "PAL_IN");
        if (((ready & PAL_ERR) != 0) != (model->error != 0))
            talk_fail(talk, "PAL_ERR");
    }
    wrong = pal__n_stack_check(talk->stack);
    if (wrong != NULL)
        talk_fail(talk, wrong);
}

void talk_inject(struct talk *talk, const struct model_segment *said)
{
    uint8_t bytes[ETH_SIZE + IP4_SIZE + TCP_SIZE + 4 + PAYLOAD_MAX] = {0}, *packet = bytes + ETH_SIZE;
    uint8_t *segment = packet + IP4_SIZE;
    struct ip us = ip_of_number(0x0a000001), peer = ip_of_number(0x0a000002);
    uint32_t header = TCP_SIZE + (said->flags & MODEL_SYN ? 4 : 0), size = header + said->size;

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
    put16(segment + TCP_DST, talk->port);
    put32(segment + TCP_SEQ, said->seq);
    put32(segment + TCP_ACK_NUMBER, said->ack);
    segment[TCP_OFFSET] = (uint8_t)(header / 4 << 4);
    segment[TCP_FLAGS] = said->flags;
    put16(segment + TCP_WINDOW, said->window);
    put16(segment + TCP_URGENT, said->flags & MODEL_URG ? 1 + said->size / 2 : 0);
    if (said->flags & MODEL_SYN)
        put32(segment + TCP_SIZE, UINT32_C(0x02040000) | PEER_MSS);
    for (uint32_t i = 0; i < said->size; i++)
        segment[header + i] = model_peer_byte(said->seq + ((said->flags & MODEL_SYN) != 0) + i);
    put16(segment + TCP_CHECKSUM, checksum_finish(pal__n_checksum_add(
                                      pal__n_checksum_pseudo(&peer, &us, PAL_IPPROTO_TCP, size), segment, size)));
    recorder_deliver(&talk->wire, bytes, ETH_SIZE + IP4_SIZE + size);
}

/* ---- begin and end ---- */

void talk_begin(struct talk *talk, uint64_t seed)
{
    struct ip us = ip_of_number(0x0a000001), peer = ip_of_number(0x0a000002);
    struct netstack_config config;

    talk->listener = talk->sock = NULL;
    talk->line_count = 0;
    talk->seed = seed;
    pal__n_random_seed(&talk->random, seed);
    talk->is_active = chance(talk, 50);
    talk->port = talk->is_active ? 0 : PORT;
    memset(&config, 0, sizeof(config));
    counting_init(&talk->memory);
    recorder_init(&talk->wire, &talk->memory.allocator, 1200, 1); /* no IPv6 */
    config.allocator = &talk->memory.allocator;
    config.seed = seed;
    config.now_ns = 5000 * MS;
    config.flags = chance(talk, 20) ? NETSTACK_NO_PREDICTION : 0;
    config.receive_buffer = chance(talk, 50) ? 700 + below(talk, 500) : 3000 + below(talk, 5000);
    config.send_buffer = SEND_BUFFER;
    config.tcp_max = config.embryos_max = config.timewaits_max = config.listeners_max = config.udp_max = 8;
    config.segments_max = config.chunks_max = config.neighbours_max = config.paths_max = 64;
    config.frag_sets_max = config.frag_frames_max = config.big_frames_max = config.groups_max = 4;
    cr_assert_eq(pal__n_stack_create(&config, &talk->stack), 0);
    talk->wire.stack = talk->stack;
    cr_assert_eq(pal__n_iface_add(talk->stack, &talk->wire.nic, "eth0", 0), 2);
    cr_assert_eq(pal__n_addr_add(talk->stack, 2, &us, 24), 0);
    cr_assert_eq(pal__n_neighbour_add(talk->stack, 2, &peer, peer_mac), 0);
    model_init(&talk->model, config.now_ns, SEND_BUFFER);
    talk->wire.count = 0;
}

void talk_end(struct talk *talk)
{
    struct netstack_usage usage;

    if (talk->sock != NULL)
        pal__n_sock_close(talk->sock);
    if (talk->listener != NULL)
        pal__n_sock_close(talk->listener);
    run(talk, talk->model.now_ns + 400 * SECOND);
    pal__n_stack_usage(talk->stack, &usage);
    if ((usage.tcp | usage.listeners | usage.embryos | usage.timewaits | usage.segments | usage.chunks) != 0)
        talk_fail(talk, "something is left");
    pal__n_stack_destroy(talk->stack, false);
    recorder_end(&talk->wire);
    cr_assert_eq(talk->memory.blocks, 0);
}
