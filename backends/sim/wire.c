/* wire.c: the simulated network: ports, and frames on their way between them.
 *
 * What is sent becomes a flight to each receiver, in a frame of the receiver's, and stands in a heap by the time at
 * which it is at the switch in front of that host; there it gets its turn on the host's cable, if cables have a rate.
 * The heap promises no order of equal times, so those of the same time go through a second heap, by their number. */
#include "wire.h"

#include "../common/refusal.h"
#include "../netstack/nic_faults.h"
#include "../netstack/wire.h"
#include "chance.h"
#include "wire_port.h"
#include <string.h>

enum { PORTS_MIN = 8 /* room for so many is made at first */ };

#define REORDER_MIN_NS UINT64_C(1000000)

/* ---- flights ---- */

static struct port *receiver_of(const struct flight *flight)
{
    return port_of(flight->frame->home);
}

/* Out of its lane: nothing refers to it any more. The frame, which is the caller's from then on. */
static struct frame *end_flight(struct flight *flight)
{
    base_list_remove(&flight->link);
    return flight->frame;
}

static void note_loss(struct port *port, enum trace_fault why, uint64_t *counter)
{
    (*counter)++;
    pal__s_trace(TRACE_FAULT, why, port->number);
}

void pal__s_wire_lose(struct flight *flight, enum trace_fault why, uint64_t *counter)
{
    struct port *port = receiver_of(flight);

    if (base_heap_contains(&port->wire->due, &flight->node))
        base_heap_remove(&port->wire->due, &flight->node);
    note_loss(port, why, counter);
    frame_free(end_flight(flight));
}

/* ---- cables ---- */

/* When the bits of a frame that is at the cable by at_ns will have passed it; UINT64_MAX: too much waits there already.
 * What was there before the rate changed keeps its time. */
static uint64_t pass_cable(const struct wire *wire, uint64_t *busy_ns, uint32_t size, uint64_t at_ns)
{
    uint64_t start_ns = *busy_ns > at_ns ? *busy_ns : at_ns, rate = wire->rate_bits_s;
    uint64_t bits_ns = ((uint64_t)size + WIRE_OVERHEAD) * 8 * 1000000000; /* at one bit a second */

    if (rate == 0)
        return start_ns;
    if (start_ns - at_ns > (uint64_t)WIRE_QUEUE_BYTES * 8 * 1000000000 / rate)
        return UINT64_MAX;
    *busy_ns = start_ns + bits_ns / rate + (bits_ns % rate != 0);
    return *busy_ns;
}

/* ---- sending ---- */

static bool hears(const struct port *port, const uint8_t *mac)
{
    static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (port->hears_all || memcmp(mac, broadcast, MAC_SIZE) == 0)
        return true;
    for (uint32_t i = 0; i < port->filter_count; i++)
        if (memcmp(port->filter[i], mac, MAC_SIZE) == 0)
            return true;
    return false;
}

/* The time before which nothing from that host arrives at this port, if it is to stay in order. */
static uint64_t order_ns(const struct port *to, uint32_t from)
{
    const struct base_list *lane = &to->lanes[from % LANES];

    for (const struct base_link *link = lane->head.prev; link != &lane->head; link = link->prev) {
        const struct flight *flight = BASE_CONTAINER_OF(link, struct flight, link);

        if (flight->from == from && !flight->overtakes)
            return flight->due_ns;
    }
    return 0;
}

/* When what leaves now is at the receiver's switch. */
static uint64_t draw_due(struct flight *flight, const struct port *to, const struct wire_path *path, uint64_t leaves_ns)
{
    uint64_t least_ns = order_ns(to, flight->from);
    uint64_t range_ns = path->latency_max_ns - path->latency_min_ns, late_ns = 4 * range_ns;
    uint64_t due_ns = leaves_ns + pal__s_between(path->latency_min_ns, path->latency_max_ns);

    if (due_ns < least_ns)
        due_ns = least_ns;
    flight->overtakes = pal__s_happens(path->reorder_ppm);
    if (!flight->overtakes)
        return due_ns;
    to->wire->counters.reordered++;
    pal__s_trace(TRACE_FAULT, TRACE_FRAME_REORDERED, to->number);
    return due_ns + pal__s_between(1, late_ns > REORDER_MIN_NS ? late_ns : REORDER_MIN_NS);
}

