/* tests/sim/test_wire_faults.c: what the simulated network does to frames: faults, links, cuts; and that it repeats. */
#include "../../backends/netstack/checksum.h"
#include "wire_world.h"

enum { MANY = 100000, MILLION = 1000000 };

/* Sends so many frames from 0 to 1, with time for each to arrive before the next: how many came. */
static uint32_t exchange(uint32_t count)
{
    uint32_t came = 0;

    for (uint32_t i = 0; i < count; i++) {
        send(0, 1, i);
        deliver_all();
        came += drain(1);
    }
    return came;
}

/* ---- frames ---- */

Test(wire_faults, loss)
{
    struct pal_sim_faults faults = {.loss_ppm = 10000};
    uint32_t came;

    begin(2);
    set(&faults);
    came = exchange(MANY);
    cr_assert_eq(counters().frames, MANY);
    cr_assert_eq(counters().lost, MANY - came);
    cr_assert(MANY - came > 800 && MANY - came < 1200, "%u", (unsigned)(MANY - came));
    faults.loss_ppm = MILLION;
    set(&faults);
    cr_assert_eq(exchange(100), 0);
    faults.loss_ppm = 0;
    set(&faults);
    cr_assert_eq(exchange(100), 100);
    end();
}

Test(wire_faults, duplicates)
{
    struct pal_sim_faults faults = {.duplicate_ppm = 100000, .latency_min_ns = US, .latency_max_ns = MS};
    uint32_t came, twice = 0;
    int64_t number, last = -1;

    begin(2);
    set(&faults);
    came = exchange(10000);
    cr_assert_eq(came, 10000 + counters().duplicated);
    cr_assert(came > 10800 && came < 11200, "%u", (unsigned)came);
    for (uint32_t i = 0; i < 500; i++)
        send(0, 1, i);
    deliver_all();
    for (; (number = receive(1, NULL)) >= 0; last = number) { /* right behind the first one */
        cr_assert(number == last || number == last + 1);
        twice += number == last;
    }
    cr_assert_eq(came - 10000 + twice, counters().duplicated);
    cr_assert_gt(twice, 0);
    end();
}

Test(wire_faults, reorders_some_and_no_others)
{
    enum { COUNT = 900 };
    struct pal_sim_faults faults = {.reorder_ppm = 100000};
    uint64_t sent_ns, time_ns, latest_ns = 0;
    int64_t number, highest = -1;
    uint32_t came = 0, late = 0;

    begin(2);
    set(&faults);
    sent_ns = now_ns;
    for (uint32_t i = 0; i < COUNT; i++) {
        deliver_at(sent_ns + i * US);
        send(0, 1, i);
    }
    deliver_all();
    for (; (number = receive(1, &time_ns)) >= 0; came++) {
        late += time_ns > latest_ns && number < highest;
        highest = number > highest ? number : highest;
        cr_assert_leq(time_ns, sent_ns + (uint64_t)number * US + 50 * US + MS);
        latest_ns = time_ns;
    }
    cr_assert_eq(came, COUNT);
    cr_assert(counters().reordered > 60 && counters().reordered < 130, "%u", (unsigned)counters().reordered);
    cr_assert(late > counters().reordered / 2 && late <= counters().reordered, "%u", (unsigned)late);
    faults.reorder_ppm = MILLION; /* with random latency: up to four times its range */
    faults.latency_max_ns = 10 * MS;
    set(&faults);
    for (uint32_t i = 0; i < COUNT; i++)
        send(0, 1, i);
    sent_ns = now_ns;
    for (latest_ns = 0, deliver_all(); receive(1, &time_ns) >= 0;)
        latest_ns = time_ns;
    cr_assert(latest_ns > sent_ns + 30 * MS && latest_ns <= sent_ns + 50 * MS);
    end();
}

/* An IPv4 packet with a TCP segment of 40 bytes, both checksums right. */
static struct frame *packet(uint32_t number)
{
    struct frame *frame = frame_to(0, 1, ETH_SIZE + IP4_SIZE + 60, number);
    uint8_t *at = frame->data + ETH_SIZE, *tcp = at + IP4_SIZE;
    struct ip src, dst;

    memset(at, 0, IP4_SIZE + 60);
    at[IP4_VERSION_LENGTH] = 0x45;
    put16(at + IP4_TOTAL, IP4_SIZE + 60);
    at[IP4_PROTOCOL] = PAL_IPPROTO_TCP;
    put32(at + IP4_SRC, 0x0a000001);
    put32(at + IP4_DST, 0x0a000002);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, IP4_SIZE)));
    put32(tcp + TCP_SIZE, number);
    src = ip_of_v4(at + IP4_SRC);
    dst = ip_of_v4(at + IP4_DST);
    put16(tcp + TCP_CHECKSUM,
          checksum_finish(pal__n_checksum_add(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_TCP, 60), tcp, 60)));
    return frame;
}

