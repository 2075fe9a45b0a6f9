/* tests/netstack/test_nics.c: the nics in memory: the pair of wires, and what injects faults and writes captures. */
#include "../../backends/netstack/checksum.h"
#include "../../backends/netstack/nic_faults.h"
#include "../../backends/netstack/nic_pair.h"
#include "../../backends/netstack/nic_pcap.h"
#include "../../backends/netstack/wire.h"
#include "counting_allocator.h"
#include "support/test.h"

enum { CAPTURE_MAX = 65536, MS = 1000000 };

static struct counting memory;
static struct nic_pair *pair;
static uint8_t capture[CAPTURE_MAX];
static size_t capture_size;

static void begin(const struct pair_end *ends)
{
    struct pair_config config;

    counting_init(&memory);
    memset(&config, 0, sizeof(config));
    config.allocator = &memory.allocator;
    for (int i = 0; i < 2 && ends != NULL; i++)
        config.ends[i] = ends[i];
    cr_assert_eq(pal__n_pair_create(&config, &pair), 0);
}

static void end(void)
{
    cr_assert_eq(pal__n_pair_used(pair, 0), 0);
    cr_assert_eq(pal__n_pair_used(pair, 1), 0);
    pal__n_pair_destroy(pair);
    cr_assert_eq(memory.blocks, 0);
    cr_assert_eq(memory.bytes, 0);
}

static struct frame *frame_of(struct nic *nic, uint32_t size, uint8_t fill)
{
    struct frame *frame = frame_alloc(nic);

    cr_assert_not_null(frame);
    memset(frame->data, fill, size);
    if (size >= ETH_SIZE) {
        frame->data[0] = 2;
        put16(frame->data + ETH_TYPE, ETH_P_IP4);
    }
    frame->size = size;
    return frame;
}

static int send(struct nic *nic, uint32_t size, uint8_t fill)
{
    struct frame *frame = frame_of(nic, size, fill);
    int taken = nic->ops->tx(nic, &frame, 1);

    if (taken == 0)
        frame_free(frame);
    return taken;
}

/* Receives one: its last byte, or -1. */
static int receive(struct nic *nic, uint32_t *size)
{
    struct frame *frame;
    int fill;

    if (nic->ops->rx(nic, &frame, 1) != 1)
        return -1;
    fill = frame->data[frame->size - 1];
    if (size != NULL)
        *size = frame->size;
    frame_free(frame);
    return fill;
}

static struct nic *nic_of(int index)
{
    return pal__n_pair_nic(pair, index);
}

Test(nic_pair, carries_frames_both_ways_in_order)
{
    uint32_t size = 0;

    begin(NULL);
    for (uint8_t i = 1; i <= 3; i++) {
        cr_assert_eq(send(nic_of(0), 100U * i, i), 1);
        cr_assert_eq(send(nic_of(1), 60, (uint8_t)(i + 10)), 1);
    }
    for (int i = 1; i <= 3; i++) {
        cr_assert_eq(receive(nic_of(1), &size), i);
        cr_assert_eq(size, 100U * (uint32_t)i);
        cr_assert_eq(receive(nic_of(0), NULL), i + 10);
    }
    cr_assert_eq(receive(nic_of(0), NULL), -1);
    cr_assert_eq(pal__n_pair_next(pair), UINT64_MAX);
    end();
}

Test(nic_pair, a_full_ring_takes_no_more_and_leaves_the_frame_to_the_caller)
{
    struct pair_end ends[2] = {{.ring = 2}, {.ring = 2}};

    begin(ends);
    cr_assert_eq(send(nic_of(0), 60, 1), 1);
    cr_assert_eq(send(nic_of(0), 60, 2), 1);
    cr_assert_eq(send(nic_of(0), 60, 3), 0);
    cr_assert_eq(pal__n_pair_counts(pair, 0)->tx_full, 1);
    cr_assert_eq(receive(nic_of(1), NULL), 1);
    cr_assert_eq(send(nic_of(0), 60, 4), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 2);
    cr_assert_eq(receive(nic_of(1), NULL), 4);
    end();
}

