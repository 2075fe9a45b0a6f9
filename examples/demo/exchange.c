/* examples/demo/exchange.c: the exchange: ticks out by UDP multicast, orders in and fills out over TCP; it measures.
 *
 * One loop around one poll: send a tick when one is due, wait until the next or until something arrives. Tick-to-trade
 * is taken here, on one clock: from before a tick is sent to the return of the receive that holds its order. */
#include "channel.h"
#include "demo.h"
#include "report.h"
#include "strategy.h"
#include "wire.h"

#include <pal/pal.h>

#include <assert.h>
#include <stdio.h>

enum phase { ACCEPTING, JOINING, TRADING, ENDING, DONE };
enum watched { LISTENER = 1, CONNECTION };
enum tick_state { UNUSED, UNANSWERED, ANSWERED, LOST };
enum { PRICE_START = 1000000, PRICE_MIN = 1000, MCAST_TTL = 1 };

struct sent_tick {
    uint64_t sent_ns;
    uint32_t state; /* enum tick_state */
};

struct exchange {
    const struct exchange_config *config;
    struct exchange_result *result;
    pal_poll *poll;
    pal_sock listener, feed;
    enum phase phase;
    uint32_t session;
    uint64_t deadline_ns;  /* of the whole run */
    uint64_t next_tick_ns; /* when the next one is due */
    uint64_t oldest;       /* the lowest sequence number that may be unanswered; > result->ticks: none is */
    uint64_t random;
    int64_t price;
    struct sent_tick window[DEMO_WINDOW]; /* by sequence % DEMO_WINDOW */
    struct channel channel;
};

static struct sent_tick *window_at(struct exchange *exchange, uint64_t sequence)
{
    return &exchange->window[sequence % DEMO_WINDOW];
}

static int fail(struct exchange *exchange, int code, const char *operation, const char *object, const char *remedy)
{
    return report(exchange->result->problem, code, operation, object, remedy);
}

/* ---- the market: a random walk, the same for the same seed ---- */

static uint64_t next_random(struct exchange *exchange) /* splitmix64 */
{
    uint64_t mixed = exchange->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static void next_tick(struct exchange *exchange, struct wire_tick *tick)
{
    uint64_t random = next_random(exchange);
    exchange->price += (int64_t)(random % 21) - 10;
    if (exchange->price < PRICE_MIN) {
        exchange->price = PRICE_MIN;
    }
    tick->session = exchange->session;
    tick->sequence = exchange->result->ticks + 1;
    tick->price = exchange->price;
    tick->quantity = (uint32_t)(random >> 32) % 500 + 1;
}

/* ---- set-up ---- */

static int set_int(struct exchange *exchange, pal_sock sock, uint32_t option, int32_t value, const char *what)
{
    int code = pal_sock_set(sock, option, &value, sizeof(value));
    return code < 0 ? fail(exchange, code, "set option", what, "this demonstration cannot do without it") : 0;
}

static int open_listener(struct exchange *exchange)
{
    const struct pal_addr *addr = &exchange->config->listen;
    struct pal_addr listening;
    int code = pal_sock_open(exchange->poll, addr->family, PAL_SOCK_STREAM, PAL_IPPROTO_DEFAULT, &exchange->listener);
    if (code < 0) {
        return report_at(exchange->result->problem, code, "open the listener for", addr, "");
    }
    code = set_int(exchange, exchange->listener, PAL_SO_REUSEADDR, 1, "PAL_SO_REUSEADDR");
    if (code == 0) { /* accepted connections inherit it */
        code = set_int(exchange, exchange->listener, PAL_SO_NODELAY, 1, "PAL_SO_NODELAY");
    }
    if (code < 0) {
        return code;
    }
    code = pal_sock_bind(exchange->listener, addr);
    if (code == 0) {
        code = pal_sock_listen(exchange->listener, 1);
    }
    if (code == 0) {
        code = pal_watch(exchange->poll, exchange->listener, PAL_IN, LISTENER);
    }
    if (code == 0) {
        code = pal_sock_name(exchange->listener, PAL_NAME_LOCAL, &listening);
    }
    if (code < 0) {
        return report_at(exchange->result->problem, code, "listen on", addr, "choose a free port and an own address");
    }
    if (exchange->config->ready != NULL) {
        exchange->config->ready(exchange->config->ready_context, &listening);
    }
    return 0;
}

static int open_feed(struct exchange *exchange)
{
    const struct demo_feed *feed = &exchange->config->feed;
    char *problem = exchange->result->problem;
    int code = pal_sock_open(exchange->poll, feed->group.family, PAL_SOCK_DGRAM, PAL_IPPROTO_DEFAULT, &exchange->feed);
    if (code < 0) {
        return report_at(problem, code, "open the feed to", &feed->group, "");
    }
    if (feed->source.family != PAL_AF_UNSPEC) {
        code = pal_sock_bind(exchange->feed, &feed->source);
        if (code < 0) {
            return report_at(problem, code, "send ticks from", &feed->source, "choose an address of this host, port 0");
        }
    }
    code = set_int(exchange, exchange->feed, PAL_SO_MCAST_LOOP, 1, "PAL_SO_MCAST_LOOP");
    if (code == 0) {
        code = set_int(exchange, exchange->feed, PAL_SO_MCAST_TTL, MCAST_TTL, "PAL_SO_MCAST_TTL");
    }
    if (code == 0 && feed->ifindex != 0) {
        code = pal_sock_set(exchange->feed, PAL_SO_MCAST_IF, &feed->ifindex, sizeof(feed->ifindex));
        if (code < 0) {
            return fail(exchange, code, "choose the feed's interface", "", "name an interface that is up");
        }
    }
    if (code == 0) {
        code = pal_sock_connect(exchange->feed, &feed->group);
        if (code < 0) {
            return report_at(problem, code, "send ticks to", &feed->group, "choose a multicast group and an interface");
        }
    }
    return code;
}

/* ---- the session ---- */

static int send_welcome(struct exchange *exchange)
{
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_WELCOME_SIZE);
    assert(room != NULL);
    struct wire_welcome welcome = {exchange->session, exchange->config->tick_count, DEMO_WINDOW};
    wire_put_welcome(room, &welcome);
    return channel_flush(&exchange->channel);
}

