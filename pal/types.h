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
enum { PAL_RESOLVE_MAX = 1024 }; /* addresses that one RESOLVE has room for; more is PAL_EINVAL */

/* Flags of send and recv; Linux's numbers. */
enum {
    PAL_MSG_OOB = 0x1,
    PAL_MSG_PEEK = 0x2,
    PAL_MSG_DONTROUTE = 0x4,
    PAL_MSG_CTRUNC = 0x8, /* out: control data, or passed handles, did not fit and were dropped */
    PAL_MSG_TRUNC = 0x20, /* out: the datagram was longer than the buffers. In, on recv: return its true size */
    PAL_MSG_EOR = 0x80,   /* in and out: end of record (seqpacket) */
    PAL_MSG_ERRQUEUE = 0x2000, /* in and out: of the error queue (PAL_META_NOTICE), which is never waited for */
    PAL_MSG_MORE = 0x8000,
    PAL_MSG_ZEROCOPY = 0x4000000, /* on send: the bytes are not copied (PAL_SO_ZEROCOPY) */
    PAL_MSG_WAIT = 0x40000000     /* block this thread in the call; kernel backends only (PAL_CAP_BLOCKING) */
};

/* What of a message's metadata is wanted or there. Received kinds need their socket option switched on first. */
enum {
    PAL_META_LOCAL = 0x1,    /* local, ifindex: where it was sent to; when sending, the source (PAL_SO_PKTINFO) */
    PAL_META_TTL = 0x2,      /* ttl: hop limit (PAL_SO_RECV_TTL) */
    PAL_META_TOS = 0x4,      /* tos: traffic class (PAL_SO_RECV_TOS) */
    PAL_META_TIME = 0x8,     /* stamp (PAL_SO_TIMESTAMP, PAL_SO_TIMESTAMPING) */
    PAL_META_DROPPED = 0x10, /* dropped: datagrams lost on this socket since it was opened (PAL_SO_DROPS) */
    PAL_META_GSO = 0x20,     /* gso_size: datagrams of this size in a row, the last perhaps shorter (PAL_SO_GRO) */
    PAL_META_SOCKS = 0x40,   /* socks: handles passed over a unix socket (PAL_SO_PASS). PAL_ENOTSUP, and nothing sent:
                              * one of them is a user-space stack's (rule 14) */
    PAL_META_CRED = 0x80,    /* cred: the sender's process, user and group (PAL_SO_PASSCRED) */
    PAL_META_NOTICE = 0x100  /* notice: what the error queue tells (PAL_MSG_ERRQUEUE); not from leases */
};

/* When a datagram arrived, or what was sent went out. A time that is not known is 0, and quality says what is: none is
 * a guess, but for the one that PAL_SO_TIMESTAMP permits. */
struct pal_stamp {
    uint64_t system_ns; /* on PAL_CLOCK_REAL: when the system had it */
    uint64_t nic_ns;    /* when the card had it, on the clock below */
    uint32_t id;        /* of which send, counted from 0 since such were asked for; a stream: its last byte */
    uint8_t clock;      /* of nic_ns: PAL_STAMP_CLOCK_* */
    uint8_t quality;    /* PAL_STAMP_NONE, or any of SYSTEM and NIC: which times are there */
    uint8_t point;      /* PAL_STAMP_ARRIVED ... : what happened at that time */
    uint8_t reserved;
};
enum { PAL_STAMP_NONE = 0, PAL_STAMP_SYSTEM = 1, PAL_STAMP_NIC = 2 };
enum {
    PAL_STAMP_CLOCK_NONE,
    PAL_STAMP_CLOCK_CARD /* the card's own: set by whoever disciplines it, compared only with itself */
};
enum {
    PAL_STAMP_ARRIVED,
    PAL_STAMP_SCHEDULED, /* sent: given to the queue of the interface */
    PAL_STAMP_SENT,      /* sent: given to, or by, the card */
    PAL_STAMP_ACKED      /* sent: acknowledged by the peer (TCP) */
};

/* One entry of a socket's error queue. While there is any the socket is ready with PAL_ERR (rule 9), and an op that
 * would have to wait ends with PAL_EAGAIN (rule 3). To drain it, receive messages with PAL_MSG_ERRQUEUE that want
 * PAL_META_NOTICE until PAL_EAGAIN. */
struct pal_notice {
    uint32_t first, last; /* ZEROCOPY: the sends that are done, counted from 0 a socket. ERROR: see below */
    int32_t error;        /* ERROR: what an earlier send met, as PAL_E* */
    uint8_t kind;         /* PAL_NOTICE_* */
    uint8_t copied;       /* ZEROCOPY: 1: the system copied after all, the flag was not worth its cost here */
    uint8_t icmp_type, icmp_code; /* ERROR: of the ICMP message; 0 and 0: found without one */
};
enum {
    PAL_NOTICE_NONE,
    /* A send has bounced (PAL_SO_RECVERR). The message is what was sent, as far as it was told, its addr where to;
     * local is who told, if somebody did. PAL_EMSGSIZE: first is the largest packet that the path takes, bytes. */
    PAL_NOTICE_ERROR,
    PAL_NOTICE_ZEROCOPY, /* the bytes of sends first to last are the caller's again (PAL_SO_ZEROCOPY) */
    PAL_NOTICE_STAMP     /* stamp has a time of an earlier send (PAL_SO_TIMESTAMPING; wants PAL_META_TIME as well) */
};

