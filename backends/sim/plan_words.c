/* plan_words.c: the tables of words, and numbers with units, exactly and without floating point. See plan_words.h. */
#include "plan_words.h"

#include <palio/base/text.h>
#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct pal_sim_faults, member)
#define FOR "for"
#define BY "by"

const struct fault_word pal__s_fault_words[FAULT_WORDS] = {
    {"loss", FORM_SHARE, AT(loss_ppm), 0, NULL, true},
    {"duplicate", FORM_SHARE, AT(duplicate_ppm), 0, NULL, true},
    {"reorder", FORM_SHARE, AT(reorder_ppm), 0, NULL, true},
    {"corrupt", FORM_SHARE, AT(corrupt_ppm), 0, NULL, true},
    {"latency", FORM_LATENCY, AT(latency_min_ns), AT(latency_max_ns), NULL, true},
    {"rate", FORM_RATE, AT(rate_bits_s), 0, NULL, false},
    {"short", FORM_SHARE, AT(short_ppm), 0, NULL, false},
    {"again", FORM_SHARE, AT(again_ppm), 0, NULL, false},
    {"no-memory", FORM_SHARE, AT(no_memory_ppm), 0, NULL, false},
    {"no-handle", FORM_SHARE, AT(no_handle_ppm), 0, NULL, false},
    {"reset", FORM_SHARE, AT(reset_ppm), 0, NULL, false},
    {"stall", FORM_STALL, AT(stall_ppm), AT(stall_max_ns), NULL, false},
    {"cut", FORM_REPEAT, AT(cut_every_ns), AT(cut_for_ns), FOR, false},
    {"pause", FORM_REPEAT, AT(pause_every_ns), AT(pause_for_ns), FOR, false},
    {"crash", FORM_REPEAT, AT(crash_every_ns), AT(crash_for_ns), FOR, false},
    {"clock", FORM_REPEAT, AT(clock_every_ns), AT(clock_max_ns), BY, false},
};

const struct action_word pal__s_action_words[ACTION_WORDS] = {
    {"cut", PAL_CTL_SIM_CUT, ACTION_PAIR},      {"heal", PAL_CTL_SIM_HEAL, ACTION_PAIR},
    {"crash", PAL_CTL_SIM_CRASH, ACTION_HOST},  {"restart", PAL_CTL_SIM_RESTART, ACTION_HOST},
    {"pause", PAL_CTL_SIM_PAUSE, ACTION_HOST},  {"resume", PAL_CTL_SIM_RESUME, ACTION_HOST},
    {"clock", PAL_CTL_SIM_CLOCK, ACTION_CLOCK}, {"faults", PAL_CTL_SIM_FAULTS, ACTION_FAULTS},
};

uint32_t *pal__s_fault_share(struct pal_sim_faults *faults, size_t offset)
{
    return (uint32_t *)(void *)((char *)faults + offset);
}

uint64_t *pal__s_fault_number(struct pal_sim_faults *faults, size_t offset)
{
    return (uint64_t *)(void *)((char *)faults + offset);
}

void pal__s_link_of(const struct pal_sim_faults *faults, struct pal_sim_link *link)
{
    link->loss_ppm = faults->loss_ppm;
    link->duplicate_ppm = faults->duplicate_ppm;
    link->reorder_ppm = faults->reorder_ppm;
    link->corrupt_ppm = faults->corrupt_ppm;
    link->latency_min_ns = faults->latency_min_ns;
    link->latency_max_ns = faults->latency_max_ns;
}

void pal__s_faults_of(const struct pal_sim_link *link, struct pal_sim_faults *faults)
{
    memset(faults, 0, sizeof(*faults));
    faults->loss_ppm = link->loss_ppm;
    faults->duplicate_ppm = link->duplicate_ppm;
    faults->reorder_ppm = link->reorder_ppm;
    faults->corrupt_ppm = link->corrupt_ppm;
    faults->latency_min_ns = link->latency_min_ns;
    faults->latency_max_ns = link->latency_max_ns;
}

bool pal__s_piece_is(struct plan_piece piece, const char *word)
{
    return piece.size == strlen(word) && memcmp(piece.data, word, piece.size) == 0;
}

/* ---- numbers with units ---- */

struct unit {
    const char *name;
    uint64_t scale;
};

/* The largest first; those that are only read last. */
static const struct unit share_units[] = {{"%", 10000}, {"ppm", 1}};
static const struct unit time_units[] = {{"h", UINT64_C(3600000000000)},
                                         {"min", UINT64_C(60000000000)},
                                         {"s", 1000000000},
                                         {"ms", 1000000},
                                         {"us", 1000},
                                         {"ns", 1}};
