/* tcp_rtx.c: how long an answer takes, and what happens when it does not come (RFC 6298).
 *
 * The floor of the timeout is the program's (default 5 ms, not the RFC's second). Two things make that safe: a lone
 * segment, whose ACK the peer may put off, is given the peer's delay as well; and the variance counts for a round trip
 * at least, since on a steady path it decays to nothing, and any jitter would be a timeout then. So the tail loss
 * probe, at two round trips, never comes after it (docs/decisions/0018-minimum-rto.md). */
#include "stack.h"

enum { BLACK_HOLE_TIMEOUTS = 3, BLACK_HOLE_NS = 500000000, BLACK_HOLE_MSS = 1220 - 12 };

void pal__n_tcb_rtt_sample(struct tcb *tcb, uint64_t rtt_ns)
{
    const struct netstack_config *config = &tcb->sock.stack->config;

    if (rtt_ns == 0)
        rtt_ns = 1;
    if (rtt_ns < tcb->min_rtt_ns)
        tcb->min_rtt_ns = rtt_ns;
    if (tcb->srtt_ns == 0) {
        tcb->srtt_ns = rtt_ns;
        tcb->rttvar_ns = rtt_ns / 2;
    } else {
        uint64_t error = rtt_ns > tcb->srtt_ns ? rtt_ns - tcb->srtt_ns : tcb->srtt_ns - rtt_ns;

        tcb->rttvar_ns = tcb->rttvar_ns - tcb->rttvar_ns / 4 + error / 4;
        tcb->srtt_ns = tcb->srtt_ns - tcb->srtt_ns / 8 + rtt_ns / 8;
    }
    tcb->backoff = 0; /* RFC 6298 5: a sample ends it, and nothing else does */
    tcb->rto_ns = tcb->srtt_ns + (4 * tcb->rttvar_ns > tcb->srtt_ns ? 4 * tcb->rttvar_ns : tcb->srtt_ns);
    if (tcb->rto_ns < config->rto_min_ns)
        tcb->rto_ns = config->rto_min_ns;
    if (tcb->rto_ns > config->rto_max_ns)
        tcb->rto_ns = config->rto_max_ns;
}

/* RFC 6298 5.5. */
static uint64_t backed_off(const struct tcb *tcb, uint64_t rto_ns, unsigned times)
{
    uint64_t max_ns = tcb->sock.stack->config.rto_max_ns;

    for (unsigned i = 0; i < times && rto_ns < max_ns; i++)
        rto_ns *= 2;
    return rto_ns < max_ns ? rto_ns : max_ns;
}

uint64_t pal__n_tcb_rto(const struct tcb *tcb)
{
    return backed_off(tcb, tcb->rto_ns, tcb->backoff);
}

/* RFC 5681 4.2: an ACK is due for every second full-sized segment; for less, the peer may wait. */
bool pal__n_tcb_ack_may_wait(const struct tcb *tcb)
{
    return tcb_is_synchronised(tcb) && tcb->snd_nxt - tcb->snd_una < 2U * tcb->mss;
}

/* One that has probed by new data asks whether what was sent before has arrived. If it has, and only the answer was
 * lost, the peer may put off the answer to the probe. */
static bool may_be_put_off(const struct tcb *tcb)
{
    return pal__n_tcb_ack_may_wait(tcb) || (tcb->flags & (TCP_F_TLP_OUT | TCP_F_TLP_RESENT)) == TCP_F_TLP_OUT;
}

void pal__n_tcb_restart_rto(struct tcb *tcb, uint64_t from_ns)
{
    uint64_t rto_ns = pal__n_tcb_rto(tcb);

    if (may_be_put_off(tcb) && tcb->srtt_ns != 0) {
        uint64_t patient_ns = tcb->srtt_ns + tcb->sock.stack->config.peer_ack_delay_ns;

        /* Doubled by its own timeouts, not by what an earlier burst has left. */
        patient_ns = backed_off(tcb, patient_ns, tcb->timeouts);
        if (rto_ns < patient_ns)
            rto_ns = patient_ns;
    }
    pal__n_tcb_set_date(tcb, DATE_RTO, from_ns + rto_ns);
}

