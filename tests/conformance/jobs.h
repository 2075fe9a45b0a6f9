/* jobs.h: what the tests of worker ops share: set-up with workers, ops, and WORK functions that stand still until the
 * test lets them go on, so that it knows in which state a job is. */
#ifndef TESTS_CONFORMANCE_JOBS_H
#define TESTS_CONFORMANCE_JOBS_H

#include "conformance.h"

#include <stdatomic.h>

/* pal_setup with so many workers; a backend that has none skips the test. To be called first. */
void set_up_workers(uint32_t workers_max);

/* ---- ops. What they point to is the caller's. ---- */

struct pal_op op_work(uint64_t data, struct pal_work *work);
struct pal_op op_resolve(uint64_t data, struct pal_query *query, struct pal_addr *addrs, size_t count);
struct pal_op op_file(uint8_t kind, pal_file file, uint64_t data, void *buffer, size_t size, uint64_t offset);

/* A query of a numeric host, which needs no name server. */
struct pal_query numeric_query(const char *host, const char *service);

/* A file with these bytes, open for reading and writing, under a name that nobody has and nobody finds any more. A
 * backend without files skips the test. */
pal_file open_scratch_file(const void *bytes, size_t size);

/* ---- WORK functions; .argument is what they take ---- */

/* Counts itself in an _Atomic uint32_t and returns the count before. */
int32_t count_one(void *counter);

/* A door that is closed, or open for good, and how many have come to it. All zero: closed. */
struct gate {
    _Atomic uint32_t entered;
    _Atomic uint32_t open;
};
enum { PASSED_GATE = 4711 };

/* Comes to a gate, waits until it is open, returns PASSED_GATE. */
int32_t pass_gate(void *gate);

/* Waits until so many have come; fails the test if they do not. */
void gate_until(struct gate *gate, uint32_t entered);
void gate_open(struct gate *gate);

/* A WORK op that a worker has begun and that stands at its gate, until release_worker has its event. */
struct busy_worker {
    struct gate gate;
    struct pal_work work;
    struct pal_op op;
};
void occupy_worker(struct rig *rig, struct busy_worker *busy, uint64_t data);
void release_worker(struct rig *rig, struct busy_worker *busy);

#endif
