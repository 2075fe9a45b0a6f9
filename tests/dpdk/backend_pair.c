/* backend_pair.c: one of two processes that talk over libpal-dpdk, each with its own card (PALIO_DPDK). It knows the
 * seam and nothing of what is below. test_backend_pairs.py runs two of them.
 *
 * usage: backend-pair serve MODE THREADS HOST    echoes TCP and UDP at port 7, takes at port 9, until told to stop
 *        backend-pair call MODE THREADS BYTES HOST        an exchange a thread, then tells the server to stop
 *        backend-pair connect COUNT HOST     so many connections, one after the other
 *        backend-pair leave BYTES HOST       sends to port 9, closes, and ends the thread at once
 *        backend-pair ping COUNT HOST        round trips of a byte
 *        backend-pair link HOST              tells of its link until it has been up and is down again
 *        backend-pair stop THREADS HOST      tells the server's threads to stop
 *
 * MODE is watch, op or lease. Each thread is a stack with a queue of its own. What it says goes to standard output;
 * a failure is exit status 1, with words. */
#include <pal/address.h>
#include <pal/card.h>
#include <pal/pal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ECHO = 7, SINK = 9, THREADS_MAX = 8, CONNS_MAX = 64, CHUNK = 16384 };
enum mode { WATCH, OP, LEASE };

#define MS UINT64_C(1000000)
#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("line %d: %s: ", __LINE__, #condition);                                                             \
            printf(__VA_ARGS__);                                                                                       \
            printf(" (%s)\n", pal_reason());                                                                           \
            fflush(stdout);                                                                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static enum mode mode;
static uint64_t amount; /* bytes, or how many */
static const char *host;

static uint64_t now(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

static struct pal_addr address(uint16_t port)
{
    struct pal_addr out;

    REQUIRE(pal_addr_from_host(&out, host, port) == 0, "%s", host);
    return out;
}

static pal_sock open_sock(int type)
{
    pal_sock sock = {0};
    int error = pal_sock_open(NULL, PAL_AF_INET, type, 0, &sock);

    REQUIRE(error == 0, "%s", pal_error_name(error));
    return sock;
}

static uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)(offset * 167 + (offset >> 8));
}

static void tell_path(const char *who, pal_sock sock)
{
    char text[1024];
    size_t size = sizeof(text) - 1;

    REQUIRE(pal_sock_get(sock, PAL_SO_PATH, text, &size) == 0, "no path");
    text[size] = '\0';
    printf("%s: %s\n", who, text);
}

static void tell_counters(const char *who)
{
    struct pal_card_counters seen = {.stack = NULL};

    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &seen, sizeof(seen)) == 0, "no counters");
    printf("%s: received %lu sent %lu full %lu sleeps %lu turns %lu connections %lu half-open %lu sockets %lu\n", who,
           (unsigned long)seen.queue_received, (unsigned long)seen.queue_sent, (unsigned long)seen.queue_full,
           (unsigned long)seen.sleeps, (unsigned long)seen.turns, (unsigned long)seen.connections,
           (unsigned long)seen.half_open, (unsigned long)seen.sockets);
}

/* ---- the server ---- */

struct conn {
    pal_sock sock; /* {0}: free */
    bool sinks;
    uint64_t taken;
    struct pal_op op;
    uint8_t bytes[CHUNK];
};

struct server {
    pal_poll *poll;
    pal_sock echo, sink, datagrams;
    struct conn conns[CONNS_MAX];
    bool stopped;
};

enum { DATA_ECHO = 1, DATA_SINK, DATA_DATAGRAMS, DATA_CONN = 16 };

static void end_conn(struct server *server, struct conn *conn)
{
    if (mode != OP || conn->sinks)
        REQUIRE(pal_watch(server->poll, conn->sock, 0, 0) == 0, "unwatch");
    if (conn->sinks)
        printf("sank %lu\n", (unsigned long)conn->taken);
    REQUIRE(pal_sock_close(conn->sock) == 0, "close");
    conn->sock.id = 0;
}

static void submit_recv(struct server *server, struct conn *conn)
{
    int result;

    memset(&conn->op, 0, sizeof(conn->op));
    conn->op.sock = conn->sock;
    conn->op.data = (uint64_t)(DATA_CONN + (conn - server->conns));
    conn->op.buf = conn->bytes;
    conn->op.size = CHUNK;
    conn->op.kind = PAL_OP_RECV;
    result = pal_submit(server->poll, &conn->op);
    REQUIRE(result == 0, "submit: %d", result);
}

