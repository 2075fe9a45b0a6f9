/* tcp_recv.c: the receive queue: bytes in order, ranges behind holes, the window and the SACK blocks that tell of both.
 *
 * Bytes stay in the frames that brought them. What is in order is a chain by `next`, from recv_first on. What lies
 * behind holes is a list of ranges by `next`: the first frame of a range stands for it (seq, end), its others hang on
 * `more`, the last one is `last`. So a duplicate ACK costs by ranges, of which there are TCP_OOO_RANGES_MAX at most,
 * and never by frames. Of bytes that come twice the first copy wins. */
#include "stack.h"

enum {
    COMPACT_MAX = 512,    /* a payload up to this is copied behind the last one, if that frame has room */
    FRAME_CHARGE = 2048,  /* what a frame kept behind a hole counts for at least */
    OVERSHOOT = 64 * 1024 /* beyond its buffer a connection may hold this much: scaled windows are rounded up */
};

static void keep(struct tcb *tcb)
{
    tcb->sock.stack->held_frames++;
}

static void give_back(struct tcb *tcb, struct frame *frame)
{
    tcb->sock.stack->held_frames--;
    frame_free(frame);
}

/* A frame in order, whose data is what is new of it. */
static void append(struct tcb *tcb, struct frame *frame)
{
    struct frame *last = tcb->recv_last;

    tcb->read_bytes += frame->size;
    tcb->rcv_nxt += frame->size;
    if (frame->size <= COMPACT_MAX && tcb->recv_first != NULL && frame_tailroom(last) >= frame->size) {
        memcpy(last->data + last->size, frame->data, frame->size);
        last->size += frame->size;
        give_back(tcb, frame);
        return;
    }
    frame->next = NULL;
    if (tcb->recv_first == NULL)
        tcb->recv_first = frame;
    else
        last->next = frame;
    tcb->recv_last = frame;
}

static void uncount_range(struct tcb *tcb, const struct frame *head)
{
    tcb->ooo_count--;
    tcb->ooo_bytes -= head->end - head->seq;
}

/* Ranges that are not behind a hole any more. */
static void take_from_ranges(struct tcb *tcb)
{
    struct frame *head;

    while ((head = tcb->ooo) != NULL && seq_leq(head->seq, tcb->rcv_nxt)) {
        tcb->ooo = head->next;
        uncount_range(tcb, head);
        for (struct frame *frame = head, *more; frame != NULL; frame = more) {
            uint32_t seen = tcb->rcv_nxt - frame->seq;

            more = frame->more;
            tcb->ooo_frames--;
            if (seq_gt(tcb->rcv_nxt, frame->seq)) {
                if (seen >= frame->size) {
                    give_back(tcb, frame);
                    continue;
                }
                frame_pull(frame, seen);
            }
            append(tcb, frame);
        }
    }
}

static void drop_range(struct tcb *tcb, struct frame *head)
{
    for (struct frame *frame = head, *more; frame != NULL; frame = more) {
        more = frame->more;
        tcb->ooo_frames--;
        give_back(tcb, frame);
    }
}

/* The next range begins where this one ends. */
static void join_following(struct frame *head)
{
    struct frame *following = head->next;

    if (following == NULL || following->seq != head->end)
        return;
    head->last->more = following;
    head->last = following->last;
    head->end = following->end;
    head->next = following->next;
}

/* Puts a frame that overlaps nothing between two ranges, or at the end of the first or front of the second. */
static void insert_between(struct tcb *tcb, struct frame **place, struct frame *before, struct frame *frame)
{
    tcb->ooo_frames++;
    tcb->ooo_bytes += frame->size;
    frame->end = frame->seq + frame->size;
    frame->more = NULL;
    if (before != NULL && before->end == frame->seq) {
        before->last->more = frame;
        before->last = frame;
        before->end = frame->end;
        if (before->next != NULL && before->next->seq == before->end)
            tcb->ooo_count--;
        join_following(before);
        return;
    }
    frame->last = frame;
    frame->next = *place;
    *place = frame;
    tcb->ooo_count++;
    if (frame->next != NULL && frame->next->seq == frame->end)
        tcb->ooo_count--;
    join_following(frame);
}

/* Has the peer, or the net, made us keep more than the buffer allows for? Small payloads in large frames count for the
 * frames. */
static bool ooo_is_full(const struct tcb *tcb, const struct frame *frame)
{
    if (tcb->ooo_bytes + frame->size > tcb->receive_buffer + OVERSHOOT)
        return true;
    return (tcb->ooo_frames + 1) / 2 > tcb->receive_buffer / FRAME_CHARGE + TCP_OOO_RANGES_MAX;
}

