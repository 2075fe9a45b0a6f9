/* calls_wait.c: pal_sock_wait: rules 9, 10 and 12 as far as they concern waiting without a poll. Calls that block are
 * in calls_blocking.c. A thread leaves its findings behind: only the test's own thread judges. */
#include "calls_common.h"

static struct pal_wait item_of(pal_sock sock, uint16_t interest)
{
    struct pal_wait item;

    memset(&item, 0, sizeof(item));
    item.sock = sock;
    item.interest = interest;
    return item;
}

/* What is ready now. */
static uint16_t ready_now(pal_sock sock, uint16_t interest)
{
    struct pal_wait item = item_of(sock, interest);
    int count = pal_sock_wait(&item, 1, 0);

    cr_assert_eq(count, item.ready != 0, "%d ready, with bits %#x", count, item.ready);
    return item.ready;
}

/* ---- bits ---- */

Test(calls_wait, readiness_is_told_bit_by_bit_and_only_as_asked)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    cr_assert_eq(ready_now(a, PAL_IN), 0);
    cr_assert_eq(ready_now(a, PAL_OUT), PAL_OUT);
    cr_assert_eq(ready_now(a, PAL_IN | PAL_OUT), PAL_OUT);
    cr_assert_eq(ready_now(a, 0), 0);
    send_text(b, "x");
    cr_assert_eq(sock_until(a, PAL_IN), PAL_IN);
    cr_assert_eq(ready_now(a, PAL_IN | PAL_OUT), PAL_IN | PAL_OUT);
    cr_assert_eq(ready_now(a, PAL_OUT), PAL_OUT);
    cr_assert_eq(ready_now(a, 0), 0);
    expect_text(a, "x");
    cr_assert_eq(ready_now(a, PAL_IN), 0);
    pair_close(a, b);
}

Test(calls_wait, the_peers_end_of_sending_is_told_when_asked)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    cr_assert_eq(ready_now(a, PAL_RDHUP), 0);
    assert_error(pal_sock_shutdown(b, PAL_SHUT_WR), 0);
    cr_assert_eq(sock_until(a, PAL_RDHUP), PAL_RDHUP);
    cr_assert_eq(ready_now(a, PAL_IN), PAL_IN);
    cr_assert_eq(ready_now(a, PAL_IN | PAL_RDHUP), PAL_IN | PAL_RDHUP);
    cr_assert_eq(ready_now(a, PAL_OUT), PAL_OUT);
    pair_close(a, b);
}

Test(calls_wait, hang_up_and_error_are_told_unasked)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    close_with_reset(b);
    cr_assert(sock_until(a, 0) & PAL_ERR);
    cr_assert(ready_now(a, 0) & PAL_HUP);
    sock_close(a);
}

Test(calls_wait, both_ways_shut_is_a_hang_up)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    assert_error(pal_sock_shutdown(b, PAL_SHUT_WR), 0);
    cr_assert(sock_until(a, 0) & PAL_HUP);
    pair_close(a, b);
}

Test(calls_wait, room_is_told_when_there_is_some_again)
{
    pal_sock a, b;
    uint64_t sent;

    pair_open(PAIR_TCP4, &a, &b);
    sent = fill(a);
    cr_assert_eq(ready_now(a, PAL_OUT), 0);
    cr_assert_gt(sent, 0);
    for (uint64_t received = 0; received < sent;) {
        cr_assert(sock_until(b, PAL_IN));
        received += drain(b);
    }
    cr_assert_eq(sock_until(a, PAL_OUT), PAL_OUT);
    pair_close(a, b);
}

Test(calls_wait, urgent_data_is_told_apart)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    if (pal_sock_send(a, "!", 1, PAL_MSG_OOB) == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("urgent-data", "this stack has none");
    }
    cr_assert_eq(sock_until(b, PAL_PRI), PAL_PRI);
    cr_assert_eq(ready_now(b, PAL_OUT), PAL_OUT);
    pair_close(a, b);
}

Test(calls_wait, a_listener_is_ready_when_a_connection_waits)
{
    pal_sock listener, client, served;
    struct pal_addr addr;
    int error;

    listener_open(PAL_AF_INET, &listener, &addr);
    cr_assert_eq(ready_now(listener, PAL_IN), 0);
    client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    cr_assert_eq(ready_now(client, PAL_IN | PAL_OUT), 0, "an unconnected stream socket is never ready");
    error = pal_sock_connect(client, &addr);
    cr_assert(error == 0 || error == PAL_EINPROGRESS);
    cr_assert_eq(sock_until(listener, PAL_IN), PAL_IN);
    cr_assert_eq(sock_until(client, PAL_OUT), PAL_OUT);
    served = accept_one(listener);
    cr_assert_eq(ready_now(listener, PAL_IN), 0);
    pair_close(client, served);
    sock_close(listener);
}

