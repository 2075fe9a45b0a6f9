/* test_backend_lease.c: leases of a card's datagram sockets are its packet buffers, without a copy where that can be;
 * and copies where it cannot: short leases, a program that keeps what it has. Streams: test_backend_streams.c. */
#include "lease_rig.h"
#include <pthread.h>

TestSuite(dpdk_lease, .timeout = 120);

/* ---- datagrams ---- */

Test(dpdk_lease, a_datagram_is_its_packet_buffer)
{
    struct pal_lease leases[8];
    uint64_t before;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    before = buffers();
    for (uint32_t i = 0; i < 8; i++)
        send_numbered(sock, i, i == 3 ? 0 : 100 + i * 150); /* an empty one, too */
    take(poll, sock, leases, 8);
    cr_assert_eq(buffers(), before + 8, "%lu packet buffers for 8 leases", (unsigned long)(buffers() - before));
    for (uint32_t i = 0; i < 8; i++) {
        const struct pal_msg *info = pal_lease_info(&leases[i]);

        cr_assert(!is_copy(&leases[i]), "datagram %u is a copy", i);
        check_bytes(&leases[i], i, i == 3 ? 0 : 100 + i * 150);
        cr_assert_eq((uintptr_t)info % _Alignof(struct pal_msg), 0);
        cr_assert_eq(info->size, (int32_t)leases[i].size);
        cr_assert_eq(info->flags | info->have, 0);
        cr_assert(info->iov == NULL && info->iov_count == 0 && info->socks == NULL);
        cr_assert_eq(info->addr->port, ECHO);
        cr_assert_arr_eq(info->addr->bytes, ((uint8_t[]){10, 0, 0, 2}), 4);
    }
    for (int i = 7; i >= 0; i--) { /* in another order than they came in */
        pal_lease_release(poll, &leases[(i + 3) % 8], 1);
        cr_assert_eq(buffers(), before + (uint64_t)i);
    }
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, a_datagram_has_its_metadata)
{
    const uint16_t wanted = PAL_META_TIME | PAL_META_TTL | PAL_META_TOS | PAL_META_LOCAL;
    const struct pal_msg *info;
    struct pal_lease lease;
    const int32_t on = 1;
    uint64_t sent_ns;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_TIMESTAMP, &on, sizeof(on)), 0);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_RECV_TTL, &on, sizeof(on)), 0);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_RECV_TOS, &on, sizeof(on)), 0);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_PKTINFO, &on, sizeof(on)), 0);
    sent_ns = pal_clock(PAL_CLOCK_REAL);
    send_numbered(sock, 5, 1000);
    take(poll, sock, &lease, 1);
    cr_assert(!is_copy(&lease));
    check_bytes(&lease, 5, 1000);
    info = pal_lease_info(&lease);
    cr_assert_eq(info->have, wanted, "%x", info->have);
    cr_assert_eq(info->ttl, 64);
    cr_assert_eq(info->tos, 0);
    cr_assert_eq(info->ifindex, 2);
    cr_assert_arr_eq(info->local.bytes, ((uint8_t[]){10, 0, 0, 1}), 4);
    cr_assert_geq(info->stamp.system_ns, sent_ns - MS);
    cr_assert_leq(info->stamp.system_ns, pal_clock(PAL_CLOCK_REAL) + MS);
    pal_lease_release(poll, &lease, 1);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, what_is_longer_than_a_lease_is_copied_and_cut)
{
    struct pal_lease leases[2];
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, 512);
    sock = meet(PAL_AF_INET);
    send_numbered(sock, 1, 512);
    take(poll, sock, &leases[0], 1);
    send_numbered(sock, 2, 513);
    take(poll, sock, &leases[1], 1);
    cr_assert(!is_copy(&leases[0]) && is_copy(&leases[1]));
    check_bytes(&leases[0], 1, 512);
    check_bytes(&leases[1], 2, 512);
    cr_assert_eq(pal_lease_info(&leases[0])->flags, 0);
    cr_assert_eq(pal_lease_info(&leases[1])->flags, PAL_MSG_TRUNC);
    pal_lease_release(poll, leases, 2);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

