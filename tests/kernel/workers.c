/* workers.c: what of the pool of workers only a kernel shows: look-ups that hang, threads and their signal masks, a
 * system that has no thread to give, polls that sleep and close, system calls. The linker wraps getaddrinfo,
 * pthread_create and write: so look-ups can hang, threads be refused, and a worker be caught while it rouses a poll.
 * Rules 4, 7 and 15; hole 38. Fork is in workers_fork.c. */
#include "../conformance/jobs.h"
#include "kernel.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

enum { OP = 1, BUSY = 2 };

/* ---- what is wrapped ---- */

static _Atomic bool resolver_hangs, no_threads, rousing_hangs;
static struct gate resolver; /* look-ups come to it while the resolver hangs */
static struct gate rousing;  /* workers come to it before they write to what wakes a poll */

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    if (atomic_load(&resolver_hangs))
        (void)pass_gate(&resolver);
    return __real_getaddrinfo(host, service, hints, out);
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    return atomic_load(&no_threads) ? EAGAIN : __real_pthread_create(out, attributes, function, argument);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (atomic_load(&rousing_hangs) && gettid() != getpid())
        (void)pass_gate(&rousing);
    return __real_write(fd, data, size);
}

/* ---- look-ups that hang ---- */

/* A RESOLVE with all that it needs, in memory that can be given another content. */
struct request {
    char host[16];
    char canonical[32];
    struct pal_query query;
    struct pal_addr addrs[2];
    struct pal_op op;
};

static void fill_request(struct request *request)
{
    memset(request, 0, sizeof(*request));
    memcpy(request->host, "192.0.2.7", sizeof("192.0.2.7"));
    request->query = numeric_query(request->host, "80");
    request->query.canonical = request->canonical;
    request->query.canonical_size = sizeof(request->canonical);
    request->op = op_resolve(OP, &request->query, request->addrs, 2);
}

/* Submits it to a resolver that hangs, and returns when as many look-ups as that hang in it. */
static void submit_to_hang(struct rig *rig, struct request *request, uint32_t hanging)
{
    atomic_store(&resolver_hangs, true);
    fill_request(request);
    rig_submit(rig, &request->op);
    gate_until(&resolver, hanging);
}

/* Lets the resolver go on; returns when the one worker is through with what it had. */
static void let_resolver_go(void)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    struct rig rig;

    atomic_store(&resolver_hangs, false);
    gate_open(&resolver);
    rig_open(&rig, 2);
    assert_error(rig_perform(&rig, &op), 0);
    rig_close(&rig);
}

Test(workers, a_look_up_is_cancelled_while_the_resolver_hangs_and_the_poll_closes)
{
    static struct request request, untouched;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    submit_to_hang(&rig, &request, 1);
    rig_cancel(&rig, &request.op);
    rig_cancel(&rig, &request.op);
    assert_error(rig_outcome(&rig, &request.op), PAL_ECANCELED);
    rig_silent(&rig, OP, 2);
    rig_close(&rig);
    memset(&request, 0x5a, sizeof(request));
    memset(&untouched, 0x5a, sizeof(untouched));
    let_resolver_go();
    cr_assert_arr_eq(&request, &untouched, sizeof(request), "memory of a cancelled op was touched");
}

Test(workers, memory_of_a_cancelled_look_up_can_be_freed_at_its_event)
{
    struct request *request = malloc(sizeof(*request));
    struct rig rig;

    cr_assert_not_null(request);
    set_up_workers(1);
    rig_open(&rig, 2);
    submit_to_hang(&rig, request, 1);
    rig_cancel(&rig, &request->op);
    assert_error(rig_outcome(&rig, &request->op), PAL_ECANCELED);
    free(request);
    let_resolver_go();
    rig_close(&rig);
}

Test(workers, a_look_up_that_nobody_cancels_is_waited_for)
{
    struct request request;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    submit_to_hang(&rig, &request, 1);
    rig_silent(&rig, OP, 3);
    assert_error(pal_poll_close(rig.poll), PAL_EBUSY);
    gate_open(&resolver);
    assert_error(rig_outcome(&rig, &request.op), 1);
    cr_assert_eq(request.addrs[0].bytes[0], 192);
    cr_assert_str_eq(request.canonical, "192.0.2.7");
    rig_close(&rig);
}

Test(workers, a_cancelled_op_looks_up_again_while_its_first_look_up_hangs)
{
    struct request request;
    struct rig rig;

    set_up_workers(2);
    rig_open(&rig, 2);
    submit_to_hang(&rig, &request, 1);
    rig_cancel(&rig, &request.op);
    assert_error(rig_outcome(&rig, &request.op), PAL_ECANCELED);
    atomic_store(&resolver_hangs, false);
    fill_request(&request);
    assert_error(rig_perform(&rig, &request.op), 1);
    cr_assert_eq(request.addrs[0].bytes[0], 192);
    gate_open(&resolver);
    rig_silent(&rig, OP, 3);
    rig_close(&rig);
}

