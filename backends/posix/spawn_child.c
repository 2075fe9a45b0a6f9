/* spawn_child.c: what a new process does between its birth and its program. Not a line of it runs in the parent.
 *
 * The process may share the parent's memory, the calling thread's thread-locals included, while that thread sleeps and
 * all others go on. So nothing here allocates, locks, or calls what keeps state in the C library: there is syscall(2)
 * alone, whose errno the parent restores. Above all setuid(3) and its like are not to be used, as those of the C
 * library see to the parent's threads. Sanitizers are kept out for the same reason. */
#include "spawn.h"
#include "sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

/* clang goes on to note calls and returns for ThreadSanitizer where only no_sanitize is said. */
#define NOT_CHECKED __attribute__((no_sanitize("address", "thread", "undefined")))
#if defined(__clang__) && __has_attribute(disable_sanitizer_instrumentation)
#define BARE NOT_CHECKED __attribute__((disable_sanitizer_instrumentation))
#else
#define BARE NOT_CHECKED
#endif

/* User and group numbers of 16 bits were a mistake that some systems keep for compatibility. */
#ifdef SYS_setresuid32
enum { SETRESUID = SYS_setresuid32, SETRESGID = SYS_setresgid32, SETGROUPS = SYS_setgroups32 };
#else
enum { SETRESUID = SYS_setresuid, SETRESGID = SYS_setresgid, SETGROUPS = SYS_setgroups };
#endif

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

enum { FDS_MAX = 1 << 20, STATUS_FAILED = 127 };

#define CALL(...) CHECKED(syscall(__VA_ARGS__))

/* The kernel's idea of sigaction(2), of which only the handler matters: all zeros are the default. */
struct kernel_sigaction {
    uintptr_t handler;
    uint64_t rest[4];
};

BARE static _Noreturn void leave(struct spawn_plan *plan, enum spawn_step step, long error)
{
    plan->report.step = (int32_t)step;
    plan->report.error = (int32_t)error;
    if (plan->report_fd >= 0)
        syscall(SYS_write, plan->report_fd, &plan->report, sizeof plan->report);
    for (;;)
        syscall(SYS_exit_group, STATUS_FAILED);
}

BARE static void must(struct spawn_plan *plan, enum spawn_step step, long result)
{
    if (result < 0)
        leave(plan, step, result);
}

/* ---- descriptors ---- */

/* The number that a directory entry's name is, or -1. */
BARE static int number_of(const char *name)
{
    int number = 0;
    if (*name == '\0')
        return -1;
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || number > FDS_MAX)
            return -1;
        number = number * 10 + (*name - '0');
    }
    return number;
}

