/* choose.h: one function a kind of step, which fills in what the step is about. false: it is not possible now.
 *
 * What the contract leaves open is not chosen: two backends would go apart; nor what it forbids to a program, such as
 * two ops that read one end through two handles. */
#ifndef PALIO_TESTS_DIFFERENTIAL_CHOOSE_H
#define PALIO_TESTS_DIFFERENTIAL_CHOOSE_H

#include "draw.h"

typedef bool chooser(struct generator *generator, const struct model *model, struct step *step);

chooser choose_any_poll, choose_any_sock, choose_file;
#define choose_file_read choose_file
#define choose_file_size choose_file
#define choose_wait choose_any_poll
#define choose_wake choose_any_poll
#define choose_signal choose_any_poll
#define choose_reopen choose_any_poll
#define choose_option choose_any_sock
#define choose_mistake choose_any_sock

#define STEP_CHOOSER(name, weight) chooser choose_##name;
STEPS(STEP_CHOOSER)
#undef STEP_CHOOSER

#endif
