/* queues.c: a program of several threads on a card of several queues (PALIO_DPDK), a stack a thread. It knows the seam
 * and nothing of what is below. test_queues.py has it serve the kernel's sockets.
 *
 * usage: queues THREADS HOST4 HOST6
 *
 * Every thread echoes TCP and UDP at port 7, which all share, and at port 70 + its number, which is its own. What comes
 * to its own UDP port may be a command: "listen" at port 8 as well; "join" the group 239.1.2.3 at port 90;
 * "call HOST PORT COUNT": so many connections, 16 KiB there and back each, then "done"; "stop". In the end each thread
 * says what it has counted. A failure is exit status 1, with words. */
#include <inttypes.h>
#include <pal/address.h>
#include <pal/card.h>
#include <pal/pal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 8, ENTRIES_MAX = 600, CHUNK = 16384, SHARED = 7, LATE = 8, OWN = 70, GROUP = 90 };

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

enum kind { FREE, LISTENER, DATAGRAMS, ECHO, CALL };

struct entry {
    enum kind kind;
    pal_sock sock;
    bool obeys; /* DATAGRAMS: commands */
    uint32_t sent, received;
};

struct worker {
    pal_poll *poll;
    int number;
    bool stopped;
    uint32_t accepted, calling;
    struct pal_addr caller; /* who has asked for calls, */
    pal_sock told_by;       /* and by which socket he is told of their end */
    struct entry entries[ENTRIES_MAX];
};

static const char *hosts[2];
static int threads;
static struct worker workers[THREADS_MAX];
static _Atomic int ready;

static struct entry *add(struct worker *worker, enum kind kind, pal_sock sock, uint32_t interest)
{
    struct entry *entry = worker->entries;

    while (entry < worker->entries + ENTRIES_MAX && entry->kind != FREE)
        entry++;
    REQUIRE(entry < worker->entries + ENTRIES_MAX, "too many sockets");
    *entry = (struct entry){.kind = kind, .sock = sock};
    REQUIRE(pal_watch(worker->poll, sock, interest, (uint64_t)(entry - worker->entries)) == 0, "watch");
    return entry;
}

static void drop(struct worker *worker, struct entry *entry)
{
    REQUIRE(pal_watch(worker->poll, entry->sock, 0, 0) == 0 && pal_sock_close(entry->sock) == 0, "close");
    entry->kind = FREE;
}

static struct pal_addr address(const char *host, uint16_t port)
{
    struct pal_addr addr;

    REQUIRE(pal_addr_from_host(&addr, host, port) == 0, "%s", host);
    return addr;
}

static struct entry *serve(struct worker *worker, int type, const char *host, uint16_t port)
{
    struct pal_addr addr = address(host, port);
    pal_sock sock = {0};

    REQUIRE(pal_sock_open(worker->poll, addr.family, type, 0, &sock) == 0, "open");
    REQUIRE(pal_sock_bind(sock, &addr) == 0, "bind %u", port);
    if (type == PAL_SOCK_STREAM)
        REQUIRE(pal_sock_listen(sock, 256) == 0, "listen");
    return add(worker, type == PAL_SOCK_STREAM ? LISTENER : DATAGRAMS, sock, PAL_IN);
}

static void serve_port(struct worker *worker, uint16_t port, bool obeys)
{
    for (int i = 0; i < 2; i++) {
        serve(worker, PAL_SOCK_STREAM, hosts[i], port);
        serve(worker, PAL_SOCK_DGRAM, hosts[i], port)->obeys = obeys;
    }
}

/* ---- commands ---- */

static void join(struct worker *worker)
{
    struct entry *entry = serve(worker, PAL_SOCK_DGRAM, "0.0.0.0", GROUP);
    struct pal_mcast group = {.group = address("239.1.2.3", 0), .ifindex = 2};

    REQUIRE(pal_sock_set(entry->sock, PAL_SO_MCAST_JOIN, &group, sizeof(group)) == 0, "join");
}

