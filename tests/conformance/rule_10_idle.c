/* rule_10_idle.c: the ways to idle, pal_config.idle and PAL_CTL_IDLE. Whichever is chosen, a wait gives the same
 * events, keeps its deadline and hears wakes; what differs is who burns a CPU, which tests/kernel counts. Rules
 * 10, 11 and 12. */
#include "conformance.h"

static const uint32_t strategies[] = {PAL_IDLE_BLOCK, PAL_IDLE_BACKOFF, PAL_IDLE_SPIN};
enum { STRATEGIES = 3 };

static void open_idle(struct rig *rig, uint32_t strategy, uint64_t spin_ns)
{
    struct pal_config config;

    memset(&config, 0, sizeof(config));
    config.events_max = 2;
    config.idle = strategy;
    config.spin_ns = spin_ns;
    rig_open_config(rig, &config);
}

static int set_idle(pal_poll *poll, uint32_t strategy, uint64_t spin_ns)
{
    struct pal_idle idle;

    memset(&idle, 0, sizeof(idle));
    idle.strategy = strategy;
    idle.spin_ns = spin_ns;
    return pal_ctl(poll, PAL_CTL_IDLE, &idle, sizeof(idle));
}

Test(rule_10_idle, no_strategy_returns_before_the_deadline)
{
    for (int i = 0; i < STRATEGIES; i++) {
        struct rig rig;
        open_idle(&rig, strategies[i], 0);
        for (int turn = 0; turn < 20; turn++) {
            uint64_t deadline_ns = pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS;
            const struct pal_event *events;
            cr_assert_eq(pal_poll_wait(rig.poll, &events, deadline_ns), 0);
            cr_assert_geq(pal_clock(PAL_CLOCK_MONOTONIC), deadline_ns, "strategy %d woke early", i);
        }
        rig_close(&rig);
    }
}

Test(rule_10_idle, a_deadline_of_zero_looks_and_returns)
{
    for (int i = 0; i < STRATEGIES; i++) {
        struct rig rig;
        open_idle(&rig, strategies[i], 0);
        cr_assert_eq(rig_turn(&rig, 0), 0);
        rig_close(&rig);
    }
}

struct feeder {
    pal_sock sock;
    pal_poll *poll;
    uint32_t turn; /* whose it is: the waiter's at even, the feeder's at odd numbers */
};

enum { MEALS = 200 };

static void await_turn(struct feeder *feeder, uint32_t parity)
{
    uint32_t turn;
    while (((turn = __atomic_load_n(&feeder->turn, __ATOMIC_SEQ_CST)) & 1) != parity)
        (void)pal_park(&feeder->turn, turn, UINT64_MAX);
}

static void pass_turn(struct feeder *feeder)
{
    __atomic_fetch_add(&feeder->turn, 1, __ATOMIC_SEQ_CST);
    pal_unpark(&feeder->turn, 1);
}

static void feed(void *argument)
{
    struct feeder *feeder = argument;
    for (int i = 0; i < MEALS; i++) {
        await_turn(feeder, 1);
        if (feeder->poll)
            (void)pal_poll_wake(feeder->poll);
        else
            (void)pal_sock_send(feeder->sock, "x", 1, 0);
        pass_turn(feeder);
    }
}

/* MEALS times: hands the turn to the feeder, and waits for ever for what it gives. */
static void eat(struct rig *rig, struct feeder *feeder, pal_sock sock, uint16_t kind)
{
    const struct pal_event *events;
    pal_thread thread;

    cr_assert_eq(pal_thread_start(&thread, feed, feeder), 0);
    for (int i = 0; i < MEALS; i++) {
        bool fed = false;
        char byte;
        await_turn(feeder, 0);
        pass_turn(feeder);
        while (!fed) {
            int count = pal_poll_wait(rig->poll, &events, UINT64_MAX);
            cr_assert_geq(count, 0);
            for (int at = 0; at < count; at++)
                fed |= events[at].kind == kind;
        }
        if (kind == PAL_EV_READY)
            cr_assert_eq(pal_sock_recv(sock, &byte, 1, 0), 1);
    }
    cr_assert_eq(pal_thread_join(thread), 0);
}

