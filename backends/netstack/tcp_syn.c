/* tcp_syn.c: half-open connections (RFC 9293 3.10.7.4, SYN-RECEIVED as it comes from a listener).
 *
 * Everything here is done for strangers, so it costs little and is bounded. An embryo holds what the SYN said; it
 * answers until the handshake is complete, then a connection takes its place. The program hears of none of it before
 * that. Who may become one, and what is done without one, is tcp_listen.c's. */
#include "stack.h"

enum {
    AGREEABLE = TCP_HAS_SCALE | TCP_HAS_SACK_PERMITTED | TCP_HAS_TIMESTAMPS, /* offered only if the SYN offers it */
    SYNACK_DELAY_SHIFT_MAX = 16,
    REUSE_STEP = 65537 /* how far above a tuple's last sequence number a new connection begins: behind any window */
};

/* How to answer a SYN: from an embryo, or from nothing. */
struct answer {
    struct tcb *listener;
    const struct tuple *tuple;
    struct dst *dst;
    uint32_t iss, irs;
    uint32_t ts_value, ts_echo;
    uint8_t has; /* TCP_HAS_*: what is agreed to beside the segment size */
};

static struct netstack *stack_of(const struct tcp_listener *listener)
{
    return listener->tcb->sock.stack;
}

static uint32_t index_of(const struct netstack *stack, const struct embryo *embryo)
{
    return demux_index(DEMUX_EMBRYO, pool_index(&stack->embryo_pool, embryo));
}

/* The window of a SYN-ACK is never scaled (RFC 7323 2.2). */
static uint32_t first_window(const struct tcb *listener)
{
    return listener->receive_buffer < UINT16_MAX ? listener->receive_buffer : UINT16_MAX;
}

/* The segment size that we can receive: what the link carries (RFC 9293 3.7.1), or less if the program says so. */
static uint16_t own_mss(const struct tcb *listener, const struct dst *dst)
{
    uint32_t mss = dst->iface->mtu - ip_header_size(&dst->ip) - TCP_SIZE;

    if (listener->mss_max != 0 && mss > listener->mss_max)
        mss = listener->mss_max;
    return (uint16_t)(mss < UINT16_MAX ? mss : UINT16_MAX);
}

static void send_synack(const struct answer *answer)
{
    struct tcb *listener = answer->listener;
    struct netstack *stack = listener->sock.stack;
    struct tcp_options options = {.has = answer->has | TCP_HAS_MSS,
                                  .scale = listener->rcv_scale,
                                  .mss = own_mss(listener, answer->dst),
                                  .ts_value = answer->ts_value,
                                  .ts_echo = answer->ts_echo};
    struct emission emission = {.tuple = answer->tuple,
                                .dst = answer->dst,
                                .seq = answer->iss,
                                .ack = answer->irs + 1,
                                .window = first_window(listener),
                                .options = &options,
                                .flags = TCP_SYN | TCP_ACK,
                                .ttl = listener->sock.ttl,
                                .tos = listener->sock.tos};

    (void)pal__n_tcp_emit(stack, &emission); /* what cannot be sent is sent again */
}

uint32_t pal__n_scope_of(const struct tcb *listener, const struct segment *segment)
{
    return ip_needs_scope(&segment->tuple.remote) ? segment->packet->iface->index : listener->sock.scope;
}

/* ---- embryos ---- */

static void embryo_answer(struct netstack *stack, struct embryo *embryo)
{
    struct answer answer = {.listener = embryo->listener->tcb,
                            .tuple = &embryo->tuple,
                            .iss = embryo->iss,
                            .irs = embryo->irs,
                            .ts_value = tcp_timestamp(stack->now_ns, embryo->ts_offset),
                            .ts_echo = embryo->ts_recent,
                            .has = embryo->has & AGREEABLE};

    if (pal__n_dst_is_stale(stack, embryo->dst)) {
        int error;
        struct dst *dst = pal__n_dst_get(stack, &embryo->tuple.remote, embryo->scope, &error);

        if (dst == NULL)
            return; /* no way there for now */
        pal__n_dst_put(stack, embryo->dst);
        embryo->dst = dst;
    }
    answer.dst = embryo->dst;
    send_synack(&answer);
}

