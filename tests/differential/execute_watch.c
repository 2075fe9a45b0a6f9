/* execute_watch.c: watching, waiting without a watch, signals, and the life of polls. Rules 2, 6, 8, 10, 13 and 15. */
#include <signal.h>
#include <string.h>

#include "execute.h"

/* ---- watch ---- */

/* Rule 6. */
static int watch_expected(const struct sock *sock, int poll, uint32_t interest)
{
    if ((interest & (PAL_IN | PAL_PRI | PAL_RDHUP) && sock->reader != NULL) ||
        (interest & PAL_OUT && sock->writer != NULL))
        return PAL_EBUSY;
    if (sock->poll == poll || !sock_busy(sock))
        return 0;
    return interest != 0 || sock->interest != 0 ? PAL_EBUSY : 0;
}

void watch(struct model *model, int index, int p, uint32_t interest)
{
    struct sock *sock = &model->socks[index];
    uint64_t data = model_number(model);
    int expected = watch_expected(sock, p, interest);
    int result = pal_watch(model->polls[p].handle, sock->handle, interest, data);

    if (result == PAL_EBUSY && expected == 0 && sock->ending > 0) { /* a cancelled op has its event to come */
        settle_ending(model, index);
        result = pal_watch(model->polls[p].handle, sock->handle, interest, data);
    }
    REQUIRE(result == expected, "pal_watch(p%d, s%d, %x) is %s, not %s", p, index, interest, pal_error_name(result),
            pal_error_name(expected));
    if (result == PAL_EBUSY)
        REQUIRE(pal_reason()[0] != '\0', "a watch is refused without a reason");
    if (result != 0 || (interest == 0 && sock->poll != p))
        return;
    if (interest == 0)
        strike_out(model, sock->life);
    else
        sock_join(model, sock, p);
    sock->interest = interest;
    sock->data = data;
    sock->hungry = sock->starved = false;
    sock->spurious = 0;
    sock_idle(sock);
}

void step_watch(struct model *model, const struct step *step)
{
    trace_fixed(" s%d p%d %x", step->sock, step->poll, step->flags);
    trace_fixed(" -> %d", watch_expected(&model->socks[step->sock], step->poll, step->flags));
    watch(model, step->sock, step->poll, step->flags);
    settle_ending(model, step->sock); /* what comes next is the watch's to tell, and not the cancelled op's to take */
}

void step_unwatch(struct model *model, const struct step *step)
{
    trace_fixed(" s%d p%d", step->sock, step->poll);
    watch(model, step->sock, step->poll, 0);
}

/* ---- pal_sock_wait ---- */

/* Here, as in poll(2), an error or a hang-up stands for what it implies. */
static void check_item(const struct model *model, int index, const struct pal_wait *item)
{
    const struct end *end = &model->ends[model->socks[index].end];
    struct readiness readiness = readiness_of(model, end, item->interest);
    uint32_t missing = readiness.required & ~(uint32_t)item->ready, beyond = item->ready & ~readiness.allowed;

    REQUIRE(missing == 0 || item->ready & (PAL_ERR | PAL_HUP), "s%d is ready for %x, and pal_sock_wait says %x", index,
            readiness.required, item->ready);
    REQUIRE(beyond == 0, "pal_sock_wait says that s%d is ready for %x; %x does not hold", index, item->ready, beyond);
}

void step_sock_wait(struct model *model, const struct step *step)
{
    struct pal_wait items[8];
    int socks[8], places = 2 + (int)(step->choice % 7), ready = 0, result;

    memset(items, 0, sizeof(items));
    for (int i = 0; i < places; i++) { /* the first is nobody */
        socks[i] = i == 0 ? NONE : (step->sock + i * (1 + (int)step->count)) % SOCKS_MAX;
        if (socks[i] == NONE)
            continue;
        items[i].interest = (uint16_t)(step->flags & (PAL_IN | PAL_OUT | PAL_PRI | PAL_RDHUP));
        items[i].sock = model->socks[socks[i]].live ? model->socks[socks[i]].handle : model->stale;
        if (model->socks[socks[i]].live)
            arrive(model, model->socks[socks[i]].end);
    }
    result = pal_sock_wait(items, places, 0);
    for (int i = 0; i < places; i++) {
        ready += items[i].ready != 0;
        if (items[i].sock.id == 0)
            REQUIRE(items[i].ready == 0, "pal_sock_wait says that nobody is ready for %x", items[i].ready);
        else if (!model->socks[socks[i]].live)
            REQUIRE(items[i].ready == PAL_NVAL, "pal_sock_wait says %x of a stale handle", items[i].ready);
        else
            check_item(model, socks[i], &items[i]);
    }
    REQUIRE(result == ready, "pal_sock_wait is %d, and %d items are ready", result, ready);
}

/* ---- signals: SIGFPE and SIGILL, which ISO C can raise and nobody else sends ---- */

static volatile sig_atomic_t unwatched_count; /* of signals that came while nobody watched them */

static void count_unwatched(int number)
{
    unwatched_count++;
    signal(number, count_unwatched);
}

