/* test_world_outside.c: the world outside of a simulated one: pipes, children, wakes and signals come when they come,
 * and taint; time that waits for them, and time that does not (PAL_SIM_VIRTUAL); a child of fork. */
#include "test_world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IN_THE_CHILD = 23 };

static uint64_t real_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* A child of fork does this after so much real time. */
static pid_t later(uint64_t ns, void (*act)(const void *), const void *argument)
{
    struct timespec time = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child > 0)
        return child;
    nanosleep(&time, NULL);
    act(argument);
    _exit(IN_THE_CHILD);
}

static void assert_ended(pid_t child)
{
    int status = 0;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == IN_THE_CHILD, "%#x", (unsigned)status);
}

static void write_byte(const void *sock)
{
    if (pal_sock_send(*(const pal_sock *)sock, "x", 1, 0) != 1)
        _exit(1);
}

/* ---- pipes ---- */

Test(world_outside, a_pipe_wakes_a_wait_at_the_worlds_pace)
{
    const struct pal_event *events;
    pal_sock pipe[2];
    pal_poll *poll;

    world_begin(1);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    cr_assert_eq(pal_watch(poll, pipe[0], PAL_IN, 5), 0);
    cr_assert_eq(state_now().tainted, 0);
    uint64_t begun_ns = real_ns(), virtual_ns = now_ns();
    pid_t child = later(50 * MS, write_byte, &pipe[1]);
    cr_assert_eq(pal_poll_wait(poll, &events, virtual_ns + 20 * SECOND), 1);
    cr_assert_eq(events[0].data, 5);
    cr_assert_eq(state_now().tainted, 1);
    cr_assert_geq(real_ns() - begun_ns, 50 * MS);
    cr_assert_leq(now_ns() - virtual_ns, real_ns() - begun_ns);
    cr_assert_geq(now_ns() - virtual_ns, 40 * MS);
    assert_ended(child);
    cr_assert_eq(pal_watch(poll, pipe[0], 0, 0), 0);
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0 && pal_poll_close(poll) == 0);
    world_begin(1);
    cr_assert_eq(state_now().tainted, 0);
}

static int32_t tick(void *count)
{
    for (int i = 0; i < 10; i++) {
        sleep_for(SECOND);
        ++*(int *)count;
    }
    return 0;
}

Test(world_outside, a_pipe_does_not_hold_up_virtual_time)
{
    struct pal_wait item = {.interest = PAL_IN};
    pal_sock pipe[2];
    int count = 0;

    world_begin_with((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_VIRTUAL});
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    uint32_t host = add_host("one", "10.0.0.1");
    start_on(host, tick, &count);
    item.sock = pipe[0];
    uint64_t begun_ns = real_ns();
    cr_assert_eq(pal_sock_wait(&item, 1, BEGINNING + 3600 * SECOND), 0);
    cr_assert_lt(real_ns() - begun_ns, 5 * SECOND);
    cr_assert_eq(count, 10);
    cr_assert_eq(state_now().tainted, 0, "nothing has come");
    pid_t child = later(50 * MS, write_byte, &pipe[1]);
    cr_assert_eq(pal_sock_wait(&item, 1, UINT64_MAX), 1);
    cr_assert_eq(state_now().tainted, 1);
    assert_ended(child);
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0);
}

/* Who is paused does not run, and keeps nobody else from it. */
Test(world_outside, virtual_time_goes_on_while_somebody_is_paused, .timeout = 20)
{
    struct pal_wait item = {.interest = PAL_IN};
    pal_sock pipe[2];
    int count = 0;

    world_begin_with((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_VIRTUAL});
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    uint32_t host = add_host("one", "10.0.0.1");
    start_on(host, tick, &count);
    sleep_for(SECOND / 2);
    cr_assert_eq(befall(PAL_CTL_SIM_PAUSE, host), 0);
    item.sock = pipe[0];
    cr_assert_eq(pal_sock_wait(&item, 1, BEGINNING + 3600 * SECOND), 0);
    cr_assert_eq(count, 0);
    world_end();
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0);
}

/* ---- children ---- */

