/* tcp_sock.c: what a program asks of a stream socket: begin, listen, write, read, end (RFC 9293 3.10.1-3.10.6, and what
 * pal/socket.h makes of it). Options are tcp_option.c's. Arguments have been checked by sock.c. */
#include "stack.h"

int pal__n_tcp_open(struct netstack *stack, int family, struct sock **out)
{
    struct tcb *tcb = pal__n_tcb_new(stack, family);

    if (tcb == NULL)
        return pal__n_refuse(stack, PAL_ENOBUFS, "as many TCP sockets are open as the stack was made for (tcp_max)");
    *out = &tcb->sock;
    return 0;
}

int pal__n_tcp_listen(struct sock *sock, int backlog)
{
    struct tcb *tcb = tcb_of(sock);

    if (tcb->state != TCP_LISTEN && (tcb->state != TCP_CLOSED || tcb->flags & TCP_F_CONNECTING))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "a socket that was connected does not listen");
    return pal__n_listener_open(tcb, backlog);
}

/* ---- connecting ---- */

/* Why it may not be connected; 0: it may. */
static int refuse_connect(const struct tcb *tcb, const struct ip *ip)
{
    struct netstack *stack = tcb->sock.stack;

    if (tcb->state == TCP_LISTEN)
        return pal__n_refuse(stack, PAL_EISCONN, "this socket listens");
    if (tcb->state == TCP_SYN_SENT || tcb->state == TCP_SYN_RECEIVED)
        return PAL_EALREADY;
    if (tcb->sock.flags & SOCK_CONNECTED)
        return PAL_EISCONN;
    if (tcb->flags & TCP_F_CONNECTING)
        return tcb->sock.error != 0 ? PAL_EALREADY : PAL_EINVAL;
    if (ip_is_multicast(ip) || ip_is_limited_broadcast(ip))
        return pal__n_refuse(stack, PAL_ENETUNREACH, "a stream has one peer: not a group or a broadcast");
    return 0;
}

/* Both ends and the path. The socket's own name is kept if it has one. */
static int find_tuple(struct tcb *tcb, const struct ip *ip, uint16_t port, uint32_t scope, struct tuple *tuple)
{
    struct netstack *stack = tcb->sock.stack;
    int error = 0;

    *tuple = tcb->sock.tuple;
    tuple->remote = *ip;
    tuple->remote_port = port;
    tcb->dst = pal__n_dst_get(stack, ip, scope, &error);
    if (tcb->dst == NULL)
        return error;
    if (tcb->dst->is_broadcast)
        return pal__n_refuse(stack, PAL_ENETUNREACH, "a stream has one peer: not a group or a broadcast");
    if (ip_is_unspecified(&tuple->local))
        tuple->local = tcb->dst->source;
    if (ip_is_loopback(&tuple->local) && !iface_is_loopback(tcb->dst->iface))
        return pal__n_refuse(stack, PAL_EINVAL, "a socket bound to the loopback address reaches nobody else");
    if (tcb->sock.flags & SOCK_BOUND) {
        if (pal__n_demux_find(stack, tuple, pal__n_demux_hash(&stack->demux, tuple)) != DEMUX_NONE)
            return pal__n_refuse(stack, PAL_EADDRNOTAVAIL, "there is a connection between these two ends");
        return 0;
    }
    return pal__n_port_for_connection(stack, tuple);
}

static void begin_numbers(struct tcb *tcb)
{
    struct netstack *stack = tcb->sock.stack;

    tcb->iss = pal__n_isn(stack, &tcb->sock.tuple);
    tcb->snd_una = tcb->snd_nxt = tcb->snd_end = tcb->recover = tcb->iss;
    tcb->ts_offset = pal__n_ts_offset(stack, &tcb->sock.tuple);
    tcb->rcv_nxt = tcb->rcv_edge = 0;
}

