/* ip.h: IPv4 and IPv6 towards the transports: a packet that came in, and how one is sent.
 *
 * ip4.c and ip6.c take headers apart and make them; frag.c cuts packets up and puts them together for both. */
#ifndef PAL__NETSTACK_IP_H
#define PAL__NETSTACK_IP_H

#include "addr.h"
#include "dst.h"
#include "iface.h"

enum {
    PACKET_LINK_GROUP = 0x01, /* the frame was a broadcast or multicast of the link */
    PACKET_BROADCAST = 0x02,  /* the IP destination is a broadcast */
    PACKET_MULTICAST = 0x04,  /* or a multicast address */
    PACKET_REASSEMBLED = 0x08,
    PACKET_CSUM_GOOD = 0x10, /* the transport's checksum needs no look: the port has checked it, or it never left us */
    PACKET_LOOPBACK = 0x20,  /* came by the loopback interface */
    PACKET_ROUTER_ALERT = 0x40,
    PACKET_FRAGMENT_HEADER = 0x80 /* IPv6: had one, in several pieces or alone (RFC 6980) */
};

enum {
    IP_SIZE_MAX = 65535,
    IP_PROTOCOL_IGMP = 2,
    IP6_HEADERS_MAX = 8 /* extension headers of a packet (RFC 8504 5.3) */
};

/* A received packet, taken apart as far as its transport. */
struct packet {
    struct frame *frame; /* data and size: the transport's header and what follows, no link padding */
    struct iface *iface; /* where it came in */
    struct ip src, dst;
    const uint8_t *header;    /* the IP header, in the frame's memory: what an ICMP error quotes */
    uint32_t header_size;     /* bytes from there to the transport's header: with options and extension headers */
    uint32_t protocol_offset; /* IPv6: where, from the header on, the number of `protocol` stands */
    uint8_t protocol;
    uint8_t hops; /* TTL or hop limit */
    uint8_t tos;
    uint8_t flags; /* PACKET_* */
};

/* How a packet is to be sent. */
struct ip_send {
    struct dst *dst;
    struct ip src, to;
    uint8_t protocol;
    uint8_t hops; /* 0: 64, or 1 to a multicast address */
    uint8_t tos;
    bool dont_fragment; /* larger than the path's MTU: PAL_EMSGSIZE; else it is cut up */
    bool router_alert;  /* with that option (RFC 2113, 2711) */
    bool to_loopback;   /* multicast that members here are to hear as well: a copy */
    uint32_t packets;   /* how many the port makes of it (FRAME_SEGMENTS); 0: one */
};

/* ---- in: each takes packet->frame ---- */
void pal__n_ip4_in(struct iface *iface, struct frame *frame, bool link_group); /* data at the IPv4 header */
void pal__n_ip6_in(struct iface *iface, struct frame *frame, bool link_group);
void pal__n_icmp_in(struct netstack *stack, struct packet *packet);
void pal__n_icmp6_in(struct netstack *stack, struct packet *packet);
void pal__n_udp_in(struct netstack *stack, struct packet *packet);
void pal__n_tcp_in(struct netstack *stack, struct packet *packet);
void pal__n_igmp_in(struct netstack *stack, struct packet *packet);
void pal__n_mld_in(struct netstack *stack, struct packet *packet);

/* ---- out ---- */

/* Sends frame, whose data is the transport's header (its checksum finished, or FRAME_CSUM_NEEDED) and what follows;
 * takes it, always. 0, or why it was not sent: PAL_EMSGSIZE, PAL_EHOSTUNREACH, PAL_EAGAIN (no room at the port: what
 * can wait asks iface_tx_room first), PAL_ENOBUFS (no frames for fragments). */
int pal__n_ip_send(struct netstack *stack, const struct ip_send *how, struct frame *frame);

