/* seg.c: the send queue, which is the scoreboard too: descriptors, chunks, and the counts that follow from them.
 *
 * Every change of a segment's state goes through here, so that in_flight, sacked and lost of the control block are
 * right at any time (check.c counts again). What the states mean is decided elsewhere: tcp_sack.c, tcp_rack.c,
 * tcp_rtx.c. */
#include "stack.h"

enum { ONE_SHARE = 4 };    /* a connection has at most one descriptor of so many: none starves all others */
enum { SPLIT_SHARE = 16 }; /* one descriptor of so many is kept for cutting segments: some can only go out in pieces */

static struct seg *last_seg(const struct tcb *tcb)
{
    return seg_of(base_list_last(&tcb->segs));
}

static void put_chunk(struct netstack *stack, struct chunk *chunk)
{
    if (chunk != NULL && --chunk->refs == 0)
        pool_give(&stack->chunk_pool, chunk);
}

static struct seg *new_seg(struct tcb *tcb)
{
    struct seg *seg = pool_take(&tcb->sock.stack->seg_pool);

    if (seg == NULL)
        return NULL;
    memset(seg, 0, sizeof(*seg));
    tcb->seg_count++;
    return seg;
}

static void give_seg(struct tcb *tcb, struct seg *seg)
{
    tcb->seg_count--;
    pool_give(&tcb->sock.stack->seg_pool, seg);
}

bool pal__n_seg_has_room(const struct tcb *tcb)
{
    const struct netstack *stack = tcb->sock.stack;

    return pool_room(&stack->seg_pool) > stack->seg_pool.count / SPLIT_SHARE && pool_room(&stack->chunk_pool) > 0 &&
           tcb->seg_count <= stack->seg_pool.count / ONE_SHARE;
}

static struct chunk *new_chunk(struct tcb *tcb)
{
    struct chunk *chunk = pool_take(&tcb->sock.stack->chunk_pool);

    if (chunk != NULL)
        chunk->refs = chunk->used = 0;
    return chunk;
}

/* Puts a new one at the end. */
static void append(struct tcb *tcb, struct seg *seg)
{
    seg->seq = tcb->snd_end;
    base_list_push_back(&tcb->segs, &seg->seq_link);
    if (tcb->unsent == NULL)
        tcb->unsent = seg;
}

/* Takes what it counts for off the counts, and it off the list by time. */
static void uncount(struct tcb *tcb, struct seg *seg)
{
    uint32_t length = seg_length(seg);

    if (seg->flags & SEG_SACKED) {
        tcb->sacked -= length;
        tcb->sacked_count--;
    } else if (seg->flags & SEG_LOST) {
        tcb->lost -= length;
    } else if (seg->flags & SEG_SENT) {
        tcb->in_flight -= length;
        base_list_remove(&seg->time_link);
    }
}

static void free_seg(struct tcb *tcb, struct seg *seg)
{
    uncount(tcb, seg);
    if (tcb->unsent == seg)
        tcb->unsent = seg_of(seg->seq_link.next == &tcb->segs.head ? NULL : seg->seq_link.next);
    if (tcb->lost_hint == seg)
        tcb->lost_hint = NULL;
    if (tcb->sack_hint == seg)
        tcb->sack_hint = NULL;
    BASE_ASSERT(seg->seq_link.prev != NULL);
    base_list_remove(&seg->seq_link);
    put_chunk(tcb->sock.stack, seg->chunk);
    give_seg(tcb, seg);
}

/* Bytes that can follow those of the segment in its chunk: none if another's do. */
static uint32_t chunk_room(const struct seg *seg)
{
    return (uint32_t)seg->offset + seg->size == seg->chunk->used ? CHUNK_ROOM - seg->chunk->used : 0;
}

/* Moves its bytes to the front of a chunk of its own, so that it can grow. */
static bool move_to_new_chunk(struct tcb *tcb, struct seg *seg)
{
    struct chunk *chunk = new_chunk(tcb);

    if (chunk == NULL)
        return false;
    memcpy(chunk->bytes, seg->chunk->bytes + seg->offset, seg->size);
    chunk->used = seg->size;
    chunk->refs = 1;
    put_chunk(tcb->sock.stack, seg->chunk);
    seg->chunk = chunk;
    seg->offset = 0;
    return true;
}

