/* option.c: the options of pal/options.h as one table: what the kernel calls them, which sockets have them, which
 * values they take. Rule 16: what cannot be done is refused with a reason, before the kernel is asked. */
#include "option.h"

#include "sockaddr.h"
#include "try.h"

#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

/* Which sockets an option is for; and BOTH_LEVELS: an IPv6 socket carries IPv4, too (mapped addresses), so it is set at
 * both. */
enum { ON_ANY = 0, ON_IP = 1, ON_INET6 = 2, ON_TCP = 4, ON_UDP = 8, ON_UNIX = 16, ON_DATAGRAM = 32, BOTH_LEVELS = 64 };

enum { KIND_INT, KIND_BOOL, KIND_TEXT, KIND_LINGER };

struct option {
    uint32_t number;
    int level, name;   /* on this family, */
    int level6, name6; /* and on IPv6, where it differs (name6 0: the same) */
    int32_t min, max;  /* of a KIND_INT that is set */
    uint8_t kind, on;
    bool read_only;
};

#define SOCKET_(name) SOL_SOCKET, name, 0, 0
#define TCP_(name) IPPROTO_TCP, name, 0, 0
#define IP_(name4, name6) IPPROTO_IP, name4, IPPROTO_IPV6, name6

static const struct option options[] = {
    {PAL_SO_TYPE, SOCKET_(SO_TYPE), 0, 0, KIND_INT, ON_ANY, true},
    {PAL_SO_FAMILY, SOCKET_(SO_DOMAIN), 0, 0, KIND_INT, ON_ANY, true},
    {PAL_SO_PROTOCOL, SOCKET_(SO_PROTOCOL), 0, 0, KIND_INT, ON_ANY, true},
    {PAL_SO_LISTENING, SOCKET_(SO_ACCEPTCONN), 0, 0, KIND_INT, ON_ANY, true},
    {PAL_SO_REUSEADDR, SOCKET_(SO_REUSEADDR), 0, 1, KIND_BOOL, ON_ANY, false},
    {PAL_SO_REUSEPORT, SOCKET_(SO_REUSEPORT), 0, 1, KIND_BOOL, ON_IP, false},
    {PAL_SO_BROADCAST, SOCKET_(SO_BROADCAST), 0, 1, KIND_BOOL, ON_DATAGRAM, false},
    {PAL_SO_KEEPALIVE, SOCKET_(SO_KEEPALIVE), 0, 1, KIND_BOOL, ON_ANY, false},
    {PAL_SO_LINGER, SOCKET_(SO_LINGER), 0, 0, KIND_LINGER, ON_ANY, false},
    {PAL_SO_RCVBUF, SOCKET_(SO_RCVBUF), 1, INT32_MAX, KIND_INT, ON_ANY, false},
    {PAL_SO_SNDBUF, SOCKET_(SO_SNDBUF), 1, INT32_MAX, KIND_INT, ON_ANY, false},
    {PAL_SO_RCVLOWAT, SOCKET_(SO_RCVLOWAT), 1, INT32_MAX, KIND_INT, ON_ANY, false},
    {PAL_SO_OOBINLINE, SOCKET_(SO_OOBINLINE), 0, 1, KIND_BOOL, ON_TCP, false},
    {PAL_SO_DEVICE, SOCKET_(SO_BINDTODEVICE), 0, 0, KIND_TEXT, ON_IP, false},
    {PAL_SO_PRIORITY, SOCKET_(SO_PRIORITY), 0, INT32_MAX, KIND_INT, ON_ANY, false},
    {PAL_SO_MARK, SOCKET_(SO_MARK), 0, INT32_MAX, KIND_INT, ON_ANY, false},
    {PAL_SO_BUSY_POLL, SOCKET_(SO_BUSY_POLL), 0, INT32_MAX, KIND_INT, ON_IP, false},
    {PAL_SO_INCOMING_CPU, SOCKET_(SO_INCOMING_CPU), -1, INT32_MAX, KIND_INT, ON_IP, false},
    {PAL_SO_PREFER_BUSY_POLL, SOCKET_(SO_PREFER_BUSY_POLL), 0, 1, KIND_BOOL, ON_IP, false},
    {PAL_SO_BUSY_POLL_BUDGET, SOCKET_(SO_BUSY_POLL_BUDGET), 0, UINT16_MAX, KIND_INT, ON_IP, false},
    {PAL_SO_NODELAY, TCP_(TCP_NODELAY), 0, 1, KIND_BOOL, ON_TCP, false},
    {PAL_SO_CORK, TCP_(TCP_CORK), 0, 1, KIND_BOOL, ON_TCP, false},
    {PAL_SO_QUICKACK, TCP_(TCP_QUICKACK), 0, 1, KIND_BOOL, ON_TCP, false},
    {PAL_SO_MAXSEG, TCP_(TCP_MAXSEG), 88, 65495, KIND_INT, ON_TCP, false},
    {PAL_SO_KEEPIDLE, TCP_(TCP_KEEPIDLE), 1, 32767, KIND_INT, ON_TCP, false},
    {PAL_SO_KEEPINTVL, TCP_(TCP_KEEPINTVL), 1, 32767, KIND_INT, ON_TCP, false},
    {PAL_SO_KEEPCNT, TCP_(TCP_KEEPCNT), 1, 127, KIND_INT, ON_TCP, false},
    {PAL_SO_USER_TIMEOUT, TCP_(TCP_USER_TIMEOUT), 0, INT32_MAX, KIND_INT, ON_TCP, false},
    {PAL_SO_DEFER_ACCEPT, TCP_(TCP_DEFER_ACCEPT), 0, 3600, KIND_INT, ON_TCP, false},
    {PAL_SO_FASTOPEN, TCP_(TCP_FASTOPEN), 0, 65535, KIND_INT, ON_TCP, false},
    {PAL_SO_CONGESTION, TCP_(TCP_CONGESTION), 0, 0, KIND_TEXT, ON_TCP, false},
    {PAL_SO_V6ONLY, IPPROTO_IPV6, IPV6_V6ONLY, 0, 0, 0, 1, KIND_BOOL, ON_INET6, false},
    {PAL_SO_TTL, IP_(IP_TTL, IPV6_UNICAST_HOPS), 1, 255, KIND_INT, ON_IP | BOTH_LEVELS, false},
    {PAL_SO_TOS, IP_(IP_TOS, IPV6_TCLASS), 0, 255, KIND_INT, ON_IP | BOTH_LEVELS, false},
    {PAL_SO_MTU_DISCOVER, IP_(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER), 0, 3, KIND_INT, ON_IP | BOTH_LEVELS, false},
    {PAL_SO_MTU, IP_(IP_MTU, IPV6_MTU), 0, 0, KIND_INT, ON_IP, true},
    {PAL_SO_FREEBIND, IP_(IP_FREEBIND, IPV6_FREEBIND), 0, 1, KIND_BOOL, ON_IP, false},
    {PAL_SO_TRANSPARENT, IP_(IP_TRANSPARENT, IPV6_TRANSPARENT), 0, 1, KIND_BOOL, ON_IP, false},
    {PAL_SO_MCAST_TTL, IP_(IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS), 0, 255, KIND_INT, ON_IP | ON_DATAGRAM | BOTH_LEVELS,
     false},
    {PAL_SO_MCAST_LOOP, IP_(IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP), 0, 1, KIND_BOOL, ON_IP | ON_DATAGRAM | BOTH_LEVELS,
     false},
    {PAL_SO_PKTINFO, IP_(IP_PKTINFO, IPV6_RECVPKTINFO), 0, 1, KIND_BOOL, ON_IP | ON_DATAGRAM, false},
    {PAL_SO_RECV_TTL, IP_(IP_RECVTTL, IPV6_RECVHOPLIMIT), 0, 1, KIND_BOOL, ON_IP | ON_DATAGRAM | BOTH_LEVELS, false},
    {PAL_SO_RECV_TOS, IP_(IP_RECVTOS, IPV6_RECVTCLASS), 0, 1, KIND_BOOL, ON_IP | ON_DATAGRAM | BOTH_LEVELS, false},
    {PAL_SO_TIMESTAMP, SOCKET_(SO_TIMESTAMPNS), 0, 1, KIND_BOOL, ON_ANY, false},
    {PAL_SO_DROPS, SOCKET_(SO_RXQ_OVFL), 0, 1, KIND_BOOL, ON_DATAGRAM, false},
    {PAL_SO_GRO, IPPROTO_UDP, UDP_GRO, 0, 0, 0, 1, KIND_BOOL, ON_UDP, false},
    {PAL_SO_GSO, IPPROTO_UDP, UDP_SEGMENT, 0, 0, 0, 65535, KIND_INT, ON_UDP, false},
    {PAL_SO_RECVERR, IP_(IP_RECVERR, IPV6_RECVERR), 0, 1, KIND_BOOL, ON_IP | BOTH_LEVELS, false},
    {PAL_SO_PASSCRED, SOCKET_(SO_PASSCRED), 0, 1, KIND_BOOL, ON_UNIX, false},
};

