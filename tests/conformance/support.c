/* support.c: the rig and the ways to receive and send of conformance.h. Only the seam and ISO C: this file, too, is run
 * on every backend. */
#include "conformance.h"

#include <stdio.h>

enum { WAITS_MAX = 500 };                 /* of one loop that waits for something */
static const uint64_t WAIT_NS = 10000000; /* the bound of each of its waits */

static uint64_t deadline_in(uint64_t timeout_ns)
{
    return timeout_ns == 0 ? 0 : pal_clock(PAL_CLOCK_MONOTONIC) + timeout_ns;
}

bool has_caps(uint64_t caps)
{
    return (pal_backend_info()->caps & caps) == caps;
}

void unique_name(char *out, size_t size, const char *prefix)
{
    uint64_t process = 0, number = 0;

    assert_error(pal_info(PAL_INFO_PROCESS_ID, &process), 0);
    assert_error(pal_random(&number, sizeof(number)), 0);
    (void)snprintf(out, size, "%s-%llu-%016llx", prefix, (unsigned long long)process, (unsigned long long)number);
}

/* ---- the rig ---- */

static uint64_t socks_open(void)
{
    uint64_t count = 0;

    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &count), 0);
    return count;
}

void rig_open_config(struct rig *rig, const struct pal_config *config)
{
    memset(rig, 0, sizeof(*rig));
    rig->socks_at_start = socks_open();
    assert_error(pal_poll_open(&rig->poll, config), 0);
}

void rig_open(struct rig *rig, uint32_t events_max)
{
    struct pal_config config;

    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    rig_open_config(rig, &config);
}

void rig_close(struct rig *rig)
{
    int error = pal_poll_close(rig->poll);

    cr_assert(error == 0, "the poll does not close: %s (%s)", pal_error_name(error), pal_reason());
    cr_assert_eq(socks_open(), rig->socks_at_start, "handles leak: %d", (int)(socks_open() - rig->socks_at_start));
    rig->poll = NULL;
}

static bool is_one_shot(const struct pal_event *event)
{
    return event->kind != PAL_EV_NONE && event->kind != PAL_EV_READY;
}

int rig_turn(struct rig *rig, uint64_t timeout_ns)
{
    rig->count = pal_poll_wait(rig->poll, &rig->events, deadline_in(timeout_ns));
    cr_assert_geq(rig->count, 0, "wait failed: %s", pal_error_name(rig->count));
    for (int i = 0; i < rig->count; i++) {
        if (!is_one_shot(&rig->events[i]))
            continue;
        cr_assert_lt(rig->kept_count, RIG_KEPT_MAX, "more one-shot events than a test can keep");
        rig->kept[rig->kept_count++] = rig->events[i];
    }
    return rig->count;
}

const struct pal_event *rig_find(const struct rig *rig, uint64_t data)
{
    for (int i = 0; i < rig->count; i++) {
        if (rig->events[i].kind != PAL_EV_NONE && rig->events[i].data == data)
            return &rig->events[i];
    }
    return NULL;
}

int rig_kept(const struct rig *rig, uint64_t data)
{
    int count = 0;

    for (int i = 0; i < rig->kept_count; i++)
        count += rig->kept[i].data == data;
    return count;
}

/* Hands out the oldest kept event of this kind with this data. */
static bool take_kept(struct rig *rig, uint64_t data, uint16_t kind, struct pal_event *out)
{
    for (int i = 0; i < rig->kept_count; i++) {
        if (rig->kept[i].data == data && rig->kept[i].kind == kind) {
            *out = rig->kept[i];
            rig->kept_count--;
            memmove(&rig->kept[i], &rig->kept[i + 1], (size_t)(rig->kept_count - i) * sizeof(rig->kept[0]));
            return true;
        }
    }
    return false;
}

/* The READY with this data and any of these bits (0: whatever they are) in the last wait. */
static bool find_ready(const struct rig *rig, uint64_t data, uint16_t bits, struct pal_event *out)
{
    for (int i = 0; i < rig->count; i++) {
        const struct pal_event *event = &rig->events[i];

        if (event->kind == PAL_EV_READY && event->data == data && (bits == 0 || (event->ready & bits) != 0)) {
            *out = *event;
            return true;
        }
    }
    return false;
}

