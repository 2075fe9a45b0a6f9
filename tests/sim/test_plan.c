/* tests/sim/test_plan.c: the language of simulated networks is read strictly, and each mistake is told with its line,
 * its word and the remedy. */
#include "../../backends/sim/plan.h"
#include "support/test.h"

#include <pal/address.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define US UINT64_C(1000)
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)

static struct plan plan, again;
static char text[PLAN_TEXT_MAX + 64];

static void read_well(const char *source)
{
    const char *bad = pal__s_plan_read(source, &plan);

    cr_assert_null(bad, "%s: %s", source, bad);
}

/* Refused, and told with these words. */
static void expect_refusal(const char *source, const char *place, const char *remedy)
{
    const char *bad = pal__s_plan_read(source, &plan);

    cr_assert_not_null(bad, "read: %s", source);
    cr_assert_not_null(strstr(bad, place), "%s: '%s' is not in: %s", source, place, bad);
    cr_assert_not_null(strstr(bad, remedy), "%s: '%s' is not in: %s", source, remedy, bad);
}

/* ---- what is read ---- */

Test(plan, nothing_is_an_empty_plan)
{
    static const char *const nothing[] = {NULL, "", "\n\n", " \t\r\n", ";;;", "# a comment", "  # one; seed 1\n;#two"};

    for (size_t i = 0; i < COUNT_OF(nothing); i++) {
        memset(&again, 0, sizeof(again));
        memset(&plan, 0xa5, sizeof(plan));
        read_well(nothing[i]);
        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): all is cleared */
        cr_assert_eq(memcmp(&plan, &again, sizeof(plan)), 0, "%zu", i);
        cr_assert_eq(pal__s_plan_write(&plan, NULL, 0), 0);
    }
}

Test(plan, what_a_world_is_made_of)
{
    read_well("seed 18446744073709551615 # the largest\n"
              "host exchange 10.0.0.1/8 FD00::0001/64\r\n"
              "\thost Trader-2.lan   10.0.0.2\n"
              "run on TRADER-2.LAN; pcap out.pcapng; pace virtual; quiet; swarm\n");
    cr_assert_eq(plan.seed, UINT64_MAX);
    cr_assert_eq(plan.flags, PAL_SIM_VIRTUAL | PAL_SIM_QUIET | PAL_SIM_SWARM);
    cr_assert_eq(plan.host_count, 2);
    cr_assert_str_eq(plan.hosts[0].name, "exchange");
    cr_assert_str_eq(plan.hosts[0].addresses, "10.0.0.1/8 fd00::1/64");
    cr_assert_str_eq(plan.hosts[1].name, "Trader-2.lan");
    cr_assert_str_eq(plan.hosts[1].addresses, "10.0.0.2");
    cr_assert_eq(plan.enter, 2);
    cr_assert_str_eq(plan.pcap, "out.pcapng");
    cr_assert_not(plan.has_faults);
    read_well("pcap \"/tmp/a; b #1.pcapng\"");
    cr_assert_str_eq(plan.pcap, "/tmp/a; b #1.pcapng");
    read_well("run on sim");
    cr_assert_eq(plan.enter, 0);
}

Test(plan, names_are_compared_whole)
{
    read_well("host ab 10.0.0.1; host a 10.0.0.2; host abc 10.0.0.3; host si 10.0.0.4; host sim2 10.0.0.5; run on A");
    cr_assert_eq(plan.enter, 2);
    read_well("host ab 10.0.0.1; host a 10.0.0.2; host abc 10.0.0.3; run on abc");
    cr_assert_eq(plan.enter, 3);
}

