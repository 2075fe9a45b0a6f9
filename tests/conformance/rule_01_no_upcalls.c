/* rule_01_no_upcalls.c: rule 1: everything arrives through the array that pal_poll_wait returns. The array is the
 * backend's, holds at most events_max events, and stays as it is to the next wait of this poll, but for what pal_watch
 * and close do to the event of their own socket (rule 8). */
#include "conformance.h"

enum { PAIR_COUNT = 3, FIRST = 10, OTHER = 90 };

struct pairs {
    pal_sock a[PAIR_COUNT], b[PAIR_COUNT];
};

static void pairs_open(struct pairs *pairs)
{
    for (int i = 0; i < PAIR_COUNT; i++)
        pair_open(PAIR_TCP4, &pairs->a[i], &pairs->b[i]);
}

static void pairs_close(struct pairs *pairs)
{
    for (int i = 0; i < PAIR_COUNT; i++)
        pair_close(pairs->a[i], pairs->b[i]);
}

/* Watches every b, makes all of them readable and waits until one is reported: FIRST plus its number. */
static void pairs_report(struct rig *rig, struct pairs *pairs)
{
    for (int i = 0; i < PAIR_COUNT; i++) {
        rig_watch(rig, pairs->b[i], PAL_IN, (uint64_t)(FIRST + i));
        send_all(pairs->a[i], "x", 1);
        cr_assert(sock_until(pairs->b[i], PAL_IN), "the byte never arrives");
    }
    (void)rig_until(rig, FIRST, PAL_EV_READY);
}

static void pairs_unwatch(struct rig *rig, struct pairs *pairs)
{
    for (int i = 0; i < PAIR_COUNT; i++)
        rig_unwatch(rig, pairs->b[i]);
}

struct snapshot {
    struct pal_event events[2 * PAIR_COUNT];
    int count;
};

static struct snapshot snapshot_of(const struct rig *rig)
{
    struct snapshot snapshot;

    cr_assert_leq(rig->count, 2 * PAIR_COUNT, "more events than there are sources");
    snapshot.count = rig->count;
    memcpy(snapshot.events, rig->events, (size_t)rig->count * sizeof(snapshot.events[0]));
    return snapshot;
}

static void assert_unchanged(const struct rig *rig, const struct snapshot *before)
{
    size_t size = (size_t)before->count * sizeof(before->events[0]);

    cr_assert_eq(memcmp(before->events, rig->events, size), 0, "the array changed before the next wait");
}

Test(rule_01_no_upcalls, array_is_unchanged_by_traffic_and_by_other_sockets)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pairs pairs;
        struct snapshot before;
        pal_sock a, b;
        char byte;

        rig_open(&rig, events_max);
        pairs_open(&pairs);
        pairs_report(&rig, &pairs);
        before = snapshot_of(&rig);
        for (int i = 0; i < PAIR_COUNT; i++) {
            cr_assert_eq(pal_sock_recv(pairs.b[i], &byte, 1, 0), 1);
            cr_assert_eq(pal_sock_send(pairs.b[i], "y", 1, 0), 1);
        }
        pair_open(PAIR_TCP4, &a, &b);
        rig_watch(&rig, b, PAL_IN | PAL_OUT, OTHER);
        rig_watch(&rig, b, PAL_OUT, OTHER);
        rig_unwatch(&rig, b);
        pair_close(a, b);
        assert_unchanged(&rig, &before);
        pairs_unwatch(&rig, &pairs);
        pairs_close(&pairs);
        rig_close(&rig);
    }
}

Test(rule_01_no_upcalls, array_is_unchanged_by_ops_wakes_and_flushes)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pairs pairs;
        struct snapshot before;
        struct pal_op op;
        pal_sock a, b;
        char bytes[8];

        rig_open(&rig, events_max);
        pairs_open(&pairs);
        pair_open(PAIR_TCP4, &a, &b);
        pairs_report(&rig, &pairs);
        before = snapshot_of(&rig);
        op = op_recv(b, OTHER, bytes, sizeof(bytes));
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        assert_error(pal_poll_wake(rig.poll), 0);
        assert_error(pal_flush(rig.poll), 0);
        cr_assert_eq(sock_until(pairs.b[0], PAL_IN), PAL_IN);
        assert_unchanged(&rig, &before);
        assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
        pairs_unwatch(&rig, &pairs);
        pair_close(a, b);
        pairs_close(&pairs);
        rig_close(&rig);
    }
}

