/* wait.c: waiting for the stack's sockets and the kernel's in one loop: turns of the stack, a look at the kernel's lane
 * every so many of them, and sleep when nothing is to be had. Rules 1, 10, 11, 12 and 14. */
#include "wait.h"

#include "../bypass/lane.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "../posix/wait.h"

#include <poll.h>

/* What a wait does where the port has no descriptor to sleep on: it looks again after so long. */
#define NAP_NS UINT64_C(50000)
/* The kernel's lane is looked at after so long, however few turns there were. */
#define KERNEL_LOOK_NS UINT64_C(50000)

static uint64_t signals[POLLS_MAX]; /* those watched, bit n-1 for signal n */
static _Atomic uint32_t polls_open;

uint32_t pal__d_polls_open(void)
{
    return atomic_load(&polls_open);
}

int pal__d_poll_open(pal_poll **out, const struct pal_config *config)
{
    int error;
    if (!pal__d_home(&error))
        return error;
    if ((error = pal__k_poll_open(out, config)))
        return error;
    pal__b_lane_begin(*out, NULL);
    signals[(*out)->leases.number] = 0;
    atomic_fetch_add(&polls_open, 1);
    return 0;
}

int pal__d_poll_close(pal_poll *poll)
{
    uint32_t number = poll ? poll->leases.number : 0;
    int error = pal__k_poll_close(poll);
    if (poll && !error) {
        pal__b_lane_end(number);
        atomic_fetch_sub(&polls_open, 1);
    }
    return error;
}

/* ---- one turn ---- */

static bool looks_outside(const pal_poll *poll)
{
    return lane_of(poll)->kernel_armed || signals[poll->leases.number];
}

/* The kernel's lane: every kernel_ratio turns or 50 us, and before sleeping. */
static bool kernel_is_due(struct home *home, uint64_t now_ns, bool idle)
{
    if (!idle && ++home->turns_since < pal__d_card_settings()->kernel_ratio &&
        now_ns - home->kernel_looked_ns < KERNEL_LOOK_NS)
        return false;
    home->turns_since = 0;
    home->kernel_looked_ns = now_ns;
    home->kernel_looks++;
    return true;
}

static void set_capture_time(struct home *home, uint64_t now_ns)
{
    for (uint32_t i = 0; i < DPDK_DEVICES_MAX && UNLIKELY(home->captures[i] != NULL); i++)
        pal__n_pcap_set_time(home->captures[i], now_ns);
}

/* *idle: there is nothing more to do at once. */
static int take_turn(pal_poll *poll, struct home *home, uint64_t now_ns, bool *idle)
{
    int error = 0;
    poll->count = 0;
    poll->now_ns = 0; /* read when it is asked for */
    if (UNLIKELY(wait_is_due(poll)))
        pal__k_attend(poll);
    set_capture_time(home, now_ns);
    home->turns++;
    bool more = pal__n_stack_poll(home->stack, now_ns);
    bool outside = looks_outside(poll);
    uint32_t left = events_room(poll), share = outside && left > 1 ? poll->count + left / 2 : poll->events_max;
    more |= pal__b_collect(poll, share);
    *idle = !more && !poll->count;
    if (outside && kernel_is_due(home, now_ns, *idle))
        error = pal__k_poll_look(poll);
    if (UNLIKELY(wait_is_due(poll)))
        pal__k_wake_collect(poll, poll->events_max);
    return poll->count ? 0 : error;
}

/* ---- sleep ---- */

/* Until when there is nothing to do; 0: there is something. */
static uint64_t sleep_until(struct home *home, uint64_t now_ns, uint64_t deadline_ns)
{
    pal__n_stack_flush(home->stack, now_ns);
    uint64_t next_ns = pal__n_stack_next(home->stack);
    if (next_ns <= now_ns)
        return 0;
    return next_ns < deadline_ns ? next_ns : deadline_ns;
}

