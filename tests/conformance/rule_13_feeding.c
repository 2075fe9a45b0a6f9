/* Rule 13, how starvation ends: a socket that was reported as PAL_STARVED is fed when leases come back, whoever holds
 * the others and for what; its share counts what was lent through it on this poll, and nothing of another life or
 * another poll. Shown by what arrives, never by when. */
#include "conformance.h"

enum { POOL = 8, SHARE = 2, LEASE_SIZE = 64, WATCH = 1, OTHER = 2 };

static void lease_rig_open(struct rig *rig, uint32_t events_max, uint32_t lease_count, uint32_t share)
{
    struct pal_config config;

    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    config.lease_count = lease_count;
    config.lease_size = LEASE_SIZE;
    config.leases_per_sock_max = share;
    rig_open_config(rig, &config);
}

/* Sends messages of one byte each, of which every one takes a lease. */
static void send_messages(pal_sock sock, int count)
{
    for (int i = 0; i < count; i++)
        send_all(sock, "m", 1);
}

/* Takes exactly so many messages, one lease each; waits for each of them. */
static void take(struct rig *rig, pal_sock sock, uint64_t data, struct pal_lease *leases, int count)
{
    for (int taken = 0; taken < count;) {
        int result;

        (void)rig_until_ready(rig, data, PAL_IN);
        result = pal_lease_recv(sock, leases + taken, 1);
        if (result == PAL_EAGAIN) /* a spurious READY (rule 9) */
            continue;
        cr_assert_eq(result, 1, "after %d leases of %d: %s", taken, count, pal_error_name(result));
        taken++;
    }
}

/* Another lease is refused, and a wait says so; then there is silence. */
static void starve(struct rig *rig, pal_sock sock, uint64_t data)
{
    struct pal_lease refused;

    assert_error(pal_lease_recv(sock, &refused, 1), PAL_ENOBUFS);
    (void)rig_until_ready(rig, data, PAL_STARVED);
    rig_silent(rig, data, 3);
}

static void unwatch_and_close(struct rig *rig, pal_sock a, pal_sock b)
{
    rig_unwatch(rig, a);
    pair_close(a, b);
}

/* ---- who holds the leases ---- */

Test(rule_13_feeding, leases_that_stay_reserved_do_not_keep_a_socket_starved)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease reserved[POOL - 1], lease;
        pal_sock a, b;

        lease_rig_open(&rig, events_max, POOL, 0);
        assert_error(pal_lease_reserve(rig.poll, reserved, POOL - 1, 1), 0);
        pair_open(PAIR_UDP4, &a, &b);
        send_messages(b, 3);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        for (int i = 0; i < 2; i++) { /* what was fed can starve and be fed again */
            take(&rig, a, WATCH, &lease, 1);
            starve(&rig, a, WATCH);
            pal_lease_release(rig.poll, &lease, 1);
        }
        take(&rig, a, WATCH, &lease, 1);
        pal_lease_release(rig.poll, &lease, 1);
        pal_lease_release(rig.poll, reserved, POOL - 1);
        unwatch_and_close(&rig, a, b);
        rig_close(&rig);
    }
}

Test(rule_13_feeding, reserved_leases_that_come_back_feed_a_socket)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease reserved[POOL], lease;
        pal_sock a, b;

        lease_rig_open(&rig, events_max, POOL, 0);
        assert_error(pal_lease_reserve(rig.poll, reserved, POOL, 1), 0);
        pair_open(PAIR_UDP4, &a, &b);
        send_messages(b, 1);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        (void)rig_until_ready(&rig, WATCH, PAL_IN | PAL_STARVED);
        assert_error(pal_lease_recv(a, &lease, 1), PAL_ENOBUFS);
        for (int i = 0; i < 3; i++)
            (void)rig_turn(&rig, MILLISECOND_NS); /* may tell the starvation */
        rig_silent(&rig, WATCH, 3);
        pal_lease_release(rig.poll, reserved, POOL);
        take(&rig, a, WATCH, &lease, 1);
        pal_lease_release(rig.poll, &lease, 1);
        unwatch_and_close(&rig, a, b);
        rig_close(&rig);
    }
}

