/* netstack_load.c: two user-space stacks over a pair of wires in memory, one of which asks and the other answers, so
 * that a tool can count what a packet costs.
 *
 * usage: netstack-load tcp|udp|frames CONNECTIONS MESSAGES
 *
 * Opens CONNECTIONS, then sends MESSAGES of 64 bytes, each over one that is chosen by a fixed sequence of random
 * numbers, and waits for its echo. frames: the same frames go to and fro without any stack, which is what the wires
 * cost. Prints "packets P allocations A idle-bytes I": packets exchanged after the connections were open, allocations
 * made then, and by how much an idle connection has grown the resident memory, both ends together. */
#include "../backends/netstack/netstack.h"
#include "../backends/netstack/nic_pair.h"
#include "../backends/netstack/sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ASKS, ANSWERS, ENDS, MESSAGE_SIZE = 64, SERVICES = 16, ADDRESSES = 8, PORT_FIRST = 7000 };

struct world {
    struct pal_allocator allocator;
    struct nic_pair *pair;
    struct netstack *stacks[ENDS];
    struct sock **asking;
    struct sock *listeners[SERVICES];
    uint64_t now_ns, allocations;
    uint32_t connections;
    uint32_t random;
};

static void must(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "netstack-load: %s: %s\n", what, pal_error_text(result));
        exit(1);
    }
}

static void *allocate(void *context, size_t size, size_t alignment)
{
    struct world *world = context;
    void *memory = NULL;

    world->allocations++;
    return posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0 ? memory : NULL;
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint32_t below(struct world *world, uint32_t bound)
{
    world->random = world->random * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)world->random * bound >> 32);
}

static void open_pair(struct world *world)
{
    struct pair_config config = {.allocator = &world->allocator};

    for (int end = 0; end < ENDS; end++) {
        config.ends[end].frames = 8192;
        config.ends[end].ring = 2048;
    }
    must(pal__n_pair_create(&config, &world->pair), "the wires");
}

static struct pal_addr address(uint32_t host, uint16_t port)
{
    struct pal_addr addr = {.family = PAL_AF_INET, .size = 4, .port = port, .bytes = {10, 0, 0, (uint8_t)host}};

    return addr;
}

/* Hosts 1 to 8 ask, host 100 answers. */
static void open_stack(struct world *world, int end)
{
    struct netstack_config config = {.allocator = &world->allocator, .seed = 1, .now_ns = world->now_ns};
    uint32_t count = end == ASKS ? ADDRESSES : 1;
    int ifindex;

    config.tcp_max = config.udp_max = world->connections + SERVICES + 1;
    config.embryos_max = 4096;
    must(pal__n_stack_create(&config, &world->stacks[end]), "a stack");
    ifindex = pal__n_iface_add(world->stacks[end], pal__n_pair_nic(world->pair, end), "eth0", 0);
    must(ifindex, "an interface");
    for (uint32_t i = 0; i < count; i++) {
        struct ip ip = ip_of_number(0x0a000000 + (end == ASKS ? 1 + i : 100));

        must(pal__n_addr_add(world->stacks[end], (uint32_t)ifindex, &ip, 24), "an address");
    }
}

static void turn(struct world *world)
{
    world->now_ns += 1000;
    pal__n_pair_set_time(world->pair, world->now_ns);
    for (int end = 0; end < ENDS; end++)
        pal__n_stack_poll(world->stacks[end], world->now_ns);
}

static void open_services(struct world *world, int type)
{
    for (uint16_t i = 0; i < (type == PAL_SOCK_STREAM ? SERVICES : 1); i++) {
        struct pal_addr addr = address(100, (uint16_t)(PORT_FIRST + i));

        must(pal__n_sock_open(world->stacks[ANSWERS], PAL_AF_INET, type, &world->listeners[i]), "a service");
        must(pal__n_sock_bind(world->listeners[i], &addr), "its port");
        if (type == PAL_SOCK_STREAM)
            must(pal__n_sock_listen(world->listeners[i], 1024), "listening");
        pal__n_sock_watch(world->listeners[i], PAL_IN);
    }
}

/* Answers whatever waits for an answer. */
static void answer(struct world *world)
{
    struct sock *ready[64];
    int count = pal__n_stack_ready(world->stacks[ANSWERS], ready, 64);

    for (int i = 0; i < count; i++) {
        uint8_t bytes[MESSAGE_SIZE];
        struct pal_addr from;
        struct pal_iov iov = {bytes, sizeof(bytes)};
        struct pal_msg msg = {.iov = &iov, .iov_count = 1, .addr = &from};
        struct sock *accepted;
        int32_t size;

        if (ready[i]->flags & SOCK_LISTENING) {
            while (pal__n_sock_accept(ready[i], &accepted, NULL) == 0)
                pal__n_sock_watch(accepted, PAL_IN);
        } else if (ready[i]->kind == SOCK_TCP) {
            size = pal__n_sock_recv(ready[i], bytes, sizeof(bytes), 0);
            must(pal__n_sock_send(ready[i], bytes, (size_t)size, 0), "an answer");
        } else {
            must(pal__n_sock_recv_msgs(ready[i], &msg, 1, 0), "a question");
            iov.size = (size_t)msg.size;
            must(pal__n_sock_send_msgs(ready[i], &msg, 1, 0), "an answer");
        }
    }
}

