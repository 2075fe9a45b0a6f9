/* sock.c: the calls that both protocols have in common: arguments are checked here, by rules 2, 5, 9 and 16 of
 * docs/seam.md, addresses turned into ours and back, and each protocol does its part. Readiness is sock_ready.c's,
 * options are sock_option.c's, messages sock_msg.c's. */
#include "sock.h"

#include "stack.h"

int(pal__n_refuse)(struct netstack *stack, int code, const char *reason)
{
    if (stack->reason != NULL)
        stack->reason(code, reason);
    return code;
}

/* ---- addresses ---- */

static bool refuse_addr(const struct sock *sock, int *error, int code, const char *reason)
{
    *error = pal__n_refuse(sock->stack, code, reason);
    return false;
}

static bool ip6_in(const struct sock *sock, const struct pal_addr *addr, struct ip *ip, uint32_t *scope, int *error)
{
    if (addr->size != 16)
        return refuse_addr(sock, error, PAL_EINVAL, "an IPv6 address has size 16");
    *ip = ip_of_v6(addr->bytes);
    *scope = sock->scope;
    if (ip_is_v4(ip) && sock->flags & SOCK_V6ONLY)
        return refuse_addr(sock, error, PAL_ENETUNREACH, "this socket is for IPv6 only (PAL_SO_V6ONLY)");
    if (ip_is_v4(ip) || !ip_needs_scope(ip))
        return true;
    if (addr->scope != 0 && sock->scope != 0 && addr->scope != sock->scope)
        return refuse_addr(sock, error, PAL_EINVAL, "the address is of another interface than the socket");
    if (addr->scope != 0)
        *scope = addr->scope;
    if (*scope == 0 && !ip_is_multicast(ip)) /* a group is sent to by an interface of its own */
        return refuse_addr(sock, error, PAL_EINVAL, "a link-local address needs its interface: set scope");
    return true;
}

bool pal__n_addr_in(struct sock *sock, const struct pal_addr *addr, struct ip *ip, uint16_t *port, uint32_t *scope,
                    int *error)
{
    if (addr->family != sock->family)
        return refuse_addr(sock, error, PAL_EAFNOSUPPORT, "the address is of another family than the socket");
    *port = addr->port;
    if (sock->family == PAL_AF_INET6)
        return ip6_in(sock, addr, ip, scope, error);
    if (addr->size != 4)
        return refuse_addr(sock, error, PAL_EINVAL, "an IPv4 address has size 4");
    *ip = ip_of_v4(addr->bytes);
    *scope = sock->scope;
    return true;
}

void pal__n_addr_out(const struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope, struct pal_addr *out)
{
    out->family = sock->family;
    out->port = port;
    out->flow = 0;
    out->scope = 0;
    if (sock->family == PAL_AF_INET) {
        out->size = 4;
        memcpy(out->bytes, ip_v4_bytes(ip), 4);
    } else {
        out->size = 16;
        memcpy(out->bytes, ip->bytes, 16);
        if (!ip_is_v4(ip) && ip_needs_scope(ip))
            out->scope = scope;
    }
}

/* BSD: connecting to nobody is connecting to ourselves. */
static struct ip loopback_for(const struct ip *ip)
{
    struct ip loopback = ip_of_number(0x7f000001);

    if (!ip_is_v4(ip)) {
        loopback = ip_none();
        loopback.bytes[15] = 1;
    }
    return loopback;
}

bool pal__n_addr_to(struct sock *sock, const struct pal_addr *addr, struct ip *ip, uint16_t *port, uint32_t *scope,
                    int *error)
{
    if (!pal__n_addr_in(sock, addr, ip, port, scope, error))
        return false;
    if (ip_is_unspecified(ip))
        *ip = loopback_for(ip);
    return true;
}

/* ---- beginning and end ---- */

int pal__n_sock_open(struct netstack *stack, int family, int type, struct sock **out)
{
    if (family != PAL_AF_INET && family != PAL_AF_INET6)
        return pal__n_refuse(stack, PAL_EAFNOSUPPORT, "this stack has IPv4 and IPv6");
    if (type == PAL_SOCK_STREAM)
        return pal__n_tcp_open(stack, family, out);
    if (type == PAL_SOCK_DGRAM)
        return pal__n_udp_open(stack, family, out);
    return pal__n_refuse(stack, PAL_ESOCKTNOSUPPORT, "this stack has stream and datagram sockets");
}

