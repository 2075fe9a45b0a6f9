/* udp_send.c: a datagram to be sent: by which way, from which address, in how many pieces (RFC 768, RFC 1122 4.1.3). It
 * goes to its interface within the call, so that what a program sends keeps its order. */
#include "udp.h"

#include "checksum.h"
#include "stack.h"

/* ---- the way ---- */

/* The interface that a group or a broadcast leaves by: the socket's choice, else that of the address it sends from. */
static uint32_t via_of_group(const struct udp *udp)
{
    const struct ip *local = &udp->sock.tuple.local;
    const struct iface *iface;

    if (udp->mcast_ifindex != 0)
        return udp->mcast_ifindex;
    if (ip_is_unspecified(local) || ip_is_multicast(local))
        return 0;
    if (ip_is_loopback(local))
        return IFINDEX_LOOPBACK;
    iface = pal__n_iface_owning(udp->sock.stack, local);
    return iface != NULL ? iface->index : 0;
}

/* That of loopback's network goes by its own way, as all of 127/8. */
static bool is_broadcast(const struct dst *dst)
{
    struct ip loopback = ip_of_number(0x7fffffff);

    return dst->is_broadcast || ip_equal(&dst->ip, &loopback);
}

struct dst *pal__n_udp_route(struct udp *udp, const struct ip *to, uint32_t scope, int *error)
{
    struct netstack *stack = udp->sock.stack;
    uint32_t via = scope;
    struct dst *dst;

    if (via == 0 && (ip_is_multicast(to) || ip_is_limited_broadcast(to)))
        via = via_of_group(udp);
    if (via == 0 && ip_is_multicast(to) && ip_needs_scope(to))
        via = pal__n_mcast_ifindex(stack, to);
    dst = pal__n_dst_get(stack, to, via, error);
    if (dst != NULL && is_broadcast(dst) && (udp->sock.flags & SOCK_BROADCAST) == 0) {
        pal__n_dst_put(stack, dst);
        *error = pal__n_refuse(stack, PAL_EACCES, "a broadcast needs PAL_SO_BROADCAST");
        return NULL;
    }
    return dst;
}

/* The path to the peer, renewed if routes have changed. */
static struct dst *peer_dst(struct udp *udp, int *error)
{
    struct netstack *stack = udp->sock.stack;
    struct dst *dst;

    if (is_broadcast(udp->dst) && (udp->sock.flags & SOCK_BROADCAST) == 0) {
        *error = pal__n_refuse(stack, PAL_EACCES, "a broadcast needs PAL_SO_BROADCAST");
        return NULL;
    }
    if (!pal__n_dst_is_stale(stack, udp->dst))
        return udp->dst;
    dst = pal__n_udp_route(udp, &udp->sock.tuple.remote, udp->dst->via, error);
    if (dst == NULL)
        return NULL;
    pal__n_dst_put(stack, udp->dst);
    udp->dst = dst;
    return dst;
}

/* ---- what is to be sent ---- */

struct sending {
    struct udp *udp;
    const struct pal_msg *msg;
    struct dst *dst;
    bool is_dst_held; /* a reference of its own, not the socket's */
    struct ip to, from;
    uint16_t port;
    uint32_t size; /* of the payload */
};

static int find_size(struct sending *sending)
{
    const struct pal_msg *msg = sending->msg;
    size_t size = 0;

    for (uint32_t i = 0; i < msg->iov_count; i++) {
        if (msg->iov[i].size > UDP_PAYLOAD_MAX6)
            return PAL_EMSGSIZE;
        size += msg->iov[i].size; /* at most 64 pieces */
    }
    if (size > UDP_PAYLOAD_MAX6)
        return PAL_EMSGSIZE;
    sending->size = (uint32_t)size;
    return 0;
}