/* Takes the one trader; others find the port closed. */
static int accept_trader(struct exchange *exchange)
{
    int code = pal_sock_accept(exchange->listener, &exchange->channel.sock, NULL);
    if (code == PAL_EAGAIN || code == PAL_ECONNABORTED) {
        return 0;
    }
    if (code < 0) {
        return fail(exchange, code, "accept", "the trader", "");
    }
    (void)pal_watch(exchange->poll, exchange->listener, 0, 0);
    (void)pal_sock_close(exchange->listener);
    exchange->listener.id = 0;
    exchange->phase = JOINING;
    code = send_welcome(exchange);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? fail(exchange, code, "welcome", "the trader", "") : 0;
}

static int begin_trading(struct exchange *exchange, const uint8_t *message)
{
    struct wire_ready ready;
    wire_get_ready(message, &ready);
    if (exchange->phase != JOINING || ready.session != exchange->session) {
        return fail(exchange, PAL_EPROTO, "begin", "the session", "the trader said ready for another one");
    }
    exchange->phase = TRADING;
    exchange->next_tick_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    return 0;
}

/* What becomes of an order: WIRE_FILLED takes its tick out of the window. */
static uint32_t match_order(struct exchange *exchange, const struct wire_order *order, uint64_t received_ns)
{
    struct exchange_result *result = exchange->result;
    struct sent_tick *tick = window_at(exchange, order->sequence);
    if (order->sequence + DEMO_WINDOW <= result->ticks || tick->state == LOST) {
        result->refused++;
        return WIRE_EXPIRED;
    }
    if (tick->state == ANSWERED) {
        result->refused++;
        return WIRE_DUPLICATE;
    }
    tick->state = ANSWERED;
    result->orders++;
    struct decision decision = {order->sequence, order->price, order->quantity, order->side};
    result->digest = strategy_digest(result->digest, &decision);
    if (order->sequence > exchange->config->warmup_count) {
        histogram_record(&result->tick_to_trade, received_ns - tick->sent_ns);
    }
    return WIRE_FILLED;
}

