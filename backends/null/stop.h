/* backends/null/stop.h: the one thing that every function of the null backend does. */
#ifndef PAL__NULL_STOP_H
#define PAL__NULL_STOP_H

/* Says "null backend: <symbol> called" on the error stream and aborts. Any thread. */
_Noreturn void pal__null_stop(const char *symbol);

#endif
