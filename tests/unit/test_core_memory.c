/* tests/unit/test_core_memory.c: the allocator hook: who is asked, with what, when it may be chosen, and the counts.
 * Every test runs in a process of its own, so each may choose an allocator. */
#include "support/test.h"

#include <signal.h>

#include <pal/os.h>
#include <pal/poll.h>
#include <palio/base.h>
#include <palio/core/memory.h>

enum { ARENA_SIZE = 1 << 22 };

static _Alignas(4096) unsigned char arena[ARENA_SIZE];

struct witness {
    size_t used; /* bytes of the arena */
    size_t last_size, last_alignment, last_free_size;
    int alloc_count, free_count;
    bool is_empty;
};

static void *witness_alloc(void *context, size_t size, size_t alignment)
{
    struct witness *witness = context;
    size_t start = (witness->used + alignment - 1) & ~(alignment - 1);

    witness->alloc_count++;
    witness->last_size = size;
    witness->last_alignment = alignment;
    if (witness->is_empty || size > ARENA_SIZE - start)
        return NULL;
    witness->used = start + size;
    return arena + start;
}

static void witness_free(void *context, void *memory, size_t size)
{
    struct witness *witness = context;

    (void)memory;
    witness->free_count++;
    witness->last_free_size = size;
}

static palio_allocator allocator_of(struct witness *witness)
{
    palio_allocator allocator = {witness_alloc, witness_free, witness};

    return allocator;
}

Test(core_memory, default_memory_is_aligned_and_whole)
{
    for (size_t alignment = 1; alignment <= 8192; alignment *= 2) {
        for (size_t size = 1; size <= 5000; size = size * 3 + 1) {
            unsigned char *memory = palio__alloc(size, alignment);

            cr_assert_not_null(memory);
            cr_assert_eq((uintptr_t)memory % alignment, 0);
            memset(memory, 0xa5, size);
            palio__free(memory, size, alignment);
        }
    }
    cr_assert_eq(palio__memory_counts().used_size, 0);
}

Test(core_memory, counts_follow_what_is_taken_and_given_back)
{
    struct palio__memory_counts before = palio__memory_counts(), now;
    void *small = palio__alloc(10, 1), *large = palio__alloc(1000, 64);

    now = palio__memory_counts();
    cr_assert_eq(now.alloc_count - before.alloc_count, 2);
    cr_assert_eq(now.used_size - before.used_size, 1010);
    palio__free(small, 10, 1);
    palio__free(large, 1000, 64);
    palio__free(NULL, 5, 1);
    now = palio__memory_counts();
    cr_assert_eq(now.free_count - before.free_count, 2);
    cr_assert_eq(now.used_size, before.used_size);
}

Test(core_memory, room_for_alignment_does_not_overflow)
{
    cr_assert_null(palio__alloc(SIZE_MAX - 64, 4096));
    cr_assert_eq(palio__memory_counts().alloc_count, 0);
}

Test(core_memory, programs_allocator_sees_context_size_and_alignment)
{
    struct witness witness = {0};
    palio_allocator allocator = allocator_of(&witness);
    int allocs, frees;
    void *memory;

    cr_assert_eq(palio_set_allocator(&allocator), 0);
    memset(&allocator, 0, sizeof(allocator)); /* it is copied */
    allocs = witness.alloc_count;
    frees = witness.free_count;
    memory = palio__alloc(300, 128);
    cr_assert(memory >= (void *)arena && memory < (void *)(arena + ARENA_SIZE));
    cr_assert_eq(witness.alloc_count, allocs + 1);
    cr_assert_eq(witness.last_size, 300);
    cr_assert_eq(witness.last_alignment, 128);
    palio__free(memory, 300, 128);
    palio__free(NULL, 300, 128);
    cr_assert_eq(witness.free_count, frees + 1);
    cr_assert_eq(witness.last_free_size, 300);
}

Test(core_memory, seam_gets_the_allocator_too)
{
    struct witness witness = {0};
    palio_allocator allocator = allocator_of(&witness);
    pal_poll *poll = NULL;

    cr_assert_eq(palio_set_allocator(&allocator), 0);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    cr_assert_gt(witness.alloc_count, 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert_gt(witness.free_count, 0);
}

Test(core_memory, program_may_have_set_the_seam_up_itself)
{
    struct witness witness = {0};
    palio_allocator allocator = allocator_of(&witness);

    cr_assert_eq(pal_setup(NULL), 0);
    cr_assert_eq(palio_set_allocator(&allocator), 0);
    palio__free(palio__alloc(8, 8), 8, 8);
    cr_assert_eq(witness.alloc_count, 1);
    cr_assert_eq(witness.free_count, 1);
}

Test(core_memory, refusal_of_the_allocator_is_passed_on_uncounted)
{
    struct witness witness = {0};
    palio_allocator allocator = allocator_of(&witness);

    cr_assert_eq(palio_set_allocator(&allocator), 0);
    witness.is_empty = true;
    cr_assert_null(palio__alloc(8, 8));
    cr_assert_eq(palio__memory_counts().alloc_count, 0);
}

Test(core_memory, allocator_is_chosen_once)
{
    struct witness witness = {0}, other = {0};
    palio_allocator allocator = allocator_of(&witness), second = allocator_of(&other);

    cr_assert_eq(palio_set_allocator(&allocator), 0);
    cr_assert_eq(palio_set_allocator(&second), PALIO_EBUSY);
    cr_assert_eq(palio_set_allocator(NULL), PALIO_EBUSY);
    cr_assert_str_eq(palio_last_error()->operation, "set_allocator");
    cr_assert_str_neq(palio_last_error()->remedy, "");
    palio__free(palio__alloc(8, 8), 8, 8);
    cr_assert_eq(other.alloc_count, 0);
}

Test(core_memory, allocator_comes_before_the_first_memory)
{
    struct witness witness = {0};
    palio_allocator allocator = allocator_of(&witness);
    void *memory = palio__alloc(8, 8);

    cr_assert_eq(palio_set_allocator(&allocator), PALIO_EBUSY);
    palio__free(memory, 8, 8);
    cr_assert_eq(palio_set_allocator(&allocator), PALIO_EBUSY, "also when it has been given back");
    cr_assert_eq(witness.free_count, 0);
}

Test(core_memory, half_an_allocator_is_refused)
{
    struct witness witness = {0};
    palio_allocator no_alloc = allocator_of(&witness), no_free = no_alloc;

    no_alloc.alloc = NULL;
    no_free.free = NULL;
    cr_assert_eq(palio_set_allocator(&no_alloc), PALIO_EINVAL);
    cr_assert_eq(palio_set_allocator(&no_free), PALIO_EINVAL);
    cr_assert_eq(palio_set_allocator(NULL), 0, "a refusal leaves the choice open");
}

Test(core_memory, empty_allocation_is_a_programmers_error, .signal = SIGABRT)
{
    (void)palio__alloc(0, 8);
}

Test(core_memory, odd_alignment_is_a_programmers_error, .signal = SIGABRT)
{
    (void)palio__alloc(8, 24);
}

Test(core_memory, giving_back_too_much_is_a_programmers_error, .signal = SIGABRT)
{
    palio__free(palio__alloc(8, 8), 9, 8);
}