static void begin_conn(struct server *server, pal_sock listener, bool sinks)
{
    struct conn *conn = server->conns;
    pal_sock sock;
    int error = pal_sock_accept(listener, &sock, NULL);

    if (error == PAL_EAGAIN)
        return;
    REQUIRE(error == 0, "accept: %s", pal_error_name(error));
    while (conn < server->conns + CONNS_MAX && conn->sock.id != 0)
        conn++;
    REQUIRE(conn < server->conns + CONNS_MAX, "too many connections");
    memset(conn, 0, offsetof(struct conn, bytes));
    conn->sock = sock;
    conn->sinks = sinks;
    if (mode == OP && !sinks) {
        submit_recv(server, conn);
        return;
    }
    REQUIRE(pal_watch(server->poll, sock, PAL_IN | (mode == LEASE && !sinks ? PAL_LEASE : 0u),
                      (uint64_t)(DATA_CONN + (conn - server->conns))) == 0,
            "watch");
}

static void send_all(pal_sock sock, const uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        int32_t sent = pal_sock_send(sock, bytes + done, size - done, PAL_MSG_WAIT);

        REQUIRE(sent > 0, "send: %s", pal_error_name(sent));
        done += (size_t)sent;
    }
}

/* True: its stream has ended. A reset is an end too. */
static bool echo_ready(struct server *server, struct conn *conn)
{
    struct pal_lease lease;
    int32_t got;

    if (mode == LEASE && !conn->sinks) {
        got = pal_lease_recv(conn->sock, &lease, 1);
        if (got == 1 && lease.size > 0) {
            send_all(conn->sock, lease.data, lease.size);
            pal_lease_release(server->poll, &lease, 1);
            return false;
        }
        if (got == 1)
            pal_lease_release(server->poll, &lease, 1);
        return got != PAL_EAGAIN && got != PAL_ENOBUFS;
    }
    got = pal_sock_recv(conn->sock, conn->bytes, CHUNK, 0);
    if (got > 0 && !conn->sinks)
        send_all(conn->sock, conn->bytes, (size_t)got);
    conn->taken += got > 0 ? (uint64_t)got : 0;
    return got <= 0 && got != PAL_EAGAIN;
}

static void op_done(struct server *server, struct conn *conn)
{
    if (conn->op.kind == PAL_OP_RECV && conn->op.result <= 0) {
        end_conn(server, conn);
        return;
    }
    if (conn->op.kind == PAL_OP_RECV) {
        conn->op.size = (uint64_t)conn->op.result;
        conn->op.kind = PAL_OP_SEND;
        if (pal_submit(server->poll, &conn->op) == 0)
            return;
    }
    submit_recv(server, conn);
}

static void echo_datagram(struct server *server)
{
    char bytes[2048];
    struct pal_addr from;
    struct pal_iov piece = {bytes, sizeof(bytes)};
    struct pal_msg msg = {.addr = &from, .iov = &piece, .iov_count = 1};

    if (pal_sock_recv_msgs(server->datagrams, &msg, 1, 0) != 1)
        return;
    if (msg.size == 4 && memcmp(bytes, "stop", 4) == 0)
        server->stopped = true;
    piece.size = (size_t)msg.size;
    (void)pal_sock_send_msgs(server->datagrams, &msg, 1, 0);
}

static void handle_conn(struct server *server, struct conn *conn, int kind)
{
    if (kind == PAL_EV_OP)
        op_done(server, conn);
    else if (kind == PAL_EV_READY && conn->sock.id != 0 && echo_ready(server, conn))
        end_conn(server, conn);
}

static void handle(struct server *server, const struct pal_event *event)
{
    if (event->data == DATA_ECHO)
        begin_conn(server, server->echo, false);
    else if (event->data == DATA_SINK)
        begin_conn(server, server->sink, true);
    else if (event->data == DATA_DATAGRAMS)
        echo_datagram(server);
    else if (event->data >= DATA_CONN)
        handle_conn(server, &server->conns[event->data - DATA_CONN], event->kind);
}

static pal_sock listen_at(struct server *server, uint16_t port, uint64_t data)
{
    pal_sock listener = open_sock(PAL_SOCK_STREAM);
    struct pal_addr addr = address(port);

    REQUIRE(pal_sock_bind(listener, &addr) == 0 && pal_sock_listen(listener, 128) == 0, "listen");
    REQUIRE(pal_watch(server->poll, listener, PAL_IN, data) == 0, "watch");
    return listener;
}

