/* tests/netstack/ip_world.h: the IP layer alone: a real stack below the transports, which are spies here, between one
 * port whose wire the test holds and the loopback interface.
 *
 * A test executable includes it once, in the file that has the tests. We are 10.0.0.1/24, fd00::1/64 and
 * fe80::ff:fe00:1; the peer, 10.0.0.2, fd00::2 and fe80::2, has the MAC 02:..:02 and needs no asking. */
#ifndef TESTS_NETSTACK_IP_WORLD_H
#define TESTS_NETSTACK_IP_WORLD_H

#include "../../backends/netstack/checksum.h"
#include "counting_allocator.h"
#include "recording_nic.h"

enum { IFINDEX = 2, SPY_BYTES = 65600, WIRE_MTU = 1500, PROTOCOL_UNKNOWN = 200 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* What the transports were given last. */
struct spy {
    uint32_t count, error_count;
    struct packet packet; /* header and frame are gone */
    uint32_t size;
    uint8_t protocol; /* and which of them */
    bool refuse;      /* answers as a closed port does */
    struct ip_error error;
    uint8_t quote[64];
    uint8_t error_protocol;
    uint8_t bytes[SPY_BYTES];
};

static struct counting memory;
static struct recorder wire;
static struct netstack *stack;
static struct iface *eth;
static struct spy spy;
static uint64_t now_ns;

static const uint8_t our_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 1}, peer_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 2};
static const uint8_t all_macs[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* ---- the transports ---- */

static void spy_on(struct packet *packet, uint8_t protocol)
{
    spy.count++;
    spy.packet = *packet;
    spy.protocol = protocol;
    spy.size = packet->frame->size;
    cr_assert_leq(spy.size, SPY_BYTES);
    cr_assert_geq(packet->header, packet->frame->memory);
    cr_assert_leq(packet->header + packet->header_size, packet->frame->data);
    memcpy(spy.bytes, packet->frame->data, spy.size);
    if (spy.refuse)
        pal__n_icmp_port_unreachable(stack, packet);
    frame_free(packet->frame);
}

void pal__n_udp_in(struct netstack *owner, struct packet *packet)
{
    (void)owner;
    spy_on(packet, PAL_IPPROTO_UDP);
}

void pal__n_tcp_in(struct netstack *owner, struct packet *packet)
{
    (void)owner;
    spy_on(packet, PAL_IPPROTO_TCP);
}

static bool spy_on_error(const struct ip_error *error, uint8_t protocol)
{
    spy.error_count++;
    spy.error = *error;
    spy.error_protocol = protocol;
    memcpy(spy.quote, error->quote, error->quote_size < sizeof(spy.quote) ? error->quote_size : sizeof(spy.quote));
    return true;
}

bool pal__n_udp_error(struct netstack *owner, const struct ip_error *error)
{
    (void)owner;
    return spy_on_error(error, PAL_IPPROTO_UDP);
}

bool pal__n_tcp_error(struct netstack *owner, const struct ip_error *error)
{
    (void)owner;
    return spy_on_error(error, PAL_IPPROTO_TCP);
}

/* Never called: there is no connection. */
void pal__n_tcp_timer(struct netstack *owner, struct timer *timer, uint64_t due_ns)
{
    (void)owner, (void)timer, (void)due_ns;
}

void pal__n_embryo_timer(struct netstack *owner, struct timer *timer, uint64_t due_ns)
{
    (void)owner, (void)timer, (void)due_ns;
}

void pal__n_timewait_timer(struct netstack *owner, struct timer *timer, uint64_t due_ns)
{
    (void)owner, (void)timer, (void)due_ns;
}

void pal__n_timewait_free(struct netstack *owner, struct timewait *timewait)
{
    (void)owner, (void)timewait;
}

uint64_t pal__n_tcb_earliest(const struct tcb *tcb)
{
    (void)tcb;
    return UINT64_MAX;
}

void pal__n_tcp_destroy_all(struct netstack *owner, bool notify)
{
    (void)owner, (void)notify;
}

void pal__n_udp_destroy_all(struct netstack *owner)
{
    (void)owner;
}

void pal__n_tcp_flush(struct netstack *owner, bool hold)
{
    (void)owner, (void)hold;
}

int(pal__n_refuse)(struct netstack *owner, int code, const char *reason)
{
    (void)owner, (void)reason;
    return code;
}

/* ---- the world ---- */

static inline struct ip ip6(uint16_t first, uint16_t last)
{
    struct ip ip = ip_none();

    put16(ip.bytes, first);
    put16(ip.bytes + 14, last);
    return ip;
}

#define OUR4 ip_of_number(0x0a000001)
#define PEER4 ip_of_number(0x0a000002)
#define OUR6 ip6(0xfd00, 1)
#define PEER6 ip6(0xfd00, 2)
#define PEER_LINK6 ip6(0xfe80, 2)

static inline void begin_with(struct netstack_config *config)
{
    struct ip own4 = OUR4, own6 = OUR6, peers[] = {PEER4, PEER6, PEER_LINK6};

    memset(&spy, 0, sizeof(spy));
    counting_init(&memory);
    config->allocator = &memory.allocator;
    config->seed = 7;
    config->now_ns = now_ns = 5 * SECOND;
    cr_assert_eq(pal__n_stack_create(config, &stack), 0);
    recorder_init(&wire, &memory.allocator, WIRE_MTU, 1);
    wire.stack = stack;
    cr_assert_eq(pal__n_iface_add(stack, &wire.nic, "eth0", 0), IFINDEX);
    eth = pal__n_iface_at(stack, IFINDEX);
    cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &own4, 24), 0);
    cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &own6, 64), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pal__n_neighbour_add(stack, IFINDEX, &peers[i], peer_mac), 0);
}

