/* descriptors.c: what happens to the process's descriptors: all are close-on-exec, none is left behind by refusals, and
 * at their limit nothing is taken that cannot be held. Rules 13, 15; holes 26, 27. */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { DESCRIPTORS_MAX = 512 };

/* ---- close-on-exec ---- */

static void mark_open(bool open_now[DESCRIPTORS_MAX])
{
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        open_now[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Sends one handle over a unix socket and receives its copy. */
static pal_sock pass(pal_sock from, pal_sock to, pal_sock what)
{
    char byte = 'x';
    struct pal_iov iov = {&byte, 1};
    int32_t on = 1;
    pal_sock copy = {0};
    struct pal_msg msg;

    assert_error(pal_sock_set(to, PAL_SO_PASS, &on, sizeof(on)), 0);
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.want = PAL_META_SOCKS;
    msg.socks = &what;
    msg.socks_count = 1;
    cr_assert_eq(pal_sock_send_msgs(from, &msg, 1, 0), 1);
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.want = PAL_META_SOCKS;
    msg.socks = &copy;
    msg.socks_max = 1;
    cr_assert_eq(pal_sock_recv_msgs(to, &msg, 1, 0), 1);
    cr_assert_eq(msg.socks_count, 1);
    return copy;
}

Test(descriptors, every_one_is_close_on_exec)
{
    bool before[DESCRIPTORS_MAX], after[DESCRIPTORS_MAX];
    struct rig first, second;
    pal_sock socks[16], adopted[2];
    int raw[2], opened = 0;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, raw), 0);
    mark_open(before);
    before[raw[0]] = before[raw[1]] = false; /* the seam's from here on */
    rig_open(&first, 2);
    rig_open(&second, 2);
    (void)rig_turn(&first, 0);
    pair_open(PAIR_TCP4, &socks[0], &socks[1]);
    pair_open(PAIR_UDP4, &socks[2], &socks[3]);
    pair_open(PAIR_UNIX_STREAM, &socks[4], &socks[5]);
    assert_error(pal_pipe(&socks[6], 0), 0);
    assert_error(pal_sock_dup(socks[0], &socks[8]), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &socks[9]), 0);
    assert_error(pal_sock_adopt(raw[0], 0, &adopted[0]), 0);
    assert_error(pal_sock_adopt(raw[1], PAL_ADOPT_SHARED, &adopted[1]), 0);
    socks[10] = pass(socks[4], socks[5], socks[0]);
    assert_error(pal_signal_watch(first.poll, PAL_SIGUSR1, 1), 0);
    mark_open(after);
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        if (!after[fd] || before[fd])
            continue;
        opened++;
        cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d would be inherited by a new program", fd);
    }
    cr_assert_geq(opened, 13, "the walk sees only %d of them", opened);
    assert_error(pal_signal_watch(NULL, PAL_SIGUSR1, 0), 0);
    for (int i = 0; i <= 10; i++)
        assert_error(pal_sock_close(socks[i]), 0);
    pair_close(adopted[0], adopted[1]);
    rig_close(&second);
    rig_close(&first);
}

Test(descriptors, all_are_given_back)
{
    int before;

    for (int round = 0; round < 3; round++) {
        struct rig rig;
        pal_sock a, b;

        before = descriptors_open();
        rig_open(&rig, 2);
        for (enum pair_kind kind = PAIR_TCP4; kind < PAIR_KINDS; kind = (enum pair_kind)(kind + 1)) {
            if (!pair_available(kind))
                continue;
            pair_open(kind, &a, &b);
            assert_error(pal_watch(rig.poll, a, PAL_OUT, 1), 0);
            (void)rig_until(&rig, 1, PAL_EV_READY);
            assert_error(pal_watch(rig.poll, a, 0, 0), 0);
            pair_close(a, b);
        }
        assert_error(pal_pipe((pal_sock[2]){{0}}, 1), PAL_EINVAL);
        rig_close(&rig);
        cr_assert_eq(descriptors_open(), before, "round %d leaves descriptors", round);
    }
}

/* ---- refusals leave nothing behind ---- */

Test(descriptors, refused_calls_leave_none)
{
    struct pal_config config;
    struct pal_addr addr;
    pal_poll *poll;
    pal_sock out[2], sock;
    int before, file;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock), 0);
    file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(file, 0);
    before = descriptors_open();
    memset(&config, 0, sizeof(config));
    config.lease_size = 1;
    cr_expect_lt(pal_poll_open(&poll, &config), 0);
    cr_expect_lt(pal_sock_open(NULL, 200, PAL_SOCK_STREAM, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, 99, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, NULL), 0);
    cr_expect_lt(pal_sock_pair(PAL_AF_INET, PAL_SOCK_STREAM, out), 0);
    cr_expect_lt(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, NULL), 0);
    cr_expect_lt(pal_pipe(NULL, 0), 0);
    cr_expect_lt(pal_sock_dup(sock, NULL), 0);
    cr_expect_lt(pal_sock_accept(sock, out, &addr), 0);
    cr_expect_lt(pal_sock_dup((pal_sock){UINT64_MAX}, out), 0);
    cr_assert_eq(descriptors_open(), before);
    cr_assert_eq(close(file), 0, "a descriptor that was not adopted is still the program's");
    assert_error(pal_sock_close(sock), 0);
}

