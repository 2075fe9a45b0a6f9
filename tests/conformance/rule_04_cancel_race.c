/* rule_04_cancel_race.c: rule 4 under fire: another thread makes ops succeed while this one cancels them. Whatever the
 * order, the result is real or PAL_ECANCELED, never both: no byte and no connection is lost or seen twice. */
#include "conformance.h"

#include <stdatomic.h>

enum { OP = 1, BYTES = 20000, CONNECTIONS = 400, AHEAD_MAX = 32, ATTEMPTS_MAX = 10000000 };

static uint32_t random_below(uint32_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % limit;
}

/* A while that nobody can predict: nothing, some work, a look at the poll. */
static void dawdle(struct rig *rig, uint32_t *state)
{
    uint32_t rounds = random_below(state, 4);

    if (rounds == 0)
        return;
    if (rounds == 1) {
        (void)rig_turn(rig, 0);
        return;
    }
    for (volatile uint32_t i = random_below(state, 2000); i > 0; i--)
        continue;
}

/* Lets the other thread run. */
static void yield(void)
{
    (void)pal_sock_wait(NULL, 0, pal_clock(PAL_CLOCK_MONOTONIC) + MILLISECOND_NS / 10);
}

static void require_shared_socks(void)
{
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("shared-socks", "other threads cannot use a socket of this backend");
}

/* ---- receive against cancel ---- */

struct sender {
    pal_sock sock;
    atomic_int error;
    atomic_bool done;
};

/* Sends the bytes 0, 1, 2 ... one by one. */
static void send_sequence(void *argument)
{
    struct sender *sender = argument;
    uint32_t state = 12345;
    uint32_t sent = 0;

    for (int i = 0; i < ATTEMPTS_MAX && sent < BYTES; i++) {
        uint8_t byte = (uint8_t)sent;
        int32_t result = pal_sock_send(sender->sock, &byte, 1, 0);

        if (result != 1 && result != PAL_EAGAIN) {
            atomic_store(&sender->error, result);
            break;
        }
        sent += result == 1;
        if (result == PAL_EAGAIN)
            yield();
        for (volatile uint32_t pause = random_below(&state, 2000); pause > 0; pause--)
            continue;
    }
    atomic_store(&sender->done, true);
}

/* Submits and cancels one receive; the count of bytes that have come so far. */
static uint32_t race_receive(struct rig *rig, pal_sock sock, uint32_t received, uint32_t *state)
{
    uint8_t byte = 0xff;
    struct pal_op op = op_recv(sock, OP, &byte, 1);
    int32_t result;

    rig_submit(rig, &op);
    dawdle(rig, state);
    rig_cancel(rig, &op);
    dawdle(rig, state);
    rig_cancel(rig, &op);
    result = rig_outcome(rig, &op);
    if (result == PAL_ECANCELED) {
        cr_assert_eq(byte, 0xff, "a cancelled receive has written");
        return received;
    }
    cr_assert_eq(result, 1, "%s", pal_error_name(result));
    cr_assert_eq(byte, (uint8_t)received, "a byte is lost or doubled at %u", received);
    return received + 1;
}

static void check_receive_race(enum pair_kind kind, uint32_t events_max)
{
    struct rig rig;
    struct sender sender;
    pal_sock sock;
    pal_thread thread;
    uint32_t received = 0, state = 99991;
    uint8_t byte;

    rig_open(&rig, events_max);
    pair_open(kind, &sender.sock, &sock);
    atomic_init(&sender.error, 0);
    atomic_init(&sender.done, false);
    assert_error(pal_thread_start(&thread, send_sequence, &sender), 0);
    for (int i = 0; i < ATTEMPTS_MAX && !atomic_load(&sender.done); i++)
        received = race_receive(&rig, sock, received, &state);
    assert_error(pal_thread_join(thread), 0);
    assert_error(atomic_load(&sender.error), 0);
    for (; received < BYTES; received++) {
        cr_assert_eq(receive_some(&rig, BY_WATCH, sock, &byte, 1), 1);
        cr_assert_eq(byte, (uint8_t)received, "a byte is lost or doubled at %u", received);
    }
    assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_EAGAIN);
    rig_silent(&rig, OP, 2);
    pair_close(sender.sock, sock);
    rig_close(&rig);
}

