/* pal/mmap.h: memory maps: anonymous, of files, named and shared. Sizes and offsets are bytes. Any thread; 1 call each
 * unless said otherwise. */
#ifndef PAL_MMAP_H
#define PAL_MMAP_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PAL_MAP_READ = 1, PAL_MAP_WRITE = 2, PAL_MAP_EXEC = 4 };
enum {
    PAL_MAP_SHARED = 1,   /* writes reach the file and other maps of it; without: copy on write */
    PAL_MAP_GUARD = 2,    /* an inaccessible page before and after */
    PAL_MAP_HUGE = 4,     /* huge pages where they are to be had, else ordinary ones */
    PAL_MAP_POPULATE = 8, /* touch all of it now */
    PAL_MAP_CREATE = 16   /* with name: make it if it is not there */
};

struct pal_map {
    pal_file file;    /* {0}: anonymous, or named */
    const char *name; /* shared memory of this name, or NULL */
    uint64_t offset;  /* into the file; a multiple of the page size */
    size_t size;      /* > 0 */
    uint32_t protect; /* PAL_MAP_READ ... */
    uint32_t flags;   /* PAL_MAP_SHARED ... */
};

/* Maps; *out is aligned to the page. PAL_EINVAL (size 0, offset not aligned), PAL_EACCES, PAL_ENOMEM, PAL_ENODEV. */
int pal_mmap(const struct pal_map *spec, void **out);

/* Ends a whole map, guards included. PAL_EINVAL: not a map's address. */
int pal_munmap(void *address, size_t size);

/* Changes what may be done with the pages of [address, address + size). PAL_EACCES, PAL_ENOMEM. */
int pal_mprotect(void *address, size_t size, uint32_t protect);

enum { PAL_MSYNC_WAIT, PAL_MSYNC_START };

/* Writes changed pages to the file. PAL_EIO. */
int pal_msync(void *address, size_t size, int how);

enum {
    PAL_ADVISE_NORMAL,
    PAL_ADVISE_RANDOM,
    PAL_ADVISE_SEQUENTIAL,
    PAL_ADVISE_WILLNEED,
    PAL_ADVISE_DONTNEED,
    PAL_ADVISE_FREE,
    PAL_ADVISE_HUGE,
    PAL_ADVISE_NOHUGE
};

/* How the pages will be used. PAL_ENOTSUP: the system does not know this advice. */
int pal_madvise(void *address, size_t size, int advice);

/* Grows or shrinks a map, which may move it: *address is updated. PAL_ENOMEM; PAL_ENOTSUP: not here. */
int pal_mremap(void **address, size_t old_size, size_t new_size);

#ifdef __cplusplus
}
#endif
#endif
