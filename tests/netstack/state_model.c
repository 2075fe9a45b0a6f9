/* tests/netstack/state_model.c: what a segment does to the model: RFC 9293 3.10.7, in the order of its text, with RFC
 * 5961 (challenges), RFC 1337 (TIME-WAIT) and RFC 1122 4.2.2.13 (close and reset) where they say more. */
#include "state_model.h"

#include <string.h>

enum { TWO_MSL_S = 60, EMBRYO_S = 1 + 2 + 4 + 8 + 16 + 32 };

#define SECOND_NS UINT64_C(1000000000)

static bool is_before(uint32_t left, uint32_t right)
{
    return model_distance(left, right) > 0;
}

static uint32_t length_of(const struct model_segment *segment)
{
    return segment->size + ((segment->flags & MODEL_SYN) != 0) + ((segment->flags & MODEL_FIN) != 0);
}

const char *model_state_name(enum model_state state)
{
    static const char *const names[] = {"CLOSED",       "LISTEN",      "SYN-SENT",   "SYN-RECEIVED (passive)",
                                        "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
                                        "CLOSE-WAIT",   "CLOSING",     "LAST-ACK",   "TIME-WAIT"};

    return names[state];
}

void model_init(struct model *model, uint64_t now_ns, uint32_t send_buffer)
{
    memset(model, 0, sizeof(*model));
    model->now_ns = now_ns;
    model->send_buffer = send_buffer;
    model->gone_ns = UINT64_MAX;
}

/* Behind all that was written, and the FIN. */
uint32_t model_send_end(const struct model *model)
{
    return model->iss + 1 + model->written + model->fin_wanted;
}

bool model_can_receive(const struct model *model)
{
    return model->state == MODEL_ESTABLISHED || model->state == MODEL_FIN_WAIT_1 || model->state == MODEL_FIN_WAIT_2;
}

void model_go(struct model *model)
{
    model->state = model->listens ? MODEL_LISTEN : MODEL_CLOSED;
    model->gone_ns = UINT64_MAX;
}

/* What is limited is so for each connection; a half-open one and one in TIME-WAIT count anew. */
static void enter(struct model *model, enum model_state state)
{
    if (state == MODEL_TIME_WAIT || model->state == MODEL_EMBRYO || model->state == MODEL_LISTEN)
        model->answer_count = 0;
    model->state = state;
    model->gone_ns = UINT64_MAX;
    if (state == MODEL_TIME_WAIT || (state == MODEL_FIN_WAIT_2 && model->is_orphan))
        model->gone_ns = model->now_ns + TWO_MSL_S * SECOND_NS;
    if (state == MODEL_EMBRYO)
        model->gone_ns = model->now_ns + EMBRYO_S * SECOND_NS;
}

static void want_ack(struct model *model, enum model_answer answer)
{
    if (model->expect.ack < answer)
        model->expect.ack = answer;
}

/* 3.10.7.1: the RST has a number that the sender of the segment takes for good. */
static void answer_stray(struct model *model, const struct model_segment *segment)
{
    bool acks = segment->flags & MODEL_ACK;

    if (segment->flags & MODEL_RST)
        return;
    model->expect.reset = model->expect.reset_is_stray = true;
    model->expect.reset_has_ack = !acks;
    model->expect.reset_seq = acks ? segment->ack : 0;
    model->expect.reset_ack = acks ? 0 : segment->seq + length_of(segment);
}

void model_reset(struct model *model)
{
    model->expect.reset = true;
    model->expect.reset_has_ack = true;
    model->expect.reset_seq = model->snd_nxt;
    model->expect.reset_ack = model->rcv_nxt;
    model_go(model);
}

/* ---- a beginning ---- */

static void take_syn(struct model *model, const struct model_segment *segment)
{
    model->irs = segment->seq;
    model->rcv_nxt = model->read_seq = segment->seq + 1;
    model->fin_known = model->fin_received = false;
    memset(model->held, 0, sizeof(model->held));
    model->snd_wnd = model->snd_wnd_max = segment->window;
    model->snd_wl1 = segment->seq;
    model->snd_wl2 = segment->ack;
}

