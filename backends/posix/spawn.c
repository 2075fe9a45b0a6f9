/* spawn.c: starting a child: what is asked for is checked and laid out here, and a process begun that carries it out
 * (spawn_child.c). Decision 0014; rules 2, 13, 15 and 16.
 *
 * Mostly the new process shares this one's memory until its program runs, and the calling thread sleeps, as with
 * vfork(2). Where the kernel cannot do that safely, or should not, it gets a copy, and reports through a pipe. */
#include "spawn.h"

#include "../common/memory.h"
#include "../common/refusal.h"
#include "../common/slot.h"
#include "child.h"
#include "kernel.h"
#include "sys.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

SAME_NUMBER(PAL_LIMIT_CPU, RLIMIT_CPU);
SAME_NUMBER(PAL_LIMIT_FSIZE, RLIMIT_FSIZE);
SAME_NUMBER(PAL_LIMIT_DATA, RLIMIT_DATA);
SAME_NUMBER(PAL_LIMIT_STACK, RLIMIT_STACK);
SAME_NUMBER(PAL_LIMIT_CORE, RLIMIT_CORE);
SAME_NUMBER(PAL_LIMIT_NPROC, RLIMIT_NPROC);
SAME_NUMBER(PAL_LIMIT_NOFILE, RLIMIT_NOFILE);
SAME_NUMBER(PAL_LIMIT_MEMLOCK, RLIMIT_MEMLOCK);
SAME_NUMBER(PAL_LIMIT_AS, RLIMIT_AS);

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

enum { LIMIT_KINDS = PAL_LIMIT_AS + 1, MODE_MAX = 0777 };
enum {
    FLAGS = PAL_SPAWN_SESSION | PAL_SPAWN_GROUP | PAL_SPAWN_UMASK | PAL_SPAWN_USER | PAL_SPAWN_GROUPS |
            PAL_SPAWN_SEARCH | PAL_SPAWN_SIGNALS | PAL_SPAWN_PRIMARY_GROUP,
    NEW_RIGHTS = PAL_SPAWN_USER | PAL_SPAWN_PRIMARY_GROUP | PAL_SPAWN_GROUPS
};

static const char *const step_reasons[SPAWN_STEPS] = {
    [STEP_KEEP_OUT] = "descriptors could not be kept from the child: neither close_range(2) nor /proc is there",
    [STEP_SESSION] = "a session could not be begun",
    [STEP_GROUP] = "the process group could not be joined: it has to exist in this session",
    [STEP_DIRECTORY] = "the directory could not be entered",
    [STEP_NULL_DEVICE] = "the null device could not be opened",
    [STEP_DESCRIPTOR] = "a descriptor could not be given its number: it is not open, or the limit is too low",
    [STEP_LIMIT] = "a resource limit could not be set: raising a hard one needs privileges",
    [STEP_GROUPS] = "the supplementary groups could not be set: that needs privileges",
    [STEP_PRIMARY_GROUP] = "the primary group could not be set: that needs privileges",
    [STEP_USER] = "the user could not be set: that needs privileges",
    [STEP_PROGRAM] = "the program could not be executed",
};

/* ---- checking ---- */

static int check_limits(const struct pal_spawn *spec)
{
    const uint32_t known = 1u << PAL_LIMIT_CPU | 1u << PAL_LIMIT_FSIZE | 1u << PAL_LIMIT_DATA | 1u << PAL_LIMIT_STACK |
                           1u << PAL_LIMIT_CORE | 1u << PAL_LIMIT_NPROC | 1u << PAL_LIMIT_NOFILE |
                           1u << PAL_LIMIT_MEMLOCK | 1u << PAL_LIMIT_AS;
    uint32_t seen = 0;
    if (spec->limit_count && !spec->limits)
        return pal__refuse(PAL_EINVAL, "limits is NULL: set it, or limit_count to 0");
    for (uint32_t i = 0; i < spec->limit_count; i++) {
        const struct pal_spawn_limit *limit = &spec->limits[i];
        if (limit->kind >= LIMIT_KINDS || !(known & 1u << limit->kind))
            return pal__refuse(PAL_EINVAL, "no such kind of limit: it is one of PAL_LIMIT_*");
        if (seen & 1u << limit->kind)
            return pal__refuse(PAL_EINVAL, "two limits are of one kind: leave one out");
        if (limit->soft > limit->hard)
            return pal__refuse(PAL_EINVAL, "a soft limit is above its hard one: lower it");
        seen |= 1u << limit->kind;
    }
    return 0;
}

