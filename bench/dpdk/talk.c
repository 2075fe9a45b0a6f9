/* bench/dpdk/talk.c: both ends of run.py's conversations, by the seam alone: linked with the card's backend and with
 * the kernel's.
 *
 * usage: talk IDLE serve echo|sink|source HOST         serves until it is told to end
 *        talk IDLE ping HOST TRIPS WHAT:SIZE:SOCKETS...   round trips; WHAT is udp, tcp or rush
 *        talk IDLE push|pull HOST MILLISECONDS         sends to a sink, receives from a source, for so long
 *
 * IDLE is spin or block: what waits do. ping opens so many sockets, sends each message on a random one of them when the
 * last one has come back, and closes them, some at a time; of TCP with rush all at once. Clients tell the server to end
 * when they have done. Lines of results:
 *
 *   open N ns T, close N ns T                         connections, and how long all of them took
 *   trips WHAT SIZE: P50 P99 P99.9 WORST              nanoseconds
 *   bulk BYTES ns T
 *   state WHEN resident KB buffers N connections N allocations N missed N   of this process; 0 on a kernel
 *   missing N                                         packet buffers that did not come back at the end */
#include "../../tests/netstack/counting_allocator.h"
#include "trips.h"
#include <pal/address.h>
#include <pal/pal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PORT = 7000, PORTS = 8 }; /* a port of one server takes only so many connections of one client */
enum { SOCKS_MAX = 120000, UNDER_WAY = 256, BACKLOG = 1024, MESSAGE_MAX = 1400, CHUNK = 65536 };

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define REQUIRE(condition, what)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "talk: %s: %s (%s)\n", what, #condition, pal_reason());                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static const char *host;
static pal_poll *loop;
static struct counting memory; /* what the seam asks for */
static uint64_t allocations;   /* when everything had been made */
static uint8_t bytes[CHUNK];

static uint64_t now(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

static struct pal_addr address(uint16_t port)
{
    struct pal_addr out;

    REQUIRE(pal_addr_from_host(&out, host, port) == 0, "an address");
    return out;
}

/* Congestion control is NewReno at both ends, whatever the machine's may be. */
static pal_sock open_sock(int type)
{
    int32_t on = 1;
    pal_sock sock;

    REQUIRE(pal_sock_open(NULL, PAL_AF_INET, type, 0, &sock) == 0, "a socket");
    if (type == PAL_SOCK_STREAM) {
        REQUIRE(pal_sock_set(sock, PAL_SO_NODELAY, &on, sizeof(on)) == 0, "NODELAY");
        REQUIRE(pal_sock_set(sock, PAL_SO_REUSEADDR, &on, sizeof(on)) == 0, "REUSEADDR");
        REQUIRE(pal_sock_set(sock, PAL_SO_CONGESTION, "reno", 4) == 0, "congestion control");
    }
    return sock;
}

static void unwatch_and_close(pal_sock sock)
{
    REQUIRE(pal_watch(loop, sock, 0, 0) == 0 && pal_sock_close(sock) == 0, "close");
}

/* Lets the backend work for so long; what it reports is not wanted. */
static void pass(uint64_t for_ns)
{
    const struct pal_event *events;

    for (uint64_t end_ns = now() + for_ns; now() < end_ns;)
        REQUIRE(pal_poll_wait(loop, &events, end_ns) >= 0, "wait");
}

/* ---- what a process knows of itself ---- */

static unsigned long resident_kb(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long size = 0;
    char line[256];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %lu", &size) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return size;
}

static struct pal_card_counters counters(void)
{
    struct pal_card_counters seen;

    memset(&seen, 0, sizeof(seen));
    (void)pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &seen, sizeof(seen)); /* a kernel has none */
    return seen;
}

static void tell_state(const char *when)
{
    struct pal_card_counters seen = counters();

    printf("state %s resident %lu buffers %" PRIu64 " connections %" PRIu64 " allocations %" PRIu64 " missed %" PRIu64
           "\n",
           when, resident_kb(), seen.buffers_used, seen.connections, memory.allocations - allocations,
           seen.port_missed + seen.port_no_buffer);
    fflush(stdout);
}

/* ---- the server ---- */

enum service { ECHO, SINK, SOURCE };

struct server {
    enum service service;
    pal_sock listeners[PORTS], control; /* datagrams: they come back, too */
    uint32_t open;                      /* connections */
    bool stopped;
};

