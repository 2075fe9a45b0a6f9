/* pal/mmap.h: memory maps: anonymous, of files, named and shared.
 *
 * Upholds rules 2, 15, 16 and 17 of docs/seam.md. Sizes and offsets are bytes; the page size is PAL_INFO_PAGE_SIZE. Any
 * thread may call; a map must not be used while another thread resizes or unmaps it. A child of fork has all maps of
 * its parent, and unmaps its own. Every function answers PAL_EINVAL, with the reason, to a NULL it cannot do without
 * and to bits and numbers it does not know, and writes its out parameters on success only. Making and ending a map
 * takes a lock for a few stores; making one allocates 40 bytes from the allocator of pal_setup. "1 call" is one
 * system call on a kernel backend; touching a page for the first time costs a page fault. */
#ifndef PAL_MMAP_H
#define PAL_MMAP_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What may be done with pages. 0: nothing. Some processors cannot tell WRITE or EXEC without READ. */
enum { PAL_MAP_READ = 1, PAL_MAP_WRITE = 2, PAL_MAP_EXEC = 4 };
enum {
    PAL_MAP_SHARED = 1,   /* writes reach the file and other maps of it; without: copy on write. Anonymous: children
                           * share it, too */
    PAL_MAP_GUARD = 2,    /* an inaccessible page before and after */
    PAL_MAP_HUGE = 4,     /* huge pages where they are to be had, else ordinary ones */
    PAL_MAP_POPULATE = 8, /* touch all of it now */
    PAL_MAP_CREATE = 16   /* with name: make it if it is not there */
};
enum { PAL_MAP_NAME_MAX = 250 }; /* bytes of a name */

struct pal_map {
    pal_file file;    /* {0}: anonymous, or named */
    const char *name; /* shared memory of this name, or NULL; 1 to PAL_MAP_NAME_MAX bytes, no slash */
    uint64_t offset;  /* into the file; a multiple of the page size; 0 without a file */
    size_t size;      /* > 0; need not be a multiple of the page size */
    uint32_t protect; /* PAL_MAP_READ ... */
    uint32_t flags;   /* PAL_MAP_SHARED ... */
};

/* Maps; *out is aligned to the page. Anonymous memory is zero. Of the last page, what is behind size can be touched and
 * means nothing. The map is the program's until pal_munmap, whatever becomes of file, handle or name.
 *
 * A file: open for READ, and for WRITE where writes are to reach it. What lies beyond its end is mapped as well, and
 * touching it ends the process (SIGBUS on a kernel backend), as does touching what somebody cuts off the file later:
 * pal_file_info tells the size.
 * A name: memory that other processes of this user find under the same name; it lives on without any map until
 * pal_mmap_unlink. With CREATE it is made if need be, size bytes long, for this user alone. It keeps that size, and may
 * be mapped in part; larger than it is, it is PAL_EINVAL. When the call fails, no new name is left behind.
 * WRITE and EXEC together are allowed where the system allows them.
 *
 * PAL_EINVAL: size 0, offset misaligned, an offset without a file, file and name both, CREATE without name, a bad name.
 * PAL_EBADF: a stale file. PAL_EACCES: the file is not open for this; somebody else's memory. PAL_EPERM: EXEC of a file
 * on a file system mounted without. PAL_ENODEV: a file that cannot be mapped. PAL_ENOENT: nothing has this name.
 * PAL_ENOMEM; PAL_EAGAIN: more than may be locked, where memory is locked; PAL_ENOSPC, PAL_EFBIG: no room for what
 * CREATE makes; PAL_EMFILE, PAL_ENFILE: a name needs a descriptor for the call. 1 call; GUARD 2 more, HUGE up
 * to 2 more, HUGE with POPULATE 1 more; a name 3 to 6 more; the first map of a process 2 more. */
int pal_mmap(const struct pal_map *spec, void **out);

/* Ends a whole map, guards included: address and size as pal_mmap or pal_mremap left them. What was written reaches the
 * file in time, as without it. PAL_EINVAL: no map has this address and size, and nothing is done. PAL_ENOMEM: the
 * system has no room to split a range; the map is still there. 1 call. */
int pal_munmap(void *address, size_t size);

/* Takes the name of shared memory away: maps of it live on, and what is created under the name next is another one.
 * PAL_ENOENT: there is none; PAL_EACCES; PAL_EINVAL: no name. 1 call. */
int pal_mmap_unlink(const char *name);

/* Changes what may be done with the pages that [address, address + size) touches, which lie in maps; address is a
 * multiple of the page size. PAL_EACCES: the file was not opened for that; PAL_EINVAL: misaligned, size 0, a part of a
 * huge page; PAL_ENOMEM: something there is not mapped, or too many ranges differ (what comes before may have been
 * changed). 1 call. */
int pal_mprotect(void *address, size_t size, uint32_t protect);

enum {
    PAL_MSYNC_WAIT, /* returns when it is done */
    PAL_MSYNC_START /* sees to it that it is done in time */
};

/* Writes changed pages of the range (as pal_mprotect) to the file. Of anonymous memory there is nothing to write, which
 * is no error. PAL_EIO: something was lost; PAL_EINVAL: misaligned, size 0; PAL_ENOMEM: not mapped. 1 call. */
int pal_msync(void *address, size_t size, int how);

enum {
    PAL_ADVISE_NORMAL,
    PAL_ADVISE_RANDOM,
    PAL_ADVISE_SEQUENTIAL,
    PAL_ADVISE_WILLNEED, /* read it ahead */
    PAL_ADVISE_DONTNEED, /* give the memory back now: what was not written to a file is lost */
    PAL_ADVISE_FREE, /* the system may take the memory any time until it is written to again; anonymous, not SHARED */
    PAL_ADVISE_HUGE, /* huge pages if possible */
    PAL_ADVISE_NOHUGE
};

/* How the pages of the range (as pal_mprotect) will be used. Only DONTNEED and FREE change what a program can see.
 * PAL_ENOTSUP: the system does not know this advice, or not for this kind of map; PAL_EINVAL: misaligned, size 0;
 * PAL_ENOMEM: not mapped; PAL_EAGAIN, PAL_EIO. 1 call. */
int pal_madvise(void *address, size_t size, int advice);

/* Grows or shrinks a map to new_size > 0, which may move it, guards and all: *address is updated. Content up to the
 * smaller size stays; what is added is as if mapped so from the beginning: zero, or the file, whose own size does not
 * change (pal_file_resize), also where it has none. After a failure the map is as it was. PAL_EINVAL: no map has this
 * address and old_size, or new_size is 0; PAL_ENOMEM; PAL_EAGAIN: as pal_mmap; PAL_ENOTSUP: not here, that is a map of
 * huge pages, shared memory beyond the size it was made with, and a map whose parts differ in protection or advice.
 * Kernel backends: 1 call, 0 within a page; with guards 2 to 5. */
int pal_mremap(void **address, size_t old_size, size_t new_size);

#ifdef __cplusplus
}
#endif
#endif
