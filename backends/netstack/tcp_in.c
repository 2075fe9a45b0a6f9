/* tcp_in.c: a segment has come (RFC 9293 3.10.7, with RFC 5961 and RFC 7323 5).
 *
 * From the top: is it a segment at all, whose is it, may it be what it says, what does it acknowledge, what does it
 * bring, does it end the stream. Each step may be the last; whoever ends it frees the frame. Nothing is sent here but
 * what answers no connection: answers are owed, and leave at the end of the turn. */
#include "checksum.h"
#include "stack.h"

enum {
    CHALLENGES_A_SECOND = 5, /* RFC 5961 7, for each connection; jittered by a third */
    PAWS_IDLE_DAYS = 24      /* RFC 7323 5.5 */
};

#define SECOND_NS UINT64_C(1000000000)

static void ignore(struct netstack *stack, struct segment *segment, enum netstack_counter counter)
{
    drop(stack, segment->packet->frame, counter);
}

void pal__n_tcb_challenge(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;

    if (stack->now_ns >= tcb->challenge_ns) {
        tcb->challenge_ns = stack->now_ns + SECOND_NS;
        tcb->challenge_left = CHALLENGES_A_SECOND + pal__n_random_below(&stack->random, 3) - 1;
    }
    if (tcb->challenge_left == 0) {
        count(stack, COUNTER_tcp_challenge_limited);
        return;
    }
    tcb->challenge_left--;
    count(stack, COUNTER_tcp_challenge);
    pal__n_tcb_ack_now(tcb);
}

/* ---- what has come ---- */

static bool has_right_checksum(const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    uint64_t sum;

    if (packet->flags & PACKET_CSUM_GOOD)
        return true;
    sum = pal__n_checksum_pseudo(&packet->src, &packet->dst, PAL_IPPROTO_TCP, frame->size);
    return pal__n_checksum_fold(pal__n_checksum_add(sum, frame->data, frame->size)) == 0xffff;
}

/* The counter of what is wrong with it, or COUNTERS. */
static enum netstack_counter take_apart(struct netstack *stack, struct packet *packet, struct segment *segment)
{
    const uint8_t *at = packet->frame->data;
    uint32_t size = packet->frame->size, header;

    if (size < TCP_SIZE)
        return COUNTER_tcp_drop_header;
    header = (uint32_t)(at[TCP_OFFSET] >> 4) * 4;
    if (header < TCP_SIZE || header > size)
        return COUNTER_tcp_drop_header;
    if (packet->flags & (PACKET_LINK_GROUP | PACKET_BROADCAST | PACKET_MULTICAST) || ip_is_unspecified(&packet->src))
        return COUNTER_tcp_drop_address;
    if (!has_right_checksum(packet))
        return COUNTER_tcp_drop_checksum;
    segment->flags = at[TCP_FLAGS];
    if (!pal__n_tcp_options_read(at + TCP_SIZE, header - TCP_SIZE, segment->flags & TCP_SYN, &segment->options))
        return COUNTER_tcp_drop_option;
    if (segment->flags & TCP_SYN)
        segment->options.has &= stack_syn_options(stack);
    segment->packet = packet;
    segment->tuple = (struct tuple){.local = packet->dst,
                                    .remote = packet->src,
                                    .local_port = get16(at + TCP_DST),
                                    .remote_port = get16(at + TCP_SRC),
                                    .protocol = PAL_IPPROTO_TCP};
    segment->seq = get32(at + TCP_SEQ);
    segment->ack = get32(at + TCP_ACK_NUMBER);
    segment->window = get16(at + TCP_WINDOW);
    segment->urgent = get16(at + TCP_URGENT);
    segment->payload = packet->frame->data + header;
    segment->size = size - header;
    segment->time_ns =
        packet->frame->time_ns != 0 && packet->frame->time_ns < stack->now_ns ? packet->frame->time_ns : stack->now_ns;
    return COUNTERS;
}

static void for_no_connection(struct netstack *stack, struct segment *segment)
{
    const struct tuple *tuple = &segment->tuple;
    struct sock *listener =
        pal__n_port_listener(stack, &tuple->local, tuple->local_port, segment->packet->iface->index);

    if (listener != NULL) {
        pal__n_listener_in(tcb_of(listener), segment);
        return;
    }
    if (stack_passes(stack, segment->packet, tuple))
        return;
    if (!ip_equal(&tuple->local, &tuple->remote) || segment->packet->flags & PACKET_LOOPBACK)
        pal__n_tcp_reset_for(stack, segment);
    ignore(stack, segment, COUNTER_tcp_drop_port);
}

