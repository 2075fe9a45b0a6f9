/* tests/sim/test_plan_write.c: what is read of the language of simulated networks is written so that it reads back to
 * the same plan. */
#include "../../backends/sim/plan.h"
#include "support/test.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define TWO "host a 10.0.0.1; host b 10.0.0.2\n"

static struct plan plan, again;
static char written[PLAN_TEXT_MAX + 1], twice[PLAN_TEXT_MAX + 1], text[16384];

/* The plan that was read is written as a text that reads back to the same, and is written as the same text. */
static void expect_round_trip(const char *source)
{
    const char *bad = pal__s_plan_read(source, &plan);
    size_t length;

    cr_assert_null(bad, "%s: %s", source, bad);
    length = pal__s_plan_write(&plan, written, sizeof(written));
    cr_assert_lt(length, sizeof(written));
    cr_assert_eq(length, strlen(written));
    bad = pal__s_plan_read(written, &again);
    cr_assert_null(bad, "%s\nis written as\n%s\n%s", source, written, bad);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): all is cleared */
    cr_assert_eq(memcmp(&plan, &again, sizeof(plan)), 0, "%s\nis written as\n%s", source, written);
    cr_assert_eq(pal__s_plan_write(&again, twice, sizeof(twice)), length);
    cr_assert_str_eq(twice, written);
}

static const char *const round_trips[] = {
    "",
    "seed 1",
    "seed 18446744073709551615; quiet; swarm; pace virtual; pcap x",
    "pcap \"a b\"",
    "pcap \"a;b\"",
    "pcap \"#a\"",
    "pcap a#b\"c",
    "pcap \"a\tb\"",
    "faults none",
    "faults loss 0%",
    "faults stall 0% up to 1s",
    "faults stall 1ppm up to 1ns latency 1ns..1h rate 1bit",
    "faults loss 1% duplicate 0.1% reorder 2% corrupt 10ppm short 3% again 4% no-memory 5ppm no-handle 6ppm reset 7ppm "
    "stall 1% up to 5ms latency 50us..2ms rate 1.5Gbit cut every 10s for 200ms pause every 20s for 100ms "
    "crash every 1min for 1s clock every 30s by 1h",
    TWO "run on b",
    TWO "link a b; link sim *; link a -> sim loss 1% duplicate 2% reorder 3% corrupt 4% latency 5ns..6min",
    TWO "at 1s cut a b; at 1s heal * b; at 0ns crash sim; at 1h restart a; at 1min pause a; at 1ms resume a",
    TWO "at 1us clock a +876000h; at 1us clock a -876000h; at 1us clock b +1ns; at 1us faults none",
    TWO "at 2s faults latency 1s pause every 3s for 4s; at 1s faults stall 0% up to 3s; at 1s faults loss 0ppm; swarm",
};

Test(plan_write, what_is_read_is_written_so_that_it_reads_the_same)
{
    for (size_t i = 0; i < COUNT_OF(round_trips); i++)
        expect_round_trip(round_trips[i]);
}

/* A random text of the language, from parts. The same seed makes the same text everywhere. */
static uint64_t draw_state;

static uint32_t draw(uint32_t limit)
{
    draw_state = draw_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(draw_state >> 33) % limit;
}

static size_t append(size_t length, const char *more)
{
    size_t size = strlen(more);

    cr_assert_lt(length + size, sizeof(text));
    memcpy(text + length, more, size + 1);
    return length + size;
}

static size_t append_time(size_t length, bool or_zero)
{
    static const char *const units[] = {"ns", "us", "ms", "s", "min", "h"};
    uint32_t whole = draw(1000) + (or_zero ? 0 : 1);
    char word[64];

    if (draw(3) == 0)
        snprintf(word, sizeof(word), "%u.%03u%s", (unsigned)whole, (unsigned)draw(1000), units[1 + draw(5)]);
    else
        snprintf(word, sizeof(word), "%u%s", (unsigned)whole, units[draw(6)]);
    return append(length, word);
}

static size_t append_share(size_t length)
{
    char word[64];

    if (draw(2) == 0)
        snprintf(word, sizeof(word), "%uppm", (unsigned)draw(1000001));
    else
        snprintf(word, sizeof(word), "%u.%u%%", (unsigned)draw(100), (unsigned)draw(10000));
    return append(length, word);
}

static size_t append_repeat(size_t length, const char *name, const char *join)
{
    length = append(length, name);
    length = append(length, " every ");
    length = append_time(length, false);
    length = append(length, join);
    return append_time(length, false);
}

static size_t append_faults(size_t length, bool of_link)
{
    static const char *const shares[] = {" loss ",  " duplicate ", " reorder ",   " corrupt ", " short ",
                                         " again ", " no-memory ", " no-handle ", " reset ",   " stall "};
    static const char *const latencies[] = {" latency 1ns", " latency 1.5us..2.25ms", " latency 1ms..1h"};
    static const char *const repeats[] = {" cut", " pause", " crash", " clock"};

    for (uint32_t i = 0; i < (of_link ? 4U : 10U); i++) {
        if (draw(3) > 0)
            continue;
        length = append_share(append(length, shares[i]));
        if (i == 9)
            length = append_time(append(length, " up to "), false);
    }
    if (draw(3) == 0)
        length = append(length, latencies[draw(COUNT_OF(latencies))]);
    for (uint32_t i = 0; i < 4 && !of_link; i++) {
        if (draw(4) == 0)
            length = append_repeat(length, repeats[i], i == 3 ? " by " : " for ");
    }
    return length;
}

