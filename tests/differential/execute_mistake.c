/* execute_mistake.c: calls that must fail and change nothing, and options, which are kept. Rules 2, 6, 13 and 16. */
#include <string.h>

#include "execute.h"

static void refused(const char *what, int64_t result, int expected, bool with_reason)
{
    trace_fixed(" %s", what);
    if (is_fault(result) && expected != PAL_EBADF) /* it comes before the arguments are looked at */
        return;
    REQUIRE(result == expected, "%s: %s, not %s", what, pal_error_name((int)result), pal_error_name(expected));
    REQUIRE(!with_reason || pal_reason()[0] != '\0', "%s is refused without a reason", what);
}

/* ---- stale handles ---- */

static void use_stale(struct model *model, pal_sock stale, const struct step *step)
{
    pal_poll *poll = model->polls[step->poll].handle;
    struct pal_lease lease;
    struct pal_addr addr;
    struct pal_op op;
    pal_sock out = {0};
    uint8_t byte = 0;
    int32_t value = 0;
    size_t size = sizeof(value);
    intptr_t native;

    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_RECV;
    op.sock = stale;
    op.buf = &byte;
    op.size = 1;
    refused("recv", pal_sock_recv(stale, &byte, 1, 0), PAL_EBADF, false);
    refused("send", pal_sock_send(stale, &byte, 1, 0), PAL_EBADF, false);
    refused("close", pal_sock_close(stale), PAL_EBADF, false);
    refused("watch", pal_watch(poll, stale, PAL_IN, 1), PAL_EBADF, false);
    refused("unwatch", pal_watch(poll, stale, 0, 1), PAL_EBADF, false);
    refused("submit", pal_submit(poll, &op), PAL_EBADF, false);
    refused("accept", pal_sock_accept(stale, &out, NULL), PAL_EBADF, false);
    refused("dup", pal_sock_dup(stale, &out), PAL_EBADF, false);
    refused("release", pal_sock_release(stale, &native), PAL_EBADF, false);
    refused("shutdown", pal_sock_shutdown(stale, PAL_SHUT_RDWR), PAL_EBADF, false);
    refused("listen", pal_sock_listen(stale, 1), PAL_EBADF, false);
    refused("name", pal_sock_name(stale, PAL_NAME_LOCAL, &addr), PAL_EBADF, false);
    refused("get", pal_sock_get(stale, PAL_SO_ERROR, &value, &size), PAL_EBADF, false);
    refused("set", pal_sock_set(stale, PAL_SO_KEEPALIVE, &value, sizeof(value)), PAL_EBADF, false);
    refused("lease_recv", pal_lease_recv(stale, &lease, 1), PAL_EBADF, false);
}

/* ---- bad arguments on good handles ---- */

static void watch_badly(struct model *model, const struct step *step)
{
    static const struct {
        uint32_t interest;
        int expected;
    } bad[] = {
        {PAL_IN | 0x4000, PAL_EINVAL}, {PAL_ERR, PAL_EINVAL},     {PAL_ONCE, PAL_EINVAL},
        {PAL_LEASE, PAL_EINVAL},       {PAL_HUP, PAL_EINVAL},     {PAL_LEASE | PAL_OUT, PAL_EINVAL},
        {PAL_STARVED, PAL_EINVAL},     {0x80000000u, PAL_EINVAL}, {PAL_IN | PAL_LEASE | PAL_EDGE, PAL_ENOTSUP},
    };
    uint64_t i = step->choice % (sizeof(bad) / sizeof(bad[0]));

    trace_fixed(" %x", bad[i].interest);
    refused("watch", pal_watch(model->polls[step->poll].handle, model->socks[step->sock].handle, bad[i].interest, 0),
            bad[i].expected, true);
}

static void submit_badly(struct model *model, const struct step *step)
{
    const uint8_t kinds[] = {
        0, 200, PAL_OP_RECV, PAL_OP_SEND, PAL_OP_ACCEPT, PAL_OP_CONNECT, PAL_OP_RECV_MSG, PAL_OP_SEND_LEASE};
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.kind = kinds[step->choice % sizeof(kinds)];
    op.sock = model->socks[step->sock].handle;
    op.size = 1;
    trace_fixed(" %u", op.kind);
    refused("submit", pal_submit(model->polls[step->poll].handle, &op), PAL_EINVAL, true);
    REQUIRE(op.state == 0, "an op that was refused is not idle");
}