Test(rule_01_no_upcalls, array_is_unchanged_by_another_poll)
{
    struct rig rig, other;
    struct pairs pairs, others;
    struct snapshot before;

    rig_open(&rig, 256);
    rig_open(&other, 256);
    pairs_open(&pairs);
    pairs_open(&others);
    pairs_report(&rig, &pairs);
    before = snapshot_of(&rig);
    pairs_report(&other, &others);
    pairs_unwatch(&other, &others);
    assert_unchanged(&rig, &before);
    pairs_unwatch(&rig, &pairs);
    pairs_close(&others);
    pairs_close(&pairs);
    rig_close(&other);
    rig_close(&rig);
}

Test(rule_01_no_upcalls, completion_is_not_delivered_before_a_wait)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_op op;
        pal_sock a, b;
        char bytes[8];

        rig_open(&rig, events_max);
        pair_open(PAIR_TCP4, &a, &b);
        op = op_recv(b, FIRST, bytes, sizeof(bytes));
        rig_submit(&rig, &op);
        send_all(a, "abc", 3);
        cr_assert_eq(sock_until(a, PAL_OUT), PAL_OUT);
        assert_error(pal_flush(rig.poll), 0);
        assert_error(pal_sock_close(b), PAL_EBUSY);
        cr_assert_eq(rig_outcome(&rig, &op), 3);
        cr_assert_arr_eq(bytes, "abc", 3);
        pair_close(a, b);
        rig_close(&rig);
    }
}

/* ---- hole 55: one kernel event can end a reader op and a writer op, two entries of the array ---- */

struct duplex {
    struct pal_op reader, writer;
    pal_sock a, b;
    char in[4];
};

enum { READERS = 100, WRITERS = 200, OUT_SIZE = 1 << 16 };

/* A socket that is full and empty, with an op for each direction. */
static void duplex_open(struct rig *rig, struct duplex *duplex, int number)
{
    static const char out[OUT_SIZE] = {0};

    pair_open(pair_kind_bounded(), &duplex->a, &duplex->b);
    (void)fill(duplex->b);
    duplex->reader = op_recv(duplex->b, (uint64_t)(READERS + number), duplex->in, sizeof(duplex->in));
    duplex->writer = op_send(duplex->b, (uint64_t)(WRITERS + number), out, 1);
    rig_submit(rig, &duplex->reader);
    rig_submit(rig, &duplex->writer);
}

static void check_duplex(uint32_t events_max)
{
    struct rig rig;
    struct duplex duplex[PAIR_COUNT];
    pal_sock a, b;

    rig_open(&rig, events_max);
    pair_open(PAIR_TCP4, &a, &b);
    for (int i = 0; i < PAIR_COUNT; i++)
        duplex_open(&rig, &duplex[i], i);
    rig_watch(&rig, b, PAL_OUT, OTHER); /* takes a place in every array */
    for (int i = 0; i < PAIR_COUNT; i++) {
        send_all(duplex[i].a, "in", 2);
        (void)drain(duplex[i].a);
    }
    for (int i = 0; i < PAIR_COUNT; i++) {
        cr_assert_eq(rig_outcome(&rig, &duplex[i].reader), 2);
        cr_assert_eq(rig_outcome(&rig, &duplex[i].writer), 1);
    }
    for (int i = 0; i < PAIR_COUNT; i++) {
        rig_silent(&rig, (uint64_t)(READERS + i), 3);
        rig_silent(&rig, (uint64_t)(WRITERS + i), 3);
        pair_close(duplex[i].a, duplex[i].b);
    }
    rig_unwatch(&rig, b);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_01_no_upcalls, smallest_array_delivers_a_reader_and_a_writer_that_end_together)
{
    for (uint32_t events_max = 2; events_max <= 5; events_max++)
        check_duplex(events_max);
    check_duplex(256);
}

Test(rule_01_no_upcalls, wait_never_returns_more_than_events_max)
{
    struct rig rig;
    struct duplex duplex[PAIR_COUNT];
    int count = 0;

    rig_open(&rig, 3);
    for (int i = 0; i < PAIR_COUNT; i++)
        duplex_open(&rig, &duplex[i], i);
    for (int i = 0; i < PAIR_COUNT; i++) {
        send_all(duplex[i].a, "in", 2);
        (void)drain(duplex[i].a);
    }
    for (int i = 0; i < 100 && count < 2 * PAIR_COUNT; i++) {
        cr_assert_leq(rig_turn(&rig, MILLISECOND_NS), 3);
        count += rig.count;
    }
    cr_assert_eq(count, 2 * PAIR_COUNT, "%d ops have ended, not %d", count, 2 * PAIR_COUNT);
    for (int i = 0; i < PAIR_COUNT; i++)
        pair_close(duplex[i].a, duplex[i].b);
    rig_close(&rig);
}
