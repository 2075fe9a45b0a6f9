/* execute_tries.c: calls that a fault of the simulator may refuse for the moment (--faults): they are made again, so
 * that what comes of them is what the model expects. Without faults, each is the seam's call and no more. */
#include "execute.h"

enum { TRIES_MAX = 32 }; /* so many faults in a row do not happen, nor in the half of so many calls */

static bool faulty;

void tries_begin(bool with_faults)
{
    faulty = with_faults;
}

bool faults_are_on(void)
{
    return faulty;
}

bool is_fault(int64_t result)
{
    return faulty && (result == PAL_EAGAIN || result == PAL_ENOBUFS);
}

/* May it be made again? What it says each time is meant in earnest: the more frequent of the two. */
static bool again(int32_t *result, int *tries, int *full)
{
    if (*tries > 0 && !is_fault(*result))
        return false;
    *full += *result == PAL_ENOBUFS;
    if (*tries == TRIES_MAX)
        *result = *full > TRIES_MAX / 2 ? PAL_ENOBUFS : PAL_EAGAIN;
    return ++*tries <= TRIES_MAX;
}

#define AGAIN(result, call)                                                                                            \
    for (int tries = 0, full = 0; again(&(result), &tries, &full);)                                                    \
    (result) = (call)

int32_t try_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    int32_t result = 0;

    AGAIN(result, pal_sock_recv(sock, buffer, size, flags));
    return result;
}

int32_t try_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    int32_t result = 0;

    AGAIN(result, pal_sock_send(sock, data, size, flags));
    return result;
}

int try_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    int result = 0;

    AGAIN(result, pal_sock_recv_msgs(sock, msgs, count, flags));
    return result;
}

int try_send_msgs(pal_sock sock, struct pal_msg *msgs, int count)
{
    int result = 0;

    AGAIN(result, pal_sock_send_msgs(sock, msgs, count, 0));
    return result;
}

int try_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    int result = 0;

    AGAIN(result, pal_sock_accept(sock, out, addr));
    return result;
}

int try_open(enum kind kind, pal_sock *out)
{
    int result = 0;

    AGAIN(result, pal_sock_open(NULL, kind_family(kind), kind_type(kind), 0, out));
    return result;
}

int try_lease_recv(pal_sock sock, struct pal_lease *out, int max)
{
    int result = 0;

    AGAIN(result, pal_lease_recv(sock, out, max));
    return result;
}

int try_lease_send(pal_sock sock, struct pal_lease *leases, int count)
{
    int result = 0;

    AGAIN(result, pal_lease_send(sock, leases, count));
    return result;
}
