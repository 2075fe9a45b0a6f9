/* calls_worker_ops.c: what each op that a worker carries out does, and says when it cannot: READ, WRITE, SYNC, RESOLVE,
 * WORK. That they can be cancelled is in rule_04_workers.c, that the pool is bounded in rule_15_workers.c. */
#include "calls_common.h"
#include "jobs.h"

enum { OP = 1, BUSY = 2 };

static void expect_refused(struct rig *rig, struct pal_op op, int error)
{
    assert_error(pal_submit(rig->poll, &op), error);
    cr_assert_str_neq(pal_reason(), "", "op %d is refused without a reason", op.kind);
    rig_silent(rig, op.data, 2);
}

/* ---- files ---- */

/* A rig and a scratch file with this text. */
static pal_file begin_with_file(struct rig *rig, const char *text)
{
    set_up_workers(2);
    rig_open(rig, 2);
    return open_scratch_file(text, strlen(text));
}

static void end_with_file(struct rig *rig, pal_file file)
{
    assert_error(pal_file_close(file), 0);
    rig_close(rig);
}

static int32_t perform_on_file(struct rig *rig, uint8_t kind, pal_file file, void *buffer, size_t size, uint64_t offset)
{
    struct pal_op op = op_file(kind, file, OP, buffer, size, offset);

    return rig_perform(rig, &op);
}

Test(calls_worker_ops, read_takes_what_is_there_from_its_offset_on)
{
    struct rig rig;
    pal_file file = begin_with_file(&rig, "0123456789");
    static char bytes[8]; /* not near the end of the address space, as the stack is: there is to be room for 1 GiB */

    memset(bytes, '.', sizeof(bytes));
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, bytes, 4, 3), 4);
    cr_assert_arr_eq(bytes, "3456....", 8);
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, bytes, 8, 8), 2);
    cr_assert_arr_eq(bytes, "8956....", 8);
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, bytes, 8, 10), 0);
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, bytes, 8, 1000), 0);
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, NULL, 0, 0), 0);
    assert_error(perform_on_file(&rig, PAL_OP_READ, file, bytes, SIZE_MAX, 8), 2); /* cut to PAL_IO_MAX */
    cr_assert_arr_eq(bytes, "8956....", 8);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, write_puts_bytes_at_its_offset)
{
    struct rig rig;
    pal_file file = begin_with_file(&rig, "0123456789");
    char bytes[16] = "abcdef", found[16];

    assert_error(perform_on_file(&rig, PAL_OP_WRITE, file, bytes, 3, 2), 3);
    assert_error(perform_on_file(&rig, PAL_OP_WRITE, file, bytes, 6, 8), 6);
    assert_error(perform_on_file(&rig, PAL_OP_WRITE, file, NULL, 0, 100), 0);
    cr_assert_eq(pal_file_read(file, found, sizeof(found), 0), 14);
    cr_assert_arr_eq(found, "01abc567abcdef", 14);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, sync_returns_when_it_is_done)
{
    struct rig rig;
    pal_file file = begin_with_file(&rig, "0123456789");
    struct pal_op op = op_file(PAL_OP_SYNC, file, OP, NULL, 0, 0);

    assert_error(rig_perform(&rig, &op), 0);
    op.flags = PAL_OP_DATA;
    assert_error(rig_perform(&rig, &op), 0);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, many_reads_at_once_keep_their_offsets)
{
    enum { PIECES = 64, PIECE_SIZE = 512 };
    static uint8_t content[PIECES * PIECE_SIZE], found[PIECES * PIECE_SIZE];
    struct pal_op ops[PIECES];
    struct rig rig;
    pal_file file = begin_with_file(&rig, "");

    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 167 >> 3);
    for (uint64_t i = 0; i < PIECES; i++) {
        ops[i] = op_file(PAL_OP_WRITE, file, i, content + i * PIECE_SIZE, PIECE_SIZE, i * PIECE_SIZE);
        rig_submit(&rig, &ops[i]);
    }
    for (int i = 0; i < PIECES; i++)
        assert_error(rig_outcome(&rig, &ops[i]), PIECE_SIZE);
    for (uint64_t i = 0; i < PIECES; i++) {
        ops[i] = op_file(PAL_OP_READ, file, i, found + i * PIECE_SIZE, PIECE_SIZE, i * PIECE_SIZE);
        rig_submit(&rig, &ops[i]);
    }
    for (int i = PIECES - 1; i >= 0; i--)
        assert_error(rig_outcome(&rig, &ops[i]), PIECE_SIZE);
    cr_assert_arr_eq(found, content, sizeof(content));
    end_with_file(&rig, file);
}

