/* held_signal.c: see held_signal.h. */
#include "held_signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

static sigset_t set_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
}

struct held_signal pal__k_hold_signal(int number)
{
    struct held_signal held = {.number = number};
    sigset_t set = set_of(number), before, pending;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    held.was_blocked = sigismember(&before, number) == 1;
    if (held.was_blocked) /* else it would have been delivered */
        held.was_pending = !sigpending(&pending) && sigismember(&pending, number) == 1;
    return held;
}

void pal__k_release_signal(const struct held_signal *held, bool raised)
{
    if (!held->number)
        return;
    sigset_t set = set_of(held->number);
    if (raised && !held->was_pending)
        while (sigtimedwait(&set, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            continue;
    if (!held->was_blocked)
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
