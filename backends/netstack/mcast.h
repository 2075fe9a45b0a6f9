/* mcast.h: who listens to which group: one engine of source filters for IGMPv3 and MLDv2 (RFC 3376 3.2, RFC 3810 4.2).
 *
 * A socket's membership is a filter (EXCLUDE nothing: any source; INCLUDE some). What an interface asks of its routers
 * is the merge of all of them, a group; when the merge changes, igmp.c or mld.c reports the difference. mcast.c keeps
 * memberships and merges them, mcast_report.c says when what is reported. */
#ifndef PAL__NETSTACK_MCAST_H
#define PAL__NETSTACK_MCAST_H

#include "addr.h"
#include "iface.h"
#include "sock.h"

enum {
    GROUP_SOURCES_MAX = 32,
    GROUP_CHANGES_MAX = 32,
    MEMBERSHIP_SOURCES_MAX = 16,
    GROUP_ROBUSTNESS = 2 /* how often a state change is reported (RFC 3376 8.1) */
};
enum { FILTER_INCLUDE, FILTER_EXCLUDE };
enum { REPORT_IS_INCLUDE = 1, REPORT_IS_EXCLUDE, REPORT_TO_INCLUDE, REPORT_TO_EXCLUDE, REPORT_ALLOW, REPORT_BLOCK };

/* One socket in one group on one interface. */
struct membership {
    struct membership *next;       /* of the socket */
    struct membership *group_next; /* of the group */
    struct sock *sock;
    struct group *group;
    uint8_t mode; /* FILTER_* */
    uint8_t source_count;
    struct ip sources[MEMBERSHIP_SOURCES_MAX];
};

/* A source of which the routers are being told. */
struct source_change {
    struct ip ip;
    uint8_t type; /* REPORT_ALLOW, REPORT_BLOCK */
    uint8_t left; /* reports still to be sent */
};

/* A group that an interface listens to: the merge of its memberships. One that nobody listens to any more stays until
 * its last report is out, in no list of the interface (is_leaving). */
struct group {
    struct group *next; /* of the interface */
    struct iface *iface;
    struct ip ip;
    struct membership *members;
    struct timer timer;     /* TIMER_GROUP: reports that are due: repeated state changes, answers to queries */
    uint64_t answer_due_ns; /* a query for this group is to be answered; UINT64_MAX: none */
    uint64_t change_due_ns; /* a state change is to be repeated; UINT64_MAX: none */
    uint32_t uses;          /* joins by the stack itself: all-nodes, solicited-node groups */
    uint8_t mode;           /* FILTER_*, merged */
    uint8_t source_count;
    uint8_t mode_left; /* reports of a changed filter mode still to be sent; they tell all sources */
    uint8_t change_count;
    uint8_t query_count; /* sources that a query asked for; 0: for all of the group */
    bool is_leaving;
    struct ip sources[GROUP_SOURCES_MAX];
    struct source_change changes[GROUP_CHANGES_MAX];
    struct ip queried[GROUP_SOURCES_MAX];
};

/* ---- mcast.c ---- */

/* A socket joins (source NULL: from anybody) or leaves. ifindex 0: join: by route, else the first interface of a
 * network; leave: whichever interface it has joined the group on. PAL_EADDRINUSE: is a member already;
 * PAL_EADDRNOTAVAIL: is none; PAL_EINVAL: no group, or from anybody in a source-specific range (RFC 4607); PAL_ENODEV;
 * PAL_ENOBUFS: memberships, groups or a membership's sources are used up. Joining a source where the socket hears
 * anybody restricts it to that source, and leaving without a source leaves all of them, as on Linux. */
int pal__n_mcast_join(struct sock *sock, uint32_t ifindex, const struct ip *group, const struct ip *source);
int pal__n_mcast_leave(struct sock *sock, uint32_t ifindex, const struct ip *group, const struct ip *source);
void pal__n_mcast_leave_all(struct sock *sock);

/* The whole filter at once (RFC 3678 4.2); INCLUDE nobody: leaves. Errors as above. */
int pal__n_mcast_set_filter(struct sock *sock, uint32_t ifindex, const struct ip *group, uint8_t mode,
                            const struct ip *sources, uint32_t source_count);

/* The stack itself: all-hosts, all-nodes, solicited-node. Counted. 0 or PAL_ENOBUFS. */
int pal__n_mcast_use(struct iface *iface, const struct ip *group);
void pal__n_mcast_unuse(struct iface *iface, const struct ip *group);

/* Is anybody on the interface in the group? What IP asks before it takes a packet. */
struct group *pal__n_mcast_find(const struct iface *iface, const struct ip *group);

/* May this socket hear that source in that group on that interface? */
bool pal__n_mcast_hears(const struct sock *sock, const struct iface *iface, const struct ip *group,
                        const struct ip *source);

/* The same of one membership. */
bool pal__n_membership_passes(const struct membership *membership, const struct ip *source);

/* The interface for a group when nobody names one: by route, else the first that is no loopback; 0: none. */
uint32_t pal__n_mcast_ifindex(struct netstack *stack, const struct ip *group);

/* Back to the pool: a group that nobody is in and that has nothing more to report. */
void pal__n_group_free(struct group *group);

/* ---- mcast_report.c ---- */

/* A query has been heard (igmp.c, mld.c): group NULL: general. Answers after a random delay of at most max_ns. */
void pal__n_mcast_queried(struct iface *iface, const struct ip *group, const struct ip *sources, uint32_t count,
                          uint64_t max_ns, bool ip6);

/* The merge has changed from what is given here to what the group says now: reports it, if groups like this one are
 * reported at all. */
void pal__n_group_changed(struct group *group, uint8_t mode, const struct ip *sources, uint32_t count);

/* Nothing is due any more. */
bool pal__n_group_is_quiet(const struct group *group);

/* ---- what igmp.c and mld.c send ---- */
struct report_record {
    uint8_t type; /* REPORT_* */
    struct ip group;
    const struct ip *sources;
    uint32_t source_count;
};

/* Writes as many of the records behind a frame's data as go into `room` bytes: how many. */
uint32_t pal__n_report_fill(struct frame *frame, uint32_t room, const struct report_record *records, uint32_t count);

/* Sends the records, in as many packets as they need. What cannot be sent now is left to the repetition. */
void pal__n_igmp_report(struct iface *iface, const struct report_record *records, uint32_t count);
void pal__n_mld_report(struct iface *iface, const struct report_record *records, uint32_t count);

#endif
