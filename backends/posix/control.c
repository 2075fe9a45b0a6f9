/* control.c: control data (cmsg(3)) to and from the named fields of struct pal_msg. Rules 5, 13; holes 22 and 24.
 *
 * Room on the stack for 32 messages of it is why CONTROL_* are small. A handle that arrives and cannot be kept, for
 * want of room, of slots or of permission (PAL_SO_PASS), is closed at once and the message
 * flagged CTRUNC: none leaks. */
#include "message.h"

#include "sockaddr.h"
#include "try.h"

#include <netinet/ip.h>
#include <netinet/udp.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif

/* ---- sending ---- */

static void append(struct control *control, size_t *used, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control->bytes + *used);
    memset(header, 0, CMSG_SPACE(size));
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
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
        slot_set(passed, SLOT_EXPORTED);
        fds[i] = passed->fd;
    }
    if (msg->socks_count)
        append(control, used, SOL_SOCKET, SCM_RIGHTS, fds, msg->socks_count * sizeof *fds);
    return 0;
}

int pal__k_control_encode(const struct slot *slot, const struct pal_msg *msg, struct control *control)
{
    size_t used = 0;
    bool six = slot->family == PAL_AF_INET6;
    if (LIKELY(!msg->want))
        return 0;
    if (msg->raw_size)
        return pal__refuse(PAL_EINVAL, "raw control data replaces the fields that want names: give one or the other");
    if (msg->want & (PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS) && slot->family != PAL_AF_INET && !six)
        return pal__refuse(PAL_ENOTSUP, "source, ttl and tos belong to IP sockets");
    if (msg->want & PAL_META_LOCAL && msg->local.family && msg->local.family != slot->family)
        return pal__refuse(PAL_EAFNOSUPPORT, "the source address is of another family than the socket");
    if (msg->want & PAL_META_LOCAL)
        append_source(slot, msg, control, &used);
    if (msg->want & PAL_META_TTL)
        append(control, &used, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_HOPLIMIT : IP_TTL, &(int){msg->ttl},
               sizeof(int));
    if (msg->want & PAL_META_TOS)
        append(control, &used, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS, &(int){msg->tos},
               sizeof(int));
    if (msg->want & PAL_META_GSO)
        append(control, &used, IPPROTO_UDP, UDP_SEGMENT, &msg->gso_size, sizeof msg->gso_size);
    if (msg->want & PAL_META_SOCKS) {
        int error = append_handles(slot, msg, control, &used);
        if (error)
            return error;
    }
    if (msg->want & (PAL_META_TIME | PAL_META_DROPPED | PAL_META_CRED))
        return pal__refuse(PAL_ENOTSUP, "time, drops and credentials are received, not sent");
    return (int)used;
}

/* ---- receiving ---- */

size_t pal__k_control_room(const struct slot *slot, const struct pal_msg *msg)
{
    if (!msg->want && !msg->raw_size)
        return 0;
    size_t handles = slot_flags(slot) & SLOT_PASS && msg->want & PAL_META_SOCKS ? CONTROL_HANDLES : 0;
    return CONTROL_DECODED + handles;
}

static void keep_handles(const struct slot *slot, struct pal_msg *msg, const uint8_t *data, size_t size)
{
    bool welcome = slot_flags(slot) & SLOT_PASS && msg->want & PAL_META_SOCKS && msg->socks;
    for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
        int fd;
        memcpy(&fd, data + at, sizeof fd);
        pal_sock sock;
        if (welcome && msg->socks_count < msg->socks_max && pal__k_sock_adopt(fd, PAL_ADOPT_SHARED, &sock) == 0) {
            msg->socks[msg->socks_count++] = sock;
            msg->have |= PAL_META_SOCKS;
        } else {
            sys_close(fd);
            msg->flags |= PAL_MSG_CTRUNC;
        }
    }
}

/* The system cuts the last message when room runs out. */
static bool whole(struct pal_msg *msg, size_t size, size_t needed)
{
    if (size < needed)
        msg->flags |= PAL_MSG_CTRUNC;
    return size >= needed;
}

static int int_of(const uint8_t *data, size_t size)
{
    int value = 0;
    if (size >= sizeof value)
        memcpy(&value, data, sizeof value);
    else if (size)
        value = data[0]; /* IP_TOS is one byte */
    return value;
}

