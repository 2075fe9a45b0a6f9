/* examples/demo/trader.c: the trader: hears ticks by UDP multicast, answers each with an order over TCP, checks fills.
 *
 * The way from tick to order is four steps: wait, receive, decide, send. All else (digest, fills, bookkeeping) comes
 * after the send. It reads one datagram an event: the next wait reports the next one at no extra call. */
#include "channel.h"
#include "demo.h"
#include "report.h"
#include "strategy.h"
#include "wire.h"

#include <pal/address.h>
#include <pal/pal.h>

#include <assert.h>
#include <stdio.h>

enum phase { CONNECTING, JOINING, TRADING, LEAVING, DONE };
enum watched { CONNECTION = 1, FEED };
enum { OUTSTANDING_MAX = 2 * DEMO_WINDOW }; /* orders without a fill */
enum { FEED_BUFFER_SIZE = 1 << 20 };        /* bytes the system is asked to hold: a whole window, many times */
enum { TURNS_PER_CLOCK = 1024 };            /* when spinning: turns between two looks at the clock */

static_assert(OUTSTANDING_MAX * WIRE_ORDER_SIZE <= CHANNEL_BUFFER_SIZE, "every outstanding order has room to wait");

struct trader {
    const struct trader_config *config;
    struct trader_result *result;
    pal_poll *poll;
    pal_sock feed;
    enum phase phase;
    uint32_t session;
    uint64_t deadline_ns;
    uint64_t last_sequence; /* of the newest tick */
    uint64_t filled;        /* fills seen, of whatever status: orders - filled are outstanding */
    struct strategy strategy;
    struct wire_order orders[OUTSTANDING_MAX]; /* the outstanding ones, by count % OUTSTANDING_MAX */
    struct channel channel;
};

static int fail(struct trader *trader, int code, const char *operation, const char *object, const char *remedy)
{
    return report(trader->result->problem, code, operation, object, remedy);
}

/* ---- set-up ---- */

static int open_connection(struct trader *trader)
{
    const struct pal_addr *addr = &trader->config->exchange;
    char *problem = trader->result->problem;
    struct channel *channel = &trader->channel;
    int32_t on = 1;
    int code = pal_sock_open(trader->poll, addr->family, PAL_SOCK_STREAM, PAL_IPPROTO_DEFAULT, &channel->sock);
    if (code == 0) {
        code = pal_sock_set(channel->sock, PAL_SO_NODELAY, &on, sizeof(on));
    }
    if (code == 0) {
        code = pal_sock_connect(channel->sock, addr);
    }
    if (code == 0 || code == PAL_EINPROGRESS) {
        code = pal_watch(trader->poll, channel->sock, PAL_OUT, CONNECTION);
        channel->interest = PAL_OUT;
    }
    return code < 0 ? report_at(problem, code, "connect to", addr, "start the exchange first") : 0;
}

static int finish_connecting(struct trader *trader)
{
    int32_t error = 0;
    size_t size = sizeof(error);
    int code = pal_sock_get(trader->channel.sock, PAL_SO_ERROR, &error, &size);
    code = code < 0 ? code : error;
    if (code < 0) {
        return report_at(trader->result->problem, code, "connect to", &trader->config->exchange,
                         "start the exchange first");
    }
    trader->phase = JOINING;
    return 0;
}

static int join_feed(struct trader *trader)
{
    const struct demo_feed *feed = &trader->config->feed;
    char *problem = trader->result->problem;
    int32_t on = 1, buffer_size = FEED_BUFFER_SIZE;
    struct pal_addr any = {0};
    int code = pal_addr_set_any(&any, feed->group.family, feed->group.port);
    if (code < 0) {
        return report_at(problem, code, "join", &feed->group, "choose an IPv4 or IPv6 group");
    }
    code = pal_sock_open(trader->poll, any.family, PAL_SOCK_DGRAM, PAL_IPPROTO_DEFAULT, &trader->feed);
    if (code == 0) { /* several traders on one host hear the same port */
        code = pal_sock_set(trader->feed, PAL_SO_REUSEADDR, &on, sizeof(on));
    }
    if (code == 0) {
        code = pal_sock_bind(trader->feed, &any);
    }
    if (code < 0) {
        return report_at(problem, code, "listen for ticks on", &any, "choose another port");
    }
    (void)pal_sock_set(trader->feed, PAL_SO_RCVBUF, &buffer_size, sizeof(buffer_size)); /* less will do */

    struct pal_mcast membership = {feed->group, feed->source, feed->ifindex};
    membership.source.port = 0;
    code = pal_sock_set(trader->feed, PAL_SO_MCAST_JOIN, &membership, sizeof(membership));
    if (code == 0) {
        code = pal_watch(trader->poll, trader->feed, PAL_IN, FEED);
    }
    return code < 0 ? report_at(problem, code, "join", &feed->group, "choose a multicast group and an interface") : 0;
}

