/* world.c: a simulated world begins: from a setup, from the environment, or by itself when it is first needed. See
 * world.h. */
#include "world.h"

#include "../common/memory.h"
#include "../common/refusal.h"
#include "../posix/kernel.h"
#include "chance.h"
#include "host.h"
#include "os.h"
#include "settings.h"
#include "strand.h"
#include "trace.h"
#include "wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NDEBUG
#error "the simulator is not built with its assertions off"
#endif

/* Not 0, so that no deadline is taken for "at once"; and no whole number of anything. */
#define BEGINNING_NS UINT64_C(1000000000)

static struct plan plan, wanted; /* the world's, and the one to be */
static struct wire *wire;
static FILE *capture;
static struct pcap_sink sink;
static uint64_t seed, allocations;
static uint32_t flags;
static bool begun;

struct wire *pal__s_wire(void)
{
    return wire;
}

uint64_t pal__s_seed(void)
{
    return seed;
}

bool pal__s_is_virtual(void)
{
    return flags & PAL_SIM_VIRTUAL;
}

/* ---- memory ---- */

/* A stack has room for many connections, most of which is never touched: the system gives it when it is, where a C
 * library may write on all of it first. Unless the program has an allocator of its own. */
enum { WHOLE_PAGES_FROM = 1 << 20 };
static bool has_allocator;

void pal__s_world_allocator(bool given)
{
    has_allocator = given;
}

bool pal__s_world_has_begun(void)
{
    return begun;
}

static bool is_large(size_t size)
{
    return size >= WHOLE_PAGES_FROM && !has_allocator;
}

static void *count_alloc(void *context, size_t size, size_t alignment)
{
    void *memory = NULL;
    (void)context;
    allocations++;
    if (!is_large(size))
        return pal__alloc(size, alignment);
    return pal__k_mmap(&(struct pal_map){.size = size, .protect = PAL_MAP_READ | PAL_MAP_WRITE}, &memory) ? NULL
                                                                                                          : memory;
}

static void count_free(void *context, void *memory, size_t size)
{
    (void)context;
    if (is_large(size) && memory)
        pal__k_munmap(memory, size);
    else
        pal__free(memory, size);
}

const struct pal_allocator *pal__s_allocator(void)
{
    static const struct pal_allocator allocator = {count_alloc, count_free, NULL};
    return &allocator;
}

uint64_t pal__s_allocations(void)
{
    return allocations;
}

/* ---- the capture ---- */

static void write_capture(void *context, const void *bytes, size_t size)
{
    (void)context;
    (void)!fwrite(bytes, 1, size, capture);
}

/* Of this world alone: a new one begins the file anew. */
static int open_capture(const char *path)
{
    if (capture)
        fclose(capture);
    capture = NULL;
    if (!path || !*path)
        return 0;
    capture = fopen(path, "wbe");
    if (!capture)
        return pal__refuse(PAL_EINVAL, "the file for the capture cannot be written: look at its path");
    setvbuf(capture, NULL, _IONBF, 0); /* a program that aborts leaves all of it; a child of fork repeats nothing */
    sink = (struct pcap_sink){.write = write_capture};
    return 0;
}

/* ---- the beginning ---- */

/* In order: the caller's, the environment's, the text's, a fresh one. */
static uint64_t choose_seed(uint64_t given)
{
    uint64_t fresh = 0;
    if (given)
        return given;
    if (pal__s_env_seed(&fresh))
        return fresh;
    if (plan.seed)
        return plan.seed;
    pal__k_random(&fresh, sizeof fresh);
    return fresh ? fresh % 1000000000 + 1 : 1; /* short, as somebody may have to type it */
}

static void say_seed(void)
{
    char command[1024];
    pal__s_command(command, sizeof command);
    fprintf(stderr, "palio-sim: seed %" PRIu64 ", to replay: PALIO_SIM_SEED=%" PRIu64 " %s\n", seed, seed, command);
}

static int make_hosts(void)
{
    static const struct plan_host programs = {PLAN_PROGRAM, "198.18.0.1/15 fd73:696d::1/64"};
    struct host *host;
    int error = pal__s_host_join(&programs, &host);
    for (uint32_t i = 0; !error && i < plan.host_count; i++)
        error = pal__s_host_join(&plan.hosts[i], &host);
    for (uint32_t i = 0; !error && i < plan.link_count; i++)
        error = pal__s_wire_set_link(wire, &plan.links[i]);
    return error;
}