/* Bytes of a full segment, which must lie in one chunk. */
static uint32_t full_size(const struct tcb *tcb)
{
    return tcb->mss < CHUNK_ROOM ? tcb->mss : CHUNK_ROOM;
}

/* The last segment, if it can take more bytes; else a new, empty one. NULL: no memory. */
static struct seg *open_seg(struct tcb *tcb, uint32_t size)
{
    struct seg *last = last_seg(tcb), *seg;
    uint32_t full = full_size(tcb);

    if (last != NULL && last->chunk != NULL && !(last->flags & SEG_SENT) && last->size < full) {
        if (chunk_room(last) > 0 || move_to_new_chunk(tcb, last))
            return last;
        return NULL;
    }
    seg = pal__n_seg_has_room(tcb) ? new_seg(tcb) : NULL;
    if (seg == NULL)
        return NULL;
    if (last != NULL && last->chunk != NULL && chunk_room(last) >= (size < full ? size : full)) {
        seg->chunk = last->chunk;
    } else {
        seg->chunk = new_chunk(tcb);
        if (seg->chunk == NULL) {
            give_seg(tcb, seg);
            return NULL;
        }
    }
    seg->chunk->refs++;
    seg->offset = (uint16_t)seg->chunk->used;
    append(tcb, seg);
    return seg;
}

uint32_t pal__n_seg_append(struct tcb *tcb, const uint8_t *bytes, uint32_t size)
{
    uint32_t done = 0;

    while (done < size) {
        struct seg *seg = open_seg(tcb, size - done);
        uint32_t part = size - done;

        if (seg == NULL)
            break;
        if (part > full_size(tcb) - seg->size)
            part = full_size(tcb) - seg->size;
        if (part > chunk_room(seg))
            part = chunk_room(seg);
        memcpy(seg->chunk->bytes + seg->chunk->used, bytes + done, part);
        seg->chunk->used += part;
        seg->size = (uint16_t)(seg->size + part);
        tcb->snd_end += part;
        done += part;
    }
    return done;
}

bool pal__n_seg_append_control(struct tcb *tcb, uint8_t flag)
{
    struct seg *last = last_seg(tcb);

    if (flag == SEG_SYN || last == NULL || last->flags & (SEG_SENT | SEG_SYN)) {
        last = new_seg(tcb);
        if (last == NULL)
            return false;
        append(tcb, last);
    }
    last->flags |= flag;
    tcb->snd_end++;
    return true;
}

uint32_t pal__n_seg_copy(const struct seg *first, uint32_t count, uint8_t *to)
{
    const struct base_link *link = &first->seq_link;
    uint32_t size = 0;

    for (; count > 0; count--, link = link->next) {
        const struct seg *seg = BASE_CONTAINER_OF(link, const struct seg, seq_link);

        memcpy(to + size, seg->chunk->bytes + seg->offset, seg->size);
        size += seg->size;
    }
    return size;
}

void pal__n_seg_sent(struct tcb *tcb, struct seg *seg, uint64_t now_ns)
{
    uint32_t length = seg_length(seg);

    if (seg->flags & SEG_SENT) {
        BASE_ASSERT(!(seg->flags & SEG_SACKED));
        uncount(tcb, seg);
        seg->flags = (uint8_t)((seg->flags & ~(SEG_LOST | SEG_DOUBTED)) | SEG_RESENT);
        seg->blurred = seg->sent_ns / TCP_TICK_NS == now_ns / TCP_TICK_NS;
    } else {
        BASE_ASSERT(seg == tcb->unsent && seg->seq == tcb->snd_nxt);
        tcb->snd_nxt += length;
        tcb->unsent = seg_of(seg->seq_link.next == &tcb->segs.head ? NULL : seg->seq_link.next);
        seg->flags |= SEG_SENT;
    }
    seg->sent_ns = now_ns;
    seg->place = tcb->dst != NULL ? tcb->dst->iface->queued : 0;
    tcb->in_flight += length;
    base_list_push_back(&tcb->sent_list, &seg->time_link);
}

/* Puts the second half of a split where the first one is in the list by time. */
static void count_half(struct tcb *tcb, struct seg *seg, struct seg *half)
{
    if (seg->flags & SEG_SACKED) {
        tcb->sacked_count++;
    } else if (seg_in_flight(seg)) {
        half->time_link.next = half->time_link.prev = NULL;
        base_list_insert_before(seg->time_link.next, &half->time_link);
    }
}

