/* schedule.c: who runs next, and how time passes when nobody can (rule 19). See strand.h and world.h. */
#include "../bypass/lane.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "chance.h"
#include "host.h"
#include "strand.h"
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { REAL_FDS_MAX = 1024 };
#define LOOK_EVERY_NS UINT64_C(1000000)
#define SLEEP_MAX_NS UINT64_C(3600000000000)

static struct base_list runnable;          /* struct strand by run_link */
static struct base_list roused;            /* struct sock_waiter by link */
static struct base_list lookers;           /* struct strand by look_link: those that look at sockets of several hosts */
static struct base_heap deadlines;         /* struct strand by due */
static struct strand *sleepers[POLLS_MAX]; /* by the number of the poll that they wait on */
static _Atomic uint32_t polls_roused;      /* some poll has been, since it was last looked at */
static _Atomic uint32_t asleep;            /* in the kernel */
static int bell = -1;                      /* an eventfd: rings when a poll is roused while this sleeps in the kernel */
static uint64_t now_ns;

uint64_t pal__s_now(void)
{
    return now_ns;
}

uint64_t pal__s_after(uint64_t ns)
{
    return ns < FOREVER_NS - now_ns ? now_ns + ns : FOREVER_NS;
}

struct base_list *pal__s_roused(void)
{
    return &roused;
}

void pal__s_schedule_begin(uint64_t begin_ns)
{
    base_list_init(&runnable);
    base_list_init(&roused);
    base_list_init(&lookers);
    now_ns = begin_ns;
    deadlines.count = 0;
}

/* ---- who can run ---- */

static bool grow(struct base_heap *heap)
{
    uint32_t capacity = heap->capacity ? heap->capacity * 2 : 64;
    struct base_heap_entry *entries = pal__alloc(capacity * sizeof *entries, _Alignof(struct base_heap_entry));
    if (!entries)
        return false;
    for (uint32_t i = 0; i < heap->count; i++)
        entries[i] = heap->entries[i];
    pal__free(heap->entries, heap->capacity * sizeof *entries);
    heap->entries = entries;
    heap->capacity = capacity;
    return true;
}

/* Sockets of another host than its own are among them, or the kernel's. */
static bool looks_afar(const struct strand *strand)
{
    for (int i = 0; i < strand->waiting.count; i++)
        if (in_stack(strand->waiting.items[i].sock) && pal__s_owner(strand->waiting.items[i].sock) != strand->host)
            return true;
    return false;
}

void pal__s_enlist(struct strand *strand)
{
    const struct waiting *waiting = &strand->waiting;
    strand->state = STRAND_WAITING;
    if (waiting->deadline_ns < FOREVER_NS) {
        RULE(19, deadlines.count < deadlines.capacity || grow(&deadlines), "there is no memory for a deadline");
        base_heap_push(&deadlines, &strand->due, waiting->deadline_ns);
    }
    if (waiting->count)
        base_list_push_back(looks_afar(strand) ? &lookers : &strand->host->lookers, &strand->look_link);
    if (waiting->poll) {
        strand->sleeps_on = waiting->poll->leases.number;
        sleepers[strand->sleeps_on] = strand;
        atomic_store(&waiting->poll->asleep, 1);
        if (atomic_load(&waiting->poll->wake_bits) & ~(uint32_t)WAKE_SPIN) /* since it was looked at (hole 37) */
            atomic_store(&polls_roused, 1);
    }
}

void pal__s_rouse(struct strand *strand, int outcome)
{
    if (strand->state != STRAND_WAITING)
        return;
    if (strand->waiting.poll) {
        atomic_store(&strand->waiting.poll->asleep, 0);
        sleepers[strand->sleeps_on] = NULL;
    }
    if (base_heap_contains(&deadlines, &strand->due))
        base_heap_remove(&deadlines, &strand->due);
    if (base_link_is_linked(&strand->look_link))
        base_list_remove(&strand->look_link);
    strand->outcome = outcome;
    strand->state = STRAND_RUNNABLE;
    base_list_push_back(&runnable, &strand->run_link);
}

void pal__s_poll_roused(pal_poll *poll)
{
    static const uint64_t one = 1;
    (void)poll;
    atomic_store(&polls_roused, 1);
    if (atomic_load(&asleep))
        (void)!write(bell, &one, sizeof one); /* fails only when it rings already */
}

void pal__s_schedule_forked(void)
{
    if (bell >= 0)
        close(bell);
    bell = -1;
}

