/* nic_faults.c: a nic in front of another that does to frames what networks do.
 *
 * Every frame is judged once, when it comes: lost, or put into the queue of held frames with the time at which it goes
 * on. The queue is sorted by that time; most frames go to its end. */
#include "nic_faults.h"

#include "wire.h"
#include <palio/base/assertion.h>
#include <string.h>

enum { HELD_DEFAULT = 512, QUEUE_BYTES_DEFAULT = 65536, BURST = 32 };

struct held {
    struct frame *frame;
    uint64_t due_ns;
};

struct nic_faults {
    struct nic nic;
    struct nic *below;
    struct pal_allocator allocator;
    struct random random;
    struct faults_rates rates;
    struct faults_counts counts;
    struct held *held; /* a ring, sorted by due_ns, from `first` on */
    uint32_t held_max, first, count;
    uint32_t flags;
    uint64_t now_ns;
    uint64_t busy_ns;     /* until then the link that rate_bps is about is sending */
    uint64_t last_due_ns; /* jitter does not reorder */
};

static struct nic_faults *faults_of(struct nic *nic)
{
    return (struct nic_faults *)(void *)nic;
}

static bool strikes(struct nic_faults *faults, uint32_t ppm)
{
    return ppm != 0 && pal__n_random_below(&faults->random, FAULTS_ALL) < ppm;
}

/* 0 .. bound - 1, of any size; 0 if the bound is. */
static uint64_t random_ns(struct nic_faults *faults, uint64_t bound)
{
    return bound == 0 ? 0 : pal__n_random(&faults->random) % bound;
}

/* ---- damage ---- */

bool pal__n_faults_damage(struct frame *frame, struct random *random, bool all)
{
    uint32_t from = 0, words;
    uint32_t mask = 1 + pal__n_random_below(random, 0xfffe); /* not all 16: +0 and -0 are the same */
    uint8_t *at;

    if (!all) {
        uint16_t type = frame->size < ETH_SIZE ? 0 : get16(frame->data + ETH_TYPE);

        if (type != ETH_P_IP4 && type != ETH_P_IP6)
            return false;
        from = ETH_SIZE;
    }
    words = (frame->size - from) / 2;
    if (words == 0)
        return false;
    at = frame->data + from + (size_t)pal__n_random_below(random, words) * 2;
    put16(at, get16(at) ^ (pal__n_random_below(random, FAULTS_ALL) < FAULTS_ALL / 2 ? mask : 1U << mask % 16));
    frame->flags &= (uint16_t) ~(FRAME_CSUM_GOOD | FRAME_CSUM_BAD);
    return true;
}

static void corrupt(struct nic_faults *faults, struct frame *frame)
{
    bool all = (faults->flags & FAULTS_CORRUPT_ALL) != 0;

    faults->counts.corrupted += pal__n_faults_damage(frame, &faults->random, all);
}

static void cut(struct nic_faults *faults, struct frame *frame)
{
    if (frame->size < 2)
        return;
    frame->size = 1 + pal__n_random_below(&faults->random, frame->size - 1);
    frame->flags &= (uint16_t) ~(FRAME_CSUM_GOOD | FRAME_CSUM_BAD | FRAME_CSUM_NEEDED);
    faults->counts.truncated++;
}

/* NULL: there is no frame for it. */
static struct frame *copy_of(struct nic_faults *faults, const struct frame *frame)
{
    struct frame *copy = frame_alloc(faults->below);

    if (copy != NULL && frame->size > frame_tailroom(copy)) {
        frame_free(copy);
        copy = NULL;
    }
    if (copy == NULL) {
        faults->counts.no_frame++;
        return NULL;
    }
    memcpy(copy->data, frame->data, frame->size);
    copy->size = frame->size;
    copy->time_ns = frame->time_ns;
    copy->flags = frame->flags;
    copy->segment_size = frame->segment_size;
    copy->csum_start = frame->csum_start;
    copy->csum_offset = frame->csum_offset;
    faults->counts.duplicated++;
    return copy;
}

/* ---- the queue ---- */

static struct held *held_at(struct nic_faults *faults, uint32_t index)
{
    return &faults->held[(faults->first + index) % faults->held_max];
}

