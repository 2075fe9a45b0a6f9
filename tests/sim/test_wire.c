/* tests/sim/test_wire.c: the simulated network without faults: who gets what, when, in which order, and its memory. */
#include "wire_world.h"

enum { CAPTURE_MAX = 65536, REFUSE_MAX = 64 };

/* ---- when ---- */

Test(wire, takes_fifty_microseconds_by_default)
{
    uint64_t sent_ns, time_ns;

    begin(2);
    sent_ns = now_ns;
    cr_assert_eq(pal__s_wire_next(wire), UINT64_MAX);
    send(0, 1, 7);
    cr_assert_eq(pal__s_wire_next(wire), sent_ns + 50 * US);
    deliver_at(sent_ns + 50 * US - 1);
    cr_assert_not(pal__s_wire_waits(wire, 1));
    cr_assert_eq(arrived_count, 0);
    deliver_at(sent_ns + 50 * US);
    cr_assert(pal__s_wire_waits(wire, 1));
    cr_assert_eq(receive(1, &time_ns), 7);
    cr_assert_eq(time_ns, sent_ns + 50 * US);
    cr_assert_eq(receive(1, NULL), -1);
    cr_assert_eq(counters().frames, 1);
    end();
}

Test(wire, keeps_the_date_of_what_is_delivered_late)
{
    struct pal_sim_faults faults = {.latency_min_ns = 123457, .latency_max_ns = 123457};
    uint64_t sent_ns, time_ns;

    begin(2);
    set(&faults);
    sent_ns = now_ns;
    send(1, 0, 1);
    deliver_at(sent_ns + SECOND);
    cr_assert_eq(receive(0, &time_ns), 1);
    cr_assert_eq(time_ns, sent_ns + 123457);
    end();
}

Test(wire, equal_dates_come_in_the_order_of_sending)
{
    enum { EACH = 100, SENDERS = 4 };

    begin(SENDERS + 1);
    for (uint32_t i = 0; i < EACH * SENDERS; i++)
        send(1 + i * 7 % SENDERS, 0, i);
    deliver_at(now_ns + SECOND);
    for (uint32_t i = 0; i < EACH * SENDERS; i++)
        cr_assert_eq(receive(0, NULL), i);
    end();
}

Test(wire, random_latency_keeps_the_order_of_each_pair)
{
    enum { EACH = 300 };
    struct pal_sim_faults faults = {.latency_min_ns = 0, .latency_max_ns = MS};
    uint32_t next[2] = {0, 0}, others_first = 0;
    int64_t number, last = -1;

    begin(3);
    set(&faults);
    for (uint32_t i = 0; i < EACH; i++) {
        send(0, 2, i);
        send(1, 2, i + 1000);
        deliver_at(now_ns + 10 * US);
        while ((number = receive(2, NULL)) >= 0) {
            cr_assert_eq(number % 1000, next[number / 1000]++);
            others_first += last >= 0 && number % 1000 < last % 1000;
            last = number;
        }
    }
    deliver_at(now_ns + SECOND);
    while ((number = receive(2, NULL)) >= 0)
        cr_assert_eq(number % 1000, next[number / 1000]++);
    cr_assert_eq(next[0], EACH);
    cr_assert_eq(next[1], EACH);
    cr_assert_gt(others_first, 0, "the latency is not random");
    cr_assert_eq(counters().reordered, 0);
    end();
}

/* ---- rate ---- */

Test(wire, a_rate_spaces_frames)
{
    struct pal_sim_faults faults = {.latency_min_ns = MS, .latency_max_ns = MS, .rate_bits_s = 3000000};
    const uint64_t bits_ns = 330667; /* 124 bytes at 3 Mbit/s, rounded up */
    uint64_t sent_ns, time_ns[3];

    begin(2);
    set(&faults);
    sent_ns = now_ns;
    for (uint32_t i = 0; i < 3; i++)
        send(0, 1, i);
    deliver_all();
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(receive(1, &time_ns[i]), i);
        cr_assert_eq(time_ns[i], sent_ns + MS + (2 + i) * bits_ns);
    }
    end();
}