/* Gives back all but the tuple's place in the demultiplexer and the path. */
static void embryo_release(struct netstack *stack, struct embryo *embryo)
{
    pal__n_timer_stop(stack, &embryo->timer);
    base_list_remove(&embryo->link);
    embryo->listener->embryo_count--;
    pool_give(&stack->embryo_pool, embryo);
}

void pal__n_embryo_free(struct netstack *stack, struct embryo *embryo)
{
    pal__n_demux_remove(stack, &embryo->tuple, index_of(stack, embryo));
    pal__n_dst_put(stack, embryo->dst);
    embryo_release(stack, embryo);
}

/* The n-th SYN-ACK is followed by the next after twice the time of the one before (RFC 6298 5.5). */
static uint64_t answer_delay_ns(const struct netstack *stack, const struct embryo *embryo)
{
    unsigned shift = embryo->sends - 1u;
    uint64_t delay_ns = stack->config.rto_initial_ns
                        << (shift < SYNACK_DELAY_SHIFT_MAX ? shift : SYNACK_DELAY_SHIFT_MAX);

    return delay_ns < stack->config.rto_max_ns ? delay_ns : stack->config.rto_max_ns;
}

void pal__n_embryo_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct embryo *embryo = BASE_CONTAINER_OF(timer, struct embryo, timer);
    uint64_t delay_ns;

    if (embryo->sends > stack->config.synack_retries) {
        count(stack, COUNTER_tcp_embryo_timeout);
        pal__n_embryo_free(stack, embryo);
        return;
    }
    embryo->sends++;
    count(stack, COUNTER_tcp_retransmits);
    embryo_answer(stack, embryo);
    delay_ns = answer_delay_ns(stack, embryo);
    /* After a long pause of the program, the peer gets its time all the same. */
    pal__n_timer_set(stack, timer, (stack->now_ns - due_ns < delay_ns ? due_ns : stack->now_ns) + delay_ns);
}

/* What the SYN says. */
static void embryo_fill(struct netstack *stack, struct embryo *embryo, const struct segment *segment)
{
    timer_init(&embryo->timer, TIMER_EMBRYO);
    embryo->synack_ns = stack->now_ns;
    embryo->iss = pal__n_isn(stack, &embryo->tuple);
    embryo->irs = segment->seq;
    embryo->peer_window = segment->window;
    embryo->ts_recent = segment->options.ts_value;
    embryo->ts_offset = pal__n_ts_offset(stack, &embryo->tuple);
    embryo->peer_mss = segment->options.mss;
    embryo->has = segment->options.has;
    embryo->peer_scale = segment->options.scale;
}

/* With a path and a place in the demultiplexer. NULL: there are none, or no embryo is left. */
static struct embryo *embryo_new(struct tcp_listener *listener, const struct segment *segment)
{
    struct netstack *stack = stack_of(listener);
    uint32_t scope = pal__n_scope_of(listener->tcb, segment);
    struct embryo *embryo = pool_take(&stack->embryo_pool);
    int error;

    if (embryo == NULL)
        return NULL;
    memset(embryo, 0, sizeof(*embryo));
    embryo->tuple = segment->tuple;
    embryo->dst = pal__n_dst_get(stack, &segment->tuple.remote, scope, &error);
    if (embryo->dst == NULL || !pal__n_demux_insert(stack, &embryo->tuple, index_of(stack, embryo))) {
        if (embryo->dst != NULL)
            pal__n_dst_put(stack, embryo->dst);
        pool_give(&stack->embryo_pool, embryo);
        return NULL;
    }
    embryo_fill(stack, embryo, segment);
    embryo->scope = scope;
    embryo->listener = listener;
    base_list_push_back(&listener->embryos, &embryo->link);
    listener->embryo_count++;
    return embryo;
}

