/* execute_wait.c: waits, and what every event of them is held against. Rules 1, 8, 9, 12 and 13 of docs/seam.md. */
#include <string.h>

#include "execute.h"

enum {
    ROOMY = 128, /* events_max of a poll that can report at once whatever the model has due */
    ARRIVAL_WAITS_MAX = 50000
};
static const uint64_t ARRIVAL_WAIT_NS = 100000, VIRTUAL_STEP_NS = 50000;
static const uint64_t NOTHING_WAIT_NS = 50000;          /* for a wait that is to find nothing */
static const uint64_t BOUND_NS = UINT64_C(10000000000); /* for one that is to find something */

/* What has been seen while a poll settles, and what of that the contract fixes. */
static struct {
    uint32_t seen[SOCKS_MAX];
    uint32_t now[SOCKS_MAX]; /* the same of the last wait alone */
    bool starved[SOCKS_MAX], fired[SOCKS_MAX];
    bool fed[POLLS_MAX];  /* an op gave leases back */
    bool lean[SOCKS_MAX]; /* had wanted leases before: what is told of it then depends on who was first */
    bool jobs[JOBS_MAX], children[CHILDREN_MAX];
    char finished[REQUESTS_MAX][64]; /* empty: not finished */
} session;

/* What a wait has to report, and what it may. */
struct due {
    struct readiness socks[SOCKS_MAX];
    enum level requests[REQUESTS_MAX];
    bool woken, signals[SIGNALS_MAX];
    bool any; /* something is due for sure */
};

static uint64_t deadline_in(uint64_t timeout_ns)
{
    return pal_clock(PAL_CLOCK_MONOTONIC) + timeout_ns;
}

/* ---- arrival ---- */

static bool has_arrived(const struct end *end, pal_sock handle)
{
    struct pal_wait item = {.sock = handle, .interest = PAL_IN | PAL_RDHUP};
    int32_t there = 0;
    size_t size = sizeof(there);

    REQUIRE(pal_sock_wait(&item, 1, 0) >= 0, "pal_sock_wait fails while something is to arrive");
    if (end->stage == LISTENING || end->kind == UDP4 || end->tainted)
        return level_in(end) != SURELY || item.ready != 0;
    if (end->in.ended && !(item.ready & PAL_RDHUP))
        return false;
    return end->in.amount != EXACT ||
           (pal_sock_get(handle, PAL_SO_NREAD, &there, &size) == 0 && (uint64_t)there >= in_flight(&end->in));
}

/* A stack beside the kernel is on its way in waits alone (rule 11). */
void pass_time(const struct model *model)
{
    if (model->has_virtual_time || model->is_in_stack[TCP4])
        pal_sock_wait(NULL, 0, deadline_in(VIRTUAL_STEP_NS));
}

void arrive(struct model *model, int index)
{
    struct end *end = &model->ends[index];
    int sock = sock_of_end(model, index);

    if (!end->unsettled || sock == NONE)
        return;
    end->unsettled = false;
    if (!kind_is_ip(end->kind))
        return;
    pass_time(model); /* of datagrams only the first can be asked for */
    for (int i = 0; i < ARRIVAL_WAITS_MAX; i++) {
        if (has_arrived(end, model->socks[sock].handle))
            return;
        pal_sock_wait(NULL, 0, deadline_in(ARRIVAL_WAIT_NS));
    }
    fail("what was sent to s%d does not arrive", sock);
}

/* ---- what is due ---- */

/* What a sock's watch has to report. As leases go, it may be starved (rule 13). */
static struct readiness watch_due(const struct model *model, const struct sock *sock)
{
    struct readiness due = readiness_of(model, &model->ends[sock->end], sock->interest);
    const uint32_t reads = PAL_IN | PAL_PRI | PAL_RDHUP;

    if (session.fed[sock->poll] && session.lean[sock - model->socks]) {
        due.required &= ~reads;
        due.allowed |= due.allowed & PAL_IN ? PAL_STARVED : 0;
    } else if (sock->starved) { /* what writes goes on */
        due.required &= ~reads;
        due.allowed &= sock->interest & PAL_OUT ? ~reads : 0;
    } else if (sock->hungry && leases_lendable(model, sock) == 0 && due.allowed & PAL_IN) {
        due.required = due.required & PAL_IN ? PAL_STARVED : 0;
        due.allowed = PAL_STARVED | (due.allowed & PAL_OUT);
    }
    return due;
}

