/* tests/dpdk/lease_rig.h: a card whose peer is another process, at the other end of a wire of shared memory
 * (net_memif), and leases of what it sends. A test executable includes it once; every test is a process.
 *
 * A lease is told from a copy by where it lies: copies lie in the poll's own buffers, and those are known by reserving
 * all of them. */
#ifndef TESTS_DPDK_LEASE_RIG_H
#define TESTS_DPDK_LEASE_RIG_H

#include "backend_rig.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO = 7, SOURCE = 19, CHUNK = 16384, LEASES = 64, LEASE_SIZE = 2048, BATCH = 16 };

/* ---- the peer ---- */

static pid_t peer;

static inline uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)(offset * 167 + (offset >> 8));
}

#define PEER_MUST(condition)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "peer, line %d: %s (%s)\n", __LINE__, #condition, pal_reason());                           \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static inline pal_sock peer_open(int family, int type, uint16_t port)
{
    struct pal_addr at;
    pal_sock sock;

    PEER_MUST(pal_sock_open(NULL, family, type, 0, &sock) == 0);
    PEER_MUST(pal_addr_from_host(&at, family == PAL_AF_INET ? "10.0.0.2" : "fd00::2", port) == 0);
    PEER_MUST(pal_sock_bind(sock, &at) == 0);
    return sock;
}

/* Sends every datagram back. */
static inline void peer_echo(int family)
{
    pal_sock sock = peer_open(family, PAL_SOCK_DGRAM, ECHO);
    static uint8_t bytes[BATCH][LEASE_SIZE];
    struct pal_msg msgs[BATCH];
    struct pal_addr from[BATCH];
    struct pal_iov iov[BATCH];

    for (;;) {
        int count, sent = 0;

        memset(msgs, 0, sizeof(msgs));
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct pal_iov){bytes[i], LEASE_SIZE};
            msgs[i].iov = &iov[i];
            msgs[i].iov_count = 1;
            msgs[i].addr = &from[i];
        }
        count = pal_sock_recv_msgs(sock, msgs, BATCH, PAL_MSG_WAIT);
        PEER_MUST(count > 0);
        for (int i = 0; i < count; i++)
            iov[i].size = (size_t)msgs[i].size;
        while (sent < count) {
            int result = pal_sock_send_msgs(sock, msgs + sent, count - sent, PAL_MSG_WAIT);

            PEER_MUST(result > 0);
            sent += result;
        }
    }
}

/* To whoever connects and says how many: so many bytes of the pattern, and the end. What comes back is taken. */
static inline void peer_source(int family)
{
    pal_sock listener = peer_open(family, PAL_SOCK_STREAM, SOURCE);

    PEER_MUST(pal_sock_listen(listener, 4) == 0);
    for (;;) {
        struct pal_wait item = {.sock = listener, .interest = PAL_IN};
        static uint8_t bytes[CHUNK], back[CHUNK];
        uint64_t amount = 0, sent = 0;
        pal_sock sock;

        PEER_MUST(pal_sock_wait(&item, 1, UINT64_MAX) == 1);
        PEER_MUST(pal_sock_accept(listener, &sock, NULL) == 0);
        PEER_MUST(pal_sock_recv(sock, &amount, sizeof(amount), PAL_MSG_WAIT) == sizeof(amount));
        while (sent < amount) {
            size_t size = amount - sent < CHUNK ? (size_t)(amount - sent) : 1 + (size_t)(sent * 7919 % CHUNK);
            int32_t result;

            for (size_t i = 0; i < size; i++)
                bytes[i] = pattern_at(sent + i);
            result = pal_sock_send(sock, bytes, size, PAL_MSG_WAIT);
            PEER_MUST(result > 0);
            sent += (uint64_t)result;
            while (pal_sock_recv(sock, back, CHUNK, 0) > 0)
                continue;
        }
        PEER_MUST(pal_sock_shutdown(sock, PAL_SHUT_WR) == 0);
        while (pal_sock_recv(sock, back, CHUNK, PAL_MSG_WAIT) > 0)
            continue;
        (void)pal_sock_close(sock);
    }
}

/* begins: the side that the other one connects to, in the process of this number. */
static inline void settings_of(bool begins, pid_t process, const char *extra)
{
    char text[512];

    snprintf(text, sizeof(text),
             "device net_memif0,role=%s,socket=palio-lease-%ld,mac=02:00:00:00:00:0%d ; "
             "address 10.0.0.%d/24 ; address fd00::%d/64 ; hugepages off ; descriptors 256 ; idle backoff 200 ; %s",
             begins ? "server" : "client", (long)process, begins ? 1 : 2, begins ? 1 : 2, begins ? 1 : 2, extra);
    set_card(text);
}

