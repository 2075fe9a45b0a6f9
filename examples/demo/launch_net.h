/* examples/demo/launch_net.h: the network between the two processes of launch_posix.c. A program is linked with one:
 * launch_loopback.c, the kernel's own, or launch_memif.c, a cable between two cards of DPDK's. */
#ifndef DEMO_LAUNCH_NET_H
#define DEMO_LAUNCH_NET_H

#include "demo.h"

#include <stdbool.h>

/* Sets listen and feed of both. trader->feed.source has a family if the ticks are to be joined for their sender alone.
 * 0, or -1 with words on standard error. */
int net_choose(struct exchange_config *exchange, struct trader_config *trader);

/* Called in a child before its half runs: makes its end of the network known to the backend. 0, or -1 with words on
 * standard error. */
int net_enter(bool is_exchange, enum demo_idle idle);

#endif
