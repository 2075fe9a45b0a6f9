/* spawn.h: what the two sides of a start have in common: the parent's (spawn.c), which checks and prepares everything,
 * and the child's (spawn_child.c), which carries it out, without the C library, until the program runs. */
#ifndef PAL__POSIX_SPAWN_H
#define PAL__POSIX_SPAWN_H

#include <pal/process.h>
#include <stdbool.h>
#include <stddef.h>

enum { SPAWN_STANDARD_FDS = 3, SPAWN_MOVES_MAX = PAL_SPAWN_FDS_MAX + SPAWN_STANDARD_FDS };

/* A descriptor of the child: a copy of from, which is -1 for the null device. No two have one number. */
struct spawn_move {
    int32_t from, number;
};

/* Where it went wrong: the index of the texts in spawn.c. */
enum spawn_step {
    STEP_RUNS, /* nowhere */
    STEP_KEEP_OUT,
    STEP_SESSION,
    STEP_GROUP,
    STEP_DIRECTORY,
    STEP_NULL_DEVICE,
    STEP_DESCRIPTOR,
    STEP_LIMIT,
    STEP_GROUPS,
    STEP_PRIMARY_GROUP,
    STEP_USER,
    STEP_PROGRAM,
    SPAWN_STEPS
};

struct spawn_report {
    int32_t step;  /* enum spawn_step */
    int32_t error; /* PAL_E* */
};

struct spawn_plan {
    const struct pal_spawn *spec;
    size_t size; /* of all this */
    const char *const *environment;
    struct spawn_move moves[SPAWN_MOVES_MAX];
    uint32_t move_count;
    bool has_handlers;          /* the child begins with the parent's signal handlers, and all signals blocked */
    uint64_t mask;              /* then: what the parent had blocked; bit n-1 is signal n */
    int report_fd;              /* where the report is to be written; -1: the parent sees the child's memory */
    struct spawn_report report; /* the child's */
    uint16_t lent_flags[PAL_SPAWN_FDS_MAX];  /* the parent's: flags that the slot of this entry had */
    _Alignas(64) unsigned char stack[16384]; /* the child's, where it shares the parent's memory */
    char programs[];                         /* to be tried in this order, each ended by NUL; an empty one ends them */
};

/* What a new process does: it becomes the program, or reports why not and ends. plan: struct spawn_plan. */
_Noreturn void pal__k_spawn_child(void *plan);

#endif
