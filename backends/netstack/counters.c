/* counters.c: the names of the counters, in the order of their enumeration. */
#include "counters.h"

#include <stddef.h>

const char *pal__n_counter_name(int counter)
{
    static const char *const names[COUNTERS] = {
#define NETSTACK_COUNTER_NAME_(name, text) #name,
        NETSTACK_COUNTERS(NETSTACK_COUNTER_NAME_)
#undef NETSTACK_COUNTER_NAME_
    };

    return counter >= 0 && counter < COUNTERS ? names[counter] : NULL;
}
