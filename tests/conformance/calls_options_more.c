/* calls_options_more.c: the options that are no plain numbers: what a socket is, what waits in it, text, structures,
 * read-only and write-only ones, and the system's own by number. See calls_options.c for the rest. */
#include "calls_common.h"

static void expect_read_only(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    assert_error(pal_sock_set(sock, option, value, size), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "", "option %u is refused without a reason", option);
}

static void expect_no_option(pal_sock sock, uint32_t option, size_t size)
{
    union {
        uint64_t align;
        char bytes[512];
    } value;
    size_t room = sizeof(value.bytes);

    memset(&value, 0, sizeof(value));
    assert_error(pal_sock_set(sock, option, value.bytes, size), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "", "setting option %u is refused without a reason", option);
    assert_error(pal_sock_get(sock, option, value.bytes, &room), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "", "reading option %u is refused without a reason", option);
}

/* ---- what a socket is ---- */

static void expect_kind(pal_sock sock, int family, int type, int protocol)
{
    cr_assert_eq(option_of(sock, PAL_SO_FAMILY), family);
    cr_assert_eq(option_of(sock, PAL_SO_TYPE), type);
    cr_assert_eq(option_of(sock, PAL_SO_PROTOCOL), protocol);
    cr_assert_eq(option_of(sock, PAL_SO_ERROR), 0);
    cr_assert_eq(option_of(sock, PAL_SO_LISTENING), 0);
}

Test(calls_options_more, a_socket_knows_what_it_is)
{
    pal_sock stream = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock datagram = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    expect_kind(stream, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_TCP);
    expect_kind(datagram, PAL_AF_INET, PAL_SOCK_DGRAM, PAL_IPPROTO_UDP);
    pair_close(stream, datagram);
}

Test(calls_options_more, what_a_socket_is_cannot_be_set)
{
    static const uint32_t numbers[] = {PAL_SO_ERROR,  PAL_SO_NREAD,    PAL_SO_TYPE,
                                       PAL_SO_FAMILY, PAL_SO_PROTOCOL, PAL_SO_LISTENING};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    int32_t value = 0;
    intptr_t native = 0;
    pal_poll *poll = NULL;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        expect_read_only(sock, numbers[i], &value, sizeof(value));
    expect_read_only(sock, PAL_SO_MTU, &value, sizeof(value));
    expect_read_only(sock, PAL_SO_NATIVE, &native, sizeof(native));
    expect_read_only(sock, PAL_SO_OWNER, &poll, sizeof(poll));
    expect_read_only(sock, PAL_SO_PATH, "kernel", 6);
    sock_close(sock);
}

Test(calls_options_more, joining_and_leaving_groups_cannot_be_read)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    struct pal_mcast group;

    memset(&group, 0, sizeof(group));
    for (uint32_t option = PAL_SO_MCAST_JOIN; option <= PAL_SO_MCAST_LEAVE; option++) {
        size_t size = sizeof(group);

        assert_error(pal_sock_get(sock, option, &group, &size), PAL_ENOTSUP);
        cr_assert_str_neq(pal_reason(), "");
    }
    sock_close(sock);
}

Test(calls_options_more, what_is_no_option_is_refused)
{
    static const uint32_t options[] = {0, 20, 31, 60, 95, 127, 150, 191, 255, 0x3fffffff, 0x80000001};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        expect_no_option(sock, options[i], sizeof(int32_t));
    sock_close(sock);
}

Test(calls_options_more, a_pipe_has_no_sockets_options)
{
    static const uint32_t options[] = {PAL_SO_REUSEADDR, PAL_SO_RCVBUF,  PAL_SO_NODELAY, PAL_SO_TTL,
                                       PAL_SO_MCAST_TTL, PAL_SO_PKTINFO, PAL_SO_PASS};
    pal_sock ends[2];

    if (pal_pipe(ends, 0) == PAL_ENOTSUP)
        test_skip("pipe", "this backend has none");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        expect_no_option(ends[0], options[i], sizeof(int32_t));
    pair_close(ends[0], ends[1]);
}

