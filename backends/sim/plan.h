/* plan.h: the text that describes a simulated network: hosts, links, faults, and what happens when
 * (docs/simulator.md has the language).
 *
 * Nothing here allocates or knows the world. One thread at a time. */
#ifndef PAL__SIM_PLAN_H
#define PAL__SIM_PLAN_H

#include <pal/os.h>
#include <pal/sim.h>
#include <stdbool.h>

enum {
    PLAN_TEXT_MAX = 2 << 20, /* bytes, without the NUL: as many as pal__s_plan_write makes of a full plan, and more */
    PLAN_NAME_SIZE = 64,     /* with its NUL */
    PLAN_ADDRESSES_SIZE = 256,
    PLAN_ADDRESSES_MAX = 15, /* of a host: its interface has room for 16, of which one is link-local */
    PLAN_PATH_SIZE = 256,
    PLAN_HOSTS_MAX = 256,
    PLAN_LINKS_MAX = 1024, /* one way; "link a b" makes two */
    PLAN_ACTIONS_MAX = 1024
};

/* Times that a plan may say, and twice as much, can be added to one another without overflow: 100 years. */
#define PLAN_TIME_MAX (UINT64_C(876000) * 3600 * 1000000000)

/* How long a frame may be on its way: an hour, which is what the wire keeps in order. */
#define PLAN_LATENCY_MAX (UINT64_C(3600) * 1000000000)

/* How a text calls host 0, the program's own. No host may be named so, nor "localhost". */
#define PLAN_PROGRAM "sim"

struct plan_host {
    char name[PLAN_NAME_SIZE];
    char addresses[PLAN_ADDRESSES_SIZE]; /* checked, in their shortest form, a space between; each with the prefix that
                                          * was given, if one was */
};

/* What happens at a time: a key of pal_ctl (PAL_CTL_SIM_CUT, HEAL, CRASH, RESTART, PAUSE, RESUME, CLOCK, FAULTS) and
 * what it takes: a and b, a, a and jump_ns, or faults; the rest is 0. Hosts are 1 + their place in plan.hosts, as they
 * will be numbered; 0 is the program's own. b may be UINT32_MAX, every other host; a may not. */
struct plan_action {
    uint64_t at_ns; /* from the beginning of the world */
    int key;
    uint32_t a, b;
    int64_t jump_ns;
    struct pal_sim_faults faults;
};

struct plan {
    uint64_t seed;             /* 0: the text has none */
    uint32_t flags;            /* PAL_SIM_SWARM, PAL_SIM_VIRTUAL, PAL_SIM_QUIET */
    uint32_t enter;            /* the host that the program is on */
    char pcap[PLAN_PATH_SIZE]; /* "": none */
    bool has_faults;
    struct pal_sim_faults faults;
    uint32_t host_count, link_count, action_count;
    struct plan_host hosts[PLAN_HOSTS_MAX];
    struct pal_sim_link links[PLAN_LINKS_MAX];
    struct plan_action actions[PLAN_ACTIONS_MAX]; /* by time, those of the same time as they are written */
};

/* Reads a text; NULL is an empty one. All of *out is written. NULL, or what is wrong with the text, with the number of
 * the line, the word and the remedy: static memory, good until the next call; *out is of no use then. A struct plan is
 * large (some 400 KB): keep it off the stack. */
const char *pal__s_plan_read(const char *text, struct plan *out);

/* Writes the plan as a text that reads back to the same one, byte for byte, if the plan has been read. As snprintf: how
 * long the text is, without its NUL; the room at out (which may be NULL if size is 0) gets what fits, and a NUL. */
size_t pal__s_plan_write(const struct plan *plan, char *out, size_t size);

/* A host by itself, by the rules of the host statement, for PAL_CTL_SIM_HOST too: name and addresses are checked and
 * written. Whether others have them already is not looked at. NULL, or what is wrong: static text. */
const char *pal__s_plan_host(const char *name, const char *addresses, struct plan_host *out);

/* The next address of a plan_host, which *text is moved behind; *text is its addresses at first. prefix: 24 or 64 where
 * none was given. False: there are no more. */
bool pal__s_plan_address(const char **text, struct pal_addr *out, uint32_t *prefix);

#endif