static bool decode_socket(const struct slot *slot, struct pal_msg *msg, int type, const uint8_t *data, size_t size)
{
    switch (type) {
    case SCM_RIGHTS:
        keep_handles(slot, msg, data, size);
        return true;
    case SCM_CREDENTIALS: {
        struct ucred cred;
        if (!whole(msg, size, sizeof cred))
            return true;
        memcpy(&cred, data, sizeof cred);
        msg->cred[0] = (uint32_t)cred.pid;
        msg->cred[1] = cred.uid;
        msg->cred[2] = cred.gid;
        msg->have |= PAL_META_CRED;
        return true;
    }
    case SCM_TIMESTAMPNS: {
        struct timespec time;
        if (!whole(msg, size, sizeof time))
            return true;
        memcpy(&time, data, sizeof time);
        msg->time_ns[0] = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
        msg->time_ns[1] = 0;
        msg->have |= PAL_META_TIME;
        return true;
    }
    case SO_RXQ_OVFL:
        msg->dropped = (uint32_t)int_of(data, size);
        msg->have |= PAL_META_DROPPED;
        return true;
    default:
        return false;
    }
}

static bool decode_ip(struct pal_msg *msg, int type, const uint8_t *data, size_t size)
{
    struct in_pktinfo info;
    switch (type) {
    case IP_PKTINFO:
        if (!whole(msg, size, sizeof info))
            return true;
        memcpy(&info, data, sizeof info);
        msg->local = (struct pal_addr){.family = PAL_AF_INET, .size = 4};
        memcpy(msg->local.bytes, &info.ipi_addr, 4);
        msg->ifindex = (uint32_t)info.ipi_ifindex;
        msg->have |= PAL_META_LOCAL;
        return true;
    case IP_TTL:
        msg->ttl = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TTL;
        return true;
    case IP_TOS:
        msg->tos = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TOS;
        return true;
    default:
        return false;
    }
}

static bool decode_ip6(struct pal_msg *msg, int type, const uint8_t *data, size_t size)
{
    struct in6_pktinfo info;
    switch (type) {
    case IPV6_PKTINFO:
        if (!whole(msg, size, sizeof info))
            return true;
        memcpy(&info, data, sizeof info);
        msg->local = (struct pal_addr){.family = PAL_AF_INET6, .size = 16};
        memcpy(msg->local.bytes, &info.ipi6_addr, 16);
        msg->ifindex = info.ipi6_ifindex;
        msg->have |= PAL_META_LOCAL;
        return true;
    case IPV6_HOPLIMIT:
        msg->ttl = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TTL;
        return true;
    case IPV6_TCLASS:
        msg->tos = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TOS;
        return true;
    default:
        return false;
    }
}

static bool decode_one(const struct slot *slot, struct pal_msg *msg, const struct cmsghdr *header)
{
    const uint8_t *data = CMSG_DATA(header);
    size_t size = header->cmsg_len - CMSG_LEN(0);
    switch (header->cmsg_level) {
    case SOL_SOCKET:
        return decode_socket(slot, msg, header->cmsg_type, data, size);
    case IPPROTO_IP:
        return decode_ip(msg, header->cmsg_type, data, size);
    case IPPROTO_IPV6:
        return decode_ip6(msg, header->cmsg_type, data, size);
    case IPPROTO_UDP:
        if (header->cmsg_type != UDP_GRO)
            return false;
        msg->gso_size = (uint16_t)int_of(data, size);
        msg->have |= PAL_META_GSO;
        return true;
    default:
        return false;
    }
}

void pal__k_control_decode(const struct slot *slot, struct pal_msg *msg, const struct msghdr *header)
{
    size_t raw_room = msg->raw_size;
    msg->raw_size = 0;
    if (LIKELY(!header->msg_controllen))
        return;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR((struct msghdr *)(uintptr_t)header, at)) {
        if (decode_one(slot, msg, at))
            continue;
        size_t size = CMSG_ALIGN(at->cmsg_len);
        if (raw_room - msg->raw_size >= size) {
            memcpy((uint8_t *)msg->raw + msg->raw_size, at, at->cmsg_len);
            msg->raw_size += (uint32_t)size;
        } else if (raw_room) {
            msg->flags |= PAL_MSG_CTRUNC;
        }
    }
    msg->have &= msg->want;
}
