/* tcp_timewait.c: what remains of a connection for two segment lifetimes (RFC 9293 3.10.7.4, RFC 1337, RFC 6191).
 *
 * A record keeps the tuple from being used by mistake, and answers a peer that has not heard our last ACK. It never
 * ends early by a reset, and never takes part in a conversation of two that are both over: only what asks for an answer
 * gets one, and seldom. */
#include "stack.h"

static uint32_t index_of(const struct netstack *stack, const struct timewait *timewait)
{
    return demux_index(DEMUX_TIMEWAIT, pool_index(&stack->timewait_pool, timewait));
}

void pal__n_timewait_free(struct netstack *stack, struct timewait *timewait)
{
    pal__n_timer_stop(stack, &timewait->timer);
    pal__n_demux_remove(stack, &timewait->tuple, index_of(stack, timewait));
    port_unuse(stack->ports, timewait->tuple.local_port);
    base_list_remove(&timewait->link);
    pool_give(&stack->timewait_pool, timewait);
}

void pal__n_timewait_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    (void)due_ns;
    pal__n_timewait_free(stack, BASE_CONTAINER_OF(timer, struct timewait, timer));
}

/* 2 MSL from now; the list stays sorted by it. */
static void restart(struct netstack *stack, struct timewait *timewait)
{
    if (base_link_is_linked(&timewait->link))
        base_list_remove(&timewait->link);
    base_list_push_back(&stack->timewaits, &timewait->link);
    pal__n_timer_set(stack, &timewait->timer, stack->now_ns + 2 * stack->config.msl_ns);
}

/* One that is unused, or the oldest. */
static struct timewait *take(struct netstack *stack)
{
    struct base_link *oldest = base_list_first(&stack->timewaits);

    if (pool_room(&stack->timewait_pool) == 0) {
        count(stack, COUNTER_tcp_timewait_recycled);
        pal__n_timewait_free(stack, BASE_CONTAINER_OF(oldest, struct timewait, link));
    }
    return pool_take(&stack->timewait_pool);
}

/* The connection's place in the demultiplexer and its use of the port go over. */
void pal__n_timewait_enter(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;
    struct timewait *timewait = take(stack);
    uint32_t window = seq_gt(tcb->rcv_edge, tcb->rcv_nxt) ? (tcb->rcv_edge - tcb->rcv_nxt) >> tcb->rcv_scale : 0;

    BASE_ASSERT((tcb->flags & TCP_F_DEMUXED) != 0);
    memset(timewait, 0, sizeof(*timewait));
    timewait->tuple = tcb->sock.tuple;
    timer_init(&timewait->timer, TIMER_TIMEWAIT);
    timewait->snd_nxt = tcb->snd_nxt;
    timewait->rcv_nxt = tcb->rcv_nxt;
    timewait->rcv_window = window < UINT16_MAX ? window : UINT16_MAX;
    timewait->ts_recent = tcb->ts_recent;
    timewait->ts_offset = tcb->ts_offset;
    timewait->scope = tcb->sock.scope;
    timewait->has = (tcb->flags & TCP_F_TIMESTAMPS) != 0 ? TCP_HAS_TIMESTAMPS : 0;
    timewait->ttl = tcb->sock.ttl;
    timewait->tos = tcb->sock.tos;
    timewait->is_reusable = (tcb->sock.flags & SOCK_REUSEADDR) != 0;
    pal__n_demux_replace(stack, &timewait->tuple, demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb)),
                         index_of(stack, timewait));
    tcb->flags &= ~(uint32_t)TCP_F_DEMUXED;
    restart(stack, timewait);
}

