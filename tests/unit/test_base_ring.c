/* tests/unit/test_base_ring.c: both rings deliver all items once and in order, and never more than they hold. */
#include "palio/base/ring.h"
#include "random.h"
#include "support/test.h"
#include "trap.h"

#include <pthread.h>
#include <sched.h>

enum { MODEL_STEPS = 20000, MODEL_ITEM_MAX = 12, MODEL_CAPACITY_MAX = 64, SPSC_ITEMS = 300000, SPSC_CAPACITY = 64 };

Test(base_ring, fills_to_its_capacity_and_no_further)
{
    uint32_t storage[4], items[6] = {1, 2, 3, 4, 5, 6}, out[6] = {0};
    struct base_ring ring;

    base_ring_init(&ring, storage, 4, sizeof(storage[0]));
    cr_assert_eq(base_ring_room(&ring), 4);
    cr_assert_eq(base_ring_pop(&ring, out, 1), 0);
    cr_assert_eq(base_ring_push(&ring, items, 6), 4);
    cr_assert_eq(base_ring_push(&ring, items, 1), 0);
    cr_assert_eq(base_ring_count(&ring), 4);
    cr_assert_eq(base_ring_peek(&ring, out, 2), 2);
    cr_assert_eq(out[1], 2);
    cr_assert_eq(base_ring_pop(&ring, out, 6), 4);
    cr_assert_arr_eq(out, items, 4 * sizeof(items[0]));
    cr_assert_eq(base_ring_count(&ring), 0);
}

Test(base_ring, spans_show_the_items_across_the_end_of_the_storage)
{
    uint8_t storage[8], bytes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct base_ring ring;
    struct base_ring_span spans[2];

    base_ring_init(&ring, storage, 8, 1);
    cr_assert_eq(base_ring_push(&ring, bytes, 6), 6);
    base_ring_skip(&ring, 5);
    base_ring_writable(&ring, spans);
    cr_assert_eq(spans[0].count, 2);
    cr_assert_eq(spans[1].count, 5);
    memcpy(spans[0].items, "ab", 2);
    memcpy(spans[1].items, "c", 1);
    base_ring_commit(&ring, 3);
    base_ring_readable(&ring, spans);
    cr_assert_eq(spans[0].count, 3);
    cr_assert_arr_eq(spans[0].items, "\005ab", 3);
    cr_assert_eq(spans[1].count, 1);
    cr_assert_arr_eq(spans[1].items, "c", 1);
}

Test(base_ring, goes_on_when_its_positions_wrap)
{
    uint16_t storage[4], item, out;
    struct base_ring ring;

    base_ring_init(&ring, storage, 4, sizeof(storage[0]));
    ring.head = ring.tail = SIZE_MAX - 1;
    for (item = 0; item < 3; item++)
        cr_assert_eq(base_ring_push(&ring, &item, 1), 1);
    cr_assert_eq(base_ring_count(&ring), 3);
    for (item = 0; item < 3; item++) {
        cr_assert_eq(base_ring_pop(&ring, &out, 1), 1);
        cr_assert_eq(out, item);
    }
}

Test(base_ring, skipping_more_than_is_there_stops_the_program, .signal = TRAP_SIGNAL)
{
    uint8_t storage[4];
    struct base_ring ring;

    base_ring_init(&ring, storage, 4, 1);
    base_ring_skip(&ring, 1);
}

Test(base_ring, a_capacity_that_is_no_power_of_two_stops_the_program, .signal = TRAP_SIGNAL)
{
    uint8_t storage[6];
    struct base_ring ring;

    base_ring_init(&ring, storage, 6, 1);
}

/* The byte at `position` of the endless stream that goes through the rings of the models below. */
static uint8_t stream_byte(uint64_t position)
{
    return (uint8_t)(position * 131 + (position >> 8));
}

static void fill(uint8_t *bytes, uint64_t position, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = stream_byte(position + i);
}

