/* nic_frames.c: a fixed number of frames for a nic. An item is the frame's head, then its memory. */
#include "nic_frames.h"

#include <string.h>

enum { LINE = 64 };

static uint32_t whole_lines(size_t size)
{
    return (uint32_t)((size + LINE - 1) / LINE * LINE);
}

bool pal__n_frames_create(struct nic_frames *frames, const struct pal_allocator *allocator, struct nic *home,
                          uint32_t count, uint32_t room)
{
    memset(frames, 0, sizeof(*frames));
    frames->home = home;
    frames->head_size = whole_lines(sizeof(struct frame));
    frames->room = whole_lines((size_t)FRAME_HEADROOM + room) - FRAME_HEADROOM;
    return pal__n_pool_create(&frames->pool, allocator, count,
                              (size_t)frames->head_size + FRAME_HEADROOM + frames->room);
}

void pal__n_frames_destroy(struct nic_frames *frames, const struct pal_allocator *allocator)
{
    pal__n_pool_destroy(&frames->pool, allocator);
}

struct frame *pal__n_frames_alloc(struct nic_frames *frames)
{
    struct frame *frame = pool_take(&frames->pool);

    if (frame == NULL) {
        frames->refused++;
        return NULL;
    }
    memset(frame, 0, sizeof(*frame));
    frame->memory = (uint8_t *)frame + frames->head_size;
    frame->memory_size = FRAME_HEADROOM + frames->room;
    frame->data = frame->memory + FRAME_HEADROOM;
    frame->home = frames->home;
    return frame;
}

void pal__n_frames_free(struct nic_frames *frames, struct frame *frame)
{
    BASE_ASSERT(frame->home == frames->home); /* NULL: it has been freed before */
    frame->home = NULL;
    pool_give(&frames->pool, frame);
}
