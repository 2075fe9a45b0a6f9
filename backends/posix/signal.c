/* signal.c: signals as events, and what a signal does. A handler exists only while pal_signal_watch asks for it (rule
 * 15); it sets a bit and notifies the poll (hole 36). What a signal did before is restored when its watch ends. The
 * rest of pal/signal.h, masks and timers, is in signal_ctl.c. */
#include "wait.h"

#include "../common/memory.h"
#include "../common/refusal.h"
#include "sys.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

SAME_NUMBER(PAL_SIGHUP, SIGHUP);
SAME_NUMBER(PAL_SIGINT, SIGINT);
SAME_NUMBER(PAL_SIGQUIT, SIGQUIT);
SAME_NUMBER(PAL_SIGABRT, SIGABRT);
SAME_NUMBER(PAL_SIGKILL, SIGKILL);
SAME_NUMBER(PAL_SIGUSR1, SIGUSR1);
SAME_NUMBER(PAL_SIGUSR2, SIGUSR2);
SAME_NUMBER(PAL_SIGPIPE, SIGPIPE);
SAME_NUMBER(PAL_SIGALRM, SIGALRM);
SAME_NUMBER(PAL_SIGTERM, SIGTERM);
SAME_NUMBER(PAL_SIGCHLD, SIGCHLD);
SAME_NUMBER(PAL_SIGCONT, SIGCONT);
SAME_NUMBER(PAL_SIGSTOP, SIGSTOP);
SAME_NUMBER(PAL_SIGTSTP, SIGTSTP);
SAME_NUMBER(PAL_SIGVTALRM, SIGVTALRM);
SAME_NUMBER(PAL_SIGPROF, SIGPROF);
SAME_NUMBER(PAL_SIGWINCH, SIGWINCH);

/* Who watches a signal: .poll is taken from NULL by whoever begins, and is NULL again only when .before is back. */
static struct watched {
    pal_poll *_Atomic poll;
    uint64_t data;
    struct sigaction before;
} watched[PAL_SIGNAL_MAX + 1];

/* How many run, on any thread: a poll is not freed under them. In memory that fork wipes, as those of other threads end
 * in the parent alone. NULL: there has been no watch yet. */
static _Atomic int32_t *_Atomic handlers_running;
static _Atomic uint64_t arrived;          /* bit n - 1: signal n */

static void on_signal(int number)
{
    int saved = errno;
    _Atomic int32_t *running = atomic_load(&handlers_running);
    atomic_fetch_add(running, 1);
    pal_poll *poll = atomic_load(&watched[number].poll);
    if (poll && !poll_inherited(poll)) {
        atomic_fetch_or(&arrived, UINT64_C(1) << (number - 1));
        poll_notify(poll, WAKE_SIGNAL);
    }
    atomic_fetch_sub(running, 1);
    errno = saved;
}

/* Makes a signal call on_signal. interrupt: system calls that it finds under way end with EINTR. */
static long handle(int number, bool interrupt, struct sigaction *before)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = interrupt ? 0 : SA_RESTART};
    sigfillset(&action.sa_mask);
    return CHECKED(sigaction(number, &action, before));
}

bool pal__k_signal_valid(int number)
{
    sigset_t all;
    sigfillset(&all); /* without those that the C library keeps for itself */
    return number >= 1 && number <= PAL_SIGNAL_MAX && sigismember(&all, number) == 1;
}

static int unchangeable(int number)
{
    if (!pal__k_signal_valid(number))
        return pal__refuse(PAL_EINVAL, "no such signal: PAL_SIGNAL_VALID has the numbers");
    if (number == SIGKILL || number == SIGSTOP)
        return pal__refuse(PAL_EINVAL, "what KILL and STOP do cannot be changed");
    return 0;
}

/* ---- watches ---- */

static int unwatch(int number)
{
    struct watched *entry = &watched[number];
    if (!atomic_load(&entry->poll))
        return 0;
    long result = CHECKED(sigaction(number, &entry->before, NULL));
    if (result < 0)
        return pal__failed(result);
    atomic_fetch_and(&arrived, ~(UINT64_C(1) << (number - 1)));
    atomic_store(&entry->poll, NULL);
    return 0;
}

static bool have_handlers_running(void)
{
    _Atomic int32_t *fresh, *none = NULL;
    if (atomic_load(&handlers_running))
        return true;
    if (!(fresh = pal__alloc_wiped(sizeof *fresh)))
        return false;
    atomic_compare_exchange_strong(&handlers_running, &none, fresh); /* two at once: the other's page is not missed */
    return true;
}

