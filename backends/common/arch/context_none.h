/* context_none.h: no switch by hand for this CPU, and none in the C library. */
#ifndef PAL__COMMON_ARCH_CONTEXT_NONE_H
#define PAL__COMMON_ARCH_CONTEXT_NONE_H

#include "context_arch.h"
#include <pal/os.h>

enum { CONTEXT_STACK_NEED = PAL_CONTEXT_STACK_MIN };

#define CONTEXT_IS_OUTERMOST() ((void)0)

static inline const char *context_refusal(void)
{
    return "there is no context switch for this CPU, and the C library has no ucontext: write backends/common/arch/";
}

static inline void context_prepare(struct pal_context *out, void *top, context_start *start)
{
    (void)out, (void)top, (void)start;
}

static inline struct pal_context *context_jump(struct pal_context *from, struct pal_context *to)
{
    (void)from, (void)to;
    pal_fatal("pal_context_switch without a context: pal_context_make has refused");
}

static inline void context_return(void)
{
}

#endif
