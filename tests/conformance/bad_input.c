/* bad_input.c: what every function of the seam says to handles that are dead or never were, to pointers, sizes and
 * numbers out of range, and to addresses that lead nowhere: a documented code, and no handle is left behind. Memory
 * that is not there (PAL_EFAULT) is left out: sanitizers would see it first. */
#include "conformance.h"

#include <signal.h>

static uint64_t open_at_start;

static uint64_t socks_open(void)
{
    uint64_t count = 0;

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &count), 0);
    return count;
}

static void remember_handles(void)
{
    open_at_start = socks_open();
}

static void no_handle_is_left(void)
{
    cr_assert_eq(socks_open(), open_at_start, "bad input leaves handles behind");
}

TestSuite(bad_input, .init = remember_handles, .fini = no_handle_is_left);

#define expect_error(call, expected)                                                                                   \
    do {                                                                                                               \
        int expect_actual_ = (int)(call);                                                                              \
        cr_expect_eq(expect_actual_, expected, "%s is %s, not %s", #call, pal_error_name(expect_actual_),              \
                     pal_error_name(expected));                                                                        \
    } while (0)

/* ---- handles ---- */

static void ops_refuse(pal_poll *poll, pal_sock bad)
{
    static const uint8_t kinds[] = {PAL_OP_RECV,     PAL_OP_SEND,     PAL_OP_ACCEPT,    PAL_OP_CONNECT,
                                    PAL_OP_RECV_MSG, PAL_OP_SEND_MSG, PAL_OP_SEND_LEASE};
    char room[64] = {0};
    struct pal_addr addr;
    struct pal_op op;

    (void)pal_addr_set_loopback(&addr, PAL_AF_INET, 9);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        memset(&op, 0, sizeof(op));
        op.kind = kinds[i];
        op.sock = bad;
        op.buf = room;
        op.size = 1;
        op.aux = &addr;
        cr_expect_eq(pal_submit(poll, &op), PAL_EBADF, "op %d", kinds[i]);
        expect_error(pal_cancel(poll, &op), 0);
    }
}

static void transfers_refuse(pal_sock bad)
{
    char room[64] = {0};
    struct pal_iov iov = {room, sizeof(room)};
    struct pal_msg msg;
    struct pal_lease lease = {(uint8_t *)room, sizeof(room), 0};

    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    expect_error(pal_sock_recv(bad, room, sizeof(room), 0), PAL_EBADF);
    expect_error(pal_sock_send(bad, room, sizeof(room), 0), PAL_EBADF);
    expect_error(pal_sock_recv_msgs(bad, &msg, 1, 0), PAL_EBADF);
    expect_error(pal_sock_send_msgs(bad, &msg, 1, 0), PAL_EBADF);
    expect_error(pal_lease_recv(bad, &lease, 1), PAL_EBADF);
    expect_error(pal_lease_send(bad, &lease, 1), PAL_EBADF);
}

static void every_function_refuses(pal_sock bad)
{
    struct rig rig;
    struct pal_wait item = {bad, PAL_IN, 0, 0};
    struct pal_addr addr;
    pal_sock out = {0};
    intptr_t native = -1;
    int32_t number = 0;
    size_t size = sizeof(number);

    rig_open(&rig, 2);
    (void)pal_addr_set_loopback(&addr, PAL_AF_INET, 9);
    expect_error(pal_sock_release(bad, &native), PAL_EBADF);
    expect_error(pal_sock_dup(bad, &out), PAL_EBADF);
    expect_error(pal_sock_bind(bad, &addr), PAL_EBADF);
    expect_error(pal_sock_listen(bad, 1), PAL_EBADF);
    expect_error(pal_sock_connect(bad, &addr), PAL_EBADF);
    expect_error(pal_sock_accept(bad, &out, &addr), PAL_EBADF);
    expect_error(pal_sock_shutdown(bad, PAL_SHUT_RDWR), PAL_EBADF);
    expect_error(pal_sock_close(bad), PAL_EBADF);
    expect_error(pal_sock_set(bad, PAL_SO_REUSEADDR, &number, size), PAL_EBADF);
    expect_error(pal_sock_get(bad, PAL_SO_ERROR, &number, &size), PAL_EBADF);
    expect_error(pal_sock_get(bad, PAL_SO_OWNER, &number, &size), PAL_EBADF);
    expect_error(pal_sock_name(bad, PAL_NAME_LOCAL, &addr), PAL_EBADF);
    expect_error(pal_watch(rig.poll, bad, PAL_IN, 1), PAL_EBADF);
    expect_error(pal_watch(rig.poll, bad, 0, 1), PAL_EBADF);
    if (bad.id != 0) {
        cr_expect_eq(pal_sock_wait(&item, 1, UINT64_MAX), 1, "a dead handle is waited for");
        cr_expect_eq(item.ready, PAL_NVAL);
    }
    transfers_refuse(bad);
    ops_refuse(rig.poll, bad);
    rig_silent(&rig, 1, 2);
    cr_expect_eq(out.id, 0);
    cr_expect_eq(native, -1);
    rig_close(&rig);
}