/* Of all datagrams that are there, some can be lent: one call gives all, in order. */
Test(dpdk_lease, what_cannot_be_lent_does_not_hold_up_what_is_behind)
{
    const size_t sizes[] = {100, 512, 513, 200, 1400, 0, 300};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    struct pal_lease leases[COUNT + 1];
    struct pal_wait item = {.interest = PAL_IN};
    uint64_t before, until_ns;
    pal_poll *poll;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, 512);
    item.sock = meet(PAL_AF_INET);
    before = counters().queue_received;
    for (uint32_t i = 0; i < COUNT; i++)
        send_numbered(item.sock, i, sizes[i]);
    for (until_ns = now() + 2000 * MS; counters().queue_received < before + COUNT && now() < until_ns;)
        (void)pal_sock_wait(&item, 0, now() + MS); /* which takes turns of the stack */
    cr_assert_eq(pal_watch(poll, item.sock, PAL_IN | PAL_LEASE, 1), 0);
    cr_assert_eq(pal_lease_recv(item.sock, leases, COUNT + 1), COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        check_bytes(&leases[i], i, sizes[i] < 512 ? sizes[i] : 512);
        cr_assert_eq(pal_lease_info(&leases[i])->flags, sizes[i] > 512 ? PAL_MSG_TRUNC : 0);
        cr_assert_eq(is_copy(&leases[i]), i >= 2, "lease %u", i);
    }
    cr_assert_eq(counters().frames_lent, 2);
    cr_assert_eq(counters().leases_lent, 2);
    cr_assert_eq(counters().leases_copied, COUNT - 2);
    cr_assert_eq(pal_lease_recv(item.sock, leases + COUNT, 1), PAL_EAGAIN);
    pal_lease_release(poll, leases, COUNT);
    cr_assert_eq(pal_watch(poll, item.sock, 0, 0), 0);
    cr_assert_eq(pal_sock_close(item.sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, datagrams_of_ipv6_are_packet_buffers)
{
    const uint16_t wanted = PAL_META_TIME | PAL_META_TTL | PAL_META_LOCAL;
    struct pal_lease leases[4];
    const int32_t on = 1;
    uint64_t before;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET6, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET6);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_TIMESTAMP, &on, sizeof(on)), 0);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_RECV_TTL, &on, sizeof(on)), 0);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_PKTINFO, &on, sizeof(on)), 0);
    before = buffers();
    for (uint32_t i = 0; i < 4; i++)
        send_numbered(sock, i, 1000);
    take(poll, sock, leases, 4);
    cr_assert_eq(buffers(), before + 4);
    cr_assert_eq(counters().frames_lent, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct pal_msg *info = pal_lease_info(&leases[i]);

        cr_assert(!is_copy(&leases[i]));
        cr_assert_eq((uintptr_t)info % _Alignof(struct pal_msg), 0);
        cr_assert_eq(info->size, 1000);
        cr_assert_eq(info->have, wanted, "%x", info->have);
        cr_assert_eq(info->ttl, 64);
        cr_assert_eq(info->addr->port, ECHO);
        cr_assert_arr_eq(info->addr->bytes, addr_of("fd00::2", 0).bytes, 16);
        cr_assert_arr_eq(info->local.bytes, addr_of("fd00::1", 0).bytes, 16);
        check_bytes(&leases[i], i, 1000);
    }
    pal_lease_release(poll, leases, 4);
    cr_assert_eq(buffers(), before);
    cr_assert_eq(counters().frames_lent, 0);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

/* ---- who holds what ---- */

enum { POOL = 4, MORE = 7 };

/* How many events of the socket come in some time, and how many of them say PAL_STARVED. */
static int count_events(pal_poll *poll, uint64_t for_ns, int *starved)
{
    uint64_t until_ns = now() + for_ns;
    const struct pal_event *events;
    int all = 0;

    for (*starved = 0; now() < until_ns;) {
        int count = pal_poll_wait(poll, &events, until_ns);

        for (int i = 0; i < count; i++, all++)
            *starved += (events[i].ready & PAL_STARVED) != 0;
    }
    return all;
}