static void damage(struct port *to, struct frame *frame, uint64_t *digest)
{
    struct random random;

    pal__n_random_seed(&random, pal__s_between(0, UINT64_MAX));
    if (!pal__n_faults_damage(frame, &random, false))
        return;
    to->wire->counters.corrupted++;
    pal__s_trace(TRACE_FAULT, TRACE_FRAME_CORRUPTED, to->number);
    *digest = pal__s_trace_digest(frame->data, frame->size);
}

/* What is sent: a frame that somebody else owns, and what is the same for all receivers. */
struct sending {
    struct port *from;
    const struct frame *frame;
    uint64_t leaves_ns;
    uint64_t digest;
};

/* One copy, to one receiver. False: lost. */
static bool launch(const struct sending *sending, struct port *to, const struct wire_path *path, bool corrupt)
{
    struct wire *wire = to->wire;
    struct frame *frame = pal__n_frames_alloc(&to->frames);
    struct flight *flight;

    if (frame == NULL) {
        note_loss(to, TRACE_FRAME_NO_ROOM, &wire->counters.lost);
        return false;
    }
    memcpy(frame->data, sending->frame->data, sending->frame->size);
    frame->size = sending->frame->size;
    flight = &to->flights[pool_index(&to->frames.pool, frame)];
    memset(flight, 0, sizeof(*flight));
    flight->from = sending->from->number;
    flight->frame = frame;
    flight->number = wire->sent++;
    flight->digest = sending->digest;
    if (corrupt)
        damage(to, frame, &flight->digest);
    flight->due_ns = draw_due(flight, to, path, sending->leaves_ns);
    base_list_push_back(&to->lanes[flight->from % LANES], &flight->link);
    (void)base_heap_push(&wire->due, &flight->node, flight->due_ns); /* has room for the frames of all ports */
    return true;
}

static void send_to(const struct sending *sending, struct port *to)
{
    struct wire *wire = to->wire;
    const struct wire_path *path = pal__s_wire_path(sending->from, to->number);
    bool corrupt, twice;

    wire->counters.frames++;
    if (is_cut(sending->from, to->number)) {
        note_loss(to, TRACE_FRAME_CUT_OFF, &wire->counters.cut_off);
        return;
    }
    if (pal__s_happens(path->loss_ppm)) {
        note_loss(to, TRACE_FRAME_LOST, &wire->counters.lost);
        return;
    }
    corrupt = pal__s_happens(path->corrupt_ppm);
    twice = pal__s_happens(path->duplicate_ppm);
    if (sending->leaves_ns == UINT64_MAX) {
        note_loss(to, TRACE_FRAME_NO_QUEUE, &wire->counters.lost);
        return;
    }
    if (sending->frame->size > WIRE_MTU + ETH_SIZE + ETH_VLAN_SIZE) {
        note_loss(to, TRACE_FRAME_NO_ROOM, &wire->counters.lost);
        return;
    }
    if (!launch(sending, to, path, corrupt) || !twice)
        return;
    pal__s_trace(TRACE_FAULT, TRACE_FRAME_DUPLICATED, to->number);
    wire->counters.duplicated += launch(sending, to, path, false);
}

/* The host with this MAC, if there is one. */
static uint32_t host_of(const uint8_t *mac)
{
    return mac[0] == 2 && mac[1] == 0 ? get32(mac + 2) : EVERY_HOST;
}

static void send_frame(struct port *port, const struct frame *frame)
{
    struct wire *wire = port->wire;
    struct sending sending = {port, frame, 0, pal__s_trace_digest(frame->data, frame->size)};
    const uint8_t *mac = frame->data + ETH_DST;
    uint32_t host;

    pal__s_trace(TRACE_SENT, port->number, sending.digest);
    if (frame->size < ETH_SIZE)
        return;
    sending.leaves_ns = pass_cable(wire, &port->out_busy_ns, frame->size, wire->now_ns);
    if (mac[0] & 1) {
        for (host = 0; host < wire->count; host++)
            if (host != port->number && hears(wire->ports[host], mac))
                send_to(&sending, wire->ports[host]);
        return;
    }
    host = host_of(mac);
    if (host < wire->count && host != port->number)
        send_to(&sending, wire->ports[host]);
}

