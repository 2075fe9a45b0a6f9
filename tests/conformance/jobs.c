/* jobs.c: see jobs.h. Only the seam and ISO C. */
#include "jobs.h"

void set_up_workers(uint32_t workers_max)
{
    struct pal_setup setup;
    int error;

    memset(&setup, 0, sizeof(setup));
    setup.workers_max = workers_max;
    error = pal_setup(&setup);
    if (error == PAL_ENOTSUP)
        test_skip("workers", "this backend has no worker threads");
    assert_error(error, 0);
}

/* ---- ops ---- */

struct pal_op op_work(uint64_t data, struct pal_work *work)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_WORK;
    op.data = data;
    op.aux = work;
    return op;
}

struct pal_op op_resolve(uint64_t data, struct pal_query *query, struct pal_addr *addrs, size_t count)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.kind = PAL_OP_RESOLVE;
    op.data = data;
    op.aux = query;
    op.buf = addrs;
    op.size = count;
    return op;
}

struct pal_op op_file(uint8_t kind, pal_file file, uint64_t data, void *buffer, size_t size, uint64_t offset)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.kind = kind;
    op.sock.id = file.id;
    op.data = data;
    op.buf = buffer;
    op.size = size;
    op.offset = offset;
    return op;
}

struct pal_query numeric_query(const char *host, const char *service)
{
    struct pal_query query;

    memset(&query, 0, sizeof(query));
    query.host = host;
    query.service = service;
    query.type = PAL_SOCK_STREAM;
    query.flags = PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE;
    return query;
}

pal_file open_scratch_file(const void *bytes, size_t size)
{
    const char *directory = getenv("TMPDIR");
    char name[64], path[512];
    pal_file file = {0};
    int error;

    unique_name(name, sizeof(name), "palio");
    (void)snprintf(path, sizeof(path), "%s/%s", directory != NULL ? directory : "/tmp", name);
    error = pal_file_open(path, PAL_FILE_READ | PAL_FILE_WRITE | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE, 0600, &file);
    if (error == PAL_ENOTSUP)
        test_skip("files", "this backend has none");
    assert_error(error, 0);
    cr_assert_eq(remove(path), 0, "%s cannot be removed while it is open", path);
    if (size > 0)
        cr_assert_eq(pal_file_write(file, bytes, size, 0), (int32_t)size);
    return file;
}

/* ---- WORK functions ---- */

static const uint32_t *word_of(const _Atomic uint32_t *word)
{
    return (const uint32_t *)(const void *)word;
}

int32_t count_one(void *counter)
{
    return (int32_t)atomic_fetch_add((_Atomic uint32_t *)counter, 1);
}

int32_t pass_gate(void *argument)
{
    struct gate *gate = argument;

    (void)atomic_fetch_add(&gate->entered, 1);
    pal_unpark(word_of(&gate->entered), INT32_MAX);
    while (atomic_load(&gate->open) == 0)
        (void)pal_park(word_of(&gate->open), 0, UINT64_MAX);
    return PASSED_GATE;
}

void gate_until(struct gate *gate, uint32_t entered)
{
    uint32_t seen = atomic_load(&gate->entered);

    for (int i = 0; i < 500 && seen < entered; i++) {
        (void)pal_park(word_of(&gate->entered), seen, pal_clock(PAL_CLOCK_MONOTONIC) + 10 * MILLISECOND_NS);
        seen = atomic_load(&gate->entered);
    }
    cr_assert_geq(seen, entered, "%u instead of %u jobs have begun", seen, entered);
}

void gate_open(struct gate *gate)
{
    atomic_store(&gate->open, 1);
    pal_unpark(word_of(&gate->open), INT32_MAX);
}

void occupy_worker(struct rig *rig, struct busy_worker *busy, uint64_t data)
{
    memset(busy, 0, sizeof(*busy));
    busy->work.function = pass_gate;
    busy->work.argument = &busy->gate;
    busy->op = op_work(data, &busy->work);
    rig_submit(rig, &busy->op);
    gate_until(&busy->gate, 1);
}

void release_worker(struct rig *rig, struct busy_worker *busy)
{
    gate_open(&busy->gate);
    assert_error(rig_outcome(rig, &busy->op), PASSED_GATE);
}
