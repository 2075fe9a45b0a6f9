/* sock_option.c: the options of pal/options.h as one table: which sockets have them, which values they take (rule 16 of
 * docs/seam.md). Those that are a bit or a number of struct sock are kept here; the others reach pal__n_tcp_set and
 * pal__n_udp_set with a value that has been checked. */
#include "sock.h"

#include "stack.h"
#include <stdio.h>

enum kind { NUMBER, BOOLEAN, TEXT, LINGER, MCAST, INDEX };

/* Which sockets have it, and what can be done with it. */
enum {
    ON_ANY = 0,
    ON_TCP = 1,
    ON_UDP = 2,
    ON_INET6 = 4,
    READ_ONLY = 8,
    WRITE_ONLY = 16,
    PROTOCOLS = 32, /* the protocol keeps it */
    NEVER = 64      /* refused, and why */
};

struct option {
    uint32_t number;
    uint8_t kind, on;
    int32_t min, max; /* of a NUMBER that is set */
    uint32_t flag;    /* SOCK_*: that is all there is to it */
    const char *reason;
};

#define NUMBER_(name, on, min, max)                                                                                    \
    {                                                                                                                  \
        PAL_SO_##name, NUMBER, on, min, max, 0, NULL                                                                   \
    }
#define BOOLEAN_(name, on, flag)                                                                                       \
    {                                                                                                                  \
        PAL_SO_##name, BOOLEAN, on, 0, 1, flag, NULL                                                                   \
    }
#define OTHER_(name, kind, on)                                                                                         \
    {                                                                                                                  \
        PAL_SO_##name, kind, on, 0, 0, 0, NULL                                                                         \
    }
#define NEVER_(name, reason)                                                                                           \
    {                                                                                                                  \
        PAL_SO_##name, NUMBER, NEVER, 0, 0, 0, reason                                                                  \
    }

static const char no_kernel[] = "this belongs to a kernel's sockets: this stack has no kernel below it";
static const char no_unix[] = "this option belongs to unix sockets";
static const char no_segments[] = "this stack neither cuts nor joins datagrams";

