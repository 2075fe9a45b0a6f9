/* tcp_syn.h: connections that are not one yet, and those that are none any more.
 *
 * A SYN at a listener makes an embryo, a small record; when that is acknowledged it becomes a struct tcb in the
 * listener's accept queue. With the embryos used up, the SYN is answered by a cookie and nothing is kept (RFC 4987). A
 * connection that was closed by us first leaves a TIME-WAIT record.
 *
 * The backlog bounds the accept queue. While that is full, SYNs are not answered, and neither is the ACK that would
 * complete a handshake: the embryo goes on sending SYN-ACKs, until there is a place. Embryos of a listener are bounded
 * by its backlog too, or EMBRYOS_LEAST if that is more, and those of all listeners by config.embryos_max. */
#ifndef PAL__NETSTACK_TCP_SYN_H
#define PAL__NETSTACK_TCP_SYN_H

#include "tcp.h"

enum {
    EMBRYOS_LEAST = 8,
    BACKLOG_MAX = 65535,
    ANSWER_INTERVAL_NS = 500 * 1000 * 1000, /* between ACKs for what is out of order (RFC 5961 7) */
    COOKIE_INTERVAL_S = 64                  /* a cookie is good in the interval in which it was made, and the next */
};

/* What a listener's tcb points to. */
struct tcp_listener {
    struct tcb *tcb;
    struct base_list embryos; /* oldest first */
    struct base_list accepts; /* struct tcb by accept_link, oldest first */
    uint32_t embryo_count, embryo_max;
    uint32_t accept_count, backlog;
    uint64_t cookies_until_ns; /* cookies were sent of late: until then ACKs are looked at for one */
};

struct embryo {
    struct tuple tuple; /* first: demux.c looks here */
    struct tcp_listener *listener;
    struct base_link link; /* listener->embryos */
    struct timer timer;    /* TIMER_EMBRYO */
    struct dst *dst;
    uint64_t synack_ns;       /* when the SYN-ACK was first sent */
    uint64_t answer_after_ns; /* no ACK for what is out of order before that */
    uint32_t iss, irs;
    uint32_t peer_window; /* unscaled */
    uint32_t ts_recent;
    uint32_t ts_offset;
    uint32_t scope;
    uint16_t peer_mss;
    uint8_t has; /* TCP_HAS_*: options of the SYN */
    uint8_t peer_scale;
    uint8_t sends; /* SYN-ACKs sent, or tried to */
};

struct timewait {
    struct tuple tuple;    /* first */
    struct timer timer;    /* TIMER_TIMEWAIT */
    struct base_link link; /* stack->timewaits, oldest first */
    uint32_t snd_nxt, rcv_nxt;
    uint32_t rcv_window; /* as it goes into the header */
    uint32_t ts_recent, ts_offset;
    uint64_t answer_after_ns; /* no ACK for what is out of order before that */
    uint32_t scope;
    uint8_t has; /* TCP_HAS_TIMESTAMPS */
    uint8_t ttl, tos;
    bool is_reusable; /* the socket had SOCK_REUSEADDR */
};

/* What is known of a peer when its handshake is complete, from an embryo or a cookie. */
struct handshake {
    struct tuple tuple;
    struct dst *dst; /* its reference goes over, if it comes to a connection */
    uint32_t iss, irs;
    uint32_t peer_window; /* of the SYN, unscaled */
    uint32_t ts_recent, ts_offset;
    uint32_t scope;
    struct tcp_options options; /* of the SYN: has, mss, scale */
    uint64_t rtt_ns;            /* of the SYN-ACK, or UINT64_MAX if it was sent more than once */
};