static int check_rights(const struct pal_spawn *spec)
{
    uint32_t flags = spec->flags;
    if (flags & ~(uint32_t)FLAGS)
        return pal__refuse(PAL_EINVAL, "an unknown flag: flags are PAL_SPAWN_*");
    if (flags & PAL_SPAWN_SESSION && flags & PAL_SPAWN_GROUP)
        return pal__refuse(PAL_EINVAL, "a new session has a process group: ask for PAL_SPAWN_SESSION or GROUP alone");
    if (flags & PAL_SPAWN_GROUP && spec->group > INT32_MAX)
        return pal__refuse(PAL_EINVAL, "no such process group: it is 0, or a process id");
    if (flags & PAL_SPAWN_UMASK && spec->umask > MODE_MAX)
        return pal__refuse(PAL_EINVAL, "umask is at most 0777");
    if ((flags & PAL_SPAWN_USER && spec->user == UINT32_MAX) ||
        (flags & PAL_SPAWN_PRIMARY_GROUP && spec->primary_group == UINT32_MAX))
        return pal__refuse(PAL_EINVAL, "UINT32_MAX is no user or group: leave the flag out to keep the parent's");
    if (!(flags & PAL_SPAWN_GROUPS))
        return 0;
    if (spec->group_count > PAL_SPAWN_GROUPS_MAX)
        return pal__refuse(PAL_EINVAL, "too many groups: at most PAL_SPAWN_GROUPS_MAX");
    if (spec->group_count && !spec->groups)
        return pal__refuse(PAL_EINVAL, "groups is NULL: set it, or group_count to 0");
    return 0;
}

static int check_fd(const struct pal_spawn_fd *fd)
{
    if (fd->number < 0 || fd->number == INT32_MAX)
        return pal__refuse(PAL_EINVAL, "a descriptor of the child is to be 0 or above");
    if (!fd->sock.id) { /* it is to be open now: what is opened for the start itself is not meant */
        bool open = fd->native >= 0 && fd->native <= INT32_MAX && fcntl((int)fd->native, F_GETFD) >= 0;
        return open || fd->native == -1 ? 0
                                        : pal__refuse(PAL_EBADF, "native is no open descriptor: -1 is the null device");
    }
    bool known = slot_of(fd->sock) || slot_of_type(fd->sock.id, SLOT_FILE);
    if (known && in_stack(fd->sock))
        return pal__refuse(PAL_ENOTSUP, "a socket of a user-space stack has no descriptor for the child");
    return known ? 0 : pal__refuse(PAL_EBADF, "a handle to be given is stale, or a child's");
}

static int check_fds(const struct pal_spawn *spec)
{
    if (spec->fd_count > PAL_SPAWN_FDS_MAX)
        return pal__refuse(PAL_EINVAL, "too many descriptors: at most PAL_SPAWN_FDS_MAX");
    if (spec->fd_count && !spec->fds)
        return pal__refuse(PAL_EINVAL, "fds is NULL: set it, or fd_count to 0");
    for (uint32_t i = 0; i < spec->fd_count; i++) {
        int error = check_fd(&spec->fds[i]);
        if (error)
            return error;
        for (uint32_t before = 0; before < i; before++)
            if (spec->fds[before].number == spec->fds[i].number)
                return pal__refuse(PAL_EINVAL, "two descriptors have one number in the child: leave one out");
    }
    return 0;
}

static int check(const struct pal_spawn *spec, const pal_proc *out)
{
    int error;
    if (!spec || !out)
        return pal__refuse(PAL_EINVAL, "pal_proc_spawn needs a description, and room for the handle");
    if (!spec->program || !spec->argv || !spec->argv[0])
        return pal__refuse(PAL_EINVAL, "a child needs a program, and an argv with at least its name");
    if ((error = check_rights(spec)) || (error = check_limits(spec)))
        return error;
    return check_fds(spec);
}

/* ---- laying out ---- */

/* The directories to look in, separated by colons. An empty one, as in "", takes the program as it is. */
static const char *search_path(const struct pal_spawn *spec)
{
    if (!(spec->flags & PAL_SPAWN_SEARCH) || strchr(spec->program, '/') || !*spec->program)
        return "";
    const char *path = getenv("PATH");
    return path ? path : "/bin:/usr/bin";
}

