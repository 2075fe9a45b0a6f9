/* children.c: what of children only POSIX and Linux show: SIGCHLD, zombies, foreign children, descriptors, sessions,
 * what the parent keeps of its own. How programs are found is in children_programs.c; signals, and kernels that lack
 * what the fast way of starting needs, in children_ways.c. */
#include "../conformance/children.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { WATCH = 1, STARTS = 200 };

/* No child at all, of whatever kind (__WALL), runs or is a zombie. */
static bool is_childless(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1 && errno == ECHILD;
}

/* Has one that has ended and was not reaped. */
static bool has_zombie(void)
{
    siginfo_t info;

    info.si_pid = 0;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid != 0;
}

static pid_t pid_of(pal_proc process)
{
    struct pal_proc_info info;

    (void)pal_proc_wait(process, &info, 0);
    return (pid_t)info.process_id;
}

/* Until the process is a zombie, or gone. */
static void await_end(pid_t pid)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == -1 && errno == EINTR)
        continue;
}

/* ---- SIGCHLD and who reaps whom ---- */

Test(children, sigchld_and_mask_are_left_alone)
{
    struct sigaction before, after;
    sigset_t mask_before, mask_after;
    struct rig rig;
    pal_proc process;

    require_watched_children();
    cr_assert_eq(sigaction(SIGCHLD, NULL, &before), 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &mask_before), 0);
    rig_open(&rig, 2);
    process = start_script("exit 1");
    assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
    cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_CHILD).result, 1);
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
    cr_assert_eq(sigaction(SIGCHLD, NULL, &after), 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &mask_after), 0);
    cr_assert(before.sa_handler == after.sa_handler);
    cr_assert_arr_eq(&mask_before, &mask_after, sizeof(mask_before));
}

Test(children, foreign_children_are_left_to_whoever_started_them)
{
    int status;
    pid_t foreign = fork();

    if (foreign == 0)
        _exit(23);
    require_children();
    await_end(foreign);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(run_script("exit 4"), 4);
        assert_error(pal_proc_close(start_script("exit 5")), 0);
    }
    cr_assert_eq(waitpid(foreign, &status, 0), foreign);
    cr_assert_eq(WEXITSTATUS(status), 23);
}

/* What the event and the wait say of a child whose status went elsewhere. */
static void expect_lost(pal_proc process)
{
    struct rig rig;

    if (has_caps(PAL_CAP_WATCH_CHILD)) {
        rig_open(&rig, 2);
        assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
        cr_assert_eq(rig_until(&rig, WATCH, PAL_EV_CHILD).result, 255);
        rig_close(&rig);
    }
    cr_assert_eq(result_of(process), 255);
    assert_error(pal_proc_kill(process, SIGTERM), PAL_ESRCH);
    assert_error(pal_proc_close(process), 0);
}

Test(children, a_status_that_was_taken_is_255)
{
    struct sleeper sleeper;
    pid_t pid;
    int status;

    require_children();
    sleeper_start(&sleeper);
    pid = pid_of(sleeper.process);
    sleeper_wake(&sleeper);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_lost(sleeper.process);
}

Test(children, with_sigchld_ignored_the_status_is_255)
{
    require_children();
    (void)signal(SIGCHLD, SIG_IGN);
    expect_lost(start_script("exit 7"));
    expect_lost(start_script("kill -KILL $$"));
    cr_assert(is_childless());
}

static _Atomic int reaped_by_handler;

static void reap_all(int number)
{
    int saved = errno; /* NOLINT(bugprone-signal-handler,cert-sig30-c): a thread-local */

    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        (void)atomic_fetch_add(&reaped_by_handler, 1);
    errno = saved;
}

Test(children, a_program_that_reaps_everything_is_survived)
{
    require_children();
    (void)signal(SIGCHLD, reap_all);
    for (int i = 0; i < 50; i++) {
        int32_t result = run_script("exit 7");

        cr_assert(result == 7 || result == 255, "%d", result);
    }
    cr_assert(is_childless());
}

Test(children, a_start_that_failed_is_heard_of_by_nobody)
{
    struct command command;
    int before = descriptors_open();

    require_children();
    if (syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS)
        test_skip("clone3", "without it every child sends SIGCHLD");
    (void)signal(SIGCHLD, reap_all);
    command_of(&command, "/nonexistent/program");
    for (int i = 0; i < 50; i++)
        assert_error(start_refused(&command), PAL_ENOENT);
    cr_assert_eq(atomic_load(&reaped_by_handler), 0);
    cr_assert(is_childless());
    cr_assert_eq(descriptors_open(), before, "descriptors leak");
}

/* ---- zombies ---- */

