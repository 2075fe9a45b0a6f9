/* tcp_out.c: the only file that sends segments: what is lost, what is new, what is owed.
 *
 * Calls of the program and received segments mark a connection dirty; at the end of the turn each dirty one is looked
 * at once. A segment counts as sent when its frame has been handed to the interface: before that, want of a frame or of
 * room there changes nothing, and the connection is tried again the next turn. Header fields are made anew for every
 * sending, so that a retransmission carries the acknowledgement, window and timestamp of now. */
#include "checksum.h"
#include "stack.h"

enum { TRIES_IN_VAIN = 64 }; /* of a flush */

uint32_t pal__n_tcb_timestamp(const struct tcb *tcb, uint64_t now_ns)
{
    return (uint32_t)(now_ns / TCP_TICK_NS) + tcb->ts_offset;
}

/* The header at frame->data, of 20 bytes and the options behind it; the checksum comes last. */
static void write_header(uint8_t *at, const struct emission *emission, uint32_t options_size)
{
    put16(at + TCP_SRC, emission->tuple->local_port);
    put16(at + TCP_DST, emission->tuple->remote_port);
    put32(at + TCP_SEQ, emission->seq);
    put32(at + TCP_ACK_NUMBER, emission->flags & TCP_ACK ? emission->ack : 0);
    at[TCP_OFFSET] = (uint8_t)((TCP_SIZE + options_size) / 4 << 4);
    at[TCP_FLAGS] = emission->flags;
    put16(at + TCP_WINDOW, emission->window);
    put16(at + TCP_CHECKSUM, 0);
    put16(at + TCP_URGENT, emission->urgent);
}

/* Copies the payload and finishes the checksum, or leaves that to the port. */
static void finish(struct frame *frame, const struct emission *emission, uint32_t header_size, uint32_t caps)
{
    const struct tuple *tuple = emission->tuple;
    uint64_t sum = pal__n_checksum_pseudo(&tuple->local, &tuple->remote, PAL_IPPROTO_TCP, frame->size);

    if (caps & NIC_TX_CHECKSUM) {
        if (emission->size > 0)
            memcpy(frame->data + header_size, emission->payload, emission->size);
        put16(frame->data + TCP_CHECKSUM, pal__n_checksum_fold(sum));
        frame->flags |= FRAME_CSUM_NEEDED;
        frame->csum_start = 0;
        frame->csum_offset = TCP_CHECKSUM;
        return;
    }
    sum = pal__n_checksum_add(sum, frame->data, header_size);
    if (emission->size > 0)
        sum = pal__n_checksum_copy(sum, frame->data + header_size, emission->payload, emission->size);
    put16(frame->data + TCP_CHECKSUM, checksum_finish(sum));
}

int pal__n_tcp_emit(struct netstack *stack, const struct emission *emission)
{
    struct ip_send how = {.dst = emission->dst,
                          .src = emission->tuple->local,
                          .to = emission->tuple->remote,
                          .protocol = PAL_IPPROTO_TCP,
                          .hops = emission->ttl,
                          .tos = emission->tos,
                          .dont_fragment = true};
    uint8_t options[TCP_OPTIONS_SIZE_MAX];
    uint32_t options_size = emission->options == NULL ? 0 : pal__n_tcp_options_write(options, emission->options);
    uint32_t header_size = TCP_SIZE + options_size;
    const struct tcp_run *run = emission->run;
    struct frame *frame;

    if (iface_tx_room(emission->dst->iface) == 0) {
        count(stack, COUNTER_tcp_send_failed);
        return PAL_EAGAIN;
    }
    frame = run != NULL ? run->frame : pal__n_ip_frame(stack, emission->dst, header_size + emission->size);
    if (frame == NULL) {
        count(stack, COUNTER_tcp_send_failed);
        return PAL_ENOBUFS;
    }
    frame->size = header_size + emission->size;
    write_header(frame->data, emission, options_size);
    memcpy(frame->data + TCP_SIZE, options, options_size);
    if (run != NULL) {
        pal__n_tcp_run_finish(run, emission->tuple, header_size);
        how.packets = run->count;
        stack->counters[COUNTER_tcp_out] += run->count;
        count(stack, COUNTER_tcp_tso);
    } else {
        finish(frame, emission, header_size, emission->dst->iface->caps.flags);
        count(stack, COUNTER_tcp_out);
    }
    if (emission->flags & TCP_RST)
        count(stack, COUNTER_tcp_rst_out);
    return pal__n_ip_send(stack, &how, frame);
}

