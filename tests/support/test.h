/*
 * The one header a test includes. With PALIO_TEST_CRITERION defined it is Criterion; otherwise it is a small framework
 * of our own (test_small.c) with the same macros, for the places Criterion does not reach: sanitizer builds, mingw,
 * musl, emulated targets. A test is written once and must not tell which of the two it runs under.
 *
 * What is left out on purpose: parameterised tests, theories, redirection and the new-style cr_assert(eq(...)) family.
 * Assertions belong to the process and thread that run the test; a process that a test forks reports by exit status.
 * This header includes ISO C headers only.
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds that a test may take when neither it nor its suite says .timeout. */
#define TEST_TIMEOUT_DEFAULT 30.0

/*
 * Ends the test as skipped because this machine lacks a facility (one word, or several separated by spaces: "ptrace",
 * "inet6"). scripts/test counts the skip as a failure where PALIO_REQUIRE names the facility. Does not return. Call it
 * before the test has acquired anything: Criterion does not run .fini after a skip. Both arguments are string literals.
 */
#define test_skip(facility, ...) cr_skip_test("[" facility "] " __VA_ARGS__)

#ifdef PALIO_TEST_CRITERION

#include <criterion/criterion.h>
#include <criterion/logging.h>

#else

struct test_options {
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds, 0: the suite's, else TEST_TIMEOUT_DEFAULT */
    int signal;     /* the test must die by this signal; 0: by none */
    int exit_code;  /* the test must leave with this status */
    bool disabled;
    const char *description;
    int sentinel; /* lets a definition end in a designator of ours, so that the test's own are optional */
};

struct test_suite {
    const char *name;
    struct test_options options;
    struct test_suite *next;
};

struct test_case {
    const char *suite;
    const char *name;
    const char *file;
    int line;
    void (*body)(void);
    struct test_options options;
    struct test_case *next;
};

/* Called before main by the constructors below; the objects are static and stay the caller's. */
void test_register(struct test_case *test);
void test_register_suite(struct test_suite *suite);

#if defined(__MINGW32__)
#define TEST_PRINTF_(format_index, first_index) __attribute__((format(gnu_printf, format_index, first_index)))
#else
#define TEST_PRINTF_(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#endif

/* Prints and counts one failed assertion of the running test. Any thread. */
void test_record(const char *file, int line, const char *text, const char *format, ...) TEST_PRINTF_(4, 5);
/* Prints one line of the running test. Any thread. */
void test_log(const char *level, const char *format, ...) TEST_PRINTF_(2, 3);
/* Ends the running test as failed. */
_Noreturn void test_abort(void);
/* Ends the running test as skipped. Only in the test's own thread. */
_Noreturn void test_leave_skipped(const char *format, ...) TEST_PRINTF_(1, 2);
/* strcmp; a null pointer equals nothing and differs from nothing: `otherwise` is returned. */
int test_compare(const char *left, const char *right, int otherwise);

static inline void test_continue(void)
{
}

#define Test(...) TEST_DEFINE_(__VA_ARGS__, .sentinel = 0)
#define TestSuite(...) TEST_DEFINE_SUITE_(__VA_ARGS__, .sentinel = 0)