void pal__n_tcp_in(struct netstack *stack, struct packet *packet)
{
    struct segment segment;
    enum netstack_counter wrong = take_apart(stack, packet, &segment);
    uint32_t index;

    count(stack, COUNTER_tcp_in);
    if (wrong != COUNTERS) {
        drop(stack, packet->frame, wrong);
        return;
    }
    index = pal__n_demux_find(stack, &segment.tuple, pal__n_demux_hash(&stack->demux, &segment.tuple));
    if (index == DEMUX_NONE) {
        for_no_connection(stack, &segment);
        return;
    }
    switch (demux_kind_of(index)) {
    case DEMUX_TCB:
        pal__n_tcb_in(pool_at(&stack->tcb_pool, demux_pool_index(index)), &segment);
        break;
    case DEMUX_EMBRYO:
        pal__n_embryo_in(stack, pool_at(&stack->embryo_pool, demux_pool_index(index)), &segment);
        break;
    default:
        pal__n_timewait_in(stack, pool_at(&stack->timewait_pool, demux_pool_index(index)), &segment);
        break;
    }
}

/* ---- SYN-SENT (3.10.7.3) ---- */

static void take_syn(struct tcb *tcb, const struct segment *segment)
{
    tcb->irs = segment->seq;
    tcb->rcv_nxt = segment->seq + 1;
    tcb->rcv_edge = tcb->rcv_nxt + (tcb->receive_buffer < UINT16_MAX ? tcb->receive_buffer : UINT16_MAX);
    tcb->snd_wl1 = segment->seq;
    tcb->snd_wl2 = segment->flags & TCP_ACK ? segment->ack : tcb->snd_una;
    pal__n_tcb_negotiate(tcb, &segment->options);
}

/* RFC 9293 3.5, figure 8: both have called at once. */
static void simultaneous_open(struct tcb *tcb, struct segment *segment)
{
    struct seg *syn = seg_of(base_list_first(&tcb->segs));

    take_syn(tcb, segment);
    tcb->snd_wnd = tcb->snd_wnd_max = segment->window;
    tcb->state = TCP_SYN_RECEIVED;
    if (syn != NULL && seg_in_flight(syn))
        pal__n_seg_mark_lost(tcb, syn); /* goes again, as a SYN-ACK */
    tcb->cwnd = tcb->mss;
    pal__n_tcb_dirty(tcb);
    frame_free(segment->packet->frame);
}

static void syn_sent_in(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;
    bool acks = segment->flags & TCP_ACK;

    if (acks && (seq_leq(segment->ack, tcb->iss) || seq_gt(segment->ack, tcb->snd_nxt))) {
        pal__n_tcp_reset_for(stack, segment);
        ignore(stack, segment, segment->flags & TCP_RST ? COUNTER_tcp_rst_ignored : COUNTER_tcp_drop_ack_range);
        return;
    }
    if (segment->flags & TCP_RST) {
        if (acks)
            pal__n_tcb_abort(tcb, PAL_ECONNREFUSED, false);
        ignore(stack, segment, acks ? COUNTER_tcp_rst_in : COUNTER_tcp_rst_ignored);
        return;
    }
    if (!(segment->flags & TCP_SYN)) {
        ignore(stack, segment, COUNTER_tcp_drop_state);
        return;
    }
    if (!acks) {
        simultaneous_open(tcb, segment);
        return;
    }
    take_syn(tcb, segment);
    tcb->state = TCP_ESTABLISHED;
    (void)pal__n_tcb_ack(tcb, segment);
    pal__n_tcb_connected(tcb);
    pal__n_tcb_ack_now(tcb);
    frame_free(segment->packet->frame); /* data in a SYN-ACK comes again */
}

/* ---- may it be what it says? ---- */

/* 3.10.7.4, first, in the form that is left when what lies outside the window is cut off afterwards. With a shut window
 * what stands at its edge is looked at for its ACK (MUST-66). */
static bool is_acceptable(const struct tcb *tcb, const struct segment *segment)
{
    uint32_t window = tcb->rcv_edge - tcb->rcv_nxt;
    uint32_t length = segment_length(segment);

    if (segment->seq == tcb->rcv_nxt)
        return true;
    if (length == 0)
        return window > 0 && seq_within(segment->seq, tcb->rcv_nxt, window);
    return seq_lt(segment->seq, tcb->rcv_edge) && seq_gt(segment->seq + length, tcb->rcv_nxt);
}

