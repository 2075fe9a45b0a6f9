/* pal/options.h: the options of pal_sock_set and pal_sock_get.
 *
 * Values are int32_t unless said otherwise; booleans are 0 or 1 and any other number is PAL_EINVAL. r: read only,
 * w: write only. Texts have no NUL, neither set nor read. What a socket or backend cannot do, such as reading MCAST_IF
 * of an IPv4 socket on Linux, is PAL_ENOTSUP, with the reason in pal_reason() (rule 16). */
#ifndef PAL_OPTIONS_H
#define PAL_OPTIONS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* The socket as an object. */
    PAL_SO_ERROR = 1, /* r: pending error as PAL_E*, cleared by reading; 0 none */
    PAL_SO_NATIVE,    /* r: intptr_t, the system's descriptor, still the seam's */
    PAL_SO_NREAD,     /* r: bytes that wait to be read, queued leases included */
    PAL_SO_PATH,      /* r: text, which path the socket is on and why */
    PAL_SO_OWNER,     /* r: pal_poll *, the poll it has joined, or NULL */
    PAL_SO_TYPE,      /* r: PAL_SOCK_* */
    PAL_SO_FAMILY,    /* r: PAL_AF_* */
    PAL_SO_PROTOCOL,  /* r */
    PAL_SO_LISTENING, /* r: boolean */

    /* Any socket. */
    PAL_SO_REUSEADDR = 32, /* boolean */
    PAL_SO_REUSEPORT,      /* boolean */
    PAL_SO_BROADCAST,      /* boolean; datagram */
    PAL_SO_KEEPALIVE,      /* boolean */
    PAL_SO_LINGER,         /* struct pal_linger */
    PAL_SO_RCVBUF,         /* bytes wanted; reading tells what the system made of it */
    PAL_SO_SNDBUF,         /* bytes */
    PAL_SO_RCVLOWAT,       /* bytes that make a stream readable */
    PAL_SO_OOBINLINE,      /* boolean */
    PAL_SO_DEVICE,         /* text: bind to this interface; "" to none */
    PAL_SO_PRIORITY,
    PAL_SO_MARK,
    PAL_SO_BUSY_POLL, /* microseconds */
    PAL_SO_INCOMING_CPU,

    /* TCP. */
    PAL_SO_NODELAY = 64, /* boolean */
    PAL_SO_CORK,         /* boolean */
    PAL_SO_QUICKACK,     /* boolean; not sticky */
    PAL_SO_MAXSEG,       /* bytes */
    PAL_SO_KEEPIDLE,     /* seconds */
    PAL_SO_KEEPINTVL,    /* seconds */
    PAL_SO_KEEPCNT,
    PAL_SO_USER_TIMEOUT, /* milliseconds */
    PAL_SO_DEFER_ACCEPT, /* seconds */
    PAL_SO_FASTOPEN,     /* backlog */
    PAL_SO_CONGESTION,   /* text */

    /* IP. */
    PAL_SO_V6ONLY = 96,  /* boolean; IPv6. The default is the system's: set it where it matters */
    PAL_SO_TTL,          /* hop limit of unicast, 1..255 */
    PAL_SO_TOS,          /* traffic class, 0..255 */
    PAL_SO_MTU_DISCOVER, /* 0 never, 1 when routes say so, 2 always (do not fragment), 3 probe */
    PAL_SO_MTU,          /* r: bytes; connected */
    PAL_SO_FREEBIND,     /* boolean */
    PAL_SO_TRANSPARENT,  /* boolean */

    /* Multicast. A socket hears the groups that it joined itself, whatever others on this host have joined. */
    PAL_SO_MCAST_JOIN = 128, /* w: struct pal_mcast; with a source: source-specific */
    PAL_SO_MCAST_LEAVE,      /* w: struct pal_mcast */
    PAL_SO_MCAST_IF,         /* uint32_t interface index for sending; 0: by route */
    PAL_SO_MCAST_TTL,        /* 0..255 */
    PAL_SO_MCAST_LOOP,       /* boolean: does this host hear its own */

    /* Metadata of messages: see PAL_META_*. */
    PAL_SO_PKTINFO = 160, /* boolean */
    PAL_SO_RECV_TTL,      /* boolean */
    PAL_SO_RECV_TOS,      /* boolean */
    PAL_SO_TIMESTAMP,     /* boolean */
    PAL_SO_DROPS,         /* boolean */
    PAL_SO_GRO,           /* boolean; UDP */
    PAL_SO_GSO,           /* bytes of a segment; UDP */
    PAL_SO_RECVERR,       /* boolean: ICMP errors through PAL_MSG_ERRQUEUE */

    /* Unix. */
    PAL_SO_PASS = 192, /* boolean: take passed handles (off: they are refused and closed). Not with leases */
    PAL_SO_PASSCRED,   /* boolean */
    PAL_SO_PEERCRED    /* r: struct pal_cred */
};

/* A raw option of the system, by its own numbers: pal_sock_set(sock, PAL_SO_RAW(level, name), ...). The value goes
 * through as it is. Levels to 4095, names to 65535. */
#define PAL_SO_RAW_FLAG 0x40000000u
#define PAL_SO_RAW(level, name) (PAL_SO_RAW_FLAG | ((uint32_t)(level)&0xfffu) << 16 | ((uint32_t)(name)&0xffffu))

struct pal_linger {
    int32_t on;      /* boolean */
    int32_t seconds; /* 0..65535; on with 0: close resets the connection */
};

struct pal_mcast {
    struct pal_addr group;
    struct pal_addr source; /* family PAL_AF_UNSPEC: any source */
    uint32_t ifindex;       /* 0: the system chooses by route */
};

struct pal_cred {
    uint32_t process, user, group;
};

PAL_STATIC_ASSERT(sizeof(struct pal_linger) == 8, "pal_linger is 8 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_mcast) == 252, "pal_mcast is 252 bytes");
PAL_STATIC_ASSERT(sizeof(struct pal_cred) == 12, "pal_cred is 12 bytes");

#ifdef __cplusplus
}
#endif
#endif
