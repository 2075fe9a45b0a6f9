/* pal/lease.h: receive into buffers that the backend owns and lends: a card's packet buffers, a kernel ring, or a pool.
 *
 * Upholds rules 5, 12, 13 of docs/seam.md: a lease is the program's until released or fully sent; it outlives its
 * socket but not its poll; it belongs to the poll's thread. Releasing one twice asserts. */
#ifndef PAL_LEASE_H
#define PAL_LEASE_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The metadata of a lease is a struct pal_msg, PAL_LEASE_HEADROOM bytes before the data as received, or up to 7 more:
 * at a multiple of PAL_LEASE_ALIGN. So the data may lie anywhere, as a packet's payload does. A backend has in front of
 * it PAL_LEASE_HEADROOM + PAL_LEASE_ALIGN - 1 bytes that belong to the lease alone; before data that lies at such a
 * multiple itself PAL_LEASE_HEADROOM are enough. What ->addr points to has its place behind the pal_msg. */
enum { PAL_LEASE_HEADROOM = 448, PAL_LEASE_ALIGN = 8 };
PAL_STATIC_ASSERT(PAL_LEASE_HEADROOM >= sizeof(struct pal_msg) + sizeof(struct pal_addr), "room for the metadata");
PAL_STATIC_ASSERT(PAL_LEASE_HEADROOM % PAL_LEASE_ALIGN == 0, "aligned data has aligned metadata");

/* Takes what has arrived for sock into at most max leases: their number, >= 1, in order (a datagram each; an empty one
 * has size 0; how many a stream's bytes come in is the backend's affair). 0: end of stream. PAL_EAGAIN. PAL_ENOBUFS: no
 * lease is left, or this socket holds its share: the next wait reports PAL_STARVED once, then nothing until half of
 * what is not reserved is free (with shares: one lease, and the socket is below its own; rule 13); it means "not now",
 * not "broken".
 * PAL_EINVAL: the socket is in no poll: watch it, or submit an op (one that is idle may have left its poll).
 * PAL_ENOTSUP: its handles are passed (PAL_SO_PASS). Owner's thread. Kernel backends: 1 call, for up to 16 leases. */
int pal_lease_recv(pal_sock sock, struct pal_lease *out, int max);

/* Takes count empty buffers of at least size bytes, to be filled and sent: all or none. PAL_ENOBUFS, PAL_EMSGSIZE. */
int pal_lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size);

/* Sends leases in order: returns how many were taken whole; these are the backend's again. The next one, if part of it
 * was taken, has its data and size advanced in place; it and the rest stay the caller's. PAL_EAGAIN, PAL_EPIPE ...:
 * none was taken. Owner's thread. Kernel backends: 1 call per PAL_IOV_MAX leases. */
int pal_lease_send(pal_sock sock, struct pal_lease *leases, int count);

/* Gives count leases back. Owner's thread; another one asserts. No call, but 1 a socket that had starved. */
void pal_lease_release(pal_poll *poll, const struct pal_lease *leases, int count);

/* What is known of a received datagram: sender in ->addr, metadata by ->have. The lease's, until it is given back. Only
 * before the lease's data has been advanced; of a stream's lease only ->size is set. */
static inline const struct pal_msg *pal_lease_info(const struct pal_lease *lease)
{
    const uint8_t *at = lease->data - PAL_LEASE_HEADROOM;
    return (const struct pal_msg *)(const void *)(at - (uintptr_t)at % PAL_LEASE_ALIGN);
}

#ifdef __cplusplus
}
#endif
#endif