bool pal__n_embryo_open(struct tcp_listener *listener, const struct segment *segment, const uint32_t *last)
{
    struct netstack *stack = stack_of(listener);
    struct embryo *embryo = embryo_new(listener, segment);

    if (embryo == NULL)
        return false;
    if (last != NULL && seq_leq(embryo->iss, *last))
        embryo->iss = *last + REUSE_STEP;
    embryo->sends = 1;
    embryo_answer(stack, embryo);
    pal__n_timer_set(stack, &embryo->timer, stack->now_ns + answer_delay_ns(stack, embryo));
    return true;
}

void pal__n_embryo_do_without(struct tcp_listener *listener, const struct segment *segment)
{
    struct netstack *stack = stack_of(listener);
    const struct tuple *tuple = &segment->tuple;
    struct answer answer = {
        .listener = listener->tcb, .tuple = tuple, .irs = segment->seq, .ts_echo = segment->options.ts_value};
    int error;

    answer.dst = pal__n_dst_get(stack, &tuple->remote, pal__n_scope_of(listener->tcb, segment), &error);
    if (answer.dst == NULL) {
        count(stack, COUNTER_tcp_syn_dropped);
        return;
    }
    if ((segment->options.has & TCP_HAS_TIMESTAMPS) != 0) /* where the others are kept */
        answer.has = segment->options.has & AGREEABLE;
    answer.iss = pal__n_cookie_make(stack, segment, &answer.ts_value);
    count(stack, COUNTER_tcp_cookie_sent);
    send_synack(&answer);
    pal__n_dst_put(stack, answer.dst);
}

/* ---- from half open to open ---- */

static void embryo_handshake(const struct netstack *stack, const struct embryo *embryo, const struct segment *segment,
                             struct handshake *out)
{
    uint64_t heard_ns = segment->time_ns != 0 ? segment->time_ns : stack->now_ns;

    memset(out, 0, sizeof(*out));
    out->tuple = embryo->tuple;
    out->dst = embryo->dst;
    out->iss = embryo->iss;
    out->irs = embryo->irs;
    out->peer_window = embryo->peer_window;
    out->ts_recent = embryo->ts_recent;
    out->ts_offset = embryo->ts_offset;
    out->scope = embryo->scope;
    out->options.has = embryo->has;
    out->options.mss = embryo->peer_mss;
    out->options.scale = embryo->peer_scale;
    out->rtt_ns = UINT64_MAX; /* Karn: which of several SYN-ACKs was answered is not known */
    if (embryo->sends == 1 && heard_ns >= embryo->synack_ns)
        out->rtt_ns = heard_ns - embryo->synack_ns;
}

/* The ACK is right. Without a place for the connection it stays unanswered: the embryo asks for it again. */
static void embryo_complete(struct netstack *stack, struct embryo *embryo, struct segment *segment)
{
    enum netstack_counter reason;
    struct handshake handshake;
    struct tcb *tcb;

    embryo_handshake(stack, embryo, segment, &handshake);
    tcb = pal__n_listener_admit(embryo->listener, &handshake, index_of(stack, embryo), &reason);
    if (tcb == NULL) {
        drop(stack, segment->packet->frame, reason);
        return;
    }
    embryo_release(stack, embryo); /* tuple and path are the connection's now */
    pal__n_tcb_in(tcb, segment);   /* it may bring data, or a FIN */
}

/* An ACK of how things stand, at a bounded rate (RFC 5961 3, 4, 7). */
static void embryo_challenge(struct netstack *stack, struct embryo *embryo)
{
    struct tcp_options options = {.has = embryo->has & TCP_HAS_TIMESTAMPS,
                                  .ts_value = tcp_timestamp(stack->now_ns, embryo->ts_offset),
                                  .ts_echo = embryo->ts_recent};
    struct emission emission = {.tuple = &embryo->tuple,
                                .dst = embryo->dst,
                                .seq = embryo->iss + 1,
                                .ack = embryo->irs + 1,
                                .window = first_window(embryo->listener->tcb),
                                .options = &options,
                                .flags = TCP_ACK,
                                .ttl = embryo->listener->tcb->sock.ttl,
                                .tos = embryo->listener->tcb->sock.tos};

    if (stack->now_ns < embryo->answer_after_ns) {
        count(stack, COUNTER_tcp_challenge_limited);
        return;
    }
    embryo->answer_after_ns = stack->now_ns + ANSWER_INTERVAL_NS;
    if ((embryo->has & TCP_HAS_SCALE) != 0)
        emission.window >>= embryo->listener->tcb->rcv_scale;
    count(stack, COUNTER_tcp_challenge);
    (void)pal__n_tcp_emit(stack, &emission);
}

