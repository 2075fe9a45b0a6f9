/* tests/netstack/sock_world.h: a whole stack, its sockets and a wire that the test holds.
 *
 * A test executable includes it once. We are 10.0.0.1/24, 10.0.0.9/24, fd00::1/64 and fe80::ff:fe00:1 on eth0 (2); the
 * peer, 10.0.0.2, fd00::2 and fe80::2, has the MAC 02:..:02 and needs no asking. */
#ifndef TESTS_NETSTACK_SOCK_WORLD_H
#define TESTS_NETSTACK_SOCK_WORLD_H

#include "../../backends/netstack/checksum.h"
#include "counting_allocator.h"
#include "recording_nic.h"
#include <pal/address.h>

enum { IFINDEX = 2, WIRE_MTU = 1500, HEADERS4 = ETH_SIZE + IP4_SIZE, HEADERS6 = ETH_SIZE + IP6_SIZE };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct counting memory;
static struct recorder wire;
static struct netstack *stack;
static struct iface *eth;
static uint64_t now_ns;
static const char *refusal; /* the latest reason */

static const uint8_t our_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 1}, peer_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 2};

static inline void keep_reason(int code, const char *text)
{
    cr_assert_lt(code, 0);
    cr_assert(text != NULL && text[0] != '\0');
    refusal = text;
}

/* ---- addresses ---- */

static inline struct pal_addr addr(const char *host, uint16_t port)
{
    struct pal_addr out;

    memset(&out, 0, sizeof(out));
    cr_assert_eq(pal_addr_from_host(&out, host, port), 0, "%s", host);
    return out;
}

static inline struct ip ip(const char *host)
{
    struct pal_addr parsed = addr(host, 0);

    return parsed.family == PAL_AF_INET ? ip_of_v4(parsed.bytes) : ip_of_v6(parsed.bytes);
}

static inline void assert_addr(const struct pal_addr *found, const char *host, uint16_t port)
{
    struct pal_addr expected = addr(host, port);
    char text[PAL_ADDR_TEXT_SIZE];

    (void)pal_addr_format(found, text, sizeof(text));
    cr_assert(pal_addr_equal(found, &expected), "%s is not %s port %d", text, host, port);
}

/* ---- time ---- */

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

/* What was sent so far is of no interest. */
static inline void forget(void)
{
    run(0);
    wire.count = 0;
}

/* ---- beginning and end ---- */

/* As it is at first, before anything was sent. */
static inline void create(struct netstack_config *config)
{
    static const char *const own[] = {"10.0.0.1", "10.0.0.9", "fd00::1"}, *const peers[] = {"10.0.0.2", "fd00::2",
                                                                                            "fe80::2%2"};

    counting_init(&memory);
    config->allocator = &memory.allocator;
    config->seed = 7;
    config->now_ns = now_ns = 5 * SECOND;
    cr_assert_eq(pal__n_stack_create(config, &stack), 0);
    stack->reason = keep_reason;
    recorder_init(&wire, &memory.allocator, WIRE_MTU, 1);
    wire.stack = stack;
    cr_assert_eq(pal__n_iface_add(stack, &wire.nic, "eth0", 0), IFINDEX);
    eth = pal__n_iface_at(stack, IFINDEX);
    for (int i = 0; i < 3; i++) {
        struct ip own_ip = ip(own[i]), peer_ip = ip(peers[i]);

        cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &own_ip, ip_is_v4(&own_ip) ? 24 : 64), 0);
        cr_assert_eq(pal__n_neighbour_add(stack, IFINDEX, &peer_ip, peer_mac), 0);
    }
}

static inline void begin(void)
{
    struct netstack_config config = {.flags = 0};

    create(&config);
    run(5 * SECOND);
    forget();
}

/* Whatever is still open is closed with the stack: everything must come home. */
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

/* ---- sockets ---- */

static inline struct sock *sock_open(int family, int type)
{
    struct sock *sock = NULL;

    cr_assert_eq(pal__n_sock_open(stack, family, type, &sock), 0);
    return sock;
}

static inline int option_try(struct sock *sock, uint32_t option, int32_t value)
{
    return pal__n_sock_set(sock, option, &value, sizeof(value));
}

static inline void option_set(struct sock *sock, uint32_t option, int32_t value)
{
    int error = option_try(sock, option, value);

    cr_assert_eq(error, 0, "option %u = %d: %s", option, value, pal_error_name(error));
}

static inline int32_t option_of(struct sock *sock, uint32_t option)
{
    int32_t value = INT32_MIN;
    size_t size = sizeof(value);
    int error = pal__n_sock_get(sock, option, &value, &size);

    cr_assert_eq(error, 0, "option %u: %s", option, pal_error_name(error));
    cr_assert_eq(size, sizeof(value));
    return value;
}

