/* tcp_cc.c: how much may be in flight: slow start, NewReno (RFC 5681, 6582), CUBIC (RFC 9438).
 *
 * What was lost, and when a recovery begins and ends, is tcp_sack.c's; here windows grow and shrink. */
#include "stack.h"

enum { CUBIC_BETA_PERCENT = 70 };

static uint32_t two_segments(const struct tcb *tcb)
{
    return 2U * tcb->mss;
}

void pal__n_cc_start(struct tcb *tcb)
{
    uint32_t most = two_segments(tcb) > 14600 ? two_segments(tcb) : 14600;
    uint32_t ten = TCP_IW_SEGMENTS * (uint32_t)tcb->mss;

    tcb->cwnd = ten < most ? ten : most;
    if (tcb->syn_sends > 2) /* RFC 5681 3.1: after the loss of a SYN, sent more than twice, one segment */
        tcb->cwnd = tcb->mss;
    tcb->ssthresh = UINT32_MAX;
    tcb->cwnd_acked = 0;
    tcb->cubic_epoch_ns = 0;
    tcb->cubic_w_max = 0;
}

/* The integer part of the cube root. */
static uint32_t cube_root(uint64_t value)
{
    uint32_t root = 0;

    for (uint32_t bit = UINT32_C(1) << 20; bit != 0; bit >>= 1) {
        uint64_t candidate = root | bit;

        if (candidate * candidate * candidate <= value)
            root = (uint32_t)candidate;
    }
    return root;
}

/* RFC 9438 4.2: C (t - K)^3 + W_max, with C = 0.4 segments/s^3, t in milliseconds, windows in bytes. */
static uint32_t cubic_target(struct tcb *tcb)
{
    uint64_t now_ns = tcb->sock.stack->now_ns;
    int64_t t_ms, cube, grown;

    if (tcb->cubic_epoch_ns == 0) {
        tcb->cubic_epoch_ns = now_ns;
        if (tcb->cubic_w_max > tcb->cwnd) { /* K = cbrt((W_max - cwnd) / C), in ms: (delta / mss) * 2.5 * 10^9 */
            tcb->cubic_k_ms = cube_root((uint64_t)(tcb->cubic_w_max - tcb->cwnd) * 2500000000U / tcb->mss);
            tcb->cubic_origin = tcb->cubic_w_max;
        } else {
            tcb->cubic_k_ms = 0;
            tcb->cubic_origin = tcb->cwnd;
        }
    }
    t_ms = (int64_t)((now_ns - tcb->cubic_epoch_ns + tcb->srtt_ns) / 1000000) - tcb->cubic_k_ms;
    if (t_ms > 1000000)
        t_ms = 1000000;
    if (t_ms < -1000000)
        t_ms = -1000000;
    cube = t_ms * t_ms / 1000 * t_ms / 1000; /* s^3 * 1000 */
    grown = (int64_t)tcb->cubic_origin + cube * 2 / 5 * tcb->mss / 1000;
    if (grown < two_segments(tcb))
        return two_segments(tcb);
    if (grown > (int64_t)tcb->cwnd + tcb->cwnd / 2)
        return tcb->cwnd + tcb->cwnd / 2;
    return (uint32_t)grown;
}

/* One segment for so many bytes acknowledged. */
static void grow_by_share(struct tcb *tcb, uint32_t acked, uint32_t bytes)
{
    tcb->cwnd_acked += acked;
    if (tcb->cwnd_acked >= bytes) {
        tcb->cwnd_acked -= bytes;
        if (tcb->cwnd_acked > bytes)
            tcb->cwnd_acked = bytes;
        tcb->cwnd += tcb->mss;
    }
}

void pal__n_cc_acked(struct tcb *tcb, uint32_t acked)
{
    if (tcb->cwnd < tcb->ssthresh) {
        uint32_t part = acked < two_segments(tcb) ? acked : two_segments(tcb); /* RFC 3465, L = 2 */

        if (part > tcb->ssthresh - tcb->cwnd)
            part = tcb->ssthresh - tcb->cwnd;
        tcb->cwnd += part;
        return;
    }
    if (tcb->cwnd > UINT32_MAX / 2)
        return;
    if (tcb->algorithm == TCP_CUBIC) {
        uint32_t target = cubic_target(tcb);
        uint32_t step = target > tcb->cwnd ? target - tcb->cwnd : tcb->cwnd / 100 + 1;
        uint64_t share; /* bytes acknowledged for a segment more */

        /* Where CUBIC would be slower than Reno it is Reno (4.3). */
        if ((uint64_t)step * tcb->cwnd / tcb->mss < tcb->cwnd && target <= tcb->cwnd)
            step = tcb->mss;
        share = (uint64_t)tcb->cwnd * tcb->mss / (step < tcb->mss ? step : tcb->mss);
        grow_by_share(tcb, acked, share < UINT32_MAX / 2 ? (uint32_t)share : UINT32_MAX / 2);
    } else {
        grow_by_share(tcb, acked, tcb->cwnd);
    }
}

uint32_t pal__n_cc_ssthresh(struct tcb *tcb, uint32_t flight)
{
    uint32_t half = flight / 2;

    if (tcb->algorithm == TCP_CUBIC) {
        /* Fast convergence (4.7): who got less than last time leaves more. */
        tcb->cubic_w_max = tcb->cwnd < tcb->cubic_w_max ? (uint32_t)((uint64_t)tcb->cwnd * 85 / 100) : tcb->cwnd;
        tcb->cubic_epoch_ns = 0;
        half = (uint32_t)((uint64_t)flight * CUBIC_BETA_PERCENT / 100);
    }
    return half > two_segments(tcb) ? half : two_segments(tcb);
}

void pal__n_cc_timeout(struct tcb *tcb, uint32_t flight)
{
    if (tcb->timeouts <= 1) /* of one segment's timeouts, only the first (RFC 5681 3.1) */
        tcb->ssthresh = pal__n_cc_ssthresh(tcb, flight);
    tcb->cwnd = tcb->mss;
    tcb->cwnd_acked = 0;
}