int pal__n_tcp_connect(struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope)
{
    struct tcb *tcb = tcb_of(sock);
    struct netstack *stack = sock->stack;
    struct tuple tuple;
    int error = refuse_connect(tcb, ip);

    if (error != 0)
        return error;
    error = find_tuple(tcb, ip, port, scope, &tuple);
    if (error == 0 && !pal__n_demux_insert(stack, &tuple, demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb))))
        error = PAL_ENOBUFS;
    if (error != 0) {
        if (tcb->dst != NULL)
            pal__n_dst_put(stack, tcb->dst);
        tcb->flags |= TCP_F_CONNECTING; /* told by connect itself: only close is left (hole 28) */
        tcb->dst = NULL;
        return error;
    }
    sock->tuple = tuple;
    sock->scope = scope;
    tcb->flags |= TCP_F_DEMUXED | TCP_F_CONNECTING;
    port_use(stack->ports, tuple.local_port);
    begin_numbers(tcb);
    pal__n_tcb_update_mss(tcb);
    if (!pal__n_seg_append_control(tcb, SEG_SYN)) {
        pal__n_tcb_abort(tcb, PAL_ENOBUFS, false);
        return sock_take_error(sock);
    }
    tcb->state = TCP_SYN_SENT;
    tcb->cwnd = tcb->mss;
    pal__n_tcb_dirty(tcb);
    return PAL_EINPROGRESS;
}

int pal__n_tcp_accept(struct sock *sock, struct sock **out)
{
    struct tcb *tcb;

    if (tcb_of(sock)->state != TCP_LISTEN)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this socket does not listen");
    tcb = pal__n_listener_accept(tcb_of(sock));
    if (tcb == NULL)
        return PAL_EAGAIN;
    *out = &tcb->sock;
    return 0;
}

/* ---- writing ---- */

/* Bytes of room in the send buffer. */
static uint32_t send_room(const struct tcb *tcb)
{
    uint32_t queued = tcb->snd_end - tcb->snd_una;

    return queued < tcb->send_buffer ? tcb->send_buffer - queued : 0;
}

static int refuse_send(struct tcb *tcb, uint32_t flags)
{
    struct sock *sock = &tcb->sock;

    if (flags & PAL_MSG_OOB)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this stack receives urgent data and sends none");
    if (sock->error != 0)
        return sock_take_error(sock);
    if (tcb->state == TCP_SYN_SENT || tcb->state == TCP_SYN_RECEIVED)
        return PAL_EAGAIN;
    if (sock->flags & SOCK_SHUT_WRITE || !tcb_can_send(tcb))
        return PAL_EPIPE;
    return 0;
}

/* The last segment waits for more, or does no longer. */
static void note_more(struct tcb *tcb, bool more)
{
    struct seg *last = seg_of(base_list_last(&tcb->segs));

    if (last == NULL || last->flags & SEG_SENT)
        return;
    if (more)
        last->flags |= SEG_MORE;
    else
        last->flags &= (uint8_t)~SEG_MORE;
}

int32_t pal__n_tcp_send(struct sock *sock, const struct pal_iov *iov, int count, uint32_t flags)
{
    struct tcb *tcb = tcb_of(sock);
    uint32_t room, done = 0;
    uint64_t asked = 0;
    int error = refuse_send(tcb, flags);

    if (error != 0)
        return error;
    room = send_room(tcb);
    for (int i = 0; i < count; i++) {
        uint32_t part = iov[i].size < room - done ? (uint32_t)iov[i].size : room - done;
        uint32_t taken = pal__n_seg_append(tcb, iov[i].data, part);

        asked += iov[i].size;
        done += taken;
        if (taken < part) {
            tcb->flags |= TCP_F_STARVED;
            break;
        }
    }
    if (done > 0)
        note_more(tcb, flags & PAL_MSG_MORE);
    if (done > 0 || (tcb->flags & TCP_F_STARVED && tcb->snd_una == tcb->snd_end))
        pal__n_tcb_dirty(tcb); /* with something queued, its acknowledgement is what the program is told by */
    return done == 0 && asked > 0 ? PAL_EAGAIN : (int32_t)done;
}

/* ---- reading ---- */

