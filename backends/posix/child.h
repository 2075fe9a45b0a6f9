/* child.h: what a started child is, between its start (spawn.c) and everything after (process.c).
 *
 * A pal_proc is a slot of the handle table, of type SLOT_CHILD: its fd is the child's pidfd, its data points to a
 * struct child, which lives until close, or, if the child runs on, until it is reaped. */
#ifndef PAL__POSIX_CHILD_H
#define PAL__POSIX_CHILD_H

#include "../common/lock.h"
#include <pal/types.h>
#include <sys/wait.h>

enum { CHILD_RUNS = INT32_MIN, CHILD_LOST = 255 }; /* child.result: LOST when somebody else took its status */
enum { BY_PIDFD = 3 };                             /* waitid's P_PIDFD, which older headers lack */

/* What is waited for: an end, also of a child that a signal ended before it was a program (clone_args in spawn.c). */
#define CHILD_ENDS (WEXITED | __WALL)

struct child {
    _Atomic int32_t result; /* CHILD_RUNS, or as in struct pal_proc_info: then it has been reaped */
    int32_t process_id;
    int32_t pidfd;      /* -1: the kernel has none for us, and it is known by its process_id */
    struct pal_op op;   /* the machine's, while it is watched */
    struct child *next; /* orphans: closed while it ran */
};

/* In memory that fork wipes. */
struct child_locks {
    struct lock ids;     /* without pidfds: held while a process id is used, lest the child be reaped meanwhile */
    struct lock lending; /* held while handles are given to a child: two starts may give the same one */
};

/* NULL: out of memory. After a first answer it stays. */
struct child_locks *pal__k_child_locks(void);

/* Reaps what was closed while it ran and has ended since. */
void pal__k_reap_orphans(void);

#endif
