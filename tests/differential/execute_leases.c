/* execute_leases.c: leases: lent, held, sent, given back, and none left. Rules 5 and 13 of docs/seam.md. */
#include <string.h>

#include "execute.h"

enum { LEASE_CALL_MAX = 16 }; /* leases that one call gives (docs/backends.md) */

/* ---- holding ---- */

static void check_lent(const struct model *model, int index)
{
    const struct lent *lent = &model->lent[index];

    REQUIRE(bytes_are(lent->key, lent->position, lent->lease.data, lent->lease.size),
            "the bytes of lease l%d have changed while the program held it", index);
}

void check_leases(struct model *model)
{
    int index = model->lent_checked = (model->lent_checked + 1) % LENT_MAX;

    if (model->lent[index].used && !model->lent[index].pinned)
        check_lent(model, index);
}

int hold_lease(struct model *model, const struct pal_lease *lease, int p, int sock)
{
    int index = lent_free(model);
    struct lent *lent = &model->lent[index];

    REQUIRE(index != NONE && lease->data != NULL, "a lease without bytes");
    REQUIRE(lease->size <= model->polls[p].lease_size, "a lease of %u bytes", lease->size);
    for (int i = 0; i < LENT_MAX; i++)
        REQUIRE(!model->lent[i].used || model->lent[i].lease.data != lease->data, "a lease is lent twice");
    memset(lent, 0, sizeof(*lent));
    lent->used = true;
    lent->lease = *lease;
    lent->poll = p;
    lent->sock = sock;
    model->polls[p].lent++;
    if (sock == NONE) {
        model->polls[p].reserved++;
    } else {
        lent->life = model->socks[sock].life;
        model->socks[sock].share++;
    }
    return index;
}

void release_lent(struct model *model, int index)
{
    struct lent *lent = &model->lent[index];

    pal_lease_release(model->polls[lent->poll].handle, &lent->lease, 1);
    lent_return(model, index);
}

/* ---- receiving into leases ---- */

/* Returns their bytes. */
static uint64_t hold_streams(struct model *model, int index, const struct pal_lease *leases, int count, int *held)
{
    const struct sock *sock = &model->socks[index];
    struct flow *flow = &end_of(model, sock)->in;
    uint64_t total = 0;

    for (int i = 0; i < count; i++) {
        struct lent *lent;

        held[i] = hold_lease(model, &leases[i], sock->poll, index);
        lent = &model->lent[held[i]];
        lent->key = flow->key;
        lent->position = flow->taken;
        REQUIRE(leases[i].size > 0 && pal_lease_info(&leases[i])->size == (int32_t)leases[i].size,
                "a lease of %u bytes, whose metadata says %d", leases[i].size, pal_lease_info(&leases[i])->size);
        took_bytes(model, index, leases[i].data, leases[i].size, "lease_recv");
        total += leases[i].size;
    }
    return total;
}

static void receive_streams(struct model *model, int index, const struct pal_lease *leases, int count, uint64_t wanted)
{
    int held[LENT_MAX];
    uint64_t total = hold_streams(model, index, leases, count, held);

    REQUIRE(total == wanted || (faults_are_on() && total < wanted), "lease_recv on s%d gives %llu bytes, not %llu",
            index, (unsigned long long)total, (unsigned long long)wanted);
}

/* The same of a stream that may be a user-space stack's, whose leases may be packets: no more than were asked for, with
 * no more bytes. What they lack comes by further receives, the last of which may be a plain one, so that all backends
 * have taken the same bytes; and none is kept, so that they hold the same leases. */
