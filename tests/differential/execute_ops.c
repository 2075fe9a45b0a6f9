/* execute_ops.c: ops: what submit says, what ends them, what their events tell. Rules 3 to 6 of docs/seam.md. */
#include <stdio.h>
#include <string.h>

#include "execute.h"

static uint8_t buffers[REQUESTS_MAX][BULK_SIZE];

/* ---- ends of ops ---- */

static void leave_side(struct sock *sock, const struct request *request)
{
    *(op_writes(request->op.kind) ? &sock->writer : &sock->reader) = NULL;
    sock_idle(sock);
}

void request_cancelled(struct model *model, struct request *request)
{
    struct sock *sock = &model->socks[request->sock];

    if (request->cancelled)
        return;
    request->cancelled = true;
    leave_side(sock, request);
    sock->ending++;
}

static void request_ended(struct model *model, struct request *request)
{
    struct sock *sock = &model->socks[request->sock];

    request->out = false;
    if (request->file.id != 0)
        REQUIRE(pal_file_close(request->file) == 0, "a file cannot be closed when its op has ended");
    request->file.id = 0;
    if (request->cancelled)
        sock->ending--;
    else
        leave_side(sock, request);
}

/* Whatever a RECV or RECV_MSG op has taken where anything may be lost. */
static void receive_loose(struct model *model, const struct request *request, int32_t result)
{
    const struct end *end = end_of(model, &model->socks[request->sock]);
    bool messages = request->op.kind == PAL_OP_RECV_MSG;

    for (int i = 0; i < (messages && result > 0 ? result : 1); i++) {
        int32_t size = messages && result > 0 ? request->msgs[i].size : result;
        const void *bytes = messages ? request->iov[i][0].data : request->buffer;

        if (size > 0 && kind_is_stream(end->kind))
            took_bytes(model, request->sock, bytes, (uint64_t)size, "an op");
        else if (size > 0)
            took_record(model, request->sock, bytes, (uint64_t)size, "an op");
    }
}

/* How many messages (of a stream or plain receive: one) the op takes of what is there. */
static int messages_there(const struct end *end, const struct request *request)
{
    int most = request->op.kind == PAL_OP_RECV_MSG && !kind_is_stream(end->kind) ? (int)request->op.size : 1;

    return !kind_is_stream(end->kind) && end->in.record_count < most ? end->in.record_count : most;
}

/* Something was there to be received: the op has taken it, or its cancel came first; then a try takes it now. */
static void receive_there(struct model *model, struct request *request, int32_t result, char *text)
{
    const struct end *end = end_of(model, &model->socks[request->sock]);
    bool stream = kind_is_stream(end->kind), messages = request->op.kind == PAL_OP_RECV_MSG;
    int there = messages_there(end, request), done = 0;
    uint64_t whole = stream ? in_flight(&end->in) : 0, wanted = request->size < whole ? request->size : whole;
    uint64_t taken = stream ? wanted : (uint64_t)there;

    REQUIRE(result > 0 || (result == 0 && !stream && end->in.records[0].size == 0) ||
                (result == PAL_ECANCELED && request->cancelled),
            "an op that receives ends with %d, and something is there", result);
    if (result >= 0 && messages) {
        REQUIRE(result <= there, "RECV_MSG gives %d messages of %d", result, there);
        for (; done < result; done++)
            took_message(model, request->sock, &request->msgs[done], request->size, false);
    } else if (result >= 0 && stream) {
        took_bytes(model, request->sock, request->buffer, (uint64_t)result, "an op");
    } else if (result >= 0) {
        REQUIRE((uint64_t)result == (end->in.records[0].size < request->size ? end->in.records[0].size : request->size),
                "RECV gives %d bytes of a record of %u", result, end->in.records[0].size);
        took_record(model, request->sock, request->buffer, (uint64_t)result, "an op");
        done = 1;
    }
    if (stream && result != PAL_ECANCELED)
        wanted -= messages ? (uint64_t)request->msgs[0].size : (uint64_t)result;
    if (stream)
        take_bytes(model, request->sock, wanted);
    for (; !stream && done < there; done++)
        take_record(model, request->sock, (size_t)request->size);
    snprintf(text, 64, stream ? "%llu bytes" : "%llu records", (unsigned long long)taken);
}

