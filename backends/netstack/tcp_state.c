/* tcp_state.c: how connections begin and end: the control block, what both sides agree on, and where it goes when it is
 * over. */
#include "stack.h"

static void init_lists(struct tcb *tcb)
{
    base_list_init(&tcb->segs);
    base_list_init(&tcb->sent_list);
    timer_init(&tcb->timer, TIMER_TCP);
    for (int i = 0; i < TCP_DATES; i++)
        tcb->dates[i] = UINT64_MAX;
}

struct tcb *pal__n_tcb_new(struct netstack *stack, int family)
{
    const struct netstack_config *config = &stack->config;
    struct tcb *tcb = pool_take(&stack->tcb_pool);

    if (tcb == NULL)
        return NULL;
    memset(tcb, 0, sizeof(*tcb));
    init_lists(tcb);
    tcb->sock.stack = stack;
    tcb->sock.waiter = &stack->waiter;
    tcb->sock.kind = SOCK_TCP;
    tcb->sock.family = (uint8_t)family;
    tcb->sock.mcast_ttl = 1;
    tcb->sock.tuple.protocol = PAL_IPPROTO_TCP;
    tcb->flags = TCP_F_NODELAY;
    tcb->mss = tcb->mss_peer = TCP_MSS_DEFAULT4;
    tcb->send_buffer = config->send_buffer;
    tcb->receive_buffer = config->receive_buffer;
    tcb->low_water = 1;
    while (config->receive_buffer_max >> tcb->rcv_scale > UINT16_MAX && tcb->rcv_scale < TCP_SCALE_MAX)
        tcb->rcv_scale++;
    tcb->min_rtt_ns = UINT64_MAX;
    tcb->rto_ns = config->rto_initial_ns;
    tcb->user_timeout_ns = config->user_timeout_ns;
    tcb->keepalive_idle_ns = config->keepalive_idle_ns;
    tcb->keepalive_interval_ns = config->keepalive_interval_ns;
    tcb->keepalive_count = config->keepalive_count;
    return tcb;
}

static void leave_demux(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;

    if (!(tcb->flags & TCP_F_DEMUXED))
        return;
    tcb->flags &= ~(uint32_t)TCP_F_DEMUXED;
    pal__n_demux_remove(stack, &tcb->sock.tuple, demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb)));
    port_unuse(stack->ports, tcb->sock.tuple.local_port);
}

/* What only a living connection has. What was received stays. */
static void still(struct tcb *tcb)
{
    leave_demux(tcb);
    pal__n_timer_stop(tcb->sock.stack, &tcb->timer);
    for (int i = 0; i < TCP_DATES; i++)
        tcb->dates[i] = UINT64_MAX;
    if (tcb->flags & TCP_F_DIRTY)
        base_list_remove(&tcb->dirty_link);
    if (base_link_is_linked(&tcb->short_link))
        base_list_remove(&tcb->short_link);
    tcb->flags &= ~(uint32_t)(TCP_F_DIRTY | TCP_F_ACK_NOW | TCP_F_ACK_DELAYED | TCP_F_BLOCKED | TCP_F_FIN_WANTED);
    pal__n_seg_clear(tcb);
    if (tcb->dst != NULL)
        pal__n_dst_put(tcb->sock.stack, tcb->dst);
    tcb->dst = NULL;
    tcb->state = TCP_CLOSED;
}

void pal__n_tcb_free(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;

    if (tcb->state == TCP_LISTEN)
        pal__n_listener_close(tcb);
    still(tcb);
    pal__n_tcb_drop_received(tcb);
    if (tcb->flags & TCP_F_QUEUED) {
        base_list_remove(&tcb->accept_link);
        tcb->listener->accept_count--;
    }
    if (tcb->sock.flags & SOCK_BOUND)
        pal__n_port_release(&tcb->sock);
    if (base_link_is_linked(&tcb->sock.ready_link))
        base_list_remove(&tcb->sock.ready_link);
    tcb->sock.kind = SOCK_NONE;
    pool_give(&stack->tcb_pool, tcb);
}

/* Nobody holds it any more: neither the program nor an accept queue. */
static void rest(struct tcb *tcb)
{
    if (tcb->sock.flags & SOCK_ORPHAN)
        pal__n_tcb_free(tcb);
    else
        pal__n_sock_changed(&tcb->sock);
}

