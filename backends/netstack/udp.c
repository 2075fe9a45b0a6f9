/* udp.c: UDP sockets from beginning to end, their peers, and whom a datagram that has come is for (RFC 768, RFC 1122
 * 4.1). What waits to be read is udp_recv.c's, what is sent udp_send.c's. */
#include "udp.h"

#include "checksum.h"
#include "stack.h"

/* ---- beginning and end ---- */

int pal__n_udp_open(struct netstack *stack, int family, struct sock **out)
{
    struct udp *udp = pool_take(&stack->udp_pool);

    if (udp == NULL)
        return pal__n_refuse(stack, PAL_ENOBUFS, "as many UDP sockets are open as the stack was made for (udp_max)");
    memset(udp, 0, offsetof(struct udp, notices));
    udp->sock.stack = stack;
    udp->sock.waiter = &stack->waiter;
    udp->sock.kind = SOCK_UDP;
    udp->sock.family = (uint8_t)family;
    udp->sock.flags = SOCK_MCAST_LOOP;
    udp->sock.mcast_ttl = 1; /* RFC 1112 6.1 */
    udp->sock.tuple.protocol = PAL_IPPROTO_UDP;
    udp->sock.tuple.local = udp->sock.tuple.remote = sock_any(&udp->sock);
    udp->receive_buffer = stack->config.receive_buffer;
    udp->send_buffer = stack->config.send_buffer;
    *out = &udp->sock;
    return 0;
}

static uint32_t demux_index_of(const struct udp *udp)
{
    return demux_index(DEMUX_UDP, pool_index(&udp->sock.stack->udp_pool, udp));
}

/* Into the demultiplexer if there is room and nobody of the same name: else the port table finds it, at more cost. */
static void enter_demux(struct udp *udp)
{
    struct netstack *stack = udp->sock.stack;
    const struct tuple *tuple = &udp->sock.tuple;
    uint64_t hash = pal__n_demux_hash(&stack->demux, tuple);

    udp->is_in_demux = udp->sock.scope == 0 && pal__n_demux_find(stack, tuple, hash) == DEMUX_NONE &&
                       pal__n_demux_insert(stack, tuple, demux_index_of(udp));
}

static void leave_demux(struct udp *udp)
{
    if (udp->is_in_demux)
        pal__n_demux_remove(udp->sock.stack, &udp->sock.tuple, demux_index_of(udp));
    udp->is_in_demux = false;
}

static void disconnect(struct udp *udp)
{
    struct sock *sock = &udp->sock;

    leave_demux(udp);
    if (udp->dst != NULL)
        pal__n_dst_put(sock->stack, udp->dst);
    udp->dst = NULL;
    sock->flags &= ~(uint32_t)SOCK_CONNECTED;
    sock->tuple.remote = sock_any(sock);
    sock->tuple.remote_port = 0;
    if ((sock->flags & SOCK_REMEMBERED) == 0) /* connecting had chosen the address; the port stays */
        sock->tuple.local = sock_any(sock);
    if (udp->is_scope_of_peer)
        sock->scope = 0;
    udp->is_scope_of_peer = false;
}

void pal__n_udp_close(struct sock *sock)
{
    struct udp *udp = udp_of(sock);
    struct netstack *stack = sock->stack;

    pal__n_mcast_leave_all(sock);
    disconnect(udp);
    pal__n_udp_drop_received(udp);
    pal__n_port_release(sock);
    sock->kind = SOCK_NONE;
    pool_give(&stack->udp_pool, udp);
}

void pal__n_udp_destroy_all(struct netstack *stack)
{
    struct udp *udp;

    for (uint32_t index = 0; (udp = pal__n_pool_next(&stack->udp_pool, &index)) != NULL;)
        pal__n_sock_close(&udp->sock);
}

/* ---- the peer ---- */

