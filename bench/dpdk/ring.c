/* bench/dpdk/ring.c: round trips between two ports of DPDK in one process, joined by rings: raw frames by DPDK's own
 * bursts, and UDP and TCP between two stacks, in turns.
 *
 * usage: dpdk-ring one|two ROUNDS TRIPS SIZE...
 *
 * two: each side has a thread of its own, on CPUs 0 and 1; one: one thread serves both in turns. All of it at the level
 * of the stack, as a process has one card behind the seam. Nobody sleeps. */
#include "../../backends/netstack/stack.h"
#include "raw.h"
#include "trips.h"
#include <pal/address.h>
#include <pthread.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <sched.h>

enum { SIDES = 2, ROOM = 256, MESSAGE_MAX = 1400, PORT = 7 };
enum kind { RAW, UDP, TCP, KINDS };

static const char *const names[KINDS] = {"raw", "udp", "tcp"};
static const char *const hosts[SIDES] = {"10.0.0.1", "10.0.0.2"};

struct side {
    struct dpdk_port *port;
    struct raw raw;
    struct netstack *stack;
    struct sock *socks[KINDS];
    uint32_t taken; /* bytes of a message that is not complete */
    uint8_t bytes[MESSAGE_MAX];
};

static struct side sides[SIDES];
static struct rte_ring *rings[SIDES]; /* what each side receives from */
static struct histogram trips;

/* ---- a side ---- */

/* One look. True: a whole message has come. */
static bool side_receives(struct side *side, enum kind kind, uint32_t size)
{
    int32_t got;

    (void)pal__n_stack_poll(side->stack, clock_ns());
    got = pal__n_sock_recv(side->socks[kind], side->bytes + side->taken, size - side->taken, 0);
    must(got > 0 || got == PAL_EAGAIN, "receiving");
    side->taken += got > 0 ? (uint32_t)got : 0;
    if (side->taken < size)
        return false;
    side->taken = 0;
    return true;
}

static void side_sends(struct side *side, enum kind kind, uint32_t size)
{
    must(pal__n_sock_send(side->socks[kind], side->bytes, size, 0) == (int32_t)size, "sending");
    pal__n_stack_flush(side->stack, pal__n_stack_now(side->stack));
}

/* One look of the side that answers. True: it has answered. */
static bool answer(enum kind kind, uint32_t size)
{
    struct side *side = &sides[1];
    bool ended = false;

    if (kind == RAW)
        return raw_answer(&side->raw, &ended) > 0;
    if (!side_receives(side, kind, size))
        return false;
    side_sends(side, kind, size);
    return true;
}

static void ask(enum kind kind, uint32_t size)
{
    if (kind == RAW)
        must(raw_ask(&sides[0].raw, RAW_PING, size), "the ring");
    else
        side_sends(&sides[0], kind, size);
}

static bool is_answered(enum kind kind, uint32_t size)
{
    return kind == RAW ? raw_is_answered(&sides[0].raw) : side_receives(&sides[0], kind, size);
}

/* ---- measuring ---- */

struct run {
    enum kind kind;
    uint32_t size;
    uint64_t trips;
    bool alone; /* one thread serves both sides */
};

static void pin(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "two CPUs");
}

static void *answer_all(void *argument)
{
    const struct run *run = argument;

    pin(1);
    must(pal__d_eal_enter(&words) == 0, "DPDK takes no thread");
    for (uint64_t done = 0; done < run->trips + trips_warm(run->trips);)
        done += answer(run->kind, run->size);
    pal__d_eal_leave();
    return NULL;
}

/* What is left to acknowledge, on both sides. */
static void settle(void)
{
    for (int i = 0; i < 8; i++) {
        for (int side = 0; side < SIDES; side++) {
            (void)pal__n_stack_poll(sides[side].stack, clock_ns());
            pal__n_stack_flush(sides[side].stack, clock_ns());
        }
    }
}

static void measure(struct run *run)
{
    uint64_t warm = trips_warm(run->trips);
    pthread_t other;

    if (!run->alone)
        must(pthread_create(&other, NULL, answer_all, run) == 0, "a thread");
    for (uint64_t i = 0; i < warm + run->trips; i++) {
        uint64_t began_ns = clock_ns();

        ask(run->kind, run->size);
        if (run->alone)
            while (!answer(run->kind, run->size))
                continue;
        while (!is_answered(run->kind, run->size))
            continue;
        if (i >= warm)
            histogram_record(&trips, clock_ns() - began_ns);
    }
    if (!run->alone)
        pthread_join(other, NULL);
    settle();
    tell_trips(&trips, names[run->kind], run->size);
}

/* ---- the two sides ---- */

