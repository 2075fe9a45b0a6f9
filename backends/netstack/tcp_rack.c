/* tcp_rack.c: what is lost is told by time (RACK), and a lost tail by a probe (TLP): RFC 8985.
 *
 * RACK needs SACK; without it duplicate ACKs are counted (tcp_sack.c). The list by time of sending is walked from its
 * oldest end and only as far as segments are old enough, so an ACK costs what it marks. */
#include "stack.h"

enum { TLP_WITHOUT_SAMPLE_NS = 1000000000 };

/* Was the first sent after the second? What left in one turn is told apart by its place in the stream. */
static bool sent_after(uint64_t left_ns, uint32_t left_end, uint64_t right_ns, uint32_t right_end)
{
    return left_ns > right_ns || (left_ns == right_ns && seq_gt(left_end, right_end));
}

/* A retransmission that is answered too soon: the answer is to the original (6.2 step 2). */
static bool is_spurious(const struct tcb *tcb, const struct seg *seg, const struct segment *segment, uint64_t rtt_ns)
{
    if (!(seg->flags & SEG_RESENT))
        return false;
    if (tcb->flags & TCP_F_TIMESTAMPS && segment->options.has & TCP_HAS_TIMESTAMPS &&
        seq_lt(segment->options.ts_echo, pal__n_tcb_timestamp(tcb, seg->sent_ns)))
        return true;
    return rtt_ns < tcb->min_rtt_ns;
}

void pal__n_tcb_rack_delivered(struct tcb *tcb, const struct seg *seg, const struct segment *segment,
                               const struct delivery *delivery)
{
    uint64_t rtt_ns = segment->time_ns > seg->sent_ns ? segment->time_ns - seg->sent_ns : 0;

    if (!(seg->flags & SEG_RESENT) && seq_lt(seg_end(seg), delivery->fack_before))
        tcb->flags |= TCP_F_REORDERED; /* something behind it arrived before it, and it was never sent again */
    tcb->fack = seq_max(tcb->fack, seg_end(seg));
    if (is_spurious(tcb, seg, segment, rtt_ns))
        return;
    if (tcb->rack_sent_ns == 0 || sent_after(seg->sent_ns, seg_end(seg), tcb->rack_sent_ns, tcb->rack_end)) {
        tcb->rack_sent_ns = seg->sent_ns;
        tcb->rack_end = seg_end(seg);
        tcb->rack_rtt_ns = rtt_ns;
    }
}

/* How much later than expected a segment may be before it is lost (6.2 step 4). */
static uint64_t reorder_window(const struct tcb *tcb)
{
    uint64_t window_ns;

    if (!(tcb->flags & TCP_F_REORDERED) && (tcb->recovery != RECOVERY_NONE || tcb->sacked_count >= TCP_DUPACKS))
        return 0;
    window_ns = tcb->min_rtt_ns == UINT64_MAX ? 0 : tcb->min_rtt_ns / 4;
    return window_ns < tcb->srtt_ns ? window_ns : tcb->srtt_ns;
}

bool pal__n_tcb_rack_detect(struct tcb *tcb, uint64_t now_ns)
{
    uint64_t window_ns = reorder_window(tcb);
    bool found = false;

    pal__n_tcb_clear_date(tcb, DATE_REO);
    if (!(tcb->flags & TCP_F_SACK) || tcb->rack_sent_ns == 0)
        return false;
    BASE_LIST_EACH_REMOVABLE(link, following, &tcb->sent_list)
    {
        struct seg *seg = seg_of_time(link);
        uint64_t lost_ns = seg->sent_ns + tcb->rack_rtt_ns + window_ns;

        if (seg->sent_ns > tcb->rack_sent_ns)
            break;
        if (!sent_after(tcb->rack_sent_ns, tcb->rack_end, seg->sent_ns, seg_end(seg)))
            continue;
        if (lost_ns > now_ns) { /* the list is by time: those behind it come later still */
            pal__n_tcb_set_date(tcb, DATE_REO, lost_ns);
            break;
        }
        pal__n_seg_mark_lost(tcb, seg);
        found = true;
    }
    return found;
}

/* 6.3: after a timeout the first segment is lost, and of the others those that are old enough. The peer may have taken
 * back what it acknowledged selectively (RFC 2018 8), so that counts no more. */