/* One message of a batch. The caller owns everything that it points to, for the call or, in an op, until its event is
 * seen (rule 5). For receiving: iov is where the bytes go, addr (or NULL) where the sender goes, want what is to be
 * decoded; size, have, flags and the fields that have names are written. For sending: want says which fields apply;
 * size is written with the bytes taken. */
struct pal_msg {
    struct pal_iov *iov;
    struct pal_addr *addr;
    pal_sock *socks;    /* room for, or array of, handles to pass */
    void *raw;          /* control data in the system's own form: received kinds unknown here; sent as it is. A
                         * user-space stack has none: nothing is received, sending it is PAL_ENOTSUP */
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
    struct pal_stamp stamp;
    struct pal_notice notice;
    uint64_t priv[9]; /* the backend's, while the message is in an op */
};

/* ---- ops: one-shot requests in the caller's memory ---- */

/* Zero it, fill in the upper part, pal_submit. READ, WRITE and SYNC name their pal_file by its id in .sock; RESOLVE and
 * WORK have none. It is pinned, with all it points to, from a submit that returned 0 until its PAL_EV_OP event has been
 * seen; a RESOLVE's query and its texts, and a struct pal_work, may go when submit has returned, room for the canonical
 * name not. 80 bytes where a pointer has eight. */
struct pal_op {
    pal_sock sock;
    uint64_t data;  /* comes back in the event */
    void *buf;      /* RECV, SEND, READ, WRITE: bytes. SEND_LEASE: struct pal_lease array. RESOLVE: struct pal_addr
                     * array */
    uint64_t size;  /* RECV, SEND, SENDFILE, READ, WRITE: bytes. *_MSG, SEND_LEASE, RESOLVE: count */
    void *aux;      /* ACCEPT: pal_sock * for the result. CONNECT: const struct pal_addr *. *_MSG: struct pal_msg array.
                     * SENDFILE: const pal_file *. RESOLVE: const struct pal_query *. WORK: const struct pal_work * */
    int32_t result; /* >= 0 or PAL_E*: valid when submit returned 1, or when the event is seen */
    uint8_t kind;   /* PAL_OP_* */
    uint8_t state;  /* the backend's: zero when idle */
    uint16_t flags; /* PAL_OP_TRY; SYNC: PAL_OP_DATA */
    uint64_t offset; /* READ, WRITE, SENDFILE: bytes from the file's beginning */
    uint64_t priv[3];
};

/* Kinds, and what their result is. Those that send end when all is sent, unless cancelled or failed midway (rule 4). */
enum {
    PAL_OP_RECV = 1,   /* bytes; 0: end of stream. This or another: PAL_EAGAIN: it would wait beside an error queue */
    PAL_OP_SEND,       /* bytes */
    PAL_OP_ACCEPT,     /* 0, the new socket in *aux */
    PAL_OP_CONNECT,    /* 0, or why not (PAL_ENOTCONN: a try took the reason); after a failure only close is left */
    PAL_OP_RECV_MSG,   /* messages, >= 1 */
    PAL_OP_SEND_MSG,   /* messages sent whole */
    PAL_OP_SEND_LEASE, /* leases sent whole; the rest stay the caller's */
    PAL_OP_SENDFILE,   /* bytes of a file sent over a stream socket; fewer than size: the file ended */
    PAL_OP_READ,       /* bytes; 0: end of the file. From here on ops may use worker threads (struct pal_setup); why one
                        * failed is told by its code alone, pal_reason is about calls */
    PAL_OP_WRITE,      /* bytes, possibly fewer than size: as one pal_file_write */
    PAL_OP_SYNC,       /* 0 */
    PAL_OP_RESOLVE,    /* addresses found, as pal_resolve; at most size of them are written, at most PAL_RESOLVE_MAX */
    PAL_OP_WORK        /* what the function returned, as it is: what a negative number means is the program's affair */
};
enum {
    PAL_OP_TRY = 1, /* flag: the caller expects success now, so try before waiting (RECV, ACCEPT) */
    PAL_OP_DATA = 2 /* flag of SYNC: PAL_FILE_SYNC_DATA */
};

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
PAL_STATIC_ASSERT(sizeof(struct pal_stamp) == 24, "pal_stamp is 24 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_notice) == 16, "pal_notice is 16 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_msg) == 288 + 4 * PAL_POINTER_SIZE,
                  "pal_msg is 320 bytes, 304 with short pointers");
PAL_STATIC_ASSERT(sizeof(struct pal_op) == 64 + 2 * PAL_POINTER_SIZE, "pal_op is 80 bytes, 72 with short pointers");
PAL_STATIC_ASSERT(sizeof(struct pal_lease) == 8 + PAL_POINTER_SIZE, "pal_lease is 16 bytes, 12 with short pointers");

#ifdef __cplusplus
}
#endif
#endif
