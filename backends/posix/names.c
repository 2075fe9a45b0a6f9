/* names.c: names and numbers: the resolver, services, protocols, interfaces, this host. The C library's, all of them.
 * pal_resolve and PAL_NAMES_HOST_OF block for as long as the resolver takes; the rest read local
 * files or the kernel. */
#include "../common/refusal.h"
#include "kernel.h"
#include "sockaddr.h"
#include "sys.h"

#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* ---- resolve ---- */

static int resolver_failed(int code)
{
    switch (code) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return pal__refuse(PAL_ENONAME, "there is no such host or service");
    case EAI_SERVICE:
        return pal__refuse(PAL_ENONAME, "this type of socket has no such service");
    case EAI_AGAIN:
        return pal__refuse(PAL_EAGAIN, "the name server did not answer: try again");
    case EAI_FAMILY:
        return pal__refuse(PAL_EAFNOSUPPORT, "the resolver does not know this family");
    case EAI_SOCKTYPE:
    case EAI_BADFLAGS:
        return pal__refuse(PAL_EINVAL, "family, type, protocol and flags do not go together");
    case EAI_MEMORY:
        return PAL_ENOMEM;
    case EAI_SYSTEM:
        return pal__failed(-errno);
    default:
        return pal__refuse(PAL_EIO, "the resolver failed for good: see its configuration");
    }
}

enum {
    RESOLVE_FLAGS =
        PAL_RESOLVE_PASSIVE | PAL_RESOLVE_NUMERIC_HOST | PAL_RESOLVE_NUMERIC_SERVICE | PAL_RESOLVE_ADDRCONFIG
};

static int native_flags(const struct pal_query *query)
{
    return (query->flags & PAL_RESOLVE_PASSIVE ? AI_PASSIVE : 0) |
           (query->flags & PAL_RESOLVE_NUMERIC_HOST ? AI_NUMERICHOST : 0) |
           (query->flags & PAL_RESOLVE_NUMERIC_SERVICE ? AI_NUMERICSERV : 0) |
           (query->flags & PAL_RESOLVE_ADDRCONFIG ? AI_ADDRCONFIG : 0) | (query->canonical ? AI_CANONNAME : 0);
}

int pal__k_resolve(const struct pal_query *query, struct pal_addr *out, int max)
{
    if (!query || max < 0 || (max && !out) || (!query->host && !query->service))
        return pal__refuse(PAL_EINVAL, "pal_resolve needs a host or a service, and room for addresses");
    if (query->flags & ~(uint32_t)RESOLVE_FLAGS)
        return pal__refuse(PAL_EINVAL, "pal_query.flags is PAL_RESOLVE_*");
    struct addrinfo hints = {.ai_flags = native_flags(query),
                             .ai_family = query->family,
                             .ai_socktype = query->type,
                             .ai_protocol = query->protocol};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(query->host, query->service, &hints, &found);
    if (code)
        return resolver_failed(code);
    if (query->canonical && query->canonical_size)
        snprintf(query->canonical, query->canonical_size, "%s", found->ai_canonname ? found->ai_canonname : "");
    int count = 0;
    for (const struct addrinfo *at = found; at; at = at->ai_next, count++) {
        union sockaddr_any name;
        if (count >= max || at->ai_addrlen > sizeof name)
            continue;
        memcpy(&name, at->ai_addr, at->ai_addrlen);
        memset(&out[count], 0, sizeof out[count]);
        addr_of(&out[count], &name, at->ai_addrlen);
    }
    freeaddrinfo(found);
    return count;
}

/* ---- names ---- */

static int give_text(const char *text, void *out, size_t size)
{
    size_t length = strlen(text);
    if (length >= size)
        return pal__refuse(PAL_ERANGE, "the room for this name is too small");
    memcpy(out, text, length + 1);
    return (int)length;
}

static int give_number(const void *number, size_t bytes, void *out, size_t size)
{
    if (size < bytes)
        return pal__refuse(PAL_ERANGE, "the room for this number is too small");
    memcpy(out, number, bytes);
    return (int)bytes;
}

static int host_name(void *out, size_t size)
{
    char name[256];
    if (gethostname(name, sizeof name))
        return pal__failed(-errno);
    name[sizeof name - 1] = 0;
    return give_text(name, out, size);
}

static int interface_index(const char *key, void *out, size_t size)
{
    if (size < sizeof(uint32_t))
        return pal__refuse(PAL_ERANGE, "the room for this number is too small");
    uint32_t index = if_nametoindex(key);
    return index ? give_number(&index, sizeof index, out, size) : pal__refuse(PAL_ENONAME, "no interface of that name");
}

static int interface_name(const char *key, void *out, size_t size)
{
    uint32_t index;
    char name[IF_NAMESIZE];
    memcpy(&index, key, sizeof index);
    return if_indextoname(index, name) ? give_text(name, out, size)
                                       : pal__refuse(PAL_ENONAME, "no interface of that index");
}

