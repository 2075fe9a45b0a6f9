/* tcp_timer.c: a connection's dates and the one wheel timer that stands for them.
 *
 * Pushing a date later, which every ACK does, only writes the control block; the wheel's timer then fires too early
 * once and is set anew. Which dates must stand follows from the state alone: pal__n_tcb_rearm is the one place that
 * says so. */
#include "stack.h"

enum { HOLD_NS = 200 * 1000 * 1000 };

void pal__n_tcb_set_date(struct tcb *tcb, enum tcp_date date, uint64_t due_ns)
{
    tcb->dates[date] = due_ns;
    if (due_ns < tcb->timer.due_ns) /* UINT64_MAX if it is not armed */
        pal__n_timer_set(tcb->sock.stack, &tcb->timer, due_ns);
}

void pal__n_tcb_clear_date(struct tcb *tcb, enum tcp_date date)
{
    tcb->dates[date] = UINT64_MAX;
}

static enum tcp_date earliest(const struct tcb *tcb)
{
    int least = 0;

    for (int i = 1; i < TCP_DATES; i++) {
        if (tcb->dates[i] < tcb->dates[least])
            least = i;
    }
    return (enum tcp_date)least;
}

uint64_t pal__n_tcb_earliest(const struct tcb *tcb)
{
    return tcb->dates[earliest(tcb)];
}

/* RFC 9293 3.8.6.1: an empty segment that the peer has to answer, at growing distances. What fits into a window that is
 * only too small to be worth it is sent at last. */
static void on_persist(struct tcb *tcb)
{
    if (tcb->probes < UINT8_MAX)
        tcb->probes++;
    if (tcb->backoff < UINT8_MAX)
        tcb->backoff++;
    if (tcb->snd_wnd > 0) {
        tcb->flags |= TCP_F_HOLD_OVER;
    } else {
        count(tcb->sock.stack, COUNTER_tcp_probes);
        pal__n_tcb_probe(tcb);
    }
    pal__n_tcb_set_date(tcb, DATE_PERSIST, tcb->sock.stack->now_ns + pal__n_tcb_rto(tcb));
    pal__n_tcb_dirty(tcb);
}

static void give_up(struct tcb *tcb)
{
    count(tcb->sock.stack, COUNTER_tcp_timeouts);
    pal__n_tcb_abort(tcb, tcb->sock.soft_error != 0 ? tcb->sock.soft_error : PAL_ETIMEDOUT, tcb_is_synchronised(tcb));
}

/* RFC 1122 4.2.3.6. False: the connection is gone. */
static bool on_keepalive(struct tcb *tcb, uint64_t due_ns)
{
    uint64_t idle_until = tcb->heard_ns + tcb->keepalive_idle_ns;

    if (!(tcb->sock.flags & SOCK_KEEPALIVE) || !tcb_is_synchronised(tcb))
        return true;
    if (tcb->keep_probes == 0 && (due_ns < idle_until || tcb_has_unacked(tcb) || tcb->unsent != NULL)) {
        /* What is unacknowledged has a timer of its own, and its own end. */
        pal__n_tcb_set_date(tcb, DATE_KEEPALIVE, due_ns < idle_until ? idle_until : due_ns + tcb->keepalive_idle_ns);
        return true;
    }
    if (tcb->keep_probes >= tcb->keepalive_count) {
        give_up(tcb);
        return false;
    }
    tcb->keep_probes++;
    count(tcb->sock.stack, COUNTER_tcp_keepalives);
    pal__n_tcb_probe(tcb);
    pal__n_tcb_set_date(tcb, DATE_KEEPALIVE, tcb->sock.stack->now_ns + tcb->keepalive_interval_ns);
    return true;
}

/* R2 (RFC 9293 3.8.3): nothing was acknowledged for too long; of a shut window, nothing was heard. */
static bool on_user_timeout(struct tcb *tcb, uint64_t due_ns)
{
    uint64_t since = tcb->unacked_since_ns;

    if ((!tcb_has_unacked(tcb) || tcb->snd_wnd == 0) && tcb->heard_ns > since && !(tcb->sock.flags & SOCK_ORPHAN))
        since = tcb->heard_ns; /* for an orphan nobody waits: a peer that never reads does not hold it */
    if (due_ns < since + tcb->user_timeout_ns) {
        pal__n_tcb_set_date(tcb, DATE_USER, since + tcb->user_timeout_ns);
        return true;
    }
    give_up(tcb);
    return false;
}

/* due_ns is the date's, which counts for what is judged by it; what is sent is sent now, and so is the next date
 * counted. False: the connection is gone. */
