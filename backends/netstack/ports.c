/* ports.c: the table of bound sockets: who may bind beside whom, which port the stack chooses, and who is at a port.
 *
 * Connections are not here but in the demultiplexer; the table only counts them, so that a port which has some is not
 * given away. */
#include "ports.h"

#include "stack.h"

void pal__n_ports_init(struct port_table *ports)
{
    for (int i = 0; i < PORT_BUCKETS; i++) {
        base_list_init(&ports->tcp[i]);
        base_list_init(&ports->udp[i]);
    }
    memset(ports->tcp_users, 0, sizeof(ports->tcp_users));
    ports->sharing = NULL;
}

static uint8_t protocol_of(const struct sock *sock)
{
    return sock->kind == SOCK_TCP ? PAL_IPPROTO_TCP : PAL_IPPROTO_UDP;
}

/* ---- which packets an address takes ---- */

static bool takes_v4(const struct sock *sock)
{
    if (sock->family == PAL_AF_INET || ip_is_v4(&sock->tuple.local))
        return true;
    return ip_is_unspecified(&sock->tuple.local) && (sock->flags & SOCK_V6ONLY) == 0;
}

static bool takes_v6(const struct sock *sock)
{
    return sock->family == PAL_AF_INET6 && !ip_is_v4(&sock->tuple.local);
}

bool pal__n_port_accepts(const struct sock *sock, const struct ip *ip, uint32_t ifindex)
{
    if (sock->scope != 0 && ifindex != 0 && sock->scope != ifindex)
        return false;
    if (!ip_is_unspecified(&sock->tuple.local))
        return ip_equal(&sock->tuple.local, ip);
    return ip_is_v4(ip) ? takes_v4(sock) : takes_v6(sock);
}

/* How well a socket fits a packet: the higher the better; -1: not at all. */
static int fit(const struct sock *sock, const struct ip *local, uint16_t port, uint32_t ifindex)
{
    if (sock->tuple.local_port != port || !pal__n_port_accepts(sock, local, ifindex))
        return -1;
    return (ip_is_unspecified(&sock->tuple.local) ? 0 : 4) + (sock->scope != 0 ? 2 : 0) +
           (sock->family == PAL_AF_INET ? 1 : 0);
}

/* ---- conflicts ---- */

static bool overlap(const struct sock *left, const struct sock *right)
{
    if (left->scope != 0 && right->scope != 0 && left->scope != right->scope)
        return false;
    if (!ip_is_unspecified(&left->tuple.local) && !ip_is_unspecified(&right->tuple.local))
        return ip_equal(&left->tuple.local, &right->tuple.local);
    return (takes_v4(left) && takes_v4(right)) || (takes_v6(left) && takes_v6(right));
}

static bool may_share(const struct sock *left, const struct sock *right)
{
    uint32_t both = left->flags & right->flags;

    if (both & SOCK_REUSEPORT)
        return true;
    if ((both & SOCK_REUSEADDR) == 0)
        return false;
    return left->kind == SOCK_UDP || ((left->flags | right->flags) & SOCK_LISTENING) == 0;
}

/* Whether somebody is in the way of `wanted`, which is not in the table, at that port. */
static bool conflicts(struct port_table *ports, const struct sock *wanted, uint16_t port)
{
    if (wanted->kind == SOCK_TCP && ports->tcp_users[port] > 0 &&
        (wanted->flags & (SOCK_REUSEADDR | SOCK_REUSEPORT)) == 0)
        return true;
    BASE_LIST_EACH(link, port_bucket(ports, protocol_of(wanted), port))
    {
        const struct sock *other = sock_of_port_link(link);

        if (other->tuple.local_port == port && overlap(wanted, other) && !may_share(wanted, other))
            return true;
    }
    return false;
}

static bool is_unused(struct port_table *ports, uint8_t protocol, uint16_t port)
{
    if (protocol == PAL_IPPROTO_TCP && ports->tcp_users[port] > 0)
        return false;
    BASE_LIST_EACH(link, port_bucket(ports, protocol, port))
    {
        if (sock_of_port_link(link)->tuple.local_port == port)
            return false;
    }
    return true;
}

/* ---- binding ---- */

/* One that the stack may choose: each of those that share its addresses has ports of its own. */
static bool may_choose(const struct netstack *stack, uint16_t port)
{
    return stack->sharing.stacks == 0 || port % stack->sharing.stacks == stack->sharing.number;
}