/* What to say when there is nothing to read. */
static int32_t nothing_to_read(struct tcb *tcb)
{
    struct sock *sock = &tcb->sock;

    if (tcb->flags & TCP_F_FIN_RECEIVED || sock->flags & SOCK_SHUT_READ)
        return 0;
    if (sock->error != 0)
        return sock_take_error(sock);
    if (tcb->state == TCP_LISTEN ||
        (tcb->state == TCP_CLOSED && !(tcb->flags & TCP_F_CONNECTING) && !(sock->flags & SOCK_CONNECTED)))
        return PAL_ENOTCONN;
    return tcb->state == TCP_CLOSED ? 0 : PAL_EAGAIN;
}

/* Takes the first frame off the queue. */
static struct frame *dequeue(struct tcb *tcb)
{
    struct frame *frame = tcb->recv_first;

    tcb->recv_first = frame->next;
    if (tcb->recv_first == NULL)
        tcb->recv_last = NULL;
    tcb->read_bytes -= frame->size;
    tcb->sock.stack->held_frames--;
    return frame;
}

/* Copies up to size bytes from the queue without taking them. */
static uint32_t peek(const struct tcb *tcb, uint8_t *to, uint32_t skip, uint32_t size)
{
    uint32_t done = 0;

    for (const struct frame *frame = tcb->recv_first; frame != NULL && done < size; frame = frame->next) {
        uint32_t part;

        if (skip >= frame->size) {
            skip -= frame->size;
            continue;
        }
        part = frame->size - skip < size - done ? frame->size - skip : size - done;
        memcpy(to + done, frame->data + skip, part);
        done += part;
        skip = 0;
    }
    return done;
}

static uint32_t take(struct tcb *tcb, uint8_t *to, uint32_t size)
{
    uint32_t done = 0;

    while (done < size && tcb->recv_first != NULL) {
        struct frame *frame = tcb->recv_first;
        uint32_t part = frame->size < size - done ? frame->size : size - done;

        memcpy(to + done, frame->data, part);
        done += part;
        if (part == frame->size) {
            frame_free(dequeue(tcb));
        } else {
            frame_pull(frame, part);
            tcb->read_bytes -= part;
        }
    }
    return done;
}

/* The program has taken some: the window may open, and the urgent byte may be behind us. */
static void consumed(struct tcb *tcb)
{
    if (tcb->flags & TCP_F_URGENT && seq_geq(tcb->rcv_nxt - tcb->read_bytes, tcb->rcv_up))
        tcb->flags &= ~(uint32_t)TCP_F_URGENT;
    pal__n_tcb_consumed(tcb);
}

int32_t pal__n_tcp_recv(struct sock *sock, const struct pal_iov *iov, int count, uint32_t flags)
{
    struct tcb *tcb = tcb_of(sock);
    uint32_t done = 0;
    uint64_t room = 0;

    if (flags & PAL_MSG_OOB)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "urgent data lies in the stream (PAL_SO_OOBINLINE)");
    if (flags & PAL_MSG_ERRQUEUE)
        return PAL_EAGAIN;
    for (int i = 0; i < count; i++)
        room += iov[i].size;
    if (tcb->recv_first == NULL)
        return room == 0 && sock->error == 0 && tcb->state >= TCP_ESTABLISHED ? 0 : nothing_to_read(tcb);
    for (int i = 0; i < count; i++) {
        uint32_t size = iov[i].size < PAL_IO_MAX ? (uint32_t)iov[i].size : PAL_IO_MAX;
        uint32_t got = flags & PAL_MSG_PEEK ? peek(tcb, iov[i].data, done, size) : take(tcb, iov[i].data, size);

        done += got;
        if (got < size)
            break;
    }
    if (!(flags & PAL_MSG_PEEK))
        consumed(tcb);
    return (int32_t)done;
}

int pal__n_tcp_recv_frames(struct sock *sock, struct frame **frames, int max)
{
    struct tcb *tcb = tcb_of(sock);
    int taken = 0;

    if (tcb->recv_first == NULL)
        return nothing_to_read(tcb);
    while (taken < max && tcb->recv_first != NULL)
        frames[taken++] = dequeue(tcb);
    consumed(tcb);
    return taken;
}