Test(bad_input, no_handle)
{
    every_function_refuses((pal_sock){0});
}

Test(bad_input, a_closed_handle)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    pair_close(a, b);
    every_function_refuses(a);
    every_function_refuses(b);
}

Test(bad_input, the_handle_of_a_slot_that_somebody_else_has_now)
{
    pal_sock old, fresh;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &old), 0);
    assert_error(pal_sock_close(old), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &fresh), 0);
    every_function_refuses(old);
    assert_error(pal_sock_close(fresh), 0);
}

/* Calls every_function_refuses with the handle of a live socket, some of its bits changed. */
static void refuses_with_bits(uint64_t changed)
{
    pal_sock live;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &live), 0);
    every_function_refuses((pal_sock){live.id ^ changed});
    assert_error(pal_sock_close(live), 0);
}

Test(bad_input, handles_of_another_generation)
{
    refuses_with_bits(UINT64_C(2) << 32);
    refuses_with_bits(UINT64_C(0x80000000) << 32);
    every_function_refuses((pal_sock){UINT64_MAX});
}

Test(bad_input, handles_of_an_even_generation_which_is_never_live)
{
    refuses_with_bits(UINT64_C(1) << 32);
    every_function_refuses((pal_sock){1});
    every_function_refuses((pal_sock){0xffff});
    every_function_refuses((pal_sock){0xffffff});
    every_function_refuses((pal_sock){UINT64_C(2) << 32 | 1});
}

Test(bad_input, handles_of_another_slot)
{
    refuses_with_bits(0x800000);
    refuses_with_bits(0x8000);
    every_function_refuses((pal_sock){UINT64_C(1) << 32});
}

Test(bad_input, handles_of_another_domain)
{
    refuses_with_bits(0x01000000);
    refuses_with_bits(0x7f000000);
    refuses_with_bits(0xff000000);
}

/* ---- numbers ---- */

Test(bad_input, kinds_of_sockets_that_do_not_exist)
{
    pal_sock out[2] = {{0}, {0}};

    cr_expect_lt(pal_sock_open(NULL, -1, PAL_SOCK_STREAM, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, 200, PAL_SOCK_STREAM, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, 99, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, INT32_MAX, 0, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_UDP, out), 0);
    cr_expect_lt(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, -1, out), 0);
    cr_expect_lt(pal_sock_pair(PAL_AF_INET, PAL_SOCK_STREAM, out), 0);
    cr_expect_lt(pal_sock_pair(PAL_AF_UNIX, 99, out), 0);
    expect_error(pal_pipe(out, 0xffffffff), PAL_EINVAL);
    expect_error(pal_sock_adopt(-1, 0, out), PAL_EBADF);
    expect_error(pal_sock_adopt(1 << 20, 0, out), PAL_EBADF);
    expect_error(pal_sock_adopt(1 << 20, PAL_ADOPT_SHARED, out), PAL_EBADF);
    cr_expect_eq(out[0].id, 0);
    cr_expect_eq(out[1].id, 0);
}

