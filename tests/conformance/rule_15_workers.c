/* rule_15_workers.c: the pool of workers. It is there when the program asked for it, it is bounded in threads and in
 * jobs, jobs begin in the order in which they came, and whichever poll a job is of, that poll is woken. */
#include "jobs.h"

enum { JOBS_MAX = 1024 }; /* that wait, run or are done and not seen yet */

/* ---- how many ---- */

Test(rule_15_workers, more_workers_than_there_may_be_are_refused)
{
    struct pal_setup setup;

    memset(&setup, 0, sizeof(setup));
    setup.workers_max = 257;
    if (pal_setup(&setup) == PAL_ENOTSUP)
        test_skip("workers", "this backend has no worker threads");
    assert_error(pal_setup(&setup), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    setup.workers_max = 256;
    assert_error(pal_setup(&setup), 0);
}

/* Jobs that count how many of them are there at once. */
struct crowd {
    _Atomic uint32_t present, most;
};

static int32_t join_crowd(void *argument)
{
    struct crowd *crowd = argument;
    uint32_t present = atomic_fetch_add(&crowd->present, 1) + 1, most = atomic_load(&crowd->most);

    while (most < present && !atomic_compare_exchange_weak(&crowd->most, &most, present))
        continue;
    for (volatile int i = 0; i < 1000; i++)
        continue;
    (void)atomic_fetch_sub(&crowd->present, 1);
    return 0;
}

Test(rule_15_workers, no_more_jobs_run_at_once_than_there_are_workers)
{
    enum { WORKERS = 3, JOBS = 600 };
    static struct pal_op ops[JOBS];
    struct crowd crowd;
    struct pal_work work = {join_crowd, &crowd};
    struct rig rig;

    set_up_workers(WORKERS);
    rig_open(&rig, 256);
    memset(&crowd, 0, sizeof(crowd));
    for (uint64_t i = 0; i < JOBS; i++) {
        ops[i] = op_work(i, &work);
        rig_submit(&rig, &ops[i]);
    }
    for (uint64_t i = 0; i < JOBS; i++)
        assert_error(rig_outcome(&rig, &ops[i]), 0);
    cr_assert_leq(atomic_load(&crowd.most), WORKERS, "%u ran at once", atomic_load(&crowd.most));
    rig_close(&rig);
}

Test(rule_15_workers, as_many_jobs_run_at_once_as_there_are_workers)
{
    enum { WORKERS = 4 };
    struct gate gate;
    struct pal_work work = {pass_gate, &gate};
    struct pal_op ops[WORKERS + 1];
    struct rig rig;

    set_up_workers(WORKERS);
    rig_open(&rig, 2);
    memset(&gate, 0, sizeof(gate));
    for (uint64_t i = 0; i < WORKERS + 1; i++) {
        ops[i] = op_work(i, &work);
        rig_submit(&rig, &ops[i]);
    }
    gate_until(&gate, WORKERS);
    rig_silent(&rig, WORKERS, 3);
    cr_assert_eq(atomic_load(&gate.entered), WORKERS, "one too many has begun");
    gate_open(&gate);
    for (int i = 0; i < WORKERS + 1; i++)
        assert_error(rig_outcome(&rig, &ops[i]), PASSED_GATE);
    rig_close(&rig);
}

/* ---- in which order ---- */

struct place {
    _Atomic uint32_t *served;
    uint32_t mine; /* how many were served before me */
};

static int32_t take_place(void *argument)
{
    struct place *place = argument;

    place->mine = atomic_fetch_add(place->served, 1);
    return 0;
}

Test(rule_15_workers, jobs_begin_in_the_order_in_which_they_were_submitted)
{
    enum { JOBS = 100 };
    _Atomic uint32_t served = 0;
    struct place places[JOBS];
    struct pal_work works[JOBS];
    struct pal_op ops[JOBS];
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 256);
    occupy_worker(&rig, &busy, JOBS);
    for (uint64_t i = 0; i < JOBS; i++) {
        places[i] = (struct place){&served, UINT32_MAX};
        works[i] = (struct pal_work){take_place, &places[i]};
        ops[i] = op_work(i, &works[i]);
        rig_submit(&rig, &ops[i]);
    }
    for (int i = 0; i < JOBS; i += 3) /* what is taken back out of the middle does not disturb the rest */
        rig_cancel(&rig, &ops[i]);
    release_worker(&rig, &busy);
    for (uint32_t i = 0, expected = 0; i < JOBS; i++) {
        assert_error(rig_outcome(&rig, &ops[i]), i % 3 == 0 ? PAL_ECANCELED : 0);
        cr_assert_eq(places[i].mine, i % 3 == 0 ? UINT32_MAX : expected++, "job %u was served as number %u", i,
                     places[i].mine);
    }
    rig_close(&rig);
}

