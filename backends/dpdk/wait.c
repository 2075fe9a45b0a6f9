/* wait.c: waiting for the stack's sockets and the kernel's in one loop: turns of the stack, a look at the kernel's lane
 * every so many of them, and sleep when nothing is to be had. Rules 1, 10, 11, 12 and 14.
 *
 * A signal ends no wait by itself: what a poll watches comes as an event. */
#include "wait.h"

#include "../bypass/lane.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "../posix/wait.h"

#include <poll.h>
#include <unistd.h>

/* What a wait does where a port has no descriptor to sleep on: it naps, for an eighth of the time since the latest
 * frame, within these bounds. */
#define NAP_NS UINT64_C(50000)
#define NAP_MOST_NS UINT64_C(500000)
/* The kernel's lane is looked at after so long, however few turns there were. */
#define KERNEL_LOOK_NS UINT64_C(50000)

enum { SLEEP_FDS = 256, PORT_FDS = DPDK_DEVICES_MAX + 1, TRIES_IN_VAIN = 32 };

/* A poll's outlook on the kernel's lane, by its number. */
static struct outlook {
    uint64_t looked_ns; /* when it was looked at */
    uint32_t turns;     /* since then */
    bool due;           /* the kernel has said that there is something */
    bool first;         /* it is looked at before the stack's, this time */
} outlooks[POLLS_MAX];

static _Atomic uint32_t polls_open;

uint32_t pal__d_polls_open(void)
{
    return atomic_load(&polls_open);
}

int pal__d_poll_open(pal_poll **out, const struct pal_config *config)
{
    int error = pal__d_card_begin(); /* the stack is begun by who waits, which may be another thread */
    if (error || (error = pal__k_poll_open(out, config)))
        return error;
    pal__b_lane_begin(*out, NULL);
    outlooks[(*out)->leases.number] = (struct outlook){.due = false};
    atomic_fetch_add(&polls_open, 1);
    return 0;
}

/* What was closed before is on its way with the poll's end (rule 7): there may be no other wait. */
int pal__d_poll_close(pal_poll *poll)
{
    struct home *home = pal__d_home_here();
    uint32_t number = poll ? poll->leases.number : 0;
    int error = pal__k_poll_close(poll);
    if (!poll || error)
        return error;
    if (home)
        pal__n_stack_flush(home->stack, monotonic_ns());
    pal__b_lane_end(number);
    atomic_fetch_sub(&polls_open, 1);
    return 0;
}

/* ---- one turn ---- */

static bool has_outside(const pal_poll *poll)
{
    return outlooks[poll->leases.number].due || lane_of(poll)->kernel_armed;
}

/* The kernel's lane: every kernel_ratio turns or 50 us if there is something of the kernel's; before a sleep, by the
 * descriptors that end it. */
static bool kernel_is_due(const pal_poll *poll, uint64_t now_ns)
{
    struct outlook *outlook = &outlooks[poll->leases.number];
    bool due = outlook->due || ++outlook->turns >= pal__d_card.settings.kernel_ratio ||
               now_ns - outlook->looked_ns >= KERNEL_LOOK_NS;
    if (due)
        *outlook = (struct outlook){.looked_ns = now_ns, .first = !outlook->first};
    return due;
}

/* Gives captures the time, and switches them as another thread has said. */
static void serve_captures(struct home *home, uint64_t now_ns)
{
    if (home->captures_on != atomic_load_explicit(&pal__d_card.captures, memory_order_relaxed))
        pal__d_home_capture(home);
    for (uint32_t i = 0; i < DPDK_DEVICES_MAX && home->captures[i]; i++)
        pal__n_pcap_set_time(home->captures[i], now_ns);
}

static bool turn(struct home *home, uint64_t now_ns)
{
    if (UNLIKELY(home->captures[0] != NULL))
        serve_captures(home, now_ns);
    home->turns++;
    home->in_vain = 0;
    return pal__n_stack_poll(home->stack, now_ns);
}

bool pal__d_try_again(void)
{
    struct home *home = pal__d_home_here();
    if (LIKELY(!home || ++home->in_vain < TRIES_IN_VAIN))
        return false;
    turn(home, monotonic_ns());
    return true;
}

static int look_outside(pal_poll *poll, struct home *home)
{
    home->kernel_looks++;
    return pal__k_poll_look(poll);
}

/* The stack's lane and the kernel's take turns at being first, and none takes the room of both (rule 11).
 * last: the wait will return whatever is found. *more: the stack may have more to do at
 * once. *listed: a socket is ready of which nothing could be told, and nobody will say so again. */