/* 3.10.7.2. A SYN with a FIN is refused, as everybody does. Text on a SYN is not kept: it comes again. */
static void listen_in(struct model *model, const struct model_segment *segment)
{
    if (segment->flags & MODEL_RST)
        return;
    if (segment->flags & MODEL_ACK) {
        answer_stray(model, segment);
        return;
    }
    if ((segment->flags & (MODEL_SYN | MODEL_FIN)) != MODEL_SYN)
        return;
    take_syn(model, segment);
    model->iss_known = model->fin_wanted = model->is_orphan = model->shut_read = model->shut_write = false;
    model->written = 0;
    model->error = 0;
    enter(model, MODEL_EMBRYO);
    model->expect.synack = true;
}

/* 3.10.7.3. Text and FIN of a SYN-ACK are not taken, nor acknowledged: they come again. */
static void syn_sent_in(struct model *model, const struct model_segment *segment)
{
    bool acks = segment->flags & MODEL_ACK;

    if (acks && (!is_before(model->iss, segment->ack) || is_before(model->snd_nxt, segment->ack))) {
        answer_stray(model, segment);
        return;
    }
    if (segment->flags & MODEL_RST) {
        if (!acks)
            return;
        model->error = PAL_ECONNREFUSED;
        model_go(model);
        return;
    }
    if (!(segment->flags & MODEL_SYN))
        return;
    take_syn(model, segment);
    model->rcv_edge = model->rcv_nxt + model->syn_window;
    if (!acks) {
        model->snd_wl2 = model->iss;
        enter(model, MODEL_SYN_RECEIVED);
        model->expect.synack = true;
        return;
    }
    model->snd_una = segment->ack;
    enter(model, MODEL_ESTABLISHED);
    want_ack(model, ANSWER_MUST);
}

/* ---- 3.10.7.4: the checks ---- */

static bool is_in_window(const struct model *model, uint32_t seq)
{
    return seq - model->rcv_nxt < model_window(model);
}

/* First. Table 6, and two things more: what reaches over the whole window has a part in it, although neither of its
 * ends lies there (a half-open connection keeps to the letter); and at a shut window what touches its edge is looked at
 * for the ACK that it brings. */
static bool is_acceptable(const struct model *model, const struct model_segment *segment)
{
    uint32_t length = length_of(segment), last = segment->seq + length - 1;

    if (segment->seq == model->rcv_nxt)
        return true;
    if (length == 0)
        return is_in_window(model, segment->seq);
    if (is_in_window(model, segment->seq) || is_in_window(model, last))
        return true;
    return model->state != MODEL_EMBRYO && is_before(segment->seq, model->rcv_nxt) && !is_before(last, model->rcv_edge);
}

/* Second (RFC 5961 3.2). */
static void reset_in(struct model *model, const struct model_segment *segment)
{
    if (segment->seq != model->rcv_nxt) {
        if (is_in_window(model, segment->seq))
            want_ack(model, ANSWER_LIMITED);
        return;
    }
    if (model->state == MODEL_SYN_RECEIVED)
        model->error = PAL_ECONNREFUSED;
    else if (model->state == MODEL_CLOSE_WAIT) /* as POSIX systems tell it to somebody who has seen the end */
        model->error = PAL_EPIPE;
    else if (model->state != MODEL_EMBRYO)
        model->error = PAL_ECONNRESET;
    model_go(model);
}

/* The checks before the ACK's. False: the segment has been dealt with. */
static bool admit(struct model *model, const struct model_segment *segment)
{
    if (segment->flags & MODEL_RST) {
        reset_in(model, segment);
        return false;
    }
    if (segment->flags & MODEL_SYN) { /* fourth (RFC 5961 4.2: whatever its number) */
        want_ack(model, ANSWER_LIMITED);
        return false;
    }
    if (!is_acceptable(model, segment)) {
        want_ack(model, length_of(segment) > 0 ? ANSWER_MUST : ANSWER_LIMITED);
        return false;
    }
    return segment->flags & MODEL_ACK;
}

/* Fifth, of synchronised states, with RFC 5961 5.2. */
static bool ack_in(struct model *model, const struct model_segment *segment)
{
    if (is_before(model->snd_nxt, segment->ack) || is_before(segment->ack, model->snd_una - model->snd_wnd_max)) {
        want_ack(model, ANSWER_LIMITED);
        return false;
    }
    if (is_before(segment->ack, model->snd_una))
        return true;
    if (is_before(model->snd_una, segment->ack))
        model->progress_ns = model->now_ns;
    model->snd_una = segment->ack;
    if (is_before(model->snd_wl1, segment->seq) ||
        (model->snd_wl1 == segment->seq && !is_before(segment->ack, model->snd_wl2))) {
        if (model->snd_wnd == 0 && segment->window > 0)
            model->progress_ns = model->now_ns;
        model->snd_wnd = segment->window;
        model->snd_wl1 = segment->seq;
        model->snd_wl2 = segment->ack;
        if (segment->window > model->snd_wnd_max)
            model->snd_wnd_max = segment->window;
    }
    return true;
}