Test(calls_options_more, listening_is_told)
{
    pal_sock listener;
    struct pal_addr addr;

    listener_open(PAL_AF_INET, &listener, &addr);
    cr_assert_eq(option_of(listener, PAL_SO_LISTENING), 1);
    sock_close(listener);
}

Test(calls_options_more, an_error_is_told_once)
{
    pal_sock listener, client;
    struct pal_addr addr;

    listener_open(PAL_AF_INET, &listener, &addr);
    sock_close(listener);
    client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    if (pal_sock_connect(client, &addr) == PAL_EINPROGRESS) {
        cr_assert(sock_until(client, PAL_OUT));
        assert_error(option_of(client, PAL_SO_ERROR), PAL_ECONNREFUSED);
    }
    assert_error(option_of(client, PAL_SO_ERROR), 0);
    sock_close(client);
}

Test(calls_options_more, the_owner_is_the_poll_that_a_socket_has_joined)
{
    struct rig rig;
    pal_sock a, b;
    pal_poll *owner = NULL;
    size_t size = sizeof(owner);

    pair_open(PAIR_UDP4, &a, &b);
    rig_open(&rig, 2);
    assert_error(pal_sock_get(a, PAL_SO_OWNER, &owner, &size), 0);
    cr_assert_eq(size, sizeof(owner));
    cr_assert_null(owner);
    assert_error(pal_watch(rig.poll, a, PAL_IN, 1), 0);
    assert_error(pal_sock_get(a, PAL_SO_OWNER, &owner, &size), 0);
    cr_assert_eq(owner, rig.poll);
    assert_error(pal_sock_get(b, PAL_SO_OWNER, &owner, &size), 0);
    cr_assert_null(owner);
    size = sizeof(owner) - 1;
    assert_error(pal_sock_get(a, PAL_SO_OWNER, &owner, &size), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, a, 0, 0), 0);
    rig_close(&rig);
    pair_close(a, b);
}

/* ---- what waits ---- */

Test(calls_options_more, bytes_that_wait_are_counted)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    cr_assert_eq(option_of(b, PAL_SO_NREAD), 0);
    send_text(a, "0123456789");
    cr_assert(sock_until(b, PAL_IN));
    cr_assert_eq(option_of(b, PAL_SO_NREAD), 10);
    expect_text(b, "0123456789");
    cr_assert_eq(option_of(b, PAL_SO_NREAD), 0);
    pair_close(a, b);
}

Test(calls_options_more, bytes_that_wait_in_a_pipe_are_counted)
{
    pal_sock ends[2];

    if (pal_pipe(ends, 0) == PAL_ENOTSUP)
        test_skip("pipe", "this backend has none");
    send_text(ends[1], "0123456789");
    cr_assert(sock_until(ends[0], PAL_IN));
    cr_assert_eq(option_of(ends[0], PAL_SO_NREAD), 10);
    pair_close(ends[0], ends[1]);
}

/* ---- text ---- */

/* Reads text; its length. */
static size_t text_of(pal_sock sock, uint32_t option, char *text, size_t room)
{
    size_t size = room;

    memset(text, 0, room);
    assert_error(pal_sock_get(sock, option, text, &size), 0);
    cr_assert_leq(size, room);
    cr_assert(size >= strlen(text) && size <= strlen(text) + 1, "%zu bytes of \"%s\"", size, text);
    return strlen(text);
}

Test(calls_options_more, the_path_says_which_and_why)
{
    pal_sock a, b;
    char text[1024];

    pair_open(PAIR_TCP4, &a, &b);
    cr_assert_gt(text_of(a, PAL_SO_PATH, text, sizeof(text)), 0);
    pair_close(a, b);
}

