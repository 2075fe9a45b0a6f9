/* tests/netstack/swarm_options.c: what a seed means: sizes, times and faults of a run of the swarm. */
#include "swarm.h"

#include <inttypes.h>
#include <string.h>

#define PICK(rng, list) (list)[rng_below(rng, sizeof(list) / sizeof((list)[0]))]

uint64_t rng_log(struct rng *rng, uint64_t min, uint64_t max)
{
    uint64_t low = min, high;
    unsigned doublings = 0;

    while (low <= max / 2 && low != 0) {
        low *= 2;
        doublings++;
    }
    low = min << rng_below(rng, doublings + 1U);
    high = low > max / 2 ? max : low * 2;
    return low + rng_below(rng, high - low + 1);
}

static void draw_link(struct options *options, struct rng *rng)
{
    static const uint32_t mtus4[] = {576, 1500, 1500, 9000}, mtus6[] = {1280, 1500, 1500, 9000};
    bool small = rng_chance(rng, 25), slow = rng_chance(rng, 20);

    options->ip6 = rng_chance(rng, 50);
    options->mtu = options->ip6 ? PICK(rng, mtus6) : PICK(rng, mtus4);
    if (rng_chance(rng, 25))
        options->mtu = (uint32_t)((options->ip6 ? 1280 : 576) + rng_below(rng, 1000));
    for (int i = 0; i < 2; i++) {
        struct pair_end *end = &options->ends[i];

        end->mtu = options->mtu;
        end->flags = (uint32_t)rng_next(rng) & (NIC_TX_CHECKSUM | NIC_RX_CHECKSUM | NIC_PADS);
        end->frames = (uint32_t)(small ? 64 + rng_below(rng, 128) : 1024);
        end->ring = (uint32_t)rng_log(rng, 8, 256);
        if (slow)
            end->rate_bps = rng_log(rng, 10000000, 1000000000);
    }
    if (small)
        options->strict = false; /* frames are what everything waits for */
}

static void draw_stack(struct options *options, struct rng *rng, struct netstack_config *config)
{
    static const uint64_t ack_delays[] = {0, 0, MS, 40 * MS, 200 * MS}, rto_mins[] = {0, MS, 200 * MS};
    static const uint64_t msls[] = {MS, 100 * MS, 5 * SECOND};

    config->seed = rng_next(rng);
    config->now_ns = options->start_ns;
    config->flags = rng_chance(rng, 25) ? NETSTACK_NO_PREDICTION : 0;
    if (rng_chance(rng, 15))
        config->flags |= NETSTACK_SACK_OFF;
    if (rng_chance(rng, 15))
        config->flags |= NETSTACK_TIMESTAMPS_OFF;
    if (rng_chance(rng, 10))
        config->flags |= NETSTACK_SCALE_OFF;
    if (rng_chance(rng, 30)) {
        config->flags |= NETSTACK_FIXED_ISN;
        config->isn = (uint32_t)(0 - rng_below(rng, 100000));
    }
    if (rng_chance(rng, 25))
        config->flags |= NETSTACK_COOKIES_OFF;
    config->tcp_max = 64;
    config->listeners_max = 4;
    config->embryos_max = 64;
    config->timewaits_max = rng_chance(rng, 25) ? (uint32_t)(1 + rng_below(rng, 2)) : 64;
    config->udp_max = 8;
    config->segments_max = 4096;
    config->chunks_max = 2048;
    config->neighbours_max = config->routes_max = config->paths_max = 16;
    config->frag_sets_max = 16;
    config->frag_frames_max = 256;
    config->big_frames_max = 64;
    config->groups_max = 16;
    config->send_buffer = (uint32_t)rng_log(rng, 4096, 262144);
    config->receive_buffer = (uint32_t)rng_log(rng, 4096, 262144);
    config->rto_min_ns = PICK(rng, rto_mins);
    config->rto_initial_ns = rng_chance(rng, 30) ? 100 * MS : 0;
    config->ack_delay_ns = PICK(rng, ack_delays);
    config->msl_ns = PICK(rng, msls);
    config->peer_ack_delay_ns = 200 * MS; /* the most that the other draws */
    config->keepalive_idle_ns = (5 + rng_below(rng, 15)) * SECOND;
    config->keepalive_interval_ns = (2 + rng_below(rng, 4)) * SECOND;
    config->keepalive_count = 6;
}

