/* sock.h: what pal_* of the same name does in the simulated world. See sock.c. */
#ifndef PAL__SIM_SOCK_H
#define PAL__SIM_SOCK_H

#include "host.h"
#include <pal/socket.h>

/* The stack of the socket is about to be called. */
static inline void touch(pal_sock sock)
{
    pal__s_host_touch(pal__s_owner(sock));
}

int32_t pal__s_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags);
int32_t pal__s_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags);
int pal__s_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__s_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);

#endif
