/* palio/sim/simulation.h: what the files of the test kit share. What it does for programs is in palio/sim.h. */
#ifndef PALIO_SIM_SIMULATION_H
#define PALIO_SIM_SIMULATION_H

#include <palio/core/error.h>
#include <palio/sim.h>

enum { PALIO__SIM_NAME_SIZE = 64 }; /* bytes of a host's name, with its terminator */

struct palio_sim_host {
    palio_sim_host *next;
    palio_sim *sim;
    int (*main)(void *arg);
    void *arg;
    uint32_t number; /* the simulator's */
    bool is_server;
    bool has_ended;                  /* its function has, since it last began */
    char name[PALIO__SIM_NAME_SIZE]; /* by which it knows itself; "" until it has begun */
    palio_error last_error;
};

struct palio__sim_action { /* of palio_sim_at */
    struct palio__sim_action *next;
    uint64_t at_ns; /* on PAL_CLOCK_MONOTONIC */
    void (*callback)(void *arg);
    void *arg;
};

struct palio_sim {
    palio_sim_host *first, *last;      /* in the order in which they were added */
    struct palio__sim_action *actions; /* by time, those of the same time in the order in which they were given */
    uint64_t begin_ns;                 /* on PAL_CLOCK_MONOTONIC */
    uint64_t stack_size, handles_before;
    uint32_t pulse; /* changes whenever palio_sim_run has to look up */
    bool runs, leftovers;
    struct palio__error_slot slot; /* while it runs */
    palio_error last_error;        /* of callbacks */
    palio_error failure; /* the first thing that could not be done: palio_sim_run fails with it. code 0: none */
};

/* What a sweep or an exploration has to do with the simulations that its test opens, and how the last one ended. Of the
 * process, as the simulated world is; used by whoever runs in it, one at a time. */
struct palio__sim_session {
    palio_sim *open; /* NULL: none */
    bool is_many;    /* a sweep or an exploration runs, which tells of failures itself */
    bool is_replay;  /* the environment says what to run: seeds are printed */
    /* Exploring, when depth is not 0: the choices that are given, and room for those that are made. */
    uint32_t depth, choice_count;
    const uint32_t *choices;
    struct pal_sim_choices made;
    /* Of this run of a test: how many simulations were opened and closed, and how the last one of them ended. */
    uint32_t opened, closed;
    bool was_told, was_tainted;
    uint64_t seed, trace_hash;
};
extern struct palio__sim_session palio__sim_session;

/* ---- simulation.c ---- */

/* Whether libpal-sim is linked. Refuses operation with PALIO_ENOTSUP if not. */
bool palio__sim_is_linked(const char *operation);

/* What every function says first: the simulation it is called with is not NULL, which on another backend it has to be.
 * 0; PALIO_ENOTSUP. */
int palio__sim_usable(const void *sim_or_host, const char *operation);

/* Keeps the first failure, which has just been recorded, for palio_sim_run. Returns code. */
int palio__sim_keep(palio_sim *sim, int code);

/* Of the simulation that is open, or the last one. */
struct pal_sim_state palio__sim_state(void);

/* The same faults in the simulator's own words. */
struct pal_sim_faults palio__sim_faults_of(const palio_sim_faults *faults);

/* ---- run.c ---- */

/* What the simulator runs as the process of a host, with its palio_sim_host. */
int32_t palio__sim_host_main(void *host);

/* Has palio_sim_run look up. */
void palio__sim_nudge(palio_sim *sim);

/* ---- replay.c ---- */

/* Many runs of a test begin: the report is wiped. 0; PALIO_ENOTSUP; PALIO_EBUSY: something runs already. */
int palio__sim_begin_many(palio_sim_report *report, const char *operation);
void palio__sim_end_many(void);

/* One run of a test: its code, or what is wrong with how it used the kit. Goes into the report. */
int palio__sim_run_test(palio_sim_test *test, uint64_t seed, void *arg, palio_sim_report *report,
                        const char *operation);

/* The number in a variable of the environment, 1 at least; *number is left alone where it is not set. PALIO_EINVAL. */
int palio__sim_number_from(const char *variable, uint64_t *number, const char *operation);

/* Prints the line that replays the last run, and puts it into the report; replay is what the environment is to have. */
void palio__sim_tell(const char *replay, palio_sim_report *report);

#endif
