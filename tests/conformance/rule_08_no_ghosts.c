/* rule_08_no_ghosts.c: rule 8: unwatch and close strike that socket's READY out of the current array, and nothing that
 * an earlier life of a socket, or of its slot, was owed ever arrives. An op's event cannot be struck out. */
#include "conformance.h"

enum { FIRST = 10, SECOND = 11, OLD = 20, NEW = 21, OP = 30 };

struct two {
    struct rig rig;
    pal_sock a[2], b[2];
};

/* Two sockets, FIRST and SECOND, ready in one array. */
static void two_open(struct two *two, uint32_t events_max)
{
    rig_open(&two->rig, events_max);
    for (int i = 0; i < 2; i++) {
        pair_open(PAIR_TCP4, &two->a[i], &two->b[i]);
        rig_watch(&two->rig, two->b[i], PAL_IN, (uint64_t)(FIRST + i));
        send_all(two->a[i], "x", 1);
        cr_assert_eq(sock_until(two->b[i], PAL_IN), PAL_IN);
    }
    for (int i = 0; i < 100 && two->rig.count < 2; i++)
        (void)rig_turn(&two->rig, 10 * MILLISECOND_NS);
    cr_assert_eq(two->rig.count, 2, "two sockets are ready, %d are reported", two->rig.count);
}

static void two_close(struct two *two)
{
    for (int i = 0; i < 2; i++) {
        (void)pal_watch(two->rig.poll, two->b[i], 0, 0); /* may be closed already */
        (void)pal_sock_close(two->b[i]);
        assert_error(pal_sock_close(two->a[i]), 0);
    }
    rig_close(&two->rig);
}

/* ---- striking out ---- */

Test(rule_08_no_ghosts, unwatch_strikes_out_the_event_already_handed_out)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        for (int victim = 0; victim < 2; victim++) {
            struct two two;

            two_open(&two, events_max);
            rig_unwatch(&two.rig, two.b[victim]);
            cr_assert_null(rig_find(&two.rig, (uint64_t)(FIRST + victim)), "the event of an unwatched socket stands");
            cr_assert_not_null(rig_find(&two.rig, (uint64_t)(FIRST + !victim)), "another socket's event is struck out");
            cr_assert_eq(two.rig.events[0].kind == PAL_EV_NONE, two.rig.events[1].kind != PAL_EV_NONE);
            two_close(&two);
        }
    }
}

Test(rule_08_no_ghosts, handler_that_closes_another_socket_never_meets_its_event)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct two two;
        int handled = 0;

        two_open(&two, events_max);
        for (int i = 0; i < two.rig.count; i++) {
            const struct pal_event *event = &two.rig.events[i];
            int other = event->data == FIRST ? 1 : 0;

            if (event->kind == PAL_EV_NONE)
                continue;
            handled++;
            rig_unwatch(&two.rig, two.b[other]);
            assert_error(pal_sock_close(two.b[other]), 0);
        }
        cr_assert_eq(handled, 1, "%d events of two were handled, though the first closes the other", handled);
        two_close(&two);
    }
}

Test(rule_08_no_ghosts, close_strikes_out_the_event_of_a_watch_that_ended_by_itself)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_ONCE, OLD);
        send_all(a, "x", 1);
        (void)rig_until_ready(&rig, OLD, PAL_IN);
        assert_error(pal_sock_close(b), 0);
        cr_assert_null(rig_find(&rig, OLD), "the event of a closed socket stands");
        assert_error(pal_sock_close(a), 0);
        rig_close(&rig);
    }
}

Test(rule_08_no_ghosts, unwatch_strikes_out_only_what_the_current_array_holds)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct two two;
        char byte;

        two_open(&two, events_max);
        cr_assert_eq(pal_sock_recv(two.b[0], &byte, 1, 0), 1);
        rig_watch(&two.rig, two.b[0], PAL_OUT, FIRST);
        (void)fill(two.b[0]); /* neither readable nor writable */
        for (int i = 0; i < 3; i++)
            (void)rig_turn(&two.rig, MILLISECOND_NS);
        (void)rig_until(&two.rig, SECOND, PAL_EV_READY);
        cr_assert_eq(two.rig.count, 1);
        rig_unwatch(&two.rig, two.b[0]);
        cr_assert_not_null(rig_find(&two.rig, SECOND), "an event was struck out by where another's once stood");
        two_close(&two);
    }
}

