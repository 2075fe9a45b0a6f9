/* signal_ctl.c: masks, interval timers, and signals that are raised, waited for and sent to threads. What a signal does
 * when it comes is signal.c's. Sets are 64 bits, bit n-1 for signal n; numbers that the C library keeps for itself
 * never get into its sigset_t, so nothing here can block them. Rules 2, 10 and 15. */
#include "../common/refusal.h"
#include "deadline.h"
#include "kernel.h"
#include "sys.h"

#include <signal.h>
#include <sys/time.h>

enum { NS_PER_MICROSECOND = 1000, MICROSECONDS_PER_SECOND = 1000000 };

/* ---- sets ---- */

static void set_of(uint64_t bits, sigset_t *out)
{
    sigemptyset(out);
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++)
        if (bits >> (number - 1) & 1)
            sigaddset(out, number); /* fails for the C library's own, which so stay out */
}

static uint64_t bits_of(const sigset_t *set)
{
    uint64_t bits = 0;
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++)
        if (sigismember(set, number) == 1)
            bits |= UINT64_C(1) << (number - 1);
    return bits;
}

int pal__k_signal_mask(int how, const uint64_t *set, uint64_t *old)
{
    static const int native[] = {SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK};
    sigset_t wanted, before;
    if (set && (how < PAL_SIGNAL_BLOCK || how > PAL_SIGNAL_SET))
        return pal__refuse(PAL_EINVAL, "how is PAL_SIGNAL_BLOCK, UNBLOCK or SET");
    if (set)
        set_of(*set, &wanted);
    int error = pthread_sigmask(set ? native[how] : SIG_BLOCK, set ? &wanted : NULL, &before);
    if (error)
        return pal__failed(-error);
    if (old)
        *old = bits_of(&before);
    return 0;
}

static int valid(uint64_t *out)
{
    sigset_t all;
    sigfillset(&all);
    *out = bits_of(&all);
    return 0;
}

static int pending(uint64_t *out)
{
    sigset_t set;
    sigemptyset(&set); /* the kernel fills in its own 64 bits only */
    long result = CHECKED(sigpending(&set));
    if (result < 0)
        return pal__failed(result);
    *out = bits_of(&set);
    return 0;
}

/* ---- raised, waited for, sent ---- */

static int send_to_self(int32_t number)
{
    if (!pal__k_signal_valid(number))
        return pal__refuse(PAL_EINVAL, "no such signal: PAL_SIGNAL_VALID has the numbers");
    long result = raise(number) ? -(long)errno : 0;
    return result < 0 ? pal__failed(result) : 0;
}

static int send_to_thread(const struct pal_signal_target *target)
{
    if (target->number && !pal__k_signal_valid(target->number))
        return pal__refuse(PAL_EINVAL, "no such signal: PAL_SIGNAL_VALID has the numbers");
    return pal__k_thread_signal(target->thread, target->number);
}

/* siginfo_t is a union: only what this kind of signal carries is read, the rest is 0. */
static void describe(const siginfo_t *from, struct pal_signal_info *out)
{
    int code = from->si_code;
    bool child = from->si_signo == SIGCHLD && code > 0;
    bool ready = (from->si_signo == SIGIO && code > 0) || code == SI_SIGIO;
    bool sent = code == SI_USER || (code < 0 && code != SI_SIGIO && code != SI_TIMER);
    bool queued = code < 0 && code != SI_SIGIO && code != SI_TKILL;
    out->number = from->si_signo;
    out->code = code;
    out->error = from->si_errno;
    out->status = child ? from->si_status : 0;
    out->process = child || sent ? (uint32_t)from->si_pid : 0;
    out->user = child || sent ? from->si_uid : 0;
    out->band = ready ? from->si_band : 0;
    out->value = queued ? (int64_t)(intptr_t)from->si_value.sival_ptr : 0;
}

static int wait_for(struct pal_signal_info *info)
{
    sigset_t set;
    siginfo_t found;
    struct timespec room;
    set_of(info->set, &set);
    long result = CHECKED(sigtimedwait(&set, &found, deadline_timeout(info->deadline_ns, &room)));
    if (result == -EAGAIN)
        return PAL_ETIMEDOUT;
    if (result < 0)
        return pal__failed(result);
    describe(&found, info);
    return 0;
}

/* ---- timers: nanoseconds here, microseconds in the kernel ---- */

