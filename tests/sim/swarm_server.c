/* swarm_server.c: the echo service: each connection in one of three ways, by watch, by ops and by leases, in turn; and
 * datagrams. It knows nothing of the simulator. */
#include "swarm.h"

#include <pal/address.h>
#include <string.h>

enum { LINKS = 16, BUFFER = 1500, LEASES = 4, LISTENER = 1000, FEED = 1001 };
enum way { BY_WATCH, BY_OP, BY_LEASE, WAYS };

struct link {
    pal_sock sock;
    enum way way;
    bool is_open, is_out; /* an op is out */
    uint32_t interest;
    uint32_t size, sent; /* of what is to be sent back */
    uint8_t buffer[BUFFER];
    struct pal_op op;
    struct pal_lease leases[LEASES];
    int lease_count;
};

struct server {
    struct swarm *swarm;
    pal_poll *poll;
    pal_sock listener, feed;
    struct link links[LINKS];
    uint32_t accepted;
    bool paused;
};

static bool passes(int32_t result)
{
    return result == PAL_EAGAIN || result == PAL_ENOBUFS || result == PAL_EMFILE;
}

static void watch(struct server *server, struct link *link, uint32_t interest)
{
    if (interest == link->interest)
        return;
    if (pal_watch(server->poll, link->sock, interest, (uint64_t)(link - server->links)))
        swarm_fail(server->swarm, "a watch is refused: %s", pal_reason());
    link->interest = interest;
}

static void drop(struct server *server, struct link *link)
{
    watch(server, link, 0);
    pal_lease_release(server->poll, link->leases, link->lease_count);
    if (pal_sock_close(link->sock))
        swarm_fail(server->swarm, "a connection does not close: %s", pal_reason());
    *link = (struct link){.is_open = false};
}

/* ---- by watch ---- */

/* False: the connection has ended. */
static bool by_watch(struct server *server, struct link *link)
{
    if (link->sent == link->size) {
        int32_t result = pal_sock_recv(link->sock, link->buffer, sizeof link->buffer, 0);
        if (result <= 0)
            return passes(result);
        link->size = (uint32_t)result;
        link->sent = 0;
    }
    int32_t result = pal_sock_send(link->sock, link->buffer + link->sent, link->size - link->sent, 0);
    if (result < 0 && !passes(result))
        return false;
    link->sent += result > 0 ? (uint32_t)result : 0;
    watch(server, link, link->sent < link->size ? PAL_OUT : PAL_IN);
    return true;
}

/* ---- by ops ---- */

static bool submit(struct server *server, struct link *link, uint8_t kind, void *data, uint64_t size)
{
    link->op = (struct pal_op){.sock = link->sock, .data = (uint64_t)(link - server->links), .kind = kind};
    link->op.buf = data;
    link->op.size = size;
    int state = pal_submit(server->poll, &link->op);
    link->is_out = state == 0;
    return state >= 0;
}

/* The op has ended, or the first is to begin (kind 0). Ops that end at once are followed by the next. */
static bool by_op(struct server *server, struct link *link)
{
    for (;;) {
        uint8_t ended = link->op.kind;
        link->is_out = false;
        if (ended && link->op.result <= 0)
            return false;
        if (ended == PAL_OP_RECV) {
            link->size = (uint32_t)link->op.result;
            link->sent = 0;
        } else if (ended == PAL_OP_SEND) {
            link->sent += (uint32_t)link->op.result; /* less than all where memory ran short on the way */
        }
        bool good = link->sent < link->size
                        ? submit(server, link, PAL_OP_SEND, link->buffer + link->sent, link->size - link->sent)
                        : submit(server, link, PAL_OP_RECV, link->buffer, sizeof link->buffer);
        if (!good || link->is_out)
            return good;
    }
}

/* ---- by leases ---- */

static bool send_leases(struct server *server, struct link *link)
{
    int sent = pal_lease_send(link->sock, link->leases, link->lease_count);
    if (sent < 0 && !passes(sent))
        return false;
    if (sent > 0) {
        link->lease_count -= sent;
        memmove(link->leases, link->leases + sent, (size_t)link->lease_count * sizeof *link->leases);
    }
    watch(server, link, link->lease_count ? PAL_OUT : PAL_IN | PAL_LEASE);
    return true;
}

static bool by_lease(struct server *server, struct link *link)
{
    if (!link->lease_count) {
        int count = pal_lease_recv(link->sock, link->leases, LEASES);
        if (count <= 0)
            return passes(count);
        link->lease_count = count;
    }
    return send_leases(server, link);
}

/* ---- all ---- */

