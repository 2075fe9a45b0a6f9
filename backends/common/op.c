/* op.c: trying ops. See op.h. */
#include "op.h"

#include "machine.h"
#include "refusal.h"
#include <pal/lease.h>
#include <pal/socket.h>

/* What a sending op is to move: bytes, messages or leases. */
static uint64_t goal(const struct pal_op *op)
{
    bool bytes = op->kind == PAL_OP_SEND || op->kind == PAL_OP_SENDFILE;
    return bytes && op->size > PAL_IO_MAX ? PAL_IO_MAX : op->size;
}

/* Its progress: priv[1] counts what has been moved. */
static int32_t moved(struct pal_op *op, int32_t result)
{
    if (result < 0)
        return result != PAL_EAGAIN && op->priv[1] ? (int32_t)op->priv[1] : result;
    op->priv[1] += (uint32_t)result;
    return op->priv[1] == goal(op) ? (int32_t)op->priv[1] : PAL_EAGAIN;
}

static int32_t attempt_connect(struct slot *slot, struct pal_op *op)
{
    if (!(slot_flags(slot) & SLOT_CONNECTING))
        return pal_sock_connect(op->sock, (const struct pal_addr *)op->aux);
    int32_t outcome = 0;
    size_t size = sizeof outcome;
    int error = pal_sock_get(op->sock, PAL_SO_ERROR, &outcome, &size);
    if (error || outcome)
        return error ? error : outcome;
    struct pal_addr peer;
    if (pal_sock_name(op->sock, PAL_NAME_PEER, &peer)) { /* a try of the program's has taken the outcome away */
        slot_set(slot, SLOT_FAILED);
        return PAL_ENOTCONN;
    }
    slot_clear(slot, SLOT_CONNECTING);
    return 0;
}

/* The next message of a SEND_MSG op on a stream, from where the last try left it: priv[2] bytes of it have been moved,
 * which msg->size says as well. What rides along (handles, metadata) went with its first byte. */
static int32_t send_message(struct pal_op *op, struct pal_msg *msg)
{
    struct pal_iov iov[PAL_IOV_MAX];
    struct pal_msg rest = *msg;
    uint64_t skip = op->priv[2], left = 0;
    rest.iov = iov;
    rest.iov_count = 0;
    if (msg->iov_count > PAL_IOV_MAX || (msg->iov_count && !msg->iov))
        return pal__refuse(PAL_EINVAL, "a message has at most PAL_IOV_MAX pieces");
    for (uint32_t i = 0; i < msg->iov_count; i++) {
        uint64_t cut = skip < msg->iov[i].size ? skip : msg->iov[i].size;
        skip -= cut;
        iov[rest.iov_count++] = (struct pal_iov){(char *)msg->iov[i].data + cut, (size_t)(msg->iov[i].size - cut)};
        left += msg->iov[i].size - cut;
    }
    if (op->priv[2]) {
        rest.want = 0;
        rest.raw_size = 0;
    }
    int32_t result = pal_sock_send_msgs(op->sock, &rest, 1, 0);
    if (result < 0)
        return result;
    op->priv[2] += (uint32_t)rest.size;
    msg->size = (int32_t)op->priv[2];
    if ((uint64_t)rest.size < left)
        return PAL_EAGAIN;
    op->priv[2] = 0;
    return 1;
}

/* A stream takes messages one by one, each whole before the next; others take what the kernel takes of a batch. */
static int32_t send_messages(const struct slot *slot, struct pal_op *op)
{
    struct pal_msg *msgs = (struct pal_msg *)op->aux;
    if (slot->type != PAL_SOCK_STREAM)
        return moved(op, pal_sock_send_msgs(op->sock, msgs + op->priv[1], (int)(op->size - op->priv[1]), 0));
    while (op->priv[1] < op->size) {
        int32_t result = send_message(op, &msgs[op->priv[1]]);
        if (result < 0)
            return moved(op, result);
        op->priv[1]++;
    }
    return (int32_t)op->size;
}

static int32_t send_file(struct slot *slot, struct pal_op *op)
{
    uint64_t done = op->priv[1];
    int32_t result = pal__slot_sendfile(slot, op, op->offset + done, goal(op) - done);
    return result == 0 ? (int32_t)done : moved(op, result); /* 0: the file has ended */
}

int32_t pal__op_attempt(struct slot *slot, struct pal_op *op)
{
    uint64_t done = op->priv[1];
    int count = (int)(goal(op) - done);
    switch (op->kind) {
    case PAL_OP_RECV:
        return pal_sock_recv(op->sock, op->buf, (size_t)op->size, 0);
    case PAL_OP_SEND:
        return moved(op, pal_sock_send(op->sock, (char *)op->buf + done, (size_t)(goal(op) - done), 0));
    case PAL_OP_ACCEPT:
        return pal_sock_accept(op->sock, (pal_sock *)op->aux, NULL);
    case PAL_OP_CONNECT:
        return attempt_connect(slot, op);
    case PAL_OP_RECV_MSG:
        return pal_sock_recv_msgs(op->sock, (struct pal_msg *)op->aux, (int)op->size, 0);
    case PAL_OP_SEND_MSG:
        return send_messages(slot, op);
    case PAL_OP_SENDFILE:
        return send_file(slot, op);
    default: /* PAL_OP_SEND_LEASE: submit let nothing else in */
        return moved(op, pal_lease_send(op->sock, (struct pal_lease *)op->buf + done, count));
    }
}

int pal__op_check(const struct pal_op *op)
{
    switch (op->kind) {
    case PAL_OP_RECV:
    case PAL_OP_SEND:
        return op->buf || op->size == 0 ? 0 : pal__refuse(PAL_EINVAL, "RECV and SEND need a buffer");
    case PAL_OP_ACCEPT:
    case PAL_OP_CONNECT:
        return op->aux ? 0 : pal__refuse(PAL_EINVAL, "ACCEPT needs room for the socket, CONNECT an address, in aux");
    case PAL_OP_RECV_MSG:
    case PAL_OP_SEND_MSG:
    case PAL_OP_SEND_LEASE:
        if (op->size < 1 || op->size > INT32_MAX || !(op->kind == PAL_OP_SEND_LEASE ? op->buf : op->aux))
            return pal__refuse(PAL_EINVAL, "message and lease ops need an array and its count in size");
        return 0;
    case PAL_OP_SENDFILE:
        return op->aux ? 0 : pal__refuse(PAL_EINVAL, "SENDFILE needs a pal_file in aux");
    default:
        return pal__refuse(PAL_EINVAL, "no such kind of op");
    }
}