Test(rule_04_cancel_race, receive_is_real_or_cancelled_never_both, .timeout = 60)
{
    require_shared_socks();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        check_receive_race(PAIR_TCP4, events_max);
        if (pair_available(PAIR_UNIX_STREAM))
            check_receive_race(PAIR_UNIX_STREAM, events_max);
    }
}

/* ---- accept against cancel ---- */

struct dialler {
    struct pal_addr addr;
    atomic_int accepted; /* by the other thread: this one keeps at most AHEAD_MAX ahead */
    atomic_int error;
    atomic_bool done;
};

static int dial(const struct pal_addr *addr)
{
    pal_sock sock;
    struct pal_wait item;
    int32_t outcome = 0;
    size_t size = sizeof(outcome);
    int error = pal_sock_open(NULL, addr->family, PAL_SOCK_STREAM, 0, &sock);

    if (error != 0)
        return error;
    error = pal_sock_connect(sock, addr);
    if (error == PAL_EINPROGRESS) {
        memset(&item, 0, sizeof(item));
        item.sock = sock;
        item.interest = PAL_OUT;
        if (pal_sock_wait(&item, 1, pal_clock(PAL_CLOCK_MONOTONIC) + 5000 * MILLISECOND_NS) == 1)
            error = pal_sock_get(sock, PAL_SO_ERROR, &outcome, &size);
        if (error == 0)
            error = outcome;
    }
    (void)pal_sock_close(sock);
    return error;
}

static void dial_all(void *argument)
{
    struct dialler *dialler = argument;
    int dialled = 0;

    for (int i = 0; i < ATTEMPTS_MAX && dialled < CONNECTIONS; i++) {
        int error;

        if (dialled - atomic_load(&dialler->accepted) >= AHEAD_MAX) {
            yield();
            continue;
        }
        error = dial(&dialler->addr);
        if (error != 0) {
            atomic_store(&dialler->error, error);
            break;
        }
        dialled++;
    }
    atomic_store(&dialler->done, true);
}

/* Submits and cancels one accept; whether a connection came of it. */
static int race_accept(struct rig *rig, pal_sock listener, uint32_t *state)
{
    pal_sock accepted = {0};
    struct pal_op op = op_accept(listener, OP, &accepted);
    int32_t result;

    rig_submit(rig, &op);
    dawdle(rig, state);
    rig_cancel(rig, &op);
    result = rig_outcome(rig, &op);
    if (result == PAL_ECANCELED)
        return 0;
    assert_error(result, 0);
    assert_error(pal_sock_close(accepted), 0);
    return 1;
}

Test(rule_04_cancel_race, accept_is_real_or_cancelled_and_no_connection_is_lost, .timeout = 60)
{
    require_shared_socks();
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct dialler dialler;
        pal_sock listener, sock;
        pal_thread thread;
        uint32_t state = 31337;

        rig_open(&rig, events_max);
        listener_open(PAL_AF_INET, &listener, &dialler.addr);
        atomic_init(&dialler.accepted, 0);
        atomic_init(&dialler.error, 0);
        atomic_init(&dialler.done, false);
        assert_error(pal_thread_start(&thread, dial_all, &dialler), 0);
        for (int i = 0; i < ATTEMPTS_MAX && !atomic_load(&dialler.done); i++)
            atomic_fetch_add(&dialler.accepted, race_accept(&rig, listener, &state));
        assert_error(pal_thread_join(thread), 0);
        assert_error(atomic_load(&dialler.error), 0);
        for (int i = atomic_load(&dialler.accepted); i < CONNECTIONS; i++)
            assert_error(pal_sock_close(accept_one(listener)), 0);
        assert_error(pal_sock_accept(listener, &sock, NULL), PAL_EAGAIN);
        assert_error(pal_sock_close(listener), 0);
        rig_close(&rig);
    }
}
