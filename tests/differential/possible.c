/* possible.c: what a program may do with a handle now. See possible.h. */
#include "possible.h"

const struct end *end_at(const struct model *model, const struct sock *sock)
{
    return &model->ends[sock->end];
}

int handles_left(const struct model *model)
{
    int count = SOCKS_MAX - handle_count(model);

    for (int i = 0; i < REQUESTS_MAX; i++)
        count -= model->requests[i].out && model->requests[i].op.kind == PAL_OP_ACCEPT;
    return count;
}

bool is_free_of_ops(const struct model *model, const struct sock *sock)
{
    return sock->ending == 0 || level_in(end_at(model, sock)) == NEVER;
}

bool is_idle(const struct model *model, const struct sock *sock)
{
    return !sock_busy(sock) && is_free_of_ops(model, sock);
}

bool is_watched(const struct model *model, const struct sock *sock)
{
    (void)model;
    return sock->interest != 0;
}

bool twin_read_by_op(const struct model *model, const struct sock *sock)
{
    return end_read_by_op(model, sock->end) && sock->reader == NULL && sock->ending == 0;
}

/* Another handle of its end has a reader: who of the two gets what comes is open. */
static bool twin_reads(const struct model *model, const struct sock *sock)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *twin = &model->socks[i];

        if (twin->live && twin != sock && twin->end == sock->end && sock_reads(twin))
            return true;
    }
    return twin_read_by_op(model, sock);
}

bool watched_fleetingly(const struct model *model, int end)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *sock = &model->socks[i];

        if (sock->live && sock->end == end && (sock->hungry || sock->interest & PAL_ONCE))
            return true;
    }
    return false;
}

bool sound(const struct end *end)
{
    return end->stage == CONNECTED && !end->tainted;
}

bool can_read(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return sound(end) && end->reads && end->in.amount == EXACT && !end_read_by_op(model, sock->end);
}

bool can_write(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return sound(end) && end->writes && !end->shut_write && end->peer != NONE && !end_written_by_op(model, sock->end);
}

bool can_write_much(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);
    const struct flow *flow;

    if (!can_write(model, sock) || (end->kind == PIPE && sock->shared))
        return false;
    flow = &model->ends[end->peer].in;
    if (flow->amount == FULL)
        return true;
    if (!kind_is_stream(end->kind))
        return flow->record_count + MSGS_MAX <= RECORDS_MAX;
    return flow_room(flow, false) >= (uint64_t)MSGS_MAX * RECORD_SIZE_MAX;
}

bool can_send_a_file(const struct model *model, const struct sock *sock)
{
    enum kind kind = end_at(model, sock)->kind;

    return (kind_is_tcp(kind) || kind == UNIX_STREAM) && !sock->shared && !end_at(model, sock)->exported &&
           can_write_much(model, sock);
}

bool can_pass(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock), *peer;

    if (end->kind != UNIX_STREAM || !can_write(model, sock))
        return false;
    peer = &model->ends[end->peer];
    if (peer->tainted || peer->in.amount != EXACT || in_flight(&peer->in) > 0 || end_read_by_op(model, end->peer))
        return false;
    for (int i = 0; i < SOCKS_MAX; i++) /* leases cannot carry what is passed */
        if (model->socks[i].live && model->socks[i].end == end->peer && model->socks[i].interest & PAL_LEASE)
            return false;
    return peer->handles > 0;
}

bool can_fill(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock), *peer;

    if (!can_write(model, sock) || !kind_is_stream(end->kind) || (end->kind == PIPE && sock->shared))
        return false;
    peer = &model->ends[end->peer];
    return peer->in.amount == EXACT && peer->handles > 0 && !peer->tainted && !end_read_by_op(model, end->peer);
}

bool can_fill_for_long(const struct model *model, const struct sock *sock)
{
    return can_fill(model, sock) && !kind_is_tcp(end_at(model, sock)->kind); /* TCP finds room again by itself */
}

bool can_drain(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return sound(end) && end->reads && (end->in.amount == UNTOLD || end->in.amount == FULL) &&
           !end_read_by_op(model, sock->end) && !watched_fleetingly(model, sock->end) &&
           (end->peer == NONE || !watched_fleetingly(model, end->peer));
}

