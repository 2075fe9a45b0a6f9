/* card.h: the card as the process has it, and each thread's part of it: a stack of its own, with a queue pair of every
 * port (share-nothing).
 *
 * The card starts when it is first needed: when an IP socket or a poll is opened. A thread's stack begins with its
 * first IP socket, or with its first wait for a poll, takes the lowest free queue pair, and belongs to that thread
 * alone; it ends with the thread, whose queue pair is free again then. More threads than queue pairs have stacks with
 * the loopback interface only. A child of fork has no card. */
#ifndef PAL__DPDK_CARD_H
#define PAL__DPDK_CARD_H

#include "../common/lock.h"
#include "../common/poll_state.h"
#include "../netstack/netstack.h"
#include "../netstack/nic_pcap.h"
#include "port.h"
#include "steer.h"
#include <pal/card.h>
#include <pthread.h>
#include <stdio.h>

enum { HOMES_MAX = 256, CARD_REASONS = 16 };
enum card_stage { STAGE_NONE, STAGE_RUNS, STAGE_LOOPBACK, STAGE_FAILED, STAGE_STOPPED };

/* A thread's part. */
struct home {
    struct netstack *stack; /* NULL: the entry is free, or the card was stopped */
    uint32_t queue;         /* DPDK_QUEUES_MAX: it has none */
    bool entered;           /* DPDK knows this thread by our doing */
    bool captures_on;
    struct nic_pcap *captures[DPDK_DEVICES_MAX];
    uint64_t turns, kernel_looks, sleeps; /* since the thread's stack began */

    uint32_t in_vain; /* tries since the last turn that found nothing */

    /* wait.c: sleeping */
    bool listens;                     /* fds are set up for a sleep: frames that come from now on end it */
    bool hears_all;                   /* every port has one */
    uint32_t fd_count;                /* descriptors of the ports' queues */
    int fds[DPDK_DEVICES_MAX + 1];    /* and those of cards, and the bell, whose events are taken by reading */
    bool taken[DPDK_DEVICES_MAX + 1]; /* by reading */
    bool stuck;        /* what is left to do is to send what a port does not take: no link, a full ring */
    uint64_t received; /* frames, when it was last looked at */
    uint64_t quiet_ns; /* since when no frame has come */
};

/* What all threads share. Under the lock, but for what does not change while the card runs. */
struct dpdk_card {
    struct lock lock; /* of the start and the end, of taking queues, and of asking ports */
    enum card_stage stage;
    int error; /* of the start, and why: */
    char failure[DPDK_WORDS_MAX];
    void *starter;             /* the thread that started DPDK */
    _Atomic uint32_t *present; /* in memory that a child of fork finds zeroed: nonzero where the ports are ours */
    char *args;
    struct dpdk_settings settings;
    struct dpdk_port *ports[DPDK_DEVICES_MAX];
    struct steer *steer; /* between the queues; NULL: there is one */
    _Atomic bool captures;
    FILE *files[DPDK_QUEUES_MAX]; /* of captures: one a queue, so that threads do not meet */
    struct pcap_sink sinks[DPDK_QUEUES_MAX];
    pthread_key_t key; /* tells us of a thread's end */
    bool has_key;
    struct home homes[HOMES_MAX];
    uint32_t reason; /* the next of: */
    char reasons[CARD_REASONS][DPDK_WORDS_MAX];
};

extern struct dpdk_card pal__d_card;

/* Starts the card if need be. 0, or why not, with pal_reason. */
int pal__d_card_begin(void);

/* This thread's part, begun if need be. NULL: *error says why, and pal_reason. */
struct home *pal__d_home(int *error);

/* This thread's, if it has one. */
struct home *pal__d_home_here(void);

/* This is a child of fork, and the card its parent's: nothing of it may be touched. */
bool pal__d_card_is_parents(void);

/* Refuses what a child of fork asks of the card: PAL_EFORKED. */
int pal__d_card_forked(void);

/* Runs the stack until what the program has sent on sockets that it has closed is at their peers, 1 s at most: before
 * the stack ends. */
void pal__d_home_settle(struct home *home);

/* Ends the stack, and gives its queue pair back. Under the lock. Handles of sockets that are still open die. */
void pal__d_home_end(struct home *home);

/* Stops and closes the first count ports, and what is between their queues: how many packet buffers are missing. */
uint64_t pal__d_card_close_ports(uint32_t count);

/* pal_setup.args: whether they can be read; and taken: copied. PAL_EINVAL ..., PAL_ENOMEM. */
int pal__d_card_check_args(const char *args);
int pal__d_card_set_args(const char *args);

/* A text for a failure, alive for CARD_REASONS more of them: under the lock, or while there is one thread. */
struct base_text pal__d_card_reason(void);

/* What stands between this thread's queues and those of others; NULL: nothing. */
static inline struct steer *pal__d_home_steer(const struct home *home)
{
    return home->queue == DPDK_QUEUES_MAX ? NULL : pal__d_card.steer;
}

/* How many devices there are. */
static inline uint32_t pal__d_card_ports(void)
{
    return pal__d_card.stage == STAGE_RUNS ? pal__d_card.settings.device_count : 0;
}

/* The device of an interface of a stack with a queue; DPDK_DEVICES_MAX: none. */
uint32_t pal__d_card_device(const struct home *home, uint32_t ifindex);

/* Asks the device: is there a link? */
bool pal__d_card_has_link(uint32_t device);

/* PAL_SO_PATH of a socket of this thread's stack. PAL_EINVAL: too little room. */
int pal__d_card_path(struct home *home, pal_sock sock, void *value, size_t *size);

/* Switches the captures of this thread as the card's are: if captures_on is not what the card says. */
void pal__d_home_capture(struct home *home);

/* PAL_CTL_CARD_* of the same names. */
int pal__d_card_text(struct pal_card_text *out);
int pal__d_card_counters(struct home *home, struct pal_card_counters *out);
int pal__d_card_capture(struct home *home, uint32_t on);
int pal__d_card_link(struct pal_card_link *out);
int pal__d_card_stop(struct pal_card_stop *out);

#endif
