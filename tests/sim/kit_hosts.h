/* tests/sim/kit_hosts.h: programs for hosts of simulations: an echo server, a client of it, and sleeping. On the seam
 * alone. */
#ifndef TESTS_SIM_KIT_HOSTS_H
#define TESTS_SIM_KIT_HOSTS_H

#include <stdint.h>

/* Sleeps, for so long exactly. */
void nap(uint64_t duration_ns);

/* Echoes over TCP on port 7 of the address (const char *), one connection after the other, for ever. Returns when it
 * cannot listen. */
int echo_main(void *address);

struct asker {
    const char *server;   /* a name */
    int messages;         /* how many are sent, and have to come back */
    uint64_t interval_ns; /* between an answer and the next message */
    uint64_t patience_ns; /* for an answer; 0: for ever */
    int answered;
    uint64_t slowest_ns; /* the longest that an answer took */
};

/* Over one connection: a struct asker. 0; PAL_E*. */
int ask_main(void *asker);

#endif
