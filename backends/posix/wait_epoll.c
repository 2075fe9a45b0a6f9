/* wait_epoll.c: waiting by epoll(7): level-triggered, armed lazily, one system call a wait.
 *
 * Upholds rules 1, 8 to 13 and 17. An event carries the socket's handle as its cookie, so a stale one shows by its
 * generation (rule 8). The set grows at once and shrinks only when a bit fires that nobody wants (hole 10). A closed
 * descriptor whose description lives on elsewhere fires for ever under its dead cookie: then the set is built anew
 * (hole 11). Wakes come through an eventfd, edge-triggered, so that it need never be read. */
#include "../common/memory.h"
#include "../common/refusal.h"
#include "deadline.h"
#include "sys.h"
#include "wait.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

SAME_NUMBER(PAL_IN, EPOLLIN);
SAME_NUMBER(PAL_PRI, EPOLLPRI);
SAME_NUMBER(PAL_OUT, EPOLLOUT);
SAME_NUMBER(PAL_ERR, EPOLLERR);
SAME_NUMBER(PAL_HUP, EPOLLHUP);
SAME_NUMBER(PAL_RDHUP, EPOLLRDHUP);

struct epoll_poll {
    _Alignas(64) struct pal_poll base; /* its hot fields are one line */
    int set;                   /* the epoll descriptor */
    int wake;                  /* the eventfd; its cookie is 0, which is no handle */
    struct epoll_event *found; /* events_max entries, filled by the kernel */
};

static struct epoll_poll polls[POLLS_MAX]; /* by number; see pal__poll_reserve */

static struct epoll_poll *epoll_of(pal_poll *poll)
{
    return (struct epoll_poll *)poll;
}

/* ---- the kernel's waits ---- */

static inline long sys_epoll_wait(int set, struct epoll_event *found, uint32_t max, int timeout_ms)
{
#if SYS_INLINE && defined(SYS_epoll_wait)
    return sys_call4(SYS_epoll_wait, set, (long)found, max, timeout_ms);
#elif SYS_INLINE
    return sys_call6(SYS_epoll_pwait, set, (long)found, max, timeout_ms, 0, 8);
#else
    return CHECKED(epoll_wait(set, found, (int)max, timeout_ms));
#endif
}

static _Atomic int pwait2_known; /* 0: not asked yet, 1: there, -1: this kernel has none */

static bool has_pwait2(void)
{
    int known = atomic_load_explicit(&pwait2_known, memory_order_relaxed);
    if (UNLIKELY(known == 0)) {
        long result = CHECKED(syscall(SYS_epoll_pwait2, -1, NULL, 1, NULL, NULL, 0));
        known = result == -EBADF ? 1 : -1;
        atomic_store_explicit(&pwait2_known, known, memory_order_relaxed);
    }
    return known > 0;
}

/* ---- the set ---- */

static inline long sys_epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
#if SYS_INLINE
    return sys_call4(SYS_epoll_ctl, set, operation, fd, (long)event);
#else
    return CHECKED(epoll_ctl(set, operation, fd, event));
#endif
}

static int change(struct epoll_poll *poll, struct slot *slot, uint32_t want)
{
    struct epoll_event event = {.events = want & SLOT_WAITABLE, .data.u64 = slot_handle(slot).id};
    if (want & PAL_EDGE)
        event.events |= EPOLLET;
    int operation = !want ? EPOLL_CTL_DEL : slot->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    long result = sys_epoll_ctl(poll->set, operation, slot->fd, &event);
    if (UNLIKELY(result == -EEXIST)) /* it has moved away and back, and has not fired here meanwhile */
        result = sys_epoll_ctl(poll->set, EPOLL_CTL_MOD, slot->fd, &event);
    if (result < 0)
        return (int)result;
    slot->armed = (uint16_t)want;
    return 0;
}

int pal__k_wait_update(pal_poll *poll, struct slot *slot, uint32_t want)
{
    bool covered = !(want & ~(uint32_t)slot->armed);
    if (covered && !((want | slot->armed) & PAL_EDGE && want))
        return 0;
    return change(epoll_of(poll), slot, want);
}

