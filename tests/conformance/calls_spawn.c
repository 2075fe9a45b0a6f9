/* calls_spawn.c: what a child is started with: program, arguments, environment, directory, limits, rights, signals; and
 * what becomes of a start that fails. Descriptors are in calls_spawn_fds.c, what becomes of the child in
 * calls_process.c. */
#include "children.h"

#include <signal.h>

/* ---- bad requests ---- */

#define expect_invalid(command)                                                                                        \
    do {                                                                                                               \
        assert_error(start_refused(command), PAL_EINVAL);                                                              \
        cr_expect_str_neq(pal_reason(), "", "refused without a reason");                                               \
    } while (0)

Test(calls_spawn, what_is_needed_must_be_there)
{
    struct command command;
    pal_proc process;

    require_children();
    command_of_script(&command, "exit 0");
    assert_error(pal_proc_spawn(NULL, &process), PAL_EINVAL);
    assert_error(pal_proc_spawn(&command.spec, NULL), PAL_EINVAL);
    command.spec.program = NULL;
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.spec.argv = NULL;
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.argv[0] = NULL;
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.spec.fd_count = 1;
    command.spec.fds = NULL;
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.spec.limit_count = 1;
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.spec.group_count = 1;
    command.spec.flags = PAL_SPAWN_GROUPS;
    expect_invalid(&command);
}

Test(calls_spawn, unknown_flags_and_values_are_refused)
{
    static const struct {
        uint32_t flags, umask, user, primary_group, group;
    } bad[] = {
        {0x80000000, 0, 0, 0, 0},
        {PAL_SPAWN_SESSION | PAL_SPAWN_GROUP, 0, 0, 0, 0},
        {PAL_SPAWN_UMASK, 01000, 0, 0, 0},
        {PAL_SPAWN_USER, 0, UINT32_MAX, 0, 0},
        {PAL_SPAWN_PRIMARY_GROUP, 0, 0, UINT32_MAX, 0},
        {PAL_SPAWN_GROUP, 0, 0, 0, UINT32_MAX},
    };

    require_children();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct command command;

        command_of_script(&command, "exit 0");
        command.spec.flags = bad[i].flags;
        command.spec.umask = bad[i].umask;
        command.spec.user = bad[i].user;
        command.spec.primary_group = bad[i].primary_group;
        command.spec.group = bad[i].group;
        expect_invalid(&command);
    }
}

Test(calls_spawn, numbers_and_kinds_come_once)
{
    static const struct pal_spawn_limit twice[] = {{PAL_LIMIT_CORE, 0, 0, 0}, {PAL_LIMIT_CORE, 0, 0, 0}};
    static const struct pal_spawn_limit reversed = {PAL_LIMIT_CORE, 0, 2, 1};
    static const uint32_t no_kinds[] = {5, 10, 31, 32, UINT32_MAX};
    struct command command;

    require_children();
    command_of_script(&command, "exit 0");
    command_give_native(&command, -1, 4);
    command_give_native(&command, -1, 5);
    command_give_native(&command, -1, 4);
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command_give_native(&command, -1, -1);
    expect_invalid(&command);
    command_of_script(&command, "exit 0");
    command.spec.limits = twice;
    command.spec.limit_count = 2;
    expect_invalid(&command);
    command.spec.limits = &reversed;
    command.spec.limit_count = 1;
    expect_invalid(&command);
    for (size_t i = 0; i < sizeof(no_kinds) / sizeof(no_kinds[0]); i++) {
        const struct pal_spawn_limit limit = {no_kinds[i], 0, 0, 0};

        command.spec.limits = &limit;
        expect_invalid(&command);
    }
}

