/*
 * Which sanitizer this translation unit is built with, for the few tests that must know: SANITIZER_ADDRESS,
 * SANITIZER_THREAD, and SANITIZER_LEAK where leaks are checked at exit. Palio itself does not include this.
 */
#ifndef TESTS_SUPPORT_SANITIZERS_H
#define TESTS_SUPPORT_SANITIZERS_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define SANITIZER_THREAD 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__) && !defined(SANITIZER_ADDRESS)
#define SANITIZER_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(SANITIZER_THREAD)
#define SANITIZER_THREAD 1
#endif

#if defined(SANITIZER_ADDRESS) && defined(__linux__)
#define SANITIZER_LEAK 1
#endif

#endif
