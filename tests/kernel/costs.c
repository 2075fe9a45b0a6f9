/* costs.c: the system calls that the contract promises (pal/poll.h, pal/socket.h), counted: an idle wait, a wake, a
 * change of interest, an echoed message by each way to receive. Rules 10, 11, 12. */
#include "kernel.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { TIMES = 100 };

/* ---- waits ---- */

static void idle_waits(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);

    (void)arg;
    must_settle(poll);
    syscount_begin();
    must_sleep(poll, TIMES);
    syscount_end();
}

Test(costs, an_idle_wait_is_one_call)
{
    cr_assert_eq(calls_of(idle_waits, NULL).total, TIMES);
}

static void looks(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    (void)arg;
    must(pal_poll_wait(poll, &events, 0) == 0);
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_poll_wait(poll, &events, 0) == 0);
    syscount_end();
}

Test(costs, looking_is_one_call)
{
    cr_assert_eq(calls_of(looks, NULL).total, TIMES);
}

static void waits_for_ever(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    pal_sock ends[2];

    (void)arg;
    must_open_unix_pair(ends);
    must(pal_watch(poll, ends[0], PAL_OUT, 1) == 0);
    must_become_ready(poll, 1);
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_poll_wait(poll, &events, UINT64_MAX) == 1);
        must(pal_poll_now(poll) != 0); /* reading the clock is no call */
    }
    syscount_end();
}

Test(costs, waiting_for_ever_is_one_call)
{
    cr_assert_eq(calls_of(waits_for_ever, NULL).total, TIMES);
}

static void waits_without_poll(void *arg)
{
    pal_sock ends[2];
    struct pal_wait item;

    (void)arg;
    must_open_unix_pair(ends);
    item = (struct pal_wait){ends[0], PAL_IN | PAL_OUT, 0, 0};
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_sock_wait(&item, 1, UINT64_MAX) == 1);
    syscount_end();
}

Test(costs, waiting_without_a_poll_is_one_call)
{
    cr_assert_eq(calls_of(waits_without_poll, NULL).total, TIMES);
}

/* ---- wakes ---- */

static void wakes_of_an_awake_owner(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;

    (void)arg;
    must_settle(poll);
    for (int round = 0; round < 10; round++) {
        syscount_begin();
        for (int i = 0; i < TIMES; i++)
            must(pal_poll_wake(poll) == 0);
        syscount_end();
        must(pal_poll_wait(poll, &events, UINT64_MAX) == 1);
        must(events[0].kind == PAL_EV_WAKE);
    }
}

Test(costs, a_wake_is_no_call_while_the_owner_is_awake)
{
    cr_assert_eq(calls_of(wakes_of_an_awake_owner, NULL).total, 0);
}

struct sleeper {
    pal_poll *poll;
    _Atomic int thread_id; /* set just before it goes to sleep */
    int count;             /* of the events it woke up to */
};

static void sleep_in_wait(void *arg)
{
    struct sleeper *sleeper = (struct sleeper *)arg;
    const struct pal_event *events;

    atomic_store(&sleeper->thread_id, (int)syscall(SYS_gettid));
    sleeper->count = pal_poll_wait(sleeper->poll, &events, UINT64_MAX);
}

/* Looks until the kernel says that the thread sleeps. */
static void until_asleep(int thread_id)
{
    char path[64], text[256], *state;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread_id);
    do {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size;

        must(fd >= 0);
        size = read(fd, text, sizeof(text) - 1);
        must(size > 0);
        text[size] = '\0';
        must(close(fd) == 0);
        state = strrchr(text, ')');
        must(state != NULL);
    } while (state[2] != 'S');
}

static void wakes_of_a_sleeping_owner(void *arg)
{
    struct sleeper sleeper = {must_open_poll(2, 0), 0, 0};
    pal_thread thread;

    (void)arg;
    must(pal_thread_start(&thread, sleep_in_wait, &sleeper) == 0);
    while (atomic_load(&sleeper.thread_id) == 0)
        (void)pal_sock_wait(NULL, 0, deadline_ms(1));
    until_asleep(atomic_load(&sleeper.thread_id));
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_poll_wake(sleeper.poll) == 0);
    syscount_end();
    must(pal_thread_join(thread) == 0);
    must(sleeper.count == 1);
}

Test(costs, many_wakes_of_a_sleeping_owner_are_one_call)
{
    struct syscount count = calls_of(wakes_of_a_sleeping_owner, NULL);

    cr_assert_eq(count.by_number[SYS_write], 1, "%u writes", count.by_number[SYS_write]);
}

/* ---- interest ---- */

static void toggles(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    pal_sock ends[2];

    (void)arg;
    must_open_unix_pair(ends);
    must(pal_watch(poll, ends[0], PAL_IN | PAL_OUT, 1) == 0);
    must_become_ready(poll, 1);
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_watch(poll, ends[0], 0, 0) == 0);
        must(pal_watch(poll, ends[0], PAL_IN, 2) == 0);
        must(pal_watch(poll, ends[0], PAL_IN | PAL_OUT, 3) == 0);
    }
    syscount_end();
}

