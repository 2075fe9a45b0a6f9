/* workers.c: the pool: its jobs, their queue, its threads. See workers.h.
 *
 * One lock guards jobs, queue and threads; it is held for a few stores, and while a thread is started. The pool lies in
 * memory that fork wipes: a child finds no thread, no job and free locks, whatever the parent's threads were doing. */
#include "workers.h"

#include "lock.h"
#include "lookup.h"
#include "machine.h"
#include "memory.h"
#include "refusal.h"
#include <pal/file.h>
#include <pal/signal.h>

enum job_state { JOB_FREE, JOB_WAITING, JOB_RUNNING, JOB_DONE };

struct job {
    struct job *next;      /* in the queue, in an inbox, among the free */
    struct job *previous;  /* in the queue */
    pal_poll *poll;        /* NULL: detached */
    struct pal_op *op;     /* its owner's; workers keep off */
    struct pal_op task;    /* what it was when it was submitted */
    struct pal_work work;  /* of a WORK */
    struct lookup *lookup; /* of a RESOLVE, else NULL */
    enum job_state state;
    int32_t result;
};

struct pool {
    struct lock lock;
    _Atomic uint32_t posts;    /* jobs ever queued: what idle workers park on */
    uint32_t threads, asleep;  /* all there are; those parked, or about to */
    uint32_t waiting, running; /* jobs */
    uint32_t jobs_used;        /* jobs[] from here on were never taken */
    struct job *free;          /* those that were, and were given back */
    struct job *first, *last;  /* the queue */
    struct job jobs[JOBS_MAX];
    _Atomic uint16_t ops_of_file[SLOT_MAX]; /* ops out, by slot number */
};

static struct pool *pool; /* NULL while workers_max is 0 */
static uint32_t workers_max;

int pal__workers_limit(uint32_t count)
{
    if (count && !(pool = pal__alloc_wiped(sizeof *pool)))
        return PAL_ENOMEM;
    workers_max = count;
    return 0;
}

/* ---- jobs: with the lock held ---- */

static struct job *take_job(void)
{
    struct job *job = pool->free;
    if (job)
        pool->free = job->next;
    else if (pool->jobs_used < JOBS_MAX)
        job = &pool->jobs[pool->jobs_used++];
    return job;
}

static void free_job(struct job *job)
{
    job->state = JOB_FREE;
    job->op = NULL;
    job->next = pool->free;
    pool->free = job;
}

static void enqueue(struct job *job)
{
    job->state = JOB_WAITING;
    job->next = NULL;
    job->previous = pool->last;
    if (job->previous)
        job->previous->next = job;
    else
        pool->first = job;
    pool->last = job;
    pool->waiting++;
}

static void dequeue(struct job *job)
{
    if (job->previous)
        job->previous->next = job->next;
    else
        pool->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        pool->last = job->previous;
    pool->waiting--;
}

/* ---- the workers ---- */

static void sleep_until_posted(void)
{
    uint32_t posts = atomic_load(&pool->posts);
    pool->asleep++;
    lock_release(&pool->lock);
    pal_park(park_word(&pool->posts), posts, UINT64_MAX);
    lock_acquire(&pool->lock);
    pool->asleep--;
}

/* The job that has waited longest; sleeps until there is one. */
static struct job *begin_job(void)
{
    lock_acquire(&pool->lock);
    while (!pool->first)
        sleep_until_posted();
    struct job *job = pool->first;
    dequeue(job);
    job->state = JOB_RUNNING;
    pool->running++;
    lock_release(&pool->lock);
    return job;
}

static int32_t carry_out(const struct job *job)
{
    const struct pal_op *task = &job->task;
    pal_file file = {task->sock.id};
    switch (task->kind) {
    case PAL_OP_READ:
        return pal_file_read(file, task->buf, (size_t)task->size, task->offset);
    case PAL_OP_WRITE:
        return pal_file_write(file, task->buf, (size_t)task->size, task->offset);
    case PAL_OP_SYNC:
        return pal_file_sync(file, task->flags & PAL_OP_DATA ? PAL_FILE_SYNC_DATA : PAL_FILE_SYNC_ALL);
    case PAL_OP_RESOLVE:
        return pal__lookup_run(job->lookup);
    default: /* PAL_OP_WORK: submit let nothing else in */
        return job->work.function(job->work.argument);
    }
}

