/* fuzz/netstack_rig.c: a small stack on a nic whose other end is the fuzz target. */
#include "netstack_rig.h"

#include "../backends/netstack/checksum.h"
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 256, TURNS_MAX = 1000, MTU = 1500 };

static const uint8_t our_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 1}, their_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 2};

void check(bool condition)
{
    if (!condition)
        abort();
}

/* ---- memory ---- */

static void *take_memory(void *context, size_t size, size_t alignment)
{
    struct rig *rig = context;
    void *memory = NULL;

    check(posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size == 0 ? 1 : size) == 0);
    rig->memory_blocks++;
    return memory;
}

static void give_memory(void *context, void *memory, size_t size)
{
    struct rig *rig = context;

    (void)size;
    if (memory != NULL)
        rig->memory_blocks--;
    free(memory);
}

/* ---- the nic ---- */

static struct rig *rig_of(struct nic *nic)
{
    return (struct rig *)(void *)nic;
}

static int rig_rx(struct nic *nic, struct frame **frames, int max)
{
    struct rig *rig = rig_of(nic);

    if (rig->inbox == NULL || max < 1)
        return 0;
    frames[0] = rig->inbox;
    rig->inbox = NULL;
    return 1;
}

/* Remembers a TCP segment. */
static void look(struct rig *rig, const struct frame *frame)
{
    const uint8_t *ip = frame->data + ETH_SIZE, *tcp;
    uint32_t size;

    if (frame->size < ETH_SIZE + IP4_SIZE + TCP_SIZE)
        return;
    if (get16(frame->data + ETH_TYPE) == ETH_P_IP4 && ip[IP4_PROTOCOL] == PAL_IPPROTO_TCP) {
        tcp = ip + IP4_SIZE;
        size = get16(ip + IP4_TOTAL) - IP4_SIZE;
    } else if (get16(frame->data + ETH_TYPE) == ETH_P_IP6 && ip[IP6_NEXT] == PAL_IPPROTO_TCP) {
        tcp = ip + IP6_SIZE;
        size = get16(ip + IP6_PAYLOAD);
    } else {
        return;
    }
    rig->last.seen = true;
    rig->last.seq = get32(tcp + TCP_SEQ);
    rig->last.ack = get32(tcp + TCP_ACK_NUMBER);
    rig->last.flags = tcp[TCP_FLAGS];
    rig->last.size = size - (tcp[TCP_OFFSET] >> 4) * 4U;
    check(rig->last.size <= MTU);
}

static int rig_tx(struct nic *nic, struct frame **frames, int count)
{
    for (int i = 0; i < count; i++) {
        check(frames[i]->size >= ETH_FRAME_MIN && frames[i]->size <= MTU + ETH_SIZE);
        check(memcmp(frames[i]->data + ETH_SRC, our_mac, MAC_SIZE) == 0);
        look(rig_of(nic), frames[i]);
        frame_free(frames[i]);
    }
    return count;
}

static struct frame *rig_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&rig_of(nic)->frames);
}

static void rig_free(struct nic *nic, struct frame *frame)
{
    pal__n_frames_free(&rig_of(nic)->frames, frame);
}

static uint32_t nic_flags_now;

static void rig_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct rig *rig = (const struct rig *)(const void *)nic;

    memset(out, 0, sizeof(*out));
    out->flags = nic_flags_now;
    out->mtu = MTU;
    out->frame_room = rig->frames.room;
    memcpy(out->mac, our_mac, MAC_SIZE);
}

static void rig_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    (void)nic;
    (void)macs;
    (void)count;
}

static const struct nic_ops rig_ops = {rig_rx, rig_tx, rig_alloc, rig_free, rig_caps, rig_filter};

/* ---- begin and end ---- */

static void configure(struct rig *rig, struct netstack_config *config, const struct pal_allocator *allocator)
{
    memset(config, 0, sizeof(*config));
    config->allocator = allocator;
    config->seed = 1;
    config->now_ns = rig->now_ns;
    config->flags = NETSTACK_FIXED_ISN;
    config->isn = RIG_ISN;
    config->tcp_max = 16;
    config->listeners_max = 4;
    config->embryos_max = 4;
    config->timewaits_max = 4;
    config->udp_max = 8;
    config->segments_max = config->chunks_max = 64;
    config->neighbours_max = config->routes_max = config->paths_max = 16;
    config->frag_sets_max = 4;
    config->frag_frames_max = 32;
    config->big_frames_max = 4;
    config->groups_max = 8;
    config->send_buffer = config->receive_buffer = 16384;
    config->msl_ns = 1000000000;
}

