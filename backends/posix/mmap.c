/* mmap.c: memory maps: of nothing, of a file, of named shared memory (shared_memory.c); with guards; resized. What is
 * mapped where is kept in map_table.c. Rules 2, 13, 15, 16 and 17.
 *
 * Guards are the ends of a reserved range into whose middle the map is moved: that serves every kind of map, and the
 * map is whole, here or there, at any time. */
#include "../common/refusal.h"
#include "../common/slot.h"
#include "kernel.h"
#include "map_table.h"
#include "shared_memory.h"
#include "sys.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

SAME_NUMBER(PAL_MAP_READ, PROT_READ);
SAME_NUMBER(PAL_MAP_WRITE, PROT_WRITE);
SAME_NUMBER(PAL_MAP_EXEC, PROT_EXEC);

enum {
    PROTECTIONS = PAL_MAP_READ | PAL_MAP_WRITE | PAL_MAP_EXEC,
    FLAGS = PAL_MAP_SHARED | PAL_MAP_GUARD | PAL_MAP_HUGE | PAL_MAP_POPULATE | PAL_MAP_CREATE
};

/* Address space without memory. */
enum { RESERVED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

/* A page of the pool from which MAP_HUGETLB takes, and how that is asked for. */
enum { HUGE_SHIFT = 21, HUGE_SIZE = 1 << HUGE_SHIFT, HUGE_POOL = MAP_HUGETLB | HUGE_SHIFT << MAP_HUGE_SHIFT };

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t size)
{
    return (size + page_size() - 1) & ~(page_size() - 1);
}

/* Leaves room for guards and rounding. */
static int check_size(size_t size)
{
    if (size == 0)
        return pal__refuse(PAL_EINVAL, "a map has at least one byte");
    return size > PTRDIFF_MAX - 4 * page_size() ? pal__refuse(PAL_ENOMEM, NULL) : 0;
}

static int check_protection(uint32_t protect)
{
    return protect & ~(uint32_t)PROTECTIONS ? pal__refuse(PAL_EINVAL, "protection is PAL_MAP_READ, WRITE, EXEC") : 0;
}

/* ---- guards ---- */

/* Address space for a map of length bytes between two inaccessible pages. */
static char *reserve(size_t length)
{
    return mmap(NULL, length + 2 * page_size(), PROT_NONE, RESERVED, -1, 0);
}

static void unreserve(char *reserved, size_t length)
{
    munmap(reserved, length + 2 * page_size());
}

/* Moves a map there, as it is: its new address, or MAP_FAILED, and it is where it was. Only a move that changes nothing
 * else may go over a range that is mapped: the system has no reason to refuse it once it has emptied that, and so
 * leaves no gap into which another thread could map something before the range is given back. */
static void *enter(char *reserved, void *address, size_t length)
{
    return mremap(address, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, reserved + page_size());
}

/* A new map, which is gone if that fails. */
static void *put_between_guards(void *address, size_t length)
{
    char *reserved = reserve(length);
    void *moved = reserved == MAP_FAILED ? MAP_FAILED : enter(reserved, address, length);
    if (moved != MAP_FAILED)
        return moved;
    int error = errno;
    if (reserved != MAP_FAILED)
        unreserve(reserved, length);
    munmap(address, length);
    errno = error;
    return MAP_FAILED;
}

/* ---- mapping ---- */

/* What is behind a map. */
struct source {
    int fd;          /* -1: nothing */
    off_t offset;    /* bytes into it */
    size_t size_max; /* to which the map can grow */
};

static int check_spec(const struct pal_map *spec)
{
    int error = check_size(spec->size);
    if (error || (error = check_protection(spec->protect)))
        return error;
    if (spec->flags & ~(uint32_t)FLAGS)
        return pal__refuse(PAL_EINVAL, "flags of a map are PAL_MAP_SHARED, GUARD, HUGE, POPULATE, CREATE");
    if (spec->file.id && spec->name)
        return pal__refuse(PAL_EINVAL, "a map is of a file or of a name, not of both");
    if (spec->flags & PAL_MAP_CREATE && !spec->name)
        return pal__refuse(PAL_EINVAL, "PAL_MAP_CREATE goes with a name");
    if (spec->offset && !spec->file.id)
        return pal__refuse(PAL_EINVAL, "only the map of a file has an offset");
    if (spec->offset % page_size())
        return pal__refuse(PAL_EINVAL, "offset is a multiple of the page size (PAL_INFO_PAGE_SIZE)");
    if (spec->offset > (uint64_t)INT64_MAX - spec->size)
        return pal__refuse(PAL_EINVAL, "no file reaches beyond 2^63 - 1 bytes");
    return 0;
}

static COLD int map_failed(const struct pal_map *spec)
{
    if (errno == EACCES && spec->file.id)
        return pal__refuse(PAL_EACCES,
                           "the file has to be open for reading, and for writing too if writes are to reach "
                           "it (PAL_MAP_SHARED with PAL_MAP_WRITE)");
    return pal__failed(-errno);
}