/* RFC 7323 5.5: the clock of the peer may have gone half way round since. */
static bool is_outdated(const struct tcb *tcb, const struct segment *segment)
{
    return segment->time_ns >= tcb->ts_recent_ns + PAWS_IDLE_DAYS * 86400 * SECOND_NS;
}

/* RFC 7323 5.3. */
static bool is_old_by_timestamp(const struct tcb *tcb, const struct segment *segment)
{
    if (!(tcb->flags & TCP_F_TIMESTAMPS) || !(segment->options.has & TCP_HAS_TIMESTAMPS) || segment->flags & TCP_RST)
        return false;
    return seq_lt(segment->options.ts_value, tcb->ts_recent) && !is_outdated(tcb, segment);
}

/* RFC 5961 3.2: a RST ends the connection at the one number it must have, and draws a challenge from within the
 * window. */
static void reset_in(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;
    bool exact = segment->seq == tcb->rcv_nxt;
    int error = PAL_ECONNRESET;

    if (!exact && seq_within(segment->seq, tcb->rcv_nxt, tcb->rcv_edge - tcb->rcv_nxt))
        pal__n_tcb_challenge(tcb);
    ignore(stack, segment, exact ? COUNTER_tcp_rst_in : COUNTER_tcp_rst_ignored);
    if (!exact)
        return;
    if (tcb->state == TCP_SYN_RECEIVED)
        error = PAL_ECONNREFUSED;
    else if (tcb->state == TCP_CLOSE_WAIT)
        error = PAL_EPIPE;
    pal__n_tcb_abort(tcb, error, false);
}

/* What is outside is answered, so that two sides that have lost each other find out; what carries nothing, at a limited
 * rate (tcp.in.otw-ack-ratelimit). */
static void outside(struct tcb *tcb, struct segment *segment, enum netstack_counter counter)
{
    if (segment->size > 0 && tcb->flags & TCP_F_SACK && seq_leq(segment->seq + segment->size, tcb->rcv_nxt))
        tcb->dsack = (struct tcp_sack_block){segment->seq, segment->seq + segment->size};
    if (segment_length(segment) > 0)
        pal__n_tcb_ack_now(tcb);
    else
        pal__n_tcb_challenge(tcb);
    ignore(tcb->sock.stack, segment, counter);
}

/* False: it has been dealt with. */
static bool admit(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;

    if (segment->flags & TCP_RST) {
        reset_in(tcb, segment);
        return false;
    }
    if (segment->flags & TCP_SYN) { /* RFC 5961 4.2 */
        pal__n_tcb_challenge(tcb);
        ignore(stack, segment, COUNTER_tcp_drop_state);
        return false;
    }
    if (is_old_by_timestamp(tcb, segment)) {
        outside(tcb, segment, COUNTER_tcp_drop_paws);
        return false;
    }
    if (!is_acceptable(tcb, segment)) {
        outside(tcb, segment, COUNTER_tcp_drop_window);
        return false;
    }
    if (!(segment->flags & TCP_ACK)) {
        ignore(stack, segment, COUNTER_tcp_drop_no_ack);
        return false;
    }
    return true;
}

/* RFC 7323 4.3: of the segment at the left edge, so that a delayed ACK echoes the earliest. */
static void note_timestamp(struct tcb *tcb, const struct segment *segment)
{
    if (tcb->flags & TCP_F_TIMESTAMPS && segment->options.has & TCP_HAS_TIMESTAMPS &&
        seq_leq(segment->seq, tcb->last_ack_sent) &&
        (seq_geq(segment->options.ts_value, tcb->ts_recent) || is_outdated(tcb, segment))) {
        tcb->ts_recent = segment->options.ts_value;
        tcb->ts_recent_ns = segment->time_ns;
    }
}

/* ---- SYN-RECEIVED after a simultaneous open ---- */

