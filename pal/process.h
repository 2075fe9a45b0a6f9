/* pal/process.h: child processes: start one, be told of its end, signal it.
 *
 * Upholds rules 2, 7, 8, 12, 15 and 17 of docs/seam.md. The seam installs no handler for SIGCHLD and never reaps a
 * child that it did not start; what the program does with SIGCHLD and with children of its own is its business. A
 * child's handle answers PAL_EBADF once it is closed. Costs are system calls on a kernel backend. */
#ifndef PAL_PROCESS_H
#define PAL_PROCESS_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A descriptor that the child gets: which of the parent's, and under which number. */
struct pal_spawn_fd {
    pal_sock sock;   /* or a pal_file by its id; {0}: use native. Not a user-space stack's */
    intptr_t native; /* -1 with sock {0}: the null device */
    int32_t number;  /* in the child */
    uint32_t reserved;
};

/* A resource limit of the child. Kinds have Linux's numbers on every platform. */
struct pal_spawn_limit {
    uint32_t kind; /* PAL_LIMIT_* */
    uint32_t reserved;
    uint64_t soft, hard; /* UINT64_MAX: none */
};
enum {
    PAL_LIMIT_CPU = 0,     /* seconds */
    PAL_LIMIT_FSIZE = 1,   /* bytes of a file that is written */
    PAL_LIMIT_DATA = 2,    /* bytes */
    PAL_LIMIT_STACK = 3,   /* bytes */
    PAL_LIMIT_CORE = 4,    /* bytes */
    PAL_LIMIT_NPROC = 6,   /* processes of its user */
    PAL_LIMIT_NOFILE = 7,  /* descriptors */
    PAL_LIMIT_MEMLOCK = 8, /* bytes */
    PAL_LIMIT_AS = 9       /* bytes of address space */
};

enum {
    PAL_SPAWN_SESSION = 1,        /* a session of its own, and with it a process group */
    PAL_SPAWN_GROUP = 2,          /* process group .group; 0: one of its own. Not with SESSION */
    PAL_SPAWN_UMASK = 4,          /* .umask */
    PAL_SPAWN_USER = 8,           /* .user: real, effective and saved */
    PAL_SPAWN_GROUPS = 16,        /* .groups, .group_count: the supplementary ones */
    PAL_SPAWN_SEARCH = 32,        /* look program up in PATH of the parent, if it has no slash */
    PAL_SPAWN_SIGNALS = 64,       /* also what is ignored goes back to its default, and nothing is blocked */
    PAL_SPAWN_PRIMARY_GROUP = 128 /* .primary_group: real, effective and saved */
};

/* Zero is the default of every field but program and argv; a field that belongs to a flag counts with it only. */
struct pal_spawn {
    const char *program;
    const char *const *argv;        /* NULL-terminated; argv[0] is the name it sees */
    const char *const *environment; /* "NAME=value", NULL-terminated; NULL: the parent's */
    const char *directory;          /* NULL: the parent's; a relative program is looked for from here */
    const struct pal_spawn_fd *fds; /* the whole list: nothing else is inherited. Of 0, 1 and 2 those that are not in it
                                     * are the null device. The parent's numbers and the child's may overlap */
    uint32_t fd_count;              /* at most PAL_SPAWN_FDS_MAX */
    uint32_t flags;                 /* PAL_SPAWN_* */
    uint32_t umask, user, primary_group, group;
    const uint32_t *groups;
    uint32_t group_count; /* at most PAL_SPAWN_GROUPS_MAX */
    uint32_t limit_count; /* at most one a kind */
    const struct pal_spawn_limit *limits;
    uint64_t reserved[3];
};
enum { PAL_SPAWN_FDS_MAX = 256, PAL_SPAWN_GROUPS_MAX = 65536 };

