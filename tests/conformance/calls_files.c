/* calls_files.c: positional files: opening, reading and writing at offsets, sizes, syncing, what is told about them,
 * and every error that can be made without knowing the system. Pipes, devices and limits are in tests/kernel/files.c.
 */
#include "calls_common.h"
#include "temporary.h"

enum { BOTH = PAL_FILE_READ | PAL_FILE_WRITE, ABSENT = 0 };

TestSuite(calls_files, .fini = temporary_remove_all);

static void expect_refused(int result, int error)
{
    assert_error(result, error);
    cr_assert_str_neq(pal_reason(), "", "%s without a reason", pal_error_name(error));
}

static int open_result(const char *path, uint32_t flags)
{
    pal_file file = {0};
    int error = pal_file_open(path, flags, 0600, &file);

    if (error == 0)
        file_close(file);
    else
        cr_assert_eq(file.id, 0, "a refused open writes a handle");
    return error;
}

/* ---- reading and writing ---- */

Test(calls_files, what_is_written_is_read_at_its_offset)
{
    char bytes[16];
    pal_file file = temporary_file("0123456789", 10);

    file_expect(file, 0, "0123456789");
    file_expect(file, 7, "789");
    cr_assert_eq(pal_file_read(file, bytes, 4, 3), 4);
    cr_assert_arr_eq(bytes, "3456", 4);
    cr_assert_eq(pal_file_write(file, "ab", 2, 8), 2);
    file_expect(file, 0, "01234567ab");
    cr_assert_eq(pal_file_write(file, "xyz", 3, 9), 3);
    file_expect(file, 0, "01234567axyz");
    file_close(file);
}

Test(calls_files, at_the_end_and_beyond_nothing_is_read)
{
    char bytes[4] = "....";
    pal_file file = temporary_file("0123456789", 10);

    cr_assert_eq(pal_file_read(file, bytes, 4, 10), 0);
    cr_assert_eq(pal_file_read(file, bytes, 4, 1000000), 0);
    cr_assert_eq(pal_file_read(file, bytes, 4, INT64_MAX - 4), 0);
    cr_assert_arr_eq(bytes, "....", 4);
    file_close(file);
}

Test(calls_files, nothing_is_read_and_written_as_well)
{
    char byte = '.';
    pal_file file = temporary_file("x", 1);

    cr_assert_eq(pal_file_read(file, &byte, 0, 0), 0);
    cr_assert_eq(pal_file_read(file, NULL, 0, 0), 0);
    cr_assert_eq(pal_file_write(file, NULL, 0, 100), 0);
    cr_assert_eq(byte, '.');
    cr_assert_eq(file_size(file), 1);
    file_close(file);
}

Test(calls_files, a_gap_reads_as_zeros)
{
    static const char zeros[995];
    char bytes[1005];
    pal_file file = temporary_file("begin", 5);

    file_write(file, "end", 3, 1000);
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 0), 1003);
    cr_assert_arr_eq(bytes, "begin", 5);
    cr_assert_arr_eq(bytes + 5, zeros, 995);
    cr_assert_arr_eq(bytes + 1000, "end", 3);
    file_close(file);
}

Test(calls_files, offsets_beyond_four_gigabytes)
{
    static const uint64_t offsets[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(5) << 30};
    pal_file file = temporary_file("begin", 5);

    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        int32_t result = pal_file_write(file, "12345678", 8, offsets[i] - 4);

        if (result == PAL_EFBIG || result == PAL_ENOSPC)
            test_skip("large-files", "this file system has none: %s", pal_error_name(result));
        cr_assert_eq(result, 8);
        file_expect(file, offsets[i] - 4, "12345678");
        file_expect(file, offsets[i], "5678");
        cr_assert_eq(file_size(file), offsets[i] + 4);
    }
    cr_assert_eq(pal_file_read(file, (char[5]){0}, 5, 0), 5);
    file_close(file);
}

Test(calls_files, two_handles_of_one_file_see_the_same_bytes)
{
    pal_file first = temporary_file("0123456789", 10);
    pal_file second = file_open(temporary_latest(), BOTH);

    file_write(second, "abc", 3, 2);
    file_expect(first, 0, "01abc56789");
    assert_error(pal_file_resize(first, 4), 0);
    file_expect(second, 0, "01ab");
    file_close(first);
    file_expect(second, 0, "01ab");
    file_close(second);
}