static int wire_tx(struct nic *nic, struct frame **frames, int count)
{
    for (int i = 0; i < count; i++) {
        BASE_ASSERT((frames[i]->flags & (FRAME_SEGMENTS | FRAME_CSUM_NEEDED)) == 0); /* caps tell of neither */
        send_frame(port_of(nic), frames[i]);
        frame_free(frames[i]);
    }
    return count;
}

/* ---- arriving ---- */

static void hand_over(struct flight *flight, uint64_t at_ns)
{
    struct port *port = receiver_of(flight);
    struct frame *frame = end_flight(flight);

    pal__s_trace(TRACE_CAME, port->number, flight->digest);
    frame->time_ns = at_ns;
    frame->next = NULL;
    if (port->first == NULL)
        port->first = frame;
    else
        port->last->next = frame;
    if (port->first == frame && !base_link_is_linked(&port->fresh_link))
        base_list_push_back(&port->wire->fresh, &port->fresh_link);
    port->last = frame;
}

/* At the switch, or at the host: in the former case the cable may take its time. */
static void arrive(struct flight *flight, uint64_t at_ns)
{
    struct port *port = receiver_of(flight);
    uint64_t due_ns = at_ns;

    if (!flight->is_forward)
        due_ns = pass_cable(port->wire, &port->in_busy_ns, flight->frame->size, at_ns);
    if (due_ns == UINT64_MAX) {
        pal__s_wire_lose(flight, TRACE_FRAME_NO_QUEUE, &port->wire->counters.lost);
    } else if (due_ns > at_ns) {
        flight->is_forward = true;
        (void)base_heap_push(&port->wire->due, &flight->node, due_ns); /* there was room a moment ago */
    } else {
        hand_over(flight, at_ns);
    }
}

static struct flight *flight_of(struct base_heap_node *node)
{
    return BASE_CONTAINER_OF(node, struct flight, node);
}

void pal__s_wire_deliver(struct wire *wire, void (*arrived)(uint32_t host))
{
    struct base_link *link;

    while (!base_heap_is_empty(&wire->due) && base_heap_first_key(&wire->due) <= wire->now_ns) {
        uint64_t at_ns = base_heap_first_key(&wire->due);

        while (base_heap_first_key(&wire->due) == at_ns) {
            struct flight *flight = flight_of(base_heap_pop(&wire->due));

            (void)base_heap_push(&wire->turn, &flight->node, flight->number);
        }
        while (!base_heap_is_empty(&wire->turn))
            arrive(flight_of(base_heap_pop(&wire->turn)), at_ns);
    }
    while ((link = base_list_pop_front(&wire->fresh)) != NULL)
        arrived(BASE_CONTAINER_OF(link, struct port, fresh_link)->number);
}

static int wire_rx(struct nic *nic, struct frame **frames, int max)
{
    struct port *port = port_of(nic);
    int count = 0;

    for (; count < max && port->first != NULL; count++) {
        frames[count] = port->first;
        port->first = port->first->next;
        frames[count]->next = NULL;
    }
    return count;
}

/* ---- the rest of a nic ---- */

static struct frame *wire_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&port_of(nic)->frames);
}

static void wire_free(struct nic *nic, struct frame *frame)
{
    pal__n_frames_free(&port_of(nic)->frames, frame);
}

static void wire_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct port *port = (const struct port *)(const void *)nic;

    memset(out, 0, sizeof(*out));
    out->mtu = WIRE_MTU;
    out->frame_room = port->frames.room;
    pal__s_wire_mac(port->number, out->mac);
}

static void wire_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct port *port = port_of(nic);

    port->hears_all = count < 0 || count > FILTER_MAX || (count > 0 && macs == NULL);
    port->filter_count = port->hears_all ? 0 : (uint32_t)count;
    if (port->filter_count > 0)
        memcpy(port->filter, macs, (size_t)port->filter_count * MAC_SIZE);
}

static const struct nic_ops wire_ops = {wire_rx, wire_tx, wire_alloc, wire_free, wire_caps, wire_filter};

/* ---- ports ---- */

void pal__s_wire_mac(uint32_t host, uint8_t mac[MAC_SIZE])
{
    mac[0] = 2; /* administered locally */
    mac[1] = 0;
    put32(mac + 2, host);
}

static void *allocate(const struct wire *wire, size_t size)
{
    return wire->allocator.alloc(wire->allocator.context, size, 8);
}