static void end_server(struct server *server)
{
    for (int i = 0; i < CONNS_MAX; i++)
        if (server->conns[i].sock.id != 0 && (mode != OP || server->conns[i].sinks))
            end_conn(server, &server->conns[i]);
    REQUIRE(pal_watch(server->poll, server->echo, 0, 0) == 0 && pal_sock_close(server->echo) == 0, "echo");
    REQUIRE(pal_watch(server->poll, server->sink, 0, 0) == 0 && pal_sock_close(server->sink) == 0, "sink");
    REQUIRE(pal_watch(server->poll, server->datagrams, 0, 0) == 0 && pal_sock_close(server->datagrams) == 0, "UDP");
    tell_counters("server");
    REQUIRE(pal_poll_close(server->poll) == 0, "a poll does not close");
}

static void serve(void *argument)
{
    static struct server servers[THREADS_MAX];
    struct server *server = &servers[*(int *)argument];
    struct pal_addr addr = address(ECHO);
    const struct pal_event *events;

    REQUIRE(pal_poll_open(&server->poll, NULL) == 0, "no poll");
    server->echo = listen_at(server, ECHO, DATA_ECHO);
    server->sink = listen_at(server, SINK, DATA_SINK);
    server->datagrams = open_sock(PAL_SOCK_DGRAM);
    REQUIRE(pal_sock_bind(server->datagrams, &addr) == 0, "bind");
    REQUIRE(pal_watch(server->poll, server->datagrams, PAL_IN, DATA_DATAGRAMS) == 0, "watch");
    tell_path("server", server->echo);
    fflush(stdout);
    while (!server->stopped) {
        int count = pal_poll_wait(server->poll, &events, UINT64_MAX);

        REQUIRE(count >= 0, "wait: %s", pal_error_name(count));
        for (int i = 0; i < count; i++)
            handle(server, &events[i]);
    }
    (void)pal_sock_wait(NULL, 0, now() + 200 * MS); /* for the answer to be taken */
    end_server(server);
}

/* ---- the caller ---- */

/* Connects, which may take until the other process is there. */
static pal_sock connect_to(uint16_t port)
{
    struct pal_addr addr = address(port);
    uint64_t end_ns = now() + 20000 * MS;

    while (now() < end_ns) {
        pal_sock sock = open_sock(PAL_SOCK_STREAM);
        struct pal_wait item = {.sock = sock, .interest = PAL_OUT};
        int error = pal_sock_connect(sock, &addr);
        int32_t outcome = 0;
        size_t size = sizeof(outcome);

        REQUIRE(error == PAL_EINPROGRESS, "connect: %s", pal_error_name(error));
        REQUIRE(pal_sock_wait(&item, 1, end_ns) == 1, "nobody answers");
        REQUIRE(pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size) == 0, "no outcome");
        if (outcome == 0)
            return sock;
        REQUIRE(outcome == PAL_ECONNREFUSED || outcome == PAL_EHOSTUNREACH, "connect: %s", pal_error_name(outcome));
        REQUIRE(pal_sock_close(sock) == 0, "close"); /* its thread does not listen yet */
        (void)pal_sock_wait(NULL, 0, now() + 10 * MS);
    }
    REQUIRE(false, "nobody listens");
    return (pal_sock){0};
}

/* Sends the pattern, and checks what comes back: as much as amount says. */
static void exchange(pal_poll *poll, pal_sock sock)
{
    static _Thread_local uint8_t out[CHUNK], in[CHUNK];
    uint64_t sent = 0, received = 0;
    const struct pal_event *events;

    REQUIRE(pal_watch(poll, sock, PAL_IN | PAL_OUT, 1) == 0, "watch");
    while (received < amount) {
        size_t size = amount - sent < CHUNK ? (size_t)(amount - sent) : CHUNK;
        int32_t result = PAL_EAGAIN;

        for (size_t i = 0; i < size; i++)
            out[i] = pattern_at(sent + i);
        if (size > 0)
            result = pal_sock_send(sock, out, size, 0);
        REQUIRE(result > 0 || result == PAL_EAGAIN, "send: %s", pal_error_name(result));
        sent += result > 0 ? (uint64_t)result : 0;
        if (sent == amount)
            REQUIRE(pal_watch(poll, sock, PAL_IN, 1) == 0, "watch");
        while ((result = pal_sock_recv(sock, in, CHUNK, 0)) > 0)
            for (int32_t i = 0; i < result; i++, received++)
                REQUIRE(in[i] == pattern_at(received), "byte %lu is wrong", (unsigned long)received);
        REQUIRE(result == PAL_EAGAIN, "recv: %s", pal_error_name(result));
        REQUIRE(received == amount || pal_poll_wait(poll, &events, now() + 20000 * MS) >= 0, "wait");
    }
    REQUIRE(pal_watch(poll, sock, 0, 0) == 0, "unwatch");
}