static void finish_receive(struct model *model, struct request *request, int32_t result, char *text)
{
    const struct end *end = end_of(model, &model->socks[request->sock]);
    int32_t at_end = request->op.kind == PAL_OP_RECV_MSG; /* one message of size 0, or 0 */

    if (end->tainted || (end->stage != CONNECTED && end->stage != FRESH) || end->in.amount != EXACT) {
        receive_loose(model, request, result);
        snprintf(text, 64, "~");
    } else if (end->stage == CONNECTED && in_flight(&end->in) > 0) {
        receive_there(model, request, result, text);
    } else if (end->in.ended) {
        REQUIRE((result == at_end && (!at_end || request->msgs[0].size == 0)) ||
                    (result == PAL_ECANCELED && request->cancelled),
                "an op ends with %d at the end of its stream", result);
        snprintf(text, 64, "end");
    } else {
        REQUIRE(result == PAL_ECANCELED, "a cancelled op ends with %d, and there is nothing", result);
        snprintf(text, 64, "cancelled");
    }
    if (level_in(end) == NEVER)
        spurious_allowed(model, model->socks[request->sock].end, PAL_IN);
}

/* Bytes that a sending op has moved, whether it ended or was cut off. */
static uint64_t moved_by(const struct request *request, int32_t result)
{
    uint64_t whole = result > 0 ? (uint64_t)result : 0, moved = 0;

    if (request->op.kind == PAL_OP_SEND || request->op.kind == PAL_OP_SENDFILE)
        return whole;
    if (request->op.kind == PAL_OP_SEND_LEASE) {
        moved = request->size;
        for (uint64_t i = whole; i < request->op.size; i++)
            moved -= request->leases[i].size;
        return moved;
    }
    for (uint64_t i = 0; i < request->op.size && i <= whole; i++) /* and what went of the one that was cut off */
        moved += (uint64_t)request->msgs[i].size;
    return moved;
}

/* Leases that went whole are the backend's; the others go back, and the op's hands are empty. */
static void return_leases(struct model *model, struct request *request, int32_t result)
{
    for (int i = 0; i < (int)request->op.size; i++) {
        struct lent *lent = &model->lent[request->lent[i]];

        lent->pinned = false;
        leases_came_back(lent->poll);
        if (i < result) {
            lent_return(model, request->lent[i]);
            continue;
        }
        lent->lease = request->leases[i];
        release_lent(model, request->lent[i]);
    }
}

static void finish_send(struct model *model, struct request *request, int32_t result, char *text)
{
    const struct end *end = end_of(model, &model->socks[request->sock]);
    struct flow *flow = flow_out(model, end);
    uint64_t moved = moved_by(request, result);
    bool whole = result >= 0 && (uint64_t)result == request->op.size;
    bool broken = flow == NULL || end->tainted || end->shut_write;

    REQUIRE(whole || request->cancelled || broken || faults_are_on(), "an op that sends ends with %d of %llu", result,
            (unsigned long long)request->op.size);
    REQUIRE(moved <= request->size, "an op has sent %llu bytes of %llu", (unsigned long long)moved,
            (unsigned long long)request->size);
    REQUIRE(!request->cancelled || broken || flow->amount != FULL || result == PAL_ECANCELED,
            "a cancelled op, whose socket took nothing, ends with %d", result);
    if (request->op.kind == PAL_OP_SEND_LEASE)
        return_leases(model, request, result);
    snprintf(text, 64, broken ? "~" : request->cancelled ? "cancelled" : "sent");
    if (flow == NULL)
        return;
    flow->may = 0;
    if (result < 0 && !kind_is_stream(end->kind))
        return;
    if (request->op.kind == PAL_OP_SEND || kind_is_stream(end->kind))
        sent(model, model->socks[request->sock].end, end->peer, moved);
    else
        for (int i = 0; i < result; i++)
            sent(model, model->socks[request->sock].end, end->peer, request->sizes[i]);
}

