/* rule.h: how the seam stops a program that broke one of its rules (docs/seam.md), and the branch hints of hot paths.
 *
 * RULE is for programmer errors only: it stays on in release builds, costs a compare and a branch, and names the rule.
 * What the world does wrong is returned as a PAL_E* code, never asserted. */
#ifndef PAL__COMMON_RULE_H
#define PAL__COMMON_RULE_H

#include <pal/os.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define COLD __attribute__((cold, noinline))

#define RULE(number, condition, what)                                                                                  \
    do {                                                                                                               \
        if (!LIKELY(condition))                                                                                        \
            pal_fatal("seam rule " #number " broken: " what);                                                          \
    } while (0)

/* A number of the seam is the system's own, so that no table is needed. */
#define SAME_NUMBER(ours, systems) _Static_assert((int)(ours) == (int)(systems), #ours " is " #systems)

#endif