static inline int bind_to(struct sock *sock, const char *host, uint16_t port)
{
    struct pal_addr name = addr(host, port);

    return pal__n_sock_bind(sock, &name);
}

static inline struct sock *udp_bound(const char *host, uint16_t port)
{
    struct pal_addr name = addr(host, port);
    struct sock *sock = sock_open(name.family, PAL_SOCK_DGRAM);
    int error = pal__n_sock_bind(sock, &name);

    cr_assert_eq(error, 0, "%s port %d: %s", host, port, pal_error_name(error));
    return sock;
}

static inline int connect_to(struct sock *sock, const char *host, uint16_t port)
{
    struct pal_addr peer = addr(host, port);

    return pal__n_sock_connect(sock, &peer);
}

static inline struct pal_addr name_of(struct sock *sock, int which)
{
    struct pal_addr out;

    cr_assert_eq(pal__n_sock_name(sock, which, &out), 0);
    return out;
}

static inline struct pal_msg msg_of(struct pal_iov *iov, const void *data, size_t size)
{
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    iov->data = (void *)(uintptr_t)data;
    iov->size = size;
    msg.iov = iov;
    msg.iov_count = 1;
    return msg;
}

/* The bytes sent, or why not. */
static inline int32_t send_to(struct sock *sock, const char *host, uint16_t port, const char *text)
{
    struct pal_addr to = addr(host, port);
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, text, strlen(text));
    int sent;

    msg.addr = &to;
    sent = pal__n_sock_send_msgs(sock, &msg, 1, 0);
    return sent == 1 ? msg.size : sent;
}

/* The next datagram is this one. */
static inline struct pal_addr expect_text(struct sock *sock, const char *text)
{
    char bytes[2048];
    struct pal_addr from;
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));
    int received;

    memset(&from, 0, sizeof(from));
    msg.addr = &from;
    received = pal__n_sock_recv_msgs(sock, &msg, 1, 0);
    cr_assert_eq(received, 1, "%s, not \"%s\"", pal_error_name(received), text);
    cr_assert_eq(msg.size, (int32_t)strlen(text), "%d bytes, not \"%s\"", msg.size, text);
    cr_assert_arr_eq(bytes, text, strlen(text));
    return from;
}

static inline void expect_nothing(struct sock *sock)
{
    char byte;
    int32_t result = pal__n_sock_recv(sock, &byte, 1, 0);

    cr_assert_eq(result, PAL_EAGAIN, "%d", result);
}

/* ---- packets from the peer ---- */

/* What a test says of a packet; 0 is the usual. */
struct spec {
    const char *src, *dst; /* the peer, us */
    const uint8_t *mac;    /* to */
    uint16_t src_port, dst_port;
    uint8_t protocol, hops, tos;
    const void *payload; /* of UDP (protocol 0), else of IP */
    uint32_t size;       /* of payload; 0: a text */
    int32_t length_by;   /* is added to UDP's length */
    uint32_t padding;    /* zeros behind the datagram, that IP counts */
    int32_t checksum;    /* UDP's: -1: none; else is added to it */
    bool router_alert;
};

static inline uint32_t spec_size(const struct spec *spec)
{
    return spec->size != 0 || spec->payload == NULL ? spec->size : (uint32_t)strlen(spec->payload);
}

/* UDP's header and payload: bytes written. */
static inline uint32_t write_udp(uint8_t *at, const struct spec *spec, const struct ip *src, const struct ip *dst)
{
    uint32_t size = UDP_SIZE + spec_size(spec), length = (uint32_t)((int32_t)size + spec->length_by);
    uint32_t summed = length < size + spec->padding ? length : size + spec->padding;
    uint16_t sum;

    put16(at + UDP_SRC, spec->src_port != 0 ? spec->src_port : 7000);
    put16(at + UDP_DST, spec->dst_port);
    put16(at + UDP_LENGTH, length);
    put16(at + UDP_CHECKSUM, 0);
    if (spec_size(spec) > 0)
        memcpy(at + UDP_SIZE, spec->payload, spec_size(spec));
    memset(at + size, 0, spec->padding);
    sum = checksum_finish(pal__n_checksum_add(pal__n_checksum_pseudo(src, dst, PAL_IPPROTO_UDP, length), at, summed));
    if (spec->checksum != -1)
        put16(at + UDP_CHECKSUM, (uint32_t)((sum != 0 ? sum : 0xffff) + spec->checksum));
    return size + spec->padding;
}

