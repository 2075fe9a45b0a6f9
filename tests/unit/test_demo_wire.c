/* tests/unit/test_demo_wire.c: the demonstration's messages lie on the wire as they are specified, byte by byte, and
 * nothing that is no message is taken for one. */
#include "examples/demo/wire.h"
#include "support/test.h"

Test(demo_wire, numbers_are_big_endian)
{
    uint8_t bytes[8];

    wire_put16(bytes, 0x0102);
    cr_assert_arr_eq(bytes, "\x01\x02", 2);
    wire_put32(bytes, UINT32_C(0x01020304));
    cr_assert_arr_eq(bytes, "\x01\x02\x03\x04", 4);
    wire_put64(bytes, UINT64_C(0x8102030405060708));
    cr_assert_arr_eq(bytes, "\x81\x02\x03\x04\x05\x06\x07\x08", 8);
    cr_assert_eq(wire_get16(bytes), 0x8102);
    cr_assert_eq(wire_get32(bytes), UINT32_C(0x81020304));
    cr_assert_eq(wire_get64(bytes), UINT64_C(0x8102030405060708));
}

Test(demo_wire, prices_keep_their_sign)
{
    static const int64_t prices[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
        wire_put_price(bytes, prices[i]);
        cr_expect_eq(wire_get_price(bytes), prices[i]);
    }
    wire_put_price(bytes, -2);
    cr_assert_arr_eq(bytes, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
}

Test(demo_wire, a_tick_has_one_layout)
{
    static const uint8_t expected[] = "PTIC"
                                      "\x01\x02\x03\x04"
                                      "\x11\x12\x13\x14\x15\x16\x17\x18"
                                      "\x21\x22\x23\x24\x25\x26\x27\x28"
                                      "\x00\x00\x00\x00\x00\x0f\x42\x40"
                                      "\x00\x00\x01\xf4"
                                      "\x00\x00\x00\x00";
    struct wire_tick tick = {UINT32_C(0x01020304), UINT64_C(0x1112131415161718), UINT64_C(0x2122232425262728), 1000000,
                             500};
    struct wire_tick back;
    uint8_t bytes[WIRE_TICK_SIZE];

    wire_put_tick(bytes, &tick);
    cr_assert_arr_eq(bytes, expected, WIRE_TICK_SIZE);
    cr_assert(wire_get_tick(bytes, sizeof(bytes), &back));
    cr_expect_eq(back.session, tick.session);
    cr_expect_eq(back.sequence, tick.sequence);
    cr_expect_eq(back.time_ns, tick.time_ns);
    cr_expect_eq(back.price, tick.price);
    cr_expect_eq(back.quantity, tick.quantity);
}

Test(demo_wire, other_datagrams_are_no_ticks)
{
    struct wire_tick tick = {0}, back;
    uint8_t bytes[WIRE_TICK_SIZE + 1] = {0};

    wire_put_tick(bytes, &tick);
    cr_expect_not(wire_get_tick(bytes, WIRE_TICK_SIZE - 1, &back));
    cr_expect_not(wire_get_tick(bytes, WIRE_TICK_SIZE + 1, &back));
    cr_expect_not(wire_get_tick(bytes, 0, &back));
    bytes[0] ^= 1;
    cr_expect_not(wire_get_tick(bytes, WIRE_TICK_SIZE, &back));
}

Test(demo_wire, orders_and_fills_come_back_as_they_were)
{
    struct wire_order order = {UINT64_C(1) << 40 | 7, 7, -5, 100, WIRE_SELL}, order_back;
    struct wire_fill fill = {UINT64_C(1) << 40 | 7, -5, 100, WIRE_EXPIRED}, fill_back;
    uint8_t bytes[WIRE_MESSAGE_SIZE_MAX];

    wire_put_order(bytes, &order);
    cr_expect_eq(wire_message_size(bytes, sizeof(bytes)), WIRE_ORDER_SIZE);
    cr_expect_eq(wire_message_type(bytes), WIRE_ORDER);
    wire_get_order(bytes, &order_back);
    cr_expect_eq(order_back.id, order.id);
    cr_expect_eq(order_back.sequence, order.sequence);
    cr_expect_eq(order_back.price, order.price);
    cr_expect_eq(order_back.quantity, order.quantity);
    cr_expect_eq(order_back.side, order.side);

    wire_put_fill(bytes, &fill);
    cr_expect_eq(wire_message_size(bytes, sizeof(bytes)), WIRE_FILL_SIZE);
    cr_expect_eq(wire_message_type(bytes), WIRE_FILL);
    wire_get_fill(bytes, &fill_back);
    cr_expect_eq(fill_back.id, fill.id);
    cr_expect_eq(fill_back.price, fill.price);
    cr_expect_eq(fill_back.quantity, fill.quantity);
    cr_expect_eq(fill_back.status, fill.status);
}

Test(demo_wire, session_messages_come_back_as_they_were)
{
    struct wire_welcome welcome = {UINT32_MAX, UINT64_MAX - 1, 256}, welcome_back;
    struct wire_ready ready = {77}, ready_back;
    struct wire_end end = {1, UINT64_MAX, 3}, end_back;
    uint8_t bytes[WIRE_MESSAGE_SIZE_MAX];

    wire_put_welcome(bytes, &welcome);
    cr_expect_eq(wire_message_size(bytes, sizeof(bytes)), WIRE_WELCOME_SIZE);
    wire_get_welcome(bytes, &welcome_back);
    cr_expect_eq(welcome_back.session, welcome.session);
    cr_expect_eq(welcome_back.tick_count, welcome.tick_count);
    cr_expect_eq(welcome_back.window, welcome.window);

    wire_put_ready(bytes, &ready);
    cr_expect_eq(wire_message_size(bytes, sizeof(bytes)), WIRE_READY_SIZE);
    wire_get_ready(bytes, &ready_back);
    cr_expect_eq(ready_back.session, ready.session);

    wire_put_end(bytes, &end);
    cr_expect_eq(wire_message_size(bytes, sizeof(bytes)), WIRE_END_SIZE);
    wire_get_end(bytes, &end_back);
    cr_expect_eq(end_back.ticks, end.ticks);
    cr_expect_eq(end_back.orders, end.orders);
    cr_expect_eq(end_back.lost, end.lost);
}

Test(demo_wire, a_header_is_judged_as_soon_as_it_is_whole)
{
    struct wire_ready ready = {1};
    uint8_t bytes[WIRE_READY_SIZE];

    wire_put_ready(bytes, &ready);
    for (size_t size = 0; size < WIRE_HEADER_SIZE; size++) {
        cr_expect_eq(wire_message_size(bytes, size), 0);
    }
    cr_expect_eq(wire_message_size(bytes, WIRE_HEADER_SIZE), WIRE_READY_SIZE);
}

Test(demo_wire, what_is_no_message_is_refused)
{
    struct wire_ready ready = {1};
    uint8_t good[WIRE_READY_SIZE], bad[WIRE_READY_SIZE];

    wire_put_ready(good, &ready);
    for (size_t i = 0; i < WIRE_HEADER_SIZE; i++) { /* another size, type or version */
        memcpy(bad, good, sizeof(bad));
        bad[i] ^= 0x40;
        cr_expect_eq(wire_message_size(bad, sizeof(bad)), -1, "byte %zu", i);
    }
    memset(bad, 0, sizeof(bad)); /* size 0 of type 0 must not pass for "that much of nothing" */
    bad[3] = WIRE_VERSION;
    cr_expect_eq(wire_message_size(bad, sizeof(bad)), -1);
}
