/* tests/netstack/state_model.h: one TCP connection as RFC 9293 3.10 describes it, without the stack's code.
 *
 * The model is told what reaches the stack (a segment, a call of the program, a lapse of time) and says what must be
 * the case afterwards: state, numbers, results of calls, and which segments leave. Those that do leave it checks one by
 * one. What is beside the states is left out: options, congestion control, when something is sent again. Its peer
 * offers no option but its segment size, and sends the same byte at the same sequence number whenever it sends it.
 *
 * Where the RFC leaves a choice, or the stack decides otherwise on purpose, a comment in the model says so. */
#ifndef TESTS_NETSTACK_STATE_MODEL_H
#define TESTS_NETSTACK_STATE_MODEL_H

#include <pal/error.h>
#include <stdbool.h>
#include <stdint.h>

enum model_state {
    MODEL_CLOSED, /* nothing: not even a listener */
    MODEL_LISTEN, /* nothing but a listener */
    MODEL_SYN_SENT,
    MODEL_EMBRYO,       /* SYN-RECEIVED after a passive open */
    MODEL_SYN_RECEIVED, /* after a simultaneous open */
    MODEL_ESTABLISHED,
    MODEL_FIN_WAIT_1,
    MODEL_FIN_WAIT_2,
    MODEL_CLOSE_WAIT,
    MODEL_CLOSING,
    MODEL_LAST_ACK,
    MODEL_TIME_WAIT,
    MODEL_STATES
};

enum { MODEL_FIN = 1, MODEL_SYN = 2, MODEL_RST = 4, MODEL_PSH = 8, MODEL_ACK = 16, MODEL_URG = 32 };

enum { MODEL_WINDOW_MAX = 8192, MODEL_ANSWERS = 32 };

/* Whether a pure ACK follows. LIMITED: it does, unless as many have of late as the limit allows. */
enum model_answer { ANSWER_NEVER, ANSWER_MAY, ANSWER_LIMITED, ANSWER_MUST };

struct model_segment {
    uint32_t seq, ack, window, size;
    const uint8_t *payload; /* of what the stack sends */
    uint8_t flags;
};

/* What the step that was just told must and may bring. */
struct model_expectation {
    enum model_answer ack;
    bool syn, synack, reset, may_reset, is_lapse;
    bool reset_has_ack, reset_is_stray; /* the latter: numbers as of 3.10.7.1, and limited for each peer */
    uint32_t reset_seq, reset_ack;
    bool saw_ack, saw_syn, saw_synack, saw_reset; /* what has come of it */
    uint32_t frames, rcv_nxt_before;
    uint64_t lapse_ns;
};

struct model {
    enum model_state state;
    uint64_t now_ns;
    bool listens;    /* there is a listener at the port */
    bool has_handle; /* the program holds the connection, alive or dead */
    bool is_queued;  /* accept will give it */

    /* What comes. */
    uint32_t irs, rcv_nxt, rcv_edge;
    uint32_t read_seq; /* what the program reads next */
    bool fin_known, fin_received;
    uint32_t fin_seq;
    bool held[MODEL_WINDOW_MAX]; /* by sequence number: here, and beyond rcv_nxt */

    /* What goes. */
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
    uint32_t iss_floor; /* of a connection that follows one in TIME-WAIT */
    uint32_t syn_window;
    bool iss_known, has_floor, fin_wanted;
    uint32_t written; /* bytes, ever */
    uint32_t send_buffer;

    bool is_orphan, shut_read, shut_write;
    int error; /* pending */

    uint64_t gone_ns;                   /* when time ends it, exactly; UINT64_MAX: it does not */
    uint64_t progress_ns, touched_ns;   /* the last acknowledgement of something new; the last step that was no lapse */
    uint64_t answers_ns[MODEL_ANSWERS]; /* the latest limited answers of this connection */
    uint64_t resets_ns[MODEL_ANSWERS];  /* the latest resets for what belongs to nothing, of the whole stack */
    uint32_t answer_count, reset_count;
    struct model_expectation expect;
};

void model_init(struct model *model, uint64_t now_ns, uint32_t send_buffer);
const char *model_state_name(enum model_state state);

/* ---- state_model.c: what comes ---- */
void model_in(struct model *model, const struct model_segment *segment);
/* Would some of it be beyond what lies behind a hole already? Whether that is kept is the stack's choice. */
bool model_is_ambiguous(const struct model *model, uint32_t seq, uint32_t size);
void model_go(struct model *model); /* it is over: CLOSED, or LISTEN */
uint32_t model_send_end(const struct model *model);
bool model_can_receive(const struct model *model);
void model_reset(struct model *model); /* the program's RST */

/* ---- state_model_calls.c: what the program calls, what time does, what leaves ---- */
void model_begin(struct model *model); /* a step in which nothing comes */
void model_listen(struct model *model);
void model_unlisten(struct model *model);
void model_connect(struct model *model);
bool model_accept(struct model *model);
int32_t model_write(struct model *model, uint32_t size);
int32_t model_read(struct model *model, uint32_t size);
int model_shutdown(struct model *model, bool read, bool write);
void model_close(struct model *model, bool abort);
bool model_is_readable(const struct model *model);

/* Time passes, and no segment comes. */
void model_lapse(struct model *model, uint64_t for_ns);
/* A segment has left; what is wrong with it, or NULL. */
const char *model_out(struct model *model, const struct model_segment *segment);
/* That was all; what is missing, or NULL. is_gone: the connection has ended, where only the stack can say when. */
const char *model_settle(struct model *model, bool is_gone);

/* The bytes of both sides. */
static inline uint8_t model_peer_byte(uint32_t seq)
{
    return (uint8_t)(seq * 167 ^ seq >> 8);
}

static inline uint8_t model_own_byte(uint32_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 7) + 5);
}

static inline int32_t model_distance(uint32_t from, uint32_t to)
{
    return (int32_t)(to - from);
}

static inline uint32_t model_window(const struct model *model)
{
    return model->rcv_edge - model->rcv_nxt;
}

static inline uint32_t model_unread(const struct model *model)
{
    return model->rcv_nxt - model->fin_received - model->read_seq;
}

#endif
