/* chance.c: all that is left to chance in a simulated world.
 *
 * A root generator, seeded by the world's seed, gives each stream its own seed. */
#include "chance.h"

#include "../netstack/random.h"
#include <palio/base/assertion.h>
#include <string.h>

enum { MILLION = 1000000 };

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct {
    struct random choices, faults, entropy;
    uint32_t depth;
    uint32_t chosen; /* of them, so far */
    /* The first `chosen` as they were made; behind them, in `option`, what is given. */
    struct pal_sim_choice list[CHOICES_MAX];
} chance;

bool pal__s_chance_begin(uint64_t seed, uint32_t depth, const uint32_t *choices, uint32_t choice_count)
{
    struct random root;

    if (depth > CHOICES_MAX)
        return false;
    pal__n_random_seed(&root, seed);
    pal__n_random_seed(&chance.choices, pal__n_random(&root));
    pal__n_random_seed(&chance.faults, pal__n_random(&root));
    pal__n_random_seed(&chance.entropy, pal__n_random(&root));
    chance.depth = depth;
    chance.chosen = 0;
    for (uint32_t i = 0; i < depth; i++) {
        chance.list[i].option = i < choice_count ? choices[i] : 0;
        chance.list[i].count = 0;
    }
    return true;
}

uint32_t pal__s_choose(uint32_t count)
{
    struct pal_sim_choice *choice;

    BASE_ASSERT(count > 0);
    if (count == 1)
        return 0;
    if (chance.depth == 0)
        return pal__n_random_below(&chance.choices, count);
    if (chance.chosen == chance.depth)
        return 0;
    choice = &chance.list[chance.chosen++];
    choice->option %= count;
    choice->count = count;
    return choice->option;
}

void pal__s_chosen(struct pal_sim_choices *list)
{
    list->count = chance.chosen;
    for (uint32_t i = 0; i < list->count && i < list->size; i++)
        list->choices[i] = chance.list[i];
}

bool pal__s_happens(uint32_t ppm)
{
    return ppm != 0 && pal__n_random_below(&chance.faults, MILLION) < ppm;
}

/* As many bits as the range has, again and again until they are within it: no number is more likely than another. */
uint64_t pal__s_between(uint64_t min, uint64_t max)
{
    uint64_t range = max - min, mask = range, drawn;

    BASE_ASSERT(min <= max);
    if (range == 0)
        return min;
    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    do {
        drawn = pal__n_random(&chance.faults) & mask;
    } while (drawn > range);
    return min + drawn;
}

uint64_t pal__s_until_next(uint64_t every_ns)
{
    if (every_ns == 0)
        return UINT64_MAX;
    return pal__s_between(1, every_ns > UINT64_MAX / 2 ? UINT64_MAX - 1 : every_ns * 2 - 1);
}

void pal__s_entropy(void *buffer, size_t size)
{
    uint8_t *at = buffer;
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++, word >>= 8) {
        if (i % 8 == 0)
            word = pal__n_random(&chance.entropy);
        at[i] = (uint8_t)word;
    }
}

/* ---- faults of a swarm ---- */

/* min .. max, each doubling as likely as the others. */
static uint64_t spread(uint64_t min, uint64_t max)
{
    uint64_t doublings = 0, low, high;

    while (max >> doublings > min)
        doublings++;
    low = min << pal__s_between(0, doublings > 0 ? doublings - 1 : 0);
    high = low > max - low ? max : low * 2;
    return pal__s_between(low, high);
}

static bool is_on(uint32_t of)
{
    return pal__s_between(1, of) == 1;
}

static uint32_t draw_ppm(uint32_t max)
{
    return is_on(2) ? (uint32_t)spread(100, max) : 0;
}

/* How often, and for how long: on in one of so many. */
static void draw_period(uint32_t of, uint64_t *every_ns, uint64_t *for_ns)
{
    if (!is_on(of))
        return;
    *every_ns = spread(SECOND, 60 * SECOND);
    *for_ns = spread(MS, 5 * SECOND);
}

static void draw_path(struct pal_sim_faults *out)
{
    if (is_on(2)) {
        out->latency_min_ns = spread(US, MS);
        out->latency_max_ns = out->latency_min_ns + (is_on(2) ? spread(US, 20 * MS) : 0);
    }
    if (is_on(2))
        out->rate_bits_s = spread(1000000, UINT64_C(10000000000));
}

void pal__s_swarm(struct pal_sim_faults *out)
{
    memset(out, 0, sizeof(*out));
    out->loss_ppm = draw_ppm(100000);
    out->duplicate_ppm = draw_ppm(100000);
    out->reorder_ppm = draw_ppm(100000);
    out->corrupt_ppm = draw_ppm(20000);
    out->short_ppm = draw_ppm(300000);
    out->again_ppm = draw_ppm(300000);
    out->no_memory_ppm = draw_ppm(2000);
    out->no_handle_ppm = draw_ppm(2000);
    out->reset_ppm = draw_ppm(2000);
    out->stall_ppm = draw_ppm(50000);
    if (out->stall_ppm != 0)
        out->stall_max_ns = spread(US, 50 * MS);
    draw_path(out);
    draw_period(2, &out->cut_every_ns, &out->cut_for_ns);
    draw_period(2, &out->pause_every_ns, &out->pause_for_ns);
    draw_period(8, &out->crash_every_ns, &out->crash_for_ns);
    draw_period(2, &out->clock_every_ns, &out->clock_max_ns);
}
