/* tests/netstack/test_state_model.c: random segments, calls and lapses of time in every state, and after each the stack
 * agrees with a model of RFC 9293 3.10 (state_model.h) on state, numbers, results and what was sent
 * (tcp.misc.fuzz-state).
 *
 * A conversation that fails is printed step by step with its seed; STATE_MODEL_SEED=number in the environment runs that
 * one alone. Links the whole stack. */
#include "state_talk.h"
#include <inttypes.h>
#include <pal/address.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONVERSATIONS = 5000,
    TRIED_LEAST = 25,    /* of each kind of segment in each state */
    VISITED_LEAST = 1000 /* steps that ended in each state */
};

/* What a segment is like, relative to what the stack expects. */
enum trait {
    SEQ_BELOW,
    SEQ_AT,
    SEQ_INSIDE,
    SEQ_EDGE,
    SEQ_OUTSIDE,
    ACK_NONE,
    ACK_BELOW,
    ACK_UNA,
    ACK_BETWEEN,
    ACK_NXT,
    ACK_ABOVE,
    SIZE_NONE,
    SIZE_SMALL,
    SIZE_OVER,
    FLAG_FIN,
    FLAG_SYN,
    FLAG_RST,
    FLAG_URG,
    FLAG_SYN_ACK,
    TRAITS
};

static uint64_t visited[MODEL_STATES], tried[MODEL_STATES][TRAITS];

/* ---- segments ---- */

static uint32_t random_window(struct talk *talk)
{
    return chance(talk, 75) ? 20000 : chance(talk, 50) ? 700 : 0;
}

/* What a peer says that follows the rules. */
static struct model_segment good_segment(struct talk *talk)
{
    const struct model *model = &talk->model;
    struct model_segment said = {.window = random_window(talk), .flags = MODEL_ACK};

    said.seq = model->rcv_nxt;
    said.ack = model->snd_una + below(talk, model->snd_nxt - model->snd_una + 1);
    if (chance(talk, 50))
        said.ack = model->snd_nxt;
    if (model->state <= MODEL_SYN_SENT) {
        said.seq = chance(talk, 30) ? (uint32_t)0 - below(talk, 3000) : (uint32_t)pal__n_random(&talk->random);
        said.flags = MODEL_SYN;
        if (model->state == MODEL_SYN_SENT && chance(talk, 60))
            said.flags |= MODEL_ACK;
        said.ack = said.flags & MODEL_ACK ? model->snd_nxt : 0;
        return said;
    }
    if (model->state == MODEL_TIME_WAIT && chance(talk, 20)) {
        said.flags = MODEL_SYN;
        said.seq += 1 + below(talk, 100000);
        return said;
    }
    if (chance(talk, 20))
        said.seq -= said.flags == MODEL_ACK;
    else if (chance(talk, 50))
        said.size = 1 + below(talk, 600);
    if (chance(talk, model->state == MODEL_FIN_WAIT_1 ? 35 : 12))
        said.flags |= MODEL_FIN;
    if (chance(talk, 12)) /* once more, and perhaps a little further */
        said.seq -= said.size - below(talk, 2);
    return said;
}

static uint32_t wild_seq(struct talk *talk, uint32_t size)
{
    const struct model *model = &talk->model;
    uint32_t window = model_window(model);

    switch (below(talk, 8)) {
    case 0:
        return model->rcv_nxt - 1 - below(talk, size + 2);
    case 1:
        return model->rcv_nxt - below(talk, 100);
    case 2:
        return model->rcv_nxt + below(talk, window + 1);
    case 3:
        return model->rcv_edge - 1;
    case 4:
        return model->rcv_edge + below(talk, 2);
    case 5:
        return model->rcv_edge + below(talk, 5000);
    case 6:
        return chance(talk, 50) ? model->irs : (uint32_t)pal__n_random(&talk->random);
    default:
        return model->rcv_nxt;
    }
}