static void release(const struct wire *wire, void *memory, size_t size)
{
    if (memory != NULL)
        wire->allocator.free(wire->allocator.context, memory, size);
}

/* Larger memory with the same contents in place of the old. NULL: there is none, and the old is as it was. */
static void *enlarge(const struct wire *wire, void *old, size_t old_size, size_t size)
{
    char *larger = allocate(wire, size);

    if (larger == NULL)
        return NULL;
    if (old_size > 0)
        memcpy(larger, old, old_size);
    release(wire, old, old_size);
    return larger;
}

static bool enlarge_heap(const struct wire *wire, struct base_heap *heap, uint32_t capacity)
{
    size_t unit = sizeof(*heap->entries);
    void *larger;

    if (heap->capacity >= capacity)
        return true;
    larger = enlarge(wire, heap->entries, heap->capacity * unit, capacity * unit);
    if (larger == NULL)
        return false;
    heap->entries = larger;
    heap->capacity = capacity;
    return true;
}

static bool enlarge_cuts(struct port *port, uint32_t words)
{
    size_t unit = sizeof(*port->cuts);
    void *larger;

    if (port->cut_words >= words)
        return true;
    larger = enlarge(port->wire, port->cuts, port->cut_words * unit, words * unit);
    if (larger == NULL)
        return false;
    port->cuts = larger;
    memset(port->cuts + port->cut_words, 0, (words - port->cut_words) * unit);
    port->cut_words = words;
    return true;
}

/* Room for one port more, in all that has room for each. What was enlarged before memory ran out stays so. */
static bool make_room(struct wire *wire)
{
    uint32_t capacity = wire->capacity == 0 ? PORTS_MIN : wire->capacity * 2;
    void *larger;

    if (wire->count < wire->capacity)
        return true;
    for (uint32_t i = 0; i < wire->count; i++)
        if (!enlarge_cuts(wire->ports[i], (capacity + 63) / 64))
            return false;
    if (!enlarge_heap(wire, &wire->due, capacity * WIRE_FRAMES) ||
        !enlarge_heap(wire, &wire->turn, capacity * WIRE_FRAMES))
        return false;
    larger = enlarge(wire, wire->ports, wire->capacity * sizeof(*wire->ports), capacity * sizeof(*wire->ports));
    if (larger == NULL)
        return false;
    wire->ports = larger;
    wire->capacity = capacity;
    return true;
}

static void destroy_port(struct port *port)
{
    struct wire *wire = port->wire;

    pal__s_wire_free_rules(wire, &port->rules);
    if (port->pcap != NULL)
        pal__n_pcap_destroy(port->pcap);
    if (port->frames.pool.memory != NULL)
        pal__n_frames_destroy(&port->frames, &wire->allocator);
    release(wire, port->flights, WIRE_FRAMES * sizeof(*port->flights));
    release(wire, port->cuts, port->cut_words * sizeof(*port->cuts));
    release(wire, port, sizeof(*port));
}

/* NULL: no memory. A flight is made when its frame is taken: until then its memory is not touched. */
static struct port *create_port(struct wire *wire, const char *name)
{
    struct pcap_config config = {.allocator = &wire->allocator, .sink = wire->sink, .name = name};
    struct port *port = allocate(wire, sizeof(*port));

    if (port == NULL)
        return NULL;
    memset(port, 0, sizeof(*port));
    port->nic.ops = &wire_ops;
    port->wire = wire;
    port->number = wire->count;
    for (uint32_t i = 0; i < LANES; i++)
        base_list_init(&port->lanes[i]);
    port->flights = allocate(wire, WIRE_FRAMES * sizeof(*port->flights));
    if (port->flights != NULL && enlarge_cuts(port, (wire->capacity + 63) / 64) &&
        pal__n_frames_create(&port->frames, &wire->allocator, &port->nic, WIRE_FRAMES,
                             WIRE_MTU + ETH_SIZE + ETH_VLAN_SIZE) &&
        (wire->sink == NULL || pal__n_pcap_create(&config, &port->nic, &port->pcap) == 0))
        return port;
    destroy_port(port);
    return NULL;
}

