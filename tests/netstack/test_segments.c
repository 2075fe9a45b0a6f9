/* test_segments.c: a port that cuts large frames into segments: on the wire there is what a port has that gets them one
 * by one, byte for byte and at the same times, whatever is lost, and the stack counts the same. */
#include "../../backends/netstack/nic_faults.h"
#include "../../backends/netstack/nic_frames.h"
#include "../../backends/netstack/nic_pair.h"
#include "../../backends/netstack/nic_pcap.h"
#include "../../backends/netstack/stack.h"
#include "../../backends/netstack/wire.h"
#include "counting_allocator.h"
#include "support/test.h"
#include <pal/address.h>

TestSuite(segments, .timeout = 60);

enum { SIDES = 2, IFINDEX = 2, WRITE_MAX = 60000, BYTES = 1 << 20 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* A conversation: side 0 sends BYTES, side 1 a little now and then. */
struct plan {
    bool cuts; /* side 0's port */
    bool is_v6;
    uint32_t large; /* frames for segments; 0: as many as there are by default */
    uint64_t seed;
    uint32_t loss_ppm, reorder_ppm;
    uint64_t rate_bps, delay_ns;
    bool holds_small; /* Nagle's algorithm; and some writes say that more follows */
    uint32_t stack_flags;
};

struct outcome {
    uint64_t hash;   /* of all that has arrived at side 1 and has left it, with its time */
    uint64_t frames; /* that side 0's nic was given */
    uint64_t counters[COUNTERS];
    uint64_t end_ns;
};

static struct counting memory;
static struct nic_pair *pair;
static struct nic_faults *faults;
static struct nic_pcap *pcap;
static struct netstack *stacks[SIDES];
static struct sock *socks[SIDES];
static struct random moves;
static uint64_t now_ns, wire_hash;
static uint64_t sent[SIDES], received[SIDES];

static uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)(offset * 167 + (offset >> 8));
}

static void add_to_hash(void *context, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    (void)context;
    for (size_t i = 0; i < size; i++)
        wire_hash = (wire_hash ^ at[i]) * UINT64_C(1099511628211);
}

/* ---- the world ---- */

static void make_wires(const struct plan *plan)
{
    static struct pcap_sink sink;
    struct pair_config wires = {.allocator = &memory.allocator};
    struct faults_config losses = {.allocator = &memory.allocator, .seed = plan->seed};
    struct pcap_config capture = {.allocator = &memory.allocator, .sink = &sink, .name = "eth0"};

    for (int side = 0; side < SIDES; side++) {
        wires.ends[side].flags = NIC_TX_CHECKSUM | (plan->cuts && side == 0 ? NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6 : 0U);
        wires.ends[side].frames = wires.ends[side].ring = 4096;
        wires.ends[side].large = plan->large;
        wires.ends[side].delay_ns = plan->delay_ns;
        wires.ends[side].rate_bps = plan->rate_bps;
    }
    cr_assert_eq(pal__n_pair_create(&wires, &pair), 0);
    losses.rates.loss_ppm = plan->loss_ppm;
    losses.rates.reorder_ppm = plan->reorder_ppm;
    losses.rates.reorder_ns = MS;
    cr_assert_eq(pal__n_faults_create(&losses, pal__n_pair_nic(pair, 1), &faults), 0);
    memset(&sink, 0, sizeof(sink));
    sink.write = add_to_hash;
    cr_assert_eq(pal__n_pcap_create(&capture, pal__n_faults_nic(faults), &pcap), 0);
    wire_hash = UINT64_C(14695981039346656037);
}

static struct pal_addr addr_of(const struct plan *plan, int side, uint16_t port)
{
    static const char *const texts[2][SIDES] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
    struct pal_addr addr;

    cr_assert_eq(pal_addr_from_host(&addr, texts[plan->is_v6][side], port), 0);
    return addr;
}

static void make_stacks(const struct plan *plan)
{
    for (int side = 0; side < SIDES; side++) {
        struct netstack_config config = {.allocator = &memory.allocator,
                                         .seed = plan->seed + (uint64_t)side,
                                         .now_ns = now_ns,
                                         .flags = plan->stack_flags};
        struct nic *nic = side == 0 ? pal__n_pair_nic(pair, 0) : pal__n_pcap_nic(pcap);
        struct pal_addr addr = addr_of(plan, side, 0);
        struct ip ip = plan->is_v6 ? ip_of_v6(addr.bytes) : ip_of_v4(addr.bytes);

        cr_assert_eq(pal__n_stack_create(&config, &stacks[side]), 0);
        cr_assert_eq(pal__n_iface_add(stacks[side], nic, "eth0", 0), IFINDEX);
        cr_assert_eq(pal__n_addr_add(stacks[side], IFINDEX, &ip, plan->is_v6 ? 64 : 24), 0);
    }
}