static uint32_t wild_ack(struct talk *talk)
{
    const struct model *model = &talk->model;

    switch (below(talk, 8)) {
    case 0:
        return model->snd_una - 1 - below(talk, 3);
    case 1:
        return model->snd_una - 60000 - below(talk, 20000);
    case 2:
        return model->snd_una;
    case 3:
        return model->snd_nxt + 1 + below(talk, 3);
    case 4:
        return chance(talk, 50) ? (uint32_t)pal__n_random(&talk->random) : model->snd_nxt + below(talk, 100000);
    case 5:
        return model->snd_una + below(talk, model->snd_nxt - model->snd_una + 1);
    default:
        return model->snd_nxt;
    }
}

static struct model_segment wild_segment(struct talk *talk)
{
    struct model_segment said = {.window = random_window(talk), .flags = MODEL_ACK};

    said.size = chance(talk, 45) ? 0 : chance(talk, 60) ? 1 + below(talk, 30) : 1 + below(talk, PAYLOAD_MAX);
    said.seq = wild_seq(talk, said.size);
    said.ack = wild_ack(talk);
    if (chance(talk, 12))
        said.flags &= (uint8_t)~MODEL_ACK;
    if (chance(talk, 15))
        said.flags |= MODEL_FIN;
    if (chance(talk, 10))
        said.flags |= MODEL_SYN;
    if (chance(talk, 5))
        said.flags = MODEL_SYN;
    if (chance(talk, 10))
        said.flags |= MODEL_RST;
    if (chance(talk, 10))
        said.flags |= MODEL_URG;
    if (chance(talk, 20))
        said.flags |= MODEL_PSH;
    return said;
}

static enum trait seq_trait(const struct model *model, const struct model_segment *said)
{
    int32_t from_left = model_distance(model->rcv_nxt, said->seq),
            from_edge = model_distance(model->rcv_edge, said->seq);

    if (from_left == 0)
        return SEQ_AT;
    if (from_left < 0)
        return SEQ_BELOW;
    return from_edge < 0 ? SEQ_INSIDE : from_edge == 0 ? SEQ_EDGE : SEQ_OUTSIDE;
}

static enum trait ack_trait(const struct model *model, const struct model_segment *said)
{
    int32_t from_una = model_distance(model->snd_una, said->ack), from_nxt = model_distance(model->snd_nxt, said->ack);

    if (!(said->flags & MODEL_ACK))
        return ACK_NONE;
    if (from_nxt >= 0)
        return from_nxt > 0 ? ACK_ABOVE : ACK_NXT;
    return from_una < 0 ? ACK_BELOW : from_una == 0 ? ACK_UNA : ACK_BETWEEN;
}

static void note_traits(const struct model *model, const struct model_segment *said)
{
    uint64_t *counts = tried[model->state];
    uint8_t flags = said->flags;

    counts[seq_trait(model, said)]++;
    counts[ack_trait(model, said)]++;
    counts[said->size == 0 ? SIZE_NONE : said->size <= model_window(model) ? SIZE_SMALL : SIZE_OVER]++;
    counts[FLAG_FIN] += (flags & MODEL_FIN) != 0;
    counts[FLAG_SYN] += (flags & (MODEL_SYN | MODEL_RST | MODEL_ACK)) == MODEL_SYN;
    counts[FLAG_SYN_ACK] += (flags & (MODEL_SYN | MODEL_RST | MODEL_ACK)) == (MODEL_SYN | MODEL_ACK);
    counts[FLAG_RST] += (flags & MODEL_RST) != 0;
    counts[FLAG_URG] += (flags & MODEL_URG) != 0;
}

static void close_sock(struct talk *talk, bool abort)
{
    struct pal_linger linger = {1, 0};

    model_close(&talk->model, abort);
    if (abort)
        cr_assert_eq(pal__n_sock_set(talk->sock, PAL_SO_LINGER, &linger, sizeof(linger)), 0);
    pal__n_sock_close(talk->sock);
    talk->sock = NULL;
}

/* The program is through with what has ended: the model knows one connection at a time. */
static void dispose(struct talk *talk)
{
    if (talk->model.is_queued && model_accept(&talk->model))
        cr_assert_eq(pal__n_sock_accept(talk->listener, &talk->sock, NULL), 0);
    if (talk->sock != NULL)
        close_sock(talk, false);
}

