/* palio/sim.h: the test kit of the simulator: hosts that run your programs, their network, its faults, and replay.
 *
 * A simulation is a set of hosts, each with one function of yours as its process, on one network and one virtual clock
 * (docs/simulator.md). All that is left to chance comes from one seed: the same seed and program give the same run, on
 * every CPU. Link your program, this library and libpal-sim; on any other backend every function here that can fail is
 * PALIO_ENOTSUP, and says so.
 *
 *     static int test(uint64_t seed, void *arg)
 *     {
 *         palio_sim_options options = {.seed = seed, .swarm = true};
 *         palio_sim *sim;
 *         int code = palio_sim_open(&sim, &options);
 *         if (code < 0)
 *             return code;
 *         palio_sim_add_server(sim, NULL, "server", "10.0.0.1", server_main, arg);
 *         palio_sim_add_host(sim, NULL, "client", "10.0.0.2", client_main, arg);
 *         code = palio_sim_check(sim, palio_sim_run(sim, PALIO_MINUTE));
 *         int left = palio_sim_close(sim);
 *         return code < 0 ? code : left;
 *     }
 *     ... palio_sim_sweep(test, arg, NULL, NULL) runs it with a thousand seeds.
 *
 * Times are virtual nanoseconds; at_ns counts from palio_sim_open. Functions that return int give 0 or PALIO_E*. A test
 * need not look at each of them: what could not be done makes palio_sim_run fail. There is one simulation at a time, of
 * the program's main thread; hosts' functions and callbacks may call what is here as well, but open, run, close, sweep
 * and explore. */
#ifndef PALIO_SIM_H
#define PALIO_SIM_H

#include <pal/sim.h>
#include <palio/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct palio_sim palio_sim;           /* from open to close */
typedef struct palio_sim_host palio_sim_host; /* the simulation's: it ends with it */

/* What goes wrong. All zero: nothing does, and a frame takes 50 us. Probabilities are parts per million, as integers
 * replay alike everywhere. */
typedef struct palio_sim_faults {
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm; /* of frames; corrupt: so that a checksum tells */
    uint32_t short_io_ppm;  /* of calls that receive or send: they move fewer bytes than they could */
    uint32_t again_ppm;     /* of calls that receive, send or accept: PALIO_EAGAIN though it was not so */
    uint32_t no_memory_ppm; /* of calls that open, accept or send: PALIO_ENOBUFS */
    uint32_t no_handle_ppm; /* of calls that open or accept: PALIO_EMFILE */
    uint32_t reset_ppm;     /* of calls that send or receive on a connection: it is reset */
    uint32_t stall_ppm;     /* of returns from a wait: it comes late, by up to stall_max_ns */
    uint64_t stall_max_ns;
    uint64_t latency_min_ns, latency_max_ns; /* both 0: 50 us */
    uint64_t bandwidth_bits_s;               /* of each host's cable, each way; 0: unlimited */
    /* On the average so often, somewhere, and for so long: up to twice that. every 0: never. */
    uint64_t cut_every_ns, cut_for_ns;     /* one host is cut off from all others */
    uint64_t pause_every_ns, pause_for_ns; /* one host stands still */
    uint64_t crash_every_ns, crash_for_ns; /* one host crashes, and starts again after that */
    uint64_t clock_every_ns, clock_max_ns; /* one host's wall clock jumps, either way, by up to clock_max_ns */
    uint64_t reserved[4];
} palio_sim_faults;

typedef struct palio_sim_options {
    uint64_t seed;           /* 0: PALIO_SIM_SEED of the environment, or else a fresh one */
    palio_sim_faults faults; /* from the beginning on; palio_sim_set_faults changes them */
    const char *text;        /* hosts, links, faults, and what happens when (docs/simulator.md); NULL: none */
    const char *pcap_path;   /* a capture of all cables is written there; NULL: that of PALIO_SIM_PCAP, or none */
    uint64_t stack_size;     /* bytes, of a host's function; 0: 256 KiB */
    bool swarm;        /* faults are drawn from the seed, kind by kind, most of them off; those above are not read */
    bool quiet;        /* does not print the seed; a sweep prints only the one that fails */
    bool virtual_pace; /* time does not wait for what comes from outside: signals, children, terminals */
    bool leftovers;    /* close does not count what hosts left open */
    uint64_t reserved[8];
} palio_sim_options;