bool is_fresh(const struct model *model, const struct sock *sock)
{
    return end_at(model, sock)->stage == FRESH;
}

/* Nothing that is out on any handle of the end would be for the other thing that a fresh socket can become. */
static bool can_become(const struct model *model, const struct sock *sock, uint8_t allowed_reader)
{
    if (!is_fresh(model, sock) || end_written_by_op(model, sock->end))
        return false;
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *twin = &model->socks[i];
        uint8_t kind = twin->live && twin->end == sock->end && twin->reader != NULL ? twin->reader->op.kind : 0;

        if (kind != 0 && (kind == PAL_OP_ACCEPT) != (allowed_reader == PAL_OP_ACCEPT))
            return false;
    }
    return true;
}

bool can_listen(const struct model *model, const struct sock *sock)
{
    int listeners = 0;

    for (int i = 0; i < ENDS_MAX; i++)
        listeners += model->ends[i].used && model->ends[i].stage == LISTENING;
    return listeners < 4 && can_become(model, sock, PAL_OP_ACCEPT);
}

bool can_connect(const struct model *model, const struct sock *sock)
{
    return can_become(model, sock, PAL_OP_RECV);
}

bool listens(const struct model *model, const struct sock *sock)
{
    return end_at(model, sock)->stage == LISTENING && !end_read_by_op(model, sock->end);
}

bool lent_is_sendable(const struct model *model)
{
    for (int i = 0; i < LENT_MAX; i++)
        if (lent_sendable(&model->lent[i]))
            return true;
    return false;
}

uint32_t lent_places(const struct model *model)
{
    uint32_t count = 0;

    for (int i = 0; i < LENT_MAX; i++)
        count += !model->lent[i].used;
    return count;
}

bool is_useful(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return end->stage != REFUSED && !end->tainted && end->handles < 4;
}

bool can_shut(const struct model *model, const struct sock *sock)
{
    return can_write(model, sock) && kind_connects(end_at(model, sock)->kind);
}

/* A try: with somebody there, or where it has to fail. */
bool can_try_to_send(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);
    const struct flow *flow = end->peer == NONE ? NULL : &model->ends[end->peer].in;

    if (end_written_by_op(model, sock->end) || (kind_is_datagram(end->kind) && end->orphan))
        return false;
    if (flow == NULL || end->shut_write || !end->writes)
        return true; /* it has to fail */
    if (!sound(end))
        return false;
    return flow->amount == FULL || flow_room(flow, !kind_is_stream(end->kind)) > 0;
}

bool can_try_to_receive(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return !end_read_by_op(model, sock->end) && (end->in.amount == EXACT || end->tainted);
}

bool is_loose_udp(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    return end->kind == UDP4 && end->peer == NONE && !end->orphan && end->bound &&
           end->in.record_count + MSGS_MAX <= RECORDS_MAX;
}

bool can_send_messages(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    if (is_loose_udp(model, sock))
        return true;
    return can_write_much(model, sock) && end->kind != PIPE && model->ends[end->peer].in.amount == EXACT;
}

bool can_receive_messages(const struct model *model, const struct sock *sock)
{
    return can_read(model, sock) && end_at(model, sock)->kind != PIPE;
}

bool can_submit_receive(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    if (twin_reads(model, sock) || !is_free_of_ops(model, sock))
        return false;
    if (end->stage == FRESH)
        return sock->reader == NULL;
    return sound(end) && end->reads && end->in.amount == EXACT;
}

bool can_submit_accept(const struct model *model, const struct sock *sock)
{
    const struct end *end = end_at(model, sock);

    if (twin_reads(model, sock) || !is_free_of_ops(model, sock))
        return false;
    return end->stage == LISTENING || (end->stage == FRESH && sock->reader == NULL);
}

bool can_lease(const struct model *model, const struct sock *sock)
{
    if (!can_read(model, sock) || !sock_busy(sock) || sock->share_unsure)
        return false;
    return leases_lendable(model, sock) > 0 || level_in(end_at(model, sock)) == SURELY;
}
