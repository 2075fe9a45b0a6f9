/* tests/netstack/swarm_tcp.c: listeners, clients and servers of the swarm.
 *
 * They act only when they are told that a socket is ready, or when a pause is over that they have made: a wake-up that
 * does not come is a stall. An error needs a reason: a program, or in seeds that are not strict hardship. */
#include "swarm.h"

#include <inttypes.h>
#include <string.h>

struct endpoint *peer_of(struct endpoint *end)
{
    return &end->conn->ends[end == &end->conn->ends[0]];
}

const char *name_of(const struct endpoint *end)
{
    return end == &end->conn->ends[0] ? "client" : "server";
}

/* Until it is to look again: a while, or when it is told. */
static void rest(struct world *world, struct endpoint *end)
{
    uint64_t kind = rng_below(&world->rng, 100);
    uint32_t interest = 0;

    if (end->done)
        return;
    if (end->read >= end->pause_at) {
        end->pause_at = UINT64_MAX;
        end->think_ns = world->now_ns + rng_log(&world->rng, 100 * MS, 5 * SECOND);
    } else if (kind < 30) {
        end->think_ns = world->now_ns + rng_log(&world->rng, US, MS);
    } else if (kind < 35) {
        end->think_ns = world->now_ns + rng_log(&world->rng, MS, 100 * MS);
    } else {
        end->think_ns = 0;
        interest = end->connecting || (end->written < end->goal && !end->shut) ? PAL_OUT : 0;
        if (!end->connecting && !end->eof)
            interest |= PAL_IN;
        if (interest == 0)
            interest = PAL_IN;
    }
    pal__n_sock_watch(end->sock, interest);
}

/* Gives the socket up. An ordinary close ends the stream in order if there is nothing that it cuts off. */
static void leave(struct world *world, struct endpoint *end, bool abort)
{
    struct endpoint *peer = peer_of(end);

    if (abort) {
        struct pal_linger linger = {1, 0};

        if (pal__n_sock_set(end->sock, PAL_SO_LINGER, &linger, sizeof(linger)) != 0)
            fail(world, "linger is refused");
    }
    if (abort || (!end->eof && end->read < peer->goal))
        end->conn->disturbed = end->closed_early = true;
    if (!abort)
        end->shut = true;
    tell(world, "conn %u %s: %s, read %" PRIu64 " written %" PRIu64 " of %" PRIu64, end->conn->index, name_of(end),
         abort ? "abort" : "close", end->read, end->written, end->goal);
    pal__n_sock_close(end->sock);
    end->sock = NULL;
    end->done = true;
}

/* Is there a reason for the error that is nobody's doing? */
static bool is_excused(const struct world *world, struct endpoint *end, int error)
{
    const struct endpoint *peer = peer_of(end);

    if (error == PAL_EHOSTUNREACH && end->connecting && world->options.is_lossy && !world->options.neighbours)
        return true; /* nobody has answered the question for the neighbour */
    /* A closed socket waits for the end of the other stream for two MSL only: what comes later is reset. */
    return peer->done && peer->shut && !peer->eof && world->options.stacks[peer->side].msl_ns < SECOND;
}

/* A call has said so. */
void learn(struct world *world, struct endpoint *end, int error, const char *call)
{
    struct conn *conn = end->conn;
    bool excused = !world->options.strict || conn->disturbed || is_excused(world, end, error);

    tell(world, "conn %u %s: %s: %s", conn->index, name_of(end), call, pal_error_name(error));
    end->error = error;
    if (conn->how == HOW_TO_CLOSED_PORT)
        excused = excused || error == PAL_ECONNREFUSED;
    if (!excused)
        fail(world, "conn %u %s: %s: %s, and nobody is to blame", conn->index, name_of(end), call,
             pal_error_name(error));
    conn->disturbed = true;
    pal__n_sock_close(end->sock);
    end->sock = NULL;
    end->done = true;
}

/* Where an end connects to. */
static void target_of(const struct world *world, const struct endpoint *end, struct pal_addr *out)
{
    const struct conn *conn = end->conn;

    switch (conn->how) {
    case HOW_TO_CLOSED_PORT:
        world_addr(world, 1 - end->side, CLOSED_PORT, out);
        break;
    case HOW_TO_SELF:
        world_addr(world, end->side, LISTENER_PORT, out);
        break;
    case HOW_LOOPBACK:
        world_loopback(world, LISTENER_PORT, out);
        break;
    case HOW_BOTH:
        world_addr(world, 1 - end->side, (uint16_t)(BOTH_PORT + conn->index), out);
        break;
    default:
        world_addr(world, 1 - end->side, LISTENER_PORT, out);
        break;
    }
}

