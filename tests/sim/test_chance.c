/* tests/sim/test_chance.c: draws of the simulator: their bounds, their shares, their streams; exploring; swarms. */
#include "../../backends/sim/chance.h"
#include "support/test.h"

enum { DRAWS = 100000, SEEDS = 1000, MANY = 64 };

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static void begin(uint64_t seed)
{
    cr_assert(pal__s_chance_begin(seed, 0, NULL, 0));
}

/* ---- draws ---- */

Test(chance, happens_about_so_often)
{
    uint32_t count = 0;

    begin(1);
    for (uint32_t i = 0; i < DRAWS; i++)
        count += pal__s_happens(20000);
    cr_assert(count > 1800 && count < 2200, "%u", (unsigned)count);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_not(pal__s_happens(0));
        cr_assert(pal__s_happens(1000000));
        cr_assert(pal__s_happens(UINT32_MAX));
    }
}

Test(chance, between_has_both_ends_and_no_favourites)
{
    uint32_t counts[7] = {0};
    uint64_t drawn, all = 0;

    begin(2);
    for (uint32_t i = 0; i < 70000; i++) {
        drawn = pal__s_between(10, 16);
        cr_assert(drawn >= 10 && drawn <= 16);
        counts[drawn - 10]++;
    }
    for (uint32_t i = 0; i < 7; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%u: %u", (unsigned)i, (unsigned)counts[i]);
    for (uint32_t i = 0; i < 1000; i++)
        all |= pal__s_between(0, UINT64_MAX);
    cr_assert_eq(all, UINT64_MAX);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_geq(pal__s_between(UINT64_MAX - 1, UINT64_MAX), UINT64_MAX - 1);
    cr_assert_eq(pal__s_between(0, 0), 0);
    cr_assert_eq(pal__s_between(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

Test(chance, the_next_comes_in_the_mean_when_it_should)
{
    uint64_t sum = 0;

    begin(3);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint64_t next = pal__s_until_next(SECOND);

        cr_assert(next >= 1 && next < 2 * SECOND);
        sum += next;
    }
    cr_assert(sum / DRAWS > 990 * MS && sum / DRAWS < 1010 * MS);
    cr_assert_eq(pal__s_until_next(1), 1);
    cr_assert_eq(pal__s_until_next(0), UINT64_MAX);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_lt(pal__s_until_next(UINT64_MAX) - 1, UINT64_MAX - 1); /* neither 0 nor never */
}

Test(chance, chooses_evenly)
{
    uint32_t counts[5] = {0};

    begin(4);
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t option = pal__s_choose(5);

        cr_assert_lt(option, 5);
        counts[option]++;
    }
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%u: %u", (unsigned)i, (unsigned)counts[i]);
}

/* ---- streams ---- */

/* What the three streams say next. */
static uint64_t taste(uint64_t *choice, uint64_t *fault)
{
    uint64_t entropy = 0;
    uint8_t bytes[8];

    *choice = (uint64_t)pal__s_choose(UINT32_MAX) << 32 | pal__s_choose(UINT32_MAX);
    *fault = pal__s_between(0, UINT64_MAX);
    pal__s_entropy(bytes, sizeof(bytes));
    for (unsigned i = 0; i < 8; i++)
        entropy |= (uint64_t)bytes[i] << (8 * i);
    return entropy;
}

Test(chance, streams_do_not_disturb_each_other)
{
    uint64_t choice, fault, entropy, other_choice, other_fault;
    struct pal_sim_faults faults;
    uint8_t bytes[MANY];

    begin(5);
    entropy = taste(&choice, &fault);
    cr_assert(choice != fault && fault != entropy && choice != entropy);
    begin(5);
    cr_assert_eq(pal__s_choose(1), 0); /* draws nothing, nor do those that follow */
    cr_assert_not(pal__s_happens(0));
    cr_assert_eq(pal__s_between(3, 3), 3);
    cr_assert_eq(pal__s_until_next(0), UINT64_MAX);
    pal__s_entropy(bytes, 0);
    cr_assert_eq(taste(&other_choice, &other_fault), entropy);
    cr_assert_eq(other_choice, choice);
    cr_assert_eq(other_fault, fault);
    begin(5);
    (void)pal__s_choose(3);
    cr_assert_eq(taste(&other_choice, &other_fault), entropy);
    cr_assert_neq(other_choice, choice);
    cr_assert_eq(other_fault, fault);
    begin(5);
    (void)pal__s_happens(1);
    pal__s_swarm(&faults);
    cr_assert_eq(taste(&other_choice, &other_fault), entropy);
    cr_assert_eq(other_choice, choice);
    cr_assert_neq(other_fault, fault);
    begin(5);
    pal__s_entropy(bytes, 1);
    cr_assert_neq(taste(&other_choice, &other_fault), entropy);
    cr_assert_eq(other_choice, choice);
    cr_assert_eq(other_fault, fault);
}

Test(chance, each_seed_is_another)
{
    uint64_t last[3] = {0, 0, 0}, now[3];

    for (uint64_t seed = 0; seed < 100; seed++) {
        begin(seed);
        now[2] = taste(&now[0], &now[1]);
        for (unsigned i = 0; i < 3; i++)
            cr_assert_neq(now[i], last[i]);
        memcpy(last, now, sizeof(last));
    }
}

Test(chance, entropy_is_as_long_as_it_is_asked_to_be)
{
    uint8_t bytes[MANY + 1], again[MANY + 1];

    for (size_t size = 0; size < MANY; size++) {
        memset(bytes, 0xa5, sizeof(bytes));
        begin(6);
        pal__s_entropy(bytes, size);
        cr_assert_eq(bytes[size], 0xa5);
        begin(6);
        pal__s_entropy(again, MANY);
        cr_assert_arr_eq(bytes, again, size);
    }
}

/* On every CPU. */
Test(chance, every_machine_gives_the_same)
{
    struct pal_sim_faults faults;
    uint64_t choice, fault, entropy;

    begin(42);
    entropy = taste(&choice, &fault);
    pal__s_swarm(&faults);
    cr_assert_eq(choice, UINT64_C(0x8ee445d0106fa1a0), "0x%016llx", (unsigned long long)choice);
    cr_assert_eq(fault, UINT64_C(0x9f62288718cc63b6), "0x%016llx", (unsigned long long)fault);
    cr_assert_eq(entropy, UINT64_C(0x677934ebdad555c5), "0x%016llx", (unsigned long long)entropy);
    cr_assert_eq(faults.latency_max_ns, 62604, "%llu", (unsigned long long)faults.latency_max_ns);
    cr_assert_eq(pal__s_between(0, 1000000), 210212);
}

/* ---- exploring ---- */

Test(chance, exploring_takes_what_is_given_and_notes_it)
{
    static const uint32_t given[4] = {2, 7, 1, 9};
    struct pal_sim_choice made[MANY];
    struct pal_sim_choices list = {.choices = made, .size = MANY};

    cr_assert(pal__s_chance_begin(1, 5, given, 4));
    cr_assert_eq(pal__s_choose(3), 2);
    cr_assert_eq(pal__s_choose(1), 0); /* is no choice */
    cr_assert_eq(pal__s_choose(4), 3); /* modulo */
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 2);
    cr_assert_eq(pal__s_choose(2), 1);
    cr_assert_eq(pal__s_choose(10), 9);
    cr_assert_eq(pal__s_choose(6), 0); /* none was given */
    cr_assert_eq(pal__s_choose(8), 0); /* too deep to be noted */
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 5);
    cr_assert(made[0].option == 2 && made[0].count == 3);
    cr_assert(made[1].option == 3 && made[1].count == 4);
    cr_assert(made[2].option == 1 && made[2].count == 2);
    cr_assert(made[3].option == 9 && made[3].count == 10);
    cr_assert(made[4].option == 0 && made[4].count == 6);
    made[2].option = 99;
    list.size = 2;
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 5);
    cr_assert_eq(made[2].option, 99, "written beyond its room");
    list = (struct pal_sim_choices){.choices = NULL};
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 5);
}