Test(calls_options_more, the_congestion_control_has_a_name)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock datagram = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    char text[64], again[64];
    size_t size = sizeof(text);
    int error = pal_sock_get(sock, PAL_SO_CONGESTION, text, &size);

    if (error == PAL_ENOTSUP) {
        cr_assert_str_neq(pal_reason(), "");
        pair_close(sock, datagram);
        test_skip("sock-option", "PAL_SO_CONGESTION");
    }
    cr_assert_gt(text_of(sock, PAL_SO_CONGESTION, text, sizeof(text)), 0);
    assert_error(pal_sock_set(sock, PAL_SO_CONGESTION, text, strlen(text)), 0);
    (void)text_of(sock, PAL_SO_CONGESTION, again, sizeof(again));
    cr_assert_str_eq(again, text);
    cr_assert_lt(pal_sock_set(sock, PAL_SO_CONGESTION, "no-such-one", 11), 0);
    (void)text_of(sock, PAL_SO_CONGESTION, again, sizeof(again));
    cr_assert_str_eq(again, text);
    expect_no_option(datagram, PAL_SO_CONGESTION, 5);
    pair_close(sock, datagram);
}

Test(calls_options_more, a_device_holds_a_socket_until_let_go)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    uint32_t ifindex = loopback_ifindex();
    char name[64] = "", text[64];
    int error = PAL_ENOTSUP;

    if (ifindex != 0) {
        cr_assert_gt(pal_names(PAL_NAMES_INTERFACE_NAME, (const char *)&ifindex, name, sizeof(name)), 0);
        error = pal_sock_set(sock, PAL_SO_DEVICE, name, strlen(name));
    }
    if (error == PAL_ENOTSUP || error == PAL_EPERM) {
        sock_close(sock);
        test_skip("sock-option", "PAL_SO_DEVICE");
    }
    assert_error(error, 0);
    (void)text_of(sock, PAL_SO_DEVICE, text, sizeof(text));
    cr_assert_str_eq(text, name);
    cr_assert_lt(pal_sock_set(sock, PAL_SO_DEVICE, "no-such-if", 10), 0);
    (void)text_of(sock, PAL_SO_DEVICE, text, sizeof(text));
    cr_assert_str_eq(text, name);
    assert_error(pal_sock_set(sock, PAL_SO_DEVICE, "", 0), 0);
    (void)text_of(sock, PAL_SO_DEVICE, text, sizeof(text));
    cr_assert_str_eq(text, "");
    sock_close(sock);
}

/* ---- structures ---- */

static struct pal_linger linger_of(pal_sock sock)
{
    struct pal_linger linger = {-1, -1};
    size_t size = sizeof(linger);

    assert_error(pal_sock_get(sock, PAL_SO_LINGER, &linger, &size), 0);
    cr_assert_eq(size, sizeof(linger));
    return linger;
}

Test(calls_options_more, lingering_is_kept_and_checked)
{
    static const struct pal_linger good[] = {{1, 0}, {1, 30}, {1, 65535}, {0, 0}};
    static const struct pal_linger bad[] = {{2, 0}, {-1, 0}, {1, -1}, {1, 65536}};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    size_t size = sizeof(struct pal_linger) - 1;
    struct pal_linger linger;

    cr_assert_eq(linger_of(sock).on, 0);
    for (int i = 0; i < 4; i++) {
        assert_error(pal_sock_set(sock, PAL_SO_LINGER, &good[i], sizeof(good[i])), 0);
        cr_assert_eq(linger_of(sock).on, good[i].on);
        if (good[i].on)
            cr_assert_eq(linger_of(sock).seconds, good[i].seconds);
    }
    for (int i = 0; i < 4; i++) {
        assert_error(pal_sock_set(sock, PAL_SO_LINGER, &bad[i], sizeof(bad[i])), PAL_EINVAL);
        cr_assert_eq(linger_of(sock).on, 0);
    }
    assert_error(pal_sock_set(sock, PAL_SO_LINGER, &good[0], size), PAL_EINVAL);
    assert_error(pal_sock_set(sock, PAL_SO_LINGER, &good[0], sizeof(int32_t)), PAL_EINVAL);
    assert_error(pal_sock_get(sock, PAL_SO_LINGER, &linger, &size), PAL_EINVAL);
    sock_close(sock);
}

