/* calls_messages.c: pal_sock_recv_msgs and send_msgs: batches, pieces, sizes, truncation, errors within a batch. What
 * messages carry beside their bytes is in calls_metadata.c, handles in calls_passing.c. */
#include "calls_common.h"

enum { BATCH_MAX = 200, BATCH_BYTES = 64 };

/* Messages of one piece each, with their memory. */
struct batch {
    struct pal_msg msgs[BATCH_MAX];
    struct pal_iov iovs[BATCH_MAX];
    struct pal_addr addrs[BATCH_MAX];
    char bytes[BATCH_MAX][BATCH_BYTES];
};

static void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    for (int i = 0; i < BATCH_MAX; i++)
        batch->msgs[i] = msg_of(&batch->iovs[i], batch->bytes[i], BATCH_BYTES);
}

/* ---- batches ---- */

/* The i-th message of a batch is its number, repeated i % 60 times: the sizes 0, 60 ... come as well. */
static void number_batch(struct batch *batch, int count)
{
    for (int i = 0; i < count; i++) {
        batch->iovs[i].size = (size_t)(i % 60);
        memset(batch->bytes[i], i, BATCH_BYTES);
    }
}

static void send_batch(pal_sock sock, struct batch *batch, int count)
{
    for (int sent = 0; sent < count;) {
        int result = pal_sock_send_msgs(sock, &batch->msgs[sent], count - sent, 0);

        cr_assert(result > 0 && result <= count - sent, "after %d messages: %s", sent, pal_error_name(result));
        sent += result;
    }
    for (int i = 0; i < count; i++)
        cr_assert_eq(batch->msgs[i].size, i % 60, "message %d: %d bytes were sent", i, batch->msgs[i].size);
}

static void receive_batch(pal_sock sock, struct batch *batch, int count)
{
    for (int received = 0; received < count;) {
        int result;

        cr_assert(sock_until(sock, PAL_IN), "after %d messages no more come", received);
        result = pal_sock_recv_msgs(sock, &batch->msgs[received], count - received, 0);
        cr_assert(result > 0 && result <= count - received, "after %d messages: %s", received, pal_error_name(result));
        received += result;
    }
}

static void expect_batch(int count)
{
    static struct batch sent, received;
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    option_set(b, PAL_SO_RCVBUF, 1 << 20);
    batch_init(&sent);
    number_batch(&sent, count);
    batch_init(&received);
    for (int i = 0; i < count; i++)
        received.msgs[i].addr = &received.addrs[i];
    send_batch(a, &sent, count);
    receive_batch(b, &received, count);
    for (int i = 0; i < count; i++) {
        cr_assert_eq(received.msgs[i].size, i % 60, "message %d has %d bytes", i, received.msgs[i].size);
        cr_assert_arr_eq(received.bytes[i], sent.bytes[i], (size_t)(i % 60), "message %d", i);
        cr_assert_eq(received.msgs[i].flags, 0);
        cr_assert_eq(received.msgs[i].have, 0);
        assert_same_address(received.addrs[i], name_of(a, PAL_NAME_LOCAL));
    }
    assert_error(pal_sock_recv_msgs(b, received.msgs, count, 0), PAL_EAGAIN);
    pair_close(a, b);
}

Test(calls_messages, a_batch_arrives_whole_and_in_order)
{
    static const int counts[] = {1, 2, 31, 32, 33, 64, 65, BATCH_MAX};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        expect_batch(counts[i]);
}

Test(calls_messages, a_batch_receives_what_there_is)
{
    static struct batch sent, received;
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    batch_init(&sent);
    number_batch(&sent, 5);
    batch_init(&received);
    send_batch(a, &sent, 5);
    for (int total = 0; total < 5;) {
        int count;

        cr_assert(sock_until(b, PAL_IN));
        count = pal_sock_recv_msgs(b, received.msgs, BATCH_MAX, 0);
        cr_assert(count > 0 && count <= 5 - total, "%d messages after %d of 5", count, total);
        for (int i = 0; i < count; i++)
            cr_assert_eq(received.msgs[i].size, total + i);
        total += count;
    }
    pair_close(a, b);
}

