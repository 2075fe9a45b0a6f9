/* sock_msg.c: receiving and sending: what rules 2, 5 and 16 of docs/seam.md say of flags, counts and pieces. The bytes
 * are moved by tcp_sock.c, udp_recv.c and udp_send.c. */
#include "sock.h"

#include "stack.h"

enum {
    RECV_FLAGS = PAL_MSG_OOB | PAL_MSG_PEEK | PAL_MSG_TRUNC | PAL_MSG_ERRQUEUE | PAL_MSG_WAIT,
    SEND_FLAGS = PAL_MSG_OOB | PAL_MSG_DONTROUTE | PAL_MSG_EOR | PAL_MSG_MORE | PAL_MSG_ZEROCOPY | PAL_MSG_WAIT,
    WANTS_IP = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS, /* what a program may say of what it sends */
    WANTS_RECEIVED = PAL_META_TIME | PAL_META_DROPPED | PAL_META_CRED | PAL_META_NOTICE,
    WANTS = WANTS_IP | WANTS_RECEIVED | PAL_META_GSO | PAL_META_SOCKS,
    BATCH = 32 /* messages that one receive takes at most (rule 2) */
};

/* ---- arguments ---- */

static int check_recv_flags(const struct sock *sock, uint32_t flags)
{
    if (flags & ~(uint32_t)RECV_FLAGS)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "receiving knows PAL_MSG_OOB, PEEK, TRUNC, ERRQUEUE and WAIT");
    if (flags & PAL_MSG_WAIT)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "a call that waits needs a kernel's socket: watch or submit");
    if (flags & PAL_MSG_OOB && sock->kind == SOCK_UDP)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "datagrams are never urgent");
    return 0;
}

static int check_send_flags(const struct sock *sock, uint32_t flags)
{
    if (flags & ~(uint32_t)SEND_FLAGS)
        return pal__n_refuse(sock->stack, PAL_EINVAL,
                             "sending knows PAL_MSG_OOB, DONTROUTE, EOR, MORE, ZEROCOPY, WAIT");
    if (flags & PAL_MSG_ZEROCOPY)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "PAL_MSG_ZEROCOPY needs PAL_SO_ZEROCOPY, which is not here");
    if (flags & PAL_MSG_WAIT)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "a call that waits needs a kernel's socket: watch or submit");
    if (flags & PAL_MSG_OOB && sock->kind == SOCK_UDP)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "datagrams are never urgent");
    if (flags & PAL_MSG_MORE && sock->kind == SOCK_UDP)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "a datagram is sent by one call: give it in pieces (iov)");
    return 0;
}

static int check_messages(const struct sock *sock, const struct pal_msg *msgs, int count)
{
    if (msgs == NULL || count < 1)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "messages come as an array of at least one");
    for (int i = 0; i < count; i++) {
        if (msgs[i].iov_count > PAL_IOV_MAX || (msgs[i].iov_count != 0 && msgs[i].iov == NULL))
            return pal__n_refuse(sock->stack, PAL_EINVAL, "a message has at most PAL_IOV_MAX pieces");
        if (msgs[i].want & ~(uint32_t)WANTS)
            return pal__n_refuse(sock->stack, PAL_EINVAL, "want is PAL_META_*");
        if (msgs[i].raw_size != 0 && msgs[i].raw == NULL)
            return pal__n_refuse(sock->stack, PAL_EINVAL, "raw_size without raw");
    }
    return 0;
}

/* What a message to be sent asks for beside its bytes. */
static int check_wanted(const struct sock *sock, const struct pal_msg *msg)
{
    if (msg->raw_size != 0 && msg->want != 0)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "raw control data and want: give one or the other");
    if (msg->raw_size != 0)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this stack has no control data of its own form: use want");
    if (msg->want & WANTS_RECEIVED)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "times, drops, credentials and notices are received, not sent");
    if (msg->want & PAL_META_SOCKS)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "handles are passed over unix sockets only");
    if (msg->want & PAL_META_GSO)
        return pal__n_refuse(sock->stack, PAL_ENOTSUP, "this stack does not cut sends into datagrams");
    if (msg->want & PAL_META_LOCAL && msg->local.family != PAL_AF_UNSPEC && msg->local.family != sock->family)
        return pal__n_refuse(sock->stack, PAL_EAFNOSUPPORT, "the source address is of another family than the socket");
    return 0;
}

static struct pal_iov piece_of(void *data, size_t size)
{
    struct pal_iov piece = {data, size < PAL_IO_MAX ? size : (size_t)PAL_IO_MAX};

    return piece;
}

/* A message of one piece and no wishes; the fields that only an answer has are left as they are. */
static void msg_of(struct pal_msg *msg, struct pal_iov *piece)
{
    msg->iov = piece;
    msg->iov_count = 1;
    msg->addr = NULL;
    msg->want = 0;
    msg->raw_size = 0;
}

/* ---- receiving ---- */

int32_t pal__n_sock_recv(struct sock *sock, void *buffer, size_t size, uint32_t flags)
{
    struct pal_iov piece = piece_of(buffer, size);
    struct pal_msg msg;
    int error = check_recv_flags(sock, flags);

    if (error != 0)
        return error;
    if (buffer == NULL && size != 0)
        return PAL_EFAULT;
    if (sock->kind == SOCK_TCP) {
        if (flags & PAL_MSG_ERRQUEUE)
            return PAL_EAGAIN;
        return pal__n_tcp_recv(sock, &piece, 1, flags & ~(uint32_t)PAL_MSG_TRUNC);
    }
    msg_of(&msg, &piece);
    error = pal__n_udp_recv(sock, &msg, flags);
    return error != 0 ? error : msg.size;
}