void pal__k_wait_trim(pal_poll *poll, struct slot *slot)
{
    uint32_t want = slot_want(slot);
    if (want != slot->armed && change(epoll_of(poll), slot, want)) {
        slot->armed = 0; /* the entry has vanished, or the kernel has no memory: again, if it is wanted */
        if (want)
            pal__machine_retry(poll);
    }
}

void pal__k_wait_forget(pal_poll *poll, struct slot *slot)
{
    if (slot->armed)
        change(epoll_of(poll), slot, 0);
    slot->armed = 0;
}

/* Takes out what fired here for a socket that is idle or another poll's. Nothing of the slot is written: it may be
 * moving at this moment. */
static void drop(struct epoll_poll *poll, const struct slot *slot)
{
    struct epoll_event none = {.events = 0};
    epoll_ctl(poll->set, EPOLL_CTL_DEL, slot->fd, &none);
}

static int add_wake(struct epoll_poll *poll)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 0};
    return (int)CHECKED(epoll_ctl(poll->set, EPOLL_CTL_ADD, poll->wake, &event));
}

/* The set holds a description that no descriptor of ours names any more. A new set replaces it under the old number,
 * which pal_poll_native may have given out. Without a descriptor to be had it stays as it is, and the next wait tries
 * again. From then on this process is one whose descriptions live on elsewhere: close looks to that. */
static COLD void rebuild(struct epoll_poll *poll)
{
    atomic_store(&pal__k_descriptions_outlive, true);
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0)
        return;
    long moved = CHECKED(dup3(fresh, poll->set, O_CLOEXEC));
    sys_close(fresh);
    if (moved < 0)
        return;
    if (add_wake(poll))
        pal__machine_retry(&poll->base);
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *slot = &pal__slots[number];
        if (slot_poll(slot) != &poll->base || !slot->armed)
            continue;
        slot->armed = 0;
        if (slot_want(slot) && change(poll, slot, slot_want(slot)))
            pal__machine_retry(&poll->base);
    }
}

/* ---- waiting ---- */

/* The hot path is pal__k_poll_wait and report: they call nothing but what ends them (attend_and_look, wait_until,
 * report_rest, found_none), so they save no register, and the functions that they end in repeat for odd cases what they
 * do. */

/* An event that cannot be emitted as it is. room: how many may still be written. */
static void odd_event(struct epoll_poll *poll, pal_sock cookie, uint32_t ready, uint32_t room)
{
    struct pal_poll *base = &poll->base, *owner = base;
    struct slot *slot = slot_of(cookie);
    if (!slot)
        slot = slot_of_type(cookie.id, SLOT_CHILD);
    if (!slot) {
        if (cookie.id != 0) /* 0 is the eventfd, which has done its work by ending the wait */
            rebuild(poll);
        return;
    }
    bool busy = slot_busy(slot); /* before the owner: see slot.h */
    if (slot_poll(slot) != base)
        drop(poll, slot); /* it has moved */
    else if (busy)
        pal__machine_ready(base, slot, ready, room);
    else if (atomic_compare_exchange_strong(&slot->poll, &owner, NULL) || owner != base)
        drop(poll, slot); /* it is idle, or moves just now: it joins its next poll with a clean slate */
}

/* The owner is read last: see slot.h. */
static inline bool plain_event(const pal_poll *poll, const struct slot *slot, pal_sock cookie, uint32_t ready)
{
    return slot_is(slot, cookie) && !slot_is_odd(slot, ready) && slot_poll(slot) == poll;
}