void pal__n_tcb_abort(struct tcb *tcb, int error, bool reset)
{
    if (reset)
        pal__n_tcb_send_reset(tcb);
    if (tcb->state == TCP_SYN_SENT || tcb->state == TCP_SYN_RECEIVED)
        count(tcb->sock.stack, COUNTER_tcp_open_failed);
    still(tcb);
    if (tcb->sock.error == 0)
        tcb->sock.error = (int16_t)error;
    rest(tcb);
}

void pal__n_tcb_finish(struct tcb *tcb, bool time_wait)
{
    if (time_wait)
        pal__n_timewait_enter(tcb); /* has the tuple, and the port, from now on */
    still(tcb);
    rest(tcb);
}

bool pal__n_tcb_route(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;
    int error = 0;

    if (tcb->dst != NULL && !pal__n_dst_is_stale(stack, tcb->dst))
        return true;
    if (tcb->dst != NULL)
        pal__n_dst_put(stack, tcb->dst);
    tcb->dst = pal__n_dst_get(stack, &tcb->sock.tuple.remote, tcb->sock.scope, &error);
    if (tcb->dst == NULL) {
        tcb->sock.soft_error = (int16_t)error;
        return false;
    }
    return true;
}

uint16_t pal__n_tcb_own_mss(const struct tcb *tcb)
{
    uint32_t mtu = tcb->dst == NULL ? 576 : tcb->dst->iface->mtu;
    uint32_t mss = mtu - ip_header_size(&tcb->sock.tuple.remote) - TCP_SIZE;

    if (tcb->mss_max != 0 && mss > tcb->mss_max)
        mss = tcb->mss_max;
    return (uint16_t)(mss < UINT16_MAX ? mss : UINT16_MAX);
}

/* RFC 6691, RFC 9293 3.7.1: what path and peer permit, less what options take of every segment. */
void pal__n_tcb_update_mss(struct tcb *tcb)
{
    uint32_t mtu = tcb->dst == NULL ? 576 : tcb->dst->mtu;
    uint32_t mss = mtu - ip_header_size(&tcb->sock.tuple.remote) - TCP_SIZE;
    uint32_t options = tcb->flags & TCP_F_TIMESTAMPS ? 12 : 0;

    tcb->path_mtu = mtu;
    if (mss > tcb->mss_peer)
        mss = tcb->mss_peer;
    if (tcb->mss_max != 0 && mss > tcb->mss_max)
        mss = tcb->mss_max;
    if (tcb->mss_path != 0 && mss > tcb->mss_path)
        mss = tcb->mss_path;
    if (mss > CHUNK_ROOM)
        mss = CHUNK_ROOM;
    tcb->mss = (uint16_t)(mss > options + TCP_MSS_MIN ? mss - options : TCP_MSS_MIN);
}

void pal__n_tcb_negotiate(struct tcb *tcb, const struct tcp_options *peer)
{
    if (peer->has & TCP_HAS_MSS)
        tcb->mss_peer = peer->mss;
    else
        tcb->mss_peer = ip_is_v4(&tcb->sock.tuple.remote) ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    if (peer->has & TCP_HAS_TIMESTAMPS) {
        tcb->flags |= TCP_F_TIMESTAMPS;
        tcb->ts_recent = peer->ts_value;
        tcb->ts_recent_ns = tcb->sock.stack->now_ns;
    }
    if (peer->has & TCP_HAS_SACK_PERMITTED)
        tcb->flags |= TCP_F_SACK;
    if (peer->has & TCP_HAS_SCALE) {
        tcb->flags |= TCP_F_SCALE;
        tcb->snd_scale = peer->scale;
    } else {
        tcb->rcv_scale = 0;
    }
    pal__n_tcb_update_mss(tcb);
}

void pal__n_tcb_connected(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;

    tcb->state = TCP_ESTABLISHED;
    tcb->sock.flags |= SOCK_CONNECTED;
    tcb->heard_ns = stack->now_ns;
    tcb->recovery = RECOVERY_NONE;
    tcb->backoff = 0;
    tcb->last_ack_sent = tcb->rcv_nxt;
    tcb->fack = tcb->snd_una;
    tcb->recover = tcb->snd_una - 1; /* RFC 6582 3.2 step 1 */
    count(stack, tcb->flags & TCP_F_PASSIVE ? COUNTER_tcp_opened_passive : COUNTER_tcp_opened_active);
    pal__n_cc_start(tcb);
    if (tcb->sock.flags & SOCK_KEEPALIVE)
        pal__n_tcb_set_date(tcb, DATE_KEEPALIVE, stack->now_ns + tcb->keepalive_idle_ns);
    pal__n_sock_changed(&tcb->sock);
}

