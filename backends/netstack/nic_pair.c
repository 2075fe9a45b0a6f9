/* nic_pair.c: two nics joined by a wire in memory.
 *
 * A frame stays its sender's memory until it is received: then it is copied into a frame of the receiver, as a card
 * would, and is free again. So each pool sees only its own stack. */
#include "nic_pair.h"

#include "checksum.h"
#include "nic_frames.h"
#include "wire.h"
#include <palio/base/container.h>
#include <string.h>

enum { MTU_DEFAULT = 1500, FRAMES_DEFAULT = 1024, RING_DEFAULT = 256, FILTER_MAX = 256 };
enum { LARGE_DEFAULT = 64, LARGE_ROOM = 16384 - FRAME_HEADROOM };
enum { CUTS = NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6 };

struct flight {
    struct frame *frame;
    uint64_t due_ns;
};

struct end {
    struct nic nic;
    struct nic segments; /* gives the large frames */
    struct nic_pair *pair;
    struct end *peer;
    struct pair_end config;
    struct nic_frames frames, large;
    struct flight *ring; /* what this end has sent, oldest first, from `first` on */
    uint32_t first, count;
    uint64_t busy_ns;     /* until then it is putting bits on the wire */
    uint64_t last_due_ns; /* nothing overtakes */
    uint8_t filter[FILTER_MAX][MAC_SIZE];
    uint32_t filter_count;
    bool hears_all; /* more groups than the filter has room for */
    struct pair_counts counts;
};

struct nic_pair {
    struct pal_allocator allocator;
    struct end ends[2];
    uint64_t now_ns;
    bool is_down;
};

static struct end *end_of(struct nic *nic)
{
    return (struct end *)(void *)nic;
}

/* ---- checksums, as a card computes them ---- */

static void finish_checksum(struct frame *frame)
{
    uint64_t sum;
    uint16_t value;

    BASE_ASSERT(frame->csum_start + frame->csum_offset + 2U <= frame->size);
    sum = pal__n_checksum_add(0, frame->data + frame->csum_start, frame->size - frame->csum_start);
    value = checksum_finish(sum);
    if (value == 0 && frame->csum_offset == UDP_CHECKSUM)
        value = 0xffff; /* zero would say that there is none (RFC 768) */
    put16(frame->data + frame->csum_start + frame->csum_offset, value);
    frame->flags &= (uint16_t)~FRAME_CSUM_NEEDED;
}

/* Of the transport at `at`: FRAME_CSUM_*, or 0 if a card would not know. */
static uint16_t transport_verdict(const struct ip *src, const struct ip *dst, uint8_t protocol, const uint8_t *at,
                                  uint32_t size)
{
    uint64_t sum;

    if (protocol == PAL_IPPROTO_UDP) {
        if (size < UDP_SIZE || get16(at + UDP_LENGTH) < UDP_SIZE || get16(at + UDP_LENGTH) > size ||
            get16(at + UDP_CHECKSUM) == 0)
            return 0;
        size = get16(at + UDP_LENGTH);
    } else if (protocol != PAL_IPPROTO_TCP || size < TCP_SIZE) {
        return 0;
    }
    sum = pal__n_checksum_add(pal__n_checksum_pseudo(src, dst, protocol, size), at, size);
    return pal__n_checksum_fold(sum) == 0xffff ? FRAME_CSUM_GOOD : FRAME_CSUM_BAD;
}

static uint16_t verdict4(const uint8_t *at, uint32_t size)
{
    uint32_t header, total;
    struct ip src, dst;

    if (size < IP4_SIZE || at[IP4_VERSION_LENGTH] >> 4 != 4)
        return 0;
    header = (at[IP4_VERSION_LENGTH] & 15) * 4U;
    total = get16(at + IP4_TOTAL);
    if (header < IP4_SIZE || header > total || total > size)
        return 0;
    if (pal__n_checksum_fold(pal__n_checksum_add(0, at, header)) != 0xffff)
        return FRAME_CSUM_BAD;
    if ((get16(at + IP4_FRAGMENT) & (IP4_MF | IP4_OFFSET_MASK)) != 0)
        return 0;
    src = ip_of_v4(at + IP4_SRC);
    dst = ip_of_v4(at + IP4_DST);
    return transport_verdict(&src, &dst, at[IP4_PROTOCOL], at + header, total - header);
}