static const struct option options[] = {
    NUMBER_(ERROR, READ_ONLY, 0, 0),
    NUMBER_(NREAD, READ_ONLY | PROTOCOLS, 0, 0),
    OTHER_(PATH, TEXT, READ_ONLY),
    NUMBER_(TYPE, READ_ONLY, 0, 0),
    NUMBER_(FAMILY, READ_ONLY, 0, 0),
    NUMBER_(PROTOCOL, READ_ONLY, 0, 0),
    BOOLEAN_(LISTENING, READ_ONLY, SOCK_LISTENING),

    BOOLEAN_(REUSEADDR, ON_ANY, SOCK_REUSEADDR),
    BOOLEAN_(REUSEPORT, ON_ANY, SOCK_REUSEPORT),
    BOOLEAN_(BROADCAST, ON_UDP, SOCK_BROADCAST),
    BOOLEAN_(KEEPALIVE, ON_ANY, SOCK_KEEPALIVE),
    OTHER_(LINGER, LINGER, PROTOCOLS),
    NUMBER_(RCVBUF, PROTOCOLS, 1, INT32_MAX),
    NUMBER_(SNDBUF, PROTOCOLS, 1, INT32_MAX),
    NUMBER_(RCVLOWAT, ON_TCP | PROTOCOLS, 1, INT32_MAX),
    BOOLEAN_(OOBINLINE, ON_TCP | PROTOCOLS, 0),
    OTHER_(DEVICE, TEXT, ON_ANY),
    NEVER_(PRIORITY, "this stack has one queue an interface"),
    NEVER_(MARK, no_kernel),
    NEVER_(BUSY_POLL, "this stack's cards are always looked at by the program itself"),
    NEVER_(INCOMING_CPU, no_kernel),
    NEVER_(PREFER_BUSY_POLL, "this stack's cards are always looked at by the program itself"),
    NEVER_(BUSY_POLL_BUDGET, "this stack's cards are always looked at by the program itself"),
    NEVER_(ZEROCOPY, "this stack copies what is sent into frames"),

    BOOLEAN_(NODELAY, ON_TCP | PROTOCOLS, 0),
    BOOLEAN_(CORK, ON_TCP | PROTOCOLS, 0),
    BOOLEAN_(QUICKACK, ON_TCP | PROTOCOLS, 0),
    NUMBER_(MAXSEG, ON_TCP | PROTOCOLS, 88, 65495),
    NUMBER_(KEEPIDLE, ON_TCP | PROTOCOLS, 1, 32767),
    NUMBER_(KEEPINTVL, ON_TCP | PROTOCOLS, 1, 32767),
    NUMBER_(KEEPCNT, ON_TCP | PROTOCOLS, 1, 127),
    NUMBER_(USER_TIMEOUT, ON_TCP | PROTOCOLS, 0, INT32_MAX),
    NUMBER_(DEFER_ACCEPT, ON_TCP | PROTOCOLS, 0, 3600),
    NUMBER_(FASTOPEN, ON_TCP | PROTOCOLS, 0, 65535),
    OTHER_(CONGESTION, TEXT, ON_TCP | PROTOCOLS),
    BOOLEAN_(QUICKACK_ALWAYS, ON_TCP | PROTOCOLS, 0),

    BOOLEAN_(V6ONLY, ON_INET6, SOCK_V6ONLY),
    NUMBER_(TTL, ON_ANY, 1, 255),
    NUMBER_(TOS, ON_ANY, 0, 255),
    NUMBER_(MTU_DISCOVER, ON_ANY, 0, 3),
    NUMBER_(MTU, READ_ONLY, 0, 0),
    BOOLEAN_(FREEBIND, ON_ANY, SOCK_FREEBIND),
    NEVER_(TRANSPARENT, "this stack takes no packets for other hosts: it does not forward"),

    OTHER_(MCAST_JOIN, MCAST, ON_UDP | WRITE_ONLY | PROTOCOLS),
    OTHER_(MCAST_LEAVE, MCAST, ON_UDP | WRITE_ONLY | PROTOCOLS),
    OTHER_(MCAST_IF, INDEX, ON_UDP | PROTOCOLS),
    NUMBER_(MCAST_TTL, ON_UDP, 0, 255),
    BOOLEAN_(MCAST_LOOP, ON_UDP, SOCK_MCAST_LOOP),

    BOOLEAN_(PKTINFO, ON_UDP | PROTOCOLS, 0),
    BOOLEAN_(RECV_TTL, ON_UDP | PROTOCOLS, 0),
    BOOLEAN_(RECV_TOS, ON_UDP | PROTOCOLS, 0),
    BOOLEAN_(TIMESTAMP, ON_UDP | PROTOCOLS, 0),
    BOOLEAN_(DROPS, ON_UDP | PROTOCOLS, 0),
    NEVER_(GRO, no_segments),
    NEVER_(GSO, no_segments),
    BOOLEAN_(RECVERR, ON_ANY, SOCK_RECVERR),
    NEVER_(TIMESTAMPING, "this stack has one time of arrival: PAL_SO_TIMESTAMP"),

    NEVER_(PASS, no_unix),
    NEVER_(PASSCRED, no_unix),
    NEVER_(PEERCRED, no_unix),
    NEVER_(NATIVE, "this stack's sockets have no descriptor"),
    NEVER_(OWNER, "which poll a socket has joined is the backend's to tell"),
};

/* The option, if this socket has it; else NULL and why not. */
static const struct option *find(const struct sock *sock, uint32_t number, int *error)
{
    const struct option *option = NULL;
    const char *reason = NULL;

    if (number & PAL_SO_RAW_FLAG) {
        *error = pal__n_refuse(sock->stack, PAL_ENOTSUP, "a system's own numbers belong to its own sockets");
        return NULL;
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && option == NULL; i++)
        option = options[i].number == number ? &options[i] : NULL;
    if (option == NULL)
        reason = "no such option";
    else if (option->on & NEVER)
        reason = option->reason;
    else if (option->on & ON_TCP && sock->kind != SOCK_TCP)
        reason = "this option belongs to TCP sockets";
    else if (option->on & ON_UDP && sock->kind != SOCK_UDP)
        reason = "this option belongs to datagram sockets";
    else if (option->on & ON_INET6 && sock->family != PAL_AF_INET6)
        reason = "this option belongs to IPv6 sockets";
    if (reason == NULL)
        return option;
    *error = pal__n_refuse(sock->stack, PAL_ENOTSUP, reason);
    return NULL;
}