Test(plan, every_fault_has_a_word)
{
    const struct pal_sim_faults *faults = &plan.faults;

    read_well("faults loss 1% duplicate 0.1% reorder 2% corrupt 10ppm short 3% again 4%\n"
              "faults no-memory 5ppm no-handle 6ppm reset 7ppm stall 1% up to 5ms latency 50us..2ms rate 1Gbit\n"
              "faults cut every 10s for 200ms pause every 20s for 100ms crash every 1min for 1s clock every 30s by 1h");
    cr_assert(plan.has_faults);
    cr_assert_eq(faults->loss_ppm, 10000);
    cr_assert_eq(faults->duplicate_ppm, 1000);
    cr_assert_eq(faults->reorder_ppm, 20000);
    cr_assert_eq(faults->corrupt_ppm, 10);
    cr_assert_eq(faults->short_ppm, 30000);
    cr_assert_eq(faults->again_ppm, 40000);
    cr_assert_eq(faults->no_memory_ppm, 5);
    cr_assert_eq(faults->no_handle_ppm, 6);
    cr_assert_eq(faults->reset_ppm, 7);
    cr_assert_eq(faults->stall_ppm, 10000);
    cr_assert_eq(faults->stall_max_ns, 5 * MS);
    cr_assert_eq(faults->latency_min_ns, 50 * US);
    cr_assert_eq(faults->latency_max_ns, 2 * MS);
    cr_assert_eq(faults->rate_bits_s, 1000000000);
    cr_assert_eq(faults->cut_every_ns, 10 * SECOND);
    cr_assert_eq(faults->cut_for_ns, 200 * MS);
    cr_assert_eq(faults->pause_every_ns, 20 * SECOND);
    cr_assert_eq(faults->pause_for_ns, 100 * MS);
    cr_assert_eq(faults->crash_every_ns, 60 * SECOND);
    cr_assert_eq(faults->crash_for_ns, SECOND);
    cr_assert_eq(faults->clock_every_ns, 30 * SECOND);
    cr_assert_eq(faults->clock_max_ns, HOUR);
    read_well("faults none");
    cr_assert(plan.has_faults);
    cr_assert_eq(faults->loss_ppm, 0);
    read_well("faults latency 7ns..1h");
    cr_assert_eq(faults->latency_max_ns, HOUR);
    read_well("faults latency 7ns");
    cr_assert_eq(faults->latency_min_ns, 7);
    cr_assert_eq(faults->latency_max_ns, 7);
}

Test(plan, links_go_both_ways_or_one)
{
    read_well("host a 10.0.0.1; host b 10.0.0.2\n"
              "link a b latency 1ms..2ms loss 5%\n"
              "link b -> sim corrupt 1% reorder 2% duplicate 3%; link * -> a; link a -> *");
    cr_assert_eq(plan.link_count, 5);
    cr_assert_eq(plan.links[0].from, 1);
    cr_assert_eq(plan.links[0].to, 2);
    cr_assert_eq(plan.links[1].from, 2);
    cr_assert_eq(plan.links[1].to, 1);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(plan.links[i].loss_ppm, 50000);
        cr_assert_eq(plan.links[i].latency_min_ns, MS);
        cr_assert_eq(plan.links[i].latency_max_ns, 2 * MS);
        cr_assert_eq(plan.links[i].corrupt_ppm, 0);
    }
    cr_assert_eq(plan.links[2].from, 2);
    cr_assert_eq(plan.links[2].to, 0);
    cr_assert_eq(plan.links[2].corrupt_ppm, 10000);
    cr_assert_eq(plan.links[2].reorder_ppm, 20000);
    cr_assert_eq(plan.links[2].duplicate_ppm, 30000);
    cr_assert_eq(plan.links[3].from, UINT32_MAX);
    cr_assert_eq(plan.links[3].to, 1);
    cr_assert_eq(plan.links[4].from, 1);
    cr_assert_eq(plan.links[4].to, UINT32_MAX);
}

static void expect_action(uint32_t place, uint64_t at_ns, int key, uint32_t a, uint32_t b)
{
    const struct plan_action *action = &plan.actions[place];

    cr_assert_eq(action->at_ns, at_ns, "action %u", (unsigned)place);
    cr_assert_eq(action->key, key, "action %u", (unsigned)place);
    cr_assert_eq(action->a, a, "action %u", (unsigned)place);
    cr_assert_eq(action->b, b, "action %u", (unsigned)place);
}