/* false: the job was detached. Else it is now too late for that. */
static bool end_job(struct job *job)
{
    lock_acquire(&pool->lock);
    RULE(17, pool->running, "a WORK function has called fork and returns in the child");
    pool->running--;
    job->state = JOB_DONE;
    bool awaited = job->poll != NULL;
    lock_release(&pool->lock);
    return awaited;
}

/* As soon as the job is in the inbox its owner may see the op end, and close the poll: but not while its door is held,
 * so that nobody is roused whose descriptors are closed (see pal__poll_part). */
static void deliver(struct job *job, int32_t result)
{
    pal_poll *poll = job->poll;
    job->result = result;
    lock_acquire(&poll->door);
    job->next = atomic_load(&poll->inbox);
    while (!atomic_compare_exchange_weak(&poll->inbox, &job->next, job))
        continue;
    poll_notify(poll, WAKE_DUE);
    lock_release(&poll->door);
}

static void throw_away(struct job *job)
{
    pal__lookup_end(job->lookup);
    lock_acquire(&pool->lock);
    free_job(job);
    lock_release(&pool->lock);
}

/* What a worker runs, for ever. */
static void serve(void *unused)
{
    (void)unused;
    for (;;) {
        struct job *job = begin_job();
        int32_t result = carry_out(job);
        if (end_job(job))
            deliver(job, result);
        else
            throw_away(job);
    }
}

/* Signals are for the program's own threads; only what a fault raises (ILL, TRAP, BUS, FPE, SEGV, SYS) stays open. The
 * thread inherits that, so there is no moment at which it could take one. */
static int start_worker(void)
{
    const uint64_t blocked = ~(uint64_t)(1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 30);
    uint64_t before;
    pal_thread thread; /* never joined: a resolver may hang for long */
    int masked = pal_signal_mask(PAL_SIGNAL_SET, &blocked, &before);
    int error = pal_thread_start(&thread, serve, NULL);
    if (!masked)
        pal_signal_mask(PAL_SIGNAL_SET, &before, NULL);
    return error;
}

/* Sees to it that there is a worker for one more job, or will be; with the lock held. */
static int staff(void)
{
    uint32_t idle = pool->threads - pool->running;
    if (idle > pool->waiting || pool->threads == workers_max)
        return 0;
    int error = start_worker();
    if (!error)
        pool->threads++;
    return pool->threads ? 0 : error; /* those that there are will come to it */
}

/* ---- the owner's side ---- */

static _Atomic uint16_t *ops_of(const struct slot *file)
{
    return &pool->ops_of_file[slot_number(file)];
}

/* The file that an op names, or NULL. */
static struct slot *file_of(const struct pal_op *op)
{
    bool has_file = op->kind == PAL_OP_READ || op->kind == PAL_OP_WRITE || op->kind == PAL_OP_SYNC;
    return has_file ? slot_of_type(op->sock.id, SLOT_FILE) : NULL;
}

static int check(const struct pal_op *op)
{
    const struct pal_work *work = op->aux;
    uint32_t flags = op->kind == PAL_OP_SYNC ? PAL_OP_TRY | PAL_OP_DATA : PAL_OP_TRY;
    if (!pool)
        return pal__refuse(PAL_ENOWORKER, "file, resolve and work ops need worker threads (workers_max in pal_setup)");
    if (op->flags & ~flags)
        return pal__refuse(PAL_EINVAL, "flags of ops are PAL_OP_TRY, and PAL_OP_DATA of a SYNC");
    switch (op->kind) {
    case PAL_OP_READ:
    case PAL_OP_WRITE:
        if (op->size && !op->buf)
            return pal__refuse(PAL_EINVAL, "READ and WRITE need a buffer");
        /* fall through */
    case PAL_OP_SYNC:
        return file_of(op) ? 0 : pal__refuse(PAL_EBADF, "READ, WRITE and SYNC name an open pal_file by its id in sock");
    case PAL_OP_WORK:
        return work && work->function ? 0 : pal__refuse(PAL_EINVAL, "WORK needs a struct pal_work in aux");
    default: /* RESOLVE: see lookup.c */
        return 0;
    }
}

static void fill(struct job *job, pal_poll *poll, struct pal_op *op, struct lookup *lookup)
{
    struct slot *file = file_of(op);
    if (file)
        atomic_fetch_add(ops_of(file), 1);
    if (op->kind == PAL_OP_WORK)
        job->work = *(const struct pal_work *)op->aux;
    job->poll = poll;
    job->op = op;
    job->task = *op;
    if (op->size > PAL_IO_MAX)
        job->task.size = PAL_IO_MAX;
    job->lookup = lookup;
    op->priv[1] = (uint64_t)(job - pool->jobs);
}

