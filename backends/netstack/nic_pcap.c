/* nic_pcap.c: a nic in front of another that shows what passes as a pcapng capture.
 *
 * Blocks: one Section Header, an Interface Description for each nic when it first writes, Enhanced Packets with the
 * option epb_flags for the direction. Lengths are in bytes, padded to four. */
#include "nic_pcap.h"

#include <string.h>

enum { NAME_SIZE_MAX = 63, BLOCK_SIZE_MAX = 128, LINKTYPE_ETHERNET = 1 };
enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 6 };
enum { OPTION_END = 0, OPTION_IF_NAME = 2, OPTION_IF_TSRESOL = 9, OPTION_EPB_FLAGS = 2 };
enum { DIRECTION_IN = 1, DIRECTION_OUT = 2, RESOLUTION_NS = 9 };

struct nic_pcap {
    struct nic nic;
    struct nic *below;
    struct pal_allocator allocator;
    struct pcap_sink *sink;
    uint64_t now_ns, offset_ns;
    uint32_t size_max;
    uint32_t interface; /* its number in the capture */
    bool is_on, is_described;
    uint8_t *copy; /* of a frame while it is given to the nic below */
    uint32_t copy_size;
    char name[NAME_SIZE_MAX + 1];
};

/* A block being made. */
struct block {
    uint8_t bytes[BLOCK_SIZE_MAX];
    uint32_t size;
};

static struct nic_pcap *pcap_of(struct nic *nic)
{
    return (struct nic_pcap *)(void *)nic;
}

static void add(struct block *block, const void *bytes, uint32_t size)
{
    memcpy(block->bytes + block->size, bytes, size);
    memset(block->bytes + block->size + size, 0, -size & 3);
    block->size += (size + 3) & ~3U;
}

static void add32(struct block *block, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};

    add(block, bytes, sizeof(bytes));
}

/* Two numbers of 16 bits, in their order. */
static void add16s(struct block *block, uint32_t first, uint32_t second)
{
    add32(block, first | second << 16);
}

static void add_option(struct block *block, uint32_t code, const void *bytes, uint32_t size)
{
    add16s(block, code, size);
    add(block, bytes, size);
}

/* Ends a block of `size` bytes in all, of which the last four are the size again, and writes it. */
static void write_block(struct nic_pcap *pcap, struct block *block, uint32_t size)
{
    add32(block, size);
    pcap->sink->write(pcap->sink->context, block->bytes, block->size);
}

static void write_section(struct nic_pcap *pcap)
{
    struct block block = {.size = 0};

    add32(&block, BLOCK_SECTION);
    add32(&block, 28);
    add32(&block, 0x1a2b3c4d); /* tells the byte order */
    add16s(&block, 1, 0);      /* version 1.0 */
    add32(&block, 0xffffffff); /* length of the section: not told */
    add32(&block, 0xffffffff);
    write_block(pcap, &block, 28);
}

static void write_interface(struct nic_pcap *pcap)
{
    static const uint8_t resolution = RESOLUTION_NS;
    struct block block = {.size = 0};
    uint32_t name_size = (uint32_t)strlen(pcap->name);
    uint32_t size = 20 + 4 + ((name_size + 3) & ~3U) + 8 + 4;

    add32(&block, BLOCK_INTERFACE);
    add32(&block, size);
    add16s(&block, LINKTYPE_ETHERNET, 0);
    add32(&block, pcap->size_max);
    add_option(&block, OPTION_IF_NAME, pcap->name, name_size);
    add_option(&block, OPTION_IF_TSRESOL, &resolution, 1);
    add16s(&block, OPTION_END, 0);
    write_block(pcap, &block, size);
}

static void describe(struct nic_pcap *pcap)
{
    if (!pcap->sink->has_begun)
        write_section(pcap);
    pcap->sink->has_begun = true;
    write_interface(pcap);
    pcap->interface = pcap->sink->interface_count++;
    pcap->is_described = true;
}

/* Bytes that are kept of a frame. */
static uint32_t kept_of(const struct nic_pcap *pcap, uint32_t frame_size)
{
    uint32_t kept = frame_size < pcap->copy_size ? frame_size : pcap->copy_size;

    return pcap->size_max != 0 && kept > pcap->size_max ? pcap->size_max : kept;
}

