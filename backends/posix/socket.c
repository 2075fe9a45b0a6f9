/* socket.c: the life of a kernel socket: open, name, listen, connect, accept, close. Rules 2, 7, 9, 13 and 17. */
#include "../common/machine.h"
#include "option.h"
#include "sockaddr.h"
#include "try.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

SAME_NUMBER(PAL_AF_UNIX, AF_UNIX);
SAME_NUMBER(PAL_AF_INET, AF_INET);
SAME_NUMBER(PAL_AF_INET6, AF_INET6);
SAME_NUMBER(PAL_SOCK_STREAM, SOCK_STREAM);
SAME_NUMBER(PAL_SOCK_DGRAM, SOCK_DGRAM);
SAME_NUMBER(PAL_SOCK_RAW, SOCK_RAW);
SAME_NUMBER(PAL_SOCK_SEQPACKET, SOCK_SEQPACKET);
SAME_NUMBER(PAL_SHUT_RD, SHUT_RD);
SAME_NUMBER(PAL_SHUT_WR, SHUT_WR);
SAME_NUMBER(PAL_SHUT_RDWR, SHUT_RDWR);

_Atomic bool pal__k_descriptions_outlive;

static bool connects(uint8_t type)
{
    return type == PAL_SOCK_STREAM || type == PAL_SOCK_SEQPACKET;
}

static int no_handle(void)
{
    return pal__refuse(PAL_ENOBUFS, "socks_max handles are open: close some, or raise socks_max in pal_setup");
}

int pal__k_hold_new(int fd, uint32_t flags, uint8_t family, uint8_t type, pal_sock *out)
{
    if (!pal__slot_reserve()) {
        sys_close(fd);
        return no_handle();
    }
    *out = slot_handle(pal__slot_begin(fd, flags, family, type));
    return 0;
}

int pal__k_hold_two(const int fds[2], uint32_t flags, uint8_t family, uint8_t type, pal_sock out[2])
{
    pal_sock first = {0};
    int error = pal__k_hold_new(fds[0], flags, family, type, &first);
    if (error) {
        sys_close(fds[1]);
        return error;
    }
    error = pal__k_hold_new(fds[1], flags, family, type, &out[1]);
    if (error)
        pal__k_sock_close(first);
    else
        out[0] = first;
    return error;
}

int pal__k_sock_open(int family, int type, int protocol, pal_sock *out)
{
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_open needs room for the handle");
    if (family < 0 || family > UINT8_MAX || type <= 0 || type > SOCK_PACKET)
        return pal__refuse(PAL_EINVAL, "family is PAL_AF_*, type is PAL_SOCK_*");
    long fd = CHECKED(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (fd < 0)
        return pal__failed(fd);
    uint32_t flags = SLOT_NONBLOCK | (connects((uint8_t)type) ? SLOT_FRESH : 0u);
    return pal__k_hold_new((int)fd, flags, (uint8_t)family, (uint8_t)type, out);
}

int pal__k_sock_pair(int family, int type, pal_sock out[2])
{
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_pair needs room for two handles");
    if (family < 0 || family > UINT8_MAX || type <= 0 || type > SOCK_PACKET)
        return pal__refuse(PAL_EINVAL, "family is PAL_AF_UNIX, type is PAL_SOCK_*");
    int fds[2];
    long result = CHECKED(socketpair(family, type | SOCK_CLOEXEC, 0, fds));
    if (result < 0)
        return pal__failed(result);
    return pal__k_hold_two(fds, 0, (uint8_t)family, (uint8_t)type, out);
}

int pal__k_sock_dup(pal_sock sock, pal_sock *out)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_dup needs room for the handle");
    if (!pal__slot_reserve()) /* before anything about the socket is changed */
        return no_handle();
    long fd = CHECKED(fcntl(slot->fd, F_DUPFD_CLOEXEC, 0));
    if (fd < 0) {
        pal__slot_cancel();
        return pal__failed(fd);
    }
    slot_set(slot, SLOT_EXPORTED | SLOT_MODE_KEPT);
    uint32_t inherited =
        slot_flags(slot) & (SLOT_MODE_KEPT | SLOT_SHARED | SLOT_EXPORTED | SLOT_NONBLOCK | SLOT_FRESH | SLOT_FAILED |
                            SLOT_CONNECTING | SLOT_PASS | SLOT_GROUPS | SLOT_ZEROCOPY | SLOT_QUICKACK);
    *out = slot_handle(pal__slot_begin((int)fd, inherited, slot->family, slot->type));
    return 0;
}

static int address_for(const struct slot *slot, const struct pal_addr *addr, union sockaddr_any *name, socklen_t *size)
{
    if (slot_plain(slot))
        return pal__refuse(PAL_ENOTSOCK, "pipes and terminals have no addresses");
    if (addr->family != slot->family)
        return pal__refuse(PAL_EAFNOSUPPORT, "the address is of another family than the socket");
    return sockaddr_of(addr, name, size);
}

int pal__k_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!addr)
        return pal__refuse(PAL_EINVAL, "pal_sock_bind needs an address");
    union sockaddr_any name;
    socklen_t size;
    int error = address_for(slot, addr, &name, &size);
    if (error)
        return error;
    long result = CHECKED(bind(slot->fd, &name.any, size));
    if (result < 0)
        return pal__failed(result);
    if (!connects(slot->type) && slot->family != PAL_AF_UNIX)
        pal__k_hear_own_groups(slot);
    return 0;
}