Test(calls_messages, a_batch_goes_to_many)
{
    enum { COUNT = 40 };
    static struct batch batch;
    pal_sock sender = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);
    pal_sock receivers[COUNT];

    batch_init(&batch);
    for (int i = 0; i < COUNT; i++) {
        receivers[i] = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &batch.addrs[i]);
        batch.msgs[i].addr = &batch.addrs[i];
        batch.iovs[i].size = (size_t)snprintf(batch.bytes[i], BATCH_BYTES, "to number %d", i);
    }
    assert_error(pal_sock_send_msgs(sender, batch.msgs, COUNT, 0), COUNT);
    for (int i = 0; i < COUNT; i++) {
        expect_text(receivers[i], batch.bytes[i]);
        sock_close(receivers[i]);
    }
    sock_close(sender);
}

/* ---- pieces ---- */

static const enum pair_kind datagram_kinds[] = {PAIR_UDP4, PAIR_UNIX_DGRAM, PAIR_UNIX_SEQPACKET};
enum { DATAGRAM_KINDS = 3 };

static void expect_pieces(enum pair_kind kind)
{
    char first[] = "one", third[] = ", three", out[4][4];
    struct pal_iov pieces[3] = {{first, 3}, {NULL, 0}, {third, 7}};
    struct pal_iov rooms[4] = {{out[0], 1}, {out[1], 0}, {out[2], 4}, {out[3], 4}};
    struct pal_iov unused;
    struct pal_msg msg = msg_of(&unused, NULL, 0);
    bool stream = (int)kind < (int)PAIR_STREAM_KINDS;
    pal_sock a, b;

    pair_open(kind, &a, &b);
    msg.iov = pieces;
    msg.iov_count = 3;
    assert_error(pal_sock_send_msgs(a, &msg, 1, 0), 1);
    assert_error(msg.size, 10);
    memset(out, '.', sizeof(out));
    msg = msg_of(&unused, NULL, 0);
    msg.iov = rooms;
    msg.iov_count = 4;
    receive_msg(b, &msg);
    assert_error(msg.size, 9);
    cr_assert_arr_eq(out, "o.......ne, thre", sizeof(out));
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, stream ? 0 : PAL_MSG_TRUNC);
    if (stream)
        expect_text(b, "e");
    pair_close(a, b);
}

Test(calls_messages, pieces_are_gathered_and_scattered)
{
    for (int kind = 0; kind < PAIR_KINDS; kind++) {
        if (pair_available((enum pair_kind)kind))
            expect_pieces((enum pair_kind)kind);
    }
}

Test(calls_messages, as_many_pieces_as_allowed_and_no_more)
{
    char bytes[PAL_IOV_MAX + 1], out[PAL_IOV_MAX + 1];
    struct pal_iov pieces[PAL_IOV_MAX + 1], rooms[PAL_IOV_MAX + 1];
    struct pal_msg msg;
    pal_sock a, b;

    for (int i = 0; i <= PAL_IOV_MAX; i++) {
        bytes[i] = (char)i;
        pieces[i].data = &bytes[i];
        rooms[i].data = &out[PAL_IOV_MAX - i];
        pieces[i].size = rooms[i].size = 1;
    }
    memset(&msg, 0, sizeof(msg));
    pair_open(PAIR_UDP4, &a, &b);
    msg.iov = pieces;
    msg.iov_count = PAL_IOV_MAX + 1;
    assert_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EINVAL);
    msg.iov_count = PAL_IOV_MAX;
    assert_error(pal_sock_send_msgs(a, &msg, 1, 0), 1);
    assert_error(msg.size, PAL_IOV_MAX);
    msg.iov = rooms;
    msg.iov_count = PAL_IOV_MAX + 1;
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv_msgs(b, &msg, 1, 0), PAL_EINVAL);
    msg.iov_count = PAL_IOV_MAX;
    receive_msg(b, &msg);
    assert_error(msg.size, PAL_IOV_MAX);
    for (int i = 0; i < PAL_IOV_MAX; i++)
        cr_assert_eq(out[PAL_IOV_MAX - i], bytes[i], "piece %d", i);
    pair_close(a, b);
}

