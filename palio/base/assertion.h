/* palio/base/assertion.h: assertions for code that stands on nothing.
 *
 * No message and no library: a trap at the broken line. They stay on in release builds and are for programmer errors
 * alone; the world's errors are return values. */
#ifndef PALIO_BASE_ASSERTION_H
#define PALIO_BASE_ASSERTION_H

#define BASE_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
