/* pal/types.h: the values that cross the seam: handles, events, addresses, messages, ops, leases.
 *
 * Everything here is plain data with a size that is asserted below: no bit-field, no pointer to a function, nothing
 * that knows an operating system (docs/seam.md, rule 20). Numbers are Linux's generic ones on every platform (rule 2),
 * so that a backend on Linux needs no table. Zero is the default of every field that a caller fills in. */
#ifndef PAL_TYPES_H
#define PAL_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define PAL_STATIC_ASSERT(condition, text) static_assert(condition, text)
#define PAL_NORETURN [[noreturn]]
extern "C" {
#else
#define PAL_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#define PAL_NORETURN _Noreturn
#endif

/* ---- handles: values, process-wide, never dereferenced. {0} is none. ---- */

/* generation:32 (odd = live) | domain:8 | slot:24. Sockets, pipe ends, terminals: anything that streams. A stale handle
 * is answered with PAL_EBADF for ever (the generation has to wrap, 2^31 closes of one slot, before it could lie). */
typedef struct {
    uint64_t id;
} pal_sock;

typedef struct { /* a positional file; never watchable (docs/seam.md, hole 12) */
    uint64_t id;
} pal_file;

typedef struct { /* a child process */
    uint64_t id;
} pal_proc;

typedef struct { /* a thread that pal_thread_start began */
    uint64_t id;
} pal_thread;

typedef struct pal_poll pal_poll; /* what one thread waits with */

/* ---- events ---- */

struct pal_event {
    uint64_t data;  /* what the caller gave to watch, submit ... ; 0 for PAL_EV_WAKE */
    int32_t result; /* OP: the op's result; CHILD: exit status; SIGNAL: its number; else 0 */
    uint16_t kind;  /* PAL_EV_* */
    uint16_t ready; /* READY: PAL_IN ... ; OP: the op's kind; else 0 */
};

enum {
    PAL_EV_NONE,   /* struck out by unwatch or close after it was written: skip it (rule 8) */
    PAL_EV_READY,  /* a watched socket */
    PAL_EV_OP,     /* an op has completed: the op and its buffers are the caller's again (rule 5) */
    PAL_EV_WAKE,   /* pal_poll_wake was called since the last wait; at most one a wait */
    PAL_EV_SIGNAL, /* a watched signal */
    PAL_EV_CHILD   /* a watched child has ended */
};

/* Interest and readiness. Linux's poll(2) numbers on every platform. ERR and HUP need not be asked for. */
enum {
    PAL_IN = 0x0001,
    PAL_PRI = 0x0002, /* urgent data; kernel sockets only */
    PAL_OUT = 0x0004,
    PAL_ERR = 0x0008,
    PAL_HUP = 0x0010,
    PAL_RDHUP = 0x2000,   /* the peer has shut down its sending side; reported only when asked for */
    PAL_LEASE = 0x0020,   /* interest, with PAL_IN: this socket is read with pal_lease_recv */
    PAL_STARVED = 0x0040, /* readiness: no lease left; silence until enough are released (rule 13) */
    PAL_ONCE = 0x0080,    /* interest: one READY, then unwatched */
    PAL_EDGE = 0x0100,    /* interest: edge-triggered; PAL_ENOTSUP without PAL_CAP_EDGE */
    PAL_NVAL = 0x0020     /* pal_wait.ready only: not a live handle */
};

/* ---- addresses ---- */

enum { PAL_AF_UNSPEC = 0, PAL_AF_UNIX = 1, PAL_AF_INET = 2, PAL_AF_INET6 = 10, PAL_AF_PACKET = 17, PAL_AF_VSOCK = 40 };
enum { PAL_SOCK_STREAM = 1, PAL_SOCK_DGRAM = 2, PAL_SOCK_RAW = 3, PAL_SOCK_SEQPACKET = 5 };
enum {
    PAL_IPPROTO_DEFAULT = 0,
    PAL_IPPROTO_ICMP = 1,
    PAL_IPPROTO_TCP = 6,
    PAL_IPPROTO_UDP = 17,
    PAL_IPPROTO_ICMPV6 = 58
};

/* size is how many of bytes[] are used: 4, 16, or the length of a unix name (which has no terminator; an abstract name
 * begins with NUL; 0 is the unnamed address). See pal/address.h for text. */
struct pal_addr {
    uint8_t family;
    uint8_t size;
    uint16_t port;      /* host byte order */
    uint32_t scope;     /* IPv6: interface index of a link-local address */
    uint32_t flow;      /* IPv6: traffic class and flow label, host byte order */
    uint8_t bytes[112]; /* network byte order */
};

/* ---- scatter/gather and messages ---- */

struct pal_iov {
    void *data;
    size_t size;
};

enum { PAL_IOV_MAX = 64 };     /* pieces in one message; more is PAL_EINVAL */
enum { PAL_IO_MAX = 1 << 30 }; /* bytes one call moves at most; larger sizes are cut to it (rule 2) */
enum { PAL_PASS_MAX = 64 };    /* handles in one message; more is PAL_EINVAL */

/* Flags of send and recv; Linux's numbers. */
enum {
    PAL_MSG_OOB = 0x1,
    PAL_MSG_PEEK = 0x2,
    PAL_MSG_DONTROUTE = 0x4,
    PAL_MSG_CTRUNC = 0x8, /* out: control data, or passed handles, did not fit and were dropped */
    PAL_MSG_TRUNC = 0x20, /* out: the datagram was longer than the buffers. In, on recv: return its true size */
    PAL_MSG_EOR = 0x80,   /* in and out: end of record (seqpacket) */
    PAL_MSG_ERRQUEUE = 0x2000,
    PAL_MSG_MORE = 0x8000,
    PAL_MSG_WAIT = 0x40000000 /* block this thread in the call; kernel backends only (PAL_CAP_BLOCKING) */
};

/* What of a message's metadata is wanted or there. Received kinds need their socket option switched on first. */
enum {
    PAL_META_LOCAL = 0x1,    /* local, ifindex: where it was sent to; when sending, the source (PAL_SO_PKTINFO) */
    PAL_META_TTL = 0x2,      /* ttl: hop limit (PAL_SO_RECV_TTL) */
    PAL_META_TOS = 0x4,      /* tos: traffic class (PAL_SO_RECV_TOS) */
    PAL_META_TIME = 0x8,     /* time_ns (PAL_SO_TIMESTAMP) */
    PAL_META_DROPPED = 0x10, /* dropped: datagrams lost on this socket since it was opened (PAL_SO_DROPS) */
    PAL_META_GSO = 0x20,     /* gso_size: several datagrams of this size in a row (PAL_SO_GRO) */
    PAL_META_SOCKS = 0x40,   /* socks: handles passed over a unix socket (PAL_SO_PASS) */
    PAL_META_CRED = 0x80     /* cred: the sender's process, user and group (PAL_SO_PASSCRED) */
};

/* One message of a batch. The caller owns everything that it points to, for the call or, in an op, until its event is
 * seen (rule 5). For receiving: iov is where the bytes go, addr (or NULL) where the sender goes, want what is to be
 * decoded; size, have, flags and the fields that have names are written. For sending: want says which fields apply;
 * size is written with the bytes taken. */
struct pal_msg {
    struct pal_iov *iov;
    struct pal_addr *addr;
    pal_sock *socks;    /* room for, or array of, handles to pass */
    void *raw;          /* control data in the system's own form: received kinds unknown here; sent as it is */
    uint16_t iov_count; /* at most PAL_IOV_MAX */
    uint16_t want;      /* PAL_META_* */
    uint32_t raw_size;  /* receiving: room, then bytes written; sending: bytes */
    int32_t size;       /* out: bytes */
    uint32_t flags;     /* out: PAL_MSG_TRUNC, CTRUNC, OOB, EOR, ERRQUEUE */
    uint16_t have;      /* out: PAL_META_* */
    uint16_t socks_count;
    uint16_t socks_max; /* at most PAL_PASS_MAX */
    uint16_t gso_size;  /* bytes */
    uint8_t ttl, tos;
    uint16_t reserved16;
    uint32_t dropped;
    uint32_t ifindex;
    uint32_t cred[3]; /* process, user, group */
    struct pal_addr local;
    uint32_t reserved32;
    uint64_t time_ns[2]; /* receive time: by the system on the real-time clock; by the card on its own. 0: none */
    uint64_t priv[12];   /* the backend's, while the message is in an op */
};

/* ---- ops: one-shot requests in the caller's memory ---- */

/* Zero it, fill in the upper part, pal_submit. READ, WRITE and SYNC name their pal_file by its id in .sock. It is
 * pinned, with all it points to, from a submit that returned 0 until its PAL_EV_OP event has been seen. 80 bytes where
 * a pointer has eight. */
struct pal_op {
    pal_sock sock;
    uint64_t data; /* comes back in the event */
    void *buf;     /* RECV, SEND: bytes. SEND_LEASE: struct pal_lease array */
    uint64_t size; /* RECV, SEND: bytes. *_MSG, SEND_LEASE: count */
    void *aux; /* ACCEPT: pal_sock * for the result. CONNECT: const struct pal_addr *. *_MSG: struct pal_msg array */
    int32_t result; /* >= 0 or PAL_E*: valid when submit returned 1, or when the event is seen */
    uint8_t kind;   /* PAL_OP_* */
    uint8_t state;  /* the backend's: zero when idle */
    uint16_t flags; /* PAL_OP_TRY */
    uint64_t priv[4];
};

/* Kinds, and what their result is. Those that send end when all is sent, unless cancelled or failed midway (rule 4). */
enum {
    PAL_OP_RECV = 1,   /* bytes; 0: end of stream. PAL_EAGAIN: only queued errors are there (PAL_SO_RECVERR) */
    PAL_OP_SEND,       /* bytes */
    PAL_OP_ACCEPT,     /* 0, the new socket in *aux */
    PAL_OP_CONNECT,    /* 0, or why not; after a failure only close is left */
    PAL_OP_RECV_MSG,   /* messages, >= 1 */
    PAL_OP_SEND_MSG,   /* messages sent whole */
    PAL_OP_SEND_LEASE, /* leases sent whole; the rest stay the caller's */
    PAL_OP_SENDFILE,
    PAL_OP_READ, /* from here on: may use worker threads */
    PAL_OP_WRITE,
    PAL_OP_SYNC,
    PAL_OP_RESOLVE,
    PAL_OP_WORK
};
enum { PAL_OP_TRY = 1 }; /* flag: the caller expects success now, so try before waiting (RECV, ACCEPT) */

/* ---- leases: receive buffers that the backend owns and lends ---- */

struct pal_lease {
    uint8_t *data; /* may be advanced, with size, by pal_lease_send */
    uint32_t size;
    uint32_t token; /* the backend's */
};

/* ---- sizes are part of the contract ---- */
#define PAL_POINTER_SIZE sizeof(void *)
PAL_STATIC_ASSERT(sizeof(struct pal_event) == 16, "pal_event is 16 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_addr) == 124, "pal_addr is 124 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_iov) == 2 * PAL_POINTER_SIZE, "pal_iov is two words");
PAL_STATIC_ASSERT(sizeof(struct pal_msg) == 288 + 4 * PAL_POINTER_SIZE,
                  "pal_msg is 320 bytes, 304 with short pointers");
PAL_STATIC_ASSERT(sizeof(struct pal_op) == 64 + 2 * PAL_POINTER_SIZE, "pal_op is 80 bytes, 72 with short pointers");
PAL_STATIC_ASSERT(sizeof(struct pal_lease) == 8 + PAL_POINTER_SIZE, "pal_lease is 16 bytes, 12 with short pointers");

#ifdef __cplusplus
}
#endif
#endif