/* ---- ticks ---- */

/* Builds and sends the order for a decision. The id comes from the tick, so the same order has the same id whenever and
 * over whatever connection it is sent. */
static int send_order(struct trader *trader, const struct decision *decision)
{
    struct trader_result *result = trader->result;
    if (result->orders - trader->filled >= OUTSTANDING_MAX) {
        return fail(trader, PAL_ENOBUFS, "send", "an order", "the exchange sends more ticks than its window allows");
    }
    struct wire_order *order = &trader->orders[result->orders % OUTSTANDING_MAX];
    order->id = (uint64_t)trader->config->trader_id << 40 | decision->sequence;
    order->sequence = decision->sequence;
    order->price = decision->price;
    order->quantity = decision->quantity;
    order->side = decision->side;

    uint8_t *room = channel_reserve(&trader->channel, WIRE_ORDER_SIZE);
    assert(room != NULL); /* there is room for OUTSTANDING_MAX */
    wire_put_order(room, order);
    int code = channel_flush(&trader->channel);
    if (code == 0) {
        code = channel_watch(&trader->channel, trader->poll, CONNECTION);
    }
    result->orders++;
    return code < 0 ? fail(trader, code, "send an order to", "the exchange", "see how the exchange ended") : 0;
}

static int take_tick(struct trader *trader)
{
    struct trader_result *result = trader->result;
    uint8_t datagram[WIRE_TICK_SIZE + 1]; /* one more: a longer one is then seen to be none of ours */
    struct wire_tick tick;
    int32_t size = pal_sock_recv(trader->feed, datagram, sizeof(datagram), 0);
    if (size == PAL_EAGAIN) {
        return 0;
    }
    if (size < 0) {
        return fail(trader, size, "receive", "a tick", "");
    }
    if (!wire_get_tick(datagram, (size_t)size, &tick) || tick.session != trader->session) {
        result->foreign++;
        return 0;
    }
    if (tick.sequence <= trader->last_sequence) {
        result->late++;
        return 0;
    }
    struct decision decision = strategy_decide(&trader->strategy, &tick);
    int code = send_order(trader, &decision);

    result->ticks++;
    result->lost += tick.sequence - trader->last_sequence - 1;
    trader->last_sequence = tick.sequence;
    result->digest = strategy_digest(result->digest, &decision);
    return code;
}

/* ---- messages ---- */

static int take_welcome(struct trader *trader, const uint8_t *message)
{
    struct wire_welcome welcome;
    wire_get_welcome(message, &welcome);
    if (trader->phase != JOINING || trader->feed.id != 0 || welcome.window > OUTSTANDING_MAX) {
        return fail(trader, PAL_EPROTO, "join", "the session", "it was joined already, or its window is too large");
    }
    trader->session = welcome.session;
    int code = join_feed(trader);
    if (code < 0) {
        return code;
    }
    uint8_t *room = channel_reserve(&trader->channel, WIRE_READY_SIZE);
    assert(room != NULL);
    struct wire_ready ready = {welcome.session};
    wire_put_ready(room, &ready);
    trader->phase = TRADING;
    return 0;
}

/* Fills come in the order of the orders: TCP keeps it, and so does the exchange. */
static int take_fill(struct trader *trader, const uint8_t *message)
{
    struct wire_fill fill;
    wire_get_fill(message, &fill);
    if (trader->filled == trader->result->orders) {
        return fail(trader, PAL_EPROTO, "check", "a fill", "no order was outstanding");
    }
    const struct wire_order *order = &trader->orders[trader->filled % OUTSTANDING_MAX];
    bool known = fill.status == WIRE_FILLED || fill.status == WIRE_EXPIRED;
    if (fill.id != order->id || fill.price != order->price || fill.quantity != order->quantity || !known) {
        return fail(trader, PAL_EPROTO, "check", "a fill", "it is not what was ordered");
    }
    trader->filled++;
    trader->result->fills += fill.status == WIRE_FILLED;
    trader->result->expired += fill.status == WIRE_EXPIRED;
    return 0;
}

