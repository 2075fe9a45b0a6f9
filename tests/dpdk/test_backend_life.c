/* test_backend_life.c: a program on libpal-dpdk in one process: threads and queues, captures, the card's end, children
 * of fork. */
#include "backend_rig.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(dpdk_life, .timeout = 60);

/* ---- threads ---- */

struct seen {
    char path[2048];
    int error, interfaces;
    pal_sock sock;
    char reason[256];
};

static void note_reason(struct seen *seen)
{
    snprintf(seen->reason, sizeof(seen->reason), "%s", pal_reason());
}

/* Opens a socket, and closes it. */
static void look_at_path(void *argument)
{
    struct seen *seen = argument;
    size_t size = sizeof(seen->path) - 1;
    pal_sock sock;

    seen->error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock);
    if (seen->error != 0)
        return;
    seen->error = pal_sock_get(sock, PAL_SO_PATH, seen->path, &size);
    seen->path[size] = '\0';
    seen->interfaces = pal_names(PAL_NAMES_INTERFACES, NULL, NULL, 0) / (int)sizeof(struct pal_interface);
    if (seen->error == 0)
        seen->error = pal_sock_close(sock);
}

static void use_anothers(void *argument)
{
    struct seen *seen = argument;

    seen->error = pal_sock_send(seen->sock, "x", 1, 0);
    note_reason(seen);
}

Test(dpdk_life, another_threads_socket_is_refused_with_a_reason)
{
    struct seen seen = {.error = 0};

    set_card(RING);
    seen.sock = open_sock(PAL_SOCK_DGRAM);
    in_thread(use_anothers, &seen);
    cr_assert_eq(seen.error, PAL_EOTHERTHREAD);
    cr_assert(strstr(seen.reason, "another thread"), "%s", seen.reason);
}

/* A connection with itself. */
static void talk_to_itself(void *argument)
{
    int *error = argument;
    struct pal_addr addr;
    pal_sock listener, client, server;
    char bytes[4];

    *error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &listener);
    if (*error != 0 || pal_addr_set_loopback(&addr, PAL_AF_INET, 77) != 0 || pal_sock_bind(listener, &addr) != 0 ||
        pal_sock_listen(listener, 1) != 0)
        return;
    *error = connect_here(listener, &addr, &client, &server);
    if (*error == 0 && (pal_sock_send(client, "ping", 4, PAL_MSG_WAIT) != 4 ||
                        pal_sock_recv(server, bytes, 4, PAL_MSG_WAIT) != 4 || memcmp(bytes, "ping", 4) != 0))
        *error = PAL_EPROTO;
}

Test(dpdk_life, threads_beyond_the_queues_have_loopback)
{
    struct seen seen = {.error = 0};
    pal_sock sock;
    int error;

    set_card(RING "queues 1");
    sock = open_sock(PAL_SOCK_DGRAM);
    in_thread(look_at_path, &seen);
    cr_assert_eq(seen.error, 0);
    cr_assert(strstr(seen.path, "loopback only: all 1 queues of the card are other threads'"), "%s", seen.path);
    cr_assert_eq(seen.interfaces, 1);
    cr_assert_eq(pal_names(PAL_NAMES_INTERFACES, NULL, NULL, 0), 2 * (int)sizeof(struct pal_interface));
    in_thread(talk_to_itself, &error);
    cr_assert_eq(error, 0, "%s", pal_error_name(error));
    cr_assert_eq(pal_sock_close(sock), 0);
}

Test(dpdk_life, a_thread_that_ends_gives_its_queue_back)
{
    struct seen seen = {.error = 0};

    set_card(RING "queues 1");
    pal_poll *poll = open_poll(); /* takes no queue: it may be for another thread */
    for (int i = 0; i < 300; i++) {
        in_thread(look_at_path, &seen);
        cr_assert_eq(seen.error, 0, "thread %d: %s", i, pal_error_name(seen.error));
        cr_assert(strstr(seen.path, "queue 0 of 1"), "thread %d: %s", i, seen.path);
    }
    cr_assert(strstr(path_of(open_sock(PAL_SOCK_DGRAM)), "queue 0 of 1"));
    cr_assert_eq(pal_poll_close(poll), 0);
}

static void leave_open(void *argument)
{
    *(int *)argument = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &(pal_sock){0});
}

Test(dpdk_life, what_a_thread_leaves_open_ends_with_it)
{
    uint64_t handles = 1;
    int error = 0;

    set_card(RING);
    in_thread(leave_open, &error);
    cr_assert_eq(error, 0);
    cr_assert_eq(pal_info(PAL_INFO_SOCKS_OPEN, &handles), 0);
    cr_assert_eq(handles, 0);
}

enum { THREADS = 8 };

static void open_and_look(void *argument)
{
    for (int i = 0; i < 20 && ((struct seen *)argument)->error == 0; i++)
        look_at_path(argument);
}

/* All begin at the same time, and with them DPDK: who comes first starts it, once. */
Test(dpdk_life, threads_that_begin_at_once_start_it_once)
{
    static struct seen seen[THREADS];
    pal_thread threads[THREADS];

    set_card(RING "queues 1");
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pal_thread_start(&threads[i], open_and_look, &seen[i]), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pal_thread_join(threads[i]), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert(seen[i].error == 0 && seen[i].path[0] != '\0', "%s", pal_error_name(seen[i].error));
}

/* ---- captures ---- */

static long size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

static void switch_capture(uint32_t on)
{
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_CAPTURE, &on, sizeof(on)), 0, "%s", pal_reason());
}

