/* sendfile.c: one try of a SENDFILE op: sendfile(2) from a pal_file onto a stream socket. It never waits for the
 * socket, and may wait for the disk. The rest of the op is common/op.c's. Rules 2, 3 and 15. */
#include "../common/machine.h"
#include "held_signal.h"
#include "try.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/sendfile.h>

/* sendfile has no MSG_DONTWAIT, so the description itself is to be non-blocking, and stays so: a PAL_MSG_WAIT that
 * another thread makes meanwhile must not change it back. */
static int unblock(struct slot *slot)
{
    uint32_t flags = slot_flags(slot);
    if (LIKELY(flags & SLOT_NONBLOCK && flags & SLOT_MODE_KEPT))
        return 0;
    if (!(flags & SLOT_NONBLOCK)) {
        if (flags & (SLOT_SHARED | SLOT_MODE_KEPT))
            return pal__refuse(PAL_ENOTSUP, "others use this socket and rely on its blocking mode, in which sendfile "
                                            "would wait: read the file and send");
        int status = fcntl(slot->fd, F_GETFL);
        if (status < 0 || fcntl(slot->fd, F_SETFL, status | O_NONBLOCK))
            return pal__failed(-errno);
    }
    slot_set(slot, SLOT_NONBLOCK | SLOT_MODE_KEPT);
    return 0;
}

static int check(const struct slot *slot, const struct slot *file, uint64_t offset, uint64_t size)
{
    if (!file)
        return pal__refuse(PAL_EBADF, "aux of a SENDFILE points to an open pal_file");
    if (slot->type != PAL_SOCK_STREAM)
        return pal__refuse(PAL_ENOTSUP, "only stream sockets take a file: read it and send");
    if (offset > (uint64_t)INT64_MAX - size)
        return pal__refuse(PAL_EINVAL, "no file reaches beyond 2^63 - 1 bytes");
    return 0;
}

int32_t pal__k_slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    const struct slot *file = slot_of_type(((const pal_file *)op->aux)->id, SLOT_FILE);
    size = io_cut(size);
    int error = check(slot, file, offset, size);
    if (error || (error = unblock(slot)))
        return error;
    off_t position = (off_t)offset;
    struct held_signal held = pal__k_hold_signal(SIGPIPE); /* nor has it a MSG_NOSIGNAL */
    long result = CHECKED(sendfile(slot->fd, file->fd, &position, (size_t)size));
    pal__k_release_signal(&held, result == -EPIPE);
    if (LIKELY(result >= 0))
        return (int32_t)result;
    switch (result) {
    case -EAGAIN:
        return PAL_EAGAIN;
    case -EOVERFLOW: /* beyond what the file system can hold, and so beyond the end */
        return 0;
    case -EBADF:
        return pal__refuse(PAL_EBADF, "this file is not open for reading: open it with PAL_FILE_READ");
    case -EINVAL:
        return pal__refuse(PAL_ENOTSUP, "the system cannot send this kind of file: read it and send");
    default:
        return pal__failed(result);
    }
}