static pal_proc start_sleep(const char *seconds)
{
    const char *const arguments[] = {"sleep", seconds, NULL};
    struct pal_spawn spec = {.program = "sleep", .argv = arguments, .flags = PAL_SPAWN_SEARCH};
    pal_proc child;

    cr_assert_eq(pal_proc_spawn(&spec, &child), 0, "%s", pal_reason());
    return child;
}

Test(world_outside, a_child_is_waited_for)
{
    struct pal_proc_info info;

    world_begin(1);
    pal_proc child = start_sleep("0.05");
    cr_assert_eq(pal_proc_wait(child, &info, UINT64_MAX), 0);
    cr_assert_eq(info.result, 0);
    cr_assert_eq(state_now().tainted, 1);
    cr_assert_geq(now_ns(), BEGINNING + 30 * MS);
    cr_assert_eq(pal_proc_close(child), 0);
}

Test(world_outside, a_wait_for_a_child_ends_in_virtual_time, .timeout = 20)
{
    struct pal_proc_info info;

    world_begin_with((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_VIRTUAL});
    pal_proc child = start_sleep("1000");
    cr_assert_eq(pal_proc_wait(child, &info, BEGINNING + 3600 * SECOND), PAL_ETIMEDOUT);
    cr_assert_eq(now_ns(), BEGINNING + 3600 * SECOND);
    cr_assert_eq(pal_proc_kill(child, PAL_SIGKILL), 0);
    cr_assert_eq(pal_proc_wait(child, &info, UINT64_MAX), 0);
    cr_assert_eq(info.result, -PAL_SIGKILL);
    cr_assert_eq(pal_proc_close(child), 0);
}

/* ---- signals and wakes ---- */

static pal_poll *woken;

static void wake_from_handler(int number)
{
    (void)number;
    (void)pal_poll_wake(woken); /* NOLINT(bugprone-signal-handler,cert-sig30-c): that it may be is the test */
}

static void wait_for_pipe(void *pipe)
{
    struct pal_wait item = {.sock = *(pal_sock *)pipe, .interest = PAL_IN};

    (void)pal_sock_wait(&item, 1, UINT64_MAX);
}

/* Waking is for every thread, also for those that the simulator does not know. */
static void *wake_from_afar(void *unused)
{
    struct timespec time = {.tv_nsec = 30 * (long)MS};

    nanosleep(&time, NULL);
    (void)pal_poll_wake(woken);
    return unused;
}

/* The poll that is woken waits for nothing outside; another strand's wait lets the process sleep in the kernel. */
Test(world_outside, a_wake_from_afar_is_heard_in_the_kernel)
{
    const struct pal_event *events;
    pal_sock pipe[2];
    pal_thread thread;
    pthread_t foreign;

    world_begin(1);
    sleep_for(60 * SECOND); /* the stack has nothing else to do by then */
    uint64_t begun_ns = now_ns();
    cr_assert_eq(pal_poll_open(&woken, NULL), 0);
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    cr_assert_eq(pal_thread_start(&thread, wait_for_pipe, &pipe[0]), 0);
    cr_assert_eq(pthread_create(&foreign, NULL, wake_from_afar, NULL), 0);
    cr_assert_eq(pal_poll_wait(woken, &events, begun_ns + 10 * SECOND), 1);
    cr_assert_eq(events[0].kind, PAL_EV_WAKE);
    cr_assert_lt(now_ns(), begun_ns + 5 * SECOND);
    cr_assert_eq(state_now().tainted, 1);
    cr_assert_eq(pthread_join(foreign, NULL), 0);
    cr_assert_eq(pal_sock_send(pipe[1], "x", 1, 0), 1);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0 && pal_poll_close(woken) == 0);
}

/* The handler runs wherever it likes: no wake is lost between the last look and the wait. */
Test(world_outside, wakes_by_the_thousand_are_heard)
{
    const struct pal_event *events;
    pal_sock pipe[2];
    struct itimerval timer = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
    int wakes = 0;

    world_begin(1);
    cr_assert_eq(pal_poll_open(&woken, NULL), 0);
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    cr_assert_eq(pal_watch(woken, pipe[0], PAL_IN, 0), 0);
    signal(SIGALRM, wake_from_handler);
    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    while (wakes < 1000) {
        int count = pal_poll_wait(woken, &events, UINT64_MAX);
        cr_assert(count == 0 || (count == 1 && events[0].kind == PAL_EV_WAKE));
        wakes += count;
    }
    timer = (struct itimerval){.it_value = {.tv_usec = 0}};
    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    cr_assert_eq(pal_watch(woken, pipe[0], 0, 0), 0);
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0 && pal_poll_close(woken) == 0);
}