static void send_some(pal_sock sock, pal_poll *poll)
{
    const struct pal_event *events;

    for (int i = 0; i < 10; i++) {
        cr_assert_eq(pal_sock_send(sock, "seen", 4, 0), 4);
        (void)pal_poll_wait(poll, &events, now() + MS);
    }
}

Test(dpdk_life, captures_are_switched_while_it_runs)
{
    struct pal_addr to = addr_of("10.0.0.2", 9);
    char path[64], text[256], head[4] = "";
    long sizes[4];
    pal_poll *poll;
    pal_sock sock;
    FILE *file;

    snprintf(path, sizeof(path), "/tmp/palio-capture-%ld", (long)getpid());
    snprintf(text, sizeof(text), "%s neighbour 10.0.0.2 02:00:00:00:00:02 ; pcap %s off", RING, path);
    set_card(text);
    poll = open_poll();
    sock = open_sock(PAL_SOCK_DGRAM);
    cr_assert_eq(pal_sock_connect(sock, &to), 0);
    for (uint32_t i = 0; i < 4; i++) { /* off, on, off, off */
        if (i > 0)                     /* as the settings say at first */
            switch_capture(i == 1);
        send_some(sock, poll);
        switch_capture(0);
        sizes[i] = size_of(path);
    }
    cr_assert_geq(sizes[1] - sizes[0], 20 * 40, "%ld %ld", sizes[0], sizes[1]);
    cr_assert(sizes[2] == sizes[1] && sizes[3] == sizes[1], "%ld %ld %ld", sizes[1], sizes[2], sizes[3]);
    file = fopen(path, "rb");
    cr_assert(file != NULL && fread(head, 1, 4, file) == 4);
    fclose(file);
    (void)unlink(path);
    cr_assert_arr_eq(head, "\x0a\x0d\x0d\x0a", 4);
}

/* ---- the end ---- */

static int stop(uint64_t *missing)
{
    struct pal_card_stop end = {.missing = 0};
    int error = pal_ctl(NULL, PAL_CTL_CARD_STOP, &end, sizeof(end));

    *missing = end.missing;
    return error;
}

static void stop_elsewhere(void *argument)
{
    struct seen *seen = argument;
    uint64_t missing;

    seen->error = stop(&missing);
    note_reason(seen);
}

Test(dpdk_life, a_stop_gives_everything_back_and_is_the_end)
{
    struct seen seen = {.error = 0};
    uint64_t missing = 0;
    pal_sock sock, ends[2];
    pal_poll *poll;
    char byte;

    set_card(RING);
    poll = open_poll();
    sock = open_sock(PAL_SOCK_DGRAM);
    cr_assert_eq(stop(&missing), PAL_EBUSY);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(stop(&missing), PAL_EBUSY, "a poll is open");
    cr_assert_eq(pal_poll_close(poll), 0);
    in_thread(stop_elsewhere, &seen);
    cr_assert_eq(seen.error, PAL_EOTHERTHREAD);
    cr_assert_str_neq(seen.reason, "");
    cr_assert_eq(stop(&missing), 0, "%s", pal_reason());
    cr_assert_eq(missing, 0, "%lu packet buffers are missing", (unsigned long)missing);
    cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), PAL_ENETDOWN);
    cr_assert(strstr(pal_reason(), "stopped"), "%s", pal_reason());
    cr_assert_eq(pal_poll_open(&poll, NULL), PAL_ENETDOWN);
    cr_assert_eq(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends), 0);
    cr_assert_eq(pal_sock_send(ends[0], "x", 1, 0), 1);
    cr_assert_eq(pal_sock_recv(ends[1], &byte, 1, 0), 1);
}

/* ---- children of fork ---- */

static int be_a_child(pal_sock sock, pal_poll *poll)
{
    const struct pal_event *events;
    uint64_t missing;
    pal_sock fresh, ends[2];
    char byte;

    if (pal_sock_send(sock, "x", 1, 0) != PAL_EFORKED || pal_reason()[0] == '\0')
        return 1;
    if (pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &fresh) != PAL_EFORKED)
        return 2;
    if (pal_poll_wait(poll, &events, 0) != PAL_EFORKED || stop(&missing) != PAL_EFORKED)
        return 3;
    if (pal_sock_close(sock) != 0)
        return 4;
    if (pal_sock_close(sock) != PAL_EBADF)
        return 7;
    if (pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends) != 0 || pal_sock_send(ends[0], "x", 1, 0) != 1 ||
        pal_sock_recv(ends[1], &byte, 1, PAL_MSG_WAIT) != 1)
        return 5;
    return pal_poll_close(poll) == 0 ? 0 : 6;
}

Test(dpdk_life, a_child_of_fork_has_no_card)
{
    struct pal_addr addr;
    pal_sock listener, client, server;
    pal_poll *poll;
    int status = 0;
    char byte;
    pid_t child;

    set_card(RING);
    poll = open_poll();
    listener = listen_here(&addr);
    cr_assert_eq(connect_here(listener, &addr, &client, &server), 0);
    cr_assert_eq(pal_watch(poll, server, PAL_IN, 1), 0);
    child = fork();
    if (child == 0)
        _exit(be_a_child(client, poll));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child says %d", WEXITSTATUS(status));
    cr_assert_eq(pal_sock_send(client, "y", 1, 0), 1);
    cr_assert(await_event(poll, PAL_EV_READY));
    cr_assert_eq(pal_sock_recv(server, &byte, 1, 0), 1);
    cr_assert_eq(byte, 'y');
}