Test(nic_pair, a_receiver_without_frames_loses_what_comes)
{
    struct pair_end ends[2] = {{0}, {.frames = 1}};
    struct frame *held;

    begin(ends);
    held = frame_alloc(nic_of(1));
    cr_assert_null(frame_alloc(nic_of(1)));
    cr_assert_eq(send(nic_of(0), 60, 1), 1);
    cr_assert_eq(receive(nic_of(1), NULL), -1);
    cr_assert_eq(pal__n_pair_counts(pair, 1)->rx_none, 1);
    frame_free(held);
    end();
}

Test(nic_pair, a_frame_larger_than_the_receivers_mtu_is_lost)
{
    struct pair_end ends[2] = {{.mtu = 9000}, {.mtu = 1500}};

    begin(ends);
    cr_assert_eq(send(nic_of(0), 1518, 1), 1);
    cr_assert_eq(send(nic_of(0), 1519, 2), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 1);
    cr_assert_eq(receive(nic_of(1), NULL), -1);
    cr_assert_eq(pal__n_pair_counts(pair, 1)->rx_large, 1);
    end();
}

Test(nic_pair, delay_and_rate_say_when_a_frame_is_there)
{
    struct pair_end ends[2] = {{.delay_ns = 5 * MS, .rate_bps = 8000000}, {0}};
    struct frame *frame;

    begin(ends);
    pal__n_pair_set_time(pair, MS);
    cr_assert_eq(send(nic_of(0), 1000, 1), 1); /* a millisecond on the wire */
    cr_assert_eq(send(nic_of(0), 1000, 2), 1);
    cr_assert_eq(pal__n_pair_next(pair), 7 * MS);
    cr_assert_eq(receive(nic_of(1), NULL), -1);
    pal__n_pair_set_time(pair, 7 * MS);
    cr_assert_eq(nic_of(1)->ops->rx(nic_of(1), &frame, 1), 1);
    cr_assert_eq(frame->time_ns, 7 * MS);
    frame_free(frame);
    cr_assert_eq(receive(nic_of(1), NULL), -1);
    cr_assert_eq(pal__n_pair_next(pair), 8 * MS);
    pal__n_pair_set_path(pair, 0, 0, 0);
    cr_assert_eq(send(nic_of(0), 100, 3), 1); /* does not overtake */
    pal__n_pair_set_time(pair, 8 * MS);
    cr_assert_eq(receive(nic_of(1), NULL), 2);
    cr_assert_eq(receive(nic_of(1), NULL), 3);
    end();
}

Test(nic_pair, link_down_loses_what_is_under_way_and_is_told)
{
    struct nic_caps caps;

    begin(NULL);
    cr_assert_eq(send(nic_of(0), 60, 1), 1);
    pal__n_pair_set_link(pair, false);
    nic_of(0)->ops->caps(nic_of(0), &caps);
    cr_assert(caps.flags & NIC_LINK_DOWN);
    cr_assert_eq(send(nic_of(0), 60, 2), 1);
    cr_assert_eq(receive(nic_of(1), NULL), -1);
    cr_assert_eq(pal__n_pair_counts(pair, 0)->link_down, 2);
    pal__n_pair_set_link(pair, true);
    cr_assert_eq(send(nic_of(0), 60, 3), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 3);
    end();
}

Test(nic_pair, filter_keeps_groups_out_that_nobody_has_asked_for)
{
    static const uint8_t groups[2][MAC_SIZE] = {{1, 0, 0x5e, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 1}};
    struct pair_end ends[2] = {{0}, {.use_filter = true}};
    struct frame *frame;

    begin(ends);
    nic_of(1)->ops->filter(nic_of(1), groups, 1);
    for (int i = 0; i < 2; i++) {
        frame = frame_of(nic_of(0), 60, (uint8_t)(i + 1));
        memcpy(frame->data, groups[i], MAC_SIZE);
        cr_assert_eq(nic_of(0)->ops->tx(nic_of(0), &frame, 1), 1);
    }
    cr_assert_eq(send(nic_of(0), 60, 3), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 3);
    cr_assert_eq(pal__n_pair_counts(pair, 1)->rx_filtered, 1);
    cr_assert(pal__n_pair_hears(pair, 1, groups[0]) && !pal__n_pair_hears(pair, 1, groups[1]));
    end();
}

