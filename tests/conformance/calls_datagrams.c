/* calls_datagrams.c: UDP sockets, connected and not: whom they hear, whom they reach, what bounces. What a message
 * carries besides its bytes is in calls_messages.c and calls_metadata.c. That a datagram is not delivered is judged by
 * the one sent after it: on loopback they keep their order. */
#include "calls_common.h"

/* Two unconnected sockets and their names. */
struct post {
    pal_sock socks[2];
    struct pal_addr names[2];
};

static void post_open(struct post *post, int family)
{
    for (int i = 0; i < 2; i++)
        post->socks[i] = sock_bound(family, PAL_SOCK_DGRAM, &post->names[i]);
}

static void post_close(struct post *post)
{
    pair_close(post->socks[0], post->socks[1]);
}

static void expect_exchange(int family)
{
    struct post post;
    struct pal_addr from;

    post_open(&post, family);
    assert_error(send_to(post.socks[0], &post.names[1], "question"), 8);
    expect_datagram(post.socks[1], "question", &from);
    assert_same_address(from, post.names[0]);
    assert_error(send_to(post.socks[1], &from, "answer"), 6);
    expect_datagram(post.socks[0], "answer", &from);
    assert_same_address(from, post.names[1]);
    post_close(&post);
}

Test(calls_datagrams, an_answer_goes_to_the_senders_address)
{
    expect_exchange(PAL_AF_INET);
}

Test(calls_datagrams, an_answer_goes_to_the_senders_address_over_ipv6)
{
    require_inet6();
    expect_exchange(PAL_AF_INET6);
}

Test(calls_datagrams, a_socket_is_named_by_its_first_send)
{
    struct pal_addr addr, from;
    pal_sock receiver = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &addr);
    pal_sock sender = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    assert_error(send_to(sender, &addr, "hello"), 5);
    expect_datagram(receiver, "hello", &from);
    cr_assert_eq(from.port, name_of(sender, PAL_NAME_LOCAL).port);
    pair_close(receiver, sender);
}

Test(calls_datagrams, an_unconnected_socket_needs_a_destination)
{
    pal_sock sock = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);

    assert_error(pal_sock_send(sock, "x", 1, 0), PAL_EDESTADDRREQ);
    assert_error(send_to(sock, NULL, "x"), PAL_EDESTADDRREQ);
    sock_close(sock);
}

Test(calls_datagrams, a_destination_is_of_the_sockets_family)
{
    pal_sock sock = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);
    struct pal_addr addr = loopback(PAL_AF_INET6, 9);

    assert_error(send_to(sock, &addr, "x"), PAL_EAFNOSUPPORT);
    assert_error(pal_sock_connect(sock, &addr), PAL_EAFNOSUPPORT);
    addr = loopback(PAL_AF_INET, 9);
    addr.size = 5;
    assert_error(send_to(sock, &addr, "x"), PAL_EINVAL);
    assert_error(pal_sock_connect(sock, &addr), PAL_EINVAL);
    sock_close(sock);
}

Test(calls_datagrams, a_connected_socket_hears_its_peer_alone)
{
    struct post post;
    struct pal_addr from;
    pal_sock stranger = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);

    post_open(&post, PAL_AF_INET);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    assert_error(send_to(stranger, &post.names[0], "from a stranger"), 15);
    assert_error(send_to(post.socks[1], &post.names[0], "from the peer"), 13);
    expect_datagram(post.socks[0], "from the peer", &from);
    assert_same_address(from, post.names[1]);
    send_text(post.socks[0], "to the peer");
    expect_datagram(post.socks[1], "to the peer", &from);
    assert_same_address(from, post.names[0]);
    post_close(&post);
    sock_close(stranger);
}

Test(calls_datagrams, connecting_again_changes_the_peer)
{
    struct post post;
    struct pal_addr other_name;
    pal_sock other = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &other_name);

    post_open(&post, PAL_AF_INET);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    assert_error(pal_sock_connect(post.socks[0], &other_name), 0);
    assert_same_address(name_of(post.socks[0], PAL_NAME_PEER), other_name);
    assert_error(send_to(post.socks[1], &post.names[0], "from the old peer"), 17);
    assert_error(send_to(other, &post.names[0], "from the new peer"), 17);
    expect_text(post.socks[0], "from the new peer");
    send_text(post.socks[0], "to the new peer");
    expect_text(other, "to the new peer");
    post_close(&post);
    sock_close(other);
}

static void expect_disconnect(int family)
{
    struct post post;
    struct pal_addr peer;

    post_open(&post, family);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    assert_error(pal_sock_connect(post.socks[0], NULL), 0);
    assert_error(pal_sock_name(post.socks[0], PAL_NAME_PEER, &peer), PAL_ENOTCONN);
    assert_error(pal_sock_send(post.socks[0], "x", 1, 0), PAL_EDESTADDRREQ);
    assert_same_address(name_of(post.socks[0], PAL_NAME_LOCAL), post.names[0]);
    assert_error(send_to(post.socks[1], &post.names[0], "still heard"), 11);
    expect_datagram(post.socks[0], "still heard", NULL);
    assert_error(pal_sock_connect(post.socks[0], NULL), 0);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    send_text(post.socks[0], "and connected again");
    expect_text(post.socks[1], "and connected again");
    post_close(&post);
}