/* From a random place on: first a port that nobody uses, then one that can be shared. 0: none. */
static uint16_t choose(struct netstack *stack, const struct sock *wanted)
{
    uint32_t start = pal__n_random_below(&stack->random, PORT_EPHEMERALS);

    for (int shared = 0; shared < 2; shared++) {
        for (uint32_t i = 0; i < PORT_EPHEMERALS; i++) {
            uint16_t port = (uint16_t)(PORT_EPHEMERAL_FIRST + (start + i) % PORT_EPHEMERALS);

            if (!may_choose(stack, port))
                continue;
            if (shared ? !conflicts(stack->ports, wanted, port) : is_unused(stack->ports, protocol_of(wanted), port))
                return port;
        }
    }
    return 0;
}

bool pal__n_port_is_ours(struct netstack *stack, const struct ip *ip, uint32_t scope)
{
    if (ip_is_loopback(ip)) /* all of 127/8 */
        return true;
    if (ip_needs_scope(ip)) {
        struct iface *iface = pal__n_iface_at(stack, scope);
        const struct iface_addr *addr = iface == NULL ? NULL : pal__n_iface_addr(iface, ip);

        return addr != NULL && addr->state == ADDR_READY;
    }
    return pal__n_iface_owning(stack, ip) != NULL;
}

static bool is_broadcast(const struct netstack *stack, const struct ip *ip)
{
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        if (pal__n_iface_is_broadcast(stack->ifaces[i], ip))
            return true;
    }
    return false;
}

/* UDP may be bound to a group or a broadcast, and hears only what is sent there. */
static bool may_bind(const struct sock *sock, const struct ip *ip)
{
    if (ip_is_multicast(ip) || is_broadcast(sock->stack, ip))
        return sock->kind == SOCK_UDP;
    if (ip_is_unspecified(ip) || sock->flags & SOCK_FREEBIND)
        return true;
    return pal__n_port_is_ours(sock->stack, ip, sock->scope);
}

int pal__n_port_bind(struct sock *sock, const struct ip *ip, uint16_t port)
{
    struct netstack *stack = sock->stack;
    struct sock wanted = *sock; /* never linked: only compared */

    if (sock->flags & SOCK_BOUND || sock->tuple.local_port != 0)
        return pal__n_refuse(stack, PAL_EINVAL, "this socket has a name already");
    wanted.tuple.local = *ip;
    if (sock->family == PAL_AF_INET && !ip_is_v4(ip))
        wanted.tuple.local = ip_of_number(0);
    if (!may_bind(&wanted, &wanted.tuple.local))
        return pal__n_refuse(stack, PAL_EADDRNOTAVAIL, "this address is no interface's (PAL_SO_FREEBIND permits it)");
    if (port == 0) {
        port = choose(stack, &wanted);
        if (port == 0)
            return pal__n_refuse(stack, PAL_EADDRNOTAVAIL, "all ports that can be chosen are in use");
    } else if (conflicts(stack->ports, &wanted, port)) {
        return pal__n_refuse(stack, PAL_EADDRINUSE, "another socket or connection has this port");
    }
    sock->tuple.local = wanted.tuple.local;
    sock->tuple.local_port = port;
    sock->flags |= SOCK_BOUND | (ip_is_unspecified(ip) ? 0u : (uint32_t)SOCK_REMEMBERED);
    base_list_push_back(port_bucket(stack->ports, protocol_of(sock), port), &sock->port_link);
    port_tell(stack->ports, protocol_of(sock), port, true);
    return 0;
}

int pal__n_port_may_listen(const struct sock *sock)
{
    BASE_LIST_EACH(link, port_bucket(sock->stack->ports, PAL_IPPROTO_TCP, sock->tuple.local_port))
    {
        const struct sock *other = sock_of_port_link(link);

        if (other == sock || other->tuple.local_port != sock->tuple.local_port)
            continue;
        if (other->flags & SOCK_LISTENING && overlap(sock, other) && (sock->flags & other->flags & SOCK_REUSEPORT) == 0)
            return pal__n_refuse(sock->stack, PAL_EADDRINUSE, "another socket listens here");
    }
    return 0;
}

void pal__n_port_release(struct sock *sock)
{
    if ((sock->flags & SOCK_BOUND) == 0)
        return;
    base_list_remove(&sock->port_link);
    sock->flags &= ~(uint32_t)SOCK_BOUND;
    port_tell(sock->stack->ports, protocol_of(sock), sock->tuple.local_port, false);
}

/* ---- connections ---- */

