/* random.c: xoshiro256** (Blackman, Vigna) and SipHash (Aumasson, Bernstein).
 *
 * Written so that every machine gives the same numbers: bytes are taken as little-endian words wherever they are. */
#include "random.h"

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

/* One step of splitmix64: what xoshiro's authors recommend to fill its state, which must not be all zero. */
static uint64_t spread(uint64_t *seed)
{
    uint64_t word = *seed += UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

void pal__n_random_seed(struct random *random, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        random->state[i] = spread(&seed);
}

uint64_t pal__n_random(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t result = rotate(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

/* The upper half of a product spreads 32 bits over the range; the few numbers that would make some results more likely
 * than others are thrown away (Lemire). */
uint32_t pal__n_random_below(struct random *random, uint32_t bound)
{
    uint64_t product = (pal__n_random(random) >> 32) * bound;

    if ((uint32_t)product < bound) {
        uint32_t uneven = (uint32_t)(0 - bound) % bound;

        while ((uint32_t)product < uneven)
            product = (pal__n_random(random) >> 32) * bound;
    }
    return (uint32_t)(product >> 32);
}

struct siphash_key pal__n_random_key(struct random *random)
{
    struct siphash_key key;

    key.low = pal__n_random(random);
    key.high = pal__n_random(random);
    return key;
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static struct sip sip_start(const struct siphash_key *key)
{
    struct sip sip;

    sip.v0 = key->low ^ UINT64_C(0x736f6d6570736575);
    sip.v1 = key->high ^ UINT64_C(0x646f72616e646f6d);
    sip.v2 = key->low ^ UINT64_C(0x6c7967656e657261);
    sip.v3 = key->high ^ UINT64_C(0x7465646279746573);
    return sip;
}

static inline void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v2 += sip->v3;
    sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
    sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
    sip->v0 = rotate(sip->v0, 32) + sip->v3;
    sip->v2 += sip->v1;
    sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
    sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
    sip->v2 = rotate(sip->v2, 32);
}

static inline void sip_take(struct sip *sip, uint64_t word, unsigned rounds)
{
    sip->v3 ^= word;
    for (unsigned i = 0; i < rounds; i++)
        sip_round(sip);
    sip->v0 ^= word;
}

static inline uint64_t sip_end(struct sip *sip, unsigned rounds)
{
    sip->v2 ^= 0xff;
    for (unsigned i = 0; i < rounds; i++)
        sip_round(sip);
    return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

/* Up to eight bytes as the low end of a word. */
static uint64_t word_of(const uint8_t *at, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

uint64_t pal__n_siphash(const struct siphash_key *key, const void *bytes, size_t size)
{
    struct sip sip = sip_start(key);
    const uint8_t *at = bytes;
    size_t left = size;

    for (; left >= 8; left -= 8, at += 8)
        sip_take(&sip, word_of(at, 8), 2);
    sip_take(&sip, (uint64_t)size << 56 | word_of(at, left), 2);
    return sip_end(&sip, 4);
}

uint64_t pal__n_siphash_words(const struct siphash_key *key, const uint64_t *words, size_t count)
{
    struct sip sip = sip_start(key);

    for (size_t i = 0; i < count; i++)
        sip_take(&sip, words[i], 1);
    sip_take(&sip, (uint64_t)count << 59, 1); /* the size in bytes, in the last byte of the last word */
    return sip_end(&sip, 3);
}