static void show(struct nic_pcap *pcap, const uint8_t *bytes, uint32_t frame_size, uint64_t time_ns, uint32_t direction)
{
    uint32_t kept = kept_of(pcap, frame_size);
    uint32_t size = 28 + ((kept + 3) & ~3U) + 8 + 4 + 4;
    struct block block = {.size = 0};
    uint8_t padding[4] = {0};

    if (!pcap->is_described)
        describe(pcap);
    time_ns += pcap->offset_ns;
    add32(&block, BLOCK_PACKET);
    add32(&block, size);
    add32(&block, pcap->interface);
    add32(&block, (uint32_t)(time_ns >> 32));
    add32(&block, (uint32_t)time_ns);
    add32(&block, kept);
    add32(&block, frame_size);
    pcap->sink->write(pcap->sink->context, block.bytes, block.size);
    pcap->sink->write(pcap->sink->context, bytes, kept);
    if ((kept & 3) != 0)
        pcap->sink->write(pcap->sink->context, padding, -kept & 3);
    block.size = 0;
    add16s(&block, OPTION_EPB_FLAGS, 4);
    add32(&block, direction);
    add16s(&block, OPTION_END, 0);
    write_block(pcap, &block, size);
}

/* ---- a nic ---- */

static int pcap_rx(struct nic *nic, struct frame **frames, int max)
{
    struct nic_pcap *pcap = pcap_of(nic);
    int count = pcap->below->ops->rx(pcap->below, frames, max);

    for (int i = 0; i < count && pcap->is_on; i++) {
        uint64_t time_ns = frames[i]->time_ns != 0 ? frames[i]->time_ns : pcap->now_ns;

        show(pcap, frames[i]->data, frames[i]->size, time_ns, DIRECTION_IN);
    }
    return count;
}

/* One by one, by way of a copy: a frame that was taken cannot be looked at any more, one that was not must not be
 * shown. */
static int pcap_tx(struct nic *nic, struct frame **frames, int count)
{
    struct nic_pcap *pcap = pcap_of(nic);

    if (!pcap->is_on)
        return pcap->below->ops->tx(pcap->below, frames, count);
    for (int i = 0; i < count; i++) {
        uint32_t size = frames[i]->size;

        memcpy(pcap->copy, frames[i]->data, kept_of(pcap, size));
        if (pcap->below->ops->tx(pcap->below, &frames[i], 1) != 1)
            return i;
        show(pcap, pcap->copy, size, pcap->now_ns, DIRECTION_OUT);
    }
    return count;
}

static struct frame *pcap_alloc(struct nic *nic)
{
    return frame_alloc(pcap_of(nic)->below);
}

static void pcap_free(struct nic *nic, struct frame *frame)
{
    (void)nic; /* frames are the nic's below, whose free is called: this one never is */
    frame_free(frame);
}

static void pcap_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct nic_pcap *pcap = (const struct nic_pcap *)(const void *)nic;

    pcap->below->ops->caps(pcap->below, out);
}

static void pcap_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct nic *below = pcap_of(nic)->below;

    below->ops->filter(below, macs, count);
}

static const struct nic_ops pcap_ops = {pcap_rx, pcap_tx, pcap_alloc, pcap_free, pcap_caps, pcap_filter};

/* ---- made and ended ---- */

int pal__n_pcap_create(const struct pcap_config *config, struct nic *below, struct nic_pcap **out)
{
    const struct pal_allocator *allocator = config->allocator;
    struct nic_pcap *pcap = allocator->alloc(allocator->context, sizeof(*pcap), 8);
    struct nic_caps caps;

    if (pcap == NULL)
        return PAL_ENOMEM;
    below->ops->caps(below, &caps);
    memset(pcap, 0, sizeof(*pcap));
    pcap->copy_size = FRAME_HEADROOM + (caps.segments_room > caps.frame_room ? caps.segments_room : caps.frame_room);
    pcap->copy = allocator->alloc(allocator->context, pcap->copy_size, 8);
    if (pcap->copy == NULL) {
        allocator->free(allocator->context, pcap, sizeof(*pcap));
        return PAL_ENOMEM;
    }
    pcap->nic.ops = &pcap_ops;
    pcap->below = below;
    pcap->allocator = *allocator;
    pcap->sink = config->sink;
    pcap->offset_ns = config->offset_ns;
    pcap->size_max = config->size_max;
    pcap->is_on = !config->is_off;
    for (size_t i = 0; i < NAME_SIZE_MAX && config->name != NULL && config->name[i] != '\0'; i++)
        pcap->name[i] = config->name[i];
    *out = pcap;
    return 0;
}

void pal__n_pcap_destroy(struct nic_pcap *pcap)
{
    struct pal_allocator allocator = pcap->allocator;

    allocator.free(allocator.context, pcap->copy, pcap->copy_size);
    allocator.free(allocator.context, pcap, sizeof(*pcap));
}

struct nic *pal__n_pcap_nic(struct nic_pcap *pcap)
{
    return &pcap->nic;
}

void pal__n_pcap_set_time(struct nic_pcap *pcap, uint64_t now_ns)
{
    pcap->now_ns = now_ns;
}

void pal__n_pcap_switch(struct nic_pcap *pcap, bool on)
{
    pcap->is_on = on;
}