int pal__k_signal_watch(pal_poll *poll, int number, uint64_t data)
{
    int error = unchangeable(number);
    if (error)
        return error;
    if (!poll)
        return unwatch(number);
    if ((error = poll_enter(poll)))
        return error;
    if (!have_handlers_running())
        return PAL_ENOMEM;
    struct watched *entry = &watched[number];
    pal_poll *other = NULL;
    bool begins = atomic_compare_exchange_strong(&entry->poll, &other, poll);
    /* In a child of fork the parent's watch is dead; its handler and .before serve on. */
    bool mine = begins || other == poll ||
                (poll_inherited(other) && atomic_compare_exchange_strong(&entry->poll, &other, poll));
    if (!mine)
        return pal__refuse(PAL_EBUSY, "another poll watches this signal");
    entry->data = data;
    if (!begins)
        return 0;
    long result = handle(number, false, &entry->before);
    if (result < 0) {
        atomic_store(&entry->poll, NULL);
        return pal__failed(result);
    }
    return 0;
}

bool pal__k_signal_deliver(pal_poll *poll, uint32_t count_max)
{
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++) {
        uint64_t bit = UINT64_C(1) << (number - 1);
        if (!(atomic_load(&arrived) & bit) || atomic_load(&watched[number].poll) != poll)
            continue;
        if (poll->count >= count_max)
            return false;
        atomic_fetch_and(&arrived, ~bit);
        emit(poll, PAL_EV_SIGNAL, watched[number].data, number, 0);
    }
    return true;
}

void pal__k_signal_forget(const pal_poll *poll)
{
    for (int number = 1; number <= PAL_SIGNAL_MAX; number++)
        if (atomic_load(&watched[number].poll) == poll)
            unwatch(number);
    const _Atomic int32_t *running = atomic_load(&handlers_running);
    while (running && atomic_load(running) > 0)
        sched_yield();
}

/* ---- what a signal does ---- */

static int32_t kind_of(const struct sigaction *action)
{
    if (action->sa_handler == SIG_DFL)
        return PAL_SIGNAL_DEFAULT;
    if (action->sa_handler == SIG_IGN)
        return PAL_SIGNAL_IGNORE;
    return action->sa_handler == on_signal ? PAL_SIGNAL_WATCHED : PAL_SIGNAL_FOREIGN;
}

/* False for a poll that watched it before fork, in the parent. */
static bool watches(const pal_poll *poll)
{
    return poll && !poll_inherited(poll);
}

int pal__k_signal_get(int number, int32_t *what)
{
    struct sigaction now;
    if (!pal__k_signal_valid(number))
        return pal__refuse(PAL_EINVAL, "no such signal: PAL_SIGNAL_VALID has the numbers");
    long result = CHECKED(sigaction(number, NULL, &now));
    if (result < 0)
        return pal__failed(result);
    *what = kind_of(&now);
    return 0;
}

int pal__k_signal_set(int number, int32_t *what)
{
    struct sigaction before, action = {.sa_handler = *what == PAL_SIGNAL_IGNORE ? SIG_IGN : SIG_DFL};
    int error = unchangeable(number);
    if (error)
        return error;
    if (*what != PAL_SIGNAL_DEFAULT && *what != PAL_SIGNAL_IGNORE)
        return pal__refuse(PAL_EINVAL, "a disposition is PAL_SIGNAL_DEFAULT or _IGNORE");
    pal_poll *poll = atomic_load(&watched[number].poll);
    if (watches(poll))
        return pal__refuse(PAL_EBUSY, "this signal is watched: pal_signal_watch with poll NULL ends that");
    sigemptyset(&action.sa_mask);
    long result = CHECKED(sigaction(number, &action, &before));
    if (result < 0)
        return pal__failed(result);
    if (poll) /* the parent's */
        atomic_compare_exchange_strong(&watched[number].poll, &poll, NULL);
    *what = kind_of(&before);
    return 0;
}

int pal__k_signal_interrupt(int number, int32_t on)
{
    int error = unchangeable(number);
    if (error)
        return error;
    if (on < 0 || on > 1)
        return pal__refuse(PAL_EINVAL, "PAL_SIGNAL_INTERRUPT is 0 or 1");
    if (!watches(atomic_load(&watched[number].poll)))
        return pal__refuse(PAL_EINVAL, "only a watched signal has a handler that could interrupt: watch it first");
    long result = handle(number, on, NULL);
    return result < 0 ? pal__failed(result) : 0;
}
