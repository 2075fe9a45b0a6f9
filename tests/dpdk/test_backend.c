/* test_backend.c: a program on libpal-dpdk in one process: what the card says of itself, and the two worlds while it
 * idles and while it is busy. Threads, captures, the end: test_backend_life.c. Two processes: test_backend_pairs.py. */
#include "backend_rig.h"

#include <stdatomic.h>
#include <unistd.h>

TestSuite(dpdk_backend, .timeout = 60);

/* ---- what it says ---- */

static char *card_text(void)
{
    static char room[16384];
    struct pal_card_text text = {.text = room, .size = sizeof(room)};

    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_TEXT, &text, sizeof(text)), 0, "%s", pal_reason());
    cr_assert_eq(text.size, strlen(room) + 1);
    return room;
}

Test(dpdk_backend, settings_are_printed_back)
{
    char few[8];
    struct pal_card_text text = {.text = few, .size = sizeof(few)};

    set_card(RING "profile power ; idle backoff 70");
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_TEXT, &text, sizeof(text)), 0);
    cr_assert_str_eq(few, "device ");
    cr_assert_eq(text.size, strlen(card_text()) + 1);
    text = (struct pal_card_text){.text = NULL};
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_TEXT, &text, sizeof(text)), 0);
    cr_assert_eq(text.size, strlen(card_text()) + 1);
    cr_assert(strstr(card_text(), "device net_ring0\naddress 10.0.0.1/24\nprofile power\nqueues 1\nidle backoff 70\n"),
              "%s", card_text());
    cr_assert(strstr(card_text(), "\n# net_ring0: driver net_ring, "), "%s", card_text());
}

Test(dpdk_backend, paths_say_which_queue_and_why_none)
{
    pal_sock sock;
    size_t little = 10;
    char few[10];

    set_card(RING);
    sock = open_sock(PAL_SOCK_DGRAM);
    cr_assert(strstr(path_of(sock), "device net_ring0, queue 0 of 1, checksums received by the stack"), "%s",
              path_of(sock));
    cr_assert(strstr(path_of(sock), "link up"), "%s", path_of(sock));
    cr_assert_eq(pal_sock_get(sock, PAL_SO_PATH, few, &little), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
}

Test(dpdk_backend, without_a_device_there_is_loopback)
{
    struct pal_card_link link = {.device = 0};
    struct pal_card_counters seen;
    uint32_t on = 1;

    set_card(NULL);
    cr_assert(strstr(path_of(open_sock(PAL_SOCK_DGRAM)), "loopback only: no device is named"), "%s",
              path_of(open_sock(PAL_SOCK_DGRAM)));
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link)), PAL_ENODEV);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_CAPTURE, &on, sizeof(on)), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    seen = counters();
    cr_assert_eq(seen.port_sent + seen.queue_sent + seen.buffers_used, 0);
}

Test(dpdk_backend, keys_are_checked)
{
    struct pal_card_link link = {.device = 1};
    pal_poll *poll;
    uint32_t on = 2;

    set_card(RING);
    poll = open_poll();
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link)), PAL_ENODEV);
    cr_assert_eq(pal_ctl(poll, PAL_CTL_CARD_LINK, &link, sizeof(link)), PAL_EINVAL);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link) - 1), PAL_EINVAL);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_LINK, NULL, sizeof(link)), PAL_EINVAL);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_CAPTURE, &on, sizeof(on)), PAL_EINVAL);
    cr_assert_eq(pal_ctl(NULL, 0x2ff, &on, sizeof(on)), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    link.device = 0;
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link)), 0);
    cr_assert(link.is_up && link.queues == 1);
}

/* One of the stack's own counters, by its name. */
static uint64_t stack_counter(const char *name)
{
    static const char *names[512];
    static uint64_t values[512];
    struct pal_card_names asked = {.names = names, .count = 512};
    struct pal_card_counters counted = {.stack = values, .stack_count = 512};

    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_NAMES, &asked, sizeof(asked)), 0);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_COUNTERS, &counted, sizeof(counted)), 0);
    cr_assert_eq(asked.count, counted.stack_count);
    for (uint32_t i = 0; i < asked.count; i++)
        if (strcmp(names[i], name) == 0)
            return values[i];
    cr_assert_fail("no counter is called %s", name);
    return 0;
}

