/* calls_sendfile.c: PAL_OP_SENDFILE: a file goes out over a stream socket, whole or in part, at once or as room comes;
 * what ends it, and what is refused. Only where the backend has PAL_CAP_SENDFILE. SIGPIPE is in tests/kernel/files.c.
 */
#include "calls_common.h"
#include "temporary.h"

#include <stdatomic.h>

enum { OP = 1, LARGE = 3 << 20 }; /* more than sockets hold */

TestSuite(calls_sendfile, .fini = temporary_remove_all);

static void require_sendfile(void)
{
    if (!has_caps(PAL_CAP_SENDFILE))
        test_skip("sendfile", "this backend has no such op");
}

static struct pal_op op_sendfile(pal_sock sock, const pal_file *file, uint64_t offset, uint64_t size)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.sock = sock;
    op.data = OP;
    op.kind = PAL_OP_SENDFILE;
    op.aux = (void *)(uintptr_t)file;
    op.offset = offset;
    op.size = size;
    return op;
}

static pal_file large_file(void)
{
    static uint8_t content[LARGE];

    fill_pattern(content, LARGE, 0);
    return temporary_file(content, LARGE);
}

/* Receives what must be the file's bytes from offset on, until count of them are there or, if that is more than come,
 * none come any more. Returns how many came. */
static uint64_t receive_pattern(pal_sock sock, uint64_t offset, uint64_t count)
{
    static uint8_t bytes[65536];
    uint64_t done = 0;

    while (done < count) {
        uint64_t left = count - done;
        int32_t result = pal_sock_recv(sock, bytes, left < sizeof(bytes) ? (size_t)left : sizeof(bytes), 0);

        if (result <= 0)
            break;
        cr_assert(is_pattern(bytes, (size_t)result, offset + done), "other bytes than the file's");
        done += (uint64_t)result;
    }
    return done;
}

/* The same, waiting for them while the poll's owner sends on. */
static void expect_pattern(struct rig *rig, pal_sock sock, uint64_t offset, uint64_t count)
{
    uint64_t done = 0;

    for (int turns = 0; turns < 5000 && done < count; turns++) {
        (void)rig_turn(rig, MILLISECOND_NS);
        done += receive_pattern(sock, offset + done, count - done);
    }
    cr_assert_eq(done, count, "%llu bytes do not come", (unsigned long long)(count - done));
}

/* ---- sending ---- */