static int applies(const struct slot *slot, uint8_t on)
{
    bool ip = slot->family == PAL_AF_INET || slot->family == PAL_AF_INET6;
    if (slot_plain(slot))
        return pal__refuse(PAL_ENOTSUP, "pipes and terminals have no socket options");
    if (on & (ON_IP | ON_TCP | ON_UDP) && !ip)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to IP sockets");
    if (on & ON_INET6 && slot->family != PAL_AF_INET6)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to IPv6 sockets");
    if (on & ON_TCP && slot->type != PAL_SOCK_STREAM)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to TCP sockets");
    if (on & ON_UDP && slot->type != PAL_SOCK_DGRAM)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to UDP sockets");
    if (on & ON_DATAGRAM && slot->type != PAL_SOCK_DGRAM && slot->type != PAL_SOCK_RAW)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to datagram sockets");
    if (on & ON_UNIX && slot->family != PAL_AF_UNIX)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to unix sockets");
    return 0;
}

static const struct option *find(uint32_t number)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].number == number)
            return &options[i];
    return NULL;
}

static int look_up(const struct slot *slot, uint32_t number, const struct option **out)
{
    *out = find(number);
    return *out ? applies(slot, (*out)->on) : pal__refuse(PAL_ENOTSUP, "no such option");
}

