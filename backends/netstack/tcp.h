/* tcp.h: one connection (RFC 9293): its control block, and what the files of TCP ask of each other.
 *
 *   tcp_in.c     a segment has come            tcp_opt.c    options
 *   tcp_ack.c    and acknowledges something    tcp_syn.c    listeners, half-open connections
 *   tcp_recv.c   and brings bytes              tcp_cookie.c SYN cookies
 *   tcp_out.c    the only file that sends      tcp_timewait.c
 *   tcp_run.c    several as one frame
 *   tcp_state.c  begins and ends               tcp_isn.c
 *   tcp_timer.c  one wheel timer, nine dates   tcp_pmtu.c   ICMP
 *   tcp_rtx.c    RTT, RTO                      tcp_sock.c   what the program calls
 *   tcp_sack.c, tcp_rack.c, tcp_cc.c  what is lost, and how much may be in flight
 *   seg.c        the send queue */
#ifndef PAL__NETSTACK_TCP_H
#define PAL__NETSTACK_TCP_H

#include "dst.h"
#include "ip.h"
#include "seg.h"
#include "seq.h"
#include "sock.h"
#include "tcp_opt.h"
#include "timer.h"
#include "wire.h"

enum tcp_state {
    TCP_CLOSED,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED, /* of a simultaneous open only: those of listeners are embryos (tcp_syn.h) */
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK
    /* TIME-WAIT is a record of its own: tcp_syn.h */
};

enum {
    TCP_MSS_DEFAULT4 = 536,
    TCP_MSS_DEFAULT6 = 1220,
    TCP_MSS_MIN = 48, /* a peer that says less is not obeyed (CVE-2019-11479) */
    TCP_IW_SEGMENTS = 10,
    TCP_TICK_NS = 1000000, /* of the timestamps (RFC 7323 5.4) */
    TCP_DUPACKS = 3,
    TCP_OOO_RANGES_MAX = 64, /* holes kept at most */
    TCP_R1 = 3               /* timeouts of one segment before the neighbour is suspected */
};

/* Dates of a connection; the wheel timer stands at the earliest, or before it. */
enum tcp_date {
    DATE_REO, /* RACK: a segment becomes lost by then */
    DATE_TLP, /* tail loss probe */
    DATE_RTO,
    DATE_PERSIST, /* the window is shut, or too small */
    DATE_HOLD,    /* corked or silly: sent anyway by then */
    DATE_DELACK,
    DATE_KEEPALIVE,
    DATE_LIFE, /* FIN-WAIT-2 of an orphan */
    DATE_USER, /* R2 */
    TCP_DATES
};

enum {
    TCP_F_TIMESTAMPS = 0x0001, /* agreed on */
    TCP_F_SACK = 0x0002,
    TCP_F_SCALE = 0x0004,
    TCP_F_NODELAY = 0x0008, /* the default */
    TCP_F_CORK = 0x0010,
    TCP_F_ACK_NOW = 0x0020,      /* an ACK is owed, and waits for nothing but the end of the turn */
    TCP_F_ACK_DELAYED = 0x0040,  /* is owed, by DATE_DELACK */
    TCP_F_DIRTY = 0x0080,        /* in stack->dirty */
    TCP_F_BLOCKED = 0x0100,      /* could not send for want of a frame or room at the port; tried again each turn */
    TCP_F_FIN_QUEUED = 0x0200,   /* a FIN is the last of segs, or was acknowledged */
    TCP_F_FIN_RECEIVED = 0x0400, /* rcv_nxt is behind the peer's FIN */
    TCP_F_QUICKACK = 0x0800,     /* acknowledges within the poll, even what the program is told of */
    TCP_F_REORDERED = 0x1000,    /* RACK has seen reordering */
    TCP_F_TLP_OUT = 0x2000,      /* a tail loss probe is out: tlp_end */
    TCP_F_TLP_RESENT = 0x4000,   /* and it was a retransmission */
    TCP_F_DEMUXED = 0x8000,      /* in the demultiplexer, and a user of its local port */
    TCP_F_LINGER_RESET = 0x10000,
    TCP_F_PASSIVE = 0x20000,      /* came from a listener */
    TCP_F_QUEUED = 0x40000,       /* in a listener's accept queue: not the program's yet */
    TCP_F_URGENT = 0x80000,       /* rcv_up is ahead of what was read */
    TCP_F_FIN_SEEN = 0x100000,    /* a FIN is known at fin_seq, perhaps behind a hole */
    TCP_F_FIN_WANTED = 0x200000,  /* the program is done writing, and no descriptor was free for the FIN yet */
    TCP_F_HOLD_OVER = 0x400000,   /* what was held back has waited long enough: goes out as it is */
    TCP_F_STARVED = 0x1000000,    /* a write found no memory: the program is told when there is some */
    TCP_F_CONNECTING = 0x2000000, /* connect was called */
    TCP_F_LINGER = 0x4000000,
    TCP_F_TIMED_OUT = 0x8000000 /* nothing was delivered since an RTO: one segment at a time */
};