Test(calls_wait, a_failed_connect_is_told)
{
    pal_sock listener, client;
    struct pal_addr addr;
    int error;

    listener_open(PAL_AF_INET, &listener, &addr);
    sock_close(listener);
    client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    error = pal_sock_connect(client, &addr);
    if (error == PAL_EINPROGRESS) {
        cr_assert(sock_until(client, PAL_OUT) & PAL_ERR);
        error = option_of(client, PAL_SO_ERROR);
    }
    assert_error(error, PAL_ECONNREFUSED);
    sock_close(client);
}

/* ---- items ---- */

Test(calls_wait, every_ready_item_is_marked_and_counted)
{
    pal_sock a, b, c, d;
    struct pal_wait items[4];

    pair_open(PAIR_TCP4, &a, &b);
    pair_open(PAIR_UDP4, &c, &d);
    send_text(a, "x");
    send_text(c, "x");
    cr_assert(sock_until(b, PAL_IN) && sock_until(d, PAL_IN));
    items[0] = item_of(a, PAL_IN);
    items[1] = item_of(b, PAL_IN);
    items[2] = item_of(c, PAL_OUT);
    items[3] = item_of(d, PAL_IN | PAL_OUT);
    assert_error(pal_sock_wait(items, 4, UINT64_MAX), 3);
    cr_assert_eq(items[0].ready, 0);
    cr_assert_eq(items[1].ready, PAL_IN);
    cr_assert_eq(items[2].ready, PAL_OUT);
    cr_assert_eq(items[3].ready, PAL_IN | PAL_OUT);
    pair_close(a, b);
    pair_close(c, d);
}

Test(calls_wait, what_an_earlier_wait_wrote_is_overwritten)
{
    pal_sock a, b;
    struct pal_wait item;

    pair_open(PAIR_TCP4, &a, &b);
    item = item_of(a, PAL_IN);
    item.ready = 0xffff;
    assert_error(pal_sock_wait(&item, 1, 0), 0);
    cr_assert_eq(item.ready, 0);
    pair_close(a, b);
}

Test(calls_wait, one_socket_may_be_several_items)
{
    pal_sock a, b;
    struct pal_wait items[3];

    pair_open(PAIR_TCP4, &a, &b);
    items[0] = item_of(a, PAL_IN);
    items[1] = item_of(a, PAL_OUT);
    items[2] = item_of(a, PAL_OUT);
    assert_error(pal_sock_wait(items, 3, UINT64_MAX), 2);
    cr_assert(items[0].ready == 0 && items[1].ready == PAL_OUT && items[2].ready == PAL_OUT);
    pair_close(a, b);
}

Test(calls_wait, no_socket_is_skipped)
{
    pal_sock none = {0}, a, b;
    struct pal_wait items[3];

    pair_open(PAIR_TCP4, &a, &b);
    items[0] = item_of(none, PAL_IN | PAL_OUT);
    items[1] = item_of(a, PAL_OUT);
    items[2] = item_of(none, PAL_IN);
    assert_error(pal_sock_wait(items, 3, UINT64_MAX), 1);
    cr_assert(items[0].ready == 0 && items[1].ready == PAL_OUT && items[2].ready == 0);
    assert_error(pal_sock_wait(items, 1, 0), 0);
    pair_close(a, b);
}

Test(calls_wait, a_stale_handle_is_ready_at_once)
{
    pal_sock a, b;
    struct pal_wait items[2];

    pair_open(PAIR_TCP4, &a, &b);
    items[0] = item_of(a, PAL_IN);
    items[1] = item_of(b, PAL_IN);
    sock_close(b);
    assert_error(pal_sock_wait(&items[1], 1, UINT64_MAX), 1);
    cr_assert_eq(items[1].ready, PAL_NVAL);
    cr_assert_gt(pal_sock_wait(items, 2, UINT64_MAX), 0);
    cr_assert_eq(items[1].ready, PAL_NVAL);
    sock_close(a);
}

Test(calls_wait, a_stale_handle_is_told_beside_what_is_ready)
{
    pal_sock a, b, c, d;
    struct pal_wait items[3];

    pair_open(PAIR_TCP4, &a, &b);
    pair_open(PAIR_TCP4, &c, &d);
    items[0] = item_of(a, PAL_OUT);
    items[1] = item_of(c, PAL_OUT);
    items[2] = item_of(d, PAL_OUT);
    sock_close(c);
    assert_error(pal_sock_wait(items, 3, 0), 3);
    cr_assert(items[0].ready == PAL_OUT && items[1].ready == PAL_NVAL && items[2].ready == PAL_OUT);
    pair_close(a, b);
    sock_close(d);
}

Test(calls_wait, bad_arguments_are_refused)
{
    static struct pal_wait items[65537];
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        items[i] = item_of(a, PAL_OUT);
    assert_error(pal_sock_wait(items, 65537, 0), PAL_EINVAL);
    assert_error(pal_sock_wait(items, -1, 0), PAL_EINVAL);
    assert_error(pal_sock_wait(NULL, 1, 0), PAL_EINVAL);
    pair_close(a, b);
}

