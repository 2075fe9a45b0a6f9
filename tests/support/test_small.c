/*
 * The small test framework behind support/test.h: registry, options, TAP report and the runner. Not a library and not
 * part of Palio; linked into every test executable that is not built with Criterion.
 *
 * On POSIX each test is a forked process: it may crash, hang, leak or exit and still be reported. Its outcome reaches
 * the runner through shared memory (struct verdict) and its exit status; what it prints goes to a temporary file and is
 * reported as TAP comments. Elsewhere, and under --no-fork, tests run one after the other in this process, and those
 * that expect a signal or an exit status are skipped.
 */
#if !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE
#endif

#include "support/test.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#if !defined(_WIN32)
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#endif

enum { JOBS_DEFAULT = 2, JOBS_MAX = 64, REASON_SIZE = 512, LINE_SIZE = 1024, REPORT_LINES_MAX = 2000 };

enum { EXIT_TESTS_FAILED = 1, EXIT_USAGE = 2 };

/* What a test says about itself, in memory that it shares with the runner. */
struct verdict {
    atomic_uint failures;
    atomic_bool skipped;
    char reason[REASON_SIZE];
};

enum outcome { PASSED, FAILED, CRASHED, SKIPPED };

static struct {
    const char *filter; /* "suite/name", with a trailing * for "begins with"; NULL for all */
    double timeout;
    int jobs;
    bool list;
    bool fork;
} options = {.timeout = TEST_TIMEOUT_DEFAULT, .jobs = JOBS_DEFAULT, .fork = true};

static struct { unsigned reported, passed, failed, crashed, skipped; } totals;

static struct test_case *first_test;
static struct test_case **last_test = &first_test;
static struct test_suite *first_suite;

/* The test that runs in this process, if any. */
static const struct test_case *current;
static struct verdict *verdict;
static jmp_buf in_process_exit;
static _Thread_local bool is_test_thread;
#if !defined(_WIN32)
static pid_t test_pid;
#endif

/* Registry. */

void test_register(struct test_case *test) {
    *last_test = test;
    last_test = &test->next;
}

void test_register_suite(struct test_suite *suite) {
    suite->next = first_suite;
    first_suite = suite;
}

static const struct test_options *suite_options(const struct test_case *test) {
    static const struct test_options none;
    for (const struct test_suite *suite = first_suite; suite != NULL; suite = suite->next) {
        if (strcmp(suite->name, test->suite) == 0) {
            return &suite->options;
        }
    }
    return &none;
}

static bool is_disabled(const struct test_case *test) {
    return test->options.disabled || suite_options(test)->disabled;
}