struct scribe {
    pal_file file;
    uint64_t offset;
    int32_t failure;
};
enum { SCRIBES = 4, PIECES = 64, PIECE_SIZE = 1024 };

/* Writes its own part of the file piece by piece and reads each back. */
static void scribble(void *arg)
{
    struct scribe *scribe = (struct scribe *)arg;
    uint8_t bytes[PIECE_SIZE];

    for (int i = 0; i < PIECES && scribe->failure == 0; i++, scribe->offset += PIECE_SIZE) {
        fill_pattern(bytes, PIECE_SIZE, scribe->offset);
        if (pal_file_write(scribe->file, bytes, PIECE_SIZE, scribe->offset) != PIECE_SIZE ||
            pal_file_read(scribe->file, bytes, PIECE_SIZE, scribe->offset) != PIECE_SIZE ||
            !is_pattern(bytes, PIECE_SIZE, scribe->offset))
            scribe->failure = i + 1;
    }
}

Test(calls_files, threads_share_a_file_without_a_position)
{
    static uint8_t bytes[SCRIBES * PIECES * PIECE_SIZE];
    struct scribe scribes[SCRIBES];
    pal_thread threads[SCRIBES];
    pal_file file = temporary_file("", 0);

    for (uint64_t i = 0; i < SCRIBES; i++) {
        scribes[i] = (struct scribe){file, i * PIECES * PIECE_SIZE, 0};
        assert_error(pal_thread_start(&threads[i], scribble, &scribes[i]), 0);
    }
    for (int i = 0; i < SCRIBES; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        cr_assert_eq(scribes[i].failure, 0, "piece %d of thread %d", (int)scribes[i].failure, i);
    }
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 0), (int32_t)sizeof(bytes));
    cr_assert(is_pattern(bytes, sizeof(bytes), 0));
    file_close(file);
}

/* ---- opening ---- */

Test(calls_files, create_makes_what_is_missing_and_leaves_what_is_there)
{
    const char *path = temporary_path();
    pal_file file;

    assert_error(open_result(path, BOTH), PAL_ENOENT);
    assert_error(open_result(path, BOTH | PAL_FILE_TRUNCATE), PAL_ENOENT);
    file = file_open(path, BOTH | PAL_FILE_CREATE);
    cr_assert_eq(file_size(file), 0);
    file_write(file, "kept", 4, 0);
    file_close(file);
    assert_error(open_result(path, BOTH | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE), PAL_EEXIST);
    file = file_open(path, PAL_FILE_READ | PAL_FILE_CREATE);
    file_expect(file, 0, "kept");
    file_close(file);
    assert_error(open_result(path, PAL_FILE_READ), 0);
}

Test(calls_files, exclusive_makes_a_file_once)
{
    const char *path = temporary_path();
    const uint32_t flags = BOTH | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE;

    assert_error(open_result(path, flags), 0);
    assert_error(open_result(path, flags), PAL_EEXIST);
    assert_error(open_result(path, flags | PAL_FILE_TRUNCATE), PAL_EEXIST);
}

Test(calls_files, truncate_begins_with_nothing)
{
    pal_file file = temporary_file("0123456789", 10);
    pal_file again = file_open(temporary_latest(), PAL_FILE_WRITE | PAL_FILE_TRUNCATE);

    cr_assert_eq(file_size(file), 0);
    file_write(again, "new", 3, 0);
    file_expect(file, 0, "new");
    file_close(again);
    file_close(file);
}

Test(calls_files, append_goes_to_the_end_whatever_the_offset)
{
    pal_file file = temporary_file("one", 3);
    pal_file end = file_open(temporary_latest(), BOTH | PAL_FILE_APPEND);

    cr_assert_eq(pal_file_write(end, "two", 3, 0), 3);
    cr_assert_eq(pal_file_write(end, "three", 5, 1000000), 5);
    file_write(file, "O", 1, 0);
    cr_assert_eq(pal_file_write(end, "four", 4, 2), 4);
    file_expect(file, 0, "Onetwothreefour");
    file_expect(end, 3, "twothreefour");
    file_close(end);
    file_close(file);
}

