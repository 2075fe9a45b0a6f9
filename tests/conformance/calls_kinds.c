/* calls_kinds.c: TCP over IPv4 and IPv6, and what all sockets share: how they are opened, named, connected, shut down,
 * closed. Local sockets are in calls_unix.c, pipes and foreign descriptors in calls_native.c, datagrams in
 * calls_datagrams.c, sharing of addresses in calls_ports.c. */
#include "calls_common.h"

/* ---- opening ---- */

Test(calls_kinds, open_refuses_what_does_not_exist)
{
    uint64_t before = handles_open();
    pal_sock sock = {0};

    assert_error(pal_sock_open(NULL, PAL_AF_UNSPEC, PAL_SOCK_STREAM, 0, &sock), PAL_EAFNOSUPPORT);
    assert_error(pal_sock_open(NULL, 250, PAL_SOCK_STREAM, 0, &sock), PAL_EAFNOSUPPORT);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_UDP, &sock), PAL_EPROTONOSUPPORT);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, PAL_IPPROTO_TCP, &sock), PAL_EPROTONOSUPPORT);
    cr_assert_lt(pal_sock_open(NULL, PAL_AF_INET, 99, 0, &sock), 0);
    cr_assert_lt(pal_sock_open(NULL, PAL_AF_INET, -1, 0, &sock), 0);
    cr_assert_lt(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM | 0x800, 0, &sock), 0,
                 "the system's own flags are no types");
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, NULL), PAL_EINVAL);
    cr_assert_eq(handles_open(), before);
}

Test(calls_kinds, open_counts_handles_and_gives_each_its_own)
{
    uint64_t before = handles_open();
    pal_sock a = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock b = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    cr_assert_neq(a.id, b.id);
    cr_assert_eq(handles_open(), before + 2);
    pair_close(a, b);
    cr_assert_eq(handles_open(), before);
}

Test(calls_kinds, a_closed_handle_is_stale_for_every_call)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    pal_sock none = {0};
    pal_sock next;

    sock_close(sock);
    assert_stale(sock);
    assert_stale(none);
    next = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    assert_stale(sock);
    sock_close(next);
}

Test(calls_kinds, a_pointer_that_is_needed_may_not_be_null)
{
    pal_sock sock = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, NULL);
    int32_t value = 0;
    size_t size = sizeof(value);

    assert_error(pal_sock_bind(sock, NULL), PAL_EINVAL);
    assert_error(pal_sock_connect(sock, NULL), PAL_EINVAL);
    assert_error(pal_sock_accept(sock, NULL, NULL), PAL_EINVAL);
    assert_error(pal_sock_name(sock, PAL_NAME_LOCAL, NULL), PAL_EINVAL);
    assert_error(pal_sock_dup(sock, NULL), PAL_EINVAL);
    assert_error(pal_sock_release(sock, NULL), PAL_EINVAL);
    assert_error(pal_sock_recv_msgs(sock, NULL, 1, 0), PAL_EINVAL);
    assert_error(pal_sock_send_msgs(sock, NULL, 1, 0), PAL_EINVAL);
    assert_error(pal_sock_get(sock, PAL_SO_TYPE, NULL, &size), PAL_EINVAL);
    assert_error(pal_sock_get(sock, PAL_SO_TYPE, &value, NULL), PAL_EINVAL);
    assert_error(pal_sock_set(sock, PAL_SO_REUSEADDR, NULL, sizeof(value)), PAL_EINVAL);
    sock_close(sock);
}

/* ---- naming ---- */

static void expect_names(enum pair_kind kind, int family)
{
    pal_sock a, b;
    struct pal_addr name;

    pair_open(kind, &a, &b);
    name = name_of(a, PAL_NAME_LOCAL);
    cr_assert_eq(name.family, family);
    cr_assert_eq(name.size, family == PAL_AF_INET ? 4 : 16);
    cr_assert_neq(name.port, 0);
    assert_same_address(name_of(b, PAL_NAME_PEER), name);
    assert_same_address(name_of(a, PAL_NAME_PEER), name_of(b, PAL_NAME_LOCAL));
    assert_error(pal_sock_name(a, 7, &name), PAL_EINVAL);
    pair_close(a, b);
}

Test(calls_kinds, the_ends_of_a_connection_name_each_other)
{
    expect_names(PAIR_TCP4, PAL_AF_INET);
    expect_names(PAIR_UDP4, PAL_AF_INET);
}

Test(calls_kinds, the_ends_of_an_ipv6_connection_name_each_other)
{
    require_inet6();
    expect_names(PAIR_TCP6, PAL_AF_INET6);
}

Test(calls_kinds, a_fresh_socket_has_a_wildcard_name_and_no_peer)
{
    static const int types[] = {PAL_SOCK_STREAM, PAL_SOCK_DGRAM};

    for (int i = 0; i < 2; i++) {
        pal_sock sock = sock_open(PAL_AF_INET, types[i]);
        struct pal_addr peer;

        assert_same_address(name_of(sock, PAL_NAME_LOCAL), any_address(PAL_AF_INET, 0));
        assert_error(pal_sock_name(sock, PAL_NAME_PEER, &peer), PAL_ENOTCONN);
        sock_close(sock);
    }
}

