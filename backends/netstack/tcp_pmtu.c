/* tcp_pmtu.c: what ICMP says of a connection: that a packet was too big, or that the peer cannot be reached.
 *
 * Anybody can send such a message, so it counts only if it quotes a number that is on its way (RFC 5927 4). And it only
 * ends a connection that is not one yet: later, it is a hint (RFC 9293 3.9.2.2, SHLD-26 of 5927). */
#include "stack.h"

/* RFC 1191 6: what is on its way was too big for the path, and is sent again at once, smaller. No loss in the sense of
 * congestion. */
void pal__n_tcb_path_changed(struct tcb *tcb)
{
    uint16_t mss = tcb->mss;

    pal__n_tcb_update_mss(tcb);
    if (tcb->mss >= mss)
        return;
    BASE_LIST_EACH(link, &tcb->segs)
    {
        struct seg *seg = seg_of(link);

        if (!(seg->flags & SEG_SENT))
            break;
        if (seg_in_flight(seg) && seg->size > tcb->mss)
            pal__n_seg_mark_lost(tcb, seg);
    }
    if (tcb->cwnd < tcb->mss)
        tcb->cwnd = tcb->mss;
    pal__n_tcb_dirty(tcb);
}

static bool tcb_error(struct tcb *tcb, const struct ip_error *error)
{
    uint32_t seq = get32(error->quote + TCP_SEQ);

    if (seq_lt(seq, tcb->snd_una) || seq_geq(seq, tcb->snd_nxt + (tcb->snd_una == tcb->snd_nxt)))
        return false;
    if (error->error == PAL_EMSGSIZE) {
        if (tcb->dst != NULL && pal__n_dst_reduce_mtu(tcb->sock.stack, tcb->dst, error->mtu)) {
            count(tcb->sock.stack, COUNTER_tcp_pmtu_reduced);
            pal__n_tcb_path_changed(tcb);
        }
        return true;
    }
    if (tcb->state == TCP_SYN_SENT || tcb->state == TCP_SYN_RECEIVED)
        pal__n_tcb_abort(tcb, error->error, false);
    else
        tcb->sock.soft_error = (int16_t)error->error;
    return true;
}

bool pal__n_tcp_error(struct netstack *stack, const struct ip_error *error)
{
    struct tuple tuple = {.local = error->local, .remote = error->remote, .protocol = PAL_IPPROTO_TCP};
    uint32_t index;

    if (error->quote_size < 8)
        return false;
    tuple.local_port = get16(error->quote + TCP_SRC);
    tuple.remote_port = get16(error->quote + TCP_DST);
    index = pal__n_demux_find(stack, &tuple, pal__n_demux_hash(&stack->demux, &tuple));
    if (index == DEMUX_NONE)
        return false;
    switch (demux_kind_of(index)) {
    case DEMUX_TCB:
        return tcb_error(pool_at(&stack->tcb_pool, demux_pool_index(index)), error);
    case DEMUX_EMBRYO:
        return pal__n_embryo_error(stack, pool_at(&stack->embryo_pool, demux_pool_index(index)), error);
    default:
        return false;
    }
}
