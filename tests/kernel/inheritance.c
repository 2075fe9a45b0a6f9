/* inheritance.c: sockets whose descriptions the seam shares with somebody else: with a forked child that watches, or
 * changes, what it inherited (rule 17); with whoever began to connect a descriptor before it was adopted; with a
 * process that keeps a closed socket's description alive (rule 8); with the kernel's queue of errors (rule 9). */
#include "kernel.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { WATCH = 1, OTHER = 2, WAITS = 100, BOUND_S = 20 };

/* ---- a child and what it inherits ---- */

struct heirloom {
    pal_poll *poll;
    pal_sock ends[2];
    bool close_first; /* the child closes the inherited poll before it goes on */
};

/* The child's own poll. Whatever it does is over, or killed, in BOUND_S. */
static pal_poll *begin_anew(const struct heirloom *heirloom)
{
    (void)alarm(BOUND_S);
    if (heirloom->close_first)
        must(pal_poll_close(heirloom->poll) == 0);
    return must_open_poll(2, 0);
}

static void watch_in_child(void *arg)
{
    const struct heirloom *heirloom = (const struct heirloom *)arg;
    pal_poll *poll = begin_anew(heirloom);

    must(pal_watch(poll, heirloom->ends[0], PAL_IN, WATCH) == 0);
    must_settle(poll);
    must(pal_watch(poll, heirloom->ends[0], 0, 0) == 0);
    must(pal_poll_close(poll) == 0);
}

static void parent_watches_before_and_after(bool close_first, bool idle)
{
    struct heirloom heirloom = {must_open_poll(2, 0), {{0}, {0}}, close_first};

    must_open_unix_pair(heirloom.ends);
    must(pal_watch(heirloom.poll, heirloom.ends[0], PAL_IN, WATCH) == 0);
    must_settle(heirloom.poll);
    if (idle)
        must(pal_watch(heirloom.poll, heirloom.ends[0], 0, 0) == 0);
    in_child(watch_in_child, &heirloom);
    must(pal_watch(heirloom.poll, heirloom.ends[0], PAL_IN, OTHER) == 0);
    must(pal_sock_send(heirloom.ends[1], "x", 1, 0) == 1);
    must_become_ready(heirloom.poll, OTHER);
    must(pal_watch(heirloom.poll, heirloom.ends[0], 0, 0) == 0);
    pair_close(heirloom.ends[0], heirloom.ends[1]);
    must(pal_poll_close(heirloom.poll) == 0);
}

Test(inheritance, a_childs_watch_of_an_idle_socket_leaves_the_parents_set_alone)
{
    parent_watches_before_and_after(false, true);
    parent_watches_before_and_after(true, true);
}

Test(inheritance, a_childs_watch_of_a_watched_socket_leaves_the_parents_watch_alone)
{
    parent_watches_before_and_after(true, false);
}

static void listen_in_child(void *arg)
{
    const struct heirloom *heirloom = (const struct heirloom *)arg;

    must(pal_sock_listen(heirloom->ends[0], 4) == 0);
}

Test(inheritance, a_listener_that_a_child_made_listen_can_be_watched)
{
    struct heirloom heirloom = {must_open_poll(2, 0), {{0}, {0}}, false};
    struct pal_addr addr;
    pal_sock listener;

    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &listener) == 0);
    must(pal_addr_set_loopback(&addr, PAL_AF_INET, 0) == 0);
    must(pal_sock_bind(listener, &addr) == 0);
    must(pal_sock_name(listener, PAL_NAME_LOCAL, &addr) == 0);
    must(pal_watch(heirloom.poll, listener, PAL_IN, WATCH) == 0);
    heirloom.ends[0] = listener;
    in_child(listen_in_child, &heirloom);
    assert_error(pal_sock_listen(listener, 4), 0);
    assert_error(pal_watch(heirloom.poll, listener, 0, 0), 0);
    assert_error(pal_watch(heirloom.poll, listener, PAL_IN, OTHER), 0);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &heirloom.ends[1]) == 0);
    (void)pal_sock_connect(heirloom.ends[1], &addr);
    must_become_ready(heirloom.poll, OTHER);
    must(pal_watch(heirloom.poll, listener, 0, 0) == 0);
    pair_close(listener, heirloom.ends[1]);
    must(pal_poll_close(heirloom.poll) == 0);
}

static void watch_in_child_what_starves(void *arg)
{
    const struct heirloom *heirloom = (const struct heirloom *)arg;
    pal_poll *poll = begin_anew(heirloom);

    must(pal_watch(poll, heirloom->ends[0], PAL_IN, OTHER) == 0);
    must_become_ready(poll, OTHER);
    must(pal_watch(poll, heirloom->ends[0], 0, 0) == 0);
    must(pal_poll_close(poll) == 0);
}