/* A hash of addresses and ports, the same on every machine. */
static uint64_t hash_of(const struct siphash_key *key, const struct tuple *tuple, uint16_t local_port)
{
    uint8_t bytes[37];

    memcpy(bytes, tuple->local.bytes, 16);
    memcpy(bytes + 16, tuple->remote.bytes, 16);
    put16(bytes + 32, tuple->remote_port);
    put16(bytes + 34, local_port);
    bytes[36] = tuple->protocol;
    return pal__n_siphash(key, bytes, sizeof(bytes));
}

int pal__n_port_for_connection(struct netstack *stack, struct tuple *tuple)
{
    /* RFC 6056's F is the low half, G the top byte: one hash serves for both. */
    uint64_t hash = hash_of(&stack->port_key, tuple, 0);
    uint32_t offset = (uint32_t)hash % PORT_EPHEMERALS;
    uint32_t *counter = &stack->port_counters[hash >> 56];
    bool is_to_itself = ip_equal(&tuple->local, &tuple->remote);

    for (uint32_t i = 0; i < PORT_EPHEMERALS; i++) {
        uint32_t place = (offset + (*counter)++ % PORT_EPHEMERALS) % PORT_EPHEMERALS;
        uint16_t port = (uint16_t)(PORT_EPHEMERAL_FIRST + place);
        bool is_bound = false;

        if (!may_choose(stack, port) || (is_to_itself && port == tuple->remote_port)) /* it would connect to itself */
            continue;
        BASE_LIST_EACH(link, port_bucket(stack->ports, tuple->protocol, port))
        {
            is_bound = is_bound || sock_of_port_link(link)->tuple.local_port == port;
        }
        if (is_bound)
            continue;
        tuple->local_port = port;
        if (pal__n_demux_find(stack, tuple, pal__n_demux_hash(&stack->demux, tuple)) == DEMUX_NONE)
            return 0;
    }
    tuple->local_port = 0;
    return pal__n_refuse(stack, PAL_EADDRNOTAVAIL, "every local port is connected to that destination");
}

/* ---- who is there ---- */

struct sock *pal__n_port_listener(struct netstack *stack, const struct ip *local, uint16_t port, uint32_t ifindex)
{
    struct sock *best = NULL;
    int best_fit = -1;

    BASE_LIST_EACH(link, port_bucket(stack->ports, PAL_IPPROTO_TCP, port))
    {
        struct sock *sock = sock_of_port_link(link);
        int sock_fit = sock->flags & SOCK_LISTENING ? fit(sock, local, port, ifindex) : -1;

        if (sock_fit > best_fit) {
            best = sock;
            best_fit = sock_fit;
        }
    }
    return best;
}

static int fit_udp(const struct sock *sock, const struct tuple *tuple, uint32_t ifindex)
{
    int sock_fit = fit(sock, &tuple->local, tuple->local_port, ifindex);

    if (sock_fit < 0 || (sock->flags & SOCK_CONNECTED) == 0)
        return sock_fit;
    if (sock->tuple.remote_port != tuple->remote_port || !ip_equal(&sock->tuple.remote, &tuple->remote))
        return -1;
    return sock_fit + 8;
}

/* Which of the sharing_count sockets that fit equally well and share the port takes this peer. */
static struct sock *share(struct netstack *stack, const struct tuple *tuple, uint32_t ifindex, int wanted_fit,
                          uint32_t sharing_count)
{
    uint64_t chosen = hash_of(&stack->hash_key, tuple, tuple->local_port) % sharing_count;

    BASE_LIST_EACH(link, port_bucket(stack->ports, PAL_IPPROTO_UDP, tuple->local_port))
    {
        struct sock *sock = sock_of_port_link(link);

        if (sock->flags & SOCK_REUSEPORT && fit_udp(sock, tuple, ifindex) == wanted_fit && chosen-- == 0)
            return sock;
    }
    return NULL;
}

struct sock *pal__n_port_udp(struct netstack *stack, const struct tuple *tuple, uint32_t ifindex)
{
    struct sock *best = NULL;
    int best_fit = -1;
    uint32_t sharing_count = 0;

    BASE_LIST_EACH(link, port_bucket(stack->ports, PAL_IPPROTO_UDP, tuple->local_port))
    {
        struct sock *sock = sock_of_port_link(link);
        int sock_fit = fit_udp(sock, tuple, ifindex);

        if (sock_fit < 0 || sock_fit < best_fit)
            continue;
        sharing_count = sock_fit > best_fit ? 0 : sharing_count;
        sharing_count += (sock->flags & SOCK_REUSEPORT) != 0;
        best = sock;
        best_fit = sock_fit;
    }
    if (best == NULL || (best->flags & SOCK_REUSEPORT) == 0 || sharing_count < 2)
        return best;
    return share(stack, tuple, ifindex, best_fit, sharing_count);
}
