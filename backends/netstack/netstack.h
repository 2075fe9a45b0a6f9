/* netstack.h: a TCP/IP stack as a value: what a backend makes, feeds with time, and ends.
 *
 * The stack knows no operating system, no clock and no card. Time comes in as a parameter (nanoseconds of any clock
 * that does not go back), frames come and go through a struct nic, and sockets are in socket.h. All state hangs on the
 * struct netstack: two of them in a process share nothing. The same seed, the same calls and the same frames give the
 * same frames, byte for byte. One thread at a time.
 *
 * Nothing is allocated after pal__n_stack_create. What is used up is refused (PAL_ENOBUFS), waits, or is dropped where
 * the protocol allows it; it never ends a connection. */
#ifndef PAL__NETSTACK_NETSTACK_H
#define PAL__NETSTACK_NETSTACK_H

#include "addr.h"
#include "counters.h"
#include "nic.h"
#include <pal/os.h>

enum {
    NETSTACK_DAD = 0x01,         /* duplicate address detection (RFC 4862, 5227) before an address is used */
    NETSTACK_COOKIES_OFF = 0x02, /* a full backlog drops SYNs, or its oldest one, instead of answering with cookies */
    NETSTACK_FIXED_ISN = 0x04,   /* every connection begins at config.isn: for tests of wrap-around only */
    NETSTACK_SACK_OFF = 0x10,    /* TCP options that are neither offered nor taken */
    NETSTACK_TIMESTAMPS_OFF = 0x20,
    NETSTACK_SCALE_OFF = 0x40,
    NETSTACK_NO_PREDICTION = 0x08 /* the slow path for every segment: for tests of the fast one */
};

/* Every 0 is the default that stands beside it. Times are nanoseconds. */
struct netstack_config {
    const struct pal_allocator *allocator; /* not NULL; copied; used by create and destroy only */
    uint64_t seed;                         /* of all that is random: from a good source, or fixed in a simulation */
    uint64_t now_ns;                       /* the time at which it begins */
    struct nic *carrier;                   /* NULL: packets to ourselves stay in memory; else a nic that gives back all
                                            * that it is given, and that carries those that fit. Must outlive the stack
                                            * */
    uint32_t flags;                        /* NETSTACK_* */
    uint32_t isn;                          /* NETSTACK_FIXED_ISN */

    /* How many of each there can be. */
    uint32_t tcp_max;         /* TCP sockets: 1024 */
    uint32_t listeners_max;   /* those that listen: 64 */
    uint32_t embryos_max;     /* half-open connections: 1024 */
    uint32_t timewaits_max;   /* 4096 */
    uint32_t udp_max;         /* UDP sockets: 256 */
    uint32_t segments_max;    /* sent or queued, not yet acknowledged: 16384 */
    uint32_t chunks_max;      /* of 2048 bytes, of data to send: 16384 */
    uint32_t neighbours_max;  /* 1024 */
    uint32_t routes_max;      /* 64 */
    uint32_t paths_max;       /* destinations in use: 2048 */
    uint32_t frag_sets_max;   /* datagrams being put together: 64 */
    uint32_t frag_frames_max; /* fragments kept in all: 1024 */
    uint32_t big_frames_max;  /* datagrams larger than a frame, and packets to ourselves: 256, of 64 KiB */
    uint32_t groups_max;      /* memberships of sockets in multicast groups: 256 */
    uint32_t held_frames_max; /* received frames that sockets may keep before windows stop opening: 16384. At most half
                               * of what the nics have */

    /* Bytes of a socket's buffers. */
    uint32_t send_buffer, receive_buffer;         /* 256 KiB each */
    uint32_t send_buffer_max, receive_buffer_max; /* what an option may ask for: 4 MiB */

    /* Times and counts. */
    uint64_t rto_min_ns;                               /* 5 ms */
    uint64_t rto_initial_ns;                           /* 1 s (RFC 6298 2.1) */
    uint64_t rto_max_ns;                               /* 60 s */
    uint64_t peer_ack_delay_ns;                        /* by how much a peer may put off an ACK (RFC 8985 7.2): 40 ms */
    uint64_t ack_delay_ns;                             /* by how much we put off ours: 0, at once; at most 499 ms */
    uint64_t msl_ns;                                   /* TIME-WAIT lasts two of them: 30 s */
    uint64_t user_timeout_ns;                          /* R2: unacknowledged that long, a connection ends: 100 s */
    uint64_t keepalive_idle_ns, keepalive_interval_ns; /* 2 h, 75 s */
    uint32_t keepalive_count;                          /* 9 */
    uint32_t syn_retries;                              /* 6: gives up 123 s after the first */
    uint32_t synack_retries;                           /* 5 */
    uint32_t mtu_floor;       /* a path's MTU is never believed to be less: 552 over IPv4 (IPv6: 1280) */
    uint64_t frag_timeout_ns; /* 60 s */
    uint64_t path_mtu_age_ns; /* after which a learned path MTU is forgotten: 600 s */
};

struct netstack;

