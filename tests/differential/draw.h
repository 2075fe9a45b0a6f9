/* draw.h: random choices, by seed, among what the model has. What there is not is NONE. */
#ifndef PALIO_TESTS_DIFFERENTIAL_DRAW_H
#define PALIO_TESTS_DIFFERENTIAL_DRAW_H

#include "generate.h"
#include "possible.h"

uint64_t below(struct generator *generator, uint64_t limit);
bool one_in(struct generator *generator, uint64_t count);

/* A live handle that meets the condition; NULL: any. */
int draw_sock(struct generator *generator, const struct model *model, condition *meets);

/* An op's place that is taken, or one that is free. */
int draw_request(struct generator *generator, const struct model *model, bool out);

/* The poll that a sock is on, mostly; else any. */
int draw_poll(struct generator *generator, const struct sock *sock);

/* Small sizes as often as large ones. */
uint32_t draw_size(struct generator *generator, uint64_t least, uint64_t most);

/* One of the kinds, or unix streams where this machine has it not. */
enum kind draw_kind(struct generator *generator, const struct model *model, const enum kind *kinds, uint64_t count);

/* A listener of the sock's kind that has room: *out; or nobody, sometimes, on purpose. false: there is none. */
bool draw_target(struct generator *generator, const struct model *model, const struct sock *sock, int *out);

/* A live file; at_rest: that no op works on. */
int draw_file(struct generator *generator, const struct model *model, bool at_rest);

/* Is it time for so many new handles? Beyond the limit only when it is certain who is refused. */
bool may_make(struct generator *generator, const struct model *model, int count);

#endif
