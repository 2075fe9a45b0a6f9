/* examples/demo/exchange.c: the exchange: ticks out by UDP multicast, orders in and fills out over TCP; it measures.
 *
 * One loop around one poll: send a tick when one is due, wait until the next or until something arrives. Tick-to-trade
 * is taken here, on one clock: from before a tick is sent to the return of the receive that holds its order.
 *
 * The session outlives its connection: ticks go on without a trader, who may come back and send again what it has no
 * answer to. Each order is executed once at most, and answered alike however often it comes. */
#include "channel.h"
#include "demo.h"
#include "report.h"
#include "shortage.h"
#include "strategy.h"
#include "wire.h"

#include <pal/pal.h>

#include <assert.h>
#include <stdio.h>

enum phase { JOINING, TRADING, ENDING, DONE }; /* of the session; JOINING: no trader has been there yet */
enum watched { LISTENER = 1, CONNECTION };
enum tick_state { UNUSED, UNANSWERED, ANSWERED, LOST };
enum { PRICE_START = 1000000, PRICE_MIN = 1000, MCAST_TTL = 1 };
enum { BACKLOG = 4, ACCEPT_PAUSE_NS = 1000000 }; /* of the listener, after a shortage */

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
    bool joined;   /* the trader has said ready over this connection */
    bool said_end; /* over this connection */
    uint32_t session;
    int lost_code;         /* what ended the connection before this one */
    uint64_t deadline_ns;  /* of the whole run */
    uint64_t patience_ns;  /* until when the trader is waited for; UINT64_MAX: it is there, or never was */
    uint64_t accept_ns;    /* when the listener is watched again; UINT64_MAX: it is */
    uint64_t next_tick_ns; /* when the next one is due */
    uint64_t oldest;       /* the lowest sequence number that may be unanswered; > result->ticks: none is */
    uint64_t random;
    int64_t price;
    uint64_t last_id, last_answered;      /* of the order executed last, and of its tick: both grow */
    struct sent_tick window[DEMO_WINDOW]; /* by sequence % DEMO_WINDOW */
    /* The orders executed last, by count % DEMO_OUTSTANDING: all that the trader may have no answer to. */
    struct wire_order executed[DEMO_OUTSTANDING];
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

static uint64_t patient_until(const struct exchange *exchange)
{
    uint64_t until_ns = pal_clock(PAL_CLOCK_MONOTONIC) + exchange->config->patience_ns;
    return until_ns < exchange->deadline_ns ? until_ns : exchange->deadline_ns;
}

static int set_int(struct exchange *exchange, pal_sock sock, uint32_t option, int32_t value, const char *what)
{
    int code = pal_sock_set(sock, option, &value, sizeof(value));
    return code < 0 ? fail(exchange, code, "set option", what, "this demonstration cannot do without it") : 0;
}

static int open_listener(struct exchange *exchange)
{
    const struct pal_addr *addr = &exchange->config->listen;
    struct pal_addr listening;
    int code = open_sock(exchange->poll, addr->family, PAL_SOCK_STREAM, patient_until(exchange), &exchange->listener);
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
        code = pal_sock_listen(exchange->listener, BACKLOG);
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
    int code = open_sock(exchange->poll, feed->group.family, PAL_SOCK_DGRAM, patient_until(exchange), &exchange->feed);
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

/* The connection has ended before the session. The trader may come back, if it is not too long away. */
static int lose_trader(struct exchange *exchange, int code, const char *operation)
{
    channel_abort(&exchange->channel, exchange->poll);
    if (exchange->config->patience_ns == 0) {
        return fail(exchange, code, operation, "the trader", "see how the trader ended");
    }
    exchange->lost_code = code;
    exchange->result->breaks++;
    if (exchange->joined && exchange->phase == TRADING) {
        exchange->patience_ns = patient_until(exchange);
    }
    exchange->joined = false;
    return 0;
}

static int send_welcome(struct exchange *exchange)
{
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_WELCOME_SIZE);
    assert(room != NULL);
    struct wire_welcome welcome = {exchange->session, exchange->config->tick_count, DEMO_WINDOW};
    wire_put_welcome(room, &welcome);
    return channel_flush(&exchange->channel);
}

