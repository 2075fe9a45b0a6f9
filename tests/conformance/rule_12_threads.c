/* Rule 12: a poll belongs to the first thread that watches, submits or waits with it; wake is for all; handles are
 * process-wide. What a helper thread finds out is judged by the test's own thread after the join. */
#include "conformance.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- who owns a poll ---- */

/* What a thread is to do with a poll, and what came of it. */
struct use {
    pal_poll *poll;
    pal_sock sock;
    struct pal_op *op;
    struct pal_lease *lease;
    int result;
};

static void use_by_wait(void *arg)
{
    struct use *use = (struct use *)arg;
    const struct pal_event *events;

    use->result = pal_poll_wait(use->poll, &events, 0);
}

static void use_by_watch(void *arg)
{
    struct use *use = (struct use *)arg;

    use->result = pal_watch(use->poll, use->sock, PAL_IN, 1);
}

static void use_by_submit(void *arg)
{
    struct use *use = (struct use *)arg;

    use->result = pal_submit(use->poll, use->op);
}

static void use_by_release(void *arg)
{
    struct use *use = (struct use *)arg;

    pal_lease_release(use->poll, use->lease, 1);
}

static void use_by_close(void *arg)
{
    struct use *use = (struct use *)arg;

    use->result = pal_poll_close(use->poll);
}

/* Runs function(use) in a thread of its own, to its end. */
static void in_thread(void (*function)(void *), void *use)
{
    pal_thread thread;

    assert_error(pal_thread_start(&thread, function, use), 0);
    assert_error(pal_thread_join(thread), 0);
}

/* A whole life with a poll that another thread has opened. */
static void live_with_poll(void *arg)
{
    struct use *use = (struct use *)arg;
    const struct pal_event *events;

    use->result = pal_watch(use->poll, use->sock, PAL_IN, 1);
    for (int i = 0; i < 500 && use->result == 0; i++)
        use->result = pal_poll_wait(use->poll, &events, pal_clock(PAL_CLOCK_MONOTONIC) + 10 * MILLISECOND_NS);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): pal_watch never returns 1 */
    if (use->result == 1 && (events[0].kind != PAL_EV_READY || events[0].data != 1))
        use->result = PAL_EPROTO;
    if (use->result != 1)
        return;
    use->result = pal_watch(use->poll, use->sock, 0, 0);
    if (use->result == 0)
        use->result = pal_poll_close(use->poll);
}

Test(rule_12_threads, a_poll_opened_here_is_first_used_and_closed_there)
{
    struct use use = {NULL, {0}, NULL, NULL, 0};
    pal_sock a, b;

    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets stay with their thread");
    assert_error(pal_poll_open(&use.poll, NULL), 0);
    pair_open(PAIR_TCP4, &a, &b);
    send_all(b, "x", 1);
    use.sock = a;
    in_thread(live_with_poll, &use);
    assert_error(use.result, 0);
    pair_close(a, b);
}

Test(rule_12_threads, the_opener_of_a_poll_that_another_thread_uses_aborts, .signal = SIGABRT)
{
    struct use use = {NULL, {0}, NULL, NULL, 0};

    assert_error(pal_poll_open(&use.poll, NULL), 0);
    in_thread(use_by_wait, &use);
    if (use.result == 0)
        use_by_wait(&use);
}

Test(rule_12_threads, waiting_with_another_threads_poll_aborts, .signal = SIGABRT)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    use.poll = rig.poll;
    in_thread(use_by_wait, &use);
}

Test(rule_12_threads, watching_with_another_threads_poll_aborts, .signal = SIGABRT)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};
    pal_sock b;

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    pair_open(PAIR_UNIX_STREAM, &use.sock, &b);
    use.poll = rig.poll;
    in_thread(use_by_watch, &use);
}

Test(rule_12_threads, submitting_to_another_threads_poll_aborts, .signal = SIGABRT)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};
    struct pal_op op;
    char byte;
    pal_sock a, b;

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    op = op_recv(a, 1, &byte, 1);
    use.poll = rig.poll;
    use.op = &op;
    in_thread(use_by_submit, &use);
}

