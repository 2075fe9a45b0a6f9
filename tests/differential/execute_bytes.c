/* execute_bytes.c: tries: send, receive, messages, and sockets that are filled to the brim and drained. Rules 2 and 5
 * of docs/seam.md; above all: every byte arrives once and in order. */
#include <pal/address.h>
#include <string.h>

#include "execute.h"

static uint8_t scratch[BULK_SIZE];

/* ---- what was received ---- */

void took_bytes(struct model *model, int sock, const void *buffer, uint64_t size, const char *how)
{
    struct flow *flow = &end_of(model, &model->socks[sock])->in;

    REQUIRE(flow->taken + size <= flow->sent + flow->may, "s%d: %s gives %llu bytes, and %llu are on their way", sock,
            how, (unsigned long long)size, (unsigned long long)(flow->sent + flow->may - flow->taken));
    REQUIRE(bytes_are(flow->key, flow->taken, buffer, size), "s%d: %s gives other bytes than were sent, at %llu", sock,
            how, (unsigned long long)flow->taken);
    flow_take(flow, size);
}

void took_record(struct model *model, int sock, const void *buffer, uint64_t size, const char *how)
{
    struct flow *flow = &end_of(model, &model->socks[sock])->in;
    const struct record *record = &flow->records[0];

    REQUIRE(flow->record_count > 0, "s%d: %s gives a record of %llu bytes, and none was sent", sock, how,
            (unsigned long long)size);
    REQUIRE(size <= record->size, "s%d: %s gives %llu bytes of a record of %u", sock, how, (unsigned long long)size,
            record->size);
    REQUIRE(bytes_are(flow->key, record_position(record->number), buffer, size),
            "s%d: %s gives another record than the oldest", sock, how);
    flow_take_record(flow);
}

void take_bytes(struct model *model, int sock, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        int32_t got = try_recv(model->socks[sock].handle, scratch, (size_t)(size - done), 0);

        REQUIRE(got > 0, "s%d: %llu bytes are left and cannot be received: %d", sock, (unsigned long long)(size - done),
                got);
        took_bytes(model, sock, scratch, (uint64_t)got, "recv");
        done += (uint64_t)got;
    }
}

void take_record(struct model *model, int sock, size_t room)
{
    int32_t got = try_recv(model->socks[sock].handle, scratch, room, 0);

    REQUIRE(got >= 0, "s%d: a record is left and cannot be received: %d", sock, got);
    took_record(model, sock, scratch, (uint64_t)got, "recv");
}

/* ---- send ---- */

/* Says what a try to send gives; false: all of it goes. */
static bool send_fails(struct model *model, const struct end *end, int *expected, bool *open)
{
    struct flow *flow = flow_out(model, end);

    *expected = 0;
    *open = false;
    if (end->stage != CONNECTED || end->tainted || !end->writes)
        *open = true;
    else if (end->shut_write)
        *expected = PAL_EPIPE;
    else if (end->kind == UDP4 && !end->orphan && flow == NULL)
        *expected = PAL_EDESTADDRREQ;
    else if (flow == NULL && end->kind == PIPE)
        *expected = PAL_EPIPE;
    else if (flow == NULL)
        *open = true;
    else if (flow->amount == FULL)
        *expected = PAL_EAGAIN;
    return *open || *expected != 0;
}

void sent(struct model *model, int from, int to, uint64_t size)
{
    struct flow *flow = &model->ends[to].in;

    if (kind_is_stream(model->ends[to].kind)) {
        flow_send(flow, size);
    } else {
        flow->records[flow->record_count++] =
            (struct record){.size = (uint32_t)size, .number = flow->sent, .from = model->ends[from].address};
        flow_send(flow, 1);
    }
    model->ends[to].unsettled = true;
}

uint64_t position_of_next(const struct end *end)
{
    return kind_is_stream(end->kind) ? end->in.sent : record_position(end->in.sent);
}

