/* sock.h: the top edge of the stack: sockets as try calls that mean what pal/socket.h says, and their readiness.
 *
 * A backend keeps the handle table and the waiting; here a socket is a pointer, good from open or accept until close.
 * Results are >= 0 or PAL_E*. Addresses are the seam's. What is sent goes out with the next turn or flush. */
#ifndef PAL__NETSTACK_SOCK_H
#define PAL__NETSTACK_SOCK_H

#include "addr.h"
#include "netstack.h"
#include <pal/error.h>
#include <pal/options.h>
#include <pal/socket.h>
#include <pal/types.h>
#include <palio/base/list.h>

enum sock_kind { SOCK_NONE, SOCK_TCP, SOCK_UDP };

/* sock.flags: options that are a bit, and states. */
enum {
    SOCK_REUSEADDR = 0x0001,
    SOCK_REUSEPORT = 0x0002,
    SOCK_BROADCAST = 0x0004,
    SOCK_KEEPALIVE = 0x0008,
    SOCK_V6ONLY = 0x0010,
    SOCK_BOUND = 0x0020,     /* has a local port, and is in the port table */
    SOCK_CONNECTED = 0x0040, /* UDP: has a peer; TCP: was connected */
    SOCK_LISTENING = 0x0080,
    SOCK_SHUT_READ = 0x0100,
    SOCK_SHUT_WRITE = 0x0200,
    SOCK_ORPHAN = 0x0400, /* the program has closed it, the protocol goes on */
    SOCK_DF_OFF = 0x0800, /* PAL_SO_MTU_DISCOVER 0: fragment */
    SOCK_MCAST_LOOP = 0x1000,
    SOCK_RECVERR = 0x2000,
    SOCK_FREEBIND = 0x4000,
    SOCK_REMEMBERED = 0x8000 /* the local address was chosen by bind, not by connect */
};

/* Somebody who waits for sockets: those of them that may be ready. When the first of them is listed it is listed
 * itself, on roused if that is not NULL, so that who serves many need not look at all of them. See
 * waiter_init. */
struct sock_waiter {
    struct base_list ready;
    struct base_link link; /* in *roused */
    struct base_list *roused;
};

/* The beginning of struct tcb and struct udp. */
struct sock {
    struct netstack *stack;
    uint64_t cookie;             /* the backend's */
    struct sock_waiter *waiter;  /* who watches it: stack->waiter unless it was given to another */
    struct base_link ready_link; /* in waiter->ready */
    struct base_link port_link;  /* in the port table */
    struct tuple tuple;          /* local: unspecified until it is known */
    uint32_t scope;              /* interface index that scoped addresses or PAL_SO_DEVICE ask for; 0: none */
    uint32_t flags;              /* SOCK_* */
    uint16_t interest;           /* PAL_IN ... : what is watched */
    int16_t error;               /* pending: told and cleared by the next call or PAL_SO_ERROR */
    int16_t soft_error;          /* the latest hint of ICMP (RFC 9293 3.9.2.2) */
    uint8_t kind;                /* enum sock_kind */
    uint8_t family;              /* PAL_AF_INET, PAL_AF_INET6 */
    uint8_t ttl, mcast_ttl, tos; /* ttl 0: the default */
    uint8_t mtu_discover;        /* PAL_SO_MTU_DISCOVER, but 0: the default, 1 (0 is SOCK_DF_OFF) */
    uint8_t reserved[4];
};

/* type PAL_SOCK_STREAM or PAL_SOCK_DGRAM. PAL_ENOBUFS, PAL_EAFNOSUPPORT, PAL_ESOCKTNOSUPPORT. */
int pal__n_sock_open(struct netstack *stack, int family, int type, struct sock **out);

