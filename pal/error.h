/* pal/error.h: every error code of the seam, its name and its text, from one list.
 *
 * A result is >= 0 or one of these negative codes (docs/seam.md, rule 2). The values are Linux's generic errno values,
 * negated, on every platform; the seam's own lie between -4097 and -4199. palio/ builds its PALIO_E* from this list, so
 * the two enumerations cannot drift apart. The functions are static inline: error text is never a backend's symbol. */
#ifndef PAL_ERROR_H
#define PAL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(name without prefix, positive value, text) */
#define PAL_ERROR_LIST(X)                                                                                              \
    X(EPERM, 1, "operation not permitted")                                                                             \
    X(ENOENT, 2, "no such file or directory")                                                                          \
    X(ESRCH, 3, "no such process")                                                                                     \
    X(EINTR, 4, "interrupted by a signal")                                                                             \
    X(EIO, 5, "input/output error")                                                                                    \
    X(ENXIO, 6, "no such device or address")                                                                           \
    X(E2BIG, 7, "argument list too long")                                                                              \
    X(ENOEXEC, 8, "not an executable format")                                                                          \
    X(EBADF, 9, "handle is stale, closed or of the wrong kind")                                                        \
    X(ECHILD, 10, "no such child")                                                                                     \
    X(EAGAIN, 11, "not now: the call would have to wait")                                                              \
    X(ENOMEM, 12, "out of memory")                                                                                     \
    X(EACCES, 13, "permission denied")                                                                                 \
    X(EFAULT, 14, "bad pointer")                                                                                       \
    X(EBUSY, 16, "in use: something still watches, waits or holds")                                                    \
    X(EEXIST, 17, "exists already")                                                                                    \
    X(EXDEV, 18, "crosses file systems")                                                                               \
    X(ENODEV, 19, "no such device")                                                                                    \
    X(ENOTDIR, 20, "not a directory")                                                                                  \
    X(EISDIR, 21, "is a directory")                                                                                    \
    X(EINVAL, 22, "invalid argument")                                                                                  \
    X(ENFILE, 23, "the system's descriptor table is full")                                                             \
    X(EMFILE, 24, "the process's descriptor limit is reached")                                                         \
    X(ENOTTY, 25, "not a terminal")                                                                                    \
    X(ETXTBSY, 26, "the program's file is open for writing")                                                           \
    X(EFBIG, 27, "file too large")                                                                                     \
    X(ENOSPC, 28, "no space left on device")                                                                           \
    X(ESPIPE, 29, "cannot seek")                                                                                       \
    X(EROFS, 30, "read-only file system")                                                                              \
    X(EPIPE, 32, "the reading side is gone")                                                                           \
    X(EDOM, 33, "argument out of domain")                                                                              \
    X(ERANGE, 34, "result out of range")                                                                               \
    X(EDEADLK, 35, "nothing can ever happen: this would wait for ever")                                                \
    X(ENAMETOOLONG, 36, "name too long")                                                                               \
    X(ENOSYS, 38, "not implemented by this system")                                                                    \
    X(ENOTEMPTY, 39, "directory not empty")                                                                            \
    X(ELOOP, 40, "too many symbolic links")                                                                            \
    X(ENODATA, 61, "no data available")                                                                                \
    X(ETIME, 62, "timer expired")                                                                                      \
    X(EPROTO, 71, "protocol error")                                                                                    \
    X(EOVERFLOW, 75, "value too large")                                                                                \
    X(EILSEQ, 84, "illegal byte sequence")                                                                             \
    X(EUSERS, 87, "too many users")                                                                                    \
    X(ENOTSOCK, 88, "not a socket")                                                                                    \
    X(EDESTADDRREQ, 89, "destination address required")                                                                \
    X(EMSGSIZE, 90, "message too long")                                                                                \
    X(EPROTOTYPE, 91, "wrong protocol for this socket type")                                                           \
    X(ENOPROTOOPT, 92, "no such protocol option")                                                                      \
    X(EPROTONOSUPPORT, 93, "protocol not supported")                                                                   \
    X(ESOCKTNOSUPPORT, 94, "socket type not supported")                                                                \
    X(ENOTSUP, 95, "not supported by this backend")                                                                    \
    X(EPFNOSUPPORT, 96, "protocol family not supported")                                                               \
    X(EAFNOSUPPORT, 97, "address family not supported")                                                                \
    X(EADDRINUSE, 98, "address already in use")                                                                        \
    X(EADDRNOTAVAIL, 99, "address not available")                                                                      \
    X(ENETDOWN, 100, "network is down")                                                                                \
    X(ENETUNREACH, 101, "network is unreachable")                                                                      \
    X(ENETRESET, 102, "connection dropped by network reset")                                                           \
    X(ECONNABORTED, 103, "connection aborted")                                                                         \
    X(ECONNRESET, 104, "connection reset by peer")                                                                     \
    X(ENOBUFS, 105, "a fixed capacity is used up")                                                                     \
    X(EISCONN, 106, "already connected")                                                                               \
    X(ENOTCONN, 107, "not connected")                                                                                  \
    X(ESHUTDOWN, 108, "cannot send after shutdown")                                                                    \
    X(ETOOMANYREFS, 109, "too many references")                                                                        \
    X(ETIMEDOUT, 110, "timed out")                                                                                     \
    X(ECONNREFUSED, 111, "connection refused")                                                                         \
    X(EHOSTDOWN, 112, "host is down")                                                                                  \
    X(EHOSTUNREACH, 113, "no route to host")                                                                           \
    X(EALREADY, 114, "already in progress")                                                                            \
    X(EINPROGRESS, 115, "in progress")                                                                                 \
    X(ESTALE, 116, "stale file handle")                                                                                \
    X(EDQUOT, 122, "disk quota exceeded")                                                                              \
    X(ECANCELED, 125, "cancelled")                                                                                     \
    X(EOTHERTHREAD, 4097, "this socket belongs to another thread on this backend")                                     \
    X(ENOWORKER, 4098, "needs a worker thread, and workers_max is 0")                                                  \
    X(EFORKED, 4099, "this poll was opened before fork: only its owner may use it")                                    \
    X(ENONAME, 4100, "name does not resolve")

enum pal_error {
    PAL_OK = 0,
#define PAL_ERROR_CODE_(name, value, text) PAL_##name = -(value),
    PAL_ERROR_LIST(PAL_ERROR_CODE_)
#undef PAL_ERROR_CODE_
        PAL_EWOULDBLOCK = PAL_EAGAIN,
    PAL_EOPNOTSUPP = PAL_ENOTSUP
};

/* The code's name, "EADDRINUSE", or "E?" for a number that is none. Static text. Any thread; no system call. */
static inline const char *pal_error_name(int code)
{
    switch (code) {
    case PAL_OK:
        return "OK";
#define PAL_ERROR_NAME_(name, value, text)                                                                             \
    case -(value):                                                                                                     \
        return #name;
        PAL_ERROR_LIST(PAL_ERROR_NAME_)
#undef PAL_ERROR_NAME_
    default:
        return "E?";
    }
}

/* What the code means, in English. Static text, never NULL. Any thread; no system call. */
static inline const char *pal_error_text(int code)
{
    switch (code) {
    case PAL_OK:
        return "success";
#define PAL_ERROR_TEXT_(name, value, text)                                                                             \
    case -(value):                                                                                                     \
        return text;
        PAL_ERROR_LIST(PAL_ERROR_TEXT_)
#undef PAL_ERROR_TEXT_
    default:
        return "unknown error";
    }
}

#ifdef __cplusplus
}
#endif
#endif