void rig_begin(struct rig *rig, uint32_t nic_flags)
{
    static struct pal_allocator allocator;
    struct netstack_config config;
    int ifindex;

    memset(rig, 0, sizeof(*rig));
    allocator.alloc = take_memory;
    allocator.free = give_memory;
    allocator.context = rig;
    nic_flags_now = nic_flags;
    rig->nic.ops = &rig_ops;
    rig->now_ns = 1000000000;
    rig->ours[0] = ip_of_number(0x0a000001);
    rig->theirs[0] = ip_of_number(0x0a000002);
    rig->ours[1].bytes[0] = rig->theirs[1].bytes[0] = 0xfd;
    rig->ours[1].bytes[15] = 1;
    rig->theirs[1].bytes[15] = 2;
    check(pal__n_frames_create(&rig->frames, &allocator, &rig->nic, FRAMES, MTU + ETH_SIZE + ETH_VLAN_SIZE));
    configure(rig, &config, &allocator);
    check(pal__n_stack_create(&config, &rig->stack) == 0);
    ifindex = pal__n_iface_add(rig->stack, &rig->nic, "fuzz", 0);
    check(ifindex > 1);
    for (int i = 0; i < 2; i++) {
        check(pal__n_addr_add(rig->stack, (uint32_t)ifindex, &rig->ours[i], i == 0 ? 24 : 64) == 0);
        check(pal__n_neighbour_add(rig->stack, (uint32_t)ifindex, &rig->theirs[i], their_mac) == 0);
    }
    rig_poll(rig);
}

void rig_end(struct rig *rig)
{
    struct pal_allocator allocator = {take_memory, give_memory, rig};

    pal__n_stack_destroy(rig->stack, (rig->now_ns & 1) != 0);
    check(rig->inbox == NULL && rig->frames.pool.used == 0);
    pal__n_frames_destroy(&rig->frames, &allocator);
    check(rig->memory_blocks == 0);
}

/* ---- turns ---- */

void rig_poll(struct rig *rig)
{
    int turns = 0;

    while (pal__n_stack_poll(rig->stack, rig->now_ns) || pal__n_stack_next(rig->stack) <= rig->now_ns)
        check(++turns < TURNS_MAX);
    check(pal__n_stack_check(rig->stack) == NULL);
}

void rig_advance(struct rig *rig, uint64_t by_ns)
{
    rig->now_ns += by_ns;
    rig_poll(rig);
}

void rig_frame(struct rig *rig, const uint8_t *bytes, size_t size)
{
    struct frame *frame = pal__n_frames_alloc(&rig->frames);

    if (frame == NULL)
        return; /* a card would have none, either */
    if (size > RIG_FRAME_MAX)
        size = RIG_FRAME_MAX;
    if (size > 0)
        memcpy(frame->data, bytes, size);
    frame->size = (uint32_t)size;
    frame->time_ns = rig->now_ns;
    if (nic_flags_now & NIC_RX_CHECKSUM)
        frame->flags = FRAME_CSUM_GOOD;
    rig->inbox = frame;
    rig_poll(rig);
    check(rig->inbox == NULL);
}

static uint32_t put_ip4(const struct rig *rig, uint8_t *at, uint8_t protocol, const struct rig_fragment *fragment,
                        size_t size)
{
    memset(at, 0, IP4_SIZE);
    at[IP4_VERSION_LENGTH] = 0x45;
    put16(at + IP4_TOTAL, (uint32_t)(IP4_SIZE + size));
    if (fragment->is_one) {
        put16(at + IP4_ID, fragment->id);
        put16(at + IP4_FRAGMENT, fragment->offset / 8 | (fragment->more ? (uint32_t)IP4_MF : 0));
    }
    at[IP4_TTL] = 64;
    at[IP4_PROTOCOL] = protocol;
    memcpy(at + IP4_SRC, ip_v4_bytes(&rig->theirs[0]), 4);
    memcpy(at + IP4_DST, ip_v4_bytes(&rig->ours[0]), 4);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, IP4_SIZE)));
    return IP4_SIZE;
}

static uint32_t put_ip6(const struct rig *rig, uint8_t *at, uint8_t protocol, const struct rig_fragment *fragment,
                        size_t size)
{
    uint32_t extra = fragment->is_one ? 8 : 0;

    memset(at, 0, IP6_SIZE + 8);
    at[IP6_VERSION] = 0x60;
    put16(at + IP6_PAYLOAD, (uint32_t)(extra + size));
    at[IP6_NEXT] = fragment->is_one ? IP6_NEXT_FRAGMENT : protocol;
    at[IP6_HOPS] = 64;
    memcpy(at + IP6_SRC, rig->theirs[1].bytes, 16);
    memcpy(at + IP6_DST, rig->ours[1].bytes, 16);
    if (fragment->is_one) {
        at[IP6_SIZE] = protocol;
        put16(at + IP6_SIZE + 2, (fragment->offset & 0xfff8) | fragment->more);
        put32(at + IP6_SIZE + 4, fragment->id);
    }
    return IP6_SIZE + extra;
}

