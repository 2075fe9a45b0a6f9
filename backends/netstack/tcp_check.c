/* tcp_check.c: what holds of every connection whenever nothing is under way: counts recount right, lists are in order,
 * and whatever is pending has something that will bring it on. For tests; check.c walks the rest. */
#include "stack.h"

static bool has_date(const struct tcb *tcb, enum tcp_date date)
{
    return tcb->dates[date] != UINT64_MAX;
}

/* What one walk of the send queue adds up to. */
struct tally {
    uint32_t in_flight, sacked, lost;
    uint32_t flying; /* segments */
};

static void add(struct tally *tally, const struct seg *seg)
{
    if ((seg->flags & SEG_SACKED) != 0) {
        tally->sacked += seg_length(seg);
    } else if ((seg->flags & SEG_LOST) != 0) {
        tally->lost += seg_length(seg);
    } else if ((seg->flags & SEG_SENT) != 0) {
        tally->in_flight += seg_length(seg);
        tally->flying++;
    }
}

static const char *check_seg(const struct seg *seg)
{
    if ((seg->flags & (SEG_SACKED | SEG_LOST)) != 0 && (seg->flags & SEG_SENT) == 0)
        return "a segment is SACKED or LOST, but was never sent";
    if ((seg->flags & SEG_SACKED) != 0 && (seg->flags & SEG_LOST) != 0)
        return "a segment is SACKED and LOST";
    if (seg_in_flight(seg) != base_link_is_linked(&seg->time_link))
        return "a segment is in flight and not in the list by time, or the other way round";
    if (seg->size > 0 && (seg->chunk == NULL || seg->chunk->refs == 0 || seg->offset + seg->size > CHUNK_ROOM))
        return "a segment's bytes are not in a chunk";
    return seg_length(seg) == 0 ? "an empty segment is queued" : NULL;
}

/* By sequence, without gaps, from snd_una to snd_end; what was sent in front. */
static const char *check_queue(const struct tcb *tcb, struct tally *tally)
{
    const struct seg *unsent = NULL;
    bool before_hint = tcb->lost_hint != NULL;
    uint32_t seq = tcb->snd_una;

    BASE_LIST_EACH(link, &tcb->segs)
    {
        const struct seg *seg = BASE_CONTAINER_OF(link, const struct seg, seq_link);
        const char *wrong = check_seg(seg);

        if (wrong != NULL)
            return wrong;
        if (seg->seq != seq)
            return "the send queue has a gap or an overlap, or does not begin at snd_una";
        if ((seg->flags & SEG_SENT) != 0 && unsent != NULL)
            return "a segment was sent before the one in front of it";
        if ((seg->flags & SEG_SENT) == 0 && unsent == NULL)
            unsent = seg;
        before_hint = before_hint && seg != tcb->lost_hint;
        if (before_hint && (seg->flags & SEG_LOST) != 0)
            return "a LOST segment lies before lost_hint";
        add(tally, seg);
        seq = seg_end(seg);
    }
    if (seq != tcb->snd_end)
        return "the send queue does not end at snd_end";
    if (tcb->unsent != unsent)
        return "unsent is not the first unsent segment";
    if (tcb->snd_nxt != (unsent != NULL ? unsent->seq : tcb->snd_end))
        return "snd_nxt is not where what was sent ends";
    return NULL;
}

static const char *check_sent_list(const struct tcb *tcb, const struct tally *tally)
{
    uint64_t sent_ns = 0;
    uint32_t flying = 0;

    BASE_LIST_EACH(link, &tcb->sent_list)
    {
        const struct seg *seg = BASE_CONTAINER_OF(link, const struct seg, time_link);

        if (seg->sent_ns < sent_ns)
            return "the list by time is not sorted";
        sent_ns = seg->sent_ns;
        flying++;
    }
    return flying != tally->flying ? "the list by time is not what is in flight" : NULL;
}

static const char *check_sending(const struct tcb *tcb)
{
    struct tally tally = {0, 0, 0, 0};
    const char *wrong = check_queue(tcb, &tally);

    if (wrong == NULL)
        wrong = check_sent_list(tcb, &tally);
    if (wrong != NULL)
        return wrong;
    if (tally.in_flight != tcb->in_flight)
        return "in_flight does not recount";
    if (tally.sacked != tcb->sacked)
        return "sacked does not recount";
    if (tally.lost != tcb->lost)
        return "lost does not recount";
    if (seq_gt(tcb->snd_una, tcb->snd_nxt) || seq_gt(tcb->snd_nxt, tcb->snd_end))
        return "snd_una, snd_nxt and snd_end are out of order";
    return NULL;
}

