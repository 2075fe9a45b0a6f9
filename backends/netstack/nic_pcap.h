/* nic_pcap.h: a nic in front of another that shows what passes as a pcapng capture (draft-ietf-opsawg-pcapng).
 *
 * Bytes go to a sink of the caller's, little-endian on every machine: the same frames at the same times are the same
 * bytes. Several of these may share a sink, and are then interfaces of one capture. A frame that leaves is shown as it
 * is given to the nic, its checksum perhaps not yet computed, and not yet cut into segments. It allocates when it is
 * made only. */
#ifndef PAL__NETSTACK_NIC_PCAP_H
#define PAL__NETSTACK_NIC_PCAP_H

#include "nic.h"
#include <pal/os.h>

/* Where a capture goes: the caller's, alive as long as those who write to it. Zero but for the first two. */
struct pcap_sink {
    void (*write)(void *context, const void *bytes, size_t size);
    void *context;
    uint32_t interface_count; /* described so far */
    bool has_begun;
};

struct pcap_config {
    const struct pal_allocator *allocator; /* for create and destroy only */
    struct pcap_sink *sink;
    const char *name;   /* of the interface, in the capture; at most 63 bytes */
    uint32_t size_max;  /* bytes kept of a frame; 0: all */
    uint64_t offset_ns; /* added to every time: what 0 is since 1970 */
    bool is_off;        /* to begin with */
};

struct nic_pcap;

/* On `below`, which must outlive it. PAL_ENOMEM. */
int pal__n_pcap_create(const struct pcap_config *config, struct nic *below, struct nic_pcap **out);
void pal__n_pcap_destroy(struct nic_pcap *pcap);

struct nic *pal__n_pcap_nic(struct nic_pcap *pcap);

/* The time of what passes from now on; a received frame has its own, if it is known. */
void pal__n_pcap_set_time(struct nic_pcap *pcap, uint64_t now_ns);

void pal__n_pcap_switch(struct nic_pcap *pcap, bool on);

#endif