static bool is_good(const struct frame *frame)
{
    const uint8_t *at = frame->data + ETH_SIZE, *tcp = at + IP4_SIZE;
    struct ip src = ip_of_v4(at + IP4_SRC), dst = ip_of_v4(at + IP4_DST);
    uint64_t sum = pal__n_checksum_add(pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_TCP, 60), tcp, 60);

    return pal__n_checksum_fold(pal__n_checksum_add(0, at, IP4_SIZE)) == 0xffff && pal__n_checksum_fold(sum) == 0xffff;
}

Test(wire_faults, every_damage_is_told_by_a_checksum)
{
    struct pal_sim_faults faults = {.corrupt_ppm = 500000};
    uint32_t bad = 0;

    begin(2);
    set(&faults);
    for (uint32_t i = 0; i < 20000; i++) {
        struct frame *frame = packet(i);

        send_frame(0, frame);
        deliver_all();
        cr_assert_eq(nics[1]->ops->rx(nics[1], &frame, 1), 1);
        bad += !is_good(frame);
        frame_free(frame);
    }
    cr_assert_eq(counters().corrupted, bad);
    cr_assert(bad > 9500 && bad < 10500, "%u", (unsigned)bad);
    end();
}

Test(wire_faults, what_has_no_checksum_is_not_damaged)
{
    struct pal_sim_faults faults = {.corrupt_ppm = MILLION};
    uint8_t sent[SIZE];

    begin(2);
    set(&faults);
    for (uint32_t i = 0; i < 100; i++) {
        struct frame *frame = frame_to(0, 1, SIZE, i);

        put16(frame->data + ETH_TYPE, ETH_P_ARP);
        memcpy(sent, frame->data, SIZE);
        send_frame(0, frame);
        deliver_all();
        cr_assert_eq(nics[1]->ops->rx(nics[1], &frame, 1), 1);
        cr_assert_arr_eq(frame->data, sent, SIZE);
        frame_free(frame);
    }
    cr_assert_eq(counters().corrupted, 0);
    end();
}

/* ---- links ---- */

static void set_link(uint32_t from, uint32_t to, uint64_t latency_ns)
{
    struct pal_sim_link link = {.from = from, .to = to, .latency_min_ns = latency_ns, .latency_max_ns = latency_ns};

    cr_assert_eq(pal__s_wire_set_link(wire, &link), 0);
}

static uint64_t latency(uint32_t from, uint32_t to)
{
    uint64_t sent_ns = now_ns, time_ns;

    send(from, to, 1);
    deliver_all();
    cr_assert_eq(receive(to, &time_ns), 1);
    return time_ns - sent_ns;
}

Test(wire_faults, a_link_stands_for_the_network)
{
    struct pal_sim_faults faults = {.latency_min_ns = 7 * MS, .latency_max_ns = 7 * MS};
    struct pal_sim_link lossy = {.from = 2, .to = 0, .loss_ppm = MILLION};

    begin(3);
    set_link(0, 1, 3 * MS);
    set(&faults);
    cr_assert_eq(latency(0, 1), 3 * MS); /* that way only, whichever was set first */
    cr_assert_eq(latency(1, 0), 7 * MS);
    cr_assert_eq(latency(0, 2), 7 * MS);
    set_link(0, 1, 0);
    cr_assert_eq(latency(0, 1), 50 * US);
    cr_assert_eq(pal__s_wire_set_link(wire, &lossy), 0);
    send(2, 0, 1);
    cr_assert_eq(counters().lost, 1);
    cr_assert_eq(latency(2, 1), 7 * MS);
    end();
}

Test(wire_faults, of_two_links_the_latest_counts)
{
    const uint32_t every = UINT32_MAX;

    begin(3);
    set_link(0, 1, MS);
    set_link(every, 1, 2 * MS);
    cr_assert_eq(latency(0, 1), 2 * MS);
    cr_assert_eq(latency(2, 1), 2 * MS);
    cr_assert_eq(latency(1, 2), 50 * US);
    set_link(0, 1, 3 * MS);
    cr_assert_eq(latency(0, 1), 3 * MS);
    cr_assert_eq(latency(2, 1), 2 * MS);
    set_link(0, every, 4 * MS);
    cr_assert_eq(latency(0, 1), 4 * MS);
    cr_assert_eq(latency(0, 2), 4 * MS);
    cr_assert_eq(latency(2, 1), 2 * MS);
    set_link(every, every, 5 * MS);
    cr_assert_eq(latency(0, 1), 5 * MS);
    cr_assert_eq(latency(2, 1), 5 * MS);
    add_host();
    cr_assert_eq(latency(3, 1), 5 * MS);
    end();
}