Test(bad_input, counts_of_messages)
{
    struct pal_iov iovs[PAL_IOV_MAX + 1];
    struct pal_msg msg;
    char byte = 0;
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    memset(&msg, 0, sizeof(msg));
    for (int i = 0; i <= PAL_IOV_MAX; i++)
        iovs[i] = (struct pal_iov){&byte, 1};
    msg.iov = iovs;
    msg.iov_count = 1;
    for (int count = -1; count <= 0; count++) {
        expect_error(pal_sock_recv_msgs(a, &msg, count, 0), PAL_EINVAL);
        expect_error(pal_sock_send_msgs(a, &msg, count, 0), PAL_EINVAL);
    }
    msg.iov_count = PAL_IOV_MAX + 1;
    expect_error(pal_sock_recv_msgs(a, &msg, 1, 0), PAL_EINVAL);
    expect_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EINVAL);
    msg.iov_count = UINT16_MAX;
    expect_error(pal_sock_recv_msgs(a, &msg, 1, 0), PAL_EINVAL);
    expect_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EINVAL);
    cr_expect_eq(drain(b), 0, "a refused message was sent");
    pair_close(a, b);
}

Test(bad_input, counts_of_handles_to_pass)
{
    pal_sock a, b, many[PAL_PASS_MAX + 1];
    char byte = 'x';
    struct pal_iov iov = {&byte, 1};
    struct pal_msg msg;

    pair_open(PAIR_UNIX_STREAM, &a, &b);
    for (int i = 0; i <= PAL_PASS_MAX; i++)
        many[i] = a;
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.want = PAL_META_SOCKS;
    msg.socks = many;
    msg.socks_count = PAL_PASS_MAX + 1;
    expect_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EINVAL);
    msg.socks_count = 1;
    many[0] = (pal_sock){UINT64_MAX};
    expect_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EBADF);
    msg.socks = NULL;
    expect_error(pal_sock_send_msgs(a, &msg, 1, 0), PAL_EINVAL);
    cr_expect_eq(drain(b), 0, "a refused message was sent");
    pair_close(a, b);
}

Test(bad_input, counts_of_items_to_wait_for)
{
    struct pal_wait item = {{0}, PAL_IN, 0, 0};

    expect_error(pal_sock_wait(&item, -1, UINT64_MAX), PAL_EINVAL);
    expect_error(pal_sock_wait(&item, 65537, UINT64_MAX), PAL_EINVAL);
    expect_error(pal_sock_wait(NULL, 1, UINT64_MAX), PAL_EINVAL);
}

Test(bad_input, a_poll_configured_out_of_range)
{
    static const struct pal_config bad[] = {
        {.events_max = 1},        {.events_max = 65537},       {.lease_count = 65537}, {.lease_size = 63},
        {.lease_size = 16777217}, {.lease_count = UINT32_MAX}, {.flags = 1},
    };
    pal_poll *poll = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_eq(pal_poll_open(&poll, &bad[i]), PAL_EINVAL, "configuration %d", (int)i);
        cr_expect_str_neq(pal_reason(), "", "configuration %d: no reason", (int)i);
    }
    expect_error(pal_poll_open(NULL, NULL), PAL_EINVAL);
    expect_error(pal_poll_close(NULL), 0);
    cr_expect_null(poll);
}

Test(bad_input, ops_of_no_kind_and_without_memory)
{
    struct rig rig;
    struct pal_op op;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    for (int kind = 0; kind <= 255; kind++) {
        int result;

        if (kind >= PAL_OP_SENDFILE && kind <= PAL_OP_WORK)
            continue;
        memset(&op, 0, sizeof(op));
        op.kind = (uint8_t)kind;
        op.sock = a;
        op.size = 1;
        result = pal_submit(rig.poll, &op);
        cr_expect_eq(result, PAL_EINVAL, "op %d of nothing: %s", kind, pal_error_name(result));
    }
    cr_expect_eq(rig_turn(&rig, MILLISECOND_NS), 0);
    pair_close(a, b);
    rig_close(&rig);
}

Test(bad_input, keys_that_do_not_exist)
{
    uint64_t value = 0;
    int32_t number = 0;
    struct rig rig;

    rig_open(&rig, 2);
    expect_error(pal_info(0, &value), PAL_EINVAL);
    expect_error(pal_info(9999, &value), PAL_EINVAL);
    expect_error(pal_info(PAL_INFO_PAGE_SIZE, NULL), PAL_EINVAL);
    expect_error(pal_random(NULL, 4), PAL_EINVAL);
    expect_error(pal_ctl(rig.poll, 0x7fffffff, &number, sizeof(number)), PAL_ENOTSUP);
    cr_expect_str_neq(pal_reason(), "");
    expect_error(pal_ctl(NULL, 0x7fffffff, NULL, 0), PAL_ENOTSUP);
    rig_close(&rig);
}