Test(plan, actions_are_in_the_order_of_time_and_then_of_the_text)
{
    read_well("host a 10.0.0.1; host b 10.0.0.2\n"
              "at 5s crash a; at 6s restart a\n"
              "at 1s cut a b; at 3s heal b a\n"
              "at 2s pause b; at 2.3s resume b; at 2s cut * b; at 2s cut b *\n"
              "at 0ns clock sim -1.5h; at 4s clock b +1ns; at 8s faults loss 1%; at 9s faults none; at 1s heal sim a");
    cr_assert_eq(plan.action_count, 13);
    expect_action(0, 0, PAL_CTL_SIM_CLOCK, 0, 0);
    cr_assert_eq(plan.actions[0].jump_ns, -(int64_t)(HOUR + HOUR / 2));
    expect_action(1, SECOND, PAL_CTL_SIM_CUT, 1, 2);
    expect_action(2, SECOND, PAL_CTL_SIM_HEAL, 0, 1);
    expect_action(3, 2 * SECOND, PAL_CTL_SIM_PAUSE, 2, 0);
    expect_action(4, 2 * SECOND, PAL_CTL_SIM_CUT, 2, UINT32_MAX);
    expect_action(5, 2 * SECOND, PAL_CTL_SIM_CUT, 2, UINT32_MAX);
    expect_action(6, 2300 * MS, PAL_CTL_SIM_RESUME, 2, 0);
    expect_action(7, 3 * SECOND, PAL_CTL_SIM_HEAL, 2, 1);
    expect_action(8, 4 * SECOND, PAL_CTL_SIM_CLOCK, 2, 0);
    cr_assert_eq(plan.actions[8].jump_ns, 1);
    expect_action(9, 5 * SECOND, PAL_CTL_SIM_CRASH, 1, 0);
    expect_action(10, 6 * SECOND, PAL_CTL_SIM_RESTART, 1, 0);
    expect_action(11, 8 * SECOND, PAL_CTL_SIM_FAULTS, 0, 0);
    cr_assert_eq(plan.actions[11].faults.loss_ppm, 10000);
    expect_action(12, 9 * SECOND, PAL_CTL_SIM_FAULTS, 0, 0);
    cr_assert_eq(plan.actions[12].faults.loss_ppm, 0);
}

struct share {
    const char *text;
    uint32_t ppm;
};

Test(plan, shares_are_exact)
{
    static const struct share shares[] = {{"0%", 0},          {"0ppm", 0},          {"0.0001%", 1},
                                          {"0.00010%", 1},    {"0.1%", 1000},       {"10ppm", 10},
                                          {"100%", 1000000},  {"99.9999%", 999999}, {"1000000ppm", 1000000},
                                          {"12.34%", 123400}, {"1.0ppm", 1},        {"3.000000000%", 30000}};

    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        snprintf(text, sizeof(text), "faults loss %s", shares[i].text);
        read_well(text);
        cr_assert_eq(plan.faults.loss_ppm, shares[i].ppm, "%s", text);
    }
}

struct time {
    const char *text;
    uint64_t ns;
};

Test(plan, times_are_exact)
{
    static const struct time times[] = {{"0ns", 0},
                                        {"0h", 0},
                                        {"1ns", 1},
                                        {"0.001us", 1},
                                        {"1.5us", 1500},
                                        {"0.000000001s", 1},
                                        {"2min", 120 * SECOND},
                                        {"0.25h", 900 * SECOND},
                                        {"0.0000000000025h", 9},
                                        {"876000h", PLAN_TIME_MAX},
                                        {"3153600000.000s", PLAN_TIME_MAX}};

    for (size_t i = 0; i < COUNT_OF(times); i++) {
        snprintf(text, sizeof(text), "at %s pause sim", times[i].text);
        read_well(text);
        cr_assert_eq(plan.actions[0].at_ns, times[i].ns, "%s", text);
    }
}

Test(plan, rates_have_bits_for_their_unit)
{
    read_well("faults rate 1.5Mbit");
    cr_assert_eq(plan.faults.rate_bits_s, 1500000);
    read_well("faults rate 9600bit/s");
    cr_assert_eq(plan.faults.rate_bits_s, 9600);
    read_well("faults rate 56kbit/s");
    cr_assert_eq(plan.faults.rate_bits_s, 56000);
    read_well("faults rate 1000Gbit/s");
    cr_assert_eq(plan.faults.rate_bits_s, UINT64_C(1000000000000));
}

/* ---- what is refused ---- */

struct refusal {
    const char *text, *place, *remedy;
};