/* A path to the peer, and an address of ours to reach it from. */
int pal__n_udp_connect(struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope)
{
    struct udp *udp = udp_of(sock);
    struct ip any = sock_any(sock), from;
    struct dst *dst;
    int error = 0;

    if (ip == NULL) {
        disconnect(udp);
        return 0;
    }
    dst = pal__n_udp_route(udp, ip, scope, &error);
    if (dst == NULL)
        return error;
    /* An address that an earlier connect has chosen is no name to keep to. */
    error = pal__n_udp_source(udp, dst, sock->flags & SOCK_REMEMBERED ? NULL : &dst->source, &from);
    if (error == 0 && (sock->flags & SOCK_BOUND) == 0)
        error = pal__n_port_bind(sock, &any, 0);
    if (error != 0) {
        pal__n_dst_put(sock->stack, dst);
        return error;
    }
    disconnect(udp);
    udp->dst = dst;
    sock->tuple.remote = *ip;
    sock->tuple.remote_port = port;
    if (ip_is_unspecified(&sock->tuple.local))
        sock->tuple.local = from;
    if (sock->scope == 0 && ip_needs_scope(ip)) { /* the peer is on that interface alone */
        sock->scope = scope;
        udp->is_scope_of_peer = scope != 0;
    }
    sock->flags |= SOCK_CONNECTED;
    enter_demux(udp);
    pal__n_sock_changed(sock);
    return 0;
}

int pal__n_udp_shutdown(struct sock *sock, int how)
{
    if ((sock->flags & SOCK_CONNECTED) == 0)
        return PAL_ENOTCONN;
    if (how != PAL_SHUT_WR)
        sock->flags |= SOCK_SHUT_READ;
    if (how != PAL_SHUT_RD)
        sock->flags |= SOCK_SHUT_WRITE;
    pal__n_sock_changed(sock);
    return 0;
}

/* ---- readiness ---- */

/* There is room for another datagram at its interface. Unconnected sockets, which may send anywhere, are always told
 * so; a send may say PAL_EAGAIN nevertheless, until the next turn. Loopback makes room by itself. */
static bool has_room(const struct udp *udp)
{
    return udp->dst == NULL || iface_is_loopback(udp->dst->iface) || iface_tx_room(udp->dst->iface) > 0;
}

uint32_t pal__n_udp_ready(const struct sock *sock)
{
    const struct udp *udp = udp_of_const(sock);
    uint32_t both = SOCK_SHUT_READ | SOCK_SHUT_WRITE;
    uint32_t ready = has_room(udp) ? PAL_OUT : 0;

    if (udp->first != NULL)
        ready |= PAL_IN;
    if (sock->error != 0 || udp->notice_count > 0)
        ready |= PAL_ERR;
    if (sock->flags & SOCK_SHUT_READ)
        ready |= PAL_IN | PAL_RDHUP;
    if ((sock->flags & both) == both)
        ready |= PAL_HUP;
    return ready;
}

/* ---- a datagram has come ---- */

/* Whether it is addressed to this socket, which is at its port, with its peer and its interface. */
static bool is_for(const struct sock *sock, const struct packet *packet, uint16_t port, uint16_t src_port)
{
    if (sock->tuple.local_port != port || !pal__n_port_accepts(sock, &packet->dst, packet->iface->index))
        return false;
    return (sock->flags & SOCK_CONNECTED) == 0 ||
           (sock->tuple.remote_port == src_port && ip_equal(&sock->tuple.remote, &packet->src));
}

/* A checksum of zero says that there is none, which IPv6 allows to those only who ask for it (RFC 6936). */
static bool accepts_unchecked(const struct sock *sock, const struct packet *packet)
{
    return ip_is_v4(&packet->src) || udp_of_const(sock)->accept_zero_checksum;
}

static struct frame *copy_of(struct netstack *stack, const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    struct frame *copy =
        frame->size <= packet->iface->caps.frame_room ? frame_alloc(packet->iface->nic) : pal__n_big_frame(stack);

    if (copy == NULL)
        return NULL;
    if (frame_tailroom(copy) < frame->size) {
        frame_free(copy);
        return NULL;
    }
    memcpy(copy->data, frame->data, frame->size);
    copy->size = frame->size;
    copy->time_ns = frame->time_ns;
    return copy;
}

