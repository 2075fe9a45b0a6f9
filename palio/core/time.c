/* time.c: the backend's monotonic clock, and deadlines from it. */
#include <pal/os.h>
#include <palio/base.h>

uint64_t palio_monotonic_ns(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

palio_deadline palio_after(uint64_t delay_ns)
{
    return palio_deadline_add(palio_deadline_at(palio_monotonic_ns()), delay_ns);
}