/* The next segment reports what has come out of order, or twice. */
static bool owes_sack(const struct tcb *tcb)
{
    return tcb->flags & TCP_F_SACK && (tcb->ooo != NULL || tcb->dsack.start != tcb->dsack.end);
}

/* Timestamps and SACK blocks of every segment but a SYN. */
static void fill_options(struct tcb *tcb, struct tcp_options *options)
{
    memset(options, 0, sizeof(*options));
    if (tcb->flags & TCP_F_TIMESTAMPS) {
        options->has |= TCP_HAS_TIMESTAMPS;
        options->ts_value = pal__n_tcb_timestamp(tcb, tcb->sock.stack->now_ns);
        options->ts_echo = tcb->ts_recent;
    }
    if (owes_sack(tcb)) {
        uint32_t max = tcb->flags & TCP_F_TIMESTAMPS ? 3 : 4; /* RFC 2018 3: what 40 bytes hold */

        options->sack_count = pal__n_tcb_sack_blocks(tcb, options->sacks, max);
        if (options->sack_count > 0)
            options->has |= TCP_HAS_SACK;
    }
}

static uint32_t options_size(const struct tcp_options *options)
{
    uint8_t bytes[TCP_OPTIONS_SIZE_MAX];

    return pal__n_tcp_options_write(bytes, options);
}

/* What SACK blocks take of the room for payload, beyond what mss has been reduced by already. */
static uint32_t room_for_payload(const struct tcb *tcb, const struct tcp_options *options)
{
    uint32_t standing = tcb->flags & TCP_F_TIMESTAMPS ? 12 : 0;
    uint32_t more = options_size(options) - standing;

    return tcb->mss > more ? tcb->mss - more : 1;
}

static void offer_on_syn(struct tcb *tcb, struct tcp_options *options)
{
    bool answers = tcb->state == TCP_SYN_RECEIVED;

    memset(options, 0, sizeof(*options));
    options->has = TCP_HAS_MSS;
    options->mss = pal__n_tcb_own_mss(tcb);
    if (!answers || tcb->flags & TCP_F_SCALE) {
        options->has |= TCP_HAS_SCALE;
        options->scale = tcb->rcv_scale;
    }
    if (!answers || tcb->flags & TCP_F_SACK)
        options->has |= TCP_HAS_SACK_PERMITTED;
    if (!answers || tcb->flags & TCP_F_TIMESTAMPS) {
        options->has |= TCP_HAS_TIMESTAMPS;
        options->ts_value = pal__n_tcb_timestamp(tcb, tcb->sock.stack->now_ns);
        options->ts_echo = answers ? tcb->ts_recent : 0;
    }
    options->has &= stack_syn_options(tcb->sock.stack);
}

/* An acknowledgement has left, with whatever carried it. */
static void acknowledged(struct tcb *tcb, uint32_t edge)
{
    tcb->rcv_edge = seq_max(tcb->rcv_edge, edge);
    tcb->last_ack_sent = tcb->rcv_nxt;
    tcb->ack_pending = 0;
    tcb->flags &= ~(uint32_t)(TCP_F_ACK_NOW | TCP_F_ACK_DELAYED);
    pal__n_tcb_clear_date(tcb, DATE_DELACK);
}

/* One segment, or a run, with the connection's state of now. False: it could not be handed over. */
static bool emit(struct tcb *tcb, uint32_t seq, uint8_t flags, const uint8_t *payload, uint32_t size,
                 struct tcp_options *options, const struct tcp_run *run)
{
    uint32_t edge = pal__n_tcb_edge(tcb);
    struct emission emission = {.tuple = &tcb->sock.tuple,
                                .dst = tcb->dst,
                                .seq = seq,
                                .ack = tcb->rcv_nxt,
                                .window = (edge - tcb->rcv_nxt) >> tcb->rcv_scale,
                                .options = options,
                                .payload = payload,
                                .run = run,
                                .size = size,
                                .flags = flags,
                                .ttl = tcb->sock.ttl,
                                .tos = tcb->sock.tos};
    int result;

