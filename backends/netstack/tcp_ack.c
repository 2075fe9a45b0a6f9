/* tcp_ack.c: what an acknowledgement does: frees, measures, finds losses, opens windows (RFC 9293 3.10.7.4).
 *
 * The order matters: the scoreboard first, then samples and RACK's state while the descriptors are still there, then
 * what is lost, then how much may be in flight. Nothing is sent here: the connection is marked dirty. */
#include "stack.h"

/* RFC 9293 3.10.7.4: only from segments that are not older than the one it was last taken from. */
static void take_window(struct tcb *tcb, const struct segment *segment)
{
    uint32_t window = segment->window;

    if (seq_gt(tcb->snd_wl1, segment->seq) || (tcb->snd_wl1 == segment->seq && seq_gt(tcb->snd_wl2, segment->ack)))
        return;
    if (!(segment->flags & TCP_SYN) && tcb->flags & TCP_F_SCALE)
        window <<= tcb->snd_scale;
    if (window > tcb->snd_wnd && tcb->probes > 0) { /* what the persist timer waited for */
        tcb->probes = 0;
        tcb->backoff = 0;
        pal__n_tcb_clear_date(tcb, DATE_PERSIST);
    }
    if (window > 0 && tcb->snd_wnd == 0 && tcb_is_synchronised(tcb)) { /* what was not taken is on its way anew */
        tcb->unacked_since_ns = segment->time_ns;
        tcb->backoff = 0;
        if (tcb->dates[DATE_RTO] != UINT64_MAX)
            pal__n_tcb_restart_rto(tcb, segment->time_ns);
    }
    if (window != tcb->snd_wnd)
        pal__n_tcb_dirty(tcb);
    tcb->snd_wnd = window;
    if (window > tcb->snd_wnd_max)
        tcb->snd_wnd_max = window;
    tcb->snd_wl1 = segment->seq;
    tcb->snd_wl2 = segment->ack;
}

/* Does the timestamp say that the answer is to the latest sending? Without timestamps nobody knows (Karn). */
static bool echoes_latest(const struct tcb *tcb, const struct seg *seg, const struct segment *segment)
{
    return tcb->flags & TCP_F_TIMESTAMPS && segment->options.has & TCP_HAS_TIMESTAMPS &&
           seq_geq(segment->options.ts_echo, pal__n_tcb_timestamp(tcb, seg->sent_ns));
}

void pal__n_tcb_delivered(struct tcb *tcb, const struct seg *seg, const struct segment *segment,
                          struct delivery *delivery)
{
    uint64_t rtt_ns = segment->time_ns > seg->sent_ns ? segment->time_ns - seg->sent_ns : 0;
    bool latest = echoes_latest(tcb, seg, segment);

    delivery->delivered += seg_length(seg);
    if (seg->flags & SEG_DOUBTED)
        return;
    if (!(seg->flags & SEG_RESENT) || (latest && !seg->blurred)) {
        if (rtt_ns < delivery->rtt_ns)
            delivery->rtt_ns = rtt_ns; /* of the one that was sent last */
    } else {
        delivery->ambiguous = true;
        delivery->original_arrived = tcb->flags & TCP_F_TIMESTAMPS && !latest;
    }
    pal__n_tcb_rack_delivered(tcb, seg, segment, delivery);
}

/* Everything below ack is at the peer. */
static void take_cumulative(struct tcb *tcb, const struct segment *segment, struct delivery *delivery)
{
    BASE_LIST_EACH(link, &tcb->segs)
    {
        const struct seg *seg = seg_of(link);

        if (!(seg->flags & SEG_SENT) || seq_gt(seg_end(seg), segment->ack))
            break;
        if (!(seg->flags & SEG_SACKED))
            pal__n_tcb_delivered(tcb, seg, segment, delivery);
    }
    delivery->acked = segment->ack - tcb->snd_una;
    pal__n_seg_acked(tcb, segment->ack);
    tcb->snd_una = segment->ack;
    tcb->timeouts = 0;
    tcb->blackhole = 0;
    tcb->unacked_since_ns = segment->time_ns;
    tcb->sock.soft_error = 0;
    pal__n_tcb_clear_date(tcb, DATE_RTO);
    pal__n_tcb_clear_date(tcb, DATE_USER);
    if (tcb->dst != NULL && tcb->dst->neigh != NULL)
        pal__n_neigh_confirm(tcb->dst->neigh);
}