static void receive_packets(struct model *model, int index, struct pal_lease *leases, int count, uint64_t wanted)
{
    const struct sock *sock = &model->socks[index];
    const struct flow *flow = &end_of(model, sock)->in;
    uint64_t size = model->polls[sock->poll].lease_size;
    int held[LENT_MAX];

    for (;;) {
        uint64_t total = hold_streams(model, index, leases, count, held);

        REQUIRE(total <= wanted, "lease_recv on s%d gives %llu bytes, and no more than %llu are to come", index,
                (unsigned long long)total, (unsigned long long)wanted);
        for (int i = 0; i < count; i++) {
            check_lent(model, held[i]);
            release_lent(model, held[i]);
        }
        wanted -= total;
        if (wanted == 0)
            return;
        REQUIRE(model->has_native_leases || faults_are_on(), "lease_recv on s%d leaves %llu bytes for which is room",
                index, (unsigned long long)wanted);
        if (wanted < size && wanted < in_flight(flow)) {
            take_bytes(model, index, wanted);
            return;
        }
        count = try_lease_recv(sock->handle, leases, wanted < size ? 1 : (int)(wanted / size));
        REQUIRE(count > 0, "lease_recv on s%d is %d, and %llu bytes are there", index, count,
                (unsigned long long)in_flight(flow));
    }
}

static void receive_records(struct model *model, int index, const struct pal_lease *leases, int count)
{
    const struct sock *sock = &model->socks[index];
    struct flow *flow = &end_of(model, sock)->in;

    for (int i = 0; i < count; i++) {
        struct lent *lent = &model->lent[hold_lease(model, &leases[i], sock->poll, index)];
        const struct record *record = &flow->records[0];
        uint32_t wanted =
            record->size < model->polls[sock->poll].lease_size ? record->size : model->polls[sock->poll].lease_size;

        REQUIRE(leases[i].size == wanted, "a lease has %u bytes of a record of %u", leases[i].size, record->size);
        lent->key = flow->key;
        lent->position = record_position(record->number);
        took_record(model, index, leases[i].data, leases[i].size, "lease_recv");
    }
}

/* How many leases a kernel backend fills at once of so many. */
static uint32_t leases_wanted(const struct model *model, const struct sock *sock, uint32_t most)
{
    const struct end *end = &model->ends[sock->end];
    uint64_t size = model->polls[sock->poll].lease_size;
    uint64_t there = kind_is_stream(end->kind) ? (in_flight(&end->in) + size - 1) / size : in_flight(&end->in);

    if (end->kind == PIPE || end->kind == SEQPACKET)
        most = most > 1 ? 1 : most;
    return there < most ? (uint32_t)there : most;
}

void step_lease_receive(struct model *model, const struct step *step)
{
    struct sock *sock = &model->socks[step->sock];
    struct end *end = end_of(model, sock);
    struct pal_lease leases[LENT_MAX];
    uint32_t most = leases_lendable(model, sock), count;
    uint64_t bytes;
    bool hungry = sock->hungry, as_packets = kind_is_stream(end->kind) && kind_is_ip(end->kind);
    bool any_number = as_packets && model->has_native_leases;
    int result, expected;

    arrive(model, sock->end);
    most = most < step->count ? most : step->count;
    most = most < LEASE_CALL_MAX ? most : LEASE_CALL_MAX;
    count = leases_wanted(model, sock, most);
    bytes = (uint64_t)count * model->polls[sock->poll].lease_size;
    bytes = bytes < in_flight(&end->in) ? bytes : in_flight(&end->in);
    expected = count > 0 ? (int)count : end->in.ended ? 0 : PAL_EAGAIN;
    if (most == 0)
        expected = PAL_ENOBUFS;
    trace_fixed(" s%d %u -> %d", step->sock, step->count, expected);
    result = try_lease_recv(sock->handle, leases, (int)step->count);
    REQUIRE(result == expected || (faults_are_on() && result > 0 && result < expected) ||
                (any_number && expected > 0 && result > 0 && (uint32_t)result <= most),
            "lease_recv on s%d is %d, not %d", step->sock, result, expected);
    if (result == PAL_ENOBUFS)
        sock->hungry = (sock->interest & PAL_LEASE && !sock->starved) || sock->hungry;
    if (result <= 0)
        return;
    if (as_packets)
        receive_packets(model, step->sock, leases, result, bytes);
    else if (kind_is_stream(end->kind))
        receive_streams(model, step->sock, leases, result, bytes);
    else
        receive_records(model, step->sock, leases, result);
    if (level_in(end) == NEVER)
        spurious_allowed(model, sock->end, PAL_IN);
    if (hungry) /* whether the next wait still calls it starved is open: a new watch settles that */
        watch(model, step->sock, sock->poll, sock->interest);
}

