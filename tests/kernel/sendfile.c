/* sendfile.c: what tests/conformance/calls_sendfile.c cannot see of PAL_OP_SENDFILE: its system calls, no SIGPIPE, and
 * what it does to the mode of the socket's description. Rule 15. */
#include "../conformance/temporary.h"
#include "kernel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { OP = 1, TIMES = 10 };

TestSuite(sendfile, .fini = temporary_remove_all);

static struct pal_op op_sendfile(pal_sock sock, const pal_file *file, uint64_t size)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.sock = sock;
    op.data = OP;
    op.kind = PAL_OP_SENDFILE;
    op.aux = (void *)(uintptr_t)file;
    op.size = size;
    return op;
}

static void require_sendfile(void)
{
    if (!(pal_backend_info()->caps & PAL_CAP_SENDFILE))
        test_skip("sendfile", "this backend has no such op");
}

/* ---- system calls ---- */

static void send_files(void *arg)
{
    const pal_file *file = (const pal_file *)arg;
    pal_poll *poll = must_open_poll(2, 0);
    pal_sock ends[2];
    struct pal_op op;

    must_open_unix_pair(ends);
    op = op_sendfile(ends[0], file, 10);
    must(pal_submit(poll, &op) == 1 && op.result == 10);
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_submit(poll, &op) == 1 && op.result == 10);
    syscount_end();
}

Test(sendfile, a_try_is_three_calls)
{
    pal_file file;
    struct syscount calls;

    require_sendfile();
    file = temporary_file("0123456789", 10);
    calls = calls_of(send_files, &file);
    cr_assert_eq(calls.total, 3 * TIMES);
#ifdef SYS_sendfile64 /* where registers have 32 bits */
    cr_assert_eq(calls.by_number[SYS_sendfile64], TIMES);
#else
    cr_assert_eq(calls.by_number[SYS_sendfile], TIMES);
#endif
    file_close(file);
}

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t signalled;

static void count_signal(int number)
{
    (void)number;
    signalled++;
}

static void send_to_nobody(const pal_file *file)
{
    pal_poll *poll = must_open_poll(2, 0);

    for (int kind = 0; kind < 2; kind++) {
        pal_sock ends[2];
        struct pal_op op;
        int32_t result = 1;

        if (kind == 0)
            must_open_unix_pair(ends);
        else
            must_open_tcp_pair(ends);
        must(pal_sock_close(ends[0]) == 0);
        for (int i = 0; i < 10000 && result > 0; i++) {
            op = op_sendfile(ends[1], file, 10);
            must(pal_submit(poll, &op) == 1);
            result = op.result;
        }
        must(result == PAL_EPIPE || (kind == 1 && result == PAL_ECONNRESET));
        op = op_sendfile(ends[1], file, 10);
        must(pal_submit(poll, &op) == 1 && op.result == PAL_EPIPE);
        must(pal_sock_close(ends[1]) == 0);
    }
    must(pal_poll_close(poll) == 0);
}

static void by_default(void *file)
{
    must(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    send_to_nobody((const pal_file *)file);
}

static void with_handler(void *file)
{
    must(signal(SIGPIPE, count_signal) != SIG_ERR);
    send_to_nobody((const pal_file *)file);
    must(signalled == 0);
    must(raise(SIGPIPE) == 0 && signalled == 1);
}

static void while_blocked(void *file)
{
    sigset_t set, pending;

    must(sigemptyset(&set) == 0 && sigaddset(&set, SIGPIPE) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    send_to_nobody((const pal_file *)file);
    must(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
    must(raise(SIGPIPE) == 0);
    send_to_nobody((const pal_file *)file);
    must(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1);
    must(sigprocmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGPIPE) == 1);
}

Test(sendfile, nobody_at_the_other_end_raises_no_sigpipe)
{
    static void (*const ways[])(void *) = {by_default, with_handler, while_blocked};
    pal_file file;

    require_sendfile();
    file = temporary_file("0123456789", 10);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        in_child(ways[i], &file);
    file_close(file);
}

/* ---- the mode of the description ---- */

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

Test(sendfile, a_description_that_others_use_keeps_its_mode)
{
    struct rig rig;
    pal_sock shared, own;
    pal_file file;
    struct pal_op op;
    int raw[2];

    require_sendfile();
    rig_open(&rig, 2);
    file = temporary_file("0123456789", 10);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw), 0);
    assert_error(pal_sock_adopt(raw[0], PAL_ADOPT_SHARED, &shared), 0);
    assert_error(pal_sock_adopt(raw[1], 0, &own), 0);
    op = op_sendfile(shared, &file, 10);
    assert_error(rig_perform(&rig, &op), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert(!is_nonblocking(raw[0]));
    op = op_sendfile(own, &file, 10);
    assert_error(rig_perform(&rig, &op), 10);
    cr_assert(is_nonblocking(raw[1]));
    cr_assert_eq(fcntl(raw[0], F_SETFL, O_NONBLOCK), 0);
    pair_close(shared, own);
    file_close(file);
    rig_close(&rig);
}

Test(sendfile, a_shared_description_that_does_not_block_will_do)
{
    struct rig rig;
    pal_sock shared, peer;
    pal_file file;
    struct pal_op op;
    int raw[2];

    require_sendfile();
    rig_open(&rig, 2);
    file = temporary_file("0123456789", 10);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, raw), 0);
    assert_error(pal_sock_adopt(raw[0], PAL_ADOPT_SHARED, &shared), 0);
    assert_error(pal_sock_adopt(raw[1], 0, &peer), 0);
    op = op_sendfile(shared, &file, 10);
    assert_error(rig_perform(&rig, &op), 10);
    cr_assert_eq(drain(peer), 10);
    pair_close(shared, peer);
    file_close(file);
    rig_close(&rig);
}

/* A call that blocks by PAL_MSG_WAIT must not make the next try of the op block. */
Test(sendfile, a_blocking_call_does_not_undo_the_mode)
{
    struct rig rig;
    pal_sock a, b;
    pal_file file;
    struct pal_op op;
    int32_t result;
    char byte;

    require_sendfile();
    rig_open(&rig, 2);
    file = temporary_file("0123456789", 10);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    op = op_sendfile(a, &file, 10);
    assert_error(rig_perform(&rig, &op), 10);
    cr_assert_eq(pal_sock_send(b, "x", 1, 0), 1);
    assert_error(pal_sock_recv(a, &byte, 1, PAL_MSG_WAIT), 1);
    cr_assert(is_nonblocking(native_of(a)));
    (void)fill(a);
    result = pal_submit(rig.poll, &op);
    cr_assert_eq(result, 0, "it does not wait: %s", pal_error_name(result));
    rig_cancel(&rig, &op);
    assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
    pair_close(a, b);
    file_close(file);
    rig_close(&rig);
}
