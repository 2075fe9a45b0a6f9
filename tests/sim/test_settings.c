/* tests/sim/test_settings.c: what the environment says to the simulator, and the command that it prints. */
#include "../../backends/sim/plan.h"
#include "../../backends/sim/settings.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FATAL = 77 };

/* Of the seam, as far as it is asked here. */
void pal_fatal(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    _exit(FATAL);
}

/* ---- the command that replays ---- */

static void expect_quoted(const char *line, size_t size, const char *wanted)
{
    char text[128];

    pal__s_quote_all(line, size, text, sizeof text);
    cr_assert_str_eq(text, wanted);
}

#define EXPECT_QUOTED(line, wanted) expect_quoted(line, sizeof(line), wanted)

Test(settings, a_shell_takes_the_command_as_it_was)
{
    EXPECT_QUOTED("./app\0--seed=7", "./app --seed=7");
    EXPECT_QUOTED("./app\0two words\0", "./app 'two words' ''");
    EXPECT_QUOTED("./app\0$HOME;`id`\"", "./app '$HOME;`id`\"'");
    EXPECT_QUOTED("it's", "'it'\\''s'");
    EXPECT_QUOTED("'\0''", "''\\''' ''\\'''\\'''");
    expect_quoted("", 0, "");
}

Test(settings, a_shell_says_the_same)
{
    static const char line[] = "it's\0'$HOME'\0\\'\0\0a'b''c";
    char quoted[128], command[160], said[128];
    FILE *shell;
    size_t size;

    pal__s_quote_all(line, sizeof line, quoted, sizeof quoted);
    snprintf(command, sizeof command, "printf '%%s\\n' %s", quoted);
    shell = popen(command, "re");
    cr_assert_not_null(shell);
    size = fread(said, 1, sizeof said - 1, shell);
    said[size] = '\0';
    cr_assert_eq(pclose(shell), 0);
    cr_assert_str_eq(said, "it's\n'$HOME'\n\\'\n\na'b''c\n");
}

Test(settings, a_command_that_is_too_long_is_cut)
{
    char text[8];

    pal__s_quote_all("./app\0it's", 11, text, sizeof text);
    cr_assert_str_eq(text, "./app '");
}

Test(settings, the_command_of_this_process_is_found)
{
    char text[1024] = "";

    pal__s_command(text, sizeof text);
    cr_assert_str_neq(text, "");
}

/* ---- the file that PALIO_SIM names ---- */

/* A file of so many spaces is what PALIO_SIM names from now on. */
static FILE *name_file(size_t size)
{
    static char spaces[PLAN_TEXT_MAX + 1];
    char path[64];
    FILE *file = tmpfile();

    cr_assert_not_null(file);
    memset(spaces, ' ', sizeof spaces);
    cr_assert_eq(fwrite(spaces, 1, size, file), size);
    cr_assert_eq(fflush(file), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    cr_assert_eq(setenv("PALIO_SIM", path, 1), 0);
    return file;
}

/* How a child that reads the settings ends. */
static int read_in_child(void)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)pal__s_settings();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(settings, a_file_is_as_long_as_a_text_may_be)
{
    FILE *file = name_file(PLAN_TEXT_MAX);
    const char *text = pal__s_settings();

    cr_assert_not_null(text);
    cr_assert_eq(strlen(text), (size_t)PLAN_TEXT_MAX);
    fclose(file);
}

Test(settings, a_file_that_is_too_long_ends_the_program)
{
    FILE *file = name_file(PLAN_TEXT_MAX + 1);

    cr_assert_eq(read_in_child(), FATAL);
    fclose(file);
    cr_assert_eq(setenv("PALIO_SIM", "no/such/file/at/all", 1), 0);
    cr_assert_eq(read_in_child(), FATAL);
}

Test(settings, what_setup_says_goes_before_the_file)
{
    cr_assert_eq(setenv("PALIO_SIM", "no/such/file/at/all", 1), 0);
    pal__s_set_args("quiet");
    cr_assert_str_eq(pal__s_settings(), "quiet");
    pal__s_set_args("");
    cr_assert_eq(unsetenv("PALIO_SIM"), 0);
    cr_assert_null(pal__s_settings());
}