Test(calls_sendfile, a_file_goes_out_on_every_kind_of_stream)
{
    require_sendfile();
    for (enum pair_kind kind = PAIR_TCP4; kind < (enum pair_kind)PAIR_STREAM_KINDS; kind = (enum pair_kind)(kind + 1)) {
        struct rig rig;
        pal_sock a, b;
        pal_file file;
        struct pal_op op;

        if (!pair_available(kind))
            continue;
        rig_open(&rig, 2);
        pair_open(kind, &a, &b);
        file = temporary_file("0123456789", 10);
        op = op_sendfile(a, &file, 0, 10);
        cr_assert_eq(rig_perform(&rig, &op), 10);
        expect_text(b, "0123456789");
        op = op_sendfile(a, &file, 3, 4);
        cr_assert_eq(rig_perform(&rig, &op), 4);
        expect_text(b, "3456");
        file_expect(file, 0, "0123456789");
        expect_connected(a, b);
        file_close(file);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(calls_sendfile, more_than_a_socket_holds_goes_out_as_room_comes)
{
    require_sendfile();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        for (enum pair_kind kind = PAIR_TCP4; kind < (enum pair_kind)PAIR_STREAM_KINDS;
             kind = (enum pair_kind)(kind + 1)) {
            struct rig rig;
            pal_sock a, b;
            pal_file file;
            struct pal_op op;

            if (!pair_available(kind))
                continue;
            rig_open(&rig, events_max);
            pair_open(kind, &a, &b);
            option_set(a, PAL_SO_SNDBUF, 65536);
            option_set(b, PAL_SO_RCVBUF, 65536);
            file = large_file();
            op = op_sendfile(a, &file, 1000, LARGE - 2000);
            rig_submit(&rig, &op);
            expect_pattern(&rig, b, 1000, LARGE - 2000);
            cr_assert_eq(rig_outcome(&rig, &op), LARGE - 2000);
            expect_connected(a, b);
            file_close(file);
            pair_close(a, b);
            rig_close(&rig);
        }
    }
}

Test(calls_sendfile, the_end_of_the_file_ends_it)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    file = temporary_file("0123456789", 10);
    op = op_sendfile(a, &file, 0, 1000);
    cr_assert_eq(rig_perform(&rig, &op), 10);
    op = op_sendfile(a, &file, 8, UINT64_C(1) << 40);
    cr_assert_eq(rig_perform(&rig, &op), 2);
    expect_text(b, "012345678989");
    op = op_sendfile(a, &file, 10, 1);
    cr_assert_eq(rig_perform(&rig, &op), 0);
    op = op_sendfile(a, &file, UINT64_C(1) << 60, 1000);
    cr_assert_eq(rig_perform(&rig, &op), 0);
    op = op_sendfile(a, &file, 0, 0);
    cr_assert_eq(rig_perform(&rig, &op), 0);
    expect_connected(a, b);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, a_file_that_shrinks_meanwhile_ends_it_early)
{
    struct rig rig;
    enum pair_kind kind = pair_kind_bounded();
    pal_sock a, b;
    pal_file file;
    struct pal_op op;
    int32_t sent;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(kind, &a, &b);
    file = large_file();
    op = op_sendfile(a, &file, 0, LARGE);
    rig_submit(&rig, &op);
    assert_error(pal_file_resize(file, 0), 0);
    while (rig_kept(&rig, OP) == 0) {
        cr_assert(sock_until(b, PAL_IN) & PAL_IN);
        (void)drain(b);
        (void)rig_turn(&rig, MILLISECOND_NS);
    }
    sent = rig_outcome(&rig, &op);
    cr_assert(sent >= 0 && sent < LARGE, "%d", (int)sent);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, other_bytes_go_before_and_after)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    file = temporary_file("file", 4);
    send_text(a, "before ");
    op = op_sendfile(a, &file, 0, 4);
    cr_assert_eq(rig_perform(&rig, &op), 4);
    send_text(a, " after");
    expect_text(b, "before file after");
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, the_socket_is_tried_and_blocks_as_before)
{
    struct rig rig;
    pal_sock a, b, twin;
    pal_file file;
    struct pal_op op;
    char bytes[8];

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    file = temporary_file("file", 4);
    op = op_sendfile(a, &file, 0, 4);
    cr_assert_eq(rig_perform(&rig, &op), 4);
    expect_text(b, "file");
    assert_error(pal_sock_recv(a, bytes, sizeof(bytes), 0), PAL_EAGAIN);
    send_text(b, "answer");
    if (has_caps(PAL_CAP_BLOCKING))
        assert_error(pal_sock_recv(a, bytes, sizeof(bytes), PAL_MSG_WAIT), 6);
    else
        expect_text(a, "answer");
    assert_error(pal_sock_dup(a, &twin), 0);
    op = op_sendfile(twin, &file, 1, 3);
    cr_assert_eq(rig_perform(&rig, &op), 3);
    expect_text(b, "ile");
    file_close(file);
    sock_close(twin);
    pair_close(a, b);
    rig_close(&rig);
}

struct waiter {
    pal_sock sock;
    _Atomic uint32_t entered;
    int32_t result;
};

static void receive_waiting(void *arg)
{
    struct waiter *waiter = (struct waiter *)arg;
    char byte;

    atomic_store(&waiter->entered, 1);
    waiter->result = pal_sock_recv(waiter->sock, &byte, 1, PAL_MSG_WAIT);
}

