/* nic.h: the bottom edge of the stack: Ethernet frames in and out, by six functions.
 *
 * A card, a tap device, a pair of wires in memory and the loopback interface implement them; what writes pcapng or
 * injects faults implements them too, on top of another (a decorator). The stack knows nothing of any of them. One
 * thread at a time, the stack's. Nothing here blocks, and nothing allocates but from a pool made at start. */
#ifndef PAL__NETSTACK_NIC_H
#define PAL__NETSTACK_NIC_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FRAME_HEADROOM = 128, /* bytes in front of `data` that alloc leaves free: room for every header of ours */
    MAC_SIZE = 6
};

/* What is known of a frame beside its bytes. */
enum {
    FRAME_CSUM_GOOD = 0x01, /* received: the port has checked the IP header's and the transport's checksum */
    FRAME_CSUM_BAD = 0x02,  /* received: and found one wrong */
    FRAME_CSUM_NEEDED =
        0x04,             /* to send: the transport's checksum field holds the pseudo-header's sum; the port does the
                               * rest (NIC_TX_CHECKSUM) */
    FRAME_SEGMENTS = 0x08 /* to send, with FRAME_CSUM_NEEDED: TCP, whose payload the port cuts into segments of
                           * `segment_size` (NIC_TX_SEGMENTS), the last of which may be shorter. Each gets the headers,
                           * with its own lengths, sequence number, IPv4 identification (one more than the one before)
                           * and checksums, FIN and PSH the last alone. The pseudo-header's sum in the checksum's field
                           * is one of length 0 */
};

/* A frame's head; its bytes lie where the nic wants them. Exactly one owner at a time: whoever got it from alloc or rx,
 * until tx has taken it or free was called. `next`,
 * `more`, `last`, `seq` and `end` are the owner's. */
struct frame {
    uint8_t *data;                    /* the first valid byte */
    uint8_t *memory;                  /* where its memory begins */
    struct frame *next;               /* in whichever queue it is */
    struct frame *more;               /* of the same item in that queue: see tcp_recv.c */
    struct frame *last;               /* the end of that chain */
    struct nic *home;                 /* whose free takes it back */
    void *native;                     /* a card's packet buffer, as the nic knows it: an rte_mbuf, say. It outlives
                                       * the stack, and has room for a lease's metadata in front of `memory`. NULL: it
                                       * is none */
    uint64_t time_ns;                 /* received: when it came in; 0: not known */
    uint32_t size;                    /* valid bytes from data on */
    uint32_t memory_size;             /* bytes from memory on */
    uint32_t seq, end;                /* scratch of the transport that queues it */
    uint16_t flags;                   /* FRAME_* */
    uint16_t segment_size;            /* FRAME_SEGMENTS */
    uint16_t csum_start, csum_offset; /* FRAME_CSUM_NEEDED: from data on; the field, from csum_start on */
};

enum {
    NIC_TX_CHECKSUM = 0x01, /* computes the transport's checksum of what is sent */
    NIC_RX_CHECKSUM = 0x02, /* sets FRAME_CSUM_GOOD or _BAD */
    NIC_TX_SEGMENTS = 0x04, /* cuts frames of TCP over IPv4 into segments (FRAME_SEGMENTS), and computes checksums */
    NIC_PADS = 0x08,        /* pads short frames itself; else the stack pads to 60 bytes */
    NIC_LOOPBACK = 0x10,    /* no wire behind it: no neighbours, no checksums */
    NIC_LINK_DOWN = 0x20,
    NIC_TX_SEGMENTS6 = 0x40 /* the same over IPv6 */
};

struct nic_caps {
    uint32_t flags;      /* NIC_* */
    uint32_t mtu;        /* bytes of an IP packet, at most */
    uint32_t frame_room; /* bytes behind FRAME_HEADROOM that alloc gives, at least mtu + 18 */
    uint8_t mac[MAC_SIZE];
    /* NIC_TX_SEGMENTS. Where frames for FRAME_SEGMENTS come from, which are larger than others: a nic of which only
     * alloc is called. It has none when there is no room, and none ever more if the port has turned out to cut nothing:
     * the stack sends single segments then. NULL: this nic's alloc, and frame_room. */
    struct nic *segments;
    uint32_t segments_room; /* bytes behind FRAME_HEADROOM of those */
    uint32_t segment_max;   /* the largest frame that may be cut off, its Ethernet header included; 0: any that fits */
};

struct nic_ops {
    /* Up to max received frames, the caller's from then on. Their data begins with the Ethernet header. */
    int (*rx)(struct nic *nic, struct frame **frames, int max);
    /* Takes the first of count frames, in order: how many; the rest stay the caller's. 0: the ring is full. */
    int (*tx)(struct nic *nic, struct frame **frames, int count);
    /* An empty frame, data FRAME_HEADROOM behind memory; NULL: none left. */
    struct frame *(*alloc)(struct nic *nic);
    void (*free)(struct nic *nic, struct frame *frame);
    void (*caps)(const struct nic *nic, struct nic_caps *out);
    /* All the multicast addresses that are to be received from now on; a nic that cannot choose receives all. */
    void (*filter)(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count);
};

/* The first member of what implements it. */
struct nic {
    const struct nic_ops *ops;
};

static inline struct frame *frame_alloc(struct nic *nic)
{
    return nic->ops->alloc(nic);
}

static inline void frame_free(struct frame *frame)
{
    frame->home->ops->free(frame->home, frame);
}

/* Bytes that can be put in front of the data. */
static inline uint32_t frame_headroom(const struct frame *frame)
{
    return (uint32_t)(frame->data - frame->memory);
}

/* Bytes that can be put behind it. */
static inline uint32_t frame_tailroom(const struct frame *frame)
{
    return frame->memory_size - frame_headroom(frame) - frame->size;
}

/* Makes room for size bytes in front; the caller knows that there is headroom. */
static inline uint8_t *frame_push(struct frame *frame, uint32_t size)
{
    frame->data -= size;
    frame->size += size;
    frame->csum_start = (uint16_t)(frame->csum_start + size);
    return frame->data;
}

/* Takes size bytes off the front. */
static inline void frame_pull(struct frame *frame, uint32_t size)
{
    frame->data += size;
    frame->size -= size;
}

#endif
