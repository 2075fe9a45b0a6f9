/* try.h: receive and send as the hot path has them: one look-up, one system call, nothing else.
 *
 * Connected sockets are left in blocking mode and tried with MSG_DONTWAIT (hole 3), so that PAL_MSG_WAIT needs no mode
 * change either. Flags, descriptors that are no sockets, and sockets with SLOT_DETOUR go to stream.c and message.c. */
#ifndef PAL__POSIX_TRY_H
#define PAL__POSIX_TRY_H

#include "../common/refusal.h"
#include "../common/slot.h"
#include "kernel.h"
#include "sockaddr.h"
#include "sys.h"

static inline size_t io_cut(uint64_t size)
{
    return size > PAL_IO_MAX ? PAL_IO_MAX : (size_t)size;
}

static inline int32_t pal__k_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    struct slot *slot = slot_at(sock);
    if (UNLIKELY(!slot_is(slot, sock) || slot_plain(slot) || flags || size > PAL_IO_MAX))
        return pal__k_sock_recv_slow(sock, buffer, size, flags);
    long result = sys_recvfrom(slot->fd, buffer, size, MSG_DONTWAIT, NULL, NULL);
    return LIKELY(result >= 0) ? (int32_t)result : pal__failed(result);
}

static inline int32_t pal__k_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    struct slot *slot = slot_at(sock);
    if (UNLIKELY(!slot_is(slot, sock) || slot_plain(slot) || flags || size > PAL_IO_MAX))
        return pal__k_sock_send_slow(sock, data, size, flags);
    long result = sys_sendto(slot->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    return LIKELY(result >= 0) ? (int32_t)result : pal__failed(result);
}

/* One message of one piece with an address and no metadata: recvfrom and sendto do, without headers or control data.
 * Datagrams need no cut: the kernel's own limit is far below PAL_IO_MAX. */
static inline bool simple_message(const struct pal_msg *msgs, int count, uint32_t flags)
{
    return LIKELY(count == 1) && LIKELY(msgs != NULL) && LIKELY(!flags) &&
           LIKELY(msgs->iov_count == 1 && msgs->want == 0 && msgs->raw_size == 0) && LIKELY(msgs->addr != NULL) &&
           LIKELY(msgs->iov != NULL);
}

static inline bool slot_udp4(const struct slot *slot)
{
    return slot->family == PAL_AF_INET && slot->type == PAL_SOCK_DGRAM;
}

static inline int recv_simple(const struct slot *slot, struct pal_msg *msg)
{
    struct sockaddr_in name;
    socklen_t name_size = sizeof name;
    struct pal_addr *addr = msg->addr;
    size_t room = msg->iov->size;
    /* MSG_TRUNC: the datagram's true size is returned, so that a cut shows. */
    long result = sys_recvfrom(slot->fd, msg->iov->data, room, MSG_DONTWAIT | MSG_TRUNC, &name, &name_size);
    if (UNLIKELY(result < 0))
        return pal__failed(result);
    msg->size = (int32_t)result;
    msg->flags = 0;
    msg->have = 0;
    msg->socks_count = 0;
    if (UNLIKELY((size_t)result > room)) {
        msg->size = (int32_t)room;
        msg->flags = PAL_MSG_TRUNC;
    }
    addr_of_in(addr, &name);
    return 1;
}

static inline int send_simple(const struct slot *slot, struct pal_msg *msg)
{
    struct sockaddr_in name;
    sockaddr_in_of(msg->addr, &name);
    long result = sys_sendto(slot->fd, msg->iov->data, msg->iov->size, MSG_DONTWAIT | MSG_NOSIGNAL, &name, sizeof name);
    if (UNLIKELY(result < 0))
        return pal__failed(result);
    msg->size = (int32_t)result;
    return 1;
}

static inline int pal__k_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_at(sock);
    if (LIKELY(slot_is(slot, sock)) && simple_message(msgs, count, flags) && LIKELY(slot_udp4(slot)))
        return recv_simple(slot, msgs);
    return pal__k_sock_recv_batch(sock, msgs, count, flags);
}

static inline int pal__k_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_at(sock);
    if (LIKELY(slot_is(slot, sock)) && simple_message(msgs, count, flags) && LIKELY(addr_is_in(msgs->addr)))
        return send_simple(slot, msgs);
    return pal__k_sock_send_batch(sock, msgs, count, flags);
}

#endif