static void step_segment(struct talk *talk)
{
    struct model *model = &talk->model;
    struct model_segment said = chance(talk, 50) ? good_segment(talk) : wild_segment(talk);

    if ((model->state == MODEL_LISTEN || model->state == MODEL_TIME_WAIT) && said.flags & MODEL_SYN)
        dispose(talk);
    while (model_is_ambiguous(model, said.seq, said.size))
        said.size--;
    note_traits(model, &said);
    snprintf(talk_line(talk), TEXT_MAX,
             "> flags %02x seq %" PRIu32 " (RCV.NXT %+" PRId32 " of %" PRIu32 ") ack %" PRIu32 " (SND.NXT %+" PRId32
             ") window %" PRIu32 " size %" PRIu32,
             said.flags, said.seq, model_distance(model->rcv_nxt, said.seq), model_window(model), said.ack,
             model_distance(model->snd_nxt, said.ack), said.window, said.size);
    talk_inject(talk, &said);
    model_in(model, &said);
}

/* ---- calls ---- */

static void result(const struct talk *talk, int32_t is, int32_t expected)
{
    char text[TEXT_MAX];

    if (is == expected)
        return;
    snprintf(text, sizeof(text), "the call gives %" PRId32 " and not %" PRId32, is, expected);
    talk_fail(talk, text);
}

static void write_some(struct talk *talk)
{
    uint8_t bytes[1500];
    uint32_t size = 1 + below(talk, chance(talk, 50) ? 100 : sizeof(bytes)), from = talk->model.written;

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = model_own_byte(from + i);
    snprintf(talk_line(talk), TEXT_MAX, "write %" PRIu32, size);
    result(talk, pal__n_sock_send(talk->sock, bytes, size, 0), model_write(&talk->model, size));
}

static void read_some(struct talk *talk)
{
    uint8_t bytes[3000];
    uint32_t size = 1 + below(talk, sizeof(bytes)), from = talk->model.read_seq;
    int32_t got = pal__n_sock_recv(talk->sock, bytes, size, 0);

    snprintf(talk_line(talk), TEXT_MAX, "read %" PRIu32, size);
    result(talk, got, model_read(&talk->model, size));
    for (int32_t i = 0; i < got; i++) {
        if (bytes[i] != model_peer_byte(from + (uint32_t)i))
            talk_fail(talk, "wrong bytes are read");
    }
}

static void shut(struct talk *talk)
{
    uint32_t how = below(talk, 100) < 80 ? PAL_SHUT_WR : below(talk, 2) ? PAL_SHUT_RD : PAL_SHUT_RDWR;

    snprintf(talk_line(talk), TEXT_MAX, "shutdown %" PRIu32, how);
    result(talk, pal__n_sock_shutdown(talk->sock, (int)how),
           model_shutdown(&talk->model, how != PAL_SHUT_WR, how != PAL_SHUT_RD));
}

static void connect_peer(struct talk *talk)
{
    struct pal_addr peer;

    cr_assert_eq(pal_addr_from_host(&peer, "10.0.0.2", PEER_PORT), 0);
    snprintf(talk_line(talk), TEXT_MAX, "connect");
    cr_assert_eq(pal__n_sock_open(talk->stack, PAL_AF_INET, PAL_SOCK_STREAM, &talk->sock), 0);
    cr_assert_eq(pal__n_sock_connect(talk->sock, &peer), PAL_EINPROGRESS);
    talk->port = 0;
    model_connect(&talk->model);
}

static void accept_peer(struct talk *talk)
{
    int got;

    snprintf(talk_line(talk), TEXT_MAX, "accept");
    got = pal__n_sock_accept(talk->listener, &talk->sock, NULL);
    result(talk, got, model_accept(&talk->model) ? 0 : PAL_EAGAIN);
}

static void listen_to_peer(struct talk *talk)
{
    struct pal_addr any;
    int32_t yes = 1;

    cr_assert_eq(pal_addr_set_any(&any, PAL_AF_INET, PORT), 0);
    snprintf(talk_line(talk), TEXT_MAX, "listen");
    cr_assert_eq(pal__n_sock_open(talk->stack, PAL_AF_INET, PAL_SOCK_STREAM, &talk->listener), 0);
    cr_assert_eq(pal__n_sock_set(talk->listener, PAL_SO_REUSEADDR, &yes, sizeof(yes)), 0);
    cr_assert_eq(pal__n_sock_bind(talk->listener, &any), 0);
    cr_assert_eq(pal__n_sock_listen(talk->listener, 4), 0);
    talk->port = PORT;
    model_listen(&talk->model);
}

