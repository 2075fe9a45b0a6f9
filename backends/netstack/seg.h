/* seg.h: what a connection has to send, is sending, and has sent: one descriptor a segment is send queue, scoreboard
 * and RACK's list at once.
 *
 * A segment is on the list by sequence from the time its bytes are written until they are acknowledged, and, while it
 * is in flight, on the list by time of sending, whose tail is what was sent last: so that list is sorted without
 * sorting. Bytes lie in chunks; the bytes of a segment are in one piece. */
#ifndef PAL__NETSTACK_SEG_H
#define PAL__NETSTACK_SEG_H

#include <palio/base/list.h>
#include <stdbool.h>
#include <stdint.h>

enum { CHUNK_SIZE = 2048, CHUNK_ROOM = CHUNK_SIZE - 8 };

/* Bytes to send. Filled once, front to back. */
struct chunk {
    uint32_t refs; /* segments whose bytes lie here */
    uint32_t used; /* bytes */
    uint8_t bytes[CHUNK_ROOM];
};

enum {
    SEG_SYN = 0x01,
    SEG_FIN = 0x02,
    SEG_SENT = 0x04,   /* at least once */
    SEG_SACKED = 0x08, /* the peer says that it has it */
    SEG_LOST = 0x10,   /* to be sent again */
    SEG_RESENT = 0x20, /* sent more than once */
    SEG_MORE = 0x40,   /* the program has said that more follows (PAL_MSG_MORE, PAL_SO_CORK) */
    SEG_DOUBTED = 0x80 /* was SACKED before a timeout: that it is delivered says nothing of when */
};

struct seg {                    /* 64 bytes */
    struct base_link seq_link;  /* tcb->segs */
    struct base_link time_link; /* tcb->sent_list: in flight, neither SACKED nor LOST */
    uint64_t sent_ns;           /* latest */
    struct chunk *chunk;        /* NULL without bytes */
    uint32_t seq;
    uint16_t size;   /* bytes of payload */
    uint16_t offset; /* of the bytes in the chunk */
    uint8_t flags;   /* SEG_* */
    uint8_t blurred; /* sent twice in one tick of the timestamps: an echo does not say which of them is answered */
    uint8_t reserved[2];
    uint32_t place; /* of its frame among all that the interface was given: see iface_has */
};

struct netstack;
struct tcb;

/* Sequence numbers that it takes, and the first behind it. */
static inline uint32_t seg_length(const struct seg *seg)
{
    return (uint32_t)seg->size + ((seg->flags & (SEG_SYN | SEG_FIN)) != 0);
}

static inline uint32_t seg_end(const struct seg *seg)
{
    return seg->seq + seg_length(seg);
}

static inline struct seg *seg_of(struct base_link *link)
{
    return link == NULL ? NULL : BASE_CONTAINER_OF(link, struct seg, seq_link);
}

static inline struct seg *seg_of_time(struct base_link *link)
{
    return link == NULL ? NULL : BASE_CONTAINER_OF(link, struct seg, time_link);
}

/* On its way, as far as we know. */
static inline bool seg_in_flight(const struct seg *seg)
{
    return (seg->flags & (SEG_SENT | SEG_SACKED | SEG_LOST)) == SEG_SENT;
}

/* Appends bytes to what is to be sent; returns how many there was memory for. */
uint32_t pal__n_seg_append(struct tcb *tcb, const uint8_t *bytes, uint32_t size);

/* Is there memory for another segment of bytes? */
bool pal__n_seg_has_room(const struct tcb *tcb);

/* Appends a SYN or FIN; a FIN goes with the last segment if that was not sent yet. False: no memory. */
bool pal__n_seg_append_control(struct tcb *tcb, uint8_t flag);

/* The bytes of `first` and of those behind it, count in all, to `to`: how many. */
uint32_t pal__n_seg_copy(const struct seg *first, uint32_t count, uint8_t *to);

/* It has just been given to the port: to the tail of the list by time. */
void pal__n_seg_sent(struct tcb *tcb, struct seg *seg, uint64_t now_ns);

/* Cuts it after size bytes. False: no memory. */
bool pal__n_seg_split(struct tcb *tcb, struct seg *seg, uint32_t size);

/* Fills an unsent segment up to size bytes from the unsent ones behind it, as far as there is memory. */
void pal__n_seg_fill(struct tcb *tcb, struct seg *seg, uint32_t size);

/* The peer has it (selectively): off the list by time. */
void pal__n_seg_mark_sacked(struct tcb *tcb, struct seg *seg);

/* It is taken for lost. */
void pal__n_seg_mark_lost(struct tcb *tcb, struct seg *seg);

/* Everything below ack is the peer's: frees it, cutting the front off one that is acknowledged in part. */
void pal__n_seg_acked(struct tcb *tcb, uint32_t ack);

/* Frees all. */
void pal__n_seg_clear(struct tcb *tcb);

/* The first LOST one; NULL. */
struct seg *pal__n_seg_first_lost(struct tcb *tcb);

#endif
