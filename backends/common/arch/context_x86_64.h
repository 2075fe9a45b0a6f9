/* context_x86_64.h: the switch by hand for x86-64 with the System V calling convention.
 *
 * Three words of struct pal_context are all that is saved here: what else a call preserves the compiler saves, because
 * the statement that switches clobbers it. Nothing is pushed, so the red zone stays as it is and unwinders find in each
 * context the frames that the compiler has described. */
#ifndef PAL__COMMON_ARCH_CONTEXT_X86_64_H
#define PAL__COMMON_ARCH_CONTEXT_X86_64_H

#include "context_arch.h"

enum { CONTEXT_STACK_NEED = PAL_CONTEXT_STACK_MIN };

#if defined(__CET__) && (__CET__ & 1)
#define LANDING_PAD "endbr64\n\t"
#define UNTRACKED "notrack "
#else
#define LANDING_PAD
#define UNTRACKED
#endif

#define GENERAL_REGISTERS "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"
/* Those that the backend itself is compiled for. */
#define SSE_REGISTERS                                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",         \
        "xmm13", "xmm14", "xmm15"
#if defined(__AVX512F__)
#define VECTOR_REGISTERS                                                                                               \
    SSE_REGISTERS, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",  \
        "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define VECTOR_REGISTERS SSE_REGISTERS
#endif

#define CONTEXT_IS_OUTERMOST() __asm__ volatile(CALL_FRAME(".cfi_undefined rip"))

/* rdsspq does nothing where there is no shadow stack. */
static inline const char *context_refusal(void)
{
    uint64_t shadow_stack_pointer = 0;
    __asm__ volatile("rdsspq %0" : "+r"(shadow_stack_pointer));
    return shadow_stack_pointer ? "contexts do not work with shadow stacks: start the program without, by "
                                  "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"
                                : NULL;
}

static inline void context_prepare(struct pal_context *out, void *top, context_start *start)
{
    void **return_address = (void **)top - 1;
    *return_address = NULL;
    out->stack_pointer = return_address;
    out->frame_pointer = NULL;
    out->resume = (void *)(uintptr_t)start;
}

/* A place that is jumped to finds the context that it is in the register of a first argument, and who was left in that
 * of a second. */
static inline struct pal_context *context_jump(struct pal_context *from, struct pal_context *to)
{
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rsp, %c[sp](%%rsi)\n\t"
        "movq %%rbp, %c[fp](%%rsi)\n\t"
        "movq %%rax, %c[resume](%%rsi)\n\t"
        "movq %c[sp](%%rdi), %%rsp\n\t"
        "movq %c[fp](%%rdi), %%rbp\n\t"
        "movq $0, %c[sp](%%rdi)\n\t"
        "jmpq *%c[resume](%%rdi)\n"
        "1:\n\t" LANDING_PAD
        : "+D"(to), "+S"(from)
        : [sp] "i"(offsetof(struct pal_context, stack_pointer)), [fp] "i"(offsetof(struct pal_context, frame_pointer)),
          [resume] "i"(offsetof(struct pal_context, resume))
        : GENERAL_REGISTERS, VECTOR_REGISTERS, "cc", "memory");
    return from;
}

/* Returns to the caller's caller by a jump. A `ret` is predicted to go where the latest call came from, and that was in
 * the context that has been left: it is mispredicted at every switch, which costs twice what all else does. A jump is
 * predicted by its own history (decision 0012). Where the compiler makes no tail call of this, it returns as usual. */
__attribute__((naked)) static void context_return(void)
{
    __asm__("popq %rcx\n\t" CALL_FRAME(".cfi_adjust_cfa_offset -8") CALL_FRAME(".cfi_register rip, rcx") UNTRACKED
            "jmpq *%rcx");
}

#undef LANDING_PAD
#undef GENERAL_REGISTERS
#undef SSE_REGISTERS
#undef VECTOR_REGISTERS
#undef UNTRACKED

#endif
