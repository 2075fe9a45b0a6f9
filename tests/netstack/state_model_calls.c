/* tests/netstack/state_model_calls.c: what calls of the program and time do to the model (RFC 9293 3.10.1-3.10.6 and
 * 3.10.8, with pal/socket.h's meaning of them), and whether what the stack sends is what it must send. */
#include "state_model.h"

#include <string.h>

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

enum {
    SYN_S = 1 + 2 + 4 + 8 + 16 + 32 + 60, /* six tries after the first, the last ones a minute apart */
    TWO_MSL_S = 60,
    USER_TIMEOUT_S = 100, /* R2 */
    SYN_RECEIVED_S = 63 + 60,
    RTO_MAX_S = 60,
    CHALLENGES_A_SECOND = 4, /* at least */
    SELDOM_MS = 500,         /* half-open, and in TIME-WAIT: one in that time */
    RESETS_A_SECOND = 16     /* for what belongs to nothing, to one peer, at least */
};

static bool is_before(uint32_t left, uint32_t right)
{
    return model_distance(left, right) > 0;
}

void model_begin(struct model *model)
{
    memset(&model->expect, 0, sizeof(model->expect));
    model->expect.rcv_nxt_before = model->rcv_nxt;
    model->touched_ns = model->now_ns;
}

/* Something is to be acknowledged, or to be sent. */
static bool is_outstanding(const struct model *model)
{
    return model->state >= MODEL_SYN_RECEIVED && model->state != MODEL_TIME_WAIT &&
           (model->snd_una != model->snd_nxt || model->snd_una != model_send_end(model));
}

/* ---- calls ---- */

void model_listen(struct model *model)
{
    model_begin(model);
    model->listens = true;
    if (model->state == MODEL_CLOSED)
        model->state = MODEL_LISTEN;
}

/* Half-open connections are forgotten, those that nobody has accepted are aborted. */
void model_unlisten(struct model *model)
{
    model_begin(model);
    model->listens = false;
    if (model->state == MODEL_LISTEN || model->state == MODEL_EMBRYO)
        model_go(model);
    else if (model->is_queued && model->state != MODEL_TIME_WAIT && model->state != MODEL_CLOSED)
        model_reset(model);
    model->is_queued = false;
}

void model_connect(struct model *model)
{
    struct model fresh;

    model_init(&fresh, model->now_ns, model->send_buffer);
    memcpy(fresh.resets_ns, model->resets_ns, sizeof(fresh.resets_ns));
    fresh.reset_count = model->reset_count;
    *model = fresh;
    model_begin(model);
    model->state = MODEL_SYN_SENT;
    model->has_handle = true;
    model->gone_ns = model->now_ns + SYN_S * SECOND_NS;
    model->expect.syn = true;
}

bool model_accept(struct model *model)
{
    model_begin(model);
    if (!model->is_queued)
        return false;
    model->is_queued = false;
    model->has_handle = true;
    return true;
}

static int take_error(struct model *model)
{
    int error = model->error;

    model->error = 0;
    return error;
}

static bool is_opening(const struct model *model)
{
    return model->state == MODEL_SYN_SENT || model->state == MODEL_SYN_RECEIVED;
}

static bool can_write(const struct model *model)
{
    return model->state == MODEL_ESTABLISHED || model->state == MODEL_CLOSE_WAIT;
}

int32_t model_write(struct model *model, uint32_t size)
{
    uint32_t room;

    model_begin(model);
    if (model->error != 0)
        return take_error(model);
    if (is_opening(model))
        return PAL_EAGAIN;
    if (!can_write(model))
        return PAL_EPIPE;
    room = model->send_buffer - (model_send_end(model) - model->snd_una);
    if (size > room)
        size = room;
    if (size == 0)
        return PAL_EAGAIN;
    if (!is_outstanding(model))
        model->progress_ns = model->now_ns;
    model->written += size;
    return (int32_t)size;
}