enum tcp_recovery { RECOVERY_NONE, RECOVERY_FAST, RECOVERY_LOSS /* after an RTO */ };
enum tcp_algorithm { TCP_NEWRENO, TCP_CUBIC };

struct tcp_listener;

/* A connection. The order is that of use: receiving, sending, measuring, the rest. */
struct tcb {
    struct sock sock;

    /* Receiving. */
    uint32_t rcv_nxt;  /* the next byte we wait for */
    uint32_t rcv_edge; /* the first number behind the window that the peer was told of; never goes back */
    uint32_t irs;
    uint32_t last_ack_sent;
    uint32_t read_bytes; /* in the receive queue, in order */
    uint32_t receive_buffer;
    uint32_t ts_recent;
    uint32_t ack_pending;                 /* bytes received since the last ACK was sent */
    struct frame *recv_first, *recv_last; /* in order, data: what is unread */
    struct frame *ooo;                    /* behind holes: ranges by sequence, each a chain of frames (tcp_recv.c) */
    uint32_t ooo_count, ooo_bytes, ooo_frames; /* ranges; bytes of payload; frames */
    uint32_t fin_seq;
    uint32_t rcv_up;
    uint32_t low_water; /* PAL_SO_RCVLOWAT, bytes */
    uint64_t ts_recent_ns;
    uint64_t heard_ns; /* when the peer was last heard of */

    /* Sending. */
    uint32_t snd_una, snd_nxt; /* oldest unacknowledged; the first never sent */
    uint32_t snd_end;          /* behind everything queued, FIN included */
    uint32_t snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
    uint32_t iss;
    uint32_t in_flight; /* sequence numbers sent, neither SACKED nor LOST */
    uint32_t sacked;    /* sequence numbers SACKED */
    uint32_t lost;      /* sequence numbers LOST */
    uint32_t send_buffer;
    struct base_list segs;      /* struct seg by sequence */
    struct base_list sent_list; /* those in flight, by time of sending */
    struct seg *unsent;         /* the first never sent; NULL */
    struct seg *lost_hint;      /* no LOST one lies before it; NULL: look from the first */
    struct seg *sack_hint;      /* where the last SACK block ended; NULL: look from the first */
    struct tcp_sack_block sack_seen[TCP_SACK_BLOCKS_MAX]; /* of the last ACK that had some: marked already */
    uint32_t seg_count;                                   /* descriptors */
    uint32_t sacked_count;                                /* segments SACKED */