int pal__n_sock_bind(struct sock *sock, const struct pal_addr *addr);
int pal__n_sock_listen(struct sock *sock, int backlog);
int pal__n_sock_connect(struct sock *sock, const struct pal_addr *addr);
int pal__n_sock_accept(struct sock *sock, struct sock **out, struct pal_addr *addr);
int32_t pal__n_sock_recv(struct sock *sock, void *buffer, size_t size, uint32_t flags);
int32_t pal__n_sock_send(struct sock *sock, const void *data, size_t size, uint32_t flags);
int pal__n_sock_recv_msgs(struct sock *sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__n_sock_send_msgs(struct sock *sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__n_sock_shutdown(struct sock *sock, int how);
/* The pointer is dead on return. TCP goes on by itself until it is done. */
void pal__n_sock_close(struct sock *sock);
int pal__n_sock_set(struct sock *sock, uint32_t option, const void *value, size_t size);
int pal__n_sock_get(struct sock *sock, uint32_t option, void *value, size_t *size);
int pal__n_sock_name(struct sock *sock, int which, struct pal_addr *out);

/* Received bytes without a copy: lends up to max frames whose data is the next of the stream, or one datagram each,
 * with their sender in addrs if it is not NULL. >= 1; 0: end of stream; PAL_EAGAIN ... The frames are the caller's to
 * free. */
int pal__n_sock_recv_frames(struct sock *sock, struct frame **frames, struct pal_addr *addrs, int max);

/* The first frame that pal__n_sock_recv_frames would give now, and by its .next those behind it; NULL: none, or an
 * error is to be told first. Until the next call on the socket or a turn of the stack. */
const struct frame *pal__n_sock_next_frame(const struct sock *sock);

/* A program that keeps frames of pal__n_sock_recv_frames counts them here, by so many more or fewer: windows close for
 * them as for frames that wait in sockets. */
void pal__n_stack_count_lent(struct netstack *stack, int change);

/* It has so many copies instead, of what could not be kept: to be seen by, no more. */
void pal__n_stack_count_copies(struct netstack *stack, uint32_t count);

/* Sockets and program hold less than half of held_frames_max: frames may be kept. Further, windows that have closed
 * for want of frames might not open again while the program keeps what it has. */
bool pal__n_stack_has_plenty(const struct netstack *stack);

/* What it is ready for now: PAL_IN, OUT, ERR, HUP, RDHUP, PRI, as poll(2) has it (rule 9 of docs/seam.md): ERR and HUP
 * come with every bit that is watched. What nobody watches may be among them. */
uint32_t pal__n_sock_ready(const struct sock *sock);

/* interest: PAL_IN, OUT, PRI, RDHUP; other bits are the backend's. 0: silence. */
void pal__n_sock_watch(struct sock *sock, uint32_t interest);

/* A stack has one waiter of its own; a backend of several polls on one stack makes one for each of them. */
static inline void waiter_init(struct sock_waiter *waiter, struct base_list *roused)
{
    base_list_init(&waiter->ready);
    waiter->link = (struct base_link){NULL, NULL};
    waiter->roused = roused;
}

/* Has another waiter told of this socket from now on. */
void pal__n_sock_wait_by(struct sock *sock, struct sock_waiter *waiter);

/* Up to max watched sockets that are ready: level-triggered, each at most once a call, none served first for ever. Cost
 * by those that are ready. */
int pal__n_waiter_ready(struct sock_waiter *waiter, struct sock **out, int max);
int pal__n_stack_ready(struct netstack *stack, struct sock **out, int max);

/* ---- inside the stack ---- */

/* Refuses with a reason: as pal__refuse of backends/common, which a backend's stack.reason callback feeds. Returns
 * code. */
int pal__n_refuse(struct netstack *stack, int code, const char *reason);
#ifdef __clang_analyzer__ /* it looks at one file alone, and must know that what is refused is no success */
#define pal__n_refuse(stack, code, reason) ((void)(stack), (void)(reason), (code))
#endif

/* Something has changed: looks whether it is ready for what is watched, and lists it. */
void pal__n_sock_changed(struct sock *sock);

/* Between the seam's addresses and ours. family: the socket's, which says whether IPv4 is written as ::ffff:. *scope:
 * the interface to use, which the address or the socket names; 0: none does. False and *error: PAL_EAFNOSUPPORT,
 * PAL_EINVAL (size, missing scope), PAL_ENETUNREACH (IPv4 of a socket with SOCK_V6ONLY). */
bool pal__n_addr_in(struct sock *sock, const struct pal_addr *addr, struct ip *ip, uint16_t *port, uint32_t *scope,
                    int *error);
void pal__n_addr_out(const struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope, struct pal_addr *out);

/* The same as pal__n_addr_in for where something goes: the unspecified address means ourselves, as BSD has it. */
bool pal__n_addr_to(struct sock *sock, const struct pal_addr *addr, struct ip *ip, uint16_t *port, uint32_t *scope,
                    int *error);

static inline uint32_t sock_mtu_discover(const struct sock *sock)
{
    if (sock->flags & SOCK_DF_OFF)
        return 0;
    return sock->mtu_discover != 0 ? sock->mtu_discover : 1;
}

/* The address of nobody, of the socket's family. */
static inline struct ip sock_any(const struct sock *sock)
{
    return sock->family == PAL_AF_INET ? ip_of_number(0) : ip_none();
}

/* Takes the pending error. */
static inline int sock_take_error(struct sock *sock)
{
    int error = sock->error;

    sock->error = 0;
    return error;
}

/* Each protocol's part of the calls above: tcp_sock.c, udp.c. */
int pal__n_tcp_open(struct netstack *stack, int family, struct sock **out);
int pal__n_tcp_listen(struct sock *sock, int backlog);
int pal__n_tcp_connect(struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope);
int pal__n_tcp_accept(struct sock *sock, struct sock **out);
int32_t pal__n_tcp_recv(struct sock *sock, const struct pal_iov *iov, int count, uint32_t flags);
int32_t pal__n_tcp_send(struct sock *sock, const struct pal_iov *iov, int count, uint32_t flags);
int pal__n_tcp_recv_frames(struct sock *sock, struct frame **frames, int max);
int pal__n_tcp_shutdown(struct sock *sock, int how);
void pal__n_tcp_close(struct sock *sock);
int pal__n_tcp_set(struct sock *sock, uint32_t option, const void *value,
                   size_t size); /* its own options, else PAL_ENOTSUP */
int pal__n_tcp_get(struct sock *sock, uint32_t option, void *value, size_t *size);
uint32_t pal__n_tcp_ready(const struct sock *sock);

int pal__n_udp_open(struct netstack *stack, int family, struct sock **out);
int pal__n_udp_connect(struct sock *sock, const struct ip *ip, uint16_t port, uint32_t scope); /* ip NULL: no peer */
int pal__n_udp_recv(struct sock *sock, struct pal_msg *msg, uint32_t flags);                   /* 0 or PAL_E* */
int pal__n_udp_send(struct sock *sock, struct pal_msg *msg, uint32_t flags);
int pal__n_udp_recv_frames(struct sock *sock, struct frame **frames, struct pal_addr *addrs, int max);
int pal__n_udp_shutdown(struct sock *sock, int how);
void pal__n_udp_close(struct sock *sock);
int pal__n_udp_set(struct sock *sock, uint32_t option, const void *value, size_t size);
int pal__n_udp_get(struct sock *sock, uint32_t option, void *value, size_t *size);
uint32_t pal__n_udp_ready(const struct sock *sock);

#endif