Test(children, a_child_that_was_told_to_have_ended_is_no_zombie)
{
    struct pal_proc_info info;
    struct rig rig;
    pal_proc process;

    require_watched_children();
    process = start_script("exit 0");
    await_end(pid_of(process));
    assert_error(pal_proc_wait(process, &info, 0), 0);
    cr_assert(is_childless(), "after a wait");
    assert_error(pal_proc_close(process), 0);
    rig_open(&rig, 2);
    process = start_script("exit 0");
    assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
    (void)rig_until(&rig, WATCH, PAL_EV_CHILD);
    cr_assert(is_childless(), "after an event");
    assert_error(pal_proc_close(process), 0);
    process = start_script("exit 0");
    await_end(pid_of(process));
    assert_error(pal_proc_close(process), 0);
    cr_assert(is_childless(), "after close");
    rig_close(&rig);
}

enum { SLEEPERS = 10 };

static void close_sleepers(struct sleeper sleepers[SLEEPERS], pid_t pids[SLEEPERS])
{
    for (int i = 0; i < SLEEPERS; i++) {
        sleeper_start(&sleepers[i]);
        pids[i] = pid_of(sleepers[i].process);
        assert_error(pal_proc_close(sleepers[i].process), 0);
    }
}

static void end_sleepers(struct sleeper sleepers[SLEEPERS], const pid_t pids[SLEEPERS])
{
    for (int i = 0; i < SLEEPERS; i++) {
        sleeper_wake(&sleepers[i]);
        await_end(pids[i]);
    }
    cr_assert(has_zombie());
}

Test(children, what_was_closed_while_it_ran_is_reaped_later)
{
    struct sleeper sleepers[SLEEPERS], last;
    pid_t pids[SLEEPERS];
    int before;

    require_children();
    before = descriptors_open();
    close_sleepers(sleepers, pids);
    end_sleepers(sleepers, pids);
    sleeper_start(&last);
    cr_assert_not(has_zombie(), "after a start");
    close_sleepers(sleepers, pids);
    end_sleepers(sleepers, pids);
    assert_error(pal_proc_kill(last.process, SIGKILL), 0);
    cr_assert_eq(finish(last.process), -SIGKILL);
    cr_assert(is_childless(), "after a close");
    sleeper_wake(&last);
    cr_assert_eq(descriptors_open(), before, "descriptors leak");
}

Test(children, a_zombie_cannot_be_signalled)
{
    pal_proc process;

    require_children();
    process = start_script("exit 0");
    await_end(pid_of(process));
    assert_error(pal_proc_kill(process, SIGKILL), PAL_ESRCH);
    assert_error(pal_proc_close(process), 0);
}

static void start_and_close(void *arg)
{
    const struct command *command = (const struct command *)arg;
    pal_proc process;

    for (int i = 0; i < STARTS; i++)
        must(pal_proc_spawn(&command->spec, &process) == 0 && pal_proc_close(process) == 0);
}

Test(children, threads_that_start_and_close_leave_nothing_behind, .timeout = 60)
{
    enum { THREADS = 4 };
    pal_thread threads[THREADS];
    struct command command;
    int before;

    require_children();
    command_of(&command, "/bin/true");
    before = descriptors_open();
    for (int i = 0; i < THREADS; i++)
        assert_error(pal_thread_start(&threads[i], start_and_close, &command), 0);
    for (int i = 0; i < THREADS; i++)
        assert_error(pal_thread_join(threads[i]), 0);
    for (int i = 0; i < 1000 && !is_childless(); i++)
        cr_assert_eq(run(&command), 0);
    cr_assert(is_childless());
    cr_assert_eq(descriptors_open(), before, "descriptors leak");
    cr_assert_eq(handles_open(), 0);
}

/* ---- descriptors ---- */

/* The child is ls itself: what it has open, and the directory that it reads. */
static void command_of_list(struct command *command)
{
    command_of(command, "/bin/ls");
    command_add(command, "/proc/self/fd");
}

Test(children, the_child_has_what_was_given_and_nothing_else)
{
    struct command command;
    pal_sock pipes[20][2];
    int foreign;

    require_children();
    for (int i = 0; i < 20; i++)
        assert_error(pal_pipe(pipes[i], 0), 0);
    foreign = dup2(native_of(pipes[0][0]), 300); /* somebody did without FD_CLOEXEC */
    cr_assert_eq(foreign, 300);
    cr_assert_eq(fcntl(foreign, F_GETFD), 0);
    command_of_list(&command);
    expect_output_of(&command, "0\n1\n2\n3\n");
    command_of_list(&command);
    command_give(&command, pipes[3][0], 5);
    command_give_native(&command, 300, 6);
    expect_output_of(&command, "0\n1\n2\n3\n5\n6\n");
    cr_assert_eq(fcntl(foreign, F_GETFD), 0, "and the parent's own flags stay");
    (void)close(foreign);
    for (int i = 0; i < 20; i++)
        pair_close(pipes[i][0], pipes[i][1]);
}