static int take_turn(pal_poll *poll, struct home *home, uint64_t now_ns, bool last, bool *more, bool *listed)
{
    int error = 0;
    poll->count = 0;
    poll->now_ns = 0; /* read when it is asked for */
    if (UNLIKELY(wait_is_due(poll)))
        pal__k_attend(poll);
    *more = turn(home, now_ns);
    bool outside = has_outside(poll) && kernel_is_due(poll, now_ns);
    bool first = outside && outlooks[poll->leases.number].first;
    uint32_t left = events_room(poll);
    if (first)
        error = look_outside(poll, home);
    *listed = pal__b_collect(poll, outside && !first && left > 1 ? poll->count + left / 2 : poll->events_max);
    if (outside ? !first : last && !poll->count && has_outside(poll))
        error = look_outside(poll, home);
    if (UNLIKELY(wait_is_due(poll)))
        pal__k_wake_collect(poll, poll->events_max);
    return poll->count ? 0 : error;
}

/* ---- sleep ---- */

static uint64_t received(const struct home *home)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; home->queue != DPDK_QUEUES_MAX && i < pal__d_card_ports(); i++)
        sum += pal__d_port_queue_counts(pal__d_card.ports[i], home->queue)->received;
    if (pal__d_home_steer(home))
        sum += pal__d_steer_counts(pal__d_home_steer(home), home->queue)->taken;
    return sum;
}

/* Has a frame come since this was asked last? */
static bool hears(struct home *home, uint64_t now_ns)
{
    uint64_t frames = received(home);
    bool some = frames != home->received;
    if (some)
        home->quiet_ns = now_ns;
    home->received = frames;
    return some;
}

/* How long to sleep where a port is to be looked at. */
static uint64_t nap_ns(struct home *home, uint64_t now_ns)
{
    (void)hears(home, now_ns);
    uint64_t nap = (now_ns - home->quiet_ns) / 8;
    return nap < NAP_NS ? NAP_NS : nap > NAP_MOST_NS ? NAP_MOST_NS : nap;
}

/* A turn has told no event. Is there nothing to do at once? more: what it said. */
static bool has_rest(struct home *home, uint64_t now_ns, bool more)
{
    home->stuck = more && !hears(home, now_ns) && pal__n_stack_next(home->stack) > now_ns;
    return !more || home->stuck;
}

/* Until when there is nothing to do; 0: there is something. */
static uint64_t sleep_until(struct home *home, uint64_t now_ns, uint64_t deadline_ns)
{
    pal__n_stack_flush(home->stack, now_ns);
    uint64_t next_ns = pal__n_stack_next(home->stack);
    if (next_ns <= now_ns)
        return 0;
    if (home->stuck && next_ns < now_ns + nap_ns(home, now_ns))
        next_ns = now_ns + nap_ns(home, now_ns);
    return next_ns < deadline_ns ? next_ns : deadline_ns;
}

/* Sets up what ends a sleep. A frame that has come before that ends none: there must be another look before it. */
static void listen_to_ports(struct home *home)
{
    home->hears_all = true;
    home->fd_count = 0;
    home->listens = true;
    for (uint32_t i = 0; home->queue != DPDK_QUEUES_MAX && i < pal__d_card_ports(); i++) {
        int fd = pal__d_port_fd(pal__d_card.ports[i], home->queue);
        home->hears_all &= fd >= 0;
        home->taken[home->fd_count] = pal__d_device_kind(&pal__d_card.settings.devices[i]) == DPDK_PCI;
        if (fd >= 0)
            home->fds[home->fd_count++] = fd;
    }
    if (pal__d_home_steer(home)) {
        home->hears_all &= !pal__d_steer_reads_others(pal__d_home_steer(home), home->queue);
        home->taken[home->fd_count] = true;
        home->fds[home->fd_count++] = pal__d_steer_bell(pal__d_home_steer(home), home->queue);
    }
}

/* On count descriptors, behind which there is room for the ports', until one of them is ready or the time has come. */
static void sleep_on(struct home *home, struct pollfd *fds, nfds_t count, uint64_t until_ns)
{
    uint64_t now_ns = monotonic_ns(), most_ns = home->hears_all ? UINT64_MAX : now_ns + nap_ns(home, now_ns), event;
    struct steer *steer = pal__d_home_steer(home);
    struct timespec room;
    nfds_t all = count + home->fd_count;
    int ready;
    for (uint32_t i = 0; i < home->fd_count; i++)
        fds[count + i] = (struct pollfd){.fd = home->fds[i], .events = POLLIN};
    home->listens = false;
    if (steer && !pal__d_steer_sleeps(steer, home->queue)) {
        for (uint32_t i = 0; i < count; i++)
            fds[i].revents = 0;
        return; /* another thread has just given it a frame */
    }
    home->sleeps++;
    ready = ppoll(fds, all, deadline_timeout(until_ns < most_ns ? until_ns : most_ns, &room), NULL);
    if (steer)
        pal__d_steer_woke(steer, home->queue);
    if (ready < 0) {
        for (nfds_t i = 0; i < all; i++)
            fds[i].revents = 0; /* a signal, or the system lacks memory: the next turn looks */
        return;
    }
    for (uint32_t i = 0; i < home->fd_count; i++)
        if (home->taken[i] && fds[count + i].revents)
            (void)!read(home->fds[i], &event, sizeof event); /* a card's interrupt: else it would stay */
}

