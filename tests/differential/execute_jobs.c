/* execute_jobs.c: ops that workers carry out, and children. When they end is open, that they end is not: a poll settles
 * when all of them have. Rules 3, 4, 5, 7 and 15 of docs/seam.md. */
#include <stdatomic.h>
#include <string.h>

#include "execute.h"

static const uint64_t MOMENT_NS = 20000;

/* ---- work ---- */

static _Atomic uint64_t runs[JOBS_MAX]; /* how often the function of a WORK op has run */
static const struct {
    int place;
} places[JOBS_MAX] = {{0}, {1}, {2}, {3}};

static int32_t work(void *argument)
{
    int place = *(const int *)argument;

    atomic_fetch_add(&runs[place], 1);
    return 1000 + place;
}

static void expect_work(const struct job *job, int place, int32_t result)
{
    uint64_t expected = result == PAL_ECANCELED ? 0 : 1;

    REQUIRE(result == 1000 + place || result == PAL_ECANCELED, "WORK ends with %d", result);
    REQUIRE(atomic_load(&runs[place]) == expected, "the function of a WORK op, which ends with %d, has run %d times",
            job->op.result, (int)atomic_load(&runs[place]));
}

/* ---- files ---- */

static void expect_read(const struct model *model, const struct job *job, int32_t result)
{
    const struct content *content = &model->contents[model->files[job->file].content];
    size_t there = content_read(content, job->size, job->offset);

    if (result == PAL_ECANCELED)
        return;
    REQUIRE(result == (int32_t)there && memcmp(job->bytes, content->bytes + job->offset, there) == 0,
            "READ gives %d bytes of %llu, or others", result, (unsigned long long)there);
}

/* Cancelled in time, it is done now: what comes next may not depend on who was first. */
static void expect_write(struct model *model, const struct job *job, int32_t result)
{
    struct content *content = &model->contents[model->files[job->file].content];

    if (result == PAL_ECANCELED)
        result = pal_file_write(model->files[job->file].handle, job->bytes, job->size, job->offset);
    REQUIRE(result == (int32_t)job->size, "WRITE writes %d bytes of %llu", result, (unsigned long long)job->size);
    content_write(content, job->bytes, job->size, job->offset);
}

/* ---- all of them ---- */

int see_job(struct model *model, int p, const struct pal_event *event)
{
    for (int i = 0; i < JOBS_MAX; i++) {
        struct job *job = &model->jobs[i];

        if (!job->out || job->poll != p || job->op.data != event->data)
            continue;
        job->out = false;
        REQUIRE(event->result == job->op.result && event->ready == job->op.kind, "job %d and its event differ", i);
        REQUIRE(event->result != PAL_ECANCELED || job->cancelled, "job %d ends as cancelled, and was not", i);
        if (job->file != NONE)
            file_free(model, job->file);
        if (job->op.kind == PAL_OP_WORK)
            expect_work(job, i, event->result);
        else if (job->op.kind == PAL_OP_READ)
            expect_read(model, job, event->result);
        else if (job->op.kind == PAL_OP_WRITE)
            expect_write(model, job, event->result);
        else
            REQUIRE(event->result == (job->op.kind == PAL_OP_RESOLVE) || event->result == PAL_ECANCELED,
                    "job %d of kind %d ends with %d", i, job->op.kind, event->result);
        return i;
    }
    return NONE;
}