static void hold(struct nic_faults *faults, struct frame *frame, uint64_t due_ns)
{
    uint32_t index;

    if (faults->count == faults->held_max) {
        faults->counts.held_full++;
        frame_free(frame);
        return;
    }
    for (index = faults->count++; index > 0 && held_at(faults, index - 1)->due_ns > due_ns; index--)
        *held_at(faults, index) = *held_at(faults, index - 1);
    held_at(faults, index)->frame = frame;
    held_at(faults, index)->due_ns = due_ns;
}

static bool is_partitioned(const struct nic_faults *faults)
{
    for (uint32_t i = 0; i < faults->rates.window_count; i++)
        if (faults->now_ns >= faults->rates.windows[i].from_ns && faults->now_ns < faults->rates.windows[i].to_ns)
            return true;
    return false;
}

/* Time for the bits of a frame; false: too much waits already. */
static bool throttle(struct nic_faults *faults, uint32_t size, uint64_t *due_ns)
{
    const struct faults_rates *rates = &faults->rates;
    uint64_t limit = rates->queue_bytes == 0 ? QUEUE_BYTES_DEFAULT : rates->queue_bytes;

    if (rates->rate_bps == 0)
        return true;
    if (faults->busy_ns < faults->now_ns)
        faults->busy_ns = faults->now_ns;
    if (faults->busy_ns - faults->now_ns > limit * 8 * 1000000000 / rates->rate_bps)
        return false;
    faults->busy_ns += (uint64_t)size * 8 * 1000000000 / rates->rate_bps;
    *due_ns = faults->busy_ns;
    return true;
}

/* When an undamaged frame of that size goes on; UINT64_MAX: never. */
static uint64_t schedule(struct nic_faults *faults, uint32_t size)
{
    const struct faults_rates *rates = &faults->rates;
    uint64_t due_ns = faults->now_ns;

    if (is_partitioned(faults)) {
        faults->counts.partitioned++;
        return UINT64_MAX;
    }
    if (strikes(faults, rates->loss_ppm)) {
        faults->counts.lost++;
        return UINT64_MAX;
    }
    if (!throttle(faults, size, &due_ns)) {
        faults->counts.queue_full++;
        return UINT64_MAX;
    }
    due_ns += rates->delay_ns + random_ns(faults, rates->jitter_ns);
    if (due_ns < faults->last_due_ns)
        due_ns = faults->last_due_ns;
    faults->last_due_ns = due_ns;
    if (strikes(faults, rates->reorder_ppm)) {
        faults->counts.reordered++;
        due_ns += 1 + random_ns(faults, rates->reorder_ns);
    }
    return due_ns;
}

/* Takes a frame that has come. */
static void judge(struct nic_faults *faults, struct frame *frame)
{
    uint64_t due_ns = schedule(faults, frame->size);

    if (due_ns == UINT64_MAX) {
        frame_free(frame);
        return;
    }
    if (strikes(faults, faults->rates.duplicate_ppm)) {
        struct frame *copy = copy_of(faults, frame);

        if (copy != NULL)
            hold(faults, copy, due_ns + random_ns(faults, faults->rates.reorder_ns));
    }
    if (strikes(faults, faults->rates.corrupt_ppm))
        corrupt(faults, frame);
    if (strikes(faults, faults->rates.truncate_ppm))
        cut(faults, frame);
    hold(faults, frame, due_ns);
}

/* The first frame if it is due, or NULL. */
static struct frame *first_due(struct nic_faults *faults)
{
    return faults->count > 0 && held_at(faults, 0)->due_ns <= faults->now_ns ? held_at(faults, 0)->frame : NULL;
}

static void remove_first(struct nic_faults *faults)
{
    faults->first = (faults->first + 1) % faults->held_max;
    faults->count--;
}

/* What is due, to the nic below, as far as that takes it. */
static void send_due(struct nic_faults *faults)
{
    struct frame *frame;

    while ((frame = first_due(faults)) != NULL && faults->below->ops->tx(faults->below, &frame, 1) == 1) {
        remove_first(faults);
        faults->counts.passed++;
    }
}

/* ---- a nic ---- */