Test(calls_worker_ops, what_the_file_refuses_is_the_result)
{
    struct rig rig;
    pal_file file = begin_with_file(&rig, "0123456789"), directory;
    char byte = 0;

    if (pal_file_open(".", PAL_FILE_READ, 0, &directory) == 0) {
        cr_assert_lt(perform_on_file(&rig, PAL_OP_READ, directory, &byte, 1, 0), 0);
        cr_assert_lt(perform_on_file(&rig, PAL_OP_WRITE, directory, &byte, 1, 0), 0);
        assert_error(pal_file_close(directory), 0);
    }
    cr_assert_lt(perform_on_file(&rig, PAL_OP_READ, file, &byte, 1, UINT64_MAX), 0);
    cr_assert_lt(perform_on_file(&rig, PAL_OP_WRITE, file, &byte, 1, UINT64_MAX), 0);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, what_is_no_open_file_is_refused)
{
    static const uint8_t kinds[] = {PAL_OP_READ, PAL_OP_WRITE, PAL_OP_SYNC};
    struct rig rig;
    pal_file file = begin_with_file(&rig, ""), closed;
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    char byte = 0;

    closed = open_scratch_file("", 0);
    assert_error(pal_file_close(closed), 0);
    for (size_t i = 0; i < sizeof(kinds); i++) {
        expect_refused(&rig, op_file(kinds[i], closed, OP, &byte, 1, 0), PAL_EBADF);
        expect_refused(&rig, op_file(kinds[i], (pal_file){0}, OP, &byte, 1, 0), PAL_EBADF);
        expect_refused(&rig, op_file(kinds[i], (pal_file){UINT64_MAX}, OP, &byte, 1, 0), PAL_EBADF);
        expect_refused(&rig, op_file(kinds[i], (pal_file){sock.id}, OP, &byte, 1, 0), PAL_EBADF);
    }
    sock_close(sock);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, no_buffer_and_unknown_flags_are_refused)
{
    struct rig rig;
    pal_file file = begin_with_file(&rig, "");
    char byte = 0;
    struct pal_op op = op_file(PAL_OP_READ, file, OP, &byte, 1, 0);

    expect_refused(&rig, op_file(PAL_OP_READ, file, OP, NULL, 1, 0), PAL_EINVAL);
    expect_refused(&rig, op_file(PAL_OP_WRITE, file, OP, NULL, 1, 0), PAL_EINVAL);
    op.flags = PAL_OP_DATA;
    expect_refused(&rig, op, PAL_EINVAL);
    op.kind = PAL_OP_SYNC;
    op.flags = 0x8000;
    expect_refused(&rig, op, PAL_EINVAL);
    end_with_file(&rig, file);
}

Test(calls_worker_ops, a_file_does_not_close_while_an_op_is_out)
{
    struct rig rig;
    struct busy_worker busy[2];
    pal_file file = begin_with_file(&rig, "0123456789");
    char byte = 0;
    struct pal_op op = op_file(PAL_OP_READ, file, OP, &byte, 1, 0), twin = op;

    for (uint64_t i = 0; i < 2; i++)
        occupy_worker(&rig, &busy[i], BUSY + i);
    twin.data = OP + 100;
    rig_submit(&rig, &op);
    rig_submit(&rig, &twin);
    for (int i = 0; i < 2; i++) {
        assert_error(pal_file_close(file), PAL_EBUSY);
        cr_assert_str_neq(pal_reason(), "");
        rig_cancel(&rig, &op);
    }
    for (int i = 0; i < 2; i++)
        release_worker(&rig, &busy[i]);
    assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
    assert_error(rig_outcome(&rig, &twin), 1);
    end_with_file(&rig, file);
}

