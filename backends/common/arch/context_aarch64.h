/* context_aarch64.h: the switch by hand for aarch64 with its standard calling convention.
 *
 * Three words of struct pal_context are all that is saved here: what else a call preserves the compiler saves, because
 * the statement that switches clobbers it. Nothing is pushed, so unwinders find in each context the frames that the
 * compiler has described. */
#ifndef PAL__COMMON_ARCH_CONTEXT_AARCH64_H
#define PAL__COMMON_ARCH_CONTEXT_AARCH64_H

#include "context_arch.h"

enum { CONTEXT_STACK_NEED = PAL_CONTEXT_STACK_MIN };

#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define LANDING_PAD "hint 36\n\t" /* bti j */
#else
#define LANDING_PAD
#endif

#define CONTEXT_IS_OUTERMOST() __asm__ volatile(CALL_FRAME(".cfi_undefined x30"))

_Static_assert(offsetof(struct pal_context, frame_pointer) == offsetof(struct pal_context, stack_pointer) + 8,
               "the two are stored and loaded as a pair");

/* chkfeat (hint 40) clears the bits of x16 whose feature is on; older CPUs do nothing. Bit 0: guarded control stack. */
static inline const char *context_refusal(void)
{
    register uint64_t features __asm__("x16") = 1;
    __asm__ volatile("hint 40" : "+r"(features));
    return features ? NULL
                    : "contexts do not work with guarded control stacks: start the program without, by "
                      "GLIBC_TUNABLES=glibc.cpu.aarch64_gcs=0";
}

static inline void context_prepare(struct pal_context *out, void *top, context_start *start)
{
    out->stack_pointer = top;
    out->frame_pointer = NULL;
    out->resume = (void *)(uintptr_t)start;
}

#define GENERAL_REGISTERS                                                                                              \
    "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",     \
        "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30"
#define VECTOR_REGISTERS                                                                                               \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",       \
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

/* A place that is jumped to finds the context that it is in the register of a first argument, who was left in that of a
 * second, and no return address. The jump is by x16, which may land on the `bti c` that a function begins with. */
static inline struct pal_context *context_jump(struct pal_context *from, struct pal_context *to)
{
    register struct pal_context *self __asm__("x0") = to;
    register struct pal_context *left __asm__("x1") = from;
    __asm__ volatile(
        "adr x16, 1f\n\t"
        "mov x17, sp\n\t"
        "stp x17, x29, [x1, %[sp]]\n\t"
        "str x16, [x1, %[resume]]\n\t"
        "ldp x17, x29, [x0, %[sp]]\n\t"
        "ldr x16, [x0, %[resume]]\n\t"
        "str xzr, [x0, %[sp]]\n\t"
        "mov sp, x17\n\t"
        "mov x30, xzr\n\t"
        "br x16\n"
        "1:\n\t" LANDING_PAD
        : "+r"(self), "+r"(left)
        : [sp] "i"(offsetof(struct pal_context, stack_pointer)), [resume] "i"(offsetof(struct pal_context, resume))
        : GENERAL_REGISTERS, VECTOR_REGISTERS, "cc", "memory");
    return left;
}

/* The compiler's own return: a function without prologue, to return by a jump from, is not to be had of gcc here. */
static inline void context_return(void)
{
}

#undef LANDING_PAD
#undef GENERAL_REGISTERS
#undef VECTOR_REGISTERS

#endif
