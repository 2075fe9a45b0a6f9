/* tcp_sack.c: the scoreboard, and fast recovery (RFC 2018, 6675, 6582, 6937).
 *
 * A block marks only segments that it covers whole: nothing is lost by that but a resent byte. Without SACK, duplicate
 * ACKs are counted and stand for a segment each that has left the network. */
#include "stack.h"

/* The segment in which seq lies, looked for from where the last block ended: blocks move a little from ACK to ACK. */
static struct seg *find(struct tcb *tcb, uint32_t seq)
{
    struct base_link *link = tcb->sack_hint != NULL ? &tcb->sack_hint->seq_link : tcb->segs.head.next;

    while (link->prev != &tcb->segs.head && seq_gt(seg_of(link)->seq, seq))
        link = link->prev;
    while (link != &tcb->segs.head && seq_leq(seg_end(seg_of(link)), seq))
        link = link->next;
    return link == &tcb->segs.head ? NULL : seg_of(link);
}

/* Marks what lies in the block from `from` up to `to`. */
static void take_part(struct tcb *tcb, const struct segment *segment, const struct tcp_sack_block *block, uint32_t from,
                      uint32_t to, struct delivery *delivery)
{
    struct seg *seg = find(tcb, from);

    while (seg != NULL && seg->flags & SEG_SENT && seq_lt(seg->seq, to) && seq_leq(seg_end(seg), block->end)) {
        if (seq_geq(seg->seq, block->start) && !(seg->flags & SEG_SACKED)) {
            pal__n_tcb_delivered(tcb, seg, segment, delivery);
            pal__n_seg_mark_sacked(tcb, seg);
        }
        tcb->sack_hint = seg;
        seg = seg->seq_link.next == &tcb->segs.head ? NULL : seg_of(seg->seq_link.next);
    }
}

/* Of a block that has grown since the last ACK, the new parts: a large one costs what it has grown by. The one that was
 * seen may lie anywhere in it; of several, the first that does is taken. */
static void take_block(struct tcb *tcb, const struct segment *segment, const struct tcp_sack_block *block,
                       struct delivery *delivery)
{
    for (int i = 0; tcb->sacked != 0 && i < TCP_SACK_BLOCKS_MAX; i++) {
        const struct tcp_sack_block *seen = &tcb->sack_seen[i];

        if (seen->start == seen->end || seq_lt(seen->start, block->start) || seq_gt(seen->end, block->end))
            continue;
        if (seen->start != block->start)
            take_part(tcb, segment, block, block->start, seen->start, delivery);
        if (seen->end != block->end)
            take_part(tcb, segment, block, seen->end, block->end, delivery);
        return;
    }
    take_part(tcb, segment, block, block->start, block->end, delivery);
}

/* It lies below what is acknowledged: what came twice, or old news. One that is longer than half of all numbers is
 * neither. */
static bool is_below(const struct tcp_sack_block *block, uint32_t ack)
{
    return seq_lt(block->start, block->end) && seq_lt(block->start, ack) && seq_leq(block->end, ack);
}

/* RFC 2883: the first block reports what came twice: it is below the ACK, or within the second block. */
static bool is_dsack(const struct segment *segment)
{
    const struct tcp_sack_block *blocks = segment->options.sacks;

    if (is_below(&blocks[0], segment->ack))
        return true;
    return segment->options.sack_count > 1 && seq_lt(blocks[0].start, blocks[0].end) &&
           seq_geq(blocks[0].start, blocks[1].start) && seq_leq(blocks[0].end, blocks[1].end);
}

void pal__n_tcb_sack_in(struct tcb *tcb, const struct segment *segment, struct delivery *delivery)
{
    const struct tcp_options *options = &segment->options;
    struct tcp_sack_block seen[TCP_SACK_BLOCKS_MAX];

    if (!(options->has & TCP_HAS_SACK) || options->sack_count == 0)
        return;
    delivery->dsack = is_dsack(segment);
    for (uint32_t i = 0; i < TCP_SACK_BLOCKS_MAX; i++)
        seen[i].start = seen[i].end = 0;
    for (uint32_t i = delivery->dsack; i < options->sack_count; i++) {
        const struct tcp_sack_block *block = &options->sacks[i];

        if (seq_geq(block->start, block->end) || seq_lt(block->start, tcb->snd_una) ||
            seq_gt(block->end, tcb->snd_nxt)) {
            if (!is_below(block, segment->ack))
                count(tcb->sock.stack, COUNTER_tcp_sack_invalid);
            continue;
        }
        take_block(tcb, segment, block, delivery);
        seen[i] = *block;
    }
    memcpy(tcb->sack_seen, seen, sizeof(seen));
}

