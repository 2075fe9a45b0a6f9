/* test_context_ucontext.c: contexts by the C library's ucontext, which is what CPUs get that have no switch by hand.
 * On such a CPU the conformance suite tests them in full; this tests, on any, what is the fallback's own. */
#define PAL_CONTEXT_UCONTEXT
#include "../../backends/common/context.c" /* NOLINT(bugprone-suspicious-include): another one than in the backends */

#include "support/test.h"

#include <signal.h>

enum { STACK_SIZE = 65536 };

static struct pal_context host, guest, other;
static char guest_stack[STACK_SIZE], other_stack[STACK_SIZE];
static const char *fatal_text;
static int turns; /* of a guest that counts them */

/* Of the seam, what contexts stand on. */
_Noreturn void pal_fatal(const char *why)
{
    fatal_text = why;
    pal__context_switch(&guest, &host);
    abort();
}

static void make(struct pal_context *context, char *stack, void (*function)(void *), void *arg)
{
    cr_assert_eq(pal__context_make(context, stack, STACK_SIZE, function, arg), 0, "%s", pal__refusal.reason);
}

static void take_turns(void *arg)
{
    for (int *count = arg;; ++*count)
        pal__context_switch(&guest, &host);
}

Test(context_ucontext, goes_there_and_back)
{
    make(&guest, guest_stack, take_turns, &turns);
    for (int i = 0; i < 1000; i++) {
        pal__context_switch(&host, &guest);
        cr_assert_eq(turns, i);
    }
    pal__context_forget(&guest);
}

static void visit_the_other(void *arg)
{
    (void)arg;
    for (int i = 0; i < 99; i++)
        pal__context_switch(&guest, &other);
    pal__context_switch(&guest, &host);
}

static void count_visits(void *arg)
{
    for (int *count = arg;;) {
        ++*count;
        pal__context_switch(&other, &guest);
    }
}

Test(context_ucontext, contexts_switch_without_the_main_one)
{
    make(&guest, guest_stack, visit_the_other, NULL);
    make(&other, other_stack, count_visits, &turns);
    pal__context_switch(&host, &guest);
    cr_assert_eq(turns, 99);
    pal__context_forget(&guest);
    pal__context_forget(&other);
}

Test(context_ucontext, a_stack_serves_one_context_after_another)
{
    for (int i = 0; i < 1000; i++) {
        int count = 7;

        make(&guest, guest_stack, take_turns, &count);
        pal__context_switch(&host, &guest);
        pal__context_switch(&host, &guest);
        cr_assert_eq(count, 8);
        pal__context_forget(&guest);
        memset(guest_stack, i & 0x7f, sizeof(guest_stack));
    }
}

/* The two halves in which makecontext passes an address are put together again. */
static void note(void *arg)
{
    *(void **)arg = arg;
    pal__context_switch(&guest, &host);
}

Test(context_ucontext, the_argument_arrives_whole)
{
    void *seen = NULL;

    make(&guest, guest_stack, note, &seen);
    pal__context_switch(&host, &guest);
    cr_assert_eq(seen, (void *)&seen);
    pal__context_forget(&guest);
}

static bool is_blocked(int number)
{
    sigset_t set;

    return pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, number) == 1;
}

static void change_mask(int how)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR2);
    (void)pthread_sigmask(how, &set, NULL);
}

static void block_then_look(void *arg)
{
    change_mask(SIG_BLOCK);
    pal__context_switch(&guest, &host);
    *(bool *)arg = is_blocked(SIGUSR2);
    pal__context_switch(&guest, &host);
}

Test(context_ucontext, the_signal_mask_stays_the_threads)
{
    bool blocked = true;

    make(&guest, guest_stack, block_then_look, &blocked);
    pal__context_switch(&host, &guest);
    cr_assert(is_blocked(SIGUSR2));
    change_mask(SIG_UNBLOCK);
    pal__context_switch(&host, &guest);
    cr_assert_not(blocked);
    cr_assert_not(is_blocked(SIGUSR2));
    pal__context_forget(&guest);
}

Test(context_ucontext, a_stack_without_room_for_two_register_sets_is_refused)
{
    cr_assert_eq(pal__context_make(&guest, guest_stack, CONTEXT_STACK_NEED - 1, take_turns, &turns), PAL_EINVAL);
    cr_assert_str_neq(pal__refusal.reason, "");
    cr_assert(CONTEXT_STACK_NEED >= 2 * sizeof(ucontext_t));
}

static void return_at_once(void *arg)
{
    (void)arg;
}

Test(context_ucontext, a_function_that_returns_is_fatal)
{
    make(&guest, guest_stack, return_at_once, NULL);
    pal__context_switch(&host, &guest);
    cr_assert_not_null(fatal_text);
    cr_assert_not_null(strstr(fatal_text, "returned"), "%s", fatal_text);
    pal__context_forget(&guest);
}
