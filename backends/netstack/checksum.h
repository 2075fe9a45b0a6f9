/* checksum.h: the internet checksum (RFC 1071), over bytes and together with copying them.
 *
 * A sum is partial and 64 bits wide until pal__n_checksum_fold makes the 16 bits of it that stand in a header. It is
 * one of 16-bit numbers in host order: what get16 reads may be added to it as it is. Parts are added in any order if
 * each but the last has an even number of bytes. */
#ifndef PAL__NETSTACK_CHECKSUM_H
#define PAL__NETSTACK_CHECKSUM_H

#include "addr.h"
#include <stddef.h>
#include <stdint.h>

/* sum plus that of size bytes, which may be unaligned. */
uint64_t pal__n_checksum_add(uint64_t sum, const uint8_t *bytes, size_t size);

/* The same while copying them to `to`. */
uint64_t pal__n_checksum_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t size);

/* Of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 3.1, RFC 8200 8.1); src and dst of the same version. */
uint64_t pal__n_checksum_pseudo(const struct ip *src, const struct ip *dst, uint8_t protocol, uint32_t size);

/* The 16 bits, in host order, whose complement goes into the header by put16; 0xffff over what was received with its
 * checksum in place: it is right. */
uint16_t pal__n_checksum_fold(uint64_t sum);

/* What belongs into a header: the complement of the fold. */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~pal__n_checksum_fold(sum);
}

#endif