/* A ring of DPDK's own words sends to itself: what goes out to a neighbour comes in again, and is not for us. */
Test(dpdk_backend, every_layer_counts_the_same_frames)
{
    struct pal_addr to = addr_of("10.0.0.2", 9);
    struct pal_card_counters before, after;
    uint64_t udp_before, frames;
    pal_poll *poll;
    pal_sock sock;

    set_card(RING "neighbour 10.0.0.2 02:00:00:00:00:02");
    poll = open_poll();
    sock = open_sock(PAL_SOCK_DGRAM);
    cr_assert_eq(pal_sock_connect(sock, &to), 0);
    (void)await_event(poll, PAL_EV_WAKE); /* what an interface says at its beginning is said */
    before = counters();
    udp_before = stack_counter("udp_out");
    for (int i = 0; i < 20; i++) {
        const struct pal_event *events;

        cr_assert_eq(pal_sock_send(sock, "twenty bytes of data", 20, 0), 20);
        cr_assert_eq(pal_poll_wait(poll, &events, now() + MS), 0);
    }
    after = counters();
    frames = after.queue_sent - before.queue_sent;
    cr_assert_eq(stack_counter("udp_out") - udp_before, 20);
    cr_assert_geq(frames, 20);
    cr_assert_eq(after.port_sent - before.port_sent, frames);
    cr_assert_eq(after.queue_received - before.queue_received, frames);
    cr_assert_eq(after.port_received - before.port_received, frames);
    cr_assert_eq(after.port_missed + after.port_no_buffer + after.port_errors + after.queue_full, 0);
    cr_assert_geq(after.turns - before.turns, 20);
    cr_assert_eq(after.sockets, 1);
    cr_assert_eq(after.connections, 0);
    cr_assert_eq(after.buffers_used, before.buffers_used);
}

/* ---- idling ---- */

/* Waits in vain for so long: how often it slept, and its CPU time. */
static uint64_t idle_for(pal_poll *poll, uint64_t for_ns, uint64_t *cpu_ns)
{
    const struct pal_event *events;
    uint64_t until_ns = now() + for_ns, sleeps = counters().sleeps;
    uint64_t before_ns = pal_clock(PAL_CLOCK_THREAD_CPU);

    while (now() < until_ns)
        cr_assert_eq(pal_poll_wait(poll, &events, until_ns), 0);
    *cpu_ns = pal_clock(PAL_CLOCK_THREAD_CPU) - before_ns;
    return counters().sleeps - sleeps;
}

Test(dpdk_backend, an_idle_program_sleeps)
{
    uint64_t cpu_ns, sleeps;
    pal_poll *poll;

    set_card(RING "idle block");
    poll = open_poll();
    (void)idle_for(poll, 50 * MS, &cpu_ns);
    sleeps = idle_for(poll, 400 * MS, &cpu_ns);
    cr_log_info("a port that is to be looked at: %lu naps, %lu us of CPU in 400 ms", (unsigned long)sleeps,
                (unsigned long)cpu_ns / 1000);
    cr_assert(sleeps > 100 && sleeps < 2000, "%lu", (unsigned long)sleeps);
    cr_assert_lt(cpu_ns, 100 * MS);
}

Test(dpdk_backend, an_idle_program_without_a_device_sleeps_once)
{
    uint64_t cpu_ns, sleeps;
    pal_poll *poll;

    set_card(NULL);
    poll = open_poll();
    sleeps = idle_for(poll, 100 * MS, &cpu_ns);
    cr_assert_leq(sleeps, 3, "%lu", (unsigned long)sleeps);
    cr_assert_lt(cpu_ns, 10 * MS);
}

Test(dpdk_backend, an_idle_program_may_spin_and_back_off)
{
    struct pal_idle spin = {.strategy = PAL_IDLE_SPIN}, backoff = {.strategy = PAL_IDLE_BACKOFF, .spin_ns = 20 * MS};
    uint64_t cpu_ns;
    pal_poll *poll;

    set_card(RING "idle spin");
    poll = open_poll();
    cr_assert_eq(idle_for(poll, 50 * MS, &cpu_ns), 0, "the settings say spin");
    cr_assert_eq(pal_ctl(poll, PAL_CTL_IDLE, &backoff, sizeof(backoff)), 0);
    cr_assert_gt(idle_for(poll, 100 * MS, &cpu_ns), 0, "it backs off");
    cr_assert_eq(pal_ctl(poll, PAL_CTL_IDLE, &spin, sizeof(spin)), 0);
    cr_assert_eq(idle_for(poll, 50 * MS, &cpu_ns), 0, "the poll says spin");
}

Test(dpdk_backend, no_wait_ends_before_its_deadline)
{
    const struct pal_event *events;
    uint64_t late_ns = UINT64_MAX;
    pal_poll *poll;

    set_card(RING "idle block");
    poll = open_poll();
    for (uint64_t i = 1; i <= 200; i++) {
        uint64_t until_ns = now() + i * 7919;

        cr_assert_eq(i % 2 ? pal_poll_wait(poll, &events, until_ns) : pal_sock_wait(NULL, 0, until_ns), 0);
        cr_assert_geq(now(), until_ns);
        late_ns = now() - until_ns < late_ns ? now() - until_ns : late_ns;
    }
    cr_assert_lt(late_ns, 1000000, "by %lu ns at best", (unsigned long)late_ns);
}

