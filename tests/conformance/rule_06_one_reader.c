/* rule_06_one_reader.c: rule 6: a socket has at most one reader, one writer and one poll, be they watches or ops. A
 * second one is refused with PAL_EBUSY and disturbs nothing. Try calls and pal_sock_wait are neither. */
#include "conformance.h"

enum { READER = 1, WRITER = 2, WATCH = 3, ROOM = 64 };

struct fixture {
    struct rig rig;
    pal_sock a, b;
    struct pal_op reader, writer;
    char in[ROOM];
};

/* b is full and empty, so that ops on it stay pending. */
static void fixture_open(struct fixture *fixture, uint32_t events_max)
{
    rig_open(&fixture->rig, events_max);
    pair_open(pair_kind_bounded(), &fixture->a, &fixture->b);
    (void)fill(fixture->b);
    fixture->reader = op_recv(fixture->b, READER, fixture->in, sizeof(fixture->in));
    fixture->writer = op_send(fixture->b, WRITER, "w", 1);
}

static void fixture_close(struct fixture *fixture)
{
    pair_close(fixture->a, fixture->b);
    rig_close(&fixture->rig);
}

static void finish_reader(struct fixture *fixture)
{
    send_all(fixture->a, "r", 1);
    cr_assert_eq(rig_outcome(&fixture->rig, &fixture->reader), 1);
}

static void finish_writer(struct fixture *fixture)
{
    (void)drain(fixture->a);
    cr_assert_eq(rig_outcome(&fixture->rig, &fixture->writer), 1);
}

Test(rule_06_one_reader, second_reading_op_is_refused)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;
        struct pal_op second;
        char in[ROOM];

        fixture_open(&fixture, events_max);
        rig_submit(&fixture.rig, &fixture.reader);
        second = op_recv(fixture.b, WATCH, in, sizeof(in));
        assert_error(pal_submit(fixture.rig.poll, &second), PAL_EBUSY);
        second.flags = PAL_OP_TRY;
        assert_error(pal_submit(fixture.rig.poll, &second), PAL_EBUSY);
        finish_reader(&fixture);
        cr_assert_eq(fixture.in[0], 'r', "the bytes went to the refused op");
        rig_silent(&fixture.rig, WATCH, 2);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, second_writing_op_is_refused)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;
        struct pal_op second;

        fixture_open(&fixture, events_max);
        rig_submit(&fixture.rig, &fixture.writer);
        second = op_send(fixture.b, WATCH, "s", 1);
        assert_error(pal_submit(fixture.rig.poll, &second), PAL_EBUSY);
        finish_writer(&fixture);
        rig_silent(&fixture.rig, WATCH, 2);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, second_accept_is_refused)
{
    struct rig rig;
    pal_sock listener, none[2];
    struct pal_addr addr;
    struct pal_op ops[2];

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    for (int i = 0; i < 2; i++)
        ops[i] = op_accept(listener, (uint64_t)(READER + i), &none[i]);
    rig_submit(&rig, &ops[0]);
    assert_error(pal_submit(rig.poll, &ops[1]), PAL_EBUSY);
    assert_error(pal_watch(rig.poll, listener, PAL_IN, WATCH), PAL_EBUSY);
    rig_cancel(&rig, &ops[0]);
    assert_error(rig_outcome(&rig, &ops[0]), PAL_ECANCELED);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

Test(rule_06_one_reader, watch_is_refused_beside_an_op_of_its_direction)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        rig_submit(&fixture.rig, &fixture.reader);
        rig_submit(&fixture.rig, &fixture.writer);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_IN, WATCH), PAL_EBUSY);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_OUT, WATCH), PAL_EBUSY);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_IN | PAL_OUT, WATCH), PAL_EBUSY);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_IN | PAL_LEASE, WATCH), PAL_EBUSY);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_RDHUP, WATCH), PAL_EBUSY);
        assert_error(pal_watch(fixture.rig.poll, fixture.b, PAL_PRI, WATCH), PAL_EBUSY);
        finish_reader(&fixture);
        finish_writer(&fixture);
        rig_silent(&fixture.rig, WATCH, 2);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, op_is_refused_beside_a_watch_of_its_direction)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_IN | PAL_OUT, WATCH);
        assert_error(pal_submit(fixture.rig.poll, &fixture.reader), PAL_EBUSY);
        assert_error(pal_submit(fixture.rig.poll, &fixture.writer), PAL_EBUSY);
        send_all(fixture.a, "r", 1);
        (void)rig_until_ready(&fixture.rig, WATCH, PAL_IN);
        rig_unwatch(&fixture.rig, fixture.b);
        cr_assert_eq(rig_perform(&fixture.rig, &fixture.reader), 1);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, watch_of_one_direction_and_op_of_the_other_go_together)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_OUT, WATCH);
        rig_submit(&fixture.rig, &fixture.reader);
        finish_reader(&fixture);
        rig_silent(&fixture.rig, WATCH, 2);
        (void)drain(fixture.a);
        cr_assert_eq(rig_until(&fixture.rig, WATCH, PAL_EV_READY).ready, PAL_OUT);
        rig_watch(&fixture.rig, fixture.b, PAL_IN, WATCH);
        (void)fill(fixture.b);
        rig_submit(&fixture.rig, &fixture.writer);
        send_all(fixture.a, "r", 1);
        cr_assert_eq(rig_until(&fixture.rig, WATCH, PAL_EV_READY).ready, PAL_IN);
        finish_writer(&fixture);
        rig_unwatch(&fixture.rig, fixture.b);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, own_watch_is_replaced_not_refused)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_IN, WATCH);
        rig_watch(&fixture.rig, fixture.b, PAL_IN | PAL_OUT, WATCH + 1);
        send_all(fixture.a, "r", 1);
        cr_assert_eq(rig_until(&fixture.rig, WATCH + 1, PAL_EV_READY).ready, PAL_IN);
        cr_assert_null(rig_find(&fixture.rig, WATCH));
        rig_unwatch(&fixture.rig, fixture.b);
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, side_is_free_again_after_the_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        for (int i = 0; i < 3; i++) {
            rig_submit(&fixture.rig, &fixture.reader);
            finish_reader(&fixture);
            rig_watch(&fixture.rig, fixture.b, PAL_IN, WATCH);
            send_all(fixture.a, "w", 1);
            (void)rig_until_ready(&fixture.rig, WATCH, PAL_IN);
            cr_assert_eq(pal_sock_recv(fixture.b, fixture.in, 1, 0), 1);
            rig_unwatch(&fixture.rig, fixture.b);
        }
        fixture_close(&fixture);
    }
}

