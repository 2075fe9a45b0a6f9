/* wait_poll.c: waiting by poll(2): the smallest waiting target, and the worked example of docs/porting.md.
 *
 * Upholds rules 1, 8 to 13 and 17. The set is a dense array that the kernel reads whole at each wait, kept in step with
 * slot_want at once: there is nothing to be lazy about, as a change is a store. places tells where a socket is in it.
 * Wakes come through a pipe in place 0. Cost grows with the sockets watched: for a few hundred, and for systems that
 * have nothing better. */
#include "../common/memory.h"
#include "../common/refusal.h"
#include "deadline.h"
#include "sys.h"
#include "wait.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { SET_FIRST = 1024 }; /* places at open; doubled when they run out, the only allocation after open */

struct poll_poll {
    _Alignas(64) struct pal_poll base; /* its hot fields are one line */
    struct pollfd *set; /* [0] is the wake pipe */
    uint32_t *numbers;  /* of the slots, in the same places */
    uint32_t count, capacity;
    uint32_t first; /* where the last look began, so that nobody is served first always (rule 18) */
    int wake_write;
};

static struct poll_poll polls[POLLS_MAX]; /* by number; see pal__poll_reserve */

static struct poll_poll *poll_of(pal_poll *poll)
{
    return (struct poll_poll *)poll;
}

/* ---- the set ---- */

static bool grow(struct poll_poll *poll)
{
    uint32_t capacity = poll->capacity * 2;
    struct pollfd *set = pal__alloc(capacity * sizeof *set, _Alignof(struct pollfd));
    uint32_t *numbers = pal__alloc(capacity * sizeof *numbers, _Alignof(uint32_t));
    if (!set || !numbers) {
        pal__free(set, capacity * sizeof *set);
        pal__free(numbers, capacity * sizeof *numbers);
        return false;
    }
    memcpy(set, poll->set, poll->count * sizeof *set);
    memcpy(numbers, poll->numbers, poll->count * sizeof *numbers);
    pal__free(poll->set, poll->capacity * sizeof *set);
    pal__free(poll->numbers, poll->capacity * sizeof *numbers);
    poll->set = set;
    poll->numbers = numbers;
    poll->capacity = capacity;
    return true;
}

static uint32_t places[SLOT_MAX]; /* of armed slots, by their number: a socket is in one set at most */

static void leave(struct poll_poll *poll, struct slot *slot)
{
    uint32_t at = places[slot_number(slot)], last = --poll->count;
    poll->set[at] = poll->set[last];
    poll->numbers[at] = poll->numbers[last];
    places[poll->numbers[last]] = at;
}

static bool enter(struct poll_poll *poll, struct slot *slot)
{
    if (poll->count == poll->capacity && !grow(poll))
        return false;
    poll->set[poll->count] = (struct pollfd){.fd = slot->fd};
    poll->numbers[poll->count] = slot_number(slot);
    places[slot_number(slot)] = poll->count++;
    return true;
}

int pal__k_wait_update(pal_poll *base, struct slot *slot, uint32_t want)
{
    struct poll_poll *poll = poll_of(base);
    if (want == slot->armed)
        return 0;
    if (!want) {
        leave(poll, slot);
    } else {
        if (!slot->armed && !enter(poll, slot))
            return PAL_ENOMEM;
        poll->set[places[slot_number(slot)]].events = (short)want;
        poll->set[places[slot_number(slot)]].revents = 0;
    }
    slot->armed = (uint16_t)want;
    return 0;
}

void pal__k_wait_trim(pal_poll *poll, struct slot *slot)
{
    pal__k_wait_update(poll, slot, slot_want(slot)); /* shrinking cannot fail */
}

void pal__k_wait_forget(pal_poll *poll, struct slot *slot)
{
    if (slot->armed)
        leave(poll_of(poll), slot);
    slot->armed = 0;
}

/* ---- waiting ---- */

static long look(pal_poll *base, uint64_t deadline_ns)
{
    struct poll_poll *poll = poll_of(base);
    struct timespec timeout;
    return CHECKED(ppoll(poll->set, poll->count, deadline_timeout(deadline_ns, &timeout), NULL));
}

static void empty_wake_pipe(const struct poll_poll *poll)
{
    uint8_t bytes[64];
    while (read(poll->set[0].fd, bytes, sizeof bytes) == sizeof bytes)
        continue;
}

/* Reports up to the array's room, found places in all. A look may shrink the set, and its last place moves into the one
 * that was looked at: then that is looked at, which is not a step on. As many steps as there were places go all the way
 * round, wherever the place that moved comes from. */
