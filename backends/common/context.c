/* context.c: stackful contexts, but for the switch itself, which is the CPU's (arch/), and what tools are told of it
 * (context_tools.h). Knows no backend and no operating system. */
#include "context.h"
#include "context_tools.h"
#include "refusal.h"

#if defined(PAL_CONTEXT_UCONTEXT) /* for tests: what other CPUs get */
#include "arch/context_ucontext.h"
#elif defined(__x86_64__) && !defined(__ILP32__) && !defined(_WIN32)
#include "arch/context_x86_64.h"
#elif defined(__aarch64__) && !defined(__ILP32__) && !defined(_WIN32)
#include "arch/context_aarch64.h"
#elif defined(__GLIBC__)
#include "arch/context_ucontext.h"
#else
#include "arch/context_none.h"
#endif

#if defined(__clang__)
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

_Static_assert((int)CONTEXT_STACK_NEED >= (int)PAL_CONTEXT_STACK_MIN, "more may be needed, not less");

/* At the upper end of each stack. */
struct entry {
    void (*function)(void *);
    void *arg;
};

static struct entry *entry_of(const struct pal_context *context)
{
    uintptr_t end = (uintptr_t)context->stack + context->stack_size;
    return (struct entry *)((end - sizeof(struct entry)) & ~(uintptr_t)15);
}

static _Noreturn void start(struct pal_context *self, struct pal_context *left)
{
    CONTEXT_IS_OUTERMOST();
    tools_arrive(self, left);
    const struct entry *entry = entry_of(self);
    entry->function(entry->arg);
    pal_fatal("the function of a context returned: its last act has to be a pal_context_switch elsewhere");
}

int pal__context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg)
{
    const char *refusal = context_refusal();
    if (refusal)
        return pal__refuse(PAL_ENOTSUP, refusal);
    if (!out || !stack || !function)
        return pal__refuse(PAL_EINVAL, "pal_context_make needs room for the context, a stack and a function");
    if (size < CONTEXT_STACK_NEED)
        return pal__refuse(PAL_EINVAL, "the stack is too small: give at least PAL_CONTEXT_STACK_MIN bytes, and more "
                                       "where contexts are the C library's (docs/backends.md)");
    if (size > UINTPTR_MAX - (uintptr_t)stack)
        return pal__refuse(PAL_EINVAL, "the stack goes beyond the end of memory: check its address and size");
    *out = (struct pal_context){.stack = stack, .stack_size = size};
    struct entry *entry = entry_of(out);
    *entry = (struct entry){.function = function, .arg = arg};
    context_prepare(out, entry, start);
    tools_make(out);
    return 0;
}

/* Opaque: to its callers it has to be a call of which nothing is known. A program may be compiled for registers that
 * the backend was not (AVX-512's, SVE's). A call may change them, but no clobber here can name them: were the switch
 * inlined by a merged link, or what it changes looked up, values would be kept in them over it. */
OPAQUE void pal__context_switch(struct pal_context *from, struct pal_context *to)
{
    if (UNLIKELY(!to->stack_pointer))
        pal_fatal("pal_context_switch to a context that runs already, was never made, or was forgotten");
    tools_leave(from, to);
    struct pal_context *left = context_jump(from, to);
    tools_arrive(from, left);
    context_return();
}

void pal__context_forget(struct pal_context *context)
{
    if (!context->stack_pointer)
        pal_fatal("pal_context_forget of a context that runs, was never made, or was forgotten");
    tools_forget(context);
    context->stack_pointer = NULL;
}