Test(calls_sendfile, a_duplicate_that_was_refused_changes_nothing)
{
    struct pal_setup setup;
    struct rig rig;
    pal_sock a, b, spare[8], twin = {0};
    pal_file file;
    struct pal_op op;
    int count = 0;

    require_sendfile();
    memset(&setup, 0, sizeof(setup));
    setup.socks_max = 8;
    assert_error(pal_setup(&setup), 0);
    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    file = temporary_file("0123456789", 10);
    while (count < 8 && pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &spare[count]) == 0)
        count++;
    assert_error(pal_sock_dup(a, &twin), PAL_ENOBUFS);
    op = op_sendfile(a, &file, 0, 10);
    cr_assert_eq(rig_perform(&rig, &op), 10, "%s", pal_error_name(op.result));
    expect_text(b, "0123456789");
    while (count > 0)
        sock_close(spare[--count]);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

/* What a duplicate does may not change how the other waits: refused, or the other waits as before. */
Test(calls_sendfile, a_duplicate_waits_as_before)
{
    struct rig rig;
    struct waiter waiter;
    pal_thread thread;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;
    int32_t result;

    require_sendfile();
    if (!has_caps(PAL_CAP_BLOCKING))
        test_skip("blocking", "no call of this backend blocks");
    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_sock_dup(b, &waiter.sock), 0);
    file = temporary_file("file", 4);
    op = op_sendfile(b, &file, 0, 4);
    result = rig_perform(&rig, &op);
    cr_assert(result == 4 || result == PAL_ENOTSUP, "%s", pal_error_name(result));
    atomic_init(&waiter.entered, 0);
    assert_error(pal_thread_start(&thread, receive_waiting, &waiter), 0);
    for (int i = 0; i < 500 && !atomic_load(&waiter.entered); i++)
        (void)rig_turn(&rig, MILLISECOND_NS);
    (void)rig_turn(&rig, 5 * MILLISECOND_NS); /* time to get there; the test is right wherever it is */
    send_text(a, "x");
    assert_error(pal_thread_join(thread), 0);
    assert_error(waiter.result, 1);
    file_close(file);
    sock_close(waiter.sock);
    pair_close(a, b);
    rig_close(&rig);
}

/* ---- ending ---- */

Test(calls_sendfile, cancelled_midway_it_says_how_much_went)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;
    int32_t sent;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(pair_kind_bounded(), &a, &b);
    file = large_file();
    op = op_sendfile(a, &file, 5, LARGE - 5);
    rig_submit(&rig, &op);
    (void)receive_pattern(b, 5, 100);
    rig_cancel(&rig, &op);
    sent = rig_outcome(&rig, &op);
    cr_assert(sent > 0 && sent < LARGE - 5, "%d", (int)sent);
    expect_pattern(&rig, b, 105, (uint64_t)sent - 100);
    assert_error(pal_sock_recv(b, &(char){0}, 1, 0), PAL_EAGAIN);
    expect_connected(a, b);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, cancelled_before_anything_went_it_is_cancelled)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(pair_kind_bounded(), &a, &b);
    (void)fill(a);
    file = temporary_file("0123456789", 10);
    op = op_sendfile(a, &file, 0, 10);
    rig_submit(&rig, &op);
    rig_cancel(&rig, &op);
    assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, nobody_at_the_other_end_is_epipe)
{
    require_sendfile();
    for (enum pair_kind kind = PAIR_TCP4; kind < (enum pair_kind)PAIR_STREAM_KINDS; kind = (enum pair_kind)(kind + 1)) {
        struct rig rig;
        pal_sock a, b;
        pal_file file;
        struct pal_op op;

        if (!pair_available(kind))
            continue;
        rig_open(&rig, 2);
        pair_open(kind, &a, &b);
        file = temporary_file("0123456789", 10);
        assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
        op = op_sendfile(a, &file, 0, 10);
        assert_error(rig_perform(&rig, &op), PAL_EPIPE);
        file_close(file);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(calls_sendfile, a_peer_that_resets_ends_it)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;
    int32_t result;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    file = large_file();
    while ((op = op_sendfile(a, &file, 0, LARGE), pal_submit(rig.poll, &op)) == 1) /* until it has to wait */
        cr_assert_eq(op.result, LARGE);
    close_with_reset(b);
    result = rig_outcome(&rig, &op);
    cr_assert(result > 0 || result == PAL_ECONNRESET || result == PAL_EPIPE, "%s", pal_error_name(result));
    file_close(file);
    sock_close(a);
    rig_close(&rig);
}

/* ---- what is refused ---- */

/* As the op's outcome, or by submit. */
static void expect_refused(struct rig *rig, struct pal_op op, int error)
{
    assert_error(rig_perform(rig, &op), error);
    cr_assert_str_neq(pal_reason(), "", "%s without a reason", pal_error_name(error));
}

Test(calls_sendfile, only_streams_of_sockets_take_files)
{
    static const enum pair_kind kinds[] = {PAIR_UDP4, PAIR_UNIX_DGRAM, PAIR_UNIX_SEQPACKET};
    struct rig rig;
    pal_sock ends[2];
    pal_file file;

    require_sendfile();
    rig_open(&rig, 2);
    file = temporary_file("0123456789", 10);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!pair_available(kinds[i]))
            continue;
        pair_open(kinds[i], &ends[0], &ends[1]);
        expect_refused(&rig, op_sendfile(ends[0], &file, 0, 10), PAL_ENOTSUP);
        assert_error(pal_sock_recv(ends[1], &(char){0}, 1, 0), PAL_EAGAIN);
        pair_close(ends[0], ends[1]);
    }
    assert_error(pal_pipe(ends, 0), 0);
    expect_refused(&rig, op_sendfile(ends[1], &file, 0, 10), PAL_ENOTSUP);
    pair_close(ends[0], ends[1]);
    file_close(file);
    rig_close(&rig);
}

