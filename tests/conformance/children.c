/* children.c: see children.h. Only the seam and ISO C. */
#include "children.h"

static const uint64_t PATIENCE_NS = UINT64_C(20000000000);

static bool have_shell(void)
{
    FILE *shell = fopen("/bin/sh", "rb");

    if (shell != NULL)
        (void)fclose(shell);
    return shell != NULL;
}

void require_children(void)
{
    if (!have_shell())
        test_skip("sh", "this system has no /bin/sh");
}

void require_watched_children(void)
{
    require_children();
    if (!has_caps(PAL_CAP_WATCH_CHILD))
        test_skip("watch-child", "this backend does not watch children here");
}

/* ---- commands ---- */

void command_of(struct command *command, const char *program)
{
    memset(command, 0, sizeof(*command));
    command->argv[0] = program;
    command->spec.program = program;
    command->spec.argv = command->argv;
    command->spec.fds = command->fds;
}

void command_add(struct command *command, const char *argument)
{
    int count = 0;

    while (command->argv[count] != NULL)
        count++;
    cr_assert_lt(count, COMMAND_ARGS_MAX);
    command->argv[count] = argument;
}

void command_of_script(struct command *command, const char *script)
{
    command_of(command, "/bin/sh");
    command_add(command, "-c");
    command_add(command, script);
}

static struct pal_spawn_fd *next_fd(struct command *command, int32_t number)
{
    struct pal_spawn_fd *fd = &command->fds[command->spec.fd_count++];

    cr_assert_leq(command->spec.fd_count, COMMAND_FDS_MAX);
    fd->number = number;
    return fd;
}

void command_give(struct command *command, pal_sock sock, int32_t number)
{
    next_fd(command, number)->sock = sock;
}

void command_give_native(struct command *command, intptr_t native, int32_t number)
{
    next_fd(command, number)->native = native;
}

/* ---- starting and ending ---- */

pal_proc start(const struct command *command)
{
    pal_proc process = {0};
    int error = pal_proc_spawn(&command->spec, &process);

    cr_assert(error == 0, "%s does not start: %s (%s)", command->spec.program, pal_error_name(error), pal_reason());
    cr_assert_neq(process.id, 0);
    return process;
}

pal_proc start_script(const char *script)
{
    struct command command;

    command_of_script(&command, script);
    return start(&command);
}

int start_refused(const struct command *command)
{
    uint64_t before = handles_open();
    pal_proc process = {4711};
    int error = pal_proc_spawn(&command->spec, &process);

    cr_assert_lt(error, 0, "%s starts", command->spec.program);
    cr_assert_eq(process.id, 4711, "the handle was written");
    cr_assert_eq(handles_open(), before, "a refused start leaks a handle");
    return error;
}

int32_t result_of(pal_proc process)
{
    struct pal_proc_info info;
    uint64_t deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + PATIENCE_NS;
    int error;

    do
        error = pal_proc_wait(process, &info, deadline_ns);
    while (error == PAL_EINTR);
    assert_error(error, 0);
    cr_assert_eq(info.state, PAL_PROC_ENDED);
    return info.result;
}

int32_t finish(pal_proc process)
{
    int32_t result = result_of(process);

    assert_error(pal_proc_close(process), 0);
    return result;
}

int32_t run(const struct command *command)
{
    return finish(start(command));
}

int32_t run_script(const char *script)
{
    return finish(start_script(script));
}

/* ---- output ---- */

void read_to_end(pal_sock sock, char text[OUTPUT_MAX])
{
    size_t size = 0;
    int32_t count;

    do {
        (void)sock_until(sock, PAL_IN);
        count = pal_sock_recv(sock, text + size, OUTPUT_MAX - 1 - size, 0);
        cr_assert_geq(count, 0, "the output cannot be read: %s", pal_error_name(count));
        size += (size_t)count;
    } while (count > 0);
    text[size] = '\0';
}

void run_for_output(struct command *command, struct output *output)
{
    pal_sock ends[2];
    pal_proc process;

    assert_error(pal_pipe(ends, 0), 0);
    command_give(command, ends[1], 1);
    process = start(command);
    assert_error(pal_sock_close(ends[1]), 0);
    read_to_end(ends[0], output->text);
    assert_error(pal_sock_close(ends[0]), 0);
    output->result = finish(process);
}

void expect_output_of(struct command *command, const char *text)
{
    struct output output;

    run_for_output(command, &output);
    cr_expect_str_eq(output.text, text, "%s %s: \"%s\", not \"%s\"", command->spec.program,
                     command->argv[2] != NULL ? command->argv[2] : "", output.text, text);
    cr_expect_eq(output.result, 0, "result %d", output.result);
}

void expect_script_output(const char *script, const char *text)
{
    struct command command;

    command_of_script(&command, script);
    expect_output_of(&command, text);
}

/* ---- sleepers ---- */

void sleeper_start(struct sleeper *sleeper)
{
    struct command command;

    assert_error(pal_pipe(sleeper->ends, 0), 0);
    command_of_script(&command, "read line");
    command_give(&command, sleeper->ends[0], 0);
    sleeper->process = start(&command);
}

void sleeper_wake(struct sleeper *sleeper)
{
    cr_assert_eq(pal_sock_send(sleeper->ends[1], "\n", 1, 0), 1);
    pair_close(sleeper->ends[0], sleeper->ends[1]);
}