#define TEST_DEFINE_(suite_, name_, ...)                                                                               \
    static void suite_##_##name_##_body(void);                                                                         \
    static struct test_case suite_##_##name_##_case = {.suite = #suite_,                                               \
                                                       .name = #name_,                                                 \
                                                       .file = __FILE__,                                               \
                                                       .line = __LINE__,                                               \
                                                       .body = suite_##_##name_##_body,                                \
                                                       .options = {__VA_ARGS__}};                                      \
    __attribute__((constructor)) static void suite_##_##name_##_register(void)                                         \
    {                                                                                                                  \
        test_register(&suite_##_##name_##_case);                                                                       \
    }                                                                                                                  \
    static void suite_##_##name_##_body(void)

#define TEST_DEFINE_SUITE_(name_, ...)                                                                                 \
    static struct test_suite suite_##name_ = {.name = #name_, .options = {__VA_ARGS__}};                               \
    __attribute__((constructor)) static void suite_##name_##_register(void)                                            \
    {                                                                                                                  \
        test_register_suite(&suite_##name_);                                                                           \
    }                                                                                                                  \
    struct test_suite /* takes the semicolon */

/*
 * An assertion's optional message: TEST_FORM_n picks _PLAIN when there are just the n operands, else _MESSAGE.
 * `text` is the assertion as it stands in the source.
 */
#define TEST_CONCAT_(left, right) TEST_CONCAT__(left, right)
#define TEST_CONCAT__(left, right) left##right
#define TEST_PICK_(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, picked, ...) picked
#define TEST_M_ _MESSAGE
#define TEST_P_ _PLAIN
#define TEST_FORM_1(...)                                                                                               \
    TEST_PICK_(__VA_ARGS__, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_,  \
               TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_P_, unused)
#define TEST_FORM_2(...)                                                                                               \
    TEST_PICK_(__VA_ARGS__, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_,  \
               TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_P_, TEST_P_, unused)
#define TEST_FORM_3(...)                                                                                               \
    TEST_PICK_(__VA_ARGS__, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_, TEST_M_,  \
               TEST_M_, TEST_M_, TEST_M_, TEST_P_, TEST_P_, TEST_P_, unused)

#define TEST_CHECK_(condition, after, text, ...)                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            test_record(__FILE__, __LINE__, text, __VA_ARGS__);                                                        \
            after();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define TEST_TRUE_(after, text, ...) TEST_CONCAT_(TEST_TRUE, TEST_FORM_1(__VA_ARGS__))(after, text, __VA_ARGS__)
#define TEST_TRUE_PLAIN(after, text, a) TEST_CHECK_(a, after, text, "%s", "")
#define TEST_TRUE_MESSAGE(after, text, a, ...) TEST_CHECK_(a, after, text, __VA_ARGS__)

#define TEST_NOT_(after, text, ...) TEST_CONCAT_(TEST_NOT, TEST_FORM_1(__VA_ARGS__))(after, text, __VA_ARGS__)
#define TEST_NOT_PLAIN(after, text, a) TEST_CHECK_(!(a), after, text, "%s", "")
#define TEST_NOT_MESSAGE(after, text, a, ...) TEST_CHECK_(!(a), after, text, __VA_ARGS__)

#define TEST_BINARY_(after, text, op, ...)                                                                             \
    TEST_CONCAT_(TEST_BINARY, TEST_FORM_2(__VA_ARGS__))(after, text, op, __VA_ARGS__)
#define TEST_BINARY_PLAIN(after, text, op, a, b) TEST_CHECK_((a)op(b), after, text, "%s", "")
#define TEST_BINARY_MESSAGE(after, text, op, a, b, ...) TEST_CHECK_((a)op(b), after, text, __VA_ARGS__)

#define TEST_NULL_(after, text, op, ...) TEST_CONCAT_(TEST_NULL, TEST_FORM_1(__VA_ARGS__))(after, text, op, __VA_ARGS__)
#define TEST_NULL_PLAIN(after, text, op, a) TEST_CHECK_((a)op NULL, after, text, "%s", "")
#define TEST_NULL_MESSAGE(after, text, op, a, ...) TEST_CHECK_((a)op NULL, after, text, __VA_ARGS__)

#define TEST_STRING_(after, text, op, otherwise, ...)                                                                  \
    TEST_CONCAT_(TEST_STRING, TEST_FORM_2(__VA_ARGS__))(after, text, op, otherwise, __VA_ARGS__)
#define TEST_STRING_PLAIN(after, text, op, otherwise, a, b)                                                            \
    TEST_CHECK_(test_compare(a, b, otherwise) op 0, after, text, "%s", "")
#define TEST_STRING_MESSAGE(after, text, op, otherwise, a, b, ...)                                                     \
    TEST_CHECK_(test_compare(a, b, otherwise) op 0, after, text, __VA_ARGS__)

#define TEST_BYTES_(after, text, op, ...)                                                                              \
    TEST_CONCAT_(TEST_BYTES, TEST_FORM_3(__VA_ARGS__))(after, text, op, __VA_ARGS__)
#define TEST_BYTES_PLAIN(after, text, op, a, b, size) TEST_CHECK_(memcmp(a, b, size) op 0, after, text, "%s", "")
#define TEST_BYTES_MESSAGE(after, text, op, a, b, size, ...)                                                           \
    TEST_CHECK_(memcmp(a, b, size) op 0, after, text, __VA_ARGS__)

#define TEST_NEAR_(after, text, is, ...) TEST_CONCAT_(TEST_NEAR, TEST_FORM_3(__VA_ARGS__))(after, text, is, __VA_ARGS__)
#define TEST_NEAR_CONDITION_(a, b, epsilon) ((a) - (b) <= (epsilon) && (b) - (a) <= (epsilon))
#define TEST_NEAR_PLAIN(after, text, is, a, b, epsilon)                                                                \
    TEST_CHECK_(is TEST_NEAR_CONDITION_(a, b, epsilon), after, text, "%s", "")
#define TEST_NEAR_MESSAGE(after, text, is, a, b, epsilon, ...)                                                         \
    TEST_CHECK_(is TEST_NEAR_CONDITION_(a, b, epsilon), after, text, __VA_ARGS__)

#define cr_assert(...) TEST_TRUE_(test_abort, "cr_assert(" #__VA_ARGS__ ")", __VA_ARGS__)
#define cr_expect(...) TEST_TRUE_(test_continue, "cr_expect(" #__VA_ARGS__ ")", __VA_ARGS__)
#define cr_assert_not(...) TEST_NOT_(test_abort, "cr_assert_not(" #__VA_ARGS__ ")", __VA_ARGS__)
#define cr_expect_not(...) TEST_NOT_(test_continue, "cr_expect_not(" #__VA_ARGS__ ")", __VA_ARGS__)

#define cr_assert_eq(...) TEST_BINARY_(test_abort, "cr_assert_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_expect_eq(...) TEST_BINARY_(test_continue, "cr_expect_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_assert_neq(...) TEST_BINARY_(test_abort, "cr_assert_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__)
#define cr_expect_neq(...) TEST_BINARY_(test_continue, "cr_expect_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__)
#define cr_assert_lt(...) TEST_BINARY_(test_abort, "cr_assert_lt(" #__VA_ARGS__ ")", <, __VA_ARGS__)
#define cr_expect_lt(...) TEST_BINARY_(test_continue, "cr_expect_lt(" #__VA_ARGS__ ")", <, __VA_ARGS__)
#define cr_assert_leq(...) TEST_BINARY_(test_abort, "cr_assert_leq(" #__VA_ARGS__ ")", <=, __VA_ARGS__)
#define cr_expect_leq(...) TEST_BINARY_(test_continue, "cr_expect_leq(" #__VA_ARGS__ ")", <=, __VA_ARGS__)
#define cr_assert_gt(...) TEST_BINARY_(test_abort, "cr_assert_gt(" #__VA_ARGS__ ")", >, __VA_ARGS__)
#define cr_expect_gt(...) TEST_BINARY_(test_continue, "cr_expect_gt(" #__VA_ARGS__ ")", >, __VA_ARGS__)
#define cr_assert_geq(...) TEST_BINARY_(test_abort, "cr_assert_geq(" #__VA_ARGS__ ")", >=, __VA_ARGS__)
#define cr_expect_geq(...) TEST_BINARY_(test_continue, "cr_expect_geq(" #__VA_ARGS__ ")", >=, __VA_ARGS__)

#define cr_assert_null(...) TEST_NULL_(test_abort, "cr_assert_null(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_expect_null(...) TEST_NULL_(test_continue, "cr_expect_null(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_assert_not_null(...) TEST_NULL_(test_abort, "cr_assert_not_null(" #__VA_ARGS__ ")", !=, __VA_ARGS__)
#define cr_expect_not_null(...) TEST_NULL_(test_continue, "cr_expect_not_null(" #__VA_ARGS__ ")", !=, __VA_ARGS__)

#define cr_assert_str_eq(...) TEST_STRING_(test_abort, "cr_assert_str_eq(" #__VA_ARGS__ ")", ==, 1, __VA_ARGS__)
#define cr_expect_str_eq(...) TEST_STRING_(test_continue, "cr_expect_str_eq(" #__VA_ARGS__ ")", ==, 1, __VA_ARGS__)
#define cr_assert_str_neq(...) TEST_STRING_(test_abort, "cr_assert_str_neq(" #__VA_ARGS__ ")", !=, 0, __VA_ARGS__)
#define cr_expect_str_neq(...) TEST_STRING_(test_continue, "cr_expect_str_neq(" #__VA_ARGS__ ")", !=, 0, __VA_ARGS__)

#define cr_assert_arr_eq(...) TEST_BYTES_(test_abort, "cr_assert_arr_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_expect_arr_eq(...) TEST_BYTES_(test_continue, "cr_expect_arr_eq(" #__VA_ARGS__ ")", ==, __VA_ARGS__)
#define cr_assert_arr_neq(...) TEST_BYTES_(test_abort, "cr_assert_arr_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__)
#define cr_expect_arr_neq(...) TEST_BYTES_(test_continue, "cr_expect_arr_neq(" #__VA_ARGS__ ")", !=, __VA_ARGS__)

#define cr_assert_float_eq(...) TEST_NEAR_(test_abort, "cr_assert_float_eq(" #__VA_ARGS__ ")", !!, __VA_ARGS__)
#define cr_expect_float_eq(...) TEST_NEAR_(test_continue, "cr_expect_float_eq(" #__VA_ARGS__ ")", !!, __VA_ARGS__)
#define cr_assert_float_neq(...) TEST_NEAR_(test_abort, "cr_assert_float_neq(" #__VA_ARGS__ ")", !, __VA_ARGS__)
#define cr_expect_float_neq(...) TEST_NEAR_(test_continue, "cr_expect_float_neq(" #__VA_ARGS__ ")", !, __VA_ARGS__)

#define cr_assert_fail(...) TEST_FAIL_(test_abort, "cr_assert_fail", "" __VA_ARGS__)
#define cr_expect_fail(...) TEST_FAIL_(test_continue, "cr_expect_fail", "" __VA_ARGS__)
#define TEST_FAIL_(after, text, ...)                                                                                   \
    do {                                                                                                               \
        test_record(__FILE__, __LINE__, text, __VA_ARGS__);                                                            \
        after();                                                                                                       \
    } while (0)

#define cr_skip_test(...) test_leave_skipped("" __VA_ARGS__)
#define cr_skip(...) test_leave_skipped("" __VA_ARGS__)

#define cr_log_info(...) test_log("info", __VA_ARGS__)
#define cr_log_warn(...) test_log("warning", __VA_ARGS__)
#define cr_log_error(...) test_log("error", __VA_ARGS__)

#endif

#endif