Test(workers, hanging_look_ups_hold_their_workers_and_no_more)
{
    enum { WORKERS = 3 };
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(BUSY, &work);
    struct request requests[WORKERS];
    struct rig rig;

    set_up_workers(WORKERS);
    rig_open(&rig, 2);
    for (uint32_t i = 0; i < WORKERS; i++) {
        submit_to_hang(&rig, &requests[i], i + 1);
        rig_cancel(&rig, &requests[i].op);
        assert_error(rig_outcome(&rig, &requests[i].op), PAL_ECANCELED);
    }
    rig_submit(&rig, &op);
    rig_silent(&rig, BUSY, 3);
    gate_open(&resolver);
    assert_error(rig_outcome(&rig, &op), 0);
    rig_close(&rig);
}

Test(workers, a_look_up_that_ends_while_it_is_cancelled_is_real_or_cancelled)
{
    struct request request;
    struct rig rig;
    uint32_t state = 777;

    set_up_workers(2);
    rig_open(&rig, 2);
    for (int round = 0; round < 1000; round++) {
        int32_t result;

        fill_request(&request);
        rig_submit(&rig, &request.op);
        state = state * 1664525 + 1013904223;
        for (volatile uint32_t pause = state >> 20; pause > 0; pause--)
            continue;
        rig_cancel(&rig, &request.op);
        result = rig_outcome(&rig, &request.op);
        cr_assert(result == 1 || result == PAL_ECANCELED, "%s", pal_error_name(result));
        cr_assert_eq(request.addrs[0].bytes[0], result == 1 ? 192 : 0, "%s", pal_error_name(result));
    }
    cr_assert_eq(rig.kept_count, 0);
    rig_close(&rig);
}

/* ---- threads ---- */

static int threads_of_process(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = -2; /* "." and ".." */

    cr_assert_not_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

Test(workers, threads_start_when_they_are_needed_and_not_before)
{
    enum { WORKERS = 5 };
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    struct busy_worker busy[WORKERS];
    struct rig rig;
    int before = threads_of_process(), one;

    set_up_workers(WORKERS);
    rig_open(&rig, 2);
    cr_assert_eq(threads_of_process(), before, "a thread was started that nobody needs yet");
    assert_error(rig_perform(&rig, &op), 0);
    one = threads_of_process(); /* that of a sanitizer included */
    cr_assert_gt(one, before);
    for (int i = 1; i < 200; i++)
        assert_error(rig_perform(&rig, &op), i);
    cr_assert_eq(threads_of_process(), one, "one job at a time takes one worker");
    for (int i = 0; i < WORKERS; i++) {
        occupy_worker(&rig, &busy[i], BUSY + (uint64_t)i);
        cr_assert_eq(threads_of_process(), one + i);
    }
    rig_submit(&rig, &op);
    cr_assert_eq(threads_of_process(), one + WORKERS - 1);
    for (int i = 0; i < WORKERS; i++)
        release_worker(&rig, &busy[i]);
    assert_error(rig_outcome(&rig, &op), 200);
    cr_assert_eq(threads_of_process(), one + WORKERS - 1);
    rig_close(&rig);
}

Test(workers, without_a_thread_the_op_is_refused_and_later_taken)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    struct request request;
    struct rig rig;

    set_up_workers(2);
    rig_open(&rig, 2);
    atomic_store(&no_threads, true);
    fill_request(&request);
    for (int i = 0; i < 600; i++) { /* together more than there are jobs: none is lost */
        assert_error(pal_submit(rig.poll, &op), PAL_EAGAIN);
        assert_error(pal_submit(rig.poll, &request.op), PAL_EAGAIN);
    }
    atomic_store(&no_threads, false);
    rig_silent(&rig, OP, 2);
    assert_error(rig_perform(&rig, &op), 0);
    rig_close(&rig);
}

Test(workers, without_another_thread_those_that_there_are_do_the_work)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(2);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, BUSY);
    atomic_store(&no_threads, true);
    rig_submit(&rig, &op);
    release_worker(&rig, &busy);
    assert_error(rig_outcome(&rig, &op), 0);
    rig_close(&rig);
}

static int32_t tell_mask(void *argument)
{
    return pthread_sigmask(SIG_SETMASK, NULL, (sigset_t *)argument);
}

Test(workers, workers_block_signals_but_those_of_their_own_faults)
{
    static const int blocked[] = {SIGHUP, SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGALRM, SIGUSR1, SIGPROF, SIGURG};
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t before, after, workers;
    struct pal_work work = {tell_mask, &workers};
    struct pal_op op = op_work(OP, &work);
    struct rig rig;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    set_up_workers(1);
    rig_open(&rig, 2);
    assert_error(rig_perform(&rig, &op), 0);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
        cr_expect(sigismember(&workers, blocked[i]) == 1, "signal %d reaches a worker", blocked[i]);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        cr_expect(sigismember(&workers, open[i]) == 0, "fault %d is blocked in a worker", open[i]);
    for (int number = 1; number < 32; number++)
        cr_expect_eq(sigismember(&before, number), sigismember(&after, number), "submit has changed signal %d", number);
    rig_close(&rig);
}

