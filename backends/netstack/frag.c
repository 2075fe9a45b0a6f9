/* frag.c: fragments put together, of both versions (RFC 791 3.2, RFC 815, RFC 8200 4.5, RFC 5722). How packets are
 * cut up is in frag_out.c.
 *
 * A set keeps the fragments of one datagram, highest offset first, so that one that comes in order costs one compare
 * and the worst costs FRAG_PIECES_MAX. Whatever contradicts what is there (an overlap that is no exact duplicate, a
 * second end) kills the set: it keeps nothing but its name for the rest of its time, and what still comes of the
 * datagram is dropped. Sets and frames are bounded in all and for each source, to a quarter (at least one): who sends
 * more loses his own oldest set; when all are used up the oldest of anybody goes (CVE-2018-5391), dead ones first. */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

enum { FRAG_BUCKETS = 256 };

/* Who sends: what he uses up. */
struct frag_source {
    struct base_link hash_link;
    struct base_list live, dead; /* struct frag_set by source_link, oldest first */
    struct ip ip;
    uint32_t set_count, frame_count;
};

/* What names a datagram. IPv6 does not count the protocol (RFC 8200 4.5): 0. */
struct frag_key {
    struct ip src, dst;
    uint32_t id;
    uint32_t scope; /* interface index if an address means nothing without, a group's included; else 0 */
    uint8_t protocol;
};

struct frag_set {
    struct base_link hash_link, age_link, source_link;
    struct frag_source *source;
    struct timer timer; /* TIMER_FRAG: armed once, by the first to come */
    struct frag_key key;
    struct packet first;  /* that of offset 0, if pieces has it */
    struct frame *pieces; /* highest offset first, disjoint; seq, end: bytes from .. to */
    uint32_t piece_count;
    uint32_t received; /* bytes in pieces */
    uint32_t total;    /* bytes of the datagram; 0: the last fragment has not come */
    uint8_t marks;     /* bit n: a fragment had the ECN mark n (RFC 3168 5.3) */
    uint8_t flags;     /* PACKET_* of all */
    bool is_dead;
};

struct frag_table {
    struct pool sets, sources;
    struct base_list set_buckets[FRAG_BUCKETS], source_buckets[FRAG_BUCKETS];
    struct base_list live, dead; /* struct frag_set by age_link, oldest first */
    uint32_t frame_count, frames_max;
    uint32_t source_sets_max, source_frames_max;
};

bool pal__n_frag_create(struct netstack *stack)
{
    const struct netstack_config *config = &stack->config;
    const struct pal_allocator *allocator = config->allocator;
    struct frag_table *table = allocator->alloc(allocator->context, sizeof(*table), _Alignof(struct frag_table));

    if (table == NULL)
        return false;
    memset(table, 0, sizeof(*table));
    stack->frags = table;
    for (unsigned i = 0; i < FRAG_BUCKETS; i++) {
        base_list_init(&table->set_buckets[i]);
        base_list_init(&table->source_buckets[i]);
    }
    base_list_init(&table->live);
    base_list_init(&table->dead);
    table->frames_max = config->frag_frames_max;
    table->source_sets_max = config->frag_sets_max < 4 ? 1 : config->frag_sets_max / 4;
    table->source_frames_max = config->frag_frames_max < 4 ? 1 : config->frag_frames_max / 4;
    if (pal__n_pool_create(&table->sets, allocator, config->frag_sets_max, sizeof(struct frag_set)) &&
        pal__n_pool_create(&table->sources, allocator, config->frag_sets_max, sizeof(struct frag_source)))
        return true;
    pal__n_frag_destroy(stack);
    return false;
}

uint32_t pal__n_frag_sets_used(const struct netstack *stack)
{
    return stack->frags->sets.used;
}

uint32_t pal__n_frag_frames_used(const struct netstack *stack)
{
    return stack->frags->frame_count;
}

/* ---- sets and sources ---- */

static struct base_list *set_bucket(struct netstack *stack, const struct frag_key *key)
{
    uint64_t words[6];

    memcpy(words, key->src.bytes, 16);
    memcpy(words + 2, key->dst.bytes, 16);
    words[4] = (uint64_t)key->id << 32 | key->scope;
    words[5] = key->protocol;
    return &stack->frags->set_buckets[pal__n_siphash_words(&stack->hash_key, words, 6) % FRAG_BUCKETS];
}

static struct base_list *source_bucket(struct netstack *stack, const struct ip *ip)
{
    uint64_t words[2];

    memcpy(words, ip->bytes, sizeof(words));
    return &stack->frags->source_buckets[pal__n_siphash_words(&stack->hash_key, words, 2) % FRAG_BUCKETS];
}

