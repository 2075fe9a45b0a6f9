/* control_decode.c: what came as control data (cmsg(3)) into the named fields of struct pal_msg. Rules 5, 13; holes 22
 * and 24. What sock_extended_err tells is errqueue.c's.
 *
 * The bytes are taken for what they are, not for what the kernel would write: whatever they say, nothing beyond them is
 * read. A handle that arrives and cannot be kept, for want of room, of slots or of permission (PAL_SO_PASS), is closed
 * at once and the message flagged CTRUNC: none leaks. */
#include "message.h"

#include "deadline.h"
#include "kernel.h"
#include "sys.h"

#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

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

/* Copies a structure out of the data. The system cuts the last message when room runs out. */
static bool take(struct pal_msg *msg, const uint8_t *data, size_t size, void *out, size_t needed)
{
    if (size < needed) {
        msg->flags |= PAL_MSG_CTRUNC;
        return false;
    }
    memcpy(out, data, needed);
    return true;
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

/* ---- times ---- */

/* The system has no time where it says 0. */
static uint64_t ns_of(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * NS_PER_SECOND + (uint64_t)time->tv_nsec;
}

static void take_stamp(struct pal_msg *msg, uint64_t system_ns, uint64_t nic_ns)
{
    if (!(msg->want & PAL_META_TIME))
        return;
    if (system_ns) {
        msg->stamp.system_ns = system_ns;
        msg->stamp.quality |= PAL_STAMP_SYSTEM;
    }
    if (nic_ns) {
        msg->stamp.nic_ns = nic_ns;
        msg->stamp.clock = PAL_STAMP_CLOCK_CARD;
        msg->stamp.quality |= PAL_STAMP_NIC;
    }
    if (msg->stamp.quality)
        msg->have |= PAL_META_TIME;
}

/* ---- level by level; false: not a kind that is decoded ---- */

static bool decode_socket(const struct slot *slot, struct pal_msg *msg, int type, const uint8_t *data, size_t size)
{
    struct ucred cred;
    struct timespec times[3]; /* the system's, none, the card's */
    switch (type) {
    case SCM_RIGHTS:
        keep_handles(slot, msg, data, size);
        return true;
    case SCM_CREDENTIALS:
        if (take(msg, data, size, &cred, sizeof cred)) {
            msg->cred[0] = (uint32_t)cred.pid;
            msg->cred[1] = cred.uid;
            msg->cred[2] = cred.gid;
            msg->have |= PAL_META_CRED;
        }
        return true;
    case SCM_TIMESTAMPNS:
        if (take(msg, data, size, times, sizeof *times))
            take_stamp(msg, ns_of(times), 0);
        return true;
    case SCM_TIMESTAMPING:
        if (take(msg, data, size, times, sizeof times))
            take_stamp(msg, ns_of(&times[0]), ns_of(&times[2]));
        return true;
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
        if (take(msg, data, size, &info, sizeof info)) {
            msg->local = (struct pal_addr){.family = PAL_AF_INET, .size = 4};
            memcpy(msg->local.bytes, &info.ipi_addr, 4);
            msg->ifindex = (uint32_t)info.ipi_ifindex;
            msg->have |= PAL_META_LOCAL;
        }
        return true;
    case IP_TTL:
        msg->ttl = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TTL;
        return true;
    case IP_TOS:
        msg->tos = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TOS;
        return true;
    case IP_RECVERR:
        return pal__k_errqueue_decode(msg, data, size);
    default:
        return false;
    }
}

static bool decode_ip6(struct pal_msg *msg, int type, const uint8_t *data, size_t size)
{
    struct in6_pktinfo info;
    switch (type) {
    case IPV6_PKTINFO:
        if (take(msg, data, size, &info, sizeof info)) {
            msg->local = (struct pal_addr){.family = PAL_AF_INET6, .size = 16};
            memcpy(msg->local.bytes, &info.ipi6_addr, 16);
            msg->ifindex = info.ipi6_ifindex;
            msg->have |= PAL_META_LOCAL;
        }
        return true;
    case IPV6_HOPLIMIT:
        msg->ttl = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TTL;
        return true;
    case IPV6_TCLASS:
        msg->tos = (uint8_t)int_of(data, size);
        msg->have |= PAL_META_TOS;
        return true;
    case IPV6_RECVERR:
        return pal__k_errqueue_decode(msg, data, size);
    default:
        return false;
    }
}

static bool decode_one(const struct slot *slot, struct pal_msg *msg, const struct cmsghdr *header, const uint8_t *data)
{
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

/* Hands on what is not decoded as it is, size bytes with its header. */
static void keep_raw(struct pal_msg *msg, size_t room, const uint8_t *bytes, size_t size)
{
    if (room - msg->raw_size >= CMSG_ALIGN(size)) {
        memcpy((uint8_t *)msg->raw + msg->raw_size, bytes, size);
        msg->raw_size += (uint32_t)CMSG_ALIGN(size);
    } else if (room) {
        msg->flags |= PAL_MSG_CTRUNC;
    }
}

void pal__k_control_decode(const struct slot *slot, struct pal_msg *msg, const struct msghdr *from)
{
    const uint8_t *at = from->msg_control;
    size_t left = from->msg_controllen, raw_room = msg->raw_size;
    msg->raw_size = 0;
    /* That there is none shows as PAL_STAMP_NONE, PAL_NOTICE_NONE. */
    if (msg->want & (PAL_META_TIME | PAL_META_NOTICE)) {
        memset(&msg->stamp, 0, sizeof msg->stamp);
        memset(&msg->notice, 0, sizeof msg->notice);
    }
    while (left >= CMSG_LEN(0)) {
        struct cmsghdr header;
        memcpy(&header, at, sizeof header);
        if (header.cmsg_len < CMSG_LEN(0) || header.cmsg_len > left) {
            msg->flags |= PAL_MSG_CTRUNC;
            break;
        }
        if (!decode_one(slot, msg, &header, at + CMSG_LEN(0)))
            keep_raw(msg, raw_room, at, header.cmsg_len);
        size_t step = CMSG_ALIGN(header.cmsg_len);
        if (step > left)
            break; /* the last one is not padded */
        at += step;
        left -= step;
    }
    msg->have &= msg->want;
}
