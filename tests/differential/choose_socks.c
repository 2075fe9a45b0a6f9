/* choose_socks.c: steps with sockets, polls, ops and leases. See choose.h. */
#include "choose.h"

/* One poll waits for a socket of a user-space stack, through whichever of its handles; a kernel's may be waited for by
 * as many as it has handles. */
static bool taken_elsewhere(const struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];

    return kind_is_ip(end_at(model, sock)->kind) && sock_waits_elsewhere(model, sock, step->poll);
}

bool choose_open(struct generator *generator, const struct model *model, struct step *step)
{
    static const enum kind kinds[] = {TCP4, TCP4, TCP6, UNIX_STREAM, UNIX_STREAM, SEQPACKET, UDP4};

    step->sort = draw_kind(generator, model, kinds, 7);
    return may_make(generator, model, 1);
}

bool choose_pair(struct generator *generator, const struct model *model, struct step *step)
{
    static const enum kind kinds[] = {UNIX_STREAM, UNIX_STREAM, SEQPACKET, UNIX_DGRAM, UDP4, PIPE, PIPE};

    step->sort = draw_kind(generator, model, kinds, 7);
    return may_make(generator, model, 2);
}

bool choose_listen(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_listen);
    step->size = (uint32_t)below(generator, 100) + BACKLOG_MAX + 4;
    return step->sock != NONE;
}

bool choose_connect(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_connect);
    return step->sock != NONE && draw_target(generator, model, &model->socks[step->sock], &step->other);
}

bool choose_accept(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, listens);
    step->flags = (uint32_t)below(generator, 2);
    return step->sock != NONE && (handles_left(model) >= 1 || handle_count(model) == SOCKS_MAX);
}

bool choose_pass(struct generator *generator, const struct model *model, struct step *step)
{
    const struct end *end;

    step->sock = draw_sock(generator, model, can_pass);
    step->lent = draw_sock(generator, model, is_useful); /* the one that is passed */
    step->flags = !one_in(generator, 4);
    if (step->sock == NONE || step->lent == NONE || handles_left(model) < 1 || !may_make(generator, model, 1))
        return false;
    end = end_at(model, &model->socks[step->sock]);
    step->other = sock_of_end(model, end->peer);
    return model->socks[step->lent].end != model->socks[step->sock].end && model->socks[step->lent].end != end->peer;
}

bool choose_duplicate(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, is_useful);
    return step->sock != NONE && may_make(generator, model, 1);
}

bool choose_close(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, one_in(generator, 6) ? is_free_of_ops : is_idle);
    return step->sock != NONE && (handle_count(model) > 8 || one_in(generator, 4));
}

bool choose_release(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, is_useful);
    step->flags = (uint32_t)below(generator, 2);
    if (step->sock == NONE || model->socks[step->sock].ending > 0)
        return false;
    return !kind_is_ip(end_at(model, &model->socks[step->sock])->kind) ||
           handles_left(model) >= 1; /* see step_release */
}

bool choose_shutdown(struct generator *generator, const struct model *model, struct step *step)
{
    static const uint32_t hows[] = {PAL_SHUT_WR, PAL_SHUT_WR, PAL_SHUT_WR, PAL_SHUT_RD, PAL_SHUT_RDWR};

    step->sock = draw_sock(generator, model, can_shut);
    step->flags = hows[below(generator, 5)];
    return step->sock != NONE;
}

bool choose_name(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, is_useful);
    return step->sock != NONE;
}

bool choose_send(struct generator *generator, const struct model *model, struct step *step)
{
    const struct end *end;
    uint64_t room = 64, least;

    step->sock = draw_sock(generator, model, one_in(generator, 8) ? can_try_to_send : can_write);
    if (step->sock == NONE || !can_try_to_send(model, &model->socks[step->sock]))
        return false;
    end = end_at(model, &model->socks[step->sock]);
    least = level_out(model, end) != SURELY || end->peer == NONE || end->kind == SEQPACKET;
    if (level_out(model, end) == SURELY && end->peer != NONE) {
        room = flow_room(&model->ends[end->peer].in, !kind_is_stream(end->kind));
        step->flags = one_in(generator, 16) ? PAL_MSG_WAIT : 0;
    }
    step->size = draw_size(generator, least, room);
    return true;
}

