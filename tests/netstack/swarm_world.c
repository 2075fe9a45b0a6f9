/* tests/netstack/swarm_world.c: two stacks, the wire between them, and time, which jumps to whatever is next.
 *
 * After every turn of a stack its invariants are checked. At the end nothing may be left: no connection, no timer of
 * one, no frame, no memory. */
#include "swarm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { ROUNDS_MAX = 20000, READY_MAX = 8, IDLE_ROUNDS = 3 };

void fail(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->failed)
        return;
    world->failed = true;
    va_start(arguments, format);
    vsnprintf(world->why, sizeof(world->why), format, arguments);
    va_end(arguments);
}

void tell(const struct world *world, const char *format, ...)
{
    va_list arguments;

    if (!world->verbose)
        return;
    printf("# %12.6f ", (double)(world->now_ns - world->options.start_ns) / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* fd00::1 and ::2, or 10.0.0.1 and .2 */
static struct ip ip_at(const struct world *world, int side)
{
    struct ip ip = {{0xfd}};

    ip.bytes[15] = (uint8_t)(side + 1);
    return world->options.ip6 ? ip : ip_of_number(0x0a000001U + (uint32_t)side);
}

void world_addr(const struct world *world, int side, uint16_t port, struct pal_addr *out)
{
    struct ip ip = ip_at(world, side);

    memset(out, 0, sizeof(*out));
    out->port = port;
    out->family = world->options.ip6 ? PAL_AF_INET6 : PAL_AF_INET;
    out->size = world->options.ip6 ? 16 : 4;
    memcpy(out->bytes, world->options.ip6 ? ip.bytes : ip_v4_bytes(&ip), out->size);
}

void world_loopback(const struct world *world, uint16_t port, struct pal_addr *out)
{
    static const uint8_t loopback4[4] = {127, 0, 0, 1};

    world_addr(world, 0, port, out);
    memset(out->bytes, 0, sizeof(out->bytes));
    if (world->options.ip6)
        out->bytes[15] = 1;
    else
        memcpy(out->bytes, loopback4, sizeof(loopback4));
}

/* FNV-1a by words: it is about difference, not about the standard's value. */
static void take_capture(void *context, const void *bytes, size_t size)
{
    struct world *world = context;
    const uint8_t *at = bytes;

    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        world->hash = (world->hash ^ word) * UINT64_C(1099511628211);
        world->hash ^= world->hash >> 29;
    }
    for (; size > 0; at++, size--)
        world->hash = (world->hash ^ *at) * UINT64_C(1099511628211);
    world->events++;
    if (world->pcap_file != NULL)
        fwrite(bytes, 1, (size_t)(at - (const uint8_t *)bytes), world->pcap_file);
}

static bool make_side(struct world *world, int side)
{
    struct faults_config faults = {.allocator = &world->memory.allocator, .seed = rng_next(&world->rng)};
    struct pcap_config pcap = {.allocator = &world->memory.allocator, .sink = &world->sink};
    struct netstack_config *config = &world->options.stacks[side];
    static const uint8_t macs[2][MAC_SIZE] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
    struct ip ip = ip_at(world, side), peer = ip_at(world, 1 - side);
    int ifindex;

    faults.rates = world->options.faults[side];
    pcap.name = side == 0 ? "left" : "right";
    config->allocator = &world->memory.allocator;
    box_begin(&world->boxes[side], pal__n_pair_nic(world->pair, side), rng_next(&world->rng));
    world->boxes[side].other = &world->boxes[1 - side];
    world->boxes[side].strips = world->options.box_strips;
    world->boxes[side].split_ppm = world->options.box_split_ppm;
    world->boxes[side].overlap_ppm = world->options.box_overlap_ppm;
    world->boxes[side].window_ppm = world->options.box_window_ppm;
    if (pal__n_faults_create(&faults, &world->boxes[side].nic, &world->faults[side]) != 0 ||
        pal__n_pcap_create(&pcap, pal__n_faults_nic(world->faults[side]), &world->pcaps[side]) != 0)
        return false;
    if (pal__n_stack_create(config, &world->stacks[side]) != 0)
        return false;
    ifindex = pal__n_iface_add(world->stacks[side], pal__n_pcap_nic(world->pcaps[side]), "net", 0);
    if (ifindex < 0 || pal__n_addr_add(world->stacks[side], (uint32_t)ifindex, &ip, world->options.ip6 ? 64 : 24) != 0)
        return false;
    return !world->options.neighbours ||
           pal__n_neighbour_add(world->stacks[side], (uint32_t)ifindex, &peer, macs[1 - side]) == 0;
}

static bool make(struct world *world)
{
    struct pair_config pair = {.allocator = &world->memory.allocator};

    memcpy(pair.ends, world->options.ends, sizeof(pair.ends));
    world->sink.write = take_capture;
    world->sink.context = world;
    if (pal__n_pair_create(&pair, &world->pair) != 0)
        return false;
    return make_side(world, 0) && make_side(world, 1);
}

/* What happens to the wire at a time. */
static void change_wire(struct world *world)
{
    const struct options *options = &world->options;

    if (!world->box_narrow && world->now_ns >= options->box_ns) {
        world->box_narrow = true;
        for (int i = 0; i < 2; i++)
            world->boxes[i].mtu = options->box_mtus[i];
    }
    if (!world->link_changed[0] && world->now_ns >= options->down_ns) {
        tell(world, "the link goes down");
        world->link_changed[0] = true;
        pal__n_pair_set_link(world->pair, false);
    }
    if (!world->link_changed[1] && world->now_ns >= options->up_ns) {
        tell(world, "the link comes up");
        world->link_changed[1] = true;
        pal__n_pair_set_link(world->pair, true);
    }
    if (!world->faults_over && world->now_ns >= options->faults_end_ns) {
        struct faults_rates none = {0};

        tell(world, "faults are over");
        world->faults_over = true;
        for (int i = 0; i < 2; i++)
            pal__n_faults_set(world->faults[i], &none);
    }
}

static void set_time(struct world *world, uint64_t now_ns)
{
    world->now_ns = now_ns;
    pal__n_pair_set_time(world->pair, now_ns);
    for (int i = 0; i < 2; i++) {
        pal__n_faults_set_time(world->faults[i], now_ns);
        pal__n_pcap_set_time(world->pcaps[i], now_ns);
    }
    change_wire(world);
}

/* One turn of one stack, and what its programs make of it. */
static bool turn(struct world *world, int side)
{
    struct netstack *stack = world->stacks[side];
    struct sock *ready[READY_MAX];
    bool more = pal__n_stack_poll(stack, world->now_ns);
    const char *broken = pal__n_stack_check(stack);
    int count;

    if (broken != NULL)
        fail(world, "stack %d after a turn: %s", side, broken);
    count = pal__n_stack_ready(stack, ready, READY_MAX);
    for (int i = 0; i < count && !world->failed; i++) {
        /* What was closed meanwhile, by one of the steps before, is known to nobody. */
        if (!tcp_ready(world, ready[i]) && !udp_ready(world, ready[i]))
            continue;
        world->events++;
        broken = pal__n_stack_check(stack);
        if (broken != NULL)
            fail(world, "stack %d after a call: %s", side, broken);
    }
    if (rng_chance(&world->rng, 50))
        pal__n_stack_flush(stack, world->now_ns);
    return more || count > 0;
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* When the wire or a program is next. */
static uint64_t next_outside(const struct world *world)
{
    uint64_t next_ns = earlier(tcp_next(world), udp_next(world));

    next_ns = earlier(next_ns, pal__n_pair_next(world->pair));
    if (world->boxes[0].told_count + world->boxes[1].told_count > 0)
        return world->now_ns;
    for (int i = 0; i < 2; i++)
        next_ns = earlier(next_ns, pal__n_faults_next(world->faults[i]));
    if (!world->link_changed[0])
        next_ns = earlier(next_ns, world->options.down_ns);
    if (!world->link_changed[1])
        next_ns = earlier(next_ns, world->options.up_ns);
    return world->faults_over ? next_ns : earlier(next_ns, world->options.faults_end_ns);
}

static uint64_t next_inside(const struct world *world)
{
    return earlier(pal__n_stack_next(world->stacks[0]), pal__n_stack_next(world->stacks[1]));
}

/* All that there is to do now. A stack that says "now" and does nothing waits for room on the wire. */
static void settle(struct world *world)
{
    uint32_t rounds = 0, idle = 0;

    while (!world->failed) {
        uint64_t events = world->events;
        int first = (int)rng_below(&world->rng, 2);
        bool more = turn(world, first);

        more |= turn(world, 1 - first);
        tcp_think(world);
        udp_think(world);
        idle = world->events == events ? idle + 1 : 0;
        if (next_outside(world) > world->now_ns && next_inside(world) > world->now_ns && !more && idle > 0)
            return; /* the last round has changed nothing, so nobody is ready either */
        if (idle > IDLE_ROUNDS)
            return;
        if (++rounds > ROUNDS_MAX)
            fail(world, "time stands still: %u rounds at one moment", rounds);
    }
}

/* To the next moment; false: there is none. */
static bool step(struct world *world)
{
    uint64_t inside = next_inside(world), outside = next_outside(world);
    uint64_t next_ns = earlier(inside, outside);

    if (next_ns == UINT64_MAX)
        return false;
    if (next_ns <= world->now_ns) { /* room on the wire is what is waited for */
        next_ns = outside > world->now_ns ? outside : world->now_ns + 10 * (uint64_t)US;
        next_ns = earlier(next_ns, world->now_ns + MS);
    }
    set_time(world, next_ns);
    settle(world);
    return true;
}

static bool is_empty(const struct world *world)
{
    for (int i = 0; i < 2; i++) {
        struct netstack_usage usage;

        pal__n_stack_usage(world->stacks[i], &usage);
        if ((usage.tcp | usage.listeners | usage.embryos | usage.timewaits | usage.udp | usage.segments | usage.chunks |
             usage.frag_sets | usage.frag_frames | usage.big_frames) != 0)
            return false;
    }
    return true;
}

static void print_state(const struct world *world, FILE *file)
{
    tcp_print(world, file);
    for (int i = 0; i < 2; i++) {
        const uint64_t *counters = pal__n_stack_counters(world->stacks[i]);
        struct netstack_usage usage;

        pal__n_stack_usage(world->stacks[i], &usage);
        fprintf(
            file,
            "#   stack %d: tcp %u listeners %u embryos %u timewaits %u udp %u segments %u chunks %u frags %u/%u big "
            "%u timers %u, frames %u, next %" PRIu64 "\n#   counters:",
            i, usage.tcp, usage.listeners, usage.embryos, usage.timewaits, usage.udp, usage.segments, usage.chunks,
            usage.frag_sets, usage.frag_frames, usage.big_frames, usage.timers, pal__n_pair_used(world->pair, i),
            pal__n_stack_next(world->stacks[i]));
        for (int counter = 0; counter < COUNTERS; counter++)
            if (counters[counter] != 0)
                fprintf(file, " %s=%" PRIu64, pal__n_counter_name(counter), counters[counter]);
        fprintf(file, "\n");
    }
}

/* Until `is_over`; what lasts longer than the faults and FINISH_SECONDS has stalled. */
static void run_until(struct world *world, bool (*is_over)(const struct world *), const char *what)
{
    uint64_t limit_ns = earlier(world->now_ns, UINT64_MAX - 2000 * SECOND);

    if (limit_ns < world->options.faults_end_ns)
        limit_ns = world->options.faults_end_ns;
    if (limit_ns < world->options.up_ns && world->options.up_ns != UINT64_MAX)
        limit_ns = world->options.up_ns;
    limit_ns += FINISH_SECONDS * SECOND;
    while (!world->failed && !is_over(world)) {
        if (!step(world))
            fail(world, "%s: nothing will ever happen", what);
        if (world->now_ns > limit_ns)
            fail(world, "%s: still not after %d s", what, FINISH_SECONDS);
    }
}

static bool programs_are_done(const struct world *world)
{
    return world->now_ns >= world->options.abrupt_ns || (tcp_is_done(world) && udp_is_done(world));
}

static void unmake(struct world *world)
{
    for (int i = 0; i < 2; i++)
        if (world->stacks[i] != NULL)
            pal__n_stack_destroy(world->stacks[i], rng_chance(&world->rng, 50));
    if (world->pair != NULL)
        pal__n_pair_set_link(world->pair, false); /* what is under way is lost */
    for (int i = 0; i < 2; i++) {
        if (world->pcaps[i] != NULL)
            pal__n_pcap_destroy(world->pcaps[i]);
        if (world->faults[i] != NULL)
            pal__n_faults_destroy(world->faults[i]);
        box_end(&world->boxes[i]);
    }
    for (int i = 0; i < 2 && world->pair != NULL; i++)
        if (pal__n_pair_used(world->pair, i) != 0)
            fail(world, "%u frames of stack %d are not given back", pal__n_pair_used(world->pair, i), i);
    if (world->pair != NULL)
        pal__n_pair_destroy(world->pair);
    if (world->memory.blocks != 0)
        fail(world, "%zu blocks of memory are not given back", world->memory.blocks);
}

/* Nothing is allocated but at the beginning. */
static void check_allocations(struct world *world, uint64_t allocations)
{
    if (world->memory.allocations != allocations)
        fail(world, "memory was allocated while it ran");
}

/* What no stack may count where nothing is lost or late. A SYN that is sent again as a SYN-ACK counts as sent again. A
 * peer that puts off its answers may be asked by a tail loss probe. */
static void check_pristine(struct world *world)
{
    static const uint8_t never[] = {COUNTER_tcp_drop_ack_range, COUNTER_tcp_drop_paws,   COUNTER_tcp_ooo_queued,
                                    COUNTER_tcp_sack_invalid,   COUNTER_tcp_retransmits, COUNTER_tcp_rto};
    size_t count = sizeof(never);

    for (uint32_t i = 0; i < world->options.conn_count; i++)
        if (world->conns[i].how == HOW_BOTH)
            count = sizeof(never) - 2;
    for (int side = 0; side < 2 && world->options.is_pristine; side++)
        for (size_t i = 0; i < count; i++)
            if (pal__n_stack_counters(world->stacks[side])[never[i]] != 0)
                fail(world, "stack %d has counted %s, and there was no reason for it", side,
                     pal__n_counter_name(never[i]));
}

/* What no stack may count that hears nothing damaged: it would be of the other's making. */
static void check_counters(struct world *world)
{
    static const uint8_t never[] = {
        COUNTER_eth_drop_short,    COUNTER_eth_drop_src,      COUNTER_arp_drop_invalid,   COUNTER_ip4_drop_header,
        COUNTER_ip4_drop_checksum, COUNTER_ip4_drop_options,  COUNTER_ip6_drop_header,    COUNTER_ip6_drop_extension,
        COUNTER_frag_drop_invalid, COUNTER_frag_drop_overlap, COUNTER_icmp_drop_checksum, COUNTER_icmp_drop_short,
        COUNTER_icmp6_drop_short,  COUNTER_udp_drop_length,   COUNTER_udp_drop_checksum,  COUNTER_tcp_drop_header,
        COUNTER_tcp_drop_checksum, COUNTER_tcp_drop_option,   COUNTER_nd_drop_invalid,    COUNTER_tcp_reneged};

    for (int side = 0; side < 2 && !world->options.is_damaging; side++)
        for (size_t i = 0; i < sizeof(never); i++)
            if (pal__n_stack_counters(world->stacks[side])[never[i]] != 0)
                fail(world, "stack %d has counted %s, and nothing was damaged", side, pal__n_counter_name(never[i]));
    for (int side = 0; side < 2; side++)
        if (pal__n_pair_counts(world->pair, side)->rx_large != 0)
            fail(world, "a frame to stack %d was larger than the mtu", side);
}

bool world_run(struct world *world, uint64_t seed, bool verbose, FILE *pcap_file)
{
    uint64_t allocations;

    memset(world, 0, sizeof(*world));
    options_draw(&world->options, seed);
    if (verbose)
        options_print(&world->options, stdout);
    world->rng.state = ~seed;
    world->verbose = verbose;
    world->pcap_file = pcap_file;
    world->hash = UINT64_C(14695981039346656037);
    counting_init(&world->memory);
    if (!make(world)) {
        fail(world, "the world cannot be made");
        return false;
    }
    allocations = world->memory.allocations;
    set_time(world, world->options.start_ns);
    tcp_plan(world);
    tcp_begin(world);
    udp_begin(world);
    settle(world);
    run_until(world, programs_are_done, "programs");
    if (world->now_ns < world->options.abrupt_ns) {
        tcp_judge(world);
        tcp_close_listeners(world);
        udp_end(world);
        run_until(world, is_empty, "the end of all connections");
    }
    check_allocations(world, allocations);
    check_counters(world);
    check_pristine(world);
    if (world->verbose || world->failed)
        print_state(world, stdout);
    tell(world, "over: %" PRIu64 " bytes, hash %016" PRIx64, world->bytes, world->hash);
    if (!world->failed) /* what is broken is not to be touched again: the process ends soon */
        unmake(world);
    return !world->failed;
}
