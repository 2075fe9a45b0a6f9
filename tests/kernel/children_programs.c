/* children_programs.c: how the program of a child is found, as execvp(3) finds it, and what is none. */
#include "../conformance/children.h"
#include "kernel.h"

#include <sys/stat.h>

struct tools {
    char folder[32];
    char path[128];
};

static void write_tool(const char *folder, const char *text, mode_t mode)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/tool", folder);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, mode), 0);
}

/* Three folders: one where the tool may not be run, one where it is no program, one where it is. */
static void make_tools(struct tools *tools)
{
    static const char *const names[] = {"denied", "broken", "good"};

    (void)snprintf(tools->folder, sizeof(tools->folder), "/tmp/palio-tools-XXXXXX");
    cr_assert_not_null(mkdtemp(tools->folder));
    for (int i = 0; i < 3; i++) {
        (void)snprintf(tools->path, sizeof(tools->path), "%s/%s", tools->folder, names[i]);
        cr_assert_eq(mkdir(tools->path, 0755), 0);
        write_tool(tools->path, i == 2 ? "#!/bin/sh\nexit 12\n" : "exit 12\n", i == 0 ? 0644 : 0755);
    }
}

static void remove_tools(const struct tools *tools)
{
    struct command command;

    command_of(&command, "/bin/rm");
    command_add(&command, "-r");
    command_add(&command, tools->folder);
    cr_assert_eq(run(&command), 0);
}

/* PATH becomes two folders among the tools; "" stays empty. */
static void set_path(struct tools *tools, const char *first, const char *second)
{
    char parts[2][64] = {"", ""};

    if (*first)
        (void)snprintf(parts[0], sizeof(parts[0]), "%s/%s", tools->folder, first);
    if (*second)
        (void)snprintf(parts[1], sizeof(parts[1]), "%s/%s", tools->folder, second);
    (void)snprintf(tools->path, sizeof(tools->path), "%s:%s", parts[0], parts[1]);
    cr_assert_eq(setenv("PATH", tools->path, 1), 0);
}

Test(children_programs, the_search_goes_on_as_execvp_does)
{
    struct command command;
    struct tools tools;

    require_children();
    make_tools(&tools);
    command_of(&command, "tool");
    command.spec.flags = PAL_SPAWN_SEARCH;
    set_path(&tools, "denied", "good");
    cr_expect_eq(run(&command), 12);
    set_path(&tools, "missing", "good");
    cr_expect_eq(run(&command), 12);
    set_path(&tools, "denied/tool", "good"); /* not a directory */
    cr_expect_eq(run(&command), 12);
    set_path(&tools, "denied", "missing"); /* that it was there is remembered */
    assert_error(start_refused(&command), PAL_EACCES);
    set_path(&tools, "missing", "absent");
    assert_error(start_refused(&command), PAL_ENOENT);
    set_path(&tools, "broken", "good"); /* no shell is tried, and nothing further on */
    assert_error(start_refused(&command), PAL_ENOEXEC);
    remove_tools(&tools);
}

Test(children_programs, an_empty_part_of_the_path_is_the_working_directory)
{
    struct command command;
    struct tools tools;
    char good[128];

    require_children();
    make_tools(&tools);
    (void)snprintf(good, sizeof(good), "%s/good", tools.folder);
    command_of(&command, "tool");
    command.spec.flags = PAL_SPAWN_SEARCH;
    command.spec.directory = good;
    set_path(&tools, "", "missing");
    cr_expect_eq(run(&command), 12);
    set_path(&tools, "missing", "");
    cr_expect_eq(run(&command), 12);
    cr_assert_eq(setenv("PATH", "", 1), 0); /* one part, and empty */
    cr_expect_eq(run(&command), 12);
    cr_assert_eq(unsetenv("PATH"), 0);
    assert_error(start_refused(&command), PAL_ENOENT);
    command_of(&command, "sh"); /* found without PATH */
    command_add(&command, "-c");
    command_add(&command, "exit 13");
    command.spec.flags = PAL_SPAWN_SEARCH;
    cr_expect_eq(run(&command), 13);
    remove_tools(&tools);
}

Test(children_programs, too_long_an_argument_is_told_here)
{
    static char argument[256 * 1024];
    struct command command;

    require_children();
    memset(argument, 'x', sizeof(argument) - 1);
    command_of_script(&command, "exit 0");
    command_add(&command, argument);
    assert_error(start_refused(&command), PAL_E2BIG);
}
