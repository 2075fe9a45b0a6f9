/* tests/netstack/test_turns.c: whole stacks that talk to each other and to themselves: that turns end, that times are
 * exact, that the same calls give the same frames, and that a stack can be ended in the middle of everything. */
#include "../../backends/netstack/nic_pair.h"
#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"
#include <pal/address.h>

enum { PORT = 80, BYTES = 200000, SIDES = 2 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* A nic that takes note of all that is sent by it. */
struct tracer {
    struct nic nic;
    struct nic *below;
    uint64_t hash, frames;
};

struct world {
    struct counting memory;
    struct nic_pair *pair;
    struct tracer tracers[SIDES];
    struct netstack *stacks[SIDES];
    uint64_t now_ns;
};

static const struct siphash_key trace_key = {1, 2};

static struct tracer *tracer_of(const struct nic *nic)
{
    return (struct tracer *)(uintptr_t)nic;
}

static int tracer_rx(struct nic *nic, struct frame **frames, int max)
{
    struct nic *below = tracer_of(nic)->below;

    return below->ops->rx(below, frames, max);
}

static int tracer_tx(struct nic *nic, struct frame **frames, int count)
{
    struct tracer *tracer = tracer_of(nic);

    for (int i = 0; i < count; i++) {
        uint64_t sum = pal__n_siphash(&trace_key, frames[i]->data, frames[i]->size);

        if (tracer->below->ops->tx(tracer->below, &frames[i], 1) == 0)
            return i;
        tracer->hash = tracer->hash * 31 + sum;
        tracer->frames++;
    }
    return count;
}

static struct frame *tracer_alloc(struct nic *nic)
{
    return frame_alloc(tracer_of(nic)->below);
}

static void tracer_free(struct nic *nic, struct frame *frame)
{
    (void)nic;
    frame_free(frame);
}

static void tracer_caps(const struct nic *nic, struct nic_caps *out)
{
    tracer_of(nic)->below->ops->caps(tracer_of(nic)->below, out);
}

static void tracer_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    tracer_of(nic)->below->ops->filter(tracer_of(nic)->below, macs, count);
}

static const struct nic_ops tracer_ops = {tracer_rx, tracer_tx, tracer_alloc, tracer_free, tracer_caps, tracer_filter};

static struct ip ip_of_side(int side)
{
    return ip_of_number(0x0a000001 + (uint32_t)side);
}

static void make_stack(struct world *world, int side, uint64_t seed)
{
    struct netstack_config config;
    struct ip ip = ip_of_side(side);

    memset(&config, 0, sizeof(config));
    config.allocator = &world->memory.allocator;
    config.seed = seed;
    config.now_ns = world->now_ns;
    config.tcp_max = config.embryos_max = config.timewaits_max = 32;
    config.segments_max = config.chunks_max = 256;
    config.big_frames_max = 32;
    cr_assert_eq(pal__n_stack_create(&config, &world->stacks[side]), 0);
    world->tracers[side].nic.ops = &tracer_ops;
    world->tracers[side].below = pal__n_pair_nic(world->pair, side);
    cr_assert_eq(pal__n_iface_add(world->stacks[side], &world->tracers[side].nic, "eth0", 0), 2);
    cr_assert_eq(pal__n_addr_add(world->stacks[side], 2, &ip, 24), 0);
}

static void start(struct world *world, uint64_t seed)
{
    struct pair_config config;

    memset(world, 0, sizeof(*world));
    memset(&config, 0, sizeof(config));
    counting_init(&world->memory);
    world->now_ns = 5 * SECOND;
    config.allocator = &world->memory.allocator;
    config.ends[0].delay_ns = config.ends[1].delay_ns = 3 * MS;
    cr_assert_eq(pal__n_pair_create(&config, &world->pair), 0);
    pal__n_pair_set_time(world->pair, world->now_ns);
    for (int side = 0; side < SIDES; side++)
        make_stack(world, side, seed + (uint64_t)side);
}

static void finish(struct world *world, bool notify)
{
    for (int side = 0; side < SIDES; side++)
        pal__n_stack_destroy(world->stacks[side], notify);
    pal__n_pair_destroy(world->pair);
    cr_assert_eq(world->memory.blocks, 0);
    cr_assert_eq(world->memory.bytes, 0);
}

static void turn(struct world *world)
{
    for (int side = 0; side < SIDES; side++) {
        const char *wrong;

        pal__n_stack_poll(world->stacks[side], world->now_ns);
        wrong = pal__n_stack_check(world->stacks[side]);
        cr_assert_null(wrong, "%s", wrong);
        pal__n_stack_flush(world->stacks[side], world->now_ns);
    }
}

/* When something will happen. */
static uint64_t next_of(const struct world *world)
{
    uint64_t next_ns = pal__n_pair_next(world->pair);

    for (int side = 0; side < SIDES; side++) {
        uint64_t own_ns = pal__n_stack_next(world->stacks[side]);

        next_ns = own_ns < next_ns ? own_ns : next_ns;
    }
    return next_ns;
}

