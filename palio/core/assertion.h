/* palio/core/assertion.h: how the upper layers stop a program that broke one of their rules.
 *
 * For programmer errors only; on in release builds, at the cost of a compare and a branch. What the world does wrong is
 * returned as a code. */
#ifndef PALIO_CORE_ASSERTION_H
#define PALIO_CORE_ASSERTION_H

#include <pal/os.h>

/* what, a string literal, says who broke which rule: "palio_fail: the code of a failure is negative". */
#define PALIO__ASSERT(condition, what) ((condition) ? (void)0 : pal_fatal("" what))

#endif