/* A datagram and its echo; it is sent again if it is lost. */
static void ask(pal_sock sock, const char *text)
{
    struct pal_wait item = {.sock = sock, .interest = PAL_IN};
    char answer[64];
    size_t size = strlen(text);

    for (int i = 0; i < 50; i++) {
        int32_t result = pal_sock_send(sock, text, size, 0);

        REQUIRE(result == (int32_t)size || result == PAL_EAGAIN || result == PAL_ECONNREFUSED, "send: %d", result);
        if (pal_sock_wait(&item, 1, now() + 200 * MS) != 1)
            continue;
        result = pal_sock_recv(sock, answer, sizeof(answer), 0);
        if (result == (int32_t)size && memcmp(answer, text, size) == 0)
            return;
    }
    REQUIRE(false, "no datagram comes back");
}

static pal_sock ask_whom(void)
{
    pal_sock sock = open_sock(PAL_SOCK_DGRAM);
    struct pal_addr addr = address(ECHO);

    REQUIRE(pal_sock_connect(sock, &addr) == 0, "connect");
    return sock;
}

static void call(void *argument)
{
    pal_poll *poll;
    pal_sock sock, datagrams;

    (void)argument;
    REQUIRE(pal_poll_open(&poll, NULL) == 0, "no poll");
    sock = connect_to(ECHO);
    tell_path("caller", sock);
    exchange(poll, sock);
    REQUIRE(pal_sock_close(sock) == 0, "close");
    datagrams = ask_whom();
    for (int i = 0; i < 200; i++) {
        char text[32];

        snprintf(text, sizeof(text), "datagram %d", i);
        ask(datagrams, text);
    }
    ask(datagrams, "stop");
    REQUIRE(pal_sock_close(datagrams) == 0 && pal_poll_close(poll) == 0, "close");
    tell_counters("caller");
    printf("exchanged %lu\n", (unsigned long)amount);
}

static void stop_one(void *argument)
{
    pal_sock datagrams = ask_whom();

    (void)argument;
    ask(datagrams, "stop");
    REQUIRE(pal_sock_close(datagrams) == 0, "close");
}

static void connect_often(void *argument)
{
    uint64_t begin_ns = now();
    struct pal_card_counters first, last;

    (void)argument;
    REQUIRE(pal_sock_close(connect_to(ECHO)) == 0, "close");
    (void)pal_sock_wait(NULL, 0, now() + 50 * MS);
    memset(&first, 0, sizeof(first));
    last = first;
    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &first, sizeof(first)) == 0, "no counters");
    for (uint64_t i = 0; i < amount; i++) {
        pal_sock sock = connect_to(ECHO);
        struct pal_linger hard = {1, 0};
        char byte;

        REQUIRE(pal_sock_send(sock, "x", 1, PAL_MSG_WAIT) == 1, "send");
        REQUIRE(pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT) == 1, "recv");
        if (i % 2 == 0 || i >= 10000) /* TIME-WAIT keeps the ports of the others */
            REQUIRE(pal_sock_set(sock, PAL_SO_LINGER, &hard, sizeof(hard)) == 0, "linger");
        REQUIRE(pal_sock_close(sock) == 0, "close");
    }
    printf("%lu ns a connection\n", (unsigned long)((now() - begin_ns) / amount));
    (void)pal_sock_wait(NULL, 0, now() + 50 * MS);
    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &last, sizeof(last)) == 0, "no counters");
    printf("buffers %ld more, connections %lu, half-open %lu\n", (long)last.buffers_used - (long)first.buffers_used,
           (unsigned long)last.connections, (unsigned long)last.half_open);
    tell_counters("caller");
}

/* What was sent has to arrive though the thread ends at once. */
static void leave(void *argument)
{
    static uint8_t bytes[CHUNK];
    pal_sock sock = connect_to(SINK);

    (void)argument;
    for (uint64_t sent = 0; sent < amount; sent += CHUNK)
        send_all(sock, bytes, CHUNK);
    REQUIRE(pal_sock_close(sock) == 0, "close");
}

