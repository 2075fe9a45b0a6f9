/* nic_frames.c: a fixed number of frames for a nic. An item is the frame's head, then its memory. */
#include "nic_frames.h"

#include "checksum.h"
#include "wire.h"
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

/* ---- segments ---- */

/* Bytes of a frame's headers, up to the payload of TCP; 0: it has none that is to be cut. */
static uint32_t header_size(const struct frame *whole)
{
    uint32_t tcp = whole->csum_start, size;

    if (whole->segment_size == 0 || whole->csum_offset != TCP_CHECKSUM || tcp < ETH_SIZE + IP4_SIZE ||
        tcp + TCP_SIZE > whole->size)
        return 0;
    size = tcp + (whole->data[tcp + TCP_OFFSET] >> 4) * 4U;
    return size >= tcp + TCP_SIZE && size < whole->size ? size : 0;
}

uint32_t pal__n_frames_pieces(const struct frame *whole)
{
    uint32_t header = header_size(whole);

    return header == 0 ? 0 : (whole->size - header + whole->segment_size - 1) / whole->segment_size;
}

/* Lengths, identification and IPv4's checksum of the index-th. */
static void number_piece(struct frame *piece, uint32_t index)
{
    uint8_t *at = piece->data + ETH_SIZE;

    if (get16(piece->data + ETH_TYPE) != ETH_P_IP4) {
        put16(at + IP6_PAYLOAD, piece->size - ETH_SIZE - IP6_SIZE);
        return;
    }
    put16(at + IP4_TOTAL, piece->size - ETH_SIZE);
    put16(at + IP4_ID, get16(at + IP4_ID) + index);
    put16(at + IP4_CHECKSUM, 0);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, piece->csum_start - (uint32_t)ETH_SIZE)));
}

struct frame *pal__n_frames_piece(struct nic_frames *frames, const struct frame *whole, uint32_t index)
{
    uint32_t header = header_size(whole), at = index * whole->segment_size, tcp = whole->csum_start;
    uint32_t size = whole->size - header - at < whole->segment_size ? whole->size - header - at : whole->segment_size;
    struct frame *piece = header + size > frames->room ? NULL : pal__n_frames_alloc(frames);
    uint64_t sum;

    if (piece == NULL)
        return NULL;
    memcpy(piece->data, whole->data, header);
    memcpy(piece->data + header, whole->data + header + at, size);
    piece->size = header + size;
    piece->flags = FRAME_CSUM_NEEDED;
    piece->csum_start = whole->csum_start;
    piece->csum_offset = whole->csum_offset;
    number_piece(piece, index);
    put32(piece->data + tcp + TCP_SEQ, get32(whole->data + tcp + TCP_SEQ) + at);
    if (header + at + size < whole->size)
        piece->data[tcp + TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    sum = get16(whole->data + tcp + TCP_CHECKSUM);
    put16(piece->data + tcp + TCP_CHECKSUM, pal__n_checksum_fold(sum + piece->size - tcp));
    return piece;
}