    if (flags & TCP_SYN) { /* RFC 7323 2.2: never scaled */
        uint32_t window = tcb->receive_buffer < UINT16_MAX ? tcb->receive_buffer : UINT16_MAX;

        emission.window = window;
        edge = tcb->rcv_nxt + window;
    }
    result = pal__n_tcp_emit(tcb->sock.stack, &emission);
    if (result == PAL_EAGAIN || result == PAL_ENOBUFS) {
        tcb->flags |= TCP_F_BLOCKED;
        return false;
    }
    if (flags & TCP_ACK)
        acknowledged(tcb, edge);
    return true; /* what the path refused (PAL_EMSGSIZE) counts as lost on it */
}

static uint8_t flags_of(const struct tcb *tcb, const struct seg *seg)
{
    uint8_t flags = TCP_ACK;

    if (seg->flags & SEG_SYN)
        return tcb->state == TCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
    if (seg->flags & SEG_FIN)
        flags |= TCP_FIN;
    if (seg->size > 0 && seg->seq_link.next == &tcb->segs.head)
        flags |= TCP_PSH;
    return flags;
}

/* New segments from seg on, as one frame that the port cuts: the same on the wire as one by one, and counted alike.
 * False: nothing has been done, it is to go alone. */
static bool send_run(struct tcb *tcb, struct seg *seg)
{
    const struct seg *last = seg;
    struct tcp_options options;
    struct tcp_run run;

    if (owes_sack(tcb)) /* which each of them would repeat */
        return false;
    fill_options(tcb, &options);
    if (!pal__n_tcb_run_begin(tcb, seg, TCP_SIZE + options_size(&options), &run))
        return false;
    for (uint32_t i = 1; i < run.count; i++)
        last = seg_of(last->seq_link.next);
    if (!emit(tcb, seg->seq, flags_of(tcb, last), NULL, run.size, &options, &run))
        return false;
    for (uint32_t i = 0; i < run.count; i++) {
        if (tcb->recovery == RECOVERY_FAST)
            tcb->prr_out += seg_length(tcb->unsent);
        pal__n_seg_sent(tcb, tcb->unsent, tcb->sock.stack->now_ns);
    }
    return true;
}

/* The first time or again. Cuts it to what fits beside the options. */
static bool send_seg(struct tcb *tcb, struct seg *seg)
{
    struct netstack *stack = tcb->sock.stack;
    bool again = seg->flags & SEG_SENT;
    struct tcp_options options;
    const uint8_t *payload = seg->chunk == NULL ? NULL : seg->chunk->bytes + seg->offset;

    if (seg->flags & SEG_SYN) {
        offer_on_syn(tcb, &options);
    } else {
        fill_options(tcb, &options);
        if (seg->size > room_for_payload(tcb, &options) &&
            !pal__n_seg_split(tcb, seg, room_for_payload(tcb, &options))) {
            tcb->flags |= TCP_F_BLOCKED;
            return false;
        }
    }
    if (!emit(tcb, seg->seq, flags_of(tcb, seg), payload, seg->size, &options, NULL))
        return false;
    if (seg->flags & SEG_SYN && tcb->syn_sends < UINT8_MAX)
        tcb->syn_sends++;
    pal__n_seg_sent(tcb, seg, stack->now_ns);
    if (again)
        count(stack, COUNTER_tcp_retransmits);
    if (tcb->recovery == RECOVERY_FAST) {
        tcb->prr_out += seg_length(seg);
        if (again && seg->seq == tcb->snd_una) /* its answer has a timeout of its own, or every loss would end in one */
            pal__n_tcb_restart_rto(tcb, stack->now_ns);
    }
    return true;
}

bool pal__n_tcb_resend(struct tcb *tcb, struct seg *seg)
{
    return pal__n_tcb_route(tcb) && send_seg(tcb, seg);
}