void step_send(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    struct flow *flow = flow_out(model, end);
    size_t done = 0;
    bool open;
    int expected, result;

    trace_fixed(" s%d %u flags %x", step->sock, step->size, step->flags);
    if (flow != NULL)
        bytes_make(flow->key, position_of_next(&model->ends[end->peer]), scratch, step->size);
    if (send_fails(model, end, &expected, &open)) {
        result = try_send(sock->handle, scratch, step->size, 0);
        trace_free(" %d", result);
        REQUIRE(open || result == expected, "send on s%d is %d, not %s", step->sock, result, pal_error_name(expected));
        if (result > 0 && flow != NULL)
            sent(model, sock->end, end->peer, (uint64_t)result);
        if (open && kind_connects(end->kind) && end->stage == CONNECTED)
            end_taint(model, sock->end); /* the peer's system answers with a reset */
        return;
    }
    do { /* a shared pipe takes it in parts */
        result = try_send(sock->handle, scratch + done, step->size - done, step->flags);
        REQUIRE(result >= 0 && (size_t)result <= step->size - done && (result > 0 || step->size == 0),
                "send on s%d is %d, and there is room", step->sock, result);
        done += (size_t)result;
    } while (done < step->size && kind_is_stream(end->kind));
    REQUIRE(done == step->size, "send on s%d takes %d bytes of a record", step->sock, result);
    sent(model, sock->end, end->peer, done);
}

/* ---- receive ---- */

/* A reset, or a shutdown of reading, lets anything happen but wrong bytes. */
static void receive_tainted(struct model *model, int index, size_t size)
{
    const struct end *end = end_of(model, &model->socks[index]);
    int32_t result = try_recv(model->socks[index].handle, scratch, size, 0);

    trace_free(" %d", result);
    REQUIRE(result <= (int64_t)size, "recv on s%d gives more than there is room for", index);
    if (result > 0 && kind_is_stream(end->kind))
        took_bytes(model, index, scratch, (uint64_t)result, "recv");
    else if (result > 0)
        took_record(model, index, scratch, (uint64_t)result, "recv");
}

static void receive_bytes(struct model *model, const struct step *step, size_t size)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    uint64_t there = in_flight(&end->in), wanted = size < there ? size : there;
    int32_t result = try_recv(sock->handle, scratch, size, step->flags);

    trace_free(" %d", result);
    if (size == 0) {
        REQUIRE(result == 0 || result == PAL_EAGAIN, "recv of nothing on s%d is %d", step->sock, result);
    } else if (there == 0) {
        int expected = end->in.ended ? 0 : PAL_EAGAIN;

        trace_fixed(" -> %d", expected);
        REQUIRE(result == expected, "recv on s%d is %d, not %s", step->sock, result, pal_error_name(expected));
    } else if (step->flags & PAL_MSG_PEEK) {
        REQUIRE(result > 0 && (uint64_t)result <= wanted, "recv with PEEK on s%d is %d, and %llu bytes are there",
                step->sock, result, (unsigned long long)there);
        REQUIRE(bytes_are(end->in.key, end->in.taken, scratch, (uint64_t)result), "s%d: PEEK shows other bytes",
                step->sock);
    } else {
        REQUIRE(result > 0, "recv on s%d is %d, and %llu bytes are there", step->sock, result,
                (unsigned long long)there);
        took_bytes(model, step->sock, scratch, (uint64_t)result, "recv");
        take_bytes(model, step->sock, wanted - (uint64_t)result);
        trace_fixed(" -> %llu", (unsigned long long)wanted);
    }
}

static void receive_record(struct model *model, const struct step *step, size_t size)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    const struct record *record = &end->in.records[0];
    bool there = end->in.record_count > 0;
    uint32_t wanted = there && record->size < size ? record->size : (uint32_t)size;
    int expected = !there && end->in.ended ? 0 : !there ? PAL_EAGAIN : (int)wanted;
    int32_t result = try_recv(sock->handle, scratch, size, step->flags);

    if (there && step->flags & PAL_MSG_TRUNC)
        expected = (int)record->size;
    trace_fixed(" -> %d", expected);
    REQUIRE(result == expected, "recv on s%d is %d, not %d", step->sock, result, expected);
    if (there && step->flags & PAL_MSG_PEEK)
        REQUIRE(bytes_are(end->in.key, record_position(record->number), scratch, wanted),
                "s%d: PEEK shows another record than the oldest", step->sock);
    else if (there)
        took_record(model, step->sock, scratch, wanted, "recv");
}

void step_receive(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);

    trace_fixed(" s%d %u flags %x", step->sock, step->size, step->flags);
    arrive(model, sock->end);
    memset(scratch, 0, step->size);
    if (end->stage != CONNECTED || end->tainted || !end->reads)
        receive_tainted(model, step->sock, step->size);
    else if (kind_is_stream(end->kind))
        receive_bytes(model, step, step->size);
    else
        receive_record(model, step, step->size);
    if (level_in(end) == NEVER)
        spurious_allowed(model, sock->end, PAL_IN);
}