Test(dpdk_lease, a_socket_without_a_lease_starves_and_is_fed)
{
    struct pal_lease leases[MORE];
    pal_poll *poll;
    pal_sock sock;
    int starved;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(POOL, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    for (uint32_t i = 0; i < MORE; i++)
        send_numbered(sock, i, 600);
    take(poll, sock, leases, POOL);
    for (int i = 0; i < POOL; i++)
        cr_assert(!is_copy(&leases[i]));
    cr_assert_eq(pal_watch(poll, sock, PAL_IN | PAL_LEASE, 1), 0);
    (void)count_events(poll, 20 * MS, &starved); /* the others are there */
    cr_assert_eq(pal_lease_recv(sock, leases + POOL, 1), PAL_ENOBUFS);
    cr_assert_eq(count_events(poll, 20 * MS, &starved), 1);
    cr_assert_eq(starved, 1, "STARVED %d times", starved);
    pal_lease_release(poll, leases, 1);
    cr_assert_eq(count_events(poll, 20 * MS, &starved), 0, "one of four leases is not enough");
    pal_lease_release(poll, leases + 1, POOL - 1);
    cr_assert_gt(count_events(poll, 20 * MS, &starved), 0, "it is not fed");
    take(poll, sock, leases + POOL, MORE - POOL);
    for (uint32_t i = POOL; i < MORE; i++)
        check_bytes(&leases[i], i, 600);
    pal_lease_release(poll, leases + POOL, MORE - POOL);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, a_socket_lends_no_more_than_its_share)
{
    enum { SHARE = 3 };
    struct pal_config config = {.lease_count = LEASES, .lease_size = LEASE_SIZE, .leases_per_sock_max = SHARE};
    struct pal_lease leases[SHARE + 1], other;
    pal_sock greedy, modest;
    pal_poll *poll;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    cr_assert_eq(pal_poll_open(&poll, &config), 0);
    greedy = meet(PAL_AF_INET);
    modest = open_to_echo(PAL_AF_INET);
    for (uint32_t i = 0; i < SHARE + 1; i++)
        send_numbered(greedy, i, 800);
    send_numbered(modest, 9, 800);
    take(poll, modest, &other, 1);
    take(poll, greedy, leases, SHARE);
    cr_assert_eq(pal_lease_recv(greedy, leases + SHARE, 1), PAL_ENOBUFS);
    pal_lease_release(poll, &leases[1], 1);
    take(poll, greedy, &leases[1], 1);
    check_bytes(&leases[0], 0, 800);
    check_bytes(&leases[1], SHARE, 800);
    check_bytes(&leases[2], 2, 800);
    check_bytes(&other, 9, 800);
    pal_lease_release(poll, leases, SHARE);
    pal_lease_release(poll, &other, 1);
    cr_assert_eq(pal_sock_close(greedy), 0);
    cr_assert_eq(pal_sock_close(modest), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, a_lease_outlives_its_socket_and_not_its_poll)
{
    struct pal_card_stop stopped;
    struct pal_lease leases[3];
    uint64_t before;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    before = buffers();
    for (uint32_t i = 0; i < 3; i++)
        send_numbered(sock, i, 1200);
    take(poll, sock, leases, 3);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), PAL_EBUSY);
    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_STOP, &stopped, sizeof(stopped)), PAL_EBUSY);
    sock = meet(PAL_AF_INET); /* other frames come and go */
    for (uint32_t i = 0; i < 3; i++)
        check_bytes(&leases[i], i, 1200);
    pal_lease_release(poll, &leases[1], 1);
    pal_lease_release(poll, &leases[2], 1);
    pal_lease_release(poll, &leases[0], 1);
    cr_assert_eq(buffers(), before);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

/* Half of the buffers may be held; of that, half when a lease is taken, itself included. What comes then is copied, and
 * goes on coming. */