bool pal__n_tcb_may_send_small(const struct tcb *tcb, const struct seg *seg, bool has_unacked)
{
    if (tcb->flags & TCP_F_HOLD_OVER || seg->flags & SEG_FIN)
        return true;
    if (seg->seq_link.next != &tcb->segs.head)
        return true; /* more is queued behind it: it will not grow */
    if (seg->flags & SEG_MORE || tcb->flags & TCP_F_CORK)
        return false;
    return tcb->flags & TCP_F_NODELAY || !has_unacked;
}

/* The first unsent segment, cut to what may go now; NULL: nothing may. */
static struct seg *next_new(struct tcb *tcb, bool ignore_cwnd)
{
    struct seg *seg = tcb->unsent;
    uint32_t room, pipe = pal__n_tcb_pipe(tcb);

    if (seg == NULL)
        return NULL;
    if (seg->flags & SEG_SYN)
        return seg;
    room = tcb_window_room(tcb, seg->seq);
    if (room == 0)
        return NULL;
    if (seg->size > tcb->mss && !pal__n_seg_split(tcb, seg, tcb->mss)) {
        tcb->flags |= TCP_F_BLOCKED;
        return NULL;
    }
    if (seg->size < tcb->mss && seg->seq_link.next != &tcb->segs.head)
        pal__n_seg_fill(tcb, seg, tcb->mss); /* the rest of one that was cut goes with what follows */
    if (seg_length(seg) > room && seg->size > 0) {
        bool silly = room < tcb->snd_wnd_max / 2 && room < tcb->mss && !(tcb->flags & TCP_F_HOLD_OVER);

        if (silly || !pal__n_seg_split(tcb, seg, room)) /* if need be, all but its FIN */
            return NULL;
    } else if (seg->size < tcb->mss && !pal__n_tcb_may_send_small(tcb, seg, tcb_has_unacked(tcb))) {
        return NULL;
    }
    return !ignore_cwnd && pipe + seg_length(seg) > tcb->cwnd && pipe > 0 ? NULL : seg; /* see tcp_run.c too */
}

bool pal__n_tcb_send_new(struct tcb *tcb)
{
    struct seg *seg = next_new(tcb, true);

    return seg != NULL && pal__n_tcb_route(tcb) && send_seg(tcb, seg);
}

/* The first LOST segment if it may go now. What lies beyond a shrunk window waits, but for the first. */
static struct seg *next_lost(struct tcb *tcb)
{
    struct seg *seg = pal__n_seg_first_lost(tcb);
    uint32_t pipe = pal__n_tcb_pipe(tcb);

    if (seg == NULL || (tcb->flags & TCP_F_TIMED_OUT && pipe > 0)) /* RFC 6298 5.4, however small they are */
        return NULL;
    if (seg->seq != tcb->snd_una && tcb_window_room(tcb, seg->seq) < seg_length(seg))
        return NULL;
    return pipe + seg_length(seg) > tcb->cwnd && pipe > 0 ? NULL : seg;
}

static void append_wanted_fin(struct tcb *tcb)
{
    if (!(tcb->flags & TCP_F_FIN_WANTED))
        return;
    if (!pal__n_seg_append_control(tcb, SEG_FIN)) {
        tcb->flags |= TCP_F_BLOCKED;
        return;
    }
    tcb->flags = (tcb->flags & ~(uint32_t)TCP_F_FIN_WANTED) | TCP_F_FIN_QUEUED;
}

/* What is lost, then what is new, as far as windows, port and memory allow. */
static void send_data(struct tcb *tcb)
{
    bool sent_new = false, cuts = pal__n_tcb_may_run(tcb);
    struct seg *seg;

    while ((seg = next_lost(tcb)) != NULL) {
        if (!send_seg(tcb, seg))
            return;
    }
    if (pal__n_seg_first_lost(tcb) == NULL) {
        while ((seg = next_new(tcb, false)) != NULL) {
            if (!(cuts && send_run(tcb, seg)) && !send_seg(tcb, seg))
                break;
            sent_new = true;
        }
    }
    if (sent_new) {
        tcb->flags &= ~(uint32_t)TCP_F_HOLD_OVER;
        pal__n_tcb_clear_date(tcb, DATE_HOLD);
        pal__n_tcb_rearm(tcb, tcb->sock.stack->now_ns); /* the RTO, which bounds the probe's date */
        pal__n_tcb_schedule_tlp(tcb, tcb->sock.stack->now_ns);
    }
}