Test(rule_15_workers, events_come_in_the_order_in_which_jobs_end)
{
    enum { JOBS = 100 };
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op ops[JOBS];
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    occupy_worker(&rig, &busy, JOBS);
    for (uint64_t i = 0; i < JOBS; i++) {
        ops[i] = op_work(i, &work);
        rig_submit(&rig, &ops[i]);
    }
    release_worker(&rig, &busy);
    for (int waits = 0; rig.kept_count < JOBS && waits < 500; waits++)
        (void)rig_turn(&rig, 10 * MILLISECOND_NS);
    cr_assert_eq(rig.kept_count, JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
        cr_assert_eq(rig.kept[i].data, i);
        cr_assert_eq(rig.kept[i].result, (int32_t)i);
    }
    rig_close(&rig);
}

/* ---- how many may wait ---- */

Test(rule_15_workers, a_job_too_many_is_refused_and_there_is_room_again_later)
{
    static struct pal_op ops[JOBS_MAX];
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op refused = op_work(JOBS_MAX, &work);
    struct busy_worker busy;
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    for (int round = 0; round < 2; round++) {
        occupy_worker(&rig, &busy, JOBS_MAX + 1);
        for (uint64_t i = 0; i < JOBS_MAX - 1; i++) {
            ops[i] = op_work(i, &work);
            rig_submit(&rig, &ops[i]);
        }
        for (int i = 0; i < 3; i++) {
            assert_error(pal_submit(rig.poll, &refused), PAL_ENOBUFS);
            cr_assert_str_neq(pal_reason(), "");
        }
        rig_cancel(&rig, &ops[500]);
        assert_error(rig_outcome(&rig, &ops[500]), PAL_ECANCELED);
        rig_submit(&rig, &ops[500]); /* what is taken back makes room at once */
        assert_error(pal_submit(rig.poll, &refused), PAL_ENOBUFS);
        release_worker(&rig, &busy);
        for (int i = 0; i < JOBS_MAX - 1; i++)
            cr_assert_geq(rig_outcome(&rig, &ops[i]), 0);
    }
    cr_assert_eq(atomic_load(&count), 2 * (JOBS_MAX - 1));
    rig_silent(&rig, JOBS_MAX, 2);
    rig_close(&rig);
}

/* ---- many, one after another ---- */

/* Submits ops count times in all, each again from its own event, at most window of them out at once. */
static void run_through(struct rig *rig, struct pal_op *ops, uint32_t window, uint32_t count)
{
    uint32_t submitted = 0, seen = 0;

    for (; submitted < window; submitted++)
        rig_submit(rig, &ops[submitted]);
    while (seen < count) {
        int found = pal_poll_wait(rig->poll, &rig->events, UINT64_MAX); /* a lost wake hangs, which the timeout tells */

        cr_assert_geq(found, 0, "%s", pal_error_name(found));
        for (int i = 0; i < found; i++, seen++) {
            cr_assert_eq(rig->events[i].kind, PAL_EV_OP);
            cr_assert_geq(rig->events[i].result, 0);
            if (submitted < count) {
                rig_submit(rig, &ops[rig->events[i].data]);
                submitted++;
            }
        }
    }
}