Test(rule_12_threads, closing_another_threads_poll_aborts, .signal = SIGABRT)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    use.poll = rig.poll;
    in_thread(use_by_close, &use);
}

Test(rule_12_threads, releasing_another_threads_lease_aborts, .signal = SIGABRT)
{
    struct rig rig;
    struct pal_lease lease;
    struct use use = {NULL, {0}, NULL, NULL, 0};

    rig_open(&rig, 2);
    (void)rig_turn(&rig, 0);
    assert_error(pal_lease_reserve(rig.poll, &lease, 1, 64), 0);
    use.poll = rig.poll;
    use.lease = &lease;
    in_thread(use_by_release, &use);
}

/* ---- sockets go anywhere ---- */

/* Echoes one message of four bytes over use->sock. */
static void echo_once(void *arg)
{
    struct use *use = (struct use *)arg;
    char bytes[4];
    struct pal_wait item = {use->sock, PAL_IN, 0, 0};
    size_t done = 0;

    use->result = 0;
    while (done < sizeof(bytes) && use->result >= 0) {
        int ready = pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 5000 * MILLISECOND_NS);

        if (ready == 1)
            use->result = pal_sock_recv(use->sock, bytes + done, sizeof(bytes) - done, 0);
        else
            use->result = ready < 0 ? ready : PAL_ETIMEDOUT;
        done += use->result > 0 ? (size_t)use->result : 0;
    }
    if (use->result >= 0)
        use->result = pal_sock_send(use->sock, bytes, sizeof(bytes), 0);
}

Test(rule_12_threads, a_socket_accepted_here_is_echoed_there)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UNIX_STREAM, PAIR_UDP4};
    struct use use = {NULL, {0}, NULL, NULL, 0};
    char answer[4];
    pal_sock client;

    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets stay with their thread");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        pair_open(kinds[i], &client, &use.sock);
        send_all(client, "ping", 4);
        in_thread(echo_once, &use);
        assert_error(use.result, 4);
        cr_assert(sock_until(client, PAL_IN) & PAL_IN);
        cr_assert_eq(pal_sock_recv(client, answer, 4, 0), 4);
        cr_assert_arr_eq(answer, "ping", 4);
        pair_close(client, use.sock);
    }
}

/* Every call that takes a socket: 0, or what the first of them says that does not refuse as it has to. */
static void use_all_calls(void *arg)
{
    struct use *use = (struct use *)arg;
    pal_sock sock = use->sock, other;
    struct pal_addr addr;
    struct pal_msg msg;
    struct pal_op op;
    char byte = 0;
    int32_t number = 0;
    size_t size = sizeof(number);
    pal_poll *poll = NULL;

    memset(&msg, 0, sizeof(msg));
    op = op_recv(sock, 1, &byte, 1);
    if (pal_poll_open(&poll, NULL) != 0 || pal_addr_set_loopback(&addr, PAL_AF_INET, 1) != 0) {
        use->result = PAL_EPROTO;
        return;
    }
    const int results[] = {pal_sock_recv(sock, &byte, 1, 0),
                           pal_sock_recv(sock, &byte, 1, PAL_MSG_WAIT),
                           pal_sock_send(sock, "x", 1, 0),
                           pal_sock_recv_msgs(sock, &msg, 1, 0),
                           pal_sock_send_msgs(sock, &msg, 1, 0),
                           pal_sock_bind(sock, &addr),
                           pal_sock_listen(sock, 1),
                           pal_sock_connect(sock, &addr),
                           pal_sock_accept(sock, &other, NULL),
                           pal_sock_shutdown(sock, PAL_SHUT_WR),
                           pal_sock_set(sock, PAL_SO_RCVBUF, &number, sizeof(number)),
                           pal_sock_get(sock, PAL_SO_TYPE, &number, &size),
                           pal_sock_name(sock, PAL_NAME_LOCAL, &addr),
                           pal_sock_dup(sock, &other),
                           pal_watch(poll, sock, PAL_IN, 1),
                           pal_submit(poll, &op),
                           pal_sock_close(sock)};
    use->result = 0;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (results[i] != PAL_EOTHERTHREAD)
            use->result = results[i] != 0 ? results[i] : 1 + (int)i;
    if (pal_reason()[0] == '\0' || pal_poll_close(poll) != 0)
        use->result = PAL_EPROTO;
}