static bool key_equal(const struct frag_key *left, const struct frag_key *right)
{
    return left->id == right->id && left->protocol == right->protocol && left->scope == right->scope &&
           ip_equal(&left->src, &right->src) && ip_equal(&left->dst, &right->dst);
}

static struct frag_set *find_set(struct netstack *stack, const struct frag_key *key)
{
    BASE_LIST_EACH(link, set_bucket(stack, key))
    {
        struct frag_set *set = BASE_CONTAINER_OF(link, struct frag_set, hash_link);

        if (key_equal(&set->key, key))
            return set;
    }
    return NULL;
}

static struct frag_source *find_source(struct netstack *stack, const struct ip *ip)
{
    BASE_LIST_EACH(link, source_bucket(stack, ip))
    {
        struct frag_source *source = BASE_CONTAINER_OF(link, struct frag_source, hash_link);

        if (ip_equal(&source->ip, ip))
            return source;
    }
    return NULL;
}

static struct frag_set *set_of_age(struct base_link *link)
{
    return link == NULL ? NULL : BASE_CONTAINER_OF(link, struct frag_set, age_link);
}

static struct frag_set *set_of_source(struct base_link *link)
{
    return link == NULL ? NULL : BASE_CONTAINER_OF(link, struct frag_set, source_link);
}

static void free_pieces(struct netstack *stack, struct frag_set *set)
{
    struct frame *frame = set->pieces, *next;

    for (; frame != NULL; frame = next) {
        next = frame->next;
        frame_free(frame);
    }
    set->pieces = NULL;
    stack->frags->frame_count -= set->piece_count;
    set->source->frame_count -= set->piece_count;
    set->piece_count = 0;
}

static void free_set(struct netstack *stack, struct frag_set *set)
{
    struct frag_table *table = stack->frags;
    struct frag_source *source = set->source;

    free_pieces(stack, set);
    pal__n_timer_stop(stack, &set->timer);
    base_list_remove(&set->hash_link);
    base_list_remove(&set->age_link);
    base_list_remove(&set->source_link);
    pool_give(&table->sets, set);
    if (--source->set_count > 0)
        return;
    base_list_remove(&source->hash_link);
    pool_give(&table->sources, source);
}

/* Keeps its name only. */
static void kill_set(struct netstack *stack, struct frag_set *set)
{
    free_pieces(stack, set);
    set->is_dead = true;
    base_list_remove(&set->age_link);
    base_list_remove(&set->source_link);
    base_list_push_back(&stack->frags->dead, &set->age_link);
    base_list_push_back(&set->source->dead, &set->source_link);
}

void pal__n_frag_destroy(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;
    struct frag_table *table = stack->frags;
    struct frag_set *set;

    if (table == NULL)
        return;
    while ((set = set_of_age(base_list_first(&table->live))) != NULL ||
           (set = set_of_age(base_list_first(&table->dead))) != NULL)
        free_set(stack, set);
    pal__n_pool_destroy(&table->sets, allocator);
    pal__n_pool_destroy(&table->sources, allocator);
    allocator->free(allocator->context, table, sizeof(*table));
    stack->frags = NULL;
}

static void evict(struct netstack *stack, struct frag_set *set)
{
    count(stack, COUNTER_frag_drop_limit);
    free_set(stack, set);
}

static struct frag_source *get_source(struct netstack *stack, const struct ip *ip)
{
    struct frag_source *source = find_source(stack, ip);

    if (source != NULL)
        return source;
    source = pool_take(&stack->frags->sources); /* there are as many as sets */
    BASE_ASSERT(source != NULL);
    memset(source, 0, sizeof(*source));
    source->ip = *ip;
    base_list_init(&source->live);
    base_list_init(&source->dead);
    base_list_push_back(source_bucket(stack, ip), &source->hash_link);
    return source;
}

/* Always succeeds: others make room. */
static struct frag_set *make_set(struct netstack *stack, const struct frag_key *key)
{
    struct frag_table *table = stack->frags;
    struct frag_source *source = find_source(stack, &key->src);
    struct frag_set *set;

    if (source != NULL && source->set_count >= table->source_sets_max) {
        set = set_of_source(base_list_first(&source->dead));
        evict(stack, set != NULL ? set : set_of_source(base_list_first(&source->live)));
    }
    if (pool_room(&table->sets) == 0) {
        set = set_of_age(base_list_first(&table->dead));
        evict(stack, set != NULL ? set : set_of_age(base_list_first(&table->live)));
    }
    set = pool_take(&table->sets);
    BASE_ASSERT(set != NULL);
    memset(set, 0, sizeof(*set));
    set->key = *key;
    set->source = get_source(stack, &key->src);
    set->source->set_count++;
    timer_init(&set->timer, TIMER_FRAG);
    pal__n_timer_set(stack, &set->timer, stack->now_ns + stack->config.frag_timeout_ns);
    base_list_push_back(set_bucket(stack, key), &set->hash_link);
    base_list_push_back(&table->live, &set->age_link);
    base_list_push_back(&set->source->live, &set->source_link);
    return set;
}