/* What has been received is read first, whatever has happened since. */
int32_t model_read(struct model *model, uint32_t size)
{
    uint32_t unread = model_unread(model);

    model_begin(model);
    if (unread > 0) {
        if (size > unread)
            size = unread;
        model->read_seq += size;
        if (model_can_receive(model))
            model->expect.ack = ANSWER_MAY; /* the window opens */
        return (int32_t)size;
    }
    if (model->fin_received || model->shut_read)
        return 0;
    if (model->error != 0)
        return take_error(model);
    return model->state == MODEL_CLOSED || model->state == MODEL_LISTEN ? 0 : PAL_EAGAIN;
}

bool model_is_readable(const struct model *model)
{
    return !is_opening(model) &&
           (model_unread(model) > 0 || model->fin_received || model->shut_read || model->state <= MODEL_LISTEN);
}

static void finish_writing(struct model *model)
{
    if (!can_write(model))
        return;
    if (!is_outstanding(model))
        model->progress_ns = model->now_ns;
    model->state = model->state == MODEL_ESTABLISHED ? MODEL_FIN_WAIT_1 : MODEL_LAST_ACK;
    model->fin_wanted = true;
}

int model_shutdown(struct model *model, bool read, bool write)
{
    model_begin(model);
    if (model->state < MODEL_ESTABLISHED || model->state == MODEL_TIME_WAIT)
        return PAL_ENOTCONN;
    model->shut_read |= read;
    model->shut_write |= write;
    if (write)
        finish_writing(model);
    return 0;
}

/* 3.10.4, 3.10.5 and 3.6.1. Otherwise than 3.10.4 has it, a simultaneous open that the program gives up is aborted: it
 * was never told of a connection. An abort resets in CLOSING and LAST-ACK, too, where 3.10.5 is silent: the peer is not
 * to wait for the rest. */
void model_close(struct model *model, bool abort)
{
    uint32_t unread = model_unread(model);

    model_begin(model);
    model->has_handle = false;
    model->error = 0;
    if (model->state == MODEL_SYN_SENT)
        model_go(model);
    if (model->state <= MODEL_EMBRYO || model->state == MODEL_TIME_WAIT)
        return;
    if (abort || unread > 0 || model->state == MODEL_SYN_RECEIVED) {
        model_reset(model);
        return;
    }
    model->is_orphan = true;
    finish_writing(model);
    if (model->state == MODEL_FIN_WAIT_2)
        model->gone_ns = model->now_ns + TWO_MSL_S * SECOND_NS;
}

/* ---- time ---- */

void model_lapse(struct model *model, uint64_t for_ns)
{
    uint64_t touched_ns = model->touched_ns;

    model_begin(model);
    model->touched_ns = touched_ns;
    model->now_ns += for_ns;
    model->expect.is_lapse = true;
    model->expect.lapse_ns = for_ns;
    model->expect.may_reset = model->state >= MODEL_ESTABLISHED && model->state != MODEL_TIME_WAIT;
    model->expect.reset_has_ack = true;
    model->expect.reset_seq = model->snd_nxt;
    model->expect.reset_ack = model->rcv_nxt;
}

static void die(struct model *model)
{
    if (model->has_handle && model->state != MODEL_TIME_WAIT)
        model->error = PAL_ETIMEDOUT;
    model_go(model);
}

/* R2 counts from the last progress, or from when the peer was last heard: the RFC leaves that open. */
static const char *settle_lapse(struct model *model, bool is_gone)
{
    uint64_t since_ns = model->now_ns - model->progress_ns, quiet_ns = model->now_ns - model->touched_ns;

    if (model->gone_ns != UINT64_MAX) {
        if (model->now_ns >= model->gone_ns)
            die(model);
        return NULL;
    }
    if (model->state == MODEL_SYN_RECEIVED) {
        if (!is_gone && quiet_ns > SYN_RECEIVED_S * SECOND_NS)
            return "a simultaneous open never ends";
    } else if (is_outstanding(model)) {
        if (is_gone && since_ns < USER_TIMEOUT_S * SECOND_NS)
            return "it has given up too early";
        if (!is_gone && quiet_ns > USER_TIMEOUT_S * SECOND_NS)
            return "it does not give up";
        if (!is_gone && model->expect.lapse_ns > RTO_MAX_S * SECOND_NS && model->expect.frames == 0)
            return "nothing is sent again";
    } else {
        return NULL;
    }
    if (is_gone)
        die(model);
    return NULL;
}