Test(wire, senders_share_the_receivers_cable)
{
    struct pal_sim_faults faults = {.rate_bits_s = 1000000};
    uint64_t sent_ns, time_ns;

    begin(4);
    set(&faults);
    sent_ns = now_ns;
    for (uint32_t from = 1; from < 4; from++)
        send(from, 0, from);
    send(0, 1, 9); /* the other direction is free */
    deliver_all();
    for (uint32_t i = 1; i < 4; i++) {
        cr_assert_eq(receive(0, &time_ns), i);
        cr_assert_eq(time_ns, sent_ns + 50 * US + (1 + i) * 992 * US);
    }
    cr_assert_eq(receive(1, &time_ns), 9);
    cr_assert_eq(time_ns, sent_ns + 50 * US + 2 * 992 * US);
    end();
}

/* What is still far away does not keep the cable. */
Test(wire, the_cable_is_used_in_the_order_of_arrival)
{
    struct pal_sim_faults faults = {.rate_bits_s = 1000000};
    struct pal_sim_link slow = {.from = 1, .to = 0, .latency_min_ns = SECOND, .latency_max_ns = SECOND};
    uint64_t sent_ns, time_ns;

    begin(3);
    set(&faults);
    cr_assert_eq(pal__s_wire_set_link(wire, &slow), 0);
    sent_ns = now_ns;
    send(1, 0, 1);
    send(2, 0, 2);
    deliver_all();
    cr_assert_eq(receive(0, &time_ns), 2);
    cr_assert_eq(time_ns, sent_ns + 50 * US + 2 * 992 * US);
    cr_assert_eq(receive(0, &time_ns), 1);
    cr_assert_eq(time_ns, sent_ns + SECOND + 2 * 992 * US);
    end();
}

Test(wire, another_rate_does_not_reorder)
{
    struct pal_sim_faults faults = {.rate_bits_s = 1000000};

    begin(2);
    set(&faults);
    for (uint32_t i = 0; i < 10; i++)
        send(0, 1, i);
    deliver_at(now_ns + 5 * 992 * US);
    faults.rate_bits_s = 0;
    set(&faults);
    for (uint32_t i = 10; i < 20; i++)
        send(0, 1, i);
    deliver_all();
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(receive(1, NULL), i);
    end();
}

Test(wire, a_cable_s_queue_is_bounded)
{
    enum { MANY = 1000, SIZE_MAX_FRAME = 1514 };
    struct pal_sim_faults faults = {.rate_bits_s = 1000000};
    uint32_t came, room = WIRE_QUEUE_BYTES / (SIZE_MAX_FRAME + WIRE_OVERHEAD);

    begin(3);
    set(&faults);
    for (uint32_t i = 0; i < MANY; i++)
        send_sized(0, 1, SIZE_MAX_FRAME, i);
    deliver_all();
    came = drain(1);
    cr_assert(came >= room && came <= room + 2, "%u", (unsigned)came);
    cr_assert_eq(counters().lost, MANY - came);
    send(0, 1, 5);
    deliver_all();
    cr_assert_eq(receive(1, NULL), 5);
    for (uint32_t i = 0; i < room; i++) /* each fits its sender's queue, both do not fit the receiver's */
        for (uint32_t from = 1; from < 3; from++)
            send_sized(from, 0, SIZE_MAX_FRAME, i);
    deliver_all();
    came += drain(0);
    cr_assert_eq(came + 1 + counters().lost, counters().frames);
    cr_assert_gt(counters().lost, MANY - (room + 2));
    end();
}

/* ---- who ---- */

