/* signal.c: signals as events. A handler exists only while pal_signal_watch asks for it (rule 15); it sets a bit and
 * wakes the poll (hole 36). What a signal did before is restored when its watch ends. */
#include "wait.h"

#include "../common/refusal.h"
#include "sys.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

SAME_NUMBER(PAL_SIGINT, SIGINT);
SAME_NUMBER(PAL_SIGTERM, SIGTERM);
SAME_NUMBER(PAL_SIGUSR1, SIGUSR1);
SAME_NUMBER(PAL_SIGCHLD, SIGCHLD);

static struct watched {
    pal_poll *_Atomic poll;
    uint64_t data;
    struct sigaction before;
} watched[PAL_SIGNAL_MAX + 1];

static _Atomic uint32_t handlers_running; /* on any thread: a poll is not freed under them */
static _Atomic uint64_t arrived;          /* bit n - 1: signal n */

static void on_signal(int number)
{
    int saved = errno;
    atomic_fetch_add(&handlers_running, 1);
    pal_poll *poll = atomic_load(&watched[number].poll);
    if (poll && !poll_inherited(poll)) {
        atomic_fetch_or(&arrived, UINT64_C(1) << (number - 1));
        poll_notify(poll, WAKE_SIGNAL);
    }
    atomic_fetch_sub(&handlers_running, 1);
    errno = saved;
}

static int unwatch(int number)
{
    struct watched *entry = &watched[number];
    if (!atomic_load(&entry->poll))
        return 0;
    long result = CHECKED(sigaction(number, &entry->before, NULL));
    if (result < 0)
        return pal__failed(result);
    atomic_store(&entry->poll, NULL);
    atomic_fetch_and(&arrived, ~(UINT64_C(1) << (number - 1)));
    return 0;
}

int pal__k_signal_watch(pal_poll *poll, int number, uint64_t data)
{
    if (number < 1 || number > PAL_SIGNAL_MAX || number == SIGKILL || number == SIGSTOP)
        return pal__refuse(PAL_EINVAL, "signals are 1 to 64, and KILL and STOP cannot be watched");
    struct watched *entry = &watched[number];
    pal_poll *other = atomic_load(&entry->poll);
    if (!poll)
        return unwatch(number);
    int error = poll_enter(poll);
    if (error)
        return error;
    if (other && other != poll)
        return pal__refuse(PAL_EBUSY, "another poll watches this signal");
    entry->data = data;
    if (other)
        return 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    atomic_store(&entry->poll, poll);
    long result = CHECKED(sigaction(number, &action, &entry->before));
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
    while (atomic_load(&handlers_running))
        sched_yield();
}
