/* calls_process.c: children from their start to the end of their handles: waiting for them, watching, signalling,
 * closing. What a start can be told is in calls_spawn.c. */
#include "children.h"

#include <stdatomic.h>

enum { WATCH = 1, OTHER = 2 };

static int look(pal_proc process)
{
    struct pal_proc_info info;

    return pal_proc_wait(process, &info, 0);
}

/* ---- results ---- */

Test(calls_process, the_exit_status_is_the_result)
{
    require_children();
    cr_expect_eq(run_script("exit 0"), 0);
    cr_expect_eq(run_script("exit 1"), 1);
    cr_expect_eq(run_script("exit 47"), 47);
    cr_expect_eq(run_script("exit 127"), 127);
    cr_expect_eq(run_script("exit 255"), 255);
}

Test(calls_process, a_signal_that_ends_it_is_the_negative_result)
{
    require_children();
    cr_expect_eq(run_script("kill -TERM $$"), -PAL_SIGTERM);
    cr_expect_eq(run_script("kill -KILL $$"), -PAL_SIGKILL);
    cr_expect_eq(run_script("ulimit -c 0; kill -ABRT $$"), -PAL_SIGABRT);
}

Test(calls_process, a_child_may_end_at_once)
{
    require_children();
    for (int i = 0; i < 100; i++)
        cr_assert_eq(run_script("exit 3"), 3);
}

/* ---- waiting ---- */

Test(calls_process, a_look_tells_that_it_runs)
{
    struct pal_proc_info info;
    struct sleeper sleeper;
    uint64_t own = 0;

    require_children();
    assert_error(pal_info(PAL_INFO_PROCESS_ID, &own), 0);
    sleeper_start(&sleeper);
    memset(&info, 0xff, sizeof(info));
    assert_error(pal_proc_wait(sleeper.process, &info, 0), PAL_ETIMEDOUT);
    cr_assert_eq(info.state, PAL_PROC_RUNNING);
    cr_assert_eq(info.result, 0);
    cr_assert_neq(info.process_id, 0);
    cr_assert_neq(info.process_id, own);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

Test(calls_process, a_wait_ends_at_its_deadline_and_not_before)
{
    struct pal_proc_info info;
    struct sleeper sleeper;

    require_children();
    sleeper_start(&sleeper);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + i * MILLISECOND_NS;

        assert_error(pal_proc_wait(sleeper.process, &info, deadline_ns), PAL_ETIMEDOUT);
        cr_assert_eq(info.state, PAL_PROC_RUNNING);
        cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns);
    }
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

Test(calls_process, the_result_is_kept_until_close)
{
    pal_proc process;
    struct pal_proc_info first, again;

    require_children();
    process = start_script("exit 9");
    cr_assert_eq(result_of(process), 9);
    assert_error(pal_proc_wait(process, &first, UINT64_MAX), 0);
    assert_error(pal_proc_wait(process, &again, 0), 0);
    cr_assert_eq(first.result, 9);
    cr_assert_eq(again.result, 9);
    cr_assert_eq(first.process_id, again.process_id);
    assert_error(pal_proc_close(process), 0);
}

enum { WAITERS = 8 };

struct waiter {
    pal_proc process;
    int error;
    struct pal_proc_info info;
};

static void wait_in_thread(void *arg)
{
    struct waiter *waiter = (struct waiter *)arg;

    waiter->error = pal_proc_wait(waiter->process, &waiter->info, UINT64_MAX);
}

