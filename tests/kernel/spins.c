/* spins.c: the four ways in which a naive readiness backend burns a whole CPU while it seems to wait. Shown without a
 * measured time: a hundred waits make a hundred system calls, return nothing, and none ends before its own deadline,
 * as each would whose descriptor is ready for nobody. Rules 8, 9, 13. */
#include "kernel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { WAITS = 100 };

/* ---- leases: four to lend, six sockets with data ---- */

static void starve(void *arg)
{
    pal_poll *poll = must_open_poll(256, 4);
    const struct pal_event *events;
    struct pal_lease leases[6];
    int leased = 0, starved = 0;

    (void)arg;
    for (uint64_t i = 0; i < 6; i++) {
        pal_sock ends[2];

        must_open_unix_pair(ends);
        must(pal_sock_send(ends[1], "x", 1, 0) == 1);
        must(pal_watch(poll, ends[0], PAL_IN | PAL_LEASE, ends[0].id) == 0);
    }
    for (int turn = 0; turn < 100 && starved < 2; turn++) {
        int count = pal_poll_wait(poll, &events, deadline_ms(1));

        for (int i = 0; i < count; i++) {
            starved += (events[i].ready & PAL_STARVED) != 0;
            if ((events[i].ready & PAL_IN) != 0)
                leased += pal_lease_recv((pal_sock){events[i].data}, &leases[leased], 1) == 1;
        }
    }
    must(leased == 4 && starved == 2);
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
}

Test(spins, a_starved_poll_sleeps)
{
    cr_assert_eq(calls_of(starve, NULL).total, WAITS);
}

/* ---- a peer that resets a connection nobody is interested in ---- */

static void reset_by_peer(void *arg)
{
    const uint32_t *interest_before = (const uint32_t *)arg;
    pal_poll *poll = must_open_poll(2, 0);
    struct pal_linger linger = {1, 0};
    pal_sock ends[2];

    must_open_tcp_pair(ends);
    if (*interest_before != 0) {
        must(pal_watch(poll, ends[0], *interest_before, 1) == 0);
        must_settle(poll);
        must(pal_watch(poll, ends[0], 0, 0) == 0);
    }
    must(pal_sock_set(ends[1], PAL_SO_LINGER, &linger, sizeof(linger)) == 0);
    must(pal_sock_close(ends[1]) == 0);
    must_settle(poll); /* may find the hang-up and disarm it */
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
}

Test(spins, a_reset_without_interest_is_no_event)
{
    static uint32_t interests[] = {PAL_IN, PAL_IN | PAL_RDHUP, 0};

    for (size_t i = 0; i < sizeof(interests) / sizeof(interests[0]); i++)
        cr_assert_eq(calls_of(reset_by_peer, &interests[i]).total, WAITS, "interest before: %#x", interests[i]);
}

static void hang_up_of_a_pipe(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    pal_sock ends[2];

    (void)arg;
    must(pal_pipe(ends, 0) == 0);
    must(pal_watch(poll, ends[0], PAL_IN, 1) == 0);
    must_settle(poll);
    must(pal_watch(poll, ends[0], 0, 0) == 0);
    must(pal_sock_close(ends[1]) == 0);
    must_settle(poll);
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
}

Test(spins, a_pipe_that_hangs_up_without_interest_is_no_event)
{
    cr_assert_eq(calls_of(hang_up_of_a_pipe, NULL).total, WAITS);
}

/* ---- a listener at the descriptor limit, paused as rule 13 says ---- */

static void pause_at_the_limit(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    struct rlimit limit;
    struct pal_addr addr;
    pal_sock listener, client, accepted;
    const struct pal_event *events;
    int last = -1, fd;

    (void)arg;
    must_listen(&listener, &addr);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client) == 0);
    must(pal_watch(poll, listener, PAL_IN, 1) == 0);
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        last = fd;
    must(last >= 0);
    (void)pal_sock_connect(client, &addr);
    must_become_ready(poll, 1);
    must(pal_sock_accept(listener, &accepted, NULL) == PAL_EMFILE);
    must(pal_watch(poll, listener, 0, 0) == 0);
    must_settle(poll);
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
    must(close(last) == 0);
    must(pal_watch(poll, listener, PAL_IN, 2) == 0);
    must_become_ready(poll, 2);
    must(pal_sock_accept(listener, &accepted, NULL) == 0);
    must(pal_poll_wait(poll, &events, 0) == 0);
}

Test(spins, a_listener_paused_at_the_descriptor_limit_sleeps)
{
    cr_assert_eq(calls_of(pause_at_the_limit, NULL).total, WAITS);
}

/* ---- a description that lives on after its socket was closed ---- */

enum holder { BY_KNOWN_DUP, BY_UNKNOWN_DUP, BY_PAL_DUP, BY_FORK, HOLDERS };

/* Duplicates every descriptor below 256, so that the seam does not learn that one of them is a certain socket's. */
static void dup_all(void)
{
    bool is_open[256];

    for (int fd = 0; fd < 256; fd++)
        is_open[fd] = fcntl(fd, F_GETFD) >= 0;
    for (int fd = 0; fd < 256; fd++)
        must(!is_open[fd] || dup(fd) >= 0);
}

/* Makes somebody else hold the description of sock. Returns a child that does, or 0. */
static pid_t hold(enum holder holder, pal_sock sock)
{
    pal_sock second;
    pid_t child = 0;

    switch (holder) {
    case BY_KNOWN_DUP:
        must(dup(native_of(sock)) >= 0);
        break;
    case BY_UNKNOWN_DUP:
        dup_all();
        break;
    case BY_PAL_DUP:
        must(pal_sock_dup(sock, &second) == 0);
        break;
    default:
        child = fork();
        must(child >= 0);
        if (child == 0) {
            (void)alarm(20); /* the longest that an orphan may live */
            (void)pause();
            _exit(0);
        }
    }
    return child;
}

static void close_what_is_shared(void *arg)
{
    enum holder holder = *(const enum holder *)arg;
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    pal_sock ends[2], others[2];
    pid_t child;

    must_open_unix_pair(others);
    must_open_unix_pair(ends);
    child = hold(holder, ends[1]);
    must(pal_watch(poll, others[0], PAL_IN, 2) == 0);
    must(pal_watch(poll, ends[1], PAL_IN | PAL_OUT, 1) == 0);
    must_become_ready(poll, 1);
    must(pal_watch(poll, ends[1], 0, 0) == 0);
    must(pal_sock_close(ends[1]) == 0);
    must(pal_sock_send(ends[0], "x", 1, 0) == 1); /* to the description that lives on */
    must_settle(poll);
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
    must(pal_sock_send(others[1], "x", 1, 0) == 1); /* nobody else's watch was lost */
    must_become_ready(poll, 2);
    must(pal_poll_wait(poll, &events, 0) == 1);
    if (child != 0) {
        must(kill(child, SIGKILL) == 0);
        must(waitpid(child, NULL, 0) == child);
    }
}

Test(spins, a_closed_socket_whose_description_lives_on_is_no_event)
{
    static enum holder holders[] = {BY_KNOWN_DUP, BY_UNKNOWN_DUP, BY_PAL_DUP, BY_FORK};

    for (int i = 0; i < HOLDERS; i++) {
        struct syscount count = calls_of(close_what_is_shared, &holders[i]);

        cr_assert_eq(count.total, WAITS, "holder %d: %u calls in %d waits", i, count.total, WAITS);
    }
}