/* Without those of 0, 1 and 2 that bits name: the next pipes get their numbers. */
static void start_without(int bits, int saved)
{
    struct command command;
    struct output output;

    for (int fd = 0; fd < 3; fd++)
        if (bits >> fd & 1)
            (void)close(fd);
    command_of_list(&command);
    command_give_native(&command, saved, 2);
    run_for_output(&command, &output);
    command_of(&command, "/nonexistent/program");
    assert_error(start_refused(&command), PAL_ENOENT);
    for (int fd = 0; fd < 3; fd++)
        if (bits >> fd & 1)
            cr_assert_eq(dup2(saved, fd), fd);
    cr_assert_str_eq(output.text, "0\n1\n2\n3\n", "without %d: \"%s\"", bits, output.text);
}

Test(children, the_parent_need_not_have_0_1_and_2)
{
    int saved = fcntl(2, F_DUPFD_CLOEXEC, 100);

    require_children();
    for (int bits = 1; bits < 8; bits++)
        start_without(bits, saved);
    (void)close(saved);
}

Test(children, a_number_beyond_the_limit_is_refused)
{
    struct command command;

    require_children();
    command_of_script(&command, "exit 0");
    command_give_native(&command, -1, 1 << 30);
    assert_error(start_refused(&command), PAL_EBADF);
    cr_expect_not_null(strstr(pal_reason(), "limit"));
    command_of_script(&command, "exit 0");
    command_give_native(&command, -1, INT32_MAX - 1);
    assert_error(start_refused(&command), PAL_EBADF);
}

static bool is_nonblocking(pal_sock sock)
{
    return (fcntl(native_of(sock), F_GETFL) & O_NONBLOCK) != 0;
}

Test(children, only_what_is_given_changes_its_mode)
{
    struct command command;
    pal_sock given[2], native[2], kept[2], shared;

    require_children();
    assert_error(pal_pipe(given, 0), 0);
    assert_error(pal_pipe(native, 0), 0);
    assert_error(pal_pipe(kept, 0), 0);
    assert_error(pal_sock_adopt(dup(native_of(kept[1])), PAL_ADOPT_SHARED, &shared), 0);
    command_of(&command, "/nonexistent/program");
    command_give(&command, given[0], 0);
    assert_error(start_refused(&command), PAL_ENOENT);
    cr_assert(is_nonblocking(given[0]), "after a start that failed");
    command_of_script(&command, "exit 0");
    command_give(&command, given[0], 0);
    command_give(&command, shared, 1);
    command_give_native(&command, native_of(native[0]), 5);
    cr_assert_eq(run(&command), 0);
    cr_assert_not(is_nonblocking(given[0]));
    cr_assert(is_nonblocking(given[1]));
    cr_assert(is_nonblocking(native[0]));
    cr_assert(is_nonblocking(shared));
    assert_error(pal_sock_close(shared), 0);
    pair_close(given[0], given[1]);
    pair_close(native[0], native[1]);
    pair_close(kept[0], kept[1]);
}

Test(children, without_a_descriptor_left_none_is_started)
{
    struct rlimit limit, low;
    struct command command;

    require_children();
    command_of_script(&command, "exit 0");
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 3;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_error(start_refused(&command), PAL_EMFILE);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert(is_childless());
    cr_assert_eq(run(&command), 0);
}

/* ---- what the child is, and what the parent stays ---- */

static void look_from_a_fork(void *arg)
{
    const struct sleeper *sleeper = (const struct sleeper *)arg;
    struct pal_proc_info info;

    must(pal_proc_wait(sleeper->process, &info, 0) == PAL_ETIMEDOUT); /* a brother, of whom only the end shows */
    must(pal_proc_kill(sleeper->process, SIGKILL) == 0);
    must(pal_proc_wait(sleeper->process, &info, deadline_ms(20000)) == 0);
    must(info.result == 255);
    must(pal_proc_close(sleeper->process) == 0);
}

static void watch_from_a_fork(void *arg)
{
    const struct sleeper *sleeper = (const struct sleeper *)arg;
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    must(pal_proc_watch(poll, sleeper->process, 1) == 0);
    must(pal_proc_kill(sleeper->process, SIGKILL) == 0);
    must(pal_poll_wait(poll, &events, deadline_ms(20000)) == 1);
    must(events[0].kind == PAL_EV_CHILD && events[0].result == 255);
    must(pal_proc_close(sleeper->process) == 0);
    must(pal_poll_close(poll) == 0);
}

