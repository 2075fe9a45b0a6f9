/* netstack_scale.c: what an acknowledgement costs with so many segments in flight, and a timer with so many armed, in
 * the user-space stack, so that a tool can count whether it stays the same.
 *
 * usage: netstack-scale flight SEGMENTS PACKETS | timers TIMERS CHANGES
 *
 * flight: one connection over wires with a long way keeps about SEGMENTS in flight, of which one in a thousand is lost,
 * until PACKETS have been sent. timers: with TIMERS armed, CHANGES times one is armed, moved and stopped. Prints
 * "done N": packets sent or changes made after the start. */
#include "../backends/netstack/nic_faults.h"
#include "../backends/netstack/nic_pair.h"
#include "../backends/netstack/stack.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENDS = 2, SEGMENT_SIZE = 1448, WRITE_SIZE = 65536 };

struct world {
    struct nic_pair *pair;
    struct nic_faults *faults; /* on what end 1 receives */
    struct netstack *stacks[ENDS];
    uint64_t now_ns;
};

static void must(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "netstack-scale: %s: %s\n", what, pal_error_text(result));
        exit(1);
    }
}

static void *allocate(void *context, size_t size, size_t alignment)
{
    void *memory = NULL;

    (void)context;
    return posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0 ? memory : NULL;
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static const struct pal_allocator allocator = {allocate, release, NULL};

static struct netstack_config config_for(uint32_t segments)
{
    struct netstack_config config = {.allocator = &allocator, .seed = 1, .now_ns = 1000000000};

    config.send_buffer = config.receive_buffer = segments * SEGMENT_SIZE + 16 * SEGMENT_SIZE;
    config.send_buffer_max = config.receive_buffer_max = config.send_buffer;
    config.segments_max = 8 * segments + 4096;
    config.chunks_max = 2 * segments + 4096;
    config.held_frames_max = 8 * segments + 16384;
    return config;
}

static void open_world(struct world *world, uint32_t segments)
{
    struct pair_config pair = {.allocator = &allocator};
    struct faults_config faults = {.allocator = &allocator, .seed = 1, .held_max = 16, .rates = {.loss_ppm = 1000}};
    struct netstack_config config = config_for(segments);

    world->now_ns = config.now_ns;
    for (int end = 0; end < ENDS; end++) {
        pair.ends[end].delay_ns = 20000000;
        pair.ends[end].frames = 4 * segments + 8192;
        pair.ends[end].ring = 2 * segments + 4096;
    }
    must(pal__n_pair_create(&pair, &world->pair), "the wires");
    must(pal__n_faults_create(&faults, pal__n_pair_nic(world->pair, 1), &world->faults), "the losses");
    for (int end = 0; end < ENDS; end++) {
        struct nic *nic = end == 0 ? pal__n_pair_nic(world->pair, 0) : pal__n_faults_nic(world->faults);
        struct ip ip = ip_of_number(0x0a000001 + (uint32_t)end);
        int ifindex;

        must(pal__n_stack_create(&config, &world->stacks[end]), "a stack");
        ifindex = pal__n_iface_add(world->stacks[end], nic, "eth0", 0);
        must(ifindex, "an interface");
        must(pal__n_addr_add(world->stacks[end], (uint32_t)ifindex, &ip, 24), "an address");
    }
}

/* To the next time at which something happens. */
static void step(struct world *world)
{
    uint64_t next_ns = pal__n_pair_next(world->pair);

    for (int end = 0; end < ENDS; end++) {
        uint64_t due_ns = pal__n_stack_next(world->stacks[end]);

        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    must(next_ns == UINT64_MAX ? PAL_EDEADLK : 0, "the next step");
    world->now_ns = next_ns > world->now_ns ? next_ns : world->now_ns;
    pal__n_pair_set_time(world->pair, world->now_ns);
    pal__n_faults_set_time(world->faults, world->now_ns);
    for (int end = 0; end < ENDS; end++) {
        pal__n_stack_poll(world->stacks[end], world->now_ns);
        pal__n_stack_flush(world->stacks[end], world->now_ns);
    }
}

static void connect_both(struct world *world, struct sock **from, struct sock **to)
{
    struct pal_addr addr = {.family = PAL_AF_INET, .size = 4, .port = 7, .bytes = {10, 0, 0, 2}};
    struct sock *listener;
    int result;

    must(pal__n_sock_open(world->stacks[1], PAL_AF_INET, PAL_SOCK_STREAM, &listener), "a listener");
    must(pal__n_sock_bind(listener, &addr), "its port");
    must(pal__n_sock_listen(listener, 1), "listening");
    must(pal__n_sock_open(world->stacks[0], PAL_AF_INET, PAL_SOCK_STREAM, from), "a socket");
    result = pal__n_sock_connect(*from, &addr);
    must(result == PAL_EINPROGRESS ? 0 : result, "connecting");
    while ((result = pal__n_sock_accept(listener, to, NULL)) == PAL_EAGAIN)
        step(world);
    must(result, "accepting");
}

static uint64_t send_so_many(struct world *world, struct sock *from, struct sock *to, uint64_t packets)
{
    static uint8_t bytes[WRITE_SIZE];
    const uint64_t *counters = pal__n_stack_counters(world->stacks[0]);
    uint64_t first = counters[COUNTER_tcp_out];

    while (counters[COUNTER_tcp_out] - first < packets) {
        int32_t result;

        while ((result = pal__n_sock_send(from, bytes, sizeof(bytes), 0)) > 0)
            continue;
        must(result == PAL_EAGAIN ? 0 : result, "sending");
        step(world);
        while ((result = pal__n_sock_recv(to, bytes, sizeof(bytes), 0)) > 0)
            continue;
        must(result == PAL_EAGAIN ? 0 : result, "receiving");
        tcb_of(from)->cwnd = tcb_of(from)->ssthresh = 1 << 30; /* the send buffer alone says how much is in flight */
    }
    return counters[COUNTER_tcp_out] - first;
}

static uint64_t flight(uint32_t segments, uint64_t packets)
{
    struct world world = {NULL, NULL, {NULL, NULL}, 0};
    struct sock *from, *to;
    uint64_t sent;

    open_world(&world, segments);
    connect_both(&world, &from, &to);
    send_so_many(&world, from, to, 20 * (uint64_t)segments); /* the window opens */
    sent = packets == 0 ? 0 : send_so_many(&world, from, to, packets);
    for (int end = 0; end < ENDS; end++)
        pal__n_stack_destroy(world.stacks[end], false);
    pal__n_faults_destroy(world.faults);
    pal__n_pair_destroy(world.pair);
    return sent;
}

static uint64_t timers(uint32_t count, uint64_t changes)
{
    struct netstack_config config = config_for(16);
    struct timer *armed = calloc(count, sizeof(*armed));
    struct netstack *stack;
    struct timer one;
    struct random random;

    must(pal__n_stack_create(&config, &stack), "a stack");
    must(armed == NULL ? PAL_ENOMEM : 0, "timers");
    pal__n_random_seed(&random, 1);
    timer_init(&one, TIMER_DST);
    for (uint32_t i = 0; i < count; i++) {
        timer_init(&armed[i], TIMER_DST);
        pal__n_timer_set(stack, &armed[i],
                         config.now_ns + 1000000000 + pal__n_random_below(&random, 3600) * UINT64_C(1000000));
    }
    for (uint64_t i = 0; i < changes; i++) {
        pal__n_timer_set(stack, &one, config.now_ns + pal__n_random_below(&random, 2000000000));
        pal__n_timer_set(stack, &one, config.now_ns + pal__n_random_below(&random, 2000000000));
        pal__n_timer_stop(stack, &one);
    }
    for (uint32_t i = 0; i < count; i++)
        pal__n_timer_stop(stack, &armed[i]);
    free(armed);
    pal__n_stack_destroy(stack, false);
    return changes;
}

int main(int argc, char **argv)
{
    uint32_t scale = argc == 4 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint64_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;

    if (argc == 4 && strcmp(argv[1], "flight") == 0) {
        printf("done %llu\n", (unsigned long long)flight(scale, count));
    } else if (argc == 4 && strcmp(argv[1], "timers") == 0) {
        printf("done %llu\n", (unsigned long long)timers(scale, count));
    } else {
        fprintf(stderr, "usage: netstack-scale flight SEGMENTS PACKETS | timers TIMERS CHANGES\n");
        return 2;
    }
    return 0;
}
