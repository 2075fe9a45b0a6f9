/* kernel.h: what the tests of kernel backends share. They see what tests/conformance cannot: descriptors, system calls,
 * signals, fork. POSIX and Linux may be used here, and nothing of a backend's inside. */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include "../conformance/conformance.h"
#include "support/syscount.h"

#include <stdio.h>
#include <unistd.h>

/* For code that runs in a forked or traced child, where the cr_ macros have no place: says what failed and leaves. */
#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: must(%s)\n", __FILE__, __LINE__, #condition);                                      \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

bool is_backend(const char *name);

/* How many descriptors this process has open. */
int descriptors_open(void);

/* The descriptor of a socket, by PAL_SO_NATIVE. */
int native_of(pal_sock sock);

/* Absolute, milliseconds from now. */
uint64_t deadline_ms(uint64_t milliseconds);

/* Runs body(arg) in a traced child and returns what it has called between syscount_begin and syscount_end. Skips the
 * test where tracing is not permitted, and in sanitizer builds, whose run-time makes calls of its own. */
struct syscount calls_of(void (*body)(void *), void *arg);

/* Runs body(arg) in a forked child; fails the test unless it returns. */
void in_child(void (*body)(void *), void *arg);

/* ---- for bodies: as in conformance.h, but by must() ---- */

pal_poll *must_open_poll(uint32_t events_max, uint32_t lease_count);
void must_open_unix_pair(pal_sock ends[2]);
void must_open_tcp_pair(pal_sock ends[2]);
void must_listen(pal_sock *listener, struct pal_addr *addr);

/* One wait that returns no event, perhaps early: it may have cleaned up. */
void must_settle(pal_poll *poll);

/* So many waits of 1 ms, none of which returns an event or returns early: a poll that spins returns early. */
void must_sleep(pal_poll *poll, int waits);

/* Waits until a READY with this data has come. */
void must_become_ready(pal_poll *poll, uint64_t data);

#endif
