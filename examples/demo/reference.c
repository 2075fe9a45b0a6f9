/* examples/demo/reference.c: the yardstick: the same trader written by hand on Linux's epoll, recv and send, without
 * Palio. It takes trader.c's place at link time and runs against the same exchange; decisions and messages are shared
 * (strategy.h, wire.h), everything else is what a good programmer would write for this one system. */
#define _GNU_SOURCE

#include "demo.h"
#include "report.h"
#include "strategy.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pal/error.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { OUTSTANDING_MAX = 2 * DEMO_WINDOW };
enum { BUFFER_SIZE = 2 * DEMO_WINDOW * WIRE_MESSAGE_SIZE_MAX };
enum { FEED_BUFFER_SIZE = 1 << 20, TURNS_PER_CLOCK = 1024, EVENTS_MAX = 2 };

struct reference {
    const struct trader_config *config;
    struct trader_result *result;
    int poll_fd, connection_fd, feed_fd;
    bool left, done; /* left: the exchange said end, and we have shut down our side */
    bool writing;    /* EPOLLOUT is asked for */
    uint32_t session;
    uint64_t deadline_ms, last_sequence, filled;
    struct strategy strategy;
    struct wire_order orders[OUTSTANDING_MAX];
    size_t in_size, out_size;
    uint8_t in[BUFFER_SIZE], out[BUFFER_SIZE];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The numbers of PAL_E* are errno's, negated. */
static int fail(struct reference *trader, int error, const char *operation)
{
    return report(trader->result->problem, -error, operation, "", "see how the exchange ended");
}

static struct sockaddr_in sockaddr_of(const struct pal_addr *addr)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&out.sin_addr, addr->bytes, sizeof(out.sin_addr));
    return out;
}

/* ---- set-up: blocking calls, with a limit ---- */