Test(calls_kinds, accept_tells_the_peers_address)
{
    pal_sock listener, client, served = {0};
    struct pal_addr addr, peer;
    int error;

    listener_open(PAL_AF_INET, &listener, &addr);
    client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    error = pal_sock_connect(client, &addr);
    cr_assert(error == 0 || error == PAL_EINPROGRESS);
    cr_assert(sock_until(listener, PAL_IN) & PAL_IN);
    memset(&peer, 0xa5, sizeof(peer));
    assert_error(pal_sock_accept(listener, &served, &peer), 0);
    assert_same_address(peer, name_of(client, PAL_NAME_LOCAL));
    assert_same_address(peer, name_of(served, PAL_NAME_PEER));
    cr_assert_eq(peer.scope, 0);
    cr_assert_eq(peer.flow, 0);
    pair_close(client, served);
    sock_close(listener);
}

Test(calls_kinds, bind_refuses_addresses_that_are_not_to_be_had)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    struct pal_addr addr = host_address("192.0.2.1", 0);

    assert_error(pal_sock_bind(sock, &addr), PAL_EADDRNOTAVAIL);
    addr = any_address(PAL_AF_INET6, 0);
    assert_error(pal_sock_bind(sock, &addr), PAL_EAFNOSUPPORT);
    addr = loopback(PAL_AF_INET, 0);
    addr.family = PAL_AF_UNIX;
    assert_error(pal_sock_bind(sock, &addr), PAL_EAFNOSUPPORT);
    addr = loopback(PAL_AF_INET, 0);
    addr.size = 3;
    assert_error(pal_sock_bind(sock, &addr), PAL_EINVAL);
    addr.size = 255;
    assert_error(pal_sock_bind(sock, &addr), PAL_EINVAL);
    addr = loopback(PAL_AF_INET, 0);
    assert_error(pal_sock_bind(sock, &addr), 0);
    assert_error(pal_sock_bind(sock, &addr), PAL_EINVAL);
    sock_close(sock);
}

/* ---- TCP ---- */

Test(calls_kinds, tcp_carries_bytes_both_ways)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
}

Test(calls_kinds, tcp_over_ipv6_carries_bytes_both_ways)
{
    pal_sock a, b;

    require_inet6();
    pair_open(PAIR_TCP6, &a, &b);
    expect_connected(a, b);
    pair_close(a, b);
}

Test(calls_kinds, a_stream_is_received_in_pieces_of_any_size)
{
    pal_sock a, b;
    char bytes[8] = "";

    pair_open(PAIR_TCP4, &a, &b);
    send_text(a, "Michael Gilfix");
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv(b, bytes, 7, PAL_MSG_PEEK), 7);
    assert_error(pal_sock_recv(b, bytes, 0, 0), 0);
    assert_error(pal_sock_recv(b, bytes, 7, 0), 7);
    cr_assert_str_eq(bytes, "Michael");
    expect_text(b, " Gilfix");
    assert_error(pal_sock_recv(b, bytes, 1, 0), PAL_EAGAIN);
    pair_close(a, b);
}

Test(calls_kinds, bytes_held_back_with_more_arrive_with_the_rest)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_send(a, "head", 4, PAL_MSG_MORE), 4);
    assert_error(pal_sock_send(a, "body", 4, 0), 4);
    for (int done = 0; done < 8;) {
        char bytes[8];
        int32_t size;

        cr_assert(sock_until(b, PAL_IN));
        size = pal_sock_recv(b, bytes, sizeof(bytes), 0);
        cr_assert_gt(size, 0);
        cr_assert(size <= 8 - done && memcmp(bytes, &"headbody"[done], (size_t)size) == 0);
        done += size;
    }
    pair_close(a, b);
}

Test(calls_kinds, accept_has_nothing_to_give)
{
    pal_sock listener, stream, datagram, out = {0};
    struct pal_addr addr;
    uint64_t before;

    listener_open(PAL_AF_INET, &listener, &addr);
    stream = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, NULL);
    datagram = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);
    before = handles_open();
    assert_error(pal_sock_accept(listener, &out, &addr), PAL_EAGAIN);
    assert_error(pal_sock_accept(stream, &out, &addr), PAL_EINVAL);
    assert_error(pal_sock_accept(datagram, &out, &addr), PAL_ENOTSUP);
    assert_error(pal_sock_listen(datagram, 1), PAL_ENOTSUP);
    cr_assert_eq(handles_open(), before, "a handle was reserved and not given back");
    pair_close(stream, datagram);
    sock_close(listener);
}

