/* fuzz/netstack_rig.h: a small stack on a nic whose other end is the fuzz target, and how to talk to it by hand. */
#ifndef FUZZ_NETSTACK_RIG_H
#define FUZZ_NETSTACK_RIG_H

#include "../backends/netstack/netstack.h"
#include "../backends/netstack/nic_frames.h"
#include "../backends/netstack/sock.h"
#include "../backends/netstack/wire.h"

enum { RIG_ISN = 0x1000, RIG_PORT = 80, RIG_PEER_PORT = 5000, RIG_PEER_ISN = 0x2000, RIG_FRAME_MAX = 1518 };

/* What the stack has sent last. */
struct rig_segment {
    bool seen;
    uint32_t seq, ack, size;
    uint8_t flags;
};

struct rig {
    struct nic nic;
    struct nic_frames frames;
    struct frame *inbox; /* one at most */
    struct netstack *stack;
    uint64_t now_ns;
    struct ip ours[2], theirs[2]; /* of IPv4, of IPv6 */
    struct rig_segment last;      /* of TCP */
    size_t memory_blocks;
};

/* Stops the program if it does not hold. */
void check(bool condition);

/* A stack with an address of each family at "now"; flags of the nic (NIC_RX_CHECKSUM: what comes has good
 * checksums). */
void rig_begin(struct rig *rig, uint32_t nic_flags);
/* The sockets are gone with it; every frame and all memory must be back. */
void rig_end(struct rig *rig);

/* Turns of the stack until it rests; its invariants must hold. */
void rig_poll(struct rig *rig);
void rig_advance(struct rig *rig, uint64_t by_ns);

/* A frame of bytes, and a turn. */
void rig_frame(struct rig *rig, const uint8_t *bytes, size_t size);

/* Payload of an IP packet from the peer: headers are put in front, fragment says what stands there (0: a whole one).
 * ip6: id and offset in a fragment header. */
struct rig_fragment {
    uint32_t id, offset; /* bytes */
    bool more, is_one;
};
void rig_packet(struct rig *rig, bool ip6, uint8_t protocol, const struct rig_fragment *fragment,
                const uint8_t *payload, size_t size);

struct rig_tcp {
    uint32_t seq, ack;
    uint16_t source, port, window, urgent;
    uint8_t flags, options_size; /* a multiple of four, at most 40 */
    const uint8_t *options;
    uint32_t size; /* bytes of payload, all alike */
};
/* A segment from the peer with a good checksum, and a turn. */
void rig_tcp(struct rig *rig, bool ip6, const struct rig_tcp *segment);

/* A socket that is bound to a port, of either type; TCP listens. */
struct sock *rig_socket(struct rig *rig, int family, int type, uint16_t port);
/* A connection that the peer has opened to a listener. */
struct sock *rig_accept(struct rig *rig, struct sock *listener, bool ip6);

/* Takes numbers off an input; zero when it is used up. */
struct input {
    const uint8_t *bytes;
    size_t size;
};
uint32_t input_take(struct input *input, uint32_t bytes);

#endif