/* Rounded up: what is not 0 stays so, or it would switch the timer off. */
static bool timeval_of(uint64_t ns, struct timeval *out)
{
    uint64_t microseconds = ns / NS_PER_MICROSECOND + (ns % NS_PER_MICROSECOND != 0);
    uint64_t seconds = microseconds / MICROSECONDS_PER_SECOND;
    out->tv_sec = (time_t)seconds;
    out->tv_usec = (suseconds_t)(microseconds % MICROSECONDS_PER_SECOND);
    return out->tv_sec >= 0 && (uint64_t)out->tv_sec == seconds;
}

static uint64_t ns_of(const struct timeval *from)
{
    return (uint64_t)from->tv_sec * NS_PER_SECOND + (uint64_t)from->tv_usec * NS_PER_MICROSECOND;
}

/* wanted NULL: only look. By constants, as the type of the first argument is another in each C library. */
static int native_timer(int what, const struct itimerval *wanted, struct itimerval *before)
{
    switch (what) {
    case PAL_SIGNAL_TIMER_REAL:
        return wanted ? setitimer(ITIMER_REAL, wanted, before) : getitimer(ITIMER_REAL, before);
    case PAL_SIGNAL_TIMER_VIRTUAL:
        return wanted ? setitimer(ITIMER_VIRTUAL, wanted, before) : getitimer(ITIMER_VIRTUAL, before);
    default: /* PAL_SIGNAL_TIMER_PROF */
        return wanted ? setitimer(ITIMER_PROF, wanted, before) : getitimer(ITIMER_PROF, before);
    }
}

static int set_timer(int what, struct pal_signal_timer *timer)
{
    struct itimerval wanted, before;
    bool only_look = timer->flags & PAL_SIGNAL_TIMER_GET;
    if (timer->flags & ~(uint32_t)PAL_SIGNAL_TIMER_GET)
        return pal__refuse(PAL_EINVAL, "the flags of a timer are PAL_SIGNAL_TIMER_GET");
    if (!timeval_of(timer->value_ns, &wanted.it_value) || !timeval_of(timer->interval_ns, &wanted.it_interval))
        return pal__refuse(PAL_EINVAL, "a timer of more seconds than this system counts");
    long result = CHECKED(native_timer(what, only_look ? NULL : &wanted, &before));
    if (result < 0)
        return pal__failed(result);
    timer->old_value_ns = ns_of(&before.it_value);
    timer->old_interval_ns = ns_of(&before.it_interval);
    return 0;
}

/* ---- pal_signal_ctl ---- */

static size_t argument_size(int what)
{
    switch (what) {
    case PAL_SIGNAL_RAISE:
        return sizeof(int32_t);
    case PAL_SIGNAL_PENDING:
    case PAL_SIGNAL_VALID:
        return sizeof(uint64_t);
    case PAL_SIGNAL_WAIT:
        return sizeof(struct pal_signal_info);
    case PAL_SIGNAL_TIMER_REAL:
    case PAL_SIGNAL_TIMER_VIRTUAL:
    case PAL_SIGNAL_TIMER_PROF:
        return sizeof(struct pal_signal_timer);
    case PAL_SIGNAL_DISPOSITION:
    case PAL_SIGNAL_GET:
    case PAL_SIGNAL_INTERRUPT:
        return sizeof(int32_t[2]);
    case PAL_SIGNAL_THREAD:
        return sizeof(struct pal_signal_target);
    default:
        return 0;
    }
}

int pal__k_signal_ctl(int what, void *argument, size_t size)
{
    int32_t *pair = argument; /* number, and what it is about */
    if (!argument_size(what))
        return pal__refuse(PAL_EINVAL, "no such request: pal/signal.h has them");
    if (!argument || size != argument_size(what))
        return pal__refuse(PAL_EINVAL, "the argument of this request is another: pal/signal.h has its type");
    switch (what) {
    case PAL_SIGNAL_RAISE:
        return send_to_self(pair[0]);
    case PAL_SIGNAL_PENDING:
        return pending(argument);
    case PAL_SIGNAL_WAIT:
        return wait_for(argument);
    case PAL_SIGNAL_TIMER_REAL:
    case PAL_SIGNAL_TIMER_VIRTUAL:
    case PAL_SIGNAL_TIMER_PROF:
        return set_timer(what, argument);
    case PAL_SIGNAL_DISPOSITION:
        return pal__k_signal_set(pair[0], &pair[1]);
    case PAL_SIGNAL_GET:
        return pal__k_signal_get(pair[0], &pair[1]);
    case PAL_SIGNAL_INTERRUPT:
        return pal__k_signal_interrupt(pair[0], pair[1]);
    case PAL_SIGNAL_THREAD:
        return send_to_thread(argument);
    default: /* PAL_SIGNAL_VALID */
        return valid(argument);
    }
}