Test(calls_spawn, too_many_are_refused)
{
    static struct pal_spawn_fd fds[PAL_SPAWN_FDS_MAX + 1];
    static const uint32_t group = 0;
    struct command command;

    require_children();
    for (int32_t i = 0; i <= PAL_SPAWN_FDS_MAX; i++) {
        fds[i].native = -1;
        fds[i].number = i;
    }
    command_of_script(&command, "exit 0");
    command.spec.fds = fds;
    command.spec.fd_count = PAL_SPAWN_FDS_MAX + 1;
    expect_invalid(&command);
    command.spec.fd_count = PAL_SPAWN_FDS_MAX; /* and as many as may be are taken */
    cr_assert_eq(run(&command), 0);
    command_of_script(&command, "exit 0");
    command.spec.flags = PAL_SPAWN_GROUPS;
    command.spec.groups = &group;
    command.spec.group_count = PAL_SPAWN_GROUPS_MAX + 1;
    expect_invalid(&command);
}

Test(calls_spawn, what_is_given_must_be_open)
{
    struct command command;
    struct sleeper sleeper;
    pal_sock ends[2], child;

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    pair_close(ends[0], ends[1]);
    command_of_script(&command, "exit 0");
    command_give(&command, ends[0], 0);
    assert_error(start_refused(&command), PAL_EBADF);
    command_of_script(&command, "exit 0");
    command_give_native(&command, 12345, 0);
    assert_error(start_refused(&command), PAL_EBADF);
    command_of_script(&command, "exit 0");
    command_give_native(&command, -2, 0);
    assert_error(start_refused(&command), PAL_EBADF);
    sleeper_start(&sleeper);
    child.id = sleeper.process.id;
    command_of_script(&command, "exit 0");
    command_give(&command, child, 0);
    assert_error(start_refused(&command), PAL_EBADF);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

/* ---- errors before the program runs ---- */

static void expect_refused(const struct command *command, int error, const char *step)
{
    assert_error(start_refused(command), error);
    cr_expect_eq(pal_native_error(), -error);
    cr_expect_not_null(strstr(pal_reason(), step), "the reason is \"%s\", and not about the %s", pal_reason(), step);
}

Test(calls_spawn, a_missing_program_is_told_here)
{
    struct command command;

    require_children();
    command_of(&command, "/nonexistent/program");
    expect_refused(&command, PAL_ENOENT, "program");
    command_of(&command, "nonexistent");
    expect_refused(&command, PAL_ENOENT, "program");
    command.spec.flags = PAL_SPAWN_SEARCH;
    expect_refused(&command, PAL_ENOENT, "program");
    command_of(&command, "");
    expect_refused(&command, PAL_ENOENT, "program");
    command.spec.flags = PAL_SPAWN_SEARCH;
    expect_refused(&command, PAL_ENOENT, "program");
    command_of(&command, "/bin/sh/program");
    expect_refused(&command, PAL_ENOTDIR, "program");
}

Test(calls_spawn, what_is_no_program_is_told_here)
{
    struct command command;

    require_children();
    command_of(&command, "/");
    expect_refused(&command, PAL_EACCES, "program");
    command_of(&command, "/etc/passwd");
    expect_refused(&command, PAL_EACCES, "program");
}

Test(calls_spawn, a_bad_directory_is_told_here)
{
    struct command command;

    require_children();
    command_of_script(&command, "exit 0");
    command.spec.directory = "/nonexistent";
    expect_refused(&command, PAL_ENOENT, "directory");
    command.spec.directory = "/bin/sh";
    expect_refused(&command, PAL_ENOTDIR, "directory");
    command_of(&command, "/nonexistent/program"); /* the directory comes first */
    command.spec.directory = "/bin/sh";
    expect_refused(&command, PAL_ENOTDIR, "directory");
}

Test(calls_spawn, a_failed_start_leaves_the_handles_as_they_were)
{
    struct command command;
    pal_sock ends[2];
    char byte;

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    for (int i = 0; i < 3; i++) {
        command_of(&command, "/nonexistent/program");
        command_give(&command, ends[0], 0);
        command_give(&command, ends[1], 1);
        command_give(&command, ends[1], 2);
        assert_error(start_refused(&command), PAL_ENOENT);
        assert_error(pal_sock_recv(ends[0], &byte, 1, 0), PAL_EAGAIN);
        cr_assert_gt(fill(ends[1]), 0);
        cr_assert_gt(drain(ends[0]), 0);
    }
    pair_close(ends[0], ends[1]);
}

Test(calls_spawn, failed_starts_leave_nothing_behind)
{
    struct command command;

    require_children();
    command_of(&command, "/nonexistent/program");
    for (int i = 0; i < 100; i++)
        assert_error(start_refused(&command), PAL_ENOENT);
    cr_assert_eq(run_script("exit 0"), 0);
}

/* ---- program, arguments, environment, directory ---- */

Test(calls_spawn, arguments_arrive_as_they_are)
{
    struct command command;

    require_children();
    command_of(&command, "/bin/sh");
    command.argv[0] = "another name";
    command_add(&command, "-c");
    command_add(&command, "printf '%s|' \"$0\" \"$#\" \"$@\"");
    command_add(&command, "zero");
    command_add(&command, "");
    command_add(&command, "two words");
    command_add(&command, "\"quoted\\\" $HOME *");
    expect_output_of(&command, "zero|3||two words|\"quoted\\\" $HOME *|");
    command_of(&command, "/bin/sh");
    command.argv[0] = "another name";
    command_add(&command, "-c");
    command_add(&command, "echo \"$0\"");
    expect_output_of(&command, "another name\n");
}

Test(calls_spawn, a_program_without_slash_is_searched_for_when_asked)
{
    struct command command;

    require_children();
    command_of_script(&command, "echo found");
    command.spec.program = "sh";
    assert_error(start_refused(&command), PAL_ENOENT);
    command.spec.flags = PAL_SPAWN_SEARCH;
    expect_output_of(&command, "found\n");
}

Test(calls_spawn, the_search_is_along_the_parents_path)
{
    static const char *const environment[] = {"PATH=/nonexistent", NULL};
    struct command command;

    require_children();
    command_of_script(&command, "echo \"$PATH\"");
    command.spec.program = "sh";
    command.spec.flags = PAL_SPAWN_SEARCH;
    command.spec.environment = environment;
    expect_output_of(&command, "/nonexistent\n");
}

Test(calls_spawn, the_environment_is_the_one_given)
{
    static const char *const environment[] = {"FRUIT=orange", "EMPTY=", "WITH=a=b\nc", NULL};
    static const char *const nothing[] = {NULL};
    struct command command;

    require_children();
    command_of(&command, "env");
    command.spec.flags = PAL_SPAWN_SEARCH;
    command.spec.environment = environment;
    expect_output_of(&command, "FRUIT=orange\nEMPTY=\nWITH=a=b\nc\n");
    command_of(&command, "env");
    command.spec.flags = PAL_SPAWN_SEARCH;
    command.spec.environment = nothing;
    expect_output_of(&command, "");
}

Test(calls_spawn, without_one_the_environment_is_the_parents)
{
    const char *path = getenv("PATH");
    struct command command;
    struct output output;

    require_children();
    cr_assert_not_null(path);
    command_of_script(&command, "printf %s \"$PATH\"");
    run_for_output(&command, &output);
    cr_assert_str_eq(output.text, path);
}

Test(calls_spawn, the_directory_is_entered_first)
{
    struct command command;

    require_children();
    command_of_script(&command, "pwd");
    command.spec.directory = "/";
    expect_output_of(&command, "/\n");
    command_of_script(&command, "echo here"); /* the program is looked for from there */
    command.spec.program = "./sh";
    assert_error(start_refused(&command), PAL_ENOENT);
    command.spec.directory = "/bin";
    expect_output_of(&command, "here\n");
}

Test(calls_spawn, the_mask_of_new_files_is_set)
{
    struct command command;

    require_children();
    command_of_script(&command, "umask");
    command.spec.umask = 027;
    command.spec.flags = PAL_SPAWN_UMASK;
    expect_output_of(&command, "0027\n");
    command_of_script(&command, "umask");
    command.spec.flags = PAL_SPAWN_UMASK;
    expect_output_of(&command, "0000\n");
}

/* ---- limits, rights, signals ---- */

Test(calls_spawn, limits_are_set)
{
    static const struct pal_spawn_limit limits[] = {
        {PAL_LIMIT_CORE, 0, 0, 0},
        {PAL_LIMIT_NOFILE, 0, 7, 9},
        {PAL_LIMIT_FSIZE, 0, 512 * 100, UINT64_MAX},
    };
    struct command command;

    require_children();
    command_of_script(&command, "ulimit -Sc; ulimit -Hc; ulimit -Sn; ulimit -Hn; ulimit -Sf");
    command.spec.limits = limits;
    command.spec.limit_count = 3;
    command_give_native(&command, -1, 25); /* above the limit that it gets */
    expect_output_of(&command, "0\n0\n7\n9\n100\n");
}

Test(calls_spawn, a_limit_on_time_ends_it)
{
    static const struct pal_spawn_limit limits[] = {{PAL_LIMIT_CPU, 0, 1, 1}, {PAL_LIMIT_CORE, 0, 0, 0}};
    struct command command;

    require_children();
    command_of_script(&command, "while :; do :; done");
    command.spec.limits = limits;
    command.spec.limit_count = 2;
    cr_assert_lt(run(&command), 0);
}

static bool is_privileged(void)
{
    struct command command;
    struct output output;

    command_of_script(&command, "id -u");
    run_for_output(&command, &output);
    return strcmp(output.text, "0\n") == 0;
}

Test(calls_spawn, user_and_groups_are_set)
{
    static const uint32_t groups[] = {4242, 4343};
    struct command command;

    require_children();
    if (!is_privileged())
        test_skip("root", "to become another user needs privileges");
    command_of_script(&command, "id -u; id -g; id -G; id -ru");
    command.spec.flags = PAL_SPAWN_USER | PAL_SPAWN_PRIMARY_GROUP | PAL_SPAWN_GROUPS;
    command.spec.user = 4040;
    command.spec.primary_group = 4141;
    command.spec.groups = groups;
    command.spec.group_count = 2;
    expect_output_of(&command, "4040\n4141\n4141 4242 4343\n4040\n");
    command_of_script(&command, "id -G");
    command.spec.flags = PAL_SPAWN_GROUPS | PAL_SPAWN_PRIMARY_GROUP;
    command.spec.primary_group = 4141;
    expect_output_of(&command, "4141\n"); /* none */
}

Test(calls_spawn, who_becomes_another_user_stays_it)
{
    struct command command;

    require_children();
    if (!is_privileged())
        test_skip("root", "to become another user needs privileges");
    command_of_script(&command, "kill -0 1 2>&1");
    command.spec.flags = PAL_SPAWN_USER;
    command.spec.user = 4040;
    cr_assert_neq(run(&command), 0);
    command_of(&command, "/nonexistent/program"); /* and errors are told from there, too */
    command.spec.flags = PAL_SPAWN_USER;
    command.spec.user = 4040;
    expect_refused(&command, PAL_ENOENT, "program");
}

static void ignore_nothing(int number)
{
    (void)number;
}

Test(calls_spawn, handled_signals_have_their_default_in_the_child)
{
    require_children();
    (void)signal(SIGTERM, ignore_nothing);
    cr_assert_eq(run_script("kill -TERM $$; exit 3"), -PAL_SIGTERM);
}

Test(calls_spawn, ignored_signals_stay_so_unless_asked)
{
    struct command command;

    require_children();
    (void)signal(SIGTERM, SIG_IGN);
    command_of_script(&command, "kill -TERM $$; exit 3");
    cr_assert_eq(run(&command), 3);
    command.spec.flags = PAL_SPAWN_SIGNALS;
    cr_assert_eq(run(&command), -PAL_SIGTERM);
    cr_assert_eq(signal(SIGTERM, SIG_DFL), SIG_IGN, "the parent's own is not touched");
}

Test(calls_spawn, a_watched_signal_is_a_handled_one)
{
    struct rig rig;

    require_children();
    rig_open(&rig, 2);
    assert_error(pal_signal_watch(rig.poll, PAL_SIGTERM, 1), 0);
    cr_assert_eq(run_script("kill -TERM $$; exit 3"), -PAL_SIGTERM);
    rig_silent(&rig, 1, 2);
    assert_error(pal_signal_watch(NULL, PAL_SIGTERM, 0), 0);
    rig_close(&rig);
}