static const char *check_ranges(const struct tcb *tcb)
{
    uint32_t end = tcb->rcv_nxt, ranges = 0, bytes = 0;

    for (const struct frame *range = tcb->ooo; range != NULL; range = range->next) {
        if (!seq_gt(range->seq, end))
            return "ranges behind holes are not sorted, touch, or are no longer behind one";
        if (!seq_gt(range->end, range->seq))
            return "a range behind a hole is empty";
        end = range->end;
        ranges++;
        bytes += range->end - range->seq;
    }
    if (ranges != tcb->ooo_count || bytes != tcb->ooo_bytes)
        return "ooo_count or ooo_bytes does not recount";
    return NULL;
}

static const char *check_receiving(const struct tcb *tcb)
{
    uint32_t fin = (tcb->flags & TCP_F_FIN_RECEIVED) != 0, bytes = 0;

    for (const struct frame *frame = tcb->recv_first; frame != NULL; frame = frame->next)
        bytes += frame->size;
    if (bytes != tcb->read_bytes)
        return "read_bytes does not recount";
    if (tcb->state < TCP_ESTABLISHED)
        return NULL;
    if (seq_gt(tcb->rcv_nxt - fin, tcb->rcv_edge))
        return "rcv_nxt lies beyond the window that the peer was told of";
    return check_ranges(tcb);
}

/* Requirement tcp.rtx.invariant-timer: a connection that has something to do is on the dirty list, or has a date. */
static const char *check_dates(const struct tcb *tcb)
{
    bool is_seen_to = (tcb->flags & (TCP_F_DIRTY | TCP_F_BLOCKED)) != 0;
    bool repairs = has_date(tcb, DATE_RTO) || has_date(tcb, DATE_TLP) || has_date(tcb, DATE_REO);
    bool waits = has_date(tcb, DATE_PERSIST) || has_date(tcb, DATE_HOLD);
    uint64_t earliest_ns = pal__n_tcb_earliest(tcb);

    if (earliest_ns != UINT64_MAX && (!timer_is_armed(&tcb->timer) || tcb->timer.due_ns > earliest_ns))
        return "a date has no timer";
    if (tcb_has_unacked(tcb) && !repairs && !is_seen_to)
        return "something is unacknowledged, and no timer will see to it";
    if (tcb->unsent != NULL && !repairs && !waits && !is_seen_to)
        return "something waits to be sent, and no timer will see to it";
    if (has_date(tcb, DATE_PERSIST) && has_date(tcb, DATE_RTO))
        return "window probes and retransmission are both armed";
    if ((tcb->flags & TCP_F_FIN_WANTED) != 0 && !is_seen_to)
        return "a FIN waits for a descriptor, and nothing will see to it";
    if ((tcb->flags & TCP_F_ACK_NOW) != 0 && (tcb->flags & TCP_F_DIRTY) == 0)
        return "an ACK is owed, and nothing will send it";
    if ((tcb->flags & TCP_F_ACK_DELAYED) != 0 && !has_date(tcb, DATE_DELACK) && !is_seen_to)
        return "a delayed ACK has no timer";
    return NULL;
}

static const char *check_rest(const struct tcb *tcb)
{
    if (!base_list_is_empty(&tcb->segs) || timer_is_armed(&tcb->timer) || tcb->dst != NULL)
        return "a connection that is over has a timer, a path or something to send";
    if ((tcb->flags & (TCP_F_DIRTY | TCP_F_DEMUXED)) != 0)
        return "a connection that is over is dirty or has a place in the demultiplexer";
    return NULL;
}

const char *pal__n_tcb_check(const struct tcb *tcb)
{
    const char *wrong;

    if (((tcb->flags & TCP_F_DIRTY) != 0) != base_link_is_linked(&tcb->dirty_link))
        return "TCP_F_DIRTY does not say whether it is in the dirty list";
    if (tcb->state == TCP_CLOSED || tcb->state == TCP_LISTEN)
        return check_rest(tcb);
    wrong = check_sending(tcb);
    if (wrong == NULL)
        wrong = check_receiving(tcb);
    return wrong != NULL ? wrong : check_dates(tcb);
}
