/* special.c: options that are more than a number handed to the kernel: a handle's own properties, multicast membership,
 * passed handles, credentials. Rule 16. */
#include "option.h"
#include "sockaddr.h"
#include "try.h"

#include <pal/address.h>
#include <sys/ioctl.h>

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

/* ---- reading ---- */

static int give(const void *from, size_t bytes, void *value, size_t *size)
{
    if (*size < bytes)
        return pal__refuse(PAL_EINVAL, "the room for this option is too small");
    memcpy(value, from, bytes);
    *size = bytes;
    return 0;
}

/* The pending error, and with it the outcome of a connect. */
static int get_error(struct slot *slot, void *value, size_t *size)
{
    int native = 0;
    socklen_t room = sizeof native;
    if (*size < sizeof(int32_t))
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    if (!(slot_plain(slot))) {
        long result = CHECKED(getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &native, &room));
        if (result < 0)
            return pal__failed(result);
        if (native && slot_flags(slot) & SLOT_CONNECTING)
            slot_set(slot, SLOT_FAILED);
        if (native)
            pal__failed(-native);
    }
    return give(&(int32_t){-native}, sizeof(int32_t), value, size);
}

static int get_nread(const struct slot *slot, void *value, size_t *size)
{
    int count = 0;
    long result = CHECKED(ioctl(slot->fd, FIONREAD, &count));
    if (result < 0)
        return pal__failed(result);
    return give(&(int32_t){count}, sizeof(int32_t), value, size);
}

static int get_path(void *value, size_t *size)
{
    static const char path[] = "kernel: this backend has no other path";
    return give(path, sizeof path - 1, value, size);
}

static int get_peercred(const struct slot *slot, void *value, size_t *size)
{
    struct ucred native;
    socklen_t room = sizeof native;
    if (slot->family != PAL_AF_UNIX)
        return pal__refuse(PAL_ENOTSUP, "this option belongs to unix sockets");
    long result = CHECKED(getsockopt(slot->fd, SOL_SOCKET, SO_PEERCRED, &native, &room));
    if (result < 0)
        return pal__failed(result);
    struct pal_cred cred = {.process = (uint32_t)native.pid, .user = native.uid, .group = native.gid};
    return give(&cred, sizeof cred, value, size);
}

static int get_multicast_interface(const struct slot *slot, void *value, size_t *size)
{
    int ifindex = 0;
    socklen_t room = sizeof ifindex;
    if (slot->family != PAL_AF_INET6)
        return pal__refuse(PAL_ENOTSUP, "the kernel does not tell the interface of IPv4 multicast by its index");
    long result = CHECKED(getsockopt(slot->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &ifindex, &room));
    if (result < 0)
        return pal__failed(result);
    return give(&ifindex, sizeof ifindex, value, size);
}

int pal__k_special_get(struct slot *slot, uint32_t number, void *value, size_t *size)
{
    pal_poll *poll = slot_poll(slot);
    switch (number) {
    case PAL_SO_ERROR:
        return get_error(slot, value, size);
    case PAL_SO_NATIVE:
        slot_set(slot, SLOT_EXPORTED); /* it may be duplicated out of our sight */
        return give(&(intptr_t){slot->fd}, sizeof(intptr_t), value, size);
    case PAL_SO_NREAD:
        return get_nread(slot, value, size);
    case PAL_SO_PATH:
        return get_path(value, size);
    case PAL_SO_OWNER:
        return give(&poll, sizeof poll, value, size);
    case PAL_SO_PASS:
        if (slot->family != PAL_AF_UNIX)
            return pal__refuse(PAL_ENOTSUP, "handles are passed over unix sockets only");
        return give(&(int32_t){(slot_flags(slot) & SLOT_PASS) != 0}, sizeof(int32_t), value, size);
    case PAL_SO_PEERCRED:
        return get_peercred(slot, value, size);
    case PAL_SO_MCAST_IF:
        return slot_plain(slot) ? OPTION_NOT_SPECIAL : get_multicast_interface(slot, value, size);
    case PAL_SO_MCAST_JOIN:
    case PAL_SO_MCAST_LEAVE:
        return pal__refuse(PAL_ENOTSUP, "this option is write-only");
    default:
        return pal__k_tuning_get(slot, number, value, size);
    }
}

/* ---- writing ---- */

int pal__k_boolean(const void *value, size_t size, bool *out)
{
    int32_t number;
    if (size != sizeof number)
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    memcpy(&number, value, sizeof number);
    if (number < 0 || number > 1)
        return pal__refuse(PAL_EINVAL, "this option is 0 or 1");
    *out = number;
    return 0;
}

