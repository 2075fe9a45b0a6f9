/* Rule 3 for ops that a stream takes in parts: a SEND_MSG whose messages are cut short by a full socket goes on where
 * it was cut, and a SEND_LEASE that holds the leases its own socket starves for ends when the peer reads. Together with
 * rule 4 (the result counts what was sent) and rule 13 (a starved reader is no starved writer). */
#include "conformance.h"

enum { WATCH = 1, OP = 2, WAITS_MAX = 5000 };

/* ---- messages larger than a socket takes at once ---- */

enum { MESSAGES = 3, PIECES = 2, PIECE_SIZE = 700001 };
enum { MESSAGE_SIZE = PIECES * PIECE_SIZE, TOTAL = MESSAGES * MESSAGE_SIZE };

/* Bytes number themselves modulo a prime, so that a gap of any common size shows. */
static uint8_t stream_byte(uint64_t position)
{
    return (uint8_t)(position % 251);
}

struct messages {
    struct pal_msg msgs[MESSAGES];
    struct pal_iov iov[MESSAGES][PIECES];
};

static void messages_make(struct messages *messages)
{
    static uint8_t bytes[TOTAL];

    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = stream_byte(i);
    memset(messages, 0, sizeof(*messages));
    for (size_t i = 0; i < MESSAGES; i++) {
        for (size_t j = 0; j < PIECES; j++) {
            messages->iov[i][j].data = bytes + i * MESSAGE_SIZE + j * PIECE_SIZE;
            messages->iov[i][j].size = PIECE_SIZE;
        }
        messages->msgs[i].iov = messages->iov[i];
        messages->msgs[i].iov_count = PIECES;
    }
}

/* Receives what has arrived and checks that it goes on at *position. */
static void read_on(pal_sock sock, uint64_t *position)
{
    static uint8_t bytes[65536];

    for (;;) {
        int32_t size = pal_sock_recv(sock, bytes, sizeof(bytes), 0);

        if (size == PAL_EAGAIN)
            return;
        cr_assert_gt(size, 0, "after %lu bytes: %s", (unsigned long)*position, pal_error_name(size));
        for (int32_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], stream_byte(*position + (uint64_t)i), "byte %lu of the stream is another's",
                         (unsigned long)*position + (unsigned long)i);
        *position += (uint64_t)size;
    }
}

static void large_messages_arrive(enum pair_kind kind, uint32_t events_max)
{
    struct rig rig;
    struct messages messages;
    struct pal_op op;
    pal_sock a, b;
    uint64_t position = 0;
    int state;

    rig_open(&rig, events_max);
    pair_open(kind, &a, &b);
    messages_make(&messages);
    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_SEND_MSG;
    op.sock = a;
    op.data = OP;
    op.aux = messages.msgs;
    op.size = MESSAGES;
    state = pal_submit(rig.poll, &op);
    cr_assert(state == 0 || state == 1, "submit: %s", pal_error_name(state));
    for (int i = 0; i < WAITS_MAX && state == 0 && rig_kept(&rig, OP) == 0; i++) {
        read_on(b, &position);
        (void)rig_turn(&rig, MILLISECOND_NS);
    }
    cr_assert_eq(state == 1 ? op.result : rig_outcome(&rig, &op), MESSAGES);
    for (int i = 0; i < MESSAGES; i++)
        cr_assert_eq(messages.msgs[i].size, MESSAGE_SIZE, "message %d is said to have %d bytes", i,
                     messages.msgs[i].size);
    while (position < TOTAL) {
        cr_assert(sock_until(b, PAL_IN), "after %lu bytes nothing comes", (unsigned long)position);
        read_on(b, &position);
    }
    assert_error(pal_sock_close(a), 0);
    cr_assert_eq(drain_to_end(b), 0, "more bytes than the messages have");
    assert_error(pal_sock_close(b), 0);
    rig_close(&rig);
}

