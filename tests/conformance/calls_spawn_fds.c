/* calls_spawn_fds.c: the descriptors that a child is given: which, under which numbers, and what becomes of this
 * process's own use of them. */
#include "children.h"
#include "jobs.h"

#include <stdatomic.h>

/* ---- descriptors ---- */

Test(calls_spawn_fds, input_comes_through_a_pipe)
{
    struct command command;
    pal_sock ends[2];
    pal_proc process;

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    command_of_script(&command, "read a b; test \"$a$b\" = pears");
    command_give(&command, ends[0], 0);
    process = start(&command);
    send_text(ends[1], "pea rs\n");
    cr_assert_eq(finish(process), 0);
    pair_close(ends[0], ends[1]);
}

Test(calls_spawn_fds, one_descriptor_may_have_several_numbers)
{
    struct command command;
    char text[OUTPUT_MAX];
    pal_sock ends[2];
    pal_proc process;

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    command_of_script(&command, "echo apple; echo orange >&2; echo pear >&5");
    command_give(&command, ends[1], 5);
    command_give(&command, ends[1], 1);
    command_give(&command, ends[1], 2);
    process = start(&command);
    assert_error(pal_sock_close(ends[1]), 0);
    read_to_end(ends[0], text);
    cr_assert_str_eq(text, "apple\norange\npear\n");
    cr_assert_eq(finish(process), 0);
    assert_error(pal_sock_close(ends[0]), 0);
}

Test(calls_spawn_fds, a_socket_serves_as_input_and_output)
{
    struct command command;
    pal_sock ends[2];
    pal_proc process;

    require_children();
    pair_open(PAIR_UNIX_STREAM, &ends[0], &ends[1]);
    command_of(&command, "/bin/cat");
    command_give(&command, ends[1], 0);
    command_give(&command, ends[1], 1);
    process = start(&command);
    assert_error(pal_sock_close(ends[1]), 0);
    send_text(ends[0], "there and back");
    expect_text(ends[0], "there and back");
    assert_error(pal_sock_shutdown(ends[0], PAL_SHUT_WR), 0);
    expect_end(ends[0]);
    cr_assert_eq(finish(process), 0);
    assert_error(pal_sock_close(ends[0]), 0);
}

Test(calls_spawn_fds, a_listener_that_is_given_accepts_there_and_here)
{
    struct pal_addr addr;
    struct command command;
    pal_sock listener, a, b;

    require_children();
    listener_open(native_family(PAL_AF_INET), &listener, &addr);
    command_of_script(&command, "exit 0");
    command_give(&command, listener, 3);
    cr_assert_eq(run(&command), 0);
    assert_error(pal_sock_accept(listener, &a, NULL), PAL_EAGAIN);
    connect_to(listener, &addr, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
    assert_error(pal_sock_close(listener), 0);
}

/* Rule 14: it has no descriptor. */
Test(calls_spawn_fds, a_stacks_socket_is_refused)
{
    struct command command;
    pal_sock ends[2], a, b;
    uint64_t before;

    require_children();
    stack_pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_pipe(ends, 0), 0);
    before = handles_open();
    command_of_script(&command, "exit 0");
    command_give(&command, ends[1], 1);
    command_give(&command, a, 3);
    assert_error(start_refused(&command), PAL_ENOTSUP);
    cr_assert_eq(handles_open(), before);
    expect_connected(a, b);
    send_text(ends[1], "still ours");
    expect_text(ends[0], "still ours");
    pair_close(ends[0], ends[1]);
    pair_close(a, b);
}

Test(calls_spawn_fds, a_file_is_given_by_its_handle)
{
    struct command command;
    char bytes[8];
    pal_file file;
    pal_sock given;

    require_children();
    file = open_scratch_file(NULL, 0);
    given.id = file.id;
    command_of_script(&command, "echo pear");
    command_give(&command, given, 1);
    cr_assert_eq(run(&command), 0);
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 0), 5);
    cr_assert_arr_eq(bytes, "pear\n", 5);
    assert_error(pal_file_close(file), 0);
}

