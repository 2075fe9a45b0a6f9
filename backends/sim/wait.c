/* wait.c: waiting in virtual time: events of polls from three lanes (the stack's sockets, the kernel's, what is
 * finished and woken), and the calls that wait for one thing. Rules 1, 10, 11, 14 and 19. */
#include "wait.h"

#include "../bypass/lane.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "../posix/kernel.h"
#include "../posix/wait.h"
#include "chance.h"
#include "host.h"
#include "strand.h"
#include "trace.h"

static pal_poll *polls[POLLS_MAX];   /* the open ones, by number */
static uint64_t signals[POLLS_MAX];  /* those watched, bit n-1 for signal n */
static bool outside_turn[POLLS_MAX]; /* the kernel's lane is first; poll->turn is the machine's, which gives it away */
static uint32_t polls_open;

pal_poll *pal__s_poll(uint32_t number)
{
    return polls[number];
}

uint32_t pal__s_polls_open(void)
{
    return polls_open;
}

/* How many are armed is never counted too low; it is counted anew when it matters. */
bool pal__s_waits_outside(pal_poll *poll)
{
    return signals[poll->leases.number] || (lane_of(poll)->kernel_armed && pal__b_kernel_waits(poll));
}

/* ---- opening and closing ---- */

int pal__s_poll_open(pal_poll **out, const struct pal_config *config)
{
    int error = pal__k_poll_open(out, config);
    if (error)
        return error;
    uint32_t number = (*out)->leases.number;
    polls[number] = *out;
    signals[number] = 0;
    outside_turn[number] = false;
    polls_open++;
    pal__s_own_poll(*out, pal__s_host_here());
    pal__b_lane_begin(*out, pal__s_roused());
    return 0;
}

static void forget(uint32_t number)
{
    pal__b_lane_end(number);
    polls[number] = NULL;
    polls_open--;
}

int pal__s_poll_close(pal_poll *poll)
{
    uint32_t number = poll ? poll->leases.number : 0;
    int error = pal__k_poll_close(poll);
    if (poll && !error)
        forget(number);
    return error;
}

void pal__s_poll_end(pal_poll *poll)
{
    uint32_t number = poll->leases.number;
    void *_Atomic *owner = poll->owner;
    void *mine = thread_mark();
    if (atomic_load(owner) != mine)
        atomic_store(owner, mine); /* its thread has no use for it any more */
    int error = pal__k_poll_close(poll);
    RULE(19, !error, "a poll of a host that has crashed does not close");
    forget(number);
}

/* ---- events ---- */

/* Which of those that may be ready comes first is a matter of chance; the others keep their order, so that each has its
 * turn (rule 18). */
static void shuffle(struct base_list *ready)
{
    enum { SHUFFLED_MAX = 8 };
    uint32_t count = 0, chosen;
    BASE_LIST_EACH(link, ready)
    {
        if (++count == SHUFFLED_MAX)
            break;
    }
    if (count < 2 || !(chosen = pal__s_choose(count)))
        return;
    struct base_link *first = base_list_first(ready);
    while (chosen--)
        first = first->next;
    base_list_remove(first);
    base_list_push_front(ready, first);
}

static int look_outside(pal_poll *poll)
{
    uint32_t before = poll->count;
    int error = pal__k_poll_look(poll);
    if (poll->count != before)
        pal__s_trace_taint();
    return error;
}

/* The lanes take turns at being first, and none takes the room of all (rule 11). *more: there is something to look at
 * that nobody will rouse for. */
static int gather(pal_poll *poll, bool *more)
{
    struct lane *lane = lane_of(poll);
    struct strand *self = pal__s_self();
    int error = 0;
    poll->count = 0;
    poll->now_ns = 0;
    outside_turn[poll->leases.number] ^= 1;
    self->is_inside = true;
    if (wait_is_due(poll))
        pal__k_attend(poll);
    bool outside = lane->kernel_armed || signals[poll->leases.number]; /* now: what was fed is armed again */
    shuffle(&lane->waiter.ready);
    uint32_t left = events_room(poll), share = outside && left > 1 ? poll->count + left / 2 : poll->events_max;
    bool outside_first = outside && outside_turn[poll->leases.number];
    if (outside_first)
        error = look_outside(poll);
    *more = pal__b_collect(poll, outside_first ? poll->events_max : share);
    if (outside && !outside_first)
        error = look_outside(poll);
    if (wait_is_due(poll))
        pal__k_wake_collect(poll, poll->events_max);
    self->is_inside = false;
    return poll->count ? 0 : error;
}

