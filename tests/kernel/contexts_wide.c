/* contexts_wide.c: a program that is compiled for more registers than its backend, and merged with it (gcc -flto). The
 * backend's switch cannot name AVX-512's registers; the program must not keep anything in them over it all the same. */
#include <pal/pal.h>

#include "support/test.h"

#include <immintrin.h>

enum { STACK_SIZE = 65536, LANES = 16 };

static struct pal_context host, guest;
static _Alignas(64) int32_t numbers[LANES];

/* Overwrites what only AVX-512 has. */
__attribute__((target("avx512f"), noinline)) static void overwrite(void)
{
    __asm__ volatile("vpxord %%zmm16, %%zmm16, %%zmm16\n\t"
                     "vpxord %%zmm17, %%zmm17, %%zmm17\n\t"
                     "vpxord %%zmm18, %%zmm18, %%zmm18\n\t"
                     "vpxord %%zmm19, %%zmm19, %%zmm19\n\t"
                     "kxorw %%k1, %%k1, %%k1\n\t"
                     "kxorw %%k2, %%k2, %%k2"
                     :
                     :
                     : "xmm16", "xmm17", "xmm18", "xmm19", "k1", "k2");
}

static void overwrite_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        overwrite();
        pal_context_switch(&guest, &host);
    }
}

/* Has a vector and a mask that are needed after the switch. Returns the lanes that are wrong. */
__attribute__((target("avx512f"), noinline)) static int compute(void)
{
    __m512i doubled = _mm512_add_epi32(_mm512_load_si512(numbers), _mm512_load_si512(numbers));
    __mmask16 large = _mm512_cmpgt_epi32_mask(doubled, _mm512_set1_epi32(LANES));
    int wrong = 0;

    pal_context_switch(&host, &guest);
    _mm512_store_si512(numbers, _mm512_mask_add_epi32(doubled, large, doubled, doubled));
    for (int i = 0; i < LANES; i++)
        wrong += numbers[i] != (2 * i > LANES ? 4 * i : 2 * i);
    return wrong;
}

Test(contexts_wide, registers_that_the_backend_does_not_know_survive)
{
    static char stack[STACK_SIZE];

    if (!__builtin_cpu_supports("avx512f"))
        test_skip("avx512", "this CPU does not have it");
    for (int i = 0; i < LANES; i++)
        numbers[i] = i;
    cr_assert_eq(pal_context_make(&guest, stack, sizeof(stack), overwrite_for_ever, NULL), 0);
    cr_assert_eq(compute(), 0);
    pal_context_forget(&guest);
}
