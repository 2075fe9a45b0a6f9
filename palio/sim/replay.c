/* replay.c: a test run with many seeds, or with the one that the environment names; and the line that replays a
 * failure. See palio/sim.h. */
#include "simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <palio/core/assertion.h>
#include <palio/core/error.h>

enum { SEEDS_DEFAULT = 1000 };

/* ---- the line ---- */

void palio__sim_tell(const char *replay, palio_sim_report *report)
{
    struct palio__sim_session *session = &palio__sim_session;
    bool fits = strlen(replay) < sizeof(report->replay);

    (void)snprintf(report->replay, sizeof(report->replay), "%.*s%s", PALIO_SIM_REPLAY_SIZE - 4, replay,
                   fits && strlen(replay) <= PALIO_SIM_REPLAY_SIZE - 4 ? "" : "...");
    if (session->was_told)
        return;
    session->was_told = true;
    if (session->closed == 0)
        (void)fprintf(stderr, "failed: %s\n", replay);
    else
        (void)fprintf(stderr, "failed: %s (trace 0x%016" PRIx64 "%s)\n", replay, session->trace_hash,
                      session->was_tainted ? ", in which the world outside had a part" : "");
}

int palio_sim_check(palio_sim *sim, int code)
{
    struct palio__sim_session *session = &palio__sim_session;
    struct pal_sim_state state;
    int error = palio__sim_usable(sim, "sim_check");

    if (error < 0)
        return error;
    if (code >= 0 || session->is_many || session->was_told)
        return code;
    state = palio__sim_state();
    session->was_told = true;
    (void)fprintf(stderr, "failed: PALIO_SIM_SEED=%" PRIu64 " (trace 0x%016" PRIx64 "%s)\n", state.seed,
                  state.trace_hash, state.tainted != 0 ? ", in which the world outside had a part" : "");
    return code;
}

/* ---- the environment ---- */

int palio__sim_number_from(const char *variable, uint64_t *number, const char *operation)
{
    const char *text = getenv(variable);
    uint64_t value = 0;

    if (text == NULL || text[0] == '\0')
        return 0;
    for (const char *at = text; *at != '\0'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (*at < '0' || *at > '9' || value > (UINT64_MAX - digit) / 10)
            return palio__refuse(PALIO_EINVAL, operation, "%s=%s: no number", variable, text);
        value = value * 10 + digit;
    }
    if (value == 0)
        return palio__refuse(PALIO_EINVAL, operation, "%s=%s: 1 is the least", variable, text);
    *number = value;
    return 0;
}

/* ---- many runs ---- */

int palio__sim_begin_many(palio_sim_report *report, const char *operation)
{
    struct palio__sim_session *session = &palio__sim_session;

    memset(report, 0, sizeof(*report));
    if (!palio__sim_is_linked(operation))
        return PALIO_ENOTSUP;
    if (session->open != NULL || session->is_many)
        return palio__refuse(PALIO_EBUSY, operation, "within a simulation, or another sweep");
    memset(session, 0, sizeof(*session));
    session->is_many = true;
    return 0;
}

void palio__sim_end_many(void)
{
    memset(&palio__sim_session, 0, sizeof(palio__sim_session));
}

int palio__sim_run_test(palio_sim_test *test, uint64_t seed, void *arg, palio_sim_report *report, const char *operation)
{
    struct palio__sim_session *session = &palio__sim_session;
    int code;

    session->opened = session->closed = 0;
    session->trace_hash = 0;
    session->was_told = session->was_tainted = false;
    report->runs++;
    report->seed = seed;
    code = test(seed, arg);
    if (session->open != NULL) {
        int left = palio_sim_close(session->open);

        if (code >= 0)
            code = left < 0
                       ? left
                       : palio__refuse(PALIO_EBUSY, operation, "seed %" PRIu64 ": a simulation is not closed", seed);
    }
    if (code >= 0 && session->opened == 0)
        code = palio__refuse(PALIO_ESTATE, operation, "seed %" PRIu64 ": no simulation was opened", seed);
    report->trace_hash = session->trace_hash;
    return code < 0 ? code : 0;
}

/* Another run with the same seed, which has to come out as the one before it did. */
static int run_again(palio_sim_test *test, uint64_t seed, void *arg, palio_sim_report *report)
{
    const struct palio__sim_session *session = &palio__sim_session;
    uint64_t hash = report->trace_hash;
    bool was_tainted = session->was_tainted;
    int code = palio__sim_run_test(test, seed, arg, report, "sim_sweep");

    if (code < 0 || report->trace_hash == hash || was_tainted || session->was_tainted)
        return code;
    return palio__refuse(PALIO_ESTATE, "sim_sweep", "seed %" PRIu64 ": 0x%016" PRIx64 ", then 0x%016" PRIx64, seed,
                         hash, report->trace_hash);
}

static int run_seed(palio_sim_test *test, uint64_t seed, void *arg, bool twice, palio_sim_report *report)
{
    char replay[48];
    int code = palio__sim_run_test(test, seed, arg, report, "sim_sweep");

    if (code == 0 && twice)
        code = run_again(test, seed, arg, report);
    if (code < 0) {
        (void)snprintf(replay, sizeof(replay), "PALIO_SIM_SEED=%" PRIu64, seed);
        palio__sim_tell(replay, report);
    }
    return code;
}

int palio_sim_sweep(palio_sim_test *test, void *arg, const palio_sim_sweep_options *options, palio_sim_report *report)
{
    static const palio_sim_sweep_options defaults;
    palio_sim_report unread;
    uint64_t first, count, only = 0;
    int code;

    PALIO__ASSERT(test != NULL, "palio_sim_sweep: no test");
    report = report != NULL ? report : &unread;
    options = options != NULL ? options : &defaults;
    code = palio__sim_begin_many(report, "sim_sweep");
    if (code < 0)
        return code;
    first = options->seed_first != 0 ? options->seed_first : 1;
    count = options->seed_count != 0 ? options->seed_count : SEEDS_DEFAULT;
    code = palio__sim_number_from("PALIO_SIM_SEEDS", &count, "sim_sweep");
    if (code == 0)
        code = palio__sim_number_from("PALIO_SIM_SEED", &only, "sim_sweep");
    if (only != 0) {
        palio__sim_session.is_replay = true;
        first = only;
        count = 1;
    }
    for (uint64_t seed = first; code == 0 && count > 0 && seed != 0; seed++, count--)
        code = run_seed(test, seed, arg, options->twice, report);
    palio__sim_end_many();
    return code;
}
