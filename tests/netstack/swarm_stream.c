/* tests/netstack/swarm_stream.c: how programs of the swarm read and write their streams, and what is demanded of these.
 *
 * Every byte read is compared with the pattern. The end of a stream may be seen only when the other has ended it, and
 * all of it has been read. Who is told that a socket is ready must find it so. */
#include "swarm.h"

#include <inttypes.h>
#include <string.h>

enum { FRAMES_MAX = 4, PIECES_MAX = 3 };

static uint64_t salt_of(const struct endpoint *end, bool writes)
{
    uint64_t salt = (uint64_t)end->conn->index * 2 + (end == &end->conn->ends[0]);

    return writes ? salt : salt ^ 1;
}

/* ---- reading ---- */

static void take(struct world *world, struct endpoint *end, const uint8_t *bytes, size_t size)
{
    size_t good = pattern_check(bytes, size, salt_of(end, false), end->read);

    if (good != size)
        fail(world, "conn %u %s: byte %" PRIu64 " is wrong", end->conn->index, name_of(end), end->read + good);
    end->read += size;
    world->bytes += size;
    if (end->read > peer_of(end)->written)
        fail(world, "conn %u %s: has read %" PRIu64 " bytes of %" PRIu64, end->conn->index, name_of(end), end->read,
             peer_of(end)->written);
}

static void see_end(struct world *world, struct endpoint *end)
{
    struct endpoint *peer = peer_of(end);

    end->eof = true;
    if (!peer->shut)
        fail(world, "conn %u %s: end of a stream that nobody has ended", end->conn->index, name_of(end));
    if (end->read != peer->written)
        fail(world, "conn %u %s: the end after %" PRIu64 " of %" PRIu64 " bytes", end->conn->index, name_of(end),
             end->read, peer->written);
}

static int32_t read_frames(struct world *world, struct endpoint *end)
{
    struct frame *frames[FRAMES_MAX];
    int32_t size = 0;
    int count = pal__n_sock_recv_frames(end->sock, frames, NULL, (int)(1 + rng_below(&world->rng, FRAMES_MAX)));

    for (int i = 0; i < count; i++) {
        take(world, end, frames[i]->data, frames[i]->size);
        size += (int32_t)frames[i]->size;
        if (frames[i]->size == 0)
            fail(world, "conn %u %s: an empty frame", end->conn->index, name_of(end));
        frame_free(frames[i]);
    }
    return count <= 0 ? count : size;
}

/* Cuts memory into pieces of a message. */
static void cut(struct world *world, uint8_t *bytes, size_t size, struct pal_iov *pieces, struct pal_msg *msg)
{
    memset(msg, 0, sizeof(*msg));
    msg->iov = pieces;
    while (msg->iov_count < PIECES_MAX && size > 0) {
        size_t part = msg->iov_count + 1 == PIECES_MAX ? size : (size_t)rng_below(&world->rng, size + 1);

        pieces[msg->iov_count].data = bytes;
        pieces[msg->iov_count++].size = part;
        bytes += part;
        size -= part;
    }
}

/* The same as a message of several pieces. */
static int32_t read_pieces(struct world *world, struct endpoint *end, uint8_t *bytes, size_t size)
{
    struct pal_iov pieces[PIECES_MAX];
    struct pal_msg msg;
    int count;

    cut(world, bytes, size, pieces, &msg);
    count = pal__n_sock_recv_msgs(end->sock, &msg, 1, 0);
    return count == 1 ? msg.size : count;
}

static int32_t write_pieces(struct world *world, struct endpoint *end, uint8_t *bytes, size_t size, uint32_t flags)
{
    struct pal_iov pieces[PIECES_MAX];
    struct pal_msg msg;
    int count;

    cut(world, bytes, size, pieces, &msg);
    count = pal__n_sock_send_msgs(end->sock, &msg, 1, flags);
    return count == 1 ? msg.size : count;
}

