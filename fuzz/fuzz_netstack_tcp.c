/* fuzz/fuzz_netstack_tcp.c: segments with good checksums, calls of a program and time, for one connection, under
 * libFuzzer.
 *
 * The input: a byte (bit 0: IPv6; bits 1 and 2: the connection is established, being opened by the peer, or by us),
 * then steps. A step is a byte that says what (its upper bits tell further things) and its arguments; numbers of
 * segments are relative to what the other side expects, so that most are near the window. After each the invariants
 * hold; when all is over and closed, time ends everything. Corpus: fuzz/corpus/netstack_tcp/. */
#include "netstack_rig.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 200, SEND_MAX = 4096 };
enum { STEP_SEGMENT, STEP_SEND, STEP_RECV, STEP_TIME, STEP_CLOSE, STEP_SHUTDOWN, STEP_OPTION, STEP_ACK, STEPS };

struct session {
    struct rig rig;
    struct input input;
    struct sock *listener, *sock;
    bool ip6;
    uint16_t peer_port, port;
};

/* Two bytes with a sign, as what is added to a sequence number. */
static uint32_t take_delta(struct input *input)
{
    uint32_t value = input_take(input, 2);

    return value < 0x8000 ? value : value | 0xffff0000;
}

/* flags, window, sequence and acknowledgement relative to what is expected, payload, options. */
static void step_segment(struct session *session)
{
    struct input *input = &session->input;
    struct rig *rig = &session->rig;
    struct rig_tcp segment = {.source = session->peer_port, .port = session->port};
    uint8_t options[40];

    segment.flags = (uint8_t)input_take(input, 1);
    segment.window = (uint16_t)input_take(input, 2);
    segment.seq = rig->last.ack + take_delta(input);
    segment.ack = rig->last.seq + rig->last.size + take_delta(input);
    segment.size = input_take(input, 2) % 1500;
    segment.options_size = (uint8_t)(input_take(input, 1) % 11 * 4);
    for (uint32_t i = 0; i < segment.options_size; i++)
        options[i] = (uint8_t)input_take(input, 1);
    segment.options = options;
    if (segment.flags & TCP_URG)
        segment.urgent = (uint16_t)input_take(input, 2);
    rig_tcp(rig, session->ip6, &segment);
}

/* What a peer in order would send: everything is acknowledged, and `size` bytes follow. */
static void step_ack(struct session *session, uint32_t size)
{
    struct rig *rig = &session->rig;
    struct rig_tcp segment = {.source = session->peer_port, .port = session->port, .flags = TCP_ACK};

    segment.window = 4096;
    segment.seq = rig->last.ack;
    segment.ack = rig->last.seq + rig->last.size + ((rig->last.flags & (TCP_SYN | TCP_FIN)) != 0);
    segment.size = size;
    rig_tcp(rig, session->ip6, &segment);
}

static void set_option(struct session *session, uint32_t which, int32_t value)
{
    static const uint32_t options[] = {PAL_SO_NODELAY, PAL_SO_CORK,     PAL_SO_QUICKACK, PAL_SO_MAXSEG,
                                       PAL_SO_RCVBUF,  PAL_SO_SNDBUF,   PAL_SO_KEEPIDLE, PAL_SO_USER_TIMEOUT,
                                       PAL_SO_TOS,     PAL_SO_KEEPALIVE};

    pal__n_sock_set(session->sock, options[which % (sizeof(options) / sizeof(options[0]))], &value, sizeof(value));
}

static void step_program(struct session *session, uint32_t what, uint32_t more)
{
    static uint8_t bytes[SEND_MAX];
    struct pal_linger linger = {1, 0};

    if (session->sock == NULL)
        return;
    switch (what) {
    case STEP_SEND:
        pal__n_sock_send(session->sock, bytes, input_take(&session->input, 2) % SEND_MAX, more & 1 ? PAL_MSG_MORE : 0);
        break;
    case STEP_RECV:
        pal__n_sock_recv(session->sock, bytes, input_take(&session->input, 2) % SEND_MAX, more & 1 ? PAL_MSG_PEEK : 0);
        break;
    case STEP_SHUTDOWN:
        pal__n_sock_shutdown(session->sock, (int)(more % 3));
        break;
    case STEP_OPTION:
        set_option(session, more, (int32_t)input_take(&session->input, 2));
        break;
    default:
        if (more & 1)
            check(pal__n_sock_set(session->sock, PAL_SO_LINGER, &linger, sizeof(linger)) == 0);
        pal__n_sock_close(session->sock);
        session->sock = NULL;
        break;
    }
    rig_poll(&session->rig);
}

static void step(struct session *session)
{
    uint32_t byte = input_take(&session->input, 1), more = byte / STEPS;

    switch (byte % STEPS) {
    case STEP_SEGMENT:
        step_segment(session);
        break;
    case STEP_ACK:
        step_ack(session, more * 100);
        break;
    case STEP_TIME:
        rig_advance(&session->rig, (uint64_t)1000 << more);
        break;
    default:
        step_program(session, byte % STEPS, more);
        break;
    }
    if (session->sock == NULL && session->listener != NULL)
        pal__n_sock_accept(session->listener, &session->sock, NULL);
}

static void connect_peer(struct session *session)
{
    struct pal_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.family = session->ip6 ? PAL_AF_INET6 : PAL_AF_INET;
    addr.size = session->ip6 ? 16 : 4;
    memcpy(addr.bytes, session->ip6 ? session->rig.theirs[1].bytes : ip_v4_bytes(&session->rig.theirs[0]), addr.size);
    addr.port = session->peer_port;
    check(pal__n_sock_open(session->rig.stack, addr.family, PAL_SOCK_STREAM, &session->sock) == 0);
    check(pal__n_sock_connect(session->sock, &addr) == PAL_EINPROGRESS);
    check(pal__n_sock_name(session->sock, PAL_NAME_LOCAL, &addr) == 0);
    session->port = addr.port;
    session->rig.last.ack = RIG_PEER_ISN;
    rig_poll(&session->rig);
}

/* Nothing of TCP is left when all is closed and enough time has passed. */
static void finish(struct session *session)
{
    struct netstack_usage usage;

    if (session->sock != NULL)
        pal__n_sock_close(session->sock);
    if (session->listener != NULL)
        pal__n_sock_close(session->listener);
    for (int i = 0; i < 300; i++)
        rig_advance(&session->rig, 1000000000);
    pal__n_stack_usage(session->rig.stack, &usage);
    check((usage.tcp | usage.listeners | usage.embryos | usage.timewaits | usage.segments | usage.chunks) == 0);
    rig_end(&session->rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session session;
    uint32_t how;

    memset(&session, 0, sizeof(session));
    session.input.bytes = data;
    session.input.size = size;
    how = input_take(&session.input, 1);
    session.ip6 = how & 1;
    session.peer_port = RIG_PEER_PORT;
    session.port = RIG_PORT;
    rig_begin(&session.rig, 0);
    if ((how >> 1 & 3) == 2) {
        connect_peer(&session);
    } else {
        session.listener =
            rig_socket(&session.rig, session.ip6 ? PAL_AF_INET6 : PAL_AF_INET, PAL_SOCK_STREAM, RIG_PORT);
        session.rig.last.ack = RIG_PEER_ISN;
        if ((how >> 1 & 3) != 1)
            session.sock = rig_accept(&session.rig, session.listener, session.ip6);
    }
    for (int i = 0; i < STEPS_MAX && session.input.size > 0; i++)
        step(&session);
    finish(&session);
    return 0;
}
