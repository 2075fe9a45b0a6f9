/* wire_dpdk.c: between the stack and the port of a script, two ports of DPDK joined by rings: every frame goes through
 * a near one, which is the stack's nic, and a far one, which hands it to the script's port and takes from it.
 *
 * What the script's port says of itself (mtu, MAC, capabilities, how much its ring and its pool take) stays as the
 * script wants it. What DPDK's rings do not carry, a frame's flags and times, is kept beside them, in order. */
#include "../packets/packets.h"

#include "../../backends/dpdk/mbuf.h"
#include "../../backends/dpdk/port.h"
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <string.h>

enum { WIRES = 2, BURST = 32, RING = 1024 };

struct wire {
    struct nic nic; /* first: what the stack is given */
    struct port *port;
    struct nic *near, *far;
    struct dpdk_port *near_port, *far_port;
    uint32_t near_held, far_held; /* when the script began */
};

static struct dpdk_settings settings;
static struct wire wires[WIRES];

static struct wire *wire_of(struct nic *nic)
{
    return (struct wire *)(void *)nic;
}

/* In the room that a lease would take: whether the frame is from alloc, and counts against the script's pool. */
static uint8_t *mark_of(struct frame *frame)
{
    return frame->memory - DPDK_LEASE_ROOM;
}

static struct frame *wire_alloc(struct nic *nic)
{
    struct wire *wire = wire_of(nic);
    struct frame *frame;

    if (wire->port->pool_used >= wire->port->pool_max)
        return NULL;
    frame = frame_alloc(wire->near);
    if (frame == NULL)
        return NULL;
    frame->home = nic;
    *mark_of(frame) = 1;
    wire->port->pool_used++;
    return frame;
}

static void wire_free(struct nic *nic, struct frame *frame)
{
    struct wire *wire = wire_of(nic);

    if (frame->home != nic)
        complain(wire->port->run, "a frame was given back to a port that is not its own");
    wire->port->pool_used -= *mark_of(frame);
    frame->home = wire->near;
    frame_free(frame);
}

/* Puts what the script has injected on the wire: how many; keeps what is known of them. A frame larger than any buffer
 * does not take that way, and comes alone: *by. */
static int inject(struct wire *wire, struct frame *known, int max, struct frame **by)
{
    int count = 0;

    *by = NULL;
    while (count < max && wire->port->rx_first != NULL) {
        struct frame *frame, *copy;

        if (wire->port->rx_first->size > pal__d_mbuf_room(9000)) {
            if (count == 0)
                (void)wire->port->nic.ops->rx(&wire->port->nic, by, 1);
            break;
        }
        (void)wire->port->nic.ops->rx(&wire->port->nic, &frame, 1);
        copy = frame_alloc(wire->far);
        if (copy == NULL)
            fail(wire->port->run, "DPDK has no buffer left");
        memcpy(copy->data, frame->data, frame->size);
        copy->size = frame->size;
        known[count++] = *frame;
        frame_free(frame);
        if (wire->far->ops->tx(wire->far, &copy, 1) != 1)
            fail(wire->port->run, "DPDK's ring is full");
    }
    return count;
}

static int wire_rx(struct nic *nic, struct frame **frames, int max)
{
    struct wire *wire = wire_of(nic);
    struct frame known[BURST], *by;
    int sent = inject(wire, known, max < BURST ? max : BURST, &by);
    int count = wire->near->ops->rx(wire->near, frames, max);

    if (by != NULL && count == 0) {
        frames[0] = by;
        return 1;
    }
    if (count != sent)
        fail(wire->port->run, "%d frames were put into DPDK's ring and %d came out", sent, count);
    for (int i = 0; i < count; i++) {
        frames[i]->home = nic;
        frames[i]->flags = known[i].flags;
        frames[i]->time_ns = known[i].time_ns;
        *mark_of(frames[i]) = 0;
    }
    return count;
}

/* What has arrived at the far end goes to the script's port, with what was known of it. */
static void deliver(struct wire *wire, const struct frame *sent, int count)
{
    struct frame *frames[BURST];
    int came = wire->far->ops->rx(wire->far, frames, BURST);

    if (came != count)
        fail(wire->port->run, "%d frames were sent into DPDK's ring and %d came out", count, came);
    for (int i = 0; i < came; i++) {
        if (frames[i]->size != sent[i].size)
            complain(wire->port->run, "a frame of %u bytes has become one of %u", sent[i].size, frames[i]->size);
        frames[i]->flags = sent[i].flags;
        frames[i]->segment_size = sent[i].segment_size;
        frames[i]->csum_start = sent[i].csum_start;
        frames[i]->csum_offset = sent[i].csum_offset;
    }
    if (wire->port->nic.ops->tx(&wire->port->nic, frames, came) != came)
        fail(wire->port->run, "the script's port took fewer than it said");
}