Test(costs, changing_interest_back_and_forth_is_no_call)
{
    cr_assert_eq(calls_of(toggles, NULL).total, 0);
}

/* ---- an echoed message: wait, receive, send; the client's own two calls are counted beside them ---- */

enum way { BY_TRY, BY_OPERATION, BY_LOAN, WAYS };

struct echo {
    pal_poll *poll;
    pal_sock server;
    int client; /* a descriptor of ours, so that its calls are known: read and write */
    struct pal_op op;
    char bytes[64];
};

static void echo_by_try(struct echo *echo)
{
    const struct pal_event *events;

    must(pal_poll_wait(echo->poll, &events, UINT64_MAX) == 1);
    must(pal_sock_recv(echo->server, echo->bytes, sizeof(echo->bytes), 0) == 64);
    must(pal_sock_send(echo->server, echo->bytes, 64, 0) == 64);
}

static void echo_by_op(struct echo *echo)
{
    const struct pal_event *events;
    struct pal_op send = op_send(echo->server, 2, echo->bytes, 64);

    must(pal_poll_wait(echo->poll, &events, UINT64_MAX) == 1);
    must(events[0].kind == PAL_EV_OP && events[0].result == 64);
    must(pal_submit(echo->poll, &send) == 1);
    must(send.result == 64);
    must(pal_submit(echo->poll, &echo->op) == 0);
}

static void echo_by_lease(struct echo *echo)
{
    const struct pal_event *events;
    struct pal_lease lease;

    must(pal_poll_wait(echo->poll, &events, UINT64_MAX) == 1);
    must(pal_lease_recv(echo->server, &lease, 1) == 1);
    must(lease.size == 64);
    must(pal_lease_send(echo->server, &lease, 1) == 1);
}

static void echo_messages(void *arg)
{
    static void (*const ways[WAYS])(struct echo *) = {echo_by_try, echo_by_op, echo_by_lease};
    enum way way = *(const enum way *)arg;
    char bytes[64] = {0};
    struct echo echo;
    pal_sock ends[2];
    intptr_t native;

    memset(&echo, 0, sizeof(echo));
    echo.poll = must_open_poll(2, 0);
    must_open_tcp_pair(ends);
    must(pal_sock_release(ends[0], &native) == 0);
    echo.client = (int)native;
    must(fcntl(echo.client, F_SETFL, 0) == 0);
    echo.server = ends[1];
    echo.op = op_recv(echo.server, 1, echo.bytes, sizeof(echo.bytes));
    if (way == BY_OPERATION)
        must(pal_submit(echo.poll, &echo.op) == 0);
    else
        must(pal_watch(echo.poll, echo.server, way == BY_LOAN ? PAL_IN | PAL_LEASE : PAL_IN, 1) == 0);
    for (int i = 0; i < 2 * TIMES; i++) {
        if (i == TIMES) /* steady from here on */
            syscount_begin();
        must(write(echo.client, bytes, 64) == 64);
        ways[way](&echo);
        must(read(echo.client, bytes, 64) == 64);
    }
    syscount_end();
}

Test(costs, an_echoed_message_is_three_calls)
{
    static enum way ways[WAYS] = {BY_TRY, BY_OPERATION, BY_LOAN};

    for (int i = 0; i < WAYS; i++) {
        struct syscount count = calls_of(echo_messages, &ways[i]);
        unsigned client = count.by_number[SYS_read] + count.by_number[SYS_write];

        cr_assert_eq(client, 2 * TIMES, "the seam reads or writes sockets by read and write");
        cr_assert_eq(count.total - client, 3 * TIMES, "way %d: %u calls for %d messages", i, count.total - client,
                     TIMES);
    }
}

/* ---- try calls ---- */

static void tries(void *arg)
{
    pal_sock ends[2];
    char byte = 0;

    (void)arg;
    must_open_tcp_pair(ends);
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_sock_recv(ends[0], &byte, 1, 0) == PAL_EAGAIN);
        must(pal_sock_send(ends[0], "x", 1, 0) == 1);
    }
    syscount_end();
}

Test(costs, a_try_is_one_call)
{
    cr_assert_eq(calls_of(tries, NULL).total, 2 * TIMES);
}

static void stale_tries(void *arg)
{
    pal_sock ends[2];
    char byte = 0;

    (void)arg;
    must_open_unix_pair(ends);
    must(pal_sock_close(ends[0]) == 0);
    syscount_begin();
    must(pal_sock_recv(ends[0], &byte, 1, 0) == PAL_EBADF);
    must(pal_sock_send(ends[0], "x", 1, 0) == PAL_EBADF);
    must(pal_sock_close(ends[0]) == PAL_EBADF);
    syscount_end();
}

Test(costs, a_stale_handle_never_reaches_the_kernel)
{
    cr_assert_eq(calls_of(stale_tries, NULL).total, 0);
}
