/* nic_tap.h: a tap device of Linux as a nic: the kernel's own stack is at the other end of the wire.
 *
 * The device is made in the network namespace that the process is in, or is one that is there already; whoever made the
 * namespace sets addresses and brings it up. Reads and writes never wait: the descriptor is for poll(2). Checksums are
 * the stack's to compute; the kernel may leave its own undone only with a header that is not asked for, so there are
 * none to skip either. */
#ifndef PAL__TAP_NIC_TAP_H
#define PAL__TAP_NIC_TAP_H

#include "../netstack/nic.h"
#include <pal/os.h>

/* Every 0 is the default that stands beside it. */
struct tap_config {
    const struct pal_allocator *allocator; /* for open and close only */
    const char *name;                      /* at most 15 bytes; NULL or "": the kernel chooses */
    uint32_t frames;                       /* of the pool: 1024 */
    uint32_t mtu;                          /* the device's */
    uint8_t mac[MAC_SIZE];                 /* our end's, not the kernel's; all zero: 02:50:41:4c:00:01 */
};

struct tap_counts {
    uint64_t received, sent; /* frames */
    uint64_t tx_full;        /* calls of tx that did not take all */
    uint64_t rx_none;        /* calls of rx that had no frame to receive into; nothing is lost by that */
    uint64_t rx_large;       /* lost: larger than the mtu */
    uint64_t tx_failed;      /* lost: the device is down, or refuses the frame */
};

struct nic_tap;

/* PAL_ENOENT, PAL_ENODEV: no tun driver; PAL_EPERM, PAL_EACCES, PAL_EBUSY: the name is taken; PAL_EINVAL: the name is
 * none, or the mtu is smaller than the device's; PAL_ENOMEM, or another of the system's errors. */
int pal__tap_open(const struct tap_config *config, struct nic_tap **out);

/* Frames that somebody still has die with it. The device goes, unless it was made to stay. */
void pal__tap_close(struct nic_tap *tap);

struct nic *pal__tap_nic(struct nic_tap *tap);

/* Readable: there is a frame. */
int pal__tap_fd(const struct nic_tap *tap);

const char *pal__tap_name(const struct nic_tap *tap);

/* Frames of the pool that are taken. */
uint32_t pal__tap_used(const struct nic_tap *tap);

const struct tap_counts *pal__tap_counts(const struct nic_tap *tap);

#endif