/* Where to: what the message says, else the peer. */
static int find_destination(struct sending *sending)
{
    struct udp *udp = sending->udp;
    struct sock *sock = &udp->sock;
    const struct pal_msg *msg = sending->msg;
    uint32_t scope = 0;
    int error = 0;

    if (msg->addr == NULL && (sock->flags & SOCK_CONNECTED) == 0)
        return pal__n_refuse(sock->stack, PAL_EDESTADDRREQ, "this socket has no peer: the message needs an address");
    if (msg->addr != NULL && !pal__n_addr_to(sock, msg->addr, &sending->to, &sending->port, &scope, &error))
        return error;
    if (msg->addr == NULL) {
        sending->to = sock->tuple.remote;
        sending->port = sock->tuple.remote_port;
        scope = udp->dst->via;
    }
    if (sending->port == 0)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "nobody can be at port 0");
    if (msg->want & PAL_META_LOCAL && msg->ifindex != 0) {
        if (sock->scope != 0 && sock->scope != msg->ifindex)
            return pal__n_refuse(sock->stack, PAL_EINVAL, "this socket belongs to another interface");
        scope = msg->ifindex;
    }
    if (msg->addr == NULL && scope == udp->dst->via) {
        sending->dst = peer_dst(udp, &error);
    } else {
        sending->dst = pal__n_udp_route(udp, &sending->to, scope, &error);
        sending->is_dst_held = sending->dst != NULL;
    }
    return sending->dst != NULL ? 0 : error;
}

int pal__n_udp_source(const struct udp *udp, const struct dst *dst, const struct ip *named, struct ip *out)
{
    struct netstack *stack = udp->sock.stack;
    struct ip from = named != NULL ? *named : udp->sock.tuple.local;

    if (ip_is_unspecified(&from) || ip_is_multicast(&from) || pal__n_iface_is_broadcast(dst->iface, &from))
        from = dst->source; /* what a socket is bound to need not be an address that can send */
    if (ip_is_v4(&from) != ip_is_v4(&dst->ip))
        return pal__n_refuse(stack, PAL_ENETUNREACH, "source and destination are of different versions of IP");
    if (ip_is_loopback(&from) && !iface_is_loopback(dst->iface))
        return pal__n_refuse(stack, PAL_EINVAL, "from loopback nothing leaves this host");
    *out = from;
    return 0;
}

/* Where from: what the message says, else the socket's name, else what the path suggests. */
static int find_source(struct sending *sending)
{
    const struct sock *sock = &sending->udp->sock;
    const struct pal_msg *msg = sending->msg;
    struct ip named;

    if ((msg->want & PAL_META_LOCAL) == 0 || msg->local.family == PAL_AF_UNSPEC)
        return pal__n_udp_source(sending->udp, sending->dst, NULL, &sending->from);
    if (msg->local.size != (sock->family == PAL_AF_INET ? 4 : 16))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "an IPv4 address has size 4, an IPv6 address 16");
    named = sock->family == PAL_AF_INET ? ip_of_v4(msg->local.bytes) : ip_of_v6(msg->local.bytes);
    if (!ip_is_unspecified(&named) && (sock->flags & SOCK_FREEBIND) == 0 &&
        !pal__n_port_is_ours(sock->stack, &named, sending->dst->iface->index))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the source is no address of ours");
    return pal__n_udp_source(sending->udp, sending->dst, ip_is_unspecified(&named) ? NULL : &named, &sending->from);
}

/* ---- room ---- */

/* What has been sent to ourselves is received at once, when there is no room for more: a program that does not wait is
 * not held up by itself, as with a kernel. Nothing that is received sends datagrams of a program, so that this does not
 * come back to here. */
static void drain_loopback(struct netstack *stack)
{
    enum { BURSTS_MAX = 64 };
    struct iface *iface = stack->ifaces[0];
    struct frame *frames[IFACE_BURST];
    int received = IFACE_BURST;

    for (int burst = 0; burst < BURSTS_MAX && received > 0; burst++) {
        received = iface->nic->ops->rx(iface->nic, frames, IFACE_BURST);
        for (int i = 0; i < received; i++)
            pal__n_ether_in(iface, frames[i]);
    }
}

static void make_room(struct netstack *stack, struct iface *iface)
{
    pal__n_iface_flush(iface);
    if (iface_is_loopback(iface))
        drain_loopback(stack);
}