static bool is_selected(const struct test_case *test) {
    char path[LINE_SIZE];
    if (options.filter == NULL) {
        return true;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", test->suite, test->name);
    size_t size = strlen(options.filter);
    if (size > 0 && options.filter[size - 1] == '*') {
        return strncmp(path, options.filter, size - 1) == 0;
    }
    return strcmp(path, options.filter) == 0;
}

/* Inside a test. */

static void call(void (*function)(void)) {
    if (function != NULL) {
        function();
    }
}

static void run_fini(void) {
    const struct test_case *test = current;
    current = NULL; /* a failing assertion in .fini must not run it again */
    if (test != NULL) {
        call(test->options.fini);
        call(suite_options(test)->fini);
    }
}

static void run_body(const struct test_case *test) {
    current = test;
    call(suite_options(test)->init);
    call(test->options.init);
    test->body();
    run_fini();
}

/* Ends the test from wherever it stands; does not unwind, because the stack may be a coroutine's. */
static _Noreturn void leave(void) {
#if !defined(_WIN32)
    if (options.fork) {
        if (is_test_thread && getpid() == test_pid) {
            run_fini();
            (void)fflush(NULL);
        }
        _exit(EXIT_FAILURE);
    }
#endif
    if (!is_test_thread) {
        abort();
    }
    longjmp(in_process_exit, 1);
}

void test_record(const char *file, int line, const char *text, const char *format, ...) {
    char message[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    atomic_fetch_add(&verdict->failures, 1);
    (void)fflush(stdout);
    (void)fprintf(stderr, "# %s:%d: %s failed%s%s\n", file, line, text, message[0] != '\0' ? ": " : "", message);
}

void test_log(const char *level, const char *format, ...) {
    char message[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "# %s: %s\n", level, message);
}

_Noreturn void test_abort(void) {
    leave();
}

_Noreturn void test_leave_skipped(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict->reason, sizeof(verdict->reason), format, arguments);
    va_end(arguments);
    atomic_store(&verdict->skipped, true);
    leave();
}

int test_compare(const char *left, const char *right, int otherwise) {
    return left != NULL && right != NULL ? strcmp(left, right) : otherwise;
}

/* Report. */

static void report(const struct test_case *test, enum outcome outcome, const char *reason) {
    const char *description = test->options.description;
    const char *verb = outcome == PASSED || outcome == SKIPPED ? "ok" : "not ok";

    totals.reported++;
    totals.passed += outcome == PASSED;
    totals.failed += outcome == FAILED || outcome == CRASHED;
    totals.crashed += outcome == CRASHED;
    totals.skipped += outcome == SKIPPED;
    printf("%s %u - %s::%s", verb, totals.reported, test->suite, test->name);
    if (description != NULL) {
        printf(" %s", description);
    }
    if (outcome == SKIPPED) {
        printf(" # SKIP %s", reason);
    }
    putchar('\n');
    if (outcome == FAILED || outcome == CRASHED) {
        printf("# %s:%d: %s::%s: %s\n", test->file, test->line, test->suite, test->name, reason);
    }
    (void)fflush(stdout);
}

static void report_disabled(const struct test_case *test) {
    report(test, SKIPPED, "test is disabled");
}

/* In-process runner. */

static void run_in_process(const struct test_case *test) {
    static struct verdict own;
    if (test->options.signal != 0 || test->options.exit_code != 0) {
        report(test, SKIPPED, "[fork] the test ends its process");
        return;
    }
    atomic_store(&own.failures, 0);
    atomic_store(&own.skipped, false);
    verdict = &own;
    is_test_thread = true;
    if (setjmp(in_process_exit) == 0) {
        run_body(test);
    } else if (current != NULL && setjmp(in_process_exit) == 0) {
        run_fini();
    }
    current = NULL;
    (void)fflush(stderr);
    if (atomic_load(&own.failures) > 0) {
        report(test, FAILED, "assertion failed");
    } else {
        report(test, atomic_load(&own.skipped) ? SKIPPED : PASSED, own.reason);
    }
}

static void run_all_in_process(void) {
    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        if (!is_selected(test)) {
            continue;
        }
        if (is_disabled(test)) {
            report_disabled(test);
        } else {
            run_in_process(test);
        }
    }
}

/* A process a test. */

#if !defined(_WIN32)

struct slot {
    const struct test_case *test; /* NULL: free */
    struct verdict *verdict;
    FILE *output; /* what the test prints; NULL when there is no place for it */
    pid_t pid;
    struct timespec deadline;
    bool timed_out;
};

static struct slot slots[JOBS_MAX];

static _Noreturn void die(const char *what) {
    printf("Bail out! %s: %s\n", what, strerror(errno));
    (void)fflush(stdout);
    _exit(EXIT_TESTS_FAILED);
}

static void on_child(int signal_number) {
    (void)signal_number; /* exists to interrupt pselect */
}

static double timeout_of(const struct test_case *test) {
    double timeout = test->options.timeout;
    if (timeout == 0) {
        timeout = suite_options(test)->timeout;
    }
    return timeout == 0 ? options.timeout : timeout;
}

/* Seconds until the deadline, at least 0. */
static double remaining(const struct timespec *deadline) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)(deadline->tv_sec - now.tv_sec) + (double)(deadline->tv_nsec - now.tv_nsec) / 1e9;
    return seconds > 0 ? seconds : 0;
}

static _Noreturn void child_main(const struct slot *slot, const sigset_t *mask) {
    for (int i = 0; i < JOBS_MAX; i++) {
        if (&slots[i] != slot && slots[i].test != NULL && slots[i].output != NULL) {
            (void)close(fileno(slots[i].output));
        }
    }
    (void)dup2(slot->output != NULL ? fileno(slot->output) : STDERR_FILENO, STDOUT_FILENO);
    if (slot->output != NULL) {
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        (void)close(fileno(slot->output));
    }
    (void)signal(SIGCHLD, SIG_DFL);
    if (slot->test->options.signal != 0) {
        (void)signal(slot->test->options.signal, SIG_DFL); /* a sanitizer's handler would turn it into an exit */
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);

    verdict = slot->verdict;
    test_pid = getpid();
    is_test_thread = true;
    run_body(slot->test);
    exit(EXIT_SUCCESS); /* not _exit: leak checks run at exit */
}

