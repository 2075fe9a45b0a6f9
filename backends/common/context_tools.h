/* context_tools.h: tells AddressSanitizer, ThreadSanitizer and valgrind which stack runs. Nothing in other builds; for
 * valgrind, which needs no build of its own, a few instructions in make and forget.
 *
 * A thread's own context is known to none of them by us: it was never made. ThreadSanitizer tells its fiber whenever it
 * is left; AddressSanitizer tells the bounds of the stack that was left on arrival at the next. */
#ifndef PAL__COMMON_CONTEXT_TOOLS_H
#define PAL__COMMON_CONTEXT_TOOLS_H

#include "poison.h"
#include <pal/context.h>

#if defined(__SANITIZE_THREAD__)
#define TOOLS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TOOLS_TSAN 1
#endif
#endif

#if defined(PAL__ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(TOOLS_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define TOOLS_VALGRIND 1
#endif
#endif

/* What each of them knows a context by, in pal_context.priv. */
enum { TOOLS_FAKE_STACK, TOOLS_FIBER, TOOLS_STACK_NUMBER };

/* Inlined at every level, as the function that switches has to be the one that they see left and entered. */
#define TOOLS_INLINE static inline __attribute__((always_inline))

TOOLS_INLINE void tools_make(struct pal_context *context)
{
#if defined(TOOLS_TSAN)
    context->priv[TOOLS_FIBER] = __tsan_create_fiber(0);
#endif
#if defined(TOOLS_VALGRIND)
    char *stack = context->stack;
    unsigned number = VALGRIND_STACK_REGISTER(stack, stack + context->stack_size);
    context->priv[TOOLS_STACK_NUMBER] = (void *)(uintptr_t)number;
#endif
    (void)context;
}

/* The last before the jump. */
TOOLS_INLINE void tools_leave(struct pal_context *from, struct pal_context *to)
{
#if defined(PAL__ASAN)
    __sanitizer_start_switch_fiber(&from->priv[TOOLS_FAKE_STACK], to->stack, to->stack_size);
#endif
#if defined(TOOLS_TSAN)
    from->priv[TOOLS_FIBER] = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->priv[TOOLS_FIBER], 0);
#endif
    (void)from, (void)to;
}

/* The first after it: self runs again, left does no more. */
TOOLS_INLINE void tools_arrive(struct pal_context *self, struct pal_context *left)
{
#if defined(PAL__ASAN)
    const void *stack;
    __sanitizer_finish_switch_fiber(self->priv[TOOLS_FAKE_STACK], &stack, &left->stack_size);
    left->stack = (void *)(uintptr_t)stack;
#endif
    (void)self, (void)left;
}

#if defined(PAL__ASAN)
/* The sanitizer gives up what it holds of a stack only when that is left for good: so it is visited and left. */
__attribute__((no_sanitize_address)) static inline void tools_leave_for_good(const struct pal_context *context)
{
    void *fake_stack;
    const void *stack;
    size_t stack_size;
    __sanitizer_start_switch_fiber(&fake_stack, context->stack, context->stack_size);
    __sanitizer_finish_switch_fiber(context->priv[TOOLS_FAKE_STACK], &stack, &stack_size);
    __sanitizer_start_switch_fiber(NULL, stack, stack_size);
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
}
#endif

/* Frames that never returned have left their marks on the stack: it becomes ordinary memory again. */
TOOLS_INLINE void tools_forget(struct pal_context *context)
{
#if defined(PAL__ASAN)
    tools_leave_for_good(context);
    UNPOISON(context->stack, context->stack_size);
#endif
#if defined(TOOLS_TSAN)
    __tsan_destroy_fiber(context->priv[TOOLS_FIBER]);
#endif
#if defined(TOOLS_VALGRIND)
    VALGRIND_STACK_DEREGISTER((uintptr_t)context->priv[TOOLS_STACK_NUMBER]);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(context->stack, context->stack_size);
#endif
    (void)context;
}

#endif
