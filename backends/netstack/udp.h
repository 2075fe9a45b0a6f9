/* udp.h: UDP sockets (RFC 768, RFC 1122 4.1).
 *
 *   udp.c         beginning, end, peer; whom a datagram that has come is for
 *   udp_recv.c    what waits to be read, errors that ICMP tells
 *   udp_send.c    where a datagram goes, and how it is made
 *   udp_option.c  options that only they have */
#ifndef PAL__NETSTACK_UDP_H
#define PAL__NETSTACK_UDP_H

#include "dst.h"
#include "ip.h"
#include "sock.h"

enum {
    UDP_NOTICES_MAX = 8,
    UDP_NOTICE_BYTES_MAX = 256, /* of what bounced, that are kept */
    UDP_CHARGE = 256,           /* bytes that a datagram counts beside its own */
    UDP_PAYLOAD_MAX4 = 65507,
    UDP_PAYLOAD_MAX6 = 65527
};

/* What is known of a received datagram. It lies where its frame's memory begins, in front of the payload, where the
 * headers were: copied in and out, as it is not aligned. */
struct udp_meta {
    uint64_t time_ns; /* when it came in, on the stack's clock */
    struct ip src, dst;
    uint32_t ifindex;
    uint32_t dropped; /* what the socket had lost before it */
    uint32_t charge;
    uint16_t src_port;
    uint8_t ttl, tos;
};

/* An entry of the error queue (PAL_SO_RECVERR). */
struct udp_notice {
    struct pal_notice notice;
    struct ip to, offender; /* offender unspecified: found without an ICMP message */
    uint32_t scope;
    uint16_t port;
    uint16_t size; /* of bytes */
    uint8_t bytes[UDP_NOTICE_BYTES_MAX];
};

struct udp {
    struct sock sock;
    struct frame *first, *last;     /* received datagrams: data is the payload, struct udp_meta lies at memory */
    struct dst *dst;                /* connected: where to */
    struct membership *memberships; /* groups that this socket has joined: mcast.h */
    uint32_t queued_bytes;          /* charged */
    uint32_t receive_buffer, send_buffer;
    uint32_t dropped; /* datagrams lost because the buffer was full */
    uint32_t mcast_ifindex;
    uint32_t wants; /* PAL_META_* that options have switched on */
    struct pal_linger linger;
    uint8_t notice_first, notice_count;
    bool accept_zero_checksum; /* IPv6 (RFC 6936) */
    bool is_in_demux;
    bool is_scope_of_peer; /* sock.scope was set by connect, and goes with the peer */
    struct udp_notice notices[UDP_NOTICES_MAX];
};

static inline struct udp *udp_of(struct sock *sock)
{
    return (struct udp *)(void *)sock;
}

static inline const struct udp *udp_of_const(const struct sock *sock)
{
    return (const struct udp *)(const void *)sock;
}

/* ---- udp_recv.c ---- */

/* Keeps a datagram, whose payload is packet->frame's data, for the program, or drops it; takes the frame. */
void pal__n_udp_keep(struct udp *udp, const struct packet *packet, uint16_t src_port);

/* Frees what waits to be read. */
void pal__n_udp_drop_received(struct udp *udp);

/* What a frame of pal__n_udp_recv_frames tells, for a message: addr if it is not NULL, and what want and the socket's
 * options ask for. system_ns of a stamp is the stack's clock. */
void pal__n_udp_describe(const struct sock *sock, const struct frame *frame, struct pal_msg *msg);

/* A send has bounced; what of it is known. Keeps a notice for PAL_SO_RECVERR. */
void pal__n_udp_notify(struct udp *udp, const struct udp_notice *notice, const uint8_t *bytes, size_t size);

/* ---- udp_send.c ---- */

/* The path to where the program wants to send, with a reference; checks PAL_SO_BROADCAST. NULL and *error. */
struct dst *pal__n_udp_route(struct udp *udp, const struct ip *to, uint32_t scope, int *error);

/* The address to send from: what was named, else the socket's, else the path's. PAL_ENETUNREACH: of another version of
 * IP; PAL_EINVAL: of loopback, to the outside. */
int pal__n_udp_source(const struct udp *udp, const struct dst *dst, const struct ip *named, struct ip *out);

#endif