/* A connection attempt has ended, or not yet. */
static void see_connected(struct world *world, struct endpoint *end, uint32_t bits)
{
    int32_t error = 0;
    size_t size = sizeof(error);
    struct pal_addr addr, expected;

    if ((bits & (PAL_OUT | PAL_ERR | PAL_HUP)) == 0)
        return;
    if (pal__n_sock_get(end->sock, PAL_SO_ERROR, &error, &size) != 0)
        fail(world, "conn %u: no SO_ERROR", end->conn->index);
    if (error != 0) {
        learn(world, end, error, "connect");
        return;
    }
    end->connecting = false;
    if (end->conn->how == HOW_TO_CLOSED_PORT) {
        fail(world, "conn %u: connected to a closed port", end->conn->index);
        return;
    }
    target_of(world, end, &expected);
    if (pal__n_sock_name(end->sock, PAL_NAME_PEER, &addr) != 0 || addr.port != expected.port ||
        memcmp(addr.bytes, expected.bytes, addr.size) != 0)
        fail(world, "conn %u: wrong peer", end->conn->index);
}

/* What follows from what has been read and written. */
static void proceed(struct world *world, struct endpoint *end)
{
    bool written = end->written == end->goal;

    if (end->read + end->written >= end->quit_at) {
        leave(world, end, end->plan == PLAN_ABORTER);
        return;
    }
    if (written && end->plan == PLAN_HASTY) {
        leave(world, end, false);
        return;
    }
    if (written && !end->shut && end->plan != PLAN_LAST) {
        int error = pal__n_sock_shutdown(end->sock, PAL_SHUT_WR);

        tell(world, "conn %u %s: shutdown", end->conn->index, name_of(end));
        if (error != 0) {
            learn(world, end, error, "shutdown");
            return;
        }
        end->shut = true;
    }
    if (written && end->eof)
        leave(world, end, false);
}

static void act(struct world *world, struct endpoint *end)
{
    uint32_t bits = pal__n_sock_ready(end->sock);

    end->think_ns = 0;
    if (end->connecting)
        see_connected(world, end, bits);
    if (!end->done && !end->connecting) {
        if (!end->eof && (bits & (PAL_IN | PAL_ERR | PAL_HUP)) != 0)
            read_some(world, end, (bits & PAL_IN) != 0);
        if (!end->done && !end->shut && ((bits & PAL_OUT) != 0 || rng_chance(&world->rng, 10)))
            write_some(world, end, (pal__n_sock_ready(end->sock) & PAL_OUT) != 0);
        if (!end->done)
            proceed(world, end);
        if (!end->done && rng_chance(&world->rng, 3))
            turn_a_knob(world, end);
    }
    rest(world, end);
}

static void connect_end(struct world *world, struct endpoint *end)
{
    struct conn *conn = end->conn;
    struct pal_addr addr;
    int32_t on = 1;
    int error = pal__n_sock_open(world->stacks[end->side], world->options.ip6 ? PAL_AF_INET6 : PAL_AF_INET,
                                 PAL_SOCK_STREAM, &end->sock);

    end->started = true;
    if (error != 0) {
        fail(world, "conn %u: open: %s", conn->index, pal_error_name(error));
        return;
    }
    if (pal__n_sock_set(end->sock, PAL_SO_KEEPALIVE, &on, sizeof(on)) != 0)
        fail(world, "keepalive is refused");
    turn_a_knob(world, end);
    end->connecting = true;
    if (conn->how == HOW_BOTH) {
        world_addr(world, end->side, (uint16_t)(BOTH_PORT + conn->index), &addr);
        if (pal__n_sock_bind(end->sock, &addr) != 0)
            fail(world, "conn %u: cannot be bound", conn->index);
    }
    target_of(world, end, &addr);
    error = pal__n_sock_connect(end->sock, &addr);
    if (error != 0 && error != PAL_EINPROGRESS) {
        learn(world, end, error, "connect");
        return;
    }
    if (pal__n_sock_name(end->sock, PAL_NAME_LOCAL, &addr) != 0)
        fail(world, "conn %u has no local address", conn->index);
    if (conn->how != HOW_BOTH)
        conn->client_addr = addr;
    rest(world, end);
}

