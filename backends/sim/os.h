/* os.h: clocks, and what is left of the system's own, in the simulated world: what pal_* of the same name does. */
#ifndef PAL__SIM_OS_H
#define PAL__SIM_OS_H

#include <pal/pal.h>

struct host;

int pal__s_setup(const struct pal_setup *setup);
const struct pal_backend *pal__s_backend_info(void);
uint64_t pal__s_clock(int which);
void pal__s_clock_begin(void); /* of a new world: nobody has looked yet */

/* What PAL_CLOCK_REAL of a host says at a monotonic time. */
uint64_t pal__s_real(const struct host *host, uint64_t monotonic_ns);
int pal__s_ctl(pal_poll *poll, int key, void *value, size_t size);

#endif