static void finish_accept(struct model *model, struct request *request, int32_t result, char *text)
{
    const struct end *queue = end_of(model, &model->socks[request->sock]);
    bool there = queue->stage == LISTENING && queue->backlog_count > 0;

    REQUIRE((result == 0 && there) || (result == PAL_ECANCELED && request->cancelled) || is_fault(result),
            "ACCEPT ends with %d, of %d", result, queue->backlog_count);
    if (result != 0)
        request->accepted.id = 0;
    if (result != 0 && there)
        REQUIRE(try_accept(model->socks[request->sock].handle, &request->accepted, NULL) == 0,
                "what a cancelled ACCEPT has left cannot be accepted");
    if (there)
        request->accepted_end = accepted_end(model, model->socks[request->sock].end);
    snprintf(text, 64, there ? "accepted" : "cancelled");
    if (level_in(queue) == NEVER)
        spurious_allowed(model, model->socks[request->sock].end, PAL_IN);
}

static void finish_connect(const struct model *model, struct request *request, int32_t result, char *text)
{
    const struct end *end = &model->ends[model->socks[request->sock].end];
    int expected = end->stage == REFUSED ? PAL_ECONNREFUSED : 0;

    /* A try on the socket may have been told meanwhile why: then the op has no more than that it failed. */
    REQUIRE(result == expected || end->tainted || (request->cancelled && result == PAL_ECANCELED) ||
                (expected != 0 && result == PAL_ENOTCONN),
            "CONNECT ends with %d, not %d", result, expected);
    snprintf(text, 64, end->tainted || request->cancelled ? "~" : expected == 0 ? "connected" : "refused");
}

void request_finish(struct model *model, struct request *request, int32_t result, char *text)
{
    request_ended(model, request);
    switch (request->op.kind) {
    case PAL_OP_ACCEPT:
        finish_accept(model, request, result, text);
        break;
    case PAL_OP_CONNECT:
        finish_connect(model, request, result, text);
        break;
    case PAL_OP_RECV:
    case PAL_OP_RECV_MSG:
        finish_receive(model, request, result, text);
        break;
    default:
        finish_send(model, request, result, text);
    }
}

/* ---- submit ---- */

/* Rule 6. */
static bool side_taken(const struct sock *sock, int p, bool writes)
{
    if (sock_busy(sock) && sock->poll != p)
        return true;
    return writes ? sock->writer != NULL || sock->interest & PAL_OUT : sock_reads(sock);
}

static struct request *prepare(struct model *model, const struct step *step, uint8_t kind)
{
    struct request *request = &model->requests[step->request];

    memset(request, 0, sizeof(*request));
    request->sock = step->sock;
    request->poll = step->poll;
    request->buffer = buffers[step->request];
    request->op.sock = model->socks[step->sock].handle;
    request->op.data = model_number(model);
    request->op.kind = kind;
    trace_fixed(" r%d kind %u s%d p%d", step->request, kind, step->sock, step->poll);
    return request;
}

