/* pal/socket.h: sockets and other streams as try calls: nothing here waits, nothing takes a poll to act on.
 *
 * Upholds rules 2, 5, 7, 9, 12, 13, 15 and 16 of docs/seam.md. Handles are process-wide values. With
 * PAL_CAP_SHARED_SOCKS any thread may call, one reader and one writer at a time; without it another thread gets
 * PAL_EOTHERTHREAD. Every function answers PAL_EBADF to a stale handle, PAL_EINVAL to a NULL it cannot do without and
 * to flags it does not know, writes its out parameters on success only, and never raises SIGPIPE. No function allocates
 * unless it says so. Costs are system calls on a kernel backend. */
#ifndef PAL_SOCKET_H
#define PAL_SOCKET_H

#include "error.h"
#include "options.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A new socket, non-blocking to the caller, not inherited by children. poll: NULL, or on a card and in the simulator
 * the stack it is to live on. PAL_EMFILE, PAL_ENFILE; PAL_ENOBUFS: socks_max handles are open; PAL_EAFNOSUPPORT,
 * PAL_EPROTONOSUPPORT, PAL_ESOCKTNOSUPPORT, PAL_EINVAL: no such family, protocol, type; PAL_EPERM, PAL_EACCES: raw. 1
 * call. */
int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out);

/* Two connected sockets; family PAL_AF_UNIX, type STREAM, DGRAM or SEQPACKET. Errors as open. 1 call. */
int pal_sock_pair(int family, int type, pal_sock out[2]);

/* A pipe: out[0] reads, out[1] writes (recv, send). flags 0. 1 call. */
int pal_pipe(pal_sock out[2], uint32_t flags);

enum {
    PAL_ADOPT_SHARED = 1 /* others use the same open description (a terminal, standard input): leave its flags alone */
};

/* Makes a handle of the system's descriptor, whose kind is found by asking; it is the seam's to close from then on, and
 * close-on-exec. PAL_EBADF: not open; PAL_ENOTSUP: a regular file or directory (use pal_file_open). 4 to 10 calls. */
int pal_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out);

/* Gives the descriptor back to the program; the handle is dead. PAL_EBUSY: watched, an op is out, or received leases
 * are still queued. PAL_ENOTSUP: a user-space stack's, which has no descriptor (rule 14). 0 or 1 call. */
int pal_sock_release(pal_sock sock, intptr_t *native);

/* A second handle to the same open socket. PAL_EBUSY: received leases are queued. Of a user-space stack's socket all
 * handles are watched on one poll (rule 14). 1 call. */
int pal_sock_dup(pal_sock sock, pal_sock *out);

/* Names this end. PAL_EADDRINUSE, PAL_EADDRNOTAVAIL, PAL_EACCES, PAL_EAFNOSUPPORT (another family's address),
 * PAL_EINVAL (bound already, malformed); unix paths: PAL_ENOENT, PAL_ENOTDIR, PAL_EROFS ... 1 call, 2 for a datagram
 * socket. */
int pal_sock_bind(pal_sock sock, const struct pal_addr *addr);

/* Accepts connections from now on; backlog is how many may wait, cut to 1..65535 and the system's limit. 1 call. */
int pal_sock_listen(pal_sock sock, int backlog);

/* Stream: once a socket. 0: connected; PAL_EINPROGRESS: wait for PAL_OUT, then pal_sock_get(PAL_SO_ERROR) tells;
 * PAL_EAGAIN (unix): the listener's backlog is full, try again later; PAL_ECONNREFUSED, PAL_ENETUNREACH ... : only
 * close is left. Another connect is PAL_EALREADY while the first goes on, then PAL_EISCONN, and PAL_EINVAL after a
 * failure or a cancelled CONNECT op. Datagram: sets or changes the peer; NULL removes it, and the local port stays. 1
 * call. */
int pal_sock_connect(pal_sock sock, const struct pal_addr *addr);

