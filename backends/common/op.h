/* op.h: one try of an op, whatever its kind, and what its result means. When to try, and what waits for what, is the
 * machine's.
 *
 * Upholds rules 3 and 4. Trying goes through the seam's own calls, so it serves sockets of any domain. What an op has
 * moved is kept in the op, priv[1] for its count of bytes, messages or leases, so that no partial progress is lost. */
#ifndef PAL__COMMON_OP_H
#define PAL__COMMON_OP_H

#include "slot.h"

/* Is the op what pal_submit may be given? PAL_EINVAL, with the reason. Kinds that workers carry out are theirs. */
int pal__op_check(const struct pal_op *op);

/* Tries the op: its result, or one that says that it has to wait. */
int32_t pal__op_attempt(struct slot *slot, struct pal_op *op);

/* It takes the writer's side of its socket, else the reader's (rule 6). */
static inline bool op_writes(const struct pal_op *op)
{
    uint8_t kind = op->kind;
    return kind == PAL_OP_SEND || kind == PAL_OP_SEND_MSG || kind == PAL_OP_SEND_LEASE || kind == PAL_OP_SENDFILE ||
           kind == PAL_OP_CONNECT;
}

/* A full backlog of a unix listener answers connect with PAL_EAGAIN, which no readiness would end: that is a result. */
static inline bool op_has_to_wait(const struct pal_op *op, int32_t result)
{
    return result == (op->kind == PAL_OP_CONNECT ? PAL_EINPROGRESS : PAL_EAGAIN);
}

#endif
