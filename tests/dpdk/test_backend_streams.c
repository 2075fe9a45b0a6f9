/* test_backend_streams.c: leases of a card's stream sockets: the packet buffers, in order and byte for byte, also what
 * a plain receive has left of one; copies where they are longer than a lease. */
#include "lease_rig.h"

TestSuite(dpdk_streams, .timeout = 120);

/* A connection that is to bring so many bytes. */
static pal_sock connect_to_source(int family, uint64_t amount)
{
    struct pal_addr to = addr_of(family == PAL_AF_INET ? "10.0.0.2" : "fd00::2", SOURCE);
    int32_t error = PAL_EAGAIN;
    pal_sock sock = {0};

    for (int i = 0; i < 100 && error != 0; i++) { /* until the peer listens */
        size_t size = sizeof(error);
        struct pal_wait item = {.interest = PAL_OUT};

        cr_assert_eq(pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, &sock), 0);
        (void)pal_sock_connect(sock, &to);
        item.sock = sock;
        (void)pal_sock_wait(&item, 1, now() + 5000 * MS);
        cr_assert_eq(pal_sock_get(sock, PAL_SO_ERROR, &error, &size), 0);
        if (error != 0) {
            cr_assert_eq(pal_sock_close(sock), 0);
            usleep(50000);
        }
    }
    cr_assert_eq(error, 0, "%s", pal_error_name(error));
    cr_assert_eq(pal_sock_send(sock, &amount, sizeof(amount), PAL_MSG_WAIT), sizeof(amount));
    return sock;
}

/* What a reader by leases has seen. */
struct reading {
    uint64_t bytes, leases, copies;
    uint32_t places; /* where data has lain, modulo 8: a bit each */
    struct pal_lease kept[LEASES];
    int kept_count;
};

/* Gives back one of those kept: any, so that they come back in no order. */
static void give_one_back(pal_poll *poll, struct reading *reading)
{
    int which = (int)(reading->leases * 31 % (uint64_t)reading->kept_count);

    pal_lease_release(poll, &reading->kept[which], 1);
    reading->kept[which] = reading->kept[--reading->kept_count];
}

/* Reads to the end, or until this many bytes have come; keeps up to keep leases at a time. */
static void read_by_lease(pal_poll *poll, pal_sock sock, struct reading *reading, int keep, uint64_t until)
{
    const struct pal_event *events;
    int count = 1;

    cr_assert_eq(pal_watch(poll, sock, PAL_IN | PAL_LEASE, 1), 0);
    while (count != 0 && reading->bytes < until) {
        struct pal_lease leases[BATCH];

        count = pal_lease_recv(sock, leases, BATCH);
        if (count == PAL_EAGAIN) {
            cr_assert_gt(pal_poll_wait(poll, &events, now() + 5000 * MS), 0, "after %lu bytes nothing comes",
                         (unsigned long)reading->bytes);
            continue;
        }
        cr_assert_geq(count, 0, "%s: %s", pal_error_name(count), pal_reason());
        for (int i = 0; i < count; i++) {
            check_bytes(&leases[i], reading->bytes, leases[i].size);
            cr_assert_eq((uintptr_t)pal_lease_info(&leases[i]) % _Alignof(struct pal_msg), 0);
            cr_assert_eq(pal_lease_info(&leases[i])->size, (int32_t)leases[i].size);
            cr_assert_eq(pal_lease_info(&leases[i])->have, 0);
            reading->places |= 1u << (uintptr_t)leases[i].data % 8;
            reading->bytes += leases[i].size;
            reading->leases++;
            reading->copies += is_copy(&leases[i]);
            reading->kept[reading->kept_count++] = leases[i];
        }
        while (reading->kept_count > keep)
            give_one_back(poll, reading);
    }
    cr_assert_eq(pal_watch(poll, sock, 0, 0), 0);
}