struct waker {
    pal_poll *poll;
    pal_sock pipe;
    _Atomic uint64_t when_ns;
};

static void wake_later(void *argument)
{
    struct waker *waker = argument;

    (void)usleep(3000);
    atomic_store(&waker->when_ns, now());
    if (waker->pipe.id != 0)
        (void)pal_sock_send(waker->pipe, "x", 1, 0);
    else
        (void)pal_poll_wake(waker->poll);
}

/* The least time from a wake, or a byte in a pipe, to the wait's end, of some; and after each it sleeps as before. */
static uint64_t least_delay(pal_poll *poll, pal_sock pipe, pal_sock end, uint16_t kind)
{
    uint64_t least_ns = UINT64_MAX;

    for (int i = 0; i < 20; i++) {
        struct waker waker = {.poll = poll, .pipe = pipe};
        pal_thread thread;
        uint64_t delay_ns;
        char byte;

        cr_assert_eq(pal_thread_start(&thread, wake_later, &waker), 0);
        cr_assert(await_event(poll, kind));
        delay_ns = now() - atomic_load(&waker.when_ns);
        cr_assert_eq(pal_thread_join(thread), 0);
        if (kind == PAL_EV_READY)
            cr_assert_eq(pal_sock_recv(end, &byte, 1, 0), 1);
        least_ns = delay_ns < least_ns ? delay_ns : least_ns;
    }
    return least_ns;
}

static void expect_prompt(const char *card, uint64_t sleeps_max)
{
    uint64_t wake_ns, pipe_ns, cpu_ns, sleeps;
    pal_sock ends[2], none = {0};
    pal_poll *poll;

    set_card(card);
    poll = open_poll();
    wake_ns = least_delay(poll, none, none, PAL_EV_WAKE);
    sleeps = idle_for(poll, 100 * MS, &cpu_ns);
    cr_assert_leq(sleeps, sleeps_max, "after a wake it slept %lu times in 100 ms", (unsigned long)sleeps);
    cr_assert_eq(pal_pipe(ends, 0), 0);
    cr_assert_eq(pal_watch(poll, ends[0], PAL_IN, 1), 0);
    pipe_ns = least_delay(poll, ends[1], ends[0], PAL_EV_READY);
    sleeps = idle_for(poll, 100 * MS, &cpu_ns);
    cr_assert_leq(sleeps, sleeps_max, "after a byte it slept %lu times in 100 ms", (unsigned long)sleeps);
    cr_log_info("asleep, a wake takes %lu us, a pipe %lu us", (unsigned long)wake_ns / 1000,
                (unsigned long)pipe_ns / 1000);
    cr_assert_lt(wake_ns, 2 * MS);
    cr_assert_lt(pipe_ns, 2 * MS);
}

Test(dpdk_backend, wakes_and_pipes_end_the_sleep_at_once)
{
    expect_prompt(RING "idle block", 1000);
}

Test(dpdk_backend, wakes_and_pipes_end_the_sleep_at_once_without_a_device)
{
    expect_prompt(NULL, 4);
}

static void write_later(void *argument)
{
    struct waker *waker = argument;

    (void)usleep(3000);
    (void)pal_sock_send(waker->pipe, "x", 1, 0);
}

/* pal_sock_wait on sockets of both worlds. */
Test(dpdk_backend, a_wait_without_a_poll_hears_both_worlds)
{
    struct pal_wait items[2] = {{.interest = PAL_IN}, {.interest = PAL_IN}};
    struct waker waker = {.poll = NULL};
    uint64_t sleeps;
    pal_thread thread;
    pal_sock ends[2];

    set_card(NULL);
    items[0].sock = open_sock(PAL_SOCK_DGRAM);
    cr_assert_eq(pal_pipe(ends, 0), 0);
    items[1].sock = ends[0];
    waker.pipe = ends[1];
    sleeps = counters().sleeps;
    cr_assert_eq(pal_thread_start(&thread, write_later, &waker), 0);
    cr_assert_eq(pal_sock_wait(items, 2, UINT64_MAX), 1);
    cr_assert(items[0].ready == 0 && items[1].ready == PAL_IN);
    cr_assert_eq(pal_thread_join(thread), 0);
    cr_assert_leq(counters().sleeps - sleeps, 3, "it napped in place of sleeping on the pipe");
}

/* ---- busy ---- */

enum { BUSY = 1, PIPE, CHILD };