Test(calls_messages, a_message_may_have_no_pieces)
{
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, NULL, 0);
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    msg.iov = NULL;
    msg.iov_count = 0;
    assert_error(pal_sock_send_msgs(a, &msg, 1, 0), 1);
    assert_error(msg.size, 0);
    send_text(a, "dropped");
    receive_msg(b, &msg);
    assert_error(msg.size, 0);
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, 0);
    receive_msg(b, &msg);
    assert_error(msg.size, 0);
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, PAL_MSG_TRUNC);
    pair_close(a, b);
}

/* ---- sizes ---- */

static void expect_truncation(enum pair_kind kind)
{
    char out[8] = "";
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, out, 4);
    pal_sock a, b;

    pair_open(kind, &a, &b);
    for (int i = 0; i < 3; i++)
        send_text(a, "datagram");
    receive_msg(b, &msg);
    assert_error(msg.size, 4);
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, PAL_MSG_TRUNC);
    cr_assert_arr_eq(out, "data\0\0\0", 8);
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv_msgs(b, &msg, 1, PAL_MSG_TRUNC), 1);
    assert_error(msg.size, 8);
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, PAL_MSG_TRUNC);
    cr_assert_arr_eq(out, "data\0\0\0", 8);
    iov.size = sizeof(out);
    receive_msg(b, &msg);
    assert_error(msg.size, 8);
    cr_assert_eq(msg.flags & PAL_MSG_TRUNC, 0);
    pair_close(a, b);
}

Test(calls_messages, a_datagram_that_does_not_fit_is_flagged)
{
    for (int i = 0; i < DATAGRAM_KINDS; i++) {
        if (pair_available(datagram_kinds[i]))
            expect_truncation(datagram_kinds[i]);
    }
}

Test(calls_messages, peeking_leaves_the_message)
{
    for (int kind = 0; kind < PAIR_KINDS; kind++) {
        char out[8] = "";
        struct pal_iov iov;
        struct pal_msg msg = msg_of(&iov, out, sizeof(out));
        pal_sock a, b;

        if (!pair_available((enum pair_kind)kind))
            continue;
        pair_open((enum pair_kind)kind, &a, &b);
        send_text(a, "twice");
        cr_assert(sock_until(b, PAL_IN));
        assert_error(pal_sock_recv_msgs(b, &msg, 1, PAL_MSG_PEEK), 1);
        assert_error(msg.size, 5);
        receive_msg(b, &msg);
        assert_error(msg.size, 5);
        cr_assert_str_eq(out, "twice");
        assert_error(pal_sock_recv_msgs(b, &msg, 1, 0), PAL_EAGAIN);
        pair_close(a, b);
    }
}

/* ---- streams ---- */

Test(calls_messages, a_stream_gives_one_message_a_call_and_ends)
{
    static struct batch batch;
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    batch_init(&batch);
    send_text(a, "some bytes");
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv_msgs(b, batch.msgs, 5, 0), 1);
    assert_error(batch.msgs[0].size, 10);
    assert_error(pal_sock_recv_msgs(b, batch.msgs, 5, 0), PAL_EAGAIN);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv_msgs(b, batch.msgs, 5, 0), 1);
    assert_error(batch.msgs[0].size, 0);
    pair_close(a, b);
}

