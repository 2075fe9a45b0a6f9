/* strand.c: strands, their threads and stacks, and how the baton goes from one to the next. See strand.h. */
#include "strand.h"

#include "../common/context.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../posix/kernel.h"
#include "chance.h"
#include "trace.h"

#include <pthread.h>

enum { STACK_SIZE_DEFAULT = 256 << 10, LOOKS_A_MOMENT = 16 };

static struct strand *current;
static struct base_list strands; /* by number */
static struct base_list ended;   /* functions of hosts, and threads that nobody will join: to be given back */
static struct carrier *home;     /* the first thread, which hosts' functions run on */
static uint32_t strands_begun, functions_running;
static uint32_t *alive; /* 1, and 0 in a child of fork */
static _Thread_local struct carrier *own_carrier;

static void outlive_fork(struct strand *self);

struct strand *pal__s_self(void)
{
    pal__s_world_need();
    if (UNLIKELY(!*alive))
        outlive_fork(current);
    return current;
}

bool pal__s_is_strand(void)
{
    return own_carrier != NULL;
}

bool pal__s_hosts_first(const struct host *host)
{
    const struct strand *first = pal__s_first_strand();
    return first && first->number == 0 && first->host == host;
}

uint32_t pal__s_running(void)
{
    return functions_running;
}

/* Whoever parks for ever may be an idle worker: it belongs to no world. */
bool pal__s_others_run(void)
{
    if (current->stack)
        return true;
    for (struct strand *strand = pal__s_first_strand(); strand; strand = pal__s_next_strand(strand)) {
        bool idles = strand->state == STRAND_WAITING && strand->waiting.word &&
                     strand->waiting.deadline_ns == UINT64_MAX && strand->host->number == 0;
        if (strand != current && !idles)
            return true;
    }
    return false;
}

static struct strand *strand_of_link(struct base_link *link)
{
    return link ? BASE_CONTAINER_OF(link, struct strand, link) : NULL;
}

struct strand *pal__s_first_strand(void)
{
    return strand_of_link(base_list_first(&strands));
}

struct strand *pal__s_next_strand(const struct strand *strand)
{
    struct base_link *next = strand->link.next;
    return next == &strands.head ? NULL : strand_of_link(next);
}

/* ---- beginning and ending ---- */

/* NULL: no memory. */
static struct strand *begin_strand(struct host *host, struct carrier *carrier)
{
    struct strand *strand = pal__alloc(sizeof *strand, _Alignof(struct strand));
    if (!strand)
        return NULL;
    *strand = (struct strand){.number = strands_begun++, .host = host, .carrier = carrier};
    base_list_push_back(&strands, &strand->link);
    carrier->resident++;
    return strand;
}

static struct carrier *begin_carrier(void)
{
    struct carrier *carrier = pal__alloc(sizeof *carrier, _Alignof(struct carrier));
    if (carrier)
        *carrier = (struct carrier){.resident = 0};
    return carrier;
}

/* A world after another: the thread is the same one, and the only one but for idle workers, which come along. */
static void attach_again(struct host *host)
{
    strands_begun = functions_running = 0;
    base_list_remove(&current->link);
    base_list_push_front(&strands, &current->link);
    for (struct strand *strand = current; strand; strand = pal__s_next_strand(strand)) {
        strand->number = strands_begun++;
        strand->host = pal__s_host(0);
        strand->maker = strand->host;
    }
    current->host = host;
}

void pal__s_attach(struct host *host)
{
    if (current) {
        attach_again(host);
        return;
    }
    base_list_init(&strands);
    base_list_init(&ended);
    home = own_carrier = begin_carrier();
    alive = pal__alloc_wiped(sizeof *alive);
    RULE(19, alive, "there is no memory for the first strand of a simulated world");
    *alive = 1;
    current = own_carrier ? begin_strand(host, own_carrier) : NULL;
    RULE(19, current, "there is no memory for the first strand of a simulated world");
    current->state = STRAND_RUNNING;
}

/* Takes it off every list. Its memory stays. */
static void retire(struct strand *strand)
{
    if (strand->state == STRAND_WAITING)
        pal__s_rouse(strand, 0);
    if (base_link_is_linked(&strand->run_link))
        base_list_remove(&strand->run_link);
    base_list_remove(&strand->link);
    strand->state = STRAND_ENDED;
    strand->carrier->resident--;
}

static void free_function(struct strand *strand)
{
    if (strand->stack) {
        pal__context_forget(&strand->context);
        pal__k_munmap(strand->stack, strand->stack_size);
    }
    pal__free(strand, sizeof *strand);
}

/* Threads that have ended and were not joined, and those that run, by handle. */
static struct strand *threads[1024];

static struct strand **thread_entry(pal_thread thread)
{
    return &threads[thread.id % (sizeof threads / sizeof *threads)];
}

/* NULL: there is none, or it was joined. */
static struct strand *strand_of_thread(pal_thread thread)
{
    struct strand *strand = *thread_entry(thread);
    return strand && strand->thread.id == thread.id ? strand : NULL;
}

