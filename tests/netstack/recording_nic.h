/* tests/netstack/recording_nic.h: a nic that keeps what it is given and delivers what a test puts in: a wire with
 * nobody at the other end. */
#ifndef TESTS_NETSTACK_RECORDING_NIC_H
#define TESTS_NETSTACK_RECORDING_NIC_H

#include "../../backends/netstack/nic_frames.h"
#include "../../backends/netstack/stack.h"
#include "../../backends/netstack/wire.h"
#include "support/test.h"

enum { RECORD_MAX = 128, RECORD_BYTES = 1600, RECORDER_FRAMES = 512, INBOX_MAX = 64 };

struct record {
    uint64_t time_ns;
    uint32_t size;
    uint8_t bytes[RECORD_BYTES];
};

struct recorder {
    struct nic nic;
    struct nic_frames frames;
    struct nic_caps caps;
    const struct pal_allocator *allocator;
    struct netstack *stack; /* whose time it writes down */
    struct record records[RECORD_MAX];
    uint32_t count; /* sent, also beyond RECORD_MAX */
    uint32_t room;  /* frames that tx still takes */
    struct frame *inbox[INBOX_MAX];
    int inbox_count;
    uint8_t filter[64][MAC_SIZE];
    int filter_count; /* -1: all */
};

static struct recorder *recorder_of(const struct nic *nic)
{
    return (struct recorder *)(uintptr_t)nic;
}

static int recorder_rx(struct nic *nic, struct frame **frames, int max)
{
    struct recorder *recorder = recorder_of(nic);
    int received = recorder->inbox_count < max ? recorder->inbox_count : max;

    memcpy(frames, recorder->inbox, (size_t)received * sizeof(frames[0]));
    recorder->inbox_count -= received;
    memmove(recorder->inbox, recorder->inbox + received, (size_t)recorder->inbox_count * sizeof(frames[0]));
    return received;
}

static int recorder_tx(struct nic *nic, struct frame **frames, int given)
{
    struct recorder *recorder = recorder_of(nic);
    int taken = 0;

    for (; taken < given && recorder->room > 0; taken++, recorder->room--) {
        if (recorder->count < RECORD_MAX) {
            struct record *record = &recorder->records[recorder->count];

            cr_assert_leq(frames[taken]->size, RECORD_BYTES);
            record->time_ns = recorder->stack->now_ns;
            record->size = frames[taken]->size;
            memcpy(record->bytes, frames[taken]->data, record->size);
        }
        recorder->count++;
        frame_free(frames[taken]);
    }
    return taken;
}

static struct frame *recorder_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&recorder_of(nic)->frames);
}

static void recorder_free(struct nic *nic, struct frame *frame)
{
    pal__n_frames_free(&recorder_of(nic)->frames, frame);
}

static void recorder_caps(const struct nic *nic, struct nic_caps *out)
{
    *out = recorder_of(nic)->caps;
}

static void recorder_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int macs_count)
{
    struct recorder *recorder = recorder_of(nic);

    recorder->filter_count = macs_count;
    for (int i = 0; i < macs_count && i < 64; i++)
        memcpy(recorder->filter[i], macs[i], MAC_SIZE);
}

/* mac: the last byte of 02:00:00:00:00:xx. An mtu below 1280 keeps IPv6 quiet. */
static inline void recorder_init(struct recorder *recorder, const struct pal_allocator *allocator, uint32_t mtu,
                                 uint8_t mac)
{
    static const struct nic_ops ops = {recorder_rx,   recorder_tx,   recorder_alloc,
                                       recorder_free, recorder_caps, recorder_filter};

    memset(recorder, 0, sizeof(*recorder));
    recorder->nic.ops = &ops;
    recorder->allocator = allocator;
    recorder->caps.mtu = mtu;
    recorder->caps.frame_room = mtu + 18;
    recorder->caps.mac[0] = 2;
    recorder->caps.mac[5] = mac;
    recorder->room = UINT32_MAX;
    cr_assert(
        pal__n_frames_create(&recorder->frames, allocator, &recorder->nic, RECORDER_FRAMES, recorder->caps.frame_room));
}

/* Every frame must have come home. */
static inline void recorder_end(struct recorder *recorder)
{
    cr_assert_eq(recorder->inbox_count, 0);
    cr_assert_eq(recorder->frames.pool.used, 0);
    pal__n_frames_destroy(&recorder->frames, recorder->allocator);
}

/* A frame that the stack receives with the next turn. */
static inline void recorder_deliver(struct recorder *recorder, const void *bytes, uint32_t size)
{
    struct frame *frame = pal__n_frames_alloc(&recorder->frames);

    cr_assert_not_null(frame);
    cr_assert_lt(recorder->inbox_count, INBOX_MAX);
    memcpy(frame->data, bytes, size);
    frame->size = size;
    recorder->inbox[recorder->inbox_count++] = frame;
}

static inline const uint8_t *recorder_last(const struct recorder *recorder)
{
    cr_assert_gt(recorder->count, 0);
    cr_assert_leq(recorder->count, RECORD_MAX);
    return recorder->records[recorder->count - 1].bytes;
}

static inline uint16_t record_type(const struct record *record)
{
    return get16(record->bytes + ETH_TYPE);
}

/* How many of that type were sent. */
static inline uint32_t recorder_count(const struct recorder *recorder, uint16_t type)
{
    uint32_t found = 0;

    cr_assert_leq(recorder->count, RECORD_MAX);
    for (uint32_t i = 0; i < recorder->count; i++)
        found += record_type(&recorder->records[i]) == type;
    return found;
}

/* The index-th of that type. */
static inline const struct record *recorder_find(const struct recorder *recorder, uint16_t type, uint32_t index)
{
    for (uint32_t i = 0; i < recorder->count && i < RECORD_MAX; i++) {
        if (record_type(&recorder->records[i]) == type && index-- == 0)
            return &recorder->records[i];
    }
    cr_assert_fail("no such frame");
    return NULL;
}

#endif
