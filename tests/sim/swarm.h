/* swarm.h: an echo service and its clients as hosts of a simulated world under faults drawn from a seed.
 *
 * Whatever goes wrong, a byte that comes back is the one that was sent at its place; and when faults end, service goes
 * on. */
#ifndef TESTS_SIM_SWARM_H
#define TESTS_SIM_SWARM_H

#include <pal/pal.h>
#include <stdbool.h>

#define SECOND_NS UINT64_C(1000000000)

enum { SWARM_CLIENTS = 3, SWARM_PORT = 7 };

/* What all hosts of one run share: they are one process. */
struct swarm {
    uint64_t seed;
    bool stop;          /* the server is to end */
    bool calm;          /* faults are over: errors are failures now */
    uint64_t bytes;     /* that came back */
    uint64_t datagrams; /* likewise */
    uint64_t sessions;  /* of clients, that ended well */
    uint64_t broken;    /* and not */
    char wrong[256];    /* what must not have happened; "": nothing */
};

struct swarm_client {
    struct swarm *swarm;
    uint32_t number;
    uint32_t sessions; /* to go through */
};

void swarm_fail(struct swarm *swarm, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The byte at a place of a session's stream. */
uint8_t swarm_byte(uint32_t session, uint32_t place);

/* Functions of hosts; argument: struct swarm, struct swarm_client. */
int32_t swarm_server(void *argument);
int32_t swarm_client(void *argument);

#endif