static void accept_all(struct server *server, pal_sock listener)
{
    int error = 0;

    for (int i = 0; i < 64 && error == 0; i++) {
        pal_sock sock;

        error = pal_sock_accept(listener, &sock, NULL);
        if (error != 0)
            break;
        REQUIRE(pal_watch(loop, sock, server->service == SOURCE ? PAL_OUT : PAL_IN, sock.id) == 0, "watch");
        server->open++;
    }
    REQUIRE(error == 0 || error == PAL_EAGAIN, "accept");
}

/* False: it has ended. */
static bool send_all(pal_sock sock, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct pal_wait item = {.sock = sock, .interest = PAL_OUT};
        int32_t sent = pal_sock_send(sock, bytes + done, size - done, 0);

        if (sent < 0 && sent != PAL_EAGAIN)
            return false;
        done += sent > 0 ? (size_t)sent : 0;
        if (sent == PAL_EAGAIN)
            (void)pal_sock_wait(&item, 1, now() + SECOND);
    }
    return true;
}

/* Some of what there is to do. False: it has ended. */
static bool serve_some(const struct server *server, pal_sock sock)
{
    int32_t result = 1;

    if (server->service == ECHO) {
        result = pal_sock_recv(sock, bytes, sizeof(bytes), 0);
        return result > 0 ? send_all(sock, (size_t)result) : result == PAL_EAGAIN;
    }
    for (int i = 0; i < 4 && result > 0; i++)
        result = server->service == SINK ? pal_sock_recv(sock, bytes, sizeof(bytes), 0)
                                         : pal_sock_send(sock, bytes, sizeof(bytes), 0);
    return result > 0 || result == PAL_EAGAIN;
}

/* Echoes a datagram. "stop" and "tell WHEN" are done before. */
static void serve_control(struct server *server)
{
    struct pal_addr from;
    struct pal_iov piece = {bytes, MESSAGE_MAX};
    struct pal_msg msg = {.addr = &from, .iov = &piece, .iov_count = 1};

    if (pal_sock_recv_msgs(server->control, &msg, 1, 0) != 1)
        return;
    piece.size = (size_t)msg.size;
    if (piece.size < MESSAGE_MAX && bytes[0] == 't') {
        bytes[piece.size] = '\0';
        tell_state((const char *)bytes + strlen("tell "));
    }
    server->stopped |= piece.size == 4 && memcmp(bytes, "stop", 4) == 0;
    (void)pal_sock_send_msgs(server->control, &msg, 1, 0);
}

static void handle(struct server *server, const struct pal_event *event)
{
    pal_sock sock = {event->data};

    if (event->kind != PAL_EV_READY)
        return;
    if (event->data == server->control.id) {
        serve_control(server);
        return;
    }
    for (int i = 0; i < PORTS; i++) {
        if (event->data == server->listeners[i].id) {
            accept_all(server, sock);
            return;
        }
    }
    if (!serve_some(server, sock)) {
        unwatch_and_close(sock);
        server->open--;
    }
}

static void serve_events(struct server *server, uint64_t until_ns)
{
    const struct pal_event *events;
    int count = pal_poll_wait(loop, &events, until_ns);

    REQUIRE(count >= 0, "wait");
    for (int i = 0; i < count; i++)
        handle(server, &events[i]);
}

static void begin_server(struct server *server)
{
    struct pal_addr addr = address(FIRST_PORT);

    for (uint16_t i = 0; i < PORTS; i++) {
        struct pal_addr at = address((uint16_t)(FIRST_PORT + i));
        pal_sock listener = open_sock(PAL_SOCK_STREAM);

        REQUIRE(pal_sock_bind(listener, &at) == 0 && pal_sock_listen(listener, BACKLOG) == 0, "listen");
        REQUIRE(pal_watch(loop, listener, PAL_IN, listener.id) == 0, "watch");
        server->listeners[i] = listener;
    }
    server->control = open_sock(PAL_SOCK_DGRAM);
    REQUIRE(pal_sock_bind(server->control, &addr) == 0, "bind");
    REQUIRE(pal_watch(loop, server->control, PAL_IN, server->control.id) == 0, "watch");
}

static void serve(const char *what)
{
    struct server server = {.service = strcmp(what, "echo") == 0 ? ECHO : strcmp(what, "sink") == 0 ? SINK : SOURCE};
    uint64_t end_ns;

    begin_server(&server);
    serve_events(&server, 0); /* this thread's stack is there */
    allocations = memory.allocations;
    tell_state("ready");
    while (!server.stopped)
        serve_events(&server, UINT64_MAX);
    for (end_ns = now() + 20 * SECOND; server.open > 0 && now() < end_ns;) /* a client's last segment may be lost */
        serve_events(&server, end_ns);
    for (end_ns = now() + 200 * MS; now() < end_ns;) /* for the answer to be taken */
        serve_events(&server, end_ns);
    for (int i = 0; i < PORTS; i++)
        unwatch_and_close(server.listeners[i]);
    unwatch_and_close(server.control);
}

