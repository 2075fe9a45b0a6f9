/* pal/sim.h: what pal_ctl says to the simulator: hosts, their network, faults, time, replay.
 *
 * The simulator is a backend like any other; this is its own door (docs/simulator.md, rule 19 of docs/seam.md). On
 * other backends every key here is PAL_ENOTSUP. The poll is NULL for all of them. Times are virtual, in nanoseconds of
 * PAL_CLOCK_MONOTONIC; probabilities are parts per million, as integers replay alike on every CPU. Hosts are numbers:
 * 0 is the host of the program itself, on which a thread is until it enters another. A number that no host has is
 * PAL_ENOENT. */
#ifndef PAL_SIM_H
#define PAL_SIM_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Keys of pal_ctl, each with its value. In a get the value is written. */
enum {
    PAL_CTL_SIM_BEGIN = 0x100, /* struct pal_sim_setup: a new world. PAL_EBUSY: a socket or poll of the old one is open;
                                * PAL_EINVAL, with the place in the text that is wrong in pal_reason; PAL_ENOMEM */
    PAL_CTL_SIM_STATE,         /* get, struct pal_sim_state */
    PAL_CTL_SIM_HOST,          /* struct pal_sim_host: adds one. PAL_EEXIST, PAL_EINVAL, PAL_ENOBUFS, PAL_ENOMEM */
    PAL_CTL_SIM_ENTER,         /* uint32_t host: the calling thread, and those that it starts, are on it from now on */
    PAL_CTL_SIM_START,         /* struct pal_sim_start: a function of that host's, in the place of a process */
    PAL_CTL_SIM_RUN,           /* struct pal_sim_run: lets time pass */
    PAL_CTL_SIM_RESULT,        /* get, struct pal_sim_result */
    PAL_CTL_SIM_FAULTS,        /* struct pal_sim_faults: of the whole network and all hosts, from now on */
    PAL_CTL_SIM_LINK,          /* struct pal_sim_link: of what goes from one host to another alone */
    PAL_CTL_SIM_CUT,           /* struct pal_sim_pair: no frame gets through between the two any more */
    PAL_CTL_SIM_HEAL,          /* struct pal_sim_pair: frames get through again */
    PAL_CTL_SIM_CRASH,         /* uint32_t host: as if the power failed: no FIN, nothing is run to its end */
    PAL_CTL_SIM_RESTART,       /* uint32_t host: begins anew, with the function that it had been started with */
    PAL_CTL_SIM_PAUSE,         /* uint32_t host: nothing of it runs, nor does its network stack */
    PAL_CTL_SIM_RESUME,        /* uint32_t host */
    PAL_CTL_SIM_CLOCK,         /* struct pal_sim_clock: PAL_CLOCK_REAL of a host jumps */
    PAL_CTL_SIM_CHOICES,       /* get, struct pal_sim_choices: what was decided, for exploring (docs/simulator.md) */
    PAL_CTL_SIM_COUNTERS,      /* get, struct pal_sim_counters */
    PAL_CTL_SIM_CHECK          /* get, struct pal_sim_check: do the hosts' stacks hold what must hold at any moment? */
};

/* What goes wrong. All zero: nothing does, and a frame takes 50 us. */
struct pal_sim_faults {
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm; /* of frames; corrupt: so that a checksum tells */
    uint32_t short_ppm;     /* of calls that receive or send: they move fewer bytes than they could */
    uint32_t again_ppm;     /* of calls that receive, send or accept: PAL_EAGAIN though it was not so */
    uint32_t no_memory_ppm; /* of calls that open, accept or send: PAL_ENOBUFS */
    uint32_t no_handle_ppm; /* of calls that open or accept: PAL_EMFILE */
    uint32_t reset_ppm;     /* of calls that send or receive on a connection: it is reset */
    uint32_t stall_ppm;     /* of returns from a wait: it comes late, by up to stall_max_ns */
    uint64_t stall_max_ns;
    uint64_t latency_min_ns, latency_max_ns; /* both 0: 50 us */
    uint64_t rate_bits_s;                    /* of each host's cable, each way; 0: no limit */
    /* On the average so often, somewhere, and for so long: up to twice that. every 0: never. */
    uint64_t cut_every_ns, cut_for_ns;     /* one host is cut off from all others */
    uint64_t pause_every_ns, pause_for_ns; /* one host stands still */
    uint64_t crash_every_ns, crash_for_ns; /* one host crashes, and starts again after that */
    uint64_t clock_every_ns, clock_max_ns; /* one host's PAL_CLOCK_REAL jumps, either way, by up to clock_max_ns */
    uint64_t reserved[4];
};