Test(rule_13_feeding, lease_that_comes_back_and_is_reserved_again_feeds_nobody)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease reserved[POOL], lease;
        pal_sock a, b;

        lease_rig_open(&rig, events_max, POOL, 0);
        assert_error(pal_lease_reserve(rig.poll, reserved, POOL - 1, 1), 0);
        pair_open(PAIR_UDP4, &a, &b);
        send_messages(b, 2);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        take(&rig, a, WATCH, &lease, 1);
        starve(&rig, a, WATCH);
        pal_lease_release(rig.poll, &lease, 1);
        assert_error(pal_lease_reserve(rig.poll, &reserved[POOL - 1], 1, 1), 0);
        rig_silent(&rig, WATCH, 3);
        pal_lease_release(rig.poll, reserved, POOL);
        take(&rig, a, WATCH, &lease, 1);
        pal_lease_release(rig.poll, &lease, 1);
        unwatch_and_close(&rig, a, b);
        rig_close(&rig);
    }
}

/* ---- edges ---- */

static void edge_triggered_socket_is_fed(uint32_t events_max)
{
    struct rig rig;
    struct pal_lease lease;
    pal_sock a, b;
    int result;

    lease_rig_open(&rig, events_max, 1, 0);
    pair_open(PAIR_UDP4, &a, &b);
    result = pal_watch(rig.poll, a, PAL_IN | PAL_LEASE | PAL_EDGE, WATCH);
    if (result == PAL_ENOTSUP) {
        cr_assert_neq(pal_reason()[0], '\0');
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH); /* the refusal has left nothing behind */
    } else {
        cr_assert(has_caps(PAL_CAP_EDGE), "without the capability: %s", pal_error_name(result));
        assert_error(result, 0);
    }
    send_messages(b, 2);
    (void)rig_until_ready(&rig, WATCH, PAL_IN);
    cr_assert_eq(pal_lease_recv(a, &lease, 1), 1);
    assert_error(pal_lease_recv(a, &lease, 1), PAL_ENOBUFS);
    (void)rig_until_ready(&rig, WATCH, PAL_STARVED);
    pal_lease_release(rig.poll, &lease, 1);
    (void)rig_until_ready(&rig, WATCH, PAL_IN);
    cr_assert_eq(pal_lease_recv(a, &lease, 1), 1);
    pal_lease_release(rig.poll, &lease, 1);
    unwatch_and_close(&rig, a, b);
    rig_close(&rig);
}

Test(rule_13_feeding, edge_triggered_socket_that_starves_is_fed_or_refused_from_the_start)
{
    FOR_EACH_EVENTS_MAX(events_max)
    edge_triggered_socket_is_fed(events_max);
}

/* ---- one socket's share ---- */

Test(rule_13_feeding, socket_at_its_share_is_fed_by_its_own_leases_only)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease leases[SHARE], other;
        pal_sock a, b, c, d;

        lease_rig_open(&rig, events_max, POOL, SHARE);
        pair_open(PAIR_UDP4, &a, &b);
        pair_open(PAIR_UDP4, &c, &d);
        send_messages(b, SHARE + 1);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        rig_watch(&rig, c, PAL_IN | PAL_LEASE, OTHER);
        take(&rig, a, WATCH, leases, SHARE);
        starve(&rig, a, WATCH);
        send_messages(d, 1);
        take(&rig, c, OTHER, &other, 1);
        pal_lease_release(rig.poll, &other, 1);
        rig_silent(&rig, WATCH, 3);
        pal_lease_release(rig.poll, &leases[0], 1);
        take(&rig, a, WATCH, &leases[0], 1);
        pal_lease_release(rig.poll, leases, SHARE);
        unwatch_and_close(&rig, a, b);
        unwatch_and_close(&rig, c, d);
        rig_close(&rig);
    }
}

Test(rule_13_feeding, leases_of_a_closed_socket_are_not_counted_against_the_next)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease old[SHARE], leases[SHARE];
        pal_sock a, b;

        lease_rig_open(&rig, events_max, POOL, SHARE);
        pair_open(PAIR_UDP4, &a, &b);
        send_messages(b, SHARE);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        take(&rig, a, WATCH, old, SHARE);
        unwatch_and_close(&rig, a, b);
        pair_open(PAIR_UDP4, &a, &b); /* likely in the place of the closed ones */
        send_messages(b, SHARE + 1);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, OTHER);
        take(&rig, a, OTHER, leases, SHARE);
        pal_lease_release(rig.poll, old, SHARE); /* is no room for the new one, which is at its share */
        starve(&rig, a, OTHER);
        pal_lease_release(rig.poll, leases, SHARE);
        take(&rig, a, OTHER, leases, 1);
        pal_lease_release(rig.poll, leases, 1);
        unwatch_and_close(&rig, a, b);
        rig_close(&rig);
    }
}