/* The parts of the above. */
int pal__n_ip4_send(struct netstack *stack, const struct ip_send *how, struct frame *frame);
int pal__n_ip6_send(struct netstack *stack, const struct ip_send *how, struct frame *frame);

/* Put the IP header in front of frame's data, whose size is final: IPv4 with this identification and fragment field
 * (DF is added); IPv6 with this next header. */
void pal__n_ip4_header(const struct ip_send *how, struct frame *frame, uint32_t id, uint32_t fragment);
void pal__n_ip6_header(const struct ip_send *how, struct frame *frame, uint8_t next);

/* Steps over the extension headers in size bytes, the first of which is of kind *next: where the transport's header
 * begins, with its protocol in *next. UINT32_MAX: not within these bytes, or not in this packet (a later fragment). */
uint32_t pal__n_ip6_transport(const uint8_t *at, uint32_t size, uint8_t *next);

/* The packet's extension headers, obeyed one by one (RFC 8200 4). True: data is at the transport's header; false: the
 * frame is gone. */
bool pal__n_ip6_extensions(struct netstack *stack, struct packet *packet);

/* ip_common.c: what both versions do once they have nothing against the packet: header_size is that of the header
 * without a fragment header. Takes the frame; returns what send returns. */
int pal__n_ip_emit(struct netstack *stack, const struct ip_send *how, struct frame *frame, uint32_t header_size);

/* Hands the packet to the link: the dst's neighbour, the group's or the broadcast MAC, or to ourselves. type:
 * ETH_P_*. */
int pal__n_ip_to_link(struct netstack *stack, struct dst *dst, const struct ip *to, struct frame *frame, uint16_t type);

/* A copy of a packet (data at its IP header; the frame stays the caller's), to be received by this stack on iface in a
 * later turn as if the link had brought it: multicast and broadcast that we hear ourselves. It never was on a wire:
 * its frame is the loopback interface's (frame->home is pal__n_loopback_nic()) and has FRAME_CSUM_GOOD. */
void pal__n_ip_loop(struct iface *iface, const struct frame *frame, uint16_t type);

/* Bytes of IP header that send puts in front of the transport's (without router alert and fragment header). */
static inline uint32_t ip_header_size(const struct ip *to)
{
    return ip_is_v4(to) ? 20 : 40;
}

/* TTL or hop limit (RFC 1122 3.2.1.7, RFC 1112 6.1): never 0. */
static inline uint8_t ip_hops(const struct ip_send *how)
{
    if (how->hops != 0)
        return how->hops;
    return ip_is_multicast(&how->to) ? 1 : 64;
}

/* A frame from which a packet to dst can be made, of at least size bytes of transport header and payload: the
 * interface's, or a big one. NULL: none. */
struct frame *pal__n_ip_frame(struct netstack *stack, const struct dst *dst, uint32_t size);

/* A frame of 64 KiB that is no nic's own, for what is larger than a frame: from the loopback interface. */
struct frame *pal__n_big_frame(struct netstack *stack);

/* A packet of ours (data at the IP header) that could not be delivered: tells its socket, and frees it. */
void pal__n_ip_failed(struct netstack *stack, struct iface *iface, struct frame *frame, int error);

/* ---- errors to transports ---- */

/* What an ICMP message, or our own link, says of a packet that we sent. */
struct ip_error {
    struct ip local, remote; /* of the packet: from, to */
    struct ip offender;      /* who says so */
    const uint8_t *quote;    /* its transport header, as far as it was quoted: at least 8 bytes */
    uint32_t quote_size;
    uint32_t mtu;       /* PAL_EMSGSIZE: what would fit; 0: not told */
    int error;          /* PAL_ECONNREFUSED, PAL_EHOSTUNREACH, PAL_EMSGSIZE ... */
    uint8_t type, code; /* of the ICMP message; 0, 0: none */
    bool is_hard;       /* RFC 1122 4.2.3.9: protocol or port unreachable; else a hint */
};
/* True: a socket or connection was found. */
bool pal__n_tcp_error(struct netstack *stack, const struct ip_error *error);
bool pal__n_udp_error(struct netstack *stack, const struct ip_error *error);