static void must_be_starved(pal_poll *poll, pal_sock sock)
{
    const struct pal_event *events;
    struct pal_lease refused;
    bool starved = false;

    must_become_ready(poll, WATCH);
    must(pal_lease_recv(sock, &refused, 1) == PAL_ENOBUFS);
    for (int i = 0; i < WAITS && !starved; i++) {
        int count = pal_poll_wait(poll, &events, deadline_ms(10));

        starved = count == 1 && (events[0].ready & PAL_STARVED) != 0;
    }
    must(starved);
}

Test(inheritance, a_child_can_watch_what_starves_in_its_parent)
{
    struct heirloom heirloom = {must_open_poll(2, 1), {{0}, {0}}, true};
    struct pal_lease lease;

    must_open_unix_pair(heirloom.ends);
    must(pal_lease_reserve(heirloom.poll, &lease, 1, 1) == 0);
    must(pal_watch(heirloom.poll, heirloom.ends[0], PAL_IN | PAL_LEASE, WATCH) == 0);
    must(pal_sock_send(heirloom.ends[1], "x", 1, 0) == 1);
    must_be_starved(heirloom.poll, heirloom.ends[0]);
    in_child(watch_in_child_what_starves, &heirloom);
    pal_lease_release(heirloom.poll, &lease, 1);
    must_become_ready(heirloom.poll, WATCH);
    must(pal_watch(heirloom.poll, heirloom.ends[0], 0, 0) == 0);
    pair_close(heirloom.ends[0], heirloom.ends[1]);
    must(pal_poll_close(heirloom.poll) == 0);
}

/* ---- descriptors that come with a past ---- */

enum { CLIENTS = 4 };

/* A listener whose queue is full, and clients[CLIENTS - 1] still on its way to it. */
static int begin_connecting(int clients[CLIENTS], struct sockaddr_in *addr)
{
    socklen_t size = sizeof(*addr);
    struct pollfd last;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memset(addr, 0, sizeof(*addr));
    addr->sin_family = AF_INET;
    addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (struct sockaddr *)addr, size) == 0);
    must(listen(listener, 0) == 0);
    must(getsockname(listener, (struct sockaddr *)addr, &size) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        must(clients[i] >= 0);
        (void)connect(clients[i], (struct sockaddr *)addr, size);
    }
    last = (struct pollfd){clients[CLIENTS - 1], POLLOUT, 0};
    if (poll(&last, 1, 0) != 0)
        test_skip("backlog", "this kernel takes connections beyond the backlog");
    return listener;
}

Test(inheritance, a_descriptor_adopted_while_it_connects_reports_the_connection)
{
    int clients[CLIENTS];
    struct sockaddr_in addr;
    int listener = begin_connecting(clients, &addr);
    pal_poll *poll = must_open_poll(2, 0);
    pal_sock sock;
    int32_t outcome = -1;
    size_t size = sizeof(outcome);
    const struct pal_event *events;
    bool ready = false;

    assert_error(pal_sock_adopt(clients[CLIENTS - 1], 0, &sock), 0);
    must(pal_watch(poll, sock, PAL_OUT, WATCH) == 0);
    for (int i = 0; i < 1000 && !ready; i++) { /* the queue gets room, and the client's next packet finds it */
        int accepted = accept(listener, NULL, NULL);

        if (accepted >= 0)
            (void)close(accepted);
        ready = pal_poll_wait(poll, &events, deadline_ms(10)) == 1 && events[0].data == WATCH;
    }
    cr_assert(ready, "the connection is never reported");
    assert_error(pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size), 0);
    assert_error(outcome, 0);
    must(pal_watch(poll, sock, 0, 0) == 0);
    must(pal_sock_close(sock) == 0);
    must(pal_poll_close(poll) == 0);
    for (int i = 0; i < CLIENTS - 1; i++)
        (void)close(clients[i]);
    (void)close(listener);
}

Test(inheritance, a_fresh_descriptor_that_was_adopted_is_ready_once_connected)
{
    pal_poll *poll = must_open_poll(2, 0);
    struct pal_addr addr;
    pal_sock listener, sock;

    must_listen(&listener, &addr);
    assert_error(pal_sock_adopt(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, &sock), 0);
    must(pal_watch(poll, sock, PAL_IN | PAL_OUT, WATCH) == 0);
    for (int i = 0; i < 3; i++)
        must_settle(poll);
    (void)pal_sock_connect(sock, &addr);
    must_become_ready(poll, WATCH);
    must(pal_watch(poll, sock, 0, 0) == 0);
    pair_close(sock, listener);
    must(pal_poll_close(poll) == 0);
}

/* ---- a description that lives on, met at the descriptor limit ---- */

static pid_t hold_all(void)
{
    pid_t child = fork();

    must(child >= 0);
    if (child == 0) {
        (void)alarm(BOUND_S); /* the longest that an orphan may live */
        (void)pause();
        _exit(0);
    }
    return child;
}