/* A UDP datagram of IPv4 with its checksums, the transport's left to the nic. */
static struct frame *datagram(struct nic *nic, uint32_t payload)
{
    struct frame *frame = frame_of(nic, ETH_SIZE + IP4_SIZE + UDP_SIZE + payload, 7);
    uint8_t *ip4 = frame->data + ETH_SIZE, *udp = ip4 + IP4_SIZE;
    struct ip src, dst;
    uint16_t sum;

    memset(ip4, 0, IP4_SIZE);
    ip4[IP4_VERSION_LENGTH] = 0x45;
    put16(ip4 + IP4_TOTAL, IP4_SIZE + UDP_SIZE + payload);
    ip4[IP4_TTL] = 64;
    ip4[IP4_PROTOCOL] = PAL_IPPROTO_UDP;
    put32(ip4 + IP4_SRC, 0x0a000001);
    put32(ip4 + IP4_DST, 0x0a000002);
    put16(ip4 + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, ip4, IP4_SIZE)));
    put16(udp + UDP_LENGTH, UDP_SIZE + payload);
    src = ip_of_v4(ip4 + IP4_SRC);
    dst = ip_of_v4(ip4 + IP4_DST);
    sum = pal__n_checksum_fold(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_UDP, UDP_SIZE + payload));
    put16(udp + UDP_CHECKSUM, sum);
    frame->flags = FRAME_CSUM_NEEDED;
    frame->csum_start = ETH_SIZE + IP4_SIZE;
    frame->csum_offset = UDP_CHECKSUM;
    return frame;
}

Test(nic_pair, computes_and_checks_checksums_as_it_is_told)
{
    struct pair_end ends[2] = {{.flags = NIC_TX_CHECKSUM | NIC_PADS}, {.flags = NIC_RX_CHECKSUM}};
    struct frame *frame;

    begin(ends);
    for (uint32_t payload = 0; payload < 40; payload++) {
        frame = datagram(nic_of(0), payload);
        cr_assert_eq(nic_of(0)->ops->tx(nic_of(0), &frame, 1), 1);
        cr_assert_eq(nic_of(1)->ops->rx(nic_of(1), &frame, 1), 1);
        cr_assert_eq(frame->flags, FRAME_CSUM_GOOD);
        cr_assert_geq(frame->size, ETH_FRAME_MIN);
        frame_free(frame);
        frame = datagram(nic_of(0), payload);
        frame->flags = 0;
        cr_assert_eq(nic_of(0)->ops->tx(nic_of(0), &frame, 1), 1);
        cr_assert_eq(nic_of(1)->ops->rx(nic_of(1), &frame, 1), 1);
        cr_assert_eq(frame->flags, FRAME_CSUM_BAD);
        frame_free(frame);
    }
    end();
}

/* ---- faults ---- */

static struct nic_faults *faults_with(const struct faults_rates *rates, uint64_t seed, uint32_t flags, int below)
{
    struct faults_config config = {.allocator = &memory.allocator, .seed = seed, .flags = flags, .rates = *rates};
    struct nic_faults *faults;

    cr_assert_eq(pal__n_faults_create(&config, nic_of(below), &faults), 0);
    return faults;
}

static void run_to(struct nic_faults *faults, uint64_t now_ns)
{
    pal__n_pair_set_time(pair, now_ns);
    pal__n_faults_set_time(faults, now_ns);
}

Test(nic_faults, without_rates_nothing_changes)
{
    struct faults_rates rates = {0};
    struct nic_faults *faults;

    begin(NULL);
    faults = faults_with(&rates, 1, 0, 1);
    for (uint8_t i = 0; i < 100; i++) {
        cr_assert_eq(send(nic_of(0), 60, i), 1);
        cr_assert_eq(receive(pal__n_faults_nic(faults), NULL), i);
    }
    cr_assert_eq(pal__n_faults_counts(faults)->passed, 100);
    cr_assert_eq(pal__n_faults_next(faults), UINT64_MAX);
    pal__n_faults_destroy(faults);
    end();
}

