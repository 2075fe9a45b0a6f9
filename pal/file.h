/* pal/file.h: positional files. Not streams: every read and write names its offset, there is no file position, and a
 * file is never watched (docs/seam.md, hole 12); pipes and terminals are pal_sock. Asynchronous forms are the ops
 * PAL_OP_READ, WRITE, SYNC. Calls block for as long as the disk takes. Any thread; nothing allocates. */
#ifndef PAL_FILE_H
#define PAL_FILE_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PAL_FILE_READ = 1,
    PAL_FILE_WRITE = 2,
    PAL_FILE_CREATE = 4,
    PAL_FILE_EXCLUSIVE = 8, /* with CREATE: PAL_EEXIST if it is there */
    PAL_FILE_TRUNCATE = 16,
    PAL_FILE_APPEND = 32, /* writes go to the end, whatever offset they name */
    PAL_FILE_DIRECT = 64, /* past the page cache; alignment is the caller's */
    PAL_FILE_SYNC = 128   /* every write is on the disk when it returns */
};

/* Opens path (UTF-8), not inherited by children; mode: permission bits of a new file. PAL_ENOENT, PAL_EACCES,
 * PAL_EEXIST, PAL_EISDIR, PAL_ENOTDIR, PAL_EMFILE, PAL_ENFILE, PAL_ENOBUFS, PAL_EINVAL. 1 call. */
int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out);

/* The handle is dead on return. PAL_EIO, PAL_EDQUOT, PAL_ENOSPC: a delayed write was lost. 1 call. */
int pal_file_close(pal_file file);

/* Bytes read at offset, at most size; 0 at the end of the file. 1 call. */
int32_t pal_file_read(pal_file file, void *buffer, size_t size, uint64_t offset);

/* Bytes written at offset, possibly fewer. PAL_ENOSPC, PAL_EFBIG, PAL_EDQUOT, PAL_EIO. 1 call. */
int32_t pal_file_write(pal_file file, const void *data, size_t size, uint64_t offset);

enum { PAL_FILE_SYNC_ALL, PAL_FILE_SYNC_DATA };

/* Waits until what was written is on the disk. PAL_EIO. 1 call. */
int pal_file_sync(pal_file file, int what);

struct pal_file_info {
    uint64_t size;        /* bytes */
    uint64_t modified_ns; /* real-time clock */
    uint64_t id[2];       /* device and inode: equal means the same file */
    uint32_t mode;        /* permission bits */
    uint32_t kind;        /* 1 regular, 2 directory, 3 other */
};
PAL_STATIC_ASSERT(sizeof(struct pal_file_info) == 40, "pal_file_info is 40 bytes");

/* 1 call. */
int pal_file_info(pal_file file, struct pal_file_info *out);

#ifdef __cplusplus
}
#endif
#endif