/* True: it is ESTABLISHED, and the segment goes on. */
static bool syn_received_in(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;
    struct seg *syn = seg_of(base_list_first(&tcb->segs));

    if (segment->flags & TCP_SYN && !(segment->flags & TCP_RST) && segment->seq == tcb->irs) {
        if (!(segment->flags & TCP_ACK)) { /* again: so is the answer */
            if (syn != NULL && seg_in_flight(syn))
                pal__n_seg_mark_lost(tcb, syn);
            pal__n_tcb_dirty(tcb);
            ignore(stack, segment, COUNTER_tcp_drop_state);
            return false;
        }
        segment->flags &= (uint8_t)~TCP_SYN;
        segment->seq++;
        segment->window >>= tcb->snd_scale; /* a SYN's is not scaled; what is scaled from here on is as if it were */
        pal__n_tcb_ack_now(tcb);
    }
    if (!admit(tcb, segment))
        return false;
    if (seq_leq(segment->ack, tcb->snd_una) || seq_gt(segment->ack, tcb->snd_nxt)) {
        pal__n_tcp_reset_for(stack, segment);
        ignore(stack, segment, COUNTER_tcp_drop_ack_range);
        return false;
    }
    tcb->snd_wl1 = segment->seq - 1; /* the window of this one counts, scaled */
    tcb->state = TCP_ESTABLISHED;
    (void)pal__n_tcb_ack(tcb, segment);
    pal__n_tcb_connected(tcb);
    return true;
}

/* ---- what it means ---- */

/* Our FIN is acknowledged. False: that was the end of the connection. */
static bool fin_acked(struct tcb *tcb)
{
    if (!(tcb->flags & TCP_F_FIN_QUEUED) || tcb->snd_una != tcb->snd_end)
        return true;
    switch (tcb->state) {
    case TCP_FIN_WAIT_1:
        tcb->state = TCP_FIN_WAIT_2;
        if (tcb->sock.flags & SOCK_ORPHAN)
            pal__n_tcb_set_date(tcb, DATE_LIFE, tcb->sock.stack->now_ns + 2 * tcb->sock.stack->config.msl_ns);
        return true;
    case TCP_CLOSING:
        pal__n_tcb_finish(tcb, true);
        return false;
    case TCP_LAST_ACK:
        pal__n_tcb_finish(tcb, false);
        return false;
    default:
        return true;
    }
}

/* Takes the peer's FIN once everything before it is here. False: the connection is over. */
static bool take_fin(struct tcb *tcb)
{
    if (!(tcb->flags & TCP_F_FIN_SEEN) || tcb->flags & TCP_F_FIN_RECEIVED || seq_lt(tcb->rcv_nxt, tcb->fin_seq))
        return true;
    if (seq_gt(tcb->rcv_nxt, tcb->fin_seq)) { /* bytes that were here before it lie where it stands: it was none */
        tcb->flags &= ~(uint32_t)TCP_F_FIN_SEEN;
        return true;
    }
    tcb->flags |= TCP_F_FIN_RECEIVED;
    tcb->rcv_nxt++;
    tcb->rcv_edge = seq_max(tcb->rcv_edge, tcb->rcv_nxt);
    pal__n_tcb_drop_ranges(tcb); /* nothing lies behind a FIN */
    pal__n_tcb_ack_now(tcb);
    pal__n_sock_changed(&tcb->sock);
    switch (tcb->state) {
    case TCP_ESTABLISHED:
        tcb->state = TCP_CLOSE_WAIT;
        return true;
    case TCP_FIN_WAIT_1:
        tcb->state = TCP_CLOSING;
        return true;
    case TCP_FIN_WAIT_2:
        (void)pal__n_tcb_send_ack(tcb); /* if it is lost, the record answers the FIN that comes again */
        pal__n_tcb_finish(tcb, true);
        return false;
    default:
        return true;
    }
}

/* RFC 9293 3.8.5: the number is noted, the byte is one like any other. */
static void note_urgent(struct tcb *tcb, const struct segment *segment)
{
    uint32_t up = segment->seq + segment->urgent;

    if (!(segment->flags & TCP_URG) || seq_leq(up, tcb->rcv_nxt - tcb->read_bytes))
        return;
    if (!(tcb->flags & TCP_F_URGENT) || seq_gt(up, tcb->rcv_up)) {
        tcb->rcv_up = up;
        tcb->flags |= TCP_F_URGENT;
        pal__n_sock_changed(&tcb->sock);
    }
}

/* Cuts off what lies beyond the window, the FIN with it, and what lies behind a FIN. */
static void cut_right(struct tcb *tcb, struct segment *segment)
{
    uint32_t edge = tcb->flags & TCP_F_FIN_SEEN ? seq_min(tcb->rcv_edge, tcb->fin_seq) : tcb->rcv_edge;
    uint32_t room = seq_gt(edge, segment->seq) ? edge - segment->seq : 0;

    if (segment->size > room) {
        if (room == 0)
            count(tcb->sock.stack, COUNTER_tcp_drop_window);
        segment->size = room;
        segment->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        pal__n_tcb_ack_now(tcb);
    }
}

