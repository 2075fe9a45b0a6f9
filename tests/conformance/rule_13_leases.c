/* Rule 13 for leases: a pool that is used up answers PAL_ENOBUFS, reports PAL_STARVED once a socket, then is silent
 * until enough leases are back; what had arrived meanwhile then arrives. Also what lease_send does when a socket is
 * full (rule 5: exactly the prefix that it counts is taken). */
#include "conformance.h"

enum { POOL = 4, READY = 6, LEASE_SIZE = 1024 };

static void lease_rig_open(struct rig *rig, uint32_t events_max, uint32_t count, uint32_t per_sock_max)
{
    struct pal_config config;

    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    config.lease_count = count;
    config.lease_size = LEASE_SIZE;
    config.leases_per_sock_max = per_sock_max;
    rig_open_config(rig, &config);
}

/* Six sockets with one message each, and what has become of them. */
struct fixture {
    struct rig rig;
    pal_sock a[READY], b[READY];
    struct pal_lease leases[READY + 1];
    int leased;         /* messages taken, in leases[] */
    int served[READY];  /* messages taken, by socket */
    int starved[READY]; /* STARVED events, by socket */
    int refused;        /* times that PAL_ENOBUFS was answered */
};

static void fixture_open(struct fixture *f, enum pair_kind kind, uint32_t events_max)
{
    memset(f, 0, sizeof(*f));
    lease_rig_open(&f->rig, events_max, POOL, 0);
    for (uint64_t i = 0; i < READY; i++) {
        char message[2] = {'m', (char)('0' + (int)i)};

        pair_open(kind, &f->a[i], &f->b[i]);
        send_all(f->b[i], message, sizeof(message));
        assert_error(pal_watch(f->rig.poll, f->a[i], PAL_IN | PAL_LEASE, i), 0);
    }
}

static void fixture_close(struct fixture *f)
{
    for (int i = 0; i < READY; i++) {
        assert_error(pal_watch(f->rig.poll, f->a[i], 0, 0), 0);
        pair_close(f->a[i], f->b[i]);
    }
    rig_close(&f->rig);
}

static void take_message(struct fixture *f, uint64_t index)
{
    int count = pal_lease_recv(f->a[index], &f->leases[f->leased], 1);

    if (count == PAL_ENOBUFS) {
        f->refused++;
        return;
    }
    if (count == PAL_EAGAIN) /* a spurious READY (rule 9) */
        return;
    cr_assert_eq(count, 1, "socket %d: %s", (int)index, pal_error_name(count));
    cr_assert_eq(f->leases[f->leased].size, 2);
    cr_assert_eq(f->leases[f->leased].data[1], '0' + (int)index, "somebody else's message");
    f->leased++;
    f->served[index]++;
}

/* One wait, and what a program would do with its events. Returns their count. */
static int turn(struct fixture *f)
{
    int count = rig_turn(&f->rig, MILLISECOND_NS);

    for (int i = 0; i < count; i++) {
        const struct pal_event *event = &f->rig.events[i];

        cr_assert_eq(event->kind, PAL_EV_READY);
        cr_assert_lt(event->data, READY, "an event of somebody else");
        if (event->ready & PAL_STARVED)
            f->starved[event->data]++;
        if (event->ready & PAL_IN)
            take_message(f, event->data);
    }
    return count;
}

/* Goes on until the pool is used up and the starved have been reported: they are two. */
static void starve(struct fixture *f)
{
    int starved = 0;

    for (int i = 0; i < 100 && starved < READY - POOL; i++) {
        (void)turn(f);
        starved = 0;
        for (int j = 0; j < READY; j++)
            starved += f->starved[j];
    }
    cr_assert_eq(f->leased, POOL, "%d leases of a pool of %d", f->leased, POOL);
    cr_assert_eq(starved, READY - POOL, "%d sockets are starved, %d were reported", READY - POOL, starved);
}

