/* tests/sim/test_kit_elsewhere.c: palio/sim.h on a backend that is no simulator: every function says so. */
#include "support/test.h"

#include <palio/sim.h>

static int never(uint64_t seed, void *arg)
{
    (void)seed;
    (void)arg;
    cr_assert_fail("a test is run without a simulator");
    return 0;
}

static int main_of_host(void *arg)
{
    (void)arg;
    return 0;
}

static void callback(void *arg)
{
    (void)arg;
}

static void assert_refused(int code, const char *operation)
{
    const palio_error *last = palio_last_error();

    cr_assert_eq(code, PALIO_ENOTSUP, "%s", operation);
    cr_assert_eq(last->code, PALIO_ENOTSUP);
    cr_assert_str_eq(last->operation, operation);
    cr_assert(strstr(last->object, "link libpal-sim") != NULL, "%s", last->object);
}

Test(kit_elsewhere, cannot_be_opened)
{
    palio_sim *sim;

    assert_refused(palio_sim_open(&sim, NULL), "sim_open");
    cr_assert_null(sim);
    cr_assert_eq(palio_sim_close(sim), 0);
}

Test(kit_elsewhere, runs_no_tests)
{
    palio_sim_report report;

    assert_refused(palio_sim_sweep(never, NULL, NULL, &report), "sim_sweep");
    cr_assert_eq(report.runs, 0);
    assert_refused(palio_sim_explore(never, NULL, NULL, &report), "sim_explore");
    cr_assert_eq(report.runs, 0);
    cr_assert_not(report.complete);
}

Test(kit_elsewhere, every_function_says_so)
{
    const palio_sim_faults faults = {.loss_ppm = 1};
    palio_sim_host *host;

    assert_refused(palio_sim_add_host(NULL, &host, "a", "10.0.0.1", main_of_host, NULL), "sim_add_host");
    cr_assert_null(host);
    assert_refused(palio_sim_add_server(NULL, &host, "a", "10.0.0.1", main_of_host, NULL), "sim_add_host");
    assert_refused(palio_sim_use_host(NULL, &host, 1, main_of_host, NULL), "sim_use_host");
    assert_refused(palio_sim_result(NULL), "sim_result");
    assert_refused(palio_sim_run(NULL, 1), "sim_run");
    assert_refused(palio_sim_at(NULL, 1, callback, NULL), "sim_at");
    assert_refused(palio_sim_set_faults(NULL, &faults), "sim_set_faults");
    assert_refused(palio_sim_set_link(NULL, NULL, NULL, &faults), "sim_set_link");
    assert_refused(palio_sim_partition(NULL, NULL, NULL), "sim_partition");
    assert_refused(palio_sim_heal(NULL, NULL, NULL), "sim_heal");
    assert_refused(palio_sim_crash(NULL), "sim_crash");
    assert_refused(palio_sim_restart(NULL), "sim_restart");
    assert_refused(palio_sim_pause(NULL), "sim_pause");
    assert_refused(palio_sim_resume(NULL), "sim_resume");
    assert_refused(palio_sim_clock_jump(NULL, 1), "sim_clock_jump");
    assert_refused(palio_sim_check(NULL, 0), "sim_check");
}

Test(kit_elsewhere, numbers_are_zero)
{
    cr_assert_eq(palio_sim_now(NULL), 0);
    cr_assert_eq(palio_sim_seed(NULL), 0);
    cr_assert_eq(palio_sim_trace_hash(NULL), 0);
    cr_assert_eq(palio_sim_allocations(NULL), 0);
    cr_assert_eq(palio_sim_count(NULL).frames, 0);
    cr_assert_not(palio_sim_tainted(NULL));
}
