/* children_costs.c: the system calls that pal/process.h promises, counted in this process; the child's own are its. */
#include "../conformance/children.h"
#include "kernel.h"

#include <errno.h>
#include <sys/syscall.h>

enum { WATCH = 1 };

/* Everything that is asked once has been asked, and memory has been taken before. */
static void warm_up(struct command *command)
{
    struct pal_proc_info info;
    pal_proc process;

    command_of(command, "/bin/cat");
    must(pal_proc_spawn(&command->spec, &process) == 0);
    must(pal_proc_wait(process, &info, UINT64_MAX) == 0 && info.result == 0);
    must(pal_proc_close(process) == 0);
}

/* A child that runs until the pipe's writing end is closed. */
static pal_proc must_start_waiting(pal_sock ends[2])
{
    struct command command;
    pal_proc process;

    warm_up(&command);
    must(pal_pipe(ends, 0) == 0);
    command_give(&command, ends[0], 0);
    must(pal_proc_spawn(&command.spec, &process) == 0);
    return process;
}

static void start_one(void *arg)
{
    struct command command;
    pal_proc process;

    (void)arg;
    warm_up(&command);
    syscount_begin();
    must(pal_proc_spawn(&command.spec, &process) == 0);
    syscount_end();
}

static void start_one_with_handles(void *arg)
{
    struct command command;
    pal_sock ends[2], pair[2];
    pal_proc process;

    (void)arg;
    warm_up(&command);
    must(pal_pipe(ends, 0) == 0);
    must_open_unix_pair(pair);
    command_give(&command, ends[0], 0);
    command_give(&command, ends[1], 1);
    command_give(&command, pair[1], 2); /* is in blocking mode */
    syscount_begin();
    must(pal_proc_spawn(&command.spec, &process) == 0);
    syscount_end();
    must(pal_proc_kill(process, PAL_SIGKILL) == 0);
}

static void require_fast_start(void)
{
    require_watched_children();
#if !(defined(__x86_64__) && !defined(__ILP32__)) && !defined(__aarch64__)
    test_skip("clone3", "on this CPU a child begins with a copy of its parent's memory");
#endif
    if (syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS)
        test_skip("clone3", "this kernel starts children in another way");
}

/* What memory costs is the C library's business. */
static unsigned calls_but_memory(void (*body)(void *))
{
    struct syscount calls = calls_of(body, NULL);

    return calls.total - calls.by_number[SYS_mmap] - calls.by_number[SYS_munmap];
}

Test(children_costs, a_start_is_one_call)
{
    require_fast_start();
    cr_assert_eq(calls_but_memory(start_one), 1);
}

Test(children_costs, and_two_for_each_handle_that_changes_its_mode)
{
    require_fast_start();
    cr_assert_eq(calls_but_memory(start_one_with_handles), 5);
}

static void look_and_wait(void *arg)
{
    struct pal_proc_info info;
    pal_sock ends[2];
    pal_proc process = must_start_waiting(ends);

    (void)arg;
    syscount_begin();
    must(pal_proc_wait(process, &info, 0) == PAL_ETIMEDOUT); /* 1 */
    must(pal_proc_kill(process, PAL_SIGKILL) == 0);          /* 2 */
    must(pal_proc_wait(process, &info, UINT64_MAX) == 0);    /* 3 */
    must(pal_proc_wait(process, &info, UINT64_MAX) == 0);
    must(pal_proc_kill(process, 0) == PAL_ESRCH);
    must(pal_proc_close(process) == 0); /* 1 */
    syscount_end();
}

Test(children_costs, looking_signalling_waiting_and_closing)
{
    require_fast_start();
    cr_assert_eq(calls_of(look_and_wait, NULL).total, 7);
}

static void watch_one(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    pal_sock ends[2];
    pal_proc process = must_start_waiting(ends);

    (void)arg;
    must_settle(poll);
    must(pal_proc_kill(process, PAL_SIGKILL) == 0);
    syscount_begin();
    must(pal_proc_watch(poll, process, WATCH) == 0);            /* 1 on epoll */
    must(pal_poll_wait(poll, &events, deadline_ms(5000)) == 1); /* 1, and 2 for its status */
    must(pal_proc_close(process) == 0);                         /* 1 */
    syscount_end();
}

Test(children_costs, watching_and_being_told)
{
    require_fast_start();
    cr_assert_eq(calls_of(watch_one, NULL).total, is_backend("epoll") ? 5 : 4);
}
