/* explore.c: a test run with every order of what can happen: depth first through the choices of its runs.
 *
 * A run is given a list of choices, and takes the first option wherever the list has ended. What it chose, and among
 * how many, leads to the next list: its last choice that has another option takes that, and the list ends there. So no
 * schedule comes twice, and none is left out. See palio/sim.h. */
#include "simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <palio/core/assertion.h>
#include <palio/core/error.h>
#include <palio/core/memory.h>

enum { DEPTH_DEFAULT = 64, DEPTH_MAX = 65536, RUNS_DEFAULT = 10000 };

struct exploration {
    palio_sim_test *test;
    void *arg;
    palio_sim_report *report;
    uint64_t seed, runs_max;
    uint32_t depth;
    uint32_t length;             /* of the list that the next run is given */
    uint32_t *given;             /* room for depth */
    struct pal_sim_choice *made; /* by the last run; room for depth */
    struct pal_sim_choice *path; /* as far as the next run has to make them again; room for depth */
    bool is_replay;              /* the environment has given the list */
};

/* ---- memory ---- */

static void release(struct exploration *exploration)
{
    size_t depth = exploration->depth;

    palio__free(exploration->given, depth * sizeof(uint32_t), _Alignof(uint32_t));
    palio__free(exploration->made, depth * sizeof(struct pal_sim_choice), _Alignof(struct pal_sim_choice));
    palio__free(exploration->path, depth * sizeof(struct pal_sim_choice), _Alignof(struct pal_sim_choice));
}

static int reserve(struct exploration *exploration)
{
    size_t depth = exploration->depth;

    exploration->given = palio__alloc(depth * sizeof(uint32_t), _Alignof(uint32_t));
    exploration->made = palio__alloc(depth * sizeof(struct pal_sim_choice), _Alignof(struct pal_sim_choice));
    exploration->path = palio__alloc(depth * sizeof(struct pal_sim_choice), _Alignof(struct pal_sim_choice));
    if (exploration->given != NULL && exploration->made != NULL && exploration->path != NULL)
        return 0;
    return palio__refuse(PALIO_ENOMEM, "sim_explore", "%u choices", (unsigned)depth);
}

/* ---- the list as text: "0,2,1" ---- */

/* Reads the list of the environment, if there is one. PALIO_EINVAL. */
static int read_given(struct exploration *exploration)
{
    const char *text = getenv("PALIO_SIM_CHOICES"), *at = text;

    if (text == NULL || text[0] == '\0')
        return 0;
    exploration->is_replay = true;
    for (;;) {
        uint64_t option = 0;
        size_t digits = strspn(at, "0123456789");

        for (size_t i = 0; i < digits && option <= UINT32_MAX; i++)
            option = option * 10 + (uint64_t)(at[i] - '0');
        at += digits;
        if (digits == 0 || option > UINT32_MAX || (*at != ',' && *at != '\0'))
            return palio__refuse(PALIO_EINVAL, "sim_explore", "PALIO_SIM_CHOICES: no list such as 0,2,1");
        if (exploration->length == exploration->depth)
            return palio__refuse(PALIO_EINVAL, "sim_explore", "PALIO_SIM_CHOICES: longer than the depth");
        exploration->given[exploration->length++] = (uint32_t)option;
        if (*at++ == '\0')
            return 0;
    }
}

/* How much of the list tells something: what it has not is the first option all the same. */
static uint32_t length_of(const struct exploration *exploration)
{
    uint32_t length = exploration->length;

    while (length > 0 && exploration->given[length - 1] == 0)
        length--;
    return length;
}

static void tell(const struct exploration *exploration)
{
    uint32_t length = length_of(exploration);
    size_t size = 64 + (size_t)length * 11; /* ten digits and a comma each */
    char *text = palio__alloc(size, 1);
    size_t at;

    if (text == NULL)
        return;
    at = (size_t)snprintf(text, size, "PALIO_SIM_SEED=%" PRIu64 " PALIO_SIM_CHOICES=", exploration->seed);
    for (uint32_t i = 0; i < length; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRIu32, i > 0 ? "," : "", exploration->given[i]);
    if (length == 0)
        (void)snprintf(text + at, size - at, "0");
    palio__sim_tell(text, exploration->report);
    palio__free(text, size, 1);
}