    /* State. */
    uint32_t flags; /* TCP_F_* */
    uint8_t state;  /* enum tcp_state */
    uint8_t snd_scale, rcv_scale;
    uint8_t recovery;  /* enum tcp_recovery */
    uint16_t mss;      /* payload of a full segment: what path, peer and options leave */
    uint16_t mss_peer; /* what the peer said, or the default */
    uint8_t algorithm; /* enum tcp_algorithm */
    uint8_t dupacks;
    uint8_t backoff;  /* how often the RTO is doubled: until there is a sample (Karn) */
    uint8_t timeouts; /* RTOs since something was acknowledged */
    uint8_t probes;   /* window probes in a row */
    uint8_t keep_probes;
    uint8_t blackhole; /* path MTU search: RTOs of full segments (RFC 4821 7.7) */

    /* How much may be in flight (tcp_cc.c, tcp_sack.c). */
    uint32_t cwnd, ssthresh;
    uint32_t cwnd_acked;                         /* bytes acknowledged since cwnd last grew, in congestion avoidance */
    uint32_t recover;                            /* snd_nxt when recovery began */
    uint32_t prr_delivered, prr_out, prr_flight; /* RFC 6937; prr_flight: of a tail loss probe too */
    uint32_t reno_sacked;                        /* without SACK: what duplicate ACKs say has left the network */
    uint32_t tlp_end;
    uint32_t rack_end; /* RFC 8985: of the segment delivered that was sent last */
    uint64_t rack_sent_ns;
    uint64_t rack_rtt_ns;
    uint64_t min_rtt_ns;                 /* UINT64_MAX: none yet */
    uint64_t srtt_ns, rttvar_ns, rto_ns; /* srtt 0: no sample yet; rto without back-off */
    uint64_t unacked_since_ns; /* since when the oldest unacknowledged byte has been out, or the window shut */
    uint32_t fack;             /* highest sequence number known to be delivered: to see reordering */
    uint32_t cubic_w_max;
    uint64_t cubic_epoch_ns;
    uint32_t cubic_k_ms, cubic_origin;

    /* Times. */
    struct timer timer;        /* TIMER_TCP */
    uint64_t dates[TCP_DATES]; /* UINT64_MAX: none */

    struct base_link dirty_link; /* stack->dirty */
    struct dst *dst;
    struct tcp_listener *listener; /* TCP_LISTEN; or whose accept queue it is in */
    struct base_link accept_link;
    struct base_link short_link; /* stack->short_of_frames: its window is to open when there are more */

    /* Seldom used. */
    uint64_t user_timeout_ns, keepalive_idle_ns, keepalive_interval_ns;
    uint64_t challenge_ns; /* challenge ACKs: when the allowance was last renewed */
    uint32_t challenge_left;
    uint32_t keepalive_count;
    uint32_t
        sack_recent[TCP_SACK_BLOCKS_MAX]; /* starts of the ranges reported last, the latest first; see tcp_recv.c */
    struct tcp_sack_block dsack;          /* to be reported with the next ACK; start == end: none */
    uint32_t ts_offset;
    uint16_t mss_max;           /* PAL_SO_MAXSEG; 0: none */
    uint16_t mss_path;          /* what a search for a black hole found; 0: none */
    uint64_t mss_path_until_ns; /* when that is forgotten */
    uint32_t path_mtu;          /* of the path when mss was last computed */
    uint16_t linger_seconds;
    uint8_t syn_sends;
    uint8_t sack_recent_count;
};

/* A received segment, taken apart. */
struct segment {
    struct packet *packet;
    struct tuple tuple;
    uint32_t seq, ack;
    uint32_t window; /* as it stands in the header: unscaled */
    uint32_t size;   /* bytes of payload */
    uint8_t *payload;
    uint16_t urgent;
    uint8_t flags; /* TCP_FIN ... */
    struct tcp_options options;
    uint64_t time_ns; /* when it came in */
};

/* New segments that go as one frame, which the port cuts: all but the last are of the same size. */
struct tcp_run {
    const struct seg *first;
    struct frame *frame;
    uint32_t count; /* segments */
    uint32_t size;  /* bytes of payload of all */
    uint16_t segment_size;
};