void signals_begin(struct model *model)
{
    const int numbers[SIGNALS_MAX] = {SIGFPE, SIGILL};

    for (int i = 0; i < SIGNALS_MAX; i++) {
        signal(numbers[i], count_unwatched);
        model->signals[i].number = numbers[i];
        model->signals[i].poll = NONE;
    }
}

static void signal_watch(struct model *model, struct signal *signal, int p, uint64_t data)
{
    pal_poll *poll = p == NONE ? NULL : model->polls[p].handle;
    int expected = p != NONE && signal->poll != NONE && signal->poll != p ? PAL_EBUSY : 0;
    int result = pal_signal_watch(poll, signal->number, data);

    trace_fixed(" -> %d", expected);
    REQUIRE(result == expected, "pal_signal_watch(p%d, %d) is %s", p, signal->number, pal_error_name(result));
    if (result != 0)
        return;
    signal->poll = p;
    signal->data = data;
    if (p == NONE)
        signal->pending = false;
}

/* Watched, it is due at its poll; else what was there before is there again (rule 15). */
static void signal_raise(struct signal *signal)
{
    int before = unwatched_count, expected = signal->poll == NONE;

    raise(signal->number);
    signal->pending = signal->poll != NONE;
    REQUIRE(unwatched_count - before == expected, "signal %d, watched by p%d, has run its former handler %d times",
            signal->number, signal->poll, (int)unwatched_count - before);
}

void step_signal(struct model *model, const struct step *step)
{
    struct signal *signal = &model->signals[step->count % SIGNALS_MAX];

    trace_fixed(" %d p%d", signal->number, step->poll);
    switch (step->choice % 4) {
    case 0:
        trace_fixed(" watch");
        signal_watch(model, signal, step->poll, model_number(model));
        break;
    case 1:
        trace_fixed(" unwatch");
        signal_watch(model, signal, NONE, 0);
        break;
    default:
        trace_fixed(" raise");
        signal_raise(signal);
    }
}

/* ---- polls ---- */

void poll_open(struct model *model, int p, uint64_t choice)
{
    static const uint32_t events[] = {256, 2, 3, 256, 4, 16, 2, 0}, counts[] = {4, 1, 8, 2, 3, 5, 6, 16},
                          sizes[] = {1024, 64, 4096, 300, 65536, 65536, 100, 2048},
                          shares[] = {0, 0, 1, 2, 0, 3, 0, 64};
    struct poll *poll = &model->polls[p];
    struct pal_config config;
    int result;

    memset(&config, 0, sizeof(config));
    config.events_max = events[choice % 8];
    config.lease_count = counts[choice / 8 % 8];
    config.lease_size = sizes[choice / 64 % 8];
    config.leases_per_sock_max = shares[choice / 512 % 8];
    memset(poll, 0, sizeof(*poll));
    result = pal_poll_open(&poll->handle, &config);
    REQUIRE(result == 0, "pal_poll_open: %s", pal_error_name(result));
    trace_fixed(" events %u leases %u of %u, %u a socket", config.events_max, config.lease_count, config.lease_size,
                config.leases_per_sock_max);
    poll->events_max = config.events_max == 0 ? 256 : config.events_max;
    poll->lease_count = config.lease_count;
    poll->lease_size = config.lease_size;
    poll->share_max = config.leases_per_sock_max;
    if (choice / 4096 % 4 == 0) { /* where it has one, a nested poll's calls are others */
        intptr_t native;

        trace_free(" native %d", pal_poll_native(poll->handle, &native));
    }
}

static bool poll_busy(const struct model *model, int p)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live && model->socks[i].poll == p && sock_busy(&model->socks[i]))
            return true;
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (model->requests[i].out && model->requests[i].poll == p)
            return true;
    for (int i = 0; i < JOBS_MAX; i++)
        if (model->jobs[i].out && model->jobs[i].poll == p)
            return true;
    for (int i = 0; i < CHILDREN_MAX; i++)
        if (model->children[i].live && model->children[i].poll == p)
            return true;
    return model->polls[p].lent > 0;
}

void poll_close(struct model *model, int p)
{
    int expected = poll_busy(model, p) ? PAL_EBUSY : 0, result;

    result = pal_poll_close(model->polls[p].handle);
    trace_fixed(" -> %d", expected);
    REQUIRE(result == expected, "pal_poll_close of p%d is %s, not %s", p, pal_error_name(result),
            pal_error_name(expected));
    if (result != 0) {
        REQUIRE(pal_reason()[0] != '\0', "pal_poll_close refuses without a reason");
        return;
    }
    model->polls[p].handle = NULL;
    model->polls[p].shown_count = 0;
    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live && model->socks[i].poll == p)
            sock_join(model, &model->socks[i], NONE);
    for (int i = 0; i < SIGNALS_MAX; i++)
        if (model->signals[i].poll == p) {
            model->signals[i].poll = NONE;
            model->signals[i].pending = false;
        }
}

void step_reopen(struct model *model, const struct step *step)
{
    trace_fixed(" p%d", step->poll);
    poll_close(model, step->poll);
    if (model->polls[step->poll].handle == NULL)
        poll_open(model, step->poll, step->choice);
}