bool choose_receive(struct generator *generator, const struct model *model, struct step *step)
{
    const struct end *end;

    step->sock = draw_sock(generator, model, one_in(generator, 8) ? can_try_to_receive : can_read);
    if (step->sock == NONE)
        return false;
    end = end_at(model, &model->socks[step->sock]);
    step->size = draw_size(generator, !sound(end) || !end->reads, FLIGHT_MAX);
    if (!sound(end) || !end->reads)
        return true;
    if (end->kind != PIPE && one_in(generator, 5))
        step->flags |= PAL_MSG_PEEK;
    if (kind_is_datagram(end->kind) && one_in(generator, 5))
        step->flags |= PAL_MSG_TRUNC;
    if (level_in(end) == SURELY && one_in(generator, 8))
        step->flags |= PAL_MSG_WAIT;
    return true;
}

bool choose_send_messages(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_send_messages);
    if (step->sock == NONE)
        return false;
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    step->size = draw_size(generator, 1, RECORD_SIZE_MAX);
    if (end_at(model, &model->socks[step->sock])->peer == NONE)
        step->other = draw_sock(generator, model, is_loose_udp);
    return true;
}

bool choose_receive_messages(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_receive_messages);
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    step->size = draw_size(generator, 1, RECORD_SIZE_MAX);
    step->flags = one_in(generator, 6) ? PAL_MSG_PEEK : 0;
    return step->sock != NONE;
}

bool choose_fill(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_fill_for_long);
    return step->sock != NONE;
}

bool choose_drain(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_drain);
    return step->sock != NONE;
}

bool choose_watch(struct generator *generator, const struct model *model, struct step *step)
{
    static const uint32_t interests[] = {PAL_IN,
                                         PAL_IN,
                                         PAL_IN | PAL_LEASE,
                                         PAL_IN | PAL_LEASE,
                                         PAL_OUT,
                                         PAL_IN | PAL_OUT,
                                         PAL_IN | PAL_RDHUP,
                                         PAL_RDHUP,
                                         PAL_IN | PAL_PRI,
                                         PAL_IN | PAL_OUT | PAL_LEASE,
                                         PAL_IN | PAL_OUT | PAL_RDHUP | PAL_PRI};
    const struct sock *sock;

    step->sock = draw_sock(generator, model, NULL);
    if (step->sock == NONE)
        return false;
    sock = &model->socks[step->sock];
    if (!is_free_of_ops(model, sock))
        return false;
    step->poll = draw_poll(generator, sock);
    step->flags = interests[below(generator, 11)];
    if (one_in(generator, 5))
        step->flags |= PAL_ONCE;
    if (step->flags & (PAL_IN | PAL_PRI | PAL_RDHUP) && twin_read_by_op(model, sock))
        return false;
    if (taken_elsewhere(model, step))
        return false;
    return !(step->flags & PAL_LEASE) || (sound(end_at(model, sock)) && !sock->share_unsure);
}

bool choose_unwatch(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, one_in(generator, 8) ? NULL : is_watched);
    if (step->sock == NONE)
        return false;
    step->poll = draw_poll(generator, &model->socks[step->sock]);
    return true;
}

bool choose_sock_wait(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, NULL);
    step->flags = (uint32_t)below(generator, 0x8000);
    step->count = (uint32_t)below(generator, 3);
    return step->sock != NONE;
}

bool choose_any_poll(struct generator *generator, const struct model *model, struct step *step)
{
    (void)model;
    step->poll = (int)below(generator, POLLS_MAX);
    step->count = (uint32_t)below(generator, 3);
    return true;
}

bool choose_submit_receive(struct generator *generator, const struct model *model, struct step *step)
{
    step->request = draw_request(generator, model, false);
    step->sock = draw_sock(generator, model, can_submit_receive);
    if (step->request == NONE || step->sock == NONE)
        return false;
    step->poll = draw_poll(generator, &model->socks[step->sock]);
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    step->size = draw_size(generator, 1, RECORD_SIZE_MAX);
    if (!is_fresh(model, &model->socks[step->sock]) && one_in(generator, 2))
        step->flags = PAL_OP_TRY;
    return !taken_elsewhere(model, step);
}

bool choose_submit_send(struct generator *generator, const struct model *model, struct step *step)
{
    static const uint8_t kinds[] = {PAL_OP_SEND, PAL_OP_SEND_MSG, PAL_OP_SEND_LEASE, PAL_OP_SENDFILE};

    step->request = draw_request(generator, model, false);
    step->sock = draw_sock(generator, model, can_write_much);
    if (step->request == NONE || step->sock == NONE)
        return false;
    step->poll = draw_poll(generator, &model->socks[step->sock]);
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    step->size = draw_size(generator, 1, RECORD_SIZE_MAX);
    step->flags = kinds[below(generator, 4)];
    if (taken_elsewhere(model, step))
        return false;
    if (step->flags == PAL_OP_SEND_MSG && end_at(model, &model->socks[step->sock])->kind == PIPE)
        return false;
    if (step->flags == PAL_OP_SENDFILE)
        return can_send_a_file(model, &model->socks[step->sock]) && handles_left(model) >= 1;
    return step->flags != PAL_OP_SEND_LEASE || lent_is_sendable(model);
}