static int32_t read_bytes(struct world *world, struct endpoint *end)
{
    static uint8_t buffer[PATTERN_MAX];
    size_t size = (size_t)rng_log(&world->rng, 1, PATTERN_MAX);
    bool peek = rng_chance(&world->rng, 5);
    int32_t got = rng_chance(&world->rng, 10) && !peek
                      ? read_pieces(world, end, buffer, size)
                      : pal__n_sock_recv(end->sock, buffer, size, peek ? PAL_MSG_PEEK : 0);

    if (got > (int32_t)size)
        fail(world, "conn %u: more than there was room for", end->conn->index);
    if (peek && got > 0 && pattern_check(buffer, (size_t)got, salt_of(end, false), end->read) != (size_t)got)
        fail(world, "conn %u: peeked at wrong bytes", end->conn->index);
    if (!peek && got > 0)
        take(world, end, buffer, (size_t)got);
    return got;
}

/* ready: it was told that there is something. */
void read_some(struct world *world, struct endpoint *end, bool ready)
{
    uint64_t times = 1 + rng_below(&world->rng, 3);

    for (uint64_t i = 0; i < times && !end->done && !end->eof; i++) {
        int32_t got = end->uses_frames ? read_frames(world, end) : read_bytes(world, end);

        if (got == 0) {
            see_end(world, end);
        } else if (got == PAL_EAGAIN) {
            if (ready && i == 0)
                fail(world, "conn %u %s: ready to be read, and is not", end->conn->index, name_of(end));
            return;
        } else if (got < 0) {
            learn(world, end, got, "recv");
        }
    }
}

/* ---- writing ---- */

void write_some(struct world *world, struct endpoint *end, bool ready)
{
    static uint8_t buffer[PATTERN_MAX];
    uint64_t times = 1 + rng_below(&world->rng, 4);

    for (uint64_t i = 0; i < times && !end->done && end->written < end->goal; i++) {
        uint64_t left = end->goal - end->written, size = 1 + rng_below(&world->rng, end->piece_max);
        uint32_t flags = rng_chance(&world->rng, 10) ? PAL_MSG_MORE : 0;
        int32_t taken;

        size = size > left ? left : size;
        pattern_fill(buffer, (size_t)size, salt_of(end, true), end->written);
        taken = rng_chance(&world->rng, 10) ? write_pieces(world, end, buffer, (size_t)size, flags)
                                            : pal__n_sock_send(end->sock, buffer, (size_t)size, flags);
        if (taken == PAL_EAGAIN || taken == PAL_ENOBUFS) {
            if (ready && i == 0 && !world->options.scarce[end->side]) /* else only a write finds out */
                fail(world, "conn %u %s: ready to be written, and is not: %s", end->conn->index, name_of(end),
                     pal_error_name(taken));
            return;
        }
        if (taken < 0) {
            learn(world, end, taken, "send");
        } else if (taken == 0 || (uint64_t)taken > size) {
            fail(world, "conn %u: send of %u took %d", end->conn->index, (unsigned)size, (int)taken);
            return;
        } else {
            end->written += (uint64_t)taken;
        }
    }
}

/* An option that may change at any time without harm to the stream. */
void turn_a_knob(struct world *world, struct endpoint *end)
{
    static const uint32_t switches[] = {PAL_SO_NODELAY, PAL_SO_CORK, PAL_SO_QUICKACK};
    const char *text;
    uint32_t option;
    int32_t value;

    switch (rng_below(&world->rng, 5)) {
    case 0:
        option = PAL_SO_RCVBUF;
        value = (int32_t)rng_log(&world->rng, 2048, 500000);
        break;
    case 1:
        option = PAL_SO_SNDBUF;
        value = (int32_t)rng_log(&world->rng, 2048, 500000);
        break;
    case 2:
        text = rng_chance(&world->rng, 50) ? "cubic" : "reno";
        if (pal__n_sock_set(end->sock, PAL_SO_CONGESTION, text, strlen(text)) != 0)
            fail(world, "conn %u %s: no %s", end->conn->index, name_of(end), text);
        return;
    case 3:
        option = PAL_SO_TOS;
        value = (int32_t)rng_below(&world->rng, 64) * 4;
        break;
    default:
        option = switches[rng_below(&world->rng, 3)];
        value = (int32_t)rng_below(&world->rng, 2);
        break;
    }
    if (pal__n_sock_set(end->sock, option, &value, sizeof(value)) != 0)
        fail(world, "conn %u %s: option %u is refused the value %d", end->conn->index, name_of(end), option,
             (int)value);
}
