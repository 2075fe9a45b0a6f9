/* examples/demo/trader.c: the trader: hears ticks by UDP multicast, answers each with an order over TCP, checks fills.
 *
 * The way from tick to order is four steps: wait, receive, decide, send. All else (fills, digest, bookkeeping) comes
 * after the send. It reads one datagram an event: the next wait reports the next one at no extra call.
 *
 * The session outlives its connection. One that is broken, or gives no sign of life, is reset and replaced by another,
 * over which the orders without an answer are sent again under the ids that they had. Until then ticks are heard, but
 * not answered: the feed is watched under another name, so that the way of a tick need not ask. */
#include "channel.h"
#include "demo.h"
#include "report.h"
#include "shortage.h"
#include "strategy.h"
#include "wire.h"

#include <pal/address.h>
#include <pal/pal.h>

#include <assert.h>
#include <stdio.h>

enum phase { APART, CONNECTING, JOINING, TRADING, LEAVING, DONE }; /* APART: until it is time to connect again */
enum watched { CONNECTION = 1, FEED, FEED_APART };
enum { FEED_BUFFER_SIZE = 1 << 20 }; /* bytes the system is asked to hold: a whole window, many times */
enum { TURNS_PER_CLOCK = 1024 };     /* when turns follow each other without a pause: between two looks at the clock */

#define MS UINT64_C(1000000)
#define CHECK_NS (250 * MS)    /* between two looks at what has moved */
#define JOIN_NS (4000 * MS)    /* for a connection to come about, with its welcome */
#define ANSWER_NS (1000 * MS)  /* without any answer while one is due, after which the connection is given up */
#define SILENCE_NS (3000 * MS) /* the same without a tick and without an order out */
#define RETRY_MIN_NS (10 * MS)
#define RETRY_MAX_NS (320 * MS)

static_assert(DEMO_OUTSTANDING * WIRE_ORDER_SIZE + WIRE_READY_SIZE <= CHANNEL_BUFFER_SIZE,
              "every outstanding order has room to wait");

struct trader {
    const struct trader_config *config;
    struct trader_result *result;
    pal_poll *poll;
    pal_sock feed;
    enum phase phase;
    uint32_t session;
    bool welcomed, ended; /* the exchange has said so, whatever has become of that connection */
    uint64_t end_orders;  /* with the end: how many orders it executed */
    uint64_t deadline_ns;
    uint64_t wake_ns;       /* when the clock demands something next */
    uint64_t last_sequence; /* of the newest tick */
    uint64_t filled;        /* answers seen, of whatever status: orders - filled are outstanding */
    struct strategy strategy;
    struct wire_order orders[DEMO_OUTSTANDING]; /* the outstanding ones, by count % DEMO_OUTSTANDING */
    struct channel channel;
    /* For when something breaks. */
    uint64_t broken_ns;                /* since when there is no connection; 0: there is */
    uint64_t retry_ns, retry_after_ns; /* the next attempt; the pause before the one after it */
    uint64_t join_until_ns;            /* of this attempt */
    uint64_t seen_filled, seen_all;    /* how far things were at a look at the clock, and when that last moved */
    uint64_t seen_filled_ns, seen_all_ns;
};

static int fail(struct trader *trader, int code, const char *operation, const char *object, const char *remedy)
{
    return report(trader->result->problem, code, operation, object, remedy);
}

/* ---- breaking and mending ---- */

/* Watches the feed, if there is one, under this name, which shows at once: what the current array still holds of it
 * under another is struck out. */
static int rename_feed(struct trader *trader, enum watched name)
{
    if (trader->feed.id == 0 || trader->ended) {
        return 0;
    }
    int code = pal_watch(trader->poll, trader->feed, 0, 0);
    if (code == 0) {
        code = pal_watch(trader->poll, trader->feed, PAL_IN, name);
    }
    return code < 0 ? fail(trader, code, "watch", "the feed", "") : 0;
}

/* The connection is of no use any more, or did not come about: 0, and another one will be tried, unless that has been
 * going on for too long. */
