/* roundtrip.c: how long 64 bytes take there and back over loopback, by way of waiting: epoll(7) by hand, sleeping and
 * looking again and again, and a poll of the seam that idles in each of its ways (PAL_IDLE_*).
 *
 *   roundtrip [ROUNDS]
 *
 * Both ends wait in the same way, each in a process of its own. The ways take turns, round by round, so that what else
 * the machine does falls on all of them; a way's figure is the median of its rounds. Only ratios of one run mean
 * anything. Needs two CPUs that are otherwise idle. */
#include <pal/pal.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 64, TRIPS = 4000, TRIPS_WARM = 500, ROUNDS_DEFAULT = 9, ROUNDS_MAX = 99 };

enum way_kind { BY_HAND, BY_SEAM };

static const struct way {
    const char *name;
    enum way_kind kind;
    uint32_t idle; /* by hand: BLOCK or SPIN */
    double target_tcp, target_udp;
} ways[] = {
    {"epoll by hand, sleeping", BY_HAND, PAL_IDLE_BLOCK, 0, 0},
    {"epoll by hand, spinning", BY_HAND, PAL_IDLE_SPIN, 0, 0},
    {"seam, block", BY_SEAM, PAL_IDLE_BLOCK, 1.01, 1.01},
    {"seam, backoff", BY_SEAM, PAL_IDLE_BACKOFF, 0, 0},
    {"seam, spin", BY_SEAM, PAL_IDLE_SPIN, 0.33, 0.38},
};
enum { WAYS = sizeof ways / sizeof *ways };

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "roundtrip: %s: %s\n", what, errno ? strerror(errno) : pal_reason());
    exit(1);
}

/* ---- one end: waits for a message, and sends one ---- */

struct end {
    const struct way *way;
    int fd;
    int set;
    pal_poll *poll;
    pal_sock sock;
};

static void end_open(struct end *end, const struct way *way, int fd)
{
    *end = (struct end){.way = way, .fd = fd, .set = -1};
    if (way->kind == BY_HAND) {
        struct epoll_event event = {.events = EPOLLIN};
        end->set = epoll_create1(EPOLL_CLOEXEC);
        must(end->set >= 0 && epoll_ctl(end->set, EPOLL_CTL_ADD, fd, &event) == 0, "epoll");
        return;
    }
    const struct pal_config config = {.idle = way->idle};
    must(pal_poll_open(&end->poll, &config) == 0, "pal_poll_open");
    must(pal_sock_adopt(fd, 0, &end->sock) == 0, "pal_sock_adopt");
    must(pal_watch(end->poll, end->sock, PAL_IN, 1) == 0, "pal_watch");
}

static void end_close(struct end *end)
{
    if (end->way->kind == BY_HAND) {
        close(end->set);
        close(end->fd);
        return;
    }
    pal_watch(end->poll, end->sock, 0, 0);
    pal_sock_close(end->sock);
    must(pal_poll_close(end->poll) == 0, "pal_poll_close");
}

static void end_receive(struct end *end, char *message)
{
    if (end->way->kind == BY_HAND) {
        struct epoll_event event;
        while (epoll_wait(end->set, &event, 1, end->way->idle == PAL_IDLE_SPIN ? 0 : -1) == 0)
            continue;
        must(recv(end->fd, message, MESSAGE_SIZE, MSG_DONTWAIT) == MESSAGE_SIZE, "recv");
        return;
    }
    const struct pal_event *events;
    while (pal_poll_wait(end->poll, &events, UINT64_MAX) == 0)
        continue;
    must(pal_sock_recv(end->sock, message, MESSAGE_SIZE, 0) == MESSAGE_SIZE, "pal_sock_recv");
}

static void end_send(struct end *end, const char *message)
{
    if (end->way->kind == BY_HAND)
        must(send(end->fd, message, MESSAGE_SIZE, MSG_DONTWAIT | MSG_NOSIGNAL) == MESSAGE_SIZE, "send");
    else
        must(pal_sock_send(end->sock, message, MESSAGE_SIZE, 0) == MESSAGE_SIZE, "pal_sock_send");
}

/* ---- sockets ---- */