Test(wire, unicast_goes_to_one)
{
    struct frame *frame;
    struct nic_caps caps;
    uint8_t mac[MAC_SIZE];

    begin(3);
    for (uint32_t host = 0; host < 3; host++) {
        nics[host]->ops->caps(nics[host], &caps);
        pal__s_wire_mac(host, mac);
        cr_assert_arr_eq(caps.mac, mac, MAC_SIZE);
        cr_assert_eq(mac[0], 2);
        cr_assert_eq(caps.flags, 0);
        cr_assert_eq(caps.mtu, 1500);
        cr_assert_geq(caps.frame_room, 1518);
    }
    send(0, 2, 1);
    send(0, 0, 2); /* itself */
    send(0, 3, 3); /* nobody */
    frame = frame_to(0, 2, SIZE, 4);
    frame->data[0] = 6; /* a MAC of some other make */
    send_frame(0, frame);
    frame = frame_to(0, 2, SIZE, 5);
    frame->size = ETH_SIZE - 1; /* no header */
    send_frame(0, frame);
    cr_assert_eq(counters().frames, 1);
    deliver_all();
    cr_assert_eq(receive(2, NULL), 1);
    for (uint32_t host = 0; host < 3; host++)
        cr_assert_eq(drain(host), 0);
    end();
}

static const uint8_t groups[2][MAC_SIZE] = {{0x33, 0x33, 0, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 1}};

/* Host 0 sends number 0 to all, 1 and 2 to the groups: what a host got, a bit each. */
static void expect_heard(const uint32_t expected[5])
{
    for (uint32_t number = 0; number < 3; number++) {
        struct frame *frame = frame_to(0, ALL, SIZE, number);

        if (number > 0)
            memcpy(frame->data, groups[number - 1], MAC_SIZE);
        send_frame(0, frame);
    }
    deliver_all();
    for (uint32_t host = 0; host < 5; host++) {
        uint32_t heard = 0;
        int64_t number;

        while ((number = receive(host, NULL)) >= 0)
            heard |= 1U << number;
        cr_assert_eq(heard, expected[host], "host %u: %u", (unsigned)host, (unsigned)heard);
    }
}

Test(wire, groups_go_to_those_who_ask)
{
    static const uint32_t before[5] = {0, 1, 1, 1, 1}, first[5] = {0, 5, 1, 7, 3}, then[5] = {0, 1, 1, 7, 7};
    static const uint8_t many[300][MAC_SIZE] = {{0}};

    begin(5);
    expect_heard(before);
    nics[0]->ops->filter(nics[0], NULL, -1); /* yet it never hears itself */
    nics[1]->ops->filter(nics[1], &groups[1], 1);
    nics[3]->ops->filter(nics[3], NULL, -1);
    nics[4]->ops->filter(nics[4], groups, 1);
    expect_heard(first);
    nics[1]->ops->filter(nics[1], NULL, 0);
    nics[4]->ops->filter(nics[4], many, 300); /* more than it keeps: all */
    expect_heard(then);
    end();
}

Test(wire, tells_of_each_port_once)
{
    begin(4);
    send(0, 2, 1);
    send(0, 3, 2);
    send(0, 2, 3);
    send(0, 1, 4);
    deliver_at(now_ns + 50 * US);
    cr_assert_eq(arrived_count, 3);
    cr_assert_eq(arrived_hosts[0], 2);
    cr_assert_eq(arrived_hosts[1], 3);
    cr_assert_eq(arrived_hosts[2], 1);
    cr_assert_eq(drain(3), 1);
    send(0, 2, 5); /* has something to receive already */
    send(0, 3, 6);
    deliver_at(now_ns + 50 * US);
    cr_assert_eq(arrived_count, 1);
    cr_assert_eq(arrived_hosts[0], 3);
    cr_assert_eq(drain(1), 1);
    cr_assert_eq(drain(2), 3);
    cr_assert_eq(drain(3), 1);
    end();
}

static uint32_t echoes;

static void answer(uint32_t host)
{
    cr_assert_eq(drain(host), 1);
    if (echoes++ < 5)
        send(host, 1 - (int64_t)host, echoes);
}

Test(wire, may_be_sent_on_while_it_delivers)
{
    struct pal_sim_faults faults = {.latency_min_ns = 0, .latency_max_ns = 1};

    begin(2);
    set(&faults);
    send(0, 1, 0);
    for (echoes = 0; pal__s_wire_next(wire) != UINT64_MAX;) {
        now_ns = pal__s_wire_next(wire);
        pal__s_wire_set_time(wire, now_ns);
        pal__s_wire_deliver(wire, answer);
    }
    cr_assert_eq(echoes, 6);
    end();
}