/* Starts a child; the calling thread sleeps until its program runs. All that it is given may go when this returns.
 *
 * What goes wrong before the program runs is returned here, pal_reason says at which step, and then there is no child
 * and nothing to reap: PAL_ENOENT, PAL_EACCES, PAL_ENOEXEC (also a script without "#!"), PAL_E2BIG, PAL_ETXTBSY,
 * PAL_ENOTDIR ... of program or directory; PAL_EPERM: a user, group or limit that needs privileges; PAL_EBADF: a stale
 * handle, a descriptor that is not open. PAL_ENOTSUP: a socket of a user-space stack, which has no descriptor (rule
 * 14). PAL_EBUSY: a handle has received leases queued. PAL_EAGAIN: no more processes;
 * PAL_EMFILE, PAL_ENFILE; PAL_ENOBUFS: socks_max handles are open; PAL_ENOMEM. PAL_EINVAL, with the remedy in
 * pal_reason: NULLs, unknown flags or kinds, two entries for one number or kind, too many, soft above hard.
 *
 * A socket or pipe that is given goes into blocking mode, as programs expect; this process's own use of it goes on like
 * that of one adopted PAL_ADOPT_SHARED, whose mode is left as it is. So no other thread may be inside a call on it
 * while it is given. Natives are given as they are. Signals that this process handles have their default in the child;
 * ignored and blocked ones stay so unless PAL_SPAWN_SIGNALS.
 *
 * Any thread. Allocates. Kernel backends do not copy the parent's memory, except to change the user or a group. 1 call,
 * 2 more for each handle that goes into blocking mode; 5 where memory is copied. */
int pal_proc_spawn(const struct pal_spawn *spec, pal_proc *out);

/* One PAL_EV_CHILD with data when it ends, at once if it has; result: its exit status, 0 to 255, or the negated number
 * of the signal that ended it; 255 if somebody else took its status (SIGCHLD ignored, a foreign wait). Then it is
 * unwatched. poll NULL ends the watch before that, and strikes out an event that the current array still holds. Owner's
 * thread of poll. PAL_EBUSY: watched already. PAL_ENOTSUP: without PAL_CAP_WATCH_CHILD. 1 call; 0 to 1 to end it. */
int pal_proc_watch(pal_poll *poll, pal_proc process, uint64_t data);

enum { PAL_PROC_RUNNING, PAL_PROC_ENDED };
struct pal_proc_info {
    uint64_t process_id; /* the system's */
    uint32_t state;      /* PAL_PROC_* */
    int32_t result;      /* ENDED: as the event's */
};
PAL_STATIC_ASSERT(sizeof(struct pal_proc_info) == 16, "pal_proc_info is 16 bytes");

/* Waits until it has ended: 0, and *out says how. PAL_ETIMEDOUT: it runs on at deadline_ns (absolute monotonic; 0: look
 * and return; UINT64_MAX: for ever); PAL_EINTR: a signal was handled. *out is written in these cases as well. Its
 * result is kept until close, whoever asks first, this call or the event. Any thread. 0 calls once it is known;
 * before, 1 while it runs, 2 when it is found to have ended, and 1 more to sleep, unless deadline_ns is 0. */
int pal_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns);

/* Sends a signal (Linux's number); 0 only asks whether that could be done. PAL_ESRCH: it has ended, and no other
 * process can be hit by mistake. PAL_EPERM: it has become somebody else's (set-user-ID). PAL_EINVAL: no such signal.
 * Any thread. 2 calls. */
int pal_proc_kill(pal_proc process, int signal_number);

/* The handle is dead on return; the child is neither signalled nor waited for. One that runs on is reaped, once it has
 * ended, by a later pal_proc_spawn or pal_proc_close: it is a zombie at most until then. PAL_EBUSY: watched. Any
 * thread. 1 to 3 calls, 1 more if its poll is to forget it; and 1 in each later spawn and close while it runs on. */
int pal_proc_close(pal_proc process);

#ifdef __cplusplus
}
#endif
#endif
