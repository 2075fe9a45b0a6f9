/* tests/dpdk/ring_world.h: two whole stacks on two ports of DPDK that are joined by rings, and time that the test
 * moves.
 *
 * A test executable includes it once; every test is a process, so that each starts DPDK anew. Side 0 is 10.0.0.1/8 and
 * fd00::1/64, side 1 10.0.0.2/8 and fd00::2/64. */
#ifndef TESTS_DPDK_RING_WORLD_H
#define TESTS_DPDK_RING_WORLD_H

#include "../../backends/dpdk/port.h"
#include "../../backends/netstack/stack.h"
#include "../netstack/counting_allocator.h"
#include "support/test.h"
#include <pal/address.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <time.h>

enum { SIDES = 2, IFINDEX = 2, RING = 256 };

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct counting memory;
static struct dpdk_settings settings;
static struct rte_ring *rings[SIDES]; /* what each side receives from */
static struct dpdk_port *ports[SIDES];
static struct netstack *stacks[SIDES];
static uint64_t now_ns;
static uint64_t allocations; /* when everything had been made */
static char words_buffer[DPDK_WORDS_MAX], notes_buffer[DPDK_WORDS_MAX];
static struct base_text words, notes;

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

/* ---- DPDK ---- */

/* Reads the settings and starts DPDK on them. */
static inline void begin_dpdk(const char *text)
{
    struct dpdk_plan plan;
    int error;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    error = pal__d_settings_read(&settings, text, &words);
    if (error == 0)
        error = pal__d_preflight(&settings, "", &plan, &notes, &words);
    if (error == 0)
        error = pal__d_eal_start(&settings, &plan, &words);
    cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), words.data);
}

/* A port of `queues` queues each, what one sends the other receives. */
static inline void begin_ports(uint32_t room)
{
    static const char *const names[SIDES] = {"ring0", "ring1"};

    for (int side = 0; side < SIDES; side++) {
        rings[side] = rte_ring_create(names[side], room, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        cr_assert(rings[side] != NULL);
    }
    for (int side = 0; side < SIDES; side++) {
        int id = rte_eth_from_rings(names[side], &rings[side], 1, &rings[1 - side], 1, 0);
        int error;

        cr_assert_geq(id, 0);
        error = pal__d_port_open_id(&settings, (uint32_t)side, (uint16_t)id, &ports[side], &words);
        cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), words.data);
    }
}

/* The two devices of the settings, once there is a link between them. */
static inline void begin_devices(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (int side = 0; side < SIDES; side++) {
        int error = pal__d_port_open(&settings, (uint32_t)side, &ports[side], &words);

        cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), words.data);
    }
    for (int side = 0; side < SIDES; side++) {
        for (int i = 0; i < 10000 && !pal__d_port_link(ports[side]).is_up; i++)
            nanosleep(&moment, NULL);
        cr_assert(pal__d_port_link(ports[side]).is_up, "%s has no link", pal__d_port_name(ports[side]));
    }
}

static inline void end_ports(void)
{
    for (int side = 0; side < SIDES; side++)
        pal__d_port_stop(ports[side]);
    for (int side = 0; side < SIDES; side++)
        cr_assert_eq(pal__d_port_close(ports[side]), 0, "a packet buffer was not given back");
    for (int side = 0; side < SIDES; side++)
        rte_ring_free(rings[side]); /* NULL: devices */
    pal__d_eal_stop();
}

/* ---- the stacks ---- */

/* config is of both, but for the seed. */
static inline void begin_stacks(const struct netstack_config *config)
{
    static const char *const own[SIDES][2] = {{"10.0.0.1", "fd00::1"}, {"10.0.0.2", "fd00::2"}};

    counting_init(&memory);
    now_ns = 5 * SECOND;
    for (int side = 0; side < SIDES; side++) {
        struct netstack_config own_config = *config;
        struct ip own4 = ip(own[side][0]), own6 = ip(own[side][1]);

        own_config.allocator = &memory.allocator;
        own_config.seed = 1 + (uint64_t)side;
        own_config.now_ns = now_ns;
        cr_assert_eq(pal__n_stack_create(&own_config, &stacks[side]), 0);
        cr_assert_eq(pal__n_iface_add(stacks[side], pal__d_port_nic(ports[side], 0), "eth0", 0), IFINDEX);
        cr_assert_eq(pal__n_addr_add(stacks[side], IFINDEX, &own4, 8), 0);
        cr_assert_eq(pal__n_addr_add(stacks[side], IFINDEX, &own6, 64), 0);
    }
    allocations = memory.allocations;
}

/* extra: settings. */
static inline void begin(const struct netstack_config *config, const char *extra)
{
    char text[512];

    snprintf(text, sizeof(text), "device net_ring0 ; device net_ring1 ; %s", extra);
    begin_dpdk(text);
    begin_ports(RING);
    begin_stacks(config);
}

static inline void end(void)
{
    cr_assert_eq(memory.allocations, allocations, "something was allocated on the way");
    for (int side = 0; side < SIDES; side++)
        pal__n_stack_destroy(stacks[side], false);
    cr_assert_eq(memory.blocks, 0);
    end_ports();
}

/* A turn of both, now, without their programs. */
static inline void turn(void)
{
    for (int side = 0; side < SIDES; side++) {
        pal__n_stack_poll(stacks[side], now_ns);
        pal__n_stack_flush(stacks[side], now_ns);
    }
}

static inline void check_stacks(void)
{
    for (int side = 0; side < SIDES; side++) {
        const char *wrong = pal__n_stack_check(stacks[side]);

        cr_assert_null(wrong, "%s", wrong);
    }
}

/* So long, in steps of 10 us. */
static inline void run(uint64_t for_ns)
{
    for (uint64_t end_ns = now_ns + for_ns; now_ns < end_ns; now_ns += 10 * US)
        turn();
    turn();
}

static inline struct sock *listen_at(int side, const char *host, uint16_t port, int backlog)
{
    struct pal_addr at = addr(host, port);
    struct sock *sock;
    int error;

    cr_assert_eq(pal__n_sock_open(stacks[side], at.family, PAL_SOCK_STREAM, &sock), 0);
    error = pal__n_sock_bind(sock, &at);
    cr_assert_eq(error, 0, "%s: %s", host, pal_error_name(error));
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
