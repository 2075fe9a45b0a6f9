/* execute_life.c: handles come and go: open, pair, listen, connect, accept, dup, release, shutdown, close. Rules 2, 7
 * and 13 of docs/seam.md, and what it says of connecting. */
#include <pal/address.h>
#include <stdio.h>
#include <string.h>

#include "execute.h"

/* ---- handles ---- */

int hold(struct model *model, pal_sock handle, int end)
{
    int place = sock_free(model);
    struct sock *sock = &model->socks[place];

    REQUIRE(place != NONE, "the backend gives a handle beyond socks_max");
    REQUIRE(handle.id != 0 && handle.id != model->stale.id, "a new handle is none or an old one");
    for (int i = 0; i < SOCKS_MAX; i++)
        REQUIRE(!model->socks[i].live || model->socks[i].handle.id != handle.id, "a new handle is that of s%d", i);
    memset(sock, 0, sizeof(*sock));
    sock->live = true;
    sock->handle = handle;
    sock->end = end;
    sock->life = model_number(model);
    sock->poll = NONE;
    model->ends[end].handles++;
    return place;
}

static void drop(struct model *model, int index)
{
    struct sock *sock = &model->socks[index];
    struct end *end = end_of(model, sock);

    strike_out(model, sock->life);
    model->stale = sock->handle;
    sock->live = false;
    if (--end->handles == 0)
        end_close(model, sock->end);
}

/* What a call gives that makes handles, of which there may be too many. */
static int room_for(const struct model *model, int count)
{
    return handle_count(model) + count <= SOCKS_MAX ? 0 : PAL_ENOBUFS;
}

static void check_result(const char *what, int result, int expected)
{
    trace_fixed(" -> %d", expected);
    REQUIRE(result == expected, "%s is %s, not %s", what, pal_error_name(result), pal_error_name(expected));
}

static void set_int(pal_sock handle, uint32_t option, int32_t value)
{
    int result = pal_sock_set(handle, option, &value, sizeof(value));

    REQUIRE(result == 0, "option %u cannot be set: %s", option, pal_error_name(result));
}

static struct pal_addr name_of(pal_sock handle, int which)
{
    struct pal_addr addr;
    int result = pal_sock_name(handle, which, &addr);

    REQUIRE(result == 0, "pal_sock_name: %s", pal_error_name(result));
    return addr;
}

/* An address of this kind that is free to be bound. */
static struct pal_addr free_address(enum kind kind)
{
    static uint32_t count;
    struct pal_addr addr;
    uint64_t process = 0;

    if (kind_family(kind) != PAL_AF_UNIX) {
        REQUIRE(pal_addr_set_loopback(&addr, kind_family(kind), 0) == 0, "no loopback address");
        return addr;
    }
    pal_info(PAL_INFO_PROCESS_ID, &process);
    memset(&addr, 0, sizeof(addr));
    addr.family = PAL_AF_UNIX;
    addr.size = (uint8_t)(1 + snprintf((char *)addr.bytes + 1, sizeof(addr.bytes) - 1, "palio-differential-%llu-%u",
                                       (unsigned long long)process, ++count));
    return addr;
}

/* ---- open and pair ---- */

static int open_sock(struct model *model, enum kind kind, enum stage stage)
{
    pal_sock handle = {0};
    int expected = room_for(model, 1), sock;

    check_result("pal_sock_open", try_open(kind, &handle), expected);
    if (expected != 0)
        return NONE;
    sock = hold(model, handle, end_new(model, kind, stage));
    trace_fixed(" s%d", sock);
    if (kind_is_tcp(kind))
        set_int(handle, PAL_SO_NODELAY, 1); /* or small sends wait for an acknowledgement */
    return sock;
}

static void bind_sock(struct model *model, int sock)
{
    struct end *end = end_of(model, &model->socks[sock]);
    struct pal_addr addr = free_address(end->kind);
    int result = pal_sock_bind(model->socks[sock].handle, &addr);

    REQUIRE(result == 0, "pal_sock_bind: %s", pal_error_name(result));
    end->bound = true;
    end->address = name_of(model->socks[sock].handle, PAL_NAME_LOCAL);
    REQUIRE(end->address.family == kind_family(end->kind), "a bound socket has a name of another family");
}

void step_open(struct model *model, const struct step *step)
{
    int sock;

    trace_fixed(" %s", kind_name(step->sort));
    sock = open_sock(model, step->sort, kind_connects(step->sort) ? FRESH : CONNECTED);
    if (sock != NONE && step->sort == UDP4)
        bind_sock(model, sock);
}