Test(calls_kinds, any_backlog_is_cut_to_what_there_is)
{
    static const int backlogs[] = {1, 0, -1, 65536, INT32_MAX};

    for (size_t i = 0; i < sizeof(backlogs) / sizeof(backlogs[0]); i++) {
        struct pal_addr addr;
        pal_sock listener = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, &addr);
        pal_sock a, b;

        assert_error(pal_sock_listen(listener, backlogs[i]), 0);
        connect_to(listener, &addr, &a, &b);
        expect_connected(a, b);
        pair_close(a, b);
        sock_close(listener);
    }
}

Test(calls_kinds, a_connected_stream_does_not_connect_again)
{
    pal_sock a, b;
    struct pal_addr peer;
    int error;

    pair_open(PAIR_TCP4, &a, &b);
    peer = name_of(a, PAL_NAME_PEER);
    error = pal_sock_connect(a, &peer);
    cr_assert(error == PAL_EISCONN || error == PAL_EINVAL, "%s", pal_error_name(error));
    expect_connected(a, b);
    pair_close(a, b);
}

Test(calls_kinds, an_unconnected_stream_carries_nothing)
{
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    char byte = 'x';
    int32_t result = pal_sock_send(sock, &byte, 1, 0);

    cr_assert(result == PAL_ENOTCONN || result == PAL_EPIPE, "%s", pal_error_name(result));
    assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_ENOTCONN);
    assert_error(pal_sock_shutdown(sock, PAL_SHUT_RDWR), PAL_ENOTCONN);
    sock_close(sock);
}

Test(calls_kinds, shutdown_of_the_sending_side_leaves_the_other)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    send_text(a, "last words");
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    expect_text(b, "last words");
    expect_end(b);
    expect_end(b);
    assert_error(pal_sock_send(a, "x", 1, 0), PAL_EPIPE);
    send_text(b, "an answer");
    expect_text(a, "an answer");
    pair_close(a, b);
}

Test(calls_kinds, shutdown_of_the_receiving_side_ends_it)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_RD), 0);
    expect_end(a);
    send_text(a, "still sends");
    expect_text(b, "still sends");
    pair_close(a, b);
}

Test(calls_kinds, shutdown_of_both_sides_ends_both)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_shutdown(a, 3), PAL_EINVAL);
    assert_error(pal_sock_shutdown(a, -1), PAL_EINVAL);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_RDWR), 0);
    expect_end(a);
    expect_end(b);
    assert_error(pal_sock_send(a, "x", 1, 0), PAL_EPIPE);
    pair_close(a, b);
}

Test(calls_kinds, close_ends_the_stream_after_what_was_sent)
{
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    send_text(a, "sent before");
    sock_close(a);
    expect_text(b, "sent before");
    expect_end(b);
    sock_close(b);
}

Test(calls_kinds, linger_of_no_seconds_resets)
{
    pal_sock a, b;
    char byte;

    pair_open(PAIR_TCP4, &a, &b);
    close_with_reset(a);
    cr_assert(sock_until(b, PAL_IN) & PAL_ERR);
    assert_error(pal_sock_recv(b, &byte, 1, 0), PAL_ECONNRESET);
    assert_error(pal_sock_recv(b, &byte, 1, 0), 0);
    sock_close(b);
}

Test(calls_kinds, linger_of_some_seconds_ends_in_order_when_all_is_acknowledged)
{
    struct pal_linger linger = {1, 30};
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    assert_error(pal_sock_set(a, PAL_SO_LINGER, &linger, sizeof(linger)), 0);
    send_text(a, "goodbye");
    expect_text(b, "goodbye");
    sock_close(a);
    expect_end(b);
    sock_close(b);
}

Test(calls_kinds, an_urgent_byte_is_received_apart)
{
    pal_sock a, b;
    char byte = 0;
    int32_t sent;

    pair_open(PAIR_TCP4, &a, &b);
    sent = pal_sock_send(a, "!", 1, PAL_MSG_OOB);
    if (sent == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("urgent-data", "this stack has none");
    }
    assert_error(sent, 1);
    cr_assert(sock_until(b, PAL_PRI) & PAL_PRI);
    assert_error(pal_sock_recv(b, &byte, 1, PAL_MSG_OOB), 1);
    cr_assert_eq(byte, '!');
    assert_error(pal_sock_recv(b, &byte, 1, PAL_MSG_OOB), PAL_EINVAL);
    pair_close(a, b);
}

Test(calls_kinds, an_urgent_byte_is_received_in_line_when_asked)
{
    pal_sock a, b;
    int32_t sent;

    pair_open(PAIR_TCP4, &a, &b);
    if (option_try(b, PAL_SO_OOBINLINE, 1) == PAL_ENOTSUP) {
        pair_close(a, b);
        test_skip("urgent-data", "this stack has none");
    }
    send_text(a, "calm");
    expect_text(b, "calm");
    sent = pal_sock_send(a, "!", 1, PAL_MSG_OOB);
    if (sent == PAL_ENOTSUP) {
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        pair_close(a, b);
        test_skip("urgent-data", "this stack sends none");
    }
    assert_error(sent, 1);
    expect_text(b, "!");
    pair_close(a, b);
}