static void send_ack(struct netstack *stack, const struct timewait *timewait)
{
    struct tcp_options options = {.has = timewait->has,
                                  .ts_value = tcp_timestamp(stack->now_ns, timewait->ts_offset),
                                  .ts_echo = timewait->ts_recent};
    struct emission emission = {.tuple = &timewait->tuple,
                                .seq = timewait->snd_nxt,
                                .ack = timewait->rcv_nxt,
                                .window = timewait->rcv_window,
                                .options = &options,
                                .flags = TCP_ACK,
                                .ttl = timewait->ttl,
                                .tos = timewait->tos};
    int error;

    emission.dst = pal__n_dst_get(stack, &timewait->tuple.remote, timewait->scope, &error);
    if (emission.dst == NULL)
        return;
    (void)pal__n_tcp_emit(stack, &emission);
    pal__n_dst_put(stack, emission.dst);
}

/* Two ends that answer each other's answers would do so for ever: at most one in a while. */
static void answer_seldom(struct netstack *stack, struct timewait *timewait)
{
    if (stack->now_ns < timewait->answer_after_ns) {
        count(stack, COUNTER_tcp_challenge_limited);
        return;
    }
    timewait->answer_after_ns = stack->now_ns + ANSWER_INTERVAL_NS;
    count(stack, COUNTER_tcp_challenge);
    send_ack(stack, timewait);
}

/* A SYN that no old duplicate can be: newer by its timestamp, or where that says nothing by its number (RFC 6191 2). */
static bool is_newer(const struct timewait *timewait, const struct segment *segment)
{
    bool has_now = (segment->options.has & TCP_HAS_TIMESTAMPS) != 0;
    bool had = (timewait->has & TCP_HAS_TIMESTAMPS) != 0;

    if (has_now && had && segment->options.ts_value != timewait->ts_recent)
        return seq_gt(segment->options.ts_value, timewait->ts_recent);
    return seq_gt(segment->seq, timewait->rcv_nxt);
}

static bool is_old_by_timestamp(const struct timewait *timewait, const struct segment *segment)
{
    return (timewait->has & segment->options.has & TCP_HAS_TIMESTAMPS) != 0 &&
           seq_lt(segment->options.ts_value, timewait->ts_recent);
}

/* True: it began a new connection, and its frame is gone. */
static bool reuse(struct netstack *stack, struct timewait *timewait, struct segment *segment)
{
    const struct tuple *tuple = &segment->tuple;
    uint32_t last = timewait->snd_nxt;
    struct sock *listener;

    if (!is_newer(timewait, segment))
        return false;
    listener = pal__n_port_listener(stack, &tuple->local, tuple->local_port, segment->packet->iface->index);
    if (listener == NULL)
        return false;
    count(stack, COUNTER_tcp_timewait_reused);
    pal__n_timewait_free(stack, timewait);
    pal__n_listener_reuse(tcb_of(listener), segment, last);
    return true;
}

/* The peer's FIN once more: it has not heard that we have it. */
static bool is_repeated_fin(const struct timewait *timewait, const struct segment *segment)
{
    return (segment->flags & TCP_FIN) != 0 && segment->seq + segment_length(segment) == timewait->rcv_nxt;
}

void pal__n_timewait_in(struct netstack *stack, struct timewait *timewait, struct segment *segment)
{
    struct frame *frame = segment->packet->frame;
    enum netstack_counter reason = COUNTER_tcp_drop_state;

    if ((segment->flags & TCP_RST) != 0) { /* RFC 1337 3, fix (a) */
        drop(stack, frame, COUNTER_tcp_rst_ignored);
        return;
    }
    if ((segment->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN && reuse(stack, timewait, segment))
        return;
    if ((segment->flags & (TCP_SYN | TCP_ACK)) == 0) {
        drop(stack, frame, COUNTER_tcp_drop_no_ack);
        return;
    }
    if (is_old_by_timestamp(timewait, segment)) {
        reason = COUNTER_tcp_drop_paws;
    } else if ((segment->flags & TCP_SYN) == 0 && is_repeated_fin(timewait, segment)) {
        if ((segment->options.has & timewait->has & TCP_HAS_TIMESTAMPS) != 0)
            timewait->ts_recent = segment->options.ts_value;
        send_ack(stack, timewait);
        restart(stack, timewait);
        frame_free(frame);
        return;
    }
    if (segment_length(segment) > 0)
        answer_seldom(stack, timewait);
    drop(stack, frame, reason);
}