bool pal__n_seg_split(struct tcb *tcb, struct seg *seg, uint32_t size)
{
    struct seg *half = new_seg(tcb);

    if (half == NULL)
        return false;
    BASE_ASSERT(size > 0 && size < seg_length(seg) && !(seg->flags & SEG_SYN));
    *half = *seg;
    half->seq += size;
    half->offset = (uint16_t)(seg->offset + size);
    half->size = (uint16_t)(seg->size - size);
    half->chunk->refs++;
    half->seq_link.next = half->seq_link.prev = NULL;
    base_list_insert_before(seg->seq_link.next, &half->seq_link);
    seg->size = (uint16_t)size;
    seg->flags &= (uint8_t) ~(SEG_FIN | SEG_MORE);
    count_half(tcb, seg, half);
    return true;
}

void pal__n_seg_fill(struct tcb *tcb, struct seg *seg, uint32_t size)
{
    if (size > CHUNK_ROOM)
        size = CHUNK_ROOM;
    while (seg->size < size && seg->seq_link.next != &tcb->segs.head && !(seg->flags & (SEG_FIN | SEG_SYN))) {
        struct seg *next = seg_of(seg->seq_link.next);
        uint32_t part = size - seg->size < next->size ? size - seg->size : next->size;

        if (next->size == 0 || (chunk_room(seg) == 0 && !move_to_new_chunk(tcb, seg)))
            return;
        if (part > chunk_room(seg))
            part = chunk_room(seg);
        memcpy(seg->chunk->bytes + seg->chunk->used, next->chunk->bytes + next->offset, part);
        seg->chunk->used += part;
        seg->size = (uint16_t)(seg->size + part);
        next->seq += part;
        next->offset = (uint16_t)(next->offset + part);
        next->size = (uint16_t)(next->size - part);
        if (next->size == 0) {
            seg->flags |= next->flags & (SEG_FIN | SEG_MORE);
            free_seg(tcb, next);
        }
    }
}

void pal__n_seg_mark_sacked(struct tcb *tcb, struct seg *seg)
{
    BASE_ASSERT((seg->flags & (SEG_SENT | SEG_SACKED)) == SEG_SENT);
    uncount(tcb, seg);
    seg->flags = (uint8_t)((seg->flags & ~SEG_LOST) | SEG_SACKED);
    tcb->sacked += seg_length(seg);
    tcb->sacked_count++;
}

void pal__n_seg_mark_lost(struct tcb *tcb, struct seg *seg)
{
    BASE_ASSERT((seg->flags & (SEG_SENT | SEG_LOST)) == SEG_SENT);
    uncount(tcb, seg);
    seg->flags = (uint8_t)((seg->flags & ~SEG_SACKED) | SEG_LOST);
    tcb->lost += seg_length(seg);
    if (tcb->lost_hint == NULL ? tcb->lost == seg_length(seg) : seq_lt(seg->seq, tcb->lost_hint->seq))
        tcb->lost_hint = seg;
}

void pal__n_seg_acked(struct tcb *tcb, uint32_t ack)
{
    struct seg *seg;

    while ((seg = seg_of(base_list_first(&tcb->segs))) != NULL && seq_lt(seg->seq, ack)) {
        uint32_t cut = ack - seg->seq;

        if (cut >= seg_length(seg)) {
            free_seg(tcb, seg);
            continue;
        }
        if (seg->flags & SEG_SACKED)
            tcb->sacked -= cut;
        else if (seg->flags & SEG_LOST)
            tcb->lost -= cut;
        else
            tcb->in_flight -= cut;
        seg->seq += cut;
        seg->offset = (uint16_t)(seg->offset + cut);
        seg->size = (uint16_t)(seg->size - cut);
        break;
    }
}

void pal__n_seg_clear(struct tcb *tcb)
{
    struct seg *seg;

    while ((seg = seg_of(base_list_first(&tcb->segs))) != NULL)
        free_seg(tcb, seg);
}

struct seg *pal__n_seg_first_lost(struct tcb *tcb)
{
    struct base_link *link;

    if (tcb->lost == 0)
        return NULL;
    link = tcb->lost_hint != NULL ? &tcb->lost_hint->seq_link : tcb->segs.head.next;
    while (!(seg_of(link)->flags & SEG_LOST))
        link = link->next;
    tcb->lost_hint = seg_of(link);
    return tcb->lost_hint;
}
