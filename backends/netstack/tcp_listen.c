/* tcp_listen.c: listeners: what comes to a port where nothing else is (RFC 9293 3.10.7.2), and the accept queue.
 *
 * A SYN becomes an embryo (tcp_syn.c) while there is room for one, and is answered by a cookie (tcp_cookie.c) when
 * there is none: a flood of them costs no memory, and no connection that exists notices it. */
#include "stack.h"

/* Good addresses of both ends (RFC 9293 3.9.2.3, MUST-57, MUST-63); a segment from ourselves comes by the loopback
 * interface, and from its own address and port never (CERT CA-1997-28, "land"). */
static bool has_good_addresses(struct netstack *stack, const struct segment *segment)
{
    const struct packet *packet = segment->packet;
    const struct ip *remote = &segment->tuple.remote;

    if ((packet->flags & (PACKET_LINK_GROUP | PACKET_BROADCAST | PACKET_MULTICAST)) != 0)
        return false;
    if (ip_is_unspecified(remote) || ip_is_multicast(remote) || pal__n_iface_is_broadcast(packet->iface, remote) ||
        ip_is_limited_broadcast(remote) || segment->tuple.remote_port == 0)
        return false;
    if (ip_equal(remote, &segment->tuple.local) && segment->tuple.remote_port == segment->tuple.local_port)
        return false;
    if ((packet->flags & PACKET_LOOPBACK) != 0)
        return true;
    return !ip_is_loopback(remote) && pal__n_iface_owning(stack, remote) == NULL;
}

/* ---- the accept queue ---- */

static bool is_accept_full(const struct tcp_listener *listener)
{
    return listener->accept_count >= listener->backlog;
}

struct tcb *pal__n_listener_admit(struct tcp_listener *listener, const struct handshake *handshake, uint32_t replaces,
                                  enum netstack_counter *reason)
{
    struct tcb *tcb;

    *reason = COUNTER_tcp_accept_full;
    if (is_accept_full(listener))
        return NULL;
    *reason = COUNTER_tcp_drop_memory;
    tcb = pal__n_tcb_passive(listener->tcb, handshake, replaces);
    if (tcb == NULL)
        return NULL;
    tcb->listener = listener;
    tcb->flags |= TCP_F_QUEUED;
    base_list_push_back(&listener->accepts, &tcb->accept_link);
    listener->accept_count++;
    pal__n_sock_changed(&listener->tcb->sock);
    return tcb;
}

static struct tcb *take_queued(struct tcp_listener *listener)
{
    struct base_link *link = base_list_pop_front(&listener->accepts);
    struct tcb *tcb;

    if (link == NULL)
        return NULL;
    listener->accept_count--;
    tcb = BASE_CONTAINER_OF(link, struct tcb, accept_link);
    tcb->listener = NULL;
    tcb->flags &= ~(uint32_t)TCP_F_QUEUED;
    return tcb;
}

struct tcb *pal__n_listener_accept(struct tcb *tcb)
{
    BASE_ASSERT(tcb->state == TCP_LISTEN);
    return take_queued(tcb->listener);
}

/* ---- beginning and end ---- */

static void set_backlog(const struct netstack *stack, struct tcp_listener *listener, int backlog)
{
    uint32_t embryos_max = stack->config.embryos_max;

    listener->backlog = backlog < 1 ? 1 : backlog > BACKLOG_MAX ? BACKLOG_MAX : (uint32_t)backlog;
    listener->embryo_max = listener->backlog < EMBRYOS_LEAST ? EMBRYOS_LEAST : listener->backlog;
    if (listener->embryo_max > embryos_max)
        listener->embryo_max = embryos_max;
}

int pal__n_listener_open(struct tcb *tcb, int backlog)
{
    struct netstack *stack = tcb->sock.stack;
    struct tcp_listener *listener = tcb->listener;

    if (tcb->state == TCP_LISTEN) {
        set_backlog(stack, listener, backlog);
        return 0;
    }
    BASE_ASSERT(tcb->state == TCP_CLOSED && listener == NULL);
    listener = pool_take(&stack->listener_pool);
    if (listener == NULL)
        return PAL_ENOBUFS;
    memset(listener, 0, sizeof(*listener));
    listener->tcb = tcb;
    base_list_init(&listener->embryos);
    base_list_init(&listener->accepts);
    set_backlog(stack, listener, backlog);
    tcb->listener = listener;
    tcb->state = TCP_LISTEN;
    tcb->sock.flags |= SOCK_LISTENING;
    return 0;
}

static struct embryo *oldest_embryo(const struct tcp_listener *listener)
{
    struct base_link *link = base_list_first(&listener->embryos);

    return link == NULL ? NULL : BASE_CONTAINER_OF(link, struct embryo, link);
}

/* What is half open is forgotten: the peer's next segment gets the answer of a closed port. What is open is reset. */
void pal__n_listener_close(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;
    struct tcp_listener *listener = tcb->listener;
    struct embryo *embryo;
    struct tcb *queued;

    BASE_ASSERT(tcb->state == TCP_LISTEN);
    while ((embryo = oldest_embryo(listener)) != NULL)
        pal__n_embryo_free(stack, embryo);
    while ((queued = take_queued(listener)) != NULL) {
        queued->sock.flags |= SOCK_ORPHAN;
        pal__n_tcb_abort(queued, PAL_ECONNABORTED, queued->state != TCP_CLOSED);
    }
    tcb->listener = NULL;
    tcb->state = TCP_CLOSED;
    tcb->sock.flags &= ~(uint32_t)SOCK_LISTENING;
    pool_give(&stack->listener_pool, listener);
}

