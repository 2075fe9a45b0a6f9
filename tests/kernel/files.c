/* files.c: what tests/conformance/calls_files.c and calls_sendfile.c cannot see: system calls, descriptors, pipes and
 * devices by name, limits and the signals that go with them, rights, fork. Rules 13, 15 and 17. */
#include "../conformance/temporary.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { BOTH = PAL_FILE_READ | PAL_FILE_WRITE, TIMES = 10 };

TestSuite(files, .fini = temporary_remove_all);

static int open_result(const char *path, uint32_t flags)
{
    pal_file file = {0};
    int error = pal_file_open(path, flags, 0600, &file);

    if (error == 0)
        file_close(file);
    return error;
}

/* ---- system calls ---- */

static void io_on_a_file(void *arg)
{
    pal_file file = *(const pal_file *)arg;
    struct pal_file_info info;
    char bytes[100] = {0};

    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_file_write(file, bytes, sizeof(bytes), 5) == sizeof(bytes));
        must(pal_file_read(file, bytes, sizeof(bytes), 5) == sizeof(bytes));
        must(pal_file_info(file, &info) == 0);
        must(pal_file_resize(file, 200) == 0);
        must(pal_file_sync(file, PAL_FILE_SYNC_ALL) == 0);
        must(pal_file_sync(file, PAL_FILE_SYNC_DATA) == 0);
    }
    syscount_end();
}

Test(files, every_call_is_one_system_call)
{
    pal_file file = temporary_file("", 0);
    struct syscount calls = calls_of(io_on_a_file, &file);

    cr_assert_eq(calls.total, 6 * TIMES);
    cr_assert_eq(calls.by_number[SYS_pwrite64], TIMES);
    cr_assert_eq(calls.by_number[SYS_pread64], TIMES);
    file_close(file);
}

struct opening {
    const char *path;
    uint32_t flags;
};

static void open_and_close(void *arg)
{
    const struct opening *opening = (const struct opening *)arg;
    pal_file file;

    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_file_open(opening->path, opening->flags, 0600, &file) == 0);
        must(pal_file_close(file) == 0);
    }
    syscount_end();
}

/* Without those by which musl's open makes sure of O_CLOEXEC. */
static unsigned opening_costs(const char *path, uint32_t flags)
{
    struct opening opening = {path, flags};
    struct syscount calls = calls_of(open_and_close, &opening);

    return calls.total - calls.by_number[SYS_fcntl];
}

Test(files, opening_is_two_calls_or_three)
{
    file_close(temporary_file("", 0));
    cr_assert_eq(opening_costs(temporary_latest(), PAL_FILE_READ), (2 + 1) * TIMES);
    cr_assert_eq(opening_costs(temporary_latest(), BOTH), (3 + 1) * TIMES);
    cr_assert_eq(opening_costs("/dev/null", PAL_FILE_READ), (3 + 1) * TIMES);
}

/* ---- descriptors ---- */

static int newest_descriptor(const char *path)
{
    struct stat wanted, found;

    cr_assert_eq(stat(path, &wanted), 0);
    for (int fd = 0; fd < 256; fd++) {
        if (fstat(fd, &found) == 0 && found.st_ino == wanted.st_ino && found.st_dev == wanted.st_dev)
            return fd;
    }
    return -1;
}

Test(files, no_new_program_inherits_a_file)
{
    pal_file file = temporary_file("", 0);
    int fd = newest_descriptor(temporary_latest());

    cr_assert_geq(fd, 0);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    file_close(file);
    cr_assert_lt(fcntl(fd, F_GETFD), 0, "it is still open");
}

Test(files, at_the_limit_open_says_so_and_keeps_no_handle)
{
    int fillers[256], count = 0;
    struct rlimit limit;
    uint64_t before = 0, after = 0;
    pal_file file = temporary_file("", 0);

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &before), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 128;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < 256 && (fillers[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    assert_error(open_result(temporary_latest(), PAL_FILE_READ), PAL_EMFILE);
    cr_assert_eq(pal_native_error(), EMFILE);
    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &after), 0);
    cr_assert_eq(after, before);
    cr_assert_gt(count, 0);
    (void)close(fillers[--count]);
    assert_error(open_result(temporary_latest(), PAL_FILE_READ), 0);
    while (count > 0)
        (void)close(fillers[--count]);
    file_close(file);
}

/* ---- what streams ---- */