/* What one segment to be sent says. */
struct emission {
    const struct tuple *tuple;
    struct dst *dst;
    uint32_t seq, ack;
    uint32_t window; /* as it goes into the header */
    const struct tcp_options *options;
    const uint8_t *payload;
    const struct tcp_run *run; /* instead of payload; NULL */
    uint32_t size;
    uint16_t urgent;
    uint8_t flags;
    uint8_t ttl, tos;
};

static inline struct tcb *tcb_of(struct sock *sock)
{
    return (struct tcb *)(void *)sock;
}

static inline const struct tcb *tcb_of_const(const struct sock *sock)
{
    return (const struct tcb *)(const void *)sock;
}

/* Sequence numbers the segment takes. */
static inline uint32_t segment_length(const struct segment *segment)
{
    return segment->size + ((segment->flags & TCP_SYN) != 0) + ((segment->flags & TCP_FIN) != 0);
}

/* SYNs have been exchanged. */
static inline bool tcb_is_synchronised(const struct tcb *tcb)
{
    return tcb->state >= TCP_SYN_RECEIVED;
}

/* The program may still write. */
static inline bool tcb_can_send(const struct tcb *tcb)
{
    return tcb->state == TCP_ESTABLISHED || tcb->state == TCP_CLOSE_WAIT;
}

/* The peer may still send. */
static inline bool tcb_can_receive(const struct tcb *tcb)
{
    return tcb->state == TCP_ESTABLISHED || tcb->state == TCP_FIN_WAIT_1 || tcb->state == TCP_FIN_WAIT_2;
}

static inline bool tcb_has_unacked(const struct tcb *tcb)
{
    return tcb->snd_una != tcb->snd_nxt;
}

/* Bytes that the peer's window has room for behind seq; a shrunk window can leave less than none (MUST-34). */
static inline uint32_t tcb_window_room(const struct tcb *tcb, uint32_t seq)
{
    uint32_t edge = tcb->snd_una + tcb->snd_wnd;

    return seq_gt(edge, seq) ? edge - seq : 0;
}

/* ---- tcp_state.c ---- */
struct tcb *pal__n_tcb_new(struct netstack *stack, int family); /* CLOSED, with defaults; NULL: none left */
void pal__n_tcb_free(struct tcb *tcb);                          /* everything it has, and itself */
/* It ends: a pending error for the program, RST if asked for; freed if nobody holds it. */
void pal__n_tcb_abort(struct tcb *tcb, int error, bool reset);
/* It is over in order: to TIME-WAIT, or gone. The program's handle stays, readable to the end, until it closes. */
void pal__n_tcb_finish(struct tcb *tcb, bool time_wait);
void pal__n_tcb_connected(struct tcb *tcb); /* SYN_SENT or SYN_RECEIVED -> ESTABLISHED */
/* Segment size, initial window and such, from options of both sides. */
void pal__n_tcb_negotiate(struct tcb *tcb, const struct tcp_options *peer);
void pal__n_tcb_update_mss(struct tcb *tcb);
/* What our SYN says: what the path's MTU leaves, without options (RFC 6691). */
uint16_t pal__n_tcb_own_mss(const struct tcb *tcb);
/* Gets a path if there is none or it is stale. False: none. */
bool pal__n_tcb_route(struct tcb *tcb);

/* ---- tcp_in.c ---- */
void pal__n_tcb_in(struct tcb *tcb, struct segment *segment); /* takes the frame */
/* A challenge ACK, or an ACK for what is unacceptable, if the allowance permits (RFC 5961 7). */
void pal__n_tcb_challenge(struct tcb *tcb);

/* ---- tcp_ack.c ---- */
/* An acceptable ACK with its window and SACK blocks. False: the segment is to be dropped. */
bool pal__n_tcb_ack(struct tcb *tcb, const struct segment *segment);
/* A segment is known to be at the peer: samples and RACK's state, while its descriptor is still there. */
struct delivery;
void pal__n_tcb_delivered(struct tcb *tcb, const struct seg *seg, const struct segment *segment,
                          struct delivery *delivery);

