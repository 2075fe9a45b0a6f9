/* tests/unit/random.h: seeded random numbers for model-based tests.
 *
 * Every run has another seed and prints it first; PALIO_TEST_SEED=<number> replays it. The same seed gives the same
 * numbers on every platform. */
#ifndef PALIO_TESTS_UNIT_RANDOM_H
#define PALIO_TESTS_UNIT_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. limit - 1 */
static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_next(random) % limit;
}

/* A number of random magnitude: as often small as large, up to bits_max bits. */
static inline uint64_t random_spread(struct random *random, unsigned bits_max)
{
    uint64_t bits = random_below(random, (uint64_t)bits_max + 1);

    return bits == 0 ? 0 : random_next(random) >> (64 - bits);
}

static inline struct random random_start(const char *test)
{
    const char *given = getenv("PALIO_TEST_SEED");
    struct random random = {given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL)};

    fprintf(stderr, "%s: PALIO_TEST_SEED=%" PRIu64 "\n", test, random.state);
    return random;
}

#endif