/* What a message was taken in part of ends the batch: the stream has no gap. */
static void expect_partial_batch(enum pair_kind kind)
{
    enum { COUNT = 16, SIZE = 1 << 20 };
    static char bytes[SIZE];
    struct pal_iov iovs[COUNT];
    struct pal_msg msgs[COUNT];
    uint64_t sent = 0;
    pal_sock a, b;
    int count;

    pair_open(kind, &a, &b);
    for (int i = 0; i < COUNT; i++)
        msgs[i] = msg_of(&iovs[i], bytes, SIZE);
    count = pal_sock_send_msgs(a, msgs, COUNT, 0);
    cr_assert(count > 0 && count < COUNT, "%d messages of %d were sent", count, (int)COUNT);
    for (int i = 0; i < count; i++) {
        cr_assert(msgs[i].size > 0 && (msgs[i].size == SIZE || i == count - 1), "message %d of %d: %d bytes", i, count,
                  msgs[i].size);
        sent += (uint64_t)msgs[i].size;
    }
    sent += fill(a);
    assert_error(pal_sock_send_msgs(a, msgs, COUNT, 0), PAL_EAGAIN);
    for (uint64_t received = 0; received < sent;) {
        cr_assert(sock_until(b, PAL_IN), "%lu bytes of %lu came", (unsigned long)received, (unsigned long)sent);
        received += drain(b);
        cr_assert_leq(received, sent);
    }
    pair_close(a, b);
}

Test(calls_messages, a_message_sent_in_part_ends_the_batch)
{
    expect_partial_batch(PAIR_TCP4);
    if (pair_available(PAIR_UNIX_STREAM))
        expect_partial_batch(PAIR_UNIX_STREAM);
}

/* A thread that receives a stream whose every byte is known by its position. */
struct reader {
    pal_sock sock;
    uint64_t expected, received;
    bool wrong; /* a byte was not what it has to be, or the stream ended early */
};

static char byte_at(uint64_t position)
{
    return (char)(position ^ position >> 8 ^ position >> 16);
}

static void read_in_thread(void *arg)
{
    struct reader *reader = arg;
    static char bytes[30000];

    while (reader->received < reader->expected && !reader->wrong) {
        struct pal_wait item = {reader->sock, PAL_IN, 0, 0};
        int32_t size;

        if (pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 5000 * MILLISECOND_NS) <= 0)
            break;
        size = pal_sock_recv(reader->sock, bytes, sizeof(bytes), 0);
        if (size == PAL_EAGAIN)
            continue;
        reader->wrong = size <= 0;
        for (int32_t i = 0; i < size; i++)
            reader->wrong = reader->wrong || bytes[i] != byte_at(reader->received + (uint64_t)i);
        reader->received += size > 0 ? (uint64_t)size : 0;
    }
}

/* Sends what is left of bytes as a batch of messages; the count of bytes that were taken. */
static uint64_t send_as_batch(pal_sock sock, char *bytes, uint64_t left)
{
    enum { COUNT = 16, SIZE = 100000 };
    struct pal_iov iovs[COUNT];
    struct pal_msg msgs[COUNT];
    uint64_t planned = 0, taken = 0;
    int count = 0, sent;

    for (; count < COUNT && planned < left; count++) {
        uint64_t size = left - planned < SIZE ? left - planned : SIZE;

        msgs[count] = msg_of(&iovs[count], bytes + planned, (size_t)size);
        planned += size;
    }
    sent = pal_sock_send_msgs(sock, msgs, count, 0);
    if (sent == PAL_EAGAIN)
        return 0;
    cr_assert(sent > 0 && sent <= count, "%s", pal_error_name(sent));
    for (int i = 0; i < sent; i++)
        taken += (uint64_t)msgs[i].size;
    return taken;
}