static void clean_up_at_the_limit(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    struct rlimit limit, none;
    pal_sock kept[2], closed[2];
    pid_t child;

    (void)arg;
    must_open_unix_pair(kept);
    must_open_unix_pair(closed);
    must(pal_watch(poll, kept[0], PAL_IN, WATCH) == 0);
    must(pal_watch(poll, closed[0], PAL_IN, OTHER) == 0);
    must_settle(poll);
    child = hold_all();
    must(pal_watch(poll, closed[0], 0, 0) == 0);
    must(pal_sock_close(closed[0]) == 0);
    must(pal_sock_send(closed[1], "x", 1, 0) == 1); /* to the description that the child holds */
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 3;
    must(setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (int i = 0; i < 3; i++)
        (void)pal_poll_wait(poll, &events, deadline_ms(1)); /* may say that it lacks a descriptor */
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    must(pal_sock_send(kept[1], "x", 1, 0) == 1);
    must_become_ready(poll, WATCH);
    must(kill(child, SIGKILL) == 0);
    must(waitpid(child, NULL, 0) == child);
}

Test(inheritance, a_poll_that_could_not_clean_up_at_the_descriptor_limit_works_afterwards)
{
    in_child(clean_up_at_the_limit, NULL);
}

/* ---- errors that queue up for whoever asks ---- */

static void udp_open(pal_sock *sock, struct pal_addr *addr)
{
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, sock) == 0);
    must(pal_sock_bind(*sock, addr) == 0);
    must(pal_sock_name(*sock, PAL_NAME_LOCAL, addr) == 0);
}

/* A datagram bounces, the error is told once, and its queued report is left where it is. */
static void bounce(pal_sock *sock, struct pal_addr *own, struct pal_addr *peer)
{
    struct pal_wait item;
    pal_sock gone;
    char bytes[4];
    int32_t on = 1;

    must(pal_addr_set_loopback(own, PAL_AF_INET, 0) == 0);
    *peer = *own;
    udp_open(&gone, peer);
    must(pal_sock_close(gone) == 0);
    udp_open(sock, own);
    must(pal_sock_connect(*sock, peer) == 0);
    must(pal_sock_set(*sock, PAL_SO_RECVERR, &on, sizeof(on)) == 0);
    must(pal_sock_send(*sock, "x", 1, 0) == 1);
    item = (struct pal_wait){*sock, PAL_IN, 0, 0};
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_recv(*sock, bytes, sizeof(bytes), 0) == PAL_ECONNREFUSED);
    must(pal_sock_recv(*sock, bytes, sizeof(bytes), 0) == PAL_EAGAIN);
}

/* A receive that has nothing to receive may end beside queued errors, once: they are then to be read first. */
static void submit_beside_queued_errors(pal_poll *poll, struct pal_op *op)
{
    const struct pal_event *events;
    char bytes[64];

    must(pal_submit(poll, op) == 0);
    if (pal_poll_wait(poll, &events, deadline_ms(1)) == 0)
        return;
    must(events[0].kind == PAL_EV_OP && events[0].data == op->data && op->result == PAL_EAGAIN);
    must(pal_sock_recv(op->sock, bytes, sizeof(bytes), PAL_MSG_ERRQUEUE) == 1);
    must(pal_sock_recv(op->sock, bytes, sizeof(bytes), PAL_MSG_ERRQUEUE) == PAL_EAGAIN);
    must(pal_submit(poll, op) == 0);
    must_settle(poll);
}

static void receive_beside_queued_errors(void *arg)
{
    pal_poll *poll = must_open_poll(2, 0);
    const struct pal_event *events;
    struct pal_addr own, peer;
    struct pal_op op;
    pal_sock sock, late;
    char bytes[4];
    int count = 0;

    (void)arg;
    bounce(&sock, &own, &peer);
    op = op_recv(sock, OTHER, bytes, sizeof(bytes));
    submit_beside_queued_errors(poll, &op);
    syscount_begin();
    must_sleep(poll, WAITS);
    syscount_end();
    udp_open(&late, &peer);
    must(pal_sock_connect(late, &own) == 0);
    must(pal_sock_send(late, "late", 4, 0) == 4);
    for (int i = 0; i < WAITS && count == 0; i++)
        count = pal_poll_wait(poll, &events, deadline_ms(10));
    must(count == 1 && events[0].kind == PAL_EV_OP && events[0].result == 4);
}

Test(inheritance, a_receiving_op_does_not_spin_beside_queued_errors)
{
    struct syscount count = calls_of(receive_beside_queued_errors, NULL);

    cr_assert_leq(count.total, 2 * WAITS, "%u calls in %d waits: it spins", count.total, WAITS);
}