/* ---- messages ---- */

struct batch {
    struct pal_msg msgs[MSGS_MAX];
    struct pal_iov iov[MSGS_MAX][PIECES_MAX];
    struct pal_addr addrs[MSGS_MAX];
    uint8_t bytes[MSGS_MAX * RECORD_SIZE_MAX];
};

void messages_make(struct pal_msg *msgs, struct pal_iov iov[][PIECES_MAX], uint8_t *bytes, int count, uint32_t size,
                   uint64_t choice)
{
    memset(msgs, 0, (size_t)count * sizeof(*msgs));
    for (int i = 0; i < count; i++, bytes += size) {
        uint32_t cut = size == 0 ? 0 : (uint32_t)(choice >> (8 * i)) % size;

        iov[i][0] = (struct pal_iov){bytes, cut};
        iov[i][1] = (struct pal_iov){bytes + cut, 0};
        iov[i][2] = (struct pal_iov){bytes + cut, size - cut};
        msgs[i].iov = iov[i];
        msgs[i].iov_count = PIECES_MAX;
    }
}

void step_send_messages(struct model *model, const struct step *step)
{
    static struct batch batch;
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    int to = step->other == NONE ? end->peer : model->socks[step->other].end, result;

    trace_fixed(" s%d %u of %u to s%d", step->sock, step->count, step->size, step->other);
    messages_make(batch.msgs, batch.iov, batch.bytes, (int)step->count, step->size, step->choice);
    for (uint32_t i = 0; i < step->count; i++) {
        struct end *other = &model->ends[to];

        bytes_make(other->in.key, position_of_next(other), batch.bytes + i * step->size, step->size);
        batch.msgs[i].addr = step->other == NONE ? NULL : &other->address;
        sent(model, sock->end, to, step->size);
    }
    result = try_send_msgs(sock->handle, batch.msgs, (int)step->count);
    REQUIRE(result == (int)step->count, "send_msgs on s%d sends %d of %u messages", step->sock, result, step->count);
    for (uint32_t i = 0; i < step->count; i++)
        REQUIRE(batch.msgs[i].size == (int32_t)step->size, "send_msgs says that a message of %u bytes has %d",
                step->size, batch.msgs[i].size);
}

void took_message(struct model *model, int index, const struct pal_msg *msg, uint64_t room, bool peek)
{
    struct end *end = end_of(model, &model->socks[index]);
    const struct record *record = &end->in.records[0];
    bool stream = kind_is_stream(end->kind);
    uint64_t whole = stream ? in_flight(&end->in) : record->size, wanted = room < whole ? room : whole;
    uint64_t size = msg->size < 0 ? 0 : (uint64_t)msg->size, position = end->in.taken;

    if (!stream)
        position = record_position(record->number);
    REQUIRE(stream ? size > 0 && size <= wanted : size == wanted, "s%d: a message has %d bytes of %llu", index,
            msg->size, (unsigned long long)wanted);
    REQUIRE(stream || !(msg->flags & PAL_MSG_TRUNC) == (whole <= room), "s%d: flags %x of a message of %llu bytes",
            index, msg->flags, (unsigned long long)whole);
    if (end->kind == UDP4 && msg->addr != NULL)
        REQUIRE(pal_addr_equal(msg->addr, &record->from),
                "s%d: a datagram comes from another address than its sender's", index);
    if (peek)
        REQUIRE(bytes_are(end->in.key, position, msg->iov[0].data, size), "s%d: PEEK shows other bytes", index);
    else if (stream)
        took_bytes(model, index, msg->iov[0].data, size, "a message");
    else
        took_record(model, index, msg->iov[0].data, size, "a message");
}

