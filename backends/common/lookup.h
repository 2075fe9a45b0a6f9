/* lookup.h: a RESOLVE op's query and answer, copied, so that a worker may be left alone with them.
 *
 * A resolver cannot be interrupted (hole 38). So it is never given the program's memory: it reads and writes a copy,
 * from which the poll's owner takes the answer, unless the op has been cancelled meanwhile. */
#ifndef PAL__COMMON_LOOKUP_H
#define PAL__COMMON_LOOKUP_H

#include <pal/os.h>

struct lookup;

/* Copies the query of a RESOLVE op, and takes room for its answer. PAL_EINVAL, PAL_ENOMEM. Allocates. */
int pal__lookup_begin(const struct pal_op *op, struct lookup **out);

/* pal_resolve on the copy. Any thread. */
int32_t pal__lookup_run(struct lookup *lookup);

/* Writes an answer of count addresses to where the op wants them. */
void pal__lookup_give(const struct lookup *lookup, int32_t count);

/* NULL does nothing. Any thread. */
void pal__lookup_end(struct lookup *lookup);

#endif
