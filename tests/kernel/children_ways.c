/* children_ways.c: the ways in which a child is started: none lets a signal handler of the parent run in the child, and
 * where the kernel lacks what the fast way needs, the others do the same. What it lacks is taken from it by seccomp(2),
 * in this test's process alone. */
#include "../conformance/children.h"
#include "kernel.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { WATCH = 1, STARTS = 200, WAITERS = 4 };

/* ---- kernels that lack something ---- */

enum lack { CLONE3 = 1, PIDFDS = 2, CLOSE_RANGE = 4, LISTS = 8 };

/* From now on these calls of this process fail. */
static void take_away(unsigned lacks, unsigned error)
{
    static const struct {
        unsigned lack;
        unsigned number;
    } calls[] = {{CLONE3, SYS_clone3},
                 {PIDFDS, SYS_pidfd_open},
                 {PIDFDS, SYS_pidfd_send_signal},
                 {CLOSE_RANGE, SYS_close_range},
                 {LISTS, SYS_getdents64}};
    struct sock_filter filter[2 * sizeof(calls) / sizeof(calls[0]) + 2];
    struct sock_fprog program = {0, filter};

    filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (!(calls[i].lack & lacks))
            continue;
        filter[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void require_filters(void)
{
    require_children();
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && errno != EFAULT)
        test_skip("seccomp", "system calls cannot be filtered here");
}

static void expect_results(void)
{
    struct command command;

    cr_expect_eq(run_script("exit 0"), 0);
    cr_expect_eq(run_script("exit 7"), 7);
    cr_expect_eq(run_script("kill -TERM $$"), -SIGTERM);
    expect_script_output("echo ripe", "ripe\n");
    command_of(&command, "/nonexistent/program");
    assert_error(start_refused(&command), PAL_ENOENT);
    cr_expect_not_null(strstr(pal_reason(), "program"));
    command_of_script(&command, "exit 0");
    command.spec.directory = "/nonexistent";
    assert_error(start_refused(&command), PAL_ENOENT);
    cr_expect_not_null(strstr(pal_reason(), "directory"));
    cr_assert_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1, "something is left");
}

/* The child's numbers cover whatever the start itself needs. */
static void expect_descriptors(void)
{
    enum { NUMBERS = 200 };
    static struct pal_spawn_fd fds[NUMBERS];
    struct command command;
    int foreign = dup2(2, 300);

    command_of(&command, "/bin/ls");
    command_add(&command, "/proc/self/fd");
    command_give_native(&command, foreign, 5);
    expect_output_of(&command, "0\n1\n2\n3\n5\n");
    for (int32_t i = 0; i < NUMBERS; i++)
        fds[i] = (struct pal_spawn_fd){{0}, -1, i, 0};
    command_of_script(&command, "test -e /dev/fd/199 && ! test -e /dev/fd/200");
    command.spec.fds = fds;
    command.spec.fd_count = NUMBERS;
    cr_expect_eq(run(&command), 0);
    command_of(&command, "/nonexistent/program");
    command.spec.fds = fds;
    command.spec.fd_count = NUMBERS;
    assert_error(start_refused(&command), PAL_ENOENT);
    (void)close(foreign);
}

static void wait_in_thread(void *arg)
{
    const pal_proc *process = (const pal_proc *)arg;
    struct pal_proc_info info;

    must(pal_proc_wait(*process, &info, UINT64_MAX) == 0);
    must(info.result == -SIGKILL);
}