static const struct unit rate_units[] = {{"Gbit", 1000000000},   {"Mbit", 1000000},   {"kbit", 1000},   {"bit", 1},
                                         {"Gbit/s", 1000000000}, {"Mbit/s", 1000000}, {"kbit/s", 1000}, {"bit/s", 1}};

struct measure {
    const struct unit *units;
    size_t unit_count;
    uint64_t max;
    const char *form, *whole, *range, *zero;
};

#define UNITS(units) (units), sizeof(units) / sizeof((units)[0])

static const struct measure measures[] = {
    [MEASURE_SHARE] = {UNITS(share_units), 1000000, "a share is a number with % or ppm behind it, as 0.5% or 20ppm",
                       "a share is a whole number of ppm, and 1ppm is 0.0001%", "a share is at most 100%",
                       "a share of 0 means never: leave it out"},
    [MEASURE_TIME] = {UNITS(time_units), PLAN_TIME_MAX,
                      "a time is a number with ns, us, ms, s, min or h behind it, as 50us or 1.5s",
                      "a time is a whole number of ns", "a time is at most 876000h, which is 100 years",
                      "a time here is 1ns at least: leave it out if there is none"},
    [MEASURE_RATE] = {UNITS(rate_units), UINT64_C(1000000000000),
                      "a rate is a number with bit, kbit, Mbit or Gbit behind it, as 100Mbit",
                      "a rate is a whole number of bit", "a rate is at most 1000Gbit",
                      "a rate is 1bit at least: leave it out if there is no limit"},
};

static size_t digits_of(struct plan_piece piece)
{
    size_t count = 0;

    while (count < piece.size && piece.data[count] >= '0' && piece.data[count] <= '9')
        count++;
    return count;
}

static const struct unit *unit_of(const struct measure *measure, struct plan_piece piece)
{
    for (size_t i = 0; i < measure->unit_count; i++) {
        if (pal__s_piece_is(piece, measure->units[i].name))
            return &measure->units[i];
    }
    return NULL;
}

/* What is behind the point, in the unit's parts: 0.d1d2..dk * scale is (d1 * scale + (d2 * scale + ..) / 10) / 10, and
 * the whole is a whole number only if each division leaves none over. False: it is not. */
static bool fraction_of(struct plan_piece digits, uint64_t scale, uint64_t *value)
{
    *value = 0;
    for (size_t i = digits.size; i > 0; i--) {
        *value += (uint64_t)(digits.data[i - 1] - '0') * scale;
        if (*value % 10 != 0)
            return false;
        *value /= 10;
    }
    return true;
}

/* Takes the digits, and those behind a point, off the front. False: there is no number. */
static bool split(struct plan_piece *piece, struct plan_piece *whole, struct plan_piece *fraction)
{
    *whole = (struct plan_piece){piece->data, digits_of(*piece)};
    *fraction = (struct plan_piece){piece->data, 0};
    *piece = (struct plan_piece){piece->data + whole->size, piece->size - whole->size};
    if (whole->size == 0 || (whole->size > 1 && whole->data[0] == '0'))
        return false;
    if (piece->size == 0 || piece->data[0] != '.')
        return true;
    *piece = (struct plan_piece){piece->data + 1, piece->size - 1};
    *fraction = (struct plan_piece){piece->data, digits_of(*piece)};
    *piece = (struct plan_piece){piece->data + fraction->size, piece->size - fraction->size};
    return fraction->size > 0;
}

const char *pal__s_measure_read(struct plan_piece piece, enum plan_measure kind, uint64_t least, uint64_t *value)
{
    const struct measure *measure = &measures[kind];
    struct plan_piece whole, fraction;
    const struct unit *unit;
    uint64_t units, parts;

    if (!split(&piece, &whole, &fraction))
        return measure->form;
    unit = unit_of(measure, piece);
    if (unit == NULL)
        return measure->form;
    if (!fraction_of(fraction, unit->scale, &parts))
        return measure->whole;
    if (!base_parse_unsigned(whole.data, whole.size, measure->max / unit->scale, &units) ||
        units * unit->scale + parts > measure->max)
        return measure->range;
    *value = units * unit->scale + parts;
    return *value < least ? measure->zero : NULL;
}

char *pal__s_measure_write(uint64_t value, enum plan_measure kind, char out[MEASURE_SIZE])
{
    const struct unit *unit = measures[kind].units;
    struct base_text text;

    while (unit->scale > 1 && (value == 0 || value % unit->scale != 0))
        unit++;
    base_text_init(&text, out, MEASURE_SIZE);
    base_text_unsigned(&text, value / unit->scale);
    base_text_string(&text, unit->name);
    return out;
}