/* Options that a connection has from its listener. */
static void inherit(struct tcb *tcb, const struct tcb *listener)
{
    tcb->sock.flags = listener->sock.flags & (SOCK_REUSEADDR | SOCK_REUSEPORT | SOCK_KEEPALIVE | SOCK_V6ONLY);
    tcb->sock.ttl = listener->sock.ttl;
    tcb->sock.tos = listener->sock.tos;
    tcb->flags = (listener->flags & (TCP_F_NODELAY | TCP_F_CORK | TCP_F_QUICKACK | TCP_F_LINGER | TCP_F_LINGER_RESET)) |
                 TCP_F_PASSIVE;
    tcb->send_buffer = listener->send_buffer;
    tcb->receive_buffer = listener->receive_buffer;
    tcb->low_water = listener->low_water;
    tcb->algorithm = listener->algorithm;
    tcb->mss_max = listener->mss_max;
    tcb->linger_seconds = listener->linger_seconds;
    tcb->user_timeout_ns = listener->user_timeout_ns;
    tcb->keepalive_idle_ns = listener->keepalive_idle_ns;
    tcb->keepalive_interval_ns = listener->keepalive_interval_ns;
    tcb->keepalive_count = listener->keepalive_count;
}

/* The numbers of both sides, as if the SYNs had been this block's own. */
static void set_numbers(struct tcb *tcb, const struct handshake *handshake)
{
    tcb->iss = handshake->iss;
    tcb->snd_una = tcb->snd_nxt = tcb->snd_end = handshake->iss + 1;
    tcb->snd_wnd = tcb->snd_wnd_max = handshake->peer_window;
    tcb->snd_wl1 = handshake->irs;
    tcb->snd_wl2 = tcb->snd_una;
    tcb->irs = handshake->irs;
    tcb->rcv_nxt = handshake->irs + 1;
    tcb->rcv_edge = tcb->rcv_nxt + (tcb->receive_buffer < UINT16_MAX ? tcb->receive_buffer : UINT16_MAX);
    tcb->ts_offset = handshake->ts_offset;
}

struct tcb *pal__n_tcb_passive(struct tcb *listener, const struct handshake *handshake, uint32_t replaces)
{
    struct netstack *stack = listener->sock.stack;
    struct tcb *tcb = pal__n_tcb_new(stack, listener->sock.family);
    uint32_t index;

    if (tcb == NULL)
        return NULL;
    inherit(tcb, listener);
    tcb->sock.tuple = handshake->tuple;
    tcb->sock.scope = handshake->scope;
    index = demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb));
    if (replaces != DEMUX_NONE) {
        pal__n_demux_replace(stack, &tcb->sock.tuple, replaces, index);
    } else if (!pal__n_demux_insert(stack, &tcb->sock.tuple, index)) {
        tcb->sock.kind = SOCK_NONE;
        pool_give(&stack->tcb_pool, tcb);
        return NULL;
    }
    tcb->flags |= TCP_F_DEMUXED;
    port_use(stack->ports, tcb->sock.tuple.local_port);
    tcb->dst = handshake->dst;
    set_numbers(tcb, handshake);
    pal__n_tcb_negotiate(tcb, &handshake->options);
    tcb->ts_recent = handshake->ts_recent;
    if (handshake->rtt_ns != UINT64_MAX)
        pal__n_tcb_rtt_sample(tcb, handshake->rtt_ns);
    pal__n_tcb_connected(tcb);
    return tcb;
}

void pal__n_tcp_destroy_all(struct netstack *stack, bool notify)
{
    struct tcb *tcb;

    for (uint32_t next = 0; (tcb = pal__n_pool_next(&stack->tcb_pool, &next)) != NULL;) {
        if (notify && tcb_is_synchronised(tcb))
            pal__n_tcb_send_reset(tcb);
        pal__n_tcb_free(tcb);
    }
}