Test(calls_spawn_fds, what_is_not_given_is_the_null_device)
{
    struct command command;

    require_children();
    command_of_script(&command, "cat; echo lost >&2");
    cr_assert_eq(run(&command), 0);
    command_of_script(&command, "cat; cat <&2; echo lost >&2"); /* 2 can be read as well */
    expect_output_of(&command, "");
    command_of_script(&command, "cat <&7; echo lost >&7; echo kept");
    command_give_native(&command, -1, 7);
    expect_output_of(&command, "kept\n");
}

/* Gives pipes to each other's numbers: the child's number of pipe i is the parent's of pipe (i + shift) % count. */
static void permute(int count, int shift)
{
    pal_sock ends[4][2];
    intptr_t numbers[4];
    char script[256] = "", text[OUTPUT_MAX], expected[8];
    struct command command;
    pal_proc process;

    for (int i = 0; i < count; i++) {
        size_t size = sizeof(numbers[i]);

        assert_error(pal_pipe(ends[i], 0), 0);
        if (pal_sock_get(ends[i][1], PAL_SO_NATIVE, &numbers[i], &size) != 0)
            test_skip("native", "this backend has no native descriptors");
    }
    for (int i = 0; i < count; i++)
        (void)snprintf(script + strlen(script), sizeof(script) - strlen(script), "echo %d > /dev/fd/%d; ", i,
                       (int)numbers[(i + shift) % count]);
    command_of_script(&command, script);
    for (int i = 0; i < count; i++)
        command_give(&command, ends[i][1], (int32_t)numbers[(i + shift) % count]);
    process = start(&command);
    for (int i = 0; i < count; i++)
        assert_error(pal_sock_close(ends[i][1]), 0);
    for (int i = 0; i < count; i++) {
        read_to_end(ends[i][0], text);
        (void)snprintf(expected, sizeof(expected), "%d\n", i);
        cr_expect_str_eq(text, expected, "pipe %d of %d shifted by %d: \"%s\"", i, count, shift, text);
        assert_error(pal_sock_close(ends[i][0]), 0);
    }
    cr_assert_eq(finish(process), 0);
}

Test(calls_spawn_fds, numbers_may_be_permuted)
{
    require_children();
    for (int count = 1; count <= 4; count++)
        for (int shift = 0; shift < count; shift++)
            permute(count, shift);
}

Test(calls_spawn_fds, a_native_that_is_not_open_is_refused)
{
    require_children();
    for (int native = 3; native < 64; native++) { /* some of them will be what the start opens for itself */
        struct command command;
        pal_sock probe;
        if (pal_sock_adopt(native, PAL_ADOPT_SHARED, &probe) != PAL_EBADF)
            continue;
        command_of_script(&command, "exit 0");
        command_give_native(&command, native, 5);
        assert_error(start_refused(&command), PAL_EBADF);
    }
}

