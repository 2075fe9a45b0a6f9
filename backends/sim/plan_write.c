/* plan_write.c: writes a plan as the text that reads back to it. See plan.h. */
#include "plan_words.h"

#include <pal/address.h>
#include <string.h>

/* ---- words ---- */

static void put(struct pal__print *out, const char *word)
{
    pal__print_string(out, word);
}

static void put_unsigned(struct pal__print *out, uint64_t value)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0)
        pal__print_char(out, digits[--count]);
}

static void put_measure(struct pal__print *out, uint64_t value, enum plan_measure measure)
{
    char text[MEASURE_SIZE];

    put(out, pal__s_measure_write(value, measure, text));
}

static void put_host(struct pal__print *out, const struct plan *plan, uint32_t number)
{
    if (number == 0)
        put(out, PLAN_PROGRAM);
    else
        put(out, number <= plan->host_count ? plan->hosts[number - 1].name : "*");
}

/* In quotes where a word would end, or a comment begin. */
static void put_path(struct pal__print *out, const char *path)
{
    const char *quote = path[0] == '#' || strpbrk(path, " \t\r;") != NULL ? "\"" : "";

    put(out, quote);
    put(out, path);
    put(out, quote);
}

/* ---- faults ---- */

static void put_two(struct pal__print *out, uint64_t first, const char *between, uint64_t second)
{
    put_measure(out, first, MEASURE_TIME);
    put(out, between);
    put_measure(out, second, MEASURE_TIME);
}

static void put_fault(struct pal__print *out, const struct fault_word *word, struct pal_sim_faults *faults)
{
    put(out, " ");
    put(out, word->name);
    put(out, " ");
    switch (word->form) {
    case FORM_SHARE:
        put_measure(out, *pal__s_fault_share(faults, word->first), MEASURE_SHARE);
        break;
    case FORM_STALL:
        put_measure(out, *pal__s_fault_share(faults, word->first), MEASURE_SHARE);
        put(out, " up to ");
        put_measure(out, *pal__s_fault_number(faults, word->second), MEASURE_TIME);
        break;
    case FORM_LATENCY:
        put_two(out, *pal__s_fault_number(faults, word->first), "..", *pal__s_fault_number(faults, word->second));
        break;
    case FORM_RATE:
        put_measure(out, *pal__s_fault_number(faults, word->first), MEASURE_RATE);
        break;
    case FORM_REPEAT:
        put(out, "every ");
        put_two(out, *pal__s_fault_number(faults, word->first), strcmp(word->join, "by") == 0 ? " by " : " for ",
                *pal__s_fault_number(faults, word->second));
        break;
    }
}

static bool has_fault(const struct fault_word *word, struct pal_sim_faults *faults)
{
    switch (word->form) {
    case FORM_SHARE:
        return *pal__s_fault_share(faults, word->first) != 0;
    case FORM_STALL: /* with a share of 0 its time is still there to be read back */
        return *pal__s_fault_number(faults, word->second) != 0;
    case FORM_LATENCY:
    case FORM_RATE:
    case FORM_REPEAT:
        break;
    }
    return *pal__s_fault_number(faults, word->first) != 0;
}

/* Those that there are, and the end of the line; `none` if there are none. */
static void put_faults(struct pal__print *out, const struct pal_sim_faults *given, const char *none)
{
    struct pal_sim_faults faults = *given;
    bool any = false;

    for (size_t i = 0; i < FAULT_WORDS; i++) {
        if (has_fault(&pal__s_fault_words[i], &faults)) {
            put_fault(out, &pal__s_fault_words[i], &faults);
            any = true;
        }
    }
    put(out, any ? "\n" : none);
}

/* ---- statements ---- */

static void put_head(struct pal__print *out, const struct plan *plan)
{
    if (plan->seed != 0) {
        put(out, "seed ");
        put_unsigned(out, plan->seed);
        put(out, "\n");
    }
    if ((plan->flags & PAL_SIM_QUIET) != 0)
        put(out, "quiet\n");
    if ((plan->flags & PAL_SIM_VIRTUAL) != 0)
        put(out, "pace virtual\n");
    if ((plan->flags & PAL_SIM_SWARM) != 0)
        put(out, "swarm\n");
    if (plan->pcap[0] != '\0') {
        put(out, "pcap ");
        put_path(out, plan->pcap);
        put(out, "\n");
    }
}

static void put_hosts(struct pal__print *out, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->host_count; i++) {
        put(out, "host ");
        put(out, plan->hosts[i].name);
        put(out, " ");
        put(out, plan->hosts[i].addresses);
        put(out, "\n");
    }
    if (plan->enter != 0) {
        put(out, "run on ");
        put_host(out, plan, plan->enter);
        put(out, "\n");
    }
}

static void put_link(struct pal__print *out, const struct plan *plan, const struct pal_sim_link *link)
{
    struct pal_sim_faults faults;

    put(out, "link ");
    put_host(out, plan, link->from);
    put(out, " -> ");
    put_host(out, plan, link->to);
    pal__s_faults_of(link, &faults);
    put_faults(out, &faults, "\n");
}

static void put_action(struct pal__print *out, const struct plan *plan, const struct plan_action *action)
{
    const struct action_word *word = pal__s_action_words;

    while (word < pal__s_action_words + ACTION_WORDS - 1 && word->key != action->key)
        word++;
    put(out, "at ");
    put_measure(out, action->at_ns, MEASURE_TIME);
    put(out, " ");
    put(out, word->name);
    if (word->form == ACTION_FAULTS) {
        put_faults(out, &action->faults, " none\n");
        return;
    }
    put(out, " ");
    put_host(out, plan, action->a);
    if (word->form == ACTION_PAIR) {
        put(out, " ");
        put_host(out, plan, action->b);
    } else if (word->form == ACTION_CLOCK) {
        put(out, action->jump_ns < 0 ? " -" : " +");
        put_measure(out, action->jump_ns < 0 ? 0 - (uint64_t)action->jump_ns : (uint64_t)action->jump_ns, MEASURE_TIME);
    }
    put(out, "\n");
}

size_t pal__s_plan_write(const struct plan *plan, char *out, size_t size)
{
    struct pal__print text = {out, size, 0};

    put_head(&text, plan);
    put_hosts(&text, plan);
    if (plan->has_faults) {
        put(&text, "faults");
        put_faults(&text, &plan->faults, " none\n");
    }
    for (uint32_t i = 0; i < plan->link_count; i++)
        put_link(&text, plan, &plan->links[i]);
    for (uint32_t i = 0; i < plan->action_count; i++)
        put_action(&text, plan, &plan->actions[i]);
    if (size > 0)
        out[text.length < size ? text.length : size - 1] = '\0';
    return text.length;
}
