/* raw_epoll.c: the floor that bench/echo holds the echo server against: the same service written by hand on epoll(7),
 * with nothing between it and the kernel. It is no model of a server: what a peer does not take at once is not kept
 * for it, the connection is dropped instead.
 *
 *   raw-epoll PORT [--udp]
 *
 * Listens on 127.0.0.1, says where, ends at SIGTERM. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, BUFFER_SIZE = 65536, LISTEN_BACKLOG = 4096 };

static uint8_t buffer[BUFFER_SIZE];

/* At once: nothing is to be cleaned up, and a flag could be set just before a wait without end. */
static void stop(int number)
{
    (void)number;
    _exit(0);
}

static void must(int result, const char *operation)
{
    if (result < 0) {
        perror(operation);
        exit(1);
    }
}

static void watch(int set, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_all(int set, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(set, fd);
}

static void serve_stream(int fd)
{
    ssize_t size = read(fd, buffer, sizeof buffer);
    if (size <= 0 || write(fd, buffer, (size_t)size) != size)
        close(fd); /* which takes it out of the set */
}

/* One for each event: to ask until there is none left saves waits under load, costs a call without, and makes the count
 * of calls depend on how fast the client is. */
static void serve_datagram(int fd)
{
    struct sockaddr_in sender;
    socklen_t sender_size = sizeof sender;
    ssize_t size = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&sender, &sender_size);
    if (size >= 0)
        sendto(fd, buffer, (size_t)size, 0, (const struct sockaddr *)&sender, sender_size);
}

static int open_socket(uint16_t port, bool udp)
{
    const int on = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t addr_size = sizeof addr;
    int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd, "socket");
    if (!udp) {
        must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY"); /* accepted ones inherit it */
    }
    must(bind(fd, (const struct sockaddr *)&addr, sizeof addr), "bind");
    if (!udp)
        must(listen(fd, LISTEN_BACKLOG), "listen");
    must(getsockname(fd, (struct sockaddr *)&addr, &addr_size), "getsockname");
    printf("raw: epoll on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

/* The idle connections of bench/echo need more descriptors than the usual soft limit allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

int main(int argc, char **argv)
{
    bool udp = argc == 3 && strcmp(argv[2], "--udp") == 0;
    if (argc != 2 && !udp) {
        fputs("usage: raw-epoll PORT [--udp]\n", stderr);
        return 2;
    }
    must(sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL), "sigaction");
    raise_descriptor_limit();
    int set = epoll_create1(EPOLL_CLOEXEC);
    must(set, "epoll_create1");
    int sock = open_socket((uint16_t)atoi(argv[1]), udp);
    watch(set, sock);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(set, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != sock)
                serve_stream(events[i].data.fd);
            else if (udp)
                serve_datagram(sock);
            else
                accept_all(set, sock);
        }
    }
}