/* Takes the one trader. If it is here already, it has come again because it could not use its connection. */
static int accept_trader(struct exchange *exchange)
{
    pal_sock sock;
    int code = pal_sock_accept(exchange->listener, &sock, NULL);
    if (code == PAL_EAGAIN || code == PAL_ECONNABORTED || code == PAL_ECONNRESET) {
        return 0;
    }
    if (is_shortage(code)) { /* the connection waits where it is */
        exchange->accept_ns = pal_clock(PAL_CLOCK_MONOTONIC) + ACCEPT_PAUSE_NS;
        code = pal_watch(exchange->poll, exchange->listener, 0, 0);
        return code < 0 ? fail(exchange, code, "pause", "the listener", "") : 0;
    }
    if (code < 0) {
        return fail(exchange, code, "accept", "the trader", "");
    }
    if (exchange->channel.sock.id != 0) {
        code = lose_trader(exchange, PAL_ECONNABORTED, "keep the connection of");
        if (code < 0) {
            (void)pal_sock_close(sock);
            return code;
        }
    }
    exchange->channel.sock = sock;
    exchange->joined = exchange->said_end = false;
    code = send_welcome(exchange);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? lose_trader(exchange, code, "welcome") : 0;
}

/* Says that the session has ended, when there is room for it. */
static void say_end(struct exchange *exchange)
{
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_END_SIZE);
    if (room == NULL) {
        return; /* fills are still on their way out: next turn */
    }
    const struct exchange_result *result = exchange->result;
    struct wire_end end = {result->ticks, result->orders, result->lost};
    wire_put_end(room, &end);
    exchange->said_end = true;
}

static int begin_trading(struct exchange *exchange, const uint8_t *message)
{
    struct wire_ready ready;
    wire_get_ready(message, &ready);
    if (exchange->joined || ready.session != exchange->session) {
        return fail(exchange, PAL_EPROTO, "begin", "the session", "the trader said ready twice, or for another one");
    }
    exchange->joined = true;
    if (exchange->phase == ENDING) {
        exchange->patience_ns = patient_until(exchange);
        return 0;
    }
    exchange->patience_ns = UINT64_MAX;
    if (exchange->phase == JOINING) {
        exchange->phase = TRADING;
        exchange->next_tick_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    }
    return 0;
}

/* What becomes of an order whose tick waits for none, or waits no more. */
static void match_again(struct exchange *exchange, const struct wire_order *order, struct wire_fill *fill)
{
    struct exchange_result *result = exchange->result;
    uint64_t oldest = result->orders < DEMO_OUTSTANDING ? 0 : result->orders - DEMO_OUTSTANDING;
    for (uint64_t i = result->orders; i > oldest; i--) {
        const struct wire_order *executed = &exchange->executed[(i - 1) % DEMO_OUTSTANDING];
        if (executed->id == order->id) {
            result->repeated++;
            fill->price = executed->price;
            fill->quantity = executed->quantity;
            fill->status = WIRE_FILLED;
            return;
        }
        if (executed->sequence == order->sequence) {
            result->doubled++;
            fill->status = WIRE_DUPLICATE;
            return;
        }
    }
    result->refused++;
    fill->status = WIRE_EXPIRED;
}

/* What becomes of an order. WIRE_FILLED, the first time, takes its tick out of the window. */
static void match_order(struct exchange *exchange, const struct wire_order *order, uint64_t received_ns,
                        struct wire_fill *fill)
{
    struct exchange_result *result = exchange->result;
    struct sent_tick *tick = window_at(exchange, order->sequence);
    if (order->sequence + DEMO_WINDOW <= result->ticks || tick->state != UNANSWERED || order->id <= exchange->last_id) {
        match_again(exchange, order, fill);
        return;
    }
    tick->state = ANSWERED;
    exchange->last_id = order->id;
    exchange->last_answered = order->sequence;
    exchange->executed[result->orders++ % DEMO_OUTSTANDING] = *order;
    struct decision decision = {order->sequence, order->price, order->quantity, order->side};
    result->digest = strategy_digest(result->digest, &decision);
    if (order->sequence > exchange->config->warmup_count) {
        histogram_record(&result->tick_to_trade, received_ns - tick->sent_ns);
    }
    fill->status = WIRE_FILLED;
    result->fills++;
}