Test(rule_15_workers, ten_thousand_jobs_through_arrays_of_any_size)
{
    enum { WINDOW = 64, JOBS = 10000 };
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op ops[WINDOW];

    set_up_workers(2);
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;

        rig_open(&rig, events_max);
        atomic_store(&count, 0);
        for (uint64_t i = 0; i < WINDOW; i++)
            ops[i] = op_work(i, &work);
        run_through(&rig, ops, WINDOW, JOBS);
        cr_assert_eq(atomic_load(&count), JOBS, "%u jobs were done", atomic_load(&count));
        rig_close(&rig);
    }
}

Test(rule_15_workers, a_job_that_is_done_wakes_a_wait_without_end)
{
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};
    struct pal_op op = op_work(0, &work);
    struct rig rig;

    set_up_workers(1);
    rig_open(&rig, 2);
    run_through(&rig, &op, 1, 3000);
    cr_assert_eq(atomic_load(&count), 3000);
    rig_close(&rig);
}

/* ---- several polls ---- */

Test(rule_15_workers, each_poll_gets_the_events_of_its_own_jobs)
{
    enum { POLLS = 5, JOBS = 40 };
    static struct rig rigs[POLLS];
    static struct pal_op ops[POLLS][JOBS];
    _Atomic uint32_t count = 0;
    struct pal_work work = {count_one, &count};

    set_up_workers(2);
    for (int i = 0; i < POLLS; i++)
        rig_open(&rigs[i], 2);
    for (uint64_t j = 0; j < JOBS; j++) {
        for (uint64_t i = 0; i < POLLS; i++) {
            ops[i][j] = op_work(i * JOBS + j, &work);
            rig_submit(&rigs[i], &ops[i][j]);
        }
    }
    for (int i = POLLS - 1; i >= 0; i--) {
        for (int j = 0; j < JOBS; j++)
            cr_assert_geq(rig_outcome(&rigs[i], &ops[i][j]), 0);
        cr_assert_eq(rigs[i].kept_count, 0, "an event of another poll's job came here");
        rig_close(&rigs[i]);
    }
    cr_assert_eq(atomic_load(&count), POLLS * JOBS);
}

struct submitter {
    _Atomic uint32_t *count; /* of jobs done, of all submitters */
    uint32_t seen;
    int error;
};

/* A thread with a poll of its own, through which it has jobs done. */
static void submit_many(void *argument)
{
    enum { WINDOW = 8, JOBS = 1000 };
    struct submitter *submitter = argument;
    struct pal_work work = {count_one, (void *)submitter->count};
    struct pal_op ops[WINDOW];
    const struct pal_event *events;
    uint32_t submitted = 0;
    pal_poll *poll = NULL;

    submitter->error = pal_poll_open(&poll, NULL);
    for (; submitted < WINDOW && submitter->error == 0; submitted++) {
        ops[submitted] = op_work(submitted, &work);
        submitter->error = pal_submit(poll, &ops[submitted]);
    }
    while (submitter->seen < JOBS && submitter->error == 0) {
        int found = pal_poll_wait(poll, &events, UINT64_MAX);

        if (found < 0)
            submitter->error = found;
        for (int i = 0; i < found && submitter->error == 0; i++) {
            submitter->seen++;
            if (submitted < JOBS) {
                submitter->error = pal_submit(poll, &ops[events[i].data]);
                submitted++;
            }
        }
    }
    if (submitter->error == 0)
        submitter->error = pal_poll_close(poll);
}

Test(rule_15_workers, threads_with_polls_of_their_own_share_the_pool)
{
    enum { THREADS = 6, JOBS = 1000 };
    _Atomic uint32_t count = 0;
    struct submitter submitters[THREADS];
    pal_thread threads[THREADS];

    set_up_workers(3);
    for (int i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){&count, 0, 0};
        assert_error(pal_thread_start(&threads[i], submit_many, &submitters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        assert_error(submitters[i].error, 0);
        cr_assert_eq(submitters[i].seen, JOBS);
    }
    cr_assert_eq(atomic_load(&count), THREADS * JOBS);
}