/* ---- going through ---- */

/* Whether the run has gone where it was sent: the same choices among as many as the run before it had. */
static bool went_as_sent(const struct exploration *exploration, uint32_t made_count)
{
    if (exploration->is_replay)
        return true;
    if (made_count < exploration->length)
        return false;
    for (uint32_t i = 0; i < exploration->length; i++) {
        if (exploration->made[i].option != exploration->path[i].option ||
            exploration->made[i].count != exploration->path[i].count)
            return false;
    }
    return true;
}

static int run(struct exploration *exploration, uint32_t *made_count)
{
    struct palio__sim_session *session = &palio__sim_session;
    int code;

    session->depth = exploration->depth;
    session->choices = exploration->given;
    session->choice_count = exploration->length;
    session->made.choices = exploration->made;
    session->made.size = exploration->depth;
    session->made.count = 0;
    code =
        palio__sim_run_test(exploration->test, exploration->seed, exploration->arg, exploration->report, "sim_explore");
    *made_count = session->made.count < exploration->depth ? session->made.count : exploration->depth;
    if (code == 0 && session->opened != 1)
        return palio__refuse(PALIO_ESTATE, "sim_explore", "%u simulations in a run: one is explored",
                             (unsigned)session->opened);
    if (code == 0 && !went_as_sent(exploration, *made_count))
        return palio__refuse(PALIO_ESTATE, "sim_explore", "the same choices led somewhere else");
    return code;
}

/* Makes the list of the next run out of what the last one chose. False: there is none. */
static bool next(struct exploration *exploration, uint32_t made_count)
{
    const struct pal_sim_choice *made = exploration->made;
    uint32_t length = made_count;

    while (length > 0 && made[length - 1].option + 1 >= made[length - 1].count)
        length--;
    if (length == 0)
        return false;
    memcpy(exploration->path, made, length * sizeof(*made));
    exploration->path[length - 1].option++;
    for (uint32_t i = 0; i < length; i++)
        exploration->given[i] = exploration->path[i].option;
    exploration->length = length;
    return true;
}

static int go_through(struct exploration *exploration)
{
    palio_sim_report *report = exploration->report;
    bool was_cut = exploration->is_replay;
    uint32_t made_count;

    for (;;) {
        int code = run(exploration, &made_count);

        if (code < 0) {
            tell(exploration);
            return code;
        }
        was_cut |= made_count == exploration->depth;
        if (exploration->is_replay)
            return 0;
        if (!next(exploration, made_count)) {
            report->complete = !was_cut;
            return 0;
        }
        if (report->runs >= exploration->runs_max)
            return 0;
    }
}

int palio_sim_explore(palio_sim_test *test, void *arg, const palio_sim_explore_options *options,
                      palio_sim_report *report)
{
    static const palio_sim_explore_options defaults;
    palio_sim_report unread;
    struct exploration exploration = {.test = test, .arg = arg};
    int code;

    PALIO__ASSERT(test != NULL, "palio_sim_explore: no test");
    options = options != NULL ? options : &defaults;
    exploration.report = report != NULL ? report : &unread;
    exploration.seed = options->seed != 0 ? options->seed : 1;
    exploration.runs_max = options->runs_max != 0 ? options->runs_max : RUNS_DEFAULT;
    exploration.depth = options->depth != 0 ? options->depth : DEPTH_DEFAULT;
    code = palio__sim_begin_many(exploration.report, "sim_explore");
    if (code < 0)
        return code;
    if (exploration.depth > DEPTH_MAX)
        code =
            palio__refuse(PALIO_EINVAL, "sim_explore", "a depth of %u, 65536 is the most", (unsigned)exploration.depth);
    if (code == 0)
        code = palio__sim_number_from("PALIO_SIM_SEED", &exploration.seed, "sim_explore");
    if (code == 0) {
        code = reserve(&exploration);
        if (code == 0)
            code = read_given(&exploration);
        palio__sim_session.is_replay = exploration.is_replay;
        if (code == 0)
            code = go_through(&exploration);
        release(&exploration);
    }
    palio__sim_end_many();
    return code;
}
