/* nic_faults.h: a nic in front of another that does to frames what networks do: loses, doubles, overtakes, damages,
 * cuts, delays and throttles them, and falls silent for a while.
 *
 * It works on what is received, or on what is sent; two of them do both. All that is random comes from one seed, so a
 * run can be repeated. It allocates when it is made only: frames that wait stand in a bounded queue. It has no
 * clock. */
#ifndef PAL__NETSTACK_NIC_FAULTS_H
#define PAL__NETSTACK_NIC_FAULTS_H

#include "nic.h"
#include "random.h"
#include <pal/os.h>

enum { FAULTS_WINDOWS_MAX = 8, FAULTS_ALL = 1000000 };

/* Each `_ppm` is how many frames of a million. */
struct faults_rates {
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t reorder_ppm;  /* held back, so that later ones overtake: reorder_ns at most */
    uint32_t corrupt_ppm;  /* bits of one 16-bit word flipped, which the internet checksum always tells */
    uint32_t truncate_ppm; /* cut anywhere, down to one byte */
    uint64_t reorder_ns;
    uint64_t delay_ns;
    uint64_t jitter_ns;   /* up to so much more; in order */
    uint64_t rate_bps;    /* bits per second; 0: no limit */
    uint32_t queue_bytes; /* that wait for it at most, else lost; 0: 65536 */
    uint32_t window_count;
    struct {
        uint64_t from_ns, to_ns; /* nothing gets through from then until then */
    } windows[FAULTS_WINDOWS_MAX];
};

enum {
    FAULTS_TRANSMIT = 1, /* on what is sent; else on what is received */
    FAULTS_CORRUPT_ALL =
        2 /* damages what has no checksum, too: ARP. Else only IPv4 and IPv6, behind the link's header */
};

struct faults_config {
    const struct pal_allocator *allocator; /* for create and destroy only */
    uint64_t seed;
    uint32_t held_max; /* frames that can wait: 512 */
    uint32_t flags;    /* FAULTS_* */
    struct faults_rates rates;
};

struct faults_counts {
    uint64_t passed; /* frames, duplicates included */
    uint64_t lost, duplicated, reordered, corrupted, truncated;
    uint64_t partitioned; /* lost in a window */
    uint64_t queue_full;  /* lost to the rate's limit */
    uint64_t held_full;   /* lost because too many waited */
    uint64_t no_frame;    /* not doubled for want of a frame */
};

struct nic_faults;

/* On `below`, which must outlive it. PAL_ENOMEM. */
int pal__n_faults_create(const struct faults_config *config, struct nic *below, struct nic_faults **out);

/* Frees what it holds. */
void pal__n_faults_destroy(struct nic_faults *faults);

struct nic *pal__n_faults_nic(struct nic_faults *faults);

/* Time, which does not go back. With FAULTS_TRANSMIT, what is due is sent. */
void pal__n_faults_set_time(struct nic_faults *faults, uint64_t now_ns);

/* When the first of the held frames is due; UINT64_MAX: none is held. */
uint64_t pal__n_faults_next(const struct nic_faults *faults);

/* Other rates, for frames that come from now on. */
void pal__n_faults_set(struct nic_faults *faults, const struct faults_rates *rates);

const struct faults_counts *pal__n_faults_counts(const struct nic_faults *faults);

/* The damage that corrupt_ppm is about, to a frame of the caller's. all: as FAULTS_CORRUPT_ALL. False: the frame has
 * nothing that may be damaged, and is as it was. */
bool pal__n_faults_damage(struct frame *frame, struct random *random, bool all);

#endif
