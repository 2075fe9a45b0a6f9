/* poison.h: tells AddressSanitizer which of our pooled memory is nobody's; nothing in other builds. */
#ifndef PAL__COMMON_POISON_H
#define PAL__COMMON_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define PAL__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAL__ASAN 1
#endif
#endif

#ifdef PAL__ASAN
#include <sanitizer/asan_interface.h>
#define POISON(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define UNPOISON(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define POISON(memory, size) ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
#endif

#endif
