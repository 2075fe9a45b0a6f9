/*
 * The main function of a test executable that runs under Criterion. What it adds to Criterion's own:
 * - standard output carries TAP and nothing else: what the tests print goes to standard error, because one stray line
 *   before "TAP version" makes the whole report invalid;
 * - a test that says no .timeout gets TEST_TIMEOUT_DEFAULT, as in test_small.c, so a hanging test is named instead of
 *   the executable being killed from outside with no report at all. (Criterion's --timeout is a cap, not a default.)
 * Options are Criterion's (see --help); a plain --tap is accepted and is the default.
 */
#define _DEFAULT_SOURCE

#include "support/test.h"

#include <criterion/internal/ordered-set.h>
#include <fcntl.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64 };

/* Moves standard output to a new descriptor, which the tests do not inherit, and returns the name to open it by. */
static const char *take_stdout(void)
{
    static char path[32];
    int tap_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (tap_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return NULL;
    }
    (void)snprintf(path, sizeof(path), "--tap=/dev/fd/%d", tap_fd);
    return path;
}

static bool is_plain_tap(const char *argument)
{
    return strcmp(argument, "--tap") == 0 || strcmp(argument, "--tap=-") == 0;
}

static void set_default_timeouts(struct criterion_test_set *tests)
{
    FOREACH_SET(struct criterion_suite_set *set, tests->suites) {
        bool suite_has_timeout = set->suite.data != NULL && set->suite.data->timeout > 0;
        FOREACH_SET(struct criterion_test *test, set->tests) {
            if (!suite_has_timeout && !(test->data->timeout > 0)) {
                test->data->timeout = TEST_TIMEOUT_DEFAULT;
            }
        }
    }
}

int main(int argc, char *argv[])
{
    char *arguments[ARGUMENTS_MAX + 2];
    int count = 0;
    bool listing = false;

    for (int i = 0; i < argc && count < ARGUMENTS_MAX; i++) {
        listing = listing || strcmp(argv[i], "--list") == 0 || strcmp(argv[i], "-l") == 0;
        if (!is_plain_tap(argv[i])) {
            arguments[count++] = argv[i];
        }
    }
    if (!listing) {
        const char *tap = take_stdout();
        if (tap == NULL) {
            perror("cannot set standard output apart for TAP");
            return EXIT_FAILURE;
        }
        arguments[count++] = (char *)(uintptr_t)tap;
    }
    arguments[count] = NULL;

    struct criterion_test_set *tests = criterion_initialize();
    set_default_timeouts(tests);
    int status = EXIT_SUCCESS;
    if (criterion_handle_args(count, arguments, true)) {
        status = criterion_run_all_tests(tests) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    criterion_finalize(tests);
    return status;
}
