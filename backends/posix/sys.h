/* sys.h: the system calls of the hot paths, each returning >= 0 or -errno, which is PAL_E* (rule 2).
 *
 * On x86-64 and aarch64 Linux they are inline: no call, no errno. Elsewhere, and for sanitizers and analyzers, which
 * have to see what the kernel reads and writes, they are the C library's. Cold calls use the C library directly, and
 * CHECKED. */
#ifndef PAL__POSIX_SYS_H
#define PAL__POSIX_SYS_H

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

/* -errno of a failed C library call, else its result. */
#define CHECKED(call)                                                                                                  \
    __extension__({                                                                                                    \
        long result_ = (long)(call);                                                                                   \
        result_ < 0 ? -(long)errno : result_;                                                                          \
    })

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang_analyzer__) ||                    \
    defined(PAL_NO_INLINE_SYSCALLS)
#define SYS_INLINE 0
#elif defined(__linux__) && (defined(__x86_64__) && !defined(__ILP32__) || defined(__aarch64__))
#define SYS_INLINE 1
#else
#define SYS_INLINE 0
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef SYS_INLINE
#define SYS_INLINE 0
#endif
#endif

#if SYS_INLINE
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long sys_call4(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
#else
static inline long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

static inline long sys_call4(long number, long a, long b, long c, long d)
{
    return sys_call6(number, a, b, c, d, 0, 0);
}
#endif
#endif

static inline long sys_recvfrom(int fd, void *buffer, size_t size, int flags, void *name, socklen_t *name_size)
{
#if SYS_INLINE
    return sys_call6(SYS_recvfrom, fd, (long)buffer, (long)size, flags, (long)name, (long)name_size);
#else
    return CHECKED(recvfrom(fd, buffer, size, flags, name, name_size));
#endif
}

static inline long sys_sendto(int fd, const void *data, size_t size, int flags, const void *name, socklen_t name_size)
{
#if SYS_INLINE
    return sys_call6(SYS_sendto, fd, (long)data, (long)size, flags, (long)name, name_size);
#else
    return CHECKED(sendto(fd, data, size, flags, name, name_size));
#endif
}

static inline long sys_accept4(int fd, void *name, socklen_t *name_size, int flags)
{
#if SYS_INLINE
    return sys_call4(SYS_accept4, fd, (long)name, (long)name_size, flags);
#else
    return CHECKED(accept4(fd, name, name_size, flags));
#endif
}

/* Some C libraries make a call a message of these two, to translate headers that the kernel reads differently. Ours are
 * right for it as they are, since their padding is zero. */
static inline long sys_recvmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
#if SYS_INLINE
    return sys_call6(SYS_recvmmsg, fd, (long)headers, count, flags, 0, 0);
#else
    return CHECKED(recvmmsg(fd, headers, count, flags, NULL));
#endif
}

static inline long sys_sendmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags)
{
#if SYS_INLINE
    return sys_call4(SYS_sendmmsg, fd, (long)headers, count, flags);
#else
    return CHECKED(sendmmsg(fd, headers, count, flags));
#endif
}

static inline long sys_close(int fd)
{
#if SYS_INLINE
    return sys_call4(SYS_close, fd, 0, 0, 0);
#else
    return CHECKED(close(fd));
#endif
}

#endif