/* ---- tcp_listen.c ---- */
int pal__n_listener_open(struct tcb *tcb, int backlog); /* LISTEN; PAL_ENOBUFS; again: changes the backlog */
/* Resets what nobody has accepted, forgets the embryos; the tcb is CLOSED then. */
void pal__n_listener_close(struct tcb *tcb);
/* Any segment whose port has only a listener. Takes the frame. */
void pal__n_listener_in(struct tcb *tcb, struct segment *segment);
/* The same of a SYN whose tuple was in TIME-WAIT: our first sequence number lies above the last one then. */
void pal__n_listener_reuse(struct tcb *tcb, struct segment *segment, uint32_t last);
struct tcb *pal__n_listener_accept(struct tcb *tcb); /* NULL: none. It may have ended meanwhile, and says so */
/* A handshake is complete: the connection, in the accept queue. NULL, and in *reason why: the queue is full, or no
 * room. replaces: as of pal__n_tcb_passive. */
struct tcb *pal__n_listener_admit(struct tcp_listener *listener, const struct handshake *handshake, uint32_t replaces,
                                  enum netstack_counter *reason);

/* ---- tcp_syn.c ---- */
/* Answers a SYN and remembers it. last: above which our first number is to lie, or NULL. False: no room, or no way
 * back. */
bool pal__n_embryo_open(struct tcp_listener *listener, const struct segment *segment, const uint32_t *last);
/* Answers it with a cookie, and remembers nothing. */
void pal__n_embryo_do_without(struct tcp_listener *listener, const struct segment *segment);
void pal__n_embryo_in(struct netstack *stack, struct embryo *embryo, struct segment *segment); /* takes the frame */
void pal__n_embryo_free(struct netstack *stack, struct embryo *embryo);
bool pal__n_embryo_error(struct netstack *stack, struct embryo *embryo, const struct ip_error *error);
/* The interface that what goes back to the sender of a segment must take; 0: by route. */
uint32_t pal__n_scope_of(const struct tcb *listener, const struct segment *segment);

/* ---- tcp_state.c ---- */
/* A connection in ESTABLISHED, in the demultiplexer (in place of `replaces`, an embryo's demux index, or anew:
 * DEMUX_NONE), with the listener's options; in no queue yet. NULL: no room, nothing has changed. */
struct tcb *pal__n_tcb_passive(struct tcb *listener, const struct handshake *handshake, uint32_t replaces);

/* ---- tcp_cookie.c ---- */
/* The sequence number of a cookie for the SYN; *ts_value: what the timestamp must say if the SYN had one. Without one,
 * the SYN-ACK may offer nothing but its MSS. */
uint32_t pal__n_cookie_make(struct netstack *stack, const struct segment *syn, uint32_t *ts_value);
/* Is the segment the ACK of one? Fills in all but dst and scope; of the options, as far as they were kept. */
bool pal__n_cookie_check(struct netstack *stack, const struct segment *segment, struct handshake *out);

/* ---- tcp_timewait.c ---- */
/* Takes over from the connection, whose tuple it keeps in the demultiplexer; the oldest makes room. */
void pal__n_timewait_enter(struct tcb *tcb);
void pal__n_timewait_in(struct netstack *stack, struct timewait *timewait, struct segment *segment);
void pal__n_timewait_free(struct netstack *stack, struct timewait *timewait);

/* ---- tcp_isn.c (RFC 6528) ---- */
uint32_t pal__n_isn(struct netstack *stack, const struct tuple *tuple);
/* The offset of a connection's timestamps, so that they tell nothing of others (RFC 7323 5.4). The same tuple always
 * has the same: its timestamps never go back. */
uint32_t pal__n_ts_offset(struct netstack *stack, const struct tuple *tuple);
/* SipHash-2-4 of a tuple and 128 bits more. */
uint64_t pal__n_tuple_mac(const struct siphash_key *key, const struct tuple *tuple, uint64_t first, uint64_t second);
/* What a timestamp says: milliseconds (RFC 7323 5.4: at least 1 ms a tick), from an offset on. */
static inline uint32_t tcp_timestamp(uint64_t now_ns, uint32_t ts_offset)
{
    return (uint32_t)(now_ns / 1000000) + ts_offset;
}

#endif