/* It has ended, or is about to: the system's thread does nothing more that others could see. */
static int free_thread(struct strand *strand)
{
    int error = pal__k_thread_join(strand->thread);
    if (error)
        return error;
    *thread_entry(strand->thread) = NULL;
    pal__free(strand->carrier, sizeof *strand->carrier);
    pal__free(strand, sizeof *strand);
    return 0;
}

/* Gives back what has ended, but for the stacks that threads are on: this one, and others that sleep. */
static void reap(void)
{
    BASE_LIST_EACH_REMOVABLE(link, following, &ended)
    {
        struct strand *strand = strand_of_link(link);
        if (strand == current || strand->carrier->seat == strand)
            continue;
        base_list_remove(link);
        if (strand->stack)
            free_function(strand);
        else
            free_thread(strand);
    }
}

/* ---- the baton ---- */

/* Sleeps until the baton comes to this thread. */
static struct strand *await_call(struct carrier *carrier)
{
    while (!atomic_load_explicit(&carrier->called, memory_order_acquire))
        pal__k_park(park_word(&carrier->called), 0, UINT64_MAX);
    atomic_store_explicit(&carrier->called, 0, memory_order_relaxed);
    return carrier->next;
}

static void call(struct strand *next)
{
    struct carrier *carrier = next->carrier;
    carrier->next = next;
    atomic_store_explicit(&carrier->called, 1, memory_order_release);
    pal__k_unpark(park_word(&carrier->called), 1); /* by its address alone: both may have ended by now */
}

/* From one stack of a thread to another. */
static void switch_to(struct strand *self, struct strand *next)
{
    next->carrier->seat = next;
    pal__context_switch(&self->context, &next->context);
}

/* The baton goes from self to next; returns when it is back. */
static void hand_over(struct strand *self, struct strand *next)
{
    next->state = STRAND_RUNNING;
    current = next;
    if (next == self)
        return;
    pal__s_trace(TRACE_RUN, next->number, 0);
    if (next->carrier != self->carrier) {
        call(next);
        next = await_call(self->carrier);
        if (next == self)
            return;
    }
    switch_to(self, next);
}

/* The running strand has ended, or its host has: never returns. */
static _Noreturn void leave(struct strand *self)
{
    struct strand *next = pal__s_choose_strand(self);
    next->state = STRAND_RUNNING;
    current = next;
    pal__s_trace(TRACE_RUN, next->number, 0);
    if (self->stack || next->carrier == self->carrier) {
        if (next->carrier != self->carrier) { /* it has others, and waits for their turn */
            call(next);
            next = await_call(self->carrier);
        }
        switch_to(self, next);
        pal_fatal("a strand that has ended goes on");
    }
    RULE(19, self->carrier->resident == 0, "a thread ends that functions of hosts run on");
    call(next);
    pthread_exit(NULL);
}

static _Noreturn void end_thread(struct strand *self)
{
    retire(self);
    for (struct strand *other = pal__s_first_strand(); other; other = pal__s_next_strand(other))
        if (other->state == STRAND_WAITING && other->waiting.other == self)
            pal__s_rouse(other, 0);
    if (self->is_doomed && self->maker == self->host) /* nobody is left who would join it */
        base_list_push_back(&ended, &self->link);
    leave(self);
}

/* What a strand does first when it has the baton again. */
static void arrive(struct strand *self)
{
    reap();
    if (self->is_doomed)
        end_thread(self);
}

/* In a child of fork there is nobody but who called it. */
static void outlive_fork(struct strand *self)
{
    *alive = 1;
    home = self->carrier;
    pal__s_schedule_forked();
    for (struct strand *strand = pal__s_first_strand(), *next; strand; strand = next) {
        next = pal__s_next_strand(strand);
        if (strand != self)
            retire(strand);
    }
    self->carrier->resident = 1;
    functions_running = 0;
}

int pal__s_wait(const struct waiting *waiting)
{
    struct strand *self = pal__s_self();
    self->waiting = *waiting;
    self->outcome = 0;
    self->looks = 0;
    pal__s_enlist(self);
    hand_over(self, pal__s_choose_strand(self));
    arrive(self);
    if (self->outcome == PAL_EDEADLK)
        return pal__refuse(PAL_EDEADLK, "nothing can happen any more: who waits for what was printed");
    return self->outcome;
}

void pal__s_yield(void)
{
    struct strand *self = pal__s_self();
    self->waiting = (struct waiting){.what = "its turn", .deadline_ns = UINT64_MAX};
    self->state = STRAND_WAITING;
    pal__s_rouse(self, 0);
    hand_over(self, pal__s_choose_strand(self));
    arrive(self);
}

bool pal__s_breathe(void)
{
    struct strand *self = pal__s_self();
    if (self->is_inside || ++self->looks < LOOKS_A_MOMENT)
        return false;
    self->looks = 0;
    pal__s_wait(&(struct waiting){.what = "a moment", .deadline_ns = pal__s_now() + TURN_NS});
    return true;
}

/* ---- threads ---- */