static void collect(struct model *model, int p, struct due *due)
{
    memset(due, 0, sizeof(*due));
    for (int i = 0; i < SOCKS_MAX; i++) {
        struct sock *sock = &model->socks[i];

        if (!sock->live || sock->poll != p)
            continue;
        arrive(model, sock->end);
        if (sock->starved && leases_feed(model, sock))
            sock->starved = false;
        if (sock->interest != 0)
            due->socks[i] = watch_due(model, sock);
        due->any |= due->socks[i].required != 0;
    }
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (model->requests[i].out && model->requests[i].poll == p) {
            due->requests[i] = request_due(model, &model->requests[i]);
            due->any |= due->requests[i] == SURELY;
        }
    for (int i = 0; i < SIGNALS_MAX; i++) {
        due->signals[i] = model->signals[i].poll == p && model->signals[i].pending;
        due->any |= due->signals[i];
    }
    due->woken = model->polls[p].woken;
    due->any |= due->woken;
    for (int i = 0; i < JOBS_MAX; i++)
        due->any |= model->jobs[i].out && model->jobs[i].poll == p;
}

/* ---- events ---- */

static int sock_of_data(const struct model *model, int p, uint64_t data)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *sock = &model->socks[i];

        if (sock->live && sock->poll == p && sock->interest != 0 && sock->data == data)
            return i;
    }
    return NONE;
}

static void see_op(struct model *model, int p, const struct pal_event *event)
{
    int job = see_job(model, p, event);

    if (job != NONE) {
        session.jobs[job] = true;
        return;
    }
    for (int i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &model->requests[i];

        if (!request->out || request->poll != p || request->op.data != event->data)
            continue;
        REQUIRE(request_due(model, request) != NEVER, "op r%d ends with %d, and nothing has happened that ends it", i,
                event->result);
        REQUIRE(event->result == request->op.result, "op r%d has result %d and its event %d", i, request->op.result,
                event->result);
        REQUIRE(event->ready == request->op.kind, "the event of op r%d is of kind %d", i, event->ready);
        request_finish(model, request, event->result, session.finished[i]);
        return;
    }
    fail("an op's event with data %016llx, of no op that is out on p%d", (unsigned long long)event->data, p);
}

static void see_end(struct model *model, int p, const struct pal_event *event)
{
    int child = see_child(model, p, event);

    REQUIRE(child != NONE, "a child's end with data %016llx, which no watch on p%d has",
            (unsigned long long)event->data, p);
    session.children[child] = true;
}

static void see_signal(struct model *model, int p, const struct pal_event *event)
{
    for (int i = 0; i < SIGNALS_MAX; i++) {
        struct signal *signal = &model->signals[i];

        if (signal->number != event->result)
            continue;
        REQUIRE(signal->poll == p && signal->pending, "signal %d is reported at p%d, and was not due there",
                signal->number, p);
        REQUIRE(signal->data == event->data, "signal %d is reported with other data", signal->number);
        signal->pending = false;
        return;
    }
    fail("signal %d is reported, which nobody watches", event->result);
}