/* Keeps what no range has yet. A frame that reaches over a range is cut before it: the rest comes again. True: kept. */
static bool insert(struct tcb *tcb, struct frame *frame)
{
    struct frame **place = &tcb->ooo, *before = NULL;

    while (*place != NULL && seq_leq((*place)->seq, frame->seq)) {
        before = *place;
        place = &before->next;
    }
    if (before != NULL && seq_gt(before->end, frame->seq)) {
        uint32_t seen = before->end - frame->seq;

        if (seen >= frame->size)
            return false;
        frame_pull(frame, seen);
        frame->seq += seen;
    }
    if (*place != NULL && seq_gt(frame->seq + frame->size, (*place)->seq))
        frame->size = (*place)->seq - frame->seq;
    if (frame->size == 0)
        return false;
    if (ooo_is_full(tcb, frame) ||
        (tcb->ooo_count >= TCP_OOO_RANGES_MAX && (before == NULL || before->end != frame->seq))) {
        count(tcb->sock.stack, COUNTER_tcp_ooo_dropped);
        return false;
    }
    keep(tcb);
    count(tcb->sock.stack, COUNTER_tcp_ooo_queued);
    insert_between(tcb, place, before, frame);
    return true;
}

static const struct frame *range_of(const struct tcb *tcb, uint32_t seq)
{
    for (const struct frame *head = tcb->ooo; head != NULL && seq_leq(head->seq, seq); head = head->next) {
        if (seq_lt(seq, head->end))
            return head;
    }
    return NULL;
}

/* The latest first, and each range once, however often it has grown: what counts is in which range a number lies. */
static void note_recent(struct tcb *tcb, const struct frame *range)
{
    uint32_t recent[TCP_SACK_BLOCKS_MAX] = {range->seq}, found = 1;

    for (uint32_t i = 0; i < tcb->sack_recent_count && found < TCP_SACK_BLOCKS_MAX; i++) {
        if (!seq_within(tcb->sack_recent[i], range->seq, range->end - range->seq))
            recent[found++] = tcb->sack_recent[i];
    }
    memcpy(tcb->sack_recent, recent, sizeof(recent));
    tcb->sack_recent_count = (uint8_t)found;
}

static bool has_block(const struct tcp_sack_block *blocks, uint32_t count, uint32_t start)
{
    for (uint32_t i = 0; i < count; i++) {
        if (blocks[i].start == start)
            return true;
    }
    return false;
}

/* RFC 2018 4: the range that has changed last first, then those reported before it, then what there is room for. */
uint32_t pal__n_tcb_sack_blocks(struct tcb *tcb, struct tcp_sack_block *blocks, uint32_t max)
{
    uint32_t first = 0, found;

    if (tcb->dsack.start != tcb->dsack.end && max > 0) {
        blocks[first++] = tcb->dsack;
        tcb->dsack.start = tcb->dsack.end;
    }
    found = first;
    for (uint32_t i = 0; i < tcb->sack_recent_count && found < max; i++) {
        const struct frame *range = range_of(tcb, tcb->sack_recent[i]);

        if (range != NULL && !has_block(blocks + first, found - first, range->seq))
            blocks[found++] = (struct tcp_sack_block){range->seq, range->end};
    }
    for (const struct frame *range = tcb->ooo; range != NULL && found < max; range = range->next) {
        if (!has_block(blocks + first, found - first, range->seq))
            blocks[found++] = (struct tcp_sack_block){range->seq, range->end};
    }
    return found;
}

/* RFC 5681 4.2: what shows that something is missing, or fills a hole, is answered at once. */
static void owe_ack(struct tcb *tcb, uint32_t bytes, bool at_once)
{
    const struct netstack_config *config = &tcb->sock.stack->config;

    tcb->ack_pending += bytes;
    if (at_once || config->ack_delay_ns == 0 || tcb->flags & TCP_F_QUICKACK || tcb->ack_pending >= 2U * tcb->mss) {
        pal__n_tcb_ack_now(tcb);
        return;
    }
    tcb->flags |= TCP_F_ACK_DELAYED;
    if (tcb->dates[DATE_DELACK] == UINT64_MAX)
        pal__n_tcb_set_date(tcb, DATE_DELACK, tcb->sock.stack->now_ns + config->ack_delay_ns);
}

/* Cuts off what was received before. False: nothing is left. */
static bool cut_seen(struct tcb *tcb, struct segment *segment, struct frame *frame)
{
    uint32_t seen;

    if (seq_geq(segment->seq, tcb->rcv_nxt))
        return true;
    seen = tcb->rcv_nxt - segment->seq;
    if (tcb->flags & TCP_F_SACK) {
        tcb->dsack.start = segment->seq;
        tcb->dsack.end = segment->seq + (seen < segment->size ? seen : segment->size);
    }
    if (seen >= segment->size)
        return false;
    frame_pull(frame, seen);
    segment->seq += seen;
    segment->size -= seen;
    return true;
}

/* What is next reaches into ranges: of the bytes that lie there already, it takes those. */
static void keep_first_copy(const struct tcb *tcb, struct frame *frame)
{
    uint32_t end = tcb->rcv_nxt + frame->size;

    for (const struct frame *head = tcb->ooo; head != NULL && seq_lt(head->seq, end); head = head->next) {
        for (const struct frame *part = head; part != NULL && seq_lt(part->seq, end); part = part->more) {
            uint32_t size = seq_min(part->seq + part->size, end) - part->seq;

            memcpy(frame->data + (part->seq - tcb->rcv_nxt), part->data, size);
        }
    }
}