/* Rule 6, whichever poll is asked. */
static void submit_beside(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    pal_poll *poll = model->polls[step->poll].handle;
    uint8_t byte = 0;
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.sock = sock->handle;
    op.buf = &byte;
    op.size = 1;
    op.kind = PAL_OP_RECV;
    if (sock_reads(sock))
        refused("second reader", pal_submit(poll, &op), PAL_EBUSY, true);
    op.kind = PAL_OP_SEND;
    if (sock->writer != NULL || sock->interest & PAL_OUT)
        refused("second writer", pal_submit(poll, &op), PAL_EBUSY, true);
    REQUIRE(op.state == 0, "an op that was refused is not idle");
}

static void transfer_badly(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    bool pipe = model->ends[sock->end].kind == PIPE;
    struct pal_msg msg;
    uint8_t byte = 0;

    memset(&msg, 0, sizeof(msg));
    msg.iov_count = PAL_IOV_MAX + 1;
    refused("recv", pal_sock_recv(sock->handle, &byte, 1, 0x80000000u), PAL_EINVAL, true);
    refused("send", pal_sock_send(sock->handle, &byte, 1, PAL_MSG_PEEK), PAL_EINVAL, true);
    refused("recv_msgs", pal_sock_recv_msgs(sock->handle, &msg, 0, 0), PAL_EINVAL, true);
    refused("send_msgs", pal_sock_send_msgs(sock->handle, &msg, 1, 0), PAL_EINVAL, true);
    if (pipe) {
        refused("recv", pal_sock_recv(sock->handle, &byte, 1, PAL_MSG_PEEK), PAL_ENOTSUP, true);
        msg.iov_count = 0;
        refused("send_msgs", pal_sock_send_msgs(sock->handle, &msg, 1, 0), PAL_ENOTSOCK, false);
        refused("shutdown", pal_sock_shutdown(sock->handle, PAL_SHUT_WR), PAL_ENOTSOCK, false);
    }
    refused("shutdown", pal_sock_shutdown(sock->handle, 7), PAL_EINVAL, true);
    refused("lease_recv", pal_lease_recv(sock->handle, NULL, 1), PAL_EINVAL, true);
    refused("lease_send", pal_lease_send(sock->handle, NULL, 1), PAL_EINVAL, true);
}

static void set_badly(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    bool pipe = model->ends[sock->end].kind == PIPE;
    int32_t two = 2;
    size_t small = 1;

    refused("set", pal_sock_set(sock->handle, 9999, &two, sizeof(two)), PAL_ENOTSUP, true);
    refused("get", pal_sock_get(sock->handle, 9999, &two, &small), PAL_ENOTSUP, true);
    refused("set", pal_sock_set(sock->handle, PAL_SO_TYPE, &two, sizeof(two)), PAL_ENOTSUP, true);
    refused("set", pal_sock_set(sock->handle, PAL_SO_KEEPALIVE, &two, sizeof(two)), pipe ? PAL_ENOTSUP : PAL_EINVAL,
            true);
    refused("set", pal_sock_set(sock->handle, PAL_SO_KEEPALIVE, &two, 1), pipe ? PAL_ENOTSUP : PAL_EINVAL, true);
    refused("get", pal_sock_get(sock->handle, PAL_SO_ERROR, &two, &small), PAL_EINVAL, true);
}

static void open_badly(void)
{
    const struct pal_config events = {.events_max = 1}, leases = {.lease_count = 70000}, size = {.lease_size = 1};
    pal_poll *poll = NULL;
    pal_sock sock = {0};

    refused("poll_open", pal_poll_open(&poll, &events), PAL_EINVAL, true);
    refused("poll_open", pal_poll_open(&poll, &leases), PAL_EINVAL, true);
    refused("poll_open", pal_poll_open(&poll, &size), PAL_EINVAL, true);
    refused("sock_open", pal_sock_open(NULL, PAL_AF_INET, 0, 0, &sock), PAL_EINVAL, true);
    refused("sock_adopt", pal_sock_adopt(-1, 0, &sock), PAL_EBADF, false);
    refused("pipe", pal_pipe(NULL, 0), PAL_EINVAL, true);
    refused("setup", pal_setup(NULL), PAL_EBUSY, true);
    refused("poll_close", pal_poll_close(NULL), 0, false);
}