/* A little program whose choices depend on each other: what it did, as a number. */
static uint64_t decide(void)
{
    uint64_t did = 0;

    for (uint32_t count = 2, i = 0; i < 12; i++) {
        uint32_t option = pal__s_choose(count);

        did = did * 31 + option;
        count = 1 + (count + option) % 5;
    }
    return did;
}

Test(chance, exploring_replays_what_was_noted)
{
    enum { DEPTH = 40 };
    struct pal_sim_choice made[DEPTH];
    struct pal_sim_choices list = {.choices = made, .size = DEPTH};
    uint32_t given[DEPTH];
    uint64_t did;

    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < DEPTH; i++)
            given[i] = round * 7919 + i * i;
        cr_assert(pal__s_chance_begin(round, DEPTH, given, DEPTH));
        did = decide();
        pal__s_chosen(&list);
        for (uint32_t i = 0; i < list.count; i++)
            given[i] = made[i].option;
        cr_assert(pal__s_chance_begin(round + 1, DEPTH, given, list.count)); /* the seed has no part in it */
        cr_assert_eq(decide(), did);
    }
}

/* As an explorer does: the last choice that has an option left is moved on, those behind it begin anew. */
Test(chance, exploring_reaches_every_end)
{
    struct pal_sim_choice made[3];
    struct pal_sim_choices list = {.choices = made, .size = 3};
    uint32_t given[3], given_count = 0, runs = 0, seen = 0;

    for (;;) {
        cr_assert(pal__s_chance_begin(1, 3, given, given_count));
        seen |= 1U << (pal__s_choose(2) * 6 + pal__s_choose(3) * 2 + pal__s_choose(2));
        runs++;
        pal__s_chosen(&list);
        while (list.count > 0 && made[list.count - 1].option + 1 == made[list.count - 1].count)
            list.count--;
        if (list.count == 0)
            break;
        given_count = list.count;
        for (uint32_t i = 0; i < given_count; i++)
            given[i] = made[i].option;
        given[given_count - 1]++;
    }
    cr_assert_eq(runs, 12);
    cr_assert_eq(seen, 0xfff);
}