/* All that can be done now; not for ever, since a port that takes nothing is asked again and again. */
static inline void settle(void)
{
    for (int i = 0; i < 16 && pal__n_stack_poll(stack, now_ns); i++)
        continue;
}

static inline void run(uint64_t for_ns)
{
    uint64_t end_ns = now_ns + for_ns, next_ns;

    settle();
    while (for_ns > 0 && (next_ns = pal__n_stack_next(stack)) <= end_ns) {
        now_ns = next_ns > now_ns ? next_ns : now_ns;
        settle();
    }
    now_ns = end_ns;
    settle();
}

/* Lets reports of groups go out, and forgets what was sent. */
static inline void forget(void)
{
    run(0);
    wire.count = 0;
}

static inline void begin(void)
{
    struct netstack_config config = {.flags = 0};

    begin_with(&config);
    run(5 * SECOND);
    forget();
}

static inline void end(void)
{
    run(0);
    pal__n_stack_destroy(stack, false);
    recorder_end(&wire);
    cr_assert_eq(memory.blocks, 0);
}

static inline uint64_t counter(enum netstack_counter which)
{
    return stack->counters[which];
}

/* ---- frames from the peer ---- */

/* What a test says of a packet; 0 is the usual. */
struct spec {
    const uint8_t *mac; /* to */
    struct ip src, dst;
    uint8_t protocol, hops, tos;
    bool bare;              /* protocol 0 is meant (IPv6: hop-by-hop) */
    uint16_t id, fragment;  /* IPv4 */
    const uint8_t *options; /* IPv4: a multiple of four; IPv6: extension headers */
    uint32_t options_size;
    const void *payload;
    uint32_t size;
    int32_t length_by; /* is added to the length in the header */
    uint32_t padding;  /* zeros behind it */
};

static inline uint32_t write_ip4(uint8_t *at, const struct spec *spec)
{
    uint32_t header_size = IP4_SIZE + spec->options_size;
    struct ip own = OUR4, peer = PEER4;

    memset(at, 0, header_size);
    at[0] = (uint8_t)(0x40 | header_size / 4);
    at[IP4_TOS] = spec->tos;
    put16(at + IP4_TOTAL, header_size + spec->size + (uint32_t)spec->length_by);
    put16(at + IP4_ID, spec->id);
    put16(at + IP4_FRAGMENT, spec->fragment);
    at[IP4_TTL] = spec->hops != 0 ? spec->hops : 64;
    at[IP4_PROTOCOL] = spec->protocol != 0 ? spec->protocol : PAL_IPPROTO_UDP;
    memcpy(at + IP4_SRC, ip_v4_bytes(ip_is_v4(&spec->src) ? &spec->src : &peer), 4);
    memcpy(at + IP4_DST, ip_v4_bytes(ip_is_v4(&spec->dst) ? &spec->dst : &own), 4);
    if (spec->options_size > 0)
        memcpy(at + IP4_SIZE, spec->options, spec->options_size);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, header_size)));
    return header_size;
}