/* Forks the peer, which ends with us; then begins here. extra: settings. */
static inline void begin(void (*what)(int family), int family, const char *extra)
{
    int pipe_of_start[2];
    char byte;

    cr_assert_eq(pipe(pipe_of_start), 0);
    peer = fork();
    cr_assert_geq(peer, 0);
    if (peer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(pipe_of_start[1]);
        (void)!read(pipe_of_start[0], &byte, 1); /* the server's socket is there */
        settings_of(false, getppid(), "mbufs 4096");
        what(family);
        _exit(0);
    }
    (void)close(pipe_of_start[0]);
    settings_of(true, getpid(), extra);
    cr_assert_eq(pal_poll_close(open_poll()), 0); /* which starts the card, and no stack of this thread */
    (void)!write(pipe_of_start[1], "", 1);
    (void)close(pipe_of_start[1]);
}

/* The peer is gone. */
static inline void lose_peer(void)
{
    kill(peer, SIGKILL);
    (void)waitpid(peer, NULL, 0);
}

/* No packet buffer is missing. */
static inline void end(void)
{
    struct pal_card_stop stopped;

    lose_peer();
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_STOP, &stopped, sizeof(stopped)), 0, "%s", pal_reason());
    cr_assert_eq(stopped.missing, 0, "%lu packet buffers are missing", (unsigned long)stopped.missing);
}

/* ---- this side ---- */

static uintptr_t copies_from, copies_to; /* the poll's own buffers */

static inline pal_poll *open_lease_poll(uint32_t count, uint32_t size)
{
    struct pal_config config = {.events_max = 64, .lease_count = count, .lease_size = size};
    struct pal_lease *leases = calloc(count, sizeof(*leases));
    pal_poll *poll = NULL;

    cr_assert_eq(pal_poll_open(&poll, &config), 0, "%s", pal_reason());
    cr_assert_eq(pal_lease_reserve(poll, leases, (int)count, size), 0);
    copies_from = copies_to = (uintptr_t)leases[0].data;
    for (uint32_t i = 0; i < count; i++) {
        uintptr_t at = (uintptr_t)leases[i].data;

        copies_from = at < copies_from ? at : copies_from;
        copies_to = at > copies_to ? at : copies_to;
    }
    pal_lease_release(poll, leases, (int)count);
    free(leases);
    return poll;
}

static inline bool is_copy(const struct pal_lease *lease)
{
    return (uintptr_t)lease->data >= copies_from && (uintptr_t)lease->data <= copies_to;
}

static inline uint64_t buffers(void)
{
    return counters().buffers_used;
}

static inline pal_sock open_to_echo(int family)
{
    struct pal_addr to = addr_of(family == PAL_AF_INET ? "10.0.0.2" : "fd00::2", ECHO);
    pal_sock sock;

    cr_assert_eq(pal_sock_open(NULL, family, PAL_SOCK_DGRAM, 0, &sock), 0);
    cr_assert_eq(pal_sock_connect(sock, &to), 0);
    return sock;
}

/* Waits for the peer and the link: until a datagram has come back, and no other is under way. */
static inline pal_sock meet(int family)
{
    pal_sock sock = open_to_echo(family);
    struct pal_wait item = {.sock = sock, .interest = PAL_IN};
    char byte;

    for (int i = 0; i < 500; i++) {
        (void)pal_sock_send(sock, "?", 1, 0);
        if (pal_sock_wait(&item, 1, now() + 20 * MS) == 1) {
            while (pal_sock_wait(&item, 1, now() + 100 * MS) == 1)
                (void)pal_sock_recv(sock, &byte, 1, 0);
            return sock;
        }
    }
    cr_assert_fail("the peer does not answer");
    return sock;
}

static inline void send_numbered(pal_sock sock, uint32_t number, size_t size)
{
    uint8_t bytes[LEASE_SIZE];

    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(number + i);
    cr_assert_eq(pal_sock_send(sock, bytes, size, PAL_MSG_WAIT), (int32_t)size, "%s", pal_reason());
}

static inline void check_bytes(const struct pal_lease *lease, uint64_t number, uint64_t size)
{
    cr_assert_eq(lease->size, size);
    for (uint32_t i = 0; i < lease->size; i++)
        cr_assert_eq(lease->data[i], pattern_at(number + i), "byte %u of %lu", i, (unsigned long)number);
}

/* Waits at most two seconds for the socket, then takes count leases of it, by as many calls as it needs. */
static inline void take(pal_poll *poll, pal_sock sock, struct pal_lease *leases, int count)
{
    uint64_t until_ns = now() + 2000 * MS;
    const struct pal_event *events;

    cr_assert_eq(pal_watch(poll, sock, PAL_IN | PAL_LEASE, 1), 0);
    for (int taken = 0; taken < count;) {
        int result = pal_lease_recv(sock, leases + taken, count - taken);

        cr_assert(result > 0 || result == PAL_EAGAIN, "%s: %s", pal_error_name(result), pal_reason());
        taken += result > 0 ? result : 0;
        cr_assert_lt(now(), until_ns, "%d leases of %d", taken, count);
        if (taken < count)
            (void)pal_poll_wait(poll, &events, now() + 10 * MS);
    }
    cr_assert_eq(pal_watch(poll, sock, 0, 0), 0);
}

#endif
