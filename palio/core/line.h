/* palio/core/line.h: one bounded, harmless line of text from a printf format, for the log and for error details. */
#ifndef PALIO_CORE_LINE_H
#define PALIO_CORE_LINE_H

#include <stdarg.h>
#include <stddef.h>

#include <palio/base.h>

/* Writes at most size bytes, terminator included. What is too long is cut, never within a UTF-8 character, and ends in
 * "..." where size allows. Control characters become '?', so that a peer's text cannot forge lines. Size is > 0. */
void palio__line(char *buffer, size_t size, const char *format, va_list arguments) PALIO_PRINTF(3, 0);

#endif