/* What palio_sim_open calls; for bindings. assertions: PAL_SIM_ASSERTED of the program. */
int palio_sim_open_with(palio_sim **sim, const palio_sim_options *options, uint32_t assertions);

/* Begins a simulation; options NULL is all defaults. It is to be closed. After an error *sim is NULL. PALIO_ENOTSUP:
 * another backend than libpal-sim is linked; PALIO_EBUSY: there is one already, or a socket or poll of before is open;
 * PALIO_EINVAL: what the remedy of palio_last_error names in text, or the program was compiled with NDEBUG, without
 * which half of what a test can find would go unnoticed; PALIO_ENOMEM. */
static inline int palio_sim_open(palio_sim **sim, const palio_sim_options *options)
{
    return palio_sim_open_with(sim, options, PAL_SIM_ASSERTED);
}

/* Ends it: hosts that still run are switched off, and everything is released. NULL does nothing. PALIO_EBUSY, and it
 * has ended all the same: functions that came to their end had left sockets, files or children open. What a function
 * had allocated when its host was switched off or crashed is lost. */
int palio_sim_close(palio_sim *sim);

/* ---- hosts ---- */

/* Adds a host that runs main(arg), which begins with the next palio_sim_run, on a stack of its own, and does what any
 * program does: it may wait, and others run meanwhile. name: letters, digits, '-' and '.', at most 63, and not "sim",
 * which is the program's own host; every host can resolve it. addresses: "10.0.0.1", or several with spaces between,
 * with /prefix unless /24 or /64. arg has to live until close, as has what the host is to find again after a crash: so
 * is a disk played. host may be NULL; after an error *host is NULL. PALIO_EEXIST: another has this name or address;
 * PALIO_EINVAL, PALIO_ENOBUFS, PALIO_ENOMEM. */
int palio_sim_add_host(palio_sim *sim, palio_sim_host **host, const char *name, const char *addresses,
                       int (*main)(void *arg), void *arg);

/* The same for one that serves for ever: palio_sim_run does not wait for its end. */
int palio_sim_add_server(palio_sim *sim, palio_sim_host **host, const char *name, const char *addresses,
                         int (*main)(void *arg), void *arg);

/* Gives a function to a host of options.text; number: the how many-th it is there, from 1. PALIO_ENOENT: there is none;
 * PALIO_EBUSY: it has one; PALIO_ENOMEM. */
int palio_sim_use_host(palio_sim *sim, palio_sim_host **host, uint32_t number, int (*main)(void *arg), void *arg);

/* What its function returned; PALIO_EINPROGRESS: it runs, or is to begin; PALIO_ECANCELED: it crashed. */
int palio_sim_result(const palio_sim_host *host);

/* ---- time ---- */

/* Lets time pass until the functions of all hosts but servers have ended (one that has crashed has not), but for_ns at
 * most: PALIO_UNLIMITED is a year. It may be called again, to go on. With servers alone, for_ns passes. 0;
 * PALIO_ETIMEDOUT; PALIO_EDEADLK: for_ns has passed, and nothing could have happened any more: who waits for what was
 * printed; PALIO_EBUSY: called from within; or the first error of what the test has had done. */
int palio_sim_run(palio_sim *sim, uint64_t for_ns);

/* Has callback(arg) called when it is at_ns, between two moments of the simulation: no host runs meanwhile. It must not
 * wait. Those of the same time are called in the order in which they were given; what is past, as soon as possible. It
 * is not waited for: palio_sim_run ends with the hosts. PALIO_ENOMEM. */
int palio_sim_at(palio_sim *sim, uint64_t at_ns, void (*callback)(void *arg), void *arg);

/* The virtual time, since palio_sim_open. */
uint64_t palio_sim_now(const palio_sim *sim);

/* ---- what befalls them: at once, and until it is changed ---- */

/* Of the whole network and all hosts. PALIO_EINVAL: more than a million parts, latencies the wrong way round. */
int palio_sim_set_faults(palio_sim *sim, const palio_sim_faults *faults);

/* Of what goes from one host to the other alone; NULL: from every host, to every host. Loss, duplicates, reordering,
 * corruption and latency are read, and stand in the place of the network's. PALIO_EINVAL, PALIO_ENOMEM. */
int palio_sim_set_link(palio_sim *sim, const palio_sim_host *from, const palio_sim_host *to,
                       const palio_sim_faults *faults);

/* No frame gets through between the two any more; and does again. NULL: everyone else. */
int palio_sim_partition(palio_sim *sim, const palio_sim_host *a, const palio_sim_host *b);
int palio_sim_heal(palio_sim *sim, const palio_sim_host *a, const palio_sim_host *b);

