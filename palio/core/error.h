/* palio/core/error.h: how Palio's functions record what failed. Reading it is palio_last_error, in palio/base.h.
 *
 * Recording belongs to the function that the program called: it knows the operation and the object. The layers below it
 * return codes. Costs a formatted text, no call, no lock; EAGAIN, ETIMEDOUT and ECANCELED cost a compare. */
#ifndef PALIO_CORE_ERROR_H
#define PALIO_CORE_ERROR_H

#include <palio/base.h>

/* Records that operation failed on an object because the seam has just answered code, with the system's number and the
 * seam's reason of that call: so before any other call of the seam. operation is static, and is what Python calls it.
 * Returns code, so that one can write: return palio__fail(error, "bind", "tcp %s", text). code is < 0. */
int palio__fail(int code, const char *operation, const char *object_format, ...) PALIO_PRINTF(3, 4);

/* The same where Palio itself has refused: no system's number, and no reason but Palio's. */
int palio__refuse(int code, const char *operation, const char *object_format, ...) PALIO_PRINTF(3, 4);

/* The remedy for code in operation from Palio's own table; "" when there is none. Static text. */
const char *palio__remedy(int code, const char *operation);

/* Where a thread's failures are kept. Without one: in a record of the thread. A loop gives its thread a slot whose
 * functions look at the task that runs, so that each task has its own last error. */
struct palio__error_slot {
    palio_error *(*record)(struct palio__error_slot *slot);     /* the record to overwrite; not NULL */
    const palio_error *(*last)(struct palio__error_slot *slot); /* NULL: nothing has failed, or it is forgotten */
};

/* Sets this thread's slot, which stays the caller's until the next set; NULL: the thread's own record. Returns the
 * slot before, to be put back. */
struct palio__error_slot *palio__error_slot_set(struct palio__error_slot *slot);

#endif