static void pair_udp(struct model *model)
{
    int a = open_sock(model, UDP4, CONNECTED), b = a == NONE ? NONE : open_sock(model, UDP4, CONNECTED);

    if (b == NONE)
        return;
    bind_sock(model, a);
    bind_sock(model, b);
    for (int i = 0; i < 2; i++) {
        const struct end *other = end_of(model, &model->socks[i ? a : b]);
        int result = pal_sock_connect(model->socks[i ? b : a].handle, &other->address);

        REQUIRE(result == 0, "a datagram socket's pal_sock_connect: %s", pal_error_name(result));
    }
    end_join(model, model->socks[a].end, model->socks[b].end);
}

void step_pair(struct model *model, const struct step *step)
{
    pal_sock handles[2] = {{0}, {0}};
    int expected = room_for(model, 2), ends[2], socks[2];

    trace_fixed(" %s", kind_name(step->sort));
    if (step->sort == UDP4) {
        pair_udp(model);
        return;
    }
    check_result("pal_sock_pair",
                 step->sort == PIPE ? pal_pipe(handles, 0)
                                    : pal_sock_pair(kind_family(step->sort), kind_type(step->sort), handles),
                 expected);
    if (expected != 0)
        return;
    for (int i = 0; i < 2; i++) {
        ends[i] = end_new(model, step->sort, CONNECTED);
        socks[i] = hold(model, handles[i], ends[i]);
        trace_fixed(" s%d", socks[i]);
    }
    end_join(model, ends[0], ends[1]);
    model->ends[ends[0]].writes = model->ends[ends[1]].reads = step->sort != PIPE;
}

/* ---- listen, connect, accept ---- */

void step_listen(struct model *model, const struct step *step)
{
    struct end *end = end_of(model, &model->socks[step->sock]);

    trace_fixed(" s%d", step->sock);
    bind_sock(model, step->sock);
    check_result("pal_sock_listen", pal_sock_listen(model->socks[step->sock].handle, (int)step->size), 0);
    end->stage = LISTENING;
}

static pal_sock nobodies[KINDS]; /* bound TCP sockets that do not listen */

void nobody_open(enum kind kind)
{
    struct pal_addr addr = free_address(kind);

    REQUIRE(try_open(kind, &nobodies[kind]) == 0 && pal_sock_bind(nobodies[kind], &addr) == 0,
            "no address that refuses connections");
}

void nobody_close(enum kind kind)
{
    REQUIRE(pal_sock_close(nobodies[kind]) == 0, "a socket that is idle cannot be closed");
}

struct pal_addr nobodys_address(enum kind kind)
{
    return kind_is_tcp(kind) ? name_of(nobodies[kind], PAL_NAME_LOCAL) : free_address(kind);
}

void connected(struct model *model, int sock, int listener)
{
    int client = model->socks[sock].end, server;
    struct end *queue = &model->ends[model->socks[listener].end];

    server = end_new(model, queue->kind, CONNECTED);
    end_join(model, client, server);
    queue->backlog[queue->backlog_count++] = server;
    queue->unsettled = true;
    if (kind_is_tcp(queue->kind)) {
        model->ends[client].address = name_of(model->socks[sock].handle, PAL_NAME_LOCAL);
        model->ends[server].address = queue->address;
    }
}

/* Waits until the connect of a sock is decided. */
static int outcome_of(pal_sock handle)
{
    struct pal_wait item = {.sock = handle, .interest = PAL_OUT};
    int32_t outcome = 0;
    size_t size = sizeof(outcome);

    for (int i = 0; i < 500 && item.ready == 0; i++)
        REQUIRE(pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 10000000) >= 0, "pal_sock_wait fails");
    REQUIRE(item.ready != 0, "a connect on loopback is never decided");
    REQUIRE(pal_sock_get(handle, PAL_SO_ERROR, &outcome, &size) == 0, "PAL_SO_ERROR cannot be read");
    return outcome;
}

void step_connect(struct model *model, const struct step *step)
{
    pal_sock handle = model->socks[step->sock].handle;
    struct end *end = end_of(model, &model->socks[step->sock]);
    struct pal_addr addr;
    int result, expected = step->other == NONE ? PAL_ECONNREFUSED : 0;

    trace_fixed(" s%d to s%d", step->sock, step->other);
    addr = step->other == NONE ? nobodys_address(end->kind) : end_of(model, &model->socks[step->other])->address;
    result = pal_sock_connect(handle, &addr);
    trace_free(" %d", result);
    if (result == PAL_EINPROGRESS)
        result = outcome_of(handle);
    check_result("pal_sock_connect", result, expected);
    if (result == 0)
        connected(model, step->sock, step->other);
    else
        end->stage = REFUSED;
}

