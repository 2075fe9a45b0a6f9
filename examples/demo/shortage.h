/* examples/demo/shortage.h: opening things in a world that runs short of memory and handles at times, and recovers. */
#ifndef DEMO_SHORTAGE_H
#define DEMO_SHORTAGE_H

#include <pal/poll.h>
#include <stdbool.h>

/* Whether the code says that there is no room now, as there may be later. */
bool is_shortage(int code);

/* pal_poll_open and pal_sock_open, tried again a millisecond later after a shortage, until until_ns of the monotonic
 * clock: then its code. They sleep in between. Any thread. */
int open_poll(uint64_t until_ns, pal_poll **out);
int open_sock(pal_poll *poll, int family, int type, uint64_t until_ns, pal_sock *out);

#endif