static struct pal_event until(struct rig *rig, uint64_t data, uint16_t kind, uint16_t bits)
{
    struct pal_event event;

    memset(&event, 0, sizeof(event));
    if (kind != PAL_EV_READY && take_kept(rig, data, kind, &event))
        return event;
    for (int i = 0; i < WAITS_MAX; i++) {
        (void)rig_turn(rig, WAIT_NS);
        if (kind == PAL_EV_READY ? find_ready(rig, data, bits, &event) : take_kept(rig, data, kind, &event))
            return event;
    }
    cr_assert(false, "no event of kind %d with data %lu came (bits wanted: %#x)", kind, (unsigned long)data, bits);
    return event;
}

struct pal_event rig_until(struct rig *rig, uint64_t data, uint16_t kind)
{
    return until(rig, data, kind, 0);
}

struct pal_event rig_until_ready(struct rig *rig, uint64_t data, uint16_t bits)
{
    return until(rig, data, PAL_EV_READY, bits);
}

void rig_watch(struct rig *rig, pal_sock sock, uint32_t interest, uint64_t data)
{
    assert_error(pal_watch(rig->poll, sock, interest, data), 0);
}

void rig_unwatch(struct rig *rig, pal_sock sock)
{
    assert_error(pal_watch(rig->poll, sock, 0, 0), 0);
}

void rig_submit(struct rig *rig, struct pal_op *op)
{
    assert_error(pal_submit(rig->poll, op), 0);
}

void rig_cancel(struct rig *rig, struct pal_op *op)
{
    assert_error(pal_cancel(rig->poll, op), 0);
}

int32_t rig_outcome(struct rig *rig, const struct pal_op *op)
{
    struct pal_event event = rig_until(rig, op->data, PAL_EV_OP);

    cr_assert_eq(event.result, op->result, "the event says %d and the op %d", event.result, op->result);
    cr_assert_eq(event.ready, op->kind, "the event tells another kind of op: %d", event.ready);
    return op->result;
}

int32_t rig_perform(struct rig *rig, struct pal_op *op)
{
    int state = pal_submit(rig->poll, op);

    if (state < 0)
        return state;
    return state == 1 ? op->result : rig_outcome(rig, op);
}

static void silent_but(struct rig *rig, uint64_t data, int turns, int allowed)
{
    for (int i = 0; i < turns; i++) {
        (void)rig_turn(rig, MILLISECOND_NS);
        for (int j = 0; j < rig->count; j++) {
            const struct pal_event *event = &rig->events[j];

            if (event->kind == PAL_EV_NONE || event->data != data)
                continue;
            if (event->kind == PAL_EV_READY && allowed-- > 0)
                continue;
            cr_assert(false, "in turn %d of silence came an event with data %lu: kind %d, ready %#x, result %d", i,
                      (unsigned long)data, event->kind, event->ready, event->result);
        }
    }
}

void rig_silent(struct rig *rig, uint64_t data, int turns)
{
    silent_but(rig, data, turns, 0);
}

void rig_silent_but_once(struct rig *rig, uint64_t data, int turns)
{
    silent_but(rig, data, turns, 1);
}

/* ---- ops ---- */

static struct pal_op op_of(uint8_t kind, pal_sock sock, uint64_t data)
{
    struct pal_op op;

    memset(&op, 0, sizeof(op));
    op.kind = kind;
    op.sock = sock;
    op.data = data;
    return op;
}

struct pal_op op_recv(pal_sock sock, uint64_t data, void *buffer, size_t size)
{
    struct pal_op op = op_of(PAL_OP_RECV, sock, data);

    op.buf = buffer;
    op.size = size;
    return op;
}

struct pal_op op_send(pal_sock sock, uint64_t data, const void *bytes, size_t size)
{
    struct pal_op op = op_of(PAL_OP_SEND, sock, data);

    op.buf = (void *)(uintptr_t)bytes; /* a send only reads */
    op.size = size;
    return op;
}

