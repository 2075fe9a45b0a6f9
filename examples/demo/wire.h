/* examples/demo/wire.h: the messages between exchange and trader, and nothing else.
 *
 * Ticks are UDP datagrams of WIRE_TICK_SIZE bytes. All other messages are a TCP stream, each behind a header of four
 * bytes: its whole size (16 bits), its type, WIRE_VERSION. Every number is big-endian and is put together byte by byte:
 * no structure is ever sent as it lies in memory, so any compiler, byte order and alignment will do. Pure: no seam. */
#ifndef DEMO_WIRE_H
#define DEMO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WIRE_VERSION = 1, WIRE_HEADER_SIZE = 4 };

enum wire_type { WIRE_WELCOME = 1, WIRE_READY, WIRE_ORDER, WIRE_FILL, WIRE_END };

enum { /* bytes, header included */
       WIRE_TICK_SIZE = 40,
       WIRE_WELCOME_SIZE = 20,
       WIRE_READY_SIZE = 8,
       WIRE_ORDER_SIZE = 36,
       WIRE_FILL_SIZE = 28,
       WIRE_END_SIZE = 28,
       WIRE_MESSAGE_SIZE_MAX = 36
};

enum wire_side { WIRE_BUY = 1, WIRE_SELL = 2 };

enum wire_status {
    WIRE_FILLED = 1,
    WIRE_DUPLICATE = 2, /* the tick has been answered by an order with another id; this one was not executed */
    WIRE_EXPIRED = 3    /* the exchange had given up waiting for this order; it was not executed */
};                      /* an order that comes again is answered as it was the first time */

/* A price is a whole number of hundredths; a quantity is a number of lots. */
struct wire_tick {
    uint32_t session;  /* of the exchange that sends it: others may use the same group */
    uint64_t sequence; /* 1, 2, 3 ... */
    uint64_t time_ns;  /* the exchange's monotonic clock, just before it was sent */
    int64_t price;
    uint32_t quantity;
};

struct wire_welcome { /* exchange to trader, when it has accepted; the same over each connection of a session */
    uint32_t session;
    uint64_t tick_count; /* how many will be sent */
    uint32_t window;     /* how many may be unanswered at once */
};

struct wire_ready { /* trader to exchange, when it has joined the group */
    uint32_t session;
};

struct wire_order {    /* trader to exchange, one a tick */
    uint64_t id;       /* the client's: the same order sent again, on whatever connection, has the same id */
    uint64_t sequence; /* of the tick that it answers */
    int64_t price;
    uint32_t quantity;
    uint32_t side; /* enum wire_side */
};

struct wire_fill { /* exchange to trader, one an order */
    uint64_t id;
    int64_t price;
    uint32_t quantity;
    uint32_t status; /* enum wire_status */
};

struct wire_end { /* exchange to trader, last */
    uint64_t ticks, orders, lost;
};

/* ---- numbers ---- */

static inline void wire_put16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static inline void wire_put32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static inline void wire_put64(uint8_t *out, uint64_t value)
{
    wire_put32(out, (uint32_t)(value >> 32));
    wire_put32(out + 4, (uint32_t)value);
}

static inline void wire_put_price(uint8_t *out, int64_t price)
{
    wire_put64(out, (uint64_t)price);
}

static inline uint16_t wire_get16(const uint8_t *in)
{
    return (uint16_t)((unsigned)in[0] << 8 | in[1]);
}

static inline uint32_t wire_get32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static inline uint64_t wire_get64(const uint8_t *in)
{
    return (uint64_t)wire_get32(in) << 32 | wire_get32(in + 4);
}

static inline int64_t wire_get_price(const uint8_t *in)
{
    uint64_t bits = wire_get64(in);
    int64_t price;
    memcpy(&price, &bits, sizeof(price)); /* int64_t is two's complement by definition; a cast above INT64_MAX is not */
    return price;
}

/* ---- ticks ---- */

#define WIRE_TICK_MAGIC UINT32_C(0x50544943) /* "PTIC" */

static inline void wire_put_tick(uint8_t out[WIRE_TICK_SIZE], const struct wire_tick *tick)
{
    wire_put32(out, WIRE_TICK_MAGIC);
    wire_put32(out + 4, tick->session);
    wire_put64(out + 8, tick->sequence);
    wire_put64(out + 16, tick->time_ns);
    wire_put_price(out + 24, tick->price);
    wire_put32(out + 32, tick->quantity);
    wire_put32(out + 36, 0); /* reserved */
}

