/* allocation.c: after pal_poll_open nothing is allocated: an echo by try, by op and by lease, its connections coming
 * and going, and what workers do, but for looking names up, leave the allocator of pal_setup alone, and the C library's
 * too. The latter is counted where it can be replaced: with glibc, without sanitizers. */
#include "../conformance/jobs.h"
#include "kernel.h"
#include "support/sanitizers.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic unsigned allocations;
static _Atomic bool counts;

static void count_allocation(void)
{
    if (atomic_load_explicit(&counts, memory_order_relaxed))
        atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

#if defined(__GLIBC__) && !defined(SANITIZER_ADDRESS) && !defined(SANITIZER_THREAD)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    count_allocation();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_allocation();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    count_allocation();
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count_allocation();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = __libc_memalign(alignment, size);

    count_allocation();
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

#endif

/* ---- the allocator of pal_setup ---- */

struct ledger {
    unsigned taken, returned;
    size_t bytes; /* out now */
    bool empty;   /* refuses from now on */
};

static void *ledger_alloc(void *context, size_t size, size_t alignment)
{
    struct ledger *ledger = (struct ledger *)context;
    size_t unit = alignment < sizeof(void *) ? sizeof(void *) : alignment;

    if (ledger->empty)
        return NULL;
    count_allocation();
    ledger->taken++;
    ledger->bytes += size;
    return aligned_alloc(unit, (size + unit - 1) / unit * unit);
}

static void ledger_free(void *context, void *memory, size_t size)
{
    struct ledger *ledger = (struct ledger *)context;

    ledger->returned++;
    ledger->bytes -= size;
    free(memory);
}

static void set_up_with_workers(struct ledger *ledger, uint32_t workers_max)
{
    struct pal_allocator allocator = {ledger_alloc, ledger_free, ledger};
    struct pal_setup setup;

    memset(ledger, 0, sizeof(*ledger));
    memset(&setup, 0, sizeof(setup));
    setup.allocator = &allocator;
    setup.workers_max = workers_max;
    assert_error(pal_setup(&setup), 0);
}

static void set_up(struct ledger *ledger)
{
    set_up_with_workers(ledger, 0);
}

/* ---- the echo ---- */

enum { CONNECTIONS = 20, MESSAGES = 20 };

/* One message to and fro over sock; nothing in here may allocate, so failures are told by the result. */
static int echo_message(pal_poll *poll, enum receive_mode mode, pal_sock sock, char *bytes)
{
    const struct pal_event *events;
    struct pal_op receive = op_recv(sock, 1, bytes, 64), send = op_send(sock, 2, bytes, 64);
    struct pal_lease lease;
    int count = 0;

    if (mode == BY_OP && pal_submit(poll, &receive) != 0)
        return -1;
    for (int i = 0; i < 500 && count == 0; i++)
        count = pal_poll_wait(poll, &events, deadline_ms(10));
    if (count != 1)
        return -2;
    if (mode == BY_WATCH)
        return pal_sock_recv(sock, bytes, 64, 0) == 64 && pal_sock_send(sock, bytes, 64, 0) == 64 ? 0 : -3;
    if (mode == BY_OP)
        return receive.result == 64 && pal_submit(poll, &send) == 1 && send.result == 64 ? 0 : -4;
    return pal_lease_recv(sock, &lease, 1) == 1 && pal_lease_send(sock, &lease, 1) == 1 ? 0 : -5;
}

static int echo_connection(pal_poll *poll, enum receive_mode mode, pal_sock listener, const struct pal_addr *addr)
{
    char bytes[64] = {0};
    pal_sock client, server;
    struct pal_wait item;
    int error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client);

    if (error != 0)
        return error;
    (void)pal_sock_connect(client, addr);
    item = (struct pal_wait){listener, PAL_IN, 0, 0};
    if (pal_sock_wait(&item, 1, deadline_ms(5000)) != 1 || pal_sock_accept(listener, &server, NULL) != 0)
        return -6;
    if (mode != BY_OP)
        error = pal_watch(poll, server, mode == BY_LEASE ? PAL_IN | PAL_LEASE : PAL_IN, 1);
    for (int i = 0; i < MESSAGES && error == 0; i++) {
        if (pal_sock_send(client, bytes, 64, 0) != 64)
            return -7;
        error = echo_message(poll, mode, server, bytes);
        item = (struct pal_wait){client, PAL_IN, 0, 0};
        if (error == 0 &&
            (pal_sock_wait(&item, 1, deadline_ms(5000)) != 1 || pal_sock_recv(client, bytes, 64, 0) != 64))
            error = -8;
    }
    if (error == 0 && mode != BY_OP)
        error = pal_watch(poll, server, 0, 0);
    if (error == 0)
        error = pal_sock_close(server);
    return error != 0 ? error : pal_sock_close(client);
}