/* ---- giving back, reserving, sending ---- */

void step_lease_release(struct model *model, const struct step *step)
{
    trace_fixed(" l%d", step->lent);
    check_lent(model, step->lent);
    release_lent(model, step->lent);
}

void step_lease_reserve(struct model *model, const struct step *step)
{
    struct poll *poll = &model->polls[step->poll];
    struct pal_lease leases[MSGS_MAX];
    int count = (int)step->count, expected = step->size > poll->lease_size     ? PAL_EMSGSIZE
                                             : step->count > leases_free(poll) ? PAL_ENOBUFS
                                                                               : 0;
    int result = pal_lease_reserve(poll->handle, leases, count, step->size);

    trace_fixed(" p%d %d of %u -> %d", step->poll, count, step->size, expected);
    REQUIRE(result == expected, "lease_reserve is %s, not %s", pal_error_name(result), pal_error_name(expected));
    for (int i = 0; result == 0 && i < count; i++) {
        struct lent *lent = &model->lent[hold_lease(model, &leases[i], step->poll, NONE)];

        REQUIRE(leases[i].size == step->size, "a reserved lease has %u bytes, not %u", leases[i].size, step->size);
        lent->key = model_number(model);
        bytes_make(lent->key, 0, leases[i].data, leases[i].size);
    }
}

/* The next bytes for an end, into as many of the leases held as the step wants. Returns how many. */
static int fill_next(struct model *model, const struct step *step, const struct end *to, struct pal_lease *leases,
                     int *lent)
{
    uint64_t position = position_of_next(to);
    int count = 0;

    for (int i = 0; i < LENT_MAX && count < (int)step->count; i++) {
        if (!lent_sendable(&model->lent[i]))
            continue;
        leases[count] = model->lent[i].lease;
        lent[count++] = i;
        bytes_make(to->in.key, position, model->lent[i].lease.data, model->lent[i].lease.size);
        model->lent[i].key = to->in.key;
        model->lent[i].position = position;
        position = kind_is_stream(to->kind) ? position + model->lent[i].lease.size
                                            : record_position(to->in.sent + (uint64_t)count);
    }
    return count;
}

/* A fault may cut one off in the middle: what is left of it is the program's still. */
static void sent_in_part(struct model *model, const struct sock *sock, struct lent *lent, const struct pal_lease *rest)
{
    uint32_t gone = lent->lease.size - rest->size;

    REQUIRE(rest->size > 0 && rest->size <= lent->lease.size && rest->data == lent->lease.data + gone,
            "a lease that went in part is not advanced");
    lent->lease = *rest;
    lent->position += gone;
    if (gone > 0)
        sent(model, sock->end, end_of(model, sock)->peer, gone);
}

void step_lease_send(struct model *model, const struct step *step)
{
    const struct sock *sock = &model->socks[step->sock];
    const struct end *end = end_of(model, sock);
    struct pal_lease leases[MSGS_MAX];
    int lent[MSGS_MAX], count = fill_next(model, step, &model->ends[end->peer], leases, lent);
    int expected = model->ends[end->peer].in.amount == FULL ? PAL_EAGAIN : count;
    int result = try_lease_send(sock->handle, leases, count);

    trace_fixed(" s%d %d -> %d", step->sock, count, expected);
    REQUIRE(result == expected || (faults_are_on() && result >= 0 && result < expected),
            "lease_send on s%d is %d, not %d", step->sock, result, expected);
    for (int i = 0; i < result; i++) {
        uint32_t size = model->lent[lent[i]].lease.size;

        lent_return(model, lent[i]);
        sent(model, sock->end, end->peer, size);
    }
    if (result >= 0 && result < count)
        sent_in_part(model, sock, &model->lent[lent[result]], &leases[result]);
}