Test(rule_10_idle, every_strategy_hears_what_arrives)
{
    for (int i = 0; i < STRATEGIES; i++) {
        struct rig rig;
        struct feeder feeder;
        pal_sock sock;

        memset(&feeder, 0, sizeof(feeder));
        open_idle(&rig, strategies[i], 1000);
        pair_open(shared_kind(PAIR_TCP4), &sock, &feeder.sock);
        rig_watch(&rig, sock, PAL_IN, 1);
        eat(&rig, &feeder, sock, PAL_EV_READY);
        rig_unwatch(&rig, sock);
        pair_close(sock, feeder.sock);
        rig_close(&rig);
    }
}

Test(rule_10_idle, every_strategy_hears_wakes)
{
    for (int i = 0; i < STRATEGIES; i++) {
        struct rig rig;
        struct feeder feeder;
        const pal_sock none = {0};

        memset(&feeder, 0, sizeof(feeder));
        open_idle(&rig, strategies[i], 1000);
        feeder.poll = rig.poll;
        eat(&rig, &feeder, none, PAL_EV_WAKE);
        rig_close(&rig);
    }
}

Test(rule_10_idle, a_cancelled_op_ends_under_every_strategy)
{
    for (int i = 0; i < STRATEGIES; i++) {
        struct rig rig;
        pal_sock a, b;
        char byte;

        open_idle(&rig, strategies[i], 0);
        pair_open(PAIR_TCP4, &a, &b);
        struct pal_op op = op_recv(a, 7, &byte, 1);
        rig_submit(&rig, &op);
        rig_cancel(&rig, &op);
        cr_assert_eq(rig_outcome(&rig, &op), PAL_ECANCELED);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_10_idle, the_strategy_can_change_while_running)
{
    struct rig rig;
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_TCP4, &a, &b);
    rig_watch(&rig, a, PAL_IN, 1);
    for (int i = 0; i < 30; i++) {
        char byte;
        cr_assert_eq(set_idle(rig.poll, strategies[i % STRATEGIES], 20000), 0);
        rig_silent(&rig, 1, 1);
        send_all(b, "x", 1);
        (void)rig_until(&rig, 1, PAL_EV_READY);
        cr_assert_eq(pal_sock_recv(a, &byte, 1, 0), 1);
        cr_assert_eq(pal_poll_wake(rig.poll), 0);
        (void)rig_until(&rig, 0, PAL_EV_WAKE);
    }
    rig_unwatch(&rig, a);
    pair_close(a, b);
    rig_close(&rig);
}

Test(rule_10_idle, what_is_no_strategy_is_refused)
{
    struct pal_config config;
    pal_poll *poll = NULL;
    struct rig rig;
    uint32_t number = 0;

    memset(&config, 0, sizeof(config));
    config.idle = PAL_IDLE_SPIN + 1;
    assert_error(pal_poll_open(&poll, &config), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    rig_open(&rig, 2);
    assert_error(set_idle(rig.poll, PAL_IDLE_SPIN + 1, 0), PAL_EINVAL);
    assert_error(pal_ctl(rig.poll, PAL_CTL_IDLE, &number, sizeof(number)), PAL_EINVAL);
    assert_error(pal_ctl(rig.poll, PAL_CTL_IDLE, NULL, sizeof(struct pal_idle)), PAL_EINVAL);
    assert_error(pal_ctl(NULL, PAL_CTL_IDLE, &number, sizeof(struct pal_idle)), PAL_EINVAL);
    assert_error(pal_ctl(rig.poll, 12345, &number, sizeof(number)), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    rig_close(&rig);
}