static void note_events(const pal_poll *poll)
{
    if (!poll->count)
        return;
    pal__s_trace(TRACE_EVENTS, poll->leases.number, poll->count);
    for (uint32_t i = 0; i < poll->count; i++) {
        const struct pal_event *event = &poll->events[i];
        pal__s_trace(TRACE_EVENT, (uint64_t)event->kind << 16 | event->ready, (uint32_t)event->result);
        if (event->kind == PAL_EV_SIGNAL)
            pal__s_trace_taint();
    }
}

static int wait_for_events(pal_poll *poll, uint64_t deadline_ns)
{
    bool more;
    for (;;) {
        int error = gather(poll, &more);
        uint64_t now_ns = pal__s_now(),
                 until_ns = more && now_ns + TURN_NS < deadline_ns ? now_ns + TURN_NS : deadline_ns;
        if (error || poll->count)
            return error;
        if (deadline_ns <= now_ns)
            return pal__s_breathe() ? gather(poll, &more) : 0;
        struct waiting waiting = {
            .what = "events of a poll", .deadline_ns = until_ns, .poll = poll, .can_be_told = true};
        int outcome = pal__s_wait(&waiting);
        if (outcome == PAL_EDEADLK)
            return outcome;
        if (outcome == PAL_ETIMEDOUT && until_ns == deadline_ns)
            return gather(poll, &more);
    }
}

int pal__s_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    RULE(1, out, "pal_poll_wait is given no place for the array");
    int error = poll_enter(poll);
    *out = poll->events;
    if (error)
        return error;
    pal__s_yield();
    if (poll->count)
        pal__s_breathe(); /* else who leaves what is ready as it is would hold up time, and all that is to come */
    error = wait_for_events(poll, deadline_ns);
    if (error)
        return error;
    pal__s_fault_stall();
    note_events(poll);
    return (int)poll->count;
}

/* ---- one thing ---- */

int pal__s_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    bool last = false;
    pal__s_yield();
    pal__s_breathe(); /* as pal__s_poll_wait */
    for (;;) {
        int ready = pal__b_look(items, count);
        if (ready || last)
            return ready;
        if (deadline_ns <= pal__s_now()) {
            if (!pal__s_breathe())
                return 0;
            last = true;
            continue;
        }
        struct waiting waiting = {
            .what = "sockets", .deadline_ns = deadline_ns, .items = items, .count = count, .can_be_told = true};
        int outcome = pal__s_wait(&waiting);
        if (outcome == PAL_EDEADLK)
            return outcome;
        last = outcome == PAL_ETIMEDOUT;
    }
}

int pal__s_await(pal_sock sock, uint16_t interest)
{
    struct pal_wait item = {.sock = sock, .interest = interest};
    int ready = pal__s_sock_wait(&item, 1, UINT64_MAX);
    return ready < 0 ? ready : 0;
}

/* What only the system can tell, and by no descriptor: it is asked again and again. */
static int ask_for_real(uint64_t deadline_ns)
{
    struct waiting waiting = {.what = "the system", .deadline_ns = deadline_ns, .for_real = true};
    pal__s_trace_taint();
    return pal__s_wait(&waiting);
}

static uint32_t children;

bool pal__s_has_children(void)
{
    return children != 0;
}

int pal__s_proc_spawn(const struct pal_spawn *spec, pal_proc *out)
{
    int error = pal__k_proc_spawn(spec, out);
    children += error == 0;
    return error;
}

int pal__s_proc_close(pal_proc process)
{
    int error = pal__k_proc_close(process);
    children -= error == 0;
    return error;
}

int pal__s_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns)
{
    for (;;) {
        int error = pal__k_proc_wait(process, out, 0);
        if (error != PAL_ETIMEDOUT || deadline_ns <= pal__s_now())
            return error;
        ask_for_real(deadline_ns);
    }
}

int pal__s_signal_watch(pal_poll *poll, int signal_number, uint64_t data)
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

int pal__s_signal_ctl(int what, void *argument, size_t size)
{
    struct pal_signal_info *info = argument;
    pal__s_yield(); /* somebody may be about to handle it */
    if (what != PAL_SIGNAL_WAIT || !argument || size != sizeof *info)
        return pal__k_signal_ctl(what, argument, size);
    uint64_t deadline_ns = info->deadline_ns;
    for (;;) {
        info->deadline_ns = 0;
        int error = pal__k_signal_ctl(what, argument, size);
        info->deadline_ns = deadline_ns;
        if (error != PAL_ETIMEDOUT || deadline_ns <= pal__s_now())
            return error;
        ask_for_real(deadline_ns);
    }
}