enum {
    PAL_SIM_SWARM =
        1, /* the faults are drawn from the seed, kind by kind, most of them off; those given are not read */
    PAL_SIM_QUIET = 2,   /* does not print the seed */
    PAL_SIM_VIRTUAL = 4, /* time does not wait for signals, children and terminals (docs/simulator.md, "Two worlds") */
    PAL_SIM_ASSERTIONS = 8 /* the program was compiled with its assertions on: without it PAL_CTL_SIM_BEGIN is
                            * PAL_EINVAL. PAL_SIM_ASSERTED says it */
};
#ifdef NDEBUG
#define PAL_SIM_ASSERTED 0
#else
#define PAL_SIM_ASSERTED PAL_SIM_ASSERTIONS
#endif

struct pal_sim_setup {
    uint64_t seed;    /* 0: that of the environment, PALIO_SIM_SEED, or else a fresh one */
    uint32_t flags;   /* PAL_SIM_* */
    uint32_t depth;   /* exploring: how many choices are taken from the list below, then 0 each time; 0: all random */
    const char *text; /* hosts, links, faults and what happens when (docs/simulator.md); NULL: none */
    const char *pcap; /* a capture of all cables is written to this file; NULL: that of PALIO_SIM_PCAP, or none */
    const uint32_t *choices; /* exploring: the first of them; depth long, beyond choice_count all 0 */
    uint32_t choice_count;
    uint32_t reserved32;
    struct pal_sim_faults faults;
    uint64_t reserved[8];
};

struct pal_sim_state {
    uint64_t seed;
    uint64_t now_ns;
    uint64_t trace_hash; /* of all that has happened: the same seed and program give the same, on every CPU */
    uint64_t events;     /* how much has */
    uint32_t hosts;
    uint32_t tainted; /* 1: the world outside had a part in it, and it need not come out the same again */
    uint32_t is_over; /* 1: nothing can happen any more but by the caller */
    uint32_t reserved;
};

struct pal_sim_host {
    const char *name;      /* letters, digits, '-', '.'; at most 63; as behind "host" in a text (docs/simulator.md).
                            * "sim" is the program's own host, and taken. pal_resolve knows it on every host */
    const char *addresses; /* "10.0.0.1", or several with spaces between, each with /prefix if not /24 or /64. All hosts
                            * are on one link */
    uint32_t host;         /* written: its number */
    uint32_t reserved;
};

struct pal_sim_start {
    uint32_t host;
    uint32_t reserved;
    int32_t (*function)(void *argument); /* begins when the caller waits; its result is the host's */
    void *argument;
    uint64_t stack_size; /* bytes; 0: 256 KiB */
};

struct pal_sim_run {
    uint64_t until_ns; /* UINT64_MAX: for ever */
    uint64_t reserved;
}; /* 0: all functions that were started have ended; PAL_ETIMEDOUT: it is until_ns; PAL_EDEADLK: nothing can happen any
    * more, and until_ns is for ever: who waits for what was printed. Until a time the end of it can happen */

struct pal_sim_result {
    uint32_t host;
    int32_t result; /* of its function; PAL_EINPROGRESS: it runs; PAL_ECANCELED: it has crashed; PAL_ENOENT: none */
};

struct pal_sim_pair {
    uint32_t a, b; /* UINT32_MAX: every other host */
};

struct pal_sim_link {
    uint32_t from, to; /* UINT32_MAX: every host */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm;
    uint64_t latency_min_ns, latency_max_ns;
    uint64_t reserved[4];
};

struct pal_sim_check {
    const char *text; /* written: what is broken, static; NULL: nothing */
    uint32_t host;    /* written: where */
    uint32_t reserved;
};

struct pal_sim_clock {
    uint32_t host;
    uint32_t reserved;
    int64_t jump_ns;
};

/* Wherever more than one thing could come next, one was chosen: option of count. */
struct pal_sim_choice {
    uint32_t option, count;
};
struct pal_sim_choices {
    struct pal_sim_choice *choices; /* room for size of them */
    uint32_t size;
    uint32_t count; /* written: how many there were, at most depth */
};

/* Of the world's beginning. */
struct pal_sim_counters {
    uint64_t frames, lost, duplicated, reordered, corrupted, cut_off; /* what became of frames */
    uint64_t short_calls, again, no_memory, no_handle, resets, stalls;
    uint64_t cuts, pauses, crashes, clock_jumps;
    uint64_t allocations; /* calls of the allocator of pal_setup, or what stands for it, by the backend */
    uint64_t reserved[4];
};

PAL_STATIC_ASSERT(sizeof(struct pal_sim_faults) == 168, "pal_sim_faults is 168 bytes");

#ifdef __cplusplus
}
#endif
#endif