static void refused_as_stream(const char *path)
{
    static const uint32_t flags[] = {PAL_FILE_READ, PAL_FILE_WRITE, BOTH, BOTH | PAL_FILE_CREATE | PAL_FILE_TRUNCATE};
    int before = descriptors_open();

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        int error = open_result(path, flags[i]);

        cr_expect_eq(error, PAL_ENOTSUP, "%s with flags 0x%x: %s", path, (unsigned)flags[i], pal_error_name(error));
        cr_expect_not_null(strstr(pal_reason(), "pal_sock_adopt"), "no remedy: %s", pal_reason());
    }
    cr_expect_eq(descriptors_open(), before, "%s leaves descriptors", path);
}

Test(files, a_pipe_is_refused_without_waiting_for_its_other_end, .timeout = 20)
{
    const char *path = temporary_path();
    int fd;
    char bytes[8] = {0};

    cr_assert_eq(mkfifo(path, 0600), 0);
    refused_as_stream(path);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "kept", 4), 4);
    refused_as_stream(path);
    cr_assert_eq(read(fd, bytes, sizeof(bytes)), 4);
    cr_assert_arr_eq(bytes, "kept", 4);
    (void)close(fd);
}

Test(files, a_terminal_is_refused_and_does_not_become_the_process_s_own)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[128];

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, sizeof(name)) != 0)
        test_skip("pty", "no terminal to be had");
    refused_as_stream(name);
    refused_as_stream("/dev/ptmx");
    (void)close(master);
}

static void refuse_terminal_as_leader(void *arg)
{
    pal_file file;
    int fd;

    must(setsid() >= 0);
    must(pal_file_open((const char *)arg, BOTH, 0, &file) == PAL_ENOTSUP);
    fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    must(fd < 0);
}

Test(files, a_session_leader_gets_no_terminal_by_trying)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[128];

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, sizeof(name)) != 0)
        test_skip("pty", "no terminal to be had");
    in_child(refuse_terminal_as_leader, name);
    (void)close(master);
}

Test(files, the_path_of_a_unix_socket_is_refused)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_lt(strlen(temporary_path()), sizeof(name.sun_path));
    (void)strcpy(name.sun_path, temporary_latest());
    cr_assert_eq(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    refused_as_stream(name.sun_path);
    (void)close(fd);
}

/* ---- devices ---- */

Test(files, devices_that_take_offsets_are_files)
{
    static const char zeros[64];
    char bytes[64];
    struct pal_file_info info;
    pal_file null = file_open("/dev/null", BOTH), zero = file_open("/dev/zero", PAL_FILE_READ);

    assert_error(pal_file_write(null, "gone", 4, 0), 4);
    assert_error(pal_file_read(null, bytes, sizeof(bytes), 0), 0);
    assert_error(pal_file_read(zero, bytes, sizeof(bytes), 1000), sizeof(bytes));
    cr_assert_arr_eq(bytes, zeros, sizeof(bytes));
    assert_error(pal_file_info(null, &info), 0);
    cr_assert_eq(info.kind, PAL_FILE_OTHER);
    assert_error(pal_file_sync(null, PAL_FILE_SYNC_ALL), PAL_ENOTSUP);
    assert_error(pal_file_sync(null, PAL_FILE_SYNC_DATA), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_file_resize(null, 10), PAL_EINVAL);
    file_close(null);
    file_close(zero);
}

Test(files, no_space_is_enospc)
{
    pal_file full = file_open("/dev/full", PAL_FILE_WRITE);

    assert_error(pal_file_write(full, "x", 1, 0), PAL_ENOSPC);
    cr_assert_eq(pal_native_error(), ENOSPC);
    file_close(full);
}

/* What the page cache does not hold cannot be read past it. */
Test(files, without_direct_access_direct_is_refused)
{
    assert_error(open_result("/proc/self/status", PAL_FILE_READ | PAL_FILE_DIRECT), PAL_ENOTSUP);
    cr_assert_not_null(strstr(pal_reason(), "PAL_FILE_DIRECT"));
    assert_error(open_result("/proc/self/status", PAL_FILE_READ), 0);
}

/* ---- limits on the size of files ---- */

static volatile sig_atomic_t signalled;

static void count_signal(int number)
{
    (void)number;
    signalled++;
}