/* Of several FINs, which no peer in its senses sends, the first by number ends the stream. */
static void note_fin(struct tcb *tcb, uint32_t seq)
{
    if (tcb->flags & TCP_F_FIN_SEEN && seq_geq(seq, tcb->fin_seq))
        return;
    tcb->flags |= TCP_F_FIN_SEEN;
    tcb->fin_seq = seq;
}

/* Payload and FIN. Takes the frame. */
static void take_payload(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;
    uint32_t end = segment->seq + segment->size; /* without the FIN: with one, old bytes come again, too */
    bool fin;

    if (tcb->sock.flags & SOCK_ORPHAN && tcb_can_receive(tcb) && segment->size > 0 && seq_gt(end, tcb->rcv_nxt)) {
        ignore(stack, segment, COUNTER_tcp_drop_after_close); /* RFC 9293 3.6.1: nobody will read it */
        pal__n_tcb_abort(tcb, PAL_EPIPE, true);
        return;
    }
    note_urgent(tcb, segment);
    cut_right(tcb, segment);
    fin = segment->flags & TCP_FIN;
    if (fin && tcb_can_receive(tcb))
        note_fin(tcb, segment->seq + segment->size);
    if (segment->size > 0 && tcb_can_receive(tcb)) {
        pal__n_tcb_receive(tcb, segment);
    } else {
        if (segment->size > 0 || (fin && tcb->flags & TCP_F_FIN_RECEIVED))
            pal__n_tcb_ack_now(tcb); /* it comes again because our ACK was lost */
        frame_free(segment->packet->frame);
    }
    if (fin && !(tcb->flags & TCP_F_FIN_RECEIVED) && tcb->rcv_nxt != tcb->fin_seq)
        pal__n_tcb_ack_now(tcb); /* it stands behind a hole */
    (void)take_fin(tcb);
}

/* Nothing but what is expected, in the state in which most segments come: the steps in between would change nothing.
 * tcp.in.fastpath-equiv holds it to that. */
static bool is_predicted(const struct tcb *tcb, const struct segment *segment)
{
    const struct tcp_options *options = &segment->options;

    if (tcb->state != TCP_ESTABLISHED || (segment->flags & ~TCP_PSH) != TCP_ACK || segment->seq != tcb->rcv_nxt)
        return false;
    if (tcb->ooo != NULL || options->has & ~TCP_HAS_TIMESTAMPS || tcb->flags & TCP_F_FIN_SEEN ||
        tcb->sock.flags & SOCK_ORPHAN)
        return false;
    if (options->has & TCP_HAS_TIMESTAMPS && seq_lt(options->ts_value, tcb->ts_recent))
        return false;
    return segment->size <= tcb->rcv_edge - tcb->rcv_nxt && seq_geq(segment->ack, tcb->snd_una) &&
           seq_leq(segment->ack, tcb->snd_nxt) && !(tcb->sock.stack->config.flags & NETSTACK_NO_PREDICTION);
}

void pal__n_tcb_in(struct tcb *tcb, struct segment *segment)
{
    if (tcb->state == TCP_SYN_SENT) {
        syn_sent_in(tcb, segment);
        return;
    }
    if (tcb->state == TCP_SYN_RECEIVED) {
        if (!syn_received_in(tcb, segment))
            return;
    } else if (is_predicted(tcb, segment)) {
        note_timestamp(tcb, segment);
        tcb->heard_ns = segment->time_ns;
        tcb->keep_probes = 0;
        (void)pal__n_tcb_ack(tcb, segment);
        if (segment->size > 0)
            pal__n_tcb_receive(tcb, segment);
        else
            frame_free(segment->packet->frame);
        return;
    } else if (!admit(tcb, segment)) {
        return;
    }
    note_timestamp(tcb, segment);
    tcb->heard_ns = segment->time_ns;
    tcb->keep_probes = 0;
    if (!pal__n_tcb_ack(tcb, segment)) {
        frame_free(segment->packet->frame);
        return;
    }
    if (!fin_acked(tcb)) {
        frame_free(segment->packet->frame);
        return;
    }
    take_payload(tcb, segment);
}
