/* context_ucontext.h: the switch by the C library's ucontext, for CPUs that have none written by hand.
 *
 * A context that does not run has a ucontext_t on its own stack. A switch makes two system calls: one is the library's,
 * which keeps a signal mask for each context; the other, before it, makes that the thread's again. */
#ifndef PAL__COMMON_ARCH_CONTEXT_UCONTEXT_H
#define PAL__COMMON_ARCH_CONTEXT_UCONTEXT_H

#include "context_arch.h"
#include <pal/os.h>
#include <signal.h>
#include <ucontext.h>

enum {
    CONTEXT_STACK_USED = 2 * sizeof(ucontext_t) + 1024,
    CONTEXT_STACK_NEED =
        (int)CONTEXT_STACK_USED > (int)PAL_CONTEXT_STACK_MIN ? (int)CONTEXT_STACK_USED : (int)PAL_CONTEXT_STACK_MIN
};

#define CONTEXT_IS_OUTERMOST() ((void)0) /* the library's own function beneath it is */

static inline const char *context_refusal(void)
{
    return NULL;
}

/* Who is left waits in the resume of who is jumped to. */
static inline struct pal_context *context_jump(struct pal_context *from, struct pal_context *to)
{
    ucontext_t here, *there = to->stack_pointer;
    from->stack_pointer = &here;
    to->stack_pointer = NULL;
    to->resume = from;
    if (pthread_sigmask(SIG_BLOCK, NULL, &there->uc_sigmask) || swapcontext(&here, there))
        pal_fatal("pal_context_switch: swapcontext has failed");
    /* NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): whoever jumped here has cleared stack_pointer */
    return from->resume;
}

/* makecontext passes integers, so the address comes in halves. */
static inline void context_begin(unsigned high, unsigned low)
{
    struct pal_context *self = (struct pal_context *)((uintptr_t)((uint64_t)high << 32) | low);
    context_start *start = (context_start *)(uintptr_t)self->frame_pointer;
    start(self, self->resume);
}

static inline void context_prepare(struct pal_context *out, void *top, context_start *start)
{
    const uint64_t self = (uintptr_t)out;
    ucontext_t *there = (ucontext_t *)(((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)15);
    if (getcontext(there))
        pal_fatal("pal_context_make: getcontext has failed");
    there->uc_stack.ss_sp = out->stack;
    there->uc_stack.ss_size = (size_t)((char *)there - (char *)out->stack);
    there->uc_link = NULL;
    makecontext(there, (void (*)(void))(uintptr_t)context_begin, 2, (unsigned)(self >> 32), (unsigned)self);
    out->stack_pointer = there;
    out->frame_pointer = (void *)(uintptr_t)start;
}

static inline void context_return(void)
{
}

#endif
