/* Rule 18: the backend rotates what it reports, so that with more ready sockets than an array holds each has
 * its turn. */
#include "conformance.h"

enum { SOCKS = 64, TURNS_MAX = 4 * SOCKS };

struct crowd {
    struct rig rig;
    pal_sock a[SOCKS], b[SOCKS];
};

/* Connected sockets, each with a byte to read. */
static void crowd_open(struct crowd *crowd, uint32_t events_max, enum pair_kind kind)
{
    rig_open(&crowd->rig, events_max);
    for (int i = 0; i < SOCKS; i++) {
        pair_open(kind, &crowd->a[i], &crowd->b[i]);
        send_all(crowd->b[i], "x", 1);
    }
}

static void crowd_watch(struct crowd *crowd, uint32_t interest)
{
    for (uint64_t i = 0; i < SOCKS; i++)
        assert_error(pal_watch(crowd->rig.poll, crowd->a[i], interest, 100 + i), 0);
}

static void crowd_close(struct crowd *crowd)
{
    for (int i = 0; i < SOCKS; i++) {
        assert_error(pal_watch(crowd->rig.poll, crowd->a[i], 0, 0), 0);
        pair_close(crowd->a[i], crowd->b[i]);
    }
    rig_close(&crowd->rig);
}

/* Every socket of the crowd is reported within the bound, though none is read. */
static void all_are_reported(struct crowd *crowd)
{
    bool seen[SOCKS] = {false};
    int missing = SOCKS;

    for (int turn = 0; turn < TURNS_MAX && missing > 0; turn++) {
        (void)rig_turn(&crowd->rig, MILLISECOND_NS);
        for (int i = 0; i < crowd->rig.count; i++) {
            uint64_t index = crowd->rig.events[i].data - 100;

            cr_assert_lt(index, SOCKS);
            missing -= !seen[index];
            seen[index] = true;
        }
    }
    cr_assert_eq(missing, 0, "%d of %d ready sockets are never reported", missing, SOCKS);
}

Test(rule_18_fairness, sixty_four_ready_sockets_are_all_reported)
{
    static const enum pair_kind kinds[] = {PAIR_UNIX_STREAM, PAIR_TCP4, PAIR_UDP4};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        FOR_EACH_EVENTS_MAX(events_max)
        {
            struct crowd crowd;

            crowd_open(&crowd, events_max, kinds[i]);
            crowd_watch(&crowd, PAL_IN);
            for (int round = 0; round < 3; round++)
                all_are_reported(&crowd);
            crowd_close(&crowd);
        }
    }
}

Test(rule_18_fairness, a_socket_that_is_always_ready_leaves_room_for_the_others)
{
    struct crowd crowd;
    bool served[SOCKS] = {false};
    int missing = SOCKS - 4;

    crowd_open(&crowd, 2, PAIR_UNIX_STREAM);
    crowd_watch(&crowd, PAL_IN);
    for (int turn = 0; turn < TURNS_MAX && missing > 0; turn++) { /* four are never read, the others at once */
        (void)rig_turn(&crowd.rig, MILLISECOND_NS);
        for (int i = 0; i < crowd.rig.count; i++) {
            uint64_t index = crowd.rig.events[i].data - 100;
            char byte;

            if (index < 4 || served[index])
                continue;
            cr_assert_eq(pal_sock_recv(crowd.a[index], &byte, 1, 0), 1);
            served[index] = true;
            missing--;
        }
    }
    cr_assert_eq(missing, 0, "%d sockets are not served beside four that stay ready", missing);
    crowd_close(&crowd);
}

Test(rule_18_fairness, sockets_that_are_only_writable_have_their_turn_too)
{
    struct crowd crowd;

    crowd_open(&crowd, 2, PAIR_UNIX_STREAM);
    crowd_watch(&crowd, PAL_OUT);
    all_are_reported(&crowd);
    crowd_close(&crowd);
}

Test(rule_18_fairness, sixty_four_ops_that_can_end_all_end)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct crowd crowd;
        struct pal_op ops[SOCKS];
        char bytes[SOCKS];
        int ended = 0;

        crowd_open(&crowd, events_max, PAIR_TCP4);
        for (uint64_t i = 0; i < SOCKS; i++) {
            ops[i] = op_recv(crowd.a[i], 100 + i, &bytes[i], 1);
            assert_error(pal_submit(crowd.rig.poll, &ops[i]), 0);
        }
        for (int turn = 0; turn < TURNS_MAX && ended < SOCKS; turn++) {
            (void)rig_turn(&crowd.rig, MILLISECOND_NS);
            ended = crowd.rig.kept_count;
        }
        cr_assert_eq(ended, SOCKS, "%d of %d ops end", ended, SOCKS);
        for (int i = 0; i < SOCKS; i++)
            cr_assert_eq(rig_kept(&crowd.rig, 100 + (uint64_t)i), 1, "op %d ends %d times", i,
                         rig_kept(&crowd.rig, 100 + (uint64_t)i));
        crowd_close(&crowd);
    }
}

