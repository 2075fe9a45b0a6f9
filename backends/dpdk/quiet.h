/* quiet.h: DPDK's interrupt thread stands still while a port goes away that it may be at work for. */
#ifndef PAL__DPDK_QUIET_H
#define PAL__DPDK_QUIET_H

#include "eal.h"

/* To be called before a port (an id of DPDK's) is stopped, closed or removed, by the thread that does it; again does no
 * harm. For a port of net_memif: nobody connects to its socket any more (nor to another port's of this process, if they
 * share it), and the interrupt thread is held, and is in none of the driver's functions. For others nothing. 0.2 ms.
 *
 * False: it cannot be had (no descriptor is left, or the interrupt thread hangs in a send to a peer, for which it is
 * given a second): then the port is to be left as it is, to the end of the process. */
bool pal__d_quiet_begin(uint16_t port);

/* The interrupt thread goes on: after ports were closed while others live, and before one is opened. */
void pal__d_quiet_end(void);

/* The last port is closed: if there was one of net_memif, the interrupt thread is held until the next is opened;
 * through EAL's end, and then to the end of the process. */
void pal__d_quiet_stay(void);

/* EAL may be ended: there was no port of net_memif, or the interrupt thread is held. Else DPDK's memory has to stay,
 * for that thread reads it. */
bool pal__d_quiet_may_end(void);

#endif
