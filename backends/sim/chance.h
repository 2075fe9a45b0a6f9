/* chance.h: all that is left to chance in a simulated world, from one seed.
 *
 * Three streams, so that one of them may be asked more often without changing the others: choices (what comes next),
 * faults, and entropy for the program. When exploring, choices are not drawn but given. One world, one thread at a
 * time. Integers only: the same draws on every CPU. Nothing allocates. */
#ifndef PAL__SIM_CHANCE_H
#define PAL__SIM_CHANCE_H

#include <pal/sim.h>
#include <stdbool.h>
#include <stddef.h>

enum { CHOICES_MAX = 1 << 16 };

/* Begins anew. depth, choices: as in struct pal_sim_setup; copied, what is beyond depth is not read. False: depth is
 * more than CHOICES_MAX, and nothing is changed. */
bool pal__s_chance_begin(uint64_t seed, uint32_t depth, const uint32_t *choices, uint32_t choice_count);

/* 0 .. count - 1, count > 0; of one there is nothing to choose, and nothing is noted. Exploring: the next of the given
 * choices, modulo count; 0 when there are no more. */
uint32_t pal__s_choose(uint32_t count);

/* Does what happens so often, happen now? Draws nothing for 0; always for a million and more. */
bool pal__s_happens(uint32_t ppm);

/* min .. max, both included, min <= max. Of the faults' stream; draws nothing when they are equal. */
uint64_t pal__s_between(uint64_t min, uint64_t max);

/* When the next of what comes on the average every so often comes, from now: 1 ns at least, less than twice every_ns.
 * 0: never, UINT64_MAX, and nothing is drawn. */
uint64_t pal__s_until_next(uint64_t every_ns);

/* For pal_random, and for what a host's stack needs as its seed. The same bytes on every CPU. */
void pal__s_entropy(void *buffer, size_t size);

/* Faults drawn kind by kind: about half of the kinds are off, the others anywhere from rare to frequent, in the
 * logarithm; never so many that a program that retries could not get through. Of the faults' stream. */
void pal__s_swarm(struct pal_sim_faults *out);

/* What was chosen so far: fills in list->count and as many as there is room for. Not exploring: 0. */
void pal__s_chosen(struct pal_sim_choices *list);

#endif
