/* log.c: the log, and the standard error stream as its default. See log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#include "assertion.h"
#include "line.h"

/* Written before other threads exist (palio_set_log says so), read by all. */
static void (*chosen_log)(void *context, int level, const char *text);
static void *chosen_context;

void palio_set_log(void (*log)(void *context, int level, const char *text), void *context)
{
    chosen_log = log;
    chosen_context = context;
}

/* One call of the stream a line, so that lines of several threads do not mix. */
static void write_to_stderr(int level, const char *text)
{
    char line[PALIO_LOG_TEXT_SIZE + 32];

    (void)snprintf(line, sizeof(line), "palio: %s: %s\n", level == PALIO_LOG_WARNING ? "warning" : "error", text);
    (void)fputs(line, stderr);
}

void palio__log(int level, const char *format, ...)
{
    char text[PALIO_LOG_TEXT_SIZE];
    va_list arguments;

    PALIO__ASSERT(level >= PALIO_LOG_DEBUG && level <= PALIO_LOG_ERROR, "palio__log: no such level");
    if (chosen_log == NULL && level < PALIO_LOG_WARNING)
        return;
    va_start(arguments, format);
    palio__line(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (chosen_log != NULL)
        chosen_log(chosen_context, level, text);
    else
        write_to_stderr(level, text);
}