static const struct refusal refused_words[] = {
    {"hots a 10.0.0.1", "line 1: 'hots'", "there are seed, host"},
    {"\n\n# x\nseed 1\nSEED 2", "line 5: 'SEED'", "no such statement"},
    {"quiet; quiet", "line 1: 'quiet'", "already"},
    {"seed", "after 'seed' something is missing", "as 42"},
    {"seed 0", "'0'", "from 1 to 18446744073709551615"},
    {"seed 18446744073709551616", "'18446744073709551616'", "from 1"},
    {"seed 0x2a", "'0x2a'", "whole number"},
    {"seed 1 2", "'2'", "nothing more"},
    {"seed 1\nseed 2", "line 2: 'seed'", "already"},
    {"seed 1#", "'1#'", "whole number"},
    {"run", "after 'run'", "run on HOST"},
    {"run at a", "'at'", "run on HOST"},
    {"run on", "after 'on'", "the name of a host"},
    {"run on *", "'*'", "name it"},
    {"run on nobody", "'nobody'", "no such host"},
    {"pace", "after 'pace'", "pace virtual"},
    {"pace real", "'real'", "pace virtual"},
    {"pcap", "after 'pcap'", "out.pcapng"},
    {"pcap \"\"", "'\"\"'", "1 to 255"},
    {"pcap \"a b", "'\"a b'", "quote"},
    {"pcap \"", "'\"'", "quote"},
    {"pcap \"a\"b", "'b'", "nothing more"},
    {"swarm; faults loss 1%", "'faults'", "swarm draws"},
    {"faults loss 1%; swarm", "'swarm'", "swarm draws"},
    {"\x1b[2J\xff", "'?[2J?'", "no such statement"},
};

static const struct refusal refused_hosts[] = {
    {"host", "after 'host'", "a name and an address"},
    {"host a", "after 'a'", "an address"},
    {"host a 10.0.0.1; host A 10.0.0.2", "'A'", "of this name already"},
    {"host a 10.0.0.1 10.0.0.1", "'10.0.0.1'", "already"},
    {"host a 10.0.0.1\nhost b fd00::1 10.0.0.1/8", "line 2: '10.0.0.1/8'", "another host has this address"},
    {"host 10.0.0.1", "'10.0.0.1'", "a letter"},
    {"host a_b 10.0.0.1", "'a_b'", "letters, digits"},
    {"host -a 10.0.0.1", "'-a'", "begins with"},
    {"host .a 10.0.0.1", "'.a'", "begins with"},
    {"host * 10.0.0.1", "'*'", "letters, digits"},
    {"host Sim 10.0.0.1", "'Sim'", "meaning of its own"},
    {"host localhost 10.0.0.1", "'localhost'", "meaning of its own"},
    {"host a 10.0.0", "'10.0.0'", "an address is"},
    {"host a b", "'b'", "an address is"},
    {"host a 10.0.0.1/", "'10.0.0.1/'", "/prefix"},
    {"host a 10.0.0.1/0", "'10.0.0.1/0'", "/prefix"},
    {"host a 10.0.0.1/33", "'10.0.0.1/33'", "/prefix"},
    {"host a 10.0.0.1/024", "'10.0.0.1/024'", "/prefix"},
    {"host a fd00::1/129", "'fd00::1/129'", "/prefix"},
    {"host a fd00::1%2", "'fd00::1%2'", "scope"},
    {"host a 0.0.0.0", "'0.0.0.0'", "no address that a host"},
    {"host a ::", "'::'", "no address that a host"},
    {"host a 239.1.2.3", "'239.1.2.3'", "no address that a host"},
    {"host a ff02::1", "'ff02::1'", "no address that a host"},
    {"host a 255.255.255.255/32", "'255.255.255.255/32'", "no address that a host"},
    {"host a 127.0.0.1", "'127.0.0.1'", "by itself"},
    {"host a ::1", "'::1'", "by itself"},
    {"host a fe80::1", "'fe80::1'", "by itself"},
    {"host a ::ffff:10.0.0.1", "'::ffff:10.0.0.1'", "a.b.c.d"},
    {"host a 10.0.0.0", "'10.0.0.0'", "the subnet itself"},
    {"host a 10.0.0.255", "'10.0.0.255'", "broadcast"},
};