static uint16_t verdict6(const uint8_t *at, uint32_t size)
{
    struct ip src, dst;

    if (size < IP6_SIZE || at[IP6_VERSION] >> 4 != 6 || get16(at + IP6_PAYLOAD) > size - IP6_SIZE)
        return 0;
    src = ip_of_v6(at + IP6_SRC);
    dst = ip_of_v6(at + IP6_DST);
    return transport_verdict(&src, &dst, at[IP6_NEXT], at + IP6_SIZE, get16(at + IP6_PAYLOAD));
}

static uint16_t checksum_verdict(const struct frame *frame)
{
    if (frame->size < ETH_SIZE)
        return 0;
    switch (get16(frame->data + ETH_TYPE)) {
    case ETH_P_IP4:
        return verdict4(frame->data + ETH_SIZE, frame->size - ETH_SIZE);
    case ETH_P_IP6:
        return verdict6(frame->data + ETH_SIZE, frame->size - ETH_SIZE);
    default:
        return 0;
    }
}

/* ---- sending ---- */

static void pad(struct frame *frame)
{
    if (frame->size >= ETH_FRAME_MIN || frame_tailroom(frame) < ETH_FRAME_MIN - frame->size)
        return;
    memset(frame->data + frame->size, 0, ETH_FRAME_MIN - frame->size);
    frame->size = ETH_FRAME_MIN;
}

/* When the frame will be at the other end. */
static uint64_t due_of(struct end *end, const struct frame *frame)
{
    uint64_t start_ns = end->pair->now_ns > end->busy_ns ? end->pair->now_ns : end->busy_ns;
    uint64_t due_ns;

    end->busy_ns = start_ns;
    if (end->config.rate_bps != 0)
        end->busy_ns += (uint64_t)frame->size * 8 * 1000000000 / end->config.rate_bps;
    due_ns = end->busy_ns + end->config.delay_ns;
    if (due_ns < end->last_due_ns)
        due_ns = end->last_due_ns;
    end->last_due_ns = due_ns;
    return due_ns;
}

/* Another nic's frame may outlive neither that nic nor its stack, so it does not stay under way: NULL, and it is the
 * caller's still, if there is no frame to copy it into. */
static struct frame *make_own(struct end *end, struct frame *frame)
{
    struct frame *own;

    if (frame->home == &end->nic)
        return frame;
    own = frame->size > end->frames.room ? NULL : pal__n_frames_alloc(&end->frames);
    if (own == NULL)
        return NULL;
    memcpy(own->data, frame->data, frame->size);
    own->size = frame->size;
    own->flags = frame->flags;
    own->csum_start = frame->csum_start;
    own->csum_offset = frame->csum_offset;
    frame_free(frame);
    return own;
}

/* Puts a frame of this end's on the wire, where there is room for it. */
static void launch(struct end *end, struct frame *frame)
{
    struct flight *flight;

    if (frame->flags & FRAME_CSUM_NEEDED)
        finish_checksum(frame);
    if (end->config.flags & NIC_PADS)
        pad(frame);
    flight = &end->ring[(end->first + end->count++) % end->config.ring];
    flight->frame = frame;
    flight->due_ns = due_of(end, frame);
    end->counts.sent++;
}

/* Cuts it and sends all pieces, or none: false, there is no room. */
static bool launch_pieces(struct end *end, struct frame *frame)
{
    uint32_t pieces = pal__n_frames_pieces(frame);

    BASE_ASSERT((end->config.flags & CUTS) != 0 && pieces > 0 && (frame->flags & FRAME_CSUM_NEEDED) != 0);
    if (pieces > end->config.ring - end->count || pieces > pool_room(&end->frames.pool))
        return false;
    for (uint32_t i = 0; i < pieces; i++) {
        struct frame *piece = pal__n_frames_piece(&end->frames, frame, i);

        BASE_ASSERT(piece != NULL); /* or it is larger than the mtu */
        launch(end, piece);
    }
    frame_free(frame);
    return true;
}

static int pair_tx(struct nic *nic, struct frame **frames, int count)
{
    struct end *end = end_of(nic);
    int i;

    for (i = 0; i < count; i++) {
        struct frame *frame = frames[i];

        BASE_ASSERT((frame->flags & FRAME_CSUM_NEEDED) == 0 || (end->config.flags & NIC_TX_CHECKSUM) != 0);
        if (end->pair->is_down) {
            end->counts.link_down++;
            frame_free(frame);
            continue;
        }
        if (frame->flags & FRAME_SEGMENTS) {
            if (!launch_pieces(end, frame))
                break;
            continue;
        }
        if (end->count == end->config.ring || (frame = make_own(end, frame)) == NULL)
            break;
        launch(end, frame);
    }
    end->counts.tx_full += i < count;
    return i;
}

