/* checksum.c: the internet checksum, eight bytes a step (RFC 1071).
 *
 * One's complement addition is the same in either byte order but for a swap of the result, and the same in words of any
 * width but for folding: so the bytes are added as they lie in memory, 64 bits at a time with the carry brought round,
 * and what comes out is folded and swapped once. What is returned is a plain sum of 16-bit numbers in host order. */
#include "checksum.h"
#include "wire.h"

enum { WORD = 8, BLOCK = 4 * WORD };

static inline uint64_t load(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, WORD);
    return word;
}

static inline uint64_t add(uint64_t sum, uint64_t word)
{
    sum += word;
    return sum + (sum < word);
}

static inline uint64_t load32(const uint8_t *bytes)
{
    uint32_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

static inline uint64_t load16(const uint8_t *bytes)
{
    uint16_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* The sum of the last bytes, fewer than eight; a zero follows an odd one. By sizes that the compiler knows: headers of
 * 20 bytes come here for each packet. */
static inline uint64_t add_tail(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;

    if ((size & 4) != 0) {
        sum += load32(bytes);
        bytes += 4;
    }
    if ((size & 2) != 0) {
        sum += load16(bytes);
        bytes += 2;
    }
    if ((size & 1) != 0) {
        const uint8_t pair[2] = {*bytes, 0};

        sum += load16(pair);
    }
    return sum;
}

static inline void copy_tail(uint8_t *to, const uint8_t *from, size_t size)
{
    if ((size & 4) != 0) {
        memcpy(to, from, 4);
        to += 4;
        from += 4;
    }
    if ((size & 2) != 0) {
        memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if ((size & 1) != 0)
        *to = *from;
}

/* From 64 bits in memory's order to a sum in host order. */
static inline uint64_t finish(uint64_t sum)
{
    uint16_t folded = pal__n_checksum_fold(sum);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    folded = __builtin_bswap16(folded);
#endif
    return folded;
}

uint64_t pal__n_checksum_add(uint64_t sum, const uint8_t *bytes, size_t size)
{
    uint64_t first = 0, second = 0, third = 0, fourth = 0;

    /* Four sums, so that none waits for the carry of the one before. */
    for (; size >= BLOCK; size -= BLOCK, bytes += BLOCK) {
        first = add(first, load(bytes));
        second = add(second, load(bytes + WORD));
        third = add(third, load(bytes + 2 * WORD));
        fourth = add(fourth, load(bytes + 3 * WORD));
    }
    first = add(add(first, second), add(third, fourth));
    for (; size >= WORD; size -= WORD, bytes += WORD)
        first = add(first, load(bytes));
    return add(sum, finish(add(first, add_tail(bytes, size))));
}

uint64_t pal__n_checksum_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t size)
{
    uint64_t first = 0, second = 0, third = 0, fourth = 0;

    for (; size >= BLOCK; size -= BLOCK, from += BLOCK, to += BLOCK) {
        uint64_t words[4];

        memcpy(words, from, BLOCK);
        memcpy(to, words, BLOCK);
        first = add(first, words[0]);
        second = add(second, words[1]);
        third = add(third, words[2]);
        fourth = add(fourth, words[3]);
    }
    first = add(add(first, second), add(third, fourth));
    for (; size >= WORD; size -= WORD, from += WORD, to += WORD) {
        uint64_t word = load(from);

        memcpy(to, &word, WORD);
        first = add(first, word);
    }
    first = add(first, add_tail(from, size));
    copy_tail(to, from, size);
    return add(sum, finish(first));
}

uint64_t pal__n_checksum_pseudo(const struct ip *src, const struct ip *dst, uint8_t protocol, uint32_t size)
{
    uint64_t sum = (uint64_t)protocol + (size >> 16) + (size & 0xffff);

    if (ip_is_v4(src)) {
        uint64_t numbers = (uint64_t)ip_number(src) + ip_number(dst);

        /* 32-bit numbers in host order are two 16-bit ones. */
        return sum + (numbers >> 32) + (numbers >> 16 & 0xffff) + (numbers & 0xffff);
    }
    return pal__n_checksum_add(pal__n_checksum_add(sum, src->bytes, sizeof(src->bytes)), dst->bytes,
                               sizeof(dst->bytes));
}

uint16_t pal__n_checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
