/* pal/card.h: what pal_ctl says to a backend that drives a network card: settings, counters, captures, the end.
 *
 * On other backends every key here is PAL_ENOTSUP. The poll is NULL, and the value's size as below, or it is
 * PAL_EINVAL. Values, and the rooms that they point to, are the caller's; the names that are given out are
 * static. Any thread, but for the end: a thread that asks has a stack and a queue from then on, as by its first IP
 * socket, and what stood in the way of that is the answer (pal_reason says it in words). In a child of fork:
 * PAL_EFORKED. Nothing is allocated but by such a beginning. All take the card's lock for a moment, but NAMES and
 * CAPTURE, and may ask the device by a system call or more: for now and then, not for every message. */
#ifndef PAL_CARD_H
#define PAL_CARD_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keys of pal_ctl, each with its value. In a get the value is written. */
enum {
    PAL_CTL_CARD_TEXT = 0x200, /* get, struct pal_card_text: all settings in full, and what is known of the ports */
    PAL_CTL_CARD_COUNTERS,     /* get, struct pal_card_counters: of this thread's stack and queues. May ask the card */
    PAL_CTL_CARD_NAMES,        /* get, struct pal_card_names: what the stack's counters are called, in their order */
    PAL_CTL_CARD_CAPTURE,      /* set, uint32_t: 1 begins to write the capture that the settings name, 0 stops: in this
                           * thread at once, in others with their next wait. PAL_EINVAL: they name none */
    PAL_CTL_CARD_LINK,         /* get, struct pal_card_link. PAL_ENODEV: there is no such device */
    PAL_CTL_CARD_STOP /* set, struct pal_card_stop: the end: what was sent on closed connections is given 1 s to
                           * arrive, ports are stopped, memory goes back. PAL_EBUSY: a poll or a socket of the stack is
                           * open. PAL_EOTHERTHREAD: another thread has used the card first, and is to stop it. There
                           * is no card in this process afterwards */
};

struct pal_card_text {
    char *text;    /* room for size bytes; ends in a NUL if there is any */
    uint32_t size; /* written: bytes that all of it takes, with its NUL */
    uint32_t reserved;
};

/* Numbers count from the beginning and never go back. */
struct pal_card_counters {
    uint64_t port_received, port_received_bytes, port_sent, port_sent_bytes;
    uint64_t port_missed, port_no_buffer, port_errors; /* lost by the card: its queue was full; no buffer; bad frames */
    uint64_t queue_received, queue_sent, queue_full;   /* of this thread's queues; bursts that were not taken whole */
    uint64_t queue_given, queue_taken, queue_lost;     /* frames to other threads' stacks and from them; for which
                                                        * there was no room there */
    uint64_t buffers_used;                             /* now: in rings, in the stack, with the program */
    uint64_t leases_lent, leases_copied;               /* received: packet buffers themselves; copies, of the rest */
    uint64_t frames_lent;                              /* now: packet buffers that the program has as leases */
    uint64_t turns, kernel_looks, sleeps;              /* of waits */
    uint64_t sockets, connections, half_open, time_waits; /* now */
    uint64_t *stack;                                      /* room for stack_count of the stack's own, or NULL */
    uint32_t stack_count;                                 /* written: how many there are */
    uint32_t reserved;
};

struct pal_card_names {
    const char **names; /* room for count of them; static texts */
    uint32_t count;     /* written: how many there are */
    uint32_t reserved;
};

struct pal_card_link {
    uint32_t device; /* counted from 0 as the settings name them */
    uint32_t is_up;
    uint32_t speed_mbps; /* 0: not known */
    uint32_t queues;
};

struct pal_card_stop {
    uint64_t missing; /* written: packet buffers that did not come back */
};

#ifdef __cplusplus
}
#endif
#endif