Test(calls_options_more, the_peer_of_a_local_socket_is_known)
{
    pal_sock a, b, sock;
    struct pal_cred cred;
    size_t size = sizeof(cred);
    uint64_t process = 0;
    int error;

    require_pair(PAIR_UNIX_STREAM);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    error = pal_sock_get(a, PAL_SO_PEERCRED, &cred, &size);
    if (error == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("sock-option", "PAL_SO_PEERCRED");
    }
    assert_error(error, 0);
    cr_assert_eq(size, sizeof(cred));
    assert_error(pal_info(PAL_INFO_PROCESS_ID, &process), 0);
    cr_assert_eq(cred.process, process);
    expect_read_only(a, PAL_SO_PEERCRED, &cred, sizeof(cred));
    size = 4;
    assert_error(pal_sock_get(a, PAL_SO_PEERCRED, &cred, &size), PAL_EINVAL);
    sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    expect_no_option(sock, PAL_SO_PEERCRED, sizeof(cred));
    sock_close(sock);
    pair_close(a, b);
}

/* ---- at use ---- */

Test(calls_options_more, the_path_mtu_is_a_connected_sockets)
{
    pal_sock a, b;
    int32_t mtu = 0;
    size_t size = sizeof(mtu);
    int error;

    pair_open(PAIR_UDP4, &a, &b);
    error = pal_sock_get(a, PAL_SO_MTU, &mtu, &size);
    if (error == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("sock-option", "PAL_SO_MTU");
    }
    assert_error(error, 0);
    cr_assert_geq(mtu, 576);
    pair_close(a, b);
    a = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    assert_error(pal_sock_get(a, PAL_SO_MTU, &mtu, &size), PAL_ENOTCONN);
    sock_close(a);
}

Test(calls_options_more, buffers_grow_when_asked)
{
    static const uint32_t options[] = {PAL_SO_RCVBUF, PAL_SO_SNDBUF};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    for (int i = 0; i < 2; i++) {
        option_set(sock, options[i], 8192);
        cr_assert_geq(option_of(sock, options[i]), 8192);
        option_set(sock, options[i], 65536);
        cr_assert_geq(option_of(sock, options[i]), 65536);
    }
    sock_close(sock);
}

/* A boolean, both ways, whatever it is at first (decision 0019). */
static void expect_of_listener(uint32_t option)
{
    for (int32_t value = 0; value < 2; value++) {
        pal_sock listener, a, b;
        struct pal_addr addr;
        int32_t first;

        listener_open(PAL_AF_INET, &listener, &addr);
        first = option_of(listener, option);
        option_set(listener, option, value);
        connect_to(listener, &addr, &a, &b);
        cr_assert_eq(option_of(b, option), value);
        cr_assert_eq(option_of(a, option), first);
        expect_connected(a, b);
        pair_close(a, b);
        sock_close(listener);
    }
}

Test(calls_options_more, an_accepted_socket_has_its_listeners_nodelay)
{
    expect_of_listener(PAL_SO_NODELAY);
}

Test(calls_options_more, an_accepted_socket_has_its_listeners_quickack_always)
{
    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this backend");
    expect_of_listener(PAL_SO_QUICKACK_ALWAYS);
}

Test(calls_options_more, a_duplicate_has_quickack_always_as_well)
{
    pal_sock a, b, second;

    if (!has_caps(PAL_CAP_QUICKACK))
        test_skip("quickack", "not of this backend");
    pair_open(PAIR_TCP4, &a, &b);
    option_set(b, PAL_SO_QUICKACK_ALWAYS, 1);
    assert_error(pal_sock_dup(b, &second), 0);
    cr_assert_eq(option_of(second, PAL_SO_QUICKACK_ALWAYS), 1);
    expect_connected(a, second);
    sock_close(second);
    expect_connected(a, b);
    pair_close(a, b);
    assert_stale(b);
}