/* A frame for the whole datagram, when there is room for it at the port as well: all its fragments. */
static struct frame *find_room(struct sending *sending)
{
    struct netstack *stack = sending->udp->sock.stack;
    struct iface *iface = sending->dst->iface;
    uint32_t payload = sending->dst->mtu - ip_header_size(&sending->to);
    uint32_t needed = (sending->size + UDP_SIZE) / (payload - 16) + 1; /* fragments have a header more, and end at 8 */
    struct frame *frame;

    if (needed > IFACE_PENDING_MAX / 2)
        needed = IFACE_PENDING_MAX / 2;
    if (iface_tx_room(iface) < needed)
        make_room(stack, iface);
    if (iface_tx_room(iface) < needed)
        return NULL;
    frame = pal__n_ip_frame(stack, sending->dst, sending->size + UDP_SIZE);
    if (frame == NULL) {
        make_room(stack, iface);
        frame = pal__n_ip_frame(stack, sending->dst, sending->size + UDP_SIZE);
    }
    return frame;
}

/* ---- the datagram ---- */

static void gather(const struct sending *sending, uint8_t *at)
{
    for (uint32_t i = 0; i < sending->msg->iov_count; i++) {
        const struct pal_iov *piece = &sending->msg->iov[i];

        if (piece->size > 0)
            memcpy(at, piece->data, piece->size);
        at += piece->size;
    }
}

/* Payload and checksum: together where one piece is all there is, left to the port where it can. */
static void write_datagram(const struct sending *sending, struct frame *frame)
{
    const struct pal_msg *msg = sending->msg;
    uint8_t *at = frame->data;
    uint32_t size = sending->size + UDP_SIZE;
    uint64_t sum = pal__n_checksum_pseudo(&sending->from, &sending->to, PAL_IPPROTO_UDP, size);
    uint16_t checksum;

    put16(at + UDP_SRC, sending->udp->sock.tuple.local_port);
    put16(at + UDP_DST, sending->port);
    put16(at + UDP_LENGTH, size);
    put16(at + UDP_CHECKSUM, 0);
    frame->size = size;
    if (sending->dst->iface->caps.flags & NIC_TX_CHECKSUM) {
        gather(sending, at + UDP_SIZE);
        frame->flags |= FRAME_CSUM_NEEDED;
        frame->csum_start = 0;
        frame->csum_offset = UDP_CHECKSUM;
        put16(at + UDP_CHECKSUM, pal__n_checksum_fold(sum));
        return;
    }
    sum = pal__n_checksum_add(sum, at, UDP_SIZE);
    if (msg->iov_count == 1 && sending->size > 0) {
        sum = pal__n_checksum_copy(sum, at + UDP_SIZE, msg->iov[0].data, sending->size);
    } else {
        gather(sending, at + UDP_SIZE);
        sum = pal__n_checksum_add(sum, at + UDP_SIZE, sending->size);
    }
    checksum = checksum_finish(sum);
    put16(at + UDP_CHECKSUM, checksum != 0 ? checksum : 0xffff); /* zero would say that there is none */
}

/* A group's datagram with hop limit 0 stays on this host (RFC 1112 6.1): nobody hears it but members here. */
static void send_inside(const struct ip_send *how, struct frame *frame)
{
    bool is_v4 = ip_is_v4(&how->to);

    frame->flags &= (uint16_t)~FRAME_CSUM_NEEDED; /* it is not looked at */
    if (is_v4)
        pal__n_ip4_header(how, frame, how->dst->ip4_id++, 0);
    else
        pal__n_ip6_header(how, frame, how->protocol);
    if (how->to_loopback)
        pal__n_ip_loop(how->dst->iface, frame, is_v4 ? ETH_P_IP4 : ETH_P_IP6);
    frame_free(frame);
}