static void see_ready(struct model *model, int p, const struct pal_event *event, const struct due *due)
{
    int index = sock_of_data(model, p, event->data);
    struct sock *sock = &model->socks[index < 0 ? 0 : index];
    uint32_t allowed, beyond;
    bool certain;

    REQUIRE(index != NONE, "READY %x with data %016llx, which no watch on p%d has", event->ready,
            (unsigned long long)event->data, p);
    REQUIRE(session.now[index] == 0, "s%d is reported twice in one wait", index);
    REQUIRE(event->result == 0 && event->ready != 0, "READY of s%d: result %d, bits %x", index, event->result,
            event->ready);
    allowed = due->socks[index].allowed | watch_due(model, sock).allowed;
    certain = (due->socks[index].required | watch_due(model, sock).required) != 0;
    beyond = event->ready & ~allowed;
    REQUIRE((beyond & ~sock->spurious) == 0, "s%d is reported ready for %x; %x does not hold", index, event->ready,
            beyond & ~sock->spurious);
    sock->spurious &= ~beyond;
    session.now[index] = event->ready;
    session.seen[index] |= event->ready;
    if (event->ready & PAL_STARVED) {
        session.starved[index] = certain;
        sock->starved = true;
        sock->hungry = false;
    } else if (event->ready & PAL_IN) {
        sock->hungry = false;
    }
    if (sock->interest & PAL_ONCE && !(event->ready & PAL_STARVED)) { /* which is no readiness yet */
        session.fired[index] = certain;
        sock->interest = 0;
        sock_idle(sock);
    }
}

/* Everything that is due has to be in a wait whose array has room for it. */
static void check_complete(const struct model *model, int p, const struct due *due)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *sock = &model->socks[i];
        uint32_t missing = due->socks[i].required & ~session.now[i];

        if (missing != 0) /* what an op of the same wait has taken away may be left out */
            missing &= watch_due(model, sock).required;
        if (session.now[i] & PAL_STARVED) /* which may come alone; what writes goes on in the next */
            missing &= ~(uint32_t)PAL_OUT;
        REQUIRE(missing == 0, "s%d is ready for %x, and the wait on p%d does not report it", i, missing, p);
    }
    for (int i = 0; i < REQUESTS_MAX; i++)
        REQUIRE(due->requests[i] != SURELY || session.finished[i][0] != '\0' || faults_are_on(),
                "op r%d can end, and the wait on p%d does not end it", i, p);
    REQUIRE(!due->woken || !model->polls[p].woken, "p%d was woken, and its wait does not report it", p);
    for (int i = 0; i < SIGNALS_MAX; i++)
        REQUIRE(!due->signals[i] || !model->signals[i].pending, "signal %d is not reported", model->signals[i].number);
}

/* Notes the array as it is handed out. */
static void show(struct model *model, int p, const struct pal_event *array, int count)
{
    struct poll *poll = &model->polls[p];

    poll->array = array;
    poll->shown_count = count;
    memcpy(poll->shown, array, (size_t)count * sizeof(*array));
    for (int i = 0; i < count; i++) {
        int sock = array[i].kind == PAL_EV_READY ? sock_of_data(model, p, array[i].data) : NONE;

        poll->shown_life[i] = array[i].kind == PAL_EV_CHILD ? array[i].data
                              : sock == NONE                ? 0
                                                            : model->socks[sock].life;
    }
}

void check_arrays(const struct model *model)
{
    for (int p = 0; p < POLLS_MAX; p++) {
        const struct poll *poll = &model->polls[p];

        for (int i = 0; i < poll->shown_count; i++) {
            const struct pal_event *now = &poll->array[i], *then = &poll->shown[i];

            REQUIRE(now->kind == then->kind, "entry %d of p%d's array is of kind %d now, and should be of %d", i, p,
                    now->kind, then->kind);
            REQUIRE(now->kind == PAL_EV_NONE ||
                        (now->data == then->data && now->result == then->result && now->ready == then->ready),
                    "entry %d of p%d's array has changed since its wait", i, p);
        }
    }
}

static void see(struct model *model, int p, const struct due *due)
{
    const struct poll *poll = &model->polls[p];

    for (int i = 0; i < poll->shown_count; i++) {
        const struct pal_event *event = &poll->array[i];

        if (event->kind == PAL_EV_READY)
            trace_free(" s%d:%x", sock_of_data(model, p, event->data), event->ready);
        else
            trace_free(" %d:%d", event->kind, event->result);
        if (event->kind == PAL_EV_OP)
            see_op(model, p, event);
        else if (event->kind == PAL_EV_SIGNAL)
            see_signal(model, p, event);
        else if (event->kind == PAL_EV_CHILD)
            see_end(model, p, event);
        else if (event->kind == PAL_EV_WAKE) {
            REQUIRE(model->polls[p].woken, "p%d reports a wake, and nobody woke it", p);
            model->polls[p].woken = false;
        } else
            REQUIRE(event->kind == PAL_EV_READY, "an event of kind %d", event->kind);
    }
    for (int i = 0; i < poll->shown_count; i++) /* now, as what ops did in this wait is known */
        if (poll->array[i].kind == PAL_EV_READY)
            see_ready(model, p, &poll->array[i], due);
}

