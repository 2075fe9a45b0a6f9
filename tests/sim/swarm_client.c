/* swarm_client.c: a client of the echo service: sessions one after the other, over IPv4 and IPv6, each with its own
 * bytes, which are compared as they come back. It knows nothing of the simulator. */
#include "swarm.h"

#include <pal/address.h>
#include <string.h>

enum { PIECE = 700, BYTES_MAX = 12000 };
#define PATIENCE_NS (20 * SECOND_NS)

uint8_t swarm_byte(uint32_t session, uint32_t place)
{
    uint32_t mixed = (session * 2654435761u) ^ (place * 2246822519u);
    return (uint8_t)(mixed >> 24 ^ mixed >> 11);
}

struct session {
    struct swarm *swarm;
    uint32_t id;
    uint32_t size, sent, received;
    uint64_t deadline_ns;
    pal_sock sock;
    bool has_ended; /* the peer has */
};

static int open_socket(int family, int type, pal_sock *out)
{
    int error = PAL_ENOBUFS;
    for (int i = 0; i < 1000 && (error == PAL_ENOBUFS || error == PAL_EMFILE); i++)
        error = pal_sock_open(NULL, family, type, 0, out);
    return error;
}

static uint16_t ready(const struct session *session, uint16_t interest)
{
    struct pal_wait item = {.sock = session->sock, .interest = interest};
    pal_sock_wait(&item, 1, session->deadline_ns);
    return item.ready;
}

static bool connects(struct session *session)
{
    struct pal_addr addr = {0};
    int32_t error = 0;
    size_t size = sizeof error;
    pal_addr_from_host(&addr, session->id & 1 ? "fd00::1" : "10.0.0.1", SWARM_PORT);
    if (open_socket(addr.family, PAL_SOCK_STREAM, &session->sock))
        return false;
    int result = pal_sock_connect(session->sock, &addr);
    if (result == PAL_EINPROGRESS && ready(session, PAL_OUT) &&
        !pal_sock_get(session->sock, PAL_SO_ERROR, &error, &size))
        result = error;
    return result == 0;
}

/* False: the connection is broken. */
static bool sends(struct session *session)
{
    uint8_t bytes[PIECE];
    uint32_t count = session->size - session->sent < PIECE ? session->size - session->sent : PIECE;
    for (uint32_t i = 0; i < count; i++)
        bytes[i] = swarm_byte(session->id, session->sent + i);
    int32_t result = pal_sock_send(session->sock, bytes, count, 0);
    session->sent += result > 0 ? (uint32_t)result : 0;
    if (session->sent == session->size)
        pal_sock_shutdown(session->sock, PAL_SHUT_WR);
    return result >= 0 || result == PAL_EAGAIN || result == PAL_ENOBUFS;
}

static bool receives(struct session *session)
{
    uint8_t bytes[PIECE];
    int32_t result = pal_sock_recv(session->sock, bytes, sizeof bytes, 0);
    if (result == PAL_EAGAIN)
        return true;
    if (result <= 0) {
        session->has_ended = result == 0;
        return false;
    }
    for (int32_t i = 0; i < result; i++) {
        if (bytes[i] != swarm_byte(session->id, session->received + (uint32_t)i))
            swarm_fail(session->swarm, "session %u: byte %u is not the one that was sent", (unsigned)session->id,
                       (unsigned)session->received + (unsigned)i);
    }
    session->received += (uint32_t)result;
    if (session->received > session->sent)
        swarm_fail(session->swarm, "session %u: more came back than was sent", (unsigned)session->id);
    return true;
}

/* True: all came back, and then the end. */
static bool talks(struct session *session)
{
    while (pal_clock(PAL_CLOCK_MONOTONIC) < session->deadline_ns) {
        bool sending = session->sent < session->size;
        uint16_t bits = ready(session, sending ? PAL_IN | PAL_OUT : PAL_IN);
        if (sending && bits & PAL_OUT && !sends(session))
            return false;
        if (bits & (PAL_IN | PAL_ERR | PAL_HUP) && !receives(session))
            return session->has_ended && session->received == session->size;
    }
    return false;
}

static bool streams(struct swarm *swarm, uint32_t id)
{
    struct session session = {.swarm = swarm, .id = id, .size = 1 + id * 7919u % BYTES_MAX};
    session.deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + PATIENCE_NS;
    bool good = connects(&session) && talks(&session);
    swarm->bytes += session.received;
    if (session.sock.id && pal_sock_close(session.sock))
        swarm_fail(swarm, "session %u: its socket does not close: %s", (unsigned)id, pal_reason());
    return good;
}

/* A datagram that comes back is one that was sent. */
static void throws(struct swarm *swarm, uint32_t id)
{
    uint8_t bytes[64], back[64];
    struct pal_addr addr = {0};
    struct session session = {.swarm = swarm, .id = id, .deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + SECOND_NS};
    pal_addr_from_host(&addr, id & 1 ? "10.0.0.1" : "fd00::1", SWARM_PORT);
    if (open_socket(addr.family, PAL_SOCK_DGRAM, &session.sock))
        return;
    for (uint32_t i = 0; i < sizeof bytes; i++)
        bytes[i] = swarm_byte(id, i);
    pal_sock_connect(session.sock, &addr);
    pal_sock_send(session.sock, bytes, sizeof bytes, 0);
    if (ready(&session, PAL_IN) & PAL_IN) {
        int32_t size = pal_sock_recv(session.sock, back, sizeof back, 0);
        if (size >= 0 && (size != sizeof bytes || memcmp(bytes, back, sizeof bytes) != 0))
            swarm_fail(swarm, "datagram %u came back as another", (unsigned)id);
        swarm->datagrams += size >= 0;
    }
    pal_sock_close(session.sock);
}

int32_t swarm_client(void *argument)
{
    const struct swarm_client *client = argument;
    struct swarm *swarm = client->swarm;
    const uint32_t sessions = client->sessions;
    const bool calm = swarm->calm;
    int32_t good = 0;
    for (uint32_t i = 0; i < sessions; i++) {
        uint32_t id = client->number * 100000 + i + (uint32_t)(swarm->seed % 97) * 1000;
        throws(swarm, id);
        if (streams(swarm, id))
            good++;
        else
            swarm->broken++;
        pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + swarm_byte(id, 1) * SECOND_NS / 100);
    }
    swarm->sessions += (uint32_t)good;
    if (calm && good != (int32_t)sessions)
        swarm_fail(swarm, "client %u: %d of %u sessions went well though the faults are over", (unsigned)client->number,
                   (int)good, (unsigned)sessions);
    return good;
}
