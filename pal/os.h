/* pal/os.h: what a program needs of its system besides waiting: set-up, clocks, entropy, threads, names.
 *
 * Upholds rules 2, 12, 15, 16 and 20 of docs/seam.md. Unless said otherwise a function may be called from any thread,
 * takes no lock and allocates nothing. "1 call" in a cost means one system call on a kernel backend. */
#ifndef PAL_OS_H
#define PAL_OS_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- set-up ---- */

/* alloc returns size bytes aligned to alignment (a power of two), or NULL. Both may be called from any thread. */
struct pal_allocator {
    void *(*alloc)(void *context, size_t size, size_t alignment);
    void (*free)(void *context, void *memory, size_t size);
    void *context;
};

enum {
    PAL_SETUP_RAISE_LIMIT = 1 /* raise the soft descriptor limit to the hard one */
};

struct pal_setup {
    uint32_t flags;       /* PAL_SETUP_* */
    uint32_t socks_max;   /* handles open at once; 0: as many as the backend can (pal_info) */
    uint32_t polls_max;   /* 0: 64 */
    uint32_t workers_max; /* worker threads, at most 256, started when first needed; 0: none, and what needs one is
                           * PAL_ENOWORKER (rule 15) */
    uint32_t cpu;         /* 1 + the CPU to pin the calling thread to; 0: not pinned */
    uint32_t reserved32;
    const struct pal_allocator *allocator; /* copied; NULL: the C library's */
    const char *args;                      /* the backend's own settings (docs/backends.md); NULL: none */
    uint64_t reserved[8];
};

/* Fixes the capacities, once, before every other call of the seam but pal_backend_info; optional (NULL or no call: the
 * defaults). All that it is given is copied. PAL_EBUSY: the seam is in use already. PAL_EINVAL: a value out of range,
 * pal_reason says which. PAL_ENOMEM: for workers; nothing took effect. PAL_EPERM: the limit or the CPU was refused; the
 * rest took effect. Not thread-safe: the main thread calls it first. 0 calls, +2 for workers, +2 for the limit, +1 to
 * pin. */
int pal_setup(const struct pal_setup *setup);

/* What the linked backend can do. */
enum {
    PAL_CAP_SHARED_SOCKS = 0x0001, /* try, set, get, wait from any thread (rule 12) */
    PAL_CAP_MOVE = 0x0002,         /* an idle socket may be watched on another poll than before */
    PAL_CAP_LISTEN_SHARD = 0x0004, /* one listener a poll on the same port */
    PAL_CAP_LEASE_NATIVE = 0x0008, /* leases are the fast way to receive */
    PAL_CAP_OP_NATIVE = 0x0010,    /* ops are the fast way to receive */
    PAL_CAP_WATCH_PIPE = 0x0020,   /* pipe ends and terminals can be watched */
    PAL_CAP_WATCH_FILE = 0x0040,
    PAL_CAP_EDGE = 0x0080,    /* PAL_EDGE */
    PAL_CAP_NS_WAIT = 0x0100, /* deadlines are kept to the nanosecond; without: milliseconds, rounded up */
    PAL_CAP_TX_COMPLETION = 0x0200, /* PAL_SO_ZEROCOPY: sends without a copy, and notice when they are done */
    PAL_CAP_PASS_SOCKS = 0x0400,    /* PAL_META_SOCKS */
    PAL_CAP_VIRTUAL_TIME = 0x0800,  /* time jumps to the next event (rule 19) */
    PAL_CAP_BLOCKING = 0x1000,      /* PAL_MSG_WAIT */
    PAL_CAP_STAMPS = 0x2000,        /* PAL_SO_TIMESTAMPING: times of receiving and sending; the card's where it can */
    PAL_CAP_BUSY_POLL = 0x4000,     /* PAL_SO_BUSY_POLL: the kernel looks at the card's queue itself */
    PAL_CAP_PREFER_BUSY_POLL = 0x8000, /* PAL_SO_PREFER_BUSY_POLL, PAL_SO_BUSY_POLL_BUDGET */
    PAL_CAP_GSO = 0x10000,             /* PAL_SO_GSO, PAL_META_GSO of what is sent: one call, many datagrams */
    PAL_CAP_GRO = 0x20000,             /* PAL_SO_GRO, PAL_META_GSO of what is received */
    PAL_CAP_QUICKACK = 0x40000,        /* PAL_SO_QUICKACK, PAL_SO_QUICKACK_ALWAYS */
    PAL_CAP_USER_TIMEOUT = 0x80000,    /* PAL_SO_USER_TIMEOUT */
    PAL_CAP_INCOMING_CPU = 0x100000,   /* PAL_SO_INCOMING_CPU */
    PAL_CAP_SENDFILE = 0x200000,       /* PAL_OP_SENDFILE */
    PAL_CAP_WATCH_CHILD = 0x400000     /* pal_proc_watch */
};
enum { PAL_ABI = 1 };

struct pal_backend {
    const char *name; /* "epoll", "poll" ... */
    uint32_t abi;     /* PAL_ABI of the backend's build */
    uint32_t reserved;
    uint64_t caps; /* PAL_CAP_* */
};