Test(rule_03_ops_and_streams, large_messages_of_one_op_arrive_whole_and_in_order)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        for (enum pair_kind kind = PAIR_TCP4; (int)kind < PAIR_STREAM_KINDS; kind = (enum pair_kind)(kind + 1)) {
            if (pair_available(kind))
                large_messages_arrive(kind, events_max);
        }
    }
}

/* ---- a socket that starves because of what it sends ---- */

enum { POOL = 2, LEASE_SIZE = 1024, ARRIVING = 3 * POOL * LEASE_SIZE };

struct echo {
    struct rig rig;
    pal_sock a, b; /* b sends to a; a is read by lease and sends the leases back */
    struct pal_lease leases[POOL];
    uint64_t received; /* bytes, by a */
    struct pal_op op;
};

static void echo_open(struct echo *echo, uint32_t events_max)
{
    static const char bytes[ARRIVING] = {0};
    struct pal_config config;

    memset(echo, 0, sizeof(*echo));
    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    config.lease_count = POOL;
    config.lease_size = LEASE_SIZE;
    rig_open_config(&echo->rig, &config);
    pair_open(pair_kind_bounded(), &echo->a, &echo->b);
    send_all(echo->b, bytes, sizeof(bytes));
    rig_watch(&echo->rig, echo->a, PAL_IN | PAL_LEASE, WATCH);
}

static void echo_close(struct echo *echo)
{
    rig_unwatch(&echo->rig, echo->a);
    pair_close(echo->a, echo->b);
    rig_close(&echo->rig);
}

/* Receives until the whole pool is lent. */
static void echo_starve(struct echo *echo)
{
    int count = 0, lent = 0;

    while (lent < POOL) {
        (void)rig_until_ready(&echo->rig, WATCH, PAL_IN);
        count = pal_lease_recv(echo->a, echo->leases + lent, POOL - lent);
        cr_assert(count > 0 || count == PAL_EAGAIN, "%s", pal_error_name(count));
        for (int i = 0; i < count; i++)
            echo->received += echo->leases[lent + i].size;
        lent += count > 0 ? count : 0;
    }
}

/* Reads what b has to the end of the op. */
static int32_t echo_finish(struct echo *echo)
{
    for (int i = 0; i < WAITS_MAX && rig_kept(&echo->rig, OP) == 0; i++) {
        (void)drain(echo->b);
        (void)rig_turn(&echo->rig, MILLISECOND_NS);
    }
    cr_assert_eq(rig_kept(&echo->rig, OP), 1, "the peer reads all, and the op does not end");
    return rig_outcome(&echo->rig, &echo->op);
}

/* Receives by lease, each given back at once, until all that b sent has come. */
static void echo_feed(struct echo *echo)
{
    while (echo->received < ARRIVING) {
        struct pal_lease lease;
        int count;

        (void)rig_until_ready(&echo->rig, WATCH, PAL_IN);
        count = pal_lease_recv(echo->a, &lease, 1);
        if (count == PAL_EAGAIN)
            continue;
        cr_assert_eq(count, 1, "after %lu bytes: %s", (unsigned long)echo->received, pal_error_name(count));
        echo->received += lease.size;
        pal_lease_release(echo->rig.poll, &lease, 1);
    }
    cr_assert_eq(echo->received, ARRIVING);
}

Test(rule_03_ops_and_streams, op_that_holds_the_leases_its_socket_starves_for_ends_when_the_peer_reads)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct echo echo;
        struct pal_lease refused;

        echo_open(&echo, events_max);
        echo_starve(&echo);
        (void)fill(echo.a);
        echo.op.kind = PAL_OP_SEND_LEASE;
        echo.op.sock = echo.a;
        echo.op.data = OP;
        echo.op.buf = echo.leases;
        echo.op.size = POOL;
        rig_submit(&echo.rig, &echo.op);
        assert_error(pal_lease_recv(echo.a, &refused, 1), PAL_ENOBUFS);
        (void)rig_until_ready(&echo.rig, WATCH, PAL_STARVED);
        rig_silent(&echo.rig, WATCH, 3);
        cr_assert_eq(echo_finish(&echo), POOL);
        echo_feed(&echo);
        echo_close(&echo);
    }
}