static int wait_once(struct model *model, int p, uint64_t deadline_ns)
{
    struct poll *poll = &model->polls[p];
    const struct pal_event *array = NULL;
    struct due due;
    int count;

    collect(model, p, &due);
    if (!due.any && deadline_ns == UINT64_MAX)
        deadline_ns = 0;
    count = pal_poll_wait(poll->handle, &array, deadline_ns);
    REQUIRE(count >= 0, "pal_poll_wait on p%d: %s", p, pal_error_name(count));
    REQUIRE(count <= (int)poll->events_max, "p%d reports %d events and has room for %u", p, count, poll->events_max);
    show(model, p, array, count);
    trace_free(" [");
    memset(session.now, 0, sizeof(session.now));
    see(model, p, &due);
    trace_free("]");
    if (poll->events_max >= ROOMY)
        check_complete(model, p, &due);
    return count;
}

void leases_came_back(int p)
{
    session.fed[p] = true;
}

void settle_begin(const struct model *model)
{
    memset(&session, 0, sizeof(session));
    for (int i = 0; i < SOCKS_MAX; i++)
        session.lean[i] = model->socks[i].live && (model->socks[i].hungry || model->socks[i].starved);
}

void turn(struct model *model, int p)
{
    wait_once(model, p, deadline_in(NOTHING_WAIT_NS));
}

/* ---- settling ---- */

/* What ends at its own pace, on a worker or in a child, and has to be waited for. */
static const char *unseen_elsewhere(const struct model *model, int p, int *which)
{
    for (*which = 0; *which < JOBS_MAX; ++*which)
        if (model->jobs[*which].out && model->jobs[*which].poll == p)
            return "job ";
    for (*which = 0; *which < CHILDREN_MAX; ++*which) {
        const struct child *child = &model->children[*which];

        if (child->live && child->poll == p && child->ends)
            return "child ";
    }
    return NULL;
}

/* What is due and has not been seen yet: its name; NULL: nothing. */
static const char *unseen(struct model *model, int p, int *which)
{
    struct due due;

    collect(model, p, &due);
    for (*which = 0; *which < SOCKS_MAX; ++*which)
        if (due.socks[*which].required & ~session.seen[*which])
            return "socket s";
    for (*which = 0; *which < REQUESTS_MAX; ++*which)
        if (due.requests[*which] == SURELY)
            return "op r";
    for (*which = 0; *which < SIGNALS_MAX; ++*which)
        if (due.signals[*which])
            return "signal ";
    if (due.woken)
        return "wake ";
    return unseen_elsewhere(model, p, which);
}

static bool settled(struct model *model, int p)
{
    int which;

    return unseen(model, p, &which) == NULL;
}

/* A watch that may or may not have fired or starved would lead two backends apart: it ends, or begins anew. */
static void end_uncertain_watches(struct model *model, int p)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        struct sock *sock = &model->socks[i];

        if (!sock->live || sock->poll != p || sock->interest == 0)
            continue;
        if (sock->interest & PAL_ONCE && watch_due(model, sock).allowed != 0)
            watch(model, i, p, 0);
        else if (session.lean[i] && (session.fed[p] || level_in(&model->ends[sock->end]) == MAYBE))
            watch(model, i, p, sock->interest);
    }
}

/* The same for ops that may or may not have ended. Returns whether there were any. */
static bool cancel_uncertain_ops(struct model *model, int p)
{
    bool cancelled = false;

    for (int i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &model->requests[i];

        if (!request->out || request->poll != p || request_due(model, request) != MAYBE)
            continue;
        REQUIRE(pal_cancel(model->polls[p].handle, &request->op) == 0, "pal_cancel of r%d fails", i);
        request_cancelled(model, request);
        cancelled = true;
    }
    return cancelled;
}