static void call(struct worker *worker, const char *host, uint16_t port, uint32_t count)
{
    struct pal_addr addr = address(host, port);

    worker->calling = count;
    for (uint32_t i = 0; i < count; i++) {
        pal_sock sock = {0};

        REQUIRE(pal_sock_open(worker->poll, addr.family, PAL_SOCK_STREAM, 0, &sock) == 0, "open");
        int error = pal_sock_connect(sock, &addr);
        REQUIRE(error == PAL_EINPROGRESS || error == 0, "connect: %s", pal_error_name(error));
        add(worker, CALL, sock, PAL_IN | PAL_OUT);
    }
}

static void answer(pal_sock sock, const void *bytes, size_t size, const struct pal_addr *to)
{
    struct pal_addr addr = *to;
    struct pal_iov piece = {(void *)(uintptr_t)bytes, size};
    struct pal_msg msg = {.addr = &addr, .iov = &piece, .iov_count = 1};

    (void)pal_sock_send_msgs(sock, &msg, 1, PAL_MSG_WAIT);
}

/* True: it was one, and is answered. */
static bool obey(struct worker *worker, struct entry *entry, char *text, const struct pal_addr *from)
{
    char host[64];
    unsigned port, count;

    if (strcmp(text, "stop") == 0) {
        worker->stopped = true;
    } else if (strcmp(text, "listen") == 0) {
        serve(worker, PAL_SOCK_STREAM, hosts[0], LATE);
    } else if (strcmp(text, "join") == 0) {
        join(worker);
    } else if (sscanf(text, "call %63s %u %u", host, &port, &count) == 3) {
        worker->caller = *from;
        worker->told_by = entry->sock;
        call(worker, host, (uint16_t)port, count);
        return true;
    } else {
        return false;
    }
    answer(entry->sock, "done", 4, from);
    return true;
}

/* ---- events ---- */

static void on_datagram(struct worker *worker, struct entry *entry)
{
    static _Thread_local char bytes[65536];
    struct pal_addr from;
    struct pal_iov piece = {bytes, sizeof(bytes) - 1};
    struct pal_msg msg = {.addr = &from, .iov = &piece, .iov_count = 1};

    if (pal_sock_recv_msgs(entry->sock, &msg, 1, 0) != 1)
        return;
    bytes[msg.size] = '\0';
    if (!entry->obeys || !obey(worker, entry, bytes, &from))
        answer(entry->sock, bytes, (size_t)msg.size, &from);
}

static void on_listener(struct worker *worker, const struct entry *entry)
{
    pal_sock sock;

    if (pal_sock_accept(entry->sock, &sock, NULL) != 0)
        return;
    worker->accepted++;
    add(worker, ECHO, sock, PAL_IN);
}

static void on_echo(struct worker *worker, struct entry *entry)
{
    uint8_t bytes[CHUNK];
    int32_t got = pal_sock_recv(entry->sock, bytes, sizeof(bytes), 0);

    for (int32_t done = 0; done < got;) {
        int32_t sent = pal_sock_send(entry->sock, bytes + done, (size_t)(got - done), PAL_MSG_WAIT);

        REQUIRE(sent > 0, "send: %s", pal_error_name(sent));
        done += sent;
    }
    if (got <= 0 && got != PAL_EAGAIN)
        drop(worker, entry);
}

static uint8_t pattern_at(uint32_t place)
{
    return (uint8_t)(place * 167 + (place >> 8));
}