/* So many threads wait for its end. */
static void expect_life(int thread_count)
{
    struct pal_proc_info info;
    pal_thread threads[WAITERS];
    struct sleeper sleeper;

    sleeper_start(&sleeper);
    assert_error(pal_proc_wait(sleeper.process, &info, 0), PAL_ETIMEDOUT);
    assert_error(pal_proc_wait(sleeper.process, &info, deadline_ms(10)), PAL_ETIMEDOUT);
    assert_error(pal_proc_kill(sleeper.process, 0), 0);
    for (int i = 0; i < thread_count; i++)
        assert_error(pal_thread_start(&threads[i], wait_in_thread, &sleeper.process), 0);
    assert_error(pal_proc_kill(sleeper.process, SIGKILL), 0);
    for (int i = 0; i < thread_count; i++)
        assert_error(pal_thread_join(threads[i]), 0);
    cr_expect_eq(result_of(sleeper.process), -SIGKILL);
    assert_error(pal_proc_kill(sleeper.process, 0), PAL_ESRCH);
    assert_error(pal_proc_close(sleeper.process), 0);
    sleeper_wake(&sleeper);
    for (int i = 0; i < 3; i++)
        assert_error(pal_proc_close(start_script("exit 0")), 0);
    for (int i = 0; i < 1000 && waitpid(-1, NULL, WNOHANG | __WALL) != -1; i++)
        cr_assert_eq(run_script("exit 0"), 0);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1, "zombies are left");
}

static void expect_watch(unsigned lacks)
{
    struct rig rig;
    pal_proc process;

    rig_open(&rig, 2);
    process = start_script("exit 9");
    if (lacks & PIDFDS) {
        cr_expect_not(has_caps(PAL_CAP_WATCH_CHILD));
        assert_error(pal_proc_watch(rig.poll, process, WATCH), PAL_ENOTSUP);
        cr_expect_str_neq(pal_reason(), "");
    } else {
        cr_expect(has_caps(PAL_CAP_WATCH_CHILD));
        assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
        cr_expect_eq(rig_until(&rig, WATCH, PAL_EV_CHILD).result, 9);
    }
    cr_expect_eq(finish(process), 9);
    rig_close(&rig);
}

static void handle_nothing(int number)
{
    (void)number;
}

static void expect_signals(void)
{
    struct command command;

    (void)signal(SIGTERM, handle_nothing);
    command_of_script(&command, "kill -TERM $$; exit 3");
    cr_expect_eq(run(&command), -SIGTERM);
    (void)signal(SIGTERM, SIG_IGN);
    cr_expect_eq(run(&command), 3);
    command.spec.flags = PAL_SPAWN_SIGNALS;
    cr_expect_eq(run(&command), -SIGTERM);
    (void)signal(SIGTERM, SIG_DFL);
}

static void expect_all_without(unsigned lacks, unsigned error)
{
    sigset_t before, after;

    require_filters();
    sigemptyset(&before);
    after = before;
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
    take_away(lacks, error);
    expect_results();
    expect_descriptors();
    expect_life(error == ENOSYS ? WAITERS : 0); /* else the C library cannot start threads either */
    expect_watch(lacks);
    expect_signals();
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    cr_assert_arr_eq(&before, &after, sizeof(before));
}

Test(children_ways, with_all_there_is)
{
    expect_all_without(0, ENOSYS);
}

Test(children_ways, without_clone3)
{
    expect_all_without(CLONE3, ENOSYS);
}

Test(children_ways, where_a_sandbox_forbids_clone3)
{
    expect_all_without(CLONE3, EPERM);
}

Test(children_ways, where_clone3_lacks_a_flag)
{
    expect_all_without(CLONE3, EINVAL);
}

Test(children_ways, without_pidfds)
{
    expect_all_without(PIDFDS, ENOSYS);
}

Test(children_ways, without_close_range)
{
    expect_all_without(CLOSE_RANGE, ENOSYS);
}

Test(children_ways, with_none_of_them)
{
    expect_all_without(CLONE3 | PIDFDS | CLOSE_RANGE, ENOSYS);
}

Test(children_ways, without_close_range_and_lists_of_descriptors)
{
    struct rlimit limit, low;
    struct command command;
    int foreign;

    require_filters();
    take_away(CLOSE_RANGE | LISTS, ENOSYS);
    foreign = dup2(2, 300);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 100; /* which what is open need not keep */
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    command_of_script(&command, "test -e /dev/fd/2 && ! test -e /dev/fd/300");
    cr_expect_eq(run(&command), 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)close(foreign);
}