Test(calls_options_more, the_budget_of_busy_polling_is_checked)
{
    static const int32_t bad[] = {-1, 65536, INT32_MIN};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    int error;

    if (!has_caps(PAL_CAP_PREFER_BUSY_POLL)) {
        sock_close(sock);
        test_skip("busy-poll", "not of this backend");
    }
    for (int i = 0; i < 3; i++) {
        assert_error(option_try(sock, PAL_SO_BUSY_POLL_BUDGET, bad[i]), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "");
    }
    error = option_try(sock, PAL_SO_BUSY_POLL_BUDGET, 16);
    cr_assert(error == 0 || error == PAL_EPERM, "%s", pal_error_name(error));
    assert_error(option_try(sock, PAL_SO_BUSY_POLL_BUDGET, 0), 0);
    sock_close(sock);
}

Test(calls_options_more, low_water_is_what_makes_a_stream_readable)
{
    pal_sock a, b;
    struct pal_wait item;

    pair_open(PAIR_TCP4, &a, &b);
    if (option_try(b, PAL_SO_RCVLOWAT, 4) == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("sock-option", "PAL_SO_RCVLOWAT");
    }
    memset(&item, 0, sizeof(item));
    item.sock = b;
    item.interest = PAL_IN;
    send_text(a, "123");
    for (int i = 0; i < 500 && option_of(b, PAL_SO_NREAD) < 3; i++)
        assert_error(pal_sock_wait(NULL, 0, deadline_after(MILLISECOND_NS)), 0);
    assert_error(pal_sock_wait(&item, 1, 0), 0);
    send_text(a, "4");
    expect_text(b, "1234");
    pair_close(a, b);
}

Test(calls_options_more, corked_bytes_go_when_the_cork_does)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    if (option_try(a, PAL_SO_CORK, 1) == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("sock-option", "PAL_SO_CORK");
    }
    send_text(a, "head ");
    send_text(a, "and body");
    option_set(a, PAL_SO_CORK, 0);
    expect_text(b, "head and body");
    pair_close(a, b);
}

Test(calls_options_more, privileged_numbers_are_kept_or_refused_as_such)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    int error = option_try(sock, PAL_SO_MARK, 0);

    cr_assert(error == 0 || error == PAL_EPERM || (error == PAL_ENOTSUP && *pal_reason() != '\0'), "%s",
              pal_error_name(error));
    if (error == 0)
        cr_assert_eq(option_of(sock, PAL_SO_MARK), 0);
    sock_close(sock);
}

/* ---- the system's own ---- */

/* TCP_NODELAY is option 1 of level 6 wherever sockets came from BSD. */
Test(calls_options_more, a_systems_own_number_goes_through_as_it_is)
{
    const uint32_t raw_nodelay = PAL_SO_RAW(6, 1);
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    int value = 1;
    size_t size = sizeof(value);
    int error = pal_sock_set(sock, raw_nodelay, &value, sizeof(value));

    if (error == PAL_ENOTSUP) {
        sock_close(sock);
        test_skip("sock-option", "PAL_SO_RAW");
    }
    assert_error(error, 0);
    cr_assert_eq(option_of(sock, PAL_SO_NODELAY), 1);
    option_set(sock, PAL_SO_NODELAY, 0);
    assert_error(pal_sock_get(sock, raw_nodelay, &value, &size), 0);
    cr_assert_eq(size, sizeof(value));
    cr_assert_eq(value, 0);
    cr_assert_lt(pal_sock_get(sock, PAL_SO_RAW(4095, 65535), &value, &size), 0);
    sock_close(sock);
}
