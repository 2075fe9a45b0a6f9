/* pal/file.h: positional files. Not streams: every read and write names its offset, there is no file position, and a
 * file is never watched (docs/seam.md, hole 12); pipes and terminals are pal_sock. Asynchronous forms are the ops
 * PAL_OP_READ, WRITE, SYNC and SENDFILE.
 *
 * Upholds rules 2, 7, 13, 15, 16 and 17 of docs/seam.md. Sizes and offsets are bytes. Any thread may call, several at
 * once for one file: what overlaps is the program's to order. A call blocks for as long as the disk takes. Files share
 * the table of handles, socks_max, with sockets. Every function answers PAL_EBADF to a handle that is stale or no
 * file's, PAL_EINVAL to a NULL it cannot do without, writes its out parameters on success only, takes no lock and
 * allocates nothing. PAL_EINTR, from file systems that let a signal cut a call short: nothing has been done, call
 * again. Costs are system calls on a kernel backend.
 *
 * PAL_OP_SENDFILE sends a file that is open for READ over a stream socket, and ends early where the file does. It never
 * waits for the socket, but where the file is not in memory it blocks for the disk, in pal_submit and in waits. The
 * file stays open until the op's event has been seen. PAL_EBADF: a stale file, or not open for READ; PAL_ENOTSUP: the
 * socket, or the file, is of a kind that cannot, read and send instead; PAL_EINVAL: beyond 2^63 - 1; PAL_EIO; and what
 * pal_sock_send says. */
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
    PAL_FILE_TRUNCATE = 16, /* with WRITE: 0 bytes long to begin with */
    PAL_FILE_APPEND = 32,   /* with WRITE: writes go to the end, whatever offset they name */
    PAL_FILE_DIRECT = 64,   /* past the page cache; alignment is the caller's */
    PAL_FILE_SYNC = 128     /* with WRITE: every write is on the disk when it returns */
};

/* Opens path (UTF-8, NUL-terminated, read during the call) for READ, WRITE or both; children do not inherit it. mode:
 * permission bits of a file that CREATE makes, 0777 at most, less the process's umask. Directories can be opened for
 * READ, to be asked about and synced. PAL_ENOENT, PAL_ENOTDIR, PAL_EACCES, PAL_EPERM, PAL_EROFS, PAL_ELOOP,
 * PAL_ENAMETOOLONG; PAL_EEXIST; PAL_EISDIR: a directory, and WRITE or CREATE; PAL_ENOSPC, PAL_EDQUOT: no room for a new
 * one; PAL_EMFILE, PAL_ENFILE; PAL_ENOBUFS: socks_max handles are open; PAL_EINVAL: neither READ nor WRITE, a flag
 * without the one it goes with, bits nobody knows; PAL_ENOTSUP: a pipe, a terminal, a socket (see pal_sock_adopt), or
 * DIRECT where there is none; PAL_EAGAIN: another process holds a lease on the file. A pipe's other end is never
 * waited for. 2 calls; 1 more with WRITE, and 1 more for a device. */
int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out);

/* The handle is dead on return, whatever it says, but for PAL_EBUSY: an op on this file is out, and nothing is done.
 * PAL_EIO, PAL_EDQUOT, PAL_ENOSPC: an earlier write was lost, which only now shows; 0 does not mean that none will be,
 * pal_file_sync does. Maps of the file live on. 1 call. */
int pal_file_close(pal_file file);

/* Bytes read at offset, at most size; 0 at the end of the file and beyond, or of size 0. PAL_EBADF: not open for READ;
 * PAL_EISDIR; PAL_EIO; PAL_EFAULT; PAL_EINVAL: beyond 2^63 - 1, or not aligned as DIRECT needs. 1 call. */
int32_t pal_file_read(pal_file file, void *buffer, size_t size, uint64_t offset);

/* Bytes written at offset (APPEND: at the end), possibly fewer than size; a gap that this leaves reads as zeros.
 * PAL_ENOSPC, PAL_EDQUOT, PAL_EIO; PAL_EFBIG: beyond what the file system or the process's limit allows, and never
 * SIGXFSZ for a limit that was there when the last file was opened for WRITE; PAL_EBADF: not open for WRITE; PAL_EPERM:
 * the file may only be appended to, or not be changed; PAL_EFAULT; PAL_EINVAL: as read. 1 call, 3 where file sizes are
 * limited. */
int32_t pal_file_write(pal_file file, const void *data, size_t size, uint64_t offset);

enum {
    PAL_FILE_SYNC_ALL, /* bytes and all that is known about the file */
    PAL_FILE_SYNC_DATA /* bytes, and what is needed to read them again */
};

/* Waits until what was written is on the disk, by whatever handle. A new file's name is only there once its directory
 * has been synced, too. PAL_EIO, PAL_ENOSPC, PAL_EDQUOT: something was lost; said once, and which bytes is not known.
 * PAL_ENOTSUP: no disk is behind it. PAL_EINVAL: what. 1 call. */
int pal_file_sync(pal_file file, int what);

/* Makes the file size bytes long: what is added reads as zeros, and takes no room yet. Maps of what is cut off die when
 * touched (pal/mmap.h). PAL_EFBIG: as write; PAL_EINVAL: not a regular file, or not open for WRITE; PAL_EPERM; PAL_EIO.
 * 1 call, 3 where file sizes are limited. */
int pal_file_resize(pal_file file, uint64_t size);

enum { PAL_FILE_REGULAR = 1, PAL_FILE_DIRECTORY, PAL_FILE_OTHER };

struct pal_file_info {
    uint64_t size;        /* bytes of a regular file; of others what the system says */
    uint64_t modified_ns; /* on PAL_CLOCK_REAL; 0: before 1970 */
    uint64_t id[2];       /* device and inode: equal means the same file */
    uint32_t mode;        /* permission bits, 0777; with 07000 the set-id and sticky bits where there are such */
    uint32_t kind;        /* PAL_FILE_REGULAR ... */
};
PAL_STATIC_ASSERT(sizeof(struct pal_file_info) == 40, "pal_file_info is 40 bytes");

/* What the system knows about an open file. PAL_EIO; PAL_EOVERFLOW. 1 call. */
int pal_file_info(pal_file file, struct pal_file_info *out);

#ifdef __cplusplus
}
#endif
#endif