/* ---- names ---- */

Test(calls_worker_ops, resolve_finds_what_pal_resolve_finds)
{
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_addr addrs[4];
    struct pal_op op = op_resolve(OP, &query, addrs, 4);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    memset(addrs, 0xa5, sizeof(addrs));
    assert_error(rig_perform(&rig, &op), 1);
    assert_same_address(addrs[0], host_address("192.0.2.7", 80));
    cr_assert_eq(addrs[1].family, 0xa5, "more was written than found");
    query = numeric_query("2001:db8::7", NULL);
    assert_error(rig_perform(&rig, &op), 1);
    assert_same_address(addrs[0], host_address("2001:db8::7", 0));
    query = numeric_query(NULL, "80");
    query.family = PAL_AF_INET;
    assert_error(rig_perform(&rig, &op), 1);
    assert_same_address(addrs[0], loopback(PAL_AF_INET, 80));
    rig_close(&rig);
}

Test(calls_worker_ops, addresses_beyond_the_room_are_counted)
{
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_addr addrs[8];
    struct pal_op op = op_resolve(OP, &query, addrs, 1);
    struct rig rig;
    int found;

    set_up_workers(1);
    rig_open(&rig, 2);
    query.type = 0;
    found = pal_resolve(&query, addrs, 8);
    cr_assert_geq(found, 1);
    memset(addrs, 0xa5, sizeof(addrs));
    assert_error(rig_perform(&rig, &op), found);
    assert_same_address(addrs[0], host_address("192.0.2.7", 80));
    cr_assert_eq(addrs[1].family, 0xa5, "written beyond the room");
    op = op_resolve(OP, &query, NULL, 0);
    assert_error(rig_perform(&rig, &op), found);
    rig_close(&rig);
}

Test(calls_worker_ops, what_does_not_resolve_is_the_result_and_nothing_is_written)
{
    struct pal_query query = numeric_query("no.such.host.invalid", NULL);
    struct pal_addr addr;
    char canonical[64] = "as it was";
    struct pal_op op = op_resolve(OP, &query, &addr, 1);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    memset(&addr, 0xa5, sizeof(addr));
    query.canonical = canonical;
    query.canonical_size = sizeof(canonical);
    assert_error(rig_perform(&rig, &op), PAL_ENONAME);
    cr_assert_eq(addr.family, 0xa5);
    cr_assert_str_eq(canonical, "as it was");
    query.flags = 0x80000000;
    assert_error(rig_perform(&rig, &op), PAL_EINVAL);
    rig_close(&rig);
}

Test(calls_worker_ops, the_canonical_name_is_told_cut_to_its_room)
{
    static const size_t sizes[] = {64, 10, 5, 1, 0, 100000};
    static char canonical[100000];
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_addr addr;
    struct pal_op op = op_resolve(OP, &query, &addr, 1);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char expected[64];

        memset(canonical, '.', sizeof(canonical));
        memset(expected, '.', sizeof(expected));
        query.canonical = expected;
        query.canonical_size = sizes[i] < sizeof(expected) ? sizes[i] : sizeof(expected);
        assert_error(pal_resolve(&query, &addr, 1), 1);
        query.canonical = canonical;
        query.canonical_size = sizes[i];
        assert_error(rig_perform(&rig, &op), 1);
        cr_assert_arr_eq(canonical, expected, sizeof(expected), "room for %zu", sizes[i]);
    }
    rig_close(&rig);
}

Test(calls_worker_ops, a_query_may_go_when_submit_has_returned)
{
    char host[16] = "192.0.2.7", service[4] = "80", canonical[32] = "";
    struct pal_query query = numeric_query(host, service);
    struct pal_addr addr;
    struct pal_op op = op_resolve(OP, &query, &addr, 1);
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, BUSY);
    query.canonical = canonical;
    query.canonical_size = sizeof(canonical);
    rig_submit(&rig, &op);
    memset(host, 'x', sizeof(host));
    memset(service, 'x', sizeof(service));
    memset(&query, 0xa5, sizeof(query));
    release_worker(&rig, &busy);
    assert_error(rig_outcome(&rig, &op), 1);
    assert_same_address(addr, host_address("192.0.2.7", 80));
    cr_assert_str_eq(canonical, "192.0.2.7");
    rig_close(&rig);
}