/* ---- the client ---- */

/* Sends the words until they come back. */
static void tell_server(const char *text)
{
    struct pal_addr addr = address(FIRST_PORT);
    pal_sock sock = open_sock(PAL_SOCK_DGRAM);
    struct pal_wait item = {.sock = sock, .interest = PAL_IN};
    size_t size = strlen(text);
    uint8_t answer[64];

    REQUIRE(pal_sock_connect(sock, &addr) == 0, "connect");
    for (uint64_t end_ns = now() + 20 * SECOND;;) {
        int32_t got;

        REQUIRE(now() < end_ns, "nobody answers");
        (void)pal_sock_send(sock, text, size, 0);
        if (pal_sock_wait(&item, 1, now() + 50 * MS) != 1)
            continue;
        got = pal_sock_recv(sock, answer, sizeof(answer), 0);
        if (got == (int32_t)size && memcmp(answer, text, size) == 0)
            break;
    }
    REQUIRE(pal_sock_close(sock) == 0, "close");
}

static pal_sock socks[SOCKS_MAX];
static struct histogram trips;

static void begin_connect(uint32_t number)
{
    struct pal_addr addr = address((uint16_t)(FIRST_PORT + number % PORTS));
    int error;

    socks[number] = open_sock(PAL_SOCK_STREAM);
    error = pal_sock_connect(socks[number], &addr);
    REQUIRE(error == 0 || error == PAL_EINPROGRESS, "connect");
    REQUIRE(pal_watch(loop, socks[number], PAL_OUT, number) == 0, "watch");
}

static void end_connect(uint32_t number)
{
    int32_t outcome = 0;
    size_t size = sizeof(outcome);

    REQUIRE(pal_sock_get(socks[number], PAL_SO_ERROR, &outcome, &size) == 0 && outcome == 0, "connecting");
    REQUIRE(pal_watch(loop, socks[number], PAL_IN, number) == 0, "watch");
}

static void open_streams(uint32_t count)
{
    uint64_t began_ns = now();
    uint32_t begun = 0, done = 0;
    const struct pal_event *events;

    while (done < count) {
        int ready;

        while (begun < count && begun - done < UNDER_WAY)
            begin_connect(begun++);
        ready = pal_poll_wait(loop, &events, now() + 10 * SECOND);
        REQUIRE(ready > 0, "connections that do not come");
        for (int i = 0; i < ready; i++)
            end_connect((uint32_t)events[i].data);
        done += (uint32_t)ready;
    }
    printf("open %u ns %" PRIu64 "\n", count, now() - began_ns);
    fflush(stdout);
}

static void open_datagrams(uint32_t count)
{
    struct pal_addr addr = address(FIRST_PORT);

    for (uint32_t i = 0; i < count; i++) {
        socks[i] = open_sock(PAL_SOCK_DGRAM);
        REQUIRE(pal_sock_connect(socks[i], &addr) == 0, "connect");
        REQUIRE(pal_watch(loop, socks[i], PAL_IN, i) == 0, "watch");
    }
}

static void trip(pal_sock sock, uint32_t size)
{
    const struct pal_event *events;
    uint32_t got = 0;

    REQUIRE(pal_sock_send(sock, bytes, size, 0) == (int32_t)size, "send");
    while (got < size) {
        int32_t result;

        REQUIRE(pal_poll_wait(loop, &events, UINT64_MAX) >= 0, "wait");
        result = pal_sock_recv(sock, bytes, size - got, 0);
        REQUIRE(result > 0 || result == PAL_EAGAIN, "recv");
        got += result > 0 ? (uint32_t)result : 0;
    }
}

/* Until at most so many of the connections that were closed are not closed at the other side as well: a card knows. */
static void await_closed(uint64_t left)
{
    for (uint64_t end_ns = now() + 20 * SECOND; counters().connections > left; pass(MS / 10))
        REQUIRE(now() < end_ns, "connections that do not end");
}

/* rushes: all at once; else so many at a time as were opened. */
static void close_all(uint32_t count, bool rushes)
{
    uint64_t began_ns = now();

    for (uint32_t i = 0; i < count; i++) {
        unwatch_and_close(socks[i]);
        if (i % UNDER_WAY == UNDER_WAY - 1) {
            pass(1);
            if (!rushes)
                await_closed(count - i + UNDER_WAY / 2);
        }
    }
    await_closed(0);
    printf("close %u ns %" PRIu64 "\n", count, now() - began_ns);
    fflush(stdout);
}