struct directory_entry { /* of getdents64(2) */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* All descriptors that /proc lists are not to be inherited; false if there is no such list. */
BARE static bool keep_out_listed(void)
{
    _Alignas(struct directory_entry) char entries[2048];
    long directory = CALL(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return false;
    long size;
    while ((size = CALL(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long at = 0; at < size;) {
            const struct directory_entry *entry = (const void *)(entries + at);
            int fd = number_of(entry->name);
            if (fd >= 0)
                syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
            at += entry->size;
        }
    }
    syscall(SYS_close, directory);
    return size == 0;
}

/* Nothing is inherited but what assign gives: also not what somebody else opened without FD_CLOEXEC. */
BARE static void keep_out(struct spawn_plan *plan)
{
    long result = CALL(SYS_close_range, 0, ~0U, CLOSE_RANGE_CLOEXEC);
    if (result == 0 || keep_out_listed()) /* Linux 5.11 has the first */
        return;
    struct {
        uint64_t soft, hard;
    } limit = {FDS_MAX, FDS_MAX};
    must(plan, STEP_KEEP_OUT, CALL(SYS_prlimit64, 0, PAL_LIMIT_NOFILE, NULL, &limit));
    for (int fd = 0; fd < FDS_MAX && (uint64_t)fd < limit.hard; fd++)
        syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

BARE static bool is_taken(const struct spawn_plan *plan, int number)
{
    for (uint32_t i = 0; i < plan->move_count; i++)
        if (plan->moves[i].number == number)
            return true;
    return false;
}

/* fd, or a copy of it that no move will overwrite. */
BARE static int out_of_the_way(struct spawn_plan *plan, int fd)
{
    if (!is_taken(plan, fd))
        return fd;
    long copy = -1;
    do { /* one that a move goes to will be overwritten */
        copy = CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, copy + 1);
        must(plan, STEP_DESCRIPTOR, copy);
    } while (is_taken(plan, (int)copy));
    return (int)copy;
}

/* Gives each descriptor its number, as if all moved at once: what stands where another goes is copied away first. */
BARE static void assign(struct spawn_plan *plan)
{
    long null_device = -1;
    if (plan->report_fd >= 0)
        plan->report_fd = out_of_the_way(plan, plan->report_fd);
    for (uint32_t i = 0; i < plan->move_count; i++) {
        struct spawn_move *move = &plan->moves[i];
        if (move->from < 0 && null_device < 0) {
            null_device = CALL(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
            must(plan, STEP_NULL_DEVICE, null_device);
            null_device = out_of_the_way(plan, (int)null_device);
        }
        if (move->from < 0)
            move->from = (int32_t)null_device;
        else if (move->from != move->number)
            move->from = out_of_the_way(plan, move->from);
    }
    for (uint32_t i = 0; i < plan->move_count; i++) {
        const struct spawn_move *move = &plan->moves[i];
        must(plan, STEP_DESCRIPTOR,
             move->from == move->number ? CALL(SYS_fcntl, move->from, F_SETFD, 0)
                                        : CALL(SYS_dup3, move->from, move->number, 0));
    }
}

/* ---- who it is ---- */

BARE static void take_place(struct spawn_plan *plan)
{
    const struct pal_spawn *spec = plan->spec;
    if (spec->flags & PAL_SPAWN_SESSION)
        must(plan, STEP_SESSION, CALL(SYS_setsid));
    if (spec->flags & PAL_SPAWN_GROUP)
        must(plan, STEP_GROUP, CALL(SYS_setpgid, 0, spec->group));
    if (spec->flags & PAL_SPAWN_UMASK)
        syscall(SYS_umask, spec->umask);
    if (spec->directory)
        must(plan, STEP_DIRECTORY, CALL(SYS_chdir, spec->directory));
}

/* The user comes last, as it takes the right to the rest away; limits come after the descriptors, of whose numbers one
 * is a limit. */
BARE static void restrict_rights(struct spawn_plan *plan)
{
    const struct pal_spawn *spec = plan->spec;
    for (uint32_t i = 0; i < spec->limit_count; i++)
        must(plan, STEP_LIMIT, CALL(SYS_prlimit64, 0, spec->limits[i].kind, &spec->limits[i].soft, NULL));
    if (spec->flags & PAL_SPAWN_GROUPS)
        must(plan, STEP_GROUPS, CALL(SETGROUPS, spec->group_count, spec->groups));
    uint32_t group = spec->primary_group, user = spec->user;
    if (spec->flags & PAL_SPAWN_PRIMARY_GROUP)
        must(plan, STEP_PRIMARY_GROUP, CALL(SETRESGID, group, group, group));
    if (spec->flags & PAL_SPAWN_USER)
        must(plan, STEP_USER, CALL(SETRESUID, user, user, user));
}

/* prlimit64(2) takes the two numbers of a limit as they stand in it. */
_Static_assert(offsetof(struct pal_spawn_limit, hard) == offsetof(struct pal_spawn_limit, soft) + 8, "as rlimit64");

/* ---- signals ---- */

BARE static void reset_signals(const struct spawn_plan *plan)
{
    const struct kernel_sigaction standard = {.handler = (uintptr_t)SIG_DFL};
    bool all = plan->spec->flags & PAL_SPAWN_SIGNALS;
    uint64_t mask = all ? 0 : plan->mask;
    if (!all && !plan->has_handlers)
        return;
    for (int number = 1; number <= 64; number++) { /* what cannot be changed has its default */
        struct kernel_sigaction present = standard;
        if (!all)
            syscall(SYS_rt_sigaction, number, NULL, &present, sizeof mask);
        if (all || (present.handler != (uintptr_t)SIG_IGN && present.handler != (uintptr_t)SIG_DFL))
            syscall(SYS_rt_sigaction, number, &standard, NULL, sizeof mask);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

/* ---- the program ---- */

/* Is there a program further along the path to be looked for, as execvp(3) has it? */
BARE static bool look_further(long error)
{
    return error == -EACCES || error == -ENOENT || error == -ENOTDIR || error == -ESTALE || error == -ENODEV ||
           error == -ETIMEDOUT;
}

BARE static _Noreturn void become_program(struct spawn_plan *plan)
{
    long error = -ENOENT;
    bool denied = false;
    for (const char *program = plan->programs; *program;) {
        error = CALL(SYS_execve, program, plan->spec->argv, plan->environment);
        if (!look_further(error))
            leave(plan, STEP_PROGRAM, error);
        denied = denied || error == -EACCES;
        while (*program++)
            continue;
    }
    leave(plan, STEP_PROGRAM, denied ? -EACCES : error);
}

BARE _Noreturn void pal__k_spawn_child(void *argument)
{
    struct spawn_plan *plan = argument;
    keep_out(plan);
    take_place(plan);
    assign(plan);
    restrict_rights(plan);
    reset_signals(plan);
    become_program(plan);
}