static void receive_in_order(struct tcb *tcb, struct frame *frame)
{
    bool had_holes = tcb->ooo != NULL;
    uint32_t size = frame->size;

    keep_first_copy(tcb, frame);
    keep(tcb);
    append(tcb, frame);
    take_from_ranges(tcb);
    owe_ack(tcb, size, had_holes);
    pal__n_sock_changed(&tcb->sock);
}

void pal__n_tcb_receive(struct tcb *tcb, struct segment *segment)
{
    struct frame *frame = segment->packet->frame;
    uint32_t seq = segment->seq, size = segment->size;
    const struct frame *range;

    frame_pull(frame, (uint32_t)(segment->payload - frame->data));
    frame->size = size;
    if (!cut_seen(tcb, segment, frame)) {
        frame_free(frame);
        pal__n_tcb_ack_now(tcb);
        return;
    }
    if (segment->seq == tcb->rcv_nxt) {
        receive_in_order(tcb, frame);
        return;
    }
    frame->seq = segment->seq;
    if (!insert(tcb, frame)) {
        range = range_of(tcb, seq);
        if (tcb->flags & TCP_F_SACK && range != NULL)
            tcb->dsack = (struct tcp_sack_block){seq, seq_min(seq + size, range->end)};
        frame_free(frame);
    }
    range = range_of(tcb, seq); /* also of a duplicate: it is what the second block tells (RFC 2883 4) */
    if (range != NULL)
        note_recent(tcb, range);
    owe_ack(tcb, 0, true);
}

/* RFC 9293 3.8.6.2.2: the edge moves by a segment or by half of the buffer, or it stays; and it never goes back, not
 * even by the rounding of the scale (RFC 7323 2.3), so that is upwards where it stays. Segments smaller than a unit of
 * the scale would by that hold it open for ever: once it lies far beyond the buffer, rounding is downwards (RFC 7323
 * 2.4), while rcv_edge, up to which bytes are taken, stays. */
uint32_t pal__n_tcb_edge(const struct tcb *tcb)
{
    uint32_t free = tcb->receive_buffer > tcb->read_bytes ? tcb->receive_buffer - tcb->read_bytes : 0;
    uint32_t unit = UINT32_C(1) << tcb->rcv_scale;
    uint32_t most = (uint32_t)UINT16_MAX << tcb->rcv_scale;
    uint32_t step = tcb->mss < tcb->receive_buffer / 2 ? tcb->mss : tcb->receive_buffer / 2;
    uint32_t edge;

    if (free > most)
        free = most;
    edge = tcb->rcv_nxt + (free & ~(unit - 1));
    if (seq_lt(edge, tcb->rcv_edge + step) || stack_is_short(tcb->sock.stack)) {
        uint32_t kept = seq_gt(tcb->rcv_edge, tcb->rcv_nxt) ? tcb->rcv_edge - tcb->rcv_nxt : 0;

        if (tcb->read_bytes + kept <= tcb->receive_buffer + OVERSHOOT / 2)
            kept += unit - 1;
        edge = tcb->rcv_nxt + (kept & ~(unit - 1));
    }
    return edge;
}

/* The window would open, but sockets hold too many frames: when they have given some back, it is looked at again. */
static void wait_for_frames(struct tcb *tcb)
{
    if (!base_link_is_linked(&tcb->short_link))
        base_list_push_back(&tcb->sock.stack->short_of_frames, &tcb->short_link);
}

void pal__n_tcp_open_windows(struct netstack *stack)
{
    struct base_link *link;

    if (stack->held_frames > stack->config.held_frames_max / 4 * 3)
        return;
    while ((link = base_list_pop_front(&stack->short_of_frames)) != NULL)
        pal__n_tcb_consumed(BASE_CONTAINER_OF(link, struct tcb, short_link));
}

void pal__n_tcb_consumed(struct tcb *tcb)
{
    if (tcb_can_receive(tcb) && stack_is_short(tcb->sock.stack))
        wait_for_frames(tcb);
    if (tcb_can_receive(tcb) && seq_gt(pal__n_tcb_edge(tcb), tcb->rcv_edge + (UINT32_C(1) << tcb->rcv_scale))) {
        /* What the peer still has to send fits as it is: then it need not be told. */
        uint32_t open = tcb->rcv_edge - tcb->rcv_nxt;

        if (open < tcb->receive_buffer / 2)
            pal__n_tcb_ack_now(tcb);
    }
}

void pal__n_tcb_drop_ranges(struct tcb *tcb)
{
    struct frame *head;

    while ((head = tcb->ooo) != NULL) {
        tcb->ooo = head->next;
        uncount_range(tcb, head);
        drop_range(tcb, head);
    }
}

void pal__n_tcb_drop_received(struct tcb *tcb)
{
    struct frame *frame;

    while ((frame = tcb->recv_first) != NULL) {
        tcb->recv_first = frame->next;
        give_back(tcb, frame);
    }
    tcb->recv_last = NULL;
    tcb->read_bytes = 0;
    pal__n_tcb_drop_ranges(tcb);
}
