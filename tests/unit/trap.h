/* tests/unit/trap.h: the signal by which a failed BASE_ASSERT ends the program. */
#ifndef PALIO_TESTS_UNIT_TRAP_H
#define PALIO_TESTS_UNIT_TRAP_H

#include <signal.h>

#if defined(__aarch64__)
#define TRAP_SIGNAL SIGTRAP
#else
#define TRAP_SIGNAL SIGILL
#endif

#endif
