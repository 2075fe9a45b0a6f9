/* generate.h: which step comes next. */
#ifndef PALIO_TESTS_DIFFERENTIAL_GENERATE_H
#define PALIO_TESTS_DIFFERENTIAL_GENERATE_H

#include "execute.h"
#include "unit/random.h"

struct generator {
    struct random random;
    uint32_t weights[STEP_KINDS]; /* of this program: others than of the next, so that each goes its own way */
};

void generator_start(struct generator *generator, uint64_t seed);

/* Fills in a step that is possible now. It depends on the seed and the model alone, and on nothing of the model that
 * the contract leaves open. */
void generate(struct generator *generator, const struct model *model, struct step *step);

const char *name_of_step(enum step_kind kind);

#endif
