/* demux.h: from the two addresses and ports of a packet to what it is for, in one look-up.
 *
 * One open-addressed table for connections, half-open connections, TIME-WAIT records and connected UDP sockets: buckets
 * of eight {tag, index} in one cache line, two choices of bucket, a keyed hash that nobody outside can aim at. Made
 * once, at most half full, never resized. */
#ifndef PAL__NETSTACK_DEMUX_H
#define PAL__NETSTACK_DEMUX_H

#include "addr.h"
#include "random.h"
#include <pal/os.h>

enum { DEMUX_WAYS = 8 };

/* What an index is of: its top bits. The rest is the index in the pool. */
enum demux_kind { DEMUX_TCB, DEMUX_EMBRYO, DEMUX_TIMEWAIT, DEMUX_UDP };
#define DEMUX_NONE UINT32_MAX

static inline uint32_t demux_index(enum demux_kind kind, uint32_t index)
{
    return (uint32_t)kind << 28 | index;
}

static inline enum demux_kind demux_kind_of(uint32_t index)
{
    return (enum demux_kind)(index >> 28);
}

static inline uint32_t demux_pool_index(uint32_t index)
{
    return index & 0x0fffffff;
}

struct demux_bucket {          /* 64 bytes */
    uint32_t tags[DEMUX_WAYS]; /* 0: empty */
    uint32_t indices[DEMUX_WAYS];
};

struct demux {
    struct demux_bucket *buckets;
    uint32_t mask; /* buckets - 1 */
    uint32_t count;
    struct siphash_key key;
};

struct netstack;

bool pal__n_demux_create(struct demux *demux, const struct pal_allocator *allocator, uint32_t items_max,
                         struct siphash_key key);
void pal__n_demux_destroy(struct demux *demux, const struct pal_allocator *allocator);

uint64_t pal__n_demux_hash(const struct demux *demux, const struct tuple *tuple);

/* Brings the buckets into the cache, for a burst. */
void pal__n_demux_prefetch(const struct demux *demux, uint64_t hash);

/* What has that tuple, or DEMUX_NONE. The tuple of an index is found through the stack's pools (stack.h). */
uint32_t pal__n_demux_find(const struct netstack *stack, const struct tuple *tuple, uint64_t hash);

/* False: both buckets are full. The tuple must not be there. */
bool pal__n_demux_insert(struct netstack *stack, const struct tuple *tuple, uint32_t index);
void pal__n_demux_remove(struct netstack *stack, const struct tuple *tuple, uint32_t index);
/* The same tuple, another object: TIME-WAIT takes the place of a connection, a connection that of an embryo. */
void pal__n_demux_replace(struct netstack *stack, const struct tuple *tuple, uint32_t from, uint32_t to);

#endif
