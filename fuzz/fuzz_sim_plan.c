/* fuzz/fuzz_sim_plan.c: the language of simulated networks (backends/sim/plan.c, plan_write.c) under libFuzzer.
 *
 * A text is read, or told what is wrong with it in a line that a terminal can take. What is read holds to the limits of
 * plan.h, and is written as a text that reads back to the same plan and is written as the same text again. Corpus:
 * fuzz/corpus/sim_plan/, texts. */
#include "../backends/sim/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct plan plan, again;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_words(const char *wrong)
{
    check(strncmp(wrong, "line ", 5) == 0 && strlen(wrong) < 300);
    for (const char *at = wrong; *at != '\0'; at++)
        check(*at >= ' ' && *at <= '~');
}

static void check_faults(const struct pal_sim_faults *faults)
{
    check(faults->loss_ppm <= 1000000 && faults->stall_ppm <= 1000000 && faults->reset_ppm <= 1000000);
    check(faults->latency_min_ns <= faults->latency_max_ns && faults->latency_max_ns <= PLAN_LATENCY_MAX);
    check((faults->cut_every_ns == 0) == (faults->cut_for_ns == 0));
    check((faults->clock_every_ns == 0) == (faults->clock_max_ns == 0));
}

static void check_host(const struct plan_host *host)
{
    const char *at = host->addresses;
    struct plan_host same;
    struct pal_addr addr;
    uint32_t prefix;

    check(pal__s_plan_host(host->name, host->addresses, &same) == NULL);
    check(memcmp(&same, host, sizeof(same)) == 0);
    while (pal__s_plan_address(&at, &addr, &prefix))
        check(prefix >= 1 && prefix <= addr.size * 8U && addr.port == 0 && addr.scope == 0);
    check(*at == '\0');
}

static void check_limits(void)
{
    uint32_t last = plan.host_count;

    check(last <= PLAN_HOSTS_MAX && plan.link_count <= PLAN_LINKS_MAX && plan.action_count <= PLAN_ACTIONS_MAX);
    check(plan.enter <= last);
    check(plan.has_faults ? (plan.flags & PAL_SIM_SWARM) == 0 : plan.faults.loss_ppm == 0);
    check_faults(&plan.faults);
    for (uint32_t i = 0; i < last; i++)
        check_host(&plan.hosts[i]);
    for (uint32_t i = 0; i < plan.link_count; i++) {
        const struct pal_sim_link *link = &plan.links[i];

        check(link->from != link->to && (link->from <= last || link->from == UINT32_MAX));
        check((link->to <= last || link->to == UINT32_MAX) && link->latency_min_ns <= link->latency_max_ns);
    }
    for (uint32_t i = 0; i < plan.action_count; i++) {
        const struct plan_action *action = &plan.actions[i];

        check(i == 0 || action[-1].at_ns <= action->at_ns);
        check(action->at_ns <= PLAN_TIME_MAX && action->a <= last && (action->b <= last || action->b == UINT32_MAX));
        check_faults(&action->faults);
    }
}

static void check_round_trip(void)
{
    size_t length = pal__s_plan_write(&plan, NULL, 0);
    char *text = malloc(length + 1), *twice = malloc(length + 1); /* blocks of just that size */

    check(text != NULL && twice != NULL);
    check(pal__s_plan_write(&plan, text, length + 1) == length && strlen(text) == length);
    check(pal__s_plan_read(text, &again) == NULL);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c): all is cleared */
    check(memcmp(&plan, &again, sizeof(plan)) == 0);
    check(pal__s_plan_write(&again, twice, length + 1) == length && strcmp(text, twice) == 0);
    free(text);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1); /* its own block, so that a read past the end is seen */
    const char *wrong;

    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    wrong = pal__s_plan_read(text, &plan);
    free(text);
    if (wrong != NULL) {
        check_words(wrong);
        return 0;
    }
    check_limits();
    check_round_trip();
    return 0;
}