static int level_of(const struct slot *slot, const struct option *option, int *name)
{
    bool six = option->name6 && slot->family == PAL_AF_INET6;
    *name = six ? option->name6 : option->name;
    return six ? option->level6 : option->level;
}

int pal__k_native_set(const struct slot *slot, int level, int name, const void *value, size_t size)
{
    long result = CHECKED(setsockopt(slot->fd, level, name, value, (socklen_t)size));
    if (result == -ENOPROTOOPT)
        return pal__refuse(PAL_ENOTSUP, "the kernel does not know this option on this socket");
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_native_get(const struct slot *slot, int level, int name, void *value, size_t *size)
{
    socklen_t room = *size > INT32_MAX ? INT32_MAX : (socklen_t)*size;
    long result = CHECKED(getsockopt(slot->fd, level, name, value, &room));
    if (result == -ENOPROTOOPT)
        return pal__refuse(PAL_ENOTSUP, "the kernel does not know this option on this socket");
    if (result < 0)
        return pal__failed(result);
    *size = room;
    return 0;
}

static bool raw_option(uint32_t number, int *level, int *name)
{
    *level = (int)(number >> 16 & 0xfffu);
    *name = (int)(number & 0xffffu);
    return number & PAL_SO_RAW_FLAG;
}

static int set_int(const struct slot *slot, const struct option *option, const void *value, size_t size)
{
    int32_t number;
    if (size != sizeof number)
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    memcpy(&number, value, sizeof number);
    if (number < option->min || number > option->max)
        return pal__refuse(PAL_EINVAL, option->kind == KIND_BOOL ? "this option is 0 or 1" : "value out of range");
    int name, level = level_of(slot, option, &name);
    int error = pal__k_native_set(slot, level, name, &number, sizeof number);
    if (!error && option->on & BOTH_LEVELS && slot->family == PAL_AF_INET6) /* a raw one carries no IPv4: let it fail */
        setsockopt(slot->fd, option->level, option->name, &number, sizeof number);
    return error;
}

static int set_linger(const struct slot *slot, const struct option *option, const void *value, size_t size)
{
    struct pal_linger linger;
    if (size != sizeof linger)
        return pal__refuse(PAL_EINVAL, "this option is a struct pal_linger");
    memcpy(&linger, value, sizeof linger);
    if (linger.on < 0 || linger.on > 1 || linger.seconds < 0 || linger.seconds > 65535)
        return pal__refuse(PAL_EINVAL, "linger is on 0 or 1 and 0 to 65535 seconds");
    struct linger native = {.l_onoff = linger.on, .l_linger = linger.seconds};
    return pal__k_native_set(slot, option->level, option->name, &native, sizeof native);
}

int pal__k_sock_set(pal_sock sock, uint32_t number, const void *value, size_t size)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!value)
        return pal__refuse(PAL_EINVAL, "pal_sock_set needs a value");
    int level, name;
    if (raw_option(number, &level, &name))
        return pal__k_native_set(slot, level, name, value, size);
    int special = pal__k_special_set(slot, number, value, size);
    if (special != OPTION_NOT_SPECIAL)
        return special;
    const struct option *option;
    int error = look_up(slot, number, &option);
    if (error)
        return error;
    if (option->read_only)
        return pal__refuse(PAL_ENOTSUP, "this option is read-only");
    switch (option->kind) {
    case KIND_LINGER:
        return set_linger(slot, option, value, size);
    case KIND_TEXT:
        return pal__k_native_set(slot, option->level, option->name, value, size);
    default:
        return set_int(slot, option, value, size);
    }
}

