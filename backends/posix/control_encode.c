/* control_encode.c: the named fields of struct pal_msg as control data (cmsg(3)) to send. See control_decode.c for the
 * way back. Rules 5 and 16. */
#include "message.h"

#include "sockaddr.h"
#include "try.h"

#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static void append(struct control *control, size_t *used, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control->bytes + *used);
    memset(header, 0, CMSG_SPACE(size));
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = (socklen_t)CMSG_LEN(size);
    memcpy(CMSG_DATA(header), data, size);
    *used += CMSG_SPACE(size);
}

static void append_source(const struct slot *slot, const struct pal_msg *msg, struct control *control, size_t *used)
{
    if (slot->family == PAL_AF_INET6) {
        struct in6_pktinfo info = {.ipi6_ifindex = msg->ifindex};
        if (msg->local.family == PAL_AF_INET6)
            memcpy(&info.ipi6_addr, msg->local.bytes, 16);
        append(control, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    } else {
        struct in_pktinfo info = {.ipi_ifindex = (int)msg->ifindex};
        if (msg->local.family == PAL_AF_INET)
            memcpy(&info.ipi_spec_dst, msg->local.bytes, 4);
        append(control, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
}

/* A field of the IP header. What leaves an IPv6 socket may be IPv4 (a mapped destination): the kernel takes the one
 * that fits and passes over the other. */
static void append_field(const struct slot *slot, struct control *control, size_t *used, int name4, int name6,
                         int value)
{
    append(control, used, IPPROTO_IP, name4, &value, sizeof value);
    if (slot->family == PAL_AF_INET6)
        append(control, used, IPPROTO_IPV6, name6, &value, sizeof value);
}

static int append_handles(const struct slot *slot, const struct pal_msg *msg, struct control *control, size_t *used)
{
    int fds[PAL_PASS_MAX];
    if (slot->family != PAL_AF_UNIX)
        return pal__refuse(PAL_ENOTSUP, "handles are passed over unix sockets only");
    if (msg->socks_count > PAL_PASS_MAX || (msg->socks_count && !msg->socks))
        return pal__refuse(PAL_EINVAL, "a message passes at most PAL_PASS_MAX handles");
    for (int i = 0; i < msg->socks_count; i++) {
        struct slot *passed = slot_of(msg->socks[i]);
        if (!passed)
            return pal__refuse(PAL_EBADF, "a handle to be passed is stale");
        if (in_stack(msg->socks[i]))
            return pal__refuse(PAL_ENOTSUP, "a socket of a user-space stack has no descriptor that could be passed");
        slot_set(passed, SLOT_EXPORTED | SLOT_MODE_KEPT);
        fds[i] = passed->fd;
    }
    if (msg->socks_count)
        append(control, used, SOL_SOCKET, SCM_RIGHTS, fds, msg->socks_count * sizeof *fds);
    return 0;
}

/* Whether this socket can send what is wanted. */
static int check_wanted(const struct slot *slot, const struct pal_msg *msg)
{
    bool ip = slot->family == PAL_AF_INET || slot->family == PAL_AF_INET6;
    if (msg->raw_size)
        return pal__refuse(PAL_EINVAL, "raw control data replaces the fields that want names: give one or the other");
    if (msg->want & (PAL_META_TIME | PAL_META_DROPPED | PAL_META_CRED | PAL_META_NOTICE))
        return pal__refuse(PAL_ENOTSUP, "times, drops, credentials and notices are received, not sent");
    if (msg->want & (PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS) && !ip)
        return pal__refuse(PAL_ENOTSUP, "source, ttl and tos belong to IP sockets");
    if (msg->want & PAL_META_GSO && !(ip && slot->type == PAL_SOCK_DGRAM))
        return pal__refuse(PAL_ENOTSUP, "segments belong to UDP sockets");
    if (msg->want & PAL_META_LOCAL && msg->local.family && msg->local.family != slot->family)
        return pal__refuse(PAL_EAFNOSUPPORT, "the source address is of another family than the socket");
    return 0;
}

int pal__k_control_encode(const struct slot *slot, const struct pal_msg *msg, struct control *control)
{
    size_t used = 0;
    if (LIKELY(!msg->want))
        return 0;
    int error = check_wanted(slot, msg);
    if (error)
        return error;
    if (msg->want & PAL_META_LOCAL)
        append_source(slot, msg, control, &used);
    if (msg->want & PAL_META_TTL)
        append_field(slot, control, &used, IP_TTL, IPV6_HOPLIMIT, msg->ttl);
    if (msg->want & PAL_META_TOS)
        append_field(slot, control, &used, IP_TOS, IPV6_TCLASS, msg->tos);
    if (msg->want & PAL_META_GSO)
        append(control, &used, IPPROTO_UDP, UDP_SEGMENT, &msg->gso_size, sizeof msg->gso_size);
    if (msg->want & PAL_META_SOCKS && (error = append_handles(slot, msg, control, &used)))
        return error;
    return (int)used;
}