/* What makes errors legitimate that are nobody's doing. */
static void draw_hardship(struct options *options, struct rng *rng, int side)
{
    struct netstack_config *config = &options->stacks[side];

    if (rng_chance(rng, 25)) {
        config->embryos_max = (uint32_t)(1 + rng_below(rng, 3));
        options->strict = false;
    }
    if (rng_chance(rng, 20)) {
        config->segments_max = (uint32_t)rng_log(rng, 64, 256);
        config->chunks_max = (uint32_t)rng_log(rng, 32, 128);
        options->scarce[side] = true;
    }
    if (rng_chance(rng, 15)) {
        config->user_timeout_ns = (1 + rng_below(rng, 5)) * SECOND;
        config->syn_retries = (uint32_t)(1 + rng_below(rng, 2));
        config->keepalive_idle_ns = SECOND;
        config->keepalive_interval_ns = SECOND;
        config->keepalive_count = 2;
        options->strict = false;
    }
}

static uint32_t draw_ppm(struct rng *rng, uint32_t max)
{
    return rng_chance(rng, 50) ? 0 : (uint32_t)rng_log(rng, 100, max);
}

static void draw_faults(struct options *options, struct rng *rng)
{
    static const uint32_t worst[] = {0, 0, 10000, 100000, 300000};
    uint32_t max = PICK(rng, worst);
    bool delayed = rng_chance(rng, 75), split = rng_chance(rng, 15);

    for (int i = 0; i < 2; i++) {
        struct faults_rates *rates = &options->faults[i];

        rates->delay_ns = delayed ? rng_log(rng, US, 60 * MS) : 0;
        rates->jitter_ns = delayed && rng_chance(rng, 50) ? rng_log(rng, US, 20 * MS) : 0;
        rates->reorder_ns = rng_log(rng, 10 * US, 50 * MS);
        if (max != 0) {
            rates->loss_ppm = draw_ppm(rng, max);
            rates->duplicate_ppm = draw_ppm(rng, max);
            rates->reorder_ppm = draw_ppm(rng, max);
            rates->corrupt_ppm = draw_ppm(rng, max / 3 + 100);
            rates->truncate_ppm = draw_ppm(rng, max / 3 + 100);
        }
        if (rng_chance(rng, 25)) {
            rates->rate_bps = rng_log(rng, 2000000, 1000000000);
            rates->queue_bytes = (uint32_t)rng_log(rng, options->mtu * 4, 262144);
        }
        for (; split && rates->window_count < 2; rates->window_count++) {
            uint64_t from_ns = options->start_ns + rng_below(rng, options->faults_end_ns - options->start_ns);

            rates->windows[rates->window_count].from_ns = from_ns;
            rates->windows[rates->window_count].to_ns = from_ns + rng_log(rng, MS, 2 * SECOND);
        }
        options->may_duplicate |= rates->duplicate_ppm != 0;
        options->is_damaging |= rates->corrupt_ppm != 0 || rates->truncate_ppm != 0;
        options->is_lossy |= max != 0 || split || rates->rate_bps != 0;
    }
}

static void draw_box(struct options *options, struct rng *rng)
{
    uint32_t least = options->ip6 ? 1280 : 600;

    if (rng_chance(rng, 30))
        options->box_strips = 1 + (uint32_t)rng_below(rng, 15);
    if (rng_chance(rng, 25))
        options->box_split_ppm = (uint32_t)rng_log(rng, 10000, 500000);
    if (rng_chance(rng, 25))
        options->box_overlap_ppm = (uint32_t)rng_log(rng, 10000, 500000);
    if (rng_chance(rng, 20))
        options->box_window_ppm = (uint32_t)rng_log(rng, 10000, 300000);
    options->may_duplicate |= options->box_overlap_ppm != 0;
    for (int i = 0; i < 2 && rng_chance(rng, 20); i++)
        if (options->mtu > least)
            options->box_mtus[i] = least + (uint32_t)rng_below(rng, options->mtu - least);
    options->box_ns = options->start_ns + (rng_chance(rng, 50) ? 0 : rng_below(rng, SECOND));
}

static bool is_pristine(const struct options *options)
{
    bool pristine = options->strict && !options->is_lossy && !options->may_duplicate && !options->is_damaging &&
                    (options->box_strips | options->box_split_ppm | options->box_window_ppm | options->box_mtus[0] |
                     options->box_mtus[1]) == 0;

    if (!options->neighbours && options->datagrams > 0)
        pristine = false; /* datagrams may push a segment out of the queue for the neighbour */
    if (options->faults[0].delay_ns + options->faults[1].delay_ns > 40 * MS)
        pristine = false; /* the first timeout may be less than two round trips */
    for (int i = 0; i < 2; i++)
        if (options->scarce[i] || options->faults[i].jitter_ns != 0 || options->faults[i].reorder_ppm != 0 ||
            options->ends[i].rate_bps != 0)
            pristine = false;
    return pristine;
}