static void *allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static const struct pal_allocator allocator = {allocate, release, NULL};

static void begin_ports(void)
{
    static const char *const ring_names[SIDES] = {"bench0", "bench1"};

    begin_dpdk("device net_ring0 ; device net_ring1 ; cores 0 ; mbufs 4096 ; descriptors 512");
    for (int side = 0; side < SIDES; side++)
        rings[side] = rte_ring_create(ring_names[side], ROOM, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
    for (int side = 0; side < SIDES; side++) {
        int id = rte_eth_from_rings(ring_names[side], &rings[side], 1, &rings[1 - side], 1, 0);

        must(id >= 0, "rings");
        must(pal__d_port_open_id(&settings, (uint32_t)side, (uint16_t)id, &sides[side].port, &words) == 0, "a port");
        raw_begin(&sides[side].raw, (uint16_t)id);
    }
}

static struct pal_addr address(int side)
{
    struct pal_addr addr;

    must(pal_addr_from_host(&addr, hosts[side], PORT) == 0, "an address");
    return addr;
}

static void begin_stack(int side)
{
    struct netstack_config config = {.allocator = &allocator, .seed = 1 + (uint64_t)side, .now_ns = clock_ns()};
    struct netstack **stack = &sides[side].stack;
    struct pal_addr own = address(side), other = address(1 - side);
    struct sock **udp = &sides[side].socks[UDP];
    struct ip ip = ip_of_v4(own.bytes);
    int ifindex;

    must(pal__n_stack_create(&config, stack) == 0, "a stack");
    ifindex = pal__n_iface_add(*stack, pal__d_port_nic(sides[side].port, 0), "eth0", 0);
    must(ifindex > 0 && pal__n_addr_add(*stack, (uint32_t)ifindex, &ip, 24) == 0, "an interface");
    must(pal__n_sock_open(*stack, PAL_AF_INET, PAL_SOCK_DGRAM, udp) == 0, "a socket");
    must(pal__n_sock_bind(*udp, &own) == 0 && pal__n_sock_connect(*udp, &other) == 0, "its names");
}

static void connect_both(void)
{
    struct pal_addr addr = address(1);
    struct sock *listener;

    must(pal__n_sock_open(sides[1].stack, PAL_AF_INET, PAL_SOCK_STREAM, &listener) == 0, "a listener");
    must(pal__n_sock_bind(listener, &addr) == 0 && pal__n_sock_listen(listener, 1) == 0, "listening");
    must(pal__n_sock_open(sides[0].stack, PAL_AF_INET, PAL_SOCK_STREAM, &sides[0].socks[TCP]) == 0, "a socket");
    must(pal__n_sock_connect(sides[0].socks[TCP], &addr) == PAL_EINPROGRESS, "connecting");
    for (int i = 0; pal__n_sock_accept(listener, &sides[1].socks[TCP], NULL) != 0; i++) {
        must(i < 1000, "accepting");
        settle();
    }
    pal__n_sock_close(listener);
    for (int side = 0; side < SIDES; side++)
        pal__n_sock_watch(sides[side].socks[TCP], PAL_IN); /* as a poll does: then an answer carries the ACK */
    settle();
}

static int end(void)
{
    uint32_t missing = 0;

    for (int side = 0; side < SIDES; side++)
        pal__n_stack_destroy(sides[side].stack, false);
    for (int side = 0; side < SIDES; side++)
        pal__d_port_stop(sides[side].port);
    for (int side = 0; side < SIDES; side++)
        missing += pal__d_port_close(sides[side].port);
    pal__d_eal_stop();
    printf("missing %u\n", missing);
    return missing != 0;
}

int main(int count, char **arguments)
{
    struct run run = {.alone = count > 1 && strcmp(arguments[1], "one") == 0};
    long rounds = count > 4 ? strtol(arguments[2], NULL, 10) : 0;

    if (rounds < 1 || (!run.alone && strcmp(arguments[1], "two") != 0)) {
        fprintf(stderr, "usage: dpdk-ring one|two ROUNDS TRIPS SIZE...\n");
        return 2;
    }
    run.trips = strtoull(arguments[3], NULL, 10);
    begin_ports();
    for (int side = 0; side < SIDES; side++)
        begin_stack(side);
    connect_both();
    for (long round = 0; round < rounds; round++) {
        for (int i = 4; i < count; i++) {
            run.size = (uint32_t)strtoul(arguments[i], NULL, 10);
            must(run.size > 0 && run.size <= MESSAGE_MAX, "a size of 1 to 1400");
            for (run.kind = RAW; run.kind < KINDS; run.kind++)
                measure(&run);
        }
    }
    return end();
}
