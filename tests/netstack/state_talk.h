/* tests/netstack/state_talk.h: a stack on a wire whose other end is the test, and the model that must agree with it
 * (state_model.h). */
#ifndef TESTS_NETSTACK_STATE_TALK_H
#define TESTS_NETSTACK_STATE_TALK_H

#include "counting_allocator.h"
#include "recording_nic.h"
#include "state_model.h"

enum { STEPS = 60, PORT = 80, PEER_PORT = 4000, PAYLOAD_MAX = 1140, LINES = 16 * STEPS, TEXT_MAX = 160 };

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

struct talk {
    struct counting memory;
    struct recorder wire;
    struct netstack *stack;
    struct sock *listener, *sock;
    struct random random;
    struct model model;
    bool is_active; /* the program connects, else it listens */
    uint16_t port;  /* ours; 0: not known yet */
    uint64_t seed;
    int line_count;
    char lines[LINES][TEXT_MAX];
};

static inline uint32_t below(struct talk *talk, uint32_t bound)
{
    return pal__n_random_below(&talk->random, bound);
}

static inline bool chance(struct talk *talk, uint32_t percent)
{
    return below(talk, 100) < percent;
}

void talk_begin(struct talk *talk, uint64_t seed);
/* Closes all: when enough time has passed, nothing is left. */
void talk_end(struct talk *talk);
/* A line of what is printed when the conversation fails, of TEXT_MAX bytes. */
char *talk_line(struct talk *talk);
void talk_fail(const struct talk *talk, const char *reason);

/* Ethernet, IPv4, and TCP with no option but the segment size of a SYN. */
void talk_inject(struct talk *talk, const struct model_segment *said);
/* Turns until the model's time; what a step has brought must be what the model says. */
void talk_compare(struct talk *talk);

#endif