Test(bad_input, names_that_do_not_exist_and_room_that_is_too_small)
{
    struct pal_query query;
    struct pal_addr addr;
    char room[64];

    memset(&query, 0, sizeof(query));
    expect_error(pal_names(0, "x", room, sizeof(room)), PAL_EINVAL);
    expect_error(pal_names(PAL_NAMES_INTERFACES + 1, "x", room, sizeof(room)), PAL_EINVAL);
    expect_error(pal_names(PAL_NAMES_HOSTNAME, NULL, NULL, 0), PAL_EINVAL);
    expect_error(pal_names(PAL_NAMES_INTERFACE_INDEX, NULL, room, sizeof(room)), PAL_EINVAL);
    expect_error(pal_names(PAL_NAMES_HOSTNAME, NULL, room, 1), PAL_ERANGE);
    expect_error(pal_names(PAL_NAMES_INTERFACE_INDEX, "nosuchinterface", room, sizeof(room)), PAL_ENONAME);
    expect_error(pal_names(PAL_NAMES_PROTOCOL, "nosuchprotocol", room, sizeof(room)), PAL_ENONAME);
    expect_error(pal_resolve(NULL, &addr, 1), PAL_EINVAL);
    query.host = "256.256.256.256";
    query.flags = PAL_RESOLVE_NUMERIC_HOST;
    expect_error(pal_resolve(&query, &addr, 1), PAL_ENONAME);
    expect_error(pal_resolve(&query, NULL, 1), PAL_EINVAL);
}

Test(bad_input, a_clock_that_does_not_exist_aborts, .signal = SIGABRT)
{
    (void)pal_clock(99);
}

Test(bad_input, signals_that_cannot_be_watched)
{
    static const int numbers[] = {PAL_SIGKILL, PAL_SIGSTOP, 0, -1, PAL_SIGNAL_MAX + 1, INT32_MAX};
    struct rig rig;

    rig_open(&rig, 2);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int result = pal_signal_watch(rig.poll, numbers[i], 1);

        cr_expect_eq(result, PAL_EINVAL, "signal %d: %s", numbers[i], pal_error_name(result));
    }
    rig_close(&rig);
}

static void return_at_once(void *arg)
{
    (void)arg;
}

Test(bad_input, threads_that_are_gone)
{
    pal_thread thread;

    expect_error(pal_thread_join((pal_thread){0}), PAL_EBADF);
    assert_error(pal_thread_start(&thread, return_at_once, NULL), 0);
    expect_error(pal_thread_join(thread), 0);
    expect_error(pal_thread_join(thread), PAL_EBADF);
}

/* ---- addresses ---- */

Test(bad_input, addresses_of_a_wrong_family_or_size)
{
    struct bad_addr {
        uint8_t family, size;
    };
    static const struct bad_addr bad[] = {
        {PAL_AF_UNSPEC, 0}, {PAL_AF_INET, 0},   {PAL_AF_INET, 3},   {PAL_AF_INET, 16},  {PAL_AF_INET, 255},
        {PAL_AF_INET6, 4},  {PAL_AF_INET6, 15}, {PAL_AF_UNIX, 109}, {PAL_AF_UNIX, 255}, {200, 4},
    };
    static const int families[] = {PAL_AF_INET, PAL_AF_UNIX};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t j = 0; j < 2; j++) {
            struct pal_addr addr;
            pal_sock sock;

            memset(&addr, 0, sizeof(addr));
            addr.family = bad[i].family;
            addr.size = bad[i].size;
            addr.bytes[0] = 127;
            addr.port = 9;
            assert_error(pal_sock_open(NULL, families[j], PAL_SOCK_STREAM, 0, &sock), 0);
            cr_expect_lt(pal_sock_bind(sock, &addr), 0, "bind to family %d, size %d", addr.family, addr.size);
            cr_expect_lt(pal_sock_connect(sock, &addr), 0, "connect to family %d, size %d", addr.family, addr.size);
            assert_error(pal_sock_close(sock), 0);
        }
    }
}