int pal__k_sock_listen(pal_sock sock, int backlog)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    int cut = backlog < 1 ? 1 : backlog > 65535 ? 65535 : backlog;
    long result = CHECKED(listen(slot->fd, cut));
    if (result < 0)
        return pal__failed(result);
    pal__machine_stirred(slot);
    return 0;
}

/* The kernel would answer a second connect with the outcome of the first, once. */
static int connected_before(const struct slot *slot)
{
    union sockaddr_any name;
    socklen_t size = sizeof name;
    if (slot_flags(slot) & SLOT_FAILED)
        return pal__refuse(PAL_EINVAL, "this socket's connect has failed: close it and open another");
    if (slot_flags(slot) & SLOT_FRESH)
        return 0;
    if (getpeername(slot->fd, &name.any, &size) == 0)
        return pal__refuse(PAL_EISCONN, NULL);
    return slot_flags(slot) & SLOT_CONNECTING ? pal__refuse(PAL_EALREADY, NULL) : 0;
}

static int connect_stream(struct slot *slot, const union sockaddr_any *name, socklen_t size)
{
    int error = connected_before(slot);
    if (error)
        return error;
    long result = CHECKED(connect(slot->fd, &name->any, size));
    if (result == 0 || result == -EINPROGRESS) {
        if (result)
            slot_set(slot, SLOT_CONNECTING);
        pal__machine_stirred(slot);
    } else if (result != -EAGAIN) {
        slot_set(slot, SLOT_FAILED);
    }
    return result < 0 ? pal__failed(result) : 0;
}

/* Taking the peer away, Linux gives up a port that it chose itself; what was sent to that port would be lost, so it is
 * bound again. */
static int disconnect(const struct slot *slot)
{
    union sockaddr_any before = {.any.sa_family = AF_UNSPEC}, after = before, none = before;
    socklen_t size = sizeof before;
    getsockname(slot->fd, &before.any, &size);
    long result = CHECKED(connect(slot->fd, &none.any, sizeof none.any));
    if (result < 0)
        return pal__failed(result);
    size = sizeof after;
    getsockname(slot->fd, &after.any, &size);
    in_port_t *port = after.any.sa_family == AF_INET    ? &after.in.sin_port
                      : after.any.sa_family == AF_INET6 ? &after.in6.sin6_port
                                                        : NULL;
    if (!port || *port)
        return 0;
    *port = after.any.sa_family == AF_INET ? before.in.sin_port : before.in6.sin6_port;
    if (*port)
        result = CHECKED(bind(slot->fd, &after.any, size));
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    union sockaddr_any name;
    socklen_t size;
    bool stream = connects(slot->type);
    if (!addr)
        return stream ? pal__refuse(PAL_EINVAL, "a stream socket connects to an address") : disconnect(slot);
    int error = address_for(slot, addr, &name, &size);
    if (error)
        return error;
    if (stream)
        return connect_stream(slot, &name, size);
    long result = CHECKED(connect(slot->fd, &name.any, size));
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    if (UNLIKELY(!out))
        return pal__refuse(PAL_EINVAL, "pal_sock_accept needs room for the handle");
    int error;
    if (UNLIKELY(!(slot_flags(slot) & SLOT_NONBLOCK)) && (error = pal__k_ask_first(slot, POLLIN)))
        return error;
    if (UNLIKELY(!pal__slot_reserve())) /* first: never accept what cannot be held (rule 13) */
        return no_handle();
    union sockaddr_any name;
    socklen_t size = sizeof name;
    long fd = sys_accept4(slot->fd, addr ? &name : NULL, addr ? &size : NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        pal__slot_cancel();
        return fd == PAL_EAGAIN ? PAL_EAGAIN : pal__failed(fd);
    }
    if (addr)
        addr_of(addr, &name, size);
    uint32_t inherited = slot_flags(slot) & (SLOT_PASS | SLOT_QUICKACK);
    *out = slot_handle(pal__slot_begin((int)fd, inherited, slot->family, slot->type));
    return 0;
}

int pal__k_sock_shutdown(pal_sock sock, int how)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (how != PAL_SHUT_RD && how != PAL_SHUT_WR && how != PAL_SHUT_RDWR)
        return pal__refuse(PAL_EINVAL, "how is PAL_SHUT_RD, WR or RDWR");
    long result = CHECKED(shutdown(slot->fd, how));
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_retire(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    int error = pal__machine_retire(slot);
    if (UNLIKELY(error))
        return error;
    if (UNLIKELY(slot->armed && (slot_flags(slot) & SLOT_EXPORTED || pal__k_descriptions_outlive)) && poll &&
        !poll_inherited(poll))
        pal__k_wait_forget(poll, slot); /* another descriptor keeps the description, and so its events, alive */
    return 0;
}

int pal__k_sock_close(pal_sock sock)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    int error = pal__k_retire(slot);
    if (UNLIKELY(error))
        return error;
    sys_close(slot->fd); /* whatever it says, the descriptor is gone (close(2)) */
    pal__slot_drop(slot);
    return 0;
}

int pal__k_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!out || (which != PAL_NAME_LOCAL && which != PAL_NAME_PEER))
        return pal__refuse(PAL_EINVAL, "pal_sock_name needs room, and PAL_NAME_LOCAL or PEER");
    union sockaddr_any name;
    socklen_t size = sizeof name;
    long result = CHECKED(which == PAL_NAME_LOCAL ? getsockname(slot->fd, &name.any, &size)
                                                  : getpeername(slot->fd, &name.any, &size));
    if (result < 0)
        return pal__failed(result);
    memset(out, 0, sizeof *out);
    addr_of(out, &name, size);
    return 0;
}
