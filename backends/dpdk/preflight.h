/* preflight.h: a dry run before DPDK is started: what is there of what the settings ask for, in plain words.
 *
 * DPDK answers much of what is missing with a line in a log, some with the end of the process. Here nothing is opened
 * for good, changed or kept: what fails here has not begun. */
#ifndef PAL__DPDK_PREFLIGHT_H
#define PAL__DPDK_PREFLIGHT_H

#include "settings.h"

/* What a device's text begins with, as far as it matters for what it needs. */
enum dpdk_kind { DPDK_OTHER, DPDK_RING, DPDK_PCI, DPDK_TAP, DPDK_PACKET, DPDK_XDP, DPDK_PCAP, DPDK_SOCKET };

struct dpdk_plan {
    bool hugepages;      /* else ordinary memory */
    bool has_pci;        /* the PCI bus is needed */
    bool shares_memory;  /* with another process, so few files of many pages */
    uint32_t memory_mib; /* what buffers and rings take, rounded up */
};

/* root: in front of /proc, /sys and /dev; "" but in tests. notes: what is not wrong and yet good to know, appended.
 *
 * PAL_ENODEV (a device or interface is missing), PAL_EACCES, PAL_EPERM, PAL_ENETDOWN, PAL_EBUSY, PAL_EADDRINUSE (the
 * kernel has the address as well), PAL_ENOMEM, PAL_EINVAL (CPUs): words says which, and what helps. */
int pal__d_preflight(const struct dpdk_settings *settings, const char *root, struct dpdk_plan *out,
                     struct base_text *notes, struct base_text *words);

enum dpdk_kind pal__d_device_kind(const struct dpdk_device *device);

/* ---- preflight_device.c: one device ---- */
int pal__d_preflight_device(const struct dpdk_settings *settings, uint32_t index, const char *root,
                            struct base_text *notes, struct base_text *words);

/* ---- preflight.c, for preflight_device.c ---- */

/* The first line of a file below root, without its end; false: there is none. */
bool pal__d_read_line(const char *root, const char *path, char *line, size_t size);

#endif
