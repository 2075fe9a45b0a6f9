/* lease.c: leases: receive into the poll's pool, or take what a source lends; send from either. See lease.h. */
#include "lease.h"

#include "machine.h"
#include "refusal.h"
#include <pal/socket.h>

const struct lease_source *_Atomic pal__lease_source;

/* An empty lease for slot, its metadata cleared; false when there is none for it. */
static bool lend(pal_poll *poll, struct slot *slot, struct pal_lease *out)
{
    if (!poll->leases.free_count || slot->leases >= poll->leases_per_sock_max)
        return false;
    *out = pal__lease_take(&poll->leases, slot_handle(slot));
    slot->leases++;
    return true;
}

/* A socket that has moved, or left its poll meanwhile, counts anew: what it had borrowed before is not its charge, nor
 * may it make the count less than 0. */
static void give_back(pal_poll *poll, const struct pal_lease *lease)
{
    struct slot *slot = slot_of(pal__lease_return(&poll->leases, lease));
    uint16_t count = slot && slot_poll(slot) == poll ? slot->leases : 0;
    while (count && !atomic_compare_exchange_weak(&slot->leases, &count, (uint16_t)(count - 1)))
        continue;
}

/* In what follows max is LEASE_BATCH at most. */

/* What can be had without a copy, of streams and datagrams alike; 0: none. */
static int recv_loans(const struct lease_source *source, pal_poll *poll, struct slot *slot, struct pal_lease *out,
                      int max)
{
    struct lease_loan loans[LEASE_BATCH];
    uint32_t lent = slot->leases, share = poll->leases_per_sock_max > lent ? poll->leases_per_sock_max - lent : 0;
    uint32_t room = share < poll->leases.free_count ? share : poll->leases.free_count;
    if (room < (uint32_t)max)
        max = (int)room;
    if (max == 0)
        return 0;
    int count = source->lend(poll, slot, loans, max);
    for (int i = 0; i < count; i++)
        out[i] = pal__lease_take_loan(&poll->leases, slot_handle(slot), &loans[i]);
    slot->leases += (uint16_t)count;
    return count;
}

/* Streams: one call gathers into as many leases as it fills. A second call would eat an error that the first one left
 * for the caller to see. */
static int recv_stream(pal_poll *poll, struct slot *slot, struct pal_lease *out, int max)
{
    struct pal_iov pieces[LEASE_BATCH];
    int count = 0, most = slot->type == PAL_SOCK_STREAM ? max : 1;
    for (; count < most && lend(poll, slot, &out[count]); count++)
        pieces[count] = (struct pal_iov){.data = out[count].data, .size = poll->leases.size};
    if (count == 0)
        return PAL_ENOBUFS;
    struct pal_msg message = {.iov = pieces, .iov_count = (uint16_t)count};
    int32_t result = count == 1 ? pal_sock_recv(slot_handle(slot), out[0].data, poll->leases.size, 0)
                                : pal_sock_recv_msgs(slot_handle(slot), &message, 1, 0);
    if (count > 1 && result > 0)
        result = message.size;
    uint32_t left = result > 0 ? (uint32_t)result : 0;
    int filled = (int)((left + poll->leases.size - 1) / poll->leases.size);
    for (int i = count; i-- > filled;)
        give_back(poll, &out[i]);
    for (int i = 0; i < filled; i++) {
        out[i].size = left < poll->leases.size ? left : poll->leases.size;
        left -= out[i].size;
        *lease_metadata(out[i].data) = (struct pal_msg){.size = (int32_t)out[i].size};
    }
    return filled ? filled : result;
}

/* Datagrams: a batch in one call, each with its metadata in the head-room. */
static int recv_datagrams(pal_poll *poll, struct slot *slot, struct pal_lease *out, int max)
{
    struct pal_iov iov[LEASE_BATCH];
    struct pal_msg batch[LEASE_BATCH];
    int count = 0;
    while (count < max && lend(poll, slot, &out[count])) {
        struct pal_addr *addr = (struct pal_addr *)(void *)(lease_metadata(out[count].data) + 1);
        iov[count] = (struct pal_iov){.data = out[count].data, .size = poll->leases.size};
        batch[count] = (struct pal_msg){.iov = &iov[count], .iov_count = 1, .addr = addr, .want = LEASE_WANTS};
        count++;
    }
    if (count == 0)
        return PAL_ENOBUFS;
    int received = pal_sock_recv_msgs(slot_handle(slot), batch, count, 0);
    for (int i = count; i-- > (received > 0 ? received : 0);)
        give_back(poll, &out[i]);
    for (int i = 0; i < received; i++) {
        out[i].size = (uint32_t)batch[i].size;
        *lease_metadata(out[i].data) = batch[i];
        lease_metadata(out[i].data)->iov = NULL; /* it was this frame's */
        lease_metadata(out[i].data)->iov_count = 0;
    }
    return received;
}

