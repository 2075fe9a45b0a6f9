/* sockaddr.c: addresses of families other than IPv4, both ways. */
#include "sockaddr.h"

#include "../common/refusal.h"
#include <stdbool.h>

static int unix_of(const struct pal_addr *addr, union sockaddr_any *out, socklen_t *size)
{
    size_t path = addr->size && addr->bytes[0] != 0; /* a path needs its NUL as well */
    if (addr->size > sizeof out->un.sun_path - path)
        return pal__refuse(PAL_ENAMETOOLONG, "a unix socket's path has at most 107 bytes, an abstract name 108");
    if (path && memchr(addr->bytes, 0, addr->size))
        return pal__refuse(PAL_EINVAL, "a unix socket's path holds a NUL");
    out->un.sun_family = AF_UNIX;
    memset(out->un.sun_path, 0, sizeof out->un.sun_path);
    memcpy(out->un.sun_path, addr->bytes, addr->size);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + addr->size + path);
    return 0;
}

int pal__k_sockaddr_of_other(const struct pal_addr *addr, union sockaddr_any *out, socklen_t *size)
{
    switch (addr->family) {
    case PAL_AF_INET6:
        if (addr->size != 16)
            return pal__refuse(PAL_EINVAL, "an IPv6 address has size 16");
        memset(&out->in6, 0, sizeof out->in6);
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(addr->port);
        out->in6.sin6_flowinfo = htonl(addr->flow);
        out->in6.sin6_scope_id = addr->scope;
        memcpy(&out->in6.sin6_addr, addr->bytes, 16);
        *size = sizeof out->in6;
        return 0;
    case PAL_AF_UNIX:
        return unix_of(addr, out, size);
    case PAL_AF_INET:
        return pal__refuse(PAL_EINVAL, "an IPv4 address has size 4");
    default:
        return pal__refuse(PAL_EAFNOSUPPORT, "addresses are PAL_AF_INET, PAL_AF_INET6 or PAL_AF_UNIX");
    }
}

static void addr_of_unix(struct pal_addr *out, const struct sockaddr_un *name, socklen_t size)
{
    size_t length = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;
    if (length > sizeof name->sun_path)
        length = sizeof name->sun_path;
    if (length && name->sun_path[0])
        length = strnlen(name->sun_path, length);
    out->family = PAL_AF_UNIX;
    out->size = (uint8_t)length;
    memcpy(out->bytes, name->sun_path, length);
}

void pal__k_addr_of_other(struct pal_addr *out, const union sockaddr_any *name, socklen_t size)
{
    memset(out, 0, sizeof *out);
    if (size < sizeof name->any.sa_family)
        return;
    switch (name->any.sa_family) {
    case AF_INET6:
        out->family = PAL_AF_INET6;
        out->size = 16;
        out->port = ntohs(name->in6.sin6_port);
        out->flow = ntohl(name->in6.sin6_flowinfo);
        out->scope = name->in6.sin6_scope_id;
        memcpy(out->bytes, &name->in6.sin6_addr, 16);
        break;
    case AF_UNIX:
        addr_of_unix(out, &name->un, size);
        break;
    default:
        out->family = (uint8_t)name->any.sa_family;
    }
}