/* Waits return nothing, and none ends before its own deadline, as it would if the poll span. */
static void sleeps(struct rig *rig)
{
    for (int i = 0; i < 50; i++) {
        uint64_t deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS;

        cr_assert_eq(pal_poll_wait(rig->poll, &rig->events, deadline_ns), 0, "turn %d returns an event", i);
        cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns, "turn %d of a starved poll ends early: it spins", i);
    }
}

static void starvation_is_silent_and_ends(enum pair_kind kind, uint32_t events_max)
{
    struct fixture f;

    fixture_open(&f, kind, events_max);
    starve(&f);
    sleeps(&f.rig);
    for (int i = 0; i < READY; i++)
        cr_assert_eq(f.starved[i], f.served[i] == 0, "socket %d: STARVED %d times", i, f.starved[i]);
    pal_lease_release(f.rig.poll, f.leases, POOL);
    for (int i = 0; i < 100 && f.leased < READY; i++)
        (void)turn(&f);
    cr_assert_eq(f.leased, READY, "the starved sockets are not served after the release");
    for (int i = 0; i < READY; i++)
        cr_assert_eq(f.served[i], 1);
    pal_lease_release(f.rig.poll, f.leases + POOL, READY - POOL);
    fixture_close(&f);
}

Test(rule_13_leases, a_used_up_pool_is_reported_once_and_then_silent)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        starvation_is_silent_and_ends(PAIR_UNIX_STREAM, events_max);
        starvation_is_silent_and_ends(PAIR_TCP4, events_max);
        starvation_is_silent_and_ends(PAIR_UDP4, events_max);
    }
}

Test(rule_13_leases, leases_that_come_back_one_by_one_feed_the_starved)
{
    struct fixture f;

    fixture_open(&f, PAIR_UNIX_STREAM, 2);
    starve(&f);
    for (int i = 0; i < POOL; i++) {
        pal_lease_release(f.rig.poll, &f.leases[i], 1);
        (void)turn(&f);
    }
    for (int i = 0; i < 100 && f.leased < READY; i++)
        (void)turn(&f);
    cr_assert_eq(f.leased, READY, "%d messages of %d", f.leased, READY);
    pal_lease_release(f.rig.poll, f.leases + POOL, READY - POOL);
    fixture_close(&f);
}

Test(rule_13_leases, a_starved_socket_can_still_be_read_by_try)
{
    struct fixture f;
    char message[2];

    fixture_open(&f, PAIR_UNIX_STREAM, 256);
    starve(&f);
    for (int i = 0; i < READY; i++) {
        if (f.served[i] == 0)
            cr_assert_eq(pal_sock_recv(f.a[i], message, sizeof(message), 0), 2);
    }
    for (int i = 0; i < 5; i++)
        (void)turn(&f);
    pal_lease_release(f.rig.poll, f.leases, POOL);
    for (int i = 0; i < READY; i++) { /* nothing is there: at most a spurious READY */
        (void)pal_watch(f.rig.poll, f.a[i], 0, 0);
        cr_assert_eq(pal_sock_recv(f.a[i], message, sizeof(message), 0), PAL_EAGAIN);
    }
    fixture_close(&f);
}

Test(rule_13_leases, a_starved_socket_can_be_closed)
{
    struct fixture f;

    fixture_open(&f, PAIR_UNIX_STREAM, 256);
    starve(&f);
    for (uint64_t i = 0; i < READY; i++) {
        if (f.served[i] != 0)
            continue;
        assert_error(pal_watch(f.rig.poll, f.a[i], 0, 0), 0);
        pair_close(f.a[i], f.b[i]);
        pair_open(PAIR_UNIX_STREAM, &f.a[i], &f.b[i]);
        assert_error(pal_watch(f.rig.poll, f.a[i], PAL_IN, 1000 + i), 0);
    }
    pal_lease_release(f.rig.poll, f.leases, POOL);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(turn(&f), 0, "the starvation of a closed socket comes back to its successor");
    fixture_close(&f);
}