/* One call; returns how many messages it gave. */
static int receive_batch(struct model *model, const struct step *step, int count)
{
    static struct batch batch;
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    bool stream = kind_is_stream(end->kind), there = in_flight(&end->in) > 0;
    uint64_t whole = in_flight(&end->in);
    int result;

    messages_make(batch.msgs, batch.iov, batch.bytes, count, step->size, step->choice);
    for (int i = 0; i < count; i++)
        batch.msgs[i].addr = &batch.addrs[i];
    result = try_recv_msgs(sock->handle, batch.msgs, count, step->flags);
    trace_free(" %d", result);
    if (!there) { /* the end is one message of size 0 */
        int expected = end->in.ended ? 1 : PAL_EAGAIN;

        REQUIRE(result == expected && (result < 0 || batch.msgs[0].size == 0), "recv_msgs on s%d is %d, not %d",
                step->sock, result, expected);
        return result;
    }
    REQUIRE(result >= 1 && result <= count && (result == 1 || !stream), "recv_msgs on s%d is %d", step->sock, result);
    for (int i = 0; i < result; i++)
        took_message(model, step->sock, &batch.msgs[i], step->size, step->flags & PAL_MSG_PEEK);
    if (stream && !(step->flags & PAL_MSG_PEEK))
        take_bytes(model, step->sock, (step->size < whole ? step->size : whole) - (uint64_t)batch.msgs[0].size);
    return result;
}

void step_receive_messages(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    bool once = kind_is_stream(end->kind) || step->flags & PAL_MSG_PEEK || end->in.record_count == 0;
    int count = (int)step->count, done = 0;

    trace_fixed(" s%d %u of %u flags %x", step->sock, step->count, step->size, step->flags);
    arrive(model, sock->end);
    if (!once && count > end->in.record_count)
        count = end->in.record_count;
    while (done < count) { /* a call may give fewer than are there */
        int result = receive_batch(model, step, count - done);

        done = once ? count : done + result;
    }
    if (level_in(end) == NEVER)
        spurious_allowed(model, sock->end, PAL_IN);
}

/* ---- full and empty ---- */

void step_fill(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    struct flow *flow = flow_out(model, end);
    uint64_t before = flow->sent;

    trace_fixed(" s%d", step->sock);
    for (uint32_t size = 4096; size > 0; size /= 2) {
        int32_t result;

        do {
            bytes_make(flow->key, flow->sent, scratch, size);
            result = try_send(sock->handle, scratch, size, 0);
            if (result > 0)
                flow_send(flow, (uint64_t)result);
        } while (result > 0 && flow->sent - before < BULK_SIZE);
        REQUIRE(result == PAL_EAGAIN, "a socket that is filled says %d", result);
    }
    trace_free(" %llu", (unsigned long long)(flow->sent - before));
    flow->amount = FULL;
    spurious_allowed(model, sock->end, PAL_OUT);
}

/* An op that sends to an end and is out, or NULL. */
static const struct request *sender_to(const struct model *model, const struct end *end)
{
    for (int i = 0; i < REQUESTS_MAX && end->peer != NONE; i++) {
        const struct request *request = &model->requests[i];

        if (request->out && op_writes(request->op.kind) && model->socks[request->sock].end == end->peer)
            return request;
    }
    return NULL;
}

void drain(struct model *model, int index)
{
    struct end *end = end_of(model, &model->socks[index]);
    struct flow *flow = &end->in;
    const struct request *sender = sender_to(model, end);
    int poll = sender != NULL ? sender->poll : NONE;
    uint64_t total = 0;

    flow->amount = DRAINING;
    settle_begin(model);
    for (uint64_t i = 0; sender != NULL && sender->op.kind == PAL_OP_SEND_LEASE && i < sender->op.size; i++)
        leases_came_back(model->lent[sender->lent[i]].poll);
    for (int i = 0;; i++) {
        int32_t result = try_recv(model->socks[index].handle, scratch, sizeof(scratch), 0);

        REQUIRE(i < 100000, "s%d: draining it does not end", index);
        if (result > 0) {
            took_bytes(model, index, scratch, (uint64_t)result, "recv");
            total += (uint64_t)result;
            continue;
        }
        REQUIRE(result == PAL_EAGAIN || (result == 0 && flow->ended), "recv on s%d is %d", index, result);
        if (sender_to(model, end) != NULL)
            turn(model, poll);
        else if (flow->taken == flow->sent)
            break;
        else
            REQUIRE(result != 0, "s%d: the stream ends, and %llu bytes are missing", index,
                    (unsigned long long)(flow->sent - flow->taken));
    }
    trace_free(" %llu", (unsigned long long)total);
    flow->amount = EXACT;
    flow->chunks = 0;
    spurious_allowed(model, model->socks[index].end, PAL_IN);
    if (poll != NONE)
        settle_end(model, poll);
}

void step_drain(struct model *model, const struct step *step)
{
    trace_fixed(" s%d", step->sock);
    drain(model, step->sock);
}