/* Submits; expected: 1, 0, or either (-1). Returns what came of it: 1, 0, or PAL_EBUSY. */
static int submit(struct model *model, struct request *request, int expected)
{
    struct sock *sock = &model->socks[request->sock];
    bool writes = op_writes(request->op.kind), taken = side_taken(sock, request->poll, writes);
    char text[64] = "";
    int result = pal_submit(model->polls[request->poll].handle, &request->op);

    trace_free(" %d", result);
    if (taken) {
        trace_fixed(" -> busy");
        REQUIRE(result == PAL_EBUSY && pal_reason()[0] != '\0', "a second op for one side is %d, not refused", result);
        return result;
    }
    if (result == PAL_EBUSY && sock->ending > 0) { /* the op before it has its event to come */
        settle_ending(model, request->sock);
        result = pal_submit(model->polls[request->poll].handle, &request->op);
    }
    request->is_held_up = expected == 1 && result == 0 && faults_are_on();
    REQUIRE(result == expected || (expected < 0 && (result == 0 || result == 1)) || request->is_held_up ||
                (result == 1 && is_fault(request->op.result)),
            "pal_submit is %d, not %d", result, expected);
    request->out = true;
    sock_join(model, sock, request->poll);
    *(writes ? &sock->writer : &sock->reader) = request;
    if (result == 1) {
        request_finish(model, request, request->op.result, text);
        request->is_open ? trace_free(" -> %s", text) : trace_fixed(" -> %s", text);
    }
    settle_ending(model, request->sock);
    if (!request->is_held_up || !request->out)
        return result;
    settle(model, request->poll, 0); /* so that it has done what it would have done at once */
    return 1;
}

void step_submit_receive(struct model *model, const struct step *step)
{
    bool messages = step->choice % 3 == 0 && end_of(model, &model->socks[step->sock])->kind != PIPE;
    struct request *request = prepare(model, step, messages ? PAL_OP_RECV_MSG : PAL_OP_RECV);
    struct end *end = end_of(model, &model->socks[step->sock]);

    request->size = step->size;
    request->op.flags = (uint16_t)step->flags;
    if (messages) {
        messages_make(request->msgs, request->iov, request->buffer, (int)step->count, step->size, step->choice);
        request->op.aux = request->msgs;
        request->op.size = step->count;
    } else {
        request->op.buf = request->buffer;
        request->op.size = step->size;
    }
    trace_fixed(" %u of %u flags %x", messages ? step->count : 1, step->size, step->flags);
    arrive(model, model->socks[step->sock].end);
    submit(model, request, step->flags & PAL_OP_TRY && level_in(end) == SURELY ? 1 : 0);
}

/* Bytes of the piece (a message, a lease) that is to be sent behind so many others of so many bytes. */
static void make_piece(const struct end *to, int pieces, uint64_t bytes, void *out, uint32_t size)
{
    uint64_t position =
        kind_is_stream(to->kind) ? to->in.sent + bytes : record_position(to->in.sent + (uint64_t)pieces);

    bytes_make(to->in.key, position, out, size);
}

static void fill_messages(struct request *request, const struct step *step, const struct end *to)
{
    int count = request->op.kind == PAL_OP_SEND ? 1 : (int)step->count;

    for (int i = 0; i < count; i++) {
        uint64_t before = (uint64_t)i * step->size;

        make_piece(to, i, before, request->buffer + before, step->size);
        request->sizes[i] = step->size;
    }
    request->size = (uint64_t)count * step->size;
    request->op.buf = request->buffer;
    request->op.size = step->size;
    if (request->op.kind == PAL_OP_SEND)
        return;
    messages_make(request->msgs, request->iov, request->buffer, count, step->size, step->choice);
    request->op.aux = request->msgs;
    request->op.size = (uint64_t)count;
}

/* Leases that the program holds, with new bytes in them. */
static void fill_leases(struct model *model, struct request *request, const struct step *step, const struct end *to)
{
    int count = 0;

    for (int i = 0; i < LENT_MAX && count < (int)step->count; i++) {
        struct lent *lent = &model->lent[i];

        if (!lent_sendable(lent))
            continue;
        make_piece(to, count, request->size, lent->lease.data, lent->lease.size);
        lent->pinned = true;
        request->lent[count] = i;
        request->sizes[count] = lent->lease.size;
        request->leases[count++] = lent->lease;
        request->size += lent->lease.size;
    }
    request->op.buf = request->leases;
    request->op.size = (uint64_t)count;
}