/* A connection that waits, and its peer's address if addr is not NULL. PAL_EAGAIN: none. The handle is reserved before
 * the kernel is asked, so nothing is ever taken that cannot be held: PAL_ENOBUFS (handles), PAL_EMFILE, PAL_ENFILE
 * leave the connection waiting; pause the listener until something closes. PAL_ECONNABORTED: this one is gone, try on.
 * Options such as NODELAY are the listener's. 1 call. */
int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr);

/* Bytes received, at most size; 0: end of stream (or an empty datagram, or size 0). PAL_EAGAIN: none now.
 * flags: PAL_MSG_PEEK, OOB, TRUNC, WAIT, ERRQUEUE. PAL_ECONNRESET, PAL_ECONNREFUSED (datagram: an earlier one bounced),
 * PAL_ENOTCONN, PAL_EFAULT. Leases already received for this socket are drained first. 1 call (2:
 * PAL_SO_QUICKACK_ALWAYS). */
int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags);

/* Bytes taken, possibly fewer than size. PAL_EAGAIN: none now. flags: PAL_MSG_OOB, MORE, DONTROUTE, EOR, WAIT, ZEROCOPY
 * (PAL_SO_ZEROCOPY). PAL_EPIPE, PAL_ECONNRESET, PAL_ENOTCONN, PAL_EMSGSIZE, PAL_ENOBUFS, PAL_EDESTADDRREQ, PAL_EFAULT.
 * 1 call (a pipe on an old kernel: 4). */
int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags);

/* Receives up to count messages (a stream: one): how many, each described in its pal_msg. An error that strikes after
 * the first shows at the next call. The end of a stream is one message of size 0. PAL_EINVAL: count < 1, too many
 * pieces. PAL_ENOTSOCK: a pipe or terminal. As recv otherwise. 1 call: 32 messages at most. */
int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);

/* Sends up to count messages: how many were sent. An error on the first is returned; on a later one, the count before
 * it. Passing handles leaves the sender's open. 1 call per 32 messages; on a stream 1 a message. */
int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);

enum { PAL_SHUT_RD, PAL_SHUT_WR, PAL_SHUT_RDWR };

/* Ends one direction or both. PAL_ENOTCONN. A pipe end: PAL_ENOTSOCK. 1 call. */
int pal_sock_shutdown(pal_sock sock, int how);

/* The handle is dead on return; what the peer sees follows by the next wait or flush (rule 7). PAL_EBUSY, and nothing
 * done, while it is watched or an op is out. 1 call, 2 if the descriptor had been shared while watched. */
int pal_sock_close(pal_sock sock);

/* Sets or reads an option of pal/options.h. *size: room in, bytes out. PAL_EINVAL: wrong size or value;
 * PAL_ENOTSUP: no such option, not on this socket or backend, or the option is read-only (write-only); pal_reason
 * tells. 1 call; some reads none. */
int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size);
int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size);

enum { PAL_NAME_LOCAL, PAL_NAME_PEER };

/* This end's or the peer's address. PAL_ENOTCONN. A pipe end: PAL_ENOTSOCK. 1 call. */
int pal_sock_name(pal_sock sock, int which, struct pal_addr *out);

struct pal_wait {
    pal_sock sock;     /* {0}: skipped */
    uint16_t interest; /* PAL_IN, PRI, OUT, RDHUP */
    uint16_t ready;    /* written: PAL_IN ... ERR, HUP; PAL_NVAL: stale handle */
    uint32_t reserved;
};
PAL_STATIC_ASSERT(sizeof(struct pal_wait) == 16, "pal_wait is 16 bytes");

/* poll(2): waits until one of the items is ready: how many are, 0 at the deadline (absolute monotonic ns) or early on a
 * signal. Registers nothing and disturbs no watch; any thread; count 0 sleeps. A stale handle counts as ready (NVAL);
 * an unconnected stream socket never is (rule 9). At most 65536 items, PAL_EINVAL beyond. 1
 * call; allocates above 256. */
int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
