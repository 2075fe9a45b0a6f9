/* not_yet.c: the parts of the seam that kernel backends do not carry yet. Until they do, each call answers PAL_ENOTSUP
 * with a reason and changes nothing. Files that test the real thing replace this one. */
#include "conformance.h"

#define expect_not_yet(call)                                                                                           \
    do {                                                                                                               \
        cr_expect_eq((int)(call), PAL_ENOTSUP, "%s", #call);                                                           \
        cr_expect_str_neq(pal_reason(), "", "%s: no reason", #call);                                                   \
    } while (0)

Test(not_yet, signal_masks_and_timers)
{
    uint64_t set = 0;

    expect_not_yet(pal_signal_mask(PAL_SIGNAL_SET, NULL, &set));
    expect_not_yet(pal_signal_ctl(PAL_SIGNAL_PENDING, &set, sizeof(set)));
}
