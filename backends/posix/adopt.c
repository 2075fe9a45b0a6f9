/* adopt.c: descriptors that come from outside and go back: adopt, release, pipes. Rules 13, 15; hole 31. */
#include "../common/machine.h"
#include "try.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>

int pal__k_pipe(pal_sock out[2], uint32_t flags)
{
    if (!out || flags)
        return pal__refuse(PAL_EINVAL, "pal_pipe needs room for two handles, and no flags");
    int fds[2];
    long result = CHECKED(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
    if (result < 0)
        return pal__failed(result);
    return pal__k_hold_two(fds, SLOT_NONBLOCK, PAL_AF_UNSPEC, 0, out);
}

static int32_t socket_option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

/* Has it ended, rather than never begun? The system has no peer to name for either, but says the end of the stream for
 * the first only. */
static bool has_ended(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLRDHUP};
    return poll(&item, 1, 0) == 1 && item.revents & POLLRDHUP;
}

/* SLOT_FRESH for a stream socket that neither listens nor connects, nor did so before, which must stay silent (rule 9);
 * SLOT_CONNECTING for one that somebody else has begun to connect. */
static uint32_t stage_of(int fd, int type)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    if ((type != SOCK_STREAM && type != SOCK_SEQPACKET) || socket_option(fd, SO_ACCEPTCONN) == 1)
        return 0;
    if (getpeername(fd, (struct sockaddr *)&name, &size) == 0 || errno != ENOTCONN)
        return 0;
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};
    size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state != TCP_CLOSE)
        return info.tcpi_state == TCP_SYN_SENT ? SLOT_CONNECTING : 0;
    return has_ended(fd) ? 0 : SLOT_FRESH;
}

void pal__k_slot_refresh(struct slot *slot)
{
    if (slot_flags(slot) & SLOT_FRESH && slot_flags(slot) & SLOT_EXPORTED &&
        !(stage_of(slot->fd, slot->type) & SLOT_FRESH))
        slot_clear(slot, SLOT_FRESH);
}

static int set_nonblocking(int fd, int status, uint32_t *flags)
{
    if (fcntl(fd, F_SETFL, status | O_NONBLOCK))
        return pal__failed(-errno);
    *flags |= SLOT_NONBLOCK;
    return 0;
}

/* What the descriptor is: fills in *flags beside what they hold, *family, *type. */
static int inspect_socket(int fd, int status, uint32_t *flags, uint8_t *family, uint8_t *type)
{
    *type = (uint8_t)socket_option(fd, SO_TYPE);
    *family = (uint8_t)socket_option(fd, SO_DOMAIN);
    *flags |= stage_of(fd, *type);
    /* accept and connect have no flag like MSG_DONTWAIT: unconnected sockets have to be non-blocking themselves. */
    bool unconnected = *flags & SLOT_FRESH || socket_option(fd, SO_ACCEPTCONN) == 1;
    return unconnected && !(status & O_NONBLOCK) && !(*flags & SLOT_SHARED) ? set_nonblocking(fd, status, flags) : 0;
}

static int inspect_plain(int fd, int status, uint32_t *flags)
{
    struct stat info;
    if (fstat(fd, &info))
        return pal__failed(-errno);
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) || S_ISBLK(info.st_mode))
        return pal__refuse(PAL_ENOTSUP, "files and directories do not stream: use pal_file_open");
    return !(status & O_NONBLOCK) && !(*flags & SLOT_SHARED) ? set_nonblocking(fd, status, flags) : 0;
}

int pal__k_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out)
{
    if (!out || flags & ~(uint32_t)PAL_ADOPT_SHARED)
        return pal__refuse(PAL_EINVAL, "pal_sock_adopt needs room for the handle, and no flag but PAL_ADOPT_SHARED");
    if (native < 0 || native > INT32_MAX)
        return pal__refuse(PAL_EBADF, "not a descriptor");
    int fd = (int)native;
    long status = CHECKED(fcntl(fd, F_GETFL));
    if (status < 0)
        return pal__failed(status);
    if (!pal__slot_reserve()) /* before anything about the descriptor is changed */
        return pal__refuse(PAL_ENOBUFS, "socks_max handles are open: close some, or raise socks_max in pal_setup");
    uint8_t family = PAL_AF_UNSPEC, type = 0;
    uint32_t kept =
        SLOT_EXPORTED | (flags & PAL_ADOPT_SHARED ? SLOT_SHARED : 0u) | (status & O_NONBLOCK ? SLOT_NONBLOCK : 0u);
    int error = socket_option(fd, SO_TYPE) >= 0 ? inspect_socket(fd, (int)status, &kept, &family, &type)
                                                : inspect_plain(fd, (int)status, &kept);
    if (error) {
        pal__slot_cancel();
        return error;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *out = slot_handle(pal__slot_begin(fd, kept, family, type));
    return 0;
}

int pal__k_sock_release(pal_sock sock, intptr_t *native)
{
    struct slot *slot = slot_of(sock);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!native)
        return pal__refuse(PAL_EINVAL, "pal_sock_release needs room for the descriptor");
    slot_set(slot, SLOT_EXPORTED); /* the description lives on: out of the set with it */
    int error = pal__k_retire(slot);
    if (error)
        return error;
    *native = slot->fd;
    pal__slot_drop(slot);
    return 0;
}