static void unlisten(struct talk *talk)
{
    snprintf(talk_line(talk), TEXT_MAX, "the listener is closed");
    model_unlisten(&talk->model);
    pal__n_sock_close(talk->listener);
    talk->listener = NULL;
}

static void step_call(struct talk *talk)
{
    uint32_t what = below(talk, 100);

    if (talk->sock != NULL) {
        if (what < 42) {
            write_some(talk);
        } else if (what < 75) {
            read_some(talk);
        } else if (what < 90) {
            shut(talk);
        } else {
            snprintf(talk_line(talk), TEXT_MAX, what < 97 ? "close" : "abort");
            close_sock(talk, what >= 97);
        }
    } else if (talk->listener != NULL) {
        if (what < 97)
            accept_peer(talk);
        else
            unlisten(talk);
    } else if (!talk->is_active && what < 50) {
        listen_to_peer(talk);
    } else if (talk->is_active && (talk->model.state == MODEL_CLOSED || what < 3)) {
        if (talk->model.state == MODEL_CLOSED)
            connect_peer(talk);
    }
}

/* ---- conversations ---- */

static uint64_t random_lapse_ns(struct talk *talk)
{
    uint32_t kind = below(talk, 100);

    if (kind < 50)
        return below(talk, 50) * MS;
    if (kind < 75)
        return below(talk, 1000) * MS;
    return kind < 92 ? below(talk, 5000) * MS : below(talk, 130000) * MS;
}

static void step_lapse(struct talk *talk, uint64_t for_ns)
{
    snprintf(talk_line(talk), TEXT_MAX, "%" PRIu64 " ms pass", for_ns / MS);
    model_lapse(&talk->model, for_ns);
}

static void step(struct talk *talk)
{
    uint32_t what = below(talk, 100);

    if (what < 60 && talk->port != 0)
        step_segment(talk);
    else if (what < 88)
        step_call(talk);
    else
        step_lapse(talk, random_lapse_ns(talk));
    talk_compare(talk);
    visited[talk->model.state]++;
}

/* Kinds that there cannot be: numbers of what is not there, more than one on its way, a window's inside when all have
 * been refused. */
static bool is_possible(enum model_state state, enum trait trait)
{
    bool sends = state == MODEL_ESTABLISHED || state == MODEL_FIN_WAIT_1 || state == MODEL_CLOSE_WAIT ||
                 state == MODEL_CLOSING || state == MODEL_LAST_ACK;

    if (state <= MODEL_SYN_SENT)
        return trait >= FLAG_FIN ||
               (state == MODEL_SYN_SENT && trait >= ACK_NONE && trait <= ACK_ABOVE && trait != ACK_BETWEEN);
    if (trait == ACK_BETWEEN)
        return sends;
    if (trait == ACK_UNA)
        return sends || state == MODEL_EMBRYO || state == MODEL_SYN_RECEIVED;
    return true;
}

static void converse(struct talk *talk, uint64_t seed)
{
    talk_begin(talk, seed);
    if (talk->is_active)
        connect_peer(talk);
    else
        listen_to_peer(talk);
    talk_compare(talk);
    visited[talk->model.state]++;
    for (int i = 0; i < STEPS; i++)
        step(talk);
    talk_end(talk);
}

Test(state_model, the_stack_agrees_with_it_in_every_state)
{
    static struct talk talk;
    const char *chosen = getenv("STATE_MODEL_SEED");

    if (chosen != NULL) {
        converse(&talk, strtoull(chosen, NULL, 10));
        return;
    }
    for (uint64_t seed = 0; seed < CONVERSATIONS; seed++)
        converse(&talk, seed);
    for (int state = 0; state < MODEL_STATES; state++) {
        cr_assert_geq(visited[state], VISITED_LEAST, "%s", model_state_name((enum model_state)state));
        for (int trait = 0; trait < TRAITS; trait++) {
            if (is_possible((enum model_state)state, (enum trait)trait))
                cr_assert_geq(tried[state][trait], TRIED_LEAST, "kind %d in %s", trait,
                              model_state_name((enum model_state)state));
        }
    }
}
