/* port.c: the nic under a script: what it is given is judged and kept, what a script injects is received from it.
 *
 * Each frame is memory of its own, received ones without a byte to spare: a sanitizer sees every step too far. */
#include "packets.h"

#include "checksum.h"
#include "wire.h"
#include <stdlib.h>
#include <string.h>

/* A frame in the list of those that are alive. */
struct port_frame {
    struct frame frame; /* first */
    struct port_frame *next, **link;
};

static struct port *port_of(struct nic *nic)
{
    return (struct port *)(void *)nic;
}

static struct frame *make_frame(struct port *port, uint32_t room)
{
    struct port_frame *listed = calloc(1, sizeof(*listed));
    struct frame *frame = &listed->frame;

    if (listed == NULL)
        abort();
    listed->next = port->frames;
    listed->link = &port->frames;
    if (listed->next != NULL)
        listed->next->link = &listed->next;
    port->frames = listed;
    frame->memory_size = FRAME_HEADROOM + room;
    frame->memory = malloc(frame->memory_size);
    if (frame->memory == NULL)
        abort();
    memset(frame->memory, 0xa5, frame->memory_size); /* whatever is sent without having been written shows */
    frame->data = frame->memory + FRAME_HEADROOM;
    frame->home = &port->nic;
    port->alive++;
    return frame;
}

static void drop_frame(struct port *port, struct frame *frame)
{
    struct port_frame *listed = (struct port_frame *)(void *)frame;

    *listed->link = listed->next;
    if (listed->next != NULL)
        listed->next->link = listed->link;
    port->alive--;
    free(frame->memory);
    free(listed);
}

static struct frame *port_alloc(struct nic *nic)
{
    struct port *port = port_of(nic);
    struct frame *frame;

    if (port->pool_used >= port->pool_max)
        return NULL;
    frame = make_frame(port, port->caps.frame_room);
    frame->native = port;
    port->pool_used++;
    return frame;
}

static void port_free(struct nic *nic, struct frame *frame)
{
    struct port *port = port_of(nic);

    if (frame->home != nic)
        complain(port->run, "a frame was given back to a port that is not its own");
    port->pool_used -= frame->native == port;
    drop_frame(port, frame);
}

static int port_rx(struct nic *nic, struct frame **frames, int max)
{
    struct port *port = port_of(nic);
    int count = 0;

    for (; count < max && port->rx_first != NULL; count++) {
        frames[count] = port->rx_first;
        port->rx_first = port->rx_first->next;
        frames[count]->next = NULL;
    }
    if (port->rx_first == NULL)
        port->rx_last = NULL;
    return count;
}

/* Does what the port has promised to: the transport's checksum. */
static void finish_checksum(struct port *port, uint8_t *bytes, uint32_t size, uint32_t start, uint32_t offset)
{
    uint16_t sum;

    if ((port->caps.flags & NIC_TX_CHECKSUM) == 0)
        complain(port->run, "a frame leaves its checksum to a port that computes none");
    if (start + offset + 2 > size) {
        complain(port->run, "a frame wants a checksum beyond its end");
        return;
    }
    sum = checksum_finish(pal__n_checksum_add(0, bytes + start, size - start));
    put16(bytes + start + offset, sum == 0 && offset == UDP_CHECKSUM ? 0xffff : sum);
}

/* Where TCP's header begins; 0: this is no frame of it. */
static uint32_t tcp_offset(const uint8_t *bytes, uint32_t size)
{
    if (size > ETH_SIZE + IP4_SIZE + TCP_SIZE && get16(bytes + ETH_TYPE) == ETH_P_IP4)
        return ETH_SIZE + (bytes[ETH_SIZE] & 15u) * 4;
    if (size > ETH_SIZE + IP6_SIZE + TCP_SIZE && get16(bytes + ETH_TYPE) == ETH_P_IP6)
        return ETH_SIZE + IP6_SIZE;
    return 0;
}