Test(calls_wait, hundreds_of_items_are_waited_for_at_once)
{
    enum { PAIRS = 150 };
    static pal_sock ends[PAIRS][2];
    static struct pal_wait items[2 * PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        pair_open(PAIR_UDP4, &ends[i][0], &ends[i][1]);
        items[2 * i] = item_of(ends[i][0], PAL_IN);
        items[2 * i + 1] = item_of(ends[i][1], PAL_IN);
    }
    assert_error(pal_sock_wait(items, 2 * PAIRS, 0), 0);
    send_text(ends[0][1], "x");
    send_text(ends[PAIRS - 1][0], "x");
    cr_assert(sock_until(ends[0][0], PAL_IN) && sock_until(ends[PAIRS - 1][1], PAL_IN));
    assert_error(pal_sock_wait(items, 2 * PAIRS, UINT64_MAX), 2);
    for (int i = 0; i < 2 * PAIRS; i++)
        cr_assert_eq(items[i].ready, i == 0 || i == 2 * PAIRS - 1 ? PAL_IN : 0, "item %d", i);
    for (int i = 0; i < PAIRS; i++)
        pair_close(ends[i][0], ends[i][1]);
}

/* ---- deadlines ---- */

Test(calls_wait, without_items_it_sleeps_until_the_deadline)
{
    for (uint64_t timeout_ns = 1000; timeout_ns <= 10 * MILLISECOND_NS; timeout_ns *= 10) {
        uint64_t deadline_ns = deadline_after(timeout_ns);

        assert_error(pal_sock_wait(NULL, 0, deadline_ns), 0);
        cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns, "%lu ns were cut short", (unsigned long)timeout_ns);
    }
}

Test(calls_wait, with_nothing_ready_it_waits_until_the_deadline)
{
    pal_sock a, b;
    struct pal_wait item;

    pair_open(PAIR_TCP4, &a, &b);
    item = item_of(a, PAL_IN);
    for (uint64_t timeout_ns = 1000; timeout_ns <= 10 * MILLISECOND_NS; timeout_ns *= 10) {
        uint64_t deadline_ns = deadline_after(timeout_ns);

        assert_error(pal_sock_wait(&item, 1, deadline_ns), 0);
        cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns, "%lu ns were cut short", (unsigned long)timeout_ns);
    }
    pair_close(a, b);
}

Test(calls_wait, a_past_deadline_looks_and_returns)
{
    pal_sock a, b;
    struct pal_wait items[2];

    pair_open(PAIR_TCP4, &a, &b);
    items[0] = item_of(a, PAL_IN);
    items[1] = item_of(a, PAL_OUT);
    for (uint64_t deadline_ns = 0; deadline_ns < 2; deadline_ns++) {
        assert_error(pal_sock_wait(items, 1, deadline_ns), 0);
        assert_error(pal_sock_wait(items, 2, deadline_ns), 1);
        assert_error(pal_sock_wait(NULL, 0, deadline_ns), 0);
    }
    pair_close(a, b);
}

/* ---- beside a watch ---- */

Test(calls_wait, a_watch_is_not_disturbed)
{
    struct rig rig;
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    rig_open(&rig, 2);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 7), 0);
    cr_assert_eq(ready_now(a, PAL_IN | PAL_OUT), PAL_OUT);
    rig_silent(&rig, 7, 3);
    send_text(b, "x");
    cr_assert_eq(sock_until(a, PAL_IN), PAL_IN);
    cr_assert_eq(rig_until(&rig, 7, PAL_EV_READY).ready, PAL_IN);
    cr_assert_eq(ready_now(a, PAL_IN), PAL_IN);
    cr_assert_eq(rig_until(&rig, 7, PAL_EV_READY).ready, PAL_IN);
    expect_text(a, "x");
    rig_silent_but_once(&rig, 7, 3);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    cr_assert_eq(ready_now(a, PAL_OUT), PAL_OUT);
    rig_close(&rig);
    pair_close(a, b);
}

/* ---- other threads ---- */

static void require_shared(void)
{
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets here belong to one thread");
}

struct waiter {
    struct pal_wait item;
    int count;
};

static void wait_in_thread(void *arg)
{
    struct waiter *waiter = arg;

    for (int i = 0; i < 500 && waiter->count == 0; i++)
        waiter->count = pal_sock_wait(&waiter->item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10 * MILLISECOND_NS);
}

Test(calls_wait, two_threads_wait_for_one_socket)
{
    struct waiter waiters[2];
    pal_thread threads[2];
    pal_sock a, b;

    require_shared();
    pair_open(PAIR_TCP4, &a, &b);
    for (int i = 0; i < 2; i++) {
        waiters[i].item = item_of(a, PAL_IN);
        waiters[i].count = 0;
        assert_error(pal_thread_start(&threads[i], wait_in_thread, &waiters[i]), 0);
    }
    send_text(b, "x");
    for (int i = 0; i < 2; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        assert_error(waiters[i].count, 1);
        cr_assert_eq(waiters[i].item.ready, PAL_IN);
    }
    pair_close(a, b);
}
