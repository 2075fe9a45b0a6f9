/* message.c: messages with addresses and control data, singly and in batches of up to 32 a system call. Rules 2, 5.
 *
 * The most frequent message, one IPv4 datagram of one piece, is try.h's. pal_msg.priv is not needed here, as nothing of
 * a message outlives its call. */
#include "message.h"

#include "option.h"
#include "sockaddr.h"
#include "try.h"

#include <poll.h>

enum { BATCH = 32 };

enum {
    RECV_FLAGS = PAL_MSG_OOB | PAL_MSG_PEEK | PAL_MSG_TRUNC | PAL_MSG_ERRQUEUE | PAL_MSG_WAIT,
    SEND_FLAGS = PAL_MSG_OOB | PAL_MSG_DONTROUTE | PAL_MSG_EOR | PAL_MSG_MORE | PAL_MSG_ZEROCOPY | PAL_MSG_WAIT,
    SHOWN_FLAGS = PAL_MSG_OOB | PAL_MSG_CTRUNC | PAL_MSG_TRUNC | PAL_MSG_EOR | PAL_MSG_ERRQUEUE
};

static int check_messages(const struct pal_msg *msgs, int count)
{
    if (!msgs || count < 1)
        return pal__refuse(PAL_EINVAL, "messages come as an array of at least one");
    for (int i = 0; i < count; i++) {
        if (msgs[i].iov_count > PAL_IOV_MAX || (msgs[i].iov_count && !msgs[i].iov))
            return pal__refuse(PAL_EINVAL, "a message has at most PAL_IOV_MAX pieces");
        if (msgs[i].want & ~(uint32_t)MESSAGE_WANTS)
            return pal__refuse(PAL_EINVAL, "want is PAL_META_*");
        if (msgs[i].raw_size && !msgs[i].raw)
            return pal__refuse(PAL_EINVAL, "raw_size without raw");
    }
    return 0;
}

/* What both directions ask first; known: the flags that this one takes. */
static int prepare(struct slot *slot, const struct pal_msg *msgs, int count, uint32_t flags, uint32_t known)
{
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    int error = check_messages(msgs, count);
    if (error)
        return error;
    if (slot_plain(slot))
        return pal__refuse(PAL_ENOTSOCK, "pipes and terminals carry no messages: use pal_sock_recv and pal_sock_send");
    if (flags & ~known)
        return pal__refuse(PAL_EINVAL, "receiving knows PAL_MSG_OOB, PEEK, TRUNC, ERRQUEUE, WAIT; sending OOB, "
                                       "DONTROUTE, EOR, MORE, ZEROCOPY, WAIT");
    if (flags & PAL_MSG_ZEROCOPY && (error = pal__k_may_zerocopy(slot)))
        return error;
    return flags & PAL_MSG_WAIT ? pal__k_block(slot, known == RECV_FLAGS ? POLLIN : POLLOUT) : 0;
}

static size_t total_size(const struct pal_msg *msg)
{
    size_t total = 0;
    for (uint32_t i = 0; i < msg->iov_count; i++)
        total += msg->iov[i].size;
    return total;
}

/* ---- receive ---- */

/* Linux names an unnamed unix sender with nothing at all. */
static void sender_of(const struct slot *slot, struct pal_addr *out, const union sockaddr_any *name, socklen_t size)
{
    addr_of(out, name, size);
    if (size == 0 && slot->family == PAL_AF_UNIX)
        out->family = PAL_AF_UNIX;
}

static void describe(const struct slot *slot, struct pal_msg *msg, const struct mmsghdr *from)
{
    msg->size = (int32_t)from->msg_len;
    msg->flags = (uint32_t)from->msg_hdr.msg_flags & SHOWN_FLAGS;
    msg->have = 0;
    msg->socks_count = 0;
    if (msg->addr)
        sender_of(slot, msg->addr, from->msg_hdr.msg_name, from->msg_hdr.msg_namelen);
    if (from->msg_hdr.msg_control)
        pal__k_control_decode(slot, msg, &from->msg_hdr);
    else if (slot->family != PAL_AF_UNIX)
        msg->flags &= ~(uint32_t)PAL_MSG_CTRUNC; /* what nobody wants is not missed */
}

