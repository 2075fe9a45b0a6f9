/* tests/netstack/host.h: a program with a stack of its own on a wire to the kernel: servers and clients for interop
 * tests.
 *
 *   host.c       the command line, the loop
 *   host_talk.c  conversations over TCP
 *   host_udp.c   datagrams, groups
 *   host_bench.c a client for bench/netstack_kernel
 *   host_tap.c   its wire: a tap device; tests/dpdk/host_dpdk.c, linked instead: a port of DPDK */
#ifndef TESTS_NETSTACK_HOST_H
#define TESTS_NETSTACK_HOST_H

#include "../../backends/netstack/netstack.h"
#include "../../backends/netstack/sock.h"

enum { TALKS_MAX = 128, TALK_BUFFER = 65536, LISTENERS = 4, DATAGRAM_SOCKS = 4 };
enum { PORT_ECHO = 7, PORT_DISCARD = 9, PORT_SOURCE = 19, PORT_HTTP = 80, PORT_GROUP = 5353 };

struct host {
    struct netstack *stack;
    uint32_t ifindex;
    int32_t keepalive_seconds; /* of accepted connections; 0: none */
    bool quiet;
};

/* ---- host_talk.c ---- */

/* What a client does. */
struct client {
    struct pal_addr to;
    uint64_t send; /* bytes of the pattern */
    bool echo;     /* expects them back; else one line */
    bool reset;    /* ends by a reset after sending and receiving */
    bool wait_end; /* ends when the server does */
};

/* Servers on both families. 0 or PAL_E*. */
int talk_listen(struct host *host);
int talk_connect(struct host *host, const struct client *client);
/* True: it is one of TCP's sockets. */
bool talk_ready(struct host *host, struct sock *sock);
/* The client has ended: its exit status; -1: not yet. */
int talk_client_status(void);
uint32_t talk_count(void);

/* ---- host_udp.c ---- */
int udp_open(struct host *host);
bool udp_ready(struct host *host, struct sock *sock);
/* One datagram "group hello" to a group. */
int udp_send_to(struct host *host, const struct pal_addr *to);

/* ---- host_bench.c ---- */

enum bench_kind { BENCH_NONE, BENCH_PUSH, BENCH_PULL, BENCH_STALL };

struct bench {
    enum bench_kind kind;
    struct pal_addr to;
    uint64_t count; /* bytes, or messages */
};

int bench_connect(struct host *host, const struct bench *what);
bool bench_ready(struct sock *sock);
/* As talk_client_status. */
int bench_status(void);

/* ---- host_tap.c, or another ---- */

/* Takes an option of its own with a value; false: it is none, or wrong. */
bool wire_option(const char *name, const char *value);
/* Before the nic is opened: true if it was said which. */
bool wire_is_known(void);
/* NULL: not to be had, which it has said on standard error. The allocator lives on. */
struct nic *wire_open(const struct pal_allocator *allocator);
const char *wire_name(void);
/* Sleeps until a frame may be there, or for so long. */
void wire_rest(uint64_t for_ns);
/* False: frames were not given back, which it has said. */
bool wire_close(void);

/* ---- host.c ---- */
uint64_t host_clock_ns(void);

/* byte `offset` of the pattern, and the CRC-32 that zlib has too */
uint8_t pattern_at(uint64_t offset);
uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t size);

#endif
