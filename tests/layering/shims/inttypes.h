/* The macros of ISO C's <inttypes.h> that code above the seam may use. For check_freestanding.py only, right for the
 * compiler's own idea of its types. */
#ifndef SHIMS_INTTYPES_H
#define SHIMS_INTTYPES_H

#include <stdint.h>

#if __INT64_MAX__ == __LONG_MAX__
#define SHIM_64 "l"
#else
#define SHIM_64 "ll"
#endif

#define PRId8 "d"
#define PRIu8 "u"
#define PRIx8 "x"
#define PRId16 "d"
#define PRIu16 "u"
#define PRIx16 "x"
#define PRId32 "d"
#define PRIu32 "u"
#define PRIx32 "x"
#define PRId64 SHIM_64 "d"
#define PRIi64 SHIM_64 "i"
#define PRIu64 SHIM_64 "u"
#define PRIx64 SHIM_64 "x"
#define PRIX64 SHIM_64 "X"
#define SCNu64 SHIM_64 "u"
#define SCNx64 SHIM_64 "x"

#endif
