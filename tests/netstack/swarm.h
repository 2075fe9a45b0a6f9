/* tests/netstack/swarm.h: two stacks, a wire with faults between them, and programs that do what programs do, all drawn
 * from one seed.
 *
 *   swarm.c          the command line, the report
 *   swarm_options.c  what a seed means
 *   swarm_world.c    stacks, wire, time
 *   swarm_box.c      a box on the way
 *   swarm_tcp.c      listeners, clients, servers: when they act, and what is demanded of them
 *   swarm_stream.c   how they read and write, and what is demanded of their streams
 *   swarm_plan.c     which of them there are, and what each means to do
 *   swarm_udp.c      datagrams beside them */
#ifndef TESTS_NETSTACK_SWARM_H
#define TESTS_NETSTACK_SWARM_H

#include "../../backends/netstack/netstack.h"
#include "../../backends/netstack/nic_faults.h"
#include "../../backends/netstack/nic_pair.h"
#include "../../backends/netstack/nic_pcap.h"
#include "../../backends/netstack/sock.h"
#include "counting_allocator.h"
#include "swarm_box.h"
#include <stdio.h>

enum { US = 1000, MS = 1000 * US, CONNS_MAX = 8 };
enum { LISTENER_PORT = 7000, CLOSED_PORT = 7100, BOTH_PORT = 7200, UDP_PORT = 9000 };
#define SECOND UINT64_C(1000000000)
enum { WHY_MAX = 256, PATTERN_MAX = 16384, DATAGRAMS_MAX = 48, FINISH_SECONDS = 600 };

/* ---- numbers (splitmix64) ---- */
struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. bound - 1; 0 of 0. */
static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    return bound == 0 ? 0 : rng_next(rng) % bound;
}

static inline bool rng_chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

/* min .. max, every power of two of them as likely as the next. */
uint64_t rng_log(struct rng *rng, uint64_t min, uint64_t max);

/* ---- what a seed means ---- */
struct options {
    uint64_t seed;
    bool ip6;
    bool strict;     /* nothing but the programs themselves is a reason for an error */
    bool neighbours; /* are known from the beginning */
    bool may_duplicate, is_lossy, is_damaging;
    bool is_pristine; /* nothing on the way is a reason to send anything twice */
    bool scarce[2];   /* memory for what is sent is short on that stack */
    uint32_t mtu;
    uint32_t conn_count;
    uint32_t backlog;
    uint32_t datagrams; /* each way */
    uint64_t start_ns, faults_end_ns, actors_ns;
    uint64_t abrupt_ns;      /* the stacks are destroyed then, whatever goes on; UINT64_MAX: never */
    uint64_t down_ns, up_ns; /* the link is down between these; UINT64_MAX: never */
    uint64_t goal_max;       /* bytes that an end may have to write */
    struct netstack_config stacks[2];
    struct pair_end ends[2];
    struct faults_rates faults[2];
    uint32_t box_strips, box_split_ppm, box_overlap_ppm, box_window_ppm;
    uint32_t box_mtus[2]; /* towards each stack; 0: wide enough */
    uint64_t box_ns;      /* from when on it is so narrow */
};

void options_draw(struct options *options, uint64_t seed);
void options_print(const struct options *options, FILE *file);

/* ---- programs ---- */
enum plan {
    PLAN_HALF_CLOSE, /* writes, shuts down that side, reads to the end, closes */
    PLAN_LAST,       /* writes, reads to the end, closes: the other begins */
    PLAN_HASTY,      /* writes, closes */
    PLAN_QUITTER,    /* closes somewhere on the way */
    PLAN_ABORTER     /* the same with a reset */
};

/* How a connection comes about. */
enum how {
    HOW_TO_OTHER,
    HOW_TO_CLOSED_PORT,
    HOW_TO_SELF,  /* to the stack's own address */
    HOW_LOOPBACK, /* to 127.0.0.1 or ::1 */
    HOW_BOTH      /* both ends connect at once (RFC 9293 3.5, figure 7) */
};

struct conn;