void rig_packet(struct rig *rig, bool ip6, uint8_t protocol, const struct rig_fragment *fragment,
                const uint8_t *payload, size_t size)
{
    static const struct rig_fragment whole;
    uint8_t frame[ETH_SIZE + MTU];
    uint32_t header;

    check(size <= MTU - IP6_SIZE - 8);
    fragment = fragment == NULL ? &whole : fragment;
    memcpy(frame + ETH_DST, our_mac, MAC_SIZE);
    memcpy(frame + ETH_SRC, their_mac, MAC_SIZE);
    put16(frame + ETH_TYPE, ip6 ? ETH_P_IP6 : ETH_P_IP4);
    header = (ip6 ? put_ip6 : put_ip4)(rig, frame + ETH_SIZE, protocol, fragment, size);
    memcpy(frame + ETH_SIZE + header, payload, size);
    rig_frame(rig, frame, ETH_SIZE + header + size);
}

void rig_tcp(struct rig *rig, bool ip6, const struct rig_tcp *segment)
{
    uint8_t bytes[MTU - IP6_SIZE - 8];
    uint32_t header = TCP_SIZE + segment->options_size, room = (uint32_t)sizeof(bytes) - header;
    uint32_t size = header + (segment->size < room ? segment->size : room);
    uint64_t sum = pal__n_checksum_pseudo(&rig->theirs[ip6], &rig->ours[ip6], PAL_IPPROTO_TCP, size);

    memset(bytes, 'x', sizeof(bytes));
    memset(bytes, 0, TCP_SIZE);
    put16(bytes + TCP_SRC, segment->source);
    put16(bytes + TCP_DST, segment->port);
    put32(bytes + TCP_SEQ, segment->seq);
    put32(bytes + TCP_ACK_NUMBER, segment->ack);
    bytes[TCP_OFFSET] = (uint8_t)(header / 4 << 4);
    bytes[TCP_FLAGS] = segment->flags;
    put16(bytes + TCP_WINDOW, segment->window);
    put16(bytes + TCP_URGENT, segment->urgent);
    if (segment->options_size > 0)
        memcpy(bytes + TCP_SIZE, segment->options, segment->options_size);
    put16(bytes + TCP_CHECKSUM, checksum_finish(pal__n_checksum_add(sum, bytes, size)));
    rig_packet(rig, ip6, PAL_IPPROTO_TCP, NULL, bytes, size);
}

/* ---- sockets ---- */

struct sock *rig_socket(struct rig *rig, int family, int type, uint16_t port)
{
    struct pal_addr addr;
    struct sock *sock;

    memset(&addr, 0, sizeof(addr));
    addr.family = (uint8_t)family;
    addr.size = family == PAL_AF_INET6 ? 16 : 4;
    addr.port = port;
    check(pal__n_sock_open(rig->stack, family, type, &sock) == 0);
    check(pal__n_sock_bind(sock, &addr) == 0);
    if (type == PAL_SOCK_STREAM)
        check(pal__n_sock_listen(sock, 4) == 0);
    return sock;
}

struct sock *rig_accept(struct rig *rig, struct sock *listener, bool ip6)
{
    /* Segment size 1000, window scale 2, SACK, timestamps. */
    static const uint8_t options[20] = {2, 4, 0x03, 0xe8, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 2};
    static const uint8_t stamp[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0};
    struct rig_tcp segment = {.seq = RIG_PEER_ISN, .source = RIG_PEER_PORT, .port = RIG_PORT, .window = 8192};
    struct sock *sock;

    segment.flags = TCP_SYN;
    segment.options = options;
    segment.options_size = sizeof(options);
    rig->last.seen = false;
    rig_tcp(rig, ip6, &segment);
    check(rig->last.seen && rig->last.flags == (TCP_SYN | TCP_ACK) && rig->last.ack == RIG_PEER_ISN + 1);
    segment.flags = TCP_ACK;
    segment.seq++;
    segment.ack = rig->last.seq + 1;
    segment.options = stamp;
    segment.options_size = sizeof(stamp);
    rig_tcp(rig, ip6, &segment);
    check(pal__n_sock_accept(listener, &sock, NULL) == 0);
    return sock;
}

uint32_t input_take(struct input *input, uint32_t bytes)
{
    uint32_t value = 0;

    for (; bytes > 0 && input->size > 0; bytes--, input->size--)
        value = value << 8 | *input->bytes++;
    return value;
}