/* A socket of its own beside the other thread's. */
static void wait_for_two(void *arg)
{
    struct use *use = (struct use *)arg;
    struct pal_wait items[2];

    memset(items, 0, sizeof(items));
    items[1].sock = use->sock;
    items[0].interest = items[1].interest = PAL_IN;
    use->result = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &items[0].sock);
    if (use->result != 0)
        return;
    use->result = pal_sock_wait(items, 2, pal_clock(PAL_CLOCK_MONOTONIC) + 5000 * MILLISECOND_NS);
    if (pal_sock_close(items[0].sock) != 0)
        use->result = PAL_EPROTO;
}

Test(rule_12_threads, without_shared_sockets_another_thread_is_refused)
{
    struct use use = {NULL, {0}, NULL, NULL, 0};
    pal_sock client;

    if (has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("confined-socks", "every thread may use every socket here");
    pair_open(PAIR_TCP4, &client, &use.sock);
    send_all(client, "ping", 4);
    in_thread(echo_once, &use);
    assert_error(use.result, PAL_EOTHERTHREAD);
    in_thread(use_all_calls, &use);
    assert_error(use.result, 0);
    in_thread(wait_for_two, &use);
    assert_error(use.result, PAL_EOTHERTHREAD);
    send_all(use.sock, "pong", 4);
    pair_close(client, use.sock);
}

Test(rule_12_threads, a_watched_socket_can_be_tried_elsewhere)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};
    pal_sock client;

    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets stay with their thread");
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &client, &use.sock);
    assert_error(pal_watch(rig.poll, use.sock, PAL_IN, 1), 0);
    send_all(client, "ping", 4);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    in_thread(echo_once, &use);
    assert_error(use.result, 4);
    rig_silent_but_once(&rig, 1, 3);
    send_all(client, "x", 1);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    assert_error(pal_watch(rig.poll, use.sock, 0, 0), 0);
    pair_close(client, use.sock);
    rig_close(&rig);
}

Test(rule_12_threads, an_idle_socket_moves_to_another_threads_poll)
{
    struct rig rig;
    struct use use = {NULL, {0}, NULL, NULL, 0};
    pal_sock client;

    if (!has_caps(PAL_CAP_SHARED_SOCKS | PAL_CAP_MOVE))
        test_skip("move", "a socket stays with its first poll");
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &client, &use.sock);
    assert_error(pal_watch(rig.poll, use.sock, PAL_IN | PAL_OUT, 1), 0);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    assert_error(pal_watch(rig.poll, use.sock, 0, 0), 0);
    send_all(client, "x", 1);
    assert_error(pal_poll_open(&use.poll, NULL), 0);
    in_thread(live_with_poll, &use);
    assert_error(use.result, 0);
    rig_silent(&rig, 1, 3);
    pair_close(client, use.sock);
    rig_close(&rig);
}

/* ---- one reader and one writer at a time ---- */

enum { STREAM_SIZE = 1 << 20 };

struct transfer {
    pal_sock sock;
    uint64_t sum; /* of the bytes that were moved */
    size_t moved; /* bytes */
    int error;
};