/* Connections that ops have accepted become handles now, in the order of the ops, whoever ended first. */
static void hold_accepted(struct model *model)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &model->requests[i];

        if (session.finished[i][0] == '\0' || request->op.kind != PAL_OP_ACCEPT || request->accepted.id == 0)
            continue;
        trace_fixed(" s%d", hold(model, request->accepted, request->accepted_end));
        request->accepted.id = 0;
    }
}

static void tell(const struct model *model, int p)
{
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (session.finished[i][0] != '\0' && !model->requests[i].is_open)
            trace_fixed(" r%d=%s", i, session.finished[i]);
    for (int i = 0; i < JOBS_MAX; i++)
        if (session.jobs[i])
            trace_fixed(" j%d", i);
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (session.children[i])
            trace_fixed(" c%d=%d", i, model->children[i].result);
    for (int i = 0; i < SOCKS_MAX; i++) {
        if (session.fed[p] && session.lean[i])
            continue;
        if (session.fired[i])
            trace_fixed(" s%d:once", i);
        if (session.starved[i])
            trace_fixed(" s%d:starved", i);
    }
}

/* What is due here is to be told in so many waits; what ends elsewhere may take its time, within a bound. */
static void check_pace(struct model *model, int p, int *waits, uint64_t end_ns)
{
    const int waits_max = 8 * (SOCKS_MAX + REQUESTS_MAX);
    int which, other;
    const char *what = unseen(model, p, &which), *elsewhere = unseen_elsewhere(model, p, &other);

    if (what == NULL || what != elsewhere) {
        REQUIRE(++*waits < waits_max, "%s%d is due on p%d, which does not report it in %d waits", what, which, p,
                waits_max);
        return;
    }
    REQUIRE(pal_clock(PAL_CLOCK_MONOTONIC) < end_ns, "%s%d never ends, or p%d does not report it", what, which, p);
    pal_sock_wait(NULL, 0, deadline_in(NOTHING_WAIT_NS));
}

static void settle_until(struct model *model, int p, uint64_t deadline_ns)
{
    uint64_t end_ns;

    children_await(model, p); /* for which virtual time may pass */
    end_ns = deadline_in(BOUND_NS);
    for (int waits = 0;;) {
        bool due = !settled(model, p); /* a wait with a late deadline has to end before it */
        uint64_t bound_ns = deadline_ns == 0 ? 0 : due ? deadline_in(BOUND_NS) : deadline_in(NOTHING_WAIT_NS);

        wait_once(model, p, due && deadline_ns == UINT64_MAX ? UINT64_MAX : bound_ns);
        REQUIRE(!due || bound_ns == 0 || pal_clock(PAL_CLOCK_MONOTONIC) < bound_ns,
                "something was due on p%d, and its wait slept", p);
        if (settled(model, p) && !cancel_uncertain_ops(model, p))
            break;
        check_pace(model, p, &waits, end_ns);
    }
    end_uncertain_watches(model, p);
    tell(model, p);
    hold_accepted(model);
}

void settle_end(struct model *model, int p)
{
    settle_until(model, p, 0);
}

void settle(struct model *model, int p, uint64_t choice)
{
    const uint64_t deadlines[4] = {0, 0, UINT64_MAX, BOUND_NS};

    settle_begin(model);
    settle_until(model, p, deadlines[choice % 4]);
}

void settle_ending(struct model *model, int sock)
{
    for (int i = 0; i < REQUESTS_MAX && model->socks[sock].ending > 0; i++)
        if (model->requests[i].out && model->requests[i].cancelled && model->requests[i].sock == sock)
            settle(model, model->requests[i].poll, 0);
}

void step_wait(struct model *model, const struct step *step)
{
    trace_fixed(" p%d", step->poll);
    settle(model, step->poll, step->choice);
}

/* ---- waking ---- */

void step_wake(struct model *model, const struct step *step)
{
    trace_fixed(" p%d", step->poll);
    for (uint32_t i = 0; i <= step->count; i++)
        REQUIRE(pal_poll_wake(model->polls[step->poll].handle) == 0, "pal_poll_wake fails");
    model->polls[step->poll].woken = true;
}
