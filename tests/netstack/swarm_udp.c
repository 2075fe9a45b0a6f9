/* tests/netstack/swarm_udp.c: datagrams of the swarm. Some may be lost; what arrives must be what was sent, whole, and
 * not twice unless the wire doubles. A socket that sends to where nobody is must be told when nothing is lost. */
#include "swarm.h"

#include <string.h>

enum { HEADER = 4, DATAGRAM_MAX = 8000, SALT = 1000 };

static bool open_socket(struct world *world, int side, uint16_t port, uint16_t to, struct sock **out)
{
    struct pal_addr addr;
    int32_t fragment = 0;
    struct sock *sock;

    world_addr(world, side, port, &addr);
    memset(addr.bytes, 0, sizeof(addr.bytes));
    if (pal__n_sock_open(world->stacks[side], addr.family, PAL_SOCK_DGRAM, &sock) != 0)
        return false;
    *out = sock;
    if (pal__n_sock_bind(sock, &addr) != 0)
        return false;
    world_addr(world, 1 - side, to, &addr);
    return pal__n_sock_connect(sock, &addr) == 0 &&
           pal__n_sock_set(sock, PAL_SO_MTU_DISCOVER, &fragment, sizeof(fragment)) == 0;
}

void udp_begin(struct world *world)
{
    for (int side = 0; side < 2; side++) {
        world->udp[side].side = side;
        world->udp[side].wanted = world->options.datagrams;
        if (world->options.datagrams > 0)
            world->udp[side].think_ns = world->options.actors_ns + 1;
    }
}

/* At its first thought: before that an address may be tentative, and nothing could be connected. */
static void open_all(struct world *world, struct datagrams *udp)
{
    if (!open_socket(world, udp->side, UDP_PORT, UDP_PORT, &udp->sock) ||
        !open_socket(world, udp->side, UDP_PORT + 1, CLOSED_PORT, &udp->stray)) {
        fail(world, "no UDP socket on stack %d", udp->side);
        return;
    }
    pal__n_sock_watch(udp->sock, PAL_IN);
    pal__n_sock_watch(udp->stray, PAL_IN);
}

static void send_one(struct world *world, struct datagrams *udp)
{
    static uint8_t buffer[DATAGRAM_MAX];
    uint32_t size = (uint32_t)(HEADER + rng_log(&world->rng, 1, DATAGRAM_MAX - HEADER));
    uint32_t id = udp->sent;
    int32_t taken;

    buffer[0] = 'D';
    buffer[1] = (uint8_t)udp->side;
    buffer[2] = (uint8_t)id;
    buffer[3] = (uint8_t)(size >> 5);
    pattern_fill(buffer + HEADER, size - HEADER, SALT + id, 0);
    udp->sizes[id] = size;
    taken = pal__n_sock_send(udp->sock, buffer, size, 0);
    if (taken >= 0 && (uint32_t)taken != size)
        fail(world, "a datagram of %u bytes was sent as %d", size, (int)taken);
    udp->sent++; /* what was refused is as good as lost */
}

static void receive_all(struct world *world, struct datagrams *udp)
{
    static uint8_t buffer[DATAGRAM_MAX + 1];
    const struct datagrams *other = &world->udp[1 - udp->side];
    int32_t size;

    while (!world->failed && (size = pal__n_sock_recv(udp->sock, buffer, sizeof(buffer), 0)) != PAL_EAGAIN) {
        uint32_t id;

        if (size < 0) {
            tell(world, "datagrams on %d: %s", udp->side, pal_error_name(size));
            continue;
        }
        id = size < HEADER ? DATAGRAMS_MAX : buffer[2];
        /* The checksum does not always tell that several of its fragments were damaged. */
        if (world->options.is_damaging && (uint32_t)size + 28 > world->options.mtu)
            continue;
        if (id >= other->sent || buffer[0] != 'D' || buffer[1] != other->side || (uint32_t)size != other->sizes[id] ||
            pattern_check(buffer + HEADER, (size_t)size - HEADER, SALT + id, 0) != (size_t)size - HEADER) {
            fail(world, "a datagram of %d bytes that nobody has sent", (int)size);
            return;
        }
        if (udp->seen[id]++ != 0 && !world->options.may_duplicate)
            fail(world, "datagram %u came twice", id);
    }
}

static void send_stray(struct datagrams *udp)
{
    if (!udp->stray_sent && pal__n_sock_send(udp->stray, "?", 1, 0) == 1)
        udp->stray_sent = true;
}

static void receive_stray(struct world *world, struct datagrams *udp)
{
    uint8_t byte;
    int32_t got = pal__n_sock_recv(udp->stray, &byte, 1, 0);

    if (got == PAL_ECONNREFUSED)
        udp->stray_told = true;
    else if (got != PAL_EAGAIN && got != PAL_EHOSTUNREACH)
        fail(world, "where nobody is: %d", (int)got);
}

void udp_think(struct world *world)
{
    for (int side = 0; side < 2 && !world->failed; side++) {
        struct datagrams *udp = &world->udp[side];

        if (udp->think_ns == 0 || udp->think_ns > world->now_ns)
            continue;
        world->events++;
        pal__n_stack_set_time(world->stacks[side], world->now_ns);
        if (udp->sock == NULL) {
            open_all(world, udp);
        } else if (world->udp[1 - side].sock != NULL) {
            send_one(world, udp);
            send_stray(udp);
        }
        udp->think_ns = udp->sent == udp->wanted ? 0 : world->now_ns + rng_log(&world->rng, US, 50 * MS);
    }
}

bool udp_ready(struct world *world, struct sock *sock)
{
    for (int side = 0; side < 2; side++) {
        struct datagrams *udp = &world->udp[side];

        if (sock == udp->sock)
            receive_all(world, udp);
        else if (sock == udp->stray)
            receive_stray(world, udp);
        else
            continue;
        return true;
    }
    return false;
}

uint64_t udp_next(const struct world *world)
{
    uint64_t next_ns = UINT64_MAX;

    for (int side = 0; side < 2; side++)
        if (world->udp[side].think_ns != 0 && world->udp[side].think_ns < next_ns)
            next_ns = world->udp[side].think_ns;
    return next_ns;
}

bool udp_is_done(const struct world *world)
{
    for (int side = 0; side < 2; side++) {
        const struct datagrams *udp = &world->udp[side];

        if (udp->sent < udp->wanted)
            return false;
        if (udp->stray_sent && !udp->stray_told && world->options.strict && !world->options.is_lossy &&
            world->options.neighbours && /* else too many may wait for the neighbour */
            pal__n_stack_counters(world->stacks[1 - side])[COUNTER_icmp_limited] == 0)
            return false;
    }
    return true;
}

void udp_end(struct world *world)
{
    for (int side = 0; side < 2 && !world->failed; side++) {
        struct datagrams *udp = &world->udp[side];

        if (udp->sock != NULL && (pal__n_sock_ready(udp->sock) & PAL_IN) != 0)
            fail(world, "stack %d has a datagram, and nobody was told", side);
        if (udp->sock != NULL)
            pal__n_sock_close(udp->sock);
        if (udp->stray != NULL)
            pal__n_sock_close(udp->stray);
        udp->sock = udp->stray = NULL;
    }
}