static void turn(void)
{
    for (int side = 0; side < SIDES; side++) {
        const char *wrong;

        pal__n_stack_poll(stacks[side], now_ns);
        pal__n_stack_flush(stacks[side], now_ns);
        wrong = pal__n_stack_check(stacks[side]);
        cr_assert_null(wrong, "%s", wrong);
    }
}

/* To the next thing that happens, 1 ms on at most. */
static void step(void)
{
    uint64_t next_ns = now_ns + MS, other_ns;

    if ((other_ns = pal__n_pair_next(pair)) < next_ns)
        next_ns = other_ns;
    if ((other_ns = pal__n_faults_next(faults)) < next_ns)
        next_ns = other_ns;
    for (int side = 0; side < SIDES; side++)
        if ((other_ns = pal__n_stack_next(stacks[side])) < next_ns)
            next_ns = other_ns;
    if (next_ns > now_ns)
        now_ns = next_ns;
    pal__n_pair_set_time(pair, now_ns);
    pal__n_faults_set_time(faults, now_ns);
    pal__n_pcap_set_time(pcap, now_ns);
    turn();
}

static void establish(const struct plan *plan)
{
    struct pal_addr to = addr_of(plan, 1, 80);
    struct sock *listener;

    cr_assert_eq(pal__n_sock_open(stacks[1], to.family, PAL_SOCK_STREAM, &listener), 0);
    cr_assert_eq(pal__n_sock_bind(listener, &to), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    cr_assert_eq(pal__n_sock_open(stacks[0], to.family, PAL_SOCK_STREAM, &socks[0]), 0);
    cr_assert_eq(pal__n_sock_set(socks[0], PAL_SO_NODELAY, &(int32_t){!plan->holds_small}, sizeof(int32_t)), 0);
    cr_assert_eq(pal__n_sock_connect(socks[0], &to), PAL_EINPROGRESS);
    for (int i = 0; i < 20000 && pal__n_sock_accept(listener, &socks[1], NULL) != 0; i++)
        step();
    pal__n_sock_close(listener);
}

/* ---- the conversation ---- */

/* A write of some size, as far as it goes. */
static void push(const struct plan *plan, int side, uint64_t end)
{
    static uint8_t bytes[WRITE_MAX];
    size_t size = 1 + pal__n_random_below(&moves, pal__n_random_below(&moves, 4) == 0 ? 300 : WRITE_MAX);
    uint32_t flags = plan->holds_small && pal__n_random_below(&moves, 3) == 0 ? PAL_MSG_MORE : 0;
    int32_t result;

    if (size > end - sent[side])
        size = (size_t)(end - sent[side]);
    if (size == 0)
        return;
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(sent[side] + i);
    result = pal__n_sock_send(socks[side], bytes, size, flags);
    if (result < 0)
        cr_assert_eq(result, PAL_EAGAIN);
    else
        sent[side] += (uint64_t)result;
}

/* True: the end. */
static bool pull(int side)
{
    static uint8_t bytes[WRITE_MAX];
    int32_t result;

    while ((result = pal__n_sock_recv(socks[side], bytes, 1 + pal__n_random_below(&moves, WRITE_MAX), 0)) > 0)
        for (int32_t i = 0; i < result; i++)
            cr_assert_eq(bytes[i], pattern_at(received[side]++));
    if (result < 0)
        cr_assert_eq(result, PAL_EAGAIN);
    return result == 0;
}

static void converse(const struct plan *plan)
{
    static const uint64_t ends[SIDES] = {BYTES, BYTES / 8};
    bool ended[SIDES] = {false, false}, shut[SIDES] = {false, false};

    for (int i = 0; i < 2000000 && !(ended[0] && ended[1]); i++) {
        for (int side = 0; side < SIDES; side++) {
            if (pal__n_random_below(&moves, 3) == 0)
                push(plan, side, ends[side]);
            if (sent[side] == ends[side] && !shut[side]) {
                shut[side] = true;
                cr_assert_eq(pal__n_sock_shutdown(socks[side], PAL_SHUT_WR), 0);
            }
            if (!ended[side] && pal__n_random_below(&moves, 4) != 0)
                ended[side] = pull(side);
        }
        step();
    }
    cr_assert(ended[0] && ended[1], "it does not end");
    for (int side = 0; side < SIDES; side++)
        cr_assert_eq(received[side], ends[1 - side]);
}

static void run(const struct plan *plan, struct outcome *out)
{
    counting_init(&memory);
    now_ns = 5 * SECOND;
    memset(sent, 0, sizeof(sent));
    memset(received, 0, sizeof(received));
    pal__n_random_seed(&moves, plan->seed);
    make_wires(plan);
    pal__n_pair_set_time(pair, now_ns);
    pal__n_faults_set_time(faults, now_ns);
    make_stacks(plan);
    establish(plan);
    converse(plan);
    memcpy(out->counters, stacks[0]->counters, sizeof(out->counters));
    out->frames = out->counters[COUNTER_eth_out];
    out->hash = wire_hash;
    out->end_ns = now_ns;
    for (int side = 0; side < SIDES; side++)
        pal__n_sock_close(socks[side]);
    for (int side = 0; side < SIDES; side++)
        pal__n_stack_destroy(stacks[side], false);
    pal__n_pcap_destroy(pcap);
    pal__n_faults_destroy(faults);
    pal__n_pair_set_link(pair, false); /* what is under way is lost */
    for (int side = 0; side < SIDES; side++)
        cr_assert_eq(pal__n_pair_used(pair, side), 0, "a frame was not given back");
    pal__n_pair_destroy(pair);
    cr_assert_eq(memory.blocks, 0);
}

/* The plan with a port that cuts, and with one that does not: what is seen must be the same. */
static void compare(struct plan plan, struct outcome *cut)
{
    struct outcome plain;

    plan.cuts = false;
    run(&plan, &plain);
    plan.cuts = true;
    run(&plan, cut);
    cr_assert_eq(plain.counters[COUNTER_tcp_tso], 0);
    cr_assert_eq(cut->hash, plain.hash, "the wires differ");
    cr_assert_eq(cut->end_ns, plain.end_ns);
    for (int i = 0; i < COUNTERS; i++)
        if (i != COUNTER_tcp_tso && i != COUNTER_eth_out)
            cr_expect_eq(cut->counters[i], plain.counters[i], "%s: %llu, not %llu", pal__n_counter_name(i),
                         (unsigned long long)cut->counters[i], (unsigned long long)plain.counters[i]);
    cr_expect_lt(cut->frames, plain.frames);
}

Test(segments, the_wire_is_the_same_without_losses)
{
    struct plan plan = {.seed = 1, .rate_bps = 1000000000, .delay_ns = MS};
    struct outcome cut;

    for (int family = 0; family < 2; family++) {
        plan.is_v6 = family == 1;
        compare(plan, &cut);
        cr_log_info("%llu segments in %llu frames, %llu of them cut", (unsigned long long)cut.counters[COUNTER_tcp_out],
                    (unsigned long long)cut.frames, (unsigned long long)cut.counters[COUNTER_tcp_tso]);
        cr_expect_gt(cut.counters[COUNTER_tcp_tso], 100);
        cr_expect_eq(cut.counters[COUNTER_tcp_retransmits], 0);
    }
}

Test(segments, the_wire_is_the_same_with_losses)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct plan plan = {.seed = seed,
                            .is_v6 = seed % 2 == 0,
                            .rate_bps = 200000000,
                            .delay_ns = seed % 3 * 5 * MS,
                            .loss_ppm = 10000,
                            .reorder_ppm = seed % 4 == 0 ? 10000 : 0,
                            .holds_small = seed % 5 == 0};
        struct outcome cut;

        compare(plan, &cut);
        cr_expect_gt(cut.counters[COUNTER_tcp_retransmits], 0);
        cr_expect_gt(cut.counters[COUNTER_tcp_tso], 5);
    }
}

Test(segments, the_wire_is_the_same_without_sack_and_timestamps)
{
    for (uint64_t seed = 21; seed <= 24; seed++) {
        struct plan plan = {.seed = seed,
                            .rate_bps = 100000000,
                            .delay_ns = MS,
                            .loss_ppm = 5000,
                            .holds_small = true,
                            .stack_flags = NETSTACK_SACK_OFF | (seed % 2 == 0 ? (uint32_t)NETSTACK_TIMESTAMPS_OFF : 0)};
        struct outcome cut;

        compare(plan, &cut);
        cr_expect_gt(cut.counters[COUNTER_tcp_retransmits], 0);
    }
}

/* One large frame is not enough for what waits for the link: what finds none goes one by one. */
Test(segments, without_a_frame_for_them_segments_go_one_by_one)
{
    struct plan plan = {.seed = 31, .cuts = true, .large = 1, .rate_bps = 1000000000, .delay_ns = MS};
    struct outcome few, many;

    compare(plan, &few);
    plan.large = 0;
    run(&plan, &many);
    cr_expect_leq(few.counters[COUNTER_tcp_tso], many.counters[COUNTER_tcp_tso]);
    cr_expect_eq(few.counters[COUNTER_tcp_send_failed], 0);
}