/* One event, then. False: nothing will happen before end_ns. */
static bool step(struct world *world, uint64_t end_ns)
{
    uint64_t next_ns = next_of(world);

    if (next_ns > end_ns)
        return false;
    world->now_ns = next_ns > world->now_ns ? next_ns : world->now_ns;
    pal__n_pair_set_time(world->pair, world->now_ns);
    turn(world);
    return true;
}

static void run(struct world *world, uint64_t for_ns)
{
    uint64_t end_ns = world->now_ns + for_ns;
    int steps = 0;

    while (step(world, end_ns))
        cr_assert(++steps < 1000000, "a turn follows another at the same time, for ever");
    world->now_ns = end_ns;
}

static struct pal_addr addr_of(const struct ip *ip)
{
    char text[32];
    struct pal_addr addr;

    snprintf(text, sizeof(text), "%d.%d.%d.%d", ip->bytes[12], ip->bytes[13], ip->bytes[14], ip->bytes[15]);
    cr_assert_eq(pal_addr_from_host(&addr, text, PORT), 0);
    return addr;
}

static struct sock *listen_at(struct netstack *stack)
{
    struct ip any = ip_of_number(0);
    struct pal_addr addr = addr_of(&any);
    struct sock *sock;

    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_INET, PAL_SOCK_STREAM, &sock), 0);
    cr_assert_eq(pal__n_sock_bind(sock, &addr), 0);
    cr_assert_eq(pal__n_sock_listen(sock, 4), 0);
    return sock;
}

static struct sock *connect_to(struct netstack *stack, struct ip ip)
{
    struct pal_addr addr = addr_of(&ip);
    struct sock *sock;
    int result;

    cr_assert_eq(pal__n_sock_open(stack, PAL_AF_INET, PAL_SOCK_STREAM, &sock), 0);
    result = pal__n_sock_connect(sock, &addr);
    cr_assert(result == 0 || result == PAL_EINPROGRESS);
    return sock;
}

/* Writes and reads until all has gone over. */
static void talk(struct world *world, struct sock *from, struct sock *to)
{
    static uint8_t bytes[4096];
    int64_t written = 0, got = 0;

    for (int turns = 0; got < BYTES; turns++) {
        int32_t result;

        cr_assert(turns < 20000, "the conversation stands still");
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)((uint64_t)written + i);
        result = written < BYTES ? pal__n_sock_send(from, bytes, sizeof(bytes), 0) : 0;
        written += result > 0 ? result : 0;
        result = pal__n_sock_recv(to, bytes, sizeof(bytes), 0);
        for (int32_t i = 0; i < result; i++)
            cr_assert_eq(bytes[i], (uint8_t)(got + i));
        got += result > 0 ? result : 0;
        if (result <= 0 && (written >= BYTES || !step(world, UINT64_MAX - 1)))
            step(world, UINT64_MAX - 1);
    }
}

static void connect_and_talk(struct world *world, int server_side, int client_side)
{
    struct sock *listener = listen_at(world->stacks[server_side]), *server = NULL;
    struct sock *client = connect_to(world->stacks[client_side], ip_of_side(server_side));

    run(world, 100 * MS);
    cr_assert_eq(pal__n_sock_accept(listener, &server, NULL), 0);
    talk(world, client, server);
    pal__n_sock_close(client);
    run(world, 100 * MS);
    pal__n_sock_close(server);
    pal__n_sock_close(listener);
}

static void expect_nothing_left(struct world *world)
{
    for (int side = 0; side < SIDES; side++) {
        struct netstack_usage usage;

        pal__n_stack_usage(world->stacks[side], &usage);
        cr_assert(usage.tcp == 0 && usage.listeners == 0 && usage.embryos == 0 && usage.timewaits == 0);
        cr_assert(usage.segments == 0 && usage.chunks == 0 && usage.big_frames == 0 && usage.paths == 0);
        cr_assert(usage.neighbours == 0 && usage.timers == 0);
    }
}

Test(turns, a_conversation_leaves_nothing_behind)
{
    struct world world;

    start(&world, 1);
    connect_and_talk(&world, 0, 1);
    run(&world, 200 * SECOND);
    expect_nothing_left(&world);
    cr_assert_eq(next_of(&world), UINT64_MAX);
    finish(&world, false);
}

/* One stack, by its loopback interface: all of it within turns at the same time. */
Test(turns, a_stack_talks_to_itself)
{
    struct world world;
    uint64_t begin_ns;

    start(&world, 2);
    begin_ns = world.now_ns;
    connect_and_talk(&world, 0, 0);
    cr_assert(world.tracers[0].frames < 4, "packets to ourselves are no business of the wire");
    cr_assert(world.now_ns - begin_ns < SECOND);
    run(&world, 200 * SECOND);
    expect_nothing_left(&world);
    finish(&world, false);
}

