/* pal/process.h: child processes. The seam never installs SIGCHLD and never reaps a child that it did not start
 * (docs/seam.md, rule 15). */
#ifndef PAL_PROCESS_H
#define PAL_PROCESS_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A descriptor that the child gets: which of the parent's, and under which number. */
struct pal_spawn_fd {
    pal_sock sock;   /* {0}: use native */
    intptr_t native; /* -1 with sock {0}: the null device */
    int32_t number;  /* in the child */
    uint32_t reserved;
};

enum {
    PAL_SPAWN_SESSION = 1, /* a session and process group of its own */
    PAL_SPAWN_GROUP = 2,   /* a process group of its own, or .group's */
    PAL_SPAWN_UMASK = 4,
    PAL_SPAWN_USER = 8,
    PAL_SPAWN_GROUPS = 16,
    PAL_SPAWN_SEARCH = 32, /* look program up in PATH */
    PAL_SPAWN_SIGNALS = 64 /* dispositions and mask back to their defaults */
};

struct pal_spawn {
    const char *program;
    const char *const *argv;        /* NULL-terminated */
    const char *const *environment; /* "NAME=value", NULL-terminated; NULL: the parent's */
    const char *directory;          /* NULL: the parent's */
    const struct pal_spawn_fd *fds; /* the whole list: nothing else is inherited */
    uint32_t fd_count;
    uint32_t flags; /* PAL_SPAWN_* */
    uint32_t umask, user, primary_group, group;
    const uint32_t *groups; /* supplementary */
    uint32_t group_count;
    uint32_t reserved32;
    uint64_t reserved[4];
};

/* Starts a child. An error before its program runs (no such file, no permission, bad directory) is returned here, and
 * then there is no child. PAL_EBUSY: a handle has queued leases. Any thread. */
int pal_proc_spawn(const struct pal_spawn *spec, pal_proc *out);

/* One PAL_EV_CHILD with data when it ends; result: exit status, or the negated number of the signal that ended it, as
 * the event's result >= 0 or -signal. Owner's thread of poll. PAL_EBUSY: watched already. */
int pal_proc_watch(pal_poll *poll, pal_proc process, uint64_t data);

/* Sends a signal (Linux's number). PAL_ESRCH: it has ended. Any thread. 1 call. */
int pal_proc_kill(pal_proc process, int signal_number);

/* Forgets the child: it runs on, its status is collected and dropped. PAL_EBUSY: watched and still running. */
int pal_proc_close(pal_proc process);

#ifdef __cplusplus
}
#endif
#endif