Test(rule_08_no_ghosts, sockets_that_share_their_data_are_told_apart)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct two two;
        int left = 0;

        two_open(&two, events_max);
        for (int i = 0; i < 2; i++)
            rig_watch(&two.rig, two.b[i], PAL_IN, NEW);
        for (int i = 0; i < 100 && two.rig.count < 2; i++)
            (void)rig_turn(&two.rig, 10 * MILLISECOND_NS);
        (void)rig_turn(&two.rig, 10 * MILLISECOND_NS);
        cr_assert_eq(two.rig.count, 2);
        rig_unwatch(&two.rig, two.b[1]);
        for (int i = 0; i < 2; i++)
            left += two.rig.events[i].kind == PAL_EV_READY && two.rig.events[i].data == NEW;
        cr_assert_eq(left, 1, "%d of two events with one data are left", left);
        two_close(&two);
    }
}

Test(rule_08_no_ghosts, event_of_an_op_is_not_struck_out)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char in[8];
        const struct pal_event *event;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, OP, in, sizeof(in));
        rig_submit(&rig, &op);
        send_all(a, "abc", 3);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        assert_error(pal_watch(rig.poll, b, 0, 0), 0);
        assert_error(pal_sock_close(b), 0);
        event = rig_find(&rig, OP);
        cr_assert(event != NULL && event->kind == PAL_EV_OP && event->result == 3, "the op's event has changed");
        assert_error(pal_sock_close(a), 0);
        rig_close(&rig);
    }
}

/* ---- earlier lives ---- */

Test(rule_08_no_ghosts, changed_data_replaces_the_old_for_good)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN, OLD);
        send_all(a, "x", 1);
        (void)rig_until_ready(&rig, OLD, PAL_IN);
        rig_watch(&rig, b, PAL_IN, NEW);
        for (int i = 0; i < 5; i++) {
            (void)rig_until_ready(&rig, NEW, PAL_IN);
            cr_assert_null(rig_find(&rig, OLD));
        }
        rig_unwatch(&rig, b);
        rig_silent(&rig, NEW, 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* The new socket most likely has the old one's slot and descriptor. It stays unready while the old one was ready. */
static void check_reuse(uint32_t events_max, bool seen)
{
    struct rig rig;
    pal_sock a, b, c, d;

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, b, PAL_IN, OLD);
    send_all(a, "x", 1);
    cr_assert_eq(sock_until(b, PAL_IN), PAL_IN);
    if (seen)
        (void)rig_until_ready(&rig, OLD, PAL_IN);
    else
        assert_error(pal_flush(rig.poll), 0);
    rig_unwatch(&rig, b);
    assert_error(pal_sock_close(b), 0);
    pair_open(PAIR_TCP4, &d, &c);
    rig_watch(&rig, c, PAL_IN, NEW);
    for (int i = 0; i < 10; i++) {
        (void)rig_turn(&rig, MILLISECOND_NS);
        cr_assert_null(rig_find(&rig, OLD), "the dead socket speaks");
        cr_assert_null(rig_find(&rig, NEW), "the new socket speaks for the dead one");
    }
    send_all(d, "y", 1);
    (void)rig_until_ready(&rig, NEW, PAL_IN);
    cr_assert_null(rig_find(&rig, OLD));
    rig_unwatch(&rig, c);
    assert_error(pal_sock_close(a), 0);
    pair_close(c, d);
    rig_close(&rig);
}

Test(rule_08_no_ghosts, new_socket_in_the_slot_of_a_ready_one_is_silent)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_reuse(events_max, true);
        check_reuse(events_max, false);
    }
}

Test(rule_08_no_ghosts, fresh_socket_in_the_slot_of_a_ready_one_is_silent)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b, fresh;

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_OUT, OLD);
        send_all(a, "x", 1);
        (void)rig_until_ready(&rig, OLD, PAL_OUT);
        rig_unwatch(&rig, b);
        assert_error(pal_sock_close(b), 0);
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &fresh), 0);
        rig_watch(&rig, fresh, PAL_IN | PAL_OUT, NEW);
        rig_silent(&rig, OLD, 5);
        rig_silent(&rig, NEW, 5);
        rig_unwatch(&rig, fresh);
        pair_close(a, fresh);
        rig_close(&rig);
    }
}

Test(rule_08_no_ghosts, op_on_a_reused_slot_gets_its_own_bytes)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        pal_sock a, b;
        struct pal_op op;
        char in[8];

        rig_open(&rig, events_max);
        for (int i = 0; i < 20; i++) {
            pair_open(PAIR_TCP4, &a, &b);
            op = op_recv(b, (uint64_t)(OP + i), in, sizeof(in));
            rig_submit(&rig, &op);
            if (i % 2 == 0) {
                (void)rig_turn(&rig, 0);
                rig_cancel(&rig, &op);
                assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
                send_all(a, "ghost", 5);
            } else {
                send_all(a, "own", 3);
                cr_assert_eq(rig_outcome(&rig, &op), 3);
                cr_assert_arr_eq(in, "own", 3);
            }
            pair_close(a, b);
        }
        cr_assert_eq(rig.kept_count, 0, "%d events more than ops", rig.kept_count);
        rig_close(&rig);
    }
}
