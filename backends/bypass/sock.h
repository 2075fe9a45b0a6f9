/* sock.h: sockets of a user-space stack behind the seam's handles: for a card and for the simulator, beside those of
 * the kernel (rule 14).
 *
 * pal__b_* is what pal_* is for a handle of SLOT_DOMAIN_STACK (in_stack); what the functions do, pal/socket.h says.
 * They try, and never wait: PAL_MSG_WAIT is the backend's affair, and is PAL_ENOTSUP here. Threads are the backend's
 * affair too: whoever calls has the stack to himself.
 *
 * A slot of this domain has its stack's socket in a table by slot number. Its .fd is no descriptor, and negative, but
 * leads to the next slot of the same socket, in a ring (ring.h). The socket's cookie is the number of one of them. */
#ifndef PAL__BYPASS_SOCK_H
#define PAL__BYPASS_SOCK_H

#include "../common/slot.h"
#include "../netstack/sock.h"
#include <pal/socket.h>

/* The stack's socket of a live slot of this domain. */
extern struct sock *pal__b_socks[SLOT_MAX];

static inline struct sock *sock_of(const struct slot *slot)
{
    return pal__b_socks[slot_number(slot)];
}

/* families INET and INET6, types STREAM and DGRAM; others are refused. */
int pal__b_open(struct netstack *stack, int family, int type, int protocol, pal_sock *out);
int pal__b_dup(pal_sock sock, pal_sock *out);
int pal__b_bind(pal_sock sock, const struct pal_addr *addr);
int pal__b_listen(pal_sock sock, int backlog);
int pal__b_connect(pal_sock sock, const struct pal_addr *addr);
int pal__b_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr);
int32_t pal__b_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags);
int32_t pal__b_send(pal_sock sock, const void *data, size_t size, uint32_t flags);
int pal__b_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__b_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__b_shutdown(pal_sock sock, int how);
int pal__b_close(pal_sock sock);
int pal__b_release(pal_sock sock, intptr_t *native); /* PAL_ENOTSUP: there is no descriptor */
int pal__b_set(pal_sock sock, uint32_t option, const void *value, size_t size);
int pal__b_get(pal_sock sock, uint32_t option, void *value, size_t *size);
int pal__b_name(pal_sock sock, int which, struct pal_addr *out);

/* One try of a SENDFILE op onto such a socket: reads the file and sends, as much as there is room for. */
int32_t pal__b_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size);

/* Every handle of this stack is dropped without a word, watched or not, and an op that was out on one is forgotten: the
 * stack is about to be destroyed. Polls lose what they had of them (events in their arrays are struck out). */
void pal__b_abandon(struct netstack *stack);

#endif