static size_t programs_size(const char *program, const char *path)
{
    size_t directories = 1;
    for (const char *at = path; (at = strchr(at, ':')); at++)
        directories++;
    return strlen(path) + directories * (1 + strlen(program) + 1) + 1;
}

/* Writes what is to be tried, as struct spawn_plan has it. */
static void list_programs(char *out, const char *program, const char *path)
{
    size_t name_size = strlen(program) + 1;
    do {
        size_t length = strcspn(path, ":");
        memcpy(out, path, length);
        out += length;
        if (length)
            *out++ = '/';
        memcpy(out, program, name_size);
        out += name_size;
        path += length;
    } while (*path++ == ':');
    *out = '\0';
}

static void add_move(struct spawn_plan *plan, intptr_t from, int32_t number)
{
    plan->moves[plan->move_count++] = (struct spawn_move){(int32_t)from, number};
}

static void list_moves(struct spawn_plan *plan)
{
    const struct pal_spawn *spec = plan->spec;
    bool listed[SPAWN_STANDARD_FDS] = {false};
    for (uint32_t i = 0; i < spec->fd_count; i++) {
        const struct pal_spawn_fd *fd = &spec->fds[i];
        add_move(plan, fd->sock.id ? slot_at(fd->sock)->fd : fd->native, fd->number);
        if (fd->number < SPAWN_STANDARD_FDS)
            listed[fd->number] = true;
    }
    for (int32_t number = 0; number < SPAWN_STANDARD_FDS; number++)
        if (!listed[number])
            add_move(plan, -1, number);
}

static struct spawn_plan *make_plan(const struct pal_spawn *spec)
{
    const char *path = search_path(spec);
    size_t size = sizeof(struct spawn_plan) + programs_size(spec->program, path);
    struct spawn_plan *plan = pal__alloc(size, _Alignof(struct spawn_plan));
    if (!plan)
        return NULL;
    plan->spec = spec;
    plan->size = size;
    plan->environment = spec->environment ? spec->environment : (const char *const *)environ;
    plan->move_count = 0;
    plan->has_handlers = false;
    plan->mask = 0;
    plan->report_fd = -1;
    plan->report = (struct spawn_report){.step = STEP_RUNS};
    list_moves(plan);
    list_programs(plan->programs, spec->program, path);
    return plan;
}

/* ---- lending handles: their descriptions go into blocking mode, so nothing here may rely on the opposite ---- */

static void set_nonblocking(int fd, bool on)
{
    int status = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, on ? status | O_NONBLOCK : status & ~O_NONBLOCK);
}

/* The slot of an entry whose mode is ours to look after, or NULL. */
static struct slot *lent_slot(const struct pal_spawn_fd *fd)
{
    return fd->sock.id ? slot_of(fd->sock) : NULL;
}

/* Other handles of the same description. The two ends of a pipe look the same here, which does no harm. */
static void share_duplicates(const struct slot *slot)
{
    const uint32_t duplicate = SLOT_EXPORTED | SLOT_NONBLOCK;
    struct stat own, its;
    if (fstat(slot->fd, &own))
        return;
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *other = &pal__slots[number];
        if (!atomic_load_explicit(&other->id, memory_order_acquire) || (slot_flags(other) & duplicate) != duplicate ||
            in_stack(slot_handle(other)) || other->type != slot->type || fstat(other->fd, &its) ||
            its.st_ino != own.st_ino || its.st_dev != own.st_dev)
            continue;
        slot_set(other, SLOT_SHARED);
        slot_clear(other, SLOT_NONBLOCK);
    }
}

static void lend(struct spawn_plan *plan)
{
    for (uint32_t i = 0; i < plan->spec->fd_count; i++) {
        struct slot *slot = lent_slot(&plan->spec->fds[i]);
        if (!slot)
            continue;
        uint32_t flags = slot_flags(slot);
        plan->lent_flags[i] = (uint16_t)flags;
        slot_set(slot, SLOT_SHARED | SLOT_EXPORTED);
        if (flags & SLOT_SHARED || !(flags & SLOT_NONBLOCK))
            continue;
        slot_clear(slot, SLOT_NONBLOCK);
        if (flags & SLOT_EXPORTED)
            share_duplicates(slot);
        set_nonblocking(slot->fd, false);
    }
}

