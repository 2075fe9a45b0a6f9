/* tests/netstack/handshake_world.h: a stack of which only listeners, embryos, cookies, TIME-WAIT records, timers and
 * the demultiplexer are real, and a peer that the test speaks for.
 *
 * What those files ask of the rest of TCP and of IP is answered and noted down here. For one test file: it defines
 * functions. */
#ifndef TESTS_NETSTACK_HANDSHAKE_WORLD_H
#define TESTS_NETSTACK_HANDSHAKE_WORLD_H

#include "../../backends/netstack/stack.h"
#include "counting_allocator.h"
#include "support/test.h"

enum { SENT_MAX = 512, MTU = 1500, LISTEN_PORT = 80 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* A segment that was sent. */
struct sent {
    struct tuple tuple;
    uint32_t seq, ack, window;
    uint8_t flags;
    struct tcp_options options;
    uint64_t at_ns;
};

static struct counting memory;
static struct netstack *stack;
static struct tcb *server; /* listens */
static struct iface iface;
static struct dst path;
static struct sent sent[SENT_MAX];
static int sent_count, resets, changes, delivered, aborted;
static uint32_t delivered_size;
static bool passive_fails;
static int frames_out; /* frames that nobody has freed */
static struct packet packet;

/* ---- frames ---- */

static struct frame *world_alloc(struct nic *nic)
{
    struct frame *frame = calloc(1, sizeof(*frame));

    frame->home = nic;
    frames_out++;
    return frame;
}

static void world_free(struct nic *nic, struct frame *frame)
{
    (void)nic;
    frames_out--;
    free(frame);
}

static const struct nic_ops world_ops = {.alloc = world_alloc, .free = world_free};
static struct nic world_nic = {&world_ops};

/* ---- what the rest of the stack is asked for ---- */

int pal__n_tcp_emit(struct netstack *its_stack, const struct emission *emission)
{
    struct sent *at = &sent[sent_count++];

    cr_assert(sent_count <= SENT_MAX && emission->dst == &path && path.refs > 0);
    at->tuple = *emission->tuple;
    at->seq = emission->seq;
    at->ack = emission->ack;
    at->window = emission->window;
    at->flags = emission->flags;
    at->options = *emission->options;
    at->at_ns = its_stack->now_ns;
    return 0;
}

void pal__n_tcp_reset_for(struct netstack *its_stack, const struct segment *segment)
{
    (void)its_stack;
    (void)segment;
    resets++;
}

struct tcb *pal__n_tcb_passive(struct tcb *listener, const struct handshake *handshake, uint32_t replaces)
{
    struct tcb *tcb = passive_fails ? NULL : pool_take(&stack->tcb_pool);
    uint32_t index;

    if (tcb == NULL)
        return NULL;
    memset(tcb, 0, sizeof(*tcb));
    tcb->sock.stack = listener->sock.stack;
    tcb->sock.tuple = handshake->tuple;
    tcb->state = TCP_ESTABLISHED;
    tcb->flags = TCP_F_DEMUXED;
    tcb->dst = handshake->dst;
    tcb->iss = handshake->iss;
    tcb->snd_nxt = handshake->iss + 1;
    tcb->irs = handshake->irs;
    tcb->rcv_nxt = handshake->irs + 1;
    tcb->rcv_edge = tcb->rcv_nxt + 1000;
    tcb->mss_peer = handshake->options.mss;
    tcb->snd_scale = handshake->options.scale;
    tcb->ts_recent = handshake->ts_recent;
    tcb->ts_offset = handshake->ts_offset;
    tcb->srtt_ns = handshake->rtt_ns;
    tcb->flags |= handshake->options.has & TCP_HAS_TIMESTAMPS ? TCP_F_TIMESTAMPS : 0;
    tcb->flags |= handshake->options.has & TCP_HAS_SACK_PERMITTED ? TCP_F_SACK : 0;
    tcb->flags |= handshake->options.has & TCP_HAS_SCALE ? TCP_F_SCALE : 0;
    index = demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb));
    if (replaces != DEMUX_NONE)
        pal__n_demux_replace(stack, &tcb->sock.tuple, replaces, index);
    else
        cr_assert(pal__n_demux_insert(stack, &tcb->sock.tuple, index));
    port_use(stack->ports, LISTEN_PORT);
    return tcb;
}

/* Ends a connection as tcp_state.c does. */
static void drop_tcb(struct tcb *tcb)
{
    if (tcb->flags & TCP_F_DEMUXED) {
        pal__n_demux_remove(stack, &tcb->sock.tuple, demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb)));
        port_unuse(stack->ports, LISTEN_PORT);
    }
    path.refs--;
    pool_give(&stack->tcb_pool, tcb);
}