Test(calls_process, many_threads_may_wait_for_one_child)
{
    struct waiter waiters[WAITERS];
    pal_thread threads[WAITERS];
    struct sleeper sleeper;

    require_children();
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("threads", "this backend runs on one");
    for (int round = 0; round < 20; round++) {
        sleeper_start(&sleeper);
        for (int i = 0; i < WAITERS; i++) {
            waiters[i].process = sleeper.process;
            assert_error(pal_thread_start(&threads[i], wait_in_thread, &waiters[i]), 0);
        }
        if (round % 2 == 0) /* all find the end, or all wait for it */
            pal_proc_kill(sleeper.process, PAL_SIGKILL);
        sleeper_wake(&sleeper);
        for (int i = 0; i < WAITERS; i++) {
            assert_error(pal_thread_join(threads[i]), 0);
            assert_error(waiters[i].error, 0);
            cr_assert_eq(waiters[i].info.result, round % 2 == 0 ? -PAL_SIGKILL : 0);
        }
        assert_error(pal_proc_close(sleeper.process), 0);
    }
}

/* ---- watching ---- */

static void expect_end_event(struct rig *rig, uint64_t data, int32_t result)
{
    struct pal_event event = rig_until(rig, data, PAL_EV_CHILD);

    cr_assert_eq(event.result, result, "the event says %d, not %d", event.result, result);
    cr_assert_eq(event.ready, 0);
    rig_silent(rig, data, 3);
    cr_assert_eq(rig_kept(rig, data), 0, "it came twice");
}

Test(calls_process, the_end_of_a_watched_child_is_one_event)
{
    require_watched_children();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct sleeper sleeper;
        struct rig rig;

        rig_open(&rig, events_max);
        sleeper_start(&sleeper);
        assert_error(pal_proc_watch(rig.poll, sleeper.process, WATCH), 0);
        rig_silent(&rig, WATCH, 3);
        sleeper_wake(&sleeper);
        expect_end_event(&rig, WATCH, 0);
        cr_assert_eq(finish(sleeper.process), 0);
        rig_close(&rig);
    }
}

Test(calls_process, the_event_tells_status_and_signal)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 42");
    assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
    expect_end_event(&rig, WATCH, 42);
    assert_error(pal_proc_close(process), 0);
    process = start_script("kill -KILL $$");
    assert_error(pal_proc_watch(rig.poll, process, UINT64_MAX), 0);
    expect_end_event(&rig, UINT64_MAX, -PAL_SIGKILL);
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
}

Test(calls_process, a_child_that_has_ended_can_still_be_watched)
{
    struct sleeper sleeper;
    struct rig rig;

    require_watched_children();
    rig_open(&rig, 2);
    sleeper_start(&sleeper);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGKILL), 0);
    sleeper_wake(&sleeper);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, WATCH), 0);
    expect_end_event(&rig, WATCH, -PAL_SIGKILL);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, OTHER), 0); /* again, and known by now */
    expect_end_event(&rig, OTHER, -PAL_SIGKILL);
    assert_error(pal_proc_close(sleeper.process), 0);
    rig_close(&rig);
}

Test(calls_process, a_child_that_was_waited_for_can_be_watched)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 5");
    cr_assert_eq(result_of(process), 5);
    assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
    expect_end_event(&rig, WATCH, 5);
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
}

Test(calls_process, a_watched_child_can_be_waited_for)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 6");
    assert_error(pal_proc_watch(rig.poll, process, WATCH), 0);
    cr_assert_eq(result_of(process), 6);
    expect_end_event(&rig, WATCH, 6);
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
}

Test(calls_process, a_watch_that_ended_is_silent)
{
    struct sleeper sleeper;
    struct rig rig;

    require_watched_children();
    rig_open(&rig, 2);
    sleeper_start(&sleeper);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, WATCH), 0);
    assert_error(pal_proc_watch(NULL, sleeper.process, 0), 0);
    assert_error(pal_proc_watch(NULL, sleeper.process, 0), 0); /* not watched: nothing to end */
    sleeper_wake(&sleeper);
    cr_assert_eq(result_of(sleeper.process), 0);
    rig_silent(&rig, WATCH, 3);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, OTHER), 0);
    expect_end_event(&rig, OTHER, 0);
    assert_error(pal_proc_close(sleeper.process), 0);
    rig_close(&rig);
}