/* Pages of the pool: for memory of one's own that they divide. NULL: there are none. */
static void *map_pool(const struct pal_map *spec, const struct source *source, int flags)
{
    bool fits = spec->flags & PAL_MAP_HUGE && !(spec->flags & PAL_MAP_GUARD) && spec->size % HUGE_SIZE == 0;
    if (!fits || source->fd >= 0)
        return NULL;
    void *address = mmap(NULL, spec->size, (int)spec->protect, flags | HUGE_POOL, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* Ordinary pages, which may become huge ones in time; those that are touched now have to know before that. */
static void *map_pages(const struct pal_map *spec, const struct source *source, int flags)
{
    size_t length = whole_pages(spec->size);
    bool huge = spec->flags & PAL_MAP_HUGE, populate = spec->flags & PAL_MAP_POPULATE;
    void *address = mmap(NULL, length, (int)spec->protect, flags | (populate && !huge ? MAP_POPULATE : 0), source->fd,
                         source->offset);
    if (address == MAP_FAILED)
        return address;
    if (huge)
        madvise(address, length, MADV_HUGEPAGE);
    if (huge && populate && spec->protect)
        madvise(address, length, spec->protect & PAL_MAP_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    return spec->flags & PAL_MAP_GUARD ? put_between_guards(address, length) : address;
}

static int map_source(const struct pal_map *spec, const struct source *source, void **out)
{
    struct map *map = pal__k_map_new();
    if (!map)
        return pal__refuse(PAL_ENOMEM, NULL);
    int flags = (spec->flags & PAL_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE) | (source->fd < 0 ? MAP_ANONYMOUS : 0);
    void *address = map_pool(spec, source, flags | (spec->flags & PAL_MAP_POPULATE ? MAP_POPULATE : 0));
    map->huge = address;
    if (!address && (address = map_pages(spec, source, flags)) == MAP_FAILED) {
        int error = map_failed(spec);
        pal__k_map_free(map);
        return error;
    }
    map->address = (uintptr_t)address;
    map->size = spec->size;
    map->size_max = source->size_max;
    map->guarded = spec->flags & PAL_MAP_GUARD;
    pal__k_map_put(map);
    *out = address;
    return 0;
}

static int map_file(const struct pal_map *spec, void **out)
{
    const struct slot *file = slot_of_type(spec->file.id, SLOT_FILE);
    if (!file)
        return pal__refuse(PAL_EBADF, NULL);
    return map_source(spec, &(struct source){file->fd, (off_t)spec->offset, SIZE_MAX}, out);
}

static int map_named(const struct pal_map *spec, void **out)
{
    struct shared_memory memory;
    int error = pal__k_shared_memory_open(spec, &memory);
    if (error)
        return error;
    size_t size_max = memory.size < PTRDIFF_MAX ? whole_pages((size_t)memory.size) : SIZE_MAX;
    error = map_source(spec, &(struct source){memory.fd, 0, size_max}, out);
    pal__k_shared_memory_close(&memory, error);
    return error;
}

/* Shared memory without a name is as large as it was made: Linux lets a map of it grow, and kills who touches that. */
static int map_anonymous(const struct pal_map *spec, void **out)
{
    size_t size_max = spec->flags & PAL_MAP_SHARED ? whole_pages(spec->size) : SIZE_MAX;
    return map_source(spec, &(struct source){-1, 0, size_max}, out);
}

int pal__k_mmap(const struct pal_map *spec, void **out)
{
    if (!spec || !out)
        return pal__refuse(PAL_EINVAL, "pal_mmap needs a struct pal_map, and room for the address");
    int error = check_spec(spec);
    if (error)
        return error;
    return spec->name ? map_named(spec, out) : spec->file.id ? map_file(spec, out) : map_anonymous(spec, out);
}

/* ---- unmapping and resizing ---- */

static int refuse_no_map(void)
{
    return pal__refuse(PAL_EINVAL, "no map begins at this address and has this size");
}

int pal__k_munmap(void *address, size_t size)
{
    struct map *map = pal__k_map_take(address, size);
    if (!map)
        return refuse_no_map();
    size_t guard = map->guarded ? page_size() : 0;
    long result = CHECKED(munmap((char *)address - guard, whole_pages(size) + 2 * guard));
    if (result < 0) {
        pal__k_map_put(map);
        return pal__failed(result);
    }
    pal__k_map_free(map);
    return 0;
}

/* In one step what follows becomes inaccessible; of that, the first page is the guard. */
static void *shrink_guarded(char *address, size_t length, size_t length_new)
{
    char *guard = address + length_new;
    size_t rest = length - length_new;
    if (mmap(guard, rest + page_size(), PROT_NONE, RESERVED | MAP_FIXED, -1, 0) == MAP_FAILED)
        return MAP_FAILED;
    munmap(guard + page_size(), rest);
    return address;
}

/* It moves twice: to where it can grow, which may fail, and then between its new guards. */
static void *grow_guarded(struct map *map, size_t length, size_t length_new)
{
    char *old = (char *)map->address, *reserved = reserve(length_new);
    if (reserved == MAP_FAILED)
        return MAP_FAILED;
    void *grown = mremap(old, length, length_new, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED) {
        int error = errno;
        unreserve(reserved, length_new);
        errno = error;
        return MAP_FAILED;
    }
    munmap(old - page_size(), page_size());
    munmap(old + length, page_size());
    void *moved = enter(reserved, grown, length_new);
    if (moved != MAP_FAILED)
        return moved;
    unreserve(reserved, length_new); /* other threads have used up the system's number of ranges just now: */
    map->guarded = false;            /* better without guards than without the map */
    return grown;
}

static int resize(struct map *map, size_t size_new)
{
    size_t length = whole_pages(map->size), length_new = whole_pages(size_new);
    char *address = (char *)map->address;
    void *moved = address;
    if (length_new > map->size_max)
        return pal__refuse(PAL_ENOTSUP, "this shared memory has the size that it was made with: make a larger one");
    if (length_new != length && map->huge)
        return pal__refuse(PAL_ENOTSUP, "a map of huge pages keeps its size: make another one and copy");
    if (length_new != length && !map->guarded)
        moved = mremap(address, length, length_new, MREMAP_MAYMOVE);
    else if (length_new < length)
        moved = shrink_guarded(address, length, length_new);
    else if (length_new > length)
        moved = grow_guarded(map, length, length_new);
    if (moved == MAP_FAILED && errno == EFAULT)
        return pal__refuse(PAL_ENOTSUP, "its parts differ in protection or advice: make them alike, then resize it");
    if (moved == MAP_FAILED) /* EINVAL: more than there are addresses */
        return pal__failed(errno == EINVAL ? -ENOMEM : -errno);
    map->address = (uintptr_t)moved;
    map->size = size_new;
    return 0;
}

int pal__k_mremap(void **address, size_t old_size, size_t new_size)
{
    if (!address)
        return pal__refuse(PAL_EINVAL, "pal_mremap needs the place of the address");
    int error = check_size(new_size);
    if (error)
        return error;
    struct map *map = pal__k_map_take(*address, old_size);
    if (!map)
        return refuse_no_map();
    error = resize(map, new_size);
    *address = (void *)map->address;
    pal__k_map_put(map);
    return error;
}

/* ---- parts of maps ---- */

static int check_part(const void *address, size_t size)
{
    if ((uintptr_t)address % page_size())
        return pal__refuse(PAL_EINVAL, "address is a multiple of the page size (PAL_INFO_PAGE_SIZE)");
    if (size == 0 || size > PTRDIFF_MAX || (uintptr_t)address > UINTPTR_MAX - size)
        return pal__refuse(PAL_EINVAL, "the part has no bytes, or more than there are addresses");
    return 0;
}

int pal__k_mprotect(void *address, size_t size, uint32_t protect)
{
    int error = check_part(address, size);
    if (error || (error = check_protection(protect)))
        return error;
    if (mprotect(address, size, (int)protect) == 0)
        return 0;
    if (errno == EINVAL)
        return pal__refuse(PAL_EINVAL, "of a map of huge pages, parts are whole huge pages");
    if (errno == EACCES)
        return pal__refuse(PAL_EACCES, "what is mapped was not opened for that: writes that reach a file need "
                                       "PAL_FILE_WRITE, those that reach shared memory a map made with PAL_MAP_WRITE");
    return pal__failed(-errno);
}

int pal__k_msync(void *address, size_t size, int how)
{
    int error = check_part(address, size);
    if (error)
        return error;
    if (how != PAL_MSYNC_WAIT && how != PAL_MSYNC_START)
        return pal__refuse(PAL_EINVAL, "how is PAL_MSYNC_WAIT or START");
    long result = CHECKED(msync(address, size, how == PAL_MSYNC_WAIT ? MS_SYNC : MS_ASYNC));
    return result < 0 ? pal__failed(result) : 0;
}

int pal__k_madvise(void *address, size_t size, int advice)
{
    static const int native[] = {MADV_NORMAL,   MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
                                 MADV_DONTNEED, MADV_FREE,   MADV_HUGEPAGE,   MADV_NOHUGEPAGE};
    int error = check_part(address, size);
    if (error)
        return error;
    if (advice < PAL_ADVISE_NORMAL || advice > PAL_ADVISE_NOHUGE)
        return pal__refuse(PAL_EINVAL, "advice is PAL_ADVISE_*");
    long result = CHECKED(madvise(address, size, native[advice]));
    if (result == -EINVAL)
        return pal__refuse(PAL_ENOTSUP, "the system does not take this advice for this kind of map");
    if (result == -EBADF) /* WILLNEED where nothing can be read ahead: there is no file behind it */
        return 0;
    return result < 0 ? pal__failed(result) : 0;
}