/* Of datagrams as many as are there: behind those that are lent those that cannot be. */
static int receive(pal_poll *poll, struct slot *slot, struct pal_lease *out, int max)
{
    const struct lease_source *source =
        in_stack(slot_handle(slot)) ? atomic_load_explicit(&pal__lease_source, memory_order_relaxed) : NULL;
    bool is_stream = slot->type != PAL_SOCK_DGRAM && slot->type != PAL_SOCK_RAW;
    int lent = source ? recv_loans(source, poll, slot, out, max) : 0;
    if (lent && (is_stream || lent == max || !source->waits(slot)))
        return lent;
    int result = is_stream ? recv_stream(poll, slot, out, max) : recv_datagrams(poll, slot, out + lent, max - lent);
    if (source && result > 0)
        source->copied(slot, result);
    return !lent ? result : result > 0 ? lent + result : lent;
}

int pal__lease_recv(pal_sock sock, struct pal_lease *out, int max)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    if (UNLIKELY(!out || max < 1))
        return pal__refuse(PAL_EINVAL, "pal_lease_recv needs room for at least one lease");
    pal_poll *poll = slot_poll(slot);
    if (UNLIKELY(!poll))
        return pal__refuse(PAL_EINVAL, "leases are a poll's: watch the socket first");
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    if (UNLIKELY(slot_flags(slot) & SLOT_PASS))
        return pal__refuse(PAL_ENOTSUP,
                           "leases cannot carry passed handles: switch PAL_SO_PASS off or receive messages");
    int result = receive(poll, slot, out, max < LEASE_BATCH ? max : LEASE_BATCH);
    if (LIKELY(result != PAL_ENOBUFS))
        return result;
    pal__machine_hungry(slot);
    return pal__refuse(PAL_ENOBUFS, "all leases of the poll, or of this socket's share, are lent: release some");
}

int pal__lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size)
{
    int error = poll_enter(poll);
    if (UNLIKELY(error))
        return error;
    if (!out || count < 1)
        return pal__refuse(PAL_EINVAL, "pal_lease_reserve needs room for at least one lease");
    if (size > poll->leases.size)
        return pal__refuse(PAL_EMSGSIZE, "a lease has lease_size bytes: see pal_poll_open");
    if ((uint32_t)count > poll->leases.free_count)
        return PAL_ENOBUFS;
    for (int i = 0; i < count; i++) {
        out[i] = pal__lease_take(&poll->leases, (pal_sock){0});
        out[i].size = size;
        *lease_metadata(out[i].data) = (struct pal_msg){.size = (int32_t)size};
    }
    return 0;
}

static pal_poll *owner_of(const struct pal_lease *lease)
{
    pal_poll *poll = pal__poll_numbered(lease_poll_number(lease));
    RULE(12, poll_owned(poll), "a lease is used by another thread");
    pal__lease_check(&poll->leases, lease);
    return poll;
}

/* Bytes of up to count leases that one call takes; negative: why none. */
static int32_t send_gathered(const struct slot *slot, const struct pal_lease *leases, int count)
{
    struct pal_iov iov[PAL_IOV_MAX];
    for (int i = 0; i < count; i++)
        iov[i] = (struct pal_iov){.data = leases[i].data, .size = leases[i].size};
    struct pal_msg message = {.iov = iov, .iov_count = (uint16_t)count};
    int result = pal_sock_send_msgs(slot_handle(slot), &message, 1, 0);
    return result < 0 ? result : message.size;
}

int pal__lease_send(pal_sock sock, struct pal_lease *leases, int count)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    if (UNLIKELY(!leases || count < 1))
        return pal__refuse(PAL_EINVAL, "pal_lease_send needs at least one lease");
    bool stream = slot->type == PAL_SOCK_STREAM;
    int sent = 0;
    while (sent < count) {
        int gathered = !stream ? 1 : count - sent < PAL_IOV_MAX ? count - sent : PAL_IOV_MAX;
        for (int i = 0; i < gathered; i++)
            owner_of(&leases[sent + i]);
        int32_t taken = gathered == 1 ? pal_sock_send(sock, leases[sent].data, leases[sent].size, 0)
                                      : send_gathered(slot, &leases[sent], gathered);
        if (taken < 0)
            return sent ? sent : taken;
        for (; gathered > 0 && (uint32_t)taken >= leases[sent].size; gathered--, sent++) {
            taken -= (int32_t)leases[sent].size;
            pal_poll *poll = owner_of(&leases[sent]);
            give_back(poll, &leases[sent]);
            pal__machine_feed(poll);
        }
        if (gathered) { /* a short write: the rest stays the caller's */
            leases[sent].data += taken;
            leases[sent].size -= (uint32_t)taken;
            return sent;
        }
    }
    return sent;
}

void pal__lease_release(pal_poll *poll, const struct pal_lease *leases, int count)
{
    RULE(12, poll_enter(poll) == 0, "leases are released in a child of fork");
    for (int i = 0; i < count; i++) {
        RULE(5, lease_poll_number(&leases[i]) == poll->leases.number, "a lease is released to another poll");
        give_back(poll, &leases[i]);
    }
    pal__machine_feed(poll);
}