/* RFC 9293 3.10.7.4, first check: some of it lies in the window; and RFC 7323 5.3 (PAWS), which spares resets. */
static bool is_acceptable(const struct embryo *embryo, const struct segment *segment, enum netstack_counter *reason)
{
    uint32_t wanted = embryo->irs + 1, window = first_window(embryo->listener->tcb);
    uint32_t length = segment_length(segment);

    *reason = COUNTER_tcp_drop_window;
    if (!seq_within(segment->seq, wanted, window) &&
        (length == 0 || !seq_within(segment->seq + length - 1, wanted, window)))
        return false;
    *reason = COUNTER_tcp_drop_paws;
    return (segment->flags & TCP_RST) != 0 || (embryo->has & segment->options.has & TCP_HAS_TIMESTAMPS) == 0 ||
           !seq_lt(segment->options.ts_value, embryo->ts_recent);
}

/* RFC 5961 3.2: exactly the next number, or the peer is asked. */
static void embryo_reset(struct netstack *stack, struct embryo *embryo, struct segment *segment)
{
    if (segment->seq != embryo->irs + 1) {
        if (seq_within(segment->seq, embryo->irs + 1, first_window(embryo->listener->tcb)))
            embryo_challenge(stack, embryo);
        drop(stack, segment->packet->frame, COUNTER_tcp_rst_ignored);
        return;
    }
    pal__n_embryo_free(stack, embryo); /* back to LISTEN, and the program hears nothing (RFC 9293 3.5, MUST-11) */
    drop(stack, segment->packet->frame, COUNTER_tcp_rst_in);
}

/* The peer has not heard us: the same answer again. */
static void embryo_repeat(struct netstack *stack, struct embryo *embryo, struct segment *segment)
{
    if ((embryo->has & segment->options.has & TCP_HAS_TIMESTAMPS) != 0 &&
        seq_gt(segment->options.ts_value, embryo->ts_recent))
        embryo->ts_recent = segment->options.ts_value;
    embryo_answer(stack, embryo);
    frame_free(segment->packet->frame);
}

void pal__n_embryo_in(struct netstack *stack, struct embryo *embryo, struct segment *segment)
{
    struct frame *frame = segment->packet->frame;
    enum netstack_counter reason;

    if ((segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && segment->seq == embryo->irs) {
        embryo_repeat(stack, embryo, segment);
    } else if (!is_acceptable(embryo, segment, &reason)) {
        if ((segment->flags & TCP_RST) != 0)
            reason = COUNTER_tcp_rst_ignored;
        else
            embryo_challenge(stack, embryo);
        drop(stack, frame, reason);
    } else if ((segment->flags & TCP_RST) != 0) {
        embryo_reset(stack, embryo, segment);
    } else if ((segment->flags & TCP_SYN) != 0) { /* RFC 5961 4.2: a peer that has begun anew resets us by its answer */
        embryo_challenge(stack, embryo);
        drop(stack, frame, COUNTER_tcp_drop_state);
    } else if ((segment->flags & TCP_ACK) == 0) {
        drop(stack, frame, COUNTER_tcp_drop_no_ack);
    } else if (segment->ack != embryo->iss + 1) {
        pal__n_tcp_reset_for(stack, segment);
        drop(stack, frame, COUNTER_tcp_drop_ack_range);
    } else {
        embryo_complete(stack, embryo, segment);
    }
}

/* RFC 5927 4: only what quotes the SYN-ACK is believed, and only what says that there is nobody. */
bool pal__n_embryo_error(struct netstack *stack, struct embryo *embryo, const struct ip_error *error)
{
    if (error->is_hard && error->quote_size >= TCP_ACK_NUMBER && get32(error->quote + TCP_SEQ) == embryo->iss) {
        count(stack, COUNTER_tcp_open_failed);
        pal__n_embryo_free(stack, embryo);
    }
    return true;
}