void pal__n_tcb_rack_mark_rto(struct tcb *tcb, uint64_t now_ns)
{
    uint64_t patience_ns = tcb->rack_rtt_ns + reorder_window(tcb);
    bool by_time = tcb->flags & TCP_F_SACK && tcb->rack_sent_ns != 0;
    struct seg *first = seg_of(base_list_first(&tcb->segs));

    pal__n_tcb_doubt_sacks(tcb);
    BASE_LIST_EACH(link, &tcb->segs)
    {
        struct seg *seg = seg_of(link);

        if (!(seg->flags & SEG_SENT))
            break;
        if (seg->flags & SEG_LOST)
            continue;
        if (seg != first && by_time && seg->sent_ns + patience_ns > now_ns)
            continue;
        pal__n_seg_mark_lost(tcb, seg);
    }
}

uint64_t pal__n_tcb_pto(const struct tcb *tcb)
{
    uint64_t pto_ns = tcb->srtt_ns == 0 ? TLP_WITHOUT_SAMPLE_NS : 2 * tcb->srtt_ns;

    if (pal__n_tcb_ack_may_wait(tcb))
        pto_ns += tcb->sock.stack->config.peer_ack_delay_ns;
    return pto_ns;
}

void pal__n_tcb_schedule_tlp(struct tcb *tcb, uint64_t now_ns)
{
    uint64_t due_ns = now_ns + pal__n_tcb_pto(tcb);

    if (!(tcb->flags & TCP_F_SACK) || tcb->recovery != RECOVERY_NONE || tcb->flags & TCP_F_TLP_OUT ||
        tcb->sacked != 0 || !tcb_has_unacked(tcb) || !tcb_is_synchronised(tcb)) {
        pal__n_tcb_clear_date(tcb, DATE_TLP);
        return;
    }
    if (due_ns > tcb->dates[DATE_RTO])
        due_ns = tcb->dates[DATE_RTO];
    pal__n_tcb_set_date(tcb, DATE_TLP, due_ns);
}

/* 7.3: something new if there is, else the last segment again; and after that only the RTO. */
void pal__n_tcb_on_tlp(struct tcb *tcb)
{
    struct seg *last = seg_of_time(base_list_last(&tcb->sent_list));

    if (!tcb_has_unacked(tcb) || tcb->recovery != RECOVERY_NONE)
        return;
    if (last != NULL && tcb->dst != NULL && iface_has(tcb->dst->iface, last->place)) { /* the port is full */
        pal__n_tcb_set_date(tcb, DATE_TLP, tcb->sock.stack->now_ns + pal__n_tcb_pto(tcb));
        return;
    }
    if (pal__n_tcb_send_new(tcb)) {
        tcb->flags &= ~(uint32_t)TCP_F_TLP_RESENT;
    } else {
        last = tcb->unsent != NULL ? seg_of(tcb->unsent->seq_link.prev) : seg_of(base_list_last(&tcb->segs));
        if (last->flags & SEG_SACKED || !pal__n_tcb_resend(tcb, last)) {
            pal__n_tcb_restart_rto(tcb, tcb->sock.stack->now_ns);
            return;
        }
        tcb->flags |= TCP_F_TLP_RESENT;
    }
    count(tcb->sock.stack, COUNTER_tcp_tlp);
    tcb->flags |= TCP_F_TLP_OUT;
    tcb->tlp_end = tcb->snd_nxt;
    tcb->prr_flight = tcb->snd_nxt - tcb->snd_una;
    pal__n_tcb_clear_date(tcb, DATE_TLP);
    pal__n_tcb_restart_rto(tcb, tcb->sock.stack->now_ns); /* the peer may put off that answer as well */
}

/* 7.4: the probe has been answered. If it was a retransmission and nothing says that the original arrived as well, it
 * has repaired a loss, which is to be answered as one. */
void pal__n_tcb_tlp_acked(struct tcb *tcb, const struct segment *segment, const struct delivery *delivery)
{
    bool both_arrived;

    if (!(tcb->flags & TCP_F_TLP_OUT) || seq_lt(segment->ack, tcb->tlp_end))
        return;
    both_arrived = !(tcb->flags & TCP_F_TLP_RESENT) || delivery->dsack || delivery->original_arrived;
    if (!both_arrived && segment->ack == tcb->tlp_end) {
        if (delivery->acked > 0 || segment->size > 0 || segment->flags & TCP_FIN || segment->options.has & TCP_HAS_SACK)
            return; /* whose answer that is, the next ACK tells */
        both_arrived = true;
    }
    tcb->flags &= ~(uint32_t)TCP_F_TLP_OUT;
    if (!both_arrived && tcb->recovery == RECOVERY_NONE) {
        tcb->ssthresh = pal__n_cc_ssthresh(tcb, tcb->prr_flight);
        tcb->cwnd = tcb->ssthresh;
        tcb->cwnd_acked = 0;
    }
}