Test(calls_sendfile, what_is_no_open_file_is_not_sent)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file, closed, writes, directory;
    struct pal_op op;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    closed = temporary_file("0123456789", 10);
    file_close(closed);
    expect_refused(&rig, op_sendfile(a, &closed, 0, 10), PAL_EBADF);
    file = (pal_file){0};
    expect_refused(&rig, op_sendfile(a, &file, 0, 10), PAL_EBADF);
    file = (pal_file){b.id};
    expect_refused(&rig, op_sendfile(a, &file, 0, 10), PAL_EBADF);
    expect_refused(&rig, op_sendfile(a, NULL, 0, 10), PAL_EINVAL);
    writes = file_open(temporary_latest(), PAL_FILE_WRITE);
    expect_refused(&rig, op_sendfile(a, &writes, 0, 10), PAL_EBADF);
    directory = file_open(".", PAL_FILE_READ);
    op = op_sendfile(a, &directory, 0, 10);
    cr_assert_lt(rig_perform(&rig, &op), 0);
    file = file_open(temporary_latest(), PAL_FILE_READ);
    expect_refused(&rig, op_sendfile(a, &file, UINT64_MAX, 10), PAL_EINVAL);
    expect_refused(&rig, op_sendfile(a, &file, INT64_MAX, 10), PAL_EINVAL);
    assert_error(pal_sock_recv(b, &(char){0}, 1, 0), PAL_EAGAIN);
    file_close(writes);
    file_close(directory);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}

Test(calls_sendfile, it_is_the_sockets_one_writer)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op, second;

    require_sendfile();
    rig_open(&rig, 2);
    pair_open(pair_kind_bounded(), &a, &b);
    file = large_file();
    op = op_sendfile(a, &file, 0, LARGE);
    rig_submit(&rig, &op);
    second = op_sendfile(a, &file, 0, 1);
    assert_error(pal_submit(rig.poll, &second), PAL_EBUSY);
    assert_error(pal_watch(rig.poll, a, PAL_OUT, 2), PAL_EBUSY);
    assert_error(pal_sock_close(a), PAL_EBUSY);
    expect_pattern(&rig, b, 0, LARGE);
    cr_assert_eq(rig_outcome(&rig, &op), LARGE);
    file_close(file);
    pair_close(a, b);
    rig_close(&rig);
}