/* As if the power failed: no FIN, its function ends where it waits. A host that crashes itself does not return. And
 * begins anew, with the same function and argument; one that has not crashed goes on as it is. PALIO_ENOMEM. */
int palio_sim_crash(palio_sim_host *host);
int palio_sim_restart(palio_sim_host *host);

/* Nothing of it runs, nor does its network stack; frames wait. And goes on. */
int palio_sim_pause(palio_sim_host *host);
int palio_sim_resume(palio_sim_host *host);

/* Its wall clock (PAL_CLOCK_REAL) jumps. */
int palio_sim_clock_jump(palio_sim_host *host, int64_t jump_ns);

/* ---- what came of it ---- */

uint64_t palio_sim_seed(const palio_sim *sim);
uint64_t palio_sim_trace_hash(const palio_sim *sim); /* of all that has happened: same seed, same hash */
bool palio_sim_tainted(const palio_sim *sim); /* the world outside had a part in it: it need not come out the same */

/* How often what befell whom, since the beginning; and calls of the allocator by the backend. */
typedef struct pal_sim_counters palio_sim_counters;
palio_sim_counters palio_sim_count(const palio_sim *sim);
uint64_t palio_sim_allocations(const palio_sim *sim);

/* ---- many runs ---- */

/* One run of a test: opens a simulation with this seed, runs and closes it. 0, or a negative code: it has failed. */
typedef int palio_sim_test(uint64_t seed, void *arg);

/* Returns code. When that is a failure, and none was told of this simulation yet, prints the one line that replays it:
 * "failed: PALIO_SIM_SEED=123 (trace 0x0123456789abcdef)". For tests that run outside of sweeps; in one it does no
 * harm. */
int palio_sim_check(palio_sim *sim, int code);

enum { PALIO_SIM_REPLAY_SIZE = 256 }; /* bytes; a longer text ends in "...", that which is printed never does */

typedef struct palio_sim_report {
    uint64_t runs;                      /* those that were, the failed one among them */
    uint64_t seed;                      /* of the last one */
    uint64_t trace_hash;                /* of the last one */
    bool complete;                      /* explore: there is no other schedule */
    char replay[PALIO_SIM_REPLAY_SIZE]; /* "PALIO_SIM_SEED=123", what the environment is to have; "": none failed */
    uint64_t reserved[4];
} palio_sim_report;

typedef struct palio_sim_sweep_options {
    uint64_t seed_first; /* 0: 1 */
    uint64_t seed_count; /* 0: 1000; PALIO_SIM_SEEDS of the environment goes before it */
    bool twice;          /* each seed runs twice, and has to come out the same */
    uint64_t reserved[4];
} palio_sim_sweep_options;

/* Runs a test with one seed after the other, or with that of PALIO_SIM_SEED alone. Stops at the first that fails,
 * prints the line that replays it, and returns its error. 0: none did. PALIO_ESTATE: a test opened no simulation, or
 * (twice) came out differently with the same seed; PALIO_EBUSY: it did not close it; PALIO_EINVAL: no number in the
 * environment. options and report may be NULL; the report is always written. */
int palio_sim_sweep(palio_sim_test *test, void *arg, const palio_sim_sweep_options *options, palio_sim_report *report);

typedef struct palio_sim_explore_options {
    uint64_t seed;     /* of all runs; 0: 1; PALIO_SIM_SEED of the environment goes before it */
    uint64_t runs_max; /* 0: 10000 */
    uint32_t depth;    /* choices of a run that are gone through, at most 65536; 0: 64 */
    uint32_t reserved32;
    uint64_t reserved[4];
} palio_sim_explore_options;

/* Runs a test with every order in which things can happen: wherever more than one thing could come next, each of them
 * comes next once, to a depth; beyond that it is the first. The test has to do the same whenever the same is chosen,
 * which is verified. Stops at the first schedule that fails, prints the line that replays it (it has PALIO_SIM_CHOICES,
 * and with that in the environment this schedule alone is run), and returns its error. 0: none did, and
 * report->complete says whether they were all; it is false after runs_max runs, and where one had more choices than
 * depth. Errors as palio_sim_sweep; PALIO_ENOMEM. */
int palio_sim_explore(palio_sim_test *test, void *arg, const palio_sim_explore_options *options,
                      palio_sim_report *report);

#ifdef __cplusplus
}
#endif
#endif