static int break_off(struct trader *trader, int code, const char *operation, const char *remedy)
{
    channel_abort(&trader->channel, trader->poll);
    if (trader->phase == LEAVING) { /* all is counted and checked; only the farewell is missing */
        trader->phase = DONE;
        return 0;
    }
    uint64_t now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    if (trader->broken_ns == 0) {
        trader->broken_ns = now_ns;
        trader->retry_after_ns = RETRY_MIN_NS;
    }
    if (now_ns - trader->broken_ns >= trader->config->patience_ns) {
        return report_at(trader->result->problem, code, operation, &trader->config->exchange, remedy);
    }
    trader->result->breaks++;
    trader->phase = APART;
    trader->retry_ns = now_ns + trader->retry_after_ns;
    trader->retry_after_ns *= trader->retry_after_ns < RETRY_MAX_NS ? 2 : 1;
    trader->wake_ns = trader->retry_ns;
    return rename_feed(trader, FEED_APART);
}

/* ---- set-up ---- */

static uint64_t patient_until(const struct trader *trader)
{
    uint64_t until_ns = pal_clock(PAL_CLOCK_MONOTONIC) + trader->config->patience_ns;
    return until_ns < trader->deadline_ns ? until_ns : trader->deadline_ns;
}

static int open_connection(struct trader *trader)
{
    const struct pal_addr *addr = &trader->config->exchange;
    struct channel *channel = &trader->channel;
    int32_t on = 1;
    trader->phase = CONNECTING;
    trader->join_until_ns = pal_clock(PAL_CLOCK_MONOTONIC) + JOIN_NS;
    int code = open_sock(trader->poll, addr->family, PAL_SOCK_STREAM, patient_until(trader), &channel->sock);
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
    return code < 0 ? break_off(trader, code, "connect to", "start the exchange first") : 0;
}