/* ---- tcp_recv.c ---- */
/* Payload within the window: queues it, or what is new of it; takes the frame. */
void pal__n_tcb_receive(struct tcb *tcb, struct segment *segment);
/* The program has taken bytes: opens the window if it is worth an update. */
void pal__n_tcb_consumed(struct tcb *tcb);
/* The right edge that the next segment offers, such that (edge - rcv_nxt) >> rcv_scale says it exactly. */
uint32_t pal__n_tcb_edge(const struct tcb *tcb);
uint32_t pal__n_tcb_sack_blocks(struct tcb *tcb, struct tcp_sack_block *blocks, uint32_t max);
void pal__n_tcb_drop_ranges(struct tcb *tcb); /* what lies behind holes */
void pal__n_tcb_drop_received(struct tcb *tcb);
/* Those whose windows stayed shut for want of frames, once there are enough again. */
void pal__n_tcp_open_windows(struct netstack *stack);

/* ---- tcp_out.c ---- */
int pal__n_tcp_emit(struct netstack *stack, const struct emission *emission); /* 0, PAL_EAGAIN, PAL_ENOBUFS ... */
void pal__n_tcb_dirty(struct tcb *tcb);         /* has something to send: at the end of the turn */
void pal__n_tcb_dirty_if_open(struct tcb *tcb); /* only if it has a peer */
void pal__n_tcb_output(struct tcb *tcb);        /* sends what may be sent now */
void pal__n_tcb_ack_now(struct tcb *tcb);
bool pal__n_tcb_send_ack(struct tcb *tcb); /* at once */
void pal__n_tcb_send_reset(struct tcb *tcb);
/* The answer to a segment that belongs to nothing (RFC 9293 3.10.7.1). */
void pal__n_tcp_reset_for(struct netstack *stack, const struct segment *segment);
bool pal__n_tcb_resend(struct tcb *tcb, struct seg *seg); /* one, whatever cwnd says */
bool pal__n_tcb_send_new(struct tcb *tcb);                /* one, whatever cwnd says, if the window has room */
void pal__n_tcb_probe(struct tcb *tcb);                   /* an empty segment at snd_una - 1 */
/* RFC 9293 3.8.6.2.1, 3.7.4: is it worth a segment of less than full size, with something unacknowledged or not? */
bool pal__n_tcb_may_send_small(const struct tcb *tcb, const struct seg *seg, bool has_unacked);
/* All dirty connections. hold: not those that only owe an ACK which the program's answer may carry. */
void pal__n_tcp_flush(struct netstack *stack, bool hold);
uint32_t pal__n_tcb_timestamp(const struct tcb *tcb, uint64_t now_ns); /* ms, with the connection's offset */

/* ---- tcp_run.c ---- */
bool pal__n_tcb_may_run(const struct tcb *tcb); /* the port cuts frames of this connection, which has a path */
/* What may go now, of the segment `first`, which may, and of those behind it: at least two, with the frame for them,
 * which the caller hands over at once. header_size: TCP's, with options. False: it goes alone; there is no frame. */
bool pal__n_tcb_run_begin(const struct tcb *tcb, const struct seg *first, uint32_t header_size, struct tcp_run *out);
/* The payload, and what the port is to know; the header is written. */
void pal__n_tcp_run_finish(const struct tcp_run *run, const struct tuple *tuple, uint32_t header_size);

/* ---- tcp_timer.c ---- */
void pal__n_tcb_set_date(struct tcb *tcb, enum tcp_date date, uint64_t due_ns);
void pal__n_tcb_clear_date(struct tcb *tcb, enum tcp_date date);
/* The earliest date, for an exact pal__n_stack_next. */
uint64_t pal__n_tcb_earliest(const struct tcb *tcb);
/* After anything that was sent or acknowledged: exactly the dates that must stand stand (tcp.rtx.invariant-timer). */
void pal__n_tcb_rearm(struct tcb *tcb, uint64_t now_ns);