static void start(struct slot *slot, const struct test_case *test, const sigset_t *mask) {
    double timeout = timeout_of(test);
    atomic_store(&slot->verdict->failures, 0);
    atomic_store(&slot->verdict->skipped, false);
    slot->test = test;
    slot->timed_out = false;
    slot->output = tmpfile();
    (void)clock_gettime(CLOCK_MONOTONIC, &slot->deadline);
    slot->deadline.tv_sec += (time_t)timeout;
    slot->deadline.tv_nsec += (long)((timeout - (double)(time_t)timeout) * 1e9);
    (void)fflush(NULL);
    slot->pid = fork();
    if (slot->pid < 0) {
        die("fork");
    }
    if (slot->pid == 0) {
        child_main(slot, mask);
    }
}

static void print_output(FILE *output) {
    char line[LINE_SIZE];
    if (output == NULL) {
        return;
    }
    rewind(output);
    for (int count = 0; fgets(line, sizeof(line), output) != NULL; count++) {
        if (count == REPORT_LINES_MAX) {
            puts("# ... the rest is left out");
            break;
        }
        line[strcspn(line, "\n")] = '\0';
        printf("%s%s\n", line[0] == '#' ? "" : "# ", line);
    }
    (void)fclose(output);
}

static void finish(struct slot *slot, int status) {
    const struct test_case *test = slot->test;
    char reason[REASON_SIZE] = "assertion failed";
    enum outcome outcome = FAILED;
    unsigned failures = atomic_load(&slot->verdict->failures);

    if (slot->timed_out) {
        (void)snprintf(reason, sizeof(reason), "timed out after %g s", timeout_of(test));
    } else if (failures > 0) {
        (void)snprintf(reason, sizeof(reason), "%u failed", failures);
    } else if (atomic_load(&slot->verdict->skipped) && WIFEXITED(status)) {
        outcome = SKIPPED;
        memcpy(reason, slot->verdict->reason, sizeof(reason));
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal) {
        outcome = PASSED;
    } else if (WIFSIGNALED(status)) {
        outcome = CRASHED;
        (void)snprintf(reason, sizeof(reason), "killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else if (test->options.signal != 0) {
        (void)snprintf(reason, sizeof(reason), "exit status %d where signal %d is expected", WEXITSTATUS(status),
                       test->options.signal);
    } else if (WEXITSTATUS(status) != test->options.exit_code) {
        (void)snprintf(reason, sizeof(reason), "exit status %d where %d is expected", WEXITSTATUS(status),
                       test->options.exit_code);
    } else {
        outcome = PASSED;
    }
    report(test, outcome, reason);
    print_output(slot->output);
    (void)fflush(stdout);
    slot->test = NULL;
}

/* Reaps what has ended, kills what is overdue, then waits for a child or the next deadline. */
static void attend(const sigset_t *mask) {
    double wait_seconds = 3600;
    bool reaped = false;
    for (int i = 0; i < options.jobs; i++) {
        struct slot *slot = &slots[i];
        int status;
        if (slot->test == NULL) {
            continue;
        }
        if (waitpid(slot->pid, &status, WNOHANG) == slot->pid) {
            finish(slot, status);
            reaped = true;
            continue;
        }
        double seconds = remaining(&slot->deadline);
        if (seconds == 0 && !slot->timed_out) {
            slot->timed_out = true;
            (void)kill(slot->pid, SIGKILL);
        }
        if (!slot->timed_out && seconds < wait_seconds) {
            wait_seconds = seconds;
        }
    }
    if (!reaped) {
        struct timespec timeout = {.tv_sec = (time_t)wait_seconds};
        timeout.tv_nsec = (long)((wait_seconds - (double)timeout.tv_sec) * 1e9);
        (void)pselect(0, NULL, NULL, NULL, &timeout, mask);
    }
}

static struct slot *free_slot(void) {
    for (int i = 0; i < options.jobs; i++) {
        if (slots[i].test == NULL) {
            return &slots[i];
        }
    }
    return NULL;
}

static bool is_any_running(void) {
    for (int i = 0; i < options.jobs; i++) {
        if (slots[i].test != NULL) {
            return true;
        }
    }
    return false;
}

static void run_all_forked(void) {
    struct sigaction action = {.sa_handler = on_child};
    sigset_t blocked;
    sigset_t mask;

    struct verdict *verdicts =
        mmap(NULL, sizeof(struct verdict) * JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (verdicts == MAP_FAILED) {
        die("mmap");
    }
    for (int i = 0; i < JOBS_MAX; i++) {
        slots[i].verdict = &verdicts[i];
    }
    /* SIGCHLD is let in by pselect only, so none is lost between the look and the wait. */
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &blocked, &mask);
    (void)sigdelset(&mask, SIGCHLD);
    (void)sigaction(SIGCHLD, &action, NULL);

    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        struct slot *slot;
        if (!is_selected(test)) {
            continue;
        }
        if (is_disabled(test)) {
            report_disabled(test);
            continue;
        }
        while ((slot = free_slot()) == NULL) {
            attend(&mask);
        }
        start(slot, test, &mask);
    }
    while (is_any_running()) {
        attend(&mask);
    }
    (void)munmap(verdicts, sizeof(struct verdict) * JOBS_MAX);
}