static inline uint32_t write_ip4(uint8_t *at, const struct spec *spec, const struct ip *src, const struct ip *dst,
                                 uint32_t size)
{
    static const uint8_t alert[4] = {0x94, 4, 0, 0};
    uint32_t header_size = IP4_SIZE + (spec->router_alert ? 4 : 0);

    memset(at, 0, header_size);
    at[0] = (uint8_t)(0x40 | header_size / 4);
    at[IP4_TOS] = spec->tos;
    put16(at + IP4_TOTAL, header_size + size);
    at[IP4_TTL] = spec->hops != 0 ? spec->hops : 64;
    at[IP4_PROTOCOL] = spec->protocol != 0 ? spec->protocol : PAL_IPPROTO_UDP;
    memcpy(at + IP4_SRC, ip_v4_bytes(src), 4);
    memcpy(at + IP4_DST, ip_v4_bytes(dst), 4);
    if (spec->router_alert)
        memcpy(at + IP4_SIZE, alert, 4);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, header_size)));
    return header_size;
}

static inline uint32_t write_ip6(uint8_t *at, const struct spec *spec, const struct ip *src, const struct ip *dst,
                                 uint32_t size)
{
    static const uint8_t alert[8] = {0, 0, 5, 2, 0, 0, 1, 0};
    uint8_t protocol = spec->protocol != 0 ? spec->protocol : PAL_IPPROTO_UDP;

    put32(at, UINT32_C(6) << 28 | (uint32_t)spec->tos << 20);
    put16(at + IP6_PAYLOAD, size + (spec->router_alert ? 8 : 0));
    at[IP6_NEXT] = spec->router_alert ? IP6_NEXT_HOPOPTS : protocol;
    at[IP6_HOPS] = spec->hops != 0 ? spec->hops : 64;
    memcpy(at + IP6_SRC, src->bytes, 16);
    memcpy(at + IP6_DST, dst->bytes, 16);
    if (!spec->router_alert)
        return IP6_SIZE;
    memcpy(at + IP6_SIZE, alert, 8);
    at[IP6_SIZE] = protocol;
    return IP6_SIZE + 8;
}

/* Puts it on the wire, and lets the stack see it. */
static inline void inject(const struct spec *spec)
{
    struct ip dst = ip(spec->dst != NULL ? spec->dst : "10.0.0.1"), src;
    uint8_t transport[RECORD_BYTES], bytes[RECORD_BYTES];
    uint32_t size, header_size;
    bool is_v4 = ip_is_v4(&dst);

    src = ip(spec->src != NULL ? spec->src : is_v4 ? "10.0.0.2" : "fd00::2");
    if (spec->protocol == 0) {
        size = write_udp(transport, spec, &src, &dst);
    } else {
        size = spec->size;
        memcpy(transport, spec->payload, size);
    }
    memcpy(bytes + ETH_DST, our_mac, MAC_SIZE);
    if (ip_is_multicast(&dst))
        pal__n_mac_of_group(&dst, bytes + ETH_DST);
    if (spec->mac != NULL)
        memcpy(bytes + ETH_DST, spec->mac, MAC_SIZE);
    memcpy(bytes + ETH_SRC, peer_mac, MAC_SIZE);
    put16(bytes + ETH_TYPE, is_v4 ? ETH_P_IP4 : ETH_P_IP6);
    header_size = is_v4 ? write_ip4(bytes + ETH_SIZE, spec, &src, &dst, size)
                        : write_ip6(bytes + ETH_SIZE, spec, &src, &dst, size);
    memcpy(bytes + ETH_SIZE + header_size, transport, size);
    recorder_deliver(&wire, bytes, ETH_SIZE + header_size + size);
    run(0);
}

/* ---- what we have sent ---- */

/* The last frame from its IP header on. */
static inline const uint8_t *last(void)
{
    return recorder_last(&wire) + ETH_SIZE;
}

/* True if the UDP checksum behind a plain header is right. */
static inline bool udp_is_intact(const uint8_t *at)
{
    bool is_v4 = at[0] >> 4 == 4;
    struct ip src = is_v4 ? ip_of_v4(at + IP4_SRC) : ip_of_v6(at + IP6_SRC);
    struct ip dst = is_v4 ? ip_of_v4(at + IP4_DST) : ip_of_v6(at + IP6_DST);
    uint32_t size = is_v4 ? get16(at + IP4_TOTAL) - (uint32_t)IP4_SIZE : get16(at + IP6_PAYLOAD);
    const uint8_t *udp = at + (is_v4 ? IP4_SIZE : IP6_SIZE);
    uint64_t sum = pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_UDP, size);

    return get16(udp + UDP_CHECKSUM) != 0 && get16(udp + UDP_LENGTH) == size &&
           pal__n_checksum_fold(pal__n_checksum_add(sum, udp, size)) == 0xffff;
}

#endif
