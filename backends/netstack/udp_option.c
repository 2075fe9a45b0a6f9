/* udp_option.c: the options that only UDP sockets keep, multicast among them. Values have been checked by
 * sock_option.c. */
#include "udp.h"

#include "stack.h"

enum { BUFFER_MIN = 4096 }; /* bytes: what a buffer is at least */

static const struct {
    uint32_t option, meta;
} metas[] = {
    {PAL_SO_PKTINFO, PAL_META_LOCAL},  {PAL_SO_RECV_TTL, PAL_META_TTL},  {PAL_SO_RECV_TOS, PAL_META_TOS},
    {PAL_SO_TIMESTAMP, PAL_META_TIME}, {PAL_SO_DROPS, PAL_META_DROPPED},
};

/* The metadata that an option switches on; 0: none. */
static uint32_t meta_of(uint32_t option)
{
    for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++) {
        if (metas[i].option == option)
            return metas[i].meta;
    }
    return 0;
}

static uint32_t within(uint32_t size, uint32_t max)
{
    if (size > max)
        return max;
    return size > BUFFER_MIN ? size : (uint32_t)BUFFER_MIN;
}

/* ---- multicast ---- */

/* An address of a struct pal_mcast; scope and port are of no matter there. */
static int address_in(const struct sock *sock, const struct pal_addr *addr, struct ip *out)
{
    if (addr->size != (addr->family == PAL_AF_INET ? 4 : 16))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "an IPv4 address has size 4, an IPv6 address 16");
    *out = addr->family == PAL_AF_INET ? ip_of_v4(addr->bytes) : ip_of_v6(addr->bytes);
    return 0;
}

static int set_membership(struct sock *sock, bool join, const void *value)
{
    struct pal_mcast request;
    struct ip group, source;
    const struct ip *named = NULL;
    int error;

    memcpy(&request, value, sizeof(request));
    if (request.group.family != PAL_AF_INET && request.group.family != PAL_AF_INET6)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the group is not a multicast address");
    error = address_in(sock, &request.group, &group);
    if (error != 0)
        return error;
    if (!ip_is_multicast(&group) || (request.group.family == PAL_AF_INET6 && ip_is_v4(&group)))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the group is not a multicast address");
    if (request.group.family != sock->family ||
        (request.source.family != PAL_AF_UNSPEC && request.source.family != sock->family))
        return pal__n_refuse(sock->stack, PAL_EAFNOSUPPORT, "group, source and socket are to be of one family");
    if (request.source.family != PAL_AF_UNSPEC) {
        error = address_in(sock, &request.source, &source);
        named = &source;
    }
    if (error != 0)
        return error;
    if (request.ifindex == 0 && sock->family == PAL_AF_INET6 && ip_needs_scope(&group))
        request.ifindex = request.group.scope;
    return join ? pal__n_mcast_join(sock, request.ifindex, &group, named)
                : pal__n_mcast_leave(sock, request.ifindex, &group, named);
}

static int set_mcast_interface(struct udp *udp, const void *value)
{
    struct netstack *stack = udp->sock.stack;
    uint32_t ifindex;

    memcpy(&ifindex, value, sizeof(ifindex));
    if (ifindex != 0 && pal__n_iface_at(stack, ifindex) == NULL)
        return pal__n_refuse(stack, PAL_ENODEV, "no such interface");
    udp->mcast_ifindex = ifindex;
    return 0;
}

/* ---- all ---- */

int pal__n_udp_set(struct sock *sock, uint32_t option, const void *value, size_t size)
{
    struct udp *udp = udp_of(sock);
    const struct netstack_config *config = &sock->stack->config;
    uint32_t meta = meta_of(option);
    int32_t number = 0;

    if (size == sizeof(number))
        memcpy(&number, value, sizeof(number));
    switch (option) {
    case PAL_SO_MCAST_JOIN:
    case PAL_SO_MCAST_LEAVE:
        return set_membership(sock, option == PAL_SO_MCAST_JOIN, value);
    case PAL_SO_MCAST_IF:
        return set_mcast_interface(udp, value);
    case PAL_SO_RCVBUF:
        udp->receive_buffer = within((uint32_t)number, config->receive_buffer_max);
        return 0;
    case PAL_SO_SNDBUF: /* nothing waits in the socket: it is only kept */
        udp->send_buffer = within((uint32_t)number, config->send_buffer_max);
        return 0;
    case PAL_SO_LINGER: /* a datagram socket has nothing to linger for */
        memcpy(&udp->linger, value, sizeof(udp->linger));
        return 0;
    default:
        if (meta == 0)
            return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this option belongs to TCP sockets");
        udp->wants = number != 0 ? udp->wants | meta : udp->wants & ~meta;
        return 0;
    }
}

int pal__n_udp_get(struct sock *sock, uint32_t option, void *value, size_t *size)
{
    const struct udp *udp = udp_of(sock);
    uint32_t meta = meta_of(option);
    int32_t number;

    switch (option) {
    case PAL_SO_NREAD: /* of the next one */
        number = udp->first != NULL ? (int32_t)udp->first->size : 0;
        break;
    case PAL_SO_MCAST_IF:
        number = (int32_t)udp->mcast_ifindex;
        break;
    case PAL_SO_RCVBUF:
        number = (int32_t)udp->receive_buffer;
        break;
    case PAL_SO_SNDBUF:
        number = (int32_t)udp->send_buffer;
        break;
    case PAL_SO_LINGER:
        memcpy(value, &udp->linger, sizeof(udp->linger));
        *size = sizeof(udp->linger);
        return 0;
    default:
        if (meta == 0)
            return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this option belongs to TCP sockets");
        number = (udp->wants & meta) != 0;
    }
    memcpy(value, &number, sizeof(number));
    *size = sizeof(number);
    return 0;
}