/* ---- memory ---- */

Test(wire, what_finds_no_frame_is_lost_and_counted)
{
    begin(3);
    for (uint32_t i = 0; i < WIRE_FRAMES + 10; i++)
        send(0, 1, i);
    cr_assert_eq(pal__s_wire_used(wire, 1), WIRE_FRAMES);
    cr_assert_eq(pal__s_wire_used(wire, 0), 0);
    cr_assert_eq(counters().lost, 10);
    cr_assert_null(frame_alloc(nics[1]));
    send(0, 2, 1); /* others are as before */
    deliver_all();
    cr_assert_eq(drain(2), 1);
    cr_assert_eq(receive(1, NULL), 0);
    send(0, 1, 9999);
    deliver_all();
    for (uint32_t i = 1; i < WIRE_FRAMES; i++)
        cr_assert_eq(receive(1, NULL), i);
    cr_assert_eq(receive(1, NULL), 9999);
    cr_assert_eq(counters().lost, 10);
    end();
}

Test(wire, too_large_a_frame_is_lost)
{
    struct nic_caps caps;

    begin(2);
    nics[0]->ops->caps(nics[0], &caps);
    send_sized(0, 1, 1518, 1);
    send_sized(0, 1, caps.frame_room, 2);
    deliver_all();
    cr_assert_eq(receive(1, NULL), 1);
    cr_assert_eq(receive(1, NULL), -1);
    cr_assert_eq(counters().lost, caps.frame_room > 1518);
    end();
}

Test(wire, a_frame_of_another_nic_goes_home)
{
    struct frame *frame;

    begin(3);
    frame = frame_to(2, 1, SIZE, 8);
    send_frame(0, frame);
    cr_assert_eq(pal__s_wire_used(wire, 2), 0);
    deliver_all();
    cr_assert_eq(receive(1, NULL), 8);
    end();
}

Test(wire, a_reset_loses_what_is_for_the_host)
{
    struct pal_sim_faults faults = {.rate_bits_s = 1000000};
    struct frame *frame;

    begin(3);
    set(&faults);
    nics[1]->ops->filter(nics[1], groups, 1);
    for (uint32_t i = 0; i < 5; i++)
        send(0, 1, i);
    deliver_at(now_ns + 4 * 992 * US); /* some wait there, one is on the cable, some are on the way */
    cr_assert(pal__s_wire_waits(wire, 1));
    send(1, 2, 77); /* has left */
    send(0, 2, 78);
    pal__s_wire_reset(wire, 1);
    cr_assert_eq(pal__s_wire_used(wire, 1), 0);
    cr_assert_not(pal__s_wire_waits(wire, 1));
    cr_assert_eq(counters().lost, 5);
    frame = frame_to(0, ALL, SIZE, 79);
    memcpy(frame->data, groups[0], MAC_SIZE);
    send_frame(0, frame); /* is asked for no more */
    send(0, 1, 80);
    deliver_all();
    cr_assert_eq(receive(1, NULL), 80);
    cr_assert_eq(receive(1, NULL), -1);
    cr_assert_eq(receive(2, NULL), 77);
    cr_assert_eq(receive(2, NULL), 78);
    end();
}

static void reset_other(uint32_t host)
{
    cr_assert_eq(host, 1);
    pal__s_wire_reset(wire, 2);
    cr_assert_eq(drain(1), 1);
}

Test(wire, a_reset_while_delivering_is_not_told_of)
{
    begin(3);
    send(0, ALL, 1);
    now_ns += SECOND;
    pal__s_wire_set_time(wire, now_ns);
    pal__s_wire_deliver(wire, reset_other);
    end();
}

Test(wire, the_last_port_can_be_detached)
{
    begin(3);
    cr_assert_eq(pal__s_wire_cut(wire, 0, 2, true), 0);
    send(1, 2, 1);
    send(2, 1, 2); /* has left */
    send(1, 0, 3);
    pal__s_wire_detach(wire, --host_count);
    cr_assert_eq(counters().lost, 1);
    send(1, 2, 4); /* nobody */
    add_host();
    send(0, 2, 5);
    deliver_all();
    cr_assert_eq(receive(0, NULL), 3);
    cr_assert_eq(receive(1, NULL), 2);
    cr_assert_eq(receive(2, NULL), 5);
    end();
}