/* A SYN or SYN-ACK of ours got no answer. False: that was the last. */
static bool handshake_goes_on(struct tcb *tcb)
{
    uint32_t retries =
        tcb->state == TCP_SYN_SENT ? tcb->sock.stack->config.syn_retries : tcb->sock.stack->config.synack_retries;

    if (tcb_is_synchronised(tcb) && tcb->state != TCP_SYN_RECEIVED)
        return true;
    if (tcb->backoff < retries) /* tries, not sendings: there may be no way there */
        return true;
    count(tcb->sock.stack, COUNTER_tcp_timeouts);
    pal__n_tcb_abort(tcb, tcb->sock.soft_error != 0 ? tcb->sock.soft_error : PAL_ETIMEDOUT, false);
    return false;
}

/* Full segments that vanish without a word: the path takes less than it says (RFC 2923, RFC 4821 7.7). Repeatedly, and
 * for a while: an outage is none. If smaller ones vanish as well, size was not the reason; and a path may get
 * better. */
static void look_for_black_hole(struct tcb *tcb)
{
    const struct seg *first = seg_of(base_list_first(&tcb->segs));
    uint64_t now_ns = tcb->sock.stack->now_ns;

    if (tcb->blackhole == 0 && (uint32_t)first->size + 64 < tcb->mss)
        return;
    if (tcb->blackhole < UINT8_MAX)
        tcb->blackhole++;
    if (tcb->mss_path == 0 && tcb->blackhole >= BLACK_HOLE_TIMEOUTS && tcb->mss > BLACK_HOLE_MSS &&
        now_ns - tcb->unacked_since_ns >= BLACK_HOLE_NS) {
        tcb->mss_path = BLACK_HOLE_MSS;
        tcb->mss_path_until_ns = now_ns + tcb->sock.stack->config.path_mtu_age_ns;
        tcb->blackhole = BLACK_HOLE_TIMEOUTS;
    } else if (tcb->mss_path != 0 && tcb->blackhole >= 2 * BLACK_HOLE_TIMEOUTS) {
        tcb->mss_path = 0;
        tcb->blackhole = 0;
    } else {
        return;
    }
    pal__n_tcb_path_changed(tcb);
}

/* There was no frame for it, or the port has not taken it: then nobody is late but we. */
static bool has_not_left(const struct tcb *tcb, const struct seg *seg)
{
    if (seg->flags & SEG_LOST)
        return tcb->flags & TCP_F_BLOCKED;
    return seg_in_flight(seg) && tcb->dst != NULL && iface_has(tcb->dst->iface, seg->place);
}

bool pal__n_tcb_on_rto(struct tcb *tcb, uint64_t due_ns)
{
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;
    struct seg *first = seg_of(base_list_first(&tcb->segs));

    if (!tcb_has_unacked(tcb) || first == NULL)
        return true;
    if (has_not_left(tcb, first)) {
        tcb->flags |= TCP_F_BLOCKED;
        pal__n_tcb_set_date(tcb, DATE_RTO, tcb->sock.stack->now_ns + pal__n_tcb_rto(tcb));
        pal__n_tcb_dirty(tcb);
        return true;
    }
    if (!handshake_goes_on(tcb))
        return false;
    count(tcb->sock.stack, COUNTER_tcp_rto);
    if (tcb->backoff < UINT8_MAX)
        tcb->backoff++;
    if (tcb->timeouts < UINT8_MAX)
        tcb->timeouts++;
    if (tcb->timeouts >= TCP_R1 && tcb->dst != NULL && tcb->dst->neigh != NULL)
        pal__n_neigh_suspect(tcb->dst->neigh);
    if (tcb_is_synchronised(tcb)) {
        if (tcb->snd_wnd > 0) /* a shut window loses nothing */
            pal__n_cc_timeout(tcb, flight);
        look_for_black_hole(tcb);
    }
    tcb->recover = tcb->snd_nxt;
    tcb->recovery = RECOVERY_LOSS;
    tcb->dupacks = 0;
    tcb->reno_sacked = 0;
    tcb->flags = (tcb->flags & ~(uint32_t)TCP_F_TLP_OUT) | TCP_F_TIMED_OUT;
    pal__n_tcb_clear_date(tcb, DATE_TLP);
    pal__n_tcb_clear_date(tcb, DATE_REO);
    pal__n_tcb_rack_mark_rto(tcb, due_ns);
    pal__n_tcb_restart_rto(tcb, tcb->sock.stack->now_ns);
    first = seg_of(base_list_first(&tcb->segs)); /* the black hole may have cut it */
    if (!pal__n_tcb_resend(tcb, first))
        tcb->flags |= TCP_F_BLOCKED;
    pal__n_tcb_dirty(tcb);
    return true;
}