static void an_echo_allocates_nothing(enum receive_mode mode)
{
    struct ledger ledger;
    struct rig rig;
    struct pal_addr addr;
    pal_sock listener;
    int error = 0;

    set_up(&ledger);
    rig_open(&rig, 256);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(echo_connection(rig.poll, mode, listener, &addr), 0);
    atomic_store(&counts, true);
    for (int i = 0; i < CONNECTIONS && error == 0; i++)
        error = echo_connection(rig.poll, mode, listener, &addr);
    (void)pal_poll_wake(rig.poll);
    (void)pal_flush(rig.poll);
    atomic_store(&counts, false);
    assert_error(error, 0);
    cr_assert_eq(atomic_load(&allocations), 0, "%u allocations in mode %d", atomic_load(&allocations), mode);
    (void)rig_until(&rig, 0, PAL_EV_WAKE);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
    cr_assert_eq(ledger.taken, ledger.returned);
    cr_assert_eq(ledger.bytes, 0, "sizes given back differ from those taken");
}

Test(allocation, an_echo_by_try_allocates_nothing)
{
    an_echo_allocates_nothing(BY_WATCH);
}

Test(allocation, an_echo_by_op_allocates_nothing)
{
    an_echo_allocates_nothing(BY_OP);
}

Test(allocation, an_echo_by_lease_allocates_nothing)
{
    an_echo_allocates_nothing(BY_LEASE);
}

/* ---- workers ---- */

/* 0, or what went wrong, where nothing may allocate. */
static int perform(pal_poll *poll, struct pal_op *op)
{
    const struct pal_event *events;
    int error = pal_submit(poll, op), count = 0;

    while (error == 0 && count == 0)
        error = count = pal_poll_wait(poll, &events, UINT64_MAX);
    return error < 0 ? error : op->result;
}

Test(allocation, ten_thousand_jobs_allocate_nothing)
{
    struct ledger ledger;
    struct rig rig;
    _Atomic uint32_t done = 0;
    struct pal_work work = {count_one, &done};
    struct pal_op ops[4];
    char byte = 'x';
    pal_file file;
    int result = 0;

    set_up_with_workers(&ledger, 1);
    rig_open(&rig, 2);
    file = open_scratch_file("x", 1);
    ops[0] = op_work(1, &work);
    ops[1] = op_file(PAL_OP_READ, file, 2, &byte, 1, 0);
    ops[2] = op_file(PAL_OP_WRITE, file, 3, &byte, 1, 0);
    ops[3] = op_file(PAL_OP_SYNC, file, 4, NULL, 0, 0);
    assert_error(perform(rig.poll, &ops[0]), 0); /* the thread's start, for which the system allocates */
    atomic_store(&counts, true);
    for (int i = 0; i < 10000 && result >= 0; i++)
        result = perform(rig.poll, &ops[i % 3]);
    if (result >= 0)
        result = perform(rig.poll, &ops[3]);
    atomic_store(&counts, false);
    assert_error(result, 0);
    cr_assert_eq(atomic_load(&allocations), 0, "%u allocations", atomic_load(&allocations));
    assert_error(pal_file_close(file), 0);
    rig_close(&rig);
    cr_assert_eq(ledger.bytes, 0);
}

Test(allocation, a_look_up_gives_back_what_it_takes)
{
    struct ledger ledger;
    struct rig rig;
    struct busy_worker busy;
    struct pal_query query = numeric_query("192.0.2.7", "80");
    struct pal_addr addr;
    struct pal_op op = op_resolve(1, &query, &addr, 1);
    size_t before;

    set_up_with_workers(&ledger, 1);
    rig_open(&rig, 2);
    before = ledger.bytes;
    for (int i = 0; i < 10; i++)
        assert_error(rig_perform(&rig, &op), 1);
    occupy_worker(&rig, &busy, 2);
    rig_submit(&rig, &op);
    cr_assert_gt(ledger.bytes, before);
    rig_cancel(&rig, &op);
    assert_error(rig_outcome(&rig, &op), PAL_ECANCELED);
    cr_assert_eq(ledger.bytes, before, "%d bytes are left", (int)(ledger.bytes - before));
    ledger.empty = true;
    assert_error(pal_submit(rig.poll, &op), PAL_ENOMEM);
    ledger.empty = false;
    release_worker(&rig, &busy);
    rig_close(&rig);
    cr_assert_eq(ledger.bytes, 0);
}

Test(allocation, the_counter_counts)
{
    void *memory;

    atomic_store(&counts, true);
    memory = ledger_alloc(&(struct ledger){0}, 64, 64);
    atomic_store(&counts, false);
    free(memory);
    cr_assert_geq(atomic_load(&allocations), 1);
}

Test(allocation, all_of_a_polls_memory_is_the_programs)
{
    struct ledger ledger;
    struct rig rig;

    set_up(&ledger);
    rig_open(&rig, 256);
    cr_assert_gt(ledger.taken, 0, "the allocator of pal_setup is not used");
    rig_close(&rig);
    cr_assert_eq(ledger.taken, ledger.returned);
    cr_assert_eq(ledger.bytes, 0);
}

Test(allocation, a_poll_that_gets_no_memory_is_refused_and_leaves_nothing)
{
    struct ledger ledger;
    pal_poll *poll = NULL;
    int before;

    set_up(&ledger);
    ledger.empty = true;
    before = descriptors_open();
    assert_error(pal_poll_open(&poll, NULL), PAL_ENOMEM);
    cr_assert_eq(descriptors_open(), before);
    ledger.empty = false;
    assert_error(pal_poll_open(&poll, NULL), 0);
    assert_error(pal_poll_close(poll), 0);
    cr_assert_eq(ledger.taken, ledger.returned);
}
