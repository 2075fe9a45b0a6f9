/* sock_ready.c: which sockets are ready for what is watched (rule 9 of docs/seam.md): level-triggered, without a walk
 * over those that are not.
 *
 * Whoever changes a socket calls pal__n_sock_changed, which lists it; a look at the list finds out which of them are
 * ready still. One that is no longer ready leaves the list then, and not before. */
#include "sock.h"

#include "stack.h"

enum { WATCHABLE = PAL_IN | PAL_OUT | PAL_PRI | PAL_RDHUP };

uint32_t pal__n_sock_ready(const struct sock *sock)
{
    uint32_t ready = sock->kind == SOCK_TCP ? pal__n_tcp_ready(sock) : pal__n_udp_ready(sock);

    if (ready & (PAL_ERR | PAL_HUP))
        ready |= sock->interest & WATCHABLE;
    return ready;
}

static bool is_ready(const struct sock *sock)
{
    if (sock->interest == 0)
        return false;
    return (pal__n_sock_ready(sock) & ((sock->interest & WATCHABLE) | PAL_ERR | PAL_HUP)) != 0;
}

/* A datagram socket waits for room at its interface, of whose coming nobody tells: it stays listed and is looked at. */
static bool waits_for_room(const struct sock *sock)
{
    return sock->kind == SOCK_UDP && sock->interest & PAL_OUT;
}

static void enlist(struct sock_waiter *waiter, struct sock *sock)
{
    base_list_push_back(&waiter->ready, &sock->ready_link);
    if (waiter->roused != NULL && !base_link_is_linked(&waiter->link))
        base_list_push_back(waiter->roused, &waiter->link);
}

void pal__n_sock_changed(struct sock *sock)
{
    if (!base_link_is_linked(&sock->ready_link) && sock->interest != 0 && (waits_for_room(sock) || is_ready(sock)))
        enlist(sock->waiter, sock);
}

void pal__n_sock_wait_by(struct sock *sock, struct sock_waiter *waiter)
{
    if (sock->waiter == waiter)
        return;
    if (base_link_is_linked(&sock->ready_link))
        base_list_remove(&sock->ready_link);
    sock->waiter = waiter;
    pal__n_sock_changed(sock);
}

void pal__n_sock_watch(struct sock *sock, uint32_t interest)
{
    sock->interest = (uint16_t)interest;
    if (interest == 0 && base_link_is_linked(&sock->ready_link))
        base_list_remove(&sock->ready_link);
    pal__n_sock_changed(sock);
}

int pal__n_waiter_ready(struct sock_waiter *waiter, struct sock **out, int max)
{
    struct base_link *last = base_list_last(&waiter->ready); /* what is listed behind it, this call has listed */
    struct base_link *link = NULL;
    int count = 0;

    while (link != last && count < max) {
        struct sock *sock;
        bool ready;

        link = base_list_pop_front(&waiter->ready);
        sock = BASE_CONTAINER_OF(link, struct sock, ready_link);
        ready = is_ready(sock);
        if (ready)
            out[count++] = sock;
        if (ready || (sock->interest != 0 && waits_for_room(sock)))
            base_list_push_back(&waiter->ready, link);
    }
    return count;
}

int pal__n_stack_ready(struct netstack *stack, struct sock **out, int max)
{
    return pal__n_waiter_ready(&stack->waiter, out, max);
}