/* Descriptors of the ports' queues; false: one has none, and has to be looked at. */
static bool port_fds(const struct home *home, struct pollfd *fds, nfds_t *count)
{
    bool all = true;
    if (home->queue == DPDK_QUEUES_MAX)
        return true;
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        int fd = pal__d_port_fd(pal__d_card_port(i), home->queue);
        all &= fd >= 0;
        if (fd >= 0)
            fds[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return all;
}

static void sleep_on(struct home *home, struct pollfd *fds, nfds_t count, uint64_t until_ns)
{
    uint64_t now_ns = monotonic_ns();
    if (!port_fds(home, fds, &count) && until_ns - now_ns > NAP_NS)
        until_ns = now_ns + NAP_NS;
    struct timespec room;
    home->sleeps++;
    ppoll(fds, count, deadline_timeout(until_ns, &room), NULL);
}

/* How this poll idles: as it was told, else as the settings have it. */
static bool may_sleep(pal_poll *poll, uint64_t now_ns)
{
    uint32_t idle = poll->idle;
    uint64_t spin_ns = poll->spin_ns;
    if (idle == PAL_IDLE_BLOCK && pal__d_card_settings()->idle != DPDK_IDLE_BLOCK) {
        idle = pal__d_card_settings()->idle == DPDK_IDLE_SPIN ? PAL_IDLE_SPIN : PAL_IDLE_BACKOFF;
        spin_ns = (uint64_t)pal__d_card_settings()->idle_us * 1000;
    }
    if (idle != PAL_IDLE_BACKOFF)
        return idle == PAL_IDLE_BLOCK;
    if (!poll->tired_ns)
        poll->tired_ns = now_ns + spin_ns;
    return now_ns >= poll->tired_ns;
}

static void idle(pal_poll *poll, struct home *home, uint64_t now_ns, uint64_t deadline_ns)
{
    struct pollfd fds[DPDK_DEVICES_MAX + 1] = {{.fd = pal__k_poll_descriptor(poll), .events = POLLIN}};
    uint64_t until_ns = may_sleep(poll, now_ns) ? sleep_until(home, now_ns, deadline_ns) : 0;
    if (!until_ns)
        return;
    atomic_store(&poll->asleep, 1);
    if (!wait_is_due(poll))
        sleep_on(home, fds, 1, until_ns);
    wake_up(poll);
}

int pal__d_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    RULE(1, out, "pal_poll_wait is given no place for the array");
    int error = poll_enter(poll);
    struct home *home = error ? NULL : pal__d_home(&error);
    *out = poll->events;
    if (UNLIKELY(!home))
        return error;
    for (;;) {
        uint64_t now_ns = monotonic_ns();
        bool is_idle;
        error = take_turn(poll, home, now_ns, &is_idle);
        if (poll->count || error) {
            poll->tired_ns = 0;
            return error ? error : (int)poll->count;
        }
        if (deadline_ns <= now_ns)
            return 0;
        if (is_idle)
            idle(poll, home, now_ns, deadline_ns);
    }
}

int pal__d_flush(pal_poll *poll)
{
    int error = poll_enter(poll);
    struct home *home = error ? NULL : pal__d_home(&error);
    if (home)
        pal__n_stack_flush(home->stack, monotonic_ns());
    return error;
}

/* ---- without a poll ---- */

int pal__d_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    struct home *home = pal__d_home_here();
    if (!home) /* then none of the items is a socket of the stack's that this thread may wait for */
        return pal__k_sock_wait(items, count, deadline_ns);
    for (;;) {
        struct pollfd fds[DPDK_DEVICES_MAX];
        uint64_t now_ns = monotonic_ns();
        bool more = pal__n_stack_poll(home->stack, now_ns);
        int ready = pal__b_look(items, count);
        if (ready || deadline_ns <= now_ns)
            return ready;
        bool outside = false;
        for (int i = 0; i < count; i++)
            outside |= items[i].sock.id && !in_stack(items[i].sock);
        uint64_t until_ns = more ? 0 : sleep_until(home, now_ns, deadline_ns);
        if (outside && until_ns > now_ns + NAP_NS)
            until_ns = now_ns + NAP_NS;
        if (until_ns)
            sleep_on(home, fds, 0, until_ns);
    }
}

int pal__d_signal_watch(pal_poll *poll, int signal_number, uint64_t data)
{
    int error = pal__k_signal_watch(poll, signal_number, data);
    if (error)
        return error;
    uint64_t bit = UINT64_C(1) << (signal_number - 1);
    for (uint32_t number = 0; number < POLLS_MAX; number++)
        signals[number] &= ~bit;
    if (poll)
        signals[poll->leases.number] |= bit;
    return 0;
}