static int recv_batch(const struct slot *slot, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct mmsghdr headers[BATCH];
    union sockaddr_any names[BATCH];
    struct control controls[BATCH];
    for (int i = 0; i < count; i++) {
        size_t room = pal__k_control_room(slot, &msgs[i]);
        headers[i].msg_hdr = (struct msghdr){
            .msg_name = msgs[i].addr ? &names[i] : NULL,
            .msg_namelen = msgs[i].addr ? sizeof names[i] : 0,
            .msg_iov = (struct iovec *)(void *)msgs[i].iov,
            .msg_iovlen = msgs[i].iov_count,
            .msg_control = room ? controls[i].bytes : NULL,
            .msg_controllen = (socklen_t)room,
        };
    }
    int native = (int)(flags & ~(uint32_t)PAL_MSG_WAIT) | MSG_CMSG_CLOEXEC;
    native |= flags & PAL_MSG_WAIT ? MSG_WAITFORONE : MSG_DONTWAIT;
    if (slot->type == PAL_SOCK_STREAM && !(flags & PAL_MSG_ERRQUEUE))
        native &= ~MSG_TRUNC; /* on a stream the kernel would throw the bytes away */
    if ((slot->type == PAL_SOCK_STREAM || slot->type == PAL_SOCK_SEQPACKET) && !(flags & PAL_MSG_ERRQUEUE))
        count = 1; /* its end would fill the whole batch */
    long received = sys_recvmmsg(slot->fd, headers, (unsigned)count, native);
    if (received < 0)
        return pal__failed(received);
    for (long i = 0; i < received; i++)
        describe(slot, &msgs[i], &headers[i]);
    if (!(flags & (PAL_MSG_PEEK | PAL_MSG_ERRQUEUE)))
        acknowledge(slot);
    return (int)received;
}

int pal__k_sock_recv_batch(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    int error = prepare(slot, msgs, count, flags, RECV_FLAGS);
    if (error)
        return error;
    if (flags & PAL_MSG_PEEK)
        count = 1; /* the kernel would show the same message again */
    /* One call, no more: a second one would eat an error that the first left for the caller to see. */
    return recv_batch(slot, msgs, count < BATCH ? count : BATCH, flags);
}

/* ---- send ---- */

static int prepare_send(const struct slot *slot, const struct pal_msg *msg, struct msghdr *header,
                        union sockaddr_any *name, struct control *control)
{
    *header = (struct msghdr){.msg_iov = (struct iovec *)(void *)msg->iov, .msg_iovlen = msg->iov_count};
    if (msg->addr) {
        int error = sockaddr_of(msg->addr, name, &header->msg_namelen);
        if (error)
            return error;
        header->msg_name = name;
    }
    int size = pal__k_control_encode(slot, msg, control);
    if (size < 0)
        return size;
    if (size > 0) {
        header->msg_control = control->bytes;
        header->msg_controllen = (socklen_t)size;
    } else if (msg->raw_size) {
        header->msg_control = msg->raw;
        header->msg_controllen = msg->raw_size;
    }
    return 0;
}

/* Why the kernel took none. It does not say that it was the segments. */
static int unsent(const struct pal_msg *msg, long error)
{
    int code = pal__failed(error);
    if (msg->want & PAL_META_GSO && (error == -EINVAL || error == -EMSGSIZE || error == -EIO))
        pal__refusal.reason =
            "segments: at most 64, each no more than the path takes in one packet, 65507 bytes in all";
    return code;
}

static int send_batch(const struct slot *slot, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct mmsghdr headers[BATCH];
    union sockaddr_any names[BATCH];
    struct control controls[BATCH];
    int prepared = 0, error = 0;
    while (prepared < count && !error) {
        error = prepare_send(slot, &msgs[prepared], &headers[prepared].msg_hdr, &names[prepared], &controls[prepared]);
        prepared += !error;
    }
    if (prepared == 0)
        return error;
    int native = (int)(flags & ~(uint32_t)PAL_MSG_WAIT) | MSG_NOSIGNAL | (flags & PAL_MSG_WAIT ? 0 : MSG_DONTWAIT);
    long sent = sys_sendmmsg(slot->fd, headers, (unsigned)prepared, native);
    if (sent < 0)
        return unsent(msgs, sent);
    for (long i = 0; i < sent; i++)
        msgs[i].size = (int32_t)headers[i].msg_len;
    return (int)sent;
}

/* After a short write of a stream, sending its next message would leave a hole. */
static bool went_whole(const struct slot *slot, const struct pal_msg *msg)
{
    return slot->type != PAL_SOCK_STREAM || (size_t)msg->size == total_size(msg);
}

int pal__k_sock_send_batch(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    int error = prepare(slot, msgs, count, flags, SEND_FLAGS);
    if (error)
        return error;
    int most = slot->type == PAL_SOCK_STREAM ? 1 : BATCH;
    int done = 0;
    while (done < count) {
        int batch = count - done < most ? count - done : most;
        int sent = send_batch(slot, msgs + done, batch, flags);
        if (sent < 0)
            return done ? done : sent;
        done += sent;
        if (sent < batch || !went_whole(slot, &msgs[done - 1]))
            break;
    }
    return done;
}
