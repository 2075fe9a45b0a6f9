/* pal/signal.h: signals of this process. Handlers exist only where the program asked for them (docs/seam.md, rule 15);
 * they set a bit and wake a poll. Signal numbers are Linux's on every platform. */
#ifndef PAL_SIGNAL_H
#define PAL_SIGNAL_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PAL_SIGHUP = 1,
    PAL_SIGINT = 2,
    PAL_SIGQUIT = 3,
    PAL_SIGABRT = 6,
    PAL_SIGKILL = 9,
    PAL_SIGUSR1 = 10,
    PAL_SIGUSR2 = 12,
    PAL_SIGPIPE = 13,
    PAL_SIGALRM = 14,
    PAL_SIGTERM = 15,
    PAL_SIGCHLD = 17,
    PAL_SIGCONT = 18,
    PAL_SIGSTOP = 19,
    PAL_SIGTSTP = 20,
    PAL_SIGVTALRM = 26,
    PAL_SIGPROF = 27,
    PAL_SIGWINCH = 28,
    PAL_SIGNAL_MAX = 64
};

/* From now on signal_number arrives as PAL_EV_SIGNAL with data (result: the number; several at once are one event, and
 * different ones come in ascending order) at poll, instead of what it did before; poll NULL puts that back. It has to
 * be unblocked in some thread. PAL_EBUSY: watched by another poll; PAL_EINVAL: KILL, STOP or no signal. Owner's thread.
 * PAL_ENOMEM. 1 call. */
int pal_signal_watch(pal_poll *poll, int signal_number, uint64_t data);

enum { PAL_SIGNAL_BLOCK, PAL_SIGNAL_UNBLOCK, PAL_SIGNAL_SET };

/* This thread's mask, which threads that it starts inherit; bit n-1 is signal n. set or old may be NULL. KILL, STOP and
 * what is not in PAL_SIGNAL_VALID are left out without a word. What is pending and gets unblocked is handled before the
 * call returns. PAL_EINVAL: no such how. 1 call. */
int pal_signal_mask(int how, const uint64_t *set, uint64_t *old);

/* One of three timers that this process has, each of which raises its signal. Times are rounded up to what the system
 * counts in (Linux: microseconds), so a time that is not 0 never becomes 0. */
struct pal_signal_timer {
    uint64_t value_ns;        /* until the next signal; 0: switched off */
    uint64_t interval_ns;     /* from then on again and again; 0: once */
    uint64_t old_value_ns;    /* written: what was left; 0: it was off */
    uint64_t old_interval_ns; /* written */
    uint32_t flags;           /* PAL_SIGNAL_TIMER_* */
    uint32_t reserved;
};
enum { PAL_SIGNAL_TIMER_GET = 1 /* only look */ };

/* WAIT takes set and deadline_ns and writes the rest; what this kind of signal does not carry is 0. */
struct pal_signal_info {
    uint64_t set;         /* those waited for, bit n-1 for signal n: blocked in every thread, or they go elsewhere */
    uint64_t deadline_ns; /* absolute monotonic; 0: look, UINT64_MAX: for ever */
    int32_t number;       /* which came */
    int32_t code;         /* how: the system's si_code */
    int32_t error;        /* si_errno */
    int32_t status;       /* CHLD: exit status, or the signal that did it */
    uint32_t process;     /* who sent it; CHLD: the child */
    uint32_t user;        /* the sender's, or the child's */
    int64_t band;         /* IO: what is ready */
    int64_t value;        /* what was sent along (sigqueue), as its pointer */
};

struct pal_signal_target {
    pal_thread thread; /* one that pal_thread_start began, not joined */
    int32_t number;    /* 0: only ask whether it is there */
    uint32_t reserved;
};

PAL_STATIC_ASSERT(sizeof(struct pal_signal_timer) == 40, "pal_signal_timer is 40 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_signal_info) == 56, "pal_signal_info is 56 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_signal_target) == 16, "pal_signal_target is 16 bytes");

enum {
    PAL_SIGNAL_RAISE = 1,     /* int32_t number: to this thread; handled before the call returns, unless blocked */
    PAL_SIGNAL_PENDING,       /* uint64_t set, written: blocked ones that have come, for this thread or the process */
    PAL_SIGNAL_WAIT,          /* struct pal_signal_info: takes one of set. Blocks this thread. PAL_ETIMEDOUT; PAL_EINTR:
                               * another signal was handled meanwhile (which not every C library tells) */
    PAL_SIGNAL_TIMER_REAL,    /* struct pal_signal_timer: SIGALRM, by real time */
    PAL_SIGNAL_TIMER_VIRTUAL, /* the same: SIGVTALRM, by the CPU time of this process's own code */
    PAL_SIGNAL_TIMER_PROF,    /* the same: SIGPROF, by its CPU time, the kernel's work for it included */
    PAL_SIGNAL_DISPOSITION,   /* int32_t[2]: number, and PAL_SIGNAL_DEFAULT or _IGNORE; written: what it was */
    PAL_SIGNAL_GET,           /* int32_t[2]: number; written: PAL_SIGNAL_DEFAULT ... */
    PAL_SIGNAL_INTERRUPT,     /* int32_t[2]: number of a watched signal, and 1: when it comes, a blocking call of the
                               * thread that it strikes ends with PAL_EINTR; 0: the call goes on, as it does when a
                               * watch begins. Waits end early with either */
    PAL_SIGNAL_THREAD,        /* struct pal_signal_target: to that thread. PAL_EBADF: joined, or never was; a signal to
                               * one that has ended is lost, or PAL_ESRCH */
    PAL_SIGNAL_VALID          /* uint64_t set, written: the numbers that this system has for programs */
};
enum {
    PAL_SIGNAL_DEFAULT,
    PAL_SIGNAL_IGNORE,
    PAL_SIGNAL_WATCHED,
    PAL_SIGNAL_FOREIGN /* a handler that was not installed through the seam */
};

/* The rest of what signals are: what is asked for, and its argument, by the table above. PAL_EINVAL: no such request,
 * signal, value or size, DISPOSITION of KILL or STOP, INTERRUPT of what is not watched. PAL_EBUSY: DISPOSITION of a
 * signal that is watched. Any thread; of one signal, one at a time. 1 call, 0 for VALID; RAISE and THREAD are the C
 * library's, with up to 3. */
int pal_signal_ctl(int what, void *argument, size_t size);

#ifdef __cplusplus
}
#endif
#endif