static void open_connections(struct world *world, int type)
{
    for (uint32_t i = 0; i < world->connections; i++) {
        struct pal_addr from = address(1 + i % ADDRESSES, (uint16_t)(20000 + i / ADDRESSES));
        uint16_t service = type == PAL_SOCK_STREAM ? (uint16_t)(i / ADDRESSES % SERVICES) : 0;
        struct pal_addr to = address(100, (uint16_t)(PORT_FIRST + service));
        struct sock *sock;
        int result;

        must(pal__n_sock_open(world->stacks[ASKS], PAL_AF_INET, type, &sock), "a socket");
        if (type == PAL_SOCK_DGRAM)
            must(pal__n_sock_bind(sock, &from), "its address");
        result = pal__n_sock_connect(sock, &to);
        must(result == PAL_EINPROGRESS ? 0 : result, "connecting");
        world->asking[i] = sock;
        for (int turns = 0; type == PAL_SOCK_STREAM && !(pal__n_sock_ready(sock) & PAL_OUT); turns++) {
            turn(world);
            answer(world);
            must(turns < 100 ? 0 : PAL_ETIMEDOUT, "connecting");
        }
    }
    for (int i = 0; i < 4; i++) {
        turn(world);
        answer(world);
    }
}

static void ask(struct world *world)
{
    struct sock *sock = world->asking[below(world, world->connections)];
    uint8_t bytes[MESSAGE_SIZE] = {0};

    must(pal__n_sock_send(sock, bytes, sizeof(bytes), 0), "a question");
    for (int turns = 0; !(pal__n_sock_ready(sock) & PAL_IN); turns++) {
        turn(world);
        answer(world);
        must(turns < 100 ? 0 : PAL_ETIMEDOUT, "an answer");
    }
    must(pal__n_sock_recv(sock, bytes, sizeof(bytes), 0), "an answer");
}

/* What the wires themselves cost: a frame there, and one back. */
static void bounce(struct world *world)
{
    for (int end = 0; end < ENDS; end++) {
        struct nic *from = pal__n_pair_nic(world->pair, end), *to = pal__n_pair_nic(world->pair, 1 - end);
        struct frame *frame = frame_alloc(from);

        frame->size = 14 + 20 + 8 + MESSAGE_SIZE;
        memset(frame->data, 0xff, frame->size);
        must(from->ops->tx(from, &frame, 1) == 1 ? 0 : PAL_ENOBUFS, "a frame");
        must(to->ops->rx(to, &frame, 1) == 1 ? 0 : PAL_EAGAIN, "a frame");
        frame_free(frame);
    }
}

static uint64_t packets(const struct world *world)
{
    return pal__n_pair_counts(world->pair, 0)->sent + pal__n_pair_counts(world->pair, 1)->sent;
}

int main(int argc, char **argv)
{
    static struct world world;
    uint32_t messages = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    bool is_frames = argc == 4 && strcmp(argv[1], "frames") == 0;
    int type = argc == 4 && strcmp(argv[1], "udp") == 0 ? PAL_SOCK_DGRAM : PAL_SOCK_STREAM;
    uint64_t before, grown, sent, allocations;

    if (argc != 4) {
        fprintf(stderr, "usage: netstack-load tcp|udp|frames CONNECTIONS MESSAGES\n");
        return 2;
    }
    world.allocator = (struct pal_allocator){allocate, release, &world};
    world.connections = (uint32_t)strtoul(argv[2], NULL, 10);
    world.now_ns = 1000000000;
    world.asking = calloc(world.connections, sizeof(struct sock *));
    open_pair(&world);
    for (int end = 0; !is_frames && end < ENDS; end++)
        open_stack(&world, end);
    before = resident_bytes();
    if (!is_frames) {
        open_services(&world, type);
        open_connections(&world, type);
    }
    grown = resident_bytes() - before;
    sent = packets(&world);
    allocations = world.allocations;
    for (uint32_t i = 0; i < messages; i++) {
        if (is_frames)
            bounce(&world);
        else
            ask(&world);
    }
    printf("packets %llu allocations %llu idle-bytes %llu\n", (unsigned long long)(packets(&world) - sent),
           (unsigned long long)(world.allocations - allocations),
           (unsigned long long)(world.connections == 0 ? 0 : grown / world.connections));
    for (int end = 0; !is_frames && end < ENDS; end++)
        pal__n_stack_destroy(world.stacks[end], false);
    pal__n_pair_destroy(world.pair);
    free(world.asking);
    return 0;
}
