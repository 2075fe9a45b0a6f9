/* tests/netstack/link_world.h: a stack with two interfaces on wires that a test reads and writes, and short names for
 * what is done to it. */
#ifndef TESTS_NETSTACK_LINK_WORLD_H
#define TESTS_NETSTACK_LINK_WORLD_H

#include "counting_allocator.h"
#include "recording_nic.h"

/* An mtu of MTU_V4 keeps IPv6 off the link, and its messages out of the records. */
enum { MTU_V4 = 1200, MTU_BOTH = 1500, ARP_FRAME = 42, PEER_MAC = 2, NEIGHBOURS = 32, PATHS = 64, ROUTES = 16 };

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct counting memory;
static struct recorder wires[2]; /* interfaces 2 and 3, 02:00:00:00:00:01 and :11 */
static struct netstack *stack;
static struct iface *iface; /* on the first wire */

static inline struct ip v4(uint32_t number)
{
    return ip_of_number(number);
}

/* first::last */
static inline struct ip v6(uint32_t first, uint32_t last)
{
    struct ip ip = ip_none();

    put32(ip.bytes, first);
    put32(ip.bytes + 12, last);
    return ip;
}

static inline void mac_of(uint8_t last, uint8_t mac[MAC_SIZE])
{
    memset(mac, 0, MAC_SIZE);
    mac[0] = 2;
    mac[5] = last;
}

static inline uint64_t counted(enum netstack_counter counter)
{
    return stack->counters[counter];
}

static inline void begin_with(uint32_t mtu, uint64_t seed, uint32_t flags)
{
    struct netstack_config config;

    counting_init(&memory);
    memset(&config, 0, sizeof(config));
    config.allocator = &memory.allocator;
    config.seed = seed;
    config.flags = flags;
    config.neighbours_max = NEIGHBOURS;
    config.paths_max = PATHS;
    config.routes_max = ROUTES;
    config.big_frames_max = 4;
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    for (int i = 0; i < 2; i++) {
        recorder_init(&wires[i], &memory.allocator, mtu, (uint8_t)(1 + 16 * i));
        wires[i].stack = stack;
        cr_assert_eq(pal__n_iface_add(stack, &wires[i].nic, "wire", 0), i + 2);
    }
    iface = pal__n_iface_at(stack, 2);
}

static inline void end(void)
{
    pal__n_stack_destroy(stack, false);
    recorder_end(&wires[0]);
    recorder_end(&wires[1]);
    cr_assert_eq(memory.blocks, 0);
}

/* Turns until then, at every time at which something is due. */
static inline void run_until(uint64_t until_ns)
{
    for (;;) {
        uint64_t next_ns = pal__n_stack_next(stack);

        if (next_ns > until_ns)
            break;
        pal__n_stack_poll(stack, next_ns);
    }
    while (pal__n_stack_poll(stack, until_ns))
        ;
}

static inline void turn(void)
{
    run_until(stack->now_ns);
}

/* ---- addresses, routes, paths ---- */

static inline void add(uint32_t ifindex, struct ip ip, unsigned prefix_size)
{
    cr_assert_eq(pal__n_addr_add(stack, ifindex, &ip, prefix_size), 0);
}

static inline int route(uint32_t ifindex, struct ip prefix, unsigned prefix_size, struct ip gateway, uint32_t metric)
{
    return pal__n_route_add(stack, ifindex, &prefix, prefix_size, &gateway, metric);
}

static inline struct dst *get(struct ip ip, uint32_t via)
{
    int error = 0;
    struct dst *dst = pal__n_dst_get(stack, &ip, via, &error);

    cr_assert_not_null(dst, "error %d", error);
    return dst;
}

static inline void put(struct dst *dst)
{
    pal__n_dst_put(stack, dst);
}

/* Why there is no path. */
static inline int refused(struct ip ip, uint32_t via)
{
    int error = 0;

    cr_assert_null(pal__n_dst_get(stack, &ip, via, &error));
    return error;
}

static inline void assert_way(struct ip ip, uint32_t via, uint32_t ifindex, struct ip hop, struct ip source)
{
    struct dst *dst = get(ip, via);

    cr_assert_eq(dst->iface->index, ifindex);
    cr_assert(ip_equal(&dst->next_hop, &hop));
    cr_assert(ip_equal(&dst->source, &source));
    cr_assert_eq(dst->neigh == NULL, ifindex == IFINDEX_LOOPBACK || dst->is_broadcast || dst->is_multicast);
    put(dst);
}

/* ---- frames on the first wire ---- */

/* An IPv4 packet of ours as IP would make it, whose last byte is a number; what to_link says. */
static inline int try_to_send(struct ip to, uint8_t number)
{
    struct dst *dst = get(to, 0);
    struct frame *frame = pal__n_ip_frame(stack, dst, 100);
    int result;

    cr_assert_not_null(frame);
    frame->size = 60;
    memset(frame->data, 0, frame->size);
    frame->data[IP4_VERSION_LENGTH] = 0x45;
    put16(frame->data + IP4_TOTAL, frame->size);
    frame->data[IP4_PROTOCOL] = PAL_IPPROTO_UDP;
    memcpy(frame->data + IP4_SRC, ip_v4_bytes(&dst->source), 4);
    memcpy(frame->data + IP4_DST, ip_v4_bytes(&to), 4);
    frame->data[59] = number;
    result = pal__n_ip_to_link(stack, dst, &to, frame, ETH_P_IP4);
    put(dst);
    return result;
}

static inline void send_to(struct ip to, uint8_t number)
{
    cr_assert_eq(try_to_send(to, number), 0);
    turn();
}

static inline uint8_t number_of(const struct record *record)
{
    return record->bytes[ETH_SIZE + 59];
}

/* An ARP frame; to NULL: broadcast. */
static inline void arp_bytes(uint8_t *out, uint16_t operation, uint8_t from, struct ip sender, struct ip target,
                             const uint8_t *to)
{
    memset(out, 0, ETH_FRAME_MIN);
    memcpy(out, to != NULL ? to : broadcast, MAC_SIZE);
    mac_of(from, out + ETH_SRC);
    put16(out + ETH_TYPE, ETH_P_ARP);
    put16(out + 14, 1);
    put16(out + 16, ETH_P_IP4);
    out[18] = MAC_SIZE;
    out[19] = 4;
    put16(out + 20, operation);
    mac_of(from, out + 22);
    memcpy(out + 28, ip_v4_bytes(&sender), 4);
    memcpy(out + 38, ip_v4_bytes(&target), 4);
}

static inline void hear_arp(uint16_t operation, uint8_t from, struct ip sender, struct ip target)
{
    uint8_t bytes[ETH_FRAME_MIN];

    arp_bytes(bytes, operation, from, sender, target, operation == 2 ? iface->mac : NULL);
    recorder_deliver(&wires[0], bytes, sizeof(bytes));
    turn();
}

static inline void assert_to(const struct record *record, uint8_t mac_last)
{
    uint8_t mac[MAC_SIZE];

    mac_of(mac_last, mac);
    cr_assert_arr_eq(record->bytes, mac, MAC_SIZE);
}

#endif