/* The exchange has sent all it will. What it counted must be what was counted here. */
static int take_end(struct trader *trader, const uint8_t *message)
{
    struct wire_end end;
    wire_get_end(message, &end);
    if (trader->phase != TRADING || end.orders != trader->result->fills) {
        return fail(trader, PAL_EPROTO, "end", "the session", "the two sides count different orders");
    }
    trader->phase = LEAVING;
    int code = pal_watch(trader->poll, trader->feed, 0, 0); /* a tick that comes now is too late to be answered */
    if (code == 0) {
        code = pal_sock_shutdown(trader->channel.sock, PAL_SHUT_WR);
    }
    return code < 0 ? fail(trader, code, "leave", "the exchange", "") : 0;
}

static int take_messages(struct trader *trader)
{
    for (;;) {
        const uint8_t *message;
        int code = channel_next(&trader->channel, &message);
        if (code == 0) {
            return 0;
        }
        if (code < 0) {
            return fail(trader, code, "read", "the exchange's stream", "both sides must be of the same version");
        }
        switch (wire_message_type(message)) {
        case WIRE_WELCOME:
            code = take_welcome(trader, message);
            break;
        case WIRE_FILL:
            code = take_fill(trader, message);
            break;
        case WIRE_END:
            code = take_end(trader, message);
            break;
        default:
            code = fail(trader, PAL_EPROTO, "read", "the exchange's stream", "this message is the trader's to send");
        }
        if (code < 0) {
            return code;
        }
    }
}

static int serve_connection(struct trader *trader, uint32_t ready)
{
    int code = 0;
    if (trader->phase == CONNECTING) {
        code = finish_connecting(trader);
    } else if (ready & (uint32_t)~PAL_OUT) {
        code = channel_receive(&trader->channel);
        if (code < 0) {
            return fail(trader, code, "receive from", "the exchange", "see how the exchange ended");
        }
        code = take_messages(trader);
    }
    if (code < 0) {
        return code;
    }
    if (trader->channel.ended) {
        if (trader->phase != LEAVING) {
            return fail(trader, PAL_ECONNRESET, "trade with", "the exchange", "it left early: see how it ended");
        }
        trader->phase = DONE;
        return 0;
    }
    code = channel_flush(&trader->channel);
    if (code == 0) {
        code = channel_watch(&trader->channel, trader->poll, CONNECTION);
    }
    return code < 0 ? fail(trader, code, "send to", "the exchange", "see how the exchange ended") : 0;
}

/* ---- the loop ---- */

static int check_deadline(struct trader *trader)
{
    static const char *const waiting_for[] = {"the connection", "the exchange's welcome", "ticks and fills",
                                              "the exchange to leave", ""};
    if (pal_clock(PAL_CLOCK_MONOTONIC) < trader->deadline_ns) {
        return 0;
    }
    return fail(trader, PAL_ETIMEDOUT, "wait for", waiting_for[trader->phase],
                "see whether the exchange runs, or raise the limit");
}

static int trade(struct trader *trader)
{
    bool spin = trader->config->idle == DEMO_SPIN;
    uint32_t turns = 0;
    int code = 0;
    while (code == 0 && trader->phase != DONE) {
        const struct pal_event *events;
        int count = pal_poll_wait(trader->poll, &events, spin ? 0 : trader->deadline_ns);
        if (count < 0) {
            return fail(trader, count, "wait for", "events", "");
        }
        for (int i = 0; i < count && code == 0; i++) {
            if (events[i].kind != PAL_EV_READY) {
                continue;
            }
            code = events[i].data == FEED ? take_tick(trader) : serve_connection(trader, events[i].ready);
        }
        if (code == 0 && (++turns % TURNS_PER_CLOCK == 0 || (count == 0 && !spin))) {
            code = check_deadline(trader);
        }
    }
    return code;
}

int trader_run(const struct trader_config *config)
{
    struct trader trader = {0};
    trader.config = config;
    trader.result = config->result;
    trader.deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + config->limit_ns;
    trader.result->digest = STRATEGY_DIGEST_START;
    snprintf(trader.result->backend, sizeof(trader.result->backend), "%s", pal_backend_info()->name);

    int code = pal_poll_open(&trader.poll, NULL);
    if (code < 0) {
        (void)fail(&trader, code, "open", "a poll", "");
    } else {
        code = open_connection(&trader);
    }
    if (code == 0) {
        code = trade(&trader);
    }
    channel_close(&trader.channel, trader.poll);
    if (trader.feed.id != 0) {
        (void)pal_watch(trader.poll, trader.feed, 0, 0);
        (void)pal_sock_close(trader.feed);
    }
    if (trader.poll != NULL) {
        (void)pal_flush(trader.poll); /* what closing owes the peer leaves now (rule 7) */
        (void)pal_poll_close(trader.poll);
    }
    config->result->code = code;
    return code;
}
