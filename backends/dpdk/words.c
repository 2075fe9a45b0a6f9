/* words.c: failures in plain words. */
#include "words.h"

#include <stdarg.h>
#include <stdio.h>

static void append(struct base_text *words, const char *format, va_list arguments)
{
    char line[DPDK_WORDS_MAX];

    vsnprintf(line, sizeof(line), format, arguments);
    base_text_string(words, line);
}

int(pal__d_fail)(struct base_text *words, int code, const char *format, ...)
{
    va_list arguments;

    base_text_clear(words);
    va_start(arguments, format);
    append(words, format, arguments);
    va_end(arguments);
    return code;
}

void pal__d_say(struct base_text *words, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append(words, format, arguments);
    va_end(arguments);
}