static void begin_conn(struct world *world, struct conn *conn)
{
    for (int i = 0; i < (conn->how == HOW_BOTH ? 2 : 1); i++) {
        pal__n_stack_set_time(world->stacks[conn->ends[i].side], world->now_ns);
        connect_end(world, &conn->ends[i]);
    }
}

static void accept_one(struct world *world, int side, struct sock *sock, const struct pal_addr *addr)
{
    struct pal_linger linger = {1, 0};
    int32_t on = 1;

    for (uint32_t i = 0; i < world->options.conn_count; i++) {
        struct conn *conn = &world->conns[i];
        struct endpoint *end = &conn->ends[1];

        if (end->side != side || end->started || conn->client_addr.port != addr->port ||
            memcmp(conn->client_addr.bytes, addr->bytes, addr->size) != 0)
            continue;
        end->started = true;
        end->sock = sock;
        tell(world, "conn %u: accepted", i);
        if (pal__n_sock_set(sock, PAL_SO_KEEPALIVE, &on, sizeof(on)) != 0)
            fail(world, "keepalive is refused");
        turn_a_knob(world, end);
        end->think_ns = world->now_ns + 1; /* there may be something to do before anything comes */
        return;
    }
    /* A late segment of one that is over, with the right cookie still, or the same sequence numbers again. */
    if (world->options.strict && (world->options.stacks[side].flags & NETSTACK_FIXED_ISN) == 0)
        fail(world, "a connection from port %u that nobody has made", addr->port);
    tell(world, "a connection from port %u that nobody has made", addr->port);
    if (pal__n_sock_set(sock, PAL_SO_LINGER, &linger, sizeof(linger)) != 0)
        fail(world, "linger is refused");
    pal__n_sock_close(sock);
}

static void close_listener(struct world *world, int side)
{
    tell(world, "listener of stack %d closes", side);
    pal__n_sock_close(world->listeners[side]);
    world->listeners[side] = NULL;
    world->listener_close_ns[side] = UINT64_MAX;
    for (uint32_t i = 0; i < world->options.conn_count; i++)
        if (world->conns[i].ends[1].side == side && !world->conns[i].ends[1].started)
            world->conns[i].disturbed = true;
}

static void act_listener(struct world *world, int side, bool ready)
{
    uint64_t times = 1 + rng_below(&world->rng, 3);
    bool rests = rng_chance(&world->rng, 30);

    for (uint64_t i = 0; i < times; i++) {
        struct pal_addr addr;
        struct sock *sock;
        int error = pal__n_sock_accept(world->listeners[side], &sock, &addr);

        if (error == 0)
            accept_one(world, side, sock, &addr);
        else if (error != PAL_EAGAIN && error != PAL_ECONNABORTED && world->options.strict)
            fail(world, "accept: %s", pal_error_name(error));
        else if (error == PAL_EAGAIN && ready && i == 0)
            fail(world, "listener %d ready to accept, and is not", side);
    }
    world->listener_think_ns[side] = rests ? world->now_ns + rng_log(&world->rng, US, 50 * MS) : 0;
    pal__n_sock_watch(world->listeners[side], rests ? 0 : PAL_IN);
}

void tcp_begin(struct world *world)
{
    for (int side = 0; side < 2; side++) {
        struct pal_addr addr;

        world_addr(world, side, LISTENER_PORT, &addr);
        memset(addr.bytes, 0, sizeof(addr.bytes)); /* any: the address may be tentative still */
        if (pal__n_sock_open(world->stacks[side], addr.family, PAL_SOCK_STREAM, &world->listeners[side]) != 0 ||
            pal__n_sock_bind(world->listeners[side], &addr) != 0 ||
            pal__n_sock_listen(world->listeners[side], (int)world->options.backlog) != 0) {
            fail(world, "no listener");
            return;
        }
        pal__n_sock_watch(world->listeners[side], PAL_IN);
    }
}