/* One end of a connection. */
struct endpoint {
    struct conn *conn;
    struct sock *sock; /* NULL: not yet, or closed */
    int side;
    enum plan plan;
    uint64_t goal;     /* bytes to write */
    uint64_t quit_at;  /* bytes read and written after which a quitter quits */
    uint64_t think_ns; /* does nothing until then; 0: waits to be told that it is ready */
    uint64_t pause_at; /* stops reading for a while after so many bytes */
    uint32_t piece_max;
    uint64_t written, read;
    bool started, connecting, shut, eof, done;
    bool closed_early; /* before the end of the other's stream */
    bool uses_frames;  /* reads without copying */
    int error;
};

struct conn {
    uint32_t index;
    enum how how;
    int client_side;
    bool disturbed;              /* one of the programs has done what ends the other's stream */
    struct pal_addr client_addr; /* when it is known */
    uint64_t start_ns;
    struct endpoint ends[2]; /* client, server */
};

struct datagrams {
    struct sock *sock;
    int side;
    uint32_t sent, wanted;
    uint64_t think_ns;
    uint32_t sizes[DATAGRAMS_MAX]; /* of those sent */
    uint8_t seen[DATAGRAMS_MAX];   /* of the other's */
    struct sock *stray;            /* a socket that sends to where nobody is */
    bool stray_told, stray_sent;
};

/* ---- the world ---- */
struct world {
    struct options options;
    struct rng rng;
    struct counting memory;
    struct nic_pair *pair;
    struct box boxes[2];
    struct nic_faults *faults[2];
    struct nic_pcap *pcaps[2];
    struct pcap_sink sink;
    struct netstack *stacks[2];
    struct sock *listeners[2];
    uint64_t listener_think_ns[2];
    uint64_t listener_close_ns[2]; /* UINT64_MAX: at the end */
    struct conn conns[CONNS_MAX];
    struct datagrams udp[2];
    FILE *pcap_file;
    uint64_t now_ns;
    uint64_t hash;   /* FNV-1a of all frames with their times */
    uint64_t events; /* frames and steps of programs: grows while there is progress */
    uint64_t bytes;  /* delivered */
    bool verbose, failed, faults_over, link_changed[2], box_narrow;
    char why[WHY_MAX];
};

/* Everything that a seed means, from beginning to end. False: world->why. */
bool world_run(struct world *world, uint64_t seed, bool verbose, FILE *pcap_file);

/* The first failure is the one that is told. */
__attribute__((format(printf, 2, 3))) void fail(struct world *world, const char *format, ...);
/* If verbose. */
__attribute__((format(printf, 2, 3))) void tell(const struct world *world, const char *format, ...);

void world_addr(const struct world *world, int side, uint16_t port, struct pal_addr *out);
void world_loopback(const struct world *world, uint16_t port, struct pal_addr *out);

/* ---- swarm_tcp.c ---- */
void tcp_plan(struct world *world); /* swarm_plan.c */
void tcp_begin(struct world *world);
/* Programs whose time has come. */
void tcp_think(struct world *world);
/* A watched socket is ready: true if it is one of TCP's. */
bool tcp_ready(struct world *world, struct sock *sock);
uint64_t tcp_next(const struct world *world);
/* All have done what they had to do. */
bool tcp_is_done(const struct world *world);
void tcp_close_listeners(struct world *world);
void tcp_judge(struct world *world);
void tcp_print(const struct world *world, FILE *file);

/* A call has said so. */
void learn(struct world *world, struct endpoint *end, int error, const char *call);
const char *name_of(const struct endpoint *end);
struct endpoint *peer_of(struct endpoint *end);

/* ---- swarm_stream.c; ready: it was told that there is something, or room ---- */
void read_some(struct world *world, struct endpoint *end, bool ready);
void write_some(struct world *world, struct endpoint *end, bool ready);
void turn_a_knob(struct world *world, struct endpoint *end);

/* ---- swarm_udp.c ---- */
void udp_begin(struct world *world);
void udp_think(struct world *world);
bool udp_ready(struct world *world, struct sock *sock);
uint64_t udp_next(const struct world *world);
bool udp_is_done(const struct world *world);
void udp_end(struct world *world);

/* size bytes of what stands at `offset` of the stream `salt`. */
void pattern_fill(uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset);
/* Where they differ, or size. */
size_t pattern_check(const uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset);

#endif