Test(rule_13_leases, reserving_from_a_used_up_pool_takes_all_or_none)
{
    struct rig rig;
    struct pal_lease leases[POOL + 1];

    lease_rig_open(&rig, 2, POOL, 0);
    assert_error(pal_lease_reserve(rig.poll, leases, POOL + 1, 1), PAL_ENOBUFS);
    assert_error(pal_lease_reserve(rig.poll, leases, 1, LEASE_SIZE + 1), PAL_EMSGSIZE);
    assert_error(pal_lease_reserve(rig.poll, leases, POOL, LEASE_SIZE), 0);
    assert_error(pal_lease_reserve(rig.poll, leases + POOL, 1, 1), PAL_ENOBUFS);
    pal_lease_release(rig.poll, leases, POOL);
    assert_error(pal_lease_reserve(rig.poll, leases, POOL, LEASE_SIZE), 0);
    pal_lease_release(rig.poll, leases, POOL);
    rig_close(&rig);
}

/* ---- one socket's share ---- */

enum { SHARE = 2 };

/* Takes what may be taken of a socket with more messages than its share. */
static void take_share(pal_sock sock, struct pal_lease *leases)
{
    int taken = 0, count = 0;

    while (taken < SHARE) {
        count = pal_lease_recv(sock, leases + taken, POOL - taken);
        cr_assert_gt(count, 0, "%d leases, then %s", taken, pal_error_name(count));
        taken += count;
    }
    cr_assert_eq(taken, SHARE, "%d leases, and the share is %d", taken, SHARE);
}

/* STARVED once for the socket with this data, and nothing else. */
static void starved_once(struct rig *rig, uint64_t data)
{
    int events = 0, starved = 0;

    for (int i = 0; i < 50; i++) {
        (void)rig_turn(rig, MILLISECOND_NS);
        if (rig_find(rig, data) != NULL) {
            events++;
            starved += (rig_find(rig, data)->ready & PAL_STARVED) != 0;
        }
    }
    cr_assert_eq(starved, 1, "STARVED %d times", starved);
    cr_assert_eq(events, 1, "%d events of a starved socket", events);
}

Test(rule_13_leases, a_socket_gets_its_share_and_leaves_the_rest_to_others)
{
    struct rig rig;
    struct pal_lease greedy[POOL], modest;
    pal_sock a, b, c, d;

    lease_rig_open(&rig, 256, POOL, SHARE);
    pair_open(PAIR_UDP4, &a, &b);
    pair_open(PAIR_UDP4, &c, &d);
    for (int i = 0; i < 2 * SHARE + 1; i++)
        send_all(b, "a", 1);
    assert_error(pal_watch(rig.poll, a, PAL_IN | PAL_LEASE, 1), 0);
    assert_error(pal_watch(rig.poll, c, PAL_IN | PAL_LEASE, 2), 0);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    take_share(a, greedy);
    assert_error(pal_lease_recv(a, greedy + SHARE, 1), PAL_ENOBUFS);
    starved_once(&rig, 1);
    send_all(d, "c", 1);
    (void)rig_until_ready(&rig, 2, PAL_IN);
    cr_assert_eq(pal_lease_recv(c, &modest, 1), 1, "another socket is starved as well");
    cr_assert_eq(modest.data[0], 'c');
    pal_lease_release(rig.poll, &modest, 1);
    pal_lease_release(rig.poll, greedy, SHARE);
    (void)rig_until_ready(&rig, 1, PAL_IN);
    take_share(a, greedy);
    pal_lease_release(rig.poll, greedy, SHARE);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    assert_error(pal_watch(rig.poll, c, 0, 0), 0);
    pair_close(a, b);
    pair_close(c, d);
    rig_close(&rig);
}

/* ---- sending into a full socket ---- */

enum { SEND_LEASES = 64 };

/* Fills leases [first, count) with bytes that number themselves from *next on. */
static void number_bytes(struct pal_lease *leases, int first, uint64_t *next)
{
    for (int i = first; i < SEND_LEASES; i++) {
        leases[i].size = LEASE_SIZE;
        for (uint32_t j = 0; j < LEASE_SIZE; j++)
            leases[i].data[j] = (uint8_t)((*next)++ % 251);
    }
}

