/* load.c: the client of bench/echo: puts a given load on an echo server of this machine and verifies every byte. It
 * measures nothing; the server's instructions, system calls and memory are counted from outside.
 *
 *   load stream PORT MESSAGES CONNECTIONS   one message in flight on each connection
 *   load churn PORT CONNECTIONS             connect, one message, close; one after the other
 *   load udp PORT MESSAGES                  one datagram in flight
 *   load flood PORT ANSWERS IN_FLIGHT       that many datagrams in flight, sent and received in batches
 *   load idle PORT CONNECTIONS              one message on each, then holds them until standard input ends
 *
 * Messages are 64 bytes and differ. Exit status 0 only if the server returned every one of them unchanged; of a flood,
 * which may lose some, those that came back. Nothing waits for ever. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    MESSAGE_SIZE = 64,
    CONNECTIONS_MAX = 60000,
    MESSAGES_MAX = 100000000,
    IN_FLIGHT_MAX = 4096,
    EVENTS_MAX = 256,
    BATCH_MAX = 64,
    SILENCE_MS = 10000, /* a server that says nothing for so long has failed */
    LOSS_MS = 200,      /* datagrams out for so long are lost */
    RUN_S_MAX = 240
};

struct message {
    uint64_t number;
    uint8_t filling[MESSAGE_SIZE - sizeof(uint64_t)];
};
_Static_assert(sizeof(struct message) == MESSAGE_SIZE, "a message has no padding");

static struct sockaddr_in server = {.sin_family = AF_INET};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void must(long result, const char *operation)
{
    if (result < 0) {
        perror(operation);
        exit(1);
    }
}

/* ---- messages ---- */

static struct message message_of(uint64_t number)
{
    struct message message = {.number = number};
    for (size_t i = 0; i < sizeof message.filling; i++)
        message.filling[i] = (uint8_t)(number + 31 * i);
    return message;
}

static void verify(const struct message *message, uint64_t number)
{
    struct message expected = message_of(number);
    if (memcmp(message, &expected, sizeof expected) != 0)
        fail("the server changed a message");
}

/* A message is far smaller than an empty socket's buffer: it is taken in whole. */
static void send_message(int fd, uint64_t number)
{
    struct message message = message_of(number);
    ssize_t sent = send(fd, &message, sizeof message, MSG_NOSIGNAL);
    must(sent, "send");
    if (sent != sizeof message)
        fail("the kernel took part of a message");
}

static void receive_message(int fd, uint64_t number)
{
    struct message message;
    ssize_t size = recv(fd, &message, sizeof message, MSG_WAITALL);
    must(size, "recv");
    if (size != sizeof message)
        fail("the server closed a connection");
    verify(&message, number);
}

static int open_socket(int type, int silence_ms)
{
    const int on = 1;
    const struct timeval silence = {.tv_sec = silence_ms / 1000, .tv_usec = silence_ms % 1000 * 1000};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    must(fd, "socket");
    if (type == SOCK_STREAM)
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence), "SO_RCVTIMEO");
    must(connect(fd, (const struct sockaddr *)&server, sizeof server), "connect");
    return fd;
}

/* ---- streams ---- */

struct connection {
    int fd;
    uint64_t number; /* of the message in flight */
    size_t received;
    struct message message;
};

/* Reads what is there; true when it is the whole message. */
static bool take_in(struct connection *connection)
{
    ssize_t size = recv(connection->fd, (uint8_t *)&connection->message + connection->received,
                        sizeof connection->message - connection->received, MSG_DONTWAIT);
    must(size, "recv");
    if (size == 0)
        fail("the server closed a connection");
    connection->received += (size_t)size;
    if (connection->received < sizeof connection->message)
        return false;
    verify(&connection->message, connection->number);
    connection->received = 0;
    return true;
}

static void run_stream(size_t message_count, size_t connection_count)
{
    struct connection *connections = calloc(connection_count, sizeof *connections);
    int set = epoll_create1(EPOLL_CLOEXEC);
    size_t sent = 0, answered = 0;
    must(set, "epoll_create1");
    if (!connections)
        fail("out of memory");
    for (size_t i = 0; i < connection_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connections[i].fd = open_socket(SOCK_STREAM, SILENCE_MS);
        must(epoll_ctl(set, EPOLL_CTL_ADD, connections[i].fd, &event), "epoll_ctl");
    }
    for (size_t i = 0; i < connection_count && sent < message_count; i++)
        send_message(connections[i].fd, connections[i].number = sent++);
    while (answered < message_count) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(set, events, EVENTS_MAX, SILENCE_MS);
        must(count, "epoll_wait");
        if (count == 0)
            fail("the server has fallen silent");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!take_in(connection))
                continue;
            answered++;
            if (sent < message_count)
                send_message(connection->fd, connection->number = sent++);
        }
    }
    for (size_t i = 0; i < connection_count; i++)
        close(connections[i].fd);
    close(set);
    free(connections);
}

/* Waits for the server to close its side too: how many events it finds at once must not depend on who is faster. */
static void run_churn(size_t connection_count)
{
    for (size_t number = 0; number < connection_count; number++) {
        int fd = open_socket(SOCK_STREAM, SILENCE_MS);
        char byte;
        send_message(fd, number);
        receive_message(fd, number);
        must(shutdown(fd, SHUT_WR), "shutdown");
        if (recv(fd, &byte, 1, 0) != 0)
            fail("the server does not close a connection whose peer has ended it");
        close(fd);
    }
}