/* tcp.timer.next-deadline: a turn just before the time that is told sends nothing, and fires nothing. */
Test(turns, nothing_happens_before_the_time_that_is_told)
{
    struct world world;
    int steps = 0;

    start(&world, 3);
    connect_to(world.stacks[1], ip_of_side(0));            /* refused */
    connect_to(world.stacks[1], ip_of_number(0x0a000063)); /* nobody there */
    turn(&world);
    while (steps++ < 10000) {
        uint64_t next_ns = next_of(&world), frames = world.tracers[0].frames + world.tracers[1].frames;
        uint32_t timers[SIDES] = {world.stacks[0]->timer_count, world.stacks[1]->timer_count};

        if (next_ns == UINT64_MAX)
            break;
        if (next_ns > world.now_ns + 1) {
            world.now_ns = next_ns - 1;
            pal__n_pair_set_time(world.pair, world.now_ns);
            turn(&world);
            cr_assert_eq(world.tracers[0].frames + world.tracers[1].frames, frames);
            cr_assert(world.stacks[0]->timer_count == timers[0] && world.stacks[1]->timer_count == timers[1]);
            cr_assert_eq(next_of(&world), next_ns);
        }
        step(&world, UINT64_MAX - 1);
    }
    cr_assert(steps > 5 && steps < 10000);
    finish(&world, false);
}

/* sock.determinism, sock.two-stacks: two worlds that run in turns give the frames that each gives alone. */
Test(turns, the_same_seed_and_the_same_calls_give_the_same_frames)
{
    static struct world worlds[4];
    struct sock *listeners[2], *clients[2];

    for (int i = 0; i < 2; i++) {
        start(&worlds[i], 5 + (uint64_t)i);
        connect_and_talk(&worlds[i], 0, 1);
    }
    start(&worlds[2], 5);
    connect_and_talk(&worlds[2], 0, 1);
    cr_assert(worlds[0].tracers[1].frames > 100);
    for (int side = 0; side < SIDES; side++) {
        cr_assert_eq(worlds[2].tracers[side].hash, worlds[0].tracers[side].hash);
        cr_assert_neq(worlds[1].tracers[side].hash, worlds[0].tracers[side].hash);
    }
    for (int i = 0; i < 3; i++)
        finish(&worlds[i], false);
    for (int i = 0; i < 2; i++) {
        start(&worlds[i], 9);
        listeners[i] = listen_at(worlds[i].stacks[0]);
        clients[i] = connect_to(worlds[i].stacks[1], ip_of_side(0));
    }
    for (int i = 0; i < 200; i++)
        run(&worlds[i % 2], MS);
    for (int side = 0; side < SIDES; side++)
        cr_assert_eq(worlds[1].tracers[side].hash, worlds[0].tracers[side].hash);
    for (int i = 0; i < 2; i++) {
        pal__n_sock_close(clients[i]);
        pal__n_sock_close(listeners[i]);
        finish(&worlds[i], true);
    }
}

/* sock.stack-teardown, tcp.timer.cancel-on-close: listening, queued, half open, calling, open with data under way,
 * closing, in TIME-WAIT. */
Test(turns, a_stack_can_be_ended_in_the_middle_of_everything)
{
    for (int after_ms = 0; after_ms < 24; after_ms++) {
        struct world world;
        struct sock *listener, *clients[6], *server = NULL;
        static uint8_t bytes[30000];

        start(&world, 6);
        listener = listen_at(world.stacks[0]);
        for (int i = 0; i < 5; i++)
            clients[i] = connect_to(world.stacks[1], ip_of_side(0));
        clients[5] = connect_to(world.stacks[1], ip_of_number(0x0a000063));
        run(&world, (uint64_t)after_ms * MS);
        if (pal__n_sock_accept(listener, &server, NULL) == 0) {
            pal__n_sock_send(server, bytes, sizeof(bytes), 0);
            pal__n_sock_shutdown(server, PAL_SHUT_WR);
            pal__n_sock_close(clients[1]);
            run(&world, (uint64_t)(after_ms % 5) * MS);
        }
        finish(&world, after_ms % 2 == 0);
    }
}

/* With notice, the peer's program is told at once. */
Test(turns, ending_a_stack_with_notice_resets_its_connections)
{
    struct world world;
    struct sock *listener, *client, *server;
    uint8_t byte;

    start(&world, 7);
    listener = listen_at(world.stacks[0]);
    client = connect_to(world.stacks[1], ip_of_side(0));
    run(&world, 50 * MS);
    cr_assert_eq(pal__n_sock_accept(listener, &server, NULL), 0);
    pal__n_stack_destroy(world.stacks[0], true);
    world.now_ns += 10 * MS;
    pal__n_pair_set_time(world.pair, world.now_ns);
    pal__n_stack_poll(world.stacks[1], world.now_ns);
    cr_assert_eq(pal__n_sock_recv(client, &byte, 1, 0), PAL_ECONNRESET);
    pal__n_stack_destroy(world.stacks[1], true);
    pal__n_pair_destroy(world.pair);
    cr_assert_eq(world.memory.blocks, 0);
}