Test(children, a_forked_process_may_watch_what_its_parent_watches)
{
    struct sleeper sleeper;
    struct rig rig;

    require_watched_children();
    rig_open(&rig, 2);
    sleeper_start(&sleeper);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, 1), 0);
    in_child(watch_from_a_fork, &sleeper);
    cr_assert_eq(rig_until(&rig, 1, PAL_EV_CHILD).result, -SIGKILL);
    cr_assert_eq(finish(sleeper.process), -SIGKILL);
    sleeper_wake(&sleeper);
    rig_close(&rig);
}

Test(children, a_forked_process_does_not_take_the_status)
{
    struct sleeper sleeper;

    require_children();
    sleeper_start(&sleeper);
    in_child(look_from_a_fork, &sleeper);
    cr_assert_eq(finish(sleeper.process), -SIGKILL);
    sleeper_wake(&sleeper);
}

Test(children, sessions_and_groups_are_begun_and_joined)
{
    struct sleeper first, second;
    struct command command;
    pid_t pid;

    require_children();
    assert_error(pal_pipe(first.ends, 0), 0);
    command_of(&command, "/bin/cat");
    command_give(&command, first.ends[0], 0);
    command.spec.flags = PAL_SPAWN_SESSION;
    first.process = start(&command);
    pid = pid_of(first.process);
    cr_assert_eq(getsid(pid), pid);
    cr_assert_eq(getpgid(pid), pid);
    assert_error(pal_proc_kill(first.process, SIGKILL), 0);
    cr_assert_eq(finish(first.process), -SIGKILL);

    command.spec.flags = PAL_SPAWN_GROUP;
    first.process = start(&command);
    pid = pid_of(first.process);
    cr_assert_eq(getsid(pid), getsid(0));
    cr_assert_eq(getpgid(pid), pid);
    command.spec.group = (uint32_t)pid;
    second.process = start(&command);
    cr_assert_eq(getpgid(pid_of(second.process)), pid);
    cr_assert_eq(kill(-pid, SIGKILL), 0);
    cr_assert_eq(finish(first.process), -SIGKILL);
    cr_assert_eq(finish(second.process), -SIGKILL);
    assert_error(start_refused(&command), PAL_EPERM); /* no such group any more */
    cr_expect_not_null(strstr(pal_reason(), "group"));
    pair_close(first.ends[0], first.ends[1]);
}

Test(children, the_parents_own_settings_stay)
{
    static const struct pal_spawn_limit limit = {PAL_LIMIT_NOFILE, 0, 20, 20};
    char before[512], after[512];
    struct rlimit limit_before, limit_after;
    struct command command;
    mode_t mask = umask(022);

    require_children();
    cr_assert_not_null(getcwd(before, sizeof(before)));
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
    command_of_script(&command, "exit 0");
    command.spec.directory = "/";
    command.spec.flags = PAL_SPAWN_UMASK | PAL_SPAWN_SESSION | PAL_SPAWN_SIGNALS;
    command.spec.umask = 077;
    command.spec.limits = &limit;
    command.spec.limit_count = 1;
    cr_assert_eq(run(&command), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit_after), 0);
    cr_assert_not_null(getcwd(after, sizeof(after)));
    cr_assert_str_eq(before, after);
    cr_assert_eq(limit_before.rlim_cur, limit_after.rlim_cur);
    cr_assert_eq(umask(mask), 022);
}

Test(children, who_starts_another_users_program_can_still_be_dumped)
{
    struct command command;

    require_children();
    if (geteuid() != 0)
        test_skip("root", "to become another user needs privileges");
    cr_assert_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    command_of_script(&command, "exit 0");
    command.spec.flags = PAL_SPAWN_USER | PAL_SPAWN_PRIMARY_GROUP;
    command.spec.user = command.spec.primary_group = 4040;
    cr_assert_eq(run(&command), 0);
    cr_assert_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    cr_assert_eq(geteuid(), 0);
}

Test(children, a_user_needs_privileges)
{
    struct command command;
    uid_t user = geteuid();

    require_children();
    command_of_script(&command, "exit 0");
    command.spec.flags = PAL_SPAWN_USER;
    if (user == 0)
        cr_assert_eq(seteuid(4040), 0);
    command.spec.user = 4141;
    assert_error(start_refused(&command), PAL_EPERM);
    cr_expect_not_null(strstr(pal_reason(), "user"));
    command.spec.flags = PAL_SPAWN_GROUPS;
    assert_error(start_refused(&command), PAL_EPERM);
    cr_expect_not_null(strstr(pal_reason(), "groups"));
    command.spec.flags = PAL_SPAWN_PRIMARY_GROUP;
    command.spec.primary_group = 4141;
    assert_error(start_refused(&command), PAL_EPERM);
    cr_expect_not_null(strstr(pal_reason(), "primary group"));
    cr_assert_eq(seteuid(user), 0);
}