void pal__n_sock_close(struct sock *sock)
{
    sock->interest = 0;
    if (base_link_is_linked(&sock->ready_link))
        base_list_remove(&sock->ready_link);
    if (sock->kind == SOCK_TCP)
        pal__n_tcp_close(sock);
    else
        pal__n_udp_close(sock);
}

int pal__n_sock_shutdown(struct sock *sock, int how)
{
    if (how != PAL_SHUT_RD && how != PAL_SHUT_WR && how != PAL_SHUT_RDWR)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "how is PAL_SHUT_RD, WR or RDWR");
    return sock->kind == SOCK_TCP ? pal__n_tcp_shutdown(sock, how) : pal__n_udp_shutdown(sock, how);
}

/* ---- names ---- */

int pal__n_sock_bind(struct sock *sock, const struct pal_addr *addr)
{
    uint32_t scope, before = sock->scope;
    uint16_t port;
    struct ip ip;
    int error;

    if (addr == NULL)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "binding needs an address");
    if (!pal__n_addr_in(sock, addr, &ip, &port, &scope, &error))
        return error == PAL_ENETUNREACH ? PAL_EINVAL : error;
    sock->scope = scope; /* a link-local name holds the socket to its interface */
    error = pal__n_port_bind(sock, &ip, port);
    if (error != 0)
        sock->scope = before;
    return error;
}

/* A connection has a peer from the answer to its SYN until it is over. */
static bool has_peer(struct sock *sock)
{
    if (sock->kind == SOCK_UDP)
        return (sock->flags & SOCK_CONNECTED) != 0;
    return tcb_of(sock)->state >= TCP_SYN_RECEIVED;
}

int pal__n_sock_name(struct sock *sock, int which, struct pal_addr *out)
{
    const struct tuple *tuple = &sock->tuple;

    if (out == NULL || (which != PAL_NAME_LOCAL && which != PAL_NAME_PEER))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "a name needs room, and PAL_NAME_LOCAL or PEER");
    if (which == PAL_NAME_PEER && !has_peer(sock))
        return PAL_ENOTCONN;
    memset(out, 0, sizeof(*out));
    if (which == PAL_NAME_LOCAL)
        pal__n_addr_out(sock, &tuple->local, tuple->local_port, sock->scope, out);
    else
        pal__n_addr_out(sock, &tuple->remote, tuple->remote_port, sock->scope, out);
    return 0;
}

/* ---- connections ---- */

/* Where a stream begins that was never connected, and does not listen. */
static bool is_fresh(struct sock *sock)
{
    return tcb_of(sock)->state == TCP_CLOSED && (sock->flags & SOCK_CONNECTED) == 0 && sock->tuple.remote_port == 0;
}

int pal__n_sock_listen(struct sock *sock, int backlog)
{
    struct ip any = sock_any(sock);
    int error = 0;

    if (sock->kind != SOCK_TCP)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "datagram sockets do not listen");
    if (is_fresh(sock)) {
        error = sock->flags & SOCK_BOUND ? 0 : pal__n_port_bind(sock, &any, 0);
        if (error == 0)
            error = pal__n_port_may_listen(sock);
    }
    if (error != 0)
        return error;
    return pal__n_tcp_listen(sock, backlog < 1 ? 1 : backlog > UINT16_MAX ? UINT16_MAX : backlog);
}

int pal__n_sock_connect(struct sock *sock, const struct pal_addr *addr)
{
    uint32_t scope;
    uint16_t port;
    struct ip ip;
    int error;

    if (addr == NULL && sock->kind == SOCK_UDP)
        return pal__n_udp_connect(sock, NULL, 0, 0);
    if (addr == NULL)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "a stream socket connects to an address");
    if (!pal__n_addr_to(sock, addr, &ip, &port, &scope, &error))
        return error;
    return sock->kind == SOCK_TCP ? pal__n_tcp_connect(sock, &ip, port, scope)
                                  : pal__n_udp_connect(sock, &ip, port, scope);
}

int pal__n_sock_accept(struct sock *sock, struct sock **out, struct pal_addr *addr)
{
    int error;

    if (out == NULL)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "accepting needs room for the socket");
    if (sock->kind != SOCK_TCP)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "datagram sockets have no connections");
    error = pal__n_tcp_accept(sock, out);
    if (error == 0 && addr != NULL) {
        const struct tuple *tuple = &(*out)->tuple;

        memset(addr, 0, sizeof(*addr));
        pal__n_addr_out(*out, &tuple->remote, tuple->remote_port, (*out)->scope, addr);
    }
    return error;
}