int accepted_end(struct model *model, int listener)
{
    struct end *queue = &model->ends[listener];
    int end = queue->backlog[0];

    queue->backlog_count--;
    memmove(queue->backlog, queue->backlog + 1, (size_t)queue->backlog_count * sizeof(queue->backlog[0]));
    model->ends[end].unsettled = true;
    return end;
}

void step_accept(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *queue = end_of(model, sock);
    const struct end *client = NULL;
    struct pal_addr addr;
    pal_sock handle = {0};
    int expected = room_for(model, 1) != 0 ? PAL_ENOBUFS : queue->backlog_count > 0 ? 0 : PAL_EAGAIN;

    trace_fixed(" s%d", step->sock);
    arrive(model, sock->end);
    check_result("pal_sock_accept", try_accept(sock->handle, &handle, step->flags ? &addr : NULL), expected);
    if (expected != 0)
        return;
    if (model->ends[queue->backlog[0]].peer != NONE)
        client = &model->ends[model->ends[queue->backlog[0]].peer];
    if (step->flags && kind_is_tcp(queue->kind) && client != NULL)
        REQUIRE(pal_addr_equal(&addr, &client->address), "accept tells another address than the client's");
    trace_fixed(" s%d", hold(model, handle, accepted_end(model, sock->end)));
    spurious_allowed(model, sock->end, PAL_IN);
}

/* ---- dup, release and adopt, close, shutdown, names ---- */

void step_duplicate(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    pal_sock handle = {0};
    int expected = room_for(model, 1), twin;

    trace_fixed(" s%d", step->sock);
    check_result("pal_sock_dup", pal_sock_dup(sock->handle, &handle), expected);
    if (expected != 0)
        return;
    twin = hold(model, handle, sock->end);
    model->ends[sock->end].exported = true;
    model->socks[twin].shared = sock->shared;
    trace_fixed(" s%d", twin);
}

/* A cancelled op whose event is still to come: whether its socket is idle already is open. */
static void close_with_op(struct model *model, int sock)
{
    if (pal_sock_close(model->socks[sock].handle) == 0) {
        drop(model, sock);
        settle_ending(model, sock);
        trace_fixed(" -> 0");
        return;
    }
    settle_ending(model, sock);
    check_result("pal_sock_close", pal_sock_close(model->socks[sock].handle), 0);
    drop(model, sock);
}

/* A user-space stack has no descriptors to give, and refuses to. A duplicate takes the place of what would have come of
 * it: so the program goes on as it does elsewhere. */
static pal_sock instead(pal_sock handle, int result)
{
    pal_sock twin = {0};

    REQUIRE(result == PAL_ENOTSUP && pal_reason()[0] != '\0',
            "a socket without a descriptor gives one, or no reason: %s", pal_error_name(result));
    REQUIRE((result = pal_sock_dup(handle, &twin)) == 0, "pal_sock_dup is %s", pal_error_name(result));
    return twin;
}

/* A handle goes to the other end of a unix socket, where it is a second one of the same end. */
void step_pass(struct model *model, const struct step *step)
{
    const struct sock *from = &model->socks[step->sock], *to = &model->socks[step->other];
    const struct sock *passed = &model->socks[step->lent];
    bool welcome = step->flags & 1;
    uint8_t byte = 0;
    struct pal_iov iov = {&byte, 1};
    pal_sock sent_sock = passed->handle, got = {0};
    struct pal_msg out, in;
    int twin;

    trace_fixed(" s%d from s%d to s%d welcome %d", step->lent, step->sock, step->other, welcome);
    memset(&out, 0, sizeof(out));
    out.iov = &iov;
    out.iov_count = 1;
    out.want = PAL_META_SOCKS;
    in = out;
    out.socks = &sent_sock;
    out.socks_count = 1;
    in.socks = &got;
    in.socks_max = 1;
    set_int(to->handle, PAL_SO_PASS, welcome);
    if (model->is_in_stack[model->ends[passed->end].kind]) {
        got = instead(passed->handle, pal_sock_send_msgs(from->handle, &out, 1, 0));
        if (!welcome)
            REQUIRE(pal_sock_close(got) == 0, "a duplicate cannot be closed");
    } else {
        REQUIRE(pal_sock_send_msgs(from->handle, &out, 1, 0) == 1 && out.size == 1, "a handle cannot be passed");
        REQUIRE(pal_sock_recv_msgs(to->handle, &in, 1, 0) == 1 && in.size == 1, "what was passed does not arrive");
        REQUIRE(in.socks_count == welcome && !(in.flags & PAL_MSG_CTRUNC) == welcome,
                "%u handles arrive, with flags %x", in.socks_count, in.flags);
    }
    set_int(to->handle, PAL_SO_PASS, 0);
    model->ends[passed->end].exported = true;
    if (!welcome)
        return;
    twin = hold(model, got, passed->end);
    model->socks[twin].shared = true;
    trace_fixed(" s%d", twin);
}

