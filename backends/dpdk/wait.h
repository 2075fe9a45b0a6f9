/* wait.h: polls of a card, and other calls that wait: what pal_* of the same name does. See wait.c. */
#ifndef PAL__DPDK_WAIT_H
#define PAL__DPDK_WAIT_H

#include "card.h"
#include <pal/pal.h>

int pal__d_poll_open(pal_poll **out, const struct pal_config *config);
int pal__d_poll_close(pal_poll *poll);
int pal__d_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns);
int pal__d_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns);
int pal__d_flush(pal_poll *poll);

/* A try of this thread's has said PAL_EAGAIN. True: it was one of many since the latest wait, the stack has taken a
 * turn, and it may be tried again: who only tries, and never waits, gets on, too. */
bool pal__d_try_again(void);

/* How many polls are open. */
uint32_t pal__d_polls_open(void);

#endif