/* ---- what comes ---- */

/* True: the segment completes the handshake of a cookie, and its frame is gone. */
static bool cookie_in(struct netstack *stack, struct tcp_listener *listener, struct segment *segment)
{
    enum netstack_counter reason;
    struct handshake handshake;
    struct tcb *tcb;
    int error;

    if ((segment->flags & TCP_SYN) != 0 || !pal__n_cookie_check(stack, segment, &handshake))
        return false;
    handshake.scope = pal__n_scope_of(listener->tcb, segment);
    handshake.dst = pal__n_dst_get(stack, &segment->tuple.remote, handshake.scope, &error);
    if (handshake.dst == NULL) {
        drop(stack, segment->packet->frame, COUNTER_tcp_drop_memory);
        return true;
    }
    tcb = pal__n_listener_admit(listener, &handshake, DEMUX_NONE, &reason);
    if (tcb == NULL) { /* the peer sends its data again, and then there may be room */
        pal__n_dst_put(stack, handshake.dst);
        drop(stack, segment->packet->frame, reason);
        return true;
    }
    count(stack, COUNTER_tcp_cookie_good);
    pal__n_tcb_in(tcb, segment);
    return true;
}

/* No connection, so it can only be the answer to a cookie, or for a connection of another stack with this address. If
 * cookies are about, what brings data and is none may have
 * overtaken the segment that is: it is left unanswered, and comes again. */
static void ack_in(struct netstack *stack, struct tcp_listener *listener, struct segment *segment)
{
    bool awaits_cookies = stack->now_ns < listener->cookies_until_ns;

    if (awaits_cookies && cookie_in(stack, listener, segment))
        return;
    if (stack_passes(stack, segment->packet, &segment->tuple))
        return;
    if (awaits_cookies)
        count(stack, COUNTER_tcp_cookie_bad);
    if (!awaits_cookies || segment_length(segment) == 0 || (segment->flags & TCP_SYN) != 0)
        pal__n_tcp_reset_for(stack, segment);
    drop(stack, segment->packet->frame, COUNTER_tcp_drop_state);
}

/* There is no room for another embryo: a cookie; without them, the oldest goes if it had its chance. */
static void overflow(struct netstack *stack, struct tcp_listener *listener, const struct segment *segment,
                     const uint32_t *last)
{
    struct embryo *oldest = oldest_embryo(listener);

    if ((stack->config.flags & NETSTACK_COOKIES_OFF) == 0) {
        listener->cookies_until_ns = stack->now_ns + 2 * COOKIE_INTERVAL_S * UINT64_C(1000000000);
        pal__n_embryo_do_without(listener, segment);
        return;
    }
    if (oldest != NULL && oldest->sends > 1) {
        pal__n_embryo_free(stack, oldest);
        count(stack, COUNTER_tcp_embryo_recycled);
        if (pal__n_embryo_open(listener, segment, last))
            return;
    }
    count(stack, COUNTER_tcp_syn_dropped);
}

/* last: as of pal__n_embryo_open. The frame stays the caller's. */
static void syn_in(struct netstack *stack, struct tcp_listener *listener, const struct segment *segment,
                   const uint32_t *last)
{
    if (is_accept_full(listener))
        count(stack, COUNTER_tcp_syn_dropped);
    else if (listener->embryo_count >= listener->embryo_max || pool_room(&stack->embryo_pool) == 0)
        overflow(stack, listener, segment, last);
    else if (!pal__n_embryo_open(listener, segment, last))
        count(stack, COUNTER_tcp_syn_dropped);
}

void pal__n_listener_in(struct tcb *tcb, struct segment *segment)
{
    struct netstack *stack = tcb->sock.stack;
    struct frame *frame = segment->packet->frame;

    if (!has_good_addresses(stack, segment)) {
        drop(stack, frame, COUNTER_tcp_drop_address);
    } else if ((segment->flags & TCP_RST) != 0) {
        if (!stack_passes(stack, segment->packet, &segment->tuple))
            drop(stack, frame, COUNTER_tcp_rst_ignored);
    } else if ((segment->flags & TCP_ACK) != 0) {
        ack_in(stack, tcb->listener, segment);
    } else if ((segment->flags & (TCP_SYN | TCP_FIN)) == TCP_SYN) {
        syn_in(stack, tcb->listener, segment, NULL); /* its data, if any, is not acknowledged, and comes again */
        frame_free(frame);
    } else {
        drop(stack, frame, COUNTER_tcp_drop_state);
    }
}

void pal__n_listener_reuse(struct tcb *tcb, struct segment *segment, uint32_t last)
{
    struct netstack *stack = tcb->sock.stack;

    if (!has_good_addresses(stack, segment)) {
        drop(stack, segment->packet->frame, COUNTER_tcp_drop_address);
        return;
    }
    syn_in(stack, tcb->listener, segment, &last);
    frame_free(segment->packet->frame);
}
