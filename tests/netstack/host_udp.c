/* tests/netstack/host_udp.c: datagrams: an echo server on port 7, and a member of groups on port 5353, which answers
 * what it hears there to the sender. */
#include "host.h"

#include <stdio.h>
#include <string.h>

enum { DATAGRAM_MAX = 65507 };

static struct sock *socks[DATAGRAM_SOCKS];

static int join(struct host *host, struct sock *sock, int family)
{
    static const uint8_t group4[4] = {239, 9, 9, 9}, group6[16] = {0xff, 0x15, [15] = 9};
    struct pal_mcast mcast;

    memset(&mcast, 0, sizeof(mcast));
    mcast.group.family = (uint8_t)family;
    mcast.group.size = family == PAL_AF_INET ? 4 : 16;
    memcpy(mcast.group.bytes, family == PAL_AF_INET ? group4 : group6, mcast.group.size);
    mcast.ifindex = host->ifindex;
    return pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &mcast, sizeof(mcast));
}

int udp_open(struct host *host)
{
    for (int i = 0; i < DATAGRAM_SOCKS; i++) {
        int family = i % 2 == 0 ? PAL_AF_INET : PAL_AF_INET6, error;
        int32_t on = 1, fragment = 0;
        struct pal_addr addr;

        memset(&addr, 0, sizeof(addr));
        addr.family = (uint8_t)family;
        addr.size = family == PAL_AF_INET ? 4 : 16;
        addr.port = i < 2 ? PORT_ECHO : PORT_GROUP;
        error = pal__n_sock_open(host->stack, family, PAL_SOCK_DGRAM, &socks[i]);
        if (error == 0 && family == PAL_AF_INET6)
            error = pal__n_sock_set(socks[i], PAL_SO_V6ONLY, &on, sizeof(on));
        if (error == 0)
            error = pal__n_sock_bind(socks[i], &addr);
        if (error == 0)
            error = pal__n_sock_set(socks[i], PAL_SO_MTU_DISCOVER, &fragment, sizeof(fragment));
        if (error == 0 && i >= 2)
            error = join(host, socks[i], family);
        if (error != 0)
            return error;
        pal__n_sock_watch(socks[i], PAL_IN);
    }
    return 0;
}

static bool answer(struct sock *sock)
{
    static uint8_t bytes[DATAGRAM_MAX];
    struct pal_iov iov = {bytes, sizeof(bytes)};
    struct pal_addr from;
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.addr = &from;
    if (pal__n_sock_recv_msgs(sock, &msg, 1, 0) != 1)
        return false;
    iov.size = (size_t)msg.size;
    msg.have = 0;
    pal__n_sock_send_msgs(sock, &msg, 1, 0);
    return true;
}

bool udp_ready(struct host *host, struct sock *sock)
{
    (void)host;
    for (int i = 0; i < DATAGRAM_SOCKS; i++)
        if (socks[i] == sock) {
            while (answer(sock))
                ;
            return true;
        }
    return false;
}

int udp_send_to(struct host *host, const struct pal_addr *to)
{
    static uint8_t text[] = "group hello";
    struct pal_iov iov = {text, sizeof(text) - 1};
    struct pal_addr addr = *to;
    struct pal_msg msg;
    struct sock *sock;
    int result = pal__n_sock_open(host->stack, to->family, PAL_SOCK_DGRAM, &sock);

    if (result != 0)
        return result;
    result = pal__n_sock_set(sock, PAL_SO_MCAST_IF, &host->ifindex, sizeof(host->ifindex));
    memset(&msg, 0, sizeof(msg));
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.addr = &addr;
    if (result == 0)
        result = pal__n_sock_send_msgs(sock, &msg, 1, 0);
    pal__n_sock_close(sock);
    return result == 1 ? 0 : result;
}
