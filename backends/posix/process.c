/* process.c: children once they run: watch, wait, kill, close. Starting them is spawn.c. Rules 7, 8, 15 and 17.
 *
 * A child's status is collected by whoever asks first, is published in child.result, and is only then reaped; who finds
 * it reaped finds it published. So any thread may ask at any time, without a lock. Nobody is asked but children that
 * were started here, and by their pidfds, which never come to mean another process. Without pidfds the process id is
 * good as long as the child is not reaped, and a lock sees to that. */
#include "child.h"

#include "../common/machine.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "deadline.h"
#include "kernel.h"
#include "sys.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { LOOK_EVERY_NS = 5000000 }; /* how often a child without a pidfd is looked at while it is waited for */

static struct child *_Atomic orphans;

struct child_locks *pal__k_child_locks(void)
{
    static struct child_locks *_Atomic locks;
    struct child_locks *known = atomic_load(&locks), *fresh;
    if (known || !(fresh = pal__alloc_wiped(sizeof *fresh)))
        return known;
    /* Two threads at once: a page is not missed. */
    return atomic_compare_exchange_strong(&locks, &known, fresh) ? fresh : known;
}

static bool probe_pidfds(void)
{
    siginfo_t info;
    return CHECKED(syscall(SYS_pidfd_open, -1, 0)) == -EINVAL &&
           CHECKED(waitid((idtype_t)BY_PIDFD, INT_MAX, &info, WEXITED | WNOHANG)) == -EBADF &&
           CHECKED(syscall(SYS_pidfd_send_signal, INT_MAX, 0, NULL, 0)) == -EBADF;
}

bool pal__k_has_pidfds(void)
{
    enum { UNKNOWN, PRESENT, ABSENT };
    static _Atomic int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        answer = probe_pidfds() ? PRESENT : ABSENT;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == PRESENT;
}

/* ---- has it ended? ---- */

static int32_t result_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? info->si_status & 0xff : -info->si_status;
}

static bool running(const struct child *child)
{
    return atomic_load(&child->result) == CHILD_RUNS;
}

/* Whoever is first says how it ended. */
static void publish(struct child *child, int32_t result)
{
    int32_t runs = CHILD_RUNS;
    atomic_compare_exchange_strong(&child->result, &runs, result);
}

/* The kernel knows of no such child of ours. Either it has ended and was reaped, by another thread of ours or by
 * somebody else; or this process is a fork of the one that started it, to which a pidfd tells the end and no status. */
static bool gone(const struct child *child)
{
    struct pollfd item = {.fd = child->pidfd, .events = POLLIN};
    return poll(&item, 1, 0) == 1;
}

static void look_by_pidfd(struct child *child)
{
    id_t pidfd = (id_t)child->pidfd;
    siginfo_t info = {.si_pid = 0};
    long result = CHECKED(waitid((idtype_t)BY_PIDFD, pidfd, &info, CHILD_ENDS | WNOHANG | WNOWAIT));
    if (result == 0 && info.si_pid) {
        publish(child, result_of(&info));
        waitid((idtype_t)BY_PIDFD, pidfd, &info, CHILD_ENDS | WNOHANG);
    } else if (result < 0 && gone(child)) {
        publish(child, CHILD_LOST);
    }
}

static void look_by_id(struct child *child)
{
    lock_acquire(&pal__k_child_locks()->ids);
    if (running(child)) {
        siginfo_t info = {.si_pid = 0};
        long result = CHECKED(waitid(P_PID, (id_t)child->process_id, &info, CHILD_ENDS | WNOHANG));
        if (result < 0 || info.si_pid)
            publish(child, result < 0 ? CHILD_LOST : result_of(&info));
    }
    lock_release(&pal__k_child_locks()->ids);
}

/* Has it ended? Then it is reaped, and its result is known. Any thread. */
static bool settle(struct child *child)
{
    if (running(child) && child->pidfd >= 0)
        look_by_pidfd(child);
    else if (running(child))
        look_by_id(child);
    return !running(child);
}

/* ---- handles ---- */

static struct child *child_at(const struct slot *slot)
{
    return (struct child *)(uintptr_t)slot->data;
}

static struct slot *find(pal_proc process)
{
    struct slot *slot = slot_of_type(process.id, SLOT_CHILD);
    if (!slot)
        pal__refuse(PAL_EBADF, NULL);
    return slot;
}

int pal__k_child_ended(struct slot *slot, int32_t *result)
{
    struct child *child = child_at(slot);
    if (!settle(child))
        return 0;
    *result = atomic_load(&child->result);
    return 1;
}