static const struct refusal refused_numbers[] = {
    {"faults loss 5", "'5'", "% or ppm"},
    {"faults loss 5 %", "'5'", "% or ppm"},
    {"faults loss -1%", "'-1%'", "% or ppm"},
    {"faults loss .5%", "'.5%'", "% or ppm"},
    {"faults loss 5.%", "'5.%'", "% or ppm"},
    {"faults loss 05%", "'05%'", "% or ppm"},
    {"faults loss 1e1%", "'1e1%'", "% or ppm"},
    {"faults loss 1,5%", "'1,5%'", "% or ppm"},
    {"faults loss 1.5.5%", "'1.5.5%'", "% or ppm"},
    {"faults loss 1ms", "'1ms'", "% or ppm"},
    {"faults loss 100.0001%", "'100.0001%'", "at most 100%"},
    {"faults loss 1000001ppm", "'1000001ppm'", "at most 100%"},
    {"faults loss 99999999999999999999999%", "'99999999999999999999999%'", "at most 100%"},
    {"faults loss 0.00001%", "'0.00001%'", "whole number of ppm"},
    {"faults loss 0.5ppm", "'0.5ppm'", "whole number of ppm"},
    {"at 1 pause sim", "'1'", "ns, us, ms"},
    {"at 1sec pause sim", "'1sec'", "ns, us, ms"},
    {"at -1s pause sim", "'-1s'", "ns, us, ms"},
    {"at 0.5ns pause sim", "'0.5ns'", "whole number of ns"},
    {"at 0.0000000001s pause sim", "'0.0000000001s'", "whole number of ns"},
    {"at 876001h pause sim", "'876001h'", "876000h"},
    {"at 876000.1h pause sim", "'876000.1h'", "876000h"},
    {"at 3153600000000000001ns pause sim", "'3153600000000000001ns'", "876000h"},
    {"at 99999999999999999999999ns pause sim", "ns'", "876000h"},
    {"faults rate 0bit", "'0bit'", "leave it out"},
    {"faults rate 1001Gbit", "'1001Gbit'", "1000Gbit"},
    {"faults rate 1GB", "'1GB'", "bit, kbit"},
    {"faults rate 0.5bit", "'0.5bit'", "whole number of bit"},
    {"faults latency 0ns", "'0ns'", "1ns at least"},
    {"faults latency 1ns..3600000000001ns", "'1ns..3600000000001ns'", "at most 1h"},
    {"faults latency 2ms..1ms", "'2ms..1ms'", "turn them round"},
    {"faults latency 1..2ms", "'1..2ms'", "ns, us, ms"},
    {"faults latency 1ms..", "'1ms..'", "ns, us, ms"},
    {"faults latency ..1ms", "'..1ms'", "ns, us, ms"},
    {"faults latency 1ms..2ms..3ms", "'1ms..2ms..3ms'", "ns, us, ms"},
    {"at 1s clock sim 1h", "'1h'", "with its sign"},
    {"at 1s clock sim +0s", "'+0s'", "1ns at least"},
    {"at 1s clock sim +", "'+'", "ns, us, ms"},
};

static const struct refusal refused_faults[] = {
    {"faults", "after 'faults'", "loss 1%, or none"},
    {"faults lost 1%", "'lost'", "no such fault: there are loss"},
    {"faults loss", "after 'loss'", "a share"},
    {"faults loss 1% loss 2%", "'loss'", "already"},
    {"faults loss 1%\nfaults loss 2%", "line 2: 'loss'", "already"},
    {"faults none loss 1%", "'loss'", "nothing more"},
    {"faults none\nfaults loss 1%", "line 2: 'loss'", "already"},
    {"faults loss 1%\nfaults none", "line 2: 'none'", "already"},
    {"faults stall 1%", "after '1%'", "up to TIME"},
    {"faults stall 1% up 5ms", "'5ms'", "up to TIME"},
    {"faults stall 1% up to 0ms", "'0ms'", "1ns at least"},
    {"faults cut 10s", "'10s'", "every TIME for TIME"},
    {"faults cut every 10s", "after '10s'", "for TIME"},
    {"faults cut every 10s by 1s", "'by'", "for TIME"},
    {"faults cut every 0s for 1s", "'0s'", "1ns at least"},
    {"faults cut every 1s for", "after 'for'", "a time"},
    {"faults clock every 1s for 1s", "'for'", "by TIME"},
    {"faults latency", "after 'latency'", "50us..2ms"},
    {"faults rate", "after 'rate'", "100Mbit"},
};

#define TWO "host a 10.0.0.1; host b 10.0.0.2\n"