static void limit_file_size(void)
{
    struct rlimit limit;

    must(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = 1000;
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void meet_the_limit(const char *path)
{
    static const char bytes[300];
    pal_file file = {0};

    must(pal_file_open(path, BOTH, 0, &file) == 0);
    must(pal_file_write(file, bytes, sizeof(bytes), 800) == 200); /* up to the limit */
    must(pal_file_write(file, bytes, sizeof(bytes), 1000) == PAL_EFBIG);
    must(pal_native_error() == EFBIG);
    must(pal_file_resize(file, 1001) == PAL_EFBIG);
    must(pal_file_resize(file, 1000) == 0);
    must(pal_file_close(file) == 0);
}

static void limit_by_default(void *path)
{
    limit_file_size();
    must(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    meet_the_limit((const char *)path);
}

static void limit_with_handler(void *path)
{
    limit_file_size();
    must(signal(SIGXFSZ, count_signal) != SIG_ERR);
    meet_the_limit((const char *)path);
    must(signalled == 0);
    must(raise(SIGXFSZ) == 0 && signalled == 1);
}

static void limit_while_blocked(void *path)
{
    sigset_t set, pending;

    limit_file_size();
    must(sigemptyset(&set) == 0 && sigaddset(&set, SIGXFSZ) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    meet_the_limit((const char *)path);
    must(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 0);
    must(raise(SIGXFSZ) == 0);
    meet_the_limit((const char *)path);
    must(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1); /* that one is the program's */
    must(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGXFSZ) == 1);
}

Test(files, a_limit_on_sizes_is_efbig_and_no_signal)
{
    static void (*const ways[])(void *) = {limit_by_default, limit_with_handler, limit_while_blocked};

    file_close(temporary_file("", 0));
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        in_child(ways[i], (void *)(uintptr_t)temporary_latest());
}

/* ---- rights and links ---- */

static void open_as_somebody(void *arg)
{
    const char *path = (const char *)arg;
    pal_file file = {0};

    if (geteuid() == 0)
        must(seteuid(65534) == 0);
    must(pal_file_open(path, PAL_FILE_READ, 0, &file) == PAL_EACCES);
    must(pal_file_open(path, PAL_FILE_WRITE, 0, &file) == PAL_EACCES);
    must(pal_native_error() == EACCES);
    must(pal_file_open("/proc/self/status", PAL_FILE_WRITE, 0, &file) == PAL_EACCES);
    must(file.id == 0);
}

Test(files, what_may_not_be_opened_is_eacces)
{
    file_close(temporary_file("", 0));
    cr_assert_eq(chmod(temporary_latest(), 0), 0);
    in_child(open_as_somebody, (void *)(uintptr_t)temporary_latest());
}

Test(files, links_in_a_circle_are_eloop)
{
    const char *path = temporary_path();

    cr_assert_eq(symlink(path, path), 0);
    assert_error(open_result(path, PAL_FILE_READ), PAL_ELOOP);
    assert_error(open_result(path, BOTH | PAL_FILE_CREATE), PAL_ELOOP);
}

Test(files, a_new_file_has_its_mode_less_the_umask)
{
    const char *path = temporary_path();
    struct pal_file_info info;
    mode_t before = umask(027);
    pal_file file = {0};

    assert_error(pal_file_open(path, BOTH | PAL_FILE_CREATE, 0777, &file), 0);
    (void)umask(before);
    assert_error(pal_file_info(file, &info), 0);
    cr_assert_eq(info.mode, 0750);
    cr_assert_eq(chmod(path, 06711), 0);
    assert_error(pal_file_info(file, &info), 0);
    cr_assert_eq(info.mode, 06711);
    file_close(file);
}

Test(files, times_before_1970_are_0)
{
    static const struct timespec times[2] = {{.tv_sec = -1000}, {.tv_sec = -1000}};
    struct pal_file_info info;
    pal_file file = temporary_file("", 0);

    cr_assert_eq(utimensat(AT_FDCWD, temporary_latest(), times, 0), 0);
    assert_error(pal_file_info(file, &info), 0);
    cr_assert_eq(info.modified_ns, 0);
    file_close(file);
}

/* ---- fork ---- */

static void use_inherited(void *arg)
{
    pal_file file = *(const pal_file *)arg;
    char bytes[16];

    must(pal_file_read(file, bytes, sizeof(bytes), 0) == 10);
    must(memcmp(bytes, "0123456789", 10) == 0);
    must(pal_file_write(file, "child", 5, 10) == 5);
    must(pal_file_close(file) == 0);
    must(pal_file_close(file) == PAL_EBADF);
}

Test(files, a_child_uses_and_closes_its_own)
{
    pal_file file = temporary_file("0123456789", 10);

    in_child(use_inherited, &file);
    file_expect(file, 0, "0123456789child");
    file_close(file);
}
