/* echo.c: an echo server on the seam alone: TCP by try and watch, or UDP in batches. Compiled once, linked with each
 * backend (echo-epoll, echo-poll ...); bench/ measures it.
 *
 *   echo [--bind ADDRESS] PORT [--udp] [--sink]
 *
 * --sink receives and answers nothing. Ends in good order at SIGTERM or SIGINT and says what it did. It never holds
 * more than BACKLOG_MAX unsent remainders: when they are used up it stops reading, which stops the peers. */
#include <pal/address.h>
#include <pal/pal.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HANDLES_MAX = 65536,
    BUFFER_SIZE = 65536,
    BACKLOG_MAX = 1024,  /* connections with unsent bytes at once */
    ACCEPTS_A_TURN = 64, /* so that a flood of connections does not starve those that are open (rule 18) */
    DATAGRAMS_A_TURN = 32,
    SINGLES_MIN = 16,
    SINGLES_MAX = 4096,
    DATAGRAM_SIZE = 65536,
    LISTEN_BACKLOG = 4096,
    ARENA_SIZE = 4 << 20,
    ARENA_ALIGNMENT = 4096
};

/* What tells the events apart: a connection that is read is watched with its handle as data, which is never one of
 * these, and one that waits to be written with its backlog; the last is the only one watched for PAL_OUT. */
static const uint64_t DATAGRAMS = 0, LISTENER = 1;

/* The rest of a message that the peer did not take. */
struct backlog {
    struct backlog *next; /* while it is spare */
    pal_sock sock;
    uint32_t start, end;
    uint8_t bytes[BUFFER_SIZE];
};

struct server {
    pal_poll *poll;
    pal_sock sock; /* listens, or receives datagrams */
    struct backlog *spare;
    bool udp, sink, listener_paused;
    int batch;        /* datagrams to ask for */
    uint32_t singles; /* how many were taken one by one before the last batch */
    uint32_t paused_first, paused_end;
    pal_sock paused[HANDLES_MAX]; /* ring: connections that are not read for want of a spare backlog */
    uint64_t connections;
    uint8_t buffer[BUFFER_SIZE];
};

static struct server server;
static struct backlog backlogs[BACKLOG_MAX]; /* untouched pages cost nothing */
static uint8_t datagrams[DATAGRAMS_A_TURN][DATAGRAM_SIZE];
static uint64_t allocation_count; /* by the seam, since the start */

static _Noreturn void fail(const char *operation, const char *object, int code)
{
    const char *reason = pal_reason();
    fprintf(stderr, "echo: %s %s: %s (%s)%s%s\n", operation, object, pal_error_text(code), pal_error_name(code),
            *reason ? "; " : "", reason);
    exit(1);
}

static void must(int code, const char *operation, const char *object)
{
    if (code < 0)
        fail(operation, object, code);
}

/* ---- connections ---- */

static void resume_listener(void)
{
    if (!server.listener_paused)
        return;
    server.listener_paused = false;
    must(pal_watch(server.poll, server.sock, PAL_IN, LISTENER), "watch", "the listener");
}

static void drop(pal_sock sock)
{
    must(pal_watch(server.poll, sock, 0, 0), "unwatch", "a connection");
    must(pal_sock_close(sock), "close", "a connection");
    resume_listener();
}

static void accept_some(void)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        pal_sock sock;
        int result = pal_sock_accept(server.sock, &sock, NULL);
        if (result == PAL_EAGAIN)
            return;
        if (result == PAL_EMFILE || result == PAL_ENFILE || result == PAL_ENOBUFS) {
            /* The connection stays in the listener's queue until one of ours closes (rule 13). */
            must(pal_watch(server.poll, server.sock, 0, 0), "unwatch", "the listener");
            server.listener_paused = true;
            return;
        }
        if (result < 0)
            continue; /* that connection has gone again */
        server.connections++;
        if (pal_watch(server.poll, sock, PAL_IN, sock.id) < 0)
            pal_sock_close(sock);
    }
}

/* The peer does not take all: keep the rest, and read nothing more from it until it does. */
static void keep_rest(pal_sock sock, const uint8_t *rest, uint32_t size)
{
    struct backlog *backlog = server.spare;
    server.spare = backlog->next;
    backlog->sock = sock;
    backlog->start = 0;
    backlog->end = size;
    memcpy(backlog->bytes, rest, size);
    must(pal_watch(server.poll, sock, PAL_OUT, (uint64_t)(uintptr_t)backlog), "watch", "a connection");
}

static void give_back(struct backlog *backlog)
{
    backlog->next = server.spare;
    server.spare = backlog;
    while (server.paused_first != server.paused_end) { /* not all of them will need one */
        pal_sock sock = server.paused[server.paused_first++ % HANDLES_MAX];
        must(pal_watch(server.poll, sock, PAL_IN, sock.id), "watch", "a connection");
    }
}

