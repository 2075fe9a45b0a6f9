/* examples/demo/demo.h: the two halves of the demonstration: what each is told and what it hands back.
 *
 * exchange_run and trader_run know the seam (pal/) and ISO C, no operating system and no main. They have no mutable
 * static data, so any number of them may run in one process; each uses one thread, and a poll of its own. All memory
 * that outlives a call is the caller's. A launcher decides where they run: two processes, two threads, two hosts. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "histogram.h"

#include <pal/types.h>

enum demo_idle {
    DEMO_BLOCK, /* waits sleep until there is something to do */
    DEMO_SPIN   /* waits return at once (deadline 0): a CPU each, never asleep. Not in virtual time: it stands still */
};

enum { DEMO_WINDOW = 256 };       /* ticks that may be unanswered at once */
enum { DEMO_OUTSTANDING = 512 };  /* orders that the trader may have no answer to, and the exchange remembers */
enum { DEMO_PROBLEM_SIZE = 320 }; /* bytes of an error in words, with its NUL */
enum { DEMO_BACKEND_SIZE = 16 };  /* bytes of a backend's name, with its NUL */

/* Where ticks go. */
struct demo_feed {
    struct pal_addr group;  /* multicast group and port */
    struct pal_addr source; /* the sender's address; family 0: the exchange lets the system choose, the trader joins
                               for any source. Otherwise the exchange binds it and the trader joins for it alone */
    uint32_t ifindex;       /* interface that ticks leave and enter by; 0: by route */
};

struct exchange_result {
    int32_t code; /* 0, or the PAL_E* that ended the run */
    uint32_t reserved;
    uint64_t ticks;                  /* sent */
    uint64_t orders;                 /* executed, one a tick at most */
    uint64_t fills;                  /* sent for them */
    uint64_t lost;                   /* ticks that no order came for in time, or before that of a later one */
    uint64_t refused;                /* orders that came too late */
    uint64_t repeated;               /* orders that came again, and were answered with the fill that they had */
    uint64_t doubled;                /* other orders for a tick that had one: refused. A right trader sends none */
    uint64_t breaks;                 /* connections that ended before the session did */
    uint64_t digest;                 /* strategy_digest over the orders as they arrived */
    struct histogram tick_to_trade;  /* nanoseconds */
    char backend[DEMO_BACKEND_SIZE]; /* what it was linked with */
    char problem[DEMO_PROBLEM_SIZE]; /* code in words: operation, object, reason, remedy; "" without error */
};

struct exchange_config {
    struct pal_addr listen; /* TCP; port 0: the system's choice */
    struct demo_feed feed;
    enum demo_idle idle;
    uint32_t warmup_count; /* first ticks that the histogram leaves out */
    uint64_t tick_count;
    uint64_t interval_ns;                                           /* between ticks */
    uint64_t tick_timeout_ns;                                       /* after which a tick counts as lost */
    uint64_t patience_ns;                                           /* for a trader to come back; 0: it may not */
    uint64_t limit_ns;                                              /* the whole run; PAL_ETIMEDOUT after it */
    uint64_t seed;                                                  /* of the prices */
    void (*ready)(void *context, const struct pal_addr *listening); /* called once, on the exchange's thread; or NULL */
    void *ready_context;
    struct exchange_result *result; /* the caller's, zeroed */
};

struct trader_result {
    int32_t code;
    uint32_t reserved;
    uint64_t ticks;   /* received */
    uint64_t orders;  /* sent */
    uint64_t fills;   /* received, and right */
    uint64_t lost;    /* missing sequence numbers */
    uint64_t late;    /* ticks behind a later one: duplicates, reordered ones. Not answered */
    uint64_t skipped; /* ticks that came while there was no way to answer them */
    uint64_t foreign; /* datagrams that are not this exchange's ticks */
    uint64_t expired; /* orders that came too late for the exchange */
    uint64_t resent;  /* orders sent again over another connection */
    uint64_t breaks;  /* connections that ended before the session did, or did not come about */
    uint64_t digest;  /* strategy_digest over the decisions that were filled, as the fills arrived */
    char backend[DEMO_BACKEND_SIZE];
    char problem[DEMO_PROBLEM_SIZE];
};

struct trader_config {
    struct pal_addr exchange; /* TCP */
    struct demo_feed feed;
    enum demo_idle idle;
    uint32_t trader_id;   /* upper part of every client order id; below 2^24 */
    uint64_t patience_ns; /* for which it tries to mend a broken connection; 0: not at all */
    uint64_t limit_ns;
    struct trader_result *result; /* the caller's, zeroed */
};

/* Run to the end of the session: 0, or the code that is in the result too, with words to it. Never later than limit_ns
 * after the call. Any thread. No allocation of their own. */
int exchange_run(const struct exchange_config *config);
int trader_run(const struct trader_config *config);

#endif
