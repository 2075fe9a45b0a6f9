/* lease.h: pal_lease_* for backends that receive into buffers of their own: what each function does is said in
 * pal/lease.h.
 *
 * Upholds rules 5, 12 and 13. Receives and sends through the seam's own calls, so it serves sockets of any domain.
 * Where the backend has the bytes in memory that can be lent as it is, a source lends that, and nothing is copied. */
#ifndef PAL__COMMON_LEASE_H
#define PAL__COMMON_LEASE_H

#include "lease_pool.h"
#include <pal/lease.h>

enum {
    LEASE_BATCH = 16,
    LEASE_WANTS = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME | PAL_META_DROPPED | PAL_META_GSO |
                  PAL_META_CRED /* handles, and what the error queue tells, are not for leases */
};

/* What lends of the sockets of a user-space stack. The poll's owner calls; the socket has joined the poll. */
struct lease_source {
    /* Takes up to max (LEASE_BATCH at most) pieces of what the socket has received, in order, each of the poll's
     * lease_size at most, writes their metadata, and says how many. 0: nothing is there, it cannot be lent, or there is
     * something else to tell: then receiving by copy is what answers. Never fails. A loan may come back when its socket
     * is closed and its stack is gone. */
    int (*lend)(pal_poll *poll, struct slot *slot, struct lease_loan *loans, int max);
    bool (*waits)(struct slot *slot);             /* more has come, which receiving by copy gives at once, no error */
    void (*copied)(struct slot *slot, int count); /* so many leases of the socket's have been copies */
};

/* NULL: all leases are copies. Set before anything is received, always to the same. */
extern const struct lease_source *_Atomic pal__lease_source;

/* Where pal_lease_info finds the metadata. */
static inline struct pal_msg *lease_metadata(uint8_t *data)
{
    uint8_t *at = data - PAL_LEASE_HEADROOM;
    return (struct pal_msg *)(void *)(at - (uintptr_t)at % PAL_LEASE_ALIGN);
}
_Static_assert(PAL_LEASE_ALIGN % _Alignof(struct pal_msg) == 0 &&
                   sizeof(struct pal_msg) % _Alignof(struct pal_addr) == 0,
               "the metadata is aligned, and so is the sender's address behind it");

int pal__lease_recv(pal_sock sock, struct pal_lease *out, int max);
int pal__lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size);
int pal__lease_send(pal_sock sock, struct pal_lease *leases, int count);
void pal__lease_release(pal_poll *poll, const struct pal_lease *leases, int count);

#endif