void pal__n_tcb_in(struct tcb *tcb, struct segment *segment)
{
    (void)tcb;
    delivered++;
    delivered_size += segment->size;
    frame_free(segment->packet->frame);
}

void pal__n_tcb_abort(struct tcb *tcb, int error, bool reset)
{
    cr_assert(reset && error == PAL_ECONNABORTED && (tcb->flags & TCP_F_QUEUED) == 0 &&
              (tcb->sock.flags & SOCK_ORPHAN) != 0);
    aborted++;
    drop_tcb(tcb);
}

void pal__n_sock_changed(struct sock *sock)
{
    cr_assert_eq(sock, &server->sock);
    changes++;
}

struct dst *pal__n_dst_get(struct netstack *its_stack, const struct ip *ip, uint32_t via, int *error)
{
    (void)its_stack;
    (void)via;
    *error = 0;
    path.ip = *ip;
    path.refs++;
    return &path;
}

void pal__n_dst_put(struct netstack *its_stack, struct dst *dst)
{
    (void)its_stack;
    cr_assert(dst == &path && path.refs > 0);
    path.refs--;
}

bool pal__n_dst_is_stale(const struct netstack *its_stack, const struct dst *dst)
{
    (void)its_stack;
    (void)dst;
    return false;
}

struct sock *pal__n_port_listener(struct netstack *its_stack, const struct ip *local, uint16_t port, uint32_t ifindex)
{
    (void)its_stack;
    (void)local;
    (void)ifindex;
    return port == LISTEN_PORT && server->state == TCP_LISTEN ? &server->sock : NULL;
}

static struct ip server_ip(void)
{
    return ip_of_number(0x0a000001);
}

struct iface *pal__n_iface_owning(struct netstack *its_stack, const struct ip *ip)
{
    struct ip ours = server_ip();

    (void)its_stack;
    return ip_equal(ip, &ours) ? &iface : NULL;
}

bool pal__n_iface_is_broadcast(const struct iface *its_iface, const struct ip *ip)
{
    (void)its_iface;
    return ip_number(ip) == 0x0a0000ff;
}

uint64_t pal__n_tcb_earliest(const struct tcb *tcb)
{
    (void)tcb;
    return UINT64_MAX;
}

#define NO_TIMER(name)                                                                                                 \
    void name(struct netstack *its_stack, struct timer *timer, uint64_t due_ns)                                        \
    {                                                                                                                  \
        (void)its_stack;                                                                                               \
        (void)timer;                                                                                                   \
        (void)due_ns;                                                                                                  \
        cr_assert(false, "nobody has armed one of these");                                                             \
    }
NO_TIMER(pal__n_tcp_timer)
NO_TIMER(pal__n_neigh_timer)
NO_TIMER(pal__n_frag_timer)
NO_TIMER(pal__n_addr_timer)
NO_TIMER(pal__n_group_timer)
NO_TIMER(pal__n_query_timer)
NO_TIMER(pal__n_dst_timer)

/* ---- beginning and end ---- */

static void world_config(uint32_t embryos_max, uint32_t timewaits_max, uint32_t flags)
{
    struct netstack_config *config = &stack->config;

    config->flags = flags;
    config->tcp_max = 64;
    config->embryos_max = embryos_max;
    config->timewaits_max = timewaits_max;
    config->rto_initial_ns = SECOND;
    config->rto_max_ns = 60 * SECOND;
    config->msl_ns = 30 * SECOND;
    config->synack_retries = 5;
}

static void start_with(uint32_t embryos_max, uint32_t timewaits_max, uint32_t flags, int backlog)
{
    struct pal_allocator *allocator = &memory.allocator;

    counting_init(&memory);
    stack = calloc(1, sizeof(*stack));
    world_config(embryos_max, timewaits_max, flags);
    stack->now_ns = 1000 * SECOND;
    base_wheel_init(&stack->wheel, stack->now_ns / TIMER_TICK_NS);
    base_list_init(&stack->expired);
    base_list_init(&stack->timewaits);
    pal__n_random_seed(&stack->random, 1);
    stack->isn_key = pal__n_random_key(&stack->random);
    stack->ts_key = pal__n_random_key(&stack->random);
    stack->cookie_key = pal__n_random_key(&stack->random);
    stack->ports = calloc(1, sizeof(*stack->ports));
    cr_assert(pal__n_pool_create(&stack->tcb_pool, allocator, 64, sizeof(struct tcb)));
    cr_assert(pal__n_pool_create(&stack->listener_pool, allocator, 2, sizeof(struct tcp_listener)));
    cr_assert(pal__n_pool_create(&stack->embryo_pool, allocator, embryos_max, sizeof(struct embryo)));
    cr_assert(pal__n_pool_create(&stack->timewait_pool, allocator, timewaits_max, sizeof(struct timewait)));
    cr_assert(pal__n_demux_create(&stack->demux, allocator, 64 + embryos_max + timewaits_max, stack->isn_key));
    sent_count = resets = changes = delivered = aborted = frames_out = 0;
    delivered_size = 0;
    passive_fails = false;
    memset(&iface, 0, sizeof(iface));
    memset(&path, 0, sizeof(path));
    iface.index = 2;
    iface.mtu = path.mtu = MTU;
    path.iface = &iface;
    server = pool_take(&stack->tcb_pool);
    memset(server, 0, sizeof(*server));
    server->sock.stack = stack;
    server->sock.kind = SOCK_TCP;
    server->receive_buffer = 256 << 10;
    server->rcv_scale = 7;
    cr_assert_eq(pal__n_listener_open(server, backlog), 0);
}