/* Moves STREAM_SIZE bytes; the n-th byte, counted from 0, is a function of n. */
static void write_stream(void *arg)
{
    struct transfer *transfer = (struct transfer *)arg;
    struct pal_wait item = {transfer->sock, PAL_OUT, 0, 0};
    uint8_t bytes[4096];

    while (transfer->moved < STREAM_SIZE && transfer->error == 0) {
        size_t size = STREAM_SIZE - transfer->moved < sizeof(bytes) ? STREAM_SIZE - transfer->moved : sizeof(bytes);
        int32_t sent;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)((transfer->moved + i) * 167 >> 3);
        sent = pal_sock_send(transfer->sock, bytes, size, 0);
        for (int32_t i = 0; i < sent; i++)
            /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): sent is at most size */
            transfer->sum = transfer->sum * 31 + bytes[i];
        if (sent >= 0)
            transfer->moved += (size_t)sent;
        else if (sent != PAL_EAGAIN)
            transfer->error = sent;
        else if (pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10000 * MILLISECOND_NS) != 1)
            transfer->error = PAL_ETIMEDOUT;
    }
}

static void read_stream(void *arg)
{
    struct transfer *transfer = (struct transfer *)arg;
    struct pal_wait item = {transfer->sock, PAL_IN, 0, 0};
    uint8_t bytes[4096];

    while (transfer->moved < STREAM_SIZE && transfer->error == 0) {
        int32_t received = pal_sock_recv(transfer->sock, bytes, sizeof(bytes), 0);

        for (int32_t i = 0; i < received; i++)
            transfer->sum = transfer->sum * 31 + bytes[i];
        if (received > 0)
            transfer->moved += (size_t)received;
        else if (received != PAL_EAGAIN)
            transfer->error = received == 0 ? PAL_EPIPE : received;
        else if (pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10000 * MILLISECOND_NS) != 1)
            transfer->error = PAL_ETIMEDOUT;
    }
}

Test(rule_12_threads, one_thread_reads_and_one_writes_the_same_socket)
{
    struct transfer transfers[4];
    pal_thread threads[4];
    pal_sock ends[2];

    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets stay with their thread");
    pair_open(PAIR_TCP4, &ends[0], &ends[1]);
    memset(transfers, 0, sizeof(transfers));
    for (int i = 0; i < 4; i++) { /* 0 writes what 1 reads, 2 writes what 3 reads; 0 and 3 share an end, 1 and 2 too */
        transfers[i].sock = ends[i == 1 || i == 2];
        assert_error(pal_thread_start(&threads[i], i % 2 == 0 ? write_stream : read_stream, &transfers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_error(pal_thread_join(threads[i]), 0);
    for (int i = 0; i < 4; i++) {
        assert_error(transfers[i].error, 0);
        cr_assert_eq(transfers[i].moved, STREAM_SIZE);
        cr_assert_eq(transfers[i].sum, transfers[0].sum, "the stream came out changed");
    }
    pair_close(ends[0], ends[1]);
}

/* ---- handles from many threads ---- */

enum { OPENING_THREADS = 4, OPENED_EACH = 200 };

static void open_and_close(void *arg)
{
    int *error = (int *)arg;
    pal_sock socks[8];

    for (int i = 0; i < OPENED_EACH && *error == 0; i++) {
        for (int j = 0; j < 8 && *error == 0; j++)
            *error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &socks[j]);
        for (int j = 0; j < 8 && *error == 0; j++) {
            *error = pal_sock_close(socks[j]);
            if (*error == 0 && pal_sock_close(socks[j]) != PAL_EBADF)
                *error = PAL_EPROTO; /* the handle came alive again */
        }
    }
}

Test(rule_12_threads, threads_that_open_and_close_do_not_get_each_others_handles)
{
    pal_thread threads[OPENING_THREADS];
    int errors[OPENING_THREADS] = {0};
    uint64_t before = 0, after = 0;

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &before), 0);
    for (int i = 0; i < OPENING_THREADS; i++)
        assert_error(pal_thread_start(&threads[i], open_and_close, &errors[i]), 0);
    for (int i = 0; i < OPENING_THREADS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        assert_error(errors[i], 0);
    }
    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &after), 0);
    cr_assert_eq(before, after);
}