Test(calls_datagrams, connecting_to_nobody_removes_the_peer)
{
    expect_disconnect(PAL_AF_INET);
}

Test(calls_datagrams, connecting_to_nobody_removes_the_peer_over_ipv6)
{
    require_inet6();
    expect_disconnect(PAL_AF_INET6);
}

Test(calls_datagrams, an_empty_datagram_arrives)
{
    struct post post;
    struct pal_addr from;
    char byte;

    post_open(&post, PAL_AF_INET);
    assert_error(send_to(post.socks[0], &post.names[1], ""), 0);
    expect_datagram(post.socks[1], "", &from);
    assert_same_address(from, post.names[0]);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    assert_error(pal_sock_send(post.socks[0], NULL, 0, 0), 0);
    cr_assert(sock_until(post.socks[1], PAL_IN) & PAL_IN);
    assert_error(pal_sock_recv(post.socks[1], &byte, 1, 0), 0);
    assert_error(pal_sock_recv(post.socks[1], &byte, 1, 0), PAL_EAGAIN);
    post_close(&post);
}

Test(calls_datagrams, the_rest_of_a_datagram_that_does_not_fit_is_lost)
{
    struct post post;
    char bytes[4] = "";

    post_open(&post, PAL_AF_INET);
    assert_error(send_to(post.socks[0], &post.names[1], "too long"), 8);
    assert_error(send_to(post.socks[0], &post.names[1], "next"), 4);
    cr_assert(sock_until(post.socks[1], PAL_IN));
    assert_error(pal_sock_recv(post.socks[1], bytes, 3, PAL_MSG_PEEK | PAL_MSG_TRUNC), 8);
    assert_error(pal_sock_recv(post.socks[1], bytes, 3, 0), 3);
    cr_assert_str_eq(bytes, "too");
    expect_text(post.socks[1], "next");
    post_close(&post);
}

Test(calls_datagrams, the_largest_datagram_goes_and_a_larger_one_does_not)
{
    enum { LARGEST = 65535 - 20 - 8 };
    static char bytes[LARGEST + 1], received[LARGEST + 1];
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 251);
    assert_error(pal_sock_send(a, bytes, sizeof(bytes), 0), PAL_EMSGSIZE);
    assert_error(pal_sock_send(a, bytes, LARGEST, 0), LARGEST);
    cr_assert(sock_until(b, PAL_IN));
    assert_error(pal_sock_recv(b, received, sizeof(received), 0), LARGEST);
    cr_assert_arr_eq(received, bytes, LARGEST);
    pair_close(a, b);
}

Test(calls_datagrams, a_datagram_that_bounces_is_told_once_to_a_connected_socket)
{
    struct post post;
    char byte;

    post_open(&post, PAL_AF_INET);
    assert_error(pal_sock_connect(post.socks[0], &post.names[1]), 0);
    sock_close(post.socks[1]);
    assert_error(pal_sock_send(post.socks[0], "x", 1, 0), 1);
    cr_assert(sock_until(post.socks[0], PAL_IN));
    assert_error(pal_sock_recv(post.socks[0], &byte, 1, 0), PAL_ECONNREFUSED);
    assert_error(pal_sock_recv(post.socks[0], &byte, 1, 0), PAL_EAGAIN);
    sock_close(post.socks[0]);
}

Test(calls_datagrams, an_unconnected_socket_is_not_told_of_bounces)
{
    struct post post;
    struct pal_addr name;
    pal_sock other = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, &name);

    post_open(&post, PAL_AF_INET);
    sock_close(post.socks[1]);
    assert_error(send_to(post.socks[0], &post.names[1], "lost"), 4);
    assert_error(send_to(post.socks[0], &name, "found"), 5);
    expect_text(other, "found");
    assert_error(send_to(other, &post.names[0], "no error before me"), 18);
    expect_text(post.socks[0], "no error before me");
    pair_close(post.socks[0], other);
}

/* The loopback network's broadcast address has to be asked for. */
Test(calls_datagrams, broadcast_needs_leave)
{
    struct pal_addr any = any_address(PAL_AF_INET, 0);
    pal_sock receiver = sock_bound_to(PAL_SOCK_DGRAM, &any);
    pal_sock sender = sock_bound(PAL_AF_INET, PAL_SOCK_DGRAM, NULL);
    struct pal_addr broadcast = host_address("127.255.255.255", any.port);

    assert_error(send_to(sender, &broadcast, "may I"), PAL_EACCES);
    assert_error(pal_sock_connect(sender, &broadcast), PAL_EACCES);
    option_set(sender, PAL_SO_BROADCAST, 1);
    assert_error(send_to(sender, &broadcast, "hear ye"), 7);
    expect_datagram(receiver, "hear ye", NULL);
    option_set(sender, PAL_SO_BROADCAST, 0);
    assert_error(send_to(sender, &broadcast, "may I"), PAL_EACCES);
    pair_close(receiver, sender);
}

Test(calls_datagrams, shutdown_of_a_connected_socket_ends_its_sending)
{
    pal_sock a, b;

    pair_open(PAIR_UDP4, &a, &b);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    assert_error(pal_sock_send(a, "x", 1, 0), PAL_EPIPE);
    send_text(b, "still heard");
    expect_text(a, "still heard");
    pair_close(a, b);
}