/* RFC 5681 3.2 and 6582: without SACK. */
void pal__n_tcb_reno_in(struct tcb *tcb, struct delivery *delivery)
{
    struct seg *first = seg_of(base_list_first(&tcb->segs));

    if (delivery->was_duplicate) {
        if (tcb->dupacks < UINT8_MAX)
            tcb->dupacks++;
        tcb->reno_sacked += tcb->mss;
        delivery->delivered += tcb->mss;
        /* Duplicates of the number at which a recovery ended may be of what was sent in vain (RFC 6582 3.2 step 2). */
        if (tcb->dupacks == TCP_DUPACKS && tcb->recovery == RECOVERY_NONE && seq_gt(tcb->snd_una, tcb->recover) &&
            first != NULL && seg_in_flight(first)) {
            pal__n_seg_mark_lost(tcb, first);
            delivery->lost_more = true;
        }
        return;
    }
    if (delivery->acked == 0)
        return;
    tcb->dupacks = 0;
    if (tcb->recovery == RECOVERY_NONE && seq_gt(tcb->snd_una, tcb->recover))
        tcb->recover = tcb->snd_una - 1; /* goes with it, or it would lie ahead after 2 GiB */
    if (tcb->recovery != RECOVERY_FAST || seq_geq(tcb->snd_una, tcb->recover)) {
        tcb->reno_sacked = 0;
        return;
    }
    /* A partial ACK: the next hole begins where it ends; the rest of what it acknowledges had been counted. */
    if (delivery->acked > tcb->mss) {
        uint32_t rest = delivery->acked - tcb->mss;

        tcb->reno_sacked -= rest < tcb->reno_sacked ? rest : tcb->reno_sacked;
    }
    if (first != NULL && seg_in_flight(first)) {
        pal__n_seg_mark_lost(tcb, first);
        delivery->lost_more = true;
    }
}

/* RFC 2018 8: the peer acknowledges up to what it said it had, and not that: it has thrown it away. */
void pal__n_tcb_look_for_reneging(struct tcb *tcb)
{
    const struct seg *first = seg_of(base_list_first(&tcb->segs));

    if (first == NULL || !(first->flags & SEG_SACKED))
        return;
    count(tcb->sock.stack, COUNTER_tcp_reneged);
    pal__n_tcb_doubt_sacks(tcb);
    if (tcb->recovery == RECOVERY_NONE)
        pal__n_tcb_enter_recovery(tcb);
}

/* What the peer has said of them counts no more: they go again unless it says so again. */
void pal__n_tcb_doubt_sacks(struct tcb *tcb)
{
    memset(tcb->sack_seen, 0, sizeof(tcb->sack_seen));
    BASE_LIST_EACH(link, &tcb->segs)
    {
        struct seg *seg = seg_of(link);

        if (tcb->sacked == 0 || !(seg->flags & SEG_SENT))
            break;
        if (!(seg->flags & SEG_SACKED))
            continue;
        seg->flags |= SEG_DOUBTED;
        pal__n_seg_mark_lost(tcb, seg);
    }
}

uint32_t pal__n_tcb_pipe(const struct tcb *tcb)
{
    return tcb->reno_sacked < tcb->in_flight ? tcb->in_flight - tcb->reno_sacked : 0;
}

void pal__n_tcb_enter_recovery(struct tcb *tcb)
{
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;

    count(tcb->sock.stack, COUNTER_tcp_recoveries);
    tcb->recovery = RECOVERY_FAST;
    tcb->recover = tcb->snd_nxt;
    tcb->ssthresh = pal__n_cc_ssthresh(tcb, flight);
    tcb->cwnd_acked = 0;
    tcb->prr_delivered = tcb->prr_out = 0;
    tcb->prr_flight = flight;
    tcb->flags &= ~(uint32_t)TCP_F_TLP_OUT; /* what it would have found out is known */
    pal__n_tcb_clear_date(tcb, DATE_TLP);
    tcb->cwnd = pal__n_tcb_pipe(tcb) + tcb->mss; /* the first one goes out at once */
    pal__n_tcb_dirty(tcb);
}

/* RFC 6937: as much goes out as comes in, in proportion, so that the flight has its new size when recovery ends. */
static void reduce_proportionally(struct tcb *tcb, const struct delivery *delivery)
{
    uint32_t pipe = pal__n_tcb_pipe(tcb);
    uint32_t allowed;

    tcb->prr_delivered += delivery->delivered;
    if (pipe > tcb->ssthresh) {
        uint64_t due = ((uint64_t)tcb->prr_delivered * tcb->ssthresh + tcb->prr_flight - 1) / tcb->prr_flight;

        allowed = due > tcb->prr_out ? (uint32_t)(due - tcb->prr_out) : 0;
    } else {
        uint32_t behind = tcb->prr_delivered > tcb->prr_out ? tcb->prr_delivered - tcb->prr_out : 0;

        allowed = (behind > delivery->delivered ? behind : delivery->delivered) + tcb->mss;
        if (allowed > tcb->ssthresh - pipe)
            allowed = tcb->ssthresh - pipe;
    }
    if (tcb->prr_out == 0 && allowed < tcb->mss)
        allowed = tcb->mss; /* the fast retransmission itself */
    tcb->cwnd = pipe + allowed;
}

void pal__n_tcb_recovery_acked(struct tcb *tcb, const struct delivery *delivery)
{
    bool is_over = delivery->acked > 0 && seq_geq(tcb->snd_una, tcb->recover);

    if (tcb->recovery == RECOVERY_LOSS) {
        if (delivery->acked > 0)
            pal__n_cc_acked(tcb, delivery->acked); /* slow start from one segment */
    } else if (is_over) {
        tcb->cwnd = tcb->ssthresh;
    } else {
        reduce_proportionally(tcb, delivery);
    }
    if (is_over) {
        tcb->recovery = RECOVERY_NONE;
        tcb->reno_sacked = 0;
        tcb->dupacks = 0;
    }
}