static void start(void)
{
    start_with(64, 8, 0, 16);
}

/* Everything is closed, and everything is back. */
static void finish(void)
{
    struct pal_allocator *allocator = &memory.allocator;

    if (server->state == TCP_LISTEN)
        pal__n_listener_close(server);
    while (!base_list_is_empty(&stack->timewaits))
        pal__n_timewait_free(stack, BASE_CONTAINER_OF(base_list_first(&stack->timewaits), struct timewait, link));
    pool_give(&stack->tcb_pool, server);
    cr_assert_eq(frames_out, 0);
    cr_assert_eq(path.refs, 0);
    cr_assert_eq(stack->demux.count, 0);
    cr_assert_eq(stack->timer_count, 0);
    cr_assert_eq(stack->ports->tcp_users[LISTEN_PORT], 0);
    cr_assert(stack->tcb_pool.used == 0 && stack->embryo_pool.used == 0 && stack->listener_pool.used == 0);
    pal__n_demux_destroy(&stack->demux, allocator);
    pal__n_pool_destroy(&stack->tcb_pool, allocator);
    pal__n_pool_destroy(&stack->listener_pool, allocator);
    pal__n_pool_destroy(&stack->embryo_pool, allocator);
    pal__n_pool_destroy(&stack->timewait_pool, allocator);
    cr_assert_eq(memory.bytes, 0);
    free(stack->ports);
    free(stack);
}

/* ---- the peer ---- */

/* A segment from that port of the peer. */
static struct segment from(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
    struct segment segment;

    memset(&segment, 0, sizeof(segment));
    memset(&packet, 0, sizeof(packet));
    packet.iface = &iface;
    segment.packet = &packet;
    segment.tuple.local = server_ip();
    segment.tuple.remote = ip_of_number(0x0a000002);
    segment.tuple.local_port = LISTEN_PORT;
    segment.tuple.remote_port = port;
    segment.tuple.protocol = PAL_IPPROTO_TCP;
    segment.flags = flags;
    segment.seq = seq;
    segment.ack = ack;
    segment.window = 5000;
    return segment;
}

static struct segment syn_from(uint16_t port, uint32_t seq, uint8_t has)
{
    struct segment segment = from(port, TCP_SYN, seq, 0);

    segment.options.has = has;
    segment.options.mss = 1400;
    segment.options.scale = 3;
    segment.options.ts_value = 5000;
    return segment;
}

/* As tcp_in.c gives it on. */
static void deliver(struct segment segment)
{
    uint32_t index = pal__n_demux_find(stack, &segment.tuple, pal__n_demux_hash(&stack->demux, &segment.tuple));
    uint32_t item = demux_pool_index(index);

    segment.packet->frame = frame_alloc(&world_nic);
    segment.time_ns = stack->now_ns;
    if (index == DEMUX_NONE)
        pal__n_listener_in(server, &segment);
    else if (demux_kind_of(index) == DEMUX_EMBRYO)
        pal__n_embryo_in(stack, pool_at(&stack->embryo_pool, item), &segment);
    else if (demux_kind_of(index) == DEMUX_TIMEWAIT)
        pal__n_timewait_in(stack, pool_at(&stack->timewait_pool, item), &segment);
    else
        pal__n_tcb_in(pool_at(&stack->tcb_pool, item), &segment);
}

static void wait_until(uint64_t now_ns)
{
    while (pal__n_timers_next(stack) <= now_ns) {
        uint64_t next_ns = pal__n_timers_next(stack);

        stack->now_ns = next_ns > stack->now_ns ? next_ns : stack->now_ns;
        pal__n_timers_fire(stack);
    }
    stack->now_ns = now_ns;
}

static const struct sent *last_sent(void)
{
    cr_assert(sent_count > 0);
    return &sent[sent_count - 1];
}

static uint64_t counted(enum netstack_counter counter)
{
    return stack->counters[counter];
}

#endif