/* A packet has more than 512 bytes. */
static void stream_of(int family, uint32_t lease_size)
{
    enum { AMOUNT = 8 << 20 };
    struct reading reading = {0};
    uint64_t before;
    pal_poll *poll;
    pal_sock sock;

    begin(peer_source, family, "mbufs 4096");
    poll = open_lease_poll(LEASES, lease_size);
    sock = connect_to_source(family, AMOUNT);
    before = buffers();
    read_by_lease(poll, sock, &reading, LEASES - BATCH, UINT64_MAX);
    cr_assert_eq(reading.bytes, AMOUNT);
    cr_log_info("%lu leases, %lu of them copies", (unsigned long)reading.leases, (unsigned long)reading.copies);
    if (lease_size == LEASE_SIZE)
        cr_assert_lt(reading.copies, reading.leases / 10);
    else
        cr_assert_gt(reading.copies, reading.leases / 2);
    cr_assert_eq(counters().leases_copied, reading.copies);
    cr_assert_eq(counters().leases_lent, reading.leases - reading.copies);
    while (reading.kept_count > 0)
        give_one_back(poll, &reading);
    cr_assert_eq(counters().frames_lent, 0);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_leq(buffers(), before + 1);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

Test(dpdk_streams, a_stream_is_its_packet_buffers)
{
    stream_of(PAL_AF_INET, LEASE_SIZE);
}

Test(dpdk_streams, a_stream_of_ipv6_is_its_packet_buffers)
{
    stream_of(PAL_AF_INET6, LEASE_SIZE);
}

Test(dpdk_streams, packets_longer_than_a_lease_are_copied)
{
    stream_of(PAL_AF_INET, 512);
}

/* What a plain receive has left of a frame may lie anywhere: it is lent all the same, and in order. */
Test(dpdk_streams, plain_receives_and_leases_keep_their_order)
{
    enum { AMOUNT = 1 << 20 };
    struct reading reading = {0};
    pal_poll *poll;
    pal_sock sock;

    begin(peer_source, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = connect_to_source(PAL_AF_INET, AMOUNT);
    while (reading.bytes < AMOUNT) {
        uint8_t bytes[64];
        int32_t size = pal_sock_recv(sock, bytes, 1 + reading.bytes % 61, PAL_MSG_WAIT);

        cr_assert_gt(size, 0);
        for (int32_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], pattern_at(reading.bytes + (uint64_t)i));
        reading.bytes += (uint64_t)size;
        read_by_lease(poll, sock, &reading, 8, reading.bytes + 1 < AMOUNT ? reading.bytes + 1 : AMOUNT);
    }
    cr_assert_lt(reading.copies, reading.leases / 10, "%lu copies of %lu", (unsigned long)reading.copies,
                 (unsigned long)reading.leases);
    cr_assert_eq(reading.places, 0xff, "%x", reading.places);
    while (reading.kept_count > 0)
        give_one_back(poll, &reading);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}

/* A stream takes part of a lease: it is advanced in place, and is the card's again when the rest has gone. */
Test(dpdk_streams, a_lease_that_is_sent_in_part_stays)
{
    struct reading reading = {0};
    const struct pal_event *events;
    uint64_t before, until_ns;
    bool was_cut = false;
    pal_poll *poll;
    pal_sock sock;
    int32_t room = 4096;

    begin(peer_source, PAL_AF_INET, "mbufs 4096");
    poll = open_lease_poll(LEASES, LEASE_SIZE);
    sock = connect_to_source(PAL_AF_INET, 64 * 1024);
    cr_assert_eq(pal_sock_set(sock, PAL_SO_SNDBUF, &room, sizeof(room)), 0);
    read_by_lease(poll, sock, &reading, LEASES - BATCH, 64 * 1024);
    before = buffers();
    until_ns = now() + 5000 * MS;
    while (reading.kept_count > 0 && now() < until_ns) {
        const struct pal_lease *first = reading.kept;
        struct pal_lease before_it[LEASES];
        int sent;

        memcpy(before_it, first, sizeof(before_it));
        sent = pal_lease_send(sock, reading.kept, reading.kept_count);
        cr_assert(sent >= 0 || sent == PAL_EAGAIN, "%s", pal_error_name(sent));
        sent = sent > 0 ? sent : 0;
        reading.kept_count -= sent;
        was_cut |= reading.kept_count > 0 && first[sent].data != before_it[sent].data;
        memmove(reading.kept, reading.kept + sent, (size_t)reading.kept_count * sizeof(reading.kept[0]));
        (void)pal_poll_wait(poll, &events, now() + MS);
    }
    cr_assert_eq(reading.kept_count, 0);
    cr_assert(was_cut, "none was sent in part");
    cr_assert_lt(buffers(), before);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    end();
}
