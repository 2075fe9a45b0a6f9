/* examples/sim/counter_server.c: the server of the counter: one loop around one poll. See counter.h.
 *
 * Each connection holds one request and one answer, and is not read while an answer is left to send. When all are
 * taken, the one that has been silent for longest makes room, as its peer may be long gone. */
#include "counter.h"
#include "counter_wire.h"

#include <pal/address.h>
#include <pal/pal.h>

#include <stdbool.h>
#include <stddef.h>

#define MS UINT64_C(1000000)

enum { CONNECTIONS_MAX = 128, BACKLOG = 64, LISTENER = CONNECTIONS_MAX, LISTEN_TRIES = 600 };
#define PAUSE_NS (10 * MS)         /* of accepting, when there is no room for another connection */
#define LISTEN_AGAIN_NS (100 * MS) /* after it could not listen */

struct connection {
    pal_sock sock;     /* {0}: none */
    uint32_t interest; /* what the poll watches for */
    uint64_t heard_ns; /* when it last said something */
    size_t in_size, out_start, out_size;
    uint8_t in[REQUEST_SIZE], out[ANSWER_SIZE];
#ifdef FORGETS_WHAT_IT_DID
    struct counter_record record;
#endif
};

struct serving {
    struct counter_ledger *ledger;
    pal_poll *poll;
    pal_sock listener;
    uint64_t accept_ns; /* accepts again from then on; 0: it does */
    struct connection connections[CONNECTIONS_MAX];
};

/* ---- what it is for ---- */

#ifdef FORGETS_WHAT_IT_DID
/* The mistake that the test is to find: what was done is remembered with the connection, and goes with it. */
static struct counter_record *record_of(struct serving *serving, struct connection *connection, uint64_t client)
{
    (void)serving;
    connection->record.client = client;
    return &connection->record;
}
#else
/* NULL: there are as many clients as it has room for. */
static struct counter_record *record_of(struct serving *serving, struct connection *connection, uint64_t client)
{
    struct counter_record *records = serving->ledger->records;

    (void)connection;
    for (int i = 0; i < COUNTER_CLIENTS_MAX; i++) {
        if (records[i].client == 0)
            records[i].client = client;
        if (records[i].client == client)
            return &records[i];
    }
    return NULL;
}
#endif

/* Carries out the request that has come, unless it was before, and makes its answer. False: it is none. */
static bool carry_out(struct serving *serving, struct connection *connection)
{
    uint64_t client = get_number(connection->in), request = get_number(connection->in + 8);
    struct counter_record *record = client != 0 ? record_of(serving, connection, client) : NULL;

    if (record == NULL || request < record->request) /* that client has gone on since, over another connection */
        return false;
    if (request > record->request) {
        serving->ledger->total += get_number(connection->in + 16);
        record->request = request;
        record->answer = serving->ledger->total;
    }
    put_number(connection->out, request);
    put_number(connection->out + 8, record->answer);
    connection->in_size = connection->out_start = 0;
    connection->out_size = ANSWER_SIZE;
    return true;
}

/* ---- connections ---- */

static void drop(struct serving *serving, struct connection *connection)
{
    (void)pal_watch(serving->poll, connection->sock, 0, 0);
    (void)pal_sock_close(connection->sock);
    connection->sock.id = 0;
}

/* False: the connection is broken. */
static bool receive(struct serving *serving, struct connection *connection)
{
    int32_t size =
        pal_sock_recv(connection->sock, connection->in + connection->in_size, REQUEST_SIZE - connection->in_size, 0);

    if (size == PAL_EAGAIN)
        return true;
    if (size <= 0)
        return false;
    connection->heard_ns = pal_poll_now(serving->poll);
    connection->in_size += (size_t)size;
    return connection->in_size < REQUEST_SIZE || carry_out(serving, connection);
}

static bool flush(struct connection *connection)
{
    int32_t size = pal_sock_send(connection->sock, connection->out + connection->out_start,
                                 connection->out_size - connection->out_start, 0);

    if (size == PAL_EAGAIN || size == PAL_ENOBUFS)
        return true;
    if (size < 0)
        return false;
    connection->out_start += (size_t)size;
    if (connection->out_start == connection->out_size)
        connection->out_start = connection->out_size = 0;
    return true;
}

/* Watches for what the connection needs next. */
static bool watch(struct serving *serving, struct connection *connection)
{
    uint32_t interest = connection->out_size != 0 ? PAL_OUT : PAL_IN;

    if (interest == connection->interest)
        return true;
    connection->interest = interest;
    return pal_watch(serving->poll, connection->sock, interest, (uint64_t)(connection - serving->connections)) == 0;
}

