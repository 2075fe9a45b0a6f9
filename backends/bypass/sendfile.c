/* sendfile.c: one try of a SENDFILE op onto a socket of a user-space stack, which copies what it sends anyway: read and
 * send. It never waits for the socket, and may wait for the disk. Rules 2 and 3. */
#include "../common/refusal.h"
#include "sock.h"
#include <pal/file.h>

enum { PIECE = 16384 };

static int check(const struct slot *slot, pal_file file, uint64_t offset, uint64_t size)
{
    if (!slot_of_type(file.id, SLOT_FILE))
        return pal__refuse(PAL_EBADF, "aux of a SENDFILE points to an open pal_file");
    if (slot->type != PAL_SOCK_STREAM)
        return pal__refuse(PAL_ENOTSUP, "only stream sockets take a file: read it and send");
    if (offset > (uint64_t)INT64_MAX - size)
        return pal__refuse(PAL_EINVAL, "no file reaches beyond 2^63 - 1 bytes");
    return 0;
}

static int32_t read_refused(int32_t error)
{
    switch (error) {
    case PAL_EOVERFLOW: /* beyond what the file system can hold, and so beyond the end */
        return 0;
    case PAL_EBADF:
        return pal__refuse(PAL_EBADF, "this file is not open for reading: open it with PAL_FILE_READ");
    case PAL_EINVAL:
    case PAL_EISDIR:
    case PAL_ESPIPE:
        return pal__refuse(PAL_ENOTSUP, "the system cannot send this kind of file: read it and send");
    default:
        return error;
    }
}

/* What was read and not taken is read again by the next try. */
int32_t pal__b_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    pal_file file = *(const pal_file *)op->aux;
    uint8_t bytes[PIECE];
    size = size > PAL_IO_MAX ? PAL_IO_MAX : size;
    int32_t done = check(slot, file, offset, size);
    if (done)
        return done;
    while ((uint64_t)done < size) {
        uint64_t left = size - (uint64_t)done;
        int32_t got = pal_file_read(file, bytes, left < PIECE ? (size_t)left : PIECE, offset + (uint64_t)done);
        if (got <= 0)
            return done || !got ? done : read_refused(got);
        int32_t sent = pal__b_send(slot_handle(slot), bytes, (size_t)got, 0);
        if (sent < 0)
            return done ? done : sent;
        done += sent;
        if (sent < got)
            break;
    }
    return done;
}