static int set_pass(struct slot *slot, const void *value, size_t size)
{
    bool on = false;
    if (slot->family != PAL_AF_UNIX)
        return pal__refuse(PAL_ENOTSUP, "handles are passed over unix sockets only");
    int error = pal__k_boolean(value, size, &on);
    if (error)
        return error;
    if (on && slot->interest & PAL_LEASE)
        return pal__refuse(PAL_ENOTSUP, "leases cannot carry passed handles: stop the watch with PAL_LEASE first");
    if (on)
        slot_set(slot, SLOT_PASS);
    else
        slot_clear(slot, SLOT_PASS);
    return 0;
}

static int datagram_ip(const struct slot *slot)
{
    bool ip = slot->family == PAL_AF_INET || slot->family == PAL_AF_INET6;
    if (!ip || (slot->type != PAL_SOCK_DGRAM && slot->type != PAL_SOCK_RAW))
        return pal__refuse(PAL_ENOTSUP, "multicast belongs to IP datagram sockets");
    return 0;
}

static int set_multicast_interface(const struct slot *slot, const void *value, size_t size)
{
    uint32_t ifindex;
    int error = datagram_ip(slot);
    if (error)
        return error;
    if (size != sizeof ifindex)
        return pal__refuse(PAL_EINVAL, "this option is a uint32_t interface index");
    memcpy(&ifindex, value, sizeof ifindex);
    if (ifindex > INT32_MAX)
        return pal__refuse(PAL_EINVAL, "no such interface index");
    if (slot->family == PAL_AF_INET6)
        return pal__k_native_set(slot, IPPROTO_IPV6, IPV6_MULTICAST_IF, &ifindex, sizeof ifindex);
    struct ip_mreqn request = {.imr_ifindex = (int)ifindex};
    return pal__k_native_set(slot, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
}

void pal__k_hear_own_groups(struct slot *slot)
{
    bool six = slot->family == PAL_AF_INET6;
    if (slot_flags(slot) & SLOT_GROUPS)
        return;
    setsockopt(slot->fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MULTICAST_ALL : IP_MULTICAST_ALL, &(int){0},
               sizeof(int)); /* kernels before 4.20 have no such option for IPv6: there it stays as it was */
    slot_set(slot, SLOT_GROUPS);
}

static int set_membership(struct slot *slot, bool join, const void *value, size_t size)
{
    struct pal_mcast request;
    int error = datagram_ip(slot);
    if (error)
        return error;
    if (size != sizeof request)
        return pal__refuse(PAL_EINVAL, "this option is a struct pal_mcast");
    memcpy(&request, value, sizeof request);
    bool sourced = request.source.family != PAL_AF_UNSPEC;
    if (!pal_addr_is_multicast(&request.group))
        return pal__refuse(PAL_EINVAL, "the group is not a multicast address");
    if (request.group.family != slot->family || (sourced && request.source.family != slot->family))
        return pal__refuse(PAL_EAFNOSUPPORT, "group, source and socket are to be of one family");
    if (join)
        pal__k_hear_own_groups(slot);
    union sockaddr_any group, source;
    socklen_t ignored;
    if ((error = sockaddr_of(&request.group, &group, &ignored)) ||
        (sourced && (error = sockaddr_of(&request.source, &source, &ignored))))
        return error;
    int level = slot->family == PAL_AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (!sourced) {
        struct group_req native = {.gr_interface = request.ifindex};
        memcpy(&native.gr_group, &group, sizeof native.gr_group);
        return pal__k_native_set(slot, level, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &native, sizeof native);
    }
    struct group_source_req native = {.gsr_interface = request.ifindex};
    memcpy(&native.gsr_group, &group, sizeof native.gsr_group);
    memcpy(&native.gsr_source, &source, sizeof native.gsr_source);
    return pal__k_native_set(slot, level, join ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP, &native,
                             sizeof native);
}

int pal__k_special_set(struct slot *slot, uint32_t number, const void *value, size_t size)
{
    switch (number) {
    case PAL_SO_PASS:
        return set_pass(slot, value, size);
    case PAL_SO_MCAST_IF:
        return set_multicast_interface(slot, value, size);
    case PAL_SO_MCAST_JOIN:
        return set_membership(slot, true, value, size);
    case PAL_SO_MCAST_LEAVE:
        return set_membership(slot, false, value, size);
    case PAL_SO_ERROR:
    case PAL_SO_NATIVE:
    case PAL_SO_NREAD:
    case PAL_SO_PATH:
    case PAL_SO_OWNER:
    case PAL_SO_PEERCRED:
        return pal__refuse(PAL_ENOTSUP, "this option is read-only");
    default:
        return pal__k_tuning_set(slot, number, value, size);
    }
}
