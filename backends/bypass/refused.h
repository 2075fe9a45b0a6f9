/* refused.h: what a thread can ask about a failure that the stack has told.
 *
 * The stack gives reasons by its callback, which is pal__refuse, and not for every failure; so the record is cleared
 * before it is called, and put back after a success: that leaves what the last failure was as it is. */
#ifndef PAL__BYPASS_REFUSED_H
#define PAL__BYPASS_REFUSED_H

#include "../common/refusal.h"

/* Before a call of the stack. Returns what is to be handed to told. */
static inline struct refusal refusal_clear(void)
{
    struct refusal before = pal__refusal;
    pal__refusal = (struct refusal){NULL, 0};
    return before;
}

/* After it: returns result. */
static inline int32_t told(int32_t result, struct refusal before)
{
    if (LIKELY(result >= 0))
        pal__refusal = before;
    else
        pal__refusal.native = -result; /* the stack is this socket's system, and its codes are the seam's */
    return result;
}

#endif
