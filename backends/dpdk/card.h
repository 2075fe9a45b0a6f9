/* card.h: the card as the process has it, and each thread's part of it: a stack of its own, with a queue pair of every
 * port (share-nothing).
 *
 * The card starts when it is first needed: when an IP socket or a poll is opened. A thread's stack begins with its
 * first IP socket or with the poll that it claims, takes the next free queue pair, and belongs to that thread alone.
 * More threads than queue pairs have stacks with the loopback interface only. */
#ifndef PAL__DPDK_CARD_H
#define PAL__DPDK_CARD_H

#include "../common/poll_state.h"
#include "../netstack/netstack.h"
#include "../netstack/nic_pcap.h"
#include "port.h"
#include <pal/card.h>

/* A thread's part. */
struct home {
    struct netstack *stack;
    void *_Atomic owner; /* thread_mark() */
    uint32_t queue;      /* DPDK_QUEUES_MAX: it has none */
    struct nic_pcap *captures[DPDK_DEVICES_MAX];
    uint64_t turns, kernel_looks, sleeps;
    uint64_t kernel_looked_ns; /* when */
    uint32_t turns_since;      /* that look */
};

/* This thread's, begun if need be. NULL: *error says why, and pal_reason. */
struct home *pal__d_home(int *error);

/* This thread's, if it has one. */
struct home *pal__d_home_here(void);

/* pal_setup.args; copied. PAL_EINVAL. */
int pal__d_card_set_args(const char *args);

const struct dpdk_settings *pal__d_card_settings(void);

/* How many devices there are, and the port of one. */
uint32_t pal__d_card_ports(void);
struct dpdk_port *pal__d_card_port(uint32_t device);

/* PAL_CTL_CARD_* of the same names. */
int pal__d_card_text(struct pal_card_text *out);
int pal__d_card_counters(struct pal_card_counters *out);
int pal__d_card_capture(uint32_t on);
int pal__d_card_link(struct pal_card_link *out);
int pal__d_card_stop(struct pal_card_stop *out);

#endif