/* ---- tcp_rtx.c ---- */
void pal__n_tcb_rtt_sample(struct tcb *tcb, uint64_t rtt_ns);
uint64_t pal__n_tcb_rto(const struct tcb *tcb);      /* with back-off */
bool pal__n_tcb_ack_may_wait(const struct tcb *tcb); /* so little is out that the peer may put off its ACK */
void pal__n_tcb_restart_rto(struct tcb *tcb, uint64_t from_ns);
bool pal__n_tcb_on_rto(struct tcb *tcb, uint64_t due_ns); /* false: the connection is gone */

/* ---- tcp_sack.c: the scoreboard and recovery ---- */
struct delivery {                /* what one ACK says */
    uint32_t acked;              /* sequence numbers acknowledged cumulatively */
    uint32_t delivered;          /* newly known to be at the peer, either way */
    uint32_t outstanding_before; /* snd_nxt - snd_una */
    uint32_t fack_before;        /* tcb->fack: of what one ACK tells, the order is not known */
    bool lost_more;              /* something was newly marked LOST */
    bool dsack;
    bool original_arrived; /* a timestamp says that what was sent again need not have been */
    bool ambiguous;        /* it is not known which sending of one is answered: no sample (Karn) */
    bool was_duplicate;    /* counts as a duplicate ACK (RFC 5681 2) */
    uint64_t rtt_ns;       /* a sample, or UINT64_MAX */
};
void pal__n_tcb_sack_in(struct tcb *tcb, const struct segment *segment, struct delivery *delivery);
void pal__n_tcb_look_for_reneging(struct tcb *tcb);
void pal__n_tcb_doubt_sacks(struct tcb *tcb);
void pal__n_tcb_reno_in(struct tcb *tcb, struct delivery *delivery);
uint32_t pal__n_tcb_pipe(const struct tcb *tcb); /* what is in flight, as far as we know (RFC 6675 4) */
void pal__n_tcb_enter_recovery(struct tcb *tcb);
void pal__n_tcb_recovery_acked(struct tcb *tcb, const struct delivery *delivery);

/* ---- tcp_rack.c (RFC 8985) ---- */
/* seg has been delivered: before its descriptor goes. */
void pal__n_tcb_rack_delivered(struct tcb *tcb, const struct seg *seg, const struct segment *segment,
                               const struct delivery *delivery);
bool pal__n_tcb_rack_detect(struct tcb *tcb, uint64_t now_ns); /* true: something is newly LOST; sets DATE_REO */
void pal__n_tcb_rack_mark_rto(struct tcb *tcb, uint64_t now_ns);
void pal__n_tcb_on_tlp(struct tcb *tcb);
uint64_t pal__n_tcb_pto(const struct tcb *tcb);
void pal__n_tcb_schedule_tlp(struct tcb *tcb, uint64_t now_ns); /* or clears its date, where none is due */
void pal__n_tcb_tlp_acked(struct tcb *tcb, const struct segment *segment, const struct delivery *delivery);

/* ---- tcp_cc.c ---- */
void pal__n_cc_start(struct tcb *tcb);                         /* IW10 (RFC 6928) */
void pal__n_cc_acked(struct tcb *tcb, uint32_t delivered);     /* outside of fast recovery */
uint32_t pal__n_cc_ssthresh(struct tcb *tcb, uint32_t flight); /* on loss */
void pal__n_cc_timeout(struct tcb *tcb, uint32_t flight);

/* ---- tcp_pmtu.c ---- */
void pal__n_tcb_path_changed(struct tcb *tcb); /* the path's MTU is less: cuts segments and sends again */

#endif
