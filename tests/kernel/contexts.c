/* contexts.c: what of contexts only shows beside the system: the guard page that an overflow hits, system calls,
 * signals that arrive in the midst of switches, the signal mask, and where unwinding ends. */
#include "kernel.h"
#include "support/sanitizers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unwind.h>

enum { STACK_SIZE = 65536, PAGE_SIZE_MAX = 65536 };

static struct pal_context host, guest;
static char guest_stack[STACK_SIZE];

static void open_guest(void (*function)(void *), void *arg)
{
    int result = pal_context_make(&guest, guest_stack, sizeof(guest_stack), function, arg);

    if (result == PAL_ENOTSUP)
        test_skip("contexts", "this platform has none");
    assert_error(result, 0);
}

static void visit(void)
{
    pal_context_switch(&host, &guest);
}

static void go_back(void)
{
    pal_context_switch(&guest, &host);
}

/* ---- overflow ---- */

/* Writes at least 256 bytes of stack a level; ends by itself at the last. */
static int consume(int levels)
{
    volatile char array[256];

    for (size_t i = 0; i < sizeof(array); i++)
        array[i] = (char)levels;
    return levels > 0 ? consume(levels - 1) + array[levels % 256] : 0;
}

static void overflow(void *arg)
{
    *(int *)arg = consume(3 * STACK_SIZE / 2 / 256);
    go_back();
}

/* Beneath the stack its guard, and beneath the guard as much again, so that only the guard can end the recursion. */
Test(contexts, an_overflow_ends_at_the_guard_page, .signal = SIGSEGV)
{
    size_t guard_size = PAGE_SIZE_MAX;
    int seen = 0;
    char *memory = mmap(NULL, 4 * STACK_SIZE + guard_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *guard = memory + 3 * STACK_SIZE;

    cr_assert(memory != MAP_FAILED);
    cr_assert_eq(mprotect(guard, guard_size, PROT_NONE), 0);
    assert_error(pal_context_make(&guest, guard + guard_size, STACK_SIZE, overflow, &seen), 0);
    visit();
    cr_log_error("%d bytes beneath the stack went unnoticed", seen);
}

/* ---- system calls ---- */

static void wander(void *arg)
{
    (void)arg;
    for (;;)
        go_back();
}

static void make_switch_forget(void *arg)
{
    (void)arg;
    syscount_begin();
    for (int i = 0; i < 10; i++) {
        must(pal_context_make(&guest, guest_stack, sizeof(guest_stack), wander, NULL) == 0);
        for (int j = 0; j < 10; j++)
            visit();
        pal_context_forget(&guest);
    }
    syscount_end();
}

Test(contexts, by_hand_none_of_the_three_is_a_system_call)
{
#if defined(__x86_64__) && !defined(__ILP32__) || defined(__aarch64__) && !defined(__ILP32__)
    cr_assert_eq(calls_of(make_switch_forget, NULL).total, 0);
#else
    (void)make_switch_forget;
    test_skip("context-by-hand", "this CPU's switch is the C library's");
#endif
}

/* ---- signals ---- */

enum { SIGNALS = 2000 };

static _Atomic int signals_handled, signals_done;

static void handle(int number)
{
    (void)number;
    atomic_fetch_add(&signals_handled, 1);
}

static void *send_signals(void *arg)
{
    const pthread_t *target = arg;

    for (int i = 0; i < SIGNALS; i++) {
        (void)pthread_kill(*target, SIGUSR1);
        while (atomic_load(&signals_handled) <= i)
            sched_yield();
    }
    atomic_store(&signals_done, 1);
    return NULL;
}

static void count(void *arg)
{
    for (uint64_t *turns = arg;; ++*turns)
        go_back();
}

Test(contexts, a_signal_may_arrive_at_any_instruction_of_a_switch)
{
    pthread_t self = pthread_self(), sender;
    uint64_t visits = 0, turns = 0;

#if defined(SANITIZER_THREAD)
    test_skip("plain-build", "ThreadSanitizer holds signals back");
#endif
    open_guest(count, &turns);
    cr_assert(signal(SIGUSR1, handle) != SIG_ERR);
    cr_assert_eq(pthread_create(&sender, NULL, send_signals, &self), 0);
    while (!atomic_load(&signals_done)) {
        visit();
        cr_assert_eq(turns, visits);
        visits++;
    }
    cr_assert_eq(pthread_join(sender, NULL), 0);
    cr_assert_eq(atomic_load(&signals_handled), SIGNALS);
    pal_context_forget(&guest);
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
    go_back();
    *(bool *)arg = is_blocked(SIGUSR2);
    go_back();
}

Test(contexts, the_signal_mask_is_the_threads)
{
    bool blocked = true;

    open_guest(block_then_look, &blocked);
    cr_assert_not(is_blocked(SIGUSR2));
    visit();
    cr_assert(is_blocked(SIGUSR2), "the switch has brought the host's back");
    change_mask(SIG_UNBLOCK);
    visit();
    cr_assert_not(blocked, "the switch has brought the context's back");
    cr_assert_not(is_blocked(SIGUSR2));
    pal_context_forget(&guest);
}

/* ---- unwinding ---- */

#ifdef WITHOUT_UNWINDER
Test(contexts, unwinding_ends_with_the_first_frame_of_a_context)
{
    test_skip("unwinder", "the compiler has none for this C library");
}
#else

enum { FRAMES_MAX = 64 };

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *frame, void *arg)
{
    int *frames = arg;

    (void)frame;
    return ++*frames < FRAMES_MAX ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

struct trace {
    _Unwind_Reason_Code end;
    int frames;
};

static void unwind(void *arg)
{
    struct trace *trace = arg;

    trace->end = _Unwind_Backtrace(count_frame, &trace->frames);
    go_back();
}

Test(contexts, unwinding_ends_with_the_first_frame_of_a_context)
{
    struct trace trace = {_URC_NO_REASON, 0};

    open_guest(unwind, &trace);
    visit();
    cr_assert_eq(trace.end, _URC_END_OF_STACK, "unwinding ended with %d after %d frames", (int)trace.end, trace.frames);
    cr_assert(trace.frames >= 2 && trace.frames <= 6, "%d frames: the function, what called it, and few more",
              trace.frames);
    pal_context_forget(&guest);
}
#endif
