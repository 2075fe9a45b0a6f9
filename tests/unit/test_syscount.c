/*
 * Tests of support/syscount.h: what is counted, what is not, and how a failing body is told from a forbidden trace.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "support/sanitizers.h"
#include "support/syscount.h"
#include "support/test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct syscount count;

static void run(void (*body)(void *), void *arg)
{
    enum syscount_result result = syscount_run(body, arg, &count);
    if (result == SYSCOUNT_NOT_PERMITTED) {
        test_skip("ptrace", "tracing a child is not permitted");
    }
    cr_assert_eq(result, SYSCOUNT_OK, "wait status 0x%x", (unsigned)count.status);
}

static void call_getppid(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        (void)syscall(SYS_getppid);
    }
}

static void empty_region(void *arg)
{
    (void)arg;
    syscount_begin();
    syscount_end();
}

Test(syscount, an_empty_region_counts_nothing)
{
    run(empty_region, NULL);
    cr_expect_eq(count.total, 0);
}

static void calls_around_region(void *arg)
{
    call_getppid(5);
    syscount_begin();
    call_getppid(*(unsigned *)arg);
    syscount_end();
    call_getppid(7);
}

Test(syscount, only_calls_inside_the_region_count)
{
    unsigned times = 3;
    run(calls_around_region, &times);
    cr_expect_eq(count.by_number[SYS_getppid], 3);
    cr_expect_eq(count.total, 3);
    cr_expect_eq(count.other, 0);
}

static void two_regions(void *arg)
{
    calls_around_region(arg);
    calls_around_region(arg);
}

Test(syscount, regions_add_up)
{
    unsigned times = 2;
    run(two_regions, &times);
    cr_expect_eq(count.total, 4);
}

#if defined(__x86_64__)
static void inline_getppid(void)
{
    long result = SYS_getppid;
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
}
#elif defined(__aarch64__)
static void inline_getppid(void)
{
    register long number __asm__("x8") = SYS_getppid;
    register long result __asm__("x0");
    __asm__ volatile("svc 0" : "=r"(result) : "r"(number) : "memory");
}
#else
static void inline_getppid(void)
{
    (void)syscall(SYS_getppid);
}
#endif

static void inline_calls(void *arg)
{
    (void)arg;
    syscount_begin();
    for (int i = 0; i < 1000; i++) {
        inline_getppid();
    }
    syscount_end();
}

Test(syscount, inline_instructions_count)
{
    run(inline_calls, NULL);
    cr_expect_eq(count.by_number[SYS_getppid], 1000);
    cr_expect_eq(count.total, 1000);
}

static void unknown_number(void *arg)
{
    (void)arg;
    syscount_begin();
    (void)syscall(100000);
    syscount_end();
}

Test(syscount, numbers_beyond_the_table_count_as_other)
{
    run(unknown_number, NULL);
    cr_expect_eq(count.total, 1);
    cr_expect_eq(count.other, 1);
}

enum { THREAD_COUNT = 4, CALLS_PER_THREAD = 50 };

static void *thread_main(void *arg)
{
    call_getppid(CALLS_PER_THREAD);
    return arg;
}

static void threads(void *arg)
{
    pthread_t ids[THREAD_COUNT];
    (void)arg;
    syscount_begin();
    for (int i = 0; i < THREAD_COUNT; i++) {
        if (pthread_create(&ids[i], NULL, thread_main, NULL) != 0) {
            _exit(1);
        }
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        (void)pthread_join(ids[i], NULL);
    }
    syscount_end();
}

Test(syscount, calls_of_all_threads_count)
{
#if defined(SANITIZER_THREAD)
    test_skip("threads-after-fork", "ThreadSanitizer does not support them");
#endif
    run(threads, NULL);
    cr_expect_eq(count.by_number[SYS_getppid], THREAD_COUNT * CALLS_PER_THREAD);
}

static void signals_itself(void *arg)
{
    (void)arg;
    (void)signal(SIGUSR1, SIG_IGN);
    syscount_begin();
    (void)raise(SIGUSR1);
    call_getppid(1);
    syscount_end();
}

Test(syscount, a_signal_reaches_the_body_and_is_no_call)
{
    run(signals_itself, NULL);
    cr_expect_eq(count.by_number[SYS_getppid], 1);
}

static void aborts(void *arg)
{
    (void)arg;
    syscount_begin();
    abort();
}

static void exits(void *arg)
{
    syscount_begin();
    syscount_end();
    _exit(*(int *)arg);
}

static void leaves_region_open(void *arg)
{
    (void)arg;
    syscount_begin();
}

static void has_no_region(void *arg)
{
    (void)arg;
}

static void expect_failure(void (*body)(void *), void *arg)
{
    enum syscount_result result = syscount_run(body, arg, &count);
    if (result == SYSCOUNT_NOT_PERMITTED) {
        test_skip("ptrace", "tracing a child is not permitted");
    }
    cr_expect_eq(result, SYSCOUNT_FAILED);
}

Test(syscount, a_body_that_aborts_has_failed)
{
    expect_failure(aborts, NULL);
    cr_expect(WIFSIGNALED(count.status) && WTERMSIG(count.status) == SIGABRT);
}

Test(syscount, a_body_that_exits_has_failed)
{
    int status = 3;
    expect_failure(exits, &status);
    cr_expect(WIFEXITED(count.status) && WEXITSTATUS(count.status) == 3);
    status = 0;
    expect_failure(exits, &status);
}

Test(syscount, a_body_without_a_closed_region_has_failed)
{
    expect_failure(leaves_region_open, NULL);
    expect_failure(has_no_region, NULL);
}

Test(syscount, children_of_the_caller_are_left_alone)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        _exit(9);
    }
    run(empty_region, NULL);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

/* Makes ptrace fail with EPERM in this process and its children. */
static int forbid_ptrace(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

Test(syscount, a_forbidden_trace_is_told_from_a_failed_body)
{
    enum { NO_FILTER = 99 };
    int status;
    pid_t child = fork();
    if (child == 0) {
        _exit(forbid_ptrace() == 0 ? (int)syscount_run(empty_region, NULL, &count) : NO_FILTER);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FILTER) {
        test_skip("seccomp", "no filter can be set");
    }
    cr_expect_eq(WEXITSTATUS(status), SYSCOUNT_NOT_PERMITTED);
}
