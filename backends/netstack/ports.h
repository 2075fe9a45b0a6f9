/* ports.h: which socket has which local port: binding, its conflicts, ports chosen for the program, listeners. */
#ifndef PAL__NETSTACK_PORTS_H
#define PAL__NETSTACK_PORTS_H

#include "sock.h"

enum {
    PORT_BUCKETS = 1024,
    PORT_EPHEMERAL_FIRST = 32768, /* what is chosen lies between these */
    PORT_EPHEMERAL_LAST = 60999,
    PORT_EPHEMERALS = PORT_EPHEMERAL_LAST - PORT_EPHEMERAL_FIRST + 1
};

/* Bound sockets by port: listeners, those not connected yet, and UDP. Connections that only use the port of their
 * listener are counted. */
struct port_table {
    struct base_list tcp[PORT_BUCKETS], udp[PORT_BUCKETS];
    uint32_t tcp_users[65536];              /* connections and TIME-WAIT records with that local port */
    const struct netstack_sharing *sharing; /* with whom; NULL: with nobody */
};

void pal__n_ports_init(struct port_table *ports);

/* Gives the socket a local address and port; 0: one is chosen. Sets tuple.local, local_port, SOCK_BOUND, and
 * SOCK_REMEMBERED if an address was named. PAL_EADDRINUSE, PAL_EADDRNOTAVAIL (not ours, unless SOCK_FREEBIND; no port
 * is free), PAL_EINVAL (bound already). Conflicts are Linux's: two sockets on one port and overlapping addresses (an
 * unspecified one overlaps all of its family, that of IPv6 without SOCK_V6ONLY of both) need SOCK_REUSEPORT on both, or
 * SOCK_REUSEADDR on both and, of TCP, neither listening; UDP with both REUSEADDR share. A port with connections needs
 * SOCK_REUSEADDR or SOCK_REUSEPORT. sock->scope is to be set before. */
int pal__n_port_bind(struct sock *sock, const struct ip *ip, uint16_t port);

/* Before a bound TCP socket listens: PAL_EADDRINUSE if another listens there. */
int pal__n_port_may_listen(const struct sock *sock);

/* Gives the port up; the tuple stays as it is. A socket without one: nothing. */
void pal__n_port_release(struct sock *sock);

/* A local port for a connection whose other three parts of the tuple are known (RFC 6056 3.3.4: a keyed hash of the
 * destination, and a counter), such that the tuple is free and nobody is bound there. PAL_EADDRNOTAVAIL: none is. */
int pal__n_port_for_connection(struct netstack *stack, struct tuple *tuple);

/* The listener for a SYN: exact address before unspecified; by scope (an interface, or 0). NULL. */
struct sock *pal__n_port_listener(struct netstack *stack, const struct ip *local, uint16_t port, uint32_t ifindex);

/* The UDP socket that a unicast datagram is for, where the demultiplexer knows none: connected to its sender before
 * unconnected, exact address before unspecified. Among equals with SOCK_REUSEPORT by a hash of the peer, else the one
 * bound last. NULL. */
struct sock *pal__n_port_udp(struct netstack *stack, const struct tuple *tuple, uint32_t ifindex);

/* Whether a packet to `ip` that came in by that interface (0: not known) is for this bound socket, the port and the
 * peer aside. */
bool pal__n_port_accepts(const struct sock *sock, const struct ip *ip, uint32_t ifindex);

/* Whether the program may send from that address: one of ours, by scope (0: any interface). */
bool pal__n_port_is_ours(struct netstack *stack, const struct ip *ip, uint32_t scope);

/* Tells those who share the addresses that a use of a port begins, or ends. */
static inline void port_tell(const struct port_table *ports, uint8_t protocol, uint16_t port, bool begins)
{
    if (ports->sharing != NULL)
        ports->sharing->port(ports->sharing->context, protocol, port, begins);
}

/* Connections that use a port without being in the table. */
static inline void port_use(struct port_table *ports, uint16_t port)
{
    ports->tcp_users[port]++;
    port_tell(ports, PAL_IPPROTO_TCP, port, true);
}

static inline void port_unuse(struct port_table *ports, uint16_t port)
{
    ports->tcp_users[port]--;
    port_tell(ports, PAL_IPPROTO_TCP, port, false);
}

static inline struct base_list *port_bucket(struct port_table *ports, uint8_t protocol, uint16_t port)
{
    return protocol == PAL_IPPROTO_TCP ? &ports->tcp[port % PORT_BUCKETS] : &ports->udp[port % PORT_BUCKETS];
}

static inline struct sock *sock_of_port_link(struct base_link *link)
{
    return BASE_CONTAINER_OF(link, struct sock, port_link);
}

#endif
