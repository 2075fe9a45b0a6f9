/* sock_end.c: how a handle of a user-space stack ends: shut down, closed, or gone with its host. Rules 7, 8 and 17. */
#include "../common/machine.h"
#include "lease.h"
#include "refused.h"
#include "ring.h"

int pal__b_shutdown(pal_sock sock, int how)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    struct refusal before = refusal_clear();
    return told(pal__n_sock_shutdown(sock_of(slot), how), before);
}

int pal__b_close(pal_sock sock)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return pal__refuse(PAL_EBADF, NULL);
    int error = pal__machine_retire(slot);
    if (UNLIKELY(error))
        return error;
    struct sock *last = pal__b_ring_leave(slot);
    if (LIKELY(last != NULL))
        pal__n_sock_close(last);
    return 0;
}

int pal__b_release(pal_sock sock, intptr_t *native)
{
    if (!slot_of(sock))
        return pal__refuse(PAL_EBADF, NULL);
    if (!native)
        return pal__refuse(PAL_EINVAL, "pal_sock_release needs room for the descriptor");
    return pal__refuse(PAL_ENOTSUP, "this socket is of the user-space stack: it has no descriptor to give");
}

void pal__b_abandon(struct netstack *stack)
{
    pal__b_lease_abandon(stack);
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *slot = &pal__slots[number];
        struct sock *sock = pal__b_socks[number];
        if (!sock || sock->stack != stack)
            continue;
        pal__machine_abandon(slot);
        pal__b_socks[number] = NULL;
        pal__slot_drop(slot);
        pal__n_sock_watch(sock, 0); /* which takes it off its waiter's list */
    }
}