static void kill_parent(const void *unused)
{
    (void)unused;
    kill(getppid(), SIGUSR1);
}

Test(world_outside, a_watched_signal_is_an_event_and_taints)
{
    const struct pal_event *events;
    pal_poll *poll;

    for (uint32_t flags = 0; flags <= PAL_SIM_VIRTUAL; flags += PAL_SIM_VIRTUAL) {
        world_begin_with((struct pal_sim_setup){.seed = 1, .flags = flags});
        cr_assert_eq(pal_poll_open(&poll, NULL), 0);
        cr_assert_eq(pal_signal_watch(poll, SIGUSR1, 8), 0);
        pid_t child = later(30 * MS, kill_parent, NULL);
        int count;
        while ((count = pal_poll_wait(poll, &events, UINT64_MAX)) == 0)
            continue;
        cr_assert_eq(count, 1);
        cr_assert(events[0].kind == PAL_EV_SIGNAL && events[0].data == 8);
        cr_assert_eq(state_now().tainted, 1);
        assert_ended(child);
        cr_assert_eq(raise(SIGUSR1), 0);
        cr_assert_eq(pal_poll_wait(poll, &events, 0), 1);
        cr_assert_eq(pal_poll_close(poll), 0);
    }
}

/* ---- fork ---- */

static int32_t be_busy(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++)
        (void)pal_sock_wait(NULL, 0, 0);
    sleep_for(SECOND);
    return 0;
}

static void busy_thread(void *unused)
{
    (void)be_busy(unused);
}

/* In the child: no other strand is there, however many could run in the parent. */
static void live_on(const pal_sock *socks)
{
    struct pal_wait item = {.sock = socks[0], .interest = PAL_OUT};
    uint64_t before_ns = now_ns();

    if (pal_sock_wait(NULL, 0, 0) != 0 || pal_sock_wait(NULL, 0, before_ns + SECOND) != 0)
        _exit(1);
    if (now_ns() < before_ns + SECOND || pal_sock_wait(&item, 1, 0) != 1)
        _exit(2);
    if (pal_sock_close(socks[0]) || pal_sock_close(socks[1]))
        _exit(3);
    execlp("sh", "sh", "-c", "exit 23", (char *)NULL);
    _exit(4);
}

Test(world_fork, a_child_lives_on_alone)
{
    pal_thread thread;
    pal_sock socks[2];

    world_begin(1);
    start_on(add_host("one", "10.0.0.1"), be_busy, NULL);
    cr_assert_eq(pal_thread_start(&thread, busy_thread, NULL), 0);
    cr_assert_eq(datagrams_at("198.18.0.1", PORT, &socks[0]), 0);
    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &socks[1]), 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            live_on(socks);
        assert_ended(child);
        (void)pal_sock_wait(NULL, 0, 0);
    }
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert(pal_sock_close(socks[0]) == 0 && pal_sock_close(socks[1]) == 0);
}

static int32_t fork_in_function(void *unused)
{
    pal_sock socks[2];
    int status = 0;

    (void)unused;
    NEED(datagrams_at("10.0.0.1", PORT, &socks[0]) == 0 && datagrams_at("10.0.0.1", PORT + 1, &socks[1]) == 0);
    pid_t child = fork();
    if (child == 0)
        live_on(socks);
    NEED(waitpid(child, &status, 0) == child && WIFEXITED(status));
    NEED(pal_sock_close(socks[0]) == 0 && pal_sock_close(socks[1]) == 0);
    return WEXITSTATUS(status);
}

Test(world_fork, a_child_of_a_function_lives_on_alone)
{
    world_begin(1);
    uint32_t one = add_host("one", "10.0.0.1"), two = add_host("two", "10.0.0.2");
    start_on(one, fork_in_function, NULL);
    start_on(two, be_busy, NULL);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(one), IN_THE_CHILD, "%d", (int)result_of(one));
    cr_assert_eq(result_of(two), 0);
}
