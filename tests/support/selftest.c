/*
 * Tests of the test framework: runs selftest_cases, whose outcomes are known, and reads the TAP that comes out. The
 * executable is named by the environment variable SELFTEST_CASES, so the same judge serves both frameworks; what only
 * the small one can do is in the suite "small", compiled with SELFTEST_SMALL.
 */
#if !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE
#endif

#include "support/sanitizers.h"
#include "support/test.h"

#include <sys/wait.h>

enum { OUTPUT_SIZE = 64 * 1024 };

static char output[OUTPUT_SIZE];

/* Runs the cases with these arguments and returns their exit status; standard output is in `output`. */
static int run_cases(const char *arguments)
{
    char command[1024];
    const char *program = getenv("SELFTEST_CASES");
    if (program == NULL) {
        test_skip("selftest", "SELFTEST_CASES does not name the executable");
    }
    /* BXFI_MAP marks a worker of Criterion, which this process is; the cases must not take it for theirs. */
    (void)snprintf(command, sizeof(command), "unset BXFI_MAP; '%s' %s 2>/dev/null", program, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t size = fread(output, 1, sizeof(output) - 1, pipe);
    output[size] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The outcome of one case: "ok", "not ok", "skip", or "missing". */
static const char *outcome_of(const char *name)
{
    const char *line = output;
    size_t size = strlen(name);
    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');
        const char *found = strstr(line, name);
        bool is_result = strncmp(line, "ok ", 3) == 0 || strncmp(line, "not ok ", 7) == 0;
        if (is_result && found != NULL && (end == NULL || found < end) && (found[size] == ' ' || found[size] == '\n')) {
            const char *skip = strstr(found, "# SKIP");
            if (skip != NULL && (end == NULL || skip < end)) {
                return "skip";
            }
            return line[0] == 'o' ? "ok" : "not ok";
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return "missing";
}

static void expect_outcomes(void)
{
    static const struct {
        const char *name;
        const char *outcome;
    } expected[] = {
        {"cases::passes", "ok"},
        {"cases::fails_at_assert", "not ok"},
        {"cases::fails_at_expect", "not ok"},
        {"cases::fails_at_null_string", "not ok"},
        {"cases::fails_explicitly", "not ok"},
        {"cases::skips", "skip"},
        {"cases::is_disabled", "skip"},
        {"disabled_suite::is_disabled_too", "skip"},
        {"cases::fails_by_crash", "not ok"},
        {"cases::fails_by_timeout", "not ok"},
        {"short_suite::fails_by_timeout_of_suite", "not ok"},
        {"cases::passes_by_expected_signal", "ok"},
        {"cases::passes_by_expected_fault", "ok"},
        {"cases::fails_without_expected_signal", "not ok"},
        {"cases::passes_by_expected_status", "ok"},
        {"cases::fails_by_unexpected_status", "not ok"},
        {"cases::fails_without_expected_status", "not ok"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        cr_expect_str_eq(outcome_of(expected[i].name), expected[i].outcome, "%s in\n%s", expected[i].name, output);
    }
}

Test(selftest, every_outcome_is_reported)
{
    cr_assert_neq(run_cases("--tap"), 0);
    expect_outcomes();
}

Test(selftest, one_job_reports_the_same)
{
    cr_assert_neq(run_cases("-j1"), 0);
    expect_outcomes();
}

Test(selftest, the_report_begins_with_version_and_plan)
{
    (void)run_cases("--tap");
    const char *start = "TAP version 13\n1..";
    cr_expect_eq(strncmp(output, start, strlen(start)), 0, "%s", output);
}

Test(selftest, a_skip_names_its_facility)
{
    (void)run_cases("--tap");
    cr_expect_not_null(strstr(output, "# SKIP [ptrace] not permitted, says the kernel\n"), "%s", output);
}

Test(selftest, a_message_is_reported)
{
    (void)run_cases("--tap");
    cr_expect_not_null(strstr(output, "the message 42"), "%s", output);
}

#if defined(SELFTEST_SMALL)

Test(small, fini_runs_after_a_failed_assertion)
{
    cr_expect_neq(run_cases("--filter cases/fails_at_assert"), 0);
    cr_expect_not_null(strstr(output, "fini ran"), "%s", output);
    cr_expect_null(strstr(output, "not reached"), "%s", output);
}

Test(small, expect_continues)
{
    cr_expect_neq(run_cases("--filter cases/fails_at_expect"), 0);
    cr_expect_not_null(strstr(output, "reached after expect"), "%s", output);
}

Test(small, a_crash_names_its_signal)
{
    cr_expect_neq(run_cases("--filter cases/fails_by_crash"), 0);
    cr_expect_not_null(strstr(output, "killed by signal 6"), "%s", output);
}

#if defined(SANITIZER_LEAK)
Test(small, a_leak_is_a_failure)
{
    cr_expect_neq(run_cases("--filter cases/fails_by_leak"), 0);
    cr_expect_str_eq(outcome_of("cases::fails_by_leak"), "not ok", "%s", output);
}
#endif

Test(small, a_filter_selects_one_test)
{
    cr_expect_eq(run_cases("--filter cases/passes"), 0);
    cr_expect_not_null(strstr(output, "1..1\nok 1 - cases::passes with a description\n"), "%s", output);
}

Test(small, a_filter_may_end_in_a_wildcard)
{
    cr_expect_eq(run_cases("--filter='cases/passes*'"), 0);
    cr_expect_not_null(strstr(output, "1..4\n"), "%s", output);
}

Test(small, selecting_nothing_is_an_error)
{
    cr_expect_neq(run_cases("--filter no/such"), 0);
}

Test(small, list_names_every_test)
{
    cr_expect_eq(run_cases("--list"), 0);
    cr_expect_eq(strncmp(output, "cases/passes\n", 13), 0, "%s", output);
    cr_expect_not_null(strstr(output, "short_suite/fails_by_timeout_of_suite\n"), "%s", output);
}

Test(small, in_process_runs_what_needs_no_process)
{
    cr_expect_neq(run_cases("--no-fork --filter 'cases/fails_at*'"), 0);
    cr_expect_str_eq(outcome_of("cases::fails_at_assert"), "not ok", "%s", output);
    cr_expect_str_eq(outcome_of("cases::fails_at_expect"), "not ok", "%s", output);
    cr_expect_eq(run_cases("--no-fork --filter 'cases/passes*'"), 0);
    cr_expect_str_eq(outcome_of("cases::passes"), "ok", "%s", output);
    cr_expect_str_eq(outcome_of("cases::passes_by_expected_signal"), "skip", "%s", output);
    cr_expect_not_null(strstr(output, "# SKIP [fork] "), "%s", output);
}

#endif