/* Takes a job for the op and queues it, with the lock held. */
static int queue_job(pal_poll *poll, struct pal_op *op, struct lookup *lookup)
{
    struct job *job = take_job();
    if (!job)
        return pal__refuse(PAL_ENOBUFS, "1024 jobs wait, run or are done and not seen yet: wait for events");
    int error = staff();
    if (error) {
        free_job(job);
        return error;
    }
    fill(job, poll, op, lookup);
    enqueue(job);
    atomic_fetch_add(&pool->posts, 1);
    return 0;
}

int pal__work_submit(pal_poll *poll, struct pal_op *op)
{
    struct lookup *lookup = NULL;
    int error = check(op);
    if (!error && op->kind == PAL_OP_RESOLVE)
        error = pal__lookup_begin(op, &lookup);
    if (error)
        return error;
    lock_acquire(&pool->lock);
    error = queue_job(poll, op, lookup);
    bool sleepers = pool->asleep != 0;
    lock_release(&pool->lock);
    if (error)
        pal__lookup_end(lookup);
    else if (sleepers)
        pal_unpark(park_word(&pool->posts), 1);
    return error;
}

/* The file may be closed again as far as this job is concerned. */
static void let_go_of_file(const struct job *job)
{
    struct slot *file = file_of(&job->task);
    if (file)
        atomic_fetch_sub(ops_of(file), 1);
}

bool pal__work_cancel(pal_poll *poll, struct pal_op *op)
{
    struct job *job = &pool->jobs[op->priv[1] % JOBS_MAX];
    struct lookup *lookup = NULL;
    lock_acquire(&pool->lock);
    RULE(5, job->op == op, "an op was changed while it was out");
    RULE(6, job->poll == poll, "an op is cancelled on another poll than its own");
    bool waits = job->state == JOB_WAITING, detaches = job->state == JOB_RUNNING && job->lookup;
    if (waits) {
        dequeue(job);
        let_go_of_file(job);
        lookup = job->lookup;
        free_job(job);
    } else if (detaches) {
        job->poll = NULL;
    }
    lock_release(&pool->lock);
    pal__lookup_end(lookup);
    return waits || detaches;
}

/* The inbox, emptied, with what came first in front. */
static struct job *empty_inbox(pal_poll *poll)
{
    struct job *job = atomic_exchange(&poll->inbox, NULL), *first = NULL;
    while (job) {
        struct job *next = job->next;
        job->next = first;
        first = job;
        job = next;
    }
    return first;
}

void pal__work_collect(pal_poll *poll)
{
    struct job *done = empty_inbox(poll);
    for (const struct job *job = done; job; job = job->next) {
        if (job->lookup && job->result >= 0)
            pal__lookup_give(job->lookup, job->result);
        pal__lookup_end(job->lookup);
        let_go_of_file(job);
        pal__machine_finish(poll, job->op, job->result);
    }
    lock_acquire(&pool->lock);
    while (done) {
        struct job *next = done->next;
        free_job(done);
        done = next;
    }
    lock_release(&pool->lock);
}

/* With the lock held. Done jobs are in the inbox, which is empty by now. */
static void abandon(struct job *job)
{
    if (job->state == JOB_RUNNING) {
        job->poll = NULL;
        return;
    }
    dequeue(job);
    pal__lookup_end(job->lookup);
    free_job(job);
}

void pal__work_abandon(pal_poll *poll)
{
    if (!pool)
        return;
    for (struct job *job = empty_inbox(poll), *next; job; job = next) {
        next = job->next;
        pal__lookup_end(job->lookup);
        let_go_of_file(job);
        lock_acquire(&pool->lock);
        free_job(job);
        lock_release(&pool->lock);
    }
    lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < pool->jobs_used; i++) {
        struct job *job = &pool->jobs[i];
        if (job->poll != poll || (job->state != JOB_WAITING && job->state != JOB_RUNNING))
            continue;
        let_go_of_file(job);
        abandon(job);
    }
    lock_release(&pool->lock);
}

bool pal__work_holds(const struct slot *file)
{
    return pool && atomic_load(ops_of(file)) != 0;
}