static int faults_rx(struct nic *nic, struct frame **frames, int max)
{
    struct nic_faults *faults = faults_of(nic);
    struct frame *burst[BURST];
    int count = 0, taken;

    if (faults->flags & FAULTS_TRANSMIT)
        return faults->below->ops->rx(faults->below, frames, max);
    do {
        taken = faults->below->ops->rx(faults->below, burst, BURST);
        for (int i = 0; i < taken; i++)
            judge(faults, burst[i]);
    } while (taken == BURST);
    while (count < max && (frames[count] = first_due(faults)) != NULL) {
        if (faults->now_ns != 0)
            frames[count]->time_ns = held_at(faults, 0)->due_ns;
        count++;
        remove_first(faults);
        faults->counts.passed++;
    }
    return count;
}

static int faults_tx(struct nic *nic, struct frame **frames, int count)
{
    struct nic_faults *faults = faults_of(nic);

    if ((faults->flags & FAULTS_TRANSMIT) == 0)
        return faults->below->ops->tx(faults->below, frames, count);
    for (int i = 0; i < count; i++)
        judge(faults, frames[i]);
    send_due(faults);
    return count;
}

static struct frame *faults_alloc(struct nic *nic)
{
    return frame_alloc(faults_of(nic)->below);
}

static void faults_free(struct nic *nic, struct frame *frame)
{
    (void)nic; /* frames are the nic's below, whose free is called: this one never is */
    frame_free(frame);
}

static void faults_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct nic_faults *faults = (const struct nic_faults *)(const void *)nic;

    faults->below->ops->caps(faults->below, out);
    if (faults->flags & FAULTS_TRANSMIT) /* or damage would get a good checksum, and several segments one fate */
        out->flags &= ~(uint32_t)(NIC_TX_CHECKSUM | NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6);
}

static void faults_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct nic *below = faults_of(nic)->below;

    below->ops->filter(below, macs, count);
}

static const struct nic_ops faults_ops = {faults_rx, faults_tx, faults_alloc, faults_free, faults_caps, faults_filter};

/* ---- made and ended ---- */

int pal__n_faults_create(const struct faults_config *config, struct nic *below, struct nic_faults **out)
{
    const struct pal_allocator *allocator = config->allocator;
    struct nic_faults *faults = allocator->alloc(allocator->context, sizeof(*faults), 8);
    uint32_t held_max = config->held_max == 0 ? HELD_DEFAULT : config->held_max;

    if (faults == NULL)
        return PAL_ENOMEM;
    memset(faults, 0, sizeof(*faults));
    faults->held = allocator->alloc(allocator->context, held_max * sizeof(*faults->held), 8);
    if (faults->held == NULL) {
        allocator->free(allocator->context, faults, sizeof(*faults));
        return PAL_ENOMEM;
    }
    faults->nic.ops = &faults_ops;
    faults->below = below;
    faults->allocator = *allocator;
    faults->held_max = held_max;
    faults->flags = config->flags;
    pal__n_random_seed(&faults->random, config->seed);
    pal__n_faults_set(faults, &config->rates);
    *out = faults;
    return 0;
}

void pal__n_faults_destroy(struct nic_faults *faults)
{
    struct pal_allocator allocator = faults->allocator;

    for (; faults->count > 0; remove_first(faults))
        frame_free(held_at(faults, 0)->frame);
    allocator.free(allocator.context, faults->held, faults->held_max * sizeof(*faults->held));
    allocator.free(allocator.context, faults, sizeof(*faults));
}

struct nic *pal__n_faults_nic(struct nic_faults *faults)
{
    return &faults->nic;
}

void pal__n_faults_set_time(struct nic_faults *faults, uint64_t now_ns)
{
    BASE_ASSERT(now_ns >= faults->now_ns);
    faults->now_ns = now_ns;
    if (faults->flags & FAULTS_TRANSMIT)
        send_due(faults);
}

uint64_t pal__n_faults_next(const struct nic_faults *faults)
{
    return faults->count == 0 ? UINT64_MAX : faults->held[faults->first].due_ns;
}

void pal__n_faults_set(struct nic_faults *faults, const struct faults_rates *rates)
{
    BASE_ASSERT(rates->window_count <= FAULTS_WINDOWS_MAX);
    faults->rates = *rates;
}

const struct faults_counts *pal__n_faults_counts(const struct nic_faults *faults)
{
    return &faults->counts;
}