/* Polls that were woken, or whose sockets are ready. */
static void rouse_polls(void)
{
    struct base_link *link;
    while ((link = base_list_pop_front(&roused))) {
        struct lane *lane = BASE_CONTAINER_OF(BASE_CONTAINER_OF(link, struct sock_waiter, link), struct lane, waiter);
        struct strand *sleeper = sleepers[lane - pal__b_lanes];
        if (sleeper)
            pal__s_rouse(sleeper, 0);
    }
    if (LIKELY(!atomic_load_explicit(&polls_roused, memory_order_relaxed)))
        return;
    atomic_store(&polls_roused, 0);
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand))
        if (strand->state == STRAND_WAITING && strand->waiting.poll &&
            atomic_load(&strand->waiting.poll->wake_bits) & ~(uint32_t)WAKE_SPIN)
            pal__s_rouse(strand, 0);
}

void pal__s_rouse_lookers(struct host *host)
{
    struct base_link *link;
    while ((link = base_list_first(&host->lookers)))
        pal__s_rouse(BASE_CONTAINER_OF(link, struct strand, look_link), 0);
    while ((link = base_list_first(&lookers)))
        pal__s_rouse(BASE_CONTAINER_OF(link, struct strand, look_link), 0);
}

/* Of the strands that could run, those that are not paused. */
static uint32_t count_runnable(void)
{
    uint32_t count = 0;
    BASE_LIST_EACH(link, &runnable)
    {
        count += !BASE_CONTAINER_OF(link, struct strand, run_link)->host->paused;
    }
    return count;
}

/* One of them, by chance; NULL: there is none. */
static struct strand *take_runnable(void)
{
    uint32_t count = count_runnable();
    if (!count)
        return NULL;
    uint32_t chosen = pal__s_choose(count);
    BASE_LIST_EACH(link, &runnable)
    {
        struct strand *strand = BASE_CONTAINER_OF(link, struct strand, run_link);
        if (!strand->host->paused && chosen-- == 0) {
            base_list_remove(link);
            return strand;
        }
    }
    return NULL;
}

/* ---- time ---- */

static void set_now(uint64_t to_ns)
{
    if (to_ns <= now_ns)
        return;
    now_ns = to_ns;
    pal__s_trace(TRACE_TIME, now_ns, 0);
    pal__s_hosts_set_time(now_ns);
}

/* When the next of what is to happen in this world does. */
static uint64_t next_ns(void)
{
    uint64_t hosts_ns = pal__s_hosts_next(), strands_ns = base_heap_first_key(&deadlines);
    return hosts_ns < strands_ns ? hosts_ns : strands_ns;
}

/* What is due by now happens: first in the network, then to the strands. */
static void happen(void)
{
    pal__s_hosts_happen(now_ns);
    while (base_heap_first_key(&deadlines) <= now_ns)
        pal__s_rouse(BASE_CONTAINER_OF(base_heap_first(&deadlines), struct strand, due), PAL_ETIMEDOUT);
}

/* ---- the world outside ---- */

struct outside {
    struct pollfd fds[REAL_FDS_MAX + 1];  /* and the bell */
    struct strand *strands[REAL_FDS_MAX]; /* who waits for which */
    uint32_t count;
    bool look_again; /* somebody waits for what no descriptor tells */
    bool any;
};

static void add_fd(struct outside *outside, struct strand *strand, int fd, short events)
{
    outside->any = true;
    if (outside->count == REAL_FDS_MAX) {
        outside->look_again = true;
        return;
    }
    outside->fds[outside->count] = (struct pollfd){.fd = fd, .events = events};
    outside->strands[outside->count++] = strand;
}

static void add_strand(struct outside *outside, struct strand *strand)
{
    const struct waiting *waiting = &strand->waiting;
    if (waiting->poll && pal__s_waits_outside(waiting->poll))
        add_fd(outside, strand, pal__k_poll_descriptor(waiting->poll), POLLIN);
    for (int i = 0; i < waiting->count; i++) {
        const struct slot *slot = waiting->items[i].sock.id ? slot_of(waiting->items[i].sock) : NULL;
        if (slot && !in_stack(waiting->items[i].sock) && !(slot_flags(slot) & SLOT_FRESH))
            add_fd(outside, strand, slot->fd, (short)waiting->items[i].interest);
    }
    if (waiting->for_real)
        outside->any = outside->look_again = true;
}

static void find_outside(struct outside *outside)
{
    outside->count = 0;
    outside->any = pal__s_has_children();
    outside->look_again = false;
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand))
        if (strand->state == STRAND_WAITING)
            add_strand(outside, strand);
}

/* Sleeps in the kernel for as long as left_ns, and less if something comes, or a wake. How much of what is outside has
 * come. Without a descriptor for the bell the sleep is short. */