/* PAL_ENOMEM; PAL_EINVAL: a value out of range. The config is copied. */
int pal__n_stack_create(const struct netstack_config *config, struct netstack **out);

/* Gives back every frame and all memory. Connections are reset (a RST is offered to the nics if notify), nothing waits.
 * The stack's sockets are gone with it. */
void pal__n_stack_destroy(struct netstack *stack, bool notify);

/* ---- interfaces, addresses, routes: made at start, changed at any time ---- */

/* Adds an interface on a nic, which stays the caller's and must outlive the stack. Its index, from 2 on (1 is the
 * loopback interface, which is always there), or PAL_ENOBUFS. mtu 0: the nic's. A link-local IPv6 address is made of
 * its MAC if the mtu is at least 1280. */
int pal__n_iface_add(struct netstack *stack, struct nic *nic, const char *name, uint32_t mtu);

/* Adds an address, which the link's route follows; the first of its subnet is preferred. PAL_EEXIST, PAL_ENOBUFS,
 * PAL_EINVAL (no unicast address, prefix_size too large), PAL_ENODEV. */
int pal__n_addr_add(struct netstack *stack, uint32_t ifindex, const struct ip *ip, unsigned prefix_size);
int pal__n_addr_remove(struct netstack *stack, uint32_t ifindex, const struct ip *ip);

/* A route to prefix/prefix_size by gateway (unspecified: on the link). The longest prefix wins, then the least metric.
 * PAL_EEXIST, PAL_ENOBUFS, PAL_ENETUNREACH (a gateway that is not on a link), PAL_ENODEV. */
int pal__n_route_add(struct netstack *stack, uint32_t ifindex, const struct ip *prefix, unsigned prefix_size,
                     const struct ip *gateway, uint32_t metric);
int pal__n_route_remove(struct netstack *stack, uint32_t ifindex, const struct ip *prefix, unsigned prefix_size);

/* A neighbour that never ages and that no packet changes. */
int pal__n_neighbour_add(struct netstack *stack, uint32_t ifindex, const struct ip *ip, const uint8_t mac[MAC_SIZE]);

/* ---- several stacks with the same addresses: one for each queue of a card ---- */

/* What the others are told and asked, by the stack's own thread. */
struct netstack_sharing {
    void *context;
    uint32_t stacks, number; /* how many share, and which of them this is, from 0: a port that it chooses leaves this
                              * remainder, so that no two choose the same */
    /* A whole segment or datagram has come by a nic, to an address of ours, and nobody here wants it. True: the frame
     * is the callee's. Its data begins where the stack has come to; its nic knows where it began. False: it is answered
     * as one that nobody wants. */
    bool (*pass)(void *context, struct frame *frame, const struct tuple *tuple);
    /* A use of this local port of PAL_IPPROTO_TCP or _UDP begins here, by a socket or a connection; or one ends. */
    void (*port)(void *context, uint8_t protocol, uint16_t port, bool begins);
};

/* Before the first socket is opened. Copied; its context must outlive the stack. */
void pal__n_stack_share(struct netstack *stack, const struct netstack_sharing *sharing);

/* ---- turns ---- */

/* One turn at time now_ns: sends what the program's calls since the last turn have left to send, takes up to a burst
 * of frames from every nic, fires the timers that are due, and sends what follows from that, but for the
 * acknowledgements of what the program is about to be told: its answer may carry them, and the next flush or turn sends
 * them without it. True: there may be more to do at once. */
bool pal__n_stack_poll(struct netstack *stack, uint64_t now_ns);

/* Sends all that is left to send: before the caller sleeps, and when the program asks for it (pal_flush). */
void pal__n_stack_flush(struct netstack *stack, uint64_t now_ns);

/* When the next timer is due, exactly: a turn at that time fires it, and none does before. 0: there is something to do
 * now; UINT64_MAX: nothing will ever happen unless a frame comes or the program calls. With frames that a nic did not
 * take, 50 us from now at the latest: nics do not say when they have room again. */
uint64_t pal__n_stack_next(struct netstack *stack);

uint64_t pal__n_stack_now(const struct netstack *stack);

/* Sets the time without a turn: what calls of the program see that come long after the last turn. Time that goes back
 * is not believed: the stack's stands still. */
void pal__n_stack_set_time(struct netstack *stack, uint64_t now_ns);

/* ---- seeing inside ---- */

/* COUNTERS numbers, which count from the beginning and never go back. */
const uint64_t *pal__n_stack_counters(const struct netstack *stack);

/* Objects in use, for tests that look for leaks: all zero when nothing is open and nothing waits. */
struct netstack_usage {
    uint32_t tcp, listeners, embryos, timewaits, udp, segments, chunks, neighbours, paths, frag_sets, frag_frames,
        big_frames, groups, timers;
};
void pal__n_stack_usage(const struct netstack *stack, struct netstack_usage *out);

/* Walks all connections and checks what must hold between events (check.c): pending work has a timer, what is in flight
 * recounts right, lists are sorted, windows do not shrink. NULL, or a text that says what is broken. For tests: its
 * cost is that of everything. */
const char *pal__n_stack_check(struct netstack *stack);

#endif