static int answer_order(struct exchange *exchange, const uint8_t *message, uint64_t received_ns)
{
    struct wire_order order;
    wire_get_order(message, &order);
    if (!exchange->joined || order.sequence == 0 || order.sequence > exchange->result->ticks ||
        (order.side != WIRE_BUY && order.side != WIRE_SELL)) {
        return fail(exchange, PAL_EPROTO, "match", "an order", "it answers no tick, or has no side");
    }
    uint8_t *room = channel_reserve(&exchange->channel, WIRE_FILL_SIZE);
    assert(room != NULL);
    struct wire_fill fill = {order.id, order.price, order.quantity, WIRE_EXPIRED};
    match_order(exchange, &order, received_ns, &fill);
    wire_put_fill(room, &fill);
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
            return lose_trader(exchange, code, "receive from");
        }
    }
    code = answer_messages(exchange, received_ns);
    if (code < 0) {
        return code;
    }
    if (exchange->channel.ended) {
        if (exchange->phase != ENDING || !exchange->said_end) {
            return lose_trader(exchange, PAL_ECONNRESET, "trade with");
        }
        exchange->phase = DONE;
        return 0;
    }
    code = channel_flush(&exchange->channel);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? lose_trader(exchange, code, "send to") : 0;
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
    if (sent == PAL_EAGAIN || is_shortage(sent)) {
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

/* Moves past ticks that are answered, and past the oldest one if it has waited too long, or a later one is answered:
 * orders come in the order of their ticks. */
static void move_window(struct exchange *exchange, uint64_t now_ns)
{
    while (exchange->oldest <= exchange->result->ticks) {
        struct sent_tick *tick = window_at(exchange, exchange->oldest);
        if (tick->state == UNANSWERED) {
            if (exchange->oldest > exchange->last_answered &&
                now_ns < tick->sent_ns + exchange->config->tick_timeout_ns) {
                return;
            }
            tick->state = LOST;
            exchange->result->lost++;
        }
        exchange->oldest++;
    }
}

/* All ticks are answered or lost: says so to the trader, as often as it comes back without having heard it. When it has
 * heard, it leaves; but nothing can say that this will be heard here, so the exchange's patience is an end as well. */
static int end_session(struct exchange *exchange, uint64_t now_ns)
{
    if (exchange->phase == TRADING) {
        exchange->phase = ENDING;
        exchange->patience_ns = exchange->config->patience_ns == 0 ? UINT64_MAX : patient_until(exchange);
    }
    if (now_ns >= exchange->patience_ns) {
        exchange->phase = DONE;
        return 0;
    }
    if (!exchange->joined || exchange->said_end) {
        return 0;
    }
    say_end(exchange);
    int code = channel_flush(&exchange->channel);
    if (code == 0) {
        code = channel_watch(&exchange->channel, exchange->poll, CONNECTION);
    }
    return code < 0 ? lose_trader(exchange, code, "send the end to") : 0;
}

/* Sends the tick that is due, and brings *wake_ns forward to the next one, or to when the oldest counts as lost. */
static int keep_market(struct exchange *exchange, uint64_t now_ns, uint64_t *wake_ns)
{
    const struct exchange_config *config = exchange->config;
    bool more = exchange->result->ticks < config->tick_count;
    bool room = exchange->result->ticks + 1 - exchange->oldest < DEMO_WINDOW;
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

/* What the session waits for, in words. */
static const char *awaited(const struct exchange *exchange)
{
    if (exchange->channel.sock.id == 0) {
        return "a trader to connect";
    }
    if (!exchange->joined) {
        return "the trader to join";
    }
    return exchange->phase == TRADING ? "orders" : "the trader to leave";
}

/* Does what the clock demands, and brings *wake_ns forward to when it demands something next. */
static int keep_time(struct exchange *exchange, uint64_t *wake_ns)
{
    uint64_t now_ns = pal_clock(PAL_CLOCK_MONOTONIC);
    int code = 0;
    if (now_ns >= exchange->deadline_ns) {
        return fail(exchange, PAL_ETIMEDOUT, "wait for", awaited(exchange),
                    "see whether the trader runs, or raise the limit");
    }
    if (now_ns >= exchange->accept_ns) {
        exchange->accept_ns = UINT64_MAX;
        code = pal_watch(exchange->poll, exchange->listener, PAL_IN, LISTENER);
        if (code < 0) {
            return fail(exchange, code, "resume", "the listener", "");
        }
    }
    if (exchange->phase == TRADING) {
        move_window(exchange, now_ns);
    }
    if (exchange->phase == ENDING ||
        (exchange->phase == TRADING && exchange->result->ticks >= exchange->config->tick_count &&
         exchange->oldest > exchange->result->ticks)) {
        code = end_session(exchange, now_ns);
    } else if (now_ns >= exchange->patience_ns) {
        return fail(exchange, exchange->lost_code, "wait for the return of", "the trader", "see how the trader ended");
    } else if (exchange->phase == TRADING) {
        code = keep_market(exchange, now_ns, wake_ns);
    }
    if (exchange->patience_ns < *wake_ns) {
        *wake_ns = exchange->patience_ns;
    }
    if (exchange->accept_ns < *wake_ns) {
        *wake_ns = exchange->accept_ns;
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
        if (code < 0 || exchange->phase == DONE) {
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
    exchange.patience_ns = exchange.accept_ns = UINT64_MAX;
    result->digest = STRATEGY_DIGEST_START;
    snprintf(result->backend, sizeof(result->backend), "%s", pal_backend_info()->name);

    int code = pal_random(&exchange.session, sizeof(exchange.session));
    if (code == 0) {
        code = open_poll(patient_until(&exchange), &exchange.poll);
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
        (void)pal_watch(exchange.poll, exchange.listener, 0, 0); /* also when it is not watched: no harm */
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