/* ---- receiving ---- */

static bool hears(const struct end *end, const uint8_t *mac)
{
    static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!end->config.use_filter || end->hears_all || (mac[0] & 1) == 0 || memcmp(mac, broadcast, MAC_SIZE) == 0)
        return true;
    for (uint32_t i = 0; i < end->filter_count; i++)
        if (memcmp(end->filter[i], mac, MAC_SIZE) == 0)
            return true;
    return false;
}

/* The receiver's copy, or NULL: it is not received. */
static struct frame *take_in(struct end *end, const struct frame *sent, uint64_t due_ns)
{
    struct frame *frame;

    if (sent->size >= MAC_SIZE && !hears(end, sent->data)) {
        end->counts.rx_filtered++;
        return NULL;
    }
    if (sent->size > end->config.mtu + ETH_SIZE + ETH_VLAN_SIZE) {
        end->counts.rx_large++;
        return NULL;
    }
    frame = pal__n_frames_alloc(&end->frames);
    if (frame == NULL) {
        end->counts.rx_none++;
        return NULL;
    }
    memcpy(frame->data, sent->data, sent->size);
    frame->size = sent->size;
    frame->time_ns = due_ns;
    if (end->config.flags & NIC_RX_CHECKSUM)
        frame->flags = checksum_verdict(frame);
    end->counts.received++;
    return frame;
}

static int pair_rx(struct nic *nic, struct frame **frames, int max)
{
    struct end *end = end_of(nic), *peer = end->peer;
    int count = 0;

    while (count < max && peer->count > 0 && peer->ring[peer->first].due_ns <= end->pair->now_ns) {
        struct flight flight = peer->ring[peer->first];

        peer->first = (peer->first + 1) % peer->config.ring;
        peer->count--;
        frames[count] = take_in(end, flight.frame, flight.due_ns);
        count += frames[count] != NULL;
        frame_free(flight.frame);
    }
    return count;
}

/* ---- the rest of a nic ---- */

static struct frame *pair_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&end_of(nic)->frames);
}

static struct frame *segments_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&BASE_CONTAINER_OF(nic, struct end, segments)->large);
}

static void pair_free(struct nic *nic, struct frame *frame)
{
    struct end *end = end_of(nic);
    bool is_large = frame->memory_size > FRAME_HEADROOM + end->frames.room && end->large.pool.count > 0;

    pal__n_frames_free(is_large ? &end->large : &end->frames, frame);
}

static void pair_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct end *end = (const struct end *)(const void *)nic;

    memset(out, 0, sizeof(*out));
    out->flags = end->config.flags | (end->pair->is_down ? (uint32_t)NIC_LINK_DOWN : 0);
    out->mtu = end->config.mtu;
    out->frame_room = end->frames.room;
    if (end->config.flags & CUTS) {
        out->segments = &((struct end *)(uintptr_t)end)->segments;
        out->segments_room = end->large.room;
    }
    memcpy(out->mac, end->config.mac, MAC_SIZE);
}

static void pair_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct end *end = end_of(nic);

    end->hears_all = count < 0 || count > FILTER_MAX || (count > 0 && macs == NULL);
    end->filter_count = end->hears_all ? 0 : (uint32_t)count;
    if (end->filter_count > 0)
        memcpy(end->filter, macs, (size_t)end->filter_count * MAC_SIZE);
}

static const struct nic_ops pair_ops = {pair_rx, pair_tx, pair_alloc, pair_free, pair_caps, pair_filter};
static const struct nic_ops segments_ops = {.alloc = segments_alloc};

/* ---- made and ended ---- */

static void set_defaults(struct pair_end *config, int index)
{
    static const uint8_t none[MAC_SIZE];

    if (config->mtu == 0)
        config->mtu = MTU_DEFAULT;
    if (config->frames == 0)
        config->frames = FRAMES_DEFAULT;
    if (config->ring == 0)
        config->ring = RING_DEFAULT;
    config->flags &= NIC_TX_CHECKSUM | NIC_RX_CHECKSUM | NIC_PADS | CUTS;
    if (config->large == 0 && config->flags & CUTS)
        config->large = LARGE_DEFAULT;
    if (memcmp(config->mac, none, MAC_SIZE) == 0) {
        config->mac[0] = 2;
        config->mac[MAC_SIZE - 1] = (uint8_t)(index + 1);
    }
}