/* Is our FIN acknowledged, and what follows? False: nothing more is done with the segment. */
static bool fin_acked(struct model *model)
{
    if (!model->fin_wanted || model->snd_una != model_send_end(model))
        return true;
    if (model->state == MODEL_FIN_WAIT_1) {
        enter(model, MODEL_FIN_WAIT_2);
    } else if (model->state == MODEL_CLOSING) {
        enter(model, MODEL_TIME_WAIT);
        return false;
    } else if (model->state == MODEL_LAST_ACK) {
        model_go(model);
        return false;
    }
    return true;
}

/* ---- seventh and eighth: text, and FIN ---- */

static bool *held_at(struct model *model, uint32_t seq)
{
    return &model->held[seq % MODEL_WINDOW_MAX];
}

bool model_is_ambiguous(const struct model *model, uint32_t seq, uint32_t size)
{
    bool saw_new = false, saw_held = false;

    if (!is_before(model->rcv_nxt, seq))
        return false;
    for (uint32_t i = 0; i < size && is_in_window(model, seq + i); i++) {
        if (model->held[(seq + i) % MODEL_WINDOW_MAX])
            saw_held = saw_new;
        else if (saw_held)
            return true;
        else
            saw_new = true;
    }
    return false;
}

static void take_fin(struct model *model)
{
    model->fin_received = true;
    model->rcv_nxt++;
    if (is_before(model->rcv_edge, model->rcv_nxt))
        model->rcv_edge = model->rcv_nxt;
    memset(model->held, 0, sizeof(model->held));
    want_ack(model, ANSWER_MUST);
    if (model->state == MODEL_ESTABLISHED)
        enter(model, MODEL_CLOSE_WAIT);
    else if (model->state == MODEL_FIN_WAIT_1)
        enter(model, MODEL_CLOSING);
    else
        enter(model, MODEL_TIME_WAIT);
}

/* Holds what lies in the window, and moves on over what is there. Holes are remembered (SHLD-31). */
static void take_text(struct model *model, uint32_t seq, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        if (!is_before(seq + i, model->rcv_nxt))
            *held_at(model, seq + i) = true;
    }
    while (*held_at(model, model->rcv_nxt)) {
        *held_at(model, model->rcv_nxt) = false;
        model->rcv_nxt++;
    }
}

/* A FIN takes no room in a buffer: it is taken where the window ends, too, but not beyond. Nothing lies behind the
 * first FIN that is known; one that was overtaken by text which was here before it is none. */
static void take_rest(struct model *model, const struct model_segment *segment)
{
    uint32_t end = segment->seq + segment->size, limit = model->rcv_edge, size = segment->size;
    bool fin = segment->flags & MODEL_FIN;

    if (!model_can_receive(model)) { /* ignored; an ACK does no harm */
        if (size > 0 || fin)
            want_ack(model, ANSWER_MAY);
        return;
    }
    if (model->is_orphan && size > 0 && is_before(model->rcv_nxt, end)) { /* 3.6.1: nobody will read it */
        model_reset(model);
        return;
    }
    if (model->fin_known && is_before(model->fin_seq, limit))
        limit = model->fin_seq;
    if (size > 0 && is_before(limit, end)) {
        size = is_before(segment->seq, limit) ? limit - segment->seq : 0;
        fin = false;
        want_ack(model, ANSWER_MUST);
    }
    if (fin && (!model->fin_known || is_before(segment->seq + size, model->fin_seq))) {
        model->fin_known = true;
        model->fin_seq = segment->seq + size;
    }
    if (size > 0)
        take_text(model, segment->seq, size);
    if (segment->size > 0 || fin)
        want_ack(model, ANSWER_MUST);
    if (model->fin_known && model->rcv_nxt == model->fin_seq)
        take_fin(model);
    else if (model->fin_known && is_before(model->fin_seq, model->rcv_nxt))
        model->fin_known = false;
}