/* RFC 5681 2. */
static bool is_duplicate(const struct tcb *tcb, const struct segment *segment)
{
    uint32_t window = tcb->flags & TCP_F_SCALE ? segment->window << tcb->snd_scale : segment->window;

    return segment->ack == tcb->snd_una && tcb_has_unacked(tcb) && segment->size == 0 &&
           !(segment->flags & (TCP_SYN | TCP_FIN)) && window == tcb->snd_wnd;
}

static void find_losses(struct tcb *tcb, const struct segment *segment, struct delivery *delivery)
{
    if (tcb->flags & TCP_F_SACK) {
        if (delivery->delivered > 0 &&
            (tcb->sacked > 0 || tcb->recovery != RECOVERY_NONE || tcb->flags & TCP_F_REORDERED))
            delivery->lost_more = pal__n_tcb_rack_detect(tcb, segment->time_ns);
        else if (delivery->acked > 0)
            pal__n_tcb_clear_date(tcb, DATE_REO);
    } else {
        pal__n_tcb_reno_in(tcb, delivery);
    }
}

static void adjust_window(struct tcb *tcb, const struct delivery *delivery)
{
    bool was_limited = delivery->outstanding_before + 2U * tcb->mss > tcb->cwnd ||
                       (tcb->cwnd < tcb->ssthresh && delivery->outstanding_before >= tcb->cwnd / 2);

    if (delivery->delivered > 0)
        tcb->flags &= ~(uint32_t)TCP_F_TIMED_OUT;
    if (delivery->lost_more && tcb->recovery == RECOVERY_NONE)
        pal__n_tcb_enter_recovery(tcb);
    if (tcb->recovery != RECOVERY_NONE)
        pal__n_tcb_recovery_acked(tcb, delivery);
    else if (delivery->acked > 0 && was_limited)
        pal__n_cc_acked(tcb, delivery->acked);
}

bool pal__n_tcb_ack(struct tcb *tcb, const struct segment *segment)
{
    struct delivery delivery = {.fack_before = tcb->fack, .rtt_ns = UINT64_MAX};

    if (seq_gt(segment->ack, tcb->snd_nxt) || seq_lt(segment->ack, tcb->snd_una - tcb->snd_wnd_max)) {
        count(tcb->sock.stack, COUNTER_tcp_drop_ack_range); /* RFC 5961 5.2 */
        pal__n_tcb_challenge(tcb);
        return false;
    }
    if (seq_lt(segment->ack, tcb->snd_una))
        return true; /* old: its data may be new */
    delivery.outstanding_before = tcb->snd_nxt - tcb->snd_una;
    delivery.was_duplicate = is_duplicate(tcb, segment);
    take_window(tcb, segment);
    if (!tcb_has_unacked(tcb) && !(tcb->flags & TCP_F_TLP_OUT))
        return true;
    if (tcb->flags & TCP_F_SACK)
        pal__n_tcb_sack_in(tcb, segment, &delivery);
    if (!tcb_has_unacked(tcb)) {
        pal__n_tcb_tlp_acked(tcb, segment, &delivery);
        return true;
    }
    if (seq_gt(segment->ack, tcb->snd_una))
        take_cumulative(tcb, segment, &delivery);
    if (delivery.rtt_ns != UINT64_MAX && !delivery.ambiguous)
        pal__n_tcb_rtt_sample(tcb, delivery.rtt_ns);
    pal__n_tcb_tlp_acked(tcb, segment, &delivery);
    if (delivery.acked > 0)
        pal__n_tcb_look_for_reneging(tcb);
    find_losses(tcb, segment, &delivery);
    adjust_window(tcb, &delivery);
    if (delivery.acked > 0) {
        if (tcb_has_unacked(tcb))
            pal__n_tcb_restart_rto(tcb, segment->time_ns);
        pal__n_tcb_schedule_tlp(tcb, segment->time_ns);
        pal__n_sock_changed(&tcb->sock);
    } else if (tcb->sacked != 0) {
        pal__n_tcb_clear_date(tcb, DATE_TLP);
    }
    pal__n_tcb_dirty(tcb);
    return true;
}
