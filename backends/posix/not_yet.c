/* not_yet.c: calls of the seam that kernel backends do not carry yet. Each answers PAL_ENOTSUP with the reason, and
 * changes nothing: a program may ask and go another way. */
#include "../common/machine.h"
#include "../common/refusal.h"
#include <pal/pal.h>

static int not_yet(void)
{
    return pal__refuse(PAL_ENOTSUP, "kernel backends do not carry this call yet");
}

/* ---- signal.h ---- */

int pal_signal_mask(int how, const uint64_t *set, uint64_t *old)
{
    (void)how, (void)set, (void)old;
    return not_yet();
}

int pal_signal_ctl(int what, void *argument, size_t size)
{
    (void)what, (void)argument, (void)size;
    return not_yet();
}