void tcp_think(struct world *world)
{
    for (uint32_t i = 0; i < world->options.conn_count && !world->failed; i++) {
        struct conn *conn = &world->conns[i];

        if (!conn->ends[0].started && conn->start_ns <= world->now_ns) {
            begin_conn(world, conn);
            world->events++;
        }
        for (int end = 0; end < 2; end++)
            if (conn->ends[end].sock != NULL && conn->ends[end].think_ns != 0 &&
                conn->ends[end].think_ns <= world->now_ns) {
                act(world, &conn->ends[end]);
                world->events++;
            }
    }
    for (int side = 0; side < 2 && !world->failed; side++) {
        if (world->listeners[side] == NULL)
            continue;
        if (world->listener_close_ns[side] <= world->now_ns)
            close_listener(world, side);
        else if (world->listener_think_ns[side] != 0 && world->listener_think_ns[side] <= world->now_ns)
            act_listener(world, side, false);
    }
}

bool tcp_ready(struct world *world, struct sock *sock)
{
    for (int side = 0; side < 2; side++)
        if (world->listeners[side] == sock) {
            act_listener(world, side, true);
            return true;
        }
    for (uint32_t i = 0; i < world->options.conn_count; i++)
        for (int end = 0; end < 2; end++)
            if (world->conns[i].ends[end].sock == sock) {
                act(world, &world->conns[i].ends[end]);
                return true;
            }
    return false;
}

uint64_t tcp_next(const struct world *world)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t i = 0; i < world->options.conn_count; i++) {
        const struct conn *conn = &world->conns[i];

        if (!conn->ends[0].started && conn->start_ns < next_ns)
            next_ns = conn->start_ns;
        for (int end = 0; end < 2; end++)
            if (conn->ends[end].sock != NULL && conn->ends[end].think_ns != 0 && conn->ends[end].think_ns < next_ns)
                next_ns = conn->ends[end].think_ns;
    }
    for (int side = 0; side < 2; side++) {
        if (world->listeners[side] == NULL)
            continue;
        if (world->listener_think_ns[side] != 0 && world->listener_think_ns[side] < next_ns)
            next_ns = world->listener_think_ns[side];
        if (world->listener_close_ns[side] < next_ns)
            next_ns = world->listener_close_ns[side];
    }
    return next_ns;
}

bool tcp_is_done(const struct world *world)
{
    for (uint32_t i = 0; i < world->options.conn_count; i++) {
        const struct conn *conn = &world->conns[i];

        if (!conn->ends[0].done)
            return false;
        if (conn->ends[1].started ? !conn->ends[1].done : !conn->disturbed && conn->how != HOW_TO_CLOSED_PORT)
            return false;
    }
    return true;
}

void tcp_close_listeners(struct world *world)
{
    for (int side = 0; side < 2 && !world->failed; side++)
        if (world->listeners[side] != NULL)
            close_listener(world, side);
}

void tcp_judge(struct world *world)
{
    for (uint32_t i = 0; i < world->options.conn_count && !world->failed; i++) {
        const struct conn *conn = &world->conns[i];

        if (conn->disturbed || conn->how == HOW_TO_CLOSED_PORT)
            continue;
        for (int end = 0; end < 2; end++)
            if (conn->ends[end].written != conn->ends[end].goal && conn->ends[end].plan != PLAN_QUITTER)
                fail(world, "conn %u: undisturbed, and has written %" PRIu64 " of %" PRIu64, i, conn->ends[end].written,
                     conn->ends[end].goal);
    }
}

void tcp_print(const struct world *world, FILE *file)
{
    for (uint32_t i = 0; i < world->options.conn_count; i++)
        for (int index = 0; index < 2; index++) {
            const struct endpoint *end = &world->conns[i].ends[index];

            fprintf(file,
                    "#   conn %u %s on %d plan %d: read %" PRIu64 " written %" PRIu64 " of %" PRIu64
                    "%s%s%s%s%s%s error %s ready %x\n",
                    i, name_of(end), end->side, (int)end->plan, end->read, end->written, end->goal,
                    end->started ? " started" : "", end->connecting ? " connecting" : "", end->shut ? " shut" : "",
                    end->eof ? " eof" : "", end->done ? " done" : "", end->closed_early ? " early" : "",
                    pal_error_name(end->error), end->sock == NULL ? 0 : pal__n_sock_ready(end->sock));
        }
}