/* Without a spare backlog a message must not be read, as nothing could hold what is not taken of it. */
static void pause_reading(pal_sock sock)
{
    must(pal_watch(server.poll, sock, 0, 0), "unwatch", "a connection");
    server.paused[server.paused_end++ % HANDLES_MAX] = sock;
}

static void send_rest(struct backlog *backlog)
{
    pal_sock sock = backlog->sock;
    int32_t sent = pal_sock_send(sock, backlog->bytes + backlog->start, backlog->end - backlog->start, 0);
    if (sent == PAL_EAGAIN)
        return;
    if (sent < 0) {
        drop(sock);
        give_back(backlog);
        return;
    }
    backlog->start += (uint32_t)sent;
    if (backlog->start < backlog->end)
        return;
    must(pal_watch(server.poll, sock, PAL_IN, sock.id), "watch", "a connection");
    give_back(backlog);
}

static inline void serve(pal_sock sock)
{
    if (!server.spare) {
        pause_reading(sock);
        return;
    }
    int32_t size = pal_sock_recv(sock, server.buffer, BUFFER_SIZE, 0);
    if (size > 0) {
        if (server.sink)
            return;
        int32_t sent = pal_sock_send(sock, server.buffer, (size_t)size, 0);
        if (sent == size)
            return;
        if (sent >= 0 || sent == PAL_EAGAIN) {
            sent = sent < 0 ? 0 : sent;
            keep_rest(sock, server.buffer + sent, (uint32_t)(size - sent));
            return;
        }
    }
    if (size != PAL_EAGAIN)
        drop(sock); /* end of stream, or the connection is broken */
}

/* ---- datagrams ---- */

static struct pal_iov pieces[DATAGRAMS_A_TURN];
static struct pal_addr senders[DATAGRAMS_A_TURN];
static struct pal_msg messages[DATAGRAMS_A_TURN];
static struct pal_iov answer_piece; /* of a single message */
static struct pal_msg answer;

static void prepare_datagrams(void)
{
    for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
        pieces[i].data = datagrams[i];
        pieces[i].size = DATAGRAM_SIZE;
        messages[i].iov = &pieces[i];
        messages[i].iov_count = 1;
        messages[i].addr = &senders[i];
    }
    answer_piece.data = datagrams[0];
    answer.iov = &answer_piece;
    answer.iov_count = 1;
    answer.addr = &senders[0];
    server.batch = 2;
    server.singles = SINGLES_MIN;
}

/* Whether more wait than one is found out now and then, by asking for two: the more often in vain, the more rarely.
 * While batches come in full they grow, so that under load a system call moves many. Returns how many datagrams are to
 * be taken one by one before the next batch. */
static __attribute__((noinline)) uint32_t echo_batch(void)
{
    int asked = server.batch;
    int count = pal_sock_recv_msgs(server.sock, messages, asked, 0);
    if (count == asked)
        server.batch = asked * 2 > DATAGRAMS_A_TURN ? DATAGRAMS_A_TURN : asked * 2;
    else
        server.batch = count > 2 ? count : 2;
    server.singles = count > 1 ? SINGLES_MIN : server.singles * 2 > SINGLES_MAX ? SINGLES_MAX : server.singles * 2;
    if (server.sink)
        return 0;
    if (count > 0) { /* else none after all, or an earlier answer bounced: both are the network's business */
        for (int i = 0; i < count; i++)
            pieces[i].size = (size_t)messages[i].size;
        pal_sock_send_msgs(server.sock, messages, count, 0); /* what is not taken is lost, as datagrams are */
        for (int i = 0; i < count; i++)
            pieces[i].size = DATAGRAM_SIZE;
    }
    return count > 1 ? 0 : server.singles;
}

/* One message takes the cheapest calls. */
static inline void echo_datagram(pal_sock sock)
{
    if (pal_sock_recv_msgs(sock, messages, 1, 0) < 1)
        return;
    answer_piece.size = (size_t)messages[0].size;
    pal_sock_send_msgs(sock, &answer, 1, 0);
}

/* ---- the loop ---- */

/* Until a signal asks for the end. */
static void run(pal_poll *poll)
{
    const pal_sock sock = server.sock;
    uint32_t singles = 0; /* datagrams to be taken one by one before the next batch */
    for (;;) {
        const struct pal_event *events;
        int count = pal_poll_wait(poll, &events, UINT64_MAX);
        if (count <= 0) {
            must(count, "wait for", "events");
            continue;
        }
        const struct pal_event *event = events, *end = events + count;
        do {
            if (event->kind != PAL_EV_READY) {
                if (event->kind == PAL_EV_SIGNAL)
                    return;
            } else if (event->data == DATAGRAMS) {
                if (singles == 0) {
                    singles = echo_batch();
                } else {
                    singles--;
                    echo_datagram(sock);
                }
            } else if (event->data == LISTENER) {
                accept_some();
            } else if (event->ready & PAL_IN) {
                serve((pal_sock){event->data});
            } else {
                send_rest((struct backlog *)(uintptr_t)event->data);
            }
        } while (++event != end);
    }
}