void step_submit_job(struct model *model, const struct step *step)
{
    struct job *job = &model->jobs[step->request];
    struct pal_work work_op = {.function = work, .argument = (void *)(uintptr_t)&places[step->request].place};
    struct pal_query query = {.host = "127.0.0.1",
                              .service = "80",
                              .type = PAL_SOCK_STREAM,
                              .flags = PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE};
    int expected = model->has_workers ? 0 : PAL_ENOWORKER, result;

    memset(&job->op, 0, sizeof(job->op));
    job->cancelled = false;
    job->poll = step->poll;
    job->file = step->other;
    job->size = step->size;
    job->offset = step->other == NONE ? 0 : (size_t)(step->choice % (FILE_SIZE_MAX - step->size + 1));
    job->op.data = model_number(model);
    job->op.kind = (uint8_t)step->flags;
    job->op.buf = step->flags == PAL_OP_RESOLVE ? (void *)&job->address : job->bytes;
    job->op.size = step->flags == PAL_OP_RESOLVE ? 1 : step->size;
    job->op.aux = step->flags == PAL_OP_RESOLVE ? (void *)&query : step->flags == PAL_OP_WORK ? &work_op : NULL;
    job->op.offset = job->offset;
    if (step->other != NONE)
        job->op.sock.id = model->files[step->other].handle.id;
    bytes_make(model_number(model), 0, job->bytes, job->size);
    atomic_store(&runs[step->request], 0);
    result = pal_submit(model->polls[step->poll].handle, &job->op);
    trace_fixed(" j%d kind %u p%d f%d %u at %llu -> %d", step->request, step->flags, step->poll, step->other,
                step->size, (unsigned long long)job->offset, expected);
    REQUIRE(result == expected, "pal_submit of a job is %s, not %s", pal_error_name(result), pal_error_name(expected));
    if (result != 0)
        return;
    job->out = true;
    if (job->file != NONE)
        file_take(model, job->file);
}

void step_cancel_job(struct model *model, const struct step *step)
{
    struct job *job = &model->jobs[step->request];
    int poll = job->out ? job->poll : step->poll;

    trace_fixed(" j%d", step->request);
    REQUIRE(pal_cancel(model->polls[poll].handle, &job->op) == 0, "pal_cancel of a job fails");
    job->cancelled |= job->out;
}

/* ---- children ---- */

int see_child(struct model *model, int p, const struct pal_event *event)
{
    for (int i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &model->children[i];

        if (!child->live || child->poll != p || child->data != event->data)
            continue;
        REQUIRE(child->ends && event->result == child->result, "child %d ends with %d, not %d", i, event->result,
                child->result);
        child->poll = NONE;
        return i;
    }
    return NONE;
}

/* A wait for what only time outside brings: where time is virtual, in moments so short that nothing of the network
 * grows old, however many of them it takes. */
static uint64_t patience(void)
{
    bool is_virtual = (pal_backend_info()->caps & PAL_CAP_VIRTUAL_TIME) != 0;

    return is_virtual ? pal_clock(PAL_CLOCK_MONOTONIC) + MOMENT_NS : UINT64_MAX;
}

int child_await(pal_proc handle, struct pal_proc_info *info)
{
    int result;

    do
        result = pal_proc_wait(handle, info, patience());
    while (result == PAL_ETIMEDOUT);
    return result;
}

void children_await(const struct model *model, int p)
{
    for (int i = 0; i < CHILDREN_MAX; i++) {
        const struct child *child = &model->children[i];
        struct pal_proc_info info;

        if (model->has_virtual_time && child->live && child->poll == p && child->ends)
            REQUIRE(child_await(child->handle, &info) == 0, "child %d does not end", i);
    }
}

static pal_sock said[2]; /* a pipe through which a child says that its program runs */

void children_begin(void)
{
    REQUIRE(pal_pipe(said, 0) == 0, "no pipe");
}

void children_done(void)
{
    REQUIRE(pal_sock_close(said[0]) == 0 && pal_sock_close(said[1]) == 0, "a pipe that is idle cannot be closed");
}

/* Until its program runs, which may be a moment after spawn has returned, a child has a copy of every descriptor: what
 * is closed meanwhile lives on in it, and nobody sees its end. */
static void child_has_begun(void)
{
    struct pal_wait item = {.sock = said[0], .interest = PAL_IN};
    uint8_t byte = 0;
    int ready;

    do
        ready = pal_sock_wait(&item, 1, patience());
    while (ready == 0);
    REQUIRE(ready == 1 && pal_sock_recv(said[0], &byte, 1, 0) == 1, "a child does not say that it runs");
}

