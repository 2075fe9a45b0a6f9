/* plan_words.h: the words that reading and writing a plan share: tables of them, hosts, and numbers
 * with units. */
#ifndef PAL__SIM_PLAN_WORDS_H
#define PAL__SIM_PLAN_WORDS_H

#include "plan.h"

/* A part of a text, not terminated. */
struct plan_piece {
    const char *data;
    size_t size;
};

enum plan_measure { MEASURE_SHARE, MEASURE_TIME, MEASURE_RATE }; /* in ppm, ns, bit/s */

/* How a fault is said, behind its word. */
enum fault_form {
    FORM_SHARE,   /* SHARE: uint32_t at `first` */
    FORM_STALL,   /* SHARE up to TIME: uint32_t, and uint64_t at `second` */
    FORM_LATENCY, /* TIME or TIME..TIME: two uint64_t */
    FORM_RATE,    /* RATE: uint64_t */
    FORM_REPEAT   /* every TIME for (or: by) TIME: two uint64_t */
};

struct fault_word {
    const char *name;
    enum fault_form form;
    size_t first, second; /* in struct pal_sim_faults */
    const char *join;     /* of FORM_REPEAT */
    bool of_frames;       /* a link may have it as well */
};

enum { FAULT_WORDS = 16 };
extern const struct fault_word pal__s_fault_words[FAULT_WORDS];

/* What is done at a time, and what is said behind its word. */
enum action_form {
    ACTION_PAIR, /* two hosts, one of which may be * */
    ACTION_HOST,
    ACTION_CLOCK, /* a host, and +TIME or -TIME */
    ACTION_FAULTS
};

struct action_word {
    const char *name;
    int key; /* of pal_ctl */
    enum action_form form;
};

enum { ACTION_WORDS = 8 };
extern const struct action_word pal__s_action_words[ACTION_WORDS];

/* What a table has at an offset. */
uint32_t *pal__s_fault_share(struct pal_sim_faults *faults, size_t offset);
uint64_t *pal__s_fault_number(struct pal_sim_faults *faults, size_t offset);

/* Between the two forms in which there are faults of frames; reserved is 0. */
void pal__s_link_of(const struct pal_sim_faults *faults, struct pal_sim_link *link);
void pal__s_faults_of(const struct pal_sim_link *link, struct pal_sim_faults *faults);

/* ---- hosts: plan_host.c ---- */

/* A host without addresses, and one address of it more, as "10.0.0.1" or "10.0.0.1/24", which is written to *addr too.
 * NULL, or what is wrong: static text. */
const char *pal__s_host_begin(struct plan_host *host, struct plan_piece name);
const char *pal__s_host_add(struct plan_host *host, struct plan_piece address, struct pal_addr *addr);

/* Is it one of the host's? Its port and prefix are no part of it. */
bool pal__s_host_has(const struct plan_host *host, const struct pal_addr *addr);

/* Without regard to case, as names of hosts are compared. */
bool pal__s_same_name(struct plan_piece piece, const char *name);

/* ---- words and numbers ---- */

bool pal__s_piece_is(struct plan_piece piece, const char *word);

/* Reads a whole piece: digits, perhaps a point and more of them, and a unit. least: 0, or 1 where 0 means nothing.
 * NULL, or what is wrong: static text. */
const char *pal__s_measure_read(struct plan_piece piece, enum plan_measure measure, uint64_t least, uint64_t *value);

/* In the largest unit in which it is a whole number, at out. Returns out. */
enum { MEASURE_SIZE = 32 };
char *pal__s_measure_write(uint64_t value, enum plan_measure measure, char out[MEASURE_SIZE]);

#endif
