/* stream.c: receive and send off the hot path: flags, blocking, pipes and terminals, SLOT_DETOUR. Rules 2, 5 and 15. */
#include "held_signal.h"
#include "option.h"
#include "try.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100
#endif

enum {
    RECV_FLAGS = PAL_MSG_OOB | PAL_MSG_PEEK | PAL_MSG_TRUNC | PAL_MSG_ERRQUEUE | PAL_MSG_WAIT,
    SEND_FLAGS = PAL_MSG_OOB | PAL_MSG_DONTROUTE | PAL_MSG_EOR | PAL_MSG_MORE | PAL_MSG_ZEROCOPY | PAL_MSG_WAIT
};

/* The seam's flags are Linux's numbers: the mapping is this check. */
SAME_NUMBER(PAL_MSG_OOB, MSG_OOB);
SAME_NUMBER(PAL_MSG_PEEK, MSG_PEEK);
SAME_NUMBER(PAL_MSG_DONTROUTE, MSG_DONTROUTE);
SAME_NUMBER(PAL_MSG_TRUNC, MSG_TRUNC);
SAME_NUMBER(PAL_MSG_CTRUNC, MSG_CTRUNC);
SAME_NUMBER(PAL_MSG_EOR, MSG_EOR);
SAME_NUMBER(PAL_MSG_ERRQUEUE, MSG_ERRQUEUE);
SAME_NUMBER(PAL_MSG_MORE, MSG_MORE);
SAME_NUMBER(PAL_MSG_ZEROCOPY, MSG_ZEROCOPY);

int pal__k_block(struct slot *slot, short events)
{
    uint32_t flags = slot_flags(slot);
    if (!(flags & SLOT_NONBLOCK) || flags & SLOT_FRESH) /* a fresh socket has nothing to wait for, and connects later */
        return 0;
    if (flags & (SLOT_SHARED | SLOT_MODE_KEPT)) {
        struct pollfd item = {.fd = slot->fd, .events = events};
        long ready = CHECKED(poll(&item, 1, -1));
        return ready < 0 ? pal__failed(ready) : 0;
    }
    if (fcntl(slot->fd, F_SETFL, fcntl(slot->fd, F_GETFL) & ~O_NONBLOCK))
        return pal__failed(-errno);
    slot_clear(slot, SLOT_NONBLOCK);
    return 0;
}

/* A shared description keeps its mode, so ask first; then exactly one read or write cannot block (hole 31). */
int pal__k_ask_first(const struct slot *slot, short events)
{
    struct pollfd item = {.fd = slot->fd, .events = events};
    long result = CHECKED(poll(&item, 1, 0));
    if (result < 0)
        return pal__failed(result);
    return result ? 0 : PAL_EAGAIN;
}

static int32_t plain_read(struct slot *slot, void *buffer, size_t size, uint32_t flags)
{
    if (flags & ~(uint32_t)PAL_MSG_WAIT)
        return pal__refuse(PAL_ENOTSUP, "pipes and terminals know no flags but PAL_MSG_WAIT");
    if (flags & PAL_MSG_WAIT) {
        struct pollfd item = {.fd = slot->fd, .events = POLLIN};
        long ready = CHECKED(poll(&item, 1, -1));
        if (ready < 0)
            return pal__failed(ready);
    } else if (slot_flags(slot) & SLOT_SHARED) {
        int error = pal__k_ask_first(slot, POLLIN);
        if (error)
            return error;
    }
    long result = CHECKED(read(slot->fd, buffer, io_cut(size)));
    return LIKELY(result >= 0) ? (int32_t)result : pal__failed(result);
}

/* Before RWF_NOSIGNAL a broken pipe raises SIGPIPE. */
static long write_masked(int fd, const void *data, size_t size)
{
    struct held_signal held = pal__k_hold_signal(SIGPIPE);
    long result = CHECKED(write(fd, data, size));
    pal__k_release_signal(&held, result == -EPIPE);
    return result;
}

static long write_unsignalled(int fd, const void *data, size_t size)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    static _Atomic bool unknown;
    if (!atomic_load_explicit(&unknown, memory_order_relaxed)) {
        long result = CHECKED(syscall(SYS_pwritev2, fd, &piece, 1L, -1L, -1L, RWF_NOSIGNAL));
        if (result != -EOPNOTSUPP && result != -EINVAL && result != -ENOSYS)
            return result;
        if (result == -ENOSYS)
            atomic_store_explicit(&unknown, true, memory_order_relaxed);
    }
    return write_masked(fd, data, size);
}

static int32_t plain_write(struct slot *slot, const void *data, size_t size, uint32_t flags)
{
    if (flags & ~(uint32_t)PAL_MSG_WAIT)
        return pal__refuse(PAL_ENOTSUP, "pipes and terminals know no flags but PAL_MSG_WAIT");
    if (flags & PAL_MSG_WAIT) {
        struct pollfd item = {.fd = slot->fd, .events = POLLOUT};
        long ready = CHECKED(poll(&item, 1, -1));
        if (ready < 0)
            return pal__failed(ready);
    } else if (slot_flags(slot) & SLOT_SHARED) {
        int error = pal__k_ask_first(slot, POLLOUT);
        if (error)
            return error;
        if (size > 512) /* what POSIX promises not to block for once a pipe is writable: {_POSIX_PIPE_BUF} */
            size = 512;
    }
    long result = write_unsignalled(slot->fd, data, io_cut(size));
    return LIKELY(result >= 0) ? (int32_t)result : pal__failed(result);
}

int32_t pal__k_sock_recv_slow(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (flags & ~(uint32_t)RECV_FLAGS)
        return pal__refuse(PAL_EINVAL, "receiving knows PAL_MSG_OOB, PEEK, TRUNC, ERRQUEUE and WAIT");
    if (slot_plain(slot))
        return plain_read(slot, buffer, size, flags);
    int error = flags & PAL_MSG_WAIT ? pal__k_block(slot, POLLIN) : 0;
    if (error)
        return error;
    int native = (int)(flags & ~(uint32_t)PAL_MSG_WAIT) | (flags & PAL_MSG_WAIT ? 0 : MSG_DONTWAIT);
    if (flags & PAL_MSG_TRUNC && slot->type == PAL_SOCK_STREAM)
        native &= ~MSG_TRUNC; /* on a stream the kernel would throw the bytes away */
    long result = sys_recvfrom(slot->fd, buffer, io_cut(size), native, NULL, NULL);
    if (result > 0 && !(flags & (PAL_MSG_PEEK | PAL_MSG_ERRQUEUE)))
        acknowledge(slot);
    return result >= 0 ? (int32_t)result : pal__failed(result);
}

int32_t pal__k_sock_send_slow(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (flags & ~(uint32_t)SEND_FLAGS)
        return pal__refuse(PAL_EINVAL, "sending knows PAL_MSG_OOB, DONTROUTE, EOR, MORE, ZEROCOPY and WAIT");
    if (slot_plain(slot))
        return plain_write(slot, data, size, flags);
    int error = flags & PAL_MSG_ZEROCOPY ? pal__k_may_zerocopy(slot) : 0;
    if (!error && flags & PAL_MSG_WAIT)
        error = pal__k_block(slot, POLLOUT);
    if (error)
        return error;
    int native = (int)(flags & ~(uint32_t)PAL_MSG_WAIT) | MSG_NOSIGNAL | (flags & PAL_MSG_WAIT ? 0 : MSG_DONTWAIT);
    long result = sys_sendto(slot->fd, data, io_cut(size), native, NULL, 0);
    return result >= 0 ? (int32_t)result : pal__failed(result);
}