static void ping(void *argument)
{
    pal_sock sock = connect_to(ECHO);
    uint64_t begin_ns = now(), least_ns = UINT64_MAX, cpu_ns = pal_clock(PAL_CLOCK_THREAD_CPU);
    char byte;

    (void)argument;
    for (uint64_t i = 0; i < amount; i++) {
        uint64_t sent_ns = now(), trip_ns;

        REQUIRE(pal_sock_send(sock, "x", 1, PAL_MSG_WAIT) == 1, "send");
        REQUIRE(pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT) == 1, "recv");
        trip_ns = now() - sent_ns;
        least_ns = trip_ns < least_ns ? trip_ns : least_ns;
    }
    printf("round trip %lu ns, least %lu ns, CPU %lu ns\n", (unsigned long)((now() - begin_ns) / amount),
           (unsigned long)least_ns, (unsigned long)((pal_clock(PAL_CLOCK_THREAD_CPU) - cpu_ns) / amount));
    tell_counters("caller");
    REQUIRE(pal_sock_close(sock) == 0, "close");
}

/* ---- the link ---- */

static bool link_is_up(void)
{
    struct pal_card_link link = {.device = 0};
    struct pal_interface interfaces[4];
    int size = pal_names(PAL_NAMES_INTERFACES, NULL, interfaces, sizeof(interfaces));
    bool up = false;

    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link)) == 0, "no link");
    for (int i = 0; i < size / (int)sizeof(interfaces[0]); i++)
        if (interfaces[i].ifindex == 2)
            up = interfaces[i].flags & 1;
    REQUIRE((link.is_up != 0) == up, "the interface says otherwise than the link");
    return up;
}

static void watch_link(void *argument)
{
    struct pal_addr addr = address(ECHO);
    pal_sock sock = open_sock(PAL_SOCK_STREAM);
    uint64_t end_ns = now() + 30000 * MS;

    (void)argument;
    REQUIRE(!link_is_up(), "nobody is there yet");
    tell_path("down", sock);
    REQUIRE(pal_sock_connect(sock, &addr) == PAL_EINPROGRESS, "connect");
    fflush(stdout);
    while (!link_is_up() && now() < end_ns)
        (void)pal_sock_wait(NULL, 0, now() + 5 * MS);
    REQUIRE(link_is_up(), "it never comes up");
    tell_path("up", sock);
    fflush(stdout);
    while (link_is_up() && now() < end_ns)
        (void)pal_sock_wait(NULL, 0, now() + 5 * MS);
    REQUIRE(!link_is_up(), "it never goes down");
    tell_path("down again", sock);
    REQUIRE(pal_sock_close(sock) == 0, "close");
}

/* ---- all of it ---- */

static void run(void (*function)(void *), int count)
{
    pal_thread threads[THREADS_MAX];
    int numbers[THREADS_MAX];
    struct pal_card_stop stop;
    pal_poll *poll;
    int error;

    /* This thread starts the card, and takes no queue of it. */
    error = pal_poll_open(&poll, NULL);
    REQUIRE(error == 0 && pal_poll_close(poll) == 0, "%s", pal_error_name(error));
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        REQUIRE(pal_thread_start(&threads[i], function, &numbers[i]) == 0, "no thread");
    }
    for (int i = 0; i < count; i++)
        REQUIRE(pal_thread_join(threads[i]) == 0, "join");
    error = pal_ctl(NULL, PAL_CTL_CARD_STOP, &stop, sizeof(stop));
    REQUIRE(error == 0, "stop: %s", pal_error_name(error));
    printf("missing %lu\n", (unsigned long)stop.missing);
}

static const struct {
    const char *name;
    void (*function)(void *);
    int words;                       /* behind its name */
    int mode, threads, amount, host; /* which of them; 0: none */
} tasks[] = {{"serve", serve, 3, 1, 2, 0, 3},  {"call", call, 4, 1, 2, 3, 4}, {"connect", connect_often, 2, 0, 0, 1, 2},
             {"leave", leave, 2, 0, 0, 1, 2},  {"ping", ping, 2, 0, 0, 1, 2}, {"link", watch_link, 1, 0, 0, 0, 1},
             {"stop", stop_one, 2, 0, 1, 0, 2}};

int main(int count, char **arguments)
{
    static const char *const modes[] = {"watch", "op", "lease"};

    for (size_t i = 0; count > 1 && i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        char **words = arguments + 1;

        if (strcmp(tasks[i].name, words[0]) != 0 || count != 2 + tasks[i].words)
            continue;
        host = words[tasks[i].host];
        for (int k = 0; tasks[i].mode != 0 && k < 3; k++)
            if (strcmp(modes[k], words[tasks[i].mode]) == 0)
                mode = (enum mode)k;
        if (tasks[i].amount != 0)
            amount = strtoull(words[tasks[i].amount], NULL, 10);
        run(tasks[i].function, tasks[i].threads != 0 ? atoi(words[tasks[i].threads]) : 1);
        return 0;
    }
    fprintf(stderr, "usage: see the head of backend_pair.c\n");
    return 2;
}