int pal__s_wire_attach(struct wire *wire, uint32_t host, const char *name, struct nic **out)
{
    struct port *port;

    BASE_ASSERT(host == wire->count);
    if (!make_room(wire) || (port = create_port(wire, name)) == NULL)
        return pal__refuse(PAL_ENOMEM, "no memory for a host's port");
    wire->ports[wire->count++] = port;
    pal__s_wire_cut_new(port);
    if (port->pcap != NULL)
        pal__n_pcap_set_time(port->pcap, wire->now_ns);
    *out = port->pcap != NULL ? pal__n_pcap_nic(port->pcap) : &port->nic;
    return 0;
}

static struct port *port_at(const struct wire *wire, uint32_t host)
{
    BASE_ASSERT(host < wire->count);
    return wire->ports[host];
}

void pal__s_wire_reset(struct wire *wire, uint32_t host)
{
    struct port *port = port_at(wire, host);
    struct base_link *link;
    struct frame *frame;

    while ((frame = port->first) != NULL) {
        port->first = frame->next;
        note_loss(port, TRACE_FRAME_RESET, &wire->counters.lost);
        frame_free(frame);
    }
    for (uint32_t i = 0; i < LANES; i++)
        while ((link = base_list_first(&port->lanes[i])) != NULL)
            pal__s_wire_lose(BASE_CONTAINER_OF(link, struct flight, link), TRACE_FRAME_RESET, &wire->counters.lost);
    if (base_link_is_linked(&port->fresh_link))
        base_list_remove(&port->fresh_link);
    port->filter_count = 0;
    port->hears_all = false;
    port->in_busy_ns = port->out_busy_ns = 0;
}

void pal__s_wire_detach(struct wire *wire, uint32_t host)
{
    struct port *port = port_at(wire, host);

    BASE_ASSERT(host + 1 == wire->count);
    (void)pal__s_wire_cut(wire, host, EVERY_HOST, false); /* the number is another host's next time */
    pal__s_wire_reset(wire, host);
    wire->count--;
    destroy_port(port);
}

/* ---- made, ended and asked ---- */

int pal__s_wire_create(const struct pal_allocator *allocator, struct pcap_sink *sink, struct wire **out)
{
    struct wire *wire = allocator->alloc(allocator->context, sizeof(*wire), 8);

    if (wire == NULL)
        return pal__refuse(PAL_ENOMEM, "no memory for the network");
    memset(wire, 0, sizeof(*wire));
    wire->allocator = *allocator;
    wire->sink = sink;
    wire->path.latency_min_ns = wire->path.latency_max_ns = WIRE_LATENCY_NS;
    base_list_init(&wire->fresh);
    *out = wire;
    return 0;
}

void pal__s_wire_destroy(struct wire *wire)
{
    if (wire == NULL)
        return;
    for (uint32_t i = 0; i < wire->count; i++)
        destroy_port(wire->ports[i]);
    pal__s_wire_free_rules(wire, &wire->rules);
    release(wire, wire->ports, wire->capacity * sizeof(*wire->ports));
    release(wire, wire->due.entries, wire->due.capacity * sizeof(*wire->due.entries));
    release(wire, wire->turn.entries, wire->turn.capacity * sizeof(*wire->turn.entries));
    wire->allocator.free(wire->allocator.context, wire, sizeof(*wire));
}

void pal__s_wire_set_time(struct wire *wire, uint64_t now_ns)
{
    BASE_ASSERT(now_ns >= wire->now_ns);
    wire->now_ns = now_ns;
    for (uint32_t i = 0; i < wire->count && wire->sink != NULL; i++)
        pal__n_pcap_set_time(wire->ports[i]->pcap, now_ns);
}

uint64_t pal__s_wire_next(const struct wire *wire)
{
    return base_heap_first_key(&wire->due);
}

bool pal__s_wire_waits(const struct wire *wire, uint32_t host)
{
    return port_at(wire, host)->first != NULL;
}

uint32_t pal__s_wire_used(const struct wire *wire, uint32_t host)
{
    return port_at(wire, host)->frames.pool.used;
}

void pal__s_wire_counters(const struct wire *wire, struct pal_sim_counters *out)
{
    out->frames = wire->counters.frames;
    out->lost = wire->counters.lost;
    out->duplicated = wire->counters.duplicated;
    out->reordered = wire->counters.reordered;
    out->corrupted = wire->counters.corrupted;
    out->cut_off = wire->counters.cut_off;
}
