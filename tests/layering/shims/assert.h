/* ISO C's <assert.h>, for examples: the library asserts by means of its own. For check_freestanding.py only. */
#ifndef SHIMS_ASSERT_H
#define SHIMS_ASSERT_H

#define static_assert _Static_assert
#define assert(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
