/* file.c: positional files: every call names its offset and is one system call. What has no offsets (pipes, terminals,
 * sockets) is refused and streams, through pal_sock_adopt; nothing here is watched (hole 12). A file is a slot of the
 * handle table like a socket, with no poll. Rules 2, 7, 13, 15, 16 and 17. */
#include "../common/slot.h"
#include "../common/workers.h"
#include "deadline.h"
#include "held_signal.h"
#include "try.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

_Static_assert(sizeof(off_t) == 8, "offsets are 64 bits");

/* ---- opening ---- */

static const struct {
    uint32_t ours;
    int native;
} open_flags[] = {
    {PAL_FILE_CREATE, O_CREAT},  {PAL_FILE_EXCLUSIVE, O_EXCL}, {PAL_FILE_TRUNCATE, O_TRUNC},
    {PAL_FILE_APPEND, O_APPEND}, {PAL_FILE_DIRECT, O_DIRECT},  {PAL_FILE_SYNC, O_SYNC},
};

static int check_flags(uint32_t flags, uint32_t mode)
{
    const uint32_t access = PAL_FILE_READ | PAL_FILE_WRITE,
                   writes = PAL_FILE_TRUNCATE | PAL_FILE_APPEND | PAL_FILE_SYNC;
    if (flags & ~(access | writes | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE | PAL_FILE_DIRECT))
        return pal__refuse(PAL_EINVAL, "flags of a file are PAL_FILE_*, nothing else");
    if (!(flags & access))
        return pal__refuse(PAL_EINVAL, "a file is opened for PAL_FILE_READ, PAL_FILE_WRITE or both");
    if (flags & writes && !(flags & PAL_FILE_WRITE))
        return pal__refuse(PAL_EINVAL, "PAL_FILE_TRUNCATE, APPEND and SYNC go with PAL_FILE_WRITE");
    if (flags & PAL_FILE_EXCLUSIVE && !(flags & PAL_FILE_CREATE))
        return pal__refuse(PAL_EINVAL, "PAL_FILE_EXCLUSIVE goes with PAL_FILE_CREATE");
    if (mode & ~0777u)
        return pal__refuse(PAL_EINVAL, "mode has permission bits, 0777 at most");
    return 0;
}

/* Without O_NONBLOCK a FIFO would wait for its other end, and without O_NOCTTY a terminal would become the process's
 * own; regular files know neither. */
static int native_flags(uint32_t flags)
{
    int native = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (flags & PAL_FILE_WRITE)
        native |= flags & PAL_FILE_READ ? O_RDWR : O_WRONLY;
    for (size_t i = 0; i < sizeof open_flags / sizeof *open_flags; i++)
        native |= flags & open_flags[i].ours ? open_flags[i].native : 0;
    return native;
}

static int refuse_stream(void)
{
    return pal__refuse(PAL_ENOTSUP, "this has no offsets but streams: open it natively and give it to pal_sock_adopt "
                                    "(a unix socket's path: pal_sock_connect)");
}

/* Devices like the null device take offsets; terminals do not. */
static int check_kind(int fd)
{
    struct stat info;
    if (fstat(fd, &info))
        return pal__failed(-errno);
    bool positional = S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) || S_ISBLK(info.st_mode) ||
                      (S_ISCHR(info.st_mode) && lseek(fd, 0, SEEK_CUR) == 0);
    return positional ? 0 : refuse_stream();
}

/* A FIFO without a reader and a unix socket's path say ENXIO, as do devices that are not there. */
static int open_failed(const char *path, uint32_t flags, long error)
{
    struct stat info;
    if (error == -ENXIO && stat(path, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)))
        return refuse_stream();
    if (error == -EINVAL && flags & PAL_FILE_DIRECT)
        return pal__refuse(PAL_ENOTSUP,
                           "this cannot be read or written past the page cache: leave PAL_FILE_DIRECT out");
    return pal__failed(error);
}

/* A limit on the size of files (RLIMIT_FSIZE) raises SIGXFSZ, which ends a program that expects PAL_EFBIG. Whether
 * there is one is asked with each file that is opened for writing, so that a write costs nothing more where there is
 * none. */
static _Atomic bool sizes_limited;

static void note_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        atomic_store_explicit(&sizes_limited, true, memory_order_relaxed);
}

static struct held_signal hold_size_signal(void)
{
    if (LIKELY(!atomic_load_explicit(&sizes_limited, memory_order_relaxed)))
        return (struct held_signal){0};
    return pal__k_hold_signal(SIGXFSZ);
}