static bool fire(struct tcb *tcb, enum tcp_date date, uint64_t due_ns)
{
    pal__n_tcb_clear_date(tcb, date);
    switch (date) {
    case DATE_REO:
        if (pal__n_tcb_rack_detect(tcb, due_ns) && tcb->recovery == RECOVERY_NONE)
            pal__n_tcb_enter_recovery(tcb);
        break;
    case DATE_TLP:
        pal__n_tcb_on_tlp(tcb);
        break;
    case DATE_RTO:
        return pal__n_tcb_on_rto(tcb, due_ns);
    case DATE_PERSIST:
        on_persist(tcb);
        break;
    case DATE_HOLD:
        tcb->flags |= TCP_F_HOLD_OVER;
        break;
    case DATE_DELACK:
        pal__n_tcb_ack_now(tcb);
        break;
    case DATE_KEEPALIVE:
        return on_keepalive(tcb, due_ns);
    case DATE_USER:
        return on_user_timeout(tcb, due_ns);
    default: /* DATE_LIFE: nobody closes the other half */
        pal__n_tcb_abort(tcb, PAL_ETIMEDOUT, false);
        return false;
    }
    return true;
}

void pal__n_tcp_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct tcb *tcb = BASE_CONTAINER_OF(timer, struct tcb, timer);
    uint64_t now_ns = stack->now_ns;

    (void)due_ns; /* of the wheel; each date has its own */
    for (int i = 0; i < 4 * TCP_DATES;
         i++) { /* after a long pause a date may fall due again: the next turn sees to it */
        enum tcp_date date = earliest(tcb);
        uint64_t date_ns = tcb->dates[date];

        if (date_ns > now_ns)
            break;
        if (!fire(tcb, date, date_ns))
            return;
        pal__n_tcb_dirty(tcb);
    }
    if (pal__n_tcb_earliest(tcb) < timer->due_ns) /* UINT64_MAX if it is not armed */
        pal__n_timer_set(stack, timer, pal__n_tcb_earliest(tcb));
}

/* Sets a date that must stand, and does not. */
static void want(struct tcb *tcb, enum tcp_date date, uint64_t due_ns)
{
    if (tcb->dates[date] == UINT64_MAX)
        pal__n_tcb_set_date(tcb, date, due_ns);
}

/* Nothing is on its way, and something waits: for the window, or because the program or Nagle says so. */
static void rearm_waiting(struct tcb *tcb, uint64_t now_ns)
{
    const struct seg *seg = tcb->unsent;
    bool held_by_program = seg->flags & SEG_MORE || tcb->flags & TCP_F_CORK;

    pal__n_tcb_clear_date(tcb, DATE_RTO);
    if (held_by_program && seg->size < tcb->mss && seq_leq(seg_end(seg), tcb->snd_una + tcb->snd_wnd)) {
        want(tcb, DATE_HOLD, now_ns + HOLD_NS);
        pal__n_tcb_clear_date(tcb, DATE_PERSIST);
        pal__n_tcb_clear_date(tcb, DATE_USER);
        return;
    }
    if (tcb->dates[DATE_PERSIST] == UINT64_MAX) {
        tcb->probes = 0;
        tcb->unacked_since_ns = now_ns;
        pal__n_tcb_set_date(tcb, DATE_PERSIST, now_ns + pal__n_tcb_rto(tcb));
        pal__n_tcb_set_date(tcb, DATE_USER, now_ns + tcb->user_timeout_ns);
    }
}

/* A handshake has its own count of tries, unless the program has named a time. */
static bool has_user_timeout(const struct tcb *tcb)
{
    return tcb_is_synchronised(tcb) || tcb->user_timeout_ns != tcb->sock.stack->config.user_timeout_ns;
}

/* What waits for a frame, memory or room at the port, and not for the peer. */
static bool is_tried_each_turn(const struct tcb *tcb)
{
    return tcb->flags & TCP_F_BLOCKED && seq_gt(tcb->snd_una + tcb->snd_wnd, tcb->unsent->seq);
}

void pal__n_tcb_rearm(struct tcb *tcb, uint64_t now_ns)
{
    if (tcb_has_unacked(tcb)) {
        pal__n_tcb_clear_date(tcb, DATE_PERSIST);
        if (tcb->dates[DATE_RTO] == UINT64_MAX)
            pal__n_tcb_restart_rto(tcb, now_ns);
        if (tcb->dates[DATE_USER] == UINT64_MAX && has_user_timeout(tcb)) {
            tcb->unacked_since_ns = now_ns;
            pal__n_tcb_set_date(tcb, DATE_USER, now_ns + tcb->user_timeout_ns);
        }
        if (tcb->unsent != NULL && tcb->flags & TCP_F_CORK)
            want(tcb, DATE_HOLD, now_ns + HOLD_NS);
        return;
    }
    pal__n_tcb_clear_date(tcb, DATE_TLP);
    pal__n_tcb_clear_date(tcb, DATE_REO);
    if (tcb->unsent != NULL && tcb_is_synchronised(tcb) && !is_tried_each_turn(tcb)) {
        rearm_waiting(tcb, now_ns);
        return;
    }
    pal__n_tcb_clear_date(tcb, DATE_RTO);
    if (tcb->unsent == NULL) {
        pal__n_tcb_clear_date(tcb, DATE_PERSIST);
        pal__n_tcb_clear_date(tcb, DATE_HOLD);
        pal__n_tcb_clear_date(tcb, DATE_USER);
    }
}