/* False: this datagram is no tick. */
static inline bool wire_get_tick(const uint8_t *in, size_t size, struct wire_tick *tick)
{
    if (size != WIRE_TICK_SIZE || wire_get32(in) != WIRE_TICK_MAGIC) {
        return false;
    }
    tick->session = wire_get32(in + 4);
    tick->sequence = wire_get64(in + 8);
    tick->time_ns = wire_get64(in + 16);
    tick->price = wire_get_price(in + 24);
    tick->quantity = wire_get32(in + 32);
    return true;
}

/* ---- messages of the stream ---- */

static inline void wire_put_header(uint8_t *out, uint16_t size, enum wire_type type)
{
    wire_put16(out, size);
    out[2] = (uint8_t)type;
    out[3] = WIRE_VERSION;
}

/* The size that a message of this type must have; 0: there is no such type. */
static inline size_t wire_size_of(unsigned type)
{
    switch (type) {
    case WIRE_WELCOME:
        return WIRE_WELCOME_SIZE;
    case WIRE_READY:
        return WIRE_READY_SIZE;
    case WIRE_ORDER:
        return WIRE_ORDER_SIZE;
    case WIRE_FILL:
        return WIRE_FILL_SIZE;
    case WIRE_END:
        return WIRE_END_SIZE;
    default:
        return 0;
    }
}

/* The whole size of the message that begins at in; 0: the header is not all there yet; -1: no message begins so. */
static inline int wire_message_size(const uint8_t *in, size_t size)
{
    if (size < WIRE_HEADER_SIZE) {
        return 0;
    }
    size_t message_size = wire_get16(in);
    return message_size != 0 && message_size == wire_size_of(in[2]) && in[3] == WIRE_VERSION ? (int)message_size : -1;
}

static inline unsigned wire_message_type(const uint8_t *message)
{
    return message[2];
}

static inline void wire_put_welcome(uint8_t out[WIRE_WELCOME_SIZE], const struct wire_welcome *welcome)
{
    wire_put_header(out, WIRE_WELCOME_SIZE, WIRE_WELCOME);
    wire_put32(out + 4, welcome->session);
    wire_put64(out + 8, welcome->tick_count);
    wire_put32(out + 16, welcome->window);
}

static inline void wire_get_welcome(const uint8_t in[WIRE_WELCOME_SIZE], struct wire_welcome *welcome)
{
    welcome->session = wire_get32(in + 4);
    welcome->tick_count = wire_get64(in + 8);
    welcome->window = wire_get32(in + 16);
}

static inline void wire_put_ready(uint8_t out[WIRE_READY_SIZE], const struct wire_ready *ready)
{
    wire_put_header(out, WIRE_READY_SIZE, WIRE_READY);
    wire_put32(out + 4, ready->session);
}

static inline void wire_get_ready(const uint8_t in[WIRE_READY_SIZE], struct wire_ready *ready)
{
    ready->session = wire_get32(in + 4);
}

static inline void wire_put_order(uint8_t out[WIRE_ORDER_SIZE], const struct wire_order *order)
{
    wire_put_header(out, WIRE_ORDER_SIZE, WIRE_ORDER);
    wire_put64(out + 4, order->id);
    wire_put64(out + 12, order->sequence);
    wire_put_price(out + 20, order->price);
    wire_put32(out + 28, order->quantity);
    wire_put32(out + 32, order->side);
}

static inline void wire_get_order(const uint8_t in[WIRE_ORDER_SIZE], struct wire_order *order)
{
    order->id = wire_get64(in + 4);
    order->sequence = wire_get64(in + 12);
    order->price = wire_get_price(in + 20);
    order->quantity = wire_get32(in + 28);
    order->side = wire_get32(in + 32);
}

static inline void wire_put_fill(uint8_t out[WIRE_FILL_SIZE], const struct wire_fill *fill)
{
    wire_put_header(out, WIRE_FILL_SIZE, WIRE_FILL);
    wire_put64(out + 4, fill->id);
    wire_put_price(out + 12, fill->price);
    wire_put32(out + 20, fill->quantity);
    wire_put32(out + 24, fill->status);
}

static inline void wire_get_fill(const uint8_t in[WIRE_FILL_SIZE], struct wire_fill *fill)
{
    fill->id = wire_get64(in + 4);
    fill->price = wire_get_price(in + 12);
    fill->quantity = wire_get32(in + 20);
    fill->status = wire_get32(in + 24);
}

static inline void wire_put_end(uint8_t out[WIRE_END_SIZE], const struct wire_end *end)
{
    wire_put_header(out, WIRE_END_SIZE, WIRE_END);
    wire_put64(out + 4, end->ticks);
    wire_put64(out + 12, end->orders);
    wire_put64(out + 20, end->lost);
}

static inline void wire_get_end(const uint8_t in[WIRE_END_SIZE], struct wire_end *end)
{
    end->ticks = wire_get64(in + 4);
    end->orders = wire_get64(in + 12);
    end->lost = wire_get64(in + 20);
}

#endif