/* Those that a datagram to many is for, of which the latest found waits for the frame itself. */
struct audience {
    struct packet *packet;
    struct sock *latest;
    uint16_t src_port;
};

static void add(struct audience *audience, struct sock *sock)
{
    struct packet copy = *audience->packet;

    if (audience->latest != NULL) {
        copy.frame = copy_of(sock->stack, audience->packet);
        if (copy.frame == NULL) {
            udp_of(audience->latest)->dropped++;
            count(sock->stack, COUNTER_udp_drop_full);
        } else {
            pal__n_udp_keep(udp_of(audience->latest), &copy, audience->src_port);
        }
    }
    audience->latest = sock;
}

/* To the members of a group at that port, as far as their filters let it through. False: refused by a filter. */
static bool add_members(struct audience *audience, uint16_t port, bool unchecked)
{
    const struct packet *packet = audience->packet;
    const struct group *group = pal__n_mcast_find(packet->iface, &packet->dst);
    bool is_filtered = false;

    for (const struct membership *member = group != NULL ? group->members : NULL; member != NULL;
         member = member->group_next) {
        if (!is_for(member->sock, packet, port, audience->src_port))
            continue;
        if (!pal__n_membership_passes(member, &packet->src))
            is_filtered = true;
        else if (!unchecked || accepts_unchecked(member->sock, packet))
            add(audience, member->sock);
    }
    return !is_filtered;
}

/* To everybody at that port. */
static void add_all(struct audience *audience, uint16_t port)
{
    struct netstack *stack = audience->packet->iface->stack;

    BASE_LIST_EACH(link, port_bucket(stack->ports, PAL_IPPROTO_UDP, port))
    {
        if (is_for(sock_of_port_link(link), audience->packet, port, audience->src_port))
            add(audience, sock_of_port_link(link));
    }
}

static void deliver_to_many(struct netstack *stack, struct packet *packet, uint16_t port, uint16_t src_port,
                            bool unchecked)
{
    struct audience audience = {packet, NULL, src_port};
    bool is_filtered = false;

    if (packet->flags & PACKET_MULTICAST)
        is_filtered = !add_members(&audience, port, unchecked);
    else
        add_all(&audience, port);
    if (audience.latest != NULL)
        pal__n_udp_keep(udp_of(audience.latest), packet, src_port);
    else
        drop(stack, packet->frame, is_filtered ? COUNTER_udp_drop_filter : COUNTER_udp_drop_port);
}

/* The socket that has this name, or NULL. */
static struct sock *find(struct netstack *stack, const struct tuple *tuple, uint32_t ifindex)
{
    uint32_t index = pal__n_demux_find(stack, tuple, pal__n_demux_hash(&stack->demux, tuple));

    if (index == DEMUX_NONE)
        return pal__n_port_udp(stack, tuple, ifindex);
    return &((struct udp *)pool_at(&stack->udp_pool, demux_pool_index(index)))->sock;
}

static void deliver_to_one(struct netstack *stack, struct packet *packet, const struct tuple *tuple, bool unchecked)
{
    struct sock *sock = find(stack, tuple, packet->iface->index);

    if (sock == NULL && stack_passes(stack, packet, tuple))
        return;
    if (sock == NULL) {
        frame_push(packet->frame, UDP_SIZE); /* what it quotes begins with the header */
        pal__n_icmp_port_unreachable(stack, packet);
        drop(stack, packet->frame, COUNTER_udp_drop_port);
    } else if (unchecked && !accepts_unchecked(sock, packet)) {
        drop(stack, packet->frame, COUNTER_udp_drop_checksum);
    } else {
        pal__n_udp_keep(udp_of(sock), packet, tuple->remote_port);
    }
}

/* RFC 768: the length is that of header and payload; what is behind it is not ours. */
static bool take_length(struct frame *frame)
{
    uint32_t size = frame->size < UDP_SIZE ? 0 : get16(frame->data + UDP_LENGTH);

    if (size < UDP_SIZE || size > frame->size)
        return false;
    frame->size = size;
    return true;
}