/* The event of a child lies in the array. */
static void hold_event(struct rig *rig, pal_proc process)
{
    assert_error(pal_proc_watch(rig->poll, process, WATCH), 0);
    for (int i = 0; i < 500 && rig_find(rig, WATCH) == NULL; i++)
        (void)rig_turn(rig, 10 * MILLISECOND_NS);
    cr_assert_not_null(rig_find(rig, WATCH));
}

Test(calls_process, unwatch_strikes_out_the_event)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 1");
    hold_event(&rig, process);
    assert_error(pal_proc_watch(NULL, process, 0), 0);
    cr_assert_null(rig_find(&rig, WATCH), "the event is still there");
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
}

Test(calls_process, unwatch_strikes_out_the_event_of_an_earlier_watch)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 1");
    hold_event(&rig, process);
    assert_error(pal_proc_watch(rig.poll, process, WATCH + 1), 0);
    assert_error(pal_proc_watch(NULL, process, 0), 0);
    cr_assert_null(rig_find(&rig, WATCH), "the event is still there");
    assert_error(pal_proc_close(process), 0);
    rig_close(&rig);
}

Test(calls_process, close_strikes_out_the_event)
{
    struct rig rig;
    pal_proc process;

    require_watched_children();
    rig_open(&rig, 2);
    process = start_script("exit 1");
    hold_event(&rig, process);
    assert_error(pal_proc_close(process), 0);
    cr_assert_null(rig_find(&rig, WATCH), "the event is still there");
    rig_close(&rig);
}

Test(calls_process, a_child_has_one_watch)
{
    struct sleeper sleeper;
    struct rig rig, other;

    require_watched_children();
    rig_open(&rig, 2);
    rig_open(&other, 2);
    sleeper_start(&sleeper);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, WATCH), 0);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, OTHER), PAL_EBUSY);
    cr_expect_str_neq(pal_reason(), "");
    assert_error(pal_proc_watch(other.poll, sleeper.process, OTHER), PAL_EBUSY);
    assert_error(pal_proc_close(sleeper.process), PAL_EBUSY);
    cr_expect_str_neq(pal_reason(), "");
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    sleeper_wake(&sleeper);
    expect_end_event(&rig, WATCH, 0);
    assert_error(pal_proc_close(sleeper.process), 0);
    rig_close(&other);
    rig_close(&rig);
}

Test(calls_process, a_child_moves_between_polls)
{
    struct sleeper sleeper;
    struct rig rig, other;

    require_watched_children();
    if (!has_caps(PAL_CAP_MOVE))
        test_skip("move", "handles stay with their poll");
    rig_open(&rig, 2);
    rig_open(&other, 2);
    sleeper_start(&sleeper);
    assert_error(pal_proc_watch(rig.poll, sleeper.process, WATCH), 0);
    rig_silent(&rig, WATCH, 1);
    assert_error(pal_proc_watch(NULL, sleeper.process, 0), 0);
    assert_error(pal_proc_watch(other.poll, sleeper.process, OTHER), 0);
    sleeper_wake(&sleeper);
    expect_end_event(&other, OTHER, 0);
    rig_silent(&rig, WATCH, 3);
    assert_error(pal_proc_close(sleeper.process), 0);
    rig_close(&other);
    rig_close(&rig);
}

/* ---- signalling ---- */

Test(calls_process, kill_ends_a_child)
{
    struct sleeper sleeper;

    require_children();
    sleeper_start(&sleeper);
    assert_error(pal_proc_kill(sleeper.process, 0), 0);
    assert_error(look(sleeper.process), PAL_ETIMEDOUT);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGTERM), 0);
    cr_assert_eq(result_of(sleeper.process), -PAL_SIGTERM);
    sleeper_wake(&sleeper);
    assert_error(pal_proc_close(sleeper.process), 0);
}