static size_t append_action(size_t length)
{
    static const char *const what[] = {" cut a *",   " cut sim b",  " heal * b",  " crash a",    " restart b",
                                       " pause sim", " resume sim", " clock a +", " clock sim -"};
    uint32_t kind = draw(COUNT_OF(what) + 1);

    length = append_time(append(length, "at "), true);
    if (kind == COUNT_OF(what))
        return append_faults(append(length, " faults loss 1ppm; at 1s faults no-memory 2ppm; at 1h faults"), false);
    length = append(length, what[kind]);
    return kind >= 7 ? append_time(length, false) : length;
}

static void make_text(void)
{
    size_t length = append(0, draw(2) == 0 ? "seed 7\n" : "quiet;");

    length = append(length, draw(2) == 0 ? TWO : "host b fd00::1 10.0.0.3/8 ;host a 10.0.0.1/31\n");
    length = append(length, draw(2) == 0 ? "run on a\n" : "# nothing\n");
    if (draw(2) == 0)
        length = append(append_faults(append(length, "faults rate 3Mbit"), false), "\n");
    if (draw(2) == 0)
        length = append(append_faults(append(length, "link a b"), true), "\n");
    if (draw(2) == 0)
        length = append(append_faults(append(length, "link * -> b"), true), "\n");
    for (uint32_t i = draw(20); i > 0; i--)
        length = append(append_action(length), draw(2) == 0 ? ";" : "\n");
}

Test(plan_write, random_texts_read_back_to_the_same_plan)
{
    uint32_t actions = 0, links = 0;

    for (draw_state = 1; links < 1000 || actions < 5000;) {
        make_text();
        if (strstr(text, " faults;") != NULL || strstr(text, " faults\n") != NULL)
            continue; /* no fault was drawn, which is refused */
        expect_round_trip(text);
        actions += plan.action_count;
        links += plan.link_count;
    }
}

Test(plan_write, a_text_that_does_not_fit_is_cut_off)
{
    static char part[4096];
    size_t length;

    cr_assert_null(pal__s_plan_read(round_trips[12], &plan));
    length = pal__s_plan_write(&plan, written, sizeof(written));
    cr_assert_eq(pal__s_plan_write(&plan, NULL, 0), length);
    for (size_t size = 1; size <= length + 1; size++) {
        memset(part, '#', sizeof(part));
        cr_assert_eq(pal__s_plan_write(&plan, part, size), length);
        cr_assert_eq(strlen(part), size - 1);
        cr_assert_eq(memcmp(part, written, size - 1), 0);
        cr_assert_eq(part[size], '#');
    }
}

static struct pal_sim_faults most_faults(void)
{
    const uint64_t time = PLAN_TIME_MAX - 1; /* a number of ns alone, of 19 digits */
    const uint32_t share = 999999;
    struct pal_sim_faults faults = {share, share, share, share, share, share, share, share, share, share, time, time,
                                    time,  0,     time,  time,  time,  time,  time,  time,  time,  time,  {0}};

    faults.latency_min_ns = faults.latency_max_ns = PLAN_LATENCY_MAX - 1;
    faults.rate_bits_s = UINT64_C(999999999999);
    return faults;
}

/* The longest that each part can be, all of it at once, is still a text that is read. */
Test(plan_write, a_full_plan_can_be_read_back)
{
    const struct pal_sim_faults most = most_faults();

    memset(&plan, 0, sizeof(plan));
    plan.seed = UINT64_MAX;
    plan.has_faults = true;
    plan.faults = most;
    plan.host_count = PLAN_HOSTS_MAX;
    for (uint32_t i = 0; i < PLAN_HOSTS_MAX; i++) {
        memset(plan.hosts[i].name, 'x', PLAN_NAME_SIZE - 1);
        plan.hosts[i].name[0] = (char)('a' + i % 26);
        plan.hosts[i].name[1] = (char)('a' + i / 26);
        snprintf(plan.hosts[i].addresses, PLAN_ADDRESSES_SIZE,
                 "fd00:%x:1111:1111:1111:1111:1111:1111/100 fd00:%x:1111:1111:1111:1111:1111:1112/100 "
                 "fd00:%x:1111:1111:1111:1111:1111:1113/100 fd00:%x:1111:1111:1111:1111:1111:1114/100",
                 (unsigned)i + 4096, (unsigned)i + 4096, (unsigned)i + 4096, (unsigned)i + 4096);
    }
    plan.link_count = plan.action_count = 1024;
    for (uint32_t i = 0; i < 1024; i++) {
        plan.links[i] = (struct pal_sim_link){.from = 1 + i / 200,
                                              .to = 10 + i % 200,
                                              .loss_ppm = 999999,
                                              .duplicate_ppm = 999999,
                                              .reorder_ppm = 999999,
                                              .corrupt_ppm = 999999,
                                              .latency_min_ns = PLAN_LATENCY_MAX - 1,
                                              .latency_max_ns = PLAN_LATENCY_MAX - 1};
        plan.actions[i].at_ns = PLAN_TIME_MAX - 1;
        plan.actions[i].key = PAL_CTL_SIM_FAULTS;
        plan.actions[i].faults = most;
    }
    cr_assert_leq(pal__s_plan_write(&plan, written, sizeof(written)), PLAN_TEXT_MAX);
    cr_assert_null(pal__s_plan_read(written, &again), "%s", pal__s_plan_read(written, &again));
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): all is cleared */
    cr_assert_eq(memcmp(&plan, &again, sizeof(plan)), 0);
}