Test(wire_faults, links_that_say_nothing_more_are_forgotten)
{
    size_t blocks;

    begin(4);
    blocks = memory.blocks;
    for (uint32_t i = 0; i < 1000; i++) {
        set_link(0, 1, i);
        set_link(UINT32_MAX, 2, i);
    }
    cr_assert_eq(memory.blocks, blocks + 2);
    set_link(1, 2, 5);
    set_link(1, 0, 5);
    set_link(1, UINT32_MAX, 5);
    cr_assert_eq(memory.blocks, blocks + 3);
    set_link(UINT32_MAX, UINT32_MAX, 5);
    cr_assert_eq(memory.blocks, blocks + 1);
    end();
}

/* ---- cuts ---- */

static bool reaches(uint32_t from, uint32_t to)
{
    send(from, to, 1);
    deliver_all();
    return drain(to) == 1;
}

static void cut(uint32_t a, uint32_t b)
{
    cr_assert_eq(pal__s_wire_cut(wire, a, b, true), 0);
}

static void heal(uint32_t a, uint32_t b)
{
    cr_assert_eq(pal__s_wire_cut(wire, a, b, false), 0);
}

Test(wire_faults, a_cut_stops_both_ways_and_is_healed_at_once)
{
    begin(3);
    cut(0, 1);
    cut(1, 0);
    cr_assert_not(reaches(0, 1));
    cr_assert_not(reaches(1, 0));
    cr_assert(reaches(0, 2));
    cr_assert(reaches(2, 1));
    cr_assert_eq(counters().cut_off, 2);
    cr_assert_eq(counters().lost, 0);
    heal(0, 1);
    cr_assert(reaches(0, 1));
    cr_assert(reaches(1, 0));
    end();
}

Test(wire_faults, a_cut_takes_what_is_under_way)
{
    struct pal_sim_faults faults = {.rate_bits_s = 1000000, .reorder_ppm = 300000};

    begin(3);
    set(&faults);
    for (uint32_t i = 0; i < 10; i++) {
        send(0, 1, i);
        send(1, 0, i);
        send(2, 1, i);
    }
    deliver_at(now_ns + 3 * 992 * US);
    cr_assert(pal__s_wire_waits(wire, 1)); /* has arrived: stays */
    cut(1, 0);
    deliver_all();
    cr_assert_eq(drain(0) + drain(1) + counters().cut_off, 30);
    cr_assert_gt(counters().cut_off, 10);
    cr_assert_lt(counters().cut_off, 20);
    cr_assert_eq(pal__s_wire_used(wire, 0) + pal__s_wire_used(wire, 1), 0);
    heal(0, 1);
    cr_assert(reaches(0, 1));
    end();
}

Test(wire_faults, a_host_can_be_cut_off_from_all)
{
    begin(3);
    cut(UINT32_MAX, 1);
    add_host();
    cr_assert_not(reaches(0, 1));
    cr_assert_not(reaches(1, 2));
    cr_assert_not(reaches(3, 1)); /* who came later, too */
    cr_assert(reaches(0, 2));
    cr_assert(reaches(3, 0));
    heal(2, 1);
    cr_assert(reaches(2, 1));
    cr_assert_not(reaches(1, 0));
    heal(1, UINT32_MAX);
    add_host();
    cr_assert(reaches(1, 0));
    cr_assert(reaches(4, 1));
    cut(UINT32_MAX, UINT32_MAX);
    add_host();
    for (uint32_t from = 0; from < 6; from++)
        for (uint32_t to = 0; to < 6; to++)
            cr_assert(from == to || !reaches(from, to));
    heal(UINT32_MAX, UINT32_MAX);
    add_host();
    for (uint32_t from = 0; from < 7; from++)
        for (uint32_t to = 0; to < 7; to++)
            cr_assert(from == to || reaches(from, to));
    end();
}