#else

static void run_all_forked(void) {
    run_all_in_process();
}

#endif

/* Command line. */

static _Noreturn void usage(const char *program) {
    (void)fprintf(stderr,
                  "usage: %s [--filter SUITE/NAME[*]] [--jobs N] [--timeout SECONDS] [--no-fork] [--list] [--tap]\n"
                  "Runs the tests and prints TAP. --timeout is for tests that set none themselves.\n",
                  program);
    exit(EXIT_USAGE);
}

/* The value of an option given as "--name value" or "--name=value", NULL when argv[*index] is another option. */
static const char *option_value(const char *name, int argc, char *argv[], int *index) {
    const char *argument = argv[*index];
    size_t size = strlen(name);
    if (strncmp(argument, name, size) != 0) {
        return NULL;
    }
    if (argument[size] == '=') {
        return argument + size + 1;
    }
    if (argument[size] != '\0') {
        return NULL;
    }
    if (*index + 1 >= argc) {
        usage(argv[0]);
    }
    assert(argv[*index + 1] != NULL);
    return argv[++*index];
}

static int parse_jobs(const char *text, const char *program) {
    char *end;
    long jobs = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || jobs < 1) {
        usage(program);
    }
    return jobs < JOBS_MAX ? (int)jobs : JOBS_MAX;
}

static void parse_options(int argc, char *argv[]) {
    for (int i = 1; i < argc; i++) {
        const char *value;
        if ((value = option_value("--filter", argc, argv, &i)) != NULL) {
            options.filter = value;
        } else if ((value = option_value("--jobs", argc, argv, &i)) != NULL) {
            options.jobs = parse_jobs(value, argv[0]);
        } else if ((value = option_value("--timeout", argc, argv, &i)) != NULL) {
            options.timeout = strtod(value, NULL);
        } else if (strcmp(argv[i], "-j") == 0 && i + 1 < argc) {
            options.jobs = parse_jobs(argv[++i], argv[0]);
        } else if (strncmp(argv[i], "-j", 2) == 0) {
            options.jobs = parse_jobs(argv[i] + 2, argv[0]);
        } else if (strcmp(argv[i], "--list") == 0) {
            options.list = true;
        } else if (strcmp(argv[i], "--no-fork") == 0) {
            options.fork = false;
        } else if (strncmp(argv[i], "--tap", 5) != 0) { /* TAP is the only format there is */
            usage(argv[0]);
        }
    }
    if (!(options.timeout > 0)) {
        usage(argv[0]);
    }
#if defined(_WIN32)
    options.fork = false;
#endif
}

int main(int argc, char *argv[]) {
    unsigned selected = 0;

    parse_options(argc, argv);
    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        selected += is_selected(test);
        if (options.list && is_selected(test)) {
            printf("%s/%s\n", test->suite, test->name);
        }
    }
    if (options.list) {
        return EXIT_SUCCESS;
    }
    printf("TAP version 13\n1..%u\n", selected);
    if (selected == 0) {
        (void)fprintf(stderr, "no test to run\n");
        return EXIT_TESTS_FAILED;
    }
    if (options.fork) {
        run_all_forked();
    } else {
        run_all_in_process();
    }
    (void)fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: %u \n",
                  totals.reported - totals.skipped, totals.passed, totals.failed, totals.crashed);
    return totals.failed == 0 ? EXIT_SUCCESS : EXIT_TESTS_FAILED;
}
