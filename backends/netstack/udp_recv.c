/* udp_recv.c: what waits in a UDP socket: datagrams and what is known of them, and notices of sends that have bounced
 * (PAL_SO_RECVERR). All of it is bounded by the socket's receive buffer, and drops the newest. */
#include "udp.h"

#include "stack.h"

/* ---- datagrams that wait ---- */

static struct udp_meta meta_of(const struct frame *frame)
{
    struct udp_meta meta;

    memcpy(&meta, frame->memory, sizeof(meta));
    return meta;
}

/* Sees to it that there is room for the meta in front of the payload. A port that leaves less headroom than a frame of
 * ours costs a move. */
static bool make_headroom(struct frame *frame)
{
    uint32_t missing = sizeof(struct udp_meta);

    if (frame_headroom(frame) >= missing)
        return true;
    missing -= frame_headroom(frame);
    if (frame_tailroom(frame) < missing)
        return false;
    memmove(frame->data + missing, frame->data, frame->size);
    frame->data += missing;
    return true;
}

/* Large frames are few, and others need them to receive anything at all: the last eighth is not for what waits. */
static bool would_starve(struct netstack *stack, const struct frame *frame)
{
    uint32_t max = stack->config.big_frames_max;

    return frame->home == pal__n_loopback_nic(stack) && pal__n_loopback_used(stack) > max - max / 8;
}

void pal__n_udp_keep(struct udp *udp, const struct packet *packet, uint16_t src_port)
{
    struct netstack *stack = udp->sock.stack;
    struct frame *frame = packet->frame;
    struct udp_meta meta = {.src = packet->src,
                            .dst = packet->dst,
                            .time_ns = frame->time_ns != 0 ? frame->time_ns : stack->now_ns,
                            .ifindex = packet->iface->index,
                            .dropped = udp->dropped,
                            .charge = frame->size + UDP_CHARGE,
                            .src_port = src_port,
                            .ttl = packet->hops,
                            .tos = packet->tos};

    if (udp->sock.flags & SOCK_SHUT_READ) {
        drop(stack, frame, COUNTER_udp_drop_port);
        return;
    }
    if (udp->queued_bytes >= udp->receive_buffer || would_starve(stack, frame) || !make_headroom(frame)) {
        udp->dropped++;
        drop(stack, frame, COUNTER_udp_drop_full);
        return;
    }
    memcpy(frame->memory, &meta, sizeof(meta));
    frame->next = NULL;
    if (udp->first == NULL)
        udp->first = frame;
    else
        udp->last->next = frame;
    udp->last = frame;
    udp->queued_bytes += meta.charge;
    stack->held_frames++;
    pal__n_sock_changed(&udp->sock);
}

/* The next datagram, which leaves the queue. */
static struct frame *take(struct udp *udp)
{
    struct frame *frame = udp->first;
    struct udp_meta meta = meta_of(frame);

    udp->first = frame->next;
    if (udp->first == NULL)
        udp->last = NULL;
    frame->next = NULL;
    udp->queued_bytes -= meta.charge;
    udp->sock.stack->held_frames--;
    return frame;
}

void pal__n_udp_drop_received(struct udp *udp)
{
    while (udp->first != NULL)
        frame_free(take(udp));
}

/* ---- to the program ---- */

/* Writes what there is into the pieces, as far as it goes: bytes written. */
static uint32_t scatter(const struct pal_msg *msg, const uint8_t *bytes, uint32_t size)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < msg->iov_count && done < size; i++) {
        size_t room = msg->iov[i].size < size - done ? msg->iov[i].size : size - done;

        if (room > 0)
            memcpy(msg->iov[i].data, bytes + done, room);
        done += (uint32_t)room;
    }
    return done;
}

/* The fields that every answer has. */
static void begin_answer(struct pal_msg *msg, uint32_t flags)
{
    msg->flags = flags;
    msg->have = 0;
    msg->socks_count = 0;
    msg->raw_size = 0;
    if (msg->want & (PAL_META_TIME | PAL_META_NOTICE)) { /* that there is none shows */
        memset(&msg->stamp, 0, sizeof(msg->stamp));
        memset(&msg->notice, 0, sizeof(msg->notice));
    }
}

/* How much of `size` bytes fitted. */
static void end_answer(struct pal_msg *msg, uint32_t size, uint32_t written, uint32_t flags)
{
    msg->size = (int32_t)(flags & PAL_MSG_TRUNC ? size : written);
    if (written < size)
        msg->flags |= PAL_MSG_TRUNC;
}