/* Reads the beginning of a packet of ours, of size bytes from its IP header on (what an ICMP error quotes, or a packet
 * that never left), fills in local, remote and quote, and tells the transport. False: it cannot be one of ours, is cut
 * off before the eighth byte of the transport's header, or nobody knows it. Bytes may be hostile. */
bool pal__n_ip_error(struct netstack *stack, const uint8_t *quote, uint32_t size, struct ip_error *error);

/* Types and codes that are sent from more than one file. */
enum {
    ICMP_UNREACHABLE_PROTOCOL = 2,
    ICMP_UNREACHABLE_PORT = 3,
    ICMP_EXCEEDED_REASSEMBLY = 1, /* of ICMPv6 too */
    ICMP6_UNREACHABLE = 1,
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAMETER_PROBLEM = 4,
    ICMP6_UNREACHABLE_PORT = 4,
    ICMP6_PARAMETER_HEADER = 0, /* a field of a header is wrong */
    ICMP6_PARAMETER_NEXT = 1,   /* a next header is unknown */
    ICMP6_PARAMETER_OPTION = 2, /* an option is unknown */
    ICMP6_PARAMETER_CHAIN = 3   /* the first fragment lacks part of the header chain (RFC 7112) */
};

/* ---- icmp.c, icmp6.c: errors about received packets (RFC 1122 3.2.2, RFC 4443); the packet stays the caller's ---- */
void pal__n_icmp_unreachable(struct netstack *stack, const struct packet *packet, uint8_t code);
void pal__n_icmp_time_exceeded(struct netstack *stack, const struct packet *packet, uint8_t code);
void pal__n_icmp6_error(struct netstack *stack, const struct packet *packet, uint8_t type, uint8_t code, uint32_t word);
/* Port unreachable of whichever version. */
void pal__n_icmp_port_unreachable(struct netstack *stack, const struct packet *packet);

/* An ICMP message of either version to where the packet came from; body is what follows the first eight bytes. */
struct icmp_message {
    uint8_t type, code, tos;
    uint32_t word; /* bytes 4 to 7 */
    const uint8_t *body;
    uint32_t size; /* bytes of body */
};
void pal__n_icmp_answer(struct netstack *stack, const struct packet *packet, const struct icmp_message *message);

/* Token buckets of errors and other answers that strangers can provoke: one for the stack, one for each destination
 * (hashed). */
enum { ICMP_LIMIT_BUCKETS = 64 };
struct icmp_limit {
    uint64_t refilled_ns[ICMP_LIMIT_BUCKETS + 1];
    uint32_t tokens[ICMP_LIMIT_BUCKETS + 1];
};
bool pal__n_icmp_may_send(struct netstack *stack, const struct ip *to);

/* ---- frag.c, frag_out.c ---- */

enum {
    FRAG_UNIT = 8,        /* bytes in which offsets are counted */
    FRAG_PIECES_MAX = 128 /* of one datagram: 65,535 bytes over links of 576 make 119; more is an attack */
};

/* A fragment: packet->frame holds the payload after the IP header (and after the fragment header); header is that of
 * the packet without it. id, offset in bytes, more: as the fragment says. Takes the frame. True: *packet is now the
 * whole datagram. */
bool pal__n_frag_in(struct netstack *stack, struct packet *packet, uint32_t id, uint32_t offset, bool more);

/* Cuts a packet that is too large for the path into fragments and sends them; takes the frame, whose data is the
 * transport's header. */
int pal__n_frag_out(struct netstack *stack, const struct ip_send *how, struct frame *frame);

struct frag_table;
bool pal__n_frag_create(struct netstack *stack);
void pal__n_frag_destroy(struct netstack *stack);

#endif
