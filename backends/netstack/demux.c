/* demux.c: the table of connections.
 *
 * A tuple may lie in either of two buckets, named by the two halves of its hash; it goes into the emptier one, which
 * keeps both short. What tells the ways of a bucket apart is a tag made of all 64 bits. If both are full, something in
 * one of them moves to its other bucket; with the table at most half full that happens about never. */
#include "demux.h"
#include "stack.h"

enum { DEMUX_LINE = 64, DEMUX_BUCKETS_MAX = 1 << 26 };

static size_t table_size(const struct demux *demux)
{
    return ((size_t)demux->mask + 1) * sizeof(struct demux_bucket);
}

bool pal__n_demux_create(struct demux *demux, const struct pal_allocator *allocator, uint32_t items_max,
                         struct siphash_key key)
{
    uint32_t buckets = 1;

    demux->buckets = NULL;
    demux->mask = 0;
    demux->count = 0;
    demux->key = key;
    while (buckets < DEMUX_BUCKETS_MAX && buckets < items_max / (DEMUX_WAYS / 2) + 1)
        buckets *= 2;
    if ((uint64_t)buckets * sizeof(struct demux_bucket) > SIZE_MAX / 2)
        return false;
    demux->mask = buckets - 1;
    demux->buckets = allocator->alloc(allocator->context, table_size(demux), DEMUX_LINE);
    if (demux->buckets == NULL)
        return false;
    memset(demux->buckets, 0, table_size(demux));
    return true;
}

void pal__n_demux_destroy(struct demux *demux, const struct pal_allocator *allocator)
{
    if (demux->buckets != NULL)
        allocator->free(allocator->context, demux->buckets, table_size(demux));
    demux->buckets = NULL;
    demux->mask = demux->count = 0;
}

/* Compilers make one load of it. */
static uint64_t load64(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

/* Of IPv4 only what differs is hashed. The number of words goes into the hash: neither form looks like the other. */
uint64_t pal__n_demux_hash(const struct demux *demux, const struct tuple *tuple)
{
    uint64_t words[5];
    size_t count = 0;

    words[count++] = (uint64_t)tuple->protocol << 32 | (uint32_t)tuple->local_port << 16 | tuple->remote_port;
    if (ip_is_v4(&tuple->local) && ip_is_v4(&tuple->remote)) {
        words[count++] = (uint64_t)ip_number(&tuple->local) << 32 | ip_number(&tuple->remote);
    } else {
        words[count++] = load64(tuple->remote.bytes + 8);
        words[count++] = load64(tuple->remote.bytes);
        words[count++] = load64(tuple->local.bytes + 8);
        words[count++] = load64(tuple->local.bytes);
    }
    return pal__n_siphash_words(&demux->key, words, count);
}

static struct demux_bucket *first_bucket(const struct demux *demux, uint64_t hash)
{
    return &demux->buckets[(uint32_t)hash & demux->mask];
}

static struct demux_bucket *second_bucket(const struct demux *demux, uint64_t hash)
{
    return &demux->buckets[(uint32_t)(hash >> 32) & demux->mask];
}

static uint32_t tag_of(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash ^ hash >> 32);

    return tag != 0 ? tag : 1;
}

/* Bit w set: way w has the tag. Without branches, so that it becomes a few vector instructions. */
static unsigned ways_with(const struct demux_bucket *bucket, uint32_t tag)
{
    unsigned ways = 0;

    for (unsigned way = 0; way < DEMUX_WAYS; way++)
        ways |= (unsigned)(bucket->tags[way] == tag) << way;
    return ways;
}

void pal__n_demux_prefetch(const struct demux *demux, uint64_t hash)
{
    __builtin_prefetch(first_bucket(demux, hash));
    __builtin_prefetch(second_bucket(demux, hash));
}

