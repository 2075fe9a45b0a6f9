/* Rule 11: changes may wait for the next wait or flush, but the first watch of a socket reports at once; a wait is
 * bounded by events_max, and each lane (sockets, ops, wakes) gets its turn. */
#include "conformance.h"

enum { MANY = 16, WAKE_DATA = 0 };

/* Sockets that stay readable: nobody reads what has been sent to them. */
struct readable {
    pal_sock a[MANY], b[MANY];
};

static void readable_open(struct rig *rig, struct readable *socks)
{
    for (uint64_t i = 0; i < MANY; i++) {
        pair_open(PAIR_UNIX_STREAM, &socks->a[i], &socks->b[i]);
        send_all(socks->b[i], "x", 1);
        assert_error(pal_watch(rig->poll, socks->a[i], PAL_IN, 100 + i), 0);
    }
}

static void readable_close(struct rig *rig, struct readable *socks)
{
    for (int i = 0; i < MANY; i++) {
        assert_error(pal_watch(rig->poll, socks->a[i], 0, 0), 0);
        pair_close(socks->a[i], socks->b[i]);
    }
}

Test(rule_11_batching, no_wait_returns_more_than_events_max)
{
    static const uint32_t sizes[] = {2, 3, 7, MANY, 256};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct rig rig;
        struct readable socks;
        uint64_t before = 0, after = 0;

        rig_open(&rig, sizes[i]);
        readable_open(&rig, &socks);
        assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &before), 0);
        for (int turn = 0; turn < 20; turn++) {
            int count = rig_turn(&rig, MILLISECOND_NS);

            cr_assert_leq(count, (int)sizes[i], "%d events in an array of %u", count, sizes[i]);
        }
        assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &after), 0);
        cr_assert_eq(before, after);
        readable_close(&rig, &socks);
        rig_close(&rig);
    }
}

Test(rule_11_batching, the_default_is_256_events)
{
    struct pal_config config;
    struct rig rig;

    memset(&config, 0, sizeof(config));
    rig_open_config(&rig, &config);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(rig_turn(&rig, 0), 0);
    rig_close(&rig);
    rig_open_config(&rig, NULL);
    cr_assert_eq(rig_turn(&rig, 0), 0);
    rig_close(&rig);
}

Test(rule_11_batching, an_event_array_out_of_range_is_refused_with_a_reason)
{
    static const uint32_t sizes[] = {1, 65537, UINT32_MAX};
    struct pal_config config;
    pal_poll *poll = NULL;

    memset(&config, 0, sizeof(config));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        config.events_max = sizes[i];
        assert_error(pal_poll_open(&poll, &config), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "", "no reason for refusing events_max %u", sizes[i]);
        cr_assert_null(poll, "a refused open writes a poll");
    }
}

Test(rule_11_batching, the_first_watch_of_a_dead_socket_is_refused_at_once)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    pair_close(a, b);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), PAL_EBADF);
    rig_silent(&rig, 1, 2);
    rig_close(&rig);
}

Test(rule_11_batching, the_first_watch_with_impossible_interest_is_refused_at_once)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    send_all(b, "x", 1);
    assert_error(pal_watch(rig.poll, a, PAL_IN | 0x8000, 1), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, a, PAL_OUT | PAL_LEASE, 1), PAL_EINVAL);
    if (!has_caps(PAL_CAP_EDGE))
        assert_error(pal_watch(rig.poll, a, PAL_IN | PAL_EDGE, 1), PAL_ENOTSUP);
    rig_silent(&rig, 1, 2);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_11_batching, flush_waits_for_nothing_and_loses_nothing)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_flush(rig.poll), 0);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    assert_error(pal_flush(rig.poll), 0);
    send_all(b, "x", 1);
    assert_error(pal_flush(rig.poll), 0);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    assert_error(pal_watch(rig.poll, a, PAL_OUT, 2), 0);
    assert_error(pal_flush(rig.poll), 0);
    cr_assert_eq(rig_until(&rig, 2, PAL_EV_READY).ready, PAL_OUT);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    assert_error(pal_flush(rig.poll), 0);
    rig_silent(&rig, 2, 3);
    pair_close(a, b);
    assert_error(pal_flush(rig.poll), 0);
    rig_close(&rig);
}