/* For one more frame of set, at the cost of others: first of the same source. False: there are no others. */
static bool make_frame_room(struct netstack *stack, struct frag_set *set)
{
    struct frag_table *table = stack->frags;

    while (set->source->frame_count >= table->source_frames_max) {
        struct base_link *link = set->source->live.head.next;

        if (link == &set->source_link)
            link = link->next;
        if (link == &set->source->live.head)
            return false;
        evict(stack, set_of_source(link));
    }
    while (table->frame_count >= table->frames_max) {
        struct base_link *link = table->live.head.next;

        if (link == &set->age_link)
            link = link->next;
        if (link == &table->live.head)
            return false;
        evict(stack, set_of_age(link));
    }
    return true;
}

/* Gives up a set that is incomplete after its time (RFC 1122 3.3.2, RFC 8200 4.5); its sender is told if the
 * beginning is there to quote. */
void pal__n_frag_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct frag_set *set = BASE_CONTAINER_OF(timer, struct frag_set, timer);

    (void)due_ns;
    if (!set->is_dead) {
        count(stack, COUNTER_frag_timeout);
        if (set->first.frame != NULL && ip_is_v4(&set->key.src))
            pal__n_icmp_time_exceeded(stack, &set->first, ICMP_EXCEEDED_REASSEMBLY);
        else if (set->first.frame != NULL)
            pal__n_icmp6_error(stack, &set->first, ICMP6_TIME_EXCEEDED, ICMP_EXCEEDED_REASSEMBLY, 0);
    }
    free_set(stack, set);
}

/* ---- in ---- */

/* Lengths that a fragment can have. Of IPv4 the smallest attacks as well (RFC 1858, RFC 3128): a first fragment must
 * show TCP's flags or UDP's header, and no other may lie where the flags are. */
static bool is_possible(const struct packet *packet, uint32_t offset, bool more)
{
    enum { TCP_SHOWN_MIN = 16 };
    uint32_t size = packet->frame->size, header_size = packet->header_size;

    if (size == 0 || (more && size % FRAG_UNIT != 0))
        return false;
    if (!ip_is_v4(&packet->src))
        return header_size - IP6_SIZE + offset + size <= IP_SIZE_MAX;
    if (header_size + offset + size > IP_SIZE_MAX)
        return false;
    if (packet->protocol == PAL_IPPROTO_TCP)
        return offset != FRAG_UNIT && (offset != 0 || size >= TCP_SHOWN_MIN);
    return true;
}

enum insertion { INSERTED, DUPLICATE, CONFLICT };

/* Is what a fragment says of the end of the datagram true of all that is there? */
static bool end_agrees(struct frag_set *set, uint32_t end, bool more)
{
    uint32_t reached = set->pieces == NULL ? 0 : set->pieces->end;

    if (set->total != 0)
        return more ? end < set->total : end == set->total;
    if (!more && reached >= end)
        return false;
    if (!more)
        set->total = end;
    return true;
}

/* frame: seq and end are set. Takes it if it is INSERTED. */
static enum insertion insert(struct frag_set *set, struct frame *frame, bool more)
{
    struct frame **at = &set->pieces, *above = NULL, *below;

    if (!end_agrees(set, frame->end, more))
        return CONFLICT;
    while (*at != NULL && (*at)->seq > frame->seq) {
        above = *at;
        at = &above->next;
    }
    below = *at;
    if (below != NULL && below->seq == frame->seq && below->end == frame->end)
        return memcmp(below->data, frame->data, frame->size) == 0 ? DUPLICATE : CONFLICT;
    if ((below != NULL && below->end > frame->seq) || (above != NULL && above->seq < frame->end))
        return CONFLICT;
    frame->next = below;
    *at = frame;
    set->received += frame->size;
    set->piece_count++;
    return INSERTED;
}

/* The header of the first fragment becomes that of the whole: its length, and a fragment of nothing. */
static void mend_header(uint8_t *at, const struct packet *first, uint32_t size)
{
    if (!ip_is_v4(&first->src)) {
        put16(at + IP6_PAYLOAD, first->header_size - IP6_SIZE + size);
        at[first->protocol_offset] = first->protocol;
        return;
    }
    put16(at + IP4_TOTAL, first->header_size + size);
    put16(at + IP4_FRAGMENT, get16(at + IP4_FRAGMENT) & IP4_DF);
    put16(at + IP4_CHECKSUM, 0);
    put16(at + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, at, first->header_size)));
}

