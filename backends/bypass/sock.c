/* sock.c: the calls of pal/socket.h for handles of a user-space stack: open to accept, receiving and sending, options.
 * Rules 2, 5, 9, 13 and 16.
 *
 * What the stack checks by itself (flags, counts, addresses, options) is not checked here. */
#include "../common/machine.h"
#include "refused.h"
#include "ring.h"

static bool connects(const struct slot *slot)
{
    return slot->type == PAL_SOCK_STREAM;
}

static int stale(void)
{
    return pal__refuse(PAL_EBADF, NULL);
}

static int no_handle(void)
{
    return pal__refuse(PAL_ENOBUFS, "socks_max handles are open: close some, or raise socks_max in pal_setup");
}

/* ---- beginning ---- */

static int check_kind(int family, int type, int protocol)
{
    if (family < 0 || family > UINT8_MAX || type <= 0 || type > 10)
        return pal__refuse(PAL_EINVAL, "family is PAL_AF_*, type is PAL_SOCK_*");
    if (family != PAL_AF_INET && family != PAL_AF_INET6)
        return pal__refuse(PAL_EAFNOSUPPORT, "the user-space stack has IPv4 and IPv6");
    if (type != PAL_SOCK_STREAM && type != PAL_SOCK_DGRAM)
        return pal__refuse(PAL_ESOCKTNOSUPPORT, "the user-space stack has stream and datagram sockets, and none that "
                                                "are raw");
    if (protocol != 0 && protocol != (type == PAL_SOCK_STREAM ? PAL_IPPROTO_TCP : PAL_IPPROTO_UDP))
        return pal__refuse(PAL_EPROTONOSUPPORT, "streams are TCP and datagrams are UDP: protocol is that, or 0");
    return 0;
}

int pal__b_open(struct netstack *stack, int family, int type, int protocol, pal_sock *out)
{
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_open needs room for the handle");
    int error = check_kind(family, type, protocol);
    if (error)
        return error;
    if (!pal__slot_reserve())
        return no_handle();
    struct refusal before = refusal_clear();
    struct sock *sock = NULL;
    error = told(pal__n_sock_open(stack, family, type, &sock), before);
    if (error) {
        pal__slot_cancel();
        return error;
    }
    *out = slot_handle(pal__b_ring_begin(sock, type == PAL_SOCK_STREAM ? SLOT_FRESH : 0u, (uint8_t)type));
    return 0;
}

int pal__b_dup(pal_sock sock, pal_sock *out)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_dup needs room for the handle");
    if (!pal__slot_reserve())
        return no_handle();
    slot_set(slot, SLOT_EXPORTED); /* so that the machine looks for duplicates when one of them is stirred */
    uint32_t inherited = slot_flags(slot) & (SLOT_EXPORTED | SLOT_FRESH | SLOT_FAILED | SLOT_CONNECTING);
    *out = slot_handle(pal__b_ring_join(slot, inherited));
    return 0;
}

int pal__b_bind(pal_sock sock, const struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_bind(sock_of(slot), addr), before);
}

int pal__b_listen(pal_sock sock, int backlog)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    struct refusal before = refusal_clear();
    int error = told(pal__n_sock_listen(sock_of(slot), backlog), before);
    if (!error)
        pal__machine_stirred(slot);
    return error;
}

/* ---- connecting ---- */

/* Has this attempt ended the socket's only chance (hole 28)? Not if it was none: the address made no sense, or another
 * attempt is under way or has succeeded. What it may not be by then the stack knows itself. */
static bool is_final(int error)
{
    return error != PAL_EAGAIN && error != PAL_EALREADY && error != PAL_EISCONN && error != PAL_EINVAL &&
           error != PAL_EAFNOSUPPORT;
}

static int connect_stream(struct slot *slot, const struct pal_addr *addr)
{
    if (addr && pal__b_ring_flags(slot, SLOT_FAILED))
        return pal__refuse(PAL_EINVAL, "this socket's connect has failed: close it and open another");
    struct refusal before = refusal_clear();
    int error = told(pal__n_sock_connect(sock_of(slot), addr), before);
    if (error == 0 || error == PAL_EINPROGRESS) {
        if (error)
            slot_set(slot, SLOT_CONNECTING);
        pal__machine_stirred(slot);
    } else if (is_final(error)) {
        slot_set(slot, SLOT_FAILED);
    } else if (error == PAL_EINVAL && !pal__refusal.reason) {
        return pal__refuse(PAL_EINVAL, "this socket's connect has failed: close it and open another");
    }
    return error;
}

int pal__b_connect(pal_sock sock, const struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    if (connects(slot))
        return connect_stream(slot, addr);
    struct refusal before = refusal_clear();
    return told(pal__n_sock_connect(sock_of(slot), addr), before);
}

int pal__b_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return stale();
    if (UNLIKELY(!out))
        return pal__refuse(PAL_EINVAL, "pal_sock_accept needs room for the handle");
    if (UNLIKELY(!pal__slot_reserve())) /* first: never accept what cannot be held (rule 13) */
        return no_handle();
    struct refusal before = refusal_clear();
    struct sock *accepted = NULL;
    int error = told(pal__n_sock_accept(sock_of(slot), &accepted, addr), before);
    if (error) {
        pal__slot_cancel();
        return error;
    }
    *out = slot_handle(pal__b_ring_begin(accepted, 0, PAL_SOCK_STREAM));
    return 0;
}

/* ---- bytes and messages ---- */

int32_t pal__b_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_recv(sock_of(slot), buffer, size, flags), before);
}

int32_t pal__b_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_send(sock_of(slot), data, size, flags), before);
}

int pal__b_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_recv_msgs(sock_of(slot), msgs, count, flags), before);
}

int pal__b_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (UNLIKELY(!slot))
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_send_msgs(sock_of(slot), msgs, count, flags), before);
}

/* ---- options and names ---- */

int pal__b_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    if (option == PAL_SO_OWNER && value)
        return pal__refuse(PAL_ENOTSUP, "this option is read-only");
    struct refusal before = refusal_clear();
    return told(pal__n_sock_set(sock_of(slot), option, value, size), before);
}

static int get_owner(const struct slot *slot, void *value, size_t *size)
{
    pal_poll *poll = slot_poll(slot);
    if (*size < sizeof poll)
        return pal__refuse(PAL_EINVAL, "the room for this option is too small");
    memcpy(value, &poll, sizeof poll);
    *size = sizeof poll;
    return 0;
}

/* A connect whose outcome was a failure, and has now been told, leaves close only. */
static void note_outcome(struct slot *slot, const void *value)
{
    int32_t outcome;
    memcpy(&outcome, value, sizeof outcome);
    if (!outcome)
        return;
    if (slot_flags(slot) & SLOT_CONNECTING)
        slot_set(slot, SLOT_FAILED);
    pal__failed(outcome);
}

int pal__b_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    if (option == PAL_SO_OWNER && value && size)
        return get_owner(slot, value, size);
    struct refusal before = refusal_clear();
    int error = told(pal__n_sock_get(sock_of(slot), option, value, size), before);
    if (!error && option == PAL_SO_ERROR)
        note_outcome(slot, value);
    return error;
}

int pal__b_name(pal_sock sock, int which, struct pal_addr *out)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return stale();
    struct refusal before = refusal_clear();
    return told(pal__n_sock_name(sock_of(slot), which, out), before);
}