static void run_thread(void *argument)
{
    struct strand *self = argument;
    own_carrier = self->carrier;
    await_call(self->carrier);
    if (!self->is_doomed)
        self->function(self->argument);
    end_thread(self);
}

int pal__s_thread_start(pal_thread *out, void (*function)(void *), void *argument)
{
    if (!out || !function)
        return pal__refuse(PAL_EINVAL, "pal_thread_start needs room for the handle, and a function");
    struct strand *self = pal__s_self();
    struct carrier *carrier = begin_carrier();
    struct strand *strand = carrier ? begin_strand(self->host, carrier) : NULL;
    if (!strand) {
        pal__free(carrier, sizeof *carrier);
        return pal__refuse(PAL_EAGAIN, "there is no memory for another thread");
    }
    strand->function = function;
    strand->argument = argument;
    strand->maker = self->host;
    strand->state = STRAND_WAITING;
    strand->waiting = (struct waiting){.what = "its beginning", .deadline_ns = UINT64_MAX};
    int error = pal__k_thread_start(&strand->thread, run_thread, strand);
    if (error) {
        retire(strand);
        pal__free(strand, sizeof *strand);
        pal__free(carrier, sizeof *carrier);
        return error;
    }
    *thread_entry(strand->thread) = strand;
    *out = strand->thread;
    pal__s_rouse(strand, 0);
    return 0;
}

int pal__s_thread_join(pal_thread thread)
{
    struct strand *self = pal__s_self();
    for (;;) {
        struct strand *strand = strand_of_thread(thread);
        if (!strand || strand == self)
            return pal__k_thread_join(thread); /* which says why not */
        if (strand->state == STRAND_ENDED)
            return free_thread(strand);
        pal__s_wait(&(struct waiting){.what = "a thread to end", .deadline_ns = UINT64_MAX, .other = strand});
    }
}

int pal__s_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    if (!word)
        return pal__refuse(PAL_EINVAL, "pal_park needs a word");
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected)
        return 0;
    if (deadline_ns <= pal__s_now()) {
        pal__s_breathe();
        return __atomic_load_n(word, __ATOMIC_SEQ_CST) != expected ? 0 : PAL_ETIMEDOUT;
    }
    return pal__s_wait(&(struct waiting){.what = "being unparked", .deadline_ns = deadline_ns, .word = word});
}

void pal__s_unpark(const uint32_t *word, int count)
{
    for (struct strand *strand = pal__s_first_strand(); strand && count; strand = pal__s_next_strand(strand)) {
        if (strand->state != STRAND_WAITING || strand->waiting.word != word)
            continue;
        pal__s_rouse(strand, 0);
        count -= count > 0; /* a negative count is all of them */
    }
}

/* ---- functions of hosts ---- */

/* A function of a host does not run any more. */
static void end_function(struct strand *strand)
{
    retire(strand);
    base_list_push_back(&ended, &strand->link);
    if (--functions_running)
        return;
    for (struct strand *other = pal__s_first_strand(); other; other = pal__s_next_strand(other))
        if (other->state == STRAND_WAITING && other->waiting.for_run)
            pal__s_rouse(other, 0);
}

static void run_function(void *argument)
{
    struct strand *self = argument;
    struct host *host = self->host;
    host->result = host->function(host->argument);
    end_function(self);
    leave(self);
}

static int make_stack(struct strand *strand, size_t size)
{
    void *stack = NULL;
    int error = pal__k_mmap(
        &(struct pal_map){.size = size, .protect = PAL_MAP_READ | PAL_MAP_WRITE, .flags = PAL_MAP_GUARD}, &stack);
    if (error)
        return error;
    error = pal__context_make(&strand->context, stack, size, run_function, strand);
    if (error) {
        pal__k_munmap(stack, size);
        return error;
    }
    strand->stack = stack;
    strand->stack_size = size;
    return 0;
}

int pal__s_start(struct host *host)
{
    struct strand *strand = begin_strand(host, home);
    if (!strand)
        return PAL_ENOMEM;
    int error = make_stack(strand, host->stack_size ? (size_t)host->stack_size : STACK_SIZE_DEFAULT);
    if (error) {
        retire(strand);
        free_function(strand);
        return error;
    }
    functions_running++;
    host->result = PAL_EINPROGRESS;
    strand->state = STRAND_WAITING;
    strand->waiting = (struct waiting){.what = "its beginning", .deadline_ns = UINT64_MAX};
    pal__s_rouse(strand, 0);
    return 0;
}

void pal__s_doom(struct host *host)
{
    struct strand *self = pal__s_self(), *next;
    bool self_too = false;
    for (struct strand *strand = pal__s_first_strand(); strand; strand = next) {
        next = pal__s_next_strand(strand);
        if (strand->host != host || strand->number == 0)
            continue;
        if (!strand->stack) { /* a thread: it ends by itself, when it is called */
            strand->is_doomed = true;
            if (strand->state == STRAND_WAITING)
                pal__s_rouse(strand, 0);
            continue;
        }
        host->result = PAL_ECANCELED;
        end_function(strand);
        self_too |= strand == self;
    }
    if (self_too)
        leave(self);
    reap();
}