Test(wire, is_destroyed_with_frames_under_way)
{
    begin(2);
    for (uint32_t i = 0; i < 10; i++)
        send(0, 1, i);
    deliver_at(now_ns + 50 * US);
    send(1, 0, 1);
    pal__s_wire_destroy(wire);
    pal__s_wire_destroy(NULL);
    cr_assert_eq(memory.blocks, 0);
}

Test(wire, many_hosts)
{
    begin(HOSTS_MAX);
    send(HOSTS_MAX - 1, ALL, 5);
    deliver_all();
    cr_assert_eq(counters().frames, HOSTS_MAX - 1);
    for (uint32_t host = 0; host < HOSTS_MAX; host++)
        cr_assert_eq(drain(host), host != HOSTS_MAX - 1);
    end();
}

/* Allocations that are granted before one is refused. */
static uint32_t granted;

static void *limited_alloc(void *context, size_t size, size_t alignment)
{
    return granted == 0 ? NULL : (granted--, counting_alloc(context, size, alignment));
}

Test(wire, without_memory_it_says_so_and_leaks_nothing)
{
    struct pcap_sink sink = {.write = NULL};
    struct pal_sim_link link = {.from = 0, .to = 1};
    bool complete = false;

    for (uint32_t limit = 0; limit < REFUSE_MAX && !complete; limit++) {
        uint32_t host = 0;
        int result;

        counting_init(&memory);
        memory.allocator.alloc = limited_alloc;
        granted = limit;
        result = pal__s_wire_create(&memory.allocator, &sink, &wire);
        for (; result == 0 && host < 9; host++)
            result = pal__s_wire_attach(wire, host, "eth", &nics[host]);
        if (result == 0)
            result = pal__s_wire_set_link(wire, &link);
        complete = result == 0;
        if (result != 0) {
            cr_assert_eq(result, PAL_ENOMEM);
            cr_assert_not_null(pal__refusal.reason);
        }
        granted = UINT32_MAX;
        if (limit > 0 && result != 0 && host > 0 && host < 9) /* the refused one again, this time with memory */
            cr_assert_eq(pal__s_wire_attach(wire, host - 1, "eth", &nics[host - 1]), 0);
        if (limit > 0)
            pal__s_wire_destroy(wire);
        cr_assert_eq(memory.blocks, 0, "limit %u", (unsigned)limit);
    }
    cr_assert(complete);
}

/* ---- a capture ---- */

static uint8_t capture[CAPTURE_MAX];
static size_t capture_size;

static void keep(void *context, const void *bytes, size_t size)
{
    (void)context;
    cr_assert_leq(capture_size + size, sizeof(capture));
    memcpy(capture + capture_size, bytes, size);
    capture_size += size;
}

static uint32_t capture32(size_t at)
{
    return (uint32_t)capture[at] | (uint32_t)capture[at + 1] << 8 | (uint32_t)capture[at + 2] << 16 |
           (uint32_t)capture[at + 3] << 24;
}

Test(wire, writes_a_capture)
{
    struct pcap_sink sink = {.write = keep};
    uint32_t interfaces = 0, packets = 0;
    uint64_t times[4] = {0}, sent_ns;

    capture_size = 0;
    begin_with(1, 2, &sink);
    sent_ns = now_ns;
    send(0, 1, 1);
    deliver_at(now_ns + 60 * US);
    cr_assert_eq(drain(1), 1);
    for (size_t at = 0; at < capture_size; at += capture32(at + 4)) {
        interfaces += capture32(at) == 1;
        if (capture32(at) == 6 && packets < 4)
            times[packets++] = (uint64_t)capture32(at + 12) << 32 | capture32(at + 16);
    }
    cr_assert_eq(interfaces, 2);
    cr_assert_eq(packets, 2);
    cr_assert_eq(times[0], sent_ns);
    cr_assert_eq(times[1], sent_ns + 50 * US);
    end();
}
