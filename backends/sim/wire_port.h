/* wire_port.h: what the parts of the wire share: ports, flights, and what becomes of a frame between two hosts. */
#ifndef PAL__SIM_WIRE_PORT_H
#define PAL__SIM_WIRE_PORT_H

#include "../netstack/nic_frames.h"
#include "trace.h"
#include "wire.h"
#include <palio/base/heap.h>
#include <palio/base/list.h>

#define EVERY_HOST UINT32_MAX

enum { FILTER_MAX = 256, LANES = 256 };

/* What happens to frames that go one way. */
struct wire_path {
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm;
    uint64_t latency_min_ns, latency_max_ns;
};

/* A link: the path of all that it is about. */
struct wire_rule {
    struct wire_rule *next; /* an older one of the same sender */
    uint64_t number;        /* the higher, the later it was set */
    uint32_t from, to;      /* or EVERY_HOST */
    struct wire_path path;
};

/* A frame on its way: a port has one for each frame of its pool, at the same index. */
struct flight {
    struct base_heap_node node;
    uint32_t from;
    struct base_link link; /* in its lane */
    struct frame *frame;   /* the receiver's */
    uint64_t number;       /* of all frames sent, in their order */
    uint64_t due_ns;       /* at the switch */
    uint64_t digest;
    bool overtakes;  /* reordered: later ones need not wait for it */
    bool is_forward; /* the switch has passed it on: the heap's key says when the host has it */
};

struct port {
    struct nic nic;
    struct wire *wire;
    uint32_t number;
    struct nic_frames frames;
    struct flight *flights;
    struct base_list lanes[LANES];        /* of flights to this port: by sender, in order of sending */
    struct frame *first, *last;           /* to be received */
    struct base_link fresh_link;          /* had nothing to receive, and has now */
    uint64_t out_busy_ns, in_busy_ns;     /* until then a cable is in use */
    uint64_t *cuts;                       /* bit set: cut off from that host */
    uint32_t cut_words;                   /* of them */
    bool is_cut_off;                      /* and from those that are attached later */
    struct wire_rule *rules;              /* of what it sends, the latest first */
    struct nic_pcap *pcap;                /* NULL: no capture */
    uint8_t filter[FILTER_MAX][MAC_SIZE]; /* groups */
    uint32_t filter_count;
    bool hears_all;
};

struct wire {
    struct pal_allocator allocator;
    struct pcap_sink *sink;
    uint64_t now_ns;
    uint64_t sent;         /* flights, ever */
    struct base_heap due;  /* flights under way, by time */
    struct base_heap turn; /* while delivering: those that are due at the same time, by number */
    struct base_list fresh;
    struct port **ports;
    uint32_t count, capacity; /* of ports */
    struct wire_path path;    /* where no rule is about */
    uint64_t rate_bits_s;
    uint64_t rule_count;     /* ever */
    struct wire_rule *rules; /* of all senders, the latest first */
    bool is_cut_off;         /* new hosts, from all */
    struct pal_sim_counters counters;
};

static inline struct port *port_of(struct nic *nic)
{
    return (struct port *)(void *)nic;
}

static inline bool is_cut(const struct port *port, uint32_t other)
{
    return (port->cuts[other / 64] >> other % 64 & 1) != 0;
}

/* wire_faults.c: the path from one port to another. Good until the next link is set. */
const struct wire_path *pal__s_wire_path(const struct port *from, uint32_t to);

/* A port has been added: cuts it off from those that were cut off from all. */
void pal__s_wire_cut_new(struct port *port);

/* Frees a list of rules. */
void pal__s_wire_free_rules(struct wire *wire, struct wire_rule **list);

/* wire.c: a flight is lost: gives its frame back, counts it in *counter, notes it. */
void pal__s_wire_lose(struct flight *flight, enum trace_fault why, uint64_t *counter);

#endif