static void expect_stream(const uint8_t *bytes, uint64_t position, size_t size)
{
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(bytes[i], stream_byte(position + i), "byte %zu of %zu differs", i, size);
}

/* The model is two counters: how many items went in, how many came out. */
static void run_model(struct random *random, size_t capacity, size_t item_size)
{
    uint8_t storage[MODEL_CAPACITY_MAX * MODEL_ITEM_MAX], plain_storage[MODEL_CAPACITY_MAX * MODEL_ITEM_MAX];
    uint8_t bytes[2 * MODEL_CAPACITY_MAX * MODEL_ITEM_MAX];
    struct base_spsc spsc;
    struct base_ring ring;
    uint64_t in = 0, out = 0;

    base_spsc_init(&spsc, storage, capacity, item_size);
    base_ring_init(&ring, plain_storage, capacity, item_size);
    for (int step = 0; step < MODEL_STEPS; step++) {
        size_t count = (size_t)random_below(random, 2 * capacity);

        if (random_below(random, 2) == 0) {
            size_t expected = count < capacity - (in - out) ? count : capacity - (size_t)(in - out);

            fill(bytes, in * item_size, count * item_size);
            cr_assert_eq(base_spsc_push(&spsc, bytes, count), expected);
            cr_assert_eq(base_ring_push(&ring, bytes, count), expected);
            in += expected;
        } else {
            size_t expected = count < in - out ? count : (size_t)(in - out);

            cr_assert_eq(base_spsc_pop(&spsc, bytes, count), expected);
            expect_stream(bytes, out * item_size, expected * item_size);
            cr_assert_eq(base_ring_pop(&ring, bytes, count), expected);
            expect_stream(bytes, out * item_size, expected * item_size);
            out += expected;
        }
        cr_assert_eq(base_spsc_count(&spsc), in - out);
        cr_assert_eq(base_ring_count(&ring), in - out);
        cr_assert_eq(base_ring_room(&ring), capacity - (in - out));
    }
}

Test(base_ring, both_rings_agree_with_two_counters_in_random_use)
{
    struct random random = random_start("base_ring");

    run_model(&random, 1, 1);
    run_model(&random, 2, MODEL_ITEM_MAX);
    run_model(&random, MODEL_CAPACITY_MAX, 1);
    run_model(&random, 16, 8);
}

struct stream {
    struct base_spsc ring;
    uint64_t storage[SPSC_CAPACITY];
    struct random random;
};

/* Sends 0, 1, 2 ... in batches of random size. */
static void *produce(void *argument)
{
    struct stream *stream = argument;
    uint64_t batch[SPSC_CAPACITY], next = 0;

    while (next < SPSC_ITEMS) {
        size_t count = 1 + (size_t)random_below(&stream->random, SPSC_CAPACITY - 1);

        if (count > SPSC_ITEMS - next)
            count = (size_t)(SPSC_ITEMS - next);
        for (size_t i = 0; i < count; i++)
            batch[i] = next + i;
        count = base_spsc_push(&stream->ring, batch, count);
        next += count;
        if (count == 0)
            sched_yield();
    }
    return NULL;
}

Test(base_spsc, carries_every_item_once_and_in_order_between_two_threads)
{
    static struct stream stream;
    uint64_t batch[SPSC_CAPACITY], expected = 0;
    pthread_t producer;

    stream.random = random_start("base_spsc");
    base_spsc_init(&stream.ring, stream.storage, SPSC_CAPACITY, sizeof(stream.storage[0]));
    cr_assert_eq(pthread_create(&producer, NULL, produce, &stream), 0);
    while (expected < SPSC_ITEMS) {
        size_t count = base_spsc_pop(&stream.ring, batch, 1 + expected % SPSC_CAPACITY);

        for (size_t i = 0; i < count; i++)
            cr_assert_eq(batch[i], expected++);
        if (count == 0)
            sched_yield();
    }
    cr_assert_eq(pthread_join(producer, NULL), 0);
    cr_assert_eq(base_spsc_count(&stream.ring), 0);
}