/* How a wait idles where the poll leaves it to the card: by its settings. */
static uint32_t idle_of_card(uint64_t *spin_ns)
{
    *spin_ns = (uint64_t)pal__d_card.settings.idle_us * 1000;
    switch (pal__d_card.settings.idle) {
    case DPDK_IDLE_SPIN:
        return PAL_IDLE_SPIN;
    case DPDK_IDLE_BACKOFF:
        return PAL_IDLE_BACKOFF;
    default:
        return PAL_IDLE_BLOCK;
    }
}

/* May a wait sleep that idles in this way, and has been looking in vain since *tired_ns is not 0? */
static bool may_sleep(uint32_t idle, uint64_t spin_ns, uint64_t now_ns, uint64_t *tired_ns)
{
    if (idle != PAL_IDLE_BACKOFF)
        return idle == PAL_IDLE_BLOCK;
    if (!*tired_ns && __builtin_add_overflow(now_ns, spin_ns, tired_ns))
        *tired_ns = UINT64_MAX;
    return now_ns >= *tired_ns;
}

static void idle(pal_poll *poll, struct home *home, uint64_t now_ns, uint64_t deadline_ns, bool listed)
{
    struct pollfd fds[1 + PORT_FDS] = {{.fd = pal__k_poll_descriptor(poll), .events = POLLIN}};
    uint32_t way = poll->idle;
    uint64_t spin_ns = poll->spin_ns, until_ns;
    if (way == PAL_IDLE_BLOCK)
        way = idle_of_card(&spin_ns);
    if (!may_sleep(way, spin_ns, now_ns, &poll->tired_ns))
        return;
    if (!home->listens) {
        listen_to_ports(home);
        return;
    }
    if (!(until_ns = sleep_until(home, now_ns, deadline_ns)))
        return;
    if (listed && until_ns - now_ns > NAP_NS)
        until_ns = now_ns + NAP_NS;
    atomic_store(&poll->asleep, 1); /* then look for bits: hole 37 */
    if (!(atomic_load(&poll->wake_bits) & ~(uint32_t)WAKE_SPIN)) {
        sleep_on(home, fds, 1, until_ns);
        outlooks[poll->leases.number].due = fds[0].revents != 0;
    }
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
        bool more, listed, last = deadline_ns <= now_ns;
        error = take_turn(poll, home, now_ns, last, &more, &listed);
        if (poll->count || error) {
            poll->tired_ns = 0;
            home->listens = false;
            return error ? error : (int)poll->count;
        }
        if (last)
            return 0;
        if (has_rest(home, now_ns, more))
            idle(poll, home, now_ns, deadline_ns, listed);
        else
            home->listens = false;
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

/* Descriptors of the kernel's items. False: there are more than there is room for, or one may become one unseen. */
static bool item_fds(const struct pal_wait *items, int count, struct pollfd *fds, nfds_t *used)
{
    *used = 0;
    for (int i = 0; i < count; i++) {
        const struct slot *slot = in_stack(items[i].sock) ? NULL : slot_of(items[i].sock);
        if (!slot)
            continue;
        if (*used == SLEEP_FDS || slot_flags(slot) & SLOT_FRESH)
            return false;
        fds[(*used)++] = (struct pollfd){.fd = slot->fd, .events = (short)(items[i].interest & SLOT_WAITABLE)};
    }
    return true;
}

/* Nothing is ready, and the stack has nothing to do at once. */
static void sock_idle(struct home *home, const struct pal_wait *items, int count, uint64_t now_ns, uint64_t deadline_ns)
{
    struct pollfd fds[SLEEP_FDS + PORT_FDS];
    nfds_t used;
    if (!home->listens) {
        listen_to_ports(home);
        return;
    }
    uint64_t until_ns = sleep_until(home, now_ns, deadline_ns);
    if (!until_ns)
        return;
    if (!item_fds(items, count, fds, &used) && until_ns - now_ns > NAP_NS)
        until_ns = now_ns + NAP_NS;
    sleep_on(home, fds, used, until_ns);
}

int pal__d_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    struct home *home = pal__d_home_here();
    uint64_t spin_ns, tired_ns = 0;
    uint32_t way = idle_of_card(&spin_ns);
    if (!home) /* then none of the items is a socket of the stack's that this thread may wait for */
        return pal__k_sock_wait(items, count, deadline_ns);
    for (home->listens = false;;) {
        uint64_t now_ns = monotonic_ns();
        bool more = turn(home, now_ns);
        int ready = pal__b_look(items, count);
        if (ready || deadline_ns <= now_ns)
            return ready;
        if (!has_rest(home, now_ns, more))
            home->listens = false;
        else if (may_sleep(way, spin_ns, now_ns, &tired_ns))
            sock_idle(home, items, count, now_ns, deadline_ns);
    }
}