/* ---- signals ---- */

struct shared {
    _Atomic int handled_elsewhere; /* a handler of the parent's ran in another process */
    _Atomic int handled;
    _Atomic bool done;
};

static struct shared *shared;
static pid_t parent;

static void note_where(int number)
{
    (void)number;
    (void)atomic_fetch_add(getpid() == parent ? &shared->handled : &shared->handled_elsewhere, 1);
}

/* Signals the whole group, starting children and all, until told to stop. */
static pid_t start_pestering(void)
{
    pid_t pid = fork();

    must(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGUSR1, SIG_IGN);
        (void)alarm(60);
        while (!atomic_load(&shared->done))
            (void)kill(0, SIGUSR1);
        _exit(0);
    }
    return pid;
}

static void start_under_signals(void *arg)
{
    const unsigned *lacks = (const unsigned *)arg;
    struct command command;
    struct sigaction action;
    pid_t pest;

    if (*lacks)
        take_away(*lacks, ENOSYS);
    must(setpgid(0, 0) == 0);
    parent = getpid();
    shared = (struct shared *)mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED);
    memset(&action, 0, sizeof(action));
    action.sa_handler = note_where;
    action.sa_flags = SA_RESTART;
    must(sigaction(SIGUSR1, &action, NULL) == 0);
    pest = start_pestering();
    command_of(&command, "/bin/true");
    for (int i = 0; i < STARTS; i++) {
        struct pal_proc_info info;
        pal_proc process;

        must(pal_proc_spawn(&command.spec, &process) == 0);
        while (pal_proc_wait(process, &info, UINT64_MAX) == PAL_EINTR)
            continue;
        must(info.result == 0 || info.result == -SIGUSR1);
        must(pal_proc_close(process) == 0);
    }
    atomic_store(&shared->done, true);
    while (waitpid(pest, NULL, 0) == -1 && errno == EINTR)
        continue;
    must(atomic_load(&shared->handled) > 0);
    must(atomic_load(&shared->handled_elsewhere) == 0);
}

Test(children_ways, handlers_of_the_parent_do_not_run_in_the_child, .timeout = 90)
{
    unsigned lacks = 0;

    require_children();
    in_child(start_under_signals, &lacks);
}

Test(children_ways, nor_in_one_that_begins_as_a_copy, .timeout = 90)
{
    unsigned lacks = CLONE3;

    require_filters();
    in_child(start_under_signals, &lacks);
}

static uint64_t mask_of(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    cr_assert_not_null(line, "%s is not told", name);
    return strtoull(line + strlen(name), NULL, 16);
}

Test(children_ways, masks_are_inherited_unless_asked)
{
    const uint64_t bit = UINT64_C(1) << (SIGUSR1 - 1), ignored = UINT64_C(1) << (SIGUSR2 - 1);
    struct command command;
    struct output output;
    sigset_t set;

    require_children();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)signal(SIGHUP, note_where);
    command_of(&command, "/bin/cat");
    command_add(&command, "/proc/self/status");
    run_for_output(&command, &output);
    cr_expect_eq(mask_of(output.text, "SigBlk:") & bit, bit);
    cr_expect_eq(mask_of(output.text, "SigIgn:") & ignored, ignored);
    cr_expect_eq(mask_of(output.text, "SigCgt:"), 0);
    command_of(&command, "/bin/cat");
    command_add(&command, "/proc/self/status");
    command.spec.flags = PAL_SPAWN_SIGNALS;
    run_for_output(&command, &output);
    cr_expect_eq(mask_of(output.text, "SigBlk:"), 0);
    cr_expect_eq(mask_of(output.text, "SigIgn:"), 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &set), 0);
    cr_expect_eq(sigismember(&set, SIGUSR1), 1, "and the parent's own stays");
}