int child_spawn(pal_proc *out, bool ends, int32_t status)
{
    const char *const what = !ends ? "echo; exec sleep 300" : status == 0 ? "echo; exit 0" : "echo; exit 7";
    const char *const argv[] = {"sh", "-c", what, NULL};
    const struct pal_spawn_fd output = {.sock = said[1], .number = 1};
    struct pal_spawn spec;
    int result;

    memset(&spec, 0, sizeof(spec));
    spec.program = "/bin/sh";
    spec.argv = argv;
    spec.fds = &output;
    spec.fd_count = 1;
    result = pal_proc_spawn(&spec, out);
    if (result == 0)
        child_has_begun();
    return result;
}

static void child_start(struct model *model, struct child *child, const struct step *step)
{
    bool ends = step->size % 4 < 2;
    int32_t status = step->size % 2 ? 7 : 0;
    int expected = handle_count(model) < SOCKS_MAX ? 0 : PAL_ENOBUFS;
    pal_proc handle = {0};
    int result = child_spawn(&handle, ends, status);

    trace_fixed(" start -> %d", expected);
    REQUIRE(result == expected, "pal_proc_spawn is %s, not %s", pal_error_name(result), pal_error_name(expected));
    if (result != 0)
        return;
    *child = (struct child){.live = true, .handle = handle, .poll = NONE, .ends = ends, .result = status};
}

static void child_watch(struct model *model, struct child *child, const struct step *step)
{
    uint64_t data = model_number(model);
    int expected = child->poll == NONE ? 0 : PAL_EBUSY;
    int result = pal_proc_watch(model->polls[step->poll].handle, child->handle, data);

    trace_fixed(" watch p%d -> %d", step->poll, expected);
    REQUIRE(result == expected, "pal_proc_watch is %s, not %s", pal_error_name(result), pal_error_name(expected));
    if (result != 0)
        return;
    child->poll = step->poll;
    child->data = data;
}

/* Only one that waits for it, so that it is certain what it ends with. */
static void child_kill(struct child *child)
{
    trace_fixed(" kill");
    if (child->ends)
        return;
    REQUIRE(pal_proc_kill(child->handle, PAL_SIGKILL) == 0, "a child that runs cannot be killed");
    child->ends = true;
    child->result = -PAL_SIGKILL;
}

static void child_wait(const struct child *child)
{
    struct pal_proc_info info = {0, PAL_PROC_RUNNING, 0};
    int expected = child->ends ? 0 : PAL_ETIMEDOUT;
    int result = child->ends ? child_await(child->handle, &info) : pal_proc_wait(child->handle, &info, 0);

    trace_fixed(" wait -> %d", expected);
    REQUIRE(result == expected && info.state == (child->ends ? PAL_PROC_ENDED : PAL_PROC_RUNNING) &&
                (!child->ends || info.result == child->result),
            "pal_proc_wait is %s, with %d", pal_error_name(result), info.result);
}

static void child_close(struct model *model, struct child *child)
{
    int expected = child->poll == NONE ? 0 : PAL_EBUSY, result = pal_proc_close(child->handle);

    trace_fixed(" close -> %d", expected);
    REQUIRE(result == expected, "pal_proc_close is %s, not %s", pal_error_name(result), pal_error_name(expected));
    child->live = result != 0;
    if (result == 0 && child->data != 0)
        strike_out(model, child->data);
}

void children_end(struct model *model)
{
    for (int i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &model->children[i];

        if (!child->live)
            continue;
        if (child->poll != NONE)
            REQUIRE(pal_proc_watch(NULL, child->handle, 0) == 0, "a child's watch cannot be ended");
        child->poll = NONE;
        child_kill(child);
        child_wait(child);
        child_close(model, child);
    }
}

void step_child(struct model *model, const struct step *step)
{
    struct child *child = &model->children[step->count];

    trace_fixed(" c%u", step->count);
    if (!child->live) {
        child_start(model, child, step);
        return;
    }
    switch (step->choice % 5) {
    case 0:
    case 1:
        child_watch(model, child, step);
        break;
    case 2:
        child_wait(child);
        break;
    case 3:
        child_kill(child);
        break;
    default:
        if (child->ends || child->poll != NONE)
            child_close(model, child);
    }
}