/* 1000 frames through; a sum over what came out of them. */
static uint64_t trace(const struct faults_rates *rates, uint64_t seed, uint32_t flags, struct faults_counts *counts)
{
    struct nic_faults *faults = faults_with(rates, seed, flags, flags & FAULTS_TRANSMIT ? 0 : 1);
    struct nic *from = flags & FAULTS_TRANSMIT ? pal__n_faults_nic(faults) : nic_of(0);
    struct nic *to = flags & FAULTS_TRANSMIT ? nic_of(1) : pal__n_faults_nic(faults);
    uint64_t hash = 14695981039346656037U;
    struct frame *frame;

    for (uint32_t i = 0; i < 1200; i++) {
        static uint64_t now_ns;

        run_to(faults, now_ns += MS);
        if (i < 1000)
            cr_assert_eq(send(from, 60 + i % 100, (uint8_t)i), 1);
        while (to->ops->rx(to, &frame, 1) == 1) {
            for (uint32_t at = 0; at < frame->size; at++)
                hash = (hash ^ frame->data[at]) * 1099511628211U;
            hash = (hash ^ i) * 1099511628211U;
            frame_free(frame);
        }
    }
    *counts = *pal__n_faults_counts(faults);
    cr_assert_eq(pal__n_faults_next(faults), UINT64_MAX);
    pal__n_faults_destroy(faults);
    return hash;
}

Test(nic_faults, everything_happens_as_often_as_asked_and_the_same_for_the_same_seed)
{
    struct faults_rates rates = {.loss_ppm = 100000,
                                 .duplicate_ppm = 100000,
                                 .reorder_ppm = 100000,
                                 .corrupt_ppm = 100000,
                                 .truncate_ppm = 100000,
                                 .reorder_ns = 10 * MS,
                                 .delay_ns = 20 * MS,
                                 .jitter_ns = 3 * MS};
    struct faults_counts counts, again;

    begin(NULL);
    for (uint32_t flags = 0; flags <= FAULTS_TRANSMIT; flags += FAULTS_TRANSMIT) {
        uint64_t hash = trace(&rates, 7, flags, &counts);

        cr_assert_eq(hash, trace(&rates, 7, flags, &again));
        cr_assert_neq(hash, trace(&rates, 8, flags, &again));
        cr_assert(counts.lost > 70 && counts.lost < 130, "%u", (unsigned)counts.lost);
        cr_assert(counts.duplicated > 60 && counts.duplicated < 130);
        cr_assert(counts.reordered > 60 && counts.reordered < 130);
        cr_assert(counts.corrupted > 60 && counts.corrupted < 130);
        cr_assert(counts.truncated > 60 && counts.truncated < 130);
        cr_assert_eq(counts.passed, 1000 - counts.lost + counts.duplicated);
    }
    end();
}

Test(nic_faults, jitter_alone_keeps_the_order)
{
    struct faults_rates rates = {.delay_ns = MS, .jitter_ns = 50 * MS};
    struct nic_faults *faults;
    uint64_t now_ns = 0;
    uint8_t next = 0;

    begin(NULL);
    faults = faults_with(&rates, 3, 0, 1);
    for (uint8_t i = 0; i < 200; i++)
        cr_assert_eq(send(nic_of(0), 60, i), 1);
    cr_assert_eq(receive(pal__n_faults_nic(faults), NULL), -1);
    while ((now_ns = pal__n_faults_next(faults)) != UINT64_MAX) {
        int fill;

        run_to(faults, now_ns);
        while ((fill = receive(pal__n_faults_nic(faults), NULL)) != -1)
            cr_assert_eq(fill, next++);
    }
    cr_assert_eq(next, 200);
    pal__n_faults_destroy(faults);
    end();
}