void step_close(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    int expected = sock_busy(sock) ? PAL_EBUSY : 0;

    trace_fixed(" s%d", step->sock);
    if (sock->ending > 0 && expected == 0) {
        close_with_op(model, step->sock);
        return;
    }
    check_result("pal_sock_close", pal_sock_close(sock->handle), expected);
    if (expected == 0)
        drop(model, step->sock);
    else
        REQUIRE(pal_reason()[0] != '\0', "pal_sock_close refuses without a reason");
}

/* Gives the descriptor back and adopts it again: another handle of the same end. */
void step_release(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    int expected = sock_busy(sock) ? PAL_EBUSY : 0, end = sock->end, again;
    uint32_t flags = step->flags ? PAL_ADOPT_SHARED : 0;
    bool refused = model->is_in_stack[model->ends[end].kind];
    intptr_t native = -1;
    pal_sock handle = {0};
    int result = pal_sock_release(sock->handle, &native);

    trace_fixed(" s%d flags %u", step->sock, flags);
    if (refused) {
        handle = instead(sock->handle, result);
        result = pal_sock_close(sock->handle); /* PAL_EBUSY, too */
        if (result != 0)
            REQUIRE(pal_sock_close(handle) == 0, "a duplicate cannot be closed");
    }
    check_result("pal_sock_release", result, expected);
    if (expected != 0)
        return;
    model->ends[end].handles++; /* meanwhile the descriptor is ours */
    drop(model, step->sock);
    check_result("pal_sock_adopt", refused ? 0 : pal_sock_adopt(native, flags, &handle), 0);
    again = hold(model, handle, end);
    model->ends[end].handles--;
    model->socks[again].shared = flags != 0;
    trace_fixed(" s%d", again);
}

void step_shutdown(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    struct flow *out = flow_out(model, end);

    trace_fixed(" s%d how %u", step->sock, step->flags);
    check_result("pal_sock_shutdown", pal_sock_shutdown(sock->handle, (int)step->flags), 0);
    if (step->flags != PAL_SHUT_WR) { /* what is done with bytes that nobody may read any more differs */
        end_taint(model, sock->end);
        if (end->peer != NONE)
            end_taint(model, end->peer);
    }
    if (step->flags != PAL_SHUT_RD) {
        end->shut_write = true;
        if (out != NULL) {
            out->ended = true;
            model->ends[end->peer].unsettled = true;
        }
    }
}

void step_name(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    struct pal_addr addr;
    int result;

    trace_fixed(" s%d", step->sock);
    result = pal_sock_name(sock->handle, PAL_NAME_LOCAL, &addr);
    check_result("pal_sock_name", result, end->kind == PIPE ? PAL_ENOTSOCK : 0);
    if (result == 0) {
        trace_fixed(" family %u", addr.family);
        REQUIRE(addr.family == kind_family(end->kind), "its name is of another family");
        REQUIRE(!end->bound || pal_addr_equal(&addr, &end->address), "its name has changed");
    }
    if (end->stage == FRESH || (end->kind == UDP4 && end->peer == NONE && !end->orphan)) {
        check_result("pal_sock_name", pal_sock_name(sock->handle, PAL_NAME_PEER, &addr), PAL_ENOTCONN);
    } else if (end->stage == CONNECTED && end->peer != NONE && !end->tainted && !end->in.ended &&
               (kind_is_tcp(end->kind) || end->kind == UDP4)) {
        check_result("pal_sock_name", pal_sock_name(sock->handle, PAL_NAME_PEER, &addr), 0);
        REQUIRE(pal_addr_equal(&addr, &model->ends[end->peer].address), "its peer's name is not the peer's");
    }
}