/* A socket of the stack's that is always ready. */
static pal_sock keep_busy(pal_poll *poll)
{
    struct pal_addr addr;
    pal_sock sock = open_sock(PAL_SOCK_DGRAM);

    cr_assert_eq(pal_addr_set_loopback(&addr, PAL_AF_INET, 0), 0);
    cr_assert_eq(pal_sock_bind(sock, &addr), 0);
    cr_assert_eq(pal_sock_name(sock, PAL_NAME_LOCAL, &addr), 0);
    cr_assert_eq(pal_sock_connect(sock, &addr), 0);
    cr_assert_eq(pal_sock_send(sock, "x", 1, 0), 1);
    cr_assert_eq(pal_watch(poll, sock, PAL_IN, BUSY), 0);
    cr_assert(await_event(poll, PAL_EV_READY));
    return sock;
}

/* Waits until an event with this data comes, and how many waits that took; each has one of the busy socket. */
static int waits_until(pal_poll *poll, uint64_t data)
{
    const struct pal_event *events;

    for (int waits = 1; waits < 1000000; waits++) {
        bool busy = false, found = false;
        int count = pal_poll_wait(poll, &events, UINT64_MAX);

        for (int i = 0; i < count; i++) {
            busy |= events[i].data == BUSY;
            found |= events[i].data == data;
        }
        cr_assert(busy || found);
        if (found)
            return waits;
    }
    return 0;
}

Test(dpdk_backend, pipes_and_children_are_heard_while_it_is_busy)
{
    struct pal_card_counters before, after;
    const char *const arguments[] = {"true", NULL};
    struct pal_spawn spawn = {.program = "/bin/true", .argv = arguments};
    pal_sock ends[2];
    pal_proc child;
    pal_poll *poll;
    char byte;
    int waits;

    set_card(RING "kernel 1000");
    poll = open_poll();
    (void)keep_busy(poll);
    cr_assert_eq(pal_pipe(ends, 0), 0);
    cr_assert_eq(pal_watch(poll, ends[0], PAL_IN, PIPE), 0);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(pal_sock_send(ends[1], "x", 1, 0), 1);
        waits = waits_until(poll, PIPE);
        cr_assert(waits > 0 && waits <= 1001, "%d waits", waits);
        cr_assert_eq(pal_sock_recv(ends[0], &byte, 1, 0), 1);
    }
    before = counters();
    for (int i = 0; i < 10000; i++) {
        const struct pal_event *events;

        cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 1);
    }
    after = counters();
    cr_log_info("%lu looks at the kernel in %lu turns", (unsigned long)(after.kernel_looks - before.kernel_looks),
                (unsigned long)(after.turns - before.turns));
    cr_assert_lt((after.kernel_looks - before.kernel_looks) * 2, after.turns - before.turns);
    cr_assert_eq(after.sleeps, before.sleeps, "it slept though there was something");
    cr_assert_eq(pal_proc_spawn(&spawn, &child), 0);
    cr_assert_eq(pal_proc_watch(poll, child, CHILD), 0);
    cr_assert_gt(waits_until(poll, CHILD), 0);
}

/* Neither lane starves the other, however small the array is. */
Test(dpdk_backend, two_events_a_wait_serve_both_worlds)
{
    struct pal_config config = {.events_max = 2};
    const struct pal_event *events;
    pal_sock ends[4][2];
    pal_poll *poll = NULL;
    int seen[8] = {0};

    set_card(NULL);
    cr_assert_eq(pal_poll_open(&poll, &config), 0);
    (void)keep_busy(poll);
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(pal_pipe(ends[i], 0), 0);
        cr_assert_eq(pal_sock_send(ends[i][1], "x", 1, 0), 1);
        cr_assert_eq(pal_watch(poll, ends[i][0], PAL_IN, 2 + i), 0);
    }
    for (int i = 0; i < 100; i++) {
        int count = pal_poll_wait(poll, &events, UINT64_MAX);

        cr_assert_eq(pal_poll_wake(poll), 0); /* there is always something due as well */
        for (int k = 0; k < count; k++)
            seen[events[k].kind == PAL_EV_READY ? events[k].data : 7]++;
    }
    for (int i = 1; i <= 5; i++)
        cr_assert_geq(seen[i], 10, "data %d: %d of 100 waits", i, seen[i]);
    cr_assert_geq(seen[7], 10);
}

/* ---- tries ---- */

/* A program that spins on tries and never waits gets on. */
Test(dpdk_backend, who_only_tries_gets_on)
{
    struct pal_addr addr;
    pal_sock listener, client, server = {0};
    char bytes[4];
    int tries = 0;

    set_card(NULL);
    listener = listen_here(&addr);
    client = open_sock(PAL_SOCK_STREAM);
    cr_assert_eq(pal_sock_connect(client, &addr), PAL_EINPROGRESS);
    while (pal_sock_accept(listener, &server, NULL) != 0)
        cr_assert_lt(++tries, 10000);
    for (tries = 0; pal_sock_send(client, "ping", 4, 0) != 4;)
        cr_assert_lt(++tries, 10000);
    for (tries = 0; pal_sock_recv(server, bytes, 4, 0) != 4;)
        cr_assert_lt(++tries, 10000);
}