Test(calls_files, a_file_does_what_it_was_opened_for_and_no_more)
{
    char byte = '.';
    pal_file reads, writes;

    file_close(temporary_file("0123456789", 10));
    reads = file_open(temporary_latest(), PAL_FILE_READ);
    writes = file_open(temporary_latest(), PAL_FILE_WRITE);
    expect_refused(pal_file_write(reads, "x", 1, 0), PAL_EBADF);
    expect_refused(pal_file_resize(reads, 0), PAL_EINVAL);
    expect_refused(pal_file_read(writes, &byte, 1, 0), PAL_EBADF);
    cr_assert_eq(byte, '.');
    file_expect(reads, 0, "0123456789");
    cr_assert_eq(pal_file_write(writes, "x", 1, 0), 1);
    assert_error(pal_file_resize(writes, 5), 0);
    file_expect(reads, 0, "x1234");
    file_close(reads);
    file_close(writes);
}

Test(calls_files, synchronous_writes_are_writes)
{
    const char *path = temporary_path();
    pal_file file = file_open(path, BOTH | PAL_FILE_CREATE | PAL_FILE_SYNC);

    file_write(file, "0123456789", 10, 0);
    file_expect(file, 0, "0123456789");
    file_close(file);
}

Test(calls_files, past_the_page_cache_in_whole_blocks)
{
    enum { BLOCK = 65536 };
    static _Alignas(BLOCK) uint8_t bytes[BLOCK];
    pal_file file = {0};
    int error = pal_file_open(temporary_path(), BOTH | PAL_FILE_CREATE | PAL_FILE_DIRECT, 0600, &file);

    if (error == PAL_ENOTSUP)
        test_skip("direct-io", "this file system has none");
    assert_error(error, 0);
    fill_pattern(bytes, BLOCK, 0);
    cr_assert_eq(pal_file_write(file, bytes, BLOCK, 0), BLOCK);
    memset(bytes, 0, BLOCK);
    cr_assert_eq(pal_file_read(file, bytes, BLOCK, 0), BLOCK);
    cr_assert(is_pattern(bytes, BLOCK, 0));
    file_close(file);
}

Test(calls_files, flags_that_make_no_sense_are_refused)
{
    static const uint32_t senseless[] = {
        0,
        PAL_FILE_CREATE,
        BOTH | PAL_FILE_EXCLUSIVE,
        PAL_FILE_READ | PAL_FILE_TRUNCATE,
        PAL_FILE_READ | PAL_FILE_APPEND,
        PAL_FILE_READ | PAL_FILE_SYNC,
        BOTH | 256,
        BOTH | UINT32_C(1) << 31,
    };
    pal_file file = temporary_file("kept", 4);

    for (size_t i = 0; i < sizeof(senseless) / sizeof(senseless[0]); i++) {
        int error = open_result(temporary_latest(), senseless[i]);

        cr_expect_eq(error, PAL_EINVAL, "flags 0x%x: %s", (unsigned)senseless[i], pal_error_name(error));
        cr_expect_str_neq(pal_reason(), "", "flags 0x%x: no reason", (unsigned)senseless[i]);
    }
    file_expect(file, 0, "kept");
    file_close(file);
}

Test(calls_files, a_mode_has_permission_bits_only)
{
    pal_file file = {0};
    const char *path = temporary_path();

    expect_refused(pal_file_open(path, BOTH | PAL_FILE_CREATE, 01000, &file), PAL_EINVAL);
    expect_refused(pal_file_open(path, BOTH | PAL_FILE_CREATE, UINT32_MAX, &file), PAL_EINVAL);
    assert_error(open_result(path, BOTH), PAL_ENOENT);
}

Test(calls_files, paths_that_lead_nowhere)
{
    static char path[70000];
    const char *taken;

    file_close(temporary_file("", 0));
    taken = temporary_latest();
    cr_assert_lt(strlen(taken) + 6, sizeof(path));
    (void)strcat(strcpy(path, taken), "/below");
    assert_error(open_result(path, PAL_FILE_READ), PAL_ENOTDIR);
    assert_error(open_result("", PAL_FILE_READ), PAL_ENOENT);
    assert_error(open_result("", BOTH | PAL_FILE_CREATE), PAL_ENOENT);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_error(open_result(path, PAL_FILE_READ), PAL_ENAMETOOLONG);
    (void)strcat(strcpy(path, temporary_path()), "/below");
    assert_error(open_result(path, BOTH | PAL_FILE_CREATE), PAL_ENOENT);
}

