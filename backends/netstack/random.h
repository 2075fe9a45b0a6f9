/* random.h: numbers that nobody outside can foresee, and that the same seed gives again.
 *
 * The generator is xoshiro256** (for jitter, ports, identification); what must withstand an attacker who sees outputs
 * (sequence numbers, cookies, hash of the demultiplexer) is SipHash-2-4 or -1-3 under a key of its own. Per stack. */
#ifndef PAL__NETSTACK_RANDOM_H
#define PAL__NETSTACK_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

struct siphash_key {
    uint64_t low, high;
};

void pal__n_random_seed(struct random *random, uint64_t seed);
uint64_t pal__n_random(struct random *random);

/* 0 .. bound - 1, without bias; bound > 0. */
uint32_t pal__n_random_below(struct random *random, uint32_t bound);

struct siphash_key pal__n_random_key(struct random *random);

/* SipHash-2-4 of size bytes. */
uint64_t pal__n_siphash(const struct siphash_key *key, const void *bytes, size_t size);

/* SipHash-1-3 of count 64-bit words: for hash tables. */
uint64_t pal__n_siphash_words(const struct siphash_key *key, const uint64_t *words, size_t count);

#endif
