/* words.h: failures in plain words: what is wrong, and what helps. The text is the caller's; codes are PAL_E*. */
#ifndef PAL__DPDK_WORDS_H
#define PAL__DPDK_WORDS_H

#include <pal/error.h>
#include <palio/base/text.h>

enum { DPDK_WORDS_MAX = 1024 }; /* a buffer of this size takes any of these messages */

/* Puts the text in place of what words holds, and returns code. */
int pal__d_fail(struct base_text *words, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends. */
void pal__d_say(struct base_text *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it looks at one file alone, and must know that what fails is no success */
#define pal__d_fail(words, code, ...) (pal__d_say(words, __VA_ARGS__), (code))
#endif

#endif