static uint64_t bytes_left(const struct pal_lease *leases, int count)
{
    uint64_t size = 0;

    for (int i = 0; i < count; i++)
        size += leases[i].size;
    return size;
}

/* Reads to the end of the stream and checks that the bytes number themselves from 0 on; returns how many there are. */
static uint64_t read_numbered(pal_sock sock)
{
    static uint8_t bytes[65536];
    uint64_t total = 0;

    for (;;) {
        int32_t size;

        cr_assert(sock_until(sock, PAL_IN), "the stream does not end");
        size = pal_sock_recv(sock, bytes, sizeof(bytes), 0);
        cr_assert_geq(size, 0, "%s", pal_error_name(size));
        if (size == 0)
            return total;
        for (int32_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], (total + (uint64_t)i) % 251, "byte %d of the stream is wrong", (int)total + i);
        total += (uint64_t)size;
    }
}

/* Reserves leases; what has been sent may take a wait or two to come back. */
static void reserve(struct rig *rig, struct pal_lease *leases, int count)
{
    int error = pal_lease_reserve(rig->poll, leases, count, LEASE_SIZE);

    for (int i = 0; i < 500 && error == PAL_ENOBUFS; i++) {
        (void)rig_turn(rig, MILLISECOND_NS);
        error = pal_lease_reserve(rig->poll, leases, count, LEASE_SIZE);
    }
    assert_error(error, 0);
}

/* Sends leases until the socket takes none; returns the bytes that the seam says it has taken. */
static uint64_t send_until_full(struct rig *rig, pal_sock sock)
{
    struct pal_lease leases[SEND_LEASES];
    uint64_t taken = 0, next = 0;

    reserve(rig, leases, SEND_LEASES);
    number_bytes(leases, 0, &next);
    for (int i = 0; i < 100000; i++) {
        uint64_t before = bytes_left(leases, SEND_LEASES);
        int count = pal_lease_send(sock, leases, SEND_LEASES);

        if (count == PAL_EAGAIN) {
            cr_assert_eq(bytes_left(leases, SEND_LEASES), before, "PAL_EAGAIN, and yet something was taken");
            pal_lease_release(rig->poll, leases, SEND_LEASES);
            return taken;
        }
        cr_assert_geq(count, 0, "%s", pal_error_name(count));
        taken += before - bytes_left(leases + count, SEND_LEASES - count);
        memmove(leases, leases + count, (size_t)(SEND_LEASES - count) * sizeof(leases[0]));
        if (count > 0)
            reserve(rig, leases + SEND_LEASES - count, count);
        number_bytes(leases, SEND_LEASES - count, &next);
    }
    cr_assert(false, "a socket that never gets full");
    return taken;
}

static void lease_send_takes_what_it_counts(enum pair_kind kind)
{
    struct rig rig;
    pal_sock a, b;
    uint64_t taken;

    lease_rig_open(&rig, 2, SEND_LEASES, 0);
    pair_open(kind, &a, &b);
    assert_error(pal_watch(rig.poll, a, PAL_OUT, 1), 0);
    taken = send_until_full(&rig, a);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    assert_error(pal_sock_close(a), 0);
    assert_error(pal_flush(rig.poll), 0);
    cr_assert_eq(read_numbered(b), taken, "the reader got another number of bytes than the seam counted");
    assert_error(pal_sock_close(b), 0);
    rig_close(&rig);
}

Test(rule_13_leases, lease_send_into_a_full_tcp_socket_takes_the_prefix_that_it_counts)
{
    lease_send_takes_what_it_counts(PAIR_TCP4);
}

Test(rule_13_leases, lease_send_into_a_full_unix_socket_takes_the_prefix_that_it_counts)
{
    lease_send_takes_what_it_counts(PAIR_UNIX_STREAM);
}