/* ---- sockets that move ---- */

static void skip_without_moves(void)
{
    if (!has_caps(PAL_CAP_MOVE))
        test_skip("move", "sockets of this backend stay on their poll");
}

/* Two polls; a has been lent its share by the first, and is watched by the second. */
struct move {
    struct rig first, second;
    pal_sock a, b;
    struct pal_lease old[SHARE]; /* of the first poll */
};

static void move_open(struct move *move, uint32_t events_max)
{
    lease_rig_open(&move->first, events_max, POOL, SHARE);
    lease_rig_open(&move->second, events_max, POOL, SHARE);
    pair_open(PAIR_UDP4, &move->a, &move->b);
    send_messages(move->b, 2 * SHARE + 2);
    rig_watch(&move->first, move->a, PAL_IN | PAL_LEASE, WATCH);
    take(&move->first, move->a, WATCH, move->old, SHARE);
    rig_unwatch(&move->first, move->a);
    rig_watch(&move->second, move->a, PAL_IN | PAL_LEASE, OTHER);
}

static void move_close(struct move *move)
{
    unwatch_and_close(&move->second, move->a, move->b);
    rig_close(&move->second);
    rig_close(&move->first);
}

Test(rule_13_feeding, moved_socket_has_its_whole_share_once_its_old_leases_are_back)
{
    skip_without_moves();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct move move;
        struct pal_lease leases[SHARE];

        move_open(&move, events_max);
        pal_lease_release(move.first.poll, move.old, SHARE);
        take(&move.second, move.a, OTHER, leases, SHARE);
        starve(&move.second, move.a, OTHER);
        pal_lease_release(move.second.poll, &leases[0], 1);
        take(&move.second, move.a, OTHER, &leases[0], 1);
        starve(&move.second, move.a, OTHER);
        pal_lease_release(move.second.poll, leases, SHARE);
        take(&move.second, move.a, OTHER, leases, 1);
        pal_lease_release(move.second.poll, leases, 1);
        move_close(&move);
    }
}

Test(rule_13_feeding, leases_from_before_a_socket_moved_away_and_back_are_no_room_in_its_share)
{
    skip_without_moves();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct move move;
        struct pal_lease leases[SHARE];

        move_open(&move, events_max);
        rig_unwatch(&move.second, move.a);
        rig_watch(&move.first, move.a, PAL_IN | PAL_LEASE, WATCH);
        take(&move.first, move.a, WATCH, leases, SHARE);
        pal_lease_release(move.first.poll, move.old, SHARE);
        starve(&move.first, move.a, WATCH);
        pal_lease_release(move.first.poll, leases, SHARE);
        take(&move.first, move.a, WATCH, leases, 1);
        pal_lease_release(move.first.poll, leases, 1);
        rig_unwatch(&move.first, move.a);
        move_close(&move);
    }
}

Test(rule_13_feeding, moved_socket_is_fed_when_leases_of_the_poll_it_left_come_back)
{
    skip_without_moves();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct move move;
        struct pal_lease leases[SHARE];
        int held;

        move_open(&move, events_max);
        (void)rig_until_ready(&move.second, OTHER, PAL_IN);
        held = pal_lease_recv(move.a, leases, 1);
        if (held == PAL_ENOBUFS) { /* the old leases are of its share */
            held = 0;
            (void)rig_until_ready(&move.second, OTHER, PAL_STARVED);
            rig_silent(&move.second, OTHER, 3);
        }
        cr_assert_geq(held, 0, "%s", pal_error_name(held));
        pal_lease_release(move.first.poll, move.old, SHARE);
        take(&move.second, move.a, OTHER, leases + held, SHARE - held);
        starve(&move.second, move.a, OTHER);
        pal_lease_release(move.second.poll, leases, SHARE);
        move_close(&move);
    }
}