/* The program was refused for want of memory, which another connection may have given back since. */
static void tell_starved(struct tcb *tcb)
{
    if (!(tcb->flags & TCP_F_STARVED))
        return;
    if (!pal__n_seg_has_room(tcb)) {
        if (tcb->snd_una != tcb->snd_end)
            return; /* what gives some back, an ACK, comes by here */
        tcb->flags |= TCP_F_BLOCKED;
        return;
    }
    tcb->flags &= ~(uint32_t)TCP_F_STARVED;
    pal__n_sock_changed(&tcb->sock);
}

/* What waited for a frame or for the port counts from when it leaves. */
static void wait_anew(struct tcb *tcb)
{
    const struct seg *first = seg_of(base_list_first(&tcb->segs));
    bool waits;

    if (!tcb_has_unacked(tcb) || tcb->dst == NULL)
        return;
    waits = seg_in_flight(first) && iface_has(tcb->dst->iface, first->place);
    if (waits)
        tcb->flags |= TCP_F_BLOCKED;
    if (waits || first->sent_ns == tcb->sock.stack->now_ns)
        pal__n_tcb_restart_rto(tcb, tcb->sock.stack->now_ns);
}

void pal__n_tcb_output(struct tcb *tcb)
{
    bool was_blocked = tcb->flags & TCP_F_BLOCKED;

    if (tcb->state == TCP_CLOSED || tcb->state == TCP_LISTEN)
        return;
    tcb->flags &= ~(uint32_t)TCP_F_BLOCKED;
    if (!pal__n_tcb_route(tcb)) {
        if (tcb->state == TCP_SYN_SENT && !tcb_has_unacked(tcb)) /* never begun */
            pal__n_tcb_abort(tcb, tcb->sock.soft_error, false);
        else
            pal__n_tcb_rearm(tcb, tcb->sock.stack->now_ns);
        return;
    }
    if (tcb->mss_path != 0 && tcb->sock.stack->now_ns >= tcb->mss_path_until_ns) {
        tcb->mss_path = 0;
        tcb->path_mtu = 0; /* to be looked at */
    }
    if (tcb->path_mtu != tcb->dst->mtu)
        pal__n_tcb_path_changed(tcb);
    append_wanted_fin(tcb);
    send_data(tcb);
    if (was_blocked)
        wait_anew(tcb);
    tell_starved(tcb);
    if (tcb->flags & TCP_F_ACK_NOW)
        pal__n_tcb_send_ack(tcb);
    pal__n_tcb_rearm(tcb, tcb->sock.stack->now_ns);
}

bool pal__n_tcb_send_ack(struct tcb *tcb)
{
    struct tcp_options options;

    if (!pal__n_tcb_route(tcb))
        return false;
    fill_options(tcb, &options);
    return emit(tcb, tcb->snd_nxt, TCP_ACK, NULL, 0, &options, NULL);
}

/* RFC 9293 3.8.4: an empty segment just below what the peer waits for, which it has to answer, whatever its window. */
void pal__n_tcb_probe(struct tcb *tcb)
{
    struct tcp_options options;

    if (!pal__n_tcb_route(tcb))
        return;
    fill_options(tcb, &options);
    if (!emit(tcb, tcb->snd_una - 1, TCP_ACK, NULL, 0, &options, NULL))
        tcb->flags &= ~(uint32_t)TCP_F_BLOCKED; /* the next probe makes up for it */
}

void pal__n_tcb_send_reset(struct tcb *tcb)
{
    struct emission emission = {.tuple = &tcb->sock.tuple, .seq = tcb->snd_nxt, .flags = TCP_RST};

    if (!pal__n_tcb_route(tcb))
        return;
    emission.dst = tcb->dst;
    if (tcb->state != TCP_SYN_SENT) {
        emission.flags |= TCP_ACK;
        emission.ack = tcb->rcv_nxt;
    }
    (void)pal__n_tcp_emit(tcb->sock.stack, &emission);
}

