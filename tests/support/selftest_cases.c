/*
 * Tests whose outcomes are known, many of them failures: what selftest.c runs and judges. Never run as tests of Palio.
 * The name of each says its outcome. Built with the small framework, and with Criterion where that is the chosen one.
 */
#include "support/sanitizers.h"
#include "support/test.h"

#include <signal.h>

#if !defined(_WIN32)
#include <unistd.h>
#endif

static void init(void)
{
    fprintf(stderr, "init ran\n");
}

static void fini(void)
{
    fprintf(stderr, "fini ran\n");
}

static void hang(void)
{
    for (volatile unsigned turns = 0;; turns++) {
    }
}

TestSuite(short_suite, .timeout = 0.2);
TestSuite(disabled_suite, .disabled = true);

Test(cases, passes, .description = "with a description", .init = init, .fini = fini)
{
    int numbers[] = {1, 2, 3};
    int same[] = {1, 2, 3};
    cr_assert(true);
    cr_assert_not(false);
    cr_assert_eq(1, 1, "unused %d", 1);
    cr_assert_neq(1, 2);
    cr_assert_lt(1, 2);
    cr_assert_leq(2, 2);
    cr_assert_gt(2, 1);
    cr_assert_geq(2, 2);
    cr_assert_null(NULL);
    cr_assert_not_null(numbers);
    cr_assert_str_eq("a", "a");
    cr_assert_str_neq("a", "b", "%s", "unused");
    cr_assert_arr_eq(numbers, same, sizeof(numbers));
    same[2] = 4;
    cr_assert_arr_neq(numbers, same, sizeof(numbers), "unused");
    cr_assert_float_eq(1.0, 1.05, 0.1);
    cr_assert_float_neq(1.0, 1.5, 0.1, "unused");
    cr_log_info("a line of log");
}

Test(cases, fails_at_assert, .fini = fini)
{
    int one = 1;
    cr_assert_eq(one, 2, "the message %d", 42);
    fprintf(stderr, "not reached\n");
}

Test(cases, fails_at_expect)
{
    cr_expect_str_eq("left", "right");
    fprintf(stderr, "reached after expect\n");
}

Test(cases, fails_at_null_string)
{
    const char *missing = NULL;
    cr_assert_str_neq(missing, "right");
}

Test(cases, fails_explicitly)
{
    cr_assert_fail("said so");
}

Test(cases, skips)
{
    test_skip("ptrace", "not permitted, %s", "says the kernel");
}

Test(cases, is_disabled, .disabled = true)
{
    cr_assert(false);
}

Test(disabled_suite, is_disabled_too)
{
    cr_assert(false);
}

Test(cases, fails_by_crash)
{
    abort();
}

Test(cases, fails_by_timeout, .timeout = 0.2)
{
    hang();
}

Test(short_suite, fails_by_timeout_of_suite)
{
    hang();
}

Test(cases, passes_by_expected_signal, .signal = SIGABRT)
{
    abort();
}

Test(cases, passes_by_expected_fault, .signal = SIGSEGV)
{
    (void)signal(SIGSEGV, SIG_DFL);
    (void)raise(SIGSEGV);
}

Test(cases, fails_without_expected_signal, .signal = SIGABRT)
{
}

Test(cases, passes_by_expected_status, .exit_code = 3)
{
    exit(3);
}

Test(cases, fails_by_unexpected_status)
{
    exit(3);
}

Test(cases, fails_without_expected_status, .exit_code = 3)
{
}

#if !defined(PALIO_TEST_CRITERION) && defined(SANITIZER_LEAK)
static void *volatile leaked;

Test(cases, fails_by_leak)
{
    leaked = malloc(100);
    leaked = NULL;
}
#endif