static int finish_connecting(struct trader *trader)
{
    int32_t error = 0;
    size_t size = sizeof(error);
    int code = pal_sock_get(trader->channel.sock, PAL_SO_ERROR, &error, &size);
    code = code < 0 ? code : error;
    if (code < 0) {
        return break_off(trader, code, "connect to", "start the exchange first");
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
    code = open_sock(trader->poll, any.family, PAL_SOCK_DGRAM, patient_until(trader), &trader->feed);
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

/* The id comes from the tick, so the same order has the same id whenever and over whatever connection it is sent. */
static uint64_t order_id(const struct trader *trader, uint64_t sequence)
{
    uint64_t id = (uint64_t)trader->config->trader_id << 40 | sequence;
#ifdef TRADER_FORGETS /* A mistake, for tests that are to find it: ids are those of a connection. */
    id += trader->result->breaks << 32;
#endif
    return id;
}

/* Builds and sends the order for a decision. An order that finds no room, as too many wait for an answer, is none. */
static int send_order(struct trader *trader, const struct decision *decision)
{
    struct trader_result *result = trader->result;
    if (result->orders - trader->filled >= DEMO_OUTSTANDING) {
        result->skipped++;
        return 0;
    }
    struct wire_order *order = &trader->orders[result->orders % DEMO_OUTSTANDING];
    order->id = order_id(trader, decision->sequence);
    order->sequence = decision->sequence;
    order->price = decision->price;
    order->quantity = decision->quantity;
    order->side = decision->side;

    uint8_t *room = channel_reserve(&trader->channel, WIRE_ORDER_SIZE);
    assert(room != NULL); /* there is room for DEMO_OUTSTANDING */
    wire_put_order(room, order);
    int code = channel_flush(&trader->channel);
    if (code == 0) {
        code = channel_watch(&trader->channel, trader->poll, CONNECTION);
    }
    result->orders++;
    return code < 0 ? break_off(trader, code, "send an order to", "see how the exchange ended") : 0;
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
    return code;
}

/* A tick that comes while there is no connection: its price counts, but nobody can be told. */
static int miss_tick(struct trader *trader)
{
    struct trader_result *result = trader->result;
    uint8_t datagram[WIRE_TICK_SIZE + 1];
    struct wire_tick tick;
    int32_t size = pal_sock_recv(trader->feed, datagram, sizeof(datagram), 0);
    if (size < 0) {
        return size == PAL_EAGAIN ? 0 : fail(trader, size, "receive", "a tick", "");
    }
    if (!wire_get_tick(datagram, (size_t)size, &tick) || tick.session != trader->session) {
        result->foreign++;
    } else if (tick.sequence <= trader->last_sequence) {
        result->late++;
    } else {
        (void)strategy_decide(&trader->strategy, &tick);
        result->ticks++;
        result->skipped++;
        result->lost += tick.sequence - trader->last_sequence - 1;
        trader->last_sequence = tick.sequence;
    }
    return 0;
}

/* ---- messages ---- */

/* Puts the orders that have no answer into the channel once more, as they were. */
static void send_again(struct trader *trader)
{
    for (uint64_t i = trader->filled; i < trader->result->orders; i++) {
        struct wire_order *order = &trader->orders[i % DEMO_OUTSTANDING];
#ifdef TRADER_FORGETS
        order->id = order_id(trader, order->sequence);
#endif
        uint8_t *room = channel_reserve(&trader->channel, WIRE_ORDER_SIZE);
        assert(room != NULL); /* the channel is empty but for what was put into it for this */
        wire_put_order(room, order);
        trader->result->resent++;
    }
}

static int take_welcome(struct trader *trader, const uint8_t *message)
{
    struct wire_welcome welcome;
    wire_get_welcome(message, &welcome);
    if (trader->phase != JOINING || welcome.window > DEMO_OUTSTANDING) {
        return fail(trader, PAL_EPROTO, "join", "the session", "it was joined already, or its window is too large");
    }
    if (trader->welcomed && welcome.session != trader->session) {
        return fail(trader, PAL_EPROTO, "resume", "the session", "this is another one: the exchange has begun anew");
    }
    int code = trader->welcomed ? rename_feed(trader, FEED) : join_feed(trader);
    if (code < 0) {
        return code;
    }
    trader->welcomed = true;
    trader->session = welcome.session;
    uint8_t *room = channel_reserve(&trader->channel, WIRE_READY_SIZE);
    assert(room != NULL);
    struct wire_ready ready = {welcome.session};
    wire_put_ready(room, &ready);
    send_again(trader);
    trader->phase = TRADING;
    trader->broken_ns = 0;
    trader->seen_filled_ns = trader->seen_all_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    return 0;
}

/* Fills come in the order of the orders: TCP keeps it, and so does the exchange. */
static int take_fill(struct trader *trader, const uint8_t *message)
{
    struct trader_result *result = trader->result;
    struct wire_fill fill;
    wire_get_fill(message, &fill);
    if (trader->filled == result->orders) {
        return fail(trader, PAL_EPROTO, "check", "a fill", "no order was outstanding");
    }
    const struct wire_order *order = &trader->orders[trader->filled % DEMO_OUTSTANDING];
    bool known = fill.status == WIRE_FILLED || fill.status == WIRE_EXPIRED;
    if (fill.id != order->id || fill.price != order->price || fill.quantity != order->quantity || !known) {
        return fail(trader, PAL_EPROTO, "check", "a fill", "it is not what was ordered");
    }
    trader->filled++;
    if (fill.status == WIRE_EXPIRED) {
        result->expired++;
        return 0;
    }
    struct decision decision = {order->sequence, order->price, order->quantity, order->side};
    result->digest = strategy_digest(result->digest, &decision);
    result->fills++;
    return 0;
}

/* The exchange has sent all it will: ticks that come now are too late to be answered. It is said again over each
 * connection until we leave. */
static int take_end(struct trader *trader, const uint8_t *message)
{
    struct wire_end end;
    wire_get_end(message, &end);
    if (trader->phase != TRADING) {
        return fail(trader, PAL_EPROTO, "end", "the session", "it was not joined");
    }
    trader->end_orders = end.orders;
    if (trader->ended) {
        return 0;
    }
    trader->ended = true;
    int code = pal_watch(trader->poll, trader->feed, 0, 0);
    return code < 0 ? fail(trader, code, "leave", "the feed", "") : 0;
}

/* The end has come, and every order is answered: what the exchange counted must be what was counted here. */
static int leave(struct trader *trader)
{
    if (trader->end_orders != trader->result->fills) {
        return fail(trader, PAL_EPROTO, "end", "the session", "the two sides count different orders");
    }
    trader->phase = LEAVING;
    trader->seen_all_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    int code = pal_sock_shutdown(trader->channel.sock, PAL_SHUT_WR);
    return code < 0 ? break_off(trader, code, "leave", "") : 0;
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
            return break_off(trader, code, "receive from", "see how the exchange ended");
        }
        code = take_messages(trader);
    }
    if (code < 0 || trader->phase == APART) {
        return code;
    }
    if (trader->channel.ended && trader->phase != LEAVING) {
        return break_off(trader, PAL_ECONNRESET, "trade with", "it left early: see how it ended");
    }
    if (trader->channel.ended) {
        trader->phase = DONE;
        return 0;
    }
    if (trader->ended && trader->phase == TRADING && trader->filled == trader->result->orders) {
        return leave(trader);
    }
    code = channel_flush(&trader->channel);
    if (code == 0) {
        code = channel_watch(&trader->channel, trader->poll, CONNECTION);
    }
    return code < 0 ? break_off(trader, code, "send to", "see how the exchange ended") : 0;
}

