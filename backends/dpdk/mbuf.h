/* mbuf.h: how a packet buffer is laid out, so that the stack's frame and DPDK's mbuf are one piece of memory.
 *
 *     rte_mbuf | struct frame | room for a lease's metadata | headroom | frame as received or sent
 *     128        FRAME_HEAD     LEASE_ROOM                    128        data room
 *     ^ mbuf     ^ its private area                           ^ buf_addr, frame->memory
 *
 * Turning one into the other is a constant. The room in front of the headroom is what pal_lease_info wants: with it at
 * least PAL_LEASE_HEADROOM bytes that belong to nobody else lie in front of any payload, and 7 more, as headers may end
 * anywhere and a struct pal_msg is aligned. */
#ifndef PAL__DPDK_MBUF_H
#define PAL__DPDK_MBUF_H

#include "../bypass/lease.h"
#include "../netstack/nic.h"
#include <pal/lease.h>

enum {
    DPDK_FRAME_HEAD = 128, /* sizeof(struct frame), whole cache lines */
    DPDK_LEASE_ROOM = 320,
    DPDK_PRIVATE = DPDK_FRAME_HEAD + DPDK_LEASE_ROOM,
    DPDK_LINK_HEADER = 18,     /* Ethernet with one VLAN tag */
    DPDK_ROOM_LEAST = 2048,    /* bytes behind the headroom; some cards take no less, all take this */
    DPDK_MBUF_HEAD = 128 + 64, /* rte_mbuf, and the pool's own header in front of it */

    /* Large ones, of each queue of a port that cuts frames into segments. A descriptor of many cards takes less than
     * 16 KiB, and what is sent begins in the headroom. */
    DPDK_LARGE_ROOM = 16384 - FRAME_HEADROOM,
    DPDK_LARGE_COUNT = 128
};

_Static_assert(sizeof(struct frame) <= DPDK_FRAME_HEAD, "a frame's head fits in its place");
_Static_assert(DPDK_LEASE_ROOM + FRAME_HEADROOM + 14 >= PAL_LEASE_HEADROOM + PAL_LEASE_ALIGN - 1,
               "a lease's metadata fits in front of whatever follows a header of Ethernet");
_Static_assert((DPDK_MBUF_HEAD + DPDK_PRIVATE) % 64 == 0, "frames are received on a cache line");
_Static_assert(FRAME_HEADROOM + DPDK_LARGE_ROOM >= LENT_BELOW, "large ones stay with the card");

/* Bytes behind the headroom for an mtu (0: the usual 1500). */
static inline uint32_t pal__d_mbuf_room(uint32_t mtu)
{
    uint32_t room = (mtu + DPDK_LINK_HEADER + 63) / 64 * 64;

    return room < DPDK_ROOM_LEAST ? (uint32_t)DPDK_ROOM_LEAST : room;
}

/* All bytes that one packet buffer takes. */
static inline uint32_t pal__d_mbuf_size(uint32_t mtu)
{
    return DPDK_MBUF_HEAD + DPDK_PRIVATE + FRAME_HEADROOM + pal__d_mbuf_room(mtu);
}

#endif