/* The reader makes room all the time, so that the message after one that went in part could go as well. */
static void expect_no_gap(enum pair_kind kind)
{
    enum { SIZE = 16 << 20 };
    static char bytes[SIZE];
    struct reader reader = {{0}, SIZE, 0, false};
    pal_thread thread;
    pal_sock sock;

    for (uint64_t i = 0; i < SIZE; i++)
        bytes[i] = byte_at(i);
    pair_open(kind, &sock, &reader.sock);
    assert_error(pal_thread_start(&thread, read_in_thread, &reader), 0);
    for (uint64_t sent = 0; sent < SIZE;) {
        cr_assert(sock_until(sock, PAL_OUT) & PAL_OUT, "no room after %lu bytes", (unsigned long)sent);
        sent += send_as_batch(sock, bytes + sent, SIZE - sent);
    }
    assert_error(pal_thread_join(thread), 0);
    cr_assert(!reader.wrong && reader.received == SIZE, "after %lu bytes the stream is not what was sent",
              (unsigned long)reader.received);
    pair_close(sock, reader.sock);
}

Test(calls_messages, a_stream_of_batches_has_no_gap)
{
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "sockets here belong to one thread");
    expect_no_gap(PAIR_TCP4);
    if (pair_available(PAIR_UNIX_STREAM))
        expect_no_gap(PAIR_UNIX_STREAM);
}

/* ---- errors ---- */

Test(calls_messages, bad_counts_are_refused)
{
    char byte = 'x';
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, &byte, 1);
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    assert_error(pal_sock_send_msgs(a, &msg, 0, 0), PAL_EINVAL);
    assert_error(pal_sock_send_msgs(a, &msg, -1, 0), PAL_EINVAL);
    assert_error(pal_sock_recv_msgs(b, &msg, 0, 0), PAL_EINVAL);
    assert_error(pal_sock_recv_msgs(b, &msg, -1, 0), PAL_EINVAL);
    assert_error(pal_sock_recv_msgs(b, &msg, 1, 0), PAL_EAGAIN);
    pair_close(a, b);
}

/* The message at bad_index is too long: how many were sent before it, and the error when it is the first. */
static void expect_error_at(int bad_index)
{
    enum { COUNT = 50, TOO_LONG = 65536 };
    static char large[TOO_LONG];
    static struct batch batch;
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    batch_init(&batch);
    for (int i = 0; i < COUNT; i++)
        batch.iovs[i].size = 1;
    batch.iovs[bad_index].data = large;
    batch.iovs[bad_index].size = TOO_LONG;
    if (bad_index > 0)
        assert_error(pal_sock_send_msgs(a, batch.msgs, COUNT, 0), bad_index);
    assert_error(pal_sock_send_msgs(a, &batch.msgs[bad_index], COUNT - bad_index, 0), PAL_EMSGSIZE);
    send_text(a, "after them");
    for (int i = 0; i < bad_index; i++) {
        char out[16];

        cr_assert(sock_until(b, PAL_IN));
        assert_error(pal_sock_recv(b, out, sizeof(out), 0), 1);
    }
    expect_text(b, "after them");
    pair_close(a, b);
}

Test(calls_messages, an_error_counts_when_it_is_the_first)
{
    static const int indices[] = {0, 1, 31, 32, 33, 49};

    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
        expect_error_at(indices[i]);
}

/* Which of the two a datagram socket tells first is the system's. */
Test(calls_messages, a_bounce_and_a_message_are_both_told)
{
    static struct batch batch;
    pal_sock a, b;
    int messages = 0, errors = 0;

    pair_open(PAIR_UDP4, &a, &b);
    send_text(b, "before");
    cr_assert(sock_until(a, PAL_IN));
    sock_close(b);
    send_text(a, "bounces");
    cr_assert(sock_until(a, 0) & PAL_ERR);
    batch_init(&batch);
    for (int i = 0; i < 2; i++) {
        int result = pal_sock_recv_msgs(a, batch.msgs, 3, 0);

        messages += result == 1;
        errors += result == PAL_ECONNREFUSED;
    }
    cr_assert(messages == 1 && errors == 1, "%d messages, %d errors", messages, errors);
    assert_error(pal_sock_recv_msgs(a, batch.msgs, 3, 0), PAL_EAGAIN);
    sock_close(a);
}