Test(calls_files, names_are_utf_8)
{
    char path[600];
    pal_file file;

    (void)strcat(strcpy(path, temporary_path()), "-\xc3\xa4\xe2\x82\xac\xf0\x9d\x84\x9e");
    file = file_open(path, BOTH | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE);
    file_write(file, "x", 1, 0);
    file_close(file);
    assert_error(open_result(path, PAL_FILE_READ), 0);
    cr_assert_eq(remove(path), 0);
    assert_error(open_result(path, PAL_FILE_READ), PAL_ENOENT);
}

/* ---- directories ---- */

Test(calls_files, a_directory_is_opened_to_be_asked_and_synced)
{
    struct pal_file_info info;
    char byte = '.';
    pal_file directory = file_open(".", PAL_FILE_READ);

    assert_error(pal_file_info(directory, &info), 0);
    cr_assert_eq(info.kind, PAL_FILE_DIRECTORY);
    assert_error(pal_file_read(directory, &byte, 1, 0), PAL_EISDIR);
    expect_refused(pal_file_write(directory, &byte, 1, 0), PAL_EBADF);
    expect_refused(pal_file_resize(directory, 0), PAL_EINVAL);
    assert_error(pal_file_sync(directory, PAL_FILE_SYNC_ALL), 0);
    file_close(directory);
    assert_error(open_result(".", PAL_FILE_WRITE), PAL_EISDIR);
    assert_error(open_result(".", BOTH), PAL_EISDIR);
    assert_error(open_result(".", BOTH | PAL_FILE_CREATE), PAL_EISDIR);
}

/* ---- size, sync, information ---- */

Test(calls_files, a_file_grows_by_zeros_and_shrinks)
{
    char bytes[200];
    static const char zeros[95];
    pal_file file = temporary_file("0123456789", 10);

    assert_error(pal_file_resize(file, 100), 0);
    cr_assert_eq(file_size(file), 100);
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 0), 100);
    cr_assert_arr_eq(bytes, "0123456789", 10);
    cr_assert_arr_eq(bytes + 10, zeros, 90);
    assert_error(pal_file_resize(file, 5), 0);
    file_expect(file, 0, "01234");
    assert_error(pal_file_resize(file, 100), 0);
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 5), 95);
    cr_assert_arr_eq(bytes, zeros, 95, "what was cut off comes back");
    assert_error(pal_file_resize(file, 0), 0);
    cr_assert_eq(pal_file_read(file, bytes, sizeof(bytes), 0), 0);
    file_close(file);
}

Test(calls_files, sizes_and_offsets_have_an_end)
{
    char byte = '.';
    pal_file file = temporary_file("0123456789", 10);

    expect_refused(pal_file_read(file, &byte, 1, INT64_MAX), PAL_EINVAL);
    expect_refused(pal_file_read(file, &byte, 1, UINT64_MAX), PAL_EINVAL);
    expect_refused(pal_file_read(file, &byte, 0, UINT64_C(1) << 63), PAL_EINVAL);
    expect_refused(pal_file_write(file, &byte, 1, INT64_MAX), PAL_EINVAL);
    expect_refused(pal_file_write(file, &byte, 1, UINT64_MAX), PAL_EINVAL);
    assert_error(pal_file_write(file, &byte, 1, INT64_MAX - 1), PAL_EFBIG);
    assert_error(pal_file_resize(file, UINT64_MAX), PAL_EFBIG);
    assert_error(pal_file_resize(file, INT64_MAX), PAL_EFBIG);
    file_expect(file, 0, "0123456789");
    file_close(file);
}

Test(calls_files, sync_is_done_for_bytes_and_for_all)
{
    pal_file file = temporary_file("0123456789", 10);

    assert_error(pal_file_sync(file, PAL_FILE_SYNC_ALL), 0);
    assert_error(pal_file_sync(file, PAL_FILE_SYNC_DATA), 0);
    expect_refused(pal_file_sync(file, 2), PAL_EINVAL);
    expect_refused(pal_file_sync(file, -1), PAL_EINVAL);
    file_close(file);
}