/* The bytes to be sent are in a file of their own: what is on its way may still be the file's, and change with it. */
static void fill_file(struct model *model, struct request *request, const struct step *step, const struct end *to)
{
    const uint32_t flags = PAL_FILE_READ | PAL_FILE_WRITE | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE;

    REQUIRE(pal_file_open(model->sendfile_path, flags, 0600, &request->file) == 0, "a file cannot be made");
    REQUIRE(remove(model->sendfile_path) == 0, "a file cannot be removed");
    request->size = request->op.size = step->size;
    request->op.offset = step->choice % RECORD_SIZE_MAX;
    request->op.aux = &request->file;
    bytes_make(to->in.key, to->in.sent, request->buffer, step->size);
    REQUIRE(pal_file_write(request->file, request->buffer, step->size, request->op.offset) == (int32_t)step->size,
            "a file cannot be written");
}

/* What an op holds that was refused. */
static void give_up(struct model *model, struct request *request)
{
    if (request->op.kind == PAL_OP_SEND_LEASE) /* still the program's, but their bytes are not what they were */
        return_leases(model, request, 0);
    if (request->file.id != 0)
        REQUIRE(pal_file_close(request->file) == 0, "a file that no op is out on cannot be closed");
    request->file.id = 0;
}

void step_submit_send(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct request *request = prepare(model, step, (uint8_t)step->flags);
    struct end *to = &model->ends[end_of(model, sock)->peer];
    bool taken = side_taken(sock, step->poll, true), full = to->in.amount == FULL;

    if (request->op.kind == PAL_OP_SEND_LEASE)
        fill_leases(model, request, step, to);
    else if (request->op.kind == PAL_OP_SENDFILE)
        fill_file(model, request, step, to);
    else
        fill_messages(request, step, to);
    trace_fixed(" %llu bytes in %llu", (unsigned long long)request->size, (unsigned long long)request->op.size);
    if (submit(model, request, full ? 0 : 1) == 0)
        to->in.may = request->size;
    if (taken)
        give_up(model, request);
}

/* More than there is room for: the op gets on as its peer reads. */
void step_submit_bulk(struct model *model, const struct step *step)
{
    const struct end *end = end_of(model, &model->socks[step->sock]);
    struct request *request = prepare(model, step, (uint8_t)step->flags);
    struct end *to = &model->ends[end->peer];
    int result;

    if (request->op.kind == PAL_OP_SENDFILE)
        fill_file(model, request, step, to);
    else
        fill_messages(request, step, to);
    to->in.amount = UNTOLD;
    to->in.may = request->size;
    request->is_open = kind_is_tcp(end->kind); /* has it room for all? */
    result = submit(model, request, request->is_open ? -1 : 0);
    trace_free(" %d", result);
    spurious_allowed(model, model->socks[step->sock].end, PAL_OUT);
    if (!request->is_open)
        return;
    drain(model, step->other); /* so that the op has ended, one way or the other */
    if (result == 1)
        settle(model, step->poll, 0); /* as what else is due there has been told, had the op been out */
}

/* What is left of an op's leases goes back, or the op begins with it. */
static void send_the_rest(struct model *model, struct request *request, int gone, bool begin)
{
    int count = PARTS_MAX - gone;

    memmove(request->leases, request->leases + gone, (size_t)count * sizeof(request->leases[0]));
    memmove(request->lent, request->lent + gone, (size_t)count * sizeof(request->lent[0]));
    request->op.buf = request->leases;
    request->op.size = (uint64_t)count;
    for (int i = 0; i < count; i++) {
        model->lent[request->lent[i]].pinned = true;
        request->sizes[i] = request->leases[i].size;
        request->size += request->leases[i].size;
    }
    if (!begin) {
        return_leases(model, request, 0);
        return;
    }
    flow_out(model, end_of(model, &model->socks[request->sock]))->may = request->size;
    submit(model, request, 0);
}

/* The bytes that lease_send took of leases, of size bytes each: whole ones, and part of the next. */
static uint64_t taken_of(const struct pal_lease *before, const struct pal_lease *after, int count, int whole)
{
    uint64_t moved = 0;

    for (int i = 0; i < count; i++) {
        uint32_t gone = i < whole ? before[i].size : before[i].size - after[i].size;

        REQUIRE(i <= whole || gone == 0, "lease_send has taken of lease %d, and of the one before it not all", i);
        REQUIRE(i < whole || after[i].data == before[i].data + gone, "a lease that went in part is not advanced");
        moved += gone;
    }
    return moved;
}