/* ---- SYN-RECEIVED ---- */

/* After a passive open. Otherwise than the fourth check has it, a SYN in the window does not end it but is challenged,
 * as RFC 5961 4.2 has it for the states that follow: a blind attacker ends nothing. */
static void embryo_in(struct model *model, const struct model_segment *segment)
{
    if ((segment->flags & (MODEL_SYN | MODEL_ACK | MODEL_RST)) == MODEL_SYN && segment->seq == model->irs) {
        model->expect.synack = true;
        return;
    }
    if (!(segment->flags & MODEL_RST) && !is_acceptable(model, segment)) {
        want_ack(model, ANSWER_LIMITED);
        return;
    }
    if (!admit(model, segment))
        return;
    if (segment->ack != model->snd_nxt) {
        answer_stray(model, segment);
        return;
    }
    enter(model, MODEL_ESTABLISHED);
    model->is_queued = true;
    model->snd_una = model->snd_wl2 = segment->ack; /* the window of what began below the SYN does not count */
    (void)ack_in(model, segment);
    take_rest(model, segment);
}

/* After a simultaneous open: the peer's SYN comes again, bare or, as figure 8 has it, with its ACK. False: the segment
 * is done with. */
static bool syn_received_in(struct model *model, struct model_segment *segment)
{
    bool crossing = segment->flags & MODEL_SYN && !(segment->flags & MODEL_RST) && segment->seq == model->irs;

    if (crossing && !(segment->flags & MODEL_ACK)) {
        model->expect.synack = true;
        return false;
    }
    if (crossing) {
        segment->seq++;
        segment->flags &= (uint8_t)~MODEL_SYN;
    }
    if (!admit(model, segment))
        return false;
    if (!is_before(model->snd_una, segment->ack) || is_before(model->snd_nxt, segment->ack)) {
        answer_stray(model, segment);
        want_ack(model, crossing ? ANSWER_MAY : ANSWER_NEVER);
        return false;
    }
    enter(model, MODEL_ESTABLISHED);
    want_ack(model, crossing ? ANSWER_MUST : ANSWER_NEVER);
    model->snd_una = segment->ack;
    model->snd_wl1 = segment->seq - 1; /* its window counts, whatever the SYN said */
    return true;
}

/* ---- TIME-WAIT ---- */

/* A SYN that is newer may begin the next connection (RFC 1122 4.2.2.13). RFC 1337: a RST ends nothing, and two sides
 * that are both here do not talk: what is empty gets no answer, and the rest gets one seldom. */
static void time_wait_in(struct model *model, const struct model_segment *segment)
{
    if (segment->flags & MODEL_RST)
        return;
    if ((segment->flags & (MODEL_SYN | MODEL_ACK | MODEL_FIN)) == MODEL_SYN && model->listens &&
        is_before(model->rcv_nxt, segment->seq)) {
        model->iss_floor = model->snd_nxt;
        model->has_floor = true;
        listen_in(model, segment);
        return;
    }
    if ((segment->flags & (MODEL_SYN | MODEL_ACK)) == 0) {
        want_ack(model, ANSWER_MAY);
        return;
    }
    if ((segment->flags & (MODEL_SYN | MODEL_FIN)) == MODEL_FIN &&
        segment->seq + length_of(segment) == model->rcv_nxt) {
        want_ack(model, ANSWER_MUST);
        model->gone_ns = model->now_ns + TWO_MSL_S * SECOND_NS;
        return;
    }
    if (length_of(segment) > 0)
        want_ack(model, ANSWER_LIMITED);
}

void model_in(struct model *model, const struct model_segment *segment)
{
    struct model_segment copy = *segment;

    model_begin(model);
    switch (model->state) {
    case MODEL_CLOSED:
        answer_stray(model, segment);
        return;
    case MODEL_LISTEN:
        listen_in(model, segment);
        return;
    case MODEL_SYN_SENT:
        syn_sent_in(model, segment);
        return;
    case MODEL_EMBRYO:
        embryo_in(model, segment);
        return;
    case MODEL_TIME_WAIT:
        time_wait_in(model, segment);
        return;
    case MODEL_SYN_RECEIVED:
        if (!syn_received_in(model, &copy))
            return;
        break;
    default:
        if (!admit(model, segment))
            return;
        break;
    }
    if (ack_in(model, &copy) && fin_acked(model))
        take_rest(model, &copy);
}