bool choose_submit_bulk(struct generator *generator, const struct model *model, struct step *step)
{
    const struct sock *sock;
    int peer;

    step->request = draw_request(generator, model, false);
    step->sock = draw_sock(generator, model, can_fill);
    if (step->request == NONE || step->sock == NONE)
        return false;
    sock = &model->socks[step->sock];
    peer = end_at(model, sock)->peer;
    step->other = sock_of_end(model, peer);
    step->poll = sock_busy(sock) ? sock->poll : (int)below(generator, POLLS_MAX);
    step->count = end_at(model, sock)->kind != PIPE && one_in(generator, 3) ? MSGS_MAX : 1;
    step->flags = step->count == 1 ? PAL_OP_SEND : PAL_OP_SEND_MSG;
    if (step->count == 1 && can_send_a_file(model, sock) && handles_left(model) >= 1 && one_in(generator, 3))
        step->flags = PAL_OP_SENDFILE;
    step->size = BULK_SIZE / step->count;
    return !(sock->interest & PAL_OUT) && !watched_fleetingly(model, peer) && !watched_fleetingly(model, sock->end) &&
           !taken_elsewhere(model, step);
}

bool choose_lease_bulk(struct generator *generator, const struct model *model, struct step *step)
{
    const struct poll *poll;
    const struct sock *sock;

    if (!choose_submit_bulk(generator, model, step))
        return false;
    step->other = (int)below(generator, POLLS_MAX);
    poll = &model->polls[step->other];
    sock = &model->socks[step->sock];
    return can_fill_for_long(model, sock) && lent_places(model) >= PARTS_MAX && leases_free(poll) >= PARTS_MAX &&
           (uint64_t)poll->lease_size * PARTS_MAX >= BULK_SIZE;
}

bool choose_submit_accept(struct generator *generator, const struct model *model, struct step *step)
{
    step->request = draw_request(generator, model, false);
    step->sock = draw_sock(generator, model, can_submit_accept);
    if (step->request == NONE || step->sock == NONE || handles_left(model) < 1)
        return false;
    step->poll = draw_poll(generator, &model->socks[step->sock]);
    if (!is_fresh(model, &model->socks[step->sock]) && one_in(generator, 2))
        step->flags = PAL_OP_TRY;
    return !taken_elsewhere(model, step);
}

bool choose_submit_connect(struct generator *generator, const struct model *model, struct step *step)
{
    step->request = draw_request(generator, model, false);
    if (step->request == NONE || !choose_connect(generator, model, step) || model->socks[step->sock].ending > 0)
        return false;
    step->poll = draw_poll(generator, &model->socks[step->sock]);
    return !taken_elsewhere(model, step);
}

bool choose_cancel(struct generator *generator, const struct model *model, struct step *step)
{
    step->request = draw_request(generator, model, !one_in(generator, 8));
    step->poll = (int)below(generator, POLLS_MAX);
    return step->request != NONE;
}

bool choose_lease_receive(struct generator *generator, const struct model *model, struct step *step)
{
    uint32_t places = lent_places(model);

    step->sock = draw_sock(generator, model, can_lease);
    step->count = (uint32_t)below(generator, 6) + 1;
    return step->sock != NONE && step->count <= places;
}

bool choose_lease_release(struct generator *generator, const struct model *model, struct step *step)
{
    int first = (int)below(generator, LENT_MAX);

    for (int i = 0; i < LENT_MAX; i++) {
        step->lent = (first + i) % LENT_MAX;
        if (model->lent[step->lent].used && !model->lent[step->lent].pinned)
            return true;
    }
    return false;
}

bool choose_lease_reserve(struct generator *generator, const struct model *model, struct step *step)
{
    step->poll = (int)below(generator, POLLS_MAX);
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    step->size = draw_size(generator, 1, 4096);
    return step->count <= lent_places(model);
}

bool choose_lease_send(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, can_write_much);
    step->count = (uint32_t)below(generator, MSGS_MAX) + 1;
    return step->sock != NONE && lent_is_sendable(model);
}

bool choose_any_sock(struct generator *generator, const struct model *model, struct step *step)
{
    step->sock = draw_sock(generator, model, NULL);
    step->poll = (int)below(generator, POLLS_MAX);
    step->size = (uint32_t)below(generator, 1u << 16);
    step->count = (uint32_t)below(generator, 64);
    return step->sock != NONE;
}
