/* sockaddr.h: struct pal_addr to and from the kernel's sockaddr. Inline: a datagram server does
 * both for each message. */
#ifndef PAL__POSIX_SOCKADDR_H
#define PAL__POSIX_SOCKADDR_H

#include <netinet/in.h>
#include <pal/types.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

/* All other families, and malformed addresses: PAL_EINVAL, PAL_EAFNOSUPPORT. */
int pal__k_sockaddr_of_other(const struct pal_addr *addr, union sockaddr_any *out, socklen_t *size);
void pal__k_addr_of_other(struct pal_addr *out, const union sockaddr_any *name, socklen_t size);

static inline bool addr_is_in(const struct pal_addr *addr)
{
    return addr->family == PAL_AF_INET && addr->size == 4;
}

static inline void sockaddr_in_of(const struct pal_addr *addr, struct sockaddr_in *out)
{
    out->sin_family = AF_INET;
    out->sin_port = htons(addr->port);
    memcpy(&out->sin_addr, addr->bytes, 4);
    /* .sin_zero is left as it is: Linux does not look at it. */
}

static inline void addr_of_in(struct pal_addr *out, const struct sockaddr_in *name)
{
    out->family = PAL_AF_INET;
    out->size = 4;
    out->port = ntohs(name->sin_port); /* NOLINT(clang-analyzer-core.CallAndMessage): the kernel wrote it */
    out->scope = out->flow = 0;
    memcpy(out->bytes, &name->sin_addr, 4);
}

/* Fills in *out and its size: 0, or a negative PAL_E*. */
static inline int sockaddr_of(const struct pal_addr *addr, union sockaddr_any *out, socklen_t *size)
{
    if (!addr_is_in(addr))
        return pal__k_sockaddr_of_other(addr, out, size);
    sockaddr_in_of(addr, &out->in);
    *size = sizeof out->in;
    return 0;
}

/* What the kernel wrote; size 0 (no name given) is PAL_AF_UNSPEC. */
static inline void addr_of(struct pal_addr *out, const union sockaddr_any *name, socklen_t size)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the kernel wrote it */
    if (size == sizeof name->in && name->any.sa_family == AF_INET)
        addr_of_in(out, &name->in);
    else
        pal__k_addr_of_other(out, name, size);
}

#endif
