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
    PAL_SO_RCVLOWAT,       /* bytes that make a stream readable; fewer do at its end, and when no more would fit */
    PAL_SO_OOBINLINE,      /* boolean */
    PAL_SO_DEVICE,         /* text: bind to this interface; "" to none */
    PAL_SO_PRIORITY,
    PAL_SO_MARK,
    PAL_SO_BUSY_POLL,        /* microseconds that a wait for this socket looks at the card's queue itself */
    PAL_SO_INCOMING_CPU,     /* by which CPU the latest packet came, -1: unknown; set: take those of this CPU */
    PAL_SO_PREFER_BUSY_POLL, /* boolean: interrupts stay off while the program polls often enough */
    PAL_SO_BUSY_POLL_BUDGET, /* w: packets a look, 1..65535; 0: the system's default */
    PAL_SO_ZEROCOPY,         /* boolean; TCP and UDP: see below */

    /* TCP. */
    PAL_SO_NODELAY = 64, /* boolean */
    PAL_SO_CORK,         /* boolean */
    PAL_SO_QUICKACK,     /* boolean; not sticky: the system falls back to delayed acknowledgements by itself */
    PAL_SO_MAXSEG,       /* bytes */
    PAL_SO_KEEPIDLE,     /* seconds */
    PAL_SO_KEEPINTVL,    /* seconds */
    PAL_SO_KEEPCNT,
    PAL_SO_USER_TIMEOUT,    /* milliseconds that what was sent may stay unacknowledged; 0: the system's default */
    PAL_SO_DEFER_ACCEPT,    /* seconds */
    PAL_SO_FASTOPEN,        /* backlog */
    PAL_SO_CONGESTION,      /* text */
    PAL_SO_QUICKACK_ALWAYS, /* boolean: QUICKACK for good, at one call more for each receive of this handle */

    /* IP. What IPv4 has as well is set for the IPv4, too, that a socket of IPv6 carries. */
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
    PAL_SO_TIMESTAMP,     /* boolean: the system's time of arrival; for what arrived earlier, the time of the call */
    PAL_SO_DROPS,         /* boolean */
    PAL_SO_GRO,           /* boolean; UDP: a receive may be many datagrams: give it room for 64 KiB */
    PAL_SO_GSO,           /* bytes of a segment; UDP: each send is cut into datagrams of this size. 0: none */
    PAL_SO_RECVERR,       /* boolean: ICMP errors through PAL_MSG_ERRQUEUE */
    PAL_SO_TIMESTAMPING,  /* any of PAL_STAMPING_*; IP */

    /* Unix. */
    PAL_SO_PASS = 192, /* boolean: take passed handles (off: they are refused and closed). Not with leases */
    PAL_SO_PASSCRED,   /* boolean */
    PAL_SO_PEERCRED    /* r: struct pal_cred */
};

/* Busy polling: a value above the socket's present one takes a privilege, else PAL_EPERM.
 *
 * Segments (GSO): at most 64, none larger than the path takes in a packet, 65507 bytes in all, else PAL_EINVAL or
 * PAL_EMSGSIZE.
 *
 * QUICKACK_ALWAYS: what a receive has taken is acknowledged when it returns. An accepted socket has it from its
 * listener, a duplicate from its first handle.
 *
 * ZEROCOPY permits PAL_MSG_ZEROCOPY, which is PAL_EINVAL without it. The bytes of such a send must not change until a
 * PAL_NOTICE_ZEROCOPY gives them back; each send that took a byte or more is counted and noticed, several in a row
 * perhaps at once. PAL_ENOBUFS from such a send: too many are under way. Notices wait in the error queue (struct
 * pal_notice) until they are received. Where a card is behind the socket it pays from some 10 KiB a send on.
 *
 * TIMESTAMPING says which times are taken. What arrived before is given none. Each point of sending is a
 * PAL_NOTICE_STAMP of its own. A stream counts its bytes from this call on, so it has to be connected: PAL_ENOTCONN. A
 * card's times are there only where the card, its driver and its set-up by the administrator (SIOCSHWTSTAMP) give them;
 * where not, quality lacks PAL_STAMP_NIC. */
enum {
    PAL_STAMPING_ARRIVED = 1,     /* the system's, of what is received */
    PAL_STAMPING_ARRIVED_NIC = 2, /* the card's */
    PAL_STAMPING_SCHEDULED = 4,   /* sent: given to the queue of the interface */
    PAL_STAMPING_SENT = 8,        /* sent: given to the card */
    PAL_STAMPING_SENT_NIC = 16,   /* sent: by the card */
    PAL_STAMPING_ACKED = 32       /* sent: acknowledged; TCP, else PAL_ENOTSUP */
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