static int open_connection(struct reference *trader)
{
    struct sockaddr_in addr = sockaddr_of(&trader->config->exchange);
    struct timeval limit = {.tv_sec = (time_t)(trader->config->limit_ns / 1000000000) + 1};
    int on = 1;
    trader->connection_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (trader->connection_fd < 0 || setsockopt(trader->connection_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        setsockopt(trader->connection_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(trader->connection_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
        connect(trader->connection_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return fail(trader, errno, "connect");
    }
    uint8_t message[WIRE_WELCOME_SIZE];
    struct wire_welcome welcome;
    if (recv(trader->connection_fd, message, sizeof(message), MSG_WAITALL) != (ssize_t)sizeof(message) ||
        wire_message_size(message, sizeof(message)) != WIRE_WELCOME_SIZE) {
        return fail(trader, EPROTO, "wait for the welcome");
    }
    wire_get_welcome(message, &welcome);
    trader->session = welcome.session;
    return 0;
}

static int join_feed(struct reference *trader)
{
    const struct demo_feed *feed = &trader->config->feed;
    struct sockaddr_in addr = sockaddr_of(&feed->group);
    addr.sin_addr.s_addr = htonl(INADDR_ANY);
    int on = 1, buffer_size = FEED_BUFFER_SIZE;
    trader->feed_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (trader->feed_fd < 0 || setsockopt(trader->feed_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(trader->feed_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        return fail(trader, errno, "listen for ticks");
    }
    (void)setsockopt(trader->feed_fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof(buffer_size));

    struct sockaddr_in group = sockaddr_of(&feed->group), source = sockaddr_of(&feed->source);
    int joined;
    if (feed->source.family == PAL_AF_UNSPEC) {
        struct group_req request = {.gr_interface = feed->ifindex};
        memcpy(&request.gr_group, &group, sizeof(group));
        joined = setsockopt(trader->feed_fd, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof(request));
    } else {
        struct group_source_req request = {.gsr_interface = feed->ifindex};
        memcpy(&request.gsr_group, &group, sizeof(group));
        memcpy(&request.gsr_source, &source, sizeof(source));
        joined = setsockopt(trader->feed_fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &request, sizeof(request));
    }
    return joined < 0 ? fail(trader, errno, "join the group") : 0;
}

static int begin(struct reference *trader)
{
    uint8_t message[WIRE_READY_SIZE];
    struct wire_ready ready = {trader->session};
    struct epoll_event connection = {.events = EPOLLIN, .data.fd = trader->connection_fd};
    struct epoll_event feed = {.events = EPOLLIN, .data.fd = trader->feed_fd};
    wire_put_ready(message, &ready);
    trader->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (trader->poll_fd < 0 || epoll_ctl(trader->poll_fd, EPOLL_CTL_ADD, trader->connection_fd, &connection) < 0 ||
        epoll_ctl(trader->poll_fd, EPOLL_CTL_ADD, trader->feed_fd, &feed) < 0) {
        return fail(trader, errno, "open an epoll set");
    }
    if (send(trader->connection_fd, message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message)) {
        return fail(trader, errno, "say ready");
    }
    return 0;
}

/* ---- the session: from here on nothing blocks but epoll_wait ---- */

/* Sends what is in out, and asks for EPOLLOUT only while some is left. */
static int flush(struct reference *trader)
{
    if (trader->out_size > 0) {
        ssize_t sent = send(trader->connection_fd, trader->out, trader->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return fail(trader, errno, "send an order");
        }
        if (sent > 0) {
            trader->out_size -= (size_t)sent;
            memmove(trader->out, trader->out + sent, trader->out_size);
        }
    }
    bool writing = trader->out_size > 0;
    if (writing == trader->writing) {
        return 0;
    }
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.fd = trader->connection_fd};
    trader->writing = writing;
    return epoll_ctl(trader->poll_fd, EPOLL_CTL_MOD, trader->connection_fd, &event) < 0
               ? fail(trader, errno, "watch the connection")
               : 0;
}

static int take_tick(struct reference *trader)
{
    struct trader_result *result = trader->result;
    uint8_t datagram[WIRE_TICK_SIZE + 1];
    struct wire_tick tick;
    ssize_t size = recv(trader->feed_fd, datagram, sizeof(datagram), MSG_DONTWAIT);
    if (size < 0) {
        return errno == EAGAIN ? 0 : fail(trader, errno, "receive a tick");
    }
    if (!wire_get_tick(datagram, (size_t)size, &tick) || tick.session != trader->session) {
        result->foreign++;
        return 0;
    }
    if (tick.sequence <= trader->last_sequence) {
        result->late++;
        return 0;
    }
    if (result->orders - trader->filled >= OUTSTANDING_MAX) {
        return fail(trader, ENOBUFS, "send an order");
    }
    struct decision decision = strategy_decide(&trader->strategy, &tick);
    struct wire_order *order = &trader->orders[result->orders++ % OUTSTANDING_MAX];
    order->id = (uint64_t)trader->config->trader_id << 40 | decision.sequence;
    order->sequence = decision.sequence;
    order->price = decision.price;
    order->quantity = decision.quantity;
    order->side = decision.side;
    wire_put_order(trader->out + trader->out_size, order);
    trader->out_size += WIRE_ORDER_SIZE;
    int code = flush(trader);

    result->ticks++;
    result->lost += tick.sequence - trader->last_sequence - 1;
    trader->last_sequence = tick.sequence;
    result->digest = strategy_digest(result->digest, &decision);
    return code;
}

static int take_fill(struct reference *trader, const uint8_t *message)
{
    struct wire_fill fill;
    wire_get_fill(message, &fill);
    const struct wire_order *order = &trader->orders[trader->filled % OUTSTANDING_MAX];
    bool known = fill.status == WIRE_FILLED || fill.status == WIRE_EXPIRED;
    if (trader->filled == trader->result->orders || fill.id != order->id || fill.price != order->price ||
        fill.quantity != order->quantity || !known) {
        return fail(trader, EPROTO, "check a fill");
    }
    trader->filled++;
    trader->result->fills += fill.status == WIRE_FILLED;
    trader->result->expired += fill.status == WIRE_EXPIRED;
    return 0;
}

static int take_end(struct reference *trader, const uint8_t *message)
{
    struct wire_end end;
    wire_get_end(message, &end);
    if (trader->left || end.orders != trader->result->fills) {
        return fail(trader, EPROTO, "end the session");
    }
    trader->left = true;
    (void)epoll_ctl(trader->poll_fd, EPOLL_CTL_DEL, trader->feed_fd, NULL);
    return shutdown(trader->connection_fd, SHUT_WR) < 0 ? fail(trader, errno, "leave the exchange") : 0;
}

static int take_messages(struct reference *trader)
{
    ssize_t received =
        recv(trader->connection_fd, trader->in + trader->in_size, BUFFER_SIZE - trader->in_size, MSG_DONTWAIT);
    if (received < 0) {
        return errno == EAGAIN ? 0 : fail(trader, errno, "receive a fill");
    }
    if (received == 0) {
        trader->done = true;
        return trader->left ? 0 : fail(trader, ECONNRESET, "trade");
    }
    trader->in_size += (size_t)received;
    size_t taken = 0;
    for (;;) {
        const uint8_t *message = trader->in + taken;
        int size = wire_message_size(message, trader->in_size - taken);
        if (size == 0 || (size > 0 && (size_t)size > trader->in_size - taken)) {
            break;
        }
        int code = PAL_EPROTO;
        if (size == WIRE_FILL_SIZE && wire_message_type(message) == WIRE_FILL) {
            code = take_fill(trader, message);
        } else if (size == WIRE_END_SIZE && wire_message_type(message) == WIRE_END) {
            code = take_end(trader, message);
        }
        if (code < 0) {
            return fail(trader, -code, "read the exchange's stream");
        }
        taken += (size_t)size;
    }
    trader->in_size -= taken;
    memmove(trader->in, trader->in + taken, trader->in_size);
    return 0;
}

static int trade(struct reference *trader)
{
    bool spin = trader->config->idle == DEMO_SPIN;
    uint32_t turns = 0;
    while (!trader->done) {
        struct epoll_event events[EVENTS_MAX];
        int code = 0;
        int count = epoll_wait(trader->poll_fd, events, EVENTS_MAX, spin ? 0 : 1000);
        if (count < 0 && errno != EINTR) {
            return fail(trader, errno, "wait for events");
        }
        for (int i = 0; i < count && code == 0; i++) {
            if (events[i].data.fd == trader->feed_fd) {
                code = take_tick(trader);
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                code = flush(trader);
            }
            if (code == 0 && events[i].events & ~(uint32_t)EPOLLOUT) {
                code = take_messages(trader);
            }
        }
        if (code < 0) {
            return code;
        }
        if ((++turns % TURNS_PER_CLOCK == 0 || (count <= 0 && !spin)) && now_ms() >= trader->deadline_ms) {
            return fail(trader, ETIMEDOUT, "wait for the exchange");
        }
    }
    return 0;
}

int trader_run(const struct trader_config *config)
{
    struct reference trader = {.poll_fd = -1, .connection_fd = -1, .feed_fd = -1};
    trader.config = config;
    trader.result = config->result;
    trader.deadline_ms = now_ms() + config->limit_ns / 1000000;
    trader.result->digest = STRATEGY_DIGEST_START;
    snprintf(trader.result->backend, sizeof(trader.result->backend), "%s", "reference");

    int code = open_connection(&trader);
    if (code == 0) {
        code = join_feed(&trader);
    }
    if (code == 0) {
        code = begin(&trader);
    }
    if (code == 0) {
        code = trade(&trader);
    }
    const int fds[] = {trader.feed_fd, trader.connection_fd, trader.poll_fd};
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    config->result->code = code;
    return code;
}