/* More leases than there is room for: some go, one in part; the rest goes back, or an op brings it on its way. */
void step_lease_bulk(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *to = &model->ends[end_of(model, sock)->peer];
    struct request *request = prepare(model, step, PAL_OP_SEND_LEASE);
    uint32_t size = model->polls[step->other].lease_size;
    struct pal_lease before[PARTS_MAX];
    int result = pal_lease_reserve(model->polls[step->other].handle, before, PARTS_MAX, size);
    uint64_t moved;

    REQUIRE(result == 0, "lease_reserve is %s", pal_error_name(result));
    for (int i = 0; i < PARTS_MAX; i++) {
        request->lent[i] = hold_lease(model, &before[i], step->other, NONE);
        bytes_make(to->in.key, to->in.sent + (uint64_t)i * size, before[i].data, size);
        request->leases[i] = before[i];
    }
    result = pal_lease_send(sock->handle, request->leases, PARTS_MAX);
    REQUIRE(result >= 0 && result < PARTS_MAX, "lease_send of more than there is room for is %d", result);
    moved = taken_of(before, request->leases, PARTS_MAX, result);
    trace_free(" %llu", (unsigned long long)moved);
    for (int i = 0; i < result; i++)
        lent_return(model, request->lent[i]);
    sent(model, sock->end, end_of(model, sock)->peer, moved);
    to->in.amount = UNTOLD;
    spurious_allowed(model, sock->end, PAL_OUT);
    send_the_rest(model, request, result, step->choice & 1);
}

void step_submit_accept(struct model *model, const struct step *step)
{
    struct request *request = prepare(model, step, PAL_OP_ACCEPT);
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);

    request->op.aux = &request->accepted;
    request->op.flags = (uint16_t)step->flags;
    trace_fixed(" flags %x", step->flags);
    arrive(model, sock->end);
    if (submit(model, request, step->flags & PAL_OP_TRY && level_in(end) == SURELY ? 1 : 0) == 1 &&
        request->accepted.id != 0) { /* else a wait has ended it, and has it */
        trace_fixed(" s%d", hold(model, request->accepted, request->accepted_end));
        request->accepted.id = 0;
    }
}

void step_submit_connect(struct model *model, const struct step *step)
{
    struct request *request = prepare(model, step, PAL_OP_CONNECT);
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    struct pal_wait item = {.sock = sock->handle, .interest = PAL_OUT};

    trace_fixed(" to s%d", step->other);
    request->address =
        step->other == NONE ? nobodys_address(end->kind) : end_of(model, &model->socks[step->other])->address;
    request->op.aux = &request->address;
    if (side_taken(sock, step->poll, true)) {
        submit(model, request, 0);
        return;
    }
    end->stage = step->other == NONE ? REFUSED : CONNECTED;
    if (submit(model, request, -1) == 0)
        for (int i = 0; i < 500 && item.ready == 0; i++)
            pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10000000);
    if (step->other != NONE)
        connected(model, step->sock, step->other);
}

/* ---- cancel ---- */

void step_cancel(struct model *model, const struct step *step)
{
    struct request *request = &model->requests[step->request];
    int poll = request->out ? request->poll : step->poll;
    int result = pal_cancel(model->polls[poll].handle, &request->op);

    trace_fixed(" r%d%s", step->request, request->out ? "" : " idle");
    REQUIRE(result == 0, "pal_cancel is %d", result);
    if (!request->out)
        return;
    request_cancelled(model, request);
    if (request->op.kind == PAL_OP_CONNECT) { /* good for close only */
        struct end *end = end_of(model, &model->socks[request->sock]);

        end->stage = REFUSED;
        end_taint(model, model->socks[request->sock].end);
        if (end->peer != NONE)
            end_taint(model, end->peer);
    }
}