/* The message shows that the server holds the connection itself, not only the kernel for it. */
static void run_idle(size_t connection_count)
{
    const struct linger abort_at_close = {.l_onoff = 1}; /* or each would keep a port busy for a minute */
    int *fds = calloc(connection_count, sizeof *fds);
    char byte;
    if (!fds)
        fail("out of memory");
    for (size_t i = 0; i < connection_count; i++) {
        fds[i] = open_socket(SOCK_STREAM, SILENCE_MS);
        must(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &abort_at_close, sizeof abort_at_close), "SO_LINGER");
        send_message(fds[i], i);
    }
    for (size_t i = 0; i < connection_count; i++)
        receive_message(fds[i], i);
    printf("load: holding %zu\n", connection_count);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    for (size_t i = 0; i < connection_count; i++)
        close(fds[i]);
    free(fds);
}

/* ---- datagrams ---- */

static void run_udp(size_t message_count)
{
    int fd = open_socket(SOCK_DGRAM, SILENCE_MS);
    for (size_t number = 0; number < message_count; number++) {
        send_message(fd, number);
        receive_message(fd, number);
    }
    close(fd);
}

enum state { OUT, LOST, ANSWERED };

struct flood {
    int fd;
    size_t sent, answered, lost;
    size_t sent_max;
    enum state *states; /* of sent_max datagrams */
};

static void send_batch(struct flood *flood, size_t count)
{
    struct message messages[BATCH_MAX];
    struct iovec iovs[BATCH_MAX];
    struct mmsghdr headers[BATCH_MAX];
    if (flood->sent + count > flood->sent_max)
        fail("most datagrams are lost");
    memset(headers, 0, sizeof headers);
    for (size_t i = 0; i < count; i++) {
        messages[i] = message_of(flood->sent + i);
        iovs[i] = (struct iovec){.iov_base = &messages[i], .iov_len = sizeof messages[i]};
        headers[i].msg_hdr.msg_iov = &iovs[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    int result = sendmmsg(flood->fd, headers, (unsigned)count, 0);
    must(result, "sendmmsg");
    flood->sent += (size_t)result;
}

/* Receives what is there, or waits for the first for LOSS_MS. Returns how many of those in flight have ended. */
static size_t receive_batch(struct flood *flood)
{
    struct message messages[BATCH_MAX];
    struct iovec iovs[BATCH_MAX];
    struct mmsghdr headers[BATCH_MAX];
    size_t ended = 0;
    memset(headers, 0, sizeof headers);
    for (int i = 0; i < BATCH_MAX; i++) {
        iovs[i] = (struct iovec){.iov_base = &messages[i], .iov_len = sizeof messages[i]};
        headers[i].msg_hdr.msg_iov = &iovs[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(flood->fd, headers, BATCH_MAX, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
        if (headers[i].msg_len != sizeof messages[i] || messages[i].number >= flood->sent)
            fail("an answer to no datagram");
        verify(&messages[i], messages[i].number);
        if (flood->states[messages[i].number] == ANSWERED)
            fail("a datagram was answered twice");
        flood->answered++;
        ended += flood->states[messages[i].number] == OUT; /* one that was given up can come late */
        flood->states[messages[i].number] = ANSWERED;
    }
    return ended;
}

static void give_up(struct flood *flood)
{
    for (size_t i = 0; i < flood->sent; i++) {
        if (flood->states[i] == OUT) {
            flood->states[i] = LOST;
            flood->lost++;
        }
    }
}

static void run_flood(size_t answer_count, size_t in_flight_max)
{
    struct flood flood = {.fd = open_socket(SOCK_DGRAM, LOSS_MS), .sent_max = 2 * answer_count + in_flight_max};
    size_t in_flight = 0;
    flood.states = calloc(flood.sent_max, sizeof *flood.states);
    if (!flood.states)
        fail("out of memory");
    while (flood.answered < answer_count) {
        while (in_flight < in_flight_max) {
            size_t room = in_flight_max - in_flight, before = flood.sent;
            send_batch(&flood, room < BATCH_MAX ? room : BATCH_MAX);
            in_flight += flood.sent - before;
        }
        size_t answered_before = flood.answered;
        in_flight -= receive_batch(&flood);
        if (flood.answered == answered_before) {
            give_up(&flood);
            in_flight = 0;
        }
    }
    printf("load: sent %zu, answered %zu, lost %zu\n", flood.sent, flood.answered, flood.lost);
    free(flood.states);
    close(flood.fd);
}

/* ---- start ---- */

static _Noreturn void usage(void)
{
    fputs("usage: load stream PORT MESSAGES CONNECTIONS | churn PORT CONNECTIONS | udp PORT MESSAGES |\n"
          "            flood PORT ANSWERS IN_FLIGHT | idle PORT CONNECTIONS\n",
          stderr);
    exit(2);
}

static size_t number_from(const char *text, size_t max)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end || end == text || number == 0 || number > max)
        usage();
    return number;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        usage();
    const char *mode = argv[1];
    bool has_width = strcmp(mode, "stream") == 0 || strcmp(mode, "flood") == 0;
    if (argc != (has_width ? 5 : 4))
        usage();
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)number_from(argv[2], UINT16_MAX));
    raise_descriptor_limit();
    alarm(RUN_S_MAX);
    if (strcmp(mode, "stream") == 0)
        run_stream(number_from(argv[3], MESSAGES_MAX), number_from(argv[4], CONNECTIONS_MAX));
    else if (strcmp(mode, "churn") == 0)
        run_churn(number_from(argv[3], MESSAGES_MAX));
    else if (strcmp(mode, "udp") == 0)
        run_udp(number_from(argv[3], MESSAGES_MAX));
    else if (strcmp(mode, "flood") == 0)
        run_flood(number_from(argv[3], MESSAGES_MAX), number_from(argv[4], IN_FLIGHT_MAX));
    else if (strcmp(mode, "idle") == 0)
        run_idle(number_from(argv[3], CONNECTIONS_MAX));
    else
        usage();
    return 0;
}