Test(wire_faults, cuts_of_many_hosts)
{
    begin(3);
    cut(0, 2);
    cut(1, UINT32_MAX);
    while (host_count < HOSTS_MAX)
        add_host();
    cut(64, 128);
    cr_assert_not(reaches(0, 2));
    cr_assert_not(reaches(HOSTS_MAX - 1, 1));
    cr_assert_not(reaches(128, 64));
    cr_assert(reaches(0, 64));
    cr_assert(reaches(0, 128));
    end();
}

/* ---- refusals ---- */

static void expect_refused(int result)
{
    cr_assert_eq(result, PAL_EINVAL);
    cr_assert_not_null(pal__refusal.reason);
    pal__refusal.reason = NULL;
}

Test(wire_faults, what_makes_no_sense_is_refused)
{
    static const struct pal_sim_faults bad[] = {
        {.loss_ppm = MILLION + 1},
        {.duplicate_ppm = MILLION + 1},
        {.reorder_ppm = MILLION + 1},
        {.corrupt_ppm = MILLION + 1},
        {.latency_min_ns = 2, .latency_max_ns = 1},
        {.latency_min_ns = 1},
        {.latency_max_ns = WIRE_LATENCY_MAX_NS + 1},
    };
    struct pal_sim_link links[] = {
        {.from = 2, .to = 0},
        {.from = 0, .to = 2},
        {.from = 1, .to = 1},
        {.from = 0, .to = 1, .loss_ppm = MILLION + 1},
        {.from = 0, .to = 1, .latency_min_ns = 1},
    };

    begin(2);
    set_link(0, 1, MS);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        expect_refused(pal__s_wire_set_faults(wire, &bad[i]));
    for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
        expect_refused(pal__s_wire_set_link(wire, &links[i]));
    expect_refused(pal__s_wire_cut(wire, 0, 2, true));
    expect_refused(pal__s_wire_cut(wire, 2, UINT32_MAX, true));
    expect_refused(pal__s_wire_cut(wire, 1, 1, true));
    expect_refused(pal__s_wire_cut(wire, 2, 2, false));
    cr_assert_eq(latency(0, 1), MS); /* nothing has changed */
    cr_assert_eq(latency(1, 0), 50 * US);
    end();
}

/* ---- the same again ---- */

/* Four hosts talk over a bad network that is cut, healed and reset: the hash of all that has happened. */
static uint64_t scenario(uint64_t seed)
{
    struct pal_sim_faults faults = {.loss_ppm = 50000,
                                    .duplicate_ppm = 50000,
                                    .reorder_ppm = 50000,
                                    .corrupt_ppm = 50000,
                                    .latency_min_ns = 10 * US,
                                    .latency_max_ns = 300 * US,
                                    .rate_bits_s = 100000000};
    struct pal_sim_link link = {.from = 3, .to = UINT32_MAX, .loss_ppm = 200000, .latency_max_ns = MS};
    uint64_t hash;

    begin_with(seed, 4, NULL);
    set(&faults);
    cr_assert_eq(pal__s_wire_set_link(wire, &link), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t from = pal__s_choose(4), to = pal__s_choose(4);

        send_sized(from, from == to ? ALL : (int64_t)to, 60 + pal__s_choose(1400), i);
        if (i % 500 == 250)
            cut(from, UINT32_MAX);
        if (i % 500 == 300)
            heal(UINT32_MAX, UINT32_MAX);
        if (i % 700 == 600)
            pal__s_wire_reset(wire, to);
        deliver_at(now_ns + pal__s_until_next(50 * US));
        for (uint32_t host = 0; host < 4; host++)
            if (i % 8 == host)
                (void)drain(host);
    }
    deliver_all();
    for (uint32_t host = 0; host < 4; host++)
        (void)drain(host);
    hash = pal__s_trace_hash();
    cr_assert_gt(counters().lost, 0);
    cr_assert_gt(counters().duplicated, 0);
    cr_assert_gt(counters().reordered, 0);
    cr_assert_gt(counters().corrupted, 0);
    cr_assert_gt(counters().cut_off, 0);
    end();
    return hash;
}

Test(wire_faults, the_same_seed_gives_the_same)
{
    uint64_t first = scenario(1);

    cr_assert_eq(scenario(1), first);
    cr_assert_neq(scenario(2), first);
    cr_assert_eq(scenario(1), first);
}

/* On every CPU. It changes when what the wire draws, or what a note is made of, is changed on purpose. */
Test(wire_faults, every_machine_gives_the_same)
{
    uint64_t hash = scenario(12345);

    cr_assert_eq(hash, UINT64_C(0xeb30b03fe4c0e83b), "0x%016llx", (unsigned long long)hash);
}
