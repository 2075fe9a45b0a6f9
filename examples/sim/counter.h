/* examples/sim/counter.h: a number that clients add to over TCP, each request exactly once, whatever breaks between.
 *
 * A client numbers its requests 1, 2, 3 ... and has one out at a time: it sends it again, over a new connection, until
 * it is answered. The server keeps the number of the last request that it carried out for each client, and what it
 * answered: the same number again gets the same answer, and changes nothing.
 *
 * What has to outlive a crash is the caller's: the server's ledger and the client's job, which a program with a disk
 * would keep there. Nothing here knows what it runs on. */
#ifndef EXAMPLES_SIM_COUNTER_H
#define EXAMPLES_SIM_COUNTER_H

#include <stdint.h>

enum { COUNTER_PORT = 7007, COUNTER_CLIENTS_MAX = 64 };

/* What was done for a client last. */
struct counter_record {
    uint64_t client;  /* 0: nobody's */
    uint64_t request; /* its number; 0: none yet */
    uint64_t answer;  /* the total after it */
};

struct counter_ledger { /* zero is a new one */
    uint64_t total;
    struct counter_record records[COUNTER_CLIENTS_MAX];
};

struct counter_server {
    const char *address; /* to listen on, "10.0.0.1" */
    struct counter_ledger *ledger;
};

struct counter_job {
    const char *server;   /* a name, or an address */
    uint64_t client;      /* no other client has this number; not 0 */
    uint64_t amount;      /* that is added each time */
    uint64_t times;       /* how often */
    uint64_t pause_ns;    /* between one answer and the next request */
    uint64_t patience_ns; /* for all of it */
    uint64_t done;        /* how often it was, by the answers; 0 at first */
    uint64_t total;       /* that of the last answer */
};

/* Serves for ever: a struct counter_server. Returns only if it cannot listen for a minute: PAL_E*, why. */
int counter_serve(void *server);

/* Carries out what is left of a job: a struct counter_job. 0; PAL_ETIMEDOUT: its patience has ended; PAL_ENONAME: there
 * is no such server; PAL_EPROTO: it answers what cannot be. */
int counter_add(void *job);

#endif