Test(calls_process, what_has_ended_cannot_be_signalled)
{
    struct sleeper sleeper;
    char text[OUTPUT_MAX];
    struct command command;
    pal_sock ends[2];

    require_children();
    sleeper_start(&sleeper);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGKILL), 0);
    cr_assert_eq(result_of(sleeper.process), -PAL_SIGKILL);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGTERM), PAL_ESRCH);
    assert_error(pal_proc_kill(sleeper.process, 0), PAL_ESRCH);
    sleeper_wake(&sleeper);
    assert_error(pal_proc_close(sleeper.process), 0);

    assert_error(pal_pipe(ends, 0), 0); /* and one whose end nobody has asked for yet */
    command_of_script(&command, "exit 0");
    command_give(&command, ends[1], 1);
    sleeper.process = start(&command);
    assert_error(pal_sock_close(ends[1]), 0);
    read_to_end(ends[0], text);
    assert_error(pal_sock_close(ends[0]), 0);
    for (int i = 0; i < 1000 && look(sleeper.process) != 0; i++)
        (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGKILL), PAL_ESRCH);
    cr_assert_eq(finish(sleeper.process), 0);
}

Test(calls_process, a_stopped_child_has_not_ended)
{
    struct pal_proc_info info;
    struct sleeper sleeper;

    require_children();
    sleeper_start(&sleeper);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGSTOP), 0);
    assert_error(pal_proc_wait(sleeper.process, &info, pal_clock(PAL_CLOCK_MONOTONIC) + 20 * MILLISECOND_NS),
                 PAL_ETIMEDOUT);
    cr_assert_eq(info.state, PAL_PROC_RUNNING);
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGCONT), 0);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

/* ---- closing ---- */

Test(calls_process, closing_does_not_end_a_child)
{
    char text[OUTPUT_MAX];
    struct command command;
    pal_sock input[2], output[2];

    require_children();
    assert_error(pal_pipe(input, 0), 0);
    assert_error(pal_pipe(output, 0), 0);
    command_of_script(&command, "read line; echo \"$line\"");
    command_give(&command, input[0], 0);
    command_give(&command, output[1], 1);
    assert_error(pal_proc_close(start(&command)), 0);
    pair_close(input[0], output[1]);
    send_text(input[1], "still here\n");
    read_to_end(output[0], text);
    cr_assert_str_eq(text, "still here\n");
    pair_close(input[1], output[0]);
}

Test(calls_process, a_closed_handle_is_stale_for_ever)
{
    struct pal_proc_info info;
    pal_proc process;
    struct rig rig;

    require_children();
    rig_open(&rig, 2);
    process = start_script("exit 0");
    assert_error(pal_proc_close(process), 0);
    assert_error(pal_proc_close(process), PAL_EBADF);
    assert_error(pal_proc_wait(process, &info, 0), PAL_EBADF);
    assert_error(pal_proc_kill(process, 0), PAL_EBADF);
    assert_error(pal_proc_watch(rig.poll, process, WATCH), PAL_EBADF);
    assert_error(pal_proc_watch(NULL, process, WATCH), PAL_EBADF);
    rig_close(&rig);
}

Test(calls_process, other_handles_are_no_children)
{
    struct pal_proc_info info;
    pal_proc none = {0}, sock;
    pal_sock ends[2];

    assert_error(pal_proc_wait(none, &info, 0), PAL_EBADF);
    assert_error(pal_proc_kill(none, 0), PAL_EBADF);
    assert_error(pal_proc_close(none), PAL_EBADF);
    assert_error(pal_pipe(ends, 0), 0);
    sock.id = ends[0].id;
    assert_error(pal_proc_wait(sock, &info, 0), PAL_EBADF);
    assert_error(pal_proc_kill(sock, 0), PAL_EBADF);
    assert_error(pal_proc_close(sock), PAL_EBADF);
    pair_close(ends[0], ends[1]);
}

