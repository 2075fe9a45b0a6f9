/* wire.h: the simulated network: one Ethernet segment, a port a host, in virtual time.
 *
 * What a port sends is copied to whom it is for (unicast by MAC, groups to all others that ask for them) and handed
 * over when it is due: latency and rate are kept to the nanosecond, frames of one sender to one receiver stay in order
 * unless they are reordered on purpose. Frames that are due at the same time come in the order in which they were sent.
 * Faults are drawn from chance.h, in the order in which frames are sent, and among those of one frame in the order of
 * hosts.
 *
 * With a rate, each host has a cable to a switch that stores and forwards: a frame takes its time on the sender's
 * cable, then its latency, then its time on the receiver's; WIRE_QUEUE_BYTES may wait in front of a cable, and what
 * comes then is lost. Memory: each port has a fixed number of frames; what is on its way to a port has one of them
 * already, and what finds none is lost, and counted. Attaching and links allocate, sending and receiving never do. One
 * thread at a time. */
#ifndef PAL__SIM_WIRE_H
#define PAL__SIM_WIRE_H

#include "../netstack/nic.h"
#include "../netstack/nic_pcap.h"
#include <pal/os.h>
#include <pal/sim.h>

enum {
    WIRE_FRAMES = 1024, /* of a port: received and being sent */
    WIRE_MTU = 1500,    /* bytes of an IP packet */
    WIRE_OVERHEAD = 24, /* bytes that a frame takes of a cable beside its own: preamble, check sequence, gap */
    WIRE_QUEUE_BYTES = 256 * 1024 /* that may wait in front of a cable */
};

/* The longest latency that may be asked for: an hour. */
#define WIRE_LATENCY_MAX_NS UINT64_C(3600000000000)

/* The latency when none is given. */
#define WIRE_LATENCY_NS UINT64_C(50000)

struct wire;

/* Without faults at first. allocator: copied. sink: where a capture of all ports goes, an interface each; the caller's,
 * it outlives the wire; NULL: none. PAL_ENOMEM. */
int pal__s_wire_create(const struct pal_allocator *allocator, struct pcap_sink *sink, struct wire **out);

/* Frames that somebody still has die with it. NULL does nothing. */
void pal__s_wire_destroy(struct wire *wire);

/* A port for a host, by numbers that count from 0; its MAC is made of the number (pal__s_wire_mac). name: of its
 * interface in the capture. The nic is the wire's, and lives as long. Some 2 MB of address space, of which only what is
 * used is ever written. PAL_ENOMEM, and nothing has changed. */
int pal__s_wire_attach(struct wire *wire, uint32_t host, const char *name, struct nic **out);
void pal__s_wire_mac(uint32_t host, uint8_t mac[MAC_SIZE]);

/* Undoes the latest attachment, when the rest of the host could not be made: what is on its way there is lost, and the
 * nic ends. All its frames are given back already. Links that are about its number stay. */
void pal__s_wire_detach(struct wire *wire, uint32_t host);

/* What was on its way to the host, or waits there to be received, is lost: it has crashed, and all its own frames are
 * given back already. The port itself stays, asks for no groups any more, and goes on receiving: so this is called when
 * a host crashes, and again when it starts anew. */
void pal__s_wire_reset(struct wire *wire, uint32_t host);

/* Time, which does not go back. */
void pal__s_wire_set_time(struct wire *wire, uint64_t now_ns);

/* When the next frame is due, at a host or at the switch in front of its cable; UINT64_MAX: none is on its way. */
uint64_t pal__s_wire_next(const struct wire *wire);

/* Hands over what is due by the time set; then calls arrived(host) for each port that had nothing to receive and has
 * now, in the order in which they got it. It may send, and may reset. Each frame's time_ns is when it was due. O(log of
 * the frames under way) a frame. */
void pal__s_wire_deliver(struct wire *wire, void (*arrived)(uint32_t host));

/* Does this port have something to receive? */
bool pal__s_wire_waits(const struct wire *wire, uint32_t host);

/* From now on. Of struct pal_sim_faults the wire uses what is about frames, latency and rate. A link's faults, latency
 * among them (both 0: 50 us), stand in place of the network's for what goes that way, whichever of the two was set
 * first; of two links that are about the same frame, the one set last. PAL_EINVAL, with the reason: no such host, more
 * than a million of a million, latencies the wrong way round or above WIRE_LATENCY_MAX_NS; PAL_ENOMEM: for a link. */
int pal__s_wire_set_faults(struct wire *wire, const struct pal_sim_faults *faults);
int pal__s_wire_set_link(struct wire *wire, const struct pal_sim_link *link);

/* Between two hosts, or (UINT32_MAX) all others, those that are attached later among them. Frames under way when a cut
 * is made are lost as well. However often it was cut, it is healed at once. PAL_EINVAL, with the reason: no such host,
 * or twice the same. */
int pal__s_wire_cut(struct wire *wire, uint32_t a, uint32_t b, bool cut);

/* The frames' part of the counters; the rest of *out is left alone. `frames` counts a frame once for each host that it
 * is for; `lost`, those that found no memory or no room in a queue, or whose receiver was reset, as well. */
void pal__s_wire_counters(const struct wire *wire, struct pal_sim_counters *out);

/* Frames of a host's port that are taken, by the host or on their way to it. */
uint32_t pal__s_wire_used(const struct wire *wire, uint32_t host);

#endif