/* There is no child: the handles are as they were. Duplicates of them go on as SHARED ones do. */
static void take_back(const struct spawn_plan *plan)
{
    for (uint32_t i = 0; i < plan->spec->fd_count; i++) {
        struct slot *slot = lent_slot(&plan->spec->fds[i]);
        uint32_t flags = plan->lent_flags[i];
        if (!slot || flags & SLOT_SHARED)
            continue;
        if (flags & SLOT_NONBLOCK)
            set_nonblocking(slot->fd, true);
        slot_set(slot, flags & SLOT_NONBLOCK);
        slot_clear(slot, (SLOT_SHARED | SLOT_EXPORTED) & ~flags);
    }
}

/* ---- a new process: each function returns its id, or -errno ---- */

/* clone3(2) as used here needs Linux 5.5; sandboxes and emulators often lack it. */
static _Atomic bool no_clone3;

static bool has_clone3(void)
{
    return !atomic_load_explicit(&no_clone3, memory_order_relaxed) && pal__k_has_pidfds();
}

static bool clone3_refused(long result)
{
    if (result != -ENOSYS && result != -EINVAL && result != -EPERM)
        return false;
    atomic_store_explicit(&no_clone3, true, memory_order_relaxed);
    return true;
}

/* Signals that this process handles have their default in the child. Until it is another program its end sends none,
 * so that of one that never was nobody hears. */
static struct clone_args clone_args(uint64_t flags, int *pidfd)
{
    return (struct clone_args){.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .pidfd = (uintptr_t)pidfd};
}

/* The child runs on a stack of its own in the memory of both; this thread goes on when it has become its program, or
 * has ended. In C that cannot be said: the child must not return into a frame of its parent's. */
#if defined(__x86_64__) && !defined(__ILP32__)
enum { CAN_SHARE = true };
static long clone_onto(const struct clone_args *args, struct spawn_plan *plan)
{
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[plan], %%rdi\n\t"
                     "call *%[child]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(args),
                       "S"((long)CLONE_ARGS_SIZE_VER0), [plan] "r"(plan), [child] "r"(pal__k_spawn_child)
                     : "rcx", "r11", "cc", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { CAN_SHARE = true };
static long clone_onto(const struct clone_args *args, struct spawn_plan *plan)
{
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = CLONE_ARGS_SIZE_VER0;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x0, %[plan]\n\t"
                     "blr %[child]\n\t"
                     "brk 1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), [plan] "r"(plan), [child] "r"(pal__k_spawn_child)
                     : "cc", "memory");
    return x0;
}
#else
enum { CAN_SHARE = false };
static long clone_onto(const struct clone_args *args, struct spawn_plan *plan)
{
    (void)args, (void)plan;
    return -ENOSYS;
}
#endif

static long clone_sharing(struct spawn_plan *plan, int *pidfd)
{
    struct clone_args args = clone_args(CLONE_VM | CLONE_VFORK, pidfd);
    args.stack = (uintptr_t)plan->stack;
    args.stack_size = sizeof plan->stack;
    return clone_onto(&args, plan);
}

/* The child gets a copy of the memory. It does not return. */
static long clone_copying(struct spawn_plan *plan, int *pidfd)
{
    struct clone_args args = clone_args(0, pidfd);
    long result = CHECKED(syscall(SYS_clone3, &args, CLONE_ARGS_SIZE_VER0));
    if (result == 0)
        pal__k_spawn_child(plan);
    return result;
}

/* Without a descriptor for it there is to be no child. */
static long open_pidfd(long process_id, int *pidfd)
{
    long result = CHECKED(syscall(SYS_pidfd_open, process_id, 0));
    if (result >= 0) {
        *pidfd = (int)result;
        return process_id;
    }
    siginfo_t info;
    kill((pid_t)process_id, SIGKILL);
    while (waitid(P_PID, (id_t)process_id, &info, CHILD_ENDS) && errno == EINTR)
        continue;
    return result;
}

/* The same as every system has it, by fork: handlers and all, which must not run there. */
static long fork_copying(struct spawn_plan *plan, int *pidfd)
{
    const uint64_t all = UINT64_MAX;
    plan->has_handlers = true;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &plan->mask, sizeof all);
