/* lease.h: pal_lease_* for backends that receive into buffers of their own: what each function does is said in
 * pal/lease.h.
 *
 * Upholds rules 5, 12 and 13. Receives and sends through the seam's own calls, so it serves sockets of any domain. */
#ifndef PAL__COMMON_LEASE_H
#define PAL__COMMON_LEASE_H

#include <pal/lease.h>

int pal__lease_recv(pal_sock sock, struct pal_lease *out, int max);
int pal__lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size);
int pal__lease_send(pal_sock sock, struct pal_lease *leases, int count);
void pal__lease_release(pal_poll *poll, const struct pal_lease *leases, int count);

#endif
