/* tests/unit/test_core_log.c: where lines go, which ones, and that each is one bounded line. */
#include "support/test.h"

#include <stdatomic.h>

#include <pal/os.h>
#include <palio/base.h>
#include <palio/core/log.h>

struct sink {
    int count, level;
    char text[2 * PALIO_LOG_TEXT_SIZE];
};

static void keep_last(void *context, int level, const char *text)
{
    struct sink *sink = context;

    sink->count++;
    sink->level = level;
    (void)snprintf(sink->text, sizeof(sink->text), "%s", text);
}

Test(core_log, every_level_reaches_the_programs_log)
{
    struct sink sink = {0};

    palio_set_log(keep_last, &sink);
    for (int level = PALIO_LOG_DEBUG; level <= PALIO_LOG_ERROR; level++) {
        palio__log(level, "level %d of %s", level, "four");
        cr_assert_eq(sink.count, level + 1);
        cr_assert_eq(sink.level, level);
    }
    cr_assert_str_eq(sink.text, "level 3 of four");
}

Test(core_log, lines_are_cut_at_their_limit)
{
    struct sink sink = {0};
    char text[2 * PALIO_LOG_TEXT_SIZE];

    palio_set_log(keep_last, &sink);
    for (size_t length = PALIO_LOG_TEXT_SIZE - 2; length < sizeof(text); length += 1 + length / 4) {
        memset(text, 'x', length);
        text[length] = '\0';
        palio__log(PALIO_LOG_INFO, "%s", text);
        if (length < PALIO_LOG_TEXT_SIZE) {
            cr_assert_str_eq(sink.text, text);
        } else {
            cr_assert_eq(strlen(sink.text), PALIO_LOG_TEXT_SIZE - 1);
            cr_assert_str_eq(sink.text + PALIO_LOG_TEXT_SIZE - 4, "...");
        }
    }
}

Test(core_log, text_of_a_peer_cannot_begin_a_line)
{
    struct sink sink = {0};

    palio_set_log(keep_last, &sink);
    palio__log(PALIO_LOG_WARNING, "peer says %s", "hello\npalio: error: all is lost");
    cr_assert_str_eq(sink.text, "peer says hello?palio: error: all is lost");
}

Test(core_log, perror_is_one_line_at_level_error)
{
    struct sink sink = {0};

    palio_set_log(keep_last, &sink);
    palio_perror("serving", PALIO_EPIPE);
    cr_assert_eq(sink.count, 1);
    cr_assert_eq(sink.level, PALIO_LOG_ERROR);
    cr_assert_str_eq(sink.text, "serving: the reading side is gone (EPIPE)");
    palio_perror(NULL, PALIO_EPIPE);
    cr_assert_str_eq(sink.text, "the reading side is gone (EPIPE)");
    palio_perror("", PALIO_EPIPE);
    cr_assert_str_eq(sink.text, "the reading side is gone (EPIPE)");
}

Test(core_log, standard_error_gets_warnings_and_errors_by_default)
{
    struct sink sink = {0};
    char name[64], got[200];
    FILE *file;
    size_t size;

    palio_set_log(keep_last, &sink);
    palio_set_log(NULL, NULL);
    (void)snprintf(name, sizeof(name),
                   "core_log_%"
                   "llx.txt",
                   (unsigned long long)palio_monotonic_ns());
    cr_assert_not_null(freopen(name, "w", stderr));
    palio__log(PALIO_LOG_DEBUG, "not this");
    palio__log(PALIO_LOG_INFO, "nor this");
    palio__log(PALIO_LOG_WARNING, "queue at %d%%", 90);
    palio__log(PALIO_LOG_ERROR, "queue full");
    (void)fflush(stderr);
    file = fopen(name, "r");
    size = file != NULL ? fread(got, 1, sizeof(got) - 1, file) : 0;
    got[size] = '\0';
    if (file != NULL)
        (void)fclose(file);
    (void)remove(name);
    cr_assert_str_eq(got, "palio: warning: queue at 90%\npalio: error: queue full\n");
    cr_assert_eq(sink.count, 0);
}

/* ---- two threads at once: the first is held in the program's log while the second goes through it ---- */

struct meeting {
    _Atomic uint32_t is_inside, may_leave; /* 0 or 1; waited for by pal_park */
    struct sink outer, inner;
};

static void set_and_wake(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    pal_unpark((const uint32_t *)word, 1);
}

static void wait_until_set(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        (void)pal_park((const uint32_t *)word, 0, UINT64_MAX);
}

static void hold_outer(void *context, int level, const char *text)
{
    struct meeting *meeting = context;

    if (text[0] == 'i') {
        keep_last(&meeting->inner, level, text);
        return;
    }
    set_and_wake(&meeting->is_inside);
    wait_until_set(&meeting->may_leave);
    keep_last(&meeting->outer, level, text);
}

static void log_outer(void *arg)
{
    (void)arg;
    palio__log(PALIO_LOG_INFO, "outer %d", 1);
}

Test(core_log, threads_neither_wait_for_each_other_nor_mix_their_texts)
{
    static struct meeting meeting;
    pal_thread thread;

    palio_set_log(hold_outer, &meeting);
    cr_assert_eq(pal_thread_start(&thread, log_outer, NULL), 0);
    wait_until_set(&meeting.is_inside);
    palio__log(PALIO_LOG_ERROR, "inner %d", 2); /* with a lock, this would wait for ever */
    set_and_wake(&meeting.may_leave);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_str_eq(meeting.outer.text, "outer 1");
    cr_assert_eq(meeting.outer.level, PALIO_LOG_INFO);
    cr_assert_str_eq(meeting.inner.text, "inner 2");
}