/* "http/tcp": the part before the slash into name, the part after it returned; NULL when there is no such form. */
static const char *split(const char *key, char *name, size_t size)
{
    const char *slash = strchr(key, '/');
    if (!slash || (size_t)(slash - key) >= size)
        return NULL;
    memcpy(name, key, (size_t)(slash - key));
    name[slash - key] = 0;
    return slash + 1;
}

static int service(int kind, const char *key, void *out, size_t size)
{
    char name[64], room[1024];
    struct servent entry, *found = NULL;
    const char *protocol = split(key, name, sizeof name);
    if (!protocol)
        return pal__refuse(PAL_EINVAL, "a service is asked for as \"http/tcp\" or \"80/tcp\"");
    if (kind == PAL_NAMES_SERVICE_PORT) {
        getservbyname_r(name, protocol, &entry, room, sizeof room, &found);
    } else {
        char *end;
        unsigned long port = strtoul(name, &end, 10);
        if (*end || end == name || port > UINT16_MAX)
            return pal__refuse(PAL_EINVAL, "a port is a number from 0 to 65535");
        getservbyport_r(htons((uint16_t)port), protocol, &entry, room, sizeof room, &found);
    }
    if (!found)
        return pal__refuse(PAL_ENONAME, "no such service");
    if (kind == PAL_NAMES_PORT_SERVICE)
        return give_text(found->s_name, out, size);
    return give_number(&(uint16_t){ntohs((uint16_t)found->s_port)}, sizeof(uint16_t), out, size);
}

static int protocol(const char *key, void *out, size_t size)
{
#ifdef __GLIBC__
    char room[1024];
    struct protoent entry, *found = NULL;
    getprotobyname_r(key, &entry, room, sizeof room, &found);
    int32_t number = found ? found->p_proto : -1;
#else
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the entry is the C library's, and the next call's */
    pthread_mutex_lock(&lock);
    const struct protoent *found = getprotobyname(key);
    int32_t number = found ? found->p_proto : -1;
    pthread_mutex_unlock(&lock);
#endif
    if (number < 0)
        return pal__refuse(PAL_ENONAME, "no such protocol");
    return give_number(&number, sizeof number, out, size);
}

static int host_of(const char *key, void *out, size_t size)
{
    struct pal_addr addr;
    union sockaddr_any name;
    socklen_t name_size;
    char host[NI_MAXHOST];
    memcpy(&addr, key, sizeof addr);
    int error = sockaddr_of(&addr, &name, &name_size);
    if (error)
        return error;
    int code = getnameinfo(&name.any, name_size, host, sizeof host, NULL, 0, NI_NAMEREQD);
    return code ? resolver_failed(code) : give_text(host, out, size);
}

static void describe(int fd, const struct if_nameindex *entry, struct pal_interface *out)
{
    struct ifreq request = {0};
    *out = (struct pal_interface){.ifindex = entry->if_index};
    memcpy(out->name, entry->if_name, strnlen(entry->if_name, sizeof out->name - 1));
    memcpy(request.ifr_name, entry->if_name, strnlen(entry->if_name, sizeof request.ifr_name - 1));
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
        out->flags = (request.ifr_flags & IFF_UP ? 1u : 0u) | (request.ifr_flags & IFF_LOOPBACK ? 2u : 0u) |
                     (request.ifr_flags & IFF_MULTICAST ? 4u : 0u);
    if (ioctl(fd, SIOCGIFMTU, &request) == 0)
        out->mtu = (uint32_t)request.ifr_mtu;
}

static int interfaces(void *out, size_t size)
{
    struct if_nameindex *all = if_nameindex();
    if (!all)
        return pal__failed(-errno);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* any socket will do to ask about interfaces */
    size_t count = 0;
    for (; all[count].if_index; count++) {
        struct pal_interface one;
        if ((count + 1) * sizeof one > size)
            continue;
        describe(fd, &all[count], &one);
        memcpy((char *)out + count * sizeof one, &one, sizeof one);
    }
    if (fd >= 0)
        sys_close(fd);
    if_freenameindex(all);
    return (int)(count * sizeof(struct pal_interface));
}

int pal__k_names(int kind, const char *key, void *out, size_t size)
{
    if (!out && !(kind == PAL_NAMES_INTERFACES && size == 0))
        return pal__refuse(PAL_EINVAL, "pal_names needs room");
    if (!key && kind != PAL_NAMES_HOSTNAME && kind != PAL_NAMES_INTERFACES)
        return pal__refuse(PAL_EINVAL, "this kind of name needs a key");
    switch (kind) {
    case PAL_NAMES_HOSTNAME:
        return host_name(out, size);
    case PAL_NAMES_INTERFACE_INDEX:
        return interface_index(key, out, size);
    case PAL_NAMES_INTERFACE_NAME:
        return interface_name(key, out, size);
    case PAL_NAMES_SERVICE_PORT:
    case PAL_NAMES_PORT_SERVICE:
        return service(kind, key, out, size);
    case PAL_NAMES_PROTOCOL:
        return protocol(key, out, size);
    case PAL_NAMES_HOST_OF:
        return host_of(key, out, size);
    case PAL_NAMES_INTERFACES:
        return interfaces(out, size);
    default:
        return pal__refuse(PAL_EINVAL, "no such kind of name");
    }
}
