/* context_arch.h: what the context switch of a CPU is made of; ../context.c includes one header that defines it:
 *
 * context_jump(from, to)            goes on in to; returns when somebody jumps back to from: who that was. A context
 *                                   that runs has no stack_pointer
 * context_prepare(out, top, start)  lets the first jump to out begin start(out, who was left) on the stack that ends at
 *                                   top, a multiple of 16, as if it had been called from nowhere
 * context_refusal()                 why there can be no contexts, or NULL
 * context_return()                  called last by the function that has jumped
 * CONTEXT_IS_OUTERMOST()            in start: tells unwinders that it has no caller
 * CONTEXT_STACK_NEED                the smallest stack, in bytes
 */
#ifndef PAL__COMMON_ARCH_CONTEXT_ARCH_H
#define PAL__COMMON_ARCH_CONTEXT_ARCH_H

#include <pal/context.h>

/* A directive about call frames, for a statement of assembly, where the compiler writes such directives itself. */
#if defined(__GCC_HAVE_DWARF2_CFI_ASM)
#define CALL_FRAME(directive) directive "\n\t"
#else
#define CALL_FRAME(directive) ""
#endif

typedef void context_start(struct pal_context *self, struct pal_context *left);

#endif