/* ---- ending ---- */

/* The program writes no more: a FIN follows what is queued. */
static void finish_writing(struct tcb *tcb)
{
    if (!tcb_can_send(tcb))
        return;
    tcb->state = tcb->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
    tcb->flags = (tcb->flags | TCP_F_FIN_WANTED) & ~(uint32_t)TCP_F_CORK;
    note_more(tcb, false);
    pal__n_tcb_dirty(tcb);
}

int pal__n_tcp_shutdown(struct sock *sock, int how)
{
    struct tcb *tcb = tcb_of(sock);

    if (tcb->state < TCP_ESTABLISHED)
        return PAL_ENOTCONN;
    if (how != PAL_SHUT_WR)
        sock->flags |= SOCK_SHUT_READ;
    if (how != PAL_SHUT_RD) {
        sock->flags |= SOCK_SHUT_WRITE;
        finish_writing(tcb);
    }
    pal__n_sock_changed(sock);
    return 0;
}

void pal__n_tcp_close(struct sock *sock)
{
    struct tcb *tcb = tcb_of(sock);

    sock->flags |= SOCK_ORPHAN;
    if (tcb->state == TCP_CLOSED || tcb->state == TCP_LISTEN || tcb->state == TCP_SYN_SENT) {
        pal__n_tcb_free(tcb);
        return;
    }
    if (tcb->state == TCP_SYN_RECEIVED || tcb->read_bytes > 0 || tcb->flags & TCP_F_LINGER_RESET) {
        pal__n_tcb_abort(tcb, 0, true); /* RFC 9293 3.6.1: what was sent will not be read, and the peer is to know */
        return;
    }
    finish_writing(tcb);
    if (tcb->state == TCP_FIN_WAIT_2)
        pal__n_tcb_set_date(tcb, DATE_LIFE, sock->stack->now_ns + 2 * sock->stack->config.msl_ns);
}

/* ---- readiness ---- */

/* Enough to be worth a read. More than half of the buffer always is, and so is all there is when the window has shut:
 * the peer would send no more. */
static bool has_enough(const struct tcb *tcb)
{
    return tcb->read_bytes >= tcb->low_water || tcb->read_bytes > tcb->receive_buffer / 2 ||
           tcb->rcv_edge - tcb->rcv_nxt < tcb->mss;
}

uint32_t pal__n_tcp_ready(const struct sock *sock)
{
    const struct tcb *tcb = tcb_of_const(sock);
    bool was_begun = tcb->flags & (TCP_F_CONNECTING | TCP_F_PASSIVE);
    bool read_over = tcb->flags & TCP_F_FIN_RECEIVED || sock->flags & SOCK_SHUT_READ;
    uint32_t ready = 0;

    if (tcb->state == TCP_LISTEN)
        return tcb->listener->accept_count > 0 ? PAL_IN : 0;
    if (tcb->state == TCP_CLOSED && !was_begun)
        return 0;
    if (tcb->state == TCP_SYN_SENT || tcb->state == TCP_SYN_RECEIVED)
        return 0;
    if ((tcb->read_bytes > 0 && has_enough(tcb)) || read_over || tcb->state == TCP_CLOSED)
        ready |= PAL_IN;
    if (read_over || tcb->state == TCP_CLOSED)
        ready |= PAL_RDHUP;
    if (!tcb_can_send(tcb))
        ready |= PAL_OUT; /* a write would say why not */
    else if (tcb->snd_end - tcb->snd_una <= tcb->send_buffer / 3 * 2 && !(tcb->flags & TCP_F_STARVED))
        ready |= PAL_OUT; /* whether there is memory only a write finds out, which is told when there is some again */
    if (tcb->flags & TCP_F_URGENT)
        ready |= PAL_PRI;
    if (sock->error != 0)
        ready |= PAL_ERR;
    if (tcb->state == TCP_CLOSED || (read_over && !tcb_can_send(tcb)))
        ready |= PAL_HUP;
    return ready;
}