/* ---- start and end ---- */

/* The seam's memory comes from one block, so that it shows when and how much is taken. What is too large for that, the
 * pools of a stack that is in this process, comes from the C library. */
static void *counting_alloc(void *context, size_t size, size_t alignment)
{
    static _Alignas(ARENA_ALIGNMENT) uint8_t block[ARENA_SIZE];
    static size_t used;
    (void)context;
    allocation_count++;
    size_t start = (used + alignment - 1) / alignment * alignment;
    if (alignment > ARENA_ALIGNMENT || start > ARENA_SIZE || size > ARENA_SIZE - start) {
        uint8_t *memory = malloc(size + alignment);
        return memory ? memory + (alignment - (uintptr_t)memory % alignment) : NULL;
    }
    used = start + size;
    return block + start;
}

static void no_free(void *context, void *memory, size_t size)
{
    (void)context, (void)memory, (void)size; /* it lives as long as the program */
}

static _Noreturn void usage(void)
{
    fputs("usage: echo [--bind ADDRESS] PORT [--udp] [--sink]\n", stderr);
    exit(2);
}

struct arguments {
    const char *host, *port;
};

static struct arguments parse(int argc, char **argv)
{
    struct arguments arguments = {.host = "127.0.0.1"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--udp") == 0)
            server.udp = true;
        else if (strcmp(argv[i], "--sink") == 0)
            server.sink = true;
        else if (strcmp(argv[i], "--bind") == 0 && i + 1 < argc)
            arguments.host = argv[++i];
        else if (argv[i][0] != '-' && !arguments.port)
            arguments.port = argv[i];
        else
            usage();
    }
    if (!arguments.port)
        usage();
    return arguments;
}

static struct pal_addr address_of(const struct arguments *arguments)
{
    struct pal_addr addr;
    char *end;
    unsigned long port = strtoul(arguments->port, &end, 10);
    if (*end || end == arguments->port || port > 65535)
        fail("listen on port", arguments->port, PAL_EINVAL);
    must(pal_addr_from_host(&addr, arguments->host, (uint16_t)port), "bind to", arguments->host);
    return addr;
}

/* Opens the socket and says where, so that port 0 is of use. */
static void open_socket(const struct pal_addr *addr)
{
    const int32_t on = 1;
    char text[PAL_ADDR_TEXT_SIZE];
    struct pal_addr bound;
    pal_addr_format(addr, text, sizeof text);
    must(pal_sock_open(server.poll, addr->family, server.udp ? PAL_SOCK_DGRAM : PAL_SOCK_STREAM, 0, &server.sock),
         "open", text);
    if (!server.udp) {
        must(pal_sock_set(server.sock, PAL_SO_REUSEADDR, &on, sizeof on), "set REUSEADDR of", text);
        must(pal_sock_set(server.sock, PAL_SO_NODELAY, &on, sizeof on), "set NODELAY of",
             text); /* accepted ones inherit */
    }
    must(pal_sock_bind(server.sock, addr), "bind to", text);
    if (!server.udp)
        must(pal_sock_listen(server.sock, LISTEN_BACKLOG), "listen on", text);
    must(pal_sock_name(server.sock, PAL_NAME_LOCAL, &bound), "name", text);
    pal_addr_format(&bound, text, sizeof text);
    printf("echo: %s on %s\n", pal_backend_info()->name, text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse(argc, argv);
    struct pal_addr addr = address_of(&arguments);
    const struct pal_allocator allocator = {.alloc = counting_alloc, .free = no_free};
    must(pal_setup(
             &(struct pal_setup){.flags = PAL_SETUP_RAISE_LIMIT, .socks_max = HANDLES_MAX, .allocator = &allocator}),
         "set up", "the seam");
    must(pal_poll_open(&server.poll, NULL), "open", "a poll");
    must(pal_signal_watch(server.poll, PAL_SIGTERM, 0), "watch", "SIGTERM");
    must(pal_signal_watch(server.poll, PAL_SIGINT, 0), "watch", "SIGINT");
    for (int i = 0; i < BACKLOG_MAX; i++)
        give_back(&backlogs[i]);
    open_socket(&addr);
    allocation_count = 0;
    must(pal_watch(server.poll, server.sock, PAL_IN, server.udp ? DATAGRAMS : LISTENER), "watch", "the socket");
    prepare_datagrams();
    run(server.poll);
    printf("echo: ended; %" PRIu64 " connections, %" PRIu64 " allocations since the start\n", server.connections,
           allocation_count);
    return 0;
}