Test(dpdk_lease, a_program_that_keeps_its_leases_does_not_stop_the_card)
{
    enum { ALL = 600, HALF_OF_HALF = 255 };
    static struct pal_lease leases[ALL];
    uint64_t before;
    int lent = 0;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 1024");
    poll = open_lease_poll(ALL, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    before = buffers();
    for (uint32_t i = 0; i < ALL; i++) {
        send_numbered(sock, i, 700);
        take(poll, sock, &leases[i], 1);
        lent += !is_copy(&leases[i]);
        cr_assert_eq(is_copy(&leases[i]), i >= HALF_OF_HALF, "lease %u", i);
    }
    cr_assert_eq(lent, HALF_OF_HALF);
    cr_assert_eq(buffers(), before + HALF_OF_HALF);
    cr_assert_eq(counters().frames_lent, HALF_OF_HALF);
    cr_assert_eq(counters().leases_lent, HALF_OF_HALF);
    cr_assert_eq(counters().leases_copied, ALL - HALF_OF_HALF);
    for (uint32_t i = 0; i < ALL; i++)
        check_bytes(&leases[i], i, 700);
    pal_lease_release(poll, leases, ALL);
    cr_assert_eq(buffers(), before);
    cr_assert_eq(counters().frames_lent, 0);
    send_numbered(sock, 1, 700);
    take(poll, sock, leases, 1);
    cr_assert(!is_copy(&leases[0]), "it does not lend again");
    pal_lease_release(poll, leases, 1);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_lease, a_hundred_thousand_datagrams_leave_the_buffers_as_they_were)
{
    enum { MESSAGES = 100000, AT_ONCE = 32 };
    struct pal_lease leases[AT_ONCE];
    uint64_t before, begin_ns;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    before = buffers();
    begin_ns = now();
    for (uint32_t i = 0; i < MESSAGES; i += AT_ONCE) {
        for (uint32_t k = 0; k < AT_ONCE; k++)
            send_numbered(sock, i + k, 200);
        take(poll, sock, leases, AT_ONCE);
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            cr_assert(!is_copy(&leases[k]));
            check_bytes(&leases[k], i + k, 200);
        }
        pal_lease_release(poll, leases, AT_ONCE);
    }
    cr_log_info("%lu ns a datagram, there and back", (unsigned long)((now() - begin_ns) / MESSAGES));
    cr_assert_eq(buffers(), before);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

/* ---- sending, and programs that are wrong ---- */

Test(dpdk_lease, a_lease_that_is_sent_is_the_cards_again)
{
    struct pal_lease leases[4], again[4];
    uint64_t before;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    before = buffers();
    for (uint32_t i = 0; i < 4; i++)
        send_numbered(sock, i, 900);
    take(poll, sock, leases, 4);
    cr_assert_eq(pal_lease_send(sock, leases, 4), 4);
    take(poll, sock, again, 4);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(!is_copy(&again[i]));
        check_bytes(&again[i], i, 900);
    }
    pal_lease_release(poll, again, 4);
    cr_assert_eq(buffers(), before);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

static pal_poll *take_one(struct pal_lease *lease)
{
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    send_numbered(sock, 1, 100);
    take(poll, sock, lease, 1);
    cr_assert(!is_copy(lease));
    return poll;
}

Test(dpdk_lease, releasing_twice_asserts, .signal = SIGABRT)
{
    struct pal_lease lease;
    pal_poll *poll = take_one(&lease);

    pal_lease_release(poll, &lease, 1);
    pal_lease_release(poll, &lease, 1);
}

Test(dpdk_lease, sending_what_lies_outside_asserts, .signal = SIGABRT)
{
    struct pal_lease lease;
    pal_sock sock;

    (void)take_one(&lease);
    sock = open_to_echo(PAL_AF_INET);
    lease.size++;
    (void)pal_lease_send(sock, &lease, 1);
}

/* ---- threads ---- */

static struct pal_lease left_behind;

static void take_and_leave(void *argument)
{
    pal_poll *poll = open_lease_poll(LEASES, LEASE_SIZE);
    pal_sock sock = meet(PAL_AF_INET);

    (void)argument;
    send_numbered(sock, 77, 300);
    take(poll, sock, &left_behind, 1);
    cr_assert(!is_copy(&left_behind));
}

/* Its stack and its socket go, its poll stays, and so does the lease. The next one has the same queue. */
Test(dpdk_lease, a_thread_may_end_with_leases_out)
{
    struct pal_lease lease;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    in_thread(take_and_leave, NULL);
    in_thread(take_and_leave, NULL);
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = meet(PAL_AF_INET);
    send_numbered(sock, 5, 300);
    take(poll, sock, &lease, 1);
    check_bytes(&lease, 5, 300);
    check_bytes(&left_behind, 77, 300);
    pal_lease_release(poll, &lease, 1);
    lose_peer(); /* no stop: the polls of those threads are open */
}

static pthread_key_t late;

/* When the thread's stack is gone: keys end in the order in which they were made, and the card's was before this. */
static void give_back_late(void *value)
{
    pal_poll *poll = value;

    pal_lease_release(poll, &left_behind, 1);
    (void)pal_poll_close(poll);
}

static void take_and_give_back_late(void *argument)
{
    pal_poll *poll = open_lease_poll(LEASES, LEASE_SIZE);
    pal_sock sock = meet(PAL_AF_INET);

    (void)argument;
    send_numbered(sock, 77, 300);
    take(poll, sock, &left_behind, 1);
    cr_assert_not(is_copy(&left_behind));
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pthread_setspecific(late, poll), 0);
}

Test(dpdk_lease, a_lease_may_come_back_when_its_stack_is_gone)
{
    begin(peer_echo, PAL_AF_INET, "mbufs 4096");
    cr_assert_eq(pthread_key_create(&late, give_back_late), 0);
    in_thread(take_and_give_back_late, NULL);
    end();
}