int pal__k_proc_watch(pal_poll *poll, pal_proc process, uint64_t data)
{
    struct slot *slot = find(process);
    if (!slot)
        return PAL_EBADF;
    struct child *child = child_at(slot);
    if (!poll)
        return pal__machine_forget_child(slot, &child->op);
    if (child->pidfd < 0)
        return pal__refuse(PAL_ENOTSUP, "this kernel cannot watch children: ask pal_proc_wait now and then");
    return pal__machine_await_child(poll, slot, &child->op, data);
}

/* Sleeps until the child has ended, or the deadline; without a pidfd at most until it is to be looked at again. */
static long sleep_on(const struct child *child, uint64_t deadline_ns)
{
    struct pollfd item = {.fd = child->pidfd, .events = POLLIN}; /* ppoll ignores a negative descriptor */
    struct timespec timeout;
    uint64_t until_ns = child->pidfd < 0 ? monotonic_ns() + LOOK_EVERY_NS : deadline_ns;
    if (until_ns > deadline_ns)
        until_ns = deadline_ns;
    return CHECKED(ppoll(&item, 1, deadline_timeout(until_ns, &timeout), NULL));
}

static int wait_for(struct child *child, uint64_t deadline_ns)
{
    bool ended = !running(child);
    while (!ended) {
        long result = deadline_ns ? sleep_on(child, deadline_ns) : 0;
        if (result < 0)
            return pal__failed(result);
        ended = settle(child);
        if (!ended && deadline_left_ns(deadline_ns) == 0)
            return PAL_ETIMEDOUT;
    }
    return 0;
}

int pal__k_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns)
{
    struct slot *slot = find(process);
    if (!slot)
        return PAL_EBADF;
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_proc_wait needs room for the answer");
    struct child *child = child_at(slot);
    int error = wait_for(child, deadline_ns);
    int32_t result = atomic_load(&child->result);
    out->process_id = (uint64_t)child->process_id;
    out->state = result == CHILD_RUNS ? PAL_PROC_RUNNING : PAL_PROC_ENDED;
    out->result = result == CHILD_RUNS ? 0 : result;
    return error;
}

static long send_by_id(const struct child *child, int number)
{
    lock_acquire(&pal__k_child_locks()->ids);
    long result = running(child) ? CHECKED(kill(child->process_id, number)) : -ESRCH;
    lock_release(&pal__k_child_locks()->ids);
    return result;
}

int pal__k_proc_kill(pal_proc process, int number)
{
    struct slot *slot = find(process);
    if (!slot)
        return PAL_EBADF;
    if (number < 0 || number > PAL_SIGNAL_MAX)
        return pal__refuse(PAL_EINVAL, "signals are 1 to 64, and 0 only asks");
    struct child *child = child_at(slot);
    if (settle(child)) /* the kernel would take a signal for one that is not reaped yet */
        return pal__refuse(PAL_ESRCH, "the child has ended");
    long result = child->pidfd < 0 ? send_by_id(child, number)
                                   : CHECKED(syscall(SYS_pidfd_send_signal, child->pidfd, number, NULL, 0));
    return result < 0 ? pal__failed(result) : 0;
}

/* ---- the end of a handle, and of a child ---- */

static void child_free(struct child *child)
{
    if (child->pidfd >= 0)
        sys_close(child->pidfd);
    pal__free(child, sizeof *child);
}

static void orphan(struct child *child)
{
    child->next = atomic_load(&orphans);
    while (!atomic_compare_exchange_weak(&orphans, &child->next, child))
        continue;
}

void pal__k_reap_orphans(void)
{
    if (!atomic_load_explicit(&orphans, memory_order_relaxed))
        return;
    struct child *next;
    for (struct child *child = atomic_exchange(&orphans, NULL); child; child = next) { /* ours alone while we look */
        next = child->next;
        if (settle(child))
            child_free(child);
        else
            orphan(child);
    }
}

int pal__k_proc_close(pal_proc process)
{
    struct slot *slot = find(process);
    if (!slot)
        return PAL_EBADF;
    struct child *child = child_at(slot);
    pal_poll *poll = slot_poll(slot);
    bool ended = settle(child);
    if (!ended)
        slot_set(slot, SLOT_EXPORTED); /* its pidfd stays open: out of the set with it */
    if (pal__k_retire(slot))
        return pal__refuse(PAL_EBUSY, "this child is watched: end that first, by pal_proc_watch with poll NULL");
    if (poll && poll_owned(poll))
        pal__machine_forget_child(slot, &child->op); /* its event may still be in the array */
    pal__slot_drop(slot);
    pal__k_reap_orphans();
    if (ended)
        child_free(child);
    else
        orphan(child);
    return 0;
}
