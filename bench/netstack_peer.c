/* netstack_peer.c: one end of a conversation over the kernel's TCP: what bench/netstack_kernel sets beside our stack.
 *
 * usage: netstack-peer sink|source|echo IP PORT COUNT     serves one connection
 *        netstack-peer push|pull|stall IP PORT COUNT      connects, and does what netstack-host does by these names
 *
 * push sends COUNT bytes of a pattern to a sink, pull receives them from a source; the receiver compares each with the
 * pattern. stall sends COUNT messages of 64 bytes to an echo, each when the last one has come back. A server says
 * "listening", and at its end "bytes N ns T", from accept until the client has ended; stall says how long messages took
 * to come back. IPv4 only; congestion control is NewReno, as our stack's is, whatever the machine's may be. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../tests/netstack/host_pattern.h"

enum { MESSAGE_SIZE = 64 };

static struct pattern pattern;

static void must(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int open_socket(bool serves, const char *ip, const char *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM, 0), accepted, on = 1;

    must(fd >= 0 && inet_pton(AF_INET, ip, &addr.sin_addr) == 1, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    must(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0, "congestion control");
    if (!serves) {
        must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
        return fd;
    }
    must(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 1) == 0, "listen");
    printf("listening\n");
    fflush(stdout);
    accepted = accept(fd, NULL, NULL);
    must(accepted >= 0, "accept");
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    close(fd);
    return accepted;
}

static void send_pattern(int fd, uint64_t count)
{
    for (uint64_t done = 0; done < count;) {
        size_t size = PATTERN_BLOCK < count - done ? PATTERN_BLOCK : (size_t)(count - done);
        ssize_t sent = send(fd, pattern_of(&pattern, done), size, 0);

        must(sent > 0, "send");
        done += (uint64_t)sent;
    }
    must(shutdown(fd, SHUT_WR) == 0, "shutdown");
}

/* To the end of the stream. */
static void receive_pattern(int fd, uint64_t count)
{
    static uint8_t bytes[PATTERN_BLOCK];
    uint64_t done = 0;
    ssize_t size;

    while ((size = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        must(memcmp(bytes, pattern_of(&pattern, done), (size_t)size) == 0, "other bytes");
        done += (uint64_t)size;
    }
    must(size == 0 && done == count, "the end of the stream");
}

static bool receive_message(int fd, uint8_t *message)
{
    ssize_t size = recv(fd, message, MESSAGE_SIZE, MSG_WAITALL);

    must(size == 0 || size == MESSAGE_SIZE, "recv");
    return size != 0;
}

static void echo(int fd)
{
    uint8_t message[MESSAGE_SIZE];

    while (receive_message(fd, message))
        must(send(fd, message, sizeof(message), 0) == MESSAGE_SIZE, "send");
}

static void stall(int fd, uint64_t count)
{
    uint64_t *times_ns = calloc((size_t)count, sizeof(*times_ns));
    uint8_t message[MESSAGE_SIZE], answer[MESSAGE_SIZE];

    must(times_ns != NULL, "memory");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t began_ns = clock_ns();

        memcpy(message, pattern_of(&pattern, i), sizeof(message));
        must(send(fd, message, sizeof(message), 0) == MESSAGE_SIZE, "send");
        must(receive_message(fd, answer), "an answer");
        must(memcmp(answer, message, sizeof(message)) == 0, "another answer");
        times_ns[i] = clock_ns() - began_ns;
    }
    print_stalls(times_ns, count);
    free(times_ns);
}

/* The client has ended: that was the last it had to say. */
static void wait_for_end(int fd)
{
    uint8_t byte;

    must(recv(fd, &byte, 1, 0) == 0, "the end of the stream");
}

static void serve(int fd, const char *what, uint64_t count)
{
    uint64_t began_ns = clock_ns();

    if (strcmp(what, "sink") == 0) {
        receive_pattern(fd, count);
    } else if (strcmp(what, "source") == 0) {
        send_pattern(fd, count);
        wait_for_end(fd);
    } else {
        echo(fd);
    }
    printf("bytes %llu ns %llu\n", (unsigned long long)count, (unsigned long long)(clock_ns() - began_ns));
}

static void ask(int fd, const char *what, uint64_t count)
{
    if (strcmp(what, "push") == 0) {
        send_pattern(fd, count);
        wait_for_end(fd);
    } else if (strcmp(what, "pull") == 0) {
        receive_pattern(fd, count);
    } else {
        stall(fd, count);
    }
}

int main(int count, char **arguments)
{
    const char *what = count == 5 ? arguments[1] : "";
    bool serves = strcmp(what, "sink") == 0 || strcmp(what, "source") == 0 || strcmp(what, "echo") == 0;
    bool asks = strcmp(what, "push") == 0 || strcmp(what, "pull") == 0 || strcmp(what, "stall") == 0;
    uint64_t size;
    int fd;

    if (!serves && !asks) {
        fprintf(stderr, "usage: netstack-peer sink|source|echo|push|pull|stall IP PORT COUNT\n");
        return 2;
    }
    pattern_init(&pattern);
    size = strtoull(arguments[4], NULL, 10);
    fd = open_socket(serves, arguments[2], arguments[3]);
    if (serves)
        serve(fd, what, size);
    else
        ask(fd, what, size);
    close(fd);
    return 0;
}