int pal__k_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out)
{
    if (!path || !out)
        return pal__refuse(PAL_EINVAL, "pal_file_open needs a path, and room for the handle");
    int error = check_flags(flags, mode);
    if (error)
        return error;
    if (!pal__slot_reserve()) /* first: never open what cannot be held (rule 13) */
        return pal__refuse(PAL_ENOBUFS, "socks_max handles are open: close some, or raise socks_max in pal_setup");
    long fd = CHECKED(open(path, native_flags(flags), (mode_t)mode));
    error = fd < 0 ? open_failed(path, flags, fd) : check_kind((int)fd);
    if (error) {
        pal__slot_cancel();
        if (fd >= 0)
            sys_close((int)fd);
        return error;
    }
    if (flags & PAL_FILE_WRITE)
        note_size_limit();
    out->id = slot_handle(pal__slot_begin((int)fd, SLOT_OTHER, PAL_AF_UNSPEC, SLOT_FILE)).id;
    return 0;
}

int pal__k_file_close(pal_file file)
{
    struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (pal__work_holds(slot))
        return pal__refuse(PAL_EBUSY, "an op still reads, writes or syncs this file: wait for its event, then close");
    long result = sys_close(slot->fd); /* whatever it says, the descriptor is gone (close(2)) */
    pal__slot_drop(slot);
    return result < 0 ? pal__failed(result) : 0;
}

/* ---- reading and writing ---- */

static int check_io(const struct slot *slot, const void *memory, size_t size, uint64_t offset)
{
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!memory && size)
        return pal__refuse(PAL_EINVAL, "reading and writing need memory");
    if (offset > (uint64_t)INT64_MAX - io_cut(size))
        return pal__refuse(PAL_EINVAL, "no file reaches beyond 2^63 - 1 bytes");
    return 0;
}

static COLD int32_t io_failed(long error, const char *not_open_for_it)
{
    if (error == -EBADF)
        return pal__refuse(PAL_EBADF, not_open_for_it);
    if (error == -EINVAL)
        return pal__refuse(PAL_EINVAL, "the system refuses this here: with PAL_FILE_DIRECT memory, size and offset "
                                       "are multiples of the disk's block");
    return pal__failed(error);
}

int32_t pal__k_file_read(pal_file file, void *buffer, size_t size, uint64_t offset)
{
    const struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    int error = check_io(slot, buffer, size, offset);
    if (error)
        return error;
    long result = CHECKED(pread(slot->fd, buffer, io_cut(size), (off_t)offset));
    return LIKELY(result >= 0) ? (int32_t)result
                               : io_failed(result, "this file is not open for reading: open it with PAL_FILE_READ");
}

int32_t pal__k_file_write(pal_file file, const void *data, size_t size, uint64_t offset)
{
    const struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    int error = check_io(slot, data, size, offset);
    if (error)
        return error;
    struct held_signal held = hold_size_signal();
    long result = CHECKED(pwrite(slot->fd, data, io_cut(size), (off_t)offset)); /* at the end, if it is O_APPEND */
    pal__k_release_signal(&held, result == -EFBIG);
    return LIKELY(result >= 0) ? (int32_t)result
                               : io_failed(result, "this file is not open for writing: open it with PAL_FILE_WRITE");
}

/* ---- the rest ---- */

int pal__k_file_sync(pal_file file, int what)
{
    const struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (what != PAL_FILE_SYNC_ALL && what != PAL_FILE_SYNC_DATA)
        return pal__refuse(PAL_EINVAL, "what is PAL_FILE_SYNC_ALL or DATA");
    long result = CHECKED(what == PAL_FILE_SYNC_ALL ? fsync(slot->fd) : fdatasync(slot->fd));
    if (result == -EINVAL)
        return pal__refuse(PAL_ENOTSUP, "there is no disk behind this file");
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_file_resize(pal_file file, uint64_t size)
{
    const struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (size > (uint64_t)INT64_MAX)
        return pal__refuse(PAL_EFBIG, "no file has more than 2^63 - 1 bytes");
    struct held_signal held = hold_size_signal();
    long result = CHECKED(ftruncate(slot->fd, (off_t)size));
    pal__k_release_signal(&held, result == -EFBIG);
    if (result == -EINVAL)
        return pal__refuse(PAL_EINVAL, "only a regular file that is open for PAL_FILE_WRITE has a size to set");
    return result < 0 ? pal__failed(result) : 0;
}

/* 0 for what is older than the clock. */
static uint64_t modified_ns(const struct timespec *time)
{
    return time->tv_sec < 0 ? 0 : (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

static uint32_t kind_of(mode_t mode)
{
    return S_ISREG(mode) ? PAL_FILE_REGULAR : S_ISDIR(mode) ? PAL_FILE_DIRECTORY : PAL_FILE_OTHER;
}

int pal__k_file_info(pal_file file, struct pal_file_info *out)
{
    const struct slot *slot = slot_of_type(file.id, SLOT_FILE);
    struct stat info;
    if (!slot)
        return pal__refuse(PAL_EBADF, NULL);
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_file_info needs room");
    if (fstat(slot->fd, &info))
        return pal__failed(-errno);
    out->size = (uint64_t)info.st_size;
    out->modified_ns = modified_ns(&info.st_mtim);
    out->id[0] = info.st_dev;
    out->id[1] = info.st_ino;
    out->mode = info.st_mode & 07777;
    out->kind = kind_of(info.st_mode);
    return 0;
}