/* ---- one poll ---- */

Test(rule_06_one_reader, another_poll_is_refused_while_the_first_waits)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;
        struct rig other;

        rig_open(&other, events_max);
        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_OUT, WATCH);
        assert_error(pal_watch(other.poll, fixture.b, PAL_IN, WATCH), PAL_EBUSY);
        assert_error(pal_submit(other.poll, &fixture.reader), PAL_EBUSY);
        rig_unwatch(&fixture.rig, fixture.b);
        rig_submit(&fixture.rig, &fixture.reader);
        assert_error(pal_watch(other.poll, fixture.b, PAL_OUT, WATCH), PAL_EBUSY);
        assert_error(pal_submit(other.poll, &fixture.writer), PAL_EBUSY);
        finish_reader(&fixture);
        rig_silent(&other, WATCH, 2);
        fixture_close(&fixture);
        rig_close(&other);
    }
}

Test(rule_06_one_reader, idle_socket_moves_to_another_poll)
{
    if (!has_caps(PAL_CAP_MOVE))
        test_skip("move", "sockets of this backend stay on their poll");
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;
        struct rig other;

        rig_open(&other, events_max);
        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_IN, WATCH);
        send_all(fixture.a, "x", 1);
        (void)rig_until_ready(&fixture.rig, WATCH, PAL_IN);
        rig_unwatch(&fixture.rig, fixture.b);
        rig_watch(&other, fixture.b, PAL_IN, WATCH + 1);
        (void)rig_until_ready(&other, WATCH + 1, PAL_IN);
        rig_silent(&fixture.rig, WATCH, 3);
        rig_silent(&fixture.rig, WATCH + 1, 3);
        rig_unwatch(&other, fixture.b);
        fixture_close(&fixture);
        rig_close(&other);
    }
}

/* ---- who is no reader ---- */

Test(rule_06_one_reader, try_calls_are_free_beside_ops)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;
        char byte;

        fixture_open(&fixture, events_max);
        rig_submit(&fixture.rig, &fixture.reader);
        assert_error(pal_sock_recv(fixture.b, &byte, 1, 0), PAL_EAGAIN);
        send_all(fixture.a, "t", 1);
        if (pal_sock_recv(fixture.b, &byte, 1, 0) == 1) { /* else the op has it: both are right */
            cr_assert_eq(byte, 't');
            rig_silent(&fixture.rig, READER, 3);
            finish_reader(&fixture);
        } else {
            cr_assert_eq(rig_outcome(&fixture.rig, &fixture.reader), 1);
            cr_assert_eq(fixture.in[0], 't');
        }
        fixture_close(&fixture);
    }
}

Test(rule_06_one_reader, sock_wait_disturbs_neither_watch_nor_op)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct fixture fixture;

        fixture_open(&fixture, events_max);
        rig_watch(&fixture.rig, fixture.b, PAL_IN, WATCH);
        rig_submit(&fixture.rig, &fixture.writer);
        send_all(fixture.a, "r", 1);
        cr_assert_eq(sock_until(fixture.b, PAL_IN), PAL_IN);
        (void)rig_until_ready(&fixture.rig, WATCH, PAL_IN);
        (void)drain(fixture.a);
        cr_assert_eq(sock_until(fixture.b, PAL_OUT) & PAL_OUT, PAL_OUT);
        cr_assert_eq(rig_outcome(&fixture.rig, &fixture.writer), 1);
        rig_unwatch(&fixture.rig, fixture.b);
        fixture_close(&fixture);
    }
}