/* ---- what leaves ---- */

static const char *reset_out(struct model *model, const struct model_segment *segment)
{
    struct model_expectation *expect = &model->expect;
    bool has_ack = segment->flags & MODEL_ACK;

    if (!(expect->reset || expect->may_reset) || expect->saw_reset)
        return "a reset that nothing asks for";
    expect->saw_reset = true;
    if (segment->flags & ~(MODEL_RST | MODEL_ACK) || segment->size > 0)
        return "a reset with more than that";
    if (segment->seq != expect->reset_seq || (has_ack && segment->ack != expect->reset_ack))
        return "a reset with wrong numbers";
    if (expect->reset_is_stray && has_ack != expect->reset_has_ack)
        return "a reset with, or without, ACK";
    if (expect->reset_is_stray)
        model->resets_ns[model->reset_count++ % MODEL_ANSWERS] = model->now_ns;
    return NULL;
}

static const char *syn_out(struct model *model, const struct model_segment *segment)
{
    struct model_expectation *expect = &model->expect;
    bool acks = segment->flags & MODEL_ACK;
    bool first = !model->iss_known;

    if (acks ? model->state != MODEL_EMBRYO && model->state != MODEL_SYN_RECEIVED : model->state != MODEL_SYN_SENT)
        return "a SYN in the wrong state";
    if (!expect->is_lapse && (acks ? !expect->synack || expect->saw_synack : !expect->syn || expect->saw_syn))
        return "a SYN that nothing asks for";
    if (segment->flags & ~(MODEL_SYN | MODEL_ACK) || segment->size > 0)
        return "a SYN with more than that";
    expect->saw_syn |= !acks;
    expect->saw_synack |= acks;
    if (first) {
        model->iss = model->snd_una = segment->seq;
        model->snd_nxt = segment->seq + 1;
        model->iss_known = true;
        if (model->has_floor && !is_before(model->iss_floor, model->iss))
            return "a connection that begins below the one before";
        model->has_floor = false;
    }
    if (segment->seq != model->iss || (acks && segment->ack != model->irs + 1))
        return "a SYN with wrong numbers";
    model->syn_window = segment->window;
    if (acks && first)
        model->rcv_edge = model->rcv_nxt + segment->window;
    return NULL;
}

/* Text or FIN: the first time in order and within the window, or again. */
static const char *data_out(struct model *model, const struct model_segment *segment)
{
    uint32_t offset = segment->seq - (model->iss + 1), text_end = segment->seq + segment->size;
    bool fin = segment->flags & MODEL_FIN;

    if (model->state < MODEL_ESTABLISHED || model->state == MODEL_FIN_WAIT_2 || model->state == MODEL_TIME_WAIT)
        return "text or FIN in the wrong state";
    if (is_before(segment->seq, model->snd_una) || is_before(model->snd_nxt, segment->seq))
        return "text or FIN out of place";
    if (offset + segment->size > model->written ||
        (fin && (!model->fin_wanted || offset + segment->size != model->written)))
        return "text or FIN that the program has not asked for";
    for (uint32_t i = 0; i < segment->size; i++) {
        if (segment->payload[i] != model_own_byte(offset + i))
            return "wrong bytes";
    }
    if (is_before(model->snd_nxt, text_end + fin)) {
        if (is_before(model->snd_una + model->snd_wnd, text_end + fin))
            return "more than the peer's window";
        model->snd_nxt = text_end + fin;
    }
    return NULL;
}

