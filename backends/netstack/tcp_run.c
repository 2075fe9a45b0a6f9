/* tcp_run.c: new segments that go as one frame, which the port cuts (NIC_TX_SEGMENTS).
 *
 * That makes the way to the port shorter, and changes nothing else: the segments are those that would go one by one;
 * each has its descriptor, and is acknowledged, lost and sent again for itself. So what ends a run is whatever would
 * make the next segment another one: a window, a segment of another size, an option of its own. */
#include "checksum.h"
#include "stack.h"

enum {
    RUN_MAX = 60,       /* segments: drivers that cut in software make no more than 64 */
    RUN_MSS_LEAST = 256 /* bytes: some cards cut into no smaller ones */
};

bool pal__n_tcb_may_run(const struct tcb *tcb)
{
    uint32_t flag = ip_is_v4(&tcb->sock.tuple.remote) ? NIC_TX_SEGMENTS : NIC_TX_SEGMENTS6;

    return (tcb->dst->iface->caps.flags & flag) != 0;
}

/* May that segment go too, with so many sequence numbers in front of it? What next_new in tcp_out.c asks once those are
 * sent; one that it would cut or fill up goes alone. */
static bool may_follow(const struct tcb *tcb, const struct seg *seg, uint32_t before)
{
    uint32_t flight = tcb->in_flight + before;
    uint32_t pipe = tcb->reno_sacked < flight ? flight - tcb->reno_sacked : 0;

    if (seg->size == 0 || seg->size > tcb->mss || seg_length(seg) > tcb_window_room(tcb, seg->seq))
        return false;
    if (seg->size < tcb->mss && (seg->seq_link.next != &tcb->segs.head || !pal__n_tcb_may_send_small(tcb, seg, true)))
        return false;
    return pipe == 0 || pipe + seg_length(seg) <= tcb->cwnd;
}

/* Into room bytes. */
static void measure(const struct tcb *tcb, uint32_t room, struct tcp_run *run)
{
    const struct seg *seg = run->first;

    run->count = 1;
    run->size = seg->size;
    while (run->count < RUN_MAX && seg->size == tcb->mss && seg->seq_link.next != &tcb->segs.head) {
        seg = seg_of(seg->seq_link.next);
        if (run->size + seg->size > room || !may_follow(tcb, seg, run->size))
            return;
        run->size += seg->size;
        run->count++;
    }
}

bool pal__n_tcb_run_begin(const struct tcb *tcb, const struct seg *first, uint32_t header_size, struct tcp_run *out)
{
    const struct iface *iface = tcb->dst->iface;
    uint32_t ip_size = ip_header_size(&tcb->sock.tuple.remote), room = iface->caps.segments_room;

    if (room > IP_SIZE_MAX - IP6_SIZE) /* of a packet, before it is cut */
        room = IP_SIZE_MAX - IP6_SIZE;
    if (tcb->mss < RUN_MSS_LEAST || room < header_size || iface_tx_room(iface) == 0 ||
        ETH_SIZE + ip_size + header_size + tcb->mss > iface->caps.segment_max)
        return false;
    out->first = first;
    out->segment_size = tcb->mss;
    measure(tcb, room - header_size, out);
    out->frame = out->count > 1 ? frame_alloc(iface->caps.segments) : NULL;
    return out->frame != NULL;
}

void pal__n_tcp_run_finish(const struct tcp_run *run, const struct tuple *tuple, uint32_t header_size)
{
    uint64_t sum = pal__n_checksum_pseudo(&tuple->local, &tuple->remote, PAL_IPPROTO_TCP, 0);
    struct frame *frame = run->frame;

    BASE_ASSERT(frame->size == header_size + run->size && frame->size <= frame->memory_size - FRAME_HEADROOM);
    (void)pal__n_seg_copy(run->first, run->count, frame->data + header_size);
    put16(frame->data + TCP_CHECKSUM, pal__n_checksum_fold(sum)); /* the port adds each one's length */
    frame->flags |= FRAME_CSUM_NEEDED | FRAME_SEGMENTS;
    frame->segment_size = run->segment_size;
    frame->csum_start = 0;
    frame->csum_offset = TCP_CHECKSUM;
}