/* All pieces into one frame, behind the header of the first. NULL: no frame, or too much for one. */
static struct frame *join(struct netstack *stack, const struct frag_set *set)
{
    uint32_t header_size = set->first.header_size, in_front = FRAME_HEADROOM;
    struct frame *frame = pal__n_big_frame(stack);

    if (frame == NULL)
        return NULL;
    while (in_front < header_size)
        in_front += FRAG_UNIT;
    if (in_front + set->total > frame->memory_size ||
        header_size - (ip_is_v4(&set->key.src) ? 0 : IP6_SIZE) + set->total > IP_SIZE_MAX) {
        drop(stack, frame, COUNTER_frag_drop_invalid);
        return NULL;
    }
    frame->data = frame->memory + in_front;
    frame->size = set->total;
    frame->time_ns = set->pieces->time_ns;
    for (const struct frame *piece = set->pieces; piece != NULL; piece = piece->next) {
        memcpy(frame->data + piece->seq, piece->data, piece->size);
        if (piece->time_ns > frame->time_ns)
            frame->time_ns = piece->time_ns;
    }
    memcpy(frame->data - header_size, set->first.header, header_size);
    mend_header(frame->data - header_size, &set->first, set->total);
    return frame;
}

/* The set is complete: *packet becomes the datagram. */
static bool finish_set(struct netstack *stack, struct frag_set *set, struct packet *packet)
{
    enum { NOT_ECT = 1 << 0, CE = 1 << 3 };
    struct frame *frame = NULL;

    if ((set->marks & (NOT_ECT | CE)) == (NOT_ECT | CE)) /* RFC 3168 5.3 */
        count(stack, COUNTER_frag_drop_invalid);
    else
        frame = join(stack, set);
    if (frame == NULL) {
        free_set(stack, set);
        return false;
    }
    *packet = set->first;
    packet->frame = frame;
    packet->header = frame->data - packet->header_size;
    packet->flags = (uint8_t)((set->flags & ~PACKET_CSUM_GOOD) | PACKET_REASSEMBLED);
    if ((set->marks & CE) != 0)
        packet->tos |= 3;
    count(stack, COUNTER_frag_done);
    free_set(stack, set);
    return true;
}

static struct frag_key key_of(const struct packet *packet, uint32_t id)
{
    struct frag_key key = {.src = packet->src, .dst = packet->dst, .id = id};

    if (ip_is_v4(&packet->src))
        key.protocol = packet->protocol;
    if (ip_needs_scope(&packet->src) || (packet->flags & (PACKET_MULTICAST | PACKET_BROADCAST)) != 0)
        key.scope = packet->iface->index;
    return key;
}

/* The set that the fragment belongs to, with room for it; NULL: it has been dropped. */
static struct frag_set *set_for(struct netstack *stack, const struct frag_key *key, struct frame *frame)
{
    struct frag_set *set = find_set(stack, key);

    if (set == NULL)
        set = make_set(stack, key);
    if (set->is_dead) {
        drop(stack, frame, COUNTER_frag_drop_late);
        return NULL;
    }
    if (set->piece_count == FRAG_PIECES_MAX || !make_frame_room(stack, set)) {
        kill_set(stack, set);
        drop(stack, frame, COUNTER_frag_drop_limit);
        return NULL;
    }
    return set;
}

bool pal__n_frag_in(struct netstack *stack, struct packet *packet, uint32_t id, uint32_t offset, bool more)
{
    struct frag_key key = key_of(packet, id);
    struct frame *frame = packet->frame;
    struct frag_set *set;
    enum insertion insertion;

    count(stack, COUNTER_frag_in);
    if (!is_possible(packet, offset, more)) {
        drop(stack, frame, COUNTER_frag_drop_invalid);
        return false;
    }
    set = set_for(stack, &key, frame);
    if (set == NULL)
        return false;
    frame->seq = offset;
    frame->end = offset + frame->size;
    insertion = insert(set, frame, more);
    if (insertion != INSERTED) {
        if (insertion == CONFLICT)
            kill_set(stack, set);
        drop(stack, frame, insertion == CONFLICT ? COUNTER_frag_drop_overlap : COUNTER_frag_duplicate);
        return false;
    }
    stack->frags->frame_count++;
    set->source->frame_count++;
    set->marks |= (uint8_t)(1U << (packet->tos & 3));
    set->flags |= packet->flags;
    if (offset == 0)
        set->first = *packet;
    return set->received == set->total && finish_set(stack, set, packet);
}