/* ---- a poll that sleeps, a poll that closes ---- */

/* Whether the main thread sleeps in the kernel now. */
static bool main_thread_sleeps(void)
{
    char path[64], line[512] = "";
    const char *state;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    state = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

/* WORK: 1 when the main thread sleeps. */
static int32_t wait_for_sleep(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100000 && !main_thread_sleeps(); i++)
        (void)sched_yield();
    return main_thread_sleeps();
}

Test(workers, a_job_that_is_done_wakes_its_poll_from_sleep)
{
    struct pal_work work = {wait_for_sleep, NULL};
    struct pal_op op = op_work(OP, &work);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (int i = 0; i < 20; i++) {
        rig_submit(&rig, &op);
        cr_assert_eq(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX), 1, "round %d", i);
        cr_assert_eq(rig.events[0].kind, PAL_EV_OP);
        cr_assert_eq(rig.events[0].result, 1, "the worker has not seen the poll asleep");
    }
    rig_close(&rig);
}

struct closing {
    _Atomic bool begun, over;
    bool waited;
};

/* Lets the worker write when the main thread sleeps in its close, or is through with it. */
static void let_worker_rouse(void *argument)
{
    struct closing *closing = argument;

    for (int i = 0; i < 1000000; i++) {
        bool begun = atomic_load(&closing->begun), sleeps = main_thread_sleeps();

        if (atomic_load(&closing->over) || (begun && sleeps))
            break;
        (void)sched_yield();
    }
    closing->waited = !atomic_load(&closing->over);
    gate_open(&rousing);
}

/* The descriptor that it writes to would be closed by then, or somebody else's. */
Test(workers, a_poll_does_not_close_while_a_worker_rouses_it)
{
    struct pal_work work = {wait_for_sleep, NULL};
    struct pal_op op = op_work(OP, &work);
    struct closing closing;
    struct rig rig;
    pal_thread thread;

    memset(&closing, 0, sizeof(closing));
    set_up_workers(1);
    rig_open(&rig, 2);
    atomic_store(&rousing_hangs, true);
    rig_submit(&rig, &op);
    assert_error(rig_outcome(&rig, &op), 1); /* by a wait whose deadline has passed: nobody has roused it */
    gate_until(&rousing, 1);
    assert_error(pal_thread_start(&thread, let_worker_rouse, &closing), 0);
    atomic_store(&closing.begun, true);
    rig_close(&rig);
    atomic_store(&closing.over, true);
    assert_error(pal_thread_join(thread), 0);
    cr_assert(closing.waited, "a worker was at the poll when it closed");
}

/* ---- system calls ---- */

enum { TIMES = 100 };

/* While the one worker stands at a gate. */
static void submit_and_cancel(void *arg)
{
    static struct pal_op ops[TIMES];
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct busy_worker busy;
    struct rig rig;

    (void)arg;
    set_up_workers(1);
    rig_open(&rig, 256);
    occupy_worker(&rig, &busy, BUSY);
    for (uint64_t i = 0; i < TIMES; i++)
        ops[i] = op_work(OP, &work);
    syscount_begin();
    for (int i = 0; i < TIMES; i++)
        must(pal_submit(rig.poll, &ops[i]) == 0);
    for (int i = 0; i < TIMES; i++)
        must(pal_cancel(rig.poll, &ops[i]) == 0);
    must(pal_poll_wait(rig.poll, &rig.events, UINT64_MAX) == TIMES);
    syscount_end();
}

Test(workers, submitting_to_busy_workers_and_cancelling_are_no_calls)
{
    struct syscount calls = calls_of(submit_and_cancel, NULL);
    unsigned futexes = calls.by_number[SYS_futex]; /* the worker's at its gate: it tells that it has come, and sleeps */

#ifdef SYS_futex_time64 /* where registers have 32 bits */
    futexes += calls.by_number[SYS_futex_time64];
#endif
    cr_assert_leq(futexes, 2);
    cr_assert_eq(calls.total - futexes, 1); /* the wait */
}

static void sync_data(void *file)
{
    struct pal_op op = op_file(PAL_OP_SYNC, *(const pal_file *)file, OP, NULL, 0, 0);
    struct rig rig;

    rig_open(&rig, 2);
    op.flags = PAL_OP_DATA;
    syscount_begin();
    must(rig_perform(&rig, &op) == 0);
    op.flags = 0;
    must(rig_perform(&rig, &op) == 0);
    must(rig_perform(&rig, &op) == 0);
    syscount_end();
}

Test(workers, a_sync_of_data_is_one)
{
    pal_file file;
    struct syscount calls;

    set_up_workers(1);
    file = open_scratch_file("x", 1);
    calls = calls_of(sync_data, &file);
    cr_assert_eq(calls.by_number[SYS_fdatasync], 1);
    cr_assert_eq(calls.by_number[SYS_fsync], 2);
    assert_error(pal_file_close(file), 0);
}