/* A socket that starves, then becomes writable and so fires once. */
static void starve_and_fire(struct rig *rig, pal_sock *a, pal_sock *b, struct pal_lease *held)
{
    struct pal_lease refused;

    assert_error(pal_lease_reserve(rig->poll, held, 1, 1), 0);
    pair_open(pair_kind_bounded(), a, b);
    (void)fill(*a);
    send_messages(*b, 1);
    rig_watch(rig, *a, PAL_IN | PAL_OUT | PAL_LEASE | PAL_ONCE, WATCH);
    assert_error(pal_lease_recv(*a, &refused, 1), PAL_ENOBUFS);
    (void)rig_until_ready(rig, WATCH, PAL_STARVED);
    (void)drain(*b);
    (void)rig_until_ready(rig, WATCH, PAL_OUT);
}

Test(rule_13_feeding, starved_socket_whose_once_is_used_up_is_idle)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig first, second;
        struct pal_lease held;
        pal_sock a, b, others[4];

        lease_rig_open(&first, events_max, 1, 0);
        lease_rig_open(&second, events_max, 1, 0);
        starve_and_fire(&first, &a, &b, &held);
        if (has_caps(PAL_CAP_MOVE)) {
            rig_watch(&second, a, PAL_IN, OTHER);
            (void)rig_until_ready(&second, OTHER, PAL_IN);
            rig_unwatch(&second, a);
        }
        pair_close(a, b);
        pal_lease_release(first.poll, &held, 1);
        starve_and_fire(&first, &a, &b, &held);
        pair_close(a, b);
        pal_lease_release(first.poll, &held, 1); /* to whom would it be fed? */
        assert_error(pal_lease_reserve(first.poll, &held, 1, 1), 0);
        rig_silent(&first, WATCH, 3);
        for (int i = 0; i < 4; i += 2) /* in the places of those that are gone */
            pair_open(PAIR_UDP4, &others[i], &others[i + 1]);
        pal_lease_release(first.poll, &held, 1);
        rig_silent(&first, WATCH, 3);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < i; j++)
                cr_assert_neq(others[i].id, others[j].id, "a handle is given twice");
        pair_close(others[0], others[1]);
        pair_close(others[2], others[3]);
        rig_close(&second);
        rig_close(&first);
    }
}

Test(rule_13_feeding, starved_socket_that_moves_is_fed_by_its_new_poll)
{
    skip_without_moves();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig first, second;
        struct pal_lease old, lease;
        pal_sock a, b;

        lease_rig_open(&first, events_max, 1, 0);
        lease_rig_open(&second, events_max, 1, 0);
        pair_open(PAIR_UDP4, &a, &b);
        send_messages(b, 2);
        rig_watch(&first, a, PAL_IN | PAL_LEASE, WATCH);
        take(&first, a, WATCH, &old, 1);
        starve(&first, a, WATCH);
        rig_unwatch(&first, a);
        rig_watch(&second, a, PAL_IN | PAL_LEASE, OTHER);
        take(&second, a, OTHER, &lease, 1);
        pal_lease_release(first.poll, &old, 1);
        rig_silent(&first, WATCH, 3);
        pal_lease_release(second.poll, &lease, 1);
        unwatch_and_close(&second, a, b);
        rig_close(&second);
        rig_close(&first);
    }
}

/* ---- a socket that was idle in between ---- */

Test(rule_13_feeding, lease_kept_while_its_socket_was_idle_is_no_debt_afterwards)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_lease kept, next;
        pal_sock a, b;

        lease_rig_open(&rig, events_max, POOL, 0);
        pair_open(PAIR_UNIX_STREAM, &a, &b);
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        send_messages(b, 1);
        take(&rig, a, WATCH, &kept, 1);
        rig_unwatch(&rig, a);
        send_messages(b, 1);
        rig_silent(&rig, WATCH, 2); /* the data comes while nobody watches */
        rig_watch(&rig, a, PAL_IN | PAL_LEASE, WATCH);
        pal_lease_release(rig.poll, &kept, 1);
        take(&rig, a, WATCH, &next, 1);
        pal_lease_release(rig.poll, &next, 1);
        unwatch_and_close(&rig, a, b);
        rig_close(&rig);
    }
}
