/* wait.h: polls of the simulated world, and other calls that wait: what pal_* of the same name does. See wait.c. */
#ifndef PAL__SIM_WAIT_H
#define PAL__SIM_WAIT_H

#include <pal/pal.h>
#include <stdbool.h>

int pal__s_poll_open(pal_poll **out, const struct pal_config *config);
int pal__s_poll_close(pal_poll *poll);
int pal__s_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns);
int pal__s_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns);
int pal__s_proc_spawn(const struct pal_spawn *spec, pal_proc *out);
int pal__s_proc_close(pal_proc process);
int pal__s_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns);
int pal__s_signal_watch(pal_poll *poll, int signal_number, uint64_t data);
int pal__s_signal_ctl(int what, void *argument, size_t size);

/* Waits until the socket may be ready for interest: 0, or PAL_EDEADLK. */
int pal__s_await(pal_sock sock, uint16_t interest);

/* The open poll of a number, or NULL; and how many are open. */
pal_poll *pal__s_poll(uint32_t number);
uint32_t pal__s_polls_open(void);

/* Closes it, whatever it says. */
void pal__s_poll_end(pal_poll *poll);

#endif
