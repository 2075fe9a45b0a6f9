/* sock.c: receiving and sending in the simulated world: whose the socket is, what the faults make of the call, and
 * waiting for it. Rules 2, 14 and 19. */
#include "sock.h"

#include "../bypass/sock.h"
#include "../posix/kernel.h"
#include "../posix/try.h"
#include "os.h"
#include "strand.h"
#include "wait.h"

/* ---- tries ---- */

static int32_t receive(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_recv(sock, buffer, size, flags);
    int error = pal__s_fault_call(sock, false);
    if (error)
        return error;
    touch(sock);
    return pal__b_recv(sock, buffer, pal__s_fault_size(sock, size), flags);
}

static int32_t transmit(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_send(sock, data, size, flags);
    int error = pal__s_fault_call(sock, true);
    if (error)
        return error;
    touch(sock);
    return pal__b_send(sock, data, pal__s_fault_size(sock, size), flags);
}

/* Handles that were passed are of the host that has received them. */
static int own_passed(int received, const struct pal_msg *msgs)
{
    for (int i = 0; i < received; i++)
        for (uint16_t k = 0; msgs[i].have & PAL_META_SOCKS && k < msgs[i].socks_count; k++)
            pal__s_own(msgs[i].socks[k].id, pal__s_host_here());
    return received;
}

static int receive_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    if (!in_stack(sock))
        return own_passed(pal__k_sock_recv_msgs(sock, msgs, count, flags), msgs);
    int error = pal__s_fault_call(sock, false);
    if (error)
        return error;
    touch(sock);
    int received = pal__b_recv_msgs(sock, msgs, count, flags);
    for (int i = 0; i < received; i++)
        if (msgs[i].have & PAL_META_TIME && msgs[i].stamp.system_ns)
            msgs[i].stamp.system_ns = pal__s_real(pal__s_owner(sock), msgs[i].stamp.system_ns);
    return received;
}

static int transmit_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_send_msgs(sock, msgs, count, flags);
    int error = pal__s_fault_call(sock, true);
    if (error)
        return error;
    touch(sock);
    return pal__b_send_msgs(sock, msgs, count, flags);
}

/* ---- and waiting for what they try ---- */

/* Waits in the place of the try, which does not, if it may: true to try again, false to return the result. */
static bool waits(pal_sock sock, uint16_t interest, int32_t *result, uint32_t flags)
{
    if (*result != PAL_EAGAIN)
        return false;
    if (!(flags & PAL_MSG_WAIT)) {
        pal__s_breathe();
        return false;
    }
    *result = pal__s_await(sock, interest);
    return *result == 0;
}

int32_t pal__s_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    int32_t result;
    do
        result = receive(sock, buffer, size, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (waits(sock, PAL_IN, &result, flags));
    return result;
}

int32_t pal__s_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    int32_t result;
    do
        result = transmit(sock, data, size, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (waits(sock, PAL_OUT, &result, flags));
    return result;
}

int pal__s_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    int32_t result;
    do
        result = receive_msgs(sock, msgs, count, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (waits(sock, PAL_IN, &result, flags));
    return result;
}

int pal__s_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    int32_t result;
    do
        result = transmit_msgs(sock, msgs, count, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (waits(sock, PAL_OUT, &result, flags));
    return result;
}