static void on_call(struct worker *worker, struct entry *entry)
{
    uint8_t bytes[CHUNK];
    int32_t got;

    if (entry->sent < CHUNK) {
        for (uint32_t i = entry->sent; i < CHUNK; i++)
            bytes[i] = pattern_at(i);
        got = pal_sock_send(entry->sock, bytes + entry->sent, CHUNK - entry->sent, 0);
        REQUIRE(got > 0 || got == PAL_EAGAIN, "a call: %s", pal_error_name(got));
        entry->sent += got > 0 ? (uint32_t)got : 0;
        if (entry->sent == CHUNK)
            REQUIRE(pal_watch(worker->poll, entry->sock, PAL_IN, (uint64_t)(entry - worker->entries)) == 0, "watch");
    }
    got = pal_sock_recv(entry->sock, bytes, sizeof(bytes), 0);
    REQUIRE(got > 0 || got == PAL_EAGAIN, "a call ends: %s", pal_error_name(got));
    for (int32_t i = 0; i < got; i++)
        REQUIRE(bytes[i] == pattern_at(entry->received + (uint32_t)i), "byte %u", entry->received + (uint32_t)i);
    entry->received += got > 0 ? (uint32_t)got : 0;
    if (entry->received < CHUNK)
        return;
    drop(worker, entry);
    if (--worker->calling == 0)
        answer(worker->told_by, "done", 4, &worker->caller);
}

static void handle(struct worker *worker, const struct pal_event *event)
{
    struct entry *entry = &worker->entries[event->data];

    switch (entry->kind) {
    case LISTENER:
        on_listener(worker, entry);
        break;
    case DATAGRAMS:
        on_datagram(worker, entry);
        break;
    case ECHO:
        on_echo(worker, entry);
        break;
    case CALL:
        on_call(worker, entry);
        break;
    case FREE:
        break;
    }
}

/* ---- threads ---- */

static void work(void *argument)
{
    struct worker *worker = argument;
    struct pal_card_counters seen = {.stack = NULL};
    const struct pal_event *events;

    REQUIRE(pal_poll_open(&worker->poll, NULL) == 0, "no poll");
    serve_port(worker, SHARED, false);
    serve_port(worker, (uint16_t)(OWN + worker->number), true);
    if (atomic_fetch_add(&ready, 1) == threads - 1) {
        printf("ready\n");
        fflush(stdout);
    }
    while (!worker->stopped) {
        int count = pal_poll_wait(worker->poll, &events, UINT64_MAX);

        REQUIRE(count >= 0, "wait: %s", pal_error_name(count));
        for (int i = 0; i < count; i++)
            handle(worker, &events[i]);
    }
    (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + 200000000); /* for the answer to be taken */
    for (struct entry *entry = worker->entries; entry < worker->entries + ENTRIES_MAX; entry++)
        if (entry->kind != FREE)
            drop(worker, entry);
    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &seen, sizeof(seen)) == 0, "no counters");
    printf("thread %d: accepted %u received %" PRIu64 " given %" PRIu64 " taken %" PRIu64 " lost %" PRIu64
           " sleeps %" PRIu64 "\n",
           worker->number, worker->accepted, seen.queue_received, seen.queue_given, seen.queue_taken, seen.queue_lost,
           seen.sleeps);
    REQUIRE(pal_poll_close(worker->poll) == 0, "a poll does not close");
}

/* The main thread has the first queue; the others take theirs one after the other. */
int main(int argc, char **argv)
{
    pal_thread started[THREADS_MAX] = {{0}};
    struct pal_card_stop stop = {0};

    REQUIRE(argc == 4 && (threads = atoi(argv[1])) > 0 && threads <= THREADS_MAX, "usage: queues THREADS HOST4 HOST6");
    hosts[0] = argv[2];
    hosts[1] = argv[3];
    pal_poll *first;
    REQUIRE(pal_poll_open(&first, NULL) == 0, "the card");
    pal_sock sock;
    REQUIRE(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock) == 0 && pal_sock_close(sock) == 0, "the queue");
    for (int i = 1; i < threads; i++) {
        workers[i].number = i;
        REQUIRE(pal_thread_start(&started[i], work, &workers[i]) == 0, "thread %d", i);
        while (atomic_load(&ready) < i)
            (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + 1000000);
    }
    REQUIRE(pal_poll_close(first) == 0, "close");
    work(&workers[0]);
    for (int i = 1; i < threads; i++)
        REQUIRE(pal_thread_join(started[i]) == 0, "join");
    REQUIRE(pal_ctl(NULL, PAL_CTL_CARD_STOP, &stop, sizeof(stop)) == 0, "stop");
    printf("missing %" PRIu64 "\n", stop.missing);
    return 0;
}