/* A stream has no messages: what is there is one, and so is its end. */
static int recv_stream(struct sock *sock, struct pal_msg *msg, uint32_t flags)
{
    int32_t size;

    if (flags & PAL_MSG_ERRQUEUE)
        return PAL_EAGAIN;
    size = pal__n_tcp_recv(sock, msg->iov, msg->iov_count, flags & ~(uint32_t)PAL_MSG_TRUNC);
    if (size < 0)
        return size;
    msg->size = size;
    msg->flags = flags & PAL_MSG_OOB;
    msg->have = 0;
    msg->socks_count = 0;
    msg->raw_size = 0;
    if (msg->addr != NULL)
        memset(msg->addr, 0, sizeof(*msg->addr));
    if (msg->want & (PAL_META_TIME | PAL_META_NOTICE)) {
        memset(&msg->stamp, 0, sizeof(msg->stamp));
        memset(&msg->notice, 0, sizeof(msg->notice));
    }
    return 1;
}

int pal__n_sock_recv_msgs(struct sock *sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    int done = 0, error = check_messages(sock, msgs, count);

    if (error == 0)
        error = check_recv_flags(sock, flags);
    if (error != 0)
        return error;
    if (sock->kind == SOCK_TCP)
        return recv_stream(sock, msgs, flags);
    if (count > BATCH)
        count = BATCH;
    if (flags & PAL_MSG_PEEK)
        count = 1; /* it would be shown again */
    do {
        error = pal__n_udp_recv(sock, &msgs[done], flags);
        done += error == 0;
        /* An error that follows data is told by the next call. */
    } while (error == 0 && done < count && (sock->error == 0 || flags & PAL_MSG_ERRQUEUE));
    return done > 0 ? done : error;
}

int pal__n_sock_recv_frames(struct sock *sock, struct frame **frames, struct pal_addr *addrs, int max)
{
    int count;

    if (max < 1)
        return pal__n_refuse(sock->stack, PAL_EINVAL, "receiving needs room for a frame");
    if (sock->kind == SOCK_UDP)
        return pal__n_udp_recv_frames(sock, frames, addrs, max);
    count = pal__n_tcp_recv_frames(sock, frames, max);
    for (int i = 0; i < count && addrs != NULL; i++)
        pal__n_addr_out(sock, &sock->tuple.remote, sock->tuple.remote_port, sock->scope, &addrs[i]);
    return count;
}

const struct frame *pal__n_sock_next_frame(const struct sock *sock)
{
    if (sock->kind == SOCK_UDP)
        return sock->error == 0 ? udp_of_const(sock)->first : NULL;
    return tcb_of_const(sock)->recv_first;
}

void pal__n_stack_count_lent(struct netstack *stack, int change)
{
    stack->held_frames += (uint32_t)change;
    stack->lent.now += (uint32_t)change;
    if (change > 0)
        stack->lent.frames += (uint32_t)change;
}

void pal__n_stack_count_copies(struct netstack *stack, uint32_t count)
{
    stack->lent.copies += count;
}

bool pal__n_stack_has_plenty(const struct netstack *stack)
{
    return stack->held_frames < stack->config.held_frames_max / 2;
}

/* ---- sending ---- */

int32_t pal__n_sock_send(struct sock *sock, const void *data, size_t size, uint32_t flags)
{
    struct pal_iov piece = piece_of((void *)(uintptr_t)data, size); /* only read */
    struct pal_msg msg;
    int error = check_send_flags(sock, flags);

    if (error != 0)
        return error;
    if (data == NULL && size != 0)
        return PAL_EFAULT;
    if (sock->kind == SOCK_TCP)
        return pal__n_tcp_send(sock, &piece, 1, flags);
    msg_of(&msg, &piece);
    error = pal__n_udp_send(sock, &msg, flags);
    return error != 0 ? error : msg.size;
}

static size_t size_of(const struct pal_msg *msg)
{
    size_t size = 0;

    for (uint32_t i = 0; i < msg->iov_count; i++)
        size += msg->iov[i].size;
    return size;
}

/* Message by message; the stream is to have no gap, so that one which went in part is the last. */
static int send_stream(struct sock *sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    for (int i = 0; i < count; i++) {
        int error = check_wanted(sock, &msgs[i]);
        int32_t size = error != 0 ? error : pal__n_tcp_send(sock, msgs[i].iov, msgs[i].iov_count, flags);

        if (size < 0)
            return i > 0 ? i : size;
        msgs[i].size = size;
        if ((size_t)size < size_of(&msgs[i]))
            return i + 1;
    }
    return count;
}

int pal__n_sock_send_msgs(struct sock *sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    int error = check_messages(sock, msgs, count);

    if (error == 0)
        error = check_send_flags(sock, flags);
    if (error != 0)
        return error;
    if (sock->kind == SOCK_TCP)
        return send_stream(sock, msgs, count, flags);
    for (int i = 0; i < count; i++) {
        error = check_wanted(sock, &msgs[i]);
        if (error == 0)
            error = pal__n_udp_send(sock, &msgs[i], flags);
        if (error != 0)
            return i > 0 ? i : error;
    }
    return count;
}
