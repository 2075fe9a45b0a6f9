/* generate.c: which step comes next: by weights that are each program's own. See generate.h. */
#include "generate.h"

#include <string.h>

#include "choose.h"

static const char *const names[STEP_KINDS] = {
#define STEP_NAME(name, weight) #name,
    STEPS(STEP_NAME)
#undef STEP_NAME
};

static const uint32_t weights[STEP_KINDS] = {
#define STEP_WEIGHT(name, weight) weight,
    STEPS(STEP_WEIGHT)
#undef STEP_WEIGHT
};

const char *name_of_step(enum step_kind kind)
{
    return names[kind];
}

void generator_start(struct generator *generator, uint64_t seed)
{
    static const uint32_t scales[] = {0, 1, 2, 2, 4, 8};

    generator->random.state = seed * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < STEP_KINDS; i++)
        generator->weights[i] = weights[i] * scales[random_below(&generator->random, 6)];
    for (int i = 0; i < 3; i++) { /* what nothing happens without */
        const enum step_kind needed[] = {STEP_pair, STEP_wait, STEP_close};

        generator->weights[needed[i]] += weights[needed[i]];
    }
}

static chooser *const choosers[STEP_KINDS] = {
#define STEP_CHOOSER(name, weight) choose_##name,
    STEPS(STEP_CHOOSER)
#undef STEP_CHOOSER
};

void generate(struct generator *generator, const struct model *model, struct step *step)
{
    uint64_t total = 0;

    for (int i = 0; i < STEP_KINDS; i++)
        total += generator->weights[i];
    for (;;) { /* a wait is always possible */
        uint64_t at = below(generator, total);
        int kind = 0;

        while (at >= generator->weights[kind])
            at -= generator->weights[kind++];
        memset(step, 0, sizeof(*step));
        step->kind = (enum step_kind)kind;
        step->sock = step->other = step->request = step->lent = NONE;
        step->choice = random_next(&generator->random);
        if (choosers[kind](generator, model, step))
            return;
    }
}