static const struct refusal refused_pairs[] = {
    {"link", "after 'link'", "or * for all"},
    {TWO "link a", "line 2: after 'a'", "or * for all"},
    {TWO "link a ->", "line 2: after '->'", "or * for all"},
    {TWO "link a c", "line 2: 'c'", "no such host"},
    {"link a b\n" TWO, "line 1: 'a'", "further up"},
    {TWO "link a A", "line 2: 'A'", "the same host"},
    {TWO "link * *", "line 2: '*'", "name one of the two"},
    {TWO "link a b rate 1Gbit", "'rate'", "say faults for others"},
    {TWO "link a b none", "'none'", "say faults for others"},
    {TWO "link a b loss 1% loss 1%", "'loss'", "already"},
    {TWO "link a b\nlink b -> a loss 1%", "line 3: ", "described already"},
    {TWO "at 1s", "after '1s'", "what happens"},
    {TWO "at", "after 'at'", "a time"},
    {TWO "at 1s link a b", "'link'", "there are cut, heal"},
    {TWO "at 1s cut a", "after 'a'", "or * for all"},
    {TWO "at 1s cut a b c", "'c'", "nothing more"},
    {TWO "at 1s cut a -> b", "'->'", "no such host"},
    {TWO "at 1s heal b b", "'b'", "the same host"},
    {TWO "at 1s cut * *", "'*'", "name one of the two"},
    {TWO "at 1s crash", "after 'crash'", "the name of a host"},
    {TWO "at 1s crash *", "'*'", "name it"},
    {TWO "at 1s crash c", "'c'", "no such host"},
    {TWO "at 1s clock a", "after 'a'", "with its sign"},
    {TWO "at 1s faults", "after 'faults'", "or none"},
    {TWO "at 1s faults loss 1% loss 1%", "'loss'", "already"},
};

static void expect_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_refusal(refusals[i].text, refusals[i].place, refusals[i].remedy);
}

Test(plan, refused_words_are_told)
{
    expect_refusals(refused_words, COUNT_OF(refused_words));
}

Test(plan, refused_hosts_are_told)
{
    expect_refusals(refused_hosts, COUNT_OF(refused_hosts));
}

Test(plan, refused_numbers_are_told)
{
    expect_refusals(refused_numbers, COUNT_OF(refused_numbers));
}

Test(plan, refused_faults_are_told)
{
    expect_refusals(refused_faults, COUNT_OF(refused_faults));
}

Test(plan, refused_links_and_actions_are_told)
{
    expect_refusals(refused_pairs, COUNT_OF(refused_pairs));
}

/* ---- limits ---- */

static size_t append(size_t length, const char *more)
{
    size_t size = strlen(more);

    cr_assert_lt(length + size, sizeof(text));
    memcpy(text + length, more, size + 1);
    return length + size;
}

static void repeat(const char *head, const char *line, int count)
{
    size_t length = append(0, head);

    for (int i = 0; i < count; i++)
        length = append(length, line);
}

Test(plan, what_is_too_much_is_refused)
{
    memset(text, ' ', PLAN_TEXT_MAX);
    text[PLAN_TEXT_MAX] = '\0';
    read_well(text);
    memset(text, ' ', PLAN_TEXT_MAX + 1);
    text[PLAN_TEXT_MAX + 1] = '\0';
    expect_refusal(text, "2 MiB", "say less");
    repeat(TWO, "at 1s pause a\n", PLAN_ACTIONS_MAX);
    read_well(text);
    cr_assert_eq(plan.action_count, PLAN_ACTIONS_MAX);
    repeat(TWO, "at 1s pause a\n", PLAN_ACTIONS_MAX + 1);
    expect_refusal(text, "line 1026: 'at'", "1024 actions");
}

Test(plan, as_many_hosts_and_links_as_there_is_room_for)
{
    size_t length = 0;
    char line[128];

    for (int i = 0; i < PLAN_HOSTS_MAX; i++) {
        snprintf(line, sizeof(line), "host h%d 10.0.%d.%d/16\n", i, i / 200, i % 200 + 1);
        length = append(length, line);
    }
    for (int i = 0; i < PLAN_LINKS_MAX / 2; i++) {
        snprintf(line, sizeof(line), "link h%d h%d loss 1%%\n", i / 200, i % 200 + 10);
        length = append(length, line);
    }
    read_well(text);
    cr_assert_eq(plan.host_count, PLAN_HOSTS_MAX);
    cr_assert_eq(plan.link_count, PLAN_LINKS_MAX);
    append(length, "link h7 h8");
    expect_refusal(text, "line 769: ", "1024 links");
    append(length, "host more 10.1.0.1");
    expect_refusal(text, "line 769: 'host'", "256 hosts");
}