/* Turns the rest of what the kernel found into events, odd ones too. */
static __attribute__((noinline)) int report_rest(struct epoll_poll *poll, const struct epoll_event *from,
                                                 const struct epoll_event *end)
{
    struct pal_poll *base = &poll->base;
    base->now_ns = 0;
    for (; from != end; from++) {
        pal_sock cookie = {from->data.u64};
        struct slot *slot = slot_at(cookie);
        if (plain_event(base, slot, cookie, from->events))
            emit_ready(base, slot, from->events);
        else
            odd_event(poll, cookie, from->events, events_room(base) - (uint32_t)(end - from - 1));
    }
    return wait_end(base, base->count);
}

/* Turns what the kernel found, found > 0, into events at the array's start. The array's end is kept in registers. */
static inline int report(struct epoll_poll *poll, struct pal_event *events, long found)
{
    struct pal_poll *base = &poll->base;
    const struct epoll_event *from = poll->found, *end = from + found;
    struct pal_event *event = events;
    uint32_t number = base->next_number;
    do {
        pal_sock cookie = {from->data.u64};
        struct slot *slot = slot_at(cookie);
        uint32_t ready = from->events;
        if (UNLIKELY(!plain_event(base, slot, cookie, ready)))
            goto odd;
        slot->event = number++;
        write_ready(event++, slot, ready);
    } while (++from != end);
    base->next_number = number;
    base->count = (uint32_t)(event - events);
    return wait_end(base, base->count);
odd:
    base->next_number = number;
    base->count = (uint32_t)(event - events);
    return report_rest(poll, from, end);
}

/* The deadline has passed, a signal came, or the kernel refused. */
static COLD int found_none(struct epoll_poll *poll, long found)
{
    poll->base.count = 0;
    poll->base.now_ns = 0;
    return found < 0 && found != -EINTR ? pal__failed(found) : wait_end(&poll->base, 0);
}