static int answer_order(struct exchange *exchange, const uint8_t *message, uint64_t received_ns)
{
    struct wire_order order;
    wire_get_order(message, &order);
    if (exchange->phase == ACCEPTING || exchange->phase == JOINING || order.sequence == 0 ||
        order.sequence > exchange->result->ticks || (order.side != WIRE_BUY && order.side != WIRE_SELL)) {
        return fail(exchange, PAL_EPROTO, "match", "an order", "it answers no tick, or has no side");
    }
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_FILL_SIZE);
    assert(room != NULL);
    struct wire_fill fill = {order.id, order.price, order.quantity, match_order(exchange, &order, received_ns)};
    wire_put_fill(room, &fill);
    exchange->result->fills += fill.status == WIRE_FILLED;
    return 0;
}

static int answer_messages(struct exchange *exchange, uint64_t received_ns)
{
    while (channel_has_room(&exchange->channel)) {
        const uint8_t *message;
        int code = channel_next(&exchange->channel, &message);
        if (code == 0) {
            return 0;
        }
        if (code < 0) {
            return fail(exchange, code, "read", "the trader's stream", "both sides must be of the same version");
        }
        switch (wire_message_type(message)) {
        case WIRE_READY:
            code = begin_trading(exchange, message);
            break;
        case WIRE_ORDER:
            code = answer_order(exchange, message, received_ns);
            break;
        default:
            code = fail(exchange, PAL_EPROTO, "read", "the trader's stream", "this message is the exchange's to send");
        }
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static int serve_trader(struct exchange *exchange, uint32_t ready)
{
    int code = 0;
    uint64_t received_ns = 0;
    if (ready & (uint32_t)~PAL_OUT) {
        code = channel_receive(&exchange->channel);
        received_ns = pal_clock(PAL_CLOCK_MONOTONIC);
        if (code < 0) {
            return fail(exchange, code, "receive from", "the trader", "see how the trader ended");
        }
    }
    code = answer_messages(exchange, received_ns);
    if (code < 0) {
        return code;
    }
    if (exchange->channel.ended) {
        if (exchange->phase != ENDING) {
            return fail(exchange, PAL_ECONNRESET, "trade with", "the trader", "it left early: see how it ended");
        }
        exchange->phase = DONE;
        return 0;
    }
    code = channel_flush(&exchange->channel);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? fail(exchange, code, "send to", "the trader", "see how the trader ended") : 0;
}

/* ---- the clock's work ---- */

/* Sends the tick that is due. A send queue that is full for the moment delays it by an interval. */
static int send_tick(struct exchange *exchange)
{
    struct wire_tick tick;
    uint8_t datagram[WIRE_TICK_SIZE];
    uint64_t random = exchange->random;
    int64_t price = exchange->price;
    next_tick(exchange, &tick);
    tick.time_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    wire_put_tick(datagram, &tick);
    int32_t sent = pal_sock_send(exchange->feed, datagram, sizeof(datagram), 0);
    if (sent == PAL_EAGAIN || sent == PAL_ENOBUFS) {
        exchange->random = random;
        exchange->price = price;
    } else if (sent < 0) {
        return report_at(exchange->result->problem, sent, "send a tick to", &exchange->config->feed.group,
                         "choose a multicast group and an interface");
    } else {
        struct sent_tick *slot = window_at(exchange, tick.sequence);
        slot->sent_ns = tick.time_ns;
        slot->state = UNANSWERED;
        exchange->result->ticks++;
    }
    /* On time: keep to the schedule. Late by more than one interval: do not make up for it with a burst. */
    exchange->next_tick_ns += exchange->config->interval_ns;
    if (exchange->next_tick_ns < tick.time_ns) {
        exchange->next_tick_ns = tick.time_ns;
    }
    return 0;
}

/* Moves past ticks that are answered, and past the oldest one if it has waited too long. */
static void move_window(struct exchange *exchange, uint64_t now_ns)
{
    while (exchange->oldest <= exchange->result->ticks) {
        struct sent_tick *tick = window_at(exchange, exchange->oldest);
        if (tick->state == UNANSWERED) {
            if (now_ns < tick->sent_ns + exchange->config->tick_timeout_ns) {
                return;
            }
            tick->state = LOST;
            exchange->result->lost++;
        }
        exchange->oldest++;
    }
}

static int end_session(struct exchange *exchange)
{
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_END_SIZE);
    if (room == NULL) {
        return 0; /* fills are still on their way out: next turn */
    }
    const struct exchange_result *result = exchange->result;
    struct wire_end end = {result->ticks, result->orders, result->lost};
    wire_put_end(room, &end);
    exchange->phase = ENDING;
    int code = channel_flush(&exchange->channel);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? fail(exchange, code, "send the end to", "the trader", "") : 0;
}

/* Does what the clock demands, and brings *wake_ns forward to when it demands something next. */
static int keep_time(struct exchange *exchange, uint64_t *wake_ns)
{
    const struct exchange_config *config = exchange->config;
    static const char *const waiting_for[] = {"a trader to connect", "the trader to join", "orders",
                                              "the trader to leave", ""};
    uint64_t now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    if (now_ns >= exchange->deadline_ns) {
        return fail(exchange, PAL_ETIMEDOUT, "wait for", waiting_for[exchange->phase],
                    "see whether the trader runs, or raise the limit");
    }
    if (exchange->phase != TRADING) {
        return 0;
    }
    move_window(exchange, now_ns);
    bool more = exchange->result->ticks < config->tick_count;
    bool room = exchange->result->ticks + 1 - exchange->oldest < DEMO_WINDOW;
    if (!more && exchange->oldest > exchange->result->ticks) {
        return end_session(exchange);
    }
    int code = 0;
    if (more && room && now_ns >= exchange->next_tick_ns) {
        code = send_tick(exchange);
    }
    uint64_t lost_ns = window_at(exchange, exchange->oldest)->sent_ns + config->tick_timeout_ns;
    if (exchange->oldest <= exchange->result->ticks && lost_ns < *wake_ns) {
        *wake_ns = lost_ns;
    }
    if (more && room && exchange->next_tick_ns < *wake_ns) {
        *wake_ns = exchange->next_tick_ns;
    }
    return code;
}

static int trade(struct exchange *exchange)
{
    bool spin = exchange->config->idle == DEMO_SPIN;
    while (exchange->phase != DONE) {
        const struct pal_event *events;
        uint64_t wake_ns = exchange->deadline_ns;
        int code = keep_time(exchange, &wake_ns);
        if (code < 0) {
            return code;
        }
        int count = pal_poll_wait(exchange->poll, &events, spin ? 0 : wake_ns);
        if (count < 0) {
            return fail(exchange, count, "wait for", "events", "");
        }
        for (int i = 0; i < count && code == 0; i++) {
            if (events[i].kind != PAL_EV_READY) {
                continue;
            }
            code = events[i].data == LISTENER ? accept_trader(exchange) : serve_trader(exchange, events[i].ready);
        }
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

int exchange_run(const struct exchange_config *config)
{
    struct exchange exchange = {0};
    struct exchange_result *result = config->result;
    exchange.config = config;
    exchange.result = result;
    exchange.deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + config->limit_ns;
    exchange.random = config->seed;
    exchange.price = PRICE_START;
    exchange.oldest = 1;
    result->digest = STRATEGY_DIGEST_START;
    snprintf(result->backend, sizeof(result->backend), "%s", pal_backend_info()->name);

    int code = pal_random(&exchange.session, sizeof(exchange.session));
    if (code == 0) {
        code = pal_poll_open(&exchange.poll, NULL);
    }
    if (code < 0) {
        (void)fail(&exchange, code, "open", "a poll", "");
    } else {
        code = open_feed(&exchange);
    }
    if (code == 0) {
        code = open_listener(&exchange);
    }
    if (code == 0) {
        code = trade(&exchange);
    }
    channel_close(&exchange.channel, exchange.poll);
    if (exchange.listener.id != 0) {
        (void)pal_watch(exchange.poll, exchange.listener, 0, 0);
        (void)pal_sock_close(exchange.listener);
    }
    if (exchange.feed.id != 0) {
        (void)pal_sock_close(exchange.feed);
    }
    if (exchange.poll != NULL) {
        (void)pal_flush(exchange.poll); /* what closing owes the peer leaves now (rule 7) */
        (void)pal_poll_close(exchange.poll);
    }
    result->code = code;
    return code;
}
