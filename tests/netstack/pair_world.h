/* tests/netstack/pair_world.h: two whole stacks on a pair of wires, and time that the test moves.
 *
 * A test executable includes it once. Side 0 is 10.0.0.1/8 and fd00::1/64, side 1 10.0.0.2/8 and fd00::2/64. */
#ifndef TESTS_NETSTACK_PAIR_WORLD_H
#define TESTS_NETSTACK_PAIR_WORLD_H

#include "../../backends/netstack/nic_pair.h"
#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"
#include <pal/address.h>

enum { SIDES = 2, IFINDEX = 2 };

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct counting memory;
static struct nic_pair *pair;
static struct netstack *stacks[SIDES];
static uint64_t now_ns;
static uint64_t allocations; /* when everything had been made */

static inline struct pal_addr addr(const char *host, uint16_t port)
{
    struct pal_addr out;

    cr_assert_eq(pal_addr_from_host(&out, host, port), 0, "%s", host);
    return out;
}

static inline struct ip ip(const char *host)
{
    struct pal_addr parsed = addr(host, 0);

    return parsed.family == PAL_AF_INET ? ip_of_v4(parsed.bytes) : ip_of_v6(parsed.bytes);
}

/* config is of both, but for the seed. */
static inline void begin(const struct netstack_config *config, uint32_t frames, uint32_t ring)
{
    static const char *const own[SIDES][2] = {{"10.0.0.1", "fd00::1"}, {"10.0.0.2", "fd00::2"}};
    struct pair_config wires;

    memset(&wires, 0, sizeof(wires));
    counting_init(&memory);
    now_ns = 5 * SECOND;
    wires.allocator = &memory.allocator;
    wires.ends[0].frames = wires.ends[1].frames = frames;
    wires.ends[0].ring = wires.ends[1].ring = ring;
    cr_assert_eq(pal__n_pair_create(&wires, &pair), 0);
    pal__n_pair_set_time(pair, now_ns);
    for (int side = 0; side < SIDES; side++) {
        struct netstack_config own_config = *config;
        struct ip own4 = ip(own[side][0]), own6 = ip(own[side][1]);

        own_config.allocator = &memory.allocator;
        own_config.seed = 1 + (uint64_t)side;
        own_config.now_ns = now_ns;
        cr_assert_eq(pal__n_stack_create(&own_config, &stacks[side]), 0);
        cr_assert_eq(pal__n_iface_add(stacks[side], pal__n_pair_nic(pair, side), "eth0", 0), IFINDEX);
        cr_assert_eq(pal__n_addr_add(stacks[side], IFINDEX, &own4, 8), 0);
        cr_assert_eq(pal__n_addr_add(stacks[side], IFINDEX, &own6, 64), 0);
    }
    allocations = memory.allocations;
}

static inline void end(void)
{
    cr_assert_eq(memory.allocations, allocations, "something was allocated on the way");
    for (int side = 0; side < SIDES; side++)
        pal__n_stack_destroy(stacks[side], false);
    for (int side = 0; side < SIDES; side++)
        cr_assert_eq(pal__n_pair_used(pair, side), 0, "a frame was not given back");
    pal__n_pair_destroy(pair);
    cr_assert_eq(memory.blocks, 0);
}

/* A turn of both, now, without their programs. */
static inline void turn(void)
{
    for (int side = 0; side < SIDES; side++) {
        pal__n_stack_poll(stacks[side], now_ns);
        pal__n_stack_flush(stacks[side], now_ns);
    }
}

static inline void pass(uint64_t for_ns)
{
    now_ns += for_ns;
    pal__n_pair_set_time(pair, now_ns);
}

static inline void check_stacks(void)
{
    for (int side = 0; side < SIDES; side++) {
        const char *wrong = pal__n_stack_check(stacks[side]);

        cr_assert_null(wrong, "%s", wrong);
    }
}

/* From deadline to deadline. */
static inline void run(uint64_t for_ns)
{
    uint64_t end_ns = now_ns + for_ns;

    for (;;) {
        uint64_t next_ns = pal__n_pair_next(pair);

        for (int side = 0; side < SIDES; side++) {
            uint64_t own_ns = pal__n_stack_next(stacks[side]);

            next_ns = own_ns < next_ns ? own_ns : next_ns;
        }
        if (next_ns > end_ns)
            break;
        pass(next_ns > now_ns ? next_ns - now_ns : 0);
        turn();
    }
    pass(end_ns - now_ns);
    turn();
}

static inline struct sock *listen_at(int side, const char *host, uint16_t port, int backlog)
{
    struct pal_addr at = addr(host, port);
    struct sock *sock;

    cr_assert_eq(pal__n_sock_open(stacks[side], at.family, PAL_SOCK_STREAM, &sock), 0);
    cr_assert_eq(pal__n_sock_bind(sock, &at), 0);
    cr_assert_eq(pal__n_sock_listen(sock, backlog), 0);
    return sock;
}

static inline struct sock *connect_to(int side, const char *host, uint16_t port)
{
    struct pal_addr to = addr(host, port);
    struct sock *sock;

    cr_assert_eq(pal__n_sock_open(stacks[side], to.family, PAL_SOCK_STREAM, &sock), 0);
    cr_assert_eq(pal__n_sock_connect(sock, &to), PAL_EINPROGRESS);
    return sock;
}

#endif