Test(calls_worker_ops, a_query_of_nothing_or_too_much_is_refused)
{
    static char text[2048];
    struct pal_query query = numeric_query("192.0.2.7", NULL);
    struct pal_addr addr;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    memset(text, 'x', sizeof(text) - 1);
    expect_refused(&rig, op_resolve(OP, NULL, &addr, 1), PAL_EINVAL);
    expect_refused(&rig, op_resolve(OP, &query, NULL, 1), PAL_EINVAL);
    expect_refused(&rig, op_resolve(OP, &query, &addr, PAL_RESOLVE_MAX + 1), PAL_EINVAL);
    query.host = NULL;
    expect_refused(&rig, op_resolve(OP, &query, &addr, 1), PAL_EINVAL);
    query.host = text;
    expect_refused(&rig, op_resolve(OP, &query, &addr, 1), PAL_EINVAL);
    query.host = "192.0.2.7";
    query.service = text;
    expect_refused(&rig, op_resolve(OP, &query, &addr, 1), PAL_EINVAL);
    rig_close(&rig);
}

Test(calls_worker_ops, room_for_as_many_addresses_as_there_may_be)
{
    static struct pal_addr addrs[PAL_RESOLVE_MAX];
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_op op = op_resolve(OP, &query, addrs, PAL_RESOLVE_MAX);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    assert_error(rig_perform(&rig, &op), 1);
    assert_same_address(addrs[0], host_address("192.0.2.7", 80));
    cr_assert_eq(addrs[1].family, 0);
    rig_close(&rig);
}

/* ---- work ---- */

static int32_t return_what_is_there(void *argument)
{
    return *(const int32_t *)argument;
}

Test(calls_worker_ops, work_yields_whatever_its_function_returns)
{
    static const int32_t numbers[] = {0, 1, -1, INT32_MAX, INT32_MIN, PAL_ECANCELED};
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int32_t number = numbers[i];
        struct pal_work work = {return_what_is_there, &number};
        struct pal_op op = op_work(OP, &work);

        rig_submit(&rig, &op);
        memset(&work, 0, sizeof(work)); /* it need not outlive submit */
        cr_assert_eq(rig_outcome(&rig, &op), numbers[i]);
    }
    rig_close(&rig);
}

Test(calls_worker_ops, work_without_a_function_is_refused)
{
    struct pal_work work = {NULL, NULL};
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    expect_refused(&rig, op_work(OP, NULL), PAL_EINVAL);
    expect_refused(&rig, op_work(OP, &work), PAL_EINVAL);
    rig_close(&rig);
}

/* What a WORK function may call: here names, sockets, clocks, and the wake of the poll that waits for it. */
static int32_t use_the_seam(void *poll)
{
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_addr addr;
    pal_sock ends[2];
    char byte = 0;

    if (pal_resolve(&query, &addr, 1) != 1 || pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends) != 0)
        return -1;
    if (pal_sock_send(ends[0], "x", 1, 0) != 1 || pal_sock_recv(ends[1], &byte, 1, 0) != 1)
        return -2;
    if (pal_sock_close(ends[0]) != 0 || pal_sock_close(ends[1]) != 0)
        return -3;
    return pal_poll_wake((pal_poll *)poll);
}

Test(calls_worker_ops, work_may_call_what_is_for_any_thread)
{
    struct pal_work work = {use_the_seam, NULL};
    struct pal_op op = op_work(OP, &work);
    struct rig rig;

    set_up_workers(1);
    if (!has_caps(PAL_CAP_SHARED_SOCKS) || !pair_available(PAIR_UNIX_STREAM))
        test_skip("shared-socks unix", "other threads cannot use a socket pair here");
    rig_open(&rig, 2);
    work.argument = rig.poll;
    assert_error(rig_perform(&rig, &op), 0);
    (void)rig_until(&rig, 0, PAL_EV_WAKE);
    rig_close(&rig);
}