Test(chance, exploring_has_a_deepest_depth)
{
    struct pal_sim_choices list = {.choices = NULL};
    static uint32_t given[CHOICES_MAX];

    cr_assert(pal__s_chance_begin(1, CHOICES_MAX, given, CHOICES_MAX));
    (void)pal__s_choose(2);
    cr_assert_not(pal__s_chance_begin(2, CHOICES_MAX + 1, NULL, 0));
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 1, "a refused beginning has changed something");
    for (uint32_t i = 0; i < CHOICES_MAX + 10; i++)
        (void)pal__s_choose(2);
    pal__s_chosen(&list);
    cr_assert_eq(list.count, CHOICES_MAX);
    begin(1);
    (void)pal__s_choose(2);
    pal__s_chosen(&list);
    cr_assert_eq(list.count, 0);
    given[0] = given[1] = 1; /* beyond the depth they are not read */
    cr_assert(pal__s_chance_begin(1, 1, given, 2));
    cr_assert_eq(pal__s_choose(2), 1);
    cr_assert_eq(pal__s_choose(2), 0);
}

/* ---- swarms ---- */

/* A kind of fault: where its strength stands, and the bounds of what is on. */
struct kind {
    size_t at;
    bool is_short; /* 32 bits wide */
    uint64_t min, max;
    uint32_t on_of; /* on in one of so many */
};

#define PPM(name, most)                                                                                                \
    {                                                                                                                  \
        offsetof(struct pal_sim_faults, name), true, 100, most, 2                                                      \
    }
#define TIME(name, least, most, of)                                                                                    \
    {                                                                                                                  \
        offsetof(struct pal_sim_faults, name), false, least, most, of                                                  \
    }

static const struct kind kinds[] = {
    PPM(loss_ppm, 100000),
    PPM(duplicate_ppm, 100000),
    PPM(reorder_ppm, 100000),
    PPM(corrupt_ppm, 20000),
    PPM(short_ppm, 300000),
    PPM(again_ppm, 300000),
    PPM(no_memory_ppm, 2000),
    PPM(no_handle_ppm, 2000),
    PPM(reset_ppm, 2000),
    PPM(stall_ppm, 50000),
    TIME(stall_max_ns, US, 50 * MS, 2),
    TIME(latency_min_ns, US, MS, 2),
    TIME(latency_max_ns, US, 21 * MS, 2),
    TIME(rate_bits_s, 1000000, UINT64_C(10000000000), 2),
    TIME(cut_every_ns, SECOND, 60 * SECOND, 2),
    TIME(cut_for_ns, MS, 5 * SECOND, 2),
    TIME(pause_every_ns, SECOND, 60 * SECOND, 2),
    TIME(pause_for_ns, MS, 5 * SECOND, 2),
    TIME(crash_every_ns, SECOND, 60 * SECOND, 8),
    TIME(crash_for_ns, MS, 5 * SECOND, 8),
    TIME(clock_every_ns, SECOND, 60 * SECOND, 2),
    TIME(clock_max_ns, MS, 5 * SECOND, 2),
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static uint64_t strength(const struct pal_sim_faults *faults, const struct kind *kind)
{
    const char *at = (const char *)faults + kind->at;
    uint32_t low;
    uint64_t whole;

    if (!kind->is_short) {
        memcpy(&whole, at, sizeof(whole));
        return whole;
    }
    memcpy(&low, at, sizeof(low));
    return low;
}

Test(chance, a_swarm_stays_within_bounds_and_each_kind_is_on_and_off)
{
    static const struct pal_sim_faults none;
    uint32_t on[KINDS] = {0}, weak[KINDS] = {0}, strong[KINDS] = {0};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pal_sim_faults faults;

        memset(&faults, 0xff, sizeof(faults));
        begin(seed);
        pal__s_swarm(&faults);
        cr_assert_arr_eq(faults.reserved, none.reserved, sizeof(none.reserved));
        cr_assert_leq(faults.latency_min_ns, faults.latency_max_ns);
        cr_assert_leq(faults.latency_max_ns - faults.latency_min_ns, 20 * MS);
        cr_assert_eq(faults.stall_ppm == 0, faults.stall_max_ns == 0);
        for (size_t i = 0; i < KINDS; i++) {
            uint64_t value = strength(&faults, &kinds[i]);

            cr_assert(value == 0 || (value >= kinds[i].min && value <= kinds[i].max), "kind %zu: %llu", i,
                      (unsigned long long)value);
            on[i] += value != 0;
            weak[i] += value != 0 && value < 4 * kinds[i].min;
            strong[i] += value > kinds[i].max / 4;
        }
    }
    for (size_t i = 0; i < KINDS; i++) {
        uint32_t expected = SEEDS / kinds[i].on_of;

        cr_assert(on[i] > expected * 3 / 4 && on[i] < expected * 5 / 4, "kind %zu: %u", i, (unsigned)on[i]);
        cr_assert_gt(weak[i], 0, "kind %zu is never rare", i);
        cr_assert_gt(strong[i], 0, "kind %zu is never frequent", i);
    }
}