static bool create_end(struct nic_pair *pair, int index, const struct pair_end *config)
{
    struct end *end = &pair->ends[index];

    end->nic.ops = &pair_ops;
    end->pair = pair;
    end->peer = &pair->ends[1 - index];
    end->config = *config;
    set_defaults(&end->config, index);
    end->ring = pair->allocator.alloc(pair->allocator.context, end->config.ring * sizeof(*end->ring), 8);
    end->segments.ops = &segments_ops;
    if (end->ring == NULL || !pal__n_frames_create(&end->frames, &pair->allocator, &end->nic, end->config.frames,
                                                   end->config.mtu + ETH_SIZE + ETH_VLAN_SIZE))
        return false;
    return end->config.large == 0 ||
           pal__n_frames_create(&end->large, &pair->allocator, &end->nic, end->config.large, LARGE_ROOM);
}

int pal__n_pair_create(const struct pair_config *config, struct nic_pair **out)
{
    const struct pal_allocator *allocator = config->allocator;
    struct nic_pair *pair = allocator->alloc(allocator->context, sizeof(*pair), 64);

    if (pair == NULL)
        return PAL_ENOMEM;
    memset(pair, 0, sizeof(*pair));
    pair->allocator = *allocator;
    if (!create_end(pair, 0, &config->ends[0]) || !create_end(pair, 1, &config->ends[1])) {
        pal__n_pair_destroy(pair);
        return PAL_ENOMEM;
    }
    *out = pair;
    return 0;
}

static void destroy_end(struct end *end)
{
    const struct pal_allocator *allocator = &end->pair->allocator;

    if (end->frames.pool.memory != NULL)
        pal__n_frames_destroy(&end->frames, allocator);
    if (end->large.pool.memory != NULL)
        pal__n_frames_destroy(&end->large, allocator);
    if (end->ring != NULL)
        allocator->free(allocator->context, end->ring, end->config.ring * sizeof(*end->ring));
}

static void lose_flights(struct end *end)
{
    for (; end->count > 0; end->count--) {
        frame_free(end->ring[end->first].frame);
        end->first = (end->first + 1) % end->config.ring;
        end->counts.link_down++;
    }
}

void pal__n_pair_destroy(struct nic_pair *pair)
{
    struct pal_allocator allocator = pair->allocator;

    for (int i = 0; i < 2; i++)
        if (pair->ends[i].pair != NULL)
            lose_flights(&pair->ends[i]);
    for (int i = 0; i < 2; i++)
        if (pair->ends[i].pair != NULL)
            destroy_end(&pair->ends[i]);
    allocator.free(allocator.context, pair, sizeof(*pair));
}

struct nic *pal__n_pair_nic(struct nic_pair *pair, int end)
{
    return &pair->ends[end].nic;
}

void pal__n_pair_set_time(struct nic_pair *pair, uint64_t now_ns)
{
    BASE_ASSERT(now_ns >= pair->now_ns);
    pair->now_ns = now_ns;
}

uint64_t pal__n_pair_next(const struct nic_pair *pair)
{
    uint64_t next_ns = UINT64_MAX;

    for (int i = 0; i < 2; i++) {
        const struct end *end = &pair->ends[i];

        if (end->count > 0 && end->ring[end->first].due_ns < next_ns)
            next_ns = end->ring[end->first].due_ns;
    }
    return next_ns;
}

void pal__n_pair_set_path(struct nic_pair *pair, int end, uint64_t delay_ns, uint64_t rate_bps)
{
    pair->ends[end].config.delay_ns = delay_ns;
    pair->ends[end].config.rate_bps = rate_bps;
}

void pal__n_pair_set_link(struct nic_pair *pair, bool up)
{
    pair->is_down = !up;
    for (int i = 0; i < 2 && !up; i++)
        lose_flights(&pair->ends[i]);
}

bool pal__n_pair_hears(const struct nic_pair *pair, int end, const uint8_t mac[MAC_SIZE])
{
    return hears(&pair->ends[end], mac);
}

uint32_t pal__n_pair_used(const struct nic_pair *pair, int end)
{
    return pair->ends[end].frames.pool.used + pair->ends[end].large.pool.used;
}

const struct pair_counts *pal__n_pair_counts(const struct nic_pair *pair, int end)
{
    return &pair->ends[end].counts;
}