/* ---- the clock's work ---- */

/* Gives up a connection on which nothing has moved for too long: a peer that is gone need not say so. */
static int look_for_life(struct trader *trader, uint64_t now_ns)
{
    const struct trader_result *result = trader->result;
    uint64_t all = trader->filled + result->ticks + result->late + result->foreign;
    if (trader->seen_filled != trader->filled || trader->filled == result->orders) {
        trader->seen_filled = trader->filled;
        trader->seen_filled_ns = now_ns;
    }
    if (trader->seen_all != all) {
        trader->seen_all = all;
        trader->seen_all_ns = now_ns;
    }
    if (now_ns - trader->seen_filled_ns >= ANSWER_NS || now_ns - trader->seen_all_ns >= SILENCE_NS) {
        return break_off(trader, PAL_ETIMEDOUT, "hear from", "see whether the exchange runs");
    }
    return 0;
}

static int keep_time(struct trader *trader)
{
    static const char *const waiting_for[] = {"a connection",    "the connection",        "the exchange's welcome",
                                              "ticks and fills", "the exchange to leave", ""};
    uint64_t now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    int code = 0;
    if (now_ns >= trader->deadline_ns) {
        return fail(trader, PAL_ETIMEDOUT, "wait for", waiting_for[trader->phase],
                    "see whether the exchange runs, or raise the limit");
    }
    if (now_ns >= trader->wake_ns) { /* at the beginning, too */
        trader->wake_ns = now_ns + CHECK_NS;
    }
    if (trader->phase == APART && now_ns >= trader->retry_ns) {
        code = open_connection(trader);
    } else if ((trader->phase == CONNECTING || trader->phase == JOINING) && now_ns >= trader->join_until_ns) {
        code = break_off(trader, PAL_ETIMEDOUT, "connect to", "see whether the exchange runs");
    } else if (trader->phase == TRADING || trader->phase == LEAVING) {
        code = look_for_life(trader, now_ns);
    }
    if (trader->wake_ns > trader->deadline_ns) {
        trader->wake_ns = trader->deadline_ns;
    }
    return code;
}

/* ---- the loop ---- */

static int take_other(struct trader *trader, const struct pal_event *event)
{
    return event->data == FEED_APART ? miss_tick(trader) : serve_connection(trader, event->ready);
}

static int trade(struct trader *trader)
{
    bool spin = trader->config->idle == DEMO_SPIN;
    uint32_t turns = 0;
    int code = 0;
    while (code == 0 && trader->phase != DONE) {
        const struct pal_event *events;
        int count = pal_poll_wait(trader->poll, &events, spin ? 0 : trader->wake_ns);
        if (count < 0) {
            return fail(trader, count, "wait for", "events", "");
        }
        for (int i = 0; i < count && code == 0; i++) {
            if (events[i].kind != PAL_EV_READY) {
                continue;
            }
            code = events[i].data == FEED ? take_tick(trader) : take_other(trader, &events[i]);
        }
        if (code == 0 && (++turns % TURNS_PER_CLOCK == 0 || (count == 0 && !spin))) {
            code = keep_time(trader);
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

    int code = open_poll(patient_until(&trader), &trader.poll);
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
