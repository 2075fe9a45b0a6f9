/* line.c: one bounded, harmless line of text. See line.h. */
#include "line.h"

#include <stdio.h>
#include <string.h>

#include "assertion.h"

static const char ellipsis[] = "...";

static void mark_cut(char *buffer, size_t size)
{
    size_t end;

    if (size < sizeof(ellipsis))
        return;
    end = size - sizeof(ellipsis);
    while (end > 0 && ((unsigned char)buffer[end] & 0xc0) == 0x80) /* inside a UTF-8 character */
        end--;
    memcpy(buffer + end, ellipsis, sizeof(ellipsis));
}

void palio__line(char *buffer, size_t size, const char *format, va_list arguments)
{
    int length;

    PALIO__ASSERT(size > 0, "palio__line: no room for the terminator");
    length = vsnprintf(buffer, size, format, arguments);
    if (length < 0) /* a text the locale cannot encode */
        buffer[0] = '\0';
    else if ((size_t)length >= size)
        mark_cut(buffer, size);
    for (; *buffer != '\0'; buffer++) {
        if ((unsigned char)*buffer < 0x20 || *buffer == 0x7f)
            *buffer = '?';
    }
}