static long sleep_outside(struct outside *outside, uint64_t left_ns)
{
    uint64_t rung, most_ns = SLEEP_MAX_NS;
    if (bell < 0 && (bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        most_ns = LOOK_EVERY_NS;
    if (left_ns > most_ns)
        left_ns = most_ns;
    struct timespec room = {.tv_sec = (time_t)(left_ns / NS_PER_SECOND), .tv_nsec = (long)(left_ns % NS_PER_SECOND)};
    outside->fds[outside->count] = (struct pollfd){.fd = bell, .events = POLLIN};
    long found = 0;
    atomic_store(&asleep, 1);
    if (!atomic_load(&polls_roused))
        found = ppoll(outside->fds, outside->count + 1, &room, NULL);
    atomic_store(&asleep, 0);
    bool rings = found > 0 && outside->fds[outside->count].revents;
    if (rings)
        pal__s_trace_taint();
    if (bell >= 0)
        (void)!read(bell, &rung, sizeof rung);
    return found - rings;
}

/* Who waits for what no descriptor tells looks again. */
static void rouse_for_real(void)
{
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand))
        if (strand->state == STRAND_WAITING && strand->waiting.for_real)
            pal__s_rouse(strand, 0);
}

/* Time goes by at its real pace until to_ns, or until something comes from outside. */
static void let_real_time_pass(struct outside *outside, uint64_t to_ns, bool is_virtual)
{
    uint64_t left_ns = to_ns == UINT64_MAX ? UINT64_MAX : to_ns - now_ns, begun_ns = monotonic_ns();
    if (is_virtual && to_ns != UINT64_MAX)
        left_ns = 0;
    else if (outside->look_again && left_ns > LOOK_EVERY_NS)
        left_ns = LOOK_EVERY_NS;
    long found = sleep_outside(outside, left_ns);
    uint64_t passed_ns = is_virtual ? 0 : monotonic_ns() - begun_ns;
    set_now(to_ns - now_ns < passed_ns ? to_ns : now_ns + passed_ns);
    if (!is_virtual || found > 0)
        pal__s_trace_taint();
    for (uint32_t i = 0; found > 0 && i < outside->count; i++)
        if (outside->fds[i].revents)
            pal__s_rouse(outside->strands[i], 0);
    if (!is_virtual || to_ns == UINT64_MAX)
        rouse_for_real();
}

/* ---- nothing can happen any more ---- */

static void report_deadlock(void)
{
    fprintf(stderr, "palio-sim: nothing can happen any more at %llu ns (PALIO_SIM_SEED=%llu)\n",
            (unsigned long long)now_ns, (unsigned long long)pal__s_seed());
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand))
        if (strand->state == STRAND_WAITING || strand->host->paused)
            fprintf(stderr, "palio-sim: %s %u on host %s waits for %s%s\n", strand->stack ? "function" : "thread",
                    (unsigned)strand->number, strand->host->name, strand->waiting.what,
                    strand->host->paused ? ", and is paused" : "");
}

/* Who lets the world run is told; else the first strand that can be; else it is the end. */
static void tell_deadlock(void)
{
    report_deadlock();
    struct strand *told = NULL;
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand)) {
        if (strand->state != STRAND_WAITING || !strand->waiting.can_be_told || strand->host->paused)
            continue;
        if (strand->waiting.for_run || !told)
            told = strand;
    }
    if (!told)
        pal_fatal("nothing can happen any more in the simulated world, and nobody can be told");
    pal__s_rouse(told, PAL_EDEADLK);
}

bool pal__s_is_over(void)
{
    static struct outside outside;
    find_outside(&outside);
    return next_ns() == UINT64_MAX && !outside.any && !count_runnable();
}

/* Nobody can run: goes on to what happens next. */
static void advance(void)
{
    static struct outside outside;
    uint64_t to_ns = next_ns();
    find_outside(&outside);
    bool is_virtual = pal__s_is_virtual();
    if (outside.any && to_ns > now_ns) {
        let_real_time_pass(&outside, to_ns, is_virtual);
        rouse_polls();
        if (count_runnable())
            return;
        to_ns = is_virtual ? next_ns() : now_ns;
    }
    if (to_ns == UINT64_MAX && !outside.any) {
        tell_deadlock();
        return;
    }
    if (to_ns != UINT64_MAX)
        set_now(to_ns);
    happen();
    if (is_virtual)
        rouse_for_real();
}

struct strand *pal__s_choose_strand(struct strand *self)
{
    (void)self;
    for (;;) {
        rouse_polls();
        struct strand *next = take_runnable();
        if (next)
            return next;
        pal__s_hosts_flush();
        rouse_polls(); /* what a host sends to itself may be there already */
        if ((next = take_runnable()))
            return next;
        advance();
    }
}