/* The linked backend. Never NULL, never changes after pal_setup, needs none. May ask the kernel once what it can do. */
const struct pal_backend *pal_backend_info(void);

enum {
    PAL_INFO_CPU_COUNT = 1, /* CPUs this process may run on */
    PAL_INFO_PAGE_SIZE,     /* bytes */
    PAL_INFO_SOCKS_MAX,     /* handles open at once */
    PAL_INFO_SOCKS_OPEN,    /* now, of sockets, files and children: a leak shows here */
    PAL_INFO_NATIVE_MAX,    /* descriptor limit of this process */
    PAL_INFO_PROCESS_ID
};

/* One number about system or process in *value. PAL_EINVAL: no such key. At most 1 call. */
int pal_info(int key, uint64_t *value);

/* The system's own code behind this thread's last failed seam call (errno, GetLastError); for messages only. A
 * user-space stack is its sockets' system, and its codes are the seam's own: PAL_EADDRINUSE is 98. */
int32_t pal_native_error(void);

/* Why this thread's last seam call was refused with PAL_ENOTSUP, PAL_EBUSY or PAL_EINVAL, and what helps: static text,
 * "" when there is nothing to say. Valid until this thread's next refused call. */
const char *pal_reason(void);

/* ---- clocks and entropy ---- */

enum { PAL_CLOCK_MONOTONIC, PAL_CLOCK_REAL, PAL_CLOCK_THREAD_CPU };

/* Nanoseconds. MONOTONIC has no meaning but differences and deadlines; REAL counts from 1970 UTC; THREAD_CPU is this
 * thread's. Virtual in the simulator. An unknown clock asserts. No system call for the first two on common kernels. */
uint64_t pal_clock(int which);

/* size bytes of the system's entropy (in the simulator: of the seed). At most 1 call per 256 bytes.
 * PAL_EINVAL: NULL. */
int pal_random(void *buffer, size_t size);

/* ---- threads ---- */

/* Starts function(arg). *out is to be joined, once. PAL_EAGAIN: the system has no room for another
 * thread. Allocates. */
int pal_thread_start(pal_thread *out, void (*function)(void *), void *arg);

/* Waits until it has returned. PAL_EBADF: joined already; PAL_EDEADLK: one's own. */
int pal_thread_join(pal_thread thread);

/* Sleeps while *word == expected, until pal_unpark, the deadline (absolute monotonic ns, UINT64_MAX: none), or for no
 * reason at all: check and call again. 0 woken or value differs, PAL_ETIMEDOUT, PAL_EINTR. 1 call, 0 if it differs. */
int pal_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Wakes at most count threads (INT32_MAX: all) that are parked on word. The caller has changed *word first. 1 call. */
void pal_unpark(const uint32_t *word, int count);

/* ---- names ---- */

struct pal_query {
    const char *host;           /* NULL: the wildcard (PAL_RESOLVE_PASSIVE) or loopback */
    const char *service;        /* "http", "80" or NULL */
    int family, type, protocol; /* 0: any */
    uint32_t flags;             /* PAL_RESOLVE_* */
    char *canonical;            /* room for the canonical name, or NULL */
    size_t canonical_size;
};
enum {
    PAL_RESOLVE_PASSIVE = 1,
    PAL_RESOLVE_NUMERIC_HOST = 2,
    PAL_RESOLVE_NUMERIC_SERVICE = 4,
    PAL_RESOLVE_ADDRCONFIG = 8
};

/* Addresses of a host: how many were found, of which at most max are written. PAL_ENONAME: there is no such name.
 * Blocks, for as long as the resolver takes; the op form is PAL_OP_RESOLVE. */
int pal_resolve(const struct pal_query *query, struct pal_addr *out, int max);

enum {
    PAL_NAMES_HOSTNAME = 1,    /* out: text */
    PAL_NAMES_INTERFACE_INDEX, /* key: name; out: uint32_t */
    PAL_NAMES_INTERFACE_NAME,  /* key: (const char *)&uint32_t; out: text */
    PAL_NAMES_SERVICE_PORT,    /* key: "http/tcp"; out: uint16_t, host order */
    PAL_NAMES_PORT_SERVICE,    /* key: "80/tcp"; out: text */
    PAL_NAMES_PROTOCOL,        /* key: "tcp"; out: int32_t */
    PAL_NAMES_HOST_OF,         /* key: (const char *)&struct pal_addr; out: text; blocks like pal_resolve */
    PAL_NAMES_INTERFACES       /* out: struct pal_interface array */
};
struct pal_interface {
    char name[32];
    uint32_t ifindex;
    uint32_t flags; /* 1 up, 2 loopback, 4 multicast */
    uint32_t mtu;   /* bytes */
    uint32_t reserved;
};

/* One name or number. size is the room at out in bytes; >= 0: bytes written (text: without its NUL; interfaces: size of
 * all, even if not all fitted). PAL_ENONAME: unknown; PAL_ERANGE: room too small; PAL_EINVAL: NULL or no such kind. */
int pal_names(int kind, const char *key, void *out, size_t size);

/* Says why on the error stream, in one line, and aborts: the end of a broken rule. */
PAL_NORETURN void pal_fatal(const char *why);

#ifdef __cplusplus
}
#endif
#endif