static void report(struct poll_poll *poll, long found)
{
    struct pal_poll *base = &poll->base;
    if (poll->set[0].revents) {
        empty_wake_pipe(poll);
        found--;
    }
    uint32_t at = poll->first, steps = poll->count - 1;
    while (steps && found > 0 && events_room(base)) {
        if (at >= poll->count || at == 0)
            at = 1;
        uint32_t number = poll->numbers[at], ready = (uint16_t)poll->set[at].revents;
        struct slot *slot = &pal__slots[number];
        poll->set[at].revents = 0;
        found -= ready != 0;
        if (LIKELY(ready && !(ready & slot->odd))) {
            emit_ready(base, slot, ready);
        } else if (ready) {
            pal__machine_ready(base, slot, ready, events_room(base));
            pal__k_wait_update(base, slot, slot_want(slot));
        }
        if (poll->count == 1)
            break;
        if (at < poll->count && poll->numbers[at] == number) {
            at++;
            steps--;
        }
    }
    poll->first = at;
}

/* There is something to do before the wait may sleep, or it is to spin. */
static COLD long attend_and_look(pal_poll *poll, uint64_t deadline_ns)
{
    wake_up(poll);
    if (wait_is_due(poll))
        pal__k_attend(poll);
    else if (deadline_ns)
        return pal__k_idle(poll, deadline_ns, look);
    return look(poll, 0);
}

/* Sleeps until the deadline, unless there is something else to do first. */
static long wait_for_events(pal_poll *poll, uint64_t deadline_ns)
{
    poll->count = 0;
    if (deadline_ns ? !fall_asleep(poll) : wait_is_due(poll))
        return attend_and_look(poll, deadline_ns);
    long found = look(poll, deadline_ns);
    wake_up(poll);
    return found;
}

int pal__k_poll_wait(pal_poll *base, const struct pal_event **out, uint64_t deadline_ns)
{
    RULE(1, out, "pal_poll_wait is given no place for the array");
    int error = poll_enter(base);
    if (UNLIKELY(error))
        return error;
    base->now_ns = 0;
    *out = base->events;
    long found = wait_for_events(base, deadline_ns);
    if (UNLIKELY(found < 0 && found != -EINTR && base->count == 0)) /* else events would be lost with it */
        return pal__failed(found);
    if (found > 0)
        report(poll_of(base), found);
    return wait_end(base, base->count);
}

void pal__k_wait_rouse(pal_poll *poll)
{
    ssize_t ignored = write(poll_of(poll)->wake_write, "", 1); /* fails only when the pipe is full: it is ready */
    (void)ignored;
}

/* ---- open, close, the rest ---- */

static void release(struct poll_poll *poll)
{
    if (poll->set && poll->count)
        sys_close(poll->set[0].fd);
    if (poll->wake_write >= 0)
        sys_close(poll->wake_write);
    pal__free(poll->set, poll->capacity * sizeof *poll->set);
    pal__free(poll->numbers, poll->capacity * sizeof *poll->numbers);
    pal__poll_end(&poll->base);
}

static int open_set(struct poll_poll *poll)
{
    int ends[2];
    poll->capacity = SET_FIRST;
    poll->set = pal__alloc(poll->capacity * sizeof *poll->set, _Alignof(struct pollfd));
    poll->numbers = pal__alloc(poll->capacity * sizeof *poll->numbers, _Alignof(uint32_t));
    if (!poll->set || !poll->numbers)
        return PAL_ENOMEM;
    long result = CHECKED(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    if (result < 0)
        return pal__failed(result);
    poll->set[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    poll->numbers[0] = 0;
    poll->wake_write = ends[1];
    poll->count = 1;
    return 0;
}

int pal__k_poll_open(pal_poll **out, const struct pal_config *config)
{
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_poll_open needs room for the poll");
    uint32_t number;
    int error = pal__poll_reserve(&number);
    if (error)
        return error;
    struct poll_poll *poll = &polls[number];
    poll->set = NULL;
    poll->numbers = NULL;
    poll->count = poll->first = 0;
    poll->wake_write = -1;
    if ((error = pal__poll_begin(&poll->base, number, config)))
        return error;
    if ((error = open_set(poll))) {
        release(poll);
        return error;
    }
    *out = &poll->base;
    return 0;
}

int pal__k_poll_close(pal_poll *poll)
{
    int error = poll ? pal__k_poll_retire(poll) : 0;
    if (poll && !error)
        release(poll_of(poll));
    return error;
}

int pal__k_poll_native(pal_poll *poll, intptr_t *out)
{
    (void)poll;
    (void)out;
    return pal__refuse(PAL_ENOTSUP, "poll(2) has no descriptor to nest: use the epoll backend");
}

int pal__k_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    return pal__machine_watch(poll, sock, interest, data, ~(uint32_t)PAL_EDGE);
}

const struct pal_backend *pal__k_backend_info(void)
{
    static struct pal_backend info = {"poll", PAL_ABI, 0, 0};
    return pal__k_describe(&info, KERNEL_CAPS | PAL_CAP_NS_WAIT);
}