Test(nic_faults, a_rate_has_a_queue_that_is_bounded)
{
    struct faults_rates rates = {.rate_bps = 8000000, .queue_bytes = 10000};
    struct nic_faults *faults;

    begin(NULL);
    faults = faults_with(&rates, 3, 0, 1);
    for (uint8_t i = 0; i < 20; i++)
        cr_assert_eq(send(nic_of(0), 1000, i), 1);
    cr_assert_eq(receive(pal__n_faults_nic(faults), NULL), -1);
    cr_assert_eq(pal__n_faults_next(faults), MS);
    cr_assert_eq(pal__n_faults_counts(faults)->queue_full, 20 - 11);
    pal__n_faults_destroy(faults);
    end();
}

Test(nic_faults, nothing_gets_through_in_a_window)
{
    struct faults_rates rates = {.window_count = 1, .windows = {{5 * MS, 8 * MS}}};
    struct nic_faults *faults;

    begin(NULL);
    faults = faults_with(&rates, 3, 0, 1);
    for (int i = 0; i < 10; i++) {
        run_to(faults, (uint64_t)i * MS);
        cr_assert_eq(send(nic_of(0), 60, (uint8_t)i), 1);
        cr_assert_eq(receive(pal__n_faults_nic(faults), NULL), i >= 5 && i < 8 ? -1 : i);
    }
    cr_assert_eq(pal__n_faults_counts(faults)->partitioned, 3);
    pal__n_faults_destroy(faults);
    end();
}

Test(nic_faults, what_was_damaged_has_a_wrong_checksum)
{
    struct faults_rates rates = {.corrupt_ppm = FAULTS_ALL};
    struct pair_end ends[2] = {{.flags = NIC_TX_CHECKSUM}, {0}};
    struct nic_faults *faults;

    begin(ends);
    faults = faults_with(&rates, 11, 0, 1);
    for (int i = 0; i < 2000; i++) {
        struct frame *frame = datagram(nic_of(0), 32);
        struct nic *nic = pal__n_faults_nic(faults);
        struct ip src, dst;
        const uint8_t *ip4;
        uint64_t sum;

        cr_assert_eq(nic_of(0)->ops->tx(nic_of(0), &frame, 1), 1);
        cr_assert_eq(nic->ops->rx(nic, &frame, 1), 1);
        ip4 = frame->data + ETH_SIZE;
        src = ip_of_v4(ip4 + IP4_SRC);
        dst = ip_of_v4(ip4 + IP4_DST);
        sum = pal__n_checksum_add(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_UDP, 40), ip4 + IP4_SIZE, 40);
        cr_assert(pal__n_checksum_fold(pal__n_checksum_add(0, ip4, IP4_SIZE)) != 0xffff ||
                  pal__n_checksum_fold(sum) != 0xffff);
        frame_free(frame);
    }
    pal__n_faults_destroy(faults);
    end();
}