static int open_bound(int type, struct sockaddr_in *name)
{
    socklen_t size = sizeof *name;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(fd >= 0 && bind(fd, (const struct sockaddr *)name, sizeof *name) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)name, &size) == 0, "getsockname");
    return fd;
}

static void open_pair(int type, int fds[2])
{
    struct sockaddr_in names[2];
    const int on = 1;
    int first = open_bound(type, &names[0]);
    fds[1] = open_bound(type, &names[1]);
    if (type == SOCK_STREAM)
        must(listen(first, 1) == 0, "listen");
    must(connect(fds[1], (const struct sockaddr *)&names[0], sizeof names[0]) == 0, "connect");
    if (type == SOCK_DGRAM) {
        must(connect(first, (const struct sockaddr *)&names[1], sizeof names[1]) == 0, "connect");
        fds[0] = first;
        return;
    }
    fds[0] = accept4(first, NULL, NULL, SOCK_CLOEXEC);
    must(fds[0] >= 0, "accept");
    close(first);
    for (int i = 0; i < 2; i++)
        must(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
}

/* ---- measuring ---- */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, int count, double part)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[(int)((double)(count - 1) * part)];
}

static void answer(const struct way *way, int fd)
{
    struct end end;
    char message[MESSAGE_SIZE];
    end_open(&end, way, fd);
    for (int i = 0; i < TRIPS_WARM + TRIPS; i++) {
        end_receive(&end, message);
        end_send(&end, message);
    }
    end_close(&end);
}

struct figures {
    double p50_us, p99_us;
};

static struct figures one_round(const struct way *way, int type)
{
    static double trips[TRIPS];
    char message[MESSAGE_SIZE] = {0};
    struct end end;
    int fds[2], status;
    open_pair(type, fds);
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        close(fds[1]);
        answer(way, fds[0]);
        _exit(0);
    }
    close(fds[0]);
    end_open(&end, way, fds[1]);
    for (int i = -TRIPS_WARM; i < TRIPS; i++) {
        double began_us = now_us();
        end_send(&end, message);
        end_receive(&end, message);
        if (i >= 0)
            trips[i] = now_us() - began_us;
    }
    end_close(&end);
    must(waitpid(child, &status, 0) == child && status == 0, "the other end");
    return (struct figures){quantile(trips, TRIPS, 0.5), quantile(trips, TRIPS, 0.99)};
}

static void measure(const char *title, int type, int rounds)
{
    static double p50[WAYS][ROUNDS_MAX], p99[WAYS][ROUNDS_MAX];
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < WAYS; i++) {
            struct figures figures = one_round(&ways[i], type);
            p50[i][round] = figures.p50_us;
            p99[i][round] = figures.p99_us;
        }
    }
    double base = quantile(p50[0], rounds, 0.5);
    for (int i = 0; i < WAYS; i++) {
        double median = quantile(p50[i], rounds, 0.5),
               target = type == SOCK_STREAM ? ways[i].target_tcp : ways[i].target_udp;
        printf("%-5s %-24s %8.1f %8.1f %7.2f", i ? "" : title, ways[i].name, median, quantile(p99[i], rounds, 0.5),
               median / base);
        if (target > 0)
            printf("  <= %.2f  %s", target, median / base <= target ? "ok" : "missed");
        putchar('\n');
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_DEFAULT;
    struct utsname system;
    time_t now = time(NULL);
    char date[32];
    if (argc > 2 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: roundtrip [ROUNDS]\n");
        return 2;
    }
    uname(&system);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    printf("%s, %s %s, %s, %ld CPUs, cc %s\n\n", date, system.sysname, system.release, system.machine,
           sysconf(_SC_NPROCESSORS_ONLN), __VERSION__);
    printf("There and back, %d bytes over loopback, two processes that wait in the same way: the median over %d\n"
           "rounds of each round's median and 99th percentile, in microseconds, and the median as a ratio to epoll\n"
           "by hand, sleeping, in the same run.\n\n",
           MESSAGE_SIZE, rounds);
    printf("%-5s %-24s %8s %8s %7s  target\n\n", "", "", "p50", "p99", "ratio");
    measure("TCP", SOCK_STREAM, rounds);
    measure("UDP", SOCK_DGRAM, rounds);
    return 0;
}