static void draw_events(struct options *options, struct rng *rng)
{
    uint64_t span_ns = options->faults_end_ns - options->start_ns;

    options->abrupt_ns = options->down_ns = options->up_ns = UINT64_MAX;
    options->goal_max = rng_chance(rng, 15) ? 500000 : 120000;
    if (rng_chance(rng, 8))
        options->abrupt_ns = options->actors_ns + rng_log(rng, MS, 2 * SECOND);
    if (!rng_chance(rng, 10))
        return;
    options->down_ns = options->start_ns + rng_below(rng, span_ns);
    options->up_ns = options->down_ns + rng_log(rng, MS, 2 * SECOND);
    options->is_lossy = true;
}

void options_draw(struct options *options, uint64_t seed)
{
    static const uint64_t starts[] = {0, SECOND, UINT64_C(4294967295000000), UINT64_C(1700000000000000000)};
    struct rng rng = {seed};
    bool dad = false;

    memset(options, 0, sizeof(*options));
    options->seed = seed;
    options->strict = true;
    options->start_ns = PICK(&rng, starts);
    options->faults_end_ns = options->start_ns + rng_log(&rng, 50 * MS, 4 * SECOND);
    options->neighbours = rng_chance(&rng, 30);
    options->conn_count = (uint32_t)(1 + rng_below(&rng, 6));
    options->backlog = rng_chance(&rng, 80) ? 16 : (uint32_t)(1 + rng_below(&rng, 2));
    options->datagrams = rng_chance(&rng, 40) ? (uint32_t)rng_below(&rng, DATAGRAMS_MAX) : 0;
    if (options->backlog < options->conn_count)
        options->strict = false;
    draw_link(options, &rng);
    for (int i = 0; i < 2; i++) {
        draw_stack(options, &rng, &options->stacks[i]);
        draw_hardship(options, &rng, i);
        if (rng_chance(&rng, 10)) {
            options->stacks[i].flags |= NETSTACK_DAD;
            dad = true;
        }
    }
    options->box_ns = options->start_ns;
    options->actors_ns = options->start_ns + (dad ? 8 * SECOND : 0);
    options->faults_end_ns += options->actors_ns - options->start_ns;
    draw_faults(options, &rng);
    draw_events(options, &rng);
    if (rng_chance(&rng, 60))
        draw_box(options, &rng);
    options->is_pristine = is_pristine(options);
}

void options_print(const struct options *options, FILE *file)
{
    fprintf(file,
            "# seed %" PRIu64 ": ipv%d mtu %u conns %u datagrams %u backlog %u strict %d neighbours %d start %" PRIu64
            " faults end +%" PRIu64 " ms\n",
            options->seed, options->ip6 ? 6 : 4, options->mtu, options->conn_count, options->datagrams,
            options->backlog, options->strict, options->neighbours, options->start_ns,
            (options->faults_end_ns - options->start_ns) / MS);
    fprintf(file,
            "#   box: strips %x splits %u overlaps %u windows %u mtus %u %u from +%" PRIu64 " ms; abrupt end %" PRIu64
            "\n",
            options->box_strips, options->box_split_ppm, options->box_overlap_ppm, options->box_window_ppm,
            options->box_mtus[0], options->box_mtus[1], (options->box_ns - options->start_ns) / MS, options->abrupt_ns);
    for (int i = 0; i < 2; i++) {
        const struct netstack_config *stack = &options->stacks[i];
        const struct pair_end *end = &options->ends[i];
        const struct faults_rates *rates = &options->faults[i];

        fprintf(file,
                "#   stack %d: flags %x isn %x buffers %u/%u embryos %u timewaits %u segments %u chunks %u ack delay "
                "%" PRIu64 " us rto min %" PRIu64 " us msl %" PRIu64 " ms user timeout %" PRIu64 " ms\n",
                i, stack->flags, stack->isn, stack->send_buffer, stack->receive_buffer, stack->embryos_max,
                stack->timewaits_max, stack->segments_max, stack->chunks_max, stack->ack_delay_ns / US,
                stack->rto_min_ns / US, stack->msl_ns / MS, stack->user_timeout_ns / MS);
        fprintf(file,
                "#   nic %d: flags %x frames %u ring %u rate %" PRIu64 "; in: delay %" PRIu64 " us jitter %" PRIu64
                " us rate %" PRIu64 " queue %u loss %u dup %u reorder %u (%" PRIu64
                " us) corrupt %u cut %u windows %u\n",
                i, end->flags, end->frames, end->ring, end->rate_bps, rates->delay_ns / US, rates->jitter_ns / US,
                rates->rate_bps, rates->queue_bytes, rates->loss_ppm, rates->duplicate_ppm, rates->reorder_ppm,
                rates->reorder_ns / US, rates->corrupt_ppm, rates->truncate_ppm, rates->window_count);
    }
}
