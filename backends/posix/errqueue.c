/* errqueue.c: what a socket's error queue tells about an earlier send: that it bounced, that its bytes are free again
 * (PAL_SO_ZEROCOPY), or when it went out (PAL_SO_TIMESTAMPING). One function, called for control data
 * (control_decode.c) with bytes that may be anything. */
#include "message.h"

#include "sockaddr.h"

#include <errno.h>
#include <linux/errqueue.h>

enum { ERROR_MAX = 4095 }; /* the kernel's highest error number */

/* false: a point that nobody asks for. */
static bool point_of(uint32_t native, uint8_t *out)
{
    static const uint8_t points[] = {[SCM_TSTAMP_SND] = PAL_STAMP_SENT,
                                     [SCM_TSTAMP_SCHED] = PAL_STAMP_SCHEDULED,
                                     [SCM_TSTAMP_ACK] = PAL_STAMP_ACKED};
    if (native >= sizeof points)
        return false;
    *out = points[native];
    return true;
}

/* The address behind the record: the router or host that sent the ICMP message. */
static void origin_of(struct pal_addr *out, const uint8_t *data, size_t size)
{
    union sockaddr_any name;
    memset(out, 0, sizeof *out);
    memset(&name, 0, sizeof name); /* AF_UNSPEC */
    memcpy(&name, data, size < sizeof name ? size : sizeof name);
    if (name.any.sa_family == AF_INET || name.any.sa_family == AF_INET6)
        addr_of(out, &name, name.any.sa_family == AF_INET ? sizeof name.in : sizeof name.in6);
}

static void bounced(struct pal_msg *msg, const struct sock_extended_err *error, const uint8_t *origin, size_t size)
{
    bool icmp = error->ee_origin != SO_EE_ORIGIN_LOCAL;
    msg->notice.kind = PAL_NOTICE_ERROR;
    msg->notice.error = error->ee_errno <= ERROR_MAX ? -(int32_t)error->ee_errno : PAL_EIO;
    msg->notice.first = error->ee_errno == EMSGSIZE ? error->ee_info : 0;
    msg->notice.icmp_type = icmp ? error->ee_type : 0;
    msg->notice.icmp_code = icmp ? error->ee_code : 0;
    origin_of(&msg->local, origin, size);
}

bool pal__k_errqueue_decode(struct pal_msg *msg, const uint8_t *data, size_t size)
{
    struct sock_extended_err error;
    bool wanted = msg->want & PAL_META_NOTICE;
    if (size < sizeof error)
        return false;
    memcpy(&error, data, sizeof error);
    switch (error.ee_origin) {
    case SO_EE_ORIGIN_LOCAL:
    case SO_EE_ORIGIN_ICMP:
    case SO_EE_ORIGIN_ICMP6:
        if (wanted)
            bounced(msg, &error, data + sizeof error, size - sizeof error);
        break;
    case SO_EE_ORIGIN_ZEROCOPY:
        if (wanted)
            msg->notice = (struct pal_notice){.kind = PAL_NOTICE_ZEROCOPY,
                                              .first = error.ee_info,
                                              .last = error.ee_data,
                                              .copied = (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0};
        break;
    case SO_EE_ORIGIN_TIMESTAMPING:
        if (!(msg->want & (PAL_META_TIME | PAL_META_NOTICE)) || !point_of(error.ee_info, &msg->stamp.point))
            return false;
        msg->stamp.id = error.ee_data;
        if (wanted)
            msg->notice.kind = PAL_NOTICE_STAMP;
        break;
    default:
        return false;
    }
    if (wanted)
        msg->have |= PAL_META_NOTICE;
    return wanted;
}