/* One piece of a frame that the port is to cut: its headers are right but for the checksums, which it makes too. */
static void send_piece(struct port *port, uint8_t *bytes, uint32_t size, uint32_t tcp, uint32_t index)
{
    bool is_v4 = get16(bytes + ETH_TYPE) == ETH_P_IP4;
    struct ip src, dst;

    if (is_v4) {
        put16(bytes + ETH_SIZE + IP4_TOTAL, size - ETH_SIZE);
        put16(bytes + ETH_SIZE + IP4_ID, get16(bytes + ETH_SIZE + IP4_ID) + index);
        put16(bytes + ETH_SIZE + IP4_CHECKSUM, 0);
        put16(bytes + ETH_SIZE + IP4_CHECKSUM,
              checksum_finish(pal__n_checksum_add(0, bytes + ETH_SIZE, tcp - ETH_SIZE)));
        src = ip_of_v4(bytes + ETH_SIZE + IP4_SRC);
        dst = ip_of_v4(bytes + ETH_SIZE + IP4_DST);
    } else {
        put16(bytes + ETH_SIZE + IP6_PAYLOAD, size - ETH_SIZE - IP6_SIZE);
        src = ip_of_v6(bytes + ETH_SIZE + IP6_SRC);
        dst = ip_of_v6(bytes + ETH_SIZE + IP6_DST);
    }
    put16(bytes + tcp + TCP_CHECKSUM, 0);
    put16(bytes + tcp + TCP_CHECKSUM,
          checksum_finish(pal__n_checksum_add(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_TCP, size - tcp),
                                              bytes + tcp, size - tcp)));
    take_sent(port->run, port, bytes, size);
}

static void send_segments(struct port *port, const struct frame *frame)
{
    static uint8_t piece[FRAME_ROOM];
    uint32_t tcp = tcp_offset(frame->data, frame->size), header, payload, segment = frame->segment_size;

    if ((port->caps.flags & NIC_TX_SEGMENTS) == 0 || tcp == 0 || segment == 0) {
        complain(port->run, "a frame asks to be cut, which this port does not, or cannot");
        return;
    }
    header = tcp + (frame->data[tcp + TCP_OFFSET] >> 4) * 4u;
    if (header >= frame->size || frame->size > FRAME_ROOM) {
        complain(port->run, "a frame asks to be cut and has no payload");
        return;
    }
    payload = frame->size - header;
    for (uint32_t at = 0; at < payload; at += segment) {
        uint32_t size = payload - at < segment ? payload - at : segment;

        memcpy(piece, frame->data, header);
        memcpy(piece + header, frame->data + header + at, size);
        put32(piece + tcp + TCP_SEQ, get32(piece + tcp + TCP_SEQ) + at);
        if (at + size < payload)
            piece[tcp + TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (at != 0)
            piece[tcp + TCP_FLAGS] &= (uint8_t)~TCP_CWR;
        send_piece(port, piece, header + size, tcp, at / segment);
    }
}

static int port_tx(struct nic *nic, struct frame **frames, int count)
{
    struct port *port = port_of(nic);
    int sent = 0;

    for (; sent < count && port->budget > 0; sent++) {
        struct frame *frame = frames[sent];

        if (port->budget != UINT32_MAX)
            port->budget--;
        if ((frame->flags & FRAME_SEGMENTS) != 0) {
            send_segments(port, frame);
        } else {
            if ((frame->flags & FRAME_CSUM_NEEDED) != 0)
                finish_checksum(port, frame->data, frame->size, frame->csum_start, frame->csum_offset);
            take_sent(port->run, port, frame->data, frame->size);
        }
        frame_free(frame);
    }
    return sent;
}

static void port_caps(const struct nic *nic, struct nic_caps *out)
{
    *out = ((const struct port *)(const void *)nic)->caps;
}

static void port_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct port *port = port_of(nic);

    port->filter_count = 0;
    for (int i = 0; i < count && port->filter_count < 64; i++)
        port->filters[port->filter_count++] = mac_get(macs[i]);
}

static const struct nic_ops port_ops = {port_rx, port_tx, port_alloc, port_free, port_caps, port_filter};

void port_create(struct port *port, struct run *run, uint32_t index, const struct nic_caps *caps)
{
    memset(port, 0, sizeof(*port));
    port->nic.ops = &port_ops;
    port->run = run;
    port->index = index;
    port->caps = *caps;
    port->ring = port->budget = port->pool_max = UINT32_MAX;
}

void port_destroy(struct port *port)
{
    while (port->rx_first != NULL) {
        struct frame *next = port->rx_first->next;

        frame_free(port->rx_first);
        port->rx_first = next;
    }
    port->rx_last = NULL;
}

void port_abandon(struct port *port)
{
    struct port_frame *listed = port->frames;

    while (listed != NULL) {
        struct port_frame *next = listed->next;

        free(listed->frame.memory);
        free(listed);
        listed = next;
    }
    port->frames = NULL;
    port->alive = port->pool_used = 0;
}

void port_inject(struct port *port, const uint8_t *bytes, uint32_t size, uint16_t flags)
{
    struct frame *frame = make_frame(port, size);

    memcpy(frame->data, bytes, size);
    frame->size = size;
    frame->time_ns = port->run->now_ns;
    frame->flags = flags;
    if (port->rx_last != NULL)
        port->rx_last->next = frame;
    else
        port->rx_first = frame;
    port->rx_last = frame;
}