Test(calls_process, bad_arguments_are_refused_with_a_reason)
{
    struct sleeper sleeper;

    require_children();
    sleeper_start(&sleeper);
    assert_error(pal_proc_wait(sleeper.process, NULL, 0), PAL_EINVAL);
    cr_expect_str_neq(pal_reason(), "");
    assert_error(pal_proc_kill(sleeper.process, -1), PAL_EINVAL);
    cr_expect_str_neq(pal_reason(), "");
    assert_error(pal_proc_kill(sleeper.process, PAL_SIGNAL_MAX + 1), PAL_EINVAL);
    sleeper_wake(&sleeper);
    cr_assert_eq(finish(sleeper.process), 0);
}

/* ---- many ---- */

enum { CROWD = 1000 };

/* The crowd sleeps on one pipe, and wakes when its writing end is closed. */
static void gather(pal_proc crowd[CROWD], pal_sock ends[2])
{
    struct command command;

    assert_error(pal_pipe(ends, 0), 0);
    command_of(&command, "/bin/cat");
    command_give(&command, ends[0], 0);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = start(&command);
}

static void raise_limit(void)
{
    struct pal_setup setup;
    uint64_t native_max = 0;

    memset(&setup, 0, sizeof(setup));
    setup.flags = PAL_SETUP_RAISE_LIMIT;
    (void)pal_setup(&setup);
    assert_error(pal_info(PAL_INFO_NATIVE_MAX, &native_max), 0);
    if (native_max < CROWD + 100)
        test_skip("descriptors", "%d are allowed here", (int)native_max);
}

Test(calls_process, a_thousand_children_are_watched_at_once, .timeout = 120)
{
    static pal_proc crowd[CROWD];
    static struct rig rig;
    pal_sock ends[2];

    require_watched_children();
    raise_limit();
    rig_open(&rig, 64);
    gather(crowd, ends);
    for (int i = 0; i < CROWD; i++)
        assert_error(pal_proc_watch(rig.poll, crowd[i], (uint64_t)i + 1), 0);
    rig_silent(&rig, 1, 1);
    pair_close(ends[0], ends[1]);
    for (int i = 0; i < 10 * CROWD && rig.kept_count < CROWD; i++) /* in any order, and perhaps one a wait */
        (void)rig_turn(&rig, 10 * MILLISECOND_NS);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(rig_until(&rig, (uint64_t)i + 1, PAL_EV_CHILD).result, 0);
    cr_assert_eq(rig.kept_count, 0, "%d events too many", rig.kept_count);
    for (int i = 0; i < CROWD; i++)
        assert_error(pal_proc_close(crowd[i]), 0);
    rig_close(&rig);
}

Test(calls_process, a_thousand_children_are_waited_for, .timeout = 120)
{
    static pal_proc crowd[CROWD];
    uint64_t before;
    pal_sock ends[2];

    require_children();
    raise_limit();
    before = handles_open();
    gather(crowd, ends);
    cr_assert_eq(handles_open(), before + CROWD + 2);
    pair_close(ends[0], ends[1]);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(finish(crowd[CROWD - 1 - i]), 0);
    cr_assert_eq(handles_open(), before);
}

Test(calls_process, handles_of_children_count_against_the_limit)
{
    struct pal_setup setup;
    struct command command;
    pal_proc first, second;

    require_children();
    memset(&setup, 0, sizeof(setup));
    setup.socks_max = 2;
    assert_error(pal_setup(&setup), 0);
    command_of_script(&command, "exit 0");
    first = start(&command);
    second = start(&command);
    assert_error(start_refused(&command), PAL_ENOBUFS);
    cr_expect_str_neq(pal_reason(), "");
    cr_assert_eq(finish(first), 0);
    first = start(&command);
    cr_assert_eq(finish(first), 0);
    cr_assert_eq(finish(second), 0);
}