#if defined(__s390x__)
    long result = CHECKED(syscall(SYS_clone, NULL, SIGCHLD, NULL, NULL, NULL));
#else
    long result = CHECKED(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
#endif
    if (result == 0)
        pal__k_spawn_child(plan);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &plan->mask, NULL, sizeof all);
    *pidfd = -1;
    return result > 0 && pal__k_has_pidfds() ? open_pidfd(result, pidfd) : result;
}

/* A child in a copy tells by a pipe how it went; its program closes that without a word. */
static long begin_copying(struct spawn_plan *plan, int *pidfd)
{
    int ends[2];
    long result = CHECKED(pipe2(ends, O_CLOEXEC));
    if (result < 0)
        return result;
    plan->report_fd = ends[1];
    result = has_clone3() ? clone_copying(plan, pidfd) : -ENOSYS;
    if (clone3_refused(result))
        result = fork_copying(plan, pidfd);
    sys_close(ends[1]);
    if (result > 0)
        while (CHECKED(read(ends[0], &plan->report, sizeof plan->report)) == -EINTR)
            continue;
    sys_close(ends[0]);
    return result;
}

/* To change user or group in shared memory would expose this process to that user, and mark it as one that may not be
 * traced or dumped. */
static long begin(struct spawn_plan *plan, int *pidfd)
{
    if (CAN_SHARE && !(plan->spec->flags & NEW_RIGHTS) && has_clone3()) {
        long result = clone_sharing(plan, pidfd);
        if (!clone3_refused(result))
            return result;
    }
    return begin_copying(plan, pidfd);
}

/* ---- a child ---- */

/* It has reported, and ends: nobody is to find it. */
static void reap(const struct child *child)
{
    siginfo_t info;
    bool by_pidfd = child->pidfd >= 0;
    while (waitid(by_pidfd ? (idtype_t)BY_PIDFD : P_PID, (id_t)(by_pidfd ? child->pidfd : child->process_id), &info,
                  CHILD_ENDS) &&
           errno == EINTR)
        continue;
    if (by_pidfd)
        sys_close(child->pidfd);
}

/* Gives the handles, begins the child, and takes them back if there is none. */
static int start(struct spawn_plan *plan, struct child *child)
{
    int saved = errno; /* the child's as well, where it shares this memory */
    int pidfd = -1;
    lend(plan);
    long process_id = begin(plan, &pidfd);
    errno = saved;
    if (process_id < 0) {
        take_back(plan);
        return pal__failed(process_id);
    }
    *child = (struct child){.result = CHILD_RUNS, .process_id = (int32_t)process_id, .pidfd = pidfd};
    if (plan->report.step == STEP_RUNS)
        return 0;
    reap(child);
    take_back(plan);
    pal__failed(plan->report.error);
    pal__refusal.reason = step_reasons[plan->report.step];
    return plan->report.error;
}

/* One start at a time gives handles: of two that give the same, one may fail and take it back. */
static int start_in_turn(struct spawn_plan *plan, struct child *child)
{
    struct child_locks *locks = pal__k_child_locks();
    if (!locks)
        return pal__refuse(PAL_ENOMEM, NULL);
    bool gives = plan->spec->fd_count != 0;
    if (gives)
        lock_acquire(&locks->lending);
    int error = start(plan, child);
    if (gives)
        lock_release(&locks->lending);
    return error;
}

int pal__k_proc_spawn(const struct pal_spawn *spec, pal_proc *out)
{
    int error = check(spec, out);
    if (error)
        return error;
    pal__k_reap_orphans();
    if (!pal__slot_reserve())
        return pal__refuse(PAL_ENOBUFS, "socks_max handles are open: close some, or raise socks_max in pal_setup");
    struct child *child = pal__alloc(sizeof *child, _Alignof(struct child));
    struct spawn_plan *plan = make_plan(spec);
    error = child && plan ? start_in_turn(plan, child) : pal__refuse(PAL_ENOMEM, NULL);
    if (plan)
        pal__free(plan, plan->size);
    if (error) {
        pal__free(child, sizeof *child);
        pal__slot_cancel();
        return error;
    }
    struct slot *slot = pal__slot_begin(child->pidfd, SLOT_OTHER, PAL_AF_UNSPEC, SLOT_CHILD);
    slot->data = (uintptr_t)child;
    *out = (pal_proc){slot_handle(slot).id};
    return 0;
}