Test(plan, names_addresses_and_paths_have_their_room)
{
    static char word[PLAN_PATH_SIZE + 1];

    memset(word, 'x', sizeof(word) - 1);
    snprintf(text, sizeof(text), "host %.*s 10.0.0.1", PLAN_NAME_SIZE - 1, word);
    read_well(text);
    snprintf(text, sizeof(text), "host %.*s 10.0.0.1", PLAN_NAME_SIZE, word);
    expect_refusal(text, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'", "1 to 63");
    snprintf(text, sizeof(text), "pcap %.*s", PLAN_PATH_SIZE - 1, word);
    read_well(text);
    snprintf(text, sizeof(text), "pcap %.*s", PLAN_PATH_SIZE, word);
    expect_refusal(text, "...'", "1 to 255");
    read_well("host a 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 "
              "1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15");
    expect_refusal("host a 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 "
                   "1.1.1.12 1.1.1.13 1.1.1.14 1.1.1.15 1.1.1.16",
                   "'1.1.1.16'", "15 addresses");
    read_well("host a fd00:1111:1111:1111:1111:1111:1111:1111/64 fd00:1111:1111:1111:1111:1111:1111:1112/64 "
              "fd00:1111:1111:1111:1111:1111:1111:1113/64 fd00:1111:1111:1111:1111:1111:1111:1114/64 "
              "fd00:1111:1111:1111:1111:1111:1111:1115/64 fd00:1111:1111:1111:1111:1111:1111:1116");
    expect_refusal("host a fd00:1111:1111:1111:1111:1111:1111:1111/64 fd00:1111:1111:1111:1111:1111:1111:1112/64 "
                   "fd00:1111:1111:1111:1111:1111:1111:1113/64 fd00:1111:1111:1111:1111:1111:1111:1114/64 "
                   "fd00:1111:1111:1111:1111:1111:1111:1115/64 fd00:1111:1111:1111:1111:1111:1111:1116/64",
                   "line 1", "255 bytes");
}

/* ---- hosts by themselves ---- */

Test(plan, a_host_by_itself_is_checked_as_in_a_text)
{
    static struct plan_host host;
    const char *at = host.addresses;
    struct pal_addr addr;
    uint32_t prefix;

    cr_assert_null(pal__s_plan_host("a-1.b", "  10.0.0.1   FD00::1/48 10.1.0.1/16 ", &host));
    cr_assert_str_eq(host.name, "a-1.b");
    cr_assert_str_eq(host.addresses, "10.0.0.1 fd00::1/48 10.1.0.1/16");
    cr_assert(pal__s_plan_address(&at, &addr, &prefix));
    cr_assert_eq(addr.family, PAL_AF_INET);
    cr_assert_eq(prefix, 24);
    cr_assert(pal__s_plan_address(&at, &addr, &prefix));
    cr_assert_eq(addr.family, PAL_AF_INET6);
    cr_assert_eq(prefix, 48);
    cr_assert(pal__s_plan_address(&at, &addr, &prefix));
    cr_assert_eq(addr.bytes[1], 1);
    cr_assert_eq(prefix, 16);
    cr_assert_not(pal__s_plan_address(&at, &addr, &prefix));
    cr_assert_not_null(pal__s_plan_host(NULL, "10.0.0.1", &host));
    cr_assert_not_null(pal__s_plan_host("a", NULL, &host));
    cr_assert_not_null(pal__s_plan_host("a", "", &host));
    cr_assert_not_null(pal__s_plan_host("a", "   ", &host));
    cr_assert_not_null(pal__s_plan_host("", "10.0.0.1", &host));
    cr_assert_not_null(pal__s_plan_host("a b", "10.0.0.1", &host));
    cr_assert_not_null(pal__s_plan_host("a", "10.0.0.1,10.0.0.2", &host));
    cr_assert_not_null(pal__s_plan_host("a", "10.0.0.1 10.0.0.1/8", &host));
}