/* An empty segment: an ACK at SND.NXT, or a probe below (docs/decisions/0022). */
static const char *ack_out(struct model *model, const struct model_segment *segment)
{
    struct model_expectation *expect = &model->expect;
    bool is_probe = expect->is_lapse && segment->seq == model->snd_una - 1 && model->snd_wnd == 0 &&
                    model->snd_una == model->snd_nxt && is_outstanding(model);

    if (is_probe)
        return NULL;
    if (segment->seq != model->snd_nxt)
        return "an ACK with a wrong sequence number";
    if (expect->ack == ANSWER_NEVER)
        return "an ACK that nothing asks for";
    return NULL;
}

const char *model_out(struct model *model, const struct model_segment *segment)
{
    const char *wrong;
    bool has_text;

    model->expect.frames++;
    if (segment->flags & MODEL_RST)
        return reset_out(model, segment);
    if (segment->flags & MODEL_SYN)
        return syn_out(model, segment);
    if (model->state < MODEL_EMBRYO)
        return "a segment of no connection";
    has_text = segment->size > 0 || segment->flags & MODEL_FIN;
    if (!(segment->flags & MODEL_ACK) ||
        (segment->ack != model->rcv_nxt && !(has_text && segment->ack == model->expect.rcv_nxt_before)))
        return "a wrong acknowledgement number";
    wrong = has_text ? data_out(model, segment) : ack_out(model, segment);
    if (wrong != NULL)
        return wrong;
    if (segment->ack != model->rcv_nxt) /* text may leave in the middle of the step */
        return NULL;
    if (is_before(segment->ack + segment->window, model->rcv_edge))
        return "a window that shrinks";
    model->rcv_edge = segment->ack + segment->window;
    model->expect.saw_ack = true;
    return NULL;
}

/* How many of the latest lie within that time. */
static uint32_t count_since(const uint64_t *times_ns, uint32_t count, uint64_t since_ns)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count && i < MODEL_ANSWERS; i++)
        found += times_ns[i] >= since_ns;
    return found;
}

static uint64_t ago(const struct model *model, uint64_t for_ns)
{
    return model->now_ns > for_ns ? model->now_ns - for_ns : 0;
}

static bool may_be_silent(const struct model *model)
{
    bool seldom = model->state == MODEL_EMBRYO || model->state == MODEL_TIME_WAIT;
    uint32_t limit = seldom ? 1 : CHALLENGES_A_SECOND;

    return count_since(model->answers_ns, model->answer_count, ago(model, seldom ? SELDOM_MS * MS_NS : SECOND_NS)) >=
           limit;
}

/* With nothing on its way, what may go has gone: no state of congestion holds back the first segment. */
static bool is_stuck(const struct model *model)
{
    return model->state >= MODEL_ESTABLISHED && model->state != MODEL_TIME_WAIT && model->snd_wnd > 0 &&
           model->snd_una == model->snd_nxt && model->snd_nxt != model_send_end(model);
}

const char *model_settle(struct model *model, bool is_gone)
{
    const struct model_expectation *expect = &model->expect;

    if (expect->syn && !expect->saw_syn)
        return "no SYN";
    if (expect->synack && !expect->saw_synack)
        return "no SYN-ACK";
    if (expect->reset && !expect->saw_reset &&
        !(expect->reset_is_stray &&
          count_since(model->resets_ns, model->reset_count, ago(model, SECOND_NS)) >= RESETS_A_SECOND))
        return "no reset";
    if (expect->ack == ANSWER_MUST && !expect->saw_ack)
        return "no ACK";
    if (expect->ack == ANSWER_LIMITED && !expect->saw_ack && !may_be_silent(model))
        return "no ACK, and the limit is not reached";
    if (expect->ack == ANSWER_LIMITED && expect->saw_ack)
        model->answers_ns[model->answer_count++ % MODEL_ANSWERS] = model->now_ns;
    if (is_stuck(model) && !is_gone)
        return "nothing is sent, although something is to be and may be";
    return expect->is_lapse ? settle_lapse(model, is_gone) : NULL;
}