static long sleep_until(struct epoll_poll *poll, uint64_t deadline_ns)
{
    struct timespec room, *timeout = deadline_timeout(deadline_ns, &room);
    if (has_pwait2())
        return CHECKED(syscall(SYS_epoll_pwait2, poll->set, poll->found, poll->base.events_max, timeout, NULL, 0));
    int64_t ms = timeout ? (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000 : -1;
    return sys_epoll_wait(poll->set, poll->found, poll->base.events_max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static long look(pal_poll *base, uint64_t deadline_ns)
{
    struct epoll_poll *poll = epoll_of(base);
    return deadline_ns ? sleep_until(poll, deadline_ns) : sys_epoll_wait(poll->set, poll->found, events_room(base), 0);
}

/* There is something to do before the wait may sleep, which then does not; or it is to spin. */
static __attribute__((noinline)) int attend_and_look(struct epoll_poll *poll, uint64_t deadline_ns)
{
    struct pal_poll *base = &poll->base;
    bool due = wait_is_due(base);
    wake_up(base);
    base->count = 0;
    if (due)
        pal__k_attend(base);
    long found = due || !deadline_ns ? look(base, 0) : pal__k_idle(base, deadline_ns, look);
    if (UNLIKELY(found < 0 && found != -EINTR && base->count == 0)) /* else events would be lost with it */
        return pal__failed(found);
    return report_rest(poll, poll->found, poll->found + (found > 0 ? found : 0));
}

/* A wait with a real deadline: the only one that reads a clock. Milliseconds, rounded up, where there is no better. */
static __attribute__((noinline)) int wait_until(struct epoll_poll *poll, uint64_t deadline_ns)
{
    struct pal_poll *base = &poll->base;
    if (UNLIKELY(!fall_asleep(base)))
        return attend_and_look(poll, deadline_ns);
    long found = sleep_until(poll, deadline_ns);
    wake_up(base);
    return found > 0 ? report(poll, base->events, found) : found_none(poll, found);
}

/* The first wait of an owner; or a wait by somebody who is none. */
static COLD int claim_and_wait(struct epoll_poll *poll, uint64_t deadline_ns)
{
    int error = pal__poll_claim(&poll->base);
    if (error)
        return error;
    return deadline_ns ? wait_until(poll, deadline_ns) : attend_and_look(poll, 0);
}

int pal__k_poll_wait(pal_poll *base, const struct pal_event **out, uint64_t deadline_ns)
{
    struct epoll_poll *poll = epoll_of(base);
    struct pal_event *events = base->events;
    RULE(1, out, "pal_poll_wait is given no place for the array");
    *out = events;
    if (UNLIKELY(!poll_owned(base)))
        return claim_and_wait(poll, deadline_ns);
    long found;
    if (LIKELY(deadline_ns == UINT64_MAX)) {
        if (UNLIKELY(!fall_asleep(base)))
            return attend_and_look(poll, deadline_ns);
        found = sys_epoll_wait(poll->set, poll->found, base->events_max, -1);
        wake_up(base);
    } else if (deadline_ns == 0) {
        if (UNLIKELY(wait_is_due(base)))
            return attend_and_look(poll, 0);
        found = sys_epoll_wait(poll->set, poll->found, base->events_max, 0);
    } else {
        return wait_until(poll, deadline_ns);
    }
    return LIKELY(found > 0) ? report(poll, events, found) : found_none(poll, found);
}

int pal__k_poll_look(pal_poll *base)
{
    struct epoll_poll *poll = epoll_of(base);
    if (!events_room(base))
        return 0;
    long found = look(base, 0);
    if (UNLIKELY(found < 0 && found != -EINTR))
        return pal__failed(found);
    report_rest(poll, poll->found, poll->found + (found > 0 ? found : 0));
    return 0;
}

int pal__k_poll_descriptor(const pal_poll *poll)
{
    return ((const struct epoll_poll *)poll)->set;
}

void pal__k_wait_rouse(pal_poll *poll)
{
    uint64_t one = 1;
    ssize_t ignored =
        write(epoll_of(poll)->wake, &one, sizeof one); /* fails only when the count is full: it is ready */
    (void)ignored;
}

/* ---- open, close, the rest ---- */

static void release(struct epoll_poll *poll)
{
    if (poll->set >= 0)
        sys_close(poll->set);
    if (poll->wake >= 0)
        sys_close(poll->wake);
    pal__free(poll->found, poll->base.events_max * sizeof *poll->found);
    pal__poll_end(&poll->base);
}

int pal__k_poll_open(pal_poll **out, const struct pal_config *config)
{
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_poll_open needs room for the poll");
    uint32_t number;
    int error = pal__poll_reserve(&number);
    if (error)
        return error;
    struct epoll_poll *poll = &polls[number];
    poll->set = poll->wake = -1;
    poll->found = NULL;
    if ((error = pal__poll_begin(&poll->base, number, config)))
        return error;
    has_pwait2();
    poll->found = pal__alloc(poll->base.events_max * sizeof *poll->found, _Alignof(struct epoll_event));
    long set = CHECKED(epoll_create1(EPOLL_CLOEXEC)), wake = CHECKED(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    poll->set = (int)set;
    poll->wake = (int)wake;
    error = !poll->found ? PAL_ENOMEM : set < 0 ? pal__failed(set) : wake < 0 ? pal__failed(wake) : add_wake(poll);
    if (error) {
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
        release(epoll_of(poll));
    return error;
}

int pal__k_poll_native(pal_poll *poll, intptr_t *out)
{
    int error = poll_enter(poll);
    if (error)
        return error;
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_poll_native needs room for the descriptor");
    poll->nested = true;
    if (atomic_load(&poll->wake_bits) & ~(uint32_t)WAKE_SPIN) /* after nested is seen, as a waker's looks are ordered */
        pal__k_wait_rouse(poll);
    *out = epoll_of(poll)->set;
    return 0;
}

int pal__k_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    return pal__machine_watch(poll, sock, interest, data, UINT32_MAX);
}

const struct pal_backend *pal__k_backend_info(void)
{
    static struct pal_backend info = {"epoll", PAL_ABI, 0, 0};
    return pal__k_describe(&info, KERNEL_CAPS | PAL_CAP_EDGE | (has_pwait2() ? PAL_CAP_NS_WAIT : 0u));
}