static inline uint32_t write_ip6(uint8_t *at, const struct spec *spec)
{
    struct ip none = ip_none(), own = OUR6, peer = PEER6;

    put32(at, UINT32_C(6) << 28 | (uint32_t)spec->tos << 20);
    put16(at + IP6_PAYLOAD, spec->options_size + spec->size + (uint32_t)spec->length_by);
    at[IP6_NEXT] = spec->protocol != 0 || spec->bare ? spec->protocol : PAL_IPPROTO_UDP;
    at[IP6_HOPS] = spec->hops != 0 ? spec->hops : 64;
    memcpy(at + IP6_SRC, ip_equal(&spec->src, &none) ? peer.bytes : spec->src.bytes, 16);
    memcpy(at + IP6_DST, ip_equal(&spec->dst, &none) ? own.bytes : spec->dst.bytes, 16);
    if (spec->options_size > 0)
        memcpy(at + IP6_SIZE, spec->options, spec->options_size);
    return IP6_SIZE + spec->options_size;
}

/* Puts it on the wire; the stack sees it with the next turn. */
static inline void put_on_wire(const struct spec *spec, uint16_t type)
{
    uint8_t bytes[RECORD_BYTES];
    uint32_t size = ETH_SIZE;

    memcpy(bytes + ETH_DST, spec->mac != NULL ? spec->mac : our_mac, MAC_SIZE);
    memcpy(bytes + ETH_SRC, peer_mac, MAC_SIZE);
    put16(bytes + ETH_TYPE, type);
    size += type == ETH_P_IP4 ? write_ip4(bytes + size, spec) : write_ip6(bytes + size, spec);
    cr_assert_leq(size + spec->size + spec->padding, WIRE_MTU + 18);
    if (spec->size > 0)
        memcpy(bytes + size, spec->payload, spec->size);
    memset(bytes + size + spec->size, 0, spec->padding);
    recorder_deliver(&wire, bytes, size + spec->size + spec->padding);
}

static inline void inject4(const struct spec *spec)
{
    put_on_wire(spec, ETH_P_IP4);
    run(0);
}

static inline void inject6(const struct spec *spec)
{
    put_on_wire(spec, ETH_P_IP6);
    run(0);
}

/* ---- what we have sent ---- */

/* The IP header of the last frame. */
static inline const uint8_t *last(void)
{
    return recorder_last(&wire) + ETH_SIZE;
}

static inline uint32_t last_size(void)
{
    return wire.records[wire.count - 1].size - ETH_SIZE;
}

static inline bool checksum4_is_right(const uint8_t *at)
{
    return pal__n_checksum_fold(pal__n_checksum_add(0, at, IP4_SIZE)) == 0xffff;
}

/* Of an ICMPv6 message behind a plain header. */
static inline bool checksum6_is_right(const uint8_t *at)
{
    struct ip src = ip_of_v6(at + IP6_SRC), dst = ip_of_v6(at + IP6_DST);
    uint32_t size = get16(at + IP6_PAYLOAD);
    uint64_t sum = pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_ICMPV6, size);

    return pal__n_checksum_fold(pal__n_checksum_add(sum, at + IP6_SIZE, size)) == 0xffff;
}

/* Fills in the checksum of an ICMPv6 message from src to dst. */
static inline void finish_icmp6(uint8_t *message, uint32_t size, struct ip src, struct ip dst)
{
    uint64_t sum = pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_ICMPV6, size);

    put16(message + 2, 0);
    put16(message + 2, checksum_finish(pal__n_checksum_add(sum, message, size)));
}

static inline void finish_icmp4(uint8_t *message, uint32_t size)
{
    put16(message + 2, 0);
    put16(message + 2, checksum_finish(pal__n_checksum_add(0, message, size)));
}

static inline void fill(uint8_t *at, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        at[i] = (uint8_t)(i * 7 + i / 256);
}

#endif
