/*
 * Counts the system calls that a piece of code makes: all of them, also those of inline `syscall` instructions and of
 * the threads it starts, because the kernel reports them (ptrace), not a wrapper. Linux 5.3 or newer only. Not a
 * profiler: a traced call takes microseconds.
 */
#ifndef TESTS_SUPPORT_SYSCOUNT_H
#define TESTS_SUPPORT_SYSCOUNT_H

#include <stdio.h>

enum { SYSCOUNT_NUMBER_MAX = 512 };

enum syscount_result {
    SYSCOUNT_OK = 0,
    SYSCOUNT_NOT_PERMITTED, /* no ptrace here: skip with [ptrace] */
    SYSCOUNT_FAILED,        /* the body died, exited, or did not close its region */
};

struct syscount {
    unsigned total;                          /* calls between syscount_begin and syscount_end */
    unsigned by_number[SYSCOUNT_NUMBER_MAX]; /* the same, by SYS_ number */
    unsigned other;                          /* those whose number is SYSCOUNT_NUMBER_MAX or more */
    int status;                              /* the body's wait status, for SYSCOUNT_FAILED */
};

/*
 * Calls body(arg) in a traced child and counts between its syscount_begin and syscount_end; several regions add up.
 * The body: what it changes in memory does not reach the caller, except in shared mappings; it reports a failure by
 * assert or a non-zero exit, not by the cr_ macros, which belong to the test's own process.
 * The count: a call that the kernel restarts after a signal counts again; vDSO calls are no system calls; processes
 * that the body forks are not counted. In sanitizer builds the total includes calls of the run-time: compare by_number.
 * `out` is the caller's and is written in every case. Blocks until the body has ended; the child dies with the caller.
 */
enum syscount_result syscount_run(void (*body)(void *), void *arg, struct syscount *out);

/* The edges of the counted region, called by the body, from any of its threads. Neither counts itself. */
void syscount_begin(void);
void syscount_end(void);

/* One line, "total N: number xCOUNT ...", for the message of a failed comparison. */
void syscount_print(const struct syscount *count, FILE *stream);

#endif
