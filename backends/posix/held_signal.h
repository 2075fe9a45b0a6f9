/* held_signal.h: a call that may raise a signal of its own thread, SIGPIPE or SIGXFSZ, made without it: the signal is
 * blocked around the call, and taken back if the call has raised it (rule 15). Only where the call has no flag for
 * that; 2 system calls more, 3 where the signal was blocked already. */
#ifndef PAL__POSIX_HELD_SIGNAL_H
#define PAL__POSIX_HELD_SIGNAL_H

#include <stdbool.h>

struct held_signal {
    int number;                    /* 0: none is held */
    bool was_blocked, was_pending; /* before, and so again afterwards */
};

struct held_signal pal__k_hold_signal(int number);

/* raised: the call's error says that it has raised the signal. */
void pal__k_release_signal(const struct held_signal *held, bool raised);

#endif