Test(nic_faults, frames_that_wait_are_given_back_at_the_end)
{
    struct faults_rates rates = {.delay_ns = MS};
    struct faults_config config = {.held_max = 4};
    struct nic_faults *faults;

    begin(NULL);
    config.allocator = &memory.allocator;
    config.rates = rates;
    cr_assert_eq(pal__n_faults_create(&config, nic_of(1), &faults), 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(send(nic_of(0), 60, 1), 1);
    cr_assert_eq(receive(pal__n_faults_nic(faults), NULL), -1);
    cr_assert_eq(pal__n_faults_counts(faults)->held_full, 6);
    cr_assert_eq(pal__n_pair_used(pair, 1), 4);
    pal__n_faults_destroy(faults);
    end();
}

/* ---- captures ---- */

static void keep(void *context, const void *bytes, size_t size)
{
    (void)context;
    cr_assert_leq(capture_size + size, CAPTURE_MAX);
    memcpy(capture + capture_size, bytes, size);
    capture_size += size;
}

static uint32_t little32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The next block of the capture: its type, its size checked at both ends. */
static uint32_t next_block(size_t *at, const uint8_t **block)
{
    uint32_t size;

    cr_assert_leq(*at + 12, capture_size);
    *block = capture + *at;
    size = little32(*block + 4);
    cr_assert_eq(size % 4, 0);
    cr_assert_leq(*at + size, capture_size);
    cr_assert_eq(little32(*block + size - 4), size);
    *at += size;
    return little32(*block);
}

Test(nic_pcap, writes_blocks_that_fit_each_other_while_it_is_on)
{
    struct pcap_sink sink = {.write = keep};
    struct pcap_config config = {.sink = &sink, .name = "first"};
    struct nic_pcap *pcaps[2];
    const uint8_t *block;
    size_t at = 0;

    begin(NULL);
    config.allocator = &memory.allocator;
    cr_assert_eq(pal__n_pcap_create(&config, nic_of(0), &pcaps[0]), 0);
    config.name = "the other";
    config.is_off = true;
    cr_assert_eq(pal__n_pcap_create(&config, nic_of(1), &pcaps[1]), 0);
    capture_size = 0;
    pal__n_pair_set_time(pair, 0x123456789a);
    pal__n_pcap_set_time(pcaps[0], 0x123456789a);
    cr_assert_eq(send(pal__n_pcap_nic(pcaps[0]), 61, 1), 1);
    cr_assert_eq(receive(pal__n_pcap_nic(pcaps[1]), NULL), 1); /* off */
    pal__n_pcap_switch(pcaps[1], true);
    cr_assert_eq(send(pal__n_pcap_nic(pcaps[0]), 64, 2), 1);
    cr_assert_eq(receive(pal__n_pcap_nic(pcaps[1]), NULL), 2);
    pal__n_pcap_switch(pcaps[0], false);
    cr_assert_eq(send(pal__n_pcap_nic(pcaps[0]), 64, 3), 1);
    cr_assert_eq(receive(nic_of(1), NULL), 3);

    cr_assert_eq(next_block(&at, &block), 0x0a0d0d0a);
    cr_assert_eq(little32(block + 8), 0x1a2b3c4d);
    cr_assert_eq(next_block(&at, &block), 1);
    cr_assert_eq(memcmp(block + 20, "first", 5), 0);
    cr_assert_eq(next_block(&at, &block), 6);
    cr_assert(little32(block + 8) == 0 && little32(block + 12) == 0x12 && little32(block + 16) == 0x3456789a);
    cr_assert(little32(block + 20) == 61 && little32(block + 24) == 61);
    cr_assert_eq(little32(block + 28 + 64 + 4), 2); /* out */
    cr_assert_eq(next_block(&at, &block), 6);
    cr_assert_eq(next_block(&at, &block), 1);
    cr_assert_eq(memcmp(block + 20, "the other", 9), 0);
    cr_assert_eq(next_block(&at, &block), 6);
    cr_assert(little32(block + 8) == 1 && little32(block + 16) == 0x3456789a);
    cr_assert_eq(little32(block + 28 + 64 + 4), 1); /* in */
    cr_assert_eq(at, capture_size);
    for (int i = 0; i < 2; i++)
        pal__n_pcap_destroy(pcaps[i]);
    end();
}

Test(nic_pcap, keeps_no_more_of_a_frame_than_asked_and_shows_none_that_was_refused)
{
    struct pair_end ends[2] = {{.ring = 1}, {0}};
    struct pcap_sink sink = {.write = keep};
    struct pcap_config config = {.sink = &sink, .size_max = 30};
    struct nic_pcap *pcap;
    const uint8_t *block;
    size_t at = 0;

    begin(ends);
    config.allocator = &memory.allocator;
    cr_assert_eq(pal__n_pcap_create(&config, nic_of(0), &pcap), 0);
    capture_size = 0;
    cr_assert_eq(send(pal__n_pcap_nic(pcap), 100, 1), 1);
    cr_assert_eq(send(pal__n_pcap_nic(pcap), 100, 2), 0);
    cr_assert_eq(receive(nic_of(1), NULL), 1);
    cr_assert_eq(next_block(&at, &block), 0x0a0d0d0a);
    cr_assert_eq(next_block(&at, &block), 1);
    cr_assert_eq(next_block(&at, &block), 6);
    cr_assert(little32(block + 20) == 30 && little32(block + 24) == 100);
    cr_assert_eq(at, capture_size);
    pal__n_pcap_destroy(pcap);
    end();
}