void pal__n_tcp_reset_for(struct netstack *stack, const struct segment *segment)
{
    struct emission emission = {.tuple = &segment->tuple, .flags = TCP_RST};
    uint32_t via = ip_needs_scope(&segment->tuple.remote) ? segment->packet->iface->index : 0;
    int error;

    if (segment->flags & TCP_RST)
        return;
    if (!pal__n_icmp_may_send(stack, &segment->tuple.remote)) {
        count(stack, COUNTER_tcp_challenge_limited);
        return;
    }
    if (segment->flags & TCP_ACK) {
        emission.seq = segment->ack;
    } else {
        emission.flags |= TCP_ACK;
        emission.ack = segment->seq + segment_length(segment);
    }
    emission.dst = pal__n_dst_get(stack, &segment->tuple.remote, via, &error);
    if (emission.dst == NULL)
        return;
    (void)pal__n_tcp_emit(stack, &emission);
    pal__n_dst_put(stack, emission.dst);
}

void pal__n_tcb_dirty(struct tcb *tcb)
{
    if (tcb->flags & TCP_F_DIRTY)
        return;
    tcb->flags |= TCP_F_DIRTY;
    base_list_push_back(&tcb->sock.stack->dirty, &tcb->dirty_link);
}

void pal__n_tcb_dirty_if_open(struct tcb *tcb)
{
    if (tcb->state >= TCP_ESTABLISHED)
        pal__n_tcb_dirty(tcb);
}

void pal__n_tcb_ack_now(struct tcb *tcb)
{
    tcb->flags |= TCP_F_ACK_NOW;
    pal__n_tcb_dirty(tcb);
}

/* Is all that it has to say an acknowledgement that the program's answer may carry? Then that can wait for the end of
 * the turn. What shows a loss, and what nobody is told of, goes at once. */
static bool may_hold(const struct tcb *tcb)
{
    return tcb->flags & TCP_F_ACK_NOW && !(tcb->flags & TCP_F_QUICKACK) && tcb->ooo == NULL && tcb->read_bytes > 0 &&
           tcb->sock.interest & PAL_IN && !(tcb->flags & TCP_F_FIN_RECEIVED) && tcb->unsent == NULL && tcb->lost == 0;
}

/* One dirty connection. False: something stands in its way, and it is on that list. */
static bool flush_one(struct base_link *link, struct base_list *blocked)
{
    struct tcb *tcb = BASE_CONTAINER_OF(link, struct tcb, dirty_link);

    tcb->flags &= ~(uint32_t)TCP_F_DIRTY;
    pal__n_tcb_output(tcb);
    if (!(tcb->flags & TCP_F_BLOCKED) || tcb->flags & TCP_F_DIRTY)
        return true;
    tcb->flags |= TCP_F_DIRTY;
    base_list_push_back(blocked, link);
    return false;
}

/* Data goes before acknowledgements that were held back: the peer waits for it. With so many in vain a port is full,
 * and nobody else is looked at: else every turn would try all who wait. They are the first of the next. */
void pal__n_tcp_flush(struct netstack *stack, bool hold)
{
    struct base_list held, blocked;
    struct base_link *link;
    int in_vain = 0;
    bool is_full;

    base_list_init(&held);
    base_list_init(&blocked);
    pal__n_tcp_open_windows(stack);
    while (in_vain < TRIES_IN_VAIN && (link = base_list_pop_front(&stack->dirty)) != NULL) {
        if (may_hold(BASE_CONTAINER_OF(link, struct tcb, dirty_link)))
            base_list_push_back(&held, link);
        else
            in_vain += !flush_one(link, &blocked);
    }
    while (!hold && in_vain < TRIES_IN_VAIN && (link = base_list_pop_front(&held)) != NULL)
        in_vain += !flush_one(link, &blocked);
    is_full = in_vain == TRIES_IN_VAIN;
    /* The last one says whether there is something to send at once (pal__n_stack_next). */
    base_list_append(&stack->dirty, is_full ? &held : &blocked);
    base_list_append(&stack->dirty, is_full ? &blocked : &held);
}