static int get_linger(const struct slot *slot, const struct option *option, void *value, size_t *size)
{
    struct linger native;
    size_t room = sizeof native;
    if (*size < sizeof(struct pal_linger))
        return pal__refuse(PAL_EINVAL, "this option is a struct pal_linger");
    int error = pal__k_native_get(slot, option->level, option->name, &native, &room);
    if (error)
        return error;
    memcpy(value, &(struct pal_linger){.on = native.l_onoff != 0, .seconds = native.l_linger},
           sizeof(struct pal_linger));
    *size = sizeof(struct pal_linger);
    return 0;
}

static int get_int(const struct slot *slot, const struct option *option, void *value, size_t *size)
{
    int32_t number = 0;
    size_t room = sizeof number;
    if (*size < sizeof number)
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    int name, level = level_of(slot, option, &name);
    int error = pal__k_native_get(slot, level, name, &number, &room);
    if (error)
        return error;
    if (option->kind == KIND_BOOL)
        number = number != 0;
    memcpy(value, &number, sizeof number);
    *size = sizeof number;
    return 0;
}

int pal__k_sock_get(pal_sock sock, uint32_t number, void *value, size_t *size)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!value || !size)
        return pal__refuse(PAL_EINVAL, "pal_sock_get needs room and its size");
    int level, name;
    if (raw_option(number, &level, &name))
        return pal__k_native_get(slot, level, name, value, size);
    int special = pal__k_special_get(slot, number, value, size);
    if (special != OPTION_NOT_SPECIAL)
        return special;
    const struct option *option;
    int error = look_up(slot, number, &option);
    if (error)
        return error;
    switch (option->kind) {
    case KIND_LINGER:
        return get_linger(slot, option, value, size);
    case KIND_TEXT:
        error = pal__k_native_get(slot, option->level, option->name, value, size);
        if (!error)
            *size = strnlen(value, *size);
        return error;
    default:
        return get_int(slot, option, value, size);
    }
}