void pal__n_udp_describe(const struct sock *sock, const struct frame *frame, struct pal_msg *msg)
{
    uint32_t wanted = msg->want & udp_of_const(sock)->wants;
    struct udp_meta meta = meta_of(frame);

    if (msg->addr != NULL)
        pal__n_addr_out(sock, &meta.src, meta.src_port, meta.ifindex, msg->addr);
    if (meta.dropped == 0)
        wanted &= ~(uint32_t)PAL_META_DROPPED;
    if (wanted & PAL_META_LOCAL) {
        pal__n_addr_out(sock, &meta.dst, 0, 0, &msg->local);
        msg->ifindex = meta.ifindex;
    }
    if (wanted & PAL_META_TTL)
        msg->ttl = meta.ttl;
    if (wanted & PAL_META_TOS)
        msg->tos = meta.tos;
    if (wanted & PAL_META_DROPPED)
        msg->dropped = meta.dropped;
    if (wanted & PAL_META_TIME) {
        msg->stamp.system_ns = meta.time_ns;
        msg->stamp.quality = PAL_STAMP_SYSTEM;
        msg->stamp.point = PAL_STAMP_ARRIVED;
    }
    msg->have = (uint16_t)wanted;
}

/* ---- notices ---- */

void pal__n_udp_notify(struct udp *udp, const struct udp_notice *notice, const uint8_t *bytes, size_t size)
{
    struct udp_notice *kept;

    if (udp->notice_count == UDP_NOTICES_MAX) {
        count(udp->sock.stack, COUNTER_udp_notice_full);
        return;
    }
    kept = &udp->notices[(udp->notice_first + udp->notice_count++) % UDP_NOTICES_MAX];
    memcpy(kept, notice, offsetof(struct udp_notice, bytes));
    kept->size = (uint16_t)(size < UDP_NOTICE_BYTES_MAX ? size : (size_t)UDP_NOTICE_BYTES_MAX);
    if (kept->size > 0)
        memcpy(kept->bytes, bytes, kept->size);
    pal__n_sock_changed(&udp->sock);
}

static int recv_notice(struct udp *udp, struct pal_msg *msg, uint32_t flags)
{
    const struct udp_notice *notice = &udp->notices[udp->notice_first];
    struct sock *sock = &udp->sock;

    if (udp->notice_count == 0)
        return PAL_EAGAIN;
    begin_answer(msg, PAL_MSG_ERRQUEUE);
    end_answer(msg, notice->size, scatter(msg, notice->bytes, notice->size), flags);
    if (msg->addr != NULL)
        pal__n_addr_out(sock, &notice->to, notice->port, notice->scope, msg->addr);
    if (msg->want & PAL_META_NOTICE) {
        msg->notice = notice->notice;
        memset(&msg->local, 0, sizeof(msg->local));
        if (!ip_is_unspecified(&notice->offender))
            pal__n_addr_out(sock, &notice->offender, 0, notice->scope, &msg->local);
        msg->have = PAL_META_NOTICE;
    }
    /* As Linux: the pending error is that of the next notice, of which the program has not been told yet. */
    udp->notice_first = (uint8_t)((udp->notice_first + 1) % UDP_NOTICES_MAX);
    udp->notice_count--;
    sock->error = (int16_t)(udp->notice_count > 0 ? udp->notices[udp->notice_first].notice.error : 0);
    return 0;
}

/* ---- what the program calls ---- */

int pal__n_udp_recv(struct sock *sock, struct pal_msg *msg, uint32_t flags)
{
    struct udp *udp = udp_of(sock);
    const struct frame *frame = udp->first;

    if (flags & PAL_MSG_ERRQUEUE)
        return recv_notice(udp, msg, flags);
    if (sock->error != 0)
        return sock_take_error(sock);
    if (frame == NULL && (sock->flags & SOCK_SHUT_READ) == 0)
        return PAL_EAGAIN;
    begin_answer(msg, 0);
    if (frame == NULL) { /* shut down: nothing comes any more */
        msg->size = 0;
        if (msg->addr != NULL)
            memset(msg->addr, 0, sizeof(*msg->addr));
        return 0;
    }
    end_answer(msg, frame->size, scatter(msg, frame->data, frame->size), flags);
    pal__n_udp_describe(sock, frame, msg);
    if ((flags & PAL_MSG_PEEK) == 0)
        frame_free(take(udp));
    return 0;
}

int pal__n_udp_recv_frames(struct sock *sock, struct frame **frames, struct pal_addr *addrs, int max)
{
    struct udp *udp = udp_of(sock);
    int taken = 0;

    if (sock->error != 0)
        return sock_take_error(sock);
    if (udp->first == NULL)
        return sock->flags & SOCK_SHUT_READ ? 0 : PAL_EAGAIN;
    while (taken < max && udp->first != NULL) {
        struct udp_meta meta = meta_of(udp->first);

        if (addrs != NULL)
            pal__n_addr_out(sock, &meta.src, meta.src_port, meta.ifindex, &addrs[taken]);
        frames[taken++] = take(udp);
    }
    return taken;
}