static void ping(const char *words, uint64_t count)
{
    bool is_udp = strncmp(words, "udp", 3) == 0;
    uint64_t warm = trips_warm(count), chance = 1;
    unsigned size = 0, many = 0;

    REQUIRE(sscanf(words, "%*[a-z]:%u:%u", &size, &many) == 2 && size <= MESSAGE_MAX && many <= SOCKS_MAX, "usage");
    if (is_udp)
        open_datagrams(many);
    else
        open_streams(many);
    if (many > 1) {
        tell_state("open");
        tell_server("tell open");
    }
    memset(bytes, 'x', size);
    for (uint64_t i = 0; i < warm + count; i++) {
        pal_sock sock = socks[(chance >> 33) % many];
        uint64_t began_ns = now();

        trip(sock, size);
        if (i >= warm)
            histogram_record(&trips, now() - began_ns);
        chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
    tell_trips(&trips, is_udp ? "udp" : "tcp", size);
    close_all(many, strncmp(words, "rush", 4) == 0);
    pass(50 * MS);
}

/* Sends or receives for so long; what was sent is there when the server has closed. */
static void bulk(bool pushes, uint64_t for_ns)
{
    uint64_t began_ns, total = 0;
    const struct pal_event *events;
    int32_t result = 1;

    open_streams(1);
    began_ns = now();
    REQUIRE(pal_watch(loop, socks[0], pushes ? PAL_OUT : PAL_IN, 0) == 0, "watch");
    while (now() - began_ns < for_ns) {
        result = pushes ? pal_sock_send(socks[0], bytes, sizeof(bytes), 0)
                        : pal_sock_recv(socks[0], bytes, sizeof(bytes), 0);
        REQUIRE(result > 0 || result == PAL_EAGAIN, "bulk");
        total += result > 0 ? (uint64_t)result : 0;
        if (result == PAL_EAGAIN)
            REQUIRE(pal_poll_wait(loop, &events, began_ns + for_ns) >= 0, "wait");
    }
    if (pushes) {
        REQUIRE(pal_sock_shutdown(socks[0], PAL_SHUT_WR) == 0, "shutdown");
        REQUIRE(pal_watch(loop, socks[0], PAL_IN, 0) == 0, "watch");
        while ((result = pal_sock_recv(socks[0], bytes, sizeof(bytes), 0)) == PAL_EAGAIN)
            REQUIRE(pal_poll_wait(loop, &events, UINT64_MAX) >= 0, "wait");
        REQUIRE(result == 0, "its end");
    }
    printf("bulk %" PRIu64 " ns %" PRIu64 "\n", total, now() - began_ns);
    unwatch_and_close(socks[0]);
}

/* ---- all of it ---- */

static int stop(void)
{
    struct pal_card_stop card = {.missing = 0};
    int error;

    tell_state("end");
    REQUIRE(pal_poll_close(loop) == 0, "a poll does not close");
    error = pal_ctl(NULL, PAL_CTL_CARD_STOP, &card, sizeof(card));
    REQUIRE(error == 0 || error == PAL_ENOTSUP, "the card does not stop");
    printf("missing %" PRIu64 "\n", card.missing);
    return card.missing != 0;
}

static void begin(bool spins)
{
    struct pal_setup setup = {.flags = PAL_SETUP_RAISE_LIMIT, .allocator = &memory.allocator};
    struct pal_config config = {.idle = spins ? PAL_IDLE_SPIN : PAL_IDLE_BLOCK};

    counting_init(&memory);
    REQUIRE(pal_setup(&setup) == 0, "setup");
    REQUIRE(pal_poll_open(&loop, &config) == 0, "a poll");
}

int main(int count, char **arguments)
{
    const char *what = count > 4 ? arguments[2] : "";

    begin(count > 1 && strcmp(arguments[1], "spin") == 0);
    if (strcmp(what, "serve") == 0) {
        host = arguments[4];
        serve(arguments[3]);
        return stop();
    }
    if (strcmp(what, "ping") != 0 && strcmp(what, "push") != 0 && strcmp(what, "pull") != 0) {
        fprintf(stderr, "usage: see the head of talk.c\n");
        return 2;
    }
    host = arguments[3];
    tell_server("hello");
    allocations = memory.allocations;
    tell_state("ready");
    if (strcmp(what, "ping") != 0)
        bulk(strcmp(what, "push") == 0, strtoull(arguments[4], NULL, 10) * MS);
    for (int i = 5; i < count && strcmp(what, "ping") == 0; i++)
        ping(arguments[i], strtoull(arguments[4], NULL, 10));
    tell_state("closed");
    tell_server("tell closed");
    tell_server("stop");
    pass(50 * MS);
    return stop();
}
