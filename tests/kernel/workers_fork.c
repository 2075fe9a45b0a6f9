/* workers_fork.c: the pool of workers in a child of fork (rule 17): it has no thread, no job and no lock held, whatever
 * the parent's threads were doing, and begins anew when it is first needed. */
#include "../conformance/jobs.h"
#include "kernel.h"
#include "support/sanitizers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { OP = 1, BUSY = 2 };

static void require_threads_after_fork(void)
{
#if defined(SANITIZER_THREAD)
    test_skip("plain-build", "ThreadSanitizer does not let a child of threads start threads");
#endif
}

/* For children: has one job done on a poll of its own. */
static void must_work_anew(void *unused)
{
    _Atomic uint32_t count = 41;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(OP, &work);
    const struct pal_event *events;
    pal_poll *poll = must_open_poll(2, 0);
    int found = 0;

    (void)unused;
    (void)alarm(20);
    must(pal_submit(poll, &op) == 0);
    while (found == 0)
        found = pal_poll_wait(poll, &events, UINT64_MAX);
    must(found == 1);
    must(events[0].kind == PAL_EV_OP && events[0].result == 41);
    must(pal_poll_close(poll) == 0);
}

struct estate {
    struct rig rig;
    struct busy_worker busy;
    struct pal_query query;
    struct pal_addr addr;
    struct pal_op waiting;
    struct pal_op reading;
    pal_file file;
    char byte;
};

static void inherit(void *arg)
{
    struct estate *estate = (struct estate *)arg;

    must(pal_cancel(estate->rig.poll, &estate->waiting) == PAL_EFORKED);
    must(pal_poll_close(estate->rig.poll) == 0);
    must(pal_file_close(estate->file) == 0); /* what the parent's op does with it is not the child's affair */
    must_work_anew(NULL);
}

Test(workers_fork, a_child_begins_with_no_job_and_workers_of_its_own)
{
    static struct estate estate;

    require_threads_after_fork();
    set_up_workers(1);
    rig_open(&estate.rig, 2);
    estate.file = open_scratch_file("x", 1);
    occupy_worker(&estate.rig, &estate.busy, BUSY);
    estate.query = numeric_query("192.0.2.7", "80");
    estate.waiting = op_resolve(OP, &estate.query, &estate.addr, 1);
    rig_submit(&estate.rig, &estate.waiting);
    estate.reading = op_file(PAL_OP_READ, estate.file, OP + 100, &estate.byte, 1, 0);
    rig_submit(&estate.rig, &estate.reading);
    in_child(inherit, &estate);
    release_worker(&estate.rig, &estate.busy);
    assert_error(rig_outcome(&estate.rig, &estate.waiting), 1);
    assert_error(rig_outcome(&estate.rig, &estate.reading), 1);
    assert_error(pal_file_close(estate.file), 0);
    rig_close(&estate.rig);
}

/* A thread that is always inside the pool, so that forks find its lock held. */
struct bustle {
    _Atomic bool over;
    int error;
};

static void keep_pool_busy(void *arg)
{
    struct bustle *bustle = (struct bustle *)arg;
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, (void *)&count};
    struct pal_op op = op_work(OP, &work);
    const struct pal_event *events;
    pal_poll *poll = NULL;

    bustle->error = pal_poll_open(&poll, NULL);
    while (!atomic_load(&bustle->over) && bustle->error == 0) {
        bustle->error = pal_submit(poll, &op);
        for (int found = 0; found == 0 && bustle->error == 0;) {
            (void)pal_cancel(poll, &op);
            found = pal_poll_wait(poll, &events, UINT64_MAX);
            if (found < 0)
                bustle->error = found;
        }
    }
    if (bustle->error == 0)
        bustle->error = pal_poll_close(poll);
}

Test(workers_fork, a_child_finds_the_pool_usable_whatever_the_parents_threads_were_at)
{
    struct bustle bustle;
    pal_thread thread;

    require_threads_after_fork();
#if defined(SANITIZER_ADDRESS)
    test_skip("plain-build", "AddressSanitizer does not see to its own locks when a busy process forks");
#endif
    set_up_workers(2);
    memset(&bustle, 0, sizeof(bustle));
    assert_error(pal_thread_start(&thread, keep_pool_busy, &bustle), 0);
    for (int i = 0; i < 30; i++)
        in_child(must_work_anew, NULL);
    atomic_store(&bustle.over, true);
    assert_error(pal_thread_join(thread), 0);
    assert_error(bustle.error, 0);
}

static int32_t fork_and_return(void *arg)
{
    pid_t child = fork();
    int status = 0;

    (void)arg;
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        return 0; /* into the pool, of which this process has none */
    }
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

Test(workers_fork, a_child_that_returns_from_work_aborts)
{
    struct pal_work work = {fork_and_return, NULL};
    struct pal_op op = op_work(OP, &work);
    struct rig rig;

    require_threads_after_fork();
    set_up_workers(1);
    rig_open(&rig, 2);
    assert_error(rig_perform(&rig, &op), SIGABRT);
    rig_close(&rig);
}