Test(descriptors, a_regular_file_is_not_adopted_and_stays_the_programs)
{
    char name[] = "/tmp/palio-kernel-XXXXXX";
    int file = mkstemp(name);
    pal_sock out = {0};

    cr_assert_geq(file, 0);
    (void)unlink(name);
    assert_error(pal_sock_adopt(file, 0, &out), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_eq(out.id, 0);
    cr_assert_eq(close(file), 0);
}

/* ---- at the limit ---- */

/* Lowers the soft limit and opens descriptors until there is none left; returns how many, in fillers[]. */
static int use_up_descriptors(int fillers[DESCRIPTORS_MAX])
{
    struct rlimit limit;
    int count = 0;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 128;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < DESCRIPTORS_MAX && (fillers[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    cr_assert_gt(count, 2);
    return count;
}

static void give_back(const int *fillers, int count)
{
    for (int i = 0; i < count; i++)
        (void)close(fillers[i]);
}

Test(descriptors, at_the_limit_accept_leaves_the_connection_waiting)
{
    int fillers[DESCRIPTORS_MAX], count;
    pal_sock listener, client, accepted = {0};
    struct pal_addr addr;
    char byte = 0;

    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    count = use_up_descriptors(fillers);
    (void)pal_sock_connect(client, &addr);
    cr_assert(sock_until(listener, PAL_IN) & PAL_IN);
    for (int i = 0; i < 20; i++)
        assert_error(pal_sock_accept(listener, &accepted, NULL), PAL_EMFILE);
    cr_assert_eq(pal_native_error(), EMFILE);
    send_all(client, "x", 1);
    cr_assert_eq(close(fillers[--count]), 0);
    assert_error(pal_sock_accept(listener, &accepted, NULL), 0);
    cr_assert(sock_until(accepted, PAL_IN) & PAL_IN);
    cr_assert_eq(pal_sock_recv(accepted, &byte, 1, 0), 1, "the connection did not survive");
    give_back(fillers, count);
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
}

Test(descriptors, at_the_limit_an_accept_op_ends_with_emfile)
{
    int fillers[DESCRIPTORS_MAX], count;
    pal_sock listener, client, accepted = {0};
    struct pal_addr addr;
    struct rig rig;
    struct pal_op op;

    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    count = use_up_descriptors(fillers);
    (void)pal_sock_connect(client, &addr);
    op = op_accept(listener, 1, &accepted);
    assert_error(rig_perform(&rig, &op), PAL_EMFILE);
    cr_assert_eq(close(fillers[--count]), 0);
    op = op_accept(listener, 1, &accepted);
    assert_error(rig_perform(&rig, &op), 0);
    give_back(fillers, count);
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

static uint64_t handles_open(void)
{
    uint64_t count = 0;

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &count), 0);
    return count;
}

Test(descriptors, at_the_limit_every_way_to_one_says_so_and_keeps_no_handle)
{
    int fillers[DESCRIPTORS_MAX], count;
    pal_sock sock, out[2];
    pal_poll *poll = NULL;
    uint64_t before;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), 0);
    before = handles_open();
    count = use_up_descriptors(fillers);
    for (int left = 0; left <= 1; left++) { /* with none left, then with one, which is too few for two */
        if (left == 0) {
            assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, out), PAL_EMFILE);
            assert_error(pal_sock_dup(sock, out), PAL_EMFILE);
            if (is_backend("epoll"))
                assert_error(pal_poll_open(&poll, NULL), PAL_EMFILE);
        }
        assert_error(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, out), PAL_EMFILE);
        assert_error(pal_pipe(out, 0), PAL_EMFILE);
        cr_assert_eq(close(fillers[--count]), 0);
    }
    cr_assert_eq(handles_open(), before);
    give_back(fillers, count);
    assert_error(pal_sock_close(sock), 0);
}

Test(descriptors, at_the_limit_a_poll_still_wakes_and_waits)
{
    int fillers[DESCRIPTORS_MAX], count;
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    count = use_up_descriptors(fillers);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    send_all(b, "x", 1);
    (void)rig_until(&rig, 1, PAL_EV_READY);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    assert_error(pal_poll_wake(rig.poll), 0);
    (void)rig_until(&rig, 0, PAL_EV_WAKE);
    give_back(fillers, count);
    pair_close(a, b);
    rig_close(&rig);
}

Test(descriptors, without_a_handle_accept_takes_no_descriptor)
{
    enum { SOCKS_MAX = 3 };
    struct pal_setup setup;
    pal_sock listener, client, spare, accepted = {0};
    struct pal_addr addr;
    int before;

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = SOCKS_MAX;
    assert_error(pal_setup(&setup), 0);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &spare), 0);
    (void)pal_sock_connect(client, &addr);
    cr_assert(sock_until(listener, PAL_IN) & PAL_IN);
    before = descriptors_open();
    for (int i = 0; i < 20; i++)
        assert_error(pal_sock_accept(listener, &accepted, NULL), PAL_ENOBUFS);
    cr_assert_eq(descriptors_open(), before, "the kernel gave a connection that nobody holds");
    assert_error(pal_sock_close(spare), 0);
    accepted = accept_one(listener);
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
}

Test(descriptors, the_limit_is_raised_on_request)
{
    struct pal_setup setup;
    struct rlimit limit;
    uint64_t native_max = 0;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    memset(&setup, 0, sizeof(setup));
    setup.flags = PAL_SETUP_RAISE_LIMIT;
    assert_error(pal_setup(&setup), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, limit.rlim_max);
    assert_error(pal_info(PAL_INFO_NATIVE_MAX, &native_max), 0);
    cr_assert_eq(native_max, limit.rlim_cur);
}