struct pal_op op_accept(pal_sock listener, uint64_t data, pal_sock *out)
{
    struct pal_op op = op_of(PAL_OP_ACCEPT, listener, data);

    op.aux = out;
    return op;
}

struct pal_op op_connect(pal_sock sock, uint64_t data, const struct pal_addr *addr)
{
    struct pal_op op = op_of(PAL_OP_CONNECT, sock, data);

    op.aux = (void *)(uintptr_t)addr; /* a connect only reads */
    return op;
}

/* ---- receiving and sending, each way ---- */

static const uint64_t TRANSFER_DATA = 0x7472616e73666572; /* told apart from every number that a test chooses */

static int32_t receive_by_watch(struct rig *rig, pal_sock sock, void *buffer, size_t size)
{
    int32_t result = PAL_EAGAIN;

    rig_watch(rig, sock, PAL_IN, TRANSFER_DATA);
    for (int i = 0; i < WAITS_MAX && result == PAL_EAGAIN; i++) {
        (void)rig_until(rig, TRANSFER_DATA, PAL_EV_READY);
        result = pal_sock_recv(sock, buffer, size, 0);
    }
    rig_unwatch(rig, sock);
    return result;
}

static int32_t receive_by_lease(struct rig *rig, pal_sock sock, void *buffer, size_t size)
{
    struct pal_lease lease;
    int result = PAL_EAGAIN;

    rig_watch(rig, sock, PAL_IN | PAL_LEASE, TRANSFER_DATA);
    for (int i = 0; i < WAITS_MAX && (result == PAL_EAGAIN || result == PAL_ENOBUFS); i++) {
        (void)rig_until(rig, TRANSFER_DATA, PAL_EV_READY);
        result = pal_lease_recv(sock, &lease, 1);
    }
    rig_unwatch(rig, sock);
    if (result <= 0)
        return result;
    cr_assert_eq(result, 1, "asked for one lease, got %d", result);
    cr_assert_leq(lease.size, size, "a lease of %u bytes does not fit", lease.size);
    memcpy(buffer, lease.data, lease.size);
    result = (int)lease.size;
    pal_lease_release(rig->poll, &lease, 1);
    return result;
}

int32_t receive_some(struct rig *rig, enum receive_mode mode, pal_sock sock, void *buffer, size_t size)
{
    struct pal_op op = op_recv(sock, TRANSFER_DATA, buffer, size);

    if (mode == BY_WATCH)
        return receive_by_watch(rig, sock, buffer, size);
    return mode == BY_OP ? rig_perform(rig, &op) : receive_by_lease(rig, sock, buffer, size);
}

void receive_exactly(struct rig *rig, enum receive_mode mode, pal_sock sock, void *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        int32_t result = receive_some(rig, mode, sock, (char *)buffer + done, size - done);

        cr_assert_gt(result, 0, "after %zu bytes of %zu: %s", done, size, pal_error_name(result));
        done += (size_t)result;
    }
}

static int32_t send_by_lease(struct rig *rig, pal_sock sock, const void *data, size_t size)
{
    struct pal_lease lease;
    uint32_t part = size > 1024 ? 1024 : (uint32_t)size;
    int result;

    assert_error(pal_lease_reserve(rig->poll, &lease, 1, part), 0);
    memcpy(lease.data, data, part);
    lease.size = part;
    result = pal_lease_send(sock, &lease, 1);
    if (result == 1)
        return (int32_t)part;
    if (result == 0)
        result = (int)(part - lease.size);
    pal_lease_release(rig->poll, &lease, 1);
    return result;
}

int32_t send_some(struct rig *rig, enum receive_mode mode, pal_sock sock, const void *data, size_t size)
{
    struct pal_op op = op_send(sock, TRANSFER_DATA, data, size);
    int32_t result = PAL_EAGAIN;

    if (mode == BY_OP)
        return rig_perform(rig, &op);
    for (int i = 0; i < WAITS_MAX && result == PAL_EAGAIN; i++) {
        result = mode == BY_LEASE ? send_by_lease(rig, sock, data, size) : pal_sock_send(sock, data, size, 0);
        if (result == PAL_EAGAIN)
            (void)sock_until(sock, PAL_OUT);
    }
    return result;
}