/* Larger than the path takes, and not to be cut: who asked for the error queue is told there, too, how large it is. */
static int too_large(const struct sending *sending)
{
    struct udp *udp = sending->udp;
    struct udp_notice notice;

    if (udp->sock.flags & SOCK_RECVERR) {
        memset(&notice, 0, offsetof(struct udp_notice, bytes));
        notice.notice.kind = PAL_NOTICE_ERROR;
        notice.notice.error = PAL_EMSGSIZE;
        notice.notice.first = sending->dst->mtu;
        notice.to = sending->to;
        notice.port = sending->port;
        notice.scope = sending->dst->iface->index;
        pal__n_udp_notify(udp, &notice, NULL, 0);
    }
    return PAL_EMSGSIZE;
}

static int transmit(const struct sending *sending, struct frame *frame, bool fits)
{
    struct sock *sock = &sending->udp->sock;
    struct netstack *stack = sock->stack;
    const struct pal_msg *msg = sending->msg;
    bool is_group = sending->dst->is_multicast;
    uint32_t discover = sock_mtu_discover(sock);
    struct ip_send how = {.dst = sending->dst,
                          .src = sending->from,
                          .to = sending->to,
                          .protocol = PAL_IPPROTO_UDP,
                          .hops = is_group ? sock->mcast_ttl : sock->ttl,
                          .tos = msg->want & PAL_META_TOS ? msg->tos : sock->tos,
                          .dont_fragment = discover >= 2 || (discover == 1 && fits),
                          .to_loopback = is_group && sock->flags & SOCK_MCAST_LOOP &&
                                         pal__n_mcast_find(sending->dst->iface, &sending->to) != NULL};

    if (msg->want & PAL_META_TTL)
        how.hops = msg->ttl;
    if (is_group && how.hops == 0) {
        send_inside(&how, frame);
        return 0;
    }
    return pal__n_ip_send(stack, &how, frame);
}

/* All that can be refused is refused before there is a frame. */
static int send_one(struct sending *sending, uint32_t flags)
{
    struct sock *sock = &sending->udp->sock;
    struct netstack *stack = sock->stack;
    const struct pal_msg *msg = sending->msg;
    struct ip any = sock_any(sock);
    struct frame *frame;
    bool fits;
    int error = find_source(sending);

    if (error != 0)
        return error;
    fits = sending->size + UDP_SIZE + ip_header_size(&sending->to) <= sending->dst->mtu;
    if (sending->size > (ip_is_v4(&sending->to) ? UDP_PAYLOAD_MAX4 : UDP_PAYLOAD_MAX6))
        return PAL_EMSGSIZE;
    if (!fits && sock_mtu_discover(sock) >= 2)
        return too_large(sending);
    if (msg->want & PAL_META_TTL && msg->ttl == 0 && !sending->dst->is_multicast)
        return pal__n_refuse(stack, PAL_EINVAL, "a datagram with hop limit 0 goes nowhere");
    if (flags & PAL_MSG_DONTROUTE && !ip_equal(&sending->dst->next_hop, &sending->to))
        return pal__n_refuse(stack, PAL_ENETUNREACH, "only a router leads there");
    if ((sock->flags & SOCK_BOUND) == 0)
        error = pal__n_port_bind(sock, &any, 0);
    if (error != 0)
        return error;
    frame = find_room(sending);
    if (frame == NULL)
        return PAL_EAGAIN;
    write_datagram(sending, frame);
    error = transmit(sending, frame, fits);
    if (error == 0)
        count(stack, COUNTER_udp_out);
    return error;
}

int pal__n_udp_send(struct sock *sock, struct pal_msg *msg, uint32_t flags)
{
    struct sending sending = {.udp = udp_of(sock), .msg = msg};
    int error;

    if (sock->error != 0)
        return sock_take_error(sock);
    if (sock->flags & SOCK_SHUT_WRITE)
        return PAL_EPIPE;
    error = find_size(&sending);
    if (error == 0)
        error = find_destination(&sending);
    if (error == 0)
        error = send_one(&sending, flags);
    if (sending.is_dst_held)
        pal__n_dst_put(sock->stack, sending.dst);
    if (error == 0)
        msg->size = (int32_t)sending.size;
    return error;
}
