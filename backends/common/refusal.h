/* refusal.h: what a thread can ask about its last failure: the system's code, and why it was
 * refused (decision 0008). */
#ifndef PAL__COMMON_REFUSAL_H
#define PAL__COMMON_REFUSAL_H

#include "rule.h"
#include <pal/error.h>
#include <stdint.h>

struct refusal {
    const char *reason; /* static text; NULL: nothing to say */
    int32_t native;     /* errno and the like; 0: the seam refused by itself */
};
extern _Thread_local struct refusal pal__refusal __attribute__((tls_model("initial-exec")));

/* The seam refuses: remembers the reason and returns code. */
COLD int pal__refuse(int code, const char *reason);

/* The system failed with a negative PAL_E*, which on Linux is its own code: remembers that and returns it. */
COLD int pal__failed(long code);

#ifdef __clang_analyzer__ /* it looks at one file alone, and must know that what is refused is no success */
#define pal__refuse(code, reason) ((void)(reason), (code))
#define pal__failed(code) ((int)(code))
#endif

#endif