static uint32_t find_in(const struct netstack *stack, const struct demux_bucket *bucket, const struct tuple *tuple,
                        uint32_t tag)
{
    for (unsigned ways = ways_with(bucket, tag); ways != 0; ways &= ways - 1) {
        uint32_t index = bucket->indices[__builtin_ctz(ways)];

        if (tuple_equal(stack_tuple(stack, index), tuple))
            return index;
    }
    return DEMUX_NONE;
}

uint32_t pal__n_demux_find(const struct netstack *stack, const struct tuple *tuple, uint64_t hash)
{
    uint32_t tag = tag_of(hash);
    uint32_t index = find_in(stack, first_bucket(&stack->demux, hash), tuple, tag);

    return index != DEMUX_NONE ? index : find_in(stack, second_bucket(&stack->demux, hash), tuple, tag);
}

static bool put(struct demux_bucket *bucket, uint32_t tag, uint32_t index)
{
    unsigned free_ways = ways_with(bucket, 0);
    unsigned way;

    if (free_ways == 0)
        return false;
    way = (unsigned)__builtin_ctz(free_ways);
    bucket->tags[way] = tag;
    bucket->indices[way] = index;
    return true;
}

/* Moves something out of a full bucket to where it may lie as well. */
static bool make_room(struct netstack *stack, struct demux_bucket *bucket)
{
    struct demux *demux = &stack->demux;

    for (unsigned way = 0; way < DEMUX_WAYS; way++) {
        uint64_t hash = pal__n_demux_hash(demux, stack_tuple(stack, bucket->indices[way]));
        struct demux_bucket *other = first_bucket(demux, hash);

        if (other == bucket)
            other = second_bucket(demux, hash);
        if (other != bucket && put(other, bucket->tags[way], bucket->indices[way])) {
            bucket->tags[way] = 0;
            return true;
        }
    }
    return false;
}

bool pal__n_demux_insert(struct netstack *stack, const struct tuple *tuple, uint32_t index)
{
    struct demux *demux = &stack->demux;
    uint64_t hash = pal__n_demux_hash(demux, tuple);
    struct demux_bucket *first = first_bucket(demux, hash), *second = second_bucket(demux, hash);
    unsigned first_free = (unsigned)__builtin_popcount(ways_with(first, 0));
    unsigned second_free = (unsigned)__builtin_popcount(ways_with(second, 0));

    if (first_free == 0 && second_free == 0) {
        if (make_room(stack, first))
            first_free = 1;
        else if (!make_room(stack, second))
            return false;
    }
    if (!put(first_free >= second_free && first_free > 0 ? first : second, tag_of(hash), index))
        return false;
    demux->count++;
    return true;
}

/* Where the index of that tuple stands; it must be there. */
static struct demux_bucket *locate(struct demux *demux, const struct tuple *tuple, uint32_t index, unsigned *way)
{
    uint64_t hash = pal__n_demux_hash(demux, tuple);
    struct demux_bucket *buckets[2] = {first_bucket(demux, hash), second_bucket(demux, hash)};

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned ways = ways_with(buckets[i], tag_of(hash)); ways != 0; ways &= ways - 1) {
            *way = (unsigned)__builtin_ctz(ways);
            if (buckets[i]->indices[*way] == index)
                return buckets[i];
        }
    }
    return NULL;
}

void pal__n_demux_remove(struct netstack *stack, const struct tuple *tuple, uint32_t index)
{
    unsigned way = 0;
    struct demux_bucket *bucket = locate(&stack->demux, tuple, index, &way);

    BASE_ASSERT(bucket != NULL);
    bucket->tags[way] = 0;
    stack->demux.count--;
}

void pal__n_demux_replace(struct netstack *stack, const struct tuple *tuple, uint32_t from, uint32_t to)
{
    unsigned way = 0;
    struct demux_bucket *bucket = locate(&stack->demux, tuple, from, &way);

    BASE_ASSERT(bucket != NULL);
    bucket->indices[way] = to;
}
