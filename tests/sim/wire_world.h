/* tests/sim/wire_world.h: a simulated network by itself, and hosts that are nothing but their ports.
 *
 * A test executable includes it once. A frame carries a number behind its header, by which the receiver knows it. */
#ifndef TESTS_SIM_WIRE_WORLD_H
#define TESTS_SIM_WIRE_WORLD_H

#include "../../backends/common/refusal.h"
#include "../../backends/netstack/wire.h"
#include "../../backends/sim/chance.h"
#include "../../backends/sim/trace.h"
#include "../../backends/sim/wire.h"
#include "../netstack/counting_allocator.h"
#include "support/test.h"

enum { HOSTS_MAX = 130, ARRIVED_MAX = 256, SIZE = 100, NUMBER = ETH_SIZE, ALL = -1 };

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct counting memory;
static struct wire *wire;
static struct nic *nics[HOSTS_MAX];
static uint32_t host_count;
static uint64_t now_ns;
static uint32_t arrived_hosts[ARRIVED_MAX]; /* of the latest delivery */
static uint32_t arrived_count;

static inline void add_host(void)
{
    cr_assert_eq(pal__s_wire_attach(wire, host_count, "eth", &nics[host_count]), 0);
    host_count++;
}

static inline void begin_with(uint64_t seed, uint32_t count, struct pcap_sink *sink)
{
    counting_init(&memory);
    cr_assert(pal__s_chance_begin(seed, 0, NULL, 0));
    pal__s_trace_begin(seed);
    host_count = 0;
    now_ns = 5 * SECOND;
    cr_assert_eq(pal__s_wire_create(&memory.allocator, sink, &wire), 0);
    pal__s_wire_set_time(wire, now_ns);
    while (host_count < count)
        add_host();
}

static inline void begin(uint32_t count)
{
    begin_with(1, count, NULL);
}

/* Everything was given back. */
static inline void end(void)
{
    for (uint32_t host = 0; host < host_count; host++)
        cr_assert_eq(pal__s_wire_used(wire, host), 0, "host %u has %u frames", (unsigned)host,
                     (unsigned)pal__s_wire_used(wire, host));
    cr_assert_eq(pal__s_wire_next(wire), UINT64_MAX);
    pal__s_wire_destroy(wire);
    cr_assert_eq(memory.blocks, 0);
    cr_assert_eq(memory.bytes, 0);
}

static inline struct pal_sim_counters counters(void)
{
    struct pal_sim_counters out;

    memset(&out, 0, sizeof(out));
    pal__s_wire_counters(wire, &out);
    return out;
}

static inline void set(const struct pal_sim_faults *faults)
{
    cr_assert_eq(pal__s_wire_set_faults(wire, faults), 0);
}

/* A frame of the sender's with the receiver's MAC, or broadcast (ALL). */
static inline struct frame *frame_to(uint32_t from, int64_t to, uint32_t size, uint32_t number)
{
    struct frame *frame = frame_alloc(nics[from]);

    cr_assert_not_null(frame);
    memset(frame->data, 0, size);
    memset(frame->data, 0xff, MAC_SIZE);
    if (to != ALL)
        pal__s_wire_mac((uint32_t)to, frame->data);
    pal__s_wire_mac(from, frame->data + ETH_SRC);
    put16(frame->data + ETH_TYPE, ETH_P_IP4);
    put32(frame->data + NUMBER, number);
    frame->size = size;
    return frame;
}

static inline void send_frame(uint32_t from, struct frame *frame)
{
    cr_assert_eq(nics[from]->ops->tx(nics[from], &frame, 1), 1);
}

static inline void send_sized(uint32_t from, int64_t to, uint32_t size, uint32_t number)
{
    send_frame(from, frame_to(from, to, size, number));
}

static inline void send(uint32_t from, int64_t to, uint32_t number)
{
    send_sized(from, to, SIZE, number);
}

static inline void note_arrived(uint32_t host)
{
    cr_assert(pal__s_wire_waits(wire, host));
    if (arrived_count < ARRIVED_MAX)
        arrived_hosts[arrived_count++] = host;
}

static inline void deliver_at(uint64_t at_ns)
{
    now_ns = at_ns;
    arrived_count = 0;
    pal__s_wire_set_time(wire, now_ns);
    pal__s_trace(TRACE_TIME, now_ns, 0);
    pal__s_wire_deliver(wire, note_arrived);
}

/* Receives one: its number, or -1. */
static inline int64_t receive(uint32_t host, uint64_t *time_ns)
{
    struct frame *frame;
    int64_t number;

    if (nics[host]->ops->rx(nics[host], &frame, 1) != 1)
        return -1;
    number = get32(frame->data + NUMBER);
    if (time_ns != NULL)
        *time_ns = frame->time_ns;
    frame_free(frame);
    return number;
}

/* Whatever is under way arrives, date by date, and is kept. */
static inline void deliver_all(void)
{
    while (pal__s_wire_next(wire) != UINT64_MAX)
        deliver_at(pal__s_wire_next(wire));
}

/* Receives all that a host has: how much. */
static inline uint32_t drain(uint32_t host)
{
    uint32_t count = 0;

    while (receive(host, NULL) >= 0)
        count++;
    return count;
}

#endif