Test(calls_files, what_is_known_about_a_file)
{
    struct pal_file_info info, same, changed, other;
    pal_file file = temporary_file("0123456789", 10), again, second;

    again = file_open(temporary_latest(), PAL_FILE_READ);
    second = temporary_file("", 0);
    assert_error(pal_file_info(file, &info), 0);
    cr_assert_eq(info.size, 10);
    cr_assert_eq(info.kind, PAL_FILE_REGULAR);
    cr_assert_eq(info.mode & 0600, 0600);
    cr_assert_neq(info.modified_ns, 0);
    assert_error(pal_file_info(again, &same), 0);
    cr_assert_arr_eq(&same, &info, sizeof(info));
    assert_error(pal_file_info(second, &other), 0);
    cr_assert(other.id[0] != info.id[0] || other.id[1] != info.id[1], "two files are the same");
    file_write(file, "more", 4, 10);
    assert_error(pal_file_info(again, &changed), 0);
    cr_assert_eq(changed.size, 14);
    cr_assert_geq(changed.modified_ns, info.modified_ns);
    cr_assert_arr_eq(changed.id, info.id, sizeof(info.id));
    file_close(file);
    file_close(again);
    file_close(second);
}

/* ---- handles ---- */

static void assert_no_file(pal_file file)
{
    struct pal_file_info info;
    char byte = '.';

    assert_error(pal_file_read(file, &byte, 1, 0), PAL_EBADF);
    assert_error(pal_file_write(file, &byte, 1, 0), PAL_EBADF);
    assert_error(pal_file_sync(file, PAL_FILE_SYNC_ALL), PAL_EBADF);
    assert_error(pal_file_resize(file, 0), PAL_EBADF);
    assert_error(pal_file_info(file, &info), PAL_EBADF);
    assert_error(pal_file_close(file), PAL_EBADF);
}

Test(calls_files, a_handle_that_is_no_file_is_refused)
{
    pal_file closed = temporary_file("0123456789", 10), next;
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    file_close(closed);
    assert_no_file(closed);
    assert_no_file((pal_file){ABSENT});
    assert_no_file((pal_file){UINT64_MAX});
    assert_no_file((pal_file){sock.id});
    next = file_open(temporary_latest(), BOTH);
    cr_assert_neq(next.id, closed.id);
    assert_no_file(closed);
    file_expect(next, 0, "0123456789");
    file_close(next);
    sock_close(sock);
}

Test(calls_files, a_pointer_that_is_needed_may_not_be_null)
{
    pal_file file = temporary_file("x", 1), out = {0};

    expect_refused(pal_file_open(NULL, PAL_FILE_READ, 0, &out), PAL_EINVAL);
    expect_refused(pal_file_open(temporary_latest(), PAL_FILE_READ, 0, NULL), PAL_EINVAL);
    expect_refused(pal_file_read(file, NULL, 1, 0), PAL_EINVAL);
    expect_refused(pal_file_write(file, NULL, 1, 0), PAL_EINVAL);
    expect_refused(pal_file_info(file, NULL), PAL_EINVAL);
    file_close(file);
}

Test(calls_files, files_are_counted_among_the_handles)
{
    uint64_t before = handles_open();
    pal_file file = temporary_file("", 0), again = file_open(temporary_latest(), PAL_FILE_READ);

    cr_assert_eq(handles_open(), before + 2);
    assert_error(open_result(temporary_path(), PAL_FILE_READ), PAL_ENOENT);
    assert_error(open_result(".", BOTH), PAL_EISDIR);
    cr_assert_eq(handles_open(), before + 2, "a refused open keeps a handle");
    file_close(file);
    file_close(again);
    cr_assert_eq(handles_open(), before);
}

Test(calls_files, without_a_handle_nothing_is_opened)
{
    struct pal_setup setup;
    pal_file first, second, third;
    const char *path;

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = 2;
    assert_error(pal_setup(&setup), 0);
    first = temporary_file("0123456789", 10);
    second = file_open(temporary_latest(), PAL_FILE_READ);
    path = temporary_path();
    expect_refused(open_result(path, BOTH | PAL_FILE_CREATE), PAL_ENOBUFS);
    file_close(second);
    assert_error(open_result(path, PAL_FILE_READ), PAL_ENOENT);
    third = file_open(path, BOTH | PAL_FILE_CREATE);
    file_close(third);
    file_close(first);
}