/* The bytes that a value of fixed size has. */
static size_t size_of(enum kind kind)
{
    switch (kind) {
    case LINGER:
        return sizeof(struct pal_linger);
    case MCAST:
        return sizeof(struct pal_mcast);
    default:
        return sizeof(int32_t);
    }
}

static int wrong_size(const struct sock *sock, enum kind kind)
{
    switch (kind) {
    case LINGER:
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this option is a struct pal_linger");
    case MCAST:
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this option is a struct pal_mcast");
    case INDEX:
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this option is a uint32_t interface index");
    default:
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this option is an int32_t");
    }
}

static int32_t number_of(const void *value)
{
    int32_t number;

    memcpy(&number, value, sizeof(number));
    return number;
}

/* ---- setting ---- */

static int check_value(const struct sock *sock, const struct option *option, const void *value, size_t size)
{
    struct pal_linger linger;

    if (option->kind == TEXT)
        return 0;
    if (size != size_of((enum kind)option->kind))
        return wrong_size(sock, (enum kind)option->kind);
    if (option->kind == LINGER) {
        memcpy(&linger, value, sizeof(linger));
        if (linger.on < 0 || linger.on > 1 || linger.seconds < 0 || linger.seconds > 65535)
            return pal__n_refuse(sock->stack, PAL_EINVAL, "linger is on 0 or 1 and 0 to 65535 seconds");
    } else if (option->kind == BOOLEAN && (number_of(value) < 0 || number_of(value) > 1)) {
        return pal__n_refuse(sock->stack, PAL_EINVAL, "this option is 0 or 1");
    } else if (option->kind == NUMBER && (number_of(value) < option->min || number_of(value) > option->max)) {
        return pal__n_refuse(sock->stack, PAL_EINVAL, "value out of range");
    }
    return 0;
}

static int set_flag(struct sock *sock, const struct option *option, const void *value)
{
    if (option->number == PAL_SO_V6ONLY && sock->tuple.local_port != 0)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "what a socket hears is settled when it has a name");
    if (number_of(value) != 0)
        sock->flags |= option->flag;
    else
        sock->flags &= ~option->flag;
    if (option->number == PAL_SO_KEEPALIVE && sock->kind == SOCK_TCP)
        return pal__n_tcp_set(sock, option->number, value, sizeof(int32_t)); /* its timer begins or ends */
    return 0;
}

/* By its name; "" is none. */
static int set_device(struct sock *sock, const char *name, size_t size)
{
    struct netstack *stack = sock->stack;

    if (size == 0) {
        sock->scope = 0;
        return 0;
    }
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        const struct iface *iface = stack->ifaces[i];

        if (strlen(iface->name) == size && memcmp(iface->name, name, size) == 0) {
            sock->scope = iface->index;
            return 0;
        }
    }
    return pal__n_refuse(stack, PAL_ENODEV, "no interface has this name");
}

static int set_own(struct sock *sock, const struct option *option, const void *value, size_t size)
{
    switch (option->number) {
    case PAL_SO_DEVICE:
        return set_device(sock, value, size);
    case PAL_SO_TTL:
        sock->ttl = (uint8_t)number_of(value);
        return 0;
    case PAL_SO_MCAST_TTL:
        sock->mcast_ttl = (uint8_t)number_of(value);
        return 0;
    case PAL_SO_TOS:
        sock->tos = (uint8_t)number_of(value);
        return 0;
    case PAL_SO_MTU_DISCOVER:
        sock->mtu_discover = (uint8_t)number_of(value);
        sock->flags &= ~(uint32_t)SOCK_DF_OFF;
        if (sock->mtu_discover == 0)
            sock->flags |= SOCK_DF_OFF;
        return 0;
    default:
        return set_flag(sock, option, value);
    }
}