Test(rule_11_batching, a_burst_of_changes_counts_as_its_last)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_UNIX_STREAM, &a, &b);
        for (int i = 0; i < 10; i++) {
            assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
            assert_error(pal_watch(rig.poll, a, PAL_IN | PAL_OUT, 2), 0);
            assert_error(pal_watch(rig.poll, a, 0, 3), 0);
            assert_error(pal_watch(rig.poll, a, PAL_OUT, 4), 0);
            cr_assert_eq(rig_until(&rig, 4, PAL_EV_READY).ready, PAL_OUT);
            cr_assert_eq(rig.count, 1, "an event for a change that was replaced");
        }
        assert_error(pal_watch(rig.poll, a, 0, 0), 0);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_11_batching, a_wake_gets_its_turn_among_ready_sockets)
{
    struct rig rig;
    struct readable socks;
    bool woken = false;

    rig_open(&rig, 2);
    readable_open(&rig, &socks);
    (void)rig_turn(&rig, MILLISECOND_NS);
    assert_error(pal_poll_wake(rig.poll), 0);
    for (int turn = 0; turn < 4 && !woken; turn++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        woken = rig_kept(&rig, WAKE_DATA) > 0;
    }
    cr_assert(woken, "a wake is starved by ready sockets");
    readable_close(&rig, &socks);
    rig_close(&rig);
}

Test(rule_11_batching, an_op_gets_its_turn_among_ready_sockets)
{
    struct rig rig;
    struct readable socks;
    char byte = 0;
    pal_sock a, b;
    struct pal_op op;

    rig_open(&rig, 2);
    readable_open(&rig, &socks);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    op = op_recv(a, 1, &byte, 1);
    assert_error(pal_submit(rig.poll, &op), 0);
    send_all(b, "y", 1);
    for (int turn = 0; turn < 4 * MANY && rig_kept(&rig, 1) == 0; turn++)
        (void)rig_turn(&rig, MILLISECOND_NS);
    cr_assert_eq(rig_kept(&rig, 1), 1, "an op is starved by ready sockets");
    cr_assert_eq(byte, 'y');
    readable_close(&rig, &socks);
    pair_close(a, b);
    rig_close(&rig);
}

/* Begins an op that is over at once, so that its event is due in the next wait. */
static void submit_cancelled(struct rig *rig, struct pal_op *op)
{
    assert_error(pal_submit(rig->poll, op), 0);
    assert_error(pal_cancel(rig->poll, op), 0);
}

Test(rule_11_batching, ready_sockets_get_their_turn_among_finished_ops)
{
    struct rig rig;
    pal_sock a[MANY], b[MANY];
    struct pal_op ops[MANY];
    char bytes[MANY];
    int seen = 0;

    rig_open(&rig, 2);
    for (uint64_t i = 0; i < MANY; i++) {
        pair_open(PAIR_UNIX_STREAM, &a[i], &b[i]);
        ops[i] = op_recv(a[i], 100 + i, &bytes[i], 1);
    }
    send_all(b[0], "x", 1);
    assert_error(pal_watch(rig.poll, a[0], PAL_IN, 1), 0);
    for (int i = 1; i < MANY; i++)
        submit_cancelled(&rig, &ops[i]);
    for (int turn = 0; turn < 4 * MANY; turn++) { /* more ops are over in every turn than the array holds */
        (void)rig_turn(&rig, MILLISECOND_NS);
        seen += rig_find(&rig, 1) != NULL;
        for (int i = 0; i < rig.count; i++) {
            if (rig.events[i].kind == PAL_EV_OP)
                submit_cancelled(&rig, &ops[rig.events[i].data - 100]);
        }
    }
    cr_assert_gt(seen, 0, "a ready socket is starved by ops");
    assert_error(pal_watch(rig.poll, a[0], 0, 0), 0);
    rig.kept_count = 0;
    for (int turn = 0; turn < 4 * MANY && rig.kept_count < MANY - 1; turn++)
        (void)rig_turn(&rig, MILLISECOND_NS);
    for (int i = 0; i < MANY; i++)
        pair_close(a[i], b[i]);
    rig_close(&rig);
}
