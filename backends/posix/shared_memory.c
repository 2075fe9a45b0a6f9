/* shared_memory.c: named shared memory: shm_open(3) under the program's name with a slash before it. Making it and
 * sizing it are two steps, between which another process may see it; sizes only ever grow from 0, so whoever else
 * creates it meanwhile does no harm. Rules 2, 15 and 16. */
#include "shared_memory.h"

#include "../common/refusal.h"
#include "held_signal.h"
#include "kernel.h"
#include "sys.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { TRIES = 16 };

static int native_name(const char *name, char native[PAL_MAP_NAME_MAX + 2])
{
    size_t size = name ? strnlen(name, PAL_MAP_NAME_MAX + 1) : 0;
    if (size == 0 || size > PAL_MAP_NAME_MAX || memchr(name, '/', size) || !strcmp(name, ".") || !strcmp(name, ".."))
        return pal__refuse(PAL_EINVAL, "shared memory has a name of 1 to PAL_MAP_NAME_MAX bytes without a slash");
    native[0] = '/';
    memcpy(native + 1, name, size + 1);
    return 0;
}

/* Without O_NONBLOCK a FIFO that somebody has put there would hang. */
static long open_there(const char *native, int access)
{
    return CHECKED(shm_open(native, access | O_NONBLOCK | O_CLOEXEC, 0));
}

/* Opens or creates it, and knows which; a name that comes and goes makes it try again. */
static long open_or_create(const char *native, bool *created)
{
    long fd = -ENOENT;
    *created = false;
    for (int i = 0; i < TRIES && fd == -ENOENT; i++) {
        fd = CHECKED(shm_open(native, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        *created = fd >= 0;
        if (fd == -EEXIST)
            fd = open_there(native, O_RDWR);
    }
    return fd;
}

/* Unlike ftruncate this never makes it smaller, whoever else does the same now; of a size that fits a pal_map. It takes
 * the last page, and at a limit on the size of files raises a signal. */
static int grow(int fd, size_t size)
{
    struct held_signal held = pal__k_hold_signal(SIGXFSZ);
    int error = posix_fallocate(fd, (off_t)(size - 1), 1);
    pal__k_release_signal(&held, error == EFBIG);
    return error ? pal__failed(-error) : 0;
}

/* Sees to it that it is as large as the map. */
static int fit(const struct pal_map *spec, struct shared_memory *memory)
{
    struct stat info;
    if (fstat(memory->fd, &info))
        return pal__failed(-errno);
    memory->size = (uint64_t)info.st_size;
    if (memory->size >= spec->size)
        return 0;
    if (memory->size > 0 || !(spec->flags & PAL_MAP_CREATE))
        return pal__refuse(PAL_EINVAL, "the shared memory of this name is smaller: map less of it, or pal_mmap_unlink "
                                       "it and create it anew");
    memory->size = spec->size;
    return grow(memory->fd, spec->size);
}

int pal__k_shared_memory_open(const struct pal_map *spec, struct shared_memory *out)
{
    int error = native_name(spec->name, out->name);
    if (error)
        return error;
    bool writes = spec->flags & PAL_MAP_SHARED && spec->protect & PAL_MAP_WRITE;
    out->created = false;
    long fd = spec->flags & PAL_MAP_CREATE ? open_or_create(out->name, &out->created)
                                           : open_there(out->name, writes ? O_RDWR : O_RDONLY);
    if (fd < 0)
        return pal__failed(fd);
    out->fd = (int)fd;
    if ((error = fit(spec, out)))
        pal__k_shared_memory_close(out, true);
    return error;
}

void pal__k_shared_memory_close(const struct shared_memory *memory, bool failed)
{
    sys_close(memory->fd);
    if (failed && memory->created)
        shm_unlink(memory->name);
}

int pal__k_mmap_unlink(const char *name)
{
    char native[PAL_MAP_NAME_MAX + 2];
    int error = native_name(name, native);
    if (error)
        return error;
    long result = CHECKED(shm_unlink(native));
    return result < 0 ? pal__failed(result) : 0;
}