int pal__n_sock_set(struct sock *sock, uint32_t number, const void *value, size_t size)
{
    const struct option *option;
    int error;

    if (value == NULL)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "setting an option needs a value");
    option = find(sock, number, &error);
    if (option == NULL)
        return error;
    if (option->on & READ_ONLY)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this option is read-only");
    error = check_value(sock, option, value, size);
    if (error != 0)
        return error;
    if ((option->on & PROTOCOLS) == 0)
        return set_own(sock, option, value, size);
    return sock->kind == SOCK_TCP ? pal__n_tcp_set(sock, number, value, size)
                                  : pal__n_udp_set(sock, number, value, size);
}

/* ---- reading ---- */

static int give_text(const struct sock *sock, const char *text, void *value, size_t *size)
{
    size_t length = strlen(text);

    if (*size < length)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the room for this text is too small");
    memcpy(value, text, length);
    *size = length;
    return 0;
}

/* Which path it is on; and what ICMP has lately said of a connection, which is only a hint to the protocol, but which a
 * program may want to know (RFC 9293 3.9.1.8, MUST-47). */
static int give_path(const struct sock *sock, void *value, size_t *size)
{
    static const char path[] = "netstack: this socket is of the user-space TCP/IP stack";
    char text[sizeof(path) + 64];

    if (sock->kind != SOCK_TCP || sock->soft_error == 0)
        return give_text(sock, path, value, size);
    snprintf(text, sizeof(text), "%s; the network says %s", path, pal_error_name(sock->soft_error));
    return give_text(sock, text, value, size);
}

/* The MTU of the path to the peer. */
static int get_mtu(struct sock *sock, int32_t *out)
{
    const struct dst *dst = sock->kind == SOCK_TCP ? tcb_of(sock)->dst : udp_of(sock)->dst;

    if (dst == NULL)
        return PAL_ENOTCONN;
    *out = (int32_t)dst->mtu;
    return 0;
}

static int get_number(struct sock *sock, const struct option *option, int32_t *out)
{
    switch (option->number) {
    case PAL_SO_ERROR:
        *out = sock_take_error(sock);
        return 0;
    case PAL_SO_TYPE:
        *out = sock->kind == SOCK_TCP ? PAL_SOCK_STREAM : PAL_SOCK_DGRAM;
        return 0;
    case PAL_SO_FAMILY:
        *out = sock->family;
        return 0;
    case PAL_SO_PROTOCOL:
        *out = sock->kind == SOCK_TCP ? PAL_IPPROTO_TCP : PAL_IPPROTO_UDP;
        return 0;
    case PAL_SO_TTL:
        *out = sock->ttl != 0 ? sock->ttl : 64;
        return 0;
    case PAL_SO_MCAST_TTL:
        *out = sock->mcast_ttl;
        return 0;
    case PAL_SO_TOS:
        *out = sock->tos;
        return 0;
    case PAL_SO_MTU_DISCOVER:
        *out = (int32_t)sock_mtu_discover(sock);
        return 0;
    case PAL_SO_MTU:
        return get_mtu(sock, out);
    default:
        *out = (sock->flags & option->flag) != 0;
        return 0;
    }
}

static int get_own(struct sock *sock, const struct option *option, void *value, size_t *size)
{
    const struct iface *iface;
    int32_t number = 0;
    int error;

    switch (option->number) {
    case PAL_SO_PATH:
        return give_path(sock, value, size);
    case PAL_SO_DEVICE:
        iface = pal__n_iface_at(sock->stack, sock->scope);
        return give_text(sock, iface != NULL ? iface->name : "", value, size);
    default:
        error = get_number(sock, option, &number);
        if (error == 0) {
            memcpy(value, &number, sizeof(number));
            *size = sizeof(number);
        }
        return error;
    }
}

int pal__n_sock_get(struct sock *sock, uint32_t number, void *value, size_t *size)
{
    const struct option *option;
    int error;

    if (value == NULL || size == NULL)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "reading an option needs room and its size");
    option = find(sock, number, &error);
    if (option == NULL)
        return error;
    if (option->on & WRITE_ONLY)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this option is write-only");
    if (option->kind != TEXT && *size < size_of((enum kind)option->kind))
        return wrong_size(sock, (enum kind)option->kind);
    if ((option->on & PROTOCOLS) == 0)
        return get_own(sock, option, value, size);
    return sock->kind == SOCK_TCP ? pal__n_tcp_get(sock, number, value, size)
                                  : pal__n_udp_get(sock, number, value, size);
}
