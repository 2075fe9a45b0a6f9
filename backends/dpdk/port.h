/* port.h: a port of DPDK: its queue pairs, each with a pool of packet buffers and a nic of its own.
 *
 * Opened and closed by one thread. A queue's nic belongs to one thread at a time, the stack's; different queues of a
 * port may be used at the same time by threads that have entered EAL (eal.h). */
#ifndef PAL__DPDK_PORT_H
#define PAL__DPDK_PORT_H

#include "eal.h"

struct dpdk_port;

/* What a queue has counted. Read by its thread, or as a hint. */
struct dpdk_queue_counts {
    uint64_t received, sent;
    uint64_t tx_full;   /* bursts that were not taken whole */
    uint64_t tx_copied; /* frames of another nic, copied into buffers of this one */
    uint64_t tx_lost;   /* that the port would never have taken: too large, or its driver refuses it */
    uint64_t rx_joined; /* that came in several buffers, or in memory of the driver's */
    uint64_t rx_lost;   /* of those, too large for one */
    uint64_t no_buffer; /* alloc found none */
};

/* What the port has counted, of all its queues. */
struct dpdk_port_counts {
    uint64_t received, received_bytes, sent, sent_bytes;
    uint64_t missed;    /* the queue was full */
    uint64_t no_buffer; /* there was no packet buffer to receive into */
    uint64_t rx_errors, tx_errors;
};

struct dpdk_link {
    bool is_up;
    uint32_t speed_mbps; /* 0: not known */
};

/* Makes the virtual device (a PCI one is there already), sets up as many queues as the settings say and starts.
 * PAL_ENODEV, PAL_ENOTSUP (more queues or a larger mtu than it has), PAL_ENOMEM, PAL_EINVAL (DPDK's opinion of the
 * text): words says which, with DPDK's log; nothing of it is left then. */
int pal__d_port_open(const struct dpdk_settings *settings, uint32_t device, struct dpdk_port **out,
                     struct base_text *words);

/* The same on an Ethernet device of DPDK that is there already, and stays the caller's to remove. */
int pal__d_port_open_id(const struct dpdk_settings *settings, uint32_t device, uint16_t id, struct dpdk_port **out,
                        struct base_text *words);

/* Stops it, and gives back what was received and never seen. Ports that may have each other's buffers (net_ring) are
 * all stopped before the first is closed. No stack uses its nics any more. */
void pal__d_port_stop(struct dpdk_port *port);

/* Closes it, and removes the device if open has made it. How many packet buffers have not come back: 0, or somebody
 * still has them, and their memory stays until EAL ends. The port is gone. */
uint32_t pal__d_port_close(struct dpdk_port *port);

uint32_t pal__d_port_queues(const struct dpdk_port *port);
struct nic *pal__d_port_nic(struct dpdk_port *port, uint32_t queue);
const char *pal__d_port_name(const struct dpdk_port *port);

/* Buffers that are not in the queue's pool: in a ring of the card, in a stack, with the program. Not fast. */
uint32_t pal__d_port_used(const struct dpdk_port *port, uint32_t queue);

/* Frames that the queue's nic has given out, by rx and alloc, and that were neither freed nor sent. Fast. */
uint32_t pal__d_port_held(const struct dpdk_port *port, uint32_t queue);

const struct dpdk_queue_counts *pal__d_port_queue_counts(const struct dpdk_port *port, uint32_t queue);
void pal__d_port_counts(const struct dpdk_port *port, struct dpdk_port_counts *out);

/* Asks the device, which may be a system call: a few times a second. What caps of its nics say follows it. */
struct dpdk_link pal__d_port_link(struct dpdk_port *port);

/* A descriptor that is readable when the queue has frames; -1: there is none, it is to be polled. The first call turns
 * the device's interrupts on for it. Not to be read from or closed. */
int pal__d_port_fd(struct dpdk_port *port, uint32_t queue);

/* True: the card spreads what it receives over the queues by a hash of addresses and ports. */
bool pal__d_port_spreads(const struct dpdk_port *port);

/* Appends a line in words: driver, queues, MAC, mtu, what the card does by itself. */
void pal__d_port_describe(const struct dpdk_port *port, struct base_text *out);

#endif