static void begin(struct server *server, pal_sock sock)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *link = &server->links[i];
        if (link->is_open)
            continue;
        *link = (struct link){.sock = sock, .way = (enum way)(server->accepted++ % WAYS), .is_open = true};
        if (link->way != BY_OP)
            watch(server, link, link->way == BY_WATCH ? PAL_IN : PAL_IN | PAL_LEASE);
        else if (!by_op(server, link))
            drop(server, link);
        return;
    }
    pal_sock_close(sock); /* too many */
}

static void accept_all(struct server *server)
{
    pal_sock sock;
    int error;
    while ((error = pal_sock_accept(server->listener, &sock, NULL)) == 0)
        begin(server, sock);
    if (!passes(error) && error != PAL_ECONNABORTED)
        swarm_fail(server->swarm, "accept: %s", pal_error_name(error));
}

static void echo_datagrams(struct server *server)
{
    uint8_t bytes[BUFFER];
    for (int i = 0; i < 8; i++) {
        struct pal_addr from;
        struct pal_iov iov = {bytes, sizeof bytes};
        struct pal_msg msg = {.iov = &iov, .iov_count = 1, .addr = &from};
        if (pal_sock_recv_msgs(server->feed, &msg, 1, 0) != 1)
            return;
        iov.size = (size_t)msg.size;
        pal_sock_send_msgs(server->feed, &msg, 1, 0); /* or it is lost, as datagrams are */
    }
}

static void handle(struct server *server, const struct pal_event *event)
{
    if (event->kind == PAL_EV_NONE || event->kind == PAL_EV_WAKE)
        return;
    if (event->data == LISTENER) {
        accept_all(server);
    } else if (event->data == FEED) {
        echo_datagrams(server);
    } else {
        struct link *link = &server->links[event->data];
        bool goes_on = link->way == BY_WATCH ? by_watch(server, link)
                       : link->way == BY_OP  ? by_op(server, link)
                                             : by_lease(server, link);
        if (!goes_on)
            drop(server, link);
    }
}

/* Tries again what a shortage has refused. */
static int open_one(pal_poll *poll, int type, pal_sock *out)
{
    struct pal_addr any;
    int error = PAL_ENOBUFS;
    for (int i = 0; i < 1000 && passes(error); i++)
        error = pal_sock_open(poll, PAL_AF_INET6, type, 0, out);
    if (error)
        return error;
    pal_addr_set_any(&any, PAL_AF_INET6, SWARM_PORT);
    int32_t off = 0, on = 1;
    pal_sock_set(*out, PAL_SO_V6ONLY, &off, sizeof off);
    pal_sock_set(*out, PAL_SO_REUSEADDR, &on, sizeof on);
    return pal_sock_bind(*out, &any);
}

static int open_all(struct server *server)
{
    struct pal_config config = {.events_max = 4, .lease_count = 8, .lease_size = 1000};
    int error = pal_poll_open(&server->poll, &config);
    error = error ? error : open_one(server->poll, PAL_SOCK_STREAM, &server->listener);
    error = error ? error : pal_sock_listen(server->listener, 8);
    error = error ? error : open_one(server->poll, PAL_SOCK_DGRAM, &server->feed);
    error = error ? error : pal_watch(server->poll, server->listener, PAL_IN, LISTENER);
    return error ? error : pal_watch(server->poll, server->feed, PAL_IN, FEED);
}

static void end_all(struct server *server)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *link = &server->links[i];
        if (link->is_open && link->is_out) {
            const struct pal_event *events;
            pal_cancel(server->poll, &link->op);
            for (int turn = 0; turn < 2; turn++)
                pal_poll_wait(server->poll, &events, 0);
        }
        if (link->is_open)
            drop(server, link);
    }
    pal_watch(server->poll, server->listener, 0, 0);
    pal_watch(server->poll, server->feed, 0, 0);
    pal_sock_close(server->listener);
    pal_sock_close(server->feed);
    if (pal_poll_close(server->poll))
        swarm_fail(server->swarm, "the poll does not close: %s", pal_reason());
}

int32_t swarm_server(void *argument)
{
    static struct server servers[2]; /* one is in use, and after a crash what it left is forgotten */
    struct server *server = &servers[0];
    *server = (struct server){.swarm = argument};
    int error = open_all(server);
    if (error) {
        swarm_fail(server->swarm, "the server does not begin: %s %s", pal_error_name(error), pal_reason());
        return error;
    }
    while (!server->swarm->stop) {
        const struct pal_event *events;
        int count = pal_poll_wait(server->poll, &events, pal_clock(PAL_CLOCK_MONOTONIC) + SECOND_NS);
        if (count < 0) {
            swarm_fail(server->swarm, "wait: %s", pal_error_name(count));
            break;
        }
        for (int i = 0; i < count; i++)
            handle(server, &events[i]);
    }
    end_all(server);
    return 0;
}