static void attend(struct serving *serving, struct connection *connection)
{
    bool works = connection->out_size != 0 || receive(serving, connection);

    if (works && connection->out_size != 0)
        works = flush(connection);
    if (!works || !watch(serving, connection))
        drop(serving, connection);
}

static struct connection *make_room(struct serving *serving)
{
    struct connection *oldest = &serving->connections[0];

    for (struct connection *connection = oldest; connection < serving->connections + CONNECTIONS_MAX; connection++) {
        if (connection->sock.id == 0)
            return connection;
        if (connection->heard_ns < oldest->heard_ns)
            oldest = connection;
    }
    drop(serving, oldest);
    return oldest;
}

static void accept_one(struct serving *serving)
{
    struct connection *connection;
    const int32_t yes = 1;
    pal_sock sock;
    int code = pal_sock_accept(serving->listener, &sock, NULL);

    if (code == PAL_EMFILE || code == PAL_ENFILE || code == PAL_ENOBUFS) { /* it waits until there is room */
        (void)pal_watch(serving->poll, serving->listener, 0, 0);
        serving->accept_ns = pal_poll_now(serving->poll) + PAUSE_NS;
    }
    if (code < 0)
        return;
    connection = make_room(serving);
    *connection = (struct connection){.sock = sock, .heard_ns = pal_poll_now(serving->poll)};
    (void)pal_sock_set(sock, PAL_SO_NODELAY, &yes, sizeof(yes));
    if (!watch(serving, connection))
        drop(serving, connection);
}

/* ---- the loop ---- */

static int listen_on(struct serving *serving, const char *address)
{
    struct pal_addr addr;
    const int32_t yes = 1;
    int code = pal_addr_from_host(&addr, address, COUNTER_PORT);

    if (code == 0)
        code = pal_sock_open(serving->poll, addr.family, PAL_SOCK_STREAM, 0, &serving->listener);
    if (code == 0)
        code = pal_sock_set(serving->listener, PAL_SO_REUSEADDR, &yes, sizeof(yes));
    if (code == 0)
        code = pal_sock_bind(serving->listener, &addr);
    if (code == 0)
        code = pal_sock_listen(serving->listener, BACKLOG);
    return code == 0 ? pal_watch(serving->poll, serving->listener, PAL_IN, LISTENER) : code;
}

/* Waits once, and does what there is to do. */
static int turn(struct serving *serving)
{
    const struct pal_event *events;
    int count = pal_poll_wait(serving->poll, &events, serving->accept_ns != 0 ? serving->accept_ns : UINT64_MAX);

    if (serving->accept_ns != 0 && pal_poll_now(serving->poll) >= serving->accept_ns) {
        serving->accept_ns = 0;
        if (pal_watch(serving->poll, serving->listener, PAL_IN, LISTENER) < 0)
            return PAL_ENOMEM;
    }
    for (int i = 0; i < count; i++) {
        if (events[i].kind != PAL_EV_READY)
            continue;
        if (events[i].data == LISTENER)
            accept_one(serving);
        else
            attend(serving, &serving->connections[events[i].data]);
    }
    return count < 0 ? count : 0;
}

static void stop(struct serving *serving)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (serving->connections[i].sock.id != 0)
            drop(serving, &serving->connections[i]);
    }
    if (serving->listener.id != 0) {
        (void)pal_watch(serving->poll, serving->listener, 0, 0);
        (void)pal_sock_close(serving->listener);
    }
    (void)pal_poll_close(serving->poll);
}

/* Returns when something has failed that it cannot serve without. *listened: it could. */
static int serve(const struct counter_server *server, bool *listened)
{
    struct serving serving = {.ledger = server->ledger};
    int code = pal_poll_open(&serving.poll, NULL);

    if (code < 0)
        return code;
    code = listen_on(&serving, server->address);
    *listened = code == 0;
    while (code == 0)
        code = turn(&serving);
    stop(&serving);
    return code;
}

int counter_serve(void *argument)
{
    const struct counter_server *server = argument;
    int code = 0;

    for (int tries = 0; tries < LISTEN_TRIES; tries++) {
        bool listened = false;

        code = serve(server, &listened);
        if (listened)
            tries = 0;
        (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + LISTEN_AGAIN_NS);
    }
    return code;
}