/* One burst: how many were taken. */
static int send_burst(struct wire *wire, struct frame **frames, int count)
{
    struct frame known[BURST];
    bool counted[BURST] = {false};
    int taken;

    for (int i = 0; i < count; i++) {
        bool is_own = frames[i]->home == &wire->nic;

        known[i] = *frames[i];
        counted[i] = is_own && *mark_of(frames[i]) != 0;
        if (is_own)
            frames[i]->home = wire->near; /* so that it goes without a copy */
        frames[i]->flags &= (uint16_t)~FRAME_SEGMENTS;
    }
    taken = wire->near->ops->tx(wire->near, frames, count);
    for (int i = taken; i < count; i++) {
        frames[i]->home = known[i].home;
        frames[i]->flags = known[i].flags;
    }
    for (int i = 0; i < taken; i++)
        wire->port->pool_used -= counted[i];
    deliver(wire, known, taken);
    return taken;
}

static int wire_tx(struct nic *nic, struct frame **frames, int count)
{
    struct wire *wire = wire_of(nic);
    int sent = 0;

    while (sent < count && wire->port->budget > 0) {
        int burst = count - sent < BURST ? count - sent : BURST;

        if ((uint32_t)burst > wire->port->budget)
            burst = (int)wire->port->budget;
        burst = send_burst(wire, frames + sent, burst);
        if (burst == 0)
            break;
        sent += burst;
    }
    return sent;
}

static void wire_caps(const struct nic *nic, struct nic_caps *out)
{
    *out = ((const struct wire *)(const void *)nic)->port->caps;
}

static void wire_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct wire *wire = wire_of(nic);

    wire->near->ops->filter(wire->near, macs, count);
    wire->port->nic.ops->filter(&wire->port->nic, macs, count);
}

static const struct nic_ops wire_ops = {wire_rx, wire_tx, wire_alloc, wire_free, wire_caps, wire_filter};

/* ---- made once for all scripts ---- */

static bool open_end(uint32_t number, struct rte_ring *in, struct rte_ring *out, struct dpdk_port **port,
                     struct base_text *words)
{
    char name[16];
    int id;

    snprintf(name, sizeof(name), "wire%u", number);
    id = rte_eth_from_rings(name, &in, 1, &out, 1, 0);
    return id >= 0 && pal__d_port_open_id(&settings, number, (uint16_t)id, port, words) == 0;
}

static bool open_wire(uint32_t index, struct base_text *words)
{
    struct wire *wire = &wires[index];
    char names[2][16];
    struct rte_ring *rings[2];

    for (int i = 0; i < 2; i++) {
        snprintf(names[i], sizeof(names[i]), "ring%u-%d", index, i);
        rings[i] = rte_ring_create(names[i], RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (rings[i] == NULL)
            return false;
    }
    if (!open_end(index * 2, rings[0], rings[1], &wire->near_port, words) ||
        !open_end(index * 2 + 1, rings[1], rings[0], &wire->far_port, words))
        return false;
    wire->nic.ops = &wire_ops;
    wire->near = pal__d_port_nic(wire->near_port, 0);
    wire->far = pal__d_port_nic(wire->far_port, 0);
    return true;
}

bool wire_begin(void)
{
    static const char text[] = "device net_ring0 ; mtu 9000 ; device net_ring1 ; mtu 9000 ; device net_ring2 ; "
                               "mtu 9000 ; device net_ring3 ; mtu 9000 ; mbufs 4096 ; descriptors 512";
    char words_buffer[DPDK_WORDS_MAX], notes_buffer[DPDK_WORDS_MAX];
    struct base_text words, notes;
    struct dpdk_plan plan;
    bool begun;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    begun = pal__d_settings_read(&settings, text, &words) == 0 &&
            pal__d_preflight(&settings, "", &plan, &notes, &words) == 0 &&
            pal__d_eal_start(&settings, &plan, &words) == 0;
    for (uint32_t i = 0; i < WIRES && begun; i++)
        begun = open_wire(i, &words);
    if (!begun)
        printf("Bail out! DPDK: %s\n", words.data);
    return begun;
}

void wire_end(void)
{
    for (int i = 0; i < WIRES; i++) {
        pal__d_port_stop(wires[i].near_port);
        pal__d_port_stop(wires[i].far_port);
    }
    for (int i = 0; i < WIRES; i++) {
        (void)pal__d_port_close(wires[i].near_port);
        (void)pal__d_port_close(wires[i].far_port);
    }
    pal__d_eal_stop();
}

/* ---- a script's ---- */

struct nic *wire_wrap(struct port *port)
{
    struct wire *wire = &wires[port->index];

    if (port->caps.frame_room > pal__d_mbuf_room(9000))
        fail(port->run, "a frame of %u bytes does not fit into DPDK's buffers", port->caps.frame_room);
    wire->port = port;
    wire->near_held = pal__d_port_held(wire->near_port, 0);
    wire->far_held = pal__d_port_held(wire->far_port, 0);
    return &wire->nic;
}

void wire_unwrap(struct port *port)
{
    struct wire *wire = &wires[port->index];

    if (wire->port != port)
        return;
    wire->port = NULL;
    if (pal__d_port_held(wire->near_port, 0) != wire->near_held ||
        pal__d_port_held(wire->far_port, 0) != wire->far_held)
        fail(port->run, "not all packet buffers of DPDK came back");
    if (port->pool_used != 0)
        fail(port->run, "%u frames of the script's pool are counted as taken", port->pool_used);
}