static void end(void)
{
    pal__s_hosts_end();
    if (wire)
        pal__s_wire_destroy(wire);
    wire = NULL;
}

static int choose_faults(const struct pal_sim_setup *setup)
{
    struct pal_sim_faults faults = setup->faults;
    static const struct pal_sim_faults none;
    if (plan.has_faults && memcmp(&faults, &none, sizeof none) == 0)
        faults = plan.faults;
    if (flags & PAL_SIM_SWARM)
        pal__s_swarm(&faults);
    return pal__s_set_faults(&faults);
}

static int begin_anew(const struct pal_sim_setup *setup)
{
    plan = wanted;
    allocations = 0;
    flags = setup->flags | plan.flags;
    seed = choose_seed(setup->seed);
    if (!pal__s_chance_begin(seed, setup->depth, setup->choices, setup->choice_count))
        return pal__refuse(PAL_EINVAL, "depth is at most 65536");
    pal__s_trace_begin(seed);
    pal__s_schedule_begin(BEGINNING_NS);
    pal__s_clock_begin();
    int error = open_capture(setup->pcap ? setup->pcap : *plan.pcap ? plan.pcap : pal__s_env_pcap());
    error = error ? error : pal__s_wire_create(pal__s_allocator(), capture ? &sink : NULL, &wire);
    if (error)
        return error;
    pal__s_wire_set_time(wire, BEGINNING_NS);
    pal__s_fortune_begin(&plan, BEGINNING_NS);
    pal__s_fault_begin();
    error = make_hosts();
    error = error ? error : choose_faults(setup);
    if (error)
        return error;
    pal__s_attach(pal__s_host(plan.enter));
    begun = true;
    if (!(flags & PAL_SIM_QUIET))
        say_seed();
    return 0;
}

/* What fails leaves no world: the next call that needs one begins the default. */
static int begin(const struct pal_sim_setup *setup)
{
    end();
    begun = false;
    int error = begin_anew(setup);
    if (error)
        end();
    return error;
}

static int read_plan(const char *text)
{
    wanted = (struct plan){0};
    const char *wrong = text ? pal__s_plan_read(text, &wanted) : NULL;
    return wrong ? pal__refuse(PAL_EINVAL, wrong) : 0;
}

int pal__s_world_begin(const struct pal_sim_setup *setup)
{
    if (!(setup->flags & PAL_SIM_ASSERTIONS))
        return pal__refuse(PAL_EINVAL, "the simulator does not run programs whose assertions are off: compile without "
                                       "NDEBUG and set PAL_SIM_ASSERTED");
    if (setup->flags & ~(uint32_t)(PAL_SIM_SWARM | PAL_SIM_QUIET | PAL_SIM_VIRTUAL | PAL_SIM_ASSERTIONS))
        return pal__refuse(PAL_EINVAL, "flags of a world are PAL_SIM_*");
    if (setup->choice_count && !setup->choices)
        return pal__refuse(PAL_EINVAL, "choice_count choices are to be there, and choices is NULL");
    if (begun && (pal__s_polls_open() || pal__s_others_run()))
        return pal__refuse(PAL_EBUSY, "polls, or other threads, of the world before are there still");
    if (pal__slots_open())
        return pal__refuse(PAL_EBUSY, "handles of the world before are open: close them");
    int error = read_plan(setup->text);
    return error ? error : begin(setup);
}

void pal__s_world_need(void)
{
    static const struct pal_sim_setup defaults = {.flags = PAL_SIM_ASSERTIONS};
    if (LIKELY(begun)) {
        RULE(19, pal__s_is_strand(), "a thread that was not started by pal_thread_start uses the simulator");
        return;
    }
    int error = read_plan(pal__s_settings());
    if (!error)
        error = begin(&defaults);
    if (!error)
        return;
    fprintf(stderr, "palio-sim: %s (%s)\n", *pal_reason() ? pal_reason() : "no world", pal_error_name(error));
    pal_fatal("the simulated world of PALIO_SIM, or of pal_setup, cannot begin");
}