Test(calls_spawn_fds, nothing_else_is_inherited)
{
    struct sleeper sleeper;
    pal_sock ends[2];

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    sleeper_start(&sleeper);
    assert_error(pal_sock_close(ends[1]), 0);
    expect_end(ends[0]); /* though the child runs on: it has no copy of the writing end */
    assert_error(pal_sock_close(ends[0]), 0);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

/* ---- what is given, and this process's own use of it ---- */

Test(calls_spawn_fds, the_child_finds_its_input_in_blocking_mode)
{
    struct pal_proc_info info;
    struct sleeper sleeper;
    char byte;

    require_children();
    sleeper_start(&sleeper);
    assert_error(pal_sock_recv(sleeper.ends[0], &byte, 1, 0), PAL_EAGAIN); /* while here tries still do not wait */
    assert_error(pal_proc_wait(sleeper.process, &info, pal_clock(PAL_CLOCK_MONOTONIC) + 20 * MILLISECOND_NS),
                 PAL_ETIMEDOUT);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

Test(calls_spawn_fds, a_full_pipe_that_was_given_does_not_block)
{
    struct command command;
    pal_sock ends[2], duplicate, other;

    require_children();
    assert_error(pal_pipe(ends, 0), 0);
    assert_error(pal_sock_dup(ends[1], &duplicate), 0);
    assert_error(pal_sock_dup(ends[0], &other), 0);
    command_of_script(&command, "exit 0");
    command_give(&command, ends[0], 0);
    command_give(&command, ends[1], 1);
    cr_assert_eq(run(&command), 0);
    cr_assert_gt(fill(ends[1]), 0);
    assert_error(pal_sock_send(ends[1], "x", 1, 0), PAL_EAGAIN);
    assert_error(pal_sock_send(duplicate, "x", 1, 0), PAL_EAGAIN); /* it has the same description */
    cr_assert_gt(drain(other), 0);
    pair_close(duplicate, other);
    pair_close(ends[0], ends[1]);
}

Test(calls_spawn_fds, a_watched_pipe_can_be_given)
{
    enum { READER = 1 };
    struct command command;
    pal_sock ends[2];
    pal_proc process;
    struct rig rig;

    require_children();
    if (!has_caps(PAL_CAP_WATCH_PIPE))
        test_skip("watch-pipe", "this backend cannot watch pipes");
    rig_open(&rig, 2);
    assert_error(pal_pipe(ends, 0), 0);
    rig_watch(&rig, ends[0], PAL_IN, READER);
    command_of_script(&command, "echo ripe");
    command_give(&command, ends[0], 0);
    command_give(&command, ends[1], 1);
    process = start(&command);
    (void)rig_until_ready(&rig, READER, PAL_IN);
    expect_text(ends[0], "ripe\n");
    rig_silent_but_once(&rig, READER, 3);
    cr_assert_eq(finish(process), 0);
    rig_unwatch(&rig, ends[0]);
    pair_close(ends[0], ends[1]);
    rig_close(&rig);
}

/* ---- several at once ---- */

enum { STARTERS = 4, STARTS = 25 };

struct starter {
    _Atomic uint32_t failures;
    struct command command;
};

/* Each child writes into a pipe of its own, whose end must come when that child has ended, whoever is started by other
 * threads meanwhile and runs longer. */
static void start_in_thread(void *arg)
{
    struct starter *starter = (struct starter *)arg;

    for (int i = 0; i < STARTS; i++) {
        struct pal_proc_info info;
        struct pal_wait item;
        struct command command;
        pal_sock ends[2];
        pal_proc process = {0}, longer = {0};
        char bytes[8];
        bool good;

        good = pal_pipe(ends, 0) == 0 && pal_proc_spawn(&starter->command.spec, &longer) == 0;
        command_of_script(&command, "echo x");
        command_give(&command, ends[1], 1);
        good = good && pal_proc_spawn(&command.spec, &process) == 0;
        (void)pal_sock_close(ends[1]);
        good = good && pal_proc_wait(process, &info, UINT64_MAX) == 0 && info.result == 0;
        good = good && pal_sock_recv(ends[0], bytes, sizeof(bytes), 0) == 2;
        memset(&item, 0, sizeof(item));
        item.sock = ends[0];
        item.interest = PAL_IN;
        good = good && pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10000 * MILLISECOND_NS) == 1;
        good = good && pal_sock_recv(ends[0], bytes, sizeof(bytes), 0) == 0;
        (void)pal_sock_close(ends[0]);
        good = good && pal_proc_close(process) == 0 && pal_proc_close(longer) == 0;
        if (!good)
            (void)atomic_fetch_add(&starter->failures, 1);
    }
}

Test(calls_spawn_fds, threads_that_start_at_once_do_not_leak_into_each_others_children, .timeout = 60)
{
    struct starter starters[STARTERS];
    pal_thread threads[STARTERS];
    pal_sock ends[2];
    uint64_t before;

    require_children();
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("threads", "this backend runs on one");
    before = handles_open();
    assert_error(pal_pipe(ends, 0), 0);
    for (int i = 0; i < STARTERS; i++) { /* what runs longer waits for the end of one pipe */
        atomic_init(&starters[i].failures, 0);
        command_of(&starters[i].command, "/bin/cat");
        command_give(&starters[i].command, ends[0], 0);
        assert_error(pal_thread_start(&threads[i], start_in_thread, &starters[i]), 0);
    }
    for (int i = 0; i < STARTERS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        cr_expect_eq(atomic_load(&starters[i].failures), 0);
    }
    pair_close(ends[0], ends[1]);
    cr_assert_eq(run_script("exit 0"), 0);
    cr_assert_eq(handles_open(), before);
}
