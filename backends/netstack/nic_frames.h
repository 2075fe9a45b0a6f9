/* nic_frames.h: a fixed number of frames for a nic that has no memory of its own: the pair of wires, the tap device.
 *
 * Made once from an allocator. The pool hides what is free from AddressSanitizer, so that a stack which looks at a
 * frame it has given away is caught. */
#ifndef PAL__NETSTACK_NIC_FRAMES_H
#define PAL__NETSTACK_NIC_FRAMES_H

#include "nic.h"
#include "pool.h"

struct nic_frames {
    struct pool pool;
    struct nic *home;
    uint32_t room;      /* bytes behind the headroom, at least what was asked for */
    uint32_t refused;   /* how often there was none */
    uint32_t head_size; /* bytes of an item in front of the frame's memory */
};

/* False: no memory. home: whose free takes them back. */
bool pal__n_frames_create(struct nic_frames *frames, const struct pal_allocator *allocator, struct nic *home,
                          uint32_t count, uint32_t room);

/* Frames that somebody still has die with it. */
void pal__n_frames_destroy(struct nic_frames *frames, const struct pal_allocator *allocator);

/* An empty one, or NULL. */
struct frame *pal__n_frames_alloc(struct nic_frames *frames);
void pal__n_frames_free(struct nic_frames *frames, struct frame *frame);

/* What a card makes of FRAME_SEGMENTS, for a nic that has nothing behind it which cuts. */

/* How many segments; 0: the frame is not TCP's, or has no payload. */
uint32_t pal__n_frames_pieces(const struct frame *whole);

/* The index-th of them, with FRAME_CSUM_NEEDED and the pseudo-header's sum that is right for it. NULL: none is left, or
 * it has no room for that. */
struct frame *pal__n_frames_piece(struct nic_frames *frames, const struct frame *whole, uint32_t index);

#endif