static bool is_intact(const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    uint64_t sum;

    if ((packet->flags & PACKET_CSUM_GOOD) != 0 || get16(frame->data + UDP_CHECKSUM) == 0)
        return true;
    sum = pal__n_checksum_pseudo(&packet->src, &packet->dst, PAL_IPPROTO_UDP, frame->size);
    return pal__n_checksum_fold(pal__n_checksum_add(sum, frame->data, frame->size)) == 0xffff;
}

void pal__n_udp_in(struct netstack *stack, struct packet *packet)
{
    struct frame *frame = packet->frame;
    struct tuple tuple = {.local = packet->dst, .remote = packet->src, .protocol = PAL_IPPROTO_UDP};
    bool unchecked;

    count(stack, COUNTER_udp_in);
    if (!take_length(frame)) {
        drop(stack, frame, COUNTER_udp_drop_length);
        return;
    }
    if (!is_intact(packet)) {
        drop(stack, frame, COUNTER_udp_drop_checksum);
        return;
    }
    tuple.local_port = get16(frame->data + UDP_DST);
    tuple.remote_port = get16(frame->data + UDP_SRC);
    unchecked = get16(frame->data + UDP_CHECKSUM) == 0 && (packet->flags & PACKET_CSUM_GOOD) == 0;
    if (tuple.local_port == 0) { /* nobody can be there, and nobody is told */
        drop(stack, frame, COUNTER_udp_drop_port);
        return;
    }
    frame_pull(frame, UDP_SIZE);
    if ((packet->flags & (PACKET_MULTICAST | PACKET_BROADCAST)) != 0)
        deliver_to_many(stack, packet, tuple.local_port, tuple.remote_port, unchecked);
    else
        deliver_to_one(stack, packet, &tuple, unchecked);
}

/* ---- an error about a datagram of ours ---- */

/* The path, as narrow as it is said to be. */
static void narrow(struct udp *udp, const struct ip_error *error)
{
    struct netstack *stack = udp->sock.stack;
    struct dst *dst = udp->dst;

    if (dst == NULL || !ip_equal(&dst->ip, &error->remote))
        dst = pal__n_dst_find(stack, &error->remote, udp->sock.scope);
    if (dst != NULL && error->mtu != 0)
        pal__n_dst_reduce_mtu(stack, dst, error->mtu);
}

bool pal__n_udp_error(struct netstack *stack, const struct ip_error *error)
{
    struct tuple tuple = {.local = error->local, .remote = error->remote, .protocol = PAL_IPPROTO_UDP};
    struct udp_notice notice;
    struct sock *sock;
    bool is_hard = error->is_hard;

    if (error->quote_size < UDP_SIZE)
        return false;
    tuple.local_port = get16(error->quote + UDP_SRC);
    tuple.remote_port = get16(error->quote + UDP_DST);
    sock = find(stack, &tuple, 0);
    if (sock == NULL)
        return false;
    if (error->error == PAL_EMSGSIZE) {
        narrow(udp_of(sock), error);
        is_hard = sock_mtu_discover(sock) != 0; /* as Linux: who fragments anyway need not know */
    }
    memset(&notice, 0, offsetof(struct udp_notice, bytes));
    notice.notice.kind = PAL_NOTICE_ERROR;
    notice.notice.error = error->error;
    notice.notice.icmp_type = error->type;
    notice.notice.icmp_code = error->code;
    notice.notice.first = error->error == PAL_EMSGSIZE ? error->mtu : 0;
    notice.to = error->remote;
    notice.port = tuple.remote_port;
    notice.scope = sock->scope;
    notice.offender = error->offender;
    if (sock->flags & SOCK_RECVERR)
        pal__n_udp_notify(udp_of(sock), &notice, error->quote + UDP_SIZE, error->quote_size - UDP_SIZE);
    if (sock->flags & SOCK_RECVERR || (is_hard && sock->flags & SOCK_CONNECTED))
        sock->error = (int16_t)error->error;
    else
        sock->soft_error = (int16_t)error->error;
    pal__n_sock_changed(sock);
    return true;
}