/* The error of a connect, wherever it shows. */
static int outcome_of_connect(const struct pal_addr *from, const struct pal_addr *to)
{
    pal_sock sock;
    int32_t outcome = 0;
    size_t size = sizeof(outcome);
    int error;

    assert_error(pal_sock_open(NULL, to->family, PAL_SOCK_STREAM, 0, &sock), 0);
    if (from != NULL)
        assert_error(pal_sock_bind(sock, from), 0);
    error = pal_sock_connect(sock, to);
    if (error == PAL_EINPROGRESS) {
        cr_assert_neq(sock_until(sock, PAL_OUT), 0);
        assert_error(pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size), 0);
        error = outcome;
    }
    cr_expect_eq(pal_sock_connect(sock, to), PAL_EINVAL, "a second connect");
    assert_error(pal_sock_close(sock), 0);
    return error;
}

Test(bad_input, a_port_where_nobody_listens)
{
    pal_sock sock;
    struct pal_addr addr;

    listener_open(PAL_AF_INET, &sock, &addr);
    assert_error(pal_sock_close(sock), 0);
    expect_error(outcome_of_connect(NULL, &addr), PAL_ECONNREFUSED);
}

Test(bad_input, an_address_that_cannot_be_reached)
{
    struct pal_addr loopback, elsewhere;
    int error;

    assert_error(pal_addr_set_loopback(&loopback, PAL_AF_INET, 0), 0);
    assert_error(pal_addr_from_host(&elsewhere, "192.0.2.1", 9), 0);
    error = outcome_of_connect(&loopback, &elsewhere); /* from loopback nothing leaves this machine */
    cr_expect(error == PAL_ENETUNREACH || error == PAL_EHOSTUNREACH || error == PAL_EADDRNOTAVAIL ||
                  error == PAL_EINVAL,
              "out of loopback: %s", pal_error_name(error));
}

Test(bad_input, an_address_that_is_taken_or_somebody_elses)
{
    pal_sock listener, sock;
    struct pal_addr addr, elsewhere;

    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_addr_from_host(&elsewhere, "192.0.2.1", 0), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock), 0);
    expect_error(pal_sock_bind(sock, &elsewhere), PAL_EADDRNOTAVAIL);
    expect_error(pal_sock_bind(sock, &addr), PAL_EADDRINUSE);
    assert_error(pal_sock_close(sock), 0);
    assert_error(pal_sock_close(listener), 0);
}

/* ---- the wrong kind of socket ---- */

Test(bad_input, calls_that_this_kind_of_socket_does_not_have)
{
    pal_sock datagram, other, ends[2], out = {0};

    pair_open(PAIR_UDP4, &datagram, &other);
    cr_expect_lt(pal_sock_listen(datagram, 1), 0);
    cr_expect_lt(pal_sock_accept(datagram, &out, NULL), 0);
    cr_expect_lt(pal_sock_shutdown(datagram, 99), 0);
    pair_close(datagram, other);
    assert_error(pal_pipe(ends, 0), 0);
    cr_expect_lt(pal_sock_listen(ends[0], 1), 0);
    cr_expect_lt(pal_sock_accept(ends[0], &out, NULL), 0);
    expect_error(pal_sock_shutdown(ends[0], PAL_SHUT_RD), PAL_ENOTSOCK);
    pair_close(ends[0], ends[1]);
    cr_expect_eq(out.id, 0);
}

Test(bad_input, leases_of_a_socket_that_has_joined_no_poll)
{
    struct pal_lease lease;
    pal_sock a, b;

    pair_open(PAIR_UNIX_STREAM, &a, &b);
    expect_error(pal_lease_recv(a, &lease, 1), PAL_EINVAL);
    pair_close(a, b);
}

Test(bad_input, no_room_for_leases)
{
    struct rig rig;
    struct pal_lease lease;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_watch(rig.poll, a, PAL_IN | PAL_LEASE, 1), 0);
    send_all(b, "x", 1);
    expect_error(pal_lease_recv(a, NULL, 1), PAL_EINVAL);
    expect_error(pal_lease_recv(a, &lease, 0), PAL_EINVAL);
    expect_error(pal_lease_recv(a, &lease, -1), PAL_EINVAL);
    expect_error(pal_lease_reserve(rig.poll, NULL, 1, 1), PAL_EINVAL);
    expect_error(pal_lease_reserve(rig.poll, &lease, -1, 1), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    cr_expect_eq(drain(a), 1, "a refused receive takes bytes");
    pair_close(a, b);
    rig_close(&rig);
}