Test(rule_18_fairness, a_reader_and_a_writer_that_end_together_fit_the_smallest_array)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        static char out[SOCKS][1024];
        static char bulk[1 << 20];
        struct crowd crowd;
        struct pal_op readers[SOCKS], writers[SOCKS];
        char in[SOCKS];

        crowd_open(&crowd, events_max, PAIR_UNIX_STREAM);
        for (uint64_t i = 0; i < SOCKS; i++) {
            (void)fill(crowd.a[i]);
            readers[i] = op_recv(crowd.a[i], 100 + i, &in[i], 1);
            writers[i] = op_send(crowd.a[i], 200 + i, out[i], sizeof(out[i]));
            assert_error(pal_submit(crowd.rig.poll, &writers[i]), 0);
            assert_error(pal_submit(crowd.rig.poll, &readers[i]), 0);
        }
        for (int i = 0; i < SOCKS; i++) {
            while (pal_sock_recv(crowd.b[i], bulk, sizeof(bulk), 0) > 0)
                continue;
        }
        for (int turn = 0; turn < TURNS_MAX && crowd.rig.kept_count < 2 * SOCKS; turn++) {
            cr_assert_leq(rig_turn(&crowd.rig, MILLISECOND_NS), (int)events_max);
        }
        cr_assert_eq(crowd.rig.kept_count, 2 * SOCKS, "%d of %d ops end", crowd.rig.kept_count, 2 * SOCKS);
        crowd_close(&crowd);
    }
}

/* What is woken and what is ready take turns each by themselves: a poll that is woken before every wait tells an op all
 * the same. */
Test(rule_18_fairness, an_op_beside_a_ready_watch_ends_though_each_wait_is_woken)
{
    for (int kind = 0; kind < PAIR_KINDS; kind++) {
        struct rig rig;
        pal_sock a, b;
        char byte;

        if (!pair_available((enum pair_kind)kind))
            continue;
        rig_open(&rig, 2);
        pair_open((enum pair_kind)kind, &a, &b);
        rig_watch(&rig, a, PAL_OUT, 1);
        struct pal_op op = op_recv(a, 7, &byte, 1);
        rig_submit(&rig, &op);
        cr_assert_eq(pal_sock_send(b, "x", 1, 0), 1);
        for (int turn = 0; turn < TURNS_MAX && rig_kept(&rig, 7) == 0; turn++) {
            assert_error(pal_poll_wake(rig.poll), 0);
            (void)rig_turn(&rig, MILLISECOND_NS);
            rig.kept_count = rig_kept(&rig, 7) ? rig.kept_count : 0;
        }
        cr_assert_eq(rig_kept(&rig, 7), 1, "kind %d: the op is not told in %d waits", kind, TURNS_MAX);
        rig_unwatch(&rig, a);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* Two handles of one socket, both watched: with room for few events each has its turn. */
Test(rule_18_fairness, duplicates_of_a_ready_socket_are_all_reported)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UNIX_STREAM};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct rig rig;
        pal_sock a, b, twins[3];
        bool seen[3] = {false};

        rig_open(&rig, 2);
        pair_open(kinds[i], &a, &b);
        for (uint64_t j = 0; j < 3; j++) {
            assert_error(pal_sock_dup(a, &twins[j]), 0);
            rig_watch(&rig, twins[j], PAL_OUT, j);
        }
        for (int turn = 0; turn < 64; turn++) {
            (void)rig_turn(&rig, MILLISECOND_NS);
            for (int j = 0; j < rig.count; j++)
                seen[rig.events[j].data] = true;
        }
        cr_assert(seen[0] && seen[1] && seen[2], "kind %d: %d %d %d", (int)i, seen[0], seen[1], seen[2]);
        for (int j = 0; j < 3; j++) {
            rig_unwatch(&rig, twins[j]);
            assert_error(pal_sock_close(twins[j]), 0);
        }
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* And what they take of the array is not always taken from the same others. */
Test(rule_18_fairness, a_socket_beside_one_of_two_handles_is_reported)
{
    static const enum pair_kind kinds[] = {PAIR_TCP4, PAIR_UDP4, PAIR_UNIX_STREAM};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct rig rig;
        pal_sock a, b, twin, other, far_end;
        bool seen = false;

        rig_open(&rig, 2);
        pair_open(kinds[i], &a, &b);
        pair_open(kinds[i], &other, &far_end);
        assert_error(pal_sock_dup(a, &twin), 0);
        rig_watch(&rig, a, PAL_OUT, 1);
        rig_watch(&rig, twin, PAL_OUT, 2);
        rig_watch(&rig, other, PAL_OUT, 3);
        for (int turn = 0; turn < 64 && !seen; turn++) {
            (void)rig_turn(&rig, MILLISECOND_NS);
            for (int j = 0; j < rig.count; j++)
                seen |= rig.events[j].data == 3;
        }
        cr_assert(seen, "kind %d", (int)i);
        rig_unwatch(&rig, a);
        rig_unwatch(&rig, twin);
        rig_unwatch(&rig, other);
        assert_error(pal_sock_close(twin), 0);
        pair_close(a, b);
        pair_close(other, far_end);
        rig_close(&rig);
    }
}