/* What a socket is for is decided once. */
static void connect_again(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    struct pal_addr addr;

    if (!kind_connects(end->kind) || sock->writer != NULL)
        return;
    addr = nobodys_address(end->kind);
    if (end->stage == CONNECTED && end->peer != NONE && !end->tainted && !end->in.ended && end->handles > 0)
        refused("connect", pal_sock_connect(sock->handle, &addr), PAL_EISCONN, false);
    if (end->stage == REFUSED && !end->exported)
        refused("connect", pal_sock_connect(sock->handle, &addr), PAL_EINVAL, true);
}

void step_mistake(struct model *model, const struct step *step)
{
    const pal_sock forged = {model->socks[step->sock].handle.id ^ (UINT64_C(1) << (32 + step->count % 32))};

    trace_fixed(" s%d p%d", step->sock, step->poll);
    submit_beside(model, step);
    switch (step->size % 9) {
    case 0:
        use_stale(model, model->stale, step);
        break;
    case 1:
        use_stale(model, (pal_sock){0}, step);
        break;
    case 2:
        use_stale(model, forged, step);
        break;
    case 3:
        watch_badly(model, step);
        break;
    case 4:
        submit_badly(model, step);
        break;
    case 5:
        transfer_badly(model, step);
        break;
    case 6:
        set_badly(model, step);
        break;
    case 7:
        open_badly();
        break;
    default:
        connect_again(model, step);
    }
}

/* ---- options ---- */

static int32_t get_int(pal_sock sock, uint32_t option)
{
    int32_t value = -1;
    size_t size = sizeof(value);
    int result = pal_sock_get(sock, option, &value, &size);

    REQUIRE(result == 0 && size == sizeof(value), "option %u: %s, %zu bytes", option, pal_error_name(result), size);
    return value;
}

/* Sets an option, which both handles of an end see, and reads it. */
static void keep_option(pal_sock sock, uint32_t option, int32_t *kept, int32_t value)
{
    REQUIRE(*kept < 0 || get_int(sock, option) == *kept, "option %u is not what was set", option);
    REQUIRE(pal_sock_set(sock, option, &value, sizeof(value)) == 0, "option %u cannot be set", option);
    *kept = get_int(sock, option);
    REQUIRE(*kept == value, "option %u is set to %d and reads %d", option, value, *kept);
    trace_fixed(" %u=%d", option, value);
}

void step_option(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    pal_poll *owner = NULL;
    size_t size = sizeof(owner);

    trace_fixed(" s%d", step->sock);
    arrive(model, sock->end);
    REQUIRE(pal_sock_get(sock->handle, PAL_SO_OWNER, &owner, &size) == 0, "PAL_SO_OWNER cannot be read");
    REQUIRE(!sock_busy(sock) || owner == model->polls[sock->poll].handle, "s%d has another owner than its poll",
            step->sock);
    if (kind_is_stream(end->kind) && end->stage == CONNECTED && end->reads && !end->tainted &&
        end->in.amount == EXACT && end->in.may == 0)
        REQUIRE((uint64_t)get_int(sock->handle, PAL_SO_NREAD) == in_flight(&end->in), "NREAD of s%d is not %llu",
                step->sock, (unsigned long long)in_flight(&end->in));
    if (end->kind == PIPE)
        return;
    REQUIRE(get_int(sock->handle, PAL_SO_TYPE) == kind_type(end->kind), "its type has changed");
    REQUIRE(get_int(sock->handle, PAL_SO_FAMILY) == kind_family(end->kind), "its family has changed");
    REQUIRE(get_int(sock->handle, PAL_SO_LISTENING) == (end->stage == LISTENING), "does it listen?");
    if (end->stage == CONNECTED && !end->tainted && end->peer != NONE)
        REQUIRE(get_int(sock->handle, PAL_SO_ERROR) == 0, "s%d has an error", step->sock);
    if (end->tainted || end->stage == REFUSED)
        return;
    keep_option(sock->handle, PAL_SO_KEEPALIVE, &end->keepalive, (int32_t)(step->choice & 1));
    if (end->kind == TCP4 || end->kind == UDP4)
        keep_option(sock->handle, PAL_SO_TOS, &end->tos, (int32_t)(step->choice >> 8 & 0x1c) & ~3);
}
